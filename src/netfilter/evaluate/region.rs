//! Sources that are still on their way: disjoint intervals, each with a tag (the rule that let it through).
//!
//! A rule takes out of a region what it matches. Small matches cost a logarithm each; large ones cost one
//! pass over both; a match of everything moves the region whole. So no rule costs more than it must.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::address::Address;
use crate::netfilter::Span;
use crate::prefix::first::deciding;
use crate::prefix::span::{complement, intersection};

/// What let an interval through so far: a rule's number, 0 for none.
pub(super) type Tag = u32;

/// An interval and its tag.
pub(super) type Piece<N> = (N, N, Tag);

/// Pieces as layers, of which the first decides.
pub(super) fn layers<N>(pieces: Vec<Piece<N>>) -> Vec<(Span<N>, Tag)> {
    pieces.into_iter().map(|(first, last, tag)| ((first, last), tag)).collect()
}

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
            [(first, last)] if *first == N::MIN && *last == N::MAX => Cover::Everything,
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
            Cover::Everything => Cow::Owned(vec![(N::MIN, N::MAX)]),
            Cover::Spans(spans) => Cow::Borrowed(spans),
        }
    }
}

impl<N: Address> From<bool> for Cover<'_, N> {
    fn from(holds: bool) -> Self {
        if holds { Cover::Everything } else { Cover::Nothing }
    }
}

/// What a few intervals share with many, each looked up by itself.
pub(super) fn shared<N: Address>(few: &[Span<N>], many: &[Span<N>]) -> Vec<Span<N>> {
    if few.len().saturating_mul(8) > many.len() {
        return intersection(few, many);
    }
    let meeting = few.iter().flat_map(|(first, last)| {
        let start = many.partition_point(|span| span.1 < *first);
        let meeting = many.iter().skip(start).take_while(|span| span.0 <= *last);
        meeting.map(|span| (*first.max(&span.0), *last.min(&span.1)))
    });
    meeting.collect()
}

/// Sources on their way: disjoint pieces in order. What is made at once is a list, which becomes a tree where single pieces
/// change; one of the two is empty.
#[derive(Debug, Clone)]
pub(super) struct Region<N> {
    list: Vec<Piece<N>>,
    tree: BTreeMap<N, (N, Tag)>,
}

impl<N> Default for Region<N> {
    fn default() -> Self {
        Vec::new().into()
    }
}

/// Sorted and disjoint ones.
impl<N> From<Vec<Piece<N>>> for Region<N> {
    fn from(list: Vec<Piece<N>>) -> Self {
        Self { list, tree: BTreeMap::new() }
    }
}

impl<N: Address> Region<N> {
    /// These sources, which no rule has let through yet.
    pub(super) fn of(spans: &[Span<N>]) -> Self {
        spans.iter().map(|(first, last)| (*first, *last, 0)).collect::<Vec<_>>().into()
    }

    /// These pieces in any order; where they overlap, the tag of the one given earlier stays.
    pub(super) fn from_pieces(pieces: Vec<Piece<N>>) -> Self {
        let pieces = deciding(layers(pieces)).into_iter().map(|((first, last), tag)| (first, last, tag));
        pieces.collect::<Vec<_>>().into()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many intervals it has.
    pub(super) fn len(&self) -> usize {
        self.list.len().max(self.tree.len())
    }

    /// All of it, in order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<N>> + '_ {
        self.list.iter().copied().chain(self.tree.iter().map(piece))
    }

    /// The same with other tags.
    pub(super) fn retagged(mut self, tagged: impl Fn(Tag) -> Tag) -> Self {
        let of_tree = self.tree.values_mut().map(|(_, tag)| tag);
        for tag in self.list.iter_mut().map(|(.., tag)| tag).chain(of_tree) {
            *tag = tagged(*tag);
        }
        self
    }

    /// Adds its pieces to others. To the first of all it costs nothing: there can be many.
    pub(super) fn append_to(mut self, all: &mut Vec<Piece<N>>) {
        if all.is_empty() {
            std::mem::swap(all, &mut self.list);
        }
        all.extend(self.pieces());
    }

    /// Its pieces, to change some of them.
    fn tree(&mut self) -> &mut BTreeMap<N, (N, Tag)> {
        if !self.list.is_empty() {
            let pieces = std::mem::take(&mut self.list).into_iter();
            self.tree = pieces.map(|(first, last, tag)| (first, (last, tag))).collect();
        }
        &mut self.tree
    }

