//! JSON as a tree that borrows from its text: what tools print, where its form is not known beforehand.
//!
//! Keys and texts without escapes are parts of the text, so that a reader can tell where they stand. An object that
//! gives a key twice is refused: nobody can say which one is meant. How deep it may nest, `serde_json` limits.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::plain::{line, shortened};

/// Most characters of a text that a message shows.
const SHOWN_MAX: usize = 60;
/// Objects of more keys than these are searched for twins by a set.
const FEW_KEYS: usize = 24;

/// A value, borrowed where nothing is escaped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    /// `null`.
    Null,
    /// True or false.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A number that is no address, no port, no count and no handle, as it is written.
    OtherNumber(String),
    /// A text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Json<'a>>),
    /// An object.
    Object(Entries<'a>),
}

/// What an object holds, in its order.
pub(crate) type Entries<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// A key, borrowed where nothing is escaped.
#[derive(Deserialize)]
pub(crate) struct Key<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl<'a> Json<'a> {
    /// What an object holds by this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text it is.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text by this key.
    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Json::text)
    }

    /// The number by this key.
    pub(crate) fn number_of<N: TryFrom<i64>>(&self, key: &str) -> Option<N> {
        match self.get(key) {
            Some(Json::Number(number)) => N::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Its items, or itself where it is no list.
    pub(crate) fn items(&self) -> &[Json<'a>] {
        match self {
            Json::List(items) => items,
            other => std::slice::from_ref(other),
        }
    }

    /// The only entry of an object.
    pub(crate) fn single(&self) -> Option<(&str, &Json<'a>)> {
        match self {
            Json::Object(entries) => match entries.as_slice() {
                [(name, value)] => Some((name, value)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it is a list that has something.
    pub(crate) fn is_filled_list(&self) -> bool {
        matches!(self, Json::List(items) if !items.is_empty())
    }

    /// What it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Json::Null => "nothing",
            Json::Flag(_) => "true or false",
            Json::Number(_) | Json::OtherNumber(_) => "a number",
            Json::Text(_) => "a text",
            Json::List(_) => "a list",
            Json::Object(_) => "an object",
        }
    }
}

/// A text within a message: harmless, and not too long.
pub(crate) fn shown(text: &str) -> String {
    shortened(line(text), SHOWN_MAX)
}

/// Refuses an object that gives a key twice.
pub(crate) fn no_twins<E: Error>(entries: &Entries<'_>) -> Result<(), E> {
    let mut keys = entries.iter().map(|(key, _)| key.as_ref());
    let twin = if entries.len() > FEW_KEYS {
        let mut known = HashSet::with_capacity(entries.len());
        keys.find(|key| !known.insert(*key))
    } else {
        let is_twin = |(at, key): &(usize, &str)| entries.iter().take(*at).any(|(known, _)| known == key);
        keys.enumerate().find(is_twin).map(|(_, key)| key)
    };
    twin.map_or(Ok(()), |twin| Err(given_twice(twin)))
}

/// The error about a key that is given twice.
pub(crate) fn given_twice<E: Error>(key: &str) -> E {
    E::custom(format!("`{}` is given twice", shown(key)))
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json<'de>, E> {
        Ok(Json::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(number).map_or_else(|_| Json::OtherNumber(number.to_string()), Json::Number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Json::OtherNumber(number.to_string()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element()? {
            found.push(item);
        }
        Ok(Json::List(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let mut found: Entries<'de> = Vec::new();
        while let Some((Key(key), value)) = entries.next_entry()? {
            found.push((key, value));
        }
        no_twins(&found)?;
        Ok(Json::Object(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Json<'_>, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn what_has_no_escapes_is_a_part_of_the_text() {
        let text = r#"{"a": ["plain", "esc\u0061ped"], "b": {"c": 1}}"#;
        let json = read(text).unwrap();
        let [Json::Text(Cow::Borrowed("plain")), Json::Text(Cow::Owned(escaped))] =
            json.get("a").unwrap().items()
        else {
            panic!("{json:?}");
        };
        assert_eq!(escaped, "escaped");
        assert_eq!(json.get("b").and_then(|inner| inner.number_of::<u8>("c")), Some(1));
        assert_eq!(json.get("b").and_then(Json::single), Some(("c", &Json::Number(1))));
        assert_eq!((json.single(), json.text(), json.text_of("a")), (None, None, None));
    }

    #[test]
    fn numbers_that_do_not_fit_stay_as_they_are_written() {
        for (text, wanted) in [("18446744073709551615", "18446744073709551615"), ("1.5", "1.5")] {
            assert_eq!(read(text).unwrap(), Json::OtherNumber(wanted.to_owned()));
        }
        assert_eq!(read("-1").unwrap(), Json::Number(-1));
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused() {
        let many: String = (0..40).map(|key| format!("\"k{key}\": 1, ")).collect();
        for text in [
            "{\"a\": 1, \"a\": 2}".to_owned(),
            "[{\"a\": {\"b\": 1, \"c\": 1, \"b\": 1}}]".to_owned(),
            format!("{{{many} \"k39\": 2}}"),
            format!("{{{many} \"k0\": 2}}"),
        ] {
            let why = read(&text).unwrap_err().to_string();
            assert!(why.contains("is given twice"), "{why}");
        }
        let long = "k".repeat(10_000);
        let why = read(&format!("{{\"{long}\": 1, \"{long}\": 1}}")).unwrap_err().to_string();
        assert!(why.len() < 200, "{why}");
    }
}
