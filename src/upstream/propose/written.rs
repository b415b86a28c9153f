//! Values as they are written into a policy: words of pages are hostile, so each is one harmless, quoted line.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::instant::{Moment, parse_moment};
use crate::plain;
use crate::prefix::Prefix;

/// Most characters of a page's words that are kept.
const WORDS_MAX: usize = 400;
/// Columns at which comments are broken.
const COLUMNS_MAX: usize = 110;

/// Words of others as one line, short enough to be kept.
pub(super) fn words(text: &str) -> String {
    plain::words(text, WORDS_MAX)
}

/// The same as a double-quoted scalar.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in words(text).chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted + "\""
}

/// A name of the policy's own, quoted where it could be taken for something else.
pub(super) fn name(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && name != "null";
    if is_plain { name.to_owned() } else { quoted(name) }
}

/// Prefixes as a list in brackets.
pub(super) fn prefixes(all: &[Prefix]) -> String {
    let one = |prefix: &Prefix| {
        let short = prefix.short().to_string();
        if short.contains(':') { format!("\"{short}\"") } else { short }
    };
    format!("[{}]", all.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// The day of an instant.
pub(super) fn day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).date().to_string()
}

/// An instant, to the second.
pub(super) fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A moment of a page as policies have it: a day where it is one in the policy's zone, else its start.
pub(super) fn moment(moment: &Moment, zone: &TimeZone) -> String {
    let day = day(moment.starts(), zone);
    let same = |other: &Moment| (other.starts(), other.ends()) == (moment.starts(), moment.ends());
    if parse_moment(&day, zone).as_ref().is_ok_and(same) { day } else { instant(moment.starts()) }
}

/// Lines of a comment, without indentation, broken between words; what follows the first is set in.
pub(super) fn comment(text: &str, set_in: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + word.chars().count() >= COLUMNS_MAX {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.into_iter().map(|line| format!("#{set_in}{line}")).collect()
}
