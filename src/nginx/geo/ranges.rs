//! Ranges of `geo`, each within one before it or beside all.
//!
//! nginx holds them in slices of 65,536 addresses and looks at each slice alone. So a range that reaches over
//! several may lie over others there, if it is equal to them or within them in each slice.

use std::collections::BTreeMap;

use crate::prefix::first::Grounded;
use crate::prefix::span::{Number as _, Span};

/// Bits of an address within its slice.
const SLICE: u32 = 0xffff;

/// Disjoint ranges with their values.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// By the first address: the last, and the value.
    pieces: BTreeMap<u32, (u32, usize)>,
}

impl Ranges {
    /// Gives a range a value; whether it may lie where it does.
    pub(super) fn give(&mut self, span: Span<u32>, value: usize) -> bool {
        let met = self.met(span);
        let fits = met.iter().all(|(first, last, _)| {
            // In the first and the last slice that both have, the new one may not stand out.
            let from = span.0.max(span.0.max(*first) & !SLICE);
            let to = span.1.min(span.1.min(*last) | SLICE);
            from >= *first && to <= *last
        });
        if fits {
            for piece in met {
                self.cut(piece, span);
            }
            self.pieces.insert(span.0, (span.1, value));
        }
        fits
    }

    /// Takes a range away, where it is in a slice exactly; whether it was so in all.
    pub(super) fn delete(&mut self, span: Span<u32>) -> bool {
        let mut left = u64::from(span.1 - span.0) + 1;
        for piece in self.met(span) {
            let (first, last, _) = piece;
            // Between the first and the last slice that both have, both are whole.
            let (low, high) = (span.0.max(first), span.1.min(last));
            let equal = |slice: u32| {
                let (start, end) = (slice & !SLICE, slice | SLICE);
                span.0.max(start) == first.max(start) && span.1.min(end) == last.min(end)
            };
            let from = if equal(low) { Some(low) } else { (low | SLICE).after() };
            let to = if equal(high) { Some(high) } else { (high & !SLICE).before() };
            if let (Some(from), Some(to)) = (from, to)
                && from <= to
            {
                self.cut(piece, (from, to));
                left -= u64::from(to - from) + 1;
            }
        }
        left == 0
    }

    /// The value of every address, this one where no range is.
    pub(super) fn table(&self, default: usize) -> Grounded<u32, usize> {
        let pieces = self.pieces.iter().map(|(first, (last, value))| ((*first, *last), *value));
        Grounded { pieces: pieces.collect(), ground: Some(default) }
    }

    /// The pieces that a range meets.
    fn met(&self, span: Span<u32>) -> Vec<(u32, u32, usize)> {
        let before = self.pieces.range(..span.0).next_back().filter(|(_, (last, _))| *last >= span.0);
        let within = self.pieces.range(span.0..=span.1);
        before.into_iter().chain(within).map(|(first, (last, value))| (*first, *last, *value)).collect()
    }

    /// Leaves of a piece what is outside of a range.
    fn cut(&mut self, (first, last, value): (u32, u32, usize), span: Span<u32>) {
        self.pieces.remove(&first);
        if let Some(end) = span.0.before().filter(|end| *end >= first) {
            self.pieces.insert(first, (end, value));
        }
        if let Some(start) = span.1.after().filter(|start| *start <= last) {
            self.pieces.insert(start, (last, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What nginx does, slice by slice.
    #[derive(Default)]
    struct Slices(BTreeMap<u32, Vec<(u32, u32, usize)>>);

    impl Slices {
        fn parts(span: Span<u32>) -> impl Iterator<Item = (u32, u32, u32)> {
            let slices = span.0 >> 16..=span.1 >> 16;
            slices.map(move |slice| (slice, span.0.max(slice << 16), span.1.min(slice << 16 | SLICE)))
        }

        fn give(&mut self, span: Span<u32>, value: usize) -> bool {
            for (slice, first, last) in Self::parts(span) {
                let pieces = self.0.entry(slice).or_default();
                let met = pieces.iter().position(|piece| piece.0 <= last && first <= piece.1);
                let Some(met) = met else {
                    pieces.push((first, last, value));
                    continue;
                };
                let old = pieces.swap_remove(met);
                if first < old.0 || last > old.1 {
                    return false;
                }
                pieces.push((first, last, value));
                if old.0 < first {
                    pieces.push((old.0, first - 1, old.2));
                }
                if last < old.1 {
                    pieces.push((last + 1, old.1, old.2));
                }
            }
            true
        }

        fn delete(&mut self, span: Span<u32>) -> bool {
            let mut whole = true;
            for (slice, first, last) in Self::parts(span) {
                let pieces = self.0.entry(slice).or_default();
                let count = pieces.len();
                pieces.retain(|piece| (piece.0, piece.1) != (first, last));
                whole &= pieces.len() < count;
            }
            whole
        }

        fn value(&self, address: u32) -> usize {
            let pieces = self.0.get(&(address >> 16)).map_or(&[][..], |pieces| pieces);
            pieces.iter().find(|piece| piece.0 <= address && address <= piece.1).map_or(0, |piece| piece.2)
        }
    }

    #[test]
    fn the_last_wins_within_one_before_it() {
        let mut ranges = Ranges::default();
        assert!(ranges.give((0, 9), 1) && ranges.give((1, 5), 2) && ranges.give((1, 5), 3));
        assert_eq!(
            ranges.table(7).all().collect::<Vec<_>>(),
            [((0, 0), 1), ((1, 5), 3), ((6, 9), 1), ((10, u32::MAX), 7)]
        );
        assert!(!ranges.give((0, 9), 4) && !ranges.give((5, 6), 4) && !ranges.give((9, 10), 4));
        assert!(!ranges.delete((0, 9)) && ranges.delete((1, 5)));
        assert_eq!(ranges.table(7).all().nth(1), Some(((1, 5), 7)));
    }

    /// Ends near those of slices.
    fn end() -> impl Strategy<Value = u32> {
        (0_u32..4, prop_oneof![0_u32..4, 0xfffc_u32..=0xffff]).prop_map(|(slice, low)| slice << 16 | low)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn it_is_what_slices_give(entries in prop::collection::vec((end(), end(), any::<bool>()), 1..12)) {
            let (mut ranges, mut slices) = (Ranges::default(), Slices::default());
            for (index, (a, b, gives)) in entries.iter().enumerate() {
                let span = (*a.min(b), *a.max(b));
                if *gives {
                    let fits = ranges.give(span, index + 1);
                    prop_assert_eq!(fits, slices.give(span, index + 1));
                    if !fits {
                        return Ok(());
                    }
                } else {
                    prop_assert_eq!(ranges.delete(span), slices.delete(span));
                }
            }
            let table: Vec<_> = ranges.table(0).all().collect();
            for (a, b, _) in &entries {
                for at in [*a, *b, a.saturating_sub(1), b.saturating_sub(1), a + 1, b + 1] {
                    let found = table.iter().find(|((first, last), _)| *first <= at && at <= *last).unwrap();
                    prop_assert_eq!(found.1, slices.value(at));
                }
            }
        }
    }
}
