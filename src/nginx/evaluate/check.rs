//! What nginx would not load: a configuration that has it is refused, and not read as something else.
//!
//! Only what decides who gets in is looked at; the rest is nginx's own affair.

use std::collections::BTreeSet;

use super::code::{Act, Condition};
use super::level::{Kind, Level, Program, first};
use super::listener::Listen;
use super::locate::Name;
use crate::nginx::address::{Network, Operand};
use crate::nginx::{Config, Directive, Place, TableError};
use crate::plain::line;

/// Methods that `limit_except` knows.
const METHODS: [&str; 14] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "MKCOL",
    "COPY",
    "MOVE",
    "OPTIONS",
    "PROPFIND",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    "PATCH",
];

/// Directives that are looked at by themselves.
const CHECKED: [&str; 8] =
    ["allow", "deny", "set_real_ip_from", "satisfy", "listen", "server_name", "try_files", "error_page"];

/// Refuses what nginx would not load.
pub(super) fn check(config: &Config<'_>, program: &Program<'_>) -> Result<(), TableError> {
    roots(config)?;
    for (id, level) in program.levels.iter().enumerate() {
        once(program, level)?;
        locations(program, level)?;
        // The stream module has a `return` of its own.
        if !program.streams.contains(&id) {
            codes(program, level)?;
        }
    }
    listens(program)?;
    program.levels.iter().try_for_each(|level| directives(program, level))
}

/// Directives of a level, each by itself. Of lists only those are looked at that could not be read.
fn directives(program: &Program<'_>, level: &Level<'_>) -> Result<(), TableError> {
    let mut numbers = level.own(&CHECKED);
    numbers.extend(Some(level.number).filter(|_| matches!(level.kind, Kind::LimitExcept(_))));
    numbers
        .into_iter()
        .filter_map(|number| program.directive(number))
        .try_for_each(|one| directive(one, level))
}

fn fault(place: Place, message: String, help: &str) -> TableError {
    TableError { place, message, help: help.to_owned() }
}

/// The main level.
fn roots(config: &Config<'_>) -> Result<(), TableError> {
    let mut seen = BTreeSet::new();
    for directive in &config.directives {
        let name = directive.name();
        if matches!(name, "http" | "stream") && !seen.insert(name.to_owned()) {
            return Err(fault(directive.place, format!("`{name}` is there twice"), "keep one of them"));
        }
        if matches!(name, "allow" | "deny" | "server" | "location" | "set_real_ip_from") {
            return Err(misplaced(directive));
        }
    }
    Ok(())
}

fn misplaced(directive: &Directive<'_>) -> TableError {
    let message = format!("`{}` stands where nginx does not take it", line(directive.name()));
    fault(directive.place, message, "`nginx -t` says the same; move it to where it belongs")
}

/// Directives that a level has once.
fn once(program: &Program<'_>, level: &Level<'_>) -> Result<(), TableError> {
    for name in
        ["satisfy", "real_ip_header", "real_ip_recursive", "limit_except", "try_files", "auth_request"]
    {
        if let Some(second) = level.own(&[name]).get(1).and_then(|number| program.directive(*number)) {
            return Err(fault(second.place, format!("`{name}` is there twice"), "keep one of them"));
        }
    }
    Ok(())
}

/// Locations of one level.
fn locations(program: &Program<'_>, level: &Level<'_>) -> Result<(), TableError> {
    let mut seen = BTreeSet::new();
    for id in &level.locations {
        let Some(location) = program.level(*id) else { continue };
        let Kind::Location(name) = &location.kind else { continue };
        let key = match name {
            Name::Exact(text) => (0, text),
            // Of these two there is one for each text.
            Name::Prefix(text) | Name::Final(text) => (1, text),
            Name::Named(text) => (2, text),
            Name::Pattern(_) => continue,
        };
        let Some(directive) = program.directive(location.number) else { continue };
        if !seen.insert(key) {
            let message = format!("location `{}` is there twice", line(key.1));
            return Err(fault(directive.place, message, "keep one of them; nginx refuses both"));
        }
        if let Kind::Location(Name::Exact(outer) | Name::Prefix(outer) | Name::Final(outer)) = &level.kind
            && key.0 < 2
            && !key.1.starts_with(outer.as_str())
        {
            let message = format!("location `{}` is outside of location `{}`", line(key.1), line(outer));
            return Err(fault(directive.place, message, "move it out of the other's block"));
        }
    }
    Ok(())
}

