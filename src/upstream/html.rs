//! HTML as blocks: parsed as browsers parse it, and only what they show.
//!
//! Nothing is run and nothing is fetched. A page that only sends its reader elsewhere is told as moved, and one whose text
//! ends before its elements do as cut short.

mod blocks;
mod redirect;
mod sink;

use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::{ParseOpts, parse_document};

use super::page::Page;
use blocks::Walker;
use sink::{Sink, Tree};

/// The parser is fed in pieces of so many bytes, so that what is too much is seen early.
const PIECE_BYTES: usize = 1024;

/// Which lines of the file lines of the text come from, where the text was made of a file.
pub(super) type Lines = Vec<u32>;

/// Reads a page.
pub(super) fn read(text: &str) -> Result<Page, String> {
    let tree = parse(text)?;
    let mut page = Walker::new(&tree, None).page();
    page.moved = redirect::found(&tree, &page);
    if page.cut.is_some() {
        return Ok(page);
    }
    if tree.unfinished {
        page.cut = Some("the page ends within an element".to_owned());
    } else if let Some(name) = unclosed(text) {
        page.cut = Some(format!("the page has `<{name}` and ends without `</{name}>`"));
    }
    Ok(page)
}

/// Reads text that was made of a file of another kind; `lines` has the file's line for each line of the text.
pub(super) fn read_made(text: &str, lines: &Lines) -> Result<Page, String> {
    let tree = parse(text)?;
    Ok(Walker::new(&tree, Some(lines)).page())
}

fn parse(text: &str) -> Result<Tree, String> {
    let mut parser = parse_document(Sink::new(), ParseOpts::default());
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(piece_end(rest));
        parser.process(StrTendril::from(piece));
        if let Some(excess) = parser.tokenizer.sink.sink.excess() {
            return Err(excess);
        }
        rest = after;
    }
    parser.tokenizer.sink.sink.end_begins();
    Ok(parser.finish())
}

fn piece_end(text: &str) -> usize {
    (PIECE_BYTES.min(text.len())..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len())
}

/// `html` or `body` where its start is written and its end is not.
fn unclosed(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let is_open = |name: &&str| lower.contains(&format!("<{name}")) && !lower.contains(&format!("</{name}"));
    // The end of one is enough: nothing of a page comes behind either.
    let open: Vec<&str> = ["html", "body"].into_iter().filter(is_open).collect();
    let ended = ["</html", "</body"].iter().any(|end| lower.contains(end));
    open.first().filter(|_| !ended).map(|name| if *name == "html" { "html" } else { "body" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::page::Block;

    /// Blocks as short texts.
    fn told(text: &str) -> Vec<String> {
        let page = read(text).unwrap();
        page.blocks
            .iter()
            .map(|block| match block {
                Block::Heading(level, line) => format!("h{level}@{} {}", line.number(), line.text),
                Block::Passage(passage) => {
                    let lines: Vec<String> = passage
                        .lines
                        .iter()
                        .map(|line| format!("@{} {}", line.number(), line.text))
                        .collect();
                    format!("{:?} {}", passage.kind, lines.join(" | "))
                }
                Block::Table(table) => {
                    let rows: Vec<String> = table
                        .rows
                        .iter()
                        .map(|row| {
                            let cells: Vec<String> =
                                row.cells.iter().map(super::super::page::Cell::text).collect();
                            cells.join(" | ")
                        })
                        .collect();
                    format!("table {}", rows.join(" / "))
                }
                Block::Open => "(".to_owned(),
                Block::Close => ")".to_owned(),
            })
            .collect()
    }

    #[test]
    fn blocks_separate_and_inline_elements_do_not() {
        assert_eq!(
            told(
                "<h2 id=a>Call<b>backs</b></h2>\n<p>192.0.2.1 - <span>192.0.2.9</span><br>\n<code>1.2.3.</code>4<p>b"
            ),
            ["h2@1 Callbacks", "Paragraph @2 192.0.2.1 - 192.0.2.9 | @3 1.2.3.4", "Paragraph @3 b"]
        );
        assert_eq!(
            told(
                "<ul><li>a<ul><li>b</li></ul></li><li><p>c</p></li></ul><td>x</td><div>d<div>e</div>f</div>"
            ),
            [
                "Item(1) @1 a",
                "Item(2) @1 b",
                "Item(1) @1 c",
                "Paragraph @1 x",
                "Paragraph @1 d",
                "Paragraph @1 e",
                "Paragraph @1 f"
            ]
        );
    }

    #[test]
    fn what_is_not_shown_is_no_text() {
        assert_eq!(
            told(
                "<p>a<script>b</script><style>c</style><!-- d --><template>e</template><svg><path d='5.92.42.36'/>\
                 <text>f</text></svg><i hidden>g</i><i style='display: none'>h</i><noscript>i</noscript>j<nav>k</nav>"
            ),
            ["Paragraph @1 a j"]
        );
        assert_eq!(told("<div role=tabpanel hidden>a</div>"), ["(", "Paragraph @1 a", ")"]);
    }

    #[test]
    fn tables_have_cells() {
        assert_eq!(
            told(
                "<table><tr><th>A<th colspan=2>B<tr><td rowspan=2>1<td>2<br>x<td>3<tr><td><ul><li>4<li>5</ul><td>6</table>"
            ),
            ["table A | B | B / 1 | 2 x | 3 / 1 | 4 5 | 6"]
        );
        assert_eq!(
            told("<table><tr><td><pre>1\n2</pre><td><pre>a\nb</pre></table>"),
            ["Code @1 1 | @2 2", "Code @2 a | @3 b"]
        );
    }

    #[test]
    fn a_cut_page_is_told() {
        for text in ["<html><p>a", "<div><p>a", "<body>a", "<ul><li>a", "<p>a<scr", "<script>a", "<p>a<!-- b"]
        {
            assert!(read(text).unwrap().cut.is_some(), "{text}");
        }
        for text in ["<html><p>a</html>", "<p>a", "<html><body><div>a</div></body></html>\n", "<li>a"] {
            assert_eq!(read(text).unwrap().cut, None, "{text}");
        }
    }

    #[test]
    fn too_much_is_refused_early() {
        let many = "<div>".repeat(400_000);
        assert!(read(&many).unwrap_err().contains("deep"));
        let table = "<table><tr><td>".repeat(100_000);
        assert!(read(&table).unwrap_err().contains("deep"));
    }
}
