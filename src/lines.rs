//! Lines of long texts, each with its place.

use std::ops::Range;

use memchr::memchr_iter;

/// Where the lines of a text are, each with its end. Of a listing with many short lines, looking for their ends is most of what
/// reading costs.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    let ends = memchr_iter(b'\n', text.as_bytes()).map(|at| at.saturating_add(1)).chain([text.len()]);
    let ranges = ends.map(move |end| std::mem::replace(&mut start, end)..end);
    ranges.filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_the_lines_of_the_text(text in "[ab\né]{0,40}") {
            let found: Vec<&str> = lines(&text).map(|line| &text[line]).collect();
            prop_assert_eq!(found, text.split_inclusive('\n').collect::<Vec<_>>());
        }
    }
}
