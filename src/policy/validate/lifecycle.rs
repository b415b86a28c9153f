//! Lifecycles: instants read, in order, and with an end that somebody looks at.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use super::Checker;
use crate::diagnostic::{Code, Diagnostic};
use crate::policy::raw::{RawEnvironmentLifecycle, RawInstant, RawLifecycle, RawSource};
use crate::policy::{Dated, End, Environment, Lifecycle, Precision, Role};

impl Checker<'_> {
    /// The lifecycle of each environment that calls from a source.
    pub(super) fn environments(
        &mut self,
        raw: &RawSource,
        subject: &str,
    ) -> BTreeMap<Environment, Lifecycle> {
        let base = raw.lifecycle.as_ref().map(|lifecycle| self.lifecycle(lifecycle)).unwrap_or_default();
        self.check_withdrawn(raw, subject);
        let Some(listed) = &raw.environments else {
            let mut faults = check_order(&base);
            faults.extend(check_end(&base, raw, None));
            self.tell(faults, subject);
            return Environment::ALL.iter().map(|environment| (*environment, base.clone())).collect();
        };
        if listed.0.is_empty() {
            let message = format!("source `{subject}` is in no environment");
            self.fault(
                Code::EmptySource,
                &raw.span,
                message,
                "write `environments: [test, production]` or leave it out",
            );
        }
        let mut all = BTreeMap::new();
        let mut faults = Vec::new();
        for (environment, differing) in &listed.0 {
            let mut own = base.clone();
            if let Some(differing) = differing {
                self.overlay(&mut own, differing);
            }
            faults.extend(check_order(&own));
            faults.extend(check_end(&own, raw, differing.as_ref()));
            if all.insert(*environment, own).is_some() {
                let message = format!("environment `{environment}` is written twice");
                self.fault(Code::DuplicateId, &raw.span, message, "write each environment once");
            }
        }
        self.tell(faults, subject);
        all
    }

    /// Reports faults of a source's lifecycles; what its environments share is told once.
    fn tell(&mut self, faults: Vec<Fault>, subject: &str) {
        let mut told = HashSet::new();
        for fault in faults {
            if !told.insert((fault.message.clone(), fault.labels.first().map(|(place, _)| place.start))) {
                continue;
            }
            let found = Diagnostic::new(fault.code, fault.message).help(fault.help).about(subject);
            let placed =
                fault.labels.into_iter().fold(found, |found, (place, text)| found.at(self.text, place, text));
            self.sink.push(placed);
        }
    }

    fn lifecycle(&mut self, raw: &RawLifecycle) -> Lifecycle {
        Lifecycle {
            announced: self.dated(raw.announced.as_ref()),
            valid_from: self.dated(raw.valid_from.as_ref()),
            legacy_since: self.dated(raw.legacy_since.as_ref()),
            deadline: self.dated(raw.deadline.as_ref()),
            valid_until: raw.valid_until.as_ref().map_or(End::Open, |end| self.end(end)),
            withdrawn: self.dated(raw.withdrawn.as_ref()),
            review_by: self.dated(raw.review_by.as_ref()),
        }
    }

    fn overlay(&mut self, own: &mut Lifecycle, raw: &RawEnvironmentLifecycle) {
        let mut put = |field: &mut Option<Dated>, instant: &Option<RawInstant>| {
            if instant.is_some() {
                *field = self.dated(instant.as_ref());
            }
        };
        put(&mut own.announced, &raw.announced);
        put(&mut own.valid_from, &raw.valid_from);
        put(&mut own.legacy_since, &raw.legacy_since);
        put(&mut own.withdrawn, &raw.withdrawn);
        if let Some(end) = &raw.valid_until {
            own.valid_until = self.end(end);
        }
    }

    fn end(&mut self, raw: &RawInstant) -> End {
        if raw.at.value == "unknown" {
            End::Unknown
        } else {
            self.dated(Some(raw)).map_or(End::Open, End::At)
        }
    }

    fn dated(&mut self, raw: Option<&RawInstant>) -> Option<Dated> {
        let raw = raw?;
        let moment = self.day(&raw.at)?;
        let precision =
            raw.precision.unwrap_or(if moment.is_day() { Precision::Date } else { Precision::Instant });
        if moment.is_day() != (precision == Precision::Date) {
            let message = format!("precision `{precision}` does not fit `{moment}`");
            let help = "a date has precision `date`, a time of day `minute` or `instant`";
            self.fault(Code::InvalidValue, &raw.at.span, message, help);
        }
        Some(Dated { moment, precision, inferred: raw.inferred.clone(), place: raw.at.span.clone() })
    }

    /// What the pages no longer list is a tombstone, or it would go on being admitted.
    fn check_withdrawn(&mut self, raw: &RawSource, subject: &str) {
        let base = raw.lifecycle.as_ref().and_then(|lifecycle| lifecycle.withdrawn.as_ref());
        let mut differing = raw.environments.iter().flat_map(|environments| &environments.0);
        let withdrawn =
            base.or_else(|| differing.find_map(|(_, differing)| differing.as_ref()?.withdrawn.as_ref()));
        let tombstone = raw.role.as_ref().is_some_and(|role| role.value == Role::Tombstone);
        if let Some(withdrawn) = withdrawn.filter(|_| !tombstone) {
            let message = format!("source `{subject}` is withdrawn, but no tombstone");
            let fault =
                Diagnostic::new(Code::Contradiction, message).at(self.text, withdrawn.at.span.clone(), "");
            let help = "write `role: tombstone`; or, where callbacks may still come from it, `legacy_since:` and `review_by:`";
            self.sink.push(fault.help(help).about(subject));
        }
    }
}

