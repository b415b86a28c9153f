//! The kernel's packet filter as data: tables, chains, rules and sets of one host, whoever wrote them.
//!
//! Readers fill it from what `nft`, `iptables-save` and `ipset save` print. It has one vocabulary for all of
//! them, so that [`evaluate`] need not know who printed a rule. What a reader does not understand is kept as
//! [`Test::Unknown`] or [`Action::Opaque`] and never dropped: dropping it would be guessing.
//!
//! The question is always about TCP, so readers may settle what depends on the protocol alone.

mod address;
pub mod evaluate;
pub mod host;
pub mod ipset;
pub mod iptables_save;
pub mod nft;
mod set;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use crate::admission::Listing;
pub use host::Host;
pub use set::{Dimension, Direction, Element, Elements, Lookup, MapValue, Set, SetRef};

/// A closed interval: first and last.
pub type Span<N> = (N, N);

/// Sorted, disjoint, non-touching intervals; one needs no allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spans<N> {
    /// Exactly one interval.
    One(Span<N>),
    /// Any number of them.
    Many(Arc<Vec<Span<N>>>),
}

impl<N> Spans<N> {
    /// The intervals in order.
    pub fn as_slice(&self) -> &[Span<N>] {
        match self {
            Spans::One(span) => std::slice::from_ref(span),
            Spans::Many(spans) => spans,
        }
    }
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// IPv4 addresses.
    V4(Spans<u32>),
    /// IPv6 addresses.
    V6(Spans<u128>),
    /// Numbers: ports, protocols, marks, states as bits.
    Numbers(Spans<u32>),
    /// Numbers after a mask: `(field & mask)` is one of these.
    Masked {
        /// What is kept of the field.
        mask: u32,
        /// What that may be.
        values: Spans<u32>,
    },
    /// Interface names.
    Names(Vec<NamePattern>),
    /// Anything: this component does not matter.
    Any,
}

/// An interface's name, or all that start with something.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NamePattern {
    /// This name.
    Exact(Arc<str>),
    /// Names that start with this (`eth+` of iptables, `eth*` of nft); empty for every name.
    Starts(Arc<str>),
}

/// A property of a packet, of its connection, or of the moment. Where a number stands for a name, it is the
/// kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// `NFPROTO_*`: 2 for IPv4, 10 for IPv6.
    Family,
    /// Transport protocol; 6 is TCP.
    Protocol,
    /// Source address. Family dependency is a match of its own, before it.
    Source,
    /// Destination address.
    Destination,
    /// Source port.
    SourcePort,
    /// Destination port.
    DestinationPort,
    /// IPv4's flags and fragment offset: a packet of the question is no fragment.
    Fragment,
    /// fin 1, syn 2, rst 4, psh 8, ack 16, urg 32, ecn 64, cwr 128.
    TcpFlags,
    /// Name of the interface it came in by.
    InInterface,
    /// Name of the interface it leaves by.
    OutInterface,
    /// Packet mark.
    Mark,
    /// Connection mark.
    ConnMark,
    /// invalid 1, established 2, related 4, new 8, untracked 64.
    CtState,
    /// expected 1, seen-reply 2, assured 4, confirmed 8, snat 16, dnat 32.
    CtStatus,
    /// 0 original, 1 reply.
    CtDirection,
    /// Source of the connection's first packet, before translation.
    OriginalSource,
    /// Destination of the connection's first packet, before translation.
    OriginalDestination,
    /// Source port of the connection's first packet.
    OriginalSourcePort,
    /// Destination port of the connection's first packet, before translation.
    OriginalDestinationPort,
    /// Source of replies, after translation.
    ReplySource,
    /// Destination of replies.
    ReplyDestination,
    /// Source port of replies, after translation.
    ReplySourcePort,
    /// Destination port of replies.
    ReplyDestinationPort,
    /// `RTN_*` of the source: 1 unicast, 2 local, 3 broadcast, 5 multicast, 7 unreachable.
    SourceType,
    /// `RTN_*` of the destination.
    DestinationType,
    /// 0 host, 1 broadcast, 2 multicast, 3 otherhost.
    PacketType,
    /// Second of the day, UTC.
    SecondOfDay,
    /// 0 Sunday to 6 Saturday, UTC.
    Weekday,
    /// 1 to 31, UTC.
    MonthDay,
    /// Seconds since 1970, UTC.
    Time,
}

/// Where something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Place {
    /// Which of the listings.
    pub listing: u16,
    /// Its line, counted from 1.
    pub line: u32,
    /// Where its text starts in the listing, in bytes.
    pub start: u32,
    /// Where its text ends.
    pub end: u32,
}

/// One condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Whether it must not hold.
    pub negated: bool,
    /// What is tested.
    pub test: Test,
}

/// What a condition tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The field has one of these values.
    Is(Field, Values),
    /// The fields, together, are an element of a set.
    In(Box<Lookup>),
    /// Holds for every packet of the question, or for none.
    Constant(bool),
    /// One of these groups holds, with all its conditions: `--ports` of iptables is the source's or the
    /// destination's.
    Any(Vec<Vec<Match>>),
    /// Nobody can say from here; the words say why (`rate limit`, ``match `recent` ``).
    Unknown(Arc<str>),
}

