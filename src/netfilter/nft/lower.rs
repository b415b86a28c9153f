//! From the tree to the data of [`netfilter`](crate::netfilter): the only place that knows what words mean.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::elements::{Holds, note_changed, verdict};
use super::fields::{Looked, Subject, V4, V6, described, looked};
use super::values::{Kind, atom, single, values};
use super::{Bits, Expr, Form, Hop, NatTree, Operator, RuleTree, Select, Statement, compare, mark};
use crate::netfilter::{
    Action, Backend, Chain, Elements, Field, Item, Lookup, MarkChange, Match, Nat, NatTo, Place, Rule, Set,
    SetRef, Table, TableFamily, Test, Values, Verdict,
};

/// More intervals than this the masks of one listing may not make together.
const MASKED_MAX: usize = 4_000_000;

/// Tables that are being read.
#[derive(Debug, Default)]
pub(super) struct Tables {
    all: Vec<Builder>,
    places: BTreeMap<(TableFamily, Arc<str>), usize>,
    /// Intervals that masks have made so far.
    masked: Rc<Cell<usize>>,
}

impl Tables {
    /// The table of this family and name, made where there is none yet.
    pub(super) fn table(&mut self, family: TableFamily, name: &str) -> Option<&mut Builder> {
        let next = self.all.len();
        let at = *self.places.entry((family, Arc::from(name))).or_insert(next);
        if at == next {
            self.all.push(Builder::new(family, name, Rc::clone(&self.masked)));
        }
        self.all.get_mut(at)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.places.clear();
    }

    pub(super) fn finish(self) -> Vec<Table> {
        self.all.into_iter().map(Builder::finish).collect()
    }
}

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Builder {
    table: Table,
    /// Where its chains stand in it.
    chains: BTreeMap<Arc<str>, usize>,
    /// Chains without a name, which come after the others.
    inline: Vec<Chain>,
    /// Sets that rules change.
    changed: BTreeSet<Arc<str>>,
    /// Intervals that masks have made so far, in all tables.
    masked: Rc<Cell<usize>>,
    /// Room for a rule's items.
    scratch: Vec<Item>,
}

impl Builder {
    fn new(family: TableFamily, name: &str, masked: Rc<Cell<usize>>) -> Self {
        let table = Table {
            backend: Backend::Nft,
            family,
            name: Arc::from(name),
            dormant: Some(false),
            chains: Vec::new(),
            sets: BTreeMap::new(),
        };
        Builder {
            table,
            chains: BTreeMap::new(),
            inline: Vec::new(),
            changed: BTreeSet::new(),
            masked,
            scratch: Vec::new(),
        }
    }

    pub(super) fn family(&self) -> TableFamily {
        self.table.family
    }

    pub(super) fn set_dormant(&mut self, dormant: Option<bool>) {
        self.table.dormant = dormant;
    }

    /// The chain of this name, made where there is none yet.
    pub(super) fn chain(&mut self, name: &str, place: Place) -> Option<&mut Chain> {
        let next = self.table.chains.len();
        let index = *self.chains.entry(Arc::from(name)).or_insert(next);
        if index == next {
            self.table.chains.push(Chain { name: Arc::from(name), base: None, rules: Vec::new(), place });
        }
        self.table.chains.get_mut(index)
    }

    /// Adds a set or a map. One that is declared twice holds nobody knows what.
    pub(super) fn set(&mut self, name: &str, elements: Elements) {
        let set = Set { elements, dynamic: false, dimensions: Vec::new() };
        if let Some(twice) = self.table.sets.insert(Arc::from(name), set) {
            let elements = Elements::Unknown(Arc::from("a set that is declared twice"));
            self.table.sets.insert(Arc::from(name), Set { elements, ..twice });
        }
    }

