//! One group's rules, put together from all that make them.
//!
//! The attribute `ingress` of a group is what its author wrote, or else what the provider last saw there, whoever
//! made it. A state doesn't tell which. So what it lists beside rule resources is in doubt: it can be the work of
//! others, or a rule that has gone since.

use std::collections::HashSet;

use super::When;
use super::address::Address;
use super::json::{Entry, Fate};
use super::marks::Marks;
use super::moment::{Exclusive, GroupResource, Moment};
use super::rules::{self, Around, Atom, Made, Part, Style};
use super::values::RuleValues;
use crate::admission::FindingKind;
use crate::plain::line;
use crate::security_group::{Group, Known, Protocol, Remark, Rule};

/// More resources than this say nothing together about which rules of a group stay.
const EXCLUSIVES_MAX: usize = 4;

/// A block `ingress`.
pub(super) struct Block {
    parts: Vec<Part>,
}

impl Block {
    pub(super) fn new(
        group: &str,
        entry: &Entry<'_>,
        values: Option<&RuleValues<'_>>,
        marks: &Marks,
        around: &Around<'_, '_>,
    ) -> Self {
        let Some(values) = values else {
            let why = "a block `ingress` is known only after apply".to_owned();
            return Self { parts: vec![rules::unknown(&entry.address, &why, around.place)] };
        };
        Self { parts: rules::block(group, entry, values, marks, around) }
    }
}

/// Whether somebody wrote the attribute `ingress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inline {
    /// Somebody did.
    Written,
    /// Nobody did: a group that is made without it has no rules of its own.
    Absent,
    /// Nobody can say: it may be what the provider saw.
    Unknown,
}

/// A group with its rules, and what is worth saying about it. `earlier` is the moment before a plan, where the
/// question is about the one after.
pub(super) fn group(
    moment: &Moment<'_, '_>,
    earlier: Option<&Moment<'_, '_>>,
    key: &str,
) -> (Group, Vec<Remark>) {
    let resource = moment.group(key);
    let made = moment.made_for(key);
    let before = earlier.map(|earlier| earlier.made_for(key)).unwrap_or_default();
    let owns = |moment: &Moment<'_, '_>, made: &[&Made]| {
        made.iter().any(|made| moment.owner(&made.group) == Some(key))
    };
    let has_resources = owns(moment, &made) || earlier.is_some_and(|earlier| owns(earlier, &before));
    // Only what `ingress` lists has to be recognised.
    let listing = resource.filter(|group| group.ingress.as_ref().is_ok_and(|blocks| !blocks.is_empty()));
    let parts = listing.iter().flat_map(|_| made.iter().chain(&before)).flat_map(|made| &made.rules);
    let known: HashSet<&Atom> = parts.filter_map(|part| part.atom.as_ref()).collect();
    let mut assembly = Assembly {
        moment,
        key,
        resource,
        inline: inline(moment, earlier, resource),
        has_resources,
        listed: HashSet::new(),
        strays: Vec::new(),
        stray_count: 0,
        rules: Vec::new(),
        unlisted: None,
    };
    assembly.ingress(&known);
    let own = made.iter().filter(|made| moment.owner(&made.group) == Some(key));
    let styles: HashSet<Style> = own.map(|made| made.style).collect();
    assembly.resources(&made);
    let remarks = assembly.remarks(&styles);
    let group = Group {
        id: key.to_owned(),
        name: resource.map(|group| group.name.clone()).unwrap_or_default(),
        vpc: resource.map(|group| group.vpc.clone()).unwrap_or_default(),
        unlisted: assembly.unlisted.take(),
        place: resource.map(|group| moment.place(group.entry)).unwrap_or_default(),
        rules: assembly.finish(),
    };
    (group, remarks)
}

