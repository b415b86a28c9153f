//! A page as blocks of lines: what readers of HTML, Markdown and plain text make, and all that is looked at afterwards.
//!
//! Block boundaries always separate, inline elements never do. A line is what a browser shows without a break, whatever
//! many lines of the file it was written on; it knows where each part of it stood.

/// Stands between two digits that touch although something invisible is between them.
pub(super) const SEAM: char = '\u{1}';
/// Stands for text that is not in the file: the value of a template's variable.
pub(super) const ABSENT: char = '\u{fffc}';

/// Everything a page shows, in its order.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    /// Headings, passages and tables.
    pub(super) blocks: Vec<Block>,
    /// Its title.
    pub(super) title: String,
    /// Set where it only says that it stands elsewhere.
    pub(super) moved: Option<Moved>,
    /// Why it can't be taken for the whole page.
    pub(super) cut: Option<String>,
    /// Why its last block is not whole. Only that is in doubt, and what is below the same heading.
    pub(super) torn: Option<String>,
    /// The first part that stands in another file, and its line.
    pub(super) included: Option<(u32, String)>,
}

/// What a page says that only sends its reader elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved {
    /// The address, where it says one.
    pub(super) to: Option<String>,
}

/// One block.
#[derive(Debug, Clone)]
pub(super) enum Block {
    /// A heading, level 1 to 7.
    Heading(u8, Line),
    /// Text that belongs together.
    Passage(Passage),
    /// A table.
    Table(Table),
    /// What encloses its headings begins: an article, a tab, something folded.
    Open,
    /// What was opened last ends, and with it the sections of the headings in it.
    Close,
}

/// What a passage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A paragraph.
    Paragraph,
    /// A list's item, with how deep it is nested, from 1.
    Item(u8),
    /// Text that keeps its lines.
    Code,
    /// A term that is described.
    Term,
    /// The description of a term.
    Description,
}

/// Text that belongs together.
#[derive(Debug, Clone)]
pub(super) struct Passage {
    /// What it is.
    pub(super) kind: Kind,
    /// Its lines; never empty, and no line is.
    pub(super) lines: Vec<Line>,
}

impl Passage {
    /// Its lines as one text.
    pub(super) fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.text.as_str()).collect();
        lines.join(" ")
    }
}

/// A table: rows of cells, each as wide as it says.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// Its caption.
    pub(super) caption: String,
    /// Its rows; cells that span are repeated.
    pub(super) rows: Vec<Row>,
}

/// A row of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// The line at which it starts.
    pub(super) line: u32,
    /// Its cells.
    pub(super) cells: Vec<Cell>,
}

/// A cell of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    /// Whether it is marked as a header.
    pub(super) header: bool,
    /// Whether it is here because another cell reaches here.
    pub(super) spanned: bool,
    /// Which of its row it is.
    pub(super) place: usize,
    /// Its lines.
    pub(super) lines: Vec<Line>,
}

impl Cell {
    /// Its lines as one text.
    pub(super) fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.text.as_str()).collect();
        lines.join(" ")
    }
}

/// One line as it is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    /// Its text, white space run together.
    pub(super) text: String,
    /// Whether all of it leads elsewhere.
    pub(super) linked: bool,
    /// Whether a part of it is struck out.
    pub(super) struck: bool,
    /// Whether all of it is bold.
    pub(super) bold: bool,
    /// From which byte on it stood on which line of the file.
    marks: Vec<(usize, u32)>,
}

impl Line {
    /// A line of the file as it is.
    pub(super) fn plain(text: &str, number: u32) -> Self {
        let mut writer = Writer::default();
        writer.push(text, number, Ink::default());
        writer.take().unwrap_or_default()
    }

    /// The line of the file on which the byte at `offset` stood.
    pub(super) fn number_at(&self, offset: usize) -> u32 {
        let after = self.marks.partition_point(|(start, _)| *start <= offset);
        self.marks.get(after.saturating_sub(1)).map_or(1, |(_, number)| *number)
    }

    /// The line of the file on which it starts.
    pub(super) fn number(&self) -> u32 {
        self.number_at(0)
    }

    /// Puts another line behind this one, as where text is wrapped.
    pub(super) fn join(&mut self, other: &Line) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let start = self.text.len();
        self.text.push_str(&other.text);
        self.marks.extend(other.marks.iter().map(|(at, number)| (start + at, *number)));
        self.linked &= other.linked;
        self.bold &= other.bold;
        self.struck |= other.struck;
    }
}

/// How text is marked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ink {
    /// It leads elsewhere.
    pub(super) linked: bool,
    /// It is struck out.
    pub(super) struck: bool,
    /// It is bold.
    pub(super) bold: bool,
}

/// What is between two letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Gap {
    /// Nothing.
    #[default]
    None,
    /// What is not seen.
    Seam,
    /// Space.
    Space,
}

/// A line as it is written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    text: String,
    marks: Vec<(usize, u32)>,
    gap: Gap,
    unlinked: bool,
    struck: bool,
    light: bool,
}

impl Writer {
    /// Writes text that stood on a line of the file.
    pub(super) fn push(&mut self, text: &str, number: u32, ink: Ink) {
        for letter in text.chars() {
            match letter {
                '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => self.seam(),
                letter if letter.is_whitespace() || letter.is_control() => self.part(),
                letter => self.letter(letter, number, ink),
            }
        }
    }

    /// What comes next does not touch what is there.
    pub(super) fn part(&mut self) {
        self.gap = Gap::Space;
    }

    /// What comes next touches what is there, but not by the author's word.
    pub(super) fn seam(&mut self) {
        if self.gap == Gap::None {
            self.gap = Gap::Seam;
        }
    }

    fn letter(&mut self, letter: char, number: u32, ink: Ink) {
        let touches = |last: char| last.is_ascii_digit() && letter.is_ascii_digit();
        if self.gap == Gap::Space && !self.text.is_empty() {
            self.text.push(' ');
        } else if self.gap == Gap::Seam && self.text.chars().next_back().is_some_and(touches) {
            self.text.push(SEAM);
        }
        self.gap = Gap::None;
        if self.marks.last().is_none_or(|(_, last)| *last != number) {
            self.marks.push((self.text.len(), number));
        }
        self.unlinked |= !ink.linked;
        self.struck |= ink.struck;
        self.light |= !ink.bold;
        self.text.push(letter);
    }

    /// The line, and a new one begins; `None` where nothing was written.
    pub(super) fn take(&mut self) -> Option<Line> {
        let done = std::mem::take(self);
        if done.text.is_empty() {
            return None;
        }
        Some(Line {
            text: done.text,
            linked: !done.unlinked,
            struck: done.struck,
            bold: !done.light,
            marks: done.marks,
        })
    }
}
