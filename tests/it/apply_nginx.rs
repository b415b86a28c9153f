//! The file of an nginx target put in force by `callgate apply`, with a real nginx in namespaces and callers that never stop
//! calling.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::golden::policy;
use crate::support::{AT, Run, Scene};
use crate::world::{Place, Running, World, can_make_namespaces, have};

/// Admitted all the time, admitted now and then, and never.
const REGULAR: &str = "20.1.0.1";
const CASUAL: &str = "20.1.0.2";
const STRANGER: &str = "20.9.0.1";

/// What callers find in force.
const PATH: &str = "/callback";

/// A host with an nginx that guards a location.
struct Shop {
    world: World,
    scene: Scene,
    sources: BTreeSet<String>,
}

/// The location's own lines.
const INCLUDED: &str = "include LIST; root FOLDER/content;";
const ZONE: &str = "limit_req_zone $binary_remote_addr zone=a:1m rate=900r/s;";

impl Shop {
    /// `None`, and said, where it can't be had here.
    fn open() -> Option<Self> {
        if !can_make_namespaces() || !have(&["nginx"]) {
            return None;
        }
        let sources: BTreeSet<String> = [REGULAR, CASUAL, STRANGER].map(str::to_owned).into();
        let shop = Self { world: World::new(&sources), scene: Scene::new(), sources };
        // nginx works as somebody else, who has to reach the content.
        fs::set_permissions(shop.scene.path(), fs::Permissions::from_mode(0o755)).unwrap();
        shop.scene.write("content/callback", "thanks\n");
        shop.scene.write("list.conf", "");
        shop.configure(ZONE, INCLUDED);
        shop.admit(&[REGULAR, CASUAL]);
        shop.settle(&format!("server_name: shop.example.com, path: {PATH}"));
        Some(shop)
    }

    fn folder(&self) -> String {
        self.scene.path().display().to_string()
    }

    fn list(&self) -> PathBuf {
        self.scene.path().join("list.conf")
    }

    /// Writes nginx's configuration, with lines in `http` and those of the location.
    fn configure(&self, http: &str, location: &str) {
        let text = format!(
            "worker_processes 2;\npid FOLDER/nginx.pid;\nerror_log FOLDER/error.log;\nevents {{ }}\nhttp {{\naccess_log off;\n{http}\n\
             server {{\n    listen 443;\n    server_name shop.example.com callbacks.test;\n    location = {PATH} {{ {location} }}\n}}\n}}\n"
        );
        let text = text.replace("LIST", "FOLDER/list.conf").replace("FOLDER", &self.folder());
        self.scene.write("nginx.conf", text);
    }

    fn admit(&self, prefixes: &[&str]) {
        self.scene.write("policies/example.yaml", policy(prefixes));
    }

    /// Writes the site file.
    fn settle(&self, asked: &str) {
        let folder = self.folder();
        self.scene.write(
            "callgate.yaml",
            format!(
                "schema: 1\ntargets:\n  callbacks: {{ kind: nginx, install: {folder}/list.conf, config: {folder}/nginx.conf, {asked} }}\n"
            ),
        );
    }

