//! Whom rules name, surely and possibly.

use std::collections::HashSet;

use super::super::{Group, Known, Protocol, Rule, Source};
use crate::admission::RuleId;
use crate::prefix::first::deciding;
use crate::prefix::span::{Number, Span, normalise};

/// Whether a rule is about connections to a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    Never,
    Surely,
    /// It may be, and why nobody can say.
    Maybe(String),
}

impl Fit {
    /// Why a rule is open that is open anyway.
    pub(super) fn because(&self, why: &str) -> String {
        match self {
            Fit::Never | Fit::Surely => why.to_owned(),
            Fit::Maybe(more) => format!("{more}; {why}"),
        }
    }
}

/// Whether a rule can admit a callback at all.
pub(super) fn counts(rule: &Rule) -> bool {
    rule.protocol != Known::Is(Protocol::Other)
}

/// Whether a rule is about connections to this port.
pub(super) fn fit(rule: &Rule, port: u16) -> Fit {
    let mut whys: Vec<String> = rule.doubt.iter().cloned().collect();
    match &rule.protocol {
        Known::Is(Protocol::Other) => return Fit::Never,
        Known::Is(Protocol::All | Protocol::Tcp) => {}
        Known::Unknown(why) => whys.push(format!("its protocol is not known: {why}")),
    }
    match &rule.ports {
        // A rule for all protocols has no ports.
        _ if rule.protocol == Known::Is(Protocol::All) => {}
        Known::Is((first, last)) if (*first..=*last).contains(&port) => {}
        // One whose protocol is not known may be for all.
        Known::Is(_) if rule.protocol.value().is_none() => {}
        Known::Is(_) => return Fit::Never,
        Known::Unknown(why) => whys.push(format!("its ports are not known: {why}")),
    }
    if whys.is_empty() { Fit::Surely } else { Fit::Maybe(whys.join("; ")) }
}

/// The order in which rules are told to decide: what names most comes first, so that few rules are told. Rules that
/// are equal but for their place have one order whatever the listing's.
pub(super) fn order<'g>((group, rule): (&'g Group, &'g Rule)) -> impl Ord + use<'g> {
    let width = match rule.source.value() {
        Some(Source::Prefix(prefix)) => prefix.length(),
        Some(Source::PrefixList(_)) => 200,
        Some(Source::Group(_)) => 201,
        None => 202,
    };
    let meaning = (&rule.source, &rule.protocol, &rule.ports);
    (width, rule.doubt.is_some(), meaning, rule.id.as_str(), group.id.as_str(), rule.place)
}

/// Sources that a rule may admit.
#[derive(Debug)]
pub(super) struct Maybe<N> {
    pub(super) rule: Option<RuleId>,
    pub(super) why: String,
    pub(super) spans: Vec<Span<N>>,
}

/// Whom rules name. While rules are added, what is sure is in their order; then it is told which one decides.
#[derive(Debug)]
pub(super) struct Named<'g, N> {
    pub(super) sure: Vec<(Span<N>, Option<RuleId>)>,
    pub(super) maybe: Vec<Maybe<N>>,
    /// Lists and groups that a rule before named: once is enough, surely or possibly.
    told: HashSet<(&'g Source, bool)>,
}

impl<'g, N: Number> Named<'g, N> {
    pub(super) fn new() -> Self {
        Self { sure: Vec::new(), maybe: Vec::new(), told: HashSet::new() }
    }

    /// Whether another rule like this has named it already.
    pub(super) fn is_told(&mut self, source: &'g Source, fit: &Fit) -> bool {
        let surely = *fit == Fit::Surely;
        self.told.contains(&(source, true)) || !self.told.insert((source, surely))
    }

    /// Addresses that a rule names.
    pub(super) fn add(&mut self, id: RuleId, fit: &Fit, spans: Vec<Span<N>>) {
        match fit {
            Fit::Never => {}
            Fit::Surely => self.sure.extend(spans.into_iter().map(|span| (span, Some(id)))),
            Fit::Maybe(why) => self.may(Some(id), why.clone(), spans),
        }
    }

    /// Addresses that are named in some cases.
    pub(super) fn may(&mut self, rule: Option<RuleId>, why: String, spans: Vec<Span<N>>) {
        if !spans.is_empty() {
            self.maybe.push(Maybe { rule, why, spans: normalise(spans) });
        }
    }

    /// Tells for each address which rule decides.
    pub(super) fn finish(mut self) -> Self {
        self.sure = deciding(self.sure);
        self
    }
}
