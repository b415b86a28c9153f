//! What AWS tells of our places.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::error::AwsError;
use super::{Cloud, place};
use crate::admission::Listing;
use crate::holding::aws::list::Head;
use crate::holding::aws::{Account, Place, group, list};
use crate::holding::{Content, Holding};
use crate::plain::line;
use crate::prefix::Prefix;
use crate::security_group::aws::{Input, Role, read as read_listings};
use crate::security_group::cidr;
use crate::security_group::select::Selection;
use crate::system::aws::{Capture, Client, NetworkAcl, Request, capture};

/// How long one command may take.
pub(super) const TIMEOUT: Duration = Duration::from_mins(1);
/// How often a group is asked for whose listings disagree: AWS tells a change everywhere only after a moment.
const ASKED_MAX: u32 = 5;
/// How often a list is asked for that is at work.
const POLLS_MAX: u32 = 90;
/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_secs(1);

/// A prefix list, as its listing has it.
#[derive(Debug, Clone)]
pub(in crate::apply) struct List {
    id: String,
    head: Head,
    entries: Vec<(Prefix, String)>,
}

/// The command line for an account.
pub(super) fn client(account: &Account) -> Client<'_> {
    Client { profile: account.profile.as_deref(), region: account.region.as_deref(), timeout: TIMEOUT }
}

/// Asks for all places in AWS, account by account; none where there are none.
pub fn read(holdings: &[Holding]) -> Result<Vec<Cloud>, AwsError> {
    let mut accounts: BTreeMap<&Account, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for (place, account) in holdings.iter().filter_map(place) {
        let (groups, lists) = accounts.entry(account).or_default();
        match place {
            Place::Group(id) => groups.push(id.to_owned()),
            Place::List(id) => lists.push(id.to_owned()),
        }
    }
    accounts.into_iter().map(|(account, (groups, lists))| read_account(account, &groups, &lists)).collect()
}

fn read_account(account: &Account, groups: &[String], lists: &[String]) -> Result<Cloud, AwsError> {
    let mut asked = 0_u32;
    loop {
        let mut inputs = captured(account, groups)?.inputs;
        let lists = ask_lists(account, lists, &mut inputs)?;
        let read = read_listings(inputs)?;
        let open = read.groups.iter().find(|group| group.rules.iter().any(|rule| rule.doubt.is_some()));
        let Some(open) = open else { return Ok(Cloud { account: account.clone(), groups: read, lists }) };
        asked = asked.saturating_add(1);
        if asked >= ASKED_MAX {
            return Err(AwsError::Disagree { group: open.id.clone() });
        }
        std::thread::sleep(PAUSE);
    }
}

fn captured(account: &Account, groups: &[String]) -> Result<Capture, AwsError> {
    // Where nothing is named, all groups would be listed.
    if groups.is_empty() {
        return Ok(Capture { inputs: Vec::new(), warnings: Vec::new() });
    }
    Ok(capture(&Request {
        selection: Selection { groups: groups.to_vec(), ..Selection::default() },
        profile: account.profile.clone(),
        region: account.region.clone(),
        network_acl: NetworkAcl::Skip,
        timeout: TIMEOUT,
    })?)
}

/// The lists of ours. Those that a group names were listed with it.
fn ask_lists(account: &Account, ids: &[String], inputs: &mut Vec<Input>) -> Result<Vec<List>, AwsError> {
    let mut all = Vec::with_capacity(ids.len());
    let known: Vec<Described> = inputs.iter().flat_map(|input| described(&input.listing.text)).collect();
    for id in ids {
        let is_idle = |one: &&Described| one.id == *id && !one.is_at_work();
        let told = match known.iter().find(is_idle) {
            Some(told) => told.clone(),
            None => idle(account, id, Some(inputs))?,
        };
        let role = Role::PrefixList(id.clone());
        if !inputs.iter().any(|input| input.role == role) {
            let arguments = ["get-managed-prefix-list-entries", "--prefix-list-id", id];
            let text = client(account).ask(&arguments)?.into();
            let name = client(account).shown(&arguments);
            inputs.push(Input { listing: Listing { name, text }, role: role.clone() });
        }
        let listed = inputs.iter().filter(|input| input.role == role);
        let entries = listed.flat_map(|input| entries(&input.listing.text)).collect();
        all.push(List { id: id.clone(), head: told.head()?, entries });
    }
    Ok(all)
}

/// A list, once it is not at work any more; its listing is put to the others, where there are such.
pub(super) fn idle(
    account: &Account,
    id: &str,
    mut inputs: Option<&mut Vec<Input>>,
) -> Result<Described, AwsError> {
    let arguments = ["describe-managed-prefix-lists", "--prefix-list-ids", id];
    for _ in 0..POLLS_MAX {
        let text = client(account).ask(&arguments)?;
        let found = described(&text).into_iter().find(|one| one.id == id);
        let Some(found) = found else {
            return Err(AwsError::Gone { place: format!("prefix list {id}") });
        };
        if !found.is_at_work() {
            if let Some(inputs) = inputs.take() {
                let name = client(account).shown(&arguments);
                let listing = Listing { name, text: text.into() };
                inputs.push(Input { listing, role: Role::AsSaid });
            }
            return Ok(found);
        }
        std::thread::sleep(PAUSE);
    }
    let why = format!(", also after {POLLS_MAX} looks");
    Err(AwsError::State { list: id.to_owned(), state: "in-progress".to_owned(), why })
}

