//! A change of policies, judged: may it be made, and what does it open and close, from when?

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::load::Policies;
use super::{Dated, End, Environment, Lifecycle, Policy, Role, Source};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::prefix::{Prefix, PrefixSet};

/// What a change does to the addresses of one provider, role and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The provider's id.
    pub provider: String,
    /// The role; an owner's network matters only to sites that opt in.
    pub role: Role,
    /// The environment.
    pub environment: Environment,
    /// Opened or closed.
    pub effect: Effect,
    /// From when: the instant of the comparison, or a later one.
    pub from: Timestamp,
    /// Which addresses.
    pub prefixes: Vec<Prefix>,
    /// The sources they are of.
    pub sources: Vec<String>,
}

/// Whether addresses get in or are shut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Admitted by the new policies only.
    Opens,
    /// Admitted by the old policies only.
    Closes,
}

impl Effect {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Opens => "opens",
            Effect::Closes => "closes",
        }
    }
}

/// Judges the change from `old` to `new` at an instant; faults go to `sink`.
pub fn compare(old: &Policies, new: &Policies, at: Timestamp, sink: &mut Diagnostics) -> Vec<Change> {
    let providers: BTreeSet<&String> = old.by_provider.keys().chain(new.by_provider.keys()).collect();
    let mut changes = Vec::new();
    for provider in providers {
        let (before, after) = (old.by_provider.get(provider), new.by_provider.get(provider));
        match (before, after) {
            (Some(before), Some(after)) => judge(before, after, at, sink),
            (Some(before), None) => {
                let deleted =
                    Diagnostic::new(Code::PolicyDeleted, format!("the policy of `{provider}` is gone"));
                let help =
                    "keep the file and make its sources tombstones: late callers must stay explainable";
                sink.push(deleted.at(&before.text, 0..0, "was here").help(help).about(provider.as_str()));
            }
            (None, Some(_) | None) => {}
        }
        changes.extend(effects(provider, before, after, at));
    }
    changes
}

fn judge(old: &Policy, new: &Policy, at: Timestamp, sink: &mut Diagnostics) {
    if old.digest == new.digest && new.revision == old.revision {
        return;
    }
    if new.revision < old.revision || (new.revision == old.revision && old.digest != new.digest) {
        let message = format!("revision {} after {}, and the meaning changed", new.revision, old.revision);
        let raised =
            Diagnostic::new(Code::RevisionNotRaised, message).at(&new.text, place_of_revision(new), "");
        sink.push(
            raised
                .help(format!("write `revision: {}`", old.revision.saturating_add(1)))
                .about(new.provider.as_str()),
        );
    }
    for before in &old.sources {
        match new.source(&before.id) {
            None => {
                let message = format!("source `{}` is gone", before.id);
                let deleted = Diagnostic::new(Code::SourceDeleted, message).at(
                    &old.text,
                    before.place.clone(),
                    "was here",
                );
                let help =
                    "keep it with `role: tombstone` and `withdrawn:`: late callers must stay explainable";
                sink.push(deleted.help(help).about(before.id.as_str()));
            }
            Some(after) => {
                report_lost_prefixes(new, before, after, sink);
                report_rewritten(new, before, after, at, sink);
            }
        }
    }
}

fn place_of_revision(policy: &Policy) -> std::ops::Range<usize> {
    let text = &policy.text.text;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("revision:") {
            return start..start + line.trim_end().len();
        }
        start += line.len();
    }
    0..0
}

fn report_lost_prefixes(new: &Policy, before: &Source, after: &Source, sink: &mut Diagnostics) {
    let old: PrefixSet = before.prefixes.iter().copied().collect();
    // Most often the source still holds all it held.
    if old.difference(&after.prefixes.iter().copied().collect()).is_empty() {
        return;
    }
    // An owner's network covers its callback sources; that it is still there says nothing of them.
    let holders = new
        .sources
        .iter()
        .filter(|source| source.role != Role::OwnerNetwork || before.role == Role::OwnerNetwork);
    let kept: PrefixSet = holders.flat_map(|source| source.prefixes.iter().copied()).collect();
    let lost = old.difference(&kept).to_prefixes();
    if lost.is_empty() {
        return;
    }
    let message = format!("source `{}` lost {}", before.id, crate::prefix::listed(&lost, 5));
    let deleted = Diagnostic::new(Code::SourceDeleted, message).at(&new.text, after.place.clone(), "");
    let help = "move withdrawn addresses to a source with `role: tombstone` and `withdrawn:`";
    sink.push(deleted.help(help).about(before.id.as_str()));
}

