//! The timer of an unconfirmed change: another process, so that nothing that happens to the one that made the change, to its
//! terminal or its connection keeps the old rules from coming back.
//!
//! Where systemd runs the host, the timer is a service of its own (`callgate-rollback-<id>`), so no end of a login
//! session touches it. Elsewhere, and where systemd refuses, it is a detached child in a session of its own. Both run the same
//! program, which waits by the kernel's uptime and looks at the journal meanwhile.
//!
//! A timer holds the file `<id>.timer` in the state folder locked as long as it lives. So [`arm`] knows that it is really
//! there before anything is changed, and [`running`] knows later. Whoever removes that file tells it to end, and so
//! does whoever removes the journal.
//!
//! A timer may be armed before the journal is there. One that never sees its journal ends when its time is over, and changes nothing.
//! Where the process that makes the change is still at work at the deadline, the timer waits for the lock, for
//! [`LOCK_PATIENCE`] at most.
//!
//! What it does not outlive: a restart of the machine (then `callgate rollback --pending` settles what is left, see
//! `dist/systemd/callgate-pending.service`), and the end of a container in which it is a child.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::journal::{Journal, RunId};
use super::state::{Holder, Lock, StateError, StateFolder};
use crate::plain;
use crate::system::boot::Uptime;
use crate::system::detached::{self, Program};
use crate::system::durable::{self, Stamp};
use crate::system::lock::{self, Attempt, FileLock};
use crate::system::{self, ReadError};

/// How long a timer waits for a process that is at work when its time has come.
pub const LOCK_PATIENCE: Duration = Duration::from_mins(10);
/// How long a timer may take to be there.
const ARM_PATIENCE: Duration = Duration::from_secs(5);
/// How often a timer looks whether it is still needed.
const POLL: Duration = Duration::from_millis(200);
/// How often somebody looks whether a timer is there.
const PAUSE: Duration = Duration::from_millis(10);

/// Who keeps the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// A service of systemd.
    Service {
        /// Its unit.
        unit: String,
    },
    /// A process in a session of its own.
    Process {
        /// Its id.
        pid: u32,
    },
}

/// Where a timer lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// With systemd, where that runs the host.
    Best,
    /// In a session of its own, with our environment: what is there of AWS' credentials is for no service's settings, which
    /// anybody may read.
    Ours,
}

/// A timer that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Armed {
    /// Who keeps the time.
    pub keeper: Keeper,
    /// Why it is not systemd, where that refused.
    pub note: Option<String>,
}

/// Why there is no timer, or why it could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum TimerError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is no state folder.
    #[error("there is no state folder `{path}`")]
    NoState {
        /// The path.
        path: String,
    },
    /// The program could not be started.
    #[error("the timer can't be started: {cause}")]
    NotStarted {
        /// The operating system's words.
        cause: io::Error,
    },
    /// It was started, and ended at once.
    #[error("the timer ended at once: {said}")]
    Ended {
        /// What it said.
        said: String,
    },
    /// It was started, and nothing was heard of it.
    #[error("the timer was not ready within {} seconds", ARM_PATIENCE.as_secs())]
    TookTooLong,
    /// It can't leave the session of whoever started it.
    #[error("the timer can't have a session of its own: {cause}")]
    NoSession {
        /// The operating system's words.
        cause: io::Error,
    },
    /// There is one already.
    #[error("the change {id} has a timer already")]
    Twice {
        /// Which.
        id: RunId,
    },
    /// The kernel does not say which start of it this is.
    #[error("the clock can't be read: {0}")]
    Clock(ReadError),
}

impl TimerError {
    /// What to do.
    pub fn help(&self) -> String {
        match self {
            TimerError::State(error) => error.help(),
            TimerError::NoState { .. } => "name the folder that `apply` was given with `--state`".to_owned(),
            TimerError::NotStarted { .. } | TimerError::Ended { .. } | TimerError::TookTooLong => {
                "nothing was changed; see whether processes can be started here (memory, `ulimit -u`), \
                 or apply without `--confirm`"
                    .to_owned()
            }
            TimerError::NoSession { .. } | TimerError::Twice { .. } => {
                "`apply --confirm` starts it by itself: don't start it by hand".to_owned()
            }
            TimerError::Clock(_) => "mount /proc".to_owned(),
        }
    }
}

