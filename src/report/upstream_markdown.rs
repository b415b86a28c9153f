//! What pages publish against policies, as Markdown: for tickets, and as the text of a pull request.
//!
//! Words of pages are hostile: they stand in code spans that they can't leave, so nothing in them is markup, a link or a mention.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::escape::{self, code_cell, link, prose};
use super::upstream_text::said;
use super::upstream_v1::{FindingReport, PageReport, ProviderReport, UpstreamReport};
use crate::policy::{Evidence, Policy, SourceId};
use crate::upstream::compare::{Comparison, PageComparison, Quote};
use crate::upstream::propose::{Added, Proposal, Question};

/// Most lines of a page that are shown for one finding.
const QUOTES_SHOWN_MAX: usize = 3;
/// Most characters of words of others in a line.
const WORDS_SHOWN_MAX: usize = 300;

// Writing into a String can't fail, so the results below are dropped.

/// Words of others as code.
fn code(text: &str) -> String {
    let shown = escape::code(text, WORDS_SHOWN_MAX);
    if shown.is_empty() { "(nothing)".to_owned() } else { shown }
}

/// Our own words, with names and words of others in them.
fn plain(text: &str) -> String {
    prose(text, WORDS_SHOWN_MAX.saturating_mul(2))
}

/// The report as Markdown.
pub fn markdown(report: &UpstreamReport) -> String {
    let mut text = format!("# What the providers publish against the policies, at {}\n", report.at);
    for one in &report.providers {
        let _ = writeln!(text, "\n## {}: {}\n", plain(&one.name), said(one.outcome));
        provider(one, &mut text);
    }
    text
}

fn provider(one: &ProviderReport, text: &mut String) {
    let _ = writeln!(text, "Policy {}, revision {}.\n", code(&one.provider), one.revision);
    text.push_str("| page | outcome | entries | read | address |\n| --- | --- | --- | --- | --- |\n");
    for page in &one.pages {
        let decides = if page.decides { " (decides)" } else { "" };
        let _ = writeln!(
            text,
            "| {}{decides} | {} | {} | {} | {} |",
            code_cell(&page.page, WORDS_SHOWN_MAX),
            said(page.outcome),
            page.entries,
            page.read_at.as_deref().unwrap_or("–"),
            link(&page.url)
        );
    }
    for page in one.pages.iter().filter(|page| page.reason.is_some()) {
        silent(page, text);
    }
    if !one.findings.is_empty() {
        text.push('\n');
    }
    one.findings.iter().for_each(|found| finding(found, text));
}

fn silent(page: &PageReport, text: &mut String) {
    let reason = page.reason.as_deref().unwrap_or_default();
    let _ = write!(text, "\n{} {}: {}.", code(&page.page), said(page.outcome), code(reason));
    if let Some(to) = &page.moved_to {
        let _ = write!(text, " Now at {}.", link(to));
    }
    if let Some(help) = &page.help {
        let _ = write!(text, " To do: {}.", plain(help));
    }
    text.push('\n');
}

fn finding(found: &FindingReport, text: &mut String) {
    let _ = writeln!(text, "- **{}**: {}", found.code, plain(&found.message));
    for quote in found.quotes.iter().take(QUOTES_SHOWN_MAX) {
        let _ = writeln!(text, "  - line {}: {}", quote.line, code(&quote.text));
    }
    if found.weight != "note" {
        let _ = writeln!(text, "  - {}", plain(&found.help));
    }
}

/// The text of a pull request that carries a proposal.
pub fn pull_request(policy: &Policy, comparison: &Comparison, proposal: &Proposal) -> String {
    let mut text = format!("# {}: what its pages publish now\n\n", plain(&comparison.name));
    let risen = if proposal.revision == policy.revision { "stays" } else { "rises to" };
    let _ = writeln!(
        text,
        "The pages of {} were held against its policy, revision {}, at {}. The revision {risen} {}. Nothing else was changed.\n",
        code(policy.provider.as_str()),
        policy.revision,
        comparison.at,
        proposal.revision
    );
    decisions(proposal, &mut text);
    if !proposal.added.is_empty() {
        text.push_str("\n## New sources\n");
    }
    for one in &proposal.added {
        added(policy, comparison, one, &mut text);
    }
    if !proposal.questions.is_empty() {
        text.push_str("\n## Questions\n\nEach stands in the file as a comment, with the lines to write.\n");
    }
    for one in &proposal.questions {
        question(policy, comparison, one, &mut text);
    }
    evidence(comparison, &mut text);
    text
}

