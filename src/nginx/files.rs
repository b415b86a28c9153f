//! The files of a configuration: the main file and whatever it includes, each read once.
//!
//! Reading a text shows which files it includes, so whoever has them is asked for them one after the other:
//! a folder tree, or what `nginx -T` printed.

use std::collections::{BTreeMap, BTreeSet};

use super::Glob;
use super::kept::Kept;
use super::lexer::{End, Lexer, Token};
use super::read::{ReadError, is_lua};
use crate::admission::{Listing, Text};

/// Files that a configuration may have.
const FILES_MAX: usize = 20_000;
/// Bytes that all of them may have together.
const BYTES_MAX: usize = 256 << 20;
/// Different paths and patterns that `include` may name.
const PATHS_MAX: usize = 100_000;
/// Patterns of a dump that are looked at.
const GLOBS_MAX: usize = 1_000;
/// How a file begins in what `nginx -T` prints; its name follows, and a colon.
const HEAD: &str = "# configuration file ";

/// Whoever has the texts of a configuration. Paths are absolute, or relative as the main file's path is.
pub trait Texts {
    /// The paths that a pattern means, in any order; none where it means nothing.
    fn paths(&self, pattern: Glob<'_>) -> Result<Vec<String>, String>;
    /// The text of a file; bytes that are no UTF-8 are replaced.
    fn text(&self, path: &str) -> Result<Text, String>;
}

/// The texts of a configuration, and what its `include` directives mean.
#[derive(Debug, Clone, Default)]
pub struct Files {
    listings: Vec<Listing>,
    /// By path or pattern: indices of files, or why there is none.
    included: BTreeMap<String, Result<Vec<u32>, String>>,
    /// What relative paths start with: the main file's folder and a slash.
    folder: String,
    /// Words of the texts that stand for something else.
    kept: Kept,
}

impl Files {
    /// One text alone, which includes nothing.
    pub fn single(name: &str, text: impl Into<Text>) -> Self {
        let listings = vec![Listing { name: name.to_owned(), text: text.into() }];
        Self { listings, included: BTreeMap::new(), folder: folder(name).to_owned(), kept: Kept::default() }
    }

    /// The main file by its path, and all that it includes.
    pub fn gather(main: &str, text: Text, texts: &dyn Texts) -> Result<Self, ReadError> {
        let mut files = Self::single(main, text);
        let mut known = BTreeMap::from([(main.to_owned(), 0)]);
        let (mut index, mut bytes) = (0, 0);
        while let Some(listing) = files.listings.get(index).cloned() {
            bytes += listing.text.len();
            for word in includes(&listing.text) {
                files.learn(&word, texts, &mut known);
            }
            if bytes > BYTES_MAX || known.len() > FILES_MAX || files.included.len() > PATHS_MAX {
                return Err(ReadError::whole(&listing.name, too_much(), "give a smaller configuration"));
            }
            index += 1;
        }
        Ok(files)
    }

    /// What `nginx -T` printed; `None` where a text is nothing of that kind.
    pub fn of_dump(text: &str) -> Option<Result<Self, ReadError>> {
        let dump = Dump::new(text)?;
        let main = dump.texts.get(dump.main).copied().unwrap_or_default();
        Some(Self::gather(dump.main, Text::from(main), &dump))
    }

    /// Each file with its path, the main file first.
    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }

    /// Where words are kept that are made while the texts are read.
    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// What a path or pattern of `include` means.
    pub(super) fn included(&self, word: &str) -> Result<&[u32], String> {
        match self.included.get(&self.resolved(word)) {
            Some(Ok(files)) => Ok(files),
            Some(Err(why)) => Err(why.clone()),
            None => Err(format!("`{}` was not given", crate::plain::line(word))),
        }
    }

    /// A path as nginx takes it: relative ones start in the main file's folder, whoever includes them.
    fn resolved(&self, word: &str) -> String {
        if word.starts_with('/') { word.to_owned() } else { self.folder.clone() + word }
    }

    /// Finds what a word of `include` means, unless that is known.
    fn learn(&mut self, word: &str, texts: &dyn Texts, known: &mut BTreeMap<String, u32>) {
        let path = self.resolved(word);
        if !self.included.contains_key(&path) {
            let found = self.find(&path, texts, known);
            self.included.insert(path, found);
        }
    }

