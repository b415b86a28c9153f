//! Security groups of AWS and network ACLs, whoever lists them: the API or Terraform.
//!
//! A reader makes [`Groups`]; `admit` asks them. A group admits whom any of its rules names, and all groups of an
//! interface together admit whom any of them admits. Outward rules never count: groups remember connections.

use crate::admission::Listing;
use crate::prefix::Prefix;

/// What was read, from one listing or several.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// The texts that it was read from.
    pub listings: Vec<Listing>,
    /// Each group.
    pub groups: Vec<Group>,
    /// Each managed prefix list.
    pub prefix_lists: Vec<PrefixList>,
}

/// A security group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// `sg-…`, or a resource's address where no id is known yet.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its inward rules.
    pub rules: Vec<Rule>,
}

/// An inward rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `sgr-…`, or a resource's address; empty where the listing tells none.
    pub id: String,
    /// Which protocol.
    pub protocol: Known<Protocol>,
    /// First and last port.
    pub ports: Known<(u16, u16)>,
    /// Who.
    pub source: Known<Source>,
    /// Its text, for people.
    pub text: String,
    /// Where it was read.
    pub place: Place,
}

/// A value, or why nobody can say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// The value.
    Is(T),
    /// Not known before it is applied, or kept secret.
    Unknown(String),
}

/// A protocol, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// All of them: ports are not looked at.
    All,
    /// TCP.
    Tcp,
    /// Any other: such a rule admits no callback.
    Other,
}

/// Whom a rule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Addresses.
    Prefix(Prefix),
    /// Members of a managed prefix list.
    PrefixList(String),
    /// Interfaces of a group.
    Group(String),
}

/// A managed prefix list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrefixList {
    /// `pl-…`, or a resource's address where no id is known yet.
    pub id: String,
    /// Its entries; `None` where they were not read.
    pub entries: Option<Vec<Prefix>>,
    /// Its size, which counts in full against quotas.
    pub entries_max: Option<u32>,
}

/// A place in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// Index of the listing.
    pub listing: u32,
    /// The line, from 1.
    pub line: u32,
}
