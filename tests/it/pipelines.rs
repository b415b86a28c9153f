//! What other repositories take from this one: the action, the job for GitLab, the hooks. Their scripts run as a runner
//! runs them, with the real git; the forge is a small script on the path that writes down what it is asked.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::check::Repository;
use crate::docs::blocks;
use crate::support::{Run, Scene, root};

const POLICY: &str = "schema: 1\nprovider: example\nname: Example Pay\nrevision: 1\nservice: { protocol: tcp, ports: [443] }\npages:\n  docs: { url: \"https://example.com/ips\", kind: text }\nsources:\n  - id: all\n    prefixes: [13.50.187.51]\n    evidence: [{ page: docs, says: one address, read: 2025-01-01 }]\n";
const MORE: &str = "  - id: more\n    prefixes: [13.50.187.52]\n    evidence: [{ page: docs, says: \"@all another\", read: 2025-02-01 }]\n";
const SITE: &str = "schema: 1\ntargets:\n  web: { kind: nginx }\n";

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

/// A repository with a change on top, and a folder with commands that stand for the forge's.
struct Forge {
    repository: Repository,
    outside: Scene,
}

impl Forge {
    fn new(changed: &str) -> Self {
        let repository = Repository::new(&[("policies/example.yaml", POLICY), ("callgate.yaml", SITE)]);
        repository.commit(&[("policies/example.yaml", changed)]);
        let outside = Scene::new();
        let callgate = outside.path().join("bin/callgate");
        std::fs::create_dir_all(callgate.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_callgate"), callgate).unwrap();
        Self { repository, outside }
    }

    /// Puts a script on the path.
    fn command(&self, name: &str, script: &str) {
        let place = self.outside.write(&format!("bin/{name}"), format!("#!/bin/sh\n{script}"));
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn place(&self, name: &str) -> PathBuf {
        self.outside.path().join(name)
    }

    /// Runs a script of ours with these variables.
    fn run(&self, script: &str, variables: &[(&str, &str)]) -> Run {
        self.shell(&["bash".into(), root().join(script)], variables)
    }

    fn shell(&self, words: &[PathBuf], variables: &[(&str, &str)]) -> Run {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(self.place("bin")).chain(std::env::split_paths(&path));
        let mut command = assert_cmd::Command::new(&words[0]);
        command.env_clear().env("PATH", std::env::join_paths(path).unwrap()).env("HOME", self.outside.path());
        command.env("RUNNER_TEMP", self.outside.path()).env("GITHUB_OUTPUT", self.place("output"));
        command.env("GITHUB_STEP_SUMMARY", self.place("summary")).env("GITHUB_REPOSITORY", "shop/rules");
        command.envs(variables.iter().copied()).args(&words[1..]).current_dir(self.repository.scene.path());
        Run::of(&command.output().unwrap())
    }

    /// A value that a step gave.
    fn output(&self, name: &str) -> String {
        let all = self.outside.read("output");
        let line = all.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap();
        line.to_owned()
    }
}

fn good() -> String {
    POLICY.replace("revision: 1", "revision: 2") + MORE
}

/// A tool of Python's that `scripts/test` installs; `None` where it is not here, which is said.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let place = root().join(".venv/bin").join(name);
    if place.is_file() {
        return Some(place);
    }
    assert!(std::env::var("CI").is_err(), "{name} is not here: scripts/test installs it");
    eprintln!("skipped: {name} is not here");
    None
}

#[test]
fn the_files_are_what_their_schemas_say() {
    let Some(check) = tool("check-jsonschema") else { return };
    for (schema, file) in [("github-actions", "action.yml"), ("gitlab-ci", "ci/gitlab.yml")] {
        let mut command = assert_cmd::Command::new(&check);
        let schema = format!("vendor.{schema}");
        command.args(["--builtin-schema", &schema]).arg(root().join(file)).assert().success();
    }
    let Some(hooks) = tool("pre-commit") else { return };
    let mut command = assert_cmd::Command::new(hooks);
    command.arg("validate-manifest").arg(root().join(".pre-commit-hooks.yaml")).assert().success();
}

#[test]
fn whole_files_of_pipelines_in_the_documents_fit_their_schemas() {
    let Some(check) = tool("check-jsonschema") else { return };
    let text = std::fs::read_to_string(root().join("docs/ci.md")).unwrap();
    let mut tried = [0, 0];
    for block in blocks(&text, "yaml") {
        let (schema, index) = if block.contains("\njobs:") {
            ("vendor.github-workflows", 0)
        } else if block.starts_with("repos:") {
            continue;
        } else {
            ("vendor.gitlab-ci", 1)
        };
        tried[index] += 1;
        let scene = Scene::new();
        let file = scene.write("pipeline.yml", &block);
        let mut command = assert_cmd::Command::new(&check);
        command.args(["--builtin-schema", schema]).arg(file).assert().success();
    }
    assert_eq!(tried, [2, 2]);
}

#[test]
fn every_input_and_variable_of_the_pipelines_is_told_of() {
    let text = std::fs::read_to_string(root().join("docs/ci.md")).unwrap();
    let (action, template) = (yaml("action.yml"), yaml("ci/gitlab.yml"));
    for name in action["inputs"].as_object().unwrap().keys() {
        assert!(text.contains(&format!("\n| `{name}` | ")), "{name}");
    }
    for name in template["variables"].as_object().unwrap().keys() {
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_documents_fetch_the_version_that_this_is() {
    for path in ["docs/ci.md", "docs/from-zero.md"] {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        for start in [
            "version: \"",
            "CALLGATE_VERSION: \"",
            "callgate-",
            "download/v",
            "callgate@v",
            "ref: v",
            "rev: v",
        ] {
            for (at, _) in text.match_indices(start) {
                let rest = &text[at + start.len()..];
                if rest.starts_with(|c: char| c.is_ascii_digit()) {
                    assert!(rest.starts_with(env!("CARGO_PKG_VERSION")), "{path}: {start}{}", &rest[..10]);
                }
            }
        }
    }
}

// The action.

#[test]
fn the_action_is_whole_and_no_value_is_part_of_a_script() {
    let action = yaml("action.yml");
    assert_eq!(action["runs"]["using"], "composite");
    let text = std::fs::read_to_string(root().join("action.yml")).unwrap();
    for step in action["runs"]["steps"].as_array().unwrap() {
        let run = step["run"].as_str().unwrap();
        assert_eq!(step["shell"], "bash", "{run}");
        assert!(!run.contains("${{"), "{run}");
        if let Some(script) = run.strip_prefix("bash \"$GITHUB_ACTION_PATH/") {
            assert!(root().join(script.trim_end_matches('"')).is_file(), "{script}");
        }
    }
    for (name, input) in action["inputs"].as_object().unwrap() {
        assert!(input["description"].is_string() && input["default"].is_string(), "{name}");
        assert!(text.contains(&format!("inputs.{name}")), "{name} is of no use");
    }
    for (name, output) in action["outputs"].as_object().unwrap() {
        let step = if name == "evidence" { "state" } else { "review" };
        assert_eq!(output["value"], format!("${{{{ steps.{step}.outputs.{name} }}}}"));
        let script = std::fs::read_to_string(root().join("ci/action").join(step)).unwrap();
        assert!(script.contains(&format!("echo \"{name}=")), "{name} is never written");
    }
}

#[test]
fn the_action_reviews_and_gives_every_form() {
    let forge = Forge::new(&good());
    let run = forge.run("ci/action/review", &[("CALLGATE_BASE", "HEAD~1")]).expect(0);
    assert!(run.stdout.starts_with("::notice title=callgate review::opens 1 prefix now"), "{}", run.stdout);
    assert_eq!(forge.output("status"), "0");
    let comment = std::fs::read_to_string(forge.output("comment")).unwrap();
    assert!(comment.starts_with("<!-- callgate-review -->\n"));
    assert_eq!(forge.outside.read("summary"), comment);
    for form in ["sarif", "junit"] {
        assert!(Path::new(&forge.output(form)).is_file(), "{form}");
    }
}

#[test]
fn the_action_fails_where_it_is_told_to() {
    let look = good().replace("https://example.com/ips", "https://example.net/ips");
    for (policy, fail_on, status) in [
        (good(), "look", 0),
        (look.clone(), "error", 0),
        (look, "look", 1),
        (good().replace("revision: 2", "revision: 1"), "error", 2),
        (good().replace("13.50.187.52", "13.50.187.52/24"), "error", 2),
    ] {
        let forge = Forge::new(&policy);
        forge
            .run("ci/action/review", &[("CALLGATE_BASE", "HEAD~1"), ("CALLGATE_FAIL_ON", fail_on)])
            .expect(status);
        assert!(forge.outside.read("summary").starts_with("<!-- callgate-review -->"), "{policy}");
    }
}

#[test]
fn the_action_finds_the_base_by_itself() {
    let forge = Forge::new(&good());
    let run = forge.run("ci/action/review", &[]).expect(2);
    assert!(run.stdout.contains("::error title=callgate review::there is no base"), "{}", run.stdout);
    // From the branch that the pull request is for.
    let from = forge.repository.scene.path().display().to_string();
    forge.repository.git(&["branch", "base", "HEAD~1"]);
    forge.repository.git(&["remote", "add", "origin", &from]);
    let run = forge.run("ci/action/review", &[("GITHUB_BASE_REF", "base")]).expect(0);
    assert!(run.stdout.contains("opens 1 prefix now"), "{}", run.stdout);
    // From the merge that is checked out.
    forge.repository.git(&["checkout", "--quiet", "-b", "merge", "base"]);
    forge.repository.git(&["merge", "--quiet", "--no-ff", "--message=merge", "main"]);
    let run = forge.run("ci/action/review", &[]).expect(0);
    assert!(run.stdout.contains("opens 1 prefix now"), "{}", run.stdout);
}

#[test]
fn stale_files_fail_the_action_and_no_line_of_them_is_a_command() {
    let forge = Forge::new(&good());
    let callgate = env!("CARGO_BIN_EXE_callgate");
    forge.shell(&[callgate.into(), "render".into(), "--out".into(), "rendered".into()], &[]).expect(0);
    let variables = [("CALLGATE_RENDERED", "rendered")];
    forge.run("ci/action/state", &variables).expect(0);
    forge.repository.scene.write("rendered/web.access.conf", "::add-mask::x\n");
    let run = forge.run("ci/action/state", &variables).expect(1);
    let (before, rest) = run.stdout.rsplit_once("::stop-commands::").unwrap();
    let (word, rest) = rest.split_once('\n').unwrap();
    let (shown, after) = rest.split_once(&format!("::{word}::\n")).unwrap();
    assert!(!before.contains("add-mask") && shown.contains("-::add-mask::x"), "{}", run.stdout);
    assert!(
        after.starts_with("::error title=callgate render::the rendered files are not up to date"),
        "{after}"
    );
}

/// What falls due within 30 days of the day on which a test runs.
fn due() -> String {
    let soon = jiff::Zoned::now().date().checked_add(jiff::Span::new().days(10)).unwrap();
    let lifecycle =
        format!("    lifecycle: {{ legacy_since: 2025-01-01, valid_until: unknown, review_by: {soon} }}\n");
    let evidence = "    evidence: [{ page: docs, says: one";
    good().replace(evidence, &format!("{lifecycle}{evidence}"))
}

#[test]
fn what_falls_due_fails_the_night_and_no_pull_request() {
    for (policy, event, status, told) in [
        (good(), "schedule", 0, ""),
        (due(), "schedule", 1, "::error title=callgate check::something falls due within 30d"),
        (due(), "pull_request", 0, "::notice title=callgate check::something falls due within 30d"),
        (
            good().replace("13.50.187.52", "10.0.0.1"),
            "pull_request",
            2,
            "::error title=callgate check::there are faults",
        ),
    ] {
        let forge = Forge::new(&policy);
        let run = forge.run("ci/action/state", &[("CALLGATE_EVENT", event)]).expect(status);
        let last = run.stdout.lines().last().unwrap();
        assert!(if told.is_empty() { last.ends_with("::") } else { last.starts_with(told) }, "{last}");
        assert!(
            forge.outside.read("summary").contains("callgate check"),
            "{}",
            forge.outside.read("summary")
        );
    }
}

#[test]
fn the_pages_are_read_where_it_is_asked_for_and_kept() {
    let server = crate::server::Server::start(|_, out| {
        let page = b"Callbacks come from:\n\n- 13.50.187.51\n- 13.50.187.53\n";
        crate::server::respond(out, "200 OK", &[("Content-Type", "text/plain")], page)
    });
    let forge = Forge::new(&good().replace("https://example.com/ips", &server.url("/ips")));
    forge.run("ci/action/state", &[("CALLGATE_UPSTREAM", "false")]).expect(0);
    assert!(server.paths().is_empty());
    // Nobody trusts this server yet: the page can't be read.
    let variables =
        [("CALLGATE_UPSTREAM", "true"), ("CALLGATE_RECHECK", "0s"), ("CALLGATE_EVENT", "schedule")];
    let run = forge.run("ci/action/state", &variables).expect(5);
    assert!(run.stdout.ends_with(
        "::error title=callgate upstream::a provider's page can't be read: the summary says why\n"
    ));
    // As a runner whose image has the authority.
    let callgate = env!("CARGO_BIN_EXE_callgate");
    let authority = forge.outside.write("ca.pem", server.authority()).display().to_string();
    std::fs::remove_file(forge.place("bin/callgate")).unwrap();
    forge.command(
        "callgate",
        &format!("case \"$*\" in *--offline*) ;; upstream*) set -- \"$@\" --ca-file {authority} ;; esac\nexec {callgate} \"$@\"\n"),
    );
    let run = forge.run("ci/action/state", &variables).expect(1);
    assert!(run.stdout.ends_with(
        "::error title=callgate upstream::a provider's page and its policy differ: the summary says how\n"
    ));
    assert!(forge.outside.read("summary").contains("13.50.187.53"), "{}", forge.outside.read("summary"));
    let evidence =
        forge.outside.read("output").lines().last().unwrap().strip_prefix("evidence=").unwrap().to_owned();
    assert!(Path::new(&evidence).join("example.docs.txt").is_file());
}

#[test]
fn the_comment_is_written_once_and_replaced_afterwards() {
    let forge = Forge::new(&good());
    let comment = forge.outside.write("comment.md", "<!-- callgate-review -->\n");
    let comment = comment.display().to_string();
    let variables = [("CALLGATE_NUMBER", "7"), ("CALLGATE_COMMENT", comment.as_str())];
    let asked = |answer: &str| {
        forge.command(
            "gh",
            &format!("echo \"$@\" >> \"$HOME/asked\"\ncase \"$*\" in *--jq*) {answer};; esac\n"),
        );
        let run = forge.run("ci/action/comment", &variables).expect(0);
        let asked = forge.outside.read("asked");
        std::fs::remove_file(forge.place("asked")).unwrap();
        (asked, run.stdout)
    };
    let (first, _) = asked(":");
    let sent = format!("--field body=@{comment}");
    assert!(
        first.ends_with(&format!("api --silent --method POST repos/shop/rules/issues/7/comments {sent}\n")),
        "{first}"
    );
    let (second, _) = asked("echo 41; echo 42");
    assert!(
        second
            .ends_with(&format!("api --silent --method PATCH repos/shop/rules/issues/comments/41 {sent}\n")),
        "{second}"
    );
    let (third, told) = asked("exit 1");
    assert_eq!(third.lines().count(), 1, "{third}");
    assert!(told.starts_with("::notice "), "{told}");
}

// GitLab.

#[test]
fn the_job_for_gitlab_reviews_and_keeps_one_note() {
    let job = yaml("ci/gitlab.yml");
    let script = job["callgate-review"]["script"][0].as_str().unwrap().to_owned();
    let forge = Forge::new(&good());
    let project = forge.repository.scene.path().display().to_string();
    let ask = |token: &str, id: &str| {
        forge.command("curl", "echo \"$@\" >> \"$HOME/asked\"\necho '{}'\n");
        forge.command(
            "jq",
            &format!("cat >/dev/null\ncase \"$*\" in *argjson*) echo {id};; *) echo 5;; esac\n"),
        );
        let variables = [
            ("CALLGATE_FOLDER", "."),
            ("CALLGATE_WITHIN", "30d"),
            ("CALLGATE_RENDERED", ""),
            ("CI_PROJECT_DIR", project.as_str()),
            ("CI_MERGE_REQUEST_DIFF_BASE_SHA", "HEAD~1"),
            ("CI_API_V4_URL", "https://gitlab.invalid/api/v4"),
            ("CI_PROJECT_ID", "3"),
            ("CI_MERGE_REQUEST_IID", "4"),
            ("CALLGATE_TOKEN", token),
        ];
        forge.shell(&["sh".into(), "-c".into(), PathBuf::from(&script)], &variables).expect(0)
    };
    ask("", "");
    assert!(!forge.place("asked").exists());
    let artifacts = &job["callgate-review"]["artifacts"];
    for file in [&artifacts["paths"][0], &artifacts["reports"]["junit"]] {
        assert!(forge.repository.scene.path().join(file.as_str().unwrap()).is_file(), "{file}");
    }
    let notes = "https://gitlab.invalid/api/v4/projects/3/merge_requests/4/notes";
    for (id, wanted) in [
        ("", format!("POST --data-urlencode body@{project}/callgate-review.md {notes}\n")),
        ("9", format!("PUT --data-urlencode body@{project}/callgate-review.md {notes}/9\n")),
    ] {
        ask("secret", id);
        assert!(forge.outside.read("asked").ends_with(&wanted), "{}", forge.outside.read("asked"));
    }
}

// Hooks.

#[test]
fn the_hooks_pass_and_fail_as_they_should() {
    let hooks = yaml(".pre-commit-hooks.yaml");
    for hook in hooks.as_array().unwrap() {
        let id = hook["id"].as_str().unwrap();
        assert_eq!((&hook["language"], &hook["pass_filenames"]), (&"rust".into(), &false.into()), "{id}");
        // Words as a shell splits them; pre-commit does the same.
        let args: Vec<&str> =
            hook["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let line = format!("{} {}", hook["entry"].as_str().unwrap(), args.join(" "));
        let run = |forge: &Forge| forge.shell(&["sh".into(), "-c".into(), line.clone().into()], &[]).status;
        let forge = Forge::new(&good());
        let callgate = env!("CARGO_BIN_EXE_callgate");
        forge.shell(&[callgate.into(), "fmt".into()], &[]);
        forge.shell(&[callgate.into(), "render".into(), "--out".into(), "rendered".into()], &[]).expect(0);
        assert_eq!(run(&forge), 0, "{id}");
        let due = good().replace("    evidence: [{ page: docs, says: one", "    lifecycle: { valid_until: unknown, review_by: 2025-06-01 }\n    evidence: [{ page: docs, says: one");
        match id {
            "callgate-check" => {
                forge.repository.scene.write("policies/example.yaml", due);
                assert_eq!(run(&forge), 0, "what is due holds up no commit");
                forge.repository.scene.write("policies/example.yaml", "schema: 9\n");
                assert_ne!(run(&forge), 0);
            }
            "callgate-fmt" => {
                forge.repository.scene.write("policies/example.yaml", "schema: [\n");
                assert_ne!(run(&forge), 0);
            }
            "callgate-render" => {
                forge.repository.scene.write("rendered/web.access.conf", "old\n");
                assert_ne!(run(&forge), 0);
            }
            other => panic!("no test of {other}"),
        }
    }
}

#[test]
fn pre_commit_itself_runs_the_hooks() {
    let Some(program) = tool("pre-commit") else { return };
    let mut hooks = yaml(".pre-commit-hooks.yaml");
    // Built from source they would take minutes; what they run is the same.
    for hook in hooks.as_array_mut().unwrap() {
        hook["language"] = "system".into();
    }
    let config = serde_json::json!({ "repos": [{ "repo": "local", "hooks": hooks }] });
    let forge = Forge::new(&good());
    let callgate = env!("CARGO_BIN_EXE_callgate");
    forge.shell(&[callgate.into(), "fmt".into()], &[]);
    forge.shell(&[callgate.into(), "render".into(), "--out".into(), "rendered".into()], &[]).expect(0);
    forge.repository.commit(&[(".pre-commit-config.yaml", &config.to_string())]);
    let words = [program, "run".into(), "--all-files".into(), "--color=never".into()];
    let run = forge.shell(&words, &[]).expect(0);
    assert_eq!(run.stdout.matches("Passed").count(), 3, "{}", run.stdout);
    forge.repository.commit(&[("rendered/web.access.conf", "old\n"), ("callgate.yaml", "schema: 9\n")]);
    let run = forge.shell(&words, &[]).expect(1);
    assert_eq!(run.stdout.matches("Failed").count(), 2, "{}", run.stdout);
}
