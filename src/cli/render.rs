//! `callgate render`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use similar::TextDiff;

use super::inputs::{self, Inputs};
use super::{Exit, Global, Outcome, complain, print, show};
use crate::allowlist::{self, Allowlist, Exclusion, Revision};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::prefix::Family;
use crate::report::survey_v1::{RenderedReport, StaleReport};
use crate::site::Site;
use crate::system;
use crate::target::{Artifact, ArtifactFile, Common, Mode, RenderError, Target};

/// The list of what was rendered, written beside it.
const MANIFEST: &str = "callgate.manifest.json";

#[derive(Debug, clap::Args)]
pub(super) struct Render {
    /// Render these targets only; may be repeated
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Write the files into this folder instead of printing them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change nothing: compare the folder with what would be rendered; status 1 where it is stale
    #[arg(long, requires = "out")]
    check: bool,
}

/// A rendered target.
pub(super) struct Rendered {
    pub(super) name: String,
    pub(super) mode: Mode,
    pub(super) artifact: Artifact,
}

impl Render {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let mut sink = Diagnostics::new();
        let inputs = inputs::read(global, &mut sink);
        let Some((allowlist, rendered)) = render_all(&inputs, &self.target, &mut sink) else {
            show(&sink);
            return Ok(Exit::Failure);
        };
        show(&sink);
        if sink.has_errors() {
            return Ok(Exit::Failure);
        }
        let mut files: Vec<&ArtifactFile> =
            rendered.iter().flat_map(|target| &target.artifact.files).collect();
        let Some(out) = &self.out else { return print_files(&files) };
        let whole;
        // A part of the targets must not make the manifest forget the others.
        if self.target.is_empty() {
            let mut text = manifest(&allowlist, &rendered, &[]);
            let left_over = if self.check { Vec::new() } else { leftovers(out, &files, &text) };
            if !left_over.is_empty() {
                text = manifest(&allowlist, &rendered, &left_over);
            }
            whole = ArtifactFile { path: MANIFEST.to_owned(), text };
            files.push(&whole);
        }
        if self.check { check(out, &files) } else { write(out, &files, &allowlist, &rendered) }
    }
}

/// The allowlist; `None` where a fault keeps it from being whole: without sound policies it would be shorter than what
/// is wanted.
pub(super) fn resolved(inputs: &Inputs, sink: &mut Diagnostics) -> Option<Allowlist> {
    let site = inputs.site.as_ref()?;
    if sink.has_errors() {
        return None;
    }
    Some(allowlist::resolve(&inputs.policies, site, inputs.at, sink))
}

/// What is wanted of the site's targets, or of those named; `None` where nobody can say. That it is empty is a fault.
pub(super) fn wanted(inputs: &Inputs, only: &[String], sink: &mut Diagnostics) -> Option<Allowlist> {
    let site = inputs.site.as_ref()?;
    for name in only.iter().filter(|name| !site.targets.iter().any(|target| target.name == **name)) {
        let known: Vec<&str> = site.targets.iter().map(|target| target.name.as_str()).collect();
        let message = format!("the site has no target `{}`", name.escape_debug());
        sink.push(Diagnostic::new(Code::InvalidValue, message).help(format!("it has: {}", known.join(", "))));
    }
    let allowlist = resolved(inputs, sink)?;
    if allowlist.entries().is_empty() && chosen(inputs, only).next().is_some() {
        let error = RenderError::Empty;
        sink.push(Diagnostic::new(Code::EmptyAllowlist, error.to_string()).help(error.help()));
    }
    Some(allowlist)
}

/// The site's targets, or those named.
pub(super) fn chosen<'a>(inputs: &'a Inputs, only: &[String]) -> impl Iterator<Item = &'a dyn Target> {
    let all = inputs.targets.iter().map(AsRef::as_ref);
    all.filter(move |target: &&dyn Target| only.is_empty() || only.contains(&target.common().name))
}

/// Renders the site's targets, or those named; `None` where nothing can be rendered.
pub(super) fn render_all(
    inputs: &Inputs,
    only: &[String],
    sink: &mut Diagnostics,
) -> Option<(Allowlist, Vec<Rendered>)> {
    let site = inputs.site.as_ref()?;
    let allowlist = wanted(inputs, only, sink)?;
    let mut rendered = Vec::new();
    for target in chosen(inputs, only) {
        let Common { name, mode, .. } = target.common();
        match target.render(&allowlist, &inputs.templates) {
            Ok(mut artifact) => {
                artifact.findings.drain(..).for_each(|found| sink.push(placed(found, site, name)));
                rendered.push(Rendered { name: name.clone(), mode: *mode, artifact });
            }
            // Told above, for all of them.
            Err(RenderError::Empty) => {}
            Err(error) => sink.push(placed(error.diagnostic(name), site, name)),
        }
    }
    Some((allowlist, rendered))
}

