//! `callgate admitted`

use std::net::IpAddr;
use std::path::Path;

use anyhow::anyhow;

use super::layers::{Layers, names};
use super::{Exit, Form, Global, Outcome, print, print_json};
use crate::admission::change::change;
use crate::admission::{Admission, Decider, Layer, Question, RuleId, Step};
use crate::path::{self, Crossing};
use crate::report::admission_text;
use crate::report::admission_v1::{
    Describe, QuestionReport, RuleReport, StepReport, VerdictReport, report, verdicts,
};
use crate::report::change_v1::{self, ChangeReport};

const AFTER_HELP: &str = "Without a listing in a file this host is asked, which needs root; nothing is changed. \
Exit status: 0 everything is decided, 1 findings, 2 bad input, 5 undetermined.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Admitted {
    #[command(flatten)]
    layers: Layers,
    /// The port that callers call, before any translation
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The interface that callers come in by; any where it is left out
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// The address that callers call, once a family; any of the host's where it is left out
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<IpAddr>,
    /// Answer for one caller only, with every rule that its connection meets
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

impl Admitted {
    pub(super) fn run(self, global: &Global) -> Outcome {
        if self.address.iter().filter(|address| address.is_ipv4()).count() > 1
            || self.address.iter().filter(|address| address.is_ipv6()).count() > 1
        {
            return Err(anyhow!("`--address` is given twice for one family: ask for one address at a time"));
        }
        let read = self.layers.read(&[], Path::new(""))?;
        let parsed = read.parse()?;
        let layers = parsed.layers()?;
        let path = path::Path::new(&layers);
        let question = Question {
            port: self.port,
            interface: self.interface,
            addresses: self.address,
            at: super::instant(global),
        };
        let source = self.source.map(|source| source.to_canonical());
        let crossing = match source {
            None => path.admit(&question),
            Some(source) => path.trace(&question, source),
        };
        let describe = |id: RuleId| -> Decider { path.describe(&crossing, id) };
        let shown = QuestionReport {
            protocol: "tcp",
            port: question.port,
            interface: question.interface.clone(),
            addresses: question.addresses.iter().map(ToString::to_string).collect(),
            at: question.at.to_string(),
            listings: names(&layers).collect(),
            layers: read.reports(&layers),
            source: source.map(|source| source.to_string()),
        };
        let before = parsed.before()?.filter(|_| source.is_none());
        let plan = before.map(|before| planned(&question, &before, (&crossing, &describe)));
        show(self.format, shown, &crossing, (plan, &describe))?;
        Ok(exit(&crossing.admission))
    }
}

fn show(
    format: Form,
    shown: QuestionReport,
    crossing: &Crossing,
    (plan, describe): (Option<ChangeReport>, Describe<'_>),
) -> Outcome {
    let is_of_one = shown.source.is_some();
    match format {
        Form::Text if is_of_one => print(&admission_text::trace(&shown, crossing, describe)),
        Form::Text => print(&admission_text::admission(&shown, &crossing.admission, plan.as_ref(), describe)),
        Form::Json => {
            let of_one = is_of_one.then(|| of_one(&shown, crossing, describe));
            let mut report = report(shown, &crossing.admission, of_one, describe);
            report.plan = plan;
            print_json(&report)
        }
    }
}

/// What a plan opens and closes.
fn planned(
    question: &Question,
    before: &[Box<dyn Layer + '_>],
    (after, describe): (&Crossing, Describe<'_>),
) -> ChangeReport {
    let path = path::Path::new(before);
    let old = path.admit(question);
    let described = |id: RuleId| path.describe(&old, id);
    let found = change(&old.admission, &after.admission);
    change_v1::report(question.port, &found, (&described, describe), &|_, _| Vec::new())
}

/// What each layer does with one source, and what it meets.
fn of_one(
    shown: &QuestionReport,
    crossing: &Crossing,
    describe: Describe<'_>,
) -> (Vec<VerdictReport>, Vec<StepReport>) {
    let step = |(layer, step): &(usize, Step)| StepReport {
        layer: shown.layers.get(*layer).map_or("", |layer| layer.layer),
        packet: step.packet,
        rule: RuleReport::of(describe(step.rule)),
        did: step.did.clone(),
    };
    let steps = crossing.steps.iter().map(step).collect();
    (verdicts(&shown.layers, &crossing.layers, describe), steps)
}

/// Findings are told before what is undetermined: they are certain.
pub(super) fn exit(admission: &Admission) -> Exit {
    if !admission.findings.is_empty() {
        return Exit::Findings;
    }
    if admission.is_undetermined() { Exit::Undetermined } else { Exit::Ok }
}
