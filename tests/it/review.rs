//! `callgate review`: changes as a pull request brings them, in repositories made by the real git.
//!
//! Golden reports are in `tests/golden-review/<case>`; `UPDATE_EXPECTED=1` writes them. Read the difference.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::PathBuf;

use callgate::diagnostic::Code;
use callgate::review::concern::Kind;
use serde_json::Value;

use crate::check::Repository;
use crate::cli::recorded;
use crate::support::{AT, Run, Scene, root};

/// A good policy: a bank's address, a network, a tombstone.
const POLICY: &str = r#"schema: 1
provider: resurs
name: Resurs Bank
revision: 1
service: { protocol: tcp, ports: [443] }
pages:
  faq: { url: "https://developers.resurs.com/faq/", kind: html }
sources:
  - id: bank
    prefixes: [192.121.110.100]
    hosting: owner
    evidence: [{ page: faq, section: Callbacks, says: "192.121.110.100 (Resurs)", read: 2026-06-02 }]
  - id: range
    prefixes: [20.91.170.120/29]
    hosting: dedicated
    evidence: [{ page: faq, says: 20.91.170.120 to 127, read: 2026-06-02 }]
  - id: gone
    prefixes: [13.50.187.9]
    role: tombstone
    lifecycle: { valid_from: 2024-01-01, withdrawn: 2025-01-01 }
    evidence: [{ page: faq, says: 13.50.187.9, read: 2024-06-02 }]
"#;

/// One more source, with words of its own, that begins later.
const LATER: &str = r#"  - id: new-range
    prefixes: [20.91.171.8/29]
    hosting: dedicated
    lifecycle: { announced: 2026-12-01, valid_from: 2027-01-01T12:00:00Z }
    evidence: [{ page: faq, section: News, says: "new from January: 20.91.171.8 to 15", read: 2026-11-20 }]
"#;

const SITE: &str = "schema: 1\ntargets:\n  web: { kind: nginx }\n  cloud: { kind: aws-security-group }\n";

/// A repository with the policy and a site.
fn repository() -> Repository {
    Repository::new(&[("policies/resurs.yaml", POLICY), ("callgate.yaml", SITE)])
}

/// The policy with its revision raised and these changes made, each of which must find its text.
fn changed(changes: &[(&str, &str)]) -> String {
    let mut policy = POLICY.replace("revision: 1", "revision: 2");
    for (from, to) in changes {
        assert!(policy.contains(from), "{from}");
        policy = policy.replace(from, to);
    }
    policy
}

fn review(scene: &Scene, more: &[&str]) -> Run {
    scene.run(&[&["review", "--base", "HEAD"], more].concat())
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", run.stdout, run.stderr))
}

/// Reviews as JSON, which must end with this status and fit the schema.
#[track_caller]
fn report(scene: &Scene, status: i32) -> Value {
    let report = json(&review(scene, &["--format", "json"]).expect(status));
    let schema = std::fs::read_to_string(root().join("docs/schema/review.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let faults: Vec<String> = validator.iter_errors(&report).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    report
}

/// The codes of a list of findings, in order.
fn codes<'a>(report: &'a Value, list: &str) -> Vec<&'a str> {
    report[list].as_array().unwrap().iter().map(|found| found["code"].as_str().unwrap()).collect()
}

/// What moves, in a line each.
fn moves(report: &Value) -> Vec<String> {
    let all = report["moves"].as_array().unwrap().iter().map(|one| {
        let until = one.get("until").map_or(String::new(), |until| {
            format!(" until {} {}", until["at"].as_str().unwrap(), until["then"].as_str().unwrap())
        });
        let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
        let prefixes: Vec<&str> =
            one["prefixes"].as_array().unwrap().iter().map(|prefix| prefix.as_str().unwrap()).collect();
        let from = text("from");
        let from = if from == AT { "now" } else { &from };
        format!(
            "{} {from}{until}: {} {} {}",
            text("effect"),
            prefixes.join(","),
            text("source"),
            text("state")
        )
    });
    all.collect()
}

// What opens and closes.

#[test]
fn nothing_changed_is_clear() {
    let report = report(&repository().scene, 0);
    assert_eq!(report["verdict"], "clear");
    assert_eq!(report["summary"], "opens nothing, closes nothing");
    for list in ["moves", "concerns", "findings", "elsewhere", "lifecycles"] {
        assert_eq!(report[list], serde_json::json!([]), "{list}");
    }
    assert!(
        report["targets"].as_array().unwrap().iter().all(|target| target["files"] == serde_json::json!([]))
    );
}

#[test]
fn a_source_with_evidence_that_begins_later_is_clear() {
    let repository = repository();
    repository.scene.write("policies/resurs.yaml", changed(&[]) + LATER);
    let report = report(&repository.scene, 0);
    assert_eq!(moves(&report), ["opens 2026-12-01T00:00:00Z: 20.91.171.8/29 new-range announced"]);
    assert_eq!(report["summary"], "opens 1 prefix later, closes nothing");
    let evidence = &report["moves"][0]["evidence"][0];
    assert_eq!(evidence["url"], "https://developers.resurs.com/faq/");
    assert_eq!((&evidence["section"], &evidence["read"]), (&"News".into(), &"2026-11-20".into()));
    assert_eq!(report["moves"][0]["place"]["file"], "policies/resurs.yaml");
    assert_eq!(report["moves"][0]["place"]["line"], 22);
    assert_eq!(report["lifecycles"][0]["states"].as_array().unwrap().len(), 2);
}

