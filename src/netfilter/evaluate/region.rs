//! Sources that are still on their way: disjoint intervals, each with a tag (the rule that let it through).
//!
//! A rule takes out of a region what it matches. Small matches cost a logarithm each; large ones cost one
//! pass over both; a match of everything moves the region whole. So no rule costs more than it must.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::address::Address;
use crate::netfilter::Span;

/// What let an interval through so far: a rule's number, 0 for none.
pub(super) type Tag = u32;

/// An interval and its tag.
pub(super) type Piece<N> = (N, N, Tag);

/// Which sources a condition holds for.
#[derive(Debug, Clone)]
pub(super) enum Cover<'a, N: Clone> {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// These, sorted and disjoint.
    Spans(Cow<'a, [Span<N>]>),
}

impl<'a, N: Address> Cover<'a, N> {
    /// A list, which may be empty.
    pub(super) fn of(spans: Cow<'a, [Span<N>]>) -> Self {
        match spans.as_ref() {
            [] => Cover::Nothing,
            [(first, last)] if *first == N::FIRST && *last == N::LAST => Cover::Everything,
            _ => Cover::Spans(spans),
        }
    }

    /// Where it does not hold.
    pub(super) fn complement(self) -> Cover<'static, N> {
        match self {
            Cover::Nothing => Cover::Everything,
            Cover::Everything => Cover::Nothing,
            Cover::Spans(spans) => Cover::of(Cow::Owned(complement(&spans))),
        }
    }

    /// Where both hold.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Cover::Nothing, _) | (_, Cover::Nothing) => Cover::Nothing,
            (Cover::Everything, any) | (any, Cover::Everything) => any,
            (Cover::Spans(a), Cover::Spans(b)) => Cover::of(Cow::Owned(intersection(&a, &b))),
        }
    }

    /// Where this one holds and the other does not.
    pub(super) fn minus(self, other: &Self) -> Self {
        match other {
            Cover::Nothing => self,
            Cover::Everything => Cover::Nothing,
            Cover::Spans(spans) => self.and(Cover::of(Cow::Owned(complement(spans)))),
        }
    }

    /// Whether it holds for none.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Cover::Nothing)
    }

    /// Its intervals.
    pub(super) fn spans(&self) -> Cow<'_, [Span<N>]> {
        match self {
            Cover::Nothing => Cow::Borrowed(&[]),
            Cover::Everything => Cow::Owned(vec![(N::FIRST, N::LAST)]),
            Cover::Spans(spans) => Cow::Borrowed(spans),
        }
    }
}

impl<N: Address> From<bool> for Cover<'_, N> {
    fn from(holds: bool) -> Self {
        if holds { Cover::Everything } else { Cover::Nothing }
    }
}

/// The gaps between sorted, disjoint intervals.
pub(super) fn complement<N: Address>(spans: &[Span<N>]) -> Vec<Span<N>> {
    let mut gaps = Vec::with_capacity(spans.len().saturating_add(1));
    let mut start = Some(N::FIRST);
    for (first, last) in spans {
        if let (Some(from), Some(to)) = (start, first.before())
            && from <= to
        {
            gaps.push((from, to));
        }
        start = last.after();
    }
    gaps.extend(start.map(|from| (from, N::LAST)));
    gaps
}

/// What two sorted, disjoint lists share.
pub(super) fn intersection<N: Address>(left: &[Span<N>], right: &[Span<N>]) -> Vec<Span<N>> {
    let mut common = Vec::new();
    let (mut lefts, mut rights) = (left.iter().peekable(), right.iter().peekable());
    while let (Some(&&a), Some(&&b)) = (lefts.peek(), rights.peek()) {
        let (first, last) = (a.0.max(b.0), a.1.min(b.1));
        if first <= last {
            common.push((first, last));
        }
        if a.1 < b.1 {
            lefts.next()
        } else {
            rights.next()
        };
    }
    common
}

