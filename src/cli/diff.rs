//! `callgate diff`

use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::anyhow;
use jiff::Timestamp;
use serde::Serialize;
use similar::TextDiff;

use super::inputs::{self, Inputs};
use super::listings::{Listings, Read};
use super::render::{Rendered, render_all};
use super::{Exit, Format, Global, Outcome, complain, print, show};
use crate::admission::{Admission, Decider, Question, RuleId};
use crate::allowlist::{Allowlist, Exclusion};
use crate::diagnostic::Diagnostics;
use crate::drift::{Difference, Drift, Part, compare};
use crate::netfilter::evaluate::{Asked, Wanted};
use crate::plain::line;
use crate::report::admission_text::range;
use crate::report::admission_v1::{FindingReport, RuleReport, findings};
use crate::report::json_v1;
use crate::target::Target;

/// Most ranges of a difference that are written out for people.
const RANGES_SHOWN_MAX: usize = 8;
/// Most lines of the text section, for one file.
const TEXT_LINES_MAX: usize = 400;

#[derive(Debug, clap::Args)]
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

/// The report.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    at: String,
    listings: Vec<String>,
    targets: Vec<TargetReport>,
    findings: Vec<FindingReport>,
    /// Targets of the site that are not compared, with why.
    skipped: Vec<Skipped>,
}

