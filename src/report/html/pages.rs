//! The providers' pages against the policies.

use serde::Serialize;

use super::Limits;
use super::words::{
    Diff, Folded, Link, Piece, When, counted, diff, first, folded, link, sentence, when, words,
};
use crate::report::upstream_v1::{FindingReport, PageReport, ProviderReport, QuestionReport, UpstreamReport};

/// Prefixes that are shown at once.
const AT_ONCE: usize = 12;
/// Lines of a page that are quoted for one finding.
const QUOTES_MAX: usize = 4;

/// The part of the page.
#[derive(Serialize)]
pub(super) struct Upstream {
    providers: Vec<Provider>,
    left_out: Option<String>,
}

/// One provider.
#[derive(Serialize)]
struct Provider {
    id: String,
    name: String,
    revision: u32,
    outcome: String,
    tone: &'static str,
    pages: Vec<Page>,
    pages_left_out: Option<String>,
    findings: Vec<Finding>,
    findings_left_out: Option<String>,
    proposal: Option<Proposal>,
}

/// One page.
#[derive(Serialize)]
struct Page {
    name: String,
    link: Link,
    section: Option<String>,
    decides: bool,
    outcome: String,
    tone: &'static str,
    reason: Option<Vec<Piece>>,
    help: Option<Vec<Piece>>,
    moved_to: Option<Link>,
    read: Option<When>,
    entries: String,
}

/// What a page says that the policy does not, or the other way round.
#[derive(Serialize)]
struct Finding {
    weight: &'static str,
    tone: &'static str,
    code: &'static str,
    message: Vec<Piece>,
    page: Option<String>,
    prefixes: Folded,
    quotes: Vec<Quote>,
    help: Vec<Piece>,
}

/// Words of a page.
#[derive(Serialize)]
struct Quote {
    line: u32,
    says: String,
}

/// A change that is proposed.
#[derive(Serialize)]
struct Proposal {
    path: String,
    revision: u32,
    patch: Diff,
    questions: Vec<Vec<Piece>>,
}

pub(super) fn upstream(report: &UpstreamReport, limits: Limits) -> Upstream {
    let (kept, left_out) = first(&report.providers, limits, "provider");
    Upstream { providers: kept.iter().map(|one| provider(one, limits)).collect(), left_out }
}

/// As people write an outcome.
fn said(outcome: &str) -> String {
    outcome.replace('-', " ")
}

fn tone(outcome: &str) -> &'static str {
    match outcome {
        "agrees" => "good",
        "not-watched" => "none",
        "drift" => "bad",
        "pages-disagree" | "moved" | "empty" => "warn",
        _ => "open",
    }
}

fn provider(report: &ProviderReport, limits: Limits) -> Provider {
    let (pages, pages_left_out) = first(&report.pages, limits, "page");
    let (findings, findings_left_out) = first(&report.findings, limits, "finding");
    Provider {
        id: report.provider.clone(),
        name: words(&report.name, limits),
        revision: report.revision,
        outcome: said(report.outcome),
        tone: tone(report.outcome),
        pages: pages.iter().map(|one| page(one, limits)).collect(),
        pages_left_out,
        findings: findings.iter().map(|one| finding(one, limits)).collect(),
        findings_left_out,
        proposal: report.proposal.as_ref().map(|one| Proposal {
            path: words(&one.path, limits),
            revision: one.revision,
            patch: diff(one.patch.lines(), 0, limits),
            questions: one.questions.iter().take(limits.rows).map(|one| question(one, limits)).collect(),
        }),
    }
}

fn page(report: &PageReport, limits: Limits) -> Page {
    let some = |text: &Option<String>| text.as_ref().map(|text| sentence(text, limits));
    Page {
        name: words(&report.page, limits),
        link: link(&report.url, limits),
        section: report.section.as_ref().map(|section| words(section, limits)),
        decides: report.decides,
        outcome: said(report.outcome),
        tone: tone(report.outcome),
        reason: some(&report.reason),
        help: some(&report.help),
        moved_to: report.moved_to.as_ref().map(|url| link(url, limits)),
        read: report.read_at.as_deref().map(when),
        entries: counted(report.entries, "entry"),
    }
}

fn finding(report: &FindingReport, limits: Limits) -> Finding {
    let quotes = report.quotes.iter().take(QUOTES_MAX.min(limits.rows));
    Finding {
        weight: report.weight,
        tone: match report.weight {
            "drift" => "bad",
            "disagreement" => "warn",
            _ => "none",
        },
        code: report.code,
        message: sentence(&report.message, limits),
        page: report.page.as_ref().map(|page| words(page, limits)),
        prefixes: folded(&report.prefixes, AT_ONCE, Clone::clone, limits),
        quotes: quotes.map(|one| Quote { line: one.line, says: words(&one.text, limits) }).collect(),
        help: sentence(&report.help, limits),
    }
}

fn question(report: &QuestionReport, limits: Limits) -> Vec<Piece> {
    sentence(&report.message, limits)
}
