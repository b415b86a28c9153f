//! Drift: what differs, by target and on the whole path, by which rule, and what to change.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;

use super::Limits;
use super::allowlist::{Dated, Evidence, dated, evidence};
use super::words::{Diff, Folded, Piece, beyond, code, diff, first, folded, number, sentence, words};
use crate::report::admission_text::range;
use crate::report::admission_v1::{FindingReport, LayerReport, RangeReport, RuleReport};
use crate::report::change_v1::{ChangeReport, ChangedReport};
use crate::report::drift_v1::{
    DifferenceReport, DriftReport, Outcome, PathReport, PathSourceReport, SourceReport, TargetReport,
};

/// Ranges that are shown at once.
const AT_ONCE: usize = 12;
/// Ways in which addresses differ.
const PARTS: usize = 4;

/// The sources that have a row on the timeline.
type Rows<'r> = &'r HashSet<String>;

/// The part of the page.
#[derive(Serialize)]
pub(super) struct Drift<'a> {
    listings: Folded,
    path: Option<Way>,
    targets: Vec<Target<'a>>,
    targets_left_out: Option<String>,
    plans: Vec<Plan>,
    skipped: Vec<Skipped>,
    findings: Vec<Found>,
    findings_left_out: Option<String>,
    /// How much differs.
    pub count: usize,
}

/// All layers together.
#[derive(Serialize)]
struct Way {
    layers: Vec<Layer>,
    mode: &'static str,
    outcome: &'static str,
    tone: &'static str,
    rows: Vec<Verdict>,
    left_out: Option<String>,
    differences: Differences,
}

/// A layer that callbacks cross.
#[derive(Serialize)]
struct Layer {
    name: &'static str,
    says: String,
}

/// Whether a source gets through.
#[derive(Serialize)]
struct Verdict {
    source: String,
    anchor: Option<String>,
    state: &'static str,
    family: &'static str,
    port: u16,
    outcome: &'static str,
    tone: &'static str,
    ranges: Folded,
    layer: Option<String>,
    rule: Option<Rule>,
    why: Vec<Vec<Piece>>,
}

/// A target that was compared.
#[derive(Serialize)]
struct Target<'a> {
    name: String,
    kind: &'a str,
    mode: &'a str,
    outcome: &'static str,
    tone: &'static str,
    differences: Differences,
    text: Option<Diff>,
}

/// What differs at one place.
#[derive(Serialize)]
struct Differences {
    shown: Vec<Difference>,
    left_out: Option<String>,
}

/// Addresses that differ in one way for one reason.
#[derive(Serialize)]
struct Difference {
    part: &'static str,
    tone: &'static str,
    meaning: &'static str,
    port: u16,
    title: String,
    ranges: Folded,
    addresses: Option<String>,
    example: Option<String>,
    sources: Vec<Source>,
    sources_left_out: Option<String>,
    rule: Option<Rule>,
    why: Vec<Vec<Piece>>,
    /// What to do: commands, or words.
    commands: Vec<String>,
    advice: Vec<Vec<Piece>>,
    lasting: Option<Vec<Piece>>,
}

/// A source that these are addresses of.
#[derive(Serialize)]
struct Source {
    name: String,
    anchor: Option<String>,
    state: String,
    instants: Vec<Dated>,
    evidence: Option<Evidence>,
}

/// The rule that decides.
#[derive(Serialize)]
struct Rule {
    located: Vec<Piece>,
    text: String,
}

/// What a plan of Terraform does at a port.
#[derive(Serialize)]
struct Plan {
    port: u16,
    rows: Vec<Planned>,
    left_out: Option<String>,
    undecided: Option<Folded>,
}

/// Whom it opens or closes for.
#[derive(Serialize)]
struct Planned {
    effect: &'static str,
    ranges: Folded,
    sources: String,
    rule: Option<Rule>,
}

/// A target that was not compared.
#[derive(Serialize)]
struct Skipped {
    name: String,
    why: Vec<Piece>,
}

/// What else is said of the rules.
#[derive(Serialize)]
struct Found {
    code: &'static str,
    message: Vec<Piece>,
    help: Vec<Piece>,
}

pub(super) fn drift<'a>(report: &'a DriftReport, rows: Rows<'_>, limits: Limits) -> Drift<'a> {
    let (targets, targets_left_out) = first(&report.targets, limits, "target");
    let (findings, findings_left_out) = first(&report.findings, limits, "finding");
    Drift {
        listings: folded(&report.listings, 4, |name| words(name, limits), limits),
        path: report.path.as_ref().map(|path| {
            let all: Vec<&DifferenceReport> =
                path.differences.iter().filter(|one| is_told(report, one)).collect();
            Way { differences: differences(&all, rows, limits), ..way(path, rows, limits) }
        }),
        targets: targets.iter().map(|one| target(one, rows, limits)).collect(),
        targets_left_out,
        plans: report.plan.iter().take(limits.rows).map(|change| plan(change, limits)).collect(),
        skipped: report
            .skipped
            .iter()
            .take(limits.rows)
            .map(|one| Skipped { name: words(&one.target, limits), why: sentence(&one.why, limits) })
            .collect(),
        findings: findings.iter().map(|one| found(one, limits)).collect(),
        findings_left_out,
        count: told(report).count(),
    }
}

