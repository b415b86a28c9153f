//! What a change opens and closes for a site: now, and at every later instant at which either side changes.
//!
//! Both sides are resolved at each of these instants, so that the site's own selections and exceptions count. What is
//! told is the difference between the two futures: what ends on both sides alike is no news.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Side;
use crate::allowlist::{Allowlist, Exclusion, resolve};
use crate::diagnostic::Diagnostics;
use crate::policy::history::Effect;
use crate::policy::{Environment, Lifecycle, Role, SourceId, State};
use crate::prefix::{Prefix, PrefixSet};
use crate::site::Action;

/// Instants that are looked at; the nearest ones.
pub const INSTANTS_MAX: usize = 64;

/// Everything that opens and closes.
#[derive(Debug, Default)]
pub struct Moves {
    /// By instant, then effect, provider and source.
    pub all: Vec<Move>,
    /// Instants beyond those that were looked at.
    pub instants_left_out: usize,
}

/// Addresses of one source that open or close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Opened or closed.
    pub effect: Effect,
    /// From when: the instant of the review, or a later one.
    pub from: Timestamp,
    /// Until when both sides differ so; `None` for good.
    pub until: Option<Until>,
    /// The provider's id.
    pub provider: String,
    /// The source's id.
    pub source: String,
    /// Its role.
    pub role: Role,
    /// In which environments it is, or was, admitted here.
    pub environments: Vec<Environment>,
    /// Its state by the new policy then; `None` where that has no such source.
    pub state: Option<State>,
    /// Which addresses.
    pub prefixes: Vec<Prefix>,
    /// Why, where it is not the state alone that says it.
    pub why: Option<String>,
}

/// When a difference is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Until {
    /// The instant.
    pub at: Timestamp,
    /// What happens then.
    pub then: Then,
}

/// What ends a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The new side changes: what it opened closes, what it closed opens.
    Ends,
    /// The old side does from then on as the new one does.
    Same,
}

impl Then {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Then::Ends => "ends",
            Then::Same => "same",
        }
    }
}

/// What opens and closes from `at` on.
pub(super) fn moves(old: &Side<'_>, new: &Side<'_>, at: Timestamp) -> Moves {
    let instants = instants(old, new, at);
    let mut all: Vec<Move> = Vec::new();
    let mut known = (PrefixSet::empty(), PrefixSet::empty());
    for from in instants.iter().take(INSTANTS_MAX).copied() {
        let (was, is) = (listed(old, from), listed(new, from));
        let (before, after) = (was.to_set(), is.to_set());
        let (opens, closes) = (after.difference(&before), before.difference(&after));
        for open in all.iter_mut().filter(|open| open.until.is_none()) {
            open.until = over(open, (&opens, &closes), (&before, &after), from);
        }
        let fresh = [
            (Effect::Opens, opens.difference(&known.0), &is, new),
            (Effect::Closes, closes.difference(&known.1), &was, old),
        ];
        for (effect, set, list, side) in fresh {
            if !set.is_empty() {
                let told = Told { effect, from, excluded: excluded(&is), new };
                all.extend(told.of(side, list, &set));
            }
        }
        known = (opens, closes);
    }
    Moves { all, instants_left_out: instants.len().saturating_sub(INSTANTS_MAX) }
}

/// Whether a difference is over at an instant, by what differs and what is admitted then.
fn over(
    open: &Move,
    (opens, closes): (&PrefixSet, &PrefixSet),
    (before, after): (&PrefixSet, &PrefixSet),
    at: Timestamp,
) -> Option<Until> {
    let own: PrefixSet = open.prefixes.iter().copied().collect();
    let (still, new_side_stays) = match open.effect {
        Effect::Opens => (opens, after.covers(&own)),
        Effect::Closes => (closes, !before.covers(&own)),
    };
    let then = if new_side_stays { Then::Same } else { Then::Ends };
    (!still.covers(&own)).then_some(Until { at, then })
}

