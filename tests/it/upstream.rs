//! `callgate upstream`: pages from a server of this machine, as a user runs it.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use assert_cmd::Command;

use crate::server::{Server, head, respond};
use crate::support::{AT, Run, Scene};

/// A page in each form, all with the same two addresses.
const HTML: &str = "<!doctype html><title>Callbacks</title><h1>Docs</h1><h2>Callback addresses</h2>\
<p>Callbacks come from:</p><ul><li>13.50.187.51</li><li>51.21.32.255</li></ul><h2>More</h2><p>Version 1.3.0.7</p>";

/// A scene with one provider, whose pages are these of a server.
fn scene(server: &Server, pages: &str) -> Scene {
    let scene = Scene::new();
    let pages = pages.replace("SERVER", &server.url(""));
    scene.write(
        "policies/example.yaml",
        format!(
            "schema: 1\nprovider: example\nname: Example\nrevision: 1\nservice: {{ protocol: tcp, ports: [443] }}\n\
             pages:\n{pages}sources:\n  - id: cloud\n    prefixes: [13.50.187.51, 51.21.32.255]\n    \
             evidence: [{{ page: main, read: 2026-06-02 }}]\n"
        ),
    );
    scene.write("ca.pem", server.authority());
    scene
}

const MAIN: &str =
    "  main: { url: \"SERVER/main\", kind: html, section: Callback addresses, primary: true }\n";

fn html(body: &str) -> impl Fn(&crate::server::Asked, crate::server::Out<'_>) -> io::Result<()> + use<> {
    let body = body.to_owned();
    move |_, out| respond(out, "200 OK", &[("Content-Type", "text/html; charset=utf-8")], body.as_bytes())
}

/// Runs `callgate upstream` with these arguments, once.
fn run(scene: &Scene, arguments: &[&str]) -> Run {
    let all = [&["upstream", "--ca-file", "ca.pem", "--recheck", "0s"], arguments].concat();
    scene.run(&all)
}

// Memory.

#[test]
fn neither_a_huge_page_nor_a_bomb_takes_memory() {
    let zeros = vec![b'0'; 1 << 16];
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..(256 << 20 >> 16) {
        bomb.write_all(&zeros).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let server = Server::start(move |asked, out| {
        let kind = ("Content-Type", "text/html");
        if asked.path == "/bomb" {
            return respond(out, "200 OK", &[kind, ("Content-Encoding", "gzip")], &bomb);
        }
        head(out, "200 OK", &[kind], None)?;
        for _ in 0..(2_u64 << 30 >> 16) {
            out.write_all(&zeros)?;
        }
        Ok(())
    });
    for path in ["main", "bomb"] {
        let scene = scene(&server, &MAIN.replace("/main", &format!("/{path}")));
        // What a program may write to: 96 MiB, of which threads' stacks take the most.
        let script = "ulimit -d 98304; exec \"$0\" \"$@\"";
        let mut command = Command::new("sh");
        command.env_clear().current_dir(scene.path()).args(["-c", script, env!("CARGO_BIN_EXE_callgate")]);
        command.args(["upstream", "--ca-file", "ca.pem", "--recheck", "0s", "--at", AT]);
        let begun = Instant::now();
        let run = Run::of(&command.output().unwrap()).expect(5);
        assert!(run.stdout.contains("is larger than 2 MiB"), "{}", run.stdout);
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

// Proxies.

/// A proxy that lets everybody through to anywhere; what it was asked.
fn proxy() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = Arc::clone(&seen);
            thread::spawn(move || drop(tunnel(stream, &seen)));
        }
    });
    (port, asked)
}

