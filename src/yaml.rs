//! YAML text as a tree of nodes that know their place.
//!
//! Scalars stay text: nothing is guessed to be a number, a date or a boolean, so `010` and `no` mean what
//! they say. Anchors, aliases, merge keys and tags are refused rather than followed, which leaves no way to
//! write a small file that grows. [`decode`] turns nodes into records.

pub mod decode;
mod runs;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StructureStyle};

pub(crate) use self::runs::Hidden;

use self::decode::{Decode, Decoder};
use self::runs::Short;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, SourceText};

/// More nodes than any policy that is written by hand; long lists belong into a file of their own.
const NODES_MAX: usize = 2_000_000;
/// Levels of nesting; the deepest place of a policy is at eight.
const DEPTH_MAX: usize = 24;

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    /// Bytes in the source text, for a collection those of its whole content.
    pub span: Range<usize>,
    /// The value.
    pub value: Value<'a>,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// Text, and whether it was written without quotes.
    Scalar(Cow<'a, str>, Quoting),
    /// A list.
    Sequence(Vec<Node<'a>>),
    /// Keys and values in the order of the text.
    Mapping(Vec<(Node<'a>, Node<'a>)>, Layout),
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// Without quotes.
    Plain,
    /// In quotes or as a block.
    Quoted,
}

/// How a mapping was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A key a line.
    Block,
    /// In braces.
    Flow,
}

impl Node<'_> {
    /// Whether nothing was written: `key:` alone, or `null` or `~` without quotes.
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(text, Quoting::Plain) => matches!(text.as_ref(), "" | "~" | "null"),
            Value::Scalar(_, Quoting::Quoted) | Value::Sequence(_) | Value::Mapping(..) => false,
        }
    }

    /// The same node with a text of its own.
    pub fn into_owned(self) -> Node<'static> {
        let value = match self.value {
            Value::Scalar(text, quoting) => Value::Scalar(Cow::Owned(text.into_owned()), quoting),
            Value::Sequence(items) => Value::Sequence(items.into_iter().map(Node::into_owned).collect()),
            Value::Mapping(entries, layout) => {
                let owned = entries.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned()));
                Value::Mapping(owned.collect(), layout)
            }
        };
        Node { span: self.span, value }
    }

    /// What it is, for messages.
    pub fn describe(&self) -> &'static str {
        match &self.value {
            Value::Scalar(..) if self.is_null() => "nothing",
            Value::Scalar(..) => "text",
            Value::Sequence(_) => "a list",
            Value::Mapping(..) => "a mapping",
        }
    }
}

/// Reads one document; all faults go to `sink`, and the tree is `None` only where nothing can be made of it.
pub fn parse<'a>(source: &'a Arc<SourceText>, sink: &mut Diagnostics) -> Option<Node<'a>> {
    Reader { source, sink, open: Vec::new(), root: None, nodes: 0, documents: 0 }.read()
}

/// Reads one document as a value that keeps no nodes: of long lists none are made but one at a time. All faults go to `sink`.
pub fn read<T: Decode>(source: &Arc<SourceText>, sink: &mut Diagnostics) -> Option<T> {
    let Short { node, runs } = match runs::parse(source) {
        Some(short) => short,
        None => Short { node: parse(source, sink)?, runs: Vec::new() },
    };
    T::decode(&node, &mut Decoder { source, sink, runs })
}

/// A collection whose end has not been seen.
enum Open<'a> {
    Sequence(usize, Layout, Vec<Node<'a>>),
    Mapping(usize, Layout, Vec<(Node<'a>, Node<'a>)>, Option<Node<'a>>),
}

/// Whether the parser itself complains of a tab.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tab {
    Named,
    Unnamed,
}

struct Reader<'a, 's> {
    source: &'a Arc<SourceText>,
    sink: &'s mut Diagnostics,
    open: Vec<Open<'a>>,
    root: Option<Node<'a>>,
    nodes: usize,
    documents: usize,
}

