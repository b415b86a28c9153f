//! Real hosts for tests: network namespaces joined by veth pairs, with a server, a caller that has many
//! addresses, and the real tools. Every packet stays between hosts that the test made.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::root;

/// Whether a tool is here; in CI a missing one fails the run, elsewhere the skip is said.
pub(crate) fn have(tools: &[&str]) -> bool {
    let missing: Vec<&&str> = tools.iter().filter(|tool| find(tool).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "missing in CI: {missing:?}");
    eprintln!("SKIPPED: {missing:?} is not installed");
    false
}

/// The path of a tool: in the tests' own Python environment, on `PATH`, or where administrators' tools are.
pub(crate) fn find(tool: &str) -> Option<PathBuf> {
    let own = root().join(".venv/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::iter::once(own).chain(std::env::split_paths(&path)).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(tool)).find(|path| path.is_file())
}

/// A command with a tool found by [`find`].
#[expect(clippy::disallowed_methods, reason = "tests run the real tools")]
pub(crate) fn tool(name: &str) -> Command {
    Command::new(find(name).unwrap_or_else(|| name.into()))
}

/// Runs a command, which must end well, and gives what it printed.
#[track_caller]
pub(crate) fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{}{stderr}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A process that ends with its owner.
pub(crate) struct Running(Child);

impl Running {
    /// Waits until it ends, which must be well.
    #[track_caller]
    pub(crate) fn wait(mut self) {
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A host that callbacks arrive at, and the network they come from.
pub(crate) struct World {
    host: String,
    caller: String,
    container: String,
}

/// The host's addresses.
pub(crate) const HOST4: &str = "20.0.0.1";
pub(crate) const HOST6: &str = "2a00:1::1";

impl World {
    /// Makes the namespaces; every source is an address of the caller.
    pub(crate) fn new(sources: &BTreeSet<String>) -> Self {
        let id = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let world = Self {
            host: format!("cg-h-{id}"),
            caller: format!("cg-c-{id}"),
            container: format!("cg-d-{id}"),
        };
        for name in [&world.host, &world.caller, &world.container] {
            done(tool("ip").args(["netns", "add", name]));
        }
        let mut host = String::from(
            "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1\n",
        );
        host.push_str(&format!("ip link add up0 type veth peer name up0 netns {}\n", world.caller));
        host.push_str(&format!("ip link add docker0 type veth peer name eth0 netns {}\n", world.container));
        host.push_str(&format!("ip link set lo up; ip link set up0 up; ip link set docker0 up\nip addr add {HOST4}/24 dev up0; ip addr add {HOST6}/64 dev up0 nodad\n"));
        host.push_str("ip addr add 172.17.0.1/24 dev docker0\nip route add default via 20.0.0.2; ip -6 route add default via 2a00:1::2\n");
        Self::shell(&world.host, &host);
        let mut caller = String::from(
            "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0\nip link set lo up; ip link set up0 up\nip addr add 20.0.0.2/24 dev up0; ip addr add 2a00:1::2/64 dev up0 nodad\n",
        );
        for source in sources {
            let (length, nodad) = if source.contains(':') { (128, " nodad") } else { (32, "") };
            caller.push_str(&format!("ip addr add {source}/{length} dev up0{nodad}\n"));
        }
        Self::shell(&world.caller, &caller);
        Self::shell(
            &world.container,
            "ip link set lo up; ip link set eth0 up; ip addr add 172.17.0.2/24 dev eth0; ip route add default via 172.17.0.1\n",
        );
        world
    }

    fn shell(namespace: &str, script: &str) {
        let script = format!("set -e\n{script}");
        done(Self::within(namespace, &["sh", "-c", &script]));
    }

    fn within(namespace: &str, command: &[&str]) -> &'static mut Command {
        // A test's few commands may stay for its short life.
        let command_line: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let mut entering = tool("ip");
        entering.args(["netns", "exec", namespace]).args(command_line);
        entering.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
        Box::leak(Box::new(entering))
    }

    /// Runs a script on the host, which must end well.
    #[track_caller]
    pub(crate) fn on_host(&self, script: &str) -> String {
        done(Self::within(&self.host, &["sh", "-c", &format!("set -e\n{script}")]))
    }

    /// Runs a tool on the host with a text on its standard input.
    #[track_caller]
    pub(crate) fn feed(&self, command: &[&str], text: &str) {
        let mut child =
            Self::within(&self.host, command).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{command:?}: {}\n{text}", String::from_utf8_lossy(&output.stderr));
    }

    /// Takes every rule and set away.
    pub(crate) fn clear(&self) {
        self.on_host("nft flush ruleset; ipset destroy 2>/dev/null || true");
    }

    /// Starts a server on the host, or in the container behind it.
    pub(crate) fn serve(&self, place: Place, port: &str) -> Running {
        let namespace = match place {
            Place::Host => &self.host,
            Place::Container => &self.container,
        };
        let mut child = Self::within(namespace, &["python3", &probe(), "serve", port])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Running(child)
    }

    /// Starts a program on the host.
    pub(crate) fn start(&self, command: &[&str]) -> Running {
        Running(Self::within(&self.host, command).spawn().unwrap())
    }

    /// Starts a caller that connects from one source again and again, each time for so many seconds at most.
    pub(crate) fn dial(&self, port: &str, source: &str, seconds: &str) -> Dialling {
        let target = if source.contains(':') { HOST6 } else { HOST4 };
        let command =
            Self::within(&self.caller, &["python3", &probe(), "loop", port, target, source, seconds]);
        Dialling(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Lets a source ask for a path again and again until there is a file `stop`; then it writes how many calls it made, and how
    /// many were not answered with status 200, into a file.
    pub(crate) fn calling(&self, source: &str, port: &str, path: &str, [stop, told]: [&Path; 2]) -> Running {
        let target = if source.contains(':') { HOST6 } else { HOST4 };
        let (stop, told) = (stop.display().to_string(), told.display().to_string());
        let command = ["python3", &probe(), "call", port, path, target, source, &stop, &told];
        Running(Self::within(&self.caller, &command).spawn().unwrap())
    }

    /// The sources whose new TCP connection gets in.
    pub(crate) fn admitted(&self, port: &str, sources: &BTreeSet<String>) -> BTreeSet<String> {
        let mut command =
            vec!["python3".to_owned(), probe(), "connect".into(), port.into(), HOST4.into(), HOST6.into()];
        command.extend(sources.iter().cloned());
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        done(Self::within(&self.caller, &words)).lines().map(str::to_owned).collect()
    }

    /// The sources that a path answers with status 200.
    pub(crate) fn answered(&self, port: &str, path: &str, sources: &BTreeSet<String>) -> BTreeSet<String> {
        let mut command = vec![
            "python3".to_owned(),
            probe(),
            "get".into(),
            port.into(),
            path.into(),
            HOST4.into(),
            HOST6.into(),
        ];
        command.extend(sources.iter().cloned());
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let lines = done(Self::within(&self.caller, &words));
        lines.lines().filter_map(|line| line.strip_suffix(" 200")).map(str::to_owned).collect()
    }
}

/// A caller that goes on calling.
pub(crate) struct Dialling(Child);

impl Dialling {
    /// Ends it: how often it called, how often in vain, and how often a packet had to be sent again.
    pub(crate) fn end(mut self) -> [u32; 3] {
        drop(self.0.stdin.take());
        let output = self.0.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<u32> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
        numbers.try_into().unwrap()
    }
}

/// Where a server listens.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Host,
    Container,
}

fn probe() -> String {
    root().join("tests/it/probe.py").display().to_string()
}

impl Drop for World {
    fn drop(&mut self) {
        for name in [&self.host, &self.caller, &self.container] {
            let _ = tool("ip").args(["netns", "delete", name]).status();
        }
    }
}

/// Whether namespaces can be made here: only root can, and only where the kernel lets it.
pub(crate) fn can_make_namespaces() -> bool {
    if !have(&["ip", "nft", "python3"]) {
        return false;
    }
    let name = format!("cg-try-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let made = tool("ip").args(["netns", "add", &name]).output().is_ok_and(|output| output.status.success());
    let _ = tool("ip").args(["netns", "delete", &name]).output();
    if !made {
        assert!(std::env::var_os("CI").is_none(), "CI can't make network namespaces");
        eprintln!("SKIPPED: network namespaces can't be made here (root can)");
    }
    made
}

/// Every file of this name pattern below `/`, on one file system: where tools lie that no registry has.
pub(crate) fn lying_about(pattern: &str) -> Option<PathBuf> {
    let output =
        tool("find").args(["/", "-xdev", "-name", pattern, "-not", "-path", "/proc/*"]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.lines().next().map(|line| Path::new(line).to_path_buf())
}
