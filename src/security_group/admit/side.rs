//! Addresses of one family as numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::admission::{Decided, RuleId, Ruling};
use crate::prefix::span::{Number, Span};
use crate::prefix::{Family, Prefix, PrefixSet};

/// Numbers that stand for addresses of a family.
pub(super) trait Side: Number {
    const FAMILY: Family;
    /// The addresses of a prefix, where it is of this family.
    fn span(prefix: &Prefix) -> Option<Span<Self>>;
    /// Intervals as a set.
    fn set(spans: Vec<Span<Self>>) -> PrefixSet;
    /// The address that it stands for.
    fn ip(self) -> IpAddr;

    /// An interval with its fate.
    fn decided(span: Span<Self>, ruling: Ruling, rule: Option<RuleId>) -> Decided {
        Decided { first: span.0.ip(), last: span.1.ip(), ruling, rule }
    }
}

impl Side for u32 {
    const FAMILY: Family = Family::V4;

    fn span(prefix: &Prefix) -> Option<Span<Self>> {
        match (prefix.first(), prefix.last()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => Some((first.into(), last.into())),
            _ => None,
        }
    }

    fn set(spans: Vec<Span<Self>>) -> PrefixSet {
        PrefixSet::from_spans(spans, Vec::new())
    }

    fn ip(self) -> IpAddr {
        Ipv4Addr::from(self).into()
    }
}

impl Side for u128 {
    const FAMILY: Family = Family::V6;

    fn span(prefix: &Prefix) -> Option<Span<Self>> {
        match (prefix.first(), prefix.last()) {
            (IpAddr::V6(first), IpAddr::V6(last)) => Some((first.into(), last.into())),
            _ => None,
        }
    }

    fn set(spans: Vec<Span<Self>>) -> PrefixSet {
        PrefixSet::from_spans(Vec::new(), spans)
    }

    fn ip(self) -> IpAddr {
        Ipv6Addr::from(self).into()
    }
}

/// The parts of sorted, disjoint pieces that lie within sorted, disjoint intervals.
pub(super) fn clip<N: Number, T: Copy>(pieces: &[(Span<N>, T)], within: &[Span<N>]) -> Vec<(Span<N>, T)> {
    let mut found = Vec::new();
    let (mut pieces, mut within) = (pieces.iter().peekable(), within.iter().peekable());
    while let (Some(((first, last), of)), Some((from, to))) = (pieces.peek(), within.peek()) {
        let (start, end) = (*first.max(from), *last.min(to));
        if start <= end {
            found.push(((start, end), *of));
        }
        if last < to {
            pieces.next();
        } else {
            within.next();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_at_both_ends() {
        let pieces = [((0_u32, 9), 'a'), ((10, 19), 'b'), ((30, u32::MAX), 'c')];
        let within = [(5, 12), (14, 14), (19, 40), (u32::MAX, u32::MAX)];
        assert_eq!(
            clip(&pieces, &within),
            [
                ((5, 9), 'a'),
                ((10, 12), 'b'),
                ((14, 14), 'b'),
                ((19, 19), 'b'),
                ((30, 40), 'c'),
                ((u32::MAX, u32::MAX), 'c')
            ]
        );
    }
}
