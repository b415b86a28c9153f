//! One run under the lock: what is pending is settled first, then changes are made, verified and kept, or undone.
//!
//! The journal is on disk before anything changes, and what removes it is what keeps the change. So wherever the program
//! ends, the rules of one place are old or new whole, and whoever comes next finds in the journal what to bring back.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::job::{Job, Survey, TargetDrift};
use super::journal::{
    Applied, Baseline, Deadline, Ending, Held, InForce, Journal, Last, Phase, RunId, Snapshot,
};
use super::lasting::{self, Fault as Unwritten};
use super::restore::{self, RestoreError};
use super::state::{Holder, Lock, StateError, StateFolder};
use super::timer::{self, Home, TimerError};
use super::tools::{self, ToolError};
use crate::allowlist::{Allowlist, Origin};
use crate::holding::Holding;
use crate::plan;
use crate::system::ReadError;
use crate::system::boot::Uptime;
use crate::system::fault::{self, Fault};

/// Why a run could not do its work. Nothing was changed, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The state folder can't be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The clock of the kernel can't be read.
    #[error(transparent)]
    Clock(#[from] ReadError),
    /// A change waits to be confirmed.
    #[error("the change {id} waits to be confirmed until {until}")]
    Unconfirmed {
        /// Which run.
        id: String,
        /// Until when.
        until: String,
    },
    /// What was there can't be brought back.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A tool would not take a step, or can't be asked.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// Nobody would bring the old rules back in time.
    #[error(transparent)]
    Timer(#[from] TimerError),
    /// All is done, and only what is remembered of it is missing.
    #[error("{done}, but it can't be written down: {cause}")]
    Unremembered {
        /// What is done.
        done: &'static str,
        /// Why it can't be written down.
        cause: StateError,
    },
    /// A test wanted it.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl SessionError {
    /// What to do.
    pub fn help(&self) -> Option<String> {
        match self {
            SessionError::State(error) | SessionError::Unremembered { cause: error, .. } => {
                Some(error.help())
            }
            SessionError::Unconfirmed { .. } => Some(
                "keep it with `callgate confirm`, or undo it with `callgate rollback`; then try again"
                    .to_owned(),
            ),
            SessionError::Restore(error) => Some(error.help()),
            SessionError::Tool(error) => error.help(),
            SessionError::Timer(error) => Some(error.help()),
            SessionError::Clock(_) | SessionError::Fault(_) => None,
        }
    }
}

/// What an earlier run had left, and what became of it.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Which run.
    pub id: RunId,
    /// Why it was undone.
    pub why: &'static str,
}

/// How an apply came out.
#[derive(Debug)]
pub enum Outcome {
    /// All is as it should be: nothing was done.
    Nothing,
    /// All is in force, and files that load it when the host starts were written, but for these.
    Lasting(Vec<Unwritten>),
    /// The change is in force, and kept; and which files that load it when the host starts could not be written.
    Kept(RunId, Vec<Unwritten>),
    /// The change is in force, and undone at the deadline unless somebody confirms it.
    Waiting(RunId, Deadline),
    /// What was there before is there again.
    RolledBack(RunId, String),
}

/// What is wanted of one apply.
#[derive(Debug, Clone, Copy)]
pub struct Orders {
    /// How long somebody has to confirm it; `None` where nobody is asked.
    pub confirm: Option<Duration>,
    /// The wall clock, for people who read of it later.
    pub now: Timestamp,
}

/// A run under the lock.
#[derive(Debug)]
pub struct Session {
    lock: Lock,
    /// What an earlier run had left.
    pub settled: Option<Settled>,
}

impl Session {
    /// Takes the lock, and settles what an earlier run left. A change that waits to be confirmed is in the way.
    pub fn begin(state: &StateFolder, who: &Holder) -> Result<Self, SessionError> {
        let lock = state.lock(who)?;
        let settled = match state.journal()? {
            None => None,
            Some(journal) if journal.phase == Phase::Waiting && !journal.is_due(&Uptime::now()?) => {
                return Err(unconfirmed(&journal));
            }
            Some(journal) => Some(settle(&lock, journal, who.since)?),
        };
        Ok(Self { lock, settled })
    }

