//! Whom a rule matches: states cut by its conditions, and by the elements of a map.

use std::rc::Rc;
use std::sync::Arc;

use super::address::Address;
use super::answer::{Answer, between, unstated};
use super::packet::Packet;
use super::region::Cover;
use super::walk::{KINDS_MAX, State, Walk, settle};
use crate::netfilter::{Element, Field, Item, Lookup, MapValue, Span, Values};
use crate::prefix::span::normalise;

/// How many values of a map are compared with a new one; further ones stand for themselves.
const GROUPS_COMPARED: usize = 16;

/// Whom conditions hold for, as far as they have been tried.
struct Reach<'p, N: Address> {
    /// The packet of those.
    packet: Rc<Packet<N>>,
    surely: Cover<'p, N>,
    possibly: Cover<'p, N>,
    /// Why both differ, where they do.
    open: Option<Arc<str>>,
    /// Packets for which a condition does not hold, and the property that tells.
    otherwise: Vec<(Rc<Packet<N>>, Field)>,
}

impl<'p, N: Address> Reach<'p, N> {
    fn of(packet: Rc<Packet<N>>) -> Self {
        Self {
            packet,
            surely: Cover::Everything,
            possibly: Cover::Everything,
            open: None,
            otherwise: Vec::new(),
        }
    }

    fn and(&mut self, answer: Answer<'p, N>) {
        let so_far = std::mem::replace(&mut self.possibly, Cover::Nothing);
        match answer {
            Answer::Exactly(cover) => {
                if self.open.is_some() {
                    let surely = std::mem::replace(&mut self.surely, Cover::Nothing);
                    self.surely = surely.and(cover.clone());
                }
                self.possibly = so_far.and(cover);
            }
            Answer::Between(surely, possibly, why) => {
                let before = if self.open.is_some() {
                    std::mem::replace(&mut self.surely, Cover::Nothing)
                } else {
                    so_far.clone()
                };
                self.surely = before.and(surely);
                self.possibly = so_far.and(possibly);
                self.open.get_or_insert(why);
            }
            Answer::Split(with, without, field) => {
                self.possibly = so_far;
                self.otherwise.push((without, field));
                self.packet = with;
            }
        }
    }
}

/// Elements of a map with one value.
struct Group<'p, N> {
    value: &'p MapValue,
    surely: Vec<Span<N>>,
    possibly: Vec<Span<N>>,
    why: Option<Arc<str>>,
}

impl<'p, N: Address> Group<'p, N> {
    fn answer(&self) -> Answer<'p, N> {
        between(normalise(self.surely.clone()), normalise(self.possibly.clone()), self.why.clone())
    }
}

