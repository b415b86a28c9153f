//! Whom security groups let in, and the network ACL before them: all sources at once.
//!
//! A caller's first packet passes the inward entries of the ACL and then a rule of any of the groups; the answer
//! passes the outward entries. What the listings leave open makes sources possible, never sure.

mod acl;
mod describe;
mod mend;
mod name;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use acl::{Guard, Judged};
use name::{Fit, Named, fit};

use super::quota;
use super::select::{Selected, Selection, SelectionError};
use super::{
    Direction, Group, GroupRef, Groups, Interface, Known, Members, PrefixList, Remark, Rule, Source,
};
use crate::admission::{
    Admission, Decided, Decider, Finding, Layer, LayerKind, Listing, Question, RuleId, Ruling, Step,
    Undecided, Wanted,
};
use crate::prefix::first;
use crate::prefix::span::{Number, Span, complement, difference, intersection, normalise};
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
    fn family<N: Number>(&self, port: u16) -> Admission {
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
        decided.extend(unnamed.iter().map(|span| Decided::over(*span, Ruling::Drop, nobody)));
        decided.extend(self::decided(&outward.denied, &refused_out, Ruling::Drop));

        let mut open = named.maybe;
        open.extend(inward.unsure());
        open.extend(outward.unsure());
        Admission::of(decided.into_iter().collect(), undecided(open, &between))
    }

    /// Whom the rules of the groups name.
    fn named<N: Number>(&self, port: u16) -> Named<'g, N> {
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

    fn name_source<N: Number>(&self, named: &mut Named<'g, N>, id: RuleId, rule: &'g Rule, fit: &Fit) {
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
            Source::Prefix(prefix) => named.add(id, fit, N::spanned(prefix).into_iter().collect()),
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
    fn interfaces_of<N: Number>(&self, other: &GroupRef) -> (String, Vec<Span<N>>) {
        let members = self.members.get(other.id.as_str());
        let unknown = match (&other.elsewhere, members) {
            (None, Some(Ok(members))) => {
                let why =
                    format!("only interfaces that have group `{}`, by their private addresses", other.id);
                return (why, members.iter().filter_map(N::spanned).collect());
            }
            (Some(why), _) | (None, Some(Err(why))) => why.as_str(),
            (None, None) => "it was not looked for",
        };
        (format!("who has group `{}` is not known: {unknown}", other.id), vec![(N::MIN, N::MAX)])
    }

    /// Entries of a prefix list, and why there may be more.
    fn list<N: Number>(&self, id: &str) -> (Vec<Span<N>>, Option<String>) {
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
                (entries.iter().filter_map(N::spanned).collect(), more)
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

    fn met_by<N: Number>(&self, rule: &'g Rule, fit: &Fit, address: N) -> (bool, Option<String>) {
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
        let decided = whole.decided.within(source, source).collect();
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

    fn room_for(&self, added: &PrefixSet, ports: usize) -> Vec<Finding> {
        self.quota_with(added, ports)
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
fn decided<N: Number>(
    pieces: &[((N, N), Option<RuleId>)],
    within: &[(N, N)],
    ruling: Ruling,
) -> Vec<Decided> {
    first::within(pieces, within).map(|(span, rule)| Decided::over(span, ruling, rule)).collect()
}

/// Conditions that matter, each with its sources. Of many the rest is told as one.
fn undecided<N: Number>(open: Vec<name::Maybe<N>>, between: &[(N, N)]) -> Vec<Undecided> {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::admission::FindingKind;
    use crate::security_group::aws::{Input, Role, read};

    fn input(name: &str, text: &Value) -> Input {
        let text = serde_json::to_string_pretty(text).unwrap();
        Input { listing: Listing { name: name.to_owned(), text: text.into() }, role: Role::AsSaid }
    }

    /// One group with these permissions.
    fn group(permissions: &Value) -> Value {
        json!({ "SecurityGroups": [{ "GroupId": "sg-1", "GroupName": "web", "OwnerId": "1", "IpPermissions": permissions }] })
    }

    fn question(port: u16) -> Question {
        Question { port, interface: None, addresses: Vec::new(), at: jiff::Timestamp::UNIX_EPOCH }
    }

    fn shown(set: &PrefixSet) -> String {
        set.to_prefixes().iter().map(|one| one.short().to_string()).collect::<Vec<_>>().join(" ")
    }

    /// Who is surely and who is only possibly admitted to port 443, and why.
    fn ask(inputs: Vec<Input>, selection: &Selection) -> (String, String, Vec<String>) {
        let groups = read(inputs).unwrap();
        let asked = Asked::new(&groups, selection).unwrap();
        let admission = asked.admit(&question(443));
        let whole = admission.decided.iter().map(|one| PrefixSet::between(one.first, one.last));
        let all = whole.fold(admission.possibly.difference(&admission.surely), |all, one| {
            assert!(all.intersection(&one).is_empty());
            all.union(&one)
        });
        assert_eq!(all, PrefixSet::everything());
        let open = admission.possibly.difference(&admission.surely);
        let why = admission.undecided.into_iter().map(|one| one.why).collect();
        (shown(&admission.surely), shown(&open), why)
    }

    #[track_caller]
    fn check(permissions: &Value, surely: &str) {
        let (found, open, _) = ask(vec![input("f", &group(permissions))], &Selection::default());
        assert_eq!((found.as_str(), open.as_str()), (surely, ""));
    }

    #[test]
    fn rules_admit_whom_they_name() {
        check(&json!([]), "");
        let v4 = json!([{ "CidrIp": "192.0.2.0/24" }]);
        for (protocol, from, to, surely) in [
            ("tcp", 443, 443, "192.0.2.0/24"),
            ("tcp", 0, 65535, "192.0.2.0/24"),
            ("tcp", 400, 443, "192.0.2.0/24"),
            ("6", 443, 443, "192.0.2.0/24"),
            ("-1", -1, -1, "192.0.2.0/24"),
            ("-1", 80, 80, "192.0.2.0/24"),
            ("tcp", 0, 0, ""),
            ("tcp", 444, 445, ""),
            ("udp", 443, 443, ""),
            ("17", 443, 443, ""),
            ("icmp", -1, -1, ""),
            ("icmpv6", -1, -1, ""),
            ("50", 443, 443, ""),
        ] {
            check(
                &json!([{ "IpProtocol": protocol, "FromPort": from, "ToPort": to, "IpRanges": v4 }]),
                surely,
            );
        }
        check(&json!([{ "IpProtocol": "-1", "IpRanges": v4 }]), "192.0.2.0/24");
        let halves = json!([{ "CidrIp": "0.0.0.0/1" }, { "CidrIp": "128.0.0.0/1" }]);
        let v6 = json!([{ "CidrIpv6": "0:0:0:0:0:0:0:0/0" }]);
        check(
            &json!([{ "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": halves, "Ipv6Ranges": v6 }]),
            "0.0.0.0/0 ::/0",
        );
    }

    #[test]
    fn ports_that_are_not_told_and_kinds_that_are_not_known_are_open() {
        let permissions = json!([{ "IpProtocol": "tcp", "IpRanges": [{ "CidrIp": "192.0.2.0/24" }] }]);
        let (surely, open, why) = ask(vec![input("f", &group(&permissions))], &Selection::default());
        assert_eq!((surely.as_str(), open.as_str()), ("", "192.0.2.0/24"));
        assert_eq!(why, ["its ports are not known: the listing does not tell its ports"]);
        let permissions =
            json!([{ "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "Planets": [{}], "Empty": [] }]);
        let (surely, open, why) = ask(vec![input("f", &group(&permissions))], &Selection::default());
        assert_eq!((surely.as_str(), open.as_str()), ("", "0.0.0.0/0 ::/0"));
        assert_eq!(why, ["whom it names is not known: `Planets` is not known"]);
    }

    #[test]
    fn a_prefix_list_admits_its_entries_or_may_admit_everybody() {
        let lists = json!([{ "PrefixListId": "pl-0123456789" }]);
        let permissions =
            json!([{ "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": lists }]);
        let groups = input("f", &group(&permissions));
        let (surely, open, why) = ask(vec![groups.clone()], &Selection::default());
        assert_eq!((surely.as_str(), open.as_str()), ("", "0.0.0.0/0 ::/0"));
        assert!(why[0].contains("--prefix-lists pl-0123456789=FILE"), "{why:?}");

        let of_v4 = json!({ "PrefixLists": [{ "PrefixListId": "pl-0123456789", "AddressFamily": "IPv4" }] });
        let (_, open, _) = ask(vec![groups.clone(), input("f", &of_v4)], &Selection::default());
        assert_eq!(open, "0.0.0.0/0");

        let entries = json!({ "Entries": [{ "Cidr": "192.0.2.0/24" }, { "Cidr": "2001:db8::/32" }] });
        let named = input("some/pl-0123456789.json", &entries);
        let (surely, open, _) = ask(vec![groups.clone(), named], &Selection::default());
        assert_eq!((surely.as_str(), open.as_str()), ("192.0.2.0/24 2001:db8::/32", ""));

        let cut = json!({ "Entries": [{ "Cidr": "192.0.2.0/24" }], "NextToken": "more" });
        let told = Input { role: Role::PrefixList("pl-0123456789".to_owned()), ..input("x", &cut) };
        let (surely, _, why) = ask(vec![groups.clone(), told.clone()], &Selection::default());
        assert_eq!(surely, "192.0.2.0/24");
        assert!(why[0].contains("page whose next one is missing, x:"), "{why:?}");
        let last = Input { listing: input("y", &json!({ "Entries": [] })).listing, ..told.clone() };
        let (surely, open, _) = ask(vec![groups, told, last], &Selection::default());
        assert_eq!((surely.as_str(), open.as_str()), ("192.0.2.0/24", ""));
    }

    #[test]
    fn a_group_that_is_named_stands_for_its_interfaces() {
        let pairs =
            json!([{ "GroupId": "sg-2", "UserId": "1" }, { "GroupId": "sg-3", "PeeringStatus": "deleted" }]);
        let permissions = json!([{ "IpProtocol": "-1", "UserIdGroupPairs": pairs }]);
        let groups = input("f", &group(&permissions));
        let (surely, open, _) = ask(vec![groups.clone()], &Selection::default());
        assert_eq!((surely.as_str(), open.as_str()), ("", "0.0.0.0/0 ::/0"));

        let eni = |id: &str, group: &str, v4: &str| json!({ "NetworkInterfaceId": id, "Groups": [{ "GroupId": group }], "PrivateIpAddresses": [{ "PrivateIpAddress": v4 }], "Ipv6Addresses": [{ "Ipv6Address": "2001:db8::1" }] });
        let listed = json!({ "NetworkInterfaces": [eni("eni-1", "sg-2", "10.0.0.1"), eni("eni-2", "sg-1", "10.0.0.2")] });
        let (surely, open, why) = ask(vec![groups.clone(), input("n", &listed)], &Selection::default());
        assert_eq!((surely.as_str(), open.as_str()), ("", "10.0.0.1 2001:db8::1"));
        assert_eq!(why, ["only interfaces that have group `sg-2`, by their private addresses"]);

        // The interface that is asked about alone lists nobody's members.
        let own = json!({ "NetworkInterfaces": [eni("eni-2", "sg-1", "10.0.0.2")] });
        let selection = Selection { interface: Some("eni-2".to_owned()), ..Selection::default() };
        let (_, open, _) = ask(vec![groups.clone(), input("n", &own)], &selection);
        assert_eq!(open, "0.0.0.0/0 ::/0");
        let members = Input { role: Role::Members, ..input("n", &own) };
        let (_, open, _) = ask(vec![groups.clone(), members], &selection);
        assert_eq!(open, "");

        let elsewhere = json!([{ "GroupId": "sg-2", "UserId": "2" }]);
        let permissions = json!([{ "IpProtocol": "-1", "UserIdGroupPairs": elsewhere }]);
        let inputs = vec![input("f", &group(&permissions)), input("n", &listed)];
        let (_, open, why) = ask(inputs, &Selection::default());
        assert_eq!(open, "0.0.0.0/0 ::/0");
        assert_eq!(why[0], "who has group `sg-2` is not known: it belongs to account 2");
    }

    #[test]
    fn both_views_of_a_group_are_one_and_where_they_differ_nothing_is_sure() {
        let ranges = json!([{ "CidrIp": "192.0.2.0/24" }, { "CidrIp": "198.51.100.7/32" }]);
        let whole =
            group(&json!([{ "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": ranges }]));
        let rule = |id: &str, cidr: &str| json!({ "SecurityGroupRuleId": id, "GroupId": "sg-1", "IsEgress": false, "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": cidr });
        let first = json!({ "SecurityGroupRules": [rule("sgr-a", "192.0.2.0/24")], "NextToken": "t" });
        let second = json!({ "SecurityGroupRules": [rule("sgr-b", "198.51.100.7/32")] });
        let of = |texts: &[&Value]| texts.iter().map(|text| input("f", text)).collect::<Vec<_>>();
        let all = "192.0.2.0/24 198.51.100.7";
        for texts in
            [&[&whole, &first, &second][..], &[&first, &second], &[&whole, &first], &[&whole, &whole]]
        {
            let (surely, open, _) = ask(of(texts), &Selection::default());
            assert_eq!((surely.as_str(), open.as_str()), (all, ""), "{texts:?}");
        }
        // A page is missing.
        let (surely, open, why) = ask(of(&[&first]), &Selection::default());
        assert_eq!((surely.as_str(), open.is_empty()), ("192.0.2.0/24", false));
        assert!(why[0].contains("rules are listed up to a page"), "{why:?}");
        // The views differ.
        let (surely, open, why) = ask(of(&[&whole, &second]), &Selection::default());
        assert_eq!((surely.as_str(), open.as_str()), ("198.51.100.7", "192.0.2.0/24"));
        assert_eq!(why, ["one listing has this rule, and another of the same group has not"]);
        let groups = read(of(&[&whole, &second])).unwrap();
        let asked = Asked::new(&groups, &Selection::default()).unwrap();
        assert_eq!(asked.admit(&question(443)).findings[0].kind, FindingKind::Listing);
    }

    fn acl(entries: &[Value]) -> Value {
        json!({ "NetworkAcls": [{ "NetworkAclId": "acl-1", "Entries": entries, "Associations": [{ "SubnetId": "subnet-1" }] }] })
    }

    fn entry(number: u32, egress: bool, action: &str, (from, to): (i64, i64), cidr: &str) -> Value {
        let key = if cidr.contains(':') { "Ipv6CidrBlock" } else { "CidrBlock" };
        let mut entry = json!({ "RuleNumber": number, "Egress": egress, "RuleAction": action, "Protocol": "6", key: cidr, "PortRange": { "From": from, "To": to } });
        if from == -1 {
            entry["Protocol"] = json!("-1");
            entry.as_object_mut().unwrap().remove("PortRange");
        }
        entry
    }

    #[test]
    fn a_network_acl_is_asked_both_ways_in_the_order_of_its_numbers() {
        let world = group(&json!([{ "IpProtocol": "-1", "IpRanges": [{ "CidrIp": "0.0.0.0/0" }] }]));
        let any = (-1, -1);
        let out = entry(100, true, "allow", any, "0.0.0.0/0");
        let cases: [(&[Value], &str, &str); 8] = [
            (&[], "", ""),
            (std::slice::from_ref(&out), "", ""),
            (&[entry(1, false, "allow", (443, 443), "192.0.2.0/24")], "", ""),
            (&[out.clone(), entry(1, false, "allow", (443, 443), "192.0.2.0/24")], "192.0.2.0/24", ""),
            (
                &[
                    out.clone(),
                    entry(9, false, "allow", any, "192.0.2.0/24"),
                    entry(8, false, "deny", (0, 443), "192.0.2.128/25"),
                ],
                "192.0.2.0/25",
                "",
            ),
            (
                &[
                    out.clone(),
                    entry(7, false, "allow", any, "192.0.2.0/24"),
                    entry(8, false, "deny", (0, 443), "192.0.2.128/25"),
                ],
                "192.0.2.0/24",
                "",
            ),
            // Some ports only: callers choose theirs.
            (
                &[
                    entry(1, false, "allow", any, "192.0.2.0/24"),
                    entry(1, true, "allow", (32768, 65535), "0.0.0.0/0"),
                    entry(2, true, "allow", (1024, 40000), "192.0.2.0/25"),
                ],
                "192.0.2.0/25",
                "192.0.2.128/25",
            ),
            // Not those that callers call from.
            (
                &[
                    entry(1, false, "allow", any, "192.0.2.0/24"),
                    entry(1, true, "allow", (0, 1023), "0.0.0.0/0"),
                ],
                "",
                "",
            ),
        ];
        for (entries, surely, open) in cases {
            let inputs = vec![input("f", &world), input("a", &acl(entries))];
            let (found, found_open, _) = ask(inputs, &Selection::default());
            assert_eq!((found.as_str(), found_open.as_str()), (surely, open), "{entries:?}");
        }
    }

    #[test]
    fn what_decides_is_told_with_its_place() {
        let ranges = json!([{ "CidrIp": "192.0.2.0/24", "Description": "legacy\u{1b}[2J" }]);
        let whole =
            group(&json!([{ "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": ranges }]));
        let entries = [
            entry(5, false, "deny", (443, 443), "192.0.2.9/32"),
            entry(9, false, "allow", (-1, -1), "192.0.2.0/24"),
            entry(9, true, "allow", (1024, 65535), "0.0.0.0/0"),
        ];
        let groups = read(vec![input("f", &whole), input("a", &acl(&entries))]).unwrap();
        let asked = Asked::new(&groups, &Selection::default()).unwrap();
        let told = |source: &str| {
            let (admission, steps) = asked.trace(&question(443), source.parse().unwrap());
            let decider = asked.describe(admission.decided.first().unwrap().rule.unwrap());
            let steps: Vec<String> =
                steps.into_iter().map(|step| format!("{} {}", step.packet, step.did)).collect();
            (decider.located(), decider.text, steps)
        };
        let (title, text, steps) = told("192.0.2.1");
        assert_eq!(title, "a rule of security group `sg-1` (web), f:11");
        assert_eq!(text, "tcp 443 from 192.0.2.0/24 (legacy [2J)");
        assert_eq!(steps, ["syn allows it", "syn admits it", "syn-ack allows it"]);
        let (title, text, steps) = told("192.0.2.9");
        assert_eq!(title, "inward entry 5 of network ACL `acl-1`, a:10");
        assert_eq!(text, "deny tcp 443 from 192.0.2.9/32");
        assert_eq!(steps[0], "syn denies it");
        let (title, ..) = told("2001:db8::1");
        assert_eq!(title, "no entry of network ACL `acl-1`, a:3");
        let (title, ..) = told("192.0.3.1");
        assert_eq!(title, "no entry of network ACL `acl-1`, a:3");
    }

    #[test]
    fn changes_are_told_as_commands_that_touch_nothing_else() {
        let rule = |id: &str, from: u16, cidr: &str| json!({ "SecurityGroupRuleId": id, "GroupId": "sg-1", "IsEgress": false, "IpProtocol": "tcp", "FromPort": from, "ToPort": 443, "CidrIpv4": cidr });
        let rules = json!({ "SecurityGroupRules": [
            rule("sgr-a", 443, "192.0.2.0/24"), rule("sgr-b", 443, "192.0.2.0/30"), rule("sgr-c", 80, "198.51.100.0/24"),
        ] });
        let groups = read(vec![input("f", &rules)]).unwrap();
        let asked = Asked::new(&groups, &Selection::default()).unwrap();
        let admission = asked.admit(&question(443));
        let mend = |source: &str, wanted: Wanted| {
            let set: PrefixSet = [source.parse::<Prefix>().unwrap()].into_iter().collect();
            let first = set.ranges().next().unwrap().0;
            let decided =
                admission.decided.iter().find(|one| one.first <= first && first <= one.last).unwrap();
            asked.mend(decided.rule.unwrap(), &set, 443, wanted)
        };
        assert_eq!(
            mend("203.0.113.7", Wanted::Admit).unwrap(),
            "aws ec2 authorize-security-group-ingress --group-id sg-1 --ip-permissions 'IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=203.0.113.7/32}]'"
        );
        assert_eq!(
            mend("192.0.2.0/24", Wanted::Refuse).unwrap(),
            "aws ec2 revoke-security-group-ingress --group-id sg-1 --security-group-rule-ids sgr-a sgr-b"
        );
        // Adds come before removes.
        assert_eq!(
            mend("192.0.2.128/25", Wanted::Refuse).unwrap(),
            "aws ec2 authorize-security-group-ingress --group-id sg-1 --ip-permissions 'IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=192.0.2.4/30},{CidrIp=192.0.2.8/29},{CidrIp=192.0.2.16/28},{CidrIp=192.0.2.32/27},{CidrIp=192.0.2.64/26}]'\naws ec2 revoke-security-group-ingress --group-id sg-1 --security-group-rule-ids sgr-a"
        );
        // Other ports would be closed as well.
        assert_eq!(mend("198.51.100.0/24", Wanted::Refuse), None);
    }

    #[test]
    fn which_groups_are_meant_has_to_be_told() {
        let of = |id: &str, name: &str| json!({ "GroupId": id, "GroupName": name, "VpcId": "vpc-1", "IpPermissions": [] });
        let all = json!({ "SecurityGroups": [of("sg-1", "web"), of("sg-2", "web"), of("sg-3", "db")] });
        let eni = |id: &str, groups: &[&str]| {
            let groups: Vec<Value> = groups.iter().map(|id| json!({ "GroupId": id })).collect();
            json!({ "NetworkInterfaceId": id, "Groups": groups, "SubnetId": "subnet-1" })
        };
        let instances = json!({ "Reservations": [{ "Instances": [
            { "InstanceId": "i-1", "NetworkInterfaces": [eni("eni-1", &["sg-3", "sg-1"])] },
            { "InstanceId": "i-2", "NetworkInterfaces": [eni("eni-2", &["sg-3"]), eni("eni-3", &["sg-2"])] },
            { "InstanceId": "i-3", "NetworkInterfaces": [] },
            { "InstanceId": "i-4", "NetworkInterfaces": [eni("eni-4", &["sg-9"])] },
        ] }] });
        let groups = read(vec![input("f", &all), input("i", &instances)]).unwrap();
        let named = |names: &[&str]| Selection {
            groups: names.iter().map(|&name| name.to_owned()).collect(),
            ..Selection::default()
        };
        let instance = |id: &str| Selection { instance: Some(id.to_owned()), ..Selection::default() };
        let found = |selection: &Selection| {
            let asked = Asked::new(&groups, selection).map_err(|error| error.message)?;
            Ok(asked.groups().iter().map(|group| group.id.clone()).collect::<Vec<_>>().join(" "))
        };
        let refused = |text: &str| Err(text.to_owned());
        assert_eq!(
            found(&Selection::default()),
            refused("3 security groups are listed: `sg-1`, `sg-2`, `sg-3`")
        );
        assert_eq!(found(&named(&["db", "sg-1", "sg-3"])), Ok("sg-3 sg-1".to_owned()));
        assert_eq!(found(&named(&["web"])), refused("2 security groups have the name `web`: `sg-1`, `sg-2`"));
        assert_eq!(found(&named(&["sg-9"])), refused("security group `sg-9` is in no listing"));
        assert_eq!(found(&instance("i-1")), Ok("sg-1 sg-3".to_owned()));
        assert_eq!(
            found(&instance("i-2")),
            refused("interfaces of instance `i-2` differ in groups or subnet: `eni-2`, `eni-3`")
        );
        assert_eq!(found(&instance("i-3")), refused("instance `i-3` has no network interface"));
        assert_eq!(found(&instance("i-4")), refused("security group `sg-9` is in no listing"));
        assert_eq!(found(&instance("i-5")), refused("instance `i-5` is in no listing"));
    }

    #[test]
    fn quotas_are_counted_as_aws_counts() {
        let ranges: Vec<Value> =
            (0..57).map(|one| json!({ "CidrIp": format!("192.0.2.{one}/32") })).collect();
        let permission = |more: usize| {
            json!([{ "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": &ranges[..57 - more],
                "UserIdGroupPairs": [{ "GroupId": "sg-9" }], "PrefixListIds": [{ "PrefixListId": "pl-1" }] },
                { "IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "IpRanges": [{ "CidrIp": "192.0.2.0/32" }] }])
        };
        let lists =
            json!({ "PrefixLists": [{ "PrefixListId": "pl-1", "AddressFamily": "IPv4", "MaxEntries": 5 }] });
        let quota = |more: usize| {
            let groups = read(vec![input("f", &group(&permission(more))), input("p", &lists)]).unwrap();
            let asked = Asked::new(&groups, &Selection::default()).unwrap();
            let added: PrefixSet = ["198.51.100.1", "198.51.100.9", "2001:db8::"]
                .iter()
                .map(|text| text.parse::<Prefix>().unwrap())
                .collect();
            let of_kind = |findings: Vec<Finding>| {
                let own = findings.into_iter().filter(|one| one.kind == FindingKind::Quota);
                own.map(|one| one.message).collect::<Vec<_>>()
            };
            (of_kind(asked.admit(&question(443)).findings), of_kind(asked.quota_with(&added, 2)))
        };
        let (deployed, with) = quota(0);
        assert_eq!(
            deployed,
            ["security group `sg-1` (web) has 64 IPv4 rules as AWS counts them, above the quota of 60"]
        );
        assert_eq!(
            with,
            ["security group `sg-1` (web) has 64 IPv4 rules, and 4 more make 68, above the quota of 60"]
        );
        let (deployed, _) = quota(4);
        assert_eq!(
            deployed,
            [
                "security group `sg-1` (web) is full: it has 60 IPv4 rules as AWS counts them, which is the quota"
            ]
        );
        let (deployed, with) = quota(7);
        assert_eq!(deployed, [""; 0]);
        assert_eq!(
            with,
            ["security group `sg-1` (web) has 57 IPv4 rules, and 4 more make 61, above the quota of 60"]
        );
        assert_eq!(quota(9), (Vec::new(), Vec::new()));
    }
}
