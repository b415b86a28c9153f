//! Words of a line, joined to what they mean together: ranges, masks, lengths, restatements.

use std::net::{IpAddr, Ipv4Addr};

use super::atom::{Atom, atom, is_mask, masked};
use super::between::{BETWEEN, joined};
use super::disguise::is_dashed;
use super::{ABSENT, Form, Found, SEAM, Span, What, Word, shown};
use crate::prefix::Prefix;

const DASHES: [char; 11] = ['-', '‐', '‑', '‒', '–', '—', '―', '−', '－', '﹣', '⁃'];
/// Words before what is a version, however many numbers it has.
const VERSIONS: &[&str] = &[
    "version", "versions", "ver", "v", "release", "releases", "released", "build", "firmware", "revision",
    "rev", "sdk",
];
/// Words behind amounts.
const CURRENCIES: &[&str] = &["SEK", "NOK", "DKK", "EUR", "USD", "GBP", "kr", "kronor", "€", "öre"];
/// What versions end with.
const EARLY: &[&str] = &["alpha", "beta", "rc", "snapshot", "preview", "final", "release"];
/// Words that tell a range.
const RANGED: &[&str] = &[
    "range",
    "between",
    "interval",
    "inclusive",
    "all addresses",
    "addresses from",
    "mellan",
    "mellom",
    "mellem",
    "zwischen",
    "bereich",
    "väliltä",
];
/// Words that tell that one address takes another's place.
const MOVED: &[&str] = &[
    "chang", "mov", "migrat", "replac", "updat", "switch", "ersätt", "erstat", "ersetz", "ändr", "endr",
    "flytt", "wechsel", "vaihtu", "korva",
];

/// A piece of a line.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// A number, an address, damage.
    Atom(Atom),
    /// A dash, and whether it touches what is before it.
    Dash(bool),
    /// Anything else.
    Word(&'a str),
}

/// A piece, and where it stands.
pub(super) struct Placed<'a> {
    pub(super) piece: Piece<'a>,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What the words of a line say of ranges in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hints {
    pub(super) ranged: bool,
    pub(super) moved: bool,
    /// Whether it speaks of ports.
    pub(super) ported: bool,
}

/// A line, and what its words say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) text: &'a str,
    pub(super) hints: Hints,
    /// How many addresses it has.
    pub(super) spans: usize,
}

/// All that is in a line.
pub(super) fn join(line: &str, words: &[Word<'_>]) -> Vec<Found> {
    let lower = line.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let mut pieces = Vec::new();
    for word in words {
        cut(*word, &mut pieces);
    }
    let is_span = |placed: &&Placed<'_>| matches!(placed.piece, Piece::Atom(Atom::Span(_)));
    let spans = pieces.iter().filter(is_span).count();
    let hints = Hints { ranged: has(RANGED), moved: has(MOVED), ported: has(&["port"]) };
    let told = Told { text: line, hints, spans };
    let mut found = Vec::new();
    let mut at = 0;
    while at < pieces.len() {
        at = step(told, &pieces, at, &mut found).max(at + 1);
    }
    restated(line, found)
}

/// Cuts a word at its dashes, where an address touches one.
fn cut<'a>(word: Word<'a>, pieces: &mut Vec<Placed<'a>>) {
    let word = clean(word);
    if word.text.is_empty() {
        return;
    }
    let whole = |piece| Placed { piece, start: word.start, end: word.end() };
    if word.text.contains("://") || word.text.starts_with("www.") || word.text.contains('@') {
        return pieces.push(whole(Piece::Word(word.text)));
    }
    if is_strange(word.text) {
        return pieces
            .push(whole(Piece::Atom(Atom::Damaged("it holds what is no digit and no dot".to_owned()))));
    }
    if !word.text.contains(DASHES) {
        return pieces.push(whole(match atom(word.text) {
            Atom::Plain => Piece::Word(word.text),
            other => Piece::Atom(other),
        }));
    }
    let parts = parts(word);
    let told = |atom: &Atom| matches!(atom, Atom::Span(_) | Atom::Damaged(_) | Atom::Endpoint);
    let atoms: Vec<Atom> = parts.iter().map(|part| atom(part.text)).collect();
    let only_number = matches!(atoms.as_slice(), [Atom::Plain, Atom::Number(_)])
        && parts.first().is_some_and(|part| part.text.is_empty());
    let only_dash = parts.iter().all(|part| part.text.is_empty());
    if !atoms.iter().any(told) && !only_number && !only_dash {
        let texts: Vec<&str> = parts.iter().map(|part| part.text).collect();
        let cut = is_dashed(&texts) && atoms.contains(&Atom::Near);
        return pieces.push(whole(if cut { Piece::Atom(Atom::Near) } else { Piece::Word(word.text) }));
    }
    if parts.last().is_some_and(|last| EARLY.iter().any(|mark| last.text.to_lowercase().starts_with(mark))) {
        return pieces.push(whole(Piece::Word(word.text)));
    }
    if glued(word.text, &parts, &atoms) {
        return pieces.push(whole(Piece::Atom(Atom::Damaged("it is glued to something".to_owned()))));
    }
    let mut touches = false;
    for (index, (part, atom)) in parts.iter().zip(atoms).enumerate() {
        if index > 0 {
            pieces.push(Placed {
                piece: Piece::Dash(touches),
                start: part.start.saturating_sub(1),
                end: part.start,
            });
        }
        touches = !part.text.is_empty();
        let piece = match atom {
            _ if part.text.is_empty() => continue,
            Atom::Plain => Piece::Word(part.text),
            other => Piece::Atom(other),
        };
        pieces.push(Placed { piece, start: part.start, end: part.end() });
    }
}

