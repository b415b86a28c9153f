//! A caller's whole way: several layers, one answer.
//!
//! Who is refused by one layer is refused, whatever the others say. Who is admitted by all is admitted. What is
//! left is undecided. The outermost layer that refuses is the one that is named, because a caller meets it first;
//! of layers that all admit, the innermost, which tells callers apart best.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::admission::{
    Admission, Decided, Decider, Decisions, Fate, Finding, FindingKind, Held, Layer, LayerKind, Listing,
    Piece, Question, RuleId, Ruling, Step, Undecided, Wanted,
};
use crate::prefix::cursor::Cursor;
use crate::prefix::span::Number;
use crate::prefix::{Family, PrefixSet};

/// Layers that callers cross, from the outside inwards.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    layers: &'a [Box<dyn Layer + 'a>],
}

/// A layer that callers reach in another way than the first one: at another port, or through a proxy.
pub struct Entered<'a> {
    /// The layer.
    pub layer: Box<dyn Layer + 'a>,
    /// The port at which callers arrive, where it is another one.
    pub port: Option<u16>,
    /// The proxy that all callers come from here, so that its fate is theirs. A layer that hears the caller's own
    /// address from a proxy is told of it in another way.
    pub proxy: Option<IpAddr>,
}

impl Entered<'_> {
    fn question(&self, question: &Question) -> Question {
        Question { port: self.port.unwrap_or(question.port), ..question.clone() }
    }
}

impl Layer for Entered<'_> {
    fn kind(&self) -> LayerKind {
        self.layer.kind()
    }

    fn listings(&self) -> &[Listing] {
        self.layer.listings()
    }

    fn admit(&self, question: &Question) -> Admission {
        match self.proxy {
            None => self.layer.admit(&self.question(question)),
            Some(proxy) => everybody(self.layer.trace(&self.question(question), proxy).0, &Family::ALL),
        }
    }

    fn trace(&self, question: &Question, source: IpAddr) -> (Admission, Vec<Step>) {
        let (answer, steps) = self.layer.trace(&self.question(question), self.proxy.unwrap_or(source));
        if self.proxy.is_none() {
            return (answer, steps);
        }
        let family = if source.is_ipv4() { Family::V4 } else { Family::V6 };
        (everybody(answer, &[family]), steps)
    }

    fn describe(&self, rule: RuleId) -> Decider {
        self.layer.describe(rule)
    }

    fn mend(&self, rule: RuleId, sources: &PrefixSet, port: u16, wanted: Wanted) -> Option<String> {
        let port = self.port.unwrap_or(port);
        match self.proxy {
            None => self.layer.mend(rule, sources, port, wanted),
            Some(proxy) => self.layer.mend(rule, &PrefixSet::between(proxy, proxy), port, wanted),
        }
    }

    fn room_for(&self, added: &PrefixSet, ports: usize) -> Vec<Finding> {
        self.layer.room_for(added, ports)
    }
}

/// The fate of one source, a proxy, as everybody's.
fn everybody(of_one: Admission, families: &[Family]) -> Admission {
    let everyone = families
        .iter()
        .fold(PrefixSet::empty(), |all, family| all.union(&PrefixSet::everything().only(*family)));
    let whole = |set: &PrefixSet| if set.is_empty() { PrefixSet::empty() } else { everyone.clone() };
    let decided = of_one.decided.first().into_iter().flat_map(|one| {
        everyone.ranges().map(move |(first, last)| Decided { first, last, ..one }).collect::<Vec<_>>()
    });
    Admission {
        surely: whole(&of_one.surely),
        possibly: whole(&of_one.possibly),
        decided: decided.collect(),
        undecided: of_one
            .undecided
            .into_iter()
            .map(|open| Undecided { sources: everyone.clone(), ..open })
            .collect(),
        findings: of_one.findings,
    }
}

/// What the layers answer together.
#[derive(Debug)]
pub struct Crossing {
    /// The answer. Its rules are numbered anew: ask the path what they are.
    pub admission: Arc<Admission>,
    /// What each layer says of one source, where one was asked about, its rules numbered as in the whole.
    pub layers: Vec<Admission>,
    /// What one source meets, where one was asked about: each step with the index of its layer.
    pub steps: Vec<(usize, Step)>,
    numbers: Numbers,
}

