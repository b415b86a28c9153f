//! A plan, for people.

use std::fmt::Write as _;

use super::drift_text::{self, ranges_line};
use super::drift_v1::Outcome;
use super::plan_v1::{AfterReport, MoveReport, OverruledReport, PlanReport};
use crate::plain::{counted, line};

/// Most lines of a step's input that are shown.
const INPUT_LINES_MAX: usize = 12;

// Writing into a String can't fail, so the results below are dropped.

/// The plan as text.
pub fn text(report: &PlanReport) -> String {
    let mut text = String::new();
    let short = short(&report.stamp.digest);
    let _ = writeln!(text, "plan {short}: {}, at {}", counted(report.steps.len(), "step"), report.stamp.at);
    for step in &report.steps {
        let _ = writeln!(text, "  {}: {}", step.target, step.does);
        let lines: Vec<&str> = step.input.iter().flat_map(|input| input.lines()).collect();
        for one in lines.iter().take(INPUT_LINES_MAX) {
            let _ = writeln!(text, "    | {}", line(&one.replace('\t', "  ")));
        }
        if lines.len() > INPUT_LINES_MAX {
            let _ = writeln!(text, "    | and {} more lines", lines.len().saturating_sub(INPUT_LINES_MAX));
        }
    }
    report.overruled.iter().for_each(|one| overruled(one, &mut text));
    let only =
        report.moves.iter().all(|one| report.moves.first().is_some_and(|first| first.target == one.target));
    for one in &report.moves {
        moved(one, &mut text);
        // Where several targets move, the same address may move in each.
        let of = if only { String::new() } else { format!(" [{}]", one.target) };
        text.push_str(&of);
        text.push('\n');
    }
    for one in &report.changes {
        drift_text::plan(&format!("by all rules of the {}", one.layer), &one.change, &mut text);
    }
    text.push('\n');
    report.afterwards.iter().for_each(|one| afterwards(one, &mut text));
    for found in &report.findings {
        let _ =
            writeln!(text, "finding {}: {}\n  help: {}", found.code, line(&found.message), line(&found.help));
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {}", line(note));
    }
    for skipped in &report.skipped {
        let _ = writeln!(text, "not here: {}: {}", skipped.target, skipped.why);
    }
    for guardrail in &report.guardrails {
        let state = if guardrail.lifted { "lifted" } else { "refused" };
        let _ = writeln!(text, "{state} by {}: {}", guardrail.name, line(&guardrail.message));
        if !guardrail.lifted {
            let _ = writeln!(text, "  help: {}", line(&guardrail.help));
        }
    }
    text
}

/// The digits by which people name a plan.
pub fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

fn overruled(one: &OverruledReport, text: &mut String) {
    let shown = ranges_line(&one.ranges);
    let sources =
        if one.sources.is_empty() { String::new() } else { format!(" ({})", one.sources.join(", ")) };
    let _ = writeln!(
        text,
        "  overrules {}, which decides about {shown}{sources} at tcp/{} now ({})",
        line(&one.rule.located),
        one.port,
        one.part
    );
    if !one.rule.text.is_empty() {
        let _ = writeln!(text, "    | {}", line(&one.rule.text));
    }
}

fn moved(one: &MoveReport, text: &mut String) {
    let shown = ranges_line(&one.ranges);
    let source = one.source.as_ref().map(|source| format!(" {source}")).unwrap_or_default();
    let (way, state, reason) = (one.way, &one.state, line(&one.reason));
    let _ = write!(text, "  {way:6} {shown}{source} ({state}): {reason}");
}

fn afterwards(one: &AfterReport, text: &mut String) {
    let _ = writeln!(text, "afterwards {} ({}): {}", one.target, one.mode, one.outcome.as_str());
    if one.outcome != Outcome::AsWanted {
        one.differences.iter().for_each(|difference| drift_text::difference(difference, text));
    }
}