    /// A rule as data.
    pub(super) fn rule(&mut self, tree: &RuleTree<'_>) -> Rule {
        // One vector serves all rules; each rule takes what it needs and no more.
        let scratch = std::mem::take(&mut self.scratch);
        let mut lowering = Lowering { builder: self, items: scratch, family: None };
        tree.statements.iter().for_each(|statement| lowering.statement(statement));
        let mut scratch = std::mem::take(&mut lowering.items);
        let items = scratch.drain(..).collect();
        self.scratch = scratch;
        Rule { items, place: tree.place, handle: tree.handle }
    }

    fn finish(mut self) -> Table {
        for name in &self.changed {
            if let Some(set) = self.table.sets.get_mut(name) {
                set.dynamic = true;
            }
        }
        self.table.chains.append(&mut self.inline);
        self.table
    }

    /// Says that something without a name of its own may change these sets.
    pub(super) fn note_changed(&mut self, sets: &[super::Text<'_>]) {
        note_changed(sets, &mut self.changed);
    }
}

/// A rule that is being read.
struct Lowering<'t> {
    builder: &'t mut Builder,
    items: Vec<Item>,
    /// The family that an earlier dependency of the rule demands.
    family: Option<u32>,
}

/// Fields that are looked up together, or why they can't be.
enum Key {
    Fields(Vec<(Field, Kind)>),
    Never,
    Unknown,
}

