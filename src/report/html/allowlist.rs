//! The allowlist with its evidence, and the sources that are not in it, with why.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::Limits;
use super::words::{Folded, Link, beyond, counted, first, folded, link, words};
use crate::report::source_v1::{Instant, Shown};
use crate::report::survey_v1::{EntryReport, PolicySurvey, SourceReport};

/// Prefixes that are shown at once.
const AT_ONCE: usize = 8;
/// Sources of one row that are shown with their evidence.
const SOURCES_MAX: usize = 8;

/// The part of the page.
#[derive(Serialize)]
pub(super) struct Allowlist {
    rows: Vec<Row>,
    left_out: Option<String>,
    others: Vec<Other>,
    others_left_out: Option<String>,
    /// Sources that are not admitted.
    pub not_admitted: usize,
    /// The sources whose evidence is shown, as `provider/source`.
    #[serde(skip)]
    pub described: HashSet<String>,
}

/// Prefixes that come from the same sources in the same way.
#[derive(Serialize)]
struct Row {
    prefixes: Folded,
    count: String,
    state: &'static str,
    environments: String,
    held: bool,
    sources: Vec<Source>,
    sources_left_out: Option<String>,
}

/// A source that is not admitted.
#[derive(Serialize)]
struct Other {
    prefixes: Folded,
    why: String,
    source: Source,
}

/// A source with what is known of it.
#[derive(Debug, Serialize)]
pub(super) struct Source {
    /// Where others lead to; where its evidence was shown before, it has none.
    anchor: Option<String>,
    provider: String,
    id: String,
    label: Option<String>,
    role: &'static str,
    hosting: &'static str,
    replaced_by: Option<String>,
    dates: Vec<Dates>,
    evidence: Vec<Evidence>,
    /// All but the first piece, in words.
    more: Option<String>,
    left_out: Option<String>,
}

/// The instants of a lifecycle, and for which environments they hold.
#[derive(Debug, Serialize)]
struct Dates {
    environments: String,
    instants: Vec<Dated>,
}

/// An instant as it is written.
#[derive(Debug, Serialize)]
pub(super) struct Dated {
    what: &'static str,
    at: String,
    inferred: Option<String>,
}

/// A piece of evidence.
#[derive(Debug, Serialize)]
pub(super) struct Evidence {
    says: Option<String>,
    page: String,
    link: Link,
    section: Option<String>,
    read: String,
    version: Option<String>,
    note: Option<String>,
    digest: Option<String>,
}

pub(super) fn allowlist(policy: &PolicySurvey, limits: Limits) -> Allowlist {
    let known: HashMap<String, &SourceReport> = policy
        .sources
        .iter()
        .map(|source| (format!("{}/{}", source.provider, source.source), source))
        .collect();
    let mut book = Book { known, limits, described: HashSet::new() };
    let groups = groups(&policy.allowlist);
    let (kept, _) = first(&groups, limits, "");
    let shown: usize = kept.iter().map(Vec::len).sum();
    let rows = kept.iter().filter_map(|group| row(group, &mut book)).collect();
    let (others, not_admitted) = others(policy, &mut book);
    Allowlist {
        rows,
        left_out: beyond(policy.allowlist.len(), shown, "prefix"),
        others_left_out: beyond(not_admitted, others.len(), "source"),
        others,
        not_admitted,
        described: book.described,
    }
}

/// Entries of the same sources and state, in the order of their first prefixes.
fn groups(all: &[EntryReport]) -> Vec<Vec<&EntryReport>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<&EntryReport>> = Vec::new();
    for entry in all {
        let key = (entry.sources.as_slice(), entry.state, entry.environments.as_slice(), entry.held);
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(entry),
            None => groups.push(vec![entry]),
        }
    }
    groups
}

/// Sources by their names, and which of them the page has told of already.
struct Book<'a> {
    known: HashMap<String, &'a SourceReport>,
    limits: Limits,
    described: HashSet<String>,
}

