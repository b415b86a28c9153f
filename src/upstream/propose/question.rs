//! What only a person can decide, as a comment at the source that it is about.

use super::written;
use crate::policy::{Policy, SourceId};
use crate::prefix::{Prefix, listed};
use crate::upstream::compare::{Addition, Comparison, Finding, FindingCode, PageComparison, Weight, carries};

/// Most prefixes that are written out.
const SHOWN_MAX: usize = 12;

/// Something to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The finding that asks.
    pub code: FindingCode,
    /// The page.
    pub page: String,
    /// The source in whose place it stands; the end of the file where it is about none.
    pub source: Option<SourceId>,
    /// The addresses.
    pub prefixes: Vec<Prefix>,
    /// What was found, for people.
    pub message: String,
    /// The first line, by which the question is known again.
    pub mark: String,
    /// All lines, each a comment.
    pub(super) lines: Vec<String>,
}

/// Every question that the findings of a comparison ask, of pages that may ask it.
pub(super) fn all(policy: &Policy, comparison: &Comparison) -> Vec<Question> {
    let asking = comparison.findings.iter().filter_map(|finding| {
        let page = finding.page.as_deref()?;
        let page = comparison.pages.iter().find(|compared| compared.page == page)?;
        may_ask(policy, comparison, finding, page).then_some((finding, page))
    });
    let mut questions: Vec<Question> = Vec::new();
    for (finding, page) in asking {
        let Some(choices) = choices(finding, page) else { continue };
        questions.push(question(finding, page, choices));
    }
    questions.dedup_by(|later, earlier| later.mark == earlier.mark);
    questions
}

/// A page that does not decide only asks about sources that no page that decides carries.
fn may_ask(policy: &Policy, comparison: &Comparison, finding: &Finding, page: &PageComparison) -> bool {
    if finding.code.weight() != Weight::Drift {
        return false;
    }
    let source = finding.source.as_ref().and_then(|id| policy.source(id));
    let mut deciding = comparison.pages.iter().filter(|other| other.decides);
    page.decides || source.is_some_and(|source| !deciding.any(|other| carries(policy, &other.page, source)))
}

/// What can be done, as lines below the words of the question; `None` where a finding asks nothing.
fn choices(finding: &Finding, page: &PageComparison) -> Option<Vec<String>> {
    let read = page.read_at.map_or_else(|| "…".to_owned(), written::instant);
    let lines: Vec<String> = match finding.code {
        FindingCode::Removed => vec![
            "- callbacks may still come from it: under `lifecycle:` write".to_owned(),
            format!("    legacy_since: {read}"),
            "    valid_until: unknown        # or the end that the provider names".to_owned(),
            "    review_by: YYYY-MM-DD       # when somebody looks again".to_owned(),
            "- it is withdrawn: write `role: tombstone`, and under `lifecycle:`".to_owned(),
            format!("    withdrawn: {read}"),
            "- the page is wrong: nothing else".to_owned(),
            "Where the source holds more than these addresses, give them a source of their own first.".to_owned(),
        ],
        FindingCode::WithdrawnListed | FindingCode::ExpiredListed => vec![
            "- callbacks come from it again: keep this source, and add one with a new id, and under its `lifecycle:`".to_owned(),
            format!("    announced: {read}"),
            "- they don't: nothing else".to_owned(),
        ],
        FindingCode::RoleChanged => vec![
            "- it is as the page says: end this source, and add one with the other role and a new id".to_owned(),
            "- the page is wrong, or read wrongly: nothing else".to_owned(),
        ],
        FindingCode::EnvironmentChanged => vec![
            "- it is as the page says: write `environments:` of this source, with what differs there".to_owned(),
            "- the page is wrong, or read wrongly: nothing else".to_owned(),
        ],
        FindingCode::ListedEarly => {
            vec!["- it is published now: under `lifecycle:` write".to_owned(), format!("    announced: {read}")]
        }
        FindingCode::DateDiffers => {
            let date = finding.date.as_ref()?;
            vec![
                "- it is as the page says: under `lifecycle:` write".to_owned(),
                format!("    {}: {}", date.kind.field(), date.page.as_deref().map(written::words)?),
                "- the policy is right: say why in `notes:`; what lies in the past is not rewritten".to_owned(),
            ]
        }
        FindingCode::Added
        | FindingCode::AddedInsideOwnerNetwork
        | FindingCode::PagesDisagree
        | FindingCode::AnnouncedListed
        | FindingCode::DatePast
        | FindingCode::DateIncomplete
        | FindingCode::SourceNotWatched => return None,
    };
    Some(lines)
}

/// What tells a question from others of its code and page, whenever it is asked.
fn subject(finding: &Finding) -> String {
    let mut subject = listed(&finding.prefixes, SHOWN_MAX);
    for environment in &finding.environments {
        subject.push_str(&format!(", {environment}"));
    }
    if let Some(date) = &finding.date {
        let page = date.page.as_deref().map(written::words).unwrap_or_default();
        subject.push_str(&format!(", {} {page}", date.kind.field()));
    }
    subject
}

fn mark(code: FindingCode, page: &str, subject: &str) -> String {
    format!("# upstream asks ({code}, page {}): {subject}", written::words(page))
}

fn question(finding: &Finding, page: &PageComparison, choices: Vec<String>) -> Question {
    let mark = mark(finding.code, &page.page, &subject(finding));
    let mut lines = vec![mark.clone()];
    lines.extend(written::comment(&format!("{}.", written::words(&finding.message)), "   "));
    let quotes = finding.quotes.iter().take(2);
    lines.extend(quotes.flat_map(|quote| {
        written::comment(&format!("Line {}: \"{}\"", quote.line, written::words(&quote.text)), "   ")
    }));
    lines.extend(read(page));
    lines.push("#   Ask the provider, decide, and delete these lines:".to_owned());
    lines.extend(choices.into_iter().map(|choice| format!("#   {choice}")));
    Question {
        code: finding.code,
        page: page.page.clone(),
        source: finding.source.clone(),
        prefixes: finding.prefixes.clone(),
        message: finding.message.clone(),
        mark,
        lines,
    }
}

/// When and what was read.
fn read(page: &PageComparison) -> Option<String> {
    let at = page.read_at.map(written::instant)?;
    let digest = page.digest.as_ref().map(|digest| format!(", sha256:{}", written::words(digest)));
    Some(format!("#   Read {at}{}", digest.unwrap_or_default()))
}

/// The question for what is new and can't be a source.
pub(super) fn left_out(
    addition: &Addition,
    page: &PageComparison,
    prefixes: &[Prefix],
    reason: &str,
) -> Question {
    let code = FindingCode::Added;
    let mark = mark(code, &page.page, &format!("{} as {}", listed(prefixes, SHOWN_MAX), addition.role));
    let message = format!("The page lists this anew, and it was not added: {reason}");
    let mut lines = vec![mark.clone()];
    lines.extend(written::comment(&format!("{}.", written::words(&message)), "   "));
    let quotes = addition.piece.quotes.iter().take(2);
    lines.extend(quotes.flat_map(|quote| {
        written::comment(&format!("Line {}: \"{}\"", quote.line, written::words(&quote.text)), "   ")
    }));
    lines.extend(read(page));
    lines.push("#   Read the page, then add a source by hand or delete these lines.".to_owned());
    Question {
        code,
        page: page.page.clone(),
        source: None,
        prefixes: prefixes.to_vec(),
        message,
        mark,
        lines,
    }
}
