//! `callgate check`: every diagnostic by its fixture, changes between revisions, time, and bad input.
//!
//! A fixture is a folder `tests/fixtures/check/<code>/<case>` in which the program runs: policies, site and
//! templates as a user has them. `expected.txt` is what it prints, with the exit status on the last line;
//! `arguments.txt` holds further arguments, one a line; `sparse.txt` names files that are too large to keep,
//! as `BYTES PATH`. Set `UPDATE_EXPECTED=1` to write what the program says now, and read the difference.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use callgate::diagnostic::{Code, Severity};

use crate::support::{AT, Run, Scene, root};

/// Files of a case that are about it, not part of it.
const ABOUT: [&str; 3] = ["expected.txt", "arguments.txt", "sparse.txt"];

/// A good policy, to be spoilt.
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
    evidence: [{ page: faq, read: 2026-06-02 }]
"#;

/// A second source for it.
const CLOUD: &str =
    "  - id: cloud\n    prefixes: [13.50.187.51]\n    evidence: [{ page: faq, read: 2026-06-02 }]\n";

/// A good site.
const SITE: &str = "schema: 1\ntargets:\n  web: { kind: nginx }\n";

/// The good policy with a lifecycle for its source.
fn with_lifecycle(lifecycle: &str) -> String {
    POLICY.replace("    evidence", &format!("    lifecycle: {{ {lifecycle} }}\n    evidence"))
}

fn second_revision(policy: &str) -> String {
    policy.replace("revision: 1", "revision: 2")
}

/// A scene with one policy.
fn scene(policy: impl AsRef<[u8]>) -> Scene {
    let scene = Scene::new();
    scene.write("policies/resurs.yaml", policy);
    scene
}

/// The policy, its prefixes in a list.
fn scene_with_list(list: impl AsRef<[u8]>) -> Scene {
    let scene = scene(POLICY.replace("prefixes: [192.121.110.100]", "prefixes_from: lists/x.txt"));
    scene.write("policies/lists/x.txt", list);
    scene
}

/// The codes that a report in text names, each once, as often as it is told.
fn codes(report: &str) -> Vec<&str> {
    report.lines().filter_map(headline).map(|(_, code)| code).collect()
}

/// Severity and code of the first line of a diagnostic.
fn headline(line: &str) -> Option<(&str, &str)> {
    let (severity, rest) = line.split_once('[')?;
    let (code, rest) = rest.split_once(']')?;
    let known = ["error", "warning", "note", "waived"].contains(&severity) && rest.starts_with(':');
    known.then_some((severity, code))
}

/// The status that the headlines of a report call for.
fn status_of(report: &str) -> i32 {
    let told: Vec<&str> = report.lines().filter_map(headline).map(|(severity, _)| severity).collect();
    match () {
        () if told.contains(&"error") => 2,
        () if told.contains(&"warning") => 1,
        () => 0,
    }
}

// Fixtures.

struct Case {
    code: String,
    name: String,
    folder: PathBuf,
}

fn folders_in(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path)).collect();
    found.sort();
    found
}

fn cases() -> Vec<Case> {
    let codes = folders_in(&root().join("tests/fixtures/check"));
    let of_code = |(code, folder): (String, PathBuf)| {
        let cases = folders_in(&folder).into_iter();
        cases.map(move |(name, folder)| Case { code: code.clone(), name, folder }).collect::<Vec<_>>()
    };
    codes.into_iter().flat_map(of_code).collect()
}

impl Case {
    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Runs the program in a copy of the folder; what it printed and how it ended.
    fn run(&self) -> (String, Run) {
        let scene = Scene::new();
        copy(&self.folder, "", &scene);
        for line in self.text("sparse.txt").lines() {
            let (bytes, path) = line.split_once(' ').unwrap();
            let path = scene.write(path, "");
            std::fs::File::options().write(true).open(path).unwrap().set_len(bytes.parse().unwrap()).unwrap();
        }
        let arguments = self.text("arguments.txt");
        let all: Vec<&str> = std::iter::once("check").chain(arguments.lines()).collect();
        let run = scene.run(&all);
        (format!("{}exit {}\n", run.stdout, run.status), run)
    }
}

