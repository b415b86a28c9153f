//! What the evaluator needs of an address: it works on one family at a time, as numbers.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use crate::netfilter::{Elements, Span, TableFamily, Values};
use crate::prefix::Family;
use crate::prefix::span::Number;

/// An address of one family, as a number.
pub(super) trait Address: Number + Hash + Debug + 'static {
    /// `NFPROTO_*`.
    const NFPROTO: u32;

    /// The intervals, where the values are addresses of this family.
    fn among(values: &Values) -> Option<&[Span<Self>]>;
    /// The intervals, where the set is of addresses of this family.
    fn in_set(elements: &Elements) -> Option<&Arc<Vec<Span<Self>>>>;

    /// Whether packets of this family pass a table.
    fn passes(family: TableFamily) -> bool {
        match family {
            TableFamily::Ip => Self::FAMILY == Family::V4,
            TableFamily::Ip6 => Self::FAMILY == Family::V6,
            TableFamily::Inet | TableFamily::Netdev => true,
            TableFamily::Bridge | TableFamily::Arp => false,
        }
    }
}

impl Address for u32 {
    const NFPROTO: u32 = 2;

    fn among(values: &Values) -> Option<&[Span<Self>]> {
        match values {
            Values::V4(spans) => Some(spans.as_slice()),
            Values::Any => Some(&[(Self::MIN, Self::MAX)]),
            Values::V6(_) | Values::Numbers(_) | Values::Masked { .. } | Values::Names(_) => None,
        }
    }
    fn in_set(elements: &Elements) -> Option<&Arc<Vec<Span<Self>>>> {
        match elements {
            Elements::V4(spans) => Some(spans),
            _ => None,
        }
    }
}

impl Address for u128 {
    const NFPROTO: u32 = 10;

    fn among(values: &Values) -> Option<&[Span<Self>]> {
        match values {
            Values::V6(spans) => Some(spans.as_slice()),
            Values::Any => Some(&[(Self::MIN, Self::MAX)]),
            Values::V4(_) | Values::Numbers(_) | Values::Masked { .. } | Values::Names(_) => None,
        }
    }
    fn in_set(elements: &Elements) -> Option<&Arc<Vec<Span<Self>>>> {
        match elements {
            Elements::V6(spans) => Some(spans),
            _ => None,
        }
    }
}
