//! Pages with status 200 that only send their reader elsewhere.

use super::sink::{Data, Node, Tree};
use crate::upstream::page::{Block, Moved, Page};

/// A page that says little besides has at most so many characters of text.
const LITTLE_TEXT: usize = 600;
/// Who is sent on later than this many seconds is to read the page before.
const DELAY_MAX: u32 = 10;

/// Where the page sends its reader: `None` where it is a page.
pub(super) fn found(tree: &Tree, page: &Page) -> Option<Moved> {
    let is_little = shown(page) <= LITTLE_TEXT;
    let elements = || tree.nodes.iter();
    if let Some(url) = elements().find_map(refresh).filter(|_| is_little) {
        return Some(Moved { to: Some(url) });
    }
    let sent_by_script = elements().any(|node| node.name() == "script" && sends(&script(tree, node)));
    if !sent_by_script || !is_little {
        return None;
    }
    let canonical =
        elements().find(|node| node.name() == "link" && node.attribute("rel") == Some("canonical"));
    let url = canonical.and_then(|node| node.attribute("href")).map(str::to_owned);
    // Without such an address a little text and a script are more often a page that is built by the script.
    let says_so = page.title.to_lowercase().contains("redirect");
    (url.is_some() || says_so).then_some(Moved { to: url })
}

fn shown(page: &Page) -> usize {
    let lines = page.blocks.iter().map(|block| match block {
        Block::Heading(_, line) => line.text.len(),
        Block::Passage(passage) => passage.text().len(),
        Block::Table(table) => {
            table.rows.iter().flat_map(|row| &row.cells).map(|cell| cell.text().len()).sum()
        }
        Block::Open | Block::Close => 0,
    });
    lines.sum()
}

/// The address of `<meta http-equiv="refresh" content="0; url=…">`.
fn refresh(node: &Node) -> Option<String> {
    let is_refresh = node.name() == "meta"
        && node.attribute("http-equiv").is_some_and(|name| name.trim().eq_ignore_ascii_case("refresh"));
    let content = node.attribute("content").filter(|_| is_refresh)?;
    let (delay, rest) = content.split_once([';', ','])?;
    let delay: u32 = delay.trim().split('.').next()?.parse().ok()?;
    let (key, url) = rest.split_once('=')?;
    let url = url.trim().trim_matches(['\'', '"']).trim();
    (delay <= DELAY_MAX && key.trim().eq_ignore_ascii_case("url") && !url.is_empty()).then(|| url.to_owned())
}

fn script(tree: &Tree, node: &Node) -> String {
    let texts = node.children.iter().filter_map(|id| tree.node(*id)).map(|child| match &child.data {
        Data::Text(parts) => parts.iter().map(|(_, text)| text.as_str()).collect(),
        Data::Root | Data::Element(..) | Data::Other => String::new(),
    });
    texts.collect()
}

/// Whether a script gives the window another address.
fn sends(script: &str) -> bool {
    let packed: String = script.chars().filter(|letter| !letter.is_whitespace()).collect();
    [
        "location=\"",
        "location='",
        "location.href=\"",
        "location.href='",
        "location.replace(",
        "location.assign(",
    ]
    .iter()
    .any(|way| packed.contains(way))
}
