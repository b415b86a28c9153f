//! What `callgate apply` keeps over a reboot: files in an `/etc` of the test's own, loaded in a network that has no rules yet.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::golden::policy;
use crate::support::{AT, Run, Scene};
use crate::world::{World, can_make_namespaces, have};

const PREFIXES: [&str; 3] = ["20.1.0.1", "20.2.0.0/24", "2a10:a200::/32"];

/// A host whose `/etc` is a folder of the test's own.
struct Machine {
    world: World,
    scene: Scene,
}

impl Machine {
    /// `None`, and said, where it can't be had here.
    fn with(target: &str) -> Option<Self> {
        if !can_make_namespaces() || !have(&["unshare", "mount", "iptables-restore", "ipset"]) {
            return None;
        }
        let machine = Self { world: World::new(&BTreeSet::new()), scene: Scene::new() };
        machine.scene.write("policies/example.yaml", policy(&PREFIXES));
        machine.scene.write("etc/hosts", "127.0.0.1 localhost\n");
        // Where Debian says which of the two iptables is meant.
        machine.world.on_host(&format!("cp -a /etc/alternatives {}/ || true", machine.file("etc").display()));
        machine.scene.write("callgate.yaml", format!("schema: 1\ntargets:\n  host: {target}\n"));
        Some(machine)
    }

    /// A new network, and the same disk.
    fn reboot(&mut self) {
        self.world = World::new(&BTreeSet::new());
    }

    fn file(&self, path: &str) -> PathBuf {
        self.scene.path().join(path)
    }

    /// Runs a script where `/etc` is the machine's own.
    fn shell(&self, script: &str) -> String {
        let folder = self.scene.path().display().to_string();
        self.scene
            .write("script", format!("set -e\nmount --bind {folder}/etc /etc\ncd {folder}\n{script}\n"));
        self.world.on_host(&format!("unshare -m sh {folder}/script"))
    }

    fn callgate(&self, arguments: &str) -> Run {
        let program = env!("CARGO_BIN_EXE_callgate");
        let line = format!("s=0; {program} --at {AT} {arguments} >out 2>err </dev/null || s=$?; echo $s");
        let status = self.shell(&line).trim().parse().unwrap();
        Run { status, stdout: self.scene.read("out"), stderr: self.scene.read("err") }
    }

    #[track_caller]
    fn apply(&self, options: &str) -> Run {
        self.callgate(&format!("apply --state state {options}"))
    }

    /// What the unit starts, one after the other.
    fn start_unit(&self) {
        let unit = self.scene.read("etc/systemd/system/callgate-rules-host.service");
        let commands: String = unit
            .lines()
            .filter_map(|line| line.strip_prefix("ExecStart="))
            .flat_map(|line| [line, "\n"])
            .collect();
        assert!(commands.contains("/etc/callgate/persist/host."), "{unit}");
        self.shell(&commands);
    }

    /// Nothing is left to do, and nothing is twice.
    #[track_caller]
    fn check_as_wanted(&self, jump: &str) {
        let plan = self.callgate("plan --state state");
        assert_eq!(plan.status, 0, "{}{}", plan.stdout, plan.stderr);
        let all = self.shell("nft list ruleset");
        assert_eq!(all.lines().filter(|line| line.trim().ends_with(jump)).count(), jump_count(jump), "{all}");
    }
}

/// Both families of iptables have one.
fn jump_count(jump: &str) -> usize {
    match jump {
        "jump CALLGATE" => 2,
        "jump callgate" => 1,
        _ => 0,
    }
}

const TABLE: &str = "{ kind: nftables, mode: exclusive, persist: unit }";
const CHAIN: &str = "{ kind: nftables, mode: permit, chain: inet filter input, persist: unit }";
const RULES: &str = "{ kind: iptables, mode: exclusive, persist: unit }";
const SETS: &str = "{ kind: iptables, mode: exclusive, matching: ipset, persist: unit }";
const DOCKER: &str = "{ kind: iptables, mode: exclusive, parent: DOCKER-USER, persist: unit }";

