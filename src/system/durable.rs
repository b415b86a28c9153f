//! Files that outlive a crash: written beside, flushed to the disk, renamed, and the folder flushed as well.
//!
//! A reader sees the old bytes or the new ones, and so does the next start of a machine that lost its power. Two writers
//! of one file at once would be in each other's way: whoever writes holds the lock of the state folder.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink,
};
use std::path::{Path, PathBuf};

use super::fault::{self, Fault};

/// The mode of files that are nobody else's business.
pub const PRIVATE: u32 = 0o600;

/// Why something was not written. What was there before is still there, unless [`DurableError::Unflushed`].
#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    /// No space, or no more of it for this user.
    #[error("`{path}` can't be written: the disk is full")]
    Full {
        /// The path.
        path: String,
    },
    /// The file system takes no changes.
    #[error("`{path}` can't be written: its file system is read-only")]
    ReadOnly {
        /// The path.
        path: String,
    },
    /// The operating system forbids it.
    #[error("`{path}` can't be written: {cause}")]
    NoPermission {
        /// The path.
        path: String,
        /// Its words.
        cause: io::Error,
    },
    /// A file that is mounted by itself can't be replaced.
    #[error("`{path}` can't be replaced: it is a mount point")]
    MountPoint {
        /// The path.
        path: String,
    },
    /// Something else than a file is there.
    #[error("`{path}` is not a regular file")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// Something else than a link is there.
    #[error("`{path}` is not a link")]
    NotALink {
        /// The path.
        path: String,
    },
    /// The folder is not there, and can't be made.
    #[error("the folder `{folder}` can't be made: {cause}")]
    NoFolder {
        /// The folder.
        folder: String,
        /// The operating system's words.
        cause: io::Error,
    },
    /// It is written, and nobody knows whether it would outlive a loss of power.
    #[error("`{path}` is written, but its folder can't be flushed to the disk: {cause}")]
    Unflushed {
        /// The path.
        path: String,
        /// The operating system's words.
        cause: io::Error,
    },
    /// Anything else.
    #[error("`{path}` can't be written: {cause}")]
    Failed {
        /// The path.
        path: String,
        /// The operating system's words.
        cause: io::Error,
    },
    /// A test wanted it.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl DurableError {
    /// What to do.
    pub fn help(&self) -> String {
        match self {
            DurableError::Full { path } => {
                format!("make space there (`df -h {path}`, `df -i {path}`), then run it again")
            }
            DurableError::ReadOnly { path } => format!(
                "look why (`findmnt -T {path}`, `dmesg`): a disk with faults is remounted read-only; else name another folder"
            ),
            DurableError::NoPermission { path, .. } => format!(
                "run it as root; where you are, look at `ls -lZ {path}` and `lsattr {path}`: \
                 a file can be immutable, and SELinux or AppArmor can forbid it"
            ),
            DurableError::MountPoint { path } => {
                format!("mount the folder in which `{path}` lies instead of the file alone")
            }
            DurableError::NotAFile { path } | DurableError::NotALink { path } => {
                format!("move what is there away (`ls -ld {path}`), or name another path")
            }
            DurableError::NoFolder { folder, cause } => match cause.kind() {
                ErrorKind::PermissionDenied => {
                    format!("run it as root, or make it: `mkdir -p -m 700 {folder}`")
                }
                ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                    "a part of this path is not a folder: move it away, or name another folder".to_owned()
                }
                ErrorKind::ReadOnlyFilesystem => {
                    "its file system is read-only: name a folder that can be written".to_owned()
                }
                _ => format!("make it by hand to see what is wrong: `mkdir -p -m 700 {folder}`"),
            },
            DurableError::Unflushed { .. } | DurableError::Failed { .. } => {
                "look at `dmesg` for faults of the disk, then run it again".to_owned()
            }
            DurableError::Fault(_) => "unset CALLGATE_FAULT".to_owned(),
        }
    }
}

