//! The command line as a user meets it: help, streams and statuses, completions, schemas, and every command
//! that reads or writes files.
//!
//! Texts that are recorded are written anew with `UPDATE_EXPECTED=1`; read the difference.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use callgate::diagnostic::Diagnostics;
use callgate::policy::load::{Embedded, load};
use serde_json::Value;

use crate::golden::{files, policy};
use crate::support::{AT, Run, Scene, root};

/// Every command of the program.
pub(crate) const COMMANDS: [&str; 21] = [
    "check",
    "review",
    "ci",
    "report",
    "render",
    "explain",
    "admitted",
    "diff",
    "plan",
    "apply",
    "confirm",
    "rollback",
    "status",
    "upstream",
    "timeline",
    "init",
    "fmt",
    "schema",
    "prefixes",
    "completions",
    "man",
];

/// What comes after `prefixes`.
const OPERATIONS: [&str; 4] = ["aggregate", "diff", "intersect", "subtract"];

/// A site with two targets, whose artifacts are three files.
const SITE: &str = "schema: 1\ntargets:\n  web: { kind: nginx }\n  host: { kind: iptables, mode: permit }\n";

/// A site with one target, whose artifact is one file.
const ONE: &str = "schema: 1\ntargets:\n  web: { kind: nginx }\n";

/// A policy that is not in canonical form, with comments.
const UNTIDY: &str = "# Read by two people.\nschema:   1\nprovider: example\nname:    \"Example Pay\"   # as they write it\nrevision: 1\n\n\n\nservice: {protocol: tcp, ports: [ 443 ]}\npages:\n    docs: { url: 'https://example.com/ips', kind: text }\nsources:\n    # The only one.\n    - id: all\n      prefixes: [13.50.187.51]\n      evidence: [{ page: docs, read: 2025-01-01 }]\n";

/// A scene with a small policy and a site.
fn scene(site: &str) -> Scene {
    let scene = Scene::new();
    scene.write("policies/example.yaml", policy(&["13.50.187.51"]));
    scene.write("callgate.yaml", site);
    scene
}

/// The same scene with another prefix in the policy.
fn move_on(scene: &Scene) {
    scene.write("policies/example.yaml", policy(&["20.91.170.120/29"]));
}

/// Holds a text against what is recorded in the repository.
#[track_caller]
pub(crate) fn recorded(path: &str, text: &str) {
    let place = root().join(path);
    if std::env::var_os("UPDATE_EXPECTED").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "recording on demand")]
        std::fs::write(&place, text).unwrap();
    }
    let wanted = std::fs::read_to_string(&place).unwrap_or_default();
    assert_eq!(wanted, text, "{path} is not as recorded; UPDATE_EXPECTED=1 writes it");
}

/// The shipped policies: their file names and texts.
fn shipped() -> Vec<(String, String)> {
    let folder = root().join("policies");
    let texts = files(&folder).into_iter().map(|path| {
        let text = std::fs::read_to_string(folder.join(&path)).unwrap();
        (path.display().to_string(), text)
    });
    texts.collect()
}

/// Whether a shell is here; says so where it is not.
fn has_shell(shell: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(shell).is_file());
    if !found {
        eprintln!("skipped: {shell} is not installed");
    }
    found
}

/// Runs a line of `sh` in the scene, `$CALLGATE` being the program.
fn sh(scene: &Scene, line: &str) -> std::process::Output {
    let mut command = Command::new("sh");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("CALLGATE", env!("CARGO_BIN_EXE_callgate")).current_dir(scene.path());
    command.args(["-c", line]).output().unwrap()
}

// Help.

#[test]
fn help_of_the_program_and_of_every_command_is_as_recorded() {
    let scene = Scene::new();
    let help = |arguments: &[&str]| scene.run_now(arguments).expect(0);
    recorded("tests/golden-help/callgate.txt", &help(&["--help"]).stdout);
    for command in COMMANDS {
        let long = help(&[command, "--help"]);
        assert!(long.stderr.is_empty(), "{command}: {}", long.stderr);
        recorded(&format!("tests/golden-help/{command}.txt"), &long.stdout);
        assert_eq!(long.stdout, help(&["help", command]).stdout);
    }
    let operations = OPERATIONS.map(|operation| format!("prefixes-{operation}.txt"));
    for (operation, path) in OPERATIONS.iter().zip(&operations) {
        recorded(&format!("tests/golden-help/{path}"), &help(&["prefixes", operation, "--help"]).stdout);
    }
    recorded("tests/golden-help/upstream-extract.txt", &help(&["upstream", "extract", "--help"]).stdout);
    let names = COMMANDS.iter().chain(&["callgate", "upstream-extract"]).map(|name| format!("{name}.txt"));
    let known: BTreeSet<String> = names.chain(operations).collect();
    let kept: BTreeSet<String> =
        files(&root().join("tests/golden-help")).iter().map(|path| path.display().to_string()).collect();
    assert_eq!(kept, known);
}

#[test]
fn the_help_lists_exactly_the_known_commands() {
    let help = Scene::new().run_now(&["--help"]).expect(0).stdout;
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let wanted: Vec<&str> = COMMANDS.iter().copied().chain(["help"]).collect();
    assert_eq!(names, wanted);
}

#[test]
fn help_is_no_wider_than_a_hundred_columns() {
    let scene = Scene::new();
    for command in COMMANDS {
        let mut wide = scene.command(&[command, "--help"]);
        let output = wide.env("COLUMNS", "250").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{command}:\n{text}");
    }
}

