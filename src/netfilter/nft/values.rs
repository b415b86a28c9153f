//! Values: which numbers, addresses or names a word stands for, given what it is compared with.

use std::net::Ipv6Addr;
use std::sync::Arc;

use super::elements::v4_prefix;
use super::names;
use super::{Bits, Expr};
use crate::netfilter::{NamePattern, Span, Spans, Values};
use crate::prefix::span::{Number, normalise};

/// What values of a field or of a set's component look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    V4,
    V6,
    /// Addresses of a family that only they themselves tell.
    Address,
    Port,
    Protocol,
    Mark,
    CtState,
    CtStatus,
    CtDirection,
    TcpFlags,
    Family,
    EtherType,
    RouteType,
    PacketType,
    Hour,
    Weekday,
    Time,
    Name,
    /// Something that no field holds.
    Unmodelled,
}

impl Kind {
    /// Of a type as sets declare it.
    pub(super) fn of_type(name: &str) -> Self {
        match name {
            "ipv4_addr" => Kind::V4,
            "ipv6_addr" => Kind::V6,
            "inet_service" => Kind::Port,
            "inet_proto" => Kind::Protocol,
            "mark" => Kind::Mark,
            "ifname" | "iface_index" => Kind::Name,
            "ct_state" => Kind::CtState,
            "ct_status" => Kind::CtStatus,
            "ct_dir" => Kind::CtDirection,
            "tcp_flag" => Kind::TcpFlags,
            "nf_proto" => Kind::Family,
            "ether_type" => Kind::EtherType,
            "fib_addrtype" => Kind::RouteType,
            "pkt_type" => Kind::PacketType,
            "hour" => Kind::Hour,
            "day" => Kind::Weekday,
            "time" => Kind::Time,
            _ => Kind::Unmodelled,
        }
    }

    /// Whether several of its names make one value, and naming them asks for any.
    pub(super) fn is_flags(self) -> bool {
        matches!(self, Kind::CtState | Kind::CtStatus | Kind::TcpFlags)
    }
}

/// One value or range.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Atom {
    V4(Span<u32>),
    V6(Span<u128>),
    Number(Span<u32>),
    Name(NamePattern),
    /// `*`
    Any,
}

/// The intervals as one value.
pub(super) fn spans<N: Number>(found: Vec<Span<N>>) -> Spans<N> {
    let joined = normalise(found);
    match joined.as_slice() {
        [only] => Spans::One(*only),
        _ => Spans::Many(joined.into()),
    }
}

/// The values of all atoms; `None` where they are of different kinds.
pub(super) fn values(atoms: Vec<Atom>) -> Option<Values> {
    if atoms.contains(&Atom::Any) {
        return Some(Values::Any);
    }
    match atoms.first()? {
        Atom::V4(_) => all(atoms, |atom| if let Atom::V4(span) = atom { Some(span) } else { None })
            .map(|found| Values::V4(spans(found))),
        Atom::V6(_) => all(atoms, |atom| if let Atom::V6(span) = atom { Some(span) } else { None })
            .map(|found| Values::V6(spans(found))),
        Atom::Number(_) => all(atoms, |atom| if let Atom::Number(span) = atom { Some(span) } else { None })
            .map(|found| Values::Numbers(spans(found))),
        Atom::Name(_) => {
            all(atoms, |atom| if let Atom::Name(name) = atom { Some(name) } else { None }).map(Values::Names)
        }
        Atom::Any => Some(Values::Any),
    }
}

fn all<T>(atoms: Vec<Atom>, pick: impl Fn(Atom) -> Option<T>) -> Option<Vec<T>> {
    atoms.into_iter().map(pick).collect()
}

/// The values of one atom, without allocating.
pub(super) fn single(atom: Atom) -> Values {
    match atom {
        Atom::V4(span) => Values::V4(Spans::One(span)),
        Atom::V6(span) => Values::V6(Spans::One(span)),
        Atom::Number(span) => Values::Numbers(Spans::One(span)),
        Atom::Name(name) => Values::Names(vec![name]),
        Atom::Any => Values::Any,
    }
}

