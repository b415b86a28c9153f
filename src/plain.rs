//! Free text from policy and site files, made harmless before anybody sees it.
//!
//! Names, labels, quotes and notes may hold anything: escapes that move a terminal's cursor, line breaks
//! that forge a line, characters that reorder what is read. None of them gets through here.

/// Control, line-breaking, invisible and reordering characters become spaces.
pub(crate) fn harmless(c: char) -> char {
    let invisible = matches!(c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    if c.is_control() || invisible { ' ' } else { c }
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
    }
}
