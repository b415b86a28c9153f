//! Regular expressions of a configuration, made when they are first asked.

use std::cell::OnceCell;

use crate::nginx::map::Captured;
use crate::nginx::pattern::Pattern;
pub(super) use crate::nginx::pattern::{Case, Found};

/// A regular expression.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    text: String,
    case: Case,
    made: OnceCell<Pattern>,
}

impl Expression {
    /// This text as a pattern.
    pub(super) fn new(text: &str, case: Case) -> Self {
        Self { text: text.to_owned(), case, made: OnceCell::new() }
    }

    /// Searches a text for it.
    pub(super) fn find(&self, text: &str) -> Found {
        self.pattern().find(text)
    }

    /// What its groups hold, with their names.
    pub(super) fn captured(&self, groups: Option<Vec<Option<String>>>) -> Captured {
        Captured { groups, names: self.names().to_vec() }
    }

    /// Names of its groups, with their numbers.
    pub(super) fn names(&self) -> &[(String, usize)] {
        self.pattern().names()
    }

    /// Its text, and whether case counts.
    pub(super) fn parts(&self) -> (&str, Case) {
        (&self.text, self.case)
    }

    /// The pattern.
    fn pattern(&self) -> &Pattern {
        self.made.get_or_init(|| Pattern::new(&self.text, self.case))
    }

    /// As a location has it.
    pub(super) fn shown(&self) -> String {
        let sign = match self.case {
            Case::Sensitive => "~",
            Case::Insensitive => "~*",
        };
        format!("{sign} {}", self.text)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.case == other.case
    }
}

impl Eq for Expression {}
