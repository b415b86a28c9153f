//! What pages publish against policies, as JSON, version 1. Fields are only ever added; see `docs/upstream.md`.

use jiff::Timestamp;
use serde::Serialize;

use super::json_v1::VERSION;
use crate::upstream::compare::{Comparison, Finding, Outcome, PageComparison, Weight};
use crate::upstream::propose::{Added, Proposal, Question};

/// The report.
#[derive(Debug, Serialize)]
pub struct UpstreamReport {
    /// 1.
    pub version: u32,
    /// The instant of the comparison.
    pub at: String,
    /// The worst of all outcomes.
    pub outcome: &'static str,
    /// Each provider.
    pub providers: Vec<ProviderReport>,
}

/// One provider's pages.
#[derive(Debug, Serialize)]
pub struct ProviderReport {
    /// The provider's id.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// The revision of its policy.
    pub revision: u32,
    /// The worst outcome of its pages.
    pub outcome: &'static str,
    /// Each page, those that decide first.
    pub pages: Vec<PageReport>,
    /// What was found, page by page.
    pub findings: Vec<FindingReport>,
    /// The change of the policy that is proposed; left out where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<ProposalReport>,
}

/// One page.
#[derive(Debug, Serialize)]
pub struct PageReport {
    /// Its name in the policy.
    pub page: String,
    /// Its address.
    pub url: String,
    /// The heading under which the addresses stand.
    pub section: Option<String>,
    /// Whether it decides where pages disagree.
    pub decides: bool,
    /// What came of it.
    pub outcome: &'static str,
    /// Why, for people, where there is no list.
    pub reason: Option<String>,
    /// What to do about that, for people.
    pub help: Option<String>,
    /// Where it stands now.
    pub moved_to: Option<String>,
    /// When it was asked for.
    pub read_at: Option<String>,
    /// SHA-256 of its bytes.
    pub digest: Option<String>,
    /// How many entries it publishes.
    pub entries: usize,
}

/// Something that was found.
#[derive(Debug, Serialize)]
pub struct FindingReport {
    /// Its stable name.
    pub code: &'static str,
    /// `drift`, `disagreement` or `note`.
    pub weight: &'static str,
    /// For people; its wording may change.
    pub message: String,
    /// The page.
    pub page: Option<String>,
    /// The page that it differs from.
    pub other_page: Option<String>,
    /// The source of the policy.
    pub source: Option<String>,
    /// The role in which addresses are listed, or missed.
    pub role: Option<&'static str>,
    /// The environments that it is about; empty where it is about no single one.
    pub environments: Vec<&'static str>,
    /// The addresses, as the fewest prefixes.
    pub prefixes: Vec<String>,
    /// The words of the page.
    pub quotes: Vec<QuoteReport>,
    /// The dates that differ.
    pub date: Option<DateReport>,
    /// What to do next, for people.
    pub help: String,
}

/// Words of a page, as they stand there.
#[derive(Debug, Serialize)]
pub struct QuoteReport {
    /// The line, from 1.
    pub line: u32,
    /// The words.
    pub text: String,
}

/// A date of the page against that of the policy.
#[derive(Debug, Serialize)]
pub struct DateReport {
    /// The field of the lifecycle.
    pub field: &'static str,
    /// As the policy has it.
    pub policy: Option<String>,
    /// Why the policy's is an inference.
    pub inferred: Option<String>,
    /// The page's date, where it gives one whole.
    pub page: Option<String>,
    /// The page's words.
    pub says: String,
}

/// A change of a policy.
#[derive(Debug, Serialize)]
pub struct ProposalReport {
    /// The file that the patch names.
    pub path: String,
    /// The revision afterwards.
    pub revision: u32,
    /// The sources that are new.
    pub added: Vec<AddedReport>,
    /// What somebody has to decide.
    pub questions: Vec<QuestionReport>,
    /// Pages whose `verified:` is raised.
    pub verified: Vec<String>,
    /// The change as a unified diff.
    pub patch: String,
}

/// A source that is proposed.
#[derive(Debug, Serialize)]
pub struct AddedReport {
    /// Its id.
    pub source: String,
    /// The page that lists it.
    pub page: String,
    /// What it is.
    pub role: &'static str,
    /// Whose address space it is, as far as that can be known.
    pub hosting: &'static str,
    /// The environments that call from it.
    pub environments: Vec<&'static str>,
    /// What it covers.
    pub prefixes: Vec<String>,
}

