//! What a plan opens and closes, as JSON, version 1.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::Serialize;

use super::admission_v1::{Describe, RangeReport, RuleReport, ranges};
use crate::admission::Decided;
use crate::admission::RuleId;
use crate::admission::change::Change;

/// What becomes of whom when a plan is carried out.
#[derive(Debug, Serialize)]
pub struct ChangeReport {
    /// The port called.
    pub port: u16,
    /// Who surely gets in afterwards and surely did not before, by the rules that let them in afterwards.
    pub opens: Vec<ChangedReport>,
    /// Who surely got in before and surely does not afterwards, by the rules that let them in before.
    pub closes: Vec<ChangedReport>,
    /// Whose fate may change: it is undecided before or afterwards.
    pub undecided: Vec<RangeReport>,
}

/// Sources that one rule opens or closes for.
#[derive(Debug, Serialize)]
pub struct ChangedReport {
    /// The sources.
    pub ranges: Vec<RangeReport>,
    /// Sources of the policies among them, as `provider/source`; empty where no policy is asked.
    pub sources: Vec<String>,
    /// The rule.
    pub rule: Option<RuleReport>,
}

/// Names the sources of a policy that an interval holds.
pub type Sources<'a> = &'a dyn Fn(IpAddr, IpAddr) -> Vec<String>;

/// A change as a report. `before` and `after` tell what the rules of the two answers are.
pub fn report(
    port: u16,
    change: &Change,
    (before, after): (Describe<'_>, Describe<'_>),
    sources: Sources<'_>,
) -> ChangeReport {
    ChangeReport {
        port,
        opens: changed(&change.opens, after, sources),
        closes: changed(&change.closes, before, sources),
        undecided: ranges(&change.undecided),
    }
}

/// By rule, in the order of their first addresses.
fn changed(all: &[Decided], describe: Describe<'_>, sources: Sources<'_>) -> Vec<ChangedReport> {
    let mut groups: Vec<ChangedReport> = Vec::new();
    let mut known: HashMap<Option<RuleId>, usize> = HashMap::new();
    for one in all {
        let at = *known.entry(one.rule).or_insert_with(|| {
            let rule = one.rule.map(|rule| RuleReport::of(describe(rule)));
            groups.push(ChangedReport { ranges: Vec::new(), sources: Vec::new(), rule });
            groups.len().saturating_sub(1)
        });
        let Some(group) = groups.get_mut(at) else { continue };
        group.ranges.push(RangeReport { first: one.first, last: one.last });
        for source in sources(one.first, one.last) {
            if !group.sources.contains(&source) {
                group.sources.push(source);
            }
        }
    }
    groups
}
