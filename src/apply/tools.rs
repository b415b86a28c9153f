//! The tools that hold what is ours: reading them, asking them, telling them.

use std::sync::Arc;
use std::time::Duration;

use super::aws::error::AwsError;
use super::aws::{self, Cloud};
use super::configuration::Guarded;
use super::nginx::{self, FileError};
use crate::holding::{Content, Holding, HoldingError, Listed, Step};
use crate::netfilter::host::{Host, ListingError};
use crate::prefix::Family;
use crate::system::host::{Capture, CaptureError, Needs, capture};
use crate::system::{self, CommandError};

/// Why a tool did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The host's rules can't be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A listing can't be read.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// What is in a place of ours can't be told.
    #[error(transparent)]
    Holding(#[from] HoldingError),
    /// It is not here.
    #[error("`{program}` is not here, and {holding} needs it")]
    Missing {
        /// The tool.
        program: String,
        /// For what.
        holding: String,
    },
    /// It refused, failed, or hung.
    #[error("{holding}: {cause}")]
    Command {
        /// The place.
        holding: String,
        /// What it said.
        cause: CommandError,
    },
    /// A file of nginx's is not in place, or not in force.
    #[error(transparent)]
    File(#[from] FileError),
    /// AWS can't be asked, or did not do what it was told.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl ToolError {
    /// What to do.
    pub fn help(&self) -> Option<String> {
        match self {
            ToolError::Capture(_) => Some("run it as root, on the host that is meant".to_owned()),
            ToolError::Listing(error) => Some(error.help().to_owned()),
            ToolError::Missing { program, .. } => {
                Some(format!("install `{program}`, or remove the target that needs it"))
            }
            ToolError::Command { .. } => {
                Some("nothing of this step is in force; what the tool says tells why".to_owned())
            }
            ToolError::File(error) => Some(error.help()),
            ToolError::Aws(error) => Some(error.help()),
            ToolError::Holding(_) => None,
        }
    }
}

/// What is there now: the rules of the host, of nginx and of AWS, whoever wrote them.
#[derive(Debug, Default)]
pub struct Seen {
    /// The packet filter, where a holding is in it.
    pub host: Option<Arc<Host>>,
    /// What the host's tools listed, as far as holdings are read from it.
    pub listed: Listed,
    /// The locations of nginx that targets guard, where that was wanted.
    pub nginx: Vec<Guarded>,
    /// AWS, account by account, where a holding is there.
    pub clouds: Vec<Cloud>,
}

/// Reads what is there, as far as these places are in it. Nothing is changed.
pub fn read(holdings: &[Holding]) -> Result<Seen, ToolError> {
    let needs = Needs {
        iptables: holdings.iter().any(|holding| matches!(holding, Holding::Iptables { .. })),
        ipset: holdings.iter().any(|holding| matches!(holding, Holding::Ipset { .. })),
    };
    let is_elsewhere = |holding: &Holding| {
        matches!(
            holding,
            Holding::NginxFile { .. } | Holding::AwsGroup { .. } | Holding::AwsPrefixList { .. }
        )
    };
    let capture = if holdings.iter().all(is_elsewhere) { None } else { Some(capture(needs)?) };
    let listed = capture.as_ref().map(Capture::listed).unwrap_or_default();
    let clouds = aws::read::read(holdings)?;
    // Who can't be asked has not said that there is nothing.
    let unasked = holdings.iter().find_map(|holding| Some((unasked(holding, &listed)?, holding)));
    if let Some((program, holding)) = unasked {
        return Err(ToolError::Missing { program: program.to_owned(), holding: holding.to_string() });
    }
    let host = capture.map(Capture::host).transpose()?.map(Arc::new);
    Ok(Seen { host, listed, nginx: Vec::new(), clouds })
}

/// What a place holds, out of what was read. A file of nginx's is read now.
pub fn content(seen: &Seen, holding: &Holding) -> Result<Content, ToolError> {
    Ok(match holding {
        Holding::NginxFile { path, .. } => nginx::read(path)?,
        Holding::AwsGroup { .. } | Holding::AwsPrefixList { .. } => aws::read::own(&seen.clouds, holding)?,
        Holding::NftTable { .. }
        | Holding::NftChain { .. }
        | Holding::Iptables { .. }
        | Holding::Ipset { .. } => holding.own(&seen.listed),
    })
}

/// The tool that lists what is in a holding, where it is not here.
fn unasked(holding: &Holding, listed: &Listed) -> Option<&'static str> {
    let (program, listing) = match holding {
        Holding::NftTable { .. } | Holding::NftChain { .. } => ("nft", &listed.nft),
        Holding::Iptables { family: Family::V4, .. } => ("iptables-save", &listed.iptables),
        Holding::Iptables { family: Family::V6, .. } => ("ip6tables-save", &listed.ip6tables),
        Holding::Ipset { .. } => ("ipset", &listed.ipset),
        Holding::NginxFile { .. } | Holding::AwsGroup { .. } | Holding::AwsPrefixList { .. } => return None,
    };
    listing.is_none().then_some(program)
}

