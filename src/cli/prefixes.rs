//! `callgate prefixes`

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Exit, Outcome, complain, show, written};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, SourceText};
use crate::policy::validate::prefix_fault;
use crate::prefix::PrefixSet;
use crate::prefix::list::{EntryError, FAULTS_MAX, Fault, List, ListError, print};
use crate::system;

const AFTER_HELP: &str = "A list has one prefix, address or first-last range a line, of both families in any \
order; `#` and `;` start a comment. `-` is standard input. What is printed are the fewest prefixes, IPv4 first, \
ascending, single addresses without a length.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Prefixes {
    #[command(subcommand)]
    operation: Operation,
}

#[derive(Debug, clap::Subcommand)]
enum Operation {
    /// Print the fewest prefixes for the addresses of all lists
    #[command(after_help = AFTER_HELP)]
    Aggregate(Files),
    /// Print what the second list lacks (`-`) and what it adds (`+`); status 1 where they differ
    #[command(after_help = AFTER_HELP)]
    Diff {
        /// The first list
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// The second list
        #[arg(value_name = "NEW")]
        new: PathBuf,
    },
    /// Print the addresses that are in every list
    #[command(after_help = AFTER_HELP)]
    Intersect(Files),
    /// Print the addresses of the first list that are in none of the others
    #[command(after_help = AFTER_HELP)]
    Subtract(Files),
}

#[derive(Debug, clap::Args)]
struct Files {
    /// The lists
    #[arg(value_name = "FILE", required = true)]
    paths: Vec<PathBuf>,
}

/// What the lists give.
enum Answer {
    Set(PrefixSet),
    Difference { removed: PrefixSet, added: PrefixSet },
}

impl Prefixes {
    pub(super) fn run(self) -> Outcome {
        let mut inputs = Inputs::default();
        let answer = self.operation.answer(&mut inputs)?;
        show(&inputs.faults);
        for name in &inputs.unread {
            complain(&format!("the rest of `{name}` was not read\n"));
        }
        if inputs.faults.has_errors() {
            return Ok(Exit::Failure);
        }
        match answer {
            Answer::Set(set) => {
                written(print::set(&set, io::stdout().lock()))?;
                Ok(Exit::Ok)
            }
            Answer::Difference { removed, added } => {
                written(print::changes(&removed, &added, io::stdout().lock()))?;
                Ok(if removed.is_empty() && added.is_empty() { Exit::Ok } else { Exit::Findings })
            }
        }
    }
}

impl Operation {
    fn answer(&self, inputs: &mut Inputs) -> anyhow::Result<Answer> {
        Ok(match self {
            Self::Aggregate(files) => Answer::Set(inputs.union(&files.paths)?),
            Self::Diff { old, new } => {
                let old = inputs.union(std::slice::from_ref(old))?;
                let new = inputs.union(std::slice::from_ref(new))?;
                Answer::Difference { removed: old.difference(&new), added: new.difference(&old) }
            }
            Self::Intersect(files) => {
                let mut common: Option<PrefixSet> = None;
                for path in &files.paths {
                    let set = inputs.union(std::slice::from_ref(path))?;
                    common = Some(common.map_or(set.clone(), |common| common.intersection(&set)));
                }
                Answer::Set(common.unwrap_or_default())
            }
            Self::Subtract(files) => {
                let (first, others) = files.paths.split_first().context("no list is named")?;
                let first = inputs.union(std::slice::from_ref(first))?;
                Answer::Set(first.difference(&inputs.union(others)?))
            }
        })
    }
}

/// Lists as they are read, with the faults found so far.
#[derive(Default)]
struct Inputs {
    faults: Diagnostics,
    /// Lists with so many faults that reading them was given up.
    unread: Vec<String>,
    stdin_is_read: bool,
}

impl Inputs {
    /// The addresses of all these lists.
    fn union(&mut self, paths: &[PathBuf]) -> anyhow::Result<PrefixSet> {
        let mut list = List::new();
        for path in paths {
            self.read(path, &mut list)?;
        }
        Ok(list.into_set())
    }

    fn read(&mut self, path: &Path, list: &mut List) -> anyhow::Result<()> {
        let (name, found) = if path.as_os_str() == OsStr::new("-") {
            anyhow::ensure!(!self.stdin_is_read, "standard input can be one list only");
            self.stdin_is_read = true;
            ("<stdin>".to_owned(), list.read(io::stdin().lock()))
        } else {
            (path.display().to_string(), list.read(system::open_stream(path)?))
        };
        let found = found.map_err(|error| match error {
            ListError::Io(cause) => anyhow::anyhow!("`{name}` can't be read: {cause}"),
            ListError::LineTooLong { .. } | ListError::TooLong | ListError::TooMany => {
                anyhow::anyhow!("`{name}` is no list that callgate reads: {error}")
            }
        })?;
        if found.len() >= FAULTS_MAX {
            self.unread.push(name.clone());
        }
        self.faults.extend(found.into_iter().map(|fault| diagnostic(&name, fault)));
        Ok(())
    }
}

/// A fault with its code, its line and its mend.
fn diagnostic(name: &str, fault: Fault) -> Diagnostic {
    let told = match &fault.error {
        EntryError::Prefix(error) => prefix_fault(error),
        EntryError::PrefixInRange(_) => Diagnostic::new(Code::NotAPrefix, fault.error.to_string())
            .help("write an address on each side, or the prefixes on lines of their own"),
        EntryError::MixedRange(_) => {
            Diagnostic::new(Code::NotAPrefix, fault.error.to_string()).help("write a range for each family")
        }
        EntryError::BackwardRange(_) => Diagnostic::new(Code::NotAPrefix, fault.error.to_string())
            .help("write the lower address first, if that was meant"),
    };
    told.at(&SourceText::excerpt(name, fault.text, fault.line), fault.span, "")
}
