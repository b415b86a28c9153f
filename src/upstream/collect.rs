//! From blocks to what they publish: each address with what the words around it make of it.
//!
//! Words count from near to far: those of the sentence or the cell, of the introduction, of the headings. What is wrong in a
//! place that lists sources is kept as a fault, and whoever asks gives the page up for it.

mod context;
mod group;
mod sentence;

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use super::page::{ABSENT, Block, Kind, Line, Passage};
use super::section::Part;
use super::token::{self, Found, Span, What};
use super::words::{Direction, Standing, Wording, sentences};
use super::{Published, Stated, Unreadable, table};
use crate::plain::cut;
pub(super) use crate::policy::ENTRIES_MAX;
use crate::policy::{Environment, Role};
use crate::prefix::{Prefix, Space, special_space};
pub(super) use context::Others;
use context::{Context, Intro};
use group::Unit;

/// Words of lines that let somebody through.
const RULES: &[&str] = &[" allow ", " permit ", " accept", " whitelist", " source "];
/// So many doubts are looked at.
const DOUBTS_MAX: usize = 1000;
/// A bare entry has at most so many words besides its addresses.
const BARE_WORDS_MAX: usize = 4;
/// So many characters are kept of what an entry stands in.
const QUOTED_MAX: usize = 600;
/// A label has at most so many words.
const LABEL_WORDS_MAX: usize = 5;

/// What holds for the whole page.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Whether the policy names the part that is read: what stands there is a source unless it says otherwise.
    pub(super) chosen: bool,
    /// The widest prefixes.
    pub(super) widest: (u8, u8),
    /// The zone of dates.
    pub(super) zone: TimeZone,
    /// The column of tables.
    pub(super) column: Option<String>,
    /// Whether the page has no heading at all, as a feed.
    pub(super) is_feed: bool,
}

/// What a part of a page gives.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    /// Entries, in order, perhaps several times.
    pub(super) entries: Vec<Published>,
    /// Entries of a feed whose introduction says nothing of them: they count where the page says of no others that it
    /// calls from them.
    pub(super) unexplained: Vec<Published>,
    /// What makes it unreadable.
    pub(super) faults: Vec<Unreadable>,
    /// Addresses that may be sources or not: unreadable unless they are entries as well.
    pub(super) doubts: Vec<Doubt>,
    /// Lists that are announced and do not follow.
    pub(super) lost: Vec<(Role, Unreadable)>,
    /// Places where the text of a source may be missing.
    pub(super) absent: Option<u32>,
    /// Directions that are all that is said of some entries, with the line of the first.
    pub(super) directions: BTreeMap<Direction, u32>,
}

/// An address of which it is not known whether it is a source.
#[derive(Debug, Clone)]
pub(super) struct Doubt {
    /// What it covers.
    pub(super) prefixes: Vec<Prefix>,
    /// What it counts.
    pub(super) weight: Weight,
    /// What to say of it.
    pub(super) told: Unreadable,
}

/// What a doubt counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// It is forgotten where the page has a list.
    Light,
    /// Where it is no entry, the page is unreadable.
    Full,
}

/// Reads a part of a page.
pub(super) fn collect(part: &Part<'_>, rules: &Rules) -> Outcome {
    let mut collector = Collector {
        rules,
        context: Context::new(&part.above),
        group: Vec::new(),
        pending: Vec::new(),
        out: Outcome::default(),
    };
    for block in part.blocks {
        collector.block(block);
        if !collector.out.faults.is_empty() {
            break;
        }
    }
    collector.close();
    collector.lose(usize::MAX);
    collector.out
}

/// A list that was announced.
struct Announced {
    role: Role,
    line: u32,
    text: String,
    headings: usize,
}

pub(super) struct Collector<'a> {
    pub(super) rules: &'a Rules,
    pub(super) context: Context,
    group: Vec<Unit<'a>>,
    pending: Vec<Announced>,
    pub(super) out: Outcome,
}

impl<'a> Collector<'a> {
    fn block(&mut self, block: &'a Block) {
        match block {
            Block::Open => self.context.open(),
            Block::Close => {
                self.close();
                self.context.shut();
            }
            Block::Heading(level, line) => {
                self.close();
                self.heading(*level, line);
            }
            Block::Table(found) => {
                self.close();
                let before = self.out.entries.len() + self.out.faults.len() + self.out.doubts.len();
                table::collect(self, found);
                if self.out.entries.len() + self.out.faults.len() + self.out.doubts.len() > before {
                    self.pending.clear();
                }
                self.context.use_up();
            }
            Block::Passage(passage) => self.passage(passage),
        }
    }

