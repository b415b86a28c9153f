//! Asks a host's rules who gets in: the whole handshake, all sources at once.
//!
//! The SYN takes the inward path, the answer the outward one, and the last packet the inward one again, now as
//! part of a known connection. A source is admitted where all three get through. Every source of a family is
//! on the way at the same time (`region`), told apart only where a rule tells them apart (`packet`).
//!
//! No rule costs more than what it matches, so the whole is linear in rules and intervals, but for logarithms.

mod act;
mod address;
mod answer;
mod describe;
mod interface;
mod mend;
mod outcome;
mod packet;
mod program;
mod reach;
mod region;
mod translate;
mod walk;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use crate::prefix::span::{complement, gaps, intersection, normalise};
use address::Address;
use answer::Clock;
use interface::Interface;
use jiff::tz::TimeZone;
use packet::{Bits, End, Packet, Phase, Route, Spot, Tracking};
use program::{Place, Program, Station};
use region::{Region, layers, shared};
use walk::{Met, State, Walk, loss, lost_by, settle};

use super::host::{HostAddress, Links};
use super::{Hook, Host, Listing, Span};
use crate::admission::{
    Admission, Decider, Decisions, Finding, FindingKind, Held, Layer, LayerKind, Piece, Question, RuleId,
    Ruling, Step, Undecided, Wanted,
};
use crate::prefix::first::{Grounded, deciding};
use crate::prefix::{Family, PrefixSet};

/// A ruleset that can be asked.
#[derive(Debug)]
pub struct Asked<'p> {
    host: &'p Host,
    program: Program<'p>,
}

impl<'p> Asked<'p> {
    /// Makes a host's rules ready.
    pub fn new(host: &'p Host) -> Self {
        Self { host, program: Program::new(&host.tables, &host.ipsets) }
    }

    /// What is worth saying whoever is asked about.
    fn about_the_host(&self) -> impl Iterator<Item = Finding> {
        let remarks = self.host.remarks.iter().map(|remark| Finding {
            kind: FindingKind::Listing,
            message: remark.text.clone(),
            help: "take every listing as root and at one time".to_owned(),
            rule: None,
        });
        self.mixed().into_iter().chain(remarks)
    }
}

impl Layer for Asked<'_> {
    fn kind(&self) -> LayerKind {
        LayerKind::Host
    }

    fn listings(&self) -> &[Listing] {
        &self.host.listings
    }

    fn admit(&self, question: &Question) -> Admission {
        let v4 = self.family::<u32>(question, None);
        let v6 = self.family::<u128>(question, None);
        let mut admission = v4.admission.merge(v6.admission);
        let open = admission.open_family();
        admission.findings.extend(open);
        admission.findings.extend(self.about_the_host());
        admission
    }

    fn trace(&self, question: &Question, source: IpAddr) -> (Admission, Vec<Step>) {
        let answer = match source {
            IpAddr::V4(v4) => self.family::<u32>(question, Some(v4.into())),
            IpAddr::V6(v6) => self.family::<u128>(question, Some(v6.into())),
        };
        let mut admission = answer.admission;
        admission.findings.extend(self.about_the_host());
        (admission, answer.steps)
    }

    fn describe(&self, rule: RuleId) -> Decider {
        self.decider(rule)
    }

    fn mend(&self, rule: RuleId, sources: &PrefixSet, port: u16, wanted: Wanted) -> Option<String> {
        self.commands(rule, sources, port, wanted)
    }
}

/// One family's answer.
struct Answered {
    admission: Admission,
    steps: Vec<Step>,
}

/// The hooks that a packet passes before it is known where it goes.
const ARRIVING: [Hook; 2] = [Hook::Ingress, Hook::Prerouting];
/// The hooks of a packet that goes through.
const THROUGH: [Hook; 3] = [Hook::Forward, Hook::Postrouting, Hook::Egress];
/// The hooks of a packet from here.
const LEAVING: [Hook; 3] = [Hook::Output, Hook::Postrouting, Hook::Egress];

