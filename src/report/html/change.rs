//! The change under review, and rendered files that are not up to date.

use serde::Serialize;

use super::Limits;
use super::finding::{Finding, findings};
use super::words::{Diff, Folded, Piece, When, beyond, diff, first, folded, number, sentence, when, words};
use crate::report::review_v1::{
    ElsewhereReport, FileReport, MoveReport, QuotaReport, Report, TargetReport, Verdict,
};
use crate::report::survey_v1::RenderedReport;

/// Prefixes that are shown at once.
const AT_ONCE: usize = 8;

/// Files that are not as they would be rendered now.
#[derive(Serialize)]
pub(super) struct Rendered {
    folder: String,
    files: Vec<File>,
    left_out: Option<String>,
}

/// A file with what differs in it.
#[derive(Serialize)]
struct File {
    path: String,
    diff: Option<Diff>,
    added: Option<String>,
    removed: Option<String>,
}

/// The change.
#[derive(Serialize)]
pub(super) struct Review {
    verdict: &'static str,
    tone: &'static str,
    summary: Vec<Piece>,
    base: String,
    judged: bool,
    moves: Vec<Move>,
    moves_left_out: Option<String>,
    elsewhere: Vec<Elsewhere>,
    concerns: Vec<Finding>,
    concerns_left_out: Option<String>,
    findings: Vec<Finding>,
    findings_left_out: Option<String>,
    targets: Vec<Target>,
    targets_left_out: Option<String>,
}

/// Addresses that open or close.
#[derive(Serialize)]
struct Move {
    effect: &'static str,
    source: String,
    environments: String,
    state: Option<&'static str>,
    from: When,
    is_now: bool,
    until: Option<String>,
    prefixes: Folded,
    why: Option<Vec<Piece>>,
}

/// What opens or closes and the site does not select.
#[derive(Serialize)]
struct Elsewhere {
    effect: &'static str,
    what: String,
    from: When,
    prefixes: Folded,
}

/// What becomes of a target.
#[derive(Serialize)]
struct Target {
    name: String,
    kind: &'static str,
    mode: &'static str,
    presence: &'static str,
    opens: Folded,
    closes: Folded,
    quotas: Vec<String>,
    files: Vec<File>,
}

pub(super) fn rendered(report: &RenderedReport, limits: Limits) -> Rendered {
    let (kept, left_out) = first(&report.stale, limits, "file");
    let files = kept.iter().map(|stale| File {
        path: words(&stale.path, limits),
        diff: (!stale.diff.is_empty()).then(|| diff(stale.diff.lines(), 0, limits)),
        added: None,
        removed: None,
    });
    Rendered { folder: words(&report.folder, limits), files: files.collect(), left_out }
}

pub(super) fn review(report: &Report, limits: Limits) -> Review {
    let (verdict, tone) = match report.verdict {
        Verdict::Clear => ("clear", "good"),
        Verdict::Look => ("look twice", "warn"),
        Verdict::Refused => ("refused", "bad"),
    };
    let (moves, moves_left_out) = first(&report.moves, limits, "row");
    let (targets, targets_left_out) = first(&report.targets, limits, "target");
    let (elsewhere, _) = first(&report.elsewhere, limits, "row");
    let concerns = findings(&report.concerns, 0, limits);
    let found = findings(&report.findings, report.beyond, limits);
    let mut base = words(&report.base.given, limits);
    if let Some(commit) = &report.base.commit {
        base.push_str(&format!(", commit {}", commit.get(..12).unwrap_or(commit)));
    }
    Review {
        verdict,
        tone,
        summary: sentence(&report.summary, limits),
        base,
        judged: report.judged,
        moves: moves.iter().map(|one| a_move(one, limits)).collect(),
        moves_left_out,
        elsewhere: elsewhere.iter().map(|one| other(one, limits)).collect(),
        concerns: concerns.all,
        concerns_left_out: concerns.left_out,
        findings: found.all,
        findings_left_out: found.left_out,
        targets: targets.iter().map(|one| target(one, limits)).collect(),
        targets_left_out,
    }
}

fn a_move(report: &MoveReport, limits: Limits) -> Move {
    Move {
        effect: report.effect,
        source: format!("{}/{}", report.provider, report.source),
        environments: report.environments.join(" and "),
        state: report.state,
        from: when(&report.from),
        is_now: report.now,
        until: report.until.as_ref().map(|until| when(&until.at).shown),
        prefixes: folded(&report.prefixes, AT_ONCE, Clone::clone, limits),
        why: report.why.as_ref().map(|why| sentence(why, limits)),
    }
}

fn other(report: &ElsewhereReport, limits: Limits) -> Elsewhere {
    let sources = words(&report.sources.join(", "), limits);
    Elsewhere {
        effect: report.effect,
        what: format!("{}/{sources}, {} in {}", report.provider, report.role, report.environment),
        from: when(&report.from),
        prefixes: folded(&report.prefixes, AT_ONCE, Clone::clone, limits),
    }
}

fn target(report: &TargetReport, limits: Limits) -> Target {
    let list = |all: &[String]| folded(all, AT_ONCE, Clone::clone, limits);
    let (files, _) = first(&report.files, limits, "file");
    Target {
        name: words(&report.name, limits),
        kind: report.kind,
        mode: report.mode,
        presence: report.presence,
        opens: list(&report.opens),
        closes: list(&report.closes),
        quotas: report.quotas.iter().take(limits.rows).map(quota).collect(),
        files: files.iter().map(|one| file(one, limits)).collect(),
    }
}

fn quota(report: &QuotaReport) -> String {
    format!("{}: {} = {} of {}", report.what, report.sum, report.used, report.most)
}

fn file(report: &FileReport, limits: Limits) -> File {
    let mut diff = diff(report.diff.iter().map(String::as_str), report.left_out, limits);
    diff.left_out = diff.left_out.or_else(|| beyond(report.left_out, 0, "line"));
    File {
        path: words(&report.path, limits),
        diff: Some(diff),
        added: Some(number(report.added)),
        removed: Some(number(report.removed)),
    }
}
