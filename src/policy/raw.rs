//! The policy file as written: shapes and places, nothing checked yet.
//!
//! These types are the format; their documentation becomes the JSON Schema. See `docs/policy-format.md`.

use std::ops::Range;

use schemars::JsonSchema;

use super::{Environment, Hosting, PageKind, Precision, Protocol, Role};
use crate::prefix::list::plain_line;
use crate::prefix::{Prefix, PrefixError};
use crate::yaml::decode::{At, Decode, Decoder, Fields, Named, record};
use crate::yaml::{Hidden, Node, Value};

record! {
    /// One payment provider's published sources, with lifecycle and evidence.
    pub struct RawPolicy {
        /// The number of this format: 1.
        #[schemars(required)]
        schema: required At<u32>,
        /// The provider's id in lower-case kebab-case; the file is named after it.
        #[schemars(required)]
        provider: required At<String>,
        /// The provider's name as people write it.
        #[schemars(required)]
        name: required At<String>,
        /// Grows by one with every change of meaning.
        #[schemars(required, extend("minimum" = 1))]
        revision: required At<u32>,
        /// The zone in which a date is a whole day, such as Europe/Stockholm; UTC where it is left out.
        zone: optional At<String>,
        /// What the callbacks arrive at.
        #[schemars(required)]
        service: required RawService,
        /// The widest prefixes that a source may hold.
        widest: optional RawWidest,
        /// What else is known, and what is not.
        #[schemars(default)]
        notes: list String,
        /// The provider's pages, by a name used in evidence.
        #[schemars(required)]
        pages: required Named<RawPage>,
        /// The published entries.
        #[schemars(required)]
        sources: required Vec<RawSource>,
        /// Findings that are accepted, each for a reason and for a time.
        #[schemars(default)]
        waivers: list RawWaiver,
    }
}

record! {
    /// What the callbacks arrive at.
    pub struct RawService {
        /// The transport protocol.
        #[schemars(required)]
        protocol: required Protocol,
        /// The ports that the provider calls.
        #[schemars(required)]
        ports: required Vec<At<u16>>,
    }
}

record! {
    /// Shortest prefix lengths allowed.
    pub struct RawWidest {
        /// For IPv4, 8 to 32; 16 where it is left out.
        v4: optional At<u16>,
        /// For IPv6, 16 to 128; 32 where it is left out.
        v6: optional At<u16>,
    }
}

record! {
    /// A page on which the provider publishes.
    pub struct RawPage {
        /// Its address; https.
        #[schemars(required)]
        url: required At<String>,
        /// How it is written.
        #[schemars(required)]
        kind: required PageKind,
        /// The heading under which the addresses stand.
        section: optional String,
        /// The place of the list within JSON, as RFC 6901 writes it: `/hooks`.
        pointer: optional At<String>,
        /// What objects of JSON and rows of CSV must have to be read: `direction=egress`.
        #[schemars(default)]
        filter: list At<String>,
        /// The column of tables or CSV, or the key of JSON's objects, that holds the addresses.
        column: optional At<String>,
        /// How many callback entries the page may list.
        entries: optional RawEntries,
        /// Host names whose addresses are the list; for kind `dns`, where `url` is the page that states the names.
        #[schemars(default)]
        names: list At<String>,
        /// Whether this page decides where pages disagree.
        primary: optional bool,
        /// Whether the page is expected to list addresses now; `false` keeps it as evidence only.
        watched: optional bool,
        /// The day on which somebody last held the page against this file.
        verified: optional At<String>,
        /// Addresses that the page had before.
        #[schemars(default)]
        moved_from: list String,
        /// The public repository that holds the page's text.
        repository: optional String,
        /// The text's path in that repository.
        path: optional String,
        /// Anything else.
        note: optional String,
    }
}

record! {
    /// How many callback entries a page may list; what is outside makes it unreadable.
    pub struct RawEntries {
        /// The fewest; 1 where it is left out.
        min: optional At<u32>,
        /// The most; 20000 where it is left out.
        max: optional At<u32>,
    }
}

/// Addresses and prefixes as they are written, in the order of the text.
#[derive(Debug, Clone, Default)]
pub struct RawPrefixes {
    /// Those that can be read.
    pub read: Vec<Prefix>,
    /// First byte of each of these, and the first one past it.
    places: Vec<(u32, u32)>,
    /// Why the others can't be, and where they are.
    faults: Vec<(Range<usize>, PrefixError)>,
}

