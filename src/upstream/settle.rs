//! Two readings of a provider's pages, some time apart: only what both say is said.
//!
//! A page that is being published may stand empty for minutes, and the servers of one site may show it in two versions. What only
//! one of two readings shows is neither true nor false: the page is unsettled, and somebody, or the next run, looks again.

use std::collections::BTreeSet;

use super::compare::{Comparison, Finding, Outcome, PageComparison, Weight};

/// The second comparison, without what the first does not say as well. Pages on which the two differ are unsettled, unless something
/// that both say weighs more.
pub fn settled(first: &Comparison, second: Comparison) -> Comparison {
    let findings: Vec<Finding> =
        second.findings.iter().filter(|one| is_among(one, &first.findings)).cloned().collect();
    let additions = second.additions.iter().filter(|one| {
        first.additions.iter().any(|other| {
            (&other.page, other.role, other.is_owned) == (&one.page, one.role, one.is_owned)
                && other.piece.addresses == one.piece.addresses
        })
    });
    let additions = additions.cloned().collect();
    let pages: Vec<PageComparison> = second
        .pages
        .iter()
        .map(|page| {
            let before = first.pages.iter().find(|before| before.page == page.page);
            match before.and_then(|before| difference(before, page, first, &second)) {
                None => page.clone(),
                Some(why) => PageComparison {
                    outcome: heaviest(&page.page, &findings).unwrap_or(Outcome::Unsettled),
                    reason: Some(why),
                    help: Some("run it again later, or with a longer `--recheck`".to_owned()),
                    ..page.clone()
                },
            }
        })
        .collect();
    let outcome = pages.iter().map(|page| page.outcome).max().unwrap_or(Outcome::NotWatched);
    Comparison { outcome, pages, findings, additions, ..second }
}

/// What two readings of one page say differently, in words.
fn difference(
    before: &PageComparison,
    after: &PageComparison,
    first: &Comparison,
    second: &Comparison,
) -> Option<String> {
    let of = |comparison: &'_ Comparison| -> Vec<Finding> {
        let on = |one: &&Finding| one.page.as_deref() == Some(after.page.as_str());
        comparison.findings.iter().filter(on).cloned().collect()
    };
    let (then, now) = (of(first), of(second));
    let same = |these: &[Finding], those: &[Finding]| these.iter().all(|one| is_among(one, those));
    if before.outcome == after.outcome && same(&then, &now) && same(&now, &then) {
        return None;
    }
    Some(format!(
        "two readings differ: the first {}, the second {}; the page may be in the middle of a change",
        said(before, &then),
        said(after, &now)
    ))
}

fn said(page: &PageComparison, findings: &[Finding]) -> String {
    let codes: BTreeSet<&str> = findings.iter().map(|one| one.code.as_str()).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    match (&page.reason, codes.as_slice()) {
        (Some(reason), _) => format!("was {} ({reason})", page.outcome),
        (None, []) => format!("was {}", page.outcome),
        (None, codes) => format!("was {} ({})", page.outcome, codes.join(", ")),
    }
}

/// What findings of a page make of it.
fn heaviest(page: &str, findings: &[Finding]) -> Option<Outcome> {
    let weights =
        findings.iter().filter(|one| one.page.as_deref() == Some(page)).map(|one| one.code.weight());
    match weights.max()? {
        Weight::Drift => Some(Outcome::Drift),
        Weight::Disagreement => Some(Outcome::PagesDisagree),
        Weight::Note => None,
    }
}

