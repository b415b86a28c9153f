//! A set's type and the options of its `create`.

use std::sync::Arc;

use super::super::address::{Address, number};
use super::super::words::Words;
use super::super::{Dimension, TableFamily};
use super::member::Fault;

/// What `create` says of a set.
#[derive(Debug)]
pub(super) struct Kind {
    /// What its elements are.
    pub(super) shape: Shape,
    /// Its family: IPv4 where nothing is said.
    pub(super) family: TableFamily,
    /// Which bits of an address are looked up; `None` for all.
    pub(super) mask: Option<Mask>,
    /// Which bits of a mark are looked up.
    pub(super) markmask: u32,
}

/// Which bits of an address are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mask {
    /// Of IPv4.
    V4(u32),
    /// Of IPv6.
    V6(u128),
}

/// What the elements of a set are.
#[derive(Debug)]
pub(super) enum Shape {
    /// One address (`hash:ip`, `bitmap:ip`) or one network (`hash:net`).
    One,
    /// `bitmap:port`.
    Port,
    /// Several components; also one hardware address.
    Several(Vec<Part>),
    /// `list:set`.
    List,
    /// Another; the words say which.
    Unknown(Arc<str>),
}

/// One of several components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// An address, looked up as it is.
    Address,
    /// A network, whose longest prefix decides.
    Network,
    /// Another, which is looked up as it is.
    Other(Dimension),
}

impl Kind {
    /// Reads what follows a set's name in `create`.
    pub(super) fn read(kind: &str, mut words: Words<'_>) -> Result<Self, Fault> {
        let mut read = Self { shape: shape(kind), family: TableFamily::Ip, mask: None, markmask: u32::MAX };
        let mut mask = None;
        while let Some(word) = words.next() {
            match word.raw {
                "family" => {
                    read.family = match words.next().map(|word| word.raw) {
                        Some("inet" | "ipv4" | "-4") => TableFamily::Ip,
                        Some("inet6" | "ipv6" | "-6") => TableFamily::Ip6,
                        other => return Err(Fault::about("no family of sets:", other.unwrap_or_default())),
                    }
                }
                "netmask" | "bitmask" => mask = words.next().map(|word| word.raw),
                "markmask" => {
                    let found = words.next().map(|word| word.raw).unwrap_or_default();
                    read.markmask = number(found).ok_or_else(|| Fault::about("no mask of marks:", found))?;
                }
                "hashsize" | "maxelem" | "bucketsize" | "initval" | "timeout" | "range" | "size" => {
                    words.next();
                }
                // Flags change nothing here: `counters`, `comment`, `skbinfo`, `forceadd`.
                _ => (),
            }
        }
        if let Some(text) = mask {
            read.mask = Some(read.mask_of(text).ok_or_else(|| Fault::about("no mask of addresses:", text))?);
            // Networks are looked up by their own lengths besides: that is not modelled.
            if kind.contains("net") {
                read.shape = Shape::Unknown(format!("set of type `{kind}` with a mask").into());
            }
        }
        Ok(read)
    }

    fn mask_of(&self, text: &str) -> Option<Mask> {
        match self.family {
            TableFamily::Ip6 => mask::<u128>(text).map(Mask::V6),
            _ => mask::<u32>(text).map(Mask::V4),
        }
    }

    /// What its components are.
    pub(super) fn dimensions(&self) -> Vec<Dimension> {
        match &self.shape {
            Shape::One => vec![Dimension::Address],
            Shape::Port => vec![Dimension::Port],
            Shape::Several(parts) => {
                let dimension = |part: &Part| match part {
                    Part::Address | Part::Network => Dimension::Address,
                    Part::Other(dimension) => *dimension,
                };
                parts.iter().map(dimension).collect()
            }
            Shape::List | Shape::Unknown(_) => Vec::new(),
        }
    }
}

/// A length or a mask, as a mask.
fn mask<A: Address>(text: &str) -> Option<A> {
    match number(text) {
        Some(length) => Some(A::mask(length)).filter(|_| length <= A::WIDTH),
        None => A::parse(text),
    }
}

fn shape(kind: &str) -> Shape {
    let unknown = || Shape::Unknown(format!("set of type `{kind}`").into());
    match kind {
        "hash:ip" | "bitmap:ip" | "hash:net" | "iphash" | "ipmap" | "nethash" => return Shape::One,
        "bitmap:port" | "portmap" => return Shape::Port,
        "list:set" | "setlist" => return Shape::List,
        _ => (),
    }
    let Some(parts) = kind.strip_prefix("hash:").or_else(|| kind.strip_prefix("bitmap:")) else {
        return unknown();
    };
    let parts: Option<Vec<Part>> = parts.split(',').take(4).map(part).collect();
    match parts {
        Some(parts) if parts.len() <= 3 => Shape::Several(parts),
        _ => unknown(),
    }
}

fn part(name: &str) -> Option<Part> {
    Some(match name {
        "ip" => Part::Address,
        "net" => Part::Network,
        "port" => Part::Other(Dimension::Port),
        "iface" => Part::Other(Dimension::Interface),
        "mark" => Part::Other(Dimension::Mark),
        "mac" => Part::Other(Dimension::HardwareAddress),
        _ => return None,
    })
}
