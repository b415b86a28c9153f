//! From the tree of a page to its blocks.

use super::Lines;
use super::sink::{Data, Id, Node, Tree};
use crate::upstream::page::{Block, Cell, Ink, Kind, Line, Page, Passage, Row, Table, Writer};

/// Elements that show nothing and separate nothing.
const UNSEEN: &[&str] =
    &["script", "style", "template", "noscript", "head", "math", "datalist", "link", "meta"];
/// Elements that are no text and stand between texts, and navigation.
const OTHER: &[&str] = &[
    "svg", "button", "select", "input", "img", "iframe", "canvas", "video", "audio", "object", "nav",
    "footer", "picture", "map",
];
/// Elements that start a line of their own.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "form",
    "header",
    "hgroup",
    "html",
    "legend",
    "li",
    "main",
    "menu",
    "ol",
    "optgroup",
    "option",
    "p",
    "pre",
    "textarea",
    "section",
    "search",
    "summary",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "ul",
    "tabs",
    "tabitem",
    "tab",
    "xmp",
    "listing",
    "plaintext",
];
/// Classes by which wide-spread styles strike text out.
const STRUCK: &[&str] =
    &["line-through", "strikethrough", "strike", "text-decoration-line-through", "deleted"];
/// A row has at most so many cells.
const ROW_MAX: usize = 500;
/// A cell spans at most so many rows or columns.
const SPAN_MAX: usize = 64;
/// All cells of a table are at most so many, those that are repeated among them.
const CELLS_MAX: usize = 200_000;

/// What surrounds text.
#[derive(Debug, Clone, Copy)]
struct Around {
    kind: Kind,
    depth: u8,
    ink: Ink,
    preserves: bool,
}

/// Walks through a tree and writes its blocks.
pub(super) struct Walker<'a> {
    tree: &'a Tree,
    lines: Option<&'a Lines>,
    blocks: Vec<Block>,
    title: String,
    writer: Writer,
    pending: Vec<Line>,
    cells: usize,
    excess: bool,
}

impl<'a> Walker<'a> {
    pub(super) fn new(tree: &'a Tree, lines: Option<&'a Lines>) -> Self {
        Self {
            tree,
            lines,
            blocks: Vec::new(),
            title: String::new(),
            writer: Writer::default(),
            pending: Vec::new(),
            cells: 0,
            excess: false,
        }
    }

    /// All of it.
    pub(super) fn page(mut self) -> Page {
        let around = Around { kind: Kind::Paragraph, depth: 0, ink: Ink::default(), preserves: false };
        self.title =
            self.tree.nodes.iter().find(|node| node.name() == "title").map_or_else(String::new, |node| {
                let mut writer = Writer::default();
                for child in self.children_of(node) {
                    write_text(&mut writer, child);
                }
                writer.take().map(|line| line.text).unwrap_or_default()
            });
        self.walk(0, around);
        self.flush(around);
        let cut = self.excess.then(|| "a table has more cells than are read".to_owned());
        Page { blocks: self.blocks, title: self.title, cut, ..Page::default() }
    }

    fn children_of(&self, node: &'a Node) -> impl Iterator<Item = &'a Node> + use<'a> {
        let tree = self.tree;
        node.children.iter().filter_map(move |id| tree.node(*id))
    }

    fn walk(&mut self, id: Id, around: Around) {
        let tree = self.tree;
        let Some(node) = tree.node(id) else { return };
        match &node.data {
            Data::Text(parts) => self.text(parts, around),
            Data::Root => self.inside(node, around),
            Data::Element(..) => self.element(node, around),
            Data::Other => {}
        }
    }

    fn inside(&mut self, node: &Node, around: Around) {
        for child in &node.children {
            self.walk(*child, around);
        }
    }

    fn text(&mut self, parts: &[(u32, String)], around: Around) {
        for (line, text) in parts {
            let mut number = *line;
            for (index, part) in text.split('\n').enumerate() {
                self.text_line(part, index, (number, around));
                number = number.saturating_add(1);
            }
        }
    }