#[test]
fn what_lies_ahead_is_told_from_when_and_until_when() {
    let with = |lifecycle: &str| {
        let bank = "    hosting: owner\n";
        changed(&[(bank, &format!("{bank}    lifecycle: {{ {lifecycle} }}\n"))])
    };
    let base = with("valid_from: 2024-01-01, valid_until: 2027-06-30").replace("revision: 2", "revision: 1");
    for (lifecycle, wanted) in [
        ("valid_until: 2027-03-31", "closes 2027-04-01T00:00:00Z until 2027-07-01T00:00:00Z same"),
        ("valid_until: 2027-12-31", "opens 2027-07-01T00:00:00Z until 2028-01-01T00:00:00Z ends"),
        ("valid_until: 2026-11-19", "closes now until 2027-07-01T00:00:00Z same"),
        ("legacy_since: 2025-01-01, review_by: 2027-01-01", "opens 2027-07-01T00:00:00Z"),
    ] {
        let repository = Repository::new(&[("policies/resurs.yaml", &base), ("callgate.yaml", SITE)]);
        let policy = with(&format!("valid_from: 2024-01-01, {lifecycle}"));
        repository.scene.write("policies/resurs.yaml", policy);
        let run = review(&repository.scene, &["--format", "json"]);
        let told = moves(&json(&run));
        assert_eq!(told.len(), 1, "{lifecycle}: {told:?}");
        assert!(told[0].starts_with(&format!("{wanted}: 192.121.110.100/32 bank")), "{told:?}");
    }
}

#[test]
fn what_only_moves_to_another_source_neither_opens_nor_closes() {
    let repository = repository();
    let split = changed(&[("prefixes: [20.91.170.120/29]", "prefixes: [20.91.170.120/30]")])
        + "  - id: other-half\n    prefixes: [20.91.170.124/30]\n    hosting: dedicated\n    evidence: [{ page: faq, says: both halves, read: 2026-11-20 }]\n";
    repository.scene.write("policies/resurs.yaml", split);
    let report = report(&repository.scene, 1);
    assert!(moves(&report).is_empty(), "{:?}", moves(&report));
    assert_eq!(codes(&report, "concerns"), ["no-new-evidence"]);
}

#[test]
fn a_withdrawn_source_closes_and_says_why() {
    let repository = repository();
    let policy = changed(&[
        (
            "    hosting: owner\n",
            "    hosting: owner\n    role: tombstone\n    lifecycle: { withdrawn: 2026-11-18 }\n",
        ),
        (
            "says: \"192.121.110.100 (Resurs)\", read: 2026-06-02",
            "says: the page lists it no more, read: 2026-11-19",
        ),
    ]);
    repository.scene.write("policies/resurs.yaml", policy);
    let report = report(&repository.scene, 0);
    assert_eq!(moves(&report), ["closes now: 192.121.110.100/32 bank withdrawn"]);
    assert_eq!(report["moves"][0]["why"], "withdrawn");
    let cloud = &report["targets"][0];
    assert_eq!(
        (&cloud["name"], &cloud["closes"]),
        (&"cloud".into(), &serde_json::json!(["192.121.110.100/32"]))
    );
    let quota = &cloud["quotas"][0];
    assert_eq!(
        (&quota["sum"], &quota["used"], &quota["most"]),
        (&"1 port x 1 prefix".into(), &1.into(), &60.into())
    );
}

#[test]
fn what_the_site_changes_opens_and_closes_too() {
    let exceptions = format!(
        "{SITE}exceptions:\n  - {{ provider: resurs, source: bank, retire: 2026-11-01, reason: \"@team | asked\", review_by: 2027-03-01 }}\n"
    );
    let lists = SITE.replace(
        "kind: aws-security-group",
        "kind: aws-security-group, prefix_lists: { v4_max_entries: 30 }",
    );
    for (site, status, told, concerns) in [
        (exceptions.as_str(), 1, vec!["closes now: 192.121.110.100/32 bank active"], vec!["exception-added"]),
        (&format!("{SITE}environments: [test]\n"), 1, vec![], vec!["selection-widened"]),
        (&format!("{SITE}roles: [callback, owner-network]\n"), 1, vec![], vec!["selection-widened"]),
        (&lists, 0, vec![], vec![]),
        ("schema: 1\ntargets:\n  web: { kind: nginx }\n", 1, vec![], vec!["target-removed"]),
        (&SITE.replace("{ kind: nginx }", "{ kind: nginx, mode: permit }"), 1, vec![], vec!["mode-permit"]),
    ] {
        let repository = repository();
        repository.scene.write("callgate.yaml", site);
        let report = report(&repository.scene, status);
        assert_eq!(moves(&report), told, "{site}");
        assert_eq!(codes(&report, "concerns"), concerns, "{site}");
    }
}

#[test]
fn what_the_site_does_not_select_is_told_apart() {
    let repository = repository();
    let test_only =
        LATER.replace("    hosting: dedicated\n", "    hosting: dedicated\n    environments: [test]\n");
    repository.scene.write("policies/resurs.yaml", changed(&[]) + &test_only);
    let report = report(&repository.scene, 0);
    assert!(moves(&report).is_empty());
    assert_eq!(report["elsewhere"][0]["environment"], "test");
    assert_eq!(report["elsewhere"][0]["sources"], serde_json::json!(["new-range"]));
}

