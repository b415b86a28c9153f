//! The canonical form of a policy file: keys in the order of the format, prefixes ascending and in their
//! shortest notation, no trailing white space. Comments stay where they belong, and so does everything that
//! this module does not know how to move. The result is read again and compared before it is given out.

use std::sync::Arc;

use super::raw::{RawEvidence, RawLifecycle, RawPage, RawPolicy, RawSource, RawWaiver};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, SourceText};
use crate::prefix::Prefix;
use crate::yaml::{Layout, Node, Value, parse};

/// Why a file was not formatted.
#[derive(Debug)]
pub enum FormatError {
    /// It is not YAML, or formatting would have changed what it says.
    Faults(Diagnostics),
}

/// The canonical form of a policy file's text.
pub fn format(text: &Arc<SourceText>) -> Result<String, FormatError> {
    let unix = SourceText::new(text.name.clone(), text.text.replace("\r\n", "\n"));
    let mut found = Diagnostics::new();
    let Some(node) = parse(&unix, &mut found).filter(|_| !found.has_errors()) else {
        return Err(FormatError::Faults(found));
    };
    let writer = Writer { text: &unix.text };
    let (head, tail) = (unix.text.get(..node.span.start), unix.text.get(writer.end_of(&node)..));
    let ordered = [head.unwrap_or(""), &writer.node(&node, Place::Policy), tail.unwrap_or("")].concat();
    let formatted = tidy(&SourceText::new(text.name.clone(), ordered));
    let result = SourceText::new(text.name.clone(), formatted.clone());
    let again = parse(&result, &mut found);
    if again.is_some_and(|again| same(&node, &again)) {
        return Ok(formatted);
    }
    let refused = Diagnostic::new(
        Code::InvalidValue,
        format!("`{}` can't be formatted without changing what it says", text.name),
    );
    found.push(refused.help("format it by hand, and tell us what it looks like"));
    Err(FormatError::Faults(found))
}

/// Which mapping of a policy is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Policy,
    Pages,
    Page,
    Sources,
    Source,
    Lifecycle,
    EvidenceList,
    Evidence,
    Waivers,
    Waiver,
    Prefixes,
    Other,
}

impl Place {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Place::Policy => RawPolicy::KEYS,
            Place::Page => RawPage::KEYS,
            Place::Source => RawSource::KEYS,
            Place::Lifecycle => RawLifecycle::KEYS,
            Place::Evidence => RawEvidence::KEYS,
            Place::Waiver => RawWaiver::KEYS,
            Place::Pages
            | Place::Sources
            | Place::EvidenceList
            | Place::Waivers
            | Place::Prefixes
            | Place::Other => &[],
        }
    }

    fn below(self, key: &str) -> Place {
        match (self, key) {
            (Place::Policy, "pages") => Place::Pages,
            (Place::Policy, "sources") => Place::Sources,
            (Place::Policy, "waivers") => Place::Waivers,
            (Place::Pages, _) => Place::Page,
            (Place::Source, "lifecycle") => Place::Lifecycle,
            (Place::Source, "evidence") => Place::EvidenceList,
            (Place::Source, "prefixes") => Place::Prefixes,
            _ => Place::Other,
        }
    }

    fn item(self) -> Place {
        match self {
            Place::Sources => Place::Source,
            Place::EvidenceList => Place::Evidence,
            Place::Waivers => Place::Waiver,
            Place::Policy
            | Place::Pages
            | Place::Page
            | Place::Source
            | Place::Lifecycle
            | Place::Evidence
            | Place::Waiver
            | Place::Prefixes
            | Place::Other => Place::Other,
        }
    }
}

struct Writer<'a> {
    text: &'a str,
}

