//! What the pages of a provider publish, held against its policy at an instant.
//!
//! Addresses are compared as sets, by role and by environment: eight singles equal their /29, and what a page says twice it says
//! once. A page is only expected to list what the policy's evidence says stands on it, so that a page which never carried the
//! provider's own networks is not said to have lost them. A page that can't be read whole says nothing at all: neither that an
//! address came, nor that one went.

mod dates;
mod dispute;
mod finding;
mod listing;
mod page;
mod wanted;

use std::fmt;

use jiff::Timestamp;

pub use finding::{DateDifference, Finding, FindingCode, Quote, Weight};
pub use listing::Piece;

use super::{Published, Reading, Unreadable};
use crate::policy::{Policy, ProviderId, Role};
use crate::prefix::PrefixSet;
use wanted::Known;

/// What became of one page of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The page's name in the policy.
    pub page: String,
    /// The address that was asked.
    pub url: String,
    /// When.
    pub at: Timestamp,
    /// SHA-256 of its bytes in hexadecimal digits, where there are any.
    pub digest: Option<String>,
    /// What came of it.
    pub seen: Seen,
}

/// What came of asking for a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// It was received, and this is what it says.
    Read(Reading),
    /// It stands somewhere else now, or nowhere: where, if it is said, and what happened.
    Moved(Option<String>, String),
    /// What was received is no page of its kind.
    Unreadable(Unreadable),
    /// It did not answer, or its answer can't be trusted.
    Unreachable(String),
}

/// What came of comparing, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Not compared: the page is kept as evidence only, or a policy watches none.
    NotWatched,
    /// What is published is what the policy holds.
    Agrees,
    /// The page did not answer.
    Unreachable,
    /// The page can't be read whole.
    Unreadable,
    /// The page stands somewhere else.
    Moved,
    /// The page publishes no address, and is expected to.
    Empty,
    /// Pages of the provider say different things.
    PagesDisagree,
    /// What is published differs from the policy.
    Drift,
}

impl Outcome {
    /// Every outcome, the worst last.
    pub const ALL: [Outcome; 8] = [
        Outcome::NotWatched,
        Outcome::Agrees,
        Outcome::Unreachable,
        Outcome::Unreadable,
        Outcome::Moved,
        Outcome::Empty,
        Outcome::PagesDisagree,
        Outcome::Drift,
    ];

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::NotWatched => "not-watched",
            Outcome::Agrees => "agrees",
            Outcome::Unreachable => "unreachable",
            Outcome::Unreadable => "unreadable",
            Outcome::Moved => "moved",
            Outcome::Empty => "empty",
            Outcome::PagesDisagree => "pages-disagree",
            Outcome::Drift => "drift",
        }
    }

    /// What an exit status says of it.
    pub fn verdict(self) -> Verdict {
        match self {
            Outcome::NotWatched | Outcome::Agrees => Verdict::AsWanted,
            Outcome::Unreachable | Outcome::Unreadable => Verdict::Undetermined,
            Outcome::Moved | Outcome::Empty | Outcome::PagesDisagree | Outcome::Drift => Verdict::Differs,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An outcome as far as an exit status tells outcomes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to report.
    AsWanted,
    /// Somebody has to look.
    Differs,
    /// It could not be found out.
    Undetermined,
}

/// One provider's pages, compared with its policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The provider.
    pub provider: ProviderId,
    /// The provider's name.
    pub name: String,
    /// The revision of the policy.
    pub revision: u32,
    /// The instant of the comparison.
    pub at: Timestamp,
    /// The worst of all.
    pub outcome: Outcome,
    /// Each page of the policy, by name; those that decide first.
    pub pages: Vec<PageComparison>,
    /// What was found, page by page in the same order; what is about no page last.
    pub findings: Vec<Finding>,
    /// What the pages list and the policy does not have, where a page decides it: what a change of the policy may add.
    pub additions: Vec<Addition>,
}

/// One page, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct PageComparison {
    /// Its name in the policy.
    pub page: String,
    /// Its address.
    pub url: String,
    /// The heading under which the addresses stand.
    pub section: Option<String>,
    /// Whether it decides where pages disagree.
    pub decides: bool,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, in words, where there is no list.
    pub reason: Option<String>,
    /// Where it stands now, where that is said.
    pub moved_to: Option<String>,
    /// When it was asked for.
    pub read_at: Option<Timestamp>,
    /// SHA-256 of its bytes in hexadecimal digits.
    pub digest: Option<String>,
    /// How many entries it publishes.
    pub entries: usize,
}

/// Addresses that a page lists alike, and that the policy does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct Addition {
    /// The page.
    pub page: String,
    /// What they are.
    pub role: Role,
    /// The addresses, and what the page says of them.
    pub piece: Piece,
    /// Whether a network of the provider's own holds them all.
    pub is_owned: bool,
}

/// Compares all pages of a policy. A watched page that was not observed counts as unreachable.
pub fn compare(policy: &Policy, observed: &[Observed], at: Timestamp) -> Comparison {
    let known = Known::of(policy, at);
    let read: Vec<page::Read<'_>> =
        page::in_order(policy).filter_map(|name| page::Read::of(policy, &known, name, observed)).collect();
    let disputes = dispute::all(&known, &read);
    let mut pages = Vec::with_capacity(read.len());
    let mut findings = Vec::new();
    let mut additions = Vec::new();
    for one in &read {
        let found = page::findings(&known, one, &disputes);
        pages.push(one.compared(&found));
        findings.extend(found);
        additions.extend(page::additions(&known, one, &disputes, &additions));
    }
    findings.extend(page::unwatched_sources(policy, &known));
    let outcome = pages.iter().map(|page| page.outcome).max().unwrap_or(Outcome::NotWatched);
    Comparison {
        provider: policy.provider.clone(),
        name: policy.name.clone(),
        revision: policy.revision,
        at,
        outcome,
        pages,
        findings,
        additions,
    }
}

/// The addresses of these entries.
fn covered<'p>(entries: impl IntoIterator<Item = &'p Published>) -> PrefixSet {
    entries.into_iter().map(|entry| entry.prefix).collect()
}
