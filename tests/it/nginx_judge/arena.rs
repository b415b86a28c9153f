//! Where nginx runs: the namespaces of the kernel's judge, one process that makes the requests, a service behind,
//! and one nginx after the other.

use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::judge::case::UP0;
use crate::support::root;
use crate::world::{done, tool};

use super::case::{Case, Question, Tls};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// nginx is ready long before.
const START_SECONDS: u64 = 20;

/// What nginx did with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// The content was served.
    In,
    /// The caller was sent elsewhere.
    Redirected,
    /// The caller was refused, or the connection was.
    Out,
}

/// The status of a response; 0 where there was none, -1 where there was no connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Status(pub(crate) i32);

impl Status {
    pub(crate) fn verdict(self) -> Result<Verdict, String> {
        match self.0 {
            200 | 204 => Ok(Verdict::In),
            301 | 302 | 303 | 307 | 308 => Ok(Verdict::Redirected),
            -1 | 0 | 400 | 401 | 403 | 404 | 405 | 410 | 421 | 500 | 503 => Ok(Verdict::Out),
            other => Err(format!("status {other} tells nothing")),
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => to.write_str("was cut off"),
            -1 => to.write_str("found nobody listening"),
            status => write!(to, "got status {status}"),
        }
    }
}

/// A case that nginx runs, in a folder of its own.
pub(crate) struct Served {
    pub(crate) folder: TempDir,
    server: Child,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The namespaces and what runs in them.
pub(crate) struct Arena {
    names: [String; 3],
    agent: Child,
    to_agent: ChildStdin,
    from_agent: BufReader<ChildStdout>,
    _upstream: Served,
}

/// A certificate and its key, in PEM; made once.
fn certificate() -> &'static (Vec<u8>, Vec<u8>) {
    static MADE: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=callbacks.test -keyout key.pem -out cert.pem";
        done(tool("openssl").args(words.split(' ')).current_dir(folder.path()));
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        (read("cert.pem"), read("key.pem"))
    })
}

/// Writes a case into a folder of its own.
pub(crate) fn laid_out(case: &Case) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in &case.files {
        write(&folder.path().join(path), text);
    }
    if case.text().contains("cert.pem") {
        let (certificate, key) = certificate();
        write(&folder.path().join("cert.pem"), certificate);
        write(&folder.path().join("key.pem"), key);
    }
    folder
}

#[expect(clippy::disallowed_methods, reason = "a test's own folder")]
fn write(path: &Path, text: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Runs `nginx -t` or `-T` in a folder.
pub(crate) fn tested(folder: &Path, flag: &str) -> Output {
    let settings = "pid test.pid; error_log stderr;";
    let mut command = tool("nginx");
    command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-g", settings, flag]);
    command.output().unwrap()
}

impl Arena {
    pub(crate) fn new() -> Self {
        let id = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let names = ["h", "c", "d"].map(|place| format!("nginx-{place}-{id}"));
        done(tool("sh").arg(root().join("tests/it/judge/arena.sh")).args(&names));
        let mut agent = tool("python3");
        agent.arg(file("agent.py")).args(&names[..2]);
        let mut agent = agent.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let to_agent = agent.stdin.take().unwrap();
        let mut from_agent = BufReader::new(agent.stdout.take().unwrap());
        let mut line = String::new();
        from_agent.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let folder = TempDir::new().unwrap();
        std::fs::copy(file("upstream.conf"), folder.path().join("nginx.conf")).unwrap();
        let upstream = serve(&names[0], folder, "").unwrap();
        Self { names, agent, to_agent, from_agent, _upstream: upstream }
    }

    /// Runs nginx on a case.
    pub(crate) fn serve(&self, case: &Case) -> Result<Served, String> {
        serve(&self.names[0], laid_out(case), "daemon off; master_process off; ")
            .map_err(|fault| format!("{}: nginx does not start: {fault}", case.name))
    }

    /// Puts a question from every source.
    pub(crate) fn ask(&mut self, served: &Served, question: &Question, sources: &[IpAddr]) -> Vec<Status> {
        let calls: Vec<_> = sources.iter().map(|source| call(served, question, *source)).collect();
        let tls = question.tls.as_ref().map(|named| match named {
            Tls::ServerName => question.server_name.clone().unwrap_or_default(),
            Tls::Other(name) => name.clone(),
            Tls::Nothing => String::new(),
        });
        let wanted = serde_json::json!({
            "calls": calls, "request": request(question), "proxied": question.proxied, "tls": tls,
        });
        writeln!(self.to_agent, "{wanted}").unwrap();
        self.to_agent.flush().unwrap();
        let mut line = String::new();
        self.from_agent.read_line(&mut line).unwrap();
        let answer: Vec<i32> = serde_json::from_str(&line).unwrap();
        answer.into_iter().map(Status).collect()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
        for name in &self.names {
            let _ = tool("ip").args(["netns", "delete", name]).status();
        }
    }
}

/// Starts nginx in a namespace and waits, bounded, until it listens.
fn serve(namespace: &str, folder: TempDir, settings: &str) -> Result<Served, String> {
    let log = std::fs::File::create(folder.path().join("said")).unwrap();
    let settings = format!("{settings}pid running.pid; error_log stderr;");
    let mut command: Command = tool("ip");
    command.args(["netns", "exec", namespace, "nginx", "-p"]).arg(folder.path());
    command.args(["-c", "nginx.conf", "-g", &settings]).current_dir(folder.path());
    command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    let child = command.stderr(log).spawn().unwrap();
    let mut served = Served { folder, server: child };
    let until = Instant::now() + Duration::from_secs(START_SECONDS);
    // Its sockets are open before its number is written.
    let pid = served.folder.path().join("running.pid");
    while !std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
        let ended = served.server.try_wait().unwrap().is_some();
        if ended || Instant::now() > until {
            return Err(std::fs::read_to_string(served.folder.path().join("said")).unwrap());
        }
        std::thread::yield_now();
    }
    Ok(served)
}

/// Source, place, peer, target and port of a call.
fn call(served: &Served, question: &Question, source: IpAddr) -> serde_json::Value {
    let peer = question.proxy.unwrap_or(source);
    let target = match &question.socket {
        Some(socket) => format!("unix:{}", served.folder.path().join(socket).display()),
        None if source.is_loopback() => source.to_string(),
        None => dialled(question, peer).to_string(),
    };
    let place = usize::from(!peer.is_loopback());
    serde_json::json!([source.to_string(), place, peer.to_string(), target, question.port])
}

/// The address of a peer's family.
fn dialled(question: &Question, peer: IpAddr) -> IpAddr {
    let defaults = UP0.map(|address| address.parse::<IpAddr>().unwrap());
    let mut known = question.addresses.iter().copied().chain(defaults);
    known.find(|address| address.is_ipv4() == peer.is_ipv4()).unwrap()
}

/// The text of the request, with a place for the caller's address.
fn request(question: &Question) -> String {
    let Some((method, path)) = &question.request else {
        return "GET / HTTP/1.0\r\n\r\n".to_owned();
    };
    let mut text = match question.host.as_ref().or(question.server_name.as_ref()) {
        Some(name) => format!("{method} {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n"),
        None => format!("{method} {path} HTTP/1.0\r\n"),
    };
    for header in question.told.iter().chain(&question.untold) {
        text.push_str(&format!("{header}\r\n"));
    }
    if method == "POST" {
        text.push_str("Content-Length: 0\r\n");
    }
    text.push_str("\r\n");
    text
}

fn file(name: &str) -> PathBuf {
    root().join("tests/it/nginx_judge").join(name)
}
