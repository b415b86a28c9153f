//! `callgate review`

use std::path::PathBuf;

use clap::ValueEnum;
use jiff::SignedDuration;

use super::base::{self, Base};
use super::check::parse_within;
use super::inputs;
use super::state::State;
use super::{Exit, Global, Outcome, parse_out, print, print_styled, write_file};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::policy::history;
use crate::report::finding::{Finder, Paths};
use crate::report::review_v1::{self, Report, Reviewed, Verdict};
use crate::report::{github, json_v1, junit, review_markdown, review_text, sarif};
use crate::review;

const AFTER_HELP: &str = "\
Exit status: 0 clear, 1 something needs a second pair of eyes or is a new warning,
2 an error, a change that may not be made, or a failure.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Review {
    /// Compare with this git revision or folder
    #[arg(long, value_name = "REV|DIR")]
    base: String,
    /// How far ahead ends, deadlines and reviews are findings: hours, days or weeks
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = parse_within)]
    within: SignedDuration,
    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// Write the report in another form as well, such as `sarif=review.sarif`; may be repeated
    #[arg(long, value_name = "FORMAT=FILE", value_parser = parse_out::<Form>)]
    out: Vec<(Form, PathBuf)>,
}

/// Forms of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// A comment for a pull request
    Markdown,
    /// For machines, versioned
    Json,
    /// SARIF 2.1.0, for forges that keep findings
    Sarif,
    /// XML as test runners write it, for CI systems
    Junit,
    /// Annotations of GitHub Actions
    Github,
}

impl Form {
    fn of(self, report: &Report) -> String {
        match self {
            Form::Text => review_text::report(report),
            Form::Markdown => review_markdown::comment(report),
            Form::Json => inert(&json_v1::to_text(report)),
            Form::Sarif => inert(&json_v1::to_text(&sarif::log(report))),
            Form::Junit => junit::to_text(report),
            Form::Github => github::annotations(report),
        }
    }
}

/// JSON in which GitHub's runner finds no command, as it does anywhere in a line that a step prints. These characters stand
/// in strings only, so that it says the same.
fn inert(json: &str) -> String {
    json.replace("##[", "#\\u0023[")
}

impl Review {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let mut found = Diagnostics::new();
        let inputs = inputs::read(global, &mut found);
        let new = State::new(inputs, found, self.within);
        self.give(&report(&self.base, self.within, &new, global)?)
    }

    fn give(&self, report: &Report) -> Outcome {
        for (form, path) in &self.out {
            write_file(path, &form.of(report))?;
        }
        let text = self.format.of(report);
        match self.format {
            Form::Text => print_styled(&text)?,
            Form::Markdown | Form::Json | Form::Sarif | Form::Junit | Form::Github => print(&text)?,
        };
        Ok(exit(report))
    }
}

/// How a review ends.
pub(super) fn exit(report: &Report) -> Exit {
    match report.verdict {
        Verdict::Clear => Exit::Ok,
        Verdict::Look => Exit::Findings,
        Verdict::Refused => Exit::Failure,
    }
}

/// What became of a base, in this state.
pub(super) fn report(
    given: &str,
    within: SignedDuration,
    new: &State,
    global: &Global,
) -> anyhow::Result<Report> {
    let at = new.inputs.at;
    let mut base_found = Diagnostics::new();
    let Base { inputs: base_inputs, commit, built_in_policies, renamed } =
        base::read(given, global, at, &mut base_found)?;
    let unsound = base_found.has_errors();
    let built_in_site = base_inputs.site.as_ref().is_some_and(crate::site::Site::is_built_in);
    let old = State::new(base_inputs, base_found, within);
    let mut change = Diagnostics::new();
    if unsound {
        change.push(unsound_base(given, &old.found));
    }
    let judged =
        (!unsound && !new.found.has_errors()).then(|| judge(&old, new, &mut change, global)).flatten();
    let base = review_v1::Base { given: given.to_owned(), commit, built_in_policies, built_in_site };
    let (root, below) = base::repository().unwrap_or_default();
    let mut finder = Finder::new(Paths { root, below, renamed }, &old.found);
    let reviewed = Reviewed {
        at,
        base,
        policies: (&old.inputs.policies, &new.inputs.policies),
        review: judged.as_ref(),
        check: &new.found,
        change: &change,
    };
    Ok(Report::new(reviewed, &mut finder))
}

/// What stands in the base can't be mended any more; it only can't be compared with.
fn unsound_base(given: &str, found: &Diagnostics) -> Diagnostic {
    let first = found.iter().find(|found| found.is_error());
    let what = first.map(|found| {
        let place = found.place().map(|(file, line, _)| format!(" ({file}:{line})")).unwrap_or_default();
        format!(": {}{place}", found.message)
    });
    let message =
        format!("the base `{given}` has errors, so the change can't be judged{}", what.unwrap_or_default());
    Diagnostic::new(Code::FileUnreadable, message)
        .help("compare with a revision whose policies, site and templates are sound")
}

fn judge(old: &State, new: &State, change: &mut Diagnostics, global: &Global) -> Option<review::Review> {
    let at = new.inputs.at;
    let changes = history::compare(&old.inputs.policies, &new.inputs.policies, at, change);
    let folder = inputs::base(global).join("templates").join("").display().to_string();
    let (old_targets, new_targets) = (old.targets(), new.targets());
    let (before, after) = (old.side(&old_targets, &folder)?, new.side(&new_targets, &folder)?);
    Some(review::review(&before, &after, changes, at))
}
