//! Pages of many providers, read once or twice: from the network, or from where an earlier run saved them.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::cli::now;
use crate::policy::{Page, PageKind, Policy};
use crate::upstream::document::{Document, Missed};
use crate::upstream::fetch::saved::{self, Saved};
use crate::upstream::fetch::{Fetcher, queue};

/// A page that is to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) policy: &'a Policy,
    pub(super) name: &'a str,
    pub(super) page: &'a Page,
}

/// What became of a page, and when.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) at: Timestamp,
    pub(super) result: Result<Document, Missed>,
}

/// Where pages come from.
#[derive(Debug)]
pub(super) enum Origin {
    /// The providers, and the folder that keeps what they say.
    Network(Box<Fetcher>, Option<PathBuf>),
    /// An earlier run.
    Saved(Saved),
}

/// Which reading of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The first.
    First,
    /// The second, which settles what the first says.
    Second,
}

/// The pages of these policies that are expected to list addresses.
pub(super) fn watched<'a>(policies: &[&'a Policy]) -> Vec<Wanted<'a>> {
    let of = |policy: &'a Policy| {
        let pages = policy.pages.iter().filter(|(_, page)| page.watched);
        pages.map(move |(name, page)| Wanted { policy, name, page })
    };
    policies.iter().copied().flat_map(of).collect()
}

impl Origin {
    /// Reads every page; `None` for one of which no second reading was saved.
    pub(super) fn read(&self, wanted: &[Wanted<'_>], turn: Turn) -> anyhow::Result<Vec<Option<Rc<Read>>>> {
        match self {
            Origin::Saved(saved) => {
                Ok(wanted.iter().map(|one| replayed(saved, one.page, turn).map(Rc::new)).collect())
            }
            Origin::Network(fetcher, folder) => {
                let (pages, places) = distinct(wanted);
                let progress = Progress::new(pages.len());
                let results = queue::each(&pages, |_, page| {
                    let result = match turn {
                        Turn::First => fetcher.fetch(page),
                        Turn::Second => fetcher.fetch_anew(page),
                    };
                    progress.one_more();
                    Read { at: now(), result }
                });
                progress.done();
                let results: Vec<Rc<Read>> = results.into_iter().map(Rc::new).collect();
                let results: Vec<_> =
                    places.into_iter().filter_map(|place| results.get(place).cloned()).collect();
                if let Some(folder) = folder {
                    save(folder, wanted, &results, turn)?;
                }
                Ok(results.into_iter().map(Some).collect())
            }
        }
    }

    /// When to read again, where `asked` is what the user said: what was saved twice is always read twice.
    pub(super) fn recheck(&self, asked: Option<Duration>) -> Option<Duration> {
        match self {
            Origin::Network(..) => asked,
            Origin::Saved(_) => Some(Duration::MAX),
        }
    }

    /// Waits before a second reading; a saved one is there already.
    pub(super) fn wait(&self, time: Duration) {
        match self {
            Origin::Network(..) => countdown(time),
            Origin::Saved(_) => {}
        }
    }
}

/// What is to be fetched, and where among that each page is: a page may be watched under several names, for its
/// sections.
fn distinct<'a>(wanted: &[Wanted<'a>]) -> (Vec<&'a Page>, Vec<usize>) {
    let mut pages: Vec<&Page> = Vec::new();
    let mut known: BTreeMap<(&str, PageKind, &[String]), usize> = BTreeMap::new();
    let place = |one: &Wanted<'a>| {
        let page = one.page;
        *known.entry((&page.url, page.kind, &page.names)).or_insert_with(|| {
            pages.push(page);
            pages.len() - 1
        })
    };
    let places = wanted.iter().map(place).collect();
    (pages, places)
}

fn save(folder: &Path, wanted: &[Wanted<'_>], results: &[Rc<Read>], turn: Turn) -> anyhow::Result<()> {
    let number = match turn {
        Turn::First => 1,
        Turn::Second => 2,
    };
    for (one, read) in wanted.iter().zip(results) {
        let provider = one.policy.provider.as_str();
        let reading = saved::Reading { provider, name: one.name, page: one.page, number };
        saved::save(folder, reading, &read.result, read.at)
            .with_context(|| format!("`{}` can't be written", folder.display()))?;
    }
    Ok(())
}

fn replayed(saved: &Saved, page: &Page, turn: Turn) -> Option<Read> {
    match (saved.next(page), turn) {
        (None, Turn::First) => Some(Read { at: now(), result: Err(saved.absent(page)) }),
        (found, Turn::First | Turn::Second) => found.map(|(at, result)| Read { at, result }),
    }
}

/// A line on a terminal that says how far it is.
struct Progress {
    all: usize,
    read: AtomicUsize,
    shown: bool,
}

impl Progress {
    fn new(all: usize) -> Self {
        let progress = Self { all, read: AtomicUsize::new(0), shown: stderr().is_terminal() };
        progress.show(0);
        progress
    }

    fn one_more(&self) {
        self.show(self.read.fetch_add(1, Ordering::SeqCst) + 1);
    }

    fn show(&self, read: usize) {
        if self.shown {
            line(&format!("reading pages: {read} of {}", self.all));
        }
    }

    fn done(&self) {
        if self.shown {
            line("");
        }
    }
}

fn countdown(time: Duration) {
    let shown = stderr().is_terminal();
    if !shown {
        return thread::sleep(time);
    }
    for left in (1..=time.as_secs()).rev() {
        line(&format!("reading again in {left} s"));
        thread::sleep(Duration::from_secs(1));
    }
    line("");
}

/// Puts a line in place of the one that is shown. Nothing is lost where that fails.
fn line(text: &str) {
    let _ = write!(stderr(), "\r\x1b[K{text}");
    let _ = stderr().flush();
}
