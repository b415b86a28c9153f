//! `callgate ci`: all steps of a scheduled run, their one summary and one status; its metrics, and the units that start it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::os::unix::fs::FileTypeExt as _;

use assert_cmd::Command;
use serde_json::Value;

use crate::server::{Server, respond};
use crate::support::{Run, Scene, root};
use crate::world::{World, can_make_namespaces, done, have, tool};

const PAGE: &str = "<!doctype html><title>Callbacks</title><h2>Callback addresses</h2>\
<p>Callbacks come from:</p><ul><li>13.50.187.51</li><li>51.21.32.255</li></ul>";

const SITE: &str = "schema: 1\ntargets:\n  edge: { kind: nftables, mode: exclusive }\n";

/// Rules that let in exactly what the policy says.
const RULES: &str = "\
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ip saddr { 13.50.187.51, 51.21.32.255 } tcp dport 443 accept
	}
}
";

fn policy(url: &str) -> String {
    format!(
        "schema: 1\nprovider: example\nname: Example\nrevision: 1\nservice: {{ protocol: tcp, ports: [443] }}\npages:\n  \
         main: {{ url: \"{url}\", kind: html, section: Callback addresses, primary: true }}\nsources:\n  - id: cloud\n    \
         prefixes: [13.50.187.51, 51.21.32.255]\n    evidence: [{{ page: main, read: 2026-06-02 }}]\n"
    )
}

/// A server of one page.
fn serve(page: &str) -> Server {
    let page = page.to_owned();
    Server::start(move |_, out| respond(out, "200 OK", &[("Content-Type", "text/html")], page.as_bytes()))
}

/// A folder in which every step has something to look at, and finds it as wanted.
fn scene(server: &Server) -> Scene {
    let scene = Scene::new();
    scene.write("policies/example.yaml", policy(&server.url("/main")));
    scene.write("before/policies/example.yaml", policy(&server.url("/main")));
    scene.write("before/callgate.yaml", SITE);
    scene.write("callgate.yaml", SITE);
    scene.write("nft.txt", RULES);
    scene.write("ca.pem", server.authority());
    scene.run(&["render", "--out", "rendered"]).expect(0);
    scene
}

const ALL: &[&str] = &[
    "ci",
    "--base",
    "before",
    "--rendered",
    "rendered",
    "--nft",
    "nft.txt",
    "--ca-file",
    "ca.pem",
    "--recheck",
    "0s",
];

fn run(scene: &Scene, further: &[&str]) -> Run {
    scene.run(&[ALL, further].concat())
}

