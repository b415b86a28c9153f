//! What is known of an interface, and what comes of testing something that may be open.

use crate::netfilter::NamePattern;

/// The outcome of testing one property.
#[derive(Debug)]
pub(super) enum Tried<T> {
    /// It holds.
    Always,
    /// It does not.
    Never,
    /// There is nothing to test, so the rule does not match, negated or not.
    Absent,
    /// Nobody can say.
    Maybe,
    /// It holds for the first and not for the second.
    Split(T, T),
}

impl<T> Tried<T> {
    pub(super) fn of(answer: Option<bool>) -> Self {
        match answer {
            Some(true) => Tried::Always,
            Some(false) => Tried::Never,
            None => Tried::Maybe,
        }
    }

    pub(super) fn map<U>(self, change: impl Fn(T) -> U) -> Tried<U> {
        match self {
            Tried::Always => Tried::Always,
            Tried::Never => Tried::Never,
            Tried::Absent => Tried::Absent,
            Tried::Maybe => Tried::Maybe,
            Tried::Split(with, without) => Tried::Split(change(with), change(without)),
        }
    }
}

/// What is known of an interface's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    /// It matches this.
    pub(super) is: Option<NamePattern>,
    /// It matches none of these.
    pub(super) not: Vec<NamePattern>,
}

impl Interface {
    pub(super) fn named(name: &str) -> Self {
        Self { is: Some(NamePattern::Exact(name.into())), not: Vec::new() }
    }

    /// Nobody said which.
    pub(super) fn unknown() -> Self {
        Self { is: None, not: Vec::new() }
    }

    /// Any; packets from elsewhere never come in by `lo`.
    pub(super) fn any() -> Self {
        Self { is: None, not: vec![NamePattern::Exact("lo".into())] }
    }

    /// Whether its name is one of these.
    pub(super) fn one_of(&self, names: &[NamePattern]) -> Tried<Self> {
        let mut open = Vec::new();
        for name in names {
            match self.matches(name) {
                Some(true) => return Tried::Always,
                Some(false) => {}
                None => open.push(name.clone()),
            }
        }
        match open.as_slice() {
            [] => Tried::Never,
            [name] => {
                let mut not = self.not.clone();
                not.push(name.clone());
                Tried::Split(
                    Self { is: Some(name.clone()), not: self.not.clone() },
                    Self { is: self.is.clone(), not },
                )
            }
            _ => {
                let mut not = self.not.clone();
                not.extend(open);
                // Which of them it is remains open: what follows may only use that it is not another.
                Tried::Split(self.clone(), Self { is: self.is.clone(), not })
            }
        }
    }

    fn matches(&self, pattern: &NamePattern) -> Option<bool> {
        if let Some(is) = &self.is {
            match overlap(is, pattern) {
                Overlap::None => return Some(false),
                Overlap::Within => return Some(true),
                Overlap::Some => {}
            }
        }
        if self.not.iter().any(|not| overlap(pattern, not) == Overlap::Within) {
            return Some(false);
        }
        let everything = matches!(pattern, NamePattern::Starts(start) if start.is_empty());
        if everything { Some(true) } else { None }
    }
}

#[derive(PartialEq, Eq)]
enum Overlap {
    None,
    Some,
    Within,
}

/// How the names of one pattern lie to those of another.
fn overlap(inner: &NamePattern, outer: &NamePattern) -> Overlap {
    match (inner, outer) {
        (NamePattern::Exact(a), NamePattern::Exact(b)) => {
            if a == b {
                Overlap::Within
            } else {
                Overlap::None
            }
        }
        (NamePattern::Exact(a), NamePattern::Starts(b)) => {
            if a.starts_with(b.as_ref()) {
                Overlap::Within
            } else {
                Overlap::None
            }
        }
        (NamePattern::Starts(a), NamePattern::Exact(b)) => {
            if b.starts_with(a.as_ref()) {
                Overlap::Some
            } else {
                Overlap::None
            }
        }
        (NamePattern::Starts(a), NamePattern::Starts(b)) => {
            if a.starts_with(b.as_ref()) {
                Overlap::Within
            } else if b.starts_with(a.as_ref()) {
                Overlap::Some
            } else {
                Overlap::None
            }
        }
    }
}
