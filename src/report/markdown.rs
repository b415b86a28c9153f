//! Reports as Markdown, for pull requests and tickets.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::escape::{code_cell, prose};
use crate::diagnostic::Diagnostics;
use crate::policy::history::Change;
use crate::policy::load::Policies;
use crate::policy::{Lifecycle, Source, Span};
use crate::site::Site;
use crate::timeline::Entry;

/// Most characters of free text in a cell: as many as a diagnostic's help has.
const WORDS_MAX: usize = 800;

/// A finding, as a row of a table.
pub(super) struct Row<'a> {
    pub(super) severity: String,
    pub(super) code: &'a str,
    pub(super) place: String,
    pub(super) message: &'a str,
    pub(super) waived: Option<&'a str>,
    pub(super) help: Option<&'a str>,
}

/// Findings as a table, and how many there are beyond these. At most `most` characters of free text in a cell.
pub(super) fn table<'a>(rows: impl Iterator<Item = Row<'a>>, beyond: usize, most: usize) -> String {
    let mut text = String::from("| | where | what | mend |\n| --- | --- | --- | --- |\n");
    for row in rows {
        let waived = row.waived.map(|reason| format!(" (waived {})", prose(reason, most)));
        // Writing into a String can't fail.
        let _ = writeln!(
            text,
            "| {} `{}` | {} | {}{} | {} |",
            row.severity,
            row.code,
            code_cell(&row.place, most),
            prose(row.message, most),
            waived.unwrap_or_default(),
            prose(row.help.unwrap_or_default(), most)
        );
    }
    if beyond > 0 {
        let _ = writeln!(text, "\nand {beyond} more");
    }
    text
}

/// Diagnostics as a table.
pub fn diagnostics(all: &Diagnostics) -> String {
    if all.is_empty() {
        return String::new();
    }
    let rows = all.iter().map(|found| Row {
        severity: found.severity.to_string(),
        code: found.code.as_str(),
        place: found
            .place()
            .map(|(file, line, column)| format!("{file}:{line}:{column}"))
            .unwrap_or_default(),
        message: &found.message,
        waived: found.waived.as_deref(),
        help: found.help.as_deref(),
    });
    table(rows, all.beyond(), WORDS_MAX)
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

/// Most bars of a chart: Mermaid draws none whose text is longer than 50,000 characters.
const BARS_MAX: usize = 300;

/// How every chart begins: the instant that all is judged at stands in a section of its own.
pub(super) const CHART: &str = "```mermaid\ngantt\n    dateFormat YYYY-MM-DDTHH:mm:ss\n    axisFormat %Y-%m-%d\n    section now\n    judged at :milestone, ";

/// The lifecycles as a Mermaid gantt chart: a section a provider, a bar a state.
pub fn gantt(policies: &Policies, site: &Site, at: Timestamp) -> String {
    let mut text = format!("{CHART}{}, 0d\n", second(at));
    let (mut drawn, mut all) = (0, 0);
    for selection in &site.selections {
        let Some(policy) = policies.by_provider.get(&selection.provider) else { continue };
        let _ = writeln!(text, "    section {}", policy.provider);
        for source in &policy.sources {
            for (environment, bars) in rows(source, at) {
                all += bars.len();
                let left = BARS_MAX.saturating_sub(drawn);
                drawn += bars.len().min(left);
                bars.iter()
                    .take(left)
                    .for_each(|bar| text.push_str(&drawn_bar(source.id.as_str(), environment, bar)));
            }
        }
    }
    text.push_str("```\n");
    if drawn < all {
        let _ = writeln!(text, "\nLeft out of the chart: {} of {all} bars.", all - drawn);
    }
    text
}

fn drawn_bar(source: &str, environment: Option<&str>, (state, from, to): &Bar) -> String {
    bar_line(state, source, environment, [&second(*from), &second(*to)])
}

/// A line of a chart. The state comes first: an id may be a word of Mermaid, such as `click`, or look like a date, and is none only
/// where it does not begin the line. Otherwise ids are letters, digits and hyphens, so that nothing in them is a separator.
pub(super) fn bar_line(
    state: &str,
    source: &str,
    environment: Option<&str>,
    [from, to]: [&str; 2],
) -> String {
    let mark = match state {
        "active" => "active, ",
        "grace" => "crit, ",
        _ => "",
    };
    let environment = environment.map(|name| format!(" {name}")).unwrap_or_default();
    format!("    {state} {source}{environment} :{mark}{from}, {to}\n")
}

/// An instant as the charts take it.
pub(super) fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// A state and its span.
pub(super) type Bar = (&'static str, Timestamp, Timestamp);

/// The states of a source, once for all environments where they do not differ.
pub(super) fn rows(source: &Source, at: Timestamp) -> Vec<(Option<&'static str>, Vec<Bar>)> {
    let mut rows: Vec<(Option<&'static str>, Vec<Bar>)> = Vec::new();
    for (environment, lifecycle) in &source.environments {
        let bars = bars(lifecycle, at);
        match rows.as_mut_slice() {
            [(only, same)] if *same == bars => *only = None,
            _ => rows.push((Some(environment.as_str()), bars)),
        }
    }
    // One environment alone is all there is to say.
    if let [(only, _)] = rows.as_mut_slice() {
        *only = None;
    }
    rows
}

/// The states in which a source of this lifecycle is admitted, up to its end or withdrawal. An open end is drawn up to a month
/// after the instant, or after the last state began.
fn bars(lifecycle: &Lifecycle, at: Timestamp) -> Vec<Bar> {
    let withdrawn = lifecycle.withdrawn.as_ref().map(|dated| dated.moment.starts());
    let drawn = |span: Span| {
        let from = span.from.filter(|_| span.state.is_admitted())?;
        let open = at.max(from);
        let open = open.saturating_add(jiff::SignedDuration::from_hours(30 * 24)).unwrap_or(open);
        Some((span.state.as_str(), from, span.to.or(withdrawn).unwrap_or(open).max(from)))
    };
    lifecycle.spans().into_iter().filter_map(drawn).collect()
}
