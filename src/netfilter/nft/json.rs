//! `nft -j list ruleset`.
//!
//! nft 1.0.6 leaves out what its text tells: that a table sleeps (its `flags` hold the table's name), the device
//! of an ingress chain, arguments of iptables' extensions. What is left out is `None`, or unknown.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::elements::{Gathered, Holds, Shape, v4_prefix};
use super::fields::kinds_of;
use super::json_tree::{Json, entry, expression, statements};
use super::lexer::ends_of_lines;
use super::lower::Builder;
use super::object::{self, BaseTree};
use super::values::Kind;
use super::{Place, ReadError, RuleTree, error};
use crate::netfilter::{Reading, Remark, Set, TableFamily};

/// Reads the JSON that `nft -j list ruleset` prints.
///
/// Keys, objects and statements that aren't known are tolerated: a statement stays as an unknown match or as
/// one that could do anything. Only what isn't JSON, or has no list `nftables`, is an error.
pub fn read_json(text: &str, listing: u16) -> Result<Reading, ReadError> {
    let objects = parse(text, listing)?;
    let mut reader = Reader { text, listing, line: (0, 1), tables: Vec::new(), remarks: Vec::new() };
    for object in objects {
        reader.object(object);
    }
    let tables = reader.tables.into_iter().map(Builder::finish).collect();
    Ok(Reading { tables, remarks: reader.remarks, ..Reading::default() })
}

/// The members of the list `nftables`, unread.
fn parse(text: &str, listing: u16) -> Result<Vec<&RawValue>, ReadError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = Objects.deserialize(&mut deserializer).and_then(|found| {
        deserializer.end()?;
        Ok(found)
    });
    match found {
        Ok(Some(found)) => Ok(found),
        Ok(None) => {
            Err(error(Place { listing, line: 1, ..Place::default() }, "the JSON has no list `nftables`"))
        }
        Err(cause) => Err(broken(listing, &cause)),
    }
}

fn broken(listing: u16, cause: &serde_json::Error) -> ReadError {
    let line = u32::try_from(cause.line()).unwrap_or(u32::MAX).max(1);
    error(Place { listing, line, ..Place::default() }, format!("not the JSON of nft: {cause}"))
}

/// The list `nftables` of the outermost object.
struct Objects;

impl<'de> DeserializeSeed<'de> for Objects {
    type Value = Option<Vec<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Objects {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with a list `nftables`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = entries.next_key::<Json<'de>>()? {
            if key.text() == Some("nftables") {
                found = Some(entries.next_value()?);
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// One member: its only key, and for a set its elements unread.
struct Member<'a> {
    kind: Json<'a>,
    value: Json<'a>,
    elements: Option<&'a RawValue>,
}

struct MemberSeed;

impl<'de> DeserializeSeed<'de> for MemberSeed {
    type Value = Option<Member<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MemberSeed {
    type Value = Option<Member<'de>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(kind) = entries.next_key::<Json<'de>>()? {
            if matches!(kind.text(), Some("set" | "map")) {
                let (value, elements) = entries.next_value_seed(SetSeed)?;
                found = Some(Member { kind, value, elements });
            } else {
                found = Some(Member { kind, value: entries.next_value()?, elements: None });
            }
        }
        Ok(found)
    }
}

/// A set's declaration; its elements are read when its type is known.
struct SetSeed;

impl<'de> DeserializeSeed<'de> for SetSeed {
    type Value = (Json<'de>, Option<&'de RawValue>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SetSeed {
    type Value = (Json<'de>, Option<&'de RawValue>);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut elements) = (Vec::new(), None);
        while let Some(key) = entries.next_key::<Json<'de>>()? {
            match key {
                Json::Text(name) if name == "elem" => elements = Some(entries.next_value()?),
                Json::Text(name) => found.push((name, entries.next_value()?)),
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((Json::Object(found), elements))
    }
}

/// Elements, straight into what gathers them.
struct ElementsSeed<'g>(&'g mut Gathered);

impl<'de> DeserializeSeed<'de> for ElementsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ElementsSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("elements of a set")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let v4 = self.0.single_kind() == Some(Kind::V4);
        while let Some(item) = items.next_element::<Json<'de>>()? {
            match &item {
                Json::Text(text) if v4 => match v4_prefix(text.as_bytes()) {
                    Some((span, [])) => self.0.add_v4(span),
                    _ => self.0.add(&entry(&item)),
                },
                _ => self.0.add(&entry(&item)),
            }
        }
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.0.add(&entry(&Json::Text(Cow::Borrowed(text))));
        Ok(())
    }
}

struct Reader<'a> {
    text: &'a str,
    listing: u16,
    /// A place whose line is known, and that line.
    line: (usize, u32),
    tables: Vec<Builder>,
    remarks: Vec<Remark>,
}

impl<'a> Reader<'a> {
    /// Where a part of the text stands.
    fn place(&mut self, part: &str) -> Place {
        // Both point into the same text.
        let start = part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        let (from, line) = self.line;
        let line = line.saturating_add(ends_of_lines(self.text, from, start));
        self.line = (start.max(from), line);
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Place { listing: self.listing, line, start: narrow(start), end: narrow(start + part.len()) }
    }

