//! Lists of prefixes as text: one prefix, address or `first-last` range a line.
//!
//! Reading is a stream: the text is never held, only what it says. Lines in the plain form are read by
//! `scan`, which is quick and knows nothing else; every other line goes through the strict parser, which
//! also says what is wrong. What one accepts, the other reads the same way. `print` writes.

pub mod print;
mod scan;

pub(super) use print::octet;
pub(crate) use scan::address_bytes;

use std::io::{self, Read};
use std::net::IpAddr;
use std::ops::Range;

use ipnet::{IpNet, Ipv4Net};

use super::{Family, Prefix, PrefixError, PrefixSet, v6_number};

/// The longest line, its end aside.
pub const LINE_BYTES_MAX: usize = CHUNK - 1;

/// The longest text.
pub const LIST_BYTES_MAX: u64 = 1 << 31;

/// The most prefixes and ranges that one [`List`] takes.
pub const ENTRIES_MAX: usize = 20_000_000;

/// How many faults are told of one text before reading stops.
pub const FAULTS_MAX: usize = 50;

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// Where a full buffer ends.
const FULL: usize = scan::FRONT + CHUNK;

/// Prefixes as they are read, in no order. Any number of texts can be read into one list.
#[derive(Debug, Default)]
pub struct List {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

/// A line that is no prefix, address or range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The number of the line, from 1.
    pub line: usize,
    /// The line as it stands, without its end; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// The part of the line that is wrong.
    pub span: Range<usize>,
    /// What is wrong with it.
    pub error: EntryError,
}

/// Why a text is no entry of a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Not a prefix, nor a range.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// An end of a range has a length.
    #[error("`{0}` has a prefix where a range has an address")]
    PrefixInRange(String),
    /// The ends of a range are of two families.
    #[error("range `{0}` starts in one family and ends in the other")]
    MixedRange(String),
    /// A range ends before it starts.
    #[error("range `{0}` ends before it starts")]
    BackwardRange(String),
}

/// Why a text can't be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A line without an end in sight.
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong {
        /// The number of the line, from 1.
        line: usize,
    },
    /// A text without an end in sight.
    #[error("more than {LIST_BYTES_MAX} bytes")]
    TooLong,
    /// More entries than there is room for.
    #[error("more than {ENTRIES_MAX} prefixes")]
    TooMany,
}

impl List {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a text to its end. Blank lines and comments (`#` or `;` to the end of the line) count for nothing.
    ///
    /// The answer is what could not be read; after [`FAULTS_MAX`] of them the rest of the text is left unread.
    pub fn read(&mut self, mut input: impl Read) -> Result<Vec<Fault>, ListError> {
        let mut buffer = vec![0; FULL + scan::BACK];
        let mut reading = Reading { list: self, line: 0, faults: Vec::new() };
        let (mut held, mut total) = (scan::FRONT, 0u64);
        while reading.faults.len() < FAULTS_MAX {
            if held == FULL {
                return Err(ListError::LineTooLong { line: reading.line.saturating_add(1) });
            }
            let got = read_some(&mut input, buffer.get_mut(held..FULL).unwrap_or_default())?;
            if got == 0 {
                reading.last_line(&mut buffer, held)?;
                break;
            }
            total = total.saturating_add(u64::try_from(got).unwrap_or(u64::MAX));
            if total > LIST_BYTES_MAX {
                return Err(ListError::TooLong);
            }
            let end = held.saturating_add(got);
            let fresh = buffer.get(held..end).unwrap_or_default();
            held = match fresh.iter().rposition(|byte| *byte == b'\n') {
                None => end,
                Some(last) => {
                    let cut = held.saturating_add(last).saturating_add(1);
                    reading.lines(&buffer, cut)?;
                    buffer.copy_within(cut..end, scan::FRONT);
                    scan::FRONT.saturating_add(end.saturating_sub(cut))
                }
            };
        }
        Ok(reading.faults)
    }

    /// The addresses that were read.
    pub fn into_set(self) -> PrefixSet {
        PrefixSet::from_spans(self.v4, self.v6)
    }
}

/// One read that may be shorter than asked for; signals do not count.
fn read_some(input: &mut impl Read, place: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(place) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// The state of one text as it is read.
struct Reading<'list> {
    list: &'list mut List,
    /// Lines that are done.
    line: usize,
    faults: Vec<Fault>,
}

