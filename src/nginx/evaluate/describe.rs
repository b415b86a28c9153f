//! What a number of a rule stands for, for people and machines.

use std::collections::BTreeMap;

use super::Asked;
use super::level::{Kind, LevelId, Role, as_unheard, ruled};
use super::listener::{listeners, names};
use super::locate::Name;
use crate::admission::{Decider, RuleId};
use crate::nginx::Directive;
use crate::prefix::Family;

impl Asked<'_> {
    /// The directive that a number stands for.
    pub(super) fn decider(&self, id: RuleId) -> Decider {
        if let Some((family, port)) = as_unheard(id) {
            return self.nobody(family, port);
        }
        let Some((number, role)) = ruled(id) else { return Decider::default() };
        let Some(entry) = self.program.entry(number) else { return Decider::default() };
        let directive = entry.directive;
        let opened = self.program.opened(number);
        let level = opened.or(entry.level);
        let (server, location) = level.map(|level| self.place(level)).unwrap_or_default();
        let within = match (&location, &server) {
            (Some(location), Some(server)) => format!("location `{location}` of {server}"),
            (None, Some(server)) => server.clone(),
            (_, None) => directive_of_root(directive).to_owned(),
        };
        let title = match (role, directive.name()) {
            (Role::EndOfList, _) => format!("end of the allow and deny lines of {within}"),
            (Role::Directive, "server" | "location") => within,
            (Role::Directive, _) => format!("{} of {within}", shown(directive)),
        };
        let mut facts = BTreeMap::from([("directive", directive.name().to_owned())]);
        if let Some(server) = server {
            facts.insert("server", server);
        }
        if let Some(location) = location {
            facts.insert("location", location);
        }
        let (listing, line) = self.located(directive);
        Decider { title, text: shown_whole(directive), listing, line, facts }
    }

    /// Nothing listens there.
    fn nobody(&self, family: Family, port: u16) -> Decider {
        let root = self.program.root.and_then(|root| self.program.directive(root));
        let (listing, line) = root.map(|root| self.located(root)).unwrap_or_default();
        let servers = [&self.program.servers, &self.program.streams];
        let mut sockets = servers.into_iter().flat_map(|servers| listeners(&self.program, servers, port));
        let own = sockets.find_map(|socket| socket.loopback(family));
        let title = own.map_or_else(
            || format!("no server listens on port {port} over {family}"),
            |own| {
                format!(
                    "only {own} is listened on at port {port}: `--address` asks about it, `--proxy` about callers through it"
                )
            },
        );
        Decider {
            title,
            text: String::new(),
            listing,
            line,
            facts: BTreeMap::from([("family", family.as_str().to_owned())]),
        }
    }

    /// The file and the line of a directive.
    fn located(&self, directive: &Directive<'_>) -> (String, u32) {
        let listing = usize::try_from(directive.place.file).ok().and_then(|at| self.files.listings().get(at));
        (listing.map(|listing| listing.name.clone()).unwrap_or_default(), directive.place.line)
    }

    /// The server and the location that a level stands in.
    fn place(&self, id: LevelId) -> (Option<String>, Option<String>) {
        let server = self.program.server(id);
        let shown = server.map(|server| {
            let names = names(&self.program, server);
            match names.first().filter(|name| !name.is_empty()) {
                Some(name) => format!("server `{name}`"),
                None => "a server without a name".to_owned(),
            }
        });
        let location = self.program.upwards(id).find_map(|(_, level)| match &level.kind {
            Kind::Location(name) => Some(located(name)),
            _ => None,
        });
        (shown, location)
    }
}

/// A location's name as it is written.
fn located(name: &Name) -> String {
    match name {
        Name::Exact(text) => format!("= {text}"),
        Name::Prefix(text) | Name::Named(text) => text.clone(),
        Name::Final(text) => format!("^~ {text}"),
        Name::Pattern(expression) => expression.shown(),
    }
}

fn directive_of_root<'a>(directive: &'a Directive<'_>) -> &'a str {
    match directive.name() {
        "stream" => "block `stream`",
        _ => "block `http`",
    }
}

/// A directive's words.
fn shown(directive: &Directive<'_>) -> String {
    let words: Vec<&str> = directive.words().iter().map(AsRef::as_ref).collect();
    crate::plain::line(&words.join(" "))
}

/// A directive's words and how it ends.
fn shown_whole(directive: &Directive<'_>) -> String {
    let end = if directive.block().is_some() { " {" } else { ";" };
    shown(directive) + end
}
