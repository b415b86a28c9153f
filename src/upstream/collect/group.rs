//! Lists: lines of little else than addresses, with labels between.

use std::collections::BTreeSet;

use super::{BARE_WORDS_MAX, Collector, Entry, LABEL_WORDS_MAX, Others, Weight, sentence, special};
use crate::policy::{Environment, Role};
use crate::upstream::dates;
use crate::upstream::page::{Kind, Line, Passage};
use crate::upstream::token::{Found, Span, What};
use crate::upstream::words::{Standing, Wording, sentences};

/// What a line is in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Addresses and a few words.
    Bare,
    /// A few words that name what follows.
    Label,
    /// Running text.
    Prose,
}

/// A line with what is in it.
#[derive(Debug)]
pub(super) struct Unit<'a> {
    pub(super) line: &'a Line,
    pub(super) found: Vec<Found>,
    kind: Kind,
    rest: String,
    own: Wording,
}

impl<'a> Unit<'a> {
    pub(super) fn new(passage: &Passage, line: &'a Line, found: Vec<Found>) -> Self {
        let mut rest = String::new();
        let mut at = 0;
        for one in &found {
            rest.push_str(line.text.get(at..one.start).unwrap_or_default());
            rest.push(' ');
            at = one.end;
        }
        rest.push_str(line.text.get(at..).unwrap_or_default());
        let found = if found.is_empty() { remains(line) } else { found };
        Self { own: Wording::new(&rest), line, found, kind: passage.kind, rest }
    }

    /// Whether it has addresses, or what is left of them.
    pub(super) fn has_addresses(&self) -> bool {
        !self.found.is_empty()
    }

    /// Whether it is a comment in a list.
    pub(super) fn is_comment(&self) -> bool {
        let text = self.line.text.trim_start();
        self.found.is_empty()
            && (text.starts_with(['#', ';']) || text.starts_with("//") || self.shape() == Shape::Label)
    }

    pub(super) fn shape(&self) -> Shape {
        let text = self.line.text.trim();
        let open = self.rest.split('(').next().unwrap_or_default();
        let words =
            Wording::new(open).text().split(' ').filter(|word| word.chars().any(char::is_alphabetic)).count();
        let quoted = text.contains(['{', '}']) || text.contains("\":") || text.contains("HTTP/");
        let said = self.own.text().split(' ').filter(|word| word.chars().any(char::is_alphabetic)).count();
        let quoted = quoted || sentences(text).len() > 1 || (text.ends_with('.') && said > BARE_WORDS_MAX);
        if !self.found.is_empty() {
            let dated = self.own.has(&[" from ", " until ", " legacy", " new "]);
            let most = if dated { BARE_WORDS_MAX * 2 } else { BARE_WORDS_MAX };
            return if words <= most && !quoted { Shape::Bare } else { Shape::Prose };
        }
        let named = self.own.labels();
        let short = words <= LABEL_WORDS_MAX && !text.ends_with(['.', '!', '?']) && !quoted;
        let is_label =
            short && words > 0 && (text.ends_with(':') || !named.is_empty() || self.kind == Kind::Term);
        if is_label || text.starts_with('#') { Shape::Label } else { Shape::Prose }
    }

    fn spans(&self) -> impl Iterator<Item = (&Found, Span)> {
        self.found.iter().filter_map(|one| match &one.what {
            What::Span(span) => Some((one, *span)),
            _ => None,
        })
    }

    /// The provider's own word for it: what stands in parentheses behind.
    fn label(&self, end: usize) -> Option<String> {
        let behind = self.line.text.get(end..)?.trim_start().strip_prefix('(')?;
        let (inside, _) = behind.split_once(')')?;
        let inside = inside.trim();
        let worded = inside.len() <= 60 && inside.contains(|letter: char| letter.is_alphabetic());
        worded.then(|| inside.to_owned())
    }

    /// Whether it is a term of addresses, and the next says of what.
    fn is_described_by(&self, next: &Self) -> bool {
        let term = self.kind == Kind::Term && self.shape() == Shape::Bare;
        term && next.kind == Kind::Description && next.shape() == Shape::Label
    }

    fn depth(&self) -> u8 {
        match self.kind {
            Kind::Item(depth) => depth,
            Kind::Paragraph | Kind::Term | Kind::Code | Kind::Description => 0,
        }
    }
}

/// A label that holds for what follows.
struct Label {
    depth: u8,
    wording: Wording,
    environments: BTreeSet<Environment>,
}

/// Reads a list.
pub(super) fn collect(collector: &mut Collector<'_>, group: &[Unit<'_>]) {
    let is_public = |unit: &&Unit<'_>| unit.spans().any(|(_, span)| special(&span).is_none());
    let listed = sentence::Among::of(group.iter().filter(is_public));
    let siblings = Siblings { listed, others: Others::of(group.iter().map(|unit| &unit.own)) };
    let mut label: Option<Label> = None;
    for (at, unit) in group.iter().enumerate() {
        if !collector.out.faults.is_empty() {
            return;
        }
        let behind = group.get(at + 1).filter(|next| unit.is_described_by(next));
        if let Some(next) = behind {
            let own = Label { depth: 0, wording: next.own.clone(), environments: next.own.labels() };
            entry(collector, unit, Some(&own), siblings);
            continue;
        }
        let above = at.checked_sub(1).and_then(|at| group.get(at));
        if above.is_some_and(|above| above.is_described_by(unit)) {
            continue;
        }
        if unit.shape() == Shape::Label {
            let environments = unit.own.labels();
            label = Some(Label { depth: unit.depth(), wording: unit.own.clone(), environments });
            continue;
        }
        if label
            .as_ref()
            .is_some_and(|label| label.depth > 0 && unit.depth() > 0 && unit.depth() <= label.depth)
        {
            label = None;
        }
        entry(collector, unit, label.as_ref(), siblings);
    }
}

