//! A ruleset made ready to be asked: chains found by name, base chains by hook in their order, rules numbered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::packet::{NAT_DESTINATION, NAT_SOURCE};
use crate::admission::RuleId;
use crate::netfilter::{
    Action, Backend, Base, Chain, ChainKind, Hook, Item, Rule, Set, SetRef, Table, TableFamily,
};

/// A chain and the table that it is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) table: &'p Table,
    pub(super) chain: &'p Chain,
    /// The number of its first rule; its policy's is the one after its last rule.
    first: u32,
}

impl<'p> Place<'p> {
    /// The number of its policy.
    pub(super) fn policy_id(&self) -> u32 {
        self.first.saturating_add(u32::try_from(self.chain.rules.len()).unwrap_or(u32::MAX))
    }

    /// Its rules with their numbers.
    pub(super) fn rules(&self) -> impl Iterator<Item = (u32, &'p Rule)> + use<'p> {
        (self.first..).zip(&self.chain.rules)
    }
}

/// A base chain in its place on the path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Station<'p> {
    /// Its number among all chains.
    pub(super) chain: usize,
    pub(super) base: &'p Base,
    /// The priority at which the kernel really asks it.
    pub(super) priority: i32,
}

/// A ruleset made ready.
#[derive(Debug)]
pub(super) struct Program<'p> {
    pub(super) places: Vec<Place<'p>>,
    by_name: HashMap<(*const Table, &'p str), usize>,
    stations: BTreeMap<Hook, Vec<Station<'p>>>,
    pub(super) ipsets: &'p BTreeMap<Arc<str>, Set>,
    /// Whether a listing of ipsets was read at all.
    changing: BTreeSet<&'p str>,
}

impl<'p> Program<'p> {
    pub(super) fn new(tables: &'p [Table], ipsets: &'p BTreeMap<Arc<str>, Set>) -> Self {
        let mut program = Self {
            places: Vec::new(),
            by_name: HashMap::new(),
            stations: BTreeMap::new(),
            ipsets,
            changing: BTreeSet::new(),
        };
        // 0 stands for no rule.
        let mut next = 1u32;
        for table in tables {
            for chain in &table.chains {
                let number = program.places.len();
                program.places.push(Place { table, chain, first: next });
                let rules = u32::try_from(chain.rules.len()).unwrap_or(u32::MAX);
                next = next.saturating_add(rules).saturating_add(1);
                program.by_name.insert((std::ptr::from_ref(table), chain.name.as_ref()), number);
                if let Some(base) = &chain.base {
                    program.station(number, base);
                }
                program.changes(&chain.rules);
            }
        }
        program.in_order();
        program
    }

    fn station(&mut self, chain: usize, base: &'p Base) {
        // The kernel has one place a hook for all translating chains, whatever their priority.
        let priority = match (base.kind, base.hook) {
            (ChainKind::Nat, Hook::Prerouting | Hook::Output) => NAT_DESTINATION,
            (ChainKind::Nat, _) => NAT_SOURCE,
            (ChainKind::Filter | ChainKind::Route, _) => base.priority,
        };
        self.stations.entry(base.hook).or_default().push(Station { chain, base, priority });
    }

    fn in_order(&mut self) {
        for stations in self.stations.values_mut() {
            // Of two with one priority the one that was made later comes first.
            stations.reverse();
            stations.sort_by_key(|station| (station.priority, station.base.priority));
        }
    }

    fn changes(&mut self, rules: &'p [Rule]) {
        for item in rules.iter().flat_map(|rule| &rule.items) {
            if let Item::Act(Action::ChangeSet(SetRef::Ipset { name, .. })) = item {
                self.changing.insert(name);
            }
        }
    }

    /// The base chains of a hook, in the order in which the kernel asks them.
    pub(super) fn stations(&self, hook: Hook) -> &[Station<'p>] {
        self.stations.get(&hook).map_or(&[], Vec::as_slice)
    }

    pub(super) fn place(&self, chain: usize) -> Option<Place<'p>> {
        self.places.get(chain).copied()
    }

    /// A chain of a table.
    pub(super) fn chain_named(&self, table: &'p Table, name: &str) -> Option<usize> {
        // A key's life is the program's, so the name is looked for among the table's own.
        self.by_name.get(&(std::ptr::from_ref(table), name)).copied()
    }

    /// Whether packets change an ipset.
    pub(super) fn is_changing(&self, ipset: &str) -> bool {
        self.changing.contains(ipset)
    }

    /// The chain that a number belongs to, and the rule's index in it; `None` for its policy.
    pub(super) fn find(&self, id: RuleId) -> Option<(Place<'p>, Option<usize>)> {
        let after = self.places.partition_point(|place| place.first <= id.0);
        let place = *self.places.get(after.checked_sub(1)?)?;
        let index = usize::try_from(id.0.checked_sub(place.first)?).ok()?;
        (index <= place.chain.rules.len()).then(|| (place, Some(index).filter(|at| *at < place.chain.rules.len())))
    }

    /// Whether frames of a bridge can be lost by rules that are not asked here.
    pub(super) fn bridge_tables(&self) -> impl Iterator<Item = Place<'p>> + '_ {
        self.places
            .iter()
            .copied()
            .filter(|place| place.table.family == TableFamily::Bridge && place.chain.base.is_some())
    }

    /// Whether both machineries have rules that could decide.
    pub(super) fn backends(&self) -> BTreeSet<Backend> {
        let deciding = self.places.iter().filter(|place| {
            !place.chain.rules.is_empty()
                || place.chain.base.as_ref().is_some_and(|base| base.policy == crate::netfilter::Policy::Drop)
        });
        deciding.map(|place| place.table.backend).collect()
    }
}
