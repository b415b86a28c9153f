//! nginx as it runs: its master process, and whether it has loaded what it was told to load.
//!
//! nginx tells nobody how a reload came out. What can be seen is its processes: while the master works it blocks signals,
//! and while it waits for the next one it does not. Once it waits again, either new workers are there and the old ones
//! were told to end, or there is no new process at all and nginx goes on with what it had. All seen by running it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::super::read_bytes;

/// Longest that nginx may take to load a configuration.
const RELOAD_TIME: Duration = Duration::from_secs(10);
/// Longest that a master that has just started may take to call itself one.
const TITLE_TIME: Duration = Duration::from_secs(1);
/// How often its processes are looked at.
const PAUSE: Duration = Duration::from_millis(3);
/// What of its log is read at most, in bytes.
const LOG_BYTES_MAX: u64 = 64 << 10;
/// What its log says is shown up to here.
const SAID_MAX: usize = 3;
/// Bytes of a file of the kernel's about a process.
const PROC_BYTES_MAX: u64 = 1 << 20;
/// How a master process calls itself.
const MASTER: &str = "nginx: master process";
/// How a worker calls itself, until it is told to end.
const WORKER: &str = "nginx: worker process";

/// Why nginx did not load its configuration, or nobody can say whether it did.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It goes on with what it had.
    #[error("nginx refuses to load it, and goes on with what it had: {said}")]
    Refused {
        /// What it wrote into its log.
        said: String,
    },
    /// It took too long.
    #[error("nginx has not loaded it within {} seconds", RELOAD_TIME.as_secs())]
    TookTooLong,
    /// It has ended, or its workers have.
    #[error("nginx has ended, or has no workers any more: {said}")]
    Ended {
        /// What it wrote into its log.
        said: String,
    },
    /// It can't be watched.
    #[error("whether nginx loads it can't be seen: {why}")]
    Unseen {
        /// Why.
        why: String,
    },
}

impl ReloadError {
    /// What to do.
    pub fn help(&self) -> &'static str {
        match self {
            ReloadError::Refused { .. } => {
                "`nginx -t` does not find this: mend what it says, `nginx -s reload`, then try again"
            }
            ReloadError::TookTooLong => "look at nginx's log and at the load of this host, then try again",
            ReloadError::Ended { .. } => "look at nginx's log, and start it again: `systemctl start nginx`",
            ReloadError::Unseen { .. } => {
                "run it as root where nginx runs, with `/proc`; nginx needs its master process"
            }
        }
    }
}

/// A master process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Master {
    pid: u32,
}

/// What one look at its processes says.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// It has loaded the configuration.
    Loaded,
    /// It waits, and nothing has changed.
    Unchanged,
    /// It waits, and has no workers.
    Deserted,
    /// It is at work.
    Busy,
}

/// A process by its number and the moment it began: numbers are given again.
type Began = (u32, u64);

impl Master {
    /// The one whose number is in this file; `None` where none runs.
    pub fn of(pid_file: &Path) -> Result<Option<Self>, ReloadError> {
        let text = match read_bytes(pid_file, 64) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
            Err(crate::system::ReadError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(ReloadError::Unseen { why: error.to_string() }),
        };
        let Some(pid) = text.parse().ok().filter(|pid| *pid > 0) else { return Ok(None) };
        let deadline = Instant::now() + TITLE_TIME;
        loop {
            let title = title(pid);
            if title.as_ref().is_some_and(|title| title.starts_with(MASTER)) {
                return Ok(Some(Self { pid }));
            }
            // A number that was given again is somebody else's. Without a master nginx leaves its command line as it
            // was, and so does a master for a moment after it has written its number.
            if title.is_none_or(|title| title.starts_with("nginx: ")) || !is_nginx(pid) {
                return Ok(None);
            }
            if Instant::now() > deadline {
                return Err(ReloadError::Unseen { why: format!("process {pid} runs without a master") });
            }
            thread::sleep(PAUSE);
        }
    }

