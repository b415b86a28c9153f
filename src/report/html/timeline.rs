//! The timeline: one row a source, its states as bars on a scale that all rows share, and the instant of the report.
//!
//! Places are hundredths of a percent of the chart's width, so that bars grow with the page and words do not.

use std::collections::HashSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::Serialize;

use super::Limits;
use super::words::{When, beyond, counted, day, when, words};
use crate::report::source_v1::Instant;
use crate::report::survey_v1::{LifecycleReport, PolicySurvey, SourceReport, SpanReport};

/// Hundredths of a percent in the whole.
const WHOLE: i64 = 10_000;
/// Bars narrower than this hold no word.
const LABEL_MIN: i64 = 700;
/// More marks on the axis would run into each other on a telephone.
const TICKS_MAX: usize = 7;
/// Nearer to an end of the chart, a year would stand beside it.
const EDGE: i64 = 300;
/// What is longer ago or further ahead is at the edge.
const YEARS_BACK: i64 = 10;
const YEARS_AHEAD: i64 = 5;

/// The chart.
#[derive(Serialize)]
pub(super) struct Timeline {
    ticks: Vec<Tick>,
    now: Now,
    providers: Vec<Provider>,
    /// The sources that have a row, as `provider/source`.
    #[serde(skip)]
    pub named: HashSet<String>,
}

/// A mark of the axis.
#[derive(Serialize)]
struct Tick {
    x: String,
    label: String,
}

/// The instant of the report.
#[derive(Serialize)]
struct Now {
    x: String,
    /// Whether its word stands before the line, because there is no room behind it.
    is_late: bool,
    at: When,
    day: String,
}

/// The sources of one provider.
#[derive(Serialize)]
struct Provider {
    anchor: String,
    id: String,
    name: String,
    revision: u32,
    rows: Vec<Row>,
    left_out: Option<String>,
}

/// A source, in environments in which it is alike.
#[derive(Serialize)]
struct Row {
    /// Where others lead to; all but the first row of a source have none.
    anchor: Option<String>,
    /// Where its evidence stands.
    href: Option<String>,
    source: String,
    label: Option<String>,
    role: &'static str,
    environments: String,
    prefixes: String,
    state: &'static str,
    admitted: bool,
    bars: Vec<Bar>,
    fade: Option<Fade>,
    marks: Vec<Mark>,
    dates: Vec<Day>,
}

/// A state on the chart.
#[derive(Serialize)]
struct Bar {
    state: &'static str,
    x: String,
    width: String,
    label: Option<&'static str>,
    /// Nothing ends it: an arrow says so.
    is_open: bool,
    /// Not admitted any more: drawn thin.
    is_over: bool,
}

/// Where nobody knows how long it goes on.
#[derive(Serialize)]
struct Fade {
    x: String,
    width: String,
}

/// A deadline or a day of review.
#[derive(Serialize)]
struct Mark {
    kind: &'static str,
    x: String,
}

/// An instant in words, as the policy has it.
#[derive(Serialize)]
struct Day {
    what: &'static str,
    written: String,
    inferred: bool,
}

/// The chart of these sources at an instant; `described` are those whose evidence the page has.
pub(super) fn timeline(
    policy: &PolicySurvey,
    at: &str,
    described: &HashSet<String>,
    limits: Limits,
) -> Timeline {
    let now: Timestamp = at.parse().unwrap_or_default();
    let scale = Scale::over(policy, now);
    let place = scale.place(now);
    let mut named = HashSet::new();
    let mut room = limits.rows;
    let providers = policy.policies.iter().take(limits.rows).map(|one| {
        let sources: Vec<&SourceReport> =
            policy.sources.iter().filter(|source| source.provider == one.provider).collect();
        let kept: Vec<&&SourceReport> = sources.iter().take(room).collect();
        room = room.saturating_sub(kept.len());
        named.extend(kept.iter().map(|source| format!("{}/{}", source.provider, source.source)));
        Provider {
            anchor: format!("timeline-{}", one.provider),
            id: one.provider.clone(),
            name: words(&one.name, limits),
            revision: one.revision,
            left_out: beyond(sources.len(), kept.len(), "source"),
            rows: kept.into_iter().flat_map(|source| rows(source, &scale, described, limits)).collect(),
        }
    });
    Timeline {
        providers: providers.collect(),
        named,
        ticks: scale.ticks(),
        now: Now {
            x: percent(place),
            is_late: place > WHOLE * 4 / 5,
            at: when(at),
            day: now.strftime("%Y-%m-%d").to_string(),
        },
    }
}

