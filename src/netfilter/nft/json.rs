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
use super::json_tree::{entry, expression, statements};
use super::lexer::ends_of_lines;
use super::lower::{Builder, Tables};
use super::object::{self, BaseTree};
use super::values::Kind;
use super::{Place, ReadError, RuleTree, error};
use crate::json::{Entries, Json, Key, given_twice, no_twins};
use crate::netfilter::{Reading, Remark, TableFamily};

/// Reads the JSON that `nft -j list ruleset` prints.
///
/// Keys, objects and statements that aren't known are tolerated: a statement stays as an unknown match or as
/// one that could do anything. What isn't JSON, or has no list `nftables`, is an error, and so is a table, chain,
/// rule or set that does not say where it belongs: to leave it out would be to guess.
pub fn read_json(text: &str, listing: u16) -> Result<Reading, ReadError> {
    let objects = parse(text, listing)?;
    let mut reader = Reader { text, listing, line: (0, 1), tables: Tables::default(), remarks: Vec::new() };
    for object in objects {
        reader.object(object)?;
    }
    Ok(Reading { tables: reader.tables.finish(), remarks: reader.remarks, ..Reading::default() })
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
        while let Some(Key(key)) = entries.next_key()? {
            if key != "nftables" {
                entries.next_value::<IgnoredAny>()?;
            } else if found.is_none() {
                found = Some(entries.next_value()?);
            } else {
                return Err(given_twice(&key));
            }
        }
        Ok(found)
    }
}

