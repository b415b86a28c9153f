//! Pages of one provider that say different things.
//!
//! Pages carry different parts: one has the provider's own networks as well, one has another product's addresses. So a page is not
//! held against all that another one says, but against what the policy's evidence says stands on both. What is in no policy yet is
//! expected on a page that carries all else of the other one, and belongs to the other one on a page that carries nothing of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::dates;
use super::finding::{Finding, FindingCode};
use super::page::Read;
use super::wanted::{Known, ROLES};
use crate::policy::{Environment, Role, SourceId};
use crate::prefix::{PrefixSet, listed};

/// Most prefixes that are written out in a message.
const SHOWN_MAX: usize = 8;

/// Where pages disagree.
#[derive(Debug, Default)]
pub(super) struct Disputes {
    findings: BTreeMap<String, Vec<Finding>>,
    /// By page and role: what it lists, and lacks, against a page that decides.
    only_here: BTreeMap<(String, Role), PrefixSet>,
    only_there: BTreeMap<(String, Role), PrefixSet>,
    /// By role: what one page that decides lists and another one lacks.
    undecided: BTreeMap<Role, PrefixSet>,
    own: BTreeSet<(String, Role)>,
}

impl Disputes {
    /// What is to be said of a page that differs from another one.
    pub(super) fn findings(&self, page: &str) -> Vec<Finding> {
        self.findings.get(page).cloned().unwrap_or_default()
    }

    /// What a page lists that is for another one to decide, which does not list it.
    pub(super) fn only_here(&self, read: &Read<'_>, role: Role) -> PrefixSet {
        apart(&self.only_here, read, role)
    }

    /// What a page lacks that is for another one to decide, which lists it.
    pub(super) fn only_there(&self, read: &Read<'_>, role: Role) -> PrefixSet {
        apart(&self.only_there, read, role)
    }

    /// What pages that decide alike do not agree on.
    pub(super) fn undecided(&self, role: Role) -> PrefixSet {
        self.undecided.get(&role).cloned().unwrap_or_default()
    }

    /// Whether a page carries what no page that decides does, so that it decides about its own.
    pub(super) fn has_its_own(&self, page: &str, role: Role) -> bool {
        self.own.contains(&(page.to_owned(), role))
    }
}

/// What a page that does not decide differs in.
fn apart(sets: &BTreeMap<(String, Role), PrefixSet>, read: &Read<'_>, role: Role) -> PrefixSet {
    let own = sets.get(&(read.name.to_owned(), role)).filter(|_| !read.decides);
    own.cloned().unwrap_or_default()
}

/// All disagreements of these pages with those that decide; where none of those was read, with the first that was.
pub(super) fn all(known: &Known<'_>, read: &[Read<'_>]) -> Disputes {
    let mut disputes = Disputes::default();
    for page in read.iter().filter(|page| !page.decides) {
        let deciding = read.iter().filter(|other| other.decides);
        let decided: Vec<&str> = deciding.map(|other| other.name).collect();
        let own = ROLES.into_iter().filter(|role| {
            let mut ids = carried(known, page.name, *role).into_iter();
            ids.any(|id| !decided.iter().any(|other| carried(known, other, *role).contains(id)))
        });
        disputes.own.extend(own.map(|role| (page.name.to_owned(), role)));
    }
    let listing: Vec<&Read<'_>> = read.iter().filter(|page| page.listing.is_some()).collect();
    for (number, page) in listing.iter().enumerate() {
        let earlier = listing.iter().take(number);
        let held_against = earlier.enumerate().filter(|(at, other)| other.decides || *at == 0);
        let pairs = held_against.flat_map(|(_, other)| ROLES.into_iter().map(move |role| (*other, role)));
        for (other, role) in pairs {
            disputes.compare(known, page, other, role);
        }
    }
    disputes
}

fn carried<'k>(known: &'k Known<'_>, page: &'k str, role: Role) -> BTreeSet<&'k SourceId> {
    known.carried(page, role).map(|held| &held.source.id).collect()
}

