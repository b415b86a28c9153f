//! What is decided, interval by interval. Rules of others can be very many: an interval takes little room.

use std::net::IpAddr;

use super::{RuleId, Ruling};
use crate::prefix::first::{Both, Grounded};
use crate::prefix::span::{Number, Span};
use crate::prefix::{Family, PrefixSet};

/// An interval of sources with one fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// First address.
    pub first: IpAddr,
    /// Last address, of the same family.
    pub last: IpAddr,
    /// What becomes of connections from there.
    pub ruling: Ruling,
    /// By which rule; `None` where no rule looks at them.
    pub rule: Option<RuleId>,
}

impl Decided {
    /// An interval of numbers with its fate.
    pub(crate) fn over<N: Number>(span: Span<N>, ruling: Ruling, rule: Option<RuleId>) -> Self {
        Self { first: span.0.to_ip(), last: span.1.to_ip(), ruling, rule }
    }
}

/// What becomes of an interval, and by which rule.
pub(crate) type Fate = (Ruling, Option<RuleId>);

/// Decided intervals in order, IPv4 first.
#[derive(Debug, Clone, Default)]
pub struct Decisions(Both<Held>);

/// A fate in little room: a rule's number or [`NO_RULE`], then two bits for the ruling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held(u32);

/// Stands for no rule.
const NO_RULE: u32 = RuleId::MAX + 1;

impl Held {
    pub(crate) fn new((ruling, rule): Fate) -> Self {
        debug_assert!(rule.is_none_or(|rule| rule.0 <= RuleId::MAX));
        let rule = rule.map_or(NO_RULE, |rule| rule.0.min(NO_RULE));
        let ruling = match ruling {
            Ruling::Accept => 0,
            Ruling::Drop => 1,
            Ruling::Reject => 2,
        };
        Self(rule << 2 | ruling)
    }

    fn ruling(self) -> Ruling {
        match self.0 & 3 {
            0 => Ruling::Accept,
            1 => Ruling::Drop,
            _ => Ruling::Reject,
        }
    }

    fn fate(self) -> Fate {
        let rule = self.0 >> 2;
        (self.ruling(), (rule != NO_RULE).then_some(RuleId(rule)))
    }

    fn renumber(&mut self, number: &mut impl FnMut(RuleId) -> RuleId) {
        let (ruling, rule) = self.fate();
        *self = Self::new((ruling, rule.map(number)));
    }
}

/// One of them as it is held.
pub(crate) type Piece<N> = (Span<N>, Held);

fn decided<N: Number>((span, held): Piece<N>) -> Decided {
    let (ruling, rule) = held.fate();
    Decided::over(span, ruling, rule)
}

impl Decisions {
    /// Those of both families.
    pub(crate) fn of(v4: Grounded<u32, Held>, v6: Grounded<u128, Held>) -> Self {
        Self(Both { v4, v6 })
    }

    /// Those of one family alone.
    pub(crate) fn of_one<N: Number>(held: Grounded<N, Held>) -> Self {
        Self(N::alone(held))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Decided> + '_ {
        self.0.v4.all().map(decided).chain(self.0.v6.all().map(decided))
    }

    /// Those of one family.
    pub fn of_family(&self, family: Family) -> impl Iterator<Item = Decided> + '_ {
        let (v4, v6) = match family {
            Family::V4 => (u32::ALL, Default::default()),
            Family::V6 => (Default::default(), u128::ALL),
        };
        self.0.v4.within(v4).map(decided).chain(self.0.v6.within(v6).map(decided))
    }

    /// The intervals of a family as numbers.
    pub(crate) fn spans<N: Number>(&self) -> impl Iterator<Item = (Span<N>, Fate)> {
        N::held(&self.0).all().map(|(span, held)| (span, held.fate()))
    }

    /// The first of them.
    pub fn first(&self) -> Option<Decided> {
        self.iter().next()
    }

    /// Those that a range touches, cut to it.
    pub fn within(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = Decided> + '_ {
        let v4 = u32::of(first).zip(u32::of(last)).map(|span| self.0.v4.cut(span).map(decided));
        let v6 = u128::of(first).zip(u128::of(last)).map(|span| self.0.v6.cut(span).map(decided));
        v4.into_iter().flatten().chain(v6.into_iter().flatten())
    }

    /// The same with other numbers of rules.
    pub(crate) fn renumber(&mut self, mut number: impl FnMut(RuleId) -> RuleId) {
        self.0.v4.tags_mut().chain(self.0.v6.tags_mut()).for_each(|held| held.renumber(&mut number));
    }

    /// The addresses that are accepted.
    pub(super) fn accepted(&self) -> PrefixSet {
        self.0.set_of(|held| held.ruling() == Ruling::Accept)
    }

    /// Puts them in order.
    pub(super) fn sort(&mut self) {
        sort(&mut self.0.v4.pieces);
        sort(&mut self.0.v6.pieces);
    }

    /// More of them, which come after those of their family.
    pub(super) fn append(&mut self, other: Self) {
        append(&mut self.0.v4, other.0.v4);
        append(&mut self.0.v6, other.0.v6);
    }
}

fn sort<N: Number>(pieces: &mut [Piece<N>]) {
    if !pieces.is_sorted_by_key(|(span, _)| span.0) {
        pieces.sort_by_key(|(span, _)| span.0);
    }
}

fn append<N: Number>(all: &mut Grounded<N, Held>, other: Grounded<N, Held>) {
    if all.is_empty() {
        *all = other;
    } else if !other.is_empty() {
        *all = all.all().chain(other.all()).collect::<Vec<_>>().into();
    }
}

impl FromIterator<Decided> for Decisions {
    fn from_iter<I: IntoIterator<Item = Decided>>(all: I) -> Self {
        let mut decisions = Self::default();
        for one in all {
            let held = Held::new((one.ruling, one.rule));
            match (one.first, one.last) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    decisions.0.v4.pieces.push(((first.into(), last.into()), held));
                }
                (IpAddr::V6(first), IpAddr::V6(last)) => {
                    decisions.0.v6.pieces.push(((first.into(), last.into()), held));
                }
                // No interval has two families.
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
            }
        }
        decisions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fate_is_the_same_in_little_room() {
        for ruling in [Ruling::Accept, Ruling::Drop, Ruling::Reject] {
            for rule in [None, Some(0), Some(1), Some(0x1234_5678), Some(RuleId::MAX)] {
                let fate = (ruling, rule.map(RuleId));
                let mut held = Held::new(fate);
                assert_eq!(held.fate(), fate);
                held.renumber(&mut |RuleId(rule)| RuleId(RuleId::MAX - rule));
                assert_eq!(held.fate(), (ruling, rule.map(|rule| RuleId(RuleId::MAX - rule))));
            }
        }
    }
}
