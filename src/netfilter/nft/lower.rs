//! From the tree to the data of [`netfilter`](crate::netfilter): the only place that knows what words mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::elements::{Holds, note_changed, verdict};
use super::fields::{Looked, Subject, V4, V6, described, looked};
use super::values::{Kind, atom, single, values};
use super::{Bits, Expr, Form, Hop, NatTree, Operator, RuleTree, Select, Statement, compare, mark};
use crate::netfilter::{
    Action, Backend, Chain, Field, Item, Lookup, MarkChange, Match, Nat, NatTo, Place, Rule, Set, SetRef,
    Table, TableFamily, Test, Values, Verdict,
};

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
}

impl Builder {
    pub(super) fn new(family: TableFamily, name: &str) -> Self {
        let table = Table {
            backend: Backend::Nft,
            family,
            name: Arc::from(name),
            dormant: Some(false),
            chains: Vec::new(),
            sets: BTreeMap::new(),
        };
        Builder { table, chains: BTreeMap::new(), inline: Vec::new(), changed: BTreeSet::new() }
    }

    pub(super) fn is(&self, family: TableFamily, name: &str) -> bool {
        self.table.family == family && self.table.name.as_ref() == name
    }

    pub(super) fn family(&self) -> TableFamily {
        self.table.family
    }

    pub(super) fn set_dormant(&mut self, dormant: Option<bool>) {
        self.table.dormant = dormant;
    }

    /// The chain of this name, made where there is none yet.
    pub(super) fn chain(&mut self, name: &str, place: Place) -> &mut Chain {
        let next = self.table.chains.len();
        let index = *self.chains.entry(Arc::from(name)).or_insert(next);
        if index == next {
            self.table.chains.push(Chain { name: Arc::from(name), base: None, rules: Vec::new(), place });
        }
        // The index is of this very vector; the spare chain is never reached.
        match self.table.chains.get_mut(index) {
            Some(chain) => chain,
            None => unreachable_chain(&mut self.inline, place),
        }
    }

    /// Adds a set or a map.
    pub(super) fn set(&mut self, name: &str, set: Set) {
        self.table.sets.insert(Arc::from(name), set);
    }

    /// A rule as data.
    pub(super) fn rule(&mut self, tree: &RuleTree<'_>) -> Rule {
        let mut lowering = Lowering { builder: self, items: Vec::with_capacity(8), family: None };
        tree.statements.iter().for_each(|statement| lowering.statement(statement));
        let items = std::mem::take(&mut lowering.items);
        Rule { items: items.into(), place: tree.place, handle: tree.handle }
    }

    pub(super) fn finish(mut self) -> Table {
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

/// A chain of its own for what has no place.
fn unreachable_chain(spare: &mut Vec<Chain>, place: Place) -> &mut Chain {
    let at = spare.len();
    spare.push(Chain { name: Arc::from(format!("#{at}")), base: None, rules: Vec::new(), place });
    #[expect(clippy::indexing_slicing, reason = "it was pushed just now")]
    &mut spare[at]
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
        let found = match self.key(selected) {
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

/// What is looked at, and the mask over it.
fn masked<'t, 'a>(left: &'t Expr<'a>) -> (&'t Expr<'a>, Option<&'t Expr<'a>>) {
    match left {
        Expr::Binary(Bits::And, sides) => (&sides.0, Some(&sides.1)),
        other => (other, None),
    }
}
