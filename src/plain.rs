//! Free text from policy and site files, made harmless before anybody sees it.
//!
//! Names, labels, quotes and notes may hold anything: escapes that move a terminal's cursor, line breaks
//! that forge a line, characters that reorder what is read. None of them gets through here.

use std::borrow::Cow;

/// Control, line-breaking, invisible and reordering characters become spaces, and what is no character.
pub(crate) fn harmless(c: char) -> char {
    let invisible = matches!(c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    // The last two of each plane are no characters; YAML and XML refuse some of them.
    let is_none = u32::from(c) & 0xfffe == 0xfffe;
    if c.is_control() || invisible || is_none { ' ' } else { c }
}

/// One line of harmless text, white space folded.
pub(crate) fn line(text: &str) -> String {
    // Most text is one plain line already: rules of a listing, by the ten thousand.
    let mut before = b' ';
    let plain = text.bytes().all(|byte| {
        let fits = byte.is_ascii_graphic() || (byte == b' ' && before != b' ');
        before = byte;
        fits
    });
    if plain && (before != b' ' || text.is_empty()) {
        return text.to_owned();
    }
    let harmless: String = text.chars().map(harmless).collect();
    harmless.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first `most` characters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// A text of at most so many characters, and a sign behind them where more follow.
pub(crate) fn shortened<'t>(text: impl Into<Cow<'t, str>>, most: usize) -> String {
    let text = text.into();
    let kept = cut(&text, most);
    if kept.len() < text.len() { format!("{kept}…") } else { text.into_owned() }
}

/// Words of others: one harmless line of at most so many characters, and a sign behind them where more follow.
pub(crate) fn words(text: &str, most: usize) -> String {
    // What lies beyond the first characters is not even looked at: a page may be one line.
    let few = cut(text, most.saturating_mul(4));
    let shown = line(few);
    let kept = cut(&shown, most);
    if few.len() == text.len() && kept.len() == shown.len() {
        return shown;
    }
    format!("{} …", kept.trim_end())
}

/// The first lines of a text, each harmless and with its indent, and how many follow.
pub(crate) fn lines(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut lines = text.lines();
    for line in lines.by_ref().take(most) {
        shown.extend(line.chars().map(|c| if c == '\t' { c } else { harmless(c) }));
        shown.push('\n');
    }
    match lines.count() {
        0 => shown,
        more => shown + "… " + &counted(more, "more line") + "\n",
    }
}

/// `1 prefix`, `2 prefixes`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {}", plural(what)) }
}

/// More than one of what a noun names.
pub(crate) fn plural(one: &str) -> String {
    match one.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u'])) {
        Some(stem) => format!("{stem}ies"),
        None if one.ends_with(['s', 'x']) => format!("{one}es"),
        None => format!("{one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_forges_a_line() {
        for (text, wanted) in
            [("", ""), (" a", "a"), ("a ", "a"), ("a  b", "a b"), ("a b", "a b"), ("a\tb", "a b")]
        {
            assert_eq!(line(text), wanted, "{text:?}");
        }
        assert_eq!(line("a\u{1b}[2J\nb\r\u{2028}c \u{202e}d"), "a [2J b c d");
        assert_eq!(line("a\u{fffe}b\u{ffff} \u{1fffe}c\u{10ffff}\u{fffd}"), "a b c \u{fffd}");
    }

    #[test]
    fn lines_keep_their_indent_and_nothing_that_steers_a_terminal() {
        assert_eq!(lines("", 2), "");
        assert_eq!(lines("a\u{1b}[2J\n\tb  c\r\n", 2), "a [2J\n\tb  c\n");
        assert_eq!(lines("a\nb\nc", 2), "a\nb\n… 1 more line\n");
        assert_eq!(lines("a\nb\nc", 1), "a\n… 2 more lines\n");
    }

    #[test]
    fn nouns_follow_their_number() {
        for (count, what, wanted) in [
            (0, "error", "0 errors"),
            (1, "new warning", "1 new warning"),
            (2, "new warning", "2 new warnings"),
            (1, "prefix", "1 prefix"),
            (2, "source prefix", "2 source prefixes"),
            (3, "entry", "3 entries"),
            (3, "key", "3 keys"),
            (3, "address", "3 addresses"),
        ] {
            assert_eq!(counted(count, what), wanted);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        for (text, kept, signed) in
            [("", "", ""), ("äö", "äö", "äö"), ("äöü", "äöü", "äöü"), ("äöüß", "äöü", "äöü…")]
        {
            assert_eq!((cut(text, 3), shortened(text, 3).as_str()), (kept, signed));
        }
    }

    #[test]
    fn words_are_looked_at_no_further_than_they_are_shown() {
        for (text, wanted) in [
            ("", ""),
            (" a\nb ", "a b"),
            ("abc", "abc"),
            ("abcd", "abc …"),
            ("ab d", "ab …"),
            // All that would be shown lies beyond what is looked at.
            ("             x", " …"),
            ("a            x", "a …"),
        ] {
            assert_eq!(words(text, 3), wanted, "{text:?}");
        }
    }
}