fn rows(source: &SourceReport, scale: &Scale, described: &HashSet<String>, limits: Limits) -> Vec<Row> {
    let name = format!("{}.{}", source.provider, source.source);
    let is_described = described.contains(&format!("{}/{}", source.provider, source.source));
    let row = |(index, lifecycle): (usize, &LifecycleReport)| Row {
        anchor: (index == 0).then(|| format!("row.{name}")),
        href: is_described.then(|| format!("source.{name}")),
        source: source.source.clone(),
        label: source.label.as_ref().map(|label| words(label, limits)),
        role: source.role,
        environments: lifecycle.environments.join(" and "),
        prefixes: match source.prefixes.as_slice() {
            [one] => one.clone(),
            [one, other] => format!("{one}, {other}"),
            more => counted(more.len(), "prefix"),
        },
        state: lifecycle.state,
        admitted: source.admitted,
        bars: bars(lifecycle, scale),
        fade: fade(lifecycle, scale),
        marks: marks(lifecycle, scale),
        dates: lifecycle.instants.iter().map(written).collect(),
    };
    source.lifecycles.iter().enumerate().map(row).collect()
}

fn bars(lifecycle: &LifecycleReport, scale: &Scale) -> Vec<Bar> {
    let bar = |span: &SpanReport| {
        let from = span.from.as_deref().map_or(0, |from| scale.read(from));
        let to = span.to.as_deref().map_or(WHOLE, |to| scale.read(to));
        let width = to.saturating_sub(from);
        // What is over before the chart begins has no place on it.
        (width > 0).then(|| Bar {
            state: span.state,
            x: percent(from),
            width: percent(width),
            label: (width >= LABEL_MIN).then_some(span.state),
            is_over: !is_admitted(span.state),
            is_open: span.to.is_none() && lifecycle.end == "open" && is_admitted(span.state),
        })
    };
    lifecycle.spans.iter().filter_map(bar).collect()
}

/// From the instant of the report on, where an end is expected that nobody has published.
fn fade(lifecycle: &LifecycleReport, scale: &Scale) -> Option<Fade> {
    let last = lifecycle.spans.last()?;
    let begins = last.from.as_deref().map_or(0, |from| scale.read(from)).max(scale.clamped(scale.now));
    let is_unknown = last.to.is_none() && lifecycle.end == "unknown" && is_admitted(last.state);
    is_unknown.then(|| Fade { x: percent(begins), width: percent(WHOLE.saturating_sub(begins)) })
}

fn is_admitted(state: &str) -> bool {
    ["announced", "active", "grace"].contains(&state)
}

fn marks(lifecycle: &LifecycleReport, scale: &Scale) -> Vec<Mark> {
    let mark = |kind, at: &Option<String>| at.as_deref().map(|at| Mark { kind, x: percent(scale.read(at)) });
    [mark("deadline", &lifecycle.deadline), mark("review", &lifecycle.review_by)]
        .into_iter()
        .flatten()
        .collect()
}

fn written(instant: &Instant) -> Day {
    let what = match instant.what {
        "valid from" => "active",
        "legacy since" => "grace",
        "valid until" => "end",
        "review by" => "review",
        what => what,
    };
    Day { what, written: day(&instant.at).to_owned(), inferred: instant.inferred.is_some() }
}

/// Which instants the chart shows.
struct Scale {
    first: i64,
    last: i64,
    /// That of the report.
    now: i64,
}

impl Scale {
    /// From the first instant that is known to the last, with the instant of the report and some room behind it.
    fn over(policy: &PolicySurvey, now: Timestamp) -> Self {
        let lifecycles = policy.sources.iter().flat_map(|source| &source.lifecycles);
        let instants = lifecycles.flat_map(|lifecycle| {
            let spans = lifecycle.spans.iter().flat_map(|span| [&span.from, &span.to]);
            spans.chain([&lifecycle.deadline, &lifecycle.review_by]).flatten()
        });
        let now = now.as_second();
        let year = 366 * 24 * 3600;
        let known = instants.filter_map(|text| text.parse::<Timestamp>().ok()).map(Timestamp::as_second);
        let (first, last) = known.fold((now, now), |(first, last), at| (first.min(at), last.max(at)));
        let first = first.max(now.saturating_sub(YEARS_BACK * year));
        let last = last.min(now.saturating_add(YEARS_AHEAD * year));
        // Room before the first bar, and behind the line of the instant for what is still open.
        let length = last.saturating_sub(first).max(year);
        Self {
            now,
            first: first.saturating_sub(length / 50),
            last: last.saturating_add(length / 25).max(now.saturating_add(length / 6)),
        }
    }

