//! One verdict for each source and family: does it get through?

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::admission::{Admission, RuleId, Ruling};
use crate::allowlist::Allowlist;
use crate::prefix::{Family, Prefix, PrefixSet};

/// What becomes of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every address of it gets in.
    Admitted,
    /// At least one address of it is refused.
    Blocked,
    /// No address of it is refused for certain, and of some nobody can say.
    Undetermined,
}

impl Verdict {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Admitted => "admitted",
            Verdict::Blocked => "blocked",
            Verdict::Undetermined => "undetermined",
        }
    }
}

/// The verdict on one source's addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceVerdict {
    /// Index into [`Allowlist::origins`].
    pub origin: u32,
    /// The family.
    pub family: Family,
    /// What becomes of it.
    pub verdict: Verdict,
    /// The addresses that it is so for: those that are refused or undecided, else all.
    pub addresses: PrefixSet,
    /// The rule that refuses the first of them, or that can't be decided; of who is admitted, the one that admits.
    pub rule: Option<RuleId>,
    /// Why nobody can say.
    pub why: Vec<String>,
}

/// The verdicts on everything that is wanted, in the order of the allowlist's sources, IPv4 first.
pub fn verdicts(allowlist: &Allowlist, admission: &Admission) -> Vec<SourceVerdict> {
    let mut prefixes: BTreeMap<(u32, Family), Vec<Prefix>> = BTreeMap::new();
    for entry in allowlist.entries() {
        for origin in allowlist.origin_indices(entry) {
            prefixes.entry((*origin, entry.prefix.family())).or_default().push(entry.prefix);
        }
    }
    let one = |((origin, family), prefixes): ((u32, Family), Vec<Prefix>)| {
        judged(origin, family, &prefixes.into_iter().collect(), admission)
    };
    prefixes.into_iter().map(one).collect()
}

fn judged(origin: u32, family: Family, wanted: &PrefixSet, admission: &Admission) -> SourceVerdict {
    let refused = wanted.difference(&admission.possibly);
    let open = wanted.difference(&admission.surely);
    let (verdict, addresses) = if !refused.is_empty() {
        (Verdict::Blocked, refused)
    } else if !open.is_empty() {
        (Verdict::Undetermined, open)
    } else {
        (Verdict::Admitted, wanted.clone())
    };
    let mut why = Vec::new();
    let mut rule =
        addresses.ranges().next().and_then(|(first, _)| admission.decided.within(first, first).next()?.rule);
    if verdict == Verdict::Undetermined {
        let hangs = |sources: &PrefixSet| !sources.intersection(&addresses).is_empty();
        let mut conditions = admission.undecided.iter().filter(|open| hangs(&open.sources)).peekable();
        rule = conditions.peek().and_then(|open| open.rule);
        why.extend(conditions.map(|open| open.why.clone()));
    }
    SourceVerdict { origin, family, verdict, addresses, rule, why }
}

/// Whether a crossing stands, for one address.
pub fn verdict_of(admission: &Admission, address: IpAddr) -> (Verdict, Option<RuleId>) {
    match admission.decided.within(address, address).next() {
        Some(one) if one.ruling == Ruling::Accept => (Verdict::Admitted, one.rule),
        Some(one) => (Verdict::Blocked, one.rule),
        None => {
            let mut open = admission.undecided.iter().filter(|open| open.sources.contains(address));
            (Verdict::Undetermined, open.next().and_then(|open| open.rule))
        }
    }
}
