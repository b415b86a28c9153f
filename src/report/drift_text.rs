//! Drift, for people: on a terminal, and in pull requests and tickets.

use std::fmt::Write as _;

use super::admission_text::range;
use super::admission_v1::{RangeReport, RuleReport};
use super::change_v1::{ChangeReport, ChangedReport};
use super::drift_v1::{
    DifferenceReport, DriftReport, PathReport, PathSourceReport, SourceReport, TargetReport,
};
use super::escape::{code_cell, fence, link, prose};
use crate::plain::line;

/// Most ranges of a difference that are written out for people.
const RANGES_SHOWN_MAX: usize = 8;

// Writing into a String can't fail, so the results below are dropped.

/// The report as text.
pub fn text(report: &DriftReport) -> String {
    let mut text = format!("What is deployed against the policy, at {}\n", report.at);
    let listings: Vec<String> = report.listings.iter().map(|name| line(name)).collect();
    let _ = writeln!(text, "read from: {}", listings.join(", "));
    report.plan.iter().for_each(|change| plan("the plan,", change, &mut text));
    if let Some(path) = &report.path {
        way(path, &mut text);
        path.differences.iter().filter(|one| shown(report, one)).for_each(|one| difference(one, &mut text));
    }
    for target in &report.targets {
        let _ = writeln!(text, "\n{}", heading(target));
        for one in &target.differences {
            difference(one, &mut text);
        }
    }
    for skipped in &report.skipped {
        let _ = writeln!(text, "\n{} was not compared: {}", skipped.target, skipped.why);
    }
    let of_path = report.path.iter().flat_map(|path| &path.differences);
    if of_path.chain(report.targets.iter().flat_map(|target| &target.differences)).next().is_some() {
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

/// What something opens and closes.
pub(super) fn plan(head: &str, change: &ChangeReport, text: &mut String) {
    let _ = writeln!(text, "\n{head} at tcp/{}", change.port);
    for (what, all) in [("opens", &change.opens), ("closes", &change.closes)] {
        for one in all {
            let _ = writeln!(text, "  {what:9} {}{}", ranges_line(&one.ranges), of_sources(one));
            if let Some(rule) = &one.rule {
                let _ = writeln!(text, "    {:9} {}", "rule", rule_line(rule));
            }
        }
        if all.is_empty() {
            let _ = writeln!(text, "  {what:9} nobody");
        }
    }
    if !change.undecided.is_empty() {
        let _ = writeln!(text, "  {:9} {}", "undecided", ranges_line(&change.undecided));
    }
}

/// Which sources of the policies are among them.
fn of_sources(one: &ChangedReport) -> String {
    if one.sources.is_empty() { String::new() } else { format!(" ({})", one.sources.join(", ")) }
}

fn markdown_plan(change: &ChangeReport, text: &mut String) {
    let _ = writeln!(text, "### The plan, at tcp/{}\n", change.port);
    text.push_str("| | addresses | source | rule |\n| --- | --- | --- | --- |\n");
    for (what, all) in [("opens", &change.opens), ("closes", &change.closes)] {
        for one in all {
            let rule = one.rule.as_ref().map(|rule| code(&rule_line(rule))).unwrap_or_default();
            let sources = words(&one.sources.join(", "));
            let _ = writeln!(text, "| {what} | {} | {sources} | {rule} |", ranges_line(&one.ranges));
        }
        if all.is_empty() {
            let _ = writeln!(text, "| {what} | nobody | | |");
        }
    }
    if !change.undecided.is_empty() {
        let _ = writeln!(text, "| undecided | {} | | |", ranges_line(&change.undecided));
    }
    text.push('\n');
}

/// All layers together: one verdict for each source and family, and the strangers who get through.
fn way(path: &PathReport, text: &mut String) {
    let layers: Vec<&str> = path.layers.iter().map(|layer| layer.layer).collect();
    let _ = writeln!(text, "\nwhole path ({}): {}", layers.join(" → "), path.outcome.as_str());
    let named = path.sources.iter().map(|one| one.provider.len().saturating_add(one.source.len()));
    let width = named.max().unwrap_or(0).saturating_add(1);
    for one in &path.sources {
        let name = format!("{}/{}", one.provider, one.source);
        let _ = writeln!(text, "  {name:width$} {} tcp/{} {}", one.family, one.port, verdict(one));
    }
}

/// Of the whole path, who is blocked is told with the target that stands there, if any does.
fn shown(report: &DriftReport, one: &DifferenceReport) -> bool {
    report.targets.is_empty() || one.part.ends_with("foreign")
}

/// A verdict in a line: who decides, and for which addresses where it is not for all.
fn verdict(one: &PathSourceReport) -> String {
    if one.verdict == "admitted" {
        return one.verdict.to_owned();
    }
    let at = one.layer.as_ref().map(|layer| format!(" by the {layer} layer")).unwrap_or_default();
    let rule = one.rule.as_ref().map(|rule| format!(": {}", rule.located)).unwrap_or_default();
    let why: Vec<String> = one.why.iter().map(|why| line(why)).collect();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
    format!("{}{at}{rule}{why}, {}", one.verdict, ranges_line(&one.ranges))
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

pub(super) fn difference(one: &DifferenceReport, text: &mut String) {
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

/// Addresses in a line, those at the end only counted where there are many.
pub(super) fn ranges_line(ranges: &[RangeReport]) -> String {
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
    let _ = writeln!(text, "Read from {}; judged at {}.\n", words(&report.listings.join(", ")), report.at);
    report.plan.iter().for_each(|change| markdown_plan(change, &mut text));
    if let Some(path) = &report.path {
        markdown_way(path, &mut text);
        markdown_rows(path.differences.iter().filter(|one| shown(report, one)), &mut text);
    }
    for target in &report.targets {
        let _ = writeln!(text, "### {}\n", words(&heading(target)));
        markdown_rows(target.differences.iter(), &mut text);
        if let Some(diff) = &target.text_diff {
            let marks = fence(diff);
            let _ = writeln!(
                text,
                "<details><summary>Text, for reading only</summary>\n\n{marks}diff\n{diff}{marks}\n</details>\n"
            );
        }
    }
    for found in &report.findings {
        let _ = writeln!(text, "- **{}**: {} ({})", found.code, words(&found.message), words(&found.help));
    }
    for skipped in &report.skipped {
        let _ = writeln!(text, "- {} was not compared: {}", words(&skipped.target), words(&skipped.why));
    }
    text
}

fn markdown_way(path: &PathReport, text: &mut String) {
    let layers: Vec<&str> = path.layers.iter().map(|layer| layer.layer).collect();
    let _ = writeln!(text, "### whole path ({}): {}\n", layers.join(" → "), path.outcome.as_str());
    text.push_str("| source | family | port | verdict |\n| --- | --- | --- | --- |\n");
    for one in &path.sources {
        let name = words(&format!("{}/{}", one.provider, one.source));
        let _ = writeln!(text, "| {name} | {} | {} | {} |", one.family, one.port, words(&verdict(one)));
    }
    text.push('\n');
}

fn markdown_rows<'a>(differences: impl Iterator<Item = &'a DifferenceReport>, text: &mut String) {
    let mut differences = differences.peekable();
    if differences.peek().is_none() {
        return;
    }
    text.push_str(
        "| part | port | addresses | source | rule | change |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    differences.for_each(|one| markdown_row(one, text));
    text.push('\n');
}

/// Words in Markdown, whole.
fn words(text: &str) -> String {
    prose(text, usize::MAX)
}

/// A rule or a command in Markdown, whole.
fn code(text: &str) -> String {
    code_cell(text, usize::MAX)
}

fn markdown_row(one: &DifferenceReport, text: &mut String) {
    let rule = one.rule.as_ref().map_or_else(|| "none".to_owned(), |rule| code(&rule_line(rule)));
    let why = one.why.iter().map(|why| words(why)).collect::<Vec<_>>().join("; ");
    let why = if why.is_empty() { why } else { format!(" ({why})") };
    let sources: Vec<String> = one
        .sources
        .iter()
        .map(|source| {
            let since = since(source).map(|since| format!(", {since}")).unwrap_or_default();
            let page = source.evidence.as_ref().map(|evidence| format!(", {}", link(&evidence.url)));
            words(&format!("{}{since}", source_line(source))) + &page.unwrap_or_default()
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
