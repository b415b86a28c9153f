//! Records out of YAML nodes: all faults of a record are told, not the first.
//!
//! A file's shape is declared once with `record!` and `choices!`, which make the type, its reader and its
//! JSON Schema together, so that the three can't differ.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::runs::{Hidden, Run};
use super::{Node, Value};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, SourceText};

/// Where decoding reads from and reports to.
pub struct Decoder<'s> {
    /// The text that spans point into.
    pub source: &'s Arc<SourceText>,
    /// Where faults go.
    pub sink: &'s mut Diagnostics,
    /// Lines that the nodes leave out.
    pub(super) runs: Vec<Run>,
}

impl<'s> Decoder<'s> {
    /// For nodes of [`parse`](super::parse), which leave nothing out.
    pub fn new(source: &'s Arc<SourceText>, sink: &'s mut Diagnostics) -> Self {
        Self { source, sink, runs: Vec::new() }
    }

    /// The items that were left out after one.
    pub(crate) fn left_out_after(&self, item: &Node<'_>) -> Option<Hidden<'s>> {
        let at = self.runs.binary_search_by_key(&item.span.start, Run::start).ok()?;
        self.runs.get(at).map(|run| run.items(&self.source.text))
    }

    /// Reports a fault at a place.
    pub fn fault(&mut self, code: Code, span: &Range<usize>, message: String, help: impl Into<String>) {
        self.sink.push(Diagnostic::new(code, message).at(self.source, span.clone(), "").help(help));
    }

    pub(crate) fn wrong_type(&mut self, node: &Node<'_>, wanted: &str) {
        let message = format!("{wanted} expected, found {}", node.describe());
        self.fault(Code::WrongType, &node.span, message, format!("write {wanted} here"));
    }
}

/// A value that can be read from a node.
pub trait Decode: Sized {
    /// Reads it; on a fault that is reported, `None`.
    fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self>;
}

/// A value and its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Bytes in the source text.
    pub span: Range<usize>,
}

impl<T: Decode> Decode for At<T> {
    fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { value: T::decode(node, decoder)?, span: node.span.clone() })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl Decode for String {
    fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        node.text(decoder).map(str::to_owned)
    }
}

impl Node<'_> {
    /// Its text; where it is something else, that is reported.
    pub(crate) fn text(&self, decoder: &mut Decoder<'_>) -> Option<&str> {
        match &self.value {
            Value::Scalar(text, _) if !self.is_null() => Some(text),
            Value::Scalar(..) | Value::Sequence(_) | Value::Mapping(..) => {
                decoder.wrong_type(self, "text");
                None
            }
        }
    }
}

macro_rules! decode_numbers {
    ($($number:ty),+) => {$(
        impl Decode for $number {
            fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
                let text = match &node.value {
                    Value::Scalar(text, super::Quoting::Plain) => text.as_ref(),
                    Value::Scalar(_, super::Quoting::Quoted) | Value::Sequence(_) | Value::Mapping(..) => "",
                };
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let canonical = text == "0" || !text.starts_with('0');
                let number = if digits && canonical { text.parse().ok() } else { None };
                if number.is_none() {
                    decoder.wrong_type(node, &format!("a whole number up to {}", <$number>::MAX));
                }
                number
            }
        }
    )+};
}
decode_numbers!(u16, u32);

impl Decode for bool {
    fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Scalar(text, super::Quoting::Plain) if text == "true" => Some(true),
            Value::Scalar(text, super::Quoting::Plain) if text == "false" => Some(false),
            Value::Scalar(..) | Value::Sequence(_) | Value::Mapping(..) => {
                decoder.wrong_type(node, "`true` or `false`");
                None
            }
        }
    }
}

impl<T: Decode> Decode for Vec<T> {
    /// Items with faults are left out; they have been reported. A list of nothing else is no empty list.
    fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Sequence(items) => {
                let mut sound = Self::with_capacity(items.len());
                for item in items {
                    decode_item(item, decoder, &mut sound);
                }
                (!sound.is_empty() || items.is_empty()).then_some(sound)
            }
            Value::Scalar(..) | Value::Mapping(..) => {
                decoder.wrong_type(node, "a list");
                None
            }
        }
    }
}

