//! The state folder: what is remembered from one run to the next, and the lock under which it changes.
//!
//! Whoever can write there can make root change rules. So the folder has to be our own, and nobody else may write to it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use memchr::memmem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::journal::{Baseline, InForce, Journal, Last};
use super::seal::{self, SealError};
use crate::admission::Text;
use crate::plain;
use crate::system::durable::{self, DurableError, PRIVATE};
use crate::system::lock::{self, Attempt, Children, FileLock};
use crate::system::private::{self, FolderError};
use crate::system::{self, ReadError};

/// Most bytes of a file there. A million elements before and after, with the baseline, fit three times.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// Most bytes that a baseline's content has before what is in force: an instant, a digest, a version.
const BEFORE_BYTES_MAX: usize = 256;
/// How often a lock is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Why the state folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The folder itself won't do.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Something can't be written there.
    #[error(transparent)]
    NotWritten(#[from] DurableError),
    /// Something can't be read there.
    #[error(transparent)]
    NotRead(ReadError),
    /// Another run has the lock.
    #[error("another callgate is at work{by}")]
    Locked {
        /// Who: empty, or `: callgate apply (pid 4711), since 2026-03-01T12:00:00Z`.
        by: String,
        /// The lock's file.
        path: String,
    },
    /// What is there is not what was written.
    #[error("`{path}` is damaged: {why}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Another program version wrote it.
    #[error("`{path}` is of version {found}, and this callgate reads version {}", seal::VERSION)]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: u64,
    },
    /// What is to be remembered is larger than would be read again.
    #[error("`{path}` would be larger than {FILE_BYTES_MAX} bytes")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// It can't be put into words.
    #[error("`{path}` can't be written: {cause}")]
    NotSealed {
        /// The file.
        path: String,
        /// Why.
        cause: serde_json::Error,
    },
}

impl StateError {
    /// What to do.
    pub fn help(&self) -> String {
        match self {
            StateError::Folder(error) => error.help(),
            StateError::NotWritten(error) => error.help(),
            StateError::NotRead(_) => "run it as root, or name the folder with `--state`".to_owned(),
            StateError::Locked { path, .. } => format!(
                "wait until it is done; where it hangs, end that process (`fuser -v {path}` names it): the next command settles what it leaves"
            ),
            StateError::Damaged { path, .. } => format!(
                "nothing was changed; look what is in force (`callgate diff`) and, as far as it can be read, at what was to come back \
                 (`before` in `{path}`); once the rules are as you want them, move it away: `mv {path} {path}.damaged`"
            ),
            StateError::Version { path, found } => {
                format!(
                    "use the callgate that wrote `{path}` to confirm or to roll back; where nothing waits for that, move it away: \
                     `mv {path} {path}.{found}`"
                )
            }
            StateError::TooLarge { .. } | StateError::NotSealed { .. } => {
                "nothing was changed; please report it".to_owned()
            }
        }
    }
}

/// What each file there is called; its kind is sealed into it as well.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Journal,
    Baseline,
    Last,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Journal => "journal",
            Kind::Baseline => "baseline",
            Kind::Last => "last",
        }
    }

    fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.json", self.name()))
    }
}

/// A state folder. Whoever only has this can look; what is written is written with its [`Lock`].
#[derive(Debug, Clone)]
pub struct StateFolder {
    path: PathBuf,
}

/// Who works under the lock, for others to read.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The command: `callgate apply`.
    pub command: &'static str,
    /// Since when.
    pub since: Timestamp,
}

