//! Rendered files of both sides compared as text, for showing only: equal text proves nothing of what is admitted.

use std::collections::BTreeSet;

use similar::{ChangeTag, TextDiff};

use crate::target::ArtifactFile;

/// Lines on one side above which no difference is computed: the time is bounded by size, never by a clock, so
/// that the same files always give the same bytes.
const LINES_MAX: usize = 4_000;
/// Lines of a difference that are kept.
const KEPT_MAX: usize = 2_000;
/// Bytes of a line that are kept.
const LINE_BYTES_MAX: usize = 400;
/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// A file that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its path below the output folder.
    pub path: String,
    /// Lines that come.
    pub added: usize,
    /// Lines that go.
    pub removed: usize,
    /// The unified difference, line by line; without its header.
    pub lines: Vec<String>,
    /// Lines of the difference that are left out.
    pub left_out: usize,
}

/// What becomes of a target's files; equal ones are left out.
pub(super) fn changes(old: &[ArtifactFile], new: &[ArtifactFile]) -> Vec<FileChange> {
    let paths: BTreeSet<&str> = old.iter().chain(new).map(|file| file.path.as_str()).collect();
    let text = |files: &[ArtifactFile], path: &str| {
        files.iter().find(|file| file.path == path).map(|file| file.text.clone()).unwrap_or_default()
    };
    let both = paths.into_iter().map(|path| (path, text(old, path), text(new, path)));
    both.filter(|(_, was, is)| was != is).map(|(path, was, is)| change(path, &was, &is)).collect()
}

fn change(path: &str, was: &str, is: &str) -> FileChange {
    let (head, was_middle, is_middle) = middle(was, is);
    if was_middle.len().max(is_middle.len()) > LINES_MAX {
        return FileChange {
            path: path.to_owned(),
            added: is_middle.len(),
            removed: was_middle.len(),
            lines: Vec::new(),
            left_out: was_middle.len().saturating_add(is_middle.len()),
        };
    }
    let diff = TextDiff::from_slices(&was_middle, &is_middle);
    let count = |tag: ChangeTag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    let mut lines = Vec::new();
    for hunk in diff.grouped_ops(CONTEXT) {
        if let (Some(first), Some(last)) = (hunk.first(), hunk.last()) {
            let (was, is) = (
                first.old_range().start..last.old_range().end,
                first.new_range().start..last.new_range().end,
            );
            let place = |range: std::ops::Range<usize>| format!("{},{}", head + range.start + 1, range.len());
            lines.push(format!("@@ -{} +{} @@", place(was), place(is)));
        }
        for change in hunk.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            lines.push(format!("{sign}{}", cut(change.value())));
        }
    }
    let left_out = lines.len().saturating_sub(KEPT_MAX);
    lines.truncate(KEPT_MAX);
    FileChange {
        path: path.to_owned(),
        added: count(ChangeTag::Insert),
        removed: count(ChangeTag::Delete),
        lines,
        left_out,
    }
}

/// The lines between what both texts start and end with, a few equal ones left around them; and how many lines come before.
fn middle<'t>(was: &'t str, is: &'t str) -> (usize, Vec<&'t str>, Vec<&'t str>) {
    let (was, is): (Vec<&str>, Vec<&str>) = (was.lines().collect(), is.lines().collect());
    let same = was.iter().zip(&is).take_while(|(was, is)| was == is).count();
    let head = same.saturating_sub(CONTEXT);
    let most = was.len().min(is.len()) - same;
    let same = was.iter().rev().zip(is.iter().rev()).take(most).take_while(|(was, is)| was == is).count();
    let tail = same.saturating_sub(CONTEXT);
    let part = |lines: &[&'t str]| lines.get(head..lines.len() - tail).unwrap_or_default().to_vec();
    (head, part(&was), part(&is))
}

/// A line that nobody has to scroll for, harmless.
fn cut(line: &str) -> String {
    let end = line.floor_char_boundary(LINE_BYTES_MAX);
    let kept = line.get(..end).unwrap_or(line);
    let mut text: String = kept.chars().map(crate::plain::harmless).collect();
    if end < line.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> ArtifactFile {
        ArtifactFile { path: "a.conf".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn hunks_name_the_lines_of_the_whole_files() {
        let was: String = (1..=20).map(|number| format!("line {number}\n")).collect();
        let is = was.replace("line 10\n", "").replace("line 11\n", "line eleven\n");
        let found = changes(&[file(&was)], &[file(&is)]);
        let [change] = found.as_slice() else { panic!("{found:?}") };
        let wanted = [
            "@@ -7,8 +7,7 @@",
            " line 7",
            " line 8",
            " line 9",
            "-line 10",
            "-line 11",
            "+line eleven",
            " line 12",
            " line 13",
            " line 14",
        ];
        assert_eq!(change.lines, wanted);
        assert_eq!((change.added, change.removed, change.left_out), (1, 2, 0));
    }

    #[test]
    fn a_file_that_is_new_gone_or_the_same() {
        let (was, is) = ([file("a\n")], [file("a\nb\n")]);
        assert!(changes(&was, &was).is_empty());
        assert_eq!(changes(&[], &is)[0].lines, ["@@ -1,0 +1,2 @@", "+a", "+b"]);
        assert_eq!(changes(&is, &[])[0].removed, 2);
        assert_eq!(changes(&was, &is)[0].lines, ["@@ -1,1 +1,2 @@", " a", "+b"]);
    }

    #[test]
    fn what_is_too_long_is_counted_and_not_compared() {
        let long: String = (0..10_000).map(|number| format!("{number}\n")).collect();
        let found = changes(&[file("a\n")], &[file(&long)]);
        assert_eq!((found[0].added, found[0].removed, found[0].left_out), (10_000, 1, 10_001));
        let cut = changes(&[], &[file(&"x".repeat(1_000))]);
        assert!(cut[0].lines[1].len() < 500);
    }
}