fn copy(folder: &Path, below: &str, into: &Scene) {
    for (name, path) in folders_in(folder) {
        if path.is_dir() {
            copy(&path, &format!("{below}{name}/"), into);
        } else if !(below.is_empty() && ABOUT.contains(&name.as_str())) {
            into.write(&format!("{below}{name}"), std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn every_fixture_is_reported_as_expected() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some_and(|value| value == "1");
    let mut failures = Vec::new();
    for case in cases() {
        let (found, run) = case.run();
        let place = case.folder.join("expected.txt");
        if !run.stderr.is_empty() {
            failures.push(format!("{}/{}: on standard error: {}", case.code, case.name, run.stderr));
        }
        if update {
            #[expect(clippy::disallowed_methods, reason = "a fixture that somebody asked to be written")]
            std::fs::write(&place, &found).unwrap();
        } else if case.text("expected.txt") != found {
            let wanted = case.text("expected.txt");
            failures.push(format!("{}/{}:\n--- expected\n{wanted}--- found\n{found}", case.code, case.name));
        }
    }
    assert!(
        failures.is_empty(),
        "{} differ; UPDATE_EXPECTED=1 writes them\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn every_code_has_a_fixture_that_shows_it() {
    let cases = cases();
    for code in Code::ALL {
        let mut own = cases.iter().filter(|case| case.code == code.as_str()).peekable();
        assert!(own.peek().is_some(), "no fixture for {code}");
        for case in own {
            let shown = case.text("expected.txt");
            assert!(codes(&shown).contains(&code.as_str()), "{code}/{} does not show it", case.name);
        }
    }
    let known: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).chain(["accepted"]).collect();
    let strange: Vec<&str> =
        cases.iter().map(|case| case.code.as_str()).filter(|code| !known.contains(code)).collect();
    assert!(strange.is_empty(), "folders that are no codes: {strange:?}");
}

#[test]
fn every_waivable_code_has_a_fixture_in_which_it_is_waived() {
    for code in Code::ALL.iter().filter(|code| code.is_waivable()) {
        let waived = format!("waived[{code}]: ");
        let shown = cases()
            .iter()
            .any(|case| case.code == code.as_str() && case.text("expected.txt").contains(&waived));
        assert!(shown, "no fixture waives {code}");
    }
}

#[test]
fn the_status_follows_from_what_is_not_waived() {
    for case in cases() {
        let expected = case.text("expected.txt");
        let status = expected.lines().last().and_then(|line| line.strip_prefix("exit ")).unwrap_or("none");
        assert_eq!(status, status_of(&expected).to_string(), "{}/{}", case.code, case.name);
        for (severity, code) in expected.lines().filter_map(headline) {
            let code = Code::ALL.iter().find(|known| known.as_str() == code).unwrap();
            let own = code.severity().to_string();
            assert!(
                severity == own || severity == "waived" && code.is_waivable(),
                "{}/{}: {severity}",
                case.code,
                case.name
            );
        }
        let counts = |what: &str| {
            expected.lines().filter_map(headline).filter(|(severity, _)| *severity == what).count()
        };
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (errors, warnings) = (counts("error"), counts("warning"));
        let summary = format!("\n{errors} error{}, {warnings} warning{}", plural(errors), plural(warnings));
        assert!(expected.contains(&summary), "{}/{}", case.code, case.name);
    }
}

#[test]
fn no_fixture_tells_the_same_twice() {
    for case in cases() {
        let expected = case.text("expected.txt");
        let blocks: Vec<&str> = expected
            .split("\n\n")
            .filter(|block| headline(block.lines().next().unwrap_or("")).is_some())
            .collect();
        let distinct: BTreeSet<&&str> = blocks.iter().collect();
        assert_eq!(blocks.len(), distinct.len(), "{}/{}", case.code, case.name);
    }
}

#[test]
fn every_error_and_warning_says_what_to_do() {
    for case in cases() {
        let expected = case.text("expected.txt");
        for block in
            expected.split("\n\n").filter(|block| headline(block.lines().next().unwrap_or("")).is_some())
        {
            assert!(block.contains("= help: "), "{}/{}:\n{block}", case.code, case.name);
        }
    }
}

// The documentation of the codes.

#[test]
fn the_documentation_has_a_heading_for_each_code_in_order() {
    let text = std::fs::read_to_string(root().join("docs/diagnostics.md")).unwrap();
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let wanted: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(headings, wanted);
    for (section, code) in text.split("\n## ").skip(1).zip(Code::ALL) {
        let severity = match code.severity() {
            Severity::Error => "Error",
            Severity::Warning => "Warning",
            Severity::Note => "Note",
        };
        let waivable = if code.is_waivable() { "can be waived" } else { "can't be waived" };
        let wanted = format!("\n{severity}, {waivable}.\n");
        assert!(section.contains(&wanted), "{code}: the section does not say `{}`", wanted.trim());
    }
}

// Places.

#[test]
fn json_names_file_line_and_column() {
    let policy = POLICY.replace("[192.121.110.100]", "[13.50.187.51, 192.121.110.100/24]");
    let run = scene(policy).run(&["check", "--format", "json"]).expect(2);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["version"], 1);
    assert_eq!(report["at"], AT);
    assert_eq!(report["beyond"], 0);
    let all = report["diagnostics"].as_array().unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["code"], "host-bits");
    assert_eq!(all[0]["severity"], "error");
    assert_eq!(all[0]["subject"], "bank");
    let place = serde_json::json!({
        "file": "policies/resurs.yaml", "line": 10, "column": 30, "end_line": 10, "end_column": 48
    });
    assert_eq!(all[0]["place"], place);
    assert!(all[0]["help"].as_str().unwrap().contains("192.121.110.0/24"));
    assert!(all[0]["waived"].is_null());
}

#[test]
fn json_names_related_places() {
    let run = scene(format!("{POLICY}name: Someone Else\n")).run(&["check", "--format", "json"]).expect(2);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let found = &report["diagnostics"][0];
    assert_eq!((&found["place"]["line"], &found["related"][0]["line"]), (&12.into(), &3.into()));
}

#[test]
fn columns_count_characters() {
    let policy = POLICY.replace("name: Resurs Bank", "name: { å: 1, ä: 2 }");
    let run = scene(policy).run(&["check", "--format", "json"]).expect(2);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["diagnostics"][0]["place"]["column"], 7);
    let policy = POLICY.replace("kind: html", "note: åäö, kind: htm");
    let run = scene(policy).run(&["check", "--format", "json"]).expect(2);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["diagnostics"][0]["place"]["column"], 70);
}

#[test]
fn markdown_is_a_table_that_nothing_breaks_out_of() {
    let policy = format!("{POLICY}\"a|b\\n<script>\": 1\n");
    let run = scene(policy).run(&["check", "--format", "markdown"]).expect(2);
    assert!(run.stdout.starts_with("**callgate check**: 1 error, 0 warnings\n\n| | where"), "{}", run.stdout);
    assert_eq!(run.stdout.lines().filter(|line| line.starts_with("| error `unknown-key`")).count(), 1);
    assert!(run.stdout.contains("| unknown key `a\\|b <script>` |"), "as code: {}", run.stdout);
    let run = scene(format!("{POLICY}\"`<b>@all\": 1\n")).run(&["check", "--format", "markdown"]).expect(2);
    assert!(run.stdout.contains("&lt;b&gt;\\@&#8203;all\\`"), "{}", run.stdout);
    assert!(!run.stdout.contains("<b>") && !run.stdout.contains("@all"), "{}", run.stdout);
}

#[test]
fn text_escapes_what_would_steer_a_terminal() {
    let run = scene(format!("{POLICY}\"a\\e[31mb\\x07\": 1\n")).run(&["check"]).expect(2);
    assert!(!run.stdout.contains(['\u{1b}', '\u{7}']), "{:?}", run.stdout);
}

// Changes.