impl Lowering<'_> {
    fn statement(&mut self, statement: &Statement<'_>) {
        match statement {
            Statement::Match { left, operator, right } => self.comparison(left, *operator, right),
            Statement::Verdict(word) => self.items.push(Item::Verdict(verdict(word))),
            Statement::Inline(hop, rules) => self.inline(*hop, rules),
            Statement::VerdictMap { key, data } => self.verdict_map(key, data),
            Statement::Set { target, value } => self.set(target, value),
            Statement::Notrack => self.act(Action::Notrack),
            Statement::Nat(tree) => self.nat(tree),
            Statement::Change { set, key, inner } => self.change(set, key, inner),
            Statement::Unknown(words) => self.test(Test::Unknown(Arc::from(words.as_ref()))),
            Statement::Opaque { words, sets } => {
                self.builder.note_changed(sets);
                self.act(Action::Opaque(Arc::from(words.as_ref())));
            }
        }
    }

    fn act(&mut self, action: Action) {
        self.items.push(Item::Act(action));
    }

    fn test(&mut self, test: Test) {
        self.items.push(Item::Match(Match { negated: false, test }));
    }

    fn opaque(&mut self, expr: &Expr<'_>) {
        self.act(Action::Opaque(described(expr)));
    }

    /// What nft checks before it looks, once a rule.
    fn depend(&mut self, looked: Looked) -> Subject {
        if let Some(family) = looked.family
            && self.family != Some(family)
        {
            self.family = Some(family);
            self.test(Test::Is(Field::Family, single(super::values::Atom::Number((family, family)))));
        }
        looked.subject
    }

    fn look(&mut self, select: &Select<'_>) -> Subject {
        let looked = looked(select, self.builder.family());
        self.depend(looked)
    }

    /// The fields of a key, with their dependencies before them.
    fn key(&mut self, expr: &Expr<'_>) -> Key {
        let parts = match expr {
            Expr::Concat(parts) => parts.as_slice(),
            only => std::slice::from_ref(only),
        };
        let mut fields = Vec::with_capacity(parts.len());
        let mut known = true;
        for part in parts {
            let Expr::Select(select) = part else {
                known = false;
                continue;
            };
            match self.look(select) {
                Subject::Field(field, kind) => fields.push((field, kind)),
                Subject::Never => return Key::Never,
                Subject::Unknown => known = false,
            }
        }
        if known { Key::Fields(fields) } else { Key::Unknown }
    }

    // Matches.

    fn comparison(&mut self, left: &Expr<'_>, operator: Operator, right: &Expr<'_>) {
        let (selected, mask) = masked(left);
        if let (Expr::Select(select), None) = (selected, mask)
            && let Subject::Field(field, kind) = self.look(select)
            && let Some(found) = compare::one(compare::Seen { field, kind, mask }, operator, right)
        {
            // Nearly all of them: nothing is allocated.
            return self.items.push(Item::Match(found));
        }
        let found = match self.key(selected) {
            Key::Fields(_) if mask.is_some() && self.builder.masked.get() > MASKED_MAX => None,
            Key::Fields(fields) => match (fields.as_slice(), mask) {
                ([(field, kind)], mask) => {
                    compare::one(compare::Seen { field: *field, kind: *kind, mask }, operator, right)
                }
                (several, None) => compare::several(several, operator, right),
                (_, Some(_)) => None,
            },
            Key::Never => return self.test(Test::Constant(false)),
            Key::Unknown => None,
        };
        if let (Some(_), Some(Match { test: Test::Is(_, values), .. })) = (mask, &found) {
            self.builder.masked.set(self.builder.masked.get().saturating_add(intervals(values)));
        }
        match found {
            Some(found) => self.items.push(Item::Match(found)),
            None => self.test(Test::Unknown(described(left))),
        }
    }

    /// A map's lookup; `None` where it is not understood, and for a key that no packet has.
    fn lookup(&mut self, key: &Expr<'_>, data: &Expr<'_>, holds: Holds) -> Option<Lookup> {
        let fields = match self.key(key) {
            Key::Fields(fields) => fields,
            Key::Never => {
                self.test(Test::Constant(false));
                return None;
            }
            Key::Unknown => return None,
        };
        let set = match data {
            Expr::Named(name) => SetRef::Named(Arc::from(name.as_ref())),
            Expr::Set(entries) => compare::anonymous(&fields, holds, entries)?,
            _ => return None,
        };
        Some(Lookup { fields: fields.into_iter().map(|(field, _)| field).collect(), set })
    }

    fn verdict_map(&mut self, key: &Expr<'_>, data: &Expr<'_>) {
        match self.lookup(key, data, Holds::Verdicts) {
            Some(lookup) => self.items.push(Item::VerdictMap(Box::new(lookup))),
            None => self.opaque(key),
        }
    }

    // Chains.

    fn inline(&mut self, hop: Hop, rules: &[RuleTree<'_>]) {
        let at = self.builder.inline.len();
        let name: Arc<str> = Arc::from(format!("#{at}"));
        let place = rules.first().map(|rule| rule.place).unwrap_or_default();
        let chain = Chain { name: Arc::clone(&name), base: None, rules: Vec::new(), place };
        self.builder.inline.push(chain);
        let rules: Vec<Rule> = rules.iter().map(|rule| self.builder.rule(rule)).collect();
        if let Some(chain) = self.builder.inline.get_mut(at) {
            chain.rules = rules;
        }
        self.items.push(Item::Verdict(match hop {
            Hop::Jump => Verdict::Jump(name),
            Hop::Goto => Verdict::Goto(name),
        }));
    }

    // Statements that set something.

    fn set(&mut self, target: &Expr<'_>, value: &Expr<'_>) {
        let Expr::Select(select) = target else {
            // Options of TCP and IP decide nothing that is asked.
            return match target {
                Expr::Unknown(_) => self.opaque(target),
                _ => self.act(Action::Opaque(described(target))),
            };
        };
        match (select.base.as_ref(), select.key.as_ref()) {
            ("meta", "mark") => {
                let change = self.mark(Field::Mark, value);
                self.act(Action::Mark(change));
            }
            ("ct", "mark") => {
                let change = self.mark(Field::ConnMark, value);
                self.act(Action::ConnMark(change));
            }
            ("ct", "zone") => self.act(Action::TrackingUnknown(described(target))),
            ("meta", "priority" | "nftrace" | "secmark" | "rtclassid" | "cpu")
            | ("ct", "helper" | "timeout" | "expectation" | "event" | "label" | "secmark")
            | ("ip", "dscp" | "ecn" | "ttl" | "id" | "option" | "checksum")
            | ("ip6", "dscp" | "ecn" | "hoplimit" | "flowlabel")
            | ("tcp", "option") => {
                // Without effect, but a packet that has no such header ends the rule here.
                if self.look(select) == Subject::Never {
                    self.test(Test::Constant(false));
                }
            }
            _ => self.opaque(target),
        }
    }

    fn mark(&mut self, target: Field, value: &Expr<'_>) -> MarkChange {
        match value {
            Expr::Map(sides) => self
                .lookup(&sides.0, &sides.1, Holds::Marks)
                .map_or(MarkChange::Unknown, |lookup| MarkChange::Map(Box::new(lookup))),
            _ => mark::change(target, value),
        }
    }

    fn change(&mut self, set: &str, key: &Expr<'_>, inner: &[Statement<'_>]) {
        if let Key::Never = self.key(key) {
            self.test(Test::Constant(false));
        }
        let name: Arc<str> = Arc::from(set);
        self.builder.changed.insert(Arc::clone(&name));
        self.act(Action::ChangeSet(SetRef::Named(name)));
        for statement in inner {
            self.statement(statement);
        }
    }

    // Translations.

    fn nat(&mut self, tree: &NatTree<'_>) {
        let family = match tree.family.as_deref() {
            Some("ip") => Some(V4),
            Some("ip6") => Some(V6),
            _ => None,
        };
        let own = matches!(self.builder.family(), TableFamily::Ip | TableFamily::Ip6);
        // The kernel's translation passes packets of the other family by.
        self.depend(Looked { family: if own { None } else { family }, subject: Subject::Unknown });
        let to = match tree.form {
            Form::Known => self.nat_to(tree).unwrap_or(NatTo::Unknown),
            Form::Unknown => NatTo::Unknown,
        };
        self.act(Action::Nat(Box::new(Nat { kind: tree.kind, to })));
    }

    fn nat_to(&mut self, tree: &NatTree<'_>) -> Option<NatTo> {
        match (&tree.addresses, &tree.ports) {
            (Some(Expr::Map(sides)), None) | (None, Some(Expr::Map(sides))) => {
                self.lookup(&sides.0, &sides.1, Holds::Targets).map(|lookup| NatTo::Map(Box::new(lookup)))
            }
            (addresses, ports) => {
                let addresses = match addresses {
                    Some(expr) => Some(values(vec![atom(Kind::Address, expr)?])?),
                    None => None,
                };
                let ports = match ports {
                    Some(expr) => match single(atom(Kind::Port, expr)?) {
                        Values::Numbers(ports) => Some(ports),
                        _ => return None,
                    },
                    None => None,
                };
                Some(NatTo::Fixed { addresses, ports })
            }
        }
    }
}

