//! `callgate diff`

use std::net::IpAddr;

use anyhow::anyhow;
use similar::TextDiff;

use super::inputs::{self, Inputs};
use super::listings::{Listings, Read};
use super::render::{Rendered, render_all};
use super::{Exit, Format, Global, Outcome, complain, print, show};
use crate::admission::{Admission, Decider, Question, RuleId};
use crate::allowlist::{Allowlist, Exclusion};
use crate::diagnostic::Diagnostics;
use crate::drift::keeper::Keeper;
use crate::drift::{Difference, Drift, Part, compare};
use crate::netfilter::evaluate::{Asked, Wanted};
use crate::policy::load::Policies;
use crate::policy::{Evidence, ProviderId, SourceId};
use crate::report::admission_v1::{RuleReport, findings};
use crate::report::drift_v1::{
    DifferenceReport, DriftReport, Outcome as Came, RangeReport, Skipped, SourceReport, TargetReport,
};
use crate::report::source_v1::{instants, shown};
use crate::report::{drift_text, json_v1};
use crate::target::Target;

/// Most lines of the text section, for one file.
const TEXT_LINES_MAX: usize = 400;

const AFTER_HELP: &str = "Without a listing in a file this host is asked, which needs root; nothing is changed. \
Exit status: 0 as wanted, 1 drift or findings, 2 bad input, 5 undetermined.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Diff {
    /// Compare these targets only; may be repeated
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    #[command(flatten)]
    listings: Listings,
    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Diff {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let mut sink = Diagnostics::new();
        let inputs = inputs::read(global, &mut sink);
        let rendered = render_all(&inputs, &self.target, &mut sink);
        show(&sink);
        let Some((allowlist, rendered)) = rendered.filter(|_| !sink.has_errors()) else {
            return Ok(Exit::Failure);
        };
        let read = self.listings.read()?;
        let host =
            Compared { read: &read, asked: Asked::new(&read.host), allowlist: &allowlist, inputs: &inputs };
        let (report, exit) = host.report(&rendered, &self.target)?;
        let text = match self.format {
            Format::Json => json_v1::to_text(&report),
            Format::Text => drift_text::text(&report),
            Format::Markdown => drift_text::markdown(&report),
        };
        print(&text)?;
        if exit == Exit::Undetermined {
            complain("undetermined: see what is undecided; nothing was guessed\n");
        }
        Ok(exit)
    }
}

struct Compared<'a> {
    read: &'a Read,
    asked: Asked<'a>,
    allowlist: &'a Allowlist,
    inputs: &'a Inputs,
}

