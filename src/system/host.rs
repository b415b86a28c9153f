//! A host's listings, taken by running its own tools, and its interfaces, as the kernel tells them. Nothing is changed by it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::CommandError;
use super::links::links;
use crate::admission::Text;
use crate::holding::Listed;
use crate::netfilter::Listing;
use crate::netfilter::host::{Host, Links, ListingError, View};
use crate::prefix::Family;

/// What is wanted besides what tells who gets in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Needs {
    /// The tables filter as `iptables-save` and `ip6tables-save` print them, although `nft` tells as much.
    pub iptables: bool,
    /// The ipsets, although no rule names one.
    pub ipset: bool,
}

/// What was taken.
#[derive(Debug, Default)]
pub struct Capture {
    /// `nft -a list ruleset`.
    pub nft: Option<Taken>,
    /// The `iptables-save` family.
    pub iptables: Vec<(Family, Taken)>,
    /// `ipset save`.
    pub ipset: Option<Taken>,
    /// Its interfaces and their addresses, as the kernel tells them.
    pub links: Option<Links>,
    /// The tables filter, where they were wanted by themselves.
    pub filter: Vec<(Family, Taken)>,
    /// What the tools warned of, although they ended with 0, and what could not be asked.
    pub warnings: Vec<String>,
}

impl Capture {
    /// What holdings are read from.
    pub fn listed(&self) -> Listed {
        let text = |taken: &Option<Taken>| taken.as_ref().map(|taken| taken.text.clone());
        let filter = |wanted: Family| {
            let found = self.filter.iter().find(|(family, _)| *family == wanted);
            found.map(|(_, taken)| taken.text.clone())
        };
        Listed {
            nft: text(&self.nft),
            iptables: filter(Family::V4),
            ip6tables: filter(Family::V6),
            ipset: text(&self.ipset),
        }
    }

    /// What a program would print of all tables, where the same program has printed it under another name.
    fn saved_by(&self, family: Family, program: &str) -> Option<Taken> {
        let (_, known) =
            self.iptables.iter().find(|(of, taken)| *of == family && is_one(&taken.command, program))?;
        Some(Taken { command: known.command.clone(), text: known.text.clone() })
    }

    /// The host that was taken.
    pub fn host(self) -> Result<Host, ListingError> {
        let listing = |taken: Taken| Listing { name: taken.command, text: taken.text };
        let mut texts: Vec<(View, Listing)> = Vec::new();
        texts.extend(self.nft.map(|taken| (View::NftText, listing(taken))));
        texts.extend(
            self.iptables.into_iter().map(|(family, taken)| (View::Iptables(family), listing(taken))),
        );
        texts.extend(self.ipset.map(|taken| (View::Ipset, listing(taken))));
        Ok(Host { links: self.links, ..Host::read(texts, self.warnings)? })
    }
}

/// What a command printed.
#[derive(Debug)]
pub struct Taken {
    /// The command.
    pub command: String,
    /// What it printed.
    pub text: Text,
}

/// Why a host can't be read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A tool refused, for want of rights as a rule.
    #[error("the rules of this host can't be read: {0}")]
    Refused(CommandError),
    /// There is no tool to ask.
    #[error("there is neither `nft` nor `iptables-save` here")]
    NoTool,
}

/// What to do where reading is refused.
pub const CAPTURE_HELP: &str = "run it as root, or take listings as root and give them: \
`export TZ=UTC; nft -a list ruleset > nft.txt; iptables-save > v4.txt; ip6tables-save > v6.txt; ipset save > sets.txt; ip -j address > addresses.json`, \
then `--nft nft.txt --iptables v4.txt --ip6tables v6.txt --ipset sets.txt --addresses addresses.json`";

/// Reads this host.
///
/// `iptables-save` is asked of tables that `nft` has no words for, and of the old tables where the kernel has
/// any; `ipset` where a rule names one. So a plain host costs one command.
pub fn capture(needs: Needs) -> Result<Capture, CaptureError> {
    let mut warnings = Vec::new();
    let nft = take(&mut warnings, "nft", &["-a", "list", "ruleset"])?;
    // Of some targets nft prints nothing at all, and only warns of it: `XT target DNAT not found`.
    let whole = warnings.len();
    warnings.retain(|warning| !warning.contains(": XT "));
    let opaque = warnings.len() != whole
        || nft.as_ref().is_none_or(|nft| nft.text.contains("xt match") || nft.text.contains("xt target"));
    let mut capture = Capture { nft, ..Capture::default() };
    for (family, names, program, legacy) in [
        (Family::V4, "/proc/net/ip_tables_names", "iptables-nft-save", "iptables-legacy-save"),
        (Family::V6, "/proc/net/ip6_tables_names", "ip6tables-nft-save", "ip6tables-legacy-save"),
    ] {
        let plain = if family == Family::V4 { "iptables-save" } else { "ip6tables-save" };
        if opaque {
            let taken = match take(&mut warnings, program, &[])? {
                Some(taken) => Some(taken),
                None => take(&mut warnings, plain, &[])?,
            };
            capture.iptables.extend(taken.map(|taken| (family, taken)));
        }
        if has_tables(Path::new(names)) {
            let taken = match take(&mut warnings, legacy, &[])? {
                Some(taken) => Some(taken),
                None => take(&mut warnings, plain, &[])?,
            };
            capture.iptables.extend(taken.map(|taken| (family, taken)));
        }
    }
    if capture.nft.is_none() && capture.iptables.is_empty() {
        return Err(CaptureError::NoTool);
    }
    if needs.iptables {
        for (family, program) in [(Family::V4, "iptables-save"), (Family::V6, "ip6tables-save")] {
            let taken = match capture.saved_by(family, program) {
                Some(known) => Some(known),
                None => take(&mut warnings, program, &["-t", "filter"])?,
            };
            capture.filter.extend(taken.map(|taken| (family, taken)));
        }
    }
    if needs.ipset || capture.iptables.iter().any(|(_, taken)| taken.text.contains("--match-set")) {
        capture.ipset = take(&mut warnings, "ipset", &["save"])?;
    }
    match links() {
        Ok(links) => capture.links = Some(links),
        Err(error) => warnings.push(format!("interfaces and their addresses are not known: {error}")),
    }
    capture.warnings = warnings;
    Ok(capture)
}

/// Whether the old iptables has tables in the kernel. Asking the tool itself would make some.
fn has_tables(names: &Path) -> bool {
    std::fs::read_to_string(names).is_ok_and(|names| !names.trim().is_empty())
}

/// Whether two names are names of one program: `iptables-save` leads to one of the two iptables.
fn is_one(name: &str, other: &str) -> bool {
    let file = |name: &str| super::found(name).and_then(|path| path.metadata().ok());
    let number = |name: &str| file(name).map(|file| (file.dev(), file.ino()));
    name == other || number(name).is_some_and(|one| number(other) == Some(one))
}

/// What a tool prints; `None` where it is not here.
fn take(
    warnings: &mut Vec<String>,
    program: &str,
    arguments: &[&str],
) -> Result<Option<Taken>, CaptureError> {
    let Some(printed) = super::tool(program, arguments, &[]).map_err(CaptureError::Refused)? else {
        return Ok(None);
    };
    let shown = [&[program], arguments].concat().join(" ");
    // Which tables iptables-nft manages is known without being told.
    let said = printed.stderr.lines();
    let telling = said.filter(|line| !line.is_empty() && !line.contains("managed by iptables-nft"));
    warnings.extend(telling.map(|line| format!("`{shown}` warns: {line}")));
    Ok(Some(Taken { command: shown, text: Text::lossy(printed.stdout) }))
}
