//! All that a run can tell at once, as JSON, version 1: what the policies say, what is deployed, what the pages publish.
//!
//! `report` and `ci` make every other form from it. See `docs/report.md`.

mod build;

use serde::Serialize;

use super::drift_v1::DriftReport;
use super::finding::Finding;
use super::review_v1;
use super::source_v1::{Instant, Shown};
use super::upstream_v1::UpstreamReport;
pub use build::Judged;

/// How a step, or all of them, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing to report.
    AsWanted,
    /// Drift or findings.
    Findings,
    /// Bad input, or it could not be carried out.
    Failed,
    /// Something could not be decided.
    Undetermined,
    /// It was not asked for, or an earlier step keeps it from being carried out.
    Skipped,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 5] =
        [Outcome::AsWanted, Outcome::Findings, Outcome::Failed, Outcome::Undetermined, Outcome::Skipped];

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::AsWanted => "as-wanted",
            Outcome::Findings => "findings",
            Outcome::Failed => "failed",
            Outcome::Undetermined => "undetermined",
            Outcome::Skipped => "skipped",
        }
    }

    /// The word for people.
    pub fn words(self) -> &'static str {
        match self {
            Outcome::AsWanted => "as wanted",
            other => other.as_str(),
        }
    }

    /// How several end together: a failure outweighs what was found, and that outweighs what is open.
    pub fn worst(all: impl Iterator<Item = Outcome>) -> Outcome {
        let weight = |outcome: &Outcome| match outcome {
            Outcome::Failed => 4,
            Outcome::Findings => 3,
            Outcome::Undetermined => 2,
            Outcome::AsWanted => 1,
            Outcome::Skipped => 0,
        };
        all.max_by_key(weight).unwrap_or(Outcome::Skipped)
    }
}

/// A step of a run, in the order in which they are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Are policies, site and templates sound, and what falls due?
    Check,
    /// What does the change open and close?
    Review,
    /// Are the rendered files up to date?
    Render,
    /// Do the rules that are deployed let in what the policies say?
    Diff,
    /// Do the providers still publish what the policies hold?
    Upstream,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Step; 5] = [Step::Check, Step::Review, Step::Render, Step::Diff, Step::Upstream];

    /// The word in reports: the command that does it alone.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Check => "check",
            Step::Review => "review",
            Step::Render => "render",
            Step::Diff => "diff",
            Step::Upstream => "upstream",
        }
    }
}

/// All that a run can tell.
#[derive(Debug, Serialize)]
pub struct Survey {
    /// 1.
    pub version: u32,
    /// The version of the program.
    pub program: &'static str,
    /// Judged at, in UTC.
    pub at: String,
    /// How all steps end together.
    pub outcome: Outcome,
    /// The same in one line, for people.
    pub summary: String,
    /// The steps, each of them, also those that were skipped.
    pub steps: Vec<StepReport>,
    /// What the policies and the site say; left out where they have errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicySurvey>,
    /// What `check` says.
    pub findings: Vec<Finding>,
    /// Findings that were counted and not kept.
    pub beyond: usize,
    /// What the change opens and closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<review_v1::Report>,
    /// Rendered files that are not up to date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rendered: Option<RenderedReport>,
    /// Deployed rules against the allowlist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftReport>,
    /// Pages against the policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamReport>,
}

/// How a step ended.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// Which.
    pub step: Step,
    /// How.
    pub outcome: Outcome,
    /// One line for people: what came of it, or why it was skipped or failed.
    pub summary: String,
    /// What to do about that, where there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// What policies and site say at an instant.
#[derive(Debug, Serialize)]
pub struct PolicySurvey {
    /// The policies that the site selects from, by provider.
    pub policies: Vec<PolicyReport>,
    /// The service that is called.
    pub service: ServiceReport,
    /// Every source of these policies, by provider and id.
    pub sources: Vec<SourceReport>,
    /// The allowlist: IPv4 first, ascending.
    pub allowlist: Vec<EntryReport>,
    /// Selected sources that are not admitted.
    pub not_admitted: Vec<NotAdmittedReport>,
}

/// A policy.
#[derive(Debug, Serialize)]
pub struct PolicyReport {
    /// The provider's id.
    pub provider: String,
    /// The provider's name, free text.
    pub name: String,
    /// The revision.
    pub revision: u32,
    /// SHA-256 of its meaning.
    pub digest: String,
}

/// Where callbacks arrive.
#[derive(Debug, Serialize)]
pub struct ServiceReport {
    /// TCP ports, ascending.
    pub ports: Vec<u16>,
    /// The addresses called; empty where any is.
    pub addresses: Vec<String>,
    /// The interface, where one is named.
    pub interface: Option<String>,
}

/// A source, with all that is known of it.
#[derive(Debug, Serialize)]
pub struct SourceReport {
    /// The provider's id.
    pub provider: String,
    /// The source's id.
    pub source: String,
    /// The provider's own word for it, free text.
    pub label: Option<String>,
    /// Its role.
    pub role: &'static str,
    /// Whose address space it is.
    pub hosting: &'static str,
    /// What it covers.
    pub prefixes: Vec<String>,
    /// Whether this site admits it at the instant.
    pub admitted: bool,
    /// When it holds: once for all environments that are alike.
    pub lifecycles: Vec<LifecycleReport>,
    /// The source that takes its place.
    pub replaced_by: Option<String>,
    /// How we know.
    pub evidence: Vec<Shown>,
}

/// When a source holds.
#[derive(Debug, Serialize)]
pub struct LifecycleReport {
    /// In these environments.
    pub environments: Vec<&'static str>,
    /// The state at the instant.
    pub state: &'static str,
    /// All states that are known, in order and without gaps.
    pub spans: Vec<SpanReport>,
    /// Whether the last admitted state has an end: `open` (none is expected), `unknown` (one is, and not published) or
    /// `published`.
    pub end: &'static str,
    /// The instants as they are written.
    pub instants: Vec<Instant>,
    /// The merchant's deadline, as an instant.
    pub deadline: Option<String>,
    /// When somebody looks again, as an instant.
    pub review_by: Option<String>,
}

/// A state with its span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpanReport {
    /// `announced`, `active`, `grace`, `expired` or `withdrawn`.
    pub state: &'static str,
    /// From when; absent where that is not known.
    pub from: Option<String>,
    /// Until when; absent where nothing ends it.
    pub to: Option<String>,
}

/// A prefix that is admitted.
#[derive(Debug, Serialize)]
pub struct EntryReport {
    /// The prefix, always with its length.
    pub prefix: String,
    /// The sources that it comes from, as `provider/source`.
    pub sources: Vec<String>,
    /// The furthest of their states.
    pub state: &'static str,
    /// The environments in which they call.
    pub environments: Vec<&'static str>,
    /// Whether it is admitted only because the site holds it.
    pub held: bool,
}

/// A selected source that is not admitted.
#[derive(Debug, Serialize)]
pub struct NotAdmittedReport {
    /// The provider's id.
    pub provider: String,
    /// The source's id.
    pub source: String,
    /// What it would have admitted.
    pub prefixes: Vec<String>,
    /// Why it is not, for people.
    pub why: String,
}

/// Rendered files against the folder that holds them.
#[derive(Debug, Serialize)]
pub struct RenderedReport {
    /// The folder.
    pub folder: String,
    /// Files that are not as they would be rendered now, or are left over.
    pub stale: Vec<StaleReport>,
}

/// A file that is not up to date.
#[derive(Debug, Serialize)]
pub struct StaleReport {
    /// Its path.
    pub path: String,
    /// The unified difference; empty where it is rendered no more.
    pub diff: String,
}