/// An item, and those that were left out after it.
fn decode_item<T: Decode>(item: &Node<'_>, decoder: &mut Decoder<'_>, sound: &mut Vec<T>) {
    sound.extend(T::decode(item, decoder));
    if let Some(items) = decoder.left_out_after(item) {
        sound.reserve(items.size_hint().0 + 1);
        sound.extend(items.filter_map(|item| T::decode(&item, decoder)));
    }
}

/// A mapping with names of the writer's choice, in the order of the text.
#[derive(Debug, Clone)]
pub struct Named<T>(pub Vec<(At<String>, T)>);

impl<T: Decode> Decode for Named<T> {
    fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let fields = Fields::of(node, decoder)?;
        let entries = fields.entries.iter().filter_map(|(key, value)| {
            Some((At::<String>::decode(key, decoder)?, T::decode(value, decoder)?))
        });
        Some(Self(entries.collect()))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        schemars::json_schema!({ "type": "object", "additionalProperties": items })
    }
}

/// The entries of a mapping while a record is read out of it.
pub struct Fields<'n, 'a> {
    entries: Vec<&'n (Node<'a>, Node<'a>)>,
    known: Vec<&'static str>,
    span: Range<usize>,
}

impl<'n, 'a> Fields<'n, 'a> {
    /// The entries of a mapping; keys written twice are reported and the first one counts.
    pub fn of(node: &'n Node<'a>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Value::Mapping(entries, _) = &node.value else {
            decoder.wrong_type(node, "a mapping");
            return None;
        };
        let mut seen: std::collections::HashMap<&str, &Range<usize>> = std::collections::HashMap::new();
        let mut first = Vec::with_capacity(entries.len());
        for entry in entries {
            let Value::Scalar(key, _) = &entry.0.value else {
                decoder.wrong_type(&entry.0, "text as key");
                continue;
            };
            if let Some(before) = seen.get(key.as_ref()) {
                let repeated = Diagnostic::new(Code::RepeatedKey, format!("key `{key}` is written twice"))
                    .at(decoder.source, entry.0.span.clone(), "again here")
                    .at(decoder.source, (*before).clone(), "first here")
                    .help("keep one of them: other YAML readers silently take the last");
                decoder.sink.push(repeated);
                continue;
            }
            seen.insert(key, &entry.0.span);
            first.push(entry);
        }
        Some(Self { entries: first, known: Vec::new(), span: node.span.clone() })
    }

    /// The entries, each key once.
    pub fn into_entries(self) -> Vec<&'n (Node<'a>, Node<'a>)> {
        self.entries
    }

    /// The node of a key.
    pub fn node(&mut self, key: &'static str) -> Option<&'n Node<'a>> {
        self.known.push(key);
        let found = self
            .entries
            .iter()
            .find(|(name, _)| matches!(&name.value, Value::Scalar(text, _) if text == key));
        found.map(|(_, value)| value)
    }

    /// The value of a key that may be absent.
    pub fn optional<T: Decode>(&mut self, key: &'static str, decoder: &mut Decoder<'_>) -> Option<T> {
        self.node(key).and_then(|node| T::decode(node, decoder))
    }

    /// The value of a key that must be there; its absence is reported.
    pub fn required<T: Decode>(&mut self, key: &'static str, decoder: &mut Decoder<'_>) -> Option<T> {
        let Some(node) = self.node(key) else {
            let place = self.head(decoder.source);
            decoder.fault(
                Code::MissingKey,
                &place,
                format!("key `{key}` is missing"),
                format!("add `{key}:` here"),
            );
            return None;
        };
        T::decode(node, decoder)
    }

    /// The items of a list that may be absent.
    pub fn list<T: Decode>(&mut self, key: &'static str, decoder: &mut Decoder<'_>) -> Option<Vec<T>> {
        Some(self.optional(key, decoder).unwrap_or_default())
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self, decoder: &mut Decoder<'_>) {
        for (key, _) in &self.entries {
            let Value::Scalar(text, _) = &key.value else { continue };
            if self.known.contains(&text.as_ref()) {
                continue;
            }
            // Of what is only counted there is no use in looking for what was meant.
            let near = if decoder.sink.beyond() == 0 { nearest(text, &self.known) } else { None };
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            decoder.fault(Code::UnknownKey, &key.span, format!("unknown key `{text}`"), help);
        }
    }

    /// The first line of the mapping: where a missing key is shown.
    fn head(&self, source: &SourceText) -> Range<usize> {
        let text = source.text.get(self.span.clone()).unwrap_or("");
        let length = text.find('\n').unwrap_or(text.len());
        self.span.start..self.span.start + text.get(..length).unwrap_or("").trim_end().len()
    }
}

