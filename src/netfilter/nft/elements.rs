//! Elements of sets at speed: a million addresses are read without a tree node each.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::expression::Parser;
use super::lexer::Token;
use super::values::{Atom, Kind, atom, single, values};
use super::{Entry, Expr, Held, ReadError, Text, Word};
use crate::netfilter::{Element, Elements, MapValue, Span, Spans, Values, Verdict};
use crate::prefix::span::normalise;

/// What a set or a map declares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shape {
    /// The components of its keys.
    pub(super) keys: Vec<Kind>,
    /// What it maps to.
    pub(super) holds: Holds,
}

/// What a map holds; nothing for a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Holds {
    /// It is a set.
    #[default]
    Nothing,
    Verdicts,
    Marks,
    /// Where a translation goes.
    Targets,
    Others,
}

impl Holds {
    /// Of the components that a map declares for its values.
    pub(super) fn of_kinds(kinds: &[Kind]) -> Self {
        match kinds {
            [Kind::Mark] => Holds::Marks,
            [Kind::V4 | Kind::V6 | Kind::Port] | [Kind::V4 | Kind::V6, Kind::Port] => Holds::Targets,
            _ => Holds::Others,
        }
    }
}

/// Elements as they are read, in the densest form that their shape allows.
#[derive(Debug)]
pub(super) struct Gathered {
    shape: Shape,
    v4: Vec<Span<u32>>,
    v6: Vec<Span<u128>>,
    numbers: Vec<Span<u32>>,
    tuples: Vec<Element>,
    /// `*`, which stands for what nothing else does.
    rest: Option<Element>,
    /// An element that is not understood.
    unknown: Option<Arc<str>>,
}

impl Gathered {
    pub(super) fn new(shape: Shape) -> Self {
        let unmodelled = shape.keys.is_empty() || shape.keys.contains(&Kind::Unmodelled);
        Gathered {
            shape,
            v4: Vec::new(),
            v6: Vec::new(),
            numbers: Vec::new(),
            tuples: Vec::new(),
            rest: None,
            unknown: unmodelled.then(|| Arc::from("a set of a type that is not modelled")),
        }
    }

    /// The kind of its keys, where it is a set of one component.
    pub(super) fn single_kind(&self) -> Option<Kind> {
        match self.shape.keys.as_slice() {
            [only] if self.shape.holds == Holds::Nothing && self.unknown.is_none() => Some(*only),
            _ => None,
        }
    }

    /// Adds addresses of a set of IPv4 addresses.
    pub(super) fn add_v4(&mut self, span: Span<u32>) {
        self.v4.push(span);
    }

    /// Whether all were understood.
    pub(super) fn is_known(&self) -> bool {
        self.unknown.is_none()
    }

    /// Says that an element is not understood.
    pub(super) fn give_up(&mut self, words: &str) {
        self.unknown.get_or_insert_with(|| Arc::from(words));
    }

    /// Adds an element as it was written.
    pub(super) fn add(&mut self, entry: &Entry<'_>) {
        if self.unknown.is_none() && self.try_add(entry).is_none() {
            self.give_up("a set with an element that is not understood");
        }
    }

    fn try_add(&mut self, entry: &Entry<'_>) -> Option<()> {
        if self.single_kind().is_some() {
            match atom(*self.shape.keys.first()?, &entry.key)? {
                Atom::V4(span) => self.v4.push(span),
                Atom::V6(span) => self.v6.push(span),
                Atom::Number(span) => self.numbers.push(span),
                found @ Atom::Name(_) => self.tuples.push(plain(vec![single(found)])),
                Atom::Any => self.rest = Some(plain(vec![Values::Any])),
            }
            return Some(());
        }
        let value = match &entry.value {
            Some(held) => Some(held_value(self.shape.holds, held)),
            None if self.shape.holds == Holds::Nothing => None,
            None => return None,
        };
        if entry.key == Expr::Wildcard {
            let key = self.shape.keys.iter().map(|_| Values::Any).collect();
            self.rest = Some(Element { key, value, excluded: false });
            return Some(());
        }
        let key = key_values(&self.shape.keys, &entry.key)?;
        self.tuples.push(Element { key, value, excluded: false });
        Some(())
    }

