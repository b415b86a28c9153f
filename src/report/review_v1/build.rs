//! The parts of a reviewed change as the report has them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::{
    ElsewhereReport, EvidenceReport, FileReport, LifecycleReport, MoveReport, PolicyReport, QuotaReport,
    StateReport, TargetReport, UntilReport,
};
use crate::diagnostic::Label;
use crate::plain::line;
use crate::policy::history::Change;
use crate::policy::load::Policies;
use crate::policy::{Policy, Source};
use crate::prefix::{Prefix, PrefixSet};
use crate::report::finding::Finder;
use crate::report::markdown::rows;
use crate::review::file::FileChange;
use crate::review::moves::Move;
use crate::review::{Review, TargetChange};

pub(super) fn policy_reports((old, new): (&Policies, &Policies)) -> Vec<PolicyReport> {
    let providers: BTreeSet<&String> = old.by_provider.keys().chain(new.by_provider.keys()).collect();
    let reports = providers.into_iter().map(|provider| {
        let (was, is) = (old.by_provider.get(provider), new.by_provider.get(provider));
        PolicyReport {
            provider: provider.clone(),
            revision_before: was.map(|policy| policy.revision),
            revision: is.map(|policy| policy.revision),
            changed: was.map(|policy| policy.digest) != is.map(|policy| policy.digest),
        }
    });
    reports.collect()
}

fn strings(prefixes: &[Prefix]) -> Vec<String> {
    prefixes.iter().map(ToString::to_string).collect()
}

/// The source of a move in the new policies, or where it is gone, in the old ones.
fn source_of<'p>(
    provider: &str,
    source: &str,
    (old, new): (&'p Policies, &'p Policies),
) -> Option<(&'p Policy, &'p Source)> {
    [new, old].into_iter().find_map(|policies| {
        let policy = policies.by_provider.get(provider)?;
        Some((policy, policy.source(&crate::policy::SourceId::new(source)?)?))
    })
}

pub(super) fn move_report(
    one: &Move,
    at: Timestamp,
    policies: (&Policies, &Policies),
    finder: &Finder,
) -> MoveReport {
    let found = source_of(&one.provider, &one.source, policies);
    let place = found.and_then(|(policy, source)| {
        let (source_text, span) = (Arc::clone(&policy.text), source.place.clone());
        finder.place(&Label { source: source_text, span, text: String::new() })
    });
    let evidence = found.map(|(policy, source)| evidence(policy, source)).unwrap_or_default();
    MoveReport {
        effect: one.effect.as_str(),
        provider: one.provider.clone(),
        source: one.source.clone(),
        role: one.role.as_str(),
        environments: one.environments.iter().map(|environment| environment.as_str()).collect(),
        state: one.state.map(crate::policy::State::as_str),
        from: one.from.to_string(),
        now: one.from == at,
        until: one.until.map(|until| UntilReport { at: until.at.to_string(), then: until.then.as_str() }),
        prefixes: strings(&one.prefixes),
        why: one.why.clone(),
        place,
        evidence,
    }
}

fn evidence(policy: &Policy, source: &Source) -> Vec<EvidenceReport> {
    let reports = source.evidence.iter().map(|piece| EvidenceReport {
        page: piece.page.clone(),
        url: policy.pages.get(&piece.page).map(|page| page.url.clone()).unwrap_or_default(),
        section: piece.section.clone(),
        says: piece.says.clone(),
        read: piece.read.to_string(),
        version: piece.version.clone(),
    });
    reports.collect()
}

pub(super) fn elsewhere(change: &Change) -> ElsewhereReport {
    ElsewhereReport {
        effect: change.effect.as_str(),
        provider: change.provider.clone(),
        role: change.role.as_str(),
        environment: change.environment.as_str(),
        from: change.from.to_string(),
        prefixes: strings(&change.prefixes),
        sources: change.sources.clone(),
    }
}

pub(super) fn lifecycles(
    review: &Review,
    policies: (&Policies, &Policies),
    at: Timestamp,
) -> Vec<LifecycleReport> {
    let mut reports = Vec::new();
    for (provider, id) in &review.touched {
        let Some((_, source)) = source_of(provider, id, policies) else { continue };
        reports.extend(rows(source, at).into_iter().map(|(environment, bars)| LifecycleReport {
            provider: provider.clone(),
            source: id.clone(),
            environment,
            states: bars.into_iter().map(state).collect(),
        }));
    }
    reports
}

fn state((state, from, to): (&'static str, Timestamp, Timestamp)) -> StateReport {
    StateReport { state, from: from.to_string(), to: to.to_string() }
}

pub(super) fn target(change: &TargetChange) -> TargetReport {
    let list = |set: &PrefixSet| strings(&set.to_prefixes());
    TargetReport {
        name: line(&change.name),
        kind: change.kind.as_str(),
        mode: change.mode.as_str(),
        presence: change.presence.as_str(),
        opens: list(&change.opens),
        closes: list(&change.closes),
        files: change.files.iter().map(file).collect(),
        quotas: change
            .quotas
            .iter()
            .map(|quota| QuotaReport {
                what: quota.what.clone(),
                sum: quota.sum.clone(),
                used: quota.used,
                most: quota.most,
            })
            .collect(),
    }
}

fn file(change: &FileChange) -> FileReport {
    FileReport {
        path: change.path.clone(),
        added: change.added,
        removed: change.removed,
        diff: change.lines.clone(),
        left_out: change.left_out,
    }
}