/// What one expression stands for; `None` where that is not known.
pub(super) fn atom(kind: Kind, expr: &Expr<'_>) -> Option<Atom> {
    match expr {
        Expr::Word(text) => text_atom(kind, text),
        Expr::Wildcard => Some(Atom::Any),
        Expr::Range(ends) => between(atom(kind, &ends.0)?, atom(kind, &ends.1)?),
        Expr::Prefix(address, length) => prefix(&atom(kind, address)?, *length),
        Expr::List(_) | Expr::Binary(..) => constant(kind, expr).map(|bits| Atom::Number((bits, bits))),
        Expr::Select(_)
        | Expr::Concat(_)
        | Expr::Set(_)
        | Expr::Named(_)
        | Expr::Map(_)
        | Expr::Unknown(_) => None,
    }
}

/// The bits of flags, or of a constant.
pub(super) fn constant(kind: Kind, expr: &Expr<'_>) -> Option<u32> {
    match expr {
        Expr::Word(text) => number(kind, text),
        Expr::List(parts) => parts.iter().try_fold(0, |bits, part| Some(bits | constant(kind, part)?)),
        Expr::Binary(bits, sides) => {
            let (left, right) = (constant(kind, &sides.0)?, constant(kind, &sides.1)?);
            match bits {
                Bits::And => Some(left & right),
                Bits::Or => Some(left | right),
                Bits::Xor => Some(left ^ right),
                Bits::ShiftLeft => left.checked_shl(right),
                Bits::ShiftRight => left.checked_shr(right),
            }
        }
        Expr::Wildcard
        | Expr::Select(_)
        | Expr::Concat(_)
        | Expr::Set(_)
        | Expr::Named(_)
        | Expr::Range(_)
        | Expr::Prefix(..)
        | Expr::Map(_)
        | Expr::Unknown(_) => None,
    }
}

fn text_atom(kind: Kind, text: &str) -> Option<Atom> {
    match kind {
        Kind::V4 => v4(text).map(Atom::V4),
        Kind::V6 => v6(text).map(Atom::V6),
        Kind::Address => v4(text).map(Atom::V4).or_else(|| v6(text).map(Atom::V6)),
        Kind::Name => name(text).map(Atom::Name),
        Kind::Unmodelled => None,
        Kind::Port
        | Kind::Protocol
        | Kind::Mark
        | Kind::CtState
        | Kind::CtStatus
        | Kind::CtDirection
        | Kind::TcpFlags
        | Kind::Family
        | Kind::EtherType
        | Kind::RouteType
        | Kind::PacketType
        | Kind::Hour
        | Kind::Weekday
        | Kind::Time => {
            if let Some(found) = number(kind, text) {
                return Some(Atom::Number((found, found)));
            }
            let (first, last) = text.split_once('-')?;
            let (first, last) = (number(kind, first)?, number(kind, last)?);
            between(Atom::Number((first, first)), Atom::Number((last, last)))
        }
    }
}

/// From the first of one to the last of the other.
fn between(first: Atom, last: Atom) -> Option<Atom> {
    match (first, last) {
        (Atom::V4((first, _)), Atom::V4((_, last))) if first <= last => Some(Atom::V4((first, last))),
        (Atom::V6((first, _)), Atom::V6((_, last))) if first <= last => Some(Atom::V6((first, last))),
        (Atom::Number((first, _)), Atom::Number((_, last))) if first <= last => {
            Some(Atom::Number((first, last)))
        }
        _ => None,
    }
}

fn prefix(address: &Atom, length: u32) -> Option<Atom> {
    match address {
        Atom::V4((first, _)) if length <= 32 => {
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            Some(Atom::V4((first & !host, first | host)))
        }
        Atom::V6((first, _)) if length <= 128 => {
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            Some(Atom::V6((first & !host, first | host)))
        }
        Atom::Number((first, _)) if length <= 32 => {
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            Some(Atom::Number((first & !host, first | host)))
        }
        _ => None,
    }
}