/// Whether a hyphen joins an address to letters, or several dashes join several things.
fn glued(word: &str, parts: &[Word<'_>], atoms: &[Atom]) -> bool {
    let lettered = |part: &Word<'_>| {
        part.text.contains(|letter: char| letter.is_alphabetic()) && matches!(atom(part.text), Atom::Plain)
    };
    let is_version = parts.first().is_some_and(|part| VERSIONS.contains(&part.text.to_lowercase().as_str()));
    let hyphen = word.contains(['-', '‐', '‑']);
    (hyphen && !is_version && parts.iter().any(lettered))
        || atoms.len() > 2 && !parts.iter().any(|part| part.text.is_empty())
}

fn parts(word: Word<'_>) -> Vec<Word<'_>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, dash) in word.text.match_indices(DASHES) {
        parts.push((start, at));
        start = at + dash.len();
    }
    parts.push((start, word.text.len()));
    let part = |(start, end)| Some(Word { start: word.start + start, text: word.text.get(start..end)? });
    parts.into_iter().filter_map(part).collect()
}

/// A word without what writers put around it.
fn clean(word: Word<'_>) -> Word<'_> {
    let kept = word.text.trim_start_matches(['*', '_', '~', '#']);
    let opened = kept.len() < word.text.len();
    let start = word.start + (word.text.len() - kept.len());
    let superscript = |letter: char| matches!(letter, '¹' | '²' | '³' | '⁰' | '⁴'..='⁹');
    let mut text = kept.trim_end_matches(|letter| ".:_~#".contains(letter) || superscript(letter));
    if (opened || text.ends_with("**")) && !text.ends_with(".*") {
        text = text.trim_end_matches('*');
    }
    // `1.2.3.` keeps its dot: it says that something is missing.
    if kept.ends_with('.')
        && text.split('.').count() == 3
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        let is_date = matches!(atom(text), Atom::Plain);
        text = kept.get(..text.len() + 1).filter(|_| !is_date).unwrap_or(text);
    }
    Word { start, text }
}

/// Whether a word mixes digits of an address with what only looks like them, or with text that is not there.
fn is_strange(word: &str) -> bool {
    let foreign = |letter: char| {
        (letter.is_numeric() && !letter.is_ascii_digit())
            || matches!(letter, SEAM | ABSENT | '．' | '。' | '․' | '·')
    };
    let dots = word.chars().filter(|letter| matches!(letter, '.' | '．' | '。' | '․' | '·' | ':')).count();
    word.contains(foreign) && word.contains(|letter: char| letter.is_numeric()) && dots >= 2
}

/// What stands at `at`; where to go on.
fn step(told_line: Told<'_>, pieces: &[Placed<'_>], at: usize, found: &mut Vec<Found>) -> usize {
    let Some(Placed { piece: Piece::Atom(told), start, end }) = pieces.get(at) else { return at + 1 };
    let text = || shown(told_line.text.get(*start..*end).unwrap_or_default());
    let what = match told {
        Atom::Span(span) => return spanned(told_line, pieces, at, *span, found),
        Atom::Damaged(why) => What::Damaged(format!("`{}`: {why}", text())),
        Atom::Near if before(pieces, at, VERSIONS) || is_money(pieces, at) => return at + 1,
        Atom::Near => What::Near(text()),
        Atom::Endpoint => What::Endpoint,
        Atom::Number(_) | Atom::Length(_) | Atom::Plain => return at + 1,
    };
    found.push(Found { start: *start, end: *end, what });
    at + 1
}

