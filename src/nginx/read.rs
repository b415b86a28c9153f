//! Directives out of texts: blocks, included files in place, Lua skipped.
//!
//! It reads what nginx reads, and refuses what nginx refuses for its form. Which directives there are and what
//! they may have is not looked at here: modules bring their own.

use super::kept::Kept;
use super::lexer::{End, Fault, Lexer, Token};
use super::{Config, Directive, Files, Glob, Held, Place, Remark, Words};
use crate::plain::line;

/// Blocks within blocks.
const DEPTH_MAX: usize = 100;
/// Files within files.
const CHAIN_MAX: usize = 50;
/// Directives of a configuration, included ones as often as they are.
const DIRECTIVES_MAX: usize = 4_000_000;
/// How often files may be included.
const INCLUSIONS_MAX: usize = 200_000;
/// Remarks that are kept.
const REMARKS_MAX: usize = 100;

/// Why a configuration can't be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.located())]
pub struct ReadError {
    /// The file.
    pub file: String,
    /// Its line; 0 where the file as a whole is meant.
    pub line: u32,
    /// What is wrong, naming the text.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl ReadError {
    /// A file as a whole is wrong.
    pub fn whole(file: &str, message: String, help: &str) -> Self {
        Self { file: file.to_owned(), line: 0, message, help: help.to_owned() }
    }

    fn located(&self) -> String {
        let file = line(&self.file);
        match self.line {
            0 => format!("{file}: {}", self.message),
            line => format!("{file}:{line}: {}", self.message),
        }
    }
}

/// Reads a configuration.
pub fn read(files: &Files) -> Result<Config<'_>, ReadError> {
    let mut reader = Reader {
        files,
        open: Vec::new(),
        remarks: Vec::new(),
        directives: 0,
        inclusions: 0,
        kept: files.kept(),
    };
    let mut directives = Vec::new();
    reader.file(0, Inside { kind: Kind::Directives, depth: 0, until: Until::FileEnds }, &mut directives)?;
    Ok(Config { directives, remarks: reader.remarks })
}

/// Whether a directive's block is a program in Lua.
pub(super) fn is_lua(name: &str) -> bool {
    name.ends_with("_by_lua_block")
}

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Directives.
    Directives,
    /// Directives, among which there may be lists of allow and deny lines.
    Guarded,
    /// Entries of a table, among which files may be included as anywhere else.
    Table,
    /// Entries of `geo`, which includes one file at a time.
    Geo,
    /// Entries of a table that can't include anything.
    Data,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "map" | "types" => Kind::Table,
            "geo" => Kind::Geo,
            "split_clients" | "charset_map" => Kind::Data,
            "http" | "server" | "location" | "limit_except" | "stream" => Kind::Guarded,
            _ => Kind::Directives,
        }
    }
}

/// Where in a configuration a text stands.
#[derive(Debug, Clone, Copy)]
struct Inside {
    kind: Kind,
    depth: usize,
    /// What ends it.
    until: Until,
}

/// What ends a list of directives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    FileEnds,
    BlockEnds,
}

struct Reader<'t> {
    files: &'t Files,
    /// The files that are being read, each included by the one before it.
    open: Vec<u32>,
    remarks: Vec<Remark>,
    directives: usize,
    inclusions: usize,
    /// Where words are kept that stand for something else.
    kept: &'t Kept,
}

impl<'t> Reader<'t> {
    /// Reads a file, whose directives are added.
    fn file(&mut self, file: u32, inside: Inside, out: &mut Vec<Directive<'t>>) -> Result<(), ReadError> {
        let text = usize::try_from(file).ok().and_then(|index| self.files.listings().get(index));
        let text = text.map_or("", |listing| &*listing.text);
        self.open.push(file);
        let mut lexer = Lexer::new(text, self.kept);
        if text.starts_with('\u{feff}') {
            let help = "take it away; nginx refuses the file with it";
            return Err(self.error(1, "the file starts with a byte order mark".to_owned(), help));
        }
        self.level(&mut lexer, inside, out)?;
        self.kept = lexer.kept();
        self.open.pop();
        Ok(())
    }

