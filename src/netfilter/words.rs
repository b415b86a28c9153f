//! Words of a line of `iptables-save` and `ipset save`: blanks part them, double quotes hold them together, and
//! a backslash inside quotes takes the next character as it is.

/// A word as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// Its text, quotes and all.
    pub(super) raw: &'a str,
    /// Whether it has quotes: then it is a value, whatever it looks like.
    pub(super) quoted: bool,
}

impl<'a> Word<'a> {
    /// What the word says, where quotes stand around it and nowhere else; otherwise the word as written.
    pub(super) fn plain(&self) -> &'a str {
        if !self.quoted {
            return self.raw;
        }
        let inside = self.raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inside.filter(|inside| !inside.contains(['"', '\\'])).unwrap_or(self.raw)
    }

    /// Whether it is an option, or the `!` before one.
    pub(super) fn is_option(&self) -> bool {
        !self.quoted && (self.raw.starts_with('-') && self.raw.len() > 1 || self.raw == "!")
    }
}

/// The words of one line, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Words<'a> {
    rest: &'a str,
    unclosed: bool,
}

impl<'a> Words<'a> {
    /// Those of a line.
    pub(super) fn new(line: &'a str) -> Self {
        Self { rest: line, unclosed: false }
    }

    /// Whether a quote was left open, which makes the last word what is left of the line.
    pub(super) fn is_unclosed(&self) -> bool {
        self.unclosed
    }

    /// The next word if it is no option.
    pub(super) fn next_value(&mut self) -> Option<Word<'a>> {
        let mut ahead = self.clone();
        let word = ahead.next().filter(|word| !word.is_option())?;
        *self = ahead;
        Some(word)
    }

    /// Where a word ends that has quotes.
    fn quoted_end(&mut self, line: &str) -> usize {
        let (mut open, mut escaped) = (false, false);
        for (at, byte) in line.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if open => escaped = true,
                b'"' => open = !open,
                b' ' | b'\t' if !open => return at,
                _ => (),
            }
        }
        self.unclosed |= open;
        line.len()
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    #[inline]
    fn next(&mut self) -> Option<Word<'a>> {
        let blanks = self.rest.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        let line = self.rest.get(blanks..)?;
        if line.is_empty() {
            self.rest = line;
            return None;
        }
        let special = |byte: u8| matches!(byte, b' ' | b'\t' | b'"');
        let end = line.bytes().position(special).unwrap_or(line.len());
        let quoted = line.as_bytes().get(end) == Some(&b'"');
        let end = if quoted { self.quoted_end(line) } else { end };
        let (raw, rest) = line.split_at_checked(end)?;
        self.rest = rest;
        Some(Word { raw: if quoted { raw } else { raw.trim_end_matches('\r') }, quoted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<&str> {
        Words::new(line).map(|word| word.plain()).collect()
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(
            texts("  -m  comment\t--comment \"a \\\"b\\\" c\" x\r"),
            ["-m", "comment", "--comment", "\"a \\\"b\\\" c\"", "x"]
        );
        assert_eq!(texts("\"b c\" d e"), ["b c", "d", "e"]);
        assert_eq!(texts("\"\" é"), ["", "é"]);
        assert!(texts(" \t ").is_empty());
    }

    #[test]
    fn an_open_quote_is_noticed() {
        let mut words = Words::new("a \"b c");
        assert_eq!(words.by_ref().count(), 2);
        assert!(words.is_unclosed());
    }

    #[test]
    fn what_is_quoted_is_no_option() {
        let options: Vec<bool> = Words::new("-j ! - \"-j\" \"!\" x").map(|word| word.is_option()).collect();
        assert_eq!(options, [true, true, false, false, false, false]);
    }
}