/// Whether a currency follows: thousands with dots between.
fn is_money(pieces: &[Placed<'_>], at: usize) -> bool {
    let ahead = pieces.iter().skip(at + 1).take(2);
    ahead.into_iter().any(|placed| matches!(placed.piece, Piece::Word(word) if CURRENCIES.contains(&word)))
}

/// Whether a port follows the brackets around IPv6.
fn is_ported(line: Told<'_>, pieces: &[Placed<'_>], at: usize) -> bool {
    let behind = pieces.get(at).and_then(|placed| line.text.get(placed.end..)).unwrap_or_default();
    behind.strip_prefix("]:").is_some_and(|port| port.starts_with(|first: char| first.is_ascii_digit()))
}

/// Whether one of these words stands before.
pub(super) fn before(pieces: &[Placed<'_>], at: usize, words: &[&str]) -> bool {
    let Some(index) = at.checked_sub(1) else { return false };
    match pieces.get(index).map(|placed| &placed.piece) {
        Some(Piece::Word(word)) => words.contains(&word.to_lowercase().trim_end_matches(['.', ':'])),
        _ => false,
    }
}

/// An address with what belongs to it.
fn spanned(line: Told<'_>, pieces: &[Placed<'_>], at: usize, span: Span, found: &mut Vec<Found>) -> usize {
    let single = span.form == Form::Single;
    if single
        && span.first.is_ipv4()
        && (before(pieces, at, VERSIONS) || before(pieces, at, &["e.g", "example", "eg"]))
    {
        return at + 1;
    }
    if is_ported(line, pieces, at) {
        let (start, end) = pieces.get(at).map_or((0, 0), |placed| (placed.start, placed.end));
        found.push(Found { start, end, what: What::Endpoint });
        return at + 1;
    }
    let piece = |ahead: usize| pieces.get(at + ahead).map(|placed| &placed.piece);
    let mut push = |count: usize, what: Result<Span, String>| {
        let start = pieces.get(at).map_or(0, |placed| placed.start);
        let end = pieces.get(at + count - 1).map_or(start, |placed| placed.end);
        let text = shown(line.text.get(start..end).unwrap_or_default());
        let what = what.map_or_else(|why| What::Damaged(format!("`{text}`: {why}")), What::Span);
        found.push(Found { start, end, what });
        at + count
    };
    match (piece(1), piece(2)) {
        (Some(Piece::Atom(Atom::Length(length))), _) if single => push(2, prefix(span, length)),
        (Some(Piece::Word("/")), Some(Piece::Atom(Atom::Number(length)))) if single => {
            push(3, prefix(span, &length.to_string()))
        }
        (Some(Piece::Dash(_)), Some(Piece::Atom(Atom::Span(last)))) => push(3, range(span, *last)),
        (Some(Piece::Dash(touches)), Some(Piece::Atom(Atom::Number(last)))) if single => {
            match shorthand(line, pieces, at + 2, (span, *last, *touches)) {
                Some(read) => push(3, read),
                None => push(1, Ok(span)),
            }
        }
        (Some(Piece::Dash(_)), Some(Piece::Atom(Atom::Near | Atom::Damaged(_)))) => {
            push(3, Err("a range without a whole end".to_owned()))
        }
        (Some(Piece::Dash(_)), None) => push(2, Err("a range without an end".to_owned())),
        _ => match mask(pieces, at, span).or_else(|| joined(line, pieces, at, span)) {
            Some((count, read)) => push(count, read),
            None if single && before(pieces, at, BETWEEN) => {
                push(1, Err("a range without an end".to_owned()))
            }
            None => push(1, Ok(span)),
        },
    }
}

fn prefix(address: Span, length: &str) -> Result<Span, String> {
    let read = format!("{}/{length}", address.first).parse::<Prefix>();
    read.map(|net| Span { first: net.first(), last: net.last(), form: Form::Prefix })
        .map_err(|error| error.to_string())
}

/// From one address to another.
pub(super) fn range(first: Span, last: Span) -> Result<Span, String> {
    if first.form != Form::Single || last.form != Form::Single {
        return Err("a range of prefixes".to_owned());
    }
    if first.first.is_ipv4() != last.first.is_ipv4() {
        return Err("a range from one family to the other".to_owned());
    }
    if first.first >= last.first {
        return Err("a range that ends before it starts".to_owned());
    }
    Ok(Span { first: first.first, last: last.last, form: Form::Range })
}

