//! Rules of nft's text, statement by statement.
//!
//! A statement that can't be read takes the rest of its rule with it: where it ends nobody knows, and a verdict
//! may be part of it.

use std::borrow::Cow;

use super::expression::Parser;
use super::lexer::Token;
use super::{Expr, Hop, Operator, ReadError, RuleTree, Select, Statement, Text, Word, names};

/// Comparisons that long rulesets are made of: how they start, and what that selects.
const FREQUENT: [(&str, &str, &str); 4] = [
    ("ip saddr ", "ip", "saddr"),
    ("tcp dport ", "tcp", "dport"),
    ("ip daddr ", "ip", "daddr"),
    ("tcp sport ", "tcp", "sport"),
];

impl<'a> Parser<'a> {
    /// Rules up to the brace that closes their chain, which stays.
    pub(super) fn rules(&mut self) -> Result<Vec<RuleTree<'a>>, ReadError> {
        let mut rules = Vec::new();
        loop {
            self.lexer.skip_ends();
            match self.lexer.peek() {
                Token::Mark(b'}') | Token::End => return Ok(rules),
                Token::Word(_) | Token::Quoted(_) | Token::Compare(_) | Token::Mark(_) | Token::Newline => {
                    rules.push(self.rule()?);
                }
            }
        }
    }

    /// One rule with its end.
    pub(super) fn rule(&mut self) -> Result<RuleTree<'a>, ReadError> {
        let start = self.lexer.start();
        self.lexer.forget_handle();
        let mut statements = self.statements()?;
        if self.lexer.breaks_off() {
            statements.push(names::unprinted());
        }
        let place = self.lexer.place(start);
        Ok(RuleTree { statements, place, handle: self.lexer.handle() })
    }

    /// Statements up to the end of the line or to a mark that ends them.
    pub(super) fn statements(&mut self) -> Result<Vec<Statement<'a>>, ReadError> {
        let mut found = Vec::with_capacity(4);
        while !self.at_end() {
            if let Some(statement) = self.frequent() {
                found.push(statement);
                continue;
            }
            let saved = (self.lexer.clone(), self.depth);
            match self.statement() {
                Ok(Some(statement)) => found.push(statement),
                Ok(None) => {}
                Err(_) => {
                    (self.lexer, self.depth) = saved;
                    let start = self.lexer.start();
                    found.push(self.rest_from(start)?);
                }
            }
        }
        Ok(found)
    }

    fn at_end(&mut self) -> bool {
        matches!(self.lexer.peek(), Token::Newline | Token::Mark(b';' | b'}') | Token::End)
    }

    /// What was read from there and the rest of the rule, as one statement that could do anything.
    fn rest_from(&mut self, start: usize) -> Result<Statement<'a>, ReadError> {
        let before = self.lexer.start();
        self.lexer.take_rest()?;
        if self.lexer.start() == before {
            // A mark that ends nothing here: it must go, or the rule would never end.
            self.lexer.take();
        }
        let words = self.lexer.since(start);
        Ok(Statement::Opaque { words: Cow::Borrowed(words), sets: named_sets(words) })
    }

    /// One statement; `None` for one without effect on the question.
    fn statement(&mut self) -> Result<Option<Statement<'a>>, ReadError> {
        let start = self.lexer.start();
        if let Token::Word(first @ ("accept" | "drop")) = self.lexer.peek() {
            // The most frequent words of all.
            return Ok(self.verdict(first).map(Statement::Verdict));
        }
        if let Some(left) = self.left()? {
            return self.after_left(left, start).map(Some);
        }
        let Token::Word(first) = self.lexer.peek() else { return self.rest_from(start).map(Some) };
        if matches!(first, "jump" | "goto") {
            return self.hop(first, start).map(Some);
        }
        if let Some(verdict) = self.verdict(first) {
            return Ok(Some(Statement::Verdict(verdict)));
        }
        self.lexer.take();
        match first {
            "counter" | "log" | "comment" | "dup" | "flow" | "last" | "reset" => {
                self.without_effect(first, start)
            }
            "limit" | "quota" => Ok(Some(self.limit(first))),
            "notrack" => Ok(Some(Statement::Notrack)),
            "reject" => Ok(Some(self.reject())),
            "dnat" | "snat" | "masquerade" | "redirect" => self.nat(first).map(Some),
            "add" | "update" | "delete" | "set" => self.change(first, start).map(Some),
            "xt" => self.extension(start),
            "meter" => {
                self.lexer.take_text();
                self.words(&["size"]);
                self.lexer.take_braces()?;
                Ok(Some(Statement::Unknown(Cow::Borrowed("meter"))))
            }
            _ => self.rest_from(start).map(Some),
        }
    }

    /// `ip saddr 1.2.3.4 ` and the like, without a look at all that could stand there instead. Only where a
    /// plain word follows: anything else may belong to the value.
    fn frequent(&mut self) -> Option<Statement<'a>> {
        let whole = self.lexer.remaining();
        let (base, key, rest) =
            FREQUENT.iter().find_map(|(start, base, key)| Some((*base, *key, whole.strip_prefix(start)?)))?;
        let length = rest.bytes().position(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'/'))?;
        let (value, after) = rest.split_at_checked(length)?;
        let joins = ["or ", "and ", "xor ", "lshift ", "rshift "];
        let ends = match after.as_bytes() {
            [b' ', b'a'..=b'z', ..] => !joins.iter().any(|join| after.trim_ascii_start().starts_with(join)),
            _ => false,
        };
        if !ends || !value.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.lexer.skip(whole.len() - after.len());
        let select = Select { base: Cow::Borrowed(base), key: Cow::Borrowed(key), direction: None };
        let (left, right) = (Expr::Select(select), super::word(value));
        Some(Statement::Match { left, operator: Operator::Implicit, right })
    }

    /// What follows a selector: a comparison, a map of verdicts, or `set`.
    fn after_left(&mut self, left: Expr<'a>, start: usize) -> Result<Statement<'a>, ReadError> {
        if is_count(&left) {
            self.lexer.took_word("over");
            self.lexer.take_text();
            return Ok(Statement::Unknown(Cow::Borrowed("connection count")));
        }
        let mut operator = Operator::Implicit;
        match self.lexer.peek() {
            Token::Word("set") => {
                self.lexer.take();
                return Ok(Statement::Set { target: left, value: self.source()? });
            }
            Token::Word("vmap") => {
                self.lexer.take();
                return Ok(Statement::VerdictMap { key: left, data: self.value()? });
            }
            // A statement in the value's place: what stands before is of a form that is not known.
            Token::Word(word) if starts_statement(word) => return self.rest_from(start),
            Token::Compare(found) => {
                self.lexer.take();
                operator = found;
                // nft 1.0.6 prints `ct expiration > ` and nothing, although there is a value.
                if matches!(self.lexer.peek(), Token::Word(word) if starts_statement(word)) {
                    return Ok(Statement::Unknown(Cow::Borrowed(
                        "a comparison whose value nft did not print",
                    )));
                }
            }
            Token::Word(_) | Token::Quoted(_) | Token::Mark(_) | Token::Newline | Token::End => {}
        }
        let right = self.right()?;
        if !self.lexer.took_word("/") {
            return Ok(Statement::Match { left, operator, right });
        }
        // `tcp flags syn / fin,syn` is `tcp flags & (fin|syn) == syn`.
        let mask = self.right()?;
        let left = Expr::Binary(super::Bits::And, Box::new((left, mask)));
        let operator = if operator == Operator::Implicit { Operator::Equal } else { operator };
        Ok(Statement::Match { left, operator, right })
    }

    fn hop(&mut self, first: &'a str, start: usize) -> Result<Statement<'a>, ReadError> {
        self.lexer.take();
        let hop = if first == "jump" { Hop::Jump } else { Hop::Goto };
        if let Some(chain) = self.lexer.take_text() {
            let chain = Cow::Borrowed(chain);
            return Ok(Statement::Verdict(match hop {
                Hop::Jump => Word::Jump(chain),
                Hop::Goto => Word::Goto(chain),
            }));
        }
        if !self.lexer.took_mark(b'{') {
            return self.rest_from(start);
        }
        let rules = self.deeper(Self::rules)?;
        // The rules' handles are theirs; the one after the brace is of the rule around.
        self.lexer.forget_handle();
        if self.lexer.took_mark(b'}') {
            Ok(Statement::Inline(hop, rules))
        } else {
            Err(self.lexer.error("the text ends inside a chain"))
        }
    }

    /// Takes the arguments of a statement that has no effect on the question.
    fn without_effect(&mut self, first: &str, start: usize) -> Result<Option<Statement<'a>>, ReadError> {
        match first {
            "counter" => {
                if self.lexer.took_word("name") {
                    self.source()?;
                }
                self.words(&["packets", "bytes"]);
            }
            "log" => self.log(),
            "dup" => {
                self.lexer.took_word("to");
                self.source()?;
                if self.lexer.took_word("device") {
                    self.source()?;
                }
            }
            "flow" => {
                self.lexer.take_text();
                self.value()?;
            }
            "last" => self.words(&["used"]),
            "reset" => {
                self.left()?;
            }
            "comment" => {
                self.lexer.take_text();
            }
            _ => return self.rest_from(start).map(Some),
        }
        Ok(None)
    }

    /// Named arguments of one word each, in any order.
    fn words(&mut self, names: &[&str]) {
        while let Token::Word(name) = self.lexer.peek()
            && names.contains(&name)
        {
            self.lexer.take();
            self.lexer.take_text();
        }
    }

    fn log(&mut self) {
        loop {
            self.words(&["prefix", "group", "level", "snaplen", "queue-threshold"]);
            if !self.lexer.took_word("flags") {
                return;
            }
            self.log_flags();
        }
    }

    /// `tcp sequence,options`, `ip options`, `all`
    fn log_flags(&mut self) {
        if matches!(self.lexer.take_text(), Some("tcp" | "ip")) {
            self.lexer.take_text();
            while self.lexer.took_mark(b',') {
                self.lexer.take_text();
            }
        }
    }

    /// `limit rate over 10 mbytes/second burst 5 kbytes`, `quota over 10 mbytes used 5 bytes`
    fn limit(&mut self, first: &str) -> Statement<'a> {
        let limit = first == "limit";
        if self.lexer.took_word("name") {
            self.lexer.take_text();
        } else {
            self.lexer.took_word("rate");
            self.lexer.took_word("over");
            self.lexer.took_word("until");
            let number = self.lexer.take_text().unwrap_or_default();
            if !number.contains('/') {
                self.lexer.take_text();
            }
            while self.lexer.took_word("burst") || self.lexer.took_word("used") {
                self.lexer.take_text();
                self.lexer.take_text();
            }
        }
        Statement::Unknown(Cow::Borrowed(if limit { "rate limit" } else { "quota" }))
    }

    /// `reject with icmp type port-unreachable`
    fn reject(&mut self) -> Statement<'a> {
        if self.lexer.took_word("with") {
            self.lexer.take_text();
            self.lexer.took_word("type");
            self.lexer.take_text();
        }
        Statement::Verdict(Word::Reject)
    }

    /// `xt match recent`, `xt target LOG`
    fn extension(&mut self, start: usize) -> Result<Option<Statement<'a>>, ReadError> {
        let kind = self.lexer.take_text();
        let name = self.lexer.take_text();
        match (kind, name) {
            (Some(kind @ ("match" | "target")), Some(name)) => Ok(names::extension(kind, name)),
            _ => self.rest_from(start).map(Some),
        }
    }

    /// `add @set { ip saddr timeout 5m limit rate 5/second : 0x1 }`; once `set add ip saddr @set`.
    fn change(&mut self, first: &str, start: usize) -> Result<Statement<'a>, ReadError> {
        let set = if first == "set" { None } else { self.set_name() };
        let Some(set) = set else { return self.rest_from(start) };
        if self.lexer.peek() != Token::Mark(b'{') {
            return self.rest_from(start);
        }
        self.lexer.open();
        let Some(key) = self.left()? else {
            return Err(self.lexer.error("a set's key is not known"));
        };
        self.words(&["timeout", "expires", "comment"]);
        let mut inner = Vec::new();
        while !matches!(self.lexer.peek(), Token::Mark(b'}') | Token::Word(":") | Token::End) {
            inner.extend(self.statement()?);
        }
        if self.lexer.took_word(":") {
            self.source()?;
        }
        if self.lexer.peek() != Token::Mark(b'}') {
            return Err(self.lexer.error("a set's element is not whole"));
        }
        self.lexer.close();
        Ok(Statement::Change { set, key, inner })
    }

    fn set_name(&mut self) -> Option<Text<'a>> {
        if !self.lexer.took_mark(b'@') {
            return None;
        }
        self.lexer.take_text().map(Cow::Borrowed)
    }
}

fn is_count(left: &Expr<'_>) -> bool {
    matches!(left, Expr::Select(select) if select.base == "ct" && select.key == "count")
}

/// Words that start a statement and are nobody's value.
fn starts_statement(word: &str) -> bool {
    matches!(word, "accept" | "drop" | "continue" | "return" | "jump" | "goto" | "reject" | "queue")
        || matches!(word, "counter" | "log" | "limit" | "quota" | "masquerade" | "notrack" | "tproxy")
        || matches!(word, "comment" | "xt")
}

/// Names after `@` in a text that nobody understood.
fn named_sets(words: &str) -> Vec<Text<'_>> {
    let names = words.split('@').skip(1);
    let ends = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | ',' | ')' | '"');
    let names = names.filter_map(|rest| rest.split(ends).next());
    names.filter(|name| !name.is_empty()).map(Cow::Borrowed).collect()
}
