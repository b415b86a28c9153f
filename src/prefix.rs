//! Prefixes: canonical network addresses with their length, and sets of addresses.
//!
//! A [`Prefix`] has no host bits, so two prefixes are equal when they cover the same addresses.
//! Reading is strict where other readers are kind: leading zeros, host bits, and IPv4 addresses in IPv6
//! clothes are errors that name what was probably meant.
#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]

pub(crate) mod cursor;
pub(crate) mod first;
pub mod list;
pub mod set;
pub(crate) mod span;
mod special;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use list::octet;
pub use set::PrefixSet;
pub use special::{Space, special_space};

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// Both, IPv4 first.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// Bits in an address.
    pub fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// The name in identifiers and file names: `v4` or `v6`.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::V4 => "v4",
            Family::V6 => "v6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// A network address without host bits, and its length; a single address is a /32 or a /128.
///
/// Prefixes order by family, then address, then length, so a covering prefix comes before what it covers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(IpNet);

/// Prefixes in a line, at most `most` of them.
pub fn listed(all: &[Prefix], most: usize) -> String {
    let shown: Vec<String> = all.iter().take(most).map(|prefix| prefix.short().to_string()).collect();
    let more = all.len().saturating_sub(most);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &tail
}

/// Why a text is no [`Prefix`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Bits are set to the right of the length.
    #[error("prefix `{given}` has host bits set")]
    HostBits {
        /// The text as given.
        given: String,
        /// The prefix of that length that covers the address.
        meant: Prefix,
        /// The single address itself.
        address: Prefix,
    },
    /// A number starts with a zero, which some tools read as octal.
    #[error("`{given}` has a number with a leading zero")]
    LeadingZeros {
        /// The text as given.
        given: String,
        /// The same without leading zeros, where that is a prefix.
        decimal: Option<Prefix>,
    },
    /// An IPv4-mapped IPv6 address, which no packet on the wire carries.
    #[error("`{given}` is an IPv4 address written as IPv6")]
    V4Mapped {
        /// The text as given.
        given: String,
        /// The IPv4 prefix, where the length leaves one.
        meant: Option<Prefix>,
    },
    /// A host name.
    #[error("`{0}` is a host name, not an address")]
    HostName(String),
    /// A length that the family does not have.
    #[error("length of `{given}` is above {bits_max}")]
    LengthTooLong {
        /// The text as given.
        given: String,
        /// The longest length of the family.
        bits_max: u8,
    },
    /// A from–to range, a wildcard or a netmask.
    #[error("`{0}` is a range or a mask, not a prefix")]
    OtherNotation(String),
    /// Anything else.
    #[error("`{0}` is not an address or prefix")]
    Unreadable(String),
}

impl Prefix {
    /// The prefix of one address.
    pub fn single(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }

    /// The prefix of this length that covers `address`; `None` where the family has no such length.
    pub fn covering(address: IpAddr, length: u8) -> Option<Self> {
        IpNet::new(address, length).ok().map(|net| Self(net.trunc()))
    }

    /// The prefix of exactly the addresses from the first to the last, where there is one.
    pub fn between(first: IpAddr, last: IpAddr) -> Option<Self> {
        let shared = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => (u32::from(first) ^ u32::from(last)).leading_zeros(),
            (IpAddr::V6(first), IpAddr::V6(last)) => (v6_number(first) ^ v6_number(last)).leading_zeros(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        };
        let prefix = Self::covering(first, u8::try_from(shared).ok()?)?;
        (prefix.first() == first && prefix.last() == last).then_some(prefix)
    }

    /// Its family.
    pub fn family(&self) -> Family {
        match self.0 {
            IpNet::V4(_) => Family::V4,
            IpNet::V6(_) => Family::V6,
        }
    }

    /// Its length in bits.
    pub fn length(&self) -> u8 {
        self.0.prefix_len()
    }

