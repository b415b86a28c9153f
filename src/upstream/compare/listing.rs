//! What one page lists, as sets: by role, and by the environments that it states.
//!
//! The order of entries, how they are cut into prefixes and how often they are said make no difference here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::finding::Quote;
use super::{Published, covered};
use crate::policy::{Environment, Role};
use crate::prefix::{Prefix, PrefixSet};
use crate::upstream::Stated;

/// Most lines of a page, and most dates, that are kept for one piece.
const KEPT_MAX: usize = 20;

/// A page's list.
#[derive(Debug)]
pub(super) struct Listing<'r> {
    entries: &'r [Published],
    callbacks: Listed,
    owned: Listed,
}

/// What a page lists in one role.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// All of it.
    pub(super) any: PrefixSet,
    /// That of which the page states no environment: it may be for any.
    pub(super) unstated: PrefixSet,
    /// That of which it states the environment, and only that.
    stated: BTreeMap<Environment, PrefixSet>,
}

impl Listed {
    fn of(entries: &[&Published]) -> Self {
        let unstated = covered(entries.iter().copied().filter(|entry| entry.environments.is_empty()));
        let stated = |environment: &Environment| {
            let own = entries.iter().copied().filter(|entry| entry.environments.contains(environment));
            covered(own).difference(&unstated)
        };
        let stated = Environment::ALL.iter().map(|environment| (*environment, stated(environment))).collect();
        Self { any: covered(entries.iter().copied()), unstated, stated }
    }

    /// The addresses that the page states for this environment, and does not list without one.
    pub(super) fn stated(&self, environment: Environment) -> PrefixSet {
        self.stated.get(&environment).cloned().unwrap_or_default()
    }

    /// The addresses that the page states for some environment, but not for this one.
    pub(super) fn elsewhere(&self, environment: Environment) -> PrefixSet {
        self.any.difference(&self.unstated).difference(&self.stated(environment))
    }
}

/// Addresses of which a page says the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The addresses.
    pub addresses: PrefixSet,
    /// The provider's own word for them.
    pub label: Option<String>,
    /// The environments, as the page states them; empty where it states none.
    pub environments: BTreeSet<Environment>,
    /// The dates that the page gives.
    pub dates: Vec<Stated>,
    /// The lines in which they stand.
    pub quotes: Vec<Quote>,
}

/// What a page says of a prefix, put together from all places at which it stands.
#[derive(Debug, Clone, Default)]
struct Said {
    label: Option<String>,
    environments: Option<BTreeSet<Environment>>,
    is_unstated: bool,
    dates: BTreeMap<String, Stated>,
    quotes: BTreeSet<Quote>,
}

impl Said {
    fn add(&mut self, entry: &Published) {
        let quote = Quote { line: entry.line, text: entry.text.clone() };
        self.join(&Said {
            label: entry.label.clone(),
            environments: Some(entry.environments.clone()),
            is_unstated: entry.environments.is_empty(),
            dates: entry.dates.iter().map(|date| (date_key(date), date.clone())).collect(),
            quotes: [quote].into(),
        });
    }

    /// Takes over what another one says; of what is kept in part, the first is kept, in whatever order it comes.
    fn join(&mut self, other: &Said) {
        self.label = self.label.take().into_iter().chain(other.label.clone()).min();
        self.is_unstated |= other.is_unstated;
        self.environments.get_or_insert_default().extend(other.environments.iter().flatten());
        self.dates.extend(other.dates.iter().map(|(key, date)| (key.clone(), date.clone())));
        self.quotes.extend(other.quotes.iter().cloned());
        while self.dates.len() > KEPT_MAX {
            self.dates.pop_last();
        }
        while self.quotes.len() > KEPT_MAX {
            self.quotes.pop_last();
        }
    }

    fn environments(&self) -> BTreeSet<Environment> {
        let stated = self.environments.as_ref().filter(|_| !self.is_unstated);
        stated.cloned().unwrap_or_default()
    }

    /// What tells pieces apart; where something is said is no part of it.
    fn key(&self) -> (Option<String>, BTreeSet<Environment>, Vec<String>) {
        (self.label.clone(), self.environments(), self.dates.keys().cloned().collect())
    }
}

/// What tells two stated dates apart.
pub(super) fn date_key(date: &Stated) -> String {
    let moment = date.moment.as_ref().map(|moment| (moment.starts(), moment.ends()));
    format!("{:?} {moment:?} {}", date.kind, date.text)
}

/// First and last address of a stretch.
type Stretch = (IpAddr, IpAddr);

