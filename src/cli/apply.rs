//! `callgate apply`, `confirm`, `rollback`, `status` and the timer that nobody calls by hand.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;

use super::enforced::{Enforced, Prepared, State};
use super::planned::Planned;
use super::{Exit, Global, Outcome, complain, parse_time, print};
use crate::allowlist::Revision;
use crate::apply::journal::{Ending, Journal, Phase, RunId};
use crate::apply::lasting::Fault;
use crate::apply::session::{self, Orders, Outcome as Came, Pending, Session, SessionError, Which};
use crate::apply::state::{Holder, Lock, StateFolder};
use crate::apply::timer::{self, Ended, Watch};
use crate::plain::counted;
use crate::report::plan_text;
use crate::report::plan_v1::PlanStamp;
use crate::system;
use crate::system::boot::Uptime;

/// Largest plan file that is read, in bytes.
const PLAN_BYTES_MAX: u64 = 1 << 28;
/// How often it is looked whether somebody confirmed.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it may be missing how a change ended, once its journal is gone.
const GONE_MAX: u32 = 50;

const AFTER_HELP: &str = "Needs root on a host; for AWS, the right to do it there. What is not ours is not touched. \
Exit status: 0 in force, 1 the plan would not bring about what is wanted, 2 failure with nothing changed, \
3 refused by a guardrail, 4 rolled back, 5 in force, but something is undetermined.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Apply {
    /// Carry out this plan, of `callgate plan --out`, and refuse where anything is another than it was then
    #[arg(value_name = "PLAN")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    enforced: Enforced,
    /// Undo it unless `callgate confirm` is called within this time, such as `60s` or `5m`
    #[arg(long, value_name = "TIME", value_parser = parse_wait)]
    confirm: Option<Duration>,
    /// With `--confirm`: return at once instead of waiting for the confirmation
    #[arg(long, requires = "confirm")]
    no_wait: bool,
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        time if (5..=86_400).contains(&time.as_secs()) => Ok(time),
        _ => Err(format!("`{text}` is not between 5s and 24h")),
    }
}

/// An error with what to do about it.
fn told(error: &SessionError) -> anyhow::Error {
    match error.help() {
        Some(help) => anyhow!("{error}\n  help: {help}"),
        None => anyhow!("{error}"),
    }
}

impl Apply {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let saved = self.plan.as_deref().map(saved_plan).transpose()?;
        let now = super::instant(&Global { at: None, ..global.clone() });
        let global = match &saved {
            Some(stamp) if global.at.is_none() => &Global {
                at: Some(stamp.at.parse().context("the plan's instant can't be read")?),
                ..global.clone()
            },
            Some(_) => bail!("a plan has its own instant\n  help: leave out `--at`"),
            None => global,
        };
        let Self { enforced, confirm, no_wait, .. } = self;
        let enforced = enforced.of_plan(saved.as_ref())?;
        let Some(prepared) = Prepared::read(global)? else { return Ok(Exit::Failure) };
        // What is only read goes when the program ends: to take it apart before costs as much as many a step.
        let prepared = ManuallyDrop::new(prepared);
        if let Some(stamp) = &saved {
            same_allowlist_now(stamp, &prepared, now)?;
        }
        let job = enforced.job(&prepared)?;
        let state = enforced.state.open()?;
        let who = Holder { command: "callgate apply", since: now };
        let session = Session::begin(&state, &who).map_err(|error| told(&error))?;
        super::enforced::tell_settled(session.settled.as_ref());
        let survey = ManuallyDrop::new(job.survey().map_err(|error| told(&error.into()))?);
        let planned = Planned::new(&enforced, &prepared, &job, &survey, Some(&state))?;
        if let Some(stamp) = &saved {
            unchanged(stamp, &planned.report.stamp)?;
        }
        print(&plan_text::text(&planned.report))?;
        if planned.refused {
            complain("refused: nothing was changed\n");
            return Ok(Exit::Refused);
        }
        if planned.blocked {
            complain(
                "nothing was changed: there is no room for the plan\n  help: see the findings of code `quota` above\n",
            );
            return Ok(Exit::Findings);
        }
        if planned.is_futile() {
            complain(
                "nothing was changed: other rules keep the plan from bringing about what is wanted\n  \
                 help: make the changes named above first, or tell whoever keeps those rules\n",
            );
            return Ok(Exit::Findings);
        }
        let orders = Orders { confirm, now };
        let outcome = session.carry_out(&job, &survey, orders).map_err(|error| told(&error))?;
        drop(session);
        let exit = tell(&outcome, &state, if no_wait { Patience::None } else { Patience::UntilTheEnd })?;
        Ok(match exit {
            // What is in place is not in force, or is lost by a reboot.
            Exit::Ok if planned.gaps > 0 => Exit::Findings,
            Exit::Ok if planned.is_open() => Exit::Undetermined,
            exit => exit,
        })
    }
}

/// Whether to wait for a confirmation.
#[derive(Debug, Clone, Copy)]
enum Patience {
    None,
    UntilTheEnd,
}

