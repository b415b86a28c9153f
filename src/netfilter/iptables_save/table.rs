//! A table while it is read: chains by name, used before they are listed, or never.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::{
    Action, Backend, Base, Chain, ChainKind, Hook, Item, Match, Place, Policy, Rule, Table, TableFamily,
    Test, Verdict,
};
use super::Fault;

/// Rules that `-I` may move, in all: beyond, a text is not worth its time.
const MOVES_MAX: usize = 1 << 26;

/// iptables' tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Raw,
    Mangle,
    Nat,
    Filter,
    Security,
}

impl Kind {
    pub(super) fn named(name: &str) -> Option<Self> {
        [Kind::Raw, Kind::Mangle, Kind::Nat, Kind::Filter, Kind::Security]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Raw => "raw",
            Kind::Mangle => "mangle",
            Kind::Nat => "nat",
            Kind::Filter => "filter",
            Kind::Security => "security",
        }
    }

    /// The hook and priority of a base chain of this name, from `linux/netfilter_ipv4.h`; those of IPv6 are equal.
    fn base(self, chain: &str) -> Option<(Hook, i32)> {
        let hook = match chain {
            "PREROUTING" => Hook::Prerouting,
            "INPUT" => Hook::Input,
            "FORWARD" => Hook::Forward,
            "OUTPUT" => Hook::Output,
            "POSTROUTING" => Hook::Postrouting,
            _ => return None,
        };
        let priority = match (self, hook) {
            (Kind::Raw, Hook::Prerouting | Hook::Output) => -300,
            (Kind::Mangle, _) => -150,
            (Kind::Nat, Hook::Prerouting | Hook::Output) => -100,
            (Kind::Nat, Hook::Input | Hook::Postrouting) => 100,
            (Kind::Filter, Hook::Input | Hook::Forward | Hook::Output) => 0,
            (Kind::Security, Hook::Input | Hook::Forward | Hook::Output) => 50,
            _ => return None,
        };
        Some((hook, priority))
    }

    fn chain_kind(self, hook: Hook) -> ChainKind {
        match (self, hook) {
            (Kind::Nat, _) => ChainKind::Nat,
            (Kind::Mangle, Hook::Output) => ChainKind::Route,
            _ => ChainKind::Filter,
        }
    }
}

/// A table that is being read.
pub(super) struct OpenTable<'a> {
    kind: Kind,
    backend: Option<Backend>,
    chains: Vec<OpenChain>,
    by_name: HashMap<&'a str, usize>,
    /// The chain of the rule before, and the target: rules of a chain stand together.
    last: [(&'a str, usize); 2],
    moves: usize,
}

struct OpenChain {
    chain: Chain,
    listed: Listed,
}

/// How far a chain is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    /// Rules jump there.
    Named,
    /// It has rules, and no policy was told.
    Filled,
    /// With its policy, or as a chain of its own.
    Whole,
}

/// What a rule asks a table for a chain's name for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Rules,
    Target,
}

