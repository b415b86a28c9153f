//! Our jump behind rules of others: it moves before them where they decide otherwise, back to where it stood where that is undone,
//! and stays where moving it would not help.

use std::collections::BTreeSet;

use super::bench::{Bench, FIRST, policy, shape};
use super::shapes::as_wanted;
use crate::support::{AT, Scene};
use crate::world::{Place, World, can_make_namespaces, find, have};

/// A host, and what others do there.
struct Host {
    name: &'static str,
    shape: &'static str,
    /// Rules of others before our jump, the last of which blocks an address of ours.
    blocks: &'static str,
    /// Another rule at the head, as a program puts it in that bans somebody.
    ban: &'static str,
    /// The first of the rules of others goes.
    unban: &'static str,
    /// The chain that jumps, as it is read.
    chain: &'static str,
    moves: &'static [&'static str],
}

const SOURCES: &[(&str, &str)] = &[FIRST[0]];

const IN: &str = "for t in iptables ip6tables; do $t -I INPUT 1 -i lo -j ACCEPT; done\n\
    iptables -I INPUT 2 -s 20.91.170.121 -p tcp -m multiport --dports 80,443 -j DROP\n\
    ip6tables -I INPUT 2 -s 2a10:a200::7 -j REJECT\n";
const BAN: &str = "for t in iptables ip6tables; do $t -N f2b 2>/dev/null || true; $t -A f2b -j RETURN; $t -I INPUT 1 -p tcp --dport 443 -j f2b; done\n\
    iptables -I f2b 1 -s 9.9.9.9 -j REJECT\n";
const UNBAN: &str = "for t in iptables ip6tables; do $t -D INPUT -i lo -j ACCEPT; done\n";
const CHAINS: &str = "for t in iptables ip6tables; do $t -S INPUT; done";
const MOVES: &[&str] =
    &["move the jump to the head of INPUT (iptables)", "move the jump to the head of INPUT (ip6tables)"];

/// Both families of iptables, by the chains of packets to the host.
const INPUT: Host = Host {
    name: "iptables",
    shape: "iptables-exclusive",
    blocks: IN,
    ban: BAN,
    unban: UNBAN,
    chain: CHAINS,
    moves: MOVES,
};

const HOSTS: [Host; 6] = [
    INPUT,
    Host { name: "legacy", ..INPUT },
    Host { name: "permit", shape: "iptables-permit", ..INPUT },
    Host { name: "ipset", shape: "ipset-exclusive", ..INPUT },
    Host {
        name: "docker",
        shape: "docker",
        blocks: "iptables -I DOCKER-USER 1 -s 9.9.9.8 -j DROP; iptables -I DOCKER-USER 2 -s 20.91.170.121 -j DROP",
        ban: "iptables -I DOCKER-USER 1 -s 9.9.9.9 -j REJECT",
        unban: "iptables -D DOCKER-USER -s 9.9.9.8 -j DROP",
        chain: "iptables -S DOCKER-USER",
        moves: &["move the jump to the head of DOCKER-USER (iptables)"],
    },
    Host {
        name: "nft",
        shape: "nft-permit",
        blocks: "nft insert rule inet filter input ip saddr 20.91.170.121 counter drop; nft insert rule inet filter input iif lo accept",
        ban: "nft insert rule inet filter input ip saddr 9.9.9.9 reject",
        unban: "h=$(nft -a list chain inet filter input | sed -n 's/.*iif \"lo\" accept # handle //p'); nft delete rule inet filter input handle $h",
        chain: "nft -s list chain inet filter input",
        moves: &["move the jump to chain callgate of table inet filter before all other rules there"],
    },
];

