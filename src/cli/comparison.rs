//! The allowlist against one layer or several: what differs, why, and what to do.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::admission::change::change;
use crate::admission::{Finding, Question, RuleId};
use crate::allowlist::Allowlist;
use crate::cli::inputs::Inputs;
use crate::cli::mender::{Mender, Wrong};
use crate::drift::verdict::{SourceVerdict, verdicts};
use crate::drift::{Difference, Drift, Mode, Part, compare};
use crate::path::{Crossing, Path};
use crate::plan;
use crate::policy::load::Policies;
use crate::policy::{Evidence, ProviderId, SourceId};
use crate::prefix::PrefixSet;
use crate::report::admission_v1::{FindingReport, RuleReport, findings, ranges};
use crate::report::change_v1::{self, ChangeReport};
use crate::report::drift_v1::{DifferenceReport, Outcome as Came, PathSourceReport, SourceReport};
use crate::report::source_v1::{instants, shown};
use crate::target::Target;

/// The allowlist, and the layers that it is compared with.
pub(super) struct Comparison<'a> {
    pub(super) inputs: &'a Inputs,
    pub(super) allowlist: &'a Allowlist,
    pub(super) path: Path<'a>,
    /// The targets that may stand in these layers.
    pub(super) targets: &'a [&'a dyn Target],
    pub(super) mode: Mode,
    /// The proxies that stand in front: one's own, and no strangers.
    pub(super) own: PrefixSet,
}

/// The answer at one port.
pub(super) struct Asked {
    port: u16,
    crossing: Rc<Crossing>,
    pub(super) drift: Drift,
}

