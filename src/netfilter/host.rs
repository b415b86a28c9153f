//! One host's rules out of all its listings: each table from the view that is faithful.
//!
//! `nft` and `iptables-save` show the same tables of `iptables-nft`, and neither shows all of them rightly.
//! `nft` has no words for some of its matches, and then the rule of `iptables-save` at the same place is taken.
//! `iptables-save` shows rules that `nft` made wrongly, with status 0, so where `nft` has words, they are taken.
//! The old iptables has tables of its own, which only its own listing shows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;

use super::nft::{self, is_extension};
use super::{
    Action, Backend, Item, Listing, Match, Place, ReadError, Reading, Remark, Rule, Set, Table, TableFamily,
    Test, ipset, iptables_save,
};
use crate::prefix::Family;

/// Which tool printed a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// `nft list ruleset`.
    NftText,
    /// `nft -j list ruleset`.
    NftJson,
    /// `iptables-save` or `ip6tables-save`, of either machinery.
    Iptables(Family),
    /// `ipset save`.
    Ipset,
}

/// Whether a listing of nft was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HasNft {
    Yes,
    No,
}

/// Whether a table should be in another view too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alone {
    AsExpected,
    InOneView,
}

/// One host's rules.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// The texts that they were read from; places count them from 0.
    pub listings: Vec<Listing>,
    /// Its tables, each from its faithful view.
    pub tables: Vec<Table>,
    /// Its ipsets.
    pub ipsets: BTreeMap<Arc<str>, Set>,
    /// What the readers noticed, and where views disagree.
    pub remarks: Vec<Remark>,
    /// Families of which nothing was listed.
    pub unread: Vec<Family>,
    /// What is known of its interfaces: it tells what stays here and what goes on, and by which way.
    pub links: Option<Links>,
}

/// A host's interfaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Its own addresses.
    pub addresses: Vec<HostAddress>,
    /// Interfaces that are bridges with ports.
    pub bridges: Vec<String>,
}

/// An address of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAddress {
    /// Its interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// The network that it is in.
    pub network: IpNet,
}

impl Links {
    /// Reads `ip -j address`.
    pub fn read(text: &str) -> Result<Self, LinksError> {
        let links: Vec<Link> = serde_json::from_str(text)?;
        let mut all = Self::default();
        for link in links {
            all.bridges.extend(link.master);
            let named = link.addr_info.into_iter().filter_map(|own| Some((own.local?, own.prefixlen)));
            for (address, length) in named {
                let network = IpNet::new(address, length)?.trunc();
                all.addresses.push(HostAddress { interface: link.ifname.clone(), address, network });
            }
        }
        Ok(all)
    }
}

/// The text is not what `ip -j address` prints.
#[derive(Debug, thiserror::Error)]
#[error("this is not what `ip -j address` prints")]
pub enum LinksError {
    /// It is no JSON of that form.
    Form(#[from] serde_json::Error),
    /// An address has a prefix length that it can't have.
    Length(#[from] ipnet::PrefixLenError),
}

/// One interface of `ip -j address`.
#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    ifname: String,
    /// The bridge, or whatever else it is a port of.
    #[serde(default)]
    master: Option<String>,
    #[serde(default)]
    addr_info: Vec<LinkAddress>,
}

#[derive(Deserialize)]
struct LinkAddress {
    #[serde(default)]
    local: Option<IpAddr>,
    #[serde(default)]
    prefixlen: u8,
}

/// A listing that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{listing}:{}: {fault}", fault.place.line)]
pub struct ListingError {
    /// Its name.
    listing: String,
    /// What is wrong.
    fault: ReadError,
}

impl ListingError {
    /// What to do.
    pub fn help(&self) -> &str {
        &self.fault.help
    }
}

fn read_one(view: View, text: &str, number: u16) -> Result<Reading, ReadError> {
    match view {
        View::NftText => nft::text::read_text(text, number),
        View::NftJson => nft::json::read_json(text, number),
        View::Iptables(Family::V4) => iptables_save::read(text, number, TableFamily::Ip),
        View::Iptables(Family::V6) => iptables_save::read(text, number, TableFamily::Ip6),
        View::Ipset => ipset::read(text, number),
    }
}

impl Host {
    /// Reads listings, and puts them together. What the tools warned of becomes a remark.
    pub fn read(texts: Vec<(View, Listing)>, warnings: Vec<String>) -> Result<Self, ListingError> {
        let mut readings = Vec::with_capacity(texts.len());
        for (number, (view, listing)) in texts.iter().enumerate() {
            // There are as many listings as tools, or as somebody wrote options.
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            let reading = read_one(*view, &listing.text, number)
                .map_err(|fault| ListingError { listing: listing.name.clone(), fault })?;
            readings.push((*view, reading));
        }
        let listings = texts.into_iter().map(|(_, listing)| listing).collect();
        let mut host = Self::new(listings, readings);
        host.remarks.extend(warnings.into_iter().map(|text| Remark { place: Place::default(), text }));
        Ok(host)
    }

    /// Puts readings together, in the order of their listings.
    pub fn new(listings: Vec<Listing>, readings: Vec<(View, Reading)>) -> Self {
        let mut host = Self { listings, ..Self::default() };
        let views: BTreeSet<View> = readings.iter().map(|(view, _)| *view).collect();
        let asked_nft = views.contains(&View::NftText) || views.contains(&View::NftJson);
        let has_nft = if asked_nft { HasNft::Yes } else { HasNft::No };
        let unread = |family: &Family| !asked_nft && !views.contains(&View::Iptables(*family));
        host.unread = Family::ALL.into_iter().filter(unread).collect();
        let mut sorted = readings;
        // The text knows more than the JSON, and both know which tables are nft's.
        sorted.sort_by_key(|(view, _)| *view);
        for (view, reading) in sorted {
            host.remarks.extend(reading.remarks);
            host.ipsets.extend(reading.ipsets);
            match view {
                View::NftText => host.tables.extend(reading.tables),
                View::NftJson => host.add_json(reading.tables, &views),
                View::Iptables(_) => host.add_iptables(reading.tables, &reading.backend_unknown, has_nft),
                View::Ipset => {}
            }
        }
        host
    }

