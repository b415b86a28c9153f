//! The command that a difference suggests, run as it is written, removes the difference.

use super::deployed::{DOCKER_OPEN, DOCKER_REFUSES, IPTABLES_REFUSES, NFT_REFUSES};
use super::lab::{Backend, Lab, diff};
use crate::golden::policy;
use crate::support::Scene;

/// A user's host, and the target that it is compared with.
struct Mended {
    name: &'static str,
    host: &'static str,
    target: &'static str,
    service: &'static str,
    /// What is wrong before.
    part: &'static str,
}

/// What is read.
#[derive(Clone, Copy)]
enum From {
    Host,
    Dumps,
}

/// Most commands one after the other: a source may be refused in several places.
const ROUNDS_MAX: usize = 5;

const ALLOWED: [&str; 3] = ["20.91.170.120/29", "51.21.32.255", "2a10:a200::/32"];

/// Runs what is suggested for the host itself, or for its dumps, until nothing is: one family and one rule at
/// a time.
fn check(lab: &Lab, case: &Mended, from: From) -> Option<String> {
    let scene = Scene::new();
    let read = || match from {
        From::Host => lab.diff(&scene),
        From::Dumps => diff(&scene, &lab.views(&scene)[0].1).0,
    };
    scene.write("policies/example.yaml", policy(&ALLOWED));
    scene.write(
        "callgate.yaml",
        format!("schema: 1\n{}targets:\n  callbacks: {{ {} }}\n", case.service, case.target),
    );
    lab.reset(case.host);
    let before = read();
    if !before.items.iter().any(|item| item.part == case.part) {
        return Some(format!("{}: nothing is {}: {}", case.name, case.part, before.shown()));
    }
    let mut found = before.clone();
    let mut commands = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let wrong: Vec<_> = found.items.iter().filter(|item| item.part == case.part).collect();
        if wrong.is_empty() {
            return None;
        }
        for item in &wrong {
            if !item.change.contains("tables") && !item.change.starts_with("nft ") {
                return Some(format!("{}: no command: {}", case.name, found.shown()));
            }
        }
        // Rules are named by their numbers, which the first command moves: one at a time.
        let change = wrong[0].change.clone();
        lab.shell(&change);
        commands.push(change);
        let after = read();
        let same = after.items.iter().any(|item| *item == *wrong[0]);
        if same {
            return Some(format!("{}: no better after {commands:?}: {}", case.name, after.shown()));
        }
        found = after;
    }
    let left = found.items.iter().any(|item| item.part == case.part);
    left.then(|| format!("{}: after {commands:?} still {}", case.name, found.shown()))
}

fn check_all(backend: Backend, cases: &[Mended]) {
    let Some(lab) = Lab::new(backend) else { return };
    let faults: Vec<String> = [From::Host, From::Dumps]
        .iter()
        .flat_map(|from| cases.iter().filter_map(|case| check(&lab, case, *from)))
        .collect();
    assert!(faults.is_empty(), "{backend:?}:\n{}", faults.join("\n"));
}

const IPTABLES: &str = "kind: iptables, mode: permit";
const UP0: &str = "service: { interface: up0 }\n";

const IPTABLES_CASES: &[Mended] = &[
    Mended {
        name: "a policy that drops",
        host: IPTABLES_REFUSES,
        target: IPTABLES,
        service: "",
        part: "blocked",
    },
    Mended {
        name: "a rule that drops",
        host: "for t in $I4 $I6; do $t -A INPUT -i lo -j ACCEPT; $t -A INPUT -p tcp --dport 443 -j DROP; $t -A INPUT -p tcp --dport 80 -j DROP; done",
        target: IPTABLES,
        service: "",
        part: "blocked",
    },
    Mended {
        name: "a rule that rejects, in a chain like ufw's",
        host: "for t in $I4 $I6; do for c in ufw-before-input ufw-user-input ufw-after-input ufw-reject-input; do $t -N $c; $t -A INPUT -j $c; done\n\
               $t -P INPUT DROP; $t -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
               $t -A ufw-user-input -p tcp --dport 22 -j ACCEPT; $t -A ufw-user-input -p tcp --dport 443 -j REJECT; done",
        target: IPTABLES,
        service: "",
        part: "blocked",
    },
    Mended {
        name: "two rules that drop, one after the other",
        host: "for t in $I4 $I6; do $t -t raw -A PREROUTING -p tcp --dport 443 -j DROP; $t -A INPUT -p tcp --dport 443 -j DROP; done",
        target: "kind: iptables, mode: permit",
        service: "",
        part: "blocked",
    },
    Mended {
        name: "an answer that is dropped",
        host: "$I4 -A OUTPUT -p tcp --sport 443 -j DROP; $I6 -P OUTPUT DROP",
        target: IPTABLES,
        service: "",
        part: "blocked",
    },
    Mended {
        name: "a forward policy that drops",
        host: DOCKER_REFUSES,
        target: "kind: iptables, mode: permit, parent: DOCKER-USER",
        service: UP0,
        part: "blocked",
    },
    Mended {
        name: "a rule of DOCKER-USER that drops",
        host: "REFUSED IN DOCKER-USER",
        target: "kind: iptables, mode: permit, parent: DOCKER-USER",
        service: UP0,
        part: "blocked",
    },
    Mended {
        name: "a user's rule that lets strangers in",
        host: "for t in $I4 $I6; do $t -P INPUT DROP; $t -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT; done\n\
               $I4 -A INPUT -s 8.8.8.0/24 -p tcp --dport 443 -j ACCEPT; $I6 -A INPUT -s 2001:4860::/32 -p tcp -m multiport --dports 80,443 -j ACCEPT",
        target: "kind: iptables",
        service: "",
        part: "foreign",
    },
    Mended {
        name: "strangers at a container's port",
        host: "STRANGERS IN DOCKER-USER",
        target: "kind: iptables, parent: DOCKER-USER",
        service: UP0,
        part: "foreign",
    },
];