    /// Reads up to the end of a block, or of the file where none is open in it.
    fn level(
        &mut self,
        lexer: &mut Lexer<'t>,
        inside: Inside,
        out: &mut Vec<Directive<'t>>,
    ) -> Result<(), ReadError> {
        let file = self.open.last().copied().unwrap_or_default();
        loop {
            let (words, end, line) = match (lexer.next().map_err(|fault| self.refused(fault))?, inside.until)
            {
                (Token::Statement { words, end, line }, _) => (words, end, line),
                (Token::Close, Until::BlockEnds) | (Token::Done, Until::FileEnds) => return Ok(()),
                (Token::Done, Until::BlockEnds) => return Err(self.refused(lexer.unclosed())),
                (Token::Close, Until::FileEnds) => {
                    let help = "take it out, or open its block in the same file";
                    return Err(self.error(lexer.line(), "unexpected `}`".to_owned(), help));
                }
            };
            let place = Place { file, line };
            self.count(line)?;
            let name = words.first().map_or("", |word| word);
            let block = match end {
                _ if name == "include" && inside.kind != Kind::Data => {
                    let files = self.include(&words, end, place, inside)?;
                    self.files(&files, inside, out)?;
                    continue;
                }
                End::Semicolon => None,
                End::Brace if !matches!(inside.kind, Kind::Directives | Kind::Guarded) => {
                    let help = "tables have no blocks: end the entry with `;`";
                    return Err(self.error(line, "unexpected `{`".to_owned(), help));
                }
                End::Brace if is_lua(name) => {
                    out.push(self.lua(lexer, &words, place)?);
                    continue;
                }
                End::Brace => Some(self.block(lexer, Kind::of(name), inside.depth + 1, line)?),
            };
            out.push(Directive::new(words, block, place));
            if inside.kind == Kind::Guarded
                && let Some(list) = lexer.list(file)
            {
                self.directives += list.networks.len();
                self.count(line)?;
                out.push(Directive { place: list.before, held: Held::List(Box::new(list)) });
            }
        }
    }

    /// Reads files where they are included.
    fn files(
        &mut self,
        files: &[u32],
        inside: Inside,
        out: &mut Vec<Directive<'t>>,
    ) -> Result<(), ReadError> {
        let inside = Inside { until: Until::FileEnds, ..inside };
        files.iter().try_for_each(|file| self.file(*file, inside, out))
    }

    /// Reads what is between braces.
    fn block(
        &mut self,
        lexer: &mut Lexer<'t>,
        kind: Kind,
        depth: usize,
        line: u32,
    ) -> Result<Box<[Directive<'t>]>, ReadError> {
        if depth > DEPTH_MAX {
            let help = "no configuration needs as many; look for braces that are not closed";
            return Err(self.error(line, format!("more than {DEPTH_MAX} blocks within each other"), help));
        }
        let mut directives = Vec::new();
        self.level(lexer, Inside { kind, depth, until: Until::BlockEnds }, &mut directives)?;
        Ok(directives.into())
    }

