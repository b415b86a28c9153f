//! The allowlist: what is wanted for a site at an instant, each entry with its origin.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::instant::Moment;
use crate::policy::load::Policies;
use crate::policy::{Digest, Environment, Policy, ProviderId, Role, Source, SourceId, State};
use crate::prefix::{Family, Prefix, PrefixSet};
use crate::site::{Action, Exception, Selection, Service, Site};

/// Prefixes to admit, none inside another, ascending, with their origins.
#[derive(Debug, Clone)]
pub struct Allowlist {
    /// The instant it holds for.
    pub instant: Timestamp,
    /// Where callbacks arrive.
    pub service: Service,
    /// The policies it was made from, by ascending provider.
    pub policies: Vec<Stamp>,
    /// Sources that an entry can come from.
    pub origins: Vec<Origin>,
    /// Selected sources that are not admitted, with why.
    pub excluded: Vec<Excluded>,
    entries: Vec<Entry>,
    /// Origins of the entries that have several.
    shared: Shared,
}

/// Which policy, in which revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The provider's id.
    pub provider: ProviderId,
    /// The provider's name, free text.
    pub name: String,
    /// The revision.
    pub revision: u32,
    /// The digest of its meaning.
    pub digest: Digest,
}

/// The same in words, as files and reports have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// The provider's id. Text: a policy may be gone since.
    pub provider: String,
    /// The revision.
    pub revision: u32,
    /// The digest of its meaning.
    pub digest: String,
}

impl From<&Stamp> for Revision {
    fn from(stamp: &Stamp) -> Self {
        let Stamp { provider, revision, digest, .. } = stamp;
        Self { provider: provider.to_string(), revision: *revision, digest: digest.to_string() }
    }
}

/// A source that is admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The provider's id.
    pub provider: ProviderId,
    /// The source's id.
    pub source: SourceId,
    /// The provider's own word for it, free text.
    pub label: Option<String>,
    /// Its state; where environments differ, the furthest.
    pub state: State,
    /// Environments in which it is admitted.
    pub environments: Vec<Environment>,
    /// Whether it is admitted only because the site holds it.
    pub held: bool,
}

/// A prefix to admit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The prefix.
    pub prefix: Prefix,
    /// The index of the only source in [`Allowlist::origins`], or, above those, one in [`Shared`].
    origins: u32,
}

/// Lists of origins, which entries name by number: nearly every entry has one origin only, and there are many
/// entries.
#[derive(Debug, Clone)]
struct Shared {
    /// The number of the first list: there are this many origins.
    first: u32,
    /// Each ascending, of two at least, and of one entry only.
    lists: Vec<Box<[u32]>>,
}

impl Shared {
    /// More than 2^32 sources do not fit into memory.
    fn new(origins: &[Origin]) -> Self {
        Self { first: u32::try_from(origins.len()).unwrap_or(u32::MAX), lists: Vec::new() }
    }

    /// The place of the list that a number means, where it means one.
    fn at(&self, number: u32) -> Option<usize> {
        number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok())
    }

    /// The indices of an entry's origins.
    fn of<'a>(&'a self, entry: &'a Entry) -> &'a [u32] {
        let list = self.at(entry.origins).and_then(|at| self.lists.get(at));
        list.map_or(std::slice::from_ref(&entry.origins), |list| list)
    }

    /// The number for the origins of both entries.
    fn joined(&mut self, one: &Entry, other: &Entry) -> u32 {
        if one.origins == other.origins {
            return one.origins;
        }
        let mut all = [self.of(one), self.of(other)].concat();
        all.sort_unstable();
        all.dedup();
        // Both entries become one, which takes over a list that either had: what is joined often would pile up lists.
        for number in [one.origins, other.origins] {
            if let Some(list) = self.at(number).and_then(|at| self.lists.get_mut(at)) {
                *list = all.into();
                return number;
            }
        }
        let next = u32::try_from(self.lists.len()).unwrap_or(u32::MAX).saturating_add(self.first);
        self.lists.push(all.into());
        next
    }
}

/// A selected source that is not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excluded {
    /// The provider's id.
    pub provider: ProviderId,
    /// The source's id.
    pub source: SourceId,
    /// What it would have admitted.
    pub prefixes: Vec<Prefix>,
    /// Why it is not.
    pub why: Exclusion,
}

