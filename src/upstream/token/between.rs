//! What stands between two addresses: words and signs that make a range of them, or leave it open whether they do.

use std::net::IpAddr;

use super::atom::Atom;
use super::join::{Piece, Placed, Told, before, range};
use super::{Form, Span};

/// Signs that may stand for a range, a move or something left out.
const UNSURE: &[char] = &['~', '～', '〜', '∼', '…', '→', '⇒', '←', '↔', '➔', '>', '.', '÷'];
/// Words that join the ends of a range.
const TO: &[&str] =
    &["to", "through", "thru", "till", "til", "tills", "until", "bis", "tot", "t.o.m", "tom", "asti"];
/// Words that stand beside those.
const BESIDE: &[&str] = &["up", "upp", "op", "and", "och", "og", "including", "incl", "with", "med", "fram"];
/// Words between two addresses that are either both meant or the ends of a range.
const AND: &[&str] = &["and", "och", "og", "und", "ja", "or", "eller", "oder", "tai"];
/// Words before the first of two ends.
pub(super) const BETWEEN: &[&str] = &["between", "mellan", "mellom", "mellem", "zwischen"];
/// Two addresses that are joined have at most so many words between.
const WORDS_BETWEEN_MAX: usize = 4;

/// An address that words or signs join to another, or to the last octets of others, and how many pieces that is.
pub(super) fn joined(
    line: Told<'_>,
    pieces: &[Placed<'_>],
    at: usize,
    span: Span,
) -> Option<(usize, Result<Span, String>)> {
    if span.form != Form::Single {
        return None;
    }
    let end = pieces.get(at)?.end;
    let words: Vec<String> = pieces
        .iter()
        .skip(at + 1)
        .take(WORDS_BETWEEN_MAX)
        .map_while(|placed| match placed.piece {
            Piece::Word(word) => Some(word.to_lowercase()),
            Piece::Atom(_) | Piece::Dash(_) => None,
        })
        .collect();
    let Some(next) = pieces.get(at + 1 + words.len()) else {
        let beside = |word: &String| BESIDE.iter().any(|known| known.starts_with(word.as_str()));
        let (first, more) = words.split_first()?;
        let cut = TO.contains(&first.as_str()) && more.iter().all(beside);
        return cut.then(|| (words.len() + 1, Err("a range without an end".to_owned())));
    };
    let gap = line.text.get(end..next.start)?;
    let count = words.len() + 2;
    match &next.piece {
        Piece::Atom(Atom::Span(last)) if last.form == Form::Single => {
            if is_unsure(gap) {
                return Some((count, Err("a range, a move, or two addresses".to_owned())));
            }
            let is = |word: &String, list: &[&str]| list.contains(&word.as_str());
            let ranged = words.iter().any(|word| is(word, TO))
                && words.iter().all(|word| is(word, TO) || is(word, BESIDE));
            let and = matches!(words.as_slice(), [word] if is(word, AND));
            if ranged || and && before(pieces, at, BETWEEN) {
                return Some((count, worded(line, span, *last)));
            }
            let ends = and && line.hints.ranged && is_near(span, *last) && span.first < last.first;
            (ends && line.spans == 2)
                .then(|| (count, Err("two addresses, or the ends of a range".to_owned())))
        }
        Piece::Atom(Atom::Number(number)) => {
            let IpAddr::V4(first) = span.first else { return None };
            let [.., last] = first.octets();
            let octet = u8::try_from(*number).is_ok_and(|number| number > last);
            let closes = match pieces.get(at + count) {
                None | Some(Placed { piece: Piece::Atom(Atom::Number(_)), .. }) => true,
                Some(Placed { piece: Piece::Word(word), .. }) => AND.contains(&word.to_lowercase().as_str()),
                Some(_) => false,
            };
            let listed = gap.trim() == "," || words.iter().all(|word| AND.contains(&word.as_str()));
            let unsure = is_unsure(gap) || (listed && !gap.trim().is_empty() && closes && !line.hints.ported);
            (octet && unsure).then(|| (count, Err("an address, and numbers that may be others".to_owned())))
        }
        Piece::Atom(_) | Piece::Dash(_) | Piece::Word(_) => None,
    }
}

/// Whether there are only signs between that may mean a range.
fn is_unsure(gap: &str) -> bool {
    let gap = gap.trim();
    gap.chars().all(|letter| UNSURE.contains(&letter)) && !matches!(gap, "" | "." | ">")
}

/// Whether two addresses differ in their last octet alone.
fn is_near(first: Span, last: Span) -> bool {
    match (first.first, last.first) {
        (IpAddr::V4(first), IpAddr::V4(last)) => u32::from(first) >> 8 == u32::from(last) >> 8,
        (IpAddr::V6(_), IpAddr::V6(_)) => true,
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Two addresses with `to` between: a range, unless one takes the other's place.
fn worded(line: Told<'_>, first: Span, last: Span) -> Result<Span, String> {
    let read = range(first, last)?;
    // Two addresses that are the ends of one block are no chance.
    let whole = read.prefixes().len() == 1;
    if line.hints.moved || !(is_near(first, last) || whole || line.hints.ranged) {
        return Err("a range, or one address in place of another".to_owned());
    }
    Ok(read)
}
