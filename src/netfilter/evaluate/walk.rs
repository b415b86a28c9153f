//! Packets walk through chains, all sources at once.
//!
//! Where a condition can't be decided, the sources go both ways. So at the end a source that was let through on
//! some way and lost on none is surely admitted, and one that was let through on some way possibly.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::address::Address;
use super::answer::{Answer, Clock, Trial, is_phased, unstated};
use super::packet::{Packet, Phase, Spot, Tracking, Tried};
use super::program::{Place, Program, Station};
use super::region::{Cover, Piece, Region, normalise};
use crate::admission::{Links, Ruling};
use crate::netfilter::{
    Action, Base, ChainKind, Element, Field, Hook, Item, Lookup, MapValue, MarkChange, NamePattern, Policy,
    Rule, Span, Spans, TableFamily, Values, Verdict,
};

/// Most kinds of packet that are told apart at once. Beyond, conditions are no longer used to narrow down.
const KINDS_MAX: usize = 64;
/// Rules that are met in all, each by each kind of packet; more are only met where chains multiply.
const STEPS_MAX: u64 = 50_000_000;
/// How deep chains are followed. nft allows 16 jumps.
const DEPTH_MAX: usize = 128;
/// Most intervals of sources kept with an undecided condition; with more, the hull is kept.
const NOTED_SPANS_MAX: usize = 4096;
/// How many values of a map are compared with a new one; further ones stand for themselves.
const GROUPS_COMPARED: usize = 16;
/// Most steps of a trace.
const TRACE_MAX: usize = 1000;
/// Callers call from this port upwards: below, a port needs a privilege, and callers behind a translation have none.
const EPHEMERAL_FIRST: u32 = 1024;

/// Sources that share all that is known of their packet.
#[derive(Debug, Clone)]
pub(super) struct State<N: Address> {
    pub(super) packet: Rc<Packet<N>>,
    pub(super) region: Region<N>,
}

impl<N: Address> State<N> {
    fn nobody(packet: Rc<Packet<N>>) -> Self {
        Self { packet, region: Region::default() }
    }
}

/// Sources whose connection was lost, by the rule that lost it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loss<N> {
    pub(super) first: N,
    pub(super) last: N,
    pub(super) rule: u32,
    pub(super) ruling: Ruling,
}

/// Set in a tag for a loss that is answered. Rules are fewer.
const ANSWERED: u32 = 1 << 31;

impl<N> Loss<N> {
    /// Rule and ruling in one.
    pub(super) fn tag(&self) -> u32 {
        if self.ruling == Ruling::Reject { self.rule | ANSWERED } else { self.rule }
    }

    /// Rule and ruling of a tag.
    pub(super) fn untag(tag: u32) -> (u32, Ruling) {
        if tag & ANSWERED == 0 { (tag, Ruling::Drop) } else { (tag & !ANSWERED, Ruling::Reject) }
    }
}

/// One rule that an address met.
#[derive(Debug, Clone)]
pub(super) struct Met {
    pub(super) phase: Phase,
    pub(super) rule: u32,
    /// What it did, in words.
    pub(super) did: String,
}

/// Ways out of a rule other than an end.
pub(super) struct Exits<'w, N: Address> {
    /// On with the next rule.
    pub(super) past: Vec<State<N>>,
    /// Back to the caller.
    leaving: &'w mut Vec<State<N>>,
}

/// A walk of all sources of one family.
pub(super) struct Walk<'a, 'p, N: Address> {
    trial: Trial<'a, 'p>,
    /// The host's interfaces, where they are known.
    links: Option<&'a Links>,
    accepted: Vec<(Rc<Packet<N>>, Vec<Piece<N>>)>,
    pub(super) lost: Vec<Loss<N>>,
    pub(super) notes: BTreeMap<(u32, Arc<str>), Vec<Span<N>>>,
    /// Whether a rule was met that may treat the packets of one connection differently.
    pub(super) is_phased: bool,
    /// What a single address met, where that is asked.
    pub(super) trace: Option<Vec<Met>>,
    stack: BTreeSet<usize>,
    steps: u64,
    kinds: usize,
}

impl<'a, 'p, N: Address> Walk<'a, 'p, N> {
    pub(super) fn new(
        program: &'a Program<'p>,
        clock: Clock,
        links: Option<&'a Links>,
        place: Place<'p>,
    ) -> Self {
        let spot = Spot { phase: Phase::Syn, hook: Hook::Prerouting, priority: 0, kind: ChainKind::Filter };
        Self {
            trial: Trial { program, table: place.table, spot, clock },
            links,
            accepted: Vec::new(),
            lost: Vec::new(),
            notes: BTreeMap::new(),
            is_phased: false,
            trace: None,
            stack: BTreeSet::new(),
            steps: 0,
            kinds: 0,
        }
    }

