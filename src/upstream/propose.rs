//! A change of a policy's text that takes over what its pages publish, for a person to review.
//!
//! What is new becomes sources of their own, announced from the reading on. What is gone, comes back or changed is never decided
//! here: a comment at the source asks, with the fields to fill in. Everything else in the text stays as it is, byte for byte, and
//! the result is read again, checked, and compared with what was meant before it is given out. The same input gives the same bytes,
//! and proposing again on the result gives nothing.

mod patch;
mod place;
mod question;
mod source;
mod verify;
mod written;

use std::collections::BTreeSet;

pub use question::Question;
pub use source::Added;

use super::compare::{Addition, Comparison, FindingCode, Outcome, PageComparison};
use crate::diagnostic::Diagnostics;
use crate::policy::Policy;
use crate::policy::raw::RawPolicy;
use crate::policy::validate::parse_raw;
use place::{Places, Splice};

/// Most sources that one change adds; a page that lists more kinds of entries was hardly read as it was meant.
const ADDED_MAX: usize = 200;

/// A proposed change.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The file that the patch names.
    pub path: String,
    /// The whole text with the change.
    pub text: String,
    /// The change as a unified diff, for `git apply` and `patch -p1`.
    pub patch: String,
    /// The revision afterwards; it rises where the meaning changes.
    pub revision: u32,
    /// The sources that are new.
    pub added: Vec<Added>,
    /// What somebody has to decide, and stands in the text as a comment.
    pub questions: Vec<Question>,
    /// Pages whose `verified:` is raised.
    pub verified: Vec<String>,
}

/// Why no change is proposed though there is something to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// The text is laid out in a way that this program does not edit.
    #[error("the text of `{0}` can't be edited: {1}")]
    Layout(String, String),
    /// More is new than a person can review.
    #[error(
        "the pages of `{0}` list {1} new sources, more than one change takes: read them, and write the policy by hand"
    )]
    TooMany(String, usize),
    /// The edited text would not say what was meant.
    #[error("the edited text of `{0}` does not say what was meant: {1}")]
    NotMeant(String, String),
}

/// The file of a policy as a patch names it: as it was given where that is a plain path below the folder of the run, else where
/// shipped policies are.
pub fn path_of(policy: &Policy) -> String {
    let name = policy.text.name.trim_start_matches("./");
    let plain = !name.starts_with(['/', '<', '"'])
        && !name.split('/').any(|part| matches!(part, "" | "." | ".."))
        && !name.chars().any(|c| c.is_control() || c == '\\');
    if plain { name.to_owned() } else { format!("policies/{}.yaml", policy.provider) }
}

/// The change that a comparison calls for; `None` where it calls for none, or the text holds it already.
pub fn propose(
    policy: &Policy,
    comparison: &Comparison,
    path: &str,
) -> Result<Option<Proposal>, ProposeError> {
    let layout = |reason: String| ProposeError::Layout(policy.text.name.clone(), reason);
    let raw = parse_raw(&policy.text, &mut Diagnostics::new())
        .ok_or_else(|| layout("it is no policy".to_owned()))?;
    let mut ids: BTreeSet<String> = policy.sources.iter().map(|source| source.id.to_string()).collect();
    let parts: usize = comparison.additions.iter().map(|addition| source::parts(addition).len()).sum();
    if parts > ADDED_MAX {
        return Err(ProposeError::TooMany(policy.provider.to_string(), parts));
    }
    let (mut added, mut questions) = (Vec::new(), question::all(policy, comparison));
    for (addition, page) in comparison.additions.iter().filter_map(|addition| with_page(comparison, addition))
    {
        let Some(read_at) = page.read_at else { continue };
        let origin = source::Origin { addition, page, known_at: read_at.min(comparison.at) };
        for part in source::parts(addition) {
            match source::meant(policy, &raw, origin, part, &mut ids) {
                Ok(source) => added.push(source),
                Err((prefixes, reason)) => {
                    questions.push(question::left_out(addition, page, &prefixes, &reason));
                }
            }
        }
    }
    let standing: BTreeSet<&str> = policy.text.text.lines().map(str::trim).collect();
    questions.retain(|question| !standing.contains(question.mark.as_str()));
    if added.is_empty() && questions.is_empty() {
        return Ok(None);
    }
    let places = Places::of(&policy.text).map_err(&layout)?;
    let mut splices = places.questions(policy, &questions);
    splices.extend(places.additions(&added).map_err(&layout)?);
    let mut revision = policy.revision;
    if !added.is_empty() {
        revision = revision.checked_add(1).ok_or_else(|| layout("its revision can't rise".to_owned()))?;
        splices
            .extend(raw.revision.as_ref().map(|at| Splice::replace(at.span.clone(), revision.to_string())));
    }
    let (raised, verified) = raised(policy, &raw, comparison, &added);
    splices.extend(raised);
    let text = place::spliced(&policy.text.text, splices);
    let proposal = Proposal {
        path: path.to_owned(),
        patch: patch::unified(&policy.text.text, &text, path),
        text,
        revision,
        added,
        questions,
        verified,
    };
    verify::as_meant(policy, &raw, &proposal, comparison.at)
        .map_err(|reason| ProposeError::NotMeant(policy.text.name.clone(), reason))?;
    Ok(Some(proposal))
}

