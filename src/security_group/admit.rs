//! Whom security groups let in, and the network ACL before them: all sources at once.
//!
//! A caller's first packet passes the inward entries of the ACL and then a rule of any of the groups; the answer
//! passes the outward entries. What the listings leave open makes sources possible, never sure.

mod acl;
mod describe;
mod mend;
mod name;
mod side;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use acl::{Guard, Judged};
use name::{Fit, Named, fit};
use side::{Side, clip};

use super::quota;
use super::select::{Selected, Selection, SelectionError};
use super::{
    Direction, Group, GroupRef, Groups, Interface, Known, Members, PrefixList, Remark, Rule, Source,
};
use crate::admission::{
    Admission, Decided, Decider, Finding, Layer, LayerKind, Listing, Question, RuleId, Ruling, Step,
    Undecided, Wanted,
};
use crate::prefix::span::{Span, complement, difference, intersection, normalise};
use crate::prefix::{Prefix, PrefixSet};

/// Ports that callers call from.
const EPHEMERAL: (u16, u16) = (1024, u16::MAX);
/// Most undecided conditions that are told one by one.
const UNDECIDED_MAX: usize = 100;
/// Most rules that a trace tells.
const STEPS_MAX: usize = 100;

/// Security groups, ready to be asked.
#[derive(Debug)]
pub struct Asked<'g> {
    groups: &'g Groups,
    chosen: Vec<&'g Group>,
    /// All their rules that may admit a callback, the one that names most first: of several that name a source it is
    /// told as the one that decides.
    rules: Vec<(&'g Group, &'g Rule)>,
    lists: HashMap<&'g str, &'g PrefixList>,
    /// Addresses of the interfaces of groups that rules name, or why nobody can say.
    members: HashMap<&'g str, Result<Vec<Prefix>, String>>,
    guard: Option<Guard<'g>>,
    rules_max: u32,
}

impl<'g> Asked<'g> {
    /// Makes groups ready. Which ones has to be told where several are listed.
    pub fn new(groups: &'g Groups, selection: &Selection) -> Result<Self, SelectionError> {
        let Selected { groups: chosen, acl, interfaces } = groups.select(selection)?;
        let mut rules: Vec<(&Group, &Rule)> = Vec::new();
        for group in &chosen {
            rules
                .extend(group.rules.iter().map(|rule| (*group, rule)).filter(|(_, rule)| name::counts(rule)));
        }
        rules.sort_by(|left, right| name::order(*left).cmp(&name::order(*right)));
        let guard = acl.map(|acl| Guard::new(acl, rules.len()));
        let named: BTreeSet<&str> = rules.iter().filter_map(|(_, rule)| group_named(rule)).collect();
        let members = members(groups, &named, &interfaces);
        Ok(Self {
            groups,
            chosen,
            rules,
            lists: groups.prefix_lists.iter().map(|list| (list.id.as_str(), list)).collect(),
            members,
            guard,
            rules_max: selection.rules_max.unwrap_or(quota::RULES_MAX),
        })
    }

    /// The groups that are asked, in the order in which they were named.
    pub fn groups(&self) -> &[&'g Group] {
        &self.chosen
    }

    /// Quotas that would be exceeded if a rule for each of these prefixes and ports were added to the first of the
    /// groups.
    pub fn quota_with(&self, added: &PrefixSet, ports: usize) -> Vec<Finding> {
        quota::with_added(self.groups, &self.chosen, added, ports, self.rules_max)
    }

    fn id(index: usize) -> RuleId {
        RuleId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The answer for one family.
    fn family<N: Side>(&self, port: u16) -> Admission {
        let named = self.named::<N>(port);
        let (inward, outward) = match &self.guard {
            None => (Judged::open(), Judged::open()),
            Some(guard) => (
                guard.judge::<N>(Direction::Inward, (port, port)),
                guard.judge::<N>(Direction::Outward, EPHEMERAL),
            ),
        };
        let sure = normalise(named.sure.iter().map(|(span, _)| *span).collect());
        let maybe = named.maybe.iter().flat_map(|one| one.spans.iter().copied());
        let named_possibly = normalise(sure.iter().copied().chain(maybe).collect());
        let surely = intersection(&intersection(&sure, &inward.surely), &outward.surely);
        let possibly = intersection(&intersection(&named_possibly, &inward.possibly), &outward.possibly);
        let between = difference(&possibly, &surely);

        let mut decided = decided(&named.sure, &surely, Ruling::Accept);
        // What is refused at several places is refused by the first on the way.
        let refused_in = complement(&inward.possibly);
        let unnamed = intersection(&inward.possibly, &complement(&named_possibly));
        let refused_out = difference(&intersection(&inward.possibly, &named_possibly), &outward.possibly);
        decided.extend(self::decided(&inward.denied, &refused_in, Ruling::Drop));
        let nobody = Some(self.nobody());
        decided.extend(unnamed.iter().map(|span| N::decided(*span, Ruling::Drop, nobody)));
        decided.extend(self::decided(&outward.denied, &refused_out, Ruling::Drop));

        let mut open = named.maybe;
        open.extend(inward.unsure());
        open.extend(outward.unsure());
        Admission::of(decided, undecided(open, &between))
    }

    /// Whom the rules of the groups name.
    fn named<N: Side>(&self, port: u16) -> Named<'g, N> {
        let mut named = Named::new();
        for (index, (_, rule)) in self.rules.iter().enumerate() {
            let fit = fit(rule, port);
            if fit != Fit::Never {
                self.name_source(&mut named, Self::id(index), rule, &fit);
            }
        }
        for group in &self.chosen {
            if let Some(why) = &group.unlisted {
                named.may(
                    None,
                    format!("group `{}` may have more rules: {why}", group.id),
                    vec![(N::MIN, N::MAX)],
                );
            }
        }
        named.finish()
    }