    /// Takes states through one base chain; gives those that are through.
    pub(super) fn base(&mut self, chain: usize, spot: Spot, states: Vec<State<N>>) -> Vec<State<N>> {
        let Some(place) = self.trial.program.place(chain) else { return states };
        let Some(base) = &place.chain.base else { return states };
        self.trial.spot = spot;
        self.trial.table = place.table;
        let (mut asked, passing) = self.asked(place, base, states);
        for state in passing {
            self.pass(state);
        }
        settle(&mut asked, Vec::new());
        let fallen = self.chain(chain, asked);
        let policy = place.policy_id();
        for state in fallen {
            match base.policy {
                Policy::Drop => {
                    self.met(policy, "drops it by its policy");
                    self.lose(&state, policy, Ruling::Drop);
                }
                Policy::Accept => {
                    self.met(policy, "accepts it by its policy");
                    self.accept(state, policy, false);
                }
            }
        }
        self.through()
    }

    fn through(&mut self) -> Vec<State<N>> {
        std::mem::take(&mut self.accepted)
            .into_iter()
            .map(|(packet, pieces)| State { packet, region: Region::from_pieces(pieces) })
            .collect()
    }

    /// Says that the order of chains with one priority is open.
    pub(super) fn note_order(&mut self, chain: usize, states: &[State<N>]) {
        let id = self.trial.program.place(chain).map_or(0, |place| place.policy_id());
        let why: Arc<str> =
            "which of the chains with one priority is asked first is not in any listing".into();
        for state in states {
            self.note(id, &why, &state.region);
        }
    }

