//! A command whose time and output are bounded: it may ask a network, or hang.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{command, found};

/// Most bytes of complaints that are kept.
const COMPLAINTS_MAX: u64 = 64 << 10;
/// How often it is looked how much a command has printed.
const PAUSE: Duration = Duration::from_millis(20);
/// How often a command is asked whether it ended, where the kernel can't tell by itself.
const LOOK: Duration = Duration::from_micros(500);

/// A command's bounds, and what it finds in its environment besides ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    pub(super) time: Duration,
    pub(super) bytes: u64,
    pub(super) environment: &'a [(&'a str, &'a str)],
    /// What it reads on standard input.
    pub(super) input: &'a [u8],
}

/// How it came out.
#[derive(Debug)]
pub(super) enum Ended {
    /// It ended by itself: its output, and whether it says that all is well.
    Done { stdout: Vec<u8>, stderr: String, status: ExitStatus },
    /// It was ended, because it took too long.
    TookTooLong,
    /// It was ended, because it printed too much.
    PrintedTooMuch,
}

/// Runs a command.
///
/// It prints into files without a name, not into pipes: a large listing then costs neither a thread nor a change of
/// processes for each piece.
pub(super) fn run(program: &str, arguments: &[impl AsRef<OsStr>], bounds: Bounds<'_>) -> io::Result<Ended> {
    let deadline = Instant::now() + bounds.time;
    let (output, complaints) = (nameless("callgate-output")?, nameless("callgate-complaints")?);
    // To look for it beforehand is cheaper than a start that fails in one folder after the other.
    let place = found(program).unwrap_or_else(|| PathBuf::from(program));
    let mut started = command(place);
    started.arg0(program).args(arguments).envs(bounds.environment.iter().copied());
    started.stdin(whole(bounds.input)?).stdout(output.try_clone()?).stderr(complaints.try_clone()?);
    let mut child = started.spawn()?;
    let printed = || -> io::Result<u64> { Ok(output.metadata()?.len().max(complaints.metadata()?.len())) };
    let waited = wait(&mut child, deadline, || Ok(printed()? > bounds.bytes));
    let Ok(Waited::Ended(status)) = waited else {
        // It may have ended meanwhile; either way nobody waits for it any more.
        let _ = child.kill();
        let _ = child.wait();
        return waited.map(|waited| match waited {
            Waited::PrintedTooMuch => Ended::PrintedTooMuch,
            Waited::TookTooLong | Waited::Ended(_) => Ended::TookTooLong,
        });
    };
    if printed()? > bounds.bytes {
        return Ok(Ended::PrintedTooMuch);
    }
    let stdout = read(output, bounds.bytes)?;
    let stderr = String::from_utf8_lossy(&read(complaints, COMPLAINTS_MAX)?).trim().to_owned();
    Ok(Ended::Done { stdout, stderr, status })
}

fn nameless(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// An input that is all there before the command starts. Out of a pipe, a command would take for the end what is only ours:
/// it would carry out the half of a transaction that it got before we were killed.
fn whole(input: &[u8]) -> io::Result<Stdio> {
    if input.is_empty() {
        return Ok(Stdio::null());
    }
    let mut file = nameless("callgate-input")?;
    file.write_all(input)?;
    file.rewind()?;
    Ok(file.into())
}

/// What was printed, from its start, whoever moved the place in the file.
fn read(mut file: File, bytes_max: u64) -> io::Result<Vec<u8>> {
    file.rewind()?;
    let length = file.metadata()?.len().min(bytes_max);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

enum Waited {
    Ended(ExitStatus),
    TookTooLong,
    PrintedTooMuch,
}

/// Waits until the command has ended, for so long at most, and looks now and then whether it prints too much.
fn wait(
    child: &mut Child,
    deadline: Instant,
    is_too_much: impl Fn() -> io::Result<bool>,
) -> io::Result<Waited> {
    // A kernel before 5.3 has no such handle.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let handle = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Waited::Ended(status));
        }
        if is_too_much()? {
            return Ok(Waited::PrintedTooMuch);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Waited::TookTooLong);
        }
        rest(handle.as_ref(), left);
    }
}

/// Rests until the command has ended, or for a moment.
fn rest(handle: Option<&OwnedFd>, left: Duration) {
    let Some(handle) = handle else { return std::thread::sleep(LOOK.min(left)) };
    let pause = PAUSE.min(left);
    let pause = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
    // Who is woken too early looks, and rests again.
    let _ = poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&pause));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Ended {
        let bounds = Bounds {
            time: Duration::from_millis(700),
            bytes: 1 << 16,
            environment: &[("GREETING", "hello")],
            input: b"read\n",
        };
        run("sh", &["-c".to_owned(), script.to_owned()], bounds).unwrap()
    }

    #[test]
    fn what_it_printed_and_how_it_ended_is_told() {
        let Ended::Done { stdout, stderr, status } = shell("echo $GREETING; echo no >&2; exit 3") else {
            panic!()
        };
        assert_eq!((stdout.as_slice(), stderr.as_str(), status.code()), (&b"hello\n"[..], "no", Some(3)));
    }

    #[test]
    fn what_it_is_given_is_what_it_reads() {
        let Ended::Done { stdout, .. } = shell("cat") else { panic!() };
        assert_eq!(stdout, b"read\n");
    }

    #[test]
    fn one_that_hangs_or_floods_is_ended() {
        assert!(matches!(shell("exec sleep 60"), Ended::TookTooLong));
        assert!(matches!(shell("exec >&- 2>&-; exec sleep 60"), Ended::TookTooLong));
        assert!(matches!(shell("exec yes"), Ended::PrintedTooMuch));
    }

    #[test]
    fn one_that_is_not_there_is_an_error() {
        let bounds = Bounds { time: Duration::from_secs(1), bytes: 1, environment: &[], input: &[] };
        let error = run("/nowhere/at/all", &[""; 0], bounds).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