    fn object(&mut self, raw: &'a RawValue) {
        let place = self.place(raw.get());
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        // JSON it is, or it would not be here: only its form may be strange.
        let Ok(Some(member)) = MemberSeed.deserialize(&mut deserializer) else {
            return self.remark(place, "an object of unknown form, left out");
        };
        let value = &member.value;
        match member.kind.text().unwrap_or_default() {
            "table" => self.table(value, place),
            "chain" => self.chain(value, place),
            "rule" => self.rule(value, place),
            "set" | "map" => self.set(value, member.elements, place),
            "metainfo" | "counter" | "quota" | "limit" | "ct helper" | "ct timeout" | "ct expectation"
            | "secmark" | "synproxy" | "flowtable" | "tunnel" | "element" => {}
            other => self.remark(place, &format!("`{}` is not known, and left out", super::shown(other))),
        }
    }

    fn remark(&mut self, place: Place, text: &str) {
        self.remarks.push(Remark { place, text: text.to_owned() });
    }

    /// The table that an object names, made where it is not there.
    fn builder(&mut self, value: &Json<'_>, key: &str, place: Place) -> Option<&mut Builder> {
        let found = value.text_of("family").and_then(object::table_family).zip(value.text_of(key));
        let Some((family, name)) = found else {
            self.remark(place, "an object without a family or a table that are known, left out");
            return None;
        };
        // Rules come table by table: the last one it is, mostly.
        let at = self.tables.iter().rposition(|table| table.is(family, name));
        let at = at.unwrap_or_else(|| {
            self.tables.push(Builder::new(family, name));
            self.tables.len() - 1
        });
        self.tables.get_mut(at)
    }

    fn table(&mut self, value: &Json<'_>, place: Place) {
        let name = value.text_of("name").unwrap_or_default();
        let flags = value.get("flags").map(Json::items).unwrap_or_default();
        let words: Vec<&str> = flags.iter().filter_map(Json::text).collect();
        // nft 1.0.6 prints the table's name in the place of its flags.
        let dormant = match words.as_slice() {
            [] if flags.is_empty() => Some(false),
            [only] if *only == name => None,
            words if words.contains(&"dormant") => Some(true),
            words
                if words.len() == flags.len()
                    && words.iter().all(|word| ["owner", "persist"].contains(word)) =>
            {
                Some(false)
            }
            _ => None,
        };
        if let Some(builder) = self.builder(value, "name", place) {
            builder.set_dormant(dormant);
        }
    }

    fn chain(&mut self, value: &Json<'_>, place: Place) {
        let Some(builder) = self.builder(value, "table", place) else { return };
        let name = value.text_of("name").unwrap_or_default();
        builder.chain(name, place).place = place;
        let Some(hook) = value.text_of("hook") else { return };
        let devices: Option<Option<Vec<&str>>> =
            value.get("dev").map(|devices| devices.items().iter().map(Json::text).collect());
        let mut devices = devices.flatten();
        let of_device = builder.family() == TableFamily::Netdev || matches!(hook, "ingress" | "egress");
        if !of_device {
            devices = None;
        }
        let tree = BaseTree {
            kind: value.text_of("type").unwrap_or_default(),
            hook,
            priority: value.number_of("prio"),
            policy: value.text_of("policy"),
            devices,
        };
        object::make_base(builder, name, &tree, place);
    }

    fn rule(&mut self, value: &Json<'_>, place: Place) {
        let Some(builder) = self.builder(value, "table", place) else { return };
        let statements = value.get("expr").map(|expr| statements(expr, place)).unwrap_or_default();
        let handle = value.number_of("handle").unwrap_or(0);
        let rule = builder.rule(&RuleTree { statements, place, handle });
        let chain = value.text_of("chain").unwrap_or_default();
        builder.chain(chain, place).rules.push(rule);
    }

    fn set(&mut self, value: &Json<'_>, elements: Option<&RawValue>, place: Place) {
        let mut gathered = Gathered::new(shape(value));
        if let Some(elements) = elements {
            let mut deserializer = serde_json::Deserializer::from_str(elements.get());
            if ElementsSeed(&mut gathered).deserialize(&mut deserializer).is_err() {
                gathered.give_up("a set whose elements are not understood");
            }
        }
        let name = value.text_of("name").unwrap_or_default();
        let elements = gathered.finish();
        if let Some(builder) = self.builder(value, "table", place) {
            builder.set(name, Set { elements, dynamic: false, dimensions: Vec::new() });
        }
    }
}

/// What a set's `type` and a map's `map` declare.
fn shape(value: &Json<'_>) -> Shape {
    let keys = value.get("type").map(kinds).unwrap_or_default();
    let holds = match value.get("map") {
        None => Holds::Nothing,
        Some(map) if map.text() == Some("verdict") => Holds::Verdicts,
        Some(map) => Holds::of_kinds(&kinds(map)),
    };
    Shape { keys, holds }
}

/// `"ipv4_addr"`, `["ipv4_addr", "inet_service"]`, `"ipv4_addr . inet_service"`, or `{"typeof": …}`.
fn kinds(declared: &Json<'_>) -> Vec<Kind> {
    if let Some(example) = declared.get("typeof") {
        return kinds_of(&expression(example));
    }
    let names: Option<Vec<&str>> = declared.items().iter().map(Json::text).collect();
    names.map_or(vec![Kind::Unmodelled], |names| {
        object::kinds(names.into_iter().flat_map(|name| name.split(" . ")))
    })
}
