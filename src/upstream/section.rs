//! The part of a page that a policy names, found by its heading.
//!
//! The same heading may stand several times, as where a page has tabs: every place is read. A name with ` > ` in it names the
//! headings above as well.

use super::page::{Block, Kind, Page, Passage};
use super::token;
use super::words::{Wording, heading};

/// A part of a page.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    /// The headings above it, the outermost first; its own is the last.
    pub(super) above: Vec<String>,
    /// What it has.
    pub(super) blocks: &'a [Block],
}

/// A heading above a block.
#[derive(Debug, Clone)]
struct Above {
    level: u8,
    depth: usize,
    text: String,
}

/// Every part of the page under this heading, in order.
pub(super) fn find<'a>(page: &'a Page, name: &str) -> Vec<Part<'a>> {
    let wanted: Vec<String> = name.split(" > ").map(heading).collect();
    let found = by_heading(page, &wanted);
    if found.is_empty() { by_label(page, &wanted) } else { found }
}

fn by_heading<'a>(page: &'a Page, wanted: &[String]) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut path: Vec<Above> = Vec::new();
    let mut depth = 0_usize;
    let mut end = 0;
    for (at, block) in page.blocks.iter().enumerate() {
        match block {
            Block::Open => depth += 1,
            Block::Close => {
                depth = depth.saturating_sub(1);
                path.retain(|above| above.depth <= depth);
            }
            Block::Heading(level, line) => {
                path.retain(|above| above.level < *level);
                path.push(Above { level: *level, depth, text: line.text.clone() });
                if at >= end && is_wanted(&path, wanted) {
                    let blocks = page.blocks.get(at + 1..).unwrap_or_default();
                    let length = length(blocks, *level);
                    end = at + 1 + length;
                    let above = path.iter().map(|above| above.text.clone()).collect();
                    parts.push(Part { above, blocks: blocks.get(..length).unwrap_or_default() });
                }
            }
            Block::Passage(_) | Block::Table(_) => {}
        }
    }
    parts
}

/// Whether a path ends with the wanted headings, in order; those above may leave some out.
fn is_wanted(path: &[Above], wanted: &[String]) -> bool {
    let Some((last, above)) = wanted.split_last() else { return false };
    let Some((own, outer)) = path.split_last() else { return false };
    let mut outer = outer.iter().map(|above| heading(&above.text));
    heading(&own.text) == *last && above.iter().all(|name| outer.any(|found| found == *name))
}

/// How many blocks a heading of this level has below it.
fn length(blocks: &[Block], level: u8) -> usize {
    let mut depth = 0_usize;
    for (at, block) in blocks.iter().enumerate() {
        match block {
            Block::Open => depth += 1,
            Block::Close if depth == 0 => return at,
            Block::Close => depth -= 1,
            Block::Heading(found, _) if *found <= level => return at,
            Block::Heading(..) | Block::Passage(_) | Block::Table(_) => {}
        }
    }
    blocks.len()
}

/// Whether a heading only names an environment.
pub(super) fn is_label(text: &str) -> bool {
    text.split_whitespace().count() <= 3 && !Wording::new(text).labels().is_empty()
}

/// Where no heading has the name: a line of its own that has it, as some writers make headings of bold text.
fn by_label<'a>(page: &'a Page, wanted: &[String]) -> Vec<Part<'a>> {
    let Some(last) = wanted.last() else { return Vec::new() };
    let mut parts = Vec::new();
    let mut end = 0;
    for (at, block) in page.blocks.iter().enumerate() {
        let Block::Passage(passage) = block else { continue };
        if at < end {
            continue;
        }
        let text = passage.text();
        let alone =
            passage.lines.len() == 1 && matches!(passage.kind, Kind::Paragraph | Kind::Term | Kind::Item(1));
        if !alone
            || passage.lines.iter().all(|line| line.linked)
            || heading(&text) != *last
            || !token::find(&text).is_empty()
        {
            continue;
        }
        let blocks = page.blocks.get(at + 1..).unwrap_or_default();
        let length = length(blocks, 7);
        let length = length.min(next_bold(blocks, passage).unwrap_or(length));
        end = at + 1 + length;
        // A table of contents has the name as well, and nothing below it.
        let holds = blocks.iter().take(length).any(|block| !matches!(block, Block::Open | Block::Close));
        if holds {
            parts.push(Part { above: vec![text], blocks: blocks.get(..length).unwrap_or_default() });
        }
    }
    parts
}

/// Where the next line of its own that is bold stands, if the one that was asked for is.
fn next_bold(blocks: &[Block], asked: &Passage) -> Option<usize> {
    let is_bold = |passage: &Passage| passage.lines.len() == 1 && passage.lines.iter().all(|line| line.bold);
    if !is_bold(asked) {
        return None;
    }
    blocks.iter().position(|block| match block {
        Block::Passage(passage) => {
            let text = passage.text();
            passage.kind == asked.kind
                && is_bold(passage)
                && !is_label(&text)
                && token::find(&text).is_empty()
        }
        Block::Heading(..) | Block::Table(_) | Block::Open | Block::Close => false,
    })
}
