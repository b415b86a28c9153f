//! All steps of a run in their order, each told on its own: what `report` and `ci` are made of.

use std::path::PathBuf;

use jiff::SignedDuration;

use super::inputs;
use super::layers::Layers;
use super::state::State;
use super::upstream::Pages;
use super::{Exit, Global, base, diff, render, review};
use crate::diagnostic::Diagnostics;
use crate::plain::{counted, line};
use crate::report::drift_v1::{DriftReport, Outcome as Came};
use crate::report::finding::{Finder, Paths, Says};
use crate::report::survey_v1::{Judged, Outcome, PolicySurvey, Step, StepReport, Survey};
use crate::report::upstream_v1::UpstreamReport;
use crate::report::{json_v1, text};

/// What is asked for.
pub(super) struct Asked {
    /// How far ahead what falls due is a finding.
    pub(super) within: SignedDuration,
    /// The state that a change is judged from.
    pub(super) base: Option<String>,
    /// The folder of rendered files.
    pub(super) rendered: Option<PathBuf>,
    /// The rules that are deployed.
    pub(super) layers: Layers,
    /// Where pages are read; `None` where that is not asked for.
    pub(super) pages: Option<Pages>,
    /// Steps that are left out.
    pub(super) skip: Vec<Step>,
}

/// Carries out what is asked for. A step that fails keeps no other from being carried out, unless policies or site have
/// errors: nothing can be judged by those.
pub(super) fn survey(global: &Global, asked: Asked) -> Survey {
    let mut found = Diagnostics::new();
    let inputs = inputs::read(global, &mut found);
    let state = State::new(inputs, found, asked.within);
    let mut run = Run { global, state: &state, skip: &asked.skip, steps: Vec::new() };
    run.check();
    let review = run.step(Step::Review, asked.base.as_ref(), |run, base| {
        let report = review::report(base, asked.within, run.state, run.global)?;
        let outcome = outcome(review::exit(&report));
        Ok((outcome, report.summary.clone(), report))
    });
    let rendered = run.step(Step::Render, asked.rendered.as_ref(), |run, folder| {
        let Some(allowlist) = &run.state.allowlist else { return Err(unsound()) };
        let report = render::compared(folder, allowlist, &run.state.rendered)?;
        let outcome = if report.stale.is_empty() { Outcome::AsWanted } else { Outcome::Findings };
        let said = match report.stale.len() {
            0 => "all files are up to date".to_owned(),
            count => format!("{} not up to date", counted(count, "file")),
        };
        Ok((outcome, said, report))
    });
    let named =
        asked.layers.is_named() || state.inputs.site.as_ref().is_some_and(|site| !site.path.is_empty());
    let drift = run.step(Step::Diff, Some(&asked.layers).filter(|_| named), |run, layers| {
        let Some(allowlist) = &run.state.allowlist else { return Err(unsound()) };
        let report = diff::report(layers, &[], (&run.state.inputs, allowlist), run.global)?;
        Ok((outcome(diff::exit(&report)), said_of_drift(&report), report))
    });
    let upstream = run.step(Step::Upstream, asked.pages, |run, pages| {
        let (report, exit) = pages.report(&run.state.inputs)?;
        Ok((outcome(exit), said_of_pages(&report), report))
    });
    let steps = run.steps;
    let (root, below) = base::repository().unwrap_or_default();
    let mut finder = Finder::new(Paths { root, below, renamed: Vec::new() }, &Diagnostics::new());
    let policy = state
        .allowlist
        .as_ref()
        .map(|allowlist| PolicySurvey::new(Judged { policies: &state.inputs.policies, allowlist }));
    Survey {
        version: json_v1::VERSION,
        program: env!("CARGO_PKG_VERSION"),
        at: state.inputs.at.to_string(),
        outcome: Outcome::worst(steps.iter().map(|step| step.outcome)),
        summary: summary(&steps),
        steps,
        policy,
        findings: finder.diagnostics(Says::Check, &state.found),
        beyond: state.found.beyond(),
        review,
        rendered,
        drift,
        upstream,
    }
}

/// The exit status of all steps together.
pub(super) fn exit(survey: &Survey) -> Exit {
    match survey.outcome {
        Outcome::AsWanted | Outcome::Skipped => Exit::Ok,
        Outcome::Findings => Exit::Findings,
        Outcome::Undetermined => Exit::Undetermined,
        Outcome::Failed => Exit::Failure,
    }
}

