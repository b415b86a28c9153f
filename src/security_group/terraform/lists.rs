//! Managed prefix lists, put together from their blocks and from the entries that resources add.

use std::collections::{BTreeSet, HashMap};

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
    added: AddedTo,
    /// By id, and by address, the index of a list.
    index: HashMap<String, usize>,
}

/// A list.
pub(super) struct Listed {
    /// The resource's address.
    pub(super) address: String,
    pub(super) list: PrefixList,
    /// Entries that may be there, and why that is not sure.
    doubtful: Vec<(Prefix, String)>,
    /// What the attribute `entry` has.
    shown: BTreeSet<Prefix>,
}

/// An entry that a resource adds.
#[derive(Clone)]
struct Added {
    cidr: Known<Prefix>,
    /// What the plan does to it.
    fate: Fate,
}

/// Entries that resources add, by the id or address of their list.
type AddedTo = HashMap<String, Vec<Added>>;

/// Reads all lists; `earlier` is the moment before a plan, where this is the one after.
pub(super) fn read(moment: &Moment<'_, '_>, earlier: Option<&Moment<'_, '_>>) -> Lists {
    let mut added = AddedTo::new();
    let mut homeless = false;
    for one in moment.entries.iter().filter(|entry| is(entry, "aws_ec2_managed_prefix_list_entry")) {
        match entry_resource(one, moment) {
            (Some(list), one) => added.entry(list).or_default().push(one),
            (None, _) => homeless = true,
        }
    }
    let mut lists = Lists::default();
    let earlier = earlier.map(|earlier| &earlier.lists);
    let managed = moment.entries.iter().filter(|entry| is(entry, "aws_ec2_managed_prefix_list"));
    for entry in managed {
        let mut one = list(entry, moment, &Additions { now: &added, earlier });
        if homeless {
            one.list.unlisted = Some("an entry is for a list that is known only after apply".to_owned());
        }
        lists.add(one);
    }
    // A list can be made here and looked up as well: what is made comes first, with its entries.
    let found =
        |entry: &&Entry<'_>| matches!(&*entry.kind, "aws_ec2_managed_prefix_list" | "aws_prefix_list");
    for entry in moment.entries.iter().filter(|entry| entry.is_data).filter(found) {
        lists.add(list(entry, moment, &Additions { now: &added, earlier }));
    }
    lists.added = added;
    lists
}

/// Entries that resources add, by list.
struct Additions<'s> {
    now: &'s AddedTo,
    earlier: Option<&'s Lists>,
}

impl Lists {
    /// Adds a list, unless there is one of its id.
    fn add(&mut self, one: Listed) {
        let at = self.all.len();
        if !self.index.contains_key(&one.list.id) {
            self.index.insert(one.address.clone(), at);
            self.index.insert(one.list.id.clone(), at);
            self.all.push(one);
        }
    }

    /// The list of this id or address.
    pub(super) fn get(&self, key: &str) -> Option<&Listed> {
        self.all.get(*self.index.get(key)?)
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

/// The list that an entry is for, by its id or address, if anybody can say.
fn entry_resource(entry: &Entry<'_>, moment: &Moment<'_, '_>) -> (Option<String>, Added) {
    let added = |cidr| Added { cidr, fate: entry.fate };
    let values: ListEntryValues = match values_of(entry) {
        Ok(values) => values,
        Err(why) => return (None, added(Known::Unknown(why))),
    };
    let later = || moment.configured?.id_of(&entry.address, "prefix_list_id");
    let list = told(&values.prefix_list_id).map(ToOwned::to_owned).or_else(later);
    (list, added(prefix(&values, &Marks::of(entry))))
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
            return Listed { address, list, doubtful: Vec::new(), shown: BTreeSet::new() };
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
        shown: BTreeSet::new(),
    };
    if entry.is_data {
        one.found(&values, &marks);
    } else {
        let keys = BTreeSet::from([&one.list.id, &one.address]);
        let of = |all: &AddedTo| -> Vec<Added> {
            keys.iter().filter_map(|key| all.get(key.as_str())).flatten().cloned().collect()
        };
        let own = Own {
            now: of(added.now),
            earlier: added.earlier.map(|lists| of(&lists.added)).unwrap_or_default(),
        };
        let before = added.earlier.and_then(|lists| lists.get(&one.address));
        let blocks = Blocks::new(entry, &values, &marks, moment, before);
        one.managed(&blocks, &own);
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
        let has_resources = !own.now.is_empty() || !own.earlier.is_empty();
        if blocks.unknown && (own.now.is_empty() || blocks.written) {
            self.list.unlisted = Some("its entries are known only after apply".to_owned());
        }
        let both = own.now.iter().chain(&own.earlier);
        let made: BTreeSet<Prefix> = both.filter_map(|one| one.cidr.value().copied()).collect();
        let listed: BTreeSet<Prefix> = blocks.entries.iter().filter_map(|one| one.value().copied()).collect();
        let mut strays = Vec::new();
        for one in &blocks.entries {
            match one.value() {
                Some(prefix) if has_resources && !blocks.written => {
                    strays.extend((!made.contains(prefix)).then_some(*prefix));
                }
                Some(_) | None => self.take(one.clone()),
            }
        }
        for one in &own.now {
            let disputed = blocks.written || (!strays.is_empty() && one.fate == Fate::Kept);
            match one.cidr.value() {
                Some(prefix) if disputed && !listed.contains(prefix) => {
                    self.doubtful.push((*prefix, "the list's own `entry` does not have it".to_owned()));
                }
                Some(_) | None => self.take(one.cidr.clone()),
            }
        }
        let why = "`entry` lists it, and no resource here adds it: it is added elsewhere, or has gone since";
        self.doubtful.extend(strays.into_iter().map(|prefix| (prefix, why.to_owned())));
        self.shown = listed;
    }
}

/// Entries of one list that resources add.
struct Own {
    now: Vec<Added>,
    earlier: Vec<Added>,
}

/// The attribute `entry` of a list.
struct Blocks {
    entries: Vec<Known<Prefix>>,
    /// Whether nobody can say which it has.
    unknown: bool,
    /// Whether somebody wrote it. What nobody wrote is what the provider saw. Where that is all that is known, it may
    /// have been written.
    written: bool,
}

impl Blocks {
    /// Reads them; `before` is the list before the plan.
    fn new(
        entry: &Entry<'_>,
        values: &ListValues<'_>,
        marks: &Marks,
        moment: &Moment<'_, '_>,
        before: Option<&Listed>,
    ) -> Self {
        let nothing = ListEntryValues::default();
        let unknown = marks.unknown.field("entry").is_all();
        let marks = marks.field("entry");
        let blocks = values.entry.iter().flatten().enumerate();
        let entries: Vec<_> =
            blocks.map(|(at, block)| prefix(block.as_ref().unwrap_or(&nothing), &marks.item(at))).collect();
        // The configuration leaves out dynamic blocks; but what the provider saw is planned to stay as it is.
        let set = moment.configured.is_some_and(|all| all.sets(&entry.address, "entry"));
        let listed: BTreeSet<Prefix> = entries.iter().filter_map(|one| one.value().copied()).collect();
        let changed = before.is_some_and(|before| before.shown != listed);
        let made = entry.fate == Fate::Made && !unknown;
        Self { entries, unknown, written: set || made || changed }
    }
}
