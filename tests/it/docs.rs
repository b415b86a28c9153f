//! The documents: their YAML is tried, their links lead somewhere, and they tell of everything there is.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use callgate::plan::guardrail::Kind;

use crate::cli::COMMANDS;
use crate::golden::files;
use crate::support::{AT, Scene, root};

/// A document: its path below the repository, and its text.
struct Document {
    path: PathBuf,
    text: String,
}

/// Every document of the repository.
fn documents() -> Vec<Document> {
    let mut paths: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .iter()
        .map(PathBuf::from)
        .collect();
    let below = files(&root().join("docs")).into_iter().map(|path| Path::new("docs").join(path));
    paths.extend(below.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        Document { path, text }
    };
    paths.into_iter().map(read).collect()
}

/// README and everything in `docs`: what a user reads.
fn for_users() -> Vec<Document> {
    let mut documents = documents();
    documents.retain(|document| document.path.starts_with("docs") || document.path == Path::new("README.md"));
    documents
}

/// Fenced blocks of a language.
pub(crate) fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        if fence == language {
            found.push(body.join("\n") + "\n");
        }
    }
    found
}

/// The text without its fenced blocks.
fn prose(text: &str) -> String {
    let (mut kept, mut fenced) = (String::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The file that a block says it is, by its first line.
fn named_file(block: &str) -> Option<String> {
    let name = block.lines().next()?.strip_prefix("# ")?;
    let policy = |name: &str| {
        name.strip_prefix("policies/").and_then(|name| name.strip_suffix(".yaml")).is_some_and(|stem| {
            !stem.is_empty() && stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
    };
    (name == "callgate.yaml" || policy(name)).then(|| name.to_owned())
}

#[test]
fn whole_files_in_the_documents_pass_the_check() {
    let mut tried = 0;
    // The wrong halves of the diagnostics' examples are wrong by intent, and parts of files.
    for document in for_users().iter().filter(|document| !document.path.ends_with("diagnostics.md")) {
        for block in blocks(&document.text, "yaml") {
            let Some(name) = named_file(&block) else { continue };
            tried += 1;
            let scene = Scene::new();
            scene.write(&name, &block);
            let run = scene.run(&["check"]);
            assert!(run.status <= 1, "{}: {name}\n{}", document.path.display(), run.stdout);
            assert!(!run.stdout.contains("error["), "{}: {name}\n{}", document.path.display(), run.stdout);
            if name != "callgate.yaml" {
                scene.run_now(&["fmt", "--check"]).expect(0);
            }
        }
    }
    assert!(tried >= 8, "only {tried} blocks were found");
}

#[test]
fn every_target_has_a_document_with_a_whole_site() {
    let folder = root().join("docs/targets");
    let kinds = ["aws-security-group", "iptables", "nftables", "nginx", "terraform"];
    let there: BTreeSet<String> = files(&folder).iter().map(|path| path.display().to_string()).collect();
    assert_eq!(there, kinds.iter().map(|kind| format!("{kind}.md")).collect());
    for kind in kinds {
        let text = std::fs::read_to_string(folder.join(format!("{kind}.md"))).unwrap();
        let whole = blocks(&text, "yaml").into_iter().filter(|block| named_file(block).is_some());
        assert!(whole.into_iter().any(|block| block.contains(&format!("kind: {kind}"))), "{kind}");
    }
}

#[test]
fn examples_of_other_structured_text_are_sound() {
    for document in documents() {
        for block in blocks(&document.text, "json") {
            let read: Result<serde_json::Value, _> = serde_json::from_str(&block);
            assert!(read.is_ok(), "{}: {read:?}\n{block}", document.path.display());
        }
    }
}

// Links.

/// Targets of the Markdown links in a text.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let ends = prose.match_indices("](").map(|(start, _)| &prose[start + 2..]);
    ends.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a document's headings, as forges make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let titles =
        headings.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
    let slug = |title: &str| -> String {
        let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
    };
    titles.map(slug).collect()
}

/// A path without `..`, as far as names alone tell.
fn normal(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(found.pop()),
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => found.push(part),
        }
    }
    found
}

#[test]
fn every_relative_link_leads_to_a_file_and_every_anchor_to_a_heading() {
    let documents = documents();
    let (mut broken, mut followed) = (Vec::new(), 0);
    for document in &documents {
        for link in links(&document.text) {
            if link.starts_with("https://") || link.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let (path, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(path, anchor)| (path, Some(anchor)));
            let target = match path {
                "" => document.path.clone(),
                path => normal(&document.path.parent().unwrap().join(path)),
            };
            let heading = |anchor: &str| {
                let other = documents.iter().find(|other| other.path == target);
                other.is_some_and(|other| anchors(&other.text).contains(anchor))
            };
            if !root().join(&target).exists() || !anchor.is_none_or(heading) {
                broken.push(format!("{}: {link}", document.path.display()));
            }
        }
    }
    assert!(followed > 50, "only {followed} links were found");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_document_is_reached_from_the_readme() {
    let documents = documents();
    let mut reached = BTreeSet::from([PathBuf::from("README.md")]);
    loop {
        let before = reached.len();
        let from: Vec<&Document> =
            documents.iter().filter(|document| reached.contains(&document.path)).collect();
        for document in from {
            let folder = document.path.parent().unwrap();
            let paths =
                links(&document.text).into_iter().map(|link| link.split('#').next().unwrap().to_owned());
            reached.extend(paths.filter(|path| !path.is_empty()).map(|path| normal(&folder.join(path))));
        }
        if reached.len() == before {
            break;
        }
    }
    for document in documents {
        assert!(reached.contains(&document.path), "nothing leads to {}", document.path.display());
    }
}

// What the program has, the documents tell.

/// Whether a text has a word, not as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// What a command says of itself, with what stands below it and has options of its own.
fn help_of(command: &str) -> String {
    let scene = Scene::new();
    let own = scene.run_now(&[command, "--help"]).expect(0).stdout;
    let below = match command {
        "upstream" => scene.run_now(&[command, "extract", "--help"]).expect(0).stdout,
        _ => String::new(),
    };
    own + &below
}

#[test]
fn every_command_and_every_option_is_told_of() {
    let all: String = for_users().into_iter().map(|document| document.text).collect();
    let mut options = BTreeSet::new();
    for command in COMMANDS {
        assert!(has_word(&all, &format!("callgate {command}")), "nothing tells of `callgate {command}`");
        let help = help_of(command);
        let usage = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        let long = usage.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
        options.extend(long.map(str::to_owned));
    }
    options.extend(["--help".to_owned(), "--version".to_owned()]);
    assert!(options.len() > 12, "{options:?}");
    let missing: Vec<&String> = options.iter().filter(|option| !has_word(&all, option)).collect();
    assert!(missing.is_empty(), "nothing tells of {missing:?}");
}

#[test]
fn every_option_that_the_documents_name_is_one_of_its_command() {
    let helps: BTreeMap<&str, String> =
        COMMANDS.into_iter().map(|command| (command, help_of(command))).collect();
    let (mut unknown, mut tried) = (Vec::new(), 0);
    for document in documents() {
        for command in document.text.split("callgate ").skip(1) {
            // The words of one command: up to what ends it in a text or a shell.
            let command = command.split(['\n', '`', '|', ';', '&', '>', ')']).next().unwrap();
            let first = command.split_whitespace().next().unwrap_or("");
            let Some(help) = helps.get(first) else { continue };
            let options = command.split_whitespace().filter(|word| word.starts_with("--"));
            for option in options.map(|word| word.split([',', '.', '"']).next().unwrap()) {
                tried += 1;
                if !has_word(help, option) {
                    unknown.push(format!("{}: callgate {first} {option}", document.path.display()));
                }
            }
        }
    }
    assert!(tried > 20, "only {tried} options were found");
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_guardrail_is_told_of_with_its_flag() {
    let text = std::fs::read_to_string(root().join("docs/guardrails.md")).unwrap();
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(headings, Kind::ALL.map(Kind::as_str));
    for kind in Kind::ALL {
        let row = text.lines().find(|line| line.starts_with(&format!("| [`{kind}`](#{kind}) |")));
        assert!(row.is_some_and(|row| row.ends_with(&format!("| `{}` |", kind.flag()))), "{row:?}");
    }
}

// What the documents show is what the program prints.

#[test]
fn the_readme_shows_what_render_prints() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let shown: Vec<String> =
        blocks(&readme, "text").into_iter().filter(|block| block.starts_with("policy ")).collect();
    let scene = Scene::new();
    let built_in = scene.run(&["render", "--out", "rendered"]).expect(0).stdout;
    let site = blocks(&readme, "yaml").into_iter().find(|block| named_file(block).is_some()).unwrap();
    scene.write("shop/callgate.yaml", site);
    let mut command = scene.command(&["render", "--out", "rendered", "--at", AT]);
    let own = command.current_dir(scene.path().join("shop")).output().unwrap().stdout;
    assert_eq!(shown, [built_in, String::from_utf8(own).unwrap()]);
}

#[test]
fn the_readme_shows_what_explain_prints() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let shown =
        blocks(&readme, "text").into_iter().find(|block| block.contains("is not admitted (at")).unwrap();
    let printed = Scene::new().run_now(&["explain", "82.115.146.1", "--at", "2026-11-20"]).expect(0).stdout;
    let mut lines = printed.lines();
    for line in shown.lines().filter(|line| line.trim() != "...") {
        assert!(
            lines.any(|printed| printed == line),
            "`{line}` is not, or not in this place, in:\n{printed}"
        );
    }
}

/// A host with ufw that lets all callers of the shipped policies in but one.
fn listing_of_the_documents() -> String {
    let mut text = String::from(
        "# Generated by iptables-save v1.8.9 (nf_tables) on Fri Nov 20 03:00:00 2026\n*filter\n:INPUT DROP [0:0]\n\
         :FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:ufw-before-input - [0:0]\n:ufw-user-input - [0:0]\n\
         -A INPUT -j ufw-before-input\n-A ufw-before-input -i lo -j ACCEPT\n\
         -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
         -A ufw-before-input -j ufw-user-input\n-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT\n",
    );
    let mut rule = |source: &str, target: &str| {
        text.push_str(&format!("-A ufw-user-input -s {source} -p tcp -m tcp --dport 443 -j {target}\n"));
    };
    rule("20.91.170.120/29", "ACCEPT");
    for one in
        ["51.107.183.58", "91.132.170.1", "13.50.187.51", "51.21.32.255", "51.21.206.32", "192.121.110.100"]
    {
        rule(&format!("{one}/32"), "ACCEPT");
    }
    rule("51.21.39.0/24", "DROP");
    text + "COMMIT\n"
}

#[test]
fn the_readme_shows_what_admitted_prints() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let shown = blocks(&readme, "text").into_iter().find(|block| block.contains("is refused\n")).unwrap();
    let scene = Scene::new();
    scene.write("iptables-nft-save", listing_of_the_documents());
    let asked = ["admitted", "--port", "443", "--source", "51.21.39.192", "--iptables", "iptables-nft-save"];
    let printed = scene.run(&asked).expect(0).stdout;
    assert!(printed.contains(&shown), "{printed}");
}