// A second pair of eyes.

#[test]
fn what_two_people_should_look_at_is_named() {
    let more = |source: &str| changed(&[]) + source;
    let evidence = "    evidence: [{ page: faq, says: new words, read: 2026-11-20 }]\n";
    let source = |body: &str| more(&format!("  - id: more\n{body}{evidence}"));
    let faq = "https://developers.resurs.com/faq/";
    let cases = [
        ("wider-than-before", source("    prefixes: [20.91.171.0/24]\n    hosting: dedicated\n")),
        ("wider-than-before", source("    prefixes: [\"2a10:a200::/32\"]\n    hosting: dedicated\n")),
        ("shared-hosting", source("    prefixes: [13.50.187.51]\n    hosting: shared\n")),
        (
            "tombstone-back",
            source(
                "    prefixes: [13.50.187.9]\n    hosting: dedicated\n    lifecycle: { valid_from: 2026-11-01 }\n",
            ),
        ),
        (
            "no-new-evidence",
            changed(&[("    prefixes: [20.91.170.120/29]", "    prefixes: [20.91.170.120/29, 20.91.171.9]")]),
        ),
        (
            "no-new-evidence",
            changed(&[(
                "    hosting: dedicated",
                "    hosting: dedicated\n    lifecycle: { valid_until: 2027-01-31 }",
            )]),
        ),
        ("new-page-host", changed(&[(faq, "https://developers.resurs.example/faq/")])),
        ("waiver-added", more("waivers:\n  - { code: overlap, reason: so they say, until: 2027-01-31 }\n")),
    ];
    for (code, policy) in cases {
        let repository = repository();
        repository.scene.write("policies/resurs.yaml", &policy);
        let report = report(&repository.scene, 1);
        assert_eq!(codes(&report, "concerns"), [code], "{policy}");
        assert_eq!(report["verdict"], "look");
        let concern = &report["concerns"][0];
        assert_eq!(concern["place"]["file"], "policies/resurs.yaml", "{policy}");
        assert!(concern["place"]["line"].as_u64().unwrap() > 1, "{concern}");
    }
}

#[test]
fn guardrails_ports_and_templates_are_looked_at() {
    let strict = format!(
        "{SITE}guardrails:\n  removals_max: 3\n  removals_share: 20\n  must_stay_open: [{{ from: 203.0.114.0/24, port: 22 }}]\n"
    );
    let cases = [
        strict.replace("removals_max: 3", "removals_max: 4"),
        strict.replace("removals_share: 20", "removals_share: 21"),
        strict.replace("port: 22", "port: 2222"),
        strict.replace("203.0.114.0/24", "203.0.114.0/25"),
        SITE.to_owned(),
    ];
    for (index, site) in cases.iter().enumerate() {
        let repository = Repository::new(&[("policies/resurs.yaml", POLICY), ("callgate.yaml", &strict)]);
        repository.scene.write("callgate.yaml", site);
        let report = report(&repository.scene, 1);
        let found = codes(&report, "concerns");
        assert!(found.iter().all(|code| *code == "guardrail-loosened"), "{found:?}");
        assert_eq!(found.len(), if index == 4 { 3 } else { 1 }, "{site}");
    }
    let tighter =
        strict.replace("removals_max: 3", "removals_max: 2").replace("203.0.114.0/24", "203.0.114.0/23");
    let repository = Repository::new(&[("policies/resurs.yaml", POLICY), ("callgate.yaml", &strict)]);
    repository.scene.write("callgate.yaml", tighter);
    assert!(codes(&report(&repository.scene, 0), "concerns").is_empty());

    let two = POLICY.replace("ports: [443]", "ports: [443, 8443]");
    let one_port = format!("{SITE}service: {{ ports: [443] }}\n");
    let repository = Repository::new(&[("policies/resurs.yaml", &two), ("callgate.yaml", &one_port)]);
    repository.scene.write("callgate.yaml", one_port.replace("[443]", "[443, 8443]"));
    let report = report(&repository.scene, 1);
    assert_eq!(codes(&report, "concerns"), ["port-added"]);
    assert_eq!(report["targets"][0]["quotas"][0]["sum"], "2 ports x 2 prefixes");
}

#[test]
fn a_template_that_changes_is_looked_at() {
    let template = std::fs::read_to_string(root().join("templates/nginx/access.tera")).unwrap();
    let repository = repository();
    repository.scene.write("templates/nginx/access.tera", format!("# ours\n{template}"));
    let added = report(&repository.scene, 1);
    assert_eq!(codes(&added, "concerns"), ["template-changed"]);
    assert_eq!(added["concerns"][0]["place"]["file"], "templates/nginx/access.tera");
    let web = &added["targets"][1];
    assert_eq!(web["files"][0]["added"], 1);
    repository.commit(&[]);
    repository.scene.write("templates/nginx/access.tera", format!("# theirs\n{template}"));
    assert_eq!(codes(&report(&repository.scene, 1), "concerns"), ["template-changed"]);
    std::fs::remove_file(repository.scene.path().join("templates/nginx/access.tera")).unwrap();
    let gone = report(&repository.scene, 1);
    assert!(gone["concerns"][0]["message"].as_str().unwrap().contains("is gone"));
}