#[test]
fn version_is_the_crates_own() {
    let run = Scene::new().run_now(&["--version"]).expect(0);
    assert_eq!(run.stdout, format!("callgate {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(run.stderr, "");
}

// Statuses and streams.

#[test]
fn wrong_usage_is_status_2_with_usage_on_standard_error() {
    let scene = Scene::new();
    let cases: [&[&str]; 9] = [
        &["--nonsense"],
        &["render", "--nonsense"],
        &["nonsense"],
        &[],
        &["explain"],
        &["schema"],
        &["render", "--check"],
        &["explain", "13.50.187.51", "8.8.8.8"],
        &["timeline", "--from"],
    ];
    for arguments in cases {
        let run = scene.run_now(arguments).expect(2);
        assert_eq!(run.stdout, "", "{arguments:?}");
        assert!(run.stderr.contains("Usage: callgate") || run.stderr.contains("--help"), "{}", run.stderr);
    }
    let run = scene.run_now(&["render", "--nonsense"]).expect(2);
    assert!(run.stderr.contains("--nonsense") && run.stderr.contains("Usage: callgate render"));
}

#[test]
fn wrong_values_of_options_are_status_2_and_named() {
    let scene = Scene::new();
    let cases: [&[&str]; 6] = [
        &["check", "--within", "month"],
        &["check", "--format", "xml"],
        &["explain", "13.50.187.300"],
        &["explain", "resurs.com"],
        &["schema", "nonsense"],
        &["completions", "command.com"],
    ];
    for arguments in cases {
        let run = scene.run_now(arguments).expect(2);
        assert_eq!(run.stdout, "", "{arguments:?}");
        assert!(run.stderr.contains(arguments.last().unwrap()), "{}", run.stderr);
    }
}

#[test]
fn an_instant_that_is_none_is_refused_with_the_mend() {
    let scene = Scene::new();
    for at in
        ["", "nonsense", "2026-13-01", "2025-02-29", "12:00", "2026-11-20T12:00:00", "2026-11-20T25:00:00Z"]
    {
        let run = scene.run_now(&["render", "--at", at]).expect(2);
        assert_eq!(run.stdout, "", "{at}");
        assert!(
            run.stderr.contains("--at") && run.stderr.contains("Europe/Stockholm"),
            "{at}: {}",
            run.stderr
        );
    }
    let run = scene.run_now(&["render", "--at", "2026-11-20T12:00[Europe/Stokholm]"]).expect(2);
    assert!(run.stderr.contains("Europe/Stokholm"), "{}", run.stderr);
}

#[test]
fn every_form_of_an_instant_is_taken() {
    let scene = Scene::new();
    let at = |at: &str| scene.run_now(&["explain", "13.50.187.51", "--at", at]).expect(0).stdout;
    let wanted = at("2026-11-20T00:00:00Z");
    for form in ["2026-11-20", "2026-11-20T01:00:00+01:00", "2026-11-20T01:00[Europe/Stockholm]"] {
        assert_eq!(at(form), wanted, "{form}");
    }
}

#[test]
fn what_every_command_takes_stands_before_its_name_or_after_it_and_there_it_counts() {
    let scene = Scene::new();
    let told = |arguments: &[&str]| scene.run_now(arguments).expect(0).stdout;
    let wanted = told(&["explain", "13.50.187.51", "--at", "2026-11-20"]);
    assert!(wanted.contains("2026-11-20"), "{wanted}");
    assert_eq!(told(&["--at", "2026-11-20", "explain", "13.50.187.51"]), wanted);
    assert_eq!(told(&["--at", "2020-01-01", "explain", "13.50.187.51", "--at", "2026-11-20"]), wanted);
    let run = scene.run_now(&["explain", "13.50.187.51", "--policies", "gone"]).expect(2);
    assert_eq!(
        scene.run_now(&["--policies", "gone", "explain", "13.50.187.51"]).expect(2).stderr,
        run.stderr
    );
    assert_eq!(
        scene
            .run_now(&["--policies", "other", "explain", "13.50.187.51", "--policies", "gone"])
            .expect(2)
            .stderr,
        run.stderr
    );
    // A list of prefixes is of no instant.
    scene.write("list", "192.0.2.1\n");
    let run = scene.run_now(&["prefixes", "aggregate", "list", "--at", "2026-11-20"]).expect(2);
    assert!(run.stderr.contains("--at"), "{}", run.stderr);
}

#[test]
fn data_is_on_standard_output_and_everything_else_on_standard_error() {
    let scene = Scene::new();
    let commands: [&[&str]; 8] = [
        &["render"],
        &["render", "--out", "out"],
        &["explain", "13.50.187.51"],
        &["timeline"],
        &["schema", "policy"],
        &["man"],
        &["completions", "bash"],
        &["check"],
    ];
    for arguments in commands {
        let run = scene.run(arguments);
        assert!(!run.stdout.is_empty(), "{arguments:?}");
        assert_eq!(run.stderr, "", "{arguments:?}");
    }
    scene.write("callgate.yaml", "schema: 1\ntargets: { web: { kind: apache } }\n");
    for arguments in [&["render"][..], &["explain", "13.50.187.51"], &["timeline"]] {
        let run = scene.run(arguments).expect(2);
        assert_eq!(run.stdout, "", "{arguments:?}");
        assert!(run.stderr.contains("`apache`"), "{}", run.stderr);
    }
}

/// A site with a fault, so that diagnostics are shown on both streams.
fn with_fault() -> Scene {
    let scene = Scene::new();
    scene.write("callgate.yaml", "schema: 1\ntargets: { web: { kind: apache } }\n");
    scene
}

#[test]
fn there_are_no_colours_where_no_terminal_is_unless_they_are_forced() {
    let scene = with_fault();
    let colours = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = scene.command(arguments);
        let output = command.args(["--at", AT]).envs(variables.iter().copied()).output().unwrap();
        (output.stdout.contains(&0x1b), output.stderr.contains(&0x1b))
    };
    for arguments in [&["check"][..], &["render"], &["render", "--nonsense"], &["check", "--format", "json"]]
    {
        for variables in [
            &[][..],
            &[("TERM", "xterm-256color")],
            &[("NO_COLOR", "1"), ("TERM", "xterm")],
            &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")],
        ] {
            assert_eq!(colours(arguments, variables), (false, false), "{arguments:?} {variables:?}");
        }
    }
    let forced = [("CLICOLOR_FORCE", "1")];
    assert_eq!(colours(&["check"], &forced), (true, false));
    assert_eq!(colours(&["render"], &forced), (false, true));
    assert_eq!(colours(&["render", "--nonsense"], &forced), (false, true));
    // What machines read never has any.
    assert_eq!(colours(&["check", "--format", "json"], &forced), (false, false));
    assert_eq!(colours(&["check", "--format", "markdown"], &forced), (false, false));
}

#[test]
fn a_rendered_file_has_no_colours_even_where_they_are_forced() {
    let scene = scene(ONE);
    let plain = scene.run(&["render"]).expect(0).stdout;
    let mut forced = scene.command(&["render", "--at", AT]);
    assert_eq!(forced.env("CLICOLOR_FORCE", "1").output().unwrap().stdout, plain.into_bytes());
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let scene = Scene::new();
    let many: Vec<String> = (0..20_000)
        .map(|number| format!("20.{}.{}.{}", number / 5000, number / 20 % 250, number % 20 * 2))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    scene.write("policies/example.yaml", policy(&many));
    for arguments in ["render", "timeline", "timeline --format json"] {
        let line = format!("{{ \"$CALLGATE\" {arguments} --at {AT}; echo \"status $?\" >&2; }} | head -n 1");
        let output = sh(&scene, &line);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked") && !stderr.contains("error"), "{arguments}: {stderr}");
        assert!(stderr.contains("status 0"), "{arguments}: {stderr}");
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1, "{arguments}");
    }
}

