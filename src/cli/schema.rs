//! `callgate schema`

use clap::ValueEnum;

use super::{Outcome, print};
use crate::policy::raw::RawPolicy;
use crate::report::json_v1;
use crate::site::raw::RawSite;
use crate::yaml::decode::schema_without_null;

#[derive(Debug, clap::Args)]
pub(super) struct Schema {
    /// Which files
    file: File,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum File {
    /// policies/*.yaml
    Policy,
    /// callgate.yaml
    Site,
}

impl Schema {
    pub(super) fn run(self) -> Outcome {
        let schema = match self.file {
            File::Policy => schemars::schema_for!(RawPolicy),
            File::Site => schemars::schema_for!(RawSite),
        };
        print(&json_v1::to_text(&schema_without_null(schema)))
    }
}
