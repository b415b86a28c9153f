//! What the page says first: how it ends, what was looked at and what was not, and the numbers.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::drift::told;
use super::words::{Piece, When, counted, day, first, number, sentence, when, words};
use super::{Limits, Page};
use crate::report::finding::Weight;
use crate::report::survey_v1::{LifecycleReport, Outcome, PolicySurvey, ServiceReport, Survey};
use crate::report::upstream_v1::UpstreamReport;

/// The head of the page.
#[derive(Serialize)]
pub(super) struct Head {
    pub outcome: &'static str,
    pub tone: &'static str,
    pub summary: Vec<Piece>,
    /// How many steps were skipped, where any were.
    pub skipped: Option<String>,
    pub at: When,
    pub program: &'static str,
}

/// A part of the page.
#[derive(Serialize)]
pub(super) struct Entry {
    pub anchor: &'static str,
    pub title: &'static str,
    pub count: Option<String>,
}

/// A number with what it counts.
#[derive(Serialize)]
pub(super) struct Tile {
    pub title: &'static str,
    pub value: String,
    pub note: String,
    pub tone: &'static str,
    /// A value of many characters.
    pub is_long: bool,
}

/// A step of the run.
#[derive(Serialize)]
pub(super) struct Step {
    pub name: &'static str,
    /// The question that it answers.
    pub asks: &'static str,
    pub outcome: &'static str,
    pub tone: &'static str,
    pub summary: Vec<Piece>,
    pub help: Option<Vec<Piece>>,
}

/// A policy.
#[derive(Serialize)]
pub(super) struct Policy {
    pub provider: String,
    pub name: String,
    pub revision: u32,
    pub digest: String,
}

/// The tone of an outcome: never without its word and its sign.
pub(super) fn tone(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::AsWanted => "good",
        Outcome::Findings => "warn",
        Outcome::Failed => "bad",
        Outcome::Undetermined => "open",
        Outcome::Skipped => "none",
    }
}

pub(super) fn head(survey: &Survey, limits: Limits) -> Head {
    let skipped = survey.steps.iter().filter(|step| step.outcome == Outcome::Skipped).count();
    Head {
        skipped: (skipped > 0).then(|| format!("{skipped} of {}", counted(survey.steps.len(), "step"))),
        outcome: survey.outcome.words(),
        tone: tone(survey.outcome),
        summary: sentence(&survey.summary, limits),
        at: when(&survey.at),
        program: survey.program,
    }
}

/// The parts that the page has, in its order.
pub(super) fn contents(page: &Page<'_>, survey: &Survey) -> Vec<Entry> {
    let entry = |anchor, title, count: Option<usize>| Entry { anchor, title, count: count.map(number) };
    let policy = survey.policy.as_ref();
    let drift = page.drift.as_ref().map(|drift| entry("drift", "Drift", Some(drift.count)));
    let rendered = survey
        .rendered
        .as_ref()
        .map(|rendered| entry("rendered", "Rendered files", Some(rendered.stale.len())));
    let all = [
        Some(entry("steps", "What was looked at", None)),
        drift,
        Some(entry("findings", "Findings", Some(survey.findings.len().saturating_add(survey.beyond)))),
        rendered,
        policy.map(|policy| entry("timeline", "Timeline", Some(policy.sources.len()))),
        policy.map(|policy| entry("allowlist", "Allowlist", Some(policy.allowlist.len()))),
        page.allowlist.as_ref().map(|list| entry("not-admitted", "Not admitted", Some(list.not_admitted))),
        page.upstream.as_ref().map(|_| entry("pages", "Provider pages", None)),
        page.review.as_ref().map(|_| entry("change", "The change", None)),
        Some(entry("about", "About this page", None)),
    ];
    all.into_iter().flatten().collect()
}

pub(super) fn steps(survey: &Survey, limits: Limits) -> Vec<Step> {
    use crate::report::survey_v1::Step as Name;
    let asks = |step| match step {
        Name::Check => "Are policies and site sound, and what falls due?",
        Name::Review => "What does the change open and close?",
        Name::Render => "Are the rendered files up to date?",
        Name::Diff => "Do the deployed rules let in what the policies say?",
        Name::Upstream => "Do the providers still publish what the policies hold?",
    };
    let steps = survey.steps.iter().map(|step| Step {
        name: step.step.as_str(),
        asks: asks(step.step),
        outcome: step.outcome.words(),
        tone: tone(step.outcome),
        summary: sentence(&step.summary, limits),
        help: step.help.as_ref().map(|help| sentence(help, limits)),
    });
    steps.collect()
}

pub(super) fn policies(survey: &Survey, limits: Limits) -> Vec<Policy> {
    let all = survey.policy.as_ref().map(|policy| policy.policies.as_slice()).unwrap_or_default();
    let (kept, _) = first(all, limits, "policy");
    let policies = kept.iter().map(|policy| Policy {
        provider: policy.provider.clone(),
        name: words(&policy.name, limits),
        revision: policy.revision,
        digest: policy.digest.clone(),
    });
    policies.collect()
}

/// Where callbacks arrive, in words.
pub(super) fn service(service: &ServiceReport) -> String {
    let ports: Vec<String> = service.ports.iter().map(|port| format!("tcp/{port}")).collect();
    let mut text = ports.join(", ");
    if !service.addresses.is_empty() {
        text.push_str(&format!(" at {}", service.addresses.join(", ")));
    }
    if let Some(interface) = &service.interface {
        text.push_str(&format!(", interface {interface}"));
    }
    text
}

pub(super) fn tiles(survey: &Survey) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = Vec::new();
    if let Some(policy) = &survey.policy {
        tiles.push(admitted(policy));
        tiles.push(grace(policy));
    }
    tiles.push(drift(survey));
    tiles.push(findings(survey));
    tiles.push(pages(survey.upstream.as_ref()));
    tiles.extend(survey.policy.as_ref().map(|policy| next_date(policy, &survey.at)));
    tiles
}

