//! Where a block of Lua ends. Its code is never understood.
//!
//! Braces count, but for those in strings, long brackets and comments:
//! <https://www.lua.org/manual/5.1/manual.html#2.1>. A quote whose line has no second one is taken for a letter.

/// The length of what stands before the brace that closes the block; `None` where none does.
pub(super) fn block(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    // Where lines end in which a quote was the last of its kind: others in them needn't be looked for again.
    let (mut single, mut double) = (0, 0);
    loop {
        let rest = bytes.get(at..)?;
        let skip = rest.iter().position(|byte| matches!(byte, b'{' | b'}' | b'"' | b'\'' | b'[' | b'-'))?;
        at += skip;
        let rest = bytes.get(at..)?;
        at += match rest.first()? {
            b'{' => {
                depth += 1;
                1
            }
            b'}' if depth == 0 => return Some(at),
            b'}' => {
                depth -= 1;
                1
            }
            b'[' => long(rest)?,
            b'-' => comment(rest)?,
            b'\'' => string(rest, b'\'', &mut single, at),
            _ => string(rest, b'"', &mut double, at),
        };
    }
}

/// The length of a string with its quotes, or of the quote alone where its line has no other, which is noted.
fn string(rest: &[u8], quote: u8, alone_until: &mut usize, at: usize) -> usize {
    if at < *alone_until {
        return 1;
    }
    let mut escaped = false;
    let end = rest.iter().skip(1).position(|byte| {
        let ends = *byte == b'\n' || (*byte == quote && !escaped);
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    let end = end.map_or(rest.len(), |end| end + 1);
    if rest.get(end) == Some(&quote) {
        return end + 1;
    }
    *alone_until = at + end;
    1
}

/// The length of `[==[ … ]==]`, or of the bracket alone where it starts none.
fn long(rest: &[u8]) -> Option<usize> {
    let level = rest.iter().skip(1).take_while(|byte| **byte == b'=').count();
    if rest.get(level + 1) != Some(&b'[') {
        return Some(1);
    }
    let mut at = level + 2;
    loop {
        at += rest.get(at..)?.iter().position(|byte| *byte == b']')? + 1;
        let signs = rest.get(at..)?.iter().take_while(|byte| **byte == b'=').count();
        at += signs;
        if signs == level && rest.get(at) == Some(&b']') {
            return Some(at + 1);
        }
    }
}

/// The length of a comment, or of the dash alone where it starts none.
fn comment(rest: &[u8]) -> Option<usize> {
    let Some(after) = rest.strip_prefix(b"--") else { return Some(1) };
    if after.first() == Some(&b'[') {
        let length = long(after)?;
        if length > 1 {
            return Some(length + 2);
        }
    }
    Some(after.iter().position(|byte| *byte == b'\n')? + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_of_strings_and_comments_do_not_count() {
        for code in [
            "",
            " return { a = { 1 } } ",
            r#" x = "}" .. '}\'}' .. "\"}" "#,
            " -- }\n ",
            " --[[ } \n } ]] ",
            " --[=[ }]] ]=] ",
            " x = [[ } ]] y = [==[ ]] } ]=] ]==] ",
            " t[1] = a[b[2]] - 1 ",
            " --[ }\n ",
            "x = '",
            "x = \"\n\"",
            "x = '\n' }'",
        ] {
            assert_eq!(block(&format!("{code}}} rest }}")), Some(code.len()), "{code}");
        }
    }

    #[test]
    fn what_does_not_end_is_no_block() {
        for code in ["", "{}", "\"}\"", "[[ }", "--[[ }\n", "-- }", "'\\'}'", "[=[ ]]}"] {
            assert_eq!(block(code), None, "{code}");
        }
    }
}
