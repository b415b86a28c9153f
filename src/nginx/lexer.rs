//! Words, as nginx cuts them: blanks, quotes, escapes, comments, semicolons and braces.
//!
//! It follows `ngx_conf_read_token`: what that refuses is refused here, by its rule. nginx documents none of it;
//! the facts were seen by running it.

use super::address::NO_ADDRESS;
use super::kept::Kept;
use super::{Directive, List, Place, Words, lua};
use crate::prefix::list::{address_bytes, plain_v4_until};

/// Bytes that nginx holds of a word or a comment; what is longer it refuses.
const WORD_BYTES_MAX: usize = 4096;

/// Fewer lines are no list.
const LIST_MIN: usize = 64;

/// Bytes that end a word, or after which it has to be read with care.
#[expect(clippy::indexing_slicing, reason = "it is made when the program is compiled")]
const ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut rest: &[u8] = b" \t\r\n;{\\$";
    while let [byte, more @ ..] = rest {
        ends[*byte as usize] = true;
        rest = more;
    }
    ends
};

/// What is wrong with a text.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) line: u32,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// How a directive ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `;`
    Semicolon,
    /// `{`
    Brace,
}

/// The next piece of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// Words, and what ends them. The line is the first word's.
    Statement { words: Words<'t>, end: End, line: u32 },
    /// `}`
    Close,
    /// The end of the text.
    Done,
}

/// What stands before the second word of a line, from the end of the one before: lines of a list begin alike.
#[derive(Debug, Default, Clone, Copy)]
struct Lead<'t> {
    text: &'t [u8],
    /// Its last word.
    name: &'t str,
    /// How many lines it ends.
    lines: u32,
}

