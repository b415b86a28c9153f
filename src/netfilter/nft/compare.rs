//! Comparisons: a field, perhaps behind a mask, with values, sets and ranges.

use std::sync::Arc;

use super::elements::{Holds, Shape, written_out};
use super::values::{Atom, Kind, atom, constant, single, spans, v6, values};
use super::{Expr, Operator};
use crate::netfilter::{Field, Lookup, Match, Set, SetRef, Span, Spans, Test, Values};
use crate::prefix::span::{Number, normalise};

/// More intervals than this a mask of addresses may not make.
const MASKED_MAX: usize = 65_536;

/// A field with the mask that is laid over it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'t, 'a> {
    pub(super) field: Field,
    pub(super) kind: Kind,
    pub(super) mask: Option<&'t Expr<'a>>,
}

/// Whether what is listed must be or must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sense {
    Is,
    IsNot,
}

impl Sense {
    fn of(self, test: Test) -> Match {
        Match { negated: self == Sense::IsNot, test }
    }
}

/// One field compared; `None` where it is not understood.
pub(super) fn one(seen: Seen<'_, '_>, operator: Operator, right: &Expr<'_>) -> Option<Match> {
    if let Expr::Named(name) = right {
        let set = SetRef::Named(Arc::from(name.as_ref()));
        return match seen.mask {
            None => Some(equality(operator)?.of(lookup(vec![seen.field], set))),
            Some(_) => None,
        };
    }
    if seen.kind.is_flags()
        && seen.mask.is_none()
        && matches!(operator, Operator::Implicit | Operator::None)
        && !matches!(right, Expr::Set(_))
    {
        return flags(seen, operator, right);
    }
    let (sense, found) = match operator {
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            let Side::Of(found) = beyond(operator, &single(atom(seen.kind, right)?))? else {
                return Some(Sense::Is.of(Test::Constant(false)));
            };
            (Sense::Is, found)
        }
        Operator::Implicit | Operator::Equal | Operator::NotEqual | Operator::None => {
            (equality(operator)?, listed(seen.kind, right)?)
        }
    };
    let test = match seen.mask {
        None => Test::Is(seen.field, found),
        Some(mask) => masked(seen, mask, &found)?,
    };
    Some(sense.of(test))
}

/// Several fields compared together; `None` where that is not understood.
pub(super) fn several(fields: &[(Field, Kind)], operator: Operator, right: &Expr<'_>) -> Option<Match> {
    let sense = equality(operator)?;
    let names = fields.iter().map(|(field, _)| *field).collect();
    let set = match right {
        Expr::Named(name) => SetRef::Named(Arc::from(name.as_ref())),
        Expr::Set(entries) => anonymous(fields, Holds::Nothing, entries)?,
        Expr::Concat(_) => {
            let entry = super::Entry { key: right.clone(), value: None };
            anonymous(fields, Holds::Nothing, &[entry])?
        }
        Expr::Word(_)
        | Expr::Wildcard
        | Expr::Select(_)
        | Expr::List(_)
        | Expr::Range(_)
        | Expr::Prefix(..)
        | Expr::Binary(..)
        | Expr::Map(_)
        | Expr::Unknown(_) => return None,
    };
    Some(sense.of(lookup(names, set)))
}

