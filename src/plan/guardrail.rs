//! Guardrails: what a change must not do unless somebody says so for that very change.
//!
//! Each kind has one flag that lifts it and nothing else. The flag's value is the plan's digest, so that what was said
//! of one plan never lifts a guardrail of another. What a wider guardrail tells is not told again by a narrower one: with an
//! empty allowlist every prefix goes, and with a family all of its prefixes.
#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]

pub mod cut;

use std::collections::BTreeMap;
use std::fmt;

use crate::plain::{counted, line};
use crate::policy::Digest;
use crate::prefix::{Family, PrefixSet};
use crate::site::guardrails::Removals;
use cut::{FlowCut, PeerCut};

/// From how many deployed prefixes on a share of them is looked at: in a short list, each one is a large share.
pub const SHARE_FROM: usize = 4;
/// Fewest digits of a digest that name a plan.
const DIGITS_MIN: usize = 16;

/// What a change must not do, and does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guardrail {
    /// Nobody is wanted any more.
    EmptyAllowlist {
        /// How many prefixes are deployed.
        deployed: usize,
    },
    /// Of one family, which is deployed, nobody is wanted any more.
    FamilyVanishes {
        /// Which.
        family: Family,
        /// How many of its prefixes are deployed.
        deployed: usize,
    },
    /// Of what is deployed, much goes at once.
    TooManyRemovals {
        /// How many prefixes go.
        removed: usize,
        /// Of how many.
        of: usize,
        /// How many may.
        limits: Removals,
    },
    /// Who is connected by SSH now could not come again.
    CutsPeer(PeerCut),
    /// A connection that must stay open would not.
    CutsFlow(FlowCut),
}

/// The kinds of guardrails. Their names and flags are part of the interface; `docs/guardrails.md` explains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// [`Guardrail::EmptyAllowlist`]
    EmptyAllowlist,
    /// [`Guardrail::FamilyVanishes`]
    FamilyVanishes,
    /// [`Guardrail::TooManyRemovals`]
    TooManyRemovals,
    /// [`Guardrail::CutsPeer`]
    CutsPeer,
    /// [`Guardrail::CutsFlow`]
    CutsFlow,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::EmptyAllowlist, Self::FamilyVanishes, Self::TooManyRemovals, Self::CutsPeer, Self::CutsFlow];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::EmptyAllowlist => "empty-allowlist",
            Kind::FamilyVanishes => "family-vanishes",
            Kind::TooManyRemovals => "too-many-removals",
            Kind::CutsPeer => "cuts-peer",
            Kind::CutsFlow => "cuts-flow",
        }
    }

    /// The one flag that lifts it; its value is the plan's digest.
    pub fn flag(self) -> &'static str {
        match self {
            Kind::EmptyAllowlist => "--allow-empty",
            Kind::FamilyVanishes => "--allow-family-loss",
            Kind::TooManyRemovals => "--allow-removals",
            Kind::CutsPeer => "--allow-cut-peer",
            Kind::CutsFlow => "--allow-cut-flow",
        }
    }

    /// The flag as it is written for a plan.
    pub fn flag_for(self, plan: &Digest) -> String {
        format!("{} {}", self.flag(), plan.short())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Guardrail {
    /// Of which kind.
    pub fn kind(&self) -> Kind {
        match self {
            Guardrail::EmptyAllowlist { .. } => Kind::EmptyAllowlist,
            Guardrail::FamilyVanishes { .. } => Kind::FamilyVanishes,
            Guardrail::TooManyRemovals { .. } => Kind::TooManyRemovals,
            Guardrail::CutsPeer(_) => Kind::CutsPeer,
            Guardrail::CutsFlow(_) => Kind::CutsFlow,
        }
    }

    /// Whether it is this change that does it: a flow may be cut off already.
    pub fn is_new(&self) -> bool {
        !matches!(self, Guardrail::CutsFlow(cut) if cut.since == cut::Since::Before)
    }

    /// What the change would do.
    pub fn message(&self) -> String {
        match self {
            Guardrail::EmptyAllowlist { deployed } => {
                format!("the allowlist is empty: nobody would be admitted any more ({deployed} deployed now)")
            }
            Guardrail::FamilyVanishes { family, deployed } => {
                format!(
                    "the allowlist has no {family} any more: {} deployed now",
                    counted(*deployed, "prefix")
                )
            }
            Guardrail::TooManyRemovals { removed, of, limits } => format!(
                "{removed} of {} that are deployed would go, more than `removals_max: {}` or `removals_share: {}` allow",
                counted(*of, "prefix"),
                limits.most,
                limits.share.get()
            ),
            Guardrail::CutsPeer(cut) => cut.message(),
            Guardrail::CutsFlow(cut) => cut.message(),
        }
    }

    /// What to do, without the flag.
    fn advice(&self) -> &'static str {
        match self {
            Guardrail::EmptyAllowlist { .. } => {
                "see `callgate explain` and `callgate timeline` for what ended, and hold or select a source"
            }
            Guardrail::FamilyVanishes { .. } => {
                "see `callgate timeline` for what ended; a family that is left out is easily a mistake"
            }
            Guardrail::TooManyRemovals { .. } => {
                "read what closes; a list that was cut short looks like this"
            }
            Guardrail::CutsPeer(_) => {
                "admit the address by rules of your own that come first, or make sure of another way in"
            }
            Guardrail::CutsFlow(_) => {
                "admit it by rules of your own that come first, or change `must_stay_open` in the site file"
            }
        }
    }
}