/// A fault of a lifecycle, before it is known whether another environment has the same.
struct Fault {
    code: Code,
    message: String,
    labels: Vec<(Range<usize>, &'static str)>,
    help: &'static str,
}

/// What is wrong with how a lifecycle ends; `differing` is what one environment wrote over it.
fn check_end(
    lifecycle: &Lifecycle,
    raw: &RawSource,
    differing: Option<&RawEnvironmentLifecycle>,
) -> Option<Fault> {
    let base = raw.lifecycle.as_ref();
    let written = differing
        .and_then(|own| own.valid_until.as_ref())
        .or(base.and_then(|base| base.valid_until.as_ref()));
    // An end or review that can't be read is a fault of its own.
    let ended = written.is_some_and(|end| end.at.value != "unknown");
    let reviewed = base.is_some_and(|base| base.review_by.is_some());
    let tombstone = raw.role.as_ref().is_some_and(|role| role.value == Role::Tombstone);
    if ended || reviewed || (tombstone && lifecycle.withdrawn.is_some()) {
        return None;
    }
    let (code, message) = match (&lifecycle.legacy_since, &lifecycle.valid_until) {
        (Some(_), _) => (Code::GraceWithoutEnd, "a grace period with neither an end nor a review"),
        (None, End::Unknown) => (Code::MissingReview, "an unknown end without a review"),
        (None, End::Open | End::At(_)) => return None,
    };
    let place = lifecycle.legacy_since.as_ref().map(|dated| &dated.place).or(written.map(|end| &end.at.span));
    let labels = vec![(place.unwrap_or(&raw.span).clone(), "")];
    let help = "add `review_by:` to the lifecycle, with the day on which somebody looks again, or `valid_until:` where it is published";
    Some(Fault { code, message: message.to_owned(), labels, help })
}

/// Which instants of a lifecycle can't follow each other.
fn check_order(lifecycle: &Lifecycle) -> Vec<Fault> {
    let end = match &lifecycle.valid_until {
        End::At(dated) => Some(dated),
        End::Open | End::Unknown => None,
    };
    let named = [
        ("announced", lifecycle.announced.as_ref()),
        ("valid_from", lifecycle.valid_from.as_ref()),
        ("legacy_since", lifecycle.legacy_since.as_ref()),
        ("valid_until", end),
    ];
    let given: Vec<(&'static str, &Dated)> =
        named.into_iter().filter_map(|(name, dated)| Some((name, dated?))).collect();
    let mut pairs: Vec<_> =
        given.windows(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?))).collect();
    // A deadline may well be before the start: merchants have to be done by then. Nothing is before its announcement.
    let announced = lifecycle.announced.as_ref().map(|dated| ("announced", dated));
    let begun = announced.or(lifecycle.valid_from.as_ref().map(|dated| ("valid_from", dated)));
    pairs.extend(begun.zip(lifecycle.withdrawn.as_ref().map(|dated| ("withdrawn", dated))));
    pairs.extend(announced.zip(lifecycle.deadline.as_ref().map(|dated| ("deadline", dated))));
    pairs.into_iter().filter_map(|(early, late)| out_of_order(early, late)).collect()
}

fn out_of_order(
    (early_name, early): (&'static str, &Dated),
    (late_name, late): (&'static str, &Dated),
) -> Option<Fault> {
    let (ends, starts) = (late.moment.ends(), early.moment.starts());
    // A day is over at its end. Of instants only an end may not fall together with what is before it.
    let over = ends < starts || (ends == starts && (late.moment.is_day() || late_name == "valid_until"));
    if !over {
        return None;
    }
    let how = if ends == starts && !late.moment.is_day() { "is at the same instant as" } else { "is before" };
    let help = match late_name {
        "withdrawn" | "deadline" => {
            "nothing is withdrawn or falls due before it was made known: read the page again"
        }
        _ => "the order is announced, valid_from, legacy_since, valid_until",
    };
    let message = format!("`{late_name}` {how} `{early_name}`");
    let labels = vec![(late.place.clone(), late_name), (early.place.clone(), early_name)];
    Some(Fault { code: Code::InstantsOutOfOrder, message, labels, help })
}

/// All instants of a lifecycle as one line, for the digest.
pub(super) fn canonical(lifecycle: &Lifecycle) -> String {
    use std::fmt::Write as _;
    let mut line = String::new();
    let mut put = |dated: Option<&Dated>| {
        // Writing into a String can't fail.
        let _ = match dated {
            None => write!(line, " -"),
            Some(dated) => write!(
                line,
                " {}..{}",
                dated.moment.starts().as_nanosecond(),
                dated.moment.ends().as_nanosecond()
            ),
        };
    };
    lifecycle.dated().into_iter().for_each(&mut put);
    match &lifecycle.valid_until {
        End::Open => line.push_str(" open"),
        End::Unknown => line.push_str(" unknown"),
        End::At(dated) => put(Some(dated)),
    }
    line
}
