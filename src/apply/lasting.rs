//! Files that outlive a reboot: how they stand, and written once a change is kept.

use crate::holding::lasting::{Lasting, Part};
use crate::system::durable::{link, link_durably};
use crate::system::installed::replace_installed;
use crate::system::{self, ReadError};

/// Largest file that is read or written, in bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A file, and how it stands.
#[derive(Debug)]
pub struct Looked {
    /// The file.
    pub file: Lasting,
    /// How it stands.
    pub standing: Standing,
    /// Why it does not do what it is for, though it can be written.
    pub unreached: Option<Fault>,
}

/// How a file stands.
#[derive(Debug)]
pub enum Standing {
    /// It is as it should be.
    AsWanted,
    /// It should be this; a link has no text.
    Stale(Option<String>),
    /// It can't be made what it should be.
    Unfit(Fault),
}

/// What is in the way, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it is.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Looked {
    /// Whether it has to be written.
    pub fn is_stale(&self) -> bool {
        matches!(self.standing, Standing::Stale(_))
    }

    /// Why a reboot loses the target's rules all the same.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        let unfit = match &self.standing {
            Standing::Unfit(fault) => Some(fault),
            Standing::AsWanted | Standing::Stale(_) => None,
        };
        unfit.into_iter().chain(&self.unreached)
    }
}

/// How files stand. Nothing is changed.
pub fn look(files: &[Lasting]) -> Vec<Looked> {
    let look = |file: &Lasting| Looked {
        file: file.clone(),
        standing: standing(file).unwrap_or_else(Standing::Unfit),
        unreached: unreached(file),
    };
    files.iter().map(look).collect()
}

fn standing(file: &Lasting) -> Result<Standing, Fault> {
    if let Part::Link { to } = &file.part {
        let there =
            link(&file.path).map_err(|error| Fault { message: error.to_string(), help: error.help() })?;
        return Ok(if there.as_ref() == Some(to) { Standing::AsWanted } else { Standing::Stale(None) });
    }
    let have = text(&file.path)?;
    match file.edited(have.as_deref()) {
        Ok(None) => Ok(Standing::AsWanted),
        Ok(edited) => Ok(Standing::Stale(edited)),
        Err(unfit) => Err(Fault { message: unfit.to_string(), help: unfit.help() }),
    }
}

fn unreached(file: &Lasting) -> Option<Fault> {
    let main = file.included_by()?;
    let text = match text(main) {
        Ok(text) => text.unwrap_or_default(),
        Err(fault) => return Some(fault),
    };
    let unfit = file.is_reached(main, &text).err()?;
    Some(Fault { message: unfit.to_string(), help: unfit.help() })
}

fn text(path: &std::path::Path) -> Result<Option<String>, Fault> {
    let help = "look at what is there: it has to be text, and readable".to_owned();
    match system::read_bytes(path, FILE_BYTES_MAX) {
        Err(ReadError::Missing { .. }) => Ok(None),
        Err(error) => Err(Fault { message: error.to_string(), help }),
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Fault { message: format!("`{}` is not text", path.display()), help }),
        },
    }
}

/// Writes those that are not as they should be, and says which could not be.
pub fn write(files: &[Lasting]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in files {
        // Each by what is there now: an earlier one may be a part of the same file.
        let written = match standing(file) {
            Ok(Standing::AsWanted) => continue,
            Ok(Standing::Stale(Some(text))) => replace_installed(&file.path, text.as_bytes()).map(drop),
            Ok(Standing::Stale(None)) => match &file.part {
                Part::Link { to } => link_durably(&file.path, to),
                Part::Whole { .. } | Part::Rules { .. } | Part::Set { .. } => Ok(()),
            },
            Ok(Standing::Unfit(fault)) | Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        if let Err(error) = written {
            faults.push(Fault { message: error.to_string(), help: error.help() });
        }
    }
    faults
}
