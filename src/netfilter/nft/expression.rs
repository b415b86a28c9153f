//! Expressions of nft's text: what is looked at, and what it is compared with.

use std::borrow::Cow;

use super::lexer::{Lexer, Token};
use super::{Bits, DEPTH_MAX, Direction, Entry, Expr, Held, ReadError, Select, Word, word};

/// Reads nft's text; the parts of its grammar stand in `expression`, `statement` and `text`.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    pub(super) lexer: Lexer<'a>,
    pub(super) depth: u32,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, listing: u16) -> Self {
        Parser { lexer: Lexer::new(text, listing), depth: 0 }
    }

    /// Goes one level deeper, if that is still allowed.
    pub(super) fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        if self.depth >= DEPTH_MAX {
            return Err(self.lexer.error(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// What a statement starts with: selectors joined by `.`, and bits of them. `None`, and nothing is
    /// taken, where the next word starts none.
    pub(super) fn left(&mut self) -> Result<Option<Expr<'a>>, ReadError> {
        let Some(first) = self.concat_of_selectors()? else { return Ok(None) };
        self.bits(first, 0).map(Some)
    }

    fn concat_of_selectors(&mut self) -> Result<Option<Expr<'a>>, ReadError> {
        let Some(first) = self.selector()? else { return Ok(None) };
        let mut parts = vec![first];
        while self.lexer.took_word(".") {
            match self.selector()? {
                Some(part) => parts.push(part),
                None => parts.push(self.value()?),
            }
        }
        Ok(Some(one_or(parts, Expr::Concat)))
    }

    /// What a field is compared with, the flags' commas included.
    pub(super) fn right(&mut self) -> Result<Expr<'a>, ReadError> {
        let first = self.element_key()?;
        if self.lexer.peek() != Token::Mark(b',') {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.lexer.took_mark(b',') {
            parts.push(self.value()?);
        }
        Ok(Expr::List(parts))
    }

    /// What something is set or translated to: a value, a field, bits of them, or a map.
    pub(super) fn source(&mut self) -> Result<Expr<'a>, ReadError> {
        let Some(left) = self.left()? else { return self.right() };
        if !self.lexer.took_word("map") {
            return Ok(left);
        }
        let data = self.value()?;
        Ok(Expr::Map(Box::new((left, data))))
    }

    /// An element's key: values joined by `.`, ranges of strings.
    fn element_key(&mut self) -> Result<Expr<'a>, ReadError> {
        let mut parts = vec![self.ranged()?];
        while self.lexer.took_word(".") {
            parts.push(self.ranged()?);
        }
        Ok(one_or(parts, Expr::Concat))
    }

    /// A value, or two strings with a dash between.
    fn ranged(&mut self) -> Result<Expr<'a>, ReadError> {
        let value = self.value()?;
        let first = self.bits(value, 0)?;
        if !self.lexer.took_word("-") {
            return Ok(first);
        }
        let last = self.value()?;
        Ok(Expr::Range(Box::new((first, last))))
    }

    /// One value: a word, a string, a set, the name of one, or something in parentheses.
    pub(super) fn value(&mut self) -> Result<Expr<'a>, ReadError> {
        match self.lexer.peek() {
            Token::Word("*") => {
                self.lexer.take();
                Ok(Expr::Wildcard)
            }
            Token::Word(text) | Token::Quoted(text) => {
                self.lexer.take();
                Ok(word(text))
            }
            Token::Mark(b'@') => {
                self.lexer.take();
                match self.lexer.take_text() {
                    Some(name) => Ok(Expr::Named(Cow::Borrowed(name))),
                    None => Err(self.lexer.error("`@` names no set")),
                }
            }
            Token::Mark(b'{') => self.deeper(Self::set).map(Expr::Set),
            Token::Mark(b'(') => self.deeper(Self::parenthesised),
            Token::Compare(_) | Token::Mark(_) | Token::Newline | Token::End => {
                let rest = super::shown(self.lexer.remaining());
                Err(self.lexer.error(format!("a value is missing before `{rest}`")))
            }
        }
    }

    fn parenthesised(&mut self) -> Result<Expr<'a>, ReadError> {
        self.lexer.take();
        let inner = match self.left()? {
            Some(inner) => inner,
            None => self.right()?,
        };
        if self.lexer.took_mark(b')') { Ok(inner) } else { Err(self.lexer.error("`(` is never closed")) }
    }

    /// Bits joined to what was read already; a shift binds closest, then `&`, `^`, `|`.
    fn bits(&mut self, mut left: Expr<'a>, binding: u8) -> Result<Expr<'a>, ReadError> {
        let mut length = 0;
        while let Some((bits, level)) = joiner(self.lexer.peek()) {
            if level < binding {
                break;
            }
            // The tree grows a level with each: one that is too deep can't even be dropped.
            length += 1;
            if length > DEPTH_MAX {
                return Err(self.lexer.error(format!("more than {DEPTH_MAX} operators in a row")));
            }
            self.lexer.take();
            let operand = match self.selector()? {
                Some(operand) => operand,
                None => self.value()?,
            };
            let right = self.deeper(|parser| parser.bits(operand, level + 1))?;
            left = Expr::Binary(bits, Box::new((left, right)));
        }
        Ok(left)
    }

    /// The elements between braces.
    fn set(&mut self) -> Result<Vec<Entry<'a>>, ReadError> {
        self.lexer.open();
        let mut entries = Vec::new();
        while self.lexer.peek() != Token::Mark(b'}') {
            entries.push(self.entry()?);
            if !self.lexer.took_mark(b',') && self.lexer.peek() != Token::Mark(b'}') {
                return Err(self.lexer.error("a set's elements are not whole"));
            }
        }
        self.lexer.close();
        Ok(entries)
    }

    /// One element, with what is known of it: `1.2.3.4 timeout 5m comment "x" : accept`.
    pub(super) fn entry(&mut self) -> Result<Entry<'a>, ReadError> {
        let key = self.element_key()?;
        self.options()?;
        let value = if self.lexer.took_word(":") { Some(self.held()?) } else { None };
        self.options()?;
        Ok(Entry { key, value })
    }

    /// Counters, times and comments of an element: words up to its end or its value.
    fn options(&mut self) -> Result<(), ReadError> {
        loop {
            match self.lexer.peek() {
                Token::Word(":") | Token::Mark(b',' | b'}') => return Ok(()),
                Token::End => return Err(self.lexer.error("the text ends inside a set")),
                Token::Word(_) | Token::Quoted(_) | Token::Newline => {
                    self.lexer.take();
                }
                Token::Compare(_) | Token::Mark(_) => {
                    return Err(self.lexer.error("a set's elements are not whole"));
                }
            }
        }
    }

    fn held(&mut self) -> Result<Held<'a>, ReadError> {
        if let Token::Word(text) = self.lexer.peek()
            && let Some(verdict) = self.verdict(text)
        {
            return Ok(Held::Verdict(verdict));
        }
        self.element_key().map(Held::Value)
    }

    /// A verdict that is this word; taken where it is one.
    pub(super) fn verdict(&mut self, text: &'a str) -> Option<Word<'a>> {
        let plain = match text {
            "accept" => Some(Word::Accept),
            "drop" => Some(Word::Drop),
            "continue" => Some(Word::Continue),
            "return" => Some(Word::Return),
            _ => None,
        };
        if plain.is_some() {
            self.lexer.take();
            return plain;
        }
        let hop: fn(Cow<'a, str>) -> Word<'a> = match text {
            "jump" => Word::Jump,
            "goto" => Word::Goto,
            _ => return None,
        };
        self.lexer.take();
        self.lexer.take_text().map(|chain| hop(Cow::Borrowed(chain)))
    }

    // Selectors.

    /// One property; nothing is taken where the next word names none.
    fn selector(&mut self) -> Result<Option<Expr<'a>>, ReadError> {
        let base = match self.lexer.peek() {
            Token::Word(base) => base,
            Token::Mark(b'@') => return Ok(self.raw_payload()),
            Token::Quoted(_) | Token::Compare(_) | Token::Mark(_) | Token::Newline | Token::End => {
                return Ok(None);
            }
        };
        if !is_base(base) {
            let alone = is_meta_alone(base);
            if alone {
                self.lexer.take();
            }
            return Ok(alone.then(|| select("meta", base, None)));
        }
        let start = self.lexer.start();
        self.lexer.take();
        let found = match base {
            "ct" => self.connection(),
            "fib" => self.fib(),
            "jhash" => self.hash()?,
            "meta" | "th" | "ether" | "vlan" => self.key_of(base),
            "ip" | "ip6" | "tcp" | "sctp" => match self.lexer.peek() {
                Token::Word("option" | "chunk") => self.option(base),
                _ => self.key_of(base),
            },
            _ => self.special(base),
        };
        Ok(Some(found.unwrap_or_else(|| Expr::Unknown(Cow::Borrowed(self.lexer.since(start))))))
    }

    fn key_of(&mut self, base: &'a str) -> Option<Expr<'a>> {
        self.lexer.take_text().map(|key| select(base, key, None))
    }

    /// `ct [original|reply] [ip|ip6] key`
    fn connection(&mut self) -> Option<Expr<'a>> {
        let mut key = self.lexer.take_text()?;
        let direction = match key {
            "original" => Some(Direction::Original),
            "reply" => Some(Direction::Reply),
            _ => None,
        };
        if direction.is_some() {
            key = self.lexer.take_text()?;
        }
        if matches!(key, "ip" | "ip6") {
            let start = self.lexer.start();
            let field = self.lexer.take_text()?;
            let whole = match (key, field) {
                ("ip", "saddr") => "ip saddr",
                ("ip", "daddr") => "ip daddr",
                ("ip6", "saddr") => "ip6 saddr",
                ("ip6", "daddr") => "ip6 daddr",
                _ => self.lexer.since(start),
            };
            key = whole;
        }
        Some(select("ct", key, direction))
    }

    /// `fib daddr . iif type`
    fn fib(&mut self) -> Option<Expr<'a>> {
        let mut key = self.lexer.take_text()?.to_owned();
        while self.lexer.took_word(".") {
            key.push_str(" . ");
            key.push_str(self.lexer.take_text()?);
        }
        key.push(' ');
        key.push_str(self.lexer.take_text()?);
        Some(Expr::Select(Select { base: Cow::Borrowed("fib"), key: Cow::Owned(key), direction: None }))
    }

    /// `tcp option maxseg size`, `ip option rr exists`, `sctp chunk data flags`
    fn option(&mut self, base: &'a str) -> Option<Expr<'a>> {
        let key = self.lexer.take_text()?;
        if self.lexer.peek() == Token::Mark(b'@') {
            self.raw_payload();
        } else {
            self.lexer.take_text()?;
        }
        // A field that isn't known is taken for a value, and then the value for a statement that isn't known:
        // the other way round, a verdict could be taken for a field.
        if let Token::Word(field) = self.lexer.peek()
            && is_option_field(field)
        {
            self.lexer.take();
        }
        Some(select(base, key, None))
    }

    /// `jhash ip saddr . tcp dport mod 10 seed 0xdead offset 5`
    fn hash(&mut self) -> Result<Option<Expr<'a>>, ReadError> {
        let hashed = self.deeper(Self::concat_of_selectors)?;
        self.numbers(&["mod", "seed", "offset"]);
        Ok(hashed.map(|_| select("jhash", "", None)))
    }

    /// Those whose form is their own.
    fn special(&mut self, base: &'a str) -> Option<Expr<'a>> {
        match base {
            "numgen" => {
                self.lexer.take_text()?;
                self.numbers(&["mod", "offset"]);
            }
            "symhash" => self.numbers(&["mod", "offset"]),
            "osf" => {
                self.numbers(&["ttl"]);
                self.lexer.take_text()?;
            }
            "socket" => {
                self.lexer.take_text()?;
                self.numbers(&["level"]);
            }
            "ipsec" => {
                self.lexer.take_text()?;
                self.numbers(&["spnum"]);
                self.nested_header()?;
            }
            _ => self.nested_header()?,
        }
        Some(select(base, "", None))
    }

    /// A field, or a header and its field: `arp saddr ip`, `vxlan ip saddr`.
    fn nested_header(&mut self) -> Option<()> {
        let first = self.lexer.take_text()?;
        let more = match self.lexer.peek() {
            Token::Word(next) => {
                matches!(first, "ip" | "ip6" | "tcp" | "udp" | "icmp" | "icmpv6" | "ether" | "th")
                    || matches!((first, next), ("saddr" | "daddr", "ip" | "ether"))
            }
            Token::Quoted(_) | Token::Compare(_) | Token::Mark(_) | Token::Newline | Token::End => false,
        };
        if more {
            self.lexer.take();
        }
        Some(())
    }

    /// Named numbers in any order.
    fn numbers(&mut self, names: &[&str]) {
        while let Token::Word(name) = self.lexer.peek()
            && names.contains(&name)
        {
            self.lexer.take();
            self.lexer.take_text();
        }
    }

    /// `@th,16,16`; nothing is taken where a set's name follows the `@`.
    fn raw_payload(&mut self) -> Option<Expr<'a>> {
        let rest = self.lexer.remaining();
        let ends = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'}' | b')');
        let end = rest.as_bytes().iter().take(64).position(ends).unwrap_or(rest.len().min(64));
        let whole = rest.get(..end)?;
        if whole.bytes().filter(|byte| *byte == b',').count() != 2 {
            return None;
        }
        self.lexer.skip(end);
        Some(select("@", whole.get(1..)?, None))
    }
}

