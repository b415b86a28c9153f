//! File name patterns of `include`: `*`, `?` and `[…]` as glob(3) has them, within one part of a path each.

/// A pattern, ready to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glob<'t>(&'t str);

impl<'t> Glob<'t> {
    /// This pattern; `None` where nothing in it makes it one, so that it names a single file.
    pub fn new(text: &'t str) -> Option<Self> {
        text.contains(['*', '?', '[']).then_some(Self(text))
    }

    /// Its text.
    pub fn as_str(self) -> &'t str {
        self.0
    }

    /// What every path that is meant starts with.
    pub(super) fn prefix(self) -> &'t str {
        let end = self.0.find(['*', '?', '[', '\\']).unwrap_or(self.0.len());
        let prefix = self.0.get(..end).unwrap_or_default();
        // Slashes in a row are one.
        prefix.find("//").and_then(|at| prefix.get(..at)).unwrap_or(prefix)
    }

    /// Whether a path is meant. Patterns and paths have as many parts; what starts with a dot has to be named.
    pub fn matches(self, path: &str) -> bool {
        let (mut patterns, mut parts) = (parts(self.0), parts(path));
        loop {
            match (patterns.next(), parts.next()) {
                (None, None) => return true,
                (Some(pattern), Some(part)) if matches_part(pattern, part) => {}
                _ => return false,
            }
        }
    }
}

/// The parts of a path. Slashes in a row are one.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    let root = path.starts_with('/').then_some("/");
    root.into_iter().chain(path.split('/').filter(|part| !part.is_empty()))
}

/// Whether a pattern means a name in a folder.
pub(crate) fn matches_part(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') && !pattern.starts_with("\\.") {
        return false;
    }
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut in_name) = (0, 0);
    // Where to go on once more of the name is left to the last star: the star takes the shortest text first.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(at..).unwrap_or_default();
        if rest.first() == Some(&b'*') {
            at += 1;
            star = Some((at, in_name));
            continue;
        }
        let byte = name.get(in_name).copied();
        match (byte, step(rest, byte)) {
            (None, _) if rest.is_empty() => return true,
            (Some(_), Some(length)) => {
                at += length;
                in_name += 1;
            }
            (Some(_), None) => {
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                (at, in_name) = (after, taken + 1);
            }
            (None, _) => return false,
        }
    }
}

/// The length of what a pattern starts with, where that means this byte.
fn step(pattern: &[u8], byte: Option<u8>) -> Option<usize> {
    let byte = byte?;
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => match bracket(rest, byte) {
            Some((length, true)) => Some(length + 1),
            Some((_, false)) => None,
            None => (byte == b'[').then_some(1),
        },
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [same, ..] => (*same == byte).then_some(1),
        [] => None,
    }
}

/// The length of what follows `[`, to `]` and with it, and whether the byte is in it; `None` where it isn't closed.
fn bracket(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    let mut at = start;
    let mut found = false;
    loop {
        let rest = pattern.get(at..)?;
        match rest {
            [b']', ..] if at > start => return Some((at + 1, found != negated)),
            [b'[', b':', class @ ..] if named(class).is_some() => {
                let (length, is_in) = named(class)?;
                found |= is_in(byte);
                at += length + 2;
            }
            [first, b'-', last, ..] if *last != b']' => {
                found |= (*first..=*last).contains(&byte);
                at += 3;
            }
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                at += 2;
            }
            [one, ..] => {
                found |= *one == byte;
                at += 1;
            }
            [] => return None,
        }
    }
}

/// Whether a byte belongs to a class.
type IsIn = fn(u8) -> bool;

/// A class of characters after `[:`, with the length of its name and its end.
fn named(class: &[u8]) -> Option<(usize, IsIn)> {
    const CLASSES: [(&[u8], IsIn); 5] = [
        (b"alnum:]", |byte| byte.is_ascii_alphanumeric()),
        (b"alpha:]", |byte| byte.is_ascii_alphabetic()),
        (b"digit:]", |byte| byte.is_ascii_digit()),
        (b"lower:]", |byte| byte.is_ascii_lowercase()),
        (b"upper:]", |byte| byte.is_ascii_uppercase()),
    ];
    CLASSES.iter().find(|(name, _)| class.starts_with(name)).map(|(name, is_in)| (name.len(), *is_in))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_glob_takes_them_for() {
        for (pattern, name, wanted) in [
            ("/etc/nginx/*.conf", "/etc/nginx/a.conf", true),
            ("/etc/nginx/*.conf", "/etc/nginx/.a.conf", false),
            ("/etc/nginx/.*", "/etc/nginx/.a.conf", true),
            ("/etc/nginx/*.conf", "/etc/nginx/a/b.conf", false),
            ("/etc/*/*.conf", "/etc/nginx/a.conf", true),
            ("/etc//nginx/*", "/etc/nginx/a", true),
            ("etc/*", "/etc/a", false),
            ("a*b*c", "aXbXbYc", true),
            ("a*b*c", "aXbXbY", false),
            ("?.conf", "a.conf", true),
            ("?.conf", ".conf", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]]x", "]x", true),
            ("[a-]x", "-x", true),
            ("[[:digit:]]x", "7x", true),
            ("[[:digit:]]x", "dx", false),
            ("[ax", "[ax", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            (r"[\]]*", "]a", true),
            ("**", "abc", true),
        ] {
            assert_eq!(Glob(pattern).matches(name), wanted, "{pattern} {name}");
        }
        assert_eq!((Glob::new("a.conf"), Glob::new("{a,b}")), (None, None));
    }

    #[test]
    fn many_stars_are_matched_in_time() {
        let (pattern, name) = ("*a".repeat(50), "a".repeat(200) + "b");
        assert!(!matches_part(&pattern, &name));
    }
}
