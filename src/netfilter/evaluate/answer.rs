//! Conditions tried on a packet: for which sources they surely hold, and for which possibly.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::address::Address;
use super::interface::Tried;
use super::packet::{Packet, Spot, differs_by_phase};
use super::program::Program;
use super::region::Cover;
use crate::netfilter::{
    Direction, Element, Elements, Field, Item, Lookup, Match, NamePattern, Set, SetRef, Span, Spans, Table,
    Test, Values,
};
use crate::prefix::span::normalise;

/// Most elements of a set with holes in several dimensions that are looked at.
const HOLED_ELEMENTS_MAX: usize = 4096;
/// How deep lists of sets are followed; the kernel has one level.
const LISTS_DEPTH_MAX: usize = 4;

/// Whether a condition holds.
#[derive(Debug)]
pub(super) enum Answer<'p, N: Address> {
    /// For these sources, and for no other.
    Exactly(Cover<'p, N>),
    /// For the first surely, for the second possibly.
    Between(Cover<'p, N>, Cover<'p, N>, Arc<str>),
    /// For packets that are like the first, and not for those that are like the second.
    Split(Rc<Packet<N>>, Rc<Packet<N>>, Field),
}

impl<'p, N: Address> Answer<'p, N> {
    fn unknown(why: &Arc<str>) -> Self {
        Answer::Between(Cover::Nothing, Cover::Everything, Arc::clone(why))
    }

    fn negated(self) -> Self {
        match self {
            Answer::Exactly(cover) => Answer::Exactly(cover.complement()),
            Answer::Between(surely, possibly, why) => {
                Answer::Between(possibly.complement(), surely.complement(), why)
            }
            Answer::Split(with, without, field) => Answer::Split(without, with, field),
        }
    }

    /// Sure and possible sources; a packet that is not known well enough may go either way.
    pub(super) fn bounds(self) -> (Cover<'p, N>, Cover<'p, N>, Option<Arc<str>>) {
        match self {
            Answer::Exactly(cover) => (cover.clone(), cover, None),
            Answer::Between(surely, possibly, why) => (surely, possibly, Some(why)),
            Answer::Split(_, _, field) => (Cover::Nothing, Cover::Everything, Some(unstated(field))),
        }
    }
}

/// Why a property of the packet is open.
pub(super) fn unstated(field: Field) -> Arc<str> {
    match field {
        Field::InInterface | Field::OutInterface => {
            "the interface is not known: name it with `--interface`, and give `--addresses`".into()
        }
        Field::Destination | Field::Source | Field::OriginalDestination | Field::ReplySource => {
            "the service's address is not known: name it with `--address`".into()
        }
        Field::SourcePort
        | Field::DestinationPort
        | Field::OriginalSourcePort
        | Field::ReplyDestinationPort => "callers choose the port they call from".into(),
        _ => format!("{field:?} is not known").into(),
    }
}

/// The moment that is asked about, as rules test it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) second_of_day: u32,
    pub(super) weekday: u32,
    pub(super) month_day: u32,
    pub(super) seconds: u32,
}

impl Clock {
    fn read(&self, field: Field) -> Option<u32> {
        match field {
            Field::SecondOfDay => Some(self.second_of_day),
            Field::Weekday => Some(self.weekday),
            Field::MonthDay => Some(self.month_day),
            Field::Time => Some(self.seconds),
            _ => None,
        }
    }
}

/// Tries conditions on packets at one spot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial<'a, 'p> {
    pub(super) program: &'a Program<'p>,
    pub(super) table: &'p Table,
    pub(super) spot: Spot,
    pub(super) clock: Clock,
}

