//! Embeds the policies and templates of the repository, so that adding one needs no Rust.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

#[expect(clippy::disallowed_methods, reason = "a build script writes what is compiled")]
fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    println!("cargo::rerun-if-changed=policies");
    println!("cargo::rerun-if-changed=templates");
    let policies = files(&root.join("policies"), "yaml")?;
    fs::write(
        out.join("embedded_policies.rs"),
        table("EMBEDDED_POLICIES", "policy files", &root.join("policies"), &policies),
    )?;
    let mut templates = Vec::new();
    for folder in folders(&root.join("templates"))? {
        templates.extend(files(&folder, "tera")?);
    }
    fs::write(
        out.join("embedded_templates.rs"),
        table("EMBEDDED_TEMPLATES", "templates", &root.join("templates"), &templates),
    )
}

fn files(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    found.retain(|path| path.extension().is_some_and(|found| found == extension));
    found.sort();
    Ok(found)
}

fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    found.retain(|path| path.is_dir());
    found.sort();
    Ok(found)
}

fn table(name: &str, what: &str, base: &Path, paths: &[PathBuf]) -> String {
    let mut text = format!(
        "/// The {what} of the repository at build time, by name.\npub const {name}: &[(&str, &str)] = &[\n"
    );
    for path in paths {
        let shown = path.strip_prefix(base).unwrap_or(path).display().to_string();
        let _ = writeln!(text, "    ({shown:?}, include_str!({:?})),", path.display().to_string());
    }
    text + "];\n"
}
