//! Folders of our own, to which nobody else may write.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::durable::{DurableError, make_folder};

/// Why a folder won't do.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something else is there.
    #[error("`{path}` is not a folder")]
    NotAFolder {
        /// The path.
        path: String,
    },
    /// Somebody else's.
    #[error("the folder `{path}` belongs to user {owner}, and callgate runs as user {user}")]
    NotOurs {
        /// The path.
        path: String,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Others may write to it.
    #[error("others may write to the folder `{path}`: its mode is {mode:o}")]
    Open {
        /// The path.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// Its file system takes no changes.
    #[error("the folder `{path}` can't be written to: its file system is read-only")]
    ReadOnly {
        /// The path.
        path: String,
    },
    /// It is missing, and can't be made.
    #[error(transparent)]
    NotMade(DurableError),
    /// The operating system refused.
    #[error("the folder `{path}` can't be used: {cause}")]
    Io {
        /// The path.
        path: String,
        /// Its words.
        cause: io::Error,
    },
}

impl FolderError {
    /// What to do.
    pub fn help(&self) -> String {
        match self {
            FolderError::NotAFolder { path } => format!("move `{path}` away, or name another folder"),
            FolderError::NotOurs { path, user, .. } => format!(
                "whoever can write there decides over the rules: run callgate as its owner, or give it away: `chown {user} {path}`"
            ),
            FolderError::Open { path, .. } => {
                format!("whoever can write there decides over the rules: `chmod 700 {path}`")
            }
            FolderError::ReadOnly { path } => format!(
                "look why (`findmnt -T {path}`), or name another folder: without it a change could not be undone"
            ),
            FolderError::NotMade(error) => error.help(),
            FolderError::Io { .. } => "run it as root, or name another folder".to_owned(),
        }
    }
}

/// A folder to write to, by its path from the root on; where it is missing it is made, with mode 0700.
pub fn make_private(path: &Path) -> Result<PathBuf, FolderError> {
    if !looked_at(path)?.is_some_and(|found| found.is_dir()) {
        make_folder(path, 0o700).map_err(FolderError::NotMade)?;
    }
    let found = find_private(path)?.ok_or_else(|| failed(path, ErrorKind::NotFound.into()))?;
    match access(&found, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from) {
        Ok(()) => Ok(found),
        Err(cause) if cause.kind() == ErrorKind::ReadOnlyFilesystem => {
            Err(FolderError::ReadOnly { path: path.display().to_string() })
        }
        Err(cause) => Err(failed(path, cause)),
    }
}

/// A folder to look at, by its path from the root on; `None` where there is none.
pub fn find_private(path: &Path) -> Result<Option<PathBuf>, FolderError> {
    let Some(found) = looked_at(path)? else { return Ok(None) };
    let shown = || path.display().to_string();
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(FolderError::NotOurs { path: shown(), owner: found.uid(), user });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(FolderError::Open { path: shown(), mode });
    }
    fs::canonicalize(path).map(Some).map_err(|cause| failed(path, cause))
}

fn looked_at(path: &Path) -> Result<Option<Metadata>, FolderError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(Some(found)),
        Ok(_) => Err(FolderError::NotAFolder { path: path.display().to_string() }),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(failed(path, cause)),
    }
}

fn failed(path: &Path, cause: io::Error) -> FolderError {
    FolderError::Io { path: path.display().to_string(), cause }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;
    use crate::system::durable::tests::Small;

    #[test]
    fn a_folder_is_made_for_us_alone() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("var/lib/callgate");
        assert!(find_private(&path).unwrap().is_none());
        let made = make_private(&path).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(make_private(&path).unwrap(), made);
        assert_eq!(find_private(&path).unwrap(), Some(made));
        // Others may look, and no more.
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        make_private(&path).unwrap();
    }

    #[test]
    fn what_others_could_write_to_won_t_do() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("state");
        make_private(&path).unwrap();
        for mode in [0o720, 0o702, 0o1777] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = make_private(&path).unwrap_err();
            assert!(matches!(error, FolderError::Open { .. }), "{error:?}");
            assert!(error.help().contains("chmod 700"));
        }
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can give a folder away");
            return;
        }
        chown(&path, Some(1001), None).unwrap();
        let error = find_private(&path).unwrap_err();
        assert!(matches!(error, FolderError::NotOurs { owner: 1001, user: 0, .. }), "{error:?}");
    }

    #[test]
    fn a_file_or_a_read_only_file_system_is_told() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        crate::system::replace_file(&file, b"x").unwrap();
        assert!(matches!(make_private(&file), Err(FolderError::NotAFolder { .. })));
        let Err(error) = make_private(&file.join("state")) else { panic!() };
        assert!(!error.help().is_empty());

        let Some(small) = Small::mounted() else { return };
        let path = small.path().join("state");
        make_private(&path).unwrap();
        small.make_read_only();
        let error = make_private(&path).unwrap_err();
        assert!(matches!(error, FolderError::ReadOnly { .. }), "{error:?}");
        // Looking is possible all the same.
        assert!(find_private(&path).unwrap().is_some());
        let error = make_private(&small.path().join("another")).unwrap_err();
        assert!(matches!(error, FolderError::NotMade(_)), "{error:?}");
    }
}