fn tunnel(mut client: TcpStream, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte)? == 1 {
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    seen.lock().unwrap().push(request.clone());
    if !request.to_ascii_lowercase().contains("proxy-authorization: basic") {
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    }
    let server = TcpStream::connect(request.split(' ').nth(1).unwrap_or_default())?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut from, &mut to));
    let (mut from, mut to) = (server, client);
    io::copy(&mut from, &mut to).map(drop)
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let server = Server::start(html(HTML));
    let scene = scene(&server, MAIN);
    let (port, asked) = proxy();
    let with = |name: &str, value: &str| {
        let all = ["upstream", "--ca-file", "ca.pem", "--recheck", "0s", "--timeout", "3s", "--at", AT];
        let mut command = scene.command(&all);
        command.env("HTTPS_PROXY", format!("http://user:secret@127.0.0.1:{port}")).env(name, value);
        Run::of(&command.output().unwrap())
    };
    with("LANG", "C").expect(0);
    let asked = || std::mem::take(&mut *asked.lock().unwrap());
    let through = asked();
    assert_eq!(through.len(), 1);
    assert!(through[0].starts_with(&format!("CONNECT localhost:{} HTTP/1.1", server.port())), "{through:?}");
    with("NO_PROXY", "localhost").expect(0);
    assert!(asked().is_empty());
    let run = with("HTTPS_PROXY", &format!("http://127.0.0.1:{port}")).expect(5);
    assert!(run.stdout.contains("the proxy on the way to"), "{}", run.stdout);
    assert!(!run.stdout.contains("secret"), "{}", run.stdout);
}

// Outcomes.

/// The outcome of the only provider, as the JSON report has it.
fn json(run: &Run) -> serde_json::Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", run.stdout, run.stderr))
}

#[test]
fn pages_that_publish_the_policy_agree() {
    let server = Server::start(html(HTML));
    let scene = scene(&server, MAIN);
    let run = run(&scene, &[]).expect(0);
    assert!(run.stdout.contains("agrees"), "{}", run.stdout);
    assert_eq!(server.paths(), ["/main"]);
}

#[test]
fn the_status_tells_what_was_found() {
    for (body, status, outcome) in [
        (HTML.to_owned(), 0, "agrees"),
        (HTML.replace("<li>51.21.32.255</li>", ""), 1, "drift"),
        (HTML.replace("</ul>", "<li>51.21.206.32</li></ul>"), 1, "drift"),
        (HTML.replace("<li>13.50.187.51</li><li>51.21.32.255</li>", "<li>none yet</li>"), 1, "empty"),
        (HTML.replace("Callback addresses", "Something else"), 5, "unreadable"),
        (HTML.replace("51.21.32.255", "51.21.32.25551.21.206.32"), 5, "unreadable"),
        ("<title>Just a moment...</title><p>Verify you are human".to_owned(), 5, "unreadable"),
    ] {
        let server = Server::start(html(&body));
        let run = run(&scene(&server, MAIN), &["--format", "json"]).expect(status);
        let report = json(&run);
        assert_eq!(report["providers"][0]["outcome"], outcome, "{body}\n{report:#}");
    }
}

#[test]
fn what_keeps_a_page_from_being_read_is_told_with_what_to_do() {
    let server = Server::start(|asked, out| match asked.path.as_str() {
        "/moved" => respond(out, "301 Moved", &[("Location", "https://developer.example/new/")], b""),
        "/gone" => respond(out, "404 Not Found", &[], b""),
        "/pdf" => respond(out, "200 OK", &[("Content-Type", "application/pdf")], b"%PDF-1.7"),
        _ => respond(out, "403 Forbidden", &[], b""),
    });
    for (path, status, words, help) in [
        ("moved", 1, "https://developer.example/new/", "change `url` of this page in the policy"),
        ("gone", 1, "404: there is no such page", "look where the provider publishes its addresses now"),
        ("pdf", 5, "is a PDF", ""),
        ("login", 5, "403: it is not shown to us", "where it needs a login, watch another page"),
    ] {
        let scene = scene(&server, &MAIN.replace("/main", &format!("/{path}")));
        for format in ["text", "json", "markdown"] {
            let run = run(&scene, &["--format", format]).expect(status);
            assert!(run.stdout.contains(words), "{path} {format}: {}", run.stdout);
            // Markdown quotes what others may have written.
            let plain = run.stdout.replace('\\', "");
            assert!(plain.contains(help), "{path} {format}: {}", run.stdout);
        }
    }
}