fn admitted(policy: &PolicySurvey) -> Tile {
    let sources = policy.sources.iter().filter(|source| source.admitted).count();
    let count = policy.allowlist.len();
    Tile {
        title: "Admitted",
        value: number(count),
        note: format!("{} of {}", if count == 1 { "prefix" } else { "prefixes" }, counted(sources, "source")),
        tone: if count == 0 { "bad" } else { "none" },
        is_long: false,
    }
}

fn grace(policy: &PolicySurvey) -> Tile {
    let is_grace = |source: &&crate::report::survey_v1::SourceReport| {
        source.admitted && source.lifecycles.iter().any(|lifecycle| lifecycle.state == "grace")
    };
    let count = policy.sources.iter().filter(is_grace).count();
    Tile {
        title: "In grace",
        value: number(count),
        note: "called legacy, still admitted".to_owned(),
        tone: if count == 0 { "none" } else { "warn" },
        is_long: false,
    }
}

fn drift(survey: &Survey) -> Tile {
    let title = "Drift";
    let Some(report) = &survey.drift else {
        let note = "deployed rules were not compared".to_owned();
        return Tile { title, value: "–".to_owned(), note, tone: "none", is_long: false };
    };
    let count = told(report).count();
    let of = |part: &str| told(report).filter(|one| one.part == part).count();
    let named = ["blocked", "foreign", "at risk", "possibly foreign"];
    let notes: Vec<String> =
        named.iter().filter(|part| of(part) > 0).map(|part| format!("{} {part}", number(of(part)))).collect();
    let is_sure = of("blocked") + of("foreign") > 0;
    Tile {
        title,
        value: number(count),
        note: if notes.is_empty() { "deployed rules are as wanted".to_owned() } else { notes.join(", ") },
        tone: if is_sure {
            "bad"
        } else if count == 0 {
            "good"
        } else {
            "open"
        },
        is_long: false,
    }
}

fn findings(survey: &Survey) -> Tile {
    let of = |weight: Weight| {
        survey.findings.iter().filter(|found| found.severity == weight && found.waived.is_none()).count()
    };
    let (errors, warnings) = (of(Weight::Error), of(Weight::Warning));
    let tone = match (errors, warnings) {
        (0, 0) => "good",
        (0, _) => "warn",
        _ => "bad",
    };
    let beyond =
        if survey.beyond > 0 { format!(", and {} more", number(survey.beyond)) } else { String::new() };
    Tile {
        title: "Findings",
        value: number(errors.saturating_add(warnings)),
        note: format!("{}, {}{beyond}", counted(errors, "error"), counted(warnings, "warning")),
        tone,
        is_long: false,
    }
}

fn pages(upstream: Option<&UpstreamReport>) -> Tile {
    let title = "Provider pages";
    let Some(report) = upstream else {
        return Tile {
            title,
            value: "–".to_owned(),
            note: "were not read".to_owned(),
            tone: "none",
            is_long: false,
        };
    };
    let agree = report.providers.iter().filter(|provider| provider.outcome == "agrees").count();
    let all = report.providers.len();
    Tile {
        title,
        value: format!("{} of {}", number(agree), number(all)),
        note: "providers publish what the policies hold".to_owned(),
        tone: if agree == all { "good" } else { "warn" },
        is_long: false,
    }
}

/// The first instant after this one at which something changes or falls due.
fn next_date(policy: &PolicySurvey, at: &str) -> Tile {
    let now: Timestamp = at.parse().unwrap_or_default();
    let mut due: BTreeSet<(Timestamp, String, &'static str, &str)> = BTreeSet::new();
    for source in &policy.sources {
        for lifecycle in &source.lifecycles {
            let ahead = dates(lifecycle).into_iter().filter(|(found, ..)| *found > now);
            due.extend(ahead.map(|(found, day, what)| (found, day, what, source.source.as_str())));
        }
    }
    let title = "Next date";
    let Some((first, day, what, source)) = due.first() else {
        let note = "nothing falls due".to_owned();
        return Tile { title, value: "–".to_owned(), note, tone: "none", is_long: false };
    };
    let same = due.iter().filter(|(found, ..)| found == first).count().saturating_sub(1);
    let more = if same > 0 { format!(", and {} more", number(same)) } else { String::new() };
    Tile { title, value: day.clone(), note: format!("{source}: {what}{more}"), tone: "none", is_long: true }
}

/// The instants of a lifecycle with their days as they are written.
fn dates(lifecycle: &LifecycleReport) -> Vec<(Timestamp, String, &'static str)> {
    let begins = |state: &str| match state {
        "announced" => ("announced", "announced"),
        "active" => ("valid from", "active"),
        "grace" => ("legacy since", "grace begins"),
        "expired" => ("valid until", "ends"),
        "withdrawn" => ("withdrawn", "withdrawn"),
        _ => ("", "changes"),
    };
    let spans = lifecycle.spans.iter().map(|span| (span.from.as_deref(), begins(span.state)));
    let marks = [
        (lifecycle.deadline.as_deref(), ("deadline", "deadline")),
        (lifecycle.review_by.as_deref(), ("review by", "review")),
    ];
    let dated = |(instant, (written, what)): (Option<&str>, (&str, &'static str))| {
        let at: Timestamp = instant?.parse().ok()?;
        let written = lifecycle.instants.iter().find(|one| one.what == written);
        let day = written.map_or_else(|| at.strftime("%Y-%m-%d").to_string(), |one| day(&one.at).to_owned());
        Some((at, day, what))
    };
    spans.chain(marks).filter_map(dated).collect()
}
