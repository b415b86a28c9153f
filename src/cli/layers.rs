//! Where the rules of each layer come from: options, the site's `path:`, or this host itself.

use std::net::IpAddr;
use std::path::Path;

use anyhow::anyhow;

use super::listings::HostListings;
use crate::admission::{Layer, LayerKind};
use crate::netfilter::Host;
use crate::netfilter::evaluate::Asked;
use crate::path::Entered;
use crate::report::admission_v1::LayerReport;
use crate::site::path::{LayerSettings, RawHost, RawLayer};

/// Listings in files, layer by layer. Where nothing is named, this host's packet filter is asked.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Layers {
    #[command(flatten)]
    host: HostListings,
    /// Ask this host's packet filter as well as what is named besides
    #[arg(long)]
    host_live: bool,
}

/// What was read.
pub(super) struct Read {
    layers: Vec<ReadLayer>,
}

struct ReadLayer {
    rules: Rules,
    port: Option<u16>,
    proxy: Option<IpAddr>,
}

/// The rules of a layer, as they were read.
enum Rules {
    Host(Host),
}

/// Rules ready to be asked.
pub(super) struct Parsed<'r> {
    layers: Vec<(&'r ReadLayer, Ready<'r>)>,
}

enum Ready<'r> {
    Host(&'r Host),
}

impl Layers {
    /// Reads what is named; what the site names where nothing is; this host where it names nothing either.
    pub(super) fn read(&self, site: &[LayerSettings], base: &Path) -> anyhow::Result<Read> {
        let named = self.host_live || !self.host.is_live();
        let mut layers = Vec::new();
        if !named && !site.is_empty() {
            for settings in site {
                layers.push(read_settings(settings, base)?);
            }
            return Ok(Read { layers });
        }
        let arrives = |kind: LayerKind| site.iter().find(|one| kind_of(&one.raw) == kind);
        let mut add = |rules: Rules| {
            let settings = arrives(rules.kind());
            layers.push(ReadLayer {
                port: settings.and_then(|settings| settings.port),
                proxy: settings.and_then(|settings| settings.proxy),
                rules,
            });
        };
        add(Rules::Host(self.host.read()?));
        Ok(Read { layers })
    }
}

fn kind_of(raw: &RawLayer) -> LayerKind {
    match raw {
        RawLayer::SecurityGroup(_) | RawLayer::Terraform(_) => LayerKind::SecurityGroup,
        RawLayer::Host(_) => LayerKind::Host,
        RawLayer::Nginx(_) => LayerKind::Nginx,
    }
}

/// Reads a layer that the site names.
fn read_settings(settings: &LayerSettings, base: &Path) -> anyhow::Result<ReadLayer> {
    let rules = match &settings.raw {
        RawLayer::Host(raw) => Rules::Host(host_listings(raw, base).read()?),
        RawLayer::SecurityGroup(_) | RawLayer::Terraform(_) | RawLayer::Nginx(_) => {
            return Err(anyhow!("not yet"));
        }
    };
    Ok(ReadLayer { rules, port: settings.port, proxy: settings.proxy })
}

fn host_listings(raw: &RawHost, base: &Path) -> HostListings {
    let one = |name: &Option<String>| name.as_ref().map(|name| base.join(name));
    let all = |names: &[String]| names.iter().map(|name| base.join(name)).collect();
    HostListings {
        nft_json: one(&raw.nft_json),
        nft: one(&raw.nft),
        iptables: all(&raw.iptables),
        ip6tables: all(&raw.ip6tables),
        ipset: one(&raw.ipset),
        addresses: one(&raw.addresses),
    }
}

impl Rules {
    fn kind(&self) -> LayerKind {
        match self {
            Rules::Host(_) => LayerKind::Host,
        }
    }
}

impl Read {
    /// Makes the rules ready.
    pub(super) fn parse(&self) -> Parsed<'_> {
        let mut layers = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let ready = match &layer.rules {
                Rules::Host(host) => Ready::Host(host),
            };
            layers.push((layer, ready));
        }
        Parsed { layers }
    }

    /// What was asked of each layer, for a report.
    pub(super) fn reports(&self, layers: &[Box<dyn Layer + '_>]) -> Vec<LayerReport> {
        let mut reports = Vec::with_capacity(layers.len());
        for (read, layer) in self.layers.iter().zip(layers) {
            reports.push(LayerReport {
                layer: layer.kind().as_str(),
                listings: layer.listings().iter().map(|listing| listing.name.clone()).collect(),
                port: read.port,
                proxy: read.proxy.map(|proxy| proxy.to_string()),
                ..LayerReport::default()
            });
        }
        reports
    }
}

impl Parsed<'_> {
    /// The layers, from the outside inwards.
    pub(super) fn layers(&self) -> Vec<Box<dyn Layer + '_>> {
        let mut layers: Vec<Box<dyn Layer + '_>> = Vec::with_capacity(self.layers.len());
        for (read, ready) in &self.layers {
            let layer: Box<dyn Layer + '_> = match ready {
                Ready::Host(host) => Box::new(Asked::new(host)),
            };
            layers.push(match (read.port, read.proxy) {
                (None, None) => layer,
                (port, proxy) => Box::new(Entered { layer, port, proxy }),
            });
        }
        layers
    }
}

/// The names of all listings, in the order of the layers.
pub(super) fn names(layers: &[Box<dyn Layer + '_>]) -> impl Iterator<Item = String> {
    let listings = layers.iter().flat_map(|layer| layer.listings());
    listings.map(|listing| listing.name.clone())
}