/// A set that a rule writes out, looked up with these fields.
pub(super) fn anonymous(
    fields: &[(Field, Kind)],
    holds: Holds,
    entries: &[super::Entry<'_>],
) -> Option<SetRef> {
    let keys = fields.iter().map(|(_, kind)| *kind).collect();
    let elements = written_out(Shape { keys, holds }, entries)?;
    Some(SetRef::Anonymous(Arc::new(Set { elements, dynamic: false, dimensions: Vec::new() })))
}

fn lookup(fields: Vec<Field>, set: SetRef) -> Test {
    Test::In(Box::new(Lookup { fields, set }))
}

fn equality(operator: Operator) -> Option<Sense> {
    match operator {
        Operator::Implicit | Operator::Equal => Some(Sense::Is),
        Operator::NotEqual => Some(Sense::IsNot),
        Operator::Less
        | Operator::LessOrEqual
        | Operator::Greater
        | Operator::GreaterOrEqual
        | Operator::None => None,
    }
}

/// Flags that are only named: any of them, or with `!` none.
fn flags(seen: Seen<'_, '_>, operator: Operator, right: &Expr<'_>) -> Option<Match> {
    let mask = constant(seen.kind, right)?;
    let wanted = if operator == Operator::None { (0, 0) } else { (1, u32::MAX) };
    Some(Sense::Is.of(Test::Is(seen.field, Values::Masked { mask, values: Spans::One(wanted) })))
}

/// All values of the right side.
fn listed(kind: Kind, right: &Expr<'_>) -> Option<Values> {
    let Expr::Set(entries) = right else { return atom(kind, right).map(single) };
    let mut atoms = Vec::with_capacity(entries.len());
    for entry in entries {
        atoms.push(atom(kind, &entry.key)?);
    }
    values(atoms)
}

/// What lies on the one side of a value: `None` where there are no sides, an empty side where nothing does.
fn beyond(operator: Operator, limit: &Values) -> Option<Side> {
    match limit {
        Values::V4(Spans::One((at, last))) if at == last => {
            Some(side(operator, *at).map_or(Side::Empty, |span| Side::Of(Values::V4(Spans::One(span)))))
        }
        Values::V6(Spans::One((at, last))) if at == last => {
            Some(side(operator, *at).map_or(Side::Empty, |span| Side::Of(Values::V6(Spans::One(span)))))
        }
        Values::Numbers(Spans::One((at, last))) if at == last => {
            Some(side(operator, *at).map_or(Side::Empty, |span| Side::Of(Values::Numbers(Spans::One(span)))))
        }
        Values::V4(_)
        | Values::V6(_)
        | Values::Numbers(_)
        | Values::Masked { .. }
        | Values::Names(_)
        | Values::Any => None,
    }
}

/// Values on one side of another.
enum Side {
    Empty,
    Of(Values),
}

fn side<N: Number>(operator: Operator, limit: N) -> Option<Span<N>> {
    match operator {
        Operator::Less => Some((N::MIN, limit.before()?)),
        Operator::LessOrEqual => Some((N::MIN, limit)),
        Operator::Greater => Some((limit.after()?, N::MAX)),
        Operator::GreaterOrEqual => Some((limit, N::MAX)),
        Operator::Implicit | Operator::Equal | Operator::NotEqual | Operator::None => None,
    }
}

/// A field behind a mask.
fn masked(seen: Seen<'_, '_>, mask: &Expr<'_>, found: &Values) -> Option<Test> {
    match found {
        Values::Numbers(numbers) => {
            let mask = constant(seen.kind, mask)?;
            Some(Test::Is(seen.field, Values::Masked { mask, values: numbers.clone() }))
        }
        Values::V4(wanted) => {
            let Atom::V4((mask, _)) = atom(Kind::V4, mask)? else { return None };
            let wide: Vec<Span<u128>> = wanted
                .as_slice()
                .iter()
                .map(|(first, last)| (u128::from(*first), u128::from(*last)))
                .collect();
            // As the upper bits of no wider address than it is.
            let all = u128::from(u32::MAX);
            let narrow = |at: u128| u32::try_from(at & all).ok();
            let found = unmasked(u128::from(mask), all, &wide)?;
            let found: Option<Vec<Span<u32>>> =
                found.into_iter().map(|(first, last)| Some((narrow(first)?, narrow(last)?))).collect();
            Some(test(seen.field, found?, Values::V4))
        }
        Values::V6(wanted) => {
            let Expr::Word(text) = mask else { return None };
            let (mask, _) = v6(text)?;
            let found = unmasked(mask, u128::MAX, wanted.as_slice())?;
            Some(test(seen.field, found, Values::V6))
        }
        Values::Names(_) | Values::Masked { .. } | Values::Any => None,
    }
}

/// Whether the field is in one of these; where none is left, it never is.
fn test<N: Number>(field: Field, found: Vec<Span<N>>, values: fn(Spans<N>) -> Values) -> Test {
    if found.is_empty() { Test::Constant(false) } else { Test::Is(field, values(spans(found))) }
}

/// The addresses that a mask makes one of these, as intervals; `None` where they are too many.
fn unmasked(mask: u128, all: u128, wanted: &[Span<u128>]) -> Option<Vec<Span<u128>>> {
    let tail = (!mask & all).trailing_ones();
    let run = 1_u128.checked_shl(tail).map_or(u128::MAX, |next| next - 1);
    // Free bits above the tail: each doubles the intervals.
    let free = !mask & all & !run;
    let mut found = Vec::new();
    for (first, last) in wanted {
        // A range means every masked value in it: only single values are worth the enumeration.
        if first != last {
            if free != 0 {
                return None;
            }
            let (low, high) = (first.checked_add(run)? & !run, last & !run);
            if low <= high {
                found.push((low, high | run));
            }
            continue;
        }
        if first & !mask & all != 0 {
            continue;
        }
        if free.count_ones() > 16 || found.len().saturating_add(1 << free.count_ones()) > MASKED_MAX {
            return None;
        }
        // Counts through the free bits only: the carry runs over the others.
        let mut bits = 0_u128;
        loop {
            found.push((first | bits, first | bits | run));
            bits = bits.wrapping_sub(free) & free;
            if bits == 0 {
                break;
            }
        }
    }
    Some(normalise(found))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::unmasked;

    proptest! {
        #[test]
        fn a_masks_intervals_hold_what_it_makes_the_value_and_nothing_else(
            mask in any::<u16>(), first in any::<u16>(), length in 0..3_u16, probe in any::<u16>(),
        ) {
            let all = u128::from(u16::MAX);
            let last = first.saturating_add(length);
            if let Some(found) = unmasked(u128::from(mask), all, &[(u128::from(first), u128::from(last))]) {
                let inside = |at: u16| found.iter().any(|(low, high)| (*low..=*high).contains(&u128::from(at)));
                for at in [probe, first, last, first | !mask, probe & !mask | first & mask] {
                    prop_assert_eq!(inside(at), (first..=last).contains(&(at & mask)), "{}", at);
                }
            } else {
                prop_assert!(length > 0 || mask.count_zeros() > 16);
            }
        }
    }
}
