//! Holdings that are an ipset.

use std::borrow::Cow;

use super::{Content, HoldingError};
use crate::allowlist::Entry;
use crate::lines::lines;
use crate::netfilter::{Elements, Set, ipset};
use crate::prefix::PrefixSet;
use crate::prefix::span::is_of;

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

/// A set that should be there.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Its name.
    pub name: String,
    /// Its type and options, as `ipset create` takes them.
    pub kind: String,
    /// What should be in it: entries of one family.
    pub entries: Cow<'a, [Entry]>,
}

impl Wanted<'_> {
    fn create(&self) -> String {
        format!("create {} {}\n", self.name, self.kind)
    }

    /// What `ipset save` prints of it.
    pub fn text(&self) -> String {
        let add = format!("add {} ", self.name);
        let mut text = self.create().into_bytes();
        text.reserve(self.entries.len().saturating_mul(add.len().saturating_add(20)));
        for entry in self.entries.iter() {
            text.extend_from_slice(add.as_bytes());
            entry.prefix.short().push_to(&mut text);
            text.push(b'\n');
        }
        String::from_utf8(text).unwrap_or_default()
    }

    /// Whether a set that was read is this one.
    pub(super) fn is(&self, have: &Set) -> Result<bool, HoldingError> {
        let made = read(&self.name, &self.create())?;
        let mut prefixes = self.entries.iter().map(|entry| &entry.prefix).peekable();
        let has_all = match (&have.elements, &made.elements) {
            (Elements::V4(spans), Elements::V4(_)) => is_of(spans, &mut prefixes),
            (Elements::V6(spans), Elements::V6(_)) => is_of(spans, &mut prefixes),
            _ => false,
        };
        let is_alike = Set { elements: have.elements.clone(), ..made } == *have;
        Ok(has_all && is_alike && prefixes.peek().is_none())
    }
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
    use proptest::prelude::*;

    use super::*;
    use crate::allowlist::Allowlist;
    use crate::allowlist::tests::{allowlist, any_prefix};
    use crate::prefix::Family;

    fn wanted<'a>(allowlist: &'a Allowlist, family: Family, kind: &str) -> Wanted<'a> {
        let kind = kind.replace("FAMILY", if family == Family::V4 { "inet" } else { "inet6" });
        Wanted { name: "x".to_owned(), kind, entries: allowlist.family(family).into() }
    }

    proptest! {
        #[test]
        fn a_set_is_the_wanted_one_where_both_texts_say_the_same(
            one in prop::collection::vec(any_prefix(), 0..6),
            other in prop::collection::vec(any_prefix(), 0..6),
            more in prop::collection::vec(any_prefix(), 0..2),
            kind in prop::sample::select(vec!["hash:net family FAMILY", "hash:net,port family FAMILY", "bitmap:port range 0-9"]),
        ) {
            let beside = allowlist(one.iter().chain(&more).copied().collect());
            let (one, other) = (allowlist(one), allowlist(other));
            for family in Family::ALL {
                let want = wanted(&one, family, "hash:net family FAMILY maxelem 65536");
                let told = read("x", &want.text()).unwrap();
                // The kernel lists them in no order.
                let text = want.text();
                let (create, adds) = text.split_once('\n').unwrap();
                let shuffled: String = adds.lines().rev().flat_map(|line| [line, "\n"]).collect();
                let have = read("x", &format!("{create}\n{shuffled}")).unwrap();
                prop_assert!(want.is(&have).unwrap());
                let empty = read("x", &wanted(&allowlist(Vec::new()), family, kind).text()).unwrap();
                let others = [&other, &beside].map(|list| read("x", &wanted(list, family, "hash:net family FAMILY").text()).unwrap());
                for have in others.into_iter().chain([empty]) {
                    prop_assert_eq!(want.is(&have).unwrap(), have == told);
                }
            }
        }
    }

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
