//! A host for many cases: three namespaces, one process that sends the packets, and the tools that load, dump
//! and clear rules.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::root;
use crate::world::{done, tool};

use super::case::{Case, Loader};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Ports that servers listen on, on the host and in the container.
const PORTS: [&str; 8] = ["22", "25", "80", "443", "500", "8080", "8443", "9443"];

/// One call of a round.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) source: IpAddr,
    /// The port it calls from; 0 lets the kernel choose one.
    pub(crate) source_port: u16,
    pub(crate) target: IpAddr,
    pub(crate) port: u16,
}

/// What became of a call: whether the whole handshake stood.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    In,
    Out,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(if *self == Self::In { "got in" } else { "did not get in" })
    }
}

/// The dumps of a host, by the name of what gave them.
pub(crate) type Dumps = BTreeMap<String, PathBuf>;

/// The namespaces, and the process that has sockets in all of them.
pub(crate) struct Arena {
    names: [String; 3],
    agent: Child,
    to_agent: ChildStdin,
    from_agent: BufReader<ChildStdout>,
}

impl Arena {
    pub(crate) fn new() -> Self {
        let id = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let names = ["h", "c", "d"].map(|place| format!("judge-{place}-{id}"));
        done(tool("sh").arg(file("arena.sh")).args(&names));
        let mut agent = tool("python3");
        agent.arg(file("agent.py")).args(&names).args(PORTS);
        let mut agent = agent.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let to_agent = agent.stdin.take().unwrap();
        let mut from_agent = BufReader::new(agent.stdout.take().unwrap());
        let mut line = String::new();
        from_agent.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { names, agent, to_agent, from_agent }
    }

    fn on_host(&self, program: &str) -> Command {
        let mut command = tool("ip");
        command.args(["netns", "exec", &self.names[0], program]);
        command
    }

    /// Loads what a case consists of.
    pub(crate) fn load(&self, case: &Case) -> Result<(), String> {
        for (loader, text) in &case.parts {
            let command: &[&str] = match loader {
                Loader::Ipset => &["ipset", "-exist", "restore"],
                Loader::Iptables => &["iptables-nft-restore", "-w"],
                Loader::Ip6tables => &["ip6tables-nft-restore", "-w"],
                Loader::IptablesLegacy => &["iptables-legacy-restore", "-w"],
                Loader::Ip6tablesLegacy => &["ip6tables-legacy-restore", "-w"],
                Loader::Nft => &["nft", "-f", "-"],
                Loader::Script => &["sh", "-e"],
            };
            let mut running = self.on_host(command[0]);
            running.args(&command[1..]);
            running.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
            running.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut running = running.spawn().unwrap();
            // A tool that stops at a bad line need not read the rest.
            let _ = running.stdin.take().unwrap().write_all(text.as_bytes());
            let output = running.wait_with_output().unwrap();
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{}: {} does not load: {said}", case.name, command[0]));
            }
        }
        Ok(())
    }

    /// Captures all dumps into a folder.
    pub(crate) fn dump(&self, folder: &Path) -> Dumps {
        done(self.on_host("sh").arg(file("dumps.sh")).current_dir(folder));
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let mut dumps: Dumps =
            entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path())).collect();
        // Of a dormant table, nft 1.0.6 prints what happens to lie in memory, and may stop there with status 0.
        let text = std::fs::read(&dumps["nft-json"]).unwrap();
        if serde_json::from_slice::<serde_json::Value>(&text).is_err() {
            dumps.remove("nft-json");
        }
        dumps
    }

    /// Takes every rule away.
    pub(crate) fn clear(&self) {
        done(self.on_host("sh").arg(file("clear.sh")));
    }

    /// Makes all calls at the same time.
    pub(crate) fn call(&mut self, calls: &[Call], quiet: f64) -> Vec<Verdict> {
        let listed: Vec<_> = calls
            .iter()
            .map(|call| {
                let (source, target) = (call.source.to_string(), call.target.to_string());
                serde_json::json!([source, call.source_port, target, call.port])
            })
            .collect();
        let wanted = serde_json::json!({ "quiet": quiet, "calls": listed });
        writeln!(self.to_agent, "{wanted}").unwrap();
        self.to_agent.flush().unwrap();
        let mut line = String::new();
        self.from_agent.read_line(&mut line).unwrap();
        let answer: Vec<u8> = serde_json::from_str(&line).unwrap();
        answer.into_iter().map(|stood| if stood == 1 { Verdict::In } else { Verdict::Out }).collect()
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

fn file(name: &str) -> PathBuf {
    root().join("tests/it/judge").join(name)
}
