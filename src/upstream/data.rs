//! Lists for programs: JSON and CSV.
//!
//! Every text where an address is expected has to be one. A key, a column or a value of the filter that is not there makes
//! the list unreadable: its form has changed.

mod csv;
mod json;

pub(super) use csv::read as csv;
pub(super) use json::read as json;

use std::collections::BTreeSet;

use super::extract::Selector;
use super::token::{self, What};
use super::words::Wording;
use super::{Published, Unreadable};
use crate::policy::{Environment, Role};
use crate::prefix::special_space;

/// Where a text stands.
#[derive(Debug, Clone)]
struct Place {
    line: u32,
    environments: BTreeSet<Environment>,
    label: Option<String>,
    text: String,
}

fn unreadable(line: u32, reason: String) -> Unreadable {
    Unreadable { line: Some(line), reason }
}

/// The entry that a text is.
fn entries(text: &str, place: &Place, selector: &Selector) -> Result<Vec<Published>, Unreadable> {
    let trimmed = text.trim();
    let shown = token::shown(trimmed);
    let found = token::find(trimmed);
    let span = match found.as_slice() {
        [one] if one.start == 0 && one.end == trimmed.len() => match &one.what {
            What::Span(span) => *span,
            What::Damaged(why) => return Err(unreadable(place.line, format!("damaged: {why}"))),
            What::Near(_) | What::Endpoint => {
                return Err(unreadable(place.line, format!("`{shown}` is no address")));
            }
        },
        _ => return Err(unreadable(place.line, format!("`{shown}` is no address"))),
    };
    let mut listed = Vec::new();
    for prefix in span.prefixes() {
        let bound = if prefix.first().is_ipv4() { selector.widest.0 } else { selector.widest.1 };
        if prefix.length() < bound {
            let reason = format!("`{prefix}` is wider than /{bound}, the widest that a source may be");
            return Err(unreadable(place.line, reason));
        }
        if special_space(&prefix).is_some() {
            return Err(unreadable(
                place.line,
                format!("`{shown}` stands among sources, and nobody can call from there"),
            ));
        }
        listed.push(Published {
            prefix,
            role: Role::Callback,
            environments: place.environments.clone(),
            label: place.label.clone(),
            dates: Vec::new(),
            line: place.line,
            text: place.text.clone(),
        });
    }
    Ok(listed)
}

/// Environments that a key or a value names.
fn named(text: &str) -> BTreeSet<Environment> {
    Wording::new(text).labels()
}

/// The keys and columns under which addresses stand, where none is asked for.
const PREFIXES: &[&str] = &[
    "cidr",
    "cidrs",
    "prefix",
    "prefixes",
    "ip prefix",
    "ipv4 prefix",
    "ipv6 prefix",
    "ipv4prefix",
    "ipv6prefix",
    "cidr block",
];
/// Names of lengths.
const LENGTHS: &[&str] =
    &["mask", "netmask", "mask len", "masklen", "prefix len", "prefixlen", "length", "prefix length"];
/// The names of addresses, where none is of prefixes.
const NAMES: &[&str] = &[
    "ip",
    "ip address",
    "ip addresses",
    "ips",
    "address",
    "addresses",
    "network",
    "subnet",
    "range",
    "ip range",
    "ip ranges",
    "ipv4",
    "ipv6",
    "source",
    "source ip",
    "sources",
];

/// The names among these under which the addresses stand, by their places: those of prefixes where there are any.
///
/// An address and its length under names of their own are no list that is read: one of them says nothing.
fn places(names: &[String]) -> Result<Vec<usize>, String> {
    let at = |wanted: &[&str]| -> Vec<usize> {
        names
            .iter()
            .enumerate()
            .filter(|(_, name)| wanted.contains(&Wording::new(name).text()))
            .map(|(at, _)| at)
            .collect()
    };
    let prefixes = at(PREFIXES);
    if !prefixes.is_empty() {
        return Ok(prefixes);
    }
    let found = at(NAMES);
    let masks = at(LENGTHS);
    if !found.is_empty() && !masks.is_empty() {
        return Err(
            "addresses and lengths stand under names of their own: name the one of whole prefixes".to_owned()
        );
    }
    Ok(found)
}
