//! A reviewed change as one Markdown comment, small enough for every forge.
//!
//! GitHub refuses comments above 65,536 characters. What is too long is left out in a fixed order, and the comment says
//! so: first most of the rendered differences, then all of them, then the chart, then rows and quoted words.

use std::collections::BTreeSet;

use super::escape::{code, code_cell, fence, html, inert, link, prose, shortened};
use super::finding::{Finding, Weight};
use super::markdown::{CHART, bar_line};
use super::review_v1::{EvidenceReport, FileReport, MoveReport, Report, TargetReport, Verdict};
use crate::plain::cut;

/// The first line of a comment, by which a bot finds the one that it wrote before.
pub const MARKER: &str = "<!-- callgate-review -->";
/// Bytes of a comment; there are never more characters.
pub const BYTES_MAX: usize = 60_000;

/// Pieces of evidence of a source that are shown.
const PIECES_MAX: usize = 4;

/// How much is shown of everything.
struct Limits {
    diff_lines: usize,
    bars: usize,
    rows: usize,
    prefixes: usize,
    words: usize,
}

/// From all to the least, in the order in which things are left out.
const LIMITS: [Limits; 8] = [
    Limits { diff_lines: 400, bars: 80, rows: 100, prefixes: 20, words: 400 },
    Limits { diff_lines: 80, bars: 80, rows: 100, prefixes: 20, words: 400 },
    Limits { diff_lines: 0, bars: 80, rows: 100, prefixes: 20, words: 400 },
    Limits { diff_lines: 0, bars: 0, rows: 100, prefixes: 20, words: 400 },
    Limits { diff_lines: 0, bars: 0, rows: 40, prefixes: 10, words: 200 },
    Limits { diff_lines: 0, bars: 0, rows: 20, prefixes: 5, words: 100 },
    Limits { diff_lines: 0, bars: 0, rows: 5, prefixes: 3, words: 60 },
    Limits { diff_lines: 0, bars: 0, rows: 2, prefixes: 2, words: 40 },
];

/// The comment.
pub fn comment(report: &Report) -> String {
    for limits in &LIMITS {
        let mut page = Page { report, limits, text: String::new(), left_out: Vec::new() };
        page.write();
        if page.text.len() <= BYTES_MAX {
            return page.text;
        }
    }
    let summary = prose(&report.summary, 400);
    format!(
        "{MARKER}\n### callgate review\n\n**{summary}**\n\nThe rest is too long for a comment: see `--format json`.\n"
    )
}

/// A comment being written.
struct Page<'a> {
    report: &'a Report,
    limits: &'a Limits,
    text: String,
    /// What was left out, in words.
    left_out: Vec<String>,
}

