//! The sources that a case is probed from: both sides of every boundary that its text names, addresses that
//! policies hold, and strangers.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of policies, and their neighbours.
const POLICY: [&str; 18] = [
    "91.132.170.0",
    "91.132.170.1",
    "91.132.170.2",
    "20.91.170.119",
    "20.91.170.120",
    "20.91.170.127",
    "20.91.170.128",
    "51.21.39.191",
    "51.21.39.192",
    "51.21.39.193",
    "13.50.187.51",
    "1.0.0.0",
    "223.255.255.255",
    "192.168.1.10",
    "2a10:a200::",
    "2a10:a200:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:4860::8888",
    "fd12::1",
];

/// At most so many of each family.
const BOUND: usize = 160;

/// A small generator of numbers (splitmix64), so that a seed means the same everywhere.
#[derive(Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// True so many times of a hundred.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// What to probe a text from.
pub(crate) fn of(text: &str) -> Vec<IpAddr> {
    let mut found = boundaries(text);
    found.extend(POLICY.iter().map(|address| address.parse::<IpAddr>().unwrap()));
    let mut dice = Dice(20_260_101);
    for _ in 0..16 {
        found.insert(Ipv4Addr::from(u32::try_from(dice.next() >> 32).unwrap()).into());
    }
    for _ in 0..8 {
        let low = u128::from(dice.next());
        // Within 2000::/3, where addresses are.
        found.insert(Ipv6Addr::from((0x2000_u128 << 112) | (u128::from(dice.next()) << 60) | low).into());
    }
    found.retain(|address| reaches_rules(*address));
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = found.into_iter().partition(IpAddr::is_ipv4);
    [thinned(v4, &mut dice), thinned(v6, &mut dice)].concat()
}

/// Some of many.
fn thinned(mut of: Vec<IpAddr>, dice: &mut Dice) -> Vec<IpAddr> {
    while of.len() > BOUND {
        let place = dice.below(of.len());
        of.swap_remove(place);
    }
    of
}

/// The ends of every address, prefix, masked address and range that a text names, and what lies beside them.
fn boundaries(text: &str) -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::new();
    for word in text.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/'))) {
        let (address, length) =
            word.split_once('/').map_or((word, None), |(left, right)| (left, Some(right)));
        // A port may follow an address in sets: only its own end is cut.
        let Ok(address) = address.trim_end_matches('.').parse::<IpAddr>() else { continue };
        let (bits, width) = number(address);
        let all = if width == 128 { u128::MAX } else { (1 << width) - 1 };
        let mask = match length {
            None => all,
            Some(dotted) if dotted.contains('.') || dotted.contains(':') => {
                dotted.parse::<IpAddr>().map_or(all, |mask| number(mask).0)
            }
            Some(digits) => match digits.parse::<u32>() {
                Ok(0) => 0,
                Ok(length) if length <= width => (all << (width - length)) & all,
                _ => all,
            },
        };
        let (first, last) = (bits & mask, bits | (all & !mask));
        for edge in
            [first.checked_sub(1), Some(first), Some(last), last.checked_add(1).filter(|it| *it <= all)]
        {
            found.extend(edge.map(|bits| address_of(bits, width)));
        }
        found.insert(address);
    }
    found
}

fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u32::from(v4).into(), 32),
        IpAddr::V6(v6) => (v6.into(), 128),
    }
}

fn address_of(bits: u128, width: u32) -> IpAddr {
    if width == 32 {
        Ipv4Addr::from(u32::try_from(bits).unwrap()).into()
    } else {
        Ipv6Addr::from(bits).into()
    }
}

/// Whether the kernel lets a packet from here come as far as the rules, and the answer go back to the caller.
fn reaches_rules(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let own =
                [20, 0, 0, 1] == v4.octets() || [20, 0, 1, 1] == v4.octets() || (first, second) == (172, 17);
            !(first == 0 || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast() || own)
        }
        IpAddr::V6(v6) => {
            let top = v6.segments();
            let own = top[..4] == [0xfd00, 0x17, 0, 0]
                || v6 == Ipv6Addr::new(0x2a00, 1, 0, 0, 0, 0, 0, 1)
                || v6 == Ipv6Addr::new(0x2a00, 2, 0, 0, 0, 0, 0, 1);
            let link = top[0] & 0xffc0 == 0xfe80;
            // ::/96 and ::ffff:0:0/96 hold IPv4 addresses, and the loopback.
            !(v6.is_multicast() || link || own || top[..6] == [0; 6] || v6.to_ipv4_mapped().is_some())
        }
    }
}
