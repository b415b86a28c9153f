//! Every shape of host: applied, applied again, changed by others, mended, changed by a new policy, rolled back.

use super::bench::{Bench, FIRST, LATER, SHAPES, Shape, policy, shape};
use crate::support::{AT, root};

/// What somebody does to our rules.
struct Harm {
    what: &'static str,
    script: &'static str,
    /// What the plan says of it.
    says: &'static str,
    /// Whether what is left of our rules stays as it is when it is mended.
    kept: bool,
}

const fn harm(what: &'static str, script: &'static str, says: &'static str) -> Harm {
    Harm { what, script, says, kept: true }
}

const fn wreck(what: &'static str, script: &'static str, says: &'static str) -> Harm {
    Harm { what, script, says, kept: false }
}

const TOOK: &str = "opens  13.50.187.51 example/cloud (active): it was in force after the last apply, and somebody took it away";
const STRANGER: &str = "closes 8.8.8.8 (unknown): in no policy: somebody else put it in";

fn harms(shape: &Shape) -> Vec<Harm> {
    let jump_gone = "for t in iptables ip6tables; do $t -D INPUT -j CALLGATE; done";
    let is_set = shape.target.contains("ipset");
    match shape.name {
        "nft-exclusive" | "nft-prerouting" => vec![
            harm("element", "nft delete element inet callgate callbacks_v4 '{ 13.50.187.51 }'", TOOK),
            harm("stranger", "nft add element inet callgate callbacks_v4 '{ 8.8.8.8 }'", STRANGER),
            wreck("flushed", "nft flush chain inet callgate callbacks", "replace table inet callgate"),
            wreck("rule", "nft insert rule inet callgate callbacks ip saddr 8.8.8.8 accept", "replace table"),
            wreck("deleted", "nft delete table inet callgate", "make table inet callgate"),
        ],
        "nft-permit" | "nft-jump-none" => {
            let mut all = vec![
                harm("element", "nft delete element inet filter callgate_v4 '{ 13.50.187.51 }'", TOOK),
                harm("stranger", "nft add element inet filter callgate_v4 '{ 8.8.8.8 }'", STRANGER),
                wreck("flushed", "nft flush chain inet filter callgate", "replace chain callgate"),
            ];
            if shape.name == "nft-permit" {
                let handle = "h=$(nft -a list chain inet filter input | sed -n 's/.*jump callgate # handle //p'); nft delete rule inet filter input handle $h";
                all.push(harm("jump", handle, "jump"));
            }
            all
        }
        _ => {
            let mut all = vec![
                wreck("flushed", "iptables -F CALLGATE", "replace chain CALLGATE"),
                wreck("rule", "ip6tables -A CALLGATE -j ACCEPT", "replace chain CALLGATE"),
            ];
            if is_set {
                all.push(harm("element", "ipset del callgate-v4 13.50.187.51", TOOK));
                all.push(harm("stranger", "ipset add callgate-v4 8.8.8.8", STRANGER));
            } else {
                let first = "iptables -D CALLGATE-ALLOW -s 13.50.187.51/32 -m comment --comment 'example/cloud active (Cloud)' -j ACCEPT";
                all.push(harm("element", first, TOOK));
                all.push(harm("stranger", "iptables -I CALLGATE-ALLOW -s 8.8.8.8 -j ACCEPT", STRANGER));
            }
            if shape.name.starts_with("docker") {
                let gone = "iptables -D DOCKER-USER -j CALLGATE";
                all.push(harm("jump", gone, "put the jump into DOCKER-USER"));
            } else {
                all.push(harm("jump", jump_gone, "put the jump into INPUT"));
            }
            all
        }
    }
}

/// The rules by which others can tell whether something was touched: with handles and counters, without elements.
fn touchable(rules: &str) -> Vec<&str> {
    let is_rule = |line: &&str| line.contains("# handle") || line.contains("] -A");
    rules.lines().filter(is_rule).collect()
}

