//! `callgate explain`

mod way;

use std::fmt::Write as _;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::inputs::{self, Inputs};
use super::layers::Layers;
use super::{Exit, Form, Global, Outcome, complain, print, show};
use crate::allowlist::{exceptions_of, standing};
use crate::diagnostic::Diagnostics;
use crate::plain::line;
use crate::policy::{Policy, Role, Source};
use crate::prefix::Prefix;
use crate::report::json_v1;
use crate::report::source_v1::{Instant, Shown, instants, shown};
use crate::site::Site;
use way::Way;

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The address
    address: IpAddr,
    #[command(flatten)]
    layers: Layers,
    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

/// What is known of one address.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    address: String,
    at: String,
    admitted: bool,
    /// The targets of the site that admit it, as rendered.
    targets: Vec<String>,
    sources: Vec<Match>,
    /// What the rules on the way do with it, where they are named by options or by the site's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Way>,
}

/// A source that covers the address.
#[derive(Debug, Serialize)]
struct Match {
    provider: String,
    name: String,
    revision: u32,
    source: String,
    label: Option<String>,
    prefix: String,
    role: &'static str,
    hosting: &'static str,
    admitted: bool,
    /// Why it is admitted or not, in words.
    reason: String,
    environments: Vec<InEnvironment>,
    replaced_by: Option<String>,
    evidence: Vec<Shown>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct InEnvironment {
    environment: &'static str,
    selected: bool,
    state: &'static str,
    admitted: bool,
    instants: Vec<Instant>,
}

impl Explain {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let mut sink = Diagnostics::new();
        let inputs = inputs::read(global, &mut sink);
        show(&sink);
        let Some(site) = inputs.site.as_ref().filter(|_| !sink.has_errors()) else {
            return Ok(Exit::Failure);
        };
        let mut report = report(self.address, &inputs, site);
        let mut exit = Exit::Ok;
        if self.layers.is_named() || !site.path.is_empty() {
            let wanted = if report.admitted { way::Wanted::Yes } else { way::Wanted::No };
            let asked = self.layers.read(&site.path, &inputs::base(global));
            let asked =
                asked.and_then(|read| way::way(self.address.to_canonical(), wanted, &read, (&inputs, site)));
            match asked {
                Ok(way) => {
                    exit = way.exit();
                    report.path = Some(way);
                }
                // What the policies say is worth having all the same.
                Err(error) => {
                    complain(&format!("error: the rules on the way were not asked: {error:#}\n"));
                    exit = Exit::Failure;
                }
            }
        }
        match self.format {
            Form::Json => print(&json_v1::to_text(&report)),
            Form::Text => print(&as_text(&report, &inputs)),
        }?;
        Ok(exit)
    }
}

fn report(address: IpAddr, inputs: &Inputs, site: &Site) -> Report {
    // A caller seen on a dual-stack listener may be written as IPv6.
    let address = address.to_canonical();
    let mut sources = Vec::new();
    for policy in inputs.policies.by_provider.values() {
        for source in &policy.sources {
            let covering = source
                .prefixes
                .iter()
                .filter(|prefix| prefix.contains(&address))
                .max_by_key(|prefix| prefix.length());
            if let Some(prefix) = covering {
                sources.push((prefix.length(), matched(policy, source, prefix, site, inputs.at)));
            }
        }
    }
    // The most telling first: what admits it, then the narrowest.
    sources.sort_by_key(|(length, found)| (!found.admitted, std::cmp::Reverse(*length)));
    let sources: Vec<Match> = sources.into_iter().map(|(_, found)| found).collect();
    let admitted = sources.iter().any(|found| found.admitted);
    let targets =
        if admitted { site.targets.iter().map(|target| target.name.clone()).collect() } else { Vec::new() };
    Report {
        version: json_v1::VERSION,
        address: address.to_string(),
        at: inputs.at.to_string(),
        admitted,
        targets,
        sources,
        path: None,
    }
}

fn matched(policy: &Policy, source: &Source, prefix: &Prefix, site: &Site, at: Timestamp) -> Match {
    let selection = site.selections.iter().find(|selection| selection.provider == policy.provider.as_str());
    let exceptions = exceptions_of(site, policy, source);
    let mut environments = Vec::new();
    let mut retired = None;
    let mut held = false;
    for (environment, lifecycle) in &source.environments {
        let selected = selection.is_some_and(|selection| {
            selection.environments.contains(environment)
                && (source.role == Role::Tombstone || selection.roles.contains(&source.role))
        });
        let Some(standing) = standing(source, &exceptions, *environment, at) else { continue };
        retired = retired.or(standing.retired);
        held |= standing.held && selected;
        environments.push(InEnvironment {
            environment: environment.as_str(),
            selected,
            state: standing.state.as_str(),
            admitted: selected && standing.admitted,
            instants: instants(lifecycle),
        });
    }
    let admitted = environments.iter().any(|environment| environment.admitted);
    let reason = match retired {
        Some((since, reason)) if !admitted => format!("this site retired it on {since}: {reason}"),
        _ if held => "it has expired, and this site holds it".to_owned(),
        _ if selection.is_none() => "this site does not select its provider".to_owned(),
        _ => reason(source, &environments, at),
    };
    Match {
        provider: policy.provider.to_string(),
        name: policy.name.clone(),
        revision: policy.revision,
        source: source.id.to_string(),
        label: source.label.clone(),
        prefix: prefix.to_string(),
        role: source.role.as_str(),
        hosting: source.hosting.as_str(),
        admitted,
        reason,
        environments,
        replaced_by: source.replaced_by.as_ref().map(ToString::to_string),
        evidence: source.evidence.iter().map(|evidence| shown(policy, evidence)).collect(),
        notes: source.notes.clone(),
    }
}

