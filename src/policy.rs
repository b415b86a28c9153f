//! Policies: what a provider publishes, since when and until when, and how we know.
//!
//! A [`Policy`] is only made by [`validate`]; whoever holds one need not check it again. States are computed
//! for an instant that is passed in, never stored.

pub mod due;
pub mod format;
pub mod history;
pub mod load;
pub mod raw;
pub mod validate;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::diagnostic::{Code, SourceText};
use crate::instant::Moment;
use crate::prefix::Prefix;
use crate::yaml::decode::choices;

choices! {
    /// What a source is.
    pub enum Role {
        /// Callbacks come from it.
        Callback = "callback",
        /// The provider's own network: admitted only where a site opts in.
        OwnerNetwork = "owner-network",
        /// Withdrawn; kept to explain late callers, never admitted.
        Tombstone = "tombstone",
    }
}

choices! {
    /// Whose address space a source lies in.
    pub enum Hosting {
        /// Used by the provider alone.
        Dedicated = "dedicated",
        /// A cloud's pool: single addresses only.
        Shared = "shared",
        /// Registered to the provider itself.
        Owner = "owner",
        /// Nobody has found out yet.
        Unknown = "unknown",
    }
}

choices! {
    /// Which of a provider's environments calls.
    pub enum Environment {
        /// Real payments.
        Production = "production",
        /// The provider's test environment.
        Test = "test",
    }
}

choices! {
    /// How a page is written.
    pub enum PageKind {
        /// HTML.
        Html = "html",
        /// Markdown.
        Markdown = "markdown",
        /// Plain text.
        Text = "text",
        /// JSON.
        Json = "json",
        /// Comma-separated values.
        Csv = "csv",
        /// Host names that are resolved.
        Dns = "dns",
    }
}

choices! {
    /// How exactly an instant is known.
    pub enum Precision {
        /// To the second.
        Instant = "instant",
        /// To the minute.
        Minute = "minute",
        /// The day only.
        Date = "date",
    }
}

choices! {
    /// A transport protocol.
    pub enum Protocol {
        /// TCP.
        Tcp = "tcp",
    }
}

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes lower-case letters, digits and single hyphens, at most 63; `None` for anything else.
            pub fn new(text: &str) -> Option<Self> {
                let worded = |word: &str| {
                    !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                };
                (text.len() <= 63 && text.split('-').all(worded)).then(|| Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )+};
}

ids! {
    /// A provider's id, such as `swedbank-pay`.
    ProviderId;
    /// A source's id within its policy, such as `legacy-91`.
    SourceId;
}

/// SHA-256 over what a policy means; notes, evidence, order and layout do not change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub(crate) [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digit = |half: u8| f.write_char(char::from_digit(half.into(), 16).unwrap_or('0'));
        self.0.iter().try_for_each(|byte| digit(byte >> 4).and_then(|()| digit(byte & 0xf)))
    }
}

impl Digest {
    /// The first 16 hexadecimal digits: enough to tell revisions apart in a header.
    pub fn short(&self) -> String {
        self.to_string().chars().take(16).collect()
    }
}

/// One provider's sources, checked.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Whose.
    pub provider: ProviderId,
    /// The provider's name.
    pub name: String,
    /// The number that rises with every change of meaning.
    pub revision: u32,
    /// The zone of bare dates.
    pub zone: TimeZone,
    /// The ports that the provider calls, ascending.
    pub ports: Vec<u16>,
    /// What else is known.
    pub notes: Vec<String>,
    /// Pages by name.
    pub pages: BTreeMap<String, Page>,
    /// Sources by ascending id.
    pub sources: Vec<Source>,
    /// Findings accepted for a time.
    pub waivers: Vec<Waiver>,
    /// The digest of the meaning.
    pub digest: Digest,
    /// The text it was read from.
    pub text: Arc<SourceText>,
}

impl Policy {
    /// The source of this id.
    pub fn source(&self, id: &SourceId) -> Option<&Source> {
        let place = self.sources.binary_search_by(|source| source.id.cmp(id)).ok()?;
        self.sources.get(place)
    }
}

/// A page on which the provider publishes.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its address.
    pub url: String,
    /// How it is written.
    pub kind: PageKind,
    /// The heading under which the addresses stand.
    pub section: Option<String>,
    /// The place of the list within JSON.
    pub pointer: Option<String>,
    /// What objects of JSON and rows of CSV must have to be read.
    pub filter: Vec<(String, String)>,
    /// The column or key that holds the addresses.
    pub column: Option<String>,
    /// The fewest and the most callback entries that it may list.
    pub entries: (usize, usize),
    /// The widest prefixes that it may list: lengths for IPv4 and IPv6.
    pub widest: (u8, u8),
    /// The host names whose addresses are the list; for a page of kind `dns`, and only there.
    pub names: Vec<String>,
    /// Whether it decides where pages disagree.
    pub primary: bool,
    /// Whether it is expected to list addresses now.
    pub watched: bool,
    /// When it was last held against the policy.
    pub verified: Option<Moment>,
}

