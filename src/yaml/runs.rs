//! Long lists of plain words, one a line, read without the parser.
//!
//! Lines `- word` of one indentation, with nothing else on them, are entries of one list wherever the first of them is one: an
//! entry ends where a line of its own indentation begins. So the parser is given a text in which each long run of them is
//! its first and its last line. Where it takes both for neighbours in a list, those between are entries as well; where it does
//! not (in a block of text, say), or finds any fault, nothing of this counts and the whole text is read.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use memchr::memchr;

use super::{Node, Quoting, Reader, Value};
use crate::diagnostic::{Diagnostics, SourceText};
use crate::prefix::list::address_bytes;

/// Fewest lines that are worth it.
const LINES_MIN: usize = 16;

/// Lines of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// Bytes before the word of each line.
    before: usize,
    /// The lines that the parser is not shown: all but the first and the last.
    hidden: Range<usize>,
    /// How many they are.
    count: usize,
    /// Where the word of the first line is, and that of the last.
    ends: [Range<usize>; 2],
}

impl Run {
    /// Where the word of its first line starts.
    pub(super) fn start(&self) -> usize {
        self.ends[0].start
    }

    /// What its hidden lines say.
    pub(super) fn items<'a>(&self, text: &'a str) -> Hidden<'a> {
        Hidden { text, before: self.before, left: self.hidden.clone(), count: self.count }
    }
}

/// The items of hidden lines, one after the other.
#[derive(Debug)]
pub(crate) struct Hidden<'a> {
    text: &'a str,
    /// Bytes before the word of each line.
    before: usize,
    /// The lines that are to come.
    left: Range<usize>,
    /// How many they are.
    count: usize,
}

impl Hidden<'_> {
    /// Where the next word starts, which ends with its line.
    pub(crate) fn start(&self) -> Option<usize> {
        (self.count > 0).then_some(self.left.start + self.before)
    }

    /// Passes a line that was read where it stands; the next one starts here.
    pub(crate) fn pass(&mut self, next: usize) {
        self.left.start = next;
        self.count -= 1;
    }
}

impl<'a> Iterator for Hidden<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        let start = self.start()?;
        let rest = self.text.as_bytes().get(start..self.left.end)?;
        let end = start + memchr(b'\n', rest)?;
        self.pass(end + 1);
        let word = Cow::Borrowed(self.text.get(start..end)?);
        Some(Node { span: start..end, value: Value::Scalar(word, Quoting::Plain) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

/// A tree in which each run is its first and its last line.
pub(super) struct Short<'a> {
    /// The tree. Its places are those in the whole text.
    pub(super) node: Node<'a>,
    /// What it leaves out, in the order of the text.
    pub(super) runs: Vec<Run>,
}

/// Reads a text that has long lists; `None` where it has none, or has to be read whole.
pub(super) fn parse(source: &Arc<SourceText>) -> Option<Short<'_>> {
    let runs = find(&source.text);
    let hidden: usize = runs.iter().map(|run| run.hidden.len()).sum();
    if runs.is_empty() {
        return None;
    }
    let mut shown = String::with_capacity(source.text.len().saturating_sub(hidden));
    let mut at = 0;
    for run in &runs {
        shown.push_str(source.text.get(at..run.hidden.start)?);
        at = run.hidden.end;
    }
    shown.push_str(source.text.get(at..)?);
    let shown = SourceText::new("", shown);
    let mut sink = Diagnostics::new();
    let nodes = runs.iter().map(|run| run.count).sum();
    let node =
        Reader { source: &shown, sink: &mut sink, open: Vec::new(), root: None, nodes, documents: 0 }.read();
    if !sink.is_empty() {
        return None;
    }
    let mut placed = Placed { runs: &runs, passed: 0, bytes: 0 };
    let node = placed.node(node?.into_owned())?;
    let is_whole = placed.passed == runs.len();
    is_whole.then_some(Short { node, runs })
}