impl RawPrefixes {
    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.read.is_empty() && self.faults.is_empty()
    }

    /// Those that can be read, each with its place.
    pub fn placed(&self) -> impl Iterator<Item = (Range<usize>, &Prefix)> {
        let byte = |place: u32| usize::try_from(place).unwrap_or(usize::MAX);
        let places = self.places.iter().map(move |(start, end)| byte(*start)..byte(*end));
        places.zip(&self.read)
    }

    /// All of them, each with its place.
    pub fn each(&self) -> impl Iterator<Item = (Range<usize>, Result<&Prefix, &PrefixError>)> {
        let mut faults = self.faults.iter().peekable();
        let mut read = self.placed().peekable();
        std::iter::from_fn(move || {
            let next = read.peek().map(|(place, _)| place.start);
            match faults.next_if(|(place, _)| next.is_none_or(|next| place.start < next)) {
                Some((place, error)) => Some((place.clone(), Err(error))),
                None => read.next().map(|(place, prefix)| (place, Ok(prefix))),
            }
        })
    }

    fn take(&mut self, node: &Node<'_>, decoder: &mut Decoder<'_>) {
        let Some(text) = node.text(decoder) else { return };
        // Mostly it stands alone at the end of a line, where it can be read without a copy.
        let plain = plain_line(decoder.source.text.as_bytes(), node.span.start);
        let plain = plain.filter(|(_, next)| *next == node.span.end + 1);
        match plain.map_or_else(|| text.parse(), |(prefix, _)| Ok(prefix)) {
            Ok(prefix) => self.push(prefix, node.span.clone()),
            Err(error) => self.faults.push((node.span.clone(), error)),
        }
    }

    /// Policies have 2^24 bytes at most.
    fn push(&mut self, prefix: Prefix, place: Range<usize>) {
        let byte = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        self.read.push(prefix);
        self.places.push((byte(place.start), byte(place.end)));
    }

    fn take_hidden(&mut self, mut items: Hidden<'_>, decoder: &mut Decoder<'_>) {
        // The last line of the list is no hidden one.
        let count = items.size_hint().0 + 1;
        self.read.reserve(count);
        self.places.reserve(count);
        while let Some(start) = items.start() {
            if let Some((prefix, next)) = plain_line(decoder.source.text.as_bytes(), start) {
                self.push(prefix, start..next - 1);
                items.pass(next);
                continue;
            }
            let Some(item) = items.next() else { return };
            self.take(&item, decoder);
        }
    }
}

impl Decode for RawPrefixes {
    fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Value::Sequence(items) = &node.value else {
            decoder.wrong_type(node, "a list");
            return None;
        };
        let mut all = Self::default();
        for item in items {
            all.take(item, decoder);
            if let Some(hidden) = decoder.left_out_after(item) {
                all.take_hidden(hidden, decoder);
            }
        }
        Some(all)
    }
}

record! {
    /// One published entry.
    pub struct RawSource {
        /// Its id in lower-case kebab-case, never used again for something else.
        #[schemars(required)]
        id: required At<String>,
        /// Addresses and prefixes.
        #[schemars(with = "Vec<String>", default)]
        prefixes: optional RawPrefixes,
        /// A list of prefixes in a file beside this one, one a line, `#` starts a comment.
        prefixes_from: optional At<String>,
        /// The provider's own word for it.
        label: optional String,
        /// What it is; `callback` where it is left out.
        role: optional At<Role>,
        /// Whose address space it is; `dedicated` where it is left out.
        hosting: optional At<Hosting>,
        /// Which of the provider's environments call from it; both where it is left out.
        environments: optional RawEnvironments,
        /// When it holds.
        lifecycle: optional RawLifecycle,
        /// Where and when it was read.
        #[schemars(default)]
        evidence: list RawEvidence,
        /// The source that takes its place.
        replaced_by: optional At<String>,
        /// Anything else.
        #[schemars(default)]
        notes: list String,
    }
}

record! {
    /// When a source holds. Every instant is RFC 3339, a civil time with a zone, or a date.
    pub struct RawLifecycle {
        /// The provider made it known; admitted from here on.
        announced: optional RawInstant,
        /// Callbacks come from it.
        valid_from: optional RawInstant,
        /// The provider calls it legacy: still admitted, and reported.
        legacy_since: optional RawInstant,
        /// The merchant's duty to have acted; never ends a source.
        deadline: optional RawInstant,
        /// Callbacks no longer come from it; `unknown` where the provider published no end.
        valid_until: optional RawInstant,
        /// The pages no longer list it.
        withdrawn: optional RawInstant,
        /// The day by which somebody looks again; required where the end is unknown.
        review_by: optional RawInstant,
    }
}

record! {
    /// Lifecycle instants of one environment that differ from the source's.
    pub struct RawEnvironmentLifecycle {
        /// As in the lifecycle.
        announced: optional RawInstant,
        /// As in the lifecycle.
        valid_from: optional RawInstant,
        /// As in the lifecycle.
        legacy_since: optional RawInstant,
        /// As in the lifecycle.
        valid_until: optional RawInstant,
        /// As in the lifecycle.
        withdrawn: optional RawInstant,
    }
}

record! {
    /// An instant with what is known of it.
    pub struct RawInstantDetails {
        /// The instant.
        #[schemars(required)]
        at: required At<String>,
        /// How exactly it is known.
        precision: optional Precision,
        /// Why it is our inference, where the provider does not say it.
        inferred: optional String,
    }
}

