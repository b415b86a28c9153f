//! JSON as nft writes it, as the tree: statements and expressions.
//!
//! A statement is an object of one key. Keys and forms that aren't known make an unknown match or an opaque
//! statement, never an error.

use std::borrow::Cow;

use super::{
    Bits, Direction, Entry, Expr, Form, Held, NatKind, NatTree, Operator, Place, Select, Statement, Text,
    Word, names, opaque, text,
};
use crate::json::Json;

/// All names of sets in a value.
fn named_sets<'t>(value: &'t Json<'_>, found: &mut Vec<Text<'t>>) {
    match value {
        Json::Text(text) => found.extend(text.strip_prefix('@').map(Cow::Borrowed)),
        Json::List(items) => items.iter().for_each(|item| named_sets(item, found)),
        Json::Object(entries) => entries.iter().for_each(|(_, value)| named_sets(value, found)),
        Json::Null | Json::Flag(_) | Json::Number(_) | Json::OtherNumber(_) => {}
    }
}

// Statements.

/// The statements of a rule's `expr`; what has no effect on the question is left out.
pub(super) fn statements<'a>(expr: &'a Json<'a>, place: Place) -> Vec<Statement<'a>> {
    let mut found = Vec::new();
    for item in expr.items() {
        match item {
            Json::Text(inline) => found.extend(inline_text(inline, place)),
            _ => found.extend(statement(item, place)),
        }
    }
    found
}

/// `jump { … }` is printed as text.
fn inline_text(inline: &str, place: Place) -> Vec<Statement<'_>> {
    match text::statements_of(inline, place) {
        Ok(found) => found,
        Err(_) => vec![opaque(inline)],
    }
}

fn statement<'a>(item: &'a Json<'a>, place: Place) -> Option<Statement<'a>> {
    let Some((name, value)) = item.single() else { return Some(unread(item, "a statement of unknown form")) };
    if let Some(word) = verdict(name, value) {
        return Some(Statement::Verdict(word));
    }
    match name {
        "match" => Some(comparison(value)),
        "vmap" => match (value.get("key"), value.get("data")) {
            (Some(key), Some(data)) => {
                Some(Statement::VerdictMap { key: expression(key), data: expression(data) })
            }
            _ => Some(unread(item, name)),
        },
        "mangle" => match (value.get("key"), value.get("value")) {
            (Some(key), Some(value)) => {
                Some(Statement::Set { target: expression(key), value: expression(value) })
            }
            _ => Some(unread(item, name)),
        },
        "notrack" => Some(Statement::Notrack),
        "dnat" | "snat" | "masquerade" | "redirect" => Some(nat(name, value)),
        "set" | "map" => Some(change(item, value, place)),
        "limit" => Some(Statement::Unknown(Cow::Borrowed("rate limit"))),
        "meter" => Some(Statement::Unknown(Cow::Borrowed("meter"))),
        "quota" => Some(Statement::Unknown(Cow::Borrowed("quota"))),
        "ct count" => Some(Statement::Unknown(Cow::Borrowed("connection count"))),
        "xt" => match (value.text_of("type"), value.text_of("name")) {
            (Some(kind @ ("match" | "target")), Some(name)) => names::extension(kind, name),
            _ => Some(unread(item, "an extension of iptables")),
        },
        "counter" | "log" | "dup" | "flow" | "last" | "reset" | "secmark" | "ct helper" | "ct timeout"
        | "ct expectation" | "comment" => None,
        _ => Some(unread(item, name)),
    }
}

fn unread<'a>(item: &'a Json<'a>, words: &'a str) -> Statement<'a> {
    let mut sets = Vec::new();
    named_sets(item, &mut sets);
    Statement::Opaque { words: Cow::Borrowed(words), sets }
}

fn verdict<'a>(name: &'a str, value: &'a Json<'a>) -> Option<Word<'a>> {
    let target = || value.text_of("target").map(Cow::Borrowed);
    match name {
        "accept" => Some(Word::Accept),
        "drop" => Some(Word::Drop),
        "continue" => Some(Word::Continue),
        "return" => Some(Word::Return),
        "reject" => Some(Word::Reject),
        "jump" => target().map(Word::Jump),
        "goto" => target().map(Word::Goto),
        _ => None,
    }
}