/// The differences that are told: those of the path that no target of a layer tells as well, and those of targets.
pub(super) fn told(report: &DriftReport) -> impl Iterator<Item = &DifferenceReport> {
    let of_path = report.path.iter().flat_map(|path| &path.differences);
    of_path
        .filter(|one| is_told(report, one))
        .chain(report.targets.iter().flat_map(|target| &target.differences))
}

fn is_told(report: &DriftReport, of_path: &DifferenceReport) -> bool {
    report.targets.is_empty() || of_path.part.ends_with("foreign")
}

fn tone(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::AsWanted => "good",
        Outcome::Drift => "bad",
        Outcome::Undetermined => "open",
    }
}

fn way(path: &PathReport, rows: Rows<'_>, limits: Limits) -> Way {
    let (kept, left_out) = first(&path.sources, limits, "verdict");
    Way {
        layers: path.layers.iter().take(limits.rows).map(|one| layer(one, limits)).collect(),
        mode: path.mode,
        outcome: path.outcome.as_str(),
        tone: tone(path.outcome),
        rows: kept.iter().map(|one| verdict(one, rows, limits)).collect(),
        left_out,
        differences: Differences { shown: Vec::new(), left_out: None },
    }
}

fn layer(report: &LayerReport, limits: Limits) -> Layer {
    let mut parts: Vec<String> = report.groups.iter().take(4).map(|group| words(group, limits)).collect();
    if let Some(request) = &report.request {
        let method = request.method.as_deref().unwrap_or("any method");
        let server = request.server_name.as_deref().unwrap_or("any name");
        parts.push(words(&format!("{method} {server}{}", request.path), limits));
    }
    if let Some(proxy) = &report.proxy {
        parts.push(words(&format!("behind {proxy}"), limits));
    }
    if let Some(port) = report.port {
        parts.push(format!("port {port}"));
    }
    Layer { name: report.layer, says: parts.join(", ") }
}

fn verdict(report: &PathSourceReport, rows: Rows<'_>, limits: Limits) -> Verdict {
    Verdict {
        source: format!("{}/{}", report.provider, report.source),
        anchor: anchor(&report.provider, &report.source, rows),
        state: report.state,
        family: match report.family {
            "v4" => "IPv4",
            "v6" => "IPv6",
            other => other,
        },
        port: report.port,
        outcome: report.verdict,
        tone: match report.verdict {
            "admitted" => "good",
            "blocked" => "bad",
            _ => "open",
        },
        ranges: ranges(&report.ranges, limits),
        layer: report.layer.clone(),
        rule: report.rule.as_ref().map(|one| rule(one, limits)),
        why: sentences(&report.why, limits),
    }
}

fn target<'a>(report: &'a TargetReport, rows: Rows<'_>, limits: Limits) -> Target<'a> {
    Target {
        name: words(&report.target, limits),
        kind: report.kind,
        mode: report.mode,
        outcome: report.outcome.as_str(),
        tone: tone(report.outcome),
        differences: differences(&report.differences.iter().collect::<Vec<_>>(), rows, limits),
        text: report.text_diff.as_ref().map(|text| diff(text.lines(), 0, limits)),
    }
}

/// The first of them; no part is left out whole because there are too many of another.
fn differences(all: &[&DifferenceReport], rows: Rows<'_>, limits: Limits) -> Differences {
    let mut of_part: BTreeMap<&str, usize> = BTreeMap::new();
    let share = limits.rows / PARTS;
    let (mut kept, mut rest) = (BTreeSet::new(), Vec::new());
    for (index, one) in all.iter().enumerate() {
        let count = of_part.entry(one.part).or_insert(0);
        *count = count.saturating_add(1);
        if *count <= share {
            kept.insert(index);
        } else {
            rest.push(index);
        }
    }
    let room = limits.rows.saturating_sub(kept.len());
    kept.extend(rest.into_iter().take(room));
    let shown = kept.iter().filter_map(|index| all.get(*index));
    let shown: Vec<Difference> = shown.map(|one| difference(one, rows, limits)).collect();
    Differences { left_out: beyond(all.len(), shown.len(), "difference"), shown }
}