/// A repository with one commit, made by the real git.
pub(crate) struct Repository {
    pub(crate) scene: Scene,
}

impl Repository {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let repository = Self { scene: Scene::new() };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit(files);
        repository
    }

    pub(crate) fn commit(&self, files: &[(&str, &str)]) {
        for (path, text) in files {
            self.scene.write(path, text);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=policies"]);
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let mut command = assert_cmd::Command::new("git");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.scene.path());
        command.env("GIT_CONFIG_NOSYSTEM", "1").current_dir(self.scene.path());
        // The same files give the same commit.
        command.env("GIT_AUTHOR_DATE", AT).env("GIT_COMMITTER_DATE", AT);
        let settings = [
            "-c",
            "user.name=callgate",
            "-c",
            "user.email=dev@callgate.invalid",
            "-c",
            "commit.gpgsign=false",
        ];
        command.args(settings).args(arguments).assert().success();
    }

    /// Checks with another policy in the working tree.
    fn changed(&self, policy: &str) -> Run {
        self.scene.write("policies/resurs.yaml", policy);
        self.scene.run(&["check", "--against", "HEAD"])
    }
}

fn resurs(policy: &str) -> Repository {
    Repository::new(&[("policies/resurs.yaml", policy)])
}

#[test]
fn nothing_changed_opens_and_closes_nothing() {
    let run = resurs(POLICY).changed(POLICY).expect(0);
    assert!(run.stdout.starts_with("the change opens and closes no address\n"), "{}", run.stdout);
}

#[test]
fn notes_and_layout_need_no_new_revision() {
    let noted = POLICY.replace("pages:", "# Read again.\nnotes: [Read again on 2026-11-01.]\npages:");
    resurs(POLICY).changed(&noted).expect(0);
}