    fn text_line(&mut self, text: &str, index: usize, (line, around): (u32, Around)) {
        match (index, around.preserves) {
            (0, _) => {}
            (_, true) => self.line_break(),
            (_, false) => self.writer.part(),
        }
        let number = self.number(line);
        self.writer.push(text, number, around.ink);
    }

    fn number(&self, line: u32) -> u32 {
        let Some(lines) = self.lines else { return line };
        let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        lines.get(index).or(lines.last()).copied().unwrap_or(1)
    }

    fn element(&mut self, node: &Node, around: Around) {
        let name = node.name();
        if UNSEEN.contains(&name) || is_hidden(node) {
            return;
        }
        let around = inked(node, around);
        if is_swallowed(name) {
            // A tag that lost its end took in the text behind it: as it stands, that is an address glued to something.
            let number = self.first_line(node);
            self.writer.push(name, number, around.ink);
        }
        match name {
            "br" => self.line_break(),
            "wbr" => self.writer.seam(),
            "hr" => self.flush(around),
            "sup" | "sub" => {
                self.writer.part();
                self.inside(node, around);
                self.writer.part();
            }
            "a" => self.link(node, around),
            _ if node.attribute("role") == Some("tooltip") => self.writer.part(),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let level = name.as_bytes().get(1).map_or(6, |digit| digit.saturating_sub(b'0'));
                self.heading(node, level, around);
            }
            "summary" => self.heading(node, 7, around),
            "table" => self.table(node, around),
            _ if OTHER.contains(&name) => self.writer.part(),
            _ if node.attribute("role") == Some("heading") => self.heading(node, 6, around),
            _ if BLOCKS.contains(&name) || shows_as_block(node) => self.block(node, around),
            _ => self.inside(node, around),
        }
    }

    fn link(&mut self, node: &Node, around: Around) {
        let leads = node.attribute("href").is_some_and(|href| !href.is_empty() && !href.starts_with('#'));
        let ink = Ink { linked: around.ink.linked || leads, ..around.ink };
        self.writer.seam();
        self.inside(node, Around { ink, ..around });
        self.writer.seam();
    }

    fn heading(&mut self, node: &Node, level: u8, around: Around) {
        self.flush(around);
        self.inside(node, Around { preserves: false, ..around });
        self.line_break();
        let mut whole = Line::default();
        let lines = std::mem::take(&mut self.pending);
        for (index, line) in lines.iter().enumerate() {
            if index == 0 {
                whole = line.clone();
            } else {
                whole.join(line);
            }
        }
        if !whole.text.is_empty() {
            self.blocks.push(Block::Heading(level, whole));
        }
    }

    fn block(&mut self, node: &Node, around: Around) {
        self.flush(around);
        let name = node.name();
        let mut within = around;
        match name {
            "ul" | "ol" | "menu" | "dir" => {
                within.depth = around.depth.saturating_add(1);
            }
            "li" => within.kind = Kind::Item(around.depth.max(1)),
            "dt" => within.kind = Kind::Term,
            "dd" => within.kind = Kind::Description,
            "pre" | "textarea" | "xmp" | "listing" | "plaintext" => {
                within.preserves = true;
                within.kind = Kind::Code;
            }
            _ => {}
        }
        let encloses = matches!(name, "article" | "main" | "dialog" | "details" | "tabitem")
            || node.attribute("role") == Some("tabpanel");
        if encloses {
            self.blocks.push(Block::Open);
        }
        if matches!(name, "tabitem" | "tab") {
            self.label(node);
        }
        self.inside(node, within);
        self.flush(within);
        if encloses {
            self.blocks.push(Block::Close);
        }
    }

    /// A tab's label, which some writers give as an attribute.
    fn label(&mut self, node: &Node) {
        let Some(label) = node.attribute("label").or(node.attribute("title")) else { return };
        let line = Line::plain(label, self.first_line(node));
        if !line.text.is_empty() {
            self.blocks.push(Block::Passage(Passage { kind: Kind::Paragraph, lines: vec![line] }));
        }
    }

    /// The line of the text with which an element starts.
    fn first_line(&self, node: &Node) -> u32 {
        let first = node.children.first().and_then(|id| self.tree.node(*id));
        let line = first.map_or(1, |child| match &child.data {
            Data::Text(parts) => parts.first().map_or(1, |(line, _)| *line),
            Data::Root | Data::Element(..) | Data::Other => 1,
        });
        self.number(line)
    }

    fn line_break(&mut self) {
        self.pending.extend(self.writer.take());
    }

    fn flush(&mut self, around: Around) {
        self.line_break();
        let lines = std::mem::take(&mut self.pending);
        if !lines.is_empty() {
            self.blocks.push(Block::Passage(Passage { kind: around.kind, lines }));
        }
    }

    fn table(&mut self, node: &Node, around: Around) {
        self.flush(around);
        if self.is_layout(node) {
            let plain = Around { kind: Kind::Paragraph, ..around };
            self.inside(node, plain);
            self.flush(plain);
            return;
        }
        let mut table = Table::default();
        let mut reaching: Vec<(usize, Cell)> = Vec::new();
        self.rows(node, &mut table, &mut reaching, around);
        if !table.rows.is_empty() {
            self.blocks.push(Block::Table(table));
        }
    }

    /// Whether a table only arranges other things: it holds headings, tables, or code beside line numbers.
    fn is_layout(&self, table: &Node) -> bool {
        let mut left: Vec<Id> = table.children.clone();
        let (mut headed, mut code) = (false, false);
        while let Some(node) = left.pop().and_then(|id| self.tree.node(id)) {
            match node.name() {
                "table" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => return true,
                "th" => headed = true,
                "pre" => code = true,
                _ => {}
            }
            left.extend(&node.children);
        }
        code && !headed
    }

    fn rows(&mut self, node: &Node, table: &mut Table, reaching: &mut Vec<(usize, Cell)>, around: Around) {
        let tree = self.tree;
        for child in node.children.iter().filter_map(|id| tree.node(*id)) {
            match child.name() {
                "thead" | "tbody" | "tfoot" => {
                    // A cell reaches no further than its group.
                    reaching.clear();
                    self.rows(child, table, reaching, around);
                }
                "caption" => table.caption = text_of(&self.lines_of(child, around)),
                "tr" if !is_hidden(child) => table.rows.extend(self.row(child, reaching, around)),
                _ => {}
            }
        }
    }

    fn row(&mut self, node: &Node, reaching: &mut Vec<(usize, Cell)>, around: Around) -> Option<Row> {
        let tree = self.tree;
        let around = inked(node, around);
        let mut cells: Vec<Cell> = Vec::new();
        let mut next: Vec<(usize, Cell)> = Vec::new();
        let mut above = std::mem::take(reaching).into_iter().peekable();
        let is_cell = |cell: &&Node| matches!(cell.name(), "td" | "th");
        let mut own = node.children.iter().filter_map(|id| tree.node(*id)).filter(is_cell);
        while !self.excess {
            if let Some((left, cell)) = above.next_if(|(_, cell)| cell.place == cells.len()) {
                next.extend((left > 1).then(|| (left - 1, cell.clone())));
                self.add(&mut cells, cell);
                continue;
            }
            let Some(found) = own.next() else { break };
            let lines = self.lines_of(found, around);
            let cell = Cell { header: found.name() == "th", spanned: false, place: cells.len(), lines };
            let (wide, high) = (span(found, "colspan"), span(found, "rowspan"));
            for step in 0..wide {
                let copy = Cell { spanned: step > 0, place: cells.len(), ..cell.clone() };
                next.extend((high > 1).then(|| (high - 1, Cell { spanned: true, ..copy.clone() })));
                self.add(&mut cells, copy);
            }
        }
        *reaching = next;
        let line = cells.iter().flat_map(|cell| &cell.lines).map(Line::number).min().unwrap_or(1);
        (!cells.is_empty()).then_some(Row { line, cells })
    }

    /// Adds a cell. A table of too many is not read in part.
    fn add(&mut self, cells: &mut Vec<Cell>, cell: Cell) {
        self.cells += 1;
        self.excess |= self.cells > CELLS_MAX || cells.len() >= ROW_MAX;
        cells.push(cell);
    }

    /// What a cell holds, as lines.
    fn lines_of(&mut self, node: &Node, around: Around) -> Vec<Line> {
        let outer = std::mem::take(&mut self.blocks);
        let around = inked(node, around);
        let plain = Around { kind: Kind::Paragraph, depth: 0, preserves: false, ..around };
        if !is_hidden(node) {
            self.inside(node, plain);
        }
        self.flush(plain);
        let inner = std::mem::replace(&mut self.blocks, outer);
        let mut lines = Vec::new();
        for block in inner {
            match block {
                Block::Heading(_, line) => lines.push(line),
                Block::Passage(passage) => lines.extend(passage.lines),
                Block::Table(_) | Block::Open | Block::Close => {}
            }
        }
        lines
    }
}

