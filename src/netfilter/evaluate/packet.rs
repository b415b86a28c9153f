//! What is known of a packet besides its source: every source in a [`State`](super::State) shares it.
//!
//! A packet's *far* end is the source that is asked about, its *near* end the service. What nobody stated
//! (interface, destination, source port) is a set of possibilities that narrows where rules test it, so that
//! two rules about one interface are never answered as if there were two interfaces.

use super::address::Address;
use super::interface::{Interface, Tried};

use crate::netfilter::{ChainKind, Field, Hook, NamePattern, Span, Values};
use crate::prefix::span::{complement, intersection};

/// Which packet of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first, inwards.
    Syn,
    /// The answer, outwards.
    SynAck,
    /// The third, inwards.
    Ack,
}

/// Bits of which some may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bits {
    /// The bits that are known to be set.
    pub(super) value: u32,
    /// Which bits are known.
    pub(super) known: u32,
}

impl Bits {
    pub(super) const fn exactly(value: u32) -> Self {
        Self { value, known: u32::MAX }
    }

    pub(super) const UNKNOWN: Self = Self { value: 0, known: 0 };

    /// `(self & keep) ^ (other & take) ^ flip`.
    pub(super) fn changed(self, other: Self, [keep, take, flip]: [u32; 3]) -> Self {
        let known = (self.known | !keep) & (other.known | !take);
        Self { value: ((self.value & keep) ^ (other.value & take) ^ flip) & known, known }
    }

    /// Whether these bits, masked, are among the values; `None` where that hangs on unknown ones.
    fn among(self, mask: u32, values: &[Span<u32>]) -> Option<bool> {
        if mask & !self.known == 0 {
            let value = self.value & mask;
            return Some(values.iter().any(|(first, last)| (*first..=*last).contains(&value)));
        }
        // A value can't be where one of its known bits differs; only single values are looked at.
        let impossible = values.iter().all(|(first, last)| {
            first == last && (*first & !mask != 0 || (first ^ self.value) & self.known & mask != 0)
        });
        impossible.then_some(false)
    }
}

/// One end of a connection: addresses and ports that it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End<N> {
    pub(super) addresses: Vec<Span<N>>,
    pub(super) ports: Vec<Span<u32>>,
}

/// How the connection is tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tracking {
    /// As usual.
    Yes,
    /// The SYN was kept out of it.
    No,
    /// The SYN was tracked, and the answer kept out of it.
    AnswerLost,
    /// Something was done that is not modelled.
    Unknown,
}

/// Where a packet goes after routing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// To this host.
    Local,
    /// Through this host.
    Through,
}

/// What is known of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet<N> {
    /// The service, as the caller addressed it.
    pub(super) original: End<N>,
    /// The service, after translation.
    pub(super) near: End<N>,
    /// Ports that the caller may call from.
    pub(super) far_ports: Vec<Span<u32>>,
    /// The interface towards the caller.
    pub(super) far_interface: Interface,
    /// The interface towards the service, where it is behind this host.
    pub(super) near_interface: Interface,
    /// This packet's mark.
    pub(super) mark: Bits,
    /// The connection's mark.
    pub(super) conn_mark: Bits,
    /// How the connection is tracked.
    pub(super) tracking: Tracking,
    /// Whether this packet was kept out of tracking.
    pub(super) notrack: bool,
    /// Whether a rule has translated the connection's destination, or decided that nothing does.
    pub(super) nat_settled: bool,
    /// Whether the destination was translated.
    pub(super) translated: bool,
    /// Where it goes.
    pub(super) route: Route,
}

/// Where on its way a packet is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) phase: Phase,
    pub(super) hook: Hook,
    pub(super) priority: i32,
    pub(super) kind: ChainKind,
}

/// Priority at which connection tracking looks at a packet.
const TRACKING: i32 = -200;
/// Priority at which destinations are translated.
pub(super) const NAT_DESTINATION: i32 = -100;
/// Priority at which sources are translated.
pub(super) const NAT_SOURCE: i32 = 100;