/// Starts the timer of a change that is about to be made, to be confirmed in so long. Once this returns it runs, with
/// all that it needs open, and the change may begin.
pub fn arm(lock: &Lock, id: &RunId, wait: Duration, home: Home) -> Result<Armed, TimerError> {
    let path = detached::this_program().map_err(|cause| TimerError::NotStarted { cause })?;
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).to_string();
    let state = lock.folder().path().as_os_str();
    let arguments = vec![
        "timer".into(),
        "--state".into(),
        state.to_owned(),
        "--id".into(),
        id.as_str().into(),
        "--seconds".into(),
        seconds.into(),
    ];
    let program = Program { path, arguments, environment: Vec::new() };
    let systemd_run = match home {
        Home::Best => detached::systemd_run(),
        Home::Ours => None,
    };
    arm_with(lock, id, &program, systemd_run.as_deref())
}

fn arm_with(
    lock: &Lock,
    id: &RunId,
    program: &Program,
    systemd_run: Option<&Path>,
) -> Result<Armed, TimerError> {
    lock.keep_to_ourselves()?;
    let folder = lock.folder();
    forget_old(folder)?;
    let mut note = None;
    if let Some(systemd_run) = systemd_run {
        match arm_service(folder, id, program, systemd_run) {
            Ok(keeper) => return Ok(Armed { keeper, note }),
            Err(why) => note = Some(format!("systemd did not take the timer: {}", plain::line(&why))),
        }
    }
    let log = folder.path().join("timer.log");
    let mut child = detached::start(program, &log).map_err(|cause| TimerError::NotStarted { cause })?;
    match await_child(&mut child, &timer_path(folder, id), &log) {
        Ok(()) => Ok(Armed { keeper: Keeper::Process { pid: child.id() }, note }),
        Err(error) => {
            // It may have ended meanwhile; either way nobody waits for it any more.
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

fn arm_service(
    folder: &StateFolder,
    id: &RunId,
    program: &Program,
    systemd_run: &Path,
) -> Result<Keeper, String> {
    let unit = format!("callgate-rollback-{id}");
    detached::start_service(systemd_run, &unit, program)?;
    let path = timer_path(folder, id);
    let begun = Instant::now();
    while lock::holder(&path).is_none() {
        if begun.elapsed() >= ARM_PATIENCE {
            // One that comes too late finds nothing to wait for. Where this fails it ends with its time.
            let _ = durable::remove_durably(&path);
            return Err(format!("the unit {unit} was not ready in time, see `journalctl -u {unit}`"));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(Keeper::Service { unit })
}

fn await_child(child: &mut Child, path: &Path, log: &Path) -> Result<(), TimerError> {
    let begun = Instant::now();
    while lock::holder(path).is_none() {
        if child.try_wait().map_err(|cause| TimerError::NotStarted { cause })?.is_some() {
            return Err(TimerError::Ended { said: plain::line(&detached::end_of_log(log)) });
        }
        if begun.elapsed() >= ARM_PATIENCE {
            return Err(TimerError::TookTooLong);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Removes what timers left that were killed.
fn forget_old(folder: &StateFolder) -> Result<(), TimerError> {
    let names = system::list_folder(folder.path(), &["timer"]).map_err(StateError::NotRead)?;
    for path in names.into_iter().map(|name| folder.path().join(name)) {
        if lock::holder(&path).is_none() {
            durable::remove_durably(&path).map_err(StateError::NotWritten)?;
        }
    }
    Ok(())
}

/// Tells the timer of a change that was not made after all to end. Where the journal is removed, that is enough.
pub fn stand_down(lock: &Lock, id: &RunId) -> Result<(), TimerError> {
    durable::remove_durably(&timer_path(lock.folder(), id)).map_err(StateError::NotWritten)?;
    Ok(())
}

/// What the timer of a change says of itself; `None` where it does not run.
pub fn running(folder: &StateFolder, id: &RunId) -> Option<String> {
    lock::holder(&timer_path(folder, id)).map(|note| plain::line(&note))
}

fn timer_path(folder: &StateFolder, id: &RunId) -> PathBuf {
    folder.path().join(format!("{id}.timer"))
}

/// What a timer is told.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The state folder.
    pub state: PathBuf,
    /// Which change.
    pub id: RunId,
    /// How long it waits where the journal says nothing else.
    pub wait: Duration,
    /// When it was started, by the wall clock; for people only.
    pub started: Timestamp,
}

/// How a timer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended<T> {
    /// The change was kept, undone by somebody else, or never made.
    Unneeded,
    /// The time was over, and this came of settling it.
    Settled(T),
}

/// What the timer's process does: leaves the session that it was started from, waits until the change is due, and then
/// lets `settle` do what is to be done, under the lock and with the journal as it is then.
pub fn run<T>(watch: &Watch, settle: impl FnOnce(&Lock, Journal) -> T) -> Result<Ended<T>, TimerError> {
    detached::own_session().map_err(|cause| TimerError::NoSession { cause })?;
    keep(watch, settle)
}

fn keep<T>(watch: &Watch, settle: impl FnOnce(&Lock, Journal) -> T) -> Result<Ended<T>, TimerError> {
    let folder = StateFolder::find(&watch.state)?
        .ok_or_else(|| TimerError::NoState { path: watch.state.display().to_string() })?;
    let begun = Uptime::now().map_err(TimerError::Clock)?;
    let path = timer_path(&folder, &watch.id);
    let held = hold(&path, watch)?;
    let mut vigil = Vigil { folder, watch, begun, held, path, seen: Seen::Nothing, stamp: None };
    let ended = loop {
        if vigil.until_due() == Next::End {
            break Ended::Unneeded;
        }
        let lock = vigil.folder.lock_within(&vigil.holder(), LOCK_PATIENCE)?;
        match lock.folder().journal()? {
            Some(journal) if journal.id != watch.id => break Ended::Unneeded,
            None => break Ended::Unneeded,
            // The process that was at work gave it more time.
            Some(journal) if journal.left(&vigil.begun.later()).is_some_and(|left| !left.is_zero()) => {}
            Some(journal) => break Ended::Settled(settle(&lock, journal)),
        }
    };
    vigil.end();
    Ok(ended)
}

/// Takes the timer's own file. Whoever looks whether it is held keeps us from it for a moment.
fn hold(path: &Path, watch: &Watch) -> Result<FileLock, TimerError> {
    let note = format!("pid {}, since {}", std::process::id(), watch.started);
    let begun = Instant::now();
    loop {
        match lock::try_lock(path, &note).map_err(StateError::NotWritten)? {
            Attempt::Held(held) => return Ok(held),
            Attempt::Busy(_) if begun.elapsed() >= ARM_PATIENCE => {
                return Err(TimerError::Twice { id: watch.id.clone() });
            }
            Attempt::Busy(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// What comes after waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

/// What was seen of the journal.
#[derive(Debug)]
enum Seen {
    /// Nothing of this change so far.
    Nothing,
    /// It is there; only its deadline is of interest meanwhile.
    Ours(Box<Journal>),
    /// Something is there that can't be read. Under the lock it is looked at again.
    Unreadable,
}

struct Vigil<'a> {
    folder: StateFolder,
    watch: &'a Watch,
    begun: Uptime,
    held: FileLock,
    path: PathBuf,
    seen: Seen,
    /// Which file was read: a large journal is not read five times a second.
    stamp: Option<Stamp>,
}

impl Vigil<'_> {
    /// Waits until the change is due, or no longer ours to care for.
    fn until_due(&mut self) -> Next {
        loop {
            if !self.held.is_at(&self.path) || self.look() == Next::End {
                return Next::End;
            }
            let left = self.left();
            if left.is_zero() {
                return Next::GoOn;
            }
            std::thread::sleep(left.min(POLL));
        }
    }

    fn look(&mut self) -> Next {
        // Where even this fails, the disk has faults: what was seen last holds until it is due.
        let Ok(stamp) = durable::stamp(&self.folder.journal_path()) else { return Next::GoOn };
        if stamp.is_some() && stamp == self.stamp {
            return Next::GoOn;
        }
        self.stamp = stamp;
        let was_there = matches!(self.seen, Seen::Ours(_));
        match self.folder.journal() {
            Ok(Some(journal)) if journal.id == self.watch.id => {
                let baseline = super::journal::Baseline { prefixes: Vec::new(), ..journal.baseline };
                self.seen = Seen::Ours(Box::new(Journal { snapshots: Vec::new(), baseline, ..journal }));
            }
            Ok(_) if was_there => return Next::End,
            Ok(_) => {}
            Err(_) => self.seen = Seen::Unreadable,
        }
        Next::GoOn
    }

    fn left(&self) -> Duration {
        let now = self.begun.later();
        let told = match &self.seen {
            Seen::Ours(journal) => journal.left(&now),
            Seen::Nothing | Seen::Unreadable => None,
        };
        let own = self.begun.elapsed.saturating_add(self.watch.wait);
        told.unwrap_or_else(|| own.saturating_sub(now.elapsed))
    }

    fn holder(&self) -> Holder {
        let waited = self.begun.later().elapsed.saturating_sub(self.begun.elapsed);
        let since = self.watch.started.checked_add(waited).unwrap_or(self.watch.started);
        Holder { command: "callgate timer", since }
    }

    /// Leaves nothing behind.
    fn end(self) {
        if self.held.is_at(&self.path) {
            // Where it stays, the next timer removes it.
            let _ = durable::remove_durably(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    use super::super::journal::Deadline;
    use super::super::journal::tests::{instant, journal};
    use super::*;

    const ID: &str = "20260301T120000Z-1";

    fn id() -> RunId {
        ID.parse().unwrap()
    }

    fn who() -> Holder {
        Holder { command: "callgate apply", since: instant() }
    }

    fn scene() -> (tempfile::TempDir, StateFolder) {
        let base = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(&base.path().join("state")).unwrap();
        (base, folder)
    }

    fn watch(folder: &StateFolder, wait: Duration) -> Watch {
        Watch { state: folder.path().to_owned(), id: id(), wait, started: instant() }
    }

    /// A journal that is due in so long.
    fn due_in(wait: Duration) -> Journal {
        let now = Uptime::now().unwrap();
        let deadline = Deadline::after(wait, instant(), &now);
        Journal { boot: now.boot, deadline: Some(deadline), ..journal(ID) }
    }

    /// Waits for something that other processes do, for half a minute at most.
    fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(30), "in vain: {what}");
            std::thread::sleep(PAUSE);
        }
    }

    /// This binary, to run one of the tests below as what it stands for.
    fn as_program(role: &str, folder: &StateFolder, wait: Duration) -> Program {
        Program {
            path: std::env::current_exe().unwrap(),
            arguments: ["--exact", &format!("apply::timer::tests::{role}"), "--nocapture"]
                .map(Into::into)
                .into(),
            environment: vec![
                ("CALLGATE_TEST_STATE".to_owned(), folder.path().to_str().unwrap().to_owned()),
                ("CALLGATE_TEST_WAIT".to_owned(), wait.as_millis().to_string()),
            ],
        }
    }

    /// The scene that a test was started with as a process of its own; `None` where it runs as a test.
    fn given() -> Option<(StateFolder, Duration)> {
        let state = std::env::var_os("CALLGATE_TEST_STATE")?;
        let wait = std::env::var("CALLGATE_TEST_WAIT").unwrap().parse().unwrap();
        Some((StateFolder::open(Path::new(&state)).unwrap(), Duration::from_millis(wait)))
    }

    /// What the timer's process did, beside the state folder.
    fn marker(folder: &StateFolder) -> PathBuf {
        folder.path().with_file_name("settled")
    }

    /// A timer as `callgate timer` is one: settling leaves a marker.
    #[test]
    fn a_timers_process() {
        let Some((folder, wait)) = given() else { return };
        let ended = run(&watch(&folder, wait), |lock, journal| {
            lock.remove_journal().unwrap();
            system::replace_file(&marker(lock.folder()), journal.id.as_str().as_bytes()).unwrap();
        });
        ended.unwrap();
    }

    /// An `apply --confirm` that made its change, and never ends.
    #[test]
    fn an_applying_process() {
        let Some((folder, wait)) = given() else { return };
        let lock = folder.lock(&who()).unwrap();
        let program = as_program("a_timers_process", &folder, wait);
        // Whatever was shared before: a timer that holds the lock would never get it.
        lock.share_with_tools().unwrap();
        arm_with(&lock, &id(), &program, None).unwrap();
        lock.write_journal(&due_in(wait)).unwrap();
        loop {
            std::thread::park();
        }
    }

    /// The session of a process, by `/proc/PID/stat`: the fourth word behind its name.
    fn session(pid: &str) -> Option<String> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        text.rsplit_once(") ")?.1.split(' ').nth(3).map(str::to_owned)
    }

    fn timers_pid(folder: &StateFolder) -> String {
        let note = running(folder, &id()).unwrap();
        note.strip_prefix("pid ").unwrap().split(',').next().unwrap().to_owned()
    }

    #[test]
    fn it_outlives_the_death_of_the_process_group_that_started_it() {
        let (_base, folder) = scene();
        let program = as_program("an_applying_process", &folder, Duration::from_secs(2));
        #[expect(clippy::disallowed_methods, reason = "a process group is what a login session ends")]
        let mut applying = Command::new(&program.path)
            .args(&program.arguments)
            .envs(program.environment.clone())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        until("the change is made", || folder.journal().unwrap().is_some());
        let pid = timers_pid(&folder);
        assert_eq!(session(&pid).as_ref(), Some(&pid));
        assert_ne!(session(&applying.id().to_string()).as_ref(), Some(&pid));
        for signal in ["-HUP", "-KILL"] {
            // The second finds nobody where the first was enough.
            let _ = system::run("kill", &[signal, "--", &format!("-{}", applying.id())]);
        }
        applying.wait().unwrap();
        assert!(running(&folder, &id()).is_some());
        assert!(!marker(&folder).exists());

        until("it is settled", || marker(&folder).exists());
        until("the timer ends", || running(&folder, &id()).is_none());
        assert_eq!(std::fs::read_to_string(marker(&folder)).unwrap(), ID);
        assert_eq!(folder.journal().unwrap(), None);
        assert!(!timer_path(&folder, &id()).exists());
    }

    #[test]
    fn it_ends_by_itself_once_the_change_is_confirmed() {
        let (_base, folder) = scene();
        let lock = folder.lock(&who()).unwrap();
        let wait = Duration::from_mins(10);
        let armed = arm_with(&lock, &id(), &as_program("a_timers_process", &folder, wait), None).unwrap();
        let Keeper::Process { pid } = armed.keeper else { panic!("{armed:?}") };
        assert_eq!(timers_pid(&folder), pid.to_string());
        lock.write_journal(&due_in(wait)).unwrap();
        // It has to have seen it: what was never there is waited for.
        std::thread::sleep(2 * POLL);
        lock.remove_journal().unwrap();
        until("the timer ends", || running(&folder, &id()).is_none());
        assert!(!marker(&folder).exists());
    }

    #[test]
    fn it_can_be_told_to_end_where_no_change_was_made() {
        let (_base, folder) = scene();
        let lock = folder.lock(&who()).unwrap();
        let program = as_program("a_timers_process", &folder, Duration::from_mins(10));
        let pid = match arm_with(&lock, &id(), &program, None).unwrap().keeper {
            Keeper::Process { pid } => pid.to_string(),
            Keeper::Service { unit } => panic!("{unit}"),
        };
        stand_down(&lock, &id()).unwrap();
        // A process that nobody waited for stays as a zombie.
        until("the timer ends", || {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
        });
        assert!(!marker(&folder).exists());
    }

    #[test]
    fn a_program_that_never_becomes_a_timer_is_told() {
        let (_base, folder) = scene();
        let lock = folder.lock(&who()).unwrap();
        let shell = |script: &str| Program {
            path: "/bin/sh".into(),
            arguments: ["-c", script].map(Into::into).into(),
            environment: Vec::new(),
        };
        let nowhere = Program { path: "/nowhere/callgate".into(), ..shell("") };
        let error = arm_with(&lock, &id(), &nowhere, None).unwrap_err();
        assert!(matches!(error, TimerError::NotStarted { .. }), "{error:?}");
        let error = arm_with(&lock, &id(), &shell("echo no memory >&2; exit 3"), None).unwrap_err();
        assert_eq!(error.to_string(), "the timer ended at once: no memory");
        assert!(error.help().contains("nothing was changed"));
        let error = arm_with(&lock, &id(), &shell("exec sleep 600"), None).unwrap_err();
        assert!(matches!(error, TimerError::TookTooLong), "{error:?}");
    }

    /// A stand-in for `systemd-run` that starts what it is told in a session of its own, with an empty environment but for
    /// what it is told.
    fn stand_in(folder: &StateFolder, script: &str) -> PathBuf {
        let path = folder.path().with_file_name("systemd-run");
        system::replace_file(&path, format!("#!/bin/bash\n{script}\n").as_bytes()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn systemd_keeps_the_time_where_it_runs() {
        let (_base, folder) = scene();
        let lock = folder.lock(&who()).unwrap();
        let script = "given=(); while [ \"$1\" != -- ]; do case $1 in --setenv=*) given+=(\"${1#--setenv=}\");; esac; shift; done; shift\n\
                      env -i \"${given[@]}\" setsid \"$@\" </dev/null >/dev/null 2>&1 &";
        let systemd_run = stand_in(&folder, script);
        let program = as_program("a_timers_process", &folder, Duration::from_mins(10));
        let armed = arm_with(&lock, &id(), &program, Some(&systemd_run)).unwrap();
        let unit = format!("callgate-rollback-{ID}");
        assert_eq!(armed, Armed { keeper: Keeper::Service { unit }, note: None });
        let pid = timers_pid(&folder);
        assert_eq!(session(&pid).as_ref(), Some(&pid));
        lock.write_journal(&due_in(Duration::ZERO)).unwrap();
        drop(lock);
        until("it is settled", || marker(&folder).exists());
    }

    #[test]
    fn where_systemd_refuses_a_child_keeps_the_time() {
        let (_base, folder) = scene();
        let lock = folder.lock(&who()).unwrap();
        let systemd_run = stand_in(&folder, "echo Access denied >&2; exit 1");
        let program = as_program("a_timers_process", &folder, Duration::from_mins(10));
        let armed = arm_with(&lock, &id(), &program, Some(&systemd_run)).unwrap();
        assert!(matches!(armed.keeper, Keeper::Process { .. }));
        assert!(armed.note.unwrap().contains("Access denied"));
        stand_down(&lock, &id()).unwrap();
    }

    #[test]
    fn what_killed_timers_left_is_removed_and_others_are_not() {
        let (_base, folder) = scene();
        let lock = folder.lock(&who()).unwrap();
        system::replace_file(&folder.path().join("old.timer"), b"pid 1").unwrap();
        let held = hold(&folder.path().join("other.timer"), &watch(&folder, Duration::ZERO)).unwrap();
        let program = as_program("a_timers_process", &folder, Duration::from_mins(10));
        arm_with(&lock, &id(), &program, None).unwrap();
        assert!(!folder.path().join("old.timer").exists());
        assert!(folder.path().join("other.timer").exists());
        drop(held);
        stand_down(&lock, &id()).unwrap();
    }

    #[test]
    fn a_change_that_is_still_being_made_at_the_deadline_is_waited_for() {
        let (_base, folder) = scene();
        let lock = folder.lock(&who()).unwrap();
        lock.write_journal(&due_in(Duration::ZERO)).unwrap();
        let told = watch(&folder, Duration::ZERO);
        let timer = std::thread::spawn(move || keep(&told, |_lock, journal| journal.plan));
        until("the timer runs", || running(&folder, &id()).is_some());
        std::thread::sleep(2 * POLL);
        assert!(!timer.is_finished());
        let latest = Journal { plan: "the latest".to_owned(), ..due_in(Duration::ZERO) };
        lock.write_journal(&latest).unwrap();
        drop(lock);
        assert_eq!(timer.join().unwrap().unwrap(), Ended::Settled("the latest".to_owned()));
        assert!(!timer_path(&folder, &id()).exists());
    }

    #[test]
    fn whoever_is_at_work_can_give_it_more_time() {
        let (_base, folder) = scene();
        let lock = folder.lock(&who()).unwrap();
        lock.write_journal(&due_in(Duration::ZERO)).unwrap();
        let told = watch(&folder, Duration::ZERO);
        let timer = std::thread::spawn(move || keep(&told, |_lock, _journal| Instant::now()));
        until("the timer runs", || running(&folder, &id()).is_some());
        lock.write_journal(&due_in(Duration::from_secs(1))).unwrap();
        let begun = Instant::now();
        drop(lock);
        let Ended::Settled(at) = timer.join().unwrap().unwrap() else { panic!() };
        assert!(at - begun > Duration::from_millis(900), "{:?}", at - begun);
    }

    #[test]
    fn nothing_is_settled_but_the_change_it_was_armed_for() {
        let (_base, folder) = scene();
        let settle = |_: &Lock, journal: Journal| journal.id;
        // Never made.
        assert_eq!(keep(&watch(&folder, Duration::ZERO), settle).unwrap(), Ended::Unneeded);
        let lock = folder.lock(&who()).unwrap();
        lock.write_journal(&Journal { id: "another".parse().unwrap(), ..due_in(Duration::ZERO) }).unwrap();
        drop(lock);
        assert_eq!(keep(&watch(&folder, Duration::ZERO), settle).unwrap(), Ended::Unneeded);
        // Of an earlier start of the kernel: due at once, however long the wait.
        let lock = folder.lock(&who()).unwrap();
        lock.write_journal(&journal(ID)).unwrap();
        drop(lock);
        let ended = keep(&watch(&folder, Duration::from_mins(10)), settle).unwrap();
        assert_eq!(ended, Ended::Settled(id()));
    }

    #[test]
    fn a_damaged_journal_is_told_and_nothing_is_settled() {
        let (_base, folder) = scene();
        system::replace_file(&folder.journal_path(), b"{").unwrap();
        let ended = keep(&watch(&folder, Duration::ZERO), |_, _| panic!("it was believed"));
        assert!(matches!(ended, Err(TimerError::State(StateError::Damaged { .. }))), "{ended:?}");
        let nowhere = Watch { state: "/nowhere/at/all".into(), ..watch(&folder, Duration::ZERO) };
        assert!(matches!(keep(&nowhere, |_, _| ()), Err(TimerError::NoState { .. })));
    }

    #[test]
    fn there_is_one_timer_for_a_change() {
        let (_base, folder) = scene();
        let told = watch(&folder, Duration::ZERO);
        let _held = hold(&timer_path(&folder, &id()), &told).unwrap();
        assert!(matches!(keep(&told, |_, _| ()), Err(TimerError::Twice { .. })));
    }
}
