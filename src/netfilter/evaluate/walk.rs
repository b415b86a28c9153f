//! Packets walk through chains, all sources at once.
//!
//! Where a condition can't be decided, the sources go both ways. So at the end a source that was let through on
//! some way and lost on none is surely admitted, and one that was let through on some way possibly.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::address::Address;
use super::answer::{Clock, Trial, is_phased, unstated};
use super::interface::Tried;
use super::outcome::{By, LOSSES_COMPACTED};
use super::packet::{Packet, Phase, Spot, Tracking};
use super::program::{Place, Program, Station};
use super::region::{Piece, Region, Tag};
use crate::admission::Ruling;
use crate::netfilter::host::Links;
use crate::netfilter::{
    Base, ChainKind, Field, Hook, Item, Lookup, MapValue, NamePattern, Policy, Rule, Span, Values, Verdict,
};

/// Most kinds of packet that are told apart at once. Beyond, conditions are no longer used to narrow down.
pub(super) const KINDS_MAX: usize = 64;
/// Rules that are met in all, each by each kind of packet; more are only met where chains multiply. It is enough
/// for 50,000 rules, each met by every kind in every packet of the handshake, and takes seconds.
const STEPS_MAX: usize = 10_000_000;
/// How deep chains are followed. nft allows 16 jumps.
const DEPTH_MAX: usize = 128;

/// Sources that share all that is known of their packet.
#[derive(Debug, Clone)]
pub(super) struct State<N: Address> {
    pub(super) packet: Rc<Packet<N>>,
    pub(super) region: Region<N>,
}

impl<N: Address> State<N> {
    pub(super) fn nobody(packet: Rc<Packet<N>>) -> Self {
        Self { packet, region: Region::default() }
    }

    /// A copy, of which only a list is needed.
    pub(super) fn listed(&self) -> Self {
        let pieces: Vec<Piece<N>> = self.region.pieces().collect();
        Self { packet: Rc::clone(&self.packet), region: pieces.into() }
    }
}

/// Set in the tag of a loss that is answered. Rules are fewer.
const ANSWERED: u32 = 1 << 31;

/// The tag of sources whose connection was lost: the rule that lost it, and how.
pub(super) fn loss(rule: u32, ruling: Ruling) -> Tag {
    if ruling == Ruling::Reject { rule | ANSWERED } else { rule }
}

/// Rule and ruling of such a tag.
pub(super) fn lost_by(tag: Tag) -> (u32, Ruling) {
    if tag & ANSWERED == 0 { (tag, Ruling::Drop) } else { (tag & !ANSWERED, Ruling::Reject) }
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
    pub(super) leaving: &'w mut Vec<State<N>>,
}

/// Which states a base chain sees.
struct Asked<N: Address> {
    asked: Vec<State<N>>,
    passing: Vec<State<N>>,
}

/// A kind of packet that is through with a base chain, and the sources.
type Through<N> = (Rc<Packet<N>>, Vec<Piece<N>>);

/// What is undecided: rule and reason, with the sources that came by.
pub(super) type Notes<N> = BTreeMap<(u32, Arc<str>), Vec<Span<N>>>;