    /// A directive whose block is a program: it is kept as its last word.
    fn lua(
        &mut self,
        lexer: &mut Lexer<'t>,
        words: &Words<'t>,
        place: Place,
    ) -> Result<Directive<'t>, ReadError> {
        let code = lexer.lua().map_err(|fault| self.refused(fault))?;
        self.remark(
            place,
            format!("`{}` is a program, which is not read", line(words.first().map_or("", |name| name))),
        );
        Ok(Directive::new(words.and(code), None, place))
    }

    /// The files that a directive includes.
    fn include(
        &mut self,
        words: &Words<'t>,
        end: End,
        place: Place,
        inside: Inside,
    ) -> Result<Vec<u32>, ReadError> {
        let [_, word] = &**words else {
            let help = "write `include`, one path or pattern, and `;`";
            return Err(self.error(place.line, "`include` takes one word".to_owned(), help));
        };
        let shown = line(word);
        if end == End::Brace {
            let help = "end it with `;`";
            return Err(self.error(place.line, "`include` has no block".to_owned(), help));
        }
        if inside.kind == Kind::Geo && Glob::new(word).is_some() {
            let help = "name the files one by one";
            return Err(self.error(
                place.line,
                format!("`geo` includes no pattern, such as `{shown}`"),
                help,
            ));
        }
        let files = match self.files.included(word) {
            Ok(files) => files.to_vec(),
            Err(why) => {
                let help = "put it there, or take the directive out; of a copied folder tree, name the folder that stands for `/`";
                return Err(self.error(place.line, format!("`{shown}` can't be included: {why}"), help));
            }
        };
        self.inclusions = self.inclusions.saturating_add(files.len());
        let circle = files.iter().find_map(|file| self.open.iter().position(|open| open == file));
        if let Some(start) = circle {
            let chain = self.open.iter().skip(start).chain(self.open.get(start));
            let names: Vec<String> = chain.map(|file| line(self.name(*file))).collect();
            let help = "take one of them out of the circle; nginx fails on it";
            return Err(self.error(
                place.line,
                format!("files include each other: {}", names.join(" → ")),
                help,
            ));
        }
        if self.open.len() > CHAIN_MAX || self.inclusions > INCLUSIONS_MAX {
            let message =
                format!("more than {CHAIN_MAX} files within each other, or {INCLUSIONS_MAX} inclusions");
            return Err(self.error(place.line, message, "include fewer files"));
        }
        Ok(files)
    }

    /// Counts directives.
    fn count(&mut self, line: u32) -> Result<(), ReadError> {
        self.directives += 1;
        if self.directives > DIRECTIVES_MAX {
            let help = "give a smaller configuration";
            return Err(self.error(line, format!("more than {DIRECTIVES_MAX} directives"), help));
        }
        Ok(())
    }

    fn remark(&mut self, place: Place, text: String) {
        if self.remarks.len() < REMARKS_MAX {
            self.remarks.push(Remark { place, text });
        }
    }

    fn name(&self, file: u32) -> &'t str {
        let listing = usize::try_from(file).ok().and_then(|index| self.files.listings().get(index));
        listing.map_or("", |listing| &listing.name)
    }

    fn refused(&self, fault: Fault) -> ReadError {
        self.error(fault.line, fault.message, fault.help)
    }

    /// Something is wrong in the file that is read.
    fn error(&self, line: u32, message: String, help: &str) -> ReadError {
        let file = self.open.last().map_or("", |file| self.name(*file)).to_owned();
        ReadError { file, line, message, help: help.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nginx::List;
    use crate::nginx::address::{Network, Range};

    /// Directives in a line.
    fn shown(directives: &[Directive<'_>]) -> String {
        let one = |directive: &Directive<'_>| {
            let words = directive.words().join(" ");
            match directive.block() {
                Some(block) => format!("{words}{{{}}}", shown(block)),
                None => format!("{words};"),
            }
        };
        directives.iter().map(one).collect()
    }

    /// The files of a dump made of these, the first of which is the main one.
    fn files(parts: &[(&str, &str)]) -> Files {
        let parts = parts.iter().map(|(name, text)| format!("# configuration file {name}:\n{text}\n"));
        Files::of_dump(&parts.collect::<Vec<_>>().concat()).unwrap().unwrap()
    }

    #[track_caller]
    fn check(parts: &[(&str, &str)], wanted: &str) {
        let files = files(parts);
        assert_eq!(shown(&read(&files).unwrap().directives), wanted);
    }

    #[track_caller]
    fn refused(parts: &[(&str, &str)], wanted: &str) {
        let files = files(parts);
        let error = read(&files).unwrap_err();
        assert!(!error.help.is_empty());
        assert_eq!(error.to_string(), wanted);
    }

    #[test]
    fn blocks_and_included_files_stand_in_place() {
        check(
            &[
                (
                    "/n/main",
                    "a;\nhttp {\n include s/*;\n geo $x { include t; }\n map $a $b { include t; }\n}\n",
                ),
                ("/n/s/1", "server { include ../n/u; }"),
                ("/n/s/2", "server { }"),
                ("/n/t", "k v;"),
                ("/n/../n/u", "listen 1;"),
            ],
            "a;http{server{listen 1;}server{}geo $x{k v;}map $a $b{k v;}}",
        );
        check(&[("/n/m", "include a;b{include a;}"), ("/n/a", "c;")], "c;b{c;}");
        check(&[("/n/m", "split_clients a b { include x; }")], "split_clients a b{include x;}");
    }

    proptest! {
        #[test]
        fn lists_have_the_lines_that_are_written(
            parts in prop::collection::vec((0_usize..LINES.len(), prop_oneof![0_usize..4, 60_usize..74]), 1..8),
            ends in any::<bool>(),
        ) {
            let lines = parts.iter().flat_map(|(line, count)| (0..*count).map(move |at| (line, at)));
            let mut text: String = lines.map(|(line, at)| LINES[*line].replace('@', &(at % 256).to_string())).collect();
            if ends {
                text.push_str("\n  ");
            }
            let kept = Kept::default();
            let mut lexer = Lexer::new(&text, &kept);
            let mut wanted = Vec::new();
            while let Token::Statement { words, line, .. } = lexer.next().unwrap() {
                wanted.push((words.join(" "), line + 1));
            }
            let files = Files::single("/m", format!("location / {{\n{text}}}"));
            let config = read(&files).unwrap();
            let mut found = Vec::new();
            for one in config.directives[0].block().unwrap() {
                let held = one.list().map(List::lines);
                prop_assert!(held.as_ref().is_none_or(|lines| lines.len() >= 64));
                for line in held.as_deref().unwrap_or(std::slice::from_ref(one)) {
                    found.push((line.words().join(" "), line.place.line));
                }
                if let Some((list, lines)) = one.list().zip(held) {
                    let networks: Vec<_> = lines.iter().map(|line| {
                        assert_eq!(line.name(), list.name());
                        match Network::read(line.arguments()[0]).unwrap().range {
                            Range::V4(span) => span,
                            Range::V6(_) => panic!("{line:?}"),
                        }
                    }).collect();
                    prop_assert_eq!(list.networks(), networks);
                }
            }
            prop_assert_eq!(found, wanted);
            let is_long = parts.iter().any(|(line, count)| matches!(line, 0..3 | 11) && *count > 69);
            prop_assert!(!is_long || config.directives[0].block().unwrap().iter().any(|one| one.list().is_some()));
        }
    }

    /// Lines as lists have them, and lines that end a list; each `@` becomes a number.
    const LINES: [&str; 13] = [
        "allow 192.0.2.@;\n",
        "\n\tdeny  198.51.@.0/24;",
        "  allow 10.1.2.@/32; ",
        "allow 2001:db8::@;\n",
        "allow 255.255.255.255;\n",
        "allow \"192.0.2.@\";\n",
        "allow 192.0.2.@ ;\n",
        "allow 192.0.2.0@;\n",
        "satisfy any;\n",
        "allow all; # @\n",
        "allow 192.0.2.1/16;\n",
        "allow 198.51.100.@; # a/b, active\n",
        "allow 198.51.100.7; # @\n\n",
    ];

    #[test]
    fn places_are_those_of_the_file() {
        let files = files(&[("/n/m", "\n\ninclude a;\n\nb;"), ("/n/a", "\nc;")]);
        let config = read(&files).unwrap();
        let places: Vec<_> = config.directives.iter().map(|one| (one.place.file, one.place.line)).collect();
        assert_eq!(places, [(1, 2), (0, 5)]);
    }

    #[test]
    fn programs_are_kept_unread() {
        let files = files(&[("/n/m", "location / {\n access_by_lua_block { if a then b({}) end }\n b;\n}")]);
        let config = read(&files).unwrap();
        let block = config.directives[0].block().unwrap();
        assert_eq!(block[0].arguments(), [" if a then b({}) end "]);
        assert_eq!((block[0].block(), block[1].place.line), (None, 3));
        assert_eq!(config.remarks.len(), 1);
        assert_eq!(config.remarks[0].text, "`access_by_lua_block` is a program, which is not read");
    }

    #[test]
    fn what_nginx_refuses_is_refused_with_its_place() {
        refused(&[("/m", "a {\n b;\n")], "/m:3: the file ends, and `}` is missing");
        refused(&[("/m", "a;\n}\n")], "/m:2: unexpected `}`");
        refused(&[("/m", "include a;"), ("/a", "b {\n")], "/a:2: the file ends, and `}` is missing");
        refused(&[("/m", "b { include a; }"), ("/a", "\n}")], "/a:2: unexpected `}`");
        refused(&[("/m", "geo $a {\n b { } }")], "/m:2: unexpected `{`");
        refused(&[("/m", "include a b;")], "/m:1: `include` takes one word");
        refused(&[("/m", "include a { }")], "/m:1: `include` has no block");
        refused(&[("/m", "include a;")], "/m:1: `a` can't be included: `/a` is not in the dump");
        refused(&[("/m", "geo $a { include a*; }")], "/m:1: `geo` includes no pattern, such as `a*`");
        refused(&[("/m", "a_by_lua_block {\n{ }")], "/m:1: a block of Lua does not end");
        refused(&[("/m", "\u{feff}a;")], "/m:1: the file starts with a byte order mark");
        let deep = "a {".repeat(101) + &"}".repeat(101);
        refused(&[("/m", &deep)], "/m:1: more than 100 blocks within each other");
    }

    #[test]
    fn files_that_include_each_other_are_named() {
        refused(
            &[("/m", "include a;"), ("/a", "\ninclude b;"), ("/b", "include a;")],
            "/b:1: files include each other: /a → /b → /a",
        );
        refused(&[("/m", "include m;")], "/m:1: files include each other: /m → /m");
    }
}
