//! The quick reader of plain lines: `a.b.c.d` or an IPv6 address, a length or none, and the end of the line.
//!
//! It says what a line means, or nothing, and then the strict parser has the line. IPv4 is read eight
//! bytes at a time with no branch on the digits, which nobody can predict in a list of addresses.

/// Bytes that a buffer has before its first line, which are read and count for nothing.
pub(super) const FRONT: usize = 8;

/// Bytes that a buffer has after its last line.
pub(super) const BACK: usize = 64;

/// The bytes of a word, each with the same value.
const fn every(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Bit n: byte n of the word is no digit.
fn marks(bytes: [u8; 8]) -> u32 {
    // A digit becomes 0 to 9. Adding 0x76 carries into the top bit from 10 on, and never into the next byte.
    let digits = u64::from_le_bytes(bytes) ^ every(b'0');
    let above = ((digits & every(0x7f)).wrapping_add(every(0x76)) | digits) & every(0x80);
    // Each top bit is moved to its place in the top byte.
    let gathered = above.wrapping_shr(7).wrapping_mul(0x0102_0408_1020_4080);
    u32::from(gathered.to_be_bytes()[0])
}

/// How many bytes from the first on are a dot, a slash, a digit or a colon, which follow each other in ASCII.
#[inline]
pub(crate) fn address_bytes(bytes: [u8; 8]) -> usize {
    let word = u64::from_le_bytes(bytes);
    let low = word & every(0x7f);
    // Adding carries into the top bit from `.` on, and from `;` on; never into the next byte.
    let (from_dot, from_semicolon) =
        (low.wrapping_add(every(0x80 - b'.')), low.wrapping_add(every(0x80 - b';')));
    let outside = !(from_dot & !from_semicolon & !word) & every(0x80);
    usize::try_from(outside.trailing_zeros().wrapping_shr(3)).unwrap_or(0)
}

/// What a line has around it: the bytes before it, and all that its address and length can be.
type Window = [u8; FRONT + 32];

/// The number of as many digits as `length` says, which are the last bytes of the word; and 1 where it is anything
/// else: empty, longer, above `most`, or with a leading zero. `most` has a byte for each of its digits.
#[inline]
fn decimal(word: u32, length: u32, most: u32) -> (u32, u32) {
    let bits = length.wrapping_mul(8);
    let digits = (word ^ 0x3030_3030) & u32::MAX.wrapping_shl(32u32.wrapping_sub(bits));
    // The top byte of the product: ones, ten times tens, and a hundred times hundreds.
    let value = digits.wrapping_mul(0x0064_0a01).wrapping_shr(24);
    // A byte for each digit orders numbers of as many digits.
    let ordered = digits.swap_bytes();
    // 0, 10 or 100.
    let least = 1u32.wrapping_shl(bits.wrapping_sub(8)) & !0xff;
    // Sums of flags instead of `||`, here and below: a branch for each would be guessed wrong too often.
    let wrong =
        u32::from(ordered < least) | u32::from(ordered > most) | u32::from(length.wrapping_sub(1) > 2);
    (value, wrong)
}

/// 255, 128 and 32, a byte for each digit.
const OCTET_MOST: u32 = 0x0002_0505;
const V6_MOST: u32 = 0x0001_0208;
const V4_MOST: u32 = 0x0000_0302;

/// The same for the digits that end before `end` of the line.
#[inline]
fn number(window: &Window, end: u32, length: u32, most: u32) -> Option<(u32, u32)> {
    let start = usize::try_from(end).ok()?.wrapping_add(FRONT - 4);
    let word: [u8; 4] = *window.get(start..)?.first_chunk()?;
    Some(decimal(u32::from_le_bytes(word), length, most))
}

/// Reads a word of 8 to 15 bytes that is an IPv4 address and nothing else.
#[inline]
pub(super) fn v4_word(text: &[u8]) -> Option<u32> {
    let (head, tail) = (*text.first_chunk::<8>()?, *text.last_chunk::<8>()?);
    let length = u32::try_from(text.len()).ok().filter(|length| *length < 16)?;
    // Bytes beyond the word are zero.
    let tail = u64::from_le_bytes(tail).checked_shr(128u32.wrapping_sub(length.wrapping_mul(8))).unwrap_or(0);
    let all = u128::from(tail).wrapping_shl(64) | u128::from(u64::from_le_bytes(head));
    let left = marks(head) | marks(tail.to_le_bytes()).wrapping_shl(8);
    // The places of the first three bytes that are no digits; 32 where there is none.
    let place = |left: u32| (left.trailing_zeros(), left & left.wrapping_sub(1));
    let (first, left) = place(left);
    let (second, left) = place(left);
    let (third, left) = place(left);
    let digits = |from: u32, to: u32| {
        // The four bytes before its end, the lowest first.
        let [a, b, c, d, ..] = all.rotate_right(to.wrapping_mul(8).wrapping_sub(32)).to_le_bytes();
        decimal(u32::from_le_bytes([a, b, c, d]), to.wrapping_sub(from), OCTET_MOST)
    };
    let parts = [
        digits(0, first),
        digits(first.wrapping_add(1), second),
        digits(second.wrapping_add(1), third),
        digits(third.wrapping_add(1), length),
    ];
    let dot = |place: u32| all.checked_shr(place.wrapping_mul(8)).unwrap_or(0) & 0xff ^ u128::from(b'.');
    let dots = dot(first) | dot(second) | dot(third);
    // What follows the third dot are digits up to the end.
    let after = u32::from(left.trailing_zeros() < length);
    let address = parts.iter().fold(0u32, |address, (number, _)| address.wrapping_shl(8) | number);
    let wrong = parts.iter().fold(after, |wrong, (_, one)| wrong | one);
    (wrong == 0 && dots == 0).then_some(address)
}

/// Reads an IPv4 prefix at `at` that ends with this byte: first and last address, and what comes after the byte.
#[inline]
pub(super) fn v4<const END: u8>(buffer: &[u8], at: usize) -> Option<((u32, u32), usize)> {
    let window: &Window = buffer.get(at.checked_sub(FRONT)?..)?.first_chunk()?;
    let ([_, first, second, ..], []) = window.as_chunks::<8>() else { return None };
    // Bits that are always set tell the compiler that every place is inside the window.
    let beyond = 0xffff_0000;
    let mut left = marks(*first) | marks(*second).wrapping_shl(8) | beyond;
    // The places of the first four bytes that are no digits.
    let mut next = || {
        let place = left.trailing_zeros();
        left = left & left.wrapping_sub(1) | beyond;
        place
    };
    let (first, second, third, end) = (next(), next(), next(), next());
    let byte = |place: u32| window.get(usize::try_from(place).ok()?.wrapping_add(FRONT)).copied();
    // Told at once, because lists of IPv6 come this way.
    if byte(first)? != b'.' {
        return None;
    }
    let field = |from: u32, to: u32| number(window, to, to.wrapping_sub(from).wrapping_sub(1), OCTET_MOST);
    let parts = [
        number(window, first, first, OCTET_MOST)?,
        field(first, second)?,
        field(second, third)?,
        field(third, end)?,
    ];
    let dots = (byte(second)? ^ b'.') | (byte(third)? ^ b'.');
    let address = parts.iter().fold(0u32, |address, (number, _)| address.wrapping_shl(8) | number);
    let wrong = parts.iter().fold(u32::from(dots), |wrong, (_, one)| wrong | one);
    // Most lists are of single addresses, or of none.
    let (bits, end) = match byte(end)? {
        _ if wrong != 0 => return None,
        after if after == END => (32, end),
        b'/' => digits(window, end.wrapping_add(1), V4_MOST).filter(|(_, end)| byte(*end) == Some(END))?,
        _ => return None,
    };
    let host = u32::MAX.checked_shr(bits).unwrap_or(0);
    if address & host != 0 {
        return None;
    }
    Some(((address, address | host), at.wrapping_add(usize::try_from(end).ok()?).wrapping_add(1)))
}

/// The number of one to three digits that starts at this place, and where it ends.
#[inline]
fn digits(window: &Window, start: u32, most: u32) -> Option<(u32, u32)> {
    let digits = window.get(usize::try_from(start).ok()?.wrapping_add(FRONT)..)?.first_chunk()?;
    let count = (marks(*digits) | 0x10).trailing_zeros();
    let end = start.wrapping_add(count);
    let (value, wrong) = number(window, end, count, most)?;
    (wrong == 0).then_some((value, end))
}

/// The group of at most four hexadecimal digits at `at`, and how many digits it has.
#[inline]
fn group(buffer: &[u8], at: usize) -> Option<(u128, u32)> {
    let word = u64::from_le_bytes(*buffer.get(at..)?.first_chunk()?);
    // A letter of either case becomes 1 to 6; as in `marks`, adding carries into the top bit and no further.
    let letters = (word | every(0x20)) ^ every(0x60);
    let low = letters & every(0x7f);
    let is_letter = low.wrapping_add(every(0x7f)) & !low.wrapping_add(every(0x79)) & !letters;
    let digits = word ^ every(b'0');
    let is_digit = !((digits & every(0x7f)).wrapping_add(every(0x76)) | digits);
    let others = !(is_letter | is_digit) & every(0x80) | 0x80_0000_0000;
    let count = others.trailing_zeros().wrapping_shr(3);
    // `a` is 0x61: its low half is 1, and bit 6 says that it is a letter.
    let nine = word.wrapping_shr(6) & every(1);
    let values = (word & every(0x0f)).wrapping_add(nine.wrapping_mul(9));
    // The digits that count, the last one lowest, a byte each; then halves are joined twice.
    let [a, b, c, d, ..] = values.to_le_bytes();
    let spread =
        u64::from(u32::from_be_bytes([a, b, c, d])).wrapping_shr(32u32.wrapping_sub(count.wrapping_mul(8)));
    let pairs = (spread | spread.wrapping_shr(4)) & 0x00ff_00ff;
    let value = (pairs | pairs.wrapping_shr(8)) & 0xffff;
    Some((u128::from(value), count))
}

/// Reads an IPv6 line at `at`: first and last address, and where the next line starts.
///
/// An IPv4 address in IPv6 clothes is left to the strict parser.
#[inline]
pub(super) fn v6(buffer: &[u8], mut at: usize) -> Option<((u128, u128), usize)> {
    let byte = |at: usize| buffer.get(at).copied().unwrap_or(0);
    let (mut address, mut groups, mut gap) = (0u128, 0u32, None::<u32>);
    if byte(at) == b':' {
        at = at.wrapping_add(1);
        (byte(at) == b':').then_some(())?;
        gap = Some(0);
        at = at.wrapping_add(1);
    }
    loop {
        let (value, digits) = group(buffer, at)?;
        if digits == 0 {
            // Nothing may follow the gap; anything else would need a group here.
            (gap == Some(groups)).then_some(())?;
            break;
        }
        address = address.wrapping_shl(16) | value;
        groups = groups.wrapping_add(1);
        at = at.wrapping_add(usize::try_from(digits).ok()?);
        if byte(at) != b':' {
            break;
        }
        (groups < 8).then_some(())?;
        at = at.wrapping_add(1);
        if byte(at) == b':' {
            gap.is_none().then_some(())?;
            gap = Some(groups);
            at = at.wrapping_add(1);
        }
    }
    match gap {
        None => (groups == 8).then_some(())?,
        // The groups after the gap stand at the end; those before it move up by as many as are left out.
        Some(before) => {
            (groups < 8).then_some(())?;
            let after_bits = groups.wrapping_sub(before).wrapping_mul(16);
            let out_bits = 8u32.wrapping_sub(groups).wrapping_mul(16);
            let after = address & u128::MAX.checked_shl(after_bits).map_or(u128::MAX, |mask| !mask);
            address = (address ^ after).checked_shl(out_bits).unwrap_or(0) | after;
        }
    }
    let (bits, end) = length(buffer, at)?;
    let host = u128::MAX.checked_shr(bits).unwrap_or(0);
    let mapped = address.wrapping_shr(32) == 0xffff;
    if byte(end) != b'\n' || address & host != 0 || mapped {
        return None;
    }
    Some(((address, address | host), end.wrapping_add(1)))
}

/// The length at `at` where a slash is, 128 otherwise; and where the text ends.
#[inline]
fn length(buffer: &[u8], at: usize) -> Option<(u32, usize)> {
    if buffer.get(at) != Some(&b'/') {
        return Some((128, at));
    }
    let start = at.wrapping_add(1);
    let window: &Window = buffer.get(start.checked_sub(FRONT)?..)?.first_chunk()?;
    let (value, end) = digits(window, 0, V6_MOST)?;
    Some((value, start.wrapping_add(usize::try_from(end).ok()?)))
}