/// What is told by looking at the prefixes alone: those deployed in our holdings, and those that are wanted.
///
/// Prefixes are counted as the fewest that cover what goes and what stays, so that joining and splitting don't count.
pub fn check(before: &PrefixSet, after: &PrefixSet, limits: Removals) -> Vec<Guardrail> {
    if after.is_empty() {
        return vec![Guardrail::EmptyAllowlist { deployed: before.to_prefixes().len() }];
    }
    let mut found = Vec::new();
    let (mut removed, mut of) = (0_usize, 0_usize);
    for family in Family::ALL {
        let (old, new) = (before.only(family), after.only(family));
        if old.is_empty() {
            continue;
        }
        if new.is_empty() {
            found.push(Guardrail::FamilyVanishes { family, deployed: old.to_prefixes().len() });
            continue;
        }
        let goes = old.difference(&new).to_prefixes().len();
        removed = removed.saturating_add(goes);
        of = of.saturating_add(goes).saturating_add(old.intersection(&new).to_prefixes().len());
    }
    if is_too_many(removed, of, limits) {
        found.push(Guardrail::TooManyRemovals { removed, of, limits });
    }
    found
}

fn is_too_many(removed: usize, of: usize, limits: Removals) -> bool {
    let above_count = u32::try_from(removed).map_or(true, |removed| removed > limits.most);
    let share = usize::from(limits.share.get());
    let above_share = of >= SHARE_FROM && removed.saturating_mul(100) > of.saturating_mul(share);
    above_count || above_share
}

/// The flags that somebody gave: which kinds are lifted, each for the plan of a digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lifted(BTreeMap<Kind, String>);

impl Lifted {
    /// What was given with each flag.
    pub fn new(given: impl IntoIterator<Item = (Kind, String)>) -> Self {
        Self(given.into_iter().collect())
    }

    /// Whether a kind is lifted for this plan.
    fn lifts(&self, kind: Kind, plan: &Digest) -> bool {
        self.0
            .get(&kind)
            .is_some_and(|given| given.len() >= DIGITS_MIN && plan.to_string().starts_with(given.as_str()))
    }
}

/// A guardrail that no flag lifts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<'g> {
    /// Which.
    pub guardrail: &'g Guardrail,
    /// The digest that was given with its flag: that of another plan, or of none.
    pub given: Option<&'g str>,
    plan: Digest,
}

impl Refusal<'_> {
    /// What the change would do, and that the flag which was given is for another plan.
    pub fn message(&self) -> String {
        let message = self.guardrail.message();
        match self.given {
            None => message,
            Some(given) => format!(
                "{message}; `{} {}` is for another plan than this one, {}",
                self.guardrail.kind().flag(),
                shown(given),
                self.plan.short()
            ),
        }
    }

    /// What to do, with the flag that lifts it.
    pub fn help(&self) -> String {
        let flag = self.guardrail.kind().flag_for(&self.plan);
        format!("{}; if it is meant, `{flag}` lifts this for this plan only", self.guardrail.advice())
    }
}

/// What somebody gave as a digest: anything, of any length.
fn shown(given: &str) -> String {
    let short: String = given.chars().take(64).collect();
    line(&short)
}

/// The guardrails that keep a plan from being carried out. A flag with the digest of another plan lifts nothing.
pub fn refused<'g>(all: &'g [Guardrail], lifted: &'g Lifted, plan: &Digest) -> Vec<Refusal<'g>> {
    let standing = all.iter().filter(|guardrail| !lifted.lifts(guardrail.kind(), plan));
    let refusal = |guardrail: &'g Guardrail| {
        let given = lifted.0.get(&guardrail.kind()).map(String::as_str);
        Refusal { guardrail, given, plan: *plan }
    };
    standing.map(refusal).collect()
}

