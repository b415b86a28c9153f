//! Where things stand in the text of a policy, and the text with something put there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::question::Question;
use super::source::Added;
use crate::diagnostic::{Diagnostics, SourceText};
use crate::policy::Policy;
use crate::yaml::{Node, Value, parse};

/// A stretch of text that is written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Splice {
    place: Range<usize>,
    text: String,
}

impl Splice {
    pub(super) fn replace(place: Range<usize>, text: String) -> Self {
        Self { place, text }
    }
}

/// The text with all splices done; those at one place in their order.
pub(super) fn spliced(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|splice| splice.place.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for splice in splices {
        out.push_str(text.get(at..splice.place.start).unwrap_or_default());
        out.push_str(&splice.text);
        at = splice.place.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// The sources of a policy in its text.
pub(super) struct Places<'t> {
    text: &'t str,
    /// The list of sources.
    list: Range<usize>,
    is_flow: bool,
    /// Each source, in the order of the text: its id, and its own stretch.
    items: Vec<(String, Range<usize>)>,
}

impl<'t> Places<'t> {
    /// Finds them; what is said where they can't be found.
    pub(super) fn of(source: &'t Arc<SourceText>) -> Result<Self, String> {
        let root = parse(source, &mut Diagnostics::new()).ok_or_else(|| "it is no YAML".to_owned())?;
        let list = under(&root, "sources").ok_or_else(|| "it has no list of sources".to_owned())?;
        let Value::Sequence(nodes) = &list.value else { return Err("`sources` is no list".to_owned()) };
        let text = source.text.as_str();
        let is_flow = text.get(list.span.clone()).is_some_and(|written| written.starts_with('['));
        let items = nodes.iter().map(|node| {
            let id = under(node, "id").map(|id| match &id.value {
                Value::Scalar(text, _) => text.clone().into_owned(),
                Value::Sequence(_) | Value::Mapping(..) => String::new(),
            });
            (id.unwrap_or_default(), node.span.clone())
        });
        Ok(Self { text, list: list.span.clone(), is_flow, items: items.collect() })
    }

    fn line_start(&self, at: usize) -> usize {
        self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |found| found.saturating_add(1))
    }

    /// The end of the line of a place, before what breaks it.
    fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        let end = rest.find('\n').unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        at.saturating_add(line.strip_suffix('\r').unwrap_or(line).len())
    }

    /// The end of what belongs to an item: its last line, and the comments below that are set in as far as it is.
    fn item_end(&self, item: &Range<usize>) -> usize {
        let column = self.column(item.start);
        let mut end = self.line_end(item.end);
        let rest = self.text.get(end..).unwrap_or_default();
        let mut at = end;
        for (number, line) in rest.split_inclusive('\n').enumerate() {
            let comment = line.trim_start();
            let is_own = comment.starts_with('#') && line.len().saturating_sub(comment.len()) >= column;
            if number > 0 && !is_own {
                break;
            }
            if number > 0 {
                end = at.saturating_add(line.trim_end_matches(['\n', '\r']).len());
            }
            at = at.saturating_add(line.len());
        }
        end
    }

    fn column(&self, at: usize) -> usize {
        at.saturating_sub(self.line_start(at))
    }

    fn lines(&self, lines: impl Iterator<Item = String>) -> String {
        let newline = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        lines.fold(String::new(), |text, line| text + newline + &line)
    }

    /// Comments: each after the source that it is about, those about none after the last one.
    pub(super) fn questions(&self, policy: &Policy, questions: &[Question]) -> Vec<Splice> {
        let by_id: BTreeMap<&str, &Range<usize>> =
            self.items.iter().map(|(id, place)| (id.as_str(), place)).collect();
        let splices = questions.iter().map(|question| {
            let own = question.source.as_ref().filter(|id| policy.source(id).is_some());
            let own = own.and_then(|id| by_id.get(id.as_str()).copied());
            let last = self.items.last().map_or(&self.list, |(_, place)| place);
            let place = own.unwrap_or(last);
            let indent = " ".repeat(self.column(place.start));
            let at = self.item_end(place);
            let lines = question.lines.iter().map(|line| format!("{indent}{line}").trim_end().to_owned());
            Splice::replace(at..at, self.lines(lines))
        });
        splices.collect()
    }

    /// New sources, after the last one.
    pub(super) fn additions(&self, added: &[Added]) -> Result<Vec<Splice>, String> {
        if added.is_empty() {
            return Ok(Vec::new());
        }
        if self.is_flow {
            return Err("its sources stand in brackets: write each on lines of its own".to_owned());
        }
        let (_, last) = self.items.last().ok_or_else(|| "it has no source to add others after".to_owned())?;
        let lead = self.text.get(self.line_start(last.start)..last.start).unwrap_or_default();
        let column = if lead.trim() == "-" { lead.find('-') } else { None };
        let dash = " ".repeat(column.unwrap_or_else(|| self.column(self.list.start)));
        let at = self.item_end(last);
        let blank = self.is_apart().then(String::new);
        let lines = added.iter().flat_map(|source| blank.clone().into_iter().chain(item(source, &dash)));
        Ok(vec![Splice::replace(at..at, self.lines(lines))])
    }

    /// Whether empty lines stand between sources.
    fn is_apart(&self) -> bool {
        let starts = self.items.iter().skip(1).map(|(_, place)| place.start);
        let mut between = self.items.iter().map(|(_, place)| place.end).zip(starts).map(|(end, start)| {
            let lines = self.text.get(end..start).unwrap_or_default().lines().skip(1);
            lines.into_iter().any(|line| line.trim().is_empty())
        });
        self.items.len() < 2 || between.any(|is_apart| is_apart)
    }
}

/// A source as an item of a list whose dashes stand behind `dash`.
fn item(source: &Added, dash: &str) -> impl Iterator<Item = String> {
    let leads = std::iter::once("- ").chain(std::iter::repeat("  "));
    source.lines.iter().zip(leads).map(move |(line, lead)| format!("{dash}{lead}{line}"))
}

/// The value of a key of a mapping.
fn under<'n, 'a>(node: &'n Node<'a>, key: &str) -> Option<&'n Node<'a>> {
    let Value::Mapping(entries, _) = &node.value else { return None };
    let is_it =
        |(name, _): &&(Node<'_>, Node<'_>)| matches!(&name.value, Value::Scalar(text, _) if text == key);
    entries.iter().find(is_it).map(|(_, value)| value)
}
