//! Which location answers a path, as nginx searches it.

use super::level::{DEPTH_MAX, Kind, LevelId, Program};
use super::pattern::{Case, Expression, Found};
use crate::nginx::map::Captured;

/// How a location is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// `location = /x`
    Exact(String),
    /// `location /x`
    Prefix(String),
    /// `location ^~ /x`: no pattern is tried once it is the longest.
    Final(String),
    /// `location ~ x`
    Pattern(Expression),
    /// `location @x`
    Named(String),
}

impl Name {
    /// Reads a location's arguments, whose modifier may stand by itself or before the name.
    pub(super) fn read(arguments: &[&str]) -> Self {
        let (modifier, text) = match arguments {
            [modifier, text, ..] => (*modifier, *text),
            [only] => {
                let modifiers = ["=", "^~", "~*", "~"];
                let found = modifiers.into_iter().find_map(|one| Some((one, only.strip_prefix(one)?)));
                found.unwrap_or(("", only))
            }
            [] => ("", ""),
        };
        let expression = |case| Name::Pattern(Expression::new(text, case));
        match modifier {
            "=" => Name::Exact(text.to_owned()),
            "^~" => Name::Final(text.to_owned()),
            "~" => expression(Case::Sensitive),
            "~*" => expression(Case::Insensitive),
            _ if text.starts_with('@') => Name::Named(text.to_owned()),
            _ => Name::Prefix(text.to_owned()),
        }
    }
}

impl Name {
    /// Whether patterns are tried once this is the longest that fits.
    fn patterns(&self) -> Patterns {
        if matches!(self, Name::Final(_)) { Patterns::Skipped } else { Patterns::Tried }
    }
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// This location answers; with what a pattern captured.
    Level(LevelId, Option<Captured>),
    /// No location: the server itself.
    Server,
    /// The name of this location with a slash is what callers are sent to.
    Slash(LevelId),
    /// Perhaps this location: nobody can say whether its pattern matches.
    Unknown(LevelId, String),
}

impl Place {
    /// The same, with what the pattern of the level around has captured.
    fn with(self, captured: Captured) -> Self {
        match self {
            Place::Level(id, None) => Place::Level(id, Some(captured)),
            other => other,
        }
    }
}

impl Program<'_> {
    /// Searches the location of a path within a server.
    ///
    /// <https://nginx.org/en/docs/http/ngx_http_core_module.html#location>
    pub(super) fn find(&self, server: LevelId, path: &str) -> Place {
        let mut finder = Finder { program: self, path, unknown: None };
        let place = finder.within(server, 0).map_or(Place::Server, |(place, _)| place);
        finder.unknown.map_or(place, |(id, why)| Place::Unknown(id, why))
    }

    /// A named location of a server.
    pub(super) fn named(&self, server: LevelId, name: &str) -> Option<LevelId> {
        let found = |id: &LevelId| {
            self.level(*id).is_some_and(
                |level| matches!(&level.kind, Kind::Location(Name::Named(known)) if known == name),
            )
        };
        self.level(server)?.locations.iter().copied().find(found)
    }

    /// Whether a location without the slash at its end sends callers to the one with it.
    fn redirects(&self, id: LevelId) -> bool {
        const PASSES: [&str; 6] =
            ["proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass"];
        self.level(id).is_some_and(|level| PASSES.iter().any(|name| level.has(name)))
    }
}

/// A search under way.
struct Finder<'a, 't> {
    program: &'a Program<'t>,
    path: &'a str,
    /// A location of which nobody can say whether its pattern matches, the first.
    unknown: Option<(LevelId, String)>,
}

/// The static location that fits best.
enum Best {
    None,
    Exact(LevelId),
    Slash(LevelId),
    Prefix(LevelId, Patterns),
}

/// Whether the patterns of the levels around are still tried.
#[derive(PartialEq, Eq)]
enum Search {
    Ends,
    GoesOn,
}

/// Whether the patterns beside a location are tried.
#[derive(PartialEq, Eq)]
enum Patterns {
    Tried,
    Skipped,
}

impl Finder<'_, '_> {
    /// The place within a level, and whether the search ends with it.
    fn within(&mut self, id: LevelId, depth: usize) -> Option<(Place, Search)> {
        // Locations stand no deeper than levels do.
        if depth > DEPTH_MAX {
            return None;
        }
        let inner = depth.saturating_add(1);
        let (found, patterns) = match self.best(id) {
            Best::None => (None, Patterns::Tried),
            Best::Exact(id) => return Some((Place::Level(id, None), Search::Ends)),
            Best::Slash(id) => return Some((Place::Slash(id), Search::Ends)),
            Best::Prefix(id, patterns) => {
                let nested = self.within(id, inner).unwrap_or((Place::Level(id, None), Search::GoesOn));
                if nested.1 == Search::Ends {
                    return Some(nested);
                }
                (Some(nested), patterns)
            }
        };
        let by_pattern = if patterns == Patterns::Tried { self.by_pattern(id, inner) } else { None };
        by_pattern.map(|place| (place, Search::Ends)).or(found)
    }

    fn best(&self, id: LevelId) -> Best {
        let mut best = Best::None;
        let mut length = 0;
        let mut slash = None;
        for id in self.program.level(id).map(|level| level.locations.as_slice()).unwrap_or_default() {
            let Some(level) = self.program.level(*id) else { continue };
            let Kind::Location(name) = &level.kind else { continue };
            let (Name::Exact(text) | Name::Prefix(text) | Name::Final(text)) = name else { continue };
            let is_exact = matches!(name, Name::Exact(_));
            if is_exact && text == self.path {
                return Best::Exact(*id);
            }
            if text.strip_suffix('/') == Some(self.path) && self.program.redirects(*id) {
                slash = Some(*id);
            }
            if !is_exact
                && self.path.starts_with(text.as_str())
                && (text.len() > length || matches!(best, Best::None))
            {
                length = text.len();
                best = Best::Prefix(*id, name.patterns());
            }
        }
        match slash {
            Some(id) if length < self.path.len() => Best::Slash(id),
            _ => best,
        }
    }

    fn by_pattern(&mut self, id: LevelId, depth: usize) -> Option<Place> {
        let program = self.program;
        for id in program.level(id).map(|level| level.locations.as_slice()).unwrap_or_default() {
            let Some(level) = program.level(*id) else { continue };
            let Kind::Location(Name::Pattern(expression)) = &level.kind else { continue };
            match expression.find(self.path) {
                Found::Yes(captured) => {
                    let nested = self.within(*id, depth).map_or(Place::Level(*id, None), |(place, _)| place);
                    return Some(nested.with(expression.captured(captured)));
                }
                Found::Unknown(why) if self.unknown.is_none() => self.unknown = Some((*id, why)),
                Found::No | Found::Unknown(_) => {}
            }
        }
        None
    }
}