impl Asked<'_> {
    fn family<N: Address>(&self, question: &Question, only: Option<N>) -> Answered {
        let everyone = only.map_or((N::MIN, N::MAX), |one| (one, one));
        if self.host.unread.contains(&N::FAMILY) {
            return Answered { admission: unread(everyone), steps: Vec::new() };
        }
        let Some(place) = self.program.places.first().copied() else {
            return Answered { admission: open_door(everyone), steps: Vec::new() };
        };
        let mut handshake = Handshake {
            program: &self.program,
            walk: Walk::new(&self.program, clock(question), self.host.links.as_ref(), place),
            forwarded: None,
        };
        if only.is_some() {
            handshake.walk.trace = Some(Vec::new());
        }
        let first = State {
            packet: Rc::new(first_packet::<N>(question, self.host.links.as_ref())),
            region: Region::of(&[everyone]),
        };
        let accepted = handshake.all(vec![first]);
        let forwarded = handshake.forwarded;
        let walk = handshake.walk;
        let steps = walk.trace.unwrap_or_default().into_iter().map(step).collect();
        let mut found = Found { accepted, lost: walk.lost, notes: walk.notes };
        self.bridged(question, &mut found, everyone);
        let mut admission = found.admission();
        admission.findings.extend(forwarded);
        Answered { admission, steps }
    }

    /// Rules about bridged frames are not asked: where they could drop, nothing is sure.
    fn bridged<N: Address>(&self, question: &Question, found: &mut Found<N>, everyone: Span<N>) {
        let no_bridge =
            |name: &String| self.host.links.as_ref().is_some_and(|links| !links.bridges.contains(name));
        if question.interface.as_ref().is_some_and(no_bridge) {
            return;
        }
        let Some(place) = self.program.bridge_tables().next() else { return };
        let why = "a bridge table is not judged: its rules may drop frames if the interface is a bridge: name it with `--interface`, and give `--addresses`";
        let rule = place.policy_id();
        found.notes.insert((rule, why.into()), vec![everyone]);
        found.lost.push((everyone.0, everyone.1, loss(rule, Ruling::Drop)));
    }
}

/// No listing of this family was given.
fn unread<N: Address>(everyone: Span<N>) -> Admission {
    let what = match N::FAMILY {
        Family::V4 => "no listing of IPv4 rules was given: add `--nft` or `--iptables`",
        Family::V6 => "no listing of IPv6 rules was given: add `--nft` or `--ip6tables`",
    };
    let found = Found {
        accepted: vec![(everyone.0, everyone.1, 0)],
        lost: vec![(everyone.0, everyone.1, loss(0, Ruling::Drop))],
        notes: BTreeMap::from([((0, what.into()), vec![everyone])]),
    };
    found.admission()
}

/// No rule at all: everybody gets in.
fn open_door<N: Address>(everyone: Span<N>) -> Admission {
    let found =
        Found { accepted: vec![(everyone.0, everyone.1, 0)], lost: Vec::new(), notes: BTreeMap::new() };
    found.admission()
}

fn step(met: Met) -> Step {
    let packet = match met.phase {
        Phase::Syn => "syn",
        Phase::SynAck => "syn-ack",
        Phase::Ack => "ack",
    };
    Step { packet, rule: RuleId(met.rule), did: met.did }
}

fn clock(question: &Question) -> Clock {
    let civil = question.at.to_zoned(TimeZone::UTC);
    let number = |small: i8| u32::try_from(small).unwrap_or(0);
    let minutes = number(civil.hour()).saturating_mul(60).saturating_add(number(civil.minute()));
    Clock {
        second_of_day: minutes.saturating_mul(60).saturating_add(number(civil.second())),
        weekday: number(civil.weekday().to_sunday_zero_offset()),
        month_day: number(civil.day()),
        seconds: u32::try_from(question.at.as_second()).unwrap_or(u32::MAX),
    }
}

fn first_packet<N: Address>(question: &Question, links: Option<&Links>) -> Packet<N> {
    let stated = question.addresses.iter().find_map(|address| N::of(*address));
    let port = u32::from(question.port);
    let near =
        End { addresses: vec![stated.map_or((N::MIN, N::MAX), |one| (one, one))], ports: vec![(port, port)] };
    let elsewhere = links.is_some_and(|links| {
        let own = &links.addresses;
        stated.is_some_and(|address| !own.is_empty() && !own.iter().any(|one| one.address == address.to_ip()))
    });
    Packet {
        original: near.clone(),
        near,
        far_ports: vec![(1, u32::from(u16::MAX))],
        far_interface: question.interface.as_deref().map_or_else(Interface::any, Interface::named),
        near_interface: Interface::unknown(),
        mark: Bits::exactly(0),
        conn_mark: Bits::exactly(0),
        tracking: Tracking::Yes,
        notrack: false,
        nat_settled: false,
        translated: false,
        route: if elsewhere { Route::Through } else { Route::Local },
    }
}

/// The three packets of a handshake, one after the other.
struct Handshake<'a, 'p, N: Address> {
    program: &'a Program<'p>,
    walk: Walk<'a, 'p, N>,
    forwarded: Option<Finding>,
}