/// The common numbering of rules: the layer's index, and its own number.
#[derive(Debug, Default)]
struct Numbers {
    known: HashMap<(usize, RuleId), RuleId>,
    rules: Vec<(usize, RuleId)>,
}

impl Numbers {
    fn of(&mut self, layer: usize, rule: RuleId) -> RuleId {
        let rules = &mut self.rules;
        *self.known.entry((layer, rule)).or_insert_with(|| {
            let number = RuleId(u32::try_from(rules.len()).unwrap_or(u32::MAX));
            rules.push((layer, rule));
            number
        })
    }

    /// An answer in the common numbering.
    fn renumber(&mut self, layer: usize, mut admission: Admission) -> Admission {
        admission.decided.renumber(|rule| self.of(layer, rule));
        let mut of = |rule: &mut Option<RuleId>| *rule = rule.map(|rule| self.of(layer, rule));
        admission.undecided.iter_mut().for_each(|one| of(&mut one.rule));
        admission.findings.iter_mut().for_each(|one| of(&mut one.rule));
        admission
    }
}

impl Crossing {
    /// The answer of one layer, which was asked before. Its own numbers do.
    pub fn of_one(admission: Arc<Admission>) -> Self {
        Self { admission, layers: Vec::new(), steps: Vec::new(), numbers: Numbers::default() }
    }
}

impl<'a> Path<'a> {
    /// Layers in the order in which callers cross them.
    pub fn new(layers: &'a [Box<dyn Layer + 'a>]) -> Self {
        Self { layers }
    }

    /// Its layers.
    pub fn layers(&self) -> &'a [Box<dyn Layer + 'a>] {
        self.layers
    }

    /// Which sources get through all layers.
    pub fn admit(&self, question: &Question) -> Crossing {
        let (layers, _, numbers) = self.cross(|layer| (layer.admit(question), Vec::new()));
        Crossing { admission: together(layers).into(), layers: Vec::new(), steps: Vec::new(), numbers }
    }

    /// What one source meets, and what becomes of it.
    pub fn trace(&self, question: &Question, source: IpAddr) -> Crossing {
        let (layers, steps, numbers) = self.cross(|layer| layer.trace(question, source));
        Crossing { admission: together(layers.clone()).into(), layers, steps, numbers }
    }

    /// What each layer says.
    fn cross(
        &self,
        ask: impl Fn(&dyn Layer) -> (Admission, Vec<Step>),
    ) -> (Vec<Admission>, Vec<(usize, Step)>, Numbers) {
        let mut numbers = Numbers::default();
        let (mut layers, mut steps) = (Vec::new(), Vec::new());
        for (index, layer) in self.layers.iter().enumerate() {
            let (admission, met) = ask(layer.as_ref());
            if self.layers.len() == 1 {
                // Its own numbers do.
                layers.push(admission);
                steps.extend(met.into_iter().map(|step| (index, step)));
                break;
            }
            layers.push(numbers.renumber(index, admission));
            steps.extend(
                met.into_iter().map(|step| (index, Step { rule: numbers.of(index, step.rule), ..step })),
            );
        }
        (layers, steps, numbers)
    }

    /// The layer that a rule of a crossing belongs to, and the layer's own number for it.
    pub fn find(&self, crossing: &Crossing, rule: RuleId) -> Option<(&'a dyn Layer, RuleId)> {
        if let [only] = self.layers {
            return Some((only.as_ref(), rule));
        }
        let (layer, own) = *crossing.numbers.rules.get(usize::try_from(rule.0).ok()?)?;
        Some((self.layers.get(layer)?.as_ref(), own))
    }

    /// What a number of a rule stands for; the layer is among its facts.
    pub fn describe(&self, crossing: &Crossing, rule: RuleId) -> Decider {
        let Some((layer, own)) = self.find(crossing, rule) else { return Decider::default() };
        let mut decider = layer.describe(own);
        decider.facts.insert("layer", layer.kind().as_str().to_owned());
        decider
    }
}

