//! Sets as text: the fewest prefixes, IPv4 first, ascending, one a line, single addresses without a length.

use std::io::{self, Write};
use std::iter::Peekable;
use std::net::{IpAddr, Ipv6Addr};

use crate::prefix::{Prefix, PrefixSet};

/// What is gathered before it is written.
const BUFFER: usize = 64 * 1024;

/// More than any line has.
const LINE: usize = 64;

/// Writes a set.
pub fn set(set: &PrefixSet, out: impl Write) -> io::Result<()> {
    let mut printer = Printer::new(out);
    for span in set.v4() {
        printer.v4(*span, b"")?;
    }
    for span in set.v6() {
        printer.v6(*span, b"")?;
    }
    printer.flush()
}

/// Writes what goes, after `-`, and what comes, after `+`, in the order of the addresses.
pub fn changes(removed: &PrefixSet, added: &PrefixSet, out: impl Write) -> io::Result<()> {
    let mut printer = Printer::new(out);
    for (span, sign) in Merged::new(removed.v4(), added.v4()) {
        printer.v4(span, sign)?;
    }
    for (span, sign) in Merged::new(removed.v6(), added.v6()) {
        printer.v6(span, sign)?;
    }
    printer.flush()
}

/// Two lists of intervals in one order, each interval with the sign of its list.
struct Merged<I: Iterator> {
    removed: Peekable<I>,
    added: Peekable<I>,
}

impl<I: Iterator> Merged<I> {
    fn new(removed: impl IntoIterator<IntoIter = I>, added: impl IntoIterator<IntoIter = I>) -> Self {
        Self { removed: removed.into_iter().peekable(), added: added.into_iter().peekable() }
    }
}

impl<'set, N: Copy + Ord + 'set, I: Iterator<Item = &'set (N, N)>> Iterator for Merged<I> {
    type Item = ((N, N), &'static [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let removed_first = match (self.removed.peek(), self.added.peek()) {
            (Some(removed), Some(added)) => removed < added,
            (found, _) => found.is_some(),
        };
        if removed_first {
            self.removed.next().map(|span| (*span, b"-".as_slice()))
        } else {
            self.added.next().map(|span| (*span, b"+".as_slice()))
        }
    }
}

/// Text on its way out.
struct Printer<W> {
    out: W,
    buffer: Vec<u8>,
    used: usize,
}

impl<W: Write> Printer<W> {
    fn new(out: W) -> Self {
        Self { out, buffer: vec![0; BUFFER + LINE], used: 0 }
    }

