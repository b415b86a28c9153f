//! A survey as one page that needs nothing else: for whoever has a browser and no terminal.
//!
//! The page runs no script and asks for nothing, and its own policy tells the browser so. The template gets finished
//! values and decides nothing; every value is escaped, whoever wrote it.

mod allowlist;
mod change;
mod drift;
mod finding;
mod pages;
mod summary;
mod timeline;
mod words;

use std::collections::HashSet;
use std::io::Write;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tera::{Context, Tera};

use super::survey_v1::Survey;

/// A page is never longer than this: what is too much is left out, with its count.
pub const BYTES_MAX: usize = 3_000_000;

const TEMPLATE: &str = include_str!("html/page.tera");
const PARTS: &str = include_str!("html/parts.tera");
const STYLE: &str = include_str!("html/page.css");
/// The engine escapes by the ending.
const NAME: &str = "page.html";

/// How much is shown of everything.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Rows of a table, and entries of a list.
    rows: usize,
    /// Prefixes or ranges of one row.
    prefixes: usize,
    /// Pieces of evidence of one source.
    pieces: usize,
    /// Lines of a difference.
    lines: usize,
    /// Characters of a text.
    words: usize,
}

/// From all that a page is good for down to the least; the last is small whatever the survey holds.
const LIMITS: [Limits; 5] = [
    Limits { rows: 1000, prefixes: 200, pieces: 40, lines: 400, words: 4000 },
    Limits { rows: 400, prefixes: 60, pieces: 10, lines: 120, words: 1000 },
    Limits { rows: 150, prefixes: 20, pieces: 4, lines: 40, words: 400 },
    Limits { rows: 40, prefixes: 8, pieces: 2, lines: 15, words: 200 },
    Limits { rows: 12, prefixes: 4, pieces: 1, lines: 5, words: 100 },
];

/// The page as the template gets it.
#[derive(Serialize)]
struct Page<'a> {
    style: &'static str,
    /// What the browser may load: the style in the page, known by its digest.
    content_policy: String,
    shortened: bool,
    head: summary::Head,
    contents: Vec<summary::Entry>,
    tiles: Vec<summary::Tile>,
    steps: Vec<summary::Step>,
    policies: Vec<summary::Policy>,
    service: Option<String>,
    drift: Option<drift::Drift<'a>>,
    rendered: Option<change::Rendered>,
    findings: finding::Findings,
    timeline: Option<timeline::Timeline>,
    allowlist: Option<allowlist::Allowlist>,
    upstream: Option<pages::Upstream>,
    review: Option<change::Review>,
}

/// The page.
///
/// It fails only where the template in the program is broken.
pub fn html(survey: &Survey) -> Result<String, tera::Error> {
    let mut text = String::new();
    for (index, limits) in LIMITS.iter().enumerate() {
        let page = Page { shortened: index > 0, ..page(survey, *limits) };
        text = engine()?.render(NAME, &Context::from_serialize(&page)?)?;
        if text.len() <= BYTES_MAX {
            break;
        }
    }
    Ok(text)
}

fn page(survey: &Survey, limits: Limits) -> Page<'_> {
    let policy = survey.policy.as_ref();
    let allowlist = policy.map(|policy| allowlist::allowlist(policy, limits));
    let none = HashSet::new();
    let described = allowlist.as_ref().map_or(&none, |list| &list.described);
    let timeline = policy.map(|policy| timeline::timeline(policy, &survey.at, described, limits));
    let rows = timeline.as_ref().map_or(&none, |timeline| &timeline.named);
    let mut page = Page {
        style: STYLE,
        content_policy: content_policy(),
        shortened: false,
        head: summary::head(survey, limits),
        contents: Vec::new(),
        tiles: summary::tiles(survey),
        steps: summary::steps(survey, limits),
        policies: summary::policies(survey, limits),
        service: policy.map(|policy| summary::service(&policy.service)),
        drift: survey.drift.as_ref().map(|report| drift::drift(report, rows, limits)),
        rendered: survey.rendered.as_ref().map(|report| change::rendered(report, limits)),
        findings: finding::findings(&survey.findings, survey.beyond, limits),
        timeline,
        allowlist,
        upstream: survey.upstream.as_ref().map(|report| pages::upstream(report, limits)),
        review: survey.review.as_ref().map(|report| change::review(report, limits)),
    };
    page.contents = summary::contents(&page, survey);
    page
}

/// Made once: reading the template costs more than a page.
fn engine() -> Result<&'static Tera, tera::Error> {
    static ENGINE: OnceLock<Tera> = OnceLock::new();
    if let Some(engine) = ENGINE.get() {
        return Ok(engine);
    }
    let mut engine = Tera::default();
    engine.set_escape_fn(escaped);
    engine.add_raw_templates([("parts.html", PARTS), (NAME, TEMPLATE)])?;
    Ok(ENGINE.get_or_init(|| engine))
}

/// Text between tags or in a quoted attribute: nothing in it is markup, and nothing reorders what is read.
fn escaped(text: &str, page: &mut dyn Write) -> std::io::Result<()> {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars().map(crate::plain::harmless) {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    page.write_all(safe.as_bytes())
}

/// Nothing is loaded, and the style is the one that the program wrote.
fn content_policy() -> String {
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        let mut page = Vec::new();
        escaped("</style><img src='x' onerror=\"y\">&\u{202e}a\u{0}\n", &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert_eq!(page, "&lt;/style&gt;&lt;img src=&#39;x&#39; onerror=&quot;y&quot;&gt;&amp; a  ");
    }

    #[test]
    fn nothing_but_the_style_goes_in_as_it_is() {
        let template = [PARTS, TEMPLATE].concat();
        let around: Vec<&str> = template.split("| safe").collect();
        assert_eq!(around.len(), 2, "one value that is not escaped");
        assert!(around[0].ends_with("<style>{{ style "));
        for never in [" style=", "<script", " src=", "autoescape"] {
            assert!(!template.contains(never), "{never}");
        }
        for never in ["</", "<!", "url(http", "@import"] {
            assert!(!STYLE.contains(never), "{never}");
        }
    }
}
