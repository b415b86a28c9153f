//! `callgate upstream extract`: pages of our own, one a trap, whole and damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use callgate::policy::{Environment, PageKind, Role, parse_filter};
use callgate::prefix::Prefix;
use callgate::upstream::extract::{BYTES_MAX, Selector, extract};
use callgate::upstream::{Reading, StatedKind};

use crate::support::{Scene, root};

fn fixtures() -> PathBuf {
    root().join("tests/fixtures/upstream")
}

/// A page with the answer that it is to give.
struct Case {
    file: String,
    text: String,
    kind: PageKind,
    selector: Selector,
    outcome: String,
    entries: BTreeMap<(Prefix, Role), BTreeSet<Environment>>,
    told: String,
}

impl Case {
    /// The prefixes and roles that a text gives; `None` where it gives no list.
    fn read(&self, text: &str) -> Option<BTreeSet<(Prefix, Role)>> {
        match extract(text.as_bytes(), self.kind, &self.selector) {
            Reading::List(entries) => Some(entries.iter().map(|entry| (entry.prefix, entry.role)).collect()),
            Reading::Empty | Reading::Unreadable(_) | Reading::Moved(_) => None,
        }
    }

    fn wanted(&self) -> BTreeSet<(Prefix, Role)> {
        self.entries.keys().copied().collect()
    }

    fn is_list(&self) -> bool {
        self.outcome == "list"
    }
}

fn cases() -> Vec<Case> {
    let answers = std::fs::read_to_string(fixtures().join("answers.txt")).unwrap();
    answers.lines().filter(|line| !line.starts_with('#')).map(case).collect()
}

fn case(line: &str) -> Case {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let [file, options, outcome, entries] = parts.as_slice() else { panic!("{line}") };
    let mut selector = Selector::default();
    for option in options.split(", ").filter(|option| !option.is_empty()) {
        match option.split_once('=').unwrap() {
            ("section", value) => selector.section = Some(value.to_owned()),
            ("pointer", value) => selector.pointer = Some(value.to_owned()),
            ("column", value) => selector.column = Some(value.to_owned()),
            ("filter", value) => selector.filter.push(parse_filter(value).unwrap()),
            other => panic!("{other:?}"),
        }
    }
    let kind = match file.rsplit('.').next().unwrap() {
        "html" => PageKind::Html,
        "md" => PageKind::Markdown,
        "txt" => PageKind::Text,
        "json" => PageKind::Json,
        "csv" => PageKind::Csv,
        other => panic!("{other}"),
    };
    let entry = |text: &str| {
        let mut words = text.split_whitespace();
        let prefix: Prefix = words.next().unwrap().parse().unwrap();
        let (mut role, mut environments) = (Role::Callback, BTreeSet::new());
        for word in words {
            match word {
                "owner" => role = Role::OwnerNetwork,
                "production" => drop(environments.insert(Environment::Production)),
                "test" => drop(environments.insert(Environment::Test)),
                other => panic!("{other}"),
            }
        }
        ((prefix, role), environments)
    };
    let entries = entries.split(';').filter(|text| !text.trim().is_empty()).map(entry).collect();
    let text = std::fs::read_to_string(fixtures().join(file)).unwrap();
    Case {
        file: (*file).to_owned(),
        text,
        kind,
        selector,
        outcome: (*outcome).to_owned(),
        entries,
        told: line.to_owned(),
    }
}

