//! `nft list ruleset` and `nft -a list ruleset`, and files of the same form that people wrote.

use super::elements::{Gathered, Holds, Shape};
use super::expression::Parser;
use super::fields::kinds_of;
use super::lexer::Token;
use super::lower::{Builder, Tables};
use super::object::{self, BaseTree};
use super::values::Kind;
use super::{Place, ReadError, shown};
use crate::netfilter::{Reading, Remark};

/// Reads the text that `nft list ruleset` prints, with `-a` or without.
///
/// Also reads hand-written files that declare tables in the same way, with semicolons and comments; commands
/// (`add rule …`, `define`, `include`) are refused. Statements that aren't known are kept as such. Text that
/// ends inside a table, and text that isn't nft's, is an error.
pub fn read_text(text: &str, listing: u16) -> Result<Reading, ReadError> {
    let mut reader =
        Reader { parser: Parser::new(text, listing), tables: Tables::default(), remarks: Vec::new() };
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
    Ok(Reading { tables: reader.tables.finish(), remarks: reader.remarks, ..Reading::default() })
}

struct Reader<'a> {
    parser: Parser<'a>,
    tables: Tables,
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
        // Out of the others while it is read: all of the reader is needed for that.
        let mut tables = std::mem::take(&mut self.tables);
        let result = match tables.table(family, name) {
            Some(builder) => self.table_body(builder),
            None => Ok(()),
        };
        self.tables = tables;
        result
    }

    fn table_body(&mut self, builder: &mut Builder) -> Result<(), ReadError> {
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
                "chain" => self.chain(builder, start)?,
                "set" | "map" => self.set(builder)?,
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
            Ok(())
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
        match builder.chain(name, place) {
            Some(chain) if chain.rules.is_empty() => chain.rules = rules,
            Some(chain) => chain.rules.append(&mut rules),
            None => {}
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
        builder.set(name, elements);
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

#[cfg(test)]
mod tests {
    use super::read_text;
    use crate::netfilter::{Action, Elements, Hook, Item, NamePattern, Policy};

    #[test]
    fn hand_written_files_of_the_same_form_are_read() {
        let text = "#!/usr/sbin/nft -f\nflush ruleset\ntable t { # no family: IPv4\n\
             set a { type ipv4_addr; flags interval; auto-merge; elements = {1.2.3.0/24,\n1.2.4.0/24, 9.9.9.9}; }\n\
             chain c { type filter hook input priority filter+10; policy drop; tcp dport {22,443} accept; drop }\n}\n";
        let reading = read_text(text, 3).unwrap();
        let table = &reading.tables[0];
        let Elements::V4(spans) = &table.sets["a"].elements else { panic!("{table:?}") };
        assert_eq!(spans[..], [(0x0102_0300, 0x0102_04ff), (0x0909_0909, 0x0909_0909)]);
        let base = table.chains[0].base.as_ref().unwrap();
        assert_eq!((base.hook, base.priority, base.policy), (Hook::Input, 10, Policy::Drop));
        assert_eq!(table.chains[0].rules.len(), 2);
        assert_eq!((table.chains[0].place.listing, table.chains[0].place.line), (3, 6));
    }

    #[test]
    fn comments_among_elements_say_nothing_but_a_handle() {
        let read = |between: &str| {
            let text = format!(
                "table ip t {{\n set a {{\n type ipv4_addr\n elements = {{ 1.2.3.4,{between}5.6.7.8,{between} 9.9.9.9 }}\n }}\n}}\n"
            );
            read_text(&text, 0)
                .map(|reading| reading.tables[0].sets.clone())
                .map_err(|error| error.to_string())
        };
        let plain = read(" ").unwrap();
        for between in [" # a, { } 7.7.7.7\n", "\n\t# one\n # two\n", "#\n", " # handle 7\n", "#handle\n\n"] {
            assert_eq!(read(between).unwrap(), plain, "{between}");
        }
        assert!(read(" # 7.7.7.7").is_err());
    }

    #[test]
    fn priorities_are_named_otherwise_in_a_bridge() {
        for (family, priority, expected) in [
            ("inet", "filter", 0),
            ("inet", "dstnat - 5", -105),
            ("inet", "mangle + 1", -149),
            ("inet", "-500", -500),
            ("ip", "security", 50),
            ("bridge", "filter - 5", -205),
            ("bridge", "dstnat", -300),
            ("bridge", "out", 100),
        ] {
            let text = format!(
                "table {family} t {{\n chain c {{\n type filter hook input priority {priority}; policy accept;\n }}\n}}\n"
            );
            let reading = read_text(&text, 0).unwrap();
            assert_eq!(reading.tables[0].chains[0].base.as_ref().unwrap().priority, expected, "{priority}");
        }
    }

    #[test]
    fn a_base_chain_of_unknown_form_could_do_anything() {
        for form in
            ["hook input priority nobody", "hook nowhere priority 0", "hook input priority 0; policy perhaps"]
        {
            let text = format!("table ip t {{\n chain c {{\n type filter {form};\n accept\n }}\n}}\n");
            let reading = read_text(&text, 0).unwrap();
            assert_eq!(reading.tables[0].chains[0].rules.len(), 2, "{form}");
        }
    }

    #[test]
    fn devices_of_a_chain_are_read_in_both_forms() {
        let name = |name: &str| NamePattern::Exact(name.into());
        for (devices, expected) in [
            ("device \"lo\"", vec![name("lo")]),
            ("devices = { \"eth0\", eth1 }", vec![name("eth0"), name("eth1")]),
        ] {
            let text = format!(
                "table netdev t {{\n chain c {{\n type filter hook ingress {devices} priority 0; policy accept;\n }}\n}}\n"
            );
            let reading = read_text(&text, 0).unwrap();
            assert_eq!(reading.tables[0].chains[0].base.as_ref().unwrap().devices, Some(expected));
        }
    }

    #[test]
    fn a_target_that_was_not_printed_could_do_anything() {
        let rule = |line: &str| {
            let text = format!("table ip6 nat {{\n\tchain c {{\n\t\t{line}\n\t}}\n}}\n");
            read_text(&text, 0).unwrap().tables[0].chains[0].rules[0].items.clone()
        };
        let lost = |line: &str| matches!(rule(line).last(), Some(Item::Act(Action::Opaque(_))));
        assert!(lost("tcp dport 443 counter packets 0 bytes 0 "));
        assert!(lost("tcp dport 443 counter packets 0 bytes 0  # handle 2"));
        assert!(!lost("tcp dport 443 counter packets 0 bytes 0"));
        assert!(!lost("tcp dport 443 counter packets 0 bytes 0 # handle 2"));
        assert!(!lost("tcp dport 443 counter packets 0 bytes 0 accept "));
    }

    #[test]
    fn an_empty_ruleset_is_a_ruleset() {
        assert!(read_text("", 0).unwrap().tables.is_empty());
        assert!(read_text("\n# nothing\n", 0).unwrap().tables.is_empty());
    }

    #[test]
    fn what_is_no_listing_or_not_whole_is_an_error_with_its_line() {
        for (text, line) in [
            ("add rule ip t c accept", 1),
            ("\ninclude \"x\"", 2),
            ("define x = 1\ntable ip t { }", 1),
            ("flush table ip t", 1),
            ("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n", 1),
            ("{\"nftables\": []}", 1),
            ("\0\u{1}\u{2}binary", 1),
            ("table ip t {\n chain c {\n  accept\n", 4),
            ("table ip t {\n chain c {\n  accept\n }\n", 5),
            ("table ip t {\n set s {\n  type ipv4_addr\n  elements = { 1.2.3.4,\n", 4),
            ("table ip t {\n chain c {\n  jump {\n accept\n", 3),
            ("table ip t {\n chain c {\n  ip saddr { 1.2.3.4", 3),
            ("table ip t {\n chain c {\n  accept comment \"cut of", 3),
            ("table ip t { }\n}\n", 2),
            ("table ip t { }\n\"never closed", 2),
            ("table", 1),
        ] {
            let error = read_text(text, 0).unwrap_err();
            assert!(error.place.line >= line, "{text:?}: {error:?}");
            assert!(!error.message.is_empty() && !error.help.is_empty());
        }
    }

    #[test]
    fn braces_without_end_are_bounded() {
        for piece in ["jump {", "(", "{", "ip saddr (", "meta mark & (", "a | ", "meta mark | 1 ", "jhash "] {
            for end in ["", "\n}\n}\n"] {
                let text = format!("table ip t {{\n chain c {{\n{}{end}", piece.repeat(20_000));
                let _ = read_text(&text, 0);
            }
        }
    }

    #[test]
    fn a_set_of_unknown_type_or_form_is_unknown() {
        for declared in [
            "type ether_addr\n elements = { 00:11:22:33:44:55 }",
            "type ipv4_addr\n elements = { 1.2.3.4, nobody }",
            "typeof vlan id\n elements = { 5 }",
            "typeof ip saddr . tcp option maxseg size\n elements = { 1.2.3.4 . 5 }",
            "elements = { 1.2.3.4 }",
            "type ipv4_addr\n elements = { 1.2.3.4 = 5 }",
        ] {
            let text = format!("table ip t {{\n set s {{\n {declared}\n }}\n chain c {{\n accept\n }}\n}}\n");
            let reading = read_text(&text, 0).unwrap();
            assert!(matches!(reading.tables[0].sets["s"].elements, Elements::Unknown(_)), "{declared}");
            assert_eq!(reading.tables[0].chains[0].rules.len(), 1);
        }
    }

    #[test]
    fn objects_that_decide_nothing_are_skipped_whole() {
        let text = "table inet t {\n counter c {\n packets 1 bytes 2\n }\n flowtable f {\n hook ingress priority filter\n devices = { eth0 }\n }\n \
             ct helper h {\n type \"ftp\" protocol tcp\n }\n novelty n {\n chain x { accept }\n }\n comment \"x\"\n flags owner\n}\n";
        let reading = read_text(text, 0).unwrap();
        assert!(reading.tables[0].chains.is_empty());
        assert_eq!(reading.tables[0].dormant, Some(false));
        assert_eq!(reading.remarks.len(), 1);
    }
}
