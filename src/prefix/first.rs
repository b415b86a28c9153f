//! Which of many intervals decides: the one of highest precedence among those that hold an address.
//!
//! Allow and deny lines (the first), networks of a `geo` table (the longest), rules of a network ACL (the lowest
//! number) and of security groups (any) are all told apart by it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::span::{Number, Span};

/// Cuts the space where another interval decides. `spans` are in order of precedence; each answer has the index
/// of the interval that decides there. What no interval holds is left out. The answers are ascending and
/// disjoint, and neighbours of one interval are joined.
///
/// It costs as much as sorting.
pub(crate) fn deciding<N: Number>(spans: &[Span<N>]) -> Vec<(Span<N>, usize)> {
    let mut order: Vec<(N, N, usize)> =
        spans.iter().enumerate().map(|(index, (first, last))| (*first, *last, index)).collect();
    if !order.is_sorted() {
        order.sort_unstable();
    }
    let mut decided: Vec<(Span<N>, usize)> = Vec::with_capacity(order.len());
    // What holds the address that the sweep is at, or held one before it.
    let mut open: BinaryHeap<Reverse<(usize, N)>> = BinaryHeap::new();
    let mut coming = order.into_iter().peekable();
    let mut at = N::MIN;
    loop {
        while let Some((first, last, index)) = coming.next_if(|(first, ..)| *first <= at) {
            debug_assert!(first <= last);
            open.push(Reverse((index, last)));
        }
        while open.peek().is_some_and(|Reverse((_, last))| *last < at) {
            open.pop();
        }
        let next = coming.peek().map(|(first, ..)| *first);
        let Some(Reverse((index, last))) = open.peek() else {
            // A gap: on to where the next one starts.
            let Some(first) = next else { return decided };
            at = first;
            continue;
        };
        let end = next.and_then(Number::before).map_or(*last, |before| before.min(*last));
        push(&mut decided, (at, end), *index);
        let Some(after) = end.after() else { return decided };
        at = after;
    }
}

/// Adds an interval, joined to the one before where nothing tells them apart.
fn push<N: Number>(decided: &mut Vec<(Span<N>, usize)>, span: Span<N>, index: usize) {
    match decided.last_mut() {
        Some((open, of)) if *of == index && open.1.after() == Some(span.0) => open.1 = span.1,
        _ => decided.push((span, index)),
    }
}

/// The parts of sorted, disjoint pieces that lie within sorted, disjoint intervals.
pub(crate) fn within<N: Number, T: Copy>(pieces: &[(Span<N>, T)], within: &[Span<N>]) -> Vec<(Span<N>, T)> {
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_that_holds_an_address_decides() {
        let spans = [(10, 19), (0, 100), (15, 30), (u32::MAX, u32::MAX), (0, u32::MAX)];
        let found = deciding(&spans);
        assert_eq!(
            found,
            [((0, 9), 1), ((10, 19), 0), ((20, 100), 1), ((101, u32::MAX - 1), 4), ((u32::MAX, u32::MAX), 3)]
        );
        assert_eq!(deciding::<u32>(&[]), []);
        assert_eq!(deciding(&[(5_u128, 5)]), [((5, 5), 0)]);
    }

    #[test]
    fn pieces_are_cut_at_both_ends() {
        let pieces = [((0_u32, 9), 'a'), ((10, 19), 'b'), ((30, u32::MAX), 'c')];
        let intervals = [(5, 12), (14, 14), (19, 40), (u32::MAX, u32::MAX)];
        assert_eq!(
            within(&pieces, &intervals),
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

    proptest! {
        #[test]
        fn it_is_what_looking_at_each_in_turn_gives(spans in prop::collection::vec((0_u32..60, 0_u32..20), 0..40)) {
            let spans: Vec<_> = spans.into_iter().map(|(first, more)| (first, first.saturating_add(more))).collect();
            let found = deciding(&spans);
            for address in 0..90 {
                let wanted = spans.iter().position(|(first, last)| *first <= address && address <= *last);
                let got = found.iter().find(|((first, last), _)| *first <= address && address <= *last);
                prop_assert_eq!(got.map(|(_, index)| *index), wanted);
            }
            for pair in found.windows(2) {
                prop_assert!(pair[0].0.1 < pair[1].0.0);
                prop_assert!(pair[0].1 != pair[1].1 || pair[0].0.1.after() != Some(pair[1].0.0));
            }
        }
    }
}
