//! A host in a namespace whose rules are made, dumped and taken away by the real tools. No packet moves here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use callgate::prefix::{Prefix, PrefixSet};
use serde_json::Value;

use crate::support::{AT, Run, Scene, root};
use crate::world::{can_make_namespaces, done, have, tool};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Which machinery iptables' rules go to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Backend {
    Nft,
    Legacy,
}

/// First and last addresses.
pub(crate) type Ranges = Vec<(IpAddr, IpAddr)>;

/// The host: it has the interfaces `up0` and `up1`, to callers, and `docker0`, to a container.
pub(crate) struct Lab {
    name: String,
    backend: Backend,
}

impl Lab {
    /// `None` where namespaces or tools are missing, which is said.
    pub(crate) fn new(backend: Backend) -> Option<Self> {
        let tools = ["iptables-nft-restore", "iptables-legacy-restore", "ipset"];
        if !can_make_namespaces() || !have(&tools) {
            return None;
        }
        let name = format!("cg-law-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        done(tool("ip").args(["netns", "add", &name]));
        let lab = Self { name, backend };
        lab.shell(
            "for link in up0 up1 docker0; do ip link add $link type veth peer name far-$link; ip link set $link up; done\n\
             ip link set lo up\n\
             ip addr add 20.0.0.1/24 dev up0; ip addr add 2a00:1::1/64 dev up0 nodad\n\
             ip addr add 20.0.1.1/24 dev up1; ip addr add 2a00:2::1/64 dev up1 nodad\n\
             ip addr add 172.17.0.1/16 dev docker0; ip addr add fd00:17::1/64 dev docker0 nodad\n",
        );
        Some(lab)
    }

    /// A command on the host.
    fn enter(&self, words: &[&str]) -> Command {
        let mut command = tool("ip");
        command.args(["netns", "exec", &self.name]).args(words);
        command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
        let (four, six) = match self.backend {
            Backend::Nft => ("iptables-nft", "ip6tables-nft"),
            Backend::Legacy => ("iptables-legacy", "ip6tables-legacy"),
        };
        command.env("I4", four).env("I6", six);
        command
    }

    /// Runs a script on the host, where `$I4` and `$I6` are iptables; it must end well.
    #[track_caller]
    pub(crate) fn shell(&self, script: &str) -> String {
        done(self.enter(&["sh", "-ec", script]).current_dir(root()))
    }

    /// Takes every rule and set away, and gives the host these.
    #[track_caller]
    pub(crate) fn reset(&self, rules: &str) {
        self.shell(&format!("sh tests/it/judge/clear.sh\n{rules}"));
    }

    /// Loads a folder of artifacts as their heads say.
    #[track_caller]
    pub(crate) fn load(&self, folder: &Path) {
        self.shell(&format!(
            "cd {}\n\
             for f in *.ipset; do [ ! -e $f ] || ipset -exist restore -file $f; done\n\
             for f in *.nft; do [ ! -e $f ] || nft -f $f; done\n\
             for f in *.v4.rules; do [ ! -e $f ] || $I4-restore --noflush <$f; done\n\
             for f in *.v6.rules; do [ ! -e $f ] || $I6-restore --noflush <$f; done\n",
            folder.display()
        ));
    }

    /// Dumps the host into the scene, and gives each way to show the dumps, by its name.
    #[track_caller]
    pub(crate) fn views(&self, scene: &Scene) -> Vec<(&'static str, Vec<String>)> {
        let folder = scene.path().join("dumps");
        let dumps = root().join("tests/it/judge/dumps.sh");
        self.shell(&format!(
            "rm -rf {folder}; mkdir {folder}; cd {folder}; sh {dumps}",
            folder = folder.display(),
            dumps = dumps.display()
        ));
        let tables = ["iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy"];
        let view = |nft: &[&str]| {
            let mut words = Vec::new();
            for name in nft.iter().chain(&tables).chain(&["ipset", "addresses"]) {
                if folder.join(name).exists() {
                    let option = name.trim_end_matches("-legacy");
                    words.extend([format!("--{option}"), format!("dumps/{name}")]);
                }
            }
            words
        };
        let mut views = vec![
            ("nft's text", view(&["nft"])),
            ("nft's JSON", view(&["nft-json"])),
            ("nft's text and JSON", view(&["nft", "nft-json"])),
        ];
        // Only nft shows nft's own tables.
        if !std::fs::read_to_string(folder.join("nft")).is_ok_and(|text| text.contains("table inet")) {
            views.push(("iptables alone", view(&[])));
        }
        views
    }

    /// Runs `callgate` in the scene's folder on the host itself.
    pub(crate) fn run(&self, scene: &Scene, arguments: &[&str]) -> Run {
        let mut words = vec!["env", "-i"];
        let path = format!("PATH={}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        words.extend([path.as_str(), env!("CARGO_BIN_EXE_callgate")]);
        words.extend(arguments);
        words.extend(["--at", AT]);
        Run::of(&self.enter(&words).current_dir(scene.path()).output().unwrap())
    }

    /// What `callgate diff` says of the host itself.
    #[track_caller]
    pub(crate) fn diff(&self, scene: &Scene) -> Diff {
        Diff::of(&self.run(scene, &["diff", "--format", "json"]))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = tool("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// A report of `callgate diff` about one target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Diff {
    pub(crate) status: i32,
    pub(crate) outcome: String,
    pub(crate) items: Vec<Item>,
    /// Codes of findings.
    pub(crate) findings: BTreeSet<String>,
}

/// A difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Item {
    pub(crate) part: String,
    pub(crate) ranges: Ranges,
    pub(crate) sources: Vec<String>,
    pub(crate) chain: String,
    /// The deciding rule's text; empty for a policy.
    pub(crate) rule: String,
    pub(crate) change: String,
}

impl Diff {
    #[track_caller]
    pub(crate) fn of(run: &Run) -> Self {
        assert!([0, 1, 5].contains(&run.status), "ended with {}: {}", run.status, run.stderr);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let target = &report["targets"][0];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let item = |one: &Value| Item {
            part: word(&one["part"]),
            ranges: ranges(&one["ranges"]),
            sources: list(&one["sources"]).iter().map(|source| word(&source["source"])).collect(),
            chain: word(&one["rule"]["chain"]),
            rule: word(&one["rule"]["text"]),
            change: word(&one["change"]),
        };
        Self {
            status: run.status,
            outcome: word(&target["outcome"]),
            items: list(&target["differences"]).iter().map(item).collect(),
            findings: list(&report["findings"]).iter().map(|found| word(&found["code"])).collect(),
        }
    }

    /// The same without what each listing words or numbers in its own way.
    pub(crate) fn plain(&self) -> Self {
        let plain = |item: &Item| Item { rule: String::new(), change: String::new(), ..item.clone() };
        Self { items: self.items.iter().map(plain).collect(), ..self.clone() }
    }

    /// What a person reads of it.
    pub(crate) fn shown(&self) -> String {
        let mut text = format!("{} (status {}), findings {:?}\n", self.outcome, self.status, self.findings);
        for item in &self.items {
            let _ = writeln!(text, "  {item:?}");
        }
        text
    }

    /// The addresses of a part.
    pub(crate) fn part(&self, part: &str) -> Ranges {
        let of_part = self.items.iter().filter(|item| item.part == part);
        joined(of_part.flat_map(|item| item.ranges.clone()))
    }
}

/// Ranges of a report.
pub(crate) fn ranges(value: &Value) -> Ranges {
    let address = |value: &Value| value.as_str().unwrap().parse::<IpAddr>().unwrap();
    let listed = value.as_array().unwrap();
    listed.iter().map(|range| (address(&range["first"]), address(&range["last"]))).collect()
}

/// Ranges in order, neighbours joined.
pub(crate) fn joined(all: impl IntoIterator<Item = (IpAddr, IpAddr)>) -> Ranges {
    let all = all.into_iter().map(|(first, last)| PrefixSet::between(first, last));
    all.fold(PrefixSet::empty(), |set, one| set.union(&one)).ranges().collect()
}

/// The addresses of prefixes.
pub(crate) fn covered<T: AsRef<str>>(prefixes: &[T]) -> PrefixSet {
    prefixes.iter().map(|prefix| prefix.as_ref().parse::<Prefix>().unwrap()).collect()
}

/// What `callgate admitted` says: surely and possibly admitted sources, and the report itself.
#[track_caller]
pub(crate) fn admitted(scene: &Scene, view: &[String], more: &[&str]) -> (Ranges, Ranges, String) {
    let mut words = vec!["admitted", "--port", "443", "--format", "json"];
    words.extend(view.iter().map(String::as_str));
    words.extend(more);
    let run = scene.run(&words);
    assert!([0, 1, 5].contains(&run.status), "{words:?} ended with {}: {}", run.status, run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let both = |which: &str| [ranges(&report["v4"][which]), ranges(&report["v6"][which])].concat();
    (both("surely"), both("possibly"), run.stdout)
}

/// What `callgate diff` says of dumps.
#[track_caller]
pub(crate) fn diff(scene: &Scene, view: &[String]) -> (Diff, String) {
    let mut words = vec!["diff", "--format", "json"];
    words.extend(view.iter().map(String::as_str));
    let run = scene.run(&words);
    (Diff::of(&run), run.stdout)
}
