//! An option of a match or of a target.

use super::super::words::Word;

/// Whose an option is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The match of this number in the rule.
    Instance(usize),
    /// The target.
    Target,
}

/// An option of a match or a target, with its values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opt<'a> {
    pub(super) owner: Owner,
    pub(super) name: &'a str,
    pub(super) negated: bool,
    pub(super) first: Option<Word<'a>>,
    pub(super) second: Option<Word<'a>>,
    /// How many values there are.
    pub(super) count: usize,
}

impl<'a> Opt<'a> {
    /// Takes a value.
    pub(super) fn take(&mut self, word: Word<'a>) {
        match self.count {
            0 => self.first = Some(word),
            1 => self.second = Some(word),
            _ => (),
        }
        self.count += 1;
    }

    /// The only value; empty where there is none, or more than one.
    pub(super) fn value(&self) -> &'a str {
        match (self.first, self.count) {
            (Some(word), 1) => word.plain(),
            _ => "",
        }
    }

    /// Both values; empty where there are not two.
    pub(super) fn values(&self) -> (&'a str, &'a str) {
        match (self.first, self.second, self.count) {
            (Some(first), Some(second), 2) => (first.plain(), second.plain()),
            _ => ("", ""),
        }
    }
}
