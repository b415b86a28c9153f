//! Directives that rewrite: `set`, `if`, `return`, `rewrite`, `break`, and what runs code of others.

use super::level::{LevelId, Number, first};
use super::pattern::{Case, Expression};
use crate::nginx::Directive;

/// A rewriting directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Code<'t> {
    /// The directive.
    pub(super) number: Number,
    /// What it does.
    pub(super) act: Act<'t>,
}

/// What a rewriting directive does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act<'t> {
    /// `set $name value;`
    Set(&'t str, &'t str),
    /// A variable gets a value that nobody can say.
    SetUnknown(&'t str),
    /// `if (…) { … }`
    If(Condition, LevelId),
    /// `return code text;`
    Return(Return),
    /// `rewrite pattern replacement flag;`
    Rewrite(Rewrite),
    /// `break;`
    Break,
    /// What nginx wouldn't load.
    Unread,
}

/// A `return`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Return {
    /// The status.
    pub(super) status: u16,
    /// A text, or where to go.
    pub(super) text: Option<String>,
}

/// A `rewrite`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rewrite {
    /// What the path has to match.
    pub(super) pattern: Expression,
    /// What it becomes.
    pub(super) replacement: String,
    /// What follows.
    pub(super) flag: Flag,
}

/// What follows a `rewrite`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    /// The next directive.
    None,
    /// The search for a location.
    Last,
    /// Nothing more is rewritten.
    Break,
    /// An answer that sends the caller elsewhere.
    Redirect,
}

/// What an `if` asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// Whether a variable is neither empty nor `0`.
    Truth(String),
    /// Whether a variable equals a text.
    Equal(String, String, Wanted),
    /// Whether a variable matches a pattern.
    Match(String, Expression, Wanted),
    /// Whether a file exists.
    File,
    /// What nginx wouldn't load.
    Unread,
}

/// What is wanted of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// That it holds.
    Holds,
    /// That it does not.
    Fails,
}

impl<'t> Code<'t> {
    /// Reads a rewriting directive; `None` where it is none.
    pub(super) fn read(number: Number, directive: &'t Directive<'t>) -> Option<Self> {
        let name = directive.name();
        let act = match name {
            "set" => match directive.arguments() {
                [variable, value] => {
                    variable.strip_prefix('$').map_or(Act::Unread, |name| Act::Set(name, value))
                }
                _ => Act::Unread,
            },
            "return" => Return::read(directive.arguments()).map_or(Act::Unread, Act::Return),
            "rewrite" => Rewrite::read(directive.arguments()).map_or(Act::Unread, Act::Rewrite),
            "break" => Act::Break,
            _ if name.starts_with("set_") && first(directive.arguments()).starts_with('$') => {
                Act::SetUnknown(first(directive.arguments()).trim_start_matches('$'))
            }
            _ => return None,
        };
        Some(Self { number, act })
    }

    /// An `if` and the level that its block is.
    pub(super) fn condition(number: Number, arguments: &[&str], level: LevelId) -> Self {
        Self { number, act: Act::If(Condition::read(arguments).unwrap_or(Condition::Unread), level) }
    }
}

/// The variables that a directive makes.
pub(super) fn sets<'t>(directive: &'t Directive<'t>) -> Option<&'t str> {
    let name = directive.name();
    let makes = name == "set" || name.starts_with("set_");
    if makes { first(directive.arguments()).strip_prefix('$') } else { None }
}

/// The variable that a module fills in, nobody can say with what.
pub(super) fn fills<'t>(directive: &'t Directive<'t>) -> Option<&'t str> {
    let makes = matches!(directive.name(), "auth_request_set" | "js_set" | "js_var" | "perl_set");
    if makes { first(directive.arguments()).strip_prefix('$') } else { None }
}

impl Return {
    /// <https://nginx.org/en/docs/http/ngx_http_rewrite_module.html#return>
    fn read(arguments: &[&str]) -> Option<Self> {
        match arguments {
            [url] if ["http://", "https://", "$scheme"].iter().any(|start| url.starts_with(start)) => {
                Some(Self { status: 302, text: Some(url.to_string()) })
            }
            [status] => Some(Self { status: status.parse().ok()?, text: None }),
            [status, text] => Some(Self { status: status.parse().ok()?, text: Some(text.to_string()) }),
            _ => None,
        }
    }
}