#[test]
fn a_new_provider_is_looked_at_and_what_it_opens_is_told() {
    let repository = repository();
    let other = POLICY
        .replace("provider: resurs", "provider: other-bank")
        .replace("192.121.110.100", "192.121.110.101");
    repository.scene.write("policies/other-bank.yaml", other);
    let report = report(&repository.scene, 1);
    assert_eq!(codes(&report, "concerns"), ["new-provider"]);
    assert_eq!(moves(&report), ["opens now: 192.121.110.101/32 bank active"]);
    assert_eq!(report["policies"][0]["provider"], "other-bank");
    assert!(report["policies"][0].get("revision_before").is_none());
}

#[test]
fn every_concern_has_its_heading() {
    let text = std::fs::read_to_string(root().join("docs/review.md")).unwrap();
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(headings, names);
    assert!(names.iter().all(|name| !Code::ALL.iter().any(|code| code.as_str() == *name)));
}

// What may not be.

#[test]
fn a_deleted_provider_is_refused_and_points_at_the_file() {
    let other = POLICY
        .replace("provider: resurs", "provider: other-bank")
        .replace("192.121.110.100", "192.121.110.101");
    let repository = Repository::new(&[
        ("policies/resurs.yaml", POLICY),
        ("policies/other-bank.yaml", &other),
        ("callgate.yaml", SITE),
    ]);
    std::fs::remove_file(repository.scene.path().join("policies/other-bank.yaml")).unwrap();
    let report = report(&repository.scene, 2);
    assert_eq!(codes(&report, "findings"), ["policy-deleted"]);
    let place = &report["findings"][0]["place"];
    assert_eq!((&place["file"], &place["in_base"]), (&"policies/other-bank.yaml".into(), &true.into()));
    assert_eq!(report["moves"][0]["why"], "the policy is gone");
    let run = review(&repository.scene, &["--format", "github"]).expect(2);
    assert!(
        run.stdout.starts_with("::error file=policies/other-bank.yaml,title=callgate policy-deleted::"),
        "{}",
        run.stdout
    );
}