const NFT_CASES: &[Mended] = &[
    Mended {
        name: "a policy that drops, in nft",
        host: NFT_REFUSES,
        target: "kind: nftables, mode: permit, chain: inet filter input",
        service: "",
        part: "blocked",
    },
    Mended {
        name: "a rule that drops, in nft",
        host: "nft 'table inet filter { chain input { type filter hook input priority 0; ct state established accept\n tcp dport { 80, 443 } drop\n tcp dport 22 accept\n } \n }'",
        target: "kind: nftables, mode: permit, chain: inet filter input",
        service: "",
        part: "blocked",
    },
    Mended {
        name: "a verdict map in a chain of its own, in nft",
        host: "nft 'table inet filter { chain web { ip saddr 9.9.9.9 accept\n reject\n }\n chain input { type filter hook input priority 0; policy drop; ct state established accept\n tcp dport vmap { 22 : accept, 443 : jump web }\n } \n }'",
        target: "kind: nftables, mode: permit, chain: inet filter input",
        service: "",
        part: "blocked",
    },
    Mended {
        name: "tables of each family, in nft",
        host: "nft 'table ip a { chain input { type filter hook input priority 0; tcp dport 443 drop\n } \n }'; \
               nft 'table ip6 b { chain input { type filter hook input priority 0; tcp dport 443 drop\n } \n }'",
        target: "kind: nftables, mode: permit, chain: inet filter input",
        service: "",
        part: "blocked",
    },
    Mended {
        name: "an answer that is dropped, in nft",
        host: "nft 'table inet filter { chain output { type filter hook output priority 0; policy drop; udp dport 53 accept\n } \n }'",
        target: "kind: nftables, mode: permit, chain: inet filter input",
        service: "",
        part: "blocked",
    },
    Mended {
        name: "strangers, in nft",
        host: "nft 'table inet filter { set s { type ipv4_addr; flags interval; elements = { 8.8.8.0/24, 9.9.9.9 }; }\n\
               chain input { type filter hook input priority 0; policy drop; ct state established accept\n ip saddr @s tcp dport 443 accept\n ip6 saddr 2001:4860::/32 accept\n } \n }'",
        target: "kind: nftables",
        service: "",
        part: "foreign",
    },
];

/// The cases of iptables, with Docker's rules where they are meant.
fn iptables_cases() -> Vec<Mended> {
    let full = |case: &Mended| {
        let host: &'static str = match case.host {
            "REFUSED IN DOCKER-USER" => concatenated(
                DOCKER_OPEN,
                "for t in $I4 $I6; do $t -I DOCKER-USER -i up0 -j DROP; $t -I DOCKER-USER -m conntrack --ctstate ESTABLISHED -j ACCEPT; done",
            ),
            "STRANGERS IN DOCKER-USER" => {
                concatenated(DOCKER_REFUSES, "$I4 -I DOCKER-USER -s 8.8.8.0/24 -i up0 -j ACCEPT")
            }
            host => host,
        };
        Mended { host, ..*case }
    };
    IPTABLES_CASES.iter().map(full).collect()
}

fn concatenated(first: &str, second: &str) -> &'static str {
    Box::leak(format!("{first}{second}").into_boxed_str())
}

#[cfg(feature = "netns-tests")]
#[test]
fn the_suggested_command_of_iptables_removes_the_difference() {
    check_all(Backend::Nft, &iptables_cases());
}

#[cfg(feature = "netns-tests")]
#[test]
fn the_suggested_command_of_legacy_iptables_removes_the_difference() {
    check_all(Backend::Legacy, &iptables_cases());
}

#[cfg(feature = "netns-tests")]
#[test]
fn the_suggested_command_of_nft_removes_the_difference() {
    check_all(Backend::Nft, NFT_CASES);
}
