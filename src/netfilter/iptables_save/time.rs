//! `-m time`, in UTC; by the kernel's own zone it is undecided.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::address::{number, spans};
use super::super::{Field, Match, Span, Test, Values};
use super::matches::undecided;
use super::option::Opt;
use super::outcome::Out;

/// The last second of a day.
const LAST: u32 = 86_399;

/// Whether an option is one of this match.
pub(super) fn claims(name: &str) -> bool {
    let own = [
        "--timestart",
        "--timestop",
        "--datestart",
        "--datestop",
        "--weekdays",
        "--monthdays",
        "--contiguous",
        "--utc",
        "--kerneltz",
        "--localtz",
    ];
    own.contains(&name)
}

/// The days and times of a rule, as `time_mt` of the kernel's `xt_time.c` uses them.
struct Window {
    seconds: Span<u32>,
    dates: Span<u32>,
    /// Bits 0, Sunday, to 6.
    weekdays: u32,
    /// Bits 1 to 31.
    monthdays: u32,
    contiguous: bool,
}

/// Adds the conditions of one match.
pub(super) fn read<'a>(options: impl Iterator<Item = Opt<'a>>, out: &mut Out) {
    let mut window = Window {
        seconds: (0, LAST),
        dates: (0, u32::MAX),
        weekdays: 0x7f,
        monthdays: u32::MAX << 1,
        contiguous: false,
    };
    for option in options {
        if window.take(option).is_none() {
            return out.test(undecided(option));
        }
    }
    window.conditions(out);
}

impl Window {
    /// Takes an option; `None` where it can't be decided.
    fn take(&mut self, option: Opt<'_>) -> Option<()> {
        let value = option.value();
        if option.negated && !matches!(option.name, "--weekdays" | "--monthdays") {
            return None;
        }
        match option.name {
            "--timestart" => self.seconds.0 = second(value)?,
            "--timestop" => self.seconds.1 = second(value)?,
            "--datestart" => self.dates.0 = date(value)?,
            "--datestop" => self.dates.1 = date(value)?,
            "--weekdays" => {
                let days = value.split(',').try_fold(0, |all, day| Some(all | 1 << weekday(day)?))?;
                self.weekdays = if option.negated { 0x7f & !days } else { days };
            }
            "--monthdays" => {
                let days = value.split(',').try_fold(0_u32, |all, day| {
                    number(day).filter(|day| (1..=31).contains(day)).map(|day| all | 1 << day)
                })?;
                self.monthdays = if option.negated { !days & u32::MAX << 1 } else { days };
            }
            "--contiguous" => self.contiguous = true,
            "--utc" => (),
            _ => return None,
        }
        Some(())
    }

    fn conditions(&self, out: &mut Out) {
        if self.dates != (0, u32::MAX) {
            out.test(within(Field::Time, vec![self.dates].into_iter().filter(|(a, b)| a <= b).collect()));
        }
        let (start, stop) = self.seconds;
        let over_midnight = start >= stop;
        if over_midnight && self.contiguous && self.days_matter() {
            return self.contiguous_days(out);
        }
        if !over_midnight {
            if self.seconds != (0, LAST) {
                out.test(within(Field::SecondOfDay, vec![self.seconds]));
            }
        } else if start - stop > 1 {
            out.test(within(Field::SecondOfDay, vec![(0, stop), (start, LAST)]));
        }
        if self.weekdays != 0x7f {
            out.test(within(Field::Weekday, ones(self.weekdays)));
        }
        if self.monthdays != u32::MAX << 1 {
            out.test(within(Field::MonthDay, ones(self.monthdays)));
        }
    }

    fn days_matter(&self) -> bool {
        self.weekdays != 0x7f || self.monthdays != u32::MAX << 1
    }

    /// Over midnight, the hours up to the stop belong to the day before.
    fn contiguous_days(&self, out: &mut Out) {
        if self.monthdays != u32::MAX << 1 {
            return out.unknown("option `--contiguous` with days of the month".to_owned());
        }
        let (start, stop) = self.seconds;
        let group = |seconds: Span<u32>, days: u32| {
            let test = |test| Match { negated: false, test };
            let seconds = Some(seconds).filter(|(first, last)| first <= last);
            let seconds = within(Field::SecondOfDay, seconds.into_iter().collect());
            vec![test(seconds), test(within(Field::Weekday, ones(days)))]
        };
        let shifted = (self.weekdays << 1 | self.weekdays >> 6) & 0x7f;
        out.test(Test::Any(vec![
            group((start.max(stop.saturating_add(1)), LAST), self.weekdays),
            group((0, stop), shifted),
        ]));
    }
}

/// One of these numbers; none of them is never.
fn within(field: Field, numbers: Vec<Span<u32>>) -> Test {
    spans(numbers).map_or(Test::Constant(false), |spans| Test::Is(field, Values::Numbers(spans)))
}

/// The numbers of bits that are set.
fn ones(bits: u32) -> Vec<Span<u32>> {
    (0..32).filter(|bit| bits & 1 << bit != 0).map(|bit| (bit, bit)).collect()
}

/// `hh:mm` or `hh:mm:ss`; leading zeros are not octal here.
fn second(text: &str) -> Option<u32> {
    let mut parts = text.split(':').map(|part| {
        let digits = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits { part.parse::<u32>().ok() } else { None }
    });
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let sound = hour < 24 && minute < 60 && second < 60 && parts.next().is_none();
    sound.then_some(hour * 3600 + minute * 60 + second)
}

/// 0 Sunday to 6 Saturday, of a name or of 1 Monday to 7 Sunday.
fn weekday(text: &str) -> Option<u32> {
    let names = ["su", "mo", "tu", "we", "th", "fr", "sa"];
    let start = text.get(..2).map(str::to_ascii_lowercase);
    match start.and_then(|start| names.iter().position(|name| *name == start)) {
        Some(day) => u32::try_from(day).ok(),
        None => number(text).filter(|day| (1..=7).contains(day)).map(|day| day % 7),
    }
}

/// `YYYY[-MM[-DD[Thh[:mm[:ss]]]]]`, seconds since 1970.
fn date(text: &str) -> Option<u32> {
    let (day, time) = text.split_once('T').unwrap_or((text, "0:0"));
    let mut parts = day.split('-').map(|part| {
        let digits = (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits { part.parse::<i16>().ok() } else { None }
    });
    let year = parts.next()??;
    let month = i8::try_from(parts.next().unwrap_or(Some(1))?).ok()?;
    let day = i8::try_from(parts.next().unwrap_or(Some(1))?).ok()?;
    if parts.next().is_some() {
        return None;
    }
    let time = if time.contains(':') { second(time)? } else { second(&format!("{time}:0"))? };
    let midnight = DateTime::new(year, month, day, 0, 0, 0, 0).ok()?;
    let midnight = midnight.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    u32::try_from(midnight).ok()?.checked_add(time)
}
