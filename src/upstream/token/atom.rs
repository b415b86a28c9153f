//! One word without dashes: an address, a prefix, a wildcard, a number, or damage.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::disguise::is_lettered;
use super::{Form, Span};
use crate::prefix::Prefix;

/// What a word is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Atom {
    /// Addresses.
    Span(Span),
    /// A number that fits an octet or a port.
    Number(u32),
    /// A length by itself: `/24`.
    Length(String),
    /// Damage, and why.
    Damaged(String),
    /// Damage where addresses are expected.
    Near,
    /// An address that is called.
    Endpoint,
    /// Nothing of interest.
    Plain,
}

/// What a word is.
pub(super) fn atom(word: &str) -> Atom {
    let word = word.replace('\\', "");
    let word = word.as_str();
    if word.is_empty() || !word.contains(|letter: char| letter.is_ascii_digit() || letter == '*') {
        return Atom::Plain;
    }
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return match word.parse() {
            Ok(number) if word.len() <= 5 => Atom::Number(number),
            _ if (8..=12).contains(&word.len()) => Atom::Near,
            _ => Atom::Plain,
        };
    }
    if let Some(length) = word.strip_prefix('/').filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Atom::Length(length.to_owned());
    }
    if word.matches(':').count() >= 2 {
        return v6(word);
    }
    let (head, tail) = word.split_once('/').map_or((word, None), |(head, tail)| (head, Some(tail)));
    let parts: Vec<&str> = head.split('.').collect();
    let numeric = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = parts.iter().filter(|part| numeric(part)).count();
    if numbers == parts.len() {
        return dotted(word, &parts, tail);
    }
    if let Some(span) = wildcard(&parts).filter(|_| tail.is_none()) {
        return Atom::Span(span);
    }
    let marks = head.chars().all(|letter| letter.is_ascii_digit() || ".*xX".contains(letter));
    if marks && numbers >= 2 && parts.len() >= 3 {
        return match parts.as_slice() {
            // A sentence may end with a version.
            [.., last] if last.is_empty() && tail.is_none() && numbers == 3 && parts.len() == 4 => Atom::Near,
            [a, b, "x" | "X"] => match a.len().max(b.len()) {
                0..=2 => Atom::Plain,
                3 => Atom::Near,
                _ => Atom::Damaged("it is no whole address".to_owned()),
            },
            _ => Atom::Damaged("it is no whole address".to_owned()),
        };
    }
    lettered(word)
}

/// Numbers with dots between.
fn dotted(word: &str, parts: &[&str], tail: Option<&str>) -> Atom {
    match (parts.len(), tail) {
        (4, None) => match word.parse::<Prefix>() {
            Ok(prefix) => Atom::Span(Span::single(prefix.first())),
            Err(_) => Atom::Damaged(bad_octet(parts)),
        },
        (4, Some(tail)) => with_tail(word, parts, tail),
        (3, Some(tail)) if tail.is_empty() || !tail.starts_with(|first: char| first.is_alphabetic()) => {
            Atom::Damaged("three numbers are no address".to_owned())
        }
        (3, None) if is_date(parts) => Atom::Plain,
        (3, None) => Atom::Near,
        (2, None) if word.len() >= 9 => Atom::Near,
        (1..=3, _) => Atom::Plain,
        // Object identifiers of the internet.
        (_, None) if word.starts_with("1.3.6.1.") => Atom::Plain,
        (_, _) => Atom::Damaged(format!("{} numbers are no address", parts.len())),
    }
}

fn bad_octet(parts: &[&str]) -> String {
    let zero = parts.iter().find(|part| part.len() > 1 && part.starts_with('0'));
    match (zero, parts.iter().find(|part| part.parse::<u8>().is_err())) {
        (_, Some(part)) => format!("`{part}` is above 255"),
        (Some(part), None) => format!("`{part}` has a leading zero"),
        (None, None) => "it is no address".to_owned(),
    }
}

fn with_tail(word: &str, parts: &[&str], tail: &str) -> Atom {
    let head = parts.join(".");
    let Ok(address) = head.parse::<Ipv4Addr>() else { return Atom::Damaged(bad_octet(parts)) };
    if tail.starts_with(|first: char| first.is_alphabetic()) {
        return Atom::Endpoint;
    }
    if let Ok(mask) = tail.parse::<Ipv4Addr>() {
        return masked(address, mask)
            .unwrap_or_else(|| Atom::Damaged(format!("`{tail}` is no netmask of it")));
    }
    match word.parse::<Prefix>() {
        Ok(prefix) => Atom::Span(Span { first: prefix.first(), last: prefix.last(), form: Form::Prefix }),
        Err(error) => Atom::Damaged(error.to_string()),
    }
}

/// The prefix of an address and a netmask; `None` where the mask is none, or leaves bits of the address.
pub(super) fn masked(address: Ipv4Addr, mask: Ipv4Addr) -> Option<Atom> {
    let bits = u32::from(mask);
    let length = bits.leading_ones();
    let whole = bits.checked_shl(length).unwrap_or(0) == 0;
    let prefix = Prefix::covering(IpAddr::V4(address), u8::try_from(length).ok()?).filter(|_| whole)?;
    let fits = prefix.first() == IpAddr::V4(address);
    fits.then(|| Atom::Span(Span { first: prefix.first(), last: prefix.last(), form: Form::Prefix }))
}

/// Whether an address is a netmask, as they are written.
pub(in crate::upstream) fn is_mask(address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let bits = u32::from(address);
    address.octets().first() == Some(&255) && bits.checked_shl(bits.leading_ones()).unwrap_or(0) == 0
}

