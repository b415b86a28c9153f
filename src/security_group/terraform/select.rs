//! Which groups are meant.

use std::collections::BTreeSet;

use super::json::Entry;
use super::marks::Marks;
use super::moment::{Moment, is_group};
use super::values::{GroupValues, HolderValues, read, told};
use super::{Asked, Fault, When};
use crate::admission::FindingKind;
use crate::plain::line;
use crate::security_group::{Place, Remark};

/// More groups than AWS gives to one interface, whatever the quota.
const GROUPS_MAX: usize = 64;
const TOO_MANY: &str = "these are more groups than one interface can have";
/// How many groups an error names.
const NAMED_MAX: usize = 12;

/// The groups that are meant.
#[derive(Default)]
pub(super) struct Selection {
    /// Their keys, each once.
    pub(super) keys: Vec<String>,
    /// Those that are not there at this moment.
    pub(super) absent: BTreeSet<String>,
    /// What is worth saying about the choice.
    pub(super) remarks: Vec<Remark>,
}

impl Selection {
    fn add(&mut self, key: impl Into<String>) {
        let key = key.into();
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }
}

/// The keys of the groups that are asked about. `other` is the other moment of a plan.
pub(super) fn keys(
    asked: &Asked,
    moment: &Moment<'_, '_>,
    other: Option<&Moment<'_, '_>>,
) -> Result<Selection, Fault> {
    let mut selection = Selection::default();
    for id in &asked.groups {
        selection.add(id.as_str());
    }
    let chosen = if asked.resources.is_empty() && asked.groups.is_empty() {
        vec![only(moment, other)?]
    } else {
        asked.resources.clone()
    };
    if chosen.len().saturating_add(asked.groups.len()) > GROUPS_MAX {
        return Err(Fault::new(1, TOO_MANY, "name those of one interface"));
    }
    for address in &chosen {
        if address.starts_with("sg-") {
            selection.add(address.as_str());
        } else {
            resource(address, moment, other, &mut selection)?;
        }
    }
    if selection.keys.len() > GROUPS_MAX {
        return Err(Fault::new(1, TOO_MANY, "name those of one interface"));
    }
    Ok(selection)
}

/// The one group of the file, by its address or by its id.
fn only(moment: &Moment<'_, '_>, other: Option<&Moment<'_, '_>>) -> Result<String, Fault> {
    let all = named(moment, other);
    let mut names = all.iter();
    match (names.next(), names.next()) {
        (Some(one), None) => Ok(one.clone()),
        (None, _) => Err(Fault::new(
            1,
            "the file has no security group, and no rule of one",
            "give the state or plan that has it",
        )),
        (Some(_), Some(_)) => {
            let message = format!("the file has {} security groups: {}", all.len(), list(&all));
            Err(Fault::new(1, message, "choose with `--resource ADDRESS`, or with `--group sg-…`"))
        }
    }
}

/// All groups of the file: the addresses of those that have a resource, the ids of others that rules name.
fn named(moment: &Moment<'_, '_>, other: Option<&Moment<'_, '_>>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut ids = BTreeSet::new();
    let moments = || std::iter::once(moment).chain(other);
    for group in moments().flat_map(|moment| &moment.groups) {
        all.insert(group.entry.address.to_string());
        ids.insert(group.key.clone());
    }
    for moment in moments() {
        let owners = moment.owners();
        all.extend(owners.into_iter().filter(|owner| !ids.contains(owner)));
    }
    all
}

