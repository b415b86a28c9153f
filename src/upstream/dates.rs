//! Dates that a sentence gives: from when, until when, and by when somebody is to have acted.

use jiff::tz::TimeZone;

use super::{Stated, StatedKind};
use crate::instant::{Moment, parse_moment};

/// Months by their names in the languages of the providers' countries; all that start like one are it.
const MONTHS: &[(u32, &[&str])] = &[
    (1, &["january", "januari", "januar", "tammikuuta"]),
    (2, &["february", "februari", "februar", "helmikuuta"]),
    (3, &["march", "mars", "marts", "märz", "maaliskuuta"]),
    (4, &["april", "huhtikuuta"]),
    (5, &["may", "maj", "mai", "toukokuuta"]),
    (6, &["june", "juni", "kesäkuuta"]),
    (7, &["july", "juli", "heinäkuuta"]),
    (8, &["august", "augusti", "elokuuta"]),
    (9, &["september", "syyskuuta"]),
    (10, &["october", "oktober", "lokakuuta"]),
    (11, &["november", "marraskuuta"]),
    (12, &["december", "desember", "dezember", "joulukuuta"]),
];
/// Words before a date by which somebody is to have acted.
const DUE: &[&str] = &[
    "by",
    "before",
    "later than",
    "deadline",
    "latest",
    "senast",
    "senest",
    "spätestens",
    "innan",
    "före",
    "inden",
    "viimeistään",
];
/// Words before a date until which something holds.
const UNTIL: &[&str] = &[
    "until",
    "till",
    "valid to",
    "ends",
    "ending",
    "expires",
    "up to",
    "retired on",
    "removed on",
    "off on",
    "tills",
    "til",
    "bis",
    "t.o.m",
    "till och med",
    "asti",
];
/// Words before a date from which something holds.
const FROM: &[&str] = &[
    "from",
    "starting",
    "as of",
    "since",
    "effective",
    "live",
    "beginning",
    "after",
    "on",
    "från",
    "fr.o.m",
    "fra",
    "ab",
    "seit",
    "vom",
    "med start",
    "alkaen",
];
/// Words between a date and a time of day.
const AT: &[&str] = &["at", "kl", "um", "klo", "from", "between"];

/// The dates in a text; a date is a whole day in `zone`.
pub(super) fn find(text: &str, zone: &TimeZone) -> Vec<Stated> {
    let words = words(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let Some((count, moment)) = date(&words, at, zone) else {
            at += 1;
            continue;
        };
        if let Some(kind) = kind(&words, at) {
            let (more, moment) = timed(&words, at + count, kind, moment);
            let told: Vec<&str> = words.iter().skip(at).take(count + more).map(|word| word.text).collect();
            found.push(Stated { kind, moment, text: told.join(" ") });
        }
        at += count;
    }
    found
}

struct Word<'a> {
    text: &'a str,
    lower: String,
}

fn words(text: &str) -> Vec<Word<'_>> {
    let cut = |word: &&str| !word.is_empty();
    let pieces = text.split([' ', ',', '(', ')', '–', '"', '“', '”']).filter(cut);
    pieces.map(|text| Word { text, lower: text.trim_end_matches(['.', ':', ';']).to_lowercase() }).collect()
}

