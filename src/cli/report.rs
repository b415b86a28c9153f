//! `callgate report`

use std::path::{Path, PathBuf};

use jiff::SignedDuration;

use super::check::parse_within;
use super::layers::Layers;
use super::survey::{Asked, exit, survey};
use super::upstream::Pages;
use super::{Global, Outcome, complain, print, write_file};
use crate::report::html;

const AFTER_HELP: &str = "\
The report holds what policies and site say; what is deployed, where rules are given or the site names a path; and what pages
publish, where an earlier run kept them. Nothing is fetched.
Exit status: 0 as wanted, 1 drift or findings, 2 bad input, 5 undetermined; the report is written each time.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Report {
    /// Write the report to this file; `-` for standard output
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
    /// The folder of rendered files, which should be up to date
    #[arg(long, value_name = "DIR")]
    rendered: Option<PathBuf>,
    /// How far ahead ends, deadlines and reviews are findings: hours, days or weeks
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = parse_within)]
    within: SignedDuration,
    /// The pages that `callgate upstream --save` kept in this folder
    #[arg(long, value_name = "DIR")]
    offline: Option<PathBuf>,
    #[command(flatten)]
    layers: Layers,
}

impl Report {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let asked = Asked {
            within: self.within,
            base: None,
            rendered: self.rendered,
            layers: self.layers,
            pages: self.offline.map(Pages::saved),
            skip: Vec::new(),
        };
        let survey = survey(global, asked);
        let text = html::html(&survey)?;
        if self.html == Path::new("-") {
            print(&text)?;
        } else {
            write_file(&self.html, &text)?;
        }
        complain(&format!("{}\n", survey.summary));
        Ok(exit(&survey))
    }
}
