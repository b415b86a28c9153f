//! The state that a change is judged against: a git revision, or a folder.
//!
//! Nothing is checked out: git is asked for each file, and every file is bounded as those on disk are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::Global;
use super::inputs::{self, Inputs, TEMPLATE_BYTES_MAX};
use crate::diagnostic::{Diagnostics, SourceText};
use crate::policy::load::{Embedded, Folder, Library, load, read_fault};
use crate::site;
use crate::system::{self, CommandError, ReadError};

/// Templates of a base that are read; there are fewer kinds of them than that.
const TEMPLATES_MAX: usize = 64;

/// The policies at a git revision, in a folder, or, where the revision has none, those embedded.
pub(super) fn base_library(against: &str, folder: &Path) -> anyhow::Result<Box<dyn Library>> {
    let path = Path::new(against);
    if path.is_dir() {
        return Ok(Box::new(Folder::new(path.to_path_buf())));
    }
    let tree = Tree::new(against, folder)?;
    if tree.names.is_empty() { Ok(Box::new(Embedded)) } else { Ok(Box::new(tree)) }
}

/// A whole earlier state: policies, site and templates.
pub(super) struct Base {
    /// What was read, judged at the same instant as the new state.
    pub(super) inputs: Inputs,
    /// The commit, where it is one.
    pub(super) commit: Option<String>,
    /// Whether its policies are those of the program, because it has no policy folder.
    pub(super) built_in_policies: bool,
    /// How its files are named, and where they stand now.
    pub(super) renamed: Vec<(String, String)>,
}

/// Reads policies, site and templates of a revision or folder; faults in them go to `sink`.
///
/// A folder with a site file, `policies` or `templates` is a whole state. Any other is a policy folder, as `check
/// --against` takes it: site and templates are those of now.
pub(super) fn read(
    given: &str,
    global: &Global,
    at: Timestamp,
    sink: &mut Diagnostics,
) -> anyhow::Result<Base> {
    if Path::new(given).is_dir() {
        Ok(read_folder(given, global, at, sink))
    } else {
        read_commit(given, global, at, sink)
    }
}

/// The policy folder of now, or the place where it would be.
fn policy_place(global: &Global) -> PathBuf {
    inputs::policy_folder(global).map_or_else(|| inputs::base(global).join("policies"), |folder| folder.path)
}

fn read_folder(given: &str, global: &Global, at: Timestamp, sink: &mut Diagnostics) -> Base {
    let folder = Path::new(given);
    let site_name = global.site.as_deref().and_then(Path::file_name).unwrap_or(site::FILE_NAME.as_ref());
    let is_whole = folder.join(site_name).is_file()
        || folder.join("policies").is_dir()
        || folder.join("templates").is_dir();
    let shown = |path: &Path| path.display().to_string();
    let now = policy_place(global);
    if !is_whole {
        let there = Folder::new(folder.to_path_buf());
        let policies = load(&there, at, sink);
        let renamed = vec![(shown(folder), shown(&now))];
        return Base {
            inputs: inputs::with_policies(global, policies, at, sink),
            commit: None,
            built_in_policies: false,
            renamed,
        };
    }
    let site = folder.join(site_name);
    let of_folder = Global {
        policies: folder.join("policies").is_dir().then(|| folder.join("policies")),
        site: Some(site.clone()).filter(|site| site.is_file()),
        at: Some(at),
    };
    let built_in_policies = of_folder.policies.is_none();
    let policies = match &of_folder.policies {
        Some(policies) => load(&Folder::new(policies.clone()), at, sink),
        None => load(&Embedded, at, sink),
    };
    let site_text = of_folder.site.as_ref().map(|site| system::read_text(site, site::BYTES_MAX));
    let templates = inputs::read_templates(&folder.join("templates"), sink);
    let renamed = vec![
        (shown(&folder.join("policies")), shown(&now)),
        (shown(&folder.join("templates")), shown(&inputs::base(global).join("templates"))),
        (shown(&site), shown(&site_place(global))),
    ];
    let inputs = match site_text.transpose() {
        Ok(text) => inputs::put_together(policies, text, templates, at, sink),
        Err(error) => {
            sink.push(read_fault(&error));
            inputs::put_together(policies, None, templates, at, sink)
        }
    };
    Base { inputs, commit: None, built_in_policies, renamed }
}

/// The site file of now.
fn site_place(global: &Global) -> PathBuf {
    global.site.clone().unwrap_or_else(|| PathBuf::from(site::FILE_NAME))
}

fn read_commit(given: &str, global: &Global, at: Timestamp, sink: &mut Diagnostics) -> anyhow::Result<Base> {
    let tree = Tree::new(given, &policy_place(global))?;
    let built_in_policies = tree.names.is_empty();
    let policies =
        if built_in_policies { load(&Embedded, at, sink) } else { load(&tree as &dyn Library, at, sink) };
    let (commit, from) = (&tree.commit, inputs::base(global));
    let beside = Commit { from: parent_or_here(&from.join(site::FILE_NAME)), id: commit.id.clone() };
    let site = site_place(global);
    let name = site.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut text = None;
    if !beside.files(&name)?.is_empty() {
        match beside.read(&name, site::BYTES_MAX, commit.shown(&site.display().to_string())) {
            Ok(found) => text = Some(found),
            Err(error) => sink.push(read_fault(&error)),
        }
    }
    let mut templates = BTreeMap::new();
    let listed = beside.files("templates/")?;
    for path in
        listed.iter().filter(|path| matches!(path.rsplit_once('.'), Some((_, "tera")))).take(TEMPLATES_MAX)
    {
        let shown = commit.shown(&from.join("templates").join(path).display().to_string());
        match beside.read(&format!("templates/{path}"), TEMPLATE_BYTES_MAX, shown) {
            Ok(found) => drop(templates.insert(path.clone(), found.text.clone())),
            Err(error) => sink.push(read_fault(&error)),
        }
    }
    let templates = inputs::known_templates(templates, sink);
    let renamed = vec![(commit.shown(""), String::new())];
    let id = Some(commit.id.clone());
    let inputs = inputs::put_together(policies, text, templates, at, sink);
    Ok(Base { inputs, commit: id, built_in_policies, renamed })
}

