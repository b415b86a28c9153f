//! What a command works on: policies, site and templates, from files or built in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::Global;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, SourceText};
use crate::policy::load::{Embedded, Folder, Library, Policies, load, read_fault};
use crate::site::{self, Site};
use crate::system;
use crate::target::template::Templates;
use crate::target::{self, Target, TargetKind};

/// Largest template read, in bytes.
pub(super) const TEMPLATE_BYTES_MAX: u64 = 1 << 20;

/// Everything that was read, and the instant to judge at.
pub(super) struct Inputs {
    pub(super) policies: Policies,
    /// `None` where nothing could be made of it.
    pub(super) site: Option<Site>,
    pub(super) targets: Vec<Box<dyn Target>>,
    pub(super) templates: Templates,
    pub(super) at: Timestamp,
}

/// Reads everything; faults go to `sink`.
pub(super) fn read(global: &Global, sink: &mut Diagnostics) -> Inputs {
    let at = super::instant(global);
    let policies = load(library(global).as_ref(), at, sink);
    with_policies(global, policies, at, sink)
}

/// Reads site and templates, to these policies.
pub(super) fn with_policies(
    global: &Global,
    policies: Policies,
    at: Timestamp,
    sink: &mut Diagnostics,
) -> Inputs {
    let site = read_site(global, &policies, sink);
    let targets = built(site.as_ref(), sink);
    let templates = read_templates(&base(global).join("templates"), sink);
    Inputs { policies, site, targets, templates, at }
}

/// What was read elsewhere; without a text of a site the built-in one is in force.
pub(super) fn put_together(
    policies: Policies,
    site: Option<Arc<SourceText>>,
    templates: Templates,
    at: Timestamp,
    sink: &mut Diagnostics,
) -> Inputs {
    let text = site.unwrap_or_else(built_in_site);
    let site = site::read(&text, &policies, sink);
    let targets = built(site.as_ref(), sink);
    Inputs { policies, site, targets, templates, at }
}

fn built(site: Option<&Site>, sink: &mut Diagnostics) -> Vec<Box<dyn Target>> {
    let settings = site.iter().flat_map(|site| site.targets.iter().map(move |settings| (settings, site)));
    settings.filter_map(|(settings, site)| target::build(settings, site, sink)).collect()
}

/// The folder that `policies` and `templates` are looked for in: the site file's.
pub(super) fn base(global: &Global) -> PathBuf {
    let parent = global.site.as_deref().and_then(Path::parent);
    parent.map(Path::to_path_buf).unwrap_or_default()
}

/// The user's folder of policies, named or found.
pub(super) fn policy_folder(global: &Global) -> Option<Folder> {
    if let Some(folder) = &global.policies {
        return Some(Folder::new(folder.clone()));
    }
    let beside = Folder::new(base(global).join("policies")).listed();
    let absent = match beside.policies() {
        Ok(names) => names.is_empty(),
        // What is there and can't be listed is a fault to tell, never a reason to use other policies.
        Err(error) => matches!(error, system::ReadError::Missing { .. }),
    };
    (!absent).then_some(beside)
}

/// The policies in force: the user's folder whole, or else the embedded ones.
pub(super) fn library(global: &Global) -> Box<dyn Library> {
    match policy_folder(global) {
        Some(folder) => Box::new(folder),
        None => Box::new(Embedded),
    }
}

fn read_site(global: &Global, policies: &Policies, sink: &mut Diagnostics) -> Option<Site> {
    let text = match site_text(global) {
        Ok(text) => text,
        Err(error) => {
            sink.push(read_fault(&error));
            return None;
        }
    };
    site::read(&text, policies, sink)
}

fn site_text(global: &Global) -> Result<Arc<SourceText>, system::ReadError> {
    match &global.site {
        Some(path) => system::read_text(path, site::BYTES_MAX),
        None => match system::read_text(Path::new(site::FILE_NAME), site::BYTES_MAX) {
            Err(system::ReadError::Missing { .. }) => Ok(built_in_site()),
            found => found,
        },
    }
}

fn built_in_site() -> Arc<SourceText> {
    SourceText::new(site::BUILT_IN_NAME, site::BUILT_IN.to_owned())
}

/// The templates of a folder.
pub(super) fn read_templates(folder: &Path, sink: &mut Diagnostics) -> Templates {
    let mut found = BTreeMap::new();
    // Folders that no target knows are read too, so that a misspelled one is told.
    let mut kinds = system::list_subfolders(folder);
    kinds.extend(TargetKind::ALL.iter().map(|kind| kind.folder()));
    // So is the folder itself: a template that stands beside the folders would be of no effect.
    kinds.push(".".to_owned());
    kinds.sort();
    kinds.dedup();
    for kind in kinds {
        let place = folder.join(&kind);
        let names = match system::list_folder(&place, &["tera"]) {
            Ok(names) => names,
            // It is the first of them; without it there are no others.
            Err(system::ReadError::Missing { .. }) if kind == "." => break,
            Err(system::ReadError::Missing { .. }) => continue,
            Err(error) => {
                sink.push(read_fault(&error));
                continue;
            }
        };
        for name in names {
            match system::read_text(&place.join(&name), TEMPLATE_BYTES_MAX) {
                Ok(text) => drop(found.insert(shown(&kind, &name), text.text.clone())),
                Err(error) => sink.push(read_fault(&error)),
            }
        }
    }
    known_templates(found, sink)
}

/// Templates by name; one that no target renders is a fault.
pub(super) fn known_templates(found: BTreeMap<String, String>, sink: &mut Diagnostics) -> Templates {
    Templates::new(found).unwrap_or_else(|error| {
        sink.push(Diagnostic::new(Code::TemplateError, error.to_string()).help(error.help()));
        Templates::default()
    })
}

/// A template's name; one that stands beside the folders has none before it.
fn shown(kind: &str, name: &str) -> String {
    if kind == "." { name.to_owned() } else { format!("{kind}/{name}") }
}
