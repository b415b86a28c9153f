//! `nft list ruleset` and `nft -a list ruleset`, and files of the same form that people wrote.

use super::elements::{Gathered, Holds, Shape};
use super::expression::Parser;
use super::fields::kinds_of;
use super::lexer::Token;
use super::lower::Builder;
use super::object::{self, BaseTree};
use super::values::Kind;
use super::{Place, ReadError, shown};
use crate::netfilter::{Reading, Remark, Set};

/// Reads the text that `nft list ruleset` prints, with `-a` or without.
///
/// Also reads hand-written files that declare tables in the same way, with semicolons and comments; commands
/// (`add rule …`, `define`, `include`) are refused. Statements that aren't known are kept as such. Text that
/// ends inside a table, and text that isn't nft's, is an error.
pub fn read_text(text: &str, listing: u16) -> Result<Reading, ReadError> {
    let mut reader = Reader { parser: Parser::new(text, listing), tables: Vec::new(), remarks: Vec::new() };
    loop {
        reader.parser.lexer.skip_ends();
        match reader.parser.lexer.peek() {
            Token::End => break,
            Token::Word("table") => reader.table()?,
            Token::Word("flush") => reader.flush()?,
            Token::Word(_) | Token::Quoted(_) | Token::Compare(_) | Token::Mark(_) | Token::Newline => {
                return Err(reader.not_a_listing());
            }
        }
    }
    let unread = reader.parser.lexer.remaining();
    if !unread.is_empty() {
        return Err(reader.parser.lexer.error("a string is never closed"));
    }
    let tables = reader.tables.into_iter().map(Builder::finish).collect();
    Ok(Reading { tables, remarks: reader.remarks, ..Reading::default() })
}

struct Reader<'a> {
    parser: Parser<'a>,
    tables: Vec<Builder>,
    remarks: Vec<Remark>,
}

impl<'a> Reader<'a> {
    fn not_a_listing(&mut self) -> ReadError {
        let rest = shown(self.parser.lexer.remaining());
        let mut error =
            self.parser.lexer.error(format!("`{rest}` is no table, so this is no listing of nft"));
        "give the output of `nft -a list ruleset`; commands such as `add rule` are not read"
            .clone_into(&mut error.help);
        error
    }

    /// `flush ruleset`, with which files start.
    fn flush(&mut self) -> Result<(), ReadError> {
        let saved = self.parser.lexer.clone();
        self.parser.lexer.take();
        if self.parser.lexer.take_text() == Some("ruleset") && self.parser.lexer.take_rest()?.is_empty() {
            self.tables.clear();
            return Ok(());
        }
        self.parser.lexer = saved;
        Err(self.not_a_listing())
    }

    fn table(&mut self) -> Result<(), ReadError> {
        self.parser.lexer.take();
        let Some(mut name) = self.parser.lexer.take_text() else { return Err(self.not_a_listing()) };
        let mut family = crate::netfilter::TableFamily::Ip;
        if let Some(found) = object::table_family(name)
            && let Some(second) = self.parser.lexer.take_text()
        {
            (family, name) = (found, second);
        }
        let builder = self.builder(family, name);
        let result = self.table_body(builder);
        result.map(|builder| self.tables.push(builder))
    }

    /// The table that is read already, or a new one.
    fn builder(&mut self, family: crate::netfilter::TableFamily, name: &str) -> Builder {
        match self.tables.iter().position(|table| table.is(family, name)) {
            Some(at) => self.tables.remove(at),
            None => Builder::new(family, name),
        }
    }

