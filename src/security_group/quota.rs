//! Quotas of AWS, on what is deployed and on what would be.
//!
//! AWS counts inward rules of a group for each family by itself: a prefix is one, a group that is named is one in
//! both families, and a prefix list is its whole size.

use super::{Group, Groups, PrefixList, Rule, Source};
use crate::admission::{Finding, FindingKind};
use crate::plain::line;
use crate::prefix::{Family, PrefixSet};

/// Inward rules a group and family, where the account has no other quota.
pub const RULES_MAX: u32 = 60;
/// Rules on all groups of one network interface, which no request raises.
pub const INTERFACE_RULES_MAX: u32 = 1_000;

/// Inward rules of a group as AWS counts them, at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Those of IPv4.
    pub v4: u32,
    /// Those of IPv6.
    pub v6: u32,
}

impl Count {
    fn of(self, family: Family) -> u32 {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    fn add(&mut self, family: Family, more: u32) {
        let of = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        *of = of.saturating_add(more);
    }
}

/// Counts a group's rules. What is not known counts nothing, so that there are as many at least.
pub fn count(groups: &Groups, group: &Group) -> Count {
    let mut count = Count::default();
    for rule in group.rules.iter().filter(|rule| rule.doubt.is_none()) {
        count_rule(groups, rule, &mut count);
    }
    count
}

fn count_rule(groups: &Groups, rule: &Rule, count: &mut Count) {
    match rule.source.value() {
        None => {}
        Some(Source::Prefix(prefix)) => count.add(prefix.family(), 1),
        Some(Source::Group(_)) => Family::ALL.into_iter().for_each(|family| count.add(family, 1)),
        Some(Source::PrefixList(id)) => {
            let Some(list) = groups.prefix_list(id) else { return };
            let first = list.entries.as_ref().and_then(|entries| entries.first());
            if let Some(family) = list.family.or(first.map(crate::prefix::Prefix::family)) {
                count.add(family, weight(list));
            }
        }
    }
}

/// What a list counts: its size. AWS tells none of its own lists, whose weights are documented.
fn weight(list: &PrefixList) -> u32 {
    let own = |service: &str| list.name.starts_with("com.amazonaws.") && list.name.ends_with(service);
    match list.entries_max {
        Some(most) => most,
        None if own(".cloudfront.origin-facing") => 55,
        None => 1,
    }
}

fn finding(message: String, help: &str) -> Finding {
    Finding { kind: FindingKind::Quota, message, help: help.to_owned(), rule: None }
}

fn titled(group: &Group) -> String {
    let name = line(&group.name);
    let name = if name.is_empty() { name } else { format!(" ({name})") };
    format!("security group `{}`{name}", line(&group.id))
}

/// Quotas that what is deployed reaches.
pub fn deployed(groups: &Groups, chosen: &[&Group], rules_max: u32) -> Vec<Finding> {
    let counts: Vec<Count> = chosen.iter().map(|group| count(groups, group)).collect();
    let mut findings = Vec::new();
    for (group, count) in chosen.iter().zip(&counts) {
        for family in Family::ALL {
            let rules = count.of(family);
            let group = titled(group);
            if rules > rules_max {
                findings.push(finding(
                    format!("{group} has {rules} {family} rules as AWS counts them, above the quota of {rules_max}"),
                    "AWS takes no further rule: take some away, or tell the quota that the account has with `--rules-max`",
                ));
            } else if rules == rules_max {
                findings.push(finding(
                    format!("{group} is full: it has {rules} {family} rules as AWS counts them, which is the quota"),
                    "take rules away before others are added, use a prefix list, or ask AWS for more",
                ));
            }
        }
    }
    findings.extend(on_interface(&counts, Count::default(), "has"));
    findings
}

/// All groups of an interface together.
fn on_interface(counts: &[Count], added: Count, has: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for family in Family::ALL {
        let rules = counts.iter().fold(added.of(family), |all, count| all.saturating_add(count.of(family)));
        if rules > INTERFACE_RULES_MAX && counts.len() > 1 {
            findings.push(finding(
                format!(
                    "an interface with these {} groups {has} {rules} {family} rules, above its {INTERFACE_RULES_MAX}",
                    counts.len()
                ),
                "AWS does not raise this quota: use fewer groups or rules",
            ));
        }
    }
    findings
}

/// Quotas that would be exceeded if the first group got a rule for each of these prefixes and ports.
pub fn with_added(
    groups: &Groups,
    chosen: &[&Group],
    added: &PrefixSet,
    ports: usize,
    rules_max: u32,
) -> Vec<Finding> {
    let Some(first) = chosen.first() else { return Vec::new() };
    let ports = u32::try_from(ports).unwrap_or(u32::MAX);
    let mut more = Count::default();
    for prefix in added.to_prefixes() {
        more.add(prefix.family(), ports);
    }
    let counts: Vec<Count> = chosen.iter().map(|group| count(groups, group)).collect();
    let has = counts.first().copied().unwrap_or_default();
    let mut findings = Vec::new();
    for family in Family::ALL {
        let (rules, new) = (has.of(family), more.of(family));
        let all = rules.saturating_add(new);
        if new > 0 && all > rules_max {
            findings.push(finding(
                format!(
                    "{} has {rules} {family} rules, and {new} more make {all}, above the quota of {rules_max}",
                    titled(first)
                ),
                "aggregate, use a prefix list, put them into another group of the interface, or ask AWS for more",
            ));
        }
    }
    if more != Count::default() {
        findings.extend(on_interface(&counts, more, "would have"));
    }
    findings
}
