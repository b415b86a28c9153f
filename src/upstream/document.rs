//! A page as it was received: its bytes, when and where they were read, and what they say as text.
//!
//! Everything here is pure. Text is decoded whole or not at all: a byte that does not belong makes the page unreadable, because
//! an address may have stood there.

mod charset;

use std::fmt;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::Unreadable;
use crate::plain;
use crate::policy::PageKind;

/// Most bytes of a page, after decompression.
pub const BYTES_MAX: u64 = 2 << 20;
/// Most characters of an answer's words that are repeated in a message.
const SHOWN_MAX: usize = 200;

/// A page, received whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The address that the policy gives; `dns:` and the names for a page of host names.
    pub url: String,
    /// Where it was found: another address of the same host, where the page redirects.
    pub found_at: String,
    /// When.
    pub read_at: Timestamp,
    /// Its type, as the answer states it.
    pub content_type: Option<String>,
    /// The version, as the answer states it.
    pub etag: Option<String>,
    /// When it was changed last, as the answer states it.
    pub last_modified: Option<String>,
    /// The bytes, decompressed.
    pub body: Vec<u8>,
}

/// SHA-256 of a page's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BodyDigest([u8; 32]);

impl BodyDigest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl BodyDigest {
    /// Takes 64 hexadecimal digits, as they are written.
    pub fn parse(text: &str) -> Option<Self> {
        let pairs = text.as_bytes().chunks(2);
        let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        let digest = Self(bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()?);
        // No signs, no capitals: there is one way to write it.
        (digest.to_string() == text).then_some(digest)
    }
}

impl fmt::Display for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why there is no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// What became of the page.
    pub kind: MissedKind,
    /// What happened, in words.
    pub reason: String,
    /// What to do next.
    pub help: String,
}

/// What became of a page that gave no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissedKind {
    /// It stands somewhere else, at this address where one is said; or it is gone.
    Moved(Option<String>),
    /// It answered with something that is no page of its kind, or larger than callgate reads.
    Unreadable,
    /// It did not answer, or its answer can't be trusted.
    Unreachable,
}

impl Document {
    /// The digest of the bytes.
    pub fn digest(&self) -> BodyDigest {
        BodyDigest::of(&self.body)
    }

    /// The text, decoded as a page of this kind; unreadable where it is of another type or a byte does not belong.
    pub fn text(&self, kind: PageKind) -> Result<String, Unreadable> {
        let unreadable = |reason: String| Unreadable { line: None, reason };
        if let Some(what) = binary(&self.body) {
            return Err(unreadable(format!("the page is {what}, not {}", words(kind))));
        }
        let stated = self.content_type.as_deref().unwrap_or_default();
        let (essence, _) = stated.split_once(';').unwrap_or((stated, ""));
        let essence = essence.trim().to_ascii_lowercase();
        if !is_type_of(&essence, kind) {
            let shown = shown(&essence);
            return Err(unreadable(format!(
                "the page's type is `{shown}`, where {} was expected",
                words(kind)
            )));
        }
        charset::decode(&self.body, charset_of(stated), kind)
    }
}

/// Words of others, short and on one line.
pub(super) fn shown(text: &str) -> String {
    plain::line(plain::cut(text, SHOWN_MAX))
}

fn words(kind: PageKind) -> &'static str {
    match kind {
        PageKind::Html => "HTML",
        PageKind::Markdown => "Markdown",
        PageKind::Text => "plain text",
        PageKind::Json => "JSON",
        PageKind::Csv => "CSV",
        PageKind::Dns => "a list of host names",
    }
}

/// What bytes are that begin as files of other kinds do.
fn binary(body: &[u8]) -> Option<&'static str> {
    const BEGINNINGS: [(&[u8], &str); 10] = [
        (b"%PDF-", "a PDF"),
        (b"\x89PNG", "an image"),
        (b"GIF8", "an image"),
        (b"\xff\xd8\xff", "an image"),
        (b"RIFF", "an image or a sound"),
        (b"PK\x03\x04", "a ZIP archive or an office document"),
        (b"\x1f\x8b", "compressed once more than the answer says"),
        (b"\x28\xb5\x2f\xfd", "compressed once more than the answer says"),
        (b"\xd0\xcf\x11\xe0", "an office document"),
        (b"wOF", "a font"),
    ];
    BEGINNINGS.iter().find(|(bytes, _)| body.starts_with(bytes)).map(|(_, what)| *what)
}

