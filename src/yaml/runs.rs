//! Long lists of plain words, one a line, read without the parser.
//!
//! Lines `- word` of one indentation, with nothing else on them, are entries of one list wherever the first of them is one: an
//! entry ends where a line of its own indentation begins. So the parser is given a text in which each long run of them is
//! its first and its last line. Where it takes both for neighbours in a list, those between are entries as well; where it does
//! not (in a block of text, say), or finds any fault, nothing of this counts and the whole text is read.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::{Node, Quoting, Reader, Value};
use crate::diagnostic::{Diagnostics, SourceText};
use crate::lines::lines;
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
    pub(super) count: usize,
    /// Where the word of the first line is, and that of the last.
    ends: [Range<usize>; 2],
}

impl Run {
    /// Where the word of its first line starts.
    pub(super) fn start(&self) -> usize {
        self.ends[0].start
    }

    /// The nodes of its hidden lines.
    pub(super) fn nodes<'a>(&self, text: &'a str) -> impl Iterator<Item = Node<'a>> {
        let Self { before, hidden: Range { start, .. }, .. } = *self;
        lines(text.get(self.hidden.clone()).unwrap_or_default()).map(move |line| {
            let span = start + line.start + before..start + line.end - 1;
            let word = Cow::Borrowed(text.get(span.clone()).unwrap_or_default());
            Node { span, value: Value::Scalar(word, Quoting::Plain) }
        })
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
    let mut runs = Vec::new();
    // A line that an entry can't follow costs no more than the look for its end.
    let mut open: Option<Open> = None;
    for line in lines(text) {
        let shown = text.get(line.clone()).unwrap_or_default();
        match &mut open {
            Some(run) if run.goes_on(shown, text) => run.take(line),
            _ => {
                runs.extend(open.take().and_then(Open::run));
                open = before_word(shown).map(|before| Open::new(before, line));
            }
        }
    }
    runs.extend(open.and_then(Open::run));
    runs
}

/// A run whose end has not been seen.
struct Open {
    before: usize,
    count: usize,
    first: Range<usize>,
    last: Range<usize>,
}

impl Open {
    fn new(before: usize, first: Range<usize>) -> Self {
        Self { before, count: 1, last: first.clone(), first }
    }

    /// Whether a line begins as the first one does, and has a word as well.
    fn goes_on(&self, line: &str, text: &str) -> bool {
        let dash = text.get(self.first.start..self.first.start + self.before).unwrap_or_default();
        line.strip_prefix(dash).and_then(|entry| entry.strip_suffix('\n')).is_some_and(is_alone)
    }

    fn take(&mut self, line: Range<usize>) {
        self.count += 1;
        self.last = line;
    }

    fn run(self) -> Option<Run> {
        let word = |line: &Range<usize>| line.start + self.before..line.end - 1;
        (self.count >= LINES_MIN).then(|| Run {
            before: self.before,
            hidden: self.first.end..self.last.start,
            count: self.count - 2,
            ends: [word(&self.first), word(&self.last)],
        })
    }
}

/// How many bytes there are before the word of a line that is nothing but an entry.
fn before_word(line: &str) -> Option<usize> {
    let entry = line.trim_start_matches(' ').strip_prefix("- ")?.strip_suffix('\n')?;
    is_alone(entry).then(|| line.len() - entry.len() - 1)
}

/// Whether an entry is a word that can mean nothing else: addresses and the like.
fn is_alone(entry: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b':');
    let mut rest = entry.as_bytes();
    let is_word = rest.first().is_some_and(u8::is_ascii_alphanumeric) && rest.last() != Some(&b':');
    // Mostly digits and dots.
    while let Some((_, after)) = rest.split_first_chunk().filter(|(some, _)| address_bytes(**some) == 8) {
        rest = after;
    }
    is_word && rest.iter().all(|byte| plain(*byte))
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
