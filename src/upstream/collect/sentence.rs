//! Addresses in running text: each sentence by itself.

use std::collections::BTreeSet;

use super::{Collector, Entry, Weight, special};
use crate::policy::{Environment, Role};
use crate::prefix::Space;
use crate::upstream::dates;
use crate::upstream::page::Line;
use crate::upstream::token::{self, Found, Span, What, is_mask};
use crate::upstream::words::{Standing, Wording, sentences};

/// In a sentence of more addresses or environments nobody can tell which belong together.
const NAMED_MAX: usize = 100;

/// Words that say that two enumerations go side by side.
const RESPECTIVELY: &[&str] = &[" respectively", " respektive ", " respektivt", " beziehungsweise "];

/// Reads a line of running text.
pub(super) fn collect(collector: &mut Collector<'_>, line: &Line, found: &[Found]) {
    for range in sentences(&line.text) {
        let inside: Vec<&Found> = token::within(found, &range).iter().collect();
        let text = line.text.get(range.clone()).unwrap_or_default();
        if !inside.is_empty() {
            sentence(collector, line, (range.start, text), &inside);
        }
    }
}

/// What becomes of the addresses of a sentence.
enum Verdict {
    /// They are sources.
    Taken,
    /// They are something else.
    Left,
    /// It is not known, and why.
    Doubted(&'static str, Weight),
}

fn verdict(collector: &Collector<'_>, own: &Wording, count: usize) -> Verdict {
    const SILENT: &str = "stands in a sentence that does not say what it is";
    const FORMER: &str = "is said to be used no more, or so it seems";
    const CALLED: &str = "stands in a sentence that speaks of callbacks, and of what is called";
    let light = if collector.rules.chosen { Weight::Full } else { Weight::Light };
    match collector.context.standing(Some(own)) {
        Some(Standing::Other) if own.names_callbacks() && !collector.context.is_history() => {
            Verdict::Doubted(CALLED, Weight::Full)
        }
        Some(Standing::Other) => Verdict::Left,
        Some(Standing::Former) => Verdict::Doubted(FORMER, Weight::Full),
        Some(Standing::Source) if own.says_both() && count > 1 => Verdict::Doubted(CALLED, Weight::Full),
        Some(Standing::Source) | None if count > 0 && is_silent(collector, own) => {
            Verdict::Doubted(SILENT, Weight::Full)
        }
        Some(Standing::Source) => Verdict::Taken,
        None if collector.rules.chosen => Verdict::Taken,
        None => Verdict::Doubted(SILENT, light),
    }
}

fn sentence(collector: &mut Collector<'_>, line: &Line, (start, text): (usize, &str), found: &[&Found]) {
    let own = Wording::new(text);
    let publics: Vec<(usize, Span)> = found.iter().filter_map(|one| public(one)).collect();
    match verdict(collector, &own, publics.len()) {
        Verdict::Taken => {}
        Verdict::Left => return,
        Verdict::Doubted(why, weight) => {
            for (at, span) in &publics {
                collector.doubt_as(span, (line, *at), why, weight);
            }
            return;
        }
    }
    if faults(collector, line, found, Among::of(publics.iter())) {
        return;
    }
    if line.struck && !publics.is_empty() {
        return collector.fault(line.number(), "an address stands in text that is struck out".to_owned());
    }
    let environments = environments(text, start, &publics);
    let given = dates::find(text, &collector.rules.zone);
    let role = collector.context.role(Some(&own)).unwrap_or(Role::Callback);
    let direction = collector.context.direction(Some(&own));
    let labelled = found.iter().filter(|one| public(one).is_some()).map(|one| labelled(line, one.end));
    let environments = environments.into_iter().zip(labelled);
    let named = environments.map(|(named, own)| if own.is_empty() { named } else { own });
    for ((at, span), named) in publics.iter().zip(named) {
        let environments = if named.is_empty() { collector.context.environments() } else { named };
        let entry = Entry {
            line,
            at: *at,
            text: Some(text),
            role,
            environments,
            label: None,
            dates: given.clone(),
            explained: true,
            direction,
        };
        collector.publish(span, &entry);
    }
}

/// Whether a sentence says nothing of its addresses, although what stands above it speaks of sources.
fn is_silent(collector: &Collector<'_>, own: &Wording) -> bool {
    let said = own.standing().is_some() || own.says_used() || !own.environments().is_empty();
    let above = collector.rules.chosen || collector.context.standing(None) == Some(Standing::Source);
    above && !said && !collector.context.introduces_sources()
}

/// The environments that stand in parentheses behind an address.
fn labelled(line: &Line, end: usize) -> BTreeSet<Environment> {
    let behind = line.text.get(end..).unwrap_or_default().trim_start();
    let inside = behind.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    inside.map(|(inside, _)| Wording::new(inside).labels()).unwrap_or_default()
}

/// Addresses from which somebody may call, and where they stand.
fn public(found: &Found) -> Option<(usize, Span)> {
    match &found.what {
        What::Span(span) if special(span).is_none() => Some((found.start, *span)),
        _ => None,
    }
}

/// Whether other addresses of the sentence or the list are sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Among {
    /// Some are.
    Sources,
    /// None is.
    Nothing,
}

impl Among {
    /// Whether there is one.
    pub(super) fn of(mut sources: impl Iterator) -> Self {
        if sources.next().is_some() { Self::Sources } else { Self::Nothing }
    }
}

