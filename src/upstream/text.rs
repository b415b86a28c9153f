//! Plain text as blocks: what is left of a page when only its text was kept, or a feed with an address a line.
//!
//! Text has no marks, so headings are guessed, and only where a line can hardly be anything else. Lines that were wrapped
//! are joined.

use super::page::{Block, Cell, Kind, Line, Page, Passage, Row, Table};
use super::section::is_label;
use super::token;

/// A heading has at most so many bytes.
const HEADING_MAX: usize = 90;
/// A heading has at most so many words.
const HEADING_WORDS_MAX: usize = 14;
/// A line that is shorter was not wrapped, unless the next goes on in the middle of a sentence.
const WRAPPED_MIN: usize = 45;
/// Most cells of a row.
const CELLS_MAX: usize = 64;

/// Reads a text.
pub(super) fn read(text: &str) -> Page {
    let lines: Vec<(u32, &str)> = (1_u32..).zip(text.lines()).collect();
    let following = following(&lines);
    let mut reader =
        Reader { blocks: Vec::new(), open: None, bullet: false, ended: true, last: Last::default() };
    let mut at = 0;
    while let Some((number, line)) = lines.get(at) {
        let rows = rows(lines.get(at..).unwrap_or_default());
        if rows > 1 {
            reader.table(lines.get(at..at + rows).unwrap_or_default());
            at += rows;
            continue;
        }
        let next = following.get(at).and_then(|next| lines.get(*next)).map(|(_, line)| line.trim());
        reader.line(*number, line, next);
        at += 1;
    }
    reader.close();
    Page { blocks: reader.blocks, ..Page::default() }
}

/// For each line the next one that is not blank.
fn following(lines: &[(u32, &str)]) -> Vec<usize> {
    let mut next = lines.len();
    let mut found = vec![next; lines.len()];
    for (at, (_, line)) in lines.iter().enumerate().rev() {
        if let Some(place) = found.get_mut(at) {
            *place = next;
        }
        if !line.trim().is_empty() {
            next = at;
        }
    }
    found
}

/// What is remembered of the last line, as it was before it was joined to others.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    ends: bool,
    bare: bool,
    length: usize,
}

struct Reader {
    blocks: Vec<Block>,
    open: Option<Passage>,
    bullet: bool,
    ended: bool,
    last: Last,
}

impl Reader {
    fn close(&mut self) {
        self.blocks.extend(self.open.take().filter(|passage| !passage.lines.is_empty()).map(Block::Passage));
        self.ended = true;
    }

    fn line(&mut self, number: u32, line: &str, next: Option<&str>) {
        let indent = line.len() - line.trim_start().len();
        let trimmed = line.trim();
        if trimmed.is_empty() {
            if !self.bullet {
                self.close();
            }
            return;
        }
        if let Some(rest) = bullet(trimmed) {
            self.close();
            let depth = u8::try_from(indent / 2 + 1).unwrap_or(u8::MAX);
            let lines =
                Some(Line::plain(rest, number)).filter(|line| !line.text.is_empty()).into_iter().collect();
            self.bullet = rest.trim().is_empty();
            self.ended = ends(rest);
            self.last = Last { ends: self.ended, bare: is_bare(rest), length: rest.len() };
            self.open = Some(Passage { kind: Kind::Item(depth), lines });
            return;
        }
        let shown = Line::plain(trimmed.trim_start_matches('#'), number);
        if shown.text.is_empty() {
            return;
        }
        if self.bullet {
            self.bullet = false;
        } else if self.ended && is_heading(&shown.text, next) {
            self.close();
            // What only names an environment stands above a part of a list, and below what says what the list is.
            let level = if is_label(&shown.text) { 7 } else { 6 };
            return self.blocks.push(Block::Heading(level, shown));
        }
        self.add(shown);
    }