/// Why a source is not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exclusion {
    /// Its published end has passed.
    Expired(Moment),
    /// The site retired it.
    Retired(Moment, String),
    /// It is not made known yet at this instant.
    NotYet,
    /// It is withdrawn.
    Tombstone,
    /// Its role is not selected.
    Role(Role),
    /// Its environments are not selected.
    Environment,
}

impl Exclusion {
    /// Why a source is not admitted, in words.
    pub fn words(&self) -> String {
        match self {
            Exclusion::Expired(end) => format!("expired: its end was {end}"),
            Exclusion::Retired(since, reason) => format!("retired here on {since}: {reason}"),
            Exclusion::NotYet => "not made known yet".to_owned(),
            Exclusion::Tombstone => "withdrawn".to_owned(),
            Exclusion::Role(role) => format!("role {role} is not selected"),
            Exclusion::Environment => "its environments are not selected".to_owned(),
        }
    }
}

/// How a site treats a source in one environment at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The provider's word.
    pub state: State,
    /// Whether it is admitted here.
    pub admitted: bool,
    /// Whether that is because the site holds it.
    pub held: bool,
    /// Since when and why the site has retired it.
    pub retired: Option<(Moment, String)>,
}

/// A source's standing at a site; `None` where the environment does not call from it.
pub fn standing(
    source: &Source,
    exceptions: &[&Exception],
    environment: Environment,
    at: Timestamp,
) -> Option<Standing> {
    let state = source.state(environment, at)?;
    let mut standing = Standing { state, admitted: state.is_admitted(), held: false, retired: None };
    for exception in exceptions {
        match &exception.action {
            Action::Retire(since) if since.starts() <= at => {
                standing.admitted = false;
                standing.retired = Some((since.clone(), exception.reason.clone()));
            }
            Action::HoldUntil(until) if state == State::Expired && at < until.ends() => {
                standing.admitted = standing.retired.is_none();
                standing.held = standing.admitted;
            }
            Action::Retire(_) | Action::HoldUntil(_) => {}
        }
    }
    Some(standing)
}

/// The exceptions of a site that are about a source.
pub fn exceptions_of<'s>(site: &'s Site, policy: &Policy, source: &Source) -> Vec<&'s Exception> {
    let about = |exception: &&Exception| {
        exception.provider == policy.provider.as_str() && exception.source == source.id.as_str()
    };
    site.exceptions.iter().filter(about).collect()
}

/// What a site wants at an instant. Findings about it go to `sink`.
pub fn resolve(policies: &Policies, site: &Site, at: Timestamp, sink: &mut Diagnostics) -> Allowlist {
    let mut resolver = Resolver { site, at, origins: Vec::new(), excluded: Vec::new(), entries: Vec::new() };
    let mut stamps = Vec::new();
    for selection in &site.selections {
        let Some(policy) = policies.by_provider.get(&selection.provider) else { continue };
        stamps.push(Stamp {
            provider: policy.provider.clone(),
            name: policy.name.clone(),
            revision: policy.revision,
            digest: policy.digest,
        });
        for source in &policy.sources {
            resolver.source(policy, source, selection);
        }
    }
    let Resolver { origins, excluded, mut entries, .. } = resolver;
    if !entries.is_sorted_by_key(|entry| entry.prefix) {
        entries.sort_by_key(|entry| entry.prefix);
    }
    let mut shared = Shared::new(&origins);
    fold(&mut entries, &mut shared);
    let service = site.service.clone();
    let allowlist = Allowlist { instant: at, service, policies: stamps, origins, excluded, entries, shared };
    report_tombstones(&allowlist, policies, sink);
    allowlist
}

struct Resolver<'a> {
    site: &'a Site,
    at: Timestamp,
    origins: Vec<Origin>,
    excluded: Vec<Excluded>,
    entries: Vec<Entry>,
}