impl Page<'_> {
    fn write(&mut self) {
        self.head();
        self.section("Errors", |found| found.severity == Weight::Error && found.waived.is_none());
        if self.report.judged {
            self.moves();
            self.concerns();
            self.chart();
            self.targets();
            self.elsewhere();
        } else {
            self.concerns();
        }
        self.section("New warnings", |found| {
            found.severity == Weight::Warning && found.waived.is_none() && !found.known
        });
        self.section("Waived, known and notes", |found| {
            found.severity == Weight::Note
                || found.waived.is_some()
                || (found.severity == Weight::Warning && found.known)
        });
        self.foot();
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn head(&mut self) {
        let report = self.report;
        let word = match report.verdict {
            Verdict::Clear => "clear",
            Verdict::Look => "look twice",
            Verdict::Refused => "refused",
        };
        self.line(MARKER);
        self.line(&format!("### callgate review: {word}\n\n**{}**\n", prose(&report.summary, 400)));
        let base = &report.base;
        let mut against = format!("Against {}", code(&base.given, 100));
        if let Some(commit) = &base.commit {
            against.push_str(&format!(", commit {}", code(cut(commit, 12), 12)));
        }
        against.push_str(&format!(", judged at {}.", report.at));
        if base.built_in_policies {
            against.push_str(" The base has no policy folder: its policies are those of the program.");
        }
        if base.built_in_site {
            against.push_str(" The base has no site file: its site is the built-in one.");
        }
        self.line(&against);
        let policies = report.policies.iter().filter(|policy| policy.changed).map(|policy| {
            let provider = code(&policy.provider, 63);
            match (policy.revision_before, policy.revision) {
                (Some(was), Some(is)) if was == is => format!("{provider} revision {is}, not raised"),
                (Some(was), Some(is)) => format!("{provider} revision {was} to {is}"),
                (None, Some(is)) => format!("{provider} revision {is}, new"),
                (Some(was), None) => format!("{provider} revision {was}, gone"),
                (None, None) => provider,
            }
        });
        let policies: Vec<String> = policies.collect();
        let policies = self.listed(&policies, "policies");
        if !policies.is_empty() {
            self.line(&format!("\nPolicies that change: {policies}."));
        }
    }

    /// Some of a list in a line; the rest is said to be left out.
    fn listed(&mut self, all: &[String], what: &str) -> String {
        let rows = self.kept(all.len(), what);
        all.iter().take(rows).cloned().collect::<Vec<_>>().join(", ")
    }

    /// How many rows of so many are shown.
    fn kept(&mut self, all: usize, what: &str) -> usize {
        let kept = all.min(self.limits.rows);
        if kept < all {
            self.left_out.push(format!("{} of {all} {what}", all - kept));
        }
        kept
    }

    fn prefixes(&self, all: &[String]) -> String {
        let shown: Vec<String> =
            all.iter().take(self.limits.prefixes).map(|prefix| code(short(prefix), 50)).collect();
        let more = all.len().saturating_sub(shown.len());
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        shown.join(", ") + &tail
    }

    fn moves(&mut self) {
        let report = self.report;
        self.line("\n#### What opens and closes\n");
        if report.moves.is_empty() {
            self.line("No address is opened or closed for this site.");
        } else {
            self.line("| | addresses | source | state | environments | from | why, and until when |");
            self.line("| --- | --- | --- | --- | --- | --- | --- |");
        }
        let rows = self.kept(report.moves.len(), "rows of what opens and closes");
        for one in report.moves.iter().take(rows) {
            let row = self.move_row(one);
            self.line(&row);
        }
        if report.instants_left_out > 0 {
            self.line(&format!("\n{} later instants were not looked at.", report.instants_left_out));
        }
        self.evidence();
    }

    fn move_row(&self, one: &MoveReport) -> String {
        let role = if one.role == "callback" { String::new() } else { format!(" ({})", one.role) };
        let from = if one.now { "now".to_owned() } else { one.from.clone() };
        let mut why: Vec<String> = one.why.iter().map(|why| prose(why, self.limits.words)).collect();
        if let Some(until) = &one.until {
            why.push(match (until.then, one.effect) {
                ("ends", _) => format!("until {}", until.at),
                (_, "opens") => format!("the base opens it from {} on", until.at),
                (_, _) => format!("the base closes it from {} on", until.at),
            });
        }
        format!(
            "| **{}** | {} | {}{role} | {} | {} | {from} | {} |",
            one.effect,
            self.prefixes(&one.prefixes),
            source_name(one),
            one.state.unwrap_or("gone"),
            one.environments.join(", "),
            why.join("; ")
        )
    }

    /// The evidence of the sources that move, each source once.
    fn evidence(&mut self) {
        let report = self.report;
        let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
        let sources: Vec<&MoveReport> =
            report.moves.iter().filter(|one| told.insert((&one.provider, &one.source))).collect();
        if sources.is_empty() {
            return;
        }
        self.line("\nEvidence:\n");
        let rows = self.kept(sources.len(), "sources with their evidence");
        for one in sources.into_iter().take(rows) {
            let mut lines = vec![format!("- {}{}", source_name(one), of_place(one))];
            lines.extend(one.evidence.iter().take(PIECES_MAX).map(|piece| self.piece(piece)));
            if one.evidence.len() > PIECES_MAX {
                lines.push(format!("  - and {} more pieces in the policy", one.evidence.len() - PIECES_MAX));
            }
            self.line(&lines.join("\n"));
        }
    }

    fn piece(&self, piece: &EvidenceReport) -> String {
        let mut text = format!("  - {}", link(&piece.url));
        if let Some(section) = &piece.section {
            text.push_str(&format!(", section {}", code(section, 100)));
        }
        text.push_str(&format!(", read {}", code(&piece.read, 40)));
        if let Some(says) = &piece.says {
            text.push_str(&format!(": {}", code(says, self.limits.words)));
        }
        text
    }

    fn concerns(&mut self) {
        let report = self.report;
        if report.concerns.is_empty() {
            return;
        }
        self.line("\n#### Needs a second pair of eyes\n");
        let rows = self.kept(report.concerns.len(), "concerns");
        for found in report.concerns.iter().take(rows) {
            let line = self.finding(found);
            self.line(&line);
        }
    }

    fn finding(&self, found: &Finding) -> String {
        let place = found.place.as_ref().map(|place| {
            let at = if place.in_base { String::new() } else { format!(":{}", place.line) };
            let file = shortened(&place.file, 200);
            let of_base = if place.in_base { " of the base" } else { "" };
            format!(" in {}{of_base}", code(&format!("{file}{at}"), 220))
        });
        let help = found.help.as_ref().map(|help| format!("\n  - {}", prose(help, self.limits.words)));
        let waived =
            found.waived.as_ref().map(|waived| format!(" (waived {})", prose(waived, self.limits.words)));
        format!(
            "- **{}**{}: {}{}{}",
            found.code,
            place.unwrap_or_default(),
            prose(&found.message, self.limits.words.max(100)),
            waived.unwrap_or_default(),
            help.unwrap_or_default()
        )
    }

    fn section(&mut self, title: &str, wanted: impl Fn(&Finding) -> bool) {
        let all: Vec<&Finding> = self.report.findings.iter().filter(|found| wanted(found)).collect();
        if all.is_empty() {
            return;
        }
        let folded = title.starts_with("Waived");
        if folded {
            self.line(&format!("\n<details><summary>{title}: {}</summary>\n", all.len()));
        } else {
            self.line(&format!("\n#### {title}\n"));
        }
        let rows = self.kept(all.len(), &title.to_lowercase());
        for found in all.iter().take(rows) {
            let line = self.finding(found);
            self.line(&line);
        }
        if folded {
            self.line("\n</details>");
        }
    }

    /// The lifecycles of what is touched, a bar a state.
    fn chart(&mut self) {
        let report = self.report;
        let bars: usize = report.lifecycles.iter().map(|lifecycle| lifecycle.states.len()).sum();
        if bars == 0 {
            return;
        }
        if self.limits.bars == 0 {
            self.left_out.push("the chart of the lifecycles".to_owned());
            return;
        }
        let chart = format!("{CHART}{}, 0d", chart_instant(&report.at));
        self.line(&format!("\n#### Lifecycles of what is touched\n\n{chart}"));
        let (mut section, mut drawn) = ("", 0);
        for lifecycle in &report.lifecycles {
            if drawn + lifecycle.states.len() > self.limits.bars {
                break;
            }
            if section != lifecycle.provider {
                section = &lifecycle.provider;
                self.line(&format!("    section {section}"));
            }
            for state in &lifecycle.states {
                drawn += 1;
                let span = [chart_instant(&state.from), chart_instant(&state.to)];
                let line = bar_line(state.state, &lifecycle.source, lifecycle.environment, span);
                self.line(line.trim_end());
            }
        }
        self.line("```");
        if drawn < bars {
            self.left_out.push(format!("{} of {bars} bars of the chart", bars - drawn));
        }
    }

    fn targets(&mut self) {
        let report = self.report;
        let changed: Vec<&TargetReport> = report
            .targets
            .iter()
            .filter(|target| target.presence != "kept" || !target.files.is_empty())
            .collect();
        let same = report.targets.len() - changed.len();
        self.line("\n#### Targets\n");
        if changed.is_empty() {
            self.line(&format!("No rendered file changes; targets: {same}."));
            return;
        }
        self.line("| target | kind | mode | opens now | closes now | files that change | quotas |");
        self.line("| --- | --- | --- | --- | --- | --- | --- |");
        let rows = self.kept(changed.len(), "targets");
        for target in changed.iter().take(rows) {
            let row = self.target_row(target);
            self.line(&row);
        }
        if same > 0 {
            self.line(&format!("\nTargets without a change: {same}."));
        }
        for target in changed.iter().take(rows) {
            target.files.iter().for_each(|file| self.difference(file));
        }
    }

    fn target_row(&self, target: &TargetReport) -> String {
        let presence =
            if target.presence == "kept" { String::new() } else { format!(" ({})", target.presence) };
        let quotas: Vec<String> = target
            .quotas
            .iter()
            .map(|quota| {
                let over = if quota.used > quota.most { ", **too many**" } else { "" };
                format!("{}: {} = {} of {}{over}", quota.what, quota.sum, quota.used, quota.most)
            })
            .collect();
        let lines =
            |files: &[FileReport], count: fn(&FileReport) -> usize| files.iter().map(count).sum::<usize>();
        format!(
            "| {}{presence} | {} | {} | {} | {} | {} (+{} -{}) | {} |",
            code_cell(&target.name, 63),
            target.kind,
            target.mode,
            or_nothing(self.prefixes(&target.opens)),
            or_nothing(self.prefixes(&target.closes)),
            target.files.len(),
            lines(&target.files, |file| file.added),
            lines(&target.files, |file| file.removed),
            quotas.join("<br>")
        )
    }

    fn difference(&mut self, file: &FileReport) {
        let all = file.diff.len() + file.left_out;
        if self.limits.diff_lines == 0 || file.diff.is_empty() {
            self.left_out.push(format!("the difference of {}, {all} lines", code(&file.path, 200)));
            return;
        }
        let shown: Vec<String> =
            file.diff.iter().take(self.limits.diff_lines).map(|line| inert(line)).collect();
        if shown.len() < all {
            let more = all - shown.len();
            self.left_out
                .push(format!("{more} of {all} lines of the difference of {}", code(&file.path, 200)));
        }
        let body = shown.join("\n");
        let fence = fence(&body);
        self.line(&format!(
            "\n<details><summary>{} (+{} -{})</summary>\n\n{fence}diff\n{body}\n{fence}\n\n</details>",
            html(&shortened(&file.path, 200)),
            file.added,
            file.removed
        ));
    }

    fn elsewhere(&mut self) {
        let report = self.report;
        if report.elsewhere.is_empty() {
            return;
        }
        let all = report.elsewhere.len();
        self.line(&format!(
            "\n<details><summary>In the policies, and not selected by this site: {all}</summary>\n"
        ));
        let rows = self.kept(all, "rows of what this site does not select");
        for change in report.elsewhere.iter().take(rows) {
            let from =
                if change.from == report.at { "now".to_owned() } else { format!("from {}", change.from) };
            let sources: Vec<String> = change
                .sources
                .iter()
                .take(5)
                .map(|source| code(&format!("{}/{source}", change.provider), 130))
                .collect();
            let line = format!(
                "- {} {from}: {} of {} ({}, {})",
                change.effect,
                self.prefixes(&change.prefixes),
                sources.join(", "),
                change.role,
                change.environment
            );
            self.line(&line);
        }
        self.line("\n</details>");
    }

    fn foot(&mut self) {
        if self.report.beyond > 0 {
            self.left_out.push(format!("{} findings beyond those that are kept", self.report.beyond));
        }
        if !self.left_out.is_empty() {
            let most = self.limits.rows;
            let more = self.left_out.len().saturating_sub(most);
            let mut listed = self.left_out.iter().take(most).cloned().collect::<Vec<_>>().join("; ");
            if more > 0 {
                listed.push_str(&format!("; and {more} more"));
            }
            self.line(&format!("\n**Left out here**, see `--format json`: {listed}."));
        }
        self.line("\nAn address list is not authentication: verify each callback as well.");
    }
}

fn source_name(one: &MoveReport) -> String {
    code_cell(&format!("{}/{}", one.provider, one.source), 130)
}

/// Where a source stands, in brackets.
fn of_place(one: &MoveReport) -> String {
    let Some(place) = &one.place else { return String::new() };
    let line = if place.in_base { "in the base".to_owned() } else { format!("line {}", place.line) };
    format!(" ({}, {line})", code(&place.file, 200))
}

/// An instant as the chart takes it: to the second, in UTC.
fn chart_instant(at: &str) -> &str {
    at.get(..19).unwrap_or(at)
}

fn or_nothing(text: String) -> String {
    if text.is_empty() { "nothing".to_owned() } else { text }
}

/// A single address without its length.
fn short(prefix: &str) -> &str {
    let single = if prefix.contains(':') { "/128" } else { "/32" };
    prefix.strip_suffix(single).unwrap_or(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_short_and_networks_are_whole() {
        assert_eq!(short("192.0.2.1/32"), "192.0.2.1");
        assert_eq!(short("2001:db8::/32"), "2001:db8::/32");
        assert_eq!(short("2001:db8::1/128"), "2001:db8::1");
    }
}