impl Reading<'_> {
    /// Takes what is left when the text has ended, its last line with or without an end.
    fn last_line(&mut self, buffer: &mut [u8], held: usize) -> Result<(), ListError> {
        if held > scan::FRONT
            && let Some(after) = buffer.get_mut(held)
        {
            *after = b'\n';
            self.lines(buffer, held.saturating_add(1))?;
        }
        Ok(())
    }

    /// Takes the whole lines that the buffer has from [`scan::FRONT`] up to `end`.
    fn lines(&mut self, buffer: &[u8], end: usize) -> Result<(), ListError> {
        let mut at = scan::FRONT;
        while at < end && self.faults.len() < FAULTS_MAX {
            self.line = self.line.saturating_add(1);
            if let Some((span, next)) = scan::v4::<b'\n'>(buffer, at) {
                self.list.v4.push(span);
                at = next;
            } else if let Some((span, next)) = scan::v6(buffer, at) {
                self.list.v6.push(span);
                at = next;
            } else {
                let rest = buffer.get(at..end).unwrap_or_default();
                let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
                at = at.saturating_add(line.len()).saturating_add(1);
                self.other(line);
            }
        }
        if self.list.v4.len().saturating_add(self.list.v6.len()) > ENTRIES_MAX {
            return Err(ListError::TooMany);
        }
        Ok(())
    }

    /// A line that is not in the plain form: blank, a comment, a range, white space around it, or wrong.
    fn other(&mut self, line: &[u8]) {
        let mark = if self.line == 1 { b"\xef\xbb\xbf".as_slice() } else { b"" };
        let line = line.strip_prefix(mark).unwrap_or(line);
        let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        let entry = text.split(['#', ';']).next().unwrap_or_default();
        let trimmed = entry.trim();
        if trimmed.is_empty() {
            return;
        }
        match read_entry(trimmed) {
            Ok(Entry::V4(first, last)) => self.list.v4.push((first, last)),
            Ok(Entry::V6(first, last)) => self.list.v6.push((first, last)),
            Err(error) => {
                let start = entry.len().saturating_sub(entry.trim_start().len());
                let span = start..start.saturating_add(trimmed.len());
                self.faults.push(Fault { line: self.line, span, error, text: text.clone().into_owned() });
            }
        }
    }
}

/// What a line says, as first and last address.
enum Entry {
    V4(u32, u32),
    V6(u128, u128),
}

/// The prefix of IPv4 that is all of the line at `at`, and where the next line starts; `None` where a stricter
/// reader has to look: also in the first bytes and the last ones of a text.
pub(crate) fn plain_line(text: &[u8], at: usize) -> Option<(Prefix, usize)> {
    let ((first, last), next) = plain_v4_until::<b'\n'>(text, at)?;
    let length = u8::try_from((first ^ last).leading_zeros()).ok()?;
    // The reader took no host bits.
    Some((Prefix(IpNet::V4(Ipv4Net::new(first.into(), length).ok()?)), next))
}

/// The prefix of IPv4 that is all of a text; `None` where a stricter reader has to look.
pub(crate) fn plain(text: &str) -> Option<Prefix> {
    // The reader looks at bytes around a line.
    let mut line = [b'\n'; scan::FRONT + 32];
    line.get_mut(scan::FRONT..)?.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    let (prefix, next) = plain_line(&line, scan::FRONT)?;
    (next == scan::FRONT.checked_add(text.len())?.checked_add(1)?).then_some(prefix)
}

/// First and last address of the IPv4 prefix that stands at `at` and ends with this byte, and where the byte is past;
/// `None` where a stricter reader has to look: also in the first bytes and the last ones of a text.
#[inline]
pub(crate) fn plain_v4_until<const END: u8>(text: &[u8], at: usize) -> Option<((u32, u32), usize)> {
    scan::v4::<END>(text, at)
}

fn read_entry(text: &str) -> Result<Entry, EntryError> {
    let error = match text.parse::<Prefix>() {
        Ok(prefix) => return entry(prefix.first(), prefix.last(), text),
        Err(error) => error,
    };
    let Some((first, last)) = text.split_once('-') else { return Err(error.into()) };
    let (Ok(first), Ok(last)) = (first.trim_end().parse::<Prefix>(), last.trim_start().parse::<Prefix>())
    else {
        return Err(error.into());
    };
    if text.contains('/') {
        return Err(EntryError::PrefixInRange(text.to_owned()));
    }
    entry(first.first(), last.last(), text)
}

fn entry(first: IpAddr, last: IpAddr, text: &str) -> Result<Entry, EntryError> {
    match (first, last) {
        _ if family(first) == family(last) && first > last => Err(EntryError::BackwardRange(text.to_owned())),
        (IpAddr::V4(first), IpAddr::V4(last)) => Ok(Entry::V4(u32::from(first), u32::from(last))),
        (IpAddr::V6(first), IpAddr::V6(last)) => Ok(Entry::V6(v6_number(first), v6_number(last))),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            Err(EntryError::MixedRange(text.to_owned()))
        }
    }
}

