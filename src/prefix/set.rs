//! Sets of addresses as sorted, disjoint, non-touching closed intervals, and their algebra.
//!
//! Every operation is linear in the number of intervals (building sorts first), and no address is ever
//! looked at by itself. The ends of the address space need no special care: arithmetic is checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::span::{
    Number, Span, complement, covers, difference, intersection, is_everything, is_normal, is_of, normalise,
    union,
};
use super::{Family, Prefix, v6_number};

/// A set of IPv4 and IPv6 addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PrefixSet {
    v4: Spans<u32>,
    v6: Spans<u128>,
}

/// The intervals of one family. They can be very many and are never changed, so that copies share them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Spans<N>(Option<Arc<Vec<Span<N>>>>);

impl<N> Deref for Spans<N> {
    type Target = [Span<N>];

    fn deref(&self) -> &[Span<N>] {
        self.0.as_ref().map_or(&[], |spans| spans)
    }
}

impl<N> From<Vec<Span<N>>> for Spans<N> {
    fn from(spans: Vec<Span<N>>) -> Self {
        Self((!spans.is_empty()).then(|| Arc::new(spans)))
    }
}

impl<N: Number> Spans<N> {
    fn union(&self, other: &Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            (false, false) => union(self, other).into(),
        }
    }

    fn intersection(&self, other: &Self) -> Self {
        if self == other || is_everything(other) {
            self.clone()
        } else if is_everything(self) {
            other.clone()
        } else {
            intersection(self, other).into()
        }
    }

    fn difference(&self, other: &Self) -> Self {
        match self == other {
            true => Self(None),
            false if other.is_empty() => self.clone(),
            false => difference(self, other).into(),
        }
    }
}

impl PrefixSet {
    /// No address.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every address of both families.
    pub fn everything() -> Self {
        Self { v4: vec![(u32::MIN, u32::MAX)].into(), v6: vec![(u128::MIN, u128::MAX)].into() }
    }

    /// The addresses of these intervals, given as first and last in any order, overlapping or not; an interval
    /// whose last address is before its first has none.
    pub fn from_spans(v4: Vec<(u32, u32)>, v6: Vec<(u128, u128)>) -> Self {
        Self { v4: spanned(v4).into(), v6: spanned(v6).into() }
    }

    /// From any ranges: first and last address, of one family each; what is of two families is left out.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (IpAddr, IpAddr)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for range in ranges {
            match range {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.into(), last.into())),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((first.into(), last.into())),
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
            }
        }
        Self::from_spans(v4, v6)
    }

    /// Its IPv4 intervals as first and last address: ascending, no two overlap or touch.
    pub fn v4(&self) -> &[(u32, u32)] {
        &self.v4
    }

    /// Its IPv6 intervals as first and last address: ascending, no two overlap or touch.
    pub fn v6(&self) -> &[(u128, u128)] {
        &self.v6
    }

    /// Its intervals as first and last address, IPv4 first, ascending; no two overlap or touch.
    pub fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> {
        let v4 = self
            .v4
            .iter()
            .map(|(first, last)| (IpAddr::V4(Ipv4Addr::from(*first)), IpAddr::V4(Ipv4Addr::from(*last))));
        let v6 = self
            .v6
            .iter()
            .map(|(first, last)| (IpAddr::V6(Ipv6Addr::from(*first)), IpAddr::V6(Ipv6Addr::from(*last))));
        v4.chain(v6)
    }

    /// Whether it has no address.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether it has no address of this family.
    pub fn is_family_empty(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4.is_empty(),
            Family::V6 => self.v6.is_empty(),
        }
    }

    /// The addresses from the first to the last, which are of one family.
    pub fn between(first: IpAddr, last: IpAddr) -> Self {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Self::from_spans(vec![(first.into(), last.into())], Vec::new())
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Self::from_spans(Vec::new(), vec![(v6_number(first), v6_number(last))])
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Self::empty(),
        }
    }

    /// Its addresses of one family.
    #[must_use]
    pub fn only(&self, family: Family) -> Self {
        match family {
            Family::V4 => Self { v4: self.v4.clone(), ..Self::empty() },
            Family::V6 => Self { v6: self.v6.clone(), ..Self::empty() },
        }
    }

    /// Whether it has this address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => holds(&self.v4, u32::from(v4)),
            IpAddr::V6(v6) => holds(&self.v6, v6_number(v6)),
        }
    }

    /// Whether these prefixes, ascending and none inside another, are all of its addresses.
    pub fn is_of<'a>(&self, prefixes: impl IntoIterator<Item = &'a Prefix>) -> bool {
        let mut prefixes = prefixes.into_iter().peekable();
        is_of(&self.v4, &mut prefixes) && is_of(&self.v6, &mut prefixes) && prefixes.peek().is_none()
    }

    /// Whether it has every address of the other.
    pub fn covers(&self, other: &Self) -> bool {
        covers(&self.v4, &other.v4) && covers(&self.v6, &other.v6)
    }

    /// Addresses in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self { v4: self.v4.union(&other.v4), v6: self.v6.union(&other.v6) }
    }

    /// Addresses in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { v4: self.v4.intersection(&other.v4), v6: self.v6.intersection(&other.v6) }
    }

    /// Addresses in neither.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self { v4: complement(&self.v4).into(), v6: complement(&self.v6).into() }
    }

    /// Addresses of this one that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self { v4: self.v4.difference(&other.v4), v6: self.v6.difference(&other.v6) }
    }

    /// The fewest prefixes that cover exactly these addresses, in order.
    pub fn to_prefixes(&self) -> Vec<Prefix> {
        let v4 = self.v4.iter().flat_map(|(first, last)| {
            Ipv4Subnets::new(Ipv4Addr::from(*first), Ipv4Addr::from(*last), 0).map(Prefix::from)
        });
        let v6 = self.v6.iter().flat_map(|(first, last)| {
            Ipv6Subnets::new(Ipv6Addr::from(*first), Ipv6Addr::from(*last), 0).map(Prefix::from)
        });
        v4.chain(v6).collect()
    }
}