#[test]
fn a_change_of_meaning_needs_a_higher_revision() {
    let repository = resurs(POLICY);
    let run = repository.changed(&format!("{POLICY}{CLOUD}")).expect(2);
    assert_eq!(codes(&run.stdout), ["revision-not-raised"]);
    assert!(run.stdout.contains("help: write `revision: 2`"), "{}", run.stdout);
    let run = repository.changed(&second_revision(&format!("{POLICY}{CLOUD}"))).expect(0);
    assert!(
        run.stdout.contains("opens now: 13.50.187.51 (resurs/cloud, callback, production)\n"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_revision_never_falls() {
    let run = resurs(&second_revision(POLICY)).changed(POLICY).expect(2);
    assert_eq!(codes(&run.stdout), ["revision-not-raised"]);
    assert!(run.stdout.contains("help: write `revision: 3`"), "{}", run.stdout);
}

#[test]
fn a_source_is_not_deleted_but_withdrawn() {
    let repository = resurs(&format!("{POLICY}{CLOUD}"));
    let run = repository.changed(&second_revision(POLICY)).expect(2);
    assert_eq!(codes(&run.stdout), ["source-deleted"]);
    assert!(
        run.stdout.contains("closes now: 13.50.187.51 (resurs/cloud, callback, production)\n"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains(":policies/resurs.yaml:12:9\n"), "{}", run.stdout);
    let tombstone = CLOUD.replace(
        "    evidence",
        "    role: tombstone\n    lifecycle: { withdrawn: 2026-11-18 }\n    evidence",
    );
    let run = repository.changed(&second_revision(&format!("{POLICY}{tombstone}"))).expect(0);
    assert!(run.stdout.contains("closes now: 13.50.187.51"), "{}", run.stdout);
}

#[test]
fn a_prefix_is_not_lost_but_moved() {
    let both = POLICY.replace("[192.121.110.100]", "[13.50.187.51, 192.121.110.100]");
    let repository = resurs(&both);
    let run = repository.changed(&second_revision(POLICY)).expect(2);
    assert_eq!(codes(&run.stdout), ["source-deleted"]);
    assert!(run.stdout.contains("source `bank` lost 13.50.187.51\n"), "{}", run.stdout);
    let run = repository.changed(&second_revision(&format!("{POLICY}{CLOUD}"))).expect(0);
    assert!(run.stdout.starts_with("the change opens and closes no address\n"), "{}", run.stdout);
}

#[test]
fn a_policy_is_not_deleted() {
    let other = POLICY.replace("provider: resurs", "provider: swedbank-pay");
    let repository =
        Repository::new(&[("policies/resurs.yaml", POLICY), ("policies/swedbank-pay.yaml", &other)]);
    std::fs::remove_file(repository.scene.path().join("policies/swedbank-pay.yaml")).unwrap();
    let run = repository.changed(POLICY).expect(2);
    assert_eq!(codes(&run.stdout), ["policy-deleted"]);
    let run = repository.scene.run(&["check", "policies/resurs.yaml", "--against", "HEAD"]).expect(0);
    assert!(run.stdout.starts_with("the change opens and closes no address\n"), "{}", run.stdout);
}

#[test]
fn a_new_policy_opens_what_it_holds() {
    let repository = resurs(POLICY);
    let other = POLICY
        .replace("provider: resurs", "provider: swedbank-pay")
        .replace("192.121.110.100", "20.91.170.120/29");
    repository.scene.write("policies/swedbank-pay.yaml", other);
    let run = repository.changed(POLICY).expect(0);
    assert!(
        run.stdout.starts_with("opens now: 20.91.170.120/29 (swedbank-pay/bank, callback, production)\n"),
        "{}",
        run.stdout
    );
}

#[test]
fn what_has_happened_is_not_rewritten() {
    let repository = resurs(&with_lifecycle("announced: 2024-01-01, valid_from: 2024-02-01"));
    for (lifecycle, name) in [
        ("announced: 2024-01-01, valid_from: 2024-02-02", "valid_from"),
        ("announced: 2024-01-02, valid_from: 2024-02-01", "announced"),
        ("valid_from: 2024-02-01", "announced"),
    ] {
        let run = repository.changed(&second_revision(&with_lifecycle(lifecycle))).expect(2);
        assert_eq!(codes(&run.stdout), ["history-rewritten"], "{lifecycle}");
        assert!(run.stdout.contains(&format!("`{name}` of `bank` was 2024-")), "{}", run.stdout);
    }
    let same_instant = "announced: \"2024-01-01[UTC]\", valid_from: 2024-02-01";
    repository.changed(&with_lifecycle(same_instant)).expect(0);
}

#[test]
fn what_lies_ahead_may_change() {
    let repository = resurs(&with_lifecycle("valid_from: 2024-02-01, valid_until: 2027-06-30"));
    let run = repository
        .changed(&second_revision(&with_lifecycle("valid_from: 2024-02-01, valid_until: 2027-03-31")))
        .expect(0);
    let closes = "closes from 2027-04-01T00:00:00Z: 192.121.110.100 (resurs/bank, callback, production)\n";
    assert!(run.stdout.starts_with(closes), "{}", run.stdout);
    let run = repository
        .changed(&second_revision(&with_lifecycle("valid_from: 2024-02-01, valid_until: 2027-12-31")))
        .expect(0);
    assert!(run.stdout.starts_with("opens from 2027-07-01T00:00:00Z: 192.121.110.100 ("), "{}", run.stdout);
}

#[test]
fn what_opens_later_says_from_when() {
    let later = CLOUD
        .replace("    evidence", "    lifecycle: { valid_from: 2027-01-01T12:00:00+01:00 }\n    evidence");
    let run = resurs(POLICY).changed(&second_revision(&format!("{POLICY}{later}"))).expect(0);
    assert!(
        run.stdout.starts_with(
            "opens from 2027-01-01T11:00:00Z: 13.50.187.51 (resurs/cloud, callback, production)\n"
        ),
        "{}",
        run.stdout
    );
}

#[test]
fn an_environment_opens_by_itself() {
    let only_test = POLICY.replace("    evidence", "    environments: [test]\n    evidence");
    let run = resurs(&only_test).changed(&second_revision(POLICY));
    let effects: Vec<&str> =
        run.stdout.lines().filter(|line| line.starts_with("opens") || line.starts_with("closes")).collect();
    assert_eq!(effects, ["opens now: 192.121.110.100 (resurs/bank, callback, production)"]);
}

#[test]
fn lists_are_read_from_the_revision_too() {
    let listed = POLICY.replace("prefixes: [192.121.110.100]", "prefixes_from: lists/x.txt");
    let repository = Repository::new(&[
        ("policies/resurs.yaml", &listed),
        ("policies/lists/x.txt", "192.121.110.100\n13.50.187.51\n"),
    ]);
    repository.scene.write("policies/lists/x.txt", "192.121.110.100\n");
    let run = repository.changed(&second_revision(&listed)).expect(2);
    assert_eq!(codes(&run.stdout), ["source-deleted"]);
}

#[test]
fn an_older_revision_and_a_folder_can_be_compared_with() {
    let repository = resurs(POLICY);
    let changed = second_revision(&format!("{POLICY}{CLOUD}"));
    repository.commit(&[("policies/resurs.yaml", &changed)]);
    assert!(
        repository.changed(&changed).expect(0).stdout.starts_with("the change opens and closes no address\n")
    );
    repository.scene.write("old/resurs.yaml", POLICY);
    for against in ["HEAD~1", "old"] {
        let run = repository.scene.run(&["check", "--against", against]).expect(0);
        assert!(
            run.stdout.starts_with("opens now: 13.50.187.51 (resurs/cloud, callback, production)\n"),
            "{against}: {}",
            run.stdout
        );
    }
}

#[test]
fn a_policy_folder_of_another_name_is_compared_with_itself() {
    let repository = Repository::new(&[("shop/providers/resurs.yaml", POLICY)]);
    repository.scene.write("shop/providers/resurs.yaml", second_revision(&format!("{POLICY}{CLOUD}")));
    let run = repository.scene.run(&["check", "--policies", "shop/providers", "--against", "HEAD"]).expect(0);
    assert!(run.stdout.starts_with("opens now: 13.50.187.51"), "{}", run.stdout);
}

#[test]
fn what_is_no_revision_is_refused() {
    let repository = resurs(POLICY);
    for against in [
        "nobody",
        "--against",
        "-n",
        "--output=x",
        "",
        "HEAD^{tree}",
        "HEAD:policies",
        "policies/resurs.yaml",
        "a\nb",
    ] {
        let run = repository.scene.run(&["check", &format!("--against={against}")]);
        assert_eq!(run.status, 2, "{against:?}: {}", run.stdout);
        assert!(run.stderr.contains("neither a folder nor a git revision"), "{against:?}: {}", run.stderr);
    }
    assert!(!repository.scene.path().join("x").exists());
}

#[test]
fn without_a_repository_the_reason_is_told() {
    let run = scene(POLICY).run(&["check", "--against", "HEAD"]).expect(2);
    assert!(run.stderr.contains("`HEAD` is neither a folder nor a git revision here"), "{}", run.stderr);
}

#[test]
fn changes_are_told_in_json_and_markdown() {
    let repository = resurs(POLICY);
    repository.scene.write("policies/resurs.yaml", second_revision(&format!("{POLICY}{CLOUD}")));
    let run = repository.scene.run(&["check", "--against", "HEAD", "--format", "json"]).expect(0);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let wanted = serde_json::json!({
        "effect": "opens", "provider": "resurs", "role": "callback", "environment": "production",
        "from": AT, "prefixes": ["13.50.187.51/32"], "sources": ["cloud"]
    });
    assert_eq!(report["changes"][0], wanted);
    let run = repository.scene.run(&["check", "--against", "HEAD", "--format", "markdown"]).expect(0);
    let row = format!("| opens | 13.50.187.51 | resurs | cloud | callback | production | {AT} |\n");
    assert!(run.stdout.contains(&row), "{}", run.stdout);
    let run = scene(POLICY).run(&["check", "--format", "json"]).expect(0);
    assert!(!run.stdout.contains("\"changes\""), "{}", run.stdout);
}

// Time.

/// Whether something of this lifecycle is due within a time.
fn is_due(lifecycle: &str, within: &str) -> bool {
    let run = scene(with_lifecycle(lifecycle)).run(&["check", "--within", within]);
    match run.status {
        0 => false,
        1 => {
            assert_eq!(codes(&run.stdout), ["due-soon"], "{}", run.stdout);
            true
        }
        other => panic!("status {other}: {}", run.stdout),
    }
}

#[test]
fn what_falls_due_is_told_from_its_horizon_on() {
    // The instant of the tests is 2026-11-20T12:00:00Z; a date is over when its day is.
    for (instant, last_silent, first_told) in [
        ("2026-11-22T00:00:00Z", "35h", "36h"),
        ("2026-11-21", "35h", "36h"),
        ("2026-12-20T12:00:00Z", "29d", "30d"),
        ("2026-12-18T12:00:00Z", "3w", "4w"),
        ("2026-11-20T13:00:00Z", "0h", "1h"),
    ] {
        for lifecycle in [
            format!("valid_until: {instant}"),
            format!("valid_until: unknown, review_by: {instant}"),
            format!("valid_from: 2024-01-01, deadline: {instant}"),
        ] {
            assert!(!is_due(&lifecycle, last_silent), "{lifecycle} within {last_silent}");
            assert!(is_due(&lifecycle, first_told), "{lifecycle} within {first_told}");
        }
    }
}

#[test]
fn with_nothing_ahead_to_look_at_only_the_past_is_told() {
    for lifecycle in [
        "valid_until: 2026-11-20",
        "valid_until: unknown, review_by: 2026-11-20",
        "deadline: 2026-11-20T12:00:01Z",
    ] {
        assert!(!is_due(lifecycle, "0d"), "{lifecycle}");
        assert!(is_due(lifecycle, "1d"), "{lifecycle}");
    }
    for (lifecycle, code) in [
        ("valid_until: unknown, review_by: 2026-11-20T12:00:00Z", "review-overdue"),
        ("deadline: 2026-11-20T12:00:00Z", "deadline-passed"),
    ] {
        let run = scene(with_lifecycle(lifecycle)).run(&["check", "--within", "0d"]).expect(1);
        assert_eq!(codes(&run.stdout), [code], "{lifecycle}");
    }
}

#[test]
fn a_month_ahead_is_looked_at_where_nothing_is_said() {
    let run = scene(with_lifecycle("valid_until: 2026-12-20T12:00:00Z")).run(&["check"]).expect(1);
    assert_eq!(codes(&run.stdout), ["due-soon"]);
    scene(with_lifecycle("valid_until: 2026-12-20T12:00:01Z")).run(&["check"]).expect(0);
}

#[test]
fn what_is_no_duration_is_wrong_usage() {
    for within in ["", "30", "d", "1.5d", "-1d", "30m", "99999999999999999999d"] {
        let run = scene(POLICY).run(&["check", &format!("--within={within}")]).expect(2);
        assert!(run.stderr.contains("--within"), "{within}: {}", run.stderr);
    }
}

#[test]
fn a_passed_end_is_no_finding_once_the_source_is_out() {
    let policy = format!(
        "{POLICY}{}",
        CLOUD.replace(
            "    evidence",
            "    lifecycle: { valid_until: 2026-11-19, deadline: 2026-01-01 }\n    evidence"
        )
    );
    let run = scene(policy).run(&["check"]).expect(0);
    assert_eq!(codes(&run.stdout), [""; 0]);
}

// Waivers.

#[test]
fn a_waiver_holds_through_its_last_day() {
    let waived = |until: &str| {
        let policy = with_lifecycle("deadline: 2026-01-01");
        let waiver = format!(
            "waivers:\n  - {{ code: deadline-passed, source: bank, reason: done, until: {until} }}\n"
        );
        scene(policy + &waiver).run(&["check"])
    };
    let run = waived("2026-11-20").expect(0);
    assert!(
        run.stdout.contains("waived[deadline-passed]") && run.stdout.contains("1 waived\n"),
        "{}",
        run.stdout
    );
    let run = waived("2026-11-19").expect(1);
    assert_eq!(codes(&run.stdout), ["deadline-passed", "waiver-expired"]);
    waived("2026-11-20T12:00:01Z").expect(0);
    waived("2026-11-20T12:00:00Z").expect(1);
}

#[test]
fn a_waiver_is_for_its_source_and_code_only() {
    for waiver in ["code: deadline-passed, source: cloud", "code: review-overdue"] {
        let policy = with_lifecycle("deadline: 2026-01-01") + CLOUD;
        let run = scene(format!("{policy}waivers:\n  - {{ {waiver}, reason: done, until: 2027-01-01 }}\n"))
            .run(&["check"])
            .expect(1);
        assert_eq!(codes(&run.stdout), ["deadline-passed", "waiver-unused"], "{waiver}");
    }
}

#[test]
fn a_waiver_in_use_is_not_called_unused() {
    let policy = POLICY.replace("[192.121.110.100]", "[20.91.170.120/29, 20.91.170.121]");
    let waiver = "waivers:\n  - { code: overlap, reason: the page lists both, until: 2027-01-01 }\n";
    let run = scene(policy + waiver).run(&["check"]).expect(0);
    assert_eq!(codes(&run.stdout), ["overlap"]);
}

#[test]
fn only_what_may_be_waived_can_be() {
    for code in Code::ALL {
        let policy = format!("{POLICY}waivers:\n  - {{ code: {code}, reason: none, until: 2027-01-01 }}\n");
        let run = scene(policy).run(&["check"]);
        let wanted = if code.is_waivable() { "waiver-unused" } else { "invalid-value" };
        assert_eq!(codes(&run.stdout), [wanted], "{code}");
    }
}

#[test]
fn a_waived_error_admits_the_prefix() {
    let policy = POLICY.replace("192.121.110.100", "10.0.0.1");
    let waiver =
        "waivers:\n  - { code: private-address, source: bank, reason: our VPN, until: 2027-01-01 }\n";
    let scene = scene(policy + waiver);
    scene.write("callgate.yaml", SITE);
    scene.run(&["check"]).expect(0);
    assert!(scene.run(&["render"]).expect(0).stdout.contains("allow 10.0.0.1;"));
}

// Bad input: refused with a place and a reason, in time, within memory, without a panic.

/// No input may take longer.
const TIME_MAX: Duration = Duration::from_secs(30);
/// No input may need more address space, in bytes.
const MEMORY_MAX: u64 = 2 << 30;
/// No report may be longer, in bytes.
const REPORT_MAX: usize = 4 << 20;

/// Checks under bounds of time and memory.
fn check_bounded(scene: &Scene, arguments: &[&str]) -> Run {
    let mut command = assert_cmd::Command::new("prlimit");
    command
        .arg(format!("--as={MEMORY_MAX}"))
        .arg("--")
        .arg(env!("CARGO_BIN_EXE_callgate"))
        .arg("check")
        .args(arguments);
    command.args(["--at", AT]).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let started = Instant::now();
    let output = command.current_dir(scene.path()).timeout(TIME_MAX).output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let Some(status) = output.status.code() else {
        panic!("no status after {:?}: {stderr}", started.elapsed())
    };
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(stdout.len() <= REPORT_MAX, "{} bytes of report", stdout.len());
    Run { status, stdout, stderr }
}

/// Status 2 and these codes, whatever the format.
#[track_caller]
fn check_refused(scene: &Scene, wanted: &[&str]) -> Run {
    check_bounded(scene, &["--format", "markdown"]).expect(2);
    let json = check_bounded(scene, &["--format", "json"]).expect(2);
    let _: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let run = check_bounded(scene, &[]).expect(2);
    let distinct: BTreeSet<&str> = codes(&run.stdout).into_iter().collect();
    assert_eq!(
        distinct,
        wanted.iter().copied().collect(),
        "{}",
        run.stdout.chars().take(2_000).collect::<String>()
    );
    run
}

/// The same text as a policy, a site and, where it is no list by chance, a list.
#[track_caller]
fn check_everywhere(text: impl AsRef<[u8]>, wanted: &str) {
    check_refused(&scene(&text), &[wanted]);
    if text.as_ref().len() < 1 << 20 {
        let site = scene(POLICY);
        site.write("callgate.yaml", &text);
        check_refused(&site, &[wanted]);
    }
}

#[test]
fn alias_bombs_do_not_grow() {
    let mut bomb = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for (name, before) in ('b'..='z').zip('a'..='y') {
        let nine = [format!("*{before}").as_str(); 9].join(", ");
        bomb += &[&name.to_string(), ": &", &name.to_string(), " [", &nine, "]\n"].concat();
    }
    for scene in [scene(&bomb), scene(format!("{POLICY}{bomb}"))] {
        let run = check_bounded(&scene, &[]).expect(2);
        assert!(codes(&run.stdout).contains(&"yaml-indirection"), "{}", run.stdout);
    }
    let recursive = scene("a: &a [*a]\n");
    let run = check_bounded(&recursive, &[]).expect(2);
    assert!(codes(&run.stdout).contains(&"yaml-indirection"), "{}", run.stdout);
}

#[test]
fn deep_nesting_is_refused() {
    for unit in ["[", "- ", "{a: ", "? ", "[[", "{[", "- - ", "!a [", "&a ["] {
        check_everywhere(unit.repeat(200_000), "yaml-too-large");
    }
    let blocks: String = (0..700).map(|depth| " ".repeat(depth) + "a:\n").collect();
    check_everywhere(blocks, "yaml-too-large");
}

#[test]
fn large_files_are_refused() {
    let scene = scene(POLICY);
    scene.write("policies/swedbank-pay.yaml", noise(50 << 20));
    check_refused(&scene, &["file-too-large"]);
    scene.write("policies/swedbank-pay.yaml", "a".repeat(20 << 20));
    check_refused(&scene, &["file-too-large"]);
    scene.write("policies/swedbank-pay.yaml", second_revision(POLICY).replace("resurs", "swedbank-pay"));
    scene.write("callgate.yaml", "a".repeat(20 << 20));
    check_refused(&scene, &["file-too-large"]);
}

/// Bytes without sense, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    next.take(length).collect()
}

#[test]
fn garbage_just_under_the_bound_is_refused_in_time() {
    let text: String = noise(15 << 20).iter().map(|byte| char::from(byte % 95 + 32)).collect();
    let run = check_bounded(&scene(&text), &[]).expect(2);
    assert_eq!(codes(&run.stdout).len(), 1, "{}", run.stdout);
    let lines: String = noise(15 << 20)
        .iter()
        .map(|byte| if *byte < 8 { '\n' } else { char::from(byte % 95 + 32) })
        .collect();
    check_bounded(&scene(lines), &[]).expect(2);
    check_everywhere(noise(1 << 16), "not-utf8");
    check_refused(&scene_with_list(noise(50 << 20)), &["not-utf8"]);
}

#[test]
fn a_long_line_is_named_but_not_shown() {
    let long = "a".repeat(15 << 20);
    let run = check_refused(&scene(&long), &["wrong-type"]);
    assert!(run.stdout.len() < 10_000, "{} bytes", run.stdout.len());
    for policy in [
        POLICY.replace("provider: resurs", &format!("provider: {long}")),
        POLICY.replace("kind: html", &format!("kind: {long}")),
        POLICY.replace("192.121.110.100", &long),
        POLICY.replace("page: faq", &format!("page: {long}")),
        POLICY.replace("2026-06-02", &long),
        format!("{POLICY}{long}: 1\n"),
        format!("{POLICY}zone: {long}\n"),
    ] {
        let run = check_bounded(&scene(policy), &[]);
        assert_eq!(run.status, 2);
        assert!(run.stdout.len() < 10_000, "{} bytes", run.stdout.len());
    }
    let run = check_refused(&scene_with_list("1".repeat(20 << 20)), &["not-a-prefix"]);
    assert!(run.stdout.len() < 10_000, "{} bytes", run.stdout.len());
}

#[test]
fn a_long_list_of_bad_lines_is_told_in_part() {
    let run = check_refused(&scene_with_list("callback.resurs.com\n".repeat(100_000)), &["host-name"]);
    assert!(run.stdout.contains("\nand 99000 more\n"), "the rest is counted");
    assert!(run.stdout.ends_with("\n100000 errors, 0 warnings\n"), "all are counted");
    let run =
        scene_with_list("callback.resurs.com\n".repeat(1_001)).run(&["check", "--format", "json"]).expect(2);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (report["beyond"].as_u64(), report["diagnostics"].as_array().unwrap().len()),
        (Some(1), 1_000)
    );
}

/// A line for each number.
fn lines(count: u32, line: impl Fn(u32) -> String) -> String {
    (0..count).map(line).collect()
}

#[test]
fn many_of_anything_end_in_time() {
    let addresses: Vec<String> =
        (0..100_000).map(|n: u32| format!("51.{}.{}.{}", 20 + n / 65_536, n / 256 % 256, n % 256)).collect();
    let twice = [addresses.join(", "), addresses.join(", ")].join(", ");
    check_refused(&scene(POLICY.replace("192.121.110.100", &twice)), &["duplicate-prefix"]);
    let keys = lines(400_000, |n| format!("revison{n}: 1\n"));
    check_refused(&scene(format!("{POLICY}{keys}")), &["unknown-key"]);
    let sources = lines(20_000, |n| {
        format!(
            "  - {{ id: s{n}, prefixes: [{}], replaced_by: t{n}, evidence: [{{ page: faq, read: 2026-06-02 }}] }}\n",
            addresses[usize::try_from(n).unwrap()]
        )
    });
    let run = check_refused(&scene(format!("{POLICY}{sources}")), &["unknown-source"]);
    assert!(run.stdout.len() < 1 << 20, "{} bytes", run.stdout.len());
    let site = scene(POLICY);
    let selected = lines(80_000, |n| format!("- p{n}\n"));
    site.write("callgate.yaml", format!("{SITE}policies:\n{selected}"));
    check_refused(&site, &["unknown-provider"]);
}

#[test]
fn many_withdrawn_prefixes_are_compared_in_time() {
    let odd = lines(100_000, |n| format!("51.{}.{}.{}\n", 20 + n / 32_768, n / 128 % 256, n % 128 * 2 + 1));
    let scene = scene(format!(
        "{}  - id: old\n    prefixes_from: lists/old.txt\n    role: tombstone\n    lifecycle: {{ withdrawn: 2026-01-01 }}\n    evidence: [{{ page: faq, read: 2026-06-02 }}]\n",
        POLICY.replace("prefixes: [192.121.110.100]", "prefixes_from: lists/new.txt")
    ));
    let even = lines(100_000, |n| format!("51.{}.{}.{}\n", 20 + n / 32_768, n / 128 % 256, n % 128 * 2));
    scene.write("policies/lists/old.txt", odd);
    scene.write("policies/lists/new.txt", even);
    scene.write("callgate.yaml", "schema: 1\ntargets:\n  web: { kind: nginx, variant: geo }\n");
    check_bounded(&scene, &[]).expect(0);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    for text in [&b"\xff\xfe"[..], b"a: \xc3\x28\n", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"name: \xe5\n"] {
        check_everywhere(text, "not-utf8");
    }
    check_everywhere("a: \0\n", "yaml-syntax");
    check_everywhere("\0", "yaml-syntax");
    check_refused(&scene_with_list("192.121.110.100\0\n"), &["not-a-prefix"]);
}

#[test]
fn tabs_are_refused_with_the_reason() {
    for text in ["a:\n\tb: 1\n", &POLICY.replace("    prefixes", "\tprefixes")] {
        let run = check_refused(&scene(text), &["yaml-syntax"]);
        assert!(
            run.stdout.contains("help: indent with spaces: YAML allows no tabs there"),
            "{text:?}: {}",
            run.stdout
        );
    }
}

#[test]
fn files_without_a_document_or_with_two_are_refused() {
    for text in ["", "\n\n", "# only\n# comments\n", "   ", "---\n", "...\n", "\u{feff}"] {
        let run = check_bounded(&scene(text), &[]).expect(2);
        assert!(
            ["yaml-documents", "wrong-type"].contains(&codes(&run.stdout)[0]),
            "{text:?}: {}",
            run.stdout
        );
    }
    let second = format!("{POLICY}---\n{POLICY}");
    let run = check_refused(&scene(second), &["yaml-documents"]);
    assert!(run.stdout.contains("policies/resurs.yaml:12:1\n"), "{}", run.stdout);
    check_refused(&scene(format!("{POLICY}...\n---\n{POLICY}")), &["yaml-documents"]);
    check_bounded(&scene(format!("---\n{POLICY}...\n")), &[]).expect(0);
}

#[test]
fn line_ends_and_byte_order_marks_of_windows_are_read() {
    for policy in [
        POLICY.replace('\n', "\r\n"),
        format!("\u{feff}{POLICY}"),
        format!("\u{feff}{}", POLICY.replace('\n', "\r\n")),
    ] {
        check_bounded(&scene(&policy), &[]).expect(0);
        let run =
            check_refused(&scene(policy.replace("192.121.110.100", "192.121.110.100/24")), &["host-bits"]);
        assert!(run.stdout.contains(" policies/resurs.yaml:10:16\n"), "{}", run.stdout);
        let run = check_refused(&scene(policy.replace("schema: 1", "schema: 2")), &["schema-unsupported"]);
        assert!(run.stdout.contains(" policies/resurs.yaml:1:9\n"), "{}", run.stdout);
    }
    check_bounded(&scene_with_list("\u{feff}192.121.110.100\r\n\r\n# x\r\n13.50.187.51"), &[]).expect(0);
    let run = check_refused(&scene_with_list("\u{feff}192.121.110.100\r\nnobody\r\n"), &["host-name"]);
    assert!(run.stdout.contains(" policies/lists/x.txt:2:1\n"), "{}", run.stdout);
    let with_site = scene(POLICY);
    with_site.write("callgate.yaml", format!("\u{feff}{}", SITE.replace('\n', "\r\n")));
    check_bounded(&with_site, &[]).expect(0);
}

#[test]
fn lists_stay_in_the_folder_of_the_policies() {
    for path in ["../outside.txt", "/etc/hostname", "lists/../../outside.txt", ".", "./..", "lists/.."] {
        let scene = scene(POLICY.replace("prefixes: [192.121.110.100]", &format!("prefixes_from: {path}")));
        scene.write("outside.txt", "192.121.110.100\n");
        scene.write("policies/lists/x.txt", "192.121.110.100\n");
        let run = check_refused(&scene, &["invalid-value"]);
        assert!(run.stdout.contains("is not beside the policy"), "{path}: {}", run.stdout);
    }
}

/// Puts something that is no file at a path.
type Put = fn(&Path);

/// Where the list of [`scene_with_list`] is.
const LIST: &str = "policies/lists/x.txt";

/// What can stand where a file belongs.
const STRANGERS: [(&str, Put); 5] = [
    ("a folder", |path| std::fs::create_dir(path).unwrap()),
    ("a pipe", |path| drop(assert_cmd::Command::new("mkfifo").arg(path).assert().success())),
    ("an endless device", |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap()),
    ("a link to nothing", |path| std::os::unix::fs::symlink("nobody", path).unwrap()),
    ("a link to itself", |path| std::os::unix::fs::symlink(path.file_name().unwrap(), path).unwrap()),
];

#[test]
fn what_is_no_file_is_refused_in_place_of_one() {
    for (stranger, put) in STRANGERS {
        for place in ["policies/swedbank-pay.yaml", LIST, "templates/nginx/access.tera", "site.yaml"] {
            let scene = if place == LIST { scene_with_list("192.121.110.100\n") } else { scene(POLICY) };
            let site = if place == "site.yaml" { "other.yaml" } else { "site.yaml" };
            scene.write(site, SITE);
            let path = scene.write(place, "");
            std::fs::remove_file(&path).unwrap();
            put(&path);
            let run = check_bounded(&scene, &["--site", "site.yaml"]).expect(2);
            assert_eq!(codes(&run.stdout), ["file-unreadable"], "{stranger} as {place}: {}", run.stdout);
            assert!(run.stdout.contains(&format!("`{place}`")), "{stranger} as {place}: {}", run.stdout);
        }
    }
}

#[test]
fn what_is_no_folder_is_refused_in_place_of_one() {
    for (stranger, put) in
        STRANGERS.into_iter().filter(|(stranger, _)| !["a folder", "a link to nothing"].contains(stranger))
    {
        let scene = Scene::new();
        scene.write("callgate.yaml", SITE);
        put(&scene.path().join("policies"));
        let run = check_bounded(&scene, &[]).expect(2);
        assert_eq!(codes(&run.stdout), ["file-unreadable"], "{stranger}: {}", run.stdout);
        let run = check_bounded(&scene, &["policies"]).expect(2);
        assert_eq!(codes(&run.stdout), ["file-unreadable"], "{stranger}: {}", run.stdout);
    }
}

#[test]
fn what_is_missing_is_named() {
    let scene = scene(POLICY);
    for arguments in [
        &["--site", "missing.yaml"][..],
        &["--policies", "missing"],
        &["missing.yaml"],
        &["policies", "missing.yaml"],
    ] {
        let run = check_bounded(&scene, arguments).expect(2);
        assert_eq!(codes(&run.stdout), ["file-unreadable"], "{arguments:?}: {}", run.stdout);
        assert!(run.stdout.contains("`missing"), "{arguments:?}: {}", run.stdout);
    }
}

#[test]
fn what_may_not_be_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    for place in ["policies/resurs.yaml", "policies/lists/x.txt", "callgate.yaml", "policies"] {
        let scene = scene_with_list("192.121.110.100\n");
        scene.write("callgate.yaml", SITE);
        let path = scene.path().join(place);
        let mode = std::fs::metadata(&path).unwrap().permissions();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        let readable = std::fs::File::open(&path).is_ok();
        let run = check_bounded(&scene, &[]);
        std::fs::set_permissions(&path, mode).unwrap();
        if readable {
            eprintln!("skipped: this user may read everything");
            return;
        }
        assert_eq!((run.status, codes(&run.stdout)), (2, vec!["file-unreadable"]), "{place}: {}", run.stdout);
    }
}

#[test]
fn all_faults_of_all_files_are_told_in_one_run() {
    let scene =
        scene(POLICY.replace("192.121.110.100", "192.121.110.100/24").replace("revision: 1", "revision: 0"));
    scene.write("policies/swedbank-pay.yaml", "schema: [\n");
    scene.write("callgate.yaml", "schema: 1\ntargets:\n  web: { kind: nginx, variable: callgate }\n");
    scene.write("templates/nginx/acces.tera", "");
    let run = scene.run(&["check"]).expect(2);
    let wanted = ["invalid-value", "host-bits", "yaml-syntax", "invalid-value", "template-error"];
    assert_eq!(codes(&run.stdout), wanted);
}

#[test]
fn named_files_are_judged_each_by_itself() {
    let scene = scene(POLICY.replace("192.121.110.100", "192.121.110.100/24"));
    scene.write("policies/empty.yaml", "");
    scene.write("policies/swedbank-pay.yaml", POLICY.replace("provider: resurs", "provider: swedbank-pay"));
    let run = scene
        .run(&["check", "policies/resurs.yaml", "policies/empty.yaml", "policies/swedbank-pay.yaml"])
        .expect(2);
    assert_eq!(codes(&run.stdout), ["host-bits", "yaml-documents"]);
    assert!(run.stdout.contains("swedbank-pay revision 1: "), "{}", run.stdout);
    let run = scene.run(&["check", "policies/swedbank-pay.yaml", "policies/swedbank-pay.yaml"]).expect(0);
    assert_eq!(codes(&run.stdout), [""; 0]);
}