    /// More chains with one priority than can be tried in every order.
    pub(super) fn any_order(&mut self, stations: &[Station<'p>], states: Vec<State<N>>) -> Vec<State<N>> {
        let first = stations.first().and_then(|station| self.trial.program.place(station.chain));
        let id = first.map_or(0, |place| place.policy_id());
        let why: Arc<str> = "more chains with one priority than can be tried in every order".into();
        for state in states {
            self.anything(state, id, &why);
        }
        self.through()
    }

    /// Which states a base chain sees, and which pass it by.
    fn asked(
        &mut self,
        place: Place<'p>,
        base: &'p Base,
        states: Vec<State<N>>,
    ) -> (Vec<State<N>>, Vec<State<N>>) {
        let policy = place.policy_id();
        let (mut asked, mut passing) = (Vec::new(), Vec::new());
        for state in states {
            if base.kind == ChainKind::Nat && state.packet.nat_settled {
                passing.push(state);
                continue;
            }
            if base.kind == ChainKind::Nat && !self.trial.program.tracks() {
                let why = "translating chains sleep unless something makes the kernel track connections";
                self.note(policy, &why.into(), &state.region);
                passing.push(state.clone());
            }
            if place.table.dormant.is_none() {
                let why = "whether its table is dormant is not in the listing: give `nft list ruleset` with `--nft`";
                self.note(policy, &why.into(), &state.region);
                passing.push(state.clone());
            }
            let hooked_to_device = matches!(base.hook, Hook::Ingress | Hook::Egress);
            match &base.devices {
                None if hooked_to_device && place.table.family == TableFamily::Netdev => {
                    let why = "its device is not in the listing: give `nft list ruleset` with `--nft`";
                    self.note(policy, &why.into(), &state.region);
                    passing.push(state.clone());
                    asked.push(state);
                }
                None => asked.push(state),
                Some(devices) => {
                    let field =
                        if base.hook == Hook::Ingress { Field::InInterface } else { Field::OutInterface };
                    self.on_device(field, devices, policy, state, (&mut asked, &mut passing));
                }
            }
        }
        (asked, passing)
    }

    fn on_device(
        &mut self,
        field: Field,
        devices: &[NamePattern],
        policy: u32,
        state: State<N>,
        (asked, passing): (&mut Vec<State<N>>, &mut Vec<State<N>>),
    ) {
        let values = Values::Names(devices.to_vec());
        match state.packet.tried(field, &values, self.trial.spot) {
            Tried::Always => asked.push(state),
            Tried::Never | Tried::Absent => passing.push(state),
            Tried::Maybe => {
                self.note(policy, &unstated(field), &state.region);
                passing.push(state.clone());
                asked.push(state);
            }
            Tried::Split(with, without) => {
                self.note(policy, &unstated(field), &state.region);
                passing.push(State { packet: Rc::new(without), region: state.region.clone() });
                asked.push(State { packet: Rc::new(with), region: state.region });
            }
        }
    }

    /// Takes states through a chain; gives those that come out at its end or by `return`.
    fn chain(&mut self, chain: usize, mut states: Vec<State<N>>) -> Vec<State<N>> {
        let Some(place) = self.trial.program.place(chain) else { return states };
        if self.stack.len() >= DEPTH_MAX || !self.stack.insert(chain) {
            let why: Arc<str> = "chains that jump in a circle, or too deep".into();
            return states.into_iter().map(|state| self.anything(state, place.policy_id(), &why)).collect();
        }
        let mut leaving = Vec::new();
        for (id, rule) in place.rules() {
            if states.is_empty() {
                break;
            }
            self.steps = self.steps.saturating_add(states.len() as u64);
            if self.steps > STEPS_MAX {
                let why: Arc<str> = "chains that multiply beyond what can be followed".into();
                for state in std::mem::take(&mut states) {
                    self.anything(state, id, &why);
                }
                break;
            }
            self.rule(id, rule, &mut states, &mut leaving);
        }
        self.stack.remove(&chain);
        settle(&mut states, leaving);
        states
    }

    fn rule(&mut self, id: u32, rule: &'p Rule, states: &mut Vec<State<N>>, leaving: &mut Vec<State<N>>) {
        let lead = conditions(&rule.items);
        let Some((matches, rest)) = rule.items.split_at_checked(lead).filter(|(_, rest)| !rest.is_empty())
        else {
            return;
        };
        if !self.is_phased && is_phased(&rule.items) {
            self.is_phased = true;
        }
        self.kinds = states.len();
        let mut exits = Exits { past: Vec::new(), leaving };
        for state in states.iter_mut() {
            if let Some(matched) = self.split(matches, id, state, &mut exits.past) {
                self.follow(rest, id, matched, &mut exits);
            }
        }
        settle(states, exits.past);
    }

    /// The part of a state that matches. The rest stays, or goes to `past` where more is known of it now.
    fn split(
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

    /// What a rule does with what it matched.
    fn follow(&mut self, items: &'p [Item], id: u32, state: State<N>, exits: &mut Exits<'_, N>) {
        let (mut items, mut state) = (items, state);
        loop {
            match items.split_first() {
                None => {
                    exits.past.push(state);
                    return;
                }
                Some((Item::Match(_), _)) => {
                    let (matches, rest) = items.split_at(conditions(items));
                    let matched = self.split(matches, id, &mut state, &mut exits.past);
                    exits.past.push(state);
                    let Some(matched) = matched else { return };
                    (items, state) = (rest, matched);
                }
                Some((Item::Act(action), rest)) => {
                    let mut after = self.act(action, id, state, exits);
                    let Some(last) = after.pop() else { return };
                    for other in after {
                        self.follow(rest, id, other, exits);
                    }
                    (items, state) = (rest, last);
                }
                Some((Item::Verdict(verdict), _)) => {
                    self.conclude(verdict, id, state, exits);
                    return;
                }
                Some((Item::VerdictMap(lookup), rest)) => {
                    self.verdict_map(lookup, id, &mut state, exits);
                    items = rest;
                }
            }
        }
    }

    fn conclude(&mut self, verdict: &'p Verdict, id: u32, state: State<N>, exits: &mut Exits<'_, N>) {
        if state.region.is_empty() {
            return;
        }
        match verdict {
            Verdict::Accept => {
                self.met(id, "accepts it");
                self.accept(state, id, true);
            }
            Verdict::Drop => {
                self.met(id, "drops it");
                self.lose(&state, id, Ruling::Drop);
            }
            Verdict::Reject => {
                self.met(id, "rejects it");
                self.lose(&state, id, Ruling::Reject);
            }
            Verdict::Return => {
                self.met(id, "returns it to the calling chain");
                exits.leaving.push(state);
            }
            Verdict::Continue => exits.past.push(state),
            Verdict::Jump(name) => {
                let after = self.jump(name, id, state);
                exits.past.extend(after);
            }
            Verdict::Goto(name) => {
                let after = self.jump(name, id, state);
                exits.leaving.extend(after);
            }
        }
    }

    fn jump(&mut self, name: &str, id: u32, state: State<N>) -> Vec<State<N>> {
        if self.trace.is_some() {
            self.met(id, &format!("sends it to chain `{name}`"));
        }
        match self.trial.program.chain_named(self.trial.table, name) {
            Some(chain) => self.chain(chain, vec![state]),
            None => {
                let why = format!("chain `{name}` is not in the listing");
                vec![self.anything(state, id, &why.into())]
            }
        }
    }

    /// A verdict map: each element is a rule of its own, and what none has found goes on.
    fn verdict_map(&mut self, lookup: &'p Lookup, id: u32, state: &mut State<N>, exits: &mut Exits<'_, N>) {
        let found = match self.grouped(lookup, id, state, &mut exits.past) {
            Ok(found) => found,
            Err(why) => {
                let nobody = State::nobody(Rc::clone(&state.packet));
                let all = std::mem::replace(state, nobody);
                *state = self.anything(all, id, &why);
                return;
            }
        };
        for (value, matched) in found {
            match value {
                MapValue::Verdict(verdict) => self.conclude(verdict, id, matched, exits),
                MapValue::Number(_) | MapValue::Target { .. } | MapValue::Unknown(_) => {
                    let why: Arc<str> = "a map whose values are no verdicts".into();
                    let after = self.anything(matched, id, &why);
                    exits.past.push(after);
                }
            }
        }
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
            for one in &mut open {
                let mut reach = Reach::of(Rc::clone(&one.packet));
                reach.and(
                    self.trial.is(field, values, &one.packet).unwrap_or(Answer::Exactly(Cover::Nothing)),
                );
                if reach.possibly.is_nothing() {
                    continue;
                }
                if let Some(matched) = self.take(reach, id, one, &mut more) {
                    found.push((value, matched));
                }
            }
            settle(&mut open, more);
        }
        past.extend(open);
        found
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

    /// Does an action; gives the states that go on with the rest of the rule.
    fn act(
        &mut self,
        action: &'p Action,
        id: u32,
        mut state: State<N>,
        exits: &mut Exits<'_, N>,
    ) -> Vec<State<N>> {
        match action {
            Action::ChangeSet(_) => {}
            Action::Mark(change) => return self.marked(change, id, state, &mut exits.past, set_mark),
            Action::ConnMark(change) => {
                let tracked = !matches!(
                    state.packet.tried(
                        Field::CtDirection,
                        &Values::Numbers(Spans::One((0, 1))),
                        self.trial.spot
                    ),
                    Tried::Absent
                );
                if tracked {
                    return self.marked(change, id, state, &mut exits.past, set_conn_mark);
                }
            }
            Action::Notrack => self.untrack(&mut state.packet),
            Action::TrackingUnknown(why) => {
                self.note(id, why, &state.region);
                Rc::make_mut(&mut state.packet).tracking = Tracking::Unknown;
            }
            Action::Nat(nat) => {
                self.translate(nat, id, state, exits);
                return Vec::new();
            }
            Action::Opaque(why) => return vec![self.anything(state, id, why)],
        }
        vec![state]
    }

    fn untrack(&self, packet: &mut Rc<Packet<N>>) {
        // Whoever was seen already stays seen.
        if !self.trial.spot.is_before_tracking() || packet.notrack {
            return;
        }
        let packet = Rc::make_mut(packet);
        packet.notrack = true;
        match self.trial.spot.phase {
            Phase::Syn => packet.tracking = Tracking::No,
            Phase::SynAck if packet.tracking == Tracking::Yes => packet.tracking = Tracking::AnswerLost,
            Phase::SynAck | Phase::Ack => {}
        }
    }

    fn marked(
        &mut self,
        change: &'p MarkChange,
        id: u32,
        mut state: State<N>,
        past: &mut Vec<State<N>>,
        set: fn(&mut Packet<N>, [u32; 3]),
    ) -> Vec<State<N>> {
        let lookup = match change {
            MarkChange::Bits { keep, take, flip } => {
                set(Rc::make_mut(&mut state.packet), [*keep, *take, *flip]);
                return vec![state];
            }
            MarkChange::Unknown => None,
            MarkChange::Map(lookup) => Some(lookup),
        };
        let found = lookup.map_or_else(
            || Err("a mark that is computed".into()),
            |lookup| self.grouped(lookup, id, &mut state, past),
        );
        match found {
            Ok(found) => {
                past.push(state);
                let mut after = Vec::new();
                for (value, mut matched) in found {
                    let packet = Rc::make_mut(&mut matched.packet);
                    match value {
                        MapValue::Number(mark) => set(packet, [0, 0, *mark]),
                        MapValue::Verdict(_) | MapValue::Target { .. } | MapValue::Unknown(_) => {
                            packet.forget_marks()
                        }
                    }
                    after.push(matched);
                }
                settle(&mut after, Vec::new());
                merged(after)
            }
            Err(why) => {
                self.note(id, &why, &state.region);
                Rc::make_mut(&mut state.packet).forget_marks();
                vec![state]
            }
        }
    }

    /// Whoever comes here may go any way: nobody can say what this does.
    fn anything(&mut self, mut state: State<N>, id: u32, why: &Arc<str>) -> State<N> {
        self.note(id, why, &state.region);
        self.met(id, "may do anything to it");
        Rc::make_mut(&mut state.packet).forget_marks();
        self.lose(&state, id, Ruling::Drop);
        self.accept(state.clone(), id, true);
        state
    }

    /// Through with this base chain. An explicit rule's number stays with the sources, a policy's only where
    /// there is no other.
    fn accept(&mut self, state: State<N>, id: u32, explicit: bool) {
        let is_telling = self.trial.spot.phase == Phase::Syn && self.trial.spot.kind != ChainKind::Nat;
        let tagged = |tag| if is_telling && (explicit || tag == 0) { id } else { tag };
        let pieces = state.region.pieces().map(|(first, last, tag)| (first, last, tagged(tag)));
        let same = |packet: &Rc<Packet<N>>| Rc::ptr_eq(packet, &state.packet) || *packet == state.packet;
        match self.accepted.iter_mut().find(|(packet, _)| same(packet)) {
            Some((_, all)) => all.extend(pieces),
            None => {
                let pieces = pieces.collect();
                self.accepted.push((Rc::clone(&state.packet), pieces));
            }
        }
    }

    /// Through, by what a rule did that is no verdict.
    pub(super) fn pass(&mut self, state: State<N>) {
        self.accepted.push((state.packet, state.region.pieces().collect()));
    }

    fn lose(&mut self, state: &State<N>, rule: u32, ruling: Ruling) {
        // Callers choose an ephemeral port: what is lost from others only is no loss.
        if state.packet.far_ports.iter().all(|(_, last)| *last < EPHEMERAL_FIRST) {
            return;
        }
        let lost = state.region.pieces().map(|(first, last, _)| Loss { first, last, rule, ruling });
        self.lost.extend(lost);
    }

    pub(super) fn note(&mut self, id: u32, why: &Arc<str>, region: &Region<N>) {
        if region.is_empty() {
            return;
        }
        if self.trace.is_some() {
            self.met(id, &format!("may match: {why}"));
        }
        let noted = self.notes.entry((id, Arc::clone(why))).or_default();
        noted.extend(region.pieces().map(|(first, last, _)| (first, last)));
        if noted.len() > NOTED_SPANS_MAX {
            let joined = normalise(std::mem::take(noted));
            *noted = match (joined.first(), joined.last()) {
                (Some(first), Some(last)) if joined.len() > NOTED_SPANS_MAX => vec![(first.0, last.1)],
                _ => joined,
            };
        }
    }

    pub(super) fn met(&mut self, rule: u32, did: &str) {
        let phase = self.trial.spot.phase;
        if let Some(trace) = &mut self.trace
            && trace.len() < TRACE_MAX
        {
            trace.push(Met { phase, rule, did: did.to_owned() });
        }
    }

    pub(super) fn hook(&self) -> Hook {
        self.trial.spot.hook
    }

    pub(super) fn links(&self) -> Option<&'a Links> {
        self.links
    }
}

/// How many leading items are conditions.
fn conditions(items: &[Item]) -> usize {
    items.iter().take_while(|item| matches!(item, Item::Match(_))).count()
}

fn set_mark<N: Address>(packet: &mut Packet<N>, change: [u32; 3]) {
    packet.mark = packet.mark.changed(packet.conn_mark, change);
}

fn set_conn_mark<N: Address>(packet: &mut Packet<N>, change: [u32; 3]) {
    packet.conn_mark = packet.conn_mark.changed(packet.mark, change);
}

/// Adds states to others; those with one packet become one, empty ones go.
pub(super) fn settle<N: Address>(states: &mut Vec<State<N>>, more: Vec<State<N>>) {
    states.retain(|state| !state.region.is_empty());
    for state in more.into_iter().filter(|state| !state.region.is_empty()) {
        let same = |packet: &Rc<Packet<N>>| Rc::ptr_eq(packet, &state.packet) || *packet == state.packet;
        match states.iter_mut().find(|known| same(&known.packet)) {
            Some(known) => known.region.merge(state.region),
            None => states.push(state),
        }
    }
}

/// States of one packet as one.
fn merged<N: Address>(states: Vec<State<N>>) -> Vec<State<N>> {
    let mut all = Vec::new();
    settle(&mut all, states);
    all
}

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
        super::answer::between(
            normalise(self.surely.clone()),
            normalise(self.possibly.clone()),
            self.why.clone(),
        )
    }
}
