//! Fetching pages from a server that behaves in every way that servers do: each gives its outcome, in bounded time.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use callgate::policy::{Page, PageKind};
use callgate::upstream::document::{BYTES_MAX, Document, Missed, MissedKind};
use callgate::upstream::fetch::cache::Cache;
use callgate::upstream::fetch::{Fetcher, Settings};
use jiff::Timestamp;

use crate::server::{Asked, Certificate, Out, Server, head, respond};

const HTML: &[(&str, &str)] = &[("Content-Type", "text/html; charset=utf-8")];
const BODY: &[u8] = b"<h2>Callback addresses</h2><ul><li>13.50.187.51</li></ul>";
/// What a test waits for at most, beyond the time that a page may take.
const SLACK: Duration = Duration::from_secs(20);

fn fetcher(server: &Server, seconds: u64) -> Fetcher {
    Fetcher::new(Settings {
        time: Duration::from_secs(seconds),
        authorities: Some(server.authority().as_bytes().to_vec()),
        cache: None,
        clock: || Timestamp::UNIX_EPOCH,
    })
}

/// Fetches a path as HTML, within the time that it may take.
#[track_caller]
fn fetch(server: &Server, path: &str, seconds: u64) -> Result<Document, Missed> {
    let begun = Instant::now();
    let result = fetcher(server, seconds).fetch(&Page::new(&server.url(path), PageKind::Html));
    assert!(begun.elapsed() < Duration::from_secs(seconds) + SLACK, "{:?}", begun.elapsed());
    result
}

/// Fetches what can't be fetched; its words, with those that they must hold.
#[track_caller]
fn missed(server: &Server, path: &str, kind: &MissedKind, words: &str) -> Missed {
    let missed = fetch(server, path, 20).unwrap_err();
    assert_eq!(&missed.kind, kind, "{missed:#?}");
    assert!(missed.reason.contains(words), "{missed:#?}");
    assert!(!missed.help.is_empty(), "{missed:#?}");
    missed
}

