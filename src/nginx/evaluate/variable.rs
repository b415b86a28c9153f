//! What variables hold, as far as question and configuration tell.

use std::rc::Rc;

use super::state::{Client, Content, State, Value};
use super::walk::Walk;
use crate::prefix::PrefixSet;

/// More combinations than these are not told apart.
const COMBINATIONS_MAX: usize = 4096;

/// A part of a text with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// The parts of a text: `$name`, `${name}`, `$1` and what is between.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        let after = after.get(1..).unwrap_or_default();
        let (name, behind) = name(after);
        if name.is_empty() {
            break;
        }
        if !before.is_empty() {
            found.push(Part::Text(before));
        }
        found.push(Part::Variable(name));
        rest = behind;
    }
    if !rest.is_empty() {
        found.push(Part::Text(rest));
    }
    found
}

/// The name at the start of a text, and what is behind it.
fn name(text: &str) -> (&str, &str) {
    if let Some((name, behind)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        return (name, behind);
    }
    // A capture has one digit.
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return text.split_at(1);
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.split_at(end)
}

impl Walk<'_, '_> {
    /// A text with its variables filled in.
    pub(super) fn filled(&mut self, state: &mut State, text: &str) -> Value {
        if !text.contains('$') {
            return Value::text(text);
        }
        let mut all = vec![(state.callers.clone(), Content::text(""))];
        for part in parts(text) {
            let value = match part {
                Part::Text(text) => Value::text(text),
                Part::Variable(name) => self.variable(state, name),
            };
            let mut next = Vec::new();
            for (callers, before) in &all {
                self.spend(callers);
                let each = value.among(callers).into_iter();
                next.extend(each.map(|(set, content)| (set, appended(before, content))));
            }
            if next.len() > COMBINATIONS_MAX {
                return Value::unknown("a text has too many values");
            }
            all = next;
        }
        Value::each(all)
    }

    /// What a variable holds.
    pub(super) fn variable(&mut self, state: &mut State, name: &str) -> Value {
        if let Some(value) = state.known.variables.get(name).or_else(|| state.known.cached.get(name)) {
            return value.clone();
        }
        if name.len() == 1 && name.starts_with(|c: char| c.is_ascii_digit()) {
            return capture(state, name);
        }
        if let Some(value) = self.tabled(state, name) {
            return value;
        }
        if self.program.settable.contains(name) {
            return Value::text("");
        }
        let value = Value::One(self.builtin(state, name));
        // It keeps the address that it was first asked with.
        if name == "remote_addr" {
            Rc::make_mut(&mut state.known.cached).insert(name.to_owned(), value.clone());
        }
        value
    }

    /// A variable that nginx makes itself.
    ///
    /// <https://nginx.org/en/docs/http/ngx_http_core_module.html#variables>
    fn builtin(&self, state: &State, name: &str) -> Content {
        let known = &state.known;
        let asked = self.request;
        let unknown = || Content::unknown(&format!("nobody can say what `${name}` holds"));
        match name {
            "remote_addr" => known.client.content(),
            "realip_remote_addr" => known.peer.content(),
            "proxy_protocol_addr" => match (self.way.is_proxied, self.way.proxy) {
                (false, _) => Content::text(""),
                (true, Some(_)) => Client::Own.content(),
                (true, None) => unknown(),
            },
            "request_method" => known.method.clone(),
            "uri" | "document_uri" => Content::Text(Rc::clone(&known.path)),
            "request_uri" => Content::text(&asked.path),
            "args" | "query_string" => known.query.clone(),
            "is_args" => match &known.query {
                Content::Text(query) => Content::text(if query.is_empty() { "" } else { "?" }),
                other => other.clone(),
            },
            "host" => asked.server_name.as_deref().map_or_else(
                || Content::unknown("callers may write any name of a server: give `--server-name`"),
                |name| Content::text(&super::listener::host(name)),
            ),
            "server_port" => Content::text(&self.way.port.to_string()),
            "server_addr" => {
                self.way.dialled.map_or_else(unknown, |address| Content::text(&address.to_string()))
            }
            "server_name" => {
                let names = super::listener::names(self.program, known.server);
                let plain = names.first().filter(|name| !name.starts_with('~') && !name.contains('$'));
                plain.map_or_else(unknown, |name| Content::text(name.trim_start_matches('.')))
            }
            "scheme" => Content::text(if self.way.is_tls { "https" } else { "http" }),
            "https" => Content::text(if self.way.is_tls { "on" } else { "" }),
            "ssl_client_verify" if self.way.is_tls => {
                match self.program.setting(known.server, "ssl_verify_client").as_deref() {
                    None | Some("off") => Content::text("NONE"),
                    Some(_) => Content::unknown("callers may have a certificate"),
                }
            }
            _ if name.starts_with("ssl_") && !self.way.is_tls => Content::text(""),
            _ => self.sent(state, name).unwrap_or_else(unknown),
        }
    }

