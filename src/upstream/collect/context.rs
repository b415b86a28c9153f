//! What stands above and before an address: headings, introductions and labels.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use crate::policy::{Environment, Role};
use crate::upstream::words::{Direction, Standing, Wording, sentences};
use crate::upstream::{Stated, dates};

/// So many introductions before a list are looked at.
const INTROS_MAX: usize = 3;

/// So many bytes of an introduction are looked at: it is asked again for each entry.
const INTRO_BYTES_MAX: usize = 2000;

/// A paragraph before a list.
#[derive(Debug, Clone)]
pub(super) struct Intro {
    wording: Wording,
    opens: bool,
    environments: BTreeSet<Environment>,
    dates: Vec<Stated>,
}

impl Intro {
    /// A paragraph.
    pub(super) fn new(text: &str, zone: &TimeZone) -> Self {
        // What introduces a list stands at its end.
        let text = tail(text, INTRO_BYTES_MAX);
        let last = sentences(text).pop().and_then(|range| text.get(range)).unwrap_or(text);
        let wording = Wording::new(text);
        let opens = text.trim_end().ends_with(':')
            || wording.has(&[" following", " below", " these ", " as follows", " listed "]);
        let named = Wording::new(last).environments().into_iter().map(|(_, one)| one).collect();
        Self { wording, opens, environments: named, dates: dates::find(last, zone) }
    }
}

/// The end of a text that is too long.
fn tail(text: &str, bytes: usize) -> &str {
    let from = text.len().saturating_sub(bytes);
    (from..=text.len()).find_map(|at| text.get(at..)).unwrap_or_default()
}

/// Whether other lines of a list or a table name the requests that the provider sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// Some do.
    NameCallbacks,
    /// None does.
    NameNone,
}

impl Others {
    /// What the words of all lines name.
    pub(crate) fn of<'w>(mut words: impl Iterator<Item = &'w Wording>) -> Self {
        if words.any(Wording::names_callbacks) { Self::NameCallbacks } else { Self::NameNone }
    }
}

/// A heading above.
#[derive(Debug, Clone)]
struct Above {
    level: u8,
    depth: usize,
    wording: Wording,
    text: String,
    /// Whether it is the heading of the part that was asked for, or above it.
    outer: bool,
}

/// All that is above and before.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    above: Vec<Above>,
    depth: usize,
    intros: Vec<Intro>,
    used: bool,
}

impl Context {
    /// The context of a part of a page under these headings.
    pub(super) fn new(above: &[String]) -> Self {
        let count = above.len();
        let levels = (0_u8..).zip(above);
        let above = levels.map(|(_, text)| Above {
            level: 0,
            depth: 0,
            wording: Wording::new(text),
            text: text.clone(),
            outer: true,
        });
        Self { above: above.take(count).collect(), depth: 0, intros: Vec::new(), used: false }
    }

    pub(super) fn open(&mut self) {
        self.depth = self.depth.saturating_add(1);
    }

    pub(super) fn shut(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        let depth = self.depth;
        self.above.retain(|above| above.outer || above.depth <= depth);
    }

    pub(super) fn heading(&mut self, level: u8, text: &str) {
        self.above.retain(|above| above.outer || above.level < level);
        let (depth, wording) = (self.depth, Wording::new(text));
        self.above.push(Above { level, depth, wording, text: text.to_owned(), outer: false });
        self.intros.clear();
        self.used = false;
    }

    /// A paragraph comes before what follows.
    pub(super) fn introduce(&mut self, intro: Intro) {
        if self.used {
            self.intros.clear();
            self.used = false;
        }
        self.intros.push(intro);
        if self.intros.len() > INTROS_MAX {
            self.intros.remove(0);
        }
    }

    /// A list has been read: the next paragraph introduces something else.
    pub(crate) fn use_up(&mut self) {
        self.used = true;
    }

    /// The paragraph that introduces a list: the nearest that says so, else the nearest.
    fn intro(&self) -> Option<&Intro> {
        self.intros.iter().rev().find(|intro| intro.opens).or(self.intros.last())
    }

    /// Whether a paragraph stands before what follows.
    pub(super) fn is_introduced(&self) -> bool {
        !self.intros.is_empty()
    }

    /// Whether a heading says that all below was once.
    pub(super) fn is_history(&self) -> bool {
        self.above.iter().any(|above| !above.outer && above.wording.says_history())
    }