/// A walk of all sources of one family.
pub(super) struct Walk<'a, 'p, N: Address> {
    pub(super) trial: Trial<'a, 'p>,
    /// The host's interfaces, where they are known.
    links: Option<&'a Links>,
    pub(super) accepted: Vec<Through<N>>,
    /// Sources whose connection was lost, with the tag of the [`loss`].
    pub(super) lost: Vec<Piece<N>>,
    pub(super) notes: Notes<N>,
    /// Whether a rule was met that may treat the packets of one connection differently.
    pub(super) is_phased: bool,
    /// What a single address met, where that is asked.
    pub(super) trace: Option<Vec<Met>>,
    stack: BTreeSet<usize>,
    pub(super) steps: usize,
    pub(super) compact_at: usize,
    pub(super) kinds: usize,
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
            compact_at: LOSSES_COMPACTED,
            kinds: 0,
        }
    }

    /// Takes states through one base chain; gives those that are through.
    pub(super) fn base(&mut self, chain: usize, spot: Spot, states: Vec<State<N>>) -> Vec<State<N>> {
        let Some(place) = self.trial.program.place(chain) else { return states };
        let Some(base) = &place.chain.base else { return states };
        self.trial.spot = spot;
        self.trial.table = place.table;
        let Asked { asked, passing } = self.asked(place, base, states);
        for state in passing {
            self.pass(state);
        }
        let mut settled = Vec::new();
        settle(&mut settled, asked);
        let fallen = self.chain(chain, settled);
        let policy = place.policy_id();
        for state in fallen {
            match base.policy {
                Policy::Drop => {
                    self.met(policy, "drops it");
                    self.lose(state, policy, Ruling::Drop);
                }
                Policy::Accept => {
                    self.met(policy, "accepts it");
                    self.accept(state, policy, By::Policy);
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
    fn asked(&mut self, place: Place<'p>, base: &'p Base, states: Vec<State<N>>) -> Asked<N> {
        let mut asked = Asked { asked: Vec::new(), passing: Vec::new() };
        for state in states {
            // What is not tracked is not translated.
            let packet = &state.packet;
            let untracked = packet.notrack || packet.tracking == Tracking::No;
            if base.kind == ChainKind::Nat && (packet.nat_settled || untracked) {
                asked.passing.push(state);
                continue;
            }
            if let Some(why) = self.may_sleep(place, base) {
                self.note(place.policy_id(), &why.into(), &state.region);
                asked.passing.push(state.clone());
            }
            match &base.devices {
                None => asked.asked.push(state),
                Some(devices) => self.on_device(place, devices, state, &mut asked),
            }
        }
        asked
    }

    /// Why a base chain may not be asked at all.
    fn may_sleep(&self, place: Place<'p>, base: &Base) -> Option<&'static str> {
        if base.kind == ChainKind::Nat && !self.trial.program.tracks(N::FAMILY) {
            return Some("translating chains sleep unless something makes the kernel track connections");
        }
        if place.table.dormant.is_none() {
            return Some(
                "whether its table is dormant is not in the listing: give `nft list ruleset` with `--nft`",
            );
        }
        let needs_device = matches!(base.hook, Hook::Ingress | Hook::Egress);
        (needs_device && base.devices.is_none())
            .then_some("its device is not in the listing: give `nft list ruleset` with `--nft`")
    }

    fn on_device(
        &mut self,
        place: Place<'p>,
        devices: &[NamePattern],
        state: State<N>,
        asked: &mut Asked<N>,
    ) {
        let inward = self.trial.spot.hook == Hook::Ingress;
        let field = if inward { Field::InInterface } else { Field::OutInterface };
        let (with, without) =
            match state.packet.tried(field, &Values::Names(devices.to_vec()), self.trial.spot) {
                Tried::Always => return asked.asked.push(state),
                Tried::Never | Tried::Absent => return asked.passing.push(state),
                Tried::Maybe => (Rc::clone(&state.packet), Rc::clone(&state.packet)),
                Tried::Split(with, without) => (Rc::new(with), Rc::new(without)),
            };
        self.note(place.policy_id(), &unstated(field), &state.region);
        asked.passing.push(State { packet: without, region: state.region.clone() });
        asked.asked.push(State { packet: with, region: state.region });
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
            self.steps = self.steps.saturating_add(states.len());
            if self.steps > STEPS_MAX {
                self.give_up(id, std::mem::take(&mut states));
                break;
            }
            self.rule(id, rule, &mut states, &mut leaving);
        }
        self.stack.remove(&chain);
        settle(&mut states, leaving);
        states
    }

    fn give_up(&mut self, id: u32, states: Vec<State<N>>) {
        let why: Arc<str> = "rules that multiply beyond what can be followed".into();
        for state in states {
            self.anything(state, id, &why);
        }
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

    /// What a rule does with what it matched.
    pub(super) fn follow(&mut self, items: &'p [Item], id: u32, state: State<N>, exits: &mut Exits<'_, N>) {
        let (mut left, mut state) = (items, state);
        loop {
            let (next, rest) = match left.split_first() {
                None => return exits.past.push(state),
                Some((Item::Match(_), _)) => {
                    let (tests, rest) = left.split_at(conditions(left));
                    let matched = self.split(tests, id, &mut state, &mut exits.past);
                    exits.past.push(state);
                    (matched, rest)
                }
                Some((Item::Act(action), rest)) => (self.act(action, id, state, (rest, exits)), rest),
                Some((Item::Verdict(verdict), _)) => return self.conclude(verdict, id, state, exits),
                Some((Item::VerdictMap(lookup), rest)) => {
                    (Some(self.verdict_map(lookup, id, state, exits)), rest)
                }
            };
            let Some(next) = next else { return };
            (left, state) = (rest, next);
        }
    }

    fn conclude(&mut self, verdict: &'p Verdict, id: u32, state: State<N>, exits: &mut Exits<'_, N>) {
        if state.region.is_empty() {
            return;
        }
        match verdict {
            Verdict::Accept => {
                self.met(id, "accepts it");
                self.accept(state, id, By::Rule);
            }
            Verdict::Drop => {
                self.met(id, "drops it");
                self.lose(state, id, Ruling::Drop);
            }
            Verdict::Reject => {
                self.met(id, "rejects it");
                self.lose(state, id, Ruling::Reject);
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
        if let Some(chain) = self.trial.program.chain_named(self.trial.table, name) {
            return self.chain(chain, vec![state]);
        }
        let why = format!("chain `{name}` is not in the listing");
        vec![self.anything(state, id, &why.into())]
    }

    /// A verdict map: each element is a rule of its own, and what none has found goes on.
    fn verdict_map(
        &mut self,
        lookup: &'p Lookup,
        id: u32,
        mut state: State<N>,
        exits: &mut Exits<'_, N>,
    ) -> State<N> {
        let found = match self.grouped(lookup, id, &mut state, &mut exits.past) {
            Ok(found) => found,
            Err(why) => return self.anything(state, id, &why),
        };
        for (value, matched) in found {
            if let MapValue::Verdict(verdict) = value {
                self.conclude(verdict, id, matched, exits);
                continue;
            }
            let after = self.anything(matched, id, &"a map whose values are no verdicts".into());
            exits.past.push(after);
        }
        state
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

/// Where a packet is among others, or the packet as it is to be added: where there is no room for another
/// kind, as one of which less is known.
pub(super) fn among<'a, N: Address>(
    mut others: impl Iterator<Item = &'a Rc<Packet<N>>> + Clone,
    packet: &Rc<Packet<N>>,
    room: Room,
) -> Result<usize, Rc<Packet<N>>> {
    if let Some(at) = others.clone().position(|other| Rc::ptr_eq(other, packet) || other == packet) {
        return Ok(at);
    }
    if room == Room::Left {
        return Err(Rc::clone(packet));
    }
    let wide = Rc::new(packet.widened());
    others.position(|other| *other == wide).ok_or(wide)
}

/// Adds states to others; those with one packet become one, empty ones go.
pub(super) fn settle<N: Address>(states: &mut Vec<State<N>>, more: Vec<State<N>>) {
    states.retain(|state| !state.region.is_empty());
    for state in more.into_iter().filter(|state| !state.region.is_empty()) {
        let room = Room::of(states.len());
        match among(states.iter().map(|known| &known.packet), &state.packet, room) {
            Ok(at) => {
                if let Some(known) = states.get_mut(at) {
                    known.region.merge(state.region);
                }
            }
            Err(packet) => states.push(State { packet, region: state.region }),
        }
    }
}

/// Whether another kind of packet can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Left,
    None,
}

impl Room {
    pub(super) fn of(kinds: usize) -> Self {
        if kinds < KINDS_MAX { Room::Left } else { Room::None }
    }
}