impl<'a> Reader<'a, '_> {
    fn read(mut self) -> Option<Node<'a>> {
        let mut options = Options::default();
        options.block_nesting_limit = DEPTH_MAX;
        options.flow_nesting_limit = DEPTH_MAX;
        options.strict_indentation = true;
        options.emit_unresolved_aliases = true;
        for event in Parser::new_from_str_with_options(&self.source.text, options) {
            match event {
                Ok((event, span)) => self.take(event, &span).then_some(())?,
                Err(error) => {
                    self.syntax_error(error.marker().byte_offset().unwrap_or(0), &error.info());
                    return None;
                }
            }
        }
        if self.root.is_none() && !self.sink.has_errors() {
            let empty = Diagnostic::new(Code::YamlDocuments, "the file holds no YAML document");
            self.sink
                .push(empty.at(self.source, 0..0, "").help("write what belongs there, or remove the file"));
        }
        self.root
    }

    fn syntax_error(&mut self, at: usize, info: &str) {
        let text = &self.source.text;
        let tab = info.contains("tab").then(|| text.get(at..).and_then(|rest| rest.find('\t'))).flatten();
        // The parser names the start of what it was reading; the tab itself is what has to go.
        let at = at + tab.unwrap_or(0);
        let end = text.get(at..).and_then(|rest| rest.chars().next()).map_or(at, |c| at + c.len_utf8());
        let found = if info.contains("limit") {
            let deep = Diagnostic::new(Code::YamlTooLarge, format!("nested deeper than {DEPTH_MAX} levels"));
            deep.help("no place of a policy or site is as deep: look for stray brackets, braces or dashes")
        } else {
            let broken =
                Diagnostic::new(Code::YamlSyntax, format!("not YAML: {}", info.trim_end_matches('.')));
            broken.help(self.syntax_help(at, if tab.is_some() { Tab::Named } else { Tab::Unnamed }))
        };
        self.sink.push(found.at(self.source, at..end, ""));
    }

    fn syntax_help(&self, at: usize, tab: Tab) -> &'static str {
        let text = &self.source.text;
        if text.lines().any(|line| line.starts_with("<<<<<<< ")) {
            return "resolve the merge conflict that is still marked in this file";
        }
        let on_line =
            text.get(..at).and_then(|before| before.lines().last()).is_some_and(|line| line.contains('\t'));
        if tab == Tab::Named || on_line {
            return "indent with spaces: YAML allows no tabs there";
        }
        "correct the YAML at this place; values with `: ` or ` #` in them need quotes"
    }

    /// Takes one event; `false` ends the reading.
    fn take(&mut self, event: Event<'a>, span: &Span) -> bool {
        let range = span.byte_range().unwrap_or(0..0);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let second = Diagnostic::new(Code::YamlDocuments, "a second YAML document in one file");
                    self.sink
                        .push(second.at(self.source, range, "starts here").help("keep one document a file"));
                    return false;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                if anchor != 0 || tag.is_some() {
                    self.refuse_indirection(&range);
                }
                let quoting = if style == ScalarStyle::Plain { Quoting::Plain } else { Quoting::Quoted };
                // A block's span runs on to the next thing; what was written ends with its last word.
                let written = self.source.text.get(range.clone()).unwrap_or("").trim_end().len();
                let range = range.start..range.start + written;
                return self.add(Node { span: range, value: Value::Scalar(text, quoting) });
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.refuse_indirection(&range);
                // As text, so that what is refused already is not called empty or missing too.
                let text = self.source.text.get(range.clone()).unwrap_or("");
                return self
                    .add(Node { span: range, value: Value::Scalar(Cow::Borrowed(text), Quoting::Quoted) });
            }
            Event::SequenceStart(style, anchor, tag) => {
                if anchor != 0 || tag.is_some() {
                    self.refuse_indirection(&range);
                }
                self.open.push(Open::Sequence(range.start, layout(style), Vec::new()));
            }
            Event::MappingStart(style, anchor, tag) => {
                if anchor != 0 || tag.is_some() {
                    self.refuse_indirection(&range);
                }
                self.open.push(Open::Mapping(range.start, layout(style), Vec::new(), None));
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(range.end),
            _ => {}
        }
        true
    }

    fn refuse_indirection(&mut self, range: &Range<usize>) {
        let fault = Diagnostic::new(Code::YamlIndirection, "anchors, aliases and tags are not allowed here");
        let help = "write the value out: a reviewer has to see what each place says";
        self.sink.push(fault.at(self.source, range.clone(), "").help(help));
    }

    fn close(&mut self, end: usize) -> bool {
        // The parser balances starts and ends; a lone end would only be its own fault.
        let Some(open) = self.open.pop() else { return false };
        let node = match open {
            Open::Sequence(start, layout, items) => {
                let end = collection_end(layout, items.last(), start, end);
                Node { span: start..end, value: Value::Sequence(items) }
            }
            Open::Mapping(start, layout, entries, _) => {
                let end = collection_end(layout, entries.last().map(|(_, value)| value), start, end);
                Node { span: start..end, value: Value::Mapping(entries, layout) }
            }
        };
        self.add(node)
    }

    fn add(&mut self, node: Node<'a>) -> bool {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let large =
                Diagnostic::new(Code::YamlTooLarge, format!("more than {NODES_MAX} values in one file"));
            let help = "move long lists to a file of their own and name it with `prefixes_from`";
            self.sink.push(large.at(self.source, node.span, "").help(help));
            return false;
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::Sequence(_, _, items)) => items.push(node),
            Some(Open::Mapping(_, _, entries, key)) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
        }
        true
    }
}