impl Spot {
    /// Whether connection tracking has not seen the packet yet.
    pub(super) fn is_before_tracking(self) -> bool {
        match self.hook {
            Hook::Ingress => true,
            Hook::Prerouting | Hook::Output => self.kind == ChainKind::Filter && self.priority < TRACKING,
            Hook::Input | Hook::Forward | Hook::Postrouting | Hook::Egress => false,
        }
    }

    /// Whether it is asked at the very priority of connection tracking: which of both comes first hangs on
    /// which was there first.
    fn is_at_tracking(self) -> bool {
        matches!(self.hook, Hook::Prerouting | Hook::Output)
            && self.kind != ChainKind::Nat
            && self.priority == TRACKING
    }

    /// Whether a translated connection's packet shows the service as the caller addressed it.
    fn shows_original(self) -> bool {
        match (self.phase, self.hook) {
            (Phase::Ack, Hook::Ingress) | (Phase::SynAck, Hook::Egress) => true,
            (Phase::Ack, Hook::Prerouting) => self.priority < NAT_DESTINATION,
            (Phase::SynAck, Hook::Postrouting) => self.priority > NAT_SOURCE,
            _ => false,
        }
    }

    fn is_inward(self) -> bool {
        self.phase != Phase::SynAck
    }
}

/// More intervals of possible values are not told apart: ten thousand rules, each about an address of the host,
/// would make ten thousand holes.
const NARROWED_MAX: usize = 256;

/// Possible values against wanted ones.
fn narrowed<N: Address>(possible: &[Span<N>], wanted: &[Span<N>]) -> Tried<Vec<Span<N>>> {
    let with = intersection(possible, wanted);
    if with.is_empty() {
        return Tried::Never;
    }
    if possible.len() > NARROWED_MAX {
        return Tried::Maybe;
    }
    let without = intersection(possible, &complement(wanted));
    if without.is_empty() { Tried::Always } else { Tried::Split(with, without) }
}

impl<N: Address> Packet<N> {
    /// The same, and less is known of it: the kinds that remain are few.
    pub(super) fn widened(&self) -> Self {
        let any = End { addresses: vec![(N::MIN, N::MAX)], ports: vec![(1, u32::from(u16::MAX))] };
        let mut wide = Self {
            original: any.clone(),
            near: any,
            far_ports: vec![(1, u32::from(u16::MAX))],
            far_interface: Interface::unknown(),
            near_interface: Interface::unknown(),
            ..self.clone()
        };
        wide.forget_marks();
        wide
    }

    /// Marks may be anything from here on.
    pub(super) fn forget_marks(&mut self) {
        self.mark = Bits::UNKNOWN;
        self.conn_mark = Bits::UNKNOWN;
    }

    /// The service's end as it shows here.
    fn near_at(&self, spot: Spot) -> &End<N> {
        if spot.shows_original() { &self.original } else { &self.near }
    }

    fn with_near(&self, spot: Spot, end: End<N>) -> Self {
        let mut packet = self.clone();
        if spot.shows_original() {
            packet.original = end;
        } else {
            // Before any translation both are one.
            if !packet.translated && packet.original == packet.near {
                packet.original = end.clone();
            }
            packet.near = end;
        }
        packet
    }

    /// Whether a field is the address that is asked about.
    pub(super) fn is_far_address(field: Field, spot: Spot) -> bool {
        match field {
            Field::Source => spot.is_inward(),
            Field::Destination => !spot.is_inward(),
            Field::OriginalSource | Field::ReplyDestination => true,
            _ => false,
        }
    }

    /// Whether this packet belongs to a tracked connection where it is; `None` where that is beyond the model.
    pub(super) fn has_connection(&self, spot: Spot) -> Option<bool> {
        if self.notrack || self.tracking == Tracking::No || spot.is_before_tracking() {
            return Some(false);
        }
        (self.tracking != Tracking::Unknown && !spot.is_at_tracking()).then_some(true)
    }