/// What a reviewer has to decide, first.
fn decisions(proposal: &Proposal, text: &mut String) {
    text.push_str("## To decide\n\n");
    for one in &proposal.added {
        let _ = writeln!(
            text,
            "- [ ] New source `{}`: hold {} against the page, and look up whose address space it is (`hosting: {}`).",
            one.id,
            code(&crate::prefix::listed(&one.prefixes, 8)),
            one.hosting
        );
        for note in &one.notes {
            let _ = writeln!(text, "  - {}", plain(note));
        }
    }
    for one in &proposal.questions {
        let _ = writeln!(text, "- [ ] {}: {}.", one.code, plain(&one.message));
    }
}

fn added(policy: &Policy, comparison: &Comparison, one: &Added, text: &mut String) {
    let _ = writeln!(text, "\n### `{}`\n", one.id);
    let environments: Vec<&str> = one.environments.iter().map(|environment| environment.as_str()).collect();
    let _ = writeln!(
        text,
        "{}, {}, for {}: {}\n",
        one.role,
        one.hosting,
        environments.join(" and "),
        code(&crate::prefix::listed(&one.prefixes, 20))
    );
    let known = policy.sources.iter().any(|source| source.evidence.iter().any(|own| own.page == one.page));
    let before = if known {
        "not in what the policy quotes of this page"
    } else {
        "the policy quotes nothing of this page"
    };
    let _ = writeln!(text, "- before: {before}");
    after(comparison, &one.page, &one.quotes, text);
}

/// What a page says now, with the link to it.
fn after(comparison: &Comparison, page: &str, quotes: &[Quote], text: &mut String) {
    let url = comparison.pages.iter().find(|one| one.page == page).map(|one| link(&one.url));
    let url = url.unwrap_or_else(|| code(page));
    if quotes.is_empty() {
        let _ = writeln!(text, "- after, on {url}: not listed");
    }
    for quote in quotes.iter().take(QUOTES_SHOWN_MAX) {
        let _ = writeln!(text, "- after, line {} of {url}: {}", quote.line, code(&quote.text));
    }
}

fn question(policy: &Policy, comparison: &Comparison, one: &Question, text: &mut String) {
    let about = one.source.as_ref().map(|id| format!(" about `{id}`")).unwrap_or_default();
    let _ = writeln!(text, "\n### {}{about}\n\n{}.\n", one.code, plain(&one.message));
    for evidence in one.source.iter().flat_map(|id| quoted(policy, id, &one.page)) {
        let says = evidence.says.as_deref().unwrap_or_default();
        let _ = writeln!(text, "- before, read {}: {}", evidence.read, code(says));
    }
    let finding = comparison.findings.iter().find(|finding| {
        finding.code == one.code && finding.source == one.source && finding.page.as_deref() == Some(&one.page)
    });
    after(comparison, &one.page, finding.map(|finding| finding.quotes.as_slice()).unwrap_or_default(), text);
}

/// The words of a page that the policy has for a source, the last read first.
fn quoted<'p>(policy: &'p Policy, id: &SourceId, page: &str) -> Vec<&'p Evidence> {
    let source = policy.source(id).into_iter();
    let own = source.flat_map(|source| &source.evidence).filter(|own| own.page == page && own.says.is_some());
    let mut own: Vec<&Evidence> = own.collect();
    own.sort_by_key(|evidence| std::cmp::Reverse(evidence.read.starts()));
    own.truncate(QUOTES_SHOWN_MAX);
    own
}

/// The pages, each with when it was read and the digest of what was read.
fn evidence(comparison: &Comparison, text: &mut String) {
    text.push_str(
        "\n## Evidence\n\n| page | outcome | read | SHA-256 | address |\n| --- | --- | --- | --- | --- |\n",
    );
    let rows: BTreeMap<&str, &PageComparison> =
        comparison.pages.iter().map(|page| (page.page.as_str(), page)).collect();
    for page in rows.values() {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            code_cell(&page.page, WORDS_SHOWN_MAX),
            said(page.outcome.as_str()),
            page.read_at.map_or_else(|| "–".to_owned(), |at| at.to_string()),
            page.digest
                .as_deref()
                .map_or_else(|| "–".to_owned(), |digest| code_cell(digest, WORDS_SHOWN_MAX)),
            link(&page.url)
        );
    }
}