fn layout(style: StructureStyle) -> Layout {
    match style {
        StructureStyle::Flow => Layout::Flow,
        StructureStyle::Block => Layout::Block,
    }
}

/// A block ends with its last value; where the parser notices its end is already the next thing.
fn collection_end(layout: Layout, last: Option<&Node<'_>>, start: usize, end: usize) -> usize {
    match (layout, last) {
        (Layout::Block, Some(last)) => last.span.end.max(start),
        (Layout::Block, None) | (Layout::Flow, _) => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> (Option<Node<'static>>, Vec<Code>) {
        let source = SourceText::new("x.yaml", text.to_owned());
        let mut sink = Diagnostics::new();
        let node = parse(&source, &mut sink).map(Node::into_owned);
        (node, sink.iter().map(|diagnostic| diagnostic.code).collect())
    }

    #[test]
    fn scalars_stay_text() {
        let (node, codes) = check("a: 010\nb: [no, 2025-09-15]\n");
        assert!(codes.is_empty());
        let shown = format!("{node:?}");
        assert!(shown.contains("\"010\"") && shown.contains("\"no\"") && shown.contains("2025-09-15"));
    }

    #[test]
    fn indirection_is_refused() {
        assert_eq!(check("a: &x 1\nb: *x\n").1, [Code::YamlIndirection, Code::YamlIndirection]);
        assert_eq!(check("a: !!binary eA==\n").1, [Code::YamlIndirection]);
        assert_eq!(check("b: *nobody\n").1, [Code::YamlIndirection]);
    }

    #[test]
    fn broken_and_huge_texts_end_soon() {
        assert_eq!(check("").1, [Code::YamlDocuments]);
        assert_eq!(check("a: 1\n---\nb: 2\n").1, [Code::YamlDocuments]);
        assert_eq!(check("a: [1\nb: 2\n").1, [Code::YamlSyntax]);
        assert_eq!(check("a:\n\t- 1\n").1, [Code::YamlSyntax]);
        assert_eq!(check(&"[".repeat(200_000)).1, [Code::YamlTooLarge]);
        assert_eq!(check(&"- ".repeat(200_000)).1, [Code::YamlTooLarge]);
        assert_eq!(check(&"{a: ".repeat(200_000)).1, [Code::YamlTooLarge]);
    }

    #[test]
    fn spans_cover_what_was_written() {
        let source = SourceText::new("x", "a:\n  - one\n  - { b: two }\n\n# end\n".to_owned());
        let mut sink = Diagnostics::new();
        let node = parse(&source, &mut sink).unwrap();
        let Value::Mapping(entries, Layout::Block) = &node.value else { panic!() };
        assert_eq!(&source.text[entries[0].1.span.clone()], "- one\n  - { b: two }");
    }
}
