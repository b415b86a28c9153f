//! Holdings: the places of our own in a system, and what is in them.
//!
//! A target owns one or several holdings: a table, chains with the jump to them, an ipset, a file, rules of a security group. Each
//! is read out of what its tool lists, and compared by meaning. Where it differs, a [`Step`] brings it from what it is to what is wanted: one
//! transaction of one tool, with the difference only. A snapshot is what a holding held before, and going back is the
//! same step from what is there now to that. So nothing here knows of plans, and no restore is code of its own.
//!
//! What is not in a holding is other people's, and no step names it.

pub mod aws;
pub mod ipset;
mod iptables;
pub mod lasting;
mod nft;
mod spot;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use aws::{Account, Adopt};

use crate::admission::Text;
use crate::netfilter::{Host, Listing, ReadError};
use crate::nginx;
use crate::prefix::{Family, PrefixSet};

/// A place of our own. It tells all that is needed to read it, change it and bring it back, without the site's settings:
/// a rollback must work after the site file is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Holding {
    /// A table of family inet, whole. Its text is what `nft list table` prints.
    NftTable {
        /// Its name.
        table: String,
    },
    /// The chain `callgate` in somebody's table, its sets `callgate_v4` and `callgate_v6`, and the jump to it at the
    /// head of a base chain. Its text is a block of that table that holds these alone.
    NftChain {
        /// The table's family: `inet`, `ip` or `ip6`.
        family: String,
        /// The table.
        table: String,
        /// The base chain that jumps to ours.
        parent: String,
        /// Whether the jump is ours as well.
        jump: Jump,
    },
    /// Two chains of the table filter of iptables or ip6tables, the second named `…-ALLOW`, and the jump to the first. Its
    /// text is the lines of `iptables-save` that are about them.
    Iptables {
        /// Which of the two tools.
        family: Family,
        /// The first chain.
        chain: String,
        /// The chain that jumps to it.
        parent: String,
        /// Whether the jump is ours as well.
        jump: Jump,
    },
    /// An ipset. Its text is what `ipset save` prints of it.
    Ipset {
        /// Its name.
        name: String,
    },
    /// A file that nginx includes. Its text is its bytes.
    NginxFile {
        /// Where.
        path: PathBuf,
        /// The main file of the configuration, where it is not the one that nginx takes by itself.
        config: Option<PathBuf>,
    },
    /// The rules of a security group that carry our marker. Its text is a line of JSON for each; see [`aws`].
    AwsGroup {
        /// Its id.
        group: String,
        /// Where it is.
        account: Account,
    },
    /// The entries of a managed prefix list that carry our marker.
    AwsPrefixList {
        /// Its id.
        list: String,
        /// Where it is.
        account: Account,
    },
}

/// Whose the jump into a chain of ours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jump {
    /// Ours: put in and taken out with the chain.
    Ours,
    /// Somebody else's.
    Theirs,
}

/// What a holding holds: its text, or `None` where it is not there.
pub type Content = Option<Text>;

/// What should be in a place. Of a set, which may be long, it is known what that is before anybody asks for the text.
#[derive(Debug, Clone)]
pub enum Want<'a> {
    /// Its text.
    Text(Content),
    /// An ipset.
    Ipset(ipset::Wanted<'a>),
}

impl From<Content> for Want<'_> {
    fn from(content: Content) -> Self {
        Want::Text(content)
    }
}

impl Want<'_> {
    /// The content.
    pub fn content(&self) -> Content {
        match self {
            Want::Text(content) => content.clone(),
            Want::Ipset(set) => Some(set.text().into()),
        }
    }
}

/// One transaction of one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The place that it changes.
    pub holding: Holding,
    /// What the tool gets: its input, or a file's bytes; `None` where a file goes.
    pub input: Content,
    /// What it does, in words.
    pub does: String,
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holding::NftTable { table } => write!(f, "nft table inet {table}"),
            Holding::NftChain { family, table, .. } => write!(f, "nft chain {family} {table} callgate"),
            Holding::Iptables { family: Family::V4, chain, .. } => write!(f, "iptables chain {chain}"),
            Holding::Iptables { family: Family::V6, chain, .. } => write!(f, "ip6tables chain {chain}"),
            Holding::Ipset { name } => write!(f, "ipset {name}"),
            Holding::NginxFile { path, .. } => write!(f, "file {}", path.display()),
            Holding::AwsGroup { group, .. } => write!(f, "security group {group}"),
            Holding::AwsPrefixList { list, .. } => write!(f, "prefix list {list}"),
        }
    }
}