/// The long runs, in their order.
fn find(text: &str) -> Vec<Run> {
    let bytes = text.as_bytes();
    let mut runs = Vec::new();
    let mut start = 0;
    while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
        let Some((dash, length)) = entry(rest) else {
            start = memchr(b'\n', rest).map_or(bytes.len(), |end| start + end + 1);
            continue;
        };
        let before = dash.len();
        let first = start + before..start + before + length;
        let (mut last, mut count) = (first.clone(), 1);
        while let Some(next) = bytes.get(last.end + 1..).and_then(|next| next.strip_prefix(dash))
            && let Some(length) = word_length(next)
        {
            let start = last.end + 1 + before;
            last = start..start + length;
            count += 1;
        }
        start = last.end + 1;
        if count >= LINES_MIN {
            let hidden = first.end + 1..last.start - before;
            runs.push(Run { before, hidden, count: count - 2, ends: [first, last] });
        }
    }
    runs
}

/// What is before the word of a line that is nothing but an entry, and the length of the word.
fn entry(line: &[u8]) -> Option<(&[u8], usize)> {
    let spaces = line.iter().take_while(|byte| **byte == b' ').count();
    let (dash, word) = line.split_at_checked(spaces + 2)?;
    Some((dash, word_length(word)?)).filter(|_| dash.ends_with(b"- "))
}

/// The bytes of a word that ends with its line and can mean nothing else: an address and the like.
fn word_length(bytes: &[u8]) -> Option<usize> {
    bytes.first().filter(|byte| byte.is_ascii_alphanumeric())?;
    let mut length = 0;
    // Mostly digits and dots.
    while let Some(some) = bytes.get(length..).and_then(<[u8]>::first_chunk) {
        let count = address_bytes(*some);
        length += count;
        if count < 8 {
            break;
        }
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b':');
    length += bytes.get(length..)?.iter().take_while(|byte| plain(byte)).count();
    let ends = (bytes.get(length - 1)?, bytes.get(length)?);
    matches!(ends, (last, b'\n') if *last != b':').then_some(length)
}

/// Nodes of the shortened text, moved to their places in the whole one.
struct Placed<'r> {
    runs: &'r [Run],
    /// How many runs have been passed.
    passed: usize,
    /// The bytes that these hide.
    bytes: usize,
}

impl Placed<'_> {
    fn node(&mut self, node: Node<'static>) -> Option<Node<'static>> {
        // Runs come in the order of the text, in which nodes come as well; a collection ends after all that is in it.
        let start = node.span.start + self.bytes;
        let value = match node.value {
            Value::Scalar(text, quoting) => Value::Scalar(text, quoting),
            Value::Sequence(items) => Value::Sequence(self.items(items)?),
            Value::Mapping(entries, layout) => {
                let mut all = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    all.push((self.node(key)?, self.node(value)?));
                }
                Value::Mapping(all, layout)
            }
        };
        Some(Node { span: start..node.span.end + self.bytes, value })
    }

    /// The first line of a run has to be an item, and the last one the next.
    fn items(&mut self, items: Vec<Node<'static>>) -> Option<Vec<Node<'static>>> {
        let mut all = Vec::with_capacity(items.len());
        let mut items = items.into_iter();
        while let Some(item) = items.next() {
            let first = self.node(item)?;
            let run = self.runs.get(self.passed).filter(|run| is_word(&first, &run.ends[0]));
            all.push(first);
            let Some(run) = run else { continue };
            self.passed += 1;
            self.bytes += run.hidden.len();
            let last = self.node(items.next()?)?;
            if !is_word(&last, &run.ends[1]) {
                return None;
            }
            all.push(last);
        }
        Some(all)
    }
}