    fn heading(&mut self, level: u8, line: &Line) {
        self.lose(1);
        self.context.heading(level, &line.text);
        for found in token::find(&line.text) {
            let What::Span(span) = found.what else { continue };
            let standing = self.context.standing(None);
            if standing != Some(Standing::Other) && (self.rules.chosen || standing.is_some()) {
                self.doubt(&span, line, found.start, "stands in a heading");
            }
        }
    }

    /// Gives up waiting for lists that were announced so many headings ago.
    fn lose(&mut self, headings: usize) {
        for announced in &mut self.pending {
            announced.headings = announced.headings.saturating_add(headings);
        }
        let (lost, pending) = std::mem::take(&mut self.pending).into_iter().partition(|one| one.headings > 1);
        self.pending = pending;
        let lost: Vec<Announced> = lost;
        self.out.lost.extend(lost.into_iter().map(|one| {
            let reason = format!("a list is announced and does not follow: `{}`", token::shown(&one.text));
            (one.role, Unreadable { line: Some(one.line), reason })
        }));
    }

    fn passage(&mut self, passage: &'a Passage) {
        if passage.kind == Kind::Code && self.is_sample(passage) {
            self.close();
            return;
        }
        for line in &passage.lines {
            let found = token::find(&line.text);
            self.absent(line, &found);
            self.unit(Unit::new(passage, line, found));
        }
    }

    fn unit(&mut self, unit: Unit<'a>) {
        match unit.shape() {
            group::Shape::Bare => {
                self.pending.clear();
                self.group.push(unit);
            }
            group::Shape::Label => self.group.push(unit),
            group::Shape::Prose => {
                self.close();
                self.prose(unit.line, &unit.found);
            }
        }
    }

    /// Takes note where the value of a variable stands in place of an address.
    fn absent(&mut self, line: &Line, found: &[Found]) {
        if line.text.contains(ABSENT) && found.is_empty() && Wording::new(&line.text).says_calls() {
            self.out.absent.get_or_insert(line.number());
        }
    }

    /// Whether code shows how something looks: commands and their output, messages, programs.
    fn is_sample(&mut self, passage: &Passage) -> bool {
        let units: Vec<Unit<'_>> =
            passage.lines.iter().map(|line| Unit::new(passage, line, token::find(&line.text))).collect();
        let bare = units.iter().filter(|unit| unit.shape() == group::Shape::Bare).count();
        let others = units.len() - bare;
        let labels = units.iter().filter(|unit| unit.is_comment()).count();
        if bare > 0 && others <= labels.max(bare / 3) {
            return false;
        }
        let rules = units.iter().filter(|unit| Wording::new(&unit.line.text).has(RULES));
        for (unit, found) in rules.flat_map(|unit| unit.found.iter().map(move |found| (unit, found))) {
            if let What::Span(span) = &found.what {
                self.doubt(span, unit.line, found.start, "stands in a sample of rules");
            }
        }
        true
    }

    fn prose(&mut self, line: &Line, found: &[Found]) {
        if !found.is_empty() {
            sentence::collect(self, line, found);
        }
        self.announce(line, found);
        self.context.introduce(Intro::new(line.text.trim_end(), &self.rules.zone));
    }

    /// Takes note of a list that is to follow.
    fn announce(&mut self, line: &Line, found: &[Found]) {
        let whole = Wording::new(&line.text);
        let text = line.text.trim_end();
        let ranges = sentences(text);
        let last = ranges.len().saturating_sub(1);
        let announces = |(index, range): &(usize, &std::ops::Range<usize>)| {
            let part = text.get((*range).clone()).unwrap_or_default();
            // The last sentence may say it by its end, and name addresses in the sentence before.
            if *index == last && text.ends_with(':') {
                return whole.opens_list() && !Wording::new(part).says_shown();
            }
            Wording::new(part).announces() && found.last().is_none_or(|one| one.start < range.start)
        };
        let Some((_, range)) = ranges.iter().enumerate().find(announces) else { return };
        let owned = whole.says_owned() && !whole.says_calls();
        let role = if owned { Role::OwnerNetwork } else { Role::Callback };
        let told = text.get(range.clone()).unwrap_or_default().to_owned();
        self.pending.push(Announced { role, line: line.number(), text: told, headings: 0 });
    }

