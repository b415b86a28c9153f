//! What a page publishes: bytes and a selector in, a [`Reading`] out.
//!
//! Pure, and bounded in time and memory whatever the bytes are. All or nothing: a fault in what is read makes the page
//! unreadable.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use super::collect::{self, Outcome, Rules};
use super::page::{Block, Page};
use super::section::{self, Part};
use super::words::Wording;
use super::{Published, Reading, Unreadable, data, html, markdown, text};
use crate::policy::{Page as PolicyPage, PageKind, Role};
use crate::prefix::Prefix;

/// A page has at most so many bytes.
pub const BYTES_MAX: usize = 2 << 20;

/// The widest prefixes where no policy says it: providers hold IPv6 blocks of /29 and more.
const WIDEST: (u8, u8) = (16, 20);

/// What of a page is read.
#[derive(Debug, Clone)]
pub struct Selector {
    /// The heading under which the addresses stand; all of the page where there is none.
    pub section: Option<String>,
    /// The place within JSON (RFC 6901).
    pub pointer: Option<String>,
    /// What objects of JSON and rows of CSV have to have: `direction=egress`.
    pub filter: Vec<(String, String)>,
    /// The column of tables and of CSV, or the key of JSON's objects.
    pub column: Option<String>,
    /// The zone in which a date is a whole day.
    pub zone: TimeZone,
    /// The widest prefixes: lengths for IPv4 and IPv6.
    pub widest: (u8, u8),
    /// The fewest and the most callback entries.
    pub entries: (usize, usize),
}

impl Default for Selector {
    fn default() -> Self {
        Self {
            section: None,
            pointer: None,
            filter: Vec::new(),
            column: None,
            zone: TimeZone::UTC,
            widest: WIDEST,
            entries: (0, collect::ENTRIES_MAX),
        }
    }
}

impl Selector {
    /// The selector of a policy's page.
    pub fn of(page: &PolicyPage, zone: &TimeZone) -> Self {
        Self {
            section: page.section.clone(),
            pointer: page.pointer.clone(),
            filter: page.filter.clone(),
            column: page.column.clone(),
            zone: zone.clone(),
            widest: page.widest,
            entries: page.entries,
        }
    }
}

/// Reads what a page publishes.
///
/// Host names ([`PageKind::Dns`]) are no text to be read: such a page is unreadable here.
pub fn extract(bytes: &[u8], kind: PageKind, selector: &Selector) -> Reading {
    match read(bytes, kind, selector) {
        Ok(reading) => reading,
        Err(why) => Reading::Unreadable(why),
    }
}

/// Something is wrong with the whole page.
fn whole(reason: impl Into<String>) -> Unreadable {
    Unreadable { line: None, reason: reason.into() }
}

