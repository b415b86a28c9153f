//! Where a host's rules come from: listings in files, or this host itself.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use serde::Deserialize;

use crate::netfilter::host::{Host, HostAddress, Links, View};
use crate::netfilter::{Listing, Place, ReadError, Reading, Remark, TableFamily, ipset, iptables_save, nft};
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
            // Comments in rules can hold any bytes; what is no text can't be a rule.
            let text: Arc<str> = match String::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into(),
            };
            texts.push((view, Listing { name: path.display().to_string(), text }));
        }
        let links = match &self.addresses {
            None => None,
            Some(path) => {
                let text = system::read_text(path, BYTES_MAX)?;
                Some(links(&text.text).with_context(|| path.display().to_string())?)
            }
        };
        let warnings = warning_of_nothing(&texts).into_iter().collect();
        let mut host = assemble(texts, warnings)?;
        host.links = links;
        Ok(host)
    }

    fn read_live(&self) -> anyhow::Result<Host> {
        let capture = host::capture().map_err(|error| match error {
            host::CaptureError::Refused(_) => anyhow!("{error}\n  help: {}", host::CAPTURE_HELP),
            host::CaptureError::NoTool => {
                anyhow!("{error}\n  help: give listings of the host that is meant: {}", host::CAPTURE_HELP)
            }
        })?;
        let listing = |taken: host::Taken| Listing { name: taken.command, text: taken.text };
        let mut texts: Vec<(View, Listing)> = Vec::new();
        texts.extend(capture.nft.map(|taken| (View::NftText, listing(taken))));
        texts.extend(
            capture.iptables.into_iter().map(|(family, taken)| (View::Iptables(family), listing(taken))),
        );
        texts.extend(capture.ipset.map(|taken| (View::Ipset, listing(taken))));
        let links = match (&self.addresses, capture.addresses) {
            (Some(path), _) => Some(links(&system::read_text(path, BYTES_MAX)?.text)?),
            (None, Some(taken)) => Some(links(&taken.text).context(taken.command)?),
            (None, None) => None,
        };
        let mut host = assemble(texts, capture.warnings)?;
        host.links = links;
        Ok(host)
    }
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

fn assemble(texts: Vec<(View, Listing)>, warnings: Vec<String>) -> anyhow::Result<Host> {
    let mut readings = Vec::new();
    for (number, (view, listing)) in texts.iter().enumerate() {
        let number = u16::try_from(number).context("too many listings")?;
        let reading = read_one(*view, &listing.text, number).map_err(|error| {
            anyhow!("{}:{}: {error}\n  help: {}", listing.name, error.place.line, error.help)
        })?;
        readings.push((*view, reading));
    }
    let listings = texts.into_iter().map(|(_, listing)| listing).collect();
    let mut host = Host::new(listings, readings);
    host.remarks.extend(warnings.into_iter().map(|text| Remark { place: Place::default(), text }));
    Ok(host)
}

fn read_one(view: View, text: &str, number: u16) -> Result<Reading, ReadError> {
    match view {
        View::NftText => nft::text::read_text(text, number),
        View::NftJson => nft::json::read_json(text, number),
        View::Iptables(Family::V4) => iptables_save::read(text, number, TableFamily::Ip),
        View::Iptables(Family::V6) => iptables_save::read(text, number, TableFamily::Ip6),
        View::Ipset => ipset::read(text, number),
    }
}

/// One interface of `ip -j address`.
#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    ifname: String,
    /// The bridge, or whatever else it is a port of.
    #[serde(default)]
    master: Option<String>,
    #[serde(default)]
    addr_info: Vec<LinkAddress>,
}

#[derive(Deserialize)]
struct LinkAddress {
    #[serde(default)]
    local: Option<IpAddr>,
    #[serde(default)]
    prefixlen: u8,
}

/// Reads `ip -j address`.
fn links(text: &str) -> anyhow::Result<Links> {
    let links: Vec<Link> = serde_json::from_str(text).context("this is not what `ip -j address` prints")?;
    let mut all = Links::default();
    for link in links {
        all.bridges.extend(link.master);
        for own in link.addr_info {
            let Some(address) = own.local else { continue };
            let network = ipnet::IpNet::new(address, own.prefixlen)
                .context("this is not what `ip -j address` prints")?;
            all.addresses.push(HostAddress {
                interface: link.ifname.clone(),
                address,
                network: network.trunc(),
            });
        }
    }
    Ok(all)
}