impl Disputes {
    fn compare(&mut self, known: &Known<'_>, page: &Read<'_>, other: &Read<'_>, role: Role) {
        let Some((here, there)) = page.listing.as_ref().zip(other.listing.as_ref()) else { return };
        let (ours, theirs) = (carried(known, page.name, role), carried(known, other.name, role));
        let follows = ours.is_subset(&theirs);
        let is_complete = !theirs.is_empty() && theirs.is_subset(&ours);
        let current = known.current(role);
        let only = |from: &PrefixSet, to: &PrefixSet, carrier: &str, is_told: Told| {
            let whole = from.difference(to);
            let told = whole.intersection(&known.expected(carrier, role));
            match is_told {
                Told::All => told.union(&whole.difference(&current)),
                Told::Known => told,
            }
        };
        let (ours, theirs) = (&here.listed(role).any, &there.listed(role).any);
        let extra = only(ours, theirs, other.name, if follows { Told::All } else { Told::Known });
        let lacking = only(theirs, ours, page.name, if is_complete { Told::All } else { Told::Known });
        self.tell((page, &extra), (other, &lacking), role);
        if page.decides && other.decides {
            let undecided = self.undecided.entry(role).or_default();
            *undecided = undecided.union(&extra).union(&lacking);
        }
        let key = (page.name.to_owned(), role);
        for (sets, set) in [(&mut self.only_here, extra), (&mut self.only_there, lacking)] {
            let before = sets.entry(key.clone()).or_default();
            *before = before.union(&set);
        }
        let told = self.findings.entry(page.name.to_owned()).or_default();
        told.extend(environments(page, other, role));
        told.extend(dates::disputed((page.name, here), (other.name, there), role));
    }

    fn tell(
        &mut self,
        (page, here): (&Read<'_>, &PrefixSet),
        (other, there): (&Read<'_>, &PrefixSet),
        role: Role,
    ) {
        let (name, from) = (page.name, other.name);
        for (only, verb) in [(here, "lists"), (there, "lacks")] {
            let prefixes = only.to_prefixes();
            if prefixes.is_empty() {
                continue;
            }
            let shown = listed(&prefixes, SHOWN_MAX);
            let how = if verb == "lists" { "lacks" } else { "lists" };
            let message = format!("`{name}` {verb} {shown}, which `{from}` {how}");
            self.findings
                .entry(name.to_owned())
                .or_default()
                .push(finding(message, page, other, role).about(prefixes));
        }
    }
}

/// Whether what is in no policy yet is told of.
#[derive(Debug, Clone, Copy)]
enum Told {
    All,
    Known,
}

fn finding(message: String, page: &Read<'_>, other: &Read<'_>, role: Role) -> Finding {
    let help = if other.decides && !page.decides {
        format!("`{}` decides: ask the provider which page is right", other.name)
    } else {
        "ask the provider which page is right".to_owned()
    };
    let mut finding = Finding::new(FindingCode::PagesDisagree, message, help).on(page.name);
    finding.other_page = Some(other.name.to_owned());
    finding.role = Some(role);
    finding
}

/// Environments that both pages state, and state differently.
fn environments(page: &Read<'_>, other: &Read<'_>, role: Role) -> Vec<Finding> {
    let Some((here, there)) = page.listing.as_ref().zip(other.listing.as_ref()) else { return Vec::new() };
    let (here, there) = (here.listed(role), there.listed(role));
    let mut found = Vec::new();
    for environment in Environment::ALL.iter().copied() {
        let ours = here.stated(environment).intersection(&there.elsewhere(environment));
        let theirs = there.stated(environment).intersection(&here.elsewhere(environment));
        for (set, name, not) in [(ours, page.name, other.name), (theirs, other.name, page.name)] {
            let prefixes = set.to_prefixes();
            if prefixes.is_empty() {
                continue;
            }
            let shown = listed(&prefixes, SHOWN_MAX);
            let message = format!("`{name}` lists {shown} for {environment}, `{not}` does not");
            let mut finding = finding(message, page, other, role).about(prefixes);
            finding.environments.insert(environment);
            found.push(finding);
        }
    }
    found
}
