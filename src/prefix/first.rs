//! Which of many intervals decides: the one of highest precedence among those that hold an address.
//!
//! Allow and deny lines (the first), networks of a `geo` table (the longest), rules of a network ACL (the lowest
//! number) and of security groups (any) are all told apart by it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::span::{Number, Span};

/// Cuts the space where another interval decides. `layers` are in order of precedence, each with what tells it
/// from others. The answers are ascending and disjoint, and neighbours that nothing tells apart are joined. What no
/// interval holds is left out.
///
/// It costs as much as sorting; lists that ascend already, with or without an end that holds everything, are not
/// sorted.
pub(crate) fn deciding<N: Number, T: Copy + PartialEq>(mut layers: Vec<(Span<N>, T)>) -> Vec<(Span<N>, T)> {
    // What holds everything hides all that comes after it, and shows wherever nothing comes before it.
    let ground = layers.iter().position(|(span, _)| *span == (N::MIN, N::MAX));
    let ground = ground.and_then(|at| layers.drain(at..).next());
    if !layers.is_sorted_by(|(before, _), (after, _)| before.1 < after.0) {
        layers = swept(&layers);
    }
    if let Some((_, tag)) = ground {
        layers = filled(&layers, tag);
    }
    layers.dedup_by(|one, open| {
        let joins = open.1 == one.1 && open.0.1.after() == Some(one.0.0);
        if joins {
            open.0.1 = one.0.1;
        }
        joins
    });
    layers
}

/// The same for any list, by a sweep.
fn swept<N: Number, T: Copy>(layers: &[(Span<N>, T)]) -> Vec<(Span<N>, T)> {
    let mut order: Vec<(N, N, usize)> =
        layers.iter().enumerate().map(|(index, ((first, last), _))| (*first, *last, index)).collect();
    order.sort_unstable();
    let mut decided = Vec::with_capacity(order.len());
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
        decided.extend(layers.get(*index).map(|(_, tag)| ((at, end), *tag)));
        let Some(after) = end.after() else { return decided };
        at = after;
    }
}

/// Sorted, disjoint pieces, and another wherever they leave a gap.
fn filled<N: Number, T: Copy>(pieces: &[(Span<N>, T)], ground: T) -> Vec<(Span<N>, T)> {
    let mut all = Vec::with_capacity(pieces.len().saturating_mul(2).saturating_add(1));
    let mut at = Some(N::MIN);
    for (span, tag) in pieces {
        let gap = at.zip(span.0.before()).filter(|(from, to)| from <= to);
        all.extend(gap.map(|gap| (gap, ground)));
        all.push((*span, *tag));
        at = span.1.after();
    }
    all.extend(at.map(|from| ((from, N::MAX), ground)));
    all
}

/// The parts of sorted, disjoint pieces that lie within sorted, disjoint intervals.
pub(crate) fn within<N: Number, T: Copy>(
    pieces: &[(Span<N>, T)],
    within: &[Span<N>],
) -> impl Iterator<Item = (Span<N>, T)> {
    let is_everything = within == [(N::MIN, N::MAX)];
    let (mut pieces, mut within) = (pieces.iter().peekable(), within.iter().peekable());
    std::iter::from_fn(move || {
        if is_everything {
            return pieces.next().copied();
        }
        while let (Some(((first, last), tag)), Some((from, to))) = (pieces.peek(), within.peek()) {
            let span = (*first.max(from), *last.min(to));
            if last < to {
                pieces.next();
            } else {
                within.next();
            }
            if span.0 <= span.1 {
                return Some((span, *tag));
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_that_holds_an_address_decides() {
        const END: u32 = u32::MAX;
        let layers = [((10, 19), 'a'), ((0, 100), 'b'), ((15, 30), 'c'), ((END, END), 'd'), ((0, END), 'e')];
        assert_eq!(
            deciding([&layers[..], &[((0, 5), 'f'), ((0, END), 'g')]].concat()),
            [((0, 9), 'b'), ((10, 19), 'a'), ((20, 100), 'b'), ((101, END - 1), 'e'), ((END, END), 'd')]
        );
        assert_eq!(deciding::<u32, char>(Vec::new()), []);
        assert_eq!(deciding(vec![((5_u128, 5), 'a')]), [((5, 5), 'a')]);
    }

    #[test]
    fn what_ascends_is_joined_where_nothing_tells_it_apart() {
        let ascending = vec![((1_u32, 2), 'a'), ((3, 4), 'a'), ((6, 7), 'a'), ((8, 8), 'b')];
        let joined = [((1, 4), 'a'), ((6, 7), 'a'), ((8, 8), 'b')];
        assert_eq!(deciding(ascending.clone()), joined);
        let grounded = deciding([&ascending[..], &[((0, u32::MAX), 'b')]].concat());
        assert_eq!(
            grounded,
            [((0, 0), 'b'), ((1, 4), 'a'), ((5, 5), 'b'), ((6, 7), 'a'), ((8, u32::MAX), 'b')]
        );
    }

    #[test]
    fn pieces_are_cut_at_both_ends() {
        let pieces = [((0_u32, 9), 'a'), ((10, 19), 'b'), ((30, u32::MAX), 'c')];
        let intervals = [(5, 12), (14, 14), (19, 40), (u32::MAX, u32::MAX)];
        assert_eq!(
            within(&pieces, &intervals).collect::<Vec<_>>(),
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
        fn it_is_what_looking_at_each_in_turn_gives(
            spans in prop::collection::vec((0_u32..60, 0_u32..20, 0..6), 0..40),
            ground in 0_usize..60,
            is_sorted in any::<bool>(),
        ) {
            let mut layers: Vec<_> =
                spans.into_iter().map(|(first, more, tag)| ((first, first.saturating_add(more)), tag)).collect();
            if is_sorted {
                layers.sort_unstable();
                layers.dedup_by(|after, before| after.0.0 <= before.0.1);
            }
            if ground < layers.len() {
                layers.insert(ground, ((0, u32::MAX), 9));
            }
            let holds = |(first, last): (u32, u32), address| first <= address && address <= last;
            let found = deciding(layers.clone());
            for address in (0..90).chain([u32::MAX]) {
                let wanted = layers.iter().find(|(span, _)| holds(*span, address));
                let got = found.iter().find(|(span, _)| holds(*span, address));
                prop_assert_eq!(got.map(|(_, tag)| *tag), wanted.map(|(_, tag)| *tag));
            }
            for pair in found.windows(2) {
                prop_assert!(pair[0].0.1 < pair[1].0.0);
                prop_assert!(pair[0].1 != pair[1].1 || pair[0].0.1.after() != Some(pair[1].0.0));
            }
        }
    }
}