/// One member: its only key, and for a set its elements unread.
struct Member<'a> {
    kind: Cow<'a, str>,
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
        while let Some(Key(kind)) = entries.next_key()? {
            if found.is_some() {
                return Err(serde::de::Error::custom("more than one object in one"));
            }
            if matches!(&*kind, "set" | "map") {
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
        let (mut found, mut elements) = (Entries::new(), None);
        while let Some(Key(key)) = entries.next_key()? {
            if key != "elem" {
                found.push((key, entries.next_value()?));
            } else if elements.is_none() {
                elements = Some(entries.next_value()?);
            } else {
                return Err(given_twice(&key));
            }
        }
        no_twins(&found)?;
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
    tables: Tables,
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

    fn object(&mut self, raw: &'a RawValue) -> Result<(), ReadError> {
        let place = self.place(raw.get());
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        // JSON it is, or it would not be here: its form is strange, its numbers are, it says a key twice, or it is
        // nested too deep.
        let Ok(Some(member)) = MemberSeed.deserialize(&mut deserializer) else {
            return Err(error(place, format!("an object of unknown form: `{}`", super::shown(raw.get()))));
        };
        let value = &member.value;
        match &*member.kind {
            "table" => self.table(value, place),
            "chain" => self.chain(value, place),
            "rule" => self.rule(value, place),
            "set" | "map" => self.set(value, member.elements, place),
            "metainfo" | "counter" | "quota" | "limit" | "ct helper" | "ct timeout" | "ct expectation"
            | "secmark" | "synproxy" | "flowtable" | "tunnel" | "element" => Ok(()),
            other => {
                let text = format!("`{}` is not known, and left out", super::shown(other));
                self.remarks.push(Remark { place, text });
                Ok(())
            }
        }
    }

    /// The table that an object names, made where it is not there.
    fn builder(&mut self, value: &Json<'_>, key: &str, place: Place) -> Result<&mut Builder, ReadError> {
        let found = value.text_of("family").and_then(object::table_family).zip(value.text_of(key));
        let table = found.and_then(|(family, name)| self.tables.table(family, name));
        table.ok_or_else(|| error(place, "an object without a family or a table that are known"))
    }

    fn table(&mut self, value: &Json<'_>, place: Place) -> Result<(), ReadError> {
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
        self.builder(value, "name", place)?.set_dormant(dormant);
        Ok(())
    }

    fn chain(&mut self, value: &Json<'_>, place: Place) -> Result<(), ReadError> {
        let builder = self.builder(value, "table", place)?;
        let name = said(value, "name", place)?;
        if let Some(chain) = builder.chain(name, place) {
            chain.place = place;
        }
        if value.get("hook").is_none() {
            return Ok(());
        }
        let hook = said(value, "hook", place)?;
        let devices = value.get("dev");
        let mut devices: Option<Vec<&str>> =
            devices.and_then(|devices| devices.items().iter().map(Json::text).collect());
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
        Ok(())
    }

    fn rule(&mut self, value: &Json<'_>, place: Place) -> Result<(), ReadError> {
        let builder = self.builder(value, "table", place)?;
        let expr = value.get("expr").ok_or_else(|| error(place, "a rule without statements"))?;
        let statements = statements(expr, place);
        let handle = value.number_of("handle").unwrap_or(0);
        let rule = builder.rule(&RuleTree { statements, place, handle });
        if let Some(chain) = builder.chain(said(value, "chain", place)?, place) {
            chain.rules.push(rule);
        }
        Ok(())
    }

    fn set(&mut self, value: &Json<'_>, elements: Option<&RawValue>, place: Place) -> Result<(), ReadError> {
        let mut gathered = Gathered::new(shape(value));
        if let Some(elements) = elements {
            let mut deserializer = serde_json::Deserializer::from_str(elements.get());
            if ElementsSeed(&mut gathered).deserialize(&mut deserializer).is_err() {
                gathered.give_up("a set whose elements are not understood");
            }
        }
        let elements = gathered.finish();
        self.builder(value, "table", place)?.set(said(value, "name", place)?, elements);
        Ok(())
    }
}

/// A name that an object has to say.
fn said<'v>(value: &'v Json<'_>, key: &str, place: Place) -> Result<&'v str, ReadError> {
    value.text_of(key).ok_or_else(|| error(place, format!("an object without its `{key}`")))
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

#[cfg(test)]
mod tests {
    use super::read_json;
    use crate::netfilter::{Action, Elements, Item, Match, NamePattern, Test, Verdict};

    fn ruleset(objects: &str) -> String {
        format!("{{\"nftables\": [{{\"metainfo\": {{\"version\": \"1.0.6\"}}}}, {objects}]}}")
    }

    fn rule(expr: &str) -> Vec<Item> {
        let text = ruleset(&format!(
            "{{\"rule\": {{\"family\": \"ip\", \"table\": \"t\", \"chain\": \"c\", \"handle\": 7, \"expr\": [{expr}]}}}}"
        ));
        let reading = read_json(&text, 0).unwrap();
        reading.tables[0].chains[0].rules[0].items.to_vec()
    }

    #[test]
    fn only_what_is_no_json_of_nft_is_an_error() {
        for text in [
            "",
            "[]",
            "{}",
            "{\"nftables\": 5}",
            "{\"nftables\": []",
            "{\"other\": []}",
            "table ip t { }",
            "\0",
            // What would otherwise be left out, and let the rest decide.
            "{\"nftables\": [5]}",
            "{\"nftables\": [{}]}",
            "{\"nftables\": [{\"rule\": {\"family\": \"ip\", \"table\": \"t\", \"expr\": []}}]}",
            "{\"nftables\": [{\"rule\": {\"family\": \"ip\", \"table\": \"t\", \"chain\": \"c\"}}]}",
            "{\"nftables\": [{\"rule\": {\"family\": \"ip\", \"table\": \"t\", \"chain\": \"c\", \"expr\": [1e999]}}]}",
            "{\"nftables\": [{\"rule\": {\"family\": \"ipx\", \"table\": \"t\", \"chain\": \"c\", \"expr\": []}}]}",
            "{\"nftables\": [{\"chain\": {\"family\": \"ip\", \"table\": \"t\"}}]}",
            "{\"nftables\": [{\"metainfo\": {}, \"rule\": {}}]}",
            // What is said twice: nobody can say which one holds.
            "{\"nftables\": [], \"nftables\": []}",
            "{\"nftables\": [{\"table\": {\"family\": \"ip\", \"name\": \"a\", \"name\": \"b\"}}]}",
            "{\"nftables\": [{\"set\": {\"family\": \"ip\", \"table\": \"t\", \"name\": \"s\", \"name\": \"t\"}}]}",
            "{\"nftables\": [{\"set\": {\"family\": \"ip\", \"table\": \"t\", \"name\": \"s\", \"elem\": [], \"elem\": []}}]}",
        ] {
            let error = read_json(text, 0).unwrap_err();
            assert!(error.place.line > 0 && !error.help.is_empty(), "{text}");
        }
        let error = read_json("{\"nftables\":\n[{\"rule\": {\"family\"", 0).unwrap_err();
        assert_eq!(error.place.line, 2);
        assert!(read_json("{\"nftables\": [], \"more\": 1}", 0).unwrap().tables.is_empty());
    }

    #[test]
    fn statements_that_are_not_known_stay() {
        for (expr, unknown) in [
            ("{\"novelty\": {\"a\": 1}}", "novelty"),
            ("{\"xt\": null}", "an extension of iptables"),
            ("{\"xt\": {\"type\": \"target\", \"name\": \"TARPIT\"}}", "target `TARPIT` of iptables"),
            ("{\"queue\": {\"num\": 1}}", "queue"),
            ("{\"a\": 1, \"b\": 2}", "a statement of unknown form"),
            ("\"frob 5\"", "frob 5"),
            ("5", "a statement of unknown form"),
        ] {
            let items = rule(&format!("{expr}, {{\"accept\": null}}"));
            assert_eq!(items, [Item::Act(Action::Opaque(unknown.into())), Item::Verdict(Verdict::Accept)]);
        }
        for expr in [
            "{\"match\": {\"op\": \"~\", \"left\": {\"meta\": {\"key\": \"mark\"}}, \"right\": 1}}",
            "{\"match\": {\"op\": \"==\", \"left\": {\"novelty\": 5}, \"right\": 1}}",
            "{\"match\": {\"op\": \"==\", \"left\": {\"meta\": {\"key\": \"mark\"}}, \"right\": {\"x\": 1}}}",
            "{\"match\": {}}",
            "{\"xt\": {\"type\": \"match\", \"name\": \"conntrack\"}}",
            "{\"limit\": {\"rate\": 5}}",
        ] {
            let items = rule(expr);
            assert!(
                matches!(&items[..], [Item::Match(Match { negated: false, test: Test::Unknown(_) })]),
                "{expr}"
            );
        }
    }

    #[test]
    fn what_an_unknown_statement_names_may_change() {
        let text = ruleset(
            "{\"set\": {\"family\": \"ip\", \"table\": \"t\", \"name\": \"s\", \"type\": \"ipv4_addr\"}}, \
             {\"rule\": {\"family\": \"ip\", \"table\": \"t\", \"chain\": \"c\", \"expr\": [{\"novelty\": [{\"set\": \"@s\"}]}]}}",
        );
        assert!(read_json(&text, 0).unwrap().tables[0].sets["s"].dynamic);
    }

    #[test]
    fn a_table_sleeps_as_far_as_its_flags_tell() {
        for (flags, expected) in [
            ("", Some(false)),
            (", \"flags\": \"t\"", None),
            (", \"flags\": \"dormant\"", Some(true)),
            (", \"flags\": [\"owner\", \"dormant\"]", Some(true)),
            (", \"flags\": [\"owner\"]", Some(false)),
            (", \"flags\": [\"novelty\"]", None),
            (", \"flags\": 5", None),
        ] {
            let text = ruleset(&format!("{{\"table\": {{\"family\": \"ip\", \"name\": \"t\"{flags}}}}}"));
            assert_eq!(read_json(&text, 0).unwrap().tables[0].dormant, expected, "{flags}");
        }
    }

    #[test]
    fn devices_are_told_by_newer_versions_only() {
        for (dev, expected) in [
            ("", None),
            (", \"dev\": \"lo\"", Some(vec![NamePattern::Exact("lo".into())])),
            (
                ", \"dev\": [\"lo\", \"eth*\"]",
                Some(vec![NamePattern::Exact("lo".into()), NamePattern::Starts("eth".into())]),
            ),
        ] {
            let text = ruleset(&format!(
                "{{\"chain\": {{\"family\": \"netdev\", \"table\": \"t\", \"name\": \"c\", \"type\": \"filter\", \"hook\": \"ingress\", \"prio\": -5, \"policy\": \"drop\"{dev}}}}}"
            ));
            let reading = read_json(&text, 0).unwrap();
            let base = reading.tables[0].chains[0].base.as_ref().unwrap();
            assert_eq!((&base.devices, base.priority), (&expected, -5));
        }
    }

    #[test]
    fn elements_are_read_before_their_type_is_told_and_in_every_form() {
        let text = ruleset(
            "{\"set\": {\"elem\": [\"1.2.3.4\", {\"elem\": {\"val\": \"1.2.3.5\", \"timeout\": 5}}, {\"prefix\": {\"addr\": \"9.0.0.0\", \"len\": 8}}], \
             \"family\": \"ip\", \"table\": \"t\", \"name\": \"s\", \"type\": \"ipv4_addr\"}}, \
             {\"set\": {\"family\": \"ip\", \"table\": \"t\", \"name\": \"n\", \"type\": {\"typeof\": {\"payload\": {\"protocol\": \"tcp\", \"field\": \"dport\"}}}, \"elem\": [80, {\"range\": [443, 444]}]}}, \
             {\"set\": {\"family\": \"ip\", \"table\": \"t\", \"name\": \"u\", \"type\": \"ipv4_addr\", \"elem\": [\"1.2.3.4\", {\"x\": 1}]}}",
        );
        let reading = read_json(&text, 0).unwrap();
        let sets = &reading.tables[0].sets;
        assert_eq!(
            sets["s"].elements,
            Elements::V4(vec![(0x0102_0304, 0x0102_0305), (0x0900_0000, 0x09ff_ffff)].into())
        );
        assert_eq!(sets["n"].elements, Elements::Numbers(vec![(80, 80), (443, 444)].into()));
        assert!(matches!(sets["u"].elements, Elements::Unknown(_)));
    }

    #[test]
    fn rules_know_where_they_stand() {
        let text = "{\"nftables\": [\n{\"rule\": {\"family\": \"ip\", \"table\": \"t\", \"chain\": \"c\", \"handle\": 7, \"expr\": []}}\n]}";
        let reading = read_json(text, 2).unwrap();
        let rule = &reading.tables[0].chains[0].rules[0];
        assert_eq!((rule.place.listing, rule.place.line, rule.handle), (2, 2, 7));
        assert!(text[rule.place.start as usize..rule.place.end as usize].starts_with("{\"rule\""));
    }
}
