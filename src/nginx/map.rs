//! `map` blocks: a value for each text.
//!
//! A text is looked up whole, whatever its case; then, with `hostnames`, among names that start with a star and
//! among those that end with one, the longest first; then patterns are tried in their order; then comes the default.
//! <https://nginx.org/en/docs/http/ngx_http_map_module.html>; what that leaves open was seen by running nginx.

use std::collections::BTreeMap;

use super::pattern::{Case, Found, Pattern};
use super::{Directive, Place, TableError, variable};
use crate::plain::line;

/// A `map` block.
#[derive(Debug, Clone)]
pub struct Map {
    /// The variable that gets the value, without its dollar.
    pub variable: String,
    /// What is looked up: a text with variables.
    pub source: String,
    /// Whether it is looked up each time anew, and not once a request.
    pub is_volatile: bool,
    has_hostnames: bool,
    entries: Vec<Entry>,
    /// Entries by their text, in small letters.
    whole: BTreeMap<String, usize>,
    /// `*.b.c` by `.b.c`.
    heads: BTreeMap<String, usize>,
    /// `a.b.*` by `a.b.`.
    tails: BTreeMap<String, usize>,
    /// Patterns in their order.
    patterns: Vec<(String, Case, usize)>,
    default: Option<usize>,
}

/// A value, and who gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    value: String,
    place: Place,
}

/// What a map makes of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapped<'m> {
    /// This value.
    One {
        /// A text that may have variables.
        value: &'m str,
        /// The entry; `None` where nothing matches and there is no default.
        place: Option<Place>,
        /// What the groups of its pattern hold, the whole match first; `None` where the entry is no pattern.
        captured: Option<Captured>,
    },
    /// One of these values, none of which has groups that are known; and why nobody can say which.
    OneOf(String, Vec<&'m str>),
}

/// What the groups of a pattern hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// By number, the whole match first; `None` where nobody can say.
    pub groups: Option<Vec<Option<String>>>,
    /// Names with numbers.
    pub names: Vec<(String, usize)>,
}

impl Map {
    /// Reads a block.
    pub fn read(directive: &Directive<'_>) -> Result<Self, TableError> {
        let wrong = || {
            let help = "write `map text $variable { … }`";
            TableError::new(directive.place, "`map` takes a text and a variable".to_owned(), help)
        };
        let [source, name] = directive.arguments() else { return Err(wrong()) };
        let mut map = Self {
            variable: variable(name).ok_or_else(wrong)?.to_owned(),
            source: source.to_string(),
            is_volatile: false,
            has_hostnames: false,
            entries: Vec::new(),
            whole: BTreeMap::new(),
            heads: BTreeMap::new(),
            tails: BTreeMap::new(),
            patterns: Vec::new(),
            default: None,
        };
        for entry in directive.block().ok_or_else(wrong)? {
            map.entry(entry)?;
        }
        Ok(map)
    }

