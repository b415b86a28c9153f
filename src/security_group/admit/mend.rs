//! The smallest change that lets sources in or keeps them out, as commands of `aws`. Nothing is run: a person reads
//! it, and decides.

use std::collections::BTreeSet;

use super::super::{Direction, Entry, Group, Known, Protocol, Rule, Source};
use super::describe::Subject;
use super::name::{Fit, fit};
use super::{Asked, EPHEMERAL};
use crate::admission::{RuleId, Wanted};
use crate::prefix::{Family, Prefix, PrefixSet};

/// More prefixes than these belong into a prefix list, not into a command.
const PREFIXES_MAX: usize = 16;
/// More rules than these are not taken away by a command.
const RULES_MAX: usize = 16;

impl Asked<'_> {
    /// Commands that bring it about; `None` where no short and safe ones do.
    pub(super) fn commands(
        &self,
        rule: RuleId,
        sources: &PrefixSet,
        port: u16,
        wanted: Wanted,
    ) -> Option<String> {
        let lines = match (self.subject(rule)?, wanted) {
            (Subject::Nobody, Wanted::Admit) => vec![authorize(self.chosen.first()?, sources, port)?],
            (Subject::Entry(entry), Wanted::Admit) => self.entries_before(entry, sources, port)?,
            (Subject::Rule(group, rule), Wanted::Refuse) => self.revoke(group, rule, sources, port)?,
            (Subject::Rule(..) | Subject::NoEntry, Wanted::Admit)
            | (Subject::Entry(_) | Subject::Nobody | Subject::NoEntry, Wanted::Refuse) => return None,
        };
        Some(lines.join("\n"))
    }

    /// Rules that name any of these sources go; whom they named besides keeps a rule, which is made first.
    fn revoke(&self, group: &Group, rule: &Rule, sources: &PrefixSet, port: u16) -> Option<Vec<String>> {
        let mut going: Vec<(&Group, &Rule)> = Vec::new();
        let mut named = PrefixSet::empty();
        let mut kept = PrefixSet::empty();
        let mut is_deciding = false;
        for (of, one) in self.rules.iter().filter(|(_, one)| fit(one, port) == Fit::Surely) {
            let addresses = self.addresses(one)?;
            if addresses.intersection(sources).is_empty() {
                kept = kept.union(&addresses);
                continue;
            }
            if !is_plain(one, port) || !is_id(&of.id, "sg-") || going.len() >= RULES_MAX {
                return None;
            }
            is_deciding |= of.id == group.id && one.id == rule.id;
            named = named.union(&addresses);
            going.push((of, one));
        }
        let rest = named.difference(sources).difference(&kept);
        let mut lines = Vec::new();
        if !rest.is_empty() {
            lines.push(authorize(group, &rest, port)?);
        }
        let groups: BTreeSet<&str> = going.iter().map(|(of, _)| of.id.as_str()).collect();
        for id in groups {
            let rules = going.iter().filter(|(of, _)| of.id == id).map(|(_, one)| one.id.as_str());
            let rules = rules.collect::<Vec<_>>().join(" ");
            lines.push(format!(
                "aws ec2 revoke-security-group-ingress --group-id {id} --security-group-rule-ids {rules}"
            ));
        }
        is_deciding.then_some(lines)
    }

    /// Everybody whom a rule names; `None` where that is not told.
    fn addresses(&self, rule: &Rule) -> Option<PrefixSet> {
        match rule.source.value()? {
            Source::Prefix(prefix) => Some([*prefix].into_iter().collect()),
            Source::PrefixList(id) => {
                let list = self.lists.get(id.as_str()).filter(|list| list.unlisted.is_none())?;
                Some(list.entries.as_ref()?.iter().copied().collect())
            }
            // Its members are possible only, and never what is refused or kept.
            Source::Group(_) => Some(PrefixSet::empty()),
        }
    }

    /// Entries with numbers below the one that denies.
    fn entries_before(&self, entry: &Entry, sources: &PrefixSet, port: u16) -> Option<Vec<String>> {
        let guard = self.guard.as_ref()?;
        let prefixes = few(sources)?;
        if !is_id(&guard.acl.id, "acl-") {
            return None;
        }
        let taken: BTreeSet<u32> = guard
            .acl
            .entries
            .iter()
            .filter(|one| one.direction == entry.direction)
            .map(|one| one.number)
            .collect();
        // Above the last entry before it, so that the order of the others keeps its sense.
        let after = taken.range(..entry.number).next_back().copied().unwrap_or(0);
        let mut free = (after.saturating_add(1)..entry.number).rev();
        let (way, (from, to)) = match entry.direction {
            Direction::Inward => ("ingress", (port, port)),
            Direction::Outward => ("egress", EPHEMERAL),
        };
        let mut lines = Vec::new();
        for prefix in prefixes {
            let number = free.next()?;
            let key = match prefix.family() {
                Family::V4 => "cidr-block",
                Family::V6 => "ipv6-cidr-block",
            };
            lines.push(format!(
                "aws ec2 create-network-acl-entry --network-acl-id {} --{way} --rule-number {number} --protocol tcp --port-range From={from},To={to} --{key} {prefix} --rule-action allow",
                guard.acl.id
            ));
        }
        Some(lines)
    }
}

/// Whether a rule is about this port alone, and can be named in a command.
fn is_plain(rule: &Rule, port: u16) -> bool {
    rule.protocol == Known::Is(Protocol::Tcp)
        && rule.ports == Known::Is((port, port))
        && is_id(&rule.id, "sgr-")
}

/// Whether an id is one of AWS, with nothing in it that a shell could read otherwise.
fn is_id(id: &str, start: &str) -> bool {
    id.strip_prefix(start)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn few(sources: &PrefixSet) -> Option<Vec<Prefix>> {
    let prefixes = sources.to_prefixes();
    (!prefixes.is_empty() && prefixes.len() <= PREFIXES_MAX).then_some(prefixes)
}

/// One rule a prefix, by one request.
fn authorize(group: &Group, sources: &PrefixSet, port: u16) -> Option<String> {
    let prefixes = few(sources)?;
    if !is_id(&group.id, "sg-") {
        return None;
    }
    let ranges = |family: Family, list: &str, key: &str| {
        let of_family = prefixes.iter().filter(|prefix| prefix.family() == family);
        let all: Vec<String> = of_family.map(|prefix| format!("{{{key}={prefix}}}")).collect();
        if all.is_empty() { String::new() } else { format!(",{list}=[{}]", all.join(",")) }
    };
    let v4 = ranges(Family::V4, "IpRanges", "CidrIp");
    let v6 = ranges(Family::V6, "Ipv6Ranges", "CidrIpv6");
    // The shell must not see braces.
    Some(format!(
        "aws ec2 authorize-security-group-ingress --group-id {} --ip-permissions 'IpProtocol=tcp,FromPort={port},ToPort={port}{v4}{v6}'",
        group.id
    ))
}
