//! What differs from address to address: intervals of both families, each with a number.

use std::net::IpAddr;

use crate::prefix::PrefixSet;
use crate::prefix::first::{deciding, within};
use crate::prefix::span::{Number, Span};

/// Sorted, disjoint intervals with what holds there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    v4: Vec<(Span<u32>, u32)>,
    v6: Vec<(Span<u128>, u32)>,
}

/// Intervals in order of precedence, each with what holds there.
#[derive(Debug, Clone, Default)]
pub(super) struct Layers {
    v4: Vec<Span<u32>>,
    v4_tags: Vec<u32>,
    v6: Vec<Span<u128>>,
    v6_tags: Vec<u32>,
}

impl Layers {
    /// Adds an interval of IPv4.
    pub(super) fn push_v4(&mut self, span: Span<u32>, tag: u32) {
        self.v4.push(span);
        self.v4_tags.push(tag);
    }

    /// Adds an interval of IPv6.
    pub(super) fn push_v6(&mut self, span: Span<u128>, tag: u32) {
        self.v6.push(span);
        self.v6_tags.push(tag);
    }

    /// Adds a set.
    pub(super) fn push_set(&mut self, set: &PrefixSet, tag: u32) {
        for span in set.v4() {
            self.push_v4(*span, tag);
        }
        for span in set.v6() {
            self.push_v6(*span, tag);
        }
    }

    /// Adds all of another.
    pub(super) fn push_pieces(&mut self, pieces: &Pieces) {
        for (span, tag) in &pieces.v4 {
            self.push_v4(*span, *tag);
        }
        for (span, tag) in &pieces.v6 {
            self.push_v6(*span, *tag);
        }
    }

    /// The intervals where one of them decides.
    pub(super) fn decided(&self) -> Pieces {
        Pieces { v4: tagged(&self.v4, &self.v4_tags), v6: tagged(&self.v6, &self.v6_tags) }
    }
}

/// The intervals that decide; neighbours with the same tag are joined.
fn tagged<N: Number>(spans: &[Span<N>], tags: &[u32]) -> Vec<(Span<N>, u32)> {
    let mut found: Vec<(Span<N>, u32)> = Vec::new();
    for (span, index) in deciding(spans) {
        let Some(tag) = tags.get(index).copied() else { continue };
        match found.last_mut() {
            Some((open, known)) if *known == tag && open.1.after() == Some(span.0) => open.1 = span.1,
            _ => found.push((span, tag)),
        }
    }
    found
}

impl Pieces {
    /// The addresses whose tag is wanted.
    pub(super) fn whose(&self, wanted: impl Fn(u32) -> bool) -> PrefixSet {
        let v4 = self.v4.iter().filter(|(_, tag)| wanted(*tag)).map(|(span, _)| *span);
        let v6 = self.v6.iter().filter(|(_, tag)| wanted(*tag)).map(|(span, _)| *span);
        PrefixSet::from_spans(v4.collect(), v6.collect())
    }

    /// The tag of an address.
    pub(super) fn at(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => at(&self.v4, address.into()),
            IpAddr::V6(address) => at(&self.v6, address.into()),
        }
    }

    /// The part of it within a set.
    pub(super) fn within(&self, set: &PrefixSet) -> Self {
        Self { v4: within(&self.v4, set.v4()), v6: within(&self.v6, set.v6()) }
    }

    /// The same intervals with other tags, which tell them apart as well.
    pub(super) fn tagged(mut self, tag: impl Fn(u32) -> u32) -> Self {
        for (_, old) in &mut self.v4 {
            *old = tag(*old);
        }
        for (_, old) in &mut self.v6 {
            *old = tag(*old);
        }
        self
    }

    /// Every interval with its tag, IPv4 first, ascending.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr, u32)> {
        let v4 = self.v4.iter().map(|((first, last), tag)| (first.to_ip(), last.to_ip(), *tag));
        let v6 = self.v6.iter().map(|((first, last), tag)| (first.to_ip(), last.to_ip(), *tag));
        v4.chain(v6)
    }

    /// The tags that occur, each once.
    pub(super) fn tags(&self) -> Vec<u32> {
        let all = self.v4.iter().map(|(_, tag)| *tag).chain(self.v6.iter().map(|(_, tag)| *tag));
        let mut tags: Vec<u32> = all.collect();
        tags.sort_unstable();
        tags.dedup();
        tags
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
            v4: found.into_iter().map(|((first, last), tag)| ((bare(first), bare(last)), tag)).collect(),
            v6: Vec::new(),
        }
    }
}
