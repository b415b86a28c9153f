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
pub(crate) use wanted::carries;

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
    /// What to do about it, where there is no list.
    pub help: Option<String>,
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
    /// Two readings of the page, some time apart, say different things.
    Unsettled,
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
    pub const ALL: [Outcome; 9] = [
        Outcome::NotWatched,
        Outcome::Agrees,
        Outcome::Unreachable,
        Outcome::Unreadable,
        Outcome::Unsettled,
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
            Outcome::Unsettled => "unsettled",
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
            Outcome::Unreachable | Outcome::Unreadable | Outcome::Unsettled => Verdict::Undetermined,
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
    /// What to do about that, where it is known.
    pub help: Option<String>,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnostic::{Diagnostics, SourceText};
    use crate::instant::{parse_moment, parse_zone};
    use crate::policy::Environment;
    use crate::policy::validate::{Lists, parse_raw, validate};
    use crate::prefix::Prefix;
    use crate::upstream::{Stated, StatedKind};

    const AT: &str = "2026-11-21T09:00:00Z";

    /// A provider with a callback of each kind, a network of its own, and pages that carry different parts.
    const POLICY: &str = "\
schema: 1
provider: example
name: Example
revision: 3
zone: Europe/Stockholm
service: { protocol: tcp, ports: [443] }
pages:
  main: { url: \"https://example.com/ips\", kind: html, primary: true }
  second: { url: \"https://example.com/firewall\", kind: html }
  old: { url: \"https://example.com/old\", kind: html, watched: false }
sources:
  - id: range
    prefixes: [20.91.170.120/29]
    lifecycle: { valid_from: 2025-03-12T12:00:00+01:00 }
    evidence: [{ page: main, read: 2026-07-01 }, { page: second, read: 2026-07-01 }]
  - id: single
    prefixes: [51.107.183.58]
    lifecycle:
      valid_from: 2024-06-18
      deadline: { at: 2025-09-15, precision: date, inferred: no year }
      valid_until: unknown
      review_by: 2027-01-31
    evidence: [{ page: main, read: 2026-07-01 }, { page: second, read: 2026-07-01 }]
  - id: test-only
    prefixes: [91.132.170.1]
    environments: [test]
    evidence: [{ page: main, read: 2026-07-01 }]
  - id: networks
    prefixes: [91.198.202.0/24]
    role: owner-network
    hosting: owner
    evidence: [{ page: main, read: 2026-07-01 }]
  - id: gone
    prefixes: [82.115.146.1]
    role: tombstone
    lifecycle: { withdrawn: 2021-05-31 }
    evidence: [{ page: old, read: 2026-07-01 }]
  - id: over
    prefixes: [82.115.147.1]
    lifecycle: { valid_until: 2022-01-01 }
    evidence: [{ page: main, read: 2026-07-01 }]
  - id: soon
    prefixes: [82.115.148.1]
    lifecycle: { announced: 2026-12-01 }
    evidence: [{ page: main, read: 2026-07-01 }]
  - id: mailed
    prefixes: [82.115.149.1]
    lifecycle: { announced: 2026-11-01 }
    evidence: [{ page: old, read: 2026-07-01 }]
";

    fn policy(text: &str) -> Policy {
        let text = SourceText::new("policies/example.yaml", text.to_owned());
        let mut sink = Diagnostics::new();
        let raw = parse_raw(&text, &mut sink).unwrap();
        let policy = validate(raw, &text, &Lists::new(), AT.parse().unwrap(), &mut sink);
        policy.unwrap_or_else(|| panic!("{:?}", sink.iter().collect::<Vec<_>>()))
    }

    /// An entry: `PREFIX`, `owned PREFIX`, `PREFIX for test`.
    fn entry((line, text): (usize, &str)) -> Published {
        let (text, environments) = match text.split_once(" for ") {
            None => (text, Vec::new()),
            Some((text, stated)) => {
                let named = |name: &str| {
                    Environment::ALL.iter().copied().find(|environment| environment.as_str() == name).unwrap()
                };
                (text, stated.split('+').map(named).collect())
            }
        };
        let role = if text.starts_with("owned ") { Role::OwnerNetwork } else { Role::Callback };
        Published {
            prefix: text.trim_start_matches("owned ").parse().unwrap(),
            role,
            environments: environments.into_iter().collect(),
            label: None,
            dates: Vec::new(),
            line: u32::try_from(line).unwrap() + 1,
            text: text.to_owned(),
        }
    }

    fn list(entries: &[&str]) -> Seen {
        Seen::Read(Reading::List(entries.iter().copied().enumerate().map(entry).collect()))
    }

    fn dated(prefix: &str, kind: StatedKind, date: Option<&str>) -> Seen {
        let mut all: Vec<Published> = MAIN.iter().copied().enumerate().map(entry).collect();
        let zone = parse_zone("Europe/Stockholm").unwrap();
        let moment = date.map(|date| parse_moment(date, &zone).unwrap());
        let stated = Stated { kind, moment, text: "from then on".to_owned() };
        all.iter_mut()
            .filter(|entry| entry.text == prefix)
            .for_each(|entry| entry.dates.push(stated.clone()));
        Seen::Read(Reading::List(all))
    }

    fn observed(page: &str, seen: Seen) -> Observed {
        let (url, at) = (format!("https://example.com/{page}"), AT.parse().unwrap());
        Observed { page: page.to_owned(), url, at, digest: None, seen, help: None }
    }

    /// What the policy's pages publish where all is as the policy says.
    const MAIN: [&str; 4] = ["20.91.170.120/29", "51.107.183.58", "91.132.170.1", "owned 91.198.202.0/24"];
    const SECOND: [&str; 2] = ["20.91.170.120/29", "51.107.183.58"];

    fn compared(main: Seen, second: Seen) -> Comparison {
        compare(&policy(POLICY), &[observed("main", main), observed("second", second)], AT.parse().unwrap())
    }

    fn outcomes(comparison: &Comparison) -> Vec<&'static str> {
        comparison.pages.iter().map(|page| page.outcome.as_str()).collect()
    }

    /// Findings as `code page prefixes`, but for the one that every comparison with this policy has.
    fn found(comparison: &Comparison) -> Vec<String> {
        let findings = comparison.findings.iter().filter(|one| one.code != FindingCode::SourceNotWatched);
        findings
            .map(|one| {
                let prefixes: Vec<String> = one.prefixes.iter().map(|one| one.short().to_string()).collect();
                format!("{} {} {}", one.code, one.page.as_deref().unwrap_or("-"), prefixes.join(","))
            })
            .collect()
    }

    #[track_caller]
    fn check(main: Seen, second: Seen, total: &str, wanted: &[&str]) -> Comparison {
        let comparison = compared(main, second);
        assert_eq!(found(&comparison), wanted);
        assert_eq!(comparison.outcome.as_str(), total, "{:?}", outcomes(&comparison));
        comparison
    }

    fn with(more: &[&'static str]) -> Seen {
        list(&[&MAIN[..], more].concat())
    }

    fn without(less: &str) -> Seen {
        list(&MAIN.into_iter().filter(|entry| *entry != less).collect::<Vec<_>>())
    }

    #[test]
    fn pages_that_publish_the_policy_agree() {
        let all = check(list(&MAIN), list(&SECOND), "agrees", &[]);
        assert_eq!(outcomes(&all), ["agrees", "not-watched", "agrees"]);
        assert!(all.pages[0].decides && !all.pages[1].decides);
        assert_eq!(all.findings.len(), 1, "what only an unwatched page carries is said: {:?}", all.findings);
        assert!(all.additions.is_empty());
    }

    #[test]
    fn notation_is_no_drift() {
        let singles: Vec<String> = (120..128).rev().map(|last| format!("20.91.170.{last}")).collect();
        let singles: Vec<&str> = singles.iter().map(String::as_str).collect();
        let main = [&singles[..], &["20.91.170.124/30", "20.91.170.120/29"], &MAIN[1..]].concat();
        check(list(&main), list(&SECOND), "agrees", &[]);
    }

    #[test]
    fn what_comes_and_goes_is_drift() {
        let came = check(with(&["13.50.187.51"]), list(&SECOND), "drift", &["added main 13.50.187.51"]);
        assert_eq!(came.additions.len(), 1);
        assert_eq!(came.findings[0].quotes, [Quote { line: 5, text: "13.50.187.51".to_owned() }]);
        let went = without("91.132.170.1");
        assert!(check(went, list(&SECOND), "drift", &["removed main 91.132.170.1"]).additions.is_empty());
        let part = ["20.91.170.120/30", "51.107.183.58", "91.132.170.1", "owned 91.198.202.0/24"];
        check(
            list(&part),
            list(&SECOND),
            "drift",
            &["removed main 20.91.170.124/30", "pages-disagree second 20.91.170.124/30"],
        );
    }

    #[test]
    fn a_page_is_only_expected_to_list_what_the_evidence_says_stands_on_it() {
        // The second page has neither the networks nor the test address, and never had.
        check(list(&MAIN), list(&SECOND), "agrees", &[]);
        check(list(&MAIN), list(&MAIN), "agrees", &[]);
    }

    #[test]
    fn pages_that_disagree_are_said_and_the_primary_decides() {
        let lacks = check(
            list(&MAIN),
            list(&SECOND[..1]),
            "pages-disagree",
            &["pages-disagree second 51.107.183.58"],
        );
        assert_eq!(outcomes(&lacks), ["agrees", "not-watched", "pages-disagree"]);
        let more = [&SECOND[..], &["13.50.187.51"]].concat();
        let more = check(list(&MAIN), list(&more), "pages-disagree", &["pages-disagree second 13.50.187.51"]);
        assert!(more.additions.is_empty(), "the primary does not list it");
        // The second page lacks the test address by its nature, so it is not complete: what is new need not stand on it.
        check(with(&["13.50.187.51"]), list(&SECOND), "drift", &["added main 13.50.187.51"]);
        let both = [&SECOND[..], &["13.50.187.51"]].concat();
        let both = check(
            with(&["13.50.187.51"]),
            list(&both),
            "drift",
            &["added main 13.50.187.51", "added second 13.50.187.51"],
        );
        assert_eq!(both.additions.len(), 1, "once, from the page that decides");
    }

    #[test]
    fn a_page_with_addresses_of_its_own_decides_about_them() {
        let own = POLICY.replace(
            "evidence: [{ page: main, read: 2026-07-01 }]\n  - id: networks",
            "evidence: [{ page: second, read: 2026-07-01 }]\n  - id: networks",
        );
        let main = list(&["20.91.170.120/29", "51.107.183.58", "owned 91.198.202.0/24"]);
        let second = list(&["20.91.170.120/29", "51.107.183.58", "91.132.170.1", "13.50.187.51"]);
        let pages = [observed("main", main), observed("second", second)];
        let comparison = compare(&policy(&own), &pages, AT.parse().unwrap());
        assert_eq!(found(&comparison), ["added second 13.50.187.51"]);
        assert_eq!(comparison.additions[0].page, "second");
    }

    #[test]
    fn a_page_that_carries_all_else_of_the_primary_is_expected_to_list_what_is_new_there() {
        let complete = POLICY.replace(
            "evidence: [{ page: main, read: 2026-07-01 }]\n  - id: networks",
            "evidence: [{ page: main, read: 2026-07-01 }, { page: second, read: 2026-07-01 }]\n  - id: networks",
        );
        let pages = [observed("main", with(&["13.50.187.51"])), observed("second", list(&MAIN[..3]))];
        let comparison = compare(&policy(&complete), &pages, AT.parse().unwrap());
        assert_eq!(found(&comparison), ["added main 13.50.187.51", "pages-disagree second 13.50.187.51"]);
        assert_eq!(comparison.additions.len(), 1);
    }

    #[test]
    fn a_page_without_a_list_says_nothing() {
        let unreadable = || Unreadable { line: Some(7), reason: "a glued token".to_owned() };
        for (seen, outcome, total) in [
            (Seen::Unreachable("timed out".to_owned()), "unreachable", "unreachable"),
            (Seen::Unreadable(unreadable()), "unreadable", "unreadable"),
            (Seen::Read(Reading::Unreadable(unreadable())), "unreadable", "unreadable"),
            (Seen::Moved(Some("https://example.com/new".to_owned()), "301".to_owned()), "moved", "moved"),
            (Seen::Read(Reading::Moved(None)), "moved", "moved"),
            (Seen::Read(Reading::Empty), "empty", "empty"),
            (Seen::Read(Reading::List(Vec::new())), "empty", "empty"),
        ] {
            let primary = check(seen.clone(), list(&SECOND), total, &[]);
            assert_eq!(outcomes(&primary), [outcome, "not-watched", "agrees"]);
            assert!(primary.pages[0].reason.is_some() && primary.additions.is_empty());
            let other = check(list(&MAIN), seen, total, &[]);
            assert_eq!(outcomes(&other), ["agrees", "not-watched", outcome]);
        }
        let unasked = compare(&policy(POLICY), &[observed("main", list(&MAIN))], AT.parse().unwrap());
        assert_eq!(outcomes(&unasked), ["agrees", "not-watched", "unreachable"]);
        // The primary is silent: what only the other page lists is said, and nobody decides it.
        let more = [&SECOND[..], &["13.50.187.51"]].concat();
        let silent = check(
            Seen::Unreachable("timed out".to_owned()),
            list(&more),
            "drift",
            &["added second 13.50.187.51"],
        );
        assert!(silent.additions.is_empty());
    }

    #[test]
    fn outcomes_have_a_verdict_each() {
        let of = |verdict: Verdict| {
            let all = Outcome::ALL.into_iter().filter(move |outcome| outcome.verdict() == verdict);
            all.map(Outcome::as_str).collect::<Vec<_>>()
        };
        assert_eq!(of(Verdict::AsWanted), ["not-watched", "agrees"]);
        assert_eq!(of(Verdict::Undetermined), ["unreachable", "unreadable", "unsettled"]);
        assert_eq!(of(Verdict::Differs), ["moved", "empty", "pages-disagree", "drift"]);
    }

    #[test]
    fn what_was_withdrawn_and_is_listed_again_is_said_as_that() {
        let back = check(
            with(&["82.115.146.1", "82.115.147.1"]),
            list(&SECOND),
            "drift",
            &["withdrawn-listed main 82.115.146.1", "expired-listed main 82.115.147.1"],
        );
        assert!(back.additions.is_empty(), "neither is added by itself");
        let around = check(
            with(&["82.115.144.0/22"]),
            list(&SECOND),
            "drift",
            &[
                "added main 82.115.144.0/23,82.115.146.0/32,82.115.146.2/31,82.115.146.4/30,82.115.146.8/29,82.115.146.16/28,\
                 82.115.146.32/27,82.115.146.64/26,82.115.146.128/25,82.115.147.0/32,82.115.147.2/31,82.115.147.4/30,\
                 82.115.147.8/29,82.115.147.16/28,82.115.147.32/27,82.115.147.64/26,82.115.147.128/25",
                "withdrawn-listed main 82.115.146.1",
                "expired-listed main 82.115.147.1",
            ]
            .map(|line| line.replace("/32", ""))
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        );
        assert_eq!(around.additions.len(), 1);
        // A network of the provider's own around a tombstone brings nothing back.
        check(with(&["owned 82.115.146.0/24"]), list(&SECOND), "drift", &["added main 82.115.146.0/24"]);
        check(with(&["owned 82.115.146.1"]), list(&SECOND), "drift", &["withdrawn-listed main 82.115.146.1"]);
    }

    #[test]
    fn networks_of_the_owner_that_call_are_said_as_that() {
        let inside = check(
            with(&["91.198.202.76"]),
            list(&SECOND),
            "drift",
            &["added-inside-owner-network main 91.198.202.76"],
        );
        assert!(inside.additions[0].is_owned);
        let whole = [&MAIN[..3], &["91.198.202.0/24", "owned 91.198.202.0/24"]].concat();
        let whole = check(list(&whole), list(&SECOND), "drift", &["role-changed main 91.198.202.0/24"]);
        assert!(whole.additions.is_empty());
        let owned = [&MAIN[..2], &["owned 91.132.170.1", MAIN[3]]].concat();
        check(list(&owned), list(&SECOND), "drift", &["role-changed main 91.132.170.1"]);
    }

    #[test]
    fn what_the_policy_announces_may_be_listed() {
        check(with(&["82.115.148.1"]), list(&SECOND), "drift", &["listed-early main 82.115.148.1"]);
        check(with(&["82.115.149.1"]), list(&SECOND), "agrees", &["announced-listed main 82.115.149.1"]);
    }

    #[test]
    fn environments_are_compared_where_a_page_states_them() {
        let stated = |of: &str| list(&[MAIN[0], MAIN[1], of, MAIN[3]]);
        check(stated("91.132.170.1 for test"), list(&SECOND), "agrees", &[]);
        let more = check(
            stated("91.132.170.1 for test+production"),
            list(&SECOND),
            "drift",
            &["environment-changed main 91.132.170.1"],
        );
        assert!(more.findings[0].environments.contains(&Environment::Production));
        let less = [MAIN[0], "51.107.183.58 for test", MAIN[2], MAIN[3]];
        let less = check(list(&less), list(&SECOND), "drift", &["environment-changed main 51.107.183.58"]);
        assert!(less.findings[0].message.contains("not for production"), "{}", less.findings[0].message);
        let twice = [MAIN[0], "51.107.183.58 for test", MAIN[1], MAIN[2], MAIN[3]];
        check(list(&twice), list(&SECOND), "agrees", &[]);
        let apart = [MAIN[0], "51.107.183.58 for production+test", MAIN[2], MAIN[3]];
        let second = [SECOND[0], "51.107.183.58 for test"];
        check(
            list(&apart),
            list(&second),
            "drift",
            &["environment-changed second 51.107.183.58", "pages-disagree second 51.107.183.58"],
        );
    }

    #[test]
    fn dates_are_compared_as_exactly_as_both_sides_know_them() {
        use StatedKind::{Deadline, ValidFrom, ValidUntil};
        for (prefix, kind, date, wanted) in [
            ("20.91.170.120/29", ValidFrom, Some("2025-03-12"), ""),
            ("20.91.170.120/29", ValidFrom, Some("2025-03-12T11:00:00Z"), ""),
            ("20.91.170.120/29", ValidFrom, Some("2025-03-13"), "date-differs"),
            ("20.91.170.120/29", ValidFrom, None, ""),
            ("20.91.170.120/29", ValidUntil, Some("2027-03-01"), "date-differs"),
            ("20.91.170.120/29", Deadline, Some("2025-09-15"), "date-past"),
            ("20.91.170.120/29", Deadline, Some("2027-09-15"), "date-differs"),
            ("20.91.170.120/29", Deadline, None, "date-incomplete"),
            ("51.107.183.58", Deadline, Some("2025-09-15"), ""),
            ("51.107.183.58", Deadline, Some("2026-09-15"), "date-differs"),
            ("51.107.183.58", ValidUntil, Some("2027-03-01"), "date-differs"),
            ("91.132.170.1", ValidFrom, Some("2020-03-01"), "date-past"),
        ] {
            let comparison = compared(dated(prefix, kind, date), list(&SECOND));
            let drift = if wanted == "date-differs" { "drift" } else { "agrees" };
            assert_eq!(comparison.outcome.as_str(), drift, "{prefix} {kind:?} {date:?}");
            let wanted = if wanted.is_empty() { Vec::new() } else { vec![format!("{wanted} main {prefix}")] };
            assert_eq!(found(&comparison), wanted, "{prefix} {kind:?} {date:?}");
        }
        let apart = compared(
            dated("51.107.183.58", ValidUntil, Some("2027-03-01")),
            dated("51.107.183.58", ValidUntil, Some("2027-03-02")),
        );
        let found = found(&apart);
        assert!(found.contains(&"pages-disagree second 51.107.183.58".to_owned()), "{found:?}");
    }

    #[test]
    fn pieces_keep_what_a_page_says_of_them_apart() {
        let labelled = |text: &'static str, label: &str| {
            let mut entry = entry((9, text));
            entry.label = Some(label.to_owned());
            entry
        };
        let entries = [
            entry((0, "13.50.187.0/28")),
            labelled("13.50.187.4/30", "Cloud"),
            labelled("13.50.187.9", "Cloud"),
        ];
        let whole: PrefixSet = covered(&entries);
        let pieces = listing::Listing::of(&entries).pieces(Role::Callback, &whole);
        let shown: Vec<String> =
            pieces.iter().map(|piece| crate::prefix::listed(&piece.addresses.to_prefixes(), 9)).collect();
        assert_eq!(
            shown,
            ["13.50.187.0/30, 13.50.187.8, 13.50.187.10/31, 13.50.187.12/30", "13.50.187.4/30, 13.50.187.9"]
        );
        assert_eq!(pieces[1].label.as_deref(), Some("Cloud"));
    }

    /// The same addresses, cut and ordered otherwise, some of them twice.
    fn recut(entries: &[Published], cuts: &[u8]) -> Vec<Published> {
        let mut out = Vec::new();
        for (entry, cut) in entries.iter().zip(cuts.iter().cycle()) {
            let parts: Vec<Prefix> = match (cut % 3, entry.prefix.length()) {
                (0, length) if length < entry.prefix.family().bits() => {
                    let low = Prefix::covering(entry.prefix.first(), length + 1).unwrap();
                    vec![Prefix::covering(entry.prefix.last(), length + 1).unwrap(), low]
                }
                (1, _) => vec![entry.prefix, entry.prefix],
                _ => vec![entry.prefix],
            };
            out.extend(parts.into_iter().map(|prefix| Published { prefix, ..entry.clone() }));
        }
        let turn = usize::from(cuts[0]) % out.len();
        out.rotate_left(turn);
        out
    }

    fn any_entries() -> impl Strategy<Value = Vec<Published>> {
        let text = prop_oneof![
            Just("20.91.170.120/29"),
            Just("51.107.183.58"),
            Just("51.107.183.58 for test"),
            Just("91.132.170.1"),
            Just("91.132.170.1 for production"),
            Just("owned 91.198.202.0/24"),
            Just("91.198.202.128/25"),
            Just("82.115.146.0/24"),
            Just("82.115.148.0/23"),
            Just("owned 82.115.146.0/25"),
            Just("13.50.187.0/24"),
            Just("2a10:a200::/29"),
        ];
        proptest::collection::vec(text, 1..8)
            .prop_map(|all| all.into_iter().map(|text| entry((0, text))).collect())
    }

    proptest! {
        #[test]
        fn cutting_and_ordering_otherwise_changes_nothing(
            main in any_entries(),
            second in any_entries(),
            cuts in proptest::collection::vec(any::<u8>(), 1..9),
        ) {
            let of = |main: Vec<Published>, second: Vec<Published>| {
                let read = |list| Seen::Read(Reading::List(list));
                let mut all = compared(read(main), read(second));
                // Which lines are quoted follows how the page is cut.
                all.findings.iter_mut().for_each(|finding| finding.quotes.clear());
                all.additions.iter_mut().for_each(|addition| addition.piece.quotes.clear());
                all.pages.iter_mut().for_each(|page| page.entries = 0);
                all
            };
            let cut = of(recut(&main, &cuts), recut(&second, &cuts));
            prop_assert_eq!(of(main, second), cut);
        }

        #[test]
        fn one_address_more_or_less_is_exactly_that_drift(last in 0u8..=255, which in 0usize..3) {
            let one = format!("13.50.187.{last}");
            let more = [&MAIN[..], &[one.as_str()]].concat();
            let came = compared(list(&more), list(&SECOND));
            prop_assert_eq!(found(&came), [format!("added main {one}")]);
            let set: PrefixSet = [one.parse::<Prefix>().unwrap()].into_iter().collect();
            prop_assert_eq!(&came.additions[0].piece.addresses, &set);
            let address: std::net::IpAddr = format!("20.91.170.{}", 120 + last % 8).parse().unwrap();
            let rest: PrefixSet = [Prefix::single(address)].into_iter().collect();
            let rest = covered(&[entry((0, MAIN[0]))]).difference(&rest).to_prefixes();
            let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
            let rest: Vec<&str> = rest.iter().map(String::as_str).chain(MAIN[1..].iter().copied()).collect();
            let kept = list(&rest);
            let went = match which {
                0 => compared(kept, list(&SECOND)),
                1 => compared(list(&MAIN), list(&[rest.as_slice(), &SECOND].concat())),
                _ => compared(kept.clone(), kept),
            };
            let wanted: &[String] = match which {
                0 => &[format!("removed main {address}"), format!("pages-disagree second {address}")],
                1 => &[],
                _ => &[format!("removed main {address}"), format!("removed second {address}")],
            };
            prop_assert_eq!(found(&went), wanted);
        }
    }
}
