//! nginx: reads a configuration as nginx does, and answers who gets into one of its locations.
//!
//! `read` makes directives out of text, `evaluate` asks them. Nothing here reads a file: whoever calls gives the
//! texts ([`Files`]).

use std::borrow::Cow;

use crate::admission::Listing;

/// A configuration: its directives in the order in which nginx sees them, included files in place.
#[derive(Debug, Default)]
pub struct Config<'t> {
    /// The directives of the main level.
    pub directives: Vec<Directive<'t>>,
    /// What was skipped, and what is odd about the text.
    pub remarks: Vec<Remark>,
}

/// One directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive<'t> {
    /// Its words, its name first: quotes and escapes resolved as nginx does, variables as they are written.
    pub words: Vec<Cow<'t, str>>,
    /// What is between its braces; `None` where it ends with a semicolon.
    pub block: Option<Vec<Directive<'t>>>,
    /// Where it stands.
    pub place: Place,
}

impl Directive<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        self.words.first().map_or("", |word| word)
    }

    /// Its words after the name.
    pub fn arguments(&self) -> &[Cow<'_, str>] {
        self.words.get(1..).unwrap_or_default()
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

/// The texts of a configuration, the main file first.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Each file with its path.
    pub listings: Vec<Listing>,
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
