//! What is decided, interval by interval. Rules of others can be very many: an interval takes little room.

use std::net::IpAddr;

use super::{RuleId, Ruling};
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decisions {
    v4: Vec<Piece<u32>>,
    v6: Vec<Piece<u128>>,
}

/// One of them as it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece<N> {
    span: Span<N>,
    /// A rule's number, or [`NO_RULE`].
    rule: u32,
    ruling: Ruling,
}

/// Stands for no rule: no ruleset has as many.
const NO_RULE: u32 = u32::MAX;

impl<N: Number> Piece<N> {
    pub(crate) fn new(span: Span<N>, (ruling, rule): Fate) -> Self {
        Self { span, rule: rule.map_or(NO_RULE, |rule| rule.0), ruling }
    }

    fn fate(&self) -> Fate {
        (self.ruling, (self.rule != NO_RULE).then_some(RuleId(self.rule)))
    }

    fn decided(&self) -> Decided {
        let (ruling, rule) = self.fate();
        Decided::over(self.span, ruling, rule)
    }

    /// Whether the other one comes right after this one, and has the same fate: then this one ends where that does.
    pub(crate) fn takes_in(&mut self, next: &Self) -> bool {
        let joins = self.fate() == next.fate() && self.span.1.after() == Some(next.span.0);
        if joins {
            self.span.1 = next.span.1;
        }
        joins
    }
}

/// A family whose intervals are held.
pub(crate) trait Held: Number + 'static {
    /// Those of this family.
    fn held(all: &Decisions) -> &[Piece<Self>];
}

impl Held for u32 {
    fn held(all: &Decisions) -> &[Piece<Self>] {
        &all.v4
    }
}

impl Held for u128 {
    fn held(all: &Decisions) -> &[Piece<Self>] {
        &all.v6
    }
}

impl Decisions {
    /// Those of both families.
    pub(crate) fn of(v4: Vec<Piece<u32>>, v6: Vec<Piece<u128>>) -> Self {
        Self { v4, v6 }
    }

    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Decided> + '_ {
        self.v4.iter().map(Piece::decided).chain(self.v6.iter().map(Piece::decided))
    }

    /// Those of one family.
    pub fn of_family(&self, family: Family) -> impl DoubleEndedIterator<Item = Decided> + '_ {
        let (v4, v6) = match family {
            Family::V4 => (self.v4.as_slice(), Default::default()),
            Family::V6 => (Default::default(), self.v6.as_slice()),
        };
        v4.iter().map(Piece::decided).chain(v6.iter().map(Piece::decided))
    }

    /// The intervals of a family as numbers.
    pub(crate) fn spans<N: Held>(&self) -> impl Iterator<Item = (Span<N>, Fate)> {
        N::held(self).iter().map(|piece| (piece.span, piece.fate()))
    }

    /// The first of them.
    pub fn first(&self) -> Option<Decided> {
        self.iter().next()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.v4.len().saturating_add(self.v6.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Those that a range touches, cut to it.
    pub fn within(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = Decided> + '_ {
        let v4 = u32::of(first).zip(u32::of(last)).map(|span| cut(&self.v4, span));
        let v6 = u128::of(first).zip(u128::of(last)).map(|span| cut(&self.v6, span));
        v4.into_iter().flatten().chain(v6.into_iter().flatten())
    }

    /// The same with other numbers of rules.
    pub(crate) fn renumber(&mut self, mut number: impl FnMut(RuleId) -> RuleId) {
        let of_both = self.v4.iter_mut().map(|piece| &mut piece.rule);
        for rule in of_both.chain(self.v6.iter_mut().map(|piece| &mut piece.rule)) {
            if *rule != NO_RULE {
                *rule = number(RuleId(*rule)).0;
            }
        }
    }

    /// The addresses that are accepted.
    pub(super) fn accepted(&self) -> PrefixSet {
        PrefixSet::from_spans(accepted(&self.v4), accepted(&self.v6))
    }

    /// Puts them in order.
    pub(super) fn sort(&mut self) {
        sort(&mut self.v4);
        sort(&mut self.v6);
    }

    /// More of them, which come after those of their family.
    pub(super) fn append(&mut self, mut other: Self) {
        self.v4.append(&mut other.v4);
        self.v6.append(&mut other.v6);
    }
}

fn sort<N: Number>(pieces: &mut [Piece<N>]) {
    if !pieces.is_sorted_by_key(|piece| piece.span.0) {
        pieces.sort_by_key(|piece| piece.span.0);
    }
}

fn accepted<N: Number>(pieces: &[Piece<N>]) -> Vec<Span<N>> {
    let accepted = pieces.iter().filter(|piece| piece.ruling == Ruling::Accept);
    accepted.map(|piece| piece.span).collect()
}

/// Sorted pieces that an interval touches, cut to it.
fn cut<N: Number>(pieces: &[Piece<N>], (first, last): Span<N>) -> impl Iterator<Item = Decided> + '_ {
    let start = pieces.partition_point(|piece| piece.span.1 < first);
    let touched = pieces.iter().skip(start).take_while(move |piece| piece.span.0 <= last);
    touched.map(move |piece| {
        Piece { span: (piece.span.0.max(first), piece.span.1.min(last)), ..*piece }.decided()
    })
}

impl FromIterator<Decided> for Decisions {
    fn from_iter<I: IntoIterator<Item = Decided>>(all: I) -> Self {
        let mut decisions = Self::default();
        for one in all {
            let fate = (one.ruling, one.rule);
            match (one.first, one.last) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    decisions.v4.push(Piece::new((first.into(), last.into()), fate));
                }
                (IpAddr::V6(first), IpAddr::V6(last)) => {
                    decisions.v6.push(Piece::new((first.into(), last.into()), fate));
                }
                // No interval has two families.
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
            }
        }
        decisions
    }
}
