//! Reports as JSON, version 1. Fields are only ever added; see `docs/json.md`.

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Diagnostics, Label};
use crate::policy::history::Change;
use crate::timeline::Entry;

/// The version that every report carries.
pub const VERSION: u32 = 1;

/// A report as text with a final newline.
pub fn to_text(report: &impl Serialize) -> String {
    // The types below hold nothing that JSON can't.
    serde_json::to_string_pretty(report).unwrap_or_default() + "\n"
}

/// A diagnostic.
#[derive(Debug, Serialize)]
pub struct DiagnosticReport<'a> {
    code: &'static str,
    severity: String,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<PlaceReport<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related: Vec<PlaceReport<'a>>,
    subject: Option<&'a str>,
    help: Option<&'a str>,
    waived: Option<&'a str>,
}

/// A place in a file; lines and columns count from 1, columns in characters.
#[derive(Debug, Serialize)]
pub struct PlaceReport<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

/// Diagnostics for a report.
pub fn diagnostics(all: &Diagnostics) -> Vec<DiagnosticReport<'_>> {
    all.iter().map(diagnostic).collect()
}

fn diagnostic(found: &Diagnostic) -> DiagnosticReport<'_> {
    let mut places = found.labels.iter().map(place);
    DiagnosticReport {
        code: found.code.as_str(),
        severity: found.severity.to_string(),
        message: &found.message,
        place: places.next(),
        related: places.collect(),
        subject: found.subject.as_deref(),
        help: found.help.as_deref(),
        waived: found.waived.as_deref(),
    }
}

fn place(label: &Label) -> PlaceReport<'_> {
    let (line, column) = label.source.position(label.span.start);
    let (end_line, end_column) = label.source.position(label.span.end);
    PlaceReport { file: &label.source.name, line, column, end_line, end_column }
}

/// What `check` says.
#[derive(Debug, Serialize)]
pub struct CheckReport<'a> {
    version: u32,
    at: String,
    diagnostics: Vec<DiagnosticReport<'a>>,
    /// Diagnostics that were counted but not kept.
    beyond: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<ChangeReport<'a>>>,
}

impl<'a> CheckReport<'a> {
    /// A report of a check, with the changes where it was one against another state.
    pub fn new(at: jiff::Timestamp, all: &'a Diagnostics, changes: Option<&'a [Change]>) -> Self {
        let changes = changes.map(|changes| changes.iter().map(ChangeReport::new).collect());
        Self {
            version: VERSION,
            at: at.to_string(),
            diagnostics: diagnostics(all),
            beyond: all.beyond(),
            changes,
        }
    }
}

/// Addresses that a change opens or closes.
#[derive(Debug, Serialize)]
pub struct ChangeReport<'a> {
    effect: &'static str,
    provider: &'a str,
    role: &'static str,
    environment: &'static str,
    from: String,
    prefixes: Vec<String>,
    sources: &'a [String],
}

impl<'a> ChangeReport<'a> {
    fn new(change: &'a Change) -> Self {
        Self {
            effect: change.effect.as_str(),
            provider: &change.provider,
            role: change.role.as_str(),
            environment: change.environment.as_str(),
            from: change.from.to_string(),
            prefixes: change.prefixes.iter().map(ToString::to_string).collect(),
            sources: &change.sources,
        }
    }
}

/// What `timeline` says.
#[derive(Debug, Serialize)]
pub struct TimelineReport<'a> {
    version: u32,
    at: String,
    events: Vec<EventReport<'a>>,
}

#[derive(Debug, Serialize)]
struct EventReport<'a> {
    at: String,
    written: String,
    event: &'static str,
    past: bool,
    provider: &'a str,
    source: &'a str,
    role: &'static str,
    environments: Vec<&'static str>,
    prefixes: Vec<String>,
    note: Option<&'a str>,
}

impl<'a> TimelineReport<'a> {
    /// A report of events, told apart at an instant.
    pub fn new(at: jiff::Timestamp, entries: &[&'a Entry]) -> Self {
        let events = entries.iter().map(|entry| EventReport {
            at: entry.at.to_string(),
            written: entry.moment.to_string(),
            event: entry.event.as_str(),
            past: entry.at <= at,
            provider: &entry.provider,
            source: &entry.source,
            role: entry.role.as_str(),
            environments: entry.environments.iter().map(|environment| environment.as_str()).collect(),
            prefixes: entry.prefixes.iter().map(ToString::to_string).collect(),
            note: entry.note.as_deref(),
        });
        Self { version: VERSION, at: at.to_string(), events: events.collect() }
    }
}