fn read(bytes: &[u8], kind: PageKind, selector: &Selector) -> Result<Reading, Unreadable> {
    if bytes.len() > BYTES_MAX {
        return Err(whole(format!("the page has {} bytes, and {BYTES_MAX} are read at most", bytes.len())));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        Unreadable { line: u32::try_from(line).ok(), reason: "the page is not UTF-8".to_owned() }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = &text.replace("\r\n", "\n").replace('\r', "\n");
    let page = match kind {
        PageKind::Html => html::read(text).map_err(whole)?,
        PageKind::Markdown => markdown::read(text).map_err(whole)?,
        PageKind::Text => text::read(text),
        PageKind::Json => return bounded(data::json(text, selector)?, selector),
        PageKind::Csv => return bounded(data::csv(text, selector)?, selector),
        PageKind::Dns => return Err(whole("host names are resolved, not read from a page")),
    };
    pages(&page, selector)
}

/// Reads a page of text.
fn pages(page: &Page, selector: &Selector) -> Result<Reading, Unreadable> {
    if let Some(moved) = &page.moved {
        return Ok(Reading::Moved(moved.to.clone()));
    }
    if let Some(cut) = &page.cut {
        return Err(whole(format!("{cut}: it may be cut short")));
    }
    let brief = brief(page).filter(|text| super::token::find(text).is_empty());
    if let Some(error) = brief.and_then(|text| stands_in(page, &text)) {
        return Err(whole(error));
    }
    let rules = Rules {
        chosen: selector.section.is_some(),
        widest: selector.widest,
        zone: selector.zone.clone(),
        column: selector.column.clone(),
        is_feed: !page.blocks.iter().any(|block| matches!(block, Block::Heading(..))),
    };
    let parts = match &selector.section {
        None => vec![Part { above: Vec::new(), blocks: &page.blocks }],
        Some(name) => section::find(page, name),
    };
    if let (true, Some(name)) = (parts.is_empty(), &selector.section) {
        return Err(whole(format!("the page has no section `{}`", crate::json::shown(name))));
    }
    let outcomes: Vec<Outcome> = parts.iter().map(|part| collect::collect(part, &rules)).collect();
    same(&parts, &outcomes)?;
    let mut all = Outcome::default();
    for one in outcomes {
        all.entries.extend(one.entries);
        all.unexplained.extend(one.unexplained);
        all.faults.extend(one.faults);
        all.doubts.extend(one.doubts);
        all.lost.extend(one.lost);
        all.absent = all.absent.or(one.absent);
        all.directions.extend(one.directions);
    }
    judge(page, all, selector)
}

/// All text of a page that has little of it, and no table.
fn brief(page: &Page) -> Option<String> {
    const LITTLE: usize = 1500;
    let mut text = page.title.clone();
    for block in &page.blocks {
        match block {
            Block::Heading(_, line) => text.push_str(&format!(" {}", line.text)),
            Block::Passage(passage) => text.push_str(&format!(" {}", passage.text())),
            Block::Table(_) => return None,
            Block::Open | Block::Close => {}
        }
        if text.len() > LITTLE {
            return None;
        }
    }
    Some(text)
}

/// Whether a page with little text only stands in for another: a check of who asks, an error, a program to be run.
fn stands_in(page: &Page, text: &str) -> Option<String> {
    const CHECKS: &[&str] = &[
        " just a moment ",
        " attention required",
        " are you a robot",
        " verify you are human",
        " verifying you are human",
        " checking your browser",
        " enable javascript",
        " access denied",
        " captcha",
        " request blocked",
        " page not found",
        " 404 not found",
        " not found 404",
        " service unavailable",
        " under maintenance",
        " too many requests",
    ];
    if page.blocks.iter().all(|block| matches!(block, Block::Open | Block::Close)) {
        return Some("the page has no text: perhaps a program that is not run here makes it".to_owned());
    }
    let wording = Wording::new(text);
    let found = CHECKS.iter().find(|check| wording.has(&[**check]));
    found.map(|check| format!("this is not the page but what stands in for it: it says `{}`", check.trim()))
}

/// Parts of one name say the same, unless they say of whom.
fn same(parts: &[Part<'_>], outcomes: &[Outcome]) -> Result<(), Unreadable> {
    let said = |outcome: &Outcome| -> BTreeSet<(Prefix, Role)> {
        outcome.entries.iter().map(|entry| (entry.prefix, entry.role)).collect()
    };
    let environments = |part: &Part<'_>| {
        let named = part.above.iter().rev().map(|above| Wording::new(above).labels());
        named.into_iter().find(|named| !named.is_empty()).unwrap_or_default()
    };
    let filled: Vec<(&Part<'_>, &Outcome)> =
        parts.iter().zip(outcomes).filter(|(_, outcome)| !outcome.entries.is_empty()).collect();
    let Some((first, rest)) = filled.split_first() else { return Ok(()) };
    for (part, outcome) in rest {
        let told_apart = environments(first.0) != environments(part)
            && !environments(first.0).is_empty()
            && !environments(part).is_empty();
        if said(first.1) != said(outcome) && !told_apart {
            let line = outcome.entries.first().map(|entry| entry.line);
            let reason = format!(
                "the section stands {} times on the page, and not each time says the same",
                parts.len()
            );
            return Err(Unreadable { line, reason });
        }
    }
    Ok(())
}

/// From all that was found to the reading.
fn judge(page: &Page, mut all: Outcome, selector: &Selector) -> Result<Reading, Unreadable> {
    if let Some(fault) = all.faults.into_iter().next() {
        return Err(fault);
    }
    let entries = explained(std::mem::take(&mut all.entries), std::mem::take(&mut all.unexplained))?;
    let listed = |doubt: &collect::Doubt| {
        doubt.prefixes.iter().all(|prefix| entries.iter().any(|entry| entry.prefix.covers(prefix)))
    };
    let counts = |doubt: &&collect::Doubt| doubt.weight == collect::Weight::Full || entries.is_empty();
    let doubt = all.doubts.iter().filter(counts).find(|doubt| !listed(doubt));
    if let Some(doubt) = doubt {
        return Err(doubt.told.clone());
    }
    if let [_, (_, line)] = all.directions.iter().collect::<Vec<_>>().as_slice() {
        let reason = "the page lists addresses of both directions, and does not say from which it calls";
        return Err(Unreadable { line: Some(**line), reason: reason.to_owned() });
    }
    // Networks of the owner are extra: where their list is lost, callbacks can be read all the same.
    let has_callbacks = entries.iter().any(|entry| entry.role == Role::Callback);
    let missing = all.lost.into_iter().find(|(role, _)| *role == Role::Callback || !has_callbacks);
    if let Some((_, why)) = missing.filter(|(role, _)| *role == Role::Callback || entries.is_empty()) {
        return Err(why);
    }
    if let Some(torn) = &page.torn {
        // Where a heading follows the last entry, the part that lists had ended before.
        let last = entries.iter().map(|entry| entry.line).max().unwrap_or(u32::MAX);
        let ended =
            page.blocks.iter().any(|block| matches!(block, Block::Heading(_, line) if line.number() > last));
        if !ended {
            return Err(whole(format!("{torn}: it may be cut short")));
        }
    }
    if !entries.is_empty() {
        return bounded(entries, selector);
    }
    if let Some(line) = all.absent {
        let reason = "a value that is not in the file stands where callbacks come from".to_owned();
        return Err(Unreadable { line: Some(line), reason });
    }
    if let Some((line, file)) = &page.included {
        let reason = format!(
            "a part of the page is in another file, `{}`, and the rest lists nothing",
            crate::json::shown(file)
        );
        return Err(Unreadable { line: Some(*line), reason });
    }
    // It may tell whoever asks which address he has.
    if let Some(error) = brief(page).and_then(|text| stands_in(page, &text)) {
        return Err(whole(error));
    }
    bounded(entries, selector)
}

/// What a page says of its entries: where it says so of some, it has to say it of all.
fn explained(entries: Vec<Published>, unexplained: Vec<Published>) -> Result<Vec<Published>, Unreadable> {
    if entries.is_empty() {
        return Ok(merged(unexplained));
    }
    let listed = |one: &&Published| entries.iter().any(|entry| entry.prefix.covers(&one.prefix));
    if let Some(other) = unexplained.iter().find(|one| !listed(one)) {
        let text = other.prefix.short();
        let reason = format!(
            "`{text}` stands where nothing says what it is, unlike others: it may be a source or not"
        );
        return Err(Unreadable { line: Some(other.line), reason });
    }
    Ok(merged(entries))
}

/// Each prefix once for its role; what the provider calls from is no mere network of its own.
fn merged(entries: Vec<Published>) -> Vec<Published> {
    let mut places: std::collections::HashMap<(Prefix, Role), usize> = std::collections::HashMap::new();
    let mut kept: Vec<Published> = Vec::new();
    for entry in entries {
        match places.get(&(entry.prefix, entry.role)).and_then(|at| kept.get_mut(*at)) {
            None => {
                places.insert((entry.prefix, entry.role), kept.len());
                kept.push(entry);
            }
            Some(known) => {
                known.environments.extend(entry.environments);
                known.label = known.label.take().or(entry.label);
                let new = entry.dates.into_iter().filter(|date| !known.dates.contains(date));
                let new: Vec<_> = new.collect();
                known.dates.extend(new);
            }
        }
    }
    let called: BTreeSet<Prefix> =
        kept.iter().filter(|entry| entry.role == Role::Callback).map(|entry| entry.prefix).collect();
    kept.retain(|entry| entry.role == Role::Callback || !called.contains(&entry.prefix));
    kept
}

/// A list within the policy's bounds.
fn bounded(entries: Vec<Published>, selector: &Selector) -> Result<Reading, Unreadable> {
    let entries = merged(entries);
    let (min, max) = selector.entries;
    let count = entries.iter().filter(|entry| entry.role == Role::Callback).count();
    if !entries.is_empty() && !(min..=max).contains(&count) {
        return Err(whole(format!("{count} callback entries, where {min} to {max} are expected")));
    }
    Ok(if entries.is_empty() { Reading::Empty } else { Reading::List(entries) })
}