    /// Adds another region. Neighbours of one tag become one piece again, so that what rules cut out and give
    /// back leaves no seam.
    pub(super) fn merge(&mut self, other: Self) {
        let mut other = other;
        if self.len() < other.len() {
            std::mem::swap(self, &mut other);
        }
        if other.is_empty() {
            return;
        }
        let tree = self.tree();
        for (first, last, tag) in other.pieces() {
            insert_one(tree, (first, last, tag));
            mend_seam(tree, first);
            if let Some(next) = last.after() {
                mend_seam(tree, next);
            }
        }
    }

    /// Takes out what is covered.
    pub(super) fn extract(&mut self, cover: &Cover<'_, N>) -> Self {
        match cover {
            Cover::Nothing => Self::default(),
            Cover::Everything => std::mem::take(self),
            Cover::Spans(spans) if spans.len().saturating_mul(4) > self.len() => {
                let (inside, outside) = self.divided(spans);
                *self = outside.into();
                inside.into()
            }
            Cover::Spans(spans) => {
                let (tree, mut taken) = (self.tree(), BTreeMap::new());
                for span in spans.iter() {
                    extract_one(tree, *span, &mut taken);
                }
                Self { list: Vec::new(), tree: taken }
            }
        }
    }

    /// What is covered, copied.
    pub(super) fn copied(&self, cover: &Cover<'_, N>) -> Self {
        match cover {
            Cover::Nothing => Self::default(),
            Cover::Everything => self.clone(),
            Cover::Spans(spans) if spans.len().saturating_mul(4) > self.len() => self.divided(spans).0.into(),
            Cover::Spans(spans) => {
                let mut within = Vec::new();
                for (first, last) in spans.iter() {
                    let meeting = self.meeting((*first, *last));
                    within.extend(meeting.map(|(from, to, tag)| (from.max(*first), to.min(*last), tag)));
                }
                within.into()
            }
        }
    }

