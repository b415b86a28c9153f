//! What differs from address to address: intervals of both families, each with a number.

use std::net::IpAddr;

use crate::prefix::PrefixSet;
use crate::prefix::first::{deciding, within};
use crate::prefix::span::{Number, Span};

/// Sorted, disjoint intervals with what holds there; neighbours are told apart by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    pub(super) v4: Vec<(Span<u32>, u32)>,
    pub(super) v6: Vec<(Span<u128>, u32)>,
}

/// Intervals in order of precedence, each with what holds there.
#[derive(Debug, Default)]
pub(super) struct Layers {
    v4: Vec<(Span<u32>, u32)>,
    v6: Vec<(Span<u128>, u32)>,
}

impl Layers {
    /// Adds an interval of IPv4.
    pub(super) fn push_v4(&mut self, span: Span<u32>, tag: u32) {
        self.v4.push((span, tag));
    }

    /// Adds an interval of IPv6.
    pub(super) fn push_v6(&mut self, span: Span<u128>, tag: u32) {
        self.v6.push((span, tag));
    }

    /// Adds a set.
    pub(super) fn push_set(&mut self, set: &PrefixSet, tag: u32) {
        self.v4.extend(set.v4().iter().map(|span| (*span, tag)));
        self.v6.extend(set.v6().iter().map(|span| (*span, tag)));
    }

    /// Adds the part of pieces within a set.
    pub(super) fn push_within(&mut self, pieces: &Pieces, set: &PrefixSet) {
        // Their iterators can't tell how many come.
        self.v4.reserve(pieces.v4.len());
        self.v6.reserve(pieces.v6.len());
        self.v4.extend(within(&pieces.v4, set.v4()));
        self.v6.extend(within(&pieces.v6, set.v6()));
    }

    /// The intervals where one of them decides.
    pub(super) fn decided(self) -> Pieces {
        Pieces { v4: deciding(self.v4), v6: deciding(self.v6) }
    }
}

impl Pieces {
    /// A set with one tag; nothing without a tag.
    pub(super) fn all(set: &PrefixSet, tag: Option<u32>) -> Self {
        let mut layers = Layers::default();
        if let Some(tag) = tag {
            layers.push_set(set, tag);
        }
        layers.decided()
    }

    /// The addresses of a set that are in one of the pieces.
    pub(super) fn among(&self, set: &PrefixSet) -> PrefixSet {
        let (mut v4, mut v6) = (Vec::with_capacity(self.v4.len()), Vec::with_capacity(self.v6.len()));
        v4.extend(within(&self.v4, set.v4()).map(|(span, _)| span));
        v6.extend(within(&self.v6, set.v6()).map(|(span, _)| span));
        PrefixSet::from_spans(v4, v6)
    }

    /// The tag of an address.
    pub(super) fn at(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => at(&self.v4, address.into()),
            IpAddr::V6(address) => at(&self.v6, address.into()),
        }
    }

    /// The pieces that get a new tag by their old one.
    pub(super) fn chosen(&self, tag: impl Fn(u32) -> Option<u32>) -> Self {
        let mut chosen =
            Self { v4: Vec::with_capacity(self.v4.len()), v6: Vec::with_capacity(self.v6.len()) };
        chosen.v4.extend(self.v4.iter().filter_map(|(span, old)| Some((*span, tag(*old)?))));
        chosen.v6.extend(self.v6.iter().filter_map(|(span, old)| Some((*span, tag(*old)?))));
        chosen
    }

    /// The lowest of the tags.
    pub(super) fn least(&self) -> Option<u32> {
        self.v4.iter().map(|(_, tag)| *tag).chain(self.v6.iter().map(|(_, tag)| *tag)).min()
    }
}

fn at<N: Number>(pieces: &[(Span<N>, u32)], address: N) -> Option<u32> {
    let after = pieces.partition_point(|((first, _), _)| *first <= address);
    let ((_, last), tag) = after.checked_sub(1).and_then(|at| pieces.get(at))?;
    (address <= *last).then_some(*tag)
}

/// The addresses of IPv6 that stand for one of IPv4.
const MAPPED: Span<u128> = (0xffff_0000_0000, 0xffff_ffff_ffff);

impl Pieces {
    /// What holds for IPv4 addresses that arrive mapped, told by what holds for IPv6.
    pub(super) fn unmapped(&self) -> Self {
        let bare = |address: u128| u32::try_from(address.saturating_sub(MAPPED.0)).unwrap_or(u32::MAX);
        let found = within(&self.v6, &[MAPPED]);
        Self {
            v4: found.map(|((first, last), tag)| ((bare(first), bare(last)), tag)).collect(),
            v6: Vec::new(),
        }
    }
}
