//! What a survey would do, and what stands in the way, as it is told.

use anyhow::anyhow;

use super::Exit;
use super::comparison::{Asked, Comparison};
use super::enforced::{Enforced, Prepared};
use super::lasting;
use crate::admission::{Layer, LayerKind};
use crate::apply::ahead::Overruled;
use crate::apply::job::{Job, Survey};
use crate::apply::state::StateFolder;
use crate::apply::tools::Seen;
use crate::drift::Mode;
use crate::holding::Holding;
use crate::path;
use crate::plan;
use crate::plan::guardrail::cut::{Sides, cut_flows, cut_peers};
use crate::plan::guardrail::{self, Guardrail, Refusal};
use crate::plan::moves::{self, Move};
use crate::prefix::PrefixSet;
use crate::report::admission_v1::{FindingReport, RuleReport, ranges};
use crate::report::drift_v1::Outcome;
use crate::report::json_v1;
use crate::report::plan_v1::{
    AfterReport, GuardrailReport, LayerChange, MoveReport, OverruledReport, PlanReport, PlanStamp, StepReport,
};
use crate::system::peers;
use crate::target::Target;

/// A survey with all that is said of it.
pub(super) struct Planned {
    pub(super) report: PlanReport,
    /// What is in the way.
    pub(super) refused: bool,
    /// Whether the steps can't be done at all.
    pub(super) blocked: bool,
    /// How much is missing for it to be in force, or to outlive a reboot.
    pub(super) gaps: usize,
}

impl Planned {
    /// Says what a survey would do, and what stands in the way.
    pub(super) fn new(
        enforced: &Enforced,
        prepared: &Prepared,
        job: &Job<'_>,
        survey: &Survey,
        state: Option<&StateFolder>,
    ) -> anyhow::Result<Self> {
        let after = After::all(job, &survey.after);
        let telling = Telling::new(prepared, job, survey, &after);
        // What is in force already neither moves anything nor can be refused.
        let (moved, guardrails) = if survey.changes.is_empty() {
            (Vec::new(), Vec::new())
        } else {
            let baseline = state.map(StateFolder::baseline).transpose();
            let baseline = baseline.map_err(|error| anyhow!("{error}\n  help: {}", error.help()))?.flatten();
            let applied = baseline.map(|baseline| baseline.prefixes.into_iter().collect());
            let moved = moves::moves(&survey.wishes, &prepared.allowlist, applied.as_ref())?;
            (moved, telling.guardrails()?)
        };
        let lifted = enforced.lifts.lifted();
        let refusals = guardrail::refused(&guardrails, &lifted, &survey.digest);
        let told = guardrails.iter().map(|one| {
            let refusal = refusals.iter().find(|refusal| refusal.guardrail == one);
            GuardrailReport {
                name: one.kind().as_str(),
                message: refusal.map_or_else(|| one.message(), Refusal::message),
                help: refusal.map(Refusal::help).unwrap_or_default(),
                flag: one.kind().flag_for(&survey.digest),
                lifted: refusal.is_none(),
            }
        });
        let report = PlanReport {
            stamp: telling.stamp(),
            steps: telling.steps(),
            overruled: telling.overruled(),
            moves: moved.into_iter().map(move_report).collect(),
            changes: telling.changes(),
            afterwards: telling.afterwards(),
            guardrails: told.collect(),
            findings: telling.findings(),
            notes: telling.notes(),
            skipped: enforced.skipped(prepared, job),
        };
        let lost = survey.lasting.iter().map(|looked| looked.faults().count()).sum();
        Ok(Self {
            refused: !refusals.is_empty(),
            blocked: !survey.blocked.is_empty(),
            gaps: survey.gaps.len().saturating_add(lost),
            report,
        })
    }

    /// Whether anything comes out so.
    fn comes_out(&self, outcome: Outcome) -> bool {
        self.report.afterwards.iter().any(|one| one.outcome == outcome)
    }

    /// How it ends where nothing is done about it.
    pub(super) fn exit(&self) -> Exit {
        if self.refused {
            Exit::Refused
        } else if self.is_futile() || !self.report.steps.is_empty() || self.gaps > 0 {
            Exit::Findings
        } else if self.is_open() {
            Exit::Undetermined
        } else {
            Exit::Ok
        }
    }

    /// Whether what is planned would not bring about what is wanted.
    pub(super) fn is_futile(&self) -> bool {
        self.comes_out(Outcome::Drift)
    }

    /// Whether something stays undecided once all is in force.
    pub(super) fn is_open(&self) -> bool {
        self.comes_out(Outcome::Undetermined)
    }
}

/// Rules that are asked as one, as they will be: the host's for all that is on it, and a location of nginx for its target.
struct After<'a> {
    kind: LayerKind,
    /// The targets whose places are among them.
    targets: Vec<&'a dyn Target>,
    /// The one layer.
    layers: [Box<dyn Layer + 'a>; 1],
}