fn comparison<'a>(value: &'a Json<'a>) -> Statement<'a> {
    let operator = match value.text_of("op") {
        Some("==") => Operator::Equal,
        Some("in") | None => Operator::Implicit,
        Some("!=") => Operator::NotEqual,
        Some("<") => Operator::Less,
        Some("<=") => Operator::LessOrEqual,
        Some(">") => Operator::Greater,
        Some(">=") => Operator::GreaterOrEqual,
        Some("!") => Operator::None,
        Some(other) => return Statement::Unknown(Cow::Owned(format!("a comparison by `{other}`"))),
    };
    match (value.get("left"), value.get("right")) {
        (Some(left), Some(right)) => {
            Statement::Match { left: expression(left), operator, right: expression(right) }
        }
        _ => Statement::Unknown(Cow::Borrowed("a comparison of unknown form")),
    }
}

fn change<'a>(item: &'a Json<'a>, value: &'a Json<'a>, place: Place) -> Statement<'a> {
    let set = value.text_of("set").or_else(|| value.text_of("map")).and_then(|name| name.strip_prefix('@'));
    match (set, value.get("elem")) {
        (Some(set), Some(key)) => {
            let inner = value.get("stmt").map(|inner| statements(inner, place)).unwrap_or_default();
            let key = key.get("elem").and_then(|elem| elem.get("val")).unwrap_or(key);
            Statement::Change { set: Cow::Borrowed(set), key: expression(key), inner }
        }
        _ => unread(item, "a change of a set"),
    }
}

fn nat<'a>(name: &str, value: &'a Json<'a>) -> Statement<'a> {
    let kind = match name {
        "dnat" => NatKind::Destination,
        "redirect" => NatKind::Redirect,
        _ => NatKind::Source,
    };
    let known = ["family", "addr", "port", "flags", "type_flags"];
    let mut form = Form::Known;
    if let Json::Object(entries) = value
        && entries.iter().any(|(key, _)| !known.contains(&key.as_ref()))
    {
        form = Form::Unknown;
    }
    let addresses = value.get("addr").map(expression);
    let types = value.get("type_flags").map(Json::items).unwrap_or_default();
    if types.iter().any(|flag| flag.text() == Some("prefix"))
        && !matches!(addresses, Some(Expr::Word(_) | Expr::Prefix(..)))
    {
        form = Form::Unknown;
    }
    let family = value.text_of("family").map(Cow::Borrowed);
    Statement::Nat(NatTree { kind, family, addresses, ports: value.get("port").map(expression), form })
}

// Expressions.

/// An expression; what is not known stays as unknown.
pub(super) fn expression<'a>(value: &'a Json<'a>) -> Expr<'a> {
    match value {
        Json::Text(text) => match text.strip_prefix('@') {
            Some(name) => Expr::Named(Cow::Borrowed(name)),
            None if text == "*" => Expr::Wildcard,
            None => Expr::Word(Cow::Borrowed(text)),
        },
        Json::Number(number) => Expr::Word(Cow::Owned(number.to_string())),
        Json::OtherNumber(number) => Expr::Word(Cow::Borrowed(number)),
        Json::Flag(flag) => Expr::Word(Cow::Borrowed(if *flag { "exists" } else { "missing" })),
        Json::List(items) => Expr::List(items.iter().map(expression).collect()),
        Json::Object(_) => {
            object(value).unwrap_or(Expr::Unknown(Cow::Borrowed("an expression of unknown form")))
        }
        Json::Null => Expr::Unknown(Cow::Borrowed("null")),
    }
}

