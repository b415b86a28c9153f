//! Where an allowlist is enforced: a target's settings, and the host it is loaded into.

use crate::golden::policy;
use crate::support::Scene;

use super::lab::Backend;

/// A form of a target.
pub(crate) struct Deployment {
    pub(crate) name: &'static str,
    pub(crate) settings: &'static str,
    /// Settings of mode `permit`; `None` where there is no such mode.
    pub(crate) permit: Option<&'static str>,
    pub(crate) service: &'static str,
    /// How `admitted` is asked about the service.
    pub(crate) question: &'static [&'static str],
    /// The host before it, in mode `exclusive` and in mode `permit`.
    host: [&'static str; 2],
}

/// A host of the user's that refuses everybody, in nft: what mode `permit` has to get through.
pub(crate) const NFT_REFUSES: &str = "nft 'table inet filter { chain input { type filter hook input priority filter; policy drop; \
     iif lo accept; ct state established,related accept; meta l4proto ipv6-icmp accept\n } \n }'";
/// The same in iptables.
pub(crate) const IPTABLES_REFUSES: &str = "for t in $I4 $I6; do $t -P INPUT DROP; $t -A INPUT -i lo -j ACCEPT; \
     $t -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT; done; $I6 -A INPUT -p ipv6-icmp -j ACCEPT\n";

/// What Docker sets up for a container that publishes 443 on its port 8443.
macro_rules! docker {
    ($published:literal) => {
        concat!(
            "docker() { t=$1; d=$2\n",
            "$t -P FORWARD DROP; for c in DOCKER-USER DOCKER; do $t -N $c; done; $t -t nat -N DOCKER\n",
            "$t -A FORWARD -j DOCKER-USER\n",
            "$t -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n",
            "$t -A FORWARD -o docker0 -j DOCKER; $t -A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n",
            "$t -A DOCKER-USER -j RETURN\n",
            $published,
            "$t -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER; $t -t nat -A DOCKER -i docker0 -j RETURN\n",
            "$t -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 443 -j DNAT --to-destination \"$3\"\n",
            "}\n",
            "docker $I4 172.17.0.2 172.17.0.2:8443; docker $I6 fd00:17::2 '[fd00:17::2]:8443'\n"
        )
    };
}

/// Docker lets everybody to the container.
pub(crate) const DOCKER_OPEN: &str =
    docker!("$t -A DOCKER -d $d ! -i docker0 -o docker0 -p tcp -m tcp --dport 8443 -j ACCEPT\n");
/// The user lets nobody to it.
pub(crate) const DOCKER_REFUSES: &str = docker!("");

/// At the host itself.
pub(crate) const FORMS: &[Deployment] = &[
    Deployment {
        name: "nftables",
        settings: "kind: nftables",
        permit: Some(", chain: inet filter input"),
        service: "",
        question: &[],
        host: ["", NFT_REFUSES],
    },
    Deployment {
        name: "nftables-prerouting",
        settings: "kind: nftables, hook: prerouting",
        permit: None,
        service: "",
        question: &[],
        host: ["", ""],
    },
    Deployment {
        name: "iptables",
        settings: "kind: iptables",
        permit: Some(""),
        service: "",
        question: &[],
        host: ["", IPTABLES_REFUSES],
    },
    Deployment {
        name: "iptables-ipset",
        settings: "kind: iptables, matching: ipset",
        permit: Some(""),
        service: "",
        question: &[],
        host: ["", IPTABLES_REFUSES],
    },
];

const UP0: &str = "service: { interface: up0 }\n";

/// At a container's published port.
pub(crate) const DOCKER: &[Deployment] = &[
    Deployment {
        name: "iptables-docker",
        settings: "kind: iptables, parent: DOCKER-USER",
        permit: Some(""),
        service: UP0,
        question: &["--interface", "up0"],
        host: [DOCKER_OPEN, DOCKER_REFUSES],
    },
    Deployment {
        name: "iptables-docker-ipset",
        settings: "kind: iptables, parent: DOCKER-USER, matching: ipset",
        permit: Some(""),
        service: UP0,
        question: &["--interface", "up0"],
        host: [DOCKER_OPEN, DOCKER_REFUSES],
    },
    Deployment {
        name: "nftables-prerouting-docker",
        settings: "kind: nftables, hook: prerouting",
        permit: None,
        service: UP0,
        question: &["--interface", "up0"],
        host: [DOCKER_OPEN, ""],
    },
];

impl Deployment {
    pub(crate) fn has(&self, mode: &str) -> bool {
        mode == "exclusive" || self.permit.is_some()
    }

    pub(crate) fn runs_with(&self, backend: Backend) -> bool {
        backend == Backend::Nft || self.settings.contains("iptables")
    }

    /// A target whose listing is the file itself.
    pub(crate) const fn file(name: &'static str, settings: &'static str) -> Self {
        Self { name, settings, permit: Some(""), service: "", question: &[], host: ["", ""] }
    }

    /// The host's own rules.
    pub(crate) fn host(&self, mode: &str) -> &'static str {
        self.host[usize::from(mode == "permit")]
    }

    /// The site, with this one target.
    pub(crate) fn site(&self, mode: &str, shape: &str) -> String {
        let aggregate = if shape == "aggregated" { ", aggregate: true" } else { "" };
        let permit = if mode == "permit" { self.permit.unwrap() } else { "" };
        format!(
            "schema: 1\n{}targets:\n  callbacks: {{ {}, mode: {mode}{permit}{aggregate} }}\n",
            self.service, self.settings
        )
    }

    /// A folder in which it is rendered into `out`.
    #[track_caller]
    pub(crate) fn rendered(&self, mode: &str, listed: &[String], shape: &str) -> Scene {
        let scene = Scene::new();
        let words: Vec<&str> = listed.iter().map(String::as_str).collect();
        scene.write("policies/example.yaml", policy(&words));
        scene.write("callgate.yaml", self.site(mode, shape));
        scene.run(&["render", "--out", "out"]).expect(0);
        scene
    }
}
