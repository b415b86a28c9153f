//! `diff`: what a host lets in against the policy, from listings in files.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use serde_json::Value;

use crate::admitted::{SERVER, UFW, UFW6};
use crate::support::{Run, Scene};

/// Sources in every state that matters here.
const POLICY: &str = "\
schema: 1
provider: example
name: Example Pay
revision: 3
service: { protocol: tcp, ports: [443] }
pages:
  docs: { url: \"https://example.com/ips\", kind: text }
sources:
  - id: cloud
    prefixes: [20.91.170.120/29]
    lifecycle: { announced: 2025-02-01, valid_from: 2025-03-01 }
    evidence:
      - { page: docs, says: \"Something else.\", read: 2025-02-01 }
      - { page: docs, says: \"We call from 20.91.170.127 and others.\", read: 2026-06-01 }
  - id: legacy
    prefixes: [91.132.170.1]
    lifecycle: { valid_from: 2021-01-01, legacy_since: 2025-03-01, valid_until: unknown, review_by: 2027-01-31 }
    evidence: [{ page: docs, read: 2026-06-01 }]
  - id: gone
    prefixes: [82.115.146.1]
    role: tombstone
    lifecycle: { valid_from: 2019-01-01, withdrawn: 2021-05-31 }
    evidence: [{ page: docs, read: 2026-06-01 }]
  - id: ended
    prefixes: [13.50.187.51]
    lifecycle: { valid_from: 2019-01-01, valid_until: 2026-01-01 }
    evidence: [{ page: docs, read: 2026-06-01 }]
";

/// Rules with a drift of every kind.
const RULES: &str = "\
table inet filter { # handle 1
	chain input { # handle 2
		type filter hook input priority filter; policy drop;
		ct state established,related accept # handle 3
		ip saddr { 20.91.170.120-20.91.170.126, 82.115.146.1, 13.50.187.51 } tcp dport 443 accept # handle 4
		ip saddr 91.132.170.1 tcp dport 443 limit rate 5/minute accept # handle 5
		ip saddr 198.51.100.7 accept # handle 6
		ip saddr 198.51.100.8 tcp dport 443 limit rate 5/minute accept # handle 7
	}
}
";

fn scene(targets: &str) -> Scene {
    let scene = Scene::new();
    scene.write("policies/example.yaml", POLICY);
    scene.write("callgate.yaml", format!("schema: 1\ntargets:\n{targets}"));
    scene.write("nft.txt", RULES);
    scene
}

const EXCLUSIVE: &str = "  edge: { kind: nftables, mode: exclusive }\n";
const PERMIT: &str = "  host: { kind: nftables, mode: permit, chain: inet filter input }\n";

fn diff(scene: &Scene, options: &[&str]) -> Run {
    scene.run(&[&["diff", "--nft", "nft.txt"], options].concat())
}

fn json(scene: &Scene, status: i32) -> Value {
    serde_json::from_str(&diff(scene, &["--format", "json"]).expect(status).stdout).unwrap()
}

/// The part, the first range and the state of each source.
fn told(report: &Value) -> Vec<String> {
    let of_one = |one: &Value| {
        let states: Vec<&str> = one["sources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|source| source["state"].as_str().unwrap())
            .collect();
        let range = &one["ranges"][0];
        format!(
            "{} {}-{} {}",
            one["part"].as_str().unwrap(),
            range["first"].as_str().unwrap(),
            range["last"].as_str().unwrap(),
            states.join(",")
        )
    };
    report["targets"][0]["differences"].as_array().unwrap().iter().map(of_one).collect()
}

#[test]
fn exclusive_tells_all_four_parts_with_source_and_state() {
    let report = json(&scene(EXCLUSIVE), 1);
    assert_eq!(report["targets"][0]["outcome"], "drift");
    assert_eq!(
        told(&report),
        [
            "blocked 20.91.170.127-20.91.170.127 active",
            "foreign 13.50.187.51-13.50.187.51 expired: its end was 2026-01-01",
            "foreign 82.115.146.1-82.115.146.1 withdrawn",
            "foreign 198.51.100.7-198.51.100.7 ",
            "at risk 91.132.170.1-91.132.170.1 grace",
            "possibly foreign 198.51.100.8-198.51.100.8 ",
        ]
    );
}

#[test]
fn permit_tells_what_is_refused_and_at_risk_only() {
    let report = json(&scene(PERMIT), 1);
    assert_eq!(
        told(&report),
        ["blocked 20.91.170.127-20.91.170.127 active", "at risk 91.132.170.1-91.132.170.1 grace"]
    );
}

#[test]
fn a_difference_tells_rule_change_and_what_the_policy_knows() {
    let report = json(&scene(PERMIT), 1);
    let one = &report["targets"][0]["differences"][0];
    assert_eq!(one["port"], 443);
    assert_eq!(one["example"], "20.91.170.127");
    assert_eq!(one["rule"]["title"], "the policy of chain `input` (table inet filter)");
    assert_eq!(one["change"], "nft 'add rule inet filter input ip saddr 20.91.170.127 tcp dport 443 accept'");
    assert_eq!(one["lasting"], Value::Null);
    let source = &one["sources"][0];
    assert_eq!(source["provider"], "example");
    assert_eq!(source["source"], "cloud");
    assert_eq!(source["instants"][0]["what"], "announced");
    assert_eq!(source["instants"][0]["at"], "2025-02-01");
    // Of two pieces, the one that names the address.
    assert_eq!(source["evidence"]["says"], "We call from 20.91.170.127 and others.");
    assert_eq!(source["evidence"]["url"], "https://example.com/ips");
    let risk = &report["targets"][0]["differences"][1];
    assert_eq!(risk["why"][0], "rate limit");
    assert_eq!(risk["rule"]["handle"], "5");
}

#[test]
fn the_text_says_everything_at_a_glance() {
    let run = diff(&scene(PERMIT), &[]).expect(1);
    assert_eq!(
        run.stdout,
        "\
What is deployed against the policy, at 2026-11-20T12:00:00Z
read from: nft.txt

host (nftables, permit): drift (1 blocked, 1 at risk)
  blocked at tcp/443: 20.91.170.127
    source    example/cloud (active)
    since     announced 2025-02-01, valid from 2025-03-01
    provider  \"We call from 20.91.170.127 and others.\"
              https://example.com/ips, read 2026-06-01
    rule      the policy of chain `input` (table inet filter), nft.txt:2
    change    nft 'add rule inet filter input ip saddr 20.91.170.127 tcp dport 443 accept'
  at risk at tcp/443: 91.132.170.1
    source    example/legacy (grace)
    since     valid from 2021-01-01, legacy since 2025-03-01, valid until unknown
    provider  https://example.com/ips, read 2026-06-01
    rule      rule 3 of chain `input` (table inet filter), handle 5, nft.txt:6
              ip saddr 91.132.170.1 tcp dport 443 limit rate 5/minute accept
    undecided rate limit
    change    find out about what is undecided, or replace that rule by one that names addresses

Nothing was changed. A change is for the running rules: make it where they are loaded from as well.
"
    );
    assert_eq!(run.stderr, "");
}

/// A host whose ufw refuses what the policy wants.
fn behind_ufw() -> Scene {
    let scene = scene("  host: { kind: iptables, mode: permit }\n");
    let rules = UFW.replace("51.21.0.0/16", "20.91.170.0/24").replace("-s 20.91.170.120/29", "-s 9.9.9.9/32");
    scene.write("v4.txt", rules.replace("91.132.170.1/32", "8.8.8.8/32"));
    scene.write("v6.txt", UFW6);
    scene
}

#[test]
fn rules_of_ufw_are_mended_with_ufw_as_well() {
    let scene = behind_ufw();
    let text = scene.run(&["diff", "--iptables", "v4.txt", "--ip6tables", "v6.txt"]).expect(1).stdout;
    for line in [
        "    rule      rule 3 of chain `ufw-user-input` (table ip filter), v4.txt:14\n",
        "    change    iptables -I ufw-user-input 3 -s 20.91.170.120/29 -p tcp --dport 443 -j ACCEPT\n",
        "    to stay   ufw prepend allow proto tcp from 20.91.170.120/29 to any port 443\n",
        // What the policy of INPUT refuses has passed ufw's chains.
        "    to stay   ufw prepend allow proto tcp from 91.132.170.1 to any port 443\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn one_address_is_told_its_rule_and_the_exact_change() {
    let scene = behind_ufw();
    let explain = |address: &str, status| {
        scene
            .run(&["explain", address, "--iptables", "v4.txt", "--ip6tables", "v6.txt"])
            .expect(status)
            .stdout
    };
    let text = explain("20.91.170.121", 1);
    for line in [
        "  tcp/443      blocked by the host layer\n",
        "drop         rule 3 of chain `ufw-user-input` (table ip filter), v4.txt:14\n",
        "    change         iptables -I ufw-user-input 3 -s 20.91.170.121 -p tcp --dport 443 -j ACCEPT\n",
        "    to stay        ufw prepend allow proto tcp from 20.91.170.121 to any port 443\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    // Whom nobody wants is refused as he should be: nothing has to be changed.
    assert!(!explain("20.91.170.99", 0).contains("    change"));
}

#[test]
fn statuses_are_as_documented() {
    let scene = scene(PERMIT);
    let wanted = RULES.replace("20.91.170.126", "20.91.170.127");
    scene.write("nft.txt", &wanted);
    let run = diff(&scene, &[]).expect(5);
    assert!(run.stdout.contains("host (nftables, permit): undetermined (1 at risk)"), "{}", run.stdout);
    assert!(run.stderr.contains("undetermined"), "{}", run.stderr);
    scene.write("nft.txt", wanted.replacen("limit rate 5/minute ", "", 1));
    let run = diff(&scene, &[]).expect(0);
    assert!(run.stdout.ends_with("\nhost (nftables, permit): as wanted\n"), "{}", run.stdout);
    scene.write("nft.txt", &wanted[..wanted.len() - 3]);
    diff(&scene, &[]).expect(2);
    scene.write("policies/example.yaml", POLICY.replace("20.91.170.120/29", "20.91.170.121/29"));
    let run = diff(&scene, &[]).expect(2);
    assert!(run.stderr.contains("host-bits"), "{}", run.stderr);
}

#[test]
fn a_finding_is_status_1_even_without_drift() {
    let scene = scene(PERMIT);
    let rules = RULES.replace("inet filter", "ip filter").replace("20.91.170.126", "20.91.170.127");
    scene.write("nft.txt", rules.replacen("limit rate 5/minute ", "", 1));
    scene.write(
        "callgate.yaml",
        "schema: 1\ntargets:\n  host: { kind: nftables, mode: permit, chain: ip filter input }\n",
    );
    let run = diff(&scene, &[]).expect(1);
    assert!(run.stdout.contains("\nFindings\n  family-open: IPv6 is open"), "{}", run.stdout);
}

#[test]
fn targets_of_other_kinds_are_named_as_not_compared() {
    let both = scene(&format!("  web: {{ kind: nginx }}\n{PERMIT}"));
    let report = json(&both, 1);
    assert_eq!(report["skipped"][0]["target"], "web");
    let text = diff(&both, &[]).expect(1).stdout;
    assert!(text.contains("web was not compared: no nginx configuration was read: give `--path`"), "{text}");
    let only = diff(&both, &["--target", "web"]).expect(2);
    assert!(only.stderr.contains("nothing was compared"), "{}", only.stderr);
    diff(&both, &["--target", "none"]).expect(2);
}

#[test]
fn the_instant_decides_what_is_wanted() {
    let scene = scene(PERMIT);
    let run = scene.run_now(&["diff", "--nft", "nft.txt", "--at", "2025-01-15"]);
    // The cloud was not announced yet, and the address that has ended was wanted.
    assert!(!run.stdout.contains("example/cloud"), "{}", run.stdout);
    assert_eq!(run.status, 5, "{}", run.stdout);
}

#[test]
fn the_artifact_itself_is_no_drift_and_its_age_is_told() {
    let scene = scene(EXCLUSIVE);
    scene.run(&["render", "--out", "rendered"]).expect(0);
    let artifact = scene.read("rendered/edge.nft");
    // The table as nft lists it: without the lines that make and delete it.
    let table: String = artifact
        .split("\ntable inet callgate {")
        .nth(1)
        .map(|rest| format!("table inet callgate {{{rest}"))
        .unwrap();
    let table: String = table
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect();
    scene.write("nft.txt", &table);
    let run = diff(&scene, &[]);
    assert!(run.stdout.contains("edge (nftables, exclusive): as wanted"), "{}{}", run.stdout, run.stderr);
    scene.write("nft.txt", table.replace("91.132.170.1", "91.132.170.9"));
    let run = diff(&scene, &[]).expect(1);
    assert!(run.stdout.contains("callgate render --target edge"), "{}", run.stdout);
    assert!(run.stdout.contains("---- text of edge, for reading only"), "{}", run.stdout);
    scene.write("nft.txt", table.replace("91.132.170.1", "91.132.170.9 # \u{1b}[2J\u{202e}"));
    for form in ["text", "markdown"] {
        let run = diff(&scene, &["--format", form]);
        assert!(run.stdout.contains("91.132.170.9 #  [2J "), "{}", run.stdout);
        assert!(!run.stdout.contains(['\u{1b}', '\u{202e}']), "{}", run.stdout);
    }
}

#[test]
fn markdown_is_a_table_that_text_of_rules_can_not_break() {
    let scene = scene(PERMIT);
    let run = diff(&scene, &["--format", "markdown"]).expect(1);
    assert!(
        run.stdout.contains("\n| part | port | addresses | source | rule | change |\n"),
        "{}",
        run.stdout
    );
    let row = run.stdout.lines().find(|line| line.starts_with("| blocked |")).unwrap();
    assert!(row.contains("example/cloud \\(active\\), announced 2025-02-01"), "{row}");
    assert!(row.contains("`nft 'add rule inet filter input"), "{row}");
    let accept = "ip saddr { 20.91.170.120/29, 91.132.170.1 } tcp dport 443 accept";
    scene.write("nft.txt", SERVER.replace(accept, "ip saddr 20.91.170.0/24 drop comment \"a|b`c\""));
    let run = diff(&scene, &["--format", "markdown"]).expect(1);
    for row in run.stdout.lines().filter(|line| line.starts_with("| ")) {
        let bars = row.matches('|').count() - row.matches("\\|").count();
        assert_eq!(bars, 7, "{row}");
    }
    assert!(run.stdout.contains("drop comment \"a\\|b`c\"`` |"), "{}", run.stdout);
}

#[test]
fn the_same_listings_give_the_same_bytes() {
    let scene = scene(EXCLUSIVE);
    for form in ["text", "json", "markdown"] {
        let first = diff(&scene, &["--format", form]).stdout;
        assert_eq!(first, diff(&scene, &["--format", form]).stdout);
    }
}
