//! Addresses and networks, as nginx takes them: more kindly than others, and more strictly in places.
//!
//! Numbers are decimal whatever zeros lead them, a part between dots may be empty, host bits are dropped with a
//! warning; `255.255.255.255` is no address to it. All seen by running it.

use crate::prefix::PrefixSet;
use crate::prefix::list::plain_v4;
use crate::prefix::span::Span;

/// No address to nginx: it is what the function of C gives for an error.
pub(super) const NO_ADDRESS: u32 = u32::MAX;

/// Whom `allow` and `deny` mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// Everybody.
    All,
    /// Whoever comes by a UNIX domain socket.
    Unix,
    /// A network.
    Network(Network),
}

/// A network of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its addresses.
    pub range: Range,
    /// Whether bits are set to the right of its length, which mean nothing.
    pub has_host_bits: bool,
}

/// First and last address, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Range {
    /// Of IPv4.
    V4(Span<u32>),
    /// Of IPv6.
    V6(Span<u128>),
}

impl Range {
    /// Its addresses as a set.
    pub fn set(self) -> PrefixSet {
        match self {
            Range::V4(span) => PrefixSet::from_spans(vec![span], Vec::new()),
            Range::V6(span) => PrefixSet::from_spans(Vec::new(), vec![span]),
        }
    }
}

impl Operand {
    /// Reads an argument of `allow` or `deny`; `None` where nginx refuses it.
    #[inline]
    pub fn read(text: &str) -> Option<Self> {
        if let Some(network) = Network::read(text) {
            return Some(Operand::Network(network));
        }
        match text {
            "all" => Some(Operand::All),
            "unix:" => Some(Operand::Unix),
            _ => None,
        }
    }
}

impl Network {
    /// Reads an address or a network; `None` where nginx refuses it.
    #[inline]
    pub fn read(text: &str) -> Option<Self> {
        // Nearly all lists are of addresses in their usual form.
        let plain = plain_v4(text).filter(|address| *address != NO_ADDRESS);
        let text = text.as_bytes();
        if let Some(address) = plain.or_else(|| v4(text)) {
            return Some(Self { range: Range::V4((address, address)), has_host_bits: false });
        }
        let slash = text.iter().position(|byte| *byte == b'/');
        let address = slash.map_or(text, |slash| text.get(..slash).unwrap_or_default());
        let length = match slash {
            Some(slash) => Some(number(text.get(slash + 1..)?)?),
            None => None,
        };
        if let Some(address) = v4(address) {
            let length = length.unwrap_or(32);
            if length > 32 {
                return None;
            }
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            let range = Range::V4((address & !host, address | host));
            return Some(Self { range, has_host_bits: address & host != 0 });
        }
        let address = v6(address)?;
        let length = length.unwrap_or(128);
        if length > 128 {
            return None;
        }
        let host = u128::MAX.checked_shr(length).unwrap_or(0);
        let range = Range::V6((address & !host, address | host));
        Some(Self { range, has_host_bits: address & host != 0 })
    }
}

/// A number of decimal digits.
fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |all, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        all.checked_mul(10)?.checked_add(digit)
    })
}

/// An address of IPv4: four numbers, any of which may be missing, but not their dots.
#[inline]
pub(super) fn v4(text: &[u8]) -> Option<u32> {
    let (mut address, mut part, mut dots) = (0_u32, 0_u32, 0_u8);
    for byte in text {
        if byte.is_ascii_digit() {
            part = part * 10 + u32::from(byte - b'0');
            if part > 255 {
                return None;
            }
        } else if *byte == b'.' && dots < 3 {
            address = address << 8 | part;
            (part, dots) = (0, dots + 1);
        } else {
            return None;
        }
    }
    let address = address << 8 | part;
    (dots == 3 && address != NO_ADDRESS).then_some(address)
}

/// An address of IPv6. One colon more may lead or trail it.
fn v6(text: &[u8]) -> Option<u128> {
    let text = text.strip_prefix(b":").unwrap_or(text);
    let (mut groups, mut count, mut gap) = (0_u128, 0_u32, None);
    let (mut group, mut digits, mut start) = (0_u128, 0_u8, None);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b':' => {
                if digits > 0 {
                    (groups, count) = (groups << 16 | group, count + 1);
                } else if gap.replace(count).is_some() {
                    return None;
                }
                (group, digits, start) = (0, 0, Some(at + 1));
            }
            b'.' if digits > 0 => {
                let last = v4(text.get(start?..)?)?;
                return (count <= 6).then(|| spread(groups << 32 | u128::from(last), count + 2, gap))?;
            }
            _ => {
                group = group << 4 | u128::from(char::from(*byte).to_digit(16)?);
                digits += 1;
            }
        }
        if digits > 4 || count > 7 {
            return None;
        }
    }
    if digits == 0 && gap.is_none() {
        return None;
    }
    spread(groups << 16 | group, count + 1, gap)
}

