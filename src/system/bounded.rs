//! A command whose time and output are bounded: it may ask a network, or hang.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, PipeReader, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{ioctl_fionbio, ioctl_fionread};
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{command, found};

/// Most bytes of complaints that are kept.
const COMPLAINTS_MAX: u64 = 64 << 10;
/// How often it is looked how much a command has printed. Its pipe mostly has room for all that it prints meanwhile.
const PAUSE: Duration = Duration::from_millis(20);
/// Room for what a command prints and nobody has taken yet, in bytes: as much as the kernel gives anybody.
const ROOM: usize = 1 << 20;
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
/// Its complaints go into a file without a name: one that changes something is not ended in its midst by a warning that
/// nobody takes any more, should we be killed.
pub(super) fn run(program: &str, arguments: &[impl AsRef<OsStr>], bounds: Bounds<'_>) -> io::Result<Ended> {
    let deadline = Instant::now() + bounds.time;
    let complaints = nameless("callgate-complaints")?;
    let (mut output, end) = Output::new()?;
    // To look for it beforehand is cheaper than a start that fails in one folder after the other.
    let place = found(program).unwrap_or_else(|| PathBuf::from(program));
    let mut started = command(place);
    started.arg0(program).args(arguments).envs(bounds.environment.iter().copied());
    started.stdin(whole(bounds.input)?).stdout(end).stderr(complaints.try_clone()?);
    let mut child = started.spawn()?;
    let mut is_too_much = || Ok(output.relieve()?.max(complaints.metadata()?.len()) > bounds.bytes);
    let waited = wait(&mut child, deadline, &mut is_too_much);
    let Ok(Waited::Ended(status)) = waited else {
        // It may have ended meanwhile; either way nobody waits for it any more.
        let _ = child.kill();
        let _ = child.wait();
        return waited.map(|waited| match waited {
            Waited::PrintedTooMuch => Ended::PrintedTooMuch,
            Waited::TookTooLong | Waited::Ended(_) => Ended::TookTooLong,
        });
    };
    if is_too_much()? {
        return Ok(Ended::PrintedTooMuch);
    }
    let stderr = String::from_utf8_lossy(&start_of(complaints)?).trim().to_owned();
    Ok(Ended::Done { stdout: output.all()?, stderr, status })
}

/// What a command prints. Some write every word by itself, which costs least into a pipe; this one has room for most
/// listings, and is emptied where room gets scarce and once the command has ended. So each mostly waits once for the other.
struct Output {
    pipe: PipeReader,
    /// How much may be in it. The kernel may leave half of each page empty.
    scarce: u64,
    taken: Vec<u8>,
}

impl Output {
    /// And the end to print into.
    fn new() -> io::Result<(Self, io::PipeWriter)> {
        let (pipe, end) = io::pipe()?;
        ioctl_fionbio(&pipe, true)?;
        // Where the kernel has less for us, it is emptied more often.
        let room = fcntl_setpipe_size(&pipe, ROOM).or_else(|_| fcntl_getpipe_size(&pipe))?;
        Ok((Self { pipe, scarce: (room / 4) as u64, taken: Vec::new() }, end))
    }

    /// Makes room where it is scarce; how much was printed so far.
    fn relieve(&mut self) -> io::Result<u64> {
        let left = ioctl_fionread(&self.pipe)?;
        if left >= self.scarce {
            self.take(left)?;
            return Ok(self.taken.len() as u64);
        }
        Ok(left.saturating_add(self.taken.len() as u64))
    }

    /// All that was printed, although others may have the other end still.
    fn all(mut self) -> io::Result<Vec<u8>> {
        let left = ioctl_fionread(&self.pipe)?;
        self.take(left)?;
        Ok(self.taken)
    }

    fn take(&mut self, left: u64) -> io::Result<()> {
        self.taken.reserve(usize::try_from(left).unwrap_or_default());
        match (&self.pipe).take(left).read_to_end(&mut self.taken) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
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

/// The start of what was written, whoever moved the place in the file.
fn start_of(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.metadata()?.len() > 0 {
        file.rewind()?;
        file.take(COMPLAINTS_MAX).read_to_end(&mut bytes)?;
    }
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
    mut is_too_much: impl FnMut() -> io::Result<bool>,
) -> io::Result<Waited> {
    // A kernel before 5.3 has no such handle.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let handle = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        rest(handle.as_ref(), left);
        if let Some(status) = child.try_wait()? {
            return Ok(Waited::Ended(status));
        }
        if is_too_much()? {
            return Ok(Waited::PrintedTooMuch);
        }
        if left.is_zero() {
            return Ok(Waited::TookTooLong);
        }
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
    fn it_may_print_far_more_than_a_pipe_holds_and_leave_others_behind() {
        let bounds = Bounds { time: Duration::from_mins(1), bytes: 1 << 24, environment: &[], input: &[] };
        let printed = |script: &str| match run("sh", &["-c", script], bounds).unwrap() {
            Ended::Done { stdout, .. } => stdout,
            ended => panic!("{ended:?}"),
        };
        let many = printed("seq 1000000");
        assert_eq!(many.len(), 6_888_896);
        assert!(many.starts_with(b"1\n2\n3\n") && many.ends_with(b"999999\n1000000\n"));
        let begun = Instant::now();
        assert_eq!(printed("sleep 30 & echo started"), b"started\n");
        assert!(begun.elapsed() < Duration::from_secs(20));
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
