//! A request's path as nginx sees it: decoded, slashes merged, dot segments resolved, the query cut.

/// A path and its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Uri {
    /// `$uri`
    pub(super) path: String,
    /// `$args`
    pub(super) query: String,
}

/// What to do with `//`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slashes {
    /// One is left of several, which is the default.
    Merged,
    /// `merge_slashes off`
    Kept,
}

/// Reads a path as it comes in a request line; `None` where nginx answers 400.
///
/// <https://nginx.org/en/docs/http/ngx_http_core_module.html#location>
pub(super) fn normalised(target: &str, slashes: Slashes) -> Option<Uri> {
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if !path.starts_with('/') {
        return None;
    }
    let decoded = decoded(path)?;
    let mut segments: Vec<&[u8]> = Vec::new();
    // What is after the last slash; a dot segment there leaves a slash.
    let mut last: &[u8] = b"";
    let mut parts = decoded.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            b"." => {}
            b".." => {
                segments.pop()?;
            }
            part if is_last => last = part,
            b"" if slashes == Slashes::Merged => {}
            part => segments.push(part),
        }
    }
    let mut bytes = vec![b'/'];
    for segment in segments {
        bytes.extend_from_slice(segment);
        bytes.push(b'/');
    }
    bytes.extend_from_slice(last);
    Some(Uri { path: String::from_utf8_lossy(&bytes).into_owned(), query: query.to_owned() })
}

/// Resolves `%XX`; `None` where that is malformed, or stands for a zero byte.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
        let byte = high << 4 | low;
        if byte == 0 {
            return None;
        }
        decoded.push(byte);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> Option<String> {
        normalised(target, Slashes::Merged).map(|uri| uri.path)
    }

    #[test]
    fn a_path_is_what_nginx_makes_of_it() {
        for (target, wanted) in [
            ("/callback?id=1#x", "/callback"),
            ("//a///b//", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/a//../b", "/b"),
            ("/%63allback", "/callback"),
            ("/a%2f%2e%2E/b", "/b"),
            ("/a%3fb?c", "/a?b"),
            ("/a%25%32", "/a%2"),
            ("/.../a", "/.../a"),
            ("/", "/"),
        ] {
            assert_eq!(path(target).as_deref(), Some(wanted), "{target}");
        }
        assert_eq!(normalised("/a?b=%20c#d", Slashes::Merged).unwrap().query, "b=%20c");
        assert_eq!(normalised("/a//../b", Slashes::Kept).unwrap().path, "/a/b");
    }

    #[test]
    fn what_nginx_refuses_has_no_path() {
        for target in ["callback", "/..", "/a/../..", "/%", "/%4", "/%zz", "/%00", "/../a"] {
            assert_eq!(path(target), None, "{target}");
        }
    }
}
