//! Instants as people write them: with an offset, as a civil time with a zone, or as a whole day.

use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::diagnostic::Code;

/// An instant, or a whole day, with the text it was read from.
///
/// A day has two ends. What starts on a day starts with it; what ends on a day lasts until it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    starts: Timestamp,
    ends: Timestamp,
    text: String,
}

impl Moment {
    /// The instant at which something that begins then begins.
    pub fn starts(&self) -> Timestamp {
        self.starts
    }

    /// The instant at which something that ends then is over: the end of the day for a day.
    pub fn ends(&self) -> Timestamp {
        self.ends
    }

    /// Whether it is a whole day.
    pub fn is_day(&self) -> bool {
        self.starts != self.ends
    }
}

/// The text as it was written.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Why a text is no [`Moment`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstantError {
    /// A time of day without offset or zone.
    #[error("`{0}` has a time but neither offset nor zone")]
    NoOffset(String),
    /// A zone that the time zone database does not have, or an abbreviation.
    #[error("`{0}` is not a zone of the time zone database")]
    Zone(String),
    /// A civil time that the zone skips or repeats.
    #[error("`{0}` does not exist or comes twice in its zone, as clocks change then")]
    Ambiguous(String),
    /// Anything else.
    #[error("`{0}` is not an instant")]
    Unreadable(String),
}

impl InstantError {
    /// The code under which it is told.
    pub fn code(&self) -> Code {
        match self {
            InstantError::Zone(_) => Code::BadZone,
            InstantError::NoOffset(_) | InstantError::Ambiguous(_) | InstantError::Unreadable(_) => {
                Code::BadInstant
            }
        }
    }

    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            InstantError::NoOffset(text) => {
                format!("say where: `{text}+01:00`, or `{text}[Europe/Stockholm]`")
            }
            InstantError::Zone(_) => {
                "name a place, such as Europe/Stockholm: abbreviations move with summer time".to_owned()
            }
            InstantError::Ambiguous(_) => {
                "write it with its offset, such as `2025-10-26T02:30:00+01:00`".to_owned()
            }
            InstantError::Unreadable(_) => {
                "write `2025-03-12T12:00:00+01:00`, `2025-03-12T12:00[Europe/Stockholm]` or `2025-03-12`"
                    .to_owned()
            }
        }
    }
}

/// Reads an instant; a date is a whole day in `zone`.
pub fn parse_moment(text: &str, zone: &TimeZone) -> Result<Moment, InstantError> {
    let unreadable = || InstantError::Unreadable(text.to_owned());
    if text.len() > 64 || !text.is_ascii() {
        return Err(unreadable());
    }
    let (civil, zone_name) = match text.strip_suffix(']').and_then(|inner| inner.split_once('[')) {
        Some((civil, name)) => (civil, Some(name)),
        None => (text, None),
    };
    if let Some(date) = parse_date(civil) {
        let place = match zone_name {
            Some(name) => parse_zone(name)?,
            None => zone.clone(),
        };
        return whole_day(date, &place, text);
    }
    let (local, offset) = split_offset(civil).ok_or_else(unreadable)?;
    let local: DateTime = parse_civil(local).ok_or_else(unreadable)?;
    let at = match (offset, zone_name) {
        (None, None) => return Err(InstantError::NoOffset(text.to_owned())),
        (None, Some(name)) => {
            let ambiguous = parse_zone(name)?.into_ambiguous_zoned(local);
            ambiguous
                .unambiguous()
                .map_err(|_unreported| InstantError::Ambiguous(text.to_owned()))?
                .timestamp()
        }
        (Some(_), None) => civil.parse().map_err(|_unreported| unreadable())?,
        (Some(_), Some(name)) => {
            let at: Timestamp = civil.parse().map_err(|_unreported| unreadable())?;
            let there = parse_zone(name)?;
            if there.to_datetime(at) == local { at } else { return Err(unreadable()) }
        }
    };
    Ok(Moment { starts: at, ends: at, text: text.to_owned() })
}

/// A zone of the time zone database that stays one place: `Europe/Stockholm`, `UTC`; no abbreviations.
pub fn parse_zone(name: &str) -> Result<TimeZone, InstantError> {
    let unknown = || InstantError::Zone(name.to_owned());
    if name != "UTC" && !name.contains('/') {
        return Err(unknown());
    }
    TimeZone::get(name).map_err(|_unreported| unknown())
}

