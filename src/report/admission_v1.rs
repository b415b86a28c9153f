//! What gets in, as JSON, version 1. Fields are only ever added; see `docs/admission.md`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use serde::Serialize;

use super::change_v1::ChangeReport;
use super::json_v1::VERSION;
use crate::admission::{Admission, Decided, Decider, Finding, RuleId};
use crate::prefix::{Family, PrefixSet};

/// Tells what a rule's number stands for.
pub type Describe<'a> = &'a dyn Fn(RuleId) -> Decider;

/// The report.
#[derive(Debug, Serialize)]
pub struct AdmissionReport {
    version: u32,
    /// What was asked.
    question: QuestionReport,
    v4: FamilyReport,
    v6: FamilyReport,
    undecided: Vec<UndecidedReport>,
    findings: Vec<FindingReport>,
    /// Of a plan of Terraform: what it opens and closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<ChangeReport>,
    /// Of one source: what each layer does.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<VerdictReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Vec<StepReport>>,
}

/// What was asked.
#[derive(Debug, Serialize)]
pub struct QuestionReport {
    /// `tcp`.
    pub protocol: &'static str,
    /// The port called.
    pub port: u16,
    /// The interface that callers come in by; absent for any.
    pub interface: Option<String>,
    /// The service's addresses, where they were given.
    pub addresses: Vec<String>,
    /// When.
    pub at: String,
    /// The listings that were read.
    pub listings: Vec<String>,
    /// The layers that callers cross, from the outside inwards.
    pub layers: Vec<LayerReport>,
    /// The one source that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A layer, and what was asked of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LayerReport {
    /// `security-group`, `host` or `nginx`.
    pub layer: &'static str,
    /// What was read.
    pub listings: Vec<String>,
    /// The port at which callers arrive, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The proxy that they come through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The security groups that were asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The request that nginx was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestReport>,
}

/// A request to nginx.
#[derive(Debug, Clone, Serialize)]
pub struct RequestReport {
    /// The server's name, as callers write it; absent for any.
    pub server_name: Option<String>,
    /// Path and query.
    pub path: String,
    /// The method; absent for any.
    pub method: Option<String>,
    /// Headers that callers send.
    pub headers: Vec<String>,
}

/// What one layer does with one source.
#[derive(Debug, Serialize)]
pub struct VerdictReport {
    /// `security-group`, `host` or `nginx`.
    pub layer: &'static str,
    /// `accept`, `drop`, `reject` or `undetermined`.
    pub verdict: &'static str,
    /// The rule that decides; the first one that can't be decided where it is undetermined.
    pub rule: Option<RuleReport>,
}

/// What each layer says of one source, for a report.
pub fn verdicts(names: &[LayerReport], answers: &[Admission], describe: Describe<'_>) -> Vec<VerdictReport> {
    let one = |(layer, answer): (&LayerReport, &Admission)| {
        let decided = answer.decided.first();
        let open = answer.undecided.first();
        let rule = decided.map_or_else(|| open.and_then(|open| open.rule), |decided| decided.rule);
        VerdictReport {
            layer: layer.layer,
            verdict: decided.map_or("undetermined", |decided| decided.ruling.as_str()),
            rule: rule.map(|rule| RuleReport::of(describe(rule))),
        }
    };
    names.iter().zip(answers).map(one).collect()
}

#[derive(Debug, Serialize)]
struct FamilyReport {
    surely: Vec<RangeReport>,
    possibly: Vec<RangeReport>,
    decided: Vec<DecidedReport>,
}

/// First and last address.
#[derive(Debug, Serialize)]
pub struct RangeReport {
    /// The first.
    pub first: IpAddr,
    /// The last, of the same family.
    pub last: IpAddr,
}

#[derive(Debug, Serialize)]
struct DecidedReport {
    first: IpAddr,
    last: IpAddr,
    verdict: &'static str,
    /// Absent where no rule looks at these sources. One rule often decides many ranges.
    rule: Option<Rc<RuleReport>>,
}

