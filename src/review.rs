//! A change of policies, site and templates, as somebody who reviews it sees it: what opens and closes and from when,
//! what becomes of each target, and what two people should look at.
//!
//! Pure: both sides are read, judged and rendered already. Whether a change may be made at all is for
//! [`crate::policy::history`]; here nothing is refused.

pub mod concern;
pub mod file;
pub mod moves;

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::allowlist::Allowlist;
use crate::drift::Mode;
use crate::policy::history::Change;
use crate::policy::load::Policies;
use crate::prefix::PrefixSet;
use crate::site::Site;
use crate::target::template::Templates;
use crate::target::{Artifact, Quota, TargetKind};
use concern::Concern;
use file::FileChange;
use moves::Moves;

/// One side of a change: as it was, or as it would be.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The policies.
    pub policies: &'a Policies,
    /// The site.
    pub site: &'a Site,
    /// The user's templates.
    pub templates: &'a Templates,
    /// What comes before a template's name in its path.
    pub template_folder: &'a str,
    /// What is admitted at the instant of the review; `None` where it can't be said.
    pub allowlist: Option<&'a Allowlist>,
    /// The site's targets, by name.
    pub targets: &'a [Rendered<'a>],
}

/// A target of one side.
#[derive(Debug, Clone, Copy)]
pub struct Rendered<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its kind.
    pub kind: TargetKind,
    /// What becomes of everyone else.
    pub mode: Mode,
    /// Its files; `None` where it can't be rendered.
    pub artifact: Option<&'a Artifact>,
}

/// A change, reviewed.
#[derive(Debug)]
pub struct Review {
    /// What opens and closes for this site, and from when.
    pub moves: Moves,
    /// What the policies open and close that the site does not select, before or after.
    pub elsewhere: Vec<Change>,
    /// Sources of which something that counts changed, or that open or close, by provider and id.
    pub touched: BTreeSet<(String, String)>,
    /// Each target of either side, by name.
    pub targets: Vec<TargetChange>,
    /// What two people should look at.
    pub concerns: Vec<Concern>,
}

/// Whether a target is on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// On the new one only.
    Added,
    /// On the old one only.
    Removed,
    /// On both.
    Kept,
}

impl Presence {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Presence::Added => "added",
            Presence::Removed => "removed",
            Presence::Kept => "kept",
        }
    }
}

/// What becomes of a target.
#[derive(Debug)]
pub struct TargetChange {
    /// Its name.
    pub name: String,
    /// Its kind; where it changed, the new one.
    pub kind: TargetKind,
    /// Its mode; where it is removed, the one it had.
    pub mode: Mode,
    /// Whether it is on both sides.
    pub presence: Presence,
    /// Addresses that it names now and did not before.
    pub opens: PrefixSet,
    /// Addresses that it named before and does not now.
    pub closes: PrefixSet,
    /// Its files that differ, by path.
    pub files: Vec<FileChange>,
    /// How much of each quota it takes.
    pub quotas: Vec<Quota>,
}

impl TargetChange {
    /// Whether nothing of it changes.
    pub fn is_same(&self) -> bool {
        self.presence == Presence::Kept && self.files.is_empty()
    }
}

/// Reviews the change from `old` to `new` at an instant; `changes` is what the policies open and close by themselves.
pub fn review(old: &Side<'_>, new: &Side<'_>, changes: Vec<Change>, at: Timestamp) -> Review {
    let selected = |side: &Side<'_>, change: &Change| {
        side.site.selections.iter().any(|selection| {
            selection.provider == change.provider
                && selection.roles.contains(&change.role)
                && selection.environments.contains(&change.environment)
        })
    };
    let mut elsewhere = changes;
    // What happens alike in an environment that is selected has been told there.
    let told: Vec<Change> =
        elsewhere.iter().filter(|change| selected(old, change) || selected(new, change)).cloned().collect();
    elsewhere.retain(|change| {
        !told.iter().any(|told| Change { environment: told.environment, ..change.clone() } == *told)
    });
    let moves = moves::moves(old, new, at);
    let mut touched = concern::touched(old, new);
    touched.extend(moves.all.iter().map(|one| (one.provider.clone(), one.source.clone())));
    Review { moves, elsewhere, touched, targets: targets(old, new), concerns: concern::concerns(old, new) }
}

fn named<'a>(side: &Side<'a>, name: &str) -> Option<Rendered<'a>> {
    side.targets.iter().find(|target| target.name == name).copied()
}

fn targets(old: &Side<'_>, new: &Side<'_>) -> Vec<TargetChange> {
    let names: BTreeSet<&str> = old.targets.iter().chain(new.targets).map(|target| target.name).collect();
    let changes = names.into_iter().filter_map(|name| {
        let (was, is) = (named(old, name), named(new, name));
        let (presence, shown) = match (was, is) {
            (Some(_), Some(is)) => (Presence::Kept, is),
            (None, Some(is)) => (Presence::Added, is),
            (Some(was), None) => (Presence::Removed, was),
            (None, None) => return None,
        };
        let set = |side: &Side<'_>, target: Option<Rendered<'_>>| {
            let list = target.and(side.allowlist);
            list.map(Allowlist::to_set).unwrap_or_default()
        };
        let (before, after) = (set(old, was), set(new, is));
        let artifact = |target: Option<Rendered<'_>>| {
            target.and_then(|target| Some(target.artifact?.files.clone())).unwrap_or_default()
        };
        let quotas = is.and_then(|target| Some(target.artifact?.quotas.clone())).unwrap_or_default();
        Some(TargetChange {
            name: name.to_owned(),
            kind: shown.kind,
            mode: shown.mode,
            presence,
            opens: after.difference(&before),
            closes: before.difference(&after),
            files: file::changes(&artifact(was), &artifact(is)),
            quotas,
        })
    });
    changes.collect()
}