/// Says how it came out, and waits where somebody is to confirm it.
fn tell(outcome: &Came, state: &StateFolder, patience: Patience) -> Outcome {
    match outcome {
        Came::Nothing => print("nothing to do: all is as wanted\n"),
        Came::Lasting(unwritten) => {
            print("all is in force already: what a reboot needs was written\n")?;
            Ok(tell_unwritten(unwritten))
        }
        Came::Kept(id, unwritten) => {
            print(&format!("in force and kept: {id}\n"))?;
            Ok(tell_unwritten(unwritten))
        }
        Came::RolledBack(id, why) => {
            complain(&format!("rolled back: {id}: {why}\nwhat was there before is there again\n"));
            Ok(Exit::RolledBack)
        }
        Came::Waiting(id, deadline) => {
            print(&format!(
                "in force: {id}, until {} unless somebody confirms it: callgate confirm\n",
                deadline.at
            ))?;
            match patience {
                Patience::None => Ok(Exit::Ok),
                Patience::UntilTheEnd => wait(state, id),
            }
        }
    }
}

/// Says what a reboot would lose, for want of a file.
fn tell_unwritten(unwritten: &[Fault]) -> Exit {
    for fault in unwritten {
        complain(&format!("a reboot loses it: {}\n  help: {}\n", fault.message, fault.help));
    }
    if unwritten.is_empty() { Exit::Ok } else { Exit::Findings }
}

/// Waits until the change is kept or undone.
fn wait(state: &StateFolder, id: &RunId) -> Outcome {
    // How it ended is written a moment after the journal is gone.
    let mut gone = 0_u32;
    let last = loop {
        let pending = state.journal().map_err(|error| told(&error.into()))?;
        let last = state.last().map_err(|error| told(&error.into()))?.filter(|last| last.id == *id);
        gone = gone.saturating_add(u32::from(pending.is_none_or(|journal| journal.id != *id)));
        if last.is_some() || gone > GONE_MAX {
            break last;
        }
        std::thread::sleep(PAUSE);
    };
    match last {
        Some(last) if last.outcome == Ending::Confirmed => match last.message.strip_prefix("confirmed; ") {
            None => print("confirmed: it stays\n"),
            // Whoever confirmed it was told how to mend that.
            Some(besides) => {
                complain(&format!("confirmed: it stays; {besides}\n"));
                Ok(Exit::Findings)
            }
        },
        Some(last) if last.outcome == Ending::Failed => {
            bail!("{}\n  help: see `callgate status`; `callgate rollback` tries again", last.message)
        }
        Some(last) => {
            complain(&format!("rolled back: {id}: {}\n", last.message));
            Ok(Exit::RolledBack)
        }
        None => bail!("nobody knows what became of {id}\n  help: see `callgate status` and `callgate diff`"),
    }
}

fn saved_plan(path: &Path) -> anyhow::Result<PlanStamp> {
    let text = system::read_text(path, PLAN_BYTES_MAX)?;
    let stamp: PlanStamp = serde_json::from_str(&text.text).map_err(|error| {
        anyhow!("`{}` is no plan: {error}\n  help: make one with `callgate plan --out FILE`", path.display())
    })?;
    if stamp.version != crate::report::json_v1::VERSION {
        bail!(
            "`{}` is a plan of version {}, which this callgate does not know",
            path.display(),
            stamp.version
        );
    }
    Ok(stamp)
}

/// The allowlist of the plan's instant has to be the one of now: a plan that lay around must not bring back what expired.
fn same_allowlist_now(stamp: &PlanStamp, prepared: &Prepared, now: Timestamp) -> anyhow::Result<()> {
    let then: Vec<_> = prepared.allowlist.entries().iter().map(|entry| entry.prefix).collect();
    let Some(today) = prepared.allowlist_at(now) else { return Ok(()) };
    let now: Vec<_> = today.entries().iter().map(|entry| entry.prefix).collect();
    if then == now {
        return Ok(());
    }
    bail!(
        "the plan is of {}, and the policy admits others today: nothing was changed\n  help: plan anew",
        stamp.at
    )
}

/// Refuses where anything is another than it was when the plan was made.
fn unchanged(then: &PlanStamp, now: &PlanStamp) -> anyhow::Result<()> {
    let what = if then.tool_version != now.tool_version {
        "callgate is of another version"
    } else if then.policies != now.policies {
        "the policies are others"
    } else if then.site != now.site {
        "the site file is another"
    } else if then.targets != now.targets {
        "the targets are others"
    } else if then.observed != now.observed {
        "the rules are others"
    } else if then != now {
        "its steps are others"
    } else {
        return Ok(());
    };
    bail!("{what} than when the plan was made: nothing was changed\n  help: plan anew, and read it anew")
}

/// Keep the change that waits to be confirmed
#[derive(Debug, clap::Args)]
pub(super) struct Confirm {
    #[command(flatten)]
    state: State,
}

