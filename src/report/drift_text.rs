//! Drift, for people: on a terminal, and in pull requests and tickets.

use std::fmt::Write as _;

use super::admission_text::range;
use super::admission_v1::RuleReport;
use super::drift_v1::{DifferenceReport, DriftReport, RangeReport, SourceReport, TargetReport};
use crate::plain::line;

/// Most ranges of a difference that are written out for people.
const RANGES_SHOWN_MAX: usize = 8;

// Writing into a String can't fail, so the results below are dropped.

/// The report as text.
pub fn text(report: &DriftReport) -> String {
    let mut text = format!("What is deployed against the policy, at {}\n", report.at);
    let listings: Vec<String> = report.listings.iter().map(|name| line(name)).collect();
    let _ = writeln!(text, "read from: {}", listings.join(", "));
    for target in &report.targets {
        let _ = writeln!(text, "\n{}", heading(target));
        for one in &target.differences {
            difference(one, &mut text);
        }
    }
    for skipped in &report.skipped {
        let _ = writeln!(text, "\n{} was not compared: {}", skipped.target, skipped.why);
    }
    if report.targets.iter().any(|target| !target.differences.is_empty()) {
        text.push_str(
            "\nNothing was changed. A change is for the running rules: make it where they are loaded from as well.\n",
        );
    }
    if !report.findings.is_empty() {
        text.push_str("\nFindings\n");
    }
    for found in &report.findings {
        let _ =
            writeln!(text, "  {}: {}\n    help     {}", found.code, line(&found.message), line(&found.help));
    }
    for target in &report.targets {
        if let Some(diff) = &target.text_diff {
            let _ = writeln!(
                text,
                "\n---- text of {}, for reading only: what differs here need not differ in meaning ----\n{diff}",
                target.target
            );
        }
    }
    text
}

/// A target with its outcome, and how often it differs in which way.
fn heading(target: &TargetReport) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for one in &target.differences {
        match counts.iter_mut().find(|(part, _)| *part == one.part) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => counts.push((one.part, 1)),
        }
    }
    let counts: Vec<String> = counts.iter().map(|(part, count)| format!("{count} {part}")).collect();
    let counts = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    let outcome = target.outcome.as_str();
    format!("{} ({}, {}): {outcome}{counts}", line(&target.target), target.kind, target.mode)
}

fn difference(one: &DifferenceReport, text: &mut String) {
    let shown = ranges_line(&one.ranges);
    let _ = writeln!(text, "  {} at tcp/{}: {shown}", one.part, one.port);
    let mut row = |what: &str, words: &str| {
        let _ = writeln!(text, "    {what:9} {words}");
    };
    for source in &one.sources {
        row("source", &source_line(source));
        if let Some(since) = since(source) {
            row("since", &since);
        }
        if let Some(evidence) = &source.evidence {
            let page = format!("{}, read {}", evidence.url, evidence.read);
            match &evidence.says {
                None => row("provider", &page),
                Some(says) => {
                    row("provider", &format!("\"{}\"", line(says)));
                    row("", &page);
                }
            }
        }
    }
    if let Some(example) = one.example.map(|example| example.to_string()).filter(|example| *example != shown)
    {
        row("such as", &example);
    }
    match &one.rule {
        None => row("rule", "none: no rule looks at it"),
        Some(rule) => {
            row("rule", &rule.located);
            if !rule.text.is_empty() {
                row("", &line(&rule.text));
            }
        }
    }
    for why in &one.why {
        row("undecided", &line(why));
    }
    for command in one.change.lines() {
        row("change", &line(command));
    }
    if let Some(lasting) = &one.lasting {
        row("to stay", &line(lasting));
    }
}

/// Since when the policy admits it, and what it says of its end.
fn since(source: &SourceReport) -> Option<String> {
    let told = ["announced", "valid from", "legacy since", "valid until", "withdrawn"];
    let words: Vec<String> = source
        .instants
        .iter()
        .filter(|instant| told.contains(&instant.what))
        .map(|instant| {
            let inferred = if instant.inferred.is_some() { " (our inference)" } else { "" };
            format!("{} {}{inferred}", instant.what, instant.at)
        })
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// A rule of a report in a line.
fn rule_line(rule: &RuleReport) -> String {
    if rule.text.is_empty() { rule.title.clone() } else { format!("{}: {}", rule.title, line(&rule.text)) }
}

fn ranges_line(ranges: &[RangeReport]) -> String {
    let shown = ranges.iter().take(RANGES_SHOWN_MAX).map(|one| range(one.first, one.last));
    let mut words: Vec<String> = shown.collect();
    if ranges.len() > RANGES_SHOWN_MAX {
        words.push(format!("and {} more ranges", ranges.len().saturating_sub(RANGES_SHOWN_MAX)));
    }
    words.join(", ")
}

fn source_line(source: &SourceReport) -> String {
    format!("{}/{} ({})", source.provider, source.source, line(&source.state))
}

/// The report as Markdown.
pub fn markdown(report: &DriftReport) -> String {
    let mut text = String::from("## What is deployed against the policy\n\n");
    let _ = writeln!(text, "Read from {}; judged at {}.\n", cell(&report.listings.join(", ")), report.at);
    for target in &report.targets {
        let _ = writeln!(text, "### {}\n", cell(&heading(target)));
        if !target.differences.is_empty() {
            text.push_str(
                "| part | port | addresses | source | rule | change |\n| --- | --- | --- | --- | --- | --- |\n",
            );
        }
        for one in &target.differences {
            markdown_row(one, &mut text);
        }
        if !target.differences.is_empty() {
            text.push('\n');
        }
        if let Some(diff) = &target.text_diff {
            let _ = writeln!(
                text,
                "<details><summary>Text, for reading only</summary>\n\n```diff\n{diff}```\n</details>\n"
            );
        }
    }
    for found in &report.findings {
        let _ = writeln!(text, "- **{}**: {} ({})", found.code, cell(&found.message), cell(&found.help));
    }
    for skipped in &report.skipped {
        let _ = writeln!(text, "- {} was not compared: {}", cell(&skipped.target), cell(&skipped.why));
    }
    text
}

fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}

fn markdown_row(one: &DifferenceReport, text: &mut String) {
    let code = |text: &str| format!("`{}`", cell(text).replace('`', "'"));
    let rule = one.rule.as_ref().map_or_else(|| "none".to_owned(), |rule| code(&rule_line(rule)));
    let why = if one.why.is_empty() { String::new() } else { format!(" ({})", cell(&one.why.join("; "))) };
    let sources: Vec<String> = one
        .sources
        .iter()
        .map(|source| {
            let since = since(source).map(|since| format!(", {since}")).unwrap_or_default();
            let page = source.evidence.as_ref().map(|evidence| format!(", {}", evidence.url));
            cell(&format!("{}{since}{}", source_line(source), page.unwrap_or_default()))
        })
        .collect();
    let changes: Vec<String> = one.change.lines().chain(one.lasting.as_deref()).map(code).collect();
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} | {rule}{why} | {} |",
        one.part,
        one.port,
        ranges_line(&one.ranges),
        sources.join("<br>"),
        changes.join("<br>"),
    );
}
