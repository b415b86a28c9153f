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

/// What one side admits, from one of its own boundaries to the next.
struct Future<'a> {
    side: &'a Side<'a>,
    boundaries: BTreeSet<Timestamp>,
    list: Allowlist,
    set: PrefixSet,
}

impl<'a> Future<'a> {
    fn new(side: &'a Side<'a>, at: Timestamp) -> Self {
        let list = listed(side, at);
        Self { side, boundaries: boundaries(side, at), set: list.to_set(), list }
    }

    /// Goes on to an instant; between its own boundaries a side stays as it is.
    fn go_to(&mut self, at: Timestamp) {
        if self.boundaries.contains(&at) {
            self.list = listed(self.side, at);
            self.set = self.list.to_set();
        }
    }
}

/// What opens and closes from `at` on.
pub(super) fn moves(old: &Side<'_>, new: &Side<'_>, at: Timestamp) -> Moves {
    let (mut was, mut is) = (Future::new(old, at), Future::new(new, at));
    let mut instants: BTreeSet<Timestamp> = [at].into();
    instants.extend(was.boundaries.iter().chain(&is.boundaries));
    let mut all: Vec<(Move, PrefixSet)> = Vec::new();
    let mut known = (PrefixSet::empty(), PrefixSet::empty());
    for from in instants.iter().take(INSTANTS_MAX).copied() {
        was.go_to(from);
        is.go_to(from);
        let (opens, closes) = (is.set.difference(&was.set), was.set.difference(&is.set));
        for (open, own) in all.iter_mut().filter(|(open, _)| open.until.is_none()) {
            let still = if open.effect == Effect::Opens { &opens } else { &closes };
            let then = match open.effect {
                Effect::Opens | Effect::Closes if still.covers(own) => continue,
                Effect::Opens if is.set.covers(own) => Then::Same,
                Effect::Closes if !was.set.covers(own) => Then::Same,
                Effect::Opens | Effect::Closes => Then::Ends,
            };
            open.until = Some(Until { at: from, then });
        }
        let fresh = [
            (Effect::Opens, opens.difference(&known.0), &is),
            (Effect::Closes, closes.difference(&known.1), &was),
        ];
        for (effect, set, future) in fresh {
            if !set.is_empty() {
                let told = Told { effect, from, excluded: excluded(&is.list), new };
                all.extend(told.of(future.side, &future.list, &set));
            }
        }
        known = (opens, closes);
    }
    let all = all.into_iter().map(|(one, _)| one).collect();
    Moves { all, instants_left_out: instants.len().saturating_sub(INSTANTS_MAX) }
}

/// Every instant after this one at which a side may change.
fn boundaries(side: &Side<'_>, at: Timestamp) -> BTreeSet<Timestamp> {
    let sources = side.policies.by_provider.values().flat_map(|policy| &policy.sources);
    let lifecycles = sources.flat_map(|source| source.environments.values());
    let exceptions = side.site.exceptions.iter().map(|exception| match &exception.action {
        Action::Retire(since) => since.starts(),
        Action::HoldUntil(until) => until.ends(),
    });
    lifecycles.flat_map(Lifecycle::boundaries).chain(exceptions).filter(|instant| *instant > at).collect()
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
    fn of(&self, side: &Side<'_>, list: &Allowlist, set: &PrefixSet) -> Vec<(Move, PrefixSet)> {
        let found = list.origins.iter().filter_map(|origin| {
            let policy = side.policies.by_provider.get(origin.provider.as_str())?;
            let source = policy.source(&origin.source)?;
            let own = source.prefixes.iter().copied().collect::<PrefixSet>().intersection(set);
            let prefixes = own.to_prefixes();
            if prefixes.is_empty() {
                return None;
            }
            let (provider, id) = (origin.provider.as_str(), &origin.source);
            let one = Move {
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
            };
            Some((one, own))
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
