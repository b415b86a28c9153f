//! Holdings that are an ipset.

use super::{Content, HoldingError};
use crate::lines::lines;
use crate::netfilter::{Elements, Set, ipset};
use crate::prefix::PrefixSet;

/// What is ours of `ipset save`.
pub(super) fn own(name: &str, listing: &str) -> Content {
    let (add, create) = (format!("add {name} "), format!("create {name} "));
    // The lines of a set stand together: what is ours is copied at once.
    let (mut text, mut start) = (String::new(), None);
    for place in lines(listing) {
        let line = listing.get(place.clone())?;
        if line.starts_with(&add) || line.starts_with(&create) {
            start.get_or_insert(place.start);
        } else if let Some(start) = start.take() {
            text.push_str(listing.get(start..place.start)?);
        }
    }
    text.push_str(start.and_then(|start| listing.get(start..)).unwrap_or_default());
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    (!text.is_empty()).then(|| text.into())
}

/// A set as it is read.
pub(super) fn read(name: &str, text: &str) -> Result<Set, HoldingError> {
    let mut reading = ipset::read(text, 0).map_err(HoldingError::Unreadable)?;
    reading.ipsets.remove(name).ok_or_else(|| HoldingError::nothing(text))
}

/// Whether both hold the same addresses.
pub(super) fn same(name: &str, have: &str, want: &str) -> Result<bool, HoldingError> {
    Ok(read(name, have)? == read(name, want)?)
}

/// Whether a set that was read with its host is what is wanted.
pub(super) fn is_met(name: &str, have: Option<&Set>, want: &str) -> Result<bool, HoldingError> {
    let Some(have) = have else { return Ok(false) };
    Ok(ipset::is_plainly(have, name, want) || *have == read(name, want)?)
}

/// Input of `ipset restore`, and what it does. A set is filled beside the one in use and swapped in: the kernel changes
/// single elements one by one, and somebody would be between them.
pub(super) fn commands(name: &str, have: &Content, want: &Content) -> (String, String) {
    let Some(want) = want else { return (format!("destroy {name}\n"), format!("remove ipset {name}")) };
    let new = format!("{name}-new");
    let created = want.lines().find(|line| line.starts_with("create ")).unwrap_or_default();
    let mut text = created_as(created, name) + &created_as(created, &new) + &format!("flush {new}\n");
    let adds = want.lines().filter_map(|line| line.strip_prefix("add ")?.split_once(' '));
    for (_, element) in adds {
        text.push_str(&format!("add {new} {element}\n"));
    }
    text.push_str(&format!("swap {name} {new}\ndestroy {new}\n"));
    let verb = if have.is_some() { "replace" } else { "make" };
    (text, format!("{verb} ipset {name}"))
}

/// A line that creates a set, under a name. What the kernel chose by itself is left to it.
fn created_as(line: &str, name: &str) -> String {
    let mut words = line.split(' ').skip(2);
    let mut text = format!("create {name}");
    while let Some(word) = words.next() {
        if matches!(word, "hashsize" | "bucketsize" | "initval") {
            words.next();
        } else {
            text.push(' ');
            text.push_str(word);
        }
    }
    text + "\n"
}

/// The addresses in it.
pub(super) fn addresses(name: &str, text: &str) -> Result<PrefixSet, HoldingError> {
    Ok(match &read(name, text)?.elements {
        Elements::V4(spans) => PrefixSet::from_spans(spans.to_vec(), Vec::new()),
        Elements::V6(spans) => PrefixSet::from_spans(Vec::new(), spans.to_vec()),
        Elements::Numbers(_) | Elements::Tuples(_) | Elements::Lists(_) | Elements::Unknown(_) => {
            PrefixSet::empty()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_told_apart_wherever_it_stands() {
        let listing = "create a hash:net\nadd a 1.2.3.4\ncreate ab hash:net\nadd ab 5.6.7.8\nadd a 9.9.9.9\nadd a 9.9.9.10";
        assert_eq!(
            own("a", listing).as_deref().unwrap(),
            "create a hash:net\nadd a 1.2.3.4\nadd a 9.9.9.9\nadd a 9.9.9.10\n"
        );
        assert_eq!(own("ab", listing).as_deref().unwrap(), "create ab hash:net\nadd ab 5.6.7.8\n");
        assert_eq!(own("b", listing), None);
    }
}
