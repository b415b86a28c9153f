//! `callgate upstream extract`

use std::path::Path;

use super::network::Network;
use crate::cli::{Exit, Form, Outcome, complain, now, print, print_json};
use crate::policy::{Page, PageKind, parse_filter};
use crate::report::{extract_text, extract_v1};
use crate::system;
use crate::upstream::document::{Document, Missed, MissedKind};
use crate::upstream::extract::{BYTES_MAX, Selector, extract};
use crate::upstream::{Reading, Unreadable};

const AFTER_HELP: &str = "\
Exit status: 0 a list, 1 no address, or the page only sends its reader elsewhere,
2 wrong usage or a file that can't be read, 5 the page can't be read whole or does not answer.

A list that can't be read whole is no list: nothing of it is shown.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Extract {
    /// The page: a file in which it was saved, or its address (`https://…`)
    #[arg(value_name = "FILE|URL")]
    page: String,
    /// How it is written: html, markdown, text, json or csv
    #[arg(long, value_parser = parse_kind)]
    kind: PageKind,
    /// The heading under which the addresses stand; `Above > Heading` names those above it, too
    #[arg(long, value_name = "HEADING")]
    section: Option<String>,
    /// The place of the list within JSON, such as /hooks
    #[arg(long, value_name = "POINTER")]
    pointer: Option<String>,
    /// What objects of JSON or rows of CSV must have; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_condition)]
    filter: Vec<(String, String)>,
    /// The column of tables or CSV, or the key of JSON's objects, that holds the addresses
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// The fewest callback entries that a list may have
    #[arg(long, value_name = "COUNT")]
    entries_min: Option<usize>,
    /// The most callback entries that a list may have
    #[arg(long, value_name = "COUNT")]
    entries_max: Option<usize>,
    /// The form of the report
    #[arg(long, default_value = "text")]
    format: Form,
    #[command(flatten)]
    network: Network,
}

impl Extract {
    pub(super) fn run(self) -> Outcome {
        let got = if self.page.starts_with("https://") {
            self.network.fetcher()?.fetch(&Page::new(&self.page, self.kind))
        } else {
            Ok(read(Path::new(&self.page))?)
        };
        let usual = Selector::default();
        let selector = Selector {
            section: self.section,
            pointer: self.pointer,
            filter: self.filter,
            column: self.column,
            entries: (
                self.entries_min.unwrap_or(usual.entries.0),
                self.entries_max.unwrap_or(usual.entries.1),
            ),
            ..usual
        };
        let reading = match got.map(|document| document.text(self.kind)) {
            Ok(Ok(text)) => extract(text.as_bytes(), self.kind, &selector),
            Ok(Err(unreadable)) => Reading::Unreadable(unreadable),
            Err(missed) => match without_document(missed) {
                Some(reading) => reading,
                None => return Ok(Exit::Undetermined),
            },
        };
        match self.format {
            Form::Text => print(&extract_text::extract(&self.page, &reading))?,
            Form::Json => print_json(&extract_v1::Extract::new(&reading))?,
        };
        Ok(match reading {
            Reading::List(_) => Exit::Ok,
            Reading::Empty | Reading::Moved(_) => Exit::Findings,
            Reading::Unreadable(_) => Exit::Undetermined,
        })
    }
}

/// A file as a document: nobody says its type, so its text alone is judged.
fn read(path: &Path) -> Result<Document, system::ReadError> {
    // One byte more than is read: a page that is too long is told so, not cut.
    let most = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let shown = path.display().to_string();
    Ok(Document {
        url: shown.clone(),
        found_at: shown,
        read_at: now(),
        content_type: None,
        etag: None,
        last_modified: None,
        body: system::read_bytes(path, most)?,
    })
}

/// What a page amounts to that gave nothing to read, said with what to do; `None` where it did not answer.
fn without_document(missed: Missed) -> Option<Reading> {
    let Missed { kind, reason, help } = missed;
    complain(&format!("{reason}\n  help: {help}\n"));
    match kind {
        MissedKind::Moved(to) => Some(Reading::Moved(to)),
        MissedKind::Unreadable => Some(Reading::Unreadable(Unreadable { line: None, reason })),
        MissedKind::Unreachable => None,
    }
}

fn parse_kind(text: &str) -> Result<PageKind, String> {
    let kinds = || PageKind::ALL.iter().filter(|kind| **kind != PageKind::Dns);
    kinds().find(|kind| kind.as_str() == text).copied().ok_or_else(|| {
        let names: Vec<&str> = kinds().map(|kind| kind.as_str()).collect();
        format!("write one of {}", names.join(", "))
    })
}

fn parse_condition(text: &str) -> Result<(String, String), String> {
    parse_filter(text).ok_or_else(|| "write `key=value`, such as `direction=egress`".to_owned())
}