    /// The elements of a set.
    pub(super) fn finish(mut self) -> Elements {
        if let Some(words) = self.unknown {
            return Elements::Unknown(words);
        }
        let kind = self.single_kind();
        let Some(rest) = self.rest.take() else {
            return match kind {
                Some(Kind::V4) => Elements::V4(normalise(self.v4).into()),
                Some(Kind::V6) => Elements::V6(normalise(self.v6).into()),
                Some(Kind::Name | Kind::Address) | None => Elements::Tuples(self.tuples),
                Some(_) => Elements::Numbers(normalise(self.numbers).into()),
            };
        };
        match kind {
            Some(Kind::V4) => Elements::V4(Arc::new(vec![(0, u32::MAX)])),
            Some(Kind::V6) => Elements::V6(Arc::new(vec![(0, u128::MAX)])),
            Some(Kind::Name | Kind::Address) | None => {
                self.tuples.push(rest);
                Elements::Tuples(self.tuples)
            }
            Some(_) => Elements::Numbers(Arc::new(vec![(0, u32::MAX)])),
        }
    }
}

fn plain(key: Vec<Values>) -> Element {
    Element { key, value: None, excluded: false }
}

/// A key, component by component.
fn key_values(kinds: &[Kind], key: &Expr<'_>) -> Option<Vec<Values>> {
    let component = |(kind, part): (&Kind, &Expr<'_>)| values(vec![atom(*kind, part)?]);
    match key {
        Expr::Concat(parts) if parts.len() == kinds.len() => kinds.iter().zip(parts).map(component).collect(),
        Expr::Concat(_) => None,
        only => match kinds {
            [kind] => Some(vec![component((kind, only))?]),
            _ => None,
        },
    }
}

/// What a map holds, as far as it is understood.
fn held_value(holds: Holds, held: &Held<'_>) -> MapValue {
    let found = match (holds, held) {
        (Holds::Verdicts, Held::Verdict(word)) => Some(MapValue::Verdict(verdict(word))),
        (Holds::Marks, Held::Value(expr)) => super::values::constant(Kind::Mark, expr).map(MapValue::Number),
        (Holds::Targets, Held::Value(expr)) => target(expr),
        _ => None,
    };
    found.unwrap_or_else(|| MapValue::Unknown(Arc::from("a map's value that is not modelled")))
}

/// A verdict as data.
pub(super) fn verdict(word: &Word<'_>) -> Verdict {
    match word {
        Word::Accept => Verdict::Accept,
        Word::Drop => Verdict::Drop,
        Word::Continue => Verdict::Continue,
        Word::Return => Verdict::Return,
        Word::Reject => Verdict::Reject,
        Word::Jump(chain) => Verdict::Jump(Arc::from(chain.as_ref())),
        Word::Goto(chain) => Verdict::Goto(Arc::from(chain.as_ref())),
    }
}

/// An address, a port, or both.
fn target(expr: &Expr<'_>) -> Option<MapValue> {
    let (address, port) = match expr {
        Expr::Concat(parts) => match parts.as_slice() {
            [address, port] => (address, Some(port)),
            _ => return None,
        },
        only => (only, None),
    };
    let port_of = |expr| match atom(Kind::Port, expr)? {
        Atom::Number(span) => Some(Spans::One(span)),
        Atom::V4(_) | Atom::V6(_) | Atom::Name(_) | Atom::Any => None,
    };
    match (atom(Kind::Address, address), port) {
        (Some(found), Some(port)) => {
            Some(MapValue::Target { addresses: Some(single(found)), ports: Some(port_of(port)?) })
        }
        (Some(found), None) => Some(MapValue::Target { addresses: Some(single(found)), ports: None }),
        (None, Some(_)) => None,
        (None, None) => Some(MapValue::Target { addresses: None, ports: Some(port_of(address)?) }),
    }
}

/// Elements written out in a rule; `None` where one is not understood.
pub(super) fn written_out(shape: Shape, entries: &[Entry<'_>]) -> Option<Elements> {
    let mut gathered = Gathered::new(shape);
    for entry in entries {
        gathered.add(entry);
    }
    gathered.is_known().then(|| gathered.finish())
}

/// Sets that are named in a tree and may be changed by what nobody understands.
pub(super) fn note_changed(sets: &[Text<'_>], changed: &mut BTreeSet<Arc<str>>) {
    changed.extend(sets.iter().map(|name| Arc::from(name.as_ref())));
}

impl Parser<'_> {
    /// `{ … }` of a set or map that was declared.
    pub(super) fn elements(&mut self, gathered: &mut Gathered) -> Result<(), ReadError> {
        if self.lexer.peek() != Token::Mark(b'{') {
            return Err(self.lexer.error("`elements` without `{`"));
        }
        self.lexer.open();
        let v4 = gathered.single_kind() == Some(Kind::V4);
        loop {
            if v4 {
                self.many_v4(gathered);
            }
            if self.lexer.peek() == Token::Mark(b'}') {
                break;
            }
            let entry = self.entry()?;
            gathered.add(&entry);
            if !self.lexer.took_mark(b',') && self.lexer.peek() != Token::Mark(b'}') {
                return Err(self.lexer.error("a set's elements are not whole"));
            }
        }
        self.lexer.close();
        Ok(())
    }

    /// Takes IPv4 elements that stand plainly between commas, up to the first that doesn't.
    fn many_v4(&mut self, gathered: &mut Gathered) {
        let whole = self.lexer.remaining().as_bytes();
        let mut rest = whole;
        while let Some((span, after)) = v4_prefix(rest) {
            let [b',', after @ ..] = after else { break };
            gathered.v4.push(span);
            rest = after.trim_ascii_start();
            // Of comments, only handles say anything.
            while let [b'#', comment @ ..] = rest
                && !comment.trim_ascii_start().starts_with(b"handle")
            {
                let end = comment.iter().position(|byte| *byte == b'\n').unwrap_or(comment.len());
                rest = comment.get(end..).unwrap_or_default().trim_ascii_start();
            }
        }
        self.lexer.skip(whole.len() - rest.len());
    }
}

/// The address, prefix or range at the start, and what comes after it.
pub(super) fn v4_prefix(bytes: &[u8]) -> Option<(Span<u32>, &[u8])> {
    let (first, rest) = v4_address(bytes)?;
    match rest {
        [b'-', rest @ ..] => {
            let (last, rest) = v4_address(rest)?;
            (first <= last).then_some(((first, last), rest))
        }
        [b'/', rest @ ..] => {
            let (length, rest) = decimal(rest)?;
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            (length <= 32).then_some(((first & !host, first | host), rest))
        }
        _ => Some(((first, first), rest)),
    }
}

fn v4_address(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (mut address, mut rest) = octet(bytes)?;
    for _ in 0..3 {
        let [b'.', after @ ..] = rest else { return None };
        let (next, after) = octet(after)?;
        address = address << 8 | next;
        rest = after;
    }
    Some((address, rest))
}

fn octet(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (value, rest) = decimal(bytes)?;
    (value <= 255).then_some((value, rest))
}

/// One to three digits.
fn decimal(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let digit = |byte: u8| u32::from(byte.wrapping_sub(b'0'));
    let (first, mut rest) = bytes.split_first()?;
    let mut value = digit(*first);
    if value > 9 {
        return None;
    }
    for _ in 0..2 {
        let Some((next, after)) = rest.split_first() else { break };
        if digit(*next) > 9 {
            break;
        }
        value = value * 10 + digit(*next);
        rest = after;
    }
    Some((value, rest))
}