/// `1.2.3.4`, `1.2.3.0/24`, `1.2.3.4-1.2.3.9`
fn v4(text: &str) -> Option<Span<u32>> {
    match v4_prefix(text.as_bytes())? {
        (span, []) => Some(span),
        _ => None,
    }
}

/// `2001:db8::1`, `2001:db8::/32`, `2001:db8::1-2001:db8::9`
pub(super) fn v6(text: &str) -> Option<Span<u128>> {
    let address = |text: &str| text.parse::<Ipv6Addr>().ok().map(u128::from);
    if let Some(only) = address(text) {
        return Some((only, only));
    }
    if let Some((first, length)) = text.split_once('/') {
        let first = address(first)?;
        return match prefix(&Atom::V6((first, first)), length.parse().ok()?)? {
            Atom::V6(span) => Some(span),
            _ => None,
        };
    }
    let (first, last) = text.split_once('-')?;
    let (first, last) = (address(first)?, address(last)?);
    (first <= last).then_some((first, last))
}

/// An interface's name; a star at its end that is not escaped stands for the rest.
pub(super) fn name(text: &str) -> Option<NamePattern> {
    // Indices are printed where the interface is gone: whose it was nobody can say.
    if text.is_empty() || text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Some(exact) = text.strip_suffix("\\*") {
        return Some(NamePattern::Exact(Arc::from(format!("{exact}*"))));
    }
    match text.strip_suffix('*') {
        Some(start) => Some(NamePattern::Starts(Arc::from(start))),
        None => Some(NamePattern::Exact(Arc::from(text))),
    }
}

/// A number by its digits or its name.
pub(super) fn number(kind: Kind, text: &str) -> Option<u32> {
    if let Some(found) = digits(text) {
        return match kind {
            // The ethertypes of IPv4 and IPv6, as the families they announce.
            Kind::EtherType => Some(match found {
                0x0800 => 2,
                0x86dd => 10,
                _ => 0,
            }),
            _ => Some(found),
        };
    }
    match kind {
        Kind::Port => names::service(text),
        Kind::Protocol => names::protocol(text),
        Kind::CtState => names::ct_state(text),
        Kind::CtStatus => names::ct_status(text),
        Kind::CtDirection => names::ct_direction(text),
        Kind::TcpFlags => names::tcp_flag(text),
        Kind::Family => names::family(text),
        Kind::EtherType => names::ether_type(text),
        Kind::RouteType => names::route_type(text),
        Kind::PacketType => names::packet_type(text),
        Kind::Hour => clock(text),
        Kind::Weekday => names::weekday(text),
        Kind::Time => moment(text),
        Kind::Mark | Kind::V4 | Kind::V6 | Kind::Address | Kind::Name | Kind::Unmodelled => None,
    }
}

fn digits(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) if !hex.starts_with('+') => u32::from_str_radix(hex, 16).ok(),
        None if text.starts_with(|c: char| c.is_ascii_digit()) => text.parse().ok(),
        Some(_) | None => None,
    }
}

/// `HH:MM` or `HH:MM:SS` as second of the day.
fn clock(text: &str) -> Option<u32> {
    let mut parts = text.split(':').map(|part| part.parse::<u32>().ok());
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = parts.next().unwrap_or(Some(0))?;
    let fits = hours < 24 && minutes < 60 && seconds < 60 && parts.next().is_none();
    fits.then_some(hours * 3600 + minutes * 60 + seconds)
}

/// `2024-01-01 00:00:00`, in UTC as listings are taken, as seconds since 1970.
fn moment(text: &str) -> Option<u32> {
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    u32::try_from(zoned.timestamp().as_second().clamp(0, i64::from(u32::MAX))).ok()
}
