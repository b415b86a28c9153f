//! Reports as Markdown, for pull requests and tickets.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::escape::{code_cell, prose};
use crate::diagnostic::Diagnostics;
use crate::policy::history::Change;
use crate::policy::load::Policies;
use crate::policy::{Lifecycle, Role};
use crate::site::Site;
use crate::timeline::Entry;

/// Most characters of free text in a cell: as many as a diagnostic's help has.
const WORDS_MAX: usize = 800;

/// Diagnostics as a table.
pub fn diagnostics(all: &Diagnostics) -> String {
    let mut text = String::new();
    if all.is_empty() {
        return text;
    }
    text.push_str("| | where | what | mend |\n| --- | --- | --- | --- |\n");
    for found in all {
        let place =
            found.place().map(|(file, line, column)| format!("{file}:{line}:{column}")).unwrap_or_default();
        let waived = found.waived.as_ref().map(|reason| format!(" (waived {})", prose(reason, WORDS_MAX)));
        // Writing into a String can't fail.
        let _ = writeln!(
            text,
            "| {} `{}` | {} | {}{} | {} |",
            found.severity,
            found.code,
            code_cell(&place, WORDS_MAX),
            prose(&found.message, WORDS_MAX),
            waived.unwrap_or_default(),
            prose(found.help.as_deref().unwrap_or(""), WORDS_MAX)
        );
    }
    if all.beyond() > 0 {
        let _ = writeln!(text, "\nand {} more", all.beyond());
    }
    text
}

/// Changes as a table.
pub fn changes(all: &[Change]) -> String {
    if all.is_empty() {
        return "No address is opened or closed.\n".to_owned();
    }
    let mut text = String::from(
        "| effect | addresses | provider | source | role | environment | from |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for change in all {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            change.effect.as_str(),
            crate::prefix::listed(&change.prefixes, 20),
            change.provider,
            change.sources.join(", "),
            change.role,
            change.environment,
            change.from
        );
    }
    text
}

/// Events as a table.
pub fn timeline(entries: &[&Entry], at: Timestamp) -> String {
    let mut text =
        String::from("| when | event | source | addresses | note |\n| --- | --- | --- | --- | --- |\n");
    for entry in entries {
        let ahead = if entry.at > at { " (ahead)" } else { "" };
        let _ = writeln!(
            text,
            "| {}{ahead} | {} | {}/{} | {} | {} |",
            entry.moment,
            entry.event,
            entry.provider,
            entry.source,
            crate::prefix::listed(&entry.prefixes, 8),
            prose(entry.note.as_deref().unwrap_or(""), WORDS_MAX)
        );
    }
    text
}

/// The lifecycles as a Mermaid gantt chart: a section a provider, a bar a state.
pub fn gantt(policies: &Policies, site: &Site, at: Timestamp) -> String {
    let mut text =
        String::from("```mermaid\ngantt\n    dateFormat YYYY-MM-DDTHH:mm:ss\n    axisFormat %Y-%m\n");
    for selection in &site.selections {
        let Some(policy) = policies.by_provider.get(&selection.provider) else { continue };
        let _ = writeln!(text, "    section {}", policy.provider);
        for source in &policy.sources {
            let Some(lifecycle) = source.environments.values().next() else { continue };
            for (state, from, to) in bars(lifecycle, source.role, at) {
                let mark = match state {
                    "announced" => "",
                    "active" => "active, ",
                    "grace" => "crit, ",
                    _ => "done, ",
                };
                let _ = writeln!(text, "    {} {state} :{mark}{}, {}", source.id, second(from), second(to));
            }
        }
    }
    text.push_str("```\n");
    text
}

/// An instant as the charts take it.
pub(super) fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// The states of a lifecycle with their spans; an open end is drawn up to a month after the instant.
pub(super) fn bars(
    lifecycle: &Lifecycle,
    role: Role,
    at: Timestamp,
) -> Vec<(&'static str, Timestamp, Timestamp)> {
    let start = |dated: &Option<crate::policy::Dated>| dated.as_ref().map(|dated| dated.moment.starts());
    let horizon = at.saturating_add(jiff::SignedDuration::from_hours(30 * 24)).unwrap_or(at);
    let withdrawn = lifecycle.withdrawn.as_ref().map(|dated| dated.moment.starts());
    let end =
        lifecycle.valid_until.moment().map(crate::instant::Moment::ends).or(withdrawn).unwrap_or(horizon);
    let named = [
        ("announced", start(&lifecycle.announced)),
        (if role == Role::Tombstone { "withdrawn" } else { "active" }, start(&lifecycle.valid_from)),
        ("grace", start(&lifecycle.legacy_since)),
    ];
    let begun: Vec<(&'static str, Timestamp)> =
        named.into_iter().filter_map(|(name, from)| Some((name, from?))).collect();
    let ends = begun
        .iter()
        .skip(1)
        .map(|(_, from)| *from)
        .chain([end.max(begun.last().map_or(end, |(_, from)| *from))]);
    begun.iter().zip(ends).map(|((name, from), to)| (*name, *from, to)).collect()
}
