//! Managed prefix lists, put together from their blocks and from the entries that resources add.

use std::collections::{BTreeSet, HashMap};

use super::When;
use super::json::{Entry, Fate};
use super::marks::Marks;
use super::moment::Moment;
use super::rules::everybody;
use super::values::{ListEntryValues, ListValues, Written, read as values_of, told};
use crate::prefix::{Family, Prefix};
use crate::security_group::{Known, PrefixList, Rule, Source, cidr};

/// The lists of one moment.
#[derive(Default)]
pub(super) struct Lists {
    pub(super) all: Vec<Listed>,
    /// By list, the entries that resources add.
    added: HashMap<String, Vec<Known<Prefix>>>,
}

/// A list.
pub(super) struct Listed {
    /// The resource's address.
    pub(super) address: String,
    pub(super) list: PrefixList,
    /// Entries that may be there, and why that is not sure.
    doubtful: Vec<(Prefix, String)>,
}

/// An entry that a resource adds.
struct Added {
    /// Its list's id or address; `None` where nobody can say.
    list: Option<String>,
    cidr: Known<Prefix>,
}

/// Reads all lists; `earlier` is the moment before a plan, where this is the one after.
pub(super) fn read(moment: &Moment<'_, '_>, earlier: Option<&Moment<'_, '_>>) -> Lists {
    let mut added: HashMap<String, Vec<Known<Prefix>>> = HashMap::new();
    let mut homeless = false;
    for one in moment.entries.iter().filter(|entry| is(entry, "aws_ec2_managed_prefix_list_entry")) {
        let one = entry_resource(one, moment);
        match one.list {
            Some(list) => added.entry(list).or_default().push(one.cidr),
            None => homeless = true,
        }
    }
    let mut all: Vec<Listed> = Vec::new();
    for entry in moment.entries {
        let managed = is(entry, "aws_ec2_managed_prefix_list");
        let found =
            entry.is_data && matches!(&*entry.kind, "aws_ec2_managed_prefix_list" | "aws_prefix_list");
        if managed || found {
            let earlier = earlier.map(|earlier| &earlier.lists.added);
            let mut one = list(entry, moment, &Additions { now: &added, earlier });
            if homeless && managed {
                one.list.unlisted = Some("an entry is for a list that is known only after apply".to_owned());
            }
            // A list can be made here and looked up as well; what is made comes with its entries.
            match all.iter_mut().find(|known| known.list.id == one.list.id) {
                Some(known) if managed => *known = one,
                Some(_) => {}
                None => all.push(one),
            }
        }
    }
    Lists { all, added }
}

/// Entries that resources add, by list.
struct Additions<'s> {
    now: &'s HashMap<String, Vec<Known<Prefix>>>,
    earlier: Option<&'s HashMap<String, Vec<Known<Prefix>>>>,
}

impl Lists {
    /// The list of this id or address.
    pub(super) fn get(&self, id: &str) -> Option<&Listed> {
        self.all.iter().find(|one| one.list.id == id)
    }

    /// Rules for entries that may be in the list that this one names.
    pub(super) fn doubtful(&self, rule: &Rule) -> Vec<Rule> {
        let Known::Is(Source::PrefixList(id)) = &rule.source else { return Vec::new() };
        let doubtful = self.get(id).map(|one| one.doubtful.as_slice()).unwrap_or_default();
        let made = |(prefix, why): &(Prefix, String)| Rule {
            source: Known::Is(Source::Prefix(*prefix)),
            doubt: Some(rule.doubt.clone().unwrap_or_else(|| why.clone())),
            ..rule.clone()
        };
        doubtful.iter().map(made).collect()
    }
}

fn is(entry: &Entry<'_>, kind: &str) -> bool {
    !entry.is_data && entry.kind == kind
}

fn entry_resource(entry: &Entry<'_>, moment: &Moment<'_, '_>) -> Added {
    let unreadable = |why: String| Added { list: None, cidr: Known::Unknown(why) };
    let values: ListEntryValues = match values_of(entry) {
        Ok(values) => values,
        Err(why) => return unreadable(why),
    };
    let later = || moment.configured?.id_of(&entry.address, "prefix_list_id");
    let list = told(&values.prefix_list_id).map(ToOwned::to_owned).or_else(later);
    Added { list, cidr: prefix(&values, &Marks::of(entry)) }
}

/// What one entry has.
fn prefix(values: &ListEntryValues<'_>, marks: &Marks) -> Known<Prefix> {
    if let Some(why) = marks.why("cidr") {
        return Known::Unknown(why);
    }
    let Some(text) = told(&values.cidr) else { return Known::Unknown("`cidr` is not told".to_owned()) };
    let wrong = || Known::Unknown(format!("`cidr` is `{}`, which is no prefix", crate::plain::line(text)));
    cidr::read_any(text).map_or_else(wrong, Known::Is)
}

