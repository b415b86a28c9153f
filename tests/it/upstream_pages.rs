//! Real page versions, read in place: each gives the answer that somebody found by reading it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use callgate::policy::{Environment, PageKind, Role};
use callgate::prefix::Prefix;
use callgate::upstream::extract::{Selector, extract};
use callgate::upstream::{Published, Reading};

use crate::support::root;

/// The folder beside the project; `None`, and said, where it is missing.
fn folder() -> Option<PathBuf> {
    let folder = root().join("../shared/upstream-pages");
    let folder = std::env::var_os("CALLGATE_UPSTREAM_PAGES").map_or(folder, PathBuf::from);
    if folder.join("index.json").exists() {
        return Some(folder);
    }
    eprintln!("skipped: {} is missing", folder.display());
    None
}

fn kind(format: &str) -> PageKind {
    match format {
        "html" => PageKind::Html,
        "markdown" => PageKind::Markdown,
        "text" => PageKind::Text,
        "json" => PageKind::Json,
        other => panic!("{other}"),
    }
}

fn texts(value: &serde_json::Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The index's answer: prefixes with their roles.
fn wanted(item: &serde_json::Value) -> BTreeMap<Prefix, Role> {
    let single =
        texts(&item["published_addresses"]).into_iter().map(|text| (text.parse().unwrap(), Role::Callback));
    let ranges = texts(&item["ranges"]).into_iter().map(|text| {
        let owned = item["range_roles"][&text] == "firewall-range";
        (text.parse().unwrap(), if owned { Role::OwnerNetwork } else { Role::Callback })
    });
    single.chain(ranges).collect()
}

fn told(entries: &[Published]) -> BTreeMap<Prefix, Role> {
    entries.iter().map(|entry| (entry.prefix, entry.role)).collect()
}

#[test]
fn every_real_page_gives_the_answer_that_was_found_by_reading_it() {
    let Some(folder) = folder() else { return };
    let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let mut wrong = Vec::new();
    for item in index["items"].as_array().unwrap() {
        let file = item["file"].as_str().unwrap();
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let reading = extract(&bytes, kind(item["format"].as_str().unwrap()), &Selector::default());
        match (&reading, item["expect"].as_str().unwrap()) {
            (Reading::Empty, "no-addresses") => {}
            (Reading::List(entries), "ok") if told(entries) == wanted(item) => {
                wrong.extend(environments(file, item, entries));
            }
            (reading, expected) => wrong.push(format!("{file}: {expected}, and not {reading:#?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What differs in environments, where the index knows them.
fn environments(file: &str, item: &serde_json::Value, entries: &[Published]) -> Vec<String> {
    let Some(known) = item["environment_of"].as_object() else { return Vec::new() };
    let mut wrong = Vec::new();
    for (name, environment) in [("production", Environment::Production), ("test", Environment::Test)] {
        let wanted: BTreeSet<Prefix> =
            known.get(name).map(texts).unwrap_or_default().iter().map(|text| text.parse().unwrap()).collect();
        let found: BTreeSet<Prefix> = entries
            .iter()
            .filter(|entry| entry.environments.contains(&environment))
            .map(|entry| entry.prefix)
            .collect();
        if wanted != found {
            wrong.push(format!("{file}: {name} is {wanted:?}, and not {found:?}"));
        }
    }
    wrong
}
