//! A source for what a page lists anew.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::written;
use crate::policy::raw::RawPolicy;
use crate::policy::validate::is_digest;
use crate::policy::{Environment, Hosting, Policy, Role, SourceId};
use crate::prefix::{Family, Prefix, PrefixSet, special_space};
use crate::upstream::compare::{Addition, PageComparison, Quote};
use crate::upstream::{Stated, StatedKind};

/// More stretches of addresses than this become one source.
const SOURCES_MAX: usize = 8;
/// Most lines of a page that become evidence of one source.
const EVIDENCE_MAX: usize = 4;
/// Most characters of a label that go into an id.
const LABEL_MAX: usize = 24;

/// A source that is proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// Its id.
    pub id: SourceId,
    /// The page that lists it.
    pub page: String,
    /// The heading under which it stands.
    pub section: Option<String>,
    /// What it covers.
    pub prefixes: Vec<Prefix>,
    /// What it is.
    pub role: Role,
    /// Whose address space it is, as far as that can be known.
    pub hosting: Hosting,
    /// The environments that call from it.
    pub environments: BTreeSet<Environment>,
    /// The lines of the page.
    pub quotes: Vec<Quote>,
    /// What a person has to know of it.
    pub notes: Vec<String>,
    /// It as YAML, one line an item, without indentation of its own.
    pub(super) lines: Vec<String>,
}

/// Where a source comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'c> {
    pub(super) addition: &'c Addition,
    pub(super) page: &'c PageComparison,
    /// When it was read; not later than the instant of the comparison, at which it is to be admitted.
    pub(super) known_at: Timestamp,
}

/// The addresses of an addition, cut into what becomes one source each.
pub(super) fn parts(addition: &Addition) -> Vec<Vec<Prefix>> {
    let stretches: Vec<PrefixSet> =
        addition.piece.addresses.ranges().map(|(first, last)| PrefixSet::between(first, last)).collect();
    if stretches.len() <= SOURCES_MAX {
        return stretches.iter().map(PrefixSet::to_prefixes).collect();
    }
    vec![addition.piece.addresses.to_prefixes()]
}

/// The source for a part of an addition; `Err` with the prefixes and why they can't be one.
pub(super) fn meant(
    policy: &Policy,
    raw: &RawPolicy,
    origin: Origin<'_>,
    prefixes: Vec<Prefix>,
    ids: &mut BTreeSet<String>,
) -> Result<Added, (Vec<Prefix>, String)> {
    if let Some(reason) = prefixes.iter().find_map(|prefix| unfit(prefix, raw)) {
        return Err((prefixes, reason));
    }
    let Origin { addition, page, known_at } = origin;
    let life = match Life::of(policy, &addition.piece.dates, known_at) {
        Ok(life) => life,
        Err(reason) => return Err((prefixes, reason)),
    };
    let Some(id) = free_id(addition, &prefixes, ids) else {
        return Err((prefixes, "no id is free".to_owned()));
    };
    let hosting = match (addition.role, addition.is_owned) {
        (Role::OwnerNetwork, _) | (_, true) => Hosting::Owner,
        (Role::Callback | Role::Tombstone, false) if prefixes.iter().all(Prefix::is_single) => {
            Hosting::Shared
        }
        (Role::Callback | Role::Tombstone, false) => Hosting::Unknown,
    };
    let stated = &addition.piece.environments;
    let environments: BTreeSet<Environment> =
        if stated.is_empty() { Environment::ALL.iter().copied().collect() } else { stated.clone() };
    let mut added = Added {
        id,
        page: page.page.clone(),
        section: page.section.clone(),
        quotes: quotes(addition, &prefixes),
        prefixes,
        role: addition.role,
        hosting,
        environments,
        notes: life.notes.clone(),
        lines: Vec::new(),
    };
    if stated.is_empty() {
        added.notes.push("Environments are not stated on the page; taken for both.".to_owned());
    }
    if hosting == Hosting::Shared {
        added.notes.push(
            "Taken for a cloud's address, which is the safe side: nothing wider can be written here."
                .to_owned(),
        );
    }
    if added.quotes.len() > EVIDENCE_MAX {
        added.notes.push("Further lines of the page say the same.".to_owned());
    }
    added.lines = lines(&added, origin, &life);
    Ok(added)
}

