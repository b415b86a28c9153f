//! What a plan opens and closes, source by source, and why.

use std::collections::BTreeMap;

use super::Wish;
use crate::allowlist::{Allowlist, Exclusion};
use crate::holding::HoldingError;
use crate::prefix::PrefixSet;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Let in from now on.
    Opens,
    /// Not let in any more.
    Closes,
}

impl Way {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Way::Opens => "opens",
            Way::Closes => "closes",
        }
    }
}

/// Addresses that come into a target's places, or leave them, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The target.
    pub target: String,
    /// Which way.
    pub way: Way,
    /// The addresses.
    pub addresses: PrefixSet,
    /// Provider and source, where a policy knows them.
    pub source: Option<(String, String)>,
    /// The source's state, or why it is not admitted.
    pub state: String,
    /// Why it moves.
    pub reason: String,
}

/// The addresses that all places of a target hold, and those that they should.
pub fn addresses(wishes: &[Wish]) -> Result<BTreeMap<&str, (PrefixSet, PrefixSet)>, HoldingError> {
    let mut all: BTreeMap<&str, (PrefixSet, PrefixSet)> = BTreeMap::new();
    for wish in wishes {
        let (have, want) = all.entry(&wish.target).or_insert((PrefixSet::empty(), PrefixSet::empty()));
        *have = have.union(&wish.holding.addresses(&wish.have)?);
        *want = want.union(&wish.holding.addresses(&wish.want)?);
    }
    Ok(all)
}

/// What moves. `applied` is the allowlist that was in force after the last apply; `None` where there was none.
pub fn moves(
    wishes: &[Wish],
    allowlist: &Allowlist,
    applied: Option<&PrefixSet>,
) -> Result<Vec<Move>, HoldingError> {
    let mut found = Vec::new();
    for (target, (have, want)) in addresses(wishes)? {
        let told = Told { target, allowlist, applied };
        found.extend(told.opens(&want.difference(&have)));
        found.extend(told.closes(&have.difference(&want)));
    }
    Ok(found)
}

struct Told<'a> {
    target: &'a str,
    allowlist: &'a Allowlist,
    applied: Option<&'a PrefixSet>,
}

impl Told<'_> {
    fn opens(&self, gained: &PrefixSet) -> Vec<Move> {
        let mut all: Vec<Move> = Vec::new();
        for entry in self.allowlist.entries() {
            let addresses = gained.intersection(&std::iter::once(entry.prefix).collect());
            if addresses.is_empty() {
                continue;
            }
            let origin = self.allowlist.origins_of(entry).next();
            let reason = match self.applied {
                None => "first apply here",
                Some(applied) if applied.covers(&addresses) => {
                    "it was in force after the last apply, and somebody took it away"
                }
                Some(_) => "new since the last apply",
            };
            all.push(Move {
                target: self.target.to_owned(),
                way: Way::Opens,
                addresses,
                source: origin.map(|origin| (origin.provider.to_string(), origin.source.to_string())),
                state: origin.map(|origin| origin.state.as_str().to_owned()).unwrap_or_default(),
                reason: reason.to_owned(),
            });
        }
        all
    }

    fn closes(&self, lost: &PrefixSet) -> Vec<Move> {
        let mut rest = lost.clone();
        let mut all: Vec<Move> = Vec::new();
        for gone in &self.allowlist.excluded {
            let addresses = rest.intersection(&gone.prefixes.iter().copied().collect());
            if addresses.is_empty() {
                continue;
            }
            rest = rest.difference(&addresses);
            let (state, reason) = told(&gone.why);
            all.push(Move {
                target: self.target.to_owned(),
                way: Way::Closes,
                addresses,
                source: Some((gone.provider.to_string(), gone.source.to_string())),
                state: state.to_owned(),
                reason,
            });
        }
        let known = self.applied.map(|applied| rest.intersection(applied)).unwrap_or_default();
        let strange = rest.difference(&known);
        for (addresses, reason) in [
            (known, "in force after the last apply, and in no policy any more"),
            (strange, "in no policy: somebody else put it in"),
        ] {
            if !addresses.is_empty() {
                all.push(Move {
                    target: self.target.to_owned(),
                    way: Way::Closes,
                    addresses,
                    source: None,
                    state: "unknown".to_owned(),
                    reason: reason.to_owned(),
                });
            }
        }
        all
    }
}

/// Why a source is not admitted: its state, and the whole of it.
fn told(why: &Exclusion) -> (&'static str, String) {
    match why {
        Exclusion::Expired(end) => ("expired", format!("its end was {end}")),
        Exclusion::Retired(since, reason) => ("retired", format!("retired here on {since}: {reason}")),
        Exclusion::NotYet => ("not yet", "not made known yet".to_owned()),
        Exclusion::Tombstone => ("withdrawn", "the provider has withdrawn it".to_owned()),
        Exclusion::Role(role) => ("not selected", format!("role {role} is not selected")),
        Exclusion::Environment => ("not selected", "its environments are not selected".to_owned()),
    }
}
