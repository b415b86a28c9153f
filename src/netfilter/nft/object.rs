//! Chains, sets and maps as both views declare them, and their words as data.

use std::sync::Arc;

use super::lower::Builder;
use super::values::{self, Kind};
use super::{Place, names};
use crate::netfilter::{Action, Base, ChainKind, Hook, Item, NamePattern, Policy, Rule, TableFamily};

/// A base chain as it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct BaseTree<'a> {
    pub(super) kind: &'a str,
    pub(super) hook: &'a str,
    pub(super) priority: Option<i32>,
    pub(super) policy: Option<&'a str>,
    /// `None` where none are told.
    pub(super) devices: Option<Vec<&'a str>>,
}

/// A family by its name.
pub(super) fn table_family(name: &str) -> Option<TableFamily> {
    let known = match name {
        "ip" => TableFamily::Ip,
        "ip6" => TableFamily::Ip6,
        "inet" => TableFamily::Inet,
        "netdev" => TableFamily::Netdev,
        "bridge" => TableFamily::Bridge,
        "arp" => TableFamily::Arp,
        _ => return None,
    };
    Some(known)
}

/// `filter + 10`, `dstnat - 5`, `-150`: the words of a priority.
pub(super) fn priority(words: &[&str], family: TableFamily) -> Option<i32> {
    let (first, rest) = words.split_first()?;
    // People write `filter+10` too; a number's own sign comes first.
    if let Some(at) = first.rfind(['+', '-']).filter(|at| *at > 0) {
        let (name, sign, number) = (first.get(..at)?, first.get(at..=at)?, first.get(at + 1..)?);
        return if rest.is_empty() { priority(&[name, sign, number], family) } else { None };
    }
    let base = match first.parse() {
        Ok(number) => number,
        Err(_) if family == TableFamily::Bridge => names::bridge_priority(first)?,
        Err(_) => names::priority(first)?,
    };
    match rest {
        [] => Some(base),
        ["+", more] => base.checked_add(more.parse().ok()?),
        ["-", less] => base.checked_sub(less.parse().ok()?),
        _ => None,
    }
}

/// Makes a chain a base chain. A word that is not known makes it one that could do anything.
pub(super) fn make_base(builder: &mut Builder, chain: &str, tree: &BaseTree<'_>, place: Place) {
    let kind = match tree.kind {
        "filter" => Some(ChainKind::Filter),
        "nat" => Some(ChainKind::Nat),
        "route" => Some(ChainKind::Route),
        _ => None,
    };
    let policy = match tree.policy {
        None | Some("accept") => Some(Policy::Accept),
        Some("drop") => Some(Policy::Drop),
        Some(_) => None,
    };
    let hook = hook(tree.hook);
    let known = kind.is_some() && policy.is_some() && hook.is_some() && tree.priority.is_some();
    let devices: Option<Vec<NamePattern>> =
        tree.devices.as_ref().and_then(|names| names.iter().map(|name| values::name(name)).collect());
    let Some(chain) = builder.chain(chain, place) else { return };
    chain.base = Some(Base {
        kind: kind.unwrap_or(ChainKind::Filter),
        hook: hook.unwrap_or(Hook::Prerouting),
        priority: tree.priority.unwrap_or(0),
        policy: policy.unwrap_or(Policy::Accept),
        devices,
    });
    if !known {
        let words = "a base chain whose hook, type, priority or policy is not known";
        let items = [Item::Act(Action::Opaque(Arc::from(words)))];
        chain.rules.insert(0, Rule { items: items.into(), place, handle: 0 });
    }
}

fn hook(name: &str) -> Option<Hook> {
    let known = match name {
        "ingress" => Hook::Ingress,
        "prerouting" => Hook::Prerouting,
        "input" => Hook::Input,
        "forward" => Hook::Forward,
        "output" => Hook::Output,
        "postrouting" => Hook::Postrouting,
        "egress" => Hook::Egress,
        _ => return None,
    };
    Some(known)
}

/// Components of a declared type.
pub(super) fn kinds<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Kind> {
    names.into_iter().map(Kind::of_type).collect()
}
