//! What pages publish against policies, for people.

use std::fmt::Write as _;

use super::upstream_v1::{FindingReport, PageReport, ProposalReport, ProviderReport, UpstreamReport};
use crate::plain::{line, words};

/// Most lines of a page that are shown for one finding.
const QUOTES_SHOWN_MAX: usize = 3;
/// Most characters of a page's words that are shown in a line.
const WORDS_SHOWN_MAX: usize = 160;

// Writing into a String can't fail, so the results below are dropped.

/// The report as text.
pub fn text(report: &UpstreamReport) -> String {
    let mut text = format!("What the providers publish against the policies, at {}\n", report.at);
    for one in &report.providers {
        provider(one, &mut text);
    }
    if report.providers.iter().any(|provider| provider.proposal.is_some()) {
        text.push_str("\nNothing was changed: a proposal is for a person to review.\n");
    }
    text
}

fn provider(one: &ProviderReport, text: &mut String) {
    let name = line(&one.provider);
    let _ = writeln!(text, "\n{name} (revision {}): {}", one.revision, said(one.outcome));
    let widest = one.pages.iter().map(|page| line(&page.page).chars().count()).max().unwrap_or(0);
    for shown in &one.pages {
        page(shown, widest, text);
    }
    for found in &one.findings {
        finding(found, text);
    }
    if let Some(change) = &one.proposal {
        proposal(change, text);
    }
}

/// An outcome in words.
pub(super) fn said(outcome: &str) -> &str {
    match outcome {
        "not-watched" => "not watched",
        "pages-disagree" => "pages disagree",
        outcome => outcome,
    }
}

fn page(page: &PageReport, widest: usize, text: &mut String) {
    let (name, outcome) = (line(&page.page), said(page.outcome));
    let entries = match page.entries {
        0 => String::new(),
        1 => "1 entry, ".to_owned(),
        many => format!("{many} entries, "),
    };
    let _ = writeln!(text, "  {name:widest$}  {outcome:14}  {entries}{}", words(&page.url, WORDS_SHOWN_MAX));
    if let Some(reason) = &page.reason {
        let _ = writeln!(text, "    {}", words(reason, WORDS_SHOWN_MAX.saturating_mul(2)));
    }
    if let Some(to) = &page.moved_to {
        let _ = writeln!(text, "    now at {}", words(to, WORDS_SHOWN_MAX));
    }
    if let Some(help) = &page.help {
        let _ = writeln!(text, "    help     {}", line(help));
    }
}

fn finding(found: &FindingReport, text: &mut String) {
    let _ = writeln!(text, "  {}: {}", found.code, line(&found.message));
    for quote in found.quotes.iter().take(QUOTES_SHOWN_MAX) {
        let _ = writeln!(text, "    line {:<4}| {}", quote.line, words(&quote.text, WORDS_SHOWN_MAX));
    }
    let more = found.quotes.len().saturating_sub(QUOTES_SHOWN_MAX);
    if more > 0 {
        let _ = writeln!(text, "    and {more} more lines");
    }
    if let Some(inferred) = found.date.as_ref().and_then(|date| date.inferred.as_ref()) {
        let _ = writeln!(text, "    inferred {}", words(inferred, WORDS_SHOWN_MAX));
    }
    if found.weight != "note" {
        let _ = writeln!(text, "    help     {}", line(&found.help));
    }
}

fn proposal(change: &ProposalReport, text: &mut String) {
    let _ = writeln!(text, "  proposed, revision {}:", change.revision);
    for added in &change.added {
        let short = |prefix: &String| prefix.trim_end_matches("/32").trim_end_matches("/128").to_owned();
        let prefixes: Vec<String> = added.prefixes.iter().map(short).collect();
        let prefixes = words(&prefixes.join(", "), WORDS_SHOWN_MAX);
        let _ =
            writeln!(text, "    new      {} ({}, {}): {prefixes}", added.source, added.role, added.hosting);
    }
    for question in &change.questions {
        let _ = writeln!(text, "    decide   {}: {}", question.code, line(&question.message));
    }
    for name in &change.verified {
        let _ = writeln!(text, "    verified {}", line(name));
    }
}
