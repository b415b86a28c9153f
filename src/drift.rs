//! Allowlist and admission compared, by addresses covered and never by text.

pub mod keeper;
pub mod verdict;

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::admission::{Admission, RuleId, disposed};
use crate::allowlist::{Allowlist, Excluded};
use crate::prefix::PrefixSet;
use crate::yaml::decode::choices;

choices! {
    /// What becomes of everyone who is not on the allowlist.
    pub enum Mode {
        /// Refused.
        Exclusive = "exclusive",
        /// Left to the rules that are there already.
        Permit = "permit",
    }
}

/// How allowlist and admission differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// On the allowlist, and refused in every case.
    Blocked,
    /// On the allowlist, and admitted in some cases only.
    AtRisk,
    /// Not on the allowlist, and admitted in every case.
    Foreign,
    /// Not on the allowlist, and admitted in some cases.
    PossiblyForeign,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 4] = [Part::Blocked, Part::AtRisk, Part::Foreign, Part::PossiblyForeign];

    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Blocked => "blocked",
            Part::AtRisk => "at risk",
            Part::Foreign => "foreign",
            Part::PossiblyForeign => "possibly foreign",
        }
    }

    /// Whether it is certain that something is wrong.
    pub fn is_certain(self) -> bool {
        matches!(self, Part::Blocked | Part::Foreign)
    }
}

/// Addresses that differ in one way, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In which way.
    pub part: Part,
    /// Which addresses.
    pub addresses: PrefixSet,
    /// Indices into [`Allowlist::origins`]: the sources that these are addresses of.
    pub origins: Vec<u32>,
    /// Sources that were selected once and are no longer admitted: indices into [`Allowlist::excluded`].
    pub excluded: Vec<usize>,
    /// The rule that decided; `None` where none did, or where it is undecided.
    pub rule: Option<RuleId>,
    /// Why it is undecided, where it is.
    pub why: Vec<String>,
}

impl Difference {
    /// One address of it, the first.
    pub fn example(&self) -> Option<IpAddr> {
        self.addresses.ranges().next().map(|(first, _)| first)
    }
}

/// How a deployed ruleset differs from what is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// The differences, what is certain first.
    pub differences: Vec<Difference>,
    /// Whether those who surely get in are exactly those who are wanted.
    pub is_exact: bool,
}

impl Drift {
    /// Whether something is certainly wrong.
    pub fn is_certain(&self) -> bool {
        self.differences.iter().any(|one| one.part.is_certain())
    }

    /// The addresses of one part.
    pub fn part(&self, part: Part) -> PrefixSet {
        let of_part = self.differences.iter().filter(|one| one.part == part);
        of_part.fold(PrefixSet::empty(), |all, one| all.union(&one.addresses))
    }
}

/// Compares what is wanted with what gets in.
///
/// What the kernel disposes of before any rule is never foreign, nor are addresses of one's `own`: proxies that stand
/// in front and tell who calls.
pub fn compare(allowlist: &Allowlist, admission: &Admission, mode: Mode, own: &PrefixSet) -> Drift {
    // Mostly all is as wanted: a set is made where it is not.
    let prefixes = allowlist.entries().iter().map(|entry| &entry.prefix);
    let is_wanted = admission.surely.is_of(prefixes);
    let wanted = if is_wanted { admission.surely.clone() } else { allowlist.to_set() };
    let between = admission.possibly.difference(&admission.surely);
    let mut found = Vec::new();
    let compared = Compared { allowlist, admission };
    compared.decided(Part::Blocked, &wanted.difference(&admission.possibly), &mut found);
    compared.undecided(Part::AtRisk, &wanted.intersection(&between), &mut found);
    if mode == Mode::Exclusive {
        // First what most of it is, so that little is left to compare with the others.
        let foreign = |set: &PrefixSet| set.difference(&wanted).difference(&disposed()).difference(own);
        compared.decided(Part::Foreign, &foreign(&admission.surely), &mut found);
        compared.undecided(Part::PossiblyForeign, &foreign(&between), &mut found);
    }
    found.sort_by_key(|one| (!one.part.is_certain(), one.part, one.example()));
    Drift { differences: found, is_exact: is_wanted }
}

/// Addresses that share rule and sources.
type Groups = BTreeMap<(Option<RuleId>, Vec<u32>, Vec<usize>), Vec<(IpAddr, IpAddr)>>;

struct Compared<'a> {
    allowlist: &'a Allowlist,
    admission: &'a Admission,
}

impl Compared<'_> {
    /// Addresses whose fate is decided, by rule and source.
    fn decided(&self, part: Part, addresses: &PrefixSet, found: &mut Vec<Difference>) {
        let mut groups = Groups::new();
        for (first, last) in addresses.ranges() {
            for one in self.admission.decided.within(first, last) {
                self.by_source(part, one.rule, (one.first, one.last), &mut groups);
            }
        }
        found.extend(groups.into_iter().map(|((rule, origins, excluded), ranges)| Difference {
            part,
            addresses: PrefixSet::from_ranges(ranges),
            origins,
            excluded,
            rule,
            why: Vec::new(),
        }));
    }

    fn undecided(&self, part: Part, addresses: &PrefixSet, found: &mut Vec<Difference>) {
        let mut groups = Groups::new();
        for range in addresses.ranges() {
            self.by_source(part, None, range, &mut groups);
        }
        for ((rule, origins, excluded), ranges) in groups {
            let addresses = PrefixSet::from_ranges(ranges);
            let open = self.admission.undecided.iter();
            let why: Vec<_> = open.filter(|one| !one.sources.intersection(&addresses).is_empty()).collect();
            found.push(Difference {
                part,
                addresses,
                origins,
                excluded,
                rule: rule.or(why.first().and_then(|one| one.rule)),
                why: why.iter().map(|one| one.why.clone()).collect(),
            });
        }
    }

    /// A range cut where other sources begin.
    fn by_source(
        &self,
        part: Part,
        rule: Option<RuleId>,
        (first, last): (IpAddr, IpAddr),
        groups: &mut Groups,
    ) {
        let range = PrefixSet::between(first, last);
        let mut rest = range.clone();
        if matches!(part, Part::Blocked | Part::AtRisk) {
            for entry in self.allowlist.within(first, last) {
                let both = range.intersection(&std::iter::once(entry.prefix).collect());
                let origins = self.allowlist.origin_indices(entry).to_vec();
                groups.entry((rule, origins, Vec::new())).or_default().extend(both.ranges());
            }
            return;
        }
        for (number, Excluded { prefixes, .. }) in self.allowlist.excluded.iter().enumerate() {
            let both = rest.intersection(&prefixes.iter().copied().collect());
            if !both.is_empty() {
                groups.entry((rule, Vec::new(), vec![number])).or_default().extend(both.ranges());
                rest = rest.difference(&both);
            }
        }
        if !rest.is_empty() {
            groups.entry((rule, Vec::new(), Vec::new())).or_default().extend(rest.ranges());
        }
    }
}