    fn table_body(&mut self, mut builder: Builder) -> Result<Builder, ReadError> {
        if !self.parser.lexer.took_mark(b'{') {
            return Err(self.parser.lexer.error("a table without `{`"));
        }
        loop {
            self.parser.lexer.skip_ends();
            let start = self.parser.lexer.start();
            let Some(word) = self.parser.lexer.take_text() else {
                break;
            };
            match word {
                "flags" => {
                    let flags = self.parser.lexer.take_rest()?;
                    builder.set_dormant(Some(flags.split([',', ' ']).any(|flag| flag == "dormant")));
                }
                "chain" => self.chain(&mut builder, start)?,
                "set" | "map" => self.set(&mut builder)?,
                "comment" | "counter" | "quota" | "limit" | "ct" | "secmark" | "synproxy" | "flowtable"
                | "tunnel" => {
                    self.parser.lexer.take_rest()?;
                }
                _ => {
                    let words = self.parser.lexer.take_rest()?;
                    let text = format!("`{word} {}` is not known, and left out", shown(words));
                    let place = self.parser.lexer.place(start);
                    self.remarks.push(Remark { place, text });
                }
            }
        }
        if self.parser.lexer.took_mark(b'}') {
            Ok(builder)
        } else {
            Err(self.parser.lexer.error("the listing ends or breaks off inside a table"))
        }
    }

    // Chains.

    fn chain(&mut self, builder: &mut Builder, start: usize) -> Result<(), ReadError> {
        let name = self.name("chain")?;
        let place = self.parser.lexer.place(start);
        builder.chain(name, place);
        let mut base: Option<BaseTree<'a>> = None;
        let mut policy = None;
        let mut rules = Vec::new();
        loop {
            self.parser.lexer.skip_ends();
            match self.parser.lexer.peek() {
                Token::Mark(b'}') => {
                    self.parser.lexer.take();
                    break;
                }
                Token::Word("type") => base = Some(self.base(builder)?),
                Token::Word("policy") => {
                    self.parser.lexer.take();
                    policy = self.parser.lexer.take_text();
                }
                Token::Word("comment" | "flags") => {
                    self.parser.lexer.take_rest()?;
                }
                Token::Word(_) | Token::Quoted(_) | Token::Compare(_) | Token::Mark(_) | Token::Newline => {
                    let rule = self.parser.rule()?;
                    rules.push(builder.rule(&rule));
                }
                Token::End => return Err(self.parser.lexer.error("the listing ends inside a chain")),
            }
        }
        let chain = builder.chain(name, place);
        if chain.rules.is_empty() {
            chain.rules = rules;
        } else {
            chain.rules.append(&mut rules);
        }
        if let Some(mut tree) = base {
            tree.policy = policy;
            object::make_base(builder, name, &tree, place);
        }
        Ok(())
    }