impl Page {
    /// A watched page, of which all is read.
    pub fn new(url: &str, kind: PageKind) -> Self {
        Self {
            url: url.to_owned(),
            kind,
            section: None,
            pointer: None,
            filter: Vec::new(),
            column: None,
            entries: (0, ENTRIES_MAX),
            widest: (16, 32),
            names: Vec::new(),
            primary: false,
            watched: true,
            verified: None,
        }
    }
}

/// The most entries that a page may list.
pub const ENTRIES_MAX: usize = 20_000;

/// Reads a condition of a filter, `key=value`; `None` where it is none.
pub fn parse_filter(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let whole = !key.is_empty() && !value.is_empty() && !value.contains('=');
    whole.then(|| (key.to_owned(), value.to_owned()))
}

/// One published entry.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its id.
    pub id: SourceId,
    /// What it covers, ascending.
    pub prefixes: Vec<Prefix>,
    /// The provider's own word for it.
    pub label: Option<String>,
    /// What it is.
    pub role: Role,
    /// Whose address space it is.
    pub hosting: Hosting,
    /// When it holds, for each environment that calls from it.
    pub environments: BTreeMap<Environment, Lifecycle>,
    /// How we know.
    pub evidence: Vec<Evidence>,
    /// The source that takes its place.
    pub replaced_by: Option<SourceId>,
    /// What else is known.
    pub notes: Vec<String>,
    /// The place of its id in the policy's text.
    pub place: Range<usize>,
}

impl Source {
    /// Its state in an environment; `None` where that environment does not call from it.
    pub fn state(&self, environment: Environment, at: Timestamp) -> Option<State> {
        let lifecycle = self.environments.get(&environment)?;
        Some(match self.role {
            Role::Tombstone => State::Withdrawn,
            Role::Callback | Role::OwnerNetwork => lifecycle.state(at),
        })
    }
}

/// When a source holds in one environment.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Made known by the provider.
    pub announced: Option<Dated>,
    /// Callbacks come from it.
    pub valid_from: Option<Dated>,
    /// Called legacy by the provider.
    pub legacy_since: Option<Dated>,
    /// The merchant's duty; never ends a source.
    pub deadline: Option<Dated>,
    /// Callbacks no longer come from it.
    pub valid_until: End,
    /// The pages no longer list it.
    pub withdrawn: Option<Dated>,
    /// When somebody looks again.
    pub review_by: Option<Dated>,
}

impl Lifecycle {
    /// The state at an instant, by the lifecycle alone.
    pub fn state(&self, at: Timestamp) -> State {
        let begun = |dated: &Option<Dated>| dated.as_ref().is_some_and(|dated| dated.moment.starts() <= at);
        if self.valid_until.moment().is_some_and(|end| end.ends() <= at) {
            return State::Expired;
        }
        if begun(&self.legacy_since) {
            return State::Grace;
        }
        match (&self.announced, &self.valid_from) {
            (_, Some(_)) if begun(&self.valid_from) => State::Active,
            (Some(_), _) if begun(&self.announced) => State::Announced,
            (None, None) => State::Active,
            (Some(_), _) | (None, Some(_)) => State::Unknown,
        }
    }

    /// All that is dated, known or not, but for the end, which may also be open.
    pub fn dated(&self) -> [Option<&Dated>; 6] {
        [
            &self.announced,
            &self.valid_from,
            &self.legacy_since,
            &self.deadline,
            &self.withdrawn,
            &self.review_by,
        ]
        .map(Option::as_ref)
    }

    /// Every instant at which the state changes.
    pub fn boundaries(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let starts = [&self.announced, &self.valid_from, &self.legacy_since];
        let starts = starts.into_iter().flatten().map(|dated| dated.moment.starts());
        starts.chain(self.valid_until.moment().map(Moment::ends))
    }

    /// The states that it runs through once it is known, in order and without gaps or overlaps.
    pub fn spans(&self) -> Vec<Span> {
        let mut turns: Vec<Timestamp> = self.boundaries().collect();
        turns.sort();
        turns.dedup();
        let starts = std::iter::once(None).chain(turns.iter().copied().map(Some));
        let ends = turns.iter().copied().map(Some).chain([None]);
        let mut spans: Vec<Span> = Vec::new();
        for (from, to) in starts.zip(ends) {
            let state = self.state(from.unwrap_or(Timestamp::MIN));
            match spans.last_mut() {
                _ if state == State::Unknown => {}
                Some(last) if last.state == state => last.to = to,
                _ => spans.push(Span { state, from, to }),
            }
        }
        spans
    }
}

/// A state with when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Which.
    pub state: State,
    /// From when; `None` where that is not known.
    pub from: Option<Timestamp>,
    /// Until when; `None` where nothing ends it.
    pub to: Option<Timestamp>,
}

