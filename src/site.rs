//! The site: which policies, environments and roles are wanted here, at which service, in which targets.
//!
//! Read from `callgate.yaml`; without one, a built-in site takes every provider's callback sources for
//! production to every kind of target.

pub mod guardrails;
pub mod path;
pub mod raw;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, SourceText};
use crate::instant::{Moment, parse_moment, parse_zone};
use crate::policy::load::Policies;
use crate::policy::{Environment, Role};
use crate::yaml::Node;
use crate::yaml::decode::{At, Decode, Decoder, instead_of};
use guardrails::Guardrails;
use path::LayerSettings;
use raw::{RawException, RawSelection, RawSite, RawSiteService, RawTarget};

/// The name of the site file.
pub const FILE_NAME: &str = "callgate.yaml";
/// The format number that this version reads.
pub const SCHEMA: u32 = 1;
/// Largest site file read, in bytes.
pub const BYTES_MAX: u64 = 1 << 20;

/// The name that the built-in site is shown by.
pub const BUILT_IN_NAME: &str = "<built-in site>";
/// The site in force where there is no file.
pub const BUILT_IN: &str = "\
schema: 1
environments: [production]
roles: [callback]
targets:
  aws-security-group: { kind: aws-security-group }
  iptables: { kind: iptables }
  nftables: { kind: nftables }
  nginx: { kind: nginx }
  terraform: { kind: terraform }
";

/// What is wanted at one place, checked against the policies.
#[derive(Debug, Clone)]
pub struct Site {
    /// What is taken of each provider, by ascending id.
    pub selections: Vec<Selection>,
    /// Where the callbacks arrive.
    pub service: Service,
    /// Sources retired earlier or held longer.
    pub exceptions: Vec<Exception>,
    /// The layers that a callback crosses, from the outside inwards; empty where they are not named.
    pub path: Vec<LayerSettings>,
    /// What a change must not do unless somebody says so.
    pub guardrails: Guardrails,
    /// Settings of each target, by ascending name.
    pub targets: Vec<TargetSettings>,
    /// The text it was read from.
    pub text: Arc<SourceText>,
}

impl Site {
    /// Whether it is the one for where there is no file.
    pub fn is_built_in(&self) -> bool {
        self.text.name == BUILT_IN_NAME
    }
}

/// What is taken of one provider.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The provider's id.
    pub provider: String,
    /// Which roles; never a tombstone.
    pub roles: BTreeSet<Role>,
    /// Which environments.
    pub environments: BTreeSet<Environment>,
}

/// Where the callbacks arrive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Ports, ascending, at least one.
    pub ports: Vec<u16>,
    /// The interface.
    pub interface: Option<String>,
    /// The addresses, at most one a family.
    pub addresses: Vec<IpAddr>,
}

impl Service {
    /// Its ports in words, such as `tcp/443`.
    pub fn ports_words(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(|port| format!("tcp/{port}")).collect();
        ports.join(", ")
    }
}

/// A source that this site treats otherwise than the provider says.
#[derive(Debug, Clone)]
pub struct Exception {
    /// The provider's id.
    pub provider: String,
    /// The source's id.
    pub source: String,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// When somebody looks again.
    pub review_by: Moment,
    /// Its place in the site's text.
    pub place: Range<usize>,
}

/// What a site does to a source.
#[derive(Debug, Clone)]
pub enum Action {
    /// No longer admitted from here on.
    Retire(Moment),
    /// Admitted until here although it expired.
    HoldUntil(Moment),
}

/// A target's name and settings as written.
#[derive(Debug, Clone)]
pub struct TargetSettings {
    /// Its name, which its files are named after.
    pub name: String,
    /// What is written under the name.
    pub node: Node<'static>,
}

/// Reads a site and checks it against the policies. Faults go to `sink`; a site with faults is still given,
/// so that its targets can tell theirs, and is of no other use.
pub fn read(text: &Arc<SourceText>, policies: &Policies, sink: &mut Diagnostics) -> Option<Site> {
    let node = crate::yaml::parse(text, sink)?;
    let raw = RawSite::decode(&node, &mut Decoder::new(text, sink))?;
    Some(Reader { text, policies, sink, zone: TimeZone::UTC }.site(raw))
}

struct Reader<'a> {
    text: &'a Arc<SourceText>,
    policies: &'a Policies,
    sink: &'a mut Diagnostics,
    zone: TimeZone,
}