/// Sorts and joins whatever overlaps or touches.
pub(super) fn normalise<N: Address>(mut spans: Vec<Span<N>>) -> Vec<Span<N>> {
    if !spans.is_sorted() {
        spans.sort_unstable();
    }
    let mut joined: Vec<Span<N>> = Vec::with_capacity(spans.len());
    for (first, last) in spans {
        match joined.last_mut() {
            Some(open) if open.1.after().is_none_or(|next| first <= next) => open.1 = open.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

/// Sources on their way.
#[derive(Debug, Clone)]
pub(super) struct Region<N> {
    pieces: BTreeMap<N, (N, Tag)>,
}

impl<N> Default for Region<N> {
    fn default() -> Self {
        Self { pieces: BTreeMap::new() }
    }
}

impl<N: Address> Region<N> {
    /// These sources, which no rule has let through yet.
    pub(super) fn of(spans: &[Span<N>]) -> Self {
        Self { pieces: spans.iter().map(|(first, last)| (*first, (*last, 0))).collect() }
    }

    /// These pieces in any order; where they overlap, the tag of the one given earlier stays.
    pub(super) fn from_pieces(pieces: Vec<Piece<N>>) -> Self {
        let pieces = disjoint(pieces);
        Self { pieces: pieces.into_iter().map(|(first, last, tag)| (first, (last, tag))).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many intervals it has.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// All of it, in order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<N>> + '_ {
        self.pieces.iter().map(|(first, (last, tag))| (*first, *last, *tag))
    }

    /// Adds pieces; what is here already keeps its tag.
    pub(super) fn insert(&mut self, pieces: Vec<Piece<N>>) {
        for (first, last, tag) in pieces {
            self.insert_one(first, last, tag);
        }
    }

    fn insert_one(&mut self, first: N, last: N, tag: Tag) {
        // From the right, gap by gap.
        let mut end = Some(last);
        while let Some(to) = end.filter(|to| *to >= first) {
            let before = self.pieces.range(..=to).next_back().map(|(from, (there, _))| (*from, *there));
            let Some((from, there)) = before.filter(|(_, there)| *there >= first) else {
                self.pieces.insert(first, (to, tag));
                return;
            };
            if let Some(gap) = there.after().filter(|gap| *gap <= to) {
                self.pieces.insert(gap, (to, tag));
            }
            end = from.before();
        }
    }

    /// Adds another region.
    pub(super) fn merge(&mut self, other: Self) {
        if self.pieces.is_empty() {
            *self = other;
            return;
        }
        for (first, (last, tag)) in other.pieces {
            self.insert_one(first, last, tag);
        }
    }

    /// Takes out what is covered.
    pub(super) fn extract(&mut self, cover: &Cover<'_, N>) -> Self {
        match cover {
            Cover::Nothing => Self::default(),
            Cover::Everything => std::mem::take(self),
            Cover::Spans(spans) if spans.len().saturating_mul(4) > self.pieces.len() => {
                let (inside, outside) = self.divided(spans);
                self.pieces = outside.into_iter().map(|(first, last, tag)| (first, (last, tag))).collect();
                Self { pieces: inside.into_iter().map(|(first, last, tag)| (first, (last, tag))).collect() }
            }
            Cover::Spans(spans) => {
                let mut taken = BTreeMap::new();
                for span in spans.iter() {
                    self.extract_one(*span, &mut taken);
                }
                Self { pieces: taken }
            }
        }
    }

    fn extract_one(&mut self, (first, last): Span<N>, taken: &mut BTreeMap<N, (N, Tag)>) {
        loop {
            let Some((from, piece)) = self.pieces.range_mut(..=last).next_back() else { return };
            let (from, (to, tag)) = (*from, *piece);
            if to < first {
                return;
            }
            taken.insert(from.max(first), (to.min(last), tag));
            match first.before().filter(|_| from < first) {
                Some(before) => piece.0 = before,
                None => drop(self.pieces.remove(&from)),
            }
            if let Some(rest) = last.after().filter(|_| to > last) {
                self.pieces.insert(rest, (to, tag));
            }
            if from <= first {
                return;
            }
        }
    }

    /// What is covered, copied.
    pub(super) fn copied(&self, cover: &Cover<'_, N>) -> Self {
        match cover {
            Cover::Nothing => Self::default(),
            Cover::Everything => self.clone(),
            Cover::Spans(spans) if spans.len().saturating_mul(4) > self.pieces.len() => {
                let inside = self.divided(spans).0;
                Self { pieces: inside.into_iter().map(|(first, last, tag)| (first, (last, tag))).collect() }
            }
            Cover::Spans(spans) => {
                let within = spans.iter().flat_map(|(first, last)| {
                    let ends = self.pieces.range(..=*last).rev();
                    let ends = ends.take_while(move |(_, (to, _))| to >= first);
                    ends.map(move |(from, (to, tag))| (*from.max(first), (*to.min(last), *tag)))
                });
                Self { pieces: within.collect() }
            }
        }
    }

    /// In one pass: what is in the spans, and what is not.
    fn divided(&self, spans: &[Span<N>]) -> (Vec<Piece<N>>, Vec<Piece<N>>) {
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        let mut ahead = spans.iter().copied().peekable();
        let mut pieces = self.pieces();
        // What is left of a piece.
        let mut left = pieces.next();
        while let Some((first, last, tag)) = left {
            while ahead.next_if(|span| span.1 < first).is_some() {}
            let Some(span) = ahead.peek().filter(|span| span.0 <= last) else {
                outside.push((first, last, tag));
                left = pieces.next();
                continue;
            };
            if let Some(before) = span.0.before().filter(|_| first < span.0) {
                outside.push((first, before, tag));
            }
            inside.push((first.max(span.0), last.min(span.1), tag));
            let rest = span.1.after().filter(|next| *next <= last);
            left = rest.map(|next| (next, last, tag)).or_else(|| pieces.next());
        }
        (inside, outside)
    }
}

/// Pieces in any order as sorted, disjoint ones; where they overlap, the tag of the one given earlier stays.
pub(super) fn disjoint<N: Address>(pieces: Vec<Piece<N>>) -> Vec<Piece<N>> {
    let overlap =
        |sorted: &[Piece<N>]| sorted.iter().zip(sorted.iter().skip(1)).any(|(left, right)| left.1 >= right.0);
    if pieces.is_sorted_by_key(|piece| piece.0) && !overlap(&pieces) {
        return joined(pieces).collect();
    }
    let mut sorted = pieces.clone();
    sorted.sort_unstable_by_key(|piece| piece.0);
    if !overlap(&sorted) {
        return joined(sorted).collect();
    }
    let mut region = Region::default();
    region.insert(pieces);
    region.pieces().collect()
}

/// Sorted, disjoint pieces as far as they are in sorted, disjoint intervals.
pub(super) fn within<N: Address>(pieces: &[Piece<N>], spans: &[Span<N>]) -> Vec<Piece<N>> {
    let mut inside = Vec::with_capacity(pieces.len().max(spans.len()));
    let (mut pieces, mut spans) = (pieces.iter().peekable(), spans.iter().peekable());
    while let (Some(&&(first, last, tag)), Some(&&(from, to))) = (pieces.peek(), spans.peek()) {
        if first.max(from) <= last.min(to) {
            inside.push((first.max(from), last.min(to), tag));
        }
        let _ = if last < to { pieces.next().map(|_| ()) } else { spans.next().map(|_| ()) };
    }
    inside
}

/// Neighbours of one tag as one piece.
fn joined<N: Address>(pieces: Vec<Piece<N>>) -> impl Iterator<Item = Piece<N>> {
    let mut rest = pieces.into_iter().peekable();
    std::iter::from_fn(move || {
        let (first, mut last, tag) = rest.next()?;
        while let Some(next) = rest.next_if(|next| next.2 == tag && last.after() == Some(next.0)) {
            last = next.1;
        }
        Some((first, last, tag))
    })
}