fn holds<N: Number>(spans: &[Span<N>], number: N) -> bool {
    let after = spans.partition_point(|(first, _)| *first <= number);
    after.checked_sub(1).and_then(|at| spans.get(at)).is_some_and(|(_, last)| number <= *last)
}

/// Intervals in any order, without those that end before they start.
fn spanned<N: Number>(mut spans: Vec<Span<N>>) -> Vec<Span<N>> {
    if is_normal(&spans) {
        return spans;
    }
    spans.retain(|(first, last)| first <= last);
    normalise(spans)
}

impl FromIterator<Prefix> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> Self {
        let prefixes = prefixes.into_iter();
        let (mut v4, mut v6) = (Vec::with_capacity(prefixes.size_hint().0), Vec::new());
        for prefix in prefixes {
            match prefix.0 {
                IpNet::V4(net) => {
                    let first = u32::from(net.addr());
                    v4.push((first, first | u32::MAX.checked_shr(net.prefix_len().into()).unwrap_or(0)));
                }
                IpNet::V6(net) => {
                    let first = v6_number(net.addr());
                    v6.push((first, first | u128::MAX.checked_shr(net.prefix_len().into()).unwrap_or(0)));
                }
            }
        }
        Self { v4: normalise(v4).into(), v6: normalise(v6).into() }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the model's numbers are small")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The last 64 addresses of both spaces: small enough for a naive model, and at the ends.
    fn any_prefix() -> impl Strategy<Value = Prefix> {
        (0u8..64, 0u8..7, any::<bool>(), any::<bool>()).prop_map(|(host, bits, v4, top)| {
            let address = match (v4, top) {
                (true, true) => IpAddr::from(Ipv4Addr::from(u32::MAX - u32::from(host))),
                (true, false) => IpAddr::from(Ipv4Addr::from(u32::from(host))),
                (false, true) => IpAddr::from(Ipv6Addr::from(u128::MAX - u128::from(host))),
                (false, false) => IpAddr::from(Ipv6Addr::from(u128::from(host))),
            };
            Prefix::covering(address, if v4 { 32 - bits } else { 128 - bits }).unwrap()
        })
    }

    fn model(prefixes: &[Prefix]) -> BTreeSet<IpAddr> {
        prefixes
            .iter()
            .flat_map(|prefix| prefix.net().subnets(prefix.family().bits()).unwrap())
            .map(|net| net.addr())
            .collect()
    }

    /// Joins sorted intervals, one after the other.
    fn naive(spans: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let mut joined: Vec<(u32, u32)> = Vec::new();
        for (first, last) in spans {
            match joined.last_mut() {
                Some(open) if u64::from(*first) <= u64::from(open.1) + 1 => open.1 = open.1.max(*last),
                _ => joined.push((*first, *last)),
            }
        }
        joined
    }

    fn check(set: &PrefixSet, wanted: &BTreeSet<IpAddr>) {
        assert_eq!(&model(&set.to_prefixes()), wanted);
    }