/// Answers with the page under `/page`, and with what `answer` says elsewhere.
fn serving(answer: impl Fn(&Asked, Out<'_>) -> io::Result<()> + Send + Sync + 'static) -> Server {
    Server::start(move |asked, out| match asked.path.as_str() {
        "/page" => respond(out, "200 OK", HTML, BODY),
        _ => answer(asked, out),
    })
}

fn redirect(out: Out<'_>, to: &str) -> io::Result<()> {
    respond(out, "302 Found", &[("Location", to)], b"")
}

// What is wanted.

#[test]
fn a_page_comes_with_all_that_is_known_of_it() {
    let server = Server::start(|_, out| {
        let headers = [
            ("Content-Type", "text/html"),
            ("ETag", "W/\"1\""),
            ("Last-Modified", "Sat, 21 Nov 2026 12:00:00 GMT"),
        ];
        respond(out, "200 OK", &headers, BODY)
    });
    let document = fetch(&server, "/faq/?a=b#part", 20).unwrap();
    assert_eq!(document.url, server.url("/faq/?a=b#part"));
    assert_eq!(document.body, BODY);
    assert_eq!(document.read_at, Timestamp::UNIX_EPOCH);
    assert_eq!(document.etag.as_deref(), Some("W/\"1\""));
    assert_eq!(document.last_modified.as_deref(), Some("Sat, 21 Nov 2026 12:00:00 GMT"));
    assert_eq!(server.paths(), ["/faq/?a=b"]);
    let agent = server.headers("user-agent").remove(0).unwrap();
    assert!(agent.starts_with(concat!("callgate/", env!("CARGO_PKG_VERSION"))), "{agent}");
    assert_eq!(server.headers("cookie"), [None]);
}

#[test]
fn a_compressed_page_is_decompressed() {
    let server = Server::start(|asked, out| {
        assert!(asked.header("accept-encoding").unwrap().contains("gzip"));
        respond(out, "200 OK", &[HTML[0], ("Content-Encoding", "gzip")], &gzip(BODY, 1))
    });
    assert_eq!(fetch(&server, "/", 20).unwrap().body, BODY);
}

#[test]
fn a_page_in_pieces_and_one_that_ends_with_its_connection_are_whole() {
    let server = Server::start(|asked, out| {
        let chunked = asked.path == "/chunked";
        let coding: &[(&str, &str)] = if chunked { &[("Transfer-Encoding", "chunked")] } else { &[] };
        head(out, "200 OK", coding, None)?;
        for piece in BODY.chunks(7) {
            if chunked {
                write!(out, "{:x}\r\n", piece.len())?;
            }
            out.write_all(piece)?;
            if chunked {
                out.write_all(b"\r\n")?;
            }
            out.flush()?;
        }
        if chunked { out.write_all(b"0\r\n\r\n") } else { Ok(()) }
    });
    assert_eq!(fetch(&server, "/chunked", 20).unwrap().body, BODY);
    assert_eq!(fetch(&server, "/until-the-end", 20).unwrap().body, BODY);
}

// Redirects.

#[test]
fn a_redirect_within_the_host_is_followed() {
    let server = serving(|asked, out| match asked.path.as_str() {
        "/a" => redirect(out, "/b"),
        "/b" => redirect(out, "page#part"),
        path => panic!("{path}"),
    });
    let document = fetch(&server, "/a", 20).unwrap();
    assert_eq!((document.url, document.found_at), (server.url("/a"), server.url("/page")));
}

#[test]
fn a_redirect_to_another_host_means_moved() {
    let other = serving(|_, out| respond(out, "200 OK", HTML, BODY));
    let port = other.port();
    let server = Server::start(move |asked, out| match asked.path.as_str() {
        "/host" => redirect(out, "https://developer.example/callbacks/"),
        "/address" => redirect(out, "https://127.0.0.1/"),
        "/port" => redirect(out, &format!("https://localhost:{port}/page")),
        "/user" => redirect(out, "//user@localhost/"),
        _ => redirect(out, "data:text/html,13.50.187.51"),
    });
    let to = |url: &str| MissedKind::Moved(Some(url.to_owned()));
    missed(&server, "/host", &to("https://developer.example/callbacks/"), "to another host");
    missed(&server, "/address", &to("https://127.0.0.1/"), "to another host");
    missed(&server, "/port", &to(&other.url("/page")), "to another host");
    missed(&server, "/user", &to("https://user@localhost/"), "to another host");
    missed(&server, "/data", &to("data:text/html,13.50.187.51"), "away from https");
    assert!(other.paths().is_empty(), "nobody was asked");
}

#[test]
fn a_redirect_to_http_means_moved() {
    let server = Server::start(|asked, out| {
        let host = asked.header("host").unwrap().to_owned();
        redirect(out, &format!("http://{host}/page"))
    });
    let to = format!("http://localhost:{}/page", server.port());
    missed(&server, "/", &MissedKind::Moved(Some(to)), "away from https");
}

#[test]
fn redirects_have_an_end() {
    let server = serving(|asked, out| match asked.path.as_str() {
        "/circle" => redirect(out, "/elsewhere"),
        "/elsewhere" => redirect(out, "/circle#again"),
        "/self" => redirect(out, "/self"),
        "/nowhere" => respond(out, "301 Moved Permanently", &[], b""),
        "/broken" => redirect(out, "https://[/"),
        "/endless" => redirect(out, &format!("/{}", "x".repeat(5000))),
        path => redirect(out, &format!("{path}x")),
    });
    missed(&server, "/circle", &MissedKind::Unreachable, "in a circle");
    missed(&server, "/self", &MissedKind::Unreachable, "in a circle");
    missed(&server, "/long", &MissedKind::Unreachable, "5 redirects, and redirects again");
    missed(&server, "/nowhere", &MissedKind::Unreachable, "without saying where to");
    let endless = fetch(&server, "/endless", 20).unwrap_err();
    assert!(endless.reason.contains("longer than any page's") && endless.reason.len() < 500, "{endless:?}");
    missed(&server, "/broken", &MissedKind::Moved(Some("https://[/".to_owned())), "to what is no address");
}

#[test]
fn a_page_that_is_gone_has_moved() {
    let server = Server::start(|asked, out| {
        let status = if asked.path == "/gone" { "410 Gone" } else { "404 Not Found" };
        respond(out, status, HTML, BODY)
    });
    missed(&server, "/", &MissedKind::Moved(None), "404: there is no such page");
    missed(&server, "/gone", &MissedKind::Moved(None), "410: it is gone for good");
    assert_eq!(server.paths().len(), 2, "asked again");
}

// Slow and large.

#[test]
fn a_server_that_drips_or_hangs_is_left_in_time() {
    let server = Server::start(|asked, out| {
        match asked.path.as_str() {
            "/silent" => {}
            "/half-a-header" => out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: te")?,
            "/half-a-body" => {
                head(out, "200 OK", HTML, Some(1000))?;
                out.write_all(BODY)?;
            }
            path => {
                head(out, "200 OK", HTML, Some(100_000))?;
                for _ in 0..100_000 {
                    out.write_all(if path == "/drip" { b"x" } else { b"" })?;
                    out.flush()?;
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
        out.flush()?;
        std::thread::sleep(Duration::from_mins(1));
        Ok(())
    });
    for path in ["/silent", "/half-a-header", "/half-a-body", "/drip"] {
        let begun = Instant::now();
        let missed = fetch(&server, path, 2).unwrap_err();
        assert_eq!(missed.kind, MissedKind::Unreachable, "{path}");
        assert!(missed.reason.contains("was not there in time"), "{path}: {missed:?}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{path}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_left_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start(|_, _| Ok(()));
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let begun = Instant::now();
    let missed = fetcher(&server, 2).fetch(&Page::new(&url, PageKind::Html)).unwrap_err();
    assert_eq!(missed.kind, MissedKind::Unreachable);
    assert!(missed.reason.contains("was not there in time"), "{missed:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn a_body_of_two_gigabytes_is_left_at_the_bound() {
    let server = Server::start(|asked, out| {
        let length = (asked.path == "/said").then_some(2 << 30);
        head(out, "200 OK", HTML, length)?;
        let zeros = vec![b'0'; 1 << 16];
        for _ in 0..(2_u64 << 30 >> 16) {
            out.write_all(&zeros)?;
        }
        Ok(())
    });
    missed(&server, "/said", &MissedKind::Unreadable, "is larger than 2 MiB");
    missed(&server, "/unsaid", &MissedKind::Unreadable, "is larger than 2 MiB");
}

#[test]
fn a_gzip_bomb_is_left_at_the_bound() {
    // A quarter of a gigabyte, in a quarter of a megabyte.
    let bomb = gzip(&vec![0; 1 << 16], 256 << 20 >> 16);
    assert!(bomb.len() < 1 << 19, "{}", bomb.len());
    let server =
        Server::start(move |_, out| respond(out, "200 OK", &[HTML[0], ("Content-Encoding", "gzip")], &bomb));
    missed(&server, "/", &MissedKind::Unreadable, "is larger than 2 MiB");
}

#[test]
fn a_body_at_the_bound_is_read() {
    let server = Server::start(|asked, out| {
        let length = usize::try_from(BYTES_MAX).unwrap() + usize::from(asked.path == "/more");
        head(out, "200 OK", HTML, None)?;
        out.write_all(&vec![b'x'; length])
    });
    assert_eq!(fetch(&server, "/", 20).unwrap().body.len() as u64, BYTES_MAX);
    missed(&server, "/more", &MissedKind::Unreadable, "is larger than 2 MiB");
}

#[test]
fn headers_have_a_bound_too() {
    let server = Server::start(|asked, out| {
        let many = asked.path == "/many";
        write!(out, "HTTP/1.1 200 OK\r\n")?;
        for number in 0..100_000 {
            let line = if many { format!("X-{number}: x\r\n") } else { "x".repeat(100) };
            out.write_all(line.as_bytes())?;
        }
        out.write_all(b"\r\n\r\n")
    });
    for path in ["/many", "/long"] {
        assert_eq!(fetch(&server, path, 2).unwrap_err().kind, MissedKind::Unreachable);
    }
}

// Damaged.

#[test]
fn a_body_that_breaks_off_is_no_page() {
    let server = Server::start(|asked, out| match asked.path.as_str() {
        "/length" => {
            head(out, "200 OK", HTML, Some(BODY.len() as u64 + 1))?;
            out.write_all(BODY)
        }
        "/chunk" => {
            head(out, "200 OK", &[HTML[0], ("Transfer-Encoding", "chunked")], None)?;
            write!(out, "{:x}\r\n", BODY.len())?;
            out.write_all(BODY)
        }
        "/gzip" => {
            let whole = gzip(BODY, 1);
            let coding = [HTML[0], ("Content-Encoding", "gzip")];
            respond(out, "200 OK", &coding, &whole[..whole.len() - 6])
        }
        "/checksum" => {
            let mut whole = gzip(BODY, 1);
            let at = whole.len() - 6;
            whole[at] ^= 1;
            respond(out, "200 OK", &[HTML[0], ("Content-Encoding", "gzip")], &whole)
        }
        _ => out.write_all(b"SSH-2.0-OpenSSH_9.2\r\n"),
    });
    for path in ["/length", "/chunk", "/gzip", "/checksum", "/ssh"] {
        let before = server.paths().len();
        let missed = fetch(&server, path, 3).unwrap_err();
        assert_eq!(missed.kind, MissedKind::Unreachable, "{path}: {missed:?}");
        assert!(missed.reason.contains("broke off or is damaged"), "{path}: {missed:?}");
        assert_eq!(server.paths().len() - before, 2, "{path} is tried again");
    }
}

#[test]
fn an_end_without_tls_s_goodbye_is_no_end() {
    // Somebody on the way can end a TCP connection. Where the body has no length, only TLS tells that it is whole.
    let server = Server::start(|_, out| {
        head(out, "200 OK", HTML, None)?;
        out.write_all(BODY)?;
        out.flush()?;
        Err(io::Error::other("gone"))
    });
    let missed = fetch(&server, "/", 3).unwrap_err();
    assert_eq!(missed.kind, MissedKind::Unreachable);
    assert!(missed.reason.contains("broke off"), "{missed:?}");
}

#[test]
fn a_compression_that_nobody_asked_for_is_unreadable() {
    let server = Server::start(|asked, out| {
        respond(out, "200 OK", &[HTML[0], ("Content-Encoding", &asked.path[1..])], BODY)
    });
    missed(&server, "/br", &MissedKind::Unreadable, "is compressed as `br`");
    missed(&server, "/gzip,gzip", &MissedKind::Unreadable, "is compressed as `gzip,gzip`");
}

#[test]
fn what_is_no_page_of_its_kind_is_unreadable() {
    let server = Server::start(|asked, out| match asked.path.as_str() {
        "/pdf" => respond(out, "200 OK", &[("Content-Type", "application/pdf")], b"%PDF-1.7"),
        "/png" => respond(out, "200 OK", &[("Content-Type", "image/png")], b"\x89PNG"),
        "/json" => respond(out, "200 OK", &[("Content-Type", "application/json")], b"{}"),
        "/latin" => respond(out, "200 OK", &[("Content-Type", "text/html; charset=ISO-8859-1")], b"a\x96b"),
        "/bytes" => respond(out, "200 OK", HTML, b"a\n\x96b"),
        _ => {
            let wide: Vec<u8> = "\u{feff}120–127".encode_utf16().flat_map(u16::to_le_bytes).collect();
            respond(out, "200 OK", HTML, &wide)
        }
    });
    let text = |path: &str| fetch(&server, path, 20).unwrap().text(PageKind::Html);
    assert!(text("/pdf").unwrap_err().reason.contains("is a PDF"));
    assert!(text("/png").unwrap_err().reason.contains("is an image"));
    assert!(text("/json").unwrap_err().reason.contains("`application/json`"));
    assert_eq!(text("/latin").unwrap(), "a–b");
    assert_eq!(text("/bytes").unwrap_err().line, Some(2));
    assert_eq!(text("/utf-16").unwrap(), "120–127");
}

// The cache.

fn cached(server: &Server, folder: &std::path::Path) -> Fetcher {
    Fetcher::new(Settings {
        time: Duration::from_secs(20),
        authorities: Some(server.authority().as_bytes().to_vec()),
        cache: Some(Cache::open(folder).unwrap()),
        clock: || Timestamp::UNIX_EPOCH,
    })
}

#[test]
fn an_unchanged_page_is_not_sent_again() {
    let server = Server::start(|asked, out| match asked.header("if-none-match") {
        Some("\"1\"") => respond(out, "304 Not Modified", &[("ETag", "\"1\"")], b""),
        _ => respond(out, "200 OK", &[HTML[0], ("ETag", "\"1\"")], BODY),
    });
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let page = Page::new(&server.url("/"), PageKind::Html);
    for _ in 0..3 {
        assert_eq!(cached(&server, &folder).fetch(&page).unwrap().body, BODY);
    }
    let asked = server.headers("if-none-match");
    assert_eq!(asked, [None, Some("\"1\"".to_owned()), Some("\"1\"".to_owned())]);
    // A second reading owes the first nothing.
    assert_eq!(cached(&server, &folder).fetch_anew(&page).unwrap().body, BODY);
    assert_eq!(server.headers("if-none-match").last(), Some(&None));
    // A damaged entry is as good as none.
    let entry = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&entry).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
    std::fs::write(&entry, bytes).unwrap();
    assert_eq!(cached(&server, &folder).fetch(&page).unwrap().body, BODY);
    assert_eq!(server.headers("if-none-match").last(), Some(&None));
}

#[test]
fn not_modified_is_believed_only_where_something_is_held() {
    let server = Server::start(|_, out| respond(out, "304 Not Modified", &[], b""));
    missed(&server, "/", &MissedKind::Unreachable, "where nothing was said to be known");
}

#[test]
fn a_page_that_redirects_elsewhere_now_is_asked_for_anew() {
    let server = Server::start(|asked, out| match (asked.path.as_str(), asked.number) {
        ("/", 0) => redirect(out, "/old"),
        ("/", _) => redirect(out, "/new"),
        // Had the condition gone to the wrong page, it would be told that nothing changed.
        (_, _) if asked.header("if-none-match").is_some() => respond(out, "304 Not Modified", &[], b""),
        (path, _) => respond(out, "200 OK", &[HTML[0], ("ETag", "\"1\"")], path.as_bytes()),
    });
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let page = Page::new(&server.url("/"), PageKind::Html);
    assert_eq!(cached(&server, &folder).fetch(&page).unwrap().body, b"/old");
    assert_eq!(cached(&server, &folder).fetch(&page).unwrap().body, b"/new");
    assert_eq!(cached(&server, &folder).fetch(&page).unwrap().body, b"/new");
    assert_eq!(server.headers("if-none-match").iter().flatten().count(), 1);
}

// What may pass, and what does not.

#[test]
fn a_fault_that_passes_is_tried_again() {
    for (status, headers) in [
        ("500 Internal Server Error", &[][..]),
        ("503 Service Unavailable", &[("Retry-After", "Thu, 01 Jan 1970 00:00:01 GMT")][..]),
        ("429 Too Many Requests", &[("Retry-After", "1")][..]),
    ] {
        let server = Server::start(move |asked, out| match asked.number {
            0 => respond(out, status, headers, b"sorry"),
            _ => respond(out, "200 OK", HTML, BODY),
        });
        let begun = Instant::now();
        assert_eq!(fetch(&server, "/", 20).unwrap().body, BODY, "{status}");
        assert_eq!(server.paths().len(), 2, "{status}");
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_millis(900) && waited < Duration::from_secs(4), "{waited:?}");
    }
}

#[test]
fn a_server_that_asks_for_too_long_a_pause_is_left_alone() {
    let server =
        Server::start(|_, out| respond(out, "429 Too Many Requests", &[("Retry-After", "3600")], b"later"));
    let begun = Instant::now();
    missed(
        &server,
        "/",
        &MissedKind::Unreachable,
        "429, too many requests, and asks to come back after 3600 seconds",
    );
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(server.paths().len(), 1);
}

#[test]
fn a_fault_that_stays_is_told_with_its_attempts() {
    let server = Server::start(|_, out| respond(out, "502 Bad Gateway", &[], b"sorry"));
    missed(&server, "/", &MissedKind::Unreachable, "502, a fault of its own (3 attempts)");
    assert_eq!(server.paths().len(), 3);
}

#[test]
fn answers_that_are_no_page_say_why() {
    let server = Server::start(|asked, out| match asked.path.as_str() {
        "/login" => respond(out, "403 Forbidden", HTML, BODY),
        "/empty" => respond(out, "204 No Content", &[], b""),
        "/part" => respond(out, "206 Partial Content", HTML, BODY),
        "/aws" => respond(out, "405 Method Not Allowed", &[("x-amzn-waf-action", "captcha")], BODY),
        _ => respond(out, "200 OK", &[HTML[0], ("cf-mitigated", "challenge")], BODY),
    });
    missed(&server, "/login", &MissedKind::Unreachable, "403: it is not shown to us");
    missed(&server, "/empty", &MissedKind::Unreachable, "204, where a page was expected");
    missed(&server, "/part", &MissedKind::Unreachable, "206, where a page was expected");
    missed(&server, "/aws", &MissedKind::Unreachable, "a riddle for browsers (AWS WAF)");
    missed(&server, "/captcha", &MissedKind::Unreachable, "a riddle for browsers (Cloudflare)");
}

#[test]
fn a_refused_connection_is_told() {
    let server = Server::start(|_, _| Ok(()));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("https://localhost:{closed}/");
    let missed = fetcher(&server, 3).fetch(&Page::new(&url, PageKind::Html)).unwrap_err();
    assert_eq!(missed.kind, MissedKind::Unreachable);
    assert!(missed.reason.contains(&format!("`localhost:{closed}` refuses the connection")), "{missed:?}");
}

#[test]
fn a_name_without_an_address_is_told() {
    let server = Server::start(|_, _| Ok(()));
    let missed =
        fetcher(&server, 30).fetch(&Page::new("https://pages.invalid/", PageKind::Html)).unwrap_err();
    assert_eq!(missed.kind, MissedKind::Unreachable);
    assert!(missed.reason.contains("`pages.invalid` has no address"), "{missed:?}");
}

// Whom we talk to.

#[test]
fn a_certificate_that_won_t_do_is_told_and_nothing_is_read() {
    for (certificate, words) in [
        (Certificate::Expired, "expired at 2020-01-01T00:00:00Z"),
        (Certificate::NotYet, "is not valid before 2110-01-01T00:00:00Z"),
        (Certificate::OtherName, "is for another name (other.example)"),
    ] {
        let server = Server::with(certificate, |_, out| respond(out, "200 OK", HTML, BODY));
        let begun = Instant::now();
        let missed = missed(&server, "/", &MissedKind::Unreachable, words);
        assert!(
            missed.reason.contains(&format!("certificate of `localhost:{}`", server.port())),
            "{missed:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(1), "tried again");
        assert!(server.paths().is_empty());
    }
}

#[test]
fn a_certificate_of_an_authority_that_nobody_trusts_is_told() {
    let server = Server::start(|_, out| respond(out, "200 OK", HTML, BODY));
    let other = Server::start(|_, _| Ok(()));
    let missed = fetcher(&other, 20).fetch(&Page::new(&server.url("/"), PageKind::Html)).unwrap_err();
    assert_eq!(missed.kind, MissedKind::Unreachable);
    assert!(missed.reason.contains("comes from nobody whom this machine trusts"), "{missed:?}");
    assert!(missed.help.contains("--ca-file"), "{missed:?}");
    assert!(server.paths().is_empty());
}

#[test]
fn a_port_without_tls_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream: TcpStream = stream;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let server = Server::start(|_, _| Ok(()));
    let url = format!("https://localhost:{port}/");
    let missed = fetcher(&server, 3).fetch(&Page::new(&url, PageKind::Html)).unwrap_err();
    assert_eq!(missed.kind, MissedKind::Unreachable);
    assert!(missed.reason.contains("no encrypted connection"), "{missed:?}");
}

/// A gzip file of a piece, written so often.
fn gzip(piece: &[u8], times: u64) -> Vec<u8> {
    let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..times {
        file.write_all(piece).unwrap();
    }
    file.finish().unwrap()
}