/// A range to a last octet; `None` where the number is something else.
fn shorthand(
    line: Told<'_>,
    pieces: &[Placed<'_>],
    at: usize,
    told: (Span, u32, bool),
) -> Option<Result<Span, String>> {
    let (span, last, touches) = told;
    let IpAddr::V4(first) = span.first else { return Some(Err("a range without a whole end".to_owned())) };
    let spaced = !touches
        && pieces.get(at - 1).zip(pieces.get(at)).is_none_or(|(dash, number)| dash.end < number.start);
    let [a, b, c, d] = first.octets();
    let Ok(octet) = u8::try_from(last) else {
        return (!spaced).then(|| Err(format!("`{last}` is above 255")));
    };
    if octet <= d {
        return Some(Err("a range that ends before it starts".to_owned()));
    }
    let next = pieces.get(at + 1).map(|placed| (&placed.piece, placed.start));
    let end = pieces.get(at).map_or(0, |placed| placed.end);
    let goes_on = next.is_some_and(|(piece, start)| {
        matches!(piece, Piece::Word(_)) && line.text.get(end..start).is_some_and(|gap| gap.trim().is_empty())
    });
    if spaced && goes_on && !line.hints.ranged {
        return Some(Err("a range, or an address and a number".to_owned()));
    }
    let last = Span::single(IpAddr::V4(Ipv4Addr::new(a, b, c, octet)));
    Some(range(span, last))
}

/// A netmask behind an address, and how many pieces both are.
fn mask(pieces: &[Placed<'_>], at: usize, span: Span) -> Option<(usize, Result<Span, String>)> {
    let IpAddr::V4(address) = span.first else { return None };
    if span.form != Form::Single || is_mask(span.first) {
        return None;
    }
    let mut ahead = 1;
    while let Some(Piece::Word(word)) = pieces.get(at + ahead).map(|placed| &placed.piece) {
        let named = matches!(
            word.to_lowercase().as_str(),
            "netmask" | "mask" | "subnet" | "/" | "netmask:" | "mask:"
        );
        if !named || ahead > 3 {
            return None;
        }
        ahead += 1;
    }
    let Some(Piece::Atom(Atom::Span(found))) = pieces.get(at + ahead).map(|placed| &placed.piece) else {
        return None;
    };
    let IpAddr::V4(bits) = found.first else { return None };
    if !is_mask(found.first) || found.form != Form::Single {
        return None;
    }
    let read = match masked(address, bits) {
        Some(Atom::Span(net)) => Ok(net),
        _ => Err(format!("`{bits}` is no netmask of it")),
    };
    Some((ahead + 1, read))
}

/// Leaves out what says once more, in parentheses or elsewhere in the line, what a prefix says.
fn restated(line: &str, found: Vec<Found>) -> Vec<Found> {
    let mut kept: Vec<Found> = Vec::new();
    for next in found {
        let Some(last) = kept.last_mut() else {
            kept.push(next);
            continue;
        };
        let gap: String = line.get(last.end..next.start).unwrap_or("x").split_whitespace().collect();
        let behind = line.get(next.end..).unwrap_or_default().trim_start();
        let stated = (gap == "(" && behind.starts_with(')')) || gap == "=" || gap == "(=";
        let (What::Span(one), What::Span(other)) = (&last.what, &next.what) else {
            kept.push(next);
            continue;
        };
        if !stated || (one.form == Form::Single && other.form == Form::Single) {
            kept.push(next);
        } else if one.restates(other) {
            let net = if other.form == Form::Prefix { *other } else { *one };
            *last = Found { start: last.start, end: next.end, what: What::Span(net) };
        } else {
            let text = shown(line.get(last.start..next.end).unwrap_or_default());
            *last = Found {
                start: last.start,
                end: next.end,
                what: What::Damaged(format!("`{text}`: one does not say what the other says")),
            };
        }
    }
    let nets: Vec<Span> = kept
        .iter()
        .filter_map(|found| match found.what {
            What::Span(span) if span.form == Form::Prefix => Some(span),
            _ => None,
        })
        .take(64)
        .collect();
    kept.retain(|found| match found.what {
        What::Span(span) => {
            span.form == Form::Prefix
                || span.form == Form::Single
                || !nets.iter().any(|net| net.restates(&span))
        }
        _ => true,
    });
    kept
}