fn check(shape: &Shape) {
    let Some(bench) = Bench::new(shape) else { return };
    let name = shape.name;
    let others = bench.foreign();

    let planned = bench.at(&["plan"]).expect(1);
    assert!(
        planned.stdout.contains("opens  13.50.187.51 example/cloud (active): first apply here"),
        "{name}"
    );
    assert_eq!(bench.foreign(), others, "{name}: a plan changes nothing");
    let applied = bench.at(&["apply"]).expect(0);
    assert!(applied.stdout.contains("in force and kept: "), "{name}: {}", applied.stdout);
    // A packet that our rules count.
    bench.on("timeout 0.2 bash -c 'echo > /dev/tcp/127.0.0.1/443' 2>/dev/null || true");
    as_wanted(&bench, name);

    for harm in harms(shape) {
        let what = format!("{name}, {}", harm.what);
        let before = bench.rules();
        bench.on(harm.script);
        let harmed = bench.rules();
        assert_ne!(before, harmed, "{what}");
        let planned = bench.at(&["plan"]).expect(1);
        assert!(planned.stdout.contains(harm.says), "{what}: {}", planned.stdout);
        bench.at(&["apply"]).expect(0);
        if harm.kept {
            let (before, mended) = (touchable(&before), bench.rules());
            let stayed = touchable(&harmed).into_iter().filter(|line| before.contains(line));
            for line in stayed {
                assert!(mended.contains(line), "{what}: {line} is gone:\n{mended}");
            }
        }
        as_wanted(&bench, &what);
    }
    if name != "nft-jump-none" {
        assert_eq!(without_base(&bench.foreign()), without_base(&others), "{name}: what is others' stays");
    }
    new_policy(&bench, name);
}

/// iptables makes its table and its built-in chains with the first rule; they stay.
fn without_base(text: &str) -> String {
    let made = |line: &&str| {
        line.starts_with("table ip") && line.contains(" filter ")
            || line.contains("chain INPUT")
            || line.contains("hook input priority filter; policy accept;")
            || matches!(*line, "}" | "\t}")
    };
    text.lines().filter(|line| !made(line)).flat_map(|line| [line, "\n"]).collect()
}

