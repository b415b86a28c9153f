//! `callgate upstream`

mod extract;
mod network;
mod pages;
mod readings;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use jiff::Timestamp;

use super::inputs::{self, Inputs};
use super::{Exit, Format, Global, Outcome, complain, parse_time, print, show, write_file};
use crate::diagnostic::Diagnostics;
use crate::policy::Policy;
use crate::report::upstream_v1::UpstreamReport;
use crate::report::{json_v1, upstream_markdown, upstream_text};
use crate::upstream::compare::{Comparison, Verdict};
use crate::upstream::fetch::saved::Saved;
use crate::upstream::propose::{Proposal, path_of, propose};
use network::Network;
use pages::Origin;

const AFTER_HELP: &str = "Nothing is changed: neither a rule nor a policy. Pages are fetched over https, from the host that \
the policy names and from no other; HTTPS_PROXY and NO_PROXY are honoured. Where a first reading says that something is gone, \
a second one settles it, and only what both say is said. \
Exit status: 0 pages publish what the policies hold, 1 they differ or have moved, 2 bad input, 5 undetermined.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub(super) struct Upstream {
    #[command(subcommand)]
    command: Option<Command>,
    /// Read the pages of these providers only; may be repeated
    #[arg(long, value_name = "NAME")]
    provider: Vec<String>,
    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Propose a change of the policies; as Markdown, the text of a pull request
    #[arg(long)]
    propose: bool,
    /// Write the proposed change to this file, for `git apply`
    #[arg(long, value_name = "FILE", requires = "propose")]
    patch: Option<PathBuf>,
    #[command(flatten)]
    pages: Pages,
}

/// Where pages are read, and how often.
#[derive(Debug, clap::Args)]
pub(super) struct Pages {
    /// Read again after this time where anything differs, 0s never; by default after 30s where something is gone
    #[arg(long, value_name = "TIME", value_parser = parse_recheck)]
    recheck: Option<Duration>,
    /// Keep what is read in this folder, with its digest and time
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Read what an earlier run kept in this folder, and nothing from the network
    #[arg(long, value_name = "DIR", conflicts_with_all = ["save", "cache", "ca_file", "timeout", "recheck"])]
    offline: Option<PathBuf>,
    #[command(flatten)]
    network: Network,
}

impl Pages {
    /// Only what an earlier run kept in this folder.
    pub(super) fn saved(folder: PathBuf) -> Self {
        Self { recheck: None, save: None, offline: Some(folder), network: Network::default() }
    }

    /// Reads the pages of these policies, and compares.
    fn compared(self, policies: &[&Policy], at: Timestamp) -> anyhow::Result<Vec<Comparison>> {
        let origin = match &self.offline {
            Some(folder) => Origin::Saved(Saved::open(folder)?),
            None => Origin::Network(Box::new(self.network.fetcher()?), self.save),
        };
        readings::compared(policies, &origin, origin.recheck(self.recheck), at)
    }

    /// What the pages of the providers that the site selects publish, against the policies.
    pub(super) fn report(self, inputs: &Inputs) -> anyhow::Result<(UpstreamReport, Exit)> {
        let comparisons = self.compared(&selected(inputs, &[])?, inputs.at)?;
        let all: Vec<(&Comparison, Option<&Proposal>)> = comparisons.iter().map(|one| (one, None)).collect();
        Ok((UpstreamReport::new(inputs.at, &all), exit(&comparisons)))
    }
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what a selector reads of a page, for whoever writes a policy
    Extract(extract::Extract),
}

fn parse_recheck(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    match parse_time(text)? {
        time if time.as_secs() <= 86_400 => Ok(time),
        _ => Err(format!("`{text}` is more than 24h")),
    }
}

