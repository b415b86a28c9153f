//! Address space from which no provider on the internet can call.
//!
//! The blocks are those of the IANA special-purpose address registries (RFC 6890 and its updates).

use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;

use super::{Family, Prefix};

/// What a block of special address space is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// "No address" (RFC 1122, RFC 4291).
    Unspecified,
    /// Private networks (RFC 1918, RFC 4193) and carrier-grade NAT (RFC 6598).
    Private,
    /// The host itself.
    Loopback,
    /// One link only.
    LinkLocal,
    /// Groups.
    Multicast,
    /// Documentation and benchmarks (RFC 5737, RFC 3849, RFC 9637, RFC 2544).
    Documentation,
    /// Everything else that is not assigned to anybody.
    Reserved,
}

const BLOCKS: &[(&str, Space)] = &[
    ("0.0.0.0/32", Space::Unspecified),
    ("0.0.0.0/8", Space::Reserved),
    ("10.0.0.0/8", Space::Private),
    ("100.64.0.0/10", Space::Private),
    ("127.0.0.0/8", Space::Loopback),
    ("169.254.0.0/16", Space::LinkLocal),
    ("172.16.0.0/12", Space::Private),
    ("192.0.0.0/24", Space::Reserved),
    ("192.0.2.0/24", Space::Documentation),
    ("192.88.99.0/24", Space::Reserved),
    ("192.168.0.0/16", Space::Private),
    ("198.18.0.0/15", Space::Documentation),
    ("198.51.100.0/24", Space::Documentation),
    ("203.0.113.0/24", Space::Documentation),
    ("224.0.0.0/4", Space::Multicast),
    ("240.0.0.0/4", Space::Reserved),
    ("::/128", Space::Unspecified),
    ("::1/128", Space::Loopback),
    ("2001:2::/48", Space::Documentation),
    ("2001::/23", Space::Reserved),
    ("2001:db8::/32", Space::Documentation),
    ("2002::/16", Space::Reserved),
    ("3fff::/20", Space::Documentation),
    ("fc00::/7", Space::Private),
    ("fe80::/10", Space::LinkLocal),
    ("ff00::/8", Space::Multicast),
];

/// The only IPv6 space that is assigned to networks on the internet.
const GLOBAL_UNICAST: &str = "2000::/3";

static PARSED: LazyLock<Vec<(Prefix, Space)>> =
    LazyLock::new(|| BLOCKS.iter().filter_map(|(text, space)| Some((text.parse().ok()?, *space))).collect());
/// Which values of the first octet no IPv4 block has: most prefixes need no second look.
static CLEAR_OCTETS: LazyLock<[bool; 256]> = LazyLock::new(|| {
    let mut clear = [true; 256];
    for (block, _) in PARSED.iter() {
        if let (IpAddr::V4(first), IpAddr::V4(last)) = (block.first(), block.last()) {
            let touched = clear.get_mut(usize::from(first.octets()[0])..=usize::from(last.octets()[0]));
            touched.into_iter().flatten().for_each(|clear| *clear = false);
        }
    }
    clear
});
static GLOBAL: LazyLock<Option<Prefix>> = LazyLock::new(|| GLOBAL_UNICAST.parse().ok());

/// The special block that `prefix` lies in or reaches into, most particular first; `None` for global space.
#[inline]
pub fn special_space(prefix: &Prefix) -> Option<(Prefix, Space)> {
    if let IpNet::V4(net) = prefix.0
        && net.prefix_len() >= 8
        && CLEAR_OCTETS.get(usize::from(net.addr().octets()[0])) == Some(&true)
    {
        return None;
    }
    among_blocks(prefix)
}

fn among_blocks(prefix: &Prefix) -> Option<(Prefix, Space)> {
    let touched = |block: &Prefix| block.covers(prefix) || prefix.covers(block);
    if let Some(found) = PARSED.iter().find(|(block, _)| touched(block)) {
        return Some(*found);
    }
    let global = (*GLOBAL)?;
    let outside = prefix.family() == Family::V6 && !global.covers(prefix);
    outside.then_some((*prefix, Space::Reserved))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_readable() {
        assert_eq!(PARSED.len(), BLOCKS.len());
        assert!(GLOBAL.is_some());
    }

    #[test]
    fn special_space_is_told_apart() {
        for (text, wanted) in [
            ("0.0.0.0", Some(Space::Unspecified)),
            ("10.1.2.3", Some(Space::Private)),
            ("192.0.0.0/16", Some(Space::Reserved)),
            ("255.255.255.255", Some(Space::Reserved)),
            ("::", Some(Space::Unspecified)),
            ("fe80::1", Some(Space::LinkLocal)),
            ("64:ff9b::/96", Some(Space::Reserved)),
            ("8000::/3", Some(Space::Reserved)),
            ("51.21.32.255", None),
            ("2a10:a200::/29", None),
        ] {
            assert_eq!(special_space(&text.parse().unwrap()).map(|(_, space)| space), wanted, "{text}");
        }
    }
}
