//! The smallest safe change that mends what is wrong at a rule, and what keeps it.

use crate::admission::{Decider, RuleId, Wanted};
use crate::drift::Part;
use crate::drift::keeper::Keeper;
use crate::path::{Crossing, Path};
use crate::prefix::PrefixSet;
use crate::target::Target;

/// Whoever knows the layers that were asked, and the targets that may stand in them.
pub(super) struct Mender<'a> {
    pub(super) path: Path<'a>,
    pub(super) targets: &'a [&'a dyn Target],
}

/// Addresses with a fate that is not wanted.
pub(super) struct Wrong<'a> {
    pub(super) part: Part,
    pub(super) port: u16,
    pub(super) addresses: &'a PrefixSet,
    /// The rule that decides, and what it is.
    pub(super) rule: Option<RuleId>,
    pub(super) decider: Option<&'a Decider>,
}

impl Mender<'_> {
    /// The smallest safe change.
    pub(super) fn change(&self, crossing: &Crossing, wrong: &Wrong<'_>) -> String {
        let wanted = match wrong.part {
            Part::AtRisk | Part::PossiblyForeign => {
                return "find out about what is undecided, or replace that rule by one that names addresses"
                    .to_owned();
            }
            Part::Blocked => Wanted::Admit,
            Part::Foreign => Wanted::Refuse,
        };
        let found = wrong.rule.and_then(|rule| self.path.find(crossing, rule));
        let mut placed = self
            .targets
            .iter()
            .filter(|target| found.is_none_or(|(layer, _)| layer.kind() == target.layer()));
        let load = placed.next().map_or_else(
            || "tell whoever keeps these rules: no target of the site renders them".to_owned(),
            |target| format!("render and load it: callgate render --target {}", target.common().name),
        );
        if wrong.decider.is_some_and(|decider| self.owns(decider)) {
            return format!("the deployed artifact is not the one of today: {load}");
        }
        found.and_then(|(layer, own)| layer.mend(own, wrong.addresses, wrong.port, wanted)).unwrap_or(load)
    }

    /// What the program that writes the rules has to be told so that the change stays.
    pub(super) fn lasting(&self, wrong: &Wrong<'_>) -> Option<String> {
        let decider = wrong.decider?;
        if wrong.part != Part::Blocked || self.owns(decider) {
            return None;
        }
        Keeper::of(decider)?.told(decider, &wrong.addresses.to_prefixes(), wrong.port)
    }

    fn owns(&self, decider: &Decider) -> bool {
        self.targets.iter().any(|target| target.owns(decider))
    }
}
