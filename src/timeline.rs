//! The timeline: what opened, became legacy, will close or fall due, in order.

use jiff::Timestamp;

use crate::allowlist::exceptions_of;
use crate::instant::Moment;
use crate::policy::load::Policies;
use crate::policy::{Dated, End, Environment, Policy, Role, Source};
use crate::prefix::Prefix;
use crate::site::{Action, Site};
use crate::yaml::decode::choices;

choices! {
    /// What happens.
    pub enum Event {
        /// Made known, and admitted from here on.
        Announced = "announced",
        /// Callbacks come from it.
        Active = "active",
        /// Called legacy, still admitted.
        Legacy = "legacy",
        /// The merchants' deadline.
        Deadline = "deadline",
        /// Somebody has to look again.
        Review = "review",
        /// The site stops admitting it.
        Retired = "retired",
        /// The site admits it until here although it expired.
        Held = "held",
        /// Its published end.
        Expired = "expired",
        /// The pages no longer list it.
        Withdrawn = "withdrawn",
    }
}

/// One thing that happens to one source.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// When, as it was written.
    pub moment: Moment,
    /// What.
    pub event: Event,
    /// The provider's id.
    pub provider: String,
    /// The source's id.
    pub source: String,
    /// The source's role.
    pub role: Role,
    /// In which environments; both where it is the same for both.
    pub environments: Vec<Environment>,
    /// The source's prefixes.
    pub prefixes: Vec<Prefix>,
    /// Why the instant is an inference, or the site's reason.
    pub note: Option<String>,
}

/// Everything that happens to the selected providers' sources, ascending.
pub fn timeline(policies: &Policies, site: &Site) -> Vec<Entry> {
    let mut entries = Vec::new();
    for selection in &site.selections {
        let Some(policy) = policies.by_provider.get(&selection.provider) else { continue };
        for source in &policy.sources {
            collect(policy, source, site, &mut entries);
        }
    }
    entries.sort_by(|left, right| {
        let key = |entry: &Entry| (entry.at, entry.provider.clone(), entry.source.clone(), entry.event);
        key(left).cmp(&key(right))
    });
    entries
}

fn collect(policy: &Policy, source: &Source, site: &Site, entries: &mut Vec<Entry>) {
    let start = entries.len();
    let mut add = |event: Event,
                   at: Timestamp,
                   moment: &Moment,
                   environments: Vec<Environment>,
                   note: Option<String>| {
        let own = entries.get_mut(start..).unwrap_or_default();
        if let Some(same) = own.iter_mut().find(|entry| entry.event == event && entry.at == at) {
            same.environments.extend(environments);
            return;
        }
        entries.push(Entry {
            at,
            moment: moment.clone(),
            event,
            provider: policy.provider.to_string(),
            source: source.id.to_string(),
            role: source.role,
            environments,
            prefixes: source.prefixes.clone(),
            note,
        });
    };
    for (environment, lifecycle) in &source.environments {
        let end = match &lifecycle.valid_until {
            End::At(dated) => Some(dated),
            End::Open | End::Unknown => None,
        };
        let starting = [
            (Event::Announced, lifecycle.announced.as_ref()),
            (Event::Active, lifecycle.valid_from.as_ref()),
            (Event::Legacy, lifecycle.legacy_since.as_ref()),
            (Event::Withdrawn, lifecycle.withdrawn.as_ref()),
        ];
        let ending = [
            (Event::Deadline, lifecycle.deadline.as_ref()),
            (Event::Review, lifecycle.review_by.as_ref()),
            (Event::Expired, end),
        ];
        let note = |dated: &Dated| dated.inferred.clone();
        for (event, dated) in starting.into_iter().filter_map(|(event, dated)| Some((event, dated?))) {
            add(event, dated.moment.starts(), &dated.moment, vec![*environment], note(dated));
        }
        for (event, dated) in ending.into_iter().filter_map(|(event, dated)| Some((event, dated?))) {
            add(event, dated.moment.ends(), &dated.moment, vec![*environment], note(dated));
        }
    }
    for exception in exceptions_of(site, policy, source) {
        let environments: Vec<Environment> = source.environments.keys().copied().collect();
        let reason = Some(exception.reason.clone());
        match &exception.action {
            Action::Retire(since) => {
                add(Event::Retired, since.starts(), since, environments.clone(), reason.clone());
            }
            Action::HoldUntil(until) => {
                add(Event::Held, until.ends(), until, environments.clone(), reason.clone());
            }
        }
        add(Event::Review, exception.review_by.ends(), &exception.review_by, environments, reason);
    }
}
