//! Which line of a list holds at which address, in both families.

use crate::admission::RuleId;
use crate::prefix::PrefixSet;
use crate::prefix::first::{Both, Grounded, grounded};
use crate::prefix::span::Span;

/// An allow or deny line: its rule, and one more where it denies. Rules of directives have even numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line(u32);

impl Line {
    pub(super) fn new(rule: RuleId, denies: Denies) -> Self {
        Self(rule.0 | u32::from(denies == Denies::Yes))
    }

    /// Its rule.
    pub(super) fn rule(self) -> RuleId {
        RuleId(self.0 & !1)
    }

    /// Whether it denies.
    pub(super) fn denies(self) -> Denies {
        if self.0.is_multiple_of(2) { Denies::No } else { Denies::Yes }
    }
}

/// Whether a line denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denies {
    /// `deny`
    Yes,
    /// `allow`
    No,
}

/// The line that decides, address by address.
pub(super) type Pieces = Both<Line>;

/// Lines in order of precedence.
#[derive(Debug, Default)]
pub(super) struct Layers {
    v4: Vec<(Span<u32>, Line)>,
    v6: Vec<(Span<u128>, Line)>,
}

impl Layers {
    /// Makes room for so many intervals of IPv4.
    pub(super) fn reserve_v4(&mut self, count: usize) {
        self.v4.reserve(count);
    }

    /// Adds addresses of IPv4 that a line names.
    pub(super) fn push_v4(&mut self, span: Span<u32>, line: Line) {
        self.v4.push((span, line));
    }

    /// Adds addresses of IPv6 that a line names.
    pub(super) fn push_v6(&mut self, span: Span<u128>, line: Line) {
        self.v6.push((span, line));
    }

    /// The line that decides.
    pub(super) fn decided(self) -> Pieces {
        Pieces { v4: grounded(self.v4), v6: grounded(self.v6) }
    }
}

impl Pieces {
    /// The addresses whose line is of one kind.
    pub(super) fn set(&self, denies: Denies) -> PrefixSet {
        self.set_of(|line| line.denies() == denies)
    }

    /// The first line of one kind that decides anywhere.
    pub(super) fn least(&self, denies: Denies) -> Option<RuleId> {
        self.tags().filter(|line| line.denies() == denies).min().map(Line::rule)
    }

    /// What holds for IPv4 addresses that arrive mapped, told by what holds for IPv6.
    pub(super) fn unmapped(&self) -> Self {
        let bare = |address: u128| u32::try_from(address.saturating_sub(MAPPED.0)).unwrap_or(u32::MAX);
        let found = self.v6.within(&[MAPPED]).map(|((first, last), line)| ((bare(first), bare(last)), line));
        Self { v4: grounded(found.collect()), v6: Grounded::default() }
    }
}

/// The addresses of IPv6 that stand for one of IPv4.
const MAPPED: Span<u128> = (0xffff_0000_0000, 0xffff_ffff_ffff);
