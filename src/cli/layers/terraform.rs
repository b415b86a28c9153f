//! Security groups as a layer: what Terraform shows of a state or a plan.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::security_group::select::Selection;
use crate::security_group::terraform::{self, Asked, Reading, When};
use crate::security_group::{Groups, ReadError};
use crate::site::path::RawTerraform;
use crate::system;

/// Largest file that is read, in bytes.
const BYTES_MAX: u64 = 1 << 30;

/// A state or a plan of Terraform.
#[derive(Debug, Default, Clone, clap::Args)]
#[command(next_help_heading = "Terraform")]
pub(in crate::cli) struct TerraformOptions {
    /// Output of `terraform show -json`, of a state or of a saved plan; a plan answers for after it is carried out
    #[arg(long, value_name = "FILE", conflicts_with_all = ["security_groups", "prefix_lists", "network_acl"])]
    pub(super) terraform: Option<PathBuf>,
    /// The address of a security group, or of what has some; may be repeated
    #[arg(long, value_name = "ADDRESS", requires = "terraform")]
    resource: Vec<String>,
    /// Answer for before the plan is carried out
    #[arg(long, requires = "terraform")]
    before: bool,
}

/// Groups, and which of them are asked about.
pub(super) type Chosen = (Groups, Selection);

impl TerraformOptions {
    /// What the site names, its file below its folder.
    pub(super) fn of_site(raw: &RawTerraform, base: &Path) -> Self {
        let terraform = raw.file.as_ref().map(|file| base.join(file));
        Self { terraform, resource: raw.resources.clone(), before: false }
    }

    /// These, and which resources are meant from others where these leave it open.
    pub(super) fn or(mut self, other: Self) -> Self {
        if self.resource.is_empty() {
            self.resource = other.resource;
        }
        self
    }

    /// Reads the file: the groups, and of a plan those before it as well.
    pub(super) fn read(self, groups: Vec<String>) -> anyhow::Result<(Chosen, Option<Chosen>)> {
        let path = self.terraform.unwrap_or_default();
        let name = path.display().to_string();
        let text = system::read_text(&path, BYTES_MAX).map_err(|error| match error {
            system::ReadError::NotUtf8 { .. } => {
                anyhow!("{error}\n  help: a saved plan is read by Terraform only: give what `terraform show -json FILE` prints")
            }
            other => other.into(),
        })?;
        let located = |error: ReadError| anyhow!("{error}\n  help: {}", error.help);
        let document = terraform::read(&name, &text.text).map_err(located)?;
        let asked = Asked { resources: self.resource, groups };
        let chosen = |reading: Reading| -> Chosen {
            (reading.groups, Selection { groups: reading.asked, ..Selection::default() })
        };
        if self.before {
            return Ok((chosen(document.reading(&asked, When::Before).map_err(located)?), None));
        }
        Ok(match document.both(&asked).map_err(located)? {
            Some((before, after)) => (chosen(after), Some(chosen(before))),
            None => (chosen(document.reading(&asked, When::After).map_err(located)?), None),
        })
    }
}
