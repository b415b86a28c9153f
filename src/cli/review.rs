//! `callgate review`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use jiff::SignedDuration;

use super::base::{self, Base};
use super::check::{due_exceptions, parse_within};
use super::inputs::{self, Inputs};
use super::render::{self, render_all};
use super::{Exit, Global, Outcome, print, print_styled};
use crate::allowlist::Allowlist;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::policy::{due, history};
use crate::report::finding::{Finder, Paths};
use crate::report::review_v1::{self, Report, Reviewed, Verdict};
use crate::report::{github, json_v1, junit, review_markdown, review_text, sarif};
use crate::review::{self, Rendered, Side};
use crate::system;

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
    #[arg(long, value_name = "FORMAT=FILE", value_parser = parse_out)]
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

fn parse_out(text: &str) -> Result<(Form, PathBuf), String> {
    let (form, path) = text.split_once('=').filter(|(_, path)| !path.is_empty()).ok_or_else(|| {
        format!("`{text}` names no form and file: write a form, `=` and a file, such as `sarif=review.sarif`")
    })?;
    Ok((Form::from_str(form, false)?, PathBuf::from(path)))
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

/// A state with all that is to say of it alone.
struct State {
    inputs: Inputs,
    allowlist: Option<Allowlist>,
    rendered: Vec<render::Rendered>,
    found: Diagnostics,
}

impl State {
    fn new(inputs: Inputs, mut found: Diagnostics, within: SignedDuration) -> Self {
        let sound = !found.has_errors();
        let rendered = render_all(&inputs, &[], &mut found);
        if let Some(site) = inputs.site.as_ref().filter(|_| sound) {
            due_exceptions(site, inputs.at, within, &mut found);
        }
        for policy in inputs.policies.by_provider.values() {
            found.append(due::findings(policy, inputs.at, within));
        }
        let (allowlist, rendered) = rendered.map_or((None, Vec::new()), |(list, all)| (Some(list), all));
        Self { inputs, allowlist, rendered, found }
    }

    fn targets(&self) -> Vec<Rendered<'_>> {
        let commons = self.inputs.targets.iter().map(|target| target.common());
        let targets = commons.map(|common| Rendered {
            name: &common.name,
            kind: common.kind,
            mode: common.mode,
            artifact: self
                .rendered
                .iter()
                .find(|rendered| rendered.name == common.name)
                .map(|rendered| &rendered.artifact),
        });
        targets.collect()
    }

    fn side<'a>(&'a self, targets: &'a [Rendered<'a>], template_folder: &'a str) -> Option<Side<'a>> {
        Some(Side {
            policies: &self.inputs.policies,
            site: self.inputs.site.as_ref()?,
            templates: &self.inputs.templates,
            template_folder,
            allowlist: self.allowlist.as_ref(),
            targets,
        })
    }
}

impl Review {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let mut found = Diagnostics::new();
        let inputs = inputs::read(global, &mut found);
        let at = inputs.at;
        let mut base_found = Diagnostics::new();
        let Base { inputs: base_inputs, commit, built_in_policies, renamed } =
            base::read(&self.base, global, at, &mut base_found)?;
        let unsound = base_found.has_errors();
        let built_in_site = base_inputs.site.as_ref().is_some_and(crate::site::Site::is_built_in);
        let old = State::new(base_inputs, base_found, self.within);
        let new = State::new(inputs, found, self.within);
        let mut change = Diagnostics::new();
        if unsound {
            change.push(unsound_base(&self.base, &old.found));
        }
        let judged =
            (!unsound && !new.found.has_errors()).then(|| judge(&old, &new, &mut change, global)).flatten();
        let base = review_v1::Base { given: self.base.clone(), commit, built_in_policies, built_in_site };
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
        self.give(&Report::new(reviewed, &mut finder))
    }

    fn give(&self, report: &Report) -> Outcome {
        for (form, path) in &self.out {
            write(path, &form.of(report))?;
        }
        let text = self.format.of(report);
        match self.format {
            Form::Text => print_styled(&text)?,
            Form::Markdown | Form::Json | Form::Sarif | Form::Junit | Form::Github => print(&text)?,
        };
        Ok(match report.verdict {
            Verdict::Clear => Exit::Ok,
            Verdict::Look => Exit::Findings,
            Verdict::Refused => Exit::Failure,
        })
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    system::replace_file(path, text.as_bytes())
        .with_context(|| format!("`{}` can't be written", path.display()))?;
    Ok(())
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