    /// The pieces that an interval meets, in order.
    fn meeting(&self, (first, last): Span<N>) -> impl Iterator<Item = Piece<N>> + '_ {
        let start = self.list.partition_point(|(_, to, _)| *to < first);
        // Of those that start before it only the last one can reach it.
        let before = self.tree.range(..first).next_back().filter(|(_, (to, _))| *to >= first);
        let of_tree = before.into_iter().chain(self.tree.range(first..)).map(piece);
        let meeting = self.list.iter().skip(start).copied().chain(of_tree);
        meeting.take_while(move |(from, ..)| *from <= last)
    }

    /// In one pass: what is in the spans, and what is not.
    fn divided(&self, spans: &[Span<N>]) -> (Vec<Piece<N>>, Vec<Piece<N>>) {
        let mut inside = Vec::with_capacity(spans.len().max(self.len()));
        let mut outside = Vec::with_capacity(inside.capacity());
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

/// A piece as a tree has it.
fn piece<N: Address>((first, (last, tag)): (&N, &(N, Tag))) -> Piece<N> {
    (*first, *last, *tag)
}

/// Adds a piece; what is there already keeps its tag.
fn insert_one<N: Address>(tree: &mut BTreeMap<N, (N, Tag)>, (first, last, tag): Piece<N>) {
    // From the right, gap by gap.
    let mut end = Some(last);
    while let Some(to) = end.filter(|to| *to >= first) {
        let before = tree.range(..=to).next_back().map(|(from, (there, _))| (*from, *there));
        let Some((from, there)) = before.filter(|(_, there)| *there >= first) else {
            tree.insert(first, (to, tag));
            return;
        };
        if let Some(gap) = there.after().filter(|gap| *gap <= to) {
            tree.insert(gap, (to, tag));
        }
        end = from.before();
    }
}

/// Joins the piece that starts here with the one that ends before it, where both have one tag.
fn mend_seam<N: Address>(tree: &mut BTreeMap<N, (N, Tag)>, start: N) {
    let Some((to, tag)) = tree.get(&start).copied() else { return };
    let before = tree.range_mut(..start).next_back().map(|(_, piece)| piece);
    if let Some(before) = before.filter(|(there, known)| *known == tag && there.after() == Some(start)) {
        before.0 = to;
        tree.remove(&start);
    }
}

/// Takes out what an interval covers.
fn extract_one<N: Address>(
    tree: &mut BTreeMap<N, (N, Tag)>,
    (first, last): Span<N>,
    taken: &mut BTreeMap<N, (N, Tag)>,
) {
    loop {
        let Some((from, piece)) = tree.range_mut(..=last).next_back() else { return };
        let (from, (to, tag)) = (*from, *piece);
        if to < first {
            return;
        }
        taken.insert(from.max(first), (to.min(last), tag));
        match first.before().filter(|_| from < first) {
            Some(before) => piece.0 = before,
            None => drop(tree.remove(&from)),
        }
        if let Some(rest) = last.after().filter(|_| to > last) {
            tree.insert(rest, (to, tag));
        }
        if from <= first {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::prefix::span::normalise;

    /// Each address of a small space by itself, at the end of the real one so that the end is met.
    type Model = BTreeMap<u32, Tag>;

    const BASE: u32 = u32::MAX - 63;

    fn any_pieces(count: usize) -> impl Strategy<Value = Vec<Piece<u32>>> {
        let piece = (0u32..64, 0u32..20, 0u32..4)
            .prop_map(|(first, length, tag)| (BASE + first, BASE + (first + length).min(63), tag));
        prop::collection::vec(piece, 0..count)
    }

    fn any_spans() -> impl Strategy<Value = Vec<Span<u32>>> {
        any_pieces(12)
            .prop_map(|pieces| normalise(pieces.into_iter().map(|(first, last, _)| (first, last)).collect()))
    }

    /// The tag of the piece given first stays.
    fn model(pieces: &[Piece<u32>]) -> Model {
        let mut all = Model::new();
        for (first, last, tag) in pieces {
            for address in *first..=*last {
                all.entry(address).or_insert(*tag);
            }
        }
        all
    }

    fn check(region: &Region<u32>, wanted: &Model) {
        let pieces: Vec<Piece<u32>> = region.pieces().collect();
        assert!(pieces.iter().zip(pieces.iter().skip(1)).all(|(left, right)| left.1 < right.0), "{pieces:?}");
        assert_eq!(&model(&pieces), wanted);
    }

    fn covered(spans: &[Span<u32>], address: u32) -> bool {
        spans.iter().any(|(first, last)| (*first..=*last).contains(&address))
    }

    proptest! {
        #[test]
        fn regions_agree_with_a_naive_model(pieces in any_pieces(40), more in any_pieces(8), spans in any_spans()) {
            let mut whole = model(&pieces);
            let mut region = Region::from_pieces(pieces);
            check(&region, &whole);
            let cover = Cover::of(Cow::Borrowed(&spans));
            let inside: Model = whole.iter().filter(|(at, _)| covered(&spans, **at)).map(|(at, tag)| (*at, *tag)).collect();
            check(&region.copied(&cover), &inside);
            let taken = region.extract(&cover);
            check(&taken, &inside);
            whole.retain(|at, _| !covered(&spans, *at));
            check(&region, &whole);
            for piece in &more {
                insert_one(region.tree(), *piece);
            }
            for (at, tag) in model(&more) {
                whole.entry(at).or_insert(tag);
            }
            check(&region, &whole);
            let inside_now: Model = whole.iter().filter(|(at, _)| covered(&spans, **at)).map(|(at, tag)| (*at, *tag)).collect();
            check(&region.copied(&cover), &inside_now);
            let retagged: Vec<Piece<u32>> =
                region.pieces().chain(taken.pieces()).map(|(first, last, tag)| (first, last, tag + 9)).collect();
            let mut all = Vec::new();
            for one in [&region, &taken] {
                one.clone().retagged(|tag| tag + 9).append_to(&mut all);
            }
            prop_assert_eq!(all, retagged);
            let before = whole.clone();
            region.merge(taken);
            for (at, tag) in &inside {
                whole.entry(*at).or_insert(*tag);
            }
            let merged: Model = model(&region.pieces().collect::<Vec<_>>());
            prop_assert!(merged.keys().eq(whole.keys()));
            for (at, tag) in merged {
                prop_assert!(before.get(&at) == Some(&tag) || inside.get(&at) == Some(&tag));
            }
        }

        #[test]
        fn covers_agree_with_a_naive_model(left in any_spans(), right in any_spans(), at in BASE..) {
            let (a, b) = (Cover::of(Cow::Borrowed(&left[..])), Cover::of(Cow::Borrowed(&right[..])));
            let has = |cover: &Cover<'_, u32>| covered(&cover.spans(), at);
            prop_assert_eq!(has(&a.clone().and(b.clone())), covered(&left, at) && covered(&right, at));
            prop_assert_eq!(has(&a.clone().minus(&b)), covered(&left, at) && !covered(&right, at));
            prop_assert_eq!(has(&a.complement()), !covered(&left, at));
        }

        #[test]
        fn what_few_share_with_many_is_what_both_have(few in any_spans(), many in any_spans()) {
            prop_assert_eq!(shared(&few, &many), intersection(&few, &many));
            let one = few.get(..1).unwrap_or_default();
            prop_assert_eq!(shared(one, &many), intersection(one, &many));
        }
    }
}
