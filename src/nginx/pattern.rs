//! Regular expressions of nginx, asked by another engine than nginx's.
//!
//! nginx has PCRE, byte by byte; here a linear one asks. Both agree on what is plain: literals, classes, groups,
//! alternatives, repetitions. Whatever else a pattern has (look-around, back references, possessive repetition,
//! options, bytes beyond ASCII), and whatever the two read differently, is not asked but unknown.
//! <https://www.pcre.org/original/doc/html/pcrepattern.html> and <https://docs.rs/regex/latest/regex/#syntax>.

use regex::bytes::{Regex, RegexBuilder};

/// Bytes of memory that a pattern may need; one that needs more is unknown.
const SIZE_MAX: usize = 1 << 20;
/// Groups within groups.
const NEST_MAX: u32 = 50;

/// Whether case counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Case {
    /// `~`
    Sensitive,
    /// `~*`
    Insensitive,
}

/// Whether a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// With what the groups hold, the whole match first; `None` where nobody can say.
    Yes(Option<Vec<Option<String>>>),
    /// It doesn't.
    No,
    /// Nobody can say, and why.
    Unknown(String),
}

/// A regular expression, ready to be asked.
#[derive(Debug, Clone)]
pub struct Pattern {
    engine: Result<Regex, String>,
    names: Vec<(String, usize)>,
    groups: Groups,
}

/// Whether what groups hold is the same with both engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Groups {
    Known,
    /// A group is repeated, and the engines differ on which turn it holds.
    Repeated,
}

impl Pattern {
    /// This pattern, as nginx has it after resolving quotes and escapes.
    pub fn new(text: &str, case: Case) -> Self {
        let mut scan = Scan { rest: text, groups: 0, names: Vec::new(), repeated: Groups::Known };
        let engine = scan.pattern().map_err(|why| unknown(text, why)).and_then(|()| {
            let mut builder = RegexBuilder::new(text);
            builder.unicode(false).case_insensitive(case == Case::Insensitive);
            builder.size_limit(SIZE_MAX).nest_limit(NEST_MAX);
            builder.build().map_err(|_error| unknown(text, "can't be read here"))
        });
        Self { engine, names: scan.names, groups: scan.repeated }
    }

    /// Searches a text for it.
    pub fn find(&self, text: &str) -> Found {
        let engine = match &self.engine {
            Ok(engine) => engine,
            Err(why) => return Found::Unknown(why.clone()),
        };
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Found::Unknown("a text has bytes that are no UTF-8".to_owned());
        }
        if text.contains(['\n', '\r']) {
            return Found::Unknown("a text with line breaks is matched in other ways elsewhere".to_owned());
        }
        let Some(captures) = engine.captures(text.as_bytes()) else { return Found::No };
        if self.groups == Groups::Repeated && captures.len() > 1 {
            return Found::Yes(None);
        }
        let held = captures.iter().map(|group| {
            let group = group.map(|group| String::from_utf8(group.as_bytes().to_vec()));
            group.transpose()
        });
        Found::Yes(held.collect::<Result<_, _>>().ok())
    }

    /// Why it can't be asked at all; `None` where it can.
    pub fn unread(&self) -> Option<&str> {
        self.engine.as_ref().err().map(String::as_str)
    }

    /// Names of groups, which nginx makes variables of, with their numbers; as far as the pattern can be read.
    pub fn names(&self) -> &[(String, usize)] {
        &self.names
    }
}

fn unknown(text: &str, why: &str) -> String {
    format!("the pattern `{}` {why}", crate::plain::line(text))
}

const CLASS: &str = "has a class that is read in other ways elsewhere";
const ESCAPE: &str = "has an escape that is not known here";
const GROUP: &str = "has a group that is not known here";
const REPEAT: &str = "has a repetition that is read in other ways elsewhere";

/// Looks for what the two engines read differently.
struct Scan<'t> {
    rest: &'t str,
    groups: usize,
    names: Vec<(String, usize)>,
    repeated: Groups,
}