    /// Starts nginx, and waits until it listens.
    fn start(&self) -> Nginx<'_> {
        let config = self.scene.path().join("nginx.conf").display().to_string();
        let log = self.scene.path().join("error.log").display().to_string();
        let running = self.world.start(&["nginx", "-e", &log, "-c", &config, "-g", "daemon off;"]);
        let until = Instant::now() + Duration::from_secs(20);
        let pid = self.scene.path().join("nginx.pid");
        while !fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
            assert!(Instant::now() < until, "{}", fs::read_to_string(&log).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(5));
        }
        Nginx { shop: self, _running: running }
    }

    /// Runs `callgate` on the host.
    fn callgate(&self, arguments: &str) -> Run {
        self.callgate_with("CALLGATE_FAULT=", arguments)
    }

    /// Runs `callgate`, which is killed where it reaches a point.
    #[track_caller]
    fn killed_at(&self, point: &str, arguments: &str) {
        self.callgate_with(&format!("CALLGATE_FAULT={point}"), arguments).expect(137);
    }

    fn callgate_with(&self, setting: &str, arguments: &str) -> Run {
        let program = env!("CARGO_BIN_EXE_callgate");
        let script = format!(
            "cd {}; s=0; {setting} {program} --at {AT} {arguments} --state state >out 2>err </dev/null || s=$?; echo $s",
            self.folder()
        );
        let status = self.world.on_host(&script).trim().parse().unwrap();
        Run { status, stdout: self.scene.read("out"), stderr: self.scene.read("err") }
    }

    /// Who gets the content.
    fn served(&self) -> BTreeSet<String> {
        self.world.answered("443", PATH, &self.sources)
    }

    #[track_caller]
    fn check_served(&self, wanted: &[&str]) {
        assert_eq!(self.served(), wanted.iter().map(|source| (*source).to_owned()).collect());
    }

    /// The workers' numbers.
    fn workers(&self) -> BTreeSet<String> {
        let pid = self.scene.read("nginx.pid");
        let path = format!("/proc/{0}/task/{0}/children", pid.trim());
        fs::read_to_string(path).unwrap().split_whitespace().map(str::to_owned).collect()
    }
}

/// An nginx that ends with its owner, its workers too.
struct Nginx<'s> {
    shop: &'s Shop,
    _running: Running,
}

impl Drop for Nginx<'_> {
    fn drop(&mut self) {
        let pid = self.shop.scene.path().join("nginx.pid").display().to_string();
        let script = format!(
            "p=$(cat {pid} 2>/dev/null) || exit 0; kill $p 2>/dev/null || exit 0; \
             for i in $(seq 200); do kill -0 $p 2>/dev/null || break; sleep 0.02; done"
        );
        self.shop.world.on_host(&script);
    }
}

#[cfg(feature = "netns-tests")]
#[test]
fn a_list_comes_into_force_and_a_second_apply_does_nothing() {
    let Some(shop) = Shop::open() else { return };
    let nginx = shop.start();
    shop.check_served(&[REGULAR, CASUAL, STRANGER]);
    fs::set_permissions(shop.list(), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(shop.list(), Some(0), Some(33)).unwrap();

    let plan = shop.callgate("plan").expect(1);
    assert!(plan.stdout.contains("replace file"), "{}", plan.stdout);
    assert_eq!(shop.scene.read("list.conf"), "");
    let applied = shop.callgate("apply").expect(0);
    assert!(applied.stdout.contains("in force and kept"), "{}", applied.stdout);
    shop.check_served(&[REGULAR, CASUAL]);
    let found = fs::metadata(shop.list()).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o640, 0, 33));

    let (workers, inode) = (shop.workers(), found.ino());
    shop.callgate("plan").expect(0);
    let again = shop.callgate("apply").expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    assert_eq!((shop.workers(), fs::metadata(shop.list()).unwrap().ino()), (workers.clone(), inode));

    // What differs in comments only means the same.
    let text = shop.scene.read("list.conf").replace("active", "announced");
    assert!(text.contains("announced"));
    shop.scene.write("list.conf", &text);
    shop.callgate("apply").expect(0);
    assert_eq!((shop.workers(), shop.scene.read("list.conf")), (workers, text));

    // Somebody opens it by hand.
    shop.scene.write("list.conf", "# rendered by callgate\nallow all;\n");
    let plan = shop.callgate("plan").expect(1);
    assert!(plan.stdout.contains("replace file"), "{}", plan.stdout);
    shop.callgate("apply").expect(0);
    shop.check_served(&[REGULAR, CASUAL]);
    drop(nginx);
}