#[derive(Debug, Serialize)]
struct Skipped {
    target: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct TargetReport {
    target: String,
    kind: &'static str,
    mode: &'static str,
    /// `as wanted`, `drift` or `undetermined`.
    outcome: &'static str,
    differences: Vec<DifferenceReport>,
    /// Artifact against deployed text: for reading only, it decides nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    text_diff: Option<String>,
}

#[derive(Debug, Serialize)]
struct DifferenceReport {
    part: &'static str,
    port: u16,
    /// One address of it.
    example: Option<IpAddr>,
    ranges: Vec<RangeReport>,
    /// The sources that these are addresses of.
    sources: Vec<SourceReport>,
    /// The rule that decides, or the first that can't be decided.
    rule: Option<RuleReport>,
    /// Why it is undecided.
    why: Vec<String>,
    /// The smallest safe change.
    change: String,
}

#[derive(Debug, Serialize)]
struct RangeReport {
    first: IpAddr,
    last: IpAddr,
}

#[derive(Debug, Serialize)]
struct SourceReport {
    provider: String,
    source: String,
    state: String,
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
            Compared { read: &read, asked: Asked::new(&read.host), allowlist: &allowlist, at: inputs.at };
        let (report, exit) = host.report(&inputs, &rendered, &self.target)?;
        let text = match self.format {
            Format::Json => json_v1::to_text(&report),
            Format::Text => as_text(&report),
            Format::Markdown => as_markdown(&report),
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
    at: Timestamp,
}

impl Compared<'_> {
    fn report(
        &self,
        inputs: &Inputs,
        rendered: &[Rendered],
        only: &[String],
    ) -> anyhow::Result<(Report, Exit)> {
        let describe = |id: RuleId| -> Decider { self.asked.describe(&self.read.host, id) };
        let mut report = Report {
            version: json_v1::VERSION,
            at: self.at.to_string(),
            listings: self.read.host.listings.iter().map(|listing| listing.name.clone()).collect(),
            targets: Vec::new(),
            findings: Vec::new(),
            skipped: Vec::new(),
        };
        for target in
            inputs.targets.iter().filter(|target| only.is_empty() || only.contains(&target.common().name))
        {
            let common = target.common();
            let Some(answers) = self.answers(target.as_ref()) else {
                let why = format!("kind {} is not a host's packet filter", common.kind);
                report.skipped.push(Skipped { target: common.name.clone(), why });
                continue;
            };
            let told = answers.iter().flat_map(|(_, answer)| findings(answer, &describe));
            report.findings.extend(told);
            let artifact = rendered.iter().find(|one| one.name == common.name);
            report.targets.push(self.target(target.as_ref(), artifact, &answers));
        }
        report.findings.sort_by(|left, right| (left.code, &left.message).cmp(&(right.code, &right.message)));
        report.findings.dedup();
        if report.targets.is_empty() {
            return Err(anyhow!("none of the targets is a host's packet filter: nothing was compared"));
        }
        let exit =
            if report.targets.iter().any(|target| target.outcome == DRIFT) || !report.findings.is_empty() {
                Exit::Findings
            } else if report.targets.iter().any(|target| target.outcome == UNDETERMINED) {
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
            at: self.at,
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
            DRIFT
        } else if drifts.iter().any(|(_, drift)| !drift.differences.is_empty()) {
            UNDETERMINED
        } else {
            AS_WANTED
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
        let origins = one.origins.iter().filter_map(|at| {
            let origin = self.allowlist.origins.get(usize::try_from(*at).ok()?)?;
            Some(SourceReport {
                provider: origin.provider.to_string(),
                source: origin.source.to_string(),
                state: origin.state.as_str().to_owned(),
            })
        });
        let excluded = one.excluded.iter().filter_map(|at| {
            let gone = self.allowlist.excluded.get(*at)?;
            Some(SourceReport {
                provider: gone.provider.to_string(),
                source: gone.source.to_string(),
                state: exclusion(&gone.why),
            })
        });
        let decider = one.rule.map(|rule| self.asked.describe(&self.read.host, rule));
        DifferenceReport {
            part: one.part.as_str(),
            port,
            example: one.example(),
            ranges: one.addresses.ranges().map(|(first, last)| RangeReport { first, last }).collect(),
            sources: origins.chain(excluded).collect(),
            change: self.change(target, port, one, decider.as_ref()),
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

const DRIFT: &str = "drift";
const UNDETERMINED: &str = "undetermined";
const AS_WANTED: &str = "as wanted";

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

/// A rule of a report in a line.
fn rule_line(rule: &RuleReport) -> String {
    if rule.text.is_empty() { rule.title.clone() } else { format!("{}: {}", rule.title, line(&rule.text)) }
}

fn ranges_line(ranges: &[RangeReport]) -> String {
    let shown = ranges.iter().take(RANGES_SHOWN_MAX).map(|one| range(one.first, one.last));
    let mut words: Vec<String> = shown.collect();
    if ranges.len() > RANGES_SHOWN_MAX {
        words.push(format!("and {} more ranges", ranges.len().saturating_sub(RANGES_SHOWN_MAX)));
    }
    words.join(", ")
}

fn sources_line(sources: &[SourceReport]) -> String {
    let one =
        |source: &SourceReport| format!("{}/{} ({})", source.provider, source.source, line(&source.state));
    sources.iter().map(one).collect::<Vec<_>>().join(", ")
}

// Writing into a String can't fail, so the results below are dropped.
fn as_text(report: &Report) -> String {
    let mut text = format!("read from: {}; judged at {}\n", report.listings.join(", "), report.at);
    for target in &report.targets {
        let _ = writeln!(text, "\n{} ({}, {}): {}", target.target, target.kind, target.mode, target.outcome);
        for one in &target.differences {
            let _ = writeln!(text, "  {} at tcp/{}: {}", one.part, one.port, ranges_line(&one.ranges));
            if let Some(example) = one.example {
                let _ = writeln!(text, "    {:9} {example}", "such as");
            }
            if !one.sources.is_empty() {
                let _ = writeln!(text, "    {:9} {}", "source", sources_line(&one.sources));
            }
            let rule = one.rule.as_ref().map_or_else(|| "none: no rule looks at it".to_owned(), rule_line);
            let _ = writeln!(text, "    {:9} {rule}", "rule");
            for why in &one.why {
                let _ = writeln!(text, "    {:9} {}", "undecided", line(why));
            }
            for command in one.change.lines() {
                let _ = writeln!(text, "    {:9} {command}", "change");
            }
        }
    }
    for skipped in &report.skipped {
        let _ = writeln!(text, "\n{} was not compared: {}", skipped.target, skipped.why);
    }
    if !report.findings.is_empty() {
        text.push_str("\nFindings\n");
    }
    for found in &report.findings {
        let _ = writeln!(text, "  {}: {}\n    help: {}", found.code, line(&found.message), line(&found.help));
    }
    for target in &report.targets {
        if let Some(diff) = &target.text_diff {
            let _ = writeln!(
                text,
                "\n---- text of {}, for reading only: what differs here need not differ in meaning ----\n{diff}",
                target.target
            );
        }
    }
    text
}

fn as_markdown(report: &Report) -> String {
    let cell = |text: &str| line(text).replace('|', "\\|");
    let mut text = String::from("## What is deployed against the policy\n\n");
    let _ = writeln!(text, "Read from {}; judged at {}.\n", cell(&report.listings.join(", ")), report.at);
    for target in &report.targets {
        let _ = writeln!(
            text,
            "### {} ({}, {}): {}\n",
            cell(&target.target),
            target.kind,
            target.mode,
            target.outcome
        );
        if !target.differences.is_empty() {
            text.push_str("| part | port | addresses | source | rule | change |\n| --- | --- | --- | --- | --- | --- |\n");
        }
        for one in &target.differences {
            let rule = one.rule.as_ref().map_or_else(|| "none".to_owned(), rule_line);
            let why = one.why.iter().map(|why| cell(why)).collect::<Vec<_>>().join("; ");
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | `{}` {why} | `{}` |",
                one.part,
                one.port,
                ranges_line(&one.ranges),
                cell(&sources_line(&one.sources)),
                cell(&rule).replace('`', "'"),
                cell(&one.change).replace('`', "'"),
            );
        }
        text.push('\n');
        if let Some(diff) = &target.text_diff {
            let _ = writeln!(
                text,
                "<details><summary>Text, for reading only</summary>\n\n```diff\n{diff}```\n</details>\n"
            );
        }
    }
    for found in &report.findings {
        let _ = writeln!(text, "- **{}**: {} ({})", found.code, cell(&found.message), cell(&found.help));
    }
    for skipped in &report.skipped {
        let _ = writeln!(text, "- {} was not compared: {}", cell(&skipped.target), cell(&skipped.why));
    }
    text
}