/// Whether a page of this kind may be served under a type. No type and "some bytes" are what servers say that know no better:
/// such a page is judged by its text alone. HTML, though, is what errors and logins are written in: it passes for nothing else.
fn is_type_of(essence: &str, kind: PageKind) -> bool {
    let unknown = matches!(essence, "" | "application/octet-stream" | "binary/octet-stream");
    match kind {
        PageKind::Html => matches!(essence, "" | "text/html" | "application/xhtml+xml"),
        PageKind::Markdown => {
            unknown || matches!(essence, "text/markdown" | "text/x-markdown" | "text/plain")
        }
        PageKind::Text | PageKind::Dns => unknown || matches!(essence, "text/plain" | "text/markdown"),
        PageKind::Json => {
            unknown
                || matches!(essence, "application/json" | "text/json" | "text/plain")
                || (essence.starts_with("application/") && essence.ends_with("+json"))
        }
        PageKind::Csv => {
            unknown
                || matches!(
                    essence,
                    "text/csv" | "application/csv" | "text/comma-separated-values" | "text/plain"
                )
        }
    }
}

/// The `charset` parameter of a type, such as `text/html; charset="utf-8"`.
fn charset_of(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn document(content_type: &str, body: &[u8]) -> Document {
        Document {
            url: "https://example.com/callbacks/".to_owned(),
            found_at: "https://example.com/callbacks/".to_owned(),
            read_at: Timestamp::UNIX_EPOCH,
            content_type: (!content_type.is_empty()).then(|| content_type.to_owned()),
            etag: None,
            last_modified: None,
            body: body.to_vec(),
        }
    }

    fn why(content_type: &str, body: &[u8], kind: PageKind) -> String {
        document(content_type, body).text(kind).unwrap_err().reason
    }

    #[test]
    fn a_page_of_another_type_is_unreadable() {
        for (content_type, kind) in [
            ("application/pdf", PageKind::Html),
            ("image/svg+xml", PageKind::Html),
            ("text/plain", PageKind::Html),
            ("text/html; charset=utf-8", PageKind::Json),
            ("text/html", PageKind::Text),
            ("TEXT/HTML", PageKind::Markdown),
            ("text/html", PageKind::Csv),
            ("application/json", PageKind::Csv),
        ] {
            let reason = why(content_type, b"13.50.187.51", kind);
            assert!(reason.contains("the page's type is"), "{content_type}: {reason}");
        }
        for (content_type, kind) in [
            ("Text/HTML ; charset=UTF-8", PageKind::Html),
            ("application/xhtml+xml", PageKind::Html),
            ("text/plain; charset=utf-8", PageKind::Markdown),
            ("", PageKind::Text),
            ("application/octet-stream", PageKind::Csv),
            ("application/vnd.api+json", PageKind::Json),
            ("text/plain", PageKind::Json),
        ] {
            assert_eq!(document(content_type, b"x").text(kind).unwrap(), "x", "{content_type}");
        }
    }

    #[test]
    fn a_pdf_is_no_page_whatever_its_type_says() {
        assert_eq!(why("text/html", b"%PDF-1.7", PageKind::Html), "the page is a PDF, not HTML");
        assert!(why("text/plain", b"\x1f\x8b\x08", PageKind::Text).contains("compressed"));
    }

    #[test]
    fn a_digest_is_written_one_way() {
        let digest = BodyDigest::of(b"abc");
        let text = digest.to_string();
        assert!(text.starts_with("ba7816bf8f01cfea"));
        assert_eq!(BodyDigest::parse(&text), Some(digest));
        for wrong in [&text[1..], &text.to_uppercase(), "", &format!("+{}", &text[1..]), &format!("{text}00")]
        {
            assert_eq!(BodyDigest::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn parameters_of_a_type_are_found() {
        assert_eq!(charset_of("text/html; charset=utf-8"), Some("utf-8"));
        assert_eq!(charset_of("text/html;a=b; CharSet = \"Latin1\""), Some("Latin1"));
        assert_eq!(charset_of("text/html; charset="), None);
        assert_eq!(charset_of("text/html"), None);
    }

    #[test]
    fn what_others_wrote_is_shown_short_and_plain() {
        assert_eq!(shown("a\u{1b}[2J\nb"), "a [2J b");
        assert_eq!(shown(&"x".repeat(1000)).len(), 200);
    }
}