/// What the words before a date make of it; the nearest count.
fn kind(words: &[Word<'_>], at: usize) -> Option<StatedKind> {
    let from = at.saturating_sub(4);
    let before: Vec<&str> = words.get(from..at)?.iter().map(|word| word.lower.as_str()).collect();
    let padded = format!(" {} ", before.join(" "));
    let last = |marks: &[&str]| marks.iter().filter_map(|mark| padded.rfind(&format!(" {mark} "))).max();
    let kinds = [
        (StatedKind::Deadline, last(DUE)),
        (StatedKind::ValidUntil, last(UNTIL)),
        (StatedKind::ValidFrom, last(FROM)),
    ];
    kinds.into_iter().filter_map(|(kind, place)| Some((place?, kind))).max().map(|(_, kind)| kind)
}

/// A date that starts at a word: how many words it has, and the day where it is whole.
fn date(words: &[Word<'_>], at: usize, zone: &TimeZone) -> Option<(usize, Option<Moment>)> {
    let word = |ahead: usize| words.get(at + ahead).map(|word| word.lower.as_str());
    let first = word(0)?;
    if let Some(day) = numeric(first) {
        return Some((1, moment(day, zone)));
    }
    let month = |text: Option<&str>| {
        let text = text.filter(|text| text.len() >= 3)?;
        let short = text.chars().count() == 3;
        let named = |name: &str| name == text || (short && name.starts_with(text));
        MONTHS.iter().find(|(_, names)| names.iter().any(|name| named(name))).map(|(number, _)| *number)
    };
    let year = |text: Option<&str>| {
        text.filter(|text| text.len() == 4)?.parse::<u32>().ok().filter(|year| (1990..2100).contains(year))
    };
    if let Some(found) = month(Some(first)) {
        // "12<sup>th</sup>" is two words.
        let split = u32::from(matches!(word(2), Some("st" | "nd" | "rd" | "th")));
        let day = ordinal(word(1)?)?;
        let behind = usize::try_from(split).unwrap_or(0);
        return Some(match year(word(2 + behind)) {
            Some(year) => (3 + behind, moment((year, found, day), zone)),
            None => (2 + behind, None),
        });
    }
    let day = ordinal(first)?;
    let of = usize::from(word(1) == Some("of"));
    let found = month(word(1 + of))?;
    Some(match year(word(2 + of)) {
        Some(year) => (3 + of, moment((year, found, day), zone)),
        None => (2 + of, None),
    })
}

/// The instant of a time of day behind a date, and how many words tell it. Without a zone, or with one that does not hold on
/// that day, the day is all that is known.
fn timed(words: &[Word<'_>], at: usize, kind: StatedKind, day: Option<Moment>) -> (usize, Option<Moment>) {
    let Some(date) = day.as_ref().filter(|_| kind == StatedKind::ValidFrom) else { return (0, day) };
    let word = |ahead: usize| words.get(at + ahead).map_or("", |word| word.lower.as_str());
    let skipped = usize::from(AT.contains(&word(0)));
    let Some(time) = time_of_day(word(skipped)) else { return (0, day) };
    let zone = (1..=3)
        .map(|ahead| word(skipped + ahead))
        .zip(2..)
        .find(|(text, _)| time_of_day(text).is_none() && *text != "to");
    let Some((zone, count)) = zone else { return (0, day) };
    let read = offset(zone, &date.to_string()).map(|offset| format!("{date}T{time}:00{offset}"));
    match read.and_then(|text| parse_moment(&text, &TimeZone::UTC).ok()) {
        Some(moment) => (skipped + count, Some(moment)),
        None => (0, day),
    }
}

/// `12:00` as it is.
fn time_of_day(text: &str) -> Option<&str> {
    let (hours, minutes) = text.split_once([':', '.'])?;
    let number =
        |text: &str, most: u32| text.len() == 2 && text.parse::<u32>().is_ok_and(|number| number <= most);
    (text.contains(':') && number(hours, 23) && number(minutes, 59)).then_some(text)
}

/// The offset that a zone's short name has on a day `2025-03-12`; `None` near the days on which clocks change, and where
/// the name does not hold.
fn offset(zone: &str, day: &str) -> Option<&'static str> {
    let month: u32 = day.get(5..7)?.parse().ok()?;
    let number: u32 = day.get(8..10)?.parse().ok()?;
    let winter = matches!(month, 11 | 12 | 1 | 2) || (month == 3 && number < 25);
    let summer = (4..=9).contains(&month) || (month == 10 && number < 25);
    match zone {
        "utc" | "gmt" => Some("+00:00"),
        "cet" if winter => Some("+01:00"),
        "cest" if summer => Some("+02:00"),
        "eet" if winter => Some("+02:00"),
        "eest" if summer => Some("+03:00"),
        _ => None,
    }
}

fn ordinal(text: &str) -> Option<u32> {
    let digits = text.trim_end_matches(['s', 't', 'n', 'd', 'r', 'h', ':', 'e', 'a']);
    (digits.len() <= 2 && text.len() <= digits.len() + 2).then_some(())?;
    digits.parse().ok().filter(|day| (1..=31).contains(day))
}

/// `2025-03-12`, `2022.09.26`, `04.03.2025`; what could be two days is none.
fn numeric(text: &str) -> Option<(u32, u32, u32)> {
    let parts: Vec<&str> = text.split(['-', '.', '/']).collect();
    let [first, second, third] = parts.as_slice() else { return None };
    let number = |part: &str| part.parse::<u32>().ok();
    let (one, two, three) = (number(first)?, number(second)?, number(third)?);
    if first.len() == 4 && second.len() <= 2 && third.len() <= 2 {
        return Some((one, two, three));
    }
    let dotted = text.contains('.');
    (third.len() == 4 && dotted).then_some((three, two, one))
}

fn moment((year, month, day): (u32, u32, u32), zone: &TimeZone) -> Option<Moment> {
    parse_moment(&format!("{year:04}-{month:02}-{day:02}"), zone).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<(StatedKind, Option<String>)> {
        find(text, &TimeZone::UTC)
            .into_iter()
            .map(|one| (one.kind, one.moment.map(|moment| moment.to_string())))
            .collect()
    }

    #[test]
    fn dates_are_read_with_what_they_mean() {
        let day = |text: &str| Some(text.to_owned());
        for (text, wanted) in [
            ("Starting from March 12th 2025, callbacks", vec![(StatedKind::ValidFrom, day("2025-03-12"))]),
            ("Starting from March 12 th 2025, callbacks", vec![(StatedKind::ValidFrom, day("2025-03-12"))]),
            ("must be completed by September 15th.", vec![(StatedKind::Deadline, None)]),
            ("40.113.73.229 from 2022.09.26.", vec![(StatedKind::ValidFrom, day("2022-09-26"))]),
            ("Legacy (until 26 September 2022)", vec![(StatedKind::ValidUntil, day("2022-09-26"))]),
            ("update by 2027-01-11", vec![(StatedKind::Deadline, day("2027-01-11"))]),
            ("it was 12/03/2025 then", vec![]),
            ("10 addresses", vec![]),
            (
                "from March 12th 2025, 12:00–13:00 CET, callbacks",
                vec![(StatedKind::ValidFrom, day("2025-03-12T12:00:00+01:00"))],
            ),
            (
                "from March 12th 2025 at 12:00 CET – 13:00 CET",
                vec![(StatedKind::ValidFrom, day("2025-03-12T12:00:00+01:00"))],
            ),
            ("from 2025-07-01 12:00 CET", vec![(StatedKind::ValidFrom, day("2025-07-01"))]),
            ("from 2025-07-01 at 12:00", vec![(StatedKind::ValidFrom, day("2025-07-01"))]),
            ("från och med den 12 mars 2025", vec![(StatedKind::ValidFrom, day("2025-03-12"))]),
            ("ab dem 12. März 2025", vec![(StatedKind::ValidFrom, day("2025-03-12"))]),
            ("senast den 15 september", vec![(StatedKind::Deadline, None)]),
            ("used until 2.5.2026", vec![(StatedKind::ValidUntil, day("2026-05-02"))]),
        ] {
            assert_eq!(told(text), wanted, "{text}");
        }
    }
}
