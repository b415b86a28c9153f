//! Rules of the code that no lint knows: the map of the code, the order of modules, names and sizes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::golden::{FORMS, MODES, files, policy, site};
use crate::support::{Scene, root};

/// Modules in their order: each uses only those before it.
const ORDER: [&str; 25] = [
    "plain",
    "lines",
    "diagnostic",
    "json",
    "prefix",
    "instant",
    "yaml",
    "policy",
    "site",
    "allowlist",
    "admission",
    "path",
    "drift",
    "netfilter",
    "nginx",
    "security_group",
    "holding",
    "target",
    "plan",
    "apply",
    "timeline",
    "upstream",
    "review",
    "report",
    "cli",
];

/// Who may reach the outside.
const OUTSIDE: [&str; 4] = ["policy/load", "apply", "upstream/fetch", "cli"];

/// A file of Rust: its path below its folder, and its text.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The text without its test module.
    fn code(&self) -> &str {
        self.text.split("\n#[cfg(test)]\nmod tests").next().unwrap()
    }

    /// The path without its extension: `policy/load`.
    fn module(&self) -> String {
        self.path.with_extension("").display().to_string()
    }

    /// The module it belongs to: `policy`.
    fn top(&self) -> String {
        self.module().split('/').next().unwrap().to_owned()
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let base = root().join(folder);
    let paths = files(&base).into_iter().filter(|path| path.extension().is_some_and(|found| found == "rs"));
    paths.map(|path| Source { text: std::fs::read_to_string(base.join(&path)).unwrap(), path }).collect()
}

// Layout.

#[test]
fn the_map_of_the_code_names_every_file() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let map = text.split("\n## Code map\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut named = BTreeSet::new();
    for line in map.lines().filter(|line| line.starts_with("| `")) {
        let cell = line.split('|').nth(1).unwrap();
        let mut folder = PathBuf::new();
        // Further files of a line stand in the folder of the first.
        for name in cell.split('`').skip(1).step_by(2) {
            let path = if name.contains('/') || name == "build.rs" {
                PathBuf::from(name)
            } else {
                folder.join(name)
            };
            folder = path.parent().unwrap().to_path_buf();
            named.insert(path);
        }
    }
    let there: BTreeSet<PathBuf> =
        files(&root().join("src")).into_iter().map(|path| Path::new("src").join(path)).collect();
    let missing: Vec<&PathBuf> = there.difference(&named).collect();
    assert!(missing.is_empty(), "not in the map: {missing:?}");
    let gone: Vec<&PathBuf> = named
        .iter()
        .filter(|path| !path.display().to_string().contains('<') && !root().join(path).exists())
        .collect();
    assert!(gone.is_empty(), "in the map, and not there: {gone:?}");
}

#[test]
fn no_module_is_named_after_nothing() {
    for source in sources("src").iter().chain(&sources("tests")) {
        let name = source.path.file_stem().unwrap().to_str().unwrap();
        assert!(
            !["mod", "util", "utils", "helper", "helpers", "common", "misc"].contains(&name),
            "{}",
            source.shown()
        );
    }
}

#[test]
fn a_folder_of_modules_stands_beside_its_file() {
    for source in sources("src") {
        let parent = source.path.parent().unwrap();
        let file = root().join("src").join(parent).with_extension("rs");
        assert!(parent.as_os_str().is_empty() || file.exists(), "{} is missing", file.display());
    }
}

#[test]
fn no_file_is_longer_than_500_lines_without_its_tests() {
    for source in sources("src") {
        let lines = source.code().lines().count();
        assert!(lines <= 500, "{} has {lines} lines: split it along a concept", source.shown());
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for source in sources("src").iter().chain(&sources("tests")) {
        assert!(source.text.starts_with("//! "), "{}", source.shown());
    }
}

#[test]
fn nothing_is_left_for_later() {
    // In parts, so that this file does not find itself.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("#[ign", "ore")];
    for source in ["src", "tests", "benches"].iter().flat_map(|folder| sources(folder)) {
        for word in words {
            assert!(!source.text.contains(word), "{} has {word}", source.shown());
        }
    }
}

// Order.

/// Paths that code uses below the crate's root, comments aside.
fn used(code: &str) -> Vec<String> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut found = Vec::new();
    for line in lines {
        for (start, _) in line.match_indices("crate::") {
            let before = line[..start].chars().next_back();
            // `callgate` itself ends in no `crate`, but `other_crate::` does.
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &line[start + "crate::".len()..];
            found.push(
                rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '{')).collect(),
            );
        }
    }
    found
}

#[test]
fn every_module_has_its_place_in_the_order() {
    let known: BTreeSet<&str> = ORDER.into_iter().chain(["system", "lib", "main"]).collect();
    for source in sources("src") {
        assert!(known.contains(source.top().as_str()), "{} has no place", source.shown());
    }
}

