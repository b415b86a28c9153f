//! Markdown as blocks: made HTML, and read as that is, so that HTML within it is read by the same reader.
//!
//! The HTML is written so that each of its lines comes from one line of the file.

mod template;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::html;
use super::html::Lines;
use super::page::{Block, Page};

/// A paragraph of this alone ends what is made: where it is not there at the end, something has swallowed it.
const LAST: &str = "\u{e0ff}";

/// Reads a file.
pub(super) fn read(text: &str) -> Result<Page, String> {
    let plain = template::strip(text);
    let starts: Vec<usize> =
        std::iter::once(0).chain(plain.text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let mut made =
        Made { html: String::new(), lines: vec![1], plain: &plain, starts, head: false, torn: None };
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_GFM
        | Options::ENABLE_DEFINITION_LIST;
    for (event, range) in Parser::new_ext(&plain.text, options).into_offset_iter() {
        let line = made.line_of(range.start);
        made.event(event, line, &range);
    }
    let Made { mut html, mut lines, torn, .. } = made;
    html.push_str(&format!("\n<p>{LAST}</p>"));
    lines.push(lines.last().copied().unwrap_or(1));
    let mut page = html::read_made(&html, &lines)?;
    let swallowed = !matches!(page.blocks.pop(), Some(Block::Passage(last)) if last.text() == LAST);
    page.included.clone_from(&plain.included);
    page.torn = torn.or_else(|| ending(text));
    page.cut = if page.cut.is_some() {
        page.cut
    } else if plain.is_open {
        Some("the page has `{%` and ends without `%}`".to_owned())
    } else {
        swallowed.then(|| "an element of HTML is not closed and takes in the rest of the page".to_owned())
    };
    Ok(page)
}

/// Whether the last line shows that more was to come.
fn ending(text: &str) -> Option<String> {
    let last = text.lines().next_back().unwrap_or_default().trim();
    if last.starts_with('|') && !last.ends_with('|') {
        return Some("the page ends within the row of a table".to_owned());
    }
    if text.ends_with('\n') {
        return None;
    }
    let count = |letter: char| last.matches(letter).count();
    if count('(') > count(')') || count('[') > count(']') || count('`') % 2 == 1 {
        return Some("the page ends within brackets or code".to_owned());
    }
    let above = text.lines().rev().nth(1).unwrap_or_default().trim();
    if last.starts_with('|') && above.starts_with('|') && count('|') < above.matches('|').count() {
        return Some("the page ends within the row of a table".to_owned());
    }
    let word = last.split_whitespace().next_back().unwrap_or_default();
    let is_address = word.matches(['.', ':']).count() >= 2
        && word.chars().all(|letter| letter.is_ascii_hexdigit() || ".:/`*-–".contains(letter));
    is_address.then(|| {
        format!("the page ends with `{word}` and no line break behind it: it may be cut short there")
    })
}

/// HTML as it is made.
struct Made<'a> {
    html: String,
    lines: Lines,
    plain: &'a template::Plain,
    starts: Vec<usize>,
    head: bool,
    torn: Option<String>,
}