impl<N: Address> Handshake<'_, '_, N> {
    /// The sources whose connection stands in at least one case, with the rule that let the SYN in.
    fn all(&mut self, first: Vec<State<N>>) -> Vec<region::Piece<N>> {
        let states = self.inward(Phase::Syn, first);
        let states = self.outward(again(states));
        let states = if self.walk.is_phased { self.inward(Phase::Ack, again(states)) } else { states };
        self.forwarded = self.forwarded(&states);
        // A source may come through as several kinds of packet.
        let mut all = Vec::new();
        for state in states {
            state.region.append_to(&mut all);
        }
        all
    }

    /// Whether input rules, where there are some, are passed by.
    fn forwarded(&self, states: &[State<N>]) -> Option<Finding> {
        let through =
            states.iter().find(|state| state.packet.translated && state.packet.route == Route::Through)?;
        let mut input =
            self.program.stations(Hook::Input).iter().filter_map(|one| self.program.place(one.chain));
        if !input.any(|place| N::passes(place.table.family) && place.table.dormant != Some(true)) {
            return None;
        }
        let (address, port) =
            (through.packet.near.addresses.first()?.0, through.packet.near.ports.first()?.0);
        let port_called = through.packet.original.ports.first()?.0;
        Some(Finding {
            kind: FindingKind::ForwardedPort,
            message: format!(
                "connections to port {port_called} are forwarded to {}, so that input rules are not asked",
                std::net::SocketAddr::new(address.to_ip(), u16::try_from(port).unwrap_or(0))
            ),
            help: "restrict them on the way through: chain DOCKER-USER with Docker, else FORWARD".to_owned(),
            rule: None,
        })
    }

    fn inward(&mut self, phase: Phase, states: Vec<State<N>>) -> Vec<State<N>> {
        let states = self.along(phase, &ARRIVING, states);
        let (local, mut through): (Vec<_>, Vec<_>) =
            states.into_iter().partition(|state| state.packet.route == Route::Local);
        for state in &mut through {
            self.towards_the_service(state);
        }
        let mut states = self.along(phase, &[Hook::Input], local);
        let through = self.along(phase, &THROUGH, through);
        settle(&mut states, through);
        states
    }

    fn outward(&mut self, states: Vec<State<N>>) -> Vec<State<N>> {
        let (local, through): (Vec<_>, Vec<_>) =
            states.into_iter().partition(|state| state.packet.route == Route::Local);
        let mut states = self.along(Phase::SynAck, &LEAVING, local);
        let through = self.along(Phase::SynAck, &ARRIVING, through);
        let through = self.along(Phase::SynAck, &THROUGH, through);
        settle(&mut states, through);
        states
    }

    fn along(&mut self, phase: Phase, hooks: &[Hook], mut states: Vec<State<N>>) -> Vec<State<N>> {
        let program = self.program;
        for hook in hooks {
            for orders in program.orders(*hook) {
                states = match orders.as_deref() {
                    Some([only]) => self.one_order(phase, *hook, only, states),
                    Some(several) => self.each_order(phase, *hook, several, &states),
                    None => self.walk.any_order(program.stations(*hook), states),
                };
            }
        }
        states
    }

