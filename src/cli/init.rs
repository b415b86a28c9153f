//! `callgate init`

use std::path::PathBuf;

use super::{Exit, Outcome, complain, print, write_file};
use crate::policy::load::EMBEDDED_POLICIES;
use crate::site::FILE_NAME;

const SITE: &str = include_str!("init.yaml");

#[derive(Debug, clap::Args)]
pub(super) struct Init {
    /// The folder to write to
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Also copy the embedded policies there, to keep them under review with the site
    #[arg(long)]
    with_policies: bool,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(super) fn run(self) -> Outcome {
        let mut files = vec![(self.folder.join(FILE_NAME), SITE)];
        if self.with_policies {
            let folder = self.folder.join("policies");
            files.extend(EMBEDDED_POLICIES.iter().map(|(name, text)| (folder.join(name), *text)));
        }
        let standing: Vec<String> = files
            .iter()
            .filter(|(path, _)| path.symlink_metadata().is_ok())
            .map(|(path, _)| path.display().to_string())
            .collect();
        if !standing.is_empty() && !self.force {
            complain(&format!(
                "error: {} exists already; nothing was written\nhelp: overwrite with --force\n",
                standing.join(", ")
            ));
            return Ok(Exit::Failure);
        }
        let mut text = String::new();
        for (path, content) in files {
            write_file(&path, content)?;
            let shown = path.strip_prefix(".").unwrap_or(&path);
            text.push_str(&format!("wrote {}\n", shown.display()));
        }
        text.push_str(
            "next: edit the targets, then run `callgate check` and `callgate render --out rendered`\n",
        );
        print(&text)
    }
}