    /// A master in our network that runs with this main file, whatever its number is written in.
    pub fn stray(main: &Path, is_default: Default) -> Option<u32> {
        let network = fs::read_link("/proc/self/ns/net").ok()?;
        let here = |pid: &u32| {
            let same = fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|found| found == network);
            same && title(*pid).is_some_and(|title| runs_with(&title, main, is_default))
        };
        let entries = fs::read_dir("/proc").ok()?.flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(here)
    }

    /// Its number.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Tells it to load its configuration, and waits until it has.
    pub fn reload(self) -> Result<(), ReloadError> {
        let deadline = Instant::now() + RELOAD_TIME;
        let log = Log::at_its_end(self.pid);
        let before = self.children()?;
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let told = pid.map(|pid| kill_process(pid, Signal::HUP));
        if let Some(Err(errno)) = told {
            return Err(ReloadError::Unseen { why: format!("it can't be sent a signal: {errno}") });
        }
        let mut seen = Look::Busy;
        loop {
            let look = self.look(&before)?;
            // Twice: a look takes some time, in which things may change.
            match look {
                Look::Loaded if look == seen => return Ok(()),
                Look::Unchanged if look == seen => {
                    return Err(ReloadError::Refused { said: log.said(self.pid) });
                }
                Look::Deserted if look == seen => {
                    return Err(ReloadError::Ended { said: log.said(self.pid) });
                }
                _ => seen = look,
            }
            if Instant::now() > deadline {
                return Err(ReloadError::TookTooLong);
            }
            thread::sleep(PAUSE);
        }
    }

    fn look(self, before: &BTreeMap<Began, String>) -> Result<Look, ReloadError> {
        let Some(is_waiting) = is_waiting(self.pid) else { return Ok(Look::Deserted) };
        if !is_waiting {
            return Ok(Look::Busy);
        }
        let now = self.children()?;
        let is_active = |began: &Began| now.get(began).is_some_and(|title| title == WORKER);
        let had_workers = before.values().any(|title| title == WORKER);
        let old_active = before.keys().any(is_active);
        let new_active = now.keys().any(|began| is_active(began) && !before.contains_key(began));
        let is_new = now.iter().any(|(began, title)| !title.is_empty() && !before.contains_key(began));
        Ok(match (new_active, old_active) {
            (true, false) => Look::Loaded,
            (false, _) if !is_new && (old_active || !had_workers) => Look::Unchanged,
            (false, false) if !is_new => Look::Deserted,
            _ => Look::Busy,
        })
    }

    /// Its children with their titles; one that has ended has none.
    fn children(self) -> Result<BTreeMap<Began, String>, ReloadError> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid);
        let text = match read(&path) {
            Some(text) => text,
            None if title(self.pid).is_none() => String::new(),
            None => return Err(ReloadError::Unseen { why: format!("`{path}` can't be read") }),
        };
        let pids = text.split_whitespace().filter_map(|pid| pid.parse().ok());
        Ok(pids.filter_map(|pid| Some(((pid, began(pid)?), title(pid)?))).collect())
    }
}

/// Whether a main file is the one that nginx takes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// Whether a master's title, which has its command line, is one with this main file.
fn runs_with(title: &str, main: &Path, is_default: Default) -> bool {
    let Some(command) = title.strip_prefix(MASTER) else { return false };
    let mut words = command.split_whitespace().skip_while(|word| *word != "-c");
    match words.nth(1) {
        Some(file) => Path::new(file) == main,
        None => is_default == Default::Yes && !command.split_whitespace().any(|word| word.starts_with("-p")),
    }
}

