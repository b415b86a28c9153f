//! What a selector reads of a page, for machines: version 1.

use serde::Serialize;

use crate::plain::line;
use crate::upstream::{Published, Reading, StatedKind};

/// The version of this report.
const VERSION: u32 = 1;

/// The report.
#[derive(Debug, Serialize)]
pub struct Extract {
    version: u32,
    /// `list`, `empty`, `unreadable` or `moved`.
    outcome: &'static str,
    /// Why it is no list; nothing for a list.
    reason: Option<String>,
    /// The line at which it is unreadable.
    line: Option<u32>,
    /// Where the page stands now.
    moved_to: Option<String>,
    published: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    prefix: String,
    role: &'static str,
    environments: Vec<&'static str>,
    label: Option<String>,
    dates: Vec<Date>,
    line: u32,
    text: String,
}

#[derive(Debug, Serialize)]
struct Date {
    /// `valid-from`, `valid-until` or `deadline`.
    kind: &'static str,
    /// The day, where the page gives all of it.
    at: Option<String>,
    text: String,
}

impl Extract {
    /// The report of a reading.
    pub fn new(reading: &Reading) -> Self {
        let (outcome, reason) = match reading {
            Reading::List(_) => ("list", None),
            Reading::Empty => ("empty", Some(EMPTY.to_owned())),
            Reading::Unreadable(why) => ("unreadable", Some(line(&why.reason))),
            Reading::Moved(_) => ("moved", Some(MOVED.to_owned())),
        };
        let at = match reading {
            Reading::Unreadable(why) => why.line,
            Reading::List(_) | Reading::Empty | Reading::Moved(_) => None,
        };
        let moved_to = match reading {
            Reading::Moved(url) => url.as_deref().map(line),
            Reading::List(_) | Reading::Empty | Reading::Unreadable(_) => None,
        };
        let published = match reading {
            Reading::List(entries) => entries.iter().map(entry).collect(),
            Reading::Empty | Reading::Unreadable(_) | Reading::Moved(_) => Vec::new(),
        };
        Self { version: VERSION, outcome, reason, line: at, moved_to, published }
    }
}

/// What an empty page is.
pub(super) const EMPTY: &str = "the page was read whole and publishes no address";
/// What a moved page is.
pub(super) const MOVED: &str = "the page only sends its reader elsewhere";

fn entry(entry: &Published) -> Entry {
    let date = |date: &crate::upstream::Stated| Date {
        kind: kind(date.kind),
        at: date.moment.as_ref().map(ToString::to_string),
        text: line(&date.text),
    };
    Entry {
        prefix: entry.prefix.to_string(),
        role: entry.role.as_str(),
        environments: entry.environments.iter().map(|one| one.as_str()).collect(),
        label: entry.label.as_deref().map(line),
        dates: entry.dates.iter().map(date).collect(),
        line: entry.line,
        text: line(&entry.text),
    }
}

/// The word for what happens on a date.
pub(super) fn kind(kind: StatedKind) -> &'static str {
    match kind {
        StatedKind::ValidFrom => "valid-from",
        StatedKind::ValidUntil => "valid-until",
        StatedKind::Deadline => "deadline",
    }
}