    /// The first address it covers, which is its network address.
    pub fn first(&self) -> IpAddr {
        // It has no host bits.
        self.0.addr()
    }

    /// The last address it covers.
    pub fn last(&self) -> IpAddr {
        self.0.broadcast()
    }

    /// Whether it covers one address only.
    pub fn is_single(&self) -> bool {
        self.length() == self.family().bits()
    }

    /// Whether every address of `other` is covered by this prefix.
    pub fn covers(&self, other: &Prefix) -> bool {
        let differ = match (self.0, other.0) {
            (IpNet::V4(own), IpNet::V4(other)) => {
                (u32::from(own.addr()) ^ u32::from(other.addr())).leading_zeros()
            }
            (IpNet::V6(own), IpNet::V6(other)) => {
                (v6_number(own.addr()) ^ v6_number(other.addr())).leading_zeros()
            }
            (IpNet::V4(_), IpNet::V6(_)) | (IpNet::V6(_), IpNet::V4(_)) => return false,
        };
        self.length() <= other.length() && u32::from(self.length()) <= differ
    }

    /// Whether `address` is covered by this prefix.
    pub fn contains(&self, address: &IpAddr) -> bool {
        self.0.contains(address)
    }

    /// The prefix twice as wide whose halves are this prefix and `other`, where there is one.
    pub fn joined(&self, other: &Prefix) -> Option<Prefix> {
        let wider = Prefix::covering(self.first(), self.length().checked_sub(1)?)?;
        let halves = self.length() == other.length() && self != other;
        (halves && wider.covers(other)).then_some(wider)
    }

    /// The address alone where it is single, else address and length: how people write it.
    pub fn short(&self) -> Short {
        Short(*self)
    }

    #[cfg(test)]
    pub(crate) fn net(&self) -> IpNet {
        self.0
    }
}

impl From<Ipv4Net> for Prefix {
    fn from(net: Ipv4Net) -> Self {
        Self(IpNet::V4(net.trunc()))
    }
}

impl From<Ipv6Net> for Prefix {
    fn from(net: Ipv6Net) -> Self {
        Self(IpNet::V6(net.trunc()))
    }
}

/// Always with the length: `192.0.2.1/32`.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first() {
            IpAddr::V4(v4) => f.write_str(Dotted::new(v4, Some(self.length())).as_str()),
            IpAddr::V6(v6) => write!(f, "{v6}/{}", self.length()),
        }
    }
}

/// An IPv4 address as text, written by hand: renderings of long lists are made of little else.
struct Dotted {
    bytes: [u8; 20],
    length: usize,
}