/// A file of the kernel's about a process; `None` where it has ended.
fn read(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(PROC_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a process calls itself.
fn title(pid: u32) -> Option<String> {
    Some(read(&format!("/proc/{pid}/cmdline"))?.replace('\0', " ").trim().to_owned())
}

/// Whether a process runs the program nginx.
fn is_nginx(pid: u32) -> bool {
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    // ` (deleted)` follows where it was replaced meanwhile.
    program
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.split(' ').next() == Some("nginx"))
}

/// When a process began.
fn began(pid: u32) -> Option<u64> {
    // The name before the last parenthesis may hold anything.
    let stat = read(&format!("/proc/{pid}/stat"))?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Whether a process sleeps and would hear SIGHUP; `None` where it has ended.
fn is_waiting(pid: u32) -> Option<bool> {
    const HANGUP: u64 = 1;
    let status = read(&format!("/proc/{pid}/status"))?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let has = |name: &str| {
        field(name).and_then(|mask| u64::from_str_radix(mask, 16).ok()).map(|mask| mask & HANGUP != 0)
    };
    let state = field("State:")?;
    if state.starts_with(['Z', 'X']) {
        return None;
    }
    let hears = [has("SigPnd:")?, has("ShdPnd:")?, has("SigBlk:")?].iter().all(|is_set| !is_set);
    Some(state.starts_with('S') && hears)
}

/// The log that a master writes into, from a place on. nginx keeps it open as its standard error.
struct Log {
    path: PathBuf,
    /// `None` where it is no file.
    from: Option<u64>,
}

impl Log {
    fn at_its_end(pid: u32) -> Self {
        let path = PathBuf::from(format!("/proc/{pid}/fd/2"));
        // A pipe or a terminal is other people's to read.
        let from = fs::metadata(&path).ok().filter(fs::Metadata::is_file).map(|found| found.len());
        Self { path, from }
    }

    /// What a master has written since: its failures, each once.
    fn said(&self, pid: u32) -> String {
        let text = self.read().unwrap_or_default();
        let own = format!("{pid}#{pid}: ");
        let grave = text
            .lines()
            .filter(|line| ["[emerg]", "[alert]", "[crit]"].iter().any(|word| line.contains(word)));
        let mut said: Vec<String> = Vec::new();
        for line in grave.filter_map(|line| line.split_once(&own)) {
            let message = crate::plain::line(line.1);
            if !said.contains(&message) && said.len() < SAID_MAX {
                said.push(message);
            }
        }
        if said.is_empty() { "its log tells why".to_owned() } else { said.join("; ") }
    }

    fn read(&self) -> Option<String> {
        let mut file = File::open(&self.path).ok()?;
        file.seek(SeekFrom::Start(self.from?)).ok()?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_is_known_by_its_main_file() {
        let main = Path::new("/etc/nginx/nginx.conf");
        for (title, is_default, wanted) in [
            ("nginx: master process /usr/sbin/nginx -g daemon on;", Default::Yes, true),
            ("nginx: master process nginx", Default::No, false),
            ("nginx: master process nginx -c /etc/nginx/nginx.conf", Default::No, true),
            ("nginx: master process nginx -c /srv/nginx.conf", Default::Yes, false),
            ("nginx: master process nginx -p /srv", Default::Yes, false),
            ("nginx: worker process", Default::Yes, false),
            ("vi nginx.conf", Default::Yes, false),
        ] {
            assert_eq!(runs_with(title, main, is_default), wanted, "{title}");
        }
    }

    #[test]
    fn a_number_that_is_nobodys_or_somebody_elses_is_no_master() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nginx.pid");
        assert_eq!(Master::of(&file).unwrap(), None);
        let own = std::process::id().to_string();
        for text in ["", "0", "x", "4294967295", "-1", own.as_str()] {
            crate::system::replace_file(&file, text.as_bytes()).unwrap();
            assert_eq!(Master::of(&file).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn this_process_is_seen_at_work() {
        let pid = std::process::id();
        assert!(began(pid).is_some());
        assert_eq!(is_waiting(u32::MAX), None);
        assert!(title(pid).is_some_and(|title| !title.is_empty()));
    }
}
