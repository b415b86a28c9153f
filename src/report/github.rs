//! Annotations of GitHub Actions: lines on standard output that the runner takes for commands.
//!
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>

use super::escape::one_line;
use super::finding::{Finding, Weight};
use super::review_v1::Report;

/// What the runner shows of a report: the verdict, and every finding that counts, errors first.
pub fn annotations(report: &Report) -> String {
    let mut counting: Vec<&Finding> = report.all().filter(|found| found.counts()).collect();
    counting.sort_by_key(|found| found.severity);
    let mut text = String::new();
    for found in counting {
        text.push_str(&annotation(found));
    }
    text.push_str(&format!("::notice title=callgate review::{}\n", data(&report.summary)));
    text
}

fn annotation(found: &Finding) -> String {
    let command = match found.severity {
        Weight::Error => "error",
        Weight::Warning => "warning",
        Weight::Note => "notice",
    };
    let mut properties = Vec::new();
    if let Some(place) = &found.place {
        properties.push(format!("file={}", property(&place.file)));
        if !place.in_base {
            properties.push(format!("line={}", place.line));
            properties.push(format!("endLine={}", place.end_line));
            if place.line == place.end_line {
                properties.push(format!("col={}", place.column));
                properties.push(format!("endColumn={}", place.end_column));
            }
        }
    }
    properties.push(format!("title={}", property(&format!("callgate {}", found.code))));
    let help = found.help.as_ref().map(|help| format!("\nhelp: {}", one_line(help))).unwrap_or_default();
    let message = format!("{}{help}", one_line(&found.message));
    format!("::{command} {}::{}\n", properties.join(","), data(&message))
}

/// What comes after the second `::`: percent signs and line ends are escaped.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property: what separates properties is escaped as well.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_command_or_starts_one() {
        assert_eq!(data("50%\n::set-output name=x::y\r"), "50%25%0A::set-output name=x::y%0D");
        assert_eq!(property("a,b:c%d\ne"), "a%2Cb%3Ac%25d%0Ae");
    }
}