/// Points a finding about a target at the target's settings; nobody can edit those of the built-in site, and a
/// broken template is named with its own line.
fn placed(found: Diagnostic, site: &Site, name: &str) -> Diagnostic {
    let settings = site.targets.iter().find(|target| target.name == name);
    match settings.filter(|_| !site.is_built_in() && found.code != Code::TemplateError) {
        Some(target) => found.at(&site.text, target.node.span.clone(), ""),
        None => found,
    }
}

/// One file as it is, several with a line naming each.
fn print_files(files: &[&ArtifactFile]) -> Outcome {
    if let [one] = files {
        return print(&one.text);
    }
    let mut text = String::new();
    for file in files {
        // Writing into a String can't fail.
        let _ = write!(text, "==> {} <==\n{}\n", file.path, file.text);
    }
    print(&text)
}

fn write(out: &Path, files: &[&ArtifactFile], allowlist: &Allowlist, rendered: &[Rendered]) -> Outcome {
    let (v4, v6) = (allowlist.family(Family::V4).len(), allowlist.family(Family::V6).len());
    let mut text = String::new();
    for stamp in &allowlist.policies {
        // Writing into a String can't fail.
        let _ = writeln!(
            text,
            "policy {} revision {} digest {}",
            stamp.provider,
            stamp.revision,
            stamp.digest.short()
        );
    }
    let _ = writeln!(text, "{v4} IPv4 and {v6} IPv6 prefixes");
    for excluded in &allowlist.excluded {
        if let Exclusion::Expired(end) | Exclusion::Retired(end, _) = &excluded.why {
            let _ = writeln!(text, "not admitted: {}/{} since {end}", excluded.provider, excluded.source);
        }
    }
    let mode_of = |path: &str| {
        let owner = rendered.iter().find(|target| target.artifact.files.iter().any(|file| file.path == path));
        owner.map_or("", |target| target.mode.as_str())
    };
    for file in files {
        let path = out.join(&file.path);
        let changed = system::replace_file(&path, file.text.as_bytes())
            .with_context(|| format!("`{}` can't be written", path.display()))?;
        let verb = if changed { "wrote" } else { "kept " };
        let _ = writeln!(text, "{verb} {} {}", path.display(), mode_of(&file.path));
    }
    for path in manifest_of(files).map(|text| leftovers(out, files, text)).unwrap_or_default() {
        let _ = writeln!(text, "left over: {} is rendered no more; remove it", out.join(path).display());
    }
    print(&text.replace(" \n", "\n"))
}

fn check(out: &Path, files: &[&ArtifactFile]) -> Outcome {
    let stale = stale(out, files)?;
    if stale.is_empty() {
        return Ok(Exit::Ok);
    }
    let shown = stale.iter().map(|one| match one.diff.as_str() {
        "" => format!("left over: {} is rendered no more\n", one.path),
        diff => diff.to_owned(),
    });
    print(&shown.collect::<String>())?;
    complain(&format!("stale: {}; render anew with: callgate render --out {}\n", stale.len(), out.display()));
    Ok(Exit::Findings)
}

/// Files of a folder that are not as these, and those that are rendered no more.
fn stale(out: &Path, files: &[&ArtifactFile]) -> anyhow::Result<Vec<StaleReport>> {
    let mut stale = Vec::new();
    for file in files {
        let path = out.join(&file.path);
        let shown = path.display().to_string();
        // Bytes, not text: a byte order mark is a difference to whoever loads the file.
        let found = match system::read_bytes(&path, u64::MAX - 1) {
            Ok(found) => found,
            Err(system::ReadError::Missing { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        if found != file.text.as_bytes() {
            let diff = unified(&String::from_utf8_lossy(&found), &file.text, &shown);
            stale.push(StaleReport { path: shown, diff });
        }
    }
    let left_over = manifest_of(files).map(|text| leftovers(out, files, text)).unwrap_or_default();
    stale.extend(
        left_over
            .into_iter()
            .map(|path| StaleReport { path: out.join(path).display().to_string(), diff: String::new() }),
    );
    Ok(stale)
}

/// A folder of rendered files against what would be rendered now.
pub(super) fn compared(
    out: &Path,
    allowlist: &Allowlist,
    rendered: &[Rendered],
) -> anyhow::Result<RenderedReport> {
    let manifest = ArtifactFile { path: MANIFEST.to_owned(), text: manifest(allowlist, rendered, &[]) };
    let files = rendered.iter().flat_map(|target| &target.artifact.files).chain([&manifest]);
    let stale = stale(out, &files.collect::<Vec<_>>())?;
    Ok(RenderedReport { folder: out.display().to_string(), stale })
}

fn unified(found: &str, wanted: &str, path: &str) -> String {
    let diff = TextDiff::configure().timeout(std::time::Duration::from_secs(5)).diff_lines(found, wanted);
    diff.unified_diff().context_radius(3).header(path, &format!("{path} (rendered now)")).to_string()
}

/// The manifest among rendered files: only a whole rendering has one, and knows what is left over.
fn manifest_of<'a>(files: &[&'a ArtifactFile]) -> Option<&'a str> {
    files.iter().find(|file| file.path == MANIFEST).map(|file| file.text.as_str())
}