/// The answers of all layers as one.
fn together(mut layers: Vec<Admission>) -> Admission {
    if layers.len() == 1 {
        return layers.pop().unwrap_or_default();
    }
    let Some((first, rest)) = layers.split_first() else { return Admission::default() };
    let mut all = first.clone();
    for inner in rest {
        all = Admission {
            surely: all.surely.intersection(&inner.surely),
            possibly: all.possibly.intersection(&inner.possibly),
            decided: overlaid(&all.decided, &inner.decided),
            ..Admission::default()
        };
    }
    let between = all.possibly.difference(&all.surely);
    for open in layers.iter().flat_map(|layer| &layer.undecided) {
        let sources = open.sources.intersection(&between);
        if !sources.is_empty() {
            all.undecided.push(Undecided { sources, ..open.clone() });
        }
    }
    all.findings = findings(&layers, &all);
    all
}

/// What is worth saying about any layer. Whether a family is open is a matter of the whole way.
fn findings(layers: &[Admission], all: &Admission) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let of_layers = layers.iter().flat_map(|layer| layer.findings.iter().cloned());
    let of_layers = of_layers.filter(|one| one.kind != FindingKind::FamilyOpen);
    for one in of_layers.chain(all.open_family()) {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

/// Two decided lists as one: ascending, disjoint.
fn overlaid(outer: &Decisions, inner: &Decisions) -> Decisions {
    Decisions::of(overlay::<u32>(outer, inner).into(), overlay::<u128>(outer, inner).into())
}

/// The same for one family.
fn overlay<N: Number>(outer: &Decisions, inner: &Decisions) -> Vec<Piece<N>> {
    let (mut outer, mut inner) = (Cursor::new(outer.spans::<N>()), Cursor::new(inner.spans::<N>()));
    let mut all = Vec::new();
    let mut at = Some(N::MIN);
    while let Some(from) = at {
        let (outside, outside_end) = outer.at(from);
        let (inside, inside_end) = inner.at(from);
        let to = outside_end.min(inside_end);
        if let Some(fate) = both(outside, inside) {
            push(&mut all, ((from, to), Held::new(fate)));
        }
        at = to.after();
    }
    all
}

/// The fate of who meets two layers, one after the other; `None` where it is undecided.
fn both(outside: Option<Fate>, inside: Option<Fate>) -> Option<Fate> {
    let refused = |fate: &Fate| fate.0 != Ruling::Accept;
    outside.filter(refused).or(inside.filter(refused)).or_else(|| outside.and(inside))
}

/// Adds an interval, joined to the one before where nothing tells them apart.
fn push<N: Number>(all: &mut Vec<Piece<N>>, (span, held): Piece<N>) {
    match all.last_mut() {
        Some((open, known)) if *known == held && open.1.after() == Some(span.0) => open.1 = span.1,
        _ => all.push((span, held)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prefix::span::Number;

    /// A layer with a given answer.
    #[derive(Debug, Clone)]
    struct Given(Admission);

    impl Layer for Given {
        fn kind(&self) -> LayerKind {
            LayerKind::Host
        }
        fn listings(&self) -> &[Listing] {
            &[]
        }
        fn admit(&self, _: &Question) -> Admission {
            self.0.clone()
        }
        fn trace(&self, _: &Question, source: IpAddr) -> (Admission, Vec<Step>) {
            let one = PrefixSet::between(source, source);
            let mut answer = self.0.clone();
            answer.surely = answer.surely.intersection(&one);
            answer.possibly = answer.possibly.intersection(&one);
            answer.decided = answer.decided.within(source, source).collect();
            (answer, Vec::new())
        }
        fn describe(&self, rule: RuleId) -> Decider {
            Decider { title: format!("rule {}", rule.0), ..Decider::default() }
        }
        fn mend(&self, _: RuleId, _: &PrefixSet, _: u16, _: Wanted) -> Option<String> {
            None
        }
    }

    const SPACE: u8 = 30;

    fn address(family: Family, number: u128) -> IpAddr {
        match family {
            Family::V4 => u32::try_from(number).unwrap().to_ip(),
            Family::V6 => number.to_ip(),
        }
    }

    fn last_of(family: Family) -> u128 {
        match family {
            Family::V4 => u128::from(u32::MAX),
            Family::V6 => u128::MAX,
        }
    }

    /// One fate an address, for the first few of IPv4 and IPv6; all others are refused.
    fn layer(fates: &[u8]) -> Given {
        let (mut decided, mut open) = (Vec::new(), PrefixSet::empty());
        for family in Family::ALL {
            for (at, fate) in fates.iter().enumerate() {
                let at = address(family, at as u128);
                let rule = Some(RuleId(u32::from(*fate)));
                match fate {
                    0 => open = open.union(&PrefixSet::between(at, at)),
                    1 | 2 => decided.push(Decided { first: at, last: at, ruling: Ruling::Accept, rule }),
                    _ => decided.push(Decided { first: at, last: at, ruling: Ruling::Drop, rule }),
                }
            }
            let (first, last) = (address(family, fates.len() as u128), address(family, last_of(family)));
            decided.push(Decided { first, last, ruling: Ruling::Drop, rule: Some(RuleId(9)) });
        }
        let why = "a coin".to_owned();
        Given(Admission::of(
            decided.into_iter().collect(),
            vec![Undecided { rule: None, why, sources: open }],
        ))
    }

    fn question() -> Question {
        Question { port: 443, interface: None, addresses: Vec::new(), at: jiff::Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn behind_a_proxy_everybody_has_the_proxys_fate() {
        for (fate, known) in [(1, true), (3, false)] {
            let layer =
                Entered { layer: Box::new(layer(&[fate])), port: Some(8443), proxy: "0.0.0.0".parse().ok() };
            let answer = layer.admit(&question());
            let wanted = if known { PrefixSet::everything() } else { PrefixSet::empty() };
            assert_eq!((&answer.surely, &answer.possibly), (&wanted, &wanted));
            assert_eq!(answer.decided.iter().count(), 2);
        }
        let open = Entered { layer: Box::new(layer(&[0])), port: None, proxy: "0.0.0.0".parse().ok() };
        let answer = open.admit(&question());
        assert!(answer.surely.is_empty() && answer.possibly == PrefixSet::everything());
        assert_eq!(
            open.trace(&question(), "::1".parse().unwrap()).0.possibly,
            PrefixSet::everything().only(Family::V6)
        );
    }

    proptest! {
        #[test]
        fn each_source_has_the_fate_that_its_layers_give(
            fates in prop::collection::vec(prop::collection::vec(0_u8..5, usize::from(SPACE)), 1..4)
        ) {
            let layers: Vec<Box<dyn Layer>> = fates.iter().map(|one| Box::new(layer(one)) as Box<dyn Layer>).collect();
            let path = Path::new(&layers);
            let crossing = path.admit(&question());
            for family in Family::ALL {
                for at in 0..SPACE {
                    let of_layers: Vec<u8> = fates.iter().map(|one| one[usize::from(at)]).collect();
                    let source = address(family, u128::from(at));
                    let refused = of_layers.iter().position(|fate| *fate > 2);
                    let open = of_layers.contains(&0);
                    prop_assert_eq!(crossing.admission.possibly.contains(source), refused.is_none());
                    prop_assert_eq!(crossing.admission.surely.contains(source), refused.is_none() && !open);
                    let one = crossing.admission.decided.within(source, source).next();
                    prop_assert_eq!(one.is_some(), refused.is_some() || !open);
                    let Some(one) = one else { continue };
                    let index = refused.unwrap_or(fates.len().saturating_sub(1));
                    let told = crossing.numbers.rules.get(one.rule.unwrap().0 as usize);
                    prop_assert_eq!(told.map_or(0, |(layer, _)| *layer), index);
                    let fate = of_layers[index];
                    prop_assert_eq!(path.describe(&crossing, one.rule.unwrap()).title, format!("rule {fate}"));
                }
            }
            let between = crossing.admission.possibly.difference(&crossing.admission.surely);
            let told = crossing.admission.undecided.iter().fold(PrefixSet::empty(), |all, one| all.union(&one.sources));
            prop_assert_eq!(told, between);
            let decided: Vec<Decided> = crossing.admission.decided.iter().collect();
            for pair in decided.windows(2) {
                prop_assert!(pair[0].first.is_ipv4() != pair[1].first.is_ipv4() || pair[0].last < pair[1].first);
            }
        }
    }
}
