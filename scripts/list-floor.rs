//! What reading, sorting, joining and printing IPv4 prefixes costs at the least: a yardstick for `scripts/bench-peers`.
//!
//! It believes every byte of its input: no faults, no IPv6, no ranges, no bounds. That is why it is no part of the
//! program, and why it may be `unsafe`.
//!
//!     rustc -C opt-level=3 -C lto=fat -C codegen-units=1 -C panic=abort scripts/list-floor.rs
//!     list-floor aggregate FILE      list-floor diff OLD NEW

use std::fs::File;
use std::io::{Read, Write};

const CHUNK: usize = 1 << 18;
const ROOM: usize = 64;

/// First address in the upper half, last address in the lower.
type Key = u64;

fn ends(key: Key) -> (u64, u64) {
    (key >> 32, key & 0xffff_ffff)
}

/// Bit n: byte n is below `0`, which in these lists are dots, slashes and ends of lines.
unsafe fn breaks(at: *const u8) -> u32 {
    let word = unsafe { at.cast::<u64>().read_unaligned() };
    let digits = word.wrapping_add(0x5050_5050_5050_5050) & 0x8080_8080_8080_8080;
    ((!digits & 0x8080_8080_8080_8080) >> 7).wrapping_mul(0x0102_0408_1020_4080).to_be_bytes()[0].into()
}

/// The number of so many digits before `end`.
unsafe fn number(end: *const u8, digits: u32) -> u32 {
    let word = unsafe { end.sub(4).cast::<u32>().read_unaligned() } & 0x0f0f_0f0f;
    let [_, hundreds, tens, ones] = (word & u32::MAX.wrapping_shl(32 - 8 * digits)).to_le_bytes();
    100 * u32::from(hundreds) + 10 * u32::from(tens) + u32::from(ones)
}

/// The line at `at`, and where the next one starts.
unsafe fn line(at: *const u8) -> (Key, *const u8) {
    unsafe {
        let mut left = breaks(at) | breaks(at.add(8)) << 8 | breaks(at.add(16)) << 16;
        let (mut address, mut start) = (0, 0);
        let mut end = 0;
        for _ in 0..4 {
            end = left.trailing_zeros();
            left &= left - 1;
            address = address << 8 | number(at.add(end as usize), end - start);
            start = end + 1;
        }
        let long = *at.add(end as usize) == b'/';
        let after = left.trailing_zeros();
        let length = if long { number(at.add(after as usize), after - start) } else { 32 };
        let host = (0xffff_ffff_u64 >> length) as u32;
        let next = if long { after } else { end };
        (u64::from(address) << 32 | u64::from(address | host), at.add(next as usize + 1))
    }
}

fn load(path: &str) -> Vec<Key> {
    let mut file = File::open(path).expect("a file");
    let mut buffer = vec![0u8; ROOM + CHUNK + ROOM];
    let (mut keys, mut held) = (Vec::new(), ROOM);
    loop {
        let got = file.read(&mut buffer[held..ROOM + CHUNK]).expect("bytes");
        if got == 0 {
            return keys;
        }
        let end = held + got;
        let cut = buffer[..end].iter().rposition(|byte| *byte == b'\n').expect("a line") + 1;
        keys.reserve(CHUNK / 8);
        unsafe {
            let (mut at, last) = (buffer.as_ptr().add(ROOM), buffer.as_ptr().add(cut));
            let mut free = keys.as_mut_ptr().add(keys.len());
            while at < last {
                let (key, next) = line(at);
                *free = key;
                free = free.add(1);
                at = next;
            }
            keys.set_len(free.offset_from(keys.as_ptr()) as usize);
        }
        buffer.copy_within(cut..end, ROOM);
        held = ROOM + end - cut;
    }
}

