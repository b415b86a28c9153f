//! `callgate diff`

use anyhow::anyhow;
use similar::TextDiff;

use super::comparison::{Comparison, outcome};
use super::inputs::{self, Inputs};
use super::layers::{Layers, Read, mode, names};
use super::render::{chosen, wanted};
use super::{Exit, Format, Global, Outcome, complain, print, show};
use crate::admission::{Layer, LayerKind, Listing};
use crate::allowlist::Allowlist;
use crate::diagnostic::Diagnostics;
use crate::drift::Mode;
use crate::path;
use crate::plain::lines;
use crate::report::admission_v1::FindingReport;
use crate::report::change_v1::ChangeReport;
use crate::report::drift_v1::{DriftReport, Outcome as Came, PathReport, Skipped, TargetReport};
use crate::report::{drift_text, json_v1};
use crate::target::{ArtifactFile, Target};

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
        let allowlist = wanted(&inputs, &self.target, &mut sink);
        show(&sink);
        let Some(allowlist) = allowlist.filter(|_| !sink.has_errors()) else {
            return Ok(Exit::Failure);
        };
        let report = report(&self.layers, &self.target, (&inputs, &allowlist), global)?;
        let exit = exit(&report);
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

/// What is deployed in these layers, against these targets.
pub(super) fn report(
    layers: &Layers,
    only: &[String],
    (inputs, allowlist): (&Inputs, &Allowlist),
    global: &Global,
) -> anyhow::Result<DriftReport> {
    let path = inputs.site.as_ref().map(|site| site.path.as_slice()).unwrap_or_default();
    let read = layers.read(path, &inputs::base(global))?;
    let parsed = read.parse()?;
    let layers = parsed.layers()?;
    let before = parsed.before()?;
    let compared = Compared {
        read: &read,
        layers: &layers,
        before: before.as_deref(),
        allowlist,
        inputs,
        targets: chosen(inputs, only).collect(),
    };
    compared.report()
}

/// What is compared with what.
struct Compared<'a> {
    read: &'a Read,
    layers: &'a [Box<dyn Layer + 'a>],
    /// The layers before a plan of Terraform is carried out.
    before: Option<&'a [Box<dyn Layer + 'a>]>,
    allowlist: &'a Allowlist,
    inputs: &'a Inputs,
    targets: Vec<&'a dyn Target>,
}

/// The options by which a layer is read.
fn options(layer: LayerKind) -> &'static str {
    match layer {
        LayerKind::SecurityGroup => "`--group` or `--terraform`",
        LayerKind::Host => "`--host-live`",
        LayerKind::Nginx => "`--path` and `--server-name`",
    }
}

