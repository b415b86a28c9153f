//! A survey as metrics of Prometheus, in the text form that its node exporter reads from files.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use jiff::Timestamp;

use super::drift_v1::DifferenceReport;
use super::survey_v1::{Outcome, Step, Survey};
use crate::drift::Part;
use crate::policy::State;
use crate::upstream::compare;

/// The metric that outlives a run that fails.
const LAST_SUCCESS: &str = "callgate_last_success_seconds";

/// The metrics. `before` is the text of an earlier run: of a step without an answer now, the time of its last one is taken
/// over. `now` is the time of this run.
pub fn text(survey: &Survey, before: &str, now: Timestamp) -> String {
    let mut text = String::new();
    step_outcomes(survey, &mut text);
    last_success(survey, before, now, &mut text);
    findings(survey, &mut text);
    policies(survey, &mut text);
    drift(survey, &mut text);
    pages(survey, &mut text);
    text
}

// Writing into a String can't fail, so the results below are dropped.

fn head(text: &mut String, name: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
}

fn sample(text: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    let shown: Vec<String> =
        labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
    let shown = if shown.is_empty() { String::new() } else { format!("{{{}}}", shown.join(",")) };
    let _ = writeln!(text, "{name}{shown} {value}");
}

/// The value of a label, as it stands between quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// 1 for the one that holds, 0 for all others: so that a state that ends does not just vanish.
fn one_of(text: &mut String, name: &str, labels: &[(&str, &str)], which: (&str, &str), all: &[&str]) {
    let (label, holds) = which;
    for one in all {
        let labels = [labels, &[(label, *one)]].concat();
        sample(text, name, &labels, u8::from(*one == holds));
    }
}

fn step_outcomes(survey: &Survey, text: &mut String) {
    let name = "callgate_step_outcome";
    head(text, name, "How each step of the last run ended: 1 for the outcome that it had.");
    let all = Outcome::ALL.map(Outcome::as_str);
    for step in &survey.steps {
        one_of(text, name, &[("step", step.step.as_str())], ("outcome", step.outcome.as_str()), &all);
    }
}

fn last_success(survey: &Survey, before: &str, now: Timestamp, text: &mut String) {
    head(text, LAST_SUCCESS, "When each step last gave an answer, in seconds since 1970.");
    let known = earlier(before);
    for step in &survey.steps {
        let at = match step.outcome {
            Outcome::AsWanted | Outcome::Findings => Some(now.as_second()),
            Outcome::Skipped => known.get(step.step.as_str()).copied(),
            // One that never gave an answer is long overdue: a figure that is missing would alert nobody.
            Outcome::Failed | Outcome::Undetermined => {
                Some(known.get(step.step.as_str()).copied().unwrap_or(0))
            }
        };
        if let Some(at) = at {
            sample(text, LAST_SUCCESS, &[("step", step.step.as_str())], at);
        }
    }
}

/// When each step last gave an answer, by the text of an earlier run.
fn earlier(before: &str) -> BTreeMap<&'static str, i64> {
    let of = |step: Step| {
        let start = format!("{LAST_SUCCESS}{{step=\"{}\"}} ", step.as_str());
        let value = before.lines().find_map(|line| line.strip_prefix(start.as_str()))?;
        Some((step.as_str(), value.trim().parse().ok()?))
    };
    Step::ALL.into_iter().filter_map(of).collect()
}

fn findings(survey: &Survey, text: &mut String) {
    let name = "callgate_findings";
    head(text, name, "What the check found and nothing waives.");
    for severity in ["error", "warning", "note"] {
        let count = survey
            .findings
            .iter()
            .filter(|found| found.waived.is_none() && found.severity.as_str() == severity)
            .count();
        sample(text, name, &[("severity", severity)], count);
    }
}

fn policies(survey: &Survey, text: &mut String) {
    let Some(policy) = &survey.policy else { return };
    let name = "callgate_policy_revision";
    head(text, name, "The revision of each policy.");
    for one in &policy.policies {
        sample(text, name, &[("provider", &one.provider)], one.revision);
    }
    let name = "callgate_allowlist_prefixes";
    head(text, name, "How many prefixes the allowlist has.");
    for (family, is_v6) in [("v4", false), ("v6", true)] {
        let count = policy.allowlist.iter().filter(|entry| entry.prefix.contains(':') == is_v6).count();
        sample(text, name, &[("family", family)], count);
    }
    let name = "callgate_source_state";
    head(text, name, "The state of each source: 1 for the one that it is in.");
    let all = State::ALL.map(State::as_str);
    for source in &policy.sources {
        for lifecycle in &source.lifecycles {
            for environment in &lifecycle.environments {
                let labels = [
                    ("provider", source.provider.as_str()),
                    ("source", &source.source),
                    ("environment", environment),
                ];
                one_of(text, name, &labels, ("state", lifecycle.state), &all);
            }
        }
    }
}

/// Where addresses differ: the scope, the target, the part, the family and the port.
type Place<'a> = (&'static str, &'a str, &'static str, &'static str, u16);

fn drift(survey: &Survey, text: &mut String) {
    let Some(drift) = &survey.drift else { return };
    let ports = survey.policy.as_ref().map(|policy| policy.service.ports.clone()).unwrap_or_default();
    let mut counts: BTreeMap<Place<'_>, u128> = BTreeMap::new();
    let targets = drift.targets.iter().map(|target| ("target", target.target.as_str(), &target.differences));
    let path = drift.path.iter().map(|path| ("path", "", &path.differences));
    for (scope, target, differences) in targets.chain(path) {
        // What does not differ is said as well: a figure that is gone alerts nobody.
        for (part, port) in
            Part::ALL.iter().flat_map(|part| ports.iter().map(move |port| (part.as_str(), *port)))
        {
            for family in ["v4", "v6"] {
                counts.entry((scope, target, part, family, port)).or_insert(0);
            }
        }
        for difference in differences {
            for (family, count) in addresses(difference) {
                let place = (scope, target, difference.part, family, difference.port);
                let sum = counts.entry(place).or_insert(0);
                *sum = sum.saturating_add(count);
            }
        }
    }
    let name = "callgate_drift_addresses";
    head(text, name, "Addresses for which deployed rules and allowlist differ.");
    for ((scope, target, part, family, port), count) in counts {
        let port = port.to_string();
        let labels =
            [("scope", scope), ("target", target), ("part", part), ("family", family), ("port", &port)];
        sample(text, name, &labels, count);
    }
}

/// How many addresses of each family.
fn addresses(difference: &DifferenceReport) -> impl Iterator<Item = (&'static str, u128)> + '_ {
    difference.ranges.iter().filter_map(|range| match (range.first, range.last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            Some(("v4", u128::from(u32::from(last).saturating_sub(u32::from(first))).saturating_add(1)))
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            Some(("v6", u128::from(last).saturating_sub(u128::from(first)).saturating_add(1)))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    })
}

fn pages(survey: &Survey, text: &mut String) {
    let Some(upstream) = &survey.upstream else { return };
    let name = "callgate_page_outcome";
    head(text, name, "What came of each page: 1 for the outcome that it had.");
    let all = compare::Outcome::ALL.map(compare::Outcome::as_str);
    for provider in &upstream.providers {
        for page in &provider.pages {
            let labels = [("provider", provider.provider.as_str()), ("page", page.page.as_str())];
            one_of(text, name, &labels, ("outcome", page.outcome), &all);
        }
    }
}