fn one_or<'a>(mut parts: Vec<Expr<'a>>, many: fn(Vec<Expr<'a>>) -> Expr<'a>) -> Expr<'a> {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            many(parts)
        }
        None => many(parts),
    }
}

fn select<'a>(base: &'a str, key: &'a str, direction: Option<Direction>) -> Expr<'a> {
    Expr::Select(Select { base: Cow::Borrowed(base), key: Cow::Borrowed(key), direction })
}

/// How two are joined by this token, and how closely it binds.
fn joiner(token: Token<'_>) -> Option<(Bits, u8)> {
    match token {
        Token::Mark(b'|') | Token::Word("or") => Some((Bits::Or, 0)),
        Token::Mark(b'^') | Token::Word("xor") => Some((Bits::Xor, 1)),
        Token::Mark(b'&') | Token::Word("and") => Some((Bits::And, 2)),
        Token::Word("<<" | "lshift") => Some((Bits::ShiftLeft, 3)),
        Token::Word(">>" | "rshift") => Some((Bits::ShiftRight, 3)),
        Token::Word(_)
        | Token::Quoted(_)
        | Token::Compare(_)
        | Token::Mark(_)
        | Token::Newline
        | Token::End => None,
    }
}

/// Keys of `meta` that nft prints without `meta`.
fn is_meta_alone(word: &str) -> bool {
    matches!(
        word,
        "mark"
            | "iif"
            | "oif"
            | "iifname"
            | "oifname"
            | "iifgroup"
            | "oifgroup"
            | "iiftype"
            | "oiftype"
            | "skuid"
            | "skgid"
            | "nftrace"
            | "rtclassid"
            | "ibrname"
            | "obrname"
            | "ibriport"
            | "obriport"
            | "ibridgename"
            | "obridgename"
            | "pkttype"
            | "cpu"
            | "cgroup"
    )
}

/// Fields of options of TCP and IP, and of chunks of SCTP.
fn is_option_field(word: &str) -> bool {
    matches!(word, "kind" | "length" | "size" | "count" | "left" | "right" | "tsval" | "tsecr" | "subtype")
        || matches!(word, "type" | "ptr" | "addr" | "value" | "flags" | "left0" | "right0" | "left1")
        || matches!(word, "right1" | "left2" | "right2" | "left3" | "right3")
}

/// Words that start a selector of several.
fn is_base(word: &str) -> bool {
    matches!(word, "ip" | "ip6" | "tcp" | "th" | "meta" | "ct" | "fib" | "udp" | "ether" | "vlan" | "jhash")
        || matches!(word, "icmp" | "icmpv6" | "igmp" | "sctp" | "dccp" | "udplite" | "esp" | "ah" | "comp")
        || matches!(word, "arp" | "gre" | "gretap" | "geneve" | "vxlan" | "exthdr" | "frag" | "hbh" | "dst")
        || matches!(word, "mh" | "auth" | "srh" | "rt" | "socket" | "osf" | "ipsec" | "numgen" | "symhash")
}
