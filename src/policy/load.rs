//! Policies from files: those embedded in the binary, or a folder that takes their place whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::Policy;
use super::raw::RawPolicy;
use super::validate::{self, Lists};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, SourceText};
use crate::system::{self, Kind, ReadError};

/// Largest policy file read, in bytes.
pub const POLICY_BYTES_MAX: u64 = 16 << 20;
/// Largest prefix list read, in bytes: a million IPv6 prefixes.
pub const LIST_BYTES_MAX: u64 = 64 << 20;

include!(concat!(env!("OUT_DIR"), "/embedded_policies.rs"));

/// Where a text is taken from; paths are relative to the policy folder.
pub trait Library {
    /// Names of the policy files, sorted.
    fn policies(&self) -> Result<Vec<String>, ReadError>;
    /// The text of a file of at most `bytes_max` bytes, under the name to show.
    fn read(&self, path: &str, bytes_max: u64) -> Result<Arc<SourceText>, ReadError>;
    /// The name to show for a file that can't be read.
    fn shown(&self, path: &str) -> String;
}

/// The policies in the binary.
#[derive(Debug, Clone, Copy)]
pub struct Embedded;

impl Library for Embedded {
    fn policies(&self) -> Result<Vec<String>, ReadError> {
        Ok(EMBEDDED_POLICIES.iter().map(|(name, _)| (*name).to_owned()).collect())
    }

    fn read(&self, path: &str, _bytes_max: u64) -> Result<Arc<SourceText>, ReadError> {
        let found = EMBEDDED_POLICIES.iter().find(|(name, _)| *name == path);
        let (_, text) = found.ok_or_else(|| ReadError::Missing { path: self.shown(path) })?;
        Ok(SourceText::new(self.shown(path), (*text).to_owned()))
    }

    fn shown(&self, path: &str) -> String {
        format!("<embedded>/policies/{path}")
    }
}

/// A folder of policies.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// Names of its policy files, where it was listed already.
    names: Option<Vec<String>>,
}

impl Folder {
    /// The folder at this path.
    pub fn new(path: PathBuf) -> Self {
        Self { path, names: None }
    }

    /// The same, listed once for all; itself where it can't be, so that whoever asks for its policies is told why.
    #[must_use]
    pub fn listed(self) -> Self {
        Self { names: self.policies().ok(), ..self }
    }
}

