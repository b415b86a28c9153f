//! `callgate check`

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::base::base_library;
use super::inputs;
use super::state::State;
use super::{Exit, Format, Global, Outcome, complain, print, print_styled};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::instant::parse_duration;
use crate::plain::counted;
use crate::policy::due;
use crate::policy::history::{self, Change};
use crate::policy::load::{Folder, Library as _, Policies, load, load_into, read_fault};
use crate::prefix::listed;
use crate::report::{json_v1, markdown, text};
use crate::site::{Action, Site};

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Check these policy files or folders only
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How far ahead ends, deadlines and reviews are findings: hours, days or weeks
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = parse_within)]
    within: SignedDuration,
    /// Judge the change from this git revision or folder
    #[arg(long, value_name = "REV|DIR")]
    against: Option<String>,
    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// A duration as `--within` takes it.
pub(super) fn parse_within(text: &str) -> Result<SignedDuration, String> {
    parse_duration(text)
        .ok_or_else(|| format!("`{text}` is no duration: write hours, days or weeks, such as 36h, 30d or 4w"))
}

impl Check {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let mut sink = Diagnostics::new();
        let (policies, at, changes) = if self.paths.is_empty() {
            let inputs = inputs::read(global, &mut sink);
            let State { inputs, found, .. } = State::new(inputs, sink, self.within);
            sink = found;
            let changes = self.changes(global, &inputs.policies, inputs.at, &mut sink);
            (inputs.policies, inputs.at, changes)
        } else {
            let at = super::instant(global);
            let policies = load_paths(&self.paths, at, &mut sink);
            for policy in policies.by_provider.values() {
                sink.append(due::findings(policy, at, self.within));
            }
            let changes = self.changes(global, &policies, at, &mut sink);
            (policies, at, changes)
        };
        self.report(&policies, at, &sink, changes.as_ref().ok().and_then(|changes| changes.as_deref()))?;
        changes?;
        Ok(if sink.has_errors() {
            Exit::Failure
        } else if sink.has_findings() {
            Exit::Findings
        } else {
            Exit::Ok
        })
    }

    /// The folder whose policies are judged, as it was at the revision.
    fn folder(&self, global: &Global) -> PathBuf {
        match self.paths.first() {
            Some(path) if path.is_dir() => path.clone(),
            Some(path) => path.parent().map(Path::to_path_buf).unwrap_or_default(),
            None => inputs::policy_folder(global)
                .map_or_else(|| inputs::base(global).join("policies"), |folder| folder.path),
        }
    }

    fn changes(
        &self,
        global: &Global,
        new: &Policies,
        at: Timestamp,
        sink: &mut Diagnostics,
    ) -> anyhow::Result<Option<Vec<Change>>> {
        let Some(against) = &self.against else { return Ok(None) };
        // A policy with errors is missing from `new`: it would be judged as deleted.
        if sink.has_errors() {
            complain("the change was not judged: mend the errors first\n");
            return Ok(None);
        }
        let library = base_library(against, &self.folder(global))?;
        let mut found = Diagnostics::new();
        let mut old = load(library.as_ref(), at, &mut found);
        if found.has_errors() {
            // What stands there cannot be mended any more; it only can't be compared with.
            let message = format!("the policies at `{against}` have errors, so the change can't be judged");
            sink.push(
                Diagnostic::new(Code::FileUnreadable, message)
                    .help("compare with a revision whose policies are sound"),
            );
            return Ok(None);
        }
        if self.paths.iter().any(|path| !path.is_dir()) {
            // Of single files only these are judged; the other policies are not gone.
            old.by_provider.retain(|provider, _| new.by_provider.contains_key(provider));
        }
        Ok(Some(history::compare(&old, new, at, sink)))
    }

    fn report(
        &self,
        policies: &Policies,
        at: Timestamp,
        sink: &Diagnostics,
        changes: Option<&[Change]>,
    ) -> Outcome {
        match self.format {
            Format::Json => print(&json_v1::to_text(&json_v1::CheckReport::new(at, sink, changes))),
            Format::Markdown => {
                let mut shown = format!("**callgate check**: {}\n\n", text::summary(sink));
                shown.push_str(&markdown::diagnostics(sink));
                if let Some(changes) = changes {
                    shown.push('\n');
                    shown.push_str(&markdown::changes(changes));
                }
                print(&shown)
            }
            Format::Text => {
                let mut shown = text::diagnostics(sink);
                if let Some(changes) = changes {
                    shown.push_str(&text_changes(changes, at));
                }
                for policy in policies.by_provider.values() {
                    shown.push_str(&format!(
                        "{} revision {}: {}, digest {}\n",
                        policy.provider,
                        policy.revision,
                        counted(policy.sources.len(), "source"),
                        policy.digest.short()
                    ));
                }
                shown.push_str(&format!("{}\n", text::summary(sink)));
                print_styled(&shown)
            }
        }
    }
}