/// Whether a finding is among others, wherever on the page its words stand.
fn is_among(one: &Finding, others: &[Finding]) -> bool {
    let dated =
        |one: &Finding| one.date.as_ref().map(|date| (date.kind, date.policy.clone(), date.page.clone()));
    others.iter().any(|other| {
        one.code == other.code
            && one.page == other.page
            && one.other_page == other.other_page
            && one.source == other.source
            && one.role == other.role
            && one.environments == other.environments
            && one.prefixes == other.prefixes
            && dated(one) == dated(other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Diagnostics, SourceText};
    use crate::policy::Policy;
    use crate::policy::validate::{Lists, parse_raw, validate};
    use crate::upstream::compare::{Observed, Seen, Verdict, compare};
    use crate::upstream::{Reading, dns};

    const AT: &str = "2026-11-21T09:00:00Z";
    const POLICY: &str = "\
schema: 1
provider: example
name: Example
revision: 1
service: { protocol: tcp, ports: [443] }
pages:
  main: { url: \"https://example.com/ips\", kind: html, primary: true }
  second: { url: \"https://example.com/firewall\", kind: html }
sources:
  - id: range
    prefixes: [20.91.170.120, 20.91.170.121]
    evidence: [{ page: main, read: 2026-07-01 }, { page: second, read: 2026-07-01 }]
";

    fn policy() -> Policy {
        let text = SourceText::new("policies/example.yaml", POLICY.to_owned());
        let mut sink = Diagnostics::new();
        let raw = parse_raw(&text, &mut sink).unwrap();
        validate(raw, &text, &Lists::new(), AT.parse().unwrap(), &mut sink).unwrap()
    }

    fn list(addresses: &[&str]) -> Reading {
        dns::read(&addresses.iter().map(|address| format!("name {address}\n")).collect::<String>())
    }

    /// A reading of the main page; the second agrees with the policy.
    fn read(main: Reading) -> Comparison {
        let at = AT.parse().unwrap();
        let observed = |page: &str, reading| Observed {
            page: page.to_owned(),
            url: format!("https://example.com/{page}"),
            at,
            digest: None,
            seen: Seen::Read(reading),
            help: None,
        };
        compare(&policy(), &[observed("main", main), observed("second", list(&BOTH))], at)
    }

    const BOTH: [&str; 2] = ["20.91.170.120", "20.91.170.121"];

    fn check(first: Reading, second: Reading, outcome: Outcome, findings: &[&str]) -> Comparison {
        let settled = settled(&read(first), read(second));
        assert_eq!(settled.outcome, outcome, "{settled:#?}");
        let codes: Vec<&str> = settled.findings.iter().map(|one| one.code.as_str()).collect();
        assert_eq!(codes, findings);
        settled
    }

    #[test]
    fn what_both_say_is_said() {
        check(list(&BOTH), list(&BOTH), Outcome::Agrees, &[]);
        check(Reading::Empty, Reading::Empty, Outcome::Empty, &[]);
        let more = ["20.91.170.120", "20.91.170.121", "20.91.170.122"];
        let settled = check(list(&more), list(&more), Outcome::Drift, &["added", "pages-disagree"]);
        assert_eq!(settled.additions.len(), 1);
        check(list(&BOTH[..1]), list(&BOTH[..1]), Outcome::Drift, &["removed", "pages-disagree"]);
    }

    #[test]
    fn what_only_one_says_is_unsettled() {
        for (first, second) in [
            (Reading::Empty, list(&BOTH)),
            (list(&BOTH), Reading::Empty),
            (Reading::Empty, Reading::Moved(None)),
            (list(&BOTH[..1]), list(&BOTH)),
        ] {
            let settled = check(first, second, Outcome::Unsettled, &[]);
            assert_eq!(settled.outcome.verdict(), Verdict::Undetermined);
            let reason = settled.pages[0].reason.as_deref().unwrap();
            assert!(reason.starts_with("two readings differ: the first was "), "{reason}");
        }
        let one = ["20.91.170.120", "20.91.170.121", "20.91.170.122"];
        let other = ["20.91.170.120", "20.91.170.121", "20.91.170.123"];
        assert!(check(list(&one), list(&other), Outcome::Unsettled, &[]).additions.is_empty());
    }

    #[test]
    fn what_both_say_weighs_more_than_what_one_says() {
        let both = ["20.91.170.120", "20.91.170.122"];
        let settled = check(list(&both[1..]), list(&both), Outcome::Drift, &["added", "pages-disagree"]);
        assert!(settled.pages[0].reason.as_deref().unwrap().contains("two readings differ"));
    }
}