/// The table into which mode `permit` goes.
const OWN: &str = "nft 'table inet filter { chain input { type filter hook input priority filter; policy drop; ct state established accept; }; }'";
/// The chain that Docker has, and the port that it publishes: callers of the port are all forwarded.
const DOCKER_USER: &str =
    "for t in iptables ip6tables; do $t -N DOCKER-USER; $t -A FORWARD -j DOCKER-USER; done
iptables -t nat -A PREROUTING -p tcp --dport 443 -j DNAT --to-destination 172.17.0.2:443
ip6tables -t nat -A PREROUTING -p tcp --dport 443 -j DNAT --to-destination [fd00::2]:443";

#[test]
fn a_unit_loads_what_was_applied_and_once_more_changes_nothing() {
    let cases = [
        (TABLE, "true", "jump callbacks-not"),
        (CHAIN, OWN, "jump callgate"),
        (RULES, "true", "jump CALLGATE"),
        (SETS, "true", "jump CALLGATE"),
        (DOCKER, DOCKER_USER, "jump CALLGATE"),
    ];
    for (target, before, jump) in cases {
        let Some(mut machine) = Machine::with(target) else { return };
        machine.shell(before);
        let applied = machine.apply("");
        assert!([0, 5].contains(&applied.status), "{target}: {}{}", applied.stdout, applied.stderr);
        assert!(applied.stdout.contains("once it is kept, for the next reboot"), "{}", applied.stdout);
        machine.reboot();
        machine.shell(before);
        machine.start_unit();
        let once = machine.shell("nft list ruleset; ipset save");
        machine.start_unit();
        assert_eq!(machine.shell("nft list ruleset; ipset save").len(), once.len(), "{target}");
        if target == DOCKER {
            // Callers of the host itself are not its business, which a plan tells.
            assert!(machine.callgate("plan --state state").stdout.contains(": 0 steps"));
        } else {
            machine.check_as_wanted(jump);
        }
    }
}

#[test]
fn a_unit_makes_dockers_chain_where_docker_did_not_yet() {
    let Some(mut machine) = Machine::with(DOCKER) else { return };
    machine.shell(DOCKER_USER);
    let applied = machine.apply("");
    assert!([0, 5].contains(&applied.status), "{}{}", applied.stdout, applied.stderr);
    machine.reboot();
    machine.start_unit();
    machine.start_unit();
    let saved = machine.shell("iptables-save; ip6tables-save");
    assert_eq!(saved.matches("-A DOCKER-USER -j CALLGATE\n").count(), 2, "{saved}");
}

#[test]
fn systemd_takes_the_unit() {
    let Some(machine) = Machine::with(SETS) else { return };
    if !have(&["systemd-analyze"]) {
        return;
    }
    machine.apply("");
    let unit = machine.file("etc/systemd/system/callgate-rules-host.service");
    let link = machine.file("etc/systemd/system/multi-user.target.wants/callgate-rules-host.service");
    assert_eq!(std::fs::read_link(link).unwrap().file_name(), unit.file_name());
    let told =
        machine.world.on_host(&format!("systemd-analyze verify --man=no {} 2>&1 || true", unit.display()));
    let ours: Vec<&str> = told.lines().filter(|line| line.contains("callgate-rules-host")).collect();
    assert!(ours.is_empty(), "{told}");
}

