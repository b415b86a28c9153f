//! Random hosts: rules composed from every construct that cases hold, the same from the same seed.
//!
//! A host made without constructs that may match is held to exact answers, the others to sound ones. A seed that fails is
//! kept as a case below `tests/fixtures/judge/seeds`.

mod nft;
mod tables;

use super::case::{Case, Loader};
use super::sources::Dice;

/// Addresses that overlap, touch and contain each other.
const V4: [&str; 12] = [
    "91.132.170.1",
    "91.132.170.0/30",
    "91.132.170.0/24",
    "91.132.170.128/25",
    "20.91.170.120/29",
    "20.91.170.127",
    "20.91.0.0/16",
    "51.21.39.192",
    "51.21.39.0/24",
    "0.0.0.0/1",
    "128.0.0.0/2",
    "192.168.0.0/16",
];
const V4_RANGES: [&str; 4] = [
    "91.132.170.2-91.132.170.9",
    "20.91.170.100-20.91.170.125",
    "51.21.39.190-51.21.39.200",
    "91.132.170.1-91.132.171.0",
];
const V4_SINGLE: [&str; 7] = [
    "91.132.170.1",
    "91.132.170.2",
    "91.132.170.129",
    "20.91.170.120",
    "20.91.170.127",
    "51.21.39.192",
    "192.168.1.10",
];
const V6: [&str; 7] = [
    "2a10:a200::/32",
    "2a10:a200:8000::/33",
    "2a10:a200::1",
    "2001:4860::8888",
    "2001:db8::/48",
    "2000::/3",
    "fd12::/16",
];

/// What is being made, and whether all of it can be decided.
struct Maker {
    dice: Dice,
    fuzzy: bool,
    /// Whether a table translates addresses: two that do so make the order matter.
    translators: u32,
}

impl Maker {
    fn chance(&mut self, percent: usize) -> bool {
        self.dice.chance(percent)
    }

    fn one(&mut self, of: &[&'static str]) -> &'static str {
        of[self.dice.below(of.len())]
    }

    /// A construct that nobody can decide from the rules.
    fn unknown(&mut self, text: &str) -> String {
        self.fuzzy = true;
        text.to_owned()
    }

    /// Some of many, at least one, each once.
    fn some(&mut self, of: &[&'static str], most: usize) -> Vec<&'static str> {
        let mut left = of.to_vec();
        let count = 1 + self.dice.below(most.min(of.len()));
        (0..count).map(|_| left.swap_remove(self.dice.below(left.len()))).collect()
    }
}

/// The host of a seed. Every fourth has the legacy back end.
pub(crate) fn case(seed: u64) -> Case {
    let mut maker = Maker { dice: Dice(seed), fuzzy: false, translators: 0 };
    let mut parts = Vec::new();
    let shape = maker.dice.below(100);
    let legacy = is_legacy(seed);
    let tables = legacy || shape < 45;
    let sets = if tables && maker.chance(45) { maker.sets() } else { String::new() };
    if tables {
        let set_names: &[&'static str] = if sets.is_empty() { &[] } else { &tables::SETS };
        let (four, six) = if legacy {
            (Loader::IptablesLegacy, Loader::Ip6tablesLegacy)
        } else {
            (Loader::Iptables, Loader::Ip6tables)
        };
        parts.push((four, maker.iptables(tables::Family::V4, set_names)));
        if maker.chance(40) {
            parts.push((six, maker.iptables(tables::Family::V6, &[])));
        }
    }
    if !tables || maker.chance(35) {
        parts.push((Loader::Nft, maker.nft()));
    }
    if !sets.is_empty() {
        parts.push((Loader::Ipset, sets));
    }
    let interface = if maker.chance(15) { "up1" } else { "up0" };
    let undecided = if maker.fuzzy || maker.translators > 1 { "may" } else { "none" };
    parts.sort();
    let head = format!("# tries: seed {seed}\n# undecided: {undecided}\n# interface: {interface}\n");
    parts[0].1.insert_str(0, &head);
    Case::new(&format!("seeds/{seed}"), parts).unwrap()
}

pub(crate) fn is_legacy(seed: u64) -> bool {
    seed.is_multiple_of(4)
}