/// `step: outcome` for each step.
fn told(report: &Value) -> Vec<String> {
    let steps = report["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| format!("{}: {}", step["step"].as_str().unwrap(), step["outcome"].as_str().unwrap()))
        .collect()
}

fn json(scene: &Scene, further: &[&str], status: i32) -> Value {
    let run = run(scene, &[further, &["--format", "json"]].concat()).expect(status);
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn every_step_is_carried_out_in_its_order() {
    let server = serve(PAGE);
    let scene = scene(&server);
    let report = json(&scene, &[], 0);
    assert_eq!(
        told(&report),
        [
            "check: as-wanted",
            "review: as-wanted",
            "render: as-wanted",
            "diff: as-wanted",
            "upstream: as-wanted"
        ]
    );
    assert_eq!(report["outcome"], "as-wanted");
    for part in ["policy", "review", "rendered", "drift", "upstream"] {
        assert!(report[part].is_object(), "{part}");
    }
    assert_eq!(report["policy"]["allowlist"][0]["prefix"], "13.50.187.51/32");
    assert_eq!(server.paths(), ["/main"]);
}

#[test]
fn what_is_not_carried_out_is_said() {
    let server = serve(PAGE);
    let scene = scene(&server);
    let run = scene.run(&["ci", "--skip", "upstream"]).expect(0);
    for words in [
        "check     as wanted",
        "review    skipped       no base was given",
        "render    skipped       no folder of rendered files was given",
        "diff      skipped       no deployed rules were given",
        "upstream  skipped       left out",
        "as wanted: check; skipped: review, render, diff, upstream",
    ] {
        assert!(run.stdout.contains(words), "{words}\n{}", run.stdout);
    }
    assert!(server.paths().is_empty());
    scene.run(&["ci", "--skip", "check"]).expect(2);
}

/// Each step alone: how it may end, what the run makes of it, and what a reader is shown.
#[test]
fn one_step_that_is_not_as_wanted_decides_the_status() {
    let server = serve(PAGE);
    let with = |change: &dyn Fn(&Scene), status: i32, outcome: &str, words: &str| {
        let scene = scene(&server);
        change(&scene);
        let report = json(&scene, &[], status);
        assert!(told(&report).contains(&outcome.to_owned()), "{outcome}: {report:#}");
        for format in ["text", "markdown"] {
            let shown = run(&scene, &["--format", format]).expect(status).stdout;
            assert!(shown.replace('\\', "").contains(words), "{outcome} {format}: {shown}");
        }
    };
    let fewer = |scene: &Scene| {
        drop(scene.write("before/callgate.yaml", format!("{SITE}  web: {{ kind: nginx }}\n")));
    };
    with(&fewer, 1, "review: findings", "target-removed");
    let stale = |scene: &Scene| drop(scene.write("rendered/edge.nft", "# by hand\n"));
    with(&stale, 1, "render: findings", "by hand");
    let blocked = |scene: &Scene| drop(scene.write("nft.txt", RULES.replace(", 51.21.32.255", "")));
    with(&blocked, 1, "diff: findings", "51.21.32.255");
    let limit = RULES.replace("443 accept", "443 limit rate 5/minute accept");
    let open = |scene: &Scene| drop(scene.write("nft.txt", limit.clone()));
    with(&open, 5, "diff: undetermined", "limit");
    let unreadable = |scene: &Scene| drop(scene.write("nft.txt", "table inet {\n"));
    with(&unreadable, 2, "diff: failed", "nft.txt");
    let broken = |scene: &Scene| drop(scene.write("callgate.yaml", SITE.replace("kind", "kin")));
    with(&broken, 2, "check: failed", "kin");
    let base = |scene: &Scene| drop(scene.write("before/callgate.yaml", "schema: 2\n"));
    with(&base, 2, "review: failed", "before");
}

#[test]
fn errors_keep_all_else_from_being_judged() {
    let server = serve(PAGE);
    let scene = scene(&server);
    scene.write(
        "policies/example.yaml",
        policy(&server.url("/main")).replace("13.50.187.51", "13.50.187.51/24"),
    );
    let report = json(&scene, &[], 2);
    assert_eq!(
        told(&report),
        ["check: failed", "review: failed", "render: skipped", "diff: skipped", "upstream: skipped"]
    );
    assert!(report["policy"].is_null());
    assert!(server.paths().is_empty());
    assert!(report["findings"][0]["message"].as_str().unwrap().contains("host bits"), "{report:#}");
}

#[test]
fn what_is_certain_outweighs_what_is_open() {
    let damaged = PAGE.replace("13.50.187.51</li><li>", "13.50.187.51");
    let server = serve(&damaged);
    let scene = scene(&server);
    assert_eq!(told(&json(&scene, &[], 5))[4], "upstream: undetermined");
    scene.write("nft.txt", RULES.replace(", 51.21.32.255", ""));
    let report = json(&scene, &[], 1);
    assert_eq!(report["summary"], "findings: diff; undetermined: upstream; as wanted: check, review, render");
    scene.write("nft.txt", "table inet {\n");
    assert_eq!(json(&scene, &[], 2)["outcome"], "failed");
}

#[test]
fn a_base_that_is_none_fails_its_own_step_only() {
    let server = serve(PAGE);
    let scene = scene(&server);
    let run =
        scene.run(&["ci", "--base", "no-such-revision", "--rendered", "rendered", "--skip", "upstream"]);
    let run = run.expect(2);
    assert!(run.stdout.contains("review    failed"), "{}", run.stdout);
    assert!(run.stdout.contains("render    as wanted"), "{}", run.stdout);
}

#[test]
fn other_forms_are_written_beside() {
    let server = serve(PAGE);
    let scene = scene(&server);
    let out = ["--out", "markdown=out/ci.md", "--out", "json=out/ci.json", "--out", "text=out/ci.txt"];
    let shown = run(&scene, &out).expect(0).stdout;
    assert_eq!(scene.read("out/ci.txt"), shown);
    let report: Value = serde_json::from_str(&scene.read("out/ci.json")).unwrap();
    assert_eq!(report["steps"].as_array().unwrap().len(), 5);
    let markdown = scene.read("out/ci.md");
    assert!(markdown.starts_with("## ✅ callgate: as wanted\n"), "{markdown}");
    assert_eq!(markdown.matches("<details>").count(), markdown.matches("</details>").count());
    run(&scene, &["--out", "pdf=x"]).expect(2);
    run(&scene, &["--out", "json"]).expect(2);
}

/// What takes bytes one after the other is written to, and never replaced by a file.
#[test]
fn a_pipe_and_an_open_file_take_a_report() {
    let scene = Scene::new();
    done(tool("mkfifo").arg(scene.path().join("pipe")));
    let script = "cat pipe > got & \"$0\" ci --skip upstream --at 2026-11-20 --format json --out text=pipe --out markdown=/proc/self/fd/1 \
        --out text=folder/ > all; status=$?; wait; exit $status";
    std::fs::create_dir(scene.path().join("folder")).unwrap();
    let mut command = Command::new("sh");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).current_dir(scene.path());
    let run =
        Run::of(&command.args(["-c", script, env!("CARGO_BIN_EXE_callgate")]).output().unwrap()).expect(2);
    assert!(run.stderr.contains("`folder/` can't be written"), "{}", run.stderr);
    assert!(scene.read("got").starts_with("callgate "), "{}", scene.read("got"));
    assert!(scene.read("all").starts_with("## "), "{}", scene.read("all"));
    assert!(std::fs::metadata(scene.path().join("pipe")).unwrap().file_type().is_fifo());
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let server = serve(PAGE);
    let scene = scene(&server);
    scene.write("nft.txt", RULES.replace(", 51.21.32.255", ""));
    run(&scene, &["--save", "kept"]).expect(1);
    for format in ["text", "markdown", "json"] {
        let all =
            ["ci", "--rendered", "rendered", "--nft", "nft.txt", "--offline", "kept", "--format", format];
        let (first, second) = (scene.run(&all).expect(1), scene.run(&all).expect(1));
        assert_eq!(first.stdout, second.stdout);
    }
}

// Metrics.

/// Reads metrics with Prometheus' own parser: `name label=value … value`, a line a sample. `None` where it is not here.
fn samples(text: &str) -> Option<BTreeSet<String>> {
    const PROGRAM: &str = "import sys
from prometheus_client.parser import text_string_to_metric_families as read
for family in read(sys.stdin.read()):
    assert family.type == 'gauge' and family.documentation, family
    for one in family.samples:
        print(one.name, *(f'{name}={value.encode(\"unicode_escape\").decode()}' for name, value in one.labels.items()), f'{one.value:.0f}')
";
    let python = root().join(".venv/bin/python");
    let here = python.is_file() && {
        let mut probe = tool(python.to_str().unwrap());
        probe.args(["-c", "import prometheus_client"]).output().is_ok_and(|output| output.status.success())
    };
    if !here {
        assert!(std::env::var_os("CI").is_none(), "missing in CI: prometheus_client");
        eprintln!("SKIPPED: prometheus_client is not installed");
        return None;
    }
    let mut command = Command::new(python);
    let output = command.args(["-c", PROGRAM]).write_stdin(text).output().unwrap();
    let run = Run::of(&output).expect(0);
    let lines: Vec<String> = run.stdout.lines().map(str::to_owned).collect();
    let all: BTreeSet<String> = lines.iter().cloned().collect();
    assert_eq!(all.len(), lines.len(), "a sample stands twice:\n{}", run.stdout);
    Some(all)
}

/// The metrics that a run writes to a file.
fn metrics(scene: &Scene, further: &[&str], status: i32) -> String {
    run(scene, &[further, &["--out", "metrics=callgate.prom"]].concat()).expect(status);
    scene.read("callgate.prom")
}

#[test]
fn metrics_tell_what_drifts_and_what_does_not() {
    let server = serve(PAGE);
    let scene = scene(&server);
    scene.write("callgate.yaml", SITE.to_owned() + "service: { ports: [443] }\n");
    scene.write("nft.txt", RULES.replace(", 51.21.32.255", ", 198.51.100.0/24"));
    let text = metrics(&scene, &["--skip", "render"], 1);
    let Some(found) = samples(&text) else { return };
    for wanted in [
        "callgate_drift_addresses scope=target target=edge part=blocked family=v4 port=443 1",
        "callgate_drift_addresses scope=target target=edge part=blocked family=v6 port=443 0",
        "callgate_drift_addresses scope=target target=edge part=foreign family=v4 port=443 256",
        "callgate_drift_addresses scope=target target=edge part=at risk family=v4 port=443 0",
        "callgate_source_state provider=example source=cloud environment=production state=active 1",
        "callgate_source_state provider=example source=cloud environment=production state=grace 0",
        "callgate_page_outcome provider=example page=main outcome=agrees 1",
        "callgate_page_outcome provider=example page=main outcome=drift 0",
        "callgate_step_outcome step=diff outcome=findings 1",
        "callgate_step_outcome step=render outcome=skipped 1",
        "callgate_policy_revision provider=example 1",
        "callgate_allowlist_prefixes family=v4 2",
    ] {
        assert!(found.contains(wanted), "{wanted}\n{text}");
    }
}

#[test]
fn the_last_answer_of_a_step_outlives_runs_without_one() {
    let server = serve(PAGE);
    let scene = scene(&server);
    let last = |text: &str, step: &str| -> Option<i64> {
        let start = format!("callgate_last_success_seconds{{step=\"{step}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&start)).map(|value| value.parse().unwrap())
    };
    let first = metrics(&scene, &[], 0);
    let at = last(&first, "diff").unwrap();
    // A file of long ago, as an earlier run would have left it.
    scene.write("callgate.prom", first.replace(&at.to_string(), "1000000000"));
    scene.write("nft.txt", "table inet {\n");
    let failed = metrics(&scene, &["--skip", "upstream"], 2);
    assert_eq!(last(&failed, "diff"), Some(1_000_000_000));
    assert_eq!(last(&failed, "upstream"), Some(1_000_000_000));
    assert!(last(&failed, "check").unwrap() >= at);
    scene.write("nft.txt", RULES.replace(", 51.21.32.255", ""));
    assert!(last(&metrics(&scene, &[], 1), "diff").unwrap() >= at, "drift is an answer");
    // What stood there is no file of metrics, or of somebody else's making.
    for text in ["", "\u{0}", "callgate_last_success_seconds{step=\"upstream\"} soon\n"] {
        scene.write("callgate.prom", text);
        assert_eq!(last(&metrics(&scene, &["--skip", "upstream"], 1), "upstream"), None);
    }
}

#[test]
fn names_of_others_stay_within_their_labels() {
    let server = serve(PAGE);
    let scene = scene(&server);
    let hostile = "a\\\"} 1\\ncallgate_findings{severity=\\\"error";
    let policy = policy(&server.url("/main")).replace("  main:", &format!("  \"{hostile}\":"));
    scene.write("policies/example.yaml", policy.replace("page: main", &format!("page: \"{hostile}\"")));
    let run = scene.run(&["ci", "--ca-file", "ca.pem", "--recheck", "0s", "--format", "metrics"]).expect(0);
    let Some(found) = samples(&run.stdout) else { return };
    assert_eq!(
        found.iter().filter(|sample| sample.starts_with("callgate_findings ")).count(),
        3,
        "{}",
        run.stdout
    );
    let page = "page=a\"} 1\\ncallgate_findings{severity=\"error outcome=agrees 1";
    assert!(found.iter().any(|sample| sample.contains(page)), "{found:#?}");
}

// The units.

fn unit(name: &str) -> String {
    std::fs::read_to_string(root().join("dist/systemd").join(name)).unwrap()
}

/// The value of a setting of a unit.
fn setting<'u>(unit: &'u str, name: &str) -> &'u str {
    let start = format!("{name}=");
    unit.lines().find_map(|line| line.strip_prefix(start.as_str())).unwrap()
}