impl Compared<'_> {
    fn report(&self) -> anyhow::Result<DriftReport> {
        let mut report = DriftReport {
            version: json_v1::VERSION,
            at: self.inputs.at.to_string(),
            listings: names(self.layers).collect(),
            path: None,
            targets: Vec::new(),
            plan: self.plan(),
            findings: Vec::new(),
            skipped: Vec::new(),
        };
        for target in &self.targets {
            let common = target.common();
            let Some(at) = self.layers.iter().position(|layer| layer.kind() == target.layer()) else {
                let layer = target.layer();
                let why = format!(
                    "no {} was read: give {}, or a `path` in the site file",
                    layer.words(),
                    options(layer)
                );
                report.skipped.push(Skipped { target: common.name.clone(), why });
                continue;
            };
            let layer = self.layers.get(at..=at).unwrap_or_default();
            let targets = [*target];
            let comparison = self.comparison(layer, &targets, common.mode);
            let asked = comparison.asked();
            report.findings.extend(comparison.findings(&asked));
            report.targets.push(TargetReport {
                target: common.name.clone(),
                kind: common.kind.as_str(),
                mode: common.mode.as_str(),
                outcome: outcome(&asked),
                differences: comparison.differences(&asked),
                text_diff: self.text_diff(*target, layer),
            });
        }
        if self.layers.len() > 1 || self.has_path() {
            let (path, findings) = self.path();
            report.path = Some(path);
            report.findings.extend(findings);
        }
        report.findings.sort_by(|left, right| (left.code, &left.message).cmp(&(right.code, &right.message)));
        report.findings.dedup();
        if report.targets.is_empty() && report.path.is_none() {
            let read: Vec<&str> = self.layers.iter().map(|layer| layer.kind().words()).collect();
            let read = read.join(", ");
            return Err(anyhow!("no target stands where rules were read ({read}): nothing was compared"));
        }
        Ok(report)
    }

    /// What a plan opens and closes, over all layers.
    fn plan(&self) -> Vec<ChangeReport> {
        let Some(before) = self.before else { return Vec::new() };
        let now = self.comparison(self.layers, &self.targets, Mode::Permit);
        now.changes(&now.asked(), &self.comparison(before, &self.targets, Mode::Permit))
    }

    /// Deployed text against what is rendered, where the target has a place of its own there: nothing is rendered else.
    fn text_diff(&self, target: &dyn Target, layers: &[Box<dyn Layer + '_>]) -> Option<String> {
        let listings = layers.iter().flat_map(|layer| layer.listings());
        let own: Vec<(&Listing, String)> =
            listings.filter_map(|listing| Some((listing, target.deployed(listing)?))).collect();
        if own.is_empty() {
            return None;
        }
        let artifact = match target.render(self.allowlist, &self.inputs.templates) {
            Ok(artifact) => artifact,
            // The answer does not hang on it.
            Err(error) => return Some(format!("not rendered: {error}\n")),
        };
        let shown = |(listing, deployed): &(&Listing, String)| {
            Some(unified(deployed, listing, target.file_for(listing, &artifact)?))
        };
        let text: String = own.iter().filter_map(shown).collect();
        (!text.is_empty()).then_some(text)
    }

    fn has_path(&self) -> bool {
        self.inputs.site.as_ref().is_some_and(|site| !site.path.is_empty())
    }

    fn comparison<'c>(
        &'c self,
        layers: &'c [Box<dyn Layer + 'c>],
        targets: &'c [&'c dyn Target],
        mode: Mode,
    ) -> Comparison<'c> {
        Comparison {
            inputs: self.inputs,
            allowlist: self.allowlist,
            path: path::Path::new(layers),
            targets,
            mode,
            own: self.read.proxies(),
        }
    }

    /// All layers together.
    fn path(&self) -> (PathReport, Vec<FindingReport>) {
        let mode = mode(self.targets.iter().copied(), self.layers);
        let comparison = self.comparison(self.layers, &self.targets, mode);
        let asked = comparison.asked();
        let report = PathReport {
            layers: self.read.reports(self.layers),
            mode: mode.as_str(),
            outcome: outcome(&asked),
            sources: comparison.sources(&asked),
            differences: comparison.differences(&asked),
        };
        (report, comparison.findings(&asked))
    }
}

/// How a comparison ends.
pub(super) fn exit(report: &DriftReport) -> Exit {
    let of_targets = report.targets.iter().map(|target| target.outcome);
    let outcomes: Vec<Came> = of_targets.chain(report.path.iter().map(|path| path.outcome)).collect();
    if outcomes.contains(&Came::Drift) || !report.findings.is_empty() {
        Exit::Findings
    } else if outcomes.contains(&Came::Undetermined) {
        Exit::Undetermined
    } else {
        Exit::Ok
    }
}

/// The part of a listing in a target's own place against the file that is rendered for it.
fn unified(deployed: &str, listing: &Listing, file: &ArtifactFile) -> String {
    if deployed == file.text {
        return String::new();
    }
    let shown = TextDiff::from_lines(deployed, &file.text)
        .unified_diff()
        .context_radius(2)
        .header(&format!("deployed: {}", listing.name), &format!("rendered: {}", file.path))
        .to_string();
    lines(&shown, TEXT_LINES_MAX)
}
