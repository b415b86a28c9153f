//! What the policy holds at an instant, and which of it a page is expected to list.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::policy::{Environment, Policy, Role, Source, State};
use crate::prefix::PrefixSet;

/// The roles in which pages list addresses.
pub(super) const ROLES: [Role; 2] = [Role::Callback, Role::OwnerNetwork];

/// Whether a source stands on a page by the policy's evidence: in the section that is read of it, where both name one.
pub(crate) fn carries(policy: &Policy, page: &str, source: &Source) -> bool {
    let read = policy.pages.get(page).and_then(|page| page.section.as_deref());
    source.evidence.iter().filter(|evidence| evidence.page == page).any(|evidence| {
        evidence.section.as_deref().zip(read).is_none_or(|(stood, read)| is_heading(stood, read))
    })
}

/// Whether two headings are one, however they are spaced and capitalised.
fn is_heading(left: &str, right: &str) -> bool {
    let words = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    words(left) == words(right)
}

/// A source with what is asked of it again and again.
#[derive(Debug)]
pub(super) struct Held<'p> {
    pub(super) source: &'p Source,
    pub(super) addresses: PrefixSet,
    /// The pages that list it, by the evidence.
    carriers: Vec<&'p str>,
    /// The state, over its environments, that says most: one that is admitted somewhere is admitted.
    pub(super) state: State,
}

/// The policy at an instant.
#[derive(Debug)]
pub(super) struct Known<'p> {
    pub(super) at: Timestamp,
    pub(super) sources: Vec<Held<'p>>,
    /// By role: what is in the policy and neither withdrawn nor expired.
    current: BTreeMap<Role, PrefixSet>,
    current_in: BTreeMap<(Role, Environment), PrefixSet>,
    early: BTreeMap<Role, PrefixSet>,
    expired: BTreeMap<Role, PrefixSet>,
    withdrawn: PrefixSet,
    withdrawn_in: BTreeMap<Environment, PrefixSet>,
}

impl<'p> Known<'p> {
    pub(super) fn of(policy: &'p Policy, at: Timestamp) -> Self {
        let sources: Vec<Held<'p>> =
            policy.sources.iter().filter_map(|source| Held::of(policy, source, at)).collect();
        let union = |is: &dyn Fn(&Held<'p>) -> bool| -> PrefixSet {
            let own = sources.iter().filter(|held| is(held));
            own.flat_map(|held| held.source.prefixes.iter().copied()).collect()
        };
        let by_role = |is: &dyn Fn(&Held<'p>) -> bool| -> BTreeMap<Role, PrefixSet> {
            let of = |role: Role| union(&|held| held.source.role == role && is(held));
            ROLES.into_iter().map(|role| (role, of(role))).collect()
        };
        let in_environment = |environment: Environment, role: Role| {
            union(&|held| {
                let state = held.source.state(environment, at);
                held.source.role == role && state.is_some_and(|state| state != State::Expired)
            })
        };
        let pairs = ROLES.into_iter().chain([Role::Tombstone]);
        let pairs =
            pairs.flat_map(|role| Environment::ALL.iter().map(move |environment| (role, *environment)));
        let mut current_in: BTreeMap<(Role, Environment), PrefixSet> = pairs
            .map(|(role, environment)| ((role, environment), in_environment(environment, role)))
            .collect();
        let current = by_role(&|held| held.is_current());
        let admitted = by_role(&|held| held.state.is_admitted());
        let without = |sets: BTreeMap<Role, PrefixSet>, less: &BTreeMap<Role, PrefixSet>| {
            let less = |role: &Role| less.get(role).cloned().unwrap_or_default();
            sets.into_iter().map(|(role, set)| (role, set.difference(&less(&role)))).collect()
        };
        let early = without(by_role(&|held| held.state == State::Unknown), &admitted);
        let expired = without(by_role(&|held| held.state == State::Expired), &current);
        let withdrawn = union(&|held| held.source.role == Role::Tombstone);
        let tombstones = Environment::ALL.iter().copied();
        let withdrawn_in = tombstones
            .map(|environment| {
                (environment, current_in.remove(&(Role::Tombstone, environment)).unwrap_or_default())
            })
            .collect();
        Self { at, sources, current, current_in, early, expired, withdrawn, withdrawn_in }
    }