/// The folder that a path is in.
fn parent_or_here(path: &Path) -> String {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.display().to_string(),
        Some(_) | None => ".".to_owned(),
    }
}

/// A commit, seen from a folder of its repository.
struct Commit {
    from: String,
    id: String,
}

impl Commit {
    fn resolve(revision: &str, from: String) -> anyhow::Result<Self> {
        if revision.starts_with('-') {
            anyhow::bail!("`{revision}` is neither a folder nor a git revision");
        }
        let spec = format!("{revision}^{{commit}}");
        let found = git(&from, &["rev-parse", "--verify", "--quiet", "--end-of-options", &spec]);
        let id = found.map_err(|error| {
            let help = if is_shallow(&from) { SHALLOW_HELP } else { "" };
            anyhow::anyhow!("`{revision}` is neither a folder nor a git revision here ({error}){help}")
        })?;
        Ok(Self { from, id: String::from_utf8_lossy(&id).trim().to_owned() })
    }

    /// Files below a folder (`name/`, their paths below it), or the file of this name.
    fn files(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let listed =
            git(&self.from, &["ls-tree", "-r", "-z", "--name-only", &self.id, &format!("./{name}")])?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        // Names are relative to the folder that git is asked from.
        let below = |path: &str| path.strip_prefix(name).unwrap_or(path).to_owned();
        Ok(listed.split('\0').filter(|path| !path.is_empty()).map(below).collect())
    }

    fn read(&self, path: &str, bytes_max: u64, shown: String) -> Result<Arc<SourceText>, ReadError> {
        let object = format!("{}:./{path}", self.id);
        let failed = |error: CommandError| ReadError::Io {
            path: shown.clone(),
            cause: std::io::Error::other(error.to_string()),
        };
        let size = git(&self.from, &["cat-file", "-s", &object]).map_err(failed)?;
        let size: u64 = String::from_utf8_lossy(&size).trim().parse().unwrap_or(u64::MAX);
        if size > bytes_max {
            return Err(ReadError::TooLarge { path: shown, bytes_max });
        }
        let bytes = git(&self.from, &["cat-file", "blob", &object]).map_err(failed)?;
        system::text_of(bytes, shown)
    }

    /// The name by which a file of it is shown.
    fn shown(&self, path: &str) -> String {
        let short: String = self.id.chars().take(12).collect();
        format!("{short}:{path}")
    }
}

const SHALLOW_HELP: &str = "\n  help: this clone is shallow: fetch the base as well, such as `git fetch --unshallow` or \
`fetch-depth: 0` of actions/checkout";

fn is_shallow(from: &str) -> bool {
    git(from, &["rev-parse", "--is-shallow-repository"]).is_ok_and(|said| said.starts_with(b"true"))
}

/// The policy folder as it was at a git revision.
struct Tree {
    commit: Commit,
    name: String,
    shown: PathBuf,
    names: Vec<String>,
}

impl Tree {
    fn new(revision: &str, folder: &Path) -> anyhow::Result<Self> {
        let Some(name) = folder.file_name() else {
            anyhow::bail!("`{}` is not a policy folder in a git repository", folder.display())
        };
        let commit = Commit::resolve(revision, parent_or_here(folder))?;
        let name = name.to_string_lossy().into_owned();
        let is_policy =
            |file: &String| !file.contains('/') && matches!(file.rsplit_once('.'), Some((_, "yaml" | "yml")));
        let names = commit.files(&format!("{name}/"))?.into_iter().filter(is_policy).collect();
        Ok(Self { commit, name, shown: folder.to_path_buf(), names })
    }
}

impl Library for Tree {
    fn policies(&self) -> Result<Vec<String>, ReadError> {
        Ok(self.names.clone())
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Arc<SourceText>, ReadError> {
        self.commit.read(&format!("{}/{path}", self.name), bytes_max, self.shown(path))
    }

    fn shown(&self, path: &str) -> String {
        self.commit.shown(&self.shown.join(path).display().to_string())
    }
}

/// Where the working folder stands in its repository: the root, and the path below it.
pub(super) fn repository() -> Option<(String, String)> {
    let said = |what: &str| {
        let printed = git(".", &["rev-parse", what]).ok()?;
        Some(String::from_utf8_lossy(&printed).trim_end_matches('\n').to_owned())
    };
    Some((said("--show-toplevel")?, said("--show-prefix")?))
}

fn git(from: &str, arguments: &[&str]) -> Result<Vec<u8>, CommandError> {
    let mut all = vec!["-C", from];
    all.extend(arguments);
    system::run("git", &all)
}
