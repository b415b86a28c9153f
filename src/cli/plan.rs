//! `callgate plan`

use std::path::PathBuf;

use anyhow::anyhow;

use super::enforced::{Enforced, Prepared};
use super::planned::Planned;
use super::{Exit, Form, Global, Outcome, print, write_file};
use crate::report::{json_v1, plan_text};

const AFTER_HELP: &str = "Reads this host, which needs root, and asks AWS where a target is there; nothing is changed. \
Exit status: 0 nothing to do, 1 there is something to do, 2 bad input or failure, 3 refused by a guardrail, 5 undetermined.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Plan {
    #[command(flatten)]
    enforced: Enforced,
    /// Save the plan, for `callgate apply FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

impl Plan {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let Some(prepared) = Prepared::read(global)? else { return Ok(Exit::Failure) };
        let job = self.enforced.job(&prepared)?;
        let survey = job.survey().map_err(|error| match error.help() {
            Some(help) => anyhow!("{error}\n  help: {help}"),
            None => anyhow!("{error}"),
        })?;
        let state = self.enforced.state.find()?;
        let planned = Planned::new(&self.enforced, &prepared, &job, &survey, state.as_ref())?;
        if let Some(out) = &self.out {
            write_file(out, &json_v1::to_text(&planned.report))?;
        }
        print(&match self.format {
            Form::Text => plan_text::text(&planned.report),
            Form::Json => json_v1::to_text(&planned.report),
        })?;
        Ok(planned.exit())
    }
}
