//! A host without a network: a namespace in which the program and the tools run, with a site and policies.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{AT, Run, Scene};
use crate::world::{can_make_namespaces, done, have, tool};

static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Longest that something may take which ends by itself.
const PATIENCE: Duration = Duration::from_mins(1);

/// How a target is put in force, and on what host.
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// Settings of the target.
    pub(super) target: &'static str,
    /// What is there before.
    pub(super) host: &'static str,
}

/// A host in nft that refuses everybody.
const NFT_REFUSES: &str = "nft 'table inet filter { chain input { type filter hook input priority filter; policy drop; \
     ct state established,related counter accept; meta l4proto ipv6-icmp accept\n } \n }'\n";
const IPTABLES_REFUSES: &str = "for t in iptables ip6tables; do $t -P INPUT DROP; $t -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT; done\n\
     ip6tables -A INPUT -p ipv6-icmp -j ACCEPT\n";
/// What Docker sets up for a container that publishes 443 on its port 8443, by both families.
const DOCKER: &str = "for t in iptables ip6tables; do $t -N DOCKER-USER; $t -P FORWARD DROP; $t -A FORWARD -j DOCKER-USER; $t -A DOCKER-USER -j RETURN; done\n\
     for t in iptables ip6tables; do $t -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; done\n\
     iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 443 -j DNAT --to-destination 172.17.0.2:8443\n\
     ip6tables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 443 -j DNAT --to-destination [fd00::2]:8443\n\
     iptables -A FORWARD -d 172.17.0.2 -p tcp --dport 8443 -j ACCEPT\n\
     ip6tables -A FORWARD -d fd00::2 -p tcp --dport 8443 -j ACCEPT\n\
     iptables -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE\n";
const OWN_JUMP: &str = "nft 'table inet filter { chain callgate { }; chain input { type filter hook input priority filter; policy drop; \
     jump callgate\n } \n }'\n";

/// The shapes of hosts, the first of them the plainest.
pub(super) const SHAPES: [Shape; 10] = [
    Shape { name: "nft-exclusive", target: "kind: nftables, mode: exclusive", host: "" },
    Shape { name: "nft-prerouting", target: "kind: nftables, hook: prerouting, mode: exclusive", host: "" },
    Shape {
        name: "nft-permit",
        target: "kind: nftables, mode: permit, chain: inet filter input",
        host: NFT_REFUSES,
    },
    Shape {
        name: "nft-jump-none",
        target: "kind: nftables, mode: permit, chain: inet filter input, jump: none",
        host: OWN_JUMP,
    },
    Shape { name: "iptables-exclusive", target: "kind: iptables, mode: exclusive", host: "" },
    Shape { name: "iptables-permit", target: "kind: iptables, mode: permit", host: IPTABLES_REFUSES },
    Shape { name: "ipset-exclusive", target: "kind: iptables, matching: ipset, mode: exclusive", host: "" },
    Shape {
        name: "ipset-permit",
        target: "kind: iptables, matching: ipset, mode: permit",
        host: IPTABLES_REFUSES,
    },
    Shape { name: "docker", target: "kind: iptables, parent: DOCKER-USER, mode: exclusive", host: DOCKER },
    Shape {
        name: "docker-ipset",
        target: "kind: iptables, parent: DOCKER-USER, matching: ipset, mode: exclusive",
        host: DOCKER,
    },
];

pub(super) fn shape(name: &str) -> &'static Shape {
    SHAPES.iter().find(|shape| shape.name == name).unwrap()
}

/// The policy of the tests: one source of both families for good, and one that ends an hour after [`AT`].
pub(super) const FIRST: &[(&str, &str)] =
    &[("cloud", "[20.91.170.120/29, 13.50.187.51, \"2a10:a200::/32\"]"), ("ends", "[51.21.32.255]")];
/// The instant after which the second source is gone.
pub(super) const LATER: &str = "2026-11-20T14:00:00Z";

/// A policy of sources with their prefixes; the one named `ends` does.
pub(super) fn policy(revision: u32, sources: &[(&str, &str)]) -> String {
    let mut text = format!(
        "schema: 1\nprovider: example\nname: Example Pay\nrevision: {revision}\nservice: {{ protocol: tcp, ports: [443] }}\n\
         pages:\n  docs: {{ url: \"https://example.com/ips\", kind: text }}\nsources:\n"
    );
    for (id, prefixes) in sources {
        let end = if *id == "ends" { ", valid_until: 2026-11-20T13:00:00Z" } else { "" };
        text.push_str(&format!(
            "  - id: {id}\n    label: Cloud\n    prefixes: {prefixes}\n    lifecycle: {{ valid_from: 2025-01-01{end} }}\n\
             \x20   evidence: [{{ page: docs, read: 2025-01-01 }}]\n"
        ));
    }
    text
}

pub(super) struct Bench {
    pub(super) scene: Scene,
    netns: String,
    /// Folders before those of the tools.
    path: String,
}

