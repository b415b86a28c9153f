//! Which of many intervals decides: the one of highest precedence among those that hold an address.
//!
//! Allow and deny lines (the first), networks of a `geo` table (the longest), rules of a network ACL (the lowest
//! number) and of security groups (any) are all told apart by it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;

use super::PrefixSet;
use super::span::{Number, Span};

/// What holds where, one thing at each address: sorted, disjoint intervals, and what holds wherever none of them is.
/// A list that ends with a line for everybody has as many gaps as intervals, which need no room this way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grounded<N, T> {
    /// Neighbours that nothing tells apart are joined.
    pub(crate) pieces: Vec<(Span<N>, T)>,
    /// What holds outside of them; `None` where nothing does, or where they leave nothing out.
    pub(crate) ground: Option<T>,
}

impl<N, T> Default for Grounded<N, T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), ground: None }
    }
}

/// Cuts the space where another interval decides. `layers` are in order of precedence, each with what tells it
/// from others.
///
/// It costs as much as sorting; lists that ascend already, with or without an end that holds everything, are not
/// sorted.
pub(crate) fn grounded<N: Number, T: Copy + PartialEq>(mut layers: Vec<(Span<N>, T)>) -> Grounded<N, T> {
    // What holds everything hides all that comes after it, and shows wherever nothing comes before it.
    let ground = layers.iter().position(|(span, _)| *span == (N::MIN, N::MAX));
    let ground = ground.and_then(|at| layers.drain(at..).next());
    if !layers.is_sorted_by(|(before, _), (after, _)| before.1 < after.0) {
        layers = swept(&layers);
    }
    join(&mut layers);
    let ground = ground.map(|(_, tag)| tag).filter(|_| !leaves_nothing_out(&layers));
    Grounded { pieces: layers, ground }
}

/// The same as intervals alone: ascending and disjoint. What no interval holds is left out.
pub(crate) fn deciding<N: Number, T: Copy + PartialEq>(layers: Vec<(Span<N>, T)>) -> Vec<(Span<N>, T)> {
    let held = grounded(layers);
    if held.ground.is_none() {
        return held.pieces;
    }
    let mut pieces = held.all().collect();
    join(&mut pieces);
    pieces
}

/// Joins neighbours that nothing tells apart.
fn join<N: Number, T: PartialEq>(pieces: &mut Vec<(Span<N>, T)>) {
    pieces.dedup_by(|one, open| {
        let joins = open.1 == one.1 && open.0.1.after() == Some(one.0.0);
        if joins {
            open.0.1 = one.0.1;
        }
        joins
    });
}

fn leaves_nothing_out<N: Number, T>(pieces: &[(Span<N>, T)]) -> bool {
    let ends = pieces.first().zip(pieces.last());
    ends.is_some_and(|(first, last)| first.0.0 == N::MIN && last.0.1 == N::MAX)
        && pieces.array_windows().all(|[one, next]| one.0.1.after() == Some(next.0.0))
}

impl<N, T> From<Vec<(Span<N>, T)>> for Grounded<N, T> {
    fn from(pieces: Vec<(Span<N>, T)>) -> Self {
        Self { pieces, ground: None }
    }
}

