//! A real headless Chromium: scripts of `tests/it/browser` run by Node, with the modules that `scripts/test` installs.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::{Run, Scene, root};

/// A script may take so long: some ten times what it takes where nobody else is at work.
const SECONDS_MAX: u64 = 480;

/// What a script printed; `None` where Node, its modules or Chromium are not here, which is said, and in CI a failure.
///
/// The script is named without its extension. It fails by throwing.
#[track_caller]
pub(crate) fn run(script: &str, arguments: &[&str]) -> Option<String> {
    let modules = root().join("target/tools/browser");
    // What is there may be older than what is wanted now.
    let lock = |folder: PathBuf| std::fs::read(folder.join("package-lock.json")).ok();
    let is_wanted = lock(modules.clone()) == lock(root().join("tests/it/browser"));
    let installed = (is_wanted && modules.join("node_modules/playwright-core").is_dir()).then_some(modules);
    let (Some(node), Some(chromium), Some(modules)) =
        (there("node"), there("chromium").or_else(|| there("chromium-browser")), installed)
    else {
        let absent = "Node, Chromium or target/tools/browser is not here: scripts/test installs them";
        assert!(std::env::var("CI").is_err(), "{absent}");
        eprintln!("skipped: {absent}");
        return None;
    };
    let home = Scene::new();
    let mut command = assert_cmd::Command::new(node);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home.path()).env("TMPDIR", home.path()).env("CHROMIUM", chromium);
    command.arg(root().join(format!("tests/it/browser/{script}.mjs"))).args(arguments);
    command.current_dir(modules).timeout(Duration::from_secs(SECONDS_MAX));
    Some(Run::of(&command.output().unwrap()).expect(0).stdout)
}

/// A command on the path.
fn there(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|place| place.is_file())
}

#[test]
fn the_browser_tells_what_a_page_does() {
    let scene = Scene::new();
    let good = scene.write("good.html", "<!doctype html><title>good</title><p>a page");
    let bad = "<!doctype html><title>bad</title><img src=https://example.com/a.png alt=''>\
        <link rel=icon href=data:,><script>console.error('broken'); nothing()</script>";
    let bad = scene.write("bad.html", bad);
    let Some(said) = run("heard", &[good.to_str().unwrap(), bad.to_str().unwrap()]) else { return };
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "good: nothing");
    for wanted in
        ["request for https://example.com/a.png", "console error: broken", "error in the page: nothing"]
    {
        assert!(said.contains(wanted), "{wanted} is not in:\n{said}");
    }
}
