//! Entries of ours in a managed prefix list.
//!
//! A list has versions, and a change names the one that it is about. Its size is what it counts in every group that
//! names it; it is only ever made larger, and only as large as the site says. The description of an entry can't be changed
//! without taking the entry away for a moment: it stays as it is.

use serde::{Deserialize, Serialize};

use super::{
    Adopt, Line, Lines, Order, Whom, Whose, counted, keyed, lines, parsed, read_lines, text_of, whose,
};
use crate::holding::{Content, HoldingError};
use crate::prefix::Prefix;
use crate::security_group::Groups;

/// Entries that AWS takes or gives up in one call.
pub const ENTRIES_A_CALL: usize = 100;

/// What there is of a list besides its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its version, where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Its size.
    pub max_entries: u32,
}

/// A list's content: its head, and its entries with their descriptions.
pub fn content(head: Head, entries: impl IntoIterator<Item = (Prefix, String)>) -> Content {
    let line = |(prefix, description): (Prefix, String)| Line {
        whose: whose(&description),
        port: None,
        source: Whom::Prefix(prefix),
        description,
        rule: None,
    };
    Some((lines([head]) + &lines(keyed(entries.into_iter().map(line)).into_values())).into())
}

pub(super) fn read(text: &str) -> Result<(Head, Lines), HoldingError> {
    let mut text = text.lines();
    let head = parsed(text.next().unwrap_or_default())?;
    Ok((head, read_lines(text)?))
}

/// See [`super::fit`]. An entry of others can't be adopted: it would have to be away for a moment.
pub(super) fn fitted(have: &str, want: &str) -> Result<(String, String), HoldingError> {
    let ((head, mut have), (wanted, mut want)) = (read(have)?, read(want)?);
    super::fit(&mut have, &mut want, Adopt::Nothing);
    let text = |head: Head, all: Lines| lines([head]) + &lines(all.into_values());
    Ok((text(head, have), text(wanted, want)))
}

/// The orders that make what is there what is wanted; none where it is.
pub(super) fn orders(have: &str, want: &str) -> Result<Vec<Order>, HoldingError> {
    let ((head, have), (wanted, want)) = (read(have)?, read(want)?);
    let missing = want.iter().filter(|(key, line)| line.whose == Whose::Ours && !have.contains_key(key));
    let add = |line: &Line| Order::Add { source: line.source.clone(), description: line.description.clone() };
    let adds: Vec<Order> = missing.map(|(_, line)| add(line)).collect();
    let gone = have.iter().filter(|(key, line)| line.whose == Whose::Ours && !want.contains_key(key));
    let removes: Vec<Order> = gone.map(|(_, line)| Order::Remove { source: line.source.clone() }).collect();
    let mut orders = Vec::new();
    if most(have.len(), adds.len(), removes.len()) > head.max_entries && wanted.max_entries > head.max_entries
    {
        orders.push(Order::Resize { max_entries: wanted.max_entries });
    }
    if adds.is_empty() && removes.is_empty() {
        return Ok(orders);
    }
    let version = head.version.ok_or_else(|| HoldingError::nothing("a list without a version"))?;
    orders.push(Order::Against { version });
    orders.extend(adds);
    orders.extend(removes);
    Ok(orders)
}

/// How many entries the list has at most while it is changed: what fits into one call comes and goes at once.
fn most(have: usize, adds: usize, removes: usize) -> u32 {
    let together = have.saturating_add(adds);
    let is_one_call = adds <= ENTRIES_A_CALL && removes <= ENTRIES_A_CALL;
    let most = if is_one_call { together.saturating_sub(removes) } else { together };
    u32::try_from(most).unwrap_or(u32::MAX)
}

/// How many entries are too many for the list's size, as it will be; with that size.
pub fn lacking(have: &Content, want: &Content) -> Result<Option<(u32, u32)>, HoldingError> {
    let (have, want) = (text_of(have), text_of(want));
    let orders = orders(have, want)?;
    let ((head, have), (wanted, _)) = (read(have)?, read(want)?);
    let count = |is: fn(&Order) -> bool| orders.iter().filter(|order| is(order)).count();
    let adds = count(|order| matches!(order, Order::Add { .. }));
    let removes = count(|order| matches!(order, Order::Remove { .. }));
    let size = head.max_entries.max(wanted.max_entries);
    let most = most(have.len(), adds, removes);
    Ok((adds > 0 && most > size).then_some((most, size)))
}

/// What orders do, in words.
pub(super) fn told(orders: &[Order]) -> String {
    let count = |is: fn(&Order) -> bool| orders.iter().filter(|order| is(order)).count();
    let size = orders.iter().find_map(|order| match order {
        Order::Resize { max_entries } => usize::try_from(*max_entries).ok(),
        _ => None,
    });
    counted(&[
        ("make it a list of", size.unwrap_or_default()),
        ("add", count(|order| matches!(order, Order::Add { .. }))),
        ("remove", count(|order| matches!(order, Order::Remove { .. }))),
    ])
}

/// The list's size and version.
pub fn head(content: &Content) -> Result<Head, HoldingError> {
    Ok(read(text_of(content))?.0)
}

/// Carries orders out on a copy of the groups.
pub(super) fn put_into(groups: &mut Groups, id: &str, orders: &[Order]) {
    let Some(list) = groups.prefix_lists.iter_mut().find(|list| list.id == id) else { return };
    for order in orders {
        match order {
            Order::Resize { max_entries } => list.entries_max = Some(*max_entries),
            Order::Add { source: Whom::Prefix(prefix), .. } => {
                list.entries.get_or_insert_default().push(*prefix);
            }
            Order::Remove { source: Whom::Prefix(prefix) } => {
                list.entries.get_or_insert_default().retain(|one| one != prefix);
            }
            Order::Add { .. }
            | Order::Remove { .. }
            | Order::Against { .. }
            | Order::Authorize { .. }
            | Order::Describe { .. }
            | Order::Revoke { .. } => {}
        }
    }
}