impl<N: Number, T: Copy> Grounded<N, T> {
    /// All that holds, interval by interval.
    pub(crate) fn all(&self) -> Within<'_, N, T> {
        self.within(N::ALL)
    }

    /// Whether nothing holds anywhere.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.ground.is_none()
    }

    /// What holds within one interval.
    pub(crate) fn cut(&self, interval: Span<N>) -> Within<'_, N, T> {
        let start = self.pieces.partition_point(|((_, last), _)| *last < interval.0);
        let pieces = self.pieces.get(start..).unwrap_or_default();
        Within { pieces, ground: self.ground, intervals: [].iter(), rest: Some(interval) }
    }

    /// All that holds somewhere, to be changed.
    pub(crate) fn tags_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pieces.iter_mut().map(|(_, tag)| tag).chain(&mut self.ground)
    }

    /// What holds at an address.
    pub(crate) fn at(&self, address: N) -> Option<T> {
        let after = self.pieces.partition_point(|((first, _), _)| *first <= address);
        let before = after.checked_sub(1).and_then(|at| self.pieces.get(at));
        before.filter(|((_, last), _)| address <= *last).map(|(_, tag)| *tag).or(self.ground)
    }

    /// Where that holds which is asked for, in order.
    fn spans_of(&self, is_wanted: &impl Fn(T) -> bool) -> Vec<Span<N>> {
        let wanted = |(span, tag)| is_wanted(tag).then_some(span);
        let mut spans = Vec::with_capacity(self.pieces.len().saturating_add(1));
        // What is not wanted of the ground is not looked for between the pieces.
        if self.ground.is_some_and(is_wanted) {
            spans.extend(self.all().filter_map(wanted));
        } else {
            spans.extend(self.pieces.iter().copied().filter_map(wanted));
        }
        spans
    }

    /// What holds within sorted, disjoint intervals, in order.
    pub(crate) fn within<'a>(&'a self, intervals: &'a [Span<N>]) -> Within<'a, N, T> {
        Within { ground: self.ground, ..within(&self.pieces, intervals) }
    }

    /// All that holds somewhere: the intervals in order, then the ground.
    pub(crate) fn tags(&self) -> impl Iterator<Item = T> {
        self.pieces.iter().map(|(_, tag)| *tag).chain(self.ground)
    }
}

/// What holds where, in both families.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Both<T> {
    pub(crate) v4: Grounded<u32, T>,
    pub(crate) v6: Grounded<u128, T>,
}

impl<T> Default for Both<T> {
    fn default() -> Self {
        Self { v4: Grounded::default(), v6: Grounded::default() }
    }
}

impl<T: Copy> Both<T> {
    /// What holds at an address.
    pub(crate) fn at(&self, address: IpAddr) -> Option<T> {
        match address {
            IpAddr::V4(address) => self.v4.at(address.into()),
            IpAddr::V6(address) => self.v6.at(address.into()),
        }
    }

    /// All that holds somewhere.
    pub(crate) fn tags(&self) -> impl Iterator<Item = T> {
        self.v4.tags().chain(self.v6.tags())
    }

    /// The addresses where that holds which is asked for.
    pub(crate) fn set_of(&self, is_wanted: impl Fn(T) -> bool) -> PrefixSet {
        PrefixSet::from_spans(self.v4.spans_of(&is_wanted), self.v6.spans_of(&is_wanted))
    }
}

/// The parts of sorted, disjoint pieces that lie within sorted, disjoint intervals, in order.
pub(crate) fn within<'a, N, T>(pieces: &'a [(Span<N>, T)], intervals: &'a [Span<N>]) -> Within<'a, N, T> {
    Within { pieces, ground: None, intervals: intervals.iter(), rest: None }
}

/// What [`within`] gives, and [`Grounded::within`].
#[derive(Debug, Clone)]
pub(crate) struct Within<'a, N, T> {
    /// Those that are to come.
    pieces: &'a [(Span<N>, T)],
    ground: Option<T>,
    intervals: std::slice::Iter<'a, Span<N>>,
    /// What is left of the interval that is looked at.
    rest: Option<Span<N>>,
}

impl<N, T: Copy> Within<'_, N, T> {
    /// What holds between the pieces.
    pub(crate) fn ground(&self) -> Option<T> {
        self.ground
    }
}