    proptest! {
        #[test]
        fn the_algebra_agrees_with_a_naive_model(
            left in prop::collection::vec(any_prefix(), 0..12),
            right in prop::collection::vec(any_prefix(), 0..12),
        ) {
            let (a, b): (PrefixSet, PrefixSet) = (left.iter().copied().collect(), right.iter().copied().collect());
            let (x, y) = (model(&left), model(&right));
            check(&a.union(&b), &x.union(&y).copied().collect());
            check(&a.intersection(&b), &x.intersection(&y).copied().collect());
            check(&a.difference(&b), &x.difference(&y).copied().collect());
            prop_assert_eq!(a.complement().complement(), a.clone());
            prop_assert!(a.union(&a.complement()) == PrefixSet::everything());
            prop_assert_eq!(a.covers(&b), y.is_subset(&x));
            prop_assert!(a.is_of(&a.to_prefixes()));
            let mut ascending = left.clone();
            ascending.sort_unstable();
            ascending.dedup_by(|inner, wider| wider.covers(inner));
            prop_assert!(a.is_of(&ascending));
            prop_assert_eq!(b.is_of(&ascending), a == b);
            prop_assert_eq!(PrefixSet::from_spans(a.v4().to_vec(), a.v6().to_vec()), a.clone());
            for address in x.union(&y) {
                prop_assert_eq!(a.contains(*address), x.contains(address));
            }
        }

        #[test]
        fn intervals_in_any_order_are_the_same_set(
            mut spans in prop::collection::vec((0u8..64, 0u8..64, any::<bool>()), 0..12),
        ) {
            let of = |spans: &[(u8, u8, bool)]| {
                let base = |top: bool| if top { u32::MAX - 63 } else { 0 };
                let v4: Vec<_> = spans.iter()
                    .map(|(from, to, top)| (base(*top) + u32::from(*from), base(*top) + u32::from(*to))).collect();
                let v6 = v4.iter().map(|(from, to)| (u128::MAX - u128::from(*to), u128::MAX - u128::from(*from)));
                let v6: Vec<_> = v6.collect();
                PrefixSet::from_spans(v4, v6)
            };
            let set = of(&spans);
            let ranges: Vec<(IpAddr, IpAddr)> = set.ranges().collect();
            prop_assert!(ranges.is_sorted() && ranges.iter().all(|(first, last)| first <= last));
            prop_assert!(set.v4().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            prop_assert!(set.v6().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            for host in 0u8..64 {
                let wanted = spans.iter().any(|(from, to, top)| !top && from <= &host && &host <= to);
                prop_assert_eq!(set.contains(Ipv4Addr::from(u32::from(host)).into()), wanted);
            }
            spans.reverse();
            prop_assert_eq!(of(&spans), set);
        }

        #[test]
        fn long_lists_are_sorted_as_short_ones_are(
            spans in prop::collection::vec((any::<u32>(), 0u32..1 << 20), 1024..3000),
            twist in any::<u32>(),
        ) {
            let spans: Vec<(u32, u32)> =
                spans.iter().map(|(first, size)| (*first, first.saturating_add(*size))).collect();
            let wider = |at: u32| u128::from(at ^ twist) << 90 | u128::from(at);
            let many: Vec<(u128, u128)> = spans.iter().map(|(first, _)| (wider(*first), wider(*first))).collect();
            let set = PrefixSet::from_spans(spans.clone(), many.clone());
            // A few at a time never come to the sort by counting.
            let few = spans.chunks(500).zip(many.chunks(500)).fold(PrefixSet::empty(), |all, (v4, v6)| {
                let part = PrefixSet::from_spans(v4.to_vec(), v6.to_vec());
                let mut joined = [&*part.v4, &*all.v4].concat();
                joined.sort_unstable();
                PrefixSet { v4: naive(&joined).into(), v6: normalise([&*all.v6, &*part.v6].concat()).into() }
            });
            prop_assert_eq!(set, few);
        }

        #[test]
        fn prefixes_are_as_few_as_the_reference_says(prefixes in prop::collection::vec(any_prefix(), 0..20)) {
            let nets: Vec<_> = prefixes.iter().map(Prefix::net).collect();
            let reference: BTreeSet<Prefix> = ipnet::IpNet::aggregate(&nets).into_iter().map(Prefix).collect();
            let ours: BTreeSet<Prefix> = prefixes.into_iter().collect::<PrefixSet>().to_prefixes().into_iter().collect();
            prop_assert_eq!(ours, reference);
        }
    }
}