impl<'a> After<'a> {
    fn all(job: &'a Job<'_>, seen: &'a Seen) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for target in &job.targets {
            let kind = target.layer();
            let known = all.iter_mut().find(|one| one.kind == kind && kind == LayerKind::Host);
            if let Some(known) = known {
                known.targets.push(*target);
            } else if let Some(layer) = seen.layer_of(*target) {
                all.push(Self { kind, targets: vec![*target], layers: [layer] });
            }
        }
        all
    }
}

/// What a survey is told from.
struct Telling<'a> {
    prepared: &'a Prepared,
    job: &'a Job<'a>,
    survey: &'a Survey,
    /// The rules as they will be, with their answers.
    after: Vec<(&'a After<'a>, Comparison<'a>, Vec<Asked>)>,
}

impl<'a> Telling<'a> {
    fn new(prepared: &'a Prepared, job: &'a Job<'a>, survey: &'a Survey, after: &'a [After<'a>]) -> Self {
        let ask = |one: &'a After<'a>| {
            let comparison = comparison(prepared, &one.layers, &one.targets, Mode::Permit);
            // Of the differences only those count that no mode makes: who is blocked.
            let asked = match one.targets.first().and_then(|first| known(survey, *first)) {
                Some(answers) => comparison.told(answers),
                None => comparison.asked(),
            };
            (one, comparison, asked)
        };
        Self { prepared, job, survey, after: after.iter().map(ask).collect() }
    }
}

/// What the rules of a target answered already: where nothing changes, they are as they were.
fn known<'s>(survey: &'s Survey, target: &dyn Target) -> Option<&'s [plan::Asked]> {
    let mut drifts = survey.drifts.iter().filter(|_| survey.changes.is_empty());
    Some(&drifts.find(|drift| drift.target == target.common().name)?.asked)
}

fn comparison<'a>(
    prepared: &'a Prepared,
    layers: &'a [Box<dyn Layer + 'a>],
    targets: &'a [&'a dyn Target],
    mode: Mode,
) -> Comparison<'a> {
    Comparison {
        inputs: &prepared.inputs,
        allowlist: &prepared.allowlist,
        path: path::Path::new(layers),
        targets,
        mode,
        own: PrefixSet::empty(),
    }
}

