//! Security groups of AWS and network ACLs, whoever lists them: the API or Terraform.
//!
//! A reader makes [`Groups`]; `admit` asks them. A group admits whom any of its rules names, and all groups of an
//! interface together admit whom any of them admits. Outward rules never count: groups remember connections.
//! Network ACLs don't remember: the answer outwards has to pass them as well.

pub mod admit;
pub mod aws;
pub mod cidr;
mod json;
pub mod quota;
pub mod select;
pub mod terraform;

use crate::admission::{FindingKind, Listing};
use crate::prefix::{Family, Prefix};

/// What was read, from one listing or several.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// The texts that it was read from.
    pub listings: Vec<Listing>,
    /// Each group, once.
    pub groups: Vec<Group>,
    /// Each managed prefix list, once.
    pub prefix_lists: Vec<PrefixList>,
    /// Each network interface, once.
    pub interfaces: Vec<Interface>,
    /// Instances that were listed.
    pub instances: Vec<Instance>,
    /// Which of the interfaces that have a group are listed.
    pub members: Members,
    /// Each network ACL, once.
    pub acls: Vec<Acl>,
    /// What readers noticed: listings that disagree, and the like. Each is a finding.
    pub remarks: Vec<Remark>,
    /// Listings of which a page is missing.
    pub cut: Vec<Cut>,
}

/// A security group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// `sg-…`, or a resource's address where no id is known yet.
    pub id: String,
    /// Its name, empty where none is told.
    pub name: String,
    /// Its VPC, empty where none is told.
    pub vpc: String,
    /// Its inward rules, equal ones once.
    pub rules: Vec<Rule>,
    /// Why it may have more rules than these; such rules could name anybody.
    pub unlisted: Option<String>,
    /// Where it was read.
    pub place: Place,
}

/// An inward rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `sgr-…`, or a resource's address; empty where the listing tells none.
    pub id: String,
    /// Which protocol.
    pub protocol: Known<Protocol>,
    /// First and last port, in order; not looked at where the protocol is [`Protocol::All`].
    pub ports: Known<(u16, u16)>,
    /// Who.
    pub source: Known<Source>,
    /// What its author wrote, empty where nothing.
    pub description: String,
    /// Why it may not be there at all: such a rule admits nobody surely.
    pub doubt: Option<String>,
    /// Where it was read.
    pub place: Place,
}

/// A value, or why nobody can say it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Known<T> {
    /// The value.
    Is(T),
    /// Not known before it is applied, kept secret, or left out.
    Unknown(String),
}

impl<T> Known<T> {
    /// The value, where it is known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Known::Is(value) => Some(value),
            Known::Unknown(_) => None,
        }
    }

    /// Why it is not known.
    pub fn why(&self) -> Option<&str> {
        match self {
            Known::Is(_) => None,
            Known::Unknown(why) => Some(why),
        }
    }
}

/// A protocol, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// All of them: ports are not looked at.
    All,
    /// TCP.
    Tcp,
    /// Any other: such a rule admits no callback.
    Other,
}

impl Protocol {
    /// Reads what AWS and Terraform write: a name or a number, `-1` for all. `None` where it is neither.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        match text.to_ascii_lowercase().as_str() {
            "-1" | "all" => return Some(Protocol::All),
            "tcp" | "6" => return Some(Protocol::Tcp),
            "" => return None,
            _ => {}
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            // `06` is TCP as well.
            return text
                .parse::<u8>()
                .ok()
                .map(|number| if number == 6 { Protocol::Tcp } else { Protocol::Other });
        }
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+/".contains(&byte);
        let named = text.bytes().all(word) && text.bytes().any(|byte| byte.is_ascii_alphabetic());
        named.then_some(Protocol::Other)
    }
}

/// Whom a rule names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Addresses.
    Prefix(Prefix),
    /// Members of a managed prefix list, by its id.
    PrefixList(String),
    /// Interfaces of a group.
    Group(GroupRef),
}