/// An instant: its text alone, or a mapping with `at`, `precision` and `inferred`.
#[derive(Debug, Clone)]
pub struct RawInstant {
    /// The text of the instant.
    pub at: At<String>,
    /// How exactly it is known.
    pub precision: Option<Precision>,
    /// Why it is our inference.
    pub inferred: Option<String>,
}

impl Decode for RawInstant {
    fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(..) => {
                let details = RawInstantDetails::decode(node, decoder)?;
                Some(Self { at: details.at?, precision: details.precision, inferred: details.inferred })
            }
            Value::Scalar(..) | Value::Sequence(_) => {
                Some(Self { at: At::decode(node, decoder)?, precision: None, inferred: None })
            }
        }
    }
}

impl JsonSchema for RawInstant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let details = generator.subschema_for::<RawInstantDetails>();
        schemars::json_schema!({
            "description": "RFC 3339 with offset, a civil time with a zone, a date (a whole day in the policy's zone), or a mapping",
            "anyOf": [{ "type": "string", "minLength": 7 }, details]
        })
    }
}

/// Environments: a list, or a mapping from environment to what differs there.
#[derive(Debug, Clone)]
pub struct RawEnvironments(pub Vec<(Environment, Option<RawEnvironmentLifecycle>)>);

impl Decode for RawEnvironments {
    fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        if let Value::Sequence(_) = &node.value {
            let listed: Vec<Environment> = Vec::decode(node, decoder)?;
            return Some(Self(listed.into_iter().map(|environment| (environment, None)).collect()));
        }
        let Value::Mapping(..) = &node.value else {
            Vec::<Environment>::decode(node, decoder);
            return None;
        };
        let entries = Fields::of(node, decoder)?.into_entries();
        let read = entries.into_iter().filter_map(|(key, value)| {
            Some((Environment::decode(key, decoder)?, RawEnvironmentLifecycle::decode(value, decoder)))
        });
        Some(Self(read.collect()))
    }
}

impl JsonSchema for RawEnvironments {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Environments".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let environment = generator.subschema_for::<Environment>();
        let lifecycle = generator.subschema_for::<RawEnvironmentLifecycle>();
        schemars::json_schema!({
            "anyOf": [
                { "type": "array", "items": environment },
                { "type": "object", "propertyNames": environment, "additionalProperties": lifecycle }
            ]
        })
    }
}

record! {
    /// Where and when an entry was read.
    pub struct RawEvidence {
        /// The page's name under `pages`.
        #[schemars(required)]
        page: required At<String>,
        /// The heading under which it stood.
        section: optional String,
        /// The provider's own words.
        says: optional String,
        /// The day on which it was read.
        #[schemars(required)]
        read: required At<String>,
        /// The page's version, where the provider keeps versions.
        version: optional String,
        /// SHA-256 of the page as it was read: `sha256:` and 64 hexadecimal digits.
        digest: optional At<String>,
        /// Our own words.
        note: optional String,
    }
}

record! {
    /// A finding that is accepted for a time.
    pub struct RawWaiver {
        /// The finding's code.
        #[schemars(required)]
        code: required At<String>,
        /// The source it is about; all of the file where it is left out.
        source: optional At<String>,
        /// Why.
        #[schemars(required)]
        reason: required String,
        /// The last day on which it holds.
        #[schemars(required)]
        until: required At<String>,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnostic::{Diagnostics, SourceText};
    use crate::yaml;

    const WORDS: [&str; 12] = [
        "192.0.2.1",
        "10.0.0.0/8",
        "10.0.0.1/8",
        "203.0.113.255",
        "2001:db8::/32",
        "::1",
        "010.0.0.1",
        "1.2.3.4/33",
        "256.1.1.1",
        "null",
        "example.com",
        "'198.51.100.7'",
    ];

    proptest! {
        #[test]
        fn prefixes_of_a_long_list_are_those_of_its_lines(
            lines in prop::collection::vec((0_usize..60).prop_map(|word| word.saturating_sub(48)), 1..80),
            indent in 0_usize..4,
        ) {
            let line = |word: &usize| format!("{}- {}\n", " ".repeat(indent), WORDS[*word]);
            let source = SourceText::new("x.yaml", lines.iter().map(line).collect());
            let (mut told, mut told_of_nodes) = (Diagnostics::new(), Diagnostics::new());
            let found: RawPrefixes = yaml::read(&source, &mut told).unwrap();
            let node = yaml::parse(&source, &mut told_of_nodes).unwrap();
            let of_nodes = RawPrefixes::decode(&node, &mut Decoder::new(&source, &mut told_of_nodes)).unwrap();
            prop_assert_eq!(format!("{found:?} {told:?}"), format!("{of_nodes:?} {told_of_nodes:?}"));

            let words = lines.iter().map(|word| WORDS[*word]).filter(|word| *word != "null");
            let wanted: Vec<(&str, Result<Prefix, PrefixError>)> =
                words.map(|word| (word, word.trim_matches('\'').parse())).collect();
            let found: Vec<(&str, Result<Prefix, PrefixError>)> = found
                .each()
                .map(|(place, one)| (&source.text[place], one.copied().map_err(Clone::clone)))
                .collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
