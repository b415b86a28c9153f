//! What a change of rules opens and closes.

use super::{Admission, Decided, Ruling};
use crate::prefix::PrefixSet;

/// The difference of two answers to one question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Who surely gets in afterwards and surely did not before, with the rules that let them in afterwards.
    pub opens: Vec<Decided>,
    /// Who surely got in before and surely does not afterwards, with the rules that let them in before.
    pub closes: Vec<Decided>,
    /// Whose fate changes, or may: it is undecided before or afterwards.
    pub undecided: PrefixSet,
}

impl Change {
    /// Whether nobody's fate changes.
    pub fn is_empty(&self) -> bool {
        self.opens.is_empty() && self.closes.is_empty() && self.undecided.is_empty()
    }
}

/// What becomes of whom when the one answer is replaced by the other.
pub fn change(before: &Admission, after: &Admission) -> Change {
    let opened = after.surely.difference(&before.possibly);
    let closed = before.surely.difference(&after.possibly);
    let doubt = |one: &Admission| one.possibly.difference(&one.surely);
    // Who was open before and is as open afterwards has not changed.
    let (old, new) = (doubt(before), doubt(after));
    let undecided = old.difference(&new).union(&new.difference(&old));
    Change { opens: within(after, &opened), closes: within(before, &closed), undecided }
}

/// The accepted intervals of an answer, cut to a set.
fn within(answer: &Admission, set: &PrefixSet) -> Vec<Decided> {
    let cut = set.ranges().flat_map(|(first, last)| answer.decided.within(first, last));
    cut.filter(|one| one.ruling == Ruling::Accept).collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::super::{RuleId, Undecided};
    use super::*;

    /// One fate an address: refused, undecided, or admitted by one of two rules.
    fn answer(fates: &[u8]) -> Admission {
        let (mut decided, mut open) = (Vec::new(), PrefixSet::empty());
        for (at, fate) in fates.iter().enumerate() {
            let at = IpAddr::from([10, 0, 0, u8::try_from(at).unwrap()]);
            let ruling = if *fate > 1 { Ruling::Accept } else { Ruling::Drop };
            match fate {
                0 => open = open.union(&PrefixSet::between(at, at)),
                _ => decided.push(Decided {
                    first: at,
                    last: at,
                    ruling,
                    rule: Some(RuleId(u32::from(*fate))),
                }),
            }
        }
        Admission::of(
            decided.into_iter().collect(),
            vec![Undecided { rule: None, why: "a coin".to_owned(), sources: open }],
        )
    }

    fn covered(all: &[Decided], address: IpAddr) -> Option<Decided> {
        all.iter().copied().find(|one| one.first <= address && address <= one.last)
    }

    proptest! {
        #[test]
        fn each_source_is_told_where_its_fate_changes(pairs in prop::collection::vec((0_u8..4, 0_u8..4), 1..20)) {
            let (old, new): (Vec<u8>, Vec<u8>) = pairs.iter().copied().unzip();
            let found = change(&answer(&old), &answer(&new));
            for (at, (old, new)) in pairs.iter().enumerate() {
                let at = IpAddr::from([10, 0, 0, u8::try_from(at).unwrap()]);
                let (opens, closes) = (covered(&found.opens, at), covered(&found.closes, at));
                prop_assert_eq!(opens.is_some(), *old == 1 && *new > 1);
                prop_assert_eq!(closes.is_some(), *old > 1 && *new == 1);
                prop_assert!(opens.is_none_or(|one| one.rule == Some(RuleId(u32::from(*new)))));
                prop_assert!(closes.is_none_or(|one| one.rule == Some(RuleId(u32::from(*old)))));
                prop_assert_eq!(found.undecided.contains(at), (*old == 0) != (*new == 0));
            }
            prop_assert_eq!(found.is_empty(), pairs.iter().all(|(old, new)| old == new || (*old > 1 && *new > 1)));
        }
    }
}