fn object<'a>(value: &'a Json<'a>) -> Option<Expr<'a>> {
    let (name, inner) = value.single()?;
    let select =
        |key: Text<'a>| Some(Expr::Select(Select { base: Cow::Borrowed(name), key, direction: None }));
    match name {
        "payload" => payload(inner),
        "meta" => select(Cow::Borrowed(inner.text_of("key")?)),
        "ct" => {
            let direction = match inner.text_of("dir") {
                Some("original") => Some(Direction::Original),
                Some("reply") => Some(Direction::Reply),
                _ => None,
            };
            let key = inner.text_of("key")?;
            let key = match inner.text_of("family") {
                Some(family) => format!("{family} {key}"),
                None => key.to_owned(),
            };
            Some(Expr::Select(Select { base: Cow::Borrowed("ct"), key: Cow::Owned(key), direction }))
        }
        "fib" => {
            let flags: Option<Vec<&str>> = inner.get("flags")?.items().iter().map(Json::text).collect();
            select(Cow::Owned(format!("{} {}", flags?.join(" . "), inner.text_of("result")?)))
        }
        "tcp option" | "ip option" | "sctp chunk" => {
            let (base, key) = name.split_once(' ')?;
            Some(Expr::Select(Select { base: Cow::Borrowed(base), key: Cow::Borrowed(key), direction: None }))
        }
        "exthdr" if inner.text_of("field").is_some() => Some(Expr::Select(Select {
            base: Cow::Borrowed(inner.text_of("name")?),
            key: Cow::Borrowed(inner.text_of("field")?),
            direction: None,
        })),
        "socket" | "osf" | "rt" | "ipsec" | "numgen" | "jhash" | "symhash" | "exthdr" => {
            select(Cow::Borrowed(""))
        }
        "set" => Some(Expr::Set(inner.items().iter().map(entry).collect())),
        "concat" => Some(Expr::Concat(inner.items().iter().map(expression).collect())),
        "range" => match inner.items() {
            [first, last] => Some(Expr::Range(Box::new((expression(first), expression(last))))),
            _ => None,
        },
        "prefix" => {
            let address = expression(inner.get("addr")?);
            Some(Expr::Prefix(Box::new(address), inner.number_of("len")?))
        }
        "map" => Some(Expr::Map(Box::new((expression(inner.get("key")?), expression(inner.get("data")?))))),
        "elem" => inner.get("val").map(expression),
        "&" | "|" | "^" | "<<" | ">>" => binary(name, inner),
        _ => None,
    }
}

fn binary<'a>(name: &str, inner: &'a Json<'a>) -> Option<Expr<'a>> {
    let bits = match name {
        "&" => Bits::And,
        "|" => Bits::Or,
        "^" => Bits::Xor,
        "<<" => Bits::ShiftLeft,
        _ => Bits::ShiftRight,
    };
    // `{"|": ["fin", "syn", "ack"]}` has as many sides as it likes.
    let mut sides = inner.items().iter().map(expression);
    let (first, second) = (sides.next()?, sides.next()?);
    let start = Expr::Binary(bits, Box::new((first, second)));
    if inner.items().len() > 16 {
        return None;
    }
    Some(sides.fold(start, |left, right| Expr::Binary(bits, Box::new((left, right)))))
}

fn payload<'a>(inner: &'a Json<'a>) -> Option<Expr<'a>> {
    let (base, key) = match (inner.text_of("protocol"), inner.text_of("base")) {
        (Some(protocol), _) => (Cow::Borrowed(protocol), Cow::Borrowed(inner.text_of("field")?)),
        (None, Some(base)) => {
            let (offset, length): (i64, i64) = (inner.number_of("offset")?, inner.number_of("len")?);
            (Cow::Borrowed("@"), Cow::Owned(format!("{base},{offset},{length}")))
        }
        (None, None) => return None,
    };
    Some(Expr::Select(Select { base, key, direction: None }))
}

/// An element: a key alone, or a pair of key and what a map holds for it.
pub(super) fn entry<'a>(item: &'a Json<'a>) -> Entry<'a> {
    match item {
        Json::List(pair) => match pair.as_slice() {
            [key, value] => Entry { key: expression(key), value: Some(held(value)) },
            _ => Entry { key: expression(item), value: None },
        },
        _ => Entry { key: expression(item), value: None },
    }
}

fn held<'a>(value: &'a Json<'a>) -> Held<'a> {
    let word = value.single().and_then(|(name, inner)| verdict(name, inner));
    word.map_or_else(|| Held::Value(expression(value)), Held::Verdict)
}