fn intervals(values: &Values) -> usize {
    match values {
        Values::V4(spans) => spans.as_slice().len(),
        Values::V6(spans) => spans.as_slice().len(),
        Values::Numbers(_) | Values::Masked { .. } | Values::Names(_) | Values::Any => 0,
    }
}

/// What is looked at, and the mask over it.
fn masked<'t, 'a>(left: &'t Expr<'a>) -> (&'t Expr<'a>, Option<&'t Expr<'a>>) {
    match left {
        Expr::Binary(Bits::And, sides) => (&sides.0, Some(&sides.1)),
        other => (other, None),
    }
}

#[cfg(test)]
mod tests {
    use crate::netfilter::Item;
    use crate::netfilter::nft::text::read_text;

    /// What a rule of a table of this family becomes.
    fn items(family: &str, rule: &str) -> Vec<String> {
        let text = format!("table {family} t {{\n chain c {{\n  {rule}\n }}\n}}\n");
        let reading = read_text(&text, 0).unwrap();
        let rules = &reading.tables[0].chains[0].rules;
        assert_eq!(rules.len(), 1, "{rule}");
        rules[0].items.iter().map(shown).collect()
    }

    fn shown(item: &Item) -> String {
        let text = match item {
            Item::Match(found) if found.negated => format!("not {:?}", found.test),
            Item::Match(found) => format!("{:?}", found.test),
            Item::Act(action) => format!("{action:?}"),
            Item::Verdict(verdict) => format!("{verdict:?}"),
            Item::VerdictMap(lookup) => format!("by {:?} in {:?}", lookup.fields, lookup.set),
        };
        text.replace("(One((", "((")
    }