fn list(all: &BTreeSet<String>) -> String {
    let names: Vec<String> = all.iter().take(NAMED_MAX).map(|name| format!("`{}`", line(name))).collect();
    let more = all.len().saturating_sub(names.len());
    names.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// Adds the groups of a resource: itself, or those that it has.
fn resource(
    address: &str,
    moment: &Moment<'_, '_>,
    other: Option<&Moment<'_, '_>>,
    selection: &mut Selection,
) -> Result<(), Fault> {
    if let Some(entry) = find(address, moment)? {
        return if is_group(entry) {
            selection.add(moment.key(&entry.address).unwrap_or(&entry.address));
            Ok(())
        } else {
            holder(entry, moment, selection)
        };
    }
    let elsewhere = other.map(|other| find(address, other)).transpose()?.flatten();
    let Some(entry) = elsewhere.filter(|entry| is_group(entry)) else {
        let known = named(moment, other);
        let message = format!("`{}` is not in the file", line(address));
        let help = if known.is_empty() {
            "the file has no group".to_owned()
        } else {
            format!("its groups are {}", list(&known))
        };
        return Err(Fault::new(1, message, help));
    };
    let key = entry.address.to_string();
    let text = match moment.when {
        When::Before => format!("group `{}` is made by this plan: it is not there yet", line(&key)),
        When::After => format!("group `{}` is destroyed by this plan", line(&key)),
    };
    let help = "nobody gets in through a group that is not there".to_owned();
    selection.remarks.push(Remark {
        kind: FindingKind::Listing,
        place: Place { listing: 0, line: 1 },
        text,
        help,
    });
    selection.absent.insert(key.clone());
    selection.add(key);
    Ok(())
}

/// The resource of this address, or the only one or only group below it.
fn find<'d, 'a>(address: &str, moment: &Moment<'d, 'a>) -> Result<Option<&'d Entry<'a>>, Fault> {
    let name = |entry: &Entry<'_>| entry.address.to_string();
    if let Some(exact) = moment.entries.iter().find(|entry| entry.address == address) {
        return Ok(Some(exact));
    }
    let below = |entry: &&Entry<'_>| {
        entry.address.strip_prefix(address).is_some_and(|rest| {
            rest.starts_with('[') || (address.starts_with("module.") && rest.starts_with('.'))
        })
    };
    let is_module = !address.rsplit_once("module.").is_none_or(|(_, last)| last.contains('.'));
    let mut found = moment.entries.iter().filter(below).filter(|entry| !is_module || is_group(entry));
    match (found.next(), found.next()) {
        (found, None) => Ok(found),
        (Some(one), Some(two)) => {
            let names = [one, two].into_iter().chain(found).map(name).collect();
            let message = format!("`{}` can mean {}", line(address), list(&names));
            Err(Fault::new(1, message, "give one of these addresses whole"))
        }
        (None, Some(_)) => Ok(None),
    }
}

/// Adds the groups that a resource has.
fn holder(entry: &Entry<'_>, moment: &Moment<'_, '_>, selection: &mut Selection) -> Result<(), Fault> {
    let address = line(&entry.address);
    let line_of = |entry: &Entry<'_>| moment.place(entry).line;
    let wrong = |why: String, help: &str| Fault::new(line_of(entry), format!("`{address}`: {why}"), help);
    let give = "name the groups: `--resource ADDRESS` of each, or `--group sg-…`";
    if entry.is_data && entry.kind == "aws_security_group" {
        let values: GroupValues = read(entry).map_err(|why| wrong(why, give))?;
        let id =
            told(&values.id).ok_or_else(|| wrong("its `id` is known only after apply".to_owned(), give))?;
        selection.add(id);
        return Ok(());
    }
    let values: HolderValues = read(entry).map_err(|why| wrong(why, give))?;
    let marks = Marks::of(entry);
    let mut ids = BTreeSet::new();
    for (name, listed) in [
        ("vpc_security_group_ids", &values.vpc_security_group_ids),
        ("security_groups", &values.security_groups),
    ] {
        // An instance's `security_groups` are names.
        if entry.kind == "aws_instance" && name == "security_groups" {
            continue;
        }
        if let Some(why) = marks.why(name) {
            let later = moment
                .configured
                .and_then(|all| all.ids_of(&entry.address, name))
                .ok_or_else(|| wrong(why, give))?;
            ids.extend(later.iter().map(|address| moment.key(address).unwrap_or(address).to_owned()));
        }
        ids.extend(listed.iter().flatten().flatten().filter(|id| id.starts_with("sg-")).cloned());
    }
    ids.extend(attached(entry, &values, moment));
    if ids.is_empty() {
        return Err(wrong("it has no security groups that are told".to_owned(), give));
    }
    // One more than may be is enough to be refused.
    ids.into_iter().take(GROUPS_MAX.saturating_add(1)).for_each(|id| selection.add(id));
    Ok(())
}

/// Groups that resources of their own attach to an interface.
fn attached(holder: &Entry<'_>, values: &HolderValues<'_>, moment: &Moment<'_, '_>) -> Vec<String> {
    let kind = "aws_network_interface_sg_attachment";
    let mine = [told(&values.id), told(&values.primary_network_interface_id)];
    let mut found = Vec::new();
    for entry in moment.entries.iter().filter(|entry| entry.kind == kind && !entry.is_data) {
        let Ok(attachment) = read::<HolderValues<'_>>(entry) else { continue };
        let interface = told(&attachment.network_interface_id);
        let named = || {
            let argument = "network_interface_id";
            let named =
                moment.configured.map(|all| all.named_by(&entry.address, argument)).unwrap_or_default();
            named.iter().any(|one| {
                let part = one.strip_prefix(&*holder.address);
                part.is_some_and(|part| part.is_empty() || part == ".primary_network_interface_id")
            })
        };
        if interface.map_or_else(named, |id| mine.contains(&Some(id))) {
            let later = || moment.configured?.id_of(&entry.address, "security_group_id");
            let id = told(&attachment.security_group_id).map(ToOwned::to_owned).or_else(later);
            found.extend(id.map(|id| moment.key(&id).unwrap_or(&id).to_owned()));
        }
    }
    found
}
