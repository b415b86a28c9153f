//! Words, numbers and links as the page shows them: bounded, and told apart from code.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::Limits;
use crate::plain::{self, line, shortened};

/// A part of a sentence.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Piece {
    pub text: String,
    /// It stood between backticks.
    pub is_code: bool,
}

/// A list of which the first few are shown at once, more on demand, and of the rest the number.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Folded {
    pub shown: Vec<String>,
    pub hidden: Vec<String>,
    pub left_out: Option<String>,
    /// All that are not shown at once.
    pub more: String,
}

/// The address of a page.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Link {
    /// Where it leads; absent where it is no plain address of the web.
    pub url: Option<String>,
    /// The host, or the whole address where it leads nowhere.
    pub shown: String,
}

/// An instant.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct When {
    /// For programs.
    pub datetime: String,
    /// For people.
    pub shown: String,
}

/// A line of a difference, with its kind: `add`, `remove`, `place` or `same`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct DiffLine {
    pub kind: &'static str,
    pub text: String,
}

/// A unified difference.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Diff {
    pub lines: Vec<DiffLine>,
    pub left_out: Option<String>,
}

/// One harmless line, not too long.
pub(super) fn words(text: &str, limits: Limits) -> String {
    plain::words(text, limits.words)
}

/// A sentence: what stands between backticks is code.
pub(super) fn sentence(text: &str, limits: Limits) -> Vec<Piece> {
    let text = words(text, limits);
    let parts: Vec<&str> = text.split('`').collect();
    let mut pieces: Vec<Piece> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let is_code = index % 2 == 1 && index.saturating_add(1) < parts.len();
        // A backtick without a partner is a character like others.
        let text = if index % 2 == 1 && !is_code { format!("`{part}") } else { (*part).to_owned() };
        if !text.is_empty() {
            pieces.push(Piece { text, is_code });
        }
    }
    pieces
}

/// Lines of code, each harmless.
pub(super) fn code(text: &str, limits: Limits) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().take(limits.lines).map(|line| verbatim(line, limits)).collect();
    if let Some(more) = beyond(text.lines().count(), lines.len(), "line") {
        lines.push(format!("… {more}"));
    }
    lines
}

/// A line whose spaces mean something.
fn verbatim(text: &str, limits: Limits) -> String {
    shortened(text.replace('\t', "    "), limits.words)
}

/// A unified difference, line by line.
pub(super) fn diff<'t>(
    all: impl Iterator<Item = &'t str> + Clone,
    beyond_these: usize,
    limits: Limits,
) -> Diff {
    let kind = |line: &str| match line.chars().next() {
        _ if line.starts_with("+++") || line.starts_with("---") => "place",
        Some('+') => "add",
        Some('-') => "remove",
        Some('@') => "place",
        Some(_) | None => "same",
    };
    let lines: Vec<DiffLine> = all
        .clone()
        .take(limits.lines)
        .map(|line| DiffLine { kind: kind(line), text: verbatim(line, limits) })
        .collect();
    let left_out = beyond(all.count().saturating_add(beyond_these), lines.len(), "line");
    Diff { lines, left_out }
}

/// The first of a list, and how many more there are, in words.
pub(super) fn first<'a, T>(all: &'a [T], limits: Limits, what: &str) -> (&'a [T], Option<String>) {
    let kept = all.get(..limits.rows).unwrap_or(all);
    (kept, beyond(all.len(), kept.len(), what))
}

/// How many more there are, in words.
pub(super) fn beyond(all: usize, kept: usize, what: &str) -> Option<String> {
    let more = all.saturating_sub(kept);
    (more > 0).then(|| format!("{} more {}", number(more), named(more, what)))
}

/// Prefixes or ranges: those shown at once, and the rest on demand.
pub(super) fn folded<T>(all: &[T], at_once: usize, text: impl Fn(&T) -> String, limits: Limits) -> Folded {
    let kept = all.len().min(limits.prefixes);
    // One more than fits is no reason to fold.
    let at_once = if kept <= at_once.saturating_add(1) { kept } else { at_once };
    let shown = all.iter().take(at_once).map(&text).collect();
    let hidden = all.iter().take(kept).skip(at_once).map(&text).collect();
    let left_out = beyond(all.len(), kept, "range");
    Folded { shown, hidden, left_out, more: number(all.len().saturating_sub(at_once)) }
}

