//! `callgate ci`

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use jiff::SignedDuration;

use super::check::parse_within;
use super::layers::Layers;
use super::survey::{Asked, exit, survey};
use super::upstream::Pages;
use super::{Global, Outcome, now, parse_out, print, print_styled, write_file};
use crate::report::survey_v1::{Step, Survey};
use crate::report::{html, json_v1, metrics, survey_markdown, survey_text};
use crate::system;

/// Largest file of metrics that is read back.
const METRICS_BYTES_MAX: u64 = 64 << 20;

const AFTER_HELP: &str = "\
Carries out, in this order: check; review, where --base is given; render --check, where --rendered is; diff, where rules are
given or the site names a path; upstream. What is not carried out is said. Nothing is changed, neither a rule nor a policy.
Exit status: 2 where a step failed, else 1 where one has findings, else 5 where one is undetermined, else 0.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Ci {
    /// Judge the change from this git revision or folder
    #[arg(long, value_name = "REV|DIR")]
    base: Option<String>,
    /// The folder of rendered files, which must be up to date
    #[arg(long, value_name = "DIR")]
    rendered: Option<PathBuf>,
    /// How far ahead ends, deadlines and reviews are findings: hours, days or weeks
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = parse_within)]
    within: SignedDuration,
    /// Leave this step out; may be repeated
    #[arg(long, value_enum, value_name = "STEP")]
    skip: Vec<Skip>,
    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// Write the report in another form as well, such as `metrics=callgate.prom`; may be repeated
    #[arg(long, value_name = "FORMAT=FILE", value_parser = parse_out::<Form>)]
    out: Vec<(Form, PathBuf)>,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    layers: Layers,
}

/// Steps that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Skip {
    /// The change from --base
    Review,
    /// The rendered files
    Render,
    /// The deployed rules
    Diff,
    /// The providers' pages
    Upstream,
}

impl Skip {
    fn step(self) -> Step {
        match self {
            Skip::Review => Step::Review,
            Skip::Render => Step::Render,
            Skip::Diff => Step::Diff,
            Skip::Upstream => Step::Upstream,
        }
    }
}

/// Forms of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// For machines, versioned
    Json,
    /// For pull requests and tickets
    Markdown,
    /// For browsers and for paper: one page that needs nothing else
    Html,
    /// For Prometheus, as its node exporter reads text files
    Metrics,
}

impl Ci {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let Self { base, rendered, within, skip, format, out, pages, layers } = self;
        let skip = skip.into_iter().map(Skip::step).collect();
        let asked = Asked { within, base, rendered, layers, pages: Some(pages), skip };
        let survey = survey(global, asked);
        for (form, path) in &out {
            write_file(path, &form.of(&survey, Some(path))?)?;
        }
        let text = format.of(&survey, None)?;
        match format {
            Form::Text => print_styled(&text)?,
            Form::Json | Form::Markdown | Form::Html | Form::Metrics => print(&text)?,
        };
        Ok(exit(&survey))
    }
}

impl Form {
    /// The report; `path` is where an earlier one may lie.
    fn of(self, survey: &Survey, path: Option<&Path>) -> anyhow::Result<String> {
        Ok(match self {
            Form::Text => survey_text::text(survey),
            Form::Json => json_v1::to_text(survey),
            Form::Markdown => survey_markdown::markdown(survey),
            Form::Html => html::html(survey)?,
            Form::Metrics => {
                let before = path.and_then(|path| system::read_text(path, METRICS_BYTES_MAX).ok());
                metrics::text(survey, before.as_ref().map_or("", |before| &before.text), now())
            }
        })
    }
}
