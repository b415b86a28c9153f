//! What is remembered of a change: the journal while it is unfinished or unconfirmed, the baseline and its end afterwards.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::allowlist::Revision;
use crate::holding::lasting::Lasting;
use crate::holding::{Content, Holding};
use crate::prefix::Prefix;
use crate::system::boot::Uptime;

/// The name of one run of `apply`: in the journal, in the names of its timer, and in what is said of it.
/// Letters, digits and hyphens, so that it is fit for the name of a file and of a systemd unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// The run that began at this instant in this process.
    pub fn new(started: Timestamp, pid: u32) -> Self {
        Self(format!("{}-{pid}", started.strftime("%Y%m%dT%H%M%SZ")))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

/// A text that names no run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of a run")]
pub struct NoRunId(String);

impl TryFrom<String> for RunId {
    type Error = NoRunId;

    fn try_from(text: String) -> Result<Self, NoRunId> {
        let worded = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if worded && (1..=64).contains(&text.len()) && !text.starts_with('-') {
            Ok(Self(text))
        } else {
            Err(NoRunId(text))
        }
    }
}

impl FromStr for RunId {
    type Err = NoRunId;

    fn from_str(text: &str) -> Result<Self, NoRunId> {
        text.to_owned().try_into()
    }
}

/// A change that is unfinished or unconfirmed, and all that is needed to undo it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Which run.
    pub id: RunId,
    /// The version of the program that made the change.
    pub tool_version: String,
    /// The plan's digest.
    pub plan: String,
    /// When it began, by the wall clock.
    #[serde(with = "text")]
    pub started: Timestamp,
    /// Which start of the kernel it happened in.
    pub boot: String,
    /// Until when it has to be confirmed; `None` where nobody was asked to.
    pub deadline: Option<Deadline>,
    /// How far it came.
    pub phase: Phase,
    /// Every place that the change touches.
    pub snapshots: Vec<Snapshot>,
    /// What becomes the baseline, once the change is kept.
    pub baseline: Baseline,
}

impl Journal {
    /// Whether its deadline has passed. The machine was started anew since then, or its uptime has come that far: the
    /// wall clock is not asked, so setting it back or forward neither keeps a change nor undoes it.
    pub fn is_due(&self, now: &Uptime) -> bool {
        self.left(now).is_some_and(|left| left.is_zero())
    }

    /// How long there is left to confirm it; `None` where there is no deadline.
    pub fn left(&self, now: &Uptime) -> Option<Duration> {
        let deadline = self.deadline.as_ref()?;
        if self.boot != now.boot {
            return Some(Duration::ZERO);
        }
        Some(Duration::from_millis(deadline.uptime_milliseconds).saturating_sub(now.elapsed))
    }
}

/// Until when a change has to be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadline {
    /// By the wall clock, for people only.
    #[serde(with = "text")]
    pub at: Timestamp,
    /// By the kernel's uptime, suspended time counted: this one decides.
    pub uptime_milliseconds: u64,
}

impl Deadline {
    /// In so long from now, which is said by both clocks.
    pub fn after(wait: Duration, now: Timestamp, uptime: &Uptime) -> Self {
        let due = uptime.elapsed.saturating_add(wait);
        Self {
            at: now.checked_add(wait).unwrap_or(Timestamp::MAX),
            uptime_milliseconds: u64::try_from(due.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// How far a change came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Steps are being carried out.
    Applying,
    /// All is in force, and waits to be confirmed.
    Waiting,
    /// What was there before is being brought back.
    Restoring,
}

/// One place before and after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The target that it belongs to, by its name in the site.
    pub target: String,
    /// The place.
    pub holding: Holding,
    /// What it held before.
    pub before: Content,
    /// What it was to hold.
    pub after: Content,
}

/// What was in force after the last change that was kept. It tells what somebody else changed since from what the policy
/// changed since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The instant that the allowlist holds for.
    #[serde(with = "text")]
    pub at: Timestamp,
    /// The plan's digest.
    pub plan: String,
    /// The version of the program that carried it out.
    pub tool_version: String,
    /// What was put in force, and where: before the prefixes, which can be many.
    pub in_force: InForce,
    /// The prefixes of the allowlist.
    #[serde(with = "texts")]
    pub prefixes: Vec<Prefix>,
    /// The files from which the host loads our places when it starts.
    #[serde(default)]
    pub lasting: Vec<Lasting>,
}

/// What a change put in force, and where. It names the prefixes without having them: a policy's digest is over those of its
/// sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InForce {
    /// The policies.
    pub policies: Vec<Revision>,
    /// Their sources that were admitted.
    pub sources: Vec<Applied>,
    /// Our places.
    pub places: Vec<Held>,
}

impl InForce {
    /// The same as the JSON of a baseline has it. No text in one can look like it, because its quotes would be escaped.
    pub(super) fn written(&self) -> Option<String> {
        serde_json::to_string(self).ok().map(|words| format!("\"in_force\":{words},"))
    }
}