/// Files that the manifest on disk names and nothing renders any more; none where it is the new one.
fn leftovers(out: &Path, files: &[&ArtifactFile], new_manifest: &str) -> Vec<String> {
    let Ok(text) = system::read_text(&out.join(MANIFEST), 16 << 20) else { return Vec::new() };
    if text.text == new_manifest && !new_manifest.contains("\"left_over\"") {
        return Vec::new();
    }
    let Ok(manifest) = serde_json::from_str::<serde_json::Value>(&text.text) else { return Vec::new() };
    let targets = manifest.get("targets").and_then(serde_json::Value::as_array).into_iter().flatten();
    let named = targets.filter_map(|target| target.get("files")?.as_array()).flatten();
    let named = named.filter_map(|file| file.get("path")?.as_str());
    let before = manifest.get("left_over").and_then(serde_json::Value::as_array).into_iter().flatten();
    let paths = named.chain(before.filter_map(serde_json::Value::as_str));
    // A manifest is a file that anybody may have edited: nothing outside the folder is looked at.
    let inside = |path: &&str| {
        Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)))
    };
    let stale = paths.filter(inside).filter(|path| !files.iter().any(|file| file.path == *path));
    stale.filter(|path| out.join(path).exists()).map(str::to_owned).collect()
}

#[derive(Serialize)]
struct Manifest<'a> {
    version: u32,
    policies: Vec<Revision>,
    prefixes: ManifestCount,
    not_admitted: Vec<ManifestExcluded>,
    targets: Vec<ManifestTarget<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    left_over: &'a [String],
}

#[derive(Serialize)]
struct ManifestCount {
    v4: usize,
    v6: usize,
}

#[derive(Serialize)]
struct ManifestExcluded {
    provider: String,
    source: String,
    why: &'static str,
    since: String,
}

#[derive(Serialize)]
struct ManifestTarget<'a> {
    name: &'a str,
    mode: &'static str,
    files: Vec<ManifestFile<'a>>,
}

#[derive(Serialize)]
struct ManifestFile<'a> {
    path: &'a str,
    sha256: String,
}

/// What was rendered from what; like every artifact, without the time of the run.
fn manifest(allowlist: &Allowlist, rendered: &[Rendered], left_over: &[String]) -> String {
    let excluded = allowlist.excluded.iter().filter_map(|excluded| {
        let (why, since) = match &excluded.why {
            Exclusion::Expired(end) => ("expired", end),
            Exclusion::Retired(since, _) => ("retired", since),
            Exclusion::NotYet | Exclusion::Tombstone | Exclusion::Role(_) | Exclusion::Environment => {
                return None;
            }
        };
        let (provider, source) = (excluded.provider.to_string(), excluded.source.to_string());
        Some(ManifestExcluded { provider, source, why, since: since.to_string() })
    });
    let policies = allowlist.policies.iter().map(Revision::from);
    let targets = rendered.iter().map(|target| ManifestTarget {
        name: &target.name,
        mode: target.mode.as_str(),
        files: target
            .artifact
            .files
            .iter()
            .map(|file| ManifestFile { path: &file.path, sha256: sha256(&file.text) })
            .collect(),
    });
    let (v4, v6) = (allowlist.family(Family::V4).len(), allowlist.family(Family::V6).len());
    crate::report::json_v1::to_text(&Manifest {
        version: 1,
        policies: policies.collect(),
        prefixes: ManifestCount { v4, v6 },
        not_admitted: excluded.collect(),
        targets: targets.collect(),
        left_over,
    })
}

fn sha256(text: &str) -> String {
    crate::policy::Digest(Sha256::digest(text.as_bytes()).into()).to_string()
}
