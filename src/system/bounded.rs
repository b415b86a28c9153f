//! A command whose time and output are bounded: it may ask a network, or hang.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

use super::command;

/// Most bytes of complaints that are kept.
const COMPLAINTS_MAX: u64 = 64 << 10;
/// How often a command that has closed its output is asked whether it ended.
const PAUSE: Duration = Duration::from_micros(500);

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
pub(super) fn run(program: &str, arguments: &[impl AsRef<OsStr>], bounds: Bounds<'_>) -> io::Result<Ended> {
    let deadline = Instant::now() + bounds.time;
    let mut started = command(program);
    started.args(arguments).envs(bounds.environment.iter().copied());
    started.stdin(whole(bounds.input)?).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = started.spawn()?;
    let stdout = read(child.stdout.take(), bounds.bytes);
    let stderr = read(child.stderr.take(), COMPLAINTS_MAX);
    let ended = wait(&mut child, (&stdout, &stderr), bounds.bytes, deadline);
    if !matches!(ended, Ok(Ended::Done { .. })) {
        // It may have ended meanwhile; either way nobody waits for it any more.
        let _ = child.kill();
        let _ = child.wait();
    }
    ended
}

/// An input that is all there before the command starts. Out of a pipe, a command would take for the end what is only ours:
/// it would carry out the half of a transaction that it got before we were killed.
fn whole(input: &[u8]) -> io::Result<Stdio> {
    if input.is_empty() {
        return Ok(Stdio::null());
    }
    let mut file = File::from(memfd_create("callgate-input", MemfdFlags::CLOEXEC)?);
    file.write_all(input)?;
    file.rewind()?;
    Ok(file.into())
}

/// Reads on another thread, a byte further than the bound, so that more is noticed.
fn read(from: Option<impl Read + Send + 'static>, bytes_max: u64) -> Receiver<io::Result<Vec<u8>>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = match from {
            Some(from) => from.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map(|_| bytes),
            None => Ok(bytes),
        };
        // Nobody listens any more after the deadline.
        let _ = send.send(read);
    });
    receive
}

type Read2<'a> = (&'a Receiver<io::Result<Vec<u8>>>, &'a Receiver<io::Result<Vec<u8>>>);

fn wait(
    child: &mut Child,
    (stdout, stderr): Read2<'_>,
    bytes_max: u64,
    deadline: Instant,
) -> io::Result<Ended> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let Ok(output) = stdout.recv_timeout(left()) else { return Ok(Ended::TookTooLong) };
    let output = output?;
    if output.len() as u64 > bytes_max {
        return Ok(Ended::PrintedTooMuch);
    }
    let Ok(complaints) = stderr.recv_timeout(left()) else { return Ok(Ended::TookTooLong) };
    let complaints = String::from_utf8_lossy(&complaints?).trim().to_owned();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::Done { stdout: output, stderr: complaints, status });
        }
        if left().is_zero() {
            return Ok(Ended::TookTooLong);
        }
        thread::sleep(PAUSE);
    }
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