/// Three numbers that are a day.
fn is_date(parts: &[&str]) -> bool {
    let [first, second, third] = parts else { return false };
    let number = |part: &str| part.parse::<u32>().unwrap_or(u32::MAX);
    let day = |part: &str| part.len() <= 2 && (1..=31).contains(&number(part));
    let month = |part: &str| part.len() <= 2 && (1..=12).contains(&number(part));
    let year = |part: &str| part.len() == 4 && (1990..=2099).contains(&number(part));
    (year(first) && month(second) && day(third))
        || (day(first) && month(second) && (year(third) || third.len() == 2))
        || (month(first) && day(second) && year(third))
}

/// Octets, and then letters in place of octets.
fn wildcard(parts: &[&str]) -> Option<Span> {
    let [a, b, c, d] = parts else { return None };
    let wild = |part: &&str| matches!(*part, "*" | "x" | "X" | "xxx" | "XXX");
    let kept = [a, b, c, d].iter().take_while(|part| !wild(part)).count();
    if !(1..=3).contains(&kept) || ![a, b, c, d].iter().skip(kept).all(|part| wild(part)) {
        return None;
    }
    let octets = [a, b, c, d].map(|part| if wild(part) { "0" } else { part });
    let address: Ipv4Addr = octets.join(".").parse().ok()?;
    let length = u8::try_from(kept * 8).ok()?;
    let prefix = Prefix::covering(IpAddr::V4(address), length)?;
    Some(Span { first: prefix.first(), last: prefix.last(), form: Form::Wildcard })
}

/// Two colons or more: IPv6, a time, a hardware address.
fn v6(word: &str) -> Atom {
    let (head, tail) = word.split_once('/').map_or((word, None), |(head, tail)| (head, Some(tail)));
    let groups: Vec<&str> = head.split(':').collect();
    let first = groups.first().copied().unwrap_or_default();
    let global = first.len() == 4
        && first.starts_with(['2', '3'])
        && first.bytes().all(|byte| byte.is_ascii_hexdigit());
    if head.parse::<Ipv6Addr>().is_ok() {
        return match word.parse::<Prefix>() {
            Ok(prefix) if tail.is_none() => Atom::Span(Span::single(prefix.first())),
            Ok(prefix) => Atom::Span(Span { first: prefix.first(), last: prefix.last(), form: Form::Prefix }),
            Err(error) => Atom::Damaged(error.to_string()),
        };
    }
    if head.split_once('%').is_some_and(|(head, _)| head.parse::<Ipv6Addr>().is_ok()) {
        return Atom::Damaged("it holds only on one network".to_owned());
    }
    let many = head.contains("::") || groups.len() >= 5;
    if global && many { Atom::Damaged("it is no whole IPv6 address".to_owned()) } else { quads(word) }
}

/// A word with letters: damage where an address touches them.
fn lettered(word: &str) -> Atom {
    if word.split_once('%').is_some_and(|(head, _)| head.parse::<Ipv6Addr>().is_ok()) {
        return Atom::Damaged("it holds only on one network".to_owned());
    }
    match word.split_once(':') {
        Some((first, second)) if is_v6_start(first) && is_hex(second) => Atom::Near,
        // An address with a port.
        Some((head, port)) if head.parse::<Ipv4Addr>().is_ok() => {
            if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty() {
                Atom::Endpoint
            } else {
                Atom::Damaged("it is glued to something".to_owned())
            }
        }
        // A label that touches with its colon.
        Some((label, rest)) if !label.contains(|letter: char| letter.is_ascii_digit()) => atom(rest),
        _ if is_lettered(word) => Atom::Damaged("letters stand in it".to_owned()),
        _ => quads(word),
    }
}

fn is_hex(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a group can only be the first of an address of IPv6.
fn is_v6_start(text: &str) -> bool {
    let lettered = text.contains(|letter: char| letter.is_ascii_alphabetic());
    text.len() == 4 && is_hex(text) && text.starts_with(['2', '3']) && lettered
}

/// Whether four numbers with dots stand within a word, touching what is no number.
fn quads(word: &str) -> Atom {
    let bytes = word.as_bytes();
    let Some((start, end)) = quad(bytes) else { return Atom::Plain };
    let before = word.get(..start).unwrap_or_default();
    let after = word.get(end..).unwrap_or_default();
    let version = matches!(
        before.to_ascii_lowercase().trim_end_matches(['-', '_', '.']),
        "v" | "ver" | "version" | "r" | "rev"
    );
    let product = before.ends_with('/') && before.contains(|letter: char| letter.is_alphabetic());
    let host = after.starts_with('.') && after.contains(|letter: char| letter.is_alphabetic());
    if version || product || host {
        return Atom::Plain;
    }
    Atom::Damaged("it is glued to something".to_owned())
}

/// The first four numbers of at most three digits with dots between.
fn quad(bytes: &[u8]) -> Option<(usize, usize)> {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut start = 0;
    while start < bytes.len() {
        if !digit(start) {
            start += 1;
            continue;
        }
        let (mut at, mut numbers) = (start, 0);
        loop {
            let begun = at;
            while digit(at) {
                at += 1;
            }
            numbers += 1;
            if numbers == 4 {
                return Some((start, at));
            }
            if at == begun || bytes.get(at) != Some(&b'.') || !digit(at + 1) {
                break;
            }
            at += 1;
        }
        start = at.max(start + 1);
    }
    None
}
