//! What the AWS command line prints: JSON whose objects and keys know their line, read in one pass.
//!
//! Whoever asks for a value names its type; another
//! one is an error with its line. Keys that nobody asks for are tolerated.

use std::borrow::Cow;

use super::{Place, ReadError};
use crate::admission::Listing;
use crate::json::{Json, shown};
use crate::plain::line;

/// A listing, and where its lines end.
pub(super) struct Source<'a> {
    index: u32,
    listing: &'a Listing,
    line_ends: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(index: u32, listing: &'a Listing) -> Self {
        let bytes = listing.text.bytes().enumerate();
        let line_ends = bytes.filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Self { index, listing, line_ends }
    }

    /// The JSON documents that it has, one after the other.
    pub(super) fn documents(&self) -> Result<Vec<Json<'a>>, ReadError> {
        let text: &'a str = &self.listing.text;
        let mut documents = Vec::new();
        for document in serde_json::Deserializer::from_str(text).into_iter::<Json<'a>>() {
            documents.push(document.map_err(|cause| {
                let line = u32::try_from(cause.line()).unwrap_or(u32::MAX).max(1);
                // The cause names its line and column again, which people count from the text that they see.
                let words = cause.to_string();
                let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
                let what = format!("this is not JSON as `aws` prints it: {}", shown(words));
                self.error(Place { listing: self.index, line }, what, WHOLE)
            })?);
        }
        Ok(documents)
    }

    /// Where the text starts.
    pub(super) fn start(&self) -> Place {
        Place { listing: self.index, line: 1 }
    }

    /// The line of a part of the text; `None` where it is no part of it.
    fn place(&self, part: &str) -> Option<Place> {
        let text = &self.listing.text;
        let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr()).filter(|at| *at < text.len())?;
        let before = self.line_ends.partition_point(|end| *end < start);
        Some(Place { listing: self.index, line: u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1) })
    }

    /// The line on which an object opens, found from its first key.
    fn opening(&self, key: &str) -> Option<Place> {
        let text: &str = &self.listing.text;
        let start = key.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        let before = text.get(..start.checked_sub(1)?)?.trim_ascii_end();
        self.place(before.get(before.len().checked_sub(1)?..)?)
    }

    pub(super) fn error(&self, place: Place, message: String, help: &str) -> ReadError {
        ReadError { listing: line(&self.listing.name), line: place.line, message, help: help.to_owned() }
    }
}

/// What to do about a text that is no listing.
pub(super) const WHOLE: &str =
    "give the whole output of `aws ec2 describe-… --output json`, without `--query`";

/// An object of a listing.
#[derive(Clone, Copy)]
pub(super) struct Object<'t, 'a> {
    source: &'t Source<'a>,
    entries: &'t [(Cow<'a, str>, Json<'a>)],
    place: Place,
}

impl<'t, 'a> Object<'t, 'a> {
    /// The outermost object of a document.
    pub(super) fn outermost(source: &'t Source<'a>, json: &'t Json<'a>) -> Result<Self, ReadError> {
        match json {
            Json::Object(entries) => Ok(Self::new(source, entries, source.start())),
            other => {
                let message = format!("{} stands where the output of `aws` has an object", other.kind());
                Err(source.error(source.start(), message, WHOLE))
            }
        }
    }

    fn new(source: &'t Source<'a>, entries: &'t [(Cow<'a, str>, Json<'a>)], within: Place) -> Self {
        let first = entries.first().and_then(|(key, _)| source.opening(key));
        Self { source, entries, place: first.unwrap_or(within) }
    }