    /// Writes out what is gathered.
    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(self.buffer.get(..self.used).unwrap_or_default())?;
        self.used = 0;
        self.out.flush()
    }

    /// Makes room for a line, and begins it.
    #[inline]
    fn begin(&mut self, sign: &[u8]) -> io::Result<()> {
        if self.used > BUFFER {
            self.out.write_all(self.buffer.get(..self.used).unwrap_or_default())?;
            self.used = 0;
        }
        if let [sign] = sign {
            self.put([*sign], 1);
        }
        Ok(())
    }

    /// Puts bytes of which so many count; what follows overwrites the others.
    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        if let Some(place) = self.buffer.get_mut(self.used..).and_then(<[u8]>::first_chunk_mut) {
            *place = bytes;
            self.used = self.used.wrapping_add(count);
        }
    }

    /// The fewest prefixes of an interval.
    #[inline]
    fn v4(&mut self, (first, last): (u32, u32), sign: &[u8]) -> io::Result<()> {
        let mut start = first;
        loop {
            // A prefix starts at a multiple of its size, and ends where the interval does at the latest.
            let room = last.wrapping_sub(start);
            let fits = room.checked_add(1).map_or(32, u32::ilog2);
            let host_bits = start.trailing_zeros().min(fits);
            self.begin(sign)?;
            self.v4_line(start, host_bits);
            let size_less_one = u32::MAX.checked_shr(32u32.wrapping_sub(host_bits)).unwrap_or(0);
            if size_less_one == room {
                return Ok(());
            }
            start = start.wrapping_add(size_less_one).wrapping_add(1);
        }
    }

    #[inline]
    fn v4_line(&mut self, address: u32, host_bits: u32) {
        let [a, b, c, d] = address.to_be_bytes();
        self.octets(a, b);
        self.octets(c, d);
        // The dot after the last number goes.
        self.used = self.used.wrapping_sub(1);
        let (tail, count) =
            V4_TAILS.get(usize::try_from(host_bits).unwrap_or(0)).copied().unwrap_or_default();
        self.put(tail.to_le_bytes(), usize::from(count));
    }

    /// Two numbers, a dot after each.
    #[inline]
    fn octets(&mut self, a: u8, b: u8) {
        let (a, a_bits) = octet(a);
        let (b, b_bits) = octet(b);
        let text = u64::from(a) | u64::from(b).wrapping_shl(u32::from(a_bits));
        self.put(text.to_le_bytes(), usize::from(a_bits.wrapping_add(b_bits).wrapping_shr(3)));
    }

    /// The fewest prefixes of an interval.
    fn v6(&mut self, (first, last): (u128, u128), sign: &[u8]) -> io::Result<()> {
        let mut start = first;
        loop {
            let room = last.wrapping_sub(start);
            let fits = room.checked_add(1).map_or(128, u128::ilog2);
            let host_bits = start.trailing_zeros().min(fits);
            self.begin(sign)?;
            self.v6_line(start, host_bits);
            let size_less_one = u128::MAX.checked_shr(128u32.wrapping_sub(host_bits)).unwrap_or(0);
            if size_less_one == room {
                return Ok(());
            }
            start = start.wrapping_add(size_less_one).wrapping_add(1);
        }
    }

    fn v6_line(&mut self, address: u128, host_bits: u32) {
        if address.wrapping_shr(32) == 0xffff {
            return self.v4_mapped(address, host_bits);
        }
        let groups = address.to_be_bytes();
        let (groups, _) = groups.as_chunks::<2>();
        let (gap, gap_end) = longest_gap(groups);
        for (index, [high, low]) in (0u8..gap).zip(groups) {
            self.group(*high, *low, index);
        }
        if gap < gap_end {
            // The colon before the gap is there already, unless the text begins with it.
            self.put(*b"::", if gap == 0 { 2 } else { 1 });
        }
        for (index, [high, low]) in (gap_end..8).zip(groups.get(usize::from(gap_end)..).unwrap_or_default()) {
            self.group(*high, *low, index);
        }
        let (tail, count) =
            V6_TAILS.get(usize::try_from(host_bits).unwrap_or(0)).copied().unwrap_or_default();
        self.put(tail.to_le_bytes(), usize::from(count));
    }

    /// A group of hexadecimal digits without leading zeros, a colon after all but the last.
    #[inline]
    fn group(&mut self, high: u8, low: u8, index: u8) {
        let text = u32::from(hexadecimal(high)) | u32::from(hexadecimal(low)).wrapping_shl(16);
        let zeros = u16::from_be_bytes([high, low]).leading_zeros().wrapping_shr(2).min(3);
        let count = 4u32.wrapping_sub(zeros);
        let digits = u64::from(text.wrapping_shr(zeros.wrapping_mul(8)));
        let with_colon = digits | u64::from(b':').wrapping_shl(count.wrapping_mul(8));
        let shown = count.wrapping_add(u32::from(index < 7));
        self.put(with_colon.to_le_bytes(), usize::try_from(shown).unwrap_or(0));
    }

    /// An address that people write with dots; rare enough for the common form.
    fn v4_mapped(&mut self, address: u128, host_bits: u32) {
        let length = u8::try_from(128u32.wrapping_sub(host_bits)).unwrap_or(128);
        let prefix = Prefix::covering(IpAddr::V6(Ipv6Addr::from(address)), length);
        for byte in prefix.map(|prefix| format!("{}\n", prefix.short())).unwrap_or_default().bytes() {
            self.put([byte], 1);
        }
    }
}

/// Where the longest run of two or more zero groups starts and ends, the first of equals; both 8 without one.
#[inline]
fn longest_gap(groups: &[[u8; 2]]) -> (u8, u8) {
    let zeros =
        groups.iter().rev().fold(0u8, |zeros, group| zeros.wrapping_shl(1) | u8::from(*group == [0, 0]));
    GAPS.get(usize::from(zeros)).copied().unwrap_or((8, 8))
}