impl Telling<'_> {
    fn stamp(&self) -> PlanStamp {
        let allowlist = &self.prepared.allowlist;
        let site = self.prepared.inputs.site.as_ref().map(|site| site.text.text.as_str()).unwrap_or_default();
        PlanStamp {
            version: json_v1::VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            at: allowlist.instant.to_string(),
            policies: allowlist.policies.iter().map(Into::into).collect(),
            site: plan::digest(site).to_string(),
            targets: self.job.targets.iter().map(|target| target.common().name.clone()).collect(),
            adopt: self.job.adopts(),
            observed: self.survey.observed.to_string(),
            digest: self.survey.digest.to_string(),
        }
    }

    fn steps(&self) -> Vec<StepReport> {
        let step = |change: &plan::Change| StepReport {
            target: change.wish.target.clone(),
            place: change.step.holding.to_string(),
            does: change.step.does.clone(),
            input: change.step.input.as_deref().map(str::to_owned),
        };
        let changes = self.survey.changes.iter().map(step);
        changes.chain(lasting::steps(&self.survey.lasting)).collect()
    }

    /// The rules before which a jump of ours moves.
    fn overruled(&self) -> Vec<OverruledReport> {
        let allowlist = &self.prepared.allowlist;
        let name = |at: &u32| {
            let origin = allowlist.origins.get(usize::try_from(*at).ok()?)?;
            Some(format!("{}/{}", origin.provider, origin.source))
        };
        let report = |one: &Overruled| OverruledReport {
            rule: RuleReport::of(one.rule.clone()),
            part: one.part.as_str(),
            port: one.port,
            ranges: ranges(&one.addresses),
            sources: one.origins.iter().filter_map(name).collect(),
        };
        self.survey.overruled.iter().map(report).collect()
    }

    /// Who gets in afterwards and did not before, by all rules.
    fn changes(&self) -> Vec<LayerChange> {
        if self.survey.changes.is_empty() {
            return Vec::new();
        }
        let mut all = Vec::new();
        for (after, now, asked) in &self.after {
            let Some(before) = self.before(after) else { continue };
            let before = [before];
            let old = comparison(self.prepared, &before, &after.targets, Mode::Permit);
            let found = now.changes(asked, &old);
            all.extend(found.into_iter().map(|change| LayerChange { layer: after.kind.as_str(), change }));
        }
        all
    }

    /// The same rules as they are.
    fn before(&self, after: &After<'_>) -> Option<Box<dyn Layer + '_>> {
        self.survey.seen.layer_of(*after.targets.first()?)
    }

    fn afterwards(&self) -> Vec<AfterReport> {
        let mut all = Vec::new();
        for target in &self.job.targets {
            let common = target.common();
            let is_its = |target: &&dyn Target| target.common().name == common.name;
            let Some((after, _, asked)) = self.after.iter().find(|(one, ..)| one.targets.iter().any(is_its))
            else {
                continue;
            };
            let targets = [*target];
            let comparison = comparison(self.prepared, &after.layers, &targets, common.mode);
            let asked = match known(self.survey, *target) {
                Some(answers) => comparison.told(answers),
                None => comparison.again(asked),
            };
            all.push(AfterReport {
                target: common.name.clone(),
                mode: common.mode.as_str(),
                outcome: super::comparison::outcome(&asked),
                differences: comparison.differences(&asked),
            });
        }
        all
    }

    fn findings(&self) -> Vec<FindingReport> {
        let mut all: Vec<FindingReport> = Vec::new();
        for (_, comparison, asked) in &self.after {
            all.extend(comparison.findings(asked));
        }
        all.extend(lasting::findings(&self.survey.lasting));
        let gaps = self.survey.gaps.iter().chain(&self.survey.blocked).cloned();
        all.extend(gaps.map(|gap| FindingReport::alone(gap.code, gap.message, gap.help)));
        all.sort_by(|left, right| (left.code, &left.message).cmp(&(right.code, &right.message)));
        all.dedup();
        all
    }

    fn guardrails(&self) -> anyhow::Result<Vec<Guardrail>> {
        let Some(site) = &self.prepared.inputs.site else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for (have, want) in moves::addresses(&self.survey.wishes)?.into_values() {
            all.extend(guardrail::check(&have, &want, site.guardrails.removals));
        }
        // Several targets mostly lose the same.
        let mut told: Vec<Guardrail> = Vec::new();
        all.retain(|one| {
            !told.contains(one) && {
                told.push(one.clone());
                true
            }
        });
        let at = self.prepared.allowlist.instant;
        let peers = peers::peers(std::env::var("SSH_CONNECTION").ok().as_deref());
        for (one, ..) in &self.after {
            let [after] = &one.layers;
            if let Some(before) = self.before(one) {
                let sides = Sides { before: before.as_ref(), after: after.as_ref() };
                all.extend(cut_peers(sides, &peers, at));
                let flows = cut_flows(sides, &site.guardrails.must_stay_open, at);
                // What a group does not admit may be admitted by another one beside it.
                all.extend(
                    flows.into_iter().filter(|cut| one.kind != LayerKind::SecurityGroup || cut.is_new()),
                );
            }
        }
        Ok(all)
    }

    /// What follows from who else keeps rules here.
    fn notes(&self) -> Vec<String> {
        let mut notes = self.survey.notes.clone();
        notes.extend(lasting::notes(self.job, self.survey));
        notes.extend(self.keepers());
        notes
    }

    fn keepers(&self) -> Vec<String> {
        let Some(host) = &self.survey.seen.host else { return Vec::new() };
        let chains = || host.tables.iter().flat_map(|table| &table.chains);
        let mut notes = Vec::new();
        // Chains of ufw stand where our jump does; a table of ours stands beside them, and each has its say.
        let of_iptables = self.job.places().any(|(_, holding)| matches!(holding, Holding::Iptables { .. }));
        if chains().any(|chain| chain.name.starts_with("ufw-") || chain.name.starts_with("ufw6-")) {
            let follows = if of_iptables {
                "what our chain accepts or drops before theirs are reached, they are not asked"
            } else {
                "they are still asked, and an address that they refuse is let in by ufw only (`ufw prepend allow …`)"
            };
            notes.push(format!(
                "ufw keeps rules here, which are left as they are: {follows}; `ufw reset` and `ufw disable` do not touch \
                 what is ours"
            ));
        }
        if host.tables.iter().any(|table| &*table.name == "firewalld") {
            // Seen with firewalld 1.3.3, whatever `FlushAllOnReload` is.
            let follows = if of_iptables {
                "firewalld empties all chains of iptables when it starts and when it reloads, ours among them: use a target of \
                 kind `nftables`, or run `callgate apply` after each"
            } else {
                "a reload of firewalld does not touch what is ours"
            };
            notes.push(format!(
                "firewalld keeps rules here, which are left as they are: they are still asked, and an address that a zone \
                 refuses is let in by firewalld only (`firewall-cmd --add-rich-rule=…`); {follows}"
            ));
        }
        notes
    }
}

fn move_report(one: Move) -> MoveReport {
    MoveReport {
        way: one.way.as_str(),
        target: one.target,
        ranges: ranges(&one.addresses),
        source: one.source.map(|(provider, source)| format!("{provider}/{source}")),
        state: one.state,
        reason: one.reason,
    }
}
