//! An EC2 endpoint on loopback, by moto, and the AWS command line and callgate that talk to it.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{AT, Run, Scene};
use crate::world::{done, find, have, tool};

/// A moto server. It ends with its owner.
pub(crate) struct Moto {
    server: Child,
    /// Where it listens.
    pub(crate) url: String,
    /// Where it logs requests, a line each.
    log: tempfile::NamedTempFile,
}

impl Moto {
    /// Starts one; `None` where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !have(&["moto_server", "aws"]) {
            return None;
        }
        // The port is free at this moment; a race with another process shows as a failure to start.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = tempfile::NamedTempFile::new().unwrap();
        let server = tool("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_mins(2);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "moto does not listen");
            std::thread::yield_now();
        }
        Some(Self { server, url: format!("http://127.0.0.1:{port}"), log })
    }

    /// What a client needs to be sent here, and nowhere else.
    pub(crate) fn environment(&self) -> [(&str, &str); 6] {
        [
            ("AWS_ENDPOINT_URL", &self.url),
            // The first version of the AWS command line knows one of these, the second both.
            ("AWS_REGION", "eu-north-1"),
            ("AWS_DEFAULT_REGION", "eu-north-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
    }

    /// What a command of `aws ec2` prints.
    pub(crate) fn aws_text(&self, arguments: &[&str]) -> String {
        let mut command = tool("aws");
        command.args(["--region", "eu-north-1", "--output", "json", "ec2"]).args(arguments);
        done(command.envs(self.environment()))
    }

    /// What a command of `aws ec2` answers.
    pub(crate) fn aws(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.aws_text(arguments)).unwrap()
    }

    /// A Python program with moto's own client in it, for what would be many commands.
    pub(crate) fn python(&self, program: &str) -> String {
        let python = find("moto_server").unwrap().with_file_name("python");
        let mut command = tool(python.to_str().unwrap());
        done(command.args(["-c", program]).envs(self.environment()))
    }

    /// A command that callgate told to run.
    pub(crate) fn shell(&self, command: &str) {
        let mut shell = tool("sh");
        shell.args(["-ec", command]).envs(self.environment()).env("PATH", path_with_aws());
        done(shell.env("AWS_PAGER", ""));
    }

    /// callgate, which finds the AWS command line and this endpoint.
    pub(crate) fn callgate(&self, scene: &Scene, arguments: &[&str]) -> Run {
        let mut command = scene.command(arguments);
        command.args(["--at", AT]).env("PATH", path_with_aws()).envs(self.environment());
        Run::of(&command.output().unwrap())
    }

    /// How many requests came so far.
    pub(crate) fn requests(&self) -> usize {
        std::fs::read_to_string(self.log.path()).unwrap().matches("\"POST / HTTP").count()
    }
}

/// `PATH` with the AWS command line in front.
fn path_with_aws() -> std::ffi::OsString {
    let own = find("aws").unwrap().parent().map(Path::to_path_buf);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path))).unwrap()
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