/// Whether an element's name holds what looks like an address.
fn is_swallowed(name: &str) -> bool {
    name.matches('.').count() >= 3 && name.contains(|letter: char| letter.is_ascii_digit())
}

/// What surrounds the text of an element: struck out, where the element says so.
fn inked(node: &Node, around: Around) -> Around {
    let style = node.attribute("style").unwrap_or_default().to_ascii_lowercase();
    let classes = node.attribute("class").unwrap_or_default().to_ascii_lowercase();
    let struck = matches!(node.name(), "del" | "s" | "strike")
        || style.contains("line-through")
        || classes.split_ascii_whitespace().any(|class| STRUCK.contains(&class));
    let bold = matches!(node.name(), "b" | "strong");
    let ink = Ink { struck: around.ink.struck || struck, bold: around.ink.bold || bold, ..around.ink };
    Around { ink, ..around }
}

fn text_of(lines: &[Line]) -> String {
    lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn write_text(writer: &mut Writer, node: &Node) {
    if let Data::Text(parts) = &node.data {
        for (line, text) in parts {
            writer.push(text, *line, Ink::default());
        }
    }
}

fn span(node: &Node, name: &str) -> usize {
    let written = node.attribute(name).and_then(|value| value.trim().parse::<usize>().ok());
    written.unwrap_or(1).clamp(1, SPAN_MAX)
}

/// Whether it is not shown. What waits behind a tab or a fold is shown to whoever asks for it.
fn is_hidden(node: &Node) -> bool {
    let style: String = node
        .attribute("style")
        .unwrap_or_default()
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .collect::<String>()
        .to_ascii_lowercase();
    let hidden = node.attribute("hidden").is_some_and(|value| !value.eq_ignore_ascii_case("until-found"))
        || style.contains("display:none")
        || style.contains("visibility:hidden");
    let marks =
        ["role", "class", "id"].map(|name| node.attribute(name).unwrap_or_default().to_ascii_lowercase());
    let folded = ["tab", "panel", "pane", "accordion", "collaps", "toggle", "content"];
    // Tabs and folds hold more than an item or a word.
    let is_part =
        matches!(node.name(), "li" | "tr" | "td" | "th" | "dt" | "dd" | "span" | "code" | "b" | "i" | "p");
    if is_part {
        return hidden;
    }
    hidden && !marks.iter().any(|mark| folded.iter().any(|word| mark.contains(word)))
}

/// Whether its own style gives it a line of its own.
fn shows_as_block(node: &Node) -> bool {
    let Some(style) = node.attribute("style") else { return false };
    let style: String = style.chars().filter(|letter| !letter.is_whitespace()).collect();
    ["display:block", "display:flex", "display:grid", "display:list-item", "display:table"]
        .iter()
        .any(|way| style.to_ascii_lowercase().contains(way))
}