impl<'p, N: Address> Walk<'_, 'p, N> {
    /// The part of a state that matches. The rest stays, or goes to `past` where more is known of it now.
    pub(super) fn split(
        &mut self,
        matches: &'p [Item],
        id: u32,
        state: &mut State<N>,
        past: &mut Vec<State<N>>,
    ) -> Option<State<N>> {
        let mut reach = Reach::of(Rc::clone(&state.packet));
        for item in matches {
            let Item::Match(condition) = item else { continue };
            let answer = self.trial.condition(condition, &reach.packet);
            reach.and(answer);
            if reach.possibly.is_nothing() {
                return None;
            }
        }
        self.take(reach, id, state, past)
    }

    fn take(
        &mut self,
        reach: Reach<'p, N>,
        id: u32,
        state: &mut State<N>,
        past: &mut Vec<State<N>>,
    ) -> Option<State<N>> {
        let Reach { packet, surely, possibly, open, otherwise } = reach;
        let maybe = if open.is_some() { possibly.clone().minus(&surely) } else { Cover::Nothing };
        if otherwise.is_empty() {
            let mut region = state.region.extract(if open.is_some() { &surely } else { &possibly });
            if let (false, Some(why)) = (maybe.is_nothing(), open) {
                let both_ways = state.region.copied(&maybe);
                self.steps = self.steps.saturating_add(both_ways.len());
                self.note(id, &why, &both_ways);
                region.merge(both_ways);
            }
            return Some(State { packet, region }).filter(|matched| !matched.region.is_empty());
        }
        let crowded = self.kinds.saturating_add(past.len()).saturating_add(otherwise.len()) > KINDS_MAX;
        let taken = if crowded { state.region.copied(&possibly) } else { state.region.extract(&possibly) };
        if taken.is_empty() {
            return None;
        }
        for (without, field) in otherwise {
            self.note(id, &unstated(field), &taken);
            if !crowded {
                past.push(State { packet: without, region: taken.clone() });
            }
        }
        if let (false, false, Some(why)) = (crowded, maybe.is_nothing(), open) {
            let region = taken.copied(&maybe);
            self.note(id, &why, &region);
            past.push(State { packet: Rc::clone(&packet), region });
        }
        Some(State { packet, region: taken })
    }

    /// What a map holds for whom; what it holds nothing for stays in the state.
    pub(super) fn grouped(
        &mut self,
        lookup: &'p Lookup,
        id: u32,
        state: &mut State<N>,
        past: &mut Vec<State<N>>,
    ) -> Result<Vec<(&'p MapValue, State<N>)>, Arc<str>> {
        let elements = self.trial.map(lookup)?;
        if elements.iter().any(|element| element.value.is_none()) {
            return Err("a map without values".into());
        }
        match lookup.fields.as_slice() {
            [field] if !Packet::<N>::is_far_address(*field, self.trial.spot) => {
                Ok(self.one_by_one(*field, elements, id, (state, past)))
            }
            _ => Ok(self.by_value(lookup, elements, id, state)),
        }
    }

    /// Elements of a property that narrows the packet: each is tried on what the ones before left.
    fn one_by_one(
        &mut self,
        field: Field,
        elements: &'p [Element],
        id: u32,
        (state, past): (&mut State<N>, &mut Vec<State<N>>),
    ) -> Vec<(&'p MapValue, State<N>)> {
        let mut open = vec![std::mem::replace(state, State::nobody(Rc::clone(&state.packet)))];
        let mut found = Vec::new();
        for element in elements {
            let (Some(values), Some(value)) = (element.key.first(), &element.value) else { continue };
            let mut more = Vec::new();
            let matched =
                open.iter_mut().filter_map(|one| self.with_value(field, values, id, (one, &mut more)));
            found.extend(matched.map(|matched| (value, matched)));
            settle(&mut open, more);
        }
        past.extend(open);
        found
    }

    /// The part of a state in which a property has one of these values.
    fn with_value(
        &mut self,
        field: Field,
        values: &'p Values,
        id: u32,
        (state, past): (&mut State<N>, &mut Vec<State<N>>),
    ) -> Option<State<N>> {
        let answer = self.trial.is(field, values, &state.packet)?;
        let mut reach = Reach::of(Rc::clone(&state.packet));
        reach.and(answer);
        if reach.possibly.is_nothing() { None } else { self.take(reach, id, state, past) }
    }

    /// Elements that say something of the asked address: those with one value are taken together.
    fn by_value(
        &mut self,
        lookup: &'p Lookup,
        elements: &'p [Element],
        id: u32,
        state: &mut State<N>,
    ) -> Vec<(&'p MapValue, State<N>)> {
        let fields: Vec<Option<Field>> = lookup.fields.iter().copied().map(Some).collect();
        let mut groups: Vec<Group<'p, N>> = Vec::new();
        let (rest, plain): (Vec<&Element>, Vec<&Element>) =
            elements.iter().partition(|one| one.is_for_the_rest());
        for element in plain {
            let (surely, possibly, why) = self.trial.element(element, &fields, &state.packet);
            let Some(value) = element.value.as_ref().filter(|_| !possibly.is_nothing()) else { continue };
            let known = groups.iter().rev().take(GROUPS_COMPARED).position(|group| group.value == value);
            let at = known.map(|back| groups.len().saturating_sub(1).saturating_sub(back));
            let group = match at.and_then(|at| groups.get_mut(at)) {
                Some(group) => group,
                None => groups.push_mut(Group { value, surely: Vec::new(), possibly: Vec::new(), why: None }),
            };
            group.surely.extend_from_slice(&surely.spans());
            group.possibly.extend_from_slice(&possibly.spans());
            group.why = group.why.take().or(why);
        }
        let mut found = Vec::new();
        for group in groups {
            let mut reach = Reach::of(Rc::clone(&state.packet));
            reach.and(group.answer());
            if let Some(matched) = self.take(reach, id, state, &mut Vec::new()) {
                found.push((group.value, matched));
            }
        }
        for value in rest.into_iter().filter_map(|element| element.value.as_ref()) {
            let everyone =
                State { packet: Rc::clone(&state.packet), region: std::mem::take(&mut state.region) };
            found.push((value, everyone));
        }
        found
    }
}
