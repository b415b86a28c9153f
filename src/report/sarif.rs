//! A report as SARIF 2.1.0, for forges that keep findings between runs.
//!
//! Types of its own for the part of the format that is used; <https://docs.oasis-open.org/sarif/sarif/v2.1.0/>.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::escape::uri;
use super::finding::{Finding, Place, Says, Weight};
use super::review_v1::Report;
use crate::diagnostic::{Code, Severity};
use crate::plain::line;
use crate::review::concern::Kind;

/// Results that are given; a forge takes no more than some thousands of a run.
const RESULTS_MAX: usize = 5_000;
/// The root of the repository, which paths are relative to.
const ROOT: &str = "SRCROOT";

/// A log with one run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    automation_details: Automation,
    invocations: [Invocation; 1],
    original_uri_base_ids: BTreeMap<&'static str, BaseId>,
    column_kind: &'static str,
    results: Vec<Outcome>,
}

#[derive(Debug, Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Text,
    full_description: Text,
    help: Text,
    default_configuration: Configuration,
    properties: Tags,
}

#[derive(Debug, Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Debug, Serialize)]
struct Tags {
    tags: [&'static str; 1],
}

#[derive(Debug, Serialize)]
struct Text {
    text: String,
}

#[derive(Debug, Serialize)]
struct Automation {
    id: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    tool_execution_notifications: Vec<Notification>,
}

#[derive(Debug, Serialize)]
struct Notification {
    level: &'static str,
    message: Text,
}

#[derive(Debug, Serialize)]
struct BaseId {
    description: Text,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Text,
    locations: Vec<Location>,
    partial_fingerprints: BTreeMap<&'static str, String>,
    baseline_state: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppressions: Vec<Suppression>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Physical,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: ArtifactLocation,
    region: Region,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactLocation {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_base_id: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Suppression {
    kind: &'static str,
    justification: String,
}

/// The log of a report.
pub fn log(report: &Report) -> Log {
    let all: Vec<&Finding> = report.all().collect();
    let used: BTreeSet<&'static str> = all.iter().map(|found| found.code).collect();
    let rules: Vec<Rule> = used.iter().filter_map(|id| rule(id)).collect();
    let place: BTreeMap<&'static str, usize> =
        rules.iter().enumerate().map(|(index, rule)| (rule.id, index)).collect();
    let left_out = all.len().saturating_sub(RESULTS_MAX) + report.beyond;
    let mut notifications = vec![Notification { level: "note", message: text(&report.summary) }];
    if left_out > 0 {
        let message = text(&format!("{left_out} further findings are not listed"));
        notifications.push(Notification { level: "warning", message });
    }
    let description = text("the root of the repository");
    let results = all.iter().take(RESULTS_MAX);
    Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver { name: "callgate", semantic_version: env!("CARGO_PKG_VERSION"), rules },
            },
            automation_details: Automation { id: "callgate/review/" },
            invocations: [Invocation {
                execution_successful: report.judged,
                tool_execution_notifications: notifications,
            }],
            original_uri_base_ids: [(ROOT, BaseId { description })].into(),
            column_kind: "unicodeCodePoints",
            results: results.filter_map(|found| Some(outcome(found, *place.get(found.code)?))).collect(),
        }],
    }
}

fn text(text: &str) -> Text {
    Text { text: line(text) }
}

fn outcome(found: &Finding, rule_index: usize) -> Outcome {
    let help = found.help.as_ref().map(|help| format!(". {}", line(help))).unwrap_or_default();
    let print = &found.fingerprint;
    Outcome {
        rule_id: found.code,
        rule_index,
        level: found.severity.as_str(),
        message: Text { text: line(&found.message) + &help },
        locations: found.place.iter().map(location).collect(),
        // GitHub computes the second by itself where it is missing, from lines around.
        partial_fingerprints: [
            ("callgate/v1", print.clone()),
            ("primaryLocationLineHash", format!("{print}:1")),
        ]
        .into(),
        baseline_state: if found.known { "unchanged" } else { "new" },
        suppressions: found
            .waived
            .iter()
            .map(|waived| Suppression { kind: "inSource", justification: line(waived) })
            .collect(),
    }
}

fn location(place: &Place) -> Location {
    let outside = place.file.starts_with('/');
    let artifact_location = ArtifactLocation {
        uri: if outside { format!("file://{}", uri(&place.file)) } else { uri(&place.file) },
        uri_base_id: (!outside).then_some(ROOT),
    };
    // A line of the base is none of the file as it is now.
    let region = if place.in_base {
        Region { start_line: 1, start_column: None, end_line: None, end_column: None }
    } else {
        Region {
            start_line: place.line,
            start_column: Some(place.column),
            end_line: Some(place.end_line),
            end_column: Some(place.end_column),
        }
    };
    Location { physical_location: Physical { artifact_location, region } }
}

fn rule(id: &str) -> Option<Rule> {
    if let Some(code) = Code::ALL.iter().find(|code| code.as_str() == id) {
        let level = match code.severity() {
            Severity::Error => Weight::Error,
            Severity::Warning => Weight::Warning,
            Severity::Note => Weight::Note,
        };
        let help = format!("see the heading {id} of docs/diagnostics.md: what is wrong, and what is right");
        return Some(described(code.as_str(), code.what(), &help, level));
    }
    let kind = Kind::ALL.iter().find(|kind| kind.as_str() == id)?;
    Some(described(kind.as_str(), kind.name(), kind.what(), Weight::Warning))
}

fn described(id: &'static str, what: &str, help: &str, level: Weight) -> Rule {
    Rule {
        id,
        short_description: text(what),
        full_description: text(what),
        help: text(help),
        default_configuration: Configuration { level: level.as_str() },
        properties: Tags {
            tags: [if Kind::ALL.iter().any(|kind| kind.as_str() == id) {
                tag(Says::Review)
            } else {
                tag(Says::Check)
            }],
        },
    }
}

fn tag(by: Says) -> &'static str {
    match by {
        Says::Check | Says::Change => "check",
        Says::Review => "review",
    }
}