/// A text, and how far it is read.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    /// How the last plain line began.
    lead: Lead<'t>,
    /// Up to there it was looked in vain for a list.
    no_list_before: usize,
    /// Kept between statements for its room.
    words: Vec<&'t str>,
    /// Where words are kept that stand for something else.
    kept: &'t Kept,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str, kept: &'t Kept) -> Self {
        Self { text, at: 0, line: 1, lead: Lead::default(), no_list_before: 0, words: Vec::new(), kept }
    }

    /// Where more words may be kept.
    pub(super) fn kept(&self) -> &'t Kept {
        self.kept
    }

    /// The line that is read.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// Reads on to the end of a directive or a block.
    pub(super) fn next(&mut self) -> Result<Token<'t>, Fault> {
        match self.plain_line() {
            Some(token) => Ok(token),
            None => self.any(),
        }
    }

    /// Two words with a semicolon right after them, neither of which has quotes or escapes: lists of addresses have
    /// little else. `None` where [`Self::any`] has to look.
    #[inline]
    fn plain_line(&mut self) -> Option<Token<'t>> {
        let text = self.text.as_bytes();
        if !text.get(self.at..)?.starts_with(self.lead.text) || self.lead.text.is_empty() {
            self.lead = self.next_lead()?;
        }
        let Lead { text: lead, name, lines } = self.lead;
        let second = self.at + lead.len();
        let end = plain_end(text, second)?;
        if text.get(end) != Some(&b';') {
            return None;
        }
        let words = Words::Two([name, self.text.get(second..end)?]);
        self.at = end + 1;
        self.line = self.line.saturating_add(lines);
        Some(Token::Statement { words, end: End::Semicolon, line: self.line })
    }

    /// Takes the allow or deny lines that come now, where they are many that begin as the last plain line did.
    pub(super) fn list(&mut self, file: u32) -> Option<List<'t>> {
        let Lead { text: lead, name, lines } = self.lead;
        if !matches!(name, "allow" | "deny") || self.at < self.no_list_before {
            return None;
        }
        let text = self.text.as_bytes();
        let (mut at, mut networks) = (self.at, Vec::new());
        while text.get(at..)?.starts_with(lead)
            && let Some((network, next)) = plain_v4_until::<b';'>(text, at + lead.len())
            && network.0 != NO_ADDRESS
        {
            networks.push(network);
            at = next;
        }
        if networks.len() < LIST_MIN {
            self.no_list_before = at;
            return None;
        }
        let taken = self.text.get(self.at..at)?;
        let before = Place { file, line: self.line };
        let count = u32::try_from(networks.len()).unwrap_or(u32::MAX);
        self.line = self.line.saturating_add(lines.saturating_mul(count));
        self.at = at;
        Some(List { name, networks, text: taken, before, kept: self.kept })
    }

    /// How the line begins that comes now: blanks and comments, a plain word, spaces.
    fn next_lead(&mut self) -> Option<Lead<'t>> {
        let (from, line) = (self.at, self.line);
        let is_word = self.skip_blanks().is_ok_and(|byte| byte.is_some());
        let (start, lines) = (self.at, self.line - line);
        (self.at, self.line) = (from, line);
        if !is_word {
            return None;
        }
        let text = self.text.as_bytes();
        let middle = plain_end(text, start)?;
        let spaces = text.get(middle..)?.iter().position(|byte| *byte != b' ')?;
        let lead = text.get(self.at..middle + spaces)?;
        (spaces > 0).then_some(Lead { text: lead, name: self.text.get(start..middle)?, lines })
    }

    /// The same for whatever nginx takes.
    fn any(&mut self) -> Result<Token<'t>, Fault> {
        let mut byte = self.skip_blanks()?;
        let line = self.line;
        while let Some(start) = byte.filter(|byte| !matches!(byte, b';' | b'{' | b'}')) {
            match start {
                b'"' | b'\'' => self.quoted(start)?,
                _ => self.plain()?,
            }
            byte = self.skip_blanks()?;
        }
        let token = match (byte, Words::new(&mut self.words)) {
            (None, None) => return Ok(Token::Done),
            (None, Some(_)) => return Err(self.cut_off("`;` or `{`")),
            (Some(b'}'), None) => Token::Close,
            (Some(b'}'), Some(_)) => return Err(self.unexpected('}', "end the directive before it with `;`")),
            (Some(byte), None) => {
                return Err(
                    self.unexpected(byte.into(), "write a directive's name before it, or take it out")
                );
            }
            (Some(b'{'), Some(words)) => Token::Statement { words, end: End::Brace, line },
            (Some(_), Some(words)) => Token::Statement { words, end: End::Semicolon, line },
        };
        self.at += 1;
        Ok(token)
    }

    /// Skips a block of Lua whose opening brace was read, and gives what is between the braces.
    pub(super) fn lua(&mut self) -> Result<&'t str, Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(length) = lua::block(rest) else {
            return Err(self.fault(
                "a block of Lua does not end".to_owned(),
                "close its braces, strings and long comments; nginx refuses this file as well",
            ));
        };
        let code = rest.get(..length).unwrap_or_default();
        self.count_lines(code);
        self.at += length + 1;
        Ok(code)
    }

    /// Past blanks and comments, to the byte that comes then.
    fn skip_blanks(&mut self) -> Result<Option<u8>, Fault> {
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let mut lines = 0;
            let blanks = rest.iter().position(|byte| {
                lines += u32::from(*byte == b'\n');
                !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
            });
            self.line = self.line.saturating_add(lines);
            let Some(blanks) = blanks else {
                self.at = self.text.len();
                return Ok(None);
            };
            self.at += blanks;
            let byte = rest.get(blanks).copied();
            if byte == Some(b'#') {
                self.comment()?;
                continue;
            }
            return Ok(byte);
        }
    }

    /// Past a comment, to the end of its line.
    fn comment(&mut self) -> Result<(), Fault> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        if length >= WORD_BYTES_MAX {
            return Err(self.too_long("comment"));
        }
        self.at += length;
        Ok(())
    }

    /// Reads a word without quotes.
    fn plain(&mut self) -> Result<(), Fault> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let Some(length) = rest.iter().position(|byte| ENDS.get(usize::from(*byte)) == Some(&true)) else {
            return Err(self.cut_off("`;` or `{`"));
        };
        match rest.get(length) {
            // Nearly all words are so: nothing in them stands for anything else.
            Some(b';' | b'{' | b' ' | b'\n') if length + 1 < WORD_BYTES_MAX => {
                let word = self.text.get(self.at..self.at + length).unwrap_or_default();
                self.at += length;
                self.words.push(word);
                return Ok(());
            }
            _ => {}
        }
        let Some(length) = winding(rest, length) else {
            return Err(self.cut_off("`;` or `{`"));
        };
        let ended = matches!(rest.get(length), Some(b';' | b'{'));
        if length + usize::from(!ended) >= WORD_BYTES_MAX {
            return Err(self.too_long("word"));
        }
        self.push(length);
        Ok(())
    }

    /// Reads a word in quotes.
    fn quoted(&mut self, quote: u8) -> Result<(), Fault> {
        self.at += 1;
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let mut escaped = false;
        let length = rest.iter().position(|byte| {
            let ends = *byte == quote && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        let Some(length) = length.filter(|length| length + 1 < WORD_BYTES_MAX) else {
            let quote = char::from(quote);
            return Err(self.fault(
                format!("the quote {quote} is not closed"),
                "close it; nginx takes at most 4094 bytes in quotes",
            ));
        };
        self.push(length);
        self.at += 1;
        let after = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        match after {
            None | Some(' ' | '\t' | '\r' | '\n' | ';' | '{' | ')') => Ok(()),
            Some(c) => Err(self.unexpected(c, "write a blank after a closing quote")),
        }
    }

    /// Adds the next bytes as a word.
    fn push(&mut self, length: usize) {
        // Both ends are ASCII or an end of the text, so that no character is cut.
        let raw = self.text.get(self.at..self.at + length).unwrap_or_default();
        self.count_lines(raw);
        self.at += length;
        if raw.contains('\\') {
            let (word, after) = self.kept.keep(unescape(raw));
            self.words.push(word);
            self.kept = after;
        } else {
            self.words.push(raw);
        }
    }

    fn count_lines(&mut self, text: &str) {
        let lines = text.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
    }

    fn fault(&self, message: String, help: &'static str) -> Fault {
        Fault { line: self.line, message, help }
    }

    fn unexpected(&self, c: char, help: &'static str) -> Fault {
        self.fault(format!("unexpected `{}`", crate::plain::harmless(c)), help)
    }

    fn too_long(&self, what: &str) -> Fault {
        self.fault(
            format!("a {what} of more than {} bytes", WORD_BYTES_MAX - 1),
            "split it; nginx reads none that is longer. Perhaps a quote or a line's end is missing",
        )
    }

    /// The text ends where something is missing.
    fn cut_off(&self, missing: &str) -> Fault {
        let lines = self.text.bytes().filter(|byte| *byte == b'\n').count();
        Fault {
            line: u32::try_from(lines).unwrap_or(u32::MAX).saturating_add(1),
            message: format!("the file ends, and {missing} is missing"),
            help: "complete it, or take the file anew if it was cut off",
        }
    }

    /// The text ends within a block.
    pub(super) fn unclosed(&self) -> Fault {
        self.cut_off("`}`")
    }
}

/// The lines of a list as directives.
pub(super) fn lines<'t>(text: &'t str, before: Place, kept: &'t Kept) -> Box<[Directive<'t>]> {
    let mut lexer = Lexer { line: before.line, ..Lexer::new(text, kept) };
    let next = || match lexer.plain_line()? {
        Token::Statement { words, line, .. } => {
            Some(Directive::new(words, None, Place { file: before.file, line }))
        }
        Token::Close | Token::Done => None,
    };
    std::iter::from_fn(next).collect()
}