    #[track_caller]
    fn check(family: &str, rule: &str, expected: &[&str]) {
        assert_eq!(items(family, rule), expected, "{rule}");
    }

    const V4: &str = "Is(Family, Numbers((2, 2))))";
    const V6: &str = "Is(Family, Numbers((10, 10))))";

    #[test]
    fn a_family_is_tested_once_and_only_where_the_table_sees_both() {
        let address = "Is(Source, V4((1, 1))))";
        check("inet", "ip saddr 0.0.0.1 accept", &[V4, address, "Accept"]);
        check("netdev", "ip saddr 0.0.0.1 accept", &[V4, address, "Accept"]);
        check("ip", "ip saddr 0.0.0.1 accept", &[address, "Accept"]);
        check("ip6", "ip saddr 0.0.0.1 accept", &["Constant(false)", "Accept"]);
        check(
            "inet",
            "ip saddr != 0.0.0.1 ip protocol tcp drop",
            &[V4, "not Is(Source, V4((1, 1))))", "Is(Protocol, Numbers((6, 6))))", "Drop"],
        );
        check("inet", "ip6 nexthdr tcp", &[V6, "Is(Protocol, Numbers((6, 6))))"]);
    }

    #[test]
    fn what_no_tcp_packet_has_never_holds_whatever_is_compared() {
        for rule in ["udp dport 53", "udp dport != 53", "icmp type redirect", "ip saddr . udp dport @x"] {
            assert!(items("ip", rule).contains(&"Constant(false)".to_owned()), "{rule}");
        }
    }

    #[test]
    fn flags_that_are_named_ask_for_any_and_those_compared_for_all() {
        for (rule, expected) in [
            ("ct state established,related", "Is(CtState, Masked { mask: 6, values: One((1, 4294967295)) })"),
            ("ct state == established", "Is(CtState, Numbers((2, 2))))"),
            ("ct state != new", "not Is(CtState, Numbers((8, 8))))"),
            ("ct state ! new", "Is(CtState, Masked { mask: 8, values: One((0, 0)) })"),
            ("ct state { new, untracked }", "Is(CtState, Numbers(Many([(8, 8), (64, 64)])))"),
            ("tcp flags syn / fin,syn", "Is(TcpFlags, Masked { mask: 3, values: One((2, 2)) })"),
            ("tcp flags != syn / fin,syn", "not Is(TcpFlags, Masked { mask: 3, values: One((2, 2)) })"),
            ("tcp flags & (fin|syn) == syn", "Is(TcpFlags, Masked { mask: 3, values: One((2, 2)) })"),
            ("tcp flags 0x0", "Is(TcpFlags, Masked { mask: 0, values: One((1, 4294967295)) })"),
        ] {
            check("inet", rule, &[expected]);
        }
    }

    #[test]
    fn what_is_not_understood_stays_and_the_rest_of_the_rule_too() {
        for (rule, expected) in [
            ("meta skuid 0 accept", ["Unknown(\"`meta skuid`\")", "Accept"]),
            ("ct newkey 5 accept", ["Unknown(\"`ct newkey`\")", "Accept"]),
            ("tcp dport nobody-knows accept", ["Unknown(\"`tcp dport`\")", "Accept"]),
            ("tcp dport $port accept", ["Unknown(\"`tcp dport`\")", "Accept"]),
            ("limit rate 5/second burst 3 packets accept", ["Unknown(\"rate limit\")", "Accept"]),
            ("xt match recent accept", ["Unknown(\"match `recent` of iptables\")", "Accept"]),
            (
                "tcp dport 1 frobnicate 7 accept",
                ["Is(DestinationPort, Numbers((1, 1))))", "Opaque(\"frobnicate 7 accept\")"],
            ),
            (
                "tcp dport 1 meta mark accept",
                ["Is(DestinationPort, Numbers((1, 1))))", "Opaque(\"meta mark accept\")"],
            ),
            (
                "tcp dport 1 queue flags bypass to 1",
                ["Is(DestinationPort, Numbers((1, 1))))", "Opaque(\"queue flags bypass to 1\")"],
            ),
            (
                "tcp dport 1 xt target TARPIT",
                ["Is(DestinationPort, Numbers((1, 1))))", "Opaque(\"target `TARPIT` of iptables\")"],
            ),
            ("tcp dport 1 xt target REJECT", ["Is(DestinationPort, Numbers((1, 1))))", "Reject"]),
        ] {
            check("inet", rule, &expected);
        }
    }

