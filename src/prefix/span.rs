//! Closed intervals of numbers, and their algebra: one for sets of prefixes, for readers and for evaluation.
//!
//! Lists are sorted, disjoint and non-touching unless it is said otherwise. Each operation is linear; arithmetic is
//! checked at both ends of the numbers.

mod sort;

use std::iter::Peekable;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::first::{Both, Grounded};
use super::{Family, Prefix, PrefixSet};

/// An address of one family, as a number.
pub(crate) trait Number: Copy + Ord + 'static {
    const MAX: Self;
    const MIN: Self;
    /// All of them.
    const ALL: &'static [Span<Self>];
    /// The family.
    const FAMILY: Family;
    /// The address that it stands for.
    fn to_ip(self) -> IpAddr;
    /// From an address, where it is of this family.
    fn of(address: IpAddr) -> Option<Self>;
    /// Intervals as a set.
    fn set(spans: Vec<Span<Self>>) -> PrefixSet;
    /// The intervals of this family that a set has.
    fn spans(set: &PrefixSet) -> &[Span<Self>];
    /// What holds in this family.
    fn held<T>(all: &Both<T>) -> &Grounded<Self, T>;
    /// The same, with nothing in the other one.
    fn alone<T>(held: Grounded<Self, T>) -> Both<T>;
    /// The addresses of a prefix, where it is of this family.
    fn spanned(prefix: &Prefix) -> Option<Span<Self>> {
        Self::of(prefix.first()).zip(Self::of(prefix.last()))
    }
    /// The next number, `None` at the end.
    fn after(self) -> Option<Self>;
    /// The number before, `None` at the start.
    fn before(self) -> Option<Self>;
    /// Sorts intervals by their first number.
    fn sort(spans: &mut Vec<Span<Self>>);
}

impl Number for u32 {
    const MAX: Self = u32::MAX;
    const MIN: Self = 0;
    const ALL: &'static [Span<Self>] = &[(Self::MIN, Self::MAX)];
    const FAMILY: Family = Family::V4;
    fn to_ip(self) -> IpAddr {
        Ipv4Addr::from(self).into()
    }
    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(v4) => Some(v4.into()),
            IpAddr::V6(_) => None,
        }
    }
    fn set(spans: Vec<Span<Self>>) -> PrefixSet {
        PrefixSet::from_spans(spans, Vec::new())
    }
    fn spans(set: &PrefixSet) -> &[Span<Self>] {
        set.v4()
    }
    fn held<T>(all: &Both<T>) -> &Grounded<Self, T> {
        &all.v4
    }
    fn alone<T>(held: Grounded<Self, T>) -> Both<T> {
        Both { v4: held, v6: Grounded::default() }
    }
    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }
    fn sort(spans: &mut Vec<Span<Self>>) {
        sort::v4(spans);
    }
}

impl Number for u128 {
    const MAX: Self = u128::MAX;
    const MIN: Self = 0;
    const ALL: &'static [Span<Self>] = &[(Self::MIN, Self::MAX)];
    const FAMILY: Family = Family::V6;
    fn to_ip(self) -> IpAddr {
        Ipv6Addr::from(self).into()
    }
    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(v6.into()),
        }
    }
    fn set(spans: Vec<Span<Self>>) -> PrefixSet {
        PrefixSet::from_spans(Vec::new(), spans)
    }
    fn spans(set: &PrefixSet) -> &[Span<Self>] {
        set.v6()
    }
    fn held<T>(all: &Both<T>) -> &Grounded<Self, T> {
        &all.v6
    }
    fn alone<T>(held: Grounded<Self, T>) -> Both<T> {
        Both { v4: Grounded::default(), v6: held }
    }
    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }
    fn sort(spans: &mut Vec<Span<Self>>) {
        sort::v6(spans);
    }
}

/// The first and the last address of an interval.
pub(crate) type Span<N> = (N, N);

/// Whether intervals are sorted, disjoint and non-touching, and none ends before it starts.
pub(crate) fn is_normal<N: Number>(spans: &[Span<N>]) -> bool {
    spans.iter().all(|(first, last)| first <= last)
        && spans.array_windows().all(|[(_, last), (next, _)]| last.after().is_some_and(|after| after < *next))
}