impl Dotted {
    fn new(address: Ipv4Addr, length: Option<u8>) -> Self {
        let (mut text, mut bits) = (0_u128, 0_u8);
        for number in address.octets() {
            let (with_dot, more) = octet(number);
            text |= u128::from(with_dot).wrapping_shl(bits.into());
            bits = bits.saturating_add(more);
        }
        let mut dotted = Self { bytes: [0; 20], length: usize::from(bits.wrapping_shr(3)) };
        dotted.put(0, text.to_le_bytes());
        // The dot after the last number goes.
        dotted.length = dotted.length.saturating_sub(1);
        if let Some(length) = length {
            let (with_dot, bits) = octet(length);
            let tail = u64::from(with_dot).wrapping_shl(8) | u64::from(b'/');
            let [a, b, c, d, ..] = tail.to_le_bytes();
            dotted.put(dotted.length, [a, b, c, d]);
            dotted.length = dotted.length.saturating_add(usize::from(bits.wrapping_shr(3)));
        }
        dotted
    }

    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        if let Some(place) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *place = bytes;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn as_str(&self) -> &str {
        // Digits, dots and a slash: always UTF-8.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A prefix shown without the length of a single address.
#[derive(Debug, Clone, Copy)]
pub struct Short(Prefix);

impl Short {
    /// Adds its text to other text, faster than by formatting.
    pub(crate) fn push_to(self, text: &mut Vec<u8>) {
        match self.0.first() {
            IpAddr::V4(v4) => {
                let length = (!self.0.is_single()).then(|| self.0.length());
                text.extend_from_slice(Dotted::new(v4, length).as_bytes());
            }
            IpAddr::V6(_) => text.extend_from_slice(self.to_string().as_bytes()),
        }
    }
}

impl Prefix {
    /// Hands on its text, faster than by formatting.
    pub(crate) fn with_text<T>(&self, take: impl FnOnce(&str) -> T) -> T {
        match self.first() {
            IpAddr::V4(v4) => take(Dotted::new(v4, Some(self.length())).as_str()),
            IpAddr::V6(_) => take(&self.to_string()),
        }
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.first() {
            IpAddr::V4(v4) if self.0.is_single() => f.write_str(Dotted::new(v4, None).as_str()),
            IpAddr::V6(v6) if self.0.is_single() => write!(f, "{v6}"),
            IpAddr::V4(_) | IpAddr::V6(_) => self.0.fmt(f),
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// Reads `a.b.c.d`, `a.b.c.d/len` or the same for IPv6, strictly.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        // Long lists are mostly of these.
        list::plain(text).map_or_else(|| Self::read(text), Ok)
    }
}

impl Prefix {
    /// Reads whatever it may be, and tells what is wrong with it.
    fn read(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let Ok(ip) = address.parse::<IpAddr>() else { return Err(explain_address(text, address)) };
        let bits_max = if ip.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => bits_max,
            Some(digits) => parse_length(text, digits, bits_max)?,
        };
        if let IpAddr::V6(v6) = ip
            && let Some(v4) = v6.to_ipv4_mapped()
        {
            let meant = length.checked_sub(96).and_then(|length| Prefix::covering(IpAddr::V4(v4), length));
            return Err(PrefixError::V4Mapped { given: text.to_owned(), meant });
        }
        let unreadable = || PrefixError::Unreadable(text.to_owned());
        let prefix = Prefix::covering(ip, length).ok_or_else(unreadable)?;
        if prefix.first() == ip {
            return Ok(prefix);
        }
        Err(PrefixError::HostBits { given: text.to_owned(), meant: prefix, address: Prefix::single(ip) })
    }
}

fn parse_length(text: &str, digits: &str, bits_max: u8) -> Result<u8, PrefixError> {
    if digits.contains('.') {
        return Err(PrefixError::OtherNotation(text.to_owned()));
    }
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PrefixError::Unreadable(text.to_owned()));
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err(leading_zeros(text));
    }
    match digits.parse::<u8>() {
        Ok(length) if length <= bits_max => Ok(length),
        _ => Err(PrefixError::LengthTooLong { given: text.to_owned(), bits_max }),
    }
}

/// Tells what a text that is no address looks like, so that the message can say what to write.
fn explain_address(text: &str, address: &str) -> PrefixError {
    let numeric = |c: char| c.is_ascii_digit() || c == '.';
    if !address.is_empty() && address.chars().all(numeric) && strip_zeros(address).parse::<Ipv4Addr>().is_ok()
    {
        return leading_zeros(text);
    }
    let ranged = |c: char| c.is_ascii_hexdigit() || ".:-–—* ".contains(c);
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    if has_digit && text.chars().all(ranged) && text.contains(['-', '–', '—', '*']) {
        return PrefixError::OtherNotation(text.to_owned());
    }
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let host = address.strip_suffix('.').unwrap_or(address);
    let lettered = host.bytes().any(|byte| byte.is_ascii_alphabetic());
    if lettered && host.len() <= 253 && host.split('.').all(label) {
        return PrefixError::HostName(text.to_owned());
    }
    PrefixError::Unreadable(text.to_owned())
}