impl Book<'_> {
    fn source(&mut self, name: &str) -> Option<Source> {
        let report = *self.known.get(name)?;
        // Evidence is told once; a second row of a source leads to the first.
        let is_first = self.described.insert(name.to_owned());
        Some(if is_first { described(report, self.limits) } else { source(report) })
    }
}

fn row(group: &[&EntryReport], book: &mut Book<'_>) -> Option<Row> {
    let one = group.first()?;
    let sources: Vec<Source> =
        one.sources.iter().take(SOURCES_MAX).filter_map(|name| book.source(name)).collect();
    let count = counted(group.len(), "prefix");
    Some(Row {
        prefixes: folded(group, AT_ONCE, |entry| entry.prefix.clone(), book.limits),
        count,
        state: one.state,
        environments: one.environments.join(" and "),
        held: one.held,
        sources_left_out: beyond(one.sources.len(), sources.len(), "source"),
        sources,
    })
}

/// Sources without an entry: why they have none, as far as the site says.
fn others(policy: &PolicySurvey, book: &mut Book<'_>) -> (Vec<Other>, usize) {
    let why: BTreeMap<(&str, &str), &str> = policy
        .not_admitted
        .iter()
        .map(|one| ((one.provider.as_str(), one.source.as_str()), one.why.as_str()))
        .collect();
    let all: Vec<&SourceReport> = policy.sources.iter().filter(|source| !source.admitted).collect();
    let limits = book.limits;
    let kept = all.iter().take(limits.rows).filter_map(|report| {
        let found = why.get(&(report.provider.as_str(), report.source.as_str()));
        Some(Other {
            prefixes: folded(&report.prefixes, AT_ONCE, Clone::clone, limits),
            why: words(found.copied().unwrap_or("the site does not select it"), limits),
            source: book.source(&format!("{}/{}", report.provider, report.source))?,
        })
    });
    (kept.collect(), all.len())
}

/// A source by its names alone.
fn source(report: &SourceReport) -> Source {
    Source {
        anchor: None,
        provider: report.provider.clone(),
        id: report.source.clone(),
        label: None,
        role: report.role,
        hosting: report.hosting,
        replaced_by: None,
        dates: Vec::new(),
        evidence: Vec::new(),
        more: None,
        left_out: None,
    }
}

/// A source with its dates and its evidence.
fn described(report: &SourceReport, limits: Limits) -> Source {
    let kept = report.evidence.iter().take(limits.pieces);
    let pieces: Vec<Evidence> = kept.map(|piece| evidence(piece, limits)).collect();
    let more = pieces.len().saturating_sub(1);
    Source {
        anchor: Some(format!("source.{}.{}", report.provider, report.source)),
        label: report.label.as_ref().map(|label| words(label, limits)),
        replaced_by: report.replaced_by.clone(),
        dates: dates(report, limits),
        left_out: beyond(report.evidence.len(), pieces.len(), "piece"),
        more: (more > 0).then(|| counted(more, "more piece") + " of evidence"),
        evidence: pieces,
        ..source(report)
    }
}

fn dates(report: &SourceReport, limits: Limits) -> Vec<Dates> {
    let dates = report.lifecycles.iter().map(|lifecycle| Dates {
        environments: lifecycle.environments.join(" and "),
        instants: lifecycle.instants.iter().map(|instant| dated(instant, limits)).collect(),
    });
    dates.filter(|dates| !dates.instants.is_empty()).collect()
}

pub(super) fn dated(instant: &Instant, limits: Limits) -> Dated {
    Dated {
        what: instant.what,
        at: instant.at.clone(),
        inferred: instant.inferred.as_ref().map(|why| words(why, limits)),
    }
}

pub(super) fn evidence(piece: &Shown, limits: Limits) -> Evidence {
    let some = |text: &Option<String>| text.as_ref().map(|text| words(text, limits));
    Evidence {
        says: some(&piece.says),
        page: words(&piece.page, limits),
        link: link(&piece.url, limits),
        section: some(&piece.section),
        read: piece.read.clone(),
        version: some(&piece.version),
        note: some(&piece.note),
        digest: some(&piece.digest),
    }
}