fn family(address: IpAddr) -> Family {
    Prefix::single(address).family()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers of tests are small")]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (PrefixSet, Vec<Fault>) {
        let mut list = List::new();
        let faults = list.read(text.as_bytes()).unwrap();
        (list.into_set(), faults)
    }

    fn printed(set: &PrefixSet) -> String {
        let mut out = Vec::new();
        print::set(set, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What the quick reader says of a line, as sets; the line stands where a buffer begins.
    fn scanned(line: &str) -> Option<PrefixSet> {
        let mut buffer = vec![b'7'; scan::FRONT];
        buffer.extend_from_slice(line.as_bytes());
        buffer.push(b'\n');
        let end = buffer.len();
        buffer.extend_from_slice(&[b'7'; scan::BACK]);
        if let Some((span, next)) = scan::v4::<b'\n'>(&buffer, scan::FRONT) {
            assert_eq!(next, end, "{line}");
            return Some(PrefixSet::from_spans(vec![span], vec![]));
        }
        let (span, next) = scan::v6(&buffer, scan::FRONT)?;
        assert_eq!(next, end, "{line}");
        Some(PrefixSet::from_spans(vec![], vec![span]))
    }

    /// The quick reader may pass, but what it says the strict parser says as well.
    #[track_caller]
    fn check(line: &str) {
        let strict = Prefix::read(line);
        assert_eq!(line.parse(), strict, "{line:?}");
        let strict = strict.ok().map(|prefix| PrefixSet::from_iter([prefix]));
        if let Some(found) = scanned(line) {
            assert_eq!(Some(found), strict, "{line}");
        }
    }

    /// Lines that look like prefixes, most of them wrong in one place.
    fn nearly() -> impl Strategy<Value = String> {
        let number = prop_oneof!["[0-9]{0,4}", "(0|1|9|10|25|99|100|199|249|250|255|256|300|999)"];
        let v4 = (prop::collection::vec(number, 3..6), prop_oneof!["", "/[0-9]{0,3}", "/(0|8|24|31|32|33)"])
            .prop_map(|(parts, length)| parts.join(".") + &length);
        let group = prop_oneof!["", "[0-9a-fA-F]{1,5}", "(0|0|1|ffff|FFFF|g)"];
        let v6 =
            (prop::collection::vec(group, 1..10), prop_oneof!["", "/[0-9]{0,4}", "/(0|16|64|127|128|129)"])
                .prop_map(|(parts, length)| parts.join(":") + &length);
        prop_oneof![v4, v6, "[0-9a-f.:/]{0,20}", "[ -~]{0,20}"]
    }

    fn any_prefix() -> impl Strategy<Value = Prefix> {
        let v4 = (any::<u32>(), 0u8..=32)
            .prop_map(|(address, length)| (IpAddr::from(address.to_be_bytes()), length));
        // Zero groups here and there, so that every way to shorten them comes up.
        let v6 = (any::<u128>(), any::<u8>(), 0u8..=128).prop_map(|(address, zeros, length)| {
            let mut groups = std::net::Ipv6Addr::from(address).segments();
            for (index, group) in groups.iter_mut().enumerate() {
                *group =
                    group.checked_shr(u32::from(*group & 0xc)).unwrap_or(0) * u16::from(zeros >> index & 1);
            }
            (IpAddr::from(groups), length)
        });
        prop_oneof![v4, v6].prop_map(|(address, length)| Prefix::covering(address, length).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_quick_reader_says_nothing_else_than_the_strict_one(line in nearly()) {
            check(&line);
        }

        #[test]
        fn bytes_of_addresses_are_counted(bytes in prop::array::uniform8(any::<u8>()), near in prop::array::uniform8(0x2c_u8..0x3e)) {
            let count = |bytes: &[u8; 8]| bytes.iter().take_while(|byte| b"./:0123456789".contains(byte)).count();
            for bytes in [bytes, near] {
                prop_assert_eq!(address_bytes(bytes), count(&bytes));
            }
        }

        #[test]
        fn the_quick_reader_takes_every_prefix_in_its_usual_form(prefix in any_prefix()) {
            let mapped = matches!(prefix.first(), IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
            for line in [prefix.to_string(), prefix.short().to_string(), prefix.to_string().to_uppercase()] {
                check(&line);
                prop_assert!(mapped || scanned(&line).is_some(), "{line}");
            }
        }

        #[test]
        fn every_line_counts_once_and_what_is_printed_reads_the_same(
            prefixes in prop::collection::vec(any_prefix(), 0..40),
            piece in 1usize..50,
        ) {
            let set: PrefixSet = prefixes.iter().copied().collect();
            let lines = prefixes.iter().fold(String::new(), |mut text, prefix| {
                let _ = writeln!(text, "{prefix}");
                text
            });
            // In pieces, and with what people put around entries.
            let mut list = List::new();
            let faults = list.read(Pieces { text: lines.as_bytes(), piece }).unwrap();
            prop_assume!(faults.is_empty());
            prop_assert_eq!(&list.into_set(), &set);
            let dressed = lines.replace('\n', " \t# seen\r\n\n; old\n");
            prop_assert_eq!(&read(&dressed).0, &set);
            let text = printed(&set);
            let wanted = set.to_prefixes().iter().fold(String::new(), |mut text, prefix| {
                let _ = writeln!(text, "{}", prefix.short());
                text
            });
            prop_assert_eq!(&text, &wanted);
            prop_assert_eq!(read(&text).0, set);
        }
    }

    /// A reader that gives a few bytes at a time.
    struct Pieces<'text> {
        text: &'text [u8],
        piece: usize,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
            let most = self.piece.min(place.len());
            Read::read(&mut self.text, &mut place[..most])
        }
    }

    #[test]
    fn the_ends_of_both_spaces_are_read_and_printed() {
        for text in [
            "0.0.0.0/0\n::/0\n",
            "0.0.0.0\n255.255.255.255\n::\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n",
            "0.0.0.0/1\n255.255.255.254/31\n::/1\nffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127\n",
            "1:2:3:4:5:6:7:0\n1:2:3:4:5:6:7:8/128\n1::8\n::8\n1::\n0:0:1::\n1:0:0:1::1\n1:0:0:1:0:0:1:0\n",
        ] {
            let (set, faults) = read(text);
            assert_eq!(faults, []);
            assert_eq!(read(&printed(&set)).0, set);
        }
        assert_eq!(printed(&PrefixSet::everything()), "0.0.0.0/0\n::/0\n");
        let (set, _) = read("0.0.0.1-255.255.255.254\n");
        assert_eq!(printed(&set).lines().count(), 62);
        assert_eq!(printed(&set.complement()), "0.0.0.0\n255.255.255.255\n::/0\n");
        assert_eq!(printed(&read("::fffe:0:1-::1:0:0:0\n").0).matches("::ffff:0.0.0.0/96\n").count(), 1);
    }

    #[test]
    fn ranges_and_what_stands_around_entries_are_read() {
        let (set, faults) = read(
            "\u{feff}192.0.2.1-192.0.2.6\n  192.0.2.0 # first\n\t192.0.2.7\t\r\n\r\n; none\n2001:db8:: - 2001:db8::f;x\n198.51.100.0/24",
        );
        assert_eq!(faults, []);
        assert_eq!(printed(&set), "192.0.2.0/29\n198.51.100.0/24\n2001:db8::/124\n");
    }

    #[test]
    fn faults_have_their_line_and_their_place_and_do_not_end_the_reading() {
        let (set, faults) =
            read("10.0.0.1/8\n\n 010.0.0.1 # x\n1.1.1.1\n2.2.2.2-1.1.1.1\n1.1.1.1-::1\n1.1.1.0/24-1.1.2.0\n");
        assert_eq!(printed(&set), "1.1.1.1\n");
        let told: Vec<(usize, &str, Range<usize>)> =
            faults.iter().map(|fault| (fault.line, fault.text.as_str(), fault.span.clone())).collect();
        assert_eq!(told[0], (1, "10.0.0.1/8", 0..10));
        assert_eq!(told[1], (3, " 010.0.0.1 # x", 1..10));
        let lines: Vec<usize> = told.iter().map(|fault| fault.0).collect();
        assert_eq!(lines, [1, 3, 5, 6, 7]);
        assert!(matches!(faults[0].error, EntryError::Prefix(PrefixError::HostBits { .. })));
        assert!(matches!(faults[1].error, EntryError::Prefix(PrefixError::LeadingZeros { .. })));
        assert!(matches!(faults[2].error, EntryError::BackwardRange(_)));
        assert!(matches!(faults[3].error, EntryError::MixedRange(_)));
        assert!(matches!(faults[4].error, EntryError::PrefixInRange(_)));
    }

    #[test]
    fn reading_has_bounds() {
        let longest = "#".repeat(LINE_BYTES_MAX);
        assert!(read(&format!("{longest}\n1.1.1.1\n{longest}\n")).1.is_empty());
        let error = List::new().read(format!("1.1.1.1\n#{longest}\n").as_bytes()).unwrap_err();
        assert!(matches!(error, ListError::LineTooLong { line: 2 }));
        let error = List::new().read(io::repeat(b'#')).unwrap_err();
        assert!(matches!(error, ListError::LineTooLong { line: 1 }));
        let (_, faults) = read(&"nonsense\n".repeat(FAULTS_MAX * 3));
        assert_eq!(faults.len(), FAULTS_MAX);
    }
}
