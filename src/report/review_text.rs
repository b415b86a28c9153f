//! A reviewed change for people at a terminal.

use super::escape::one_line;
use super::finding::Finding;
use super::review_v1::{MoveReport, Report};
use crate::plain::counted;

/// Prefixes of a line.
const PREFIXES_MAX: usize = 10;

/// The report, the verdict last.
pub fn report(report: &Report) -> String {
    let mut text = String::new();
    for found in report.findings.iter().filter(|found| found.counts()) {
        text.push_str(&finding(found));
    }
    for one in &report.moves {
        text.push_str(&moved(one));
    }
    if report.instants_left_out > 0 {
        text.push_str(&format!("{} later instants were not looked at\n", report.instants_left_out));
    }
    for target in report.targets.iter().filter(|target| target.presence != "kept" || !target.files.is_empty())
    {
        let lines =
            |count: fn(&super::review_v1::FileReport) -> usize| target.files.iter().map(count).sum::<usize>();
        text.push_str(&format!(
            "target {} ({}, {}, {}): prefixes +{} -{}, lines +{} -{}\n",
            target.name,
            target.kind,
            target.mode,
            target.presence,
            target.opens.len(),
            target.closes.len(),
            lines(|file| file.added),
            lines(|file| file.removed)
        ));
        for quota in &target.quotas {
            text.push_str(&format!("  {}: {} = {} of {}\n", quota.what, quota.sum, quota.used, quota.most));
        }
    }
    for found in &report.concerns {
        text.push_str(&finding(found));
    }
    let known = report.totals.warnings_known;
    if known > 0 {
        text.push_str(&format!("not new: {}\n", counted(known, "warning")));
    }
    text.push_str(&format!("{}\n", report.summary));
    text
}

fn moved(one: &MoveReport) -> String {
    let from = if one.now { "now".to_owned() } else { format!("from {}", one.from) };
    let mut prefixes = one.prefixes.iter().take(PREFIXES_MAX).cloned().collect::<Vec<_>>().join(", ");
    if one.prefixes.len() > PREFIXES_MAX {
        prefixes.push_str(&format!(" and {} more", one.prefixes.len() - PREFIXES_MAX));
    }
    let until = one.until.as_ref().map(|until| match until.then {
        "ends" => format!(", until {}", until.at),
        _ => format!(", the base does so from {} on", until.at),
    });
    let why = one.why.as_ref().map(|why| format!(": {}", one_line(why))).unwrap_or_default();
    let mut text = format!(
        "{} {from}{}: {prefixes} ({}/{}, {}, {}){why}\n",
        one.effect,
        until.unwrap_or_default(),
        one.provider,
        one.source,
        one.state.unwrap_or("gone"),
        one.environments.join("+")
    );
    for piece in one.evidence.iter().take(3) {
        text.push_str(&format!("  {}, read {}\n", one_line(&piece.url), one_line(&piece.read)));
    }
    text
}

/// A finding in one line, and one for the mend.
pub(super) fn finding(found: &Finding) -> String {
    let place = found.place.as_ref().map(|place| {
        let of_base = if place.in_base { " of the base" } else { "" };
        format!(" {}:{}:{}{of_base}:", one_line(&place.file), place.line, place.column)
    });
    let help = found.help.as_ref().map(|help| format!("  help: {}\n", one_line(help))).unwrap_or_default();
    let weight = match found.by {
        super::finding::Says::Review => "look",
        super::finding::Says::Check | super::finding::Says::Change => found.severity.as_str(),
    };
    let waived = found.waived.as_ref().map(|waived| format!(" (waived {})", one_line(waived)));
    let (place, waived) = (place.unwrap_or_default(), waived.unwrap_or_default());
    format!("{weight}[{}]:{place} {}{waived}\n{help}", found.code, one_line(&found.message))
}
