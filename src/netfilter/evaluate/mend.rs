//! The smallest change that opens or closes a port for some sources, as a command of the tool that made the
//! deciding rule. Nothing is run: a person reads it, and decides.

use super::Asked;
use super::program::Place;
use crate::admission::RuleId;
use crate::netfilter::{Backend, Hook, TableFamily};
use crate::prefix::{Family, Prefix, PrefixSet};

/// More prefixes than these belong into a set, not into a command.
const PREFIXES_MAX: usize = 16;

/// What a change should bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// These sources get in.
    Admit,
    /// These sources don't.
    Refuse,
}

impl Asked<'_> {
    /// Commands that put a rule for these sources before the deciding one; `None` where no short command does.
    pub fn mend(&self, rule: RuleId, sources: &PrefixSet, port: u16, wanted: Wanted) -> Option<String> {
        let (place, index) = self.program.find(rule)?;
        // A policy that accepts is closed by more than a rule for some.
        if index.is_none() && wanted == Wanted::Refuse {
            return None;
        }
        let prefixes = sources.to_prefixes();
        if prefixes.len() > PREFIXES_MAX {
            return None;
        }
        let commands: Vec<String> = Family::ALL
            .into_iter()
            .filter_map(|family| {
                let own: Vec<Prefix> =
                    prefixes.iter().copied().filter(|one| one.family() == family).collect();
                (!own.is_empty()).then(|| command(place, index, &own, port, wanted))
            })
            .collect();
        (!commands.is_empty()).then(|| commands.join("\n"))
    }
}

fn command(place: Place<'_>, index: Option<usize>, prefixes: &[Prefix], port: u16, wanted: Wanted) -> String {
    let names: Vec<String> = prefixes.iter().map(|one| one.short().to_string()).collect();
    if is_iptables(place) {
        by_iptables(place, index, &names.join(","), port, wanted)
    } else {
        by_nft(place, index, &names, (prefixes.first().map(Prefix::family), port), wanted)
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

/// Which end of the packet is the caller's where a chain stands.
fn hook(place: Place<'_>) -> Hook {
    place.chain.base.as_ref().map_or(Hook::Input, |base| base.hook)
}

fn by_iptables(place: Place<'_>, index: Option<usize>, sources: &str, port: u16, wanted: Wanted) -> String {
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
    let packet = match hook(place) {
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
    place: Place<'_>,
    index: Option<usize>,
    sources: &[String],
    (family, port): (Option<Family>, u16),
    wanted: Wanted,
) -> String {
    let chain =
        format!("{} {} {}", super::describe::family(place.table.family), place.table.name, place.chain.name);
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
    let packet = match hook(place) {
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
