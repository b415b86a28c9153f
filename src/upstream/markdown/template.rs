//! Front matter and the tags of Jekyll and Liquid, taken out of Markdown before it is read.
//!
//! Tags say how a page is put together and are no text; what an `include` is handed as prose is, and so is what a condition
//! guards. The value of a variable is not in the file: [`ABSENT`] stands in its place.

use super::Lines;
use crate::upstream::page::ABSENT;

/// Tags that show nothing of their own.
const SILENT: &[&str] = &[
    "if",
    "elsif",
    "else",
    "endif",
    "unless",
    "endunless",
    "case",
    "when",
    "endcase",
    "for",
    "endfor",
    "break",
    "continue",
    "capture",
    "endcapture",
    "assign",
    "increment",
    "decrement",
    "cycle",
    "raw",
    "endraw",
    "endcomment",
    "highlight",
    "endhighlight",
    "tabs",
    "endtabs",
    "tab",
    "endtab",
    "tablerow",
    "endtablerow",
    "hint",
    "endhint",
    "layout",
    "block",
    "endblock",
    "extends",
    "import",
    "set",
    "endset",
];

/// An attribute list has at most so many bytes.
const ATTRIBUTES_MAX: usize = 500;

/// A text without its template.
pub(super) struct Plain {
    /// The text that is left.
    pub(super) text: String,
    /// The line of the file for each of its lines.
    pub(super) lines: Lines,
    /// The first file that is included whole, and the line.
    pub(super) included: Option<(u32, String)>,
    /// Whether the text ends within a tag.
    pub(super) is_open: bool,
}

/// Takes front matter and tags out.
pub(super) fn strip(text: &str) -> Plain {
    let mut reader = Reader {
        rest: text,
        line: 1,
        out: Plain {
            text: String::with_capacity(text.len()),
            lines: vec![1],
            included: None,
            is_open: false,
        },
        dropping: false,
        unclosed: Vec::new(),
    };
    reader.front_matter();
    while !reader.rest.is_empty() {
        reader.step();
    }
    reader.out
}

