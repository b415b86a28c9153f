//! A ruleset made ready to be asked: chains found by name, base chains by hook in their order, rules numbered.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::packet::{NAT_DESTINATION, NAT_SOURCE, differs_by_phase};
use crate::admission::RuleId;
use crate::netfilter::{
    Action, Backend, Base, Chain, ChainKind, Field, Hook, Item, Match, Rule, Set, SetRef, Table, TableFamily,
    Test,
};
use crate::prefix::Family;

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

/// Most chains of one priority whose orders are all tried.
const PERMUTED_MAX: usize = 4;

/// A ruleset made ready.
#[derive(Debug)]
pub(super) struct Program<'p> {
    pub(super) places: Vec<Place<'p>>,
    by_name: HashMap<(*const Table, &'p str), usize>,
    stations: BTreeMap<Hook, Vec<Station<'p>>>,
    pub(super) ipsets: &'p BTreeMap<Arc<str>, Set>,
    /// Ipsets that rules change.
    changing: BTreeSet<&'p str>,
    /// Tables with rules that change packets, so that it matters who is asked first.
    acting: HashSet<*const Table>,
    /// Families whose connections something here makes the kernel track.
    tracked: Vec<Family>,
}

impl<'p> Program<'p> {
    pub(super) fn new(tables: &'p [Table], ipsets: &'p BTreeMap<Arc<str>, Set>) -> Self {
        let mut program = Self {
            places: Vec::new(),
            by_name: HashMap::new(),
            stations: BTreeMap::new(),
            ipsets,
            changing: BTreeSet::new(),
            acting: HashSet::new(),
            tracked: Vec::new(),
        };
        // 0 stands for no rule.
        let mut next = 1u32;
        for (table, chain) in
            tables.iter().flat_map(|table| table.chains.iter().map(move |chain| (table, chain)))
        {
            let number = program.places.len();
            program.places.push(Place { table, chain, first: next });
            let rules = u32::try_from(chain.rules.len()).unwrap_or(u32::MAX);
            next = next.saturating_add(rules).saturating_add(1);
            program.by_name.insert((std::ptr::from_ref(table), chain.name.as_ref()), number);
            if let Some(base) = &chain.base {
                program.station(number, base);
            }
            program.effects(table, &chain.rules);
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
            stations.sort_by_key(|station| (station.priority, station.base.priority));
        }
    }

    fn effects(&mut self, table: &'p Table, rules: &'p [Rule]) {
        for item in rules.iter().flat_map(|rule| &rule.items) {
            match item {
                Item::Act(Action::ChangeSet(SetRef::Ipset { name, .. })) => drop(self.changing.insert(name)),
                Item::Act(Action::ChangeSet(_)) | Item::Match(_) | Item::VerdictMap(_) | Item::Verdict(_) => {
                }
                Item::Act(_) => drop(self.acting.insert(std::ptr::from_ref(table))),
            }
            if surely_tracks(item) {
                let new = families(table.family).iter().filter(|family| !self.tracked.contains(family));
                let new: Vec<Family> = new.copied().collect();
                self.tracked.extend(new);
            }
        }
    }

    /// Whether something here surely makes the kernel track a family's connections. Else translating chains are
    /// asleep, unless something outside the rules wakes them.
    pub(super) fn tracks(&self, family: Family) -> bool {
        self.tracked.contains(&family)
    }

    /// The base chains of a hook, in the order in which they are listed, by priority.
    pub(super) fn stations(&self, hook: Hook) -> &[Station<'p>] {
        self.stations.get(&hook).map_or(&[], Vec::as_slice)
    }

    /// The base chains of a hook by priority; those of one priority in every order that could be. The kernel
    /// asks the one that was registered last first, and no listing tells which that is. `None` where there are
    /// too many of one priority.
    pub(super) fn orders(&self, hook: Hook) -> impl Iterator<Item = Option<Vec<Vec<Station<'p>>>>> + '_ {
        let same = |left: &Station<'p>, right: &Station<'p>| left.priority == right.priority;
        self.stations(hook).chunk_by(same).map(|group| {
            let busy = |station: &&Station<'p>| {
                self.place(station.chain).is_some_and(|place| !place.chain.rules.is_empty())
            };
            let acts = |station: &Station<'p>| {
                self.place(station.chain)
                    .is_some_and(|place| self.acting.contains(&std::ptr::from_ref(place.table)))
            };
            if group.iter().filter(busy).count() < 2 || !group.iter().any(acts) {
                return Some(vec![group.to_vec()]);
            }
            (group.len() <= PERMUTED_MAX).then(|| permutations(group))
        })
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
        (index <= place.chain.rules.len())
            .then(|| (place, Some(index).filter(|at| *at < place.chain.rules.len())))
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

/// Every order of some chains in which the translating ones keep theirs: the kernel sorts those by priority.
fn permutations<'p>(group: &[Station<'p>]) -> Vec<Vec<Station<'p>>> {
    let mut orders: Vec<Vec<Station<'p>>> = vec![Vec::new()];
    for station in group {
        let longer = orders.iter().flat_map(|order| {
            (0..=order.len()).map(|at| {
                let mut longer = order.clone();
                longer.insert(at, *station);
                longer
            })
        });
        orders = longer.collect();
    }
    orders.retain(|order| {
        let translating = order.iter().filter(|station| station.base.kind == ChainKind::Nat);
        translating.map(|station| station.base.priority).is_sorted()
    });
    orders
}

/// The families that a table's rules make the kernel track.
fn families(table: TableFamily) -> &'static [Family] {
    match table {
        TableFamily::Ip => &[Family::V4],
        TableFamily::Ip6 => &[Family::V6],
        TableFamily::Inet => &Family::ALL,
        TableFamily::Netdev | TableFamily::Bridge | TableFamily::Arp => &[],
    }
}

/// Whether an item makes the kernel track connections for sure.
fn surely_tracks(item: &Item) -> bool {
    fn condition(found: &Match) -> bool {
        match &found.test {
            Test::Is(field, _) => differs_by_phase(*field) && *field != Field::TcpFlags,
            Test::In(lookup) => fields(&lookup.fields),
            Test::Any(groups) => groups.iter().flatten().any(condition),
            Test::Unknown(_) | Test::Constant(_) => false,
        }
    }
    fn fields(looked_up: &[Field]) -> bool {
        looked_up.iter().any(|field| differs_by_phase(*field) && *field != Field::TcpFlags)
    }
    match item {
        Item::Match(found) => condition(found),
        Item::VerdictMap(lookup) => fields(&lookup.fields),
        Item::Act(Action::Nat(_) | Action::ConnMark(_)) => true,
        Item::Act(_) | Item::Verdict(_) => false,
    }
}