/// What becomes of the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Through with this base chain (nft) or table (iptables).
    Accept,
    /// Gone, without a word.
    Drop,
    /// Gone, with an answer.
    Reject,
    /// Back to the caller; in a base chain, the policy.
    Return,
    /// On with the next rule.
    Continue,
    /// Into another chain and back.
    Jump(Arc<str>),
    /// Into another chain, whose end is this chain's end.
    Goto(Arc<str>),
}

/// What a rule does besides deciding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sets the packet's mark.
    Mark(MarkChange),
    /// Sets the connection's mark.
    ConnMark(MarkChange),
    /// Keeps the packet out of connection tracking.
    Notrack,
    /// Does something to tracking that is not modelled (a zone); the words say what.
    TrackingUnknown(Arc<str>),
    /// Translates, which ends the chain as `accept` does.
    Nat(Box<Nat>),
    /// Adds to a set or takes from it.
    ChangeSet(SetRef),
    /// Could do anything, a verdict included; the words say what it is.
    Opaque(Arc<str>),
}

/// How a mark is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkChange {
    /// `(old & keep) ^ (other & take) ^ flip`, where `other` is the connection's mark for a packet's mark and
    /// the packet's for a connection's. A plain value is `flip` alone.
    Bits {
        /// What is kept of the old one.
        keep: u32,
        /// What is taken of the other one.
        take: u32,
        /// What is flipped in the end.
        flip: u32,
    },
    /// Looked up in a map.
    Map(Box<Lookup>),
    /// To nobody knows what.
    Unknown,
}

/// An address translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nat {
    /// Which.
    pub kind: NatKind,
    /// To what.
    pub to: NatTo,
}

/// Which translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatKind {
    /// The destination becomes another: `DNAT`.
    Destination,
    /// The destination becomes this host: `REDIRECT`.
    Redirect,
    /// The source becomes another: `SNAT`, `MASQUERADE`.
    Source,
}

/// To what is translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatTo {
    /// To these; what is absent stays.
    Fixed {
        /// Addresses.
        addresses: Option<Values>,
        /// Ports.
        ports: Option<Spans<u32>>,
    },
    /// Looked up in a map of [`MapValue::Target`].
    Map(Box<Lookup>),
    /// To nobody knows what.
    Unknown,
}

/// One step of a rule, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Goes on only where it holds.
    Match(Match),
    /// Does something and goes on.
    Act(Action),
    /// Decides.
    Verdict(Verdict),
    /// Decides by a verdict map; goes on where nothing is found.
    VerdictMap(Box<Lookup>),
}

/// One rule. What has no effect on the question (counters, logs, comments) is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it does, in order.
    pub items: Box<[Item]>,
    /// Where it was read.
    pub place: Place,
    /// nft's handle, 0 where it is not known.
    pub handle: u32,
}

/// Where in the kernel's path a base chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// As it comes from the device.
    Ingress,
    /// Before routing.
    Prerouting,
    /// For this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// After routing.
    Postrouting,
    /// As it goes to the device.
    Egress,
}

/// What kind of base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainKind {
    /// Sees every packet.
    Filter,
    /// Sees the first packet of a connection only.
    Nat,
    /// As filter, and may route anew.
    Route,
}

/// What makes a chain a base chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its kind.
    pub kind: ChainKind,
    /// Its hook.
    pub hook: Hook,
    /// Its priority: a lower one comes first.
    pub priority: i32,
    /// Whether what no rule decides is dropped.
    pub policy: Policy,
    /// The devices of an ingress or egress chain; `None` where the listing does not tell them.
    pub devices: Option<Vec<NamePattern>>,
}

/// What becomes of a packet that no rule of a base chain decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Accepted.
    Accept,
    /// Dropped.
    Drop,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name, unique in its table.
    pub name: Arc<str>,
    /// Where it hooks in; `None` for a chain that only jumps reach.
    pub base: Option<Base>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
    /// Where it was read.
    pub place: Place,
}

/// Which of the kernel's machineries holds a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Backend {
    /// nftables, by `nft` or by `iptables-nft`.
    Nft,
    /// The old iptables.
    Legacy,
}

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableFamily {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
    /// Those of a device.
    Netdev,
    /// Bridged frames.
    Bridge,
    /// ARP.
    Arp,
}

impl TableFamily {
    /// nft's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            TableFamily::Ip => "ip",
            TableFamily::Ip6 => "ip6",
            TableFamily::Inet => "inet",
            TableFamily::Netdev => "netdev",
            TableFamily::Bridge => "bridge",
            TableFamily::Arp => "arp",
        }
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its machinery.
    pub backend: Backend,
    /// Its family.
    pub family: TableFamily,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it sleeps; `None` where the listing does not tell.
    pub dormant: Option<bool>,
    /// Its chains, as listed.
    pub chains: Vec<Chain>,
    /// Its sets and maps.
    pub sets: BTreeMap<Arc<str>, Set>,
}

/// What a reader noticed besides the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Where.
    pub place: Place,
    /// What.
    pub text: String,
}

/// Why a listing can't be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    /// Where: its line is what people are told.
    pub place: Place,
    /// What is wrong, naming the text.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// What one reader made of one listing.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Its tables.
    pub tables: Vec<Table>,
    /// Its ipsets.
    pub ipsets: BTreeMap<Arc<str>, Set>,
    /// What was noticed.
    pub remarks: Vec<Remark>,
    /// Names of tables that the listing does not tell the machinery of; they are given as nft's.
    pub backend_unknown: Vec<Arc<str>>,
}
