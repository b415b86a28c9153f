//! All that matters at one moment: in a state, or before a plan, or after it.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::When;
use super::group::Block;
use super::json::{Entry, Fate};
use super::lines::Lines;
use super::lists::{self, Lists};
use super::marks::Marks;
use super::references::Configured;
use super::rules::{self, Around, Belongs, Made, style};
use super::values::{ExclusiveValues, GroupValues, read, told};
use crate::security_group::{self, Known, Place, Rule};

/// One moment.
pub(super) struct Moment<'d, 'a> {
    pub(super) when: When,
    pub(super) entries: &'d [Entry<'a>],
    pub(super) configured: Option<&'d Configured<'a>>,
    pub(super) lines: &'d Lines<'a>,
    /// The groups that have a resource.
    pub(super) groups: Vec<GroupResource<'d, 'a>>,
    /// The managed prefix lists.
    pub(super) lists: Lists,
    /// The rules of all groups, each with its resource.
    made: Vec<Made>,
    /// What is said to be all rules of a group, for all groups.
    exclusives: Vec<Exclusive>,
    /// By address, the key of what has one.
    keys: HashMap<String, String>,
    /// By key, the index of a group.
    by_key: HashMap<String, usize>,
}

/// A group that has a resource.
pub(super) struct GroupResource<'d, 'a> {
    pub(super) entry: &'d Entry<'a>,
    /// Its id, or its address where no id is known yet.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) vpc: String,
    /// Its blocks `ingress`, or why nobody can say which it has.
    pub(super) ingress: Result<Vec<Block>, String>,
}

/// A resource `aws_vpc_security_group_rules_exclusive`.
pub(super) struct Exclusive {
    /// The key of the group.
    group: String,
    pub(super) address: String,
    pub(super) fate: Fate,
    /// The rules that stay; `None` where nobody can say.
    pub(super) rule_ids: Option<HashSet<String>>,
    /// The resources whose rules it says stay.
    pub(super) named: HashSet<String>,
}

/// Whether a resource of this type is a group.
pub(super) fn is_group(entry: &Entry<'_>) -> bool {
    !entry.is_data && matches!(&*entry.kind, "aws_security_group" | "aws_default_security_group")
}

/// Where a moment is read from.
pub(super) struct Source<'d, 'a> {
    pub(super) entries: &'d [Entry<'a>],
    pub(super) configured: Option<&'d Configured<'a>>,
    pub(super) lines: &'d Lines<'a>,
}

impl<'d, 'a> Moment<'d, 'a> {
    /// A moment; `earlier` is the one before a plan, where this is the one after.
    pub(super) fn new(when: When, source: &Source<'d, 'a>, earlier: Option<&Moment<'_, '_>>) -> Self {
        let Source { entries, configured, lines } = *source;
        let mut moment = Self {
            when,
            entries,
            configured,
            lines,
            groups: Vec::new(),
            lists: Lists::default(),
            made: Vec::new(),
            exclusives: Vec::new(),
            keys: HashMap::new(),
            by_key: HashMap::new(),
        };
        for entry in entries {
            if is_group(entry) {
                let group = moment.group_resource(entry);
                moment.keys.insert(entry.address.to_string(), group.key.clone());
                moment.by_key.insert(group.key.clone(), moment.groups.len());
                moment.groups.push(group);
            }
        }
        moment.lists = lists::read(&moment, earlier);
        for list in &moment.lists.all {
            moment.keys.insert(list.address.clone(), list.list.id.clone());
        }
        // A file may have thousands of them, and each group that is asked about looks at all.
        moment.made = entries.iter().filter_map(|entry| moment.read_made(entry)).collect();
        moment.exclusives = entries.iter().filter_map(|entry| moment.read_exclusive(entry)).collect();
        moment
    }

    /// Where a resource stands.
    pub(super) fn place(&self, entry: &Entry<'_>) -> Place {
        Place { listing: 0, line: self.lines.of(entry.values.get()) }
    }

    pub(super) fn around(&self, entry: &Entry<'_>) -> Around<'d, 'a> {
        Around { configured: self.configured, place: self.place(entry) }
    }

    /// The group of this key.
    pub(super) fn group(&self, key: &str) -> Option<&GroupResource<'d, 'a>> {
        self.groups.get(*self.by_key.get(key)?)
    }

    /// The group of this address.
    pub(super) fn group_at(&self, address: &str) -> Option<&GroupResource<'d, 'a>> {
        self.group(self.key(address)?)
    }