/// The answer of [`longest_gap`] by which groups are zero: bit n for group n.
static GAPS: [(u8, u8); 256] = {
    let mut table = [(8, 8); 256];
    let mut zeros = 0u8;
    loop {
        let (mut best, mut best_end, mut start, mut index, mut left) = (8u8, 8u8, 0u8, 0u8, zeros);
        while index < 8 {
            let end = index.wrapping_add(1);
            if left & 1 == 0 {
                start = end;
            } else if end.wrapping_sub(start) >= 2 && end.wrapping_sub(start) > best_end.wrapping_sub(best) {
                (best, best_end) = (start, end);
            }
            left = left.wrapping_shr(1);
            index = end;
        }
        #[expect(
            clippy::indexing_slicing,
            clippy::as_conversions,
            reason = "worked out by the compiler, which would refuse"
        )]
        {
            table[zeros as usize] = (best, best_end);
        }
        if zeros == 255 {
            break;
        }
        zeros = zeros.wrapping_add(1);
    }
    table
};

/// A number with a dot after it, and how many bits that text has.
#[inline]
pub(in crate::prefix) fn octet(number: u8) -> (u32, u8) {
    OCTETS.get(usize::from(number)).copied().unwrap_or_default()
}

/// Two hexadecimal digits.
#[inline]
fn hexadecimal(byte: u8) -> u16 {
    HEXADECIMAL.get(usize::from(byte)).copied().unwrap_or_default()
}

/// A digit as text.
const fn digit(number: u8) -> u8 {
    b'0'.wrapping_add(number)
}

static OCTETS: [(u32, u8); 256] = {
    let mut table = [(0, 0); 256];
    let mut number = 0u8;
    loop {
        let (hundreds, tens, ones) = (number / 100, number / 10 % 10, number % 10);
        #[expect(
            clippy::indexing_slicing,
            clippy::as_conversions,
            reason = "worked out by the compiler, which would refuse"
        )]
        {
            table[number as usize] = match number {
                0..=9 => (u32::from_le_bytes([digit(ones), b'.', 0, 0]), 16),
                10..=99 => (u32::from_le_bytes([digit(tens), digit(ones), b'.', 0]), 24),
                100..=255 => (u32::from_le_bytes([digit(hundreds), digit(tens), digit(ones), b'.']), 32),
            };
        }
        if number == 255 {
            break;
        }
        number = number.wrapping_add(1);
    }
    table
};

static HEXADECIMAL: [u16; 256] = {
    let digits = *b"0123456789abcdef";
    let mut table = [0; 256];
    let mut number = 0u8;
    loop {
        #[expect(
            clippy::indexing_slicing,
            clippy::as_conversions,
            reason = "worked out by the compiler, which would refuse"
        )]
        {
            let pair = [digits[(number >> 4) as usize], digits[(number & 15) as usize]];
            table[number as usize] = u16::from_le_bytes(pair);
        }
        if number == 255 {
            break;
        }
        number = number.wrapping_add(1);
    }
    table
};

/// Ends of lines by the number of host bits, and how many bytes they have.
static V4_TAILS: [(u64, u8); 33] = tails(32);

/// The same for IPv6.
static V6_TAILS: [(u64, u8); 129] = tails(128);

const fn tails<const N: usize>(bits: u8) -> [(u64, u8); N] {
    let mut table = [(0, 0); N];
    let mut host_bits = 0u8;
    while host_bits <= bits {
        let length = bits.wrapping_sub(host_bits);
        let (hundreds, tens, ones) = (length / 100, length / 10 % 10, length % 10);
        let tail = match (host_bits, length) {
            (0, _) => (u64::from_le_bytes([b'\n', 0, 0, 0, 0, 0, 0, 0]), 1),
            (_, 0..=9) => (u64::from_le_bytes([b'/', digit(ones), b'\n', 0, 0, 0, 0, 0]), 3),
            (_, 10..=99) => (u64::from_le_bytes([b'/', digit(tens), digit(ones), b'\n', 0, 0, 0, 0]), 4),
            (_, 100..=255) => {
                (u64::from_le_bytes([b'/', digit(hundreds), digit(tens), digit(ones), b'\n', 0, 0, 0]), 5)
            }
        };
        #[expect(
            clippy::indexing_slicing,
            clippy::as_conversions,
            reason = "worked out by the compiler, which would refuse"
        )]
        {
            table[host_bits as usize] = tail;
        }
        host_bits = host_bits.wrapping_add(1);
    }
    table
}