    /// What the policy has in a role, neither withdrawn nor expired.
    pub(super) fn current(&self, role: Role) -> PrefixSet {
        self.current.get(&role).cloned().unwrap_or_default()
    }

    /// The same for one environment.
    pub(super) fn current_in(&self, role: Role, environment: Environment) -> PrefixSet {
        self.current_in.get(&(role, environment)).cloned().unwrap_or_default()
    }

    /// What the policy has and does not make known yet.
    pub(super) fn early(&self, role: Role) -> PrefixSet {
        self.early.get(&role).cloned().unwrap_or_default()
    }

    /// What is past its end in all environments.
    pub(super) fn expired(&self, role: Role) -> PrefixSet {
        self.expired.get(&role).cloned().unwrap_or_default()
    }

    /// The tombstones that these addresses bring back, which the policy does not have in this role.
    pub(super) fn withdrawn(&self, role: Role, unknown: &PrefixSet) -> PrefixSet {
        match role {
            Role::Callback | Role::Tombstone => unknown.intersection(&self.withdrawn),
            // A network that is listed around a withdrawn address does not bring that address back.
            Role::OwnerNetwork => {
                let whole = unknown.to_prefixes().into_iter();
                let inside = whole.filter(|prefix| self.withdrawn.covers(&[*prefix].into_iter().collect()));
                inside.collect()
            }
        }
    }

    /// The tombstones of one environment.
    pub(super) fn withdrawn_in(&self, environment: Environment) -> PrefixSet {
        self.withdrawn_in.get(&environment).cloned().unwrap_or_default()
    }

    /// The sources of a role that a page is expected to list: by the evidence, they stand on it.
    pub(super) fn carried<'k>(&'k self, page: &'k str, role: Role) -> impl Iterator<Item = &'k Held<'p>> {
        self.sources.iter().filter(move |held| {
            held.source.role == role && held.state.is_admitted() && held.is_carried_by(page)
        })
    }

    /// The addresses of those.
    pub(super) fn expected(&self, page: &str, role: Role) -> PrefixSet {
        self.carried(page, role).flat_map(|held| held.source.prefixes.iter().copied()).collect()
    }

    /// The sources of a role that have an address of this set, in any state.
    pub(super) fn touching<'k>(
        &'k self,
        role: Role,
        addresses: &'k PrefixSet,
    ) -> impl Iterator<Item = (&'k Held<'p>, PrefixSet)> {
        let own = self.sources.iter().filter(move |held| held.source.role == role && !addresses.is_empty());
        own.map(|held| (held, held.addresses.intersection(addresses))).filter(|(_, both)| !both.is_empty())
    }
}

impl<'p> Held<'p> {
    fn of(policy: &'p Policy, source: &'p Source, at: Timestamp) -> Option<Self> {
        let states = source.environments.keys().filter_map(|environment| source.state(*environment, at));
        // Expired in one environment and active in the other is active; not made known in one and expired in the other, unknown.
        let rank = |state: &State| match state {
            State::Active => 0,
            State::Grace => 1,
            State::Announced => 2,
            State::Unknown => 3,
            State::Expired => 4,
            State::Withdrawn => 5,
        };
        let state = states.min_by_key(rank)?;
        let carriers = policy.pages.keys().map(String::as_str).filter(|page| carries(policy, page, source));
        let (carriers, addresses) = (carriers.collect(), source.prefixes.iter().copied().collect());
        Some(Self { source, addresses, carriers, state })
    }

    /// Whether it is neither withdrawn nor expired.
    pub(super) fn is_current(&self) -> bool {
        match self.state {
            State::Active | State::Grace | State::Announced | State::Unknown => true,
            State::Expired | State::Withdrawn => false,
        }
    }

    /// Whether the evidence says that it stands on this page.
    pub(super) fn is_carried_by(&self, page: &str) -> bool {
        self.carriers.contains(&page)
    }
}