/// A rule or policy.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct RuleReport {
    /// What it is.
    pub title: String,
    /// Its text, as listed.
    pub text: String,
    listing: String,
    line: u32,
    #[serde(flatten)]
    facts: std::collections::BTreeMap<&'static str, String>,
    /// For people: its title, with its handle and where it was read.
    #[serde(skip)]
    pub located: String,
}

impl RuleReport {
    /// A rule, for a report.
    pub fn of(rule: Decider) -> Self {
        let located = rule.located();
        let Decider { title, text, listing, line, facts } = rule;
        Self { title, text, listing, line, facts, located }
    }
}

#[derive(Debug, Serialize)]
struct UndecidedReport {
    why: String,
    rule: Option<RuleReport>,
    /// The sources whose fate hangs on it.
    sources: Vec<RangeReport>,
}

/// A finding.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct FindingReport {
    /// Its stable name.
    pub code: &'static str,
    /// What it is.
    pub message: String,
    /// What to do.
    pub help: String,
    rule: Option<RuleReport>,
}

impl FindingReport {
    /// A finding that is about no rule.
    pub fn alone(code: &'static str, message: String, help: String) -> Self {
        Self { code, message, help, rule: None }
    }
}

/// One rule that the source met.
#[derive(Debug, Serialize)]
pub struct StepReport {
    /// The layer that it is at.
    pub layer: &'static str,
    /// `syn`, `syn-ack` or `ack` of the handshake, or `request`.
    pub packet: &'static str,
    /// The rule or policy.
    pub rule: RuleReport,
    /// What it did.
    pub did: String,
}

/// Findings, for a report.
pub fn findings(all: &[Finding], describe: Describe<'_>) -> Vec<FindingReport> {
    let one = |found: &Finding| FindingReport {
        code: found.kind.as_str(),
        message: found.message.clone(),
        help: found.help.clone(),
        rule: found.rule.map(|rule| RuleReport::of(describe(rule))),
    };
    all.iter().map(one).collect()
}

/// An answer as a report.
pub fn report(
    question: QuestionReport,
    admission: &Admission,
    of_one: Option<(Vec<VerdictReport>, Vec<StepReport>)>,
    describe: Describe<'_>,
) -> AdmissionReport {
    let mut known: HashMap<RuleId, Rc<RuleReport>> = HashMap::new();
    for rule in admission.decided.iter().filter_map(|one| one.rule) {
        known.entry(rule).or_insert_with(|| Rc::new(RuleReport::of(describe(rule))));
    }
    let shared = |id: Option<RuleId>| id.and_then(|id| known.get(&id).map(Rc::clone));
    let rule = |id: Option<RuleId>| id.map(|id| RuleReport::of(describe(id)));
    let family = |family: Family| FamilyReport {
        surely: ranges(&admission.surely.only(family)),
        possibly: ranges(&admission.possibly.only(family)),
        decided: admission.decided.of_family(family).map(|one| decided(&one, shared(one.rule))).collect(),
    };
    let undecided = admission.undecided.iter().map(|open| UndecidedReport {
        why: open.why.clone(),
        rule: rule(open.rule),
        sources: ranges(&open.sources),
    });
    let (layers, trace) = of_one.unzip();
    AdmissionReport {
        version: VERSION,
        question,
        v4: family(Family::V4),
        v6: family(Family::V6),
        undecided: undecided.collect(),
        findings: findings(&admission.findings, describe),
        plan: None,
        layers,
        trace,
    }
}

fn decided(one: &Decided, rule: Option<Rc<RuleReport>>) -> DecidedReport {
    DecidedReport { first: one.first, last: one.last, verdict: one.ruling.as_str(), rule }
}

/// A set as a report.
pub fn ranges(set: &PrefixSet) -> Vec<RangeReport> {
    set.ranges().map(|(first, last)| RangeReport { first, last }).collect()
}
