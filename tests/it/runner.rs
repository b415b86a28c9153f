//! Composite actions and jobs run as GitHub's runner runs them: conditions, values, outputs, the path and the summary. As much of it
//! as this repository's action needs; what is not known here fails the test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Run, root};

/// A checkout in which steps run, and what the runner knows of the event.
pub(crate) struct Runner {
    /// Where the repository is checked out.
    pub(crate) checkout: PathBuf,
    /// A folder of the runner's own.
    pub(crate) temporary: PathBuf,
    /// Folders of commands.
    pub(crate) path: Vec<PathBuf>,
    /// Variables of every step.
    pub(crate) variables: Vec<(String, String)>,
    /// Values of the context `github`, by name.
    pub(crate) github: BTreeMap<String, String>,
}

/// How an action ended.
pub(crate) struct Ended {
    /// Whether each of its steps went well.
    pub(crate) success: bool,
    /// What its steps printed.
    pub(crate) log: String,
    /// Its outputs.
    pub(crate) outputs: BTreeMap<String, String>,
    /// Titles of the steps that ran.
    pub(crate) ran: Vec<String>,
}

/// What expressions of one action see.
#[derive(Default)]
struct Context {
    /// By `inputs.NAME`, `steps.ID.outputs.NAME`, `github.NAME`.
    values: BTreeMap<String, String>,
    failed: bool,
}

impl Context {
    fn value(&self, name: &str) -> String {
        let name = name.trim();
        assert!(
            ["inputs.", "steps.", "github."].iter().any(|start| name.starts_with(start)),
            "`{name}` is not known here"
        );
        self.values.get(name).cloned().unwrap_or_default()
    }

    /// A text with `${{ … }}` in it.
    fn filled(&self, text: &str) -> String {
        let mut parts = text.split("${{");
        let mut filled = parts.next().unwrap().to_owned();
        for part in parts {
            let (name, rest) = part.split_once("}}").unwrap();
            filled.push_str(&self.value(name));
            filled.push_str(rest);
        }
        filled
    }

    /// Whether a step runs.
    fn holds(&self, condition: Option<&str>) -> bool {
        let Some(condition) = condition else { return !self.failed };
        let condition = condition.trim().trim_start_matches("${{").trim_end_matches("}}").trim();
        let whatever = condition.contains("cancelled()") || condition.contains("always()");
        let any = condition.split("||").any(|all| all.split("&&").all(|one| self.term(one.trim())));
        any && (whatever || !self.failed)
    }

    fn term(&self, term: &str) -> bool {
        let word = |text: &str| text.trim().trim_matches('\'').to_owned();
        if term == "!cancelled()" || term == "always()" {
            return true;
        }
        if let Some(both) = term.strip_prefix("startsWith(").and_then(|rest| rest.strip_suffix(')')) {
            let (value, start) = both.split_once(',').unwrap();
            return self.value(value).starts_with(&word(start));
        }
        if let Some((value, wanted)) = term.split_once("==") {
            return self.value(value) == word(wanted);
        }
        if let Some((value, wanted)) = term.split_once("!=") {
            return self.value(value) != word(wanted);
        }
        !self.value(term).is_empty()
    }
}

/// The action of this repository.
pub(crate) fn action() -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(root().join("action.yml")).unwrap()).unwrap()
}

impl Runner {
    /// Whether a job's condition holds for the event.
    pub(crate) fn takes(&self, job: &Value) -> bool {
        self.context(&BTreeMap::new()).holds(job["if"].as_str())
    }

    fn context(&self, inputs: &BTreeMap<String, String>) -> Context {
        let github = self.github.iter().map(|(name, value)| (format!("github.{name}"), value.clone()));
        let inputs = inputs.iter().map(|(name, value)| (format!("inputs.{name}"), value.clone()));
        Context { values: github.chain(inputs).collect(), failed: false }
    }

    /// Runs this repository's action with a step's `with`.
    pub(crate) fn act(&self, with: &Value) -> Ended {
        let action = action();
        let mut inputs = BTreeMap::new();
        let outside = self.context(&inputs);
        for (name, input) in action["inputs"].as_object().unwrap() {
            inputs.insert(name.clone(), outside.filled(input["default"].as_str().unwrap()));
        }
        for (name, value) in with.as_object().into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert!(inputs.insert(name.clone(), value).is_some(), "the action has no input `{name}`");
        }
        let mut context = self.context(&inputs);
        let mut ended =
            Ended { success: true, log: String::new(), outputs: BTreeMap::new(), ran: Vec::new() };
        let mut path = self.path.clone();
        for step in action["runs"]["steps"].as_array().unwrap() {
            if context.holds(step["if"].as_str()) {
                ended.ran.push(step["name"].as_str().unwrap().to_owned());
                let run = self.step(step, &mut context, &mut path);
                ended.log.push_str(&run.stdout);
                ended.log.push_str(&run.stderr);
            }
        }
        ended.success = !context.failed;
        for (name, output) in action["outputs"].as_object().unwrap() {
            ended.outputs.insert(name.clone(), context.filled(output["value"].as_str().unwrap()));
        }
        ended
    }

    fn step(&self, step: &Value, context: &mut Context, path: &mut Vec<PathBuf>) -> Run {
        assert_eq!(step["shell"], "bash");
        let file = |name: &str| self.temporary.join(name);
        for name in ["output", "paths"] {
            let _ = std::fs::remove_file(file(name));
        }
        let mut command = assert_cmd::Command::new("bash");
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("PATH", std::env::join_paths(path.iter()).unwrap());
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_ACTION_PATH", root());
        command.env("RUNNER_TEMP", &self.temporary).env("GITHUB_STEP_SUMMARY", file("summary"));
        command.env("GITHUB_OUTPUT", file("output")).env("GITHUB_PATH", file("paths"));
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            command.env(name, context.filled(value.as_str().unwrap()));
        }
        command.current_dir(&self.checkout).args(["--noprofile", "--norc", "-eo", "pipefail", "-c"]);
        let run = Run::of(&command.arg(step["run"].as_str().unwrap()).output().unwrap());
        context.failed |= run.status != 0;
        if let Some(id) = step["id"].as_str() {
            let outcome = if run.status == 0 { "success" } else { "failure" };
            context.values.insert(format!("steps.{id}.outcome"), outcome.to_owned());
            for (name, value) in lines(&file("output")).iter().filter_map(|line| line.split_once('=')) {
                context.values.insert(format!("steps.{id}.outputs.{name}"), value.to_owned());
            }
        }
        path.splice(0..0, lines(&file("paths")).into_iter().map(PathBuf::from));
        run
    }

    /// What the steps wrote into the summary so far.
    pub(crate) fn summary(&self) -> String {
        lines(&self.temporary.join("summary")).join("\n")
    }
}

fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}
