//! `callgate fmt`

use std::path::PathBuf;

use anyhow::Context as _;
use similar::TextDiff;

use super::inputs;
use super::{Exit, Global, Outcome, complain, print, show, write_file};
use crate::diagnostic::{Diagnostics, SourceText};
use crate::policy::format::{FormatError, format};
use crate::policy::load::{Library, POLICY_BYTES_MAX};
use crate::system;

#[derive(Debug, clap::Args)]
pub(super) struct Fmt {
    /// The policy files; those of the policy folder where none is named
    #[arg(value_name = "FILE")]
    paths: Vec<PathBuf>,
    /// Change nothing: show the difference; status 1 where there is one
    #[arg(long)]
    check: bool,
}

impl Fmt {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let paths = if self.paths.is_empty() {
            let folder =
                inputs::policy_folder(global).context("no policy folder here; name the files to format")?;
            folder.policies()?.into_iter().map(|name| folder.path.join(name)).collect()
        } else {
            self.paths
        };
        let (mut shown, mut changed, mut failed) = (String::new(), 0, false);
        for path in &paths {
            // Bytes are compared, so that a byte order mark, which is no part of the text, goes as well.
            let bytes = system::read_bytes(path, POLICY_BYTES_MAX)?;
            let text = system::text_of(bytes.clone(), path.display().to_string())?;
            let formatted = match formatted(&text) {
                Ok(formatted) => formatted,
                Err(found) => {
                    show(&found);
                    failed = true;
                    continue;
                }
            };
            if formatted.as_bytes() == bytes {
                continue;
            }
            changed += 1;
            if self.check {
                let found = String::from_utf8_lossy(&bytes);
                let diff = TextDiff::from_lines(found.as_ref(), formatted.as_str());
                shown.push_str(
                    &diff
                        .unified_diff()
                        .header(&text.name, &format!("{} (formatted)", text.name))
                        .to_string(),
                );
            } else {
                write_file(path, &formatted)?;
                shown.push_str(&format!("formatted {}\n", path.display()));
            }
        }
        print(&shown)?;
        if failed {
            return Ok(Exit::Failure);
        }
        if self.check && changed > 0 {
            complain(&format!(
                "{changed} of {} files are not in canonical form; run: callgate fmt\n",
                paths.len()
            ));
            return Ok(Exit::Findings);
        }
        Ok(Exit::Ok)
    }
}

fn formatted(text: &std::sync::Arc<SourceText>) -> Result<String, Diagnostics> {
    match format(text) {
        Ok(formatted) => Ok(formatted),
        Err(FormatError::Faults(found)) => Err(found),
    }
}