#[test]
fn the_document_of_admission_shows_what_admitted_prints() {
    let text = std::fs::read_to_string(root().join("docs/admission.md")).unwrap();
    let shown = blocks(&text, "text").remove(0);
    let scene = Scene::new();
    // On the host itself, a listing is named after its command.
    let name = "nft -a list ruleset";
    scene.write(
        name,
        "table inet filter { # handle 1\n\tchain input { # handle 2\n\
         \t\ttype filter hook input priority filter; policy drop;\n\
         \t\tct state established,related accept # handle 3\n\t\tiif \"lo\" accept # handle 4\n\
         \t\ttcp dport 22 accept # handle 7\n\n\
         \t\tip saddr { 20.91.170.120/29, 91.132.170.1 } tcp dport 443 accept # handle 8\n\
         \t\tip saddr 91.132.171.0/24 tcp dport 443 limit rate 5/minute accept # handle 9\n\t}\n}\n",
    );
    assert_eq!(scene.run(&["admitted", "--port", "443", "--nft", name]).expect(5).stdout, shown);
}

#[test]
fn the_document_of_nginx_shows_what_admitted_prints() {
    let text = std::fs::read_to_string(root().join("docs/admission-nginx.md")).unwrap();
    let shown = blocks(&text, "text").remove(0);
    let scene = Scene::new();
    scene.write("etc/nginx/nginx.conf", blocks(&text, "nginx").remove(0));
    let options =
        ["--nginx", "etc/nginx/nginx.conf", "--nginx-root", ".", "--server-name", "shop.example.com"];
    let question = ["admitted", "--port", "443", "--path", "/payment/callback", "--method", "POST"];
    let printed = scene.run(&[&question[..], &options].concat()).expect(0).stdout;
    assert!(printed.starts_with(&shown), "{printed}");
}