#[test]
fn an_included_file_is_loaded_with_the_hosts_own() {
    for (target, jump) in [
        (TABLE.replace("unit", "nftables.d"), "none"),
        (CHAIN.replace("unit", "nftables.d"), "jump callgate"),
    ] {
        let Some(mut machine) = Machine::with(&target) else { return };
        let own = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\
                   \t\tct state established accept\n\t}\n}\n";
        let own = if jump == "none" { "" } else { own };
        let conf = format!("#!/usr/sbin/nft -f\nflush ruleset\n{own}");
        machine.scene.write("etc/nftables.conf", &conf);
        machine.shell("nft -f /etc/nftables.conf");
        let applied = machine.apply("").expect(1);
        let line = "include \"/etc/nftables.d/callgate-host.nft\"";
        assert!(
            applied.stdout.contains("finding lost-by-reboot") && applied.stdout.contains(line),
            "{}",
            applied.stdout
        );
        assert_eq!(machine.scene.read("etc/nftables.conf"), conf, "it is never edited");
        machine.scene.write("etc/nftables.conf", format!("{conf}{line}\n"));
        machine.apply("").expect(0);
        machine.reboot();
        machine.shell("nft -f /etc/nftables.conf");
        machine.check_as_wanted(jump);
        machine.shell("nft -f /etc/nftables.conf");
        machine.check_as_wanted(jump);
    }
}

/// What iptables-persistent saved, with dynamic rules of others that have changed since.
const SAVED: &str = "# Generated by iptables-save v1.8.9 (nf_tables)\n*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n*filter\n\
    :INPUT DROP [4:240]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:f2b-sshd - [0:0]\n\
    -A INPUT -p tcp -m tcp --dport 22 -j f2b-sshd\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A f2b-sshd -j RETURN\nCOMMIT\n";

#[test]
fn saved_rules_get_our_lines_and_nothing_of_what_is_loaded() {
    let sets = SETS.replace("unit", "iptables-persistent");
    let Some(mut machine) = Machine::with(&sets) else { return };
    let refused = machine.apply("").expect(1);
    assert!(refused.stdout.contains("`/etc/iptables/rules.v4` is not there"), "{}", refused.stdout);
    for file in ["rules.v4", "rules.v6"] {
        machine.scene.write(&format!("etc/iptables/{file}"), SAVED);
    }
    machine
        .scene
        .write("etc/iptables/ipsets", "create f2b hash:ip family inet hashsize 1024 maxelem 65536\n");
    // A ban of today, which its owner makes anew.
    machine.shell(
        "iptables -N f2b-today; iptables -A f2b-today -s 9.9.9.9 -j REJECT; iptables -A INPUT -j f2b-today",
    );
    let written = machine.apply("").expect(0);
    assert!(written.stdout.contains("what a reboot needs was written"), "{}", written.stdout);
    let text = machine.scene.read("etc/iptables/rules.v4");
    assert!(!text.contains("9.9.9.9"), "{text}");
    let others: String = text.split_inclusive('\n').filter(|line| !line.contains("CALLGATE")).collect();
    assert_eq!(others, SAVED);
    assert_eq!(text.matches("-A INPUT -j CALLGATE\n").count(), 1);
    machine.reboot();
    machine.shell(
        "ipset -exist restore </etc/iptables/ipsets\niptables-restore </etc/iptables/rules.v4\nip6tables-restore </etc/iptables/rules.v6",
    );
    machine.check_as_wanted("jump CALLGATE");
    machine.scene.write("policies/example.yaml", policy(&["20.1.0.1", "20.3.0.0/24", "2a10:a200::/32"]));
    machine.apply("").expect(0);
    assert_eq!(machine.scene.read("etc/iptables/rules.v4"), text, "the sets alone differ");
    assert!(machine.scene.read("etc/iptables/ipsets").contains("add callgate-v4 20.3.0.0/24\n"));
}

