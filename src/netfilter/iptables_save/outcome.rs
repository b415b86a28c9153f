//! What a rule amounts to, as its options are read.

use std::sync::Arc;

use super::super::{Action, Item, Match, Spans, Test, Values};

/// Intervals that the masks of all rules of a text may make.
const MASK_SPANS_MAX: usize = 1 << 21;

/// What a rule amounts to.
#[derive(Default)]
pub(super) struct Out {
    pub(super) items: Vec<Item>,
    /// Whether a condition holds for no packet.
    never: bool,
    /// Intervals that masks of all rules have made.
    spans: usize,
}

impl Out {
    /// Forgets the rule before.
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.never = false;
    }

    /// Whether no packet meets the rule.
    pub(super) fn is_never(&self) -> bool {
        self.never
    }

    /// Adds a condition; what is settled leaves nothing behind.
    pub(super) fn condition(&mut self, mut condition: Match) {
        if let Test::Constant(holds) = condition.test {
            self.never |= holds == condition.negated;
            return;
        }
        self.bound(&mut condition.test);
        self.items.push(Item::Match(condition));
    }

    /// A mask of a few bytes may make thousands of intervals; a file of them must not make billions.
    fn bound(&mut self, test: &mut Test) {
        let count = match test {
            Test::Is(_, Values::V4(Spans::Many(spans))) => spans.len(),
            Test::Is(_, Values::V6(Spans::Many(spans))) => spans.len(),
            Test::Any(groups) => {
                return groups.iter_mut().flatten().for_each(|one| self.bound(&mut one.test));
            }
            _ => return,
        };
        self.spans = self.spans.saturating_add(count);
        if self.spans > MASK_SPANS_MAX {
            *test = Test::Unknown(Arc::from("mask that makes too many intervals"));
        }
    }

    /// Adds conditions one by one.
    pub(super) fn conditions(&mut self, all: Vec<Match>) {
        for one in all {
            self.condition(one);
        }
    }

    /// Adds a condition that must hold.
    pub(super) fn test(&mut self, test: Test) {
        self.condition(Match { negated: false, test });
    }

    /// Adds a condition that nobody can decide.
    pub(super) fn unknown(&mut self, words: String) {
        self.test(Test::Unknown(Arc::from(words)));
    }

    pub(super) fn act(&mut self, action: Action) {
        self.items.push(Item::Act(action));
    }
}
