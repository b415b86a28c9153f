//! What a number of a rule stands for, in words.

use std::collections::BTreeMap;

use super::super::{Action, Direction, Entry, Group, Known, Place, Protocol, Rule, Source};
use super::Asked;
use crate::admission::{Decider, RuleId};
use crate::plain::line;

/// What may decide.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'g> {
    /// A rule of a group.
    Rule(&'g Group, &'g Rule),
    /// An entry of the network ACL.
    Entry(&'g Entry),
    /// That no rule names a source.
    Nobody,
    /// That no entry of the network ACL names it.
    NoEntry,
}

impl<'g> Asked<'g> {
    /// The number of what refuses whom no rule names.
    pub(super) fn nobody(&self) -> RuleId {
        let entries = self.guard.as_ref().map_or(0, |guard| guard.entries.len());
        Self::id(self.rules.len().saturating_add(entries))
    }

    pub(super) fn subject(&self, id: RuleId) -> Option<Subject<'g>> {
        let index = usize::try_from(id.0).ok()?;
        if let Some((group, rule)) = self.rules.get(index) {
            return Some(Subject::Rule(group, rule));
        }
        if id == self.nobody() {
            return Some(Subject::Nobody);
        }
        let guard = self.guard.as_ref()?;
        if id == guard.no_entry() {
            return Some(Subject::NoEntry);
        }
        let entry = guard.entries.get(index.checked_sub(self.rules.len())?)?;
        Some(Subject::Entry(entry))
    }

    pub(super) fn decider(&self, id: RuleId) -> Decider {
        match self.subject(id) {
            None => Decider::default(),
            Some(Subject::Rule(group, rule)) => self.rule(group, rule),
            Some(Subject::Entry(entry)) => self.entry(entry),
            Some(Subject::Nobody) => self.no_rule(),
            Some(Subject::NoEntry) => self.no_entry(),
        }
    }

    fn decided_at(&self, place: Place, decider: Decider) -> Decider {
        let listing = usize::try_from(place.listing).ok().and_then(|at| self.groups.listings.get(at));
        Decider {
            listing: listing.map(|listing| listing.name.clone()).unwrap_or_default(),
            line: place.line,
            ..decider
        }
    }

    fn rule(&self, group: &Group, rule: &Rule) -> Decider {
        let which =
            if rule.id.is_empty() { "a rule".to_owned() } else { format!("rule `{}`", line(&rule.id)) };
        let mut facts = facts(group);
        if !rule.id.is_empty() {
            let key = if rule.id.starts_with("sgr-") { "rule" } else { "resource" };
            facts.insert(key, rule.id.clone());
        }
        if let Some(Source::PrefixList(list)) = rule.source.value() {
            facts.insert("prefix_list", list.clone());
        }
        if let Some(Source::Group(other)) = rule.source.value() {
            facts.insert("source_group", other.id.clone());
        }
        let decider = Decider {
            title: format!("{which} of {}", titled(group)),
            text: self.words(rule),
            facts,
            ..Decider::default()
        };
        self.decided_at(rule.place, decider)
    }

    fn entry(&self, entry: &Entry) -> Decider {
        let acl = self.guard.as_ref().map(|guard| guard.acl.id.as_str()).unwrap_or_default();
        let (direction, preposition) = match entry.direction {
            Direction::Inward => ("inward", "from"),
            Direction::Outward => ("outward", "to"),
        };
        let action = match entry.action {
            Action::Allow => "allow",
            Action::Deny => "deny",
        };
        let what = traffic(&entry.protocol, &entry.ports);
        let facts = BTreeMap::from([
            ("network_acl", acl.to_owned()),
            ("number", entry.number.to_string()),
            ("direction", direction.to_owned()),
        ]);
        let decider = Decider {
            title: format!("{direction} entry {} of network ACL `{}`", entry.number, line(acl)),
            text: format!("{action} {what} {preposition} {}", entry.prefix),
            facts,
            ..Decider::default()
        };
        self.decided_at(entry.place, decider)
    }

    fn no_rule(&self) -> Decider {
        let Some(first) = self.chosen.first() else { return Decider::default() };
        let more = self.chosen.len().saturating_sub(1);
        let others = if more > 0 { format!(", and of {more} more") } else { String::new() };
        let decider = Decider {
            title: format!("no rule of {}{others}", titled(first)),
            text: "whom no rule names is refused".to_owned(),
            facts: facts(first),
            ..Decider::default()
        };
        self.decided_at(first.place, decider)
    }

    fn no_entry(&self) -> Decider {
        let Some(acl) = self.guard.as_ref().map(|guard| guard.acl) else { return Decider::default() };
        let decider = Decider {
            title: format!("no entry of network ACL `{}`", line(&acl.id)),
            text: "what no entry names is refused".to_owned(),
            facts: BTreeMap::from([("network_acl", acl.id.clone())]),
            ..Decider::default()
        };
        self.decided_at(acl.place, decider)
    }

    /// A rule as people say it: `tcp 443 from 20.91.170.120/29 (legacy)`.
    fn words(&self, rule: &Rule) -> String {
        let source = match &rule.source {
            Known::Unknown(_) => "a source that is not known".to_owned(),
            Known::Is(Source::Prefix(prefix)) => prefix.to_string(),
            Known::Is(Source::Group(other)) => format!("group {}", line(&other.id)),
            Known::Is(Source::PrefixList(id)) => {
                let name =
                    self.lists.get(id.as_str()).map(|list| line(&list.name)).filter(|name| !name.is_empty());
                format!(
                    "prefix list {}{}",
                    line(id),
                    name.map(|name| format!(" ({name})")).unwrap_or_default()
                )
            }
        };
        let description = line(&rule.description);
        let description = if description.is_empty() { String::new() } else { format!(" ({description})") };
        format!("{} from {source}{description}", traffic(&rule.protocol, &rule.ports))
    }
}

fn facts(group: &Group) -> BTreeMap<&'static str, String> {
    let mut facts = BTreeMap::from([("group", group.id.clone())]);
    for (key, value) in [("group_name", &group.name), ("vpc", &group.vpc)] {
        if !value.is_empty() {
            facts.insert(key, value.clone());
        }
    }
    facts
}

/// A group as people call it.
fn titled(group: &Group) -> String {
    let name = line(&group.name);
    let name = if name.is_empty() { name } else { format!(" ({name})") };
    format!("security group `{}`{name}", line(&group.id))
}

/// Protocol and ports.
fn traffic(protocol: &Known<Protocol>, ports: &Known<(u16, u16)>) -> String {
    let name = match protocol {
        Known::Is(Protocol::All) => return "all traffic".to_owned(),
        Known::Is(Protocol::Other) => return "another protocol".to_owned(),
        Known::Is(Protocol::Tcp) => "tcp",
        Known::Unknown(_) => "a protocol that is not known,",
    };
    match ports {
        Known::Unknown(_) => format!("{name} ports that are not known"),
        Known::Is((0, u16::MAX)) => format!("{name} all ports"),
        Known::Is((first, last)) if first == last => format!("{name} {first}"),
        Known::Is((first, last)) => format!("{name} {first}-{last}"),
    }
}