/// What to write instead of an unknown name: the nearest of the known ones, or a list of the first.
pub fn instead_of<'k>(text: &str, known: impl ExactSizeIterator<Item = &'k str>, listed_as: &str) -> String {
    let count = known.len();
    let first: Vec<&str> = known.take(CANDIDATES_MAX).collect();
    if let Some(near) = nearest(text, &first) {
        return format!("did you mean `{near}`?");
    }
    let shown: Vec<&str> = first.into_iter().take(20).collect();
    let more = count - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") };
    format!("{listed_as}: {shown}{more}")
}

/// The candidate that differs least from `text`, where it differs little.
pub fn nearest<'c>(text: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let allowed = (text.chars().count() / 3).max(1);
    let scored = candidates.iter().map(|candidate| (edit_distance(text, candidate), *candidate));
    scored.filter(|(distance, _)| *distance <= allowed).min().map(|(_, candidate)| candidate)
}

/// More names than this nobody writes by hand, and comparing all with all would take hours.
const CANDIDATES_MAX: usize = 50;

/// Levenshtein's distance; texts beyond 64 characters count as far away.
fn edit_distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) =
        (left.chars().take(65).collect(), right.chars().take(65).collect());
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row, vec![i + 1]).into_iter();
        let mut corner = diagonal.next().unwrap_or(0);
        for (b, above) in right.iter().zip(diagonal) {
            let before = row.last().copied().unwrap_or(0);
            row.push((corner + usize::from(a != b)).min(above + 1).min(before + 1));
            corner = above;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Declares a mapping: the type, its reader and its schema.
///
/// Field kinds: `required` and `optional` become an `Option`, because a fault in one field must not hide
/// the others; `list` becomes a `Vec`. The schema hears it from `#[schemars(required)]` on the first and
/// `#[schemars(default)]` on the last; a test holds schema and reader together.
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $kind:ident $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        #[allow(dead_code, reason = "some fields are read for their faults only")]
        $vis struct $name {
            /// Its place in the text.
            #[schemars(skip)]
            $vis span: std::ops::Range<usize>,
            $($(#[$field_meta])* $vis $field: $crate::yaml::decode::record!(@type $kind $type),)*
        }

        impl $name {
            /// Its keys in canonical order.
            #[allow(dead_code, reason = "not every record is reordered by `fmt`")]
            pub(crate) const KEYS: &'static [&'static str] = &[$(stringify!($field),)*];
        }

        impl $crate::yaml::decode::Decode for $name {
            fn decode(
                node: &$crate::yaml::Node<'_>,
                decoder: &mut $crate::yaml::decode::Decoder<'_>,
            ) -> Option<Self> {
                let mut fields = $crate::yaml::decode::Fields::of(node, decoder)?;
                $(let $field = $crate::yaml::decode::record!(@read $kind fields decoder $field);)*
                fields.finish(decoder);
                Some(Self { span: node.span.clone(), $($field,)* })
            }
        }
    };
    (@type list $type:ty) => { Vec<$type> };
    (@type $kind:ident $type:ty) => { Option<$type> };
    (@read list $fields:ident $decoder:ident $field:ident) => {
        $fields.list(stringify!($field), $decoder).unwrap_or_default()
    };
    (@read $kind:ident $fields:ident $decoder:ident $field:ident) => {
        $fields.$kind(stringify!($field), $decoder)
    };
}
pub(crate) use record;

