//! Sorting intervals by their first address.

/// Below this many, comparing is quicker than counting.
const COUNTED_MIN: usize = 1024;

/// Values of the digit that one pass sorts by.
const DIGITS: usize = 2048;

/// How far to the right the digits are: three passes see all 32 bits.
const SHIFTS: [u32; 3] = [0, 11, 22];

/// Sorts by first address, in what order ever those of the same one.
///
/// A long list is sorted by counting, digit by digit from the lowest: each pass is one walk through memory,
/// and takes as long for any order that the list has.
pub(super) fn v4(spans: &mut Vec<(u32, u32)>) {
    if spans.len() < COUNTED_MIN || u32::try_from(spans.len()).is_err() {
        return spans.sort_unstable_by_key(|span| span.0);
    }
    let mut counts = vec![[0u32; DIGITS]; SHIFTS.len()];
    for (first, _) in spans.iter() {
        for (counts, shift) in counts.iter_mut().zip(SHIFTS) {
            if let Some(count) = counts.get_mut(digit(*first, shift)) {
                *count = count.wrapping_add(1);
            }
        }
    }
    let mut other = vec![(0, 0); spans.len()];
    for (counts, shift) in counts.iter_mut().zip(SHIFTS) {
        let mut place = 0u32;
        for count in counts.iter_mut() {
            (*count, place) = (place, place.wrapping_add(*count));
        }
        for span in spans.iter() {
            let Some(place) = counts.get_mut(digit(span.0, shift)) else { continue };
            // There are as many places as intervals, and each is counted once.
            if let Some(free) = usize::try_from(*place).ok().and_then(|place| other.get_mut(place)) {
                *free = *span;
            }
            *place = place.wrapping_add(1);
        }
        std::mem::swap(spans, &mut other);
    }
}

/// Sorts by first address, in what order ever those of the same one.
pub(super) fn v6(spans: &mut [(u128, u128)]) {
    // Parting by the highest bits first was tried: moving 32 bytes about costs what it saves.
    spans.sort_unstable_by_key(|span| span.0);
}

#[inline]
fn digit(number: u32, shift: u32) -> usize {
    usize::try_from(number.wrapping_shr(shift) & 2047).unwrap_or(0)
}