/// Whether the blocks `ingress` of a group were written. The configuration that a plan has leaves out dynamic blocks.
fn inline(
    moment: &Moment<'_, '_>,
    earlier: Option<&Moment<'_, '_>>,
    resource: Option<&GroupResource<'_, '_>>,
) -> Inline {
    let Some(group) = resource else { return Inline::Unknown };
    let address = &group.entry.address;
    if moment.configured.is_some_and(|configured| configured.sets(address, "ingress")) {
        return Inline::Written;
    }
    if group.entry.fate == Fate::Made {
        return if group.ingress.is_ok() { Inline::Written } else { Inline::Absent };
    }
    // What the provider saw is planned to stay; what differs was written.
    let before = earlier.and_then(|earlier| earlier.group_at(address));
    if before.is_some_and(|before| before.listed() != group.listed()) {
        Inline::Written
    } else {
        Inline::Unknown
    }
}

impl GroupResource<'_, '_> {
    /// What `ingress` lists; `None` for what nobody can say.
    fn listed(&self) -> HashSet<Option<&Atom>> {
        let blocks = self.ingress.iter().flatten();
        blocks.flat_map(|block| &block.parts).map(|part| part.atom.as_ref()).collect()
    }
}

/// A group on the way.
struct Assembly<'m, 'd, 'a> {
    moment: &'m Moment<'d, 'a>,
    key: &'m str,
    resource: Option<&'m GroupResource<'d, 'a>>,
    inline: Inline,
    /// Whether resources make rules for it, or did before the plan.
    has_resources: bool,
    /// What `ingress` lists.
    listed: HashSet<Atom>,
    /// What it lists, and no resource makes.
    strays: Vec<Part>,
    /// How many of them are about TCP.
    stray_count: usize,
    rules: Vec<Rule>,
    unlisted: Option<String>,
}