    /// Where an instant is; at an edge where it is beyond.
    fn place(&self, at: Timestamp) -> i64 {
        self.clamped(at.as_second())
    }

    fn clamped(&self, second: i64) -> i64 {
        let length = i128::from(self.last.saturating_sub(self.first).max(1));
        let at = i128::from(second.clamp(self.first, self.last).saturating_sub(self.first));
        i64::try_from(at.saturating_mul(i128::from(WHOLE)) / length).unwrap_or(WHOLE)
    }

    fn read(&self, text: &str) -> i64 {
        text.parse().map_or(0, |at| self.place(at))
    }

    /// First days of months or years, as many as there is room for.
    fn ticks(&self) -> Vec<Tick> {
        let day = |second| Timestamp::from_second(second).map(|at| TimeZone::UTC.to_datetime(at).date());
        let (Ok(first), Ok(last)) = (day(self.first), day(self.last)) else { return Vec::new() };
        let steps = [1, 3, 6, 12, 24, 60, 120, 240];
        let fitting = steps.into_iter().map(|months| (months, marked(first, last, months)));
        let (months, days) =
            fitting.into_iter().find(|(_, days)| days.len() <= TICKS_MAX).unwrap_or((12, Vec::new()));
        let format = if months >= 12 { "%Y" } else { "%Y-%m" };
        let tick = |day: Date| {
            let place = self.place(day.to_zoned(TimeZone::UTC).ok()?.timestamp());
            let fits = (EDGE..=WHOLE.saturating_sub(EDGE)).contains(&place);
            fits.then(|| Tick { x: percent(place), label: day.strftime(format).to_string() })
        };
        days.into_iter().filter_map(tick).collect()
    }
}

/// The days between two that begin so many months.
fn marked(first: Date, last: Date, months: i64) -> Vec<Date> {
    let Ok(january) = Date::new(first.year(), 1, 1) else { return Vec::new() };
    let mut days: Vec<Date> = Vec::new();
    // One more than fit is enough to know that they do not.
    for step in 0..400_i64 {
        let Ok(day) = january.checked_add(step.saturating_mul(months).months()) else { break };
        if day > last || days.len() > TICKS_MAX {
            break;
        }
        if day > first {
            days.push(day);
        }
    }
    days
}

fn percent(hundredths: i64) -> String {
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(first: &str, last: &str) -> Scale {
        let second = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        Scale { first: second(first), last: second(last), now: second(last) }
    }

    #[test]
    fn instants_have_their_place_and_those_beyond_are_at_the_edge() {
        let scale = scale("2025-01-01T00:00:00Z", "2025-01-05T00:00:00Z");
        for (text, wanted) in [
            ("2024-01-01T00:00:00Z", "0.00%"),
            ("2025-01-01T00:00:00Z", "0.00%"),
            ("2025-01-02T00:00:00Z", "25.00%"),
            ("2025-01-04T23:59:59Z", "99.99%"),
            ("2030-01-01T00:00:00Z", "100.00%"),
        ] {
            assert_eq!(percent(scale.read(text)), wanted, "{text}");
        }
    }

    #[test]
    fn the_axis_has_as_many_marks_as_there_is_room_for() {
        for (first, last, wanted) in [
            ("2025-01-15T00:00:00Z", "2025-04-15T00:00:00Z", "2025-02 2025-03 2025-04"),
            ("2025-01-15T00:00:00Z", "2026-04-15T00:00:00Z", "2025-04 2025-07 2025-10 2026-01"),
            ("2021-05-31T00:00:00Z", "2027-03-15T00:00:00Z", "2022 2023 2024 2025 2026 2027"),
            ("2015-05-31T00:00:00Z", "2027-03-15T00:00:00Z", "2017 2019 2021 2023 2025 2027"),
            ("2025-01-02T00:00:00Z", "2025-01-03T00:00:00Z", ""),
        ] {
            let labels: Vec<String> = scale(first, last).ticks().into_iter().map(|tick| tick.label).collect();
            assert_eq!(labels.join(" "), wanted, "{first} to {last}");
        }
    }
}
