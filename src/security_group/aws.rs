//! What the AWS command line prints: `describe-security-groups` and its like, as JSON.
//!
//! Each listing is recognised by its outermost key. Pages of one listing, in files of their own or one after the
//! other in one, are joined; a page that is missing makes what it would tell unknown. Nothing here asks AWS.

mod acl;
mod group;
mod interface;
mod join;
mod list;

use std::collections::BTreeMap;

use super::json::{Object, Source, WHOLE};
use super::{Cut, Groups, Members, Place, ReadError};
use crate::admission::Listing;
use crate::json::{Json, shown};
use join::Gathered;

/// A listing, and what is known of it besides its text.
#[derive(Debug, Clone)]
pub struct Input {
    /// What `aws` printed.
    pub listing: Listing,
    /// What it was asked.
    pub role: Role,
}

/// What a listing is, where its text does not say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Its text says it.
    AsSaid,
    /// Entries of the managed prefix list of this id, which `get-managed-prefix-list-entries` leaves out.
    PrefixList(String),
    /// All interfaces of each group that a rule names.
    Members,
}

impl Role {
    /// Splits what people give: `pl-0123=FILE`, or `FILE` alone.
    pub fn split(argument: &str) -> (Self, &str) {
        match argument.split_once('=') {
            Some((id, file)) if list_id(id).is_some_and(|found| found == id) => {
                (Role::PrefixList(id.to_owned()), file)
            }
            _ => (Role::AsSaid, argument),
        }
    }
}

/// Reads listings.
///
/// Unknown keys are tolerated. A value of the wrong type, an address that is none, a port that there is not: each is
/// an error with its line, and so is a text that is no listing. What AWS leaves open stays unknown.
pub fn read(inputs: Vec<Input>) -> Result<Groups, ReadError> {
    let mut gathered = Gathered::default();
    for (index, input) in inputs.iter().enumerate() {
        let source = Source::new(u32::try_from(index).unwrap_or(u32::MAX), &input.listing);
        let documents = source.documents()?;
        if documents.is_empty() {
            let message = "there is nothing in it".to_owned();
            return Err(source.error(source.start(), message, WHOLE));
        }
        for document in &documents {
            read_document(&source, document, input, &mut gathered)?;
        }
    }
    Ok(gathered.finish(inputs.into_iter().map(|input| input.listing).collect()))
}

/// Keys of listings, each with who prints it.
const KINDS: [&str; 7] = [
    "SecurityGroups",
    "SecurityGroupRules",
    "Entries",
    "PrefixLists",
    "NetworkInterfaces",
    "Reservations",
    "NetworkAcls",
];

fn read_document<'a>(
    source: &Source<'a>,
    document: &Json<'a>,
    input: &Input,
    gathered: &mut Gathered,
) -> Result<(), ReadError> {
    let object = Object::outermost(source, document)?;
    let mut is_known = false;
    for (key, _) in object.entries() {
        if let Some(kind) = KINDS.into_iter().find(|kind| *kind == key) {
            is_known = true;
            read_kind(&object, kind, input, gathered)?;
        } else if list_id(key).is_some_and(|id| id == key) {
            // Several lists in one file, each by its id.
            is_known = true;
            if let Some(entries) = object.object(key)? {
                list::read_entries(&entries, key, gathered)?;
            }
        }
    }
    if is_known {
        return Ok(());
    }
    let keys: Vec<String> = object.entries().take(4).map(|(key, _)| format!("`{}`", shown(key))).collect();
    let found = if keys.is_empty() { "an empty object".to_owned() } else { keys.join(", ") };
    let message = format!("{found} is no listing of security groups, or of what belongs to them");
    Err(source.error(object.place(), message, WHOLE))
}

fn read_kind(
    object: &Object<'_, '_>,
    kind: &'static str,
    input: &Input,
    gathered: &mut Gathered,
) -> Result<(), ReadError> {
    if kind == "Entries" {
        let said = match &input.role {
            Role::PrefixList(id) => Some(id.clone()),
            Role::AsSaid | Role::Members => {
                file_name(&input.listing.name).and_then(list_id).map(str::to_owned)
            }
        };
        let Some(id) = said else {
            let message = "entries of a prefix list don't tell which list they are of".to_owned();
            let help = "give `--prefix-lists pl-0123456789abcdef0=FILE`, or name the file after its list: `pl-0123456789abcdef0.json`";
            return Err(object.fault(kind, message, help));
        };
        return list::read_entries(object, &id, gathered);
    }
    let more = next_page(object)?;
    gathered.pages.entry(kind).or_default().add(more);
    match kind {
        "SecurityGroups" => group::read_groups(object, gathered),
        "SecurityGroupRules" => group::read_rules(object, gathered),
        "PrefixLists" => list::read_lists(object, gathered),
        "NetworkInterfaces" => {
            let members = if input.role == Role::Members { Members::All } else { Members::AsListed };
            if gathered.members != Members::All {
                gathered.members = members;
            }
            interface::read_interfaces(object, gathered)
        }
        "Reservations" => interface::read_reservations(object, gathered),
        _ => acl::read_acls(object, gathered),
    }
}

/// Where a listing says that it goes on.
fn next_page(object: &Object<'_, '_>) -> Result<Option<Place>, ReadError> {
    let token = object.text("NextToken")?.filter(|token| !token.is_empty());
    Ok(token.map(|_| object.place_of("NextToken")))
}

/// Pages of one kind, in the order in which they are given.
#[derive(Debug, Default)]
struct Pages {
    /// Where the last one says that there is another.
    open: Option<Place>,
}

impl Pages {
    /// A page that follows the one before.
    fn add(&mut self, more: Option<Place>) {
        self.open = more;
    }
}

/// Which kinds of listing end before their last page.
fn cut(pages: &BTreeMap<&'static str, Pages>) -> Vec<Cut> {
    let open = |(of, pages): (&&'static str, &Pages)| pages.open.map(|place| Cut { of, place });
    pages.iter().filter_map(open).collect()
}

/// A path's last part.
fn file_name(path: &str) -> Option<&str> {
    path.rsplit('/').next()
}

/// The id of a prefix list within a name.
fn list_id(name: &str) -> Option<&str> {
    let word = |byte: u8| byte.is_ascii_alphanumeric();
    for (at, _) in name.match_indices("pl-") {
        let rest = name.get(at.saturating_add(3)..)?;
        let length = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let after = rest.as_bytes().get(length).copied().is_some_and(word);
        let before = at.checked_sub(1).and_then(|at| name.as_bytes().get(at)).copied().is_some_and(word);
        if (8..=32).contains(&length) && !after && !before {
            return name.get(at..at.saturating_add(3).saturating_add(length));
        }
    }
    None
}
