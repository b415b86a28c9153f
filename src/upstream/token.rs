//! Addresses within a line of text, by a strict grammar.
//!
//! Single addresses, prefixes, address and netmask, ranges from one address to another or to a last octet, wildcards. What
//! looks like one of these and is none is damaged: whoever reads a list gives it up there, for a list that lacks an entry is
//! worse than none. Dates, versions, host names and addresses of endpoints are none of these.

mod atom;
mod between;
mod disguise;
mod join;

use std::net::IpAddr;

use super::page::{ABSENT, SEAM};
use crate::prefix::{Prefix, PrefixSet};

pub(super) use atom::is_mask;

/// Something in a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// Where it starts, in bytes.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// What it is.
    pub(super) what: What,
}

/// What something in a line is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// Addresses.
    Span(Span),
    /// What looks like addresses and is none, and why.
    Damaged(String),
    /// What is an address that lost something, if addresses are expected here; a version or a number elsewhere.
    Near(String),
    /// An address with a port or a path: something that is called, not a caller.
    Endpoint,
}

/// Addresses from the first to the last, as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The first.
    pub(super) first: IpAddr,
    /// The last.
    pub(super) last: IpAddr,
    /// How they are written.
    pub(super) form: Form,
}

/// How addresses are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One address.
    Single,
    /// An address and a length, or a netmask.
    Prefix,
    /// From one to another.
    Range,
    /// With letters in place of octets.
    Wildcard,
}

impl Span {
    /// One address.
    pub(super) fn single(address: IpAddr) -> Self {
        Self { first: address, last: address, form: Form::Single }
    }

    /// The fewest prefixes that have exactly these addresses.
    pub(super) fn prefixes(&self) -> Vec<Prefix> {
        PrefixSet::between(self.first, self.last).to_prefixes()
    }

    /// Whether it has every address of the other.
    pub(super) fn covers(&self, other: &Span) -> bool {
        self.first <= other.first && other.last <= self.last && self.first.is_ipv4() == other.first.is_ipv4()
    }

    /// Whether both have the same addresses, or one has all of the other but the first, or the last, or both: how ranges
    /// restate prefixes.
    pub(super) fn restates(&self, other: &Span) -> bool {
        let near = |left: IpAddr, right: IpAddr| match (left, right) {
            (IpAddr::V4(left), IpAddr::V4(right)) => u32::from(left).abs_diff(u32::from(right)) <= 1,
            (IpAddr::V6(left), IpAddr::V6(right)) => u128::from(left).abs_diff(u128::from(right)) <= 1,
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        };
        let ranged = self.form == Form::Range || other.form == Form::Range;
        let wide = self.first != self.last && other.first != other.last;
        let same = self.first == other.first && self.last == other.last;
        same || (ranged && wide && near(self.first, other.first) && near(self.last, other.last))
    }
}

/// What was found within a range of a line.
pub(super) fn within<'f>(found: &'f [Found], range: &std::ops::Range<usize>) -> &'f [Found] {
    let from = found.partition_point(|one| one.start < range.start);
    let to = found.partition_point(|one| one.start < range.end);
    found.get(from..to).unwrap_or_default()
}

/// A word of a line.
#[derive(Debug, Clone, Copy)]
struct Word<'a> {
    start: usize,
    text: &'a str,
}

impl Word<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// All that is in a line.
pub(super) fn find(line: &str) -> Vec<Found> {
    // Most lines have nothing: no digit that is followed by a dot or a colon.
    if !line.contains(|letter: char| letter.is_numeric() || letter == ABSENT)
        || !line.contains(['.', ':', '．', '。', '*', '/'])
    {
        return digits_only(line);
    }
    let mut found = join::join(line, &words(line));
    if let Some(more) = disguise::find(line, &found) {
        let at = found.partition_point(|one| one.start < more.start);
        found.insert(at, more);
    }
    found
}

/// A line of nothing but many digits, perhaps in groups: an address without its dots, if addresses are expected.
fn digits_only(line: &str) -> Vec<Found> {
    if let Some(found) = disguise::find(line, &[]) {
        return vec![found];
    }
    let digits = line.bytes().filter(u8::is_ascii_digit).count();
    let bare = line.chars().all(|letter| letter.is_ascii_digit() || " ,-–_".contains(letter));
    let start = line.find(|letter: char| letter.is_ascii_digit());
    match start {
        Some(start) if bare && (6..=15).contains(&digits) && !is_day(line) => {
            vec![Found { start, end: line.len(), what: What::Near(line.to_owned()) }]
        }
        _ => Vec::new(),
    }
}

/// Whether a line is a day with dashes.
fn is_day(line: &str) -> bool {
    let parts: Vec<usize> = line.trim().split('-').map(str::len).collect();
    matches!(parts.as_slice(), [4, 2, 2] | [2, 2, 4])
}

/// What separates words, besides white space.
fn separates(letter: char) -> bool {
    letter.is_whitespace() || ",;()[]{}<>\"'`|!?…“”‘’„«»·•=&→⇒←↔。、，；（）".contains(letter)
}

fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, letter) in line.char_indices() {
        match (separates(letter), start) {
            (true, Some(begun)) => {
                words.push((begun, at));
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.map(|begun| (begun, line.len())));
    words.into_iter().filter_map(|(start, end)| Some(Word { start, text: line.get(start..end)? })).collect()
}

/// A text as it is shown in a message.
pub(super) fn shown(text: &str) -> String {
    let text: String = text.chars().filter(|letter| *letter != SEAM).collect();
    crate::json::shown(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found, in short: prefixes, or `!` for damaged, `~` for near, `>` for an endpoint.
    fn told(line: &str) -> String {
        let shown = find(line).into_iter().map(|found| match found.what {
            What::Span(span) => {
                span.prefixes().iter().map(|prefix| prefix.short().to_string()).collect::<Vec<_>>().join("+")
            }
            What::Damaged(_) => format!("!{}", &line[found.start..found.end]),
            What::Near(_) => format!("~{}", &line[found.start..found.end]),
            What::Endpoint => ">".to_owned(),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn notations_are_read() {
        for (line, wanted) in [
            ("192.121.110.100 (Resurs)", "192.121.110.100"),
            ("either 51.107.183.58 or 91.132.170.1.", "51.107.183.58 91.132.170.1"),
            ("(20.91.170.120/29)", "20.91.170.120/29"),
            ("20.91.170.120–127 (20.91.170.120/29).", "20.91.170.120/29"),
            ("20.91.170.120 – 127, with the prefix", "20.91.170.120/29"),
            ("20.91.170.120-20.91.170.127", "20.91.170.120/29"),
            ("20.91.170.120 - 20.91.170.127", "20.91.170.120/29"),
            ("from 20.91.170.120 to 20.91.170.127", "20.91.170.120/29"),
            ("från 20.91.170.120 till och med 20.91.170.127", "20.91.170.120/29"),
            ("zwischen 20.91.170.120 und 20.91.170.127", "20.91.170.120/29"),
            ("20.91.170.120 / 29", "20.91.170.120/29"),
            ("1.2.3.4 and 1.2.3.9", "1.2.3.4 1.2.3.9"),
            ("20.91.170.120- 127", "20.91.170.120/29"),
            ("20.91.170.120 -127", "20.91.170.120/29"),
            ("192.0.2.1-3", "192.0.2.1+192.0.2.2/31"),
            ("192.121.110.*", "192.121.110.0/24"),
            ("192.121.110.\\*", "192.121.110.0/24"),
            ("192.121.110.x", "192.121.110.0/24"),
            ("192.121.*.*", "192.121.0.0/16"),
            ("1.2.3.0/255.255.255.0", "1.2.3.0/24"),
            ("1.2.3.0 255.255.255.0", "1.2.3.0/24"),
            ("1.2.3.0 netmask 255.255.255.0", "1.2.3.0/24"),
            ("1.2.3.0 /24", "1.2.3.0/24"),
            ("1.2.3.0/24 (1.2.3.1 - 1.2.3.254)", "1.2.3.0/24"),
            ("2a10:a200::/29, 185.206.120.0/24", "2a10:a200::/29 185.206.120.0/24"),
            ("2a10::1 - 2a10::2", "2a10::1+2a10::2"),
            ("IP:1.2.3.4", "1.2.3.4"),
            ("ip=1.2.3.4;", "1.2.3.4"),
            ("1.2.3.4 - Production", "1.2.3.4"),
            ("Production—1.2.3.4", "1.2.3.4"),
            ("1.2.3.4, 5.6.7.8;9.10.11.12|13.14.15.16", "1.2.3.4 5.6.7.8 9.10.11.12 13.14.15.16"),
            ("**1.2.3.4**", "1.2.3.4"),
            ("192.0.2.10 – 443 (https)", "192.0.2.10"),
        ] {
            assert_eq!(told(line), wanted, "{line}");
        }
    }

    #[test]
    fn damage_is_told() {
        for line in [
            "Production52.17.117.56",
            "52.214.237.2863.33.82.13",
            "/289.234.98.176",
            "91.220.121./25",
            "91.208.28.0/2",
            "1.2.3.256",
            "1.2.3.4.5",
            "1.2.3.04",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/5.6.7.8",
            "1.2.3.10*",
            "20.91.170.120–256",
            "20.91.170.120–",
            "20.91.170.120–7",
            "20.91.170.120–127 (20.91.170.120/30)",
            "1.2.3.4and",
            "1.2.3.4_5",
            "1.2.3.1\u{1}2",
            "１.2.3.4",
            "2a10:a200:::/29",
            "2a10:a200::/129",
            "1.2.3.4 to 9.9.9.9",
            "1.2..3.4",
            "192.121.*",
            "1.2.3.0/24 - 1.2.4.0/24",
        ] {
            assert!(told(line).starts_with('!'), "{line}: {}", told(line));
        }
        for line in ["51.107,183.58", "91.132 170.1", "20[.]91[.]170[.]120", ".121"] {
            assert!(told(line).contains('~'), "{line}: {}", told(line));
        }
        for line in
            ["20.91.l70.120", "20.91.170.nnn", "20.91.170.120 ~ 127", "between 1.2.3.4 and", "1.2.3.4 till"]
        {
            assert!(told(line).contains('!'), "{line}: {}", told(line));
        }
        for line in ["192.121.110100", "192.121.110", "1.2.3.", "192121110100", "51.107.18358"] {
            assert!(told(line).starts_with('~'), "{line}: {}", told(line));
        }
    }

    #[test]
    fn others_are_none() {
        for line in [
            "04.03.2025",
            "2017.11.23",
            "from 2022.09.26.",
            "version=3.1",
            "Version 1.3.0.7",
            "v1.2.3.4",
            "release: 1.3.0.7",
            "Chrome/120.0.0.0",
            "https://1.2.3.4/x",
            "a@1.2.3.4",
            "12:00:00 CET – 13:00 CET",
            "2016-09-14T01:01:01.01Z",
            "std::vec",
            "00:1A:2B:3C:4D:5E",
            "10000 = 100.00 SEK",
            "callback-1.vipps.no",
            "1.2.3.4.example.com",
            "AS35814",
            "e.g. 8.8.8.8",
            "3.x/2.0",
        ] {
            assert_eq!(told(line), "", "{line}");
        }
        assert_eq!(told("1.2.3.4:443"), ">");
    }
}