/// What is left of an address where a line has nothing but numbers and dots.
fn remains(line: &Line) -> Vec<Found> {
    let text = line.text.trim();
    let numbers = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let dotted =
        text.trim_end_matches('.').contains('.') && text.starts_with(|first: char| first.is_ascii_digit());
    let found = Found { start: 0, end: line.text.len(), what: What::Near(text.to_owned()) };
    Some(found).filter(|_| numbers && dotted).into_iter().collect()
}

/// What the other lines of a list say.
#[derive(Debug, Clone, Copy)]
struct Siblings {
    listed: sentence::Among,
    others: Others,
}

/// What a line of a list, its label and all above say of its addresses.
fn standing(
    collector: &Collector<'_>,
    unit: &Unit<'_>,
    label: Option<&Label>,
    siblings: Siblings,
) -> Option<Standing> {
    let above = collector.context.standing(None);
    if collector.context.is_history() {
        return above;
    }
    let words: Vec<&Wording> = std::iter::once(&unit.own).chain(label.map(|label| &label.wording)).collect();
    collector.context.beside(&words, siblings.others).or(above)
}

/// Whether the addresses of a line are sources. Where that is not known, they are kept as doubts.
fn is_taken(
    collector: &mut Collector<'_>,
    unit: &Unit<'_>,
    standing: Option<Standing>,
    publics: &[(&Found, Span)],
) -> bool {
    let linked = unit.line.linked && !collector.rules.chosen && !collector.context.introduces_sources();
    let chosen = collector.rules.chosen || collector.rules.is_feed;
    match standing {
        Some(Standing::Other) => {}
        Some(Standing::Former) => {
            let why = "is listed as used no more or for something else, or so it seems";
            for (found, span) in publics {
                collector.doubt_as(span, (unit.line, found.start), why, Weight::Full);
            }
        }
        Some(Standing::Source) if !linked => return true,
        None if chosen && !linked => return true,
        Some(Standing::Source) | None => {
            for (found, span) in publics {
                collector.doubt(span, unit.line, found.start, "stands where nothing says what it is");
            }
        }
    }
    false
}

fn entry(collector: &mut Collector<'_>, unit: &Unit<'_>, label: Option<&Label>, siblings: Siblings) {
    let listed = siblings.listed;
    let standing = standing(collector, unit, label, siblings);
    let publics: Vec<(&Found, Span)> = unit.spans().filter(|(_, span)| special(span).is_none()).collect();
    if !is_taken(collector, unit, standing, &publics) {
        return;
    }
    let all: Vec<&Found> = unit.found.iter().collect();
    if sentence::faults(collector, unit.line, &all, listed) {
        return;
    }
    let alone = |one: &Found| {
        standing == Some(Standing::Source) && one.end - one.start == unit.line.text.trim().len()
    };
    let among = |one: &&Found| listed == sentence::Among::Sources || alone(one);
    if let Some(found) = unit.found.iter().filter(|one| one.what == What::Endpoint).find(among) {
        let line = unit.line.number_at(found.start);
        return collector.fault(line, "an address with a port or a path stands among sources".to_owned());
    }
    if unit.line.struck && !publics.is_empty() {
        return collector.fault(unit.line.number(), "an address is struck out".to_owned());
    }
    let own = unit.own.labels();
    let environments = [own, label.map(|label| label.environments.clone()).unwrap_or_default()];
    let named = environments.into_iter().find(|named| !named.is_empty());
    let environments = named.unwrap_or_else(|| collector.context.environments());
    let mut given = dates::find(&unit.line.text, &collector.rules.zone);
    if given.is_empty() {
        given = collector.context.dates();
    }
    let label_says =
        label.map(|label| &label.wording).filter(|wording| wording.says_calls() || wording.says_owned());
    let near = Some(&unit.own).filter(|own| own.direction().is_some());
    let direction = collector.context.direction(near.or(label.map(|label| &label.wording)));
    let own_says = Some(&unit.own).filter(|own| own.says_calls() || own.says_owned());
    let role = collector.context.role(own_says.or(label_says)).unwrap_or(Role::Callback);
    for (found, span) in publics {
        // What stands in parentheses is about this address alone.
        let label = unit.label(found.end);
        let said =
            label.as_deref().map(|label| Wording::new(label).labels()).filter(|named| !named.is_empty());
        let told = Entry {
            line: unit.line,
            at: found.start,
            text: None,
            role,
            environments: said.unwrap_or_else(|| environments.clone()),
            label,
            dates: given.clone(),
            explained: standing.is_some() || collector.rules.chosen || !collector.context.is_introduced(),
            direction,
        };
        collector.publish(&span, &told);
    }
}