    /// The files that a path or pattern means; new ones are added.
    fn find(
        &mut self,
        path: &str,
        texts: &dyn Texts,
        known: &mut BTreeMap<String, u32>,
    ) -> Result<Vec<u32>, String> {
        let paths = match Glob::new(path) {
            Some(glob) => texts.paths(glob)?,
            None => vec![path.to_owned()],
        };
        let mut found = Vec::with_capacity(paths.len());
        for path in paths {
            if let Some(index) = known.get(&path) {
                found.push(*index);
                continue;
            }
            let text = texts.text(&path)?;
            let index = u32::try_from(self.listings.len()).map_err(|_error| too_much())?;
            if known.len() > FILES_MAX {
                return Err(too_much());
            }
            known.insert(path.clone(), index);
            self.listings.push(Listing { name: path, text });
            found.push(index);
        }
        // nginx opens them in the order of their bytes.
        found.sort_by(|a, b| self.name(*a).cmp(&self.name(*b)));
        Ok(found)
    }

    fn name(&self, index: u32) -> Option<&str> {
        let index = usize::try_from(index).ok()?;
        self.listings.get(index).map(|listing| listing.name.as_str())
    }
}

fn too_much() -> String {
    format!("more than {FILES_MAX} files, {PATHS_MAX} paths or {BYTES_MAX} bytes are included")
}

/// The folder of a path, with its slash.
fn folder(path: &str) -> &str {
    path.rfind('/').and_then(|slash| path.get(..=slash)).unwrap_or_default()
}

/// The paths and patterns that a text may include. Whether it does is for the reader to say: here only words are
/// looked at, up to the first that is none.
fn includes(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.contains("include") {
        return found;
    }
    let kept = Kept::default();
    let mut lexer = Lexer::new(text, &kept);
    while let Ok(token) = lexer.next() {
        match token {
            Token::Done => break,
            Token::Close => {}
            Token::Statement { words, end: End::Brace, .. } => {
                if words.first().is_some_and(|name| is_lua(name)) && lexer.lua().is_err() {
                    break;
                }
            }
            Token::Statement { words, end: End::Semicolon, .. } => {
                if let [name, path] = &*words
                    && *name == "include"
                {
                    found.push((*path).to_owned());
                }
            }
        }
    }
    found
}

/// What `nginx -T` printed: each file once, in the order in which nginx opened them, with a line before it that
/// has its name and an empty one after it.
#[derive(Debug)]
struct Dump<'t> {
    main: &'t str,
    texts: BTreeMap<&'t str, &'t str>,
}

impl<'t> Dump<'t> {
    fn new(text: &'t str) -> Option<Self> {
        let text = without_messages(text)?;
        let mut heads = heads(text).into_iter().peekable();
        let (main, _, start) = heads.next()?;
        let mut dump = Self { main, texts: BTreeMap::new() };
        let mut known = Known { folder: folder(main), single: BTreeSet::new(), globs: BTreeSet::new() };
        let (mut name, mut start, mut part) = (main, start, start);
        for (next, head, after) in heads {
            // A line that looks like a head may be a comment of a file: of nothing that is included, or again.
            known.learn(text.get(part..head).unwrap_or_default());
            part = after;
            if next == name || dump.texts.contains_key(next) || !known.includes(next) {
                continue;
            }
            dump.texts.insert(name, content(text, start, head));
            (name, start) = (next, after);
        }
        dump.texts.insert(name, content(text, start, text.len()));
        Some(dump)
    }
}

impl Texts for Dump<'_> {
    fn paths(&self, pattern: Glob<'_>) -> Result<Vec<String>, String> {
        let prefix = pattern.prefix();
        let near = self.texts.range(prefix..).map(|(name, _)| *name);
        let near = near.take_while(|name| name.starts_with(prefix));
        Ok(near.filter(|name| pattern.matches(name)).map(ToString::to_string).collect())
    }

    fn text(&self, path: &str) -> Result<Text, String> {
        let text = self.texts.get(path);
        text.map(|text| Text::from(*text))
            .ok_or_else(|| format!("`{}` is not in the dump", crate::plain::line(path)))
    }
}

/// What the files of a dump include, as far as they were looked at.
struct Known<'t> {
    folder: &'t str,
    single: BTreeSet<String>,
    globs: BTreeSet<String>,
}