#[cfg(feature = "netns-tests")]
#[test]
fn no_caller_is_lost_over_thirty_reloads() {
    let Some(shop) = Shop::open() else { return };
    let nginx = shop.start();
    shop.callgate("apply").expect(0);
    let (end, told) = (shop.scene.path().join("stop"), shop.scene.path().join("told"));
    let caller = shop.world.calling(REGULAR, "443", PATH, [&end, &told]);
    for round in 0..30 {
        let (admitted, wanted): (&[&str], &[&str]) = match round % 2 {
            0 => (&[REGULAR], &[REGULAR]),
            _ => (&[REGULAR, CASUAL], &[REGULAR, CASUAL]),
        };
        shop.admit(admitted);
        let before = shop.workers();
        shop.callgate("apply").expect(0);
        // Once it returns, nobody is judged by the old list any more.
        shop.check_served(wanted);
        assert!(shop.workers().is_disjoint(&before), "round {round}: nothing was loaded");
    }
    shop.scene.write("stop", "");
    caller.wait();
    let told = fs::read_to_string(told).unwrap();
    let numbers: Vec<usize> = told.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert!(numbers[0] > 300 && numbers[1] == 0, "calls and losses: {told}");
    println!("calls and losses: {told}");
    drop(nginx);
}

#[cfg(feature = "netns-tests")]
#[test]
fn what_nginx_refuses_brings_the_old_list_back() {
    let Some(shop) = Shop::open() else { return };
    let nginx = shop.start();
    shop.callgate("apply").expect(0);
    let (old, workers) = (fs::read(shop.list()).unwrap(), shop.workers());
    // A template of the user's with a slip in it.
    let template = fs::read_to_string(crate::support::root().join("templates/nginx/access.tera")).unwrap();
    shop.scene.write("templates/nginx/access.tera", template + "alow all;\n");
    shop.admit(&[REGULAR]);
    let run = shop.callgate("apply");
    assert!(run.stderr.contains("alow"), "{}\n{}", run.stdout, run.stderr);
    assert!(matches!(run.status, 2 | 4), "{}", run.stderr);
    assert_eq!((fs::read(shop.list()).unwrap(), shop.workers()), (old, workers));
    shop.check_served(&[REGULAR, CASUAL]);
    fs::remove_dir_all(shop.scene.path().join("templates")).unwrap();

    // Other people's configuration is broken before anything is done.
    shop.configure("no_such_directive;", INCLUDED);
    let run = shop.callgate("apply").expect(2);
    assert!(run.stderr.contains("no_such_directive"), "{}", run.stderr);
    shop.configure(ZONE, INCLUDED);
    shop.callgate("apply").expect(0);
    shop.check_served(&[REGULAR]);
    drop(nginx);
}

#[cfg(feature = "netns-tests")]
#[test]
fn a_reload_that_fails_although_the_test_passes_brings_the_old_list_back() {
    let Some(shop) = Shop::open() else { return };
    let nginx = shop.start();
    shop.callgate("apply").expect(0);
    let (old, workers) = (fs::read(shop.list()).unwrap(), shop.workers());
    shop.admit(&[REGULAR]);
    // `nginx -t` looks neither at what others listen on, nor at the zones that are in use.
    let port = shop.world.serve(Place::Host, "9443");
    let taken = format!("{ZONE} server {{ listen 9443; }}");
    let other_key = ZONE.replace("$binary_remote_addr", "$server_name");
    for (http, said) in
        [(taken.as_str(), "bind() to 0.0.0.0:9443 failed"), (&other_key, "uses the \"$server_name\" key")]
    {
        shop.configure(http, INCLUDED);
        let run = shop.callgate("apply").expect(4);
        assert!(run.stderr.contains(said), "{}", run.stderr);
        assert_eq!((&fs::read(shop.list()).unwrap(), &shop.workers()), (&old, &workers));
        shop.check_served(&[REGULAR, CASUAL]);
    }
    drop(port);
    shop.configure(ZONE, INCLUDED);
    shop.callgate("apply").expect(0);
    shop.check_served(&[REGULAR]);
    drop(nginx);
}