fn with_page<'c>(
    comparison: &'c Comparison,
    addition: &'c Addition,
) -> Option<(&'c Addition, &'c PageComparison)> {
    let page = comparison.pages.iter().find(|page| page.page == addition.page)?;
    Some((addition, page))
}

/// `verified:` of pages that say what the changed policy says, raised to the day on which they were read.
fn raised(
    policy: &Policy,
    raw: &RawPolicy,
    comparison: &Comparison,
    added: &[Added],
) -> (Vec<Splice>, Vec<String>) {
    let (mut splices, mut names) = (Vec::new(), Vec::new());
    for (name, page) in raw.pages.iter().flat_map(|pages| &pages.0) {
        let Some(compared) = comparison.pages.iter().find(|compared| compared.page == name.value) else {
            continue;
        };
        if !agrees_with(comparison, compared, added) {
            continue;
        }
        let Some((day, read_at)) = page.verified.as_ref().zip(compared.read_at) else { continue };
        let before = policy.pages.get(&name.value).and_then(|page| page.verified.as_ref());
        let today = written::day(read_at, &policy.zone);
        if before.is_some_and(|before| before.ends() <= read_at) && today != day.value {
            splices.push(Splice::replace(day.span.clone(), today));
            names.push(name.value.clone());
        }
    }
    (splices, names)
}

