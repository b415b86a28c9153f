//! A change as a unified diff that `git apply` and `patch -p1` take.

use similar::{Algorithm, TextDiff};

/// The diff between two texts of one file; lines end with `\n` alone, whatever stands before it.
pub(super) fn unified(old: &str, new: &str, path: &str) -> String {
    let lines = |text| -> Vec<&str> { str::split_inclusive(text, '\n').collect() };
    let (old, new) = (lines(old), lines(new));
    // A name with a blank in it ends with a tab, or its end is not known.
    let end = if path.contains(' ') { "\t" } else { "" };
    TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .newline_terminated(true)
        .diff_slices(&old, &new)
        .unified_diff()
        .context_radius(3)
        .header(&format!("a/{path}{end}"), &format!("b/{path}{end}"))
        .to_string()
}