/// A moment with what is known of it, and its place in the text.
#[derive(Debug, Clone)]
pub struct Dated {
    /// The moment.
    pub moment: Moment,
    /// How exactly it is known.
    pub precision: Precision,
    /// Why it is our inference, where the provider does not say it.
    pub inferred: Option<String>,
    /// Its place in the policy's text.
    pub place: Range<usize>,
}

/// When a source ends.
#[derive(Debug, Clone, Default)]
pub enum End {
    /// Nothing is said, and nothing is expected.
    #[default]
    Open,
    /// An end is to be expected, and the provider published none.
    Unknown,
    /// The provider published it.
    At(Dated),
}

impl End {
    /// The published end.
    pub fn moment(&self) -> Option<&Moment> {
        self.dated().map(|dated| &dated.moment)
    }

    /// The published end with what is known of it.
    pub fn dated(&self) -> Option<&Dated> {
        match self {
            End::At(dated) => Some(dated),
            End::Open | End::Unknown => None,
        }
    }
}

/// What a source is at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Not made known yet.
    Unknown,
    /// Made known, and admitted before callbacks come from it.
    Announced,
    /// Callbacks come from it.
    Active,
    /// Called legacy, and still admitted.
    Grace,
    /// Past its end.
    Expired,
    /// A tombstone.
    Withdrawn,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [State; 6] =
        [State::Unknown, State::Announced, State::Active, State::Grace, State::Expired, State::Withdrawn];

    /// Whether sources in this state belong on an allowlist.
    pub fn is_admitted(self) -> bool {
        match self {
            State::Announced | State::Active | State::Grace => true,
            State::Unknown | State::Expired | State::Withdrawn => false,
        }
    }

    /// The word in reports and rendered comments.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Announced => "announced",
            State::Active => "active",
            State::Grace => "grace",
            State::Expired => "expired",
            State::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where and when an entry was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The page's name in the policy.
    pub page: String,
    /// The heading under which it stood.
    pub section: Option<String>,
    /// The provider's own words.
    pub says: Option<String>,
    /// The day on which it was read.
    pub read: Moment,
    /// The page's version.
    pub version: Option<String>,
    /// SHA-256 of the page as it was read: `sha256:` and hexadecimal digits.
    pub digest: Option<String>,
    /// Our own words.
    pub note: Option<String>,
}

/// A finding that is accepted for a time.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// Which finding.
    pub code: Code,
    /// About which source; any where it is left out.
    pub source: Option<String>,
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: Moment,
    /// Whether it has accepted a finding.
    pub used: bool,
    /// Its place in the policy's text.
    pub place: Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instant::parse_moment;

    fn dated(text: &str) -> Dated {
        let moment = parse_moment(text, &TimeZone::UTC).unwrap();
        Dated { moment, precision: Precision::Instant, inferred: None, place: 0..0 }
    }

    fn check(lifecycle: &Lifecycle, states: &[(&str, State)]) {
        for (at, state) in states {
            assert_eq!(lifecycle.state(at.parse().unwrap()), *state, "{at}");
        }
    }

    #[test]
    fn states_start_and_end_at_their_instants() {
        let whole = Lifecycle {
            announced: Some(dated("2025-02-07T00:00:00Z")),
            valid_from: Some(dated("2025-03-12T11:00:00Z")),
            legacy_since: Some(dated("2025-06-01")),
            valid_until: End::At(dated("2025-09-15")),
            ..Lifecycle::default()
        };
        check(
            &whole,
            &[
                ("2025-02-06T23:59:59Z", State::Unknown),
                ("2025-02-07T00:00:00Z", State::Announced),
                ("2025-03-12T10:59:59Z", State::Announced),
                ("2025-03-12T11:00:00Z", State::Active),
                ("2025-06-01T00:00:00Z", State::Grace),
                ("2025-09-15T23:59:59Z", State::Grace),
                ("2025-09-16T00:00:00Z", State::Expired),
            ],
        );
    }

    #[test]
    fn a_source_nobody_announced_is_unknown_before_it_is_valid() {
        let quiet = Lifecycle { valid_from: Some(dated("2025-03-12T11:00:00Z")), ..Lifecycle::default() };
        check(&quiet, &[("2025-03-12T10:59:59Z", State::Unknown), ("2025-03-12T11:00:00Z", State::Active)]);
        check(&Lifecycle::default(), &[("1970-01-01T00:00:00Z", State::Active)]);
    }

    #[test]
    fn a_deadline_never_ends_a_source() {
        let owed = Lifecycle { deadline: Some(dated("2025-09-15")), ..Lifecycle::default() };
        check(&owed, &[("2026-01-01T00:00:00Z", State::Active)]);
    }

    #[test]
    fn ids_are_kebab_case() {
        assert!(["a", "legacy-91", "cloud-13-50"].iter().all(|id| SourceId::new(id).is_some()));
        let long = "a".repeat(64);
        assert!(
            ["", "A", "a_b", "-a", "a--b", "a b", "ä", &long].iter().all(|id| SourceId::new(id).is_none())
        );
    }
}
