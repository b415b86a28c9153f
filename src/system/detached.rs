//! Processes that outlive the one that starts them, the terminal and the session they were started from.

use std::env;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{getpid, getsid, setsid};

use super::bounded::{self, Bounds, Ended};
use super::durable::PRIVATE;
use super::{command, read_bytes};

/// A log that is longer is begun anew.
const LOG_BYTES_MAX: u64 = 64 << 10;
/// How long systemd may take to start something.
const SERVICE_PATIENCE: Duration = Duration::from_secs(15);

/// A program to start, with what it finds in its environment besides ours.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it is, from the root on.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Names and values.
    pub environment: Vec<(String, String)>,
}

/// The program that runs now.
pub fn this_program() -> io::Result<PathBuf> {
    env::current_exe()
}

/// Starts a program that has neither input nor output; what it complains of goes to the log. It lives in our session
/// until it calls [`own_session`].
pub fn start(program: &Program, log: &Path) -> io::Result<Child> {
    let outgrown = fs::metadata(log).is_ok_and(|found| found.len() > LOG_BYTES_MAX);
    let mut options = OpenOptions::new();
    let opened = options.create(true).mode(PRIVATE);
    // Either forgets what is there or goes on behind it.
    let log = if outgrown { opened.write(true).truncate(true) } else { opened.append(true) }.open(log)?;
    command(&program.path)
        .args(&program.arguments)
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
}

/// The last lines of a log, for a message.
pub fn end_of_log(log: &Path) -> String {
    let bytes = read_bytes(log, 4 * LOG_BYTES_MAX).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(2)..).unwrap_or_default().join(" ")
}

/// Leaves the session of whoever started this process: what ends that session, a lost connection for one, does not end us.
pub fn own_session() -> io::Result<()> {
    match setsid() {
        Ok(_) => Ok(()),
        // A service of systemd has one already.
        Err(_) if getsid(None).is_ok_and(|session| session == getpid()) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// `systemd-run`, where systemd runs this host and would start a process in our network: its services live in that of
/// the first process, and a namespace of one's own has other rules.
pub fn systemd_run() -> Option<PathBuf> {
    let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let ours = network("self")?;
    if !Path::new("/run/systemd/system").is_dir() || network("1")? != ours {
        return None;
    }
    super::found("systemd-run")
}

/// Has systemd start a program as a service that is forgotten when it ends. Once this returns, the program runs.
pub fn start_service(systemd_run: &Path, unit: &str, program: &Program) -> Result<(), String> {
    let mut arguments: Vec<String> = ["--quiet", "--collect", "--no-ask-password", "--service-type=exec"]
        .map(str::to_owned)
        .into_iter()
        .chain([
            format!("--unit={unit}"),
            format!("--description={unit}: brings rules back unless confirmed"),
        ])
        .collect();
    // The service is to find the same tools.
    let path = env::var("PATH").ok().map(|path| ("PATH".to_owned(), path));
    let environment = path.iter().chain(&program.environment);
    arguments.extend(environment.map(|(name, value)| format!("--setenv={name}={value}")));
    arguments.push("--".to_owned());
    let words = std::iter::once(program.path.as_os_str()).chain(program.arguments.iter().map(AsRef::as_ref));
    for word in words {
        arguments.push(word.to_str().ok_or("its command line is not UTF-8")?.to_owned());
    }
    let bounds = Bounds { time: SERVICE_PATIENCE, bytes: LOG_BYTES_MAX, environment: &[], input: &[] };
    let systemd_run = systemd_run.to_str().ok_or("its path is not UTF-8")?;
    match bounded::run(systemd_run, &arguments, bounds) {
        Ok(Ended::Done { status, .. }) if status.success() => Ok(()),
        Ok(Ended::Done { stderr, status, .. }) => Err(format!("{status}: {stderr}")),
        Ok(Ended::TookTooLong | Ended::PrintedTooMuch) => Err("it gave no answer in time".to_owned()),
        Err(cause) => Err(cause.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program {
            path: "/bin/sh".into(),
            arguments: ["-c", script].map(OsString::from).into(),
            environment: vec![("GREETING".to_owned(), "hello".to_owned())],
        }
    }

    #[test]
    fn what_it_complains_of_is_kept_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("timer.log");
        let say = |script: &str| start(&shell(script), &log).unwrap().wait().unwrap();
        say("echo first >&2; echo unseen");
        say("echo $GREETING from $(pwd) >&2");
        assert_eq!(fs::read_to_string(&log).unwrap(), "first\nhello from /\n");
        assert_eq!(end_of_log(&log), "first hello from /");
        say("yes | head -c 70000 >&2");
        say("echo last >&2");
        assert_eq!(fs::read_to_string(&log).unwrap(), "last\n");
    }

    #[test]
    fn systemd_is_told_all_that_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let fake = folder.path().join("systemd-run");
        let told = folder.path().join("told");
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n", told.display());
        super::super::replace_file(&fake, script.as_bytes()).unwrap();
        super::super::run("chmod", &["+x", fake.to_str().unwrap()]).unwrap();
        start_service(&fake, "callgate-rollback-7", &shell("exit 0")).unwrap();
        let told = fs::read_to_string(&told).unwrap();
        let (options, words) = told.split_once("\n--\n").unwrap();
        assert_eq!(words, "/bin/sh\n-c\nexit 0\n");
        for option in [
            "--collect",
            "--service-type=exec",
            "--unit=callgate-rollback-7",
            "--setenv=GREETING=hello",
            &format!("--setenv=PATH={}", env::var("PATH").unwrap()),
        ] {
            assert!(options.lines().any(|line| line == option), "{option} is not in {options}");
        }

        super::super::replace_file(&fake, b"#!/bin/sh\necho no bus >&2\nexit 1\n").unwrap();
        let error = start_service(&fake, "x", &shell("exit 0")).unwrap_err();
        assert_eq!(error, "exit status: 1: no bus");
    }
}