    /// What it makes of a text.
    pub fn value(&self, text: &str) -> Mapped<'_> {
        // A name that ends with a dot is the same name; patterns see it as it is.
        let name = if self.has_hostnames { text.strip_suffix('.').unwrap_or(text) } else { text };
        let low = name.to_ascii_lowercase();
        if let Some(at) = self.named(&low) {
            return self.one(Some(at), None);
        }
        let mut perhaps: Option<(String, Vec<&str>)> = None;
        let patterns = if name.is_empty() { &[][..] } else { &self.patterns };
        if patterns.len() > PATTERNS_MAX {
            let why = format!("the map of `${}` has more than {PATTERNS_MAX} patterns", line(&self.variable));
            return Mapped::OneOf(why, self.possible());
        }
        for (pattern, case, at) in patterns {
            let pattern = Pattern::new(pattern, *case);
            match pattern.find(text) {
                Found::No => {}
                Found::Yes(groups) if perhaps.is_none() => {
                    return self.one(Some(*at), Some(Captured { groups, names: pattern.names().to_vec() }));
                }
                Found::Yes(_) => return settled(perhaps, self.text(*at)),
                Found::Unknown(why) => perhaps.get_or_insert((why, Vec::new())).1.push(self.text(*at)),
            }
        }
        match perhaps {
            None => self.one(self.default, None),
            some => settled(some, self.default.map_or("", |at| self.text(at))),
        }
    }

    /// The texts that it names whole, in small letters.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.whole.keys().map(String::as_str)
    }

    /// Its patterns, in their order.
    pub fn patterns(&self) -> impl Iterator<Item = (&str, Case)> {
        self.patterns.iter().map(|(text, case, _)| (text.as_str(), *case))
    }

    /// Whether it names texts by how they begin or end.
    pub fn names_parts(&self) -> bool {
        !self.heads.is_empty() || !self.tails.is_empty()
    }

    /// Every value that it may give, each once, in their order.
    pub fn possible(&self) -> Vec<&str> {
        let default = if self.default.is_none() { Some("") } else { None };
        let mut values: Vec<&str> = self.entries.iter().map(|entry| &*entry.value).chain(default).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// The entry of a text in small letters, patterns aside.
    fn named(&self, low: &str) -> Option<usize> {
        let whole = self.whole.get(low);
        let mut dots = low.match_indices('.').map(|(at, _)| at);
        let head = || dots.clone().find_map(|at| self.heads.get(low.get(at..)?));
        let found = whole.or_else(head);
        if found.is_some() || self.tails.is_empty() {
            return found.copied();
        }
        let mut tail = None;
        for at in dots.by_ref() {
            tail = self.tails.get(low.get(..=at).unwrap_or_default()).or(tail);
        }
        tail.copied()
    }

    fn one(&self, at: Option<usize>, captured: Option<Captured>) -> Mapped<'_> {
        let entry = at.and_then(|at| self.entries.get(at));
        let value = entry.map_or("", |entry| &*entry.value);
        Mapped::One { value, place: entry.map(|entry| entry.place), captured }
    }

    fn text(&self, at: usize) -> &str {
        self.entries.get(at).map_or("", |entry| &*entry.value)
    }

    fn entry(&mut self, entry: &Directive<'_>) -> Result<(), TableError> {
        let place = entry.place;
        let (key, value) = match entry.words() {
            ["hostnames"] => {
                self.has_hostnames = true;
                return Ok(());
            }
            ["volatile"] => {
                self.is_volatile = true;
                return Ok(());
            }
            [key, value] => (&**key, &**value),
            _ => {
                let message = format!("an entry of `map` that starts with `{}`", line(entry.name()));
                return Err(TableError::new(place, message, "write a text and its value"));
            }
        };
        let at = self.entries.len();
        self.entries.push(Entry { value: value.to_owned(), place });
        if key == "default" {
            if self.default.replace(at).is_some() {
                let help = "keep one of them; nginx refuses both";
                return Err(TableError::new(place, "`map` has `default` twice".to_owned(), help));
            }
            return Ok(());
        }
        if let Some(pattern) = key.strip_prefix('~') {
            let (text, case) = match pattern.strip_prefix('*') {
                Some(text) => (text, Case::Insensitive),
                None => (pattern, Case::Sensitive),
            };
            self.patterns.push((text.to_owned(), case, at));
            return Ok(());
        }
        let key = key.strip_prefix('\\').unwrap_or(key).to_ascii_lowercase();
        if self.add(&key, at).map_err(|what| TableError::new(place, what, NAME_HELP))? {
            return Ok(());
        }
        let message = format!("`map` has `{}` twice", line(&key));
        Err(TableError::new(place, message, "keep one of them; case does not tell them apart"))
    }

    /// Adds an entry that is no pattern; whether it is the first of its name.
    fn add(&mut self, key: &str, at: usize) -> Result<bool, String> {
        if !self.has_hostnames {
            return Ok(self.whole.insert(key.to_owned(), at).is_none());
        }
        let odd = || Err(format!("`{}` is no host name", line(key)));
        if key.contains("..") || key.contains('\0') || key.bytes().filter(|byte| *byte == b'*').count() > 1 {
            return odd();
        }
        if key.len() > 1 && key.starts_with('.') {
            let whole = key.trim_start_matches('.').to_owned();
            let first = self.whole.insert(whole, at).is_none();
            return Ok(self.heads.insert(key.to_owned(), at).is_none() && first);
        }
        if let Some(rest) = key.strip_prefix('*').filter(|rest| rest.len() > 1 && rest.starts_with('.')) {
            return Ok(self.heads.insert(rest.to_owned(), at).is_none());
        }
        if let Some(rest) = key.strip_suffix('*').filter(|rest| rest.len() > 1 && rest.ends_with('.')) {
            return Ok(self.tails.insert(rest.to_owned(), at).is_none());
        }
        if key.contains('*') {
            return odd();
        }
        Ok(self.whole.insert(key.to_owned(), at).is_none())
    }
}

/// Patterns that are tried for one text.
const PATTERNS_MAX: usize = 10_000;

const NAME_HELP: &str = "write a name, or one with `*.` before it or `.*` after it";