/// Whether a node is the word at a place.
fn is_word(node: &Node<'_>, span: &Range<usize>) -> bool {
    node.span == *span && matches!(node.value, Value::Scalar(_, Quoting::Plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::decode::{At, Decode, Decoder, Named};
    use super::super::{Layout, read};
    use super::*;

    /// What a tree says, with the places of all of it, in values that keep no nodes.
    #[derive(Debug)]
    #[allow(dead_code, reason = "what is compared is its debug text")]
    enum Tree {
        Word(At<String>, Quoting),
        List(Vec<Tree>, Range<usize>),
        Map(Named<Tree>, Layout, Range<usize>),
    }

    impl Decode for Tree {
        fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
            let place = node.span.clone();
            Some(match &node.value {
                Value::Scalar(_, quoting) => Tree::Word(At::decode(node, decoder)?, *quoting),
                Value::Sequence(_) => Tree::List(Vec::decode(node, decoder)?, place),
                Value::Mapping(_, layout) => Tree::Map(Named::decode(node, decoder)?, *layout, place),
            })
        }
    }

    /// Whether lists were read without the parser; what is said of the text is the same.
    fn check(text: &str) -> bool {
        let source = SourceText::new("x.yaml", text.to_owned());
        let mut sink = Diagnostics::new();
        let node = super::super::parse(&source, &mut sink);
        let is_quick = parse(&source).is_some();
        assert!(!is_quick || node.is_some() && sink.is_empty(), "{text}");
        let wanted = node.and_then(|node| Tree::decode(&node, &mut Decoder::new(&source, &mut sink)));
        let mut told = Diagnostics::new();
        let found: Option<Tree> = read(&source, &mut told);
        assert_eq!(format!("{found:?} {told:?}"), format!("{wanted:?} {sink:?}"), "{text}");
        is_quick
    }

    fn items(indent: &str, count: usize) -> String {
        (0..count).map(|n| format!("{indent}- 10.0.{}.{}\n", n / 256, n % 256)).collect()
    }

    #[test]
    fn long_lists_are_read_without_the_parser() {
        let (four, six) = (items("    ", 40), items("      ", 300));
        for text in [
            items("", 16),
            format!("a:\n{four}b: 1\n"),
            format!("a:\n{}b:\n{six}c: {{ d: [1, 'x'] }} # more\n", items("", 20)),
            format!("- a: 1\n  b:\n{four}\n# none\n\n- c:\n{four}"),
            format!("a:\n    - 'first'\n{four}    - {{ b: c }}\n{four}    - last # said\n"),
            format!("a: é\nb:\n{four}c: |\n  text\n    - 1\n"),
        ] {
            assert!(check(&text), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_list_is_left_to_the_parser() {
        let four = items("    ", 40);
        for text in [
            items("", 15),
            format!("a: |\n{four}b: 1\n"),
            format!("a: >\n{four}"),
            format!("a: \"\n{four}\"\n"),
            format!("a: words\n{four}"),
            format!("- words\n{four}"),
            format!("a: [\n{four}]\n"),
            format!("a:\n{four}\tb\n"),
            format!("a:\n{four}- b\n"),
            format!("a:\n{four}      - 10.0.0.1\n"),
            format!("a:\n{four}      more words\nb: c\n"),
            format!("a: &x\n{four}b: *x\n"),
            format!("a: |\n{four}b:\n{four}"),
            format!("a:\n{four}---\nb\n"),
        ] {
            assert!(!check(&text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn both_say_the_same(parts in prop::collection::vec(
            (0_usize..8, prop::sample::select(vec![0_usize, 1, 2, 15, 16, 17, 20])), 1..8,
        )) {
            let mut text = String::new();
            for (number, (kind, count)) in parts.into_iter().enumerate() {
                match kind {
                    0 => text.push_str(&format!("k{number}:\n")),
                    1 => text.push_str(&format!("  - a{number}: b\n    c:\n")),
                    2 => text.push_str(&format!("k{number}: |\n")),
                    3 => text.push_str("    'x': \"y\"\n"),
                    4 => text.push_str("# é\n\n"),
                    5 => text.push_str(&items("  ", count)),
                    6 => text.push_str(&items("      ", count)),
                    _ => text.push_str(&items("", count)),
                }
            }
            check(&text);
        }
    }
}
