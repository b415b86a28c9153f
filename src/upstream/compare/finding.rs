//! What a comparison finds: facts with a stable code, and their words.

use std::collections::BTreeSet;
use std::fmt;

use crate::policy::{Environment, Role, SourceId};
use crate::prefix::Prefix;
use crate::upstream::StatedKind;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// Worth knowing; changes no outcome.
    Note,
    /// Pages differ from each other.
    Disagreement,
    /// What is published differs from the policy.
    Drift,
}

macro_rules! finding_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $weight:ident;)+) => {
        /// The stable names of all findings; each is a heading in `docs/upstream.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingCode { $($(#[$doc])* $variant,)+ }

        impl FindingCode {
            /// All codes in the order of the documentation.
            pub const ALL: &'static [FindingCode] = &[$(FindingCode::$variant,)+];

            /// The kebab-case name shown to people and machines.
            pub fn as_str(self) -> &'static str {
                match self { $(FindingCode::$variant => $text,)+ }
            }

            /// What it weighs.
            pub fn weight(self) -> Weight {
                match self { $(FindingCode::$variant => Weight::$weight,)+ }
            }
        }
    };
}

finding_codes! {
    /// Listed, and not in the policy.
    Added = "added", Drift;
    /// Listed as a callback source, not in the policy, and inside a network that the provider owns.
    AddedInsideOwnerNetwork = "added-inside-owner-network", Drift;
    /// In the policy, expected on the page, and not listed.
    Removed = "removed", Drift;
    /// Listed in another role than the policy has.
    RoleChanged = "role-changed", Drift;
    /// Listed for other environments than the policy has.
    EnvironmentChanged = "environment-changed", Drift;
    /// A tombstone that is listed again.
    WithdrawnListed = "withdrawn-listed", Drift;
    /// Past its end, and listed.
    ExpiredListed = "expired-listed", Drift;
    /// Listed before the policy makes it known.
    ListedEarly = "listed-early", Drift;
    /// A date of the page that is not the policy's.
    DateDiffers = "date-differs", Drift;
    /// Two pages say different things.
    PagesDisagree = "pages-disagree", Disagreement;
    /// Announced elsewhere, and listed on this page now.
    AnnouncedListed = "announced-listed", Note;
    /// A date of the page, of something past, that the policy does not hold.
    DatePast = "date-past", Note;
    /// A date of which the page leaves a part out, or gives several.
    DateIncomplete = "date-incomplete", Note;
    /// A source that no watched page is expected to list.
    SourceNotWatched = "source-not-watched", Note;
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Words of a page, and where they stand in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quote {
    /// The line of the page as it was stored, from 1.
    pub line: u32,
    /// The words.
    pub text: String,
}

/// A date of the page against that of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateDifference {
    /// Which.
    pub kind: StatedKind,
    /// As the policy has it; `None` where it has none.
    pub policy: Option<String>,
    /// Why the policy's is an inference of ours.
    pub inferred: Option<String>,
    /// The page's date, where the page gives it whole.
    pub page: Option<String>,
    /// The page's words.
    pub says: String,
}

/// Something that a comparison found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Its stable name.
    pub code: FindingCode,
    /// The page.
    pub page: Option<String>,
    /// The page that it differs from.
    pub other_page: Option<String>,
    /// The source of the policy.
    pub source: Option<SourceId>,
    /// The role in which addresses are listed, or missed.
    pub role: Option<Role>,
    /// The environments that it is about; empty where it is about no single one.
    pub environments: BTreeSet<Environment>,
    /// The addresses, as the fewest prefixes.
    pub prefixes: Vec<Prefix>,
    /// The words of the page.
    pub quotes: Vec<Quote>,
    /// The dates that differ.
    pub date: Option<DateDifference>,
    /// What was found, for people.
    pub message: String,
    /// What to do next, for people.
    pub help: String,
}

impl Finding {
    pub(super) fn new(code: FindingCode, message: String, help: impl Into<String>) -> Self {
        Self {
            code,
            page: None,
            other_page: None,
            source: None,
            role: None,
            environments: BTreeSet::new(),
            prefixes: Vec::new(),
            quotes: Vec::new(),
            date: None,
            message,
            help: help.into(),
        }
    }

    pub(super) fn on(mut self, page: &str) -> Self {
        self.page = Some(page.to_owned());
        self
    }

    pub(super) fn of(mut self, source: &SourceId, role: Role) -> Self {
        self.source = Some(source.clone());
        self.role = Some(role);
        self
    }

    pub(super) fn about(mut self, prefixes: Vec<Prefix>) -> Self {
        self.prefixes = prefixes;
        self
    }

    pub(super) fn saying(mut self, quotes: Vec<Quote>) -> Self {
        self.quotes = quotes;
        self
    }
}

impl StatedKind {
    /// The field of a lifecycle that holds such a date.
    pub fn field(self) -> &'static str {
        match self {
            StatedKind::ValidFrom => "valid_from",
            StatedKind::ValidUntil => "valid_until",
            StatedKind::Deadline => "deadline",
        }
    }
}