    fn name_source<N: Side>(&self, named: &mut Named<'g, N>, id: RuleId, rule: &'g Rule, fit: &Fit) {
        let everybody = || vec![(N::MIN, N::MAX)];
        let source = match &rule.source {
            Known::Is(source) => source,
            Known::Unknown(why) => {
                return named.may(
                    Some(id),
                    fit.because(&format!("whom it names is not known: {why}")),
                    everybody(),
                );
            }
        };
        match source {
            Source::Prefix(prefix) => named.add(id, fit, N::span(prefix).into_iter().collect()),
            Source::PrefixList(list) => {
                if named.is_told(source, fit) {
                    return;
                }
                let (entries, rest) = self.list::<N>(list);
                named.add(id, fit, entries);
                if let Some(why) = rest {
                    named.may(Some(id), fit.because(&why), everybody());
                }
            }
            Source::Group(other) => {
                if named.is_told(source, fit) {
                    return;
                }
                let (why, spans) = self.interfaces_of(other);
                named.may(Some(id), fit.because(&why), spans);
            }
        }
    }

    /// Addresses of interfaces of a group that a rule names, and why they are possible only.
    fn interfaces_of<N: Side>(&self, other: &GroupRef) -> (String, Vec<Span<N>>) {
        let members = self.members.get(other.id.as_str());
        let unknown = match (&other.elsewhere, members) {
            (None, Some(Ok(members))) => {
                let why =
                    format!("only interfaces that have group `{}`, by their private addresses", other.id);
                return (why, members.iter().filter_map(N::span).collect());
            }
            (Some(why), _) | (None, Some(Err(why))) => why.as_str(),
            (None, None) => "it was not looked for",
        };
        (format!("who has group `{}` is not known: {unknown}", other.id), vec![(N::MIN, N::MAX)])
    }

    /// Entries of a prefix list, and why there may be more.
    fn list<N: Side>(&self, id: &str) -> (Vec<Span<N>>, Option<String>) {
        let unread = || {
            format!(
                "entries of prefix list `{id}` were not read: give `--prefix-lists {id}=FILE`, of `aws ec2 get-managed-prefix-list-entries --prefix-list-id {id}`"
            )
        };
        let Some(list) = self.lists.get(id) else { return (Vec::new(), Some(unread())) };
        // A list is of one family.
        let is_other = list.family.is_some_and(|family| family != N::FAMILY);
        match (&list.entries, &list.unlisted) {
            _ if is_other => (Vec::new(), None),
            (None, _) => (Vec::new(), Some(unread())),
            (Some(entries), unlisted) => {
                let more =
                    unlisted.as_ref().map(|why| format!("prefix list `{id}` may have more entries: {why}"));
                (entries.iter().filter_map(N::span).collect(), more)
            }
        }
    }

    /// What is worth saying besides.
    fn findings(&self, admission: &Admission) -> Vec<Finding> {
        let mut findings: Vec<Finding> = admission
            .open_family()
            .map(|finding| Finding {
                help: "name addresses in rules of that family as well, or take them away".to_owned(),
                ..finding
            })
            .into_iter()
            .collect();
        let remark = |remark: &Remark| Finding {
            kind: remark.kind,
            message: format!("{}, {}", remark.text, self.groups.located(remark.place)),
            help: remark.help.clone(),
            rule: None,
        };
        findings.extend(self.groups.remarks.iter().map(remark));
        findings.extend(quota::deployed(self.groups, &self.chosen, self.rules_max));
        findings
    }