    /// Where it opens.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The line of a key, or of the object where it has none.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.get(key).map_or(self.place, |(_, place)| place)
    }

    /// Keys and values.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'t str, &'t Json<'a>)> {
        self.entries.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// What it holds by a key, with the key's line.
    fn get(&self, key: &str) -> Option<(&'t Json<'a>, Place)> {
        let (name, value) = self.entries.iter().find(|(name, _)| name == key)?;
        let place = self.source.place(name).unwrap_or(self.place);
        (*value != Json::Null).then_some((value, place))
    }

    /// An error about this key.
    pub(super) fn fault(&self, key: &str, message: String, help: &str) -> ReadError {
        self.source.error(self.place_of(key), message, help)
    }

    fn wrong(&self, key: &str, wanted: &str, found: &Json<'_>) -> ReadError {
        self.fault(key, format!("`{key}` is {}, and not {wanted}", found.kind()), WHOLE)
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'t str>, ReadError> {
        match self.get(key) {
            None => Ok(None),
            Some((Json::Text(text), _)) => Ok(Some(text)),
            Some((other, _)) => Err(self.wrong(key, "a text", other)),
        }
    }

    /// A text that has to be there, and not empty.
    pub(super) fn said(&self, key: &str) -> Result<&'t str, ReadError> {
        let text = self.text(key)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.fault(key, format!("an object has no `{key}`"), WHOLE))
    }

    /// A text, empty where there is none.
    pub(super) fn text_or_empty(&self, key: &str) -> Result<String, ReadError> {
        Ok(self.text(key)?.unwrap_or_default().to_owned())
    }

    /// A whole number.
    pub(super) fn number(&self, key: &str) -> Result<Option<i64>, ReadError> {
        match self.get(key) {
            None => Ok(None),
            Some((Json::Number(number), _)) => Ok(Some(*number)),
            Some((other, _)) => Err(self.wrong(key, "a whole number", other)),
        }
    }

    /// True or false; it has to be there.
    pub(super) fn flag(&self, key: &str) -> Result<bool, ReadError> {
        match self.get(key) {
            Some((Json::Flag(flag), _)) => Ok(*flag),
            None => Err(self.fault(key, format!("an object has no `{key}`"), WHOLE)),
            Some((other, _)) => Err(self.wrong(key, "true or false", other)),
        }
    }

    /// An object by this key.
    pub(super) fn object(&self, key: &str) -> Result<Option<Object<'t, 'a>>, ReadError> {
        match self.get(key) {
            None => Ok(None),
            Some((Json::Object(entries), place)) => Ok(Some(Object::new(self.source, entries, place))),
            Some((other, _)) => Err(self.wrong(key, "an object", other)),
        }
    }

    /// The texts of a list; `None` where it is missing.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&'t str>>, ReadError> {
        let items = match self.get(key) {
            None => return Ok(None),
            Some((Json::List(items), _)) => items,
            Some((other, _)) => return Err(self.wrong(key, "a list", other)),
        };
        let text = |item: &'t Json<'a>| match item {
            Json::Text(text) => Ok(text.as_ref()),
            other => Err(self.fault(key, format!("`{key}` has {} among its texts", other.kind()), WHOLE)),
        };
        items.iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// The objects of a list; none where it is missing.
    pub(super) fn objects(&self, key: &str) -> Result<Vec<Object<'t, 'a>>, ReadError> {
        let (items, within) = match self.get(key) {
            None => return Ok(Vec::new()),
            Some((Json::List(items), place)) => (items, place),
            Some((other, _)) => return Err(self.wrong(key, "a list", other)),
        };
        let object = |item: &'t Json<'a>| match item {
            Json::Object(entries) => Ok(Object::new(self.source, entries, within)),
            other => {
                let message = format!("`{key}` has {} among its objects", other.kind());
                Err(self.fault(key, message, WHOLE))
            }
        };
        items.iter().map(object).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(text: &str) -> Listing {
        Listing { name: "f".to_owned(), text: text.into() }
    }

    #[test]
    fn objects_know_their_lines() {
        let listing =
            listing("{\n \"A\": [\n  {\n   \"x\": 1,\n   \"y\": \"t\"},{\"x\": true}\n ]\n}\n{\"A\": [5]}");
        let source = Source::new(3, &listing);
        let documents = source.documents().unwrap();
        let first = Object::outermost(&source, &documents[0]).unwrap();
        let all = first.objects("A").unwrap();
        assert_eq!(all[0].place(), Place { listing: 3, line: 3 });
        assert_eq!(all[1].place(), Place { listing: 3, line: 5 });
        assert_eq!(all[0].number("x").unwrap(), Some(1));
        assert_eq!(all[0].text("y").unwrap(), Some("t"));
        assert_eq!(all[0].number("y").unwrap_err().line, 5);
        assert_eq!(all[1].number("x").unwrap_err().message, "`x` is true or false, and not a whole number");
        let second = Object::outermost(&source, &documents[1]).unwrap();
        assert_eq!(second.objects("A").err().unwrap().line, 8);
    }

    #[test]
    fn what_is_no_json_or_says_a_key_twice_is_refused() {
        let many: String = (0..40).map(|key| format!("\"k{key}\": 1, ")).collect();
        for text in [
            "{",
            "[1,",
            "SecurityGroups:",
            "{\"a\": 1, \"a\": 2}",
            "{\"a\": NaN}",
            &format!("{{{many} \"k39\": 2}}"),
            &format!("{{{many} \"k0\": 2}}"),
            &"[".repeat(100_000),
            &"{\"a\":".repeat(100_000),
        ] {
            let listing = listing(text);
            let error = Source::new(0, &listing).documents().unwrap_err();
            assert!(error.message.len() < 300, "{error}");
        }
    }
}