/// Reads `36h`, `30d` or `4w`.
pub fn parse_duration(text: &str) -> Option<SignedDuration> {
    let (number, hours) = match text.char_indices().last()? {
        (at, 'h') => (text.get(..at)?, 1),
        (at, 'd') => (text.get(..at)?, 24),
        (at, 'w') => (text.get(..at)?, 7 * 24),
        _ => return None,
    };
    let number: i64 =
        if number.bytes().all(|byte| byte.is_ascii_digit()) { number.parse().ok()? } else { return None };
    // A hundred years: beyond that nothing falls due.
    (number <= 100 * 366 * 24).then(|| SignedDuration::from_hours(number.saturating_mul(hours)))
}

fn parse_date(text: &str) -> Option<Date> {
    if text.len() == 10 { text.parse().ok() } else { None }
}

fn whole_day(date: Date, zone: &TimeZone, text: &str) -> Result<Moment, InstantError> {
    let unreadable = |_unreported: jiff::Error| InstantError::Unreadable(text.to_owned());
    let starts = date.to_zoned(zone.clone()).map_err(unreadable)?.timestamp();
    let next = date.tomorrow().map_err(unreadable)?;
    let ends = next.to_zoned(zone.clone()).map_err(unreadable)?.timestamp();
    Ok(Moment { starts, ends, text: text.to_owned() })
}

/// Cuts `Z` or `+hh:mm` off; `None` in the first place where the text has no time of day.
fn split_offset(text: &str) -> Option<(&str, Option<&str>)> {
    let time_at = text.find('T')?;
    if let Some(local) = text.strip_suffix('Z') {
        return Some((local, Some("Z")));
    }
    let time = text.get(time_at..)?;
    match time.find(['+', '-']) {
        None => Some((text, None)),
        Some(sign) => {
            let (local, offset) = text.split_at_checked(time_at + sign)?;
            let shaped = offset.len() == 6 && offset.as_bytes().get(3) == Some(&b':');
            shaped.then_some((local, Some(offset)))
        }
    }
}

/// `2025-03-12T12:00`, with seconds and a fraction or without.
fn parse_civil(text: &str) -> Option<DateTime> {
    let shaped = text.len() >= 16 && text.as_bytes().get(13) == Some(&b':');
    if shaped { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(String, String), InstantError> {
        let moment = parse_moment(text, &parse_zone("Europe/Stockholm").unwrap())?;
        Ok((moment.starts().to_string(), moment.ends().to_string()))
    }

    #[test]
    fn the_three_forms_are_read() {
        let noon = || Ok(("2025-03-12T11:00:00Z".to_owned(), "2025-03-12T11:00:00Z".to_owned()));
        assert_eq!(check("2025-03-12T12:00:00+01:00"), noon());
        assert_eq!(check("2025-03-12T12:00[Europe/Stockholm]"), noon());
        assert_eq!(check("2025-03-12T12:00+01:00[Europe/Stockholm]"), noon());
        assert_eq!(check("2025-03-12T11:00Z"), noon());
        assert_eq!(check("2025-09-15"), Ok(("2025-09-14T22:00:00Z".into(), "2025-09-15T22:00:00Z".into())));
        assert_eq!(
            check("2025-09-15[UTC]"),
            Ok(("2025-09-15T00:00:00Z".into(), "2025-09-16T00:00:00Z".into()))
        );
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        assert!(matches!(check("2025-03-12T12:00"), Err(InstantError::NoOffset(_))));
        assert!(matches!(check("2025-10-26T02:30[Europe/Stockholm]"), Err(InstantError::Ambiguous(_))));
        assert!(matches!(check("2025-03-30T02:30[Europe/Stockholm]"), Err(InstantError::Ambiguous(_))));
        assert!(matches!(check("2025-03-12T12:00[CET]"), Err(InstantError::Zone(_))));
        assert!(matches!(check("2025-03-12T12:00[Europe/Stokholm]"), Err(InstantError::Zone(_))));
        for text in [
            "",
            "soon",
            "2025-3-12",
            "2025-02-30",
            "12.03.2025",
            "2025-03-12T25:00Z",
            "2025-03-12 12:00",
            "2025-03-12T12:00+02:00[Europe/Stockholm]",
            "2025-03-12T12:00+0100",
            "9999-12-31",
            "2025-09-15]",
        ] {
            assert!(matches!(check(text), Err(InstantError::Unreadable(_))), "{text}: {:?}", check(text));
        }
    }

    #[test]
    fn durations_are_hours_days_and_weeks() {
        assert_eq!(parse_duration("30d"), Some(SignedDuration::from_hours(720)));
        assert_eq!(parse_duration("2w"), parse_duration("336h"));
        for text in ["", "d", "30", "-1d", "1.5d", "99999999999999999999d", "30m"] {
            assert_eq!(parse_duration(text).filter(|_| text != "d"), None, "{text}");
        }
    }
}
