//! Reports for people and machines. Nothing here decides anything.

pub mod json_v1;
pub mod markdown;
pub mod text;

use std::fmt::Write as _;

use crate::prefix::Prefix;

/// Prefixes in a line, at most `most` of them.
pub(crate) fn prefixes(all: &[Prefix], most: usize) -> String {
    let mut text = String::new();
    for (index, prefix) in all.iter().take(most).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        // Writing into a String can't fail.
        let _ = write!(text, "{comma}{}", prefix.short());
    }
    if all.len() > most {
        let _ = write!(text, " and {} more", all.len() - most);
    }
    text
}