    /// The folder that it works in.
    pub fn folder(&self) -> &StateFolder {
        self.lock.folder()
    }

    /// Makes the changes of a survey, and keeps, confirms or undoes them.
    pub fn carry_out(&self, job: &Job<'_>, survey: &Survey, orders: Orders) -> Result<Outcome, SessionError> {
        if survey.changes.is_empty() {
            self.remember(job, survey)?;
            return Ok(last(survey));
        }
        tools::check_all(survey.changes.iter().map(|change| &change.step))?;
        fault::point("apply-checked")?;
        let uptime = Uptime::now()?;
        let mut journal = journal(job, survey, orders, &uptime);
        // A timer that never sees its journal ends without having done anything.
        let home = if job.is_in_aws() { Home::Ours } else { Home::Best };
        let arm = |wait| timer::arm(&self.lock, &journal.id, wait, home);
        let armed = orders.confirm.map(arm).transpose()?;
        fault::point("apply-armed")?;
        self.lock.share_with_tools()?;
        if let Err(error) = self.lock.write_journal(&journal) {
            if armed.is_some() {
                timer::stand_down(&self.lock, &journal.id)?;
            }
            return Err(error.into());
        }
        fault::point("apply-journalled").ok();
        if let Err(why) = Self::work(job, survey) {
            return self.undo(journal, &why, orders.now);
        }
        match journal.deadline {
            None => {
                let id = journal.id.clone();
                let unwritten = keep(&self.lock, journal, Ending::Kept, orders.now)?;
                Ok(Outcome::Kept(id, unwritten))
            }
            Some(deadline) => {
                journal.phase = Phase::Waiting;
                if let Err(error) = self.lock.write_journal(&journal) {
                    return self.undo(journal, &error.to_string(), orders.now);
                }
                fault::point("apply-waiting").ok();
                Ok(Outcome::Waiting(journal.id, deadline))
            }
        }
    }

    /// What is in force already counts as applied, whoever put it there: a run that was killed before it wrote so, too.
    fn remember(&self, job: &Job<'_>, survey: &Survey) -> Result<(), SessionError> {
        let in_force = in_force(job);
        if !self.folder().is_in_force(&in_force)? {
            self.lock.write_baseline(&baseline(job.allowlist, survey, in_force))?;
        }
        Ok(())
    }

    /// The steps, and whether what came of them is what was planned; or why not, in words.
    fn work(job: &Job<'_>, survey: &Survey) -> Result<(), String> {
        for change in &survey.changes {
            fault::point("apply-step").map_err(|fault| fault.to_string())?;
            tools::run(&change.step).map_err(|error| error.to_string())?;
            fault::point("apply-stepped").map_err(|fault| fault.to_string())?;
        }
        let now = job.read_back().map_err(|error| format!("what came of it can't be read: {error}"))?;
        if let Some(change) = now.changes.first() {
            let place = &change.wish.holding;
            return Err(format!("{place} does not hold what it was given"));
        }
        let wrong = now.drifts.into_iter().find(TargetDrift::is_certain);
        if let Some(drift) = wrong {
            return Err(format!("the rules of {} do not let in what was planned", drift.target));
        }
        fault::point("apply-verified").map_err(|fault| fault.to_string())
    }

    fn undo(&self, journal: Journal, why: &str, now: Timestamp) -> Result<Outcome, SessionError> {
        let id = journal.id.clone();
        bring_back(&self.lock, journal, why, now)?;
        Ok(Outcome::RolledBack(id, why.to_owned()))
    }
}

/// How a question for what is pending came out.
#[derive(Debug)]
pub enum Pending {
    /// There is nothing.
    Nothing,
    /// It is kept; and which files that load it when the host starts could not be written.
    Confirmed(RunId, Vec<Unwritten>),
    /// What was there before is there again.
    RolledBack(RunId, String),
    /// There is time left to confirm it, so it was left alone.
    Left(RunId, Deadline),
}