/// What the operating system's refusal means for a path.
pub(super) fn refused(path: &Path, cause: io::Error) -> DurableError {
    let path = path.display().to_string();
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DurableError::Full { path },
        ErrorKind::ReadOnlyFilesystem => DurableError::ReadOnly { path },
        ErrorKind::PermissionDenied => DurableError::NoPermission { path, cause },
        ErrorKind::ResourceBusy => DurableError::MountPoint { path },
        ErrorKind::IsADirectory => DurableError::NotAFile { path },
        _ => DurableError::Failed { path, cause },
    }
}

/// Writes a file whole, with this mode, so that it outlives a crash once this returns. A missing folder is made, for nobody else to look into.
pub fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DurableError> {
    make_folder(folder_of(path), 0o700)?;
    let dress = |file: &File| file.set_permissions(Permissions::from_mode(mode));
    replace(path, bytes, ["durable-written", "durable-renamed"], dress)
}

/// Removes a file so that it stays removed; the answer says whether it was there.
pub fn remove_durably(path: &Path) -> Result<bool, DurableError> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(false),
        Err(cause) => return Err(refused(path, cause)),
    }
    flush_folder(path)?;
    Ok(true)
}

/// Where the link at a path leads; `None` where there is nothing. What is no link is in the way.
pub fn link(path: &Path) -> Result<Option<PathBuf>, DurableError> {
    match fs::read_link(path) {
        Ok(to) => Ok(Some(to)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) if cause.kind() == ErrorKind::InvalidInput => {
            Err(DurableError::NotALink { path: path.display().to_string() })
        }
        Err(cause) => Err(refused(path, cause)),
    }
}

/// Makes a link, in place of one that leads elsewhere, so that it outlives a crash.
pub fn link_durably(path: &Path, to: &Path) -> Result<(), DurableError> {
    make_folder(folder_of(path), 0o755)?;
    let beside = beside(path);
    let made = match fs::remove_file(&beside) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
        Ok(()) | Err(_) => symlink(to, &beside).and_then(|()| fs::rename(&beside, path)),
    };
    made.map_err(|cause| refused(path, cause))?;
    flush_folder(path)
}

/// Which file is at a path, and in which state: it differs once the file is replaced or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// The stamp of the file at a path; `None` where there is none.
pub fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(Stamp {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            changed: (found.ctime(), found.ctime_nsec()),
        })),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// Makes a folder, and those above it that are missing, so that they outlive a crash.
pub fn make_folder(folder: &Path, mode: u32) -> Result<(), DurableError> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|part| !part.as_os_str().is_empty() && !part.is_dir()).collect();
    for part in missing.into_iter().rev() {
        match DirBuilder::new().mode(mode).create(part) {
            Ok(()) => flush_folder(part)?,
            // Another run of ours was quicker.
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists && part.is_dir() => {}
            Err(cause) => return Err(DurableError::NoFolder { folder: part.display().to_string(), cause }),
        }
    }
    Ok(())
}

