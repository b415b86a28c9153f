//! Sets and maps: nft's, which belong to a table, and ipsets, which belong to the host.
//!
//! A rule and the ipset it names come from different listings. So a reader of rules keeps the directions only
//! ([`SetRef::Ipset`]), a reader of sets keeps what the components are ([`Set::dimensions`]), and whoever holds
//! both asks [`Set::fields`].

use std::sync::Arc;

use super::{Field, Span, Spans, Values, Verdict};

/// Fields looked up in a set or map, component by component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// What is looked up, one for each component. Empty for an ipset, whose fields are those of its
    /// dimensions in the directions that the reference gives: [`Set::fields`].
    pub fields: Vec<Field>,
    /// In what.
    pub set: SetRef,
}

/// Names a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetRef {
    /// A set or map of the rule's own table.
    Named(Arc<str>),
    /// An ipset, which is in another listing than the rule.
    Ipset {
        /// Its name.
        name: Arc<str>,
        /// The rule's `src,dst`: one for each dimension; there may be more than the set has dimensions.
        directions: Box<[Direction]>,
    },
    /// Written out in the rule.
    Anonymous(Arc<Set>),
}

/// A set or a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// What is in it.
    pub elements: Elements,
    /// Whether packets add to it or take from it.
    pub dynamic: bool,
    /// What an ipset's components are; empty for nft's sets and for `list:set`. The key of each of its
    /// [`Element`]s has as many components.
    pub dimensions: Vec<Dimension>,
}

impl Set {
    /// The fields that an ipset looks up in these directions.
    ///
    /// `None` where there are fewer directions than dimensions: the kernel then finds nothing, so that the
    /// lookup does not match and its negation does. Further directions are for members of a `list:set`
    /// and are left out. A component without a field ([`Dimension::HardwareAddress`]) is `None` in it.
    pub fn fields(&self, directions: &[Direction]) -> Option<Vec<Option<Field>>> {
        if directions.len() < self.dimensions.len() {
            return None;
        }
        Some(self.dimensions.iter().zip(directions).map(|(one, direction)| one.field(*direction)).collect())
    }
}

/// Which end of the packet an ipset's component is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// `src`.
    Source,
    /// `dst`.
    Destination,
}

/// What a component of an ipset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// An address or network: `Values::V4` or `Values::V6`.
    Address,
    /// A port, of TCP: elements of other protocols are left out by the reader.
    Port,
    /// An interface: the one it came in by for `src`, the one it leaves by for `dst`. Where the packet has
    /// none, nothing is found.
    Interface,
    /// The packet's mark, whatever the direction.
    Mark,
    /// A hardware address, which nobody can say from here: `Values::Any`. Where the other components match,
    /// it may match.
    HardwareAddress,
}

impl Dimension {
    /// The field it is in this direction; `None` where no field tells.
    pub fn field(self, direction: Direction) -> Option<Field> {
        let (source, destination) = match self {
            Dimension::Address => (Field::Source, Field::Destination),
            Dimension::Port => (Field::SourcePort, Field::DestinationPort),
            Dimension::Interface => (Field::InInterface, Field::OutInterface),
            Dimension::Mark => (Field::Mark, Field::Mark),
            Dimension::HardwareAddress => return None,
        };
        Some(match direction {
            Direction::Source => source,
            Direction::Destination => destination,
        })
    }
}

/// What is in a set. Lists of intervals can be long: they are held as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elements {
    /// One IPv4 address field. An ipset of a family never matches a packet of the other one, and its
    /// negation always does.
    V4(Arc<Vec<Span<u32>>>),
    /// One IPv6 address field.
    V6(Arc<Vec<Span<u128>>>),
    /// One numeric field.
    Numbers(Arc<Vec<Span<u32>>>),
    /// Several fields, names, or a map. Where ranges overlap, an earlier one decides: an ipset's longest
    /// prefix is listed first, by its first network, then by its second.
    Tuples(Vec<Element>),
    /// Other ipsets, in order: it matches where one of them does, in the same directions. A hole of one is
    /// no match of that one alone.
    Lists(Vec<Arc<str>>),
    /// Of a type that is not modelled; the words say which.
    Unknown(Arc<str>),
}

/// One element of a set of several fields, or of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// One for each field of the set's type.
    pub key: Vec<Values>,
    /// What a map holds for it.
    pub value: Option<MapValue>,
    /// An ipset's `nomatch`: a hole.
    pub excluded: bool,
}

impl Element {
    /// Whether it stands for whatever no other element is for (`*` of nft).
    pub fn is_for_the_rest(&self) -> bool {
        self.key.iter().all(|values| matches!(values, Values::Any))
    }
}

/// What a map holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapValue {
    /// A verdict map's.
    Verdict(Verdict),
    /// A mark.
    Number(u32),
    /// Where a `dnat` goes.
    Target {
        /// Its addresses, where it has some.
        addresses: Option<Values>,
        /// Its ports, where it has some.
        ports: Option<Spans<u32>>,
    },
    /// Something else; the words say what.
    Unknown(Arc<str>),
}