impl<'r> Listing<'r> {
    pub(super) fn of(entries: &'r [Published]) -> Self {
        let of = |role: Role| {
            let own: Vec<&Published> = entries.iter().filter(|entry| entry.role == role).collect();
            Listed::of(&own)
        };
        Self { entries, callbacks: of(Role::Callback), owned: of(Role::OwnerNetwork) }
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What is listed in a role; a page lists no tombstones.
    pub(super) fn listed(&self, role: Role) -> &Listed {
        match role {
            Role::OwnerNetwork => &self.owned,
            Role::Callback | Role::Tombstone => &self.callbacks,
        }
    }

    /// The entries of a role that give a date.
    pub(super) fn dated(&self, role: Role) -> impl Iterator<Item = &'r Published> {
        self.entries.iter().filter(move |entry| entry.role == role && !entry.dates.is_empty())
    }

    /// The lines in which addresses of this set stand.
    pub(super) fn quotes(&self, role: Role, within: &PrefixSet) -> Vec<Quote> {
        let touching =
            self.entries.iter().filter(|entry| entry.role == role && touches(within, &entry.prefix));
        let all: BTreeSet<Quote> =
            touching.map(|entry| Quote { line: entry.line, text: entry.text.clone() }).collect();
        all.into_iter().take(KEPT_MAX).collect()
    }

    /// These addresses of a role, cut where the page says different things of them.
    pub(super) fn pieces(&self, role: Role, within: &PrefixSet) -> Vec<Piece> {
        let mut said: BTreeMap<Prefix, Said> = BTreeMap::new();
        let touching =
            self.entries.iter().filter(|entry| entry.role == role && touches(within, &entry.prefix));
        touching.for_each(|entry| said.entry(entry.prefix).or_default().add(entry));
        let mut pieces: BTreeMap<_, (Vec<Stretch>, Said)> = BTreeMap::new();
        for (stretch, said) in stretches(said) {
            let piece = pieces.entry(said.key()).or_default();
            piece.0.push(stretch);
            piece.1.join(&said);
        }
        let whole = pieces.into_values().map(|(stretches, said)| Piece {
            addresses: PrefixSet::from_ranges(stretches).intersection(within),
            environments: said.environments(),
            label: said.label,
            dates: said.dates.into_values().collect(),
            quotes: said.quotes.into_iter().take(KEPT_MAX).collect(),
        });
        let mut whole: Vec<Piece> = whole.filter(|piece| !piece.addresses.is_empty()).collect();
        whole.sort_by_key(|piece| piece.addresses.ranges().next());
        whole
    }
}

/// Whether a set has an address of a prefix; found by halving, for lists are long.
fn touches(set: &PrefixSet, prefix: &Prefix) -> bool {
    fn near<N: Copy + Ord>(spans: &[(N, N)], first: N, last: N) -> bool {
        let at = spans.partition_point(|(_, end)| *end < first);
        spans.get(at).is_some_and(|(start, _)| *start <= last)
    }
    match (prefix.first(), prefix.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => near(set.v4(), first.into(), last.into()),
        (IpAddr::V6(first), IpAddr::V6(last)) => near(set.v6(), first.into(), last.into()),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Prefixes as stretches that don't overlap, each with all that is said of its addresses: prefixes lie inside each other or apart.
fn stretches(said: BTreeMap<Prefix, Said>) -> Vec<(Stretch, Said)> {
    let mut found = Vec::new();
    // The prefixes that hold the address at which we stand, widest first, and where what was not given out yet begins.
    let mut open: Vec<(Prefix, Said, Option<IpAddr>)> = Vec::new();
    for (prefix, own) in said {
        close(&mut open, &mut found, |wider| wider.covers(&prefix));
        let mut all = own;
        if let Some((_, outer, from)) = open.last_mut() {
            if let Some((from, to)) = from.zip(before(prefix.first())).filter(|(from, to)| from <= to) {
                found.push(((from, to), outer.clone()));
            }
            all.join(outer);
            *from = after(prefix.last());
        }
        open.push((prefix, all, Some(prefix.first())));
    }
    close(&mut open, &mut found, |_| false);
    found
}

/// Gives out the rest of the innermost prefixes, down to one that is kept.
fn close(
    open: &mut Vec<(Prefix, Said, Option<IpAddr>)>,
    found: &mut Vec<(Stretch, Said)>,
    is_kept: impl Fn(&Prefix) -> bool,
) {
    while let Some((prefix, said, from)) = open.pop_if(|(prefix, ..)| !is_kept(prefix)) {
        found.extend(from.filter(|from| *from <= prefix.last()).map(|from| ((from, prefix.last()), said)));
    }
}

fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_sub(1).map(|number| IpAddr::V4(number.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_sub(1).map(|number| IpAddr::V6(number.into())),
    }
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|number| IpAddr::V4(number.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|number| IpAddr::V6(number.into())),
    }
}
