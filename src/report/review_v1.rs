//! A reviewed change for machines, version 1; see `docs/review.md`. Every other form of the report is made from it.

mod build;

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::finding::{Finder, Finding, Place, Says, Weight};
use crate::diagnostic::Diagnostics;
use crate::plain::counted;
use crate::policy::history::Effect;
use crate::policy::load::Policies;
use crate::prefix::Prefix;
use crate::review::Review;
use crate::review::moves::Move;
use build::{elsewhere, lifecycles, move_report, policy_reports, target};

/// How a review ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing that somebody has to look at twice.
    Clear,
    /// Something needs a second pair of eyes.
    Look,
    /// An error: the change may not be made.
    Refused,
}

/// A reviewed change.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "callgate review", description = "A reviewed change of policies, site and templates.")]
pub struct Report {
    /// 1.
    pub version: u32,
    /// Judged at, in UTC.
    pub at: String,
    /// What it was compared with.
    pub base: Base,
    /// How it ends.
    pub verdict: Verdict,
    /// The verdict in one line, for people.
    pub summary: String,
    /// Whether the change was compared; not where a side has errors.
    pub judged: bool,
    /// How many of everything.
    pub totals: Totals,
    /// The policies of either side.
    pub policies: Vec<PolicyReport>,
    /// What opens and closes for this site, by instant.
    pub moves: Vec<MoveReport>,
    /// Later instants that were not looked at.
    pub instants_left_out: usize,
    /// What the policies open and close that the site does not select.
    pub elsewhere: Vec<ElsewhereReport>,
    /// Lifecycles of the sources that are touched.
    pub lifecycles: Vec<LifecycleReport>,
    /// The targets of either side, by name.
    pub targets: Vec<TargetReport>,
    /// What needs a second pair of eyes.
    pub concerns: Vec<Finding>,
    /// What `check` says of the new state and of the change.
    pub findings: Vec<Finding>,
    /// Findings that were counted and not kept.
    pub beyond: usize,
}

/// What a change was compared with.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Base {
    /// The revision or folder as it was given.
    pub given: String,
    /// The commit, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether its policies are the program's own, because it has no policy folder.
    pub built_in_policies: bool,
    /// Whether its site is the built-in one, because it has no site file.
    pub built_in_site: bool,
}

/// Counts; prefixes are counted once, whichever sources name them.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Totals {
    /// Prefixes that open at the instant of the review.
    pub opens_now: usize,
    /// Prefixes that open later.
    pub opens_later: usize,
    /// Prefixes that close at the instant of the review.
    pub closes_now: usize,
    /// Prefixes that close later.
    pub closes_later: usize,
    /// Concerns.
    pub concerns: usize,
    /// Errors that nothing waives.
    pub errors: usize,
    /// Warnings that the base does not have.
    pub warnings: usize,
    /// Warnings that the base has too.
    pub warnings_known: usize,
}

/// A policy of either side.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PolicyReport {
    /// The provider's id.
    pub provider: String,
    /// The revision before; left out where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_before: Option<u32>,
    /// The revision now; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// Whether what it means has changed.
    pub changed: bool,
}

/// Addresses of one source that open or close.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MoveReport {
    /// `opens` or `closes`.
    pub effect: &'static str,
    /// The provider's id.
    pub provider: String,
    /// The source's id.
    pub source: String,
    /// Its role.
    pub role: &'static str,
    /// In which environments it is, or was, admitted here.
    pub environments: Vec<&'static str>,
    /// Its state then, by the new policy; left out where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// From when.
    pub from: String,
    /// Whether that is the instant of the review.
    pub now: bool,
    /// Until when both sides differ so; left out where they do for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<UntilReport>,
    /// Which addresses, always with their length.
    pub prefixes: Vec<String>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where the source stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// How we know.
    pub evidence: Vec<EvidenceReport>,
}

/// When a difference is over.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UntilReport {
    /// The instant.
    pub at: String,
    /// `ends` where the new side changes then, `same` where the old one does the same from then on.
    pub then: &'static str,
}

/// Where an entry was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct EvidenceReport {
    /// The page's name in the policy.
    pub page: String,
    /// The page's address.
    pub url: String,
    /// The heading under which it stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// The provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// The day on which it was read.
    pub read: String,
    /// The page's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What a policy opens or closes that the site does not select.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ElsewhereReport {
    /// `opens` or `closes`.
    pub effect: &'static str,
    /// The provider's id.
    pub provider: String,
    /// The role.
    pub role: &'static str,
    /// The environment.
    pub environment: &'static str,
    /// From when.
    pub from: String,
    /// Which addresses.
    pub prefixes: Vec<String>,
    /// The sources they are of.
    pub sources: Vec<String>,
}

/// The lifecycle of a source.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LifecycleReport {
    /// The provider's id.
    pub provider: String,
    /// The source's id.
    pub source: String,
    /// The environment, where they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<&'static str>,
    /// Its states with their spans; an open end is drawn up to a month after the review.
    pub states: Vec<StateReport>,
}

/// A state of a source with its span.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StateReport {
    /// Which.
    pub state: &'static str,
    /// From when.
    pub from: String,
    /// Until when.
    pub to: String,
}

/// What becomes of a target.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TargetReport {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its mode.
    pub mode: &'static str,
    /// `added`, `removed` or `kept`.
    pub presence: &'static str,
    /// Addresses that it names from now on and did not before.
    pub opens: Vec<String>,
    /// Addresses that it named and does not any more.
    pub closes: Vec<String>,
    /// Its files that differ.
    pub files: Vec<FileReport>,
    /// How much of each quota it takes.
    pub quotas: Vec<QuotaReport>,
}