/// Why a prefix can't stand in a policy.
fn unfit(prefix: &Prefix, raw: &RawPolicy) -> Option<String> {
    let widest = raw.widest.as_ref();
    let bound = match prefix.family() {
        Family::V4 => widest.and_then(|widest| widest.v4.as_ref()).map_or(16, |bound| bound.value),
        Family::V6 => widest.and_then(|widest| widest.v6.as_ref()).map_or(32, |bound| bound.value),
    };
    if u16::from(prefix.length()) < bound {
        return Some(format!(
            "`{}` is wider than /{bound}, the widest that the policy allows",
            prefix.short()
        ));
    }
    let (block, _) = special_space(prefix)?;
    Some(format!("`{}` lies in {block}, from which nobody on the internet calls", prefix.short()))
}

/// The lines of the page for these prefixes: a line that names one of them, else all.
fn quotes(addition: &Addition, prefixes: &[Prefix]) -> Vec<Quote> {
    let all = &addition.piece.quotes;
    let names =
        |quote: &&Quote| prefixes.iter().any(|prefix| quote.text.contains(&prefix.first().to_string()));
    let own: Vec<Quote> = all.iter().filter(names).cloned().collect();
    if own.is_empty() { all.clone() } else { own }
}

/// An id of its own: the provider's word for it, or what it is, and the first address.
fn free_id(addition: &Addition, prefixes: &[Prefix], ids: &mut BTreeSet<String>) -> Option<SourceId> {
    let first = prefixes.first()?;
    let label = addition.piece.label.as_deref().map(slug).unwrap_or_default();
    let label: String = label.chars().take(LABEL_MAX).collect();
    let what = match addition.role {
        Role::Callback | Role::Tombstone => "callback",
        Role::OwnerNetwork => "network",
    };
    let word = match label.trim_matches('-') {
        "" => what,
        label => label,
    };
    let more = prefixes.len().saturating_sub(1);
    let more = if more > 0 { format!("-and-{more}-more") } else { String::new() };
    let base = format!("{word}-{}{more}", slug(&first.short().to_string()));
    let numbered = (2..1000).map(|number| format!("{base}-{number}"));
    let free = std::iter::once(base.clone()).chain(numbered).find(|id| !ids.contains(id))?;
    let id = SourceId::new(&free)?;
    ids.insert(free);
    Some(id)
}

/// Lower-case letters and digits, all else as single hyphens.
fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// The lifecycle of a source that was read for the first time.
struct Life {
    /// Fields with their values.
    fields: Vec<(&'static str, String)>,
    /// When it was read, where that is the best that is known of its start.
    announced: Option<Timestamp>,
    notes: Vec<String>,
}

impl Life {
    fn of(policy: &Policy, dates: &[Stated], read_at: Timestamp) -> Result<Self, String> {
        let mut life = Self { fields: Vec::new(), announced: Some(read_at), notes: Vec::new() };
        let from = life.only(dates, StatedKind::ValidFrom);
        let until = life.only(dates, StatedKind::ValidUntil);
        let deadline = life.only(dates, StatedKind::Deadline);
        let moment = |date: Option<&Stated>| date.and_then(|date| date.moment.clone());
        if let Some(from) = moment(from) {
            // What calls already is not announced.
            life.announced = life.announced.filter(|read_at| from.starts() > *read_at);
            life.fields.push(("valid_from", written::moment(&from, &policy.zone)));
        }
        if let Some(deadline) = moment(deadline) {
            let written = written::moment(&deadline, &policy.zone);
            if deadline.ends() > read_at {
                life.fields.push(("deadline", written));
            } else {
                life.notes.push(format!("The page gives the deadline {written}, which has passed."));
            }
        }
        if let Some(until) = moment(until) {
            let begins = moment(from).map_or(read_at, |from| from.starts().max(read_at));
            if until.ends() <= begins {
                return Err("by the page it is over already".to_owned());
            }
            life.fields.push(("valid_until", written::moment(&until, &policy.zone)));
        }
        Ok(life)
    }