    /// Bits of [`Field::CtState`]; `None` where tracking is beyond the model.
    fn state(&self, spot: Spot) -> Option<u32> {
        if self.notrack {
            return Some(64);
        }
        if spot.is_at_tracking() {
            return None;
        }
        if spot.is_before_tracking() {
            return Some(1);
        }
        match (self.tracking, spot.phase) {
            (Tracking::Unknown, _) => None,
            (Tracking::Yes, Phase::SynAck | Phase::Ack) => Some(2),
            // An answer to nothing is invalid; a lone ACK starts a connection in the middle.
            (_, Phase::Syn) | (Tracking::No, Phase::Ack) => Some(8),
            (Tracking::No, Phase::SynAck) | (Tracking::AnswerLost, _) => Some(1),
        }
    }

    /// Whether a property other than the asked address has one of the values.
    pub(super) fn tried(&self, field: Field, values: &Values, spot: Spot) -> Tried<Self> {
        if matches!(values, Values::Any) {
            return Tried::Always;
        }
        if needs_connection(field) {
            match self.has_connection(spot) {
                Some(true) => {}
                Some(false) => return Tried::Absent,
                None => return Tried::Maybe,
            }
        }
        match values {
            Values::Names(names) => self.tried_name(field, names, spot),
            Values::V4(_) | Values::V6(_) => self.tried_address(field, values, spot),
            Values::Masked { mask, values } => match self.bits(field, spot) {
                Some(bits) => Tried::of(bits.among(*mask, values.as_slice())),
                None => Tried::Maybe,
            },
            Values::Numbers(numbers) => match self.bits(field, spot) {
                Some(bits) => Tried::of(bits.among(u32::MAX, numbers.as_slice())),
                None => self.tried_ports(field, numbers.as_slice(), spot),
            },
            Values::Any => Tried::Always,
        }
    }

    fn tried_name(&self, field: Field, names: &[NamePattern], spot: Spot) -> Tried<Self> {
        let inward = spot.is_inward();
        let is_far = match field {
            Field::InInterface => inward,
            Field::OutInterface => !inward,
            _ => return Tried::Maybe,
        };
        let nameless = match spot.hook {
            Hook::Ingress | Hook::Prerouting | Hook::Input => field == Field::OutInterface,
            Hook::Forward => false,
            Hook::Output | Hook::Postrouting | Hook::Egress => {
                field == Field::InInterface && self.route == Route::Local
            }
        };
        if nameless {
            return Interface::named("").one_of(names).map(|_| self.clone());
        }
        let interface = if is_far { &self.far_interface } else { &self.near_interface };
        interface.one_of(names).map(|narrow| {
            let mut packet = self.clone();
            *(if is_far { &mut packet.far_interface } else { &mut packet.near_interface }) = narrow;
            packet
        })
    }

    fn tried_address(&self, field: Field, values: &Values, spot: Spot) -> Tried<Self> {
        let Some(wanted) = N::among(values) else { return Tried::Absent };
        let end = match field {
            Field::Source | Field::Destination => self.near_at(spot),
            Field::OriginalDestination => &self.original,
            Field::ReplySource => &self.near,
            _ => return Tried::Maybe,
        };
        narrowed(&end.addresses, wanted).map(|addresses| {
            let narrow = End { addresses, ports: end.ports.clone() };
            self.with_end(field, spot, narrow)
        })
    }

    fn with_end(&self, field: Field, spot: Spot, end: End<N>) -> Self {
        match field {
            Field::OriginalDestination | Field::OriginalDestinationPort => {
                let mut packet = self.clone();
                if !packet.translated && packet.original == packet.near {
                    packet.near = end.clone();
                }
                packet.original = end;
                packet
            }
            _ => self.with_near(spot, end),
        }
    }