    fn add(&mut self, line: Line) {
        let bare = is_bare(&line.text);
        let this = Last { ends: ends(&line.text), bare, length: line.text.len() };
        let last = self.last;
        let free = !last.ends && !last.bare && !bare;
        let wraps = free && (line.text.starts_with(char::is_lowercase) || last.length >= WRAPPED_MIN);
        let open_item = self
            .open
            .as_ref()
            .is_some_and(|open| matches!(open.kind, Kind::Item(_)) && !open.lines.is_empty());
        if open_item && !wraps {
            self.close();
        }
        let open = self.open.get_or_insert_with(|| Passage { kind: Kind::Paragraph, lines: Vec::new() });
        // A date may be cut anywhere: "March" and "12th" belong together.
        let wrapped =
            wraps || (!last.ends && !bare && line.text.starts_with(|first: char| first.is_ascii_digit()));
        match open.lines.last_mut().filter(|_| wrapped) {
            Some(before) => before.join(&line),
            None => open.lines.push(line),
        }
        self.last = this;
        self.ended = this.ends || bare;
    }

    fn table(&mut self, lines: &[(u32, &str)]) {
        self.close();
        let mut table = Table::default();
        for (number, line) in lines {
            let inner = line.trim().trim_matches('|');
            if inner.chars().all(|letter| "-:|+ \t=".contains(letter)) {
                continue;
            }
            let separator = if line.contains('|') { '|' } else { '\t' };
            let cells = inner.splitn(CELLS_MAX, separator).enumerate().map(|(place, text)| Cell {
                place,
                lines: Some(Line::plain(text, *number))
                    .filter(|line| !line.text.is_empty())
                    .into_iter()
                    .collect(),
                ..Cell::default()
            });
            table.rows.push(Row { line: *number, cells: cells.collect() });
        }
        self.blocks.push(Block::Table(table));
    }
}

/// How many lines from here are rows of one table.
fn rows(lines: &[(u32, &str)]) -> usize {
    let width = |line: &str| match (line.matches('|').count(), line.trim().matches('\t').count()) {
        (0, tabs) => tabs,
        (bars, _) => bars,
    };
    let Some(first) = lines.first().map(|(_, line)| width(line)).filter(|width| *width > 0) else { return 0 };
    lines.iter().take_while(|(_, line)| width(line) == first).count()
}

/// What stands behind a bullet.
fn bullet(line: &str) -> Option<&str> {
    let mut letters = line.chars();
    let first = letters.next()?;
    let rest = letters.as_str();
    if "-*•·◦▪‣–●○■∙".contains(first) && (rest.is_empty() || rest.starts_with(char::is_whitespace))
    {
        return Some(rest);
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let after = line.get(digits..)?.strip_prefix(['.', ')'])?;
    ((1..=2).contains(&digits) && after.starts_with(' ')).then_some(after)
}

/// Whether a line ends a sentence, or says that something follows.
fn ends(line: &str) -> bool {
    line.trim_end().ends_with(['.', ':', '!', '?', ';', '{', '}', ']', '['])
}

/// Whether a line is little else than addresses.
fn is_bare(line: &str) -> bool {
    token::find(line).iter().any(|found| found.end - found.start + 30 >= line.len())
}

/// Whether a line can hardly be anything but a heading, given the next one.
fn is_heading(line: &str, next: Option<&str>) -> bool {
    let Some(next) = next else { return false };
    let opens = line
        .starts_with(|first: char| first.is_uppercase() || first.is_ascii_digit() || "“\"‘'".contains(first));
    let short = line.len() <= HEADING_MAX && line.split_whitespace().count() <= HEADING_WORDS_MAX;
    let worded = line.chars().filter(|letter| letter.is_alphabetic()).count() >= 3;
    let clean = !line.ends_with(['.', ',', ':', ';', '{', '}', '[', ']', '>', '…', '-', '–'])
        && !line.contains(['{', '}', '=', '<']);
    let fresh = next.starts_with(|first: char| first.is_uppercase() || "“\"‘'".contains(first))
        || bullet(next).is_some()
        || is_bare(next);
    opens && short && worded && clean && fresh && token::find(line).is_empty()
}
