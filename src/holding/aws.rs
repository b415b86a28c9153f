//! Holdings in AWS: rules of a security group, and entries of a managed prefix list, that carry our marker.
//!
//! A content has a line of JSON for each rule or entry, and whose it is. Those of others are in it as far as they name
//! the same as ours could: AWS refuses a second rule for the same, so one that is there already is *kept*, or *taken over* by
//! giving it our description. Nothing else of others is ever named by an order.
//!
//! Orders are in a sequence that admits at every moment whom both the old and the new content admit: what is added comes
//! before what is taken away.

pub mod group;
pub mod list;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Content, Holding, HoldingError, Step};
use crate::admission::Listing;
use crate::prefix::{Prefix, PrefixSet};
use crate::security_group::{Groups, cidr};

/// How descriptions start of what is ours.
pub const MARKER: &str = "callgate ";

/// Where in AWS, if not where the environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The profile of the AWS command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// The place in AWS' terms.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// A security group.
    Group(&'a str),
    /// A managed prefix list.
    List(&'a str),
}

impl Place<'_> {
    /// The orders that make what is there what is wanted; none where both mean the same.
    pub fn orders(self, have: &str, want: &str) -> Result<Vec<Order>, HoldingError> {
        match self {
            Place::Group(_) => group::orders(have, want),
            Place::List(_) => list::orders(have, want),
        }
    }

    /// The orders as text, and what they do.
    pub fn commands(self, have: &Content, want: &Content) -> Result<(String, String), HoldingError> {
        let (have, want) = (text_of(have), text_of(want));
        let orders = self.orders(have, want)?;
        let does = match self {
            Place::Group(_) => group::told(&orders, have)?,
            Place::List(_) => list::told(&orders),
        };
        Ok((lines(&orders), does))
    }

    /// What is there and what is wanted, once it is told apart what others have there for the same.
    pub fn fitted(
        self,
        have: &Content,
        want: &Content,
        adopt: Adopt,
    ) -> Result<(Content, Content), HoldingError> {
        let (have, want) = (text_of(have), text_of(want));
        let (have, want) = match self {
            Place::Group(_) => group::fitted(have, want, adopt)?,
            Place::List(_) => list::fitted(have, want)?,
        };
        Ok((Some(have), Some(want)))
    }

    /// The rules or entries of others that name what is wanted.
    pub fn kept(self, text: &str) -> Result<Vec<Line>, HoldingError> {
        let lines = match self {
            Place::Group(_) => read_lines(text.lines())?,
            Place::List(_) => list::read(text)?.1,
        };
        Ok(lines.into_values().filter(|line| line.whose == Whose::Kept).collect())
    }

    /// The addresses that are admitted as wanted, whoever wrote the rule.
    pub fn addresses(self, text: &str) -> Result<PrefixSet, HoldingError> {
        let lines = match self {
            Place::Group(_) => read_lines(text.lines())?,
            Place::List(_) => list::read(text)?.1,
        };
        let counted = lines.values().filter(|line| line.whose != Whose::Others);
        let prefixes = counted.filter_map(|line| match line.source {
            Whom::Prefix(prefix) => Some(prefix),
            Whom::List(_) => None,
        });
        Ok(prefixes.collect())
    }

    /// Carries orders out on a copy of the groups.
    pub fn put_into(self, groups: &mut Groups, orders: &[Order]) {
        let number = u32::try_from(groups.listings.len()).unwrap_or(u32::MAX);
        match self {
            Place::Group(id) => group::put_into(groups, id, orders, number),
            Place::List(id) => list::put_into(groups, id, orders),
        }
        let name = match self {
            Place::Group(id) => format!("planned security group {id}"),
            Place::List(id) => format!("planned prefix list {id}"),
        };
        groups.listings.push(Listing { name, text: lines(orders).into() });
    }
}

/// Whether rules of others that name exactly what is wanted become ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Adopt {
    /// They stay others'.
    #[default]
    Nothing,
    /// They are given our description.
    Exact,
}

/// Whose a rule or an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// Its description starts with our marker.
    Ours,
    /// Somebody else's, and it names what is wanted.
    Kept,
    /// Somebody else's.
    Others,
}

/// Whom a rule names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Whom {
    /// Addresses.
    Prefix(Prefix),
    /// The entries of a prefix list.
    List(String),
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whom::Prefix(prefix) => write!(f, "{prefix}"),
            Whom::List(id) => f.write_str(id),
        }
    }
}

impl From<Whom> for String {
    fn from(whom: Whom) -> Self {
        whom.to_string()
    }
}

impl TryFrom<String> for Whom {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with("pl-") {
            return Ok(Whom::List(text));
        }
        cidr::read_any(&text).map(Whom::Prefix).ok_or_else(|| format!("`{text}` is no prefix"))
    }
}