impl Rewrite {
    /// <https://nginx.org/en/docs/http/ngx_http_rewrite_module.html#rewrite>
    fn read(arguments: &[&str]) -> Option<Self> {
        let (pattern, replacement, flag) = match arguments {
            [pattern, replacement] => (pattern, replacement, None),
            [pattern, replacement, flag] => (pattern, replacement, Some(*flag)),
            _ => return None,
        };
        let away = ["http://", "https://", "$scheme"].iter().any(|start| replacement.starts_with(start));
        let flag = match flag {
            _ if away => Flag::Redirect,
            None => Flag::None,
            Some("last") => Flag::Last,
            Some("break") => Flag::Break,
            Some("redirect" | "permanent") => Flag::Redirect,
            Some(_) => return None,
        };
        Some(Self {
            pattern: Expression::new(pattern, Case::Sensitive),
            replacement: replacement.to_string(),
            flag,
        })
    }
}

impl Condition {
    /// Reads the words between the brackets.
    fn read(arguments: &[&str]) -> Option<Self> {
        let mut words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let first = words.first_mut()?;
        *first = first.strip_prefix('(')?;
        let last = words.last_mut()?;
        *last = last.strip_suffix(')')?;
        if words.len() > 1 && words.first().is_some_and(|word| word.is_empty()) {
            words.remove(0);
        }
        // A bracket that stands by itself is no word; an empty text before one that doesn't is.
        if arguments.last().is_some_and(|word| *word == ")") && words.len() > 1 {
            words.pop();
        }
        if words.first()?.trim_start_matches('!').starts_with('-') {
            return Some(Condition::File);
        }
        let variable = words.first()?.strip_prefix('$')?.to_owned();
        let pattern = |text: &str, case, wanted| {
            Some(Condition::Match(variable.clone(), Expression::new(text, case), wanted))
        };
        match words.get(1..)? {
            [] => Some(Condition::Truth(variable)),
            ["=", text] => Some(Condition::Equal(variable, (*text).to_owned(), Wanted::Holds)),
            ["!=", text] => Some(Condition::Equal(variable, (*text).to_owned(), Wanted::Fails)),
            ["~", text] => pattern(text, Case::Sensitive, Wanted::Holds),
            ["~*", text] => pattern(text, Case::Insensitive, Wanted::Holds),
            ["!~", text] => pattern(text, Case::Sensitive, Wanted::Fails),
            ["!~*", text] => pattern(text, Case::Insensitive, Wanted::Fails),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Option<Condition> {
        let words: Vec<&str> = text.split(' ').collect();
        Condition::read(&words)
    }

    #[test]
    fn conditions_are_read_wherever_the_brackets_stand() {
        let equal = |wanted| Some(Condition::Equal("a".to_owned(), "b".to_owned(), wanted));
        assert_eq!(condition("($a = b)"), equal(Wanted::Holds));
        assert_eq!(condition("( $a != b )"), equal(Wanted::Fails));
        assert_eq!(condition("($a)"), Some(Condition::Truth("a".to_owned())));
        assert_eq!(condition("( $a )"), Some(Condition::Truth("a".to_owned())));
        assert_eq!(condition("(!-f /x)"), Some(Condition::File));
        let expression = Expression::new("^(x|y)$", Case::Insensitive);
        assert_eq!(
            condition("($a !~* ^(x|y)$)"),
            Some(Condition::Match("a".to_owned(), expression, Wanted::Fails))
        );
        for text in ["$a", "(a = b)", "($a == b)", "($a =)", "()"] {
            assert_eq!(condition(text), None, "{text}");
        }
    }

    #[test]
    fn a_return_with_an_address_alone_sends_elsewhere() {
        let read = Return::read;
        assert_eq!(read(&["https://a/"]).unwrap().status, 302);
        assert_eq!(read(&["403"]), Some(Return { status: 403, text: None }));
        assert_eq!(read(&["x"]), None);
    }
}