impl Compared<'_> {
    fn report(&self, rendered: &[Rendered], only: &[String]) -> anyhow::Result<(DriftReport, Exit)> {
        let describe = |id: RuleId| -> Decider { self.asked.describe(&self.read.host, id) };
        let mut report = DriftReport {
            version: json_v1::VERSION,
            at: self.inputs.at.to_string(),
            listings: self.read.host.listings.iter().map(|listing| listing.name.clone()).collect(),
            targets: Vec::new(),
            findings: Vec::new(),
            skipped: Vec::new(),
        };
        for target in self
            .inputs
            .targets
            .iter()
            .filter(|target| only.is_empty() || only.contains(&target.common().name))
        {
            let common = target.common();
            let Some(answers) = self.answers(target.as_ref()) else {
                let why = format!("kind {} is not a host's packet filter", common.kind);
                report.skipped.push(Skipped { target: common.name.clone(), why });
                continue;
            };
            for (_, answer) in &answers {
                let mut new = findings(answer, &describe);
                new.retain(|finding| !report.findings.contains(finding));
                report.findings.extend(new);
            }
            let artifact = rendered.iter().find(|one| one.name == common.name);
            report.targets.push(self.target(target.as_ref(), artifact, &answers));
        }
        if report.targets.is_empty() {
            return Err(anyhow!("none of the targets is a host's packet filter: nothing was compared"));
        }
        let exit = if report.targets.iter().any(|target| target.outcome == Came::Drift)
            || !report.findings.is_empty()
        {
            Exit::Findings
        } else if report.targets.iter().any(|target| target.outcome == Came::Undetermined) {
            Exit::Undetermined
        } else {
            Exit::Ok
        };
        Ok((report, exit))
    }

    /// What gets in, at each port of the service.
    fn answers(&self, target: &dyn Target) -> Option<Vec<(u16, Admission)>> {
        let service = &self.allowlist.service;
        let question = |port: u16| Question {
            port,
            interface: service.interface.clone(),
            addresses: service.addresses.clone(),
            at: self.inputs.at,
            links: self.read.links.clone(),
        };
        service.ports.iter().map(|port| Some((*port, target.admit(&self.asked, &question(*port))?))).collect()
    }

    fn target(
        &self,
        target: &dyn Target,
        artifact: Option<&Rendered>,
        answers: &[(u16, Admission)],
    ) -> TargetReport {
        let common = target.common();
        let drifts: Vec<(u16, Drift)> = answers
            .iter()
            .map(|(port, answer)| (*port, compare(self.allowlist, answer, common.mode)))
            .collect();
        let outcome = if drifts.iter().any(|(_, drift)| drift.is_certain()) {
            Came::Drift
        } else if drifts.iter().any(|(_, drift)| !drift.differences.is_empty()) {
            Came::Undetermined
        } else {
            Came::AsWanted
        };
        let differences = drifts.iter().flat_map(|(port, drift)| {
            drift.differences.iter().map(|one| self.difference(target, *port, one))
        });
        TargetReport {
            target: common.name.clone(),
            kind: common.kind.as_str(),
            mode: common.mode.as_str(),
            outcome,
            differences: differences.collect(),
            text_diff: artifact.and_then(|artifact| self.text_diff(target, artifact)),
        }
    }

    fn difference(&self, target: &dyn Target, port: u16, one: &Difference) -> DifferenceReport {
        let policies = &self.inputs.policies;
        let example = one.example();
        let origins = one.origins.iter().filter_map(|at| {
            let origin = self.allowlist.origins.get(usize::try_from(*at).ok()?)?;
            let state = origin.state.as_str().to_owned();
            Some(source(policies, (&origin.provider, &origin.source), state, example))
        });
        let excluded = one.excluded.iter().filter_map(|at| {
            let gone = self.allowlist.excluded.get(*at)?;
            Some(source(policies, (&gone.provider, &gone.source), exclusion(&gone.why), example))
        });
        let decider = one.rule.map(|rule| self.asked.describe(&self.read.host, rule));
        DifferenceReport {
            part: one.part.as_str(),
            port,
            example,
            ranges: one.addresses.ranges().map(|(first, last)| RangeReport { first, last }).collect(),
            sources: origins.chain(excluded).collect(),
            change: self.change(target, port, one, decider.as_ref()),
            lasting: decider.as_ref().and_then(|decider| self.lasting(target, port, one, decider)),
            rule: decider.map(RuleReport::of),
            why: one.why.clone(),
        }
    }

    /// The smallest safe change.
    fn change(&self, target: &dyn Target, port: u16, one: &Difference, decider: Option<&Decider>) -> String {
        let name = &target.common().name;
        let load = format!("render and load it: callgate render --target {name}");
        let wanted = match one.part {
            Part::AtRisk | Part::PossiblyForeign => {
                return "find out about what is undecided, or replace that rule by one that names addresses"
                    .to_owned();
            }
            Part::Blocked => Wanted::Admit,
            Part::Foreign => Wanted::Refuse,
        };
        if decider.is_some_and(|decider| target.owns(decider)) {
            return format!("the deployed artifact is not the one of today: {load}");
        }
        let command = one.rule.and_then(|rule| self.asked.mend(rule, &one.addresses, port, wanted));
        command.unwrap_or(load)
    }

    /// What the program that writes the rules has to be told so that the change stays.
    fn lasting(&self, target: &dyn Target, port: u16, one: &Difference, decider: &Decider) -> Option<String> {
        if one.part != Part::Blocked || target.owns(decider) {
            return None;
        }
        let chains = || self.read.host.tables.iter().flat_map(|table| &table.chains);
        let is_policy = !decider.facts.contains_key("number")
            && decider.facts.get("chain").is_some_and(|chain| chain == "INPUT");
        // What passes ufw's chains undecided falls to the policy.
        let by_ufw = || is_policy && chains().any(|chain| chain.name.as_ref() == "ufw-user-input");
        let keeper = Keeper::of(decider).or_else(|| by_ufw().then_some(Keeper::Ufw))?;
        keeper.told(&one.addresses.to_prefixes(), port)
    }

    /// Artifact against deployed text, where the target has a place of its own.
    fn text_diff(&self, target: &dyn Target, artifact: &Rendered) -> Option<String> {
        let mut text = String::new();
        for listing in &self.read.host.listings {
            let Some((deployed, file)) = target.deployed(&listing.text, &artifact.artifact) else { continue };
            let shown = TextDiff::from_lines(&deployed, &file.text)
                .unified_diff()
                .context_radius(2)
                .header(&format!("deployed: {}", listing.name), &format!("rendered: {}", file.path))
                .to_string();
            text.extend(shown.split_inclusive('\n').take(TEXT_LINES_MAX));
            if shown.lines().count() > TEXT_LINES_MAX {
                text.push_str("… cut here\n");
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

fn exclusion(why: &Exclusion) -> String {
    match why {
        Exclusion::Expired(end) => format!("expired: its end was {end}"),
        Exclusion::Retired(since, reason) => format!("retired here on {since}: {reason}"),
        Exclusion::NotYet => "not made known yet".to_owned(),
        Exclusion::Tombstone => "withdrawn".to_owned(),
        Exclusion::Role(role) => format!("role {role} is not selected"),
        Exclusion::Environment => "its environments are not selected".to_owned(),
    }
}

/// What a policy knows of a source.
fn source(
    policies: &Policies,
    (provider, id): (&ProviderId, &SourceId),
    state: String,
    example: Option<IpAddr>,
) -> SourceReport {
    let policy = policies.by_provider.get(provider.as_str());
    let found = policy.and_then(|policy| Some((policy, policy.source(id)?)));
    let evidence = found.and_then(|(policy, source)| {
        // What names the address tells most, then what the provider says at all.
        let address = example.map(|example| example.to_string());
        let says = |one: &&Evidence| one.says.is_some();
        let names = |one: &&Evidence| {
            let both = one.says.as_ref().zip(address.as_ref());
            both.is_some_and(|(says, address)| says.contains(address.as_str()))
        };
        let all = &source.evidence;
        let best = all.iter().find(names).or_else(|| all.iter().find(says)).or(all.first())?;
        Some(shown(policy, best))
    });
    let lifecycle = found.and_then(|(_, source)| source.environments.values().next());
    SourceReport {
        provider: provider.to_string(),
        source: id.to_string(),
        state,
        instants: lifecycle.map(instants).unwrap_or_default(),
        evidence,
    }
}