    fn steps(&self, port: u16, source: IpAddr) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some(guard) = &self.guard {
            steps.extend(guard.steps(Direction::Inward, (port, port), source));
        }
        for (index, (_, rule)) in self.rules.iter().enumerate() {
            let Some(did) = self.met(rule, port, source) else { continue };
            steps.push(Step { packet: "syn", rule: Self::id(index), did });
            if steps.len() >= STEPS_MAX {
                break;
            }
        }
        if let Some(guard) = &self.guard {
            steps.extend(guard.steps(Direction::Outward, EPHEMERAL, source));
        }
        steps
    }

    /// What a rule does about a source; `None` where it does not name it.
    fn met(&self, rule: &'g Rule, port: u16, source: IpAddr) -> Option<String> {
        let fit = fit(rule, port);
        if fit == Fit::Never {
            return None;
        }
        let (surely, maybe) = match source {
            IpAddr::V4(v4) => self.met_by::<u32>(rule, &fit, v4.into()),
            IpAddr::V6(v6) => self.met_by::<u128>(rule, &fit, v6.into()),
        };
        match (surely, maybe) {
            (true, _) => Some("admits it".to_owned()),
            (false, Some(why)) => Some(format!("may admit it: {why}")),
            (false, None) => None,
        }
    }

    fn met_by<N: Side>(&self, rule: &'g Rule, fit: &Fit, address: N) -> (bool, Option<String>) {
        let mut named = Named::new();
        self.name_source(&mut named, RuleId(0), rule, fit);
        let named = named.finish();
        let holds =
            |spans: &[(N, N)]| spans.iter().any(|(first, last)| *first <= address && address <= *last);
        let surely = named.sure.iter().any(|(span, _)| holds(&[*span]));
        let maybe = named.maybe.into_iter().find(|one| holds(&one.spans));
        (surely, maybe.map(|one| one.why))
    }
}

impl Layer for Asked<'_> {
    fn kind(&self) -> LayerKind {
        LayerKind::SecurityGroup
    }

    fn listings(&self) -> &[Listing] {
        &self.groups.listings
    }

    fn admit(&self, question: &Question) -> Admission {
        let v4 = self.family::<u32>(question.port);
        let mut admission = v4.merge(self.family::<u128>(question.port));
        let findings = self.findings(&admission);
        admission.findings.extend(findings);
        admission
    }

    fn trace(&self, question: &Question, source: IpAddr) -> (Admission, Vec<Step>) {
        let whole = self.admit(question);
        let one = PrefixSet::between(source, source);
        let decided = whole.decided.into_iter().filter(|one| one.first <= source && source <= one.last);
        let decided: Vec<Decided> =
            decided.map(|one| Decided { first: source, last: source, ..one }).collect();
        let undecided = whole.undecided.into_iter().filter(|open| open.sources.contains(source));
        let undecided = undecided.map(|open| Undecided { sources: one.clone(), ..open }).collect();
        let mut admission = Admission::of(decided, undecided);
        admission.findings = whole.findings;
        (admission, self.steps(question.port, source))
    }

    fn describe(&self, rule: RuleId) -> Decider {
        self.decider(rule)
    }

    fn mend(&self, rule: RuleId, sources: &PrefixSet, port: u16, wanted: Wanted) -> Option<String> {
        self.commands(rule, sources, port, wanted)
    }
}

fn group_named(rule: &Rule) -> Option<&str> {
    match rule.source.value()? {
        Source::Group(other) => Some(&other.id),
        Source::Prefix(_) | Source::PrefixList(_) => None,
    }
}

/// Addresses of the interfaces of each of these groups.
fn members<'g>(
    groups: &'g Groups,
    named: &BTreeSet<&'g str>,
    asked: &[&Interface],
) -> HashMap<&'g str, Result<Vec<Prefix>, String>> {
    let is_asked = |one: &Interface| asked.iter().any(|asked| asked.id == one.id);
    let unread = "give `aws ec2 describe-network-interfaces`, all of them";
    let why = match &groups.members {
        Members::All => None,
        Members::AsListed if groups.interfaces.iter().any(|one| !is_asked(one)) => None,
        Members::AsListed | Members::Unread => Some(unread.to_owned()),
        Members::Cut(why) => Some(why.clone()),
    };
    if let Some(why) = why {
        return named.iter().map(|id| (*id, Err(why.clone()))).collect();
    }
    let mut found: HashMap<&str, Vec<Prefix>> = named.iter().map(|id| (*id, Vec::new())).collect();
    for interface in &groups.interfaces {
        for id in &interface.groups {
            if let Some(members) = found.get_mut(id.as_str()) {
                members.extend(&interface.addresses);
            }
        }
    }
    found.into_iter().map(|(id, members)| (id, Ok(members))).collect()
}

/// Intervals of what decides, as far as they are decided so.
fn decided<N: Side>(pieces: &[((N, N), Option<RuleId>)], within: &[(N, N)], ruling: Ruling) -> Vec<Decided> {
    clip(pieces, within).into_iter().map(|(span, rule)| N::decided(span, ruling, rule)).collect()
}

/// Conditions that matter, each with its sources. Of many the rest is told as one.
fn undecided<N: Side>(open: Vec<name::Maybe<N>>, between: &[(N, N)]) -> Vec<Undecided> {
    let mut told = Vec::new();
    let (mut rest, mut rest_count) = (Vec::new(), 0_usize);
    for one in open {
        if told.len() >= UNDECIDED_MAX {
            rest.extend(one.spans);
            rest_count = rest_count.saturating_add(1);
            continue;
        }
        let spans = intersection(&normalise(one.spans), between);
        if !spans.is_empty() {
            told.push(Undecided { rule: one.rule, why: one.why, sources: N::set(spans) });
        }
    }
    let rest = intersection(&normalise(rest), between);
    if !rest.is_empty() {
        let why = format!("{rest_count} more rules can't be decided");
        told.push(Undecided { rule: None, why, sources: N::set(rest) });
    }
    told
}