fn outcome(exit: Exit) -> Outcome {
    match exit {
        Exit::Ok => Outcome::AsWanted,
        Exit::Findings => Outcome::Findings,
        Exit::Undetermined => Outcome::Undetermined,
        Exit::Failure | Exit::Refused | Exit::RolledBack => Outcome::Failed,
    }
}

fn unsound() -> anyhow::Error {
    anyhow::anyhow!("no allowlist can be made\n  help: mend what `check` says first")
}

/// A run, as far as it has come.
struct Run<'a> {
    global: &'a Global,
    state: &'a State,
    skip: &'a [Step],
    steps: Vec<StepReport>,
}

impl Run<'_> {
    fn check(&mut self) {
        let found = &self.state.found;
        let outcome = if found.has_errors() {
            Outcome::Failed
        } else if found.has_findings() {
            Outcome::Findings
        } else {
            Outcome::AsWanted
        };
        self.told(Step::Check, outcome, text::summary(found));
    }

    fn told(&mut self, step: Step, outcome: Outcome, summary: String) {
        self.steps.push(StepReport { step, outcome, summary, help: None });
    }

    /// Carries out a step where it is asked for, and where something can be judged at all.
    fn step<A, R>(
        &mut self,
        step: Step,
        asked: Option<A>,
        carry_out: impl FnOnce(&Self, A) -> anyhow::Result<(Outcome, String, R)>,
    ) -> Option<R> {
        if self.skip.contains(&step) {
            self.told(step, Outcome::Skipped, "left out".to_owned());
            return None;
        }
        let Some(asked) = asked else {
            self.told(step, Outcome::Skipped, not_asked(step).to_owned());
            return None;
        };
        // The review says what is wrong with a change that has errors.
        if self.state.found.has_errors() && step != Step::Review {
            self.told(step, Outcome::Skipped, "policies or site have errors".to_owned());
            return None;
        }
        match carry_out(self, asked) {
            Ok((outcome, summary, report)) => {
                self.told(step, outcome, summary);
                Some(report)
            }
            Err(error) => {
                let said = format!("{error:#}");
                let (what, help) = said.split_once("\n  help: ").unwrap_or((&said, ""));
                let help = Some(line(help)).filter(|help| !help.is_empty());
                self.steps.push(StepReport { step, outcome: Outcome::Failed, summary: line(what), help });
                None
            }
        }
    }
}

/// Why a step is not carried out where nobody asks for it.
fn not_asked(step: Step) -> &'static str {
    match step {
        Step::Check => "not asked for",
        Step::Review => "no base was given to compare with",
        Step::Render => "no folder of rendered files was given",
        Step::Diff => "no deployed rules were given, and the site names no path",
        Step::Upstream => "no pages were asked for",
    }
}

fn said_of_drift(report: &DriftReport) -> String {
    let targets = report.targets.iter().map(|target| (target.target.as_str(), target.outcome));
    let all = report.path.iter().map(|path| ("the whole path", path.outcome)).chain(targets);
    let all: Vec<(&str, Came)> = all.collect();
    let of = |wanted: Came| -> Vec<&str> {
        all.iter().filter(|(_, came)| *came == wanted).map(|(name, _)| *name).collect()
    };
    let mut parts = Vec::new();
    for came in [Came::Drift, Came::Undetermined, Came::AsWanted] {
        let names = of(came);
        if !names.is_empty() {
            parts.push(format!("{}: {}", came.as_str(), names.join(", ")));
        }
    }
    if !report.findings.is_empty() {
        parts.push(counted(report.findings.len(), "finding"));
    }
    if !report.skipped.is_empty() {
        parts.push(format!("{} not compared", counted(report.skipped.len(), "target")));
    }
    parts.join("; ")
}

fn said_of_pages(report: &UpstreamReport) -> String {
    let of = report.providers.iter().map(|provider| format!("{}: {}", provider.provider, provider.outcome));
    of.collect::<Vec<_>>().join(", ")
}

/// Which steps ended how, those that somebody has to look at first.
fn summary(steps: &[StepReport]) -> String {
    let order =
        [Outcome::Failed, Outcome::Findings, Outcome::Undetermined, Outcome::AsWanted, Outcome::Skipped];
    let parts = order.iter().filter_map(|outcome| {
        let of = steps.iter().filter(|step| step.outcome == *outcome).map(|step| step.step.as_str());
        let names = of.collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| format!("{}: {names}", outcome.words()))
    });
    parts.collect::<Vec<_>>().join("; ")
}