impl Reader<'_> {
    fn fault(&mut self, code: Code, place: &Range<usize>, message: String, help: impl Into<String>) {
        self.sink.push(Diagnostic::new(code, message).at(self.text, place.clone(), "").help(help));
    }

    fn site(mut self, raw: RawSite) -> Site {
        if let Some(schema) = raw.schema.as_ref().filter(|schema| schema.value != SCHEMA) {
            let message = format!("site format {} is not one this version reads", schema.value);
            self.fault(
                Code::SchemaUnsupported,
                &schema.span,
                message,
                format!("write `schema: {SCHEMA}`, or upgrade callgate"),
            );
        }
        if let Some(zone) = &raw.zone {
            match parse_zone(&zone.value) {
                Ok(found) => self.zone = found,
                Err(error) => self.fault(error.code(), &zone.span, error.to_string(), error.help()),
            }
        }
        let selections = self.selections(&raw);
        let service = self.service(raw.service, &selections, &raw.span);
        let exceptions: Vec<Exception> =
            raw.exceptions.into_iter().filter_map(|exception| self.exception(exception)).collect();
        for idle in exceptions
            .iter()
            .filter(|exception| !selections.iter().any(|selected| selected.provider == exception.provider))
        {
            let message = format!("an exception for `{}`, which this site does not select", idle.provider);
            self.fault(
                Code::UnknownProvider,
                &idle.place,
                message,
                "remove it, or select the provider under `policies:`",
            );
        }
        let targets = self.targets(raw.targets.map(|targets| targets.0).unwrap_or_default(), &raw.span);
        let mut decoder = Decoder::new(self.text, self.sink);
        let path = path::checked(raw.path, &mut decoder);
        let guardrails = guardrails::checked(raw.guardrails, &mut decoder);
        Site { selections, service, exceptions, path, guardrails, targets, text: Arc::clone(self.text) }
    }

    fn selections(&mut self, raw: &RawSite) -> Vec<Selection> {
        let common_roles = self.roles(raw.roles.as_deref());
        let common_environments: BTreeSet<Environment> = match &raw.environments {
            None => [Environment::Production].into(),
            Some(listed) => listed.iter().copied().collect(),
        };
        if common_environments.is_empty() {
            self.fault(
                Code::InvalidValue,
                &raw.span,
                "no environment is selected".to_owned(),
                "write `environments: [production]`",
            );
        }
        let Some(listed) = &raw.policies else {
            let every = self.policies.by_provider.keys().cloned();
            let (roles, environments) = (&common_roles, &common_environments);
            return every
                .map(|provider| Selection {
                    provider,
                    roles: roles.clone(),
                    environments: environments.clone(),
                })
                .collect();
        };
        let mut selections: Vec<Selection> = Vec::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for RawSelection(details) in listed {
            let Some(provider) = &details.provider else { continue };
            self.known_provider(provider);
            if !seen.insert(&provider.value) {
                let message = format!("provider `{}` is selected twice", provider.value);
                self.fault(Code::DuplicateId, &provider.span, message, "keep one");
            }
            let roles = details
                .roles
                .as_deref()
                .map_or_else(|| common_roles.clone(), |roles| self.roles(Some(roles)));
            let environments = details.environments.as_ref();
            let environments =
                environments.map_or_else(|| common_environments.clone(), |own| own.iter().copied().collect());
            selections.push(Selection { provider: provider.value.clone(), roles, environments });
        }
        selections.sort_by(|left, right| left.provider.cmp(&right.provider));
        selections
    }

    fn roles(&mut self, listed: Option<&[At<Role>]>) -> BTreeSet<Role> {
        let Some(listed) = listed else { return [Role::Callback].into() };
        for role in listed.iter().filter(|role| role.value == Role::Tombstone) {
            let message = "tombstones can't be admitted".to_owned();
            self.fault(
                Code::InvalidValue,
                &role.span,
                message,
                "hold an expired source with `exceptions:` instead",
            );
        }
        listed.iter().map(|role| role.value).collect()
    }

    fn known_provider(&mut self, provider: &At<String>) -> bool {
        if self.policies.by_provider.contains_key(&provider.value) {
            return true;
        }
        // Its own faults have been told.
        if self.policies.refused.contains(&provider.value) {
            return false;
        }
        let known = self.policies.by_provider.keys().map(String::as_str);
        let help = instead_of(&provider.value, known, "policies are here for");
        let message = format!("no policy describes provider `{}`", provider.value.escape_debug());
        self.fault(Code::UnknownProvider, &provider.span, message, help);
        false
    }

    fn service(
        &mut self,
        raw: Option<RawSiteService>,
        selections: &[Selection],
        site: &Range<usize>,
    ) -> Service {
        let Some(raw) = raw else {
            return Service { ports: self.common_ports(selections, site), ..Service::default() };
        };
        let interface =
            raw.interface.as_ref().and_then(|name| interface(name, &mut Decoder::new(self.text, self.sink)));
        let addresses = self.addresses(&raw.addresses);
        let ports = match &raw.ports {
            Some(ports) => self.ports(ports, selections, &raw.span),
            None => self.common_ports(selections, site),
        };
        Service { ports, interface, addresses }
    }

    /// The ports of all selected providers, which must be the same where the site names none.
    fn common_ports(&mut self, selections: &[Selection], place: &Range<usize>) -> Vec<u16> {
        let selected =
            selections.iter().filter_map(|selection| self.policies.by_provider.get(&selection.provider));
        let all: BTreeSet<Vec<u16>> = selected.map(|policy| policy.ports.clone()).collect();
        if all.len() > 1 {
            let message = "the selected providers call different ports".to_owned();
            let start = place.start..place.start;
            self.fault(
                Code::PortOutsideService,
                &start,
                message,
                "write `service: { ports: […] }` with the ports that are called here",
            );
        }
        all.into_iter().next().unwrap_or_default()
    }

    fn ports(&mut self, ports: &[At<u16>], selections: &[Selection], place: &Range<usize>) -> Vec<u16> {
        if ports.is_empty() {
            self.fault(
                Code::PortOutsideService,
                place,
                "a service without ports".to_owned(),
                "write `ports: [443]`",
            );
        }
        for port in ports {
            let selected =
                selections.iter().filter_map(|selection| self.policies.by_provider.get(&selection.provider));
            let strangers: Vec<&str> = selected
                .filter(|policy| !policy.ports.contains(&port.value))
                .map(|policy| policy.provider.as_str())
                .collect();
            if !strangers.is_empty() {
                let message = format!("port {} is not one that {} calls", port.value, strangers.join(", "));
                self.fault(
                    Code::PortOutsideService,
                    &port.span,
                    message,
                    "name the port that the provider calls, before any translation",
                );
            }
        }
        ports.iter().map(|port| port.value).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn addresses(&mut self, listed: &[At<String>]) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for text in listed {
            match text.value.parse::<IpAddr>() {
                Ok(address) if addresses.iter().any(|other| other.is_ipv4() == address.is_ipv4()) => {
                    let message = format!("a second address of one family: `{address}`");
                    self.fault(
                        Code::InvalidValue,
                        &text.span,
                        message,
                        "give at most one IPv4 and one IPv6 address",
                    );
                }
                Ok(address) => addresses.push(address),
                Err(_) => {
                    let message = format!("`{}` is not an address", text.value.escape_debug());
                    self.fault(Code::NotAPrefix, &text.span, message, "write one address without a length");
                }
            }
        }
        addresses.sort();
        addresses
    }

    fn moment(&mut self, text: &At<String>) -> Option<Moment> {
        match parse_moment(&text.value, &self.zone) {
            Ok(moment) => Some(moment),
            Err(error) => {
                self.fault(error.code(), &text.span, error.to_string(), error.help());
                None
            }
        }
    }

    fn exception(&mut self, raw: RawException) -> Option<Exception> {
        let review_by = raw.review_by.as_ref().and_then(|review| self.moment(review));
        let retire = raw.retire.as_ref().map(|retire| self.moment(retire));
        let hold = raw.hold_until.as_ref().map(|hold| self.moment(hold));
        let action = match (retire, hold) {
            (Some(retire), None) => retire.map(Action::Retire),
            (None, Some(hold)) => hold.map(Action::HoldUntil),
            (Some(_), Some(_)) | (None, None) => {
                let message = "an exception either retires a source or holds it".to_owned();
                self.fault(
                    Code::InvalidValue,
                    &raw.span,
                    message,
                    "write one of `retire:` and `hold_until:`",
                );
                None
            }
        };
        let (provider, source) = raw.provider.zip(raw.source)?;
        self.known_provider(&provider).then_some(())?;
        let policies = self.policies;
        let policy = policies.by_provider.get(&provider.value)?;
        let known = policy.sources.iter().map(|source| source.id.as_str());
        if !known.clone().any(|id| id == source.value) {
            let message = format!("`{}` has no source `{}`", provider.value, source.value.escape_debug());
            self.fault(
                Code::UnknownSource,
                &source.span,
                message,
                instead_of(&source.value, known, "it has"),
            );
            return None;
        }
        let tombstone = policy
            .sources
            .iter()
            .any(|found| found.id.as_str() == source.value && found.role == Role::Tombstone);
        if tombstone {
            let message = format!("`{}` is a tombstone: never admitted, whatever a site says", source.value);
            self.fault(Code::InvalidValue, &source.span, message, "remove the exception");
        }
        let (provider, source) = (provider.value, source.value);
        Some(Exception {
            provider,
            source,
            action: action?,
            reason: raw.reason?,
            review_by: review_by?,
            place: raw.span,
        })
    }

    fn targets(&mut self, raw: Vec<(At<String>, RawTarget)>, place: &Range<usize>) -> Vec<TargetSettings> {
        if raw.is_empty() {
            let start = place.start..place.start;
            self.fault(Code::MissingKey, &start, "no target".to_owned(), "name at least one target");
        }
        let mut targets = Vec::new();
        for (name, RawTarget(node)) in raw {
            if crate::policy::SourceId::new(&name.value).is_none() {
                let message = format!("`{}` is not a target name", name.value.escape_debug());
                self.fault(
                    Code::BadId,
                    &name.span,
                    message,
                    "use lower-case letters, digits and single hyphens: files are named after it",
                );
            }
            targets.push(TargetSettings { name: name.value, node });
        }
        targets.sort_by(|left, right| left.name.cmp(&right.name));
        targets
    }
}

/// The name of a network interface.
fn interface(name: &At<String>, decoder: &mut Decoder<'_>) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    let text = &name.value;
    if !text.is_empty() && text.len() <= 15 && text.bytes().all(plain) {
        return Some(text.clone());
    }
    let message = format!("`{}` is no interface name", text.escape_debug());
    let help = "at most 15 letters, digits, `.`, `_`, `-`; no wildcards";
    decoder.fault(Code::InvalidValue, &name.span, message, help);
    None
}