fn text_changes(changes: &[Change], at: Timestamp) -> String {
    if changes.is_empty() {
        return "the change opens and closes no address\n\n".to_owned();
    }
    let lines = changes.iter().map(|change| {
        let from = if change.from == at { "now".to_owned() } else { format!("from {}", change.from) };
        format!(
            "{} {from}: {} ({}/{}, {}, {})\n",
            change.effect.as_str(),
            listed(&change.prefixes, 10),
            change.provider,
            change.sources.join("+"),
            change.role,
            change.environment
        )
    });
    lines.collect::<String>() + "\n"
}

/// What a site holds or retires leaves the allowlist at a day of its own: said beforehand.
fn due_actions(site: &Site, at: Timestamp, horizon: Timestamp, sink: &mut Diagnostics) {
    for exception in &site.exceptions {
        let (due, what, moment) = match &exception.action {
            Action::HoldUntil(until) => (until.ends(), "is held here until", until),
            Action::Retire(since) => (since.starts(), "is retired here on", since),
        };
        if due > at && due <= horizon {
            let message = format!("`{}/{}` {what} {moment}", exception.provider, exception.source);
            let found = Diagnostic::new(Code::DueSoon, message).at(&site.text, exception.place.clone(), "");
            sink.push(
                found
                    .help("it leaves the allowlist then; change the exception if it has to stay")
                    .about(exception.source.as_str()),
            );
        }
    }
}

/// Exceptions of the site whose day, or whose review, is near or past.
pub(super) fn due_exceptions(site: &Site, at: Timestamp, within: SignedDuration, sink: &mut Diagnostics) {
    let horizon = at.checked_add(within).unwrap_or(Timestamp::MAX);
    due_actions(site, at, horizon, sink);
    for exception in &site.exceptions {
        let due = exception.review_by.ends();
        let (code, verb) = if due <= at {
            (Code::ReviewOverdue, "was")
        } else if due <= horizon {
            (Code::DueSoon, "is")
        } else {
            continue;
        };
        let message = format!(
            "the review date of the exception for `{}/{}` {verb} {}",
            exception.provider, exception.source, exception.review_by
        );
        let found = Diagnostic::new(code, message).at(&site.text, exception.place.clone(), "");
        sink.push(
            found
                .help("look whether the reason still holds, then renew or remove it")
                .about(exception.source.as_str()),
        );
    }
}

/// Loads policy files and folders named one by one.
fn load_paths(paths: &[PathBuf], at: Timestamp, sink: &mut Diagnostics) -> Policies {
    let mut policies = Policies::default();
    for path in paths {
        if path.is_dir() {
            let folder = Folder::new(path.clone());
            match folder.policies() {
                Ok(names) => names.iter().for_each(|name| load_into(&folder, name, at, &mut policies, sink)),
                Err(error) => sink.push(read_fault(&error)),
            }
            continue;
        }
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        load_into(&Folder::new(folder), &name, at, &mut policies, sink);
    }
    policies
}
