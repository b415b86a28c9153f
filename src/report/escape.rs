//! Text of others for places where text is markup: nothing in it becomes a link, a mention, HTML or a command.
//!
//! A policy in a pull request is written by whoever opened it, and a bot posts the comment with rights of its own.

pub(super) use crate::plain::shortened;
use crate::plain::{harmless, line};
use crate::review::concern::host;

/// Keeps a forge from taking what follows for a mention or a reference: shown as nothing.
const APART: &str = "&#8203;";

/// One harmless line in which GitHub's runner finds no command, as it does anywhere in a line that a step prints.
pub fn one_line(text: &str) -> String {
    line(text).replace("##[", "## [")
}

/// A line of a difference that GitHub's runner takes for no command where it is printed in a log.
pub fn inert(line: &str) -> String {
    let line = line.replace("##[", "## [");
    match line.trim_start().strip_prefix("::") {
        Some(rest) => format!(" : :{rest}"),
        None => line,
    }
}

/// A piece of one line as code: forges look for nothing in it. At most `most` characters.
pub fn code(text: &str, most: usize) -> String {
    let text = shortened(one_line(text), most);
    if text.is_empty() {
        return String::new();
    }
    let longest = longest_run(&text, '`');
    let fence = "`".repeat(longest + 1);
    // A backtick at an end would be part of the fence, and a space at both ends is taken off.
    let room = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{room}{text}{room}{fence}")
}

/// The same in a cell of a table, where a bar ends the cell even in code.
pub fn code_cell(text: &str, most: usize) -> String {
    code(text, most).replace('|', "\\|")
}

/// A sentence of one line: what stands between backticks is code, and the rest is plain text. At most `most`
/// characters.
pub fn prose(text: &str, most: usize) -> String {
    let text = shortened(one_line(text), most);
    let parts: Vec<&str> = text.split('`').collect();
    let mut shown = String::with_capacity(text.len() * 2);
    for (index, part) in parts.iter().enumerate() {
        let paired = index % 2 == 1 && index + 1 < parts.len();
        if paired {
            shown.push_str(&code_cell(part, most));
        } else {
            // One without a partner is a character like others.
            shown.push_str(if index % 2 == 1 { "\\`" } else { "" });
            plain(part, &mut shown);
        }
    }
    shown
}

/// Text in which no character means anything to Markdown, HTML or a forge.
fn plain(text: &str, shown: &mut String) {
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        // `www.` and `://` make links of themselves, and `GH-1` a reference.
        let makes_link = (c == '.' && before.eq_ignore_ascii_case(&'w'))
            || c == ':'
            || (c == '-' && before.eq_ignore_ascii_case(&'h'));
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '|' | '=' | '+' => {
                shown.extend(['\\', c]);
            }
            '@' | '#' | '!' | '%' | '~' | '$' | '^' => {
                shown.extend(['\\', c]);
                if next != ' ' {
                    shown.push_str(APART);
                }
            }
            ':' | '.' | '-' if makes_link && next != ' ' => {
                shown.extend(['\\', c]);
                shown.push_str(APART);
            }
            c => shown.push(c),
        }
        before = c;
    }
}

/// A fence of code that no line of the text ends.
pub fn fence(text: &str) -> String {
    "`".repeat(longest_run(text, '`').max(2) + 1)
}

fn longest_run(text: &str, wanted: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// A link that shows its host, or code where it can't be one that does no harm; in a cell of a table too.
///
/// A link to a forge leaves a trace there, in strangers' threads: it is shown, and is no link.
pub fn link(url: &str) -> String {
    let host = host(url);
    let is_plain = url.starts_with("https://")
        && url.len() <= 500
        && url.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'*+,;=%".contains(&byte))
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte));
    let is_forge = ["github.com", "gitlab.com"].iter().any(|forge| {
        let host = host.to_ascii_lowercase();
        host == *forge || host.ends_with(&format!(".{forge}"))
    });
    if is_plain && !is_forge { format!("[{}](<{url}>)", code(host, 100)) } else { code_cell(url, 200) }
}

/// Text in HTML, between tags or in an attribute.
pub fn html(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            '@' | '#' => {
                shown.push(c);
                shown.push_str(APART);
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Text in XML 1.0, between tags or in an attribute: what it can't hold is a space.
pub fn xml(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.replace("##[", "## [").chars().map(harmless) {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&apos;"),
            c => shown.push(c),
        }
    }
    shown
}

/// A path as a relative reference of RFC 3986.
pub fn uri(path: &str) -> String {
    let mut shown = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            shown.push(char::from(byte));
        } else {
            shown.push_str(&format!("%{byte:02X}"));
        }
    }
    // What stands before a colon in the first part would be a scheme; colons are escaped above.
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_ends_where_it_should() {
        for (text, wanted) in [
            ("a", "`a`"),
            ("", ""),
            ("a`b", "``a`b``"),
            ("`", "`` ` ``"),
            ("a``b`", "``` a``b` ```"),
            ("a\n\n# b", "`a # b`"),
            ("<img src=x>", "`<img src=x>`"),
            ("@all | #1\u{1b}[2J\u{202e}", "`@all | #1 [2J`"),
        ] {
            assert_eq!(code(text, 100), wanted, "{text:?}");
        }
        assert_eq!(code("abc", 2), "`ab…`");
        assert_eq!(code(&"x".repeat(1_000_000), 9), "`xxxxxxxxx…`");
        assert_eq!(code("a ##[set-output name=b]c", 99), "`a ## [set-output name=b]c`");
        assert_eq!(code_cell("a|b", 9), "`a\\|b`");
    }

    #[test]
    fn lines_hold_no_command_of_a_runner() {
        for (text, wanted) in [
            (" a ::b", " a ::b"),
            ("::error::x", " : :error::x"),
            ("\t ::x", " : :x"),
            ("+##[group]", "+## [group]"),
        ] {
            assert_eq!(inert(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn prose_mentions_nobody_and_links_nowhere() {
        for (text, wanted) in [
            ("source `a|b` lost", "source `a\\|b` lost"),
            ("ping @all", "ping \\@&#8203;all"),
            ("fixes #12", "fixes \\#&#8203;12"),
            ("a `b", "a \\`b"),
            ("<b>&", "&lt;b&gt;&amp;"),
            ("[x](y) _x_", "\\[x\\]\\(y\\) \\_x\\_"),
            ("http://x", "http\\:&#8203;//x"),
            ("www.x", "www\\.&#8203;x"),
            ("GH-1", "GH\\-&#8203;1"),
            ("a: b. c", "a: b. c"),
        ] {
            assert_eq!(prose(text, 100), wanted, "{text:?}");
        }
    }

    #[test]
    fn links_are_https_and_show_their_host() {
        assert_eq!(link("https://a.example/x"), "[`a.example`](<https://a.example/x>)");
        for url in
            ["javascript:alert(1)", "https://a.example/>x", "https://a.example/ x", "https://a.example/(x)"]
        {
            assert_eq!(link(url), code(url, 200), "{url}");
        }
        for issue in ["https://GitHub.com/a/b/issues/1", "https://a@sub.gitlab.com/b"] {
            assert_eq!(link(issue), code(issue, 200));
        }
    }

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("policies/a b:c.yaml"), "policies/a%20b%3Ac.yaml");
        assert_eq!(uri("ä/…"), "%C3%A4/%E2%80%A6");
    }

    #[test]
    fn xml_holds_no_character_that_it_must_not() {
        assert_eq!(xml("a\u{0}\u{1b}\u{b}<\"&'>\u{fffe}\u{ffff}"), "a   &lt;&quot;&amp;&apos;&gt;  ");
    }
}