/// Keeps the change that waits. One whose time is over is undone.
pub fn confirm(state: &StateFolder, who: &Holder) -> Result<Pending, SessionError> {
    let lock = state.lock_within(who, PATIENCE)?;
    let Some(journal) = state.journal()? else { return Ok(Pending::Nothing) };
    let uptime = Uptime::now()?;
    let id = journal.id.clone();
    if journal.phase == Phase::Waiting && !journal.is_due(&uptime) {
        let unwritten = keep(&lock, journal, Ending::Confirmed, who.since)?;
        return Ok(Pending::Confirmed(id, unwritten));
    }
    let settled = settle(&lock, journal, who.since)?;
    Ok(Pending::RolledBack(id, settled.why.to_owned()))
}

/// Which changes a rollback is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Any that is not kept yet.
    Any,
    /// One that was left half done, or whose time is over.
    Overdue,
}

/// Brings back what was there before the change that is not kept yet.
pub fn rollback(state: &StateFolder, who: &Holder, which: Which) -> Result<Pending, SessionError> {
    let lock = state.lock_within(who, PATIENCE)?;
    let Some(journal) = state.journal()? else { return Ok(Pending::Nothing) };
    let uptime = Uptime::now()?;
    let id = journal.id.clone();
    if let Some(deadline) = journal.deadline
        && which == Which::Overdue
        && journal.phase == Phase::Waiting
        && !journal.is_due(&uptime)
    {
        return Ok(Pending::Left(id, deadline));
    }
    let why = match which {
        Which::Any if journal.phase == Phase::Waiting => "it was asked for",
        Which::Any | Which::Overdue => why_settled(&journal),
    };
    bring_back(&lock, journal, why, who.since)?;
    Ok(Pending::RolledBack(id, why.to_owned()))
}

/// How long to wait for a run that is at work: it ends by itself.
const PATIENCE: Duration = Duration::from_secs(20);

fn unconfirmed(journal: &Journal) -> SessionError {
    let until = journal.deadline.map(|deadline| deadline.at.to_string()).unwrap_or_default();
    SessionError::Unconfirmed { id: journal.id.to_string(), until }
}

fn why_settled(journal: &Journal) -> &'static str {
    match journal.phase {
        Phase::Applying => "it was interrupted",
        Phase::Waiting => "it was not confirmed in time",
        Phase::Restoring => "its rollback was interrupted",
    }
}

/// Undoes what an earlier run left, or what was not confirmed in time.
pub fn settle(lock: &Lock, journal: Journal, now: Timestamp) -> Result<Settled, SessionError> {
    let (id, why) = (journal.id.clone(), why_settled(&journal));
    bring_back(lock, journal, why, now)?;
    Ok(Settled { id, why })
}

/// Brings back what was there. The journal stays until that is seen to be so.
fn bring_back(lock: &Lock, mut journal: Journal, why: &str, now: Timestamp) -> Result<(), SessionError> {
    let restore = match std::mem::replace(&mut journal.phase, Phase::Restoring) {
        Phase::Restoring => restore::restore_again,
        Phase::Applying | Phase::Waiting => restore::restore,
    };
    // What is on disk is enough to go back: where the disk is full, that is no reason not to.
    let noted = lock.write_journal(&journal);
    fault::point("restore-noted").ok();
    lock.share_with_tools()?;
    if let Err(error) = restore(&journal.snapshots) {
        let message = format!("{why}; and it could not be undone: {error}");
        // The journal tells it all the same.
        let _ = lock.write_last(&Last { outcome: Ending::Failed, at: now, id: journal.id, message });
        return Err(error.into());
    }
    drop(noted);
    fault::point("restore-done").ok();
    lock.remove_journal()?;
    stand_down(lock, &journal);
    let last = Last { outcome: Ending::RolledBack, at: now, id: journal.id, message: why.to_owned() };
    let unremembered =
        |cause| SessionError::Unremembered { done: "what was there before is there again", cause };
    lock.write_last(&last).map_err(unremembered)
}

