//! Text as nft writes it, cut into words, strings and marks.
//!
//! Newlines end statements, but not inside the braces of a set, so the lexer counts those. The comment
//! `# handle 5` is remembered: it is the only one that says something.

use super::{Operator, Place, ReadError, error};

/// A piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Anything without a space: a name, a number, an address, a lone `.` or `:`.
    Word(&'a str),
    /// What stands between quotes.
    Quoted(&'a str),
    /// `==` and the like.
    Compare(Operator),
    /// One of `{ } ( ) ; , @ & | ^ =`.
    Mark(u8),
    /// The end of a line.
    Newline,
    /// The end of the text.
    End,
}

/// Cuts one text; looks one token ahead.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    listing: u16,
    /// Where the next token is looked for.
    position: usize,
    /// The token seen and not taken, and where it starts.
    ahead: Option<(Token<'a>, usize)>,
    /// Where the last token taken ended.
    ended: usize,
    /// Open braces inside which a line's end says nothing.
    nested: u32,
    /// The handle of the last comment that had one.
    handle: u32,
    /// A place whose line is known, and that line.
    counted: (usize, u32),
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, listing: u16) -> Self {
        Lexer { text, listing, position: 0, ahead: None, ended: 0, nested: 0, handle: 0, counted: (0, 1) }
    }

    /// The next token, which stays.
    pub(super) fn peek(&mut self) -> Token<'a> {
        if let Some((token, _)) = self.ahead {
            return token;
        }
        self.skip_blank();
        let start = self.position;
        let token = self.scan();
        self.ahead = Some((token, start));
        token
    }

    /// Whether what was taken ends in a counter and a blank too many: nft 1.0.6 prints nothing for a target that
    /// it does not find, as `DNAT` of ip6tables, and ends with 0.
    pub(super) fn breaks_off(&self) -> bool {
        let after = self.text.get(self.ended..).unwrap_or_default();
        if !after.starts_with(" \n") && !after.starts_with("  # handle ") {
            return false;
        }
        let mut words = self.text.get(..self.ended).unwrap_or_default().rsplit(' ');
        words.next().is_some_and(|count| count.bytes().all(|byte| byte.is_ascii_digit()))
            && words.next() == Some("bytes")
    }

    /// The next token, which goes.
    pub(super) fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.ahead = None;
        self.ended = self.position;
        token
    }

    /// Takes this mark, where it is next.
    pub(super) fn took_mark(&mut self, mark: u8) -> bool {
        let found = self.peek() == Token::Mark(mark);
        if found {
            self.take();
        }
        found
    }

    /// Takes this word, where it is next.
    pub(super) fn took_word(&mut self, word: &str) -> bool {
        let found = self.peek() == Token::Word(word);
        if found {
            self.take();
        }
        found
    }

    /// The next word or string, which goes; nothing goes where neither is next.
    pub(super) fn take_text(&mut self) -> Option<&'a str> {
        match self.peek() {
            Token::Word(text) | Token::Quoted(text) => {
                self.take();
                Some(text)
            }
            Token::Compare(_) | Token::Mark(_) | Token::Newline | Token::End => None,
        }
    }

    /// Takes the brace that opens a set: inside, a line's end says nothing.
    pub(super) fn open(&mut self) {
        self.take();
        self.nested = self.nested.saturating_add(1);
    }

    /// Takes the brace that closes it.
    pub(super) fn close(&mut self) {
        self.nested = self.nested.saturating_sub(1);
        self.take();
    }

    /// Takes everything up to the end of the statement, braces and all; the text that went.
    pub(super) fn take_rest(&mut self) -> Result<&'a str, ReadError> {
        let start = self.start();
        let mut open = 0_u32;
        loop {
            match self.peek() {
                Token::End if open > 0 => return Err(self.error("the text ends inside braces")),
                Token::End => break,
                Token::Newline | Token::Mark(b';' | b'}') if open == 0 => break,
                Token::Mark(b'{') => open = open.saturating_add(1),
                Token::Mark(b'}') => open = open.saturating_sub(1),
                Token::Word(_) | Token::Quoted(_) | Token::Compare(_) | Token::Mark(_) | Token::Newline => {}
            }
            self.take();
        }
        Ok(self.since(start))
    }

    /// Takes a pair of braces and what is between; the text that went.
    pub(super) fn take_braces(&mut self) -> Result<&'a str, ReadError> {
        let start = self.start();
        let mut open = 0_u32;
        loop {
            match self.take() {
                Token::End => return Err(self.error("the text ends inside braces")),
                Token::Mark(b'{') => open = open.saturating_add(1),
                Token::Mark(b'}') => open = open.saturating_sub(1),
                Token::Word(_) | Token::Quoted(_) | Token::Compare(_) | Token::Mark(_) | Token::Newline => {}
            }
            if open == 0 {
                return Ok(self.since(start));
            }
        }
    }

    /// Takes ends of lines and semicolons.
    pub(super) fn skip_ends(&mut self) {
        while matches!(self.peek(), Token::Newline | Token::Mark(b';')) {
            self.take();
        }
    }

    /// Where the next token starts.
    pub(super) fn start(&mut self) -> usize {
        self.peek();
        self.ahead.map_or(self.position, |(_, start)| start)
    }

    /// The text from there to the last token taken.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.ended).unwrap_or_default()
    }

    /// The text that is not cut yet, from the next token on.
    pub(super) fn remaining(&mut self) -> &'a str {
        let start = self.start();
        self.text.get(start..).unwrap_or_default()
    }

    /// Goes on after so many bytes of [`Lexer::remaining`].
    pub(super) fn skip(&mut self, bytes: usize) {
        self.position = self.start().saturating_add(bytes);
        self.ended = self.position;
        self.ahead = None;
    }

    /// Forgets the handle of an earlier comment.
    pub(super) fn forget_handle(&mut self) {
        self.handle = 0;
    }

    /// The handle of the last comment; 0 where there was none.
    pub(super) fn handle(&mut self) -> u32 {
        self.peek();
        self.handle
    }

    /// The place of the text from there to the last token taken.
    pub(super) fn place(&mut self, start: usize) -> Place {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Place {
            listing: self.listing,
            line: self.line(start),
            start: narrow(start),
            end: narrow(self.ended.max(start)),
        }
    }

    /// An error at the next token.
    pub(super) fn error(&mut self, message: impl Into<String>) -> ReadError {
        let start = self.start();
        error(self.place(start), message)
    }

    fn line(&mut self, at: usize) -> u32 {
        let (from, line) = if at >= self.counted.0 { self.counted } else { (0, 1) };
        let line = line.saturating_add(ends_of_lines(self.text, from, at));
        self.counted = (at, line);
        line
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.position..).unwrap_or_default()
    }

    /// Spaces, comments, continued lines, and inside a set the ends of lines.
    fn skip_blank(&mut self) {
        loop {
            match self.bytes() {
                [b' ' | b'\t' | b'\r', ..] => self.position += 1,
                [b'\n', ..] if self.nested > 0 => self.position += 1,
                [b'\\', b'\n', ..] => self.position += 2,
                [b'#', rest @ ..] => self.skip_comment(rest),
                _ => return,
            }
        }
    }

    /// A comment, up to the end of its line; the handle in it is kept.
    fn skip_comment(&mut self, rest: &[u8]) {
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let comment = self.text.get(self.position + 1..self.position + 1 + length).unwrap_or_default();
        self.position += 1 + length;
        let handle = comment.trim().strip_prefix("handle ").and_then(|number| number.trim().parse().ok());
        self.handle = handle.unwrap_or(self.handle);
    }

    fn scan(&mut self) -> Token<'a> {
        let (token, length) = match self.bytes() {
            [] => (Token::End, 0),
            [b'\n', ..] => (Token::Newline, 1),
            [b'"', rest @ ..] => {
                let length = rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len());
                let start = self.position + 1;
                let text = self.text.get(start..start + length).unwrap_or_default();
                // A string that never ends is the end of the text: whoever waits for more says so.
                if length == rest.len() {
                    (Token::End, length + 1)
                } else {
                    (Token::Quoted(text), length + 2)
                }
            }
            [b'=', b'=', ..] => (Token::Compare(Operator::Equal), 2),
            [b'!', b'=', ..] => (Token::Compare(Operator::NotEqual), 2),
            [b'<', b'=', ..] => (Token::Compare(Operator::LessOrEqual), 2),
            [b'>', b'=', ..] => (Token::Compare(Operator::GreaterOrEqual), 2),
            [b'<', b'<', ..] => (Token::Word("<<"), 2),
            [b'>', b'>', ..] => (Token::Word(">>"), 2),
            [b'<', ..] => (Token::Compare(Operator::Less), 1),
            [b'>', ..] => (Token::Compare(Operator::Greater), 1),
            [b'!', ..] => (Token::Compare(Operator::None), 1),
            [mark @ (b'{' | b'}' | b'(' | b')' | b';' | b',' | b'@' | b'&' | b'|' | b'^' | b'='), ..] => {
                (Token::Mark(*mark), 1)
            }
            bytes => {
                let length = bytes.iter().position(|byte| ends_word(*byte)).unwrap_or(bytes.len()).max(1);
                (
                    Token::Word(self.text.get(self.position..self.position + length).unwrap_or_default()),
                    length,
                )
            }
        };
        self.position += length;
        token
    }
}

/// How many lines end between these places.
pub(super) fn ends_of_lines(text: &str, from: usize, to: usize) -> u32 {
    let between = text.as_bytes().get(from..to).unwrap_or_default();
    #[expect(
        clippy::naive_bytecount,
        reason = "the compiler makes vectors of it; a dependency is not needed"
    )]
    let ends = between.iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(ends).unwrap_or(u32::MAX)
}

fn ends_word(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t'
            | b'\r'
            | b'\n'
            | b'"'
            | b'#'
            | b'{'
            | b'}'
            | b'('
            | b')'
            | b';'
            | b','
            | b'@'
            | b'&'
            | b'|'
            | b'^'
            | b'='
            | b'!'
            | b'<'
            | b'>'
    )
}
