//! nginx's configuration on this host, as it is and as it will be, and the locations that targets guard in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::nginx::{FileError, main_file, running};
use crate::admission::{Decider, Layer, Question, Text};
use crate::holding::Holding;
use crate::nginx::evaluate::Asked;
use crate::nginx::{self, Config, Files, ReadError, Request};
use crate::path::Entered;
use crate::plain::line;
use crate::plan::Change;
use crate::system::nginx::{self as tool, Defaults, Planned};
use crate::target::{Level, Location, Target};

/// A configuration with all that it includes. What is made of the files borrows from them, so they are kept until the
/// program ends: a run reads a handful of configurations, and is over.
#[derive(Debug)]
struct Configuration {
    main: PathBuf,
    defaults: Defaults,
    files: &'static Files,
    config: Config<'static>,
}

impl Configuration {
    fn read(main: &Path, defaults: &Defaults, planned: &Planned) -> Result<Self, ReadError> {
        let files: &'static Files = Box::leak(Box::new(tool::with(main, planned)?));
        let config = nginx::read(files)?;
        // What nginx would not load is told at once, and not once it is asked.
        Asked::new(&config, files, &Request::default())?;
        Ok(Self { main: main.to_path_buf(), defaults: defaults.clone(), files, config })
    }
}

/// A location that a target guards.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// The target.
    pub target: String,
    location: Location,
    configuration: Rc<Configuration>,
    /// Whether the configuration includes the target's file.
    is_included: bool,
}

/// Something that is missing, so that a target is not in force whatever its place holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The target.
    pub target: String,
    /// A stable name of what it is.
    pub code: &'static str,
    /// What it is.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// The files that changes put into nginx's configuration.
pub(super) fn planned(changes: &[Change]) -> Planned {
    let mut planned = Planned::new();
    for change in changes {
        if let Holding::NginxFile { path, .. } = &change.wish.holding {
            planned.insert(path.clone(), change.wish.want.as_deref().map(Text::from));
        }
    }
    planned
}

/// The locations that targets guard, in the configuration as it is, with some files as they are planned.
pub(super) fn read(targets: &[&dyn Target], planned: &Planned) -> Result<Vec<Guarded>, FileError> {
    let guarding: Vec<_> =
        targets.iter().filter_map(|target| Some((target.common(), target.location()?))).collect();
    let Some((_, first)) = guarding.first() else { return Ok(Vec::new()) };
    let missing = || FileError::Missing { path: line(&first.file.display().to_string()) };
    let defaults = tool::defaults().map_err(FileError::Broken)?.ok_or_else(missing)?;
    let mut known: BTreeMap<PathBuf, Rc<Configuration>> = BTreeMap::new();
    let mut found = Vec::with_capacity(guarding.len());
    for (common, location) in guarding {
        let main = main_file(location.config.as_deref(), &defaults);
        let configuration = match known.get(main) {
            Some(configuration) => Rc::clone(configuration),
            None => Rc::new(
                Configuration::read(main, &defaults, planned)
                    .map_err(|error| too_early(error, location, planned))?,
            ),
        };
        known.insert(main.to_path_buf(), Rc::clone(&configuration));
        let mut names = configuration.files.listings().iter().map(|listing| Path::new(&listing.name));
        let is_included = names.any(|name| tool::is_same_file(name, &location.file));
        let (target, location) = (common.name.clone(), location.clone());
        found.push(Guarded { target, location, configuration, is_included });
    }
    Ok(found)
}

/// A file that is included and not there yet is a special case: there is a way out.
fn too_early(error: ReadError, location: &Location, planned: &Planned) -> FileError {
    let path = line(&location.file.display().to_string());
    let is_there = planned.contains_key(&location.file) || location.file.exists();
    if is_there || !error.message.contains(&path) { error.into() } else { FileError::TooEarly { path } }
}

impl Guarded {
    /// The location, ready to be asked; `None` where nobody said what callers ask for, or where the file is not included,
    /// so that it can't decide anything.
    pub fn layer(&self) -> Option<Box<dyn Layer + '_>> {
        if self.is_included { self.asked() } else { None }
    }

    fn asked(&self) -> Option<Box<dyn Layer + '_>> {
        let request = self.location.request.as_ref()?;
        let configuration = self.configuration.as_ref();
        let asked = Asked::new(&configuration.config, configuration.files, request).ok()?;
        Some(match self.location.port {
            None => Box::new(asked),
            port => Box::new(Entered { layer: Box::new(asked), port, proxy: None }),
        })
    }

    /// What is missing for its file to be in force.
    pub(super) fn gap(&self, question: &Question) -> Option<Gap> {
        let file = line(&self.location.file.display().to_string());
        let include = format!("add `include {file};`");
        let gap =
            |message, help| Some(Gap { target: self.target.clone(), code: "not-included", message, help });
        if self.is_included {
            return None;
        }
        let message = format!("nothing in nginx's configuration includes `{file}`: it is not in force");
        let then = "then `nginx -t && nginx -s reload`";
        if self.location.level == Level::Http {
            return gap(message, format!("{include} to the block `http`, {then}"));
        }
        gap(
            message,
            match self.answering(question) {
                Some(place)
                    if place.facts.get("directive").is_some_and(|directive| directive == "location") =>
                {
                    format!("{include} to {} ({}:{}), {then}", place.title, line(&place.listing), place.line)
                }
                Some(place) => format!(
                    "{include} to a location of the callbacks in {} ({}:{}), {then}",
                    place.title,
                    line(&place.listing),
                    place.line
                ),
                None => format!("{include} to the location that receives the callbacks, {then}"),
            },
        )
    }

    /// The location that answers, or its server where no location does.
    fn answering(&self, question: &Question) -> Option<Decider> {
        let layer = self.asked()?;
        let sources = ["192.0.2.1", "2001:db8::1"].into_iter().filter_map(|source| source.parse().ok());
        let is_place = |decider: &Decider| {
            decider.facts.get("directive").is_some_and(|name| matches!(name.as_str(), "location" | "server"))
        };
        sources
            .map(|source| layer.trace(question, source).1)
            .find_map(|steps| steps.iter().rev().map(|step| layer.describe(step.rule)).find(is_place))
    }

    /// What somebody should know of it that is no fault.
    pub(super) fn notes(&self) -> Result<Vec<String>, FileError> {
        let mut notes = Vec::new();
        let target = &self.target;
        if self.location.request.is_none() {
            notes.push(format!(
                "target `{target}`: who gets into its location can't be asked, only that its file is there and included: set \
                 `path: /…` and `server_name:` in the target, or a layer `nginx` in the site's `path:`"
            ));
        }
        let Configuration { main, defaults, config, .. } = self.configuration.as_ref();
        if running(main, defaults, config)?.is_none() {
            notes.push(format!("target `{target}`: nginx is not running: its next start has the file"));
        }
        Ok(notes)
    }
}
