//! Lists: lines of little else than addresses, with labels between.

use std::collections::BTreeSet;

use super::{BARE_WORDS_MAX, Collector, Entry, LABEL_WORDS_MAX, Weight, sentence, special};
use crate::policy::{Environment, Role};
use crate::upstream::dates;
use crate::upstream::page::{Kind, Line, Passage};
use crate::upstream::token::{Found, Span, What};
use crate::upstream::words::{Standing, Wording};

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
        let quoted = text.contains(['{', '}']) || text.contains("\":");
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
    let mut label: Option<Label> = None;
    for unit in group {
        if !collector.out.faults.is_empty() {
            return;
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
        entry(collector, unit, label.as_ref(), listed);
    }
}

fn entry(collector: &mut Collector<'_>, unit: &Unit<'_>, label: Option<&Label>, listed: sentence::Among) {
    let near = unit.own.standing().or_else(|| label.and_then(|label| label.wording.standing()));
    let above = collector.context.standing(None);
    let standing = if collector.context.is_history() { above } else { near.or(above) };
    let linked = unit.line.linked && !collector.rules.chosen;
    let publics: Vec<(&Found, Span)> = unit.spans().filter(|(_, span)| special(span).is_none()).collect();
    match standing {
        Some(Standing::Other) => return,
        Some(Standing::Former) => {
            for (found, span) in publics {
                collector.doubt_as(
                    &span,
                    (unit.line, found.start),
                    "is listed as used no more, or so it seems",
                    Weight::Full,
                );
            }
            return;
        }
        Some(Standing::Source) if !linked => {}
        None if (collector.rules.chosen || collector.rules.is_feed) && !linked => {}
        Some(Standing::Source) | None => {
            for (found, span) in publics {
                collector.doubt(&span, unit.line, found.start, "stands where nothing says what it is");
            }
            return;
        }
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
        };
        collector.publish(&span, &told);
    }
}