/// Tells what is wrong in a sentence or a list with sources; whether anything is.
pub(super) fn faults(collector: &mut Collector<'_>, line: &Line, found: &[&Found], among: Among) -> bool {
    let listed = among == Among::Sources;
    let before = collector.out.faults.len();
    for one in found {
        let at = line.number_at(one.start);
        match &one.what {
            What::Damaged(why) => collector.fault(at, format!("damaged: {why}")),
            What::Near(text) if listed || is_strong(text) => {
                collector.fault(at, format!("damaged: `{text}` is no whole address"));
            }
            What::Span(span) if listed => match special(span) {
                Some(Space::Loopback | Space::Unspecified) | None => {}
                Some(_) if is_mask(span.first) => {
                    collector.fault(
                        at,
                        format!(
                            "the netmask `{}` stands among addresses: a table has lost its columns",
                            span.first
                        ),
                    );
                }
                Some(_) => collector.fault(
                    at,
                    format!("`{}` stands among sources, and nobody can call from there", span.first),
                ),
            },
            What::Near(_) | What::Endpoint | What::Span(_) => {}
        }
    }
    collector.out.faults.len() > before
}

/// Whether three numbers can hardly be a version.
fn is_strong(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').filter(|part| !part.is_empty()).collect();
    // Four numbers that are no address are none of a version's either.
    parts.len() == 4
        || parts.len() == 3 && parts.iter().any(|part| part.parse::<u32>().unwrap_or(u32::MAX) > 255)
        || parts.len() == 3 && parts.iter().all(|part| part.len() >= 2)
}

/// The environments of each address of a sentence: those that are named next to it.
fn environments(text: &str, start: usize, spans: &[(usize, Span)]) -> Vec<BTreeSet<Environment>> {
    let named = named(text);
    let all: BTreeSet<Environment> = named.iter().map(|(_, one)| *one).collect();
    let Some((first, _)) = named.first() else { return vec![BTreeSet::new(); spans.len()] };
    let places: Vec<usize> = spans.iter().map(|(at, _)| at.saturating_sub(start)).collect();
    let Some(first_address) = places.first() else { return Vec::new() };
    if spans.len() > NAMED_MAX || named.len() > NAMED_MAX {
        return vec![BTreeSet::new(); spans.len()];
    }
    if Wording::new(text).has(RESPECTIVELY) {
        // As many on both sides belong together in their order; of any others it is not said.
        let own = |(_, one): &(usize, Environment)| BTreeSet::from([*one]);
        let paired = named.len() == spans.len();
        return if paired { named.iter().map(own).collect() } else { vec![BTreeSet::new(); spans.len()] };
    }
    let named_first = first < first_address;
    let is_between = |(at, _): &(usize, Environment)| {
        places.iter().any(|place| place < at) && places.iter().any(|place| place > at)
    };
    if !named.iter().any(is_between) {
        return vec![all; spans.len()];
    }
    // A run of addresses belongs to the run of environments behind it, or before it where the sentence starts with one.
    let own = |place: &usize| {
        if named_first { run_before(&named, &places, *place) } else { run_behind(&named, &places, *place) }
    };
    places.iter().map(own).collect()
}

/// The environments named last before an address, with no address between them.
fn run_before(named: &[(usize, Environment)], places: &[usize], place: usize) -> BTreeSet<Environment> {
    let Some((last, _)) = named.iter().rfind(|(at, _)| *at < place) else { return BTreeSet::new() };
    let parted = |at: usize| places.iter().any(|other| at < *other && other < last);
    let run = named.iter().rev().skip_while(|(at, _)| at > last).take_while(|(at, _)| !parted(*at));
    run.map(|(_, one)| *one).collect()
}

/// The environments named first behind an address, with no address between them.
fn run_behind(named: &[(usize, Environment)], places: &[usize], place: usize) -> BTreeSet<Environment> {
    let Some((first, _)) = named.iter().find(|(at, _)| *at > place) else { return BTreeSet::new() };
    let parted = |at: usize| places.iter().any(|other| first < other && *other < at);
    let run = named.iter().skip_while(|(at, _)| at < first).take_while(|(at, _)| !parted(*at));
    run.map(|(_, one)| *one).collect()
}

/// Environments in a sentence with their places in its bytes.
fn named(text: &str) -> Vec<(usize, Environment)> {
    let wording = Wording::new(text);
    let mut found = Vec::new();
    let lower = text.to_lowercase();
    let mut from = 0;
    for (at, environment) in wording.environments() {
        let padded = format!("{} ", wording.text());
        let word =
            padded.get(at.saturating_sub(1)..).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        if let Some(place) = lower.get(from..).and_then(|rest| rest.find(word)) {
            found.push((from + place, environment));
            from += place + word.len().max(1);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_belong_to_the_addresses_beside_them() {
        let check = |text: &str| -> Vec<String> {
            let spans: Vec<(usize, Span)> = token::find(text).iter().filter_map(public).collect();
            environments(text, 0, &spans)
                .into_iter()
                .map(|named| named.into_iter().map(|one| one.as_str().get(..1).unwrap()).collect())
                .collect()
        };
        assert_eq!(
            check("from 1.2.3.4 in the test environment and from 5.6.7.8 in the production environment"),
            ["t", "p"]
        );
        assert_eq!(
            check("either 1.2.3.4 or 5.6.7.8 in both the test and production environment"),
            ["pt", "pt"]
        );
        assert_eq!(
            check("In production we use 1.2.3.4 and 2.3.4.5, in the sandbox 5.6.7.8"),
            ["p", "p", "t"]
        );
        assert_eq!(check("from 1.2.3.4"), [""]);
        let sides = "1.2.3.4 and 5.6.7.8 are used in the test and production environments, respectively";
        assert_eq!(check(sides), ["t", "p"]);
        let sides = "The test and production systems use 1.2.3.4 and 5.6.7.8 respectively";
        assert_eq!(check(sides), ["t", "p"]);
        let sides =
            "1.2.3.4, 2.3.4.5 and 5.6.7.8 are used in the test and production environment respectively";
        assert_eq!(check(sides), ["", "", ""]);
    }
}