#[test]
fn every_page_of_ours_gives_its_answer() {
    let mut wrong = Vec::new();
    let cases = cases();
    for case in &cases {
        let reading = extract(case.text.as_bytes(), case.kind, &case.selector);
        let (outcome, entries) = match &reading {
            Reading::List(entries) => {
                let told =
                    entries.iter().map(|entry| ((entry.prefix, entry.role), entry.environments.clone()));
                ("list", told.collect())
            }
            Reading::Empty => ("empty", BTreeMap::new()),
            Reading::Unreadable(_) => ("unreadable", BTreeMap::new()),
            Reading::Moved(_) => ("moved", BTreeMap::new()),
        };
        if outcome != case.outcome || entries != case.entries {
            wrong.push(format!("{}\n  {reading:?}", case.told));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let named: BTreeSet<&String> = cases.iter().map(|case| &case.file).collect();
    let there = std::fs::read_dir(fixtures()).unwrap().count() - 1;
    assert_eq!(named.len(), there, "each page has an answer");
}

/// How a page is read that a mutation has changed: as before, not as a list, or wrongly.
fn wrongly(case: &Case, what: &str, mutants: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let wanted = case.wanted();
    let wrong = mutants.filter_map(|(name, text)| {
        let found = case.read(&text).filter(|found| *found != wanted)?;
        let extra: Vec<_> = found.difference(&wanted).collect();
        let missing: Vec<_> = wanted.difference(&found).collect();
        Some(format!("{} {what} {name}: missing {missing:?}, extra {extra:?}", case.file))
    });
    wrong.take(5).collect()
}

#[test]
fn a_page_of_html_or_json_that_is_cut_anywhere_is_no_other_list() {
    let mut wrong = Vec::new();
    for case in
        cases().iter().filter(|case| case.is_list() && matches!(case.kind, PageKind::Html | PageKind::Json))
    {
        let ends = (0..case.text.len()).filter(|end| case.text.is_char_boundary(*end));
        wrong.extend(wrongly(case, "cut at", ends.map(|end| (end.to_string(), case.text[..end].to_owned()))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Markdown, text and CSV have no end that could be missed. Cut between two lines they say less; within a line of a list
/// Markdown says nothing.
#[test]
fn a_page_of_markdown_that_is_cut_says_nothing_new() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.is_list() && case.kind == PageKind::Markdown) {
        let wanted = case.wanted();
        for end in (0..case.text.len()).filter(|end| case.text.is_char_boundary(*end)) {
            let Some(found) = case.read(&case.text[..end]) else { continue };
            let prefixes: BTreeSet<Prefix> = wanted.iter().map(|(prefix, _)| *prefix).collect();
            if found.iter().any(|(prefix, _)| !prefixes.contains(prefix)) {
                wrong.push(format!("{} cut at {end}: {found:?}", case.file));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn fewer_entries_than_the_policy_expects_are_no_list() {
    for case in cases().iter().filter(|case| case.is_list()) {
        let count = case.entries.keys().filter(|(_, role)| *role == Role::Callback).count();
        let mut wary = case.selector.clone();
        wary.entries = (count, count);
        let mut found = 0;
        for end in (0..case.text.len()).filter(|end| case.text.is_char_boundary(*end)) {
            if let Reading::List(entries) = extract(&case.text.as_bytes()[..end], case.kind, &wary) {
                found = found.max(entries.iter().filter(|entry| entry.role == Role::Callback).count());
                assert!(
                    entries.iter().filter(|entry| entry.role == Role::Callback).count() == count,
                    "{}",
                    case.file
                );
            }
        }
        assert!(found <= count);
    }
}

/// What stands between two entries, and is taken away.
const BETWEEN: &[&str] = &[
    "</td><td>",
    "</li><li>",
    "<br>",
    ", ",
    "\n",
    " ",
    "</p><p>",
    "</dd><dd>",
    "</tr><tr>",
    "|",
    "</code>",
    "<code>",
    "`",
];

#[test]
fn glued_entries_are_no_other_list() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.is_list()) {
        for between in BETWEEN {
            let places: Vec<usize> = case.text.match_indices(between).map(|(at, _)| at).collect();
            let mutants = places.into_iter().filter(|at| {
                // Where digits stand on both sides: elsewhere it is another mutation.
                let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
                let bytes = case.text.as_bytes();
                digit(at.checked_sub(1).and_then(|before| bytes.get(before)))
                    && digit(bytes.get(at + between.len()))
            });
            let mutants = mutants.map(|at| {
                let mut text = case.text.clone();
                text.replace_range(at..at + between.len(), "");
                (format!("at {at}"), text)
            });
            wrong.extend(wrongly(case, &format!("without {between:?}"), mutants));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_address_without_a_dot_is_no_other_list() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.is_list()) {
        let bytes = case.text.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let dots = (1..bytes.len()).filter(|at| bytes[*at] == b'.' && digit(at - 1) && digit(at + 1));
        let mutants = dots.map(|at| {
            let mut text = case.text.clone();
            text.remove(at);
            (format!("at {at}"), text)
        });
        wrong.extend(wrongly(case, "without a dot", mutants));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A digit that is lost may leave another address: nobody can see that, unless the page says it twice. Nothing else than
/// that one address changes.
#[test]
fn a_lost_digit_changes_no_other_entry() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.is_list()) {
        let wanted = case.wanted();
        for at in (0..case.text.len()).filter(|at| case.text.as_bytes()[*at].is_ascii_digit()) {
            let mut text = case.text.clone();
            text.remove(at);
            let Some(found) = case.read(&text) else { continue };
            if wanted.difference(&found).count() > 1 {
                wrong.push(format!("{} at {at}: {found:?}", case.file));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_table_that_says_it_twice_shows_a_lost_digit() {
    let all = cases();
    let case = all.iter().find(|case| case.file == "table-networks.html").unwrap();
    let (start, end) = (case.text.find("185.40.16.0/24").unwrap(), case.text.find("18.200.7.9/32").unwrap());
    let digits = (start..end).filter(|at| case.text.as_bytes()[*at].is_ascii_digit());
    let mutants = digits.map(|at| {
        let mut text = case.text.clone();
        text.remove(at);
        (at.to_string(), text)
    });
    let wrong = wrongly(case, "without a digit at", mutants);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_page_without_one_of_its_headings_is_no_other_list() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.is_list()) {
        let lines: Vec<&str> = case.text.split_inclusive('\n').collect();
        let headed = |line: &str| line.starts_with('#') || line.trim_start().starts_with("<h");
        let mutants =
            (0..lines.len()).filter(|at| headed(lines[*at]) && !lines[*at].contains("<html")).map(|at| {
                let line = lines[at];
                // Of a line of HTML only the heading goes.
                let rest = line.split_once("</h").map_or("", |(_, rest)| rest.get(2..).unwrap_or_default());
                let kept = if line.starts_with('#') { "" } else { rest };
                (line.trim().to_owned(), [&lines[..at].concat(), kept, &lines[at + 1..].concat()].concat())
            });
        wrong.extend(wrongly(case, "without", mutants));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_page_that_says_it_twice_is_the_same_list() {
    for case in cases().iter().filter(|case| case.is_list()) {
        let twice = match case.kind {
            PageKind::Html => case.text.split_once("<main>").map(|(head, rest)| {
                let (main, tail) = rest.split_once("</main>").unwrap();
                format!("{head}<main>{main}</main><main>{main}</main>{tail}")
            }),
            PageKind::Markdown if !case.text.starts_with("---") => Some(format!("{0}\n{0}", case.text)),
            _ => None,
        };
        if let Some(twice) = twice {
            assert_eq!(case.read(&twice), Some(case.wanted()), "{}", case.file);
        }
    }
}

#[test]
fn line_ends_and_marks_of_other_systems_change_nothing() {
    for case in cases().iter().filter(|case| case.is_list()) {
        for text in [case.text.replace('\n', "\r\n"), format!("\u{feff}{}", case.text)] {
            assert_eq!(case.read(&text), Some(case.wanted()), "{}", case.file);
        }
    }
}

#[test]
fn dates_and_labels_come_with_their_entries() {
    let read = |file: &str| {
        let text = std::fs::read(fixtures().join(file)).unwrap();
        match extract(&text, PageKind::Html, &Selector::default()) {
            Reading::List(entries) => entries,
            other => panic!("{other:?}"),
        }
    };
    let dated: Vec<String> = read("wiki-lifecycle.html")
        .iter()
        .flat_map(|entry| {
            entry.dates.iter().map(|date| {
                format!("{} {:?} {}", entry.prefix.short(), date.kind, date.moment.as_ref().unwrap())
            })
        })
        .collect();
    assert_eq!(dated, ["40.113.73.229 ValidFrom 2022-09-26", "52.166.80.244 ValidUntil 2022-09-26"]);
    let announced = read("announced.html");
    let announced = announced.iter().find(|entry| !entry.prefix.is_single()).unwrap();
    assert!(announced.dates.iter().any(|date| date.kind == StatedKind::ValidFrom && date.moment.is_some()));
    let labels: Vec<Option<String>> =
        read("owner-appendix.html").into_iter().map(|entry| entry.label).collect();
    assert_eq!(labels, [Some("Own".to_owned()), Some("Cloud".to_owned()), None, None]);
}

#[test]
fn hostile_pages_take_bounded_time() {
    // An eighth of what is read: what grows faster than the page shows all the same, and tests run without optimisation.
    const BYTES: usize = BYTES_MAX / 8;
    let full = |piece: &str| piece.repeat(BYTES / piece.len());
    let numbered = |piece: &str| {
        let mut text = String::new();
        let mut number = 0_u32;
        while text.len() < BYTES - 64 {
            write!(text, "{}", piece.replace('#', &number.to_string())).unwrap();
            number += 1;
        }
        text
    };
    let pages = [
        full("<div>"),
        full("<table>"),
        full("<table><tr><td>"),
        full("<td>1.2.3.4"),
        full("<b><p>"),
        numbered("<b id=#><p>"),
        full("<a href=x>1.2.3.4<"),
        full("<td colspan=1000 rowspan=1000>1.2.3.4</td>"),
        format!("<table>{}", full("<tr><td colspan=64 rowspan=64>1.2.3.4")).chars().take(BYTES).collect(),
        full("["),
        full("![]("),
        full("* "),
        full("> "),
        full("*a "),
        full("`"),
        full("| a "),
        full("{% include a b='"),
        full("{{"),
        full("1."),
        full("1.2.3.4 "),
        full("1.2.3.4-"),
        full("callbacks from 1.2.3.4 to 1.2.3.5. "),
        full("0.0.0.0-255.255.255.255\n"),
        full("1.2.3.4 (5.6.7.8) "),
        full("Production: "),
        full("In production. "),
        full("# a\n"),
        full("<h2>a</h2>"),
        full("<details>"),
        full("2a10:"),
        full("a,b\n"),
        full("\n"),
        full("Callbacks come from\n"),
        full("callbacks\n\n"),
        full("[\""),
        format!("[{}\"1.2.3.4\"]", full("\"1.2.3.4\",").get(..BYTES / 10 * 10 - 10).unwrap()),
        numbered("callbacks come from 9.9.9.#\n"),
    ];
    for kind in [PageKind::Html, PageKind::Markdown, PageKind::Text, PageKind::Json, PageKind::Csv] {
        for page in &pages {
            let started = Instant::now();
            let reading = extract(page.as_bytes(), kind, &Selector::default());
            let took = started.elapsed();
            let name: String = page.chars().take(24).collect();
            println!("{kind:?} {name:?}: {took:?}");
            // Without optimisation and beside other tests: a bound, not a measure.
            assert!(took < Duration::from_secs(30), "{kind:?} {name:?} took {took:?}");
            if let Reading::List(entries) = reading {
                assert!(entries.len() < 100, "{kind:?} {name:?}");
            }
        }
    }
    let long = vec![b' '; BYTES_MAX + 1];
    assert!(matches!(extract(&long, PageKind::Text, &Selector::default()), Reading::Unreadable(_)));
}

#[test]
fn the_command_tells_the_outcome_by_its_status() {
    let scene = Scene::new();
    let page = |name: &str| fixtures().join(name).display().to_string();
    let run = |arguments: &[&str]| scene.run_now(&[&["upstream", "extract"], arguments].concat());
    let list = run(&[
        &page("announced.html"),
        "--kind",
        "html",
        "--section",
        "callback ip addresses",
        "--format",
        "json",
    ]);
    assert_eq!(list.status, 0, "{}", list.stderr);
    let told: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!((told["version"].as_u64(), told["outcome"].as_str()), (Some(1), Some("list")));
    assert!(told["reason"].is_null());
    let first = &told["published"][0];
    assert_eq!(first["prefix"], "185.40.16.10/32");
    assert_eq!(first["role"], "callback");
    assert_eq!(first["environments"], serde_json::json!(["production", "test"]));
    assert_eq!(first["line"], 8);
    assert!(first["text"].as_str().unwrap().starts_with("The callbacks are currently sent from"));
    for (name, kind, status, outcome) in [
        ("no-addresses.html", "html", 1, "empty"),
        ("redirect-stub.html", "html", 1, "moved"),
        ("glued.txt", "text", 5, "unreadable"),
    ] {
        let run = run(&[&page(name), "--kind", kind, "--format", "json"]);
        let told: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!((run.status, told["outcome"].as_str()), (status, Some(outcome)), "{name}");
        assert!(told["reason"].is_string() && told["published"].as_array().unwrap().is_empty());
    }
    let text = run(&[&page("glued.txt"), "--kind", "text"]);
    assert!(text.stdout.contains("glued.txt:3: damaged: `Production52.17.117.56`"), "{}", text.stdout);
    let few = run(&[&page("stripe-shaped.json"), "--kind", "json", "--entries-min", "3"]);
    assert_eq!(few.status, 5, "{}", few.stdout);
    assert_eq!(run(&[&page("missing.html"), "--kind", "html"]).status, 2);
    assert_eq!(run(&[&page("glued.txt"), "--kind", "dns"]).status, 2);
    assert_eq!(run(&[&page("list.csv"), "--kind", "csv", "--filter", "a"]).status, 2);
}