fn difference(report: &DifferenceReport, rows: Rows<'_>, limits: Limits) -> Difference {
    let (tone, meaning) = match report.part {
        "blocked" => ("bad", "in the allowlist, and surely not let in: callbacks are lost"),
        "foreign" => ("bad", "not in the allowlist, and surely let in"),
        "at risk" => ("open", "in the allowlist, and nobody can say whether it is let in"),
        "possibly foreign" => ("open", "not in the allowlist, and perhaps let in"),
        _ => ("open", ""),
    };
    let (sources, sources_left_out) = first(&report.sources, limits, "source");
    let is_command = report.change.lines().all(is_command);
    let shown = ranges(&report.ranges, limits);
    let example = report.example.map(|example| example.to_string());
    Difference {
        part: report.part,
        tone,
        meaning,
        port: report.port,
        title: title(&report.ranges),
        addresses: addresses(&report.ranges),
        // One address is no example of itself.
        example: example.filter(|example| shown.shown != [example.as_str()]),
        ranges: shown,
        sources: sources.iter().map(|one| source(one, rows, limits)).collect(),
        sources_left_out,
        rule: report.rule.as_ref().map(|one| rule(one, limits)),
        why: sentences(&report.why, limits),
        commands: if is_command { code(&report.change, limits) } else { Vec::new() },
        advice: if is_command { Vec::new() } else { lines(&report.change, limits) },
        lasting: report.lasting.as_ref().map(|text| sentence(text, limits)),
    }
}

/// Programs that carry out a change.
const TOOLS: &[&str] = &[
    "nft",
    "iptables",
    "ip6tables",
    "iptables-legacy",
    "ip6tables-legacy",
    "iptables-nft",
    "ip6tables-nft",
    "ipset",
    "aws",
    "ufw",
    "firewall-cmd",
    "fail2ban-client",
];

/// Whether a line can be given to a shell as it is; the others are for people.
fn is_command(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(|word| TOOLS.contains(&word))
}

fn lines(text: &str, limits: Limits) -> Vec<Vec<Piece>> {
    text.lines().take(limits.lines).map(|line| sentence(line, limits)).collect()
}

/// The first range, and how many more.
fn title(all: &[RangeReport]) -> String {
    let shown = all.first().map(|one| range(one.first, one.last)).unwrap_or_default();
    match beyond(all.len(), 1, "range") {
        Some(more) => format!("{shown} and {more}"),
        None => shown,
    }
}

/// How many addresses of IPv4 these are; nothing where it is one, or where IPv6 is among them.
fn addresses(all: &[RangeReport]) -> Option<String> {
    let mut sum: usize = 0;
    for one in all {
        let (std::net::IpAddr::V4(first), std::net::IpAddr::V4(last)) = (one.first, one.last) else {
            return None;
        };
        let width = u32::from(last).saturating_sub(u32::from(first));
        sum = sum.saturating_add(usize::try_from(width).ok()?).saturating_add(1);
    }
    (sum > 1).then(|| format!("{} addresses", number(sum)))
}

fn source(report: &SourceReport, rows: Rows<'_>, limits: Limits) -> Source {
    Source {
        name: format!("{}/{}", report.provider, report.source),
        anchor: anchor(&report.provider, &report.source, rows),
        state: words(&report.state, limits),
        instants: report.instants.iter().map(|one| dated(one, limits)).collect(),
        evidence: report.evidence.as_ref().map(|piece| evidence(piece, limits)),
    }
}

/// Where a source stands on the timeline.
fn anchor(provider: &str, source: &str, rows: Rows<'_>) -> Option<String> {
    rows.contains(&format!("{provider}/{source}")).then(|| format!("row.{provider}.{source}"))
}

fn rule(report: &RuleReport, limits: Limits) -> Rule {
    Rule { located: sentence(&report.located, limits), text: words(&report.text, limits) }
}

fn sentences(all: &[String], limits: Limits) -> Vec<Vec<Piece>> {
    all.iter().take(limits.rows).map(|text| sentence(text, limits)).collect()
}

fn ranges(all: &[RangeReport], limits: Limits) -> Folded {
    folded(all, AT_ONCE, |one| range(one.first, one.last), limits)
}

fn plan(report: &ChangeReport, limits: Limits) -> Plan {
    let both = [("opens", &report.opens), ("closes", &report.closes)];
    let all: Vec<(&'static str, &ChangedReport)> =
        both.into_iter().flat_map(|(effect, all)| all.iter().map(move |one| (effect, one))).collect();
    let (kept, left_out) = first(&all, limits, "row");
    let rows = kept.iter().map(|(effect, one)| Planned {
        effect,
        ranges: ranges(&one.ranges, limits),
        sources: words(&one.sources.join(", "), limits),
        rule: one.rule.as_ref().map(|found| rule(found, limits)),
    });
    let undecided = (!report.undecided.is_empty()).then(|| ranges(&report.undecided, limits));
    Plan { port: report.port, rows: rows.collect(), left_out, undecided }
}

fn found(report: &FindingReport, limits: Limits) -> Found {
    Found {
        code: report.code,
        message: sentence(&report.message, limits),
        help: sentence(&report.help, limits),
    }
}