/// Writes beside `path`, lets `dress` give the new file its owner and mode, and renames it. The two fault points are
/// reached before and after the renaming.
pub(super) fn replace(
    path: &Path,
    bytes: &[u8],
    points: [&str; 2],
    dress: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(), DurableError> {
    let [written, renamed] = points;
    let beside = beside(path);
    let made = make(&beside, bytes, dress)
        .map_err(|cause| refused(path, cause))
        .and_then(|()| Ok(fault::point(written)?))
        .and_then(|()| fs::rename(&beside, path).map_err(|cause| refused(path, cause)));
    if let Err(error) = made {
        // What was begun is of no use; where it can't be removed, the next run overwrites it.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    fault::point(renamed)?;
    flush_folder(path)
}

/// The name under which a file is written. It is always the same, so that what a crash leaves is found and replaced.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".callgate");
    path.with_file_name(name)
}

fn make(beside: &Path, bytes: &[u8], dress: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    match fs::remove_file(beside) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
        Ok(()) | Err(_) => {}
    }
    // A new file: what somebody else puts there meanwhile, a link for one, is never written to.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(beside)?;
    file.write_all(bytes)?;
    dress(&file)?;
    file.sync_all()
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Flushes the folder of a path: only then is a new, renamed or removed name on the disk.
pub(super) fn flush_folder(path: &Path) -> Result<(), DurableError> {
    match File::open(folder_of(path)).and_then(|folder| folder.sync_all()) {
        // Some file systems flush no folders, and say so.
        Err(cause) if cause.kind() != ErrorKind::InvalidInput => {
            Err(DurableError::Unflushed { path: path.display().to_string(), cause })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::system::run;

    /// A small file system of its own, gone with the value; `None`, and said, where none can be mounted.
    pub(in crate::system) struct Small(tempfile::TempDir);

    impl Small {
        pub(in crate::system) fn mounted() -> Option<Self> {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().to_str().unwrap().to_owned();
            match run("mount", &["-t", "tmpfs", "-o", "size=64k", "callgate-test", &path]) {
                Ok(_) => Some(Self(folder)),
                Err(error) => {
                    eprintln!("skipped: no file system can be mounted here: {error}");
                    None
                }
            }
        }

        pub(in crate::system) fn path(&self) -> &Path {
            self.0.path()
        }

        pub(in crate::system) fn make_read_only(&self) {
            run("mount", &["-o", "remount,ro", self.path().to_str().unwrap()]).unwrap();
        }
    }

    impl Drop for Small {
        fn drop(&mut self) {
            let _ = run("umount", &["-l", self.path().to_str().unwrap()]);
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_whole_and_only_for_us() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/journal.json");
        write_durably(&path, b"one", PRIVATE).unwrap();
        let first = fs::metadata(&path).unwrap();
        assert_eq!(first.mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().mode() & 0o7777, 0o700);
        write_durably(&path, b"two", 0o640).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let second = fs::metadata(&path).unwrap();
        assert_eq!(second.mode() & 0o7777, 0o640);
        assert_ne!(first.ino(), second.ino());
        assert_eq!(names(path.parent().unwrap()), ["journal.json"]);

        assert!(remove_durably(&path).unwrap());
        assert!(!remove_durably(&path).unwrap());
        assert!(names(path.parent().unwrap()).is_empty());
    }

    #[test]
    fn what_a_crash_left_beside_is_replaced_and_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.json");
        let victim = folder.path().join("victim");
        super::super::replace_file(&victim, b"precious").unwrap();
        std::os::unix::fs::symlink(&victim, beside(&path)).unwrap();
        write_durably(&path, b"new", PRIVATE).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(names(folder.path()), ["journal.json", "victim"]);
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_and_says_so() {
        let Some(small) = Small::mounted() else { return };
        let path = small.path().join("journal.json");
        write_durably(&path, b"old", PRIVATE).unwrap();
        let error = write_durably(&path, &vec![b'x'; 1 << 20], PRIVATE).unwrap_err();
        assert!(matches!(error, DurableError::Full { .. }), "{error:?}");
        assert!(error.help().contains("df -h"), "{}", error.help());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(small.path()), ["journal.json"]);
        // And there is room for something small again.
        write_durably(&path, b"new", PRIVATE).unwrap();
    }

    #[test]
    fn a_read_only_file_system_is_told() {
        let Some(small) = Small::mounted() else { return };
        let path = small.path().join("journal.json");
        write_durably(&path, b"old", PRIVATE).unwrap();
        small.make_read_only();
        for error in [write_durably(&path, b"new", PRIVATE).unwrap_err(), remove_durably(&path).unwrap_err()]
        {
            assert!(matches!(error, DurableError::ReadOnly { .. }), "{error:?}");
        }
        let inside = small.path().join("a/journal.json");
        let error = write_durably(&inside, b"new", PRIVATE).unwrap_err();
        assert!(matches!(error, DurableError::NoFolder { .. }), "{error:?}");
        assert!(error.help().contains("read-only"), "{}", error.help());
    }

    #[test]
    fn what_is_no_folder_and_what_is_no_file_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write_durably(&file, b"x", PRIVATE).unwrap();
        let error = write_durably(&file.join("journal.json"), b"x", PRIVATE).unwrap_err();
        assert!(matches!(error, DurableError::NoFolder { .. }), "{error:?}");
        assert!(error.help().contains("not a folder"), "{}", error.help());
        let error = write_durably(folder.path(), b"x", PRIVATE).unwrap_err();
        assert!(matches!(error, DurableError::NotAFile { .. }), "{error:?}");
    }
}