#[test]
fn modules_use_only_those_before_them() {
    let place = |module: &str| ORDER.iter().position(|known| *known == module);
    let mut broken = Vec::new();
    for source in sources("src").iter().filter(|source| place(&source.top()).is_some()) {
        for path in used(source.code()) {
            let module = path.split("::").next().unwrap();
            assert!(
                !module.starts_with('{') && !module.is_empty(),
                "{}: name modules one by one",
                source.shown()
            );
            if module != "system" && place(module) > place(&source.top()) {
                broken.push(format!("{} uses {path}", source.shown()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn what_stands_at_the_root_reaches_its_neighbours_by_the_crates_name() {
    // `super` of these is the crate: it would go past the test of the order.
    for source in sources("src").iter().filter(|source| source.path.components().count() == 1) {
        let up = source
            .code()
            .lines()
            .find(|line| line.starts_with("use super::") || line.contains("super::super::"));
        assert_eq!(up, None, "{}", source.shown());
    }
}

#[test]
fn the_outside_is_reached_by_few() {
    let reaches =
        ["std::fs", "std::net::Tcp", "std::net::Udp", "std::env", "std::process::Command", "Timestamp::now"];
    for source in sources("src") {
        let inside =
            source.top() == "system" || OUTSIDE.iter().any(|place| source.module().starts_with(place));
        let reaches_out = used(source.code()).iter().any(|path| path.starts_with("system"));
        assert!(inside || !reaches_out, "{} uses crate::system", source.shown());
        if !["system", "main", "cli"].contains(&source.top().as_str()) {
            let found = reaches.iter().find(|word| source.code().contains(*word));
            assert_eq!(found, None, "{}", source.shown());
        }
    }
}

#[test]
fn targets_do_not_know_each_other() {
    let kinds = ["aws_security_group", "iptables", "nftables", "nginx", "terraform"];
    for source in sources("src").iter().filter(|source| source.path.starts_with("target")) {
        // The file of a kind, or one in its folder.
        let own = source.path.iter().nth(1).unwrap_or_default().to_str().unwrap().trim_end_matches(".rs");
        for other in kinds.iter().filter(|other| **other != own) {
            let lines = source.code().lines().filter(|line| !line.trim_start().starts_with("//"));
            let using = lines.into_iter().find(|line| {
                line.contains(&format!("{other}::")) || line.contains(&format!("super::{other}"))
            });
            assert_eq!(using, None, "{} knows {other}", source.shown());
        }
    }
}

// Data.

#[test]
fn every_template_is_rendered_by_a_golden_case() {
    let folder = root().join("templates");
    let templates = files(&folder);
    let scene = Scene::new();
    scene.write("policies/example.yaml", policy(&["13.50.187.51", "2a10:a200::/32"]));
    let mark = |path: &Path| format!("rendered by {}", path.display());
    for path in &templates {
        let text = std::fs::read_to_string(folder.join(path)).unwrap();
        scene.write(&format!("templates/{}", path.display()), format!("{text}\n{}\n", mark(path)));
    }
    let mut rendered = String::new();
    for form in FORMS {
        let recorded = root().join("tests/golden").join(form.name);
        assert!(recorded.is_dir(), "{} is missing", recorded.display());
        for mode in MODES {
            scene.write("callgate.yaml", site(form, mode, "many", ""));
            rendered.push_str(&scene.run(&["render"]).expect(0).stdout);
        }
    }
    let never: Vec<&PathBuf> = templates.iter().filter(|path| !rendered.contains(&mark(path))).collect();
    assert!(never.is_empty(), "rendered by no golden case: {never:?}");
}

#[test]
fn the_document_of_templates_names_every_template() {
    let text = std::fs::read_to_string(root().join("docs/templates.md")).unwrap();
    let named: BTreeSet<PathBuf> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| name.ends_with(".tera"))
        .map(PathBuf::from)
        .collect();
    assert_eq!(named, files(&root().join("templates")).into_iter().collect());
}

#[test]
fn every_policy_is_named_after_its_provider() {
    let folder = root().join("policies");
    let names = files(&folder);
    assert!(!names.is_empty());
    for name in names {
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        let provider = text.lines().find_map(|line| line.strip_prefix("provider: "));
        assert_eq!(name.display().to_string(), format!("{}.yaml", provider.unwrap_or("none")));
    }
}

#[test]
fn every_policy_is_in_the_readme_and_in_the_changelog() {
    let text = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let (readme, changelog) = (text("README.md"), text("CHANGELOG.md"));
    let policies = changelog.split("\n### Policies\n").nth(1).unwrap();
    for name in files(&root().join("policies")) {
        let provider = name.file_stem().unwrap().to_str().unwrap();
        assert!(readme.contains(&format!("(policies/{provider}.yaml)")), "{provider}");
        assert!(policies.contains(&format!("- `{provider}`")), "{provider}");
    }
}
