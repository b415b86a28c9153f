//! The smallest change that opens or closes a port for some sources, as a command of the tool that made the
//! deciding rule. Nothing is run: a person reads it, and decides.

use std::collections::BTreeSet;

use super::Asked;
use super::program::Place;
use crate::admission::{RuleId, Wanted};
use crate::netfilter::{Backend, Elements, Hook, Item, MapValue, Rule, SetRef, TableFamily, Verdict};
use crate::prefix::{Family, Prefix, PrefixSet};

/// More prefixes than these belong into a set, not into a command.
const PREFIXES_MAX: usize = 16;

impl Asked<'_> {
    /// Commands that put a rule for these sources before the deciding one; `None` where no short command does.
    pub(super) fn commands(
        &self,
        rule: RuleId,
        sources: &PrefixSet,
        port: u16,
        wanted: Wanted,
    ) -> Option<String> {
        let (place, index) = self.program.find(rule)?;
        // A policy that accepts is closed by more than a rule for some.
        if index.is_none() && wanted == Wanted::Refuse {
            return None;
        }
        // A name that a shell could read otherwise is not put into a command.
        let plain =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if !plain(&place.table.name) || !plain(&place.chain.name) {
            return None;
        }
        let hook = hook(place)?;
        let prefixes = sources.to_prefixes();
        if prefixes.len() > PREFIXES_MAX {
            return None;
        }
        let commands: Vec<String> = Family::ALL
            .into_iter()
            .filter_map(|family| {
                let own: Vec<Prefix> =
                    prefixes.iter().copied().filter(|one| one.family() == family).collect();
                (!own.is_empty()).then(|| command(Spot { place, hook, index }, &own, port, wanted))
            })
            .collect();
        (!commands.is_empty()).then(|| commands.join("\n"))
    }
}

/// The hook of the base chains that a chain is reached from; `None` where they differ, or there is none.
fn hook(place: Place<'_>) -> Option<Hook> {
    let chains = &place.table.chains;
    let mut reached = BTreeSet::from([place.chain.name.as_ref()]);
    let mut hooks = BTreeSet::new();
    // Each round finds callers of what is reached; there are no more rounds than chains.
    for _ in chains {
        let callers = chains.iter().filter(|chain| {
            !reached.contains(chain.name.as_ref()) && chain.rules.iter().any(|rule| sends_to(rule, &reached))
        });
        let new: Vec<&str> = callers.map(|chain| chain.name.as_ref()).collect();
        if new.is_empty() {
            break;
        }
        reached.extend(new);
    }
    let bases = chains.iter().filter(|chain| reached.contains(chain.name.as_ref()));
    hooks.extend(bases.filter_map(|chain| chain.base.as_ref()).map(|base| base.hook));
    // What is said of a connection by its first packet holds at both.
    if hooks == BTreeSet::from([Hook::Input, Hook::Forward]) {
        return Some(Hook::Forward);
    }
    let only = hooks.first().copied();
    only.filter(|_| hooks.len() == 1)
}

/// Whether a rule jumps or goes to one of these chains.
fn sends_to(rule: &Rule, chains: &BTreeSet<&str>) -> bool {
    let to = |verdict: &Verdict| match verdict {
        Verdict::Jump(name) | Verdict::Goto(name) => chains.contains(name.as_ref()),
        Verdict::Accept | Verdict::Drop | Verdict::Reject | Verdict::Return | Verdict::Continue => false,
    };
    rule.items.iter().any(|item| match item {
        Item::Verdict(verdict) => to(verdict),
        // A named map is not looked into: which chain it is for is not needed that badly.
        Item::VerdictMap(lookup) => match &lookup.set {
            SetRef::Anonymous(set) => match &set.elements {
                Elements::Tuples(all) => all
                    .iter()
                    .any(|one| matches!(&one.value, Some(MapValue::Verdict(verdict)) if to(verdict))),
                _ => false,
            },
            SetRef::Named(_) | SetRef::Ipset { .. } => false,
        },
        Item::Match(_) | Item::Act(_) => false,
    })
}