fn report_rewritten(new: &Policy, before: &Source, after: &Source, at: Timestamp, sink: &mut Diagnostics) {
    let mut told = BTreeSet::new();
    for (environment, old) in &before.environments {
        let Some(current) = after.environments.get(environment) else { continue };
        for ((name, was), (_, is)) in instants(old).into_iter().zip(instants(current)) {
            let Some(was) = was.filter(|was| was.moment.starts() <= at) else { continue };
            let same = is.is_some_and(|is| {
                (is.moment.starts(), is.moment.ends()) == (was.moment.starts(), was.moment.ends())
            });
            if same || !told.insert(name) {
                continue;
            }
            let now = is.map_or_else(|| "nothing".to_owned(), |is| is.moment.to_string());
            let message =
                format!("`{name}` of `{}` was {} and is {now}: that lies in the past", before.id, was.moment);
            let place = is.map_or_else(|| after.place.clone(), |is| is.place.clone());
            let rewritten = Diagnostic::new(Code::HistoryRewritten, message).at(&new.text, place, "");
            let help = "leave what has happened as it is; say what was wrong in `notes:`, and end the source from now on";
            sink.push(rewritten.help(help).about(before.id.as_str()));
        }
    }
}

fn instants(lifecycle: &Lifecycle) -> [(&'static str, Option<&Dated>); 5] {
    let end = match &lifecycle.valid_until {
        End::At(dated) => Some(dated),
        End::Open | End::Unknown => None,
    };
    [
        ("announced", lifecycle.announced.as_ref()),
        ("valid_from", lifecycle.valid_from.as_ref()),
        ("legacy_since", lifecycle.legacy_since.as_ref()),
        ("valid_until", end),
        ("withdrawn", lifecycle.withdrawn.as_ref()),
    ]
}

/// What opens and closes at the instant and at every later one at which either policy changes.
fn effects(provider: &str, old: Option<&Policy>, new: Option<&Policy>, at: Timestamp) -> Vec<Change> {
    let mut instants: BTreeSet<Timestamp> = [at].into();
    let sources = || [old, new].into_iter().flatten().flat_map(|policy| &policy.sources);
    for lifecycle in sources().flat_map(|source| source.environments.values()) {
        instants.extend(lifecycle.boundaries().filter(|boundary| *boundary > at));
    }
    let kinds = [Role::Callback, Role::OwnerNetwork].into_iter();
    let kinds = kinds.flat_map(|role| Environment::ALL.iter().map(move |environment| (role, *environment)));
    kinds
        .flat_map(|(role, environment)| {
            let mut known: BTreeMap<Effect, PrefixSet> = BTreeMap::new();
            let mut found = Vec::new();
            for from in instants.iter().copied() {
                let (was, is) =
                    (admitted(old, role, environment, from), admitted(new, role, environment, from));
                for (effect, set, of) in
                    [(Effect::Opens, is.difference(&was), new), (Effect::Closes, was.difference(&is), old)]
                {
                    let before = known.insert(effect, set.clone()).unwrap_or_default();
                    let prefixes = set.difference(&before).to_prefixes();
                    let sources = sources_of(of, role, &prefixes);
                    found.push(Change {
                        provider: provider.to_owned(),
                        role,
                        environment,
                        effect,
                        from,
                        prefixes,
                        sources,
                    });
                }
            }
            found.retain(|change| !change.prefixes.is_empty());
            found
        })
        .collect()
}

fn admitted(policy: Option<&Policy>, role: Role, environment: Environment, at: Timestamp) -> PrefixSet {
    let sources = policy.into_iter().flat_map(|policy| &policy.sources).filter(|source| {
        source.role == role && source.state(environment, at).is_some_and(super::State::is_admitted)
    });
    sources.flat_map(|source| source.prefixes.iter().copied()).collect()
}

fn sources_of(policy: Option<&Policy>, role: Role, prefixes: &[Prefix]) -> Vec<String> {
    let touched: PrefixSet = prefixes.iter().copied().collect();
    let sources = policy.into_iter().flat_map(|policy| &policy.sources).filter(|source| {
        let own: PrefixSet = source.prefixes.iter().copied().collect();
        source.role == role && !own.intersection(&touched).is_empty()
    });
    sources.map(|source| source.id.to_string()).collect()
}
