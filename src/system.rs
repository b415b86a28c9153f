//! The outside: files and commands. Nothing else in the library touches them.

pub mod aws;
pub mod boot;
mod bounded;
pub mod detached;
pub mod durable;
pub mod fault;
pub mod host;
pub mod installed;
mod links;
pub mod lock;
pub mod nginx;
pub mod peers;
pub mod private;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::admission::Listing;
use crate::diagnostic::SourceText;
use bounded::{Bounds, Ended};

/// Longest that a tool of the host may take: a transaction of a million elements takes 10 seconds.
const TOOL_TIME: Duration = Duration::from_mins(1);
/// Most that a tool may print, in bytes.
const TOOL_BYTES_MAX: u64 = 1 << 32;

/// What stands at a path instead of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A pipe, socket or device.
    Other,
}

/// Why a file can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is nothing.
    #[error("`{path}` does not exist")]
    Missing {
        /// The path.
        path: String,
    },
    /// There is something else.
    #[error("`{path}` is not a regular file")]
    NotAFile {
        /// The path.
        path: String,
        /// What it is.
        kind: Kind,
    },
    /// A folder was wanted.
    #[error("`{path}` is not a folder")]
    NotAFolder {
        /// The path.
        path: String,
    },
    /// It is larger than callgate reads.
    #[error("`{path}` is larger than {bytes_max} bytes")]
    TooLarge {
        /// The path.
        path: String,
        /// The bound.
        bytes_max: u64,
    },
    /// It is not UTF-8.
    #[error("`{path}` is not UTF-8 text: line {line} has a byte that does not belong")]
    NotUtf8 {
        /// The path.
        path: String,
        /// The line, from 1, of the first byte that is wrong.
        line: usize,
    },
    /// The operating system refused.
    #[error("`{path}` can't be read: {cause}")]
    Io {
        /// The path.
        path: String,
        /// Its words.
        cause: io::Error,
    },
}

/// Reads a regular file of at most `bytes_max` bytes as UTF-8; a byte order mark is dropped.
///
/// Pipes, devices and folders are refused before they are opened, so nothing here can block.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<Arc<SourceText>, ReadError> {
    text_of(read_bytes(path, bytes_max)?, path.display().to_string())
}

/// Reads a regular file of at most `bytes_max` bytes as UTF-8, as a listing.
pub fn read_listing(path: &Path, bytes_max: u64) -> Result<Listing, ReadError> {
    let name = path.display().to_string();
    Ok(Listing { text: decoded(read_bytes(path, bytes_max)?, &name)?.into(), name })
}

/// Bytes as UTF-8 text under a name; a byte order mark is dropped.
pub fn text_of(bytes: Vec<u8>, name: String) -> Result<Arc<SourceText>, ReadError> {
    let text = decoded(bytes, &name)?;
    Ok(SourceText::new(name, text))
}

fn decoded(bytes: Vec<u8>, name: &str) -> Result<String, ReadError> {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let sound = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
            return Err(ReadError::NotUtf8 {
                path: name.to_owned(),
                line: sound.filter(|byte| **byte == b'\n').count() + 1,
            });
        }
    };
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// Reads a regular file of at most `bytes_max` bytes, as it is.
pub fn read_bytes(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    let too_large = || ReadError::TooLarge { path: path.display().to_string(), bytes_max };
    let length = length_of(path)?;
    if length > bytes_max {
        return Err(too_large());
    }
    // One more tells whether it has grown meanwhile.
    let bytes = read_at_most(path, bytes_max + 1, length)?;
    if bytes.len() as u64 > bytes_max { Err(too_large()) } else { Ok(bytes) }
}

/// The first bytes of a regular file, `bytes_max` at most.
pub fn read_start(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    read_at_most(path, bytes_max, length_of(path)?.min(bytes_max))
}

/// The bytes that a regular file has. What is none is never opened.
fn length_of(path: &Path) -> Result<u64, ReadError> {
    let metadata = std::fs::metadata(path).map_err(|cause| unread(path, cause))?;
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    let kind = if metadata.is_dir() { Kind::Folder } else { Kind::Other };
    Err(ReadError::NotAFile { path: path.display().to_string(), kind })
}

fn read_at_most(path: &Path, bytes_max: u64, expected: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    let file = File::open(path).map_err(|cause| unread(path, cause))?;
    file.take(bytes_max).read_to_end(&mut bytes).map_err(|cause| unread(path, cause))?;
    Ok(bytes)
}

fn unread(path: &Path, cause: io::Error) -> ReadError {
    let path = path.display().to_string();
    if cause.kind() == io::ErrorKind::NotFound {
        ReadError::Missing { path }
    } else {
        ReadError::Io { path, cause }
    }
}

/// Opens what a script may name as a list: a file, or the pipe or device that stands for another command's
/// output. A folder is refused. Whoever reads it needs bounds, because it may have no end.
pub fn open_stream(path: &Path) -> Result<File, ReadError> {
    if std::fs::metadata(path).map_err(|cause| unread(path, cause))?.is_dir() {
        return Err(ReadError::NotAFile { path: path.display().to_string(), kind: Kind::Folder });
    }
    File::open(path).map_err(|cause| unread(path, cause))
}