impl<'a> OpenTable<'a> {
    /// Empty, but for what an earlier section leaves behind: the old iptables keeps policies.
    pub(super) fn new(kind: Kind, backend: Option<Backend>, earlier: Option<Self>) -> Self {
        let mut table =
            Self { kind, backend, chains: Vec::new(), by_name: HashMap::new(), last: [("", 0); 2], moves: 0 };
        let Some(earlier) = earlier.filter(|_| backend == Some(Backend::Legacy)) else { return table };
        let names: HashMap<usize, &'a str> = earlier.by_name.iter().map(|(name, at)| (*at, *name)).collect();
        for (at, mut kept) in earlier.chains.into_iter().enumerate() {
            if let (Some(name), Some(_)) = (names.get(&at), &kept.chain.base) {
                kept.chain.rules.clear();
                table.by_name.insert(name, table.chains.len());
                table.chains.push(kept);
            }
        }
        table
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn backend(&self) -> Option<Backend> {
        self.backend
    }

    /// Takes a chain's line: its policy, or `None` for one that only jumps reach.
    pub(super) fn declare(
        &mut self,
        name: &'a str,
        policy: Option<Policy>,
        place: Place,
    ) -> Result<(), Fault> {
        if ["", "ACCEPT", "DROP", "REJECT", "RETURN"].contains(&name) {
            return Err(Fault::about("no name of a chain:", name));
        }
        let is_base = self.kind.base(name).is_some();
        let known = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"].contains(&name);
        if is_base != policy.is_some() || known && !is_base {
            let message = format!("table `{}` has no such chain:", self.kind.name());
            let help = "`iptables -S` is read as table `filter`: for another table give `iptables-save`";
            return Err(Fault { help, ..Fault::about(&message, name) });
        }
        let at = self.find(name, place, Use::Target);
        let Some(open) = self.chains.get_mut(at) else { return Ok(()) };
        open.listed = Listed::Whole;
        open.chain.place = place;
        if let (Some(base), Some(policy)) = (&mut open.chain.base, policy) {
            base.policy = policy;
        }
        Ok(())
    }

    /// Whether a chain was listed so far.
    pub(super) fn has(&self, name: &str) -> bool {
        let [_, (last, _)] = self.last;
        let known = || self.by_name.get(name).and_then(|at| self.chains.get(*at));
        last == name && !name.is_empty() || known().is_some_and(|open| open.listed != Listed::Named)
    }

    /// A chain's name as jumps hold it.
    pub(super) fn target(&mut self, name: &'a str, place: Place) -> Arc<str> {
        let at = self.find(name, place, Use::Target);
        match self.chains.get(at) {
            Some(open) => {
                if open.listed != Listed::Named {
                    self.last = [self.last[0], (name, at)];
                }
                Arc::clone(&open.chain.name)
            }
            None => Arc::from(name),
        }
    }

    /// Appends a rule to a chain.
    pub(super) fn append(&mut self, chain: &'a str, rule: Rule) {
        let at = self.find(chain, rule.place, Use::Rules);
        if let Some(open) = self.chains.get_mut(at) {
            open.chain.rules.push(rule);
        }
    }

    /// Puts a rule before the one of this number, from 1.
    pub(super) fn insert(&mut self, chain: &'a str, number: u32, rule: Rule) -> Result<(), Fault> {
        let at = self.find(chain, rule.place, Use::Rules);
        let Some(open) = self.chains.get_mut(at) else { return Ok(()) };
        let index = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        let rules = &mut open.chain.rules;
        if number == 0 || index > rules.len() {
            return Err(Fault::about("`-I` beyond the end of chain", chain));
        }
        self.moves = self.moves.saturating_add(rules.len() - index);
        if self.moves > MOVES_MAX {
            return Err(Fault::about("too many `-I` into chain", chain));
        }
        rules.insert(index, rule);
        Ok(())
    }

    #[inline]
    fn find(&mut self, name: &'a str, place: Place, purpose: Use) -> usize {
        if let [(last, at), _] = self.last
            && last == name
            && purpose == Use::Rules
            && !name.is_empty()
        {
            return at;
        }
        let at = self.find_or_add(name, place);
        if purpose == Use::Rules {
            if let Some(open) = self.chains.get_mut(at)
                && open.listed == Listed::Named
            {
                open.listed = Listed::Filled;
            }
            self.last = [(name, at), self.last[1]];
        }
        at
    }

    fn find_or_add(&mut self, name: &'a str, place: Place) -> usize {
        if let Some(at) = self.by_name.get(name) {
            return *at;
        }
        let base = self.kind.base(name).map(|(hook, priority)| Base {
            kind: self.kind.chain_kind(hook),
            hook,
            priority,
            policy: Policy::Accept,
            devices: None,
        });
        let chain = Chain { name: Arc::from(name), base, rules: Vec::new(), place };
        let at = self.chains.len();
        self.chains.push(OpenChain { chain, listed: Listed::Named });
        self.by_name.insert(name, at);
        at
    }

    /// The table, now that all of it was read.
    pub(super) fn finish(mut self, family: TableFamily) -> Table {
        let missing: HashMap<Arc<str>, Arc<str>> = self
            .chains
            .iter()
            .filter(|open| open.listed == Listed::Named)
            .map(|open| (Arc::clone(&open.chain.name), no_chain(&open.chain.name)))
            .collect();
        self.chains.retain(|open| open.listed != Listed::Named);
        for open in &mut self.chains {
            if !missing.is_empty() {
                open.chain.rules.iter_mut().for_each(|rule| undo_jumps(rule, &missing));
            }
            if open.listed == Listed::Filled && open.chain.base.is_some() {
                open.chain.rules.push(unknown_policy(open.chain.place));
            }
        }
        Table {
            backend: self.backend.unwrap_or(Backend::Nft),
            family,
            name: Arc::from(self.kind.name()),
            // iptables knows no sleeping tables; nft can put one of iptables-nft's to sleep unseen.
            dormant: if self.backend == Some(Backend::Legacy) { Some(false) } else { None },
            chains: self.chains.into_iter().map(|open| open.chain).collect(),
            sets: std::collections::BTreeMap::new(),
        }
    }
}

fn no_chain(name: &str) -> Arc<str> {
    Arc::from(format!("target `{name}`, which is no chain of this table"))
}

/// A jump to a chain that is not in the text could be anything.
fn undo_jumps(rule: &mut Rule, missing: &HashMap<Arc<str>, Arc<str>>) {
    for item in &mut rule.items {
        if let Item::Verdict(Verdict::Jump(name) | Verdict::Goto(name)) = item
            && let Some(words) = missing.get(name)
        {
            *item = Item::Act(Action::Opaque(Arc::clone(words)));
        }
    }
}

/// A last rule for a base chain whose policy is not told.
fn unknown_policy(place: Place) -> Rule {
    let test = Test::Unknown(Arc::from("policy of the chain, which is not listed"));
    let items = vec![Item::Match(Match { negated: false, test }), Item::Verdict(Verdict::Drop)];
    Rule { items: items.into(), place, handle: 0 }
}
