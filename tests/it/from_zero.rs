//! `docs/from-zero.md`, followed word for word: its commands run in their order, its files are saved under the names that it
//! gives, and what it shows is what is printed. Nothing of it is written here again.
//!
//! What stands for the world: a home of its own, a clock that stands still, a server for the release, folders for forges, saved
//! pages for the providers, and a network namespace for the host.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::runner::Runner;
use crate::server::{Server, respond};
use crate::support::{AT, Run, Scene, root};
use crate::world::{Running, World, can_make_namespaces, find, have};

/// A piece of the document.
#[derive(Debug)]
enum Piece {
    Heading(String),
    Block { language: String, body: String, saved_as: Option<String> },
}

/// The pieces of a document in their order. A block is saved where the words just before it say so.
fn pieces(text: &str) -> Vec<Piece> {
    let (mut found, mut prose) = (Vec::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            let words = prose.replace('\n', " ").to_lowercase();
            let start = words.rfind("save this as `").map(|start| start + "save this as `".len());
            let saved_as = start.map(|start| {
                let rest = &prose[start..];
                rest[..rest.find('`').unwrap()].to_owned()
            });
            found.push(Piece::Block {
                language: language.to_owned(),
                body: body.join("\n") + "\n",
                saved_as,
            });
            prose.clear();
        } else if line.starts_with('#') {
            found.push(Piece::Heading(line.trim_start_matches('#').trim().to_owned()));
            prose.clear();
        } else {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    found
}

/// Whether a line is as it is shown, where `...` stands for anything.
fn line_fits(shown: &str, line: &str) -> bool {
    let mut parts = shown.split("...");
    let first = parts.next().unwrap();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Why what is printed is not what is shown, where a line `...` stands for any lines.
fn misfit(shown: &str, printed: &str) -> Option<String> {
    let mut lines = printed.lines();
    let mut any = false;
    for wanted in shown.lines() {
        if wanted == "..." {
            any = true;
            continue;
        }
        let found = if any {
            lines.any(|line| line_fits(wanted, line))
        } else {
            lines.next().is_some_and(|line| line_fits(wanted, line))
        };
        if !found {
            return Some(format!("`{wanted}` is not, or not in this place, in:\n{printed}"));
        }
        any = false;
    }
    if any {
        return None;
    }
    lines.next().map(|more| format!("`{more}` is not shown, of:\n{printed}"))
}

#[test]
fn what_is_shown_and_what_is_printed_are_told_apart() {
    for (shown, printed, fits) in [
        ("a\nb\n", "a\nb\n", true),
        ("a\n", "a\nb\n", false),
        ("a\n...\n", "a\nb\n", true),
        ("...\nb\n", "a\nb\n", true),
        ("...\na\n", "a\nb\n", false),
        ("b\n", "a\nb\n", false),
        ("a ... c\n", "a b c\n", true),
        ("a ... c\n", "a b d\n", false),
        ("... c ...\n", "a c b\n", true),
    ] {
        assert_eq!(misfit(shown, printed).is_none(), fits, "{shown:?} {printed:?}");
    }
}

/// Where the document is followed.
struct Desk {
    scene: Scene,
    /// Serves the release.
    _server: Server,
    /// The working folder of the next command, at the desk and on the host.
    folder: [PathBuf; 2],
    host: Option<Host>,
}

/// A host in a namespace of its own, with folders in the place of some of this machine's.
struct Host {
    world: World,
    _nginx: Option<Running>,
}

/// Folders of the host that are not this machine's.
const OWN: [(&str, &str); 4] = [("etc", "/etc"), ("lib", "/var/lib"), ("run", "/run"), ("log", "/var/log")];
const CALLER: &str = "20.91.170.121";
const STRANGER: &str = "20.9.0.1";

impl Desk {
    fn new() -> Self {
        let scene = Scene::new();
        // nginx works as somebody else.
        std::fs::set_permissions(scene.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let server = release(&scene);
        let port = server.port();
        let desk = scene.path().join("desk");
        std::fs::create_dir_all(&desk).unwrap();
        let new = Self { folder: [desk, "/".into()], scene, _server: server, host: None };
        new.commands(port);
        new.forges();
        new
    }

    fn place(&self, name: &str) -> PathBuf {
        self.scene.path().join(name)
    }

    fn command(&self, name: &str, script: &str) {
        let place = self.scene.write(&format!("bin/{name}"), format!("#!/bin/sh\n{script}"));
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What stands before the real commands.
    fn commands(&self, port: u16) {
        // The clock stands still, unless the document says when; providers' pages are the saved ones.
        self.command(
            "callgate",
            &format!(
                r#"real="$HOME/.local/bin/callgate"
case " $* " in *" --at "* | *" --version "*) exec "$real" "$@" ;; esac
case " $1 $* " in
*" --offline "*) ;;
" upstream "* | " ci "*)
    left=$#
    while [ $left -gt 0 ]; do
        word=$1
        shift
        left=$((left - 1))
        case $word in
        --recheck=*) continue ;;
        --save) cp -r "$HOME/pages" "$1"; word=--offline ;;
        esac
        set -- "$@" "$word"
    done ;;
esac
exec "$real" "$@" --at {AT}
"#
            ),
        );
        let curl = find("curl").unwrap().display().to_string();
        self.command(
            "curl",
            &format!(
                "for word; do shift; case $word in https://github.com/*) word=https://localhost:{port}/${{word#https://github.com/}} ;; esac\n\
                 set -- \"$@\" \"$word\"; done\nexec {curl} --cacert \"$HOME/ca.pem\" \"$@\"\n"
            ),
        );
        self.command(
            "gh",
            "for word; do case $word in body=@*) cp \"${word#body=@}\" \"$HOME/posted\" ;; esac; done\n",
        );
    }

    /// Repositories under the names that the document gives them.
    fn forges(&self) {
        let at = |folder: &str| self.place(folder).display().to_string();
        self.scene.write(
            "home/.gitconfig",
            format!(
                "[user]\n\tname = A\n\temail = a@shop.invalid\n[commit]\n\tgpgsign = false\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n\
                 [url \"{}/\"]\n\tinsteadOf = https://git.example.com/\n[url \"{}/\"]\n\tinsteadOf = https://github.com/\n",
                at("forge"),
                at("hub")
            ),
        );
        self.bash("git init --quiet --bare ../forge/shop/infra\ngit init --quiet ../hub/OWNER/callgate\n")
            .expect(0);
        // Built from source the hooks would take minutes; what they run is the same.
        let hooks = std::fs::read_to_string(root().join(".pre-commit-hooks.yaml")).unwrap();
        self.scene.write(
            "hub/OWNER/callgate/.pre-commit-hooks.yaml",
            hooks.replace("language: rust", "language: system"),
        );
        let version = env!("CARGO_PKG_VERSION");
        self.bash(&format!(
            "cd ../hub/OWNER/callgate\ngit add --all\ngit commit --quiet --message=hooks\ngit tag v{version}\n"
        ))
        .expect(0);
    }

    fn path(&self) -> Vec<PathBuf> {
        let own = [self.place("bin"), self.place("home/.local/bin"), root().join(".venv/bin")];
        let path = std::env::var_os("PATH").unwrap_or_default();
        own.into_iter()
            .chain(std::env::split_paths(&path))
            .chain(["/usr/sbin".into(), "/sbin".into()])
            .collect()
    }

    fn variables(&self) -> Vec<(String, String)> {
        let home = self.place("home").display().to_string();
        [
            ("HOME", home.as_str()),
            ("LANG", "C.UTF-8"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Runs a script where the last one left off; both outputs in one.
    fn bash(&self, script: &str) -> Run {
        let mut command = assert_cmd::Command::new("bash");
        command.env_clear().envs(self.variables());
        command.env("PATH", std::env::join_paths(self.path()).unwrap()).current_dir(&self.folder[0]);
        let script = format!("exec 2>&1\ntrap 'pwd >{}' EXIT\n{script}", self.place("pwd").display());
        let run = command.args(["-eu", "-c", &script]).output().unwrap();
        Run::of(&run)
    }

    /// Runs a block of the document.
    #[track_caller]
    fn block(&mut self, body: &str) -> String {
        let run = self.bash(body);
        assert_eq!(run.status, 0, "{body}\n{}", run.stdout);
        self.folder[0] = self.scene.read("pwd").trim_end().into();
        run.stdout
    }

    /// Runs a block on the host.
    #[track_caller]
    fn host_block(&mut self, body: &str) -> String {
        let script = format!(
            "exec 2>&1\ntrap 'pwd >{}' EXIT\ncd {}\n{body}",
            self.place("pwd").display(),
            self.folder[1].display()
        );
        let script = self.scene.write("block.sh", script);
        let variables: String = self
            .variables()
            .iter()
            .fold(String::new(), |all, (name, value)| all + &format!(" {name}='{value}'"));
        let path = std::env::join_paths(self.path()).unwrap().into_string().unwrap();
        let out = self.place("out").display().to_string();
        let script = format!(
            "{}env -i{variables} PATH='{path}' bash -eu {} </dev/null >{out} || {{ cat {out}; exit 1; }}\n",
            self.mounts(),
            script.display()
        );
        let shown = self.host.as_ref().unwrap().world.on_host(&script);
        assert_eq!(shown, "", "{body}");
        self.folder[1] = self.scene.read("pwd").trim_end().into();
        self.scene.read("out")
    }

    /// What `ip netns exec`, which makes a mount namespace of its own, is to see of the host.
    fn mounts(&self) -> String {
        OWN.iter().fold(String::new(), |all, (name, place)| {
            all + &format!("mount --bind {} {place}\n", self.place(name).display())
        })
    }

    /// A host as the document takes it to be; `None`, and said, where it can't be had here.
    fn open_host(&mut self) -> bool {
        if self.host.is_some() {
            return true;
        }
        if !cfg!(feature = "netns-tests") || !can_make_namespaces() || !have(&["nginx", "nft"]) {
            return false;
        }
        for (name, _) in OWN {
            std::fs::create_dir_all(self.place(name)).unwrap();
        }
        for folder in ["lib/nginx", "log/nginx"] {
            std::fs::create_dir_all(self.place(folder)).unwrap();
        }
        let etc = self.place("etc").display().to_string();
        let callers = [CALLER, STRANGER].map(str::to_owned).into();
        let world = World::new(&callers);
        world.on_host(&format!("cp -a /etc/. {etc}; rm -rf {etc}/nginx {etc}/callgate"));
        self.configure("location = /payments/callback { proxy_pass http://127.0.0.1:8080; }\n");
        world.feed(
            &["nft", "-f", "-"],
            "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\
             \t\tct state established,related accept\n\t\tiif lo accept\n\t\ttcp dport 22 accept\n\
             \t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n\t}\n}\n",
        );
        let started = format!("{}exec nginx -g 'daemon off;'", self.mounts());
        let nginx = world.start(&["sh", "-c", &started]);
        let pid = self.place("run/nginx.pid");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
            assert!(std::time::Instant::now() < until, "nginx does not start");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        self.host = Some(Host { world, _nginx: Some(nginx) });
        true
    }

    /// Writes nginx's configuration, with these lines in the shop's server.
    fn configure(&self, location: &str) {
        self.scene.write(
            "etc/nginx/nginx.conf",
            format!(
                "pid /run/nginx.pid;\nerror_log /var/log/nginx/error.log;\nevents {{ }}\nhttp {{\naccess_log off;\n\
                 server {{\nlisten 443;\nlisten [::]:443;\nserver_name shop.example.com callbacks.test;\n{location}}}\n\
                 server {{\nlisten 127.0.0.1:8080;\nlocation / {{ return 200 thanks; }}\n}}\n}}\n"
            ),
        );
    }

    /// The checkout that a runner has of a pull request: the merge of a branch into `main`.
    fn merged(&self, branch: &str) -> PathBuf {
        let place = self.place(&format!("checkout-{branch}"));
        let script = format!(
            "git clone --quiet https://git.example.com/shop/infra {0}\ncd {0}\n\
             [ {branch} = main ] || git merge --quiet --no-ff --message=merge origin/{branch}\n",
            place.display()
        );
        self.bash(&script).expect(0);
        place
    }

    fn runner(&self, checkout: PathBuf, event: &str) -> Runner {
        let temporary = self.place(&format!("runner-{event}"));
        std::fs::create_dir_all(&temporary).unwrap();
        let mut variables = self.variables();
        variables.push(("GITHUB_REPOSITORY".to_owned(), "shop/infra".to_owned()));
        let github = [
            ("event_name", event),
            ("token", "secret"),
            ("action_repository", "OWNER/callgate"),
            ("event.pull_request.number", if event == "pull_request" { "7" } else { "" }),
        ];
        let github = github.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Runner { checkout, temporary, path: self.path(), variables, github }
    }

    /// Runs the one job of the saved workflow that the event starts; its evidence, if it gave any.
    fn workflow(runner: &Runner) -> (bool, String, PathBuf) {
        let text = std::fs::read_to_string(runner.checkout.join(".github/workflows/callbacks.yml")).unwrap();
        let workflow: Value = serde_yaml::from_str(&text).unwrap();
        let jobs = workflow["jobs"].as_object().unwrap();
        let jobs: Vec<&Value> = jobs.values().filter(|job| runner.takes(job)).collect();
        assert_eq!(jobs.len(), 1, "{text}");
        let steps = jobs[0]["steps"].as_array().unwrap();
        let ours = |step: &&Value| step["uses"] == format!("OWNER/callgate@v{}", env!("CARGO_PKG_VERSION"));
        let step = steps.iter().find(ours).unwrap();
        let ended = runner.act(&step["with"]);
        (ended.success, ended.log, ended.outputs["evidence"].clone().into())
    }

    /// Runs a job of the template for GitLab, with the variables of the saved file.
    fn gitlab(&self, checkout: &Path, job: &str, more: &[(&str, &str)]) -> Run {
        let read =
            |path: &Path| -> Value { serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() };
        let (template, own) = (read(&root().join("ci/gitlab.yml")), read(&checkout.join(".gitlab-ci.yml")));
        let mut variables: BTreeMap<String, String> = self.variables().into_iter().collect();
        for file in [&template, &own] {
            for (name, value) in file["variables"].as_object().unwrap() {
                variables.insert(name.clone(), value.as_str().unwrap().to_owned());
            }
        }
        let project = checkout.display().to_string();
        variables.insert("CI_PROJECT_DIR".to_owned(), project);
        variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let lines = [&template[".callgate"]["before_script"], &template[job]["script"]];
        let lines = lines.into_iter().flat_map(|lines| lines.as_array().unwrap());
        let script: Vec<&str> = lines.map(|line| line.as_str().unwrap()).collect();
        let mut command = assert_cmd::Command::new("sh");
        command.env_clear().envs(variables).env("PATH", std::env::join_paths(self.path()).unwrap());
        Run::of(&command.current_dir(checkout).args(["-c", &script.join("\n")]).output().unwrap())
    }
}

/// Packs what was built as a release and serves it as a forge does.
fn release(scene: &Scene) -> Server {
    let binary = scene.path().join("callgate");
    // What is built for tests is large; what is packed need not be.
    let stripped =
        crate::world::tool("strip").arg("-o").arg(&binary).arg(env!("CARGO_BIN_EXE_callgate")).status();
    if !stripped.is_ok_and(|status| status.success()) {
        std::fs::copy(env!("CARGO_BIN_EXE_callgate"), &binary).unwrap();
    }
    let folder = scene.path().join("release");
    crate::world::done(
        crate::world::tool("bash").arg(root().join("scripts/release")).arg(&folder).arg(&binary),
    );
    let start = format!("/OWNER/callgate/releases/download/v{}/", env!("CARGO_PKG_VERSION"));
    let server = Server::start(move |asked, out| {
        let file = asked.path.strip_prefix(&start).and_then(|name| std::fs::read(folder.join(name)).ok());
        match file {
            Some(bytes) => respond(out, "200 OK", &[], &bytes),
            None => respond(out, "404 Not Found", &[], b""),
        }
    });
    scene.write("home/ca.pem", server.authority());
    server
}

/// Writes what an earlier run read of the providers' pages.
fn save_pages(scene: &Scene, more: &[&str]) {
    let resurs = ["13.50.187.51", "51.21.32.255", "51.21.39.192", "51.21.206.32", "192.121.110.100"];
    let resurs: Vec<&str> = resurs.iter().chain(more).copied().collect();
    let networks = ["91.198.202.0/24", "192.121.110.0/24", "194.68.237.0/24"];
    let swedbank = ["20.91.170.120/29", "51.107.183.58", "91.132.170.1"];
    let inbound = "Your inbound traffic";
    let pages: [(&str, &str, &str, &[&str], &str); 5] = [
        ("resurs", "faq", inbound, &resurs, "Callbacks are sent from:"),
        ("resurs", "firewall", inbound, &resurs, "Callbacks are sent from:"),
        (
            "resurs",
            "faq-owned",
            "Appendix A - Resurs owned network IP details",
            &networks,
            "Resurs owns these networks:",
        ),
        ("swedbank-pay", "v3", "Callback IP Addresses", &swedbank, "Callbacks are sent from:"),
        ("swedbank-pay", "old-vipps", "Callback IP Addresses", &swedbank, "Callbacks are sent from:"),
    ];
    for (provider, name, section, entries, words) in pages {
        let policy = std::fs::read_to_string(root().join(format!("policies/{provider}.yaml"))).unwrap();
        let policy: Value = serde_yaml::from_str(&policy).unwrap();
        let url = &policy["pages"][name]["url"];
        let items: String =
            entries.iter().fold(String::new(), |all, entry| all + &format!("<li>{entry}</li>\n"));
        let page = format!(
            "<!doctype html>\n<html><head><title>Help</title></head><body><h2>{section}</h2>\n<p>{words}</p>\n<ul>\n{items}</ul></body></html>\n"
        );
        let digest = crate::install::digest(page.as_bytes());
        let file = format!("{provider}.{name}.html");
        let meta = serde_json::json!({
            "version": 1, "provider": provider, "page": name, "url": url, "found_at": url, "read_at": "2026-11-20T03:17:00Z",
            "file": file, "sha256": digest, "status": 200, "content_type": "text/html; charset=utf-8"
        });
        scene.write(&format!("home/pages/{file}"), page);
        scene.write(&format!("home/pages/{provider}.{name}.meta.json"), meta.to_string());
    }
}

/// A file of a pipeline fits its schema, where the tool for that is here.
fn fits_its_schema(file: &Path) {
    let schema = match file.extension().and_then(|extension| extension.to_str()) {
        Some("yml") if file.ends_with(".github/workflows/callbacks.yml") => "vendor.github-workflows",
        Some("yml") if file.ends_with(".gitlab-ci.yml") => "vendor.gitlab-ci",
        _ => return,
    };
    if let Some(check) = crate::pipelines::tool("check-jsonschema") {
        assert_cmd::Command::new(check).args(["--builtin-schema", schema]).arg(file).assert().success();
    }
}

#[test]
fn the_document_is_followed_word_for_word() {
    if std::env::consts::ARCH != "x86_64"
        || !have(&["git", "curl"])
        || crate::pipelines::tool("pre-commit").is_none()
    {
        eprintln!("SKIPPED: the document is for x86_64, and needs git, curl and pre-commit");
        return;
    }
    let document = std::fs::read_to_string(root().join("docs/from-zero.md")).unwrap();
    let mut desk = Desk::new();
    let mut printed = String::new();
    let (mut on_host, mut elsewhere, mut ran) = (false, false, BTreeSet::new());
    for piece in pieces(&document) {
        match piece {
            Piece::Heading(heading) => {
                on_host = heading.contains("On the host") && desk.open_host();
                arrive(&desk, &heading, &mut ran);
                elsewhere = heading.contains("On the host") && !on_host;
                if elsewhere {
                    eprintln!("SKIPPED: `{heading}`");
                }
                printed.clear();
            }
            Piece::Block { body, saved_as: Some(name), .. } => {
                let file = desk.folder[0].join(&name);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
                std::fs::write(&file, body).unwrap();
                fits_its_schema(&file);
                ran.insert(name);
            }
            Piece::Block { .. } if elsewhere => {}
            Piece::Block { language, body, saved_as: None } => match language.as_str() {
                "sh" if on_host => printed = desk.host_block(&body),
                "sh" => printed = desk.block(&body),
                "text" => assert_eq!(misfit(&body, &printed), None),
                "markdown" => {
                    assert_eq!(misfit(&body, &reviewed(&desk)), None);
                    ran.insert("review".to_owned());
                }
                "nginx" => desk.configure(&body),
                other => panic!("no way to follow a block of `{other}`"),
            },
        }
    }
    for name in [
        "callgate.yaml",
        ".pre-commit-config.yaml",
        ".github/workflows/callbacks.yml",
        ".gitlab-ci.yml",
        "nights",
        "review",
    ] {
        assert!(ran.contains(name), "{name} did not come");
    }
    if let Some(host) = &desk.host {
        let callers = [CALLER, STRANGER].map(str::to_owned).into();
        let caller = BTreeSet::from([CALLER.to_owned()]);
        assert_eq!(host.world.admitted("443", &callers), caller);
        assert_eq!(host.world.answered("443", "/payments/callback", &caller), caller);
    }
}

/// What happens outside of the document before a part of it.
fn arrive(desk: &Desk, heading: &str, ran: &mut BTreeSet<String>) {
    if heading != "A page publishes something else" {
        return;
    }
    // A quiet night, and then one in which the FAQ lists one address more.
    for (more, success) in [(&[][..], true), (&["20.91.171.8"][..], false)] {
        save_pages(&desk.scene, more);
        let checkout = desk.place("checkout-main");
        let _ = std::fs::remove_dir_all(&checkout);
        let runner = desk.runner(desk.merged("main"), "schedule");
        let (ended, log, evidence) = Desk::workflow(&runner);
        assert_eq!(ended, success, "{log}");
        assert_eq!(runner.summary().contains("20.91.171.8"), !success, "{}", runner.summary());
        let run = desk.gitlab(&checkout, "callgate-night", &[]).expect(i32::from(!success));
        assert_eq!(run.stdout.contains("lists 20.91.171.8"), !success, "{}", run.stdout);
        assert!(checkout.join("evidence/resurs.faq.html").is_file());
        if !success {
            // The reader unpacks the artifact.
            let to = desk.folder[0].join("evidence");
            desk.bash(&format!("cp -r {} {}", evidence.display(), to.display())).expect(0);
        }
    }
    ran.insert("nights".to_owned());
}

/// The comment that the job of the pull request writes.
fn reviewed(desk: &Desk) -> String {
    let checkout = desk.merged("resurs-january");
    let runner = desk.runner(checkout.clone(), "pull_request");
    let (success, log, _) = Desk::workflow(&runner);
    assert!(success, "{log}");
    let comment = desk.scene.read("home/posted");
    let base = [("CI_MERGE_REQUEST_DIFF_BASE_SHA", "HEAD^1")];
    desk.gitlab(&checkout, "callgate-review", &base).expect(0);
    let note = std::fs::read_to_string(checkout.join("callgate-review.md")).unwrap();
    // They name the base as they were told it.
    let moves = |text: &str| text.lines().filter(|line| line.contains("20.91.171.8")).count();
    assert_eq!(moves(&note), moves(&comment));
    comment.strip_prefix("<!-- callgate-review -->\n").unwrap().to_owned()
}
