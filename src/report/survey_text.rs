//! A survey for people at a terminal: what somebody has to look at, then one line a step.

use std::fmt::Write as _;

use super::escape::{inert, one_line};
use super::survey_v1::{Outcome, Step, StepReport, Survey};
use super::{drift_text, review_text, upstream_text};
use crate::plain::lines;

/// Most lines of the difference of one file.
const DIFF_LINES_MAX: usize = 40;

// Writing into a String can't fail, so the results below are dropped.

/// The report; the summary comes last, where a terminal shows it.
pub fn text(survey: &Survey) -> String {
    let mut text = String::new();
    for step in survey.steps.iter().filter(|step| details_wanted(step)) {
        let details = details(survey, step.step);
        if !details.is_empty() {
            let _ = write!(text, "==== {} ====\n{}\n\n", step.step.as_str(), details.trim_end());
        }
    }
    let _ = writeln!(text, "callgate {}, judged at {}", survey.program, survey.at);
    for step in &survey.steps {
        let _ = writeln!(text, "  {:9} {:12}  {}", step.step.as_str(), step.outcome.words(), step.summary);
        if let Some(help) = &step.help {
            let _ = writeln!(text, "  {:9} {:12}  help: {help}", "", "");
        }
    }
    let _ = writeln!(text, "{}", survey.summary);
    text
}

/// Whether there is more to say of a step than its line.
pub(super) fn details_wanted(step: &StepReport) -> bool {
    match step.outcome {
        Outcome::Findings | Outcome::Failed | Outcome::Undetermined => true,
        // What a change opens and closes is told even where nothing of it needs a second look.
        Outcome::AsWanted => step.step == Step::Review,
        Outcome::Skipped => false,
    }
}

fn details(survey: &Survey, step: Step) -> String {
    match step {
        Step::Check => {
            let mut text: String = survey.findings.iter().map(review_text::finding).collect();
            if survey.beyond > 0 {
                let _ = writeln!(text, "and {} more", survey.beyond);
            }
            text
        }
        Step::Review => survey.review.as_ref().map(review_text::report).unwrap_or_default(),
        Step::Render => {
            let rendered = survey.rendered.iter();
            let shown =
                rendered.flat_map(|rendered| &rendered.stale).map(|stale| match stale.diff.as_str() {
                    "" => format!("left over: {} is rendered no more\n", one_line(&stale.path)),
                    diff => cut(diff),
                });
            let load = survey.rendered.iter();
            let load = load
                .map(|one| format!("render anew with: callgate render --out {}\n", one_line(&one.folder)));
            shown.chain(load).collect()
        }
        Step::Diff => survey.drift.as_ref().map(drift_text::text).unwrap_or_default(),
        Step::Upstream => survey.upstream.as_ref().map(upstream_text::text).unwrap_or_default(),
    }
}

/// The first lines of a difference.
pub(super) fn cut(diff: &str) -> String {
    lines(diff, DIFF_LINES_MAX).lines().map(|line| inert(line) + "\n").collect()
}