/// Rewriting directives that can't be read.
fn codes(program: &Program<'_>, level: &Level<'_>) -> Result<(), TableError> {
    for code in &level.codes {
        let is_unread = matches!(&code.act, Act::Unread | Act::If(Condition::Unread, _));
        let Some(directive) = program.directive(code.number).filter(|_| is_unread) else { continue };
        let words: Vec<&str> = directive.words().iter().map(AsRef::as_ref).collect();
        let message = format!("`{}` is nothing that nginx loads", line(&words.join(" ")));
        return Err(fault(directive.place, message, "`nginx -t` says what is wrong with it"));
    }
    Ok(())
}

/// Sockets have one default server.
fn listens(program: &Program<'_>) -> Result<(), TableError> {
    for servers in [&program.servers, &program.streams] {
        let mut seen = BTreeSet::new();
        let levels = servers.iter().filter_map(|server| program.level(*server));
        let lines = levels.flat_map(|level| level.own(&["listen"]));
        for directive in lines.filter_map(|number| program.directive(number)) {
            let socket = Listen::read(directive).and_then(|listen| listen.default_socket());
            if socket.is_some_and(|socket| !seen.insert(socket)) {
                let message = format!("`{}` has a second default server", line(first(directive.arguments())));
                return Err(fault(directive.place, message, "keep one `default_server`"));
            }
        }
    }
    Ok(())
}

/// A directive by itself.
fn directive(directive: &Directive<'_>, level: &Level<'_>) -> Result<(), TableError> {
    let arguments = directive.arguments();
    let name = directive.name();
    match name {
        "allow" | "deny" => {
            if level.kind == Kind::If {
                return Err(misplaced(directive));
            }
            let help = "write an address, a prefix such as `192.0.2.0/24`, `unix:` or `all`";
            one(directive, help, |text| Operand::read(text).is_some())
        }
        "set_real_ip_from" => {
            let is_name = |text: &str| !text.contains(['/', '$']);
            let help = "write an address, a prefix, `unix:` or a host name";
            one(directive, help, |text| Network::read(text).is_some() || text == "unix:" || is_name(text))
        }
        "satisfy" => one(directive, "write `all` or `any`", |text| matches!(text, "all" | "any")),
        "limit_except" => every(directive, "write methods of HTTP", |text| {
            METHODS.contains(&text.to_ascii_uppercase().as_str())
        }),
        "listen" => {
            let help = "write an address, a port, or both, such as `192.0.2.1:443`";
            let is_read = |text: &str| text.starts_with("unix:") || Listen::read(directive).is_some();
            match arguments.first() {
                Some(text) if is_read(text) => Ok(()),
                _ => Err(odd(directive, arguments.first(), help)),
            }
        }
        "server_name" => {
            every(directive, "write a name, or one with `*.` before it or `.*` after it", is_name)
        }
        "try_files" | "error_page" if arguments.len() < 2 => Err(odd(directive, None, "give it two or more")),
        _ => Ok(()),
    }
}

/// Wildcards of a name stand for whole labels.
fn is_name(name: &str) -> bool {
    if name.starts_with('~') {
        return true;
    }
    let inner = name.strip_prefix("*.").or_else(|| name.strip_prefix('.')).unwrap_or(name);
    let inner = inner.strip_suffix(".*").unwrap_or(inner);
    !inner.starts_with('*') && !matches!(name, "." | "*" | "*.")
}

/// A directive that takes one word.
fn one(directive: &Directive<'_>, help: &str, is_read: impl Fn(&str) -> bool) -> Result<(), TableError> {
    match directive.arguments() {
        [text] if is_read(text) => Ok(()),
        [text] => Err(odd(directive, Some(text), help)),
        _ => Err(odd(directive, None, help)),
    }
}

/// A directive that takes words of one kind.
fn every(directive: &Directive<'_>, help: &str, is_read: impl Fn(&str) -> bool) -> Result<(), TableError> {
    match directive.arguments().iter().find(|text| !is_read(text)) {
        Some(text) => Err(odd(directive, Some(text), help)),
        None => Ok(()),
    }
}

fn odd(directive: &Directive<'_>, text: Option<&&str>, help: &str) -> TableError {
    let name = line(directive.name());
    let message = match text {
        Some(text) => format!("`{}` is nothing that `{name}` takes", line(text)),
        None => format!("`{name}` has too few or too many words"),
    };
    fault(directive.place, message, help)
}
