//! Listings put together: each group once, whichever of its two views told of it.
//!
//! `describe-security-groups` lists a group whole, without ids of its rules; `describe-security-group-rules` has the
//! ids, and pages that may end in the middle of a group. Where both are given and differ, a rule that only one has
//! may be there or not.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Pages, cut};
use crate::admission::{FindingKind, Listing};
use crate::prefix::Prefix;
use crate::security_group::{
    Acl, Group, Groups, Instance, Interface, Known, Members, Place, PrefixList, Protocol, Remark, Rule,
    Source,
};

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) pages: BTreeMap<&'static str, Pages>,
    /// Groups with their permissions; one may be there several times.
    pub(super) groups: Vec<Group>,
    /// Rules by their group's id.
    pub(super) rules: BTreeMap<String, OfRules>,
    pub(super) lists: Vec<PrefixList>,
    pub(super) entries: BTreeMap<String, Entries>,
    pub(super) interfaces: BTreeMap<String, Interface>,
    pub(super) instances: BTreeMap<String, Instance>,
    pub(super) members: Members,
    pub(super) acls: Vec<Acl>,
}

/// What the listing of rules has of a group.
#[derive(Debug)]
pub(super) struct OfRules {
    pub(super) rules: Vec<Rule>,
    place: Place,
}

impl OfRules {
    pub(super) fn at(place: Place) -> Self {
        Self { rules: Vec::new(), place }
    }
}

/// Entries of a prefix list.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) prefixes: BTreeSet<Prefix>,
    /// Where the last page says that there is another.
    pub(super) open: Option<Place>,
    pub(super) place: Place,
}

/// Rules with one of these are the same rule.
type Key = (Known<Protocol>, Known<(u16, u16)>, Known<Source>);

fn key(rule: &Rule) -> Key {
    (rule.protocol.clone(), rule.ports.clone(), rule.source.clone())
}

/// Why a rule may not be there.
const ONE_VIEW: &str = "one listing has this rule, and another of the same group has not";

impl Gathered {
    pub(super) fn finish(mut self, listings: Vec<Listing>) -> Groups {
        let cut = cut(&self.pages);
        let mut groups = Groups { listings, cut, ..Groups::default() };
        groups.prefix_lists = self.prefix_lists(&groups);
        let missing =
            |of: &str| groups.cut.iter().find(|cut| cut.of == of).map(|cut| groups.located(cut.place));
        let (rules_cut, members_cut) = (missing("SecurityGroupRules"), missing("NetworkInterfaces"));
        groups.members = match members_cut {
            Some(at) => {
                Members::Cut(format!("interfaces are listed up to a page whose next one is missing, {at}"))
            }
            None => self.members,
        };
        let rules_cut =
            rules_cut.map(|at| format!("rules are listed up to a page whose next one is missing, {at}"));
        let mut views: BTreeMap<String, Vec<Group>> = BTreeMap::new();
        for group in self.groups {
            views.entry(group.id.clone()).or_default().push(group);
        }
        for id in self.rules.keys() {
            views.entry(id.clone()).or_default();
        }
        for (id, whole) in views {
            let joined = join(id.clone(), whole, self.rules.remove(&id), rules_cut.as_deref());
            groups.remarks.extend(joined.1);
            groups.groups.push(joined.0);
        }
        groups.interfaces = self.interfaces.into_values().collect();
        groups.instances = self.instances.into_values().collect();
        groups.acls = self.acls;
        groups
    }

    fn prefix_lists(&mut self, groups: &Groups) -> Vec<PrefixList> {
        let mut lists: BTreeMap<String, PrefixList> = BTreeMap::new();
        for list in std::mem::take(&mut self.lists) {
            lists.entry(list.id.clone()).or_insert(list);
        }
        for (id, entries) in std::mem::take(&mut self.entries) {
            let list = lists.entry(id.clone()).or_insert_with(|| PrefixList {
                id,
                place: entries.place,
                ..PrefixList::default()
            });
            list.entries = Some(entries.prefixes.into_iter().collect());
            list.place = entries.place;
            list.unlisted = entries.open.map(|place| {
                format!(
                    "its entries are listed up to a page whose next one is missing, {}",
                    groups.located(place)
                )
            });
        }
        lists.into_values().collect()
    }
}

/// One group out of all its views.
fn join(
    id: String,
    whole: Vec<Group>,
    rules: Option<OfRules>,
    rules_cut: Option<&str>,
) -> (Group, Option<Remark>) {
    let mut group = Group { id, ..Group::default() };
    if let Some(first) = whole.first() {
        group.name.clone_from(&first.name);
        group.vpc.clone_from(&first.vpc);
        group.place = first.place;
    } else if let Some(rules) = &rules {
        group.place = rules.place;
    }
    let mut all = Views::default();
    for view in whole {
        all.add(view.rules, Counts::Whole);
    }
    let has_whole = all.expected > 0;
    if let Some(rules) = rules {
        // What a cut listing has not, it may have on its next page.
        let counts = if rules_cut.is_some() { Counts::Part } else { Counts::Whole };
        group.unlisted = rules_cut.filter(|_| !has_whole).map(str::to_owned);
        all.add(rules.rules, counts);
    }
    let (rules, differing) = all.finish();
    group.rules = rules;
    let remark = (differing > 0).then(|| Remark {
        kind: FindingKind::Listing,
        place: group.place,
        text: format!("listings of group `{}` disagree about {differing} of its rules", group.id),
        help: "take all listings of a group at one time".to_owned(),
    });
    (group, remark)
}

/// Whether a view has all rules of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Whole,
    Part,
}

/// Rules of a group, and how many of its whole views have each.
#[derive(Default)]
struct Views {
    expected: usize,
    rules: Vec<(Rule, usize)>,
    by_key: HashMap<Key, usize>,
    /// Rules of other protocols: they matter for quotas only, and are taken from one view.
    others: Vec<Rule>,
}

impl Views {
    /// A view of the group. Those that tell ids come last.
    fn add(&mut self, rules: Vec<Rule>, counts: Counts) {
        let (others, rules): (Vec<Rule>, Vec<Rule>) =
            rules.into_iter().partition(|rule| rule.protocol == Known::Is(Protocol::Other));
        if counts == Counts::Whole {
            self.others = others;
            self.expected = self.expected.saturating_add(1);
        }
        let mut seen = HashSet::new();
        for rule in rules {
            let key = key(&rule);
            let is_first = seen.insert(key.clone());
            let more = usize::from(is_first && counts == Counts::Whole);
            let at = *self.by_key.entry(key).or_insert(self.rules.len());
            let Some((known, count)) = self.rules.get_mut(at) else {
                self.rules.push((rule, more));
                continue;
            };
            *count = count.saturating_add(more);
            if known.id.is_empty() {
                *known = rule;
            }
        }
    }

    /// All rules, and how many of them some view lacks.
    fn finish(self) -> (Vec<Rule>, usize) {
        let mut differing = 0_usize;
        let expected = self.expected;
        let judged = self.rules.into_iter().map(|(mut rule, count)| {
            if count < expected {
                differing = differing.saturating_add(1);
                rule.doubt = Some(ONE_VIEW.to_owned());
            }
            rule
        });
        let mut rules: Vec<Rule> = judged.collect();
        let mut ids = HashSet::new();
        rules
            .extend(self.others.into_iter().filter(|rule| rule.id.is_empty() || ids.insert(rule.id.clone())));
        (rules, differing)
    }
}
