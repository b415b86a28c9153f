//! `callgate admitted`

use std::net::IpAddr;

use anyhow::anyhow;

use super::listings::Listings;
use super::{Exit, Global, Outcome, print, print_json};
use crate::admission::{Admission, Decider, Layer as _, Question, RuleId};
use crate::netfilter::evaluate::Asked;
use crate::report::admission_text;
use crate::report::admission_v1::{QuestionReport, RuleReport, StepReport, report};

const AFTER_HELP: &str = "Without a listing in a file this host is asked, which needs root; nothing is changed. \
Exit status: 0 everything is decided, 1 findings, 2 bad input, 5 undetermined.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Admitted {
    #[command(flatten)]
    listings: Listings,
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
    format: Format,
}

/// Forms of this report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For machines, versioned
    Json,
}

impl Admitted {
    pub(super) fn run(self, global: &Global) -> Outcome {
        if self.address.iter().filter(|address| address.is_ipv4()).count() > 1
            || self.address.iter().filter(|address| address.is_ipv6()).count() > 1
        {
            return Err(anyhow!("`--address` is given twice for one family: ask for one address at a time"));
        }
        let host = self.listings.read()?;
        let question = Question {
            port: self.port,
            interface: self.interface,
            addresses: self.address,
            at: super::instant(global),
        };
        let asked = Asked::new(&host);
        let describe = |id: RuleId| -> Decider { asked.describe(id) };
        let (admission, steps) = match self.source {
            None => (asked.admit(&question), None),
            Some(source) => {
                let (admission, steps) = asked.trace(&question, source.to_canonical());
                (admission, Some(steps))
            }
        };
        let shown = QuestionReport {
            protocol: "tcp",
            port: question.port,
            interface: question.interface.clone(),
            addresses: question.addresses.iter().map(ToString::to_string).collect(),
            at: question.at.to_string(),
            listings: asked.listings().iter().map(|listing| listing.name.clone()).collect(),
            source: self.source.map(|source| source.to_canonical().to_string()),
        };
        match self.format {
            Format::Json => {
                let trace = steps.map(|steps| {
                    let step = |one: crate::admission::Step| StepReport {
                        packet: one.packet,
                        rule: RuleReport::of(describe(one.rule)),
                        did: one.did,
                    };
                    steps.into_iter().map(step).collect()
                });
                print_json(&report(shown, &admission, trace, &describe))
            }
            Format::Text => print(&match steps {
                None => admission_text::admission(&shown, &admission, &describe),
                Some(steps) => admission_text::trace(&shown, &admission, &steps, &describe),
            }),
        }?;
        Ok(exit(&admission))
    }
}

/// Findings are told before what is undetermined: they are certain.
pub(super) fn exit(admission: &Admission) -> Exit {
    if !admission.findings.is_empty() {
        return Exit::Findings;
    }
    if admission.is_undetermined() { Exit::Undetermined } else { Exit::Ok }
}