/// A number with its thousands set apart.
pub(super) fn number(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of things: `1 finding`, `12,000 findings`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{} {}", number(count), named(count, what))
}

/// A noun for so many.
fn named(count: usize, what: &str) -> String {
    if count == 1 { what.to_owned() } else { plain::plural(what) }
}

/// An instant in UTC, to the minute.
pub(super) fn when(text: &str) -> When {
    let shown = match text.parse::<Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => line(text),
    };
    When { datetime: text.to_owned(), shown }
}

/// The day of an instant as it is written, whatever its zone: nobody has to reckon. What begins with none is whole.
pub(super) fn day(written: &str) -> &str {
    written.get(..10).filter(|day| day.parse::<Date>().is_ok()).unwrap_or(written)
}

/// A page's address. Only an address of the web that can be read as what it is becomes a link.
pub(super) fn link(url: &str, limits: Limits) -> Link {
    match host(url) {
        Some(host) => Link { url: Some(url.to_owned()), shown: host.to_owned() },
        None => Link { url: None, shown: words(url, limits) },
    }
}

/// The host of a plain `https` address; `None` where it is another scheme, names a user, or holds what it should not.
fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest.get(..end)?;
    let plain =
        url.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte));
    let named = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:".contains(&b));
    (plain && named && url.len() <= 1000).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Limits = Limits { rows: 10, prefixes: 5, pieces: 3, lines: 3, words: 20 };

    #[test]
    fn only_plain_addresses_of_the_web_are_links() {
        assert_eq!(
            link("https://pay.example/a?b=c#d", ALL).url.as_deref(),
            Some("https://pay.example/a?b=c#d")
        );
        for url in [
            "javascript:alert(1)",
            "http://pay.example/",
            "https://",
            "https://pay.example@evil.example/",
            "https://pay.example\\@evil/",
            "https://pay.example/\"onclick=",
            "data:text/html,x",
            "",
        ] {
            assert_eq!(link(url, ALL).url, None, "{url}");
        }
    }

    #[test]
    fn what_stands_between_backticks_is_code() {
        let shown = |text: &str| {
            let pieces = sentence(text, ALL);
            let parts = pieces
                .iter()
                .map(|piece| if piece.is_code { format!("<{}>", piece.text) } else { piece.text.clone() });
            parts.collect::<String>()
        };
        assert_eq!(shown("a `b` c"), "a <b> c");
        assert_eq!(shown("a `b"), "a `b");
        assert_eq!(shown("`a``b`"), "<a><b>");
        assert_eq!(shown("a\u{202e}b\nc"), "a b c");
        assert_eq!(shown(&"x".repeat(30)), format!("{} …", "x".repeat(20)));
    }

    #[test]
    fn numbers_are_set_apart() {
        for (count, wanted) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(count), wanted);
        }
        assert_eq!(counted(1, "source"), "1 source");
        assert_eq!(counted(2000, "source"), "2,000 sources");
    }

    #[test]
    fn lists_tell_what_they_leave_out() {
        let all: Vec<usize> = (0..9).collect();
        let text = |one: &usize| one.to_string();
        let list = folded(&all, 2, text, ALL);
        assert_eq!((list.shown.len(), list.hidden.len()), (2, 3));
        assert_eq!((list.left_out.as_deref(), list.more.as_str()), (Some("4 more ranges"), "7"));
        let list = folded(&all[..3], 2, text, ALL);
        assert_eq!((list.shown.len(), list.hidden.len(), list.left_out), (3, 0, None));
    }

    #[test]
    fn differences_keep_their_spaces_and_lose_their_escapes() {
        let found = diff("--- a\n+++ b\n@@ 1\n-\tx\n+y".lines(), 2, ALL);
        let kinds: Vec<&str> = found.lines.iter().map(|line| line.kind).collect();
        assert_eq!(kinds, ["place", "place", "place"]);
        assert_eq!(found.left_out.as_deref(), Some("4 more lines"));
        assert_eq!(code("a\n  b\nc\nd\ne", ALL), ["a", "  b", "c", "… 2 more lines"]);
    }
}