/// Where a rule is put in.
#[derive(Clone, Copy)]
struct Spot<'p> {
    place: Place<'p>,
    hook: Hook,
    /// Before this rule; at the end where there is none.
    index: Option<usize>,
}

fn command(spot: Spot<'_>, prefixes: &[Prefix], port: u16, wanted: Wanted) -> String {
    let names: Vec<String> = prefixes.iter().map(|one| one.short().to_string()).collect();
    if is_iptables(spot.place) {
        by_iptables(spot, &names.join(","), port, wanted)
    } else {
        by_nft(spot, &names, (prefixes.first().map(Prefix::family), port), wanted)
    }
}

/// Whether a table is one of iptables', by either machinery.
fn is_iptables(place: Place<'_>) -> bool {
    let (table, chain) = (place.table, place.chain);
    let known = ["filter", "nat", "mangle", "raw", "security"].contains(&table.name.as_ref());
    let builtin = |name: &str| ["INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING"].contains(&name);
    let theirs = table.chains.iter().any(|chain| chain.base.is_some() && builtin(&chain.name));
    table.backend == Backend::Legacy
        || (matches!(table.family, TableFamily::Ip | TableFamily::Ip6)
            && known
            && theirs
            && (chain.base.is_none() || builtin(&chain.name)))
}

fn by_iptables(spot: Spot<'_>, sources: &str, port: u16, wanted: Wanted) -> String {
    let Spot { place, index, .. } = spot;
    let v6 = place.table.family == TableFamily::Ip6;
    let tool = match (place.table.backend, v6) {
        (Backend::Legacy, false) => "iptables-legacy",
        (Backend::Legacy, true) => "ip6tables-legacy",
        (Backend::Nft, false) => "iptables",
        (Backend::Nft, true) => "ip6tables",
    };
    let table = match place.table.name.as_ref() {
        "filter" => String::new(),
        name => format!("-t {name} "),
    };
    let at = match index {
        Some(index) => format!("-I {} {}", place.chain.name, index.saturating_add(1)),
        None => format!("-A {}", place.chain.name),
    };
    let packet = match spot.hook {
        Hook::Output | Hook::Postrouting | Hook::Egress => format!("-d {sources} -p tcp --sport {port}"),
        Hook::Forward => {
            format!("-s {sources} -p tcp -m conntrack --ctorigdstport {port} --ctdir ORIGINAL")
        }
        Hook::Ingress | Hook::Prerouting | Hook::Input => format!("-s {sources} -p tcp --dport {port}"),
    };
    let target = if wanted == Wanted::Admit { "ACCEPT" } else { "DROP" };
    format!("{tool} {table}{at} {packet} -j {target}")
}

fn by_nft(
    spot: Spot<'_>,
    sources: &[String],
    (family, port): (Option<Family>, u16),
    wanted: Wanted,
) -> String {
    let Spot { place, index, .. } = spot;
    let chain = format!("{} {} {}", place.table.family.as_str(), place.table.name, place.chain.name);
    let handle = index.and_then(|index| place.chain.rules.get(index)).map_or(0, |rule| rule.handle);
    let at = match (index, handle) {
        (None, _) => format!("add rule {chain}"),
        // Without a handle its place is known only by its number.
        (Some(index), 0) => format!("insert rule {chain} index {index}"),
        (Some(_), handle) => format!("insert rule {chain} handle {handle}"),
    };
    let ip = if family == Some(Family::V6) { "ip6" } else { "ip" };
    let list = match sources {
        [one] => one.clone(),
        _ => format!("{{ {} }}", sources.join(", ")),
    };
    let packet = match spot.hook {
        Hook::Output | Hook::Postrouting | Hook::Egress => format!("{ip} daddr {list} tcp sport {port}"),
        Hook::Forward => {
            format!("{ip} saddr {list} ct direction original ct original proto-dst {port}")
        }
        Hook::Ingress | Hook::Prerouting | Hook::Input => format!("{ip} saddr {list} tcp dport {port}"),
    };
    let verdict = if wanted == Wanted::Admit { "accept" } else { "drop" };
    // The shell must not see braces.
    format!("nft '{at} {packet} {verdict}'")
}
