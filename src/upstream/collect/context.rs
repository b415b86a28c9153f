//! What stands above and before an address: headings, introductions and labels.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use crate::policy::{Environment, Role};
use crate::upstream::words::{Standing, Wording, sentences};
use crate::upstream::{Stated, dates};

/// So many introductions before a list are looked at.
const INTROS_MAX: usize = 3;

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
        let last = sentences(text).pop().and_then(|range| text.get(range)).unwrap_or(text);
        let wording = Wording::new(text);
        let opens = text.trim_end().ends_with(':')
            || wording.has(&[" following", " below", " these ", " as follows", " listed "]);
        let named = Wording::new(last).environments().into_iter().map(|(_, one)| one).collect();
        Self { wording, opens, environments: named, dates: dates::find(last, zone) }
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
