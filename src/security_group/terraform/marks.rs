//! Which attributes are known only after apply, and which are sensitive.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::json::Entry;

/// A mark on an attribute, or on parts of it: `after_unknown`, `sensitive_values`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing of it is marked.
    #[default]
    No,
    /// All of it is.
    All,
    /// Some of its attributes are.
    Fields(Vec<(String, Mark)>),
    /// Some of its elements are, by their index.
    Items(Vec<Mark>),
}

impl Mark {
    fn read(raw: Option<&RawValue>) -> Self {
        // Most marks are full of `false`.
        let Some(raw) = raw.filter(|raw| raw.get().contains("true")) else { return Mark::No };
        serde_json::from_str(raw.get()).unwrap_or(Mark::All)
    }

    /// The mark of an attribute.
    pub(super) fn field(&self, name: &str) -> &Mark {
        match self {
            Mark::No | Mark::Items(_) => &Mark::No,
            Mark::All => &Mark::All,
            Mark::Fields(fields) => {
                fields.iter().find(|(known, _)| known == name).map_or(&Mark::No, |(_, mark)| mark)
            }
        }
    }

    /// The mark of an element.
    pub(super) fn item(&self, index: usize) -> &Mark {
        match self {
            Mark::No | Mark::Fields(_) => &Mark::No,
            Mark::All => &Mark::All,
            Mark::Items(items) => items.get(index).unwrap_or(&Mark::No),
        }
    }

    /// Whether all of it is marked.
    pub(super) fn is_all(&self) -> bool {
        *self == Mark::All
    }

    /// Whether anything of it is marked.
    pub(super) fn is_any(&self) -> bool {
        match self {
            Mark::No => false,
            Mark::All => true,
            Mark::Fields(fields) => fields.iter().any(|(_, mark)| mark.is_any()),
            Mark::Items(items) => items.iter().any(Mark::is_any),
        }
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Marking)
    }
}

struct Marking;

impl<'de> Visitor<'de> for Marking {
    type Value = Mark;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("true, false, or an object or a list of them")
    }

    fn visit_bool<E>(self, marked: bool) -> Result<Mark, E> {
        Ok(if marked { Mark::All } else { Mark::No })
    }

    fn visit_unit<E>(self) -> Result<Mark, E> {
        Ok(Mark::No)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Mark, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, mark)) = entries.next_entry::<Cow<'de, str>, Mark>()? {
            if mark.is_any() {
                fields.push((name.into_owned(), mark));
            }
        }
        Ok(Mark::Fields(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Mark, A::Error> {
        let mut items = Vec::new();
        while let Some(mark) = elements.next_element()? {
            items.push(mark);
        }
        Ok(Mark::Items(items))
    }
}

/// Both marks of a resource, or of a part of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    pub(super) unknown: Mark,
    pub(super) sensitive: Mark,
}

impl Marks {
    /// Those of a resource.
    pub(super) fn of(entry: &Entry<'_>) -> Self {
        Self { unknown: Mark::read(entry.unknown), sensitive: Mark::read(entry.sensitive) }
    }

    /// Those of an attribute.
    pub(super) fn field(&self, name: &str) -> Self {
        Self { unknown: self.unknown.field(name).clone(), sensitive: self.sensitive.field(name).clone() }
    }

    /// Those of an element.
    pub(super) fn item(&self, index: usize) -> Self {
        Self { unknown: self.unknown.item(index).clone(), sensitive: self.sensitive.item(index).clone() }
    }

    /// Why nobody can say what this attribute is.
    pub(super) fn why(&self, name: &str) -> Option<String> {
        if self.unknown.field(name).is_all() {
            Some(format!("`{name}` is known only after apply"))
        } else if self.sensitive.field(name).is_any() {
            Some(format!("`{name}` is sensitive"))
        } else {
            None
        }
    }
}