/// Names of the files in a folder that have one of these extensions, sorted; a missing folder has none.
pub fn list_folder(folder: &Path, extensions: &[&str]) -> Result<Vec<String>, ReadError> {
    let shown = || folder.display().to_string();
    let entries = std::fs::read_dir(folder).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotADirectory => ReadError::NotAFolder { path: shown() },
        _ => unread(folder, cause),
    })?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|cause| ReadError::Io { path: shown(), cause })?.file_name();
        let Some(name) = name.to_str().map(str::to_owned) else { continue };
        let wanted = name
            .rsplit_once('.')
            .is_some_and(|(stem, found)| !stem.is_empty() && extensions.contains(&found));
        if wanted {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Names of the folders in a folder, sorted; none where it can't be read.
pub fn list_subfolders(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Replaces a file whole: written beside it, then renamed over it, so that a reader sees the old bytes or
/// the new ones. The folder is made where it is missing. A file that already has these bytes is left alone; the answer says whether it was written.
///
/// A pipe or a terminal, such as `/dev/stdout`, is written to, and never replaced.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    if let Some(mut stream) = stream(path)? {
        stream.write_all(bytes)?;
        return Ok(true);
    }
    if holds(path, bytes).unwrap_or(false) {
        return Ok(false);
    }
    replace_with_mode(path, bytes, mode_for(path))?;
    Ok(true)
}

/// Whether a regular file has just these bytes. It is never held whole.
fn holds(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    let mut part = [0; 16 << 10];
    let mut rest = bytes;
    loop {
        let length = file.read(&mut part)?;
        if length == 0 {
            return Ok(rest.is_empty());
        }
        match part.get(..length).and_then(|found| rest.strip_prefix(found)) {
            Some(after) => rest = after,
            None => return Ok(false),
        }
    }
}

/// Replaces a file whole, as [`replace_file`] does; nobody else may read it.
pub fn replace_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with_mode(path, bytes, durable::PRIVATE)
}

/// What takes bytes one after the other instead of holding them: a pipe, a character device, an open file of a process.
fn stream(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::FileTypeExt as _;
    let Ok(found) = std::fs::metadata(path) else { return Ok(None) };
    let kind = found.file_type();
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    let of_a_process = is_link && kind.is_file() && (path.starts_with("/dev") || path.starts_with("/proc"));
    if !(kind.is_fifo() || kind.is_char_device() || of_a_process) {
        return Ok(None);
    }
    File::options().append(true).open(path).map(Some)
}

fn replace_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    // A rename would take away the node of a device.
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file() && !found.is_symlink()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no file, and only a file is replaced",
        ));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".callgate-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A replaced file keeps its mode; a new one is readable by all, as an editor would make it.
fn mode_for(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).map_or(0o644, |found| found.permissions().mode() & 0o7777)
}

/// Why a command gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("`{program}` can't be started: {cause}")]
    NotStarted {
        /// The program.
        program: String,
        /// The operating system's words.
        cause: io::Error,
    },
    /// It was ended, because it took too long or printed too much.
    #[error("`{command}` was ended: {why}")]
    Ended {
        /// The command line.
        command: String,
        /// Why.
        why: String,
    },
    /// It ended with a status other than 0.
    #[error("`{command}` failed: {stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// What it said.
        stderr: String,
    },
}

/// What a tool printed that ended well.
#[derive(Debug)]
pub struct Printed {
    /// On standard output.
    pub stdout: Vec<u8>,
    /// On standard error.
    pub stderr: String,
}

/// Runs a tool that reads `input`, for no longer than a minute; `None` where it is not here.
pub fn tool(program: &str, arguments: &[&str], input: &[u8]) -> Result<Option<Printed>, CommandError> {
    // Hours and days in rules are printed in the time zone of who asks.
    let mut environment = vec![("TZ", "UTC")];
    // Of thousands of elements nft makes as many trees, and a tenth of its time goes for pages of memory: with large ones, where
    // the kernel has some to give, it is spared. Others read far less, and would look for them in vain.
    if program == "nft" && std::env::var_os("GLIBC_TUNABLES").is_none() {
        environment.push(("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"));
    }
    let time = fault::tool_time(TOOL_TIME);
    let bounds = Bounds { time, bytes: TOOL_BYTES_MAX, environment: &environment, input };
    let command = || [&[program], arguments].concat().join(" ");
    let ended = |why: &str| Err(CommandError::Ended { command: command(), why: why.to_owned() });
    match bounded::run(program, arguments, bounds) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(CommandError::NotStarted { program: program.to_owned(), cause }),
        Ok(Ended::TookTooLong) => ended(&format!("it took longer than {} seconds", time.as_secs())),
        Ok(Ended::PrintedTooMuch) => ended("it printed more than callgate reads"),
        Ok(Ended::Done { stdout, stderr, status }) if status.success() => {
            Ok(Some(Printed { stdout, stderr }))
        }
        Ok(Ended::Done { stderr, .. }) => Err(CommandError::Failed { command: command(), stderr }),
    }
}

/// The file that a program's name leads to.
fn found(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let is_program =
        |path: &PathBuf| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file();
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(is_program)
}

/// Runs a command to its end and gives what it printed; standard input is empty.
pub fn run(program: &str, arguments: &[&str]) -> Result<Vec<u8>, CommandError> {
    let started = command(program).args(arguments).stdin(Stdio::null()).output();
    let Output { status, stdout, stderr } =
        started.map_err(|cause| CommandError::NotStarted { program: program.to_owned(), cause })?;
    if status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&stderr).trim().to_owned();
    Err(CommandError::Failed { command: format!("{program} {}", arguments.join(" ")), stderr })
}

#[expect(clippy::disallowed_methods, reason = "the one place where commands start")]
fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}