impl Host {
    /// A bench on which all is in force; `None` where it can't be made here.
    fn bench(&self) -> Option<Bench> {
        let mut bench = Bench::new(&super::bench::Shape { host: "", ..*shape(self.shape) })?;
        if self.name == "legacy" {
            if !have(&["xtables-legacy-multi"]) {
                return None;
            }
            let folder = bench.scene.path().join("legacy");
            std::fs::create_dir(&folder).unwrap();
            for tool in ["iptables", "ip6tables"]
                .iter()
                .flat_map(|tool| ["", "-save", "-restore"].map(|end| format!("{tool}{end}")))
            {
                std::os::unix::fs::symlink(find("xtables-legacy-multi").unwrap(), folder.join(tool)).unwrap();
            }
            bench.tools_of(&folder);
        }
        bench.on(shape(self.shape).host);
        // Without a source that ends: plans of the past are not carried out.
        bench.policy(&policy(1, SOURCES));
        bench.at(&["apply"]).expect(0);
        Some(bench)
    }

    fn order(&self, bench: &Bench) -> Vec<String> {
        bench.on(self.chain).lines().map(|line| line.trim().to_owned()).collect()
    }

    /// The rules of others, in their order.
    fn others(&self, bench: &Bench) -> Vec<String> {
        let mut all = self.order(bench);
        all.retain(|line| !is_jump(line));
        all
    }

    /// Whether our jump comes before all others, in each chain.
    fn is_ahead(&self, bench: &Bench) -> bool {
        let all = self.order(bench);
        let is_head = |line: &String| {
            line.starts_with("-P") || line.starts_with("-N") || line.starts_with("type filter")
        };
        all.windows(2).filter(|two| is_head(&two[0])).all(|two| is_jump(&two[1]))
    }
}

fn is_jump(line: &str) -> bool {
    line.ends_with("-j CALLGATE") || line.ends_with("jump callgate")
}

fn check(host: &Host) {
    let Some(bench) = host.bench() else { return };
    let name = host.name;
    bench.on(host.blocks);
    let others = host.others(&bench);
    let foreign = bench.foreign();
    let before = host.order(&bench);
    assert!(!host.is_ahead(&bench), "{name}: {before:?}");

    let planned = bench.at(&["plan", "--out", "plan.json"]).expect(1);
    for words in host.moves {
        assert!(planned.stdout.contains(words), "{name}: {words}: {}", planned.stdout);
    }
    assert!(planned.stdout.contains("  overrules rule "), "{name}: {}", planned.stdout);
    assert!(
        planned.stdout.contains("which decides about 20.91.170.121 (example/cloud) at tcp/443 now (blocked)"),
        "{name}: {}",
        planned.stdout
    );
    let report: serde_json::Value = serde_json::from_str(&bench.scene.read("plan.json")).unwrap();
    assert_eq!(report["overruled"][0]["ranges"][0]["first"], "20.91.170.121", "{name}: {report}");
    assert_eq!(host.order(&bench), before, "{name}: a plan changes nothing");

    // Undone, it stands where it stood, also where others come and go meanwhile.
    bench.at(&["apply", "--confirm", "60s", "--no-wait"]).expect(0);
    assert!(host.is_ahead(&bench), "{name}: {:?}", host.order(&bench));
    assert_eq!(host.others(&bench), others, "{name}");
    assert_eq!(bench.foreign(), foreign, "{name}: with handles and counters");
    bench.run(&["rollback"]).expect(0);
    assert_eq!(host.order(&bench), before, "{name}");
    assert_eq!(bench.foreign(), foreign, "{name}: with handles and counters");
    bench.at(&["apply", "--confirm", "60s", "--no-wait"]).expect(0);
    bench.on(host.ban);
    bench.on(host.unban);
    bench.run(&["rollback"]).expect(0);
    let back = host.order(&bench);
    let neighbour = |order: &[String]| -> Vec<String> {
        order.windows(2).filter(|two| is_jump(&two[1])).map(|two| two[0].clone()).collect()
    };
    assert_eq!(neighbour(&back), neighbour(&before), "{name}: {back:?}");

    // A rule that comes meanwhile is no reason to refuse a saved plan where those who get in are the same.
    bench.at(&["plan", "--out", "plan.json"]).expect(1);
    bench.on(host.ban);
    let others = host.others(&bench);
    bench.run(&["apply", "plan.json"]).expect(0);
    assert!(host.is_ahead(&bench), "{name}: {:?}", host.order(&bench));
    assert_eq!(host.others(&bench), others, "{name}");
    as_wanted(&bench, name);
}

