//! Addresses that are not written as addresses are: with marks around their dots, spaces within, letters for digits.
//!
//! They are never read, only told as damaged: whoever reads past them has a list that lacks an entry.

use std::net::Ipv4Addr;

use super::{Found, What};

/// What is written for a dot so that nobody's program reads the address.
const DOTS: &[&str] = &["[.]", "(.)", "{.}", "[dot]", "(dot)", "{dot}", "[punkt]", "(punkt)"];

/// A disguised address in a line in which nothing else was found at its place.
pub(super) fn find(line: &str, found: &[Found]) -> Option<Found> {
    let free = |start: usize, end: usize| !found.iter().any(|one| one.start < end && start < one.end);
    let (start, end) =
        marked(line).or_else(|| spaced(line)).or_else(|| last_octet(line)).or_else(|| halved(line))?;
    free(start, end).then(|| Found {
        start,
        end,
        what: What::Near(line.get(start..end).unwrap_or_default().to_owned()),
    })
}

/// `192[.]0[.]2[.]1`.
fn marked(line: &str) -> Option<(usize, usize)> {
    if !line.contains(['[', '(', '{']) {
        return None;
    }
    let lower = line.to_ascii_lowercase();
    let places: Vec<(usize, &str)> = DOTS
        .iter()
        .flat_map(|mark| lower.match_indices(mark))
        .filter(|(at, mark)| {
            let bytes = lower.as_bytes();
            let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
            digit(at.checked_sub(1)) && digit(at.checked_add(mark.len()))
        })
        .collect();
    let start = places.iter().map(|(at, _)| *at).min()?;
    let end = places.iter().map(|(at, mark)| at + mark.len()).max()?;
    Some((start.saturating_sub(1), end + 1))
}

/// `192. 0. 2. 1`, and nothing else in the line.
fn spaced(line: &str) -> Option<(usize, usize)> {
    let is_part = |letter: char| letter.is_ascii_digit() || letter == '.' || letter == ' ';
    if !line.trim().contains(' ') || !line.chars().all(is_part) {
        return None;
    }
    let packed: String = line.chars().filter(|letter| *letter != ' ').collect();
    packed.parse::<Ipv4Addr>().ok().map(|_| (0, line.len()))
}

/// `.121`, and nothing else in the line: the end of an address whose start stands above.
fn last_octet(line: &str) -> Option<(usize, usize)> {
    let octet = line.trim().strip_prefix('.')?;
    let digits = (1..=3).contains(&octet.len()) && octet.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some((0, line.len()))
}

/// `198.51,100.1`: an address whose middle dot is another sign.
fn halved(line: &str) -> Option<(usize, usize)> {
    // Two octets and their dot have at most so many bytes.
    const HALF_MAX: usize = 7;
    let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let bytes = line.as_bytes();
    bytes.iter().enumerate().filter(|(_, byte)| matches!(byte, b',' | b' ')).find_map(|(at, _)| {
        let before =
            bytes.get(..at)?.iter().rev().take(HALF_MAX + 1).take_while(|byte| is_part(byte)).count();
        let behind = bytes.get(at + 1..)?.iter().take(HALF_MAX + 1).take_while(|byte| is_part(byte)).count();
        let (start, end) = (at - before, at + 1 + behind);
        let (first, last) = (line.get(start..at)?, line.get(at + 1..end)?.trim_end_matches('.'));
        let halves = [first, last].iter().all(|half| half.matches('.').count() == 1);
        let whole: Ipv4Addr = format!("{first}.{last}").parse().ok().filter(|_| halves)?;
        // Small numbers are versions and amounts.
        let large = whole.octets().iter().any(|octet| *octet >= 100);
        large.then_some((start, at + 1 + last.len()))
    })
}

/// Whether a word would be an address with digits in place of letters that look like them.
pub(super) fn is_lettered(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    let [_, _, _, last] = parts.as_slice() else { return false };
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let alike: String = word
        .chars()
        .map(|letter| match letter {
            'O' | 'o' => '0',
            'l' | 'I' | 'i' => '1',
            'S' => '5',
            'B' => '8',
            other => other,
        })
        .collect();
    if digits >= 4 && alike.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    // `192.0.2.nnn`
    let numbers = parts.iter().take(3).all(|part| part.parse::<u8>().is_ok());
    let first = last.chars().next().unwrap_or('0');
    numbers && digits >= 4 && "nNyYzZ#".contains(first) && last.chars().all(|letter| letter == first)
}

/// `192.0.2-3.1`: numbers, dots and dashes that are neither days nor addresses.
pub(super) fn is_dashed(parts: &[&str]) -> bool {
    let numeric =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let dots: usize = parts.iter().map(|part| part.matches('.').count()).sum();
    parts.len() > 1 && dots == 3 && parts.iter().all(numeric)
}