impl Known<'_> {
    fn learn(&mut self, text: &str) {
        for word in includes(text) {
            let path = if word.starts_with('/') { word } else { format!("{}{word}", self.folder) };
            if Glob::new(&path).is_none() {
                self.single.insert(path);
            } else if self.globs.len() < GLOBS_MAX {
                self.globs.insert(path);
            }
        }
    }

    fn includes(&self, name: &str) -> bool {
        let globs = || self.globs.iter().filter_map(|glob| Glob::new(glob));
        self.single.contains(name)
            || globs().any(|glob| name.starts_with(glob.prefix()) && glob.matches(name))
    }
}

/// Lines that look like the head of a file: its name, where the line starts, and where the next one does.
fn heads(text: &str) -> Vec<(&str, usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let name =
            line.trim_end_matches(['\r', '\n']).strip_prefix(HEAD).and_then(|rest| rest.strip_suffix(':'));
        found.extend(name.map(|name| (name, start, at)));
        if found.len() > FILES_MAX {
            break;
        }
    }
    found
}

/// A file's text: nginx prints a line's end after it.
fn content(text: &str, start: usize, end: usize) -> &str {
    let content = text.get(start..end).unwrap_or_default();
    content.strip_suffix('\n').map_or(content, |rest| rest.strip_suffix('\r').unwrap_or(rest))
}

/// A dump without what nginx says besides: a test's result, warnings. `None` where it is no dump.
fn without_messages(text: &str) -> Option<&str> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while !rest.starts_with(HEAD) {
        let (line, after) = rest.split_once('\n')?;
        if !is_message(line) {
            return None;
        }
        rest = after;
    }
    while let Some((before, line)) = rest.trim_end().rsplit_once('\n') {
        if line.is_empty() || !is_message(line) {
            break;
        }
        rest = rest.get(..=before.len())?;
    }
    Some(rest)
}

/// Whether nginx says this on standard error: no line of a configuration looks so.
fn is_message(line: &str) -> bool {
    let line = line.trim();
    let logged = || {
        let mut words = line.split(' ');
        let date = words.next().is_some_and(|word| word.len() == 10 && word.split('/').count() == 3);
        date && words.nth(1).is_some_and(|word| word.starts_with('['))
    };
    line.is_empty() || line.starts_with("nginx: ") || logged()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(text: &str) -> Vec<(String, String)> {
        let files = Files::of_dump(text).unwrap().unwrap();
        files.listings.iter().map(|listing| (listing.name.clone(), listing.text.to_string())).collect()
    }

    #[track_caller]
    fn check(text: &str, wanted: &[(&str, &str)]) {
        let found = dump(text);
        let found: Vec<_> = found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(found, wanted);
    }

    const MAIN: &str = "include conf.d/*.conf;\ninclude /etc/last;\n";

    #[test]
    fn a_dump_has_each_file_with_its_bytes() {
        let text = format!(
            "# configuration file /etc/nginx/nginx.conf:\n{MAIN}\n# configuration file /etc/nginx/conf.d/a.conf:\nallow all;\n# configuration file /etc/last:\n\n"
        );
        let wanted =
            [("/etc/nginx/nginx.conf", MAIN), ("/etc/nginx/conf.d/a.conf", "allow all;"), ("/etc/last", "")];
        check(&text, &wanted);
        let said = "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n2026/11/21 06:23:34 [warn] 1#1: x\n\n";
        check(&format!("{said}{text}"), &wanted);
        check(&format!("{text}{}", said.trim_end()), &wanted);
        let carriage = text.replace('\n', "\r\n");
        assert_eq!(dump(&carriage)[1].1, "allow all;");
    }

    #[test]
    fn a_comment_that_looks_like_a_head_is_none() {
        let fake = "# configuration file /etc/nginx/old.conf:\ninclude more;\n# configuration file /etc/nginx/nginx.conf:\n";
        let text = format!(
            "# configuration file /etc/nginx/nginx.conf:\n{MAIN}{fake}\n# configuration file /etc/nginx/more:\n\n# configuration file /etc/last:\na;\n\n"
        );
        let main = format!("{MAIN}{fake}");
        check(&text, &[("/etc/nginx/nginx.conf", &main), ("/etc/last", "a;\n"), ("/etc/nginx/more", "")]);
    }

    #[test]
    fn what_is_no_dump_is_not_taken_for_one() {
        for text in
            ["", "events {}\n", "# configuration file\n", "a;\n# configuration file /a:\n", "nginx: x\n"]
        {
            assert!(Files::of_dump(text).is_none(), "{text}");
        }
    }
}