#[test]
fn a_jump_behind_rules_that_block_ours_moves_before_them() {
    HOSTS.iter().for_each(check);
}

/// A host, rules of others before our jump, what the program ends with, and what the plan says.
type Case = (&'static str, &'static str, i32, &'static str);

#[test]
fn a_jump_moves_only_where_that_mends_something() {
    let cases: &[Case] = &[
        // What others accept or refuse before us is no matter where it is nobody of ours, or where nobody is let in.
        (
            "iptables-exclusive",
            "iptables -I INPUT 1 -i lo -j ACCEPT; iptables -I INPUT 2 -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            0,
            "",
        ),
        (
            "iptables-exclusive",
            "iptables -N f2b; iptables -A f2b -s 9.9.9.9 -j DROP; iptables -A f2b -j RETURN; iptables -I INPUT 1 -j f2b",
            0,
            "",
        ),
        ("iptables-permit", "iptables -I INPUT 1 -s 9.9.9.9 -j DROP", 0, ""),
        ("iptables-permit", "iptables -I INPUT 1 -p tcp --dport 443 -j ACCEPT", 0, ""),
        (
            "nft-permit",
            "nft insert rule inet filter input ip saddr 9.9.9.9 drop; nft insert rule inet filter input tcp dport 443 accept",
            0,
            "",
        ),
        // Strangers get in.
        (
            "iptables-exclusive",
            "iptables -I INPUT 1 -p tcp --dport 443 -j ACCEPT",
            1,
            "move the jump to the head of INPUT (iptables)",
        ),
        (
            "iptables-exclusive",
            "ip6tables -N web; ip6tables -A web -p tcp --dport 443 -j ACCEPT; ip6tables -I INPUT 1 -j web",
            1,
            "move the jump to the head of INPUT (ip6tables)",
        ),
        // What nobody can decide about is no reason.
        (
            "iptables-exclusive",
            "iptables -I INPUT 1 -s 20.91.170.121 -m recent --name bad --rcheck -j DROP",
            5,
            "at risk",
        ),
    ];
    for (name, script, status, words) in cases {
        let Some(bench) = Bench::new(shape(name)) else { return };
        bench.at(&["apply"]).expect(0);
        bench.on(script);
        let rules = bench.rules();
        let planned = bench.at(&["plan"]);
        assert_eq!(planned.status, *status, "{name}, {script}: {}{}", planned.stdout, planned.stderr);
        assert!(planned.stdout.contains(words), "{name}, {script}: {}", planned.stdout);
        assert_eq!(
            planned.stdout.contains("move the jump"),
            *status == 1,
            "{name}, {script}: {}",
            planned.stdout
        );
        assert_eq!(
            planned.stdout.matches("move the jump").count(),
            usize::from(*status == 1),
            "one family only"
        );
        bench.at(&["apply"]).expect(if *status == 1 { 0 } else { *status });
        if *status == 1 {
            as_wanted(&bench, script);
        } else {
            assert_eq!(bench.rules(), rules, "{name}, {script}");
        }
    }
}

#[test]
fn a_jump_that_would_not_mend_it_stays_and_the_rule_is_named() {
    let cases = [
        // Another base chain, which an accept of ours does not end.
        (
            "iptables-exclusive",
            "nft 'table inet mine { chain c { type filter hook input priority -5; ip saddr 20.91.170.121 drop\n } \n }'; iptables -I INPUT 1 -i lo -j ACCEPT",
        ),
        (
            "nft-exclusive",
            "nft 'table inet mine { chain c { type filter hook input priority 5; ip saddr 20.91.170.121 drop\n } \n }'",
        ),
        // Somebody else's jump.
        ("nft-jump-none", "nft insert rule inet filter input ip saddr 20.91.170.121 drop"),
    ];
    for (name, script) in cases {
        let Some(bench) = Bench::new(shape(name)) else { return };
        bench.at(&["apply"]).expect(0);
        bench.on(script);
        let rules = bench.rules();
        let planned = bench.at(&["plan"]).expect(1);
        assert!(
            planned.stdout.contains(": 0 steps") && planned.stdout.contains("20.91.170.121 drop"),
            "{name}: {}",
            planned.stdout
        );
        bench.at(&["apply"]).expect(1);
        assert_eq!(bench.rules(), rules, "{name}");
    }
    // Half of it is mended by a move: the plan says so, and is not carried out.
    let Some(bench) = Bench::new(shape("iptables-exclusive")) else { return };
    bench.at(&["apply"]).expect(0);
    bench.on("iptables -I INPUT 1 -s 20.91.170.121 -j DROP\nnft 'table inet mine { chain c { type filter hook input priority 5; ip saddr 20.91.170.122 drop\n } \n }'");
    let rules = bench.rules();
    let run = bench.at(&["apply"]).expect(1);
    assert!(
        run.stdout.contains("move the jump to the head of INPUT (iptables)")
            && run.stdout.contains("afterwards host (exclusive): drift"),
        "{}",
        run.stdout
    );
    assert_eq!(bench.rules(), rules);
}

/// Guardrails are asked about what comes of a move.
#[test]
fn a_move_that_would_cut_a_peer_is_refused() {
    let Some(bench) = Bench::new(shape("iptables-exclusive")) else { return };
    bench.at(&["apply"]).expect(0);
    bench.on("iptables -I INPUT 1 -p tcp --dport 443 -j ACCEPT");
    let rules = bench.rules();
    let peer = "SSH_CONNECTION=203.0.113.5 50000 127.0.0.1 443";
    let run = bench.run_with(&[peer], &["apply", "--at", AT]).expect(3);
    assert!(run.stdout.contains("refused by cuts-peer"), "{}", run.stdout);
    assert_eq!(bench.rules(), rules);
}

/// A second jump of ours goes when the first moves.
#[test]
fn two_jumps_become_one_and_other_changes_go_with_it() {
    for host in [&HOSTS[0], &HOSTS[5]] {
        let Some(bench) = host.bench() else { return };
        bench.on(host.blocks);
        bench.on(if host.name == "nft" {
            "nft add rule inet filter input jump callgate"
        } else {
            "iptables -A INPUT -j CALLGATE"
        });
        let others = host.others(&bench);
        bench.policy(&policy(2, &[("cloud", "[20.91.170.120/29, 91.132.170.1, \"2a10:a200::/32\"]")]));
        bench.at(&["apply", "--allow-removals", "x"]).expect(0);
        let order = host.order(&bench);
        assert_eq!(
            order.iter().filter(|line| is_jump(line)).count(),
            if host.name == "nft" { 1 } else { 2 },
            "{order:?}"
        );
        assert!(host.is_ahead(&bench) && bench.rules().contains("91.132.170.1"), "{order:?}");
        assert_eq!(host.others(&bench), others);
        as_wanted(&bench, host.name);
    }
}

/// A ban that comes between reading and changing does not keep the jump from the head, nor does one that comes later.
#[cfg(feature = "fault-points")]
#[test]
fn a_rule_that_comes_between_reading_and_changing_is_kept() {
    for host in &HOSTS {
        let Some(bench) = host.bench() else { return };
        bench.on(host.blocks);
        let mut command = bench.command(&["CALLGATE_FAULT=apply-step:stop"], &["apply", "--at", AT]);
        let child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        bench.until(|| super::trouble::stopped(pid));
        bench.on(host.ban);
        let others = host.others(&bench);
        bench.on(&format!("kill -CONT {pid}"));
        crate::support::Run::of(&child.wait_with_output().unwrap()).expect(0);
        assert!(host.is_ahead(&bench), "{}: {:?}", host.name, host.order(&bench));
        assert_eq!(host.others(&bench), others, "{}", host.name);
        as_wanted(&bench, host.name);
    }
}

/// Killed at every point, it stands where it stood or before all others, and the next command settles the rest.
#[cfg(feature = "fault-points")]
#[test]
fn a_move_may_end_at_every_point() {
    for host in [&HOSTS[0], &HOSTS[1], &HOSTS[5]] {
        let Some(bench) = host.bench() else { return };
        bench.on(host.blocks);
        let before = host.order(&bench);
        for point in super::faults::points() {
            for (what, command) in [("kill", "apply"), ("error", "apply"), ("kill", "rollback")] {
                let case = format!("{}: CALLGATE_FAULT={point}:{what} {command}", host.name);
                let fault = format!("CALLGATE_FAULT={point}:{what}");
                let applying = ["apply", "--confirm", "60s", "--no-wait", "--at", AT];
                if command == "apply" {
                    bench.run_with(&[&fault], &applying);
                } else {
                    bench.run(&applying).expect(0);
                    bench.run_with(&[&fault], &["rollback"]);
                }
                let jumps = host.order(&bench).iter().filter(|line| is_jump(line)).count();
                assert_eq!(jumps, host.moves.len(), "{case}");
                let again = bench.run(&["rollback"]);
                assert!([0, 1].contains(&again.status), "{case}: {}{}", again.stdout, again.stderr);
                assert_eq!(host.order(&bench), before, "{case}");
                assert!(!bench.state().contains("journal.json"), "{case}");
            }
        }
    }
}

const ALLOWED: [&str; 2] = ["20.91.170.121", "2a10:a200::7"];
const STRANGERS: [&str; 2] = ["8.8.8.8", "2001:4860::8888"];

/// Real connections: those who are blocked get in once the jump has moved, and not any more once it is back; strangers the other
/// way round.
#[test]
fn packets_follow_the_jump() {
    if !can_make_namespaces() || !have(&["iptables", "ipset"]) {
        return;
    }
    for (name, blocks, blocked) in [
        ("iptables-exclusive", IN, &ALLOWED),
        (
            "iptables-exclusive",
            "for t in iptables ip6tables; do $t -I INPUT 1 -p tcp --dport 443 -j ACCEPT; done",
            &STRANGERS,
        ),
        (
            "nft-permit",
            "nft insert rule inet filter input ip saddr 20.91.170.121 drop; nft insert rule inet filter input ip6 saddr 2a10:a200::7 drop",
            &ALLOWED,
        ),
    ] {
        let shape = shape(name);
        let all: BTreeSet<String> =
            ALLOWED.iter().chain(&STRANGERS).map(|&source| source.to_owned()).collect();
        let world = World::new(&all);
        world.on_host(shape.host);
        let _server = world.serve(Place::Host, "443");
        let scene = Scene::new();
        scene.write("callgate.yaml", format!("schema: 1\ntargets:\n  host: {{ {} }}\n", shape.target));
        scene.write(
            "policies/example.yaml",
            policy(1, &[("cloud", "[20.91.170.120/29, \"2a10:a200::/32\"]")]),
        );
        let run = |arguments: &str| {
            let folder = scene.path().display();
            world.on_host(&format!(
                "cd {folder}; {} {arguments} --state state",
                env!("CARGO_BIN_EXE_callgate")
            ))
        };
        let wanted: BTreeSet<String> = ALLOWED.iter().map(|&source| source.to_owned()).collect();
        run(&format!("apply --at {AT}"));
        assert_eq!(world.admitted("443", &all), wanted, "{name}");
        world.on_host(blocks);
        let wrong = world.admitted("443", &all);
        for source in blocked {
            assert_ne!(wrong.contains(*source), wanted.contains(*source), "{name}, {blocks}");
        }
        run(&format!("apply --at {AT} --confirm 60s --no-wait"));
        assert_eq!(world.admitted("443", &all), wanted, "{name}, {blocks}");
        run("rollback");
        assert_eq!(world.admitted("443", &all), wrong, "{name}, {blocks}");
        run(&format!("apply --at {AT}"));
        assert_eq!(world.admitted("443", &all), wanted, "{name}, {blocks}");
    }
}