impl Library for Folder {
    fn policies(&self) -> Result<Vec<String>, ReadError> {
        self.names.clone().map_or_else(|| system::list_folder(&self.path, &["yaml", "yml"]), Ok)
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Arc<SourceText>, ReadError> {
        system::read_text(&self.path.join(path), bytes_max)
    }

    fn shown(&self, path: &str) -> String {
        self.path.join(path).display().to_string()
    }
}

/// Policies by provider.
#[derive(Debug, Default)]
pub struct Policies {
    /// By provider id.
    pub by_provider: BTreeMap<String, Policy>,
    /// Names, without extension, of the files that were refused: what misses these policies is no further fault.
    pub refused: BTreeSet<String>,
}

/// Loads every policy of the library; faults go to `sink`, and what has errors is left out.
pub fn load(library: &dyn Library, at: Timestamp, sink: &mut Diagnostics) -> Policies {
    let mut policies = Policies::default();
    let names = match library.policies() {
        Ok(names) => names,
        Err(error) => {
            sink.push(read_fault(&error));
            return policies;
        }
    };
    if names.is_empty() {
        let none = Diagnostic::new(Code::FileUnreadable, format!("no policy in `{}`", library.shown("")));
        sink.push(
            none.help(
                "name a folder with `<provider>.yaml` files; `callgate init --with-policies` writes some",
            ),
        );
    }
    for name in names {
        load_into(library, &name, at, &mut policies, sink);
    }
    policies
}

/// Loads one policy file of the library into `policies`; faults go to `sink`.
pub fn load_into(
    library: &dyn Library,
    name: &str,
    at: Timestamp,
    policies: &mut Policies,
    sink: &mut Diagnostics,
) {
    let mut found = Diagnostics::new();
    match load_one(library, name, at, &mut found) {
        Some(policy) => keep(policy, name, at, &mut found, policies),
        None => drop(policies.refused.insert(stem(name).to_owned())),
    }
    sink.append(found);
}

fn keep(mut policy: Policy, name: &str, at: Timestamp, sink: &mut Diagnostics, into: &mut Policies) {
    let provider = policy.provider.as_str().to_owned();
    if provider != stem(name) {
        let message = format!("provider `{provider}` in a file named `{name}`");
        let mismatch = Diagnostic::new(Code::FileNameMismatch, message)
            .help(format!("rename the file to `{provider}.yaml`"));
        let mut found = Diagnostics::new();
        found.push(mismatch.at(&policy.text, 0..0, "").about(provider.clone()));
        validate::apply_waivers(&mut policy.waivers, at, &mut found);
        sink.append(found);
    }
    if let Some(other) = into.by_provider.get(&provider).filter(|other| other.text.name != policy.text.name) {
        let message = format!("provider `{provider}` is also in `{}`", other.text.name);
        let twice = Diagnostic::new(Code::DuplicateId, message).help("keep one file a provider");
        sink.push(twice.at(&policy.text, 0..0, ""));
        return;
    }
    into.by_provider.insert(provider, policy);
}

/// Loads one policy file and the lists it names.
pub fn load_one(library: &dyn Library, name: &str, at: Timestamp, sink: &mut Diagnostics) -> Option<Policy> {
    let text = match library.read(name, POLICY_BYTES_MAX) {
        Ok(text) => text,
        Err(error) => {
            sink.push(read_fault(&error));
            return None;
        }
    };
    let raw = validate::parse_raw(&text, sink)?;
    let lists = read_lists(library, &raw, &text, sink);
    validate::validate(raw, &text, &lists, at, sink)
}

fn read_lists(
    library: &dyn Library,
    raw: &RawPolicy,
    text: &Arc<SourceText>,
    sink: &mut Diagnostics,
) -> Lists {
    let mut lists = Lists::new();
    for path in raw.sources.iter().flatten().filter_map(|source| source.prefixes_from.as_ref()) {
        let inside = Path::new(&path.value).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || path.value.is_empty() {
            let message = format!("list `{}` is not beside the policy", path.value.escape_debug());
            let outside = Diagnostic::new(Code::InvalidValue, message).at(text, path.span.clone(), "");
            sink.push(outside.help("name a file in the policy's own folder, such as `lists/x.txt`"));
            continue;
        }
        match library.read(&path.value, LIST_BYTES_MAX) {
            Ok(list) => drop(lists.insert(path.value.clone(), list)),
            Err(error) => sink.push(read_fault(&error).at(text, path.span.clone(), "named here")),
        }
    }
    lists
}

/// A file that can't be read, as a diagnostic.
pub fn read_fault(error: &ReadError) -> Diagnostic {
    let (code, help) = match error {
        ReadError::Missing { .. } => (Code::FileUnreadable, "check the path"),
        ReadError::NotAFile { kind: Kind::Folder, .. } => (Code::FileUnreadable, "name a file, not a folder"),
        ReadError::NotAFile { kind: Kind::Other, .. } => {
            (Code::FileUnreadable, "name a regular file: pipes and devices are never read")
        }
        ReadError::NotAFolder { .. } => (Code::FileUnreadable, "name a folder"),
        ReadError::TooLarge { .. } => (
            Code::FileTooLarge,
            "check what was written there; a policy's long lists belong into files of their own, named by `prefixes_from`",
        ),
        ReadError::NotUtf8 { .. } => (Code::NotUtf8, "save the file as UTF-8"),
        ReadError::Io { .. } => (Code::FileUnreadable, "check the permissions"),
    };
    Diagnostic::new(code, error.to_string()).help(help)
}

fn stem(name: &str) -> &str {
    name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(name)
}
