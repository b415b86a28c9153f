//! Where the rules of each layer come from: options, the site's `path:`, or this host itself.

mod groups;
mod nginx;

use std::net::IpAddr;
use std::path::Path;

use anyhow::anyhow;

use super::listings::HostListings;
use crate::admission::{Layer, LayerKind};
use crate::netfilter::{self, Host};
use crate::nginx::{self as configuration, Config, Files, Request, evaluate};
use crate::path::Entered;
use crate::report::admission_v1::{LayerReport, RequestReport};
use crate::security_group::select::Selection;
use crate::security_group::{Groups, admit};
use crate::site::path::{LayerSettings, RawHost, RawLayer};
use groups::GroupOptions;
use nginx::NginxOptions;

/// Layers that callers cross. Where none is named, this host's packet filter is asked.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Layers {
    #[command(flatten)]
    host: HostListings,
    #[command(flatten)]
    nginx: NginxOptions,
    #[command(flatten)]
    groups: GroupOptions,
}

/// What was read, from the outside inwards.
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
    Groups(Groups, Selection),
    Host(Host),
    Nginx(Files, Request),
}

/// Rules ready to be asked.
pub(super) struct Parsed<'r> {
    layers: Vec<(&'r ReadLayer, Ready<'r>)>,
}

enum Ready<'r> {
    Groups(&'r Groups, &'r Selection),
    Host(&'r Host),
    Nginx(Config<'r>, &'r Files, &'r Request),
}

/// A layer that is to be read.
enum Named<'a> {
    Groups(GroupOptions),
    Host(&'a HostListings),
    HostOfSite(HostListings),
    Nginx(NginxOptions),
}

impl Layers {
    /// Whether an option names a layer.
    pub(super) fn is_named(&self) -> bool {
        self.host.is_named() || self.nginx.is_named() || self.groups.is_named()
    }

    /// Reads what is named; what the site names where nothing is; this host where it names nothing either.
    pub(super) fn read(&self, site: &[LayerSettings], base: &Path) -> anyhow::Result<Read> {
        let mut layers = Vec::new();
        if !self.is_named() && !site.is_empty() {
            for settings in site {
                let rules = of_site(settings, base).read()?;
                layers.push(ReadLayer { rules, port: settings.port, proxy: settings.proxy });
            }
            return Ok(Read { layers });
        }
        for named in self.named(site, base) {
            let settings = site.iter().find(|one| kind_of(&one.raw) == named.kind());
            // Behind a proxy of nginx its host sees that proxy as well.
            let proxy = self.nginx.proxy.filter(|_| named.kind() != LayerKind::SecurityGroup);
            layers.push(ReadLayer {
                port: settings.and_then(|settings| settings.port),
                proxy: proxy.or(settings.and_then(|settings| settings.proxy)),
                rules: named.read()?,
            });
        }
        Ok(Read { layers })
    }

    /// The layers that options name; what they leave open of a layer is taken from the site.
    fn named(&self, site: &[LayerSettings], base: &Path) -> Vec<Named<'_>> {
        let mut named = Vec::new();
        if self.groups.is_named() {
            let of_site = site.iter().find_map(|settings| match &settings.raw {
                RawLayer::SecurityGroup(raw) => Some(GroupOptions::of_site(raw, base)),
                RawLayer::Terraform(_) | RawLayer::Host(_) | RawLayer::Nginx(_) => None,
            });
            named.push(Named::Groups(self.groups.clone().or(of_site.unwrap_or_default())));
        }
        if self.host.is_named() || !self.is_named() {
            named.push(Named::Host(&self.host));
        }
        if self.nginx.is_named() {
            let of_site = site.iter().find_map(|settings| match &settings.raw {
                RawLayer::Nginx(raw) => Some(NginxOptions::of_site(raw, settings.proxy, base)),
                RawLayer::SecurityGroup(_) | RawLayer::Terraform(_) | RawLayer::Host(_) => None,
            });
            named.push(Named::Nginx(self.nginx.clone().or(of_site.unwrap_or_default())));
        }
        named
    }
}

fn kind_of(raw: &RawLayer) -> LayerKind {
    match raw {
        RawLayer::SecurityGroup(_) | RawLayer::Terraform(_) => LayerKind::SecurityGroup,
        RawLayer::Host(_) => LayerKind::Host,
        RawLayer::Nginx(_) => LayerKind::Nginx,
    }
}

