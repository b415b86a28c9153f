//! Readings of pages, held against the policies: once, or twice where the first calls for it.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;

use super::pages::{self, Origin, Read, Turn, Wanted};
use crate::policy::{PageKind, Policy, ProviderId};
use crate::upstream::compare::{
    Comparison, Finding, FindingCode, Observed, Outcome, PageComparison, Seen, compare,
};
use crate::upstream::document::{Document, Missed, MissedKind};
use crate::upstream::extract::{Selector, extract};
use crate::upstream::settle::settled;
use crate::upstream::{Unreadable, dns};

/// How long after the first reading a second one settles what the first says is gone.
const RECHECK: Duration = Duration::from_secs(30);

/// Reads the pages of the policies, and compares; a second time where the first calls for it.
pub(super) fn compared(
    policies: &[&Policy],
    origin: &Origin,
    recheck: Option<Duration>,
    at: Timestamp,
) -> anyhow::Result<Vec<Comparison>> {
    let wanted = pages::watched(policies);
    let first: Vec<Rc<Read>> = origin.read(&wanted, Turn::First)?.into_iter().flatten().collect();
    let comparisons = compare_all(policies, &wanted, &first, at);
    let wait = recheck.unwrap_or(RECHECK);
    let calls = |comparison: &&Comparison| match recheck {
        None => is_gone(comparison),
        Some(_) => !matches!(comparison.outcome, Outcome::Agrees | Outcome::NotWatched),
    };
    let again: BTreeSet<&ProviderId> = comparisons.iter().filter(calls).map(|one| &one.provider).collect();
    if again.is_empty() || wait.is_zero() {
        return Ok(comparisons);
    }
    let is_again = |one: &Wanted<'_>| again.contains(&one.policy.provider);
    let wanted_again: Vec<Wanted<'_>> = wanted.iter().copied().filter(is_again).collect();
    origin.wait(wait);
    let mut second = origin.read(&wanted_again, Turn::Second)?.into_iter();
    // A page that is not read again stays what it was.
    let read = wanted.iter().zip(&first).map(|(one, first)| {
        let again = if is_again(one) { second.next().flatten() } else { None };
        again.unwrap_or_else(|| Rc::clone(first))
    });
    let read: Vec<Rc<Read>> = read.collect();
    let both = comparisons.iter().zip(compare_all(policies, &wanted, &read, at));
    Ok(both.map(|(first, second)| settled(first, second)).collect())
}

fn compare_all(
    policies: &[&Policy],
    wanted: &[Wanted<'_>],
    read: &[Rc<Read>],
    at: Timestamp,
) -> Vec<Comparison> {
    let of = |policy: &Policy| -> Vec<Observed> {
        let own = wanted.iter().zip(read).filter(|(one, _)| one.policy.provider == policy.provider);
        own.map(|(one, read)| observed(*one, read)).collect()
    };
    policies.iter().map(|policy| compare(policy, &of(policy), at)).collect()
}

/// Whether a page says less than the policy holds: what somebody may be about to publish anew.
fn is_gone(comparison: &Comparison) -> bool {
    let removed = |one: &Finding| one.code == FindingCode::Removed;
    let missing =
        |page: &PageComparison| matches!(page.outcome, Outcome::Empty | Outcome::Moved | Outcome::Unreadable);
    comparison.findings.iter().any(removed) || comparison.pages.iter().any(missing)
}

fn observed(one: Wanted<'_>, got: &Read) -> Observed {
    let (page, url) = (one.name.to_owned(), one.page.url.clone());
    let at = got.at;
    match &got.result {
        Ok(document) => Observed {
            page,
            url,
            at,
            digest: Some(document.digest().to_string()),
            seen: read(one, document),
            help: None,
        },
        Err(missed) => {
            Observed { page, url, at, digest: None, seen: seen_of(missed), help: Some(missed.help.clone()) }
        }
    }
}

fn read(one: Wanted<'_>, document: &Document) -> Seen {
    match document.text(one.page.kind) {
        Err(unreadable) => Seen::Unreadable(unreadable),
        Ok(text) if one.page.kind == PageKind::Dns => Seen::Read(dns::read(&text)),
        Ok(text) => {
            Seen::Read(extract(text.as_bytes(), one.page.kind, &Selector::of(one.page, &one.policy.zone)))
        }
    }
}

fn seen_of(missed: &Missed) -> Seen {
    let reason = &missed.reason;
    match &missed.kind {
        MissedKind::Moved(to) => Seen::Moved(to.clone(), reason.clone()),
        MissedKind::Unreadable => Seen::Unreadable(Unreadable { line: None, reason: reason.clone() }),
        MissedKind::Unreachable => Seen::Unreachable(reason.clone()),
    }
}