    /// A name and the brace after it.
    fn name(&mut self, what: &str) -> Result<&'a str, ReadError> {
        match self.parser.lexer.take_text() {
            Some(name) if self.parser.lexer.took_mark(b'{') => Ok(name),
            _ => Err(self.parser.lexer.error(format!("a {what} without a name or without `{{`"))),
        }
    }

    /// `type filter hook ingress device "lo" priority filter + 10`
    fn base(&mut self, builder: &Builder) -> Result<BaseTree<'a>, ReadError> {
        let mut tree = BaseTree::default();
        let mut priority: Vec<&str> = Vec::new();
        while let Some(word) = self.parser.lexer.take_text() {
            match word {
                "type" => tree.kind = self.parser.lexer.take_text().unwrap_or_default(),
                "hook" => tree.hook = self.parser.lexer.take_text().unwrap_or_default(),
                "device" => tree.devices = Some(self.parser.lexer.take_text().into_iter().collect()),
                "devices" => {
                    self.parser.lexer.took_mark(b'=');
                    tree.devices = Some(self.devices()?);
                }
                "priority" => {}
                more => priority.push(more),
            }
        }
        tree.priority = object::priority(&priority, builder.family());
        Ok(tree)
    }

    fn devices(&mut self) -> Result<Vec<&'a str>, ReadError> {
        let mut names = Vec::new();
        if self.parser.lexer.peek() != Token::Mark(b'{') {
            return Err(self.parser.lexer.error("`devices` without `{`"));
        }
        self.parser.lexer.open();
        while let Some(name) = self.parser.lexer.take_text() {
            names.push(name);
            self.parser.lexer.took_mark(b',');
        }
        if self.parser.lexer.peek() != Token::Mark(b'}') {
            return Err(self.parser.lexer.error("a chain's devices are not whole"));
        }
        self.parser.lexer.close();
        Ok(names)
    }

    // Sets.

    fn set(&mut self, builder: &mut Builder) -> Result<(), ReadError> {
        let name = self.name("set")?;
        let mut shape = Shape::default();
        let mut gathered: Option<Gathered> = None;
        loop {
            self.parser.lexer.skip_ends();
            if self.parser.lexer.took_mark(b'}') {
                break;
            }
            match self.parser.lexer.take_text() {
                Some("type") => shape = self.types(),
                Some("typeof") => shape = self.typeof_()?,
                Some("elements") => {
                    self.parser.lexer.took_mark(b'=');
                    let gathered = gathered.get_or_insert_with(|| Gathered::new(shape.clone()));
                    self.tolerant_elements(gathered)?;
                }
                Some(_) => {
                    self.parser.lexer.take_rest()?;
                }
                None => return Err(self.parser.lexer.error("the listing ends or breaks off inside a set")),
            }
        }
        let elements = gathered.unwrap_or_else(|| Gathered::new(shape)).finish();
        builder.set(name, Set { elements, dynamic: false, dimensions: Vec::new() });
        Ok(())
    }

    /// Elements; where they aren't of a known form, the set is of unknown content.
    fn tolerant_elements(&mut self, gathered: &mut Gathered) -> Result<(), ReadError> {
        let saved = (self.parser.lexer.clone(), self.parser.depth);
        let Err(error) = self.parser.elements(gathered) else { return Ok(()) };
        (self.parser.lexer, self.parser.depth) = saved;
        if self.parser.lexer.peek() != Token::Mark(b'{') {
            return Err(error);
        }
        self.parser.lexer.take_braces()?;
        gathered.give_up("a set whose elements are not understood");
        Ok(())
    }

    /// `type ipv4_addr . inet_service : interval mark`
    fn types(&mut self) -> Shape {
        let (mut keys, mut held): (Vec<&str>, Option<Vec<&str>>) = (Vec::new(), None);
        while let Some(word) = self.parser.lexer.take_text() {
            match word {
                "." | "interval" => {}
                ":" => held = Some(Vec::new()),
                name => held.as_mut().unwrap_or(&mut keys).push(name),
            }
        }
        let holds = match held.as_deref() {
            None => Holds::Nothing,
            Some(["verdict"]) => Holds::Verdicts,
            Some(names) => Holds::of_kinds(&object::kinds(names.iter().copied())),
        };
        Shape { keys: object::kinds(keys), holds }
    }

    /// `typeof ip saddr . tcp dport : meta mark`
    fn typeof_(&mut self) -> Result<Shape, ReadError> {
        let mut shape = Shape { keys: vec![Kind::Unmodelled], holds: Holds::Nothing };
        if let Some(key) = self.parser.left()? {
            shape.keys = kinds_of(&key);
        }
        if self.parser.lexer.took_word(":") {
            self.parser.lexer.took_word("interval");
            shape.holds = if self.parser.lexer.took_word("verdict") {
                Holds::Verdicts
            } else {
                self.parser.left()?.map_or(Holds::Others, |held| Holds::of_kinds(&kinds_of(&held)))
            };
        }
        if !self.parser.lexer.take_rest()?.is_empty() {
            shape.keys = vec![Kind::Unmodelled];
        }
        Ok(shape)
    }
}

/// Reads what JSON holds as text: `jump { … }`.
pub(super) fn statements_of(text: &str, place: Place) -> Result<Vec<super::Statement<'_>>, ReadError> {
    let mut parser = Parser::new(text, place.listing);
    let mut found = parser.statements()?;
    parser.lexer.skip_ends();
    if parser.lexer.peek() == Token::End && parser.lexer.remaining().is_empty() {
        for statement in &mut found {
            replace_places(statement, place);
        }
        Ok(found)
    } else {
        Err(parser.lexer.error("more than one rule"))
    }
}

/// Places inside such a text are of no use: the rule's own is.
fn replace_places(statement: &mut super::Statement<'_>, place: Place) {
    if let super::Statement::Inline(_, rules) = statement {
        for rule in rules {
            rule.place = place;
            for statement in &mut rule.statements {
                replace_places(statement, place);
            }
        }
    }
}