    /// The one whole date of a kind; where the page gives several, or a part, a note says so.
    fn only<'d>(&mut self, dates: &'d [Stated], kind: StatedKind) -> Option<&'d Stated> {
        let own: Vec<&Stated> = dates.iter().filter(|date| date.kind == kind).collect();
        let whole: Vec<&Stated> = own.iter().copied().filter(|date| date.moment.is_some()).collect();
        let first = whole.first().copied();
        let ends = |date: &Stated| date.moment.as_ref().map(|moment| (moment.starts(), moment.ends()));
        let is_one = first.is_some_and(|first| whole.iter().all(|date| ends(date) == ends(first)));
        if !is_one && let Some(said) = own.first() {
            let (field, said) = (kind.field(), written::words(&said.text));
            self.notes.push(format!("The page gives no one whole date for {field}: \"{said}\"."));
        }
        first.filter(|_| is_one)
    }
}

fn lines(added: &Added, Origin { addition, page, .. }: Origin<'_>, life: &Life) -> Vec<String> {
    let mut lines =
        vec![format!("id: {}", added.id), format!("prefixes: {}", written::prefixes(&added.prefixes))];
    let label = addition.piece.label.as_deref().map(written::words).filter(|label| !label.is_empty());
    lines.extend(label.map(|label| format!("label: {}", written::quoted(&label))));
    lines.push(format!("role: {}", added.role));
    let asks = match added.hosting {
        Hosting::Unknown => {
            " # upstream asks: the provider's alone (dedicated), or a piece of a cloud's pool (shared)?"
        }
        Hosting::Dedicated | Hosting::Shared | Hosting::Owner => "",
    };
    lines.push(format!("hosting: {}{asks}", added.hosting));
    let environments: Vec<&str> = added.environments.iter().map(|environment| environment.as_str()).collect();
    lines.push(format!("environments: [{}]", environments.join(", ")));
    lines.push("lifecycle:".to_owned());
    if let Some(read_at) = life.announced {
        lines.push("  announced:".to_owned());
        lines.push(format!("    at: {}", written::instant(read_at)));
        lines.push("    precision: instant".to_owned());
        lines.push("    inferred: the page gives no day; it was first read with this entry then".to_owned());
    }
    lines.extend(life.fields.iter().map(|(field, value)| format!("  {field}: {value}")));
    lines.push("evidence:".to_owned());
    let quotes = added.quotes.iter().take(EVIDENCE_MAX);
    lines.extend(quotes.flat_map(|quote| evidence(page, quote)));
    lines.extend((!added.notes.is_empty()).then(|| "notes:".to_owned()));
    lines.extend(added.notes.iter().map(|note| format!("  - {}", written::quoted(note))));
    lines
}

fn evidence(page: &PageComparison, quote: &Quote) -> Vec<String> {
    let mut lines = vec![format!("  - page: {}", written::name(&page.page))];
    lines.extend(page.section.as_ref().map(|section| format!("    section: {}", written::quoted(section))));
    lines.push(format!("    says: {}", written::quoted(&quote.text)));
    lines.extend(page.read_at.map(|at| format!("    read: {}", written::instant(at))));
    let digest = page.digest.as_ref().map(|digest| format!("sha256:{digest}"));
    lines.extend(digest.filter(|digest| is_digest(digest)).map(|digest| format!("    digest: {digest}")));
    lines.push(format!("    note: \"Line {} of the page as it was received.\"", quote.line));
    lines
}
