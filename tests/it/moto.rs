//! An EC2 endpoint on loopback, by moto, and the AWS command line and callgate that talk to it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{AT, Run, Scene, root};
use crate::world::{done, find, have, tool};

/// A moto server, and the AWS command line that is loaded once. They end with their owner.
pub(crate) struct Moto {
    server: Child,
    warm: Child,
    /// Where the command is that has it called.
    bin: tempfile::TempDir,
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
        let bin = tempfile::TempDir::new().unwrap();
        let warm = warmed(bin.path());
        let until = Instant::now() + Duration::from_mins(2);
        while TcpStream::connect(("127.0.0.1", port)).is_err()
            || UnixStream::connect(bin.path().join("socket")).is_err()
        {
            assert!(Instant::now() < until, "moto or the AWS command line does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { server, warm, bin, url: format!("http://127.0.0.1:{port}"), log })
    }

    /// The AWS command line, without the time that it takes to load it.
    pub(crate) fn warm_aws(&self) -> PathBuf {
        self.bin.path().join("aws")
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
        let mut command = tool(self.warm_aws().to_str().unwrap());
        command.args(["--region", "eu-north-1", "--output", "json", "ec2"]).args(arguments);
        done(command.envs(self.environment()))
    }

    /// What a command of `aws ec2` answers.
    pub(crate) fn aws(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.aws_text(arguments)).unwrap()
    }

    /// A Python program with moto's own client in it, for what would be many commands.
    pub(crate) fn python(&self, program: &str) -> String {
        let mut command = tool(python().to_str().unwrap());
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

/// The Python that has moto and the AWS command line.
pub(crate) fn python() -> PathBuf {
    find("moto_server").unwrap().with_file_name("python")
}

/// Starts what calls the AWS command line that is loaded, and writes the command that asks it into a folder.
fn warmed(folder: &Path) -> Child {
    let (python, script) = (python(), root().join("tests/it/aws_warm.py"));
    let (socket, aws) = (folder.join("socket"), folder.join("aws"));
    let (python, script, place) = (python.display(), script.display(), socket.display());
    #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
    std::fs::write(&aws, format!("#!/bin/sh\nexec '{python}' -I -S '{script}' call '{place}' \"$@\"\n"))
        .unwrap();
    std::fs::set_permissions(&aws, std::fs::Permissions::from_mode(0o755)).unwrap();
    tool(&python.to_string()).args([&script.to_string(), "serve", &place.to_string()]).spawn().unwrap()
}

/// `PATH` with the AWS command line in front.
fn path_with_aws() -> std::ffi::OsString {
    let own = find("aws").unwrap().parent().map(Path::to_path_buf);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path))).unwrap()
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.warm.kill();
        let _ = self.warm.wait();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