#[test]
fn the_document_of_drift_shows_what_diff_prints() {
    let text = std::fs::read_to_string(root().join("docs/drift.md")).unwrap();
    let shown = blocks(&text, "text").remove(0);
    let site = blocks(&text, "yaml").into_iter().find(|block| named_file(block).is_some()).unwrap();
    let scene = Scene::new();
    scene.write("callgate.yaml", site);
    scene.write("v4.txt", listing_of_the_documents());
    scene.write(
        "v6.txt",
        "# Generated by ip6tables-save v1.8.9 (nf_tables) on Fri Nov 20 03:00:00 2026\n*filter\n\
         :INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n",
    );
    let printed = scene.run(&["diff", "--iptables", "v4.txt", "--ip6tables", "v6.txt"]).expect(1).stdout;
    assert_eq!(printed, shown);
}

#[test]
fn the_example_of_a_template_gives_what_is_shown() {
    let text = std::fs::read_to_string(root().join("docs/templates.md")).unwrap();
    let template = blocks(&text, "jinja").remove(0);
    let shown = blocks(&text, "text").into_iter().find(|block| block.contains("\nallow ")).unwrap();
    let scene = Scene::new();
    scene.write("templates/nginx/access.tera", template);
    scene.write("callgate.yaml", "schema: 1\ntargets: { callbacks: { kind: nginx } }\n");
    let printed = scene.run(&["render"]).expect(0).stdout;
    assert!(printed.contains(&shown), "{printed}");
}

#[test]
fn no_document_names_a_place_of_the_machine_it_was_written_on() {
    // Where this checkout and people's files are; what an administrator's host has, such as /etc, may be named.
    let checkout = root().display().to_string();
    for document in documents() {
        for place in ["/home/", &checkout] {
            assert!(!document.text.contains(place), "{} names {place}", document.path.display());
        }
    }
}