/// The command that reads a step's input, and the same as a dry run.
fn command(holding: &Holding) -> (&'static str, &'static [&'static str], Option<&'static [&'static str]>) {
    match holding {
        Holding::NftTable { .. } | Holding::NftChain { .. } => {
            ("nft", &["-f", "-"], Some(&["-c", "-f", "-"]))
        }
        Holding::Iptables { family, .. } => {
            let program = match family {
                Family::V4 => "iptables-restore",
                Family::V6 => "ip6tables-restore",
            };
            (program, &["-w", "10", "--noflush"], Some(&["-w", "10", "--noflush", "--test"]))
        }
        // It has no dry run.
        Holding::Ipset { .. } => ("ipset", &["-exist", "restore"], None),
        // Put in place by other ways.
        Holding::NginxFile { .. } => ("nginx", &["-t"], None),
        Holding::AwsGroup { .. } | Holding::AwsPrefixList { .. } => ("aws", &[], None),
    }
}

/// Asks the tools whether they would take these steps. Rules that name a set which an earlier step makes can't be asked
/// about before it is there.
pub fn check_all<'s>(steps: impl Iterator<Item = &'s Step>) -> Result<(), ToolError> {
    let mut makes_sets = false;
    for step in steps {
        makes_sets |= matches!(step.holding, Holding::Ipset { .. });
        if let Some(file) = file(&step.holding) {
            file.check()?;
            continue;
        }
        aws::run::check(step)?;
        let waits = makes_sets && matches!(step.holding, Holding::Iptables { .. });
        if let (program, _, Some(dry)) = command(&step.holding)
            && !waits
        {
            feed(step, program, dry)?;
        }
    }
    Ok(())
}

/// Carries a step out: one transaction, which is in force whole or not at all. In AWS it is a few calls, and what is added
/// comes before what is taken away.
pub fn run(step: &Step) -> Result<(), ToolError> {
    if let Some(file) = file(&step.holding) {
        return Ok(file.put(&step.input)?);
    }
    if aws::place(&step.holding).is_some() {
        return Ok(aws::run::run(step)?);
    }
    let (program, arguments, _) = command(&step.holding);
    let mut patience = 40_u32;
    loop {
        match feed(step, program, arguments) {
            // The kernel lets go of a set a moment after the rule that named it is gone.
            Err(ToolError::Command { cause: CommandError::Failed { stderr, .. }, .. })
                if patience > 0 && stderr.contains("in use by a kernel component") =>
            {
                patience = patience.saturating_sub(1);
                std::thread::sleep(Duration::from_millis(50));
            }
            done => return done,
        }
    }
}

/// Makes sure that what a place holds is in force, where that is another thing: nginx loads files once.
pub fn load(holding: &Holding) -> Result<(), ToolError> {
    Ok(file(holding).map_or(Ok(()), nginx::Place::load)?)
}

/// A file of nginx's.
fn file(holding: &Holding) -> Option<nginx::Place<'_>> {
    match holding {
        Holding::NginxFile { path, config } => Some(nginx::Place { path, config: config.as_deref() }),
        Holding::NftTable { .. }
        | Holding::NftChain { .. }
        | Holding::Iptables { .. }
        | Holding::Ipset { .. }
        | Holding::AwsGroup { .. }
        | Holding::AwsPrefixList { .. } => None,
    }
}

fn feed(step: &Step, program: &str, arguments: &[&str]) -> Result<(), ToolError> {
    let input = step.input.as_deref().unwrap_or_default();
    let holding = || step.holding.to_string();
    match system::tool(program, arguments, input.as_bytes()) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(ToolError::Missing { program: program.to_owned(), holding: holding() }),
        Err(cause) => Err(ToolError::Command { holding: holding(), cause }),
    }
}