impl<N: Number, T: Copy> Iterator for Within<'_, N, T> {
    type Item = (Span<N>, T);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (from, to) = match self.rest.take() {
                Some(rest) => rest,
                None => *self.intervals.next()?,
            };
            while let [((_, last), _), more @ ..] = self.pieces
                && *last < from
            {
                self.pieces = more;
            }
            let (end, tag) = match self.pieces {
                [((first, last), tag), ..] if *first <= from => (to.min(*last), Some(*tag)),
                [((first, _), _), ..] => (to.min(first.before().unwrap_or(from)), self.ground),
                [] => (to, self.ground),
            };
            self.rest = end.after().filter(|next| *next <= to).map(|next| (next, to));
            if let Some(tag) = tag {
                return Some(((from, end), tag));
            }
        }
    }
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
        const END: u32 = u32::MAX;
        let pieces = vec![((0_u32, 9), 'a'), ((10, 19), 'b'), ((30, END), 'c')];
        let intervals = [(5, 12), (14, 14), (19, 40), (END, END)];
        let within = |ground| {
            let all = Grounded { pieces: pieces.clone(), ground };
            all.within(&intervals).collect::<Vec<_>>()
        };
        let (before, after) = (
            [((5, 9), 'a'), ((10, 12), 'b'), ((14, 14), 'b'), ((19, 19), 'b')],
            [((30, 40), 'c'), ((END, END), 'c')],
        );
        assert_eq!(within(None), [&before[..], &after].concat());
        assert_eq!(within(Some('z')), [&before[..], &[((20, 29), 'z')], &after].concat());
    }

    #[test]
    fn a_ground_that_shows_nowhere_is_none() {
        let halves = [((0, 9), 'a'), ((10, u32::MAX), 'b')];
        let all = [&halves[..], &[((0, u32::MAX), 'c')]].concat();
        assert_eq!(grounded(all), Grounded { pieces: halves.to_vec(), ground: None });
    }

    proptest! {
        #[test]
        fn it_is_what_looking_at_each_in_turn_gives(
            spans in prop::collection::vec((0_u32..60, 0_u32..20, 0..6), 0..40),
            ground in 0_usize..60,
            is_sorted in any::<bool>(),
            to_cut in (0_u32..90, 0_u32..90),
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
            let held = grounded(layers.clone());
            let everything = [(0, 40), (42, 42), (44, u32::MAX)];
            let told: Vec<_> = held.within(&everything).collect();
            for address in (0..90).chain([u32::MAX]) {
                let wanted = layers.iter().find(|(span, _)| holds(*span, address)).map(|(_, tag)| *tag);
                let got = found.iter().find(|(span, _)| holds(*span, address)).map(|(_, tag)| *tag);
                prop_assert_eq!(got, wanted);
                prop_assert_eq!(held.at(address), wanted);
                let got = told.iter().find(|(span, _)| holds(*span, address)).map(|(_, tag)| *tag);
                prop_assert_eq!(got, wanted.filter(|_| address != 41 && address != 43));
            }
            prop_assert!(told.is_sorted_by(|one, next| one.0.1 < next.0.0));
            let (from, to) = (to_cut.0.min(to_cut.1), to_cut.0.max(to_cut.1));
            let cut: Vec<_> = held.cut((from, to)).collect();
            prop_assert_eq!(&cut, &held.within(&[(from, to)]).collect::<Vec<_>>());
            prop_assert!(cut.iter().all(|((first, last), _)| from <= *first && *last <= to));
            let whole: Vec<_> = held.all().collect();
            prop_assert_eq!(deciding(whole.clone()), found.clone());
            prop_assert_eq!(held.is_empty(), whole.is_empty());
            let of_three = |tag: i32| tag == 3 || tag == 9;
            let wanted: Vec<_> = whole.iter().filter(|(_, tag)| of_three(*tag)).map(|(span, _)| *span).collect();
            prop_assert_eq!(held.spans_of(&of_three), wanted);
            prop_assert!(held.tags().all(|tag| layers.iter().any(|(_, known)| *known == tag)));
            for pair in found.windows(2) {
                prop_assert!(pair[0].0.1 < pair[1].0.0);
                prop_assert!(pair[0].1 != pair[1].1 || pair[0].0.1.after() != Some(pair[1].0.0));
            }
        }
    }
}