/// A source that was admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// The provider's id. Text: a policy may be gone since.
    pub provider: String,
    /// The source's id.
    pub source: String,
    /// The source's state.
    pub state: String,
}

/// A place that was filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The target that it belongs to, by its name in the site.
    pub target: String,
    /// The place.
    pub holding: Holding,
}

/// How the last change ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Last {
    /// How.
    pub outcome: Ending,
    /// When, by the wall clock.
    #[serde(with = "text")]
    pub at: Timestamp,
    /// Which run.
    pub id: RunId,
    /// In words: why it was rolled back, or what failed.
    pub message: String,
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Kept: nobody had to confirm it.
    Kept,
    /// Confirmed in time.
    Confirmed,
    /// What was there before is there again.
    RolledBack,
    /// It neither came to its end nor could it be undone: somebody has to look.
    Failed,
}

/// Values as the text that they are shown as and read from.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr,
        T::Err: Display,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// The same for lists of prefixes.
mod texts {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::prefix::Prefix;

    struct Text(Prefix);

    impl serde::Serialize for Text {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            self.0.with_text(|text| to.serialize_str(text))
        }
    }

    pub(super) fn serialize<S: Serializer>(values: &[Prefix], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().copied().map(Text))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Prefix>, D::Error> {
        // Nothing here needs escapes, so each is read where it stands.
        let texts = Vec::<&str>::deserialize(from)?;
        texts.into_iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::apply) fn instant() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    pub(in crate::apply) fn uptime(boot: &str, seconds: u64) -> Uptime {
        Uptime { boot: boot.to_owned(), elapsed: Duration::from_secs(seconds) }
    }

    /// A journal of a change to two places, to be confirmed within a minute of an uptime of 1000 seconds.
    pub(in crate::apply) fn journal(id: &str) -> Journal {
        let table = Holding::NftTable { table: "callgate".to_owned() };
        let file = Holding::NginxFile { path: "/etc/nginx/callgate.conf".into(), config: None };
        let after = Some("table inet callgate {\n\tset v4 { }\n}\n".into());
        let snapshot = |holding: &Holding, before: Content, after: Content| Snapshot {
            target: "edge".to_owned(),
            holding: holding.clone(),
            before,
            after,
        };
        Journal {
            id: id.parse().unwrap(),
            tool_version: "0.1.0".to_owned(),
            plan: "ab".repeat(32),
            started: instant(),
            boot: "this".to_owned(),
            deadline: Some(Deadline::after(Duration::from_mins(1), instant(), &uptime("this", 1000))),
            phase: Phase::Waiting,
            snapshots: vec![
                snapshot(&table, None, after),
                snapshot(&file, Some("allow 10.0.0.1; # \"é\"\u{7f}\0\n".into()), None),
            ],
            baseline: Baseline {
                at: instant(),
                plan: "ab".repeat(32),
                tool_version: "0.1.0".to_owned(),
                in_force: InForce {
                    policies: vec![Revision {
                        provider: "swedbank-pay".to_owned(),
                        revision: 3,
                        digest: "0f".repeat(32),
                    }],
                    sources: vec![Applied {
                        provider: "swedbank-pay".to_owned(),
                        source: "azure".to_owned(),
                        state: "active".to_owned(),
                    }],
                    places: vec![Held { target: "edge".to_owned(), holding: table }],
                },
                prefixes: vec!["20.91.170.120/29".parse().unwrap()],
                lasting: Vec::new(),
            },
        }
    }

    #[test]
    fn a_deadline_is_the_kernels_uptime_and_no_clock_that_can_be_set() {
        let journal = journal("a");
        assert_eq!(journal.deadline.unwrap().at, "2026-03-01T12:01:00Z".parse().unwrap());
        assert_eq!(journal.left(&uptime("this", 1030)), Some(Duration::from_secs(30)));
        assert!(!journal.is_due(&uptime("this", 1059)));
        assert!(journal.is_due(&uptime("this", 1060)));
        assert!(journal.is_due(&uptime("this", 99_999)));
        // Started anew, however long ago.
        assert!(journal.is_due(&uptime("another", 5)));
        assert!(journal.is_due(&uptime("another", 1030)));
        let unasked = Journal { deadline: None, ..journal };
        assert!(!unasked.is_due(&uptime("another", 99_999)));
        let never = Deadline::after(Duration::MAX, instant(), &uptime("this", 1));
        assert_eq!((never.at, never.uptime_milliseconds), (Timestamp::MAX, u64::MAX));
    }

    #[test]
    fn the_name_of_a_run_is_fit_for_files_and_units() {
        assert_eq!(RunId::new(instant(), 4711).as_str(), "20260301T120000Z-4711");
        for bad in ["", "-x", "a/b", "a.b", "a b", "../x", "é", &"x".repeat(65)] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
            assert!(serde_json::from_str::<RunId>(&format!("{bad:?}")).is_err(), "{bad}");
        }
    }
}
