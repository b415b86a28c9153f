//! Where the rules of each layer come from: options, the site's `path:`, or this host itself.

mod groups;
mod nginx;
mod terraform;

use std::net::IpAddr;
use std::path::Path;

use anyhow::anyhow;

use super::listings::HostListings;
use crate::admission::{Layer, LayerKind};
use crate::netfilter::{self, Host};
use crate::nginx::{self as configuration, Config, Files, Request, evaluate};
use crate::path::Entered;
use crate::prefix::PrefixSet;
use crate::report::admission_v1::{LayerReport, RequestReport};
use crate::security_group::admit;
use crate::security_group::terraform::When;
use crate::site::path::{LayerSettings, RawHost, RawLayer};
use crate::target::{Mode, Target};
use groups::GroupOptions;
use nginx::NginxOptions;
use terraform::{Chosen, TerraformOptions};

/// Layers that callers cross. Where none is named, this host's packet filter is asked.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Layers {
    #[command(flatten)]
    host: HostListings,
    #[command(flatten)]
    nginx: NginxOptions,
    #[command(flatten)]
    groups: GroupOptions,
    #[command(flatten)]
    terraform: TerraformOptions,
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
    /// Groups, and of a plan of Terraform what they are before it is carried out.
    Groups(Box<Chosen>, Option<Box<Chosen>>),
    Host(Host),
    Nginx(Files, Request),
}

/// Rules ready to be asked.
pub(super) struct Parsed<'r> {
    layers: Vec<(&'r ReadLayer, Ready<'r>)>,
}

enum Ready<'r> {
    Groups(&'r Chosen, Option<&'r Chosen>),
    Host(&'r Host),
    Nginx(Config<'r>, &'r Files, &'r Request),
}

/// A layer that is to be read.
enum Named<'a> {
    Groups(GroupOptions),
    Terraform(TerraformOptions, Vec<String>),
    Host(&'a HostListings),
    HostOfSite(HostListings),
    Nginx(NginxOptions),
}

impl Layers {
    /// Whether an option names a layer.
    pub(super) fn is_named(&self) -> bool {
        let groups = self.groups.is_named() || self.terraform.terraform.is_some();
        groups || self.host.is_named() || self.nginx.is_named()
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
        if self.terraform.terraform.is_some() {
            let of_site = site.iter().find_map(|settings| match &settings.raw {
                RawLayer::Terraform(raw) => Some((TerraformOptions::of_site(raw, base), raw.groups.clone())),
                RawLayer::SecurityGroup(_) | RawLayer::Host(_) | RawLayer::Nginx(_) => None,
            });
            let (other, groups) = of_site.unwrap_or_default();
            let groups = if self.groups.group.is_empty() { groups } else { self.groups.group.clone() };
            named.push(Named::Terraform(self.terraform.clone().or(other), groups));
        } else if self.groups.is_named() {
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
        RawLayer::Terraform(raw) => {
            Named::Terraform(TerraformOptions::of_site(raw, base), raw.groups.clone())
        }
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
            Named::Groups(_) | Named::Terraform(..) => LayerKind::SecurityGroup,
            Named::Host(_) | Named::HostOfSite(_) => LayerKind::Host,
            Named::Nginx(_) => LayerKind::Nginx,
        }
    }

    fn read(self) -> anyhow::Result<Rules> {
        Ok(match self {
            Named::Groups(options) => Rules::Groups(Box::new((options.read()?, options.selection())), None),
            Named::Terraform(options, groups) => {
                let (chosen, before) = options.read(groups)?;
                Rules::Groups(Box::new(chosen), before.map(Box::new))
            }
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
                Rules::Groups(chosen, before) => Ready::Groups(chosen, before.as_deref()),
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

    /// The proxies that callers come through.
    pub(super) fn proxies(&self) -> PrefixSet {
        let all = self.layers.iter().filter_map(|layer| layer.proxy);
        PrefixSet::from_ranges(all.map(|proxy| (proxy, proxy)))
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
            Rules::Groups(chosen, _) => {
                let (_, selection) = chosen.as_ref();
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
        self.at(When::After)
    }

    /// The layers as they are before a plan of Terraform is carried out; `None` where there is no plan.
    pub(super) fn before(&self) -> anyhow::Result<Option<Vec<Box<dyn Layer + '_>>>> {
        let is_plan = |(_, ready): &(&ReadLayer, Ready<'_>)| matches!(ready, Ready::Groups(_, Some(_)));
        if !self.layers.iter().any(is_plan) {
            return Ok(None);
        }
        self.at(When::Before).map(Some)
    }

    fn at(&self, when: When) -> anyhow::Result<Vec<Box<dyn Layer + '_>>> {
        let mut layers: Vec<Box<dyn Layer + '_>> = Vec::with_capacity(self.layers.len());
        for (read, ready) in &self.layers {
            // nginx can hear from the proxy who calls: it is told of it with the request.
            let (layer, proxy): (Box<dyn Layer + '_>, _) = match ready {
                Ready::Groups(after, before) => {
                    let before = before.filter(|_| when == When::Before);
                    let (groups, selection) = before.unwrap_or(after);
                    let asked = admit::Asked::new(groups, selection)
                        .map_err(|error| anyhow!("{error}\n  help: {}", error.help))?;
                    (Box::new(asked), read.proxy)
                }
                Ready::Host(host) => (Box::new(netfilter::evaluate::Asked::new(host)), read.proxy),
                Ready::Nginx(config, files, request) => {
                    let asked = evaluate::Asked::new(config, files, request)
                        .map_err(|error| anyhow!("{error}\n  help: {}", error.help))?;
                    (Box::new(asked), None)
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

/// The mode of these layers together: strangers who get through count where any target that stands here wants to be
/// exclusive.
pub(super) fn mode<'t>(
    targets: impl Iterator<Item = &'t dyn Target>,
    layers: &[Box<dyn Layer + '_>],
) -> Mode {
    let stands = |target: &&dyn Target| layers.iter().any(|layer| layer.kind() == target.layer());
    let mut here = targets.filter(stands);
    if here.any(|target| target.common().mode == Mode::Exclusive) { Mode::Exclusive } else { Mode::Permit }
}
