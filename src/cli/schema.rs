//! `callgate schema`

use clap::ValueEnum;

use super::{Outcome, print};
use crate::policy::raw::RawPolicy;
use crate::report::json_v1;
use crate::report::review_v1::Report;
use crate::site::raw::RawSite;
use crate::target;
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
    /// What `callgate review --format json` prints
    Review,
}

impl Schema {
    pub(super) fn run(self) -> Outcome {
        let schema = match self.file {
            File::Policy => schemars::schema_for!(RawPolicy),
            File::Site => site_schema(),
            File::Review => schemars::schema_for!(Report),
        };
        print(&json_v1::to_text(&schema_without_null(schema)))
    }
}

/// The site's schema, with the settings of every kind of target in the place of any.
fn site_schema() -> schemars::Schema {
    let mut generator = schemars::SchemaGenerator::default();
    let settings = target::settings_schema(&mut generator);
    let mut schema = generator.into_root_schema_for::<RawSite>();
    let definitions = schema.get_mut("$defs").and_then(serde_json::Value::as_object_mut);
    definitions.map(|definitions| definitions.insert("Target".to_owned(), settings.to_value()));
    schema
}