impl Bench {
    /// A host of this shape with the first policy, nothing applied; `None`, said, where none can be made here.
    pub(super) fn new(shape: &Shape) -> Option<Self> {
        if !can_make_namespaces() || !have(&["iptables", "ipset"]) {
            return None;
        }
        let netns = format!("cg-a-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        done(tool("ip").args(["netns", "add", &netns]));
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let bench = Self { scene: Scene::new(), netns, path };
        bench.on("ip link set lo up");
        bench.on(shape.host);
        bench.policy(&policy(1, FIRST));
        bench.site(shape.target, "");
        Some(bench)
    }

    /// Tools in this folder come before others of the same name.
    pub(super) fn tools_of(&mut self, folder: &Path) {
        self.path = format!("{}:{}", folder.display(), self.path);
    }

    pub(super) fn policy(&self, text: &str) {
        self.scene.write("policies/example.yaml", text);
    }

    /// A site with one target, and more.
    pub(super) fn site(&self, target: &str, more: &str) {
        self.scene.write("callgate.yaml", format!("schema: 1\n{more}targets:\n  host: {{ {target} }}\n"));
    }

    /// Runs a script on the host, which must end well.
    #[track_caller]
    pub(super) fn on(&self, script: &str) -> String {
        done(self.entering().args(["sh", "-c", &format!("set -e\n{script}")]))
    }

    fn entering(&self) -> Command {
        let mut command = tool("ip");
        command.args(["netns", "exec", &self.netns, "env", "-i", &format!("PATH={}", self.path)]);
        command.current_dir(self.scene.path());
        command
    }

    /// The program with settings of the environment before its name and `--state` after its arguments.
    pub(super) fn command(&self, environment: &[&str], arguments: &[&str]) -> Command {
        let mut command = self.entering();
        let state = self.scene.path().join("state");
        command.args(environment).arg(env!("CARGO_BIN_EXE_callgate")).args(arguments);
        command.arg("--state").arg(state);
        command
    }

    pub(super) fn run_with(&self, environment: &[&str], arguments: &[&str]) -> Run {
        let run = Run::of(&self.command(environment, arguments).output().unwrap());
        assert!(!run.stderr.contains("panicked"), "{arguments:?}: {}", run.stderr);
        run
    }

    /// Runs the program with its state folder.
    pub(super) fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(&[], arguments)
    }

    /// The same at [`AT`].
    pub(super) fn at(&self, arguments: &[&str]) -> Run {
        self.run(&[arguments, &["--at", AT]].concat())
    }

    /// Starts an apply, and gives it when it has said that the change is in force.
    pub(super) fn waiting(&self, arguments: &[&str]) -> Waiting {
        let mut command = self.command(&[], &[&["apply"], arguments, &["--at", AT]].concat());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("in force: ") {
            let read = out.read_line(&mut said).unwrap();
            if read == 0 {
                let mut stderr = String::new();
                child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
                panic!("it ended without being in force: {said}{stderr}");
            }
        }
        Waiting { child, out }
    }

    /// Everything that the host's tools list, with handles and counters.
    pub(super) fn rules(&self) -> String {
        let text = self.on(
            "nft -a list ruleset 2>/dev/null; for t in iptables ip6tables; do $t-save -c 2>/dev/null; done; ipset save",
        );
        text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect()
    }

    /// What is not ours in nft, whose tables hold those of iptables too.
    pub(super) fn foreign(&self) -> String {
        let mut left = String::new();
        let mut until: Option<&str> = None;
        for line in self.on("nft -a list ruleset 2>/dev/null").lines() {
            let bare = line.trim_start();
            if until.is_some() {
                if until == Some(line) {
                    until = None;
                }
                continue;
            }
            let ours = ["chain callgate ", "set callgate_v", "chain CALLGATE"];
            if line.starts_with("table inet callgate ") {
                until = Some("}");
            } else if ours.iter().any(|head| bare.starts_with(head)) {
                until = Some("\t}");
            } else if !["jump callgate", "jump CALLGATE"].iter().any(|jump| line.contains(jump))
                && !line.is_empty()
            {
                left.push_str(line);
                left.push('\n');
            }
        }
        left
    }

    /// The names of what waits or was left.
    pub(super) fn state(&self) -> BTreeSet<String> {
        let folder = self.scene.path().join("state");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    /// Waits until nothing is owed any more.
    #[track_caller]
    pub(super) fn settled(&self) {
        self.until(|| !self.state().contains("journal.json"));
    }

    /// Waits until something is so.
    #[track_caller]
    pub(super) fn until(&self, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "it does not come to pass: {:?}", self.state());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = tool("ip").args(["netns", "delete", &self.netns]).status();
    }
}

/// An apply that waits to be confirmed.
pub(super) struct Waiting {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Waiting {
    /// Ends it by force.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What happens to it when its terminal goes.
    pub(super) fn hang_up(mut self) {
        let group = format!("-{}", self.child.id());
        done(tool("kill").args(["-HUP", "--", &group]));
        // Under nohup, whoever is started ignores that a terminal goes.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How it ends.
    pub(super) fn end(mut self) -> Run {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.out.read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Run { status: self.child.wait().unwrap().code().unwrap_or(-1), stdout, stderr }
    }
}