    /// A variable that callers send.
    fn sent(&self, state: &State, name: &str) -> Option<Content> {
        if let Some(argument) = name.strip_prefix("arg_") {
            let Content::Text(query) = &state.known.query else { return Some(state.known.query.clone()) };
            let found = query.split('&').find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                key.eq_ignore_ascii_case(argument).then_some(value)
            });
            return Some(Content::text(found.unwrap_or_default()));
        }
        let header = name.strip_prefix("http_")?;
        let dashed = header.replace('_', "-");
        let values: Vec<&str> = self.headers(&dashed).collect();
        if !values.is_empty() {
            return Some(Content::text(&values.join(", ")));
        }
        if header == "host"
            && let Some(name) = &self.request.server_name
        {
            return Some(Content::text(name));
        }
        Some(Content::unknown(&format!("callers may send any `{}`: give `--header`", capitalised(header))))
    }

    /// The values of a header that all callers send.
    pub(super) fn headers<'s>(&'s self, name: &'s str) -> impl DoubleEndedIterator<Item = &'s str> {
        let named = self.request.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// Counts what is done with these callers against what is done at most.
    pub(super) fn spend(&mut self, callers: &PrefixSet) {
        let cost = callers.v4().len().saturating_add(callers.v6().len()).saturating_add(1);
        self.budget = self.budget.saturating_sub(cost);
    }
}

/// A header as people write it.
fn capitalised(header: &str) -> String {
    let words = header.split('_').map(|word| {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        first.to_ascii_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}

fn appended(before: &Content, more: Content) -> Content {
    match (before, more) {
        (Content::Unknown(why), _) => Content::Unknown(Rc::clone(why)),
        (Content::Text(text), more) if text.is_empty() => more,
        (before, Content::Text(more)) if more.is_empty() => before.clone(),
        (Content::Text(text), Content::Text(more)) => Content::text(&format!("{text}{more}")),
        (_, Content::Unknown(why)) => Content::Unknown(why),
        (Content::Caller(_), _) | (_, Content::Caller(_)) => {
            Content::unknown("a caller's address is part of a longer text")
        }
    }
}

fn capture(state: &State, name: &str) -> Value {
    let Some(captured) = &state.known.captured else {
        return Value::unknown("nobody can say what a pattern captured");
    };
    let group = name.parse::<usize>().ok().and_then(|at| captured.get(at));
    group.cloned().unwrap_or_else(|| Value::text(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_with_and_without_braces() {
        use Part::{Text, Variable};
        assert_eq!(
            parts("a$b-${c}d$12"),
            [Text("a"), Variable("b"), Text("-"), Variable("c"), Text("d"), Variable("1"), Text("2")]
        );
        assert_eq!(parts("a$"), [Text("a$")]);
        assert_eq!(parts(""), []);
        assert_eq!(capitalised("x_real_ip"), "X-Real-Ip");
    }
}
