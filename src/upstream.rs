//! Upstream: what a provider's pages publish now, held against the policy.
//!
//! A page is fetched ([`crate::policy::Page`] says where and how it is written), read into a [`Reading`], and the readings of all
//! pages of a provider are compared with its policy as sets of addresses. Reading is all or nothing: a list that can't be read
//! whole is [`Reading::Unreadable`], never a shorter list. Nothing here changes a rule or a policy; a change is proposed as text.

mod collect;
pub mod compare;
mod data;
mod dates;
pub mod dns;
pub mod document;
pub mod extract;
pub mod fetch;
mod html;
mod markdown;
mod page;
pub mod propose;
mod section;
pub mod settle;
mod table;
mod text;
mod token;
mod words;

use std::collections::BTreeSet;

use crate::instant::Moment;
use crate::policy::{Environment, Role};
use crate::prefix::Prefix;

/// What one page says.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// The entries that it publishes, in the page's order, each prefix of a role once; never empty.
    List(Vec<Published>),
    /// It was read whole and publishes no address.
    Empty,
    /// It can't be read whole, so nothing is said about what it publishes.
    Unreadable(Unreadable),
    /// The page stands somewhere else now; the address, where it says one.
    Moved(Option<String>),
}

/// Why a page can't be read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The line at which it shows, from 1; `None` where it is about the whole page.
    pub line: Option<u32>,
    /// What is wrong, naming the token.
    pub reason: String,
}

/// One entry that a page publishes.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// What it covers.
    pub prefix: Prefix,
    /// A callback source, or a network that the provider owns; a page never says [`Role::Tombstone`].
    pub role: Role,
    /// Which environments call from it, as the page says; empty where it does not say.
    pub environments: BTreeSet<Environment>,
    /// The provider's own word for it, such as `Cloud`.
    pub label: Option<String>,
    /// Dates that the page gives for it.
    pub dates: Vec<Stated>,
    /// The line of the page as it was stored, from 1.
    pub line: u32,
    /// The words it stands in, with white space run together.
    pub text: String,
}

/// A date that a page gives for an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Stated {
    /// What happens then.
    pub kind: StatedKind,
    /// The date, where the page gives it whole; `None` where a part is missing, such as the year.
    pub moment: Option<Moment>,
    /// The provider's words.
    pub text: String,
}

/// What happens on a date that a page gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatedKind {
    /// Callbacks come from the entry.
    ValidFrom,
    /// Callbacks no longer come from the entry.
    ValidUntil,
    /// The merchant is to have acted.
    Deadline,
}
