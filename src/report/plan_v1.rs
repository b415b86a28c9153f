//! A plan as JSON, version 1: a report, and the file that `apply` is given. Fields are only ever added; see
//! `docs/apply-and-rollback.md`.

use serde::{Deserialize, Serialize};

use super::admission_v1::{FindingReport, RangeReport, RuleReport};
use super::change_v1::ChangeReport;
use super::drift_v1::{DifferenceReport, Outcome};
use crate::allowlist::Revision;

/// What a plan was made from, and what names it. `apply` refuses where any of it is another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStamp {
    /// 1.
    pub version: u32,
    /// The version of the program.
    pub tool_version: String,
    /// The instant that the allowlist holds for.
    pub at: String,
    /// Each policy's provider, revision and digest.
    pub policies: Vec<Revision>,
    /// The digest of the site file.
    pub site: String,
    /// The targets that the plan is for.
    pub targets: Vec<String>,
    /// Whether rules of others that name exactly what is wanted become ours.
    #[serde(default)]
    pub adopt: bool,
    /// The digest of what was read.
    pub observed: String,
    /// The digest of the whole plan.
    pub digest: String,
}

/// The report.
#[derive(Debug, Serialize)]
pub struct PlanReport {
    /// What it was made from.
    #[serde(flatten)]
    pub stamp: PlanStamp,
    /// What is done, in order.
    pub steps: Vec<StepReport>,
    /// Rules of others that no longer decide about some, because a jump of ours moves before them.
    pub overruled: Vec<OverruledReport>,
    /// What comes into our places and leaves them.
    pub moves: Vec<MoveReport>,
    /// Who gets in afterwards and did not before, and the other way round, by all rules of the layer.
    pub changes: Vec<LayerChange>,
    /// What will differ from the policy all the same, once the steps are done.
    pub afterwards: Vec<AfterReport>,
    /// What stands in the way.
    pub guardrails: Vec<GuardrailReport>,
    /// What else is worth saying about the rules.
    pub findings: Vec<FindingReport>,
    /// What follows from how this host is managed.
    pub notes: Vec<String>,
    /// Targets of the site that are not applied here, with why.
    pub skipped: Vec<super::drift_v1::Skipped>,
}

/// A step.
#[derive(Debug, Serialize)]
pub struct StepReport {
    /// The target.
    pub target: String,
    /// The place.
    pub place: String,
    /// What is done, in words.
    pub does: String,
    /// What the tool is given.
    pub input: Option<String>,
}

/// A rule of others before which a jump of ours moves.
#[derive(Debug, Serialize)]
pub struct OverruledReport {
    /// The rule.
    pub rule: RuleReport,
    /// What it did for these: `blocked` those whom the policy wants, or let in `foreign` ones.
    pub part: &'static str,
    /// At which port.
    pub port: u16,
    /// The addresses about which it no longer decides.
    pub ranges: Vec<RangeReport>,
    /// The sources of the policy among them, as `provider/source`.
    pub sources: Vec<String>,
}

/// Addresses that come or go, for one reason.
#[derive(Debug, Serialize)]
pub struct MoveReport {
    /// `opens` or `closes`.
    pub way: &'static str,
    /// The target.
    pub target: String,
    /// The addresses.
    pub ranges: Vec<RangeReport>,
    /// `provider/source`, where a policy knows it.
    pub source: Option<String>,
    /// The source's state, or why it is not admitted.
    pub state: String,
    /// Why.
    pub reason: String,
}

/// What a layer lets in afterwards.
#[derive(Debug, Serialize)]
pub struct LayerChange {
    /// `host`, `nginx`, …
    pub layer: &'static str,
    /// At one port.
    #[serde(flatten)]
    pub change: ChangeReport,
}

/// What a target's rules will let in, against the policy.
#[derive(Debug, Serialize)]
pub struct AfterReport {
    /// The target.
    pub target: String,
    /// Its mode.
    pub mode: &'static str,
    /// What will come of it.
    pub outcome: Outcome,
    /// What will differ.
    pub differences: Vec<DifferenceReport>,
}

/// Something that refuses a plan.
#[derive(Debug, Serialize)]
pub struct GuardrailReport {
    /// Its name.
    pub name: &'static str,
    /// What the plan would do.
    pub message: String,
    /// What to do.
    pub help: String,
    /// The flag that lifts it for this plan.
    pub flag: String,
    /// Whether it was lifted.
    pub lifted: bool,
}
