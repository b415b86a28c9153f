//! One host's rules out of all its listings: each table from the view that is faithful.
//!
//! `nft` and `iptables-save` show the same tables of `iptables-nft`, and neither shows all of them rightly.
//! `nft` has no words for some of its matches, and then the rule of `iptables-save` at the same place is taken.
//! `iptables-save` shows rules that `nft` made wrongly, with status 0, so where `nft` has words, they are taken.
//! The old iptables has tables of its own, which only its own listing shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    Action, Backend, Chain, Elements, Item, Listing, Match, Place, Reading, Remark, Rule, Set, SetRef, Table,
    TableFamily, Test,
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
}

impl Host {
    /// Puts readings together, in the order of their listings.
    pub fn new(listings: Vec<Listing>, readings: Vec<(View, Reading)>) -> Self {
        let mut host = Self { listings, ..Self::default() };
        let views: BTreeSet<View> = readings.iter().map(|(view, _)| *view).collect();
        let has_nft = views.contains(&View::NftText) || views.contains(&View::NftJson);
        host.unread = [Family::V4, Family::V6]
            .into_iter()
            .filter(|family| !has_nft && !views.contains(&View::Iptables(*family)))
            .collect();
        let mut sorted = readings;
        // The text knows more than the JSON, and both know which tables are nft's.
        sorted.sort_by_key(|(view, _)| *view);
        for (view, reading) in sorted {
            host.remarks.extend(reading.remarks);
            host.ipsets.extend(reading.ipsets);
            match view {
                View::NftText => host.tables.extend(reading.tables),
                View::NftJson => host.add_json(reading.tables, views.contains(&View::NftText)),
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

    fn remark(&mut self, place: Place, text: String) {
        self.remarks.push(Remark { place, text });
    }

    /// JSON beside a text gives handles and confirms; alone it is all there is.
    fn add_json(&mut self, tables: Vec<Table>, beside_text: bool) {
        for table in tables {
            let Some(known) = self.find(Backend::Nft, table.family, &table.name) else {
                if beside_text {
                    let text = format!(
                        "table `{}` is in the JSON listing of nft only: take both at one time",
                        table.name
                    );
                    self.remark(place_of(&table), text);
                }
                self.tables.push(table);
                continue;
            };
            let mut differ = Vec::new();
            for chain in &mut known.chains {
                let twin = table.chains.iter().find(|twin| twin.name == chain.name);
                let same = twin.is_some_and(|twin| twin.rules.len() == chain.rules.len());
                if chain.base.is_some() && !same {
                    differ.push((chain.place, chain.name.clone()));
                }
                for (rule, twin) in chain.rules.iter_mut().zip(twin.iter().flat_map(|twin| &twin.rules)) {
                    rule.handle = if same && rule.handle == 0 { twin.handle } else { rule.handle };
                }
            }
            for (place, name) in differ {
                let text = format!(
                    "text and JSON of nft disagree about chain `{name}` of table `{}`: take both at one time",
                    table.name
                );
                self.remark(place, text);
            }
        }
    }

    fn add_iptables(&mut self, tables: Vec<Table>, unknown: &[Arc<str>], has_nft: bool) {
        for mut table in tables {
            // iptables has no word for a table that sleeps, and makes none.
            table.dormant = Some(false);
            // Where nft was asked and knows no such table, it is one of the old iptables.
            let old = has_nft && unknown.contains(&table.name);
            if old && self.find(Backend::Nft, table.family, &table.name).is_none() {
                table.backend = Backend::Legacy;
            }
            match self.find(table.backend, table.family, &table.name) {
                Some(known) => {
                    let disagreements = completed(known, &table);
                    self.remarks.extend(disagreements);
                }
                None => {
                    if has_nft && table.backend == Backend::Nft && is_telling(&table) {
                        let text = format!(
                            "table `{}` is in the listing of iptables and not in nft's: take both at one time",
                            table.name
                        );
                        self.remark(place_of(&table), text);
                    }
                    self.tables.push(table);
                }
            }
        }
    }
}

/// Whether a table says anything: `iptables-save` lists built-in chains that are not there.
fn is_telling(table: &Table) -> bool {
    table.chains.iter().any(|chain| {
        !chain.rules.is_empty() || chain.base.as_ref().is_some_and(|base| base.policy == super::Policy::Drop)
    })
}

fn place_of(table: &Table) -> Place {
    table.chains.first().map(|chain| chain.place).unwrap_or_default()
}

/// Takes from `iptables-save` the rules that `nft` has no words for.
fn completed(known: &mut Table, twin: &Table) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for chain in &mut known.chains {
        let Some(other) = twin.chains.iter().find(|other| other.name == chain.name) else {
            if chain.rules.iter().any(has_unknown) {
                remarks.push(disagreement(chain, &known.name));
            }
            continue;
        };
        if other.rules.len() != chain.rules.len() {
            remarks.push(disagreement(chain, &known.name));
            continue;
        }
        for (rule, theirs) in chain.rules.iter_mut().zip(&other.rules) {
            if has_unknown(rule) && !names_native_set(rule) {
                rule.items.clone_from(&theirs.items);
                rule.place = theirs.place;
            }
        }
    }
    remarks
}

fn disagreement(chain: &Chain, table: &str) -> Remark {
    let text = format!(
        "nft and iptables disagree about chain `{}` of table `{table}`: take both listings at one time",
        chain.name
    );
    Remark { place: chain.place, text }
}

fn has_unknown(rule: &Rule) -> bool {
    rule.items.iter().any(|item| match item {
        Item::Match(Match { test: Test::Unknown(_), .. }) | Item::Act(Action::Opaque(_)) => true,
        Item::Match(Match { test: Test::In(lookup), .. }) => match &lookup.set {
            SetRef::Anonymous(set) => matches!(set.elements, Elements::Unknown(_)),
            SetRef::Named(_) | SetRef::Ipset { .. } => false,
        },
        Item::Match(_) | Item::Act(_) | Item::Verdict(_) | Item::VerdictMap(_) => false,
    })
}

/// A rule of nft's own is one that `iptables-save` shows wrongly.
fn names_native_set(rule: &Rule) -> bool {
    rule.items.iter().any(|item| match item {
        Item::Match(Match { test: Test::In(lookup), .. }) => matches!(lookup.set, SetRef::Named(_)),
        Item::VerdictMap(_) => true,
        Item::Match(_) | Item::Act(_) | Item::Verdict(_) => false,
    })
}
