//! Bytes to text, in the character set that the page states.
//!
//! In order: a byte order mark, the answer's header, a `meta` of HTML, UTF-8
//! (<https://encoding.spec.whatwg.org/>, <https://html.spec.whatwg.org/#determining-the-character-encoding>). JSON is UTF-8
//! whatever a header says ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259#section-8.1)). Where nothing is stated and the bytes
//! are no UTF-8, nothing is guessed.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

use super::shown;
use crate::policy::PageKind;
use crate::upstream::Unreadable;

/// How far a browser looks for a `meta` with a character set.
const META_BYTES_MAX: usize = 1024;

/// The text; unreadable where a byte does not belong.
pub(super) fn decode(body: &[u8], stated: Option<&str>, kind: PageKind) -> Result<String, Unreadable> {
    let unreadable = |line, reason| Err(Unreadable { line, reason });
    let (encoding, mark) = match Encoding::for_bom(body) {
        Some((encoding, mark)) => (encoding, mark),
        None => match named(body, stated, kind) {
            Ok(encoding) => (encoding, 0),
            Err(label) => {
                let reason = format!("the page's character set `{}` is not known", shown(&label));
                return unreadable(None, reason);
            }
        },
    };
    let bytes = body.get(mark..).unwrap_or_default();
    match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) if text.contains('\0') => {
            let line = text.split('\0').next().map(|before| line_of(before.as_bytes()));
            unreadable(line, "the page has a zero byte: it is no text".to_owned())
        }
        Some(text) => Ok(text.into_owned()),
        None => {
            let sound = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
            let line = (encoding == UTF_8).then(|| line_of(bytes.get(..sound).unwrap_or_default()));
            unreadable(line, format!("a byte does not belong in {}", encoding.name()))
        }
    }
}

fn line_of(before: &[u8]) -> u32 {
    let lines = before.split(|byte| *byte == b'\n').count();
    u32::try_from(lines).unwrap_or(u32::MAX)
}

/// The encoding by name; the name itself where nobody knows it.
fn named(body: &[u8], stated: Option<&str>, kind: PageKind) -> Result<&'static Encoding, String> {
    let known = |label: &str| Encoding::for_label(label.as_bytes()).ok_or_else(|| label.to_owned());
    match (kind, stated) {
        (PageKind::Html | PageKind::Markdown | PageKind::Text | PageKind::Csv, Some(label)) => known(label),
        (PageKind::Html, None) => match meta(body) {
            Some(label) => Ok(match known(&label)? {
                // Whoever could read the `meta` as ASCII does not read UTF-16: the rules of HTML say what is meant.
                encoding if encoding == UTF_16LE || encoding == UTF_16BE => UTF_8,
                encoding if encoding == X_USER_DEFINED => WINDOWS_1252,
                encoding => encoding,
            }),
            None => Ok(UTF_8),
        },
        (PageKind::Json | PageKind::Dns, _) | (PageKind::Markdown | PageKind::Text | PageKind::Csv, None) => {
            Ok(UTF_8)
        }
    }
}

/// The character set that a `meta` states near the beginning.
fn meta(body: &[u8]) -> Option<String> {
    let head = body.get(..META_BYTES_MAX).unwrap_or(body);
    let mut rest = String::from_utf8_lossy(head).to_ascii_lowercase();
    rest = without_comments(&rest);
    rest.match_indices("<meta").find_map(|(at, _)| {
        let tag = rest.get(at..)?.split('>').next()?;
        let value = tag.split_once("charset")?.1.trim_start().strip_prefix('=')?.trim_start();
        let value = match value.strip_prefix(['"', '\'']) {
            Some(quoted) => quoted.split(['"', '\'']).next()?,
            None => value.split([' ', ';', '"', '\'', '/', '\t', '\n', '\r']).next()?,
        };
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    })
}

fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        kept.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, after)| after);
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::document::tests::document;

    fn text(content_type: &str, body: &[u8]) -> Result<String, Unreadable> {
        document(content_type, body).text(PageKind::Html)
    }

    #[test]
    fn the_header_a_meta_or_a_mark_says_what_the_bytes_mean() {
        let dash = "20.91.170.120–127";
        let (latin, _, _) = WINDOWS_1252.encode(dash);
        assert_eq!(text("text/html; charset=ISO-8859-1", &latin).unwrap(), dash);
        for tag in [
            r#"<meta charset="windows-1252">"#,
            "<META CharSet=latin1 />",
            r#"<!-- <meta charset=utf-8> --><meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">"#,
        ] {
            let body = [tag.as_bytes(), &latin].concat();
            assert_eq!(text("text/html", &body).unwrap(), format!("{tag}{dash}"), "{tag}");
        }
        let wide: Vec<u8> = dash.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(text("text/html; charset=utf-8", &[&b"\xff\xfe"[..], &wide].concat()).unwrap(), dash);
        let wide: Vec<u8> = dash.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(text("text/html", &[&b"\xfe\xff"[..], &wide].concat()).unwrap(), dash);
        assert_eq!(text("text/html; charset=utf-16le", "a".repeat(2).as_bytes()).unwrap(), "慡");
        assert_eq!(text("text/html", &[&b"\xef\xbb\xbf"[..], dash.as_bytes()].concat()).unwrap(), dash);
    }

    #[test]
    fn what_does_not_belong_makes_the_page_unreadable() {
        let fault = text("text/html", b"one\ntwo \x96 three").unwrap_err();
        assert_eq!((fault.line, fault.reason.as_str()), (Some(2), "a byte does not belong in UTF-8"));
        let fault = text("text/html; charset=klingon", b"x").unwrap_err();
        assert!(fault.reason.contains("`klingon` is not known"));
        // Character sets that browsers refuse, since scripts hide in them.
        assert!(text("text/html; charset=iso-2022-kr", b"x").is_err());
        assert!(text("text/html; charset=utf-7", b"x").is_err());
        let fault = text("text/html", b"a\n\0").unwrap_err();
        assert_eq!(fault.line, Some(2));
        assert!(text("text/html; charset=utf-16", b"abc").is_err());
    }

    #[test]
    fn json_is_utf_8() {
        let json = document("application/json; charset=iso-8859-1", "–".as_bytes());
        assert_eq!(json.text(PageKind::Json).unwrap(), "–");
    }

    #[test]
    fn a_meta_without_an_end_is_none() {
        for body in ["<meta charset", "<meta", "<!-- <meta charset=x>", "<meta charset= >"] {
            assert_eq!(meta(body.as_bytes()), None, "{body}");
        }
        assert_eq!(meta(b"<meta charset=x").as_deref(), Some("x"));
    }
}