fn leading_zeros(text: &str) -> PrefixError {
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let plain = if length.is_empty() {
        strip_zeros(address)
    } else {
        format!("{}/{}", strip_zeros(address), strip_zeros(length))
    };
    let decimal = if plain == text { None } else { plain.parse().ok() };
    PrefixError::LeadingZeros { given: text.to_owned(), decimal }
}

fn strip_zeros(dotted: &str) -> String {
    let stripped = dotted.split('.').map(|number| match number.trim_start_matches('0') {
        "" if !number.is_empty() => "0",
        rest => rest,
    });
    stripped.collect::<Vec<_>>().join(".")
}

/// The address as a number, for interval arithmetic.
pub(crate) fn v6_number(address: Ipv6Addr) -> u128 {
    u128::from(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> PrefixError {
        text.parse::<Prefix>().unwrap_err()
    }

    #[test]
    fn canonical_texts_are_read() {
        for (text, shown) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("20.91.170.120/29", "20.91.170.120/29"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:DB8::", "2001:db8::/128"),
            ("2001:db8:0:0:0:0:0:0/32", "2001:db8::/32"),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn host_bits_name_what_was_meant() {
        let PrefixError::HostBits { meant, address, .. } = error("10.0.0.1/24") else { panic!() };
        assert_eq!((meant.to_string(), address.to_string()), ("10.0.0.0/24".into(), "10.0.0.1/32".into()));
    }

    #[test]
    fn each_kind_of_bad_text_has_its_own_error() {
        assert!(matches!(error("010.0.0.0/8"), PrefixError::LeadingZeros { decimal: Some(_), .. }));
        assert!(matches!(error("10.0.0.0/08"), PrefixError::LeadingZeros { decimal: Some(_), .. }));
        assert!(matches!(error("::ffff:1.2.3.4"), PrefixError::V4Mapped { meant: Some(_), .. }));
        assert!(matches!(error("::ffff:0:0/96"), PrefixError::V4Mapped { .. }));
        assert!(matches!(error("callback-1.vipps.no"), PrefixError::HostName(_)));
        assert!(matches!(error("10.0.0.0/33"), PrefixError::LengthTooLong { bits_max: 32, .. }));
        assert!(matches!(error("20.91.170.120–127"), PrefixError::OtherNotation(_)));
        assert!(matches!(error("192.121.110.*"), PrefixError::OtherNotation(_)));
        assert!(matches!(error("10.0.0.0/255.0.0.0"), PrefixError::OtherNotation(_)));
        for text in
            ["", "/", "10.0.0.0/", "10.0.0/8", "91.220.121./25", "1.2.3.4/+8", "1.2.3.4 ", "fe80::1%eth0"]
        {
            let found = error(text);
            assert!(matches!(found, PrefixError::Unreadable(_)), "{text}: {found:?}");
        }
    }

    #[test]
    fn ends_make_a_prefix_where_they_are_one_s() {
        for text in ["0.0.0.0/0", "192.0.2.0/31", "192.0.2.1/32", "::/0", "2001:db8::/33", "::1/128"] {
            let prefix: Prefix = text.parse().unwrap();
            assert_eq!(Prefix::between(prefix.first(), prefix.last()), Some(prefix), "{text}");
        }
        for (first, last) in [
            ("192.0.2.1", "192.0.2.2"),
            ("192.0.2.0", "192.0.2.2"),
            ("192.0.2.1", "192.0.2.0"),
            ("0.0.0.0", "::"),
        ] {
            assert_eq!(Prefix::between(first.parse().unwrap(), last.parse().unwrap()), None, "{first}");
        }
    }

    #[test]
    fn halves_join_and_others_do_not() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        assert_eq!(prefix("10.0.0.0/25").joined(&prefix("10.0.0.128/25")), Some(prefix("10.0.0.0/24")));
        assert_eq!(prefix("10.0.0.128/25").joined(&prefix("10.0.1.0/25")), None);
        assert_eq!(prefix("0.0.0.0/0").joined(&prefix("0.0.0.0/0")), None);
    }
}