impl Upstream {
    pub(super) fn run(self, global: &Global) -> Outcome {
        if let Some(Command::Extract(extract)) = self.command {
            return extract.run();
        }
        let mut sink = Diagnostics::new();
        let inputs = inputs::read(global, &mut sink);
        show(&sink);
        if sink.has_errors() {
            return Ok(Exit::Failure);
        }
        let policies = selected(&inputs, &self.provider)?;
        let comparisons = self.pages.compared(&policies, inputs.at)?;
        let proposals = if self.propose { proposed(&policies, &comparisons) } else { Vec::new() };
        if let Some(path) = &self.patch {
            write_patch(path, &proposals)?;
        }
        let of = |number: usize| match proposals.get(number) {
            Some(Proposed::Change(proposal)) => Some(&**proposal),
            Some(Proposed::Nothing | Proposed::Failed) | None => None,
        };
        let all: Vec<(&Comparison, Option<&Proposal>)> =
            comparisons.iter().enumerate().map(|(number, one)| (one, of(number))).collect();
        let report = UpstreamReport::new(inputs.at, &all);
        let text = match self.format {
            Format::Json => json_v1::to_text(&report),
            Format::Text => upstream_text::text(&report),
            Format::Markdown if all.iter().any(|(_, proposal)| proposal.is_some()) => {
                pull_requests(&policies, &all)
            }
            Format::Markdown => upstream_markdown::markdown(&report),
        };
        print(&text)?;
        if proposals.iter().any(|one| matches!(one, Proposed::Failed)) {
            return Ok(Exit::Failure);
        }
        Ok(exit(&comparisons))
    }
}

/// The policies of the named providers, or else those that the site selects.
fn selected<'a>(inputs: &'a Inputs, providers: &[String]) -> anyhow::Result<Vec<&'a Policy>> {
    let known = &inputs.policies.by_provider;
    if providers.is_empty() {
        let selections = inputs.site.iter().flat_map(|site| &site.selections);
        let names: BTreeSet<&str> = selections.map(|selection| selection.provider.as_str()).collect();
        return Ok(names.into_iter().filter_map(|name| known.get(name)).collect());
    }
    let names: BTreeSet<&String> = providers.iter().collect();
    let found = names.into_iter().map(|name| {
        known.get(name).ok_or_else(|| {
            let known: Vec<&str> = known.keys().map(String::as_str).collect();
            let (name, known) = (name.escape_debug(), known.join(", "));
            anyhow!("no policy is of provider `{name}`\n  help: there are {known}")
        })
    });
    found.collect()
}

/// What is proposed for one provider.
#[derive(Debug)]
enum Proposed {
    /// There is nothing to change.
    Nothing,
    /// This.
    Change(Box<Proposal>),
    /// There is something to change, and the text can't be edited.
    Failed,
}

fn proposed(policies: &[&Policy], comparisons: &[Comparison]) -> Vec<Proposed> {
    let each = policies.iter().zip(comparisons);
    each.map(|(policy, comparison)| match propose(policy, comparison, &path_of(policy)) {
        Ok(None) => Proposed::Nothing,
        Ok(Some(proposal)) => Proposed::Change(Box::new(proposal)),
        Err(error) => {
            complain(&format!(
                "error: {error}\n  help: change the policy by hand, by what the report says\n"
            ));
            Proposed::Failed
        }
    })
    .collect()
}

/// Writes all proposed changes as one patch; an empty file where nothing is proposed.
fn write_patch(path: &Path, proposals: &[Proposed]) -> anyhow::Result<()> {
    let patches = proposals.iter().map(|one| match one {
        Proposed::Change(proposal) => proposal.patch.as_str(),
        Proposed::Nothing | Proposed::Failed => "",
    });
    let text: String = patches.collect();
    write_file(path, &text)
}

/// The text of a pull request for each change.
fn pull_requests(policies: &[&Policy], all: &[(&Comparison, Option<&Proposal>)]) -> String {
    let texts = policies.iter().zip(all).filter_map(|(policy, (comparison, proposal))| {
        Some(upstream_markdown::pull_request(policy, comparison, (*proposal)?))
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn exit(comparisons: &[Comparison]) -> Exit {
    let verdicts: Vec<Verdict> = comparisons.iter().map(|one| one.outcome.verdict()).collect();
    if verdicts.contains(&Verdict::Differs) {
        Exit::Findings
    } else if verdicts.contains(&Verdict::Undetermined) {
        Exit::Undetermined
    } else {
        Exit::Ok
    }
}