impl Resolver<'_> {
    fn source(&mut self, policy: &Policy, source: &Source, selection: &Selection) {
        let exclude = |why: Exclusion| Excluded {
            provider: policy.provider.clone(),
            source: source.id.clone(),
            prefixes: source.prefixes.clone(),
            why,
        };
        if source.role == Role::Tombstone {
            return self.excluded.push(exclude(Exclusion::Tombstone));
        }
        if !selection.roles.contains(&source.role) {
            return self.excluded.push(exclude(Exclusion::Role(source.role)));
        }
        let exceptions = exceptions_of(self.site, policy, source);
        let standings: BTreeMap<Environment, Standing> = selection
            .environments
            .iter()
            .filter_map(|environment| {
                Some((*environment, standing(source, &exceptions, *environment, self.at)?))
            })
            .collect();
        let admitted: Vec<Environment> = standings
            .iter()
            .filter(|(_, standing)| standing.admitted)
            .map(|(environment, _)| *environment)
            .collect();
        if admitted.is_empty() {
            return self.excluded.push(exclude(exclusion(source, &standings)));
        }
        let of_admitted = || standings.values().filter(|standing| standing.admitted);
        let origin = Origin {
            provider: policy.provider.clone(),
            source: source.id.clone(),
            label: source.label.clone(),
            state: of_admitted().map(|standing| standing.state).max().unwrap_or(State::Active),
            environments: admitted,
            held: of_admitted().all(|standing| standing.held),
        };
        let index = u32::try_from(self.origins.len()).unwrap_or(u32::MAX);
        self.origins.push(origin);
        self.entries.extend(source.prefixes.iter().map(|prefix| Entry { prefix: *prefix, origins: index }));
    }
}

fn exclusion(source: &Source, standings: &BTreeMap<Environment, Standing>) -> Exclusion {
    if let Some((since, reason)) = standings.values().find_map(|standing| standing.retired.clone()) {
        return Exclusion::Retired(since, reason);
    }
    let expired = standings.iter().find(|(_, standing)| standing.state == State::Expired);
    let end = expired
        .and_then(|(environment, _)| source.environments.get(environment)?.valid_until.moment().cloned());
    match end {
        Some(end) => Exclusion::Expired(end),
        None if standings.is_empty() => Exclusion::Environment,
        None => Exclusion::NotYet,
    }
}

/// Folds what lies inside another entry into it, so that no target sees an overlap.
fn fold(entries: &mut Vec<Entry>, shared: &mut Shared) {
    entries.dedup_by(|entry, wider| {
        let is_inside = wider.prefix.covers(&entry.prefix);
        if is_inside {
            wider.origins = shared.joined(wider, entry);
        }
        is_inside
    });
}

/// Says which admitted prefix covers a withdrawn address.
fn report_tombstones(allowlist: &Allowlist, policies: &Policies, sink: &mut Diagnostics) {
    for excluded in allowlist.excluded.iter().filter(|excluded| excluded.why == Exclusion::Tombstone) {
        let Some(policy) = policies.by_provider.get(excluded.provider.as_str()) else { continue };
        for prefix in &excluded.prefixes {
            // Entries are sorted and none is inside another: only the last one that starts before can cover.
            let after = allowlist.entries.partition_point(|entry| entry.prefix <= *prefix);
            let before = after.checked_sub(1).and_then(|last| allowlist.entries.get(last));
            let Some(cover) = before.filter(|entry| entry.prefix.covers(prefix)) else { continue };
            let by: Vec<String> =
                allowlist.origins_of(cover).map(|origin| origin.source.to_string()).collect();
            let message = format!(
                "withdrawn `{}` is admitted by {} of `{}`",
                prefix.short(),
                cover.prefix,
                by.join(", ")
            );
            let place = policy.source(&excluded.source).map_or(0..0, |source| source.place.clone());
            let found = Diagnostic::new(Code::TombstoneAdmitted, message).at(&policy.text, place, "");
            sink.push(
                found
                    .help("leave the wider source out, or accept that the withdrawn address gets in")
                    .about(excluded.source.as_str()),
            );
        }
    }
}

impl Allowlist {
    /// All entries, IPv4 first, ascending.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Entries that have an address of a range.
    pub fn within(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = &Entry> {
        // None is inside another, so both ends ascend.
        let start = self.entries.partition_point(|entry| entry.prefix.last() < first);
        self.entries.iter().skip(start).take_while(move |entry| entry.prefix.first() <= last)
    }

    /// The entries of one family.
    pub fn family(&self, family: Family) -> &[Entry] {
        let split = self.entries.partition_point(|entry| entry.prefix.family() == Family::V4);
        let (v4, v6) = self.entries.split_at(split);
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }

    /// The sources that an entry comes from.
    pub fn origins_of<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = &'a Origin> {
        self.origin_indices(entry).iter().filter_map(|index| self.origins.get(usize::try_from(*index).ok()?))
    }