/// What is in a place.
pub fn own(clouds: &[Cloud], holding: &Holding) -> Result<Content, AwsError> {
    let gone = || AwsError::Gone { place: holding.to_string() };
    let (place, account) = place(holding).ok_or_else(gone)?;
    let cloud = clouds.iter().find(|cloud| cloud.account == *account).ok_or_else(gone)?;
    Ok(match place {
        Place::Group(id) => group::own(cloud.groups.group(id).ok_or_else(gone)?),
        Place::List(id) => {
            let found = cloud.lists.iter().find(|list| list.id == id).ok_or_else(gone)?;
            list::content(found.head, found.entries.iter().cloned())
        }
    })
}

/// Who else names a list, for somebody who is about to change it.
pub(super) fn shared(id: &str, account: &Account, own: &BTreeSet<&str>) -> Option<String> {
    let arguments = ["get-managed-prefix-list-associations", "--prefix-list-id", id];
    let text = match client(account).ask(&arguments) {
        Ok(text) => text,
        Err(error) => {
            let why = line(&error.to_string());
            return Some(format!("who else names prefix list {id} can't be told: {why}"));
        }
    };
    let told: Associations = serde_json::from_str(&text).unwrap_or_default();
    let others: Vec<String> = told
        .all
        .iter()
        .filter(|one| !own.contains(one.resource.as_str()))
        .map(|one| line(&one.resource))
        .collect();
    let named = others.join(", ");
    (!others.is_empty())
        .then(|| format!("prefix list {id} changes for these as well, which name it: {named}"))
}

#[derive(Debug, Default, Deserialize)]
struct Associations {
    #[serde(rename = "PrefixListAssociations", default)]
    all: Vec<Association>,
}

#[derive(Debug, Deserialize)]
struct Association {
    #[serde(rename = "ResourceId", default)]
    resource: String,
}

/// What `describe-managed-prefix-lists` says of a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Described {
    #[serde(rename = "PrefixListId")]
    id: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    state_message: Option<String>,
    #[serde(default)]
    version: Option<u64>,
    #[serde(default)]
    max_entries: Option<u32>,
}

impl Described {
    fn is_at_work(&self) -> bool {
        self.state.ends_with("-in-progress")
    }

    /// Its version and size. A list of AWS' own has none.
    pub(super) fn head(&self) -> Result<Head, AwsError> {
        match (self.version, self.max_entries) {
            (Some(version), Some(max_entries)) => Ok(Head { version: Some(version), max_entries }),
            _ => Err(self.unfit(": it is no list that a customer manages")),
        }
    }

    /// Its version, where what it was told last is done.
    pub(super) fn done(&self) -> Result<u64, AwsError> {
        if !self.state.ends_with("-complete") {
            let said = self.state_message.as_deref().map(|said| format!(": {}", line(said)));
            return Err(self.unfit(&said.unwrap_or_default()));
        }
        Ok(self.head()?.version.unwrap_or_default())
    }

    fn unfit(&self, why: &str) -> AwsError {
        AwsError::State { list: self.id.clone(), state: line(&self.state), why: why.to_owned() }
    }
}

#[derive(Deserialize)]
struct Lists {
    #[serde(rename = "PrefixLists", default)]
    all: Vec<Described>,
}

/// The lists that a listing describes; none where it is one of another kind.
fn described(text: &str) -> Vec<Described> {
    serde_json::from_str::<Lists>(text).map(|lists| lists.all).unwrap_or_default()
}

#[derive(Deserialize)]
struct Entries {
    #[serde(rename = "Entries", default)]
    all: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    cidr: String,
    #[serde(default)]
    description: Option<String>,
}

/// Entries with their descriptions; what is no prefix, the reader of listings refuses.
fn entries(text: &str) -> Vec<(Prefix, String)> {
    let all = serde_json::from_str::<Entries>(text).map(|entries| entries.all).unwrap_or_default();
    let pair = |one: Entry| Some((cidr::read_any(&one.cidr)?, one.description.unwrap_or_default()));
    all.into_iter().filter_map(pair).collect()
}

/// The entries of a version of a list.
pub(super) fn entries_of(account: &Account, id: &str, version: u64) -> Result<BTreeSet<Prefix>, AwsError> {
    let version = version.to_string();
    let arguments = ["get-managed-prefix-list-entries", "--prefix-list-id", id, "--target-version", &version];
    Ok(entries(&client(account).ask(&arguments)?).into_iter().map(|(prefix, _)| prefix).collect())
}
