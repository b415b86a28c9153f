//! What the rules on the way do with one address.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;

use crate::admission::{Question, RuleId};
use crate::cli::Exit;
use crate::cli::inputs::Inputs;
use crate::cli::layers::{Read, mode, names};
use crate::cli::mender::{Mender, Wrong};
use crate::drift::verdict::{Verdict, verdict_of};
use crate::drift::{Mode, Part};
use crate::path::Path;
use crate::plain::line;
use crate::prefix::PrefixSet;
use crate::report::admission_v1::LayerReport;
use crate::report::admission_v1::{RuleReport, VerdictReport, verdicts};
use crate::site::Site;
use crate::target::Target;

/// What becomes of the address on its way.
#[derive(Debug, Serialize)]
pub(super) struct Way {
    /// What was read.
    listings: Vec<String>,
    /// The layers, from the outside inwards.
    layers: Vec<LayerReport>,
    /// At each port of the service.
    ports: Vec<AtPort>,
    #[serde(skip)]
    exit: Exit,
}

#[derive(Debug, Serialize)]
struct AtPort {
    port: u16,
    /// `admitted`, `blocked` or `undetermined`.
    verdict: &'static str,
    /// The layer that decides.
    layer: Option<String>,
    /// The rule that decides, or the first that can't be decided.
    rule: Option<RuleReport>,
    /// Why it is undecided.
    why: Vec<String>,
    /// The smallest safe change, where the policies want the address and it is not surely admitted.
    change: Option<String>,
    /// What keeps that change, where a program writes those rules anew.
    lasting: Option<String>,
    /// What each layer says for itself.
    layers: Vec<VerdictReport>,
}

/// Whether the policies want the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// They do.
    Yes,
    /// They don't.
    No,
}

/// Asks all layers about one address.
pub(super) fn way(
    address: IpAddr,
    wanted: Wanted,
    read: &Read,
    (inputs, site): (&Inputs, &Site),
) -> anyhow::Result<Way> {
    let parsed = read.parse()?;
    let layers = parsed.layers()?;
    let path = Path::new(&layers);
    let reports = read.reports(&layers);
    let mut ports = Vec::new();
    let targets: Vec<&dyn Target> = inputs.targets.iter().map(AsRef::as_ref).collect();
    let mode = mode(targets.iter().copied(), &layers);
    let mender = Mender { path, targets: &targets };
    let addresses = PrefixSet::between(address, address);
    let mut exits = Vec::new();
    for port in &site.service.ports {
        let question = Question {
            port: *port,
            interface: site.service.interface.clone(),
            addresses: site.service.addresses.clone(),
            at: inputs.at,
        };
        let crossing = path.trace(&question, address);
        let (verdict, rule) = verdict_of(&crossing.admission, address);
        exits.push(status(verdict, wanted, mode));
        let decider = rule.map(|rule| path.describe(&crossing, rule));
        let wrong = part(verdict, wanted).map(|part| Wrong {
            part,
            port: *port,
            addresses: &addresses,
            rule,
            decider: decider.as_ref(),
        });
        let change = wrong.as_ref().map(|wrong| mender.change(&crossing, wrong));
        let lasting = wrong.as_ref().and_then(|wrong| mender.lasting(wrong));
        ports.push(AtPort {
            port: *port,
            verdict: verdict.as_str(),
            layer: decider.as_ref().and_then(|rule| rule.facts.get("layer").cloned()),
            rule: decider.map(RuleReport::of),
            why: crossing.admission.undecided.iter().map(|open| open.why.clone()).collect(),
            change,
            lasting,
            layers: verdicts(&reports, &crossing.layers, &|id: RuleId| path.describe(&crossing, id)),
        });
    }
    // Drift is told before what is undetermined: it is certain.
    let exit = [Exit::Findings, Exit::Undetermined].into_iter().find(|exit| exits.contains(exit));
    Ok(Way { listings: names(&layers).collect(), layers: reports, ports, exit: exit.unwrap_or(Exit::Ok) })
}

/// What is wrong about an address that the policies want. Of others the whole rule is, which `diff` tells.
fn part(verdict: Verdict, wanted: Wanted) -> Option<Part> {
    match (verdict, wanted) {
        (Verdict::Blocked, Wanted::Yes) => Some(Part::Blocked),
        (Verdict::Undetermined, Wanted::Yes) => Some(Part::AtRisk),
        (Verdict::Admitted, Wanted::Yes) | (_, Wanted::No) => None,
    }
}

fn status(verdict: Verdict, wanted: Wanted, mode: Mode) -> Exit {
    match (verdict, wanted, mode) {
        (Verdict::Admitted, Wanted::Yes, _)
        | (Verdict::Blocked, Wanted::No, _)
        | (_, Wanted::No, Mode::Permit) => Exit::Ok,
        (Verdict::Blocked, Wanted::Yes, _) | (Verdict::Admitted, Wanted::No, Mode::Exclusive) => {
            Exit::Findings
        }
        (Verdict::Undetermined, Wanted::Yes | Wanted::No, _) => Exit::Undetermined,
    }
}

impl Way {
    /// Drift where the verdict is not what is wanted.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// For people. Writing into a String can't fail, so the results are dropped.
    pub(super) fn write(&self, text: &mut String) {
        let listings: Vec<String> = self.listings.iter().map(|name| line(name)).collect();
        let _ = writeln!(text, "\nOn the way, read from: {}", listings.join(", "));
        for at in &self.ports {
            let by = at.layer.as_ref().filter(|_| at.verdict != "admitted");
            let by = by.map(|layer| format!(" by the {layer} layer")).unwrap_or_default();
            let _ = writeln!(text, "  {:12} {}{by}", format!("tcp/{}", at.port), at.verdict);
            at.layers.iter().for_each(|one| layer(one, text));
            for why in &at.why {
                let _ = writeln!(text, "    undecided      {}", line(why));
            }
            let change =
                at.change.iter().flat_map(|change| change.lines()).map(|command| ("change", command));
            for (what, told) in change.chain(at.lasting.iter().map(|told| ("to stay", told.as_str()))) {
                let _ = writeln!(text, "    {what:14} {}", line(told));
            }
        }
    }
}

/// What one layer does, and its rule below.
fn layer(one: &VerdictReport, text: &mut String) {
    let named = one.rule.as_ref().map(|rule| line(&rule.located));
    let rule = named.as_deref().unwrap_or("no rule looks at it");
    let _ = writeln!(text, "    {:14} {:12} {rule}", one.layer, one.verdict);
    if let Some(rule) = one.rule.as_ref().filter(|rule| !rule.text.is_empty()) {
        let _ = writeln!(text, "    {:14} {:12} {}", "", "", line(&rule.text));
    }
}