impl Made<'_> {
    /// The line of the file for a place in the text.
    fn line_of(&self, at: usize) -> u32 {
        let index = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        self.plain.lines.get(index).copied().unwrap_or(1)
    }

    /// Ends a line of HTML; the next one comes from this line of the file.
    fn line(&mut self, number: u32) {
        self.html.push('\n');
        self.lines.push(number);
    }

    fn event(&mut self, event: Event<'_>, line: u32, range: &std::ops::Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, line, range),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.text(&text, range.start);
            }
            Event::Code(text) => {
                self.html.push_str("<code>");
                self.text(&text.replace('\n', " "), range.start);
                self.html.push_str("</code>");
            }
            Event::Html(text) | Event::InlineHtml(text) => self.raw(&text, range.start),
            Event::FootnoteReference(_) => self.html.push_str("<sup>*</sup>"),
            Event::SoftBreak => self.line(self.line_of(range.end)),
            Event::HardBreak => {
                self.html.push_str("<br>");
                self.line(self.line_of(range.end));
            }
            Event::Rule => {
                self.line(line);
                self.html.push_str("<hr>");
            }
            Event::TaskListMarker(_) => {}
        }
    }

    fn text(&mut self, text: &str, at: usize) {
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
        self.raw(&escaped, at);
    }

    fn raw(&mut self, text: &str, at: usize) {
        let index = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        for (step, part) in text.split('\n').enumerate() {
            if step > 0 {
                let number = self.plain.lines.get(index + step).or(self.plain.lines.last());
                self.line(number.copied().unwrap_or(1));
            }
            self.html.push_str(part);
        }
    }

    fn start(&mut self, tag: Tag<'_>, line: u32, range: &std::ops::Range<usize>) {
        let is_block = !matches!(
            tag,
            Tag::Emphasis
                | Tag::Strong
                | Tag::Strikethrough
                | Tag::Superscript
                | Tag::Subscript
                | Tag::Link { .. }
                | Tag::Image { .. }
        );
        if is_block {
            self.line(line);
        }
        let text = match tag {
            Tag::Paragraph => "<p>",
            Tag::Heading { level, .. } => {
                return self.html.push_str(&format!("<h{}>", number(level)));
            }
            Tag::BlockQuote(_) => "<blockquote>",
            Tag::CodeBlock(kind) => {
                self.fence(&kind, range);
                self.html.push_str("<pre>");
                let fenced = matches!(kind, CodeBlockKind::Fenced(_));
                return self.line(if fenced { line.saturating_add(1) } else { line });
            }
            Tag::List(Some(_)) => "<ol>",
            Tag::List(None) => "<ul>",
            Tag::Item => "<li>",
            Tag::FootnoteDefinition(_) => "<div>",
            Tag::DefinitionList => "<dl>",
            Tag::DefinitionListTitle => "<dt>",
            Tag::DefinitionListDefinition => "<dd>",
            Tag::Table(_) => "<table>",
            Tag::TableHead => {
                self.head = true;
                "<thead><tr>"
            }
            Tag::TableRow => "<tr>",
            Tag::TableCell if self.head => "<th>",
            Tag::TableCell => "<td>",
            Tag::Emphasis => "<em>",
            Tag::Strong => "<strong>",
            Tag::Strikethrough => "<del>",
            Tag::Superscript => "<sup>",
            Tag::Subscript => "<sub>",
            Tag::Link { dest_url, .. } => {
                let away = if dest_url.starts_with('#') { "#" } else { "x" };
                return self.html.push_str(&format!("<a href={away}>"));
            }
            Tag::Image { .. } => "<span hidden>",
            Tag::HtmlBlock | Tag::MetadataBlock(_) => "",
        };
        self.html.push_str(text);
    }

    /// A fence that nothing closes takes in the rest of the page.
    fn fence(&mut self, kind: &CodeBlockKind<'_>, range: &std::ops::Range<usize>) {
        let whole = self.plain.text.get(range.clone()).unwrap_or_default().trim_end();
        let last = whole.lines().next_back().unwrap_or_default().trim_start_matches([' ', '>', '\t']);
        let closed = last.starts_with("```") || last.starts_with("~~~");
        if matches!(kind, CodeBlockKind::Fenced(_)) && !(closed && whole.contains('\n')) {
            self.torn = Some("the page ends within a block of code".to_owned());
        }
    }

    fn end(&mut self, tag: TagEnd) {
        let text = match tag {
            TagEnd::Paragraph => "</p>",
            TagEnd::Heading(level) => return self.html.push_str(&format!("</h{}>", number(level))),
            TagEnd::BlockQuote(_) => "</blockquote>",
            TagEnd::CodeBlock => "</pre>",
            TagEnd::List(true) => "</ol>",
            TagEnd::List(false) => "</ul>",
            TagEnd::Item => "</li>",
            TagEnd::FootnoteDefinition => "</div>",
            TagEnd::DefinitionList => "</dl>",
            TagEnd::DefinitionListTitle => "</dt>",
            TagEnd::DefinitionListDefinition => "</dd>",
            TagEnd::Table => "</tbody></table>",
            TagEnd::TableHead => {
                self.head = false;
                "</tr></thead><tbody>"
            }
            TagEnd::TableRow => "</tr>",
            TagEnd::TableCell if self.head => "</th>",
            TagEnd::TableCell => "</td>",
            TagEnd::Emphasis => "</em>",
            TagEnd::Strong => "</strong>",
            TagEnd::Strikethrough => "</del>",
            TagEnd::Superscript => "</sup>",
            TagEnd::Subscript => "</sub>",
            TagEnd::Link => "</a>",
            TagEnd::Image => "</span>",
            TagEnd::HtmlBlock | TagEnd::MetadataBlock(_) => "",
        };
        self.html.push_str(text);
    }
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