    /// The text of a place.
    pub fn text(&self, place: Place) -> &str {
        let range = usize::try_from(place.start).unwrap_or(0)..usize::try_from(place.end).unwrap_or(0);
        let listing = self.listings.get(usize::from(place.listing));
        listing.and_then(|listing| listing.text.get(range)).unwrap_or_default().trim()
    }

    fn find(&mut self, backend: Backend, family: TableFamily, name: &str) -> Option<&mut Table> {
        self.tables
            .iter_mut()
            .find(|table| table.backend == backend && table.family == family && table.name.as_ref() == name)
    }

    /// A table that one view has; where another view should have it too, that is said.
    fn add(&mut self, table: Table, alone: Alone, only: &str) {
        if alone == Alone::InOneView {
            let place = table.chains.first().map(|chain| chain.place).unwrap_or_default();
            self.remarks.push(disagree(place, &format!("table `{}` is in {only}", table.name)));
        }
        self.tables.push(table);
    }

    /// JSON beside a text gives handles and confirms; alone it is all there is.
    fn add_json(&mut self, tables: Vec<Table>, known: &BTreeSet<View>) {
        for table in tables {
            match self.find(Backend::Nft, table.family, &table.name) {
                Some(shown) => {
                    let remarks = confirmed(shown, &table);
                    self.remarks.extend(remarks);
                }
                None if known.contains(&View::NftText) => {
                    self.add(table, Alone::InOneView, "the JSON listing of nft only");
                }
                None => self.add(table, Alone::AsExpected, ""),
            }
        }
    }

    fn add_iptables(&mut self, tables: Vec<Table>, unknown: &[Arc<str>], has_nft: HasNft) {
        for mut table in tables {
            // iptables has no word for a table that sleeps, and makes none.
            table.dormant = Some(false);
            // Where nft was asked and knows no such table, it is one of the old iptables.
            let old = has_nft == HasNft::Yes && unknown.contains(&table.name);
            if old && self.find(Backend::Nft, table.family, &table.name).is_none() {
                table.backend = Backend::Legacy;
            }
            let expected = has_nft == HasNft::Yes && table.backend == Backend::Nft && is_telling(&table);
            match self.find(table.backend, table.family, &table.name) {
                Some(shown) => {
                    let remarks = completed(shown, &table);
                    self.remarks.extend(remarks);
                }
                None if expected => {
                    self.add(table, Alone::InOneView, "the listing of iptables and not in nft's");
                }
                None => self.add(table, Alone::AsExpected, ""),
            }
        }
    }
}

/// What is found where both views should agree and do not.
fn disagree(place: Place, what: &str) -> Remark {
    Remark { place, text: format!("{what}: take both listings at one time") }
}

/// Takes handles from the JSON.
fn confirmed(shown: &mut Table, twin: &Table) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for chain in &mut shown.chains {
        let other = twin.chains.iter().find(|other| other.name == chain.name);
        let Some(other) = other.filter(|other| other.rules.len() == chain.rules.len()) else {
            // Inline chains have no names that both views share.
            if chain.base.is_some() {
                remarks.push(disagree(
                    chain.place,
                    &format!(
                        "text and JSON of nft disagree about chain `{}` of table `{}`",
                        chain.name, shown.name
                    ),
                ));
            }
            continue;
        };
        for (rule, other) in chain.rules.iter_mut().zip(&other.rules) {
            rule.handle = rule.handle.max(other.handle);
        }
    }
    remarks
}

/// Whether a table says anything: `iptables-save` lists built-in chains that are not there.
fn is_telling(table: &Table) -> bool {
    table.chains.iter().any(|chain| {
        !chain.rules.is_empty() || chain.base.as_ref().is_some_and(|base| base.policy == super::Policy::Drop)
    })
}

/// Takes from `iptables-save` the rules that `nft` has no words for.
fn completed(shown: &mut Table, twin: &Table) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for chain in shown.chains.iter_mut().filter(|chain| !chain.rules.is_empty()) {
        let other = twin.chains.iter().find(|other| other.name == chain.name);
        let Some(other) = other.filter(|other| other.rules.len() == chain.rules.len()) else {
            let what =
                format!("nft and iptables disagree about chain `{}` of table `{}`", chain.name, shown.name);
            remarks.push(disagree(chain.place, &what));
            continue;
        };
        for (rule, theirs) in chain.rules.iter_mut().zip(&other.rules).filter(|(rule, _)| has_extension(rule))
        {
            rule.items.clone_from(&theirs.items);
            rule.place = theirs.place;
        }
    }
    remarks
}

/// Whether a rule has a match or target of iptables that nft has no words for. Such a rule was made by
/// iptables, and `iptables-save` shows it rightly. A rule made by nft it may show without a condition.
fn has_extension(rule: &Rule) -> bool {
    rule.items.iter().any(|item| match item {
        Item::Match(Match { test: Test::Unknown(words), .. }) | Item::Act(Action::Opaque(words)) => {
            is_extension(words)
        }
        Item::Match(_) | Item::Act(_) | Item::Verdict(_) | Item::VerdictMap(_) => false,
    })
}