/// Why what is in a holding can't be told.
#[derive(Debug, thiserror::Error)]
pub enum HoldingError {
    /// Its text is not what its tool prints.
    #[error("what is in it can't be read: {0}")]
    Unreadable(ReadError),
    /// Its text holds no such thing.
    #[error("`{start}` holds nothing of the kind")]
    Nothing {
        /// How the text starts.
        start: String,
    },
}

impl HoldingError {
    pub(crate) fn nothing(text: &str) -> Self {
        Self::Nothing { start: text.chars().take(60).collect() }
    }
}

/// What the tools of a host list, as far as a holding needs it.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// `nft -a list ruleset`.
    pub nft: Option<Text>,
    /// `iptables-save -t filter`.
    pub iptables: Option<Text>,
    /// `ip6tables-save -t filter`.
    pub ip6tables: Option<Text>,
    /// `ipset save`.
    pub ipset: Option<Text>,
}

/// Whether a content tells of the rules of others around our jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    /// It does, so that a rollback can tell where the jump stood.
    Told,
    /// It has what is ours alone.
    Left,
}

/// The place in its tool's terms.
enum Place<'a> {
    Nft(nft::Place<'a>),
    Iptables(iptables::Place<'a>),
    Ipset(&'a str),
    File,
    Aws(aws::Place<'a>),
}

impl Holding {
    fn place(&self) -> Place<'_> {
        match self {
            Holding::NftTable { table } => Place::Nft(nft::Place { family: "inet", table, parent: None }),
            Holding::NftChain { family, table, parent, jump } => {
                Place::Nft(nft::Place { family, table, parent: Some((parent, *jump)) })
            }
            Holding::Iptables { family, chain, parent, jump } => {
                Place::Iptables(iptables::Place { family: *family, chain, parent, jump: *jump })
            }
            Holding::Ipset { name } => Place::Ipset(name),
            Holding::NginxFile { .. } => Place::File,
            Holding::AwsGroup { group, .. } => Place::Aws(aws::Place::Group(group)),
            Holding::AwsPrefixList { list, .. } => Place::Aws(aws::Place::List(list)),
        }
    }

    /// What is in it, out of what the tools list. Neither a file nor AWS is a listing of theirs: they hold nothing here.
    pub fn own(&self, listed: &Listed) -> Content {
        self.own_with(listed, Around::Left)
    }

    /// The same, and the rules of others around our jump, as comments: it is known then where the jump stands.
    pub fn own_in_place(&self, listed: &Listed) -> Content {
        self.own_with(listed, Around::Told)
    }

    fn own_with(&self, listed: &Listed, around: Around) -> Content {
        match self.place() {
            Place::Nft(place) => place.own(listed.nft.as_deref()?, around),
            Place::Iptables(place) => {
                let listing = match place.family {
                    Family::V4 => listed.iptables.as_deref()?,
                    Family::V6 => listed.ip6tables.as_deref()?,
                };
                place.own(listing, around)
            }
            Place::Ipset(name) => ipset::own(name, listed.ipset.as_deref()?),
            Place::File | Place::Aws(_) => None,
        }
    }

    /// The same content with our jump before all rules of others, where there is a jump of ours.
    pub fn ahead(&self, content: &Content) -> Content {
        match self.place() {
            Place::Nft(nft::Place { parent: Some((_, Jump::Ours)), .. })
            | Place::Iptables(iptables::Place { jump: Jump::Ours, .. }) => {
                content.as_deref().map(spot::ahead).map(Text::from)
            }
            Place::Nft(_) | Place::Iptables(_) | Place::Ipset(_) | Place::File | Place::Aws(_) => {
                content.clone()
            }
        }
    }

    /// Whether a content tells where our jump stands. It can be compared only with one that does as well.
    pub fn is_in_place(&self, content: &Content) -> bool {
        match self.place() {
            Place::Nft(nft::Place { parent: Some(_), .. }) | Place::Iptables(_) => {
                content.as_deref().is_some_and(|text| text.lines().any(spot::is_told))
            }
            Place::Nft(_) | Place::Ipset(_) | Place::File | Place::Aws(_) => false,
        }
    }

    /// Whether our jump stands behind rules of others.
    pub fn is_behind(&self, in_place: &Content) -> bool {
        let text = in_place.as_deref().unwrap_or_default();
        match self.place() {
            Place::Nft(place) => place.row(text).is_behind(),
            Place::Iptables(place) => place.row(text).is_behind(),
            Place::Ipset(_) | Place::File | Place::Aws(_) => false,
        }
    }

    /// Whether both contents mean the same.
    pub fn same(&self, have: &Content, want: &Content) -> Result<bool, HoldingError> {
        let (Some(have), Some(want)) = (have, want) else { return Ok(have.is_none() && want.is_none()) };
        if have == want {
            return Ok(true);
        }
        match self.place() {
            Place::Nft(place) => place.same(have, want),
            Place::Iptables(place) => place.same(have, want),
            Place::Ipset(name) => ipset::same(name, have, want),
            Place::File => Ok(nginx::are_alike(have, want)),
            Place::Aws(place) => Ok(place.orders(have, want)?.is_empty()),
        }
    }

    /// What is there and what is wanted, once it is told apart what others have there for the same.
    pub fn fitted(
        &self,
        have: Content,
        want: &Content,
        adopt: Adopt,
    ) -> Result<(Content, Content), HoldingError> {
        match self.place() {
            Place::Aws(place) => place.fitted(&have, want, adopt),
            Place::Nft(_) | Place::Iptables(_) | Place::Ipset(_) | Place::File => Ok((have, want.clone())),
        }
    }

    /// Whether a host that was read already holds what is wanted. Where it can't tell, the contents are compared.
    pub fn is_met(&self, host: &Host, want: &Want<'_>) -> Result<bool, HoldingError> {
        match (self.place(), want) {
            (Place::Nft(place), Want::Text(Some(want))) => place.is_met(&host.tables, want),
            (Place::Ipset(name), Want::Ipset(want)) => {
                host.ipsets.get(name).map_or(Ok(false), |have| want.is(have))
            }
            _ => Ok(false),
        }
    }

    /// What brings it from what is there to what is wanted; `None` where both mean the same.
    pub fn step(&self, have: &Content, want: &Content) -> Result<Option<Step>, HoldingError> {
        if self.same(have, want)? {
            return Ok(None);
        }
        let (input, does) = match self.place() {
            Place::Nft(place) => place.commands(have, want)?,
            Place::Iptables(place) => place.commands(have, want)?,
            Place::Ipset(name) => ipset::commands(name, have, want),
            Place::Aws(place) => {
                let (input, does) = place.commands(have, want)?;
                (input, format!("{self}: {does}"))
            }
            Place::File => {
                let verb = match (have, want) {
                    (_, None) => "remove",
                    (None, _) => "write",
                    _ => "replace",
                };
                return Ok(Some(Step {
                    holding: self.clone(),
                    input: want.clone(),
                    does: format!("{verb} {self}, and reload nginx"),
                }));
            }
        };
        Ok(Some(Step { holding: self.clone(), input: Some(input.into()), does }))
    }

    /// The source addresses that a content names.
    pub fn addresses(&self, content: &Content) -> Result<PrefixSet, HoldingError> {
        let Some(text) = content else { return Ok(PrefixSet::empty()) };
        match self.place() {
            Place::Nft(_) => nft::addresses(text),
            Place::Iptables(place) => place.addresses(text),
            Place::Ipset(name) => ipset::addresses(name, text),
            Place::File => Ok(nginx::sources(text)),
            Place::Aws(place) => place.addresses(text),
        }
    }

    /// Puts a content into a host's rules as if it were loaded, so that they can be asked what they will let in.
    pub fn put_into(&self, host: &mut Host, want: &Content) -> Result<(), HoldingError> {
        let number = u16::try_from(host.listings.len()).unwrap_or(u16::MAX);
        let mut shown = want.clone();
        match self.place() {
            Place::Nft(place) => {
                let table = want.as_deref().map(|text| nft::read(text, number)).transpose()?;
                place.put_into(&mut host.tables, table, want.as_deref().unwrap_or_default());
            }
            Place::Iptables(place) => {
                let table = want.as_deref().map(|text| place.read(text, number)).transpose()?;
                place.put_into(&mut host.tables, table, want.as_deref().unwrap_or_default());
                shown = want.as_deref().map(|text| place.whole_table(text).into());
            }
            Place::Ipset(name) => {
                host.ipsets.remove(name);
                if let Some(text) = want {
                    host.ipsets.insert(name.into(), ipset::read(name, text)?);
                }
            }
            Place::File | Place::Aws(_) => return Ok(()),
        }
        let text = shown.unwrap_or_default();
        host.listings.push(Listing { name: format!("planned {self}"), text });
        Ok(())
    }
}