impl StateFolder {
    /// Opens the folder to write there; where it is missing it is made, for nobody else to look into.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        Ok(Self { path: private::make_private(path)? })
    }

    /// Opens the folder to look; `None` where there is none.
    pub fn find(path: &Path) -> Result<Option<Self>, StateError> {
        Ok(private::find_private(path)?.map(|path| Self { path }))
    }

    /// Where it is, from the root on.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The change that is unfinished or unconfirmed, if there is one.
    pub fn journal(&self) -> Result<Option<Journal>, StateError> {
        self.read(Kind::Journal)
    }

    /// What was in force after the last change that was kept.
    pub fn baseline(&self) -> Result<Option<Baseline>, StateError> {
        self.read(Kind::Baseline)
    }

    /// How the last change ended.
    pub fn last(&self) -> Result<Option<Last>, StateError> {
        self.read(Kind::Last)
    }

    /// The file of the journal: it is there where something is owed.
    pub fn journal_path(&self) -> PathBuf {
        Kind::Journal.path(&self.path)
    }

    /// Takes the lock, or says who has it.
    pub fn lock(&self, who: &Holder) -> Result<Lock, StateError> {
        self.lock_within(who, Duration::ZERO)
    }

    /// Takes the lock, and waits so long for it at most.
    pub fn lock_within(&self, who: &Holder, patience: Duration) -> Result<Lock, StateError> {
        let path = self.path.join("lock");
        let note = format!("{} (pid {}), since {}", who.command, std::process::id(), who.since);
        let begun = Instant::now();
        loop {
            match lock::try_lock(&path, &note)? {
                Attempt::Held(held) => return Ok(Lock { folder: self.clone(), held }),
                Attempt::Busy(by) if begun.elapsed() >= patience => {
                    return Err(locked(&by, &path));
                }
                Attempt::Busy(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Whether this is what is remembered to be in force. Mostly the start of the baseline says so in the same words, and nobody
    /// has to read the prefixes, which can be many; a fault among them is told by whoever needs them.
    pub fn is_in_force(&self, now: &InForce) -> Result<bool, StateError> {
        Ok(self.starts_alike(now) || self.baseline()?.is_some_and(|known| known.in_force == *now))
    }

    /// Whether the start of the baseline says this in the same words. What can't be read is told by whoever reads all of it.
    fn starts_alike(&self, now: &InForce) -> bool {
        let Some(words) = now.written() else { return false };
        let bytes = words.len().saturating_add(seal::HEAD_BYTES_MAX).saturating_add(BEFORE_BYTES_MAX);
        let start = system::read_start(&Kind::Baseline.path(&self.path), bytes as u64).unwrap_or_default();
        let known = seal::started(Kind::Baseline.name(), &start);
        known.is_some_and(|known| memmem::find(known, words.as_bytes()).is_some())
    }

    fn read<T: DeserializeOwned>(&self, kind: Kind) -> Result<Option<T>, StateError> {
        self.text(kind)?.map(|text| self.opened(kind, &text)).transpose()
    }

    fn text(&self, kind: Kind) -> Result<Option<Text>, StateError> {
        let path = kind.path(&self.path);
        match system::read_listing(&path, FILE_BYTES_MAX) {
            Ok(listing) => Ok(Some(listing.text)),
            Err(ReadError::Missing { .. }) => Ok(None),
            Err(ReadError::NotUtf8 { path, .. }) => {
                Err(StateError::Damaged { path, why: "it is not text".to_owned() })
            }
            Err(error) => Err(StateError::NotRead(error)),
        }
    }

    fn opened<T: DeserializeOwned>(&self, kind: Kind, text: &str) -> Result<T, StateError> {
        let path = || kind.path(&self.path).display().to_string();
        seal::open(kind.name(), text).map_err(|error| match error {
            SealError::Damaged(why) => StateError::Damaged { path: path(), why: plain::line(&why) },
            SealError::Version(found) => StateError::Version { path: path(), found },
        })
    }
}

fn locked(by: &str, path: &Path) -> StateError {
    let by = if by.is_empty() { String::new() } else { format!(": {}", plain::line(by)) };
    StateError::Locked { by, path: path.display().to_string() }
}

/// The lock of a state folder, held until this value is gone or the process ends. All that changes the folder goes
/// through it.
#[derive(Debug)]
pub struct Lock {
    folder: StateFolder,
    held: FileLock,
}

impl Lock {
    /// The folder.
    pub fn folder(&self) -> &StateFolder {
        &self.folder
    }

    /// Lets the tools that are started from now on hold the lock as well, until they end. Should we be killed while one of
    /// them is at work, whoever comes next waits for it, and does not change the rules at the same time.
    pub fn share_with_tools(&self) -> Result<(), StateError> {
        self.share(Children::Hold)
    }

    /// Keeps the lock from what is started from now on: a timer that held it would wait for itself.
    pub(super) fn keep_to_ourselves(&self) -> Result<(), StateError> {
        self.share(Children::LetGo)
    }

    fn share(&self, children: Children) -> Result<(), StateError> {
        let path = self.folder.path.join("lock").display().to_string();
        Ok(self.held.share(children).map_err(|cause| DurableError::Failed { path, cause })?)
    }

    /// Remembers a change; once this returns, a crash does not lose it.
    pub fn write_journal(&self, journal: &Journal) -> Result<(), StateError> {
        self.write(Kind::Journal, journal)
    }

    /// Forgets the change: nothing is owed any more. The answer says whether there was one.
    pub fn remove_journal(&self) -> Result<bool, StateError> {
        Ok(durable::remove_durably(&Kind::Journal.path(&self.folder.path))?)
    }

    /// Remembers what is in force now.
    pub fn write_baseline(&self, baseline: &Baseline) -> Result<(), StateError> {
        self.write(Kind::Baseline, baseline)
    }

    /// Forgets what was in force.
    pub fn remove_baseline(&self) -> Result<bool, StateError> {
        Ok(durable::remove_durably(&Kind::Baseline.path(&self.folder.path))?)
    }

    /// Remembers how a change ended.
    pub fn write_last(&self, last: &Last) -> Result<(), StateError> {
        self.write(Kind::Last, last)
    }

    fn write(&self, kind: Kind, content: &impl Serialize) -> Result<(), StateError> {
        let path = kind.path(&self.folder.path);
        let shown = || path.display().to_string();
        let text = seal::seal(kind.name(), content)
            .map_err(|cause| StateError::NotSealed { path: shown(), cause })?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(StateError::TooLarge { path: shown() });
        }
        Ok(durable::write_durably(&path, text.as_bytes(), PRIVATE)?)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::os::unix::fs::MetadataExt as _;

    use super::super::journal::tests::{instant, journal};
    use super::super::journal::{Ending, Phase};
    use super::*;
    use crate::prefix::Prefix;

    fn holder() -> Holder {
        Holder { command: "callgate apply", since: instant() }
    }

    fn scene() -> (tempfile::TempDir, StateFolder) {
        let base = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(&base.path().join("callgate")).unwrap();
        (base, folder)
    }

    #[test]
    fn what_is_written_is_read_again_and_can_be_forgotten() {
        let (_base, folder) = scene();
        assert_eq!(folder.journal().unwrap(), None);
        assert_eq!(folder.baseline().unwrap(), None);
        assert_eq!(folder.last().unwrap(), None);
        let lock = folder.lock(&holder()).unwrap();
        let mut journal = journal("20260301T120000Z-1");
        lock.write_journal(&journal).unwrap();
        journal.phase = Phase::Restoring;
        lock.write_journal(&journal).unwrap();
        lock.write_baseline(&journal.baseline).unwrap();
        let last = Last {
            outcome: Ending::RolledBack,
            at: instant(),
            id: journal.id.clone(),
            message: "not confirmed in time".to_owned(),
        };
        lock.write_last(&last).unwrap();
        let found = StateFolder::find(folder.path()).unwrap().unwrap();
        assert_eq!(found.journal().unwrap().as_ref(), Some(&journal));
        assert_eq!(found.baseline().unwrap().as_ref(), Some(&journal.baseline));
        assert_eq!(found.last().unwrap(), Some(last));
        for file in ["journal.json", "baseline.json", "last.json", "lock"] {
            assert_eq!(std::fs::metadata(folder.path().join(file)).unwrap().mode() & 0o7777, 0o600, "{file}");
        }
        assert!(lock.remove_journal().unwrap());
        assert!(!lock.remove_journal().unwrap());
        assert!(lock.remove_baseline().unwrap());
        assert_eq!(found.journal().unwrap(), None);
    }

    #[test]
    fn a_baseline_is_known_by_what_is_in_force_alone() {
        let (_base, folder) = scene();
        let lock = folder.lock(&holder()).unwrap();
        let known = journal("a").baseline;
        let now = &known.in_force;
        assert!(!folder.is_in_force(now).unwrap());
        lock.write_baseline(&known).unwrap();
        assert!(folder.is_in_force(now).unwrap());
        let changes: [fn(&mut InForce); 6] = [
            |other| other.policies[0].digest.replace_range(..1, "1"),
            |other| other.policies[0].revision += 1,
            |other| other.sources[0].state = "legacy".to_owned(),
            |other| other.sources.clear(),
            |other| other.places[0].target.push('x'),
            |other| other.places.push(other.places[0].clone()),
        ];
        for change in changes {
            let mut other = now.clone();
            change(&mut other);
            assert!(!folder.is_in_force(&other).unwrap(), "{other:?}");
        }
        // The same in other words is the same; what is neither is told.
        let mut spaced = serde_json::to_value(&known).unwrap();
        lock.write(Kind::Baseline, &spaced).unwrap();
        assert!(folder.is_in_force(now).unwrap());
        spaced["prefixes"][0] = "nobody".into();
        lock.write(Kind::Baseline, &spaced).unwrap();
        assert!(matches!(folder.is_in_force(now), Err(StateError::Damaged { .. })));
        spaced["more"] = 1.into();
        lock.write(Kind::Baseline, &spaced).unwrap();
        assert!(matches!(folder.is_in_force(now), Err(StateError::Damaged { .. })));
    }

    #[test]
    fn of_a_baseline_that_says_the_same_only_the_start_is_read() {
        let (_base, folder) = scene();
        let lock = folder.lock(&holder()).unwrap();
        let prefixes = (0..10_000).map(|number| Prefix::single(Ipv4Addr::from_bits(number).into())).collect();
        let known = Baseline { prefixes, ..journal("a").baseline };
        lock.write_baseline(&known).unwrap();
        let path = Kind::Baseline.path(folder.path());
        let text = std::fs::read_to_string(&path).unwrap();
        let put = |text: &str| crate::system::replace_file(&path, text.as_bytes()).unwrap();
        let same = |folder: &StateFolder| folder.is_in_force(&known.in_force);
        // Whoever needs the rest is told.
        put(&text[..text.len() / 2]);
        assert!(same(&folder).unwrap());
        assert!(matches!(folder.baseline(), Err(StateError::Damaged { .. })));
        // Whatever is wrong with the start is told at once.
        for (from, to) in [
            ("\"callgate\"", "\"callgat\""),
            ("\"baseline\"", "\"journal\""),
            ("\"version\": 2", "\"version\": 9"),
            ("\"sha256\": \"", "\"sha256\": \"x"),
            ("\"in_force\":", "\"in-force\":"),
            ("\"state\":\"active\"", "\"state\":\"legacy\""),
        ] {
            let edited = text.replacen(from, to, 1);
            assert_ne!(edited, text, "{from}");
            put(&edited);
            assert!(!matches!(same(&folder), Ok(true)), "{from}");
        }
        put("");
        assert!(matches!(same(&folder), Err(StateError::Damaged { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(!same(&folder).unwrap());
    }

    #[test]
    fn one_at_a_time_and_the_other_is_told_who_and_what_to_do() {
        let (_base, folder) = scene();
        let first = folder.lock(&holder()).unwrap();
        let error = folder.lock(&holder()).unwrap_err();
        let wanted = format!(
            "another callgate is at work: callgate apply (pid {}), since 2026-03-01T12:00:00Z",
            std::process::id()
        );
        assert_eq!(error.to_string(), wanted);
        assert!(error.help().contains("fuser -v"), "{}", error.help());
        let begun = Instant::now();
        assert!(folder.lock_within(&holder(), Duration::from_millis(60)).is_err());
        assert!(begun.elapsed() >= Duration::from_millis(60));

        let there = folder.clone();
        let waiting =
            std::thread::spawn(move || there.lock_within(&holder(), Duration::from_secs(30)).is_ok());
        drop(first);
        assert!(waiting.join().unwrap());
        folder.lock(&holder()).unwrap();
    }

    #[test]
    fn a_damaged_journal_is_never_half_believed() {
        let (_base, folder) = scene();
        folder.lock(&holder()).unwrap().write_journal(&journal("a")).unwrap();
        let text = std::fs::read_to_string(folder.journal_path()).unwrap();
        let put = |bytes: &[u8]| crate::system::replace_file(&folder.journal_path(), bytes).unwrap();
        let cut = &text.as_bytes()[..text.len() / 2];
        let edited = text.replace("callgate.conf", "somebody.conf");
        assert_ne!(edited, text);
        for bytes in [&b""[..], cut, edited.as_bytes(), b"\xff\xfe", b"{}", b"null"] {
            put(bytes);
            let error = folder.journal().unwrap_err();
            assert!(matches!(error, StateError::Damaged { .. }), "{error:?}");
            assert!(error.help().contains("nothing was changed"), "{}", error.help());
            assert!(error.help().contains(".damaged"), "{}", error.help());
        }
        put(text.replacen("\"version\": 2", "\"version\": 9", 1).as_bytes());
        let error = folder.journal().unwrap_err();
        assert!(error.to_string().ends_with("is of version 9, and this callgate reads version 2"), "{error}");
        put(text.as_bytes());
        assert!(folder.journal().unwrap().is_some());
    }

    #[test]
    fn what_stands_in_the_place_of_a_file_is_told() {
        let (_base, folder) = scene();
        std::fs::create_dir(folder.journal_path()).unwrap();
        let error = folder.journal().unwrap_err();
        assert!(matches!(error, StateError::NotRead(_)), "{error:?}");
        let lock = folder.lock(&holder()).unwrap();
        assert!(matches!(lock.write_journal(&journal("a")), Err(StateError::NotWritten(_))));
    }
}
