//! Elements of several components.

use std::sync::Arc;

use super::super::address::{Address, number, ports, prefixes};
use super::super::{Dimension, Element, NamePattern, Span, Spans, Values};
use super::kind::Part;
use super::member::{Options, range};

/// An element with its rank: the kernel asks for a higher one first.
pub(super) type Ordered = (u32, Element);

/// What one `add` stands for.
pub(super) enum Tuples {
    /// These: one for each choice of prefixes where a network is written as a range.
    Elements(Vec<Ordered>),
    /// Nothing that a TCP packet could be.
    NotTcp,
    /// Something that is not modelled; the words say what.
    Unknown(Arc<str>),
}

/// Reads an element; `None` where it does not fit.
pub(super) fn read<A: Address>(parts: &[Part], text: &str, options: Options) -> Option<Tuples> {
    let mut words = text.splitn(parts.len(), ',');
    let mut found = vec![(0, Element { key: Vec::new(), value: None, excluded: options.nomatch })];
    for part in parts {
        let word = words.next();
        let value = match part {
            Part::Address => A::values(Spans::One(range::<A>(word?)?)),
            Part::Network => {
                found = with_network(found, range::<A>(word?)?);
                continue;
            }
            Part::Other(Dimension::Port) => match tcp_ports(word?)? {
                Ports::Of(span) => Values::Numbers(Spans::One(span)),
                Ports::OfAnother => return Some(Tuples::NotTcp),
            },
            Part::Other(Dimension::Interface) => {
                let name = word.filter(|word| !word.is_empty())?;
                if name.starts_with("physdev:") {
                    return Some(Tuples::Unknown(Arc::from("port of a bridge (`physdev:`) in a set")));
                }
                Values::Names(vec![interface(name, options)])
            }
            Part::Other(Dimension::Mark) => {
                let mark = number(word?)?;
                Values::Masked { mask: u32::MAX, values: Spans::One((mark, mark)) }
            }
            // Of `bitmap:ip,mac` it may be left out: then the first packet fills it in.
            Part::Other(Dimension::HardwareAddress | Dimension::Address) => Values::Any,
        };
        for (_, element) in &mut found {
            element.key.push(value.clone());
        }
    }
    Some(Tuples::Elements(found))
}

/// Goes on with each prefix of a network. There are two networks at most, and 254 prefixes of each.
fn with_network<A: Address>(found: Vec<Ordered>, span: Span<A>) -> Vec<Ordered> {
    let blocks = prefixes(span);
    let mut all = Vec::with_capacity(found.len() * blocks.len());
    for (rank, element) in found {
        for (first, last) in &blocks {
            let mut element = element.clone();
            element.key.push(A::values(Spans::One((*first, *last))));
            // The last address of a prefix differs from its first in the free bits.
            all.push((rank << 8 | (A::WIDTH - (*last & !*first).ones()), element));
        }
    }
    all
}

/// Ports of an element.
enum Ports {
    /// Of TCP.
    Of(Span<u32>),
    /// Of another protocol.
    OfAnother,
}

fn tcp_ports(text: &str) -> Option<Ports> {
    let (protocol, number) = text.split_once(':').unwrap_or(("tcp", text));
    if !protocol.eq_ignore_ascii_case("tcp") && protocol != "6" {
        return Some(Ports::OfAnother);
    }
    closed_ports(number).map(Ports::Of)
}

/// `80` or `80-90`; no end may be left out.
pub(super) fn closed_ports(text: &str) -> Option<Span<u32>> {
    let whole = !text.is_empty() && !text.starts_with('-') && !text.ends_with('-');
    if whole { ports(text, '-') } else { None }
}

fn interface(name: &str, options: Options) -> NamePattern {
    if options.wildcard { NamePattern::Starts(Arc::from(name)) } else { NamePattern::Exact(Arc::from(name)) }
}
