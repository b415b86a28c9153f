//! Free text inside artifacts: made harmless before a target quotes it.
//!
//! Names and labels come from policy files and may hold anything. What is left after [`plain`] is one line
//! without control characters or characters that reorder text; what is left after [`ascii_word`] is safe
//! inside the quotes of every tool. Neither ever ends a comment or a string.

use std::borrow::Cow;

use super::{Mode, TargetKind};
use crate::allowlist::{Allowlist, Entry, Exclusion, Origin};
use crate::plain::cut;
use crate::prefix::Family;

/// Longest free text taken over, in characters.
const TEXT_MAX: usize = 120;

/// One line of readable text of bounded length.
pub(crate) fn plain(text: &str) -> String {
    shorten(&crate::plain::line(text), TEXT_MAX)
}

/// [`plain`] without quotes, backslashes, braces, `$`, `%`, `;` and anything beyond ASCII: for strings that
/// tools parse.
pub(crate) fn ascii_word(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || " ._:/()@+=,-".contains(c) { c } else { '_' };
    shorten(&plain(text).chars().map(safe).collect::<String>(), TEXT_MAX)
}

fn shorten(text: &str, max: usize) -> String {
    let kept = cut(text, max);
    if kept.len() < text.len() { format!("{kept}...") } else { text.to_owned() }
}

/// The comment of every entry: which sources it comes from, and their states.
pub(crate) struct Comments<'a> {
    allowlist: &'a Allowlist,
    by_origin: Vec<String>,
}

impl<'a> Comments<'a> {
    /// Prepares comments, with `clean` making the labels harmless for the target.
    pub(crate) fn new(allowlist: &'a Allowlist, clean: fn(&str) -> String) -> Self {
        Self {
            allowlist,
            by_origin: allowlist.origins.iter().map(|origin| describe(origin, clean)).collect(),
        }
    }

    /// The comment of one entry, at most three sources long.
    pub(crate) fn of(&self, entry: &Entry) -> Cow<'_, str> {
        let named = |index: &u32| usize::try_from(*index).ok().and_then(|index| self.by_origin.get(index));
        let indices = self.allowlist.origin_indices(entry);
        if let [one] = indices {
            return Cow::Borrowed(named(one).map_or("", String::as_str));
        }
        let first: Vec<&str> = indices.iter().take(3).filter_map(named).map(String::as_str).collect();
        let more = indices.len().saturating_sub(3);
        let tail = if more > 0 { format!(", and {more} more") } else { String::new() };
        Cow::Owned(first.join(", ") + &tail)
    }
}

fn describe(origin: &Origin, clean: fn(&str) -> String) -> String {
    let mut text = format!("{}/{} {}", origin.provider, origin.source, origin.state);
    if origin.held {
        text.push_str(" held");
    }
    if let Some(label) = &origin.label {
        let label = clean(label);
        let label: String = label.chars().take(40).collect();
        text.push_str(&format!(" ({})", label.trim()));
    }
    text
}

/// The header of an artifact: what it is, from which policies, and what it leaves out. Each line starts with
/// `#`, which every target but JSON understands. The time of the run is not in it.
pub(crate) fn header(allowlist: &Allowlist, kind: TargetKind, mode: Mode, consequence: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let (v4, v6) = (allowlist.family(Family::V4).len(), allowlist.family(Family::V6).len());
    // Writing into a String can't fail.
    let _ = writeln!(
        text,
        "# Sources of payment callbacks for {kind}, rendered by callgate. Do not edit: change the policy."
    );
    let _ = writeln!(text, "# mode {mode}: {consequence}");
    for stamp in &allowlist.policies {
        let (provider, revision, digest) = (&stamp.provider, stamp.revision, stamp.digest.short());
        let _ = writeln!(
            text,
            "# policy {provider} revision {revision} digest {digest} ({})",
            plain(&stamp.name)
        );
    }
    let _ = writeln!(text, "# {v4} IPv4 and {v6} IPv6 prefixes");
    for excluded in &allowlist.excluded {
        let why = match &excluded.why {
            Exclusion::Expired(end) => format!("expired {end}"),
            Exclusion::Retired(since, reason) => format!("retired here {since}: {}", plain(reason)),
            Exclusion::NotYet | Exclusion::Tombstone | Exclusion::Role(_) | Exclusion::Environment => {
                continue;
            }
        };
        let (provider, source) = (&excluded.provider, &excluded.source);
        let shown = crate::prefix::listed(&excluded.prefixes, 4);
        let _ = writeln!(text, "# not admitted: {provider}/{source} {why} ({shown})");
    }
    text.push_str("# An address list is not authentication: verify each callback as well.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_stays_one_harmless_line() {
        assert_eq!(plain("a\nb\r\u{2028}c\u{202e}d\u{1b}[0m"), "a b c d [0m");
        assert_eq!(plain(&"x".repeat(300)).len(), TEXT_MAX + 3);
        assert_eq!(ascii_word("it's \"50%\" ${x} {y}; ö\\"), "it_s _50__ __x_ _y__ __");
    }
}
