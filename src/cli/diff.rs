//! `callgate diff`

use std::net::IpAddr;

use anyhow::anyhow;
use similar::TextDiff;

use super::inputs::{self, Inputs};
use super::layers::{Layers, names};
use super::render::{Rendered, render_all};
use super::{Exit, Format, Global, Outcome, complain, print, show};
use crate::admission::{Admission, Decider, Layer, Question, RuleId, Wanted};
use crate::allowlist::{Allowlist, Exclusion};
use crate::diagnostic::Diagnostics;
use crate::drift::keeper::Keeper;
use crate::drift::{Difference, Drift, Part, compare};
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
    layers: Layers,
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
        let path = inputs.site.as_ref().map(|site| site.path.as_slice()).unwrap_or_default();
        let read = self.layers.read(path, &inputs::base(global))?;
        let parsed = read.parse();
        let layers = parsed.layers();
        let compared = Compared { layers: &layers, allowlist: &allowlist, inputs: &inputs };
        let (report, exit) = compared.report(&rendered, &self.target)?;
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
    layers: &'a [Box<dyn Layer + 'a>],
    allowlist: &'a Allowlist,
    inputs: &'a Inputs,
}

impl Compared<'_> {
    fn report(&self, rendered: &[Rendered], only: &[String]) -> anyhow::Result<(DriftReport, Exit)> {
        let mut report = DriftReport {
            version: json_v1::VERSION,
            at: self.inputs.at.to_string(),
            listings: names(self.layers).collect(),
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
            let Some(layer) = self.layers.iter().find(|layer| layer.kind() == target.layer()) else {
                let why = format!("no {} was read", target.layer().words());
                report.skipped.push(Skipped { target: common.name.clone(), why });
                continue;
            };
            let placed = Placed { target: target.as_ref(), layer: layer.as_ref(), all: self };
            let answers = placed.answers();
            let describe = |id: RuleId| layer.describe(id);
            report.findings.extend(answers.iter().flat_map(|(_, answer)| findings(answer, &describe)));
            let artifact = rendered.iter().find(|one| one.name == common.name);
            report.targets.push(placed.report(artifact, &answers));
        }
        report.findings.sort_by(|left, right| (left.code, &left.message).cmp(&(right.code, &right.message)));
        report.findings.dedup();
        if report.targets.is_empty() {
            let read: Vec<&str> = self.layers.iter().map(|layer| layer.kind().words()).collect();
            return Err(anyhow!(
                "no target stands where rules were read ({}): nothing was compared",
                read.join(", ")
            ));
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
}

/// A target, and the layer that it stands in.
struct Placed<'a> {
    target: &'a dyn Target,
    layer: &'a dyn Layer,
    all: &'a Compared<'a>,
}

impl Placed<'_> {
    /// What gets in, at each port of the service.
    fn answers(&self) -> Vec<(u16, Admission)> {
        let service = &self.all.allowlist.service;
        let answer = |port: &u16| {
            let mut answer = self.layer.admit(&Question {
                port: *port,
                interface: service.interface.clone(),
                addresses: service.addresses.clone(),
                at: self.all.inputs.at,
            });
            answer.findings.retain(|found| !self.target.expects(found.kind));
            (*port, answer)
        };
        service.ports.iter().map(answer).collect()
    }

    fn report(&self, artifact: Option<&Rendered>, answers: &[(u16, Admission)]) -> TargetReport {
        let common = self.target.common();
        let drifts: Vec<(u16, Drift)> = answers
            .iter()
            .map(|(port, answer)| (*port, compare(self.all.allowlist, answer, common.mode)))
            .collect();
        let outcome = if drifts.iter().any(|(_, drift)| drift.is_certain()) {
            Came::Drift
        } else if drifts.iter().any(|(_, drift)| !drift.differences.is_empty()) {
            Came::Undetermined
        } else {
            Came::AsWanted
        };
        let differences = drifts
            .iter()
            .flat_map(|(port, drift)| drift.differences.iter().map(|one| self.difference(*port, one)));
        TargetReport {
            target: common.name.clone(),
            kind: common.kind.as_str(),
            mode: common.mode.as_str(),
            outcome,
            differences: differences.collect(),
            text_diff: artifact.and_then(|artifact| self.text_diff(artifact)),
        }
    }

    fn difference(&self, port: u16, one: &Difference) -> DifferenceReport {
        let policies = &self.all.inputs.policies;
        let example = one.example();
        let origins = one.origins.iter().filter_map(|at| {
            let origin = self.all.allowlist.origins.get(usize::try_from(*at).ok()?)?;
            let state = origin.state.as_str().to_owned();
            Some(source(policies, (&origin.provider, &origin.source), state, example))
        });
        let excluded = one.excluded.iter().filter_map(|at| {
            let gone = self.all.allowlist.excluded.get(*at)?;
            Some(source(policies, (&gone.provider, &gone.source), exclusion(&gone.why), example))
        });
        let decider = one.rule.map(|rule| self.layer.describe(rule));
        DifferenceReport {
            part: one.part.as_str(),
            port,
            example,
            ranges: one.addresses.ranges().map(|(first, last)| RangeReport { first, last }).collect(),
            sources: origins.chain(excluded).collect(),
            change: self.change(port, one, decider.as_ref()),
            lasting: decider.as_ref().and_then(|decider| self.lasting(port, one, decider)),
            rule: decider.map(RuleReport::of),
            why: one.why.clone(),
        }
    }

    /// The smallest safe change.
    fn change(&self, port: u16, one: &Difference, decider: Option<&Decider>) -> String {
        let name = &self.target.common().name;
        let load = format!("render and load it: callgate render --target {name}");
        let wanted = match one.part {
            Part::AtRisk | Part::PossiblyForeign => {
                return "find out about what is undecided, or replace that rule by one that names addresses"
                    .to_owned();
            }
            Part::Blocked => Wanted::Admit,
            Part::Foreign => Wanted::Refuse,
        };
        if decider.is_some_and(|decider| self.target.owns(decider)) {
            return format!("the deployed artifact is not the one of today: {load}");
        }
        let command = one.rule.and_then(|rule| self.layer.mend(rule, &one.addresses, port, wanted));
        command.unwrap_or(load)
    }

    /// What the program that writes the rules has to be told so that the change stays.
    fn lasting(&self, port: u16, one: &Difference, decider: &Decider) -> Option<String> {
        if one.part != Part::Blocked || self.target.owns(decider) {
            return None;
        }
        let keeper = Keeper::of(decider)?;
        keeper.told(&one.addresses.to_prefixes(), port)
    }

    /// Artifact against deployed text, where the target has a place of its own.
    fn text_diff(&self, artifact: &Rendered) -> Option<String> {
        let mut text = String::new();
        for listing in self.layer.listings() {
            let Some((deployed, file)) = self.target.deployed(&listing.text, &artifact.artifact) else {
                continue;
            };
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
        let wanted = example.map(|example| example.to_string());
        let says = |one: &&Evidence| one.says.is_some();
        let names = |one: &&Evidence| {
            one.says
                .as_ref()
                .zip(wanted.as_ref())
                .is_some_and(|(says, wanted)| says.contains(wanted.as_str()))
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