/// Groups of an address, with zeros where a gap was after some of them.
fn spread(groups: u128, count: u32, gap: Option<u32>) -> Option<u128> {
    let Some(before) = gap else { return (count == 8).then_some(groups) };
    if count >= 8 {
        return None;
    }
    let after = 16 * (count - before);
    let low = u128::MAX.checked_shr(128 - after).unwrap_or(0);
    let high = groups.checked_shr(after).unwrap_or(0).checked_shl(128 - 16 * before).unwrap_or(0);
    Some(high | groups & low)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> Option<String> {
        Some(match Operand::read(text)? {
            Operand::All => "all".to_owned(),
            Operand::Unix => "unix".to_owned(),
            Operand::Network(network) => {
                let range = match network.range {
                    Range::V4((a, b)) => format!("{}-{}", Ipv4Addr::from(a), Ipv4Addr::from(b)),
                    Range::V6((a, b)) => format!("{}-{}", Ipv6Addr::from(a), Ipv6Addr::from(b)),
                };
                range + if network.has_host_bits { " !" } else { "" }
            }
        })
    }

    #[test]
    fn what_nginx_takes_is_taken() {
        for (text, wanted) in [
            ("all", "all"),
            ("unix:", "unix"),
            ("1.2.3.4", "1.2.3.4-1.2.3.4"),
            ("203.0.113.7/24", "203.0.113.0-203.0.113.255 !"),
            ("1.2.3.4/032", "1.2.3.4-1.2.3.4"),
            ("1.2.3.4/0", "0.0.0.0-255.255.255.255 !"),
            ("010.0.0.01", "10.0.0.1-10.0.0.1"),
            ("...", "0.0.0.0-0.0.0.0"),
            ("1..2.", "1.0.2.0-1.0.2.0"),
            ("1.2.3.4/000000000000008", "1.0.0.0-1.255.255.255 !"),
            ("::", "::-::"),
            ("::/0", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8-1:2:3:4:5:6:7:8"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8-0:2:3:4:5:6:7:8"),
            ("1::3:4:5:6:7:8", "1:0:3:4:5:6:7:8-1:0:3:4:5:6:7:8"),
            ("2001:DB8::1/32", "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff !"),
            ("::ffff:203.0.113.0/120", "::ffff:203.0.113.0-::ffff:203.0.113.255"),
            ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304-1:2:3:4:5:6:102:304"),
            ("1:2:3::1.2.3.4", "1:2:3::102:304-1:2:3::102:304"),
            ("::1...", "::100:0-::100:0"),
            (":1::2", "1::2-1::2"),
            ("::1:", "::1:0-::1:0"),
            ("1::2:", "1::2:0-1::2:0"),
            ("1::", "1::-1::"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_nginx_refuses_is_refused() {
        let texts = "255.255.255.255 255.255.255.255/24 1.2.3.4/ 1.2.3.4/+8 1.2.3.4/8x 1.2.3.4/33 1.2.3.4/4294967304 256.1.1.1 0256.1.1.1 \
            1.2.3.4.5 1.2.3 0/0 ::1/129 1::2::3 1:2:3:4:5:6:7:8:9 1:2:3:4:5:6:7:: ::1:2:3:4:5:6:7:8 1:2:3:4:5:6:7:8:: \
            1:2:3:4:5:6:7:1.2.3.4 ::1.2.3 ::1.2.3.4.5 00001:: 1: 1 ::g ::ffff:1.2.3.256 1.2.3.4:80 ::/ ::: ::1/128/1 ALL any unix unix:/ \
            1.2.3.4:: ::1.2.3.4:5 : ::ffff:0x1.2.3.4 1:2:3:4:5:6:7 -1.2.3.4 1.2.3.4-5 ::%1 [::1] localhost $x é";
        for text in texts.split_whitespace().chain(["", " 1.2.3.4", "1.2.3.4/8 "]) {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_rust_writes_is_read(v4 in any::<u32>(), v6 in any::<u128>(), keep in 0_u32..=128, zeros in any::<u128>()) {
            prop_assume!(v4 != u32::MAX);
            prop_assert_eq!(super::v4(Ipv4Addr::from(v4).to_string().as_bytes()), Some(v4));
            let v6 = v6 & zeros & !u128::MAX.checked_shr(keep).unwrap_or(0);
            prop_assert_eq!(super::v6(Ipv6Addr::from(v6).to_string().as_bytes()), Some(v6));
        }

        #[test]
        fn nothing_is_read_that_is_none(text in "[0-9a-f:./]{0,24}") {
            let (at, _) = text.split_once('/').unwrap_or((&text, ""));
            let known = at.parse::<Ipv6Addr>().ok();
            // nginx wants eight groups or a real gap.
            if let (Some(read), Some(known)) = (super::v6(at.as_bytes()), known) {
                prop_assert_eq!(read, u128::from(known));
            }
        }
    }
}
