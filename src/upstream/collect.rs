//! From blocks to what they publish: each address with what the words around it make of it.
//!
//! Words count from near to far: those of the sentence or the cell, of the introduction, of the headings. What is wrong in a
//! place that lists sources is kept as a fault, and whoever asks gives the page up for it.

mod context;
mod group;
mod sentence;

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use super::page::{ABSENT, Block, Kind, Line, Passage};
use super::section::Part;
use super::token::{self, Found, Span, What};
use super::words::{Standing, Wording, sentences};
use super::{Published, Stated, Unreadable, table};
pub(super) use crate::policy::ENTRIES_MAX;
use crate::policy::{Environment, Role};
use crate::prefix::{Prefix, Space, special_space};
use context::{Context, Intro};
use group::Unit;

/// A bare entry has at most so many words besides its addresses.
const BARE_WORDS_MAX: usize = 4;
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
    /// What makes it unreadable.
    pub(super) faults: Vec<Unreadable>,
    /// Addresses that may be sources or not: unreadable unless they are entries as well.
    pub(super) doubts: Vec<Doubt>,
    /// Lists that are announced and do not follow.
    pub(super) lost: Vec<(Role, Unreadable)>,
    /// Places where the text of a source may be missing.
    pub(super) absent: Option<u32>,
    /// Whether it speaks of callbacks' addresses at all.
    pub(super) speaks: bool,
}

/// An address of which it is not known whether it is a source.
#[derive(Debug, Clone)]
pub(super) struct Doubt {
    /// What it covers.
    pub(super) prefixes: Vec<Prefix>,
    /// Whether it is forgotten where the page has a list.
    pub(super) weak: bool,
    /// What to say of it.
    pub(super) told: Unreadable,
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
        if collector.out.entries.len() > ENTRIES_MAX {
            collector.fault(1, format!("the page lists more than {ENTRIES_MAX} entries"));
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
            if self.absent(line, &found) {
                continue;
            }
            let unit = Unit::new(passage, line, found);
            match unit.shape() {
                group::Shape::Bare => {
                    if unit.has_addresses() {
                        self.pending.clear();
                    }
                    self.group.push(unit);
                }
                group::Shape::Label => self.group.push(unit),
                group::Shape::Prose => {
                    self.close();
                    self.prose(passage, line, &unit.found);
                }
            }
        }
    }

    /// Takes note where the value of a variable stands in place of an address.
    fn absent(&mut self, line: &Line, found: &[Found]) -> bool {
        if line.text.contains(ABSENT) && found.is_empty() && Wording::new(&line.text).says_calls() {
            self.out.absent.get_or_insert(line.number());
        }
        false
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
        for unit in &units {
            let rule = Wording::new(&unit.line.text).has(&[
                " allow ",
                " permit ",
                " accept",
                " whitelist",
                " source ",
            ]);
            for found in unit.found.iter().filter(|_| rule) {
                if let What::Span(span) = &found.what {
                    self.doubt(span, unit.line, found.start, "stands in a sample of rules");
                }
            }
        }
        true
    }

    fn prose(&mut self, passage: &Passage, line: &Line, found: &[Found]) {
        let whole = Wording::new(&line.text);
        self.out.speaks |= whole.standing() == Some(Standing::Source);
        if !found.is_empty() {
            sentence::collect(self, line, found);
        }
        let _ = passage;
        let text = line.text.trim_end();
        let opens = text.ends_with(':');
        let mut parts = sentences(text).into_iter().peekable();
        while let Some(range) = parts.next() {
            let part = text.get(range.clone()).unwrap_or_default();
            let holds = found.iter().any(|one| range.contains(&one.start));
            let last = parts.peek().is_none();
            let wording = Wording::new(part);
            // A heading of a list says it in the sentence before, too: "They use these addresses. Allow all:".
            let announces = wording.announces(last && opens) || (last && opens && whole.announces(true));
            if announces && (!holds || (last && opens)) && !self.is_fulfilled_by(found, &range, last && opens)
            {
                self.pending.push(Announced {
                    role: if whole.says_owned() && !whole.says_calls() {
                        Role::OwnerNetwork
                    } else {
                        Role::Callback
                    },
                    line: line.number(),
                    text: part.to_owned(),
                    headings: 0,
                });
                break;
            }
        }
        self.context.introduce(Intro::new(text, line.number(), &self.rules.zone));
    }

    /// Whether addresses of the same line are what a sentence announces.
    fn is_fulfilled_by(&self, found: &[Found], range: &std::ops::Range<usize>, open: bool) -> bool {
        let _ = self;
        !open && found.iter().any(|one| one.start >= range.start)
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
        self.doubt_as(span, line, (at, why), !self.rules.chosen);
    }

    pub(super) fn doubt_as(&mut self, span: &Span, line: &Line, (at, why): (usize, &str), weak: bool) {
        let prefixes = span.prefixes();
        if prefixes.iter().any(|prefix| special_space(prefix).is_some()) {
            return;
        }
        let text = prefixes.first().map_or_else(String::new, |prefix| prefix.short().to_string());
        let told = Unreadable {
            line: Some(line.number_at(at)),
            reason: format!("`{text}` {why}: it may be a source or not"),
        };
        self.out.doubts.push(Doubt { prefixes, weak, told });
    }

    /// Takes addresses as an entry.
    pub(super) fn publish(&mut self, span: &Span, entry: Entry<'_>) {
        let line = entry.line.number_at(entry.at);
        let text = entry.text.unwrap_or(&entry.line.text);
        let prefixes = span.prefixes();
        for prefix in &prefixes {
            let bound = if prefix.first().is_ipv4() { self.rules.widest.0 } else { self.rules.widest.1 };
            if prefix.length() < bound {
                let reason = format!("`{prefix}` is wider than /{bound}, the widest that a source may be");
                return self.fault(line, reason);
            }
        }
        for prefix in prefixes {
            self.out.entries.push(Published {
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
}

/// In which kind of space addresses lie from which nobody calls; `None` for all others.
pub(super) fn special(span: &Span) -> Option<Space> {
    // A span of special space is within one block; a wide one that only touches it is too wide.
    span.prefixes().iter().find_map(|prefix| {
        special_space(prefix).filter(|(block, _)| block.covers(prefix)).map(|(_, space)| space)
    })
}
