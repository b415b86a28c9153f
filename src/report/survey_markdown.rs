//! A survey as Markdown: a table of the steps, then the report of each that somebody has to look at, folded in.

use std::fmt::Write as _;

use super::escape::{code_cell, fence, prose};
use super::markdown::{Row, table};
use super::survey_text::{cut, details_wanted};
use super::survey_v1::{Outcome, Step, Survey};
use super::{drift_text, review_markdown, upstream_markdown};

/// Most characters of words of others in a cell.
const WORDS_MAX: usize = 400;
/// Most bytes of a step's report: a summary of a run at GitHub has at most one megabyte.
const DETAILS_BYTES_MAX: usize = 150_000;

// Writing into a String can't fail, so the results below are dropped.

/// The report.
pub fn markdown(survey: &Survey) -> String {
    let mark = match survey.outcome {
        Outcome::AsWanted | Outcome::Skipped => "✅",
        Outcome::Findings => "❌",
        Outcome::Undetermined => "❔",
        Outcome::Failed => "🛑",
    };
    let mut text = format!("## {mark} callgate: {}\n\n", survey.outcome.words());
    let _ = write!(text, "Judged at {}, by version {}.\n\n", survey.at, survey.program);
    text.push_str("| step | outcome | |\n| --- | --- | --- |\n");
    for step in &survey.steps {
        let help = step.help.as_ref().map(|help| format!(" Help: {}", prose(help, WORDS_MAX)));
        let said = prose(&step.summary, WORDS_MAX) + &help.unwrap_or_default();
        let _ = writeln!(text, "| {} | {} | {said} |", step.step.as_str(), step.outcome.words());
    }
    for step in survey.steps.iter().filter(|step| details_wanted(step)) {
        let details = details(survey, step.step);
        if !details.is_empty() {
            let name = step.step.as_str();
            let _ =
                write!(text, "\n<details><summary>{name}</summary>\n\n{}\n\n</details>\n", bounded(&details));
        }
    }
    text
}

/// A report that is not too long; one that is cut could leave a block open, so it is left out whole.
fn bounded(details: &str) -> &str {
    if details.len() > DETAILS_BYTES_MAX {
        return "This report is too long to be shown here: run the step by itself.";
    }
    details.trim_end()
}

fn details(survey: &Survey, step: Step) -> String {
    match step {
        Step::Check => findings(survey),
        Step::Review => survey.review.as_ref().map(review_markdown::comment).unwrap_or_default(),
        Step::Render => {
            let stale = survey.rendered.iter().flat_map(|rendered| &rendered.stale);
            let shown = stale.map(|stale| {
                let name = code_cell(&stale.path, WORDS_MAX);
                match stale.diff.as_str() {
                    "" => format!("- {name} is rendered no more\n"),
                    diff => {
                        let (diff, marks) = (cut(diff), fence(diff));
                        format!("- {name}\n\n{marks}diff\n{diff}{marks}\n\n")
                    }
                }
            });
            shown.collect()
        }
        Step::Diff => survey.drift.as_ref().map(drift_text::markdown).unwrap_or_default(),
        Step::Upstream => survey.upstream.as_ref().map(upstream_markdown::markdown).unwrap_or_default(),
    }
}

fn findings(survey: &Survey) -> String {
    let rows = survey.findings.iter().map(|found| Row {
        severity: found.severity.as_str().to_owned(),
        code: found.code,
        place: found.place.as_ref().map(|place| format!("{}:{}", place.file, place.line)).unwrap_or_default(),
        message: &found.message,
        waived: found.waived.as_deref(),
        help: found.help.as_deref(),
    });
    table(rows, survey.beyond, WORDS_MAX)
}
