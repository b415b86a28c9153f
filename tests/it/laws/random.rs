//! Allowlists by chance, the same for the same seed.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A source of chance.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 32) % bound
    }

    /// One of several.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    /// Prefixes that a policy may list, of one family or both: some are neighbours, some contain others.
    pub(crate) fn prefixes(&mut self) -> Vec<String> {
        let families = self.below(3);
        let mut found = BTreeSet::new();
        if families != 1 {
            for _ in 0..=self.below(12) {
                let first = *self.pick(&[13u32, 20, 51, 91, 151, 188]);
                let address = (first << 24) | u32::try_from(self.next() & 0x00ff_ffff).unwrap();
                let length = *self.pick(&[32u32, 32, 32, 31, 30, 29, 27, 24, 23, 17, 16]);
                let mask = u32::MAX << (32 - length);
                found.insert(format!("{}/{length}", Ipv4Addr::from(address & mask)));
                if length < 32 && self.below(3) == 0 {
                    // Its first half as well, or the whole by its other half.
                    found.insert(format!("{}/{}", Ipv4Addr::from(address & mask), length + 1));
                } else if length > 16 && self.below(3) == 0 {
                    let twin = (address & mask) ^ (1 << (32 - length));
                    found.insert(format!("{}/{length}", Ipv4Addr::from(twin)));
                }
            }
        }
        if families != 0 {
            for _ in 0..=self.below(8) {
                let low = (u128::from(self.next()) << 64) | u128::from(self.next());
                let address = ((0x2a00u128 + u128::from(self.below(16))) << 112) | (low >> 16);
                let length = *self.pick(&[128u32, 128, 127, 120, 64, 48, 33, 32]);
                let mask = u128::MAX << (128 - length);
                found.insert(format!("{}/{length}", Ipv6Addr::from(address & mask)));
                if length > 32 && self.below(3) == 0 {
                    let twin = (address & mask) ^ (1 << (128 - length));
                    found.insert(format!("{}/{length}", Ipv6Addr::from(twin)));
                }
            }
        }
        found.into_iter().collect()
    }
}