#[test]
fn only_what_is_asked_for_is_read() {
    let server = Server::start(html(HTML));
    let pages = format!("{MAIN}  old: {{ url: \"SERVER/old\", kind: html, watched: false }}\n");
    let scene = scene(&server, &pages);
    run(&scene, &["--provider", "example"]).expect(0);
    assert_eq!(server.paths(), ["/main"]);
    let wrong = run(&scene, &["--provider", "nobody"]).expect(2);
    assert!(wrong.stderr.contains("no policy is of provider `nobody`"), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("there are example"), "{}", wrong.stderr);
}

#[test]
fn wrong_files_are_refused_before_anything_is_fetched() {
    let server = Server::start(html(HTML));
    let scene = scene(&server, MAIN);
    scene.write("empty.pem", "");
    scene.write("open/x", "");
    std::fs::set_permissions(scene.path().join("open"), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .unwrap();
    for (arguments, words) in [
        (&["--ca-file", "empty.pem"][..], "holds no certificate"),
        (&["--ca-file", "none.pem"][..], "does not exist"),
        (&["--ca-file", "ca.pem", "--cache", "open"][..], "others may write to the folder"),
        (&["--offline", "none"][..], "does not exist"),
        (&["--offline", "open"][..], "holds no saved page"),
        (&["--timeout", "0s"][..], "is not between 1s and 10m"),
        (&["--recheck", "soon"][..], "is no time"),
        (&["--offline", "open", "--save", "x"][..], "cannot be used with"),
    ] {
        let run = scene.run(&[&["upstream"], arguments].concat()).expect(2);
        assert!(run.stderr.contains(words), "{arguments:?}: {}", run.stderr);
    }
    assert!(server.paths().is_empty());
}

// Evidence.

#[test]
fn what_was_saved_gives_the_same_again_without_a_network() {
    let server = Server::start(|asked, out| match asked.path.as_str() {
        "/gone" => respond(out, "410 Gone", &[], b""),
        "/json" => respond(out, "200 OK", &[("Content-Type", "application/json")], b"[\"13.50.187.51\"]"),
        _ => respond(out, "200 OK", &[("Content-Type", "text/html"), ("ETag", "\"1\"")], HTML.as_bytes()),
    });
    let pages = format!(
        "{MAIN}  gone: {{ url: \"SERVER/gone\", kind: html }}\n  json: {{ url: \"SERVER/json\", kind: json }}\n"
    );
    let scene = scene(&server, &pages);
    let live = run(&scene, &["--save", "evidence"]).expect(1);
    drop(server);
    let replayed = scene.run(&["upstream", "--offline", "evidence"]).expect(1);
    assert_eq!(live.stdout, replayed.stdout);
    assert_eq!(scene.read("evidence/example.main.html"), HTML);
    let meta: serde_json::Value =
        serde_json::from_str(&scene.read("evidence/example.main.meta.json")).unwrap();
    assert_eq!(meta["status"], 200);
    assert_eq!(meta["etag"], "\"1\"");
    assert_eq!(meta["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(json_of(&scene, "evidence/example.gone.meta.json")["missed"]["outcome"], "moved");
    // Evidence that was changed is none.
    scene.write("evidence/example.main.html", HTML.replace("51.21.32.255", "51.21.32.254"));
    let run = scene.run(&["upstream", "--offline", "evidence"]).expect(1);
    assert!(run.stdout.contains("is not what was saved"), "{}", run.stdout);
    std::fs::remove_file(scene.path().join("evidence/example.json.meta.json")).unwrap();
    let run = scene.run(&["upstream", "--offline", "evidence"]).expect(1);
    assert!(run.stdout.contains("is not among the saved pages"), "{}", run.stdout);
}

fn json_of(scene: &Scene, path: &str) -> serde_json::Value {
    serde_json::from_str(&scene.read(path)).unwrap()
}

#[test]
fn the_cache_is_used_where_it_is_asked_for() {
    let server = Server::start(|asked, out| match asked.header("if-none-match") {
        Some(_) => respond(out, "304 Not Modified", &[], b""),
        None => respond(out, "200 OK", &[("Content-Type", "text/html"), ("ETag", "\"1\"")], HTML.as_bytes()),
    });
    let scene = scene(&server, MAIN);
    for _ in 0..2 {
        run(&scene, &["--cache", "cache"]).expect(0);
    }
    assert_eq!(server.headers("if-none-match"), [None, Some("\"1\"".to_owned())]);
    run(&scene, &[]).expect(0);
    assert_eq!(server.headers("if-none-match").last(), Some(&None));
}

#[test]
fn a_page_that_is_watched_for_two_of_its_sections_is_asked_for_once_a_reading() {
    let server = Server::start(html(&HTML.replace("<li>51.21.32.255</li>", "")));
    let pages = format!(
        "{MAIN}  middle: {{ url: \"SERVER/main\", kind: text }}\n  \
         more: {{ url: \"SERVER/main\", kind: html, section: More }}\n"
    );
    let scene = scene(&server, &pages);
    let all = ["upstream", "--ca-file", "ca.pem", "--recheck", "1s", "--save", "evidence"];
    let live = scene.run(&all).expect(1);
    // Text is asked for in other words than HTML, and both once more in the second reading.
    assert_eq!(server.paths(), ["/main"; 4]);
    drop(server);
    for name in ["main", "more", "main.2", "more.2"] {
        assert!(scene.read(&format!("evidence/example.{name}.html")).contains("13.50.187.51"), "{name}");
    }
    let replayed = scene.run(&["upstream", "--offline", "evidence"]).expect(1);
    assert_eq!(live.stdout, replayed.stdout);
}

// Two readings.

/// A server that says one thing first and another afterwards.
fn changing(first: &str, then: &str) -> Server {
    let (first, then) = (first.to_owned(), then.to_owned());
    let asked = AtomicUsize::new(0);
    Server::start(move |_, out| {
        let body = if asked.fetch_add(1, Ordering::SeqCst) == 0 { &first } else { &then };
        respond(out, "200 OK", &[("Content-Type", "text/html")], body.as_bytes())
    })
}

#[test]
fn what_only_one_of_two_readings_says_is_unsettled() {
    let empty = HTML.replace("<li>13.50.187.51</li><li>51.21.32.255</li>", "<li>none yet</li>");
    let more = HTML.replace("</ul>", "<li>51.21.206.32</li></ul>");
    for (first, then, status, outcome, readings) in [
        (&empty, &HTML.to_owned(), 5, "unsettled", 2),
        (&empty, &empty, 1, "empty", 2),
        (&more, &more, 1, "drift", 2),
        (&more, &HTML.to_owned(), 5, "unsettled", 2),
        (&HTML.to_owned(), &empty, 0, "agrees", 1),
    ] {
        let server = changing(first, then);
        let scene = scene(&server, MAIN);
        let arguments =
            ["upstream", "--ca-file", "ca.pem", "--recheck", "1s", "--format", "json", "--save", "evidence"];
        let run = scene.run(&arguments).expect(status);
        assert_eq!(json(&run)["providers"][0]["outcome"], outcome, "{}", run.stdout);
        assert_eq!(server.paths().len(), readings);
        drop(server);
        // Both readings were saved, and replaying them comes to the same.
        let replayed = scene.run(&["upstream", "--offline", "evidence", "--format", "json"]).expect(status);
        assert_eq!(run.stdout, replayed.stdout);
    }
}

#[test]
fn without_a_word_only_what_is_gone_is_read_again() {
    let more = HTML.replace("</ul>", "<li>51.21.206.32</li></ul>");
    let server = Server::start(html(&more));
    let begun = Instant::now();
    scene(&server, MAIN).run(&["upstream", "--ca-file", "ca.pem"]).expect(1);
    assert!(begun.elapsed() < Duration::from_secs(20), "it waited");
    assert_eq!(server.paths().len(), 1);
}

// Names.

#[test]
fn names_are_resolved() {
    let server = Server::start(html(HTML));
    let scene = scene(&server, "  main: { url: \"SERVER/main\", kind: dns, names: [localhost] }\n");
    let run = run(&scene, &["--save", "evidence"]).expect(5);
    assert!(run.stdout.contains("`localhost` resolves to 127.0.0.1 here"), "{}", run.stdout);
    assert!(scene.read("evidence/example.main.txt").contains("localhost 127.0.0.1\n"));
    assert!(server.paths().is_empty());
}

// Proposals, and selectors.

#[test]
fn a_proposal_is_a_patch_and_the_text_of_a_pull_request() {
    let server = Server::start(html(&HTML.replace("</ul>", "<li>51.21.206.32</li></ul>")));
    let scene = scene(&server, MAIN);
    let upstream = ["upstream", "--ca-file", "ca.pem", "--recheck", "0s"];
    let proposing =
        [&upstream[..], &["--propose", "--patch", "change.patch", "--format", "markdown"]].concat();
    let run = scene.run_now(&proposing).expect(1);
    assert!(run.stdout.contains("## New sources"), "{}", run.stdout);
    assert!(
        scene.read("change.patch").starts_with("--- a/policies/example.yaml\n+++ b/policies/example.yaml\n")
    );
    let before = scene.read("policies/example.yaml");
    let applied =
        Command::new("git").current_dir(scene.path()).args(["apply", "change.patch"]).output().unwrap();
    assert!(applied.status.success(), "{applied:?}");
    assert_ne!(scene.read("policies/example.yaml"), before);
    let again = [&upstream[..], &["--propose", "--patch", "change.patch", "--format", "json"]].concat();
    let run = scene.run_now(&again).expect(0);
    assert_eq!(json(&run)["providers"][0]["outcome"], "agrees");
    assert_eq!(scene.read("change.patch"), "");
    scene.run_now(&[&upstream[..], &["--patch", "change.patch"]].concat()).expect(2);
}

#[test]
fn a_selector_is_tried_on_an_address() {
    let server = Server::start(|asked, out| match asked.path.as_str() {
        "/latin" => {
            let body = HTML.replace("51.21.32.255", "51.21.32.248 \u{2013} 51.21.32.255").into_bytes();
            // The dash of Windows-1252, in place of the one of UTF-8.
            let body = String::from_utf8(body).unwrap().replace('\u{2013}', "\u{1}");
            let body: Vec<u8> = body.bytes().map(|byte| if byte == 1 { 0x96 } else { byte }).collect();
            respond(out, "200 OK", &[("Content-Type", "text/html; charset=windows-1252")], &body)
        }
        "/moved" => respond(out, "308 Moved", &[("Location", "https://developer.example/new/")], b""),
        "/closed" => respond(out, "403 Forbidden", &[], b""),
        _ => respond(out, "200 OK", &[("Content-Type", "application/pdf")], b"%PDF-1.7"),
    });
    let scene = scene(&server, MAIN);
    let extract = |path: &str, status: i32| {
        let url = server.url(path);
        let all = ["upstream", "extract", &url, "--kind", "html", "--ca-file", "ca.pem", "--format", "json"];
        scene.run_now(&all).expect(status)
    };
    let found = json(&extract("/latin", 0));
    assert_eq!(found["published"][1]["prefix"], "51.21.32.248/29", "{found:#}");
    assert_eq!(json(&extract("/moved", 1))["moved_to"], "https://developer.example/new/");
    assert_eq!(json(&extract("/pdf", 5))["outcome"], "unreadable");
    let closed = extract("/closed", 5);
    assert!(
        closed.stdout.is_empty() && closed.stderr.contains("403: it is not shown to us"),
        "{}",
        closed.stderr
    );
    assert!(closed.stderr.contains("\n  help: "), "{}", closed.stderr);
}
