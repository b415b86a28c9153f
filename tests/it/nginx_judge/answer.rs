//! What the program answers about a case, and whether nginx agrees.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;

use crate::judge::answer::{Ranges, holds, ranges};
use crate::support::{Run, Scene};

use super::arena::Verdict;
use super::case::Question;

/// Sources that are surely and possibly admitted, of both families.
pub(crate) struct Answer {
    surely: Ranges,
    possibly: Ranges,
    whole: Value,
}

/// Runs the program on a configuration.
pub(crate) fn run(configuration: &Path, question: &Question) -> Run {
    let configuration = configuration.display().to_string();
    let port = question.port.to_string();
    let mut words = vec!["admitted", "--format", "json", "--nginx", &configuration, "--port", &port]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    if let Some((method, path)) = &question.request {
        if let Some(name) = &question.server_name {
            option("server-name", name.clone());
        }
        option("path", path.clone());
        option("method", method.clone());
    } else {
        // Of a stream server nothing is asked, but nginx is asked where a path is named.
        option("path", "/".to_owned());
    }
    for header in &question.told {
        option("header", header.clone());
    }
    for address in &question.addresses {
        option("address", address.to_string());
    }
    if let Some(proxy) = question.proxy {
        option("proxy", proxy.to_string());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Scene::new().run_now(&words)
}

/// Asks the program.
pub(crate) fn ask(configuration: &Path, question: &Question) -> Result<Answer, String> {
    let run = run(configuration, question);
    if ![0, 1, 5].contains(&run.status) {
        return Err(format!("  ended with {}: {}\n", run.status, run.stderr));
    }
    let whole: Value =
        serde_json::from_str(&run.stdout).map_err(|fault| format!("  {fault}: {}\n", run.stdout))?;
    let side = |side: &str| -> Option<Ranges> {
        Some([ranges(&whole["v4"][side])?, ranges(&whole["v6"][side])?].concat())
    };
    let (Some(surely), Some(possibly)) = (side("surely"), side("possibly")) else {
        return Err(format!("  not the documented form: {whole}\n"));
    };
    Ok(Answer { surely, possibly, whole })
}

impl Answer {
    /// Whether what nginx did with a source contradicts the answer.
    pub(crate) fn contradicts(&self, source: IpAddr, found: Verdict, must_know: MustKnow) -> bool {
        let (surely, possibly) = (holds(&self.surely, source), holds(&self.possibly, source));
        match (found, must_know) {
            (Verdict::In, MustKnow::Yes) => !surely || !possibly,
            (Verdict::In, MustKnow::No) => !possibly,
            (Verdict::Out, MustKnow::Yes) => surely || possibly,
            // Whether a caller follows is his own affair.
            (Verdict::Out, MustKnow::No) | (Verdict::Redirected, _) => surely,
        }
    }

    /// What the answer says of a source, in words.
    pub(crate) fn of(&self, source: IpAddr) -> String {
        let word = match (holds(&self.surely, source), holds(&self.possibly, source)) {
            (true, true) => "surely admitted",
            (false, true) => "possibly admitted",
            (false, false) => "not admitted",
            (true, false) => "surely but not possibly admitted",
        };
        let key = if source.is_ipv4() { "v4" } else { "v6" };
        let decided = self.whole[key]["decided"].as_array().into_iter().flatten();
        let within = |range: &&Value| {
            ranges(&Value::Array(vec![(*range).clone()])).is_some_and(|it| holds(&it, source))
        };
        let rule = decided.into_iter().find(within).map(|found| &found["rule"]);
        match rule.and_then(|rule| Some((rule["title"].as_str()?, &rule["line"]))) {
            Some((title, line)) => format!("{word} by line {line}, {title}"),
            None => format!("{word} by no rule"),
        }
    }

    /// What is wrong with the findings.
    pub(crate) fn misses(&self, question: &Question) -> String {
        let Some(wanted) = &question.finds else { return String::new() };
        let listed = self.whole["findings"].as_array().into_iter().flatten();
        let found: BTreeSet<&str> = listed.filter_map(|one| one["code"].as_str()).collect();
        let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        if found == wanted {
            String::new()
        } else {
            format!("  finds {found:?}, and should find {wanted:?}\n")
        }
    }

    /// Whether more ways lead through the configuration than the program follows.
    pub(crate) fn gave_up(&self) -> bool {
        let undecided = self.whole["undecided"].as_array().into_iter().flatten();
        undecided.filter_map(|one| one["why"].as_str()).any(|why| why.contains("more ways"))
    }

    /// Conditions that were left open, for a person.
    pub(crate) fn undecided(&self) -> String {
        let mut text = String::new();
        for undecided in self.whole["undecided"].as_array().into_iter().flatten().take(4) {
            let rule = &undecided["rule"];
            let _ =
                writeln!(text, "  undecided: line {}, {} {}", rule["line"], rule["title"], undecided["why"]);
        }
        text
    }
}

/// Whether a source's fate can be told from the configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MustKnow {
    Yes,
    No,
}