/// Whether a page says what the policy will say.
fn agrees_with(comparison: &Comparison, page: &PageComparison, added: &[Added]) -> bool {
    let own = comparison.findings.iter().filter(|finding| finding.page.as_deref() == Some(&page.page));
    let is_taken = |code: FindingCode| match code {
        FindingCode::Added | FindingCode::AddedInsideOwnerNetwork => {
            added.iter().any(|added| added.page == page.page)
        }
        code => code.weight() == super::compare::Weight::Note,
    };
    let whole = own.into_iter().all(|finding| is_taken(finding.code));
    let open = comparison.additions.iter().filter(|addition| addition.page == page.page).count();
    let taken = added.iter().filter(|added| added.page == page.page).count();
    match page.outcome {
        Outcome::Agrees => true,
        // A reason means that two readings differ.
        Outcome::Drift => whole && taken >= open && page.reason.is_none(),
        Outcome::NotWatched
        | Outcome::Unreachable
        | Outcome::Unreadable
        | Outcome::Unsettled
        | Outcome::Moved
        | Outcome::Empty
        | Outcome::PagesDisagree => false,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::super::compare::{Observed, Outcome, Seen, compare};
    use super::super::{Published, Reading, Stated, StatedKind};
    use super::*;
    use crate::diagnostic::SourceText;
    use crate::instant::parse_moment;
    use crate::policy::validate::{Lists, validate};
    use crate::policy::{Environment, Hosting, Role};

    const AT: &str = "2026-11-21T09:00:00Z";
    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    const POLICY: &str = "\
# Synthetic.
schema: 1
provider: example
name: Example
revision: 3
zone: Europe/Stockholm
service: { protocol: tcp, ports: [443] } # https
pages:
  main: { url: \"https://example.com/ips\", kind: html, section: Callbacks, primary: true, verified: 2026-07-01 }
  second:
    url: \"https://example.com/firewall\"
    kind: html
    verified: 2026-07-01
sources:
  # The oldest.
  - id: range # eight
    prefixes: [20.91.170.120/29]
    lifecycle: { valid_from: 2025-03-12T12:00:00+01:00 }
    evidence: [{ page: main, says: \"20.91.170.120/29\", read: 2026-07-01 }]

  - id: networks
    prefixes: [91.198.202.0/24]
    role: owner-network
    hosting: owner
    evidence: [{ page: main, read: 2026-07-01 }]

  - id: gone
    prefixes: [82.115.146.1]
    role: tombstone
    lifecycle: { withdrawn: 2021-05-31 }
    evidence:
      - page: main
        read: 2026-07-01
        note: >-
          Long gone,
          and folded.

# The end.
waivers: []
";

    fn at() -> Timestamp {
        AT.parse().unwrap()
    }

    fn policy(text: &str) -> Policy {
        let text = SourceText::new("policies/example.yaml", text.to_owned());
        let mut sink = Diagnostics::new();
        let raw = parse_raw(&text, &mut sink).unwrap();
        let policy = validate(raw, &text, &Lists::new(), at(), &mut sink);
        policy.unwrap_or_else(|| panic!("{:#?}\n{}", sink.iter().collect::<Vec<_>>(), text.text))
    }

    fn entry(prefix: &str, line: u32) -> Published {
        Published {
            prefix: prefix.trim_start_matches("owned ").parse().unwrap(),
            role: if prefix.starts_with("owned ") { Role::OwnerNetwork } else { Role::Callback },
            environments: std::collections::BTreeSet::new(),
            label: None,
            dates: Vec::new(),
            line,
            text: prefix.to_owned(),
        }
    }

    fn listed(prefixes: &[&str]) -> Vec<Published> {
        (1u32..).zip(prefixes).map(|(line, prefix)| entry(prefix, line)).collect()
    }

    fn observed(page: &str, seen: Seen) -> Observed {
        let (url, digest) = (format!("https://example.com/{page}"), Some(DIGEST.to_owned()));
        Observed { page: page.to_owned(), url, at: at(), digest, seen, help: None }
    }

    fn compared(policy: &Policy, main: &[Published]) -> Comparison {
        let second = Seen::Unreachable("timed out".to_owned());
        let main = Seen::Read(Reading::List(main.to_vec()));
        compare(policy, &[observed("main", main), observed("second", second)], at())
    }

    fn proposed(text: &str, main: &[Published]) -> Option<Proposal> {
        let policy = policy(text);
        propose(&policy, &compared(&policy, main), "policies/example.yaml").unwrap()
    }

    /// What the page publishes where all is as the policy says, and more.
    fn with(more: &[&'static str]) -> Vec<Published> {
        listed(&[&["20.91.170.120/29", "owned 91.198.202.0/24"], more].concat())
    }

    /// The lines that a proposal adds.
    fn new_lines(proposal: &Proposal) -> String {
        let added = proposal.patch.lines().skip(2).filter_map(|line| line.strip_prefix('+'));
        added.map(|line| format!("{line}\n")).collect()
    }

    /// Holds for every proposal: nothing is lost, and it is stable and final.
    fn check_laws(text: &str, main: &[Published]) -> Option<Proposal> {
        let proposal = proposed(text, main)?;
        assert!(proposed(text, main).as_ref() == Some(&proposal), "same input, same bytes");
        let again = proposed(&proposal.text, main).map(|again| again.patch);
        assert!(again.is_none(), "proposing again changes nothing:\n{}", again.unwrap());
        let old = policy(text);
        let before: Vec<&str> = compared_codes(&compared(&old, main));
        let new = policy(&proposal.text);
        let after = compared(&new, main);
        assert!(after.additions.is_empty() || !proposal.questions.is_empty(), "{:?}", after.additions);
        // What is asked about stays, whatever became of the rest.
        let kept = |code: &&&str| !code.starts_with("added") && !code.starts_with("date-");
        let after = compared_codes(&after);
        assert_eq!(
            before.iter().filter(kept).collect::<Vec<_>>(),
            after.iter().filter(kept).collect::<Vec<_>>()
        );
        // Every old line is there, in its order, but for those that the patch takes away.
        let gone: Vec<&str> = removed_lines(&proposal.patch);
        let mut rest = proposal.text.lines();
        for line in text.lines().filter(|line| !gone.contains(line)) {
            assert!(rest.any(|other| other == line), "`{line}` is lost");
        }
        let unended = text.lines().last().filter(|_| !text.ends_with('\n'));
        let may_go = |line: &&str| {
            line.starts_with("revision:") || line.contains("verified:") || Some(*line) == unended
        };
        assert!(gone.iter().all(may_go), "{gone:?}");
        let comments = |text: &str| text.matches('#').count();
        assert!(comments(&proposal.text) >= comments(text));
        Some(proposal)
    }

    fn compared_codes(comparison: &Comparison) -> Vec<&'static str> {
        comparison.findings.iter().map(|finding| finding.code.as_str()).collect()
    }

    fn removed_lines(patch: &str) -> Vec<&str> {
        patch.lines().skip(2).filter_map(|line| line.strip_prefix('-')).collect()
    }

    #[test]
    fn nothing_new_is_no_proposal() {
        assert_eq!(proposed(POLICY, &with(&[])), None);
    }

    #[test]
    fn what_is_new_becomes_a_source_with_its_evidence() {
        let mut main = with(&["13.50.187.51"]);
        main[2].label = Some("Cloud".to_owned());
        main[2].text = "13.50.187.51 (Cloud)".to_owned();
        let proposal = check_laws(POLICY, &main).unwrap();
        let wanted = "\
revision: 4
  main: { url: \"https://example.com/ips\", kind: html, section: Callbacks, primary: true, verified: 2026-11-21 }
  - id: cloud-13-50-187-51
    prefixes: [13.50.187.51]
    label: \"Cloud\"
    role: callback
    hosting: shared
    environments: [production, test]
    lifecycle:
      announced:
        at: 2026-11-21T09:00:00Z
        precision: instant
        inferred: the page gives no day; it was first read with this entry then
    evidence:
      - page: main
        section: \"Callbacks\"
        says: \"13.50.187.51 (Cloud)\"
        read: 2026-11-21T09:00:00Z
        digest: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        note: \"Line 3 of the page as it was received.\"
    notes:
      - \"Environments are not stated on the page; taken for both.\"
      - \"Taken for a cloud's address, which is the safe side: nothing wider can be written here.\"

";
        assert_eq!(new_lines(&proposal), wanted);
        assert_eq!((proposal.revision, proposal.verified.as_slice()), (4, &["main".to_owned()][..]));
        assert!(proposal.patch.starts_with("--- a/policies/example.yaml\n+++ b/policies/example.yaml\n@@ "));
        let source =
            policy(&proposal.text).sources.into_iter().find(|one| one.id.as_str().starts_with("cloud"));
        assert_eq!(source.unwrap().evidence[0].digest.as_deref(), Some(&*format!("sha256:{DIGEST}")));
    }

    #[test]
    fn a_network_is_never_taken_for_the_providers_own_by_itself() {
        let singles: Vec<String> = (0..8).map(|last| format!("13.50.187.{last}")).collect();
        let singles: Vec<&str> = singles.iter().map(String::as_str).collect();
        let main = [with(&[]), listed(&singles)].concat();
        let proposal = check_laws(POLICY, &main).unwrap();
        assert_eq!(proposal.added.len(), 1, "eight singles are their /29");
        assert_eq!(proposal.added[0].id.as_str(), "callback-13-50-187-0-29");
        assert_eq!(proposal.added[0].hosting, Hosting::Unknown);
        assert!(new_lines(&proposal).contains("hosting: unknown # upstream asks: the provider's alone"));
        let inside = check_laws(POLICY, &with(&["91.198.202.76"])).unwrap();
        assert_eq!(inside.added[0].hosting, Hosting::Owner);
        let own = check_laws(POLICY, &with(&["owned 2a10:a200::/32"])).unwrap();
        assert_eq!(
            (own.added[0].hosting, own.added[0].id.as_str()),
            (Hosting::Owner, "network-2a10-a200-32")
        );
        assert!(new_lines(&own).contains("prefixes: [\"2a10:a200::/32\"]"));
    }

    #[test]
    fn environments_and_dates_of_the_page_are_taken_over() {
        let stated = |kind, date: &str| Stated {
            kind,
            moment: parse_moment(date, &policy(POLICY).zone).ok(),
            text: date.to_owned(),
        };
        let check = |dates: Vec<Stated>, wanted: &[&str], unwanted: &[&str]| {
            let mut main = with(&["13.50.187.51"]);
            main[2].environments.insert(Environment::Test);
            main[2].dates = dates;
            let proposal = check_laws(POLICY, &main).unwrap();
            let lines = new_lines(&proposal);
            let has = |line: &&str| lines.contains(line);
            assert!(wanted.iter().all(has) && !unwanted.iter().any(has), "{wanted:?} {unwanted:?}\n{lines}");
        };
        let ahead = || stated(StatedKind::ValidFrom, "2027-01-11");
        check(
            vec![ahead()],
            &["environments: [test]\n", "announced:", "      valid_from: 2027-01-11\n"],
            &["taken for both"],
        );
        let since = stated(StatedKind::ValidFrom, "2026-01-11T12:00:00+01:00");
        check(vec![since], &["      valid_from: 2026-01-11T11:00:00Z\n"], &["announced"]);
        let passed = stated(StatedKind::Deadline, "2025-09-15");
        check(vec![passed], &["announced:", "deadline 2025-09-15, which has passed"], &[" deadline: 2"]);
        let end = stated(StatedKind::ValidUntil, "2027-02-01");
        check(vec![ahead(), end.clone()], &["valid_from: 2027-01-11", "valid_until: 2027-02-01"], &[]);
        let two = stated(StatedKind::ValidFrom, "2027-01-12");
        check(vec![ahead(), two], &["no one whole date for valid_from"], &["valid_from: 2027"]);
        let part = stated(StatedKind::Deadline, "September 15th");
        check(vec![part], &["no one whole date for deadline: \\\"September 15th\\\"."], &[" deadline: 2"]);
        let over = stated(StatedKind::ValidUntil, "2026-02-01");
        check(vec![over], &["# upstream asks (added, page main): 13.50.187.51 as callback"], &["- id:"]);
        let never = stated(StatedKind::ValidUntil, "2027-01-10");
        check(vec![ahead(), never], &["# upstream asks (added"], &["- id:"]);
    }

    #[test]
    fn what_is_gone_is_asked_about_and_stays() {
        let proposal = check_laws(POLICY, &listed(&["20.91.170.120/30", "owned 91.198.202.0/24"])).unwrap();
        let wanted = "    # upstream asks (removed, page main): 20.91.170.124/30
    #   `main` no longer lists 20.91.170.124/30 of `range`.
    #   Read 2026-11-21T09:00:00Z, sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    #   Ask the provider, decide, and delete these lines:
    #   - callbacks may still come from it: under `lifecycle:` write
    #       legacy_since: 2026-11-21T09:00:00Z
    #       valid_until: unknown        # or the end that the provider names
    #       review_by: YYYY-MM-DD       # when somebody looks again
    #   - it is withdrawn: write `role: tombstone`, and under `lifecycle:`
    #       withdrawn: 2026-11-21T09:00:00Z
    #   - the page is wrong: nothing else
    #   Where the source holds more than these addresses, give them a source of their own first.
";
        assert_eq!(new_lines(&proposal), wanted);
        assert_eq!((proposal.revision, removed_lines(&proposal.patch)), (3, Vec::new()));
        let asked = proposal.text.find("# upstream asks").unwrap();
        assert!(
            asked > proposal.text.find("id: range").unwrap()
                && asked < proposal.text.find("id: networks").unwrap()
        );
        assert_eq!(policy(&proposal.text).digest, policy(POLICY).digest);
    }

    #[test]
    fn a_tombstone_that_is_listed_again_is_asked_about() {
        let main = with(&["82.115.146.1", "13.50.187.51"]);
        let proposal = check_laws(POLICY, &main).unwrap();
        assert_eq!(proposal.added.len(), 1);
        let (asked, new) = (
            proposal.text.find("(withdrawn-listed, page main): 82.115.146.1"),
            proposal.text.find("id: callback-13"),
        );
        assert!(asked.unwrap() < new.unwrap(), "the question stays with its source:\n{}", proposal.text);
        assert!(proposal.verified.is_empty(), "the page does not say what the policy says");
        // Later something else is new: the question still stands at its source.
        let more = [main, listed(&["13.50.187.99"])].concat();
        let later = check_laws(&proposal.text, &more).unwrap();
        assert_eq!(later.revision, 5);
        let (first, second) =
            (later.text.find("id: callback-13-50-187-51"), later.text.find("id: callback-13-50-187-99"));
        assert!(first.unwrap() < second.unwrap());
    }

    #[test]
    fn pages_without_a_list_change_nothing() {
        let policy = policy(POLICY);
        for seen in [
            Seen::Read(Reading::Empty),
            Seen::Read(Reading::Moved(None)),
            Seen::Moved(None, "410".to_owned()),
            Seen::Unreachable("timed out".to_owned()),
            Seen::Unreadable(crate::upstream::Unreadable { line: None, reason: "glued".to_owned() }),
        ] {
            // The other page would add something; it does not decide.
            let other = observed("second", Seen::Read(Reading::List(with(&["13.50.187.51"]))));
            let comparison = compare(&policy, &[observed("main", seen.clone()), other], at());
            assert_eq!(propose(&policy, &comparison, "x.yaml").unwrap(), None, "{seen:?}");
            assert_ne!(comparison.outcome, Outcome::Agrees);
        }
    }

    #[test]
    fn what_no_policy_may_hold_is_asked_about() {
        let main = with(&["0.0.0.0/0", "10.0.0.0/8", "198.51.100.7", "owned 20.0.0.0/9"]);
        let proposal = check_laws(POLICY, &main).unwrap();
        assert!(proposal.added.is_empty(), "{:?}", proposal.added);
        assert!(!proposal.questions.is_empty());
        for (entry, reason) in [("198.51.100.7", "198.51.100.0/24"), ("13.0.0.0/15", "wider than /16")] {
            let proposal = check_laws(POLICY, &with(&[entry])).unwrap();
            assert!(proposal.added.is_empty() && proposal.questions.len() == 1, "{entry}");
            assert!(proposal.questions[0].message.contains(reason), "{}", proposal.questions[0].message);
        }
    }

    #[test]
    fn words_of_a_page_can_not_leave_their_quotes() {
        let hostile =
            "13.50.187.51 \"\\ \u{1b}[2J\n  - id: evil\r\n# `x` | <b> @all \u{202e}\u{fffe} ".to_owned();
        let mut main = with(&["13.50.187.51"]);
        main[2].text = hostile.clone() + &"x".repeat(100_000);
        main[2].label = Some(hostile.clone());
        main[2].dates = vec![Stated { kind: StatedKind::Deadline, moment: None, text: hostile }];
        let proposal = check_laws(POLICY, &main).unwrap();
        assert_eq!(proposal.added.len(), 1);
        assert!(proposal.text.lines().all(|line| line.len() < 2_000));
        assert!(
            !proposal.text.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}' || c == '\u{fffe}')
        );
        // A question quotes as well.
        let mut tomb = with(&["82.115.146.1"]);
        tomb[2].text = "82.115.146.1\n  - id: evil\n".to_owned() + &"y ".repeat(50_000);
        let asked = check_laws(POLICY, &tomb).unwrap();
        assert!(
            asked.text.contains("- id: evil")
                && asked.added.is_empty()
                && asked.text.len() < POLICY.len() + 3_000
        );
    }

    #[test]
    fn texts_of_other_layouts_are_edited_too() {
        let dos = POLICY.replace('\n', "\r\n");
        let proposal = check_laws(&dos, &with(&["13.50.187.51", "82.115.146.1"])).unwrap();
        assert!(proposal.text.lines().count() == proposal.text.matches("\r\n").count());
        let open = POLICY.trim_end().trim_end_matches("\n\n# The end.\nwaivers: []");
        let proposal = check_laws(open, &with(&["13.50.187.51", "82.115.146.1"])).unwrap();
        assert!(proposal.patch.contains("\\ No newline at end of file"));
        let flush = "schema: 1\nprovider: example\nname: Example\nrevision: 3\nservice: { protocol: tcp, ports: [443] }\npages:\n  main: { url: \"https://example.com/ips\", kind: html }\nsources:\n- { id: range, prefixes: [20.91.170.120/29], evidence: [{ page: main, read: 2026-07-01 }] }\n- { id: networks, prefixes: [91.198.202.0/24], role: owner-network, hosting: owner, evidence: [{ page: main, read: 2026-07-01 }] }\n";
        let proposal =
            check_laws(flush, &listed(&["20.91.170.120/30", "13.50.187.51", "owned 91.198.202.0/24"]))
                .unwrap();
        assert!(proposal.text.contains("\n- id: callback-13-50-187-51\n  prefixes:"), "{}", proposal.text);
        let at = flush.find("sources:").unwrap();
        let flow = format!(
            "{}sources: [{{ id: range, prefixes: [20.91.170.120/29], evidence: [{{ page: main, read: 2026-07-01 }}] }}]\n",
            &flush[..at]
        );
        assert!(check_laws(&flow, &listed(&["20.91.170.120/30"])).unwrap().text.contains("# upstream asks"));
        let policy = policy(&flow);
        let refused =
            propose(&policy, &compared(&policy, &listed(&["20.91.170.120/29", "13.50.187.51"])), "x");
        assert!(matches!(refused, Err(ProposeError::Layout(..))), "{refused:?}");
    }

    #[test]
    fn many_new_addresses_are_one_source() {
        let many: Vec<String> = (0..40).map(|number| format!("13.50.{number}.51")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let proposal = check_laws(POLICY, &[with(&[]), listed(&many)].concat()).unwrap();
        assert_eq!(proposal.added.len(), 1);
        assert_eq!(proposal.added[0].id.as_str(), "callback-13-50-0-51-and-39-more");
        assert_eq!(proposal.added[0].prefixes.len(), 40);
    }

    #[test]
    fn lists_as_long_as_pages_can_have_end_in_time() {
        let long: Vec<String> = (0..20_000u32)
            .map(|number| format!("13.{}.{}.{}/31", number / 8192, number / 32 % 256, number % 32 * 8))
            .collect();
        let mut entries: Vec<Published> = (1u32..).zip(&long).map(|(line, text)| entry(text, line)).collect();
        // Each with words of its own, and all of them inside a wide one that says something else.
        for entry in &mut entries {
            entry.label = Some(entry.text.clone());
        }
        let begun = std::time::Instant::now();
        let policy = policy(POLICY);
        let comparison = compared(&policy, &[with(&["13.0.0.0/12"]), entries].concat());
        assert!(comparison.additions.len() > 1);
        let refused = propose(&policy, &comparison, "policies/example.yaml");
        assert!(matches!(refused, Err(ProposeError::TooMany(..))), "{refused:?}");
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
        let entries: Vec<Published> = (1u32..).zip(&long).map(|(line, text)| entry(text, line)).collect();
        let many = check_laws(POLICY, &[with(&[]), entries].concat()).unwrap();
        assert_eq!((many.added.len(), many.added[0].prefixes.len()), (1, 20_000));
    }

    #[test]
    fn an_id_is_used_once() {
        let text = POLICY.replace("id: gone", "id: callback-13-50-187-51");
        let proposal = check_laws(&text, &with(&["13.50.187.51"])).unwrap();
        assert_eq!(proposal.added[0].id.as_str(), "callback-13-50-187-51-2");
    }

    #[test]
    fn a_patch_names_a_file_below_the_folder() {
        for (name, path) in [
            ("policies/example.yaml", "policies/example.yaml"),
            ("./policies/example.yaml", "policies/example.yaml"),
            ("<embedded>/policies/example.yaml", "policies/example.yaml"),
            ("/etc/callgate/policies/x.yaml", "policies/example.yaml"),
            ("../x.yaml", "policies/example.yaml"),
            ("own/my file.yaml", "own/my file.yaml"),
        ] {
            let mut policy = policy(POLICY);
            policy.text = SourceText::new(name, POLICY.to_owned());
            assert_eq!(path_of(&policy), path, "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn proposals_keep_their_laws(picked in proptest::sample::subsequence(vec![
            "20.91.170.120/29", "20.91.170.120/31", "owned 91.198.202.0/24", "owned 91.198.0.0/16", "91.198.202.7",
            "91.198.202.0/24", "82.115.146.1", "82.115.146.0/30", "13.50.187.51", "13.50.187.48/30", "13.50.0.0/16",
            "13.0.0.0/8", "2a10:a200::/29", "2a10:a200::7", "10.1.2.3", "owned 13.50.187.0/24",
        ], 1..16)) {
            check_laws(POLICY, &listed(&picked));
        }
    }
}