    /// What introduction and headings say of addresses; `own` is what stands nearer.
    pub(crate) fn standing(&self, own: Option<&Wording>) -> Option<Standing> {
        if self.is_history() {
            return Some(Standing::Other);
        }
        if let Some(standing) = own.and_then(Wording::standing) {
            return Some(standing);
        }
        if let Some(intro) = self.intro() {
            match intro.wording.standing() {
                Some(standing) => return Some(standing),
                None if intro.wording.says_shown() => return Some(Standing::Other),
                None => {}
            }
        }
        for above in self.above.iter().rev() {
            if !above.outer && above.wording.says_changes() {
                return Some(Standing::Former);
            }
            if !above.outer && above.wording.says_shown() {
                return Some(Standing::Other);
            }
            match above.wording.standing() {
                // The part was asked for by its name: whatever it is called, its addresses are wanted.
                Some(Standing::Other | Standing::Former) if above.outer => {}
                Some(standing) => return Some(standing),
                None => {}
            }
        }
        None
    }

    /// Whether the introduction itself says that sources follow.
    pub(crate) fn introduces_sources(&self) -> bool {
        !self.used
            && self
                .intro()
                .is_some_and(|intro| intro.opens && intro.wording.standing() == Some(Standing::Source))
    }

    /// Whether introduction or headings name the requests that the provider sends.
    pub(crate) fn names_callbacks(&self) -> bool {
        let intro = self.intro().map(|intro| &intro.wording);
        let mut above = self.above.iter().rev().map(|above| &above.wording).chain(intro);
        above.any(|wording| wording.says_calls() || wording.names_callbacks())
    }

    /// What the words of a line in a list, or of a table's row, make of its addresses; `None` where that is for those
    /// above to say.
    pub(crate) fn beside(&self, words: &[&Wording], others: Others) -> Option<Standing> {
        let any = |is: fn(&Wording) -> bool| words.iter().any(|one| is(one));
        if any(Wording::labels_past) || any(Wording::says_both) || any(Wording::points_away) {
            return Some(Standing::Former);
        }
        if any(Wording::names_callbacks) {
            return words.iter().find_map(|one| one.standing());
        }
        if any(Wording::names_purpose) {
            return match (others, self.names_callbacks()) {
                (Others::NameCallbacks, _) => Some(Standing::Other),
                (Others::NameNone, false) => Some(Standing::Former),
                (Others::NameNone, true) => words.iter().find_map(|one| one.standing()),
            };
        }
        // Where some are said to be for callbacks, the others are for something else, or it is forgotten to be said.
        let worded = words.iter().any(|one| one.text().contains(char::is_alphabetic));
        if others == Others::NameCallbacks && worded && words.iter().all(|one| one.labels().is_empty()) {
            return Some(Standing::Former);
        }
        words.iter().find_map(|one| one.standing())
    }

    /// The direction that is all that is said of addresses, from near to far; `None` where more is said.
    pub(crate) fn direction(&self, own: Option<&Wording>) -> Option<Direction> {
        let intro = self.intro().map(|intro| &intro.wording);
        let above = self.above.iter().rev().map(|above| &above.wording);
        let told = own.into_iter().chain(intro).chain(above).find_map(|wording| {
            if wording.says_calls() || wording.names_callbacks() {
                return Some(None);
            }
            wording.direction().map(Some)
        });
        told.flatten()
    }

    /// Whose addresses these are by what is said, from near to far.
    pub(crate) fn role(&self, own: Option<&Wording>) -> Option<Role> {
        let intro = self.intro().map(|intro| &intro.wording);
        let above = self.above.iter().rev().map(|above| &above.wording);
        own.into_iter().chain(intro).chain(above).find_map(|wording| {
            match (wording.says_calls(), wording.says_owned()) {
                (true, _) => Some(Role::Callback),
                (false, true) => Some(Role::OwnerNetwork),
                (false, false) => None,
            }
        })
    }

    /// The environments that introduction or headings name, the nearest first.
    pub(crate) fn environments(&self) -> BTreeSet<Environment> {
        let intro = self.intro().map(|intro| intro.environments.clone()).filter(|named| !named.is_empty());
        intro.unwrap_or_else(|| {
            let short = self.above.iter().rev().filter(|above| above.text.split_whitespace().count() <= 6);
            short.map(|above| above.wording.labels()).find(|named| !named.is_empty()).unwrap_or_default()
        })
    }

    /// Dates that the introduction gives.
    pub(crate) fn dates(&self) -> Vec<Stated> {
        self.intro().map(|intro| intro.dates.clone()).unwrap_or_default()
    }
}