/// Declares a closed set of words: the enum, its reader and its schema.
macro_rules! choices {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// All of them, in order.
            $vis const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word in files and reports.
            $vis fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// The one with this word.
            $vis fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|choice| choice.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl $crate::yaml::decode::Decode for $name {
            fn decode(
                node: &$crate::yaml::Node<'_>,
                decoder: &mut $crate::yaml::decode::Decoder<'_>,
            ) -> Option<Self> {
                let text = <String as $crate::yaml::decode::Decode>::decode(node, decoder)?;
                let words: Vec<&str> = Self::ALL.iter().map(|choice| choice.as_str()).collect();
                $crate::yaml::decode::choose(&text, &words, node, decoder).and_then(Self::from_word)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [$($text,)+] })
            }
        }
    };
}
pub(crate) use choices;

/// The word itself where it is one of `words`; otherwise the fault is reported.
pub fn choose<'w>(
    text: &str,
    words: &[&'w str],
    node: &Node<'_>,
    decoder: &mut Decoder<'_>,
) -> Option<&'w str> {
    if let Some(word) = words.iter().find(|word| **word == text) {
        return Some(word);
    }
    let help = match nearest(text, words) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of: {}", words.join(", ")),
    };
    decoder.fault(
        Code::InvalidValue,
        &node.span,
        format!("`{text}` is not one of {}", words.join(", ")),
        help,
    );
    None
}

/// A schema generator's result without `null`: an absent key is absent, never empty.
pub fn schema_without_null(mut schema: Schema) -> Schema {
    drop_null(schema.as_object_mut());
    schema
}

fn drop_null(object: Option<&mut serde_json::Map<String, serde_json::Value>>) {
    let Some(object) = object else { return };
    if let Some(serde_json::Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(serde_json::Value::Array(any)) = object.get_mut("anyOf") {
        any.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
        if let [only] = any.as_slice()
            && let Some(only) = only.as_object().cloned()
        {
            object.remove("anyOf");
            object.extend(only);
        }
    }
    for value in object.values_mut() {
        match value {
            serde_json::Value::Object(map) => drop_null(Some(map)),
            serde_json::Value::Array(items) => {
                for item in items {
                    drop_null(item.as_object_mut());
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    record! {
        /// A test record.
        struct Sample {
            /// A name.
            #[schemars(required)]
            name: required At<String>,
            /// A port.
            port: optional u16,
            /// Words.
            #[schemars(default)]
            words: list String,
        }
    }

    fn check(text: &str) -> (Option<Sample>, Vec<(Code, Option<String>)>) {
        let source = SourceText::new("x", text.to_owned());
        let mut sink = Diagnostics::new();
        let node = super::super::parse(&source, &mut sink);
        let sample = node.and_then(|node| Sample::decode(&node, &mut Decoder::new(&source, &mut sink)));
        (sample, sink.iter().map(|found| (found.code, found.help.clone())).collect())
    }

    #[test]
    fn all_faults_of_a_record_are_told() {
        let (sample, faults) = check("nam: x\nport: 070\nport: 1\nwords: no\n");
        assert!(sample.is_some_and(|sample| sample.name.is_none() && sample.port.is_none()));
        let codes: Vec<_> = faults.iter().map(|(code, _)| *code).collect();
        assert_eq!(
            codes,
            [Code::RepeatedKey, Code::MissingKey, Code::WrongType, Code::WrongType, Code::UnknownKey]
        );
        assert_eq!(faults[4].1.as_deref(), Some("did you mean `name`?"));
    }

    #[test]
    fn distances_are_levenshteins() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(nearest("vlaid_from", &["valid_from", "announced"]), Some("valid_from"));
        assert_eq!(nearest("zzz", &["valid_from"]), None);
    }

    #[test]
    fn an_absent_key_is_not_null_in_the_schema() {
        let schema = schema_without_null(schemars::schema_for!(Sample));
        let json = serde_json::to_value(&schema).unwrap();
        assert_eq!(json["properties"]["port"]["type"], "integer");
        assert_eq!(json["required"], serde_json::json!(["name"]));
    }
}