    fn tried_ports(&self, field: Field, wanted: &[Span<u32>], spot: Spot) -> Tried<Self> {
        let is_far = match field {
            Field::SourcePort => spot.is_inward(),
            Field::DestinationPort => !spot.is_inward(),
            Field::OriginalSourcePort | Field::ReplyDestinationPort => true,
            Field::OriginalDestinationPort | Field::ReplySourcePort => false,
            _ => return Tried::Maybe,
        };
        if is_far {
            return narrowed(&self.far_ports, wanted).map(|far_ports| Self { far_ports, ..self.clone() });
        }
        let end = match field {
            Field::OriginalDestinationPort => &self.original,
            Field::ReplySourcePort => &self.near,
            _ => self.near_at(spot),
        };
        narrowed(&end.ports, wanted).map(|ports| {
            let narrow = End { addresses: end.addresses.clone(), ports };
            self.with_end(field, spot, narrow)
        })
    }

    /// Fields whose value is a number that is known, in whole or in part.
    fn bits(&self, field: Field, spot: Spot) -> Option<Bits> {
        let inward = spot.is_inward();
        Some(match field {
            Field::Family => Bits::exactly(N::NFPROTO),
            Field::Protocol => Bits::exactly(6),
            Field::TcpFlags => Bits::exactly(match spot.phase {
                Phase::Syn => 2,
                Phase::SynAck => 18,
                Phase::Ack => 16,
            }),
            // It may have the flag that forbids fragments.
            Field::Fragment => Bits { value: 0, known: 0x3fff },
            Field::Mark => self.mark,
            Field::ConnMark => self.conn_mark,
            Field::CtState => Bits::exactly(self.state(spot)?),
            Field::CtStatus => {
                // seen-reply 2, assured 4, confirmed 8: seen with the kernel, packet by packet.
                let so_far = match spot.phase {
                    Phase::Syn => 0,
                    Phase::SynAck => 2 | 8,
                    Phase::Ack => 2 | 4 | 8,
                };
                let translated = if self.translated { 32 } else { 0 };
                // Whether what goes through has its source translated is not followed.
                let source = if self.route == Route::Local { 16 } else { 0 };
                Bits { value: so_far | translated, known: 1 | 2 | 4 | 8 | 32 | source }
            }
            Field::CtDirection => Bits::exactly(u32::from(!inward)),
            Field::PacketType => Bits::exactly(0),
            Field::SourceType | Field::DestinationType => {
                let is_far = (field == Field::SourceType) == inward;
                let local = !is_far && (self.route == Route::Local || spot.shows_original());
                Bits::exactly(if local { 2 } else { 1 })
            }
            _ => return None,
        })
    }
}

/// Fields that only a tracked connection has. Its state can be told of every packet.
fn needs_connection(field: Field) -> bool {
    matches!(
        field,
        Field::ConnMark
            | Field::CtStatus
            | Field::CtDirection
            | Field::OriginalSource
            | Field::OriginalDestination
            | Field::OriginalSourcePort
            | Field::OriginalDestinationPort
            | Field::ReplySource
            | Field::ReplyDestination
            | Field::ReplySourcePort
            | Field::ReplyDestinationPort
    )
}

/// Fields that may differ between the first and the third packet.
pub(super) fn differs_by_phase(field: Field) -> bool {
    needs_connection(field) || matches!(field, Field::TcpFlags | Field::CtState)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the unknown bits are, what is said of the known ones holds.
        #[test]
        fn bits_of_which_some_are_unknown_never_say_too_much(
            value: u32, known: u32, unknown: u32, other: u32,
            change: [u32; 3], mask: u32, wanted in prop::collection::vec(any::<u32>(), 1..4),
        ) {
            let bits = Bits { value: value & known, known };
            let real = (value & known) | (unknown & !known);
            let mut values: Vec<Span<u32>> = wanted.iter().map(|one| (one & mask, one & mask)).collect();
            values.sort_unstable();
            if let Some(said) = bits.among(mask, &values) {
                prop_assert_eq!(said, values.contains(&(real & mask, real & mask)));
            }
            let [keep, take, flip] = change;
            let changed = bits.changed(Bits::exactly(other), change);
            let really = (real & keep) ^ (other & take) ^ flip;
            prop_assert_eq!(changed.value, really & changed.known);
            prop_assert_eq!(changed.known, known | !keep);
        }
    }
}