/// Sorted by first address, three digits of eleven bits, and joined.
fn set(mut keys: Vec<Key>) -> Vec<Key> {
    if !keys.is_sorted() {
        let mut other = vec![0; keys.len()];
        let mut counts = vec![[0u32; 2048]; 3];
        for key in &keys {
            for (pass, counts) in counts.iter_mut().enumerate() {
                counts[(key >> (32 + 11 * pass) & 2047) as usize] += 1;
            }
        }
        for (pass, counts) in counts.iter_mut().enumerate() {
            let mut place = 0;
            for count in counts.iter_mut() {
                (*count, place) = (place, place + *count);
            }
            for key in &keys {
                let free = &mut counts[(key >> (32 + 11 * pass) & 2047) as usize];
                unsafe { *other.get_unchecked_mut(*free as usize) = *key };
                *free += 1;
            }
            std::mem::swap(&mut keys, &mut other);
        }
    }
    keys.dedup_by(|key, open| {
        let joins = *key >> 32 <= (*open & 0xffff_ffff) + 1;
        if joins {
            *open = *open & !0xffff_ffff | (*key & 0xffff_ffff).max(*open & 0xffff_ffff);
        }
        joins
    });
    keys
}

struct Text {
    buffer: Vec<u8>,
    numbers: Vec<([u8; 4], u8)>,
}

impl Text {
    fn new() -> Self {
        let number = |number: u32| {
            let text = format!("{number}.");
            let mut bytes = [0; 4];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            (bytes, text.len() as u8)
        };
        Self { buffer: Vec::with_capacity(CHUNK + ROOM), numbers: (0..256).map(number).collect() }
    }

    /// Bytes of which so many count.
    fn put(&mut self, bytes: [u8; 4], count: u8) {
        unsafe {
            let end = self.buffer.len();
            self.buffer.as_mut_ptr().add(end).cast::<[u8; 4]>().write_unaligned(bytes);
            self.buffer.set_len(end + count as usize);
        }
    }

    fn interval(&mut self, (mut first, last): (u64, u64), sign: Option<u8>) {
        while first <= last {
            let bits = first.trailing_zeros().min(32).min((last - first + 1).ilog2());
            sign.into_iter().for_each(|sign| self.put([sign, 0, 0, 0], 1));
            for byte in (first as u32).to_be_bytes() {
                let (bytes, count) = self.numbers[byte as usize];
                self.put(bytes, count);
            }
            let dot = self.buffer.len() - 1;
            self.buffer.truncate(dot);
            let length = (32 - bits) as u8;
            let digits = [b'0' + length / 10, b'0' + length % 10];
            match length {
                32 => self.put(*b"\n   ", 1),
                10.. => self.put([b'/', digits[0], digits[1], b'\n'], 4),
                _ => self.put([b'/', digits[1], b'\n', 0], 3),
            }
            if self.buffer.len() > CHUNK {
                self.flush();
            }
            first += 1 << bits;
        }
    }

    fn flush(&mut self) {
        std::io::stdout().write_all(&self.buffer).expect("a reader");
        self.buffer.clear();
    }

    /// What `these` have and `others` lack.
    fn minus(&mut self, these: &[Key], others: &[Key], sign: u8) {
        let mut next = 0;
        for key in these {
            let (mut first, last) = ends(*key);
            while next < others.len() && ends(others[next]).1 < first {
                next += 1;
            }
            for cut in others[next..].iter().map(|key| ends(*key)).take_while(|cut| cut.0 <= last) {
                if first < cut.0 {
                    self.interval((first, cut.0 - 1), Some(sign));
                }
                first = cut.1 + 1;
            }
            self.interval((first, last), Some(sign));
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let old = set(load(&arguments[2]));
    let mut text = Text::new();
    if arguments[1] == "aggregate" {
        old.iter().for_each(|key| text.interval(ends(*key), None));
    } else {
        let new = set(load(&arguments[3]));
        text.minus(&old, &new, b'-');
        text.minus(&new, &old, b'+');
    }
    text.flush();
}
