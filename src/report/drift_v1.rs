//! Drift as JSON, version 1. Fields are only ever added; see `docs/drift.md`.

use std::net::IpAddr;

use serde::Serialize;

use super::admission_v1::{FindingReport, LayerReport, RangeReport, RuleReport};
use super::change_v1::ChangeReport;
use super::source_v1::{Instant, Shown};

/// The report.
#[derive(Debug, Serialize)]
pub struct DriftReport {
    /// 1.
    pub version: u32,
    /// Judged at.
    pub at: String,
    /// The listings that were read.
    pub listings: Vec<String>,
    /// All layers together, where there are several, or the site names a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathReport>,
    /// What was compared.
    pub targets: Vec<TargetReport>,
    /// Of a plan of Terraform: what it opens and closes, at each port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<ChangeReport>,
    /// What else is worth saying about the rules.
    pub findings: Vec<FindingReport>,
    /// Targets of the site that are not compared, with why.
    pub skipped: Vec<Skipped>,
}

/// All layers that a callback crosses, together.
#[derive(Debug, Serialize)]
pub struct PathReport {
    /// The layers, from the outside inwards.
    pub layers: Vec<LayerReport>,
    /// `exclusive` where any target of these layers is, else `permit`.
    pub mode: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// One verdict for each source, family and port.
    pub sources: Vec<PathSourceReport>,
    /// What differs, what is certain first.
    pub differences: Vec<DifferenceReport>,
}

/// Does a source get through all layers?
#[derive(Debug, Serialize)]
pub struct PathSourceReport {
    /// Whose it is.
    pub provider: String,
    /// Its id.
    pub source: String,
    /// Its state.
    pub state: &'static str,
    /// `v4` or `v6`.
    pub family: &'static str,
    /// The port called.
    pub port: u16,
    /// `admitted`, `blocked` (at least one address is) or `undetermined`.
    pub verdict: &'static str,
    /// The addresses that it is so for.
    pub ranges: Vec<RangeReport>,
    /// The layer that decides.
    pub layer: Option<String>,
    /// The rule that decides, or the first that can't be decided.
    pub rule: Option<RuleReport>,
    /// Why it is undecided.
    pub why: Vec<String>,
}

/// A target that was not compared.
#[derive(Debug, Serialize)]
pub struct Skipped {
    /// Its name.
    pub target: String,
    /// Why.
    pub why: String,
}

/// A target that was compared.
#[derive(Debug, Serialize)]
pub struct TargetReport {
    /// Its name.
    pub target: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its mode.
    pub mode: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// What differs, what is certain first.
    pub differences: Vec<DifferenceReport>,
    /// Artifact against deployed text: for reading only, it decides nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_diff: Option<String>,
}

/// What came of comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// Nothing differs.
    #[serde(rename = "as wanted")]
    AsWanted,
    /// Something certainly differs.
    #[serde(rename = "drift")]
    Drift,
    /// Something may differ.
    #[serde(rename = "undetermined")]
    Undetermined,
}

impl Outcome {
    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::AsWanted => "as wanted",
            Outcome::Drift => "drift",
            Outcome::Undetermined => "undetermined",
        }
    }
}

/// Addresses that differ in one way, for one reason.
#[derive(Debug, Serialize)]
pub struct DifferenceReport {
    /// In which way: `blocked`, `at risk`, `foreign` or `possibly foreign`.
    pub part: &'static str,
    /// The port called.
    pub port: u16,
    /// One address of it.
    pub example: Option<IpAddr>,
    /// All of them.
    pub ranges: Vec<RangeReport>,
    /// The sources that these are addresses of.
    pub sources: Vec<SourceReport>,
    /// The rule that decides, or the first that can't be decided.
    pub rule: Option<RuleReport>,
    /// Why it is undecided.
    pub why: Vec<String>,
    /// The smallest safe change.
    pub change: String,
    /// What the program that writes these rules has to be told, so that the change stays.
    pub lasting: Option<String>,
}

/// A source, with what the policy knows of it.
#[derive(Debug, Serialize)]
pub struct SourceReport {
    /// Whose it is.
    pub provider: String,
    /// Its id.
    pub source: String,
    /// Its state, or why it is not admitted.
    pub state: String,
    /// The instants of its lifecycle.
    pub instants: Vec<Instant>,
    /// The most telling piece of its evidence.
    pub evidence: Option<Shown>,
}
