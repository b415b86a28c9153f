//! Regular expressions of nginx, as far as they can be asked here.

use super::code::Expression;
use super::locate::Captured;

/// Whether a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// With what it captured, the whole match first.
    Yes(Captured),
    /// It doesn't.
    No,
    /// Nobody can say, and why.
    Unknown(String),
}

impl Found {
    /// An answer that captures nothing.
    pub(super) fn of(holds: bool) -> Self {
        if holds { Found::Yes(Captured::new()) } else { Found::No }
    }
}

/// Searches a text for a pattern.
pub(super) fn find(expression: &Expression, text: &str) -> Found {
    let _ = text;
    Found::Unknown(format!("the pattern `{}` is not understood", expression.text))
}
