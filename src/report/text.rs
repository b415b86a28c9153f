//! Diagnostics for people: the place, the text underlined, the reason and the mend.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Diagnostics, Label, Severity};
use crate::plain::counted;

/// Lines longer than this are named by their place instead of shown.
const LINE_BYTES_MAX: usize = 400;

/// All diagnostics with colour escapes, which the stream leaves out where nobody wants them.
pub fn diagnostics(all: &Diagnostics) -> String {
    let renderer = Renderer::styled();
    let mut text = String::new();
    for diagnostic in all {
        text.push_str(&renderer.render(&groups(diagnostic)));
        text.push_str("\n\n");
    }
    if all.beyond() > 0 {
        text.push_str(&format!("and {} more\n\n", all.beyond()));
    }
    text
}

/// One line: how many errors, warnings and waived findings.
pub fn summary(all: &Diagnostics) -> String {
    let count = |wanted: fn(&Diagnostic) -> bool| all.iter().filter(|found| wanted(found)).count();
    let errors = count(Diagnostic::is_error) + all.beyond_errors();
    let warnings = count(|found| found.waived.is_none() && found.severity == Severity::Warning);
    let warnings = warnings + all.beyond() - all.beyond_errors();
    let waived = count(|found| found.waived.is_some());
    let waived = if waived > 0 { format!(", {waived} waived") } else { String::new() };
    format!("{}, {}{waived}", counted(errors, "error"), counted(warnings, "warning"))
}

fn groups(diagnostic: &Diagnostic) -> Vec<Group<'_>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let level = if diagnostic.waived.is_some() { Level::NOTE.with_name(Some("waived")) } else { level };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_str());
    let mut group =
        title.elements(diagnostic.labels.iter().enumerate().map(|(index, label)| element(label, index)));
    if let Some(reason) = &diagnostic.waived {
        group = group.element(Level::NOTE.message(format!("waived {reason}")));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    vec![group]
}

fn element(label: &Label, index: usize) -> Element<'_> {
    let start = label.span.start.min(label.source.text.len());
    let (window, first_line) = label.source.lines(&(start..start));
    let shown = label.source.text.get(window.clone()).unwrap_or("");
    if shown.len() > LINE_BYTES_MAX || shown.trim().is_empty() {
        let (line, column) = label.source.position(start);
        return Element::from(Origin::path(label.source.name.as_str()).line(line).char_column(column));
    }
    let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
    let annotation = kind.span(inside(&label.span, &window, shown)).label(label.text.as_str());
    Element::from(
        Snippet::source(shown).line_start(first_line).path(label.source.name.as_str()).annotation(annotation),
    )
}

/// The part of a span that is on its first line, counted from the start of the window.
fn inside(span: &Range<usize>, window: &Range<usize>, shown: &str) -> Range<usize> {
    let line_end = shown.trim_end().len();
    let start = span.start.saturating_sub(window.start).min(line_end);
    let end = span.end.saturating_sub(window.start).clamp(start, line_end.max(start));
    start..end
}