#[cfg(feature = "netns-tests")]
#[test]
fn a_list_that_nothing_includes_is_told_with_the_place_for_it() {
    let Some(shop) = Shop::open() else { return };
    fs::remove_file(shop.list()).unwrap();
    // Included before it is there, nginx would not start.
    let run = shop.callgate("plan").expect(2);
    assert!(run.stderr.contains("install -D -m 0644 /dev/null"), "{}", run.stderr);
    shop.configure(ZONE, "root FOLDER/content;");
    let nginx = shop.start();
    let plan = shop.callgate("plan").expect(1);
    let (list, config) = (shop.list().display().to_string(), shop.folder() + "/nginx.conf");
    let wanted =
        format!("add `include {list};` to location `= {PATH}` of server `shop.example.com` ({config}:11)");
    assert!(plan.stdout.contains("not-included") && plan.stdout.contains(&wanted), "{}", plan.stdout);
    let run = shop.callgate("apply").expect(1);
    assert!(run.stdout.contains("in force and kept") && run.stdout.contains(&wanted), "{}", run.stdout);
    assert_eq!(fs::metadata(shop.list()).unwrap().mode() & 0o7777, 0o644);
    shop.configure(ZONE, INCLUDED);
    shop.callgate("plan").expect(0);
    drop(nginx);
}

#[cfg(feature = "netns-tests")]
#[test]
fn a_location_that_answers_by_itself_is_not_taken_for_guarded() {
    let Some(shop) = Shop::open() else { return };
    shop.configure(ZONE, "include LIST; return 200;");
    let nginx = shop.start();
    let run = shop.callgate("apply").expect(1);
    assert!(run.stderr.contains("nothing was changed"), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(shop.scene.read("list.conf"), "");
    drop(nginx);
}

#[cfg(feature = "netns-tests")]
#[test]
fn without_a_running_nginx_the_file_is_there_for_its_next_start() {
    let Some(shop) = Shop::open() else { return };
    shop.settle("server_name: shop.example.com");
    let run = shop.callgate("apply").expect(0);
    assert!(run.stdout.contains("nginx is not running: its next start has the file"), "{}", run.stdout);
    assert!(run.stdout.contains("can't be asked"), "{}", run.stdout);
    let nginx = shop.start();
    shop.check_served(&[REGULAR, CASUAL]);
    drop(nginx);
}

#[cfg(feature = "netns-tests")]
#[test]
fn an_unconfirmed_list_is_taken_back() {
    let Some(shop) = Shop::open() else { return };
    let nginx = shop.start();
    shop.callgate("apply").expect(0);
    let old = fs::read(shop.list()).unwrap();
    shop.admit(&[REGULAR]);
    shop.callgate("apply --confirm 60s --no-wait").expect(0);
    shop.check_served(&[REGULAR]);
    // The way back needs no site.
    fs::remove_file(shop.scene.path().join("callgate.yaml")).unwrap();
    shop.callgate("rollback").expect(0);
    assert_eq!(fs::read(shop.list()).unwrap(), old);
    shop.check_served(&[REGULAR, CASUAL]);
    drop(nginx);
}

/// Ended at every point on the way there and on the way back: what is on disk is what nginx has loaded, once the next command
/// is through.
#[cfg(feature = "netns-tests")]
#[test]
fn a_run_that_is_killed_leaves_nothing_that_is_not_loaded() {
    if !cfg!(feature = "fault-points") {
        eprintln!("SKIPPED: without the feature fault-points nothing can be killed");
        return;
    }
    let Some(shop) = Shop::open() else { return };
    let nginx = shop.start();
    shop.callgate("apply").expect(0);
    let old = fs::read(shop.list()).unwrap();
    shop.admit(&[REGULAR]);
    for point in ["installed-written", "installed-renamed", "nginx-written", "nginx-tested", "nginx-reloaded"]
    {
        shop.killed_at(point, "apply");
        shop.callgate("rollback").expect(0);
        assert_eq!(fs::read(shop.list()).unwrap(), old, "{point}");
        shop.check_served(&[REGULAR, CASUAL]);
    }
    for point in ["installed-renamed", "nginx-written", "nginx-tested", "nginx-reloaded"] {
        shop.callgate("apply --confirm 60s --no-wait").expect(0);
        shop.killed_at(point, "rollback");
        shop.callgate("rollback").expect(0);
        assert_eq!(fs::read(shop.list()).unwrap(), old, "{point}");
        shop.check_served(&[REGULAR, CASUAL]);
    }
    drop(nginx);
}
