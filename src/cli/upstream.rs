//! `callgate upstream`

mod extract;

use super::{Global, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct Upstream {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what a selector reads of a page, for whoever writes a policy
    Extract(extract::Extract),
}

impl Upstream {
    pub(super) fn run(self, _global: &Global) -> Outcome {
        match self.command {
            Command::Extract(extract) => extract.run(),
        }
    }
}
