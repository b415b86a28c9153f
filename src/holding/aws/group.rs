//! Rules of ours in a security group.

use super::{Adopt, Line, Lines, Order, Whom, Whose, counted, keyed, lines, read_lines, whose};
use crate::holding::{Content, HoldingError};
use crate::security_group::{Group, Groups, Known, Protocol, Rule, Source};

/// A rule that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The port.
    pub port: u16,
    /// Whom it names.
    pub whom: Whom,
    /// Its description.
    pub description: String,
}

/// The content that has these rules and no others of ours.
pub fn content(wanted: impl IntoIterator<Item = Wanted>) -> Content {
    let line = |one: Wanted| Line {
        whose: Whose::Ours,
        port: Some(one.port),
        source: one.whom,
        description: one.description,
        rule: None,
    };
    Some(lines(keyed(wanted.into_iter().map(line)).into_values()).into())
}

/// What is in a group: the rules that are shaped as ours are. Others, such as those of several ports or for a group, are in
/// nobody's way.
pub fn own(group: &Group) -> Content {
    Some(lines(keyed(group.rules.iter().filter_map(line)).into_values()).into())
}

fn line(rule: &Rule) -> Option<Line> {
    let (Known::Is(Protocol::Tcp), Known::Is((first, last)), Known::Is(source)) =
        (&rule.protocol, &rule.ports, &rule.source)
    else {
        return None;
    };
    let source = match source {
        Source::Prefix(prefix) => Whom::Prefix(*prefix),
        Source::PrefixList(id) => Whom::List(id.clone()),
        Source::Group(_) => return None,
    };
    (first == last).then(|| Line {
        whose: whose(&rule.description),
        port: Some(*first),
        source,
        description: rule.description.clone(),
        rule: (!rule.id.is_empty()).then(|| rule.id.clone()),
    })
}

fn read(text: &str) -> Result<Lines, HoldingError> {
    read_lines(text.lines())
}

/// See [`super::fit`].
pub(super) fn fitted(have: &str, want: &str, adopt: Adopt) -> Result<(String, String), HoldingError> {
    let (mut have, mut want) = (read(have)?, read(want)?);
    super::fit(&mut have, &mut want, adopt);
    Ok((lines(have.into_values()), lines(want.into_values())))
}

/// The orders that make what is there what is wanted; none where it is.
pub(super) fn orders(have: &str, want: &str) -> Result<Vec<Order>, HoldingError> {
    let (have, want) = (read(have)?, read(want)?);
    let (mut adds, mut described, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
    for (key, wanted) in &want {
        let (port, source) = (key.port.unwrap_or_default(), key.whom.clone());
        let description = wanted.description.clone();
        match (have.get(key), wanted.whose) {
            (None, Whose::Ours) => adds.push(Order::Authorize { port, source, description }),
            (Some(known), Whose::Ours) if known.description != description => {
                described.push(Order::Describe { port, source, description });
            }
            // It was taken over, and is given back.
            (Some(known), Whose::Kept | Whose::Others) if known.whose == Whose::Ours => {
                described.push(Order::Describe { port, source, description });
            }
            // It is as it should be. What somebody else took away of theirs is not ours to bring back.
            (Some(_), Whose::Ours) | (_, Whose::Kept | Whose::Others) => {}
        }
    }
    for (key, known) in have.iter().filter(|(_, known)| known.whose == Whose::Ours) {
        if want.contains_key(key) {
            continue;
        }
        let rule = known.rule.clone().ok_or_else(|| HoldingError::nothing(&key.whom.to_string()))?;
        revoked.push(Order::Revoke { rule, port: key.port.unwrap_or_default(), source: key.whom.clone() });
    }
    adds.append(&mut described);
    adds.append(&mut revoked);
    Ok(adds)
}

/// What orders do, in words.
pub(super) fn told(orders: &[Order], have: &str) -> Result<String, HoldingError> {
    let have = read(have)?;
    let is_taken = |order: &Order| {
        matches!(order, Order::Describe { port, source, .. } if have.values().any(|line| {
            line.port == Some(*port) && line.source == *source && line.whose != Whose::Ours
        }))
    };
    let count = |is: &dyn Fn(&Order) -> bool| orders.iter().filter(|order| is(order)).count();
    Ok(counted(&[
        ("add", count(&|order| matches!(order, Order::Authorize { .. }))),
        ("take over", count(&is_taken)),
        ("describe", count(&|order| matches!(order, Order::Describe { .. }) && !is_taken(order))),
        ("revoke", count(&|order| matches!(order, Order::Revoke { .. }))),
    ]))
}

/// Carries orders out on a copy of the groups.
pub(super) fn put_into(groups: &mut Groups, id: &str, orders: &[Order], listing: u32) {
    let Some(group) = groups.groups.iter_mut().find(|group| group.id == id) else { return };
    for (number, order) in orders.iter().enumerate() {
        let line = u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
        let place = crate::security_group::Place { listing, line };
        match order {
            Order::Authorize { port, source, description } => group.rules.push(Rule {
                id: String::new(),
                protocol: Known::Is(Protocol::Tcp),
                ports: Known::Is((*port, *port)),
                source: Known::Is(named(source)),
                description: description.clone(),
                doubt: None,
                place,
            }),
            Order::Describe { port, source, description } => {
                let is_meant = |rule: &&mut Rule| {
                    rule.protocol == Known::Is(Protocol::Tcp)
                        && rule.ports == Known::Is((*port, *port))
                        && rule.source == Known::Is(named(source))
                };
                for rule in group.rules.iter_mut().filter(is_meant) {
                    rule.description.clone_from(description);
                }
            }
            Order::Revoke { rule, .. } => group.rules.retain(|one| one.id != *rule),
            Order::Resize { .. } | Order::Against { .. } | Order::Add { .. } | Order::Remove { .. } => {}
        }
    }
}

fn named(whom: &Whom) -> Source {
    match whom {
        Whom::Prefix(prefix) => Source::Prefix(*prefix),
        Whom::List(id) => Source::PrefixList(id.clone()),
    }
}