impl Comparison<'_> {
    /// Asks who gets through, at each port of the service.
    pub(super) fn asked(&self) -> Vec<Asked> {
        let service = &self.allowlist.service;
        let ask = |port: &u16| {
            let crossing = self.path.admit(&Question {
                port: *port,
                interface: service.interface.clone(),
                addresses: service.addresses.clone(),
                at: self.inputs.at,
            });
            self.compared(*port, self.unexpected(crossing))
        };
        service.ports.iter().map(ask).collect()
    }

    /// The same, where the one layer has answered already; the differences are those that were found then.
    pub(super) fn told(&self, answers: &[plan::Asked]) -> Vec<Asked> {
        let told = |one: &plan::Asked| Asked {
            port: one.port,
            crossing: self.unexpected(Crossing::of_one(Arc::clone(&one.admission))),
            drift: one.drift.clone(),
        };
        answers.iter().map(told).collect()
    }

    /// An answer without the findings that targets expect.
    fn unexpected(&self, mut crossing: Crossing) -> Rc<Crossing> {
        let expected = |found: &Finding| self.targets.iter().any(|target| target.expects(found.kind));
        if crossing.admission.findings.iter().any(expected) {
            Arc::make_mut(&mut crossing.admission).findings.retain(|found| !expected(found));
        }
        Rc::new(crossing)
    }

    fn compared(&self, port: u16, crossing: Rc<Crossing>) -> Asked {
        let drift = compare(self.allowlist, &crossing.admission, self.mode, &self.own);
        Asked { port, crossing, drift }
    }

    /// Answers that were asked of the same layers, compared anew: in another mode.
    pub(super) fn again(&self, asked: &[Asked]) -> Vec<Asked> {
        asked.iter().map(|one| self.compared(one.port, Rc::clone(&one.crossing))).collect()
    }

    /// What is worth saying besides; of one layer also whether it has room for what it blocks.
    pub(super) fn findings(&self, asked: &[Asked]) -> Vec<FindingReport> {
        let of = |one: &Asked| {
            findings(&one.crossing.admission.findings, &|id: RuleId| self.path.describe(&one.crossing, id))
        };
        let mut all: Vec<FindingReport> = asked.iter().flat_map(of).collect();
        if let ([layer], Some(first)) = (self.path.layers(), asked.first()) {
            let blocked = first.drift.part(Part::Blocked);
            let room = layer.room_for(&blocked, asked.len());
            all.extend(findings(&room, &|id: RuleId| layer.describe(id)));
        }
        all
    }

    pub(super) fn differences(&self, asked: &[Asked]) -> Vec<DifferenceReport> {
        let of = |one: &Asked| -> Vec<DifferenceReport> {
            one.drift.differences.iter().map(|difference| self.difference(one, difference)).collect()
        };
        asked.iter().flat_map(of).collect()
    }

    fn difference(&self, asked: &Asked, one: &Difference) -> DifferenceReport {
        let policies = &self.inputs.policies;
        let example = one.example();
        let origins = one.origins.iter().filter_map(|at| {
            let origin = self.allowlist.origins.get(usize::try_from(*at).ok()?)?;
            let state = origin.state.as_str().to_owned();
            Some(source(policies, (&origin.provider, &origin.source), state, example))
        });
        let excluded = one.excluded.iter().filter_map(|at| {
            let gone = self.allowlist.excluded.get(*at)?;
            Some(source(policies, (&gone.provider, &gone.source), gone.why.words(), example))
        });
        let decider = one.rule.map(|rule| self.path.describe(&asked.crossing, rule));
        let mender = Mender { path: self.path, targets: self.targets };
        let wrong = Wrong {
            part: one.part,
            port: asked.port,
            addresses: &one.addresses,
            rule: one.rule,
            decider: decider.as_ref(),
        };
        DifferenceReport {
            part: one.part.as_str(),
            port: asked.port,
            example,
            ranges: ranges(&one.addresses),
            sources: origins.chain(excluded).collect(),
            change: mender.change(&asked.crossing, &wrong),
            lasting: mender.lasting(&wrong),
            rule: decider.map(RuleReport::of),
            why: one.why.clone(),
        }
    }

    /// What becomes of whom, at each port, where what was asked before is replaced by this.
    pub(super) fn changes(&self, asked: &[Asked], before: &Comparison<'_>) -> Vec<ChangeReport> {
        let old = before.asked();
        let of = |(new, old): (&Asked, &Asked)| {
            let describe = |id: RuleId| self.path.describe(&new.crossing, id);
            let described = |id: RuleId| before.path.describe(&old.crossing, id);
            let found = change(&old.crossing.admission, &new.crossing.admission);
            change_v1::report(new.port, &found, (&described, &describe), &|first, last| {
                self.names(first, last)
            })
        };
        asked.iter().zip(&old).map(of).collect()
    }

    /// The sources that are wanted within an interval, as `provider/source`.
    fn names(&self, first: IpAddr, last: IpAddr) -> Vec<String> {
        let entries = self.allowlist.within(first, last);
        let origins = entries.flat_map(|entry| self.allowlist.origins_of(entry));
        origins.map(|origin| format!("{}/{}", origin.provider, origin.source)).collect()
    }

    /// One verdict for each source and family.
    pub(super) fn sources(&self, asked: &[Asked]) -> Vec<PathSourceReport> {
        let of = |one: &Asked| -> Vec<PathSourceReport> {
            let all = verdicts(self.allowlist, &one.crossing.admission);
            all.into_iter().filter_map(|verdict| self.source(one, verdict)).collect()
        };
        asked.iter().flat_map(of).collect()
    }

    fn source(&self, asked: &Asked, one: SourceVerdict) -> Option<PathSourceReport> {
        let origin = self.allowlist.origins.get(usize::try_from(one.origin).ok()?)?;
        let rule = one.rule.map(|rule| self.path.describe(&asked.crossing, rule));
        Some(PathSourceReport {
            provider: origin.provider.to_string(),
            source: origin.source.to_string(),
            state: origin.state.as_str(),
            family: one.family.as_str(),
            port: asked.port,
            verdict: one.verdict.as_str(),
            ranges: ranges(&one.addresses),
            layer: rule.as_ref().and_then(|rule| rule.facts.get("layer").cloned()),
            rule: rule.map(RuleReport::of),
            why: one.why,
        })
    }
}

/// What came of comparing.
pub(super) fn outcome(asked: &[Asked]) -> Came {
    if asked.iter().any(|one| one.drift.is_certain()) {
        Came::Drift
    } else if asked.iter().any(|one| !one.drift.differences.is_empty()) {
        Came::Undetermined
    } else {
        Came::AsWanted
    }
}

/// What a policy knows of a source.
fn source(
    policies: &Policies,
    (provider, id): (&ProviderId, &SourceId),
    state: String,
    example: Option<IpAddr>,
) -> SourceReport {
    let policy = policies.by_provider.get(provider.as_str());
    let found = policy.and_then(|policy| Some((policy, policy.source(id)?)));
    let evidence = found.and_then(|(policy, source)| {
        // What names the address tells most, then what the provider says at all.
        let wanted = example.map(|example| example.to_string());
        let says = |one: &&Evidence| one.says.is_some();
        let names = |one: &&Evidence| {
            one.says
                .as_ref()
                .zip(wanted.as_ref())
                .is_some_and(|(says, wanted)| says.contains(wanted.as_str()))
        };
        let all = &source.evidence;
        let best = all.iter().find(names).or_else(|| all.iter().find(says)).or(all.first())?;
        Some(shown(policy, best))
    });
    let lifecycle = found.and_then(|(_, source)| source.environments.values().next());
    SourceReport {
        provider: provider.to_string(),
        source: id.to_string(),
        state,
        instants: lifecycle.map(instants).unwrap_or_default(),
        evidence,
    }
}
