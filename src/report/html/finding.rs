//! What `check` and `review` say: the heaviest first.

use serde::Serialize;

use super::Limits;
use super::words::{Piece, beyond, first, sentence, words};
use crate::report::finding::{Finding as Report, Weight};

/// The part of the page.
#[derive(Serialize)]
pub(super) struct Findings {
    pub all: Vec<Finding>,
    pub left_out: Option<String>,
}

/// A finding.
#[derive(Serialize)]
pub(super) struct Finding {
    severity: &'static str,
    tone: &'static str,
    code: &'static str,
    message: Vec<Piece>,
    help: Option<Vec<Piece>>,
    subject: Option<String>,
    place: Option<String>,
    waived: Option<String>,
    known: bool,
}

/// Findings, and how many were counted and not kept.
pub(super) fn findings(all: &[Report], counted: usize, limits: Limits) -> Findings {
    let mut sorted: Vec<&Report> = all.iter().collect();
    sorted.sort_by_key(|found| (found.waived.is_some(), found.severity));
    let (kept, _) = first(&sorted, limits, "finding");
    Findings {
        left_out: beyond(all.len().saturating_add(counted), kept.len(), "finding"),
        all: kept.iter().map(|found| finding(found, limits)).collect(),
    }
}

fn finding(found: &Report, limits: Limits) -> Finding {
    let (severity, tone) = match found.severity {
        _ if found.waived.is_some() => ("waived", "none"),
        Weight::Error => ("error", "bad"),
        Weight::Warning => ("warning", "warn"),
        Weight::Note => ("note", "none"),
    };
    let place = found.place.as_ref().map(|place| {
        let of_base = if place.in_base { ", before the change" } else { "" };
        format!("{}:{}:{}{of_base}", words(&place.file, limits), place.line, place.column)
    });
    Finding {
        severity,
        tone,
        code: found.code,
        message: sentence(&found.message, limits),
        help: found.help.as_ref().map(|help| sentence(help, limits)),
        subject: found.subject.as_ref().map(|subject| words(subject, limits)),
        place,
        waived: found.waived.as_ref().map(|waived| words(waived, limits)),
        known: found.known,
    }
}