    fn close(&mut self) {
        let group = std::mem::take(&mut self.group);
        if !group.is_empty() {
            group::collect(self, &group);
            if group.iter().any(Unit::has_addresses) {
                self.context.use_up();
            }
        }
    }

    pub(super) fn fault(&mut self, line: u32, reason: String) {
        self.out.faults.push(Unreadable { line: Some(line), reason });
    }

    pub(super) fn doubt(&mut self, span: &Span, line: &Line, at: usize, why: &str) {
        let weight = if self.rules.chosen { Weight::Full } else { Weight::Light };
        self.doubt_as(span, (line, at), why, weight);
    }

    pub(super) fn doubt_as(&mut self, span: &Span, (line, at): (&Line, usize), why: &str, weight: Weight) {
        let prefixes = span.prefixes();
        if prefixes.iter().any(|prefix| special_space(prefix).is_some()) {
            return;
        }
        let number = line.number_at(at);
        if self.out.doubts.len() >= DOUBTS_MAX {
            return self
                .fault(number, "the page has too many addresses that may be sources or not".to_owned());
        }
        let text = prefixes.first().map_or_else(String::new, |prefix| prefix.short().to_string());
        let reason = format!("`{text}` {why}: it may be a source or not");
        self.out.doubts.push(Doubt { prefixes, weight, told: Unreadable { line: Some(number), reason } });
    }

    /// Takes addresses as an entry.
    pub(super) fn publish(&mut self, span: &Span, entry: &Entry<'_>) {
        let line = entry.line.number_at(entry.at);
        if self.out.entries.len() + self.out.unexplained.len() >= ENTRIES_MAX {
            return self.fault(line, format!("the page lists more than {ENTRIES_MAX} entries"));
        }
        if let Some(direction) = entry.direction {
            self.out.directions.entry(direction).or_insert(line);
        }
        let text = quoted(entry.text.unwrap_or(&entry.line.text));
        let prefixes = span.prefixes();
        for prefix in &prefixes {
            let bound = if prefix.first().is_ipv4() { self.rules.widest.0 } else { self.rules.widest.1 };
            if special_space(prefix).is_some() {
                let reason = format!("`{prefix}` holds addresses from which nobody can call");
                return self.fault(line, reason);
            }
            if prefix.length() < bound {
                let reason = format!("`{prefix}` is wider than /{bound}, the widest that a source may be");
                return self.fault(line, reason);
            }
        }
        let kept = if entry.explained { &mut self.out.entries } else { &mut self.out.unexplained };
        for prefix in prefixes {
            kept.push(Published {
                prefix,
                role: entry.role,
                environments: entry.environments.clone(),
                label: entry.label.clone(),
                dates: entry.dates.clone(),
                line,
                text: text.to_owned(),
            });
        }
    }
}

/// The words that are kept of what an entry stands in.
pub(super) fn quoted(text: &str) -> &str {
    cut(text, QUOTED_MAX)
}

/// What is known of an entry besides its addresses.
pub(super) struct Entry<'e> {
    /// Where it stands.
    pub(super) line: &'e Line,
    /// Where in the line.
    pub(super) at: usize,
    /// The words it stands in, where those are not the line.
    pub(super) text: Option<&'e str>,
    /// What it is.
    pub(super) role: Role,
    /// Who calls from it.
    pub(super) environments: BTreeSet<Environment>,
    /// What it is called.
    pub(super) label: Option<String>,
    /// Dates that are given for it.
    pub(super) dates: Vec<Stated>,
    /// Whether something says what it is, or nothing that stands before it fails to.
    pub(super) explained: bool,
    /// The direction, where nothing else is said of it.
    pub(super) direction: Option<Direction>,
}

/// In which kind of space addresses lie from which nobody calls; `None` for all others.
pub(super) fn special(span: &Span) -> Option<Space> {
    // A span of special space is within one block; a wide one that only touches it is too wide.
    span.prefixes().iter().find_map(|prefix| {
        special_space(prefix).filter(|(block, _)| block.covers(prefix)).map(|(_, space)| space)
    })
}