#[allow(clippy::arithmetic_side_effects, reason = "the model's numbers are small")]
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prefix::Prefix;
    use crate::site::guardrails::Percentage;

    fn set(prefixes: &[&str]) -> PrefixSet {
        prefixes.iter().map(|prefix| prefix.parse::<Prefix>().unwrap()).collect()
    }

    /// So many addresses of a family that do not touch.
    fn apart(family: Family, numbers: impl IntoIterator<Item = u8>) -> PrefixSet {
        let one = |number: u8| match family {
            Family::V4 => format!("10.0.{number}.0"),
            Family::V6 => format!("2001:db8::{number:x}:0"),
        };
        numbers.into_iter().map(|number| one(number).parse::<Prefix>().unwrap()).collect()
    }

    fn limits(most: u32, share: u32) -> Removals {
        Removals { most, share: Percentage::new(share).unwrap() }
    }

    fn kinds(found: &[Guardrail]) -> Vec<&'static str> {
        found.iter().map(|one| one.kind().as_str()).collect()
    }

    #[test]
    fn an_empty_allowlist_says_all() {
        let before = set(&["10.0.0.0/8", "2001:db8::/32"]);
        let found = check(&before, &PrefixSet::empty(), Removals::default());
        assert_eq!(found, [Guardrail::EmptyAllowlist { deployed: 2 }]);
        // Nothing was there before, and still an empty list is not what anybody wants.
        assert_eq!(
            kinds(&check(&PrefixSet::empty(), &PrefixSet::empty(), limits(10, 50))),
            ["empty-allowlist"]
        );
    }

    #[test]
    fn a_family_vanishes_only_where_it_was() {
        let (v4, both) = (set(&["10.0.0.0/8"]), set(&["10.0.0.0/8", "2001:db8::/32"]));
        let found = check(&both, &v4, Removals::default());
        assert_eq!(found, [Guardrail::FamilyVanishes { family: Family::V6, deployed: 1 }]);
        assert_eq!(check(&v4, &both, Removals::default()), []);
        // The one family goes, and the other comes.
        let swapped = check(&v4, &set(&["2001:db8::/32"]), Removals::default());
        assert_eq!(swapped, [Guardrail::FamilyVanishes { family: Family::V4, deployed: 1 }]);
    }

    #[test]
    fn removals_are_held_against_a_count_and_a_share() {
        let deployed = |count: u8| apart(Family::V4, 0..count);
        for (before, after, limits, told) in [
            // The count: more than 10 of many.
            (100, 90, limits(10, 50), None),
            (100, 89, limits(10, 50), Some((11, 100))),
            // The share: more than half.
            (8, 4, limits(10, 50), None),
            (8, 3, limits(10, 50), Some((5, 8))),
            // A short list has no share.
            (3, 1, limits(10, 50), None),
            (3, 1, limits(1, 100), Some((2, 3))),
            (4, 1, limits(10, 50), Some((3, 4))),
            // Nothing may go.
            (3, 2, limits(0, 100), Some((1, 3))),
            (9, 8, limits(10, 0), Some((1, 9))),
            (9, 9, limits(0, 0), None),
        ] {
            let found = check(&deployed(before), &deployed(after), limits);
            let wanted: Vec<Guardrail> = told
                .iter()
                .map(|(removed, of)| Guardrail::TooManyRemovals { removed: *removed, of: *of, limits })
                .collect();
            assert_eq!(found, wanted, "{before} {after}");
        }
    }

    #[test]
    fn what_goes_with_a_family_counts_once() {
        let v6 = apart(Family::V6, 0..40);
        let before = apart(Family::V4, 0..8).union(&v6);
        let after = apart(Family::V4, 0..6);
        assert_eq!(kinds(&check(&before, &after, Removals::default())), ["family-vanishes"]);
        let after = apart(Family::V4, 0..2);
        assert_eq!(
            kinds(&check(&before, &after, Removals::default())),
            ["family-vanishes", "too-many-removals"]
        );
    }

    #[test]
    fn a_flag_lifts_one_kind_for_one_plan() {
        let (plan, other) = (Digest([0xab; 32]), Digest([0xcd; 32]));
        let all = [
            Guardrail::EmptyAllowlist { deployed: 3 },
            Guardrail::TooManyRemovals { removed: 11, of: 12, limits: Removals::default() },
        ];
        let standing = |lifted: &Lifted, plan| -> Vec<Kind> {
            refused(&all, lifted, plan).iter().map(|one| one.guardrail.kind()).collect()
        };
        assert_eq!(standing(&Lifted::default(), &plan), [Kind::EmptyAllowlist, Kind::TooManyRemovals]);
        for given in [plan.short(), plan.to_string()] {
            let lifted = Lifted::new([(Kind::EmptyAllowlist, given)]);
            assert_eq!(standing(&lifted, &plan), [Kind::TooManyRemovals]);
            assert_eq!(standing(&lifted, &other), [Kind::EmptyAllowlist, Kind::TooManyRemovals]);
        }
        for given in ["", "ab", "abababababababa", &format!("{plan}00"), "yes"] {
            let lifted = Lifted::new([(Kind::EmptyAllowlist, given.to_owned())]);
            assert_eq!(standing(&lifted, &plan).len(), 2, "{given}");
        }
    }

    #[test]
    fn the_exact_flag_is_told_and_what_is_wrong_with_the_one_that_was_given() {
        let (plan, other) = (Digest([0xab; 32]), Digest([0xcd; 32]));
        let all = [Guardrail::FamilyVanishes { family: Family::V6, deployed: 1 }];
        let lifted = Lifted::new([(Kind::FamilyVanishes, plan.short())]);
        let found = refused(&all, &lifted, &other);
        let [refusal] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            refusal.message(),
            "the allowlist has no IPv6 any more: 1 prefix deployed now; \
             `--allow-family-loss abababababababab` is for another plan than this one, cdcdcdcdcdcdcdcd"
        );
        assert!(
            refusal.help().contains("`--allow-family-loss cdcdcdcdcdcdcdcd` lifts"),
            "{}",
            refusal.help()
        );
        // What the help says does it.
        let flag = Kind::FamilyVanishes.flag_for(&other);
        let (name, value) = flag.split_once(' ').unwrap();
        assert_eq!(name, Kind::FamilyVanishes.flag());
        assert_eq!(refused(&all, &Lifted::new([(Kind::FamilyVanishes, value.to_owned())]), &other), []);
    }

    #[test]
    fn what_was_given_as_a_digest_is_shown_harmless() {
        let all = [Guardrail::EmptyAllowlist { deployed: 1 }];
        let lifted = Lifted::new([(Kind::EmptyAllowlist, format!("\u{1b}[2J{}", "x".repeat(9999)))]);
        let message = refused(&all, &lifted, &Digest([0; 32]))[0].message();
        assert!(!message.contains('\u{1b}') && message.len() < 400, "{message}");
    }

    #[test]
    fn names_and_flags_are_distinct() {
        let names: std::collections::BTreeSet<_> =
            Kind::ALL.iter().flat_map(|kind| [kind.as_str(), kind.flag()]).collect();
        assert_eq!(names.len(), 2 * Kind::ALL.len());
    }

    proptest! {
        #[test]
        fn removals_are_those_of_a_naive_count(
            before in prop::collection::btree_set((0_u8..2, 0_u8..16), 0..24),
            after in prop::collection::btree_set((0_u8..2, 0_u8..16), 0..24),
            (most, share) in (0_u32..8, 0_u32..=100),
        ) {
            let of = |chosen: &std::collections::BTreeSet<(u8, u8)>, family: usize| {
                let own = chosen.iter().filter(|(which, _)| usize::from(*which) == family);
                own.map(|(_, number)| *number).collect::<Vec<_>>()
            };
            let set = |chosen| apart(Family::V4, of(chosen, 0)).union(&apart(Family::V6, of(chosen, 1)));
            let found = check(&set(&before), &set(&after), limits(most, share));
            prop_assert_eq!(kinds(&found) == ["empty-allowlist"], after.is_empty());
            if after.is_empty() {
                return Ok(());
            }
            let vanishes = |family: usize| !of(&before, family).is_empty() && of(&after, family).is_empty();
            let told = |family: Family| found.iter().any(|one|
                matches!(one, Guardrail::FamilyVanishes { family: found, .. } if *found == family));
            prop_assert_eq!((told(Family::V4), told(Family::V6)), (vanishes(0), vanishes(1)));
            let stays = |pair: &&(u8, u8)| !vanishes(usize::from(pair.0));
            let gone = before.difference(&after).filter(stays).count();
            let deployed = before.iter().filter(stays).count();
            let (most, share) = (usize::try_from(most).unwrap(), usize::try_from(share).unwrap());
            let wanted = gone > most || (deployed >= 4 && gone * 100 > share * deployed);
            prop_assert_eq!(kinds(&found).contains(&"too-many-removals"), wanted, "{} of {}", gone, deployed);
        }

        #[test]
        fn what_is_only_added_split_or_joined_is_no_removal(
            before in prop::collection::vec((any::<u32>(), 8_u8..=32), 1..12),
            more in prop::collection::vec((any::<u32>(), 8_u8..=32), 0..12),
        ) {
            let set = |chosen: &[(u32, u8)]| -> PrefixSet {
                let prefix = |(bits, length): &(u32, u8)| Prefix::covering(std::net::IpAddr::from(bits.to_be_bytes()), *length).unwrap();
                chosen.iter().map(prefix).collect()
            };
            let before = set(&before);
            prop_assert_eq!(check(&before, &before.union(&set(&more)), limits(0, 0)), []);
        }
    }
}