/// Where the jump moves before rules that block ours, it does in the file as well: a reboot would block them again.
#[test]
fn a_jump_that_moves_does_so_in_the_saved_rules() {
    let Some(mut machine) = Machine::with(&RULES.replace("unit", "iptables-persistent")) else { return };
    for (family, blocks) in [("v4", "20.2.0.0/24"), ("v6", "2a10:a200::/32")] {
        let rules = format!(
            "*filter\n:INPUT ACCEPT [0:0]\n:CALLGATE - [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -s {blocks} -j DROP\n\
             -A INPUT -j CALLGATE\n-A INPUT -p icmp -j ACCEPT\nCOMMIT\n"
        );
        machine.scene.write(
            &format!("etc/iptables/rules.{family}"),
            rules.replace("icmp", if family == "v4" { "icmp" } else { "ipv6-icmp" }),
        );
    }
    let load = "iptables-restore </etc/iptables/rules.v4\nip6tables-restore </etc/iptables/rules.v6";
    machine.shell(load);
    let planned = machine.callgate("plan --state state").expect(1);
    for tool in ["iptables", "ip6tables"] {
        assert!(
            planned.stdout.contains(&format!("move the jump to the head of INPUT ({tool})")),
            "{}",
            planned.stdout
        );
    }
    // Until it is kept, a reboot brings the old rules.
    let old = machine.scene.read("etc/iptables/rules.v4");
    machine.apply("--confirm 60s --no-wait").expect(0);
    assert_eq!(machine.scene.read("etc/iptables/rules.v4"), old);
    machine.callgate("confirm --state state").expect(0);
    let text = machine.scene.read("etc/iptables/rules.v4");
    let first = text.lines().find(|line| line.starts_with("-A INPUT")).unwrap();
    assert_eq!(first, "-A INPUT -j CALLGATE", "{text}");
    let others = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains("CALLGATE")).map(str::to_owned).collect()
    };
    assert_eq!(others(&text), others(&old));
    let again = machine.apply("").expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    machine.reboot();
    machine.shell(load);
    machine.check_as_wanted("jump CALLGATE");
}

#[test]
fn what_is_not_kept_is_not_written_and_what_a_crash_left_out_the_next_apply_writes() {
    let Some(machine) = Machine::with(TABLE) else { return };
    let file = machine.file("etc/callgate/persist/host.nft");
    let waiting = machine.apply("--confirm 60s --no-wait").expect(0);
    assert!(!file.exists(), "{}", waiting.stdout);
    machine.callgate("rollback --state state").expect(0);
    assert!(!file.exists());
    machine.apply("--confirm 60s --no-wait").expect(0);
    machine.callgate("confirm --state state").expect(0);
    let kept = machine.scene.read("etc/callgate/persist/host.nft");
    assert!(kept.contains("20.1.0.1"), "{kept}");

    machine.scene.write("policies/example.yaml", policy(&["20.1.0.1", "20.3.0.0/24", "2a10:a200::/32"]));
    let program = env!("CARGO_BIN_EXE_callgate");
    machine.shell(&format!(
        "CALLGATE_FAULT=keep-removed {program} --at {AT} apply --state state >out 2>err </dev/null || true"
    ));
    assert_eq!(machine.scene.read("etc/callgate/persist/host.nft"), kept);
    let plan = machine.callgate("plan --state state").expect(1);
    assert!(
        plan.stdout.contains("once it is kept, for the next reboot: write /etc/callgate/persist/host.nft"),
        "{}",
        plan.stdout
    );
    let counters = machine.shell("nft -a list ruleset");
    machine.apply("").expect(0);
    assert!(machine.scene.read("etc/callgate/persist/host.nft").contains("20.3.0.0/24"));
    assert_eq!(machine.shell("nft -a list ruleset"), counters, "the rules are left alone");
    let nothing = machine.apply("").expect(0);
    assert!(nothing.stdout.contains("nothing to do"), "{}", nothing.stdout);
}

#[test]
fn a_file_of_somebody_elses_is_left_alone_and_no_setting_is_said() {
    let Some(machine) = Machine::with(TABLE) else { return };
    machine.scene.write("etc/callgate/persist/host.nft", "table ip mine { }\n");
    let run = machine.apply("").expect(1);
    assert!(run.stdout.contains("`/etc/callgate/persist/host.nft` holds what"), "{}", run.stdout);
    assert_eq!(machine.scene.read("etc/callgate/persist/host.nft"), "table ip mine { }\n");
    machine
        .scene
        .write("callgate.yaml", "schema: 1\ntargets:\n  host: { kind: nftables, mode: exclusive }\n");
    let run = machine.apply("").expect(0);
    assert!(
        run.stdout.contains("a reboot loses the rules of target `host`: set `persist: unit`"),
        "{}",
        run.stdout
    );
}
