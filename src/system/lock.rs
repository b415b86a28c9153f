//! Files that one process at a time holds. The kernel lets go of them when their holder ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::io::{FdFlags, fcntl_setfd};

use super::durable::{DurableError, PRIVATE, refused};

/// Most bytes of what a holder says of itself.
const NOTE_BYTES_MAX: u64 = 512;
/// How often the file is looked for again, where somebody removes it meanwhile.
const TRIES: usize = 16;

/// A lock that is held until this value is gone.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

/// Whether a lock was to be had.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours.
    Held(FileLock),
    /// Somebody else has it, and says this of itself: perhaps nothing.
    Busy(String),
}

/// Takes the lock at `path`, which is made where it is missing, and leaves `note` in it for others to read.
pub fn try_lock(path: &Path, note: &str) -> Result<Attempt, DurableError> {
    let failed = |cause: io::Error| refused(path, cause);
    for _ in 0..TRIES {
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Attempt::Busy(note_of(&file).unwrap_or_default())),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        // Removed or replaced between the two: others lock another file now.
        if !is_still_there(&file, path) {
            continue;
        }
        // What it says is a courtesy: on a full disk the lock holds all the same.
        if leave(&mut file, note).is_err() {
            let _ = file.set_len(0);
        }
        return Ok(Attempt::Held(FileLock { file }));
    }
    Err(failed(io::Error::other("it is removed again and again")))
}

/// Who holds the lock at `path`, by what it says of itself; `None` where nobody does. For looking only: it may change at once.
pub fn holder(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(note_of(&file).unwrap_or_default()),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// Whether programs that are started meanwhile hold a lock as well, until they end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// They do: who comes next waits for them, should we be killed.
    Hold,
    /// They don't: a lock begins like this.
    LetGo,
}

impl FileLock {
    /// Lets programs that are started from now on hold the lock too, or not.
    pub fn share(&self, children: Children) -> io::Result<()> {
        let flags = match children {
            Children::Hold => FdFlags::empty(),
            Children::LetGo => FdFlags::CLOEXEC,
        };
        Ok(fcntl_setfd(&self.file, flags)?)
    }

    /// Whether the file is still at `path`: removing it is a way to tell its holder to end.
    pub fn is_at(&self, path: &Path) -> bool {
        is_still_there(&self.file, path)
    }
}

/// Leaves a note in place of the last holder's, which stays where it is until then: a file that is emptied and filled
/// again costs several times as much.
fn leave(file: &mut File, note: &str) -> io::Result<()> {
    file.write_all(note.as_bytes())?;
    let length = note.len() as u64;
    if file.metadata()?.len() > length { file.set_len(length) } else { Ok(()) }
}

fn is_still_there(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn note_of(mut file: &File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(NOTE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_other_knows_who() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(holder(&path), None);
        let Attempt::Held(first) = try_lock(&path, "first, and a long name").unwrap() else { panic!() };
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(holder(&path).as_deref(), Some("first, and a long name"));
        let Attempt::Busy(note) = try_lock(&path, "second").unwrap() else { panic!() };
        assert_eq!(note, "first, and a long name");
        assert!(first.is_at(&path));
        drop(first);
        assert_eq!(holder(&path), None);
        let Attempt::Held(second) = try_lock(&path, "second").unwrap() else { panic!() };
        assert_eq!(holder(&path).as_deref(), Some("second"));
        std::fs::remove_file(&path).unwrap();
        assert!(!second.is_at(&path));
        assert!(matches!(try_lock(&path, "third").unwrap(), Attempt::Held(_)));
    }

    #[test]
    fn a_program_that_we_started_holds_it_where_it_is_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let start = || crate::system::command("sleep").arg("600").spawn().unwrap();
        let Attempt::Held(ours) = try_lock(&path, "ours").unwrap() else { panic!() };
        let mut apart = start();
        ours.share(Children::Hold).unwrap();
        let mut together = start();
        ours.share(Children::LetGo).unwrap();
        drop(ours);
        assert!(holder(&path).is_some());
        together.kill().unwrap();
        together.wait().unwrap();
        // Programs of other tests that start at the same time hold it too, for a while.
        let begun = std::time::Instant::now();
        while holder(&path).is_some() && begun.elapsed().as_secs() < 30 {
            std::thread::yield_now();
        }
        assert_eq!(holder(&path), None);
        apart.kill().unwrap();
        apart.wait().unwrap();
    }

    #[test]
    fn what_can_not_be_locked_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(try_lock(folder.path(), ""), Err(DurableError::NotAFile { .. })));
    }
}