/// Sorts and joins whatever overlaps or touches, in place.
pub(crate) fn normalise<N: Number>(mut spans: Vec<Span<N>>) -> Vec<Span<N>> {
    if is_normal(&spans) {
        return spans;
    }
    if !spans.is_sorted_by_key(|span| span.0) {
        N::sort(&mut spans);
    }
    spans.dedup_by(|span, open| {
        // `next` is `None` only at the end of the space, where everything that follows is covered.
        let joins = open.1.after().is_none_or(|next| span.0 <= next);
        if joins {
            open.1 = open.1.max(span.1);
        }
        joins
    });
    spans
}

/// Whether every number is in one of them.
pub(crate) fn is_everything<N: Number>(spans: &[Span<N>]) -> bool {
    spans == N::ALL
}

/// The gaps between sorted, disjoint intervals, in order.
pub(crate) fn gaps<N: Number>(spans: &[Span<N>]) -> impl Iterator<Item = Span<N>> {
    let mut start = Some(N::MIN);
    let ends = spans.iter().map(Some).chain([None]);
    ends.filter_map(move |span| match span {
        Some((first, last)) => {
            let gap = start.zip(first.before()).filter(|(from, to)| from <= to);
            start = last.after();
            gap
        }
        None => start.map(|from| (from, N::MAX)),
    })
}

/// The same as a list.
pub(crate) fn complement<N: Number>(spans: &[Span<N>]) -> Vec<Span<N>> {
    let mut all = Vec::with_capacity(spans.len().saturating_add(1));
    all.extend(gaps(spans));
    all
}

/// What either of two lists has.
pub(crate) fn union<N: Number>(left: &[Span<N>], right: &[Span<N>]) -> Vec<Span<N>> {
    let mut all: Vec<Span<N>> = Vec::with_capacity(left.len().saturating_add(right.len()));
    let (mut lefts, mut rights) = (left.iter().copied().peekable(), right.iter().copied().peekable());
    let mut next = || match (lefts.peek(), rights.peek()) {
        (Some(left), Some(right)) if right.0 < left.0 => rights.next(),
        (None, _) => rights.next(),
        (Some(_), _) => lefts.next(),
    };
    while let Some(span) = next() {
        match all.last_mut() {
            Some(open) if open.1.after().is_none_or(|after| span.0 <= after) => open.1 = open.1.max(span.1),
            _ => all.push(span),
        }
    }
    all
}

/// Whether the first of two lists has all that the second has.
pub(crate) fn covers<N: Number>(all: &[Span<N>], some: &[Span<N>]) -> bool {
    let mut all = all.iter().peekable();
    // No two touch: what is covered is covered by one.
    some.iter().all(|(first, last)| {
        while all.next_if(|(_, end)| end < first).is_some() {}
        all.peek().is_some_and(|(start, end)| start <= first && last <= end)
    })
}

/// Whether the prefixes that come next, one after the other, are all of the intervals.
pub(crate) fn is_of<'a, N: Number>(
    spans: &[Span<N>],
    prefixes: &mut Peekable<impl Iterator<Item = &'a Prefix>>,
) -> bool {
    spans.iter().all(|(first, last)| {
        let mut next = Some(*first);
        while let Some(at) = next.filter(|at| at <= last) {
            let found = prefixes.next_if(|prefix| N::spanned(prefix).is_some_and(|span| span.0 == at));
            let Some((_, end)) = found.and_then(N::spanned) else { return false };
            if end > *last {
                return false;
            }
            next = end.after();
        }
        true
    })
}

/// What two sorted, disjoint lists share.
pub(crate) fn intersection<N: Number>(left: &[Span<N>], right: &[Span<N>]) -> Vec<Span<N>> {
    if left == right {
        return left.to_vec();
    }
    let mut common = Vec::with_capacity(left.len().min(right.len()));
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

/// What the first of two sorted, disjoint lists has and the second has not.
pub(crate) fn difference<N: Number>(left: &[Span<N>], right: &[Span<N>]) -> Vec<Span<N>> {
    if left == right {
        return Vec::new();
    }
    if is_everything(left) {
        return complement(right);
    }
    let mut kept = Vec::with_capacity(left.len());
    let mut cuts = right.iter().peekable();
    for (first, last) in left {
        let mut start = Some(*first);
        while let (Some(from), Some((cut_first, cut_last))) = (start, cuts.peek()) {
            if cut_first > last {
                break;
            }
            if let Some(end) = cut_first.before()
                && from <= end
            {
                kept.push((from, end));
            }
            if cut_last > last {
                // The rest of the cut may reach the next interval.
                start = None;
                break;
            }
            start = cut_last.after().map(|after| after.max(from)).filter(|after| after <= last);
            cuts.next();
        }
        kept.extend(start.map(|from| (from, *last)));
    }
    kept
}