impl Assembly<'_, '_, '_> {
    /// Takes what the attribute `ingress` lists.
    fn ingress(&mut self, known: &HashSet<&Atom>) {
        let Some(group) = self.resource else { return };
        if self.inline == Inline::Absent {
            return;
        }
        let blocks = match &group.ingress {
            Ok(blocks) => blocks,
            Err(why) => {
                self.unlisted = Some(why.clone());
                return;
            }
        };
        for part in blocks.iter().flat_map(|block| &block.parts) {
            self.listed.extend(part.atom.clone());
            if self.inline == Inline::Written || !self.has_resources {
                self.rules.push(part.rule.clone());
            } else if part.atom.as_ref().is_none_or(|atom| !known.contains(atom)) {
                self.strays.push(part.clone());
            }
        }
    }

    /// Takes what rule resources make.
    fn resources(&mut self, made: &[&Made]) {
        let mut exclusives = self.moment.exclusives(self.key);
        if exclusives.len() > EXCLUSIVES_MAX {
            self.unlisted = Some("many resources say which rules stay".to_owned());
            exclusives.truncate(EXCLUSIVES_MAX);
        }
        let acts = |exclusive: &Exclusive| self.moment.when == When::After && exclusive.fate != Fate::Kept;
        let mut strays = std::mem::take(&mut self.strays);
        for exclusive in &exclusives {
            let Some(ids) = &exclusive.rule_ids else { continue };
            let known: HashSet<&String> = made.iter().filter_map(|made| made.rule_id.as_ref()).collect();
            let other = ids.iter().filter(|id| !known.contains(id)).min();
            match other {
                None if acts(exclusive) => strays.clear(),
                Some(id) if strays.is_empty() => {
                    let (address, id) = (line(&exclusive.address), line(id));
                    self.unlisted =
                        Some(format!("`{address}` keeps rule `{id}`, which no resource here makes"));
                }
                None | Some(_) => {}
            }
        }
        self.stray_count = strays.iter().filter(|part| is_about_tcp(part)).count();
        for made in made {
            let gone = exclusives.iter().any(|one| acts(one) && lists(one, made) == Some(false));
            if gone {
                continue;
            }
            let unlisted = exclusives.iter().find(|one| lists(one, made) != Some(true));
            let unlisted = unlisted.map(|one| format!("`{}` does not list it for sure", line(&one.address)));
            for part in &made.rules {
                let doubt = unlisted.clone().or_else(|| self.doubt(made, part));
                let mut rule = part.rule.clone();
                rule.doubt = rule.doubt.or(doubt);
                self.rules.push(rule);
            }
        }
        let why =
            "`ingress` lists it, and no resource here makes it: it is made elsewhere, or has gone since";
        self.rules.extend(strays.into_iter().map(|part| Rule { doubt: Some(why.to_owned()), ..part.rule }));
    }

    /// Why a rule that a resource makes may not be there.
    fn doubt(&self, made: &Made, part: &Part) -> Option<String> {
        if self.moment.owner(&made.group).is_none() {
            return Some("nobody can say which group it is for".to_owned());
        }
        let listed = part.atom.as_ref().is_some_and(|atom| self.listed.contains(atom));
        if listed {
            return None;
        }
        match self.inline {
            Inline::Written => {
                Some("the group's own `ingress` does not have it, and may take it away".to_owned())
            }
            Inline::Absent => None,
            // What the plan makes is there after it, whatever the group's own list was before.
            Inline::Unknown if self.moment.when == When::After && made.fate != Fate::Kept => None,
            Inline::Unknown => (self.stray_count > 0)
                .then(|| "the group's own `ingress` lists other rules, and not this one".to_owned()),
        }
    }

    fn remarks(&self, styles: &HashSet<Style>) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let address = line(self.resource.map_or(self.key, |group| &group.entry.address));
        let place = self.resource.map(|group| self.moment.place(group.entry)).unwrap_or_default();
        let mut remark =
            |kind, text, help: &str| remarks.push(Remark { kind, place, text, help: help.to_owned() });
        if self.inline == Inline::Written && !styles.is_empty() {
            let text = format!("`{address}` has blocks `ingress`, and resources make rules for it as well");
            remark(FindingKind::MixedRuleStyles, text, MIXED);
        } else if styles.len() > 1 {
            let text = format!(
                "`aws_security_group_rule` and `aws_vpc_security_group_ingress_rule` both make rules of `{address}`"
            );
            remark(FindingKind::MixedRuleStyles, text, MIXED);
        }
        if self.stray_count > 0 {
            let strays = self.stray_count;
            let text = format!("`ingress` of `{address}` lists {strays} rules that no resource here makes");
            // A plan would show blocks that somebody wrote; a state has nothing else to tell them by.
            let is_state = self.moment.configured.is_none();
            let kind = if is_state { FindingKind::MixedRuleStyles } else { FindingKind::Listing };
            remark(kind, text, STRAYS);
        }
        if self.resource.is_none() {
            let text = format!(
                "group `{address}` itself is not in this file: rules that others gave it are not counted"
            );
            remark(FindingKind::Listing, text, "read the group from AWS as well, with `--security-groups`");
        }
        remarks
    }

    /// The rules, equal ones once.
    fn finish(self) -> Vec<Rule> {
        let first: Vec<bool> = {
            let mut seen = HashSet::new();
            let same = self
                .rules
                .iter()
                .map(|rule| (&rule.id, &rule.protocol, &rule.ports, &rule.source, &rule.doubt));
            same.map(|same| seen.insert(same)).collect()
        };
        self.rules.into_iter().zip(first).filter_map(|(rule, first)| first.then_some(rule)).collect()
    }
}

/// How to mend a group that has rules of several kinds.
const MIXED: &str =
    "keep one kind, best `aws_vpc_security_group_ingress_rule`: the others undo each other at every apply";

/// What to do about rules that nobody here makes.
const STRAYS: &str = "keep one kind of rules; where there is one, run `terraform apply -refresh-only`: what is listed \
                      then is made elsewhere";

/// Whether a rule can let in a TCP connection.
fn is_about_tcp(part: &Part) -> bool {
    part.rule.protocol != Known::Is(Protocol::Other)
}

/// Whether a resource that says which rules stay lists this one; `None` where nobody can say.
fn lists(exclusive: &Exclusive, made: &Made) -> Option<bool> {
    if let (Some(ids), Some(id)) = (&exclusive.rule_ids, &made.rule_id) {
        return Some(ids.contains(id));
    }
    let whole = made.address.strip_suffix(Address::read(&made.address).index).unwrap_or(&made.address);
    (exclusive.named.contains(&made.address) || exclusive.named.contains(whole)).then_some(true)
}