impl<'p> Trial<'_, 'p> {
    /// Whether a condition holds.
    pub(super) fn condition<N: Address>(
        &self,
        condition: &'p Match,
        packet: &Rc<Packet<N>>,
    ) -> Answer<'p, N> {
        let plain = match &condition.test {
            Test::Constant(holds) => Answer::Exactly(Cover::from(*holds)),
            Test::Unknown(why) => return Answer::unknown(why),
            // What is absent makes a rule not match, negated or not.
            Test::Is(field, values) => match self.is(*field, values, packet) {
                Some(answer) => answer,
                None => return Answer::Exactly(Cover::Nothing),
            },
            Test::In(lookup) => match self.lookup(lookup, packet) {
                Some(answer) => answer,
                None => return Answer::Exactly(Cover::Nothing),
            },
            Test::Any(groups) => self.any(groups, packet),
        };
        if condition.negated { plain.negated() } else { plain }
    }

    fn any<N: Address>(&self, groups: &'p [Vec<Match>], packet: &Rc<Packet<N>>) -> Answer<'p, N> {
        let (mut sure, mut likely, mut open) = (Vec::new(), Vec::new(), None);
        for group in groups {
            let (mut surely, mut possibly) = (Cover::Everything, Cover::Everything);
            for condition in group {
                let (a, b, why) = self.condition(condition, packet).bounds();
                surely = surely.and(a);
                possibly = possibly.and(b);
                open = open.or(why);
            }
            sure.extend_from_slice(&surely.spans());
            likely.extend_from_slice(&possibly.spans());
        }
        between(normalise(sure), normalise(likely), open)
    }

    /// `None` where the packet has no such property.
    pub(super) fn is<N: Address>(
        &self,
        field: Field,
        values: &'p Values,
        packet: &Rc<Packet<N>>,
    ) -> Option<Answer<'p, N>> {
        if Packet::<N>::is_far_address(field, self.spot) {
            let connection =
                if differs_by_phase(field) { packet.has_connection(self.spot) } else { Some(true) };
            return match connection {
                Some(true) => Some(Answer::Exactly(Cover::of(Cow::Borrowed(N::among(values)?)))),
                Some(false) => None,
                None => Some(Answer::unknown(&unstated(field))),
            };
        }
        self.scalar(field, values, packet)
    }

    /// A property other than the asked address.
    fn scalar<N: Address>(
        &self,
        field: Field,
        values: &Values,
        packet: &Rc<Packet<N>>,
    ) -> Option<Answer<'p, N>> {
        if let Some(now) = self.clock.read(field) {
            let Values::Numbers(spans) = values else { return Some(Answer::unknown(&"a moment".into())) };
            let within = spans.as_slice().iter().any(|(first, last)| (*first..=*last).contains(&now));
            return Some(Answer::Exactly(Cover::from(within)));
        }
        Some(match packet.tried(field, values, self.spot) {
            Tried::Always => Answer::Exactly(Cover::Everything),
            Tried::Never => Answer::Exactly(Cover::Nothing),
            Tried::Absent => return None,
            Tried::Maybe => Answer::unknown(&unstated(field)),
            Tried::Split(with, without) => Answer::Split(Rc::new(with), Rc::new(without), field),
        })
    }

    /// The set that a rule names, as long as the program lives.
    fn set(&self, set: &'p SetRef) -> Result<&'p Set, Arc<str>> {
        let missing = |name: &str| format!("set `{name}` is not in the listing").into();
        match set {
            SetRef::Named(name) => self.table.sets.get(name).ok_or_else(|| missing(name)),
            SetRef::Ipset { name, .. } => self.program.ipsets.get(name).ok_or_else(|| {
                format!("ipset `{name}` is not in the listing: give `ipset save` with `--ipset`").into()
            }),
            SetRef::Anonymous(set) => Ok(set),
        }
    }

    /// `None` where a field that is looked up is absent.
    fn lookup<N: Address>(&self, lookup: &'p Lookup, packet: &Rc<Packet<N>>) -> Option<Answer<'p, N>> {
        let set = match self.set(&lookup.set) {
            Ok(set) => set,
            Err(why) => return Some(Answer::unknown(&why)),
        };
        let (answer, changing) = match &lookup.set {
            SetRef::Ipset { name, directions } => {
                (self.in_ipset(set, directions, packet, 0), self.program.is_changing(name))
            }
            SetRef::Named(_) | SetRef::Anonymous(_) => {
                let fields: Vec<Option<Field>> = lookup.fields.iter().copied().map(Some).collect();
                (self.in_set(set, &fields, packet)?, set.dynamic)
            }
        };
        Some(if changing { changing_set(answer) } else { answer })
    }

    fn in_ipset<N: Address>(
        &self,
        set: &'p Set,
        directions: &[Direction],
        packet: &Rc<Packet<N>>,
        depth: usize,
    ) -> Answer<'p, N> {
        if let Elements::Lists(names) = &set.elements {
            return self.in_list(names, directions, packet, depth);
        }
        let Some(fields) = set.fields(directions) else { return Answer::Exactly(Cover::Nothing) };
        self.in_set(set, &fields, packet).unwrap_or(Answer::Exactly(Cover::Nothing))
    }

    fn in_list<N: Address>(
        &self,
        names: &'p [Arc<str>],
        directions: &[Direction],
        packet: &Rc<Packet<N>>,
        depth: usize,
    ) -> Answer<'p, N> {
        if depth >= LISTS_DEPTH_MAX {
            return Answer::unknown(&"lists of sets nested too deep".into());
        }
        let (mut sure, mut likely, mut open) = (Vec::new(), Vec::new(), None);
        for name in names {
            let answer = match self.program.ipsets.get(name) {
                Some(set) => self.in_ipset(set, directions, packet, depth.saturating_add(1)),
                None => Answer::unknown(&format!("ipset `{name}` is not in the listing").into()),
            };
            let answer = if self.program.is_changing(name) { changing_set(answer) } else { answer };
            let (surely, possibly, why) = answer.bounds();
            sure.extend_from_slice(&surely.spans());
            likely.extend_from_slice(&possibly.spans());
            open = open.or(why);
        }
        between(normalise(sure), normalise(likely), open)
    }

    fn in_set<N: Address>(
        &self,
        set: &'p Set,
        fields: &[Option<Field>],
        packet: &Rc<Packet<N>>,
    ) -> Option<Answer<'p, N>> {
        let single = match fields {
            [Some(field)] => Some(*field),
            _ => None,
        };
        match (&set.elements, single) {
            (Elements::V4(_) | Elements::V6(_), Some(field))
                if Packet::<N>::is_far_address(field, self.spot) =>
            {
                let found = N::in_set(&set.elements).map(|spans| Cover::of(Cow::Borrowed(spans.as_ref())));
                Some(Answer::Exactly(found.unwrap_or(Cover::Nothing)))
            }
            (Elements::V4(spans), Some(field)) => {
                self.in_other(field, &Values::V4(Spans::Many(Arc::clone(spans))), packet)
            }
            (Elements::V6(spans), Some(field)) => {
                self.in_other(field, &Values::V6(Spans::Many(Arc::clone(spans))), packet)
            }
            (Elements::Numbers(spans), Some(field)) => {
                self.scalar(field, &Values::Numbers(Spans::Many(Arc::clone(spans))), packet)
            }
            (Elements::Tuples(elements), single) => {
                if let (Some(field), Some(names)) = (single, only_names(elements)) {
                    return self.scalar(field, &Values::Names(names), packet);
                }
                Some(self.in_tuples(elements, fields, packet))
            }
            (Elements::Unknown(why), _) => Some(Answer::unknown(why)),
            (Elements::V4(_) | Elements::V6(_) | Elements::Numbers(_) | Elements::Lists(_), _) => {
                Some(Answer::unknown(&"a set whose type does not fit its use".into()))
            }
        }
    }

    /// An address other than the asked one; one of the other family is in no set of this one.
    fn in_other<N: Address>(
        &self,
        field: Field,
        values: &Values,
        packet: &Rc<Packet<N>>,
    ) -> Option<Answer<'p, N>> {
        if N::among(values).is_none() {
            return Some(Answer::Exactly(Cover::Nothing));
        }
        self.scalar(field, values, packet)
    }

    fn in_tuples<N: Address>(
        &self,
        elements: &'p [Element],
        fields: &[Option<Field>],
        packet: &Rc<Packet<N>>,
    ) -> Answer<'p, N> {
        let holed = elements.iter().any(|element| element.excluded);
        if holed && elements.len() > HOLED_ELEMENTS_MAX {
            return Answer::unknown(&"a set with holes that is too large to judge".into());
        }
        let (mut sure, mut likely, mut open) = (Vec::new(), Vec::new(), None);
        let mut undecided = Cover::Everything;
        for element in elements {
            let (mut surely, mut possibly, why) = self.element(element, fields, packet);
            if possibly.is_nothing() {
                continue;
            }
            open = open.or(why);
            if holed {
                // An earlier element decides: what it surely is leaves nothing for later ones.
                let mine = surely.clone();
                surely = surely.and(undecided.clone());
                possibly = possibly.and(undecided.clone());
                undecided = undecided.minus(&mine);
            }
            if element.excluded {
                // A hole that only may be one: what later elements say of it is no longer sure.
                let hole = possibly.minus(&surely);
                undecided = undecided.minus(&hole);
                likely.extend_from_slice(&hole.spans());
                continue;
            }
            sure.extend_from_slice(&surely.spans());
            likely.extend_from_slice(&possibly.spans());
        }
        between(normalise(sure), normalise(likely), open)
    }

    /// For which sources one element is found.
    pub(super) fn element<N: Address>(
        &self,
        element: &'p Element,
        fields: &[Option<Field>],
        packet: &Rc<Packet<N>>,
    ) -> (Cover<'p, N>, Cover<'p, N>, Option<Arc<str>>) {
        let (mut surely, mut possibly, mut open) = (Cover::Everything, Cover::Everything, None);
        if element.key.len() != fields.len() {
            return (
                Cover::Nothing,
                Cover::Everything,
                Some("an element of another shape than its set".into()),
            );
        }
        for (values, field) in element.key.iter().zip(fields) {
            let Some(field) = field else {
                surely = Cover::Nothing;
                open = Some("a hardware address is not known".into());
                continue;
            };
            let found = self.is(*field, values, packet);
            let (a, b, why) = found.map_or((Cover::Nothing, Cover::Nothing, None), Answer::bounds);
            surely = surely.and(a);
            possibly = possibly.and(b);
            if possibly.is_nothing() {
                return (Cover::Nothing, Cover::Nothing, None);
            }
            open = open.or(why);
        }
        (surely, possibly, open)
    }

    /// The elements of a map with what they are looked up by; the words where that is not known.
    pub(super) fn map(&self, lookup: &'p Lookup) -> Result<&'p [Element], Arc<str>> {
        let set = self.set(&lookup.set)?;
        match &set.elements {
            Elements::Tuples(elements) if !set.dynamic => Ok(elements),
            Elements::Unknown(why) => Err(Arc::clone(why)),
            _ => Err("a map that packets change, or of a type that is not modelled".into()),
        }
    }
}

