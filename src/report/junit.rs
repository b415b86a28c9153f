//! A report as `JUnit` XML, for CI systems that count tests.
//!
//! A finding is a test case, and fails where it counts; a policy or target without one is a case that passes.

use std::collections::BTreeSet;

use super::escape::{shortened, xml};
use super::finding::{Finding, Says};
use super::review_v1::Report;

/// Most cases; a report is read whole by whoever takes it.
const CASES_MAX: usize = 2_000;

/// The report, without times: the same change gives the same bytes.
pub fn to_text(report: &Report) -> String {
    let mut cases: Vec<Case> = report.all().map(Case::of).collect();
    let named: BTreeSet<String> = report.all().filter_map(|found| found.subject.clone()).collect();
    let policies = report.policies.iter().map(|policy| ("policy", policy.provider.clone()));
    let targets = report.targets.iter().map(|target| ("target", target.name.clone()));
    for (class, name) in policies.chain(targets).filter(|(_, name)| !named.contains(name)) {
        cases.push(Case { class: class.to_owned(), name, file: None, came: Came::Well });
    }
    cases.sort_by_key(|case| !matches!(case.came, Came::Failed { .. }));
    let left_out = cases.len().saturating_sub(CASES_MAX) + report.beyond;
    cases.truncate(CASES_MAX);
    if left_out > 0 {
        let name = format!("{left_out} more, which are not listed here");
        cases.push(Case { class: "report".to_owned(), name, file: None, came: Came::Skipped(String::new()) });
    }
    let count = |wanted: fn(&Came) -> bool| cases.iter().filter(|case| wanted(&case.came)).count();
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\"",
        cases.len(),
        count(|came| matches!(came, Came::Failed { .. })),
        count(|came| matches!(came, Came::Skipped(_)))
    );
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text.push_str(&format!("<testsuites name=\"callgate review\" {counts}>\n"));
    text.push_str(&format!("  <testsuite name=\"callgate review\" {counts}>\n"));
    for case in &cases {
        text.push_str(&case.to_text());
    }
    text.push_str(&format!("    <system-out>{}</system-out>\n", xml(&report.summary)));
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// A test case.
struct Case {
    class: String,
    name: String,
    file: Option<String>,
    came: Came,
}

/// What came of it.
enum Came {
    Well,
    Skipped(String),
    Failed { kind: &'static str, message: String, text: String },
}

impl Case {
    fn of(found: &Finding) -> Self {
        let by = match found.by {
            Says::Check => "check",
            Says::Change => "change",
            Says::Review => "review",
        };
        let name = match &found.subject {
            Some(subject) => format!("{subject}: {}", found.message),
            None => found.message.clone(),
        };
        let place = found.place.as_ref().map(|place| {
            let at = format!("{}:{}:{}", place.file, place.line, place.column);
            if place.in_base { place.file.clone() } else { at }
        });
        let came = if found.counts() {
            let help = found.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
            let text = format!("{}{help}", place.unwrap_or_default());
            Came::Failed { kind: found.code, message: found.message.clone(), text }
        } else {
            let why = found.waived.as_ref().map(|waived| format!("waived {waived}"));
            Came::Skipped(why.unwrap_or_else(|| "not new with this change".to_owned()))
        };
        let file = found.place.as_ref().map(|place| place.file.clone());
        Self { class: format!("{by}.{}", found.code), name, file, came }
    }

    fn to_text(&self) -> String {
        let name = xml(&shortened(&self.name, 300));
        let file = self.file.as_ref().map(|file| format!(" file=\"{}\"", xml(file))).unwrap_or_default();
        let start = format!("    <testcase classname=\"{}\" name=\"{name}\"{file}", xml(&self.class));
        match &self.came {
            Came::Well => format!("{start}/>\n"),
            Came::Skipped(why) => {
                format!("{start}>\n      <skipped message=\"{}\"/>\n    </testcase>\n", xml(why))
            }
            Came::Failed { kind, message, text } => {
                let lines: Vec<String> = text.lines().map(xml).collect();
                format!(
                    "{start}>\n      <failure type=\"{kind}\" message=\"{}\">{}</failure>\n    </testcase>\n",
                    xml(message),
                    lines.join("\n")
                )
            }
        }
    }
}
