//! Addresses, masks and numbers as iptables and ipset write them, and the intervals they stand for.
//!
//! Nothing is looked up: a host's or a service's name is no number here.

use std::net::Ipv6Addr;
use std::ops::{BitAnd, BitOr, Not};

use super::{Span, Spans, Values};
use crate::prefix::span::{Number, normalise};

/// Intervals that one address with a mask may stand for; more are not written out.
pub(super) const SPANS_MAX: u32 = 1 << 16;

/// An address's number: `u32` for IPv4, `u128` for IPv6.
pub(super) trait Address:
    Number + Not<Output = Self> + BitAnd<Output = Self> + BitOr<Output = Self>
{
    /// How many bits it has.
    const WIDTH: u32;
    /// The mask of a prefix of this length; all ones where it is longer than an address.
    fn mask(length: u32) -> Self;
    /// Zeros at its end.
    fn trailing_zeros(self) -> u32;
    /// Bits that are set.
    fn ones(self) -> u32;
    /// Reads one.
    fn parse(text: &str) -> Option<Self>;
    /// Intervals of them.
    fn values(spans: Spans<Self>) -> Values;
}

impl Address for u32 {
    const WIDTH: u32 = 32;

    fn mask(length: u32) -> Self {
        !u32::MAX.checked_shr(length).unwrap_or(0)
    }

    fn trailing_zeros(self) -> u32 {
        u32::trailing_zeros(self)
    }

    fn ones(self) -> u32 {
        self.count_ones()
    }

    #[inline]
    fn parse(text: &str) -> Option<Self> {
        let (mut address, mut part, mut digits, mut dots) = (0_u32, 0_u32, 0_u8, 0_u8);
        for byte in text.bytes() {
            // `010` is 8 to some and 10 to others.
            if byte.is_ascii_digit() && digits < 3 && (digits == 0 || part > 0) {
                part = part * 10 + u32::from(byte - b'0');
                digits += 1;
            } else if byte == b'.' && digits > 0 && part < 256 && dots < 3 {
                address = address << 8 | part;
                (part, digits, dots) = (0, 0, dots + 1);
            } else {
                return None;
            }
        }
        (digits > 0 && part < 256 && dots == 3).then_some(address << 8 | part)
    }

    fn values(spans: Spans<Self>) -> Values {
        Values::V4(spans)
    }
}

impl Address for u128 {
    const WIDTH: u32 = 128;

    fn mask(length: u32) -> Self {
        !u128::MAX.checked_shr(length).unwrap_or(0)
    }

    fn trailing_zeros(self) -> u32 {
        u128::trailing_zeros(self)
    }

    fn ones(self) -> u32 {
        self.count_ones()
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse::<Ipv6Addr>().ok().map(u128::from)
    }

    fn values(spans: Spans<Self>) -> Values {
        Values::V6(spans)
    }
}

/// The addresses of a prefix, whatever its host bits.
pub(super) fn block<A: Address>(address: A, length: u32) -> Span<A> {
    let mask = A::mask(length);
    (address & mask, address | !mask)
}

/// The length after a prefix's `/`.
pub(super) fn length<A: Address>(text: &str) -> Option<u32> {
    plain(text).filter(|length| *length <= A::WIDTH)
}

/// Digits alone, at most three.
fn plain(text: &str) -> Option<u32> {
    let sound = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| text.bytes().fold(0, |all, byte| all * 10 + u32::from(byte - b'0')))
}

/// `address`, `address/length` or `address/mask` as intervals; `None` where it is none of them or stands for
/// more than [`SPANS_MAX`] of them.
#[inline]
pub(super) fn masked<A: Address>(text: &str) -> Option<Spans<A>> {
    let Some(slash) = text.bytes().position(|byte| byte == b'/') else {
        return A::parse(text).map(|address| Spans::One((address, address)));
    };
    let (address, mask) = (A::parse(text.get(..slash)?)?, text.get(slash + 1..)?);
    if let Some(length) = length::<A>(mask) {
        return Some(Spans::One(block(address, length)));
    }
    under_mask(address, A::parse(mask)?)
}

/// All addresses that are equal to this one under a mask; `None` for more than [`SPANS_MAX`] intervals.
pub(super) fn under_mask<A: Address>(address: A, mask: A) -> Option<Spans<A>> {
    let free = !mask;
    // The zeros at the mask's end make one interval long; those before them make many.
    let tail = !A::mask(A::WIDTH - (!free).trailing_zeros().min(A::WIDTH));
    let scattered = free & !tail;
    let count = 1_u32.checked_shl(scattered.ones()).filter(|count| *count <= SPANS_MAX)?;
    let base = address & mask;
    if count == 1 {
        return Some(Spans::One((base, base | tail)));
    }
    let mut spans = Vec::new();
    let mut part = A::MIN;
    for _ in 0..count {
        spans.push((base | part, base | part | tail));
        // The next higher choice of scattered bits: a carry runs through all the others.
        part = (part | !scattered).after().unwrap_or(A::MIN) & scattered;
    }
    Some(Spans::Many(spans.into()))
}