/// The instant of the review and every later one at which a side may change, ascending.
fn instants(old: &Side<'_>, new: &Side<'_>, at: Timestamp) -> BTreeSet<Timestamp> {
    let mut instants: BTreeSet<Timestamp> = [at].into();
    let mut add = |instant: Timestamp| {
        if instant > at {
            instants.insert(instant);
        }
    };
    for side in [old, new] {
        let policies = side.policies.by_provider.values().flat_map(|policy| &policy.sources);
        let lifecycles = policies.flat_map(|source| source.environments.values());
        lifecycles.flat_map(Lifecycle::boundaries).for_each(&mut add);
        for exception in &side.site.exceptions {
            match &exception.action {
                Action::Retire(since) => add(since.starts()),
                Action::HoldUntil(until) => add(until.ends()),
            }
        }
    }
    instants
}

/// What a side admits then; what is odd about it is for `check`, which looks at now.
fn listed(side: &Side<'_>, at: Timestamp) -> Allowlist {
    resolve(side.policies, side.site, at, &mut Diagnostics::new())
}

/// Why selected sources are not admitted, by provider and source.
type Excluded<'a> = BTreeMap<(&'a str, &'a str), &'a Exclusion>;

fn excluded(list: &Allowlist) -> Excluded<'_> {
    list.excluded
        .iter()
        .map(|excluded| ((excluded.provider.as_str(), excluded.source.as_str()), &excluded.why))
        .collect()
}

/// Moves of one effect and instant.
struct Told<'a> {
    effect: Effect,
    from: Timestamp,
    /// Of the new side.
    excluded: Excluded<'a>,
    new: &'a Side<'a>,
}

impl Told<'_> {
    /// The addresses by the sources of the side that admits them.
    fn of(&self, side: &Side<'_>, list: &Allowlist, set: &PrefixSet) -> Vec<Move> {
        let found = list.origins.iter().filter_map(|origin| {
            let policy = side.policies.by_provider.get(origin.provider.as_str())?;
            let source = policy.source(&origin.source)?;
            let own: PrefixSet = source.prefixes.iter().copied().collect();
            let prefixes = own.intersection(set).to_prefixes();
            if prefixes.is_empty() {
                return None;
            }
            let (provider, id) = (origin.provider.as_str(), &origin.source);
            Some(Move {
                effect: self.effect,
                from: self.from,
                until: None,
                provider: provider.to_owned(),
                source: id.to_string(),
                role: source.role,
                environments: origin.environments.clone(),
                state: self.state(provider, id, &origin.environments),
                why: match self.effect {
                    Effect::Opens => origin.held.then(|| "held by the site".to_owned()),
                    Effect::Closes => Some(self.reason(provider, id)),
                },
                prefixes,
            })
        });
        found.collect()
    }

    fn state(&self, provider: &str, id: &SourceId, environments: &[Environment]) -> Option<State> {
        let source = self.new.policies.by_provider.get(provider)?.source(id)?;
        if source.role == Role::Tombstone {
            return Some(State::Withdrawn);
        }
        environments.iter().filter_map(|environment| source.state(*environment, self.from)).max()
    }

    /// Why the new side does not admit what the old one did.
    fn reason(&self, provider: &str, id: &SourceId) -> String {
        let Some(policy) = self.new.policies.by_provider.get(provider) else {
            return "the policy is gone".to_owned();
        };
        if policy.source(id).is_none() {
            return "the source is gone".to_owned();
        }
        if !self.new.site.selections.iter().any(|selection| selection.provider == provider) {
            return "the site does not select the provider".to_owned();
        }
        match self.excluded.get(&(provider, id.as_str())) {
            Some(Exclusion::Expired(end)) => format!("expired, its end is {end}"),
            Some(Exclusion::Retired(since, reason)) => format!("retired by the site since {since}: {reason}"),
            Some(Exclusion::NotYet) => "not made known before a later instant".to_owned(),
            Some(Exclusion::Tombstone) => "withdrawn".to_owned(),
            Some(Exclusion::Role(role)) => format!("the site does not select the role {role}"),
            Some(Exclusion::Environment) => "the site does not select its environments".to_owned(),
            None => "the source has these addresses no more".to_owned(),
        }
    }
}