    /// Chains of one priority, in every order: what comes of any of them is possible.
    fn each_order(
        &mut self,
        phase: Phase,
        hook: Hook,
        orders: &[Vec<Station<'_>>],
        states: &[State<N>],
    ) -> Vec<State<N>> {
        let mut all = Vec::new();
        for order in orders {
            let through = self.one_order(phase, hook, order, states.to_vec());
            settle(&mut all, through);
        }
        if let Some(station) = orders.first().and_then(|order| order.first()) {
            self.walk.note_order(station.chain, states);
        }
        all
    }

    fn one_order(
        &mut self,
        phase: Phase,
        hook: Hook,
        stations: &[Station<'_>],
        mut states: Vec<State<N>>,
    ) -> Vec<State<N>> {
        for station in stations {
            let Some(Place { table, .. }) = self.program.place(station.chain) else { continue };
            // Only the first packet of a connection asks the translating chains.
            let skipped = station.base.kind == super::ChainKind::Nat && phase != Phase::Syn;
            if states.is_empty() || skipped || table.dormant == Some(true) || !N::passes(table.family) {
                continue;
            }
            let spot = Spot { phase, hook, priority: station.priority, kind: station.base.kind };
            states = self.walk.base(station.chain, spot, states);
        }
        states
    }

    /// Where the service is behind this host, by which interface.
    fn towards_the_service(&self, state: &mut State<N>) {
        let Some(links) = self.walk.links() else { return };
        let near = &state.packet.near.addresses;
        let holds = |own: &HostAddress| {
            let ends = (N::of(own.network.network()), N::of(own.network.broadcast()));
            let (Some(first), Some(last)) = ends else { return false };
            near.iter().all(|(from, to)| first <= *from && *to <= last)
        };
        let narrowest =
            links.addresses.iter().filter(|own| holds(own)).max_by_key(|own| own.network.prefix_len());
        if let Some(own) = narrowest {
            Rc::make_mut(&mut state.packet).near_interface = Interface::named(&own.interface);
        }
    }
}

/// The next packet of the same connections: without the last one's mark.
fn again<N: Address>(states: Vec<State<N>>) -> Vec<State<N>> {
    let mut next = Vec::new();
    for mut state in states {
        if state.packet.mark != Bits::exactly(0) || state.packet.notrack {
            let packet = Rc::make_mut(&mut state.packet);
            packet.mark = Bits::exactly(0);
            packet.notrack = false;
        }
        settle(&mut next, vec![state]);
    }
    next
}

/// What a walk found.
struct Found<N> {
    /// Each with the rule that let it in.
    accepted: Vec<region::Piece<N>>,
    /// Each with the tag of its loss.
    lost: Vec<region::Piece<N>>,
    notes: BTreeMap<(u32, std::sync::Arc<str>), Vec<Span<N>>>,
}

impl<N: Address> Found<N> {
    fn admission(self) -> Admission {
        // The loss that comes first on the way is the one that is told.
        let [accepted, lost] = [self.accepted, self.lost].map(layers).map(deciding);
        let got = spans(&accepted);
        let ground = rest(&lost, &got);
        let between = if ground.is_some() { Vec::new() } else { intersection(&got, &spans(&lost)) };
        let open = |(key, spans)| open(key, spans, &between);
        let undecided = self.notes.into_iter().filter_map(open).collect();
        let possibly = N::set(got);
        let got = N::spans(&possibly);
        let (surely, decided) = if between.is_empty() {
            (possibly.clone(), beside(accepted, &lost, ground))
        } else {
            let surely = intersection(got, &complement(&spans(&lost)));
            let inside = Grounded::from(accepted).within(&surely).collect();
            let outside: Vec<Tagged<N>> = Grounded::from(lost).within(&complement(got)).collect();
            (N::set(surely), beside(inside, &outside, rest(&outside, got)))
        };
        Admission { surely, possibly, decided: Decisions::of_one(decided), undecided, findings: Vec::new() }
    }
}

/// An interval with its tag.
type Tagged<N> = (Span<N>, region::Tag);

fn spans<N: Address>(pieces: &[Tagged<N>]) -> Vec<Span<N>> {
    normalise(pieces.iter().map(|piece| piece.0).collect())
}

/// The tag of the one loss of all but these, where there is one, as by the last rule of a list.
fn rest<N: Address>(lost: &[Tagged<N>], got: &[Span<N>]) -> Option<region::Tag> {
    let one = lost.first()?.1;
    let is_rest = lost.iter().all(|piece| piece.1 == one) && lost.iter().map(|piece| piece.0).eq(gaps(got));
    is_rest.then_some(one)
}

/// Who gets in and who does not, side by side. What one rule refuses is the ground for the others, where it is all the rest.
fn beside<N: Address>(
    inside: Vec<Tagged<N>>,
    outside: &[Tagged<N>],
    ground: Option<region::Tag>,
) -> Grounded<N, Held> {
    let held = |rule: u32, ruling| Held::new((ruling, (rule != 0).then_some(RuleId(rule))));
    let lost = |tag| {
        let (rule, ruling) = lost_by(tag);
        held(rule, ruling)
    };
    let accepted = inside.into_iter().map(|(span, rule)| (span, held(rule, Ruling::Accept)));
    let mut pieces: Vec<Piece<N>> = accepted.collect();
    if ground.is_some() {
        return Grounded { pieces, ground: ground.map(lost) };
    }
    pieces.extend(outside.iter().map(|(span, tag)| (*span, lost(*tag))));
    pieces.sort_by_key(|piece| piece.0.0);
    pieces.into()
}

/// An undecided condition, where the answer hangs on it.
fn open<N: Address>(
    (rule, why): (u32, std::sync::Arc<str>),
    spans: Vec<Span<N>>,
    between: &[Span<N>],
) -> Option<Undecided> {
    let matters = shared(&normalise(spans), between);
    let rule = (rule != 0).then_some(RuleId(rule));
    (!matters.is_empty()).then(|| Undecided { rule, why: why.to_string(), sources: N::set(matters) })
}