/// The fewest prefixes that make an interval, as addresses of their ends.
pub(super) fn prefixes<A: Address>(span: Span<A>) -> Vec<Span<A>> {
    let mut found = Vec::new();
    let mut first = span.0;
    loop {
        let aligned = first.trailing_zeros().min(A::WIDTH);
        let block =
            (0..=aligned).rev().map(|bits| block(first, A::WIDTH - bits)).find(|block| block.1 <= span.1);
        let Some(block) = block else { return found };
        found.push(block);
        match block.1.after() {
            Some(next) if block.1 < span.1 => first = next,
            _ => return found,
        }
    }
}

/// Intervals as a field is compared with; `None` where there is none.
pub(super) fn spans<A: Address>(spans: Vec<Span<A>>) -> Option<Spans<A>> {
    let spans = normalise(spans);
    match spans.as_slice() {
        [] => None,
        [one] => Some(Spans::One(*one)),
        _ => Some(Spans::Many(spans.into())),
    }
}

/// A number as C's `strtoul` reads it: `0x1f`, `017`, `15`.
pub(super) fn number(text: &str) -> Option<u32> {
    let (digits, base) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, base).ok() }
}

/// A port's number.
pub(super) fn port(text: &str) -> Option<u32> {
    number(text).filter(|port| *port <= 65_535)
}

/// `80` or two ports with this between them; an end that is left out is the lowest or highest.
pub(super) fn ports(text: &str, between: char) -> Option<Span<u32>> {
    let Some((first, last)) = text.split_once(between) else {
        return port(text).map(|port| (port, port));
    };
    let first = if first.is_empty() { 0 } else { port(first)? };
    let last = if last.is_empty() { 65_535 } else { port(last)? };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_tools_write_them() {
        for text in ["0.0.0.0", "255.255.255.255", "1.2.3.4", "10.0.0.1"] {
            let known: std::net::Ipv4Addr = text.parse().unwrap();
            assert_eq!(<u32 as Address>::parse(text), Some(u32::from(known)));
        }
        for text in ["", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.", ".1.2.3", "01.2.3.4", "1.2.3.a"] {
            assert_eq!(<u32 as Address>::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_mask_makes_as_many_intervals_as_it_must() {
        let read = |text: &str| masked::<u32>(text).map(|spans| spans.as_slice().to_vec());
        assert_eq!(read("1.2.3.4/24"), Some(vec![(0x0102_0300, 0x0102_03ff)]));
        assert_eq!(read("1.2.3.4/0"), Some(vec![(0, u32::MAX)]));
        assert_eq!(read("1.2.3.4/0.0.0.0"), Some(vec![(0, u32::MAX)]));
        assert_eq!(read("1.2.3.4/255.255.255.255"), Some(vec![(0x0102_0304, 0x0102_0304)]));
        let odd = read("1.0.3.0/255.0.255.0").unwrap();
        assert_eq!(
            (odd.len(), odd[0], odd[1]),
            (256, (0x0100_0300, 0x0100_03ff), (0x0101_0300, 0x0101_03ff))
        );
        assert_eq!(odd[255], (0x01ff_0300, 0x01ff_03ff));
        assert_eq!(read("0.0.0.0/0.0.0.255").unwrap_or_default().len(), 0);
        assert_eq!(read("0.0.0.1/0.0.255.255").unwrap().len(), 65_536);
        assert_eq!(masked::<u128>("2001:db8::1/ffff:0:ffff::").unwrap().as_slice().len(), 65_536);
        assert_eq!(masked::<u128>("::/0").unwrap().as_slice(), [(0, u128::MAX)]);
        assert_eq!(read("1.2.3.4/33"), None);
    }

    #[test]
    fn an_interval_is_made_of_prefixes() {
        assert_eq!(prefixes::<u32>((0, u32::MAX)), [(0, u32::MAX)]);
        assert_eq!(prefixes::<u32>((1, 6)), [(1, 1), (2, 3), (4, 5), (6, 6)]);
        assert_eq!(prefixes::<u32>((u32::MAX, u32::MAX)), [(u32::MAX, u32::MAX)]);
        assert_eq!(prefixes::<u32>((5, 4)), []);
    }

    #[test]
    fn touching_intervals_are_joined() {
        assert_eq!(
            normalise(vec![(5_u32, 6), (0, 2), (3, 3), (7, u32::MAX), (9, 9)]),
            [(0, 3), (5, u32::MAX)]
        );
    }

    #[test]
    fn numbers_are_those_of_c() {
        let cases =
            [("0x1F", Some(31)), ("017", Some(15)), ("0", Some(0)), ("08", None), ("+1", None), ("", None)];
        for (text, expected) in cases {
            assert_eq!(number(text), expected, "{text}");
        }
        assert_eq!(ports(":80", ':'), Some((0, 80)));
        assert_eq!(ports("80:", ':'), Some((80, 65_535)));
        assert_eq!(ports("90:80", ':'), None);
        assert_eq!(ports("65536", ':'), None);
    }
}