/// A rendered file that differs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileReport {
    /// Its path below the output folder.
    pub path: String,
    /// Lines that come.
    pub added: usize,
    /// Lines that go.
    pub removed: usize,
    /// The unified difference, line by line.
    pub diff: Vec<String>,
    /// Lines of the difference that are left out.
    pub left_out: usize,
}

/// How much of a quota a target takes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct QuotaReport {
    /// What is counted.
    pub what: String,
    /// How.
    pub sum: String,
    /// How many it takes.
    pub used: u64,
    /// How many there may be.
    pub most: u64,
}

/// What a review found, as far as it came.
pub struct Reviewed<'a> {
    /// At which instant.
    pub at: Timestamp,
    /// Compared with what.
    pub base: Base,
    /// The policies before and after.
    pub policies: (&'a Policies, &'a Policies),
    /// The review; `None` where a side has errors.
    pub review: Option<&'a Review>,
    /// What `check` says of the new state.
    pub check: &'a Diagnostics,
    /// What it says of the change.
    pub change: &'a Diagnostics,
}

impl Report {
    /// The report of a review.
    pub fn new(reviewed: Reviewed<'_>, finder: &mut Finder) -> Self {
        let Reviewed { at, base, policies, review, check, change } = reviewed;
        let mut findings = finder.diagnostics(Says::Check, check);
        findings.extend(finder.diagnostics(Says::Change, change));
        let concerns: Vec<Finding> = review
            .iter()
            .flat_map(|review| &review.concerns)
            .map(|concern| finder.concern(concern))
            .collect();
        let mut totals = totals(review, at, &findings);
        totals.concerns = concerns.len();
        totals.errors += check.beyond_errors() + change.beyond_errors();
        let beyond = check.beyond() + change.beyond();
        let fresh_beyond = check.has_findings() && check.beyond() > check.beyond_errors();
        let verdict = if totals.errors > 0 {
            Verdict::Refused
        } else if totals.concerns + totals.warnings > 0 || fresh_beyond {
            Verdict::Look
        } else {
            Verdict::Clear
        };
        Self {
            version: super::json_v1::VERSION,
            at: at.to_string(),
            base,
            verdict,
            summary: summary(&totals, review),
            judged: review.is_some(),
            totals,
            policies: policy_reports(policies),
            moves: review
                .iter()
                .flat_map(|review| &review.moves.all)
                .map(|one| move_report(one, at, policies, finder))
                .collect(),
            instants_left_out: review.map_or(0, |review| review.moves.instants_left_out),
            elsewhere: review.iter().flat_map(|review| &review.elsewhere).map(elsewhere).collect(),
            lifecycles: review.map(|review| lifecycles(review, policies, at)).unwrap_or_default(),
            targets: review.iter().flat_map(|review| &review.targets).map(target).collect(),
            concerns,
            findings,
            beyond,
        }
    }

    /// Everything that is said, concerns first.
    pub fn all(&self) -> impl Iterator<Item = &Finding> {
        self.concerns.iter().chain(&self.findings)
    }
}

fn totals(review: Option<&Review>, at: Timestamp, findings: &[Finding]) -> Totals {
    let moves = || review.iter().flat_map(|review| &review.moves.all);
    let count = |effect: Effect, wanted: &dyn Fn(&Move) -> bool| {
        let of = moves().filter(|one| one.effect == effect && wanted(one));
        of.flat_map(|one| one.prefixes.iter()).collect::<BTreeSet<&Prefix>>().len()
    };
    let (now, later) = (|one: &Move| one.from == at, |one: &Move| one.from != at);
    let findings = |weight: Weight| {
        findings.iter().filter(move |found| found.severity == weight && found.waived.is_none())
    };
    Totals {
        opens_now: count(Effect::Opens, &now),
        opens_later: count(Effect::Opens, &later),
        closes_now: count(Effect::Closes, &now),
        closes_later: count(Effect::Closes, &later),
        concerns: 0,
        errors: findings(Weight::Error).count(),
        warnings: findings(Weight::Warning).filter(|found| !found.known).count(),
        warnings_known: findings(Weight::Warning).filter(|found| found.known).count(),
    }
}

fn summary(totals: &Totals, review: Option<&Review>) -> String {
    let prefixes = |count: usize| counted(count, "prefix");
    let side = |verb: &str, now: usize, later: usize| match (now, later) {
        (0, 0) => format!("{verb} nothing"),
        (now, 0) => format!("{verb} {} now", prefixes(now)),
        (0, later) => format!("{verb} {} later", prefixes(later)),
        (now, later) => format!("{verb} {} now and {later} later", prefixes(now)),
    };
    let mut parts = Vec::new();
    if totals.errors > 0 {
        parts.push(format!("refused, {}", counted(totals.errors, "error")));
    }
    if review.is_some() {
        let opens = side("opens", totals.opens_now, totals.opens_later);
        parts.push(format!("{opens}, {}", side("closes", totals.closes_now, totals.closes_later)));
    } else {
        parts.push("what opens and closes was not judged".to_owned());
    }
    match totals.concerns {
        0 => {}
        1 => parts.push("1 thing needs a second pair of eyes".to_owned()),
        more => parts.push(format!("{more} things need a second pair of eyes")),
    }
    if totals.warnings > 0 {
        parts.push(counted(totals.warnings, "new warning"));
    }
    parts.join("; ")
}