impl Confirm {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let Some(state) = self.state.find()? else { return Ok(nothing_waits()) };
        let who = Holder { command: "callgate confirm", since: super::instant(global) };
        match session::confirm(&state, &who).map_err(|error| told(&error))? {
            Pending::Nothing | Pending::Left(..) => Ok(nothing_waits()),
            Pending::Confirmed(id, unwritten) => {
                print(&format!("confirmed: {id} stays\n"))?;
                Ok(tell_unwritten(&unwritten))
            }
            Pending::RolledBack(id, why) => {
                complain(&format!("too late: {id} was rolled back: {why}\n"));
                Ok(Exit::RolledBack)
            }
        }
    }
}

fn nothing_waits() -> Exit {
    complain("nothing waits to be confirmed\n  help: `callgate status` tells how the last change ended\n");
    Exit::Findings
}

/// Bring back what was there before a change that is not kept yet
#[derive(Debug, clap::Args)]
pub(super) struct Rollback {
    #[command(flatten)]
    state: State,
    /// Only where a change was left half done, or its time is over; for the start of the machine
    #[arg(long)]
    pending: bool,
}

impl Rollback {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let which = if self.pending { Which::Overdue } else { Which::Any };
        let nothing = || match which {
            Which::Overdue => print("nothing is pending\n"),
            Which::Any => {
                complain(
                    "there is nothing to roll back: the last change is kept\n  \
                     help: to undo a kept change, put the policy back and apply that\n",
                );
                Ok(Exit::Findings)
            }
        };
        let Some(state) = self.state.find()? else { return nothing() };
        let who = Holder { command: "callgate rollback", since: super::instant(global) };
        match session::rollback(&state, &who, which).map_err(|error| told(&error))? {
            Pending::Nothing | Pending::Confirmed(..) => nothing(),
            Pending::Left(id, deadline) => {
                print(&format!("{id} waits to be confirmed until {}: left alone\n", deadline.at))
            }
            Pending::RolledBack(id, why) => {
                print(&format!("rolled back: {id}: {why}\nwhat was there before is there again\n"))
            }
        }
    }
}

/// Say what is pending, how the last change ended, and what it put in force
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    state: State,
}

impl Status {
    pub(super) fn run(self) -> Outcome {
        let Some(state) = self.state.find()? else {
            return print("nothing was ever applied here\n");
        };
        let failed = |error: crate::apply::state::StateError| told(&error.into());
        let mut exit = Exit::Ok;
        let mut shown = String::new();
        if let Some(journal) = state.journal().map_err(failed)? {
            let uptime = Uptime::now()?;
            exit = Exit::Findings;
            shown.push_str(&match (journal.phase, journal.left(&uptime)) {
                (Phase::Waiting, Some(left)) if !left.is_zero() => format!(
                    "{} waits to be confirmed for {} more seconds: callgate confirm\n",
                    journal.id,
                    left.as_secs()
                ),
                _ => format!(
                    "{} was left half done: the next `callgate apply`, or `callgate rollback`, undoes it\n",
                    journal.id
                ),
            });
            for snapshot in &journal.snapshots {
                shown.push_str(&format!("  {}: {}\n", snapshot.target, snapshot.holding));
            }
        }
        if let Some(last) = state.last().map_err(failed)? {
            let ending = match last.outcome {
                Ending::Kept => "kept",
                Ending::Confirmed => "confirmed",
                Ending::RolledBack => "rolled back",
                Ending::Failed => "failed",
            };
            if last.outcome == Ending::Failed {
                exit = Exit::Findings;
            }
            shown.push_str(&format!("last change {}: {ending} at {}: {}\n", last.id, last.at, last.message));
        }
        match state.baseline().map_err(failed)? {
            None => shown.push_str("no change was kept yet\n"),
            Some(baseline) => {
                let prefixes = counted(baseline.prefixes.len(), "source prefix");
                shown.push_str(&format!("in force since the plan of {}: {prefixes}\n", baseline.at));
                for Revision { provider, revision, digest } in &baseline.in_force.policies {
                    let digest = plan_text::short(digest);
                    shown.push_str(&format!("  policy {provider} revision {revision} digest {digest}\n"));
                }
                for held in &baseline.in_force.places {
                    shown.push_str(&format!("  {}: {}\n", held.target, held.holding));
                }
                shown.push_str("whether it is still so: callgate diff\n");
            }
        }
        print(&shown)?;
        Ok(exit)
    }
}

/// Brings back what was there unless somebody confirms in time: started by `apply`
#[derive(Debug, clap::Args)]
pub(super) struct Timer {
    #[arg(long)]
    state: PathBuf,
    #[arg(long)]
    id: RunId,
    #[arg(long)]
    seconds: u64,
}

impl Timer {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let started = super::instant(global);
        let watch =
            Watch { state: self.state, id: self.id, wait: Duration::from_secs(self.seconds), started };
        let settle = |lock: &Lock, journal: Journal| {
            session::settle(lock, journal, super::instant(global)).map_err(|error| told(&error))
        };
        let ended =
            timer::run(&watch, settle).map_err(|error| anyhow!("{error}\n  help: {}", error.help()))?;
        match ended {
            Ended::Unneeded => Ok(Exit::Ok),
            Ended::Settled(came) => {
                let settled = came?;
                print(&format!("rolled back: {}: {}\n", settled.id, settled.why))
            }
        }
    }
}