/// One list, with the entries that resources add to it.
fn list(entry: &Entry<'_>, moment: &Moment<'_, '_>, added: &Additions<'_>) -> Listed {
    let address = entry.address.to_string();
    let place = moment.place(entry);
    let values: ListValues = match values_of(entry) {
        Ok(values) => values,
        Err(why) => {
            let list = PrefixList {
                id: address.clone(),
                entries: None,
                unlisted: Some(why),
                place,
                ..PrefixList::default()
            };
            return Listed { address, list, doubtful: Vec::new() };
        }
    };
    let marks = Marks::of(entry);
    let family = match told(&values.address_family) {
        Some("IPv4") => Some(Family::V4),
        Some("IPv6") => Some(Family::V6),
        Some(_) | None => None,
    };
    let id = told(&values.id).map_or_else(|| address.clone(), ToOwned::to_owned);
    let max = values.max_entries.as_ref().and_then(Written::number).and_then(|max| u32::try_from(max).ok());
    let mut one = Listed {
        list: PrefixList {
            name: told(&values.name).unwrap_or_default().to_owned(),
            entries: Some(Vec::new()),
            unlisted: None,
            entries_max: max,
            family,
            place,
            id,
        },
        address,
        doubtful: Vec::new(),
    };
    if entry.is_data {
        one.found(&values, &marks);
    } else {
        let keys = BTreeSet::from([&one.list.id, &one.address]);
        let of = |all: &HashMap<String, Vec<Known<Prefix>>>| -> Vec<Known<Prefix>> {
            keys.iter().filter_map(|key| all.get(key.as_str())).flatten().cloned().collect()
        };
        let own = Own { now: of(added.now), earlier: added.earlier.map(of).unwrap_or_default() };
        one.managed(&Blocks::new(entry, &values, &marks, moment), &own);
    }
    one
}

impl Listed {
    fn family_prefix(&self) -> Option<Prefix> {
        self.list.family.map(everybody)
    }

    fn take(&mut self, prefix: Known<Prefix>) {
        match (prefix, self.family_prefix()) {
            (Known::Is(prefix), _) => self.list.entries.get_or_insert_default().push(prefix),
            (Known::Unknown(why), Some(all)) => self.doubtful.push((all, why)),
            (Known::Unknown(why), None) => self.list.unlisted = Some(why),
        }
    }

    /// What a data source found.
    fn found(&mut self, values: &ListValues<'_>, marks: &Marks) {
        let blocks =
            values.entries.iter().flatten().map(|one| one.as_ref().and_then(|one| one.cidr.as_deref()));
        let plain = values.cidr_blocks.iter().map(Option::as_deref);
        let texts: Vec<Option<&str>> = blocks.chain(plain).collect();
        if let Some(why) = marks.why("entries").or_else(|| marks.why("cidr_blocks")) {
            self.list.entries = None;
            self.list.unlisted = Some(why);
            return;
        }
        for text in texts {
            let found = text.and_then(cidr::read_any);
            self.take(found.map_or_else(|| Known::Unknown("an entry is no prefix".to_owned()), Known::Is));
        }
    }

    /// What is made here: by blocks, or by resources of their own.
    fn managed(&mut self, blocks: &Blocks, own: &Own) {
        if let Some(why) = &blocks.unlisted {
            self.list.unlisted = Some(why.clone());
        }
        let has_resources = !own.now.is_empty() || !own.earlier.is_empty();
        let made: BTreeSet<Prefix> =
            own.now.iter().chain(&own.earlier).filter_map(|one| one.value().copied()).collect();
        let listed: BTreeSet<Prefix> = blocks.entries.iter().filter_map(|one| one.value().copied()).collect();
        let mut strays = Vec::new();
        for one in &blocks.entries {
            match one.value() {
                Some(prefix) if blocks.written != Some(true) && has_resources => {
                    strays.extend((!made.contains(prefix)).then_some(*prefix));
                }
                Some(_) | None => self.take(one.clone()),
            }
        }
        let written = blocks.written == Some(true);
        let disputed = written || (!strays.is_empty() && !blocks.is_seen_before);
        for one in &own.now {
            match one.value() {
                Some(prefix) if listed.contains(prefix) && written => {}
                Some(prefix) if disputed && !listed.contains(prefix) => {
                    self.doubtful.push((*prefix, "the list's own `entry` does not have it".to_owned()));
                }
                Some(_) | None => self.take(one.clone()),
            }
        }
        let why = "`entry` lists it, and no resource here adds it: it is added elsewhere, or has gone since";
        self.doubtful.extend(strays.into_iter().map(|prefix| (prefix, why.to_owned())));
    }
}

/// Entries of one list that resources add.
struct Own {
    now: Vec<Known<Prefix>>,
    earlier: Vec<Known<Prefix>>,
}

/// The attribute `entry` of a list.
struct Blocks {
    entries: Vec<Known<Prefix>>,
    /// Why it may have others.
    unlisted: Option<String>,
    /// Whether somebody wrote it; `None` where nobody can say. What nobody wrote is what the provider saw.
    written: Option<bool>,
    /// Whether it is what the provider saw before the plan, of which this is the moment after.
    is_seen_before: bool,
}

impl Blocks {
    fn new(entry: &Entry<'_>, values: &ListValues<'_>, marks: &Marks, moment: &Moment<'_, '_>) -> Self {
        let configured = moment.configured.filter(|all| all.has(&entry.address));
        let written = configured.map(|all| all.sets(&entry.address, "entry"));
        // Nobody but this plan has given entries to a list that it makes.
        let is_empty = entry.fate == Fate::Made && written == Some(false);
        let unknown = marks.unknown.field("entry").is_all() && !is_empty;
        let marks = marks.field("entry");
        let nothing = ListEntryValues::default();
        let blocks = values.entry.iter().flatten().enumerate().filter(|_| !is_empty);
        Self {
            entries: blocks
                .map(|(at, block)| prefix(block.as_ref().unwrap_or(&nothing), &marks.item(at)))
                .collect(),
            unlisted: unknown.then(|| "its entries are known only after apply".to_owned()),
            written,
            is_seen_before: written == Some(false) && moment.when == When::After,
        }
    }
}