#[test]
fn what_check_refuses_is_refused_here_with_its_place() {
    let bank = "    hosting: owner\n";
    let old = POLICY.replace(bank, &format!("{bank}    lifecycle: {{ valid_from: 2024-02-01 }}\n"));
    let later = old.replace("2024-02-01", "2024-03-01").replace("revision: 1", "revision: 2");
    let repository = Repository::new(&[("policies/resurs.yaml", &old), ("callgate.yaml", SITE)]);
    repository.scene.write("policies/resurs.yaml", later);
    let rewritten = report(&repository.scene, 2);
    assert_eq!(codes(&rewritten, "findings"), ["history-rewritten"]);
    assert_eq!(rewritten["findings"][0]["by"], "change");
    assert_eq!(rewritten["findings"][0]["place"]["line"], 12);
    assert_eq!(rewritten["judged"], true);

    repository.scene.write("policies/resurs.yaml", old.replace("192.121.110.100]", "192.121.110.100/24]"));
    let broken = report(&repository.scene, 2);
    assert_eq!(codes(&broken, "findings"), ["host-bits"]);
    assert_eq!((&broken["judged"], &broken["verdict"]), (&false.into(), &"refused".into()));
    assert_eq!(broken["moves"], serde_json::json!([]));
    assert!(broken["summary"].as_str().unwrap().contains("not judged"), "{}", broken["summary"]);
    let run = review(&repository.scene, &["--format", "markdown"]).expect(2);
    assert!(
        run.stdout.contains("#### Errors\n\n- **host-bits** in `policies/resurs.yaml:10`"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_warning_that_was_there_before_leaves_the_change_clear() {
    let due = |day: &str| {
        POLICY.replace(
            "    hosting: owner\n",
            &format!("    hosting: owner\n    lifecycle: {{ valid_until: unknown, review_by: {day} }}\n"),
        )
    };
    let repository =
        Repository::new(&[("policies/resurs.yaml", &due("2026-11-30")), ("callgate.yaml", SITE)]);
    // The line moves, and the finding stays the same one.
    let moved = due("2026-11-30").replace("pages:", "# Read twice.\npages:");
    repository.scene.write("policies/resurs.yaml", &moved);
    let known = report(&repository.scene, 0);
    assert_eq!(codes(&known, "findings"), ["due-soon"]);
    assert_eq!(known["findings"][0]["known"], true);
    let fresh = due("2026-12-01").replace("revision: 1", "revision: 2");
    repository.scene.write("policies/resurs.yaml", &fresh);
    let fresh = report(&repository.scene, 1);
    assert_eq!((&fresh["findings"][0]["known"], &fresh["totals"]["warnings"]), (&false.into(), &1.into()));
    assert_ne!(fresh["findings"][0]["fingerprint"], known["findings"][0]["fingerprint"]);
}

// The base.

#[test]
fn a_base_without_a_policy_folder_is_the_programs_own() {
    let repository = Repository::new(&[("readme.txt", "nothing yet\n")]);
    repository.scene.write("policies/resurs.yaml", POLICY);
    let report = json(&review(&repository.scene, &["--format", "json"]));
    assert_eq!(
        (&report["base"]["built_in_policies"], &report["base"]["built_in_site"]),
        (&true.into(), &true.into())
    );
    let comment = review(&repository.scene, &["--format", "markdown"]).stdout;
    assert!(
        comment.contains("The base has no policy folder: its policies are those of the program."),
        "{comment}"
    );
}

#[test]
fn a_folder_is_a_base_of_policies_or_of_everything() {
    let repository = repository();
    repository.scene.write("old/resurs.yaml", POLICY);
    repository.scene.write("all/policies/resurs.yaml", POLICY);
    repository
        .scene
        .write("all/callgate.yaml", SITE.replace("{ kind: nginx }", "{ kind: nginx, mode: permit }"));
    repository.scene.write("policies/resurs.yaml", changed(&[]) + LATER);
    for (base, web) in [("old", 2), ("all", 2), ("old/", 2), ("HEAD", 2)] {
        let run = repository.scene.run(&["review", "--base", base, "--format", "json"]).expect(0);
        let report = json(&run);
        assert_eq!(moves(&report).len(), 1, "{base}");
        assert_eq!(report["targets"].as_array().unwrap().len(), web, "{base}");
    }
    // A deleted source has its place in the base, under the name that the file has now.
    repository.scene.write("policies/resurs.yaml", changed(&[]).split("  - id: gone").next().unwrap());
    for base in ["old", "all", "HEAD"] {
        let report = json(&repository.scene.run(&["review", "--base", base, "--format", "json"]).expect(2));
        let place = &report["findings"][0]["place"];
        assert_eq!(
            (&place["file"], &place["in_base"]),
            (&"policies/resurs.yaml".into(), &true.into()),
            "{base}"
        );
    }
}

#[test]
fn a_base_with_faults_is_named_and_refused() {
    let repository = Repository::new(&[
        ("policies/resurs.yaml", &POLICY.replace("schema: 1", "schema: 9")),
        ("callgate.yaml", SITE),
    ]);
    repository.scene.write("policies/resurs.yaml", POLICY);
    let report = report(&repository.scene, 2);
    assert_eq!(codes(&report, "findings"), ["file-unreadable"]);
    let message = report["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("`HEAD` has errors") && message.contains("policies/resurs.yaml:1"), "{message}");
}

#[test]
fn a_shallow_clone_without_the_base_says_how_to_get_it() {
    let repository = repository();
    repository.commit(&[("policies/resurs.yaml", &(changed(&[]) + LATER))]);
    let clone = Scene::new();
    let from = format!("file://{}", repository.scene.path().display());
    repository.git(&[
        "clone",
        "--quiet",
        "--depth",
        "1",
        &from,
        &clone.path().join("clone").display().to_string(),
    ]);
    let mut command = clone.command(&["review", "--base", "HEAD~1", "--at", AT]);
    let run = Run::of(&command.current_dir(clone.path().join("clone")).output().unwrap()).expect(2);
    assert!(run.stderr.contains("`HEAD~1` is neither a folder nor a git revision here"), "{}", run.stderr);
    assert!(run.stderr.contains("help: this clone is shallow"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
}

#[test]
fn what_is_no_base_is_refused() {
    let scene = repository().scene;
    for base in ["nobody", "--x", "-n", "", "HEAD:policies", "a\nb"] {
        let run = scene.run(&["review", &format!("--base={base}")]).expect(2);
        assert!(run.stderr.contains("neither a folder nor a git revision"), "{base:?}: {}", run.stderr);
    }
    let run = scene.run(&["review"]).expect(2);
    assert!(run.stderr.contains("--base"), "{}", run.stderr);
}

#[test]
fn below_the_root_places_are_told_from_the_root() {
    let repository = Repository::new(&[("shop/policies/resurs.yaml", POLICY), ("shop/callgate.yaml", SITE)]);
    let policy =
        changed(&[("    prefixes: [20.91.170.120/29]", "    prefixes: [20.91.170.120/29, 20.91.171.9]")]);
    repository.scene.write("shop/policies/resurs.yaml", policy);
    let shop = repository.scene.path().join("shop");
    let absolute = shop.join("callgate.yaml").display().to_string();
    for (folder, site) in [
        (&shop, None),
        (&repository.scene.path().to_owned(), Some("shop/callgate.yaml")),
        (&shop, Some(absolute.as_str())),
    ] {
        let mut arguments = vec!["review", "--base", "HEAD", "--format", "json", "--at", AT];
        arguments.extend(site.iter().flat_map(|site| ["--site", *site]));
        let mut command = repository.scene.command(&arguments);
        let run = Run::of(&command.current_dir(folder).output().unwrap()).expect(1);
        let report = json(&run);
        assert_eq!(report["concerns"][0]["place"]["file"], "shop/policies/resurs.yaml", "{site:?}");
        assert_eq!(report["moves"][0]["place"]["file"], "shop/policies/resurs.yaml", "{site:?}");
    }
}

#[test]
fn a_renamed_policy_is_still_the_providers() {
    let repository = repository();
    repository.git(&["mv", "policies/resurs.yaml", "policies/resurs-bank.yaml"]);
    let report = report(&repository.scene, 1);
    assert_eq!(codes(&report, "findings"), ["file-name-mismatch"]);
    assert!(moves(&report).is_empty());
}

// Forms.

/// Everything at once, in every form.
fn golden(case: &str, repository: &Repository, status: i32) {
    let out = |form: &str| format!("{form}=out/{form}");
    let outs = ["markdown", "json", "sarif", "junit", "github"].map(out);
    let mut arguments = vec!["--format", "text"];
    arguments.extend(outs.iter().flat_map(|out| ["--out", out.as_str()]));
    let run = review(&repository.scene, &arguments).expect(status);
    assert_eq!(run.stderr, "");
    recorded(&format!("tests/golden-review/{case}/review.txt"), &run.stdout);
    for (form, name) in [
        ("markdown", "comment.md"),
        ("json", "review.json"),
        ("sarif", "review.sarif"),
        ("junit", "junit.xml"),
        ("github", "annotations.txt"),
    ] {
        let text = repository.scene.read(&format!("out/{form}"));
        // The same bytes on standard output, and each time.
        assert_eq!(review(&repository.scene, &["--format", form]).expect(status).stdout, text, "{form}");
        let text = text.replace(
            &format!("\"semanticVersion\": \"{}\"", env!("CARGO_PKG_VERSION")),
            "\"semanticVersion\": \"…\"",
        );
        recorded(&format!("tests/golden-review/{case}/{name}"), &text);
    }
    let sarif = review(&repository.scene, &["--format", "sarif"]).stdout;
    sound_sarif(&sarif);
    sound_xml(&review(&repository.scene, &["--format", "junit"]).stdout);
}

/// The official schema of SARIF 2.1.0, as a crate of the registry carries it; `scripts/test` fetches that.
fn sarif_schema() -> Option<Value> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let indexes = std::fs::read_dir(home.join("registry/src")).ok()?.flatten();
    let place = indexes.map(|index| index.path().join("serde-sarif-0.8.0/src/schema.json"));
    let text = place.into_iter().find_map(|place| std::fs::read_to_string(place).ok())?;
    serde_json::from_str(&text).ok()
}

#[track_caller]
fn sound_sarif(text: &str) {
    let log: Value = serde_json::from_str(text).unwrap();
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(!rules[index]["help"]["text"].as_str().unwrap().is_empty());
        for location in result["locations"].as_array().unwrap() {
            let uri = location["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
            assert!(!uri.starts_with('/') && !uri.contains(['\\', ' ']), "{uri}");
            assert!(location["physicalLocation"]["region"]["startLine"].as_u64().unwrap() > 0);
        }
        assert!(result["partialFingerprints"]["callgate/v1"].as_str().unwrap().len() >= 32);
    }
    let Some(schema) = sarif_schema() else {
        assert!(std::env::var("CI").is_err(), "the schema of SARIF is not here: scripts/test fetches it");
        eprintln!("skipped: the schema of SARIF is not here");
        return;
    };
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let faults: Vec<String> =
        validator.iter_errors(&log).map(|fault| format!("{fault} at {}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Reads XML with Python's own parser, and counts as a CI system would.
#[track_caller]
fn sound_xml(text: &str) {
    let script = "import sys, xml.etree.ElementTree as e\nr = e.fromstring(sys.stdin.buffer.read())\ns = r[0]\nc = s.findall('testcase')\nassert r.tag == 'testsuites' and s.tag == 'testsuite'\nfor k, n in (('tests', len(c)), ('failures', sum(len(t.findall('failure')) for t in c)), ('skipped', sum(len(t.findall('skipped')) for t in c))):\n    assert int(s.get(k)) == n == int(r.get(k)), (k, n)\nassert all(t.get('classname') and t.get('name') for t in c)\n";
    let mut command = assert_cmd::Command::new("python3");
    command.args(["-c", script]).write_stdin(text.as_bytes()).assert().success();
}

#[test]
fn a_clear_change_in_every_form() {
    let repository = repository();
    repository.scene.write("policies/resurs.yaml", changed(&[]) + LATER);
    golden("clear", &repository, 0);
}

#[test]
fn a_change_with_much_to_look_at_in_every_form() {
    let repository = repository();
    let policy = changed(&[
        ("    prefixes: [20.91.170.120/29]", "    prefixes: [20.91.170.0/24]"),
        (
            "    hosting: owner\n",
            "    hosting: owner\n    lifecycle: { legacy_since: 2026-11-01, valid_until: unknown, review_by: 2026-12-10 }\n",
        ),
    ]) + "  - id: pool\n    prefixes: [13.50.187.9, 13.50.187.51]\n    hosting: shared\n    lifecycle: { valid_from: 2026-11-01 }\n    evidence: [{ page: faq, says: 13.50.187.9 and 51, read: 2026-11-20 }]\nwaivers:\n  - { code: due-soon, source: bank, reason: looked at each week, until: 2026-12-31 }\n";
    repository.scene.write("policies/resurs.yaml", policy);
    repository.scene.write("callgate.yaml", SITE.replace("kind: nginx", "kind: nginx, mode: permit"));
    golden("look", &repository, 1);
}

#[test]
fn a_refused_change_in_every_form() {
    let repository = repository();
    let policy = POLICY.split("  - id: gone").next().unwrap().replace("192.121.110.100]", "192.121.110.101]");
    repository.scene.write("policies/resurs.yaml", policy);
    golden("refused", &repository, 2);
}

#[test]
fn fingerprints_outlive_lines_that_move() {
    let prints = |policy: &str| {
        let repository = repository();
        repository.scene.write("policies/resurs.yaml", policy);
        let log: Value =
            serde_json::from_str(&review(&repository.scene, &["--format", "sarif"]).stdout).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap().clone();
        let lines = results
            .iter()
            .map(|result| result["locations"][0]["physicalLocation"]["region"]["startLine"].clone());
        let prints = results.iter().map(|result| result["partialFingerprints"].clone());
        (lines.collect::<Vec<_>>(), prints.collect::<Vec<_>>())
    };
    let policy = changed(&[("    prefixes: [20.91.170.120/29]", "    prefixes: [20.91.170.0/24]")]);
    let (lines, first) = prints(&policy);
    let (moved_lines, moved) = prints(&policy.replace("pages:", "# One.\n# Two.\npages:"));
    assert_eq!(first, moved);
    assert!(!first.is_empty() && lines != moved_lines);
}

#[test]
fn outputs_go_where_they_are_sent() {
    let scene = repository().scene;
    let run = review(&scene, &["--format", "github", "--out", "sarif=a/b.sarif", "--out", "markdown=c.md"])
        .expect(0);
    assert_eq!(run.stdout, "::notice title=callgate review::opens nothing, closes nothing\n");
    assert!(scene.read("c.md").starts_with("<!-- callgate-review -->\n"));
    sound_sarif(&scene.read("a/b.sarif"));
    for (out, told) in [
        ("sarif", "`sarif` names no form"),
        ("xml=a", "xml"),
        ("sarif=", "names no form"),
        ("junit=c.md/x", "c.md/x"),
    ] {
        let run = review(&scene, &["--out", out]).expect(2);
        assert!(run.stderr.contains(told), "{out}: {}", run.stderr);
    }
}

// Bounds and strangers.

#[test]
fn a_comment_fits_whatever_the_change_and_says_what_is_left_out() {
    let mut policy = changed(&[]);
    for index in 0..900 {
        policy.push_str(&format!(
            "  - id: many-{index}\n    prefixes: [20.{}.{}.8/29]\n    hosting: dedicated\n    lifecycle: {{ valid_from: 2024-01-01 }}\n    evidence: [{{ page: faq, section: \"{}\", says: \"{}\", read: 2026-06-02 }}]\n",
            100 + index / 250, index % 250, "*".repeat(300), "@`|<".repeat(500)
        ));
    }
    let repository = repository();
    repository.scene.write("policies/resurs.yaml", &policy);
    repository.scene.write("callgate.yaml", "schema: 1\ntargets:\n  a: { kind: nginx }\n  b: { kind: nftables }\n  c: { kind: iptables }\n  d: { kind: terraform }\n");
    let run = review(&repository.scene, &["--format", "markdown"]).expect(1);
    assert!(run.stdout.len() <= 60_000, "{}", run.stdout.len());
    assert!(run.stdout.contains("**Left out here**, see `--format json`: "), "{}", run.stdout);
    assert!(run.stdout.contains("the chart of the lifecycles; "), "{}", run.stdout);
    assert!(run.stdout.starts_with("<!-- callgate-review -->\n### callgate review: look twice\n"));
    assert_eq!(run.stdout.matches("<details>").count(), run.stdout.matches("</details>").count());
    let report = json(&review(&repository.scene, &["--format", "json"]).expect(1));
    assert_eq!(report["moves"].as_array().unwrap().len(), 900);
}

#[test]
fn a_long_difference_is_cut_before_anything_else() {
    let repository = repository();
    let list: Vec<String> =
        (0..1_500).map(|index| format!("20.92.{}.{}", index / 100, index % 100 * 2)).collect();
    repository.scene.write("policies/list.txt", list.join("\n"));
    let policy = changed(&[])
        + "  - id: listed\n    prefixes_from: list.txt\n    lifecycle: { valid_from: 2024-01-01 }\n    hosting: dedicated\n    evidence: [{ page: faq, says: all of it, read: 2026-11-20 }]\n";
    repository.scene.write("policies/resurs.yaml", policy);
    let run = review(&repository.scene, &["--format", "markdown"]);
    assert!(run.stdout.len() <= 60_000);
    assert!(run.stdout.contains("lines of the difference of `web.access.conf`"), "{}", run.stdout);
    assert!(run.stdout.contains("```mermaid"), "{}", run.stdout);
    assert!(run.stdout.contains(" and 1480 more"), "{}", run.stdout);
}

/// The text of a comment outside of code: what a forge looks for mentions, links and HTML in.
fn outside_code(comment: &str) -> String {
    let (mut kept, mut fence) = (String::new(), None::<String>);
    for line in comment.lines() {
        let run: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if run.len() >= 3 => fence = Some(run),
            None => {
                kept.push_str(&without_spans(line));
                kept.push('\n');
            }
        }
    }
    assert_eq!(fence, None, "a fence stays open");
    kept
}

/// A line without its code spans, as Markdown has them.
fn without_spans(line: &str) -> String {
    let (mut kept, mut rest) = (String::new(), line);
    while let Some(start) = rest.find('`') {
        if rest[..start].ends_with('\\') {
            kept.push_str(&rest[..=start]);
            rest = &rest[start + 1..];
            continue;
        }
        kept.push_str(&rest[..start]);
        let run = rest[start..].chars().take_while(|c| *c == '`').count();
        let after = &rest[start + run..];
        let mut end = None;
        let mut at = 0;
        while let Some(found) = after[at..].find('`') {
            let length = after[at + found..].chars().take_while(|c| *c == '`').count();
            if length == run {
                end = Some(at + found + length);
                break;
            }
            at += found + length;
        }
        rest = end.map_or("", |end| &after[end..]);
    }
    kept + rest
}

#[test]
fn a_stranger_injects_nothing() {
    let evil = "x`y``z ``` @everyone #1 <img src=x onerror=alert(1)> | [a](javascript:b) </details> <!-- evil --> ##[set-output name=a]b https://evil.example GH-1 www.evil.example";
    let lines = "\\n::set-output name=a::b\\r\\n/close\\n# head\\n```\\u001b[2J\\u202e\\u0000";
    let words = format!("{evil} {lines}");
    let quoted = format!("\"{}\"", words.replace("\\\"", ""));
    let policy = changed(&[
        ("says: 20.91.170.120 to 127", &format!("says: {quoted}")),
        ("says: \"192.121.110.100 (Resurs)\"", &format!("says: {quoted}")),
        ("section: Callbacks", &format!("section: {quoted}")),
        ("    prefixes: [192.121.110.100]", "    prefixes: [192.121.110.100, 192.121.110.102/31]"),
        ("name: Resurs Bank", &format!("name: {quoted}")),
        ("https://developers.resurs.com/faq/", "https://evil.example/)>\\\"<b>"),
    ])
    .replace("\\\"<b>\"", "<b>\"")
        + &format!("waivers:\n  - {{ code: overlap, reason: {quoted}, until: 2027-01-31 }}\n");
    let repository = repository();
    repository.scene.write("policies/resurs.yaml", &policy);
    let site = format!(
        "{SITE}exceptions:\n  - {{ provider: resurs, source: range, retire: 2026-11-01, reason: {quoted}, review_by: 2027-03-01 }}\n"
    );
    repository.scene.write("callgate.yaml", site);
    let run = review(&repository.scene, &["--format", "markdown"]).expect(1);
    assert!(run.stdout.contains("@everyone"), "{}", run.stdout);
    let outside = outside_code(&run.stdout);
    for word in
        ["@everyone", "#1", "<img", "javascript:", "<!-- evil", "https://evil", "GH-1", "www.evil", "[a]"]
    {
        assert!(!outside.contains(word), "{word}: {outside}");
    }
    assert_eq!(run.stdout.matches("<details>").count(), outside.matches("</details>").count());
    assert!(
        !run.stdout
            .lines()
            .any(|line| line.starts_with("/close") || line.starts_with("# head") || line.starts_with("::"))
    );
    assert!(!run.stdout.contains(['\u{1b}', '\u{202e}', '\r', '\0']));

    let run = review(&repository.scene, &["--format", "github"]).expect(1);
    for line in run.stdout.lines() {
        assert!(
            ["::error ", "::warning ", "::notice "].iter().any(|start| line.starts_with(start)),
            "{line}"
        );
    }
    assert!(!run.stdout.contains("\n::set-output"), "{}", run.stdout);
    for form in ["text", "markdown", "json", "sarif", "junit", "github"] {
        let run = review(&repository.scene, &["--format", form]).expect(1);
        assert!(!run.stdout.contains("##["), "{form}: {}", run.stdout);
        assert!(
            !run.stdout.lines().any(|line| line.trim_start().starts_with("::")) || form == "github",
            "{form}"
        );
    }
    let report = json(&review(&repository.scene, &["--format", "json"]));
    assert!(report.to_string().contains("##[set-output"), "JSON says what was written");
    let junit = review(&repository.scene, &["--format", "junit"]).expect(1).stdout;
    assert!(junit.contains("@everyone"));
    sound_xml(&junit);
    sound_sarif(&review(&repository.scene, &["--format", "sarif"]).expect(1).stdout);
    let text = review(&repository.scene, &[]).expect(1).stdout;
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\r', '\0']));
}

#[test]
fn a_file_name_of_a_stranger_ends_no_annotation() {
    let repository = repository();
    let name = "policies/a,line=1::b%0A`|<x>@y.yaml";
    repository.scene.write(name, POLICY.replace("schema: 1", "schema: 9"));
    let run = review(&repository.scene, &["--format", "github"]).expect(2);
    assert!(
        run.stdout.starts_with("::error file=policies/a%2Cline=1%3A%3Ab%250A`|<x>@y.yaml,line=1,"),
        "{}",
        run.stdout
    );
    let sarif: Value =
        serde_json::from_str(&review(&repository.scene, &["--format", "sarif"]).expect(2).stdout).unwrap();
    let uri = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(uri, "policies/a%2Cline%3D1%3A%3Ab%250A%60%7C%3Cx%3E%40y.yaml");
    let comment = review(&repository.scene, &["--format", "markdown"]).expect(2).stdout;
    assert!(!outside_code(&comment).contains("@y"), "{comment}");
    sound_xml(&review(&repository.scene, &["--format", "junit"]).expect(2).stdout);
}