/// All is as wanted, and applying again does nothing at all.
#[track_caller]
pub(super) fn as_wanted(bench: &Bench, what: &str) {
    let before = bench.rules();
    let again = bench.at(&["apply"]).expect(0);
    assert!(again.stdout.contains("nothing to do"), "{what}: {}", again.stdout);
    assert_eq!(bench.rules(), before, "{what}");
    bench.at(&["plan"]).expect(0);
    let path = format!("PATH={}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let diff = bench.on(&format!("env {path} {} diff --at {AT}", env!("CARGO_BIN_EXE_callgate")));
    assert!(diff.contains("as wanted"), "{what}: {diff}");
    assert!(!bench.state().contains("journal.json"), "{what}: {:?}", bench.state());
}

/// One source ends, another is new.
fn new_policy(bench: &Bench, name: &str) {
    let sources = [FIRST, &[("new", "[91.132.170.1, \"2a10:a201::1\"]")]].concat();
    bench.policy(&policy(2, &sources));
    let planned = bench.run(&["plan", "--at", LATER]).expect(1);
    let out = &planned.stdout;
    assert!(
        out.contains("opens  91.132.170.1 example/new (active): new since the last apply"),
        "{name}: {out}"
    );
    assert!(out.contains("closes 51.21.32.255 example/ends (expired): its end was "), "{name}: {out}");
    // Undone, and then kept.
    let old = bench.rules();
    bench.run(&["apply", "--at", LATER, "--confirm", "60s", "--no-wait"]).expect(0);
    assert_ne!(old, bench.rules(), "{name}");
    let back = bench.run(&["rollback"]).expect(0);
    assert!(back.stdout.contains("what was there before is there again"), "{name}: {}", back.stdout);
    bench.policy(&policy(1, FIRST));
    bench.at(&["plan"]).expect(0);
    bench.policy(&policy(2, &sources));
    bench.run(&["apply", "--at", LATER, "--confirm", "60s", "--no-wait"]).expect(0);
    bench.run(&["confirm"]).expect(0);
    let rules = bench.rules();
    assert!(rules.contains("91.132.170.1") && rules.contains("2a10:a201::1"), "{name}: {rules}");
    assert!(!rules.contains("51.21.32.255"), "{name}: {rules}");
    bench.run(&["plan", "--at", LATER]).expect(0);
    let status = bench.run(&["status"]).expect(0);
    assert!(status.stdout.contains(": confirmed at "), "{name}: {}", status.stdout);
}

macro_rules! shapes {
    ($($test:ident: $index:literal,)*) => { $(#[test] fn $test() { check(&SHAPES[$index]); })* };
}

shapes! {
    nft_exclusive: 0,
    nft_prerouting: 1,
    nft_permit: 2,
    nft_with_somebodys_jump: 3,
    iptables_exclusive: 4,
    iptables_permit: 5,
    ipset_exclusive: 6,
    ipset_permit: 7,
    docker_user: 8,
    docker_user_with_sets: 9,
}

/// iptables makes its table and a built-in chain with the first rule.
const BASE: &str = "for t in iptables ip6tables; do $t -I INPUT -j RETURN; $t -D INPUT 1; done";

/// The first apply, undone, leaves nothing behind.
#[test]
fn the_first_apply_undone_leaves_nothing() {
    for shape in &SHAPES {
        let Some(bench) = Bench::new(shape) else { return };
        if shape.target.contains("iptables") {
            bench.on(BASE);
        }
        let before = bench.on("nft list ruleset 2>/dev/null; ipset save");
        bench.at(&["apply", "--confirm", "60s", "--no-wait"]).expect(0);
        assert_ne!(bench.on("nft list ruleset 2>/dev/null; ipset save"), before, "{}", shape.name);
        bench.run(&["rollback"]).expect(0);
        assert_eq!(bench.on("nft list ruleset 2>/dev/null; ipset save"), before, "{}", shape.name);
        let again = bench.run(&["rollback"]).expect(1);
        assert!(again.stderr.contains("nothing to roll back"), "{}", again.stderr);
        bench.run(&["rollback", "--pending"]).expect(0);
    }
}

/// Rules of other programs, as they were captured.
#[test]
fn what_other_programs_keep_is_left_as_it_is() {
    let cases = [
        ("ufw", "iptables-exclusive", "ufw keeps rules here"),
        ("firewalld_iptables", "iptables-exclusive", ""),
        ("firewalld_nftables", "nft-exclusive", "firewalld keeps rules here"),
        ("fail2ban_bans_on_https", "iptables-exclusive", ""),
        ("fail2ban_with_an_ipset", "ipset-exclusive", ""),
        ("fail2ban_nftables", "nft-exclusive", ""),
        ("docker_24_published_port", "nft-prerouting", ""),
        ("docker_28_forward_chains", "nft-prerouting", ""),
    ];
    for (fixture, name, note) in cases {
        let shape = Shape { host: "", ..*shape(name) };
        let Some(bench) = Bench::new(&shape) else { return };
        for (extension, loader) in [
            ("ipset", "ipset -exist restore"),
            ("iptables", "iptables-nft-restore -w"),
            ("ip6tables", "ip6tables-nft-restore -w"),
            ("nft", "nft -f -"),
        ] {
            let path = root().join(format!("tests/fixtures/judge/{fixture}.{extension}"));
            if path.exists() {
                bench.on(&format!("{loader} < {}", path.display()));
            }
        }
        bench.on(BASE);
        // Nobody whom they refuse.
        bench.policy(&policy(1, &[("cloud", "[20.91.170.120/29, \"2a10:a200::/33\"]")]));
        let before = bench.foreign();
        let sets = bench.on("ipset save | grep -v ' callgate-' || true");
        let applied = bench.at(&["apply"]);
        let said = format!("{fixture}: {}{}", applied.stdout, applied.stderr);
        // Of firewalld's zones nobody can tell who gets in where interfaces are not known.
        assert!([0, 5].contains(&applied.status) && said.contains("in force and kept"), "{said}");
        assert!(applied.stdout.contains(note), "{said}");
        assert_eq!(bench.foreign(), before, "{said}");
        assert_eq!(bench.on("ipset save | grep -v ' callgate-' || true"), sets, "{said}");
    }
}