/// What one rule or entry is for: AWS takes no two of the same. Entries of a list have no port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The port.
    pub port: Option<u16>,
    /// Whom it names.
    pub whom: Whom,
}

/// One rule or entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Whose it is.
    pub whose: Whose,
    /// Its port; none in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whom it names.
    pub source: Whom,
    /// Its description.
    pub description: String,
    /// The rule's id, where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl Line {
    /// What it is for.
    pub fn key(&self) -> Key {
        Key { port: self.port, whom: self.source.clone() }
    }
}

/// Whose something with this description is.
pub fn whose(description: &str) -> Whose {
    if description.starts_with(MARKER) { Whose::Ours } else { Whose::Others }
}

/// Lines by what they are for.
pub type Lines = BTreeMap<Key, Line>;

/// One thing that AWS is told. Neighbours of one kind go into one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Add a rule.
    Authorize {
        /// Its port.
        port: u16,
        /// Whom it names.
        source: Whom,
        /// Its description.
        description: String,
    },
    /// Give a rule another description.
    Describe {
        /// Its port.
        port: u16,
        /// Whom it names.
        source: Whom,
        /// What it is to say.
        description: String,
    },
    /// Take a rule away.
    Revoke {
        /// Its id.
        rule: String,
        /// Its port, for people.
        port: u16,
        /// Whom it names, for people.
        source: Whom,
    },
    /// Make a list larger.
    Resize {
        /// Its size from then on.
        max_entries: u32,
    },
    /// The version of the list that the orders after it are about.
    Against {
        /// The version.
        version: u64,
    },
    /// Add an entry.
    Add {
        /// Whom it names.
        source: Whom,
        /// Its description.
        description: String,
    },
    /// Take an entry away.
    Remove {
        /// Whom it names.
        source: Whom,
    },
}

/// Orders as they were written.
pub fn orders(text: &str) -> Result<Vec<Order>, HoldingError> {
    text.lines().map(parsed).collect()
}

/// The sources that groups will name by rules of their own.
pub fn arriving<'s>(steps: impl Iterator<Item = &'s Step>) -> Result<BTreeSet<Whom>, HoldingError> {
    let mut all = BTreeSet::new();
    for step in steps.filter(|step| matches!(step.holding, Holding::AwsGroup { .. })) {
        all.extend(orders(text_of(&step.input))?.into_iter().filter_map(|order| match order {
            Order::Authorize { source, .. } => Some(source),
            _ => None,
        }));
    }
    Ok(all)
}

/// Whether a change of a list has to wait for the groups, so that nobody is refused meanwhile: it only takes away, or it
/// takes away what a group is about to name itself.
pub fn waits(step: &Step, arriving: &BTreeSet<Whom>) -> bool {
    let orders = orders(text_of(&step.input)).unwrap_or_default();
    let gives = orders.iter().any(|order| matches!(order, Order::Add { .. }));
    let takes = |order: &Order| matches!(order, Order::Remove { source } if arriving.contains(source));
    !gives || orders.iter().any(takes)
}

fn parsed<T: serde::de::DeserializeOwned>(line: &str) -> Result<T, HoldingError> {
    serde_json::from_str(line).map_err(|_| HoldingError::nothing(line))
}

fn lines<T: Serialize>(all: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for one in all {
        // Texts and numbers are always JSON.
        text.push_str(&serde_json::to_string(&one).unwrap_or_default());
        text.push('\n');
    }
    text
}

fn keyed(lines: impl IntoIterator<Item = Line>) -> Lines {
    lines.into_iter().map(|line| (line.key(), line)).collect()
}

/// Lines of a text.
fn read_lines<'t>(text: impl Iterator<Item = &'t str>) -> Result<Lines, HoldingError> {
    let lines: Result<Vec<Line>, HoldingError> = text.map(parsed).collect();
    Ok(keyed(lines?))
}

/// What is there and what is wanted, told apart from what others have for the same: that stays as it is, unless it is
/// adopted.
fn fit(have: &mut Lines, want: &mut Lines, adopt: Adopt) {
    for (key, wanted) in want {
        let Some(known) = have.get_mut(key).filter(|known| known.whose != Whose::Ours) else { continue };
        known.whose = Whose::Kept;
        if adopt == Adopt::Nothing {
            *wanted = known.clone();
        }
    }
}

/// How many there are of each, in words.
fn counted(counts: &[(&str, usize)]) -> String {
    let told = counts.iter().filter(|(_, count)| *count > 0);
    told.map(|(verb, count)| format!("{verb} {count}")).collect::<Vec<_>>().join(", ")
}

fn text_of(content: &Content) -> &str {
    content.as_deref().unwrap_or_default()
}