/// A layer that the site names.
fn of_site(settings: &LayerSettings, base: &Path) -> Named<'static> {
    match &settings.raw {
        RawLayer::SecurityGroup(raw) => Named::Groups(GroupOptions::of_site(raw, base)),
        RawLayer::Terraform(_) => Named::Groups(GroupOptions::default()),
        RawLayer::Host(raw) => Named::HostOfSite(host_listings(raw, base)),
        RawLayer::Nginx(raw) => Named::Nginx(NginxOptions::of_site(raw, settings.proxy, base)),
    }
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
        host_live: false,
    }
}

impl Named<'_> {
    fn kind(&self) -> LayerKind {
        match self {
            Named::Groups(_) => LayerKind::SecurityGroup,
            Named::Host(_) | Named::HostOfSite(_) => LayerKind::Host,
            Named::Nginx(_) => LayerKind::Nginx,
        }
    }

    fn read(self) -> anyhow::Result<Rules> {
        Ok(match self {
            Named::Groups(options) => Rules::Groups(options.read()?, options.selection()),
            Named::Host(listings) => Rules::Host(listings.read()?),
            Named::HostOfSite(listings) => Rules::Host(listings.read()?),
            Named::Nginx(options) => {
                let (files, request) = options.read()?;
                Rules::Nginx(files, request)
            }
        })
    }
}

impl Read {
    /// Makes the rules ready.
    pub(super) fn parse(&self) -> anyhow::Result<Parsed<'_>> {
        let mut layers = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let ready = match &layer.rules {
                Rules::Groups(groups, selection) => Ready::Groups(groups, selection),
                Rules::Host(host) => Ready::Host(host),
                Rules::Nginx(files, request) => {
                    let config = configuration::read(files)
                        .map_err(|error| anyhow!("{error}\n  help: {}", error.help))?;
                    Ready::Nginx(config, files, request)
                }
            };
            layers.push((layer, ready));
        }
        Ok(Parsed { layers })
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
                ..read.rules.asked()
            });
        }
        reports
    }
}

impl Rules {
    /// What is asked of them besides the port.
    fn asked(&self) -> LayerReport {
        match self {
            Rules::Groups(_, selection) => {
                let chosen = selection.groups.iter().chain(&selection.interface).chain(&selection.instance);
                LayerReport { groups: chosen.cloned().collect(), ..LayerReport::default() }
            }
            Rules::Host(_) => LayerReport::default(),
            Rules::Nginx(_, request) => {
                LayerReport { request: Some(shown(request)), ..LayerReport::default() }
            }
        }
    }
}

fn shown(request: &Request) -> RequestReport {
    RequestReport {
        server_name: request.server_name.clone(),
        path: request.path.clone(),
        method: request.method.clone(),
        headers: request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect(),
    }
}

impl Parsed<'_> {
    /// The layers, from the outside inwards.
    pub(super) fn layers(&self) -> anyhow::Result<Vec<Box<dyn Layer + '_>>> {
        let mut layers: Vec<Box<dyn Layer + '_>> = Vec::with_capacity(self.layers.len());
        for (read, ready) in &self.layers {
            // nginx can hear from the proxy who calls: it is told of it with the request.
            let (layer, proxy): (Box<dyn Layer + '_>, _) = match ready {
                Ready::Groups(groups, selection) => {
                    let asked = admit::Asked::new(groups, selection)
                        .map_err(|error| anyhow!("{error}\n  help: {}", error.help))?;
                    (Box::new(asked), read.proxy)
                }
                Ready::Host(host) => (Box::new(netfilter::evaluate::Asked::new(host)), read.proxy),
                Ready::Nginx(config, files, request) => {
                    (Box::new(evaluate::Asked::new(config, files, request)), None)
                }
            };
            layers.push(match (read.port, proxy) {
                (None, None) => layer,
                (port, proxy) => Box::new(Entered { layer, port, proxy }),
            });
        }
        Ok(layers)
    }
}

/// The names of all listings, in the order of the layers.
pub(super) fn names(layers: &[Box<dyn Layer + '_>]) -> impl Iterator<Item = String> {
    let listings = layers.iter().flat_map(|layer| layer.listings());
    listings.map(|listing| listing.name.clone())
}
