//! How a pipeline comes by the program: what is on the path, a release that is packed here and served over https, or a build. The
//! script runs as a runner runs it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sha2::Digest as _;

use crate::server::{Certificate, Server, head, respond};
use crate::support::{Run, Scene, root};
use crate::world::{find, have};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A program that says which version it is; small, where the real one is not.
fn program(version: &str) -> String {
    format!("#!/bin/sh\necho callgate {version}\n")
}

/// The name of the packed release, without what it ends in.
fn name() -> String {
    format!("callgate-{VERSION}-{}-unknown-linux-gnu", std::env::consts::ARCH)
}

fn executable(scene: &Scene, path: &str, text: &str) -> PathBuf {
    let place = scene.write(path, text);
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    place
}

/// Packs a program.
fn pack(scene: &Scene, folder: &str, text: &str, epoch: Option<&str>) -> Run {
    let binary = executable(scene, "built/callgate", text);
    let mut command = assert_cmd::Command::new(root().join("scripts/release"));
    if let Some(epoch) = epoch {
        command.env("SOURCE_DATE_EPOCH", epoch);
    }
    Run::of(&command.arg(scene.path().join(folder)).arg(binary).output().unwrap())
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    let bytes = sha2::Sha256::digest(bytes);
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Paths, and what is served there.
type Files = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A forge with one release, and a runner without callgate.
struct Runner {
    scene: Scene,
    server: Server,
    /// The packed file, and what is said of it.
    packed: Vec<u8>,
    files: Files,
}

impl Runner {
    fn new() -> Option<Self> {
        if !have(&["git", "curl", "tar", "sha256sum"])
            || !["x86_64", "aarch64"].contains(&std::env::consts::ARCH)
        {
            return None;
        }
        Some(Self::with(Certificate::Sound))
    }

    fn with(certificate: Certificate) -> Self {
        let scene = Scene::new();
        pack(&scene, "release", &program(VERSION), None).expect(0);
        let packed = std::fs::read(scene.path().join(format!("release/{}.tar.gz", name()))).unwrap();
        let said = std::fs::read(scene.path().join(format!("release/{}.tar.gz.sha256", name()))).unwrap();
        let folder = format!("/OWNER/callgate/releases/download/v{VERSION}/{}", name());
        let files =
            vec![(format!("{folder}.tar.gz"), packed.clone()), (format!("{folder}.tar.gz.sha256"), said)];
        let files = Arc::new(Mutex::new(files));
        let held = Arc::clone(&files);
        let server = Server::with(certificate, move |asked, out| {
            if asked.path.starts_with("/moved/") {
                return respond(out, "302 Found", &[("Location", "http://localhost:1/x")], b"");
            }
            let file = held.lock().unwrap().iter().find(|(path, _)| *path == asked.path).cloned();
            match file {
                // A server that breaks off in the middle.
                Some((_, bytes)) if bytes.starts_with(b"cut") => {
                    head(out, "200 OK", &[], Some(1 << 20))?;
                    out.write_all(&bytes)
                }
                Some((_, bytes)) => respond(out, "200 OK", &[], &bytes),
                None => respond(out, "404 Not Found", &[], b"no\n"),
            }
        });
        // Commands of the image: all that the script needs, and no callgate.
        for tool in ["curl", "tar", "gzip", "sha256sum", "uname", "mktemp", "head", "sh"] {
            let to = scene.path().join("bin").join(tool);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(find(tool).unwrap(), to).unwrap();
        }
        scene.write("ca.pem", server.authority());
        Self { scene, server, packed, files }
    }

    /// Puts other bytes in the place of the packed file.
    fn serve(&self, index: usize, bytes: &[u8]) {
        self.files.lock().unwrap()[index].1 = bytes.to_vec();
    }

    fn install(&self, variables: &[(&str, &str)]) -> Run {
        let mut command = assert_cmd::Command::new(find("sh").unwrap());
        command.env_clear().env("PATH", self.scene.path().join("bin"));
        command.env("CURL_CA_BUNDLE", self.scene.path().join("ca.pem")).env("RUNNER_TEMP", self.scene.path());
        command.env("GITHUB_PATH", self.scene.path().join("paths"));
        command.env("GITHUB_SERVER_URL", self.server.url("")).env("CI_SERVER_URL", self.server.url(""));
        let variables = variables.iter().filter(|(_, value)| !value.is_empty());
        command.envs(variables.copied()).arg(root().join("ci/action/install")).current_dir(self.scene.path());
        Run::of(&command.output().unwrap())
    }

    /// Installs the release, as the action asks for it.
    fn released(&self, sha256: &str) -> Run {
        self.install(&[
            ("CALLGATE_VERSION", VERSION),
            ("CALLGATE_REPOSITORY", "OWNER/callgate"),
            ("CALLGATE_SHA256", sha256),
        ])
    }

    #[track_caller]
    fn refuses(&self, run: Run, told: &str) {
        let run = run.expect(2);
        assert!(run.stderr.contains(told), "{told}: {}", run.stderr);
        assert!(!self.scene.path().join("paths").exists(), "it is on the path");
    }
}

#[test]
fn a_release_is_packed_to_the_same_bytes() {
    if !have(&["git", "tar"]) {
        return;
    }
    let scene = Scene::new();
    for folder in ["a", "b"] {
        let run = pack(&scene, folder, &program(VERSION), Some("1700000000")).expect(0);
        assert!(run.stdout.trim_end().ends_with(&format!("{folder}/{}.tar.gz", name())), "{}", run.stdout);
    }
    let read = |path: String| std::fs::read(scene.path().join(path)).unwrap();
    let packed = read(format!("a/{}.tar.gz", name()));
    assert_eq!(packed, read(format!("b/{}.tar.gz", name())));
    let said = String::from_utf8(read(format!("a/{}.tar.gz.sha256", name()))).unwrap();
    assert_eq!(said, format!("{}  {}.tar.gz\n", digest(&packed), name()));
    let mut list = crate::world::tool("tar");
    let list = crate::world::done(list.arg("-tvzf").arg(scene.path().join(format!("a/{}.tar.gz", name()))));
    for (file, mode) in [
        ("callgate", "-rwxr-xr-x"),
        ("LICENSE-MIT", "-rw-r--r--"),
        ("callgate-pending.service", "-rw-r--r--"),
    ] {
        let line = list.lines().find(|line| line.ends_with(&format!("/{file}"))).unwrap();
        assert!(line.starts_with(mode) && line.contains(" 0/0 "), "{line}");
    }
}

#[test]
fn only_the_version_of_this_source_is_packed() {
    let scene = Scene::new();
    let run = pack(&scene, "a", &program("0.0.9"), None).expect(2);
    assert!(run.stderr.contains("says it is callgate 0.0.9"), "{}", run.stderr);
    assert_eq!(std::fs::read_dir(scene.path().join("a")).unwrap().count(), 0);
}

#[test]
fn what_is_on_the_path_is_taken() {
    let Some(runner) = Runner::new() else { return };
    executable(&runner.scene, "bin/callgate", &program(VERSION));
    for version in ["", VERSION, &format!("v{VERSION}")] {
        let run = runner.install(&[("CALLGATE_VERSION", version)]).expect(0);
        assert_eq!(run.stdout, format!("callgate {VERSION}\n"));
    }
    assert!(runner.server.paths().is_empty());
    // Another version than the one that is asked for won't do.
    executable(&runner.scene, "bin/callgate", &program("0.0.9"));
    runner.install(&[]).expect(0);
    let run = runner.released("").expect(0);
    assert_eq!(run.stdout, format!("callgate {VERSION}\n"));
}

#[test]
fn a_release_is_fetched_and_comes_first_on_the_path() {
    let Some(runner) = Runner::new() else { return };
    let run = runner.released("").expect(0);
    assert_eq!(run.stdout, format!("callgate {VERSION}\n"));
    let folder = runner.scene.read("paths");
    let program = PathBuf::from(folder.trim_end()).join("callgate");
    assert_eq!(std::fs::metadata(program).unwrap().permissions().mode() & 0o777, 0o755);
    // A pinned digest needs no second file.
    let before = runner.server.paths().len();
    runner.released(&digest(&runner.packed)).expect(0);
    assert_eq!(runner.server.paths().len(), before + 1);
    // The same from a project of GitLab, whose addresses are others, and from anywhere.
    let path = format!("/group/callgate/-/releases/v{VERSION}/downloads/{}.tar.gz", name());
    runner.files.lock().unwrap().push((path, runner.packed.clone()));
    let sha256 = digest(&runner.packed);
    runner
        .install(&[
            ("CALLGATE_VERSION", VERSION),
            ("CALLGATE_PROJECT", "group/callgate"),
            ("CALLGATE_SHA256", &sha256),
        ])
        .expect(0);
    let url = runner.server.url(&format!("/OWNER/callgate/releases/download/v{VERSION}"));
    runner.install(&[("CALLGATE_VERSION", VERSION), ("CALLGATE_URL", &url)]).expect(0);
}

#[test]
fn what_is_not_the_release_is_not_used() {
    let Some(runner) = Runner::new() else { return };
    let (good, wrong) = (digest(&runner.packed), digest(b"other"));
    runner.refuses(
        runner.released(&wrong),
        &format!("has the SHA-256 {good}, and not {wrong}: it is not used"),
    );
    runner.refuses(runner.released("abc"), "`abc` is no SHA-256");
    runner.refuses(runner.released(&good.to_uppercase()), "is no SHA-256");
    // A cut file that nobody announces, and one that breaks off.
    runner.serve(0, &runner.packed[..runner.packed.len() / 2]);
    runner.refuses(runner.released(""), "it is not used");
    runner.refuses(runner.released(&good), "it is not used");
    runner.serve(0, b"cut off");
    runner.refuses(runner.released(&good), "can't be fetched");
    // A page in the place of the digest, and no digest at all.
    runner.serve(0, &runner.packed);
    runner.serve(
        1,
        b"<!doctype html><title>Please sign in to see what you asked us for, and thank you</title>",
    );
    runner.refuses(runner.released(""), "is no SHA-256");
    runner.files.lock().unwrap().truncate(1);
    runner.refuses(runner.released(""), "sha256 can't be fetched");
    runner.files.lock().unwrap().clear();
    runner.refuses(runner.released(&good), "tar.gz can't be fetched");
}

#[test]
fn a_release_of_another_version_under_this_name_is_not_used() {
    let Some(runner) = Runner::new() else { return };
    let folder = runner.scene.path().join("other");
    std::fs::create_dir_all(folder.join(name())).unwrap();
    executable(&runner.scene, &format!("other/{}/callgate", name()), &program("9.9.9"));
    let mut tar = crate::world::tool("tar");
    crate::world::done(
        tar.arg("-C").arg(&folder).args(["-czf", "o.tar.gz", &name()]).current_dir(runner.scene.path()),
    );
    let bytes = std::fs::read(runner.scene.path().join("o.tar.gz")).unwrap();
    runner.serve(0, &bytes);
    let run = runner.released(&digest(&bytes)).expect(2);
    assert!(run.stderr.contains("does not say that it is callgate"), "{}", run.stderr);
}

#[test]
fn nothing_but_https_is_asked_and_nobody_but_whom_the_machine_trusts() {
    let Some(runner) = Runner::new() else { return };
    let plain = format!("http://localhost:{}/x", runner.server.port());
    runner.refuses(
        runner.install(&[("CALLGATE_VERSION", VERSION), ("CALLGATE_URL", &plain)]),
        "can't be fetched",
    );
    let moved = runner.server.url("/moved");
    runner.refuses(
        runner.install(&[("CALLGATE_VERSION", VERSION), ("CALLGATE_URL", &moved)]),
        "can't be fetched",
    );
    for certificate in [Certificate::OtherName, Certificate::Expired] {
        let runner = Runner::with(certificate);
        runner.refuses(runner.released(""), "can't be fetched");
        assert!(runner.server.paths().iter().all(String::is_empty), "it was asked all the same");
    }
}

#[test]
fn what_can_not_be_had_is_said() {
    let Some(runner) = Runner::new() else { return };
    runner.refuses(
        runner.install(&[]),
        "it is not on the path: put it onto the image, or set CALLGATE_VERSION",
    );
    runner.refuses(runner.install(&[("CALLGATE_VERSION", VERSION)]), "set CALLGATE_URL");
    for version in ["latest", "1/../../x", "0.1.0;x", "0.1.0 x", "-1"] {
        let url = runner.server.url("/x");
        runner.refuses(
            runner.install(&[("CALLGATE_VERSION", version), ("CALLGATE_URL", &url)]),
            "is no version",
        );
    }
    assert!(runner.server.paths().is_empty());
    let run = runner.install(&[("GITHUB_ACTIONS", "true")]).expect(2);
    assert!(
        run.stdout.starts_with("::error title=callgate install::it is not on the path"),
        "{}",
        run.stdout
    );
}

#[test]
fn without_a_version_it_is_built_from_its_source() {
    let Some(runner) = Runner::new() else { return };
    let built = executable(&runner.scene, "built/callgate", &program(VERSION)).display().to_string();
    // The build itself takes minutes; what it is asked for counts.
    let to = runner.scene.path().join("bin/callgate").display().to_string();
    let told = runner.scene.path().join("told").display().to_string();
    executable(
        &runner.scene,
        "bin/cargo",
        &format!("#!/bin/sh\necho \"$@\" >{told}\n{} -p {built} {to}\n", find("cp").unwrap().display()),
    );
    runner.install(&[("CALLGATE_SOURCE", "/source")]).expect(0);
    assert_eq!(runner.scene.read("told"), "install --quiet --locked --path /source\n");
}

#[test]
fn the_template_for_gitlab_holds_the_same_script() {
    let script = std::fs::read_to_string(root().join("ci/action/install")).unwrap();
    let text = std::fs::read_to_string(root().join("ci/gitlab.yml")).unwrap();
    let template: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    let copy = template[".callgate"]["before_script"][0].as_str().unwrap();
    let copy = copy.strip_prefix("# From here on as in ci/action/install.\n").unwrap();
    assert_eq!(copy, script.split_once('\n').unwrap().1);
    for job in ["callgate-review", "callgate-night"] {
        assert_eq!(template[job]["extends"], ".callgate");
    }
}