struct Reader<'a> {
    rest: &'a str,
    line: u32,
    out: Plain,
    dropping: bool,
    /// Openings that nothing closes in the rest.
    unclosed: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// Leaves out what stands between two lines `---` at the very start.
    fn front_matter(&mut self) {
        let mut lines = self.rest.split_inclusive('\n');
        let is_fence = |line: &str| matches!(line.trim_end(), "---" | "...");
        let Some(first) = lines.next().filter(|line| line.trim_end() == "---") else { return };
        let mut length = first.len();
        let Some(count) = lines.clone().position(is_fence) else { return };
        let within = lines.clone().take(count);
        if !(count == 0 || within.clone().any(is_key) && within.clone().all(is_yaml)) {
            return;
        }
        length += lines.take(count + 1).map(str::len).sum::<usize>();
        let matter = self.take(length);
        for _ in 0..matter.matches('\n').count() {
            self.next_line();
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn next_line(&mut self) {
        self.line = self.line.saturating_add(1);
        self.out.text.push('\n');
        self.out.lines.push(self.line);
    }

    fn step(&mut self) {
        let plain = self.rest.find(['{', '\n']).unwrap_or(self.rest.len());
        let text = self.take(plain);
        if !self.dropping {
            self.out.text.push_str(text);
        }
        if self.rest.starts_with('\n') {
            self.take(1);
            return self.next_line();
        }
        if self.rest.is_empty() {
            return;
        }
        let ways: [(&'static str, &str); 3] = [("{%", "%}"), ("{{", "}}"), ("{:", "}")];
        for (open, close) in ways {
            if self.rest.starts_with(open) {
                return self.tag(open, close);
            }
        }
        let brace = self.take(1);
        if !self.dropping {
            self.out.text.push_str(brace);
        }
    }

    fn tag(&mut self, open: &'static str, close: &str) {
        let end = match open {
            // An attribute list is short and stands on one line.
            "{:" => self
                .rest
                .bytes()
                .take(ATTRIBUTES_MAX)
                .take_while(|byte| *byte != b'\n')
                .position(|byte| byte == b'}'),
            _ if self.unclosed.contains(&open) => None,
            _ => self.rest.find(close),
        };
        let Some(end) = end.and_then(|end| end.checked_sub(2)) else {
            // Searching is given up for good where nothing closes: a text of openings would be searched again and again.
            if open != "{:" && !self.unclosed.contains(&open) {
                self.unclosed.push(open);
            }
            self.out.is_open |= open == "{%";
            let lone = self.take(1);
            return self.out.text.push_str(lone);
        };
        let whole = self.take(2 + end + close.len());
        let inner = whole.get(2..2 + end).unwrap_or_default();
        let inner = inner.trim_matches('-').trim();
        let start = self.line;
        self.line = self.line.saturating_add(u32::try_from(whole.matches('\n').count()).unwrap_or(0));
        match open {
            "{%" => self.command(inner, start),
            "{{" if !self.dropping && !inner.starts_with(['<', '%']) => self.out.text.push(ABSENT),
            _ => {}
        }
    }

    fn command(&mut self, inner: &str, start: u32) {
        let (name, rest) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
        match name {
            "comment" => self.dropping = true,
            "endcomment" => self.dropping = false,
            _ if self.dropping => {}
            "include" | "include_relative" | "include_cached" | "render" => self.include(rest, start),
            _ if SILENT.contains(&name) => {}
            _ => self.out.text.push(ABSENT),
        }
    }

    /// What an include is handed as prose is shown by it; one that is handed nothing shows a file that is not here.
    fn include(&mut self, rest: &str, start: u32) {
        let rest = rest.trim_start();
        let (file, parameters) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let mut line = start;
        let mut shown = false;
        let mut left = parameters;
        while let Some(at) = left.find(['"', '\'']) {
            let quote = if left.get(at..).is_some_and(|rest| rest.starts_with('"')) { '"' } else { '\'' };
            let (before, value) =
                left.split_at_checked(at).map_or((left, ""), |(a, b)| (a, b.get(1..).unwrap_or("")));
            line = line.saturating_add(u32::try_from(before.matches('\n').count()).unwrap_or(0));
            let (value, after) = value.split_once(quote).unwrap_or((value, ""));
            if is_prose(value) {
                shown = true;
                self.prose(value, line);
            }
            line = line.saturating_add(u32::try_from(value.matches('\n').count()).unwrap_or(0));
            left = after;
        }
        if !shown && self.out.included.is_none() {
            self.out.included = Some((start, file.to_owned()));
        }
    }

    /// Writes prose as paragraphs of their own.
    fn prose(&mut self, value: &str, start: u32) {
        let mut line = start;
        for part in value.split('\n') {
            self.out.text.push_str(if line == start { "\n\n" } else { "\n" });
            let added = if line == start { 2 } else { 1 };
            self.out.lines.extend(std::iter::repeat_n(line, added));
            self.out.text.push_str(part.trim());
            line = line.saturating_add(1);
        }
        self.out.text.push_str("\n\n");
        self.out.lines.extend([self.line, self.line]);
    }
}

/// Whether a line gives a key of YAML.
fn is_key(line: &str) -> bool {
    let key = line.split_once(':').map_or("", |(key, _)| key);
    let mut letters = key.trim_matches(['"', '\'']).chars();
    letters.next().is_some_and(|first| first.is_alphanumeric() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || "_-. ".contains(letter))
}

/// Whether a line may stand in front matter: anything else is text between two rules.
fn is_yaml(line: &str) -> bool {
    let blank = line.trim().is_empty();
    blank || is_key(line) || line.starts_with([' ', '\t', '#', ']', '}']) || line.starts_with("- ")
}

/// Prose has words, or an address.
fn is_prose(value: &str) -> bool {
    let dots = value.matches(['.', ':']).count();
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    (dots >= 2 && digits >= 4) || value.trim().contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> (String, Lines) {
        let plain = strip(text);
        (plain.text, plain.lines)
    }

    #[test]
    fn lines_stay_what_they_were() {
        let (text, lines) = check(
            "---\na: b\n---\n# T\n{% include alert.html type=\"x\" body=\"one\ntwo `192.0.2.1`\" %}\nend",
        );
        let shown: Vec<(u32, &str)> =
            lines.iter().copied().zip(text.lines()).filter(|(_, line)| !line.is_empty()).collect();
        assert_eq!(shown, [(4, "# T"), (5, "one"), (6, "two `192.0.2.1`"), (7, "end")]);
    }

    #[test]
    fn tags_are_no_text() {
        assert_eq!(check("a{% if x %}b{% endif %}c{:.d}").0, "abc");
        assert_eq!(check("a{% comment %}b {{ c }}{% endcomment %}d").0, "ad");
        assert_eq!(check("192.0.2.{{ x }}").0, format!("192.0.2.{ABSENT}"));
        assert_eq!(check("{ \"a\": {} }").0, "{ \"a\": {} }");
        assert!(strip("a {% include b body=\"").is_open);
        assert_eq!(strip("\n{% include b.md %}").included, Some((2, "b.md".to_owned())));
        let many = "{%".repeat(500_000);
        assert!(strip(&many).is_open);
    }
}