/// The end of the plain word that starts here; `None` where something else does.
#[inline]
fn plain_end(text: &[u8], start: usize) -> Option<usize> {
    let word = text.get(start..)?;
    let mut length = 0;
    // Addresses have nothing else: they are looked at by eight bytes.
    while let Some(bytes) = word.get(length..)?.first_chunk() {
        let more = address_bytes(*bytes);
        length += more;
        if more < 8 {
            break;
        }
    }
    length += word.get(length..)?.iter().position(|byte| ENDS.get(usize::from(*byte)) == Some(&true))?;
    let is_plain = !matches!(word.first()?, b'"' | b'\'' | b'#' | b'}');
    (is_plain && length > 0 && length + 1 < WORD_BYTES_MAX).then_some(start + length)
}

/// The length of a word that has a backslash or a dollar here; `None` where the text ends within it.
fn winding(rest: &[u8], from: usize) -> Option<usize> {
    let (mut escaped, mut variable) = (false, false);
    let more = rest.get(from..)?.iter().position(|byte| {
        if escaped {
            escaped = false;
            return false;
        }
        if *byte == b'{' && variable {
            return false;
        }
        escaped = *byte == b'\\';
        variable = *byte == b'$';
        matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{')
    });
    Some(from + more?)
}

/// What a word stands for: some escapes are resolved, others stay as they are, for regular expressions.
fn unescape(raw: &str) -> String {
    let mut word = String::with_capacity(raw.len());
    let mut characters = raw.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            word.push(c);
            continue;
        }
        match characters.next() {
            Some(same @ ('"' | '\'' | '\\')) => word.push(same),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(other) => word.extend(['\\', other]),
            None => word.push('\\'),
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn statements(text: &str) -> Result<Vec<Vec<String>>, Fault> {
        let kept = Kept::default();
        let mut lexer = Lexer::new(text, &kept);
        let mut found = Vec::new();
        loop {
            match lexer.next()? {
                Token::Statement { words, .. } => found.push(words.iter().map(ToString::to_string).collect()),
                Token::Close => found.push(vec!["}".to_owned()]),
                Token::Done => return Ok(found),
            }
        }
    }

    #[track_caller]
    fn check(text: &str, wanted: &[&str]) {
        let found = statements(text).unwrap();
        assert_eq!(found, [wanted.iter().map(ToString::to_string).collect::<Vec<_>>()], "{text}");
    }

    #[track_caller]
    fn refused(text: &str) -> String {
        let fault = statements(text).unwrap_err();
        format!("{}: {}", fault.line, fault.message)
    }

    proptest! {
        #[test]
        fn the_quick_reader_says_nothing_else_than_the_thorough_one(
            text in "([ \t\r\n]{0,2}([ad\"'#$\\\\}{;é.]{1,3}|allow|10\\.0\\.0\\.1)[ ;]{0,2}){0,6}"
        ) {
            let kept = Kept::default();
            let (mut quick, mut thorough) = (Lexer::new(&text, &kept), Lexer::new(&text, &kept));
            while let Some(token) = quick.plain_line() {
                prop_assert_eq!(token, thorough.any().unwrap());
                prop_assert_eq!((quick.at, quick.line), (thorough.at, thorough.line));
            }
        }
    }

    #[test]
    fn words_end_where_nginx_ends_them() {
        check("allow all;", &["allow", "all"]);
        check("\r\n  allow\r\n\tall\r\n;", &["allow", "all"]);
        check("set $x a}b;", &["set", "$x", "a}b"]);
        check("a#b c#d;", &["a#b", "c#d"]);
        check("a # b; c\n d;", &["a", "d"]);
        check("a\"b\" c;", &["a\"b\"", "c"]);
        check("set $x ${y}z{", &["set", "$x", "${y}z"]);
        check("set $x a$ {", &["set", "$x", "a$"]);
        check("\"server\"{", &["server"]);
        check("if ($x = \"a b\"){", &["if", "($x", "=", "a b", ")"]);
        check("a 'x;{}#\n\"';", &["a", "x;{}#\n\""]);
        check("a \u{0}b;", &["a", "\u{0}b"]);
    }

    #[test]
    fn some_escapes_are_resolved_and_others_kept() {
        check(r"a \\ \' \. \d \;b\{c\ d;", &["a", "\\", "'", "\\.", "\\d", "\\;b\\{c\\ d"]);
        check(r#"a "\"\\\t\x" 'it\'s' \r\n;"#, &["a", "\"\\\t\\x", "it's", "\r\n"]);
        check(r"a \#b;", &["a", r"\#b"]);
        check(r"a ~\.php$ {", &["a", r"~\.php$"]);
    }

    #[test]
    fn what_is_no_directive_is_refused_with_its_line() {
        assert_eq!(refused("a;\n;"), "2: unexpected `;`");
        assert_eq!(refused("{"), "1: unexpected `{`");
        assert_eq!(refused("a }"), "1: unexpected `}`");
        assert_eq!(refused("\"a\"b;"), "1: unexpected `b`");
        assert_eq!(refused("\"a\"#b\n;"), "1: unexpected `#`");
        for text in ["a", "a b\n", "\n\na \\", "a ${"] {
            assert!(refused(text).ends_with("the file ends, and `;` or `{` is missing"), "{text}");
        }
        assert_eq!(refused("a;\n\nb \"c;\n"), "3: the quote \" is not closed");
    }

    #[test]
    fn lengths_are_those_of_nginx() {
        let long = |count: usize| "x".repeat(count);
        check(&format!("a {};", long(4095)), &["a", &long(4095)]);
        assert!(refused(&format!("a {};", long(4096))).contains("more than 4095 bytes"));
        assert!(refused(&format!("a {} b;", long(4095))).contains("more than 4095 bytes"));
        check(&format!("a \"{}\";", long(4094)), &["a", &long(4094)]);
        assert!(refused(&format!("a \"{}\";", long(4095))).contains("not closed"));
        check(&format!("#{}\na;", long(4094)), &["a"]);
        assert!(refused(&format!("#{}\na;", long(4095))).contains("more than 4095 bytes"));
    }

    #[test]
    fn lines_are_those_of_first_words() {
        let kept = Kept::default();
        let mut lexer = Lexer::new("# one\na\n'b\nc'\n;\n d;", &kept);
        let mut lines = Vec::new();
        while let Token::Statement { line, .. } = lexer.next().unwrap() {
            lines.push(line);
        }
        assert_eq!((lines, lexer.line()), (vec![2, 6], 6));
    }
}
