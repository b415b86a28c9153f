//! The elements of one set, as they come, and what they amount to.

use std::sync::Arc;

use super::super::address::{Address, SPANS_MAX, block, length, prefixes, spans, under_mask};
use super::super::words::Words;
use super::super::{Elements, Set, Span, Spans, TableFamily, Values};
use super::kind::{Kind, Mask, Shape};
use super::tuple::{self, Tuples};
use crate::prefix::span::normalise;

/// Elements and intervals that lines of one set may make besides their first one.
const EXTRA_MAX: u32 = 1 << 20;

/// What is wrong with a line.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(message: &str) -> Self {
        Self { message: message.to_owned() }
    }

    /// With the text it is about, shortened.
    pub(super) fn about(message: &str, text: &str) -> Self {
        let short: String = text.chars().take(80).collect();
        Self { message: format!("{message} `{short}`") }
    }
}

/// Elements of one address or network.
struct Flat<A> {
    spans: Vec<Span<A>>,
    /// Those that are `nomatch`.
    holes: Vec<Span<A>>,
}

/// The elements of a set that is being read.
pub(super) struct Members {
    kind: Kind,
    v4: Flat<u32>,
    v6: Flat<u128>,
    numbers: Vec<Span<u32>>,
    tuples: Vec<tuple::Ordered>,
    lists: Vec<Arc<str>>,
    /// Elements and intervals that single lines have made besides their first one.
    extra: u32,
    unknown: Option<Arc<str>>,
}

/// What stands behind an element.
#[derive(Clone, Copy, Default)]
pub(super) struct Options {
    /// It is a hole.
    pub(super) nomatch: bool,
    /// Its interface's name is the start of one.
    pub(super) wildcard: bool,
}

impl Options {
    fn read(rest: &str) -> Self {
        let mut options = Self::default();
        let mut words = Words::new(rest);
        while let Some(word) = words.next() {
            match word.raw {
                "nomatch" => options.nomatch = true,
                "wildcard" => options.wildcard = true,
                "comment" | "timeout" | "packets" | "bytes" | "skbmark" | "skbprio" | "skbqueue" => {
                    words.next();
                }
                _ => (),
            }
        }
        options
    }
}

impl Members {
    pub(super) fn new(kind: Kind) -> Self {
        let unknown = match &kind.shape {
            Shape::Unknown(words) => Some(Arc::clone(words)),
            _ => None,
        };
        let v4 = Flat { spans: Vec::new(), holes: Vec::new() };
        let v6 = Flat { spans: Vec::new(), holes: Vec::new() };
        Self { kind, v4, v6, numbers: Vec::new(), tuples: Vec::new(), lists: Vec::new(), extra: 0, unknown }
    }

    /// Whether it is a set of addresses or networks of IPv4 that stand for themselves.
    pub(super) fn is_plain(&self) -> bool {
        let of_v4 = matches!((&self.kind.shape, self.kind.family), (Shape::One, TableFamily::Ip));
        of_v4 && self.kind.mask.is_none() && self.unknown.is_none()
    }

    /// Takes an element of such a set that has no options.
    pub(super) fn add_plain(&mut self, span: Span<u32>) {
        self.v4.spans.push(span);
    }

    /// Takes the rest of an `add` line: the element and its options.
    pub(super) fn add(&mut self, rest: &str) -> Result<(), Fault> {
        if self.unknown.is_some() {
            return Ok(());
        }
        let rest = rest.trim();
        let (element, rest) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        let wrong = || Fault::about("no element of its set's type:", element);
        let options = Options::read(rest);
        match (&self.kind.shape, self.kind.family) {
            (Shape::One, TableFamily::Ip6) => self.add_v6(element, options).ok_or_else(wrong),
            (Shape::One, _) => self.add_v4(element, options).ok_or_else(wrong),
            (Shape::Port, _) => {
                let number = element.rsplit(':').next().unwrap_or(element);
                self.numbers.push(tuple::closed_ports(number).ok_or_else(wrong)?);
                Ok(())
            }
            (Shape::List, _) => {
                self.lists.push(Arc::from(element));
                Ok(())
            }
            (Shape::Several(parts), family) => {
                let elements = match family {
                    TableFamily::Ip6 => tuple::read::<u128>(parts, element, options),
                    _ => tuple::read::<u32>(parts, element, options),
                };
                self.add_tuples(elements.ok_or_else(wrong)?);
                Ok(())
            }
            (Shape::Unknown(_), _) => Ok(()),
        }
    }

    fn add_v4(&mut self, element: &str, options: Options) -> Option<()> {
        let span = range::<u32>(element)?;
        match self.kind.mask {
            Some(Mask::V4(mask)) => match widened(span, mask, &mut self.extra) {
                Some(spans) => self.v4.spans.extend(spans),
                None => self.unknown = Some(too_many_masks()),
            },
            _ => self.v4.push(span, options),
        }
        Some(())
    }

    fn add_v6(&mut self, element: &str, options: Options) -> Option<()> {
        let span = range::<u128>(element)?;
        match self.kind.mask {
            Some(Mask::V6(mask)) => match widened(span, mask, &mut self.extra) {
                Some(spans) => self.v6.spans.extend(spans),
                None => self.unknown = Some(too_many_masks()),
            },
            _ => self.v6.push(span, options),
        }
        Some(())
    }

    fn add_tuples(&mut self, read: Tuples) {
        match read {
            Tuples::NotTcp => (),
            Tuples::Unknown(words) => self.unknown = Some(words),
            Tuples::Elements(elements) => {
                // A single line may stand for thousands of prefixes; a file must not stand for billions.
                let extra = u32::try_from(elements.len().saturating_sub(1)).unwrap_or(u32::MAX);
                self.extra = self.extra.saturating_add(extra);
                if self.extra > EXTRA_MAX {
                    self.unknown = Some(Arc::from("ranges of a set that make too many prefixes"));
                    return;
                }
                self.tuples.extend(elements);
                self.mask_last();
            }
        }
    }