fn reason(source: &Source, environments: &[InEnvironment], at: Timestamp) -> String {
    let admitted = environments.iter().any(|found| found.admitted);
    let state =
        environments.iter().find(|found| found.admitted == admitted).map_or("unknown", |found| found.state);
    match (source.role, admitted) {
        (Role::Tombstone, _) => match withdrawn(source) {
            Some(since) => format!("withdrawn: the provider's pages no longer list it since {since}"),
            None => "withdrawn: the provider's pages no longer list it".to_owned(),
        },
        (Role::OwnerNetwork, false) if environments.iter().all(|found| !found.selected) => {
            "the provider's own network, which this site did not opt in to with `roles:`".to_owned()
        }
        (_, false) if environments.iter().all(|found| !found.selected) => {
            "this site does not select its environments".to_owned()
        }
        (Role::Callback | Role::OwnerNetwork, _) => match state {
            "announced" => "announced: admitted before callbacks come from it".to_owned(),
            "grace" => "the provider calls it legacy, and it is still admitted".to_owned(),
            "expired" => "its published end has passed".to_owned(),
            "unknown" => format!("the provider had not made it known at {at}"),
            _ => "callbacks come from it".to_owned(),
        },
    }
}

fn withdrawn(source: &Source) -> Option<String> {
    let last = source.environments.values().filter_map(|lifecycle| {
        let end = lifecycle.valid_until.moment();
        lifecycle.withdrawn.as_ref().map(|dated| &dated.moment).or(end)
    });
    last.max_by_key(|moment| moment.ends()).map(ToString::to_string)
}

// Writing into a String can't fail, so the results below are dropped.
fn as_text(report: &Report, inputs: &Inputs) -> String {
    let mut text = String::new();
    let verdict = if report.admitted { "is admitted" } else { "is not admitted" };
    let _ = writeln!(text, "{} {verdict} (at {})", report.address, report.at);
    if report.sources.is_empty() {
        let known: Vec<String> = inputs
            .policies
            .by_provider
            .values()
            .map(|policy| format!("{} revision {}", policy.provider, policy.revision))
            .collect();
        let _ = writeln!(text, "\nNo source of any policy covers it ({}).", known.join(", "));
        text.push_str("If it says it calls for a provider, hold it against that provider's page: callgate will not guess.\n");
    }
    for found in &report.sources {
        let _ = writeln!(
            text,
            "\n{}/{} ({}, policy revision {})",
            found.provider,
            found.source,
            line(&found.name),
            found.revision
        );
        let label = found
            .label
            .as_ref()
            .map(|label| format!(", the provider's label: {}", line(label)))
            .unwrap_or_default();
        let _ =
            writeln!(text, "  {:12} {} ({}, {}{label})", "prefix", found.prefix, found.role, found.hosting);
        let _ = writeln!(
            text,
            "  {:12} {}",
            if found.admitted { "admitted" } else { "not admitted" },
            found.reason
        );
        states(found, &mut text);
        if let Some(successor) = &found.replaced_by {
            let _ = writeln!(text, "  {:12} {successor}", "replaced by");
        }
        for evidence in &found.evidence {
            shown_text(evidence, &mut text);
        }
        for note in &found.notes {
            let _ = writeln!(text, "  {:12} {}", "note", line(note));
        }
    }
    if report.admitted {
        let asked = if report.path.is_some() { "" } else { " What is deployed may differ." };
        let _ = writeln!(text, "\nRendered into: {}.{asked}", report.targets.join(", "));
    }
    if let Some(way) = &report.path {
        way.write(&mut text);
    }
    text
}

fn states(found: &Match, text: &mut String) {
    let mut before: Option<&[Instant]> = None;
    for state in &found.environments {
        let selected = if state.selected { "" } else { " (not selected here)" };
        let _ = writeln!(text, "  {:12} {}{selected}", state.environment, state.state);
        if before.is_some_and(|before| before == state.instants) {
            continue;
        }
        for instant in &state.instants {
            let inferred = instant
                .inferred
                .as_ref()
                .map(|why| format!(" (our inference: {})", line(why)))
                .unwrap_or_default();
            let _ = writeln!(text, "    {:12} {}{inferred}", instant.what, instant.at);
        }
        before = Some(&state.instants);
    }
}

fn shown_text(evidence: &Shown, text: &mut String) {
    let section =
        evidence.section.as_ref().map(|section| format!(", section {}", line(section))).unwrap_or_default();
    let version =
        evidence.version.as_ref().map(|version| format!(", version {}", line(version))).unwrap_or_default();
    let _ = writeln!(text, "  {:12} {}{section}, read {}{version}", "evidence", evidence.url, evidence.read);
    if let Some(says) = &evidence.says {
        let _ = writeln!(text, "  {:12} \"{}\"", "", line(says));
    }
    if let Some(note) = &evidence.note {
        let _ = writeln!(text, "  {:12} {}", "", line(note));
    }
}