/// Ends the timer of a change that is settled. One that looked too late to see the journal come and go would stay until its
/// time is over; it would do nothing then, so it is no failure where it can't be told.
fn stand_down(lock: &Lock, journal: &Journal) {
    if journal.deadline.is_some() {
        let _ = timer::stand_down(lock, &journal.id);
    }
}

/// Keeps a change. The journal goes first: from then on nobody undoes it. Only what is kept is written into files that
/// outlive a reboot; where the program ends before that, the next apply finds them stale.
fn keep(
    lock: &Lock,
    journal: Journal,
    ending: Ending,
    now: Timestamp,
) -> Result<Vec<Unwritten>, SessionError> {
    lock.remove_journal()?;
    stand_down(lock, &journal);
    fault::point("keep-removed").ok();
    let unremembered = |cause| SessionError::Unremembered { done: "the change is in force and stays", cause };
    lock.write_baseline(&journal.baseline).map_err(unremembered)?;
    let unwritten = lasting::write(&journal.baseline.lasting);
    let mut message = match ending {
        Ending::Confirmed => "confirmed",
        Ending::Kept | Ending::RolledBack | Ending::Failed => "nobody had to confirm it",
    }
    .to_owned();
    for fault in &unwritten {
        message.push_str(&format!("; a reboot loses it: {}", fault.message));
    }
    let last = Last { outcome: ending, at: now, id: journal.id, message };
    lock.write_last(&last).map_err(unremembered)?;
    Ok(unwritten)
}

/// All is in force already: what is left is that it outlives a reboot.
fn last(survey: &Survey) -> Outcome {
    let stale = survey.lasting.iter().filter(|looked| looked.is_stale());
    let stale: Vec<_> = stale.map(|looked| looked.file.clone()).collect();
    if stale.is_empty() { Outcome::Nothing } else { Outcome::Lasting(lasting::write(&stale)) }
}

fn journal(job: &Job<'_>, survey: &Survey, orders: Orders, uptime: &Uptime) -> Journal {
    let snapshot = |change: &plan::Change| Snapshot {
        target: change.wish.target.clone(),
        holding: change.wish.holding.clone(),
        before: change.wish.have.clone(),
        after: change.wish.want.clone(),
    };
    Journal {
        id: RunId::new(orders.now, std::process::id()),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        plan: survey.digest.to_string(),
        started: orders.now,
        boot: uptime.boot.clone(),
        deadline: orders.confirm.map(|wait| Deadline::after(wait, orders.now, uptime)),
        phase: Phase::Applying,
        snapshots: survey.changes.iter().map(snapshot).collect(),
        baseline: baseline(job.allowlist, survey, in_force(job)),
    }
}

fn in_force(job: &Job<'_>) -> InForce {
    let applied = |origin: &Origin| Applied {
        provider: origin.provider.to_string(),
        source: origin.source.to_string(),
        state: origin.state.as_str().to_owned(),
    };
    let held =
        |(target, holding): (&str, &Holding)| Held { target: target.to_owned(), holding: holding.clone() };
    InForce {
        policies: job.allowlist.policies.iter().map(Into::into).collect(),
        sources: job.allowlist.origins.iter().map(applied).collect(),
        places: job.places().map(held).collect(),
    }
}

fn baseline(allowlist: &Allowlist, survey: &Survey, in_force: InForce) -> Baseline {
    Baseline {
        at: allowlist.instant,
        plan: survey.digest.to_string(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        in_force,
        prefixes: allowlist.entries().iter().map(|entry| entry.prefix).collect(),
        lasting: survey.lasting.iter().map(|looked| looked.file.clone()).collect(),
    }
}

/// The state folder where none is named.
pub fn default_folder() -> &'static Path {
    Path::new("/var/lib/callgate")
}