    #[test]
    fn what_has_no_effect_on_the_question_is_left_out() {
        for rule in [
            "counter packets 1 bytes 2 accept",
            "counter name \"c\" accept",
            "log prefix \"a accept\" level debug flags tcp sequence,options flags ip options accept",
            "meta priority set 1:10 accept",
            "meta nftrace set 1 accept",
            "ct helper set \"ftp\" accept",
            "tcp option maxseg size set rt mtu accept",
            "reset tcp option sack-perm accept",
            "reset tcp option maxseg accept",
            "flow add @ft accept",
            "dup to 1.2.3.4 device \"eth0\" accept",
            "xt target LOG accept",
            "accept comment \"drop # handle 7\" # handle 8",
        ] {
            check("inet", rule, &["Accept"]);
        }
    }

    #[test]
    fn headers_that_are_written_anew_could_do_anything() {
        check("ip", "ip daddr set 1.2.3.4", &["Opaque(\"`ip daddr`\")"]);
        check("ip", "tcp dport set 80", &["Opaque(\"`tcp dport`\")"]);
    }

    #[test]
    fn a_map_with_a_key_that_is_not_modelled_could_give_any_verdict() {
        check("ip", "numgen inc mod 2 vmap { 0 : accept, 1 : drop }", &["Opaque(\"`numgen`\")"]);
        check(
            "ip",
            "dnat to numgen inc mod 2 map { 0 : 1.1.1.1 }",
            &["Nat(Nat { kind: Destination, to: Unknown })"],
        );
    }

    #[test]
    fn chains_without_a_name_get_one_of_their_own() {
        let text = "table ip t {\n chain c {\n jump {\n goto { drop; }\n accept\n }\n tcp dport 1 jump { return; }\n }\n}\n";
        let reading = read_text(text, 0).unwrap();
        let chains: Vec<(&str, Vec<String>)> = reading.tables[0]
            .chains
            .iter()
            .map(|chain| {
                let items = chain.rules.iter().flat_map(|rule| rule.items.iter().map(shown)).collect();
                (chain.name.as_ref(), items)
            })
            .collect();
        let owned = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            chains,
            [
                ("c", owned(&["Jump(\"#0\")", "Is(DestinationPort, Numbers((1, 1))))", "Jump(\"#2\")"])),
                ("#0", owned(&["Goto(\"#1\")", "Accept"])),
                ("#1", owned(&["Drop"])),
                ("#2", owned(&["Return"])),
            ]
        );
    }

    #[test]
    fn a_set_that_nobody_understands_the_change_of_is_dynamic() {
        let text = "table ip t {\n set s { type ipv4_addr; }\n set o { type ipv4_addr; }\n chain c {\n frob { add @s, x } }\n}\n";
        let reading = read_text(text, 0).unwrap();
        let dynamic: Vec<bool> = reading.tables[0].sets.values().map(|set| set.dynamic).collect();
        assert_eq!(dynamic, [false, true]);
    }

    #[test]
    fn masks_make_no_more_intervals_than_a_listing_may_hold() {
        let rule = "ip saddr & 255.0.0.255 == 1.0.0.5 accept\n";
        let text = format!("table ip t {{\n chain c {{\n{}}}\n}}\n", rule.repeat(80));
        let reading = read_text(&text, 0).unwrap();
        let rules = &reading.tables[0].chains[0].rules;
        assert!(shown(&rules[0].items[0]).starts_with("Is(Source, V4(Many([(16777221, 16777221), "));
        assert_eq!(shown(&rules[79].items[0]), "Unknown(\"`ip saddr`\")");
    }
}