    /// Puts the set's masks into what was added last.
    fn mask_last(&mut self) {
        if self.kind.mask.is_none() && self.kind.markmask == u32::MAX {
            return;
        }
        let added = self.tuples.iter_mut().rev().take(1);
        for value in added.flat_map(|(_, element)| &mut element.key) {
            let masked = match (&*value, self.kind.mask) {
                (Values::V4(Spans::One(span)), Some(Mask::V4(mask))) => {
                    widened(*span, mask, &mut self.extra).and_then(spans).map(Values::V4)
                }
                (Values::V6(Spans::One(span)), Some(Mask::V6(mask))) => {
                    widened(*span, mask, &mut self.extra).and_then(spans).map(Values::V6)
                }
                (Values::Masked { values, .. }, _) => {
                    Some(Values::Masked { mask: self.kind.markmask, values: values.clone() })
                }
                (other, _) => Some(other.clone()),
            };
            match masked {
                Some(masked) => *value = masked,
                None => self.unknown = Some(too_many_masks()),
            }
        }
    }

    /// The set, now that all of it was read.
    pub(super) fn finish(mut self) -> Set {
        let dimensions = self.kind.dimensions();
        let elements = match (self.unknown, &self.kind.shape, self.kind.family) {
            (Some(words), _, _) => Elements::Unknown(words),
            (None, Shape::One, TableFamily::Ip6) => Elements::V6(self.v6.finish().into()),
            (None, Shape::One, _) => Elements::V4(self.v4.finish().into()),
            (None, Shape::Port, _) => Elements::Numbers(normalise(self.numbers).into()),
            (None, Shape::List, _) => Elements::Lists(self.lists),
            (None, Shape::Several(_) | Shape::Unknown(_), _) => {
                // The kernel asks for the longest prefixes first. The sort is stable.
                self.tuples.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
                Elements::Tuples(self.tuples.into_iter().map(|(_, element)| element).collect())
            }
        };
        Set { elements, dynamic: false, dimensions }
    }
}

fn too_many_masks() -> Arc<str> {
    Arc::from(format!("mask of a set that makes more than {SPANS_MAX} intervals"))
}

impl<A: Address> Flat<A> {
    fn push(&mut self, span: Span<A>, options: Options) {
        if options.nomatch {
            self.holes.extend(prefixes(span));
        } else {
            self.spans.push(span);
        }
    }

    /// Intervals that match: the longest prefix around an address decides.
    fn finish(self) -> Vec<Span<A>> {
        if self.holes.is_empty() {
            return normalise(self.spans);
        }
        let wanted = self.spans.into_iter().flat_map(prefixes).map(|span| (span, true));
        let mut all: Vec<(Span<A>, bool)> =
            wanted.chain(self.holes.into_iter().map(|span| (span, false))).collect();
        all.sort_unstable_by_key(|((first, last), _)| (*first, std::cmp::Reverse(*last)));
        let mut sweep = Sweep { from: Some(A::MIN), around: Vec::new(), found: Vec::new() };
        for prefix in all {
            sweep.enter(prefix);
        }
        sweep.leave_all();
        normalise(sweep.found)
    }
}

/// A walk through prefixes in their order; each lies within those around it.
struct Sweep<A> {
    /// The first address that is not yet told; `None` behind the last one.
    from: Option<A>,
    around: Vec<(A, bool)>,
    found: Vec<Span<A>>,
}

impl<A: Address> Sweep<A> {
    fn enter(&mut self, ((first, last), matches): (Span<A>, bool)) {
        while self.around.last().is_some_and(|(end, _)| *end < first) {
            self.leave();
        }
        if let (Some((_, true)), Some(from), Some(before)) = (self.around.last(), self.from, first.before())
            && from <= before
        {
            self.found.push((from, before));
        }
        self.from = self.from.map(|from| from.max(first));
        self.around.push((last, matches));
    }

    fn leave(&mut self) {
        let Some((last, matches)) = self.around.pop() else { return };
        let Some(from) = self.from.filter(|from| *from <= last) else { return };
        if matches {
            self.found.push((from, last));
        }
        self.from = last.after();
    }

    fn leave_all(&mut self) {
        while !self.around.is_empty() {
            self.leave();
        }
    }
}

/// `a`, `a/length`, `a-b`.
pub(super) fn range<A: Address>(text: &str) -> Option<Span<A>> {
    if let Some((first, last)) = text.split_once('-') {
        let (first, last) = (A::parse(first)?, A::parse(last)?);
        return (first <= last).then_some((first, last));
    }
    let Some((address, bits)) = text.split_once('/') else {
        return A::parse(text).map(|address| (address, address));
    };
    Some(block(A::parse(address)?, length::<A>(bits)?))
}

/// All addresses that are one of these under a mask; `None` once masks make too many intervals.
fn widened<A: Address>(span: Span<A>, mask: A, made: &mut u32) -> Option<Vec<Span<A>>> {
    let contiguous = mask == A::mask(mask.ones());
    if contiguous {
        return Some(vec![(span.0 & mask, span.1 | !mask)]);
    }
    if span.0 != span.1 {
        return None;
    }
    let spans = under_mask(span.0, mask)?;
    *made = made.checked_add(u32::try_from(spans.as_slice().len()).ok()?)?;
    (*made <= EXTRA_MAX).then(|| spans.as_slice().to_vec())
}