#[test]
fn systemd_takes_the_units() {
    if !have(&["systemd-analyze"]) {
        return;
    }
    let scene = Scene::new();
    let program = env!("CARGO_BIN_EXE_callgate");
    let mut files = Vec::new();
    for name in ["callgate-ci.service", "callgate-ci.timer", "callgate-pending.service"] {
        files.push(scene.write(name, unit(name).replace("/usr/bin/callgate", program)));
    }
    let mut verify = tool("systemd-analyze");
    let output = verify.args(["verify", "--man=no"]).args(&files).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let ours: Vec<&str> = told.lines().filter(|line| line.contains("callgate")).collect();
    assert!(ours.is_empty(), "{told}");
    let mut calendar = tool("systemd-analyze");
    done(calendar.args(["calendar", setting(&unit("callgate-ci.timer"), "OnCalendar")]));
}

/// What the unit starts, with the rights that it leaves, on a host with rules and a provider.
#[test]
fn the_unit_finds_the_drift_of_its_host() {
    if !have(&["nft", "iptables-save", "setpriv"]) || !can_make_namespaces() {
        return;
    }
    let server = serve(PAGE);
    let scene = scene(&server);
    let world = World::new(&BTreeSet::new());
    scene.write("load.nft", RULES.replace(", 51.21.32.255", ""));
    let folder = scene.path().display();
    world.on_host(&format!("nft -f {folder}/load.nft"));
    let service = unit("callgate-ci.service");
    let started = setting(&service, "ExecStart")
        .replace("/usr/bin/callgate", env!("CARGO_BIN_EXE_callgate"))
        .replace("/etc/callgate", &folder.to_string())
        .replace("/var/cache/callgate", &format!("{folder}/cache"))
        .replace("/var/lib/prometheus/node-exporter", &folder.to_string());
    assert!(
        !started.contains(" /var") && !started.contains("=/var") && !started.contains(" /etc"),
        "{started}"
    );
    let rights = setting(&service, "CapabilityBoundingSet");
    let kept = rights.to_lowercase().replace("cap_", "+").replace(' ', ",");
    // The pages are out of reach from there, so that step can't say anything.
    let script = format!(
        "status=0\nsetpriv --no-new-privs --bounding-set=-all,{kept} --inh-caps=-all {started} --timeout 1s --recheck 0s || status=$?\necho \"status $status\""
    );
    let told = world.on_host(&script);
    assert!(told.contains("status 1"), "{told}");
    assert!(told.contains("diff      findings"), "{told}");
    let metrics = scene.read("callgate.prom");
    let drift = "callgate_drift_addresses{scope=\"target\",target=\"edge\",part=\"blocked\",family=\"v4\",port=\"443\"} 1";
    assert!(metrics.contains(drift), "{metrics}");
    assert!(
        metrics
            .contains("callgate_page_outcome{provider=\"example\",page=\"main\",outcome=\"unreachable\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("callgate_last_success_seconds{step=\"upstream\"} 0\n"), "{metrics}");
}