/// Something that somebody has to decide.
#[derive(Debug, Serialize)]
pub struct QuestionReport {
    /// The finding that asks.
    pub code: &'static str,
    /// The page.
    pub page: String,
    /// The source that it is about.
    pub source: Option<String>,
    /// The addresses.
    pub prefixes: Vec<String>,
    /// For people.
    pub message: String,
}

impl UpstreamReport {
    /// The report of these comparisons, each with the change that it calls for, if one is asked for.
    pub fn new(at: Timestamp, all: &[(&Comparison, Option<&Proposal>)]) -> Self {
        let outcome = all.iter().map(|(comparison, _)| comparison.outcome).max();
        Self {
            version: VERSION,
            at: at.to_string(),
            outcome: outcome.unwrap_or(Outcome::NotWatched).as_str(),
            providers: all.iter().map(|(comparison, proposal)| provider(comparison, *proposal)).collect(),
        }
    }
}

fn provider(comparison: &Comparison, proposal: Option<&Proposal>) -> ProviderReport {
    ProviderReport {
        provider: comparison.provider.to_string(),
        name: comparison.name.clone(),
        revision: comparison.revision,
        outcome: comparison.outcome.as_str(),
        pages: comparison.pages.iter().map(page).collect(),
        findings: comparison.findings.iter().map(finding).collect(),
        proposal: proposal.map(change),
    }
}

fn page(page: &PageComparison) -> PageReport {
    PageReport {
        page: page.page.clone(),
        url: page.url.clone(),
        section: page.section.clone(),
        decides: page.decides,
        outcome: page.outcome.as_str(),
        reason: page.reason.clone(),
        help: page.help.clone(),
        moved_to: page.moved_to.clone(),
        read_at: page.read_at.map(|at| at.to_string()),
        digest: page.digest.clone(),
        entries: page.entries,
    }
}

fn finding(finding: &Finding) -> FindingReport {
    let quotes = finding.quotes.iter();
    let date = finding.date.as_ref().map(|date| DateReport {
        field: date.kind.field(),
        policy: date.policy.clone(),
        inferred: date.inferred.clone(),
        page: date.page.clone(),
        says: date.says.clone(),
    });
    FindingReport {
        code: finding.code.as_str(),
        weight: match finding.code.weight() {
            Weight::Drift => "drift",
            Weight::Disagreement => "disagreement",
            Weight::Note => "note",
        },
        message: finding.message.clone(),
        page: finding.page.clone(),
        other_page: finding.other_page.clone(),
        source: finding.source.as_ref().map(ToString::to_string),
        role: finding.role.map(crate::policy::Role::as_str),
        environments: finding.environments.iter().map(|environment| environment.as_str()).collect(),
        prefixes: finding.prefixes.iter().map(ToString::to_string).collect(),
        quotes: quotes.map(|quote| QuoteReport { line: quote.line, text: quote.text.clone() }).collect(),
        date,
        help: finding.help.clone(),
    }
}

fn change(proposal: &Proposal) -> ProposalReport {
    ProposalReport {
        path: proposal.path.clone(),
        revision: proposal.revision,
        added: proposal.added.iter().map(added).collect(),
        questions: proposal.questions.iter().map(question).collect(),
        verified: proposal.verified.clone(),
        patch: proposal.patch.clone(),
    }
}

fn added(added: &Added) -> AddedReport {
    AddedReport {
        source: added.id.to_string(),
        page: added.page.clone(),
        role: added.role.as_str(),
        hosting: added.hosting.as_str(),
        environments: added.environments.iter().map(|environment| environment.as_str()).collect(),
        prefixes: added.prefixes.iter().map(ToString::to_string).collect(),
    }
}

fn question(question: &Question) -> QuestionReport {
    QuestionReport {
        code: question.code.as_str(),
        page: question.page.clone(),
        source: question.source.as_ref().map(ToString::to_string),
        prefixes: question.prefixes.iter().map(ToString::to_string).collect(),
        message: question.message.clone(),
    }
}