impl Writer<'_> {
    fn slice(&self, from: usize, to: usize) -> &str {
        self.text.get(from..to).unwrap_or("")
    }

    fn line_start(&self, at: usize) -> usize {
        self.slice(0, at).rfind('\n').map_or(0, |found| found + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        self.slice(at, self.text.len()).find('\n').map_or(self.text.len(), |found| at + found)
    }

    /// The end of a node with the comment on its last line; inside braces that is not the node's.
    fn end_of(&self, node: &Node<'_>) -> usize {
        match &node.value {
            Value::Mapping(_, Layout::Block) => self.line_end(node.span.end),
            Value::Sequence(items) if !self.slice(node.span.start, node.span.end).starts_with('[') => {
                self.line_end(items.last().map_or(node.span.end, |item| item.span.end))
            }
            Value::Mapping(_, Layout::Flow) | Value::Sequence(_) | Value::Scalar(..) => node.span.end,
        }
    }

    fn node(&self, node: &Node<'_>, place: Place) -> String {
        let end = self.end_of(node);
        match &node.value {
            Value::Scalar(..) => self.slice(node.span.start, end).to_owned(),
            Value::Sequence(items) if place == Place::Prefixes => self.prefixes(node, items, end),
            Value::Sequence(items) => {
                let children: Vec<(&Node<'_>, Place)> =
                    items.iter().map(|item| (item, place.item())).collect();
                self.with_children(node.span.start, end, &children)
            }
            Value::Mapping(entries, layout) => {
                let ordered = (*layout == Layout::Block).then(|| self.ordered(entries, place)).flatten();
                ordered.unwrap_or_else(|| {
                    let children: Vec<(&Node<'_>, Place)> =
                        entries.iter().map(|(key, value)| (value, place.below(key_text(key)))).collect();
                    self.with_children(node.span.start, end, &children)
                })
            }
        }
    }

    /// A stretch of text with the children in it written anew.
    fn with_children(&self, start: usize, end: usize, children: &[(&Node<'_>, Place)]) -> String {
        let mut text = String::new();
        let mut at = start;
        for (child, place) in children {
            text.push_str(self.slice(at, child.span.start));
            text.push_str(&self.node(child, *place));
            at = self.end_of(child).max(at);
        }
        text + self.slice(at, end)
    }

    /// The entries of a block in canonical order; `None` where they are in it, or can't be moved safely.
    fn ordered(&self, entries: &[(Node<'_>, Node<'_>)], place: Place) -> Option<String> {
        let rank =
            |entry: &(Node<'_>, Node<'_>)| place.keys().iter().position(|key| *key == key_text(&entry.0));
        let ranks: Vec<usize> = entries.iter().map(rank).collect::<Option<_>>()?;
        if ranks.is_sorted() {
            return None;
        }
        let mut blocks = Vec::with_capacity(entries.len());
        let mut after = None;
        for ((key, value), rank) in entries.iter().zip(ranks) {
            let start = self.line_start(key.span.start);
            let lead = after.map_or("", |after| self.slice(after, start));
            let end = self.line_end(self.end_of(value));
            let below = place.below(key_text(key));
            let core = self.with_children(key.span.start, end, &[(value, below)]);
            blocks.push((rank, lead, key.span.start - start, core));
            after = Some((end + 1).min(self.text.len()));
        }
        let indent = blocks.first().map(|(_, _, column, _)| " ".repeat(*column))?;
        blocks.sort_by_key(|(rank, ..)| *rank);
        // The first block follows what stands before the mapping, often a dash: a comment can't move there.
        let (_, lead, _, first) = blocks.first()?;
        if !lead.trim().is_empty() {
            return None;
        }
        let rest = blocks.iter().skip(1).map(|(_, lead, _, core)| format!("\n{lead}{indent}{core}"));
        Some(first.clone() + &rest.collect::<String>())
    }

    /// A list of prefixes, each in its short notation, ascending where no comment stands between them.
    fn prefixes(&self, node: &Node<'_>, items: &[Node<'_>], end: usize) -> String {
        let read = |item: &Node<'_>| match &item.value {
            Value::Scalar(text, _) => text.parse::<Prefix>().ok(),
            Value::Sequence(_) | Value::Mapping(..) => None,
        };
        let Some(mut all) = items.iter().map(read).collect::<Option<Vec<Prefix>>>() else {
            return self.slice(node.span.start, end).to_owned();
        };
        if !self.slice(node.span.start, end).contains('#') {
            all.sort_unstable();
        }
        let mut text = String::new();
        let mut at = node.span.start;
        for (item, prefix) in items.iter().zip(all) {
            text.push_str(self.slice(at, item.span.start));
            // A plain `::1` or `a::` would read as a mapping inside braces: IPv6 is quoted there.
            let shown = prefix.short().to_string();
            let written = self.slice(item.span.start, item.span.end);
            let quoted = written.starts_with(['"', '\'']) && shown.contains(':');
            text.push_str(&if quoted { format!("\"{shown}\"") } else { shown });
            at = item.span.end;
        }
        text + self.slice(at, end)
    }
}

fn key_text<'n>(key: &'n Node<'_>) -> &'n str {
    match &key.value {
        Value::Scalar(text, _) => text,
        Value::Sequence(_) | Value::Mapping(..) => "",
    }
}

/// Drops trailing white space and repeated empty lines outside texts of several lines.
fn tidy(text: &Arc<SourceText>) -> String {
    let mut found = Diagnostics::new();
    let mut kept = Vec::new();
    if let Some(node) = parse(text, &mut found) {
        long_scalars(&node, &text.text, &mut kept);
    }
    let mut tidied = String::with_capacity(text.text.len());
    let (mut at, mut empty_before) = (0, true);
    for line in text.text.split_inclusive('\n') {
        let inside = kept.iter().any(|(from, to)| *from < at + line.len() && at < *to);
        let body = line.trim_end();
        at += line.len();
        if inside {
            tidied.push_str(line);
            empty_before = false;
        } else if !(body.is_empty() && empty_before) {
            tidied.push_str(body);
            tidied.push('\n');
            empty_before = body.is_empty();
        }
    }
    let body = tidied.trim_end_matches('\n').len();
    tidied.truncate(body);
    tidied + "\n"
}

fn long_scalars(node: &Node<'_>, text: &str, kept: &mut Vec<(usize, usize)>) {
    match &node.value {
        Value::Scalar(..) => {
            if text.get(node.span.clone()).is_some_and(|scalar| scalar.contains('\n')) {
                kept.push((node.span.start, node.span.end));
            }
        }
        Value::Sequence(items) => items.iter().for_each(|item| long_scalars(item, text, kept)),
        Value::Mapping(entries, _) => entries.iter().for_each(|(_, value)| long_scalars(value, text, kept)),
    }
}

/// Whether two trees say the same: key order does not matter, nor the order and notation of prefixes.
pub(crate) fn same(left: &Node<'_>, right: &Node<'_>) -> bool {
    match (&left.value, &right.value) {
        (Value::Scalar(a, _), Value::Scalar(b, _)) => {
            a == b || matches!((a.parse::<Prefix>(), b.parse::<Prefix>()), (Ok(a), Ok(b)) if a == b)
        }
        (Value::Sequence(a), Value::Sequence(b)) => {
            a.len() == b.len() && (a.iter().zip(b).all(|(a, b)| same(a, b)) || same_prefixes(a, b))
        }
        (Value::Mapping(a, _), Value::Mapping(b, _)) => {
            let twin = |key: &Node<'_>| {
                b.iter().find(|(other, _)| key_text(other) == key_text(key)).map(|(_, value)| value)
            };
            a.len() == b.len()
                && a.iter().all(|(key, value)| twin(key).is_some_and(|other| same(value, other)))
        }
        (Value::Scalar(..) | Value::Sequence(_) | Value::Mapping(..), _) => false,
    }
}

fn same_prefixes(left: &[Node<'_>], right: &[Node<'_>]) -> bool {
    let read = |items: &[Node<'_>]| -> Option<Vec<Prefix>> {
        let mut all: Vec<Prefix> =
            items.iter().map(|item| key_text(item).parse().ok()).collect::<Option<_>>()?;
        all.sort_unstable();
        Some(all)
    };
    read(left).is_some_and(|left| Some(left) == read(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: &str) {
        let formatted = format(&SourceText::new("x", text.to_owned())).unwrap();
        assert_eq!(formatted, wanted);
        assert_eq!(
            format(&SourceText::new("x", formatted.clone())).unwrap(),
            formatted,
            "formatting again changes nothing"
        );
    }

    #[test]
    fn keys_take_their_order_and_comments_go_with_them() {
        check(
            "# head\nprovider: x # the id\n# the format\nschema: 1\nname: X  \n\n\n\nrevision: 1\n",
            "# head\nprovider: x # the id\n# the format\nschema: 1\nname: X\n\nrevision: 1\n",
        );
        check(
            "provider: x # the id\nschema: 1\n# why two\nrevision: 2\nname: X\r\n",
            "schema: 1\nprovider: x # the id\nname: X\n# why two\nrevision: 2\n",
        );
    }

    #[test]
    fn sources_are_ordered_inside_and_not_among_each_other() {
        check(
            "sources:\n  - prefixes: [9.9.9.9/32, 8.8.8.8]\n    id: b # two\n    lifecycle:\n      valid_from: 2025-01-01\n      announced: 2024-01-01 # early\n  - id: a\n    prefixes:\n      - 2001:0DB8::1\n      # first\n      - 1.1.1.1\n",
            "sources:\n  - id: b # two\n    prefixes: [8.8.8.8, 9.9.9.9]\n    lifecycle:\n      announced: 2024-01-01 # early\n      valid_from: 2025-01-01\n  - id: a\n    prefixes:\n      - 2001:db8::1\n      # first\n      - 1.1.1.1\n",
        );
    }

    #[test]
    fn long_texts_keep_their_white_space() {
        check(
            "notes:\n  - |\n    a  \n\n\n    b\nschema: 1\n",
            "schema: 1\nnotes:\n  - |\n    a  \n\n\n    b\n",
        );
    }
}