    /// Indices into [`Allowlist::origins`] of the sources that an entry comes from, at least one.
    pub fn origin_indices<'a>(&'a self, entry: &'a Entry) -> &'a [u32] {
        self.shared.of(entry)
    }

    /// The addresses it admits.
    pub fn to_set(&self) -> PrefixSet {
        self.entries.iter().map(|entry| entry.prefix).collect()
    }

    /// The same addresses in the fewest prefixes; joined entries have the origins of both.
    #[must_use]
    pub fn aggregated(&self) -> Allowlist {
        let mut joined: Vec<Entry> = Vec::with_capacity(self.entries.len());
        let mut shared = self.shared.clone();
        for entry in &self.entries {
            let mut open = entry.clone();
            while let Some((wider, before)) = joined
                .pop_if(|before| before.prefix.joined(&open.prefix).is_some())
                .and_then(|before| Some((before.prefix.joined(&open.prefix)?, before)))
            {
                open = Entry { prefix: wider, origins: shared.joined(&before, &open) };
            }
            joined.push(open);
        }
        Allowlist {
            instant: self.instant,
            service: self.service.clone(),
            policies: self.policies.clone(),
            origins: self.origins.clone(),
            excluded: self.excluded.clone(),
            entries: joined,
            shared,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn allowlist(prefixes: Vec<Prefix>) -> Allowlist {
        let mut entries: Vec<Entry> =
            prefixes.into_iter().map(|prefix| Entry { prefix, origins: 0 }).collect();
        entries.sort_by_key(|entry| entry.prefix);
        let (policies, origins, excluded) = (Vec::new(), Vec::new(), Vec::new());
        let mut shared = Shared::new(&origins);
        fold(&mut entries, &mut shared);
        let (instant, service) = (Timestamp::UNIX_EPOCH, Service::default());
        Allowlist { instant, service, policies, origins, excluded, entries, shared }
    }

    pub(crate) fn any_prefix() -> impl Strategy<Value = Prefix> {
        let v4 = (any::<u32>(), 0u8..=32)
            .prop_map(|(bits, length)| (std::net::IpAddr::from(bits.to_be_bytes()), length));
        // Few high bits, so that prefixes meet.
        let v4_near = (0u32..64, 24u8..=32)
            .prop_map(|(bits, length)| (std::net::IpAddr::from(bits.to_be_bytes()), length));
        let v6 = (0u128..64, 120u8..=128)
            .prop_map(|(bits, length)| (std::net::IpAddr::from(bits.to_be_bytes()), length));
        prop_oneof![v4, v4_near, v6].prop_map(|(address, length)| Prefix::covering(address, length).unwrap())
    }

    #[test]
    fn what_many_sources_hold_within_one_prefix_keeps_one_list_of_them() {
        let entry = |text: &str, origins| Entry { prefix: text.parse().unwrap(), origins };
        let mut shared = Shared { first: 3, lists: Vec::new() };
        let mut entries = vec![entry("20.0.0.0/8", 2)];
        entries.extend((0..200).map(|at| entry(&format!("20.0.0.{at}"), at % 3)));
        entries.push(entry("21.0.0.0/16", 1));
        entries.push(entry("21.0.0.1", 0));
        fold(&mut entries, &mut shared);
        let origins: Vec<&[u32]> = entries.iter().map(|entry| shared.of(entry)).collect();
        assert_eq!(origins, [&[0, 1, 2][..], &[0, 1]]);
        assert_eq!(shared.lists.len(), 2);
    }

    proptest! {
        #[test]
        fn folding_and_aggregating_cover_exactly_the_input(prefixes in prop::collection::vec(any_prefix(), 0..24)) {
            let wanted: PrefixSet = prefixes.iter().copied().collect();
            let folded = allowlist(prefixes);
            prop_assert_eq!(&folded.to_set(), &wanted);
            for pair in folded.entries().windows(2) {
                prop_assert!(!pair[0].prefix.covers(&pair[1].prefix));
            }
            let aggregated = folded.aggregated();
            prop_assert_eq!(&aggregated.to_set(), &wanted);
            let shown: Vec<Prefix> = aggregated.entries().iter().map(|entry| entry.prefix).collect();
            prop_assert_eq!(shown, wanted.to_prefixes());
        }
    }
}
