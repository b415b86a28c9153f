//! What is read of a configuration is what nginx reads: words, tables, patterns, and what is refused.
//!
//! nginx runs with generated configurations on a socket in a folder of its own, and says what it made of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use callgate::nginx::{Directive, Files, Geo, Map, Mapped, read};

use crate::support::Scene;
use crate::world::{have, tool};

/// How long nginx may take to start, or to answer.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Numbers without sense, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn some(&mut self, most: usize, of: &[&str]) -> String {
        let count = self.below(most + 1);
        (0..count).map(|_| self.one(of)).collect()
    }
}

/// A configuration around what stands in `http`.
fn whole(folder: &Path, http: &str) -> String {
    let folder = folder.display();
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|module| format!("{module}_temp_path {folder}/{module};\n"))
        .concat();
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr error;\nevents {{ }}\nhttp {{\naccess_log off;\n{paths}{http}\n}}\n"
    )
}

/// Whether nginx takes a configuration; else what it says.
fn tested(scene: &Scene, text: impl AsRef<[u8]>) -> Result<(), String> {
    let path = scene.write("nginx.conf", text);
    let output = tool("nginx").args(["-t", "-q", "-e", "stderr", "-c"]).arg(path).output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// nginx with a configuration.
struct Served {
    _scene: Scene,
    socket: PathBuf,
    child: Child,
}

impl Served {
    /// Runs nginx with tables and locations.
    fn new(tables: &str, locations: &str) -> Self {
        let scene = Scene::new();
        let socket = scene.path().join("socket");
        let server =
            format!("server {{ listen unix:{}; default_type text/plain;\n{locations}\n}}", socket.display());
        let hashes =
            "variables_hash_max_size 16384; map_hash_bucket_size 256; large_client_header_buffers 4 64k;";
        let path = scene.write("nginx.conf", whole(scene.path(), &format!("{hashes}\n{tables}\n{server}")));
        let mut command = tool("nginx");
        let child = command
            .args(["-e", "stderr", "-c"])
            .arg(path)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut running = Self { _scene: scene, socket, child };
        let until = Instant::now() + WAIT_MAX;
        while UnixStream::connect(&running.socket).is_err() {
            assert_eq!(running.child.try_wait().unwrap(), None, "nginx ended");
            assert!(Instant::now() < until, "nginx does not listen");
            std::thread::yield_now();
        }
        running
    }

    /// The body that it answers with, of a request with this text in its header `x`.
    fn ask(&self, path: &str, text: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nx: {text}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        body.to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A word in quotes that means these characters.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The directive of this name, wherever it is.
fn found<'a, 't>(directives: &'a [Directive<'t>], name: &str) -> Option<&'a Directive<'t>> {
    directives.iter().find_map(|one| {
        if one.name() == name { Some(one) } else { found(one.block().unwrap_or_default(), name) }
    })
}

/// Whether nginx refuses a text for its form.
fn is_of_form(said: &str) -> bool {
    ["unexpected", "too long parameter"].iter().any(|words| said.contains(words))
}

#[test]
fn words_are_those_of_nginx() {
    if !have(&["nginx"]) {
        return;
    }
    let pieces = [
        "a", "b", "n", "t", "r", "\\", "\"", "'", "{", "}", ";", "#", " ", "\n", "\t", "\r\n", "(", ")", "é",
        "\\\\", "\"a\"", "'b'", "\\;", "x",
    ];
    let (scene, mut dice) = (Scene::new(), Dice(1));
    let (mut locations, mut wanted, mut refused) = (String::new(), Vec::new(), 0);
    for _ in 0..400 {
        let word = dice.some(8, &pieces);
        let text = whole(scene.path(), &format!("server {{ location / {{ return 200 {word};\n}} }}"));
        let files = Files::single("nginx.conf", &*text);
        let ours = read(&files);
        match tested(&scene, &text) {
            Ok(()) => {
                let config = ours.unwrap_or_else(|error| panic!("{word:?} is refused: {error}"));
                let directive = found(&config.directives, "return").unwrap();
                let body = directive.arguments().get(1).map_or("", |body| body);
                assert!(directive.arguments().len() < 3, "{word:?}: {directive:?}");
                // Whatever follows on the line may be a comment.
                let number = wanted.len();
                let _ = writeln!(locations, "location = /{number} {{ return 200 {word};\n}}");
                wanted.push((word, body.to_string()));
            }
            Err(said) => {
                refused += 1;
                assert!(ours.is_err() || !is_of_form(&said), "{word:?} is read, and nginx says {said}");
            }
        }
    }
    assert!(wanted.len() > 50 && refused > 50, "{} read, {refused} refused", wanted.len());
    let served = Served::new("", &locations);
    for (number, (word, body)) in wanted.iter().enumerate() {
        assert_eq!(served.ask(&format!("/{number}"), ""), *body, "{word:?}");
    }
}

/// What may stand in a server, or may not.
const ODD: &[&str] = &[
    "set $x a}b;",
    "set $x a{b;",
    "set $x ${x}b;",
    "set $x \"${x}\";",
    "set $x a$;",
    "set $x 'a\nb';",
    "set $x \"a\"b;",
    "set $x \"a\"#;",
    "set $x \"a\" #b\n;",
    "set $x a#b;",
    "set $x a\\;b;",
    "set $x a\\{b\\};",
    "set $x a\\",
    "set $x",
    ";",
    "{",
    "}",
    "{}",
    "location / {",
    "location /{allow all;}",
    "location / { } }",
    "location / { };",
    "set $x 'a",
    "set $x \"a",
    "set $x a;;",
    "set\n$x\n\ta\r\n;",
    "\"set\" $x a;",
    "set $x \"\";",
    "set $x '';",
    "set $x a\0b;",
    "set $x \u{feff};",
    "\u{feff}set $x a;",
    "#",
    "# {",
    "#\n}",
    "if ($x = \"a\") { }",
    "if ($x = \"a\"){ }",
    "if ($x = \"a\")# }\n{ }",
    "set $x a b;",
    "include good;",
    "include open;",
    "include closed;",
    "include none;",
    "include no*;",
    "include [g]ood;",
    "include good good;",
    "include;",
    "include good { }",
    "include goo?;",
    "include {good,open};",
    "include 'good';",
    "location / { include good; }",
    "if ($x) { include good; }",
    "types { include none*; }",
    "types { a { } }",
    "types { include good; }",
    "types { \"a b\"; }",
    "location ~ ^/a{2}$ { }",
    "location ~ \"^/a{2}$\" { }",
    "location ~ \\.php$ { }",
];

#[test]
fn what_nginx_refuses_for_its_form_is_refused() {
    if !have(&["nginx"]) {
        return;
    }
    let scene = Scene::new();
    scene.write("good", "set $g 1;\n");
    scene.write("open", "location /x {\n");
    scene.write("closed", "}\n");
    let long = |count: usize| "x".repeat(count);
    let server = |text: &str| whole(scene.path(), &format!("server {{\n{text}\n}}"));
    let mut texts: Vec<Vec<u8>> = ODD.iter().map(|text| server(text).into_bytes()).collect();
    for count in [4093, 4094, 4095, 4096, 5000, 9000] {
        let long = long(count);
        let words = [
            format!("set $x {long};"),
            format!("set $x {long} ;"),
            format!("set $x \"{long}\";"),
            format!("#{long}\n"),
        ];
        texts.extend(words.iter().map(|text| server(text).into_bytes()));
    }
    texts.push([b"\xef\xbb\xbf", server("").as_bytes()].concat());
    texts.push([server("").as_bytes(), b"#\xff\xfe"].concat());
    texts.push(server("set $x '\u{fffd}';").replace('\u{fffd}', "x").into_bytes());
    let whole = server("location / { set $x 'a b'; }\n");
    texts.extend((0..whole.len()).step_by(3).map(|length| whole.as_bytes()[..length].to_vec()));
    let mut counts = (0, 0);
    for text in texts {
        let nginx = tested(&scene, &text);
        let shown = String::from_utf8_lossy(&text).into_owned();
        let ours = callgate::system::nginx::files(&scene.path().join("nginx.conf"), None);
        let ours = ours.and_then(|files| read(&files).map(|_| ()));
        match &nginx {
            Ok(()) => {
                counts.0 += 1;
                assert_eq!(ours, Ok(()), "{shown}");
            }
            Err(said) => {
                let included = said.contains("open()") || said.contains("\"include\"");
                if !is_of_form(said) && !included {
                    continue;
                }
                counts.1 += 1;
                assert!(ours.is_err(), "{shown} is read, and nginx says {said}");
            }
        }
    }
    assert!(counts.0 > 25 && counts.1 > 60, "{counts:?}");
}

/// Tables with these entries each, asked for these texts: what nginx and we say.
fn compare(
    kind: &str,
    tables: &[String],
    texts: &[String],
    ours: impl Fn(&Directive<'_>, &str) -> Option<String>,
) {
    let head = |number: usize| format!("{kind} $http_x $t{number}");
    let blocks = tables.iter().enumerate();
    let blocks = blocks.map(|(number, entries)| format!("{} {{ {entries} }}\n", head(number)));
    let text = blocks.collect::<Vec<_>>().concat();
    let values: Vec<String> = (0..tables.len()).map(|number| format!("${{t{number}}}")).collect();
    let served = Served::new(&text, &format!("location / {{ return 200 '{}'; }}", values.join(",")));
    let files = Files::single("nginx.conf", &*text);
    let config = read(&files).unwrap();
    let (mut said, mut asked) = (BTreeMap::new(), 0);
    for text in texts {
        let answer = served.ask("/", text);
        for ((value, directive), entries) in answer.split(',').zip(&config.directives).zip(tables) {
            asked += 1;
            let Some(own) = ours(directive, text) else { continue };
            assert_eq!(own, value, "{text:?} in {kind} {{ {entries} }}");
            *said.entry(own).or_insert(0_usize) += 1;
        }
    }
    // Not all the same, and not all undecided.
    let count: usize = said.values().sum();
    assert!(count * 2 > asked && said.len() > 3, "{count} of {asked}: {said:?}");
}

#[test]
fn geo_is_that_of_nginx() {
    if !have(&["nginx"]) {
        return;
    }
    let mut dice = Dice(2);
    let v4 = [
        "10.0.0.0",
        "10.0.0.1",
        "10.0.0.128",
        "10.0.1.0",
        "10.1.0.0",
        "255.255.255.255",
        "0.0.0.0",
        "127.255.255.255",
    ];
    let v6 = ["::", "2001:db8::", "2001:db8::1", "::ffff:10.0.0.0", "ffff::"];
    let lengths = ["", "/0", "/7", "/8", "/9", "/24", "/25", "/31", "/32"];
    let tables: Vec<String> = (0..120)
        .map(|number| {
            let mut entries = if number % 3 == 0 { "default d;".to_owned() } else { String::new() };
            for value in 0..=dice.below(8) {
                let network = match dice.below(4) {
                    0 => {
                        dice.one(&v6).to_owned() + dice.one(&["", "/0", "/32", "/96", "/104", "/120", "/127"])
                    }
                    _ => match dice.one(&v4) {
                        all @ "255.255.255.255" => all.to_owned(),
                        one => one.to_owned() + dice.one(&lengths),
                    },
                };
                let _ = match dice.below(6) {
                    0 => write!(entries, "delete {network};"),
                    _ => write!(entries, "{network} {value};"),
                };
            }
            entries
        })
        .collect();
    let mut texts: Vec<String> = Vec::new();
    for address in v4 {
        let number = u32::from(address.parse::<Ipv4Addr>().unwrap());
        let near = [number, number.wrapping_sub(1), number.wrapping_add(1), number | 0xff];
        texts.extend(near.iter().map(|number| Ipv4Addr::from(*number).to_string()));
    }
    for address in v6 {
        let number = u128::from(address.parse::<Ipv6Addr>().unwrap());
        let near = [number, number.wrapping_sub(1), number.wrapping_add(1), number | 0xff];
        texts.extend(near.iter().map(|number| Ipv6Addr::from(*number).to_string()));
    }
    texts.extend(["", "zz", "unix:"].map(str::to_owned));
    compare("geo", &tables, &texts, |directive, text| {
        let geo = Geo::read(directive, &mut Vec::new()).unwrap();
        let value = text.parse::<IpAddr>().map_or_else(|_| geo.elsewhere(), |address| geo.value(address));
        Some(value.to_owned())
    });
}

#[test]
fn geo_with_ranges_is_that_of_nginx() {
    if !have(&["nginx"]) {
        return;
    }
    let mut dice = Dice(3);
    let scene = Scene::new();
    let ends = [
        "10.0.0.0",
        "10.0.0.5",
        "10.0.255.255",
        "10.1.0.0",
        "10.1.0.9",
        "10.1.255.255",
        "10.2.0.0",
        "10.2.0.7",
    ];
    let (mut tables, mut refused) = (Vec::new(), 0);
    for _ in 0..200 {
        let mut entries = "ranges; default d;".to_owned();
        for value in 0..2 + dice.below(4) {
            let (a, b) = (dice.below(ends.len()), dice.below(ends.len()));
            let range = format!("{}-{}", ends[a.min(b)], ends[a.max(b)]);
            let _ = match dice.below(5) {
                0 => write!(entries, "delete {range};"),
                _ => write!(entries, "{range} {value};"),
            };
        }
        let table = format!("geo $http_x $v {{ {entries} }}");
        let files = Files::single("nginx.conf", &*table);
        let ours = Geo::read(&read(&files).unwrap().directives[0], &mut Vec::new());
        let nginx = tested(&scene, whole(scene.path(), &table));
        assert_eq!(ours.is_ok(), nginx.is_ok(), "{table}: {nginx:?}");
        match nginx {
            Ok(()) => tables.push(entries),
            Err(_) => refused += 1,
        }
    }
    assert!(tables.len() > 30 && refused > 30, "{} and {refused}", tables.len());
    let near = |end: &&str| {
        let number = u32::from(end.parse::<Ipv4Addr>().unwrap());
        [number - 1, number, number + 1].map(|number| Ipv4Addr::from(number).to_string())
    };
    let mut texts: Vec<String> = ends.iter().flat_map(near).collect();
    texts.extend(["", "2001:db8::1", "255.255.255.255"].map(str::to_owned));
    compare("geo", &tables, &texts, |directive, text| {
        let geo = Geo::read(directive, &mut Vec::new()).unwrap();
        let value = text.parse::<IpAddr>().map_or_else(|_| geo.elsewhere(), |address| geo.value(address));
        Some(value.to_owned())
    });
}

/// What a map gives, where it can be said.
fn mapped(directive: &Directive<'_>, text: &str) -> Option<String> {
    match Map::read(directive).unwrap().value(text) {
        Mapped::One { value, .. } => Some(value.to_owned()),
        Mapped::OneOf(..) => None,
    }
}

#[test]
fn maps_of_names_are_those_of_nginx() {
    if !have(&["nginx"]) {
        return;
    }
    let (scene, mut dice) = (Scene::new(), Dice(4));
    let labels = ["a", "b", "C", "d"];
    let name = |dice: &mut Dice| {
        let count = 1 + dice.below(3);
        let labels: Vec<&str> = (0..count).map(|_| dice.one(&labels)).collect();
        labels.join(".")
    };
    let (mut tables, mut refused) = (Vec::new(), 0);
    for number in 0..150 {
        let mut entries =
            if number % 4 == 0 { "default d;".to_owned() } else { "hostnames; default d;".to_owned() };
        for value in 0..=dice.below(5) {
            let (before, name) = (dice.one(&["", "", "*.", ".", "\\\\", "~", "~*", "*"]), name(&mut dice));
            let after = if before.is_empty() { dice.one(&["", ".*", "."]) } else { "" };
            let _ = write!(entries, "{before}{name}{after} {value};");
        }
        let table = format!("map $http_x $v {{ {entries} }}");
        let files = Files::single("nginx.conf", &*table);
        let ours = Map::read(&read(&files).unwrap().directives[0]);
        let nginx = tested(&scene, whole(scene.path(), &table));
        assert_eq!(ours.is_ok(), nginx.is_ok(), "{table}: {nginx:?} {ours:?}");
        match nginx {
            Ok(()) => tables.push(entries),
            Err(_) => refused += 1,
        }
    }
    assert!(tables.len() > 50 && refused > 10, "{} and {refused}", tables.len());
    let mut texts: Vec<String> = Vec::new();
    for _ in 0..80 {
        texts.push(
            dice.one(&["", "", "", ".", "b."]).to_owned()
                + &name(&mut dice)
                + dice.one(&["", "", "", ".", ".."]),
        );
    }
    texts.extend([String::new(), ".".to_owned()]);
    compare("map", &tables, &texts, mapped);
}

#[test]
fn patterns_are_those_of_nginx() {
    if !have(&["nginx"]) {
        return;
    }
    let (scene, mut dice) = (Scene::new(), Dice(5));
    let pieces = [
        "a",
        "b",
        "A",
        ".",
        "^",
        "$",
        "/",
        "(",
        ")",
        "(?:",
        "|",
        "*",
        "+",
        "?",
        "{2}",
        "{1,}",
        "{0,1}",
        "[ab]",
        "[^a]",
        "[[:digit:]]",
        "\\d",
        "\\w",
        "\\W",
        "\\s",
        "\\.",
        "\\b",
        "\\/",
        "\\-",
        "1",
        "_",
        "-",
        "[a-c]",
        "[]a]",
        "(?i)",
        "(?<n>",
        "*?",
        "+?",
        "[b\\]]",
        "\\B",
        "\\A",
        "\\z",
    ];
    let mut tables = Vec::new();
    for number in 0..700 {
        let pattern = dice.some(7, &pieces);
        let case = if number % 3 == 0 { "~*" } else { "~" };
        let entries = format!("{} 1; default 0;", quoted(&format!("{case}{pattern}")));
        // What nginx refuses may be unknown here.
        if tested(&scene, whole(scene.path(), &format!("map $http_x $v {{ {entries} }}"))).is_ok() {
            tables.push(entries);
        }
    }
    assert!(tables.len() > 100, "{}", tables.len());
    // A third and a fourth value, so that the answers are known to differ.
    tables.extend(["a 2;", "default 3;"].map(str::to_owned));
    let texts: Vec<String> = (0..60)
        .map(|_| dice.some(6, &["a", "b", "A", "B", "c", "/", ".", "1", "_", "-", "]", "a b"]))
        .chain([String::new()])
        .collect();
    compare("map", &tables, &texts, mapped);
}

/// Directives in a line, with the files that they are in.
fn shown(files: &Files) -> String {
    fn one(directive: &Directive<'_>, files: &Files) -> String {
        let name = &files.listings()[usize::try_from(directive.place.file).unwrap()].name;
        let words = directive.words().join("|");
        let block = directive.block();
        let block = block.map(|block| block.iter().map(|inner| one(inner, files)).collect::<String>());
        format!("{name}:{} {words} {{{}}}\n", directive.place.line, block.unwrap_or_default())
    }
    read(files).unwrap().directives.iter().map(|directive| one(directive, files)).collect()
}

#[test]
fn a_dump_is_read_as_its_files_are() {
    if !have(&["nginx"]) {
        return;
    }
    let scene = Scene::new();
    let folder = scene.path().display().to_string();
    let text = "include conf.d/*.conf;\ninclude conf.d/[a-b].inc;\ninclude none/*;\ngeo $g { include g.txt; }\n\
        # configuration file /etc/nginx/other.conf:\nmap $g $m { include m/*; }\ninclude conf.d/empty;";
    let main = scene.write("nginx.conf", whole(scene.path(), text));
    scene.write("conf.d/10.conf", "server { listen unix:/a; include twice; }");
    scene.write(
        "conf.d/9.conf",
        "# configuration file 9\r\nserver {\r\n listen unix:/b;\r\n include twice;\r\n}\r\n\r\n",
    );
    scene.write(
        "conf.d/Z.conf",
        format!("# configuration file {folder}/nginx.conf:\n# configuration file {folder}/none/x:\n\n\n"),
    );
    scene.write("conf.d/.hidden.conf", "}");
    scene.write("conf.d/a.inc", "# no line's end");
    scene.write("conf.d/empty", "");
    scene.write("twice", "set $t 'a\n#b';\n");
    scene.write("g.txt", "default 1;\n10.0.0.0/8 2;");
    scene.write("m/1", "a 1;\n");
    scene.write("m/2", "b 2;\n");
    let output = tool("nginx").args(["-T", "-e", "stderr", "-c"]).arg(&main).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (dump, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let tree = shown(&callgate::system::nginx::files(&main, None).unwrap());
    for dump in [dump.clone(), said.clone() + &dump, dump + &said] {
        assert_eq!(shown(&Files::of_dump(&dump).unwrap().unwrap()), tree);
    }
    // A copy whose root is another folder is read alike.
    let copy = callgate::system::nginx::files(&main, Some(Path::new("/"))).unwrap();
    assert_eq!(shown(&copy), tree);
}

#[test]
fn programs_end_where_their_module_ends_them() {
    let module = Path::new("/usr/lib/nginx/modules/ngx_http_lua_module.so");
    if !have(&["nginx"]) || !module.is_file() {
        return;
    }
    let scene = Scene::new();
    let mut counts = (0, 0);
    for code in [
        "",
        "return",
        "local t = {1, {2}}",
        "x = '}'",
        "x = \"}\"",
        "x = '\\'}'",
        "x = '\\\\'",
        "x = [[ } ]]",
        "x = [==[ ]] } ]=] ]==]",
        "-- }\n",
        "--[[ } \n ]]",
        "--[==[ } ]] ]==]",
        "--[ }\n",
        "x = a[b[1]]",
        "x = 1 - -1",
        "x = 1 --}",
        "}",
        "{",
        "x = '",
        "x = \"\n\"",
        "x = [[",
        "--[[",
        "--",
        "x = 'a\\\n}'",
        "x = \"'}\"",
        "x = '\"}'",
        "x = [=[}]=]",
        "-- '\n",
        "-- [[\n",
        "x = #t",
        "x = t['}']",
        "# }\n",
        "x = \"a\\\"}\"",
        "--[=[ ]] } ]=]",
        "x = '}' -- '}\n",
    ] {
        let server = format!("server {{ location / {{ access_by_lua_block {{ {code} }}\n return 204;\n}} }}");
        let ndk = "/usr/lib/nginx/modules/ndk_http_module.so";
        let modules = format!("load_module {ndk};\nload_module {};\n", module.display());
        let text = modules + &whole(scene.path(), &server);
        let nginx = tested(&scene, &text);
        let files = Files::single("nginx.conf", text);
        let ours = read(&files).map(|config| {
            let location = found(&config.directives, "location").unwrap();
            location.block().unwrap().iter().map(|one| one.name().to_owned()).collect::<Vec<_>>()
        });
        match nginx {
            Ok(()) => {
                counts.0 += 1;
                assert_eq!(ours, Ok(vec!["access_by_lua_block".to_owned(), "return".to_owned()]), "{code}");
            }
            Err(said) => {
                counts.1 += 1;
                assert!(ours.is_err(), "{code} is read as {ours:?}, and nginx says {said}");
            }
        }
    }
    assert!(counts.0 > 15 && counts.1 > 3, "{counts:?}");
}
