//! Where a host's rules come from: listings in files, or this host itself.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use crate::admission::Text;
use crate::netfilter::Listing;
use crate::netfilter::host::{Host, Links, ListingError, View};
use crate::prefix::Family;
use crate::system::{self, host};

/// Largest listing that is read, in bytes.
const BYTES_MAX: u64 = 1 << 30;

/// Listings in files. Where none is given, this host is asked.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Host")]
pub(super) struct HostListings {
    /// Output of `nft -j list ruleset`
    #[arg(long, value_name = "FILE")]
    pub(super) nft_json: Option<PathBuf>,
    /// Output of `nft -a list ruleset`, or without `-a`; it knows more than the JSON
    #[arg(long, value_name = "FILE")]
    pub(super) nft: Option<PathBuf>,
    /// Output of `iptables-save`, or of `iptables -S`; once for each machinery
    #[arg(long, value_name = "FILE")]
    pub(super) iptables: Vec<PathBuf>,
    /// Output of `ip6tables-save`, or of `ip6tables -S`; once for each machinery
    #[arg(long, value_name = "FILE")]
    pub(super) ip6tables: Vec<PathBuf>,
    /// Output of `ipset save`
    #[arg(long, value_name = "FILE")]
    pub(super) ipset: Option<PathBuf>,
    /// Output of `ip -j address`: which addresses are the host's own, and what is behind which interface
    #[arg(long, value_name = "FILE")]
    pub(super) addresses: Option<PathBuf>,
    /// Ask this host's packet filter as well, where another layer is named
    #[arg(long)]
    pub(super) host_live: bool,
}

impl HostListings {
    /// Whether an option names a host's rules.
    pub(super) fn is_named(&self) -> bool {
        self.host_live || !self.is_live() || self.ipset.is_some() || self.addresses.is_some()
    }

    /// Whether no rules are given, so that this host is meant.
    pub(super) fn is_live(&self) -> bool {
        self.nft_json.is_none() && self.nft.is_none() && self.iptables.is_empty() && self.ip6tables.is_empty()
    }

    /// Reads them, or this host.
    pub(super) fn read(&self) -> anyhow::Result<Host> {
        if self.is_live() {
            if self.ipset.is_some() {
                return Err(anyhow!("`--ipset` without rules: give `--iptables` or `--ip6tables` as well"));
            }
            return self.read_live();
        }
        let v4 = self.iptables.iter().map(|path| (View::Iptables(Family::V4), path));
        let v6 = self.ip6tables.iter().map(|path| (View::Iptables(Family::V6), path));
        let all = self.nft.iter().map(|path| (View::NftText, path));
        let all = all.chain(self.nft_json.iter().map(|path| (View::NftJson, path)));
        let all = all.chain(v4).chain(v6).chain(self.ipset.iter().map(|path| (View::Ipset, path)));
        let mut texts = Vec::new();
        for (view, path) in all {
            let bytes = system::read_bytes(path, BYTES_MAX)?;
            texts.push((view, Listing { name: path.display().to_string(), text: Text::lossy(bytes) }));
        }
        let warnings = warning_of_nothing(&texts).into_iter().collect();
        let mut host = Host::read(texts, warnings).map_err(|error| unreadable(&error))?;
        host.links = self.addresses.as_deref().map(links).transpose()?;
        Ok(host)
    }

    fn read_live(&self) -> anyhow::Result<Host> {
        let capture = host::capture(host::Needs::default()).map_err(|error| refused(&error))?;
        let mut host = capture.host().map_err(|error| unreadable(&error))?;
        if let Some(path) = &self.addresses {
            host.links = Some(links(path)?);
        }
        Ok(host)
    }
}

/// Why this host can't be read, and what to do.
pub(super) fn refused(error: &host::CaptureError) -> anyhow::Error {
    match error {
        host::CaptureError::Refused(_) => anyhow!("{error}\n  help: {}", host::CAPTURE_HELP),
        host::CaptureError::NoTool => {
            anyhow!("{error}\n  help: give listings of the host that is meant: {}", host::CAPTURE_HELP)
        }
    }
}

/// Why a listing can't be read, and what to do.
pub(super) fn unreadable(error: &ListingError) -> anyhow::Error {
    anyhow!("{error}\n  help: {}", error.help())
}

/// Reads `ip -j address` from a file.
fn links(path: &Path) -> anyhow::Result<Links> {
    let text = system::read_text(path, BYTES_MAX)?;
    Links::read(&text.text).with_context(|| path.display().to_string())
}

/// Tools that may not read the rules leave an empty file, which looks like a host that is open to all.
fn warning_of_nothing(texts: &[(View, Listing)]) -> Option<String> {
    let mut rules = texts.iter().filter(|(view, _)| *view != View::Ipset);
    let is_nothing = rules.all(|(_, listing)| listing.text.trim_ascii().is_empty());
    is_nothing.then(|| {
        "there is no rule in any listing: this host has none, or they were taken without the rights to read them"
            .to_owned()
    })
}