/// What an undecided pattern leaves: its own value, and what comes after it.
fn settled<'m>(perhaps: Option<(String, Vec<&'m str>)>, last: &'m str) -> Mapped<'m> {
    let (why, mut values) = perhaps.unwrap_or_default();
    values.push(last);
    values.sort_unstable();
    values.dedup();
    Mapped::OneOf(why, values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx::{Files, read};

    fn map(entries: &str) -> Result<Map, TableError> {
        let files = Files::single("nginx.conf", format!("map $a $v {{ {entries} }}"));
        let config = read(&files).unwrap();
        Map::read(&config.directives[0])
    }

    /// Values of texts.
    #[track_caller]
    fn check(entries: &str, wanted: &[(&str, &str)]) {
        let map = map(entries).unwrap();
        for (text, wanted) in wanted {
            let Mapped::One { value, .. } = map.value(text) else { panic!("{text} is undecided") };
            assert_eq!(value, *wanted, "{text} in {entries}");
            assert!(map.possible().contains(wanted));
        }
    }

    #[track_caller]
    fn refused(entries: &str, words: &str) {
        let error = map(entries).unwrap_err();
        assert!(error.message.contains(words), "{error}");
        assert!(!error.help.is_empty());
    }

    #[test]
    fn whole_texts_come_first_whatever_their_case() {
        check("aBc 1;", &[("abc", "1"), ("ABC", "1"), ("x", ""), ("", "")]);
        check("~a 1; a 2; default 3;", &[("a", "2"), ("ab", "1"), ("", "3")]);
        check("'' 1; default d;", &[("", "1"), ("q", "d")]);
        check("*.c.d 2; default d;", &[("y.c.d", "d"), ("*.c.d", "2")]);
    }

    #[test]
    fn a_backslash_takes_the_meaning_away() {
        check(r"\default 1; default d;", &[("default", "1"), (r"\default", "d")]);
        check(
            r"\~a 1; \x 2; \include 3; \\y 4; default d;",
            &[("~a", "1"), ("x", "2"), ("include", "3"), ("y", "4")],
        );
        check("hostnames 1; volatile 2; 'default' 3;", &[("hostnames", "1"), ("volatile", "2"), ("q", "3")]);
    }

    #[test]
    fn the_longest_name_wins() {
        let entries =
            "hostnames; .a.b 1; *.c.d 2; e.* 3; f.g 4; *.x.c.d 5; e.f.* 6; ~^q 7; *.q 8; default d;";
        let texts = "a.b 1 x.a.b 1 A.B 1 c.d d y.c.d 2 z.x.c.d 5 e.g 3 e d e. d e.f.g 6 f.g 4 f.g. 4 a.b. 1 y.c.d. 2 \
            .a.b 1 x..c.d 2 q.q 8 qq 7 e.c.d 2";
        let words: Vec<&str> = texts.split_whitespace().collect();
        let wanted: Vec<(&str, &str)> = words.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        check(entries, &wanted);
        check("*.c.d 2; hostnames; *.e.f 3; default d;", &[("y.c.d", "d"), ("*.c.d", "2"), ("y.e.f", "3")]);
    }

    #[test]
    fn patterns_are_tried_in_their_order() {
        check("~b 1; ~a 2; ~*C 3; default d;", &[("ab", "1"), ("a", "2"), ("c", "3"), ("A", "d")]);
        let map = map("~^b(?<r>.*)$ x$r;").unwrap();
        let Mapped::One { captured: Some(captured), value, .. } = map.value("bzz") else { panic!() };
        assert_eq!((value, captured.names), ("x$r", vec![("r".to_owned(), 1)]));
        assert_eq!(captured.groups, Some(vec![Some("bzz".to_owned()), Some("zz".to_owned())]));
    }

    #[test]
    fn what_cannot_be_asked_leaves_a_choice() {
        let map = map("~(?=a) 1; ~b 2; ~(?=c) 3; default d;").unwrap();
        let one_of = |text: &str| match map.value(text) {
            Mapped::OneOf(why, values) => {
                assert!(why.contains("(?=a)"), "{why}");
                values
            }
            Mapped::One { .. } => Vec::new(),
        };
        assert_eq!(one_of("b"), ["1", "2"]);
        assert_eq!(one_of("x"), ["1", "3", "d"]);
    }

    #[test]
    fn what_nginx_refuses_is_refused() {
        refused("default d; default e;", "twice");
        refused("a 1; A 2;", "`map` has `a` twice");
        refused("hostnames; a*b 1;", "no host name");
        for name in ["*.*.a", "*", "*.", "*.a.*", "a..b"] {
            refused(&format!("hostnames; {name} 1;"), "no host name");
        }
        refused("hostnames; *.a 1; .a 2;", "twice");
        refused("hostnames; .a 1; a 2;", "twice");
        refused("hostnames; a 1; .a 2;", "twice");
        refused("hostnames; a.* 1; a.* 2;", "twice");
        refused("a b c;", "starts with `a`");
        refused("a;", "starts with `a`");
        assert!(map("hostnames; .* 1; a 2; *.a 3;").is_ok());
    }
}