/// Whether a rule's conditions may hold for one packet of the handshake and not for another.
pub(super) fn is_phased(items: &[Item]) -> bool {
    fn condition(found: &Match) -> bool {
        match &found.test {
            Test::Is(field, _) => differs_by_phase(*field),
            Test::In(lookup) => lookup.fields.iter().any(|field| differs_by_phase(*field)),
            Test::Any(groups) => groups.iter().flatten().any(condition),
            Test::Constant(_) | Test::Unknown(_) => false,
        }
    }
    items.iter().any(|item| match item {
        Item::Match(found) => condition(found),
        Item::VerdictMap(lookup) => lookup.fields.iter().any(|field| differs_by_phase(*field)),
        Item::Act(_) => true,
        Item::Verdict(_) => false,
    })
}

/// A set that packets change: who is in it stays, who is not may come.
fn changing_set<N: Address>(answer: Answer<'_, N>) -> Answer<'_, N> {
    let surely = answer.bounds().0;
    Answer::Between(surely, Cover::Everything, "packets add to this set".into())
}

pub(super) fn between<'p, N: Address>(
    sure: Vec<Span<N>>,
    possible: Vec<Span<N>>,
    why: Option<Arc<str>>,
) -> Answer<'p, N> {
    if sure == possible {
        return Answer::Exactly(Cover::of(Cow::Owned(sure)));
    }
    let why = why.unwrap_or_else(|| "this can't be decided".into());
    Answer::Between(Cover::of(Cow::Owned(sure)), Cover::of(Cow::Owned(possible)), why)
}

/// The names, where elements are single names without more.
fn only_names(elements: &[Element]) -> Option<Vec<NamePattern>> {
    let mut all = Vec::new();
    for element in elements {
        match element.key.as_slice() {
            [Values::Names(names)] if element.value.is_none() && !element.excluded => {
                all.extend_from_slice(names);
            }
            _ => return None,
        }
    }
    (!all.is_empty()).then_some(all)
}
