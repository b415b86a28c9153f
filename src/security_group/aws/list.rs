//! Managed prefix lists: what they are, and what is in them.

use std::collections::BTreeSet;

use crate::json::shown;
use crate::prefix::{Family, Prefix};
use crate::security_group::json::Object;
use crate::security_group::{PrefixList, ReadError, cidr};

use super::join::{Entries, Gathered};
use super::next_page;

/// `get-managed-prefix-list-entries`
pub(super) fn read_entries(
    listing: &Object<'_, '_>,
    id: &str,
    gathered: &mut Gathered,
) -> Result<(), ReadError> {
    let mut prefixes = BTreeSet::new();
    for entry in listing.objects("Entries")? {
        prefixes.insert(member(&entry, entry.said("Cidr")?)?);
    }
    let open = next_page(listing)?;
    let place = listing.place();
    let Some(known) = gathered.entries.get_mut(id) else {
        gathered.entries.insert(id.to_owned(), Entries { prefixes, open, place });
        return Ok(());
    };
    // A page follows one that says so; else the same was listed twice.
    if known.open.is_some() {
        known.prefixes.append(&mut prefixes);
        known.open = open;
    } else if known.prefixes != prefixes || open.is_some() {
        let message = format!("prefix list `{}` is listed twice, with other entries", shown(id));
        return Err(listing.fault("Entries", message, "give the newer listing only"));
    }
    Ok(())
}

/// `describe-managed-prefix-lists`, and the older `describe-prefix-lists`, which tells entries.
pub(super) fn read_lists(listing: &Object<'_, '_>, gathered: &mut Gathered) -> Result<(), ReadError> {
    for object in listing.objects("PrefixLists")? {
        let family = match object.text("AddressFamily")? {
            Some("IPv4") => Some(Family::V4),
            Some("IPv6") => Some(Family::V6),
            _ => None,
        };
        let most = object.number("MaxEntries")?;
        let entries_max = most.and_then(|most| u32::try_from(most).ok());
        if let Some(most) = most.filter(|_| entries_max.is_none()) {
            let message = format!("{most} is no size of a list");
            return Err(object.fault("MaxEntries", message, "give the output as it is"));
        }
        let mut list = PrefixList {
            id: object.said("PrefixListId")?.to_owned(),
            name: object.text_or_empty("PrefixListName")?,
            entries_max,
            family,
            place: object.place(),
            ..PrefixList::default()
        };
        if let Some(texts) = object.texts("Cidrs")? {
            let entries: Result<Vec<Prefix>, ReadError> =
                texts.into_iter().map(|text| member(&object, text)).collect();
            list.entries = Some(entries?);
        }
        gathered.lists.push(list);
    }
    Ok(())
}

fn member(object: &Object<'_, '_>, text: &str) -> Result<Prefix, ReadError> {
    cidr::read_any(text).ok_or_else(|| {
        let help = "AWS writes an address and its length, as in `192.0.2.0/24` or `2001:db8::/32`";
        object.fault("Cidr", format!("`{}` is no prefix", shown(text)), help)
    })
}
