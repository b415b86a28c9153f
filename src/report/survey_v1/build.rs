//! What policies and site say, as the survey has it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    EntryReport, LifecycleReport, NotAdmittedReport, PolicyReport, PolicySurvey, ServiceReport, SourceReport,
    SpanReport,
};
use crate::allowlist::Allowlist;
use crate::policy::load::Policies;
use crate::policy::{Dated, End, Environment, Lifecycle, Policy, Role, Source, Span, State};
use crate::report::source_v1::{instants, shown};

/// Policies and the allowlist that was resolved from them.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// All policies.
    pub policies: &'a Policies,
    /// What the site wants.
    pub allowlist: &'a Allowlist,
}

impl PolicySurvey {
    /// What these say.
    pub fn new(judged: Judged<'_>) -> Self {
        let Judged { policies, allowlist } = judged;
        let admitted: BTreeSet<(&str, &str)> = allowlist
            .origins
            .iter()
            .map(|origin| (origin.provider.as_str(), origin.source.as_str()))
            .collect();
        let selected =
            allowlist.policies.iter().filter_map(|stamp| policies.by_provider.get(stamp.provider.as_str()));
        let sources = selected.flat_map(|policy| {
            let admitted = &admitted;
            policy.sources.iter().map(move |source| {
                let is_admitted = admitted.contains(&(policy.provider.as_str(), source.id.as_str()));
                SourceReport { admitted: is_admitted, ..source_report(policy, source, allowlist.instant) }
            })
        });
        Self {
            policies: allowlist
                .policies
                .iter()
                .map(|stamp| PolicyReport {
                    provider: stamp.provider.to_string(),
                    name: stamp.name.clone(),
                    revision: stamp.revision,
                    digest: stamp.digest.to_string(),
                })
                .collect(),
            service: ServiceReport {
                ports: allowlist.service.ports.clone(),
                addresses: allowlist.service.addresses.iter().map(ToString::to_string).collect(),
                interface: allowlist.service.interface.clone(),
            },
            sources: sources.collect(),
            allowlist: entries(allowlist),
            not_admitted: not_admitted(allowlist),
        }
    }
}

fn entries(allowlist: &Allowlist) -> Vec<EntryReport> {
    let report = |entry| {
        let origins: Vec<_> = allowlist.origins_of(entry).collect();
        let environments: BTreeSet<Environment> =
            origins.iter().flat_map(|origin| origin.environments.iter().copied()).collect();
        EntryReport {
            prefix: entry.prefix.to_string(),
            sources: origins.iter().map(|origin| format!("{}/{}", origin.provider, origin.source)).collect(),
            state: origins.iter().map(|origin| origin.state).max().unwrap_or(State::Active).as_str(),
            environments: environments.into_iter().map(Environment::as_str).collect(),
            held: origins.iter().all(|origin| origin.held),
        }
    };
    allowlist.entries().iter().map(report).collect()
}

fn not_admitted(allowlist: &Allowlist) -> Vec<NotAdmittedReport> {
    let reports = allowlist.excluded.iter().map(|excluded| NotAdmittedReport {
        provider: excluded.provider.to_string(),
        source: excluded.source.to_string(),
        prefixes: excluded.prefixes.iter().map(ToString::to_string).collect(),
        why: excluded.why.words(),
    });
    reports.collect()
}

fn source_report(policy: &Policy, source: &Source, at: Timestamp) -> SourceReport {
    let mut lifecycles: Vec<LifecycleReport> = Vec::new();
    for (environment, lifecycle) in &source.environments {
        let state = source.state(*environment, at).unwrap_or(State::Unknown);
        let report = lifecycle_report(lifecycle, source.role, state);
        let alike = lifecycles.iter_mut().find(|known| {
            (known.state, &known.spans, &known.instants) == (report.state, &report.spans, &report.instants)
        });
        match alike {
            Some(known) => known.environments.push(environment.as_str()),
            None => lifecycles.push(LifecycleReport { environments: vec![environment.as_str()], ..report }),
        }
    }
    SourceReport {
        provider: policy.provider.to_string(),
        source: source.id.to_string(),
        label: source.label.clone(),
        role: source.role.as_str(),
        hosting: source.hosting.as_str(),
        prefixes: source.prefixes.iter().map(ToString::to_string).collect(),
        admitted: false,
        lifecycles,
        replaced_by: source.replaced_by.as_ref().map(ToString::to_string),
        evidence: source.evidence.iter().map(|piece| shown(policy, piece)).collect(),
    }
}

fn lifecycle_report(lifecycle: &Lifecycle, role: Role, state: State) -> LifecycleReport {
    let start = |dated: &Option<Dated>| dated.as_ref().map(|dated| dated.moment.starts().to_string());
    LifecycleReport {
        environments: Vec::new(),
        state: state.as_str(),
        spans: spans(lifecycle, role),
        end: match &lifecycle.valid_until {
            End::Open => "open",
            End::Unknown => "unknown",
            End::At(_) => "published",
        },
        instants: instants(lifecycle),
        deadline: start(&lifecycle.deadline),
        review_by: lifecycle.review_by.as_ref().map(|dated| dated.moment.ends().to_string()),
    }
}

/// The states that a lifecycle runs through. Of a tombstone nothing but its withdrawal is held to be known.
fn spans(lifecycle: &Lifecycle, role: Role) -> Vec<SpanReport> {
    let withdrawn = lifecycle.withdrawn.as_ref().map(|dated| dated.moment.starts());
    let spans = match role {
        Role::Tombstone => vec![Span { state: State::Withdrawn, from: withdrawn, to: None }],
        Role::Callback | Role::OwnerNetwork => lifecycle.spans(),
    };
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let reports = spans.into_iter().map(|Span { state, from, to }| SpanReport {
        state: state.as_str(),
        from: text(from),
        to: text(to),
    });
    reports.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::policy::load::{Embedded, load};

    fn of(id: &str) -> Vec<String> {
        let at = "2026-11-21T00:00:00Z".parse().unwrap();
        let policies = load(&Embedded, at, &mut Diagnostics::new());
        let mut found = Vec::new();
        for source in policies.by_provider.values().flat_map(|policy| &policy.sources) {
            let lifecycle = source.environments.values().next().unwrap();
            if source.id.as_str() == id {
                found = spans(lifecycle, source.role);
            }
        }
        let text = |at: &Option<String>| at.as_deref().unwrap_or("-").to_owned();
        found.iter().map(|span| format!("{} {} {}", span.state, text(&span.from), text(&span.to))).collect()
    }

    #[test]
    fn spans_follow_each_other_without_gaps() {
        assert_eq!(
            of("azure"),
            ["announced 2025-02-06T23:15:14Z 2025-03-12T11:00:00Z", "active 2025-03-12T11:00:00Z -"]
        );
        let legacy = of("legacy-91");
        assert_eq!(legacy.len(), 2, "{legacy:?}");
        assert!(legacy[1].starts_with("grace ") && legacy[1].ends_with(" -"), "{legacy:?}");
    }
}