    /// The key of what stands at this address: a group or a prefix list.
    pub(super) fn key<'k>(&'k self, address: &'k str) -> Option<&'k str> {
        self.keys.get(address).map(String::as_str)
    }

    fn group_resource(&self, entry: &'d Entry<'a>) -> GroupResource<'d, 'a> {
        let marks = Marks::of(entry);
        let values = match read::<GroupValues<'_>>(entry) {
            Ok(values) => values,
            Err(why) => {
                return GroupResource {
                    entry,
                    key: entry.address.to_string(),
                    name: String::new(),
                    vpc: String::new(),
                    ingress: Err(why),
                };
            }
        };
        let text = |name: &str, value| {
            told(value).filter(|_| marks.why(name).is_none()).unwrap_or_default().to_owned()
        };
        let key = told(&values.id).map_or_else(|| entry.address.to_string(), ToOwned::to_owned);
        let ingress = if marks.unknown.field("ingress").is_all() {
            Err("its `ingress` is known only after apply".to_owned())
        } else {
            let around = self.around(entry);
            let marks = marks.field("ingress");
            let blocks = values.ingress.iter().flatten().enumerate();
            Ok(blocks
                .map(|(at, block)| Block::new(&key, entry, block.as_ref(), &marks.item(at), &around))
                .collect())
        };
        GroupResource {
            name: text("name", &values.name),
            vpc: text("vpc_id", &values.vpc_id),
            entry,
            key,
            ingress,
        }
    }

    /// The rules that resources make for a group, and those of which nobody can say whose they are.
    pub(super) fn made_for(&self, key: &str) -> Vec<&Made> {
        self.made.iter().filter(|made| self.owner(&made.group).is_none_or(|owner| owner == key)).collect()
    }

    /// The keys of all groups that rules are made for.
    pub(super) fn owners(&self) -> BTreeSet<String> {
        self.made.iter().filter_map(|made| self.owner(&made.group)).map(ToOwned::to_owned).collect()
    }

    /// Puts keys in the place of addresses that a rule names.
    pub(super) fn settle(&self, rule: &mut Rule) {
        let id = match &mut rule.source {
            Known::Is(security_group::Source::PrefixList(id)) => id,
            Known::Is(security_group::Source::Group(group)) => &mut group.id,
            Known::Is(security_group::Source::Prefix(_)) | Known::Unknown(_) => return,
        };
        if let Some(key) = self.keys.get(id.as_str()) {
            id.clone_from(key);
        }
    }

    fn read_made(&self, entry: &Entry<'_>) -> Option<Made> {
        let style = style(&entry.kind).filter(|_| !entry.is_data)?;
        rules::made(entry, style, &self.around(entry))
    }

    /// The key of the group that a rule belongs to; `None` where nobody can say.
    pub(super) fn owner<'k>(&'k self, group: &'k Belongs) -> Option<&'k str> {
        match group {
            Belongs::Id(id) => Some(id),
            Belongs::Address(address) => self.key(address),
            Belongs::Unknown => None,
        }
    }

    /// What is said to be all rules of a group.
    pub(super) fn exclusives(&self, key: &str) -> Vec<&Exclusive> {
        self.exclusives.iter().filter(|exclusive| exclusive.group == key).collect()
    }

    fn read_exclusive(&self, entry: &Entry<'_>) -> Option<Exclusive> {
        if entry.is_data || entry.kind != "aws_vpc_security_group_rules_exclusive" {
            return None;
        }
        let values: ExclusiveValues = read(entry).ok()?;
        let later = || self.configured?.id_of(&entry.address, "security_group_id");
        let group = told(&values.security_group_id).map(ToOwned::to_owned);
        let group =
            group.or_else(|| later().and_then(|address| self.key(&address).map(ToOwned::to_owned)))?;
        let marks = Marks::of(entry).field("ingress_rule_ids");
        let hidden = marks.unknown.is_any() || marks.sensitive.is_any();
        let rule_ids = (!hidden).then(|| values.ingress_rule_ids.into_iter().flatten().collect());
        let named = self.configured.map(|all| all.named_by(&entry.address, "ingress_rule_ids"));
        Some(Exclusive {
            group,
            address: entry.address.to_string(),
            fate: entry.fate,
            rule_ids,
            named: named.unwrap_or_default(),
        })
    }
}