/// A group that a rule names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupRef {
    /// `sg-…`, or a resource's address.
    pub id: String,
    /// Why its interfaces are in no listing of ours: it belongs to another account, or to a peered VPC.
    pub elsewhere: Option<String>,
}

/// A managed prefix list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrefixList {
    /// `pl-…`, or a resource's address where no id is known yet.
    pub id: String,
    /// Its name, empty where none is told.
    pub name: String,
    /// The entries that were read; `None` where they were not.
    pub entries: Option<Vec<Prefix>>,
    /// Why it may have more entries than these.
    pub unlisted: Option<String>,
    /// Its size, which counts in full against quotas.
    pub entries_max: Option<u32>,
    /// Its family.
    pub family: Option<Family>,
    /// Where it was read.
    pub place: Place,
}

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// `eni-…`, or a resource's address.
    pub id: String,
    /// The groups that it has, by id.
    pub groups: Vec<String>,
    /// The addresses that others in its network see it call from: its private ones, and those of IPv6.
    pub addresses: Vec<Prefix>,
    /// Its subnet, empty where none is told.
    pub subnet: String,
    /// Where it was read.
    pub place: Place,
}

/// An instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// `i-…`, or a resource's address.
    pub id: String,
    /// Its interfaces, by id.
    pub interfaces: Vec<String>,
    /// Where it was read.
    pub place: Place,
}

/// Which of the interfaces that have a group are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Members {
    /// No listing of interfaces was read.
    #[default]
    Unread,
    /// A listing of interfaces was read; whether it has all is not told by it. One that has nothing but the
    /// interface that is asked about was not taken to list members.
    AsListed,
    /// All of every group that a rule names.
    All,
    /// Not all, and why.
    Cut(String),
}

/// A network ACL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    /// `acl-…`.
    pub id: String,
    /// Its VPC, empty where none is told.
    pub vpc: String,
    /// The subnets that it is for.
    pub subnets: Vec<String>,
    /// Its entries, inward and outward, in any order.
    pub entries: Vec<Entry>,
    /// Where it was read.
    pub place: Place,
}

/// An entry of a network ACL. The one with the lowest number that matches decides; where none does, it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, unique in its direction.
    pub number: u32,
    /// Of which packets.
    pub direction: Direction,
    /// What becomes of them.
    pub action: Action,
    /// Which protocol.
    pub protocol: Known<Protocol>,
    /// First and last destination port, in order; not looked at where the protocol is [`Protocol::All`].
    pub ports: Known<(u16, u16)>,
    /// The other end: where packets come from, or go to.
    pub prefix: Prefix,
    /// Where it was read.
    pub place: Place,
}

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the caller to us.
    Inward,
    /// From us to the caller.
    Outward,
}

/// What an entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Lets it through.
    Allow,
    /// Loses it.
    Deny,
}

/// A place in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// Index of the listing.
    pub listing: u32,
    /// The line, from 1.
    pub line: u32,
}

/// Something that a reader noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// What kind of finding it is.
    pub kind: FindingKind,
    /// Where.
    pub place: Place,
    /// What.
    pub text: String,
    /// What to do.
    pub help: String,
}

/// A listing of which a page is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Its key in the JSON of AWS, such as `SecurityGroups`.
    pub of: &'static str,
    /// Where it says that there is more.
    pub place: Place,
}

/// Why a listing can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{listing}:{line}: {message}")]
pub struct ReadError {
    /// The listing's name.
    pub listing: String,
    /// The line, from 1.
    pub line: u32,
    /// What is wrong, naming the text.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Groups {
    /// The group of this id.
    pub fn group(&self, id: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.id == id)
    }

    /// The prefix list of this id.
    pub fn prefix_list(&self, id: &str) -> Option<&PrefixList> {
        self.prefix_lists.iter().find(|list| list.id == id)
    }

    /// A place as people read it: `groups.json:12`.
    pub fn located(&self, place: Place) -> String {
        let at = usize::try_from(place.listing).ok().and_then(|at| self.listings.get(at));
        let name = at.map(|listing| crate::plain::line(&listing.name)).unwrap_or_default();
        format!("{name}:{}", place.line)
    }
}