impl Scan<'_> {
    fn pattern(&mut self) -> Result<(), &'static str> {
        if !self.rest.is_ascii() {
            return Err("has bytes beyond ASCII");
        }
        if let Some(rest) = self.rest.strip_prefix("(?i)") {
            self.rest = rest;
        }
        while let Some(c) = self.take() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' if self.rest.starts_with(['*', '+', '{']) => self.repeated = Groups::Repeated,
                '*' | '+' | '?' | '{' => self.repetition(c)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let c = characters.next();
        self.rest = characters.as_str();
        c
    }

    /// What follows a backslash outside of classes.
    fn escape(&mut self) -> Result<(), &'static str> {
        match self.take() {
            Some('d' | 'D' | 'w' | 'W' | 's' | 'S' | 'b' | 'B' | 'A' | 'z' | 'n' | 'r' | 't' | 'f') => Ok(()),
            Some(c) if c.is_ascii_punctuation() && c != '<' && c != '>' => Ok(()),
            _ => Err(ESCAPE),
        }
    }

    /// What follows `[`, to its end.
    fn class(&mut self) -> Result<(), &'static str> {
        self.rest = self.rest.strip_prefix('^').unwrap_or(self.rest);
        self.rest = self.rest.strip_prefix(']').unwrap_or(self.rest);
        loop {
            if ["&&", "--", "~~"].iter().any(|operator| self.rest.starts_with(operator)) {
                return Err(CLASS);
            }
            match self.take() {
                Some(']') => return Ok(()),
                Some('[') => self.named_class()?,
                Some('\\') => match self.take() {
                    Some('d' | 'D' | 'w' | 'W' | 's' | 'S' | 'n' | 'r' | 't' | 'f') => {}
                    Some(c) if c.is_ascii_punctuation() && c != '<' && c != '>' => {}
                    _ => return Err(ESCAPE),
                },
                Some(_) => {}
                None => return Err("has a class that does not end"),
            }
        }
    }

    /// What follows a bracket in a class: `:alpha:]`. Other brackets are letters to PCRE, and classes here.
    fn named_class(&mut self) -> Result<(), &'static str> {
        let rest = self.rest.strip_prefix(':').ok_or(CLASS)?;
        let (name, rest) = rest.split_once(":]").ok_or(CLASS)?;
        if !name.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(CLASS);
        }
        self.rest = rest;
        Ok(())
    }

    /// What follows `(`.
    fn group(&mut self) -> Result<(), &'static str> {
        if self.rest.starts_with('*') {
            return Err(GROUP);
        }
        let Some(rest) = self.rest.strip_prefix('?') else {
            self.groups += 1;
            return Ok(());
        };
        if let Some(rest) = rest.strip_prefix(':').or_else(|| rest.strip_prefix("i:")) {
            self.rest = rest;
            return Ok(());
        }
        let rest = rest.strip_prefix('P').unwrap_or(rest).strip_prefix('<').ok_or(GROUP)?;
        let (name, rest) = rest.split_once('>').ok_or(GROUP)?;
        let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !first || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(GROUP);
        }
        self.groups += 1;
        self.names.push((name.to_owned(), self.groups));
        self.rest = rest;
        Ok(())
    }

    /// What follows `*`, `+`, `?` and `{`.
    fn repetition(&mut self, c: char) -> Result<(), &'static str> {
        if c == '{' {
            let (count, rest) = self.rest.split_once('}').ok_or(REPEAT)?;
            let (least, most) = count.split_once(',').unwrap_or((count, ""));
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            if least.is_empty() || !digits(least) || !digits(most) {
                return Err(REPEAT);
            }
            self.rest = rest;
        }
        self.rest = self.rest.strip_prefix('?').unwrap_or(self.rest);
        if self.rest.starts_with(['*', '+', '?', '{']) { Err(REPEAT) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &str, text: &str) -> Found {
        Pattern::new(pattern, Case::Sensitive).find(text)
    }

    fn yes(held: &[&str]) -> Found {
        Found::Yes(Some(held.iter().map(|one| Some((*one).to_owned())).collect()))
    }

    #[test]
    fn what_is_plain_is_asked() {
        assert_eq!(find(r"\.php$", "/a.php"), yes(&[".php"]));
        assert_eq!(find(r"\.php$", "/a.php/b"), Found::No);
        assert_eq!(find(r"^/u/(\d+)/(?<rest>.*)$", "/u/12/x"), yes(&["/u/12/x", "12", "x"]));
        assert_eq!(find("^/(a|b)?$", "/"), Found::Yes(Some(vec![Some("/".into()), None])));
        assert_eq!(find("^/[[:alpha:]_-]{2,3}$", "/a_b"), yes(&["/a_b"]));
        assert_eq!(find("^/A", "/a"), Found::No);
        assert_eq!(Pattern::new("^/A", Case::Insensitive).find("/a"), yes(&["/a"]));
        assert_eq!(find("(?i)^/A", "/a"), yes(&["/a"]));
        assert_eq!(find("^/.$", "/é"), Found::No);
        assert_eq!(find("^/..$", "/é"), yes(&["/é"]));
        assert_eq!(find("^/(.)", "/é"), Found::Yes(None));
        assert_eq!(find("(ab)+", "abab"), Found::Yes(None));
        assert_eq!(find("(?:ab)+", "abab"), yes(&["abab"]));
        assert_eq!(find("", "x"), yes(&[""]));
    }

    #[test]
    fn what_is_read_differently_is_unknown() {
        for pattern in [
            "^(?!/a)",
            "(?=a)",
            "(?<=a)b",
            "(?<!a)b",
            r"(a)\1",
            "a++",
            "a*+",
            "a{2}+",
            "(?>a)",
            r"\Qa\E",
            r"\h",
            r"\Z",
            r"\<a",
            "[a&&b]",
            "[[a]",
            "[a--b]",
            "(?x) a",
            "(?R)",
            "(*UTF8)a",
            "é",
            "a{,2}",
            "a{b}",
            "(",
            "[a",
            "a)",
            "*",
            r"a\",
            r"[\b]",
            r"\x41",
            "(?'a'b)",
            "(?P=a)",
            "(?P>a)",
            "a**",
            "[[.a.]]",
            "((((a{100}){100}){100}){100})",
        ] {
            assert!(matches!(find(pattern, "/a"), Found::Unknown(_)), "{pattern}");
        }
        assert!(matches!(find("a", "a\nb"), Found::Unknown(_)));
    }

    #[test]
    fn names_are_told() {
        let pattern = Pattern::new("(x)(?<one>a)(?P<two>b)", Case::Sensitive);
        assert_eq!(pattern.names(), [("one".to_owned(), 2), ("two".to_owned(), 3)]);
    }
}