#[test]
fn a_reader_that_goes_away_does_not_make_errors_a_success() {
    let scene = Scene::new();
    let targets: Vec<String> = (0..900).map(|number| format!("  t{number}: {{ kind: apache }}\n")).collect();
    scene.write("callgate.yaml", format!("schema: 1\ntargets:\n{}", targets.concat()));
    let line = format!("{{ \"$CALLGATE\" check --at {AT}; echo \"status $?\" >&2; }} | head -n 1");
    let stderr = String::from_utf8(sh(&scene, &line).stderr).unwrap();
    assert!(stderr.ends_with("status 2\n") && !stderr.contains("panicked"), "{stderr}");
}

#[test]
fn data_that_cannot_be_written_is_a_failure() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full");
        return;
    }
    let scene = Scene::new();
    for arguments in ["schema policy", "render", "timeline", "check", "man", "completions zsh"] {
        let output = sh(&scene, &format!("\"$CALLGATE\" {arguments} --at {AT} > /dev/full"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
        assert!(stderr.starts_with("error: "), "{arguments}: {stderr}");
    }
}

// Completions and manual pages.

#[test]
fn completions_of_every_shell_name_every_command_and_the_shell_reads_them() {
    let scene = Scene::new();
    for (shell, options) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let text = scene.run_now(&["completions", shell]).expect(0).stdout;
        for command in COMMANDS {
            assert!(text.contains(command), "{shell}: {command}");
        }
        assert!(text.contains("with-policies"), "{shell}");
        let file = scene.write(&format!("completions.{shell}"), &text);
        if has_shell(shell) {
            let mut command = Command::new(shell);
            let output = command.arg(options).arg(file).output().unwrap();
            assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn bash_completes_commands() {
    if !has_shell("bash") {
        return;
    }
    let scene = Scene::new();
    let line = "source /dev/stdin && COMP_WORDS=(callgate ti) COMP_CWORD=1 && _callgate callgate ti callgate && echo \"${COMPREPLY[@]}\"";
    let completions = scene.run_now(&["completions", "bash"]).expect(0).stdout;
    let mut bash = Command::new("bash");
    let output = bash.args(["-c", line]).write_stdin(completions).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "timeline", "{stderr}");
}

#[test]
fn the_manual_is_roff_on_standard_output_or_a_page_a_command_in_a_folder() {
    let scene = Scene::new();
    let page = scene.run_now(&["man"]).expect(0).stdout;
    assert!(page.contains(".TH callgate 1") && page.contains(".SH NAME"), "{page}");
    scene.run_now(&["man", "--out", "share/man1"]).expect(0);
    let written: BTreeSet<String> =
        files(&scene.path().join("share/man1")).iter().map(|path| path.display().to_string()).collect();
    let wanted = COMMANDS.iter().map(|command| format!("callgate-{command}.1"));
    let operations = OPERATIONS.iter().map(|operation| format!("callgate-prefixes-{operation}.1"));
    let further = ["callgate.1", "callgate-upstream-extract.1"].map(str::to_owned);
    assert_eq!(written, wanted.chain(operations).chain(further).collect());
    for page in written {
        assert!(scene.read(&format!("share/man1/{page}")).contains(".TH "), "{page}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let scene = scene(ONE);
    scene.write("file", "not a folder");
    let cases: [&[&str]; 3] =
        [&["man", "--out", "file"], &["render", "--out", "file"], &["init", "file/below"]];
    for arguments in cases {
        let run = scene.run_now(arguments).expect(2);
        assert_eq!(run.stdout, "", "{arguments:?}");
        assert!(run.stderr.starts_with("error: `file") && run.stderr.contains("can't be "), "{}", run.stderr);
    }
    assert_eq!(scene.read("file"), "not a folder");
}

// Schemas.

fn schema(which: &str) -> Value {
    serde_json::from_str(&Scene::new().run_now(&["schema", which]).expect(0).stdout).unwrap()
}

/// What a validator says against a file; nothing where the file fits, or is not YAML that the other reader takes.
fn faults(schema: &Value, path: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let value: Value = serde_yaml::from_str(text).ok()?;
    let validator = jsonschema::draft202012::new(schema).unwrap();
    Some(validator.iter_errors(&value).map(|error| format!("{}: {error}", path.display())).collect())
}

#[test]
fn the_schemas_in_the_documents_are_those_that_the_program_prints() {
    let scene = Scene::new();
    for which in ["policy", "site", "review"] {
        let printed = scene.run_now(&["schema", which]).expect(0).stdout;
        recorded(&format!("docs/schema/{which}.schema.json"), &printed);
    }
}

#[test]
fn the_schemas_are_valid_by_the_draft_that_they_name() {
    for which in ["policy", "site", "review"] {
        let schema = schema(which);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        jsonschema::draft202012::meta::validate(&schema).unwrap();
    }
}

#[test]
fn shipped_policies_and_accepted_fixtures_fit_the_schema() {
    let schema = schema("policy");
    let accepted = root().join("tests/fixtures/check/accepted");
    let mut paths: Vec<PathBuf> = files(&accepted).into_iter().map(|path| accepted.join(path)).collect();
    paths.extend(shipped().into_iter().map(|(name, _)| root().join("policies").join(name)));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    assert!(paths.len() >= 15);
    for path in paths {
        assert_eq!(faults(&schema, &path), Some(Vec::new()));
    }
}

#[test]
fn the_site_that_init_writes_fits_the_schema() {
    assert_eq!(faults(&schema("site"), &root().join("src/cli/init.yaml")), Some(Vec::new()));
}

/// Fixtures of structural faults that a schema can know, by the file that has the fault.
const STRUCTURAL: [&str; 20] = [
    "unknown-key/far-from-all/policies/resurs.yaml",
    "unknown-key/near-a-known-one/policies/resurs.yaml",
    "unknown-key/in-the-site/callgate.yaml",
    "unknown-key/in-a-target/callgate.yaml",
    "missing-key/in-a-policy/policies/resurs.yaml",
    "missing-key/in-evidence/policies/resurs.yaml",
    "missing-key/waiver-without-reason-or-end/policies/resurs.yaml",
    "missing-key/target-kind/callgate.yaml",
    "missing-key/no-target/callgate.yaml",
    "wrong-type/a-list-as-the-policy/policies/resurs.yaml",
    "wrong-type/boolean-in-words/policies/resurs.yaml",
    "wrong-type/negative-and-octal-numbers/policies/resurs.yaml",
    "wrong-type/nothing/policies/resurs.yaml",
    "wrong-type/number-in-quotes/policies/resurs.yaml",
    "wrong-type/port-above-65535/policies/resurs.yaml",
    "wrong-type/target-without-settings/callgate.yaml",
    "wrong-type/text-where-a-list-belongs/policies/resurs.yaml",
    "invalid-value/unknown-kind/callgate.yaml",
    "invalid-value/word-near-a-known-one/policies/resurs.yaml",
    "invalid-value/revision-0/policies/resurs.yaml",
];

#[test]
fn files_with_structural_faults_do_not_fit_the_schema() {
    let mut fitting = Vec::new();
    for case in STRUCTURAL {
        let which = if case.ends_with("callgate.yaml") { "site" } else { "policy" };
        let found = faults(&schema(which), &root().join("tests/fixtures/check").join(case));
        if found.is_none_or(|faults| faults.is_empty()) {
            fitting.push(case);
        }
    }
    assert!(fitting.is_empty(), "the schema lets through: {fitting:#?}");
}

/// Codes of faults that may keep a file from having its shape.
const OF_SHAPE: [&str; 9] = [
    "bad-instant",
    "invalid-value",
    "missing-key",
    "repeated-key",
    "unknown-key",
    "wrong-type",
    "yaml-documents",
    "yaml-syntax",
    "yaml-too-large",
];

#[test]
fn what_the_program_reads_without_a_fault_of_shape_fits_the_schema() {
    let base = root().join("tests/fixtures/check");
    let (policy, site) = (schema("policy"), schema("site"));
    let (mut misfits, mut tried) = (Vec::new(), 0);
    for path in files(&base) {
        let shown = path.display().to_string();
        let case: PathBuf = path.components().take(2).collect();
        let expected = std::fs::read_to_string(base.join(&case).join("expected.txt")).unwrap();
        if !shown.ends_with(".yaml") || OF_SHAPE.iter().any(|code| expected.contains(&format!("[{code}]"))) {
            continue;
        }
        let schema = if shown.ends_with("callgate.yaml") { &site } else { &policy };
        tried += 1;
        misfits.extend(faults(schema, &base.join(&path)).into_iter().flatten());
    }
    assert!(tried > 100, "{tried}");
    assert!(misfits.is_empty(), "{misfits:#?}");
}

// Another reader of YAML.

#[test]
fn another_yaml_reader_finds_the_same_sources_in_the_shipped_policies() {
    let mut sink = Diagnostics::new();
    let policies = load(&Embedded, AT.parse().unwrap(), &mut sink);
    let shipped = shipped();
    assert_eq!(policies.by_provider.len(), shipped.len());
    for (name, text) in shipped {
        let value: Value = serde_yaml::from_str(&text).unwrap();
        let ours = &policies.by_provider[value["provider"].as_str().unwrap()];
        let words = |list: &Value| -> BTreeSet<String> {
            list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let theirs: BTreeMap<String, BTreeSet<String>> = value["sources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|source| (source["id"].as_str().unwrap().to_owned(), words(&source["prefixes"])))
            .collect();
        let ours: BTreeMap<String, BTreeSet<String>> = ours
            .sources
            .iter()
            .map(|source| {
                let prefixes = source.prefixes.iter().map(|prefix| prefix.short().to_string());
                (source.id.as_str().to_owned(), prefixes.collect())
            })
            .collect();
        assert_eq!(ours, theirs, "{name}");
    }
}

// init

#[test]
fn init_writes_a_site_that_check_and_render_take() {
    let scene = Scene::new();
    let run = scene.run_now(&["init"]).expect(0);
    assert!(run.stdout.contains("callgate.yaml") && run.stdout.contains("callgate check"), "{}", run.stdout);
    scene.run(&["check"]).expect(0);
    scene.run(&["render", "--out", "rendered"]).expect(0);
    assert!(scene.read("rendered/nginx.access.conf").contains("deny all;"));
}

#[test]
fn init_into_a_folder_makes_it() {
    let scene = Scene::new();
    scene.run_now(&["init", "shop/callbacks"]).expect(0);
    scene.run(&["check", "--site", "shop/callbacks/callgate.yaml"]).expect(0);
}

#[test]
fn init_overwrites_only_by_force() {
    let scene = Scene::new();
    scene.write("callgate.yaml", "mine\n");
    for arguments in [&["init"][..], &["init", "--with-policies"]] {
        let run = scene.run_now(arguments).expect(2);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains("callgate.yaml exists already") && run.stderr.contains("--force"));
        assert_eq!(scene.read("callgate.yaml"), "mine\n");
        assert!(!scene.path().join("policies").exists());
    }
    scene.run_now(&["init", "--force"]).expect(0);
    assert!(scene.read("callgate.yaml").contains("schema: 1"));
}

#[test]
fn init_writes_nothing_where_one_of_its_files_is_there() {
    let scene = Scene::new();
    scene.write("policies/resurs.yaml", "mine\n");
    scene.run_now(&["init", "--with-policies"]).expect(2);
    assert!(!scene.path().join("callgate.yaml").exists());
    assert_eq!(scene.read("policies/resurs.yaml"), "mine\n");
}

#[test]
fn init_copies_the_policies_byte_for_byte() {
    let scene = Scene::new();
    scene.run_now(&["init", "--with-policies"]).expect(0);
    let copied: Vec<(String, String)> = files(&scene.path().join("policies"))
        .into_iter()
        .map(|path| {
            let name = path.display().to_string();
            (name.clone(), scene.read(&format!("policies/{name}")))
        })
        .collect();
    assert_eq!(copied, shipped());
    scene.run(&["check"]).expect(0);
    scene.run(&["fmt", "--check"]).expect(0);
}

#[test]
fn every_commented_out_line_of_the_written_site_may_be_taken() {
    let scene = Scene::new();
    scene.run_now(&["init"]).expect(0);
    let written = scene.read("callgate.yaml");
    let proposed =
        |line: &&str| line.starts_with("  # ") && line.contains(": {") || line.starts_with("# service: {");
    let lines: Vec<&str> = written.lines().filter(proposed).collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    for line in &lines {
        scene.write("callgate.yaml", written.replace(line, &line.replacen("# ", "", 1)));
        let run = scene.run(&["check"]);
        assert_eq!(run.status, 0, "{line}\n{}", run.stdout);
    }
    // The exceptions are one block.
    let (before, rest) = written.split_once("# exceptions:\n").unwrap();
    let (block, after) = rest.split_once("\n\n").unwrap();
    let block: Vec<&str> = block.lines().map(|line| line.strip_prefix("# ").unwrap()).collect();
    scene.write("callgate.yaml", format!("{before}exceptions:\n{}\n\n{after}", block.join("\n")));
    scene.run(&["check"]).expect(0);
    // And all of it together.
    let all = lines
        .iter()
        .fold(scene.read("callgate.yaml"), |text, line| text.replace(line, &line.replacen("# ", "", 1)));
    scene.write("callgate.yaml", all);
    scene.run(&["check"]).expect(0);
}

// render

#[test]
fn one_file_is_printed_plainly_and_several_with_their_names() {
    let one = scene(ONE).run(&["render"]).expect(0).stdout;
    assert!(one.starts_with('#') && !one.contains("==>") && one.ends_with("deny all;\n"), "{one}");
    let several = scene(SITE).run(&["render"]).expect(0).stdout;
    let names: Vec<&str> = several.lines().filter(|line| line.starts_with("==> ")).collect();
    assert_eq!(
        names,
        ["==> host.v4.rules <==", "==> host.v6.rules <==", "==> web.access.conf <=="],
        "{several}"
    );
    assert!(several.contains(&format!("==> web.access.conf <==\n{one}")), "{several}");
}

#[test]
fn targets_are_selected_by_name() {
    let scene = scene(SITE);
    let one = scene.run(&["render", "--target", "web"]).expect(0).stdout;
    assert!(one.contains("deny all;") && !one.contains("==>"), "{one}");
    let both = scene.run(&["render", "--target", "web", "--target", "host"]).expect(0).stdout;
    assert_eq!(both, scene.run(&["render"]).expect(0).stdout);
    let run = scene.run(&["render", "--target", "wbe"]).expect(2);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("`wbe`") && run.stderr.contains("it has: host, web"), "{}", run.stderr);
    scene.run(&["render", "--target", "wbe", "--out", "out"]).expect(2);
    assert!(!scene.path().join("out").exists());
}

#[test]
fn rendering_one_target_leaves_the_files_of_others_and_the_manifest_alone() {
    let scene = scene(SITE);
    scene.run(&["render", "--out", "out"]).expect(0);
    let manifest = scene.read("out/callgate.manifest.json");
    let host = scene.read("out/host.v4.rules");
    move_on(&scene);
    let run = scene.run(&["render", "--out", "out", "--target", "web"]).expect(0);
    assert!(!run.stdout.contains("left over"), "{}", run.stdout);
    assert!(scene.read("out/web.access.conf").contains("20.91.170.120/29"));
    assert_eq!(scene.read("out/host.v4.rules"), host);
    assert_eq!(scene.read("out/callgate.manifest.json"), manifest);
    scene.run(&["render", "--out", "out", "--target", "web", "--check"]).expect(0);
    scene.run(&["render", "--out", "out", "--check"]).expect(1);
}

/// Inode, modification and mode of every file of a folder.
fn states(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, u32)> {
    let state = |path: &Path| {
        let found = std::fs::symlink_metadata(folder.join(path)).unwrap();
        (found.ino(), found.mtime(), found.mtime_nsec(), found.mode())
    };
    files(folder).into_iter().map(|path| (path.clone(), state(&path))).collect()
}

#[test]
fn a_second_run_keeps_what_is_fresh_and_touches_nothing() {
    let scene = scene(SITE);
    let first = scene.run(&["render", "--out", "out"]).expect(0).stdout;
    assert_eq!(first.matches("wrote out/").count(), 4, "{first}");
    assert!(first.contains("wrote out/web.access.conf exclusive\n"), "{first}");
    assert!(first.contains("wrote out/host.v4.rules permit\n"), "{first}");
    let before = states(&scene.path().join("out"));
    let second = scene.run(&["render", "--out", "out"]).expect(0).stdout;
    assert_eq!((second.matches("kept  out/").count(), second.matches("wrote").count()), (4, 0), "{second}");
    assert_eq!(states(&scene.path().join("out")), before);
    // One that was edited is written, the others are kept.
    scene.write("out/host.v4.rules", "edited\n");
    let third = scene.run(&["render", "--out", "out"]).expect(0).stdout;
    assert_eq!((third.matches("kept  out/").count(), third.matches("wrote out/").count()), (3, 1), "{third}");
}

#[test]
fn a_fresh_folder_is_status_0_and_says_nothing() {
    let scene = scene(SITE);
    scene.run(&["render", "--out", "out"]).expect(0);
    let run = scene.run(&["render", "--out", "out", "--check"]).expect(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
}

/// Runs `render --check` on what is not fresh: status 1, a difference, and nothing changed.
fn stale(scene: &Scene) -> String {
    let before = states(&scene.path().join("out"));
    let run = scene.run(&["render", "--out", "out", "--check"]).expect(1);
    assert_eq!(states(&scene.path().join("out")), before);
    assert!(
        run.stderr.starts_with("stale: ") && run.stderr.contains("callgate render --out out"),
        "{}",
        run.stderr
    );
    run.stdout
}

#[track_caller]
fn is_unified(diff: &str, path: &str) {
    assert!(diff.contains(&format!("--- {path}\n+++ {path} (rendered now)\n@@ -")), "{diff}");
}

#[test]
fn a_stale_folder_is_status_1_with_a_unified_difference() {
    let scene = scene(SITE);
    scene.run(&["render", "--out", "out"]).expect(0);
    move_on(&scene);
    let diff = stale(&scene);
    is_unified(&diff, "out/web.access.conf");
    assert!(diff.contains("\n-allow 13.50.187.51;") && diff.contains("\n+allow 20.91.170.120/29;"), "{diff}");
    is_unified(&diff, "out/callgate.manifest.json");
}

#[test]
fn an_edited_file_is_stale() {
    let scene = scene(ONE);
    scene.run(&["render", "--out", "out"]).expect(0);
    let text = scene.read("out/web.access.conf");
    scene.write("out/web.access.conf", text.replace("deny all;", "allow all;"));
    let diff = stale(&scene);
    is_unified(&diff, "out/web.access.conf");
    assert!(diff.contains("\n-allow all;\n+deny all;\n"), "{diff}");
    assert!(!diff.contains("manifest"), "{diff}");
}

#[test]
fn a_file_that_differs_in_bytes_that_are_not_seen_is_stale() {
    let scene = scene(ONE);
    scene.run(&["render", "--out", "out"]).expect(0);
    let text = scene.read("out/web.access.conf");
    let edits = [
        format!("\u{feff}{text}").into_bytes(),
        text.replace('\n', "\r\n").into_bytes(),
        text.trim_end().as_bytes().to_vec(),
        [text.as_bytes(), b"# \xff\n"].concat(),
    ];
    for edited in edits {
        scene.write("out/web.access.conf", &edited);
        is_unified(&stale(&scene), "out/web.access.conf");
    }
}

#[test]
fn a_missing_file_or_folder_is_stale() {
    let scene = scene(ONE);
    scene.run(&["render", "--out", "out"]).expect(0);
    std::fs::remove_file(scene.path().join("out/web.access.conf")).unwrap();
    let diff = stale(&scene);
    is_unified(&diff, "out/web.access.conf");
    assert!(!scene.path().join("out/web.access.conf").exists());
    std::fs::remove_dir_all(scene.path().join("out")).unwrap();
    is_unified(&stale(&scene), "out/callgate.manifest.json");
    assert!(!scene.path().join("out").exists());
}

#[test]
fn files_of_a_target_that_is_gone_are_left_over_until_they_are_removed() {
    let scene = scene(ONE);
    scene.run(&["render", "--out", "out"]).expect(0);
    scene.write("callgate.yaml", ONE.replace("web", "shop"));
    let told = "left over: out/web.access.conf is rendered no more";
    assert!(stale(&scene).contains(told));
    for _ in 0..2 {
        // Rendering does not make it forgotten.
        let run = scene.run(&["render", "--out", "out"]).expect(0);
        assert!(run.stdout.contains(&format!("{told}; remove it\n")), "{}", run.stdout);
        assert!(stale(&scene).contains(told));
    }
    assert!(scene.path().join("out/web.access.conf").exists(), "it is not ours to remove");
    std::fs::remove_file(scene.path().join("out/web.access.conf")).unwrap();
    let run = scene.run(&["render", "--out", "out"]).expect(0);
    assert!(!run.stdout.contains("left over"), "{}", run.stdout);
    scene.run(&["render", "--out", "out", "--check"]).expect(0);
}

#[test]
fn a_manifest_that_names_files_outside_the_folder_is_not_followed() {
    let scene = scene(ONE);
    scene.write("secret", "");
    scene.write(
        "out/callgate.manifest.json",
        r#"{ "left_over": ["../secret", "/etc/passwd"], "targets": [{ "files": [{ "path": "../callgate.yaml" }] }] }"#,
    );
    let run = scene.run(&["render", "--out", "out"]).expect(0);
    assert!(!run.stdout.contains("left over"), "{}", run.stdout);
}

#[test]
fn a_folder_that_cannot_be_written_is_status_2() {
    let scene = scene(ONE);
    scene.write("file", "");
    let mut places = vec!["file", "file/below"];
    // Nobody can make a folder there, root included.
    if Path::new("/proc/self").exists() {
        places.push("/proc/callgate");
    }
    for place in places {
        let run = scene.run(&["render", "--out", place]).expect(2);
        assert_eq!(run.stdout, "");
        assert!(
            run.stderr.contains(&format!("error: `{place}/web.access.conf` can't be written: ")),
            "{}",
            run.stderr
        );
    }
    scene.run(&["render", "--out", "file", "--check"]).expect(2);
}

#[test]
fn a_folder_where_a_file_belongs_is_status_2() {
    let scene = scene(ONE);
    scene.write("out/web.access.conf/keep", "");
    let run = scene.run(&["render", "--out", "out"]).expect(2);
    assert!(run.stderr.contains("`out/web.access.conf` can't be written"), "{}", run.stderr);
    let run = scene.run(&["render", "--out", "out", "--check"]).expect(2);
    assert!(run.stderr.contains("`out/web.access.conf` is not a regular file"), "{}", run.stderr);
    assert_eq!(files(&scene.path().join("out")), [PathBuf::from("web.access.conf/keep")]);
}

#[test]
fn a_replaced_file_keeps_its_mode() {
    let scene = scene(ONE);
    scene.run(&["render", "--out", "out"]).expect(0);
    let path = scene.path().join("out/web.access.conf");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o644);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    move_on(&scene);
    let run = scene.run(&["render", "--out", "out"]).expect(0);
    assert!(run.stdout.contains("wrote out/web.access.conf"), "{}", run.stdout);
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn a_file_is_replaced_whole_so_that_whoever_reads_the_old_one_keeps_it() {
    let scene = scene(ONE);
    scene.run(&["render", "--out", "out"]).expect(0);
    let old = scene.read("out/web.access.conf");
    let path = scene.path().join("out/web.access.conf");
    std::fs::hard_link(&path, scene.path().join("linked")).unwrap();
    let mut open = std::fs::File::open(&path).unwrap();
    move_on(&scene);
    scene.run(&["render", "--out", "out"]).expect(0);
    assert_ne!(scene.read("out/web.access.conf"), old);
    assert_eq!(scene.read("linked"), old);
    assert_eq!(std::io::read_to_string(&mut open).unwrap(), old);
    let left: Vec<PathBuf> = files(&scene.path().join("out"));
    assert_eq!(left, [PathBuf::from("callgate.manifest.json"), PathBuf::from("web.access.conf")]);
}

#[test]
fn what_a_symbolic_link_points_at_keeps_its_content() {
    let scene = scene(ONE);
    scene.write("elsewhere.conf", "mine\n");
    scene.write("out/.keep", "");
    std::os::unix::fs::symlink("../elsewhere.conf", scene.path().join("out/web.access.conf")).unwrap();
    scene.run(&["render", "--out", "out"]).expect(0);
    assert_eq!(scene.read("elsewhere.conf"), "mine\n");
    assert!(std::fs::symlink_metadata(scene.path().join("out/web.access.conf")).unwrap().is_file());
}

#[test]
fn nothing_is_written_while_an_error_remains() {
    let scene = scene(SITE);
    scene.run(&["render", "--out", "out"]).expect(0);
    let before = states(&scene.path().join("out"));
    scene.write("policies/broken.yaml", "schema: 1\n");
    let run = scene.run(&["render", "--out", "out"]).expect(2);
    assert_eq!(run.stdout, "");
    assert_eq!(states(&scene.path().join("out")), before);
    scene.run(&["render", "--out", "out", "--check"]).expect(2);
}

// Templates.

#[test]
fn a_local_template_takes_the_place_of_one_and_leaves_the_others() {
    let scene = scene(SITE);
    scene.run(&["render", "--out", "before"]).expect(0);
    let shipped = std::fs::read_to_string(root().join("templates/nginx/access.tera")).unwrap();
    scene.write("templates/nginx/access.tera", format!("# ours\n{shipped}"));
    scene.run(&["check"]).expect(0);
    scene.run(&["render", "--out", "out"]).expect(0);
    assert_eq!(
        scene.read("out/web.access.conf"),
        format!("# ours\n{}", scene.read("before/web.access.conf"))
    );
    for same in ["host.v4.rules", "host.v6.rules"] {
        assert_eq!(scene.read(&format!("out/{same}")), scene.read(&format!("before/{same}")));
    }
}

/// What `check` and `render` say of a template that they refuse.
fn refused(file: &str, text: &str) -> String {
    let scene = scene(ONE);
    scene.write(file, text);
    let render = scene.run(&["render", "--out", "out"]).expect(2);
    assert_eq!(render.stdout, "");
    assert!(!scene.path().join("out").exists());
    let check = scene.run(&["check"]).expect(2).stdout;
    assert!(check.contains("error[template-error]: ") && render.stderr.contains("error[template-error]: "));
    check
}

#[test]
fn a_broken_template_is_told_with_its_name_its_line_and_what_is_missing() {
    let text = refused(
        "templates/nginx/access.tera",
        "{{ header -}}\n{{ note -}}\n{{ entires -}}\n{{ closing -}}\n",
    );
    for part in ["nginx/access.tera", ":3:", "entires", "header, note, entries, closing"] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    let text = refused("templates/nginx/access.tera", "{{ header -}}\n{% if note %}\n");
    for part in ["nginx/access.tera", "header, note, entries, closing"] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

#[test]
fn a_template_that_leaves_out_a_value_is_refused() {
    for value in ["header", "note", "entries", "closing"] {
        let shipped = std::fs::read_to_string(root().join("templates/nginx/access.tera")).unwrap();
        let lines: Vec<&str> = shipped.lines().filter(|line| !line.contains(value)).collect();
        let text = refused("templates/nginx/access.tera", &lines.join("\n"));
        assert!(text.contains(&format!("template `nginx/access.tera` leaves out `{value}`")), "{text}");
    }
}

#[test]
fn a_misspelled_template_is_refused_with_the_names_that_there_are() {
    for (file, name) in [
        ("templates/nginx/acess.tera", "nginx/acess.tera"),
        ("templates/ngnix/access.tera", "ngnix/access.tera"),
        ("templates/iptable/rules.tera", "iptable/rules.tera"),
        ("templates/access.tera", "access.tera"),
    ] {
        let text = refused(file, "{{ header }}");
        assert!(
            text.contains(&format!("template `{name}` is not one")) && text.contains("nginx/access.tera"),
            "{text}"
        );
    }
}

// fmt

#[test]
fn the_shipped_policies_are_in_canonical_form() {
    let mut arguments = vec!["fmt".to_owned(), "--check".to_owned()];
    arguments.extend(shipped().into_iter().map(|(name, _)| format!("{}/policies/{name}", root().display())));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = Scene::new().run_now(&arguments).expect(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
}

#[test]
fn formatting_twice_is_formatting_once_and_keeps_comments_and_meaning() {
    let scene = Scene::new();
    scene.write("policies/example.yaml", UNTIDY);
    let digest = |run: Run| run.stdout.lines().find(|line| line.contains("digest")).unwrap().to_owned();
    let before = digest(scene.run(&["check", "policies"]).expect(0));
    let run = scene.run_now(&["fmt"]).expect(0);
    assert_eq!(run.stdout, "formatted policies/example.yaml\n");
    let once = scene.read("policies/example.yaml");
    assert_ne!(once, UNTIDY);
    for comment in ["# Read by two people.", "# as they write it", "# The only one."] {
        assert_eq!(once.matches(comment).count(), 1, "{once}");
    }
    assert_eq!(digest(scene.run(&["check", "policies"]).expect(0)), before);
    let inode = std::fs::metadata(scene.path().join("policies/example.yaml")).unwrap().ino();
    assert_eq!(scene.run_now(&["fmt"]).expect(0).stdout, "");
    assert_eq!(scene.read("policies/example.yaml"), once);
    assert_eq!(std::fs::metadata(scene.path().join("policies/example.yaml")).unwrap().ino(), inode);
    scene.run_now(&["fmt", "--check"]).expect(0);
}

#[test]
fn fmt_check_shows_the_difference_and_changes_nothing() {
    let scene = Scene::new();
    scene.write("policies/example.yaml", UNTIDY);
    let run = scene.run_now(&["fmt", "--check"]).expect(1);
    assert!(
        run.stdout.starts_with("--- policies/example.yaml\n+++ policies/example.yaml (formatted)\n@@ -"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("\n \n-\n-\n service:"), "{}", run.stdout);
    assert!(run.stderr.contains("1 of 1 files") && run.stderr.contains("callgate fmt"), "{}", run.stderr);
    assert_eq!(scene.read("policies/example.yaml"), UNTIDY);
}

#[test]
fn line_ends_of_another_system_become_ours() {
    let scene = Scene::new();
    let text = shipped().remove(0).1;
    scene.write("policies/resurs.yaml", text.replace('\n', "\r\n"));
    scene.run_now(&["fmt", "--check"]).expect(1);
    scene.run_now(&["fmt"]).expect(0);
    assert_eq!(scene.read("policies/resurs.yaml"), text);
}

#[test]
fn a_byte_order_mark_is_dropped() {
    let scene = Scene::new();
    let text = shipped().remove(0).1;
    scene.write("policies/resurs.yaml", format!("\u{feff}{text}"));
    scene.run_now(&["fmt", "--check"]).expect(1);
    scene.run_now(&["fmt"]).expect(0);
    assert_eq!(scene.read("policies/resurs.yaml"), text);
}

#[test]
fn a_file_that_is_no_policy_is_not_formatted_and_the_others_are() {
    let scene = Scene::new();
    let broken = "schema: 1\nsources: [\n";
    scene.write("policies/broken.yaml", broken);
    scene.write("policies/example.yaml", UNTIDY);
    let run = scene.run_now(&["fmt"]).expect(2);
    assert!(run.stderr.contains("policies/broken.yaml:"), "{}", run.stderr);
    assert_eq!(scene.read("policies/broken.yaml"), broken);
    assert_ne!(scene.read("policies/example.yaml"), UNTIDY);
    assert_eq!(run.stdout, "formatted policies/example.yaml\n");
}

#[test]
fn fmt_of_a_file_that_is_not_there_is_status_2() {
    let run = Scene::new().run_now(&["fmt", "policies/none.yaml"]).expect(2);
    assert_eq!(run.stderr, "error: `policies/none.yaml` does not exist\n");
    let run = Scene::new().run_now(&["fmt"]).expect(2);
    assert!(run.stderr.contains("name the files to format"), "{}", run.stderr);
}

// Which folders count.

#[test]
fn a_folder_of_policies_beside_the_site_takes_the_place_of_the_embedded_ones() {
    let scene = scene(ONE);
    let text = scene.run(&["render"]).expect(0).stdout;
    assert!(
        text.contains("allow 13.50.187.51; # example/all") && text.matches("\nallow ").count() == 1,
        "{text}"
    );
    let other = scene.run(&["explain", "20.91.170.120"]).expect(0).stdout;
    assert!(other.contains("No source of any policy covers it"), "{other}");
}

#[test]
fn the_policies_option_names_a_folder() {
    let scene = Scene::new();
    scene.write("elsewhere/example.yaml", policy(&["13.50.187.51"]));
    scene.write("policies/example.yaml", policy(&["20.91.170.120/29"]));
    scene.write("callgate.yaml", ONE);
    let text = scene.run(&["render", "--policies", "elsewhere"]).expect(0).stdout;
    assert!(text.contains("allow 13.50.187.51;") && !text.contains("20.91.170.120"), "{text}");
    let run = scene.run(&["render", "--policies", "nowhere"]).expect(2);
    assert!(run.stderr.contains("`nowhere` does not exist"), "{}", run.stderr);
    std::fs::create_dir(scene.path().join("empty")).unwrap();
    let run = scene.run(&["render", "--policies", "empty"]).expect(2);
    assert!(run.stderr.contains("no policy in `empty"), "{}", run.stderr);
}

#[test]
fn a_site_in_another_folder_finds_what_stands_beside_it() {
    let scene = Scene::new();
    scene.write("shop/callgate.yaml", ONE);
    scene.write("shop/policies/example.yaml", policy(&["13.50.187.51"]));
    let shipped = std::fs::read_to_string(root().join("templates/nginx/access.tera")).unwrap();
    scene.write("shop/templates/nginx/access.tera", format!("# the shop's own\n{shipped}"));
    // What stands here is somebody else's.
    scene.write("policies/example.yaml", policy(&["20.91.170.120/29"]));
    scene.write("templates/nginx/access.tera", "{{ nothing }}");
    let text = scene.run(&["render", "--site", "shop/callgate.yaml"]).expect(0).stdout;
    assert!(text.starts_with("# the shop's own\n") && text.contains("allow 13.50.187.51;"), "{text}");
    assert!(!text.contains("20.91.170.120"), "{text}");
    let formatted = scene.run(&["fmt", "--site", "shop/callgate.yaml", "--check"]);
    assert!(formatted.stdout.contains("shop/policies/example.yaml"), "{}", formatted.stdout);
}

#[test]
fn a_site_file_that_is_not_there_is_status_2() {
    let run = Scene::new().run(&["render", "--site", "shop/callgate.yaml"]).expect(2);
    assert!(run.stderr.contains("`shop/callgate.yaml` does not exist"), "{}", run.stderr);
}

// The same inputs, the same bytes.

#[test]
fn the_surroundings_decide_nothing() {
    let rendered = |variables: &[(&str, &str)]| {
        let scene = Scene::new();
        scene.run_now(&["init", "--with-policies"]).expect(0);
        let site =
            scene.read("callgate.yaml").replace("  # ", "  ").replace("  Your chain", "  # Your chain");
        scene.write("callgate.yaml", site);
        for arguments in [&["render", "--out", "out"][..], &["timeline"], &["explain", "91.132.170.1"]] {
            let mut command = scene.command(arguments);
            let output = command.args(["--at", AT]).envs(variables.iter().copied()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            scene.write(&format!("out/{}.printed", arguments[0]), output.stdout);
        }
        let folder = scene.path().join("out");
        let all: BTreeMap<PathBuf, String> = files(&folder)
            .into_iter()
            .map(|path| (path.clone(), std::fs::read_to_string(folder.join(path)).unwrap()))
            .collect();
        all
    };
    let first = rendered(&[]);
    assert!(first.len() > 8, "{:?}", first.keys());
    let elsewhere = [
        ("TZ", "Pacific/Kiritimati"),
        ("LANG", "tr_TR.UTF-8"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("HOME", "/nowhere"),
    ];
    assert_eq!(first, rendered(&elsewhere));
    assert_eq!(first, rendered(&[("TZ", ":broken"), ("LANG", "C"), ("USER", "somebody"), ("COLUMNS", "20")]));
}

#[test]
fn words_of_a_policy_move_no_cursor() {
    let scene = Scene::new();
    let hostile = r#""\e[2J\r\u202Eall is well\nadmitted""#;
    let text = policy(&["13.50.187.51"])
        .replace("label: Cloud", &format!("label: {hostile}"))
        .replace("name: Example Pay", &format!("name: {hostile}"))
        .replace("read: 2025-01-01 }", &format!("read: 2025-01-01, says: {hostile}, note: {hostile} }}"));
    scene.write("policies/example.yaml", text);
    scene.write("callgate.yaml", ONE);
    let commands: [&[&str]; 7] = [
        &["explain", "13.50.187.51"],
        &["timeline"],
        &["timeline", "--format", "markdown"],
        &["check"],
        &["check", "--format", "markdown"],
        &["render"],
        &["render", "--out", "out"],
    ];
    for arguments in commands {
        let run = scene.run(arguments).expect(0);
        let shown = run.stdout + &run.stderr;
        let strange = shown.chars().find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
        assert_eq!(strange, None, "{arguments:?}:\n{shown}");
        assert!(!shown.lines().any(|line| line.trim_start() == "admitted"), "{arguments:?}:\n{shown}");
    }
}

#[test]
fn of_the_sources_that_cover_an_address_the_narrowest_comes_first() {
    let scene = Scene::new();
    let source = |id: &str, prefix: &str| {
        format!(
            "  - id: {id}\n    prefixes: [{prefix}]\n    lifecycle: {{ valid_from: 2025-01-01 }}\n    evidence: [{{ page: docs, read: 2025-01-01 }}]\n"
        )
    };
    let waiver = "waivers: [{ code: overlap, reason: the page lists both, until: 2027-06-01 }]\n";
    let all =
        [source("wide", "20.91.100.0/22"), source("middle", "20.91.103.0/24"), source("one", "20.91.103.7")];
    scene.write("policies/example.yaml", policy(&["13.50.187.51"]) + &all.concat() + waiver);
    let printed = scene.run(&["explain", "20.91.103.7", "--format", "json"]).expect(0).stdout;
    let report: Value = serde_json::from_str(&printed).unwrap();
    let order: Vec<&str> = report["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| source["source"].as_str().unwrap())
        .collect();
    assert_eq!(order, ["one", "middle", "wide"]);
}
