//! nginx: reads a configuration as nginx does, and answers who gets into one of its locations.
//!
//! `read` makes directives out of text, `evaluate` asks them. Nothing here reads a file: whoever calls gives the
//! texts ([`Files`]).

pub mod address;
mod compare;
pub mod evaluate;
mod files;
pub mod geo;
mod glob;
mod kept;
mod lexer;
mod lua;
pub mod map;
pub mod pattern;
pub mod read;

use std::ops::Deref;

pub use compare::{are_alike, sources};
pub use files::{Files, Texts};
pub use geo::Geo;
pub use glob::Glob;
pub(crate) use glob::matches_part;
use kept::Kept;
pub use map::{Map, Mapped};
pub use read::{ReadError, read};

/// A configuration: its directives in the order in which nginx sees them, included files in place.
#[derive(Debug, Default)]
pub struct Config<'t> {
    /// The directives of the main level.
    pub directives: Vec<Directive<'t>>,
    /// What was skipped, and what is odd about the text.
    pub remarks: Vec<Remark>,
}

/// One directive. Lists of addresses are very many with two words and no block, which need no room of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive<'t> {
    held: Held<'t>,
    /// Where it stands.
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Held<'t> {
    Line([&'t str; 2]),
    List(Box<List<'t>>),
    Other(Box<Other<'t>>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Other<'t> {
    words: Box<[&'t str]>,
    block: Option<Box<[Directive<'t>]>>,
}

impl<'t> Directive<'t> {
    fn new(words: Words<'t>, block: Option<Box<[Directive<'t>]>>, place: Place) -> Self {
        let held = match (words, block) {
            (Words::Two(words), None) => Held::Line(words),
            (Words::Two(words), block) => Held::Other(Box::new(Other { words: words.into(), block })),
            (Words::Any(words), block) => Held::Other(Box::new(Other { words, block })),
        };
        Self { held, place }
    }

    /// Its words, its name first: quotes and escapes resolved as nginx does, variables as they are written.
    pub fn words(&self) -> &[&'t str] {
        match &self.held {
            Held::Line(words) => words,
            Held::List(list) => std::slice::from_ref(&list.name),
            Held::Other(other) => &other.words,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'t str {
        self.words().first().map_or("", |word| word)
    }

    /// Its words after the name.
    pub fn arguments(&self) -> &[&'t str] {
        self.words().get(1..).unwrap_or_default()
    }

    /// The many directives that it stands for, where it is no directive of its own.
    pub fn list(&self) -> Option<&List<'t>> {
        match &self.held {
            Held::List(list) => Some(list),
            Held::Line(_) | Held::Other(_) => None,
        }
    }

    /// What is between its braces; `None` where it ends with a semicolon. A block of Lua is the last of its words.
    pub fn block(&self) -> Option<&[Directive<'t>]> {
        match &self.held {
            Held::Line(_) | Held::List(_) => None,
            Held::Other(other) => other.block.as_deref(),
        }
    }
}

/// Allow or deny lines that follow each other and begin alike, each with a network of IPv4 in its usual form. Lists can
/// be very long: their lines become directives only where somebody asks for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<'t> {
    /// `allow` or `deny`
    name: &'t str,
    /// First and last address of each.
    networks: Vec<(u32, u32)>,
    /// Their text, from the end of the line before.
    text: &'t str,
    /// Where that line is.
    before: Place,
    kept: &'t Kept,
}

impl<'t> List<'t> {
    /// `allow` or `deny`: all lines have the same.
    pub fn name(&self) -> &'t str {
        self.name
    }

    /// First and last address of each line's network.
    pub fn networks(&self) -> &[(u32, u32)] {
        &self.networks
    }

    /// Its lines, read anew.
    pub fn lines(&self) -> Box<[Directive<'t>]> {
        lexer::lines(self.text, self.before, self.kept)
    }
}

/// The words of a directive while it is read, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Words<'t> {
    Two([&'t str; 2]),
    Any(Box<[&'t str]>),
}

impl<'t> Words<'t> {
    /// These words, which are taken; `None` where there is none.
    fn new(words: &mut Vec<&'t str>) -> Option<Self> {
        let held = match words.as_slice() {
            [] => return None,
            [first, second] => Self::Two([first, second]),
            some => Self::Any(some.into()),
        };
        words.clear();
        Some(held)
    }

    /// These words and one more.
    fn and(&self, word: &'t str) -> Self {
        Self::Any(self.iter().copied().chain([word]).collect())
    }
}

impl<'t> Deref for Words<'t> {
    type Target = [&'t str];

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Two(words) => words,
            Self::Any(words) => words,
        }
    }
}

/// A place in a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// Index of the file in [`Files::listings`].
    pub file: u32,
    /// The line, from 1, of the directive's name.
    pub line: u32,
}

/// What a reader noticed besides the directives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Where.
    pub place: Place,
    /// What.
    pub text: String,
}

/// Why a directive or a block can't be taken. nginx refuses it as well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TableError {
    /// Where.
    pub place: Place,
    /// What is wrong, naming the text.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl TableError {
    fn new(place: Place, message: String, help: &str) -> Self {
        Self { place, message, help: help.to_owned() }
    }
}

/// The name of a variable that is declared, without its dollar.
fn variable(word: &str) -> Option<&str> {
    word.strip_prefix('$').filter(|name| !name.is_empty())
}

/// The request whose fate is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The name of the server as callers write it; `None` where they write any.
    pub server_name: Option<String>,
    /// Path and query as callers send them, such as `/callback?id=1`; of stream servers nothing is asked.
    pub path: String,
    /// `POST`, `GET`; `None` where it may be any, so that what tests it is undecided.
    pub method: Option<String>,
    /// Headers that callers send, with their values. What tests any other is undecided.
    pub headers: Vec<(String, String)>,
    /// The proxy that all callers come through, which tells their address in a header or by its own protocol.
    pub proxy: Option<std::net::IpAddr>,
}
