//! Holdings: the places of our own in a system, and what is in them.
//!
//! A target owns one or several holdings: a table, chains with the jump to them, an ipset, a file. Each is read out of
//! what its tool lists, and compared by meaning. Where it differs, a [`Step`] brings it from what it is to what is wanted: one
//! transaction of one tool, with the difference only. A snapshot is what a holding held before, and going back is the
//! same step from what is there now to that. So nothing here knows of plans, and no restore is code of its own.
//!
//! What is not in a holding is other people's, and no step names it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::prefix::Family;

/// A place of our own. It tells all that is needed to read it, change it and bring it back, without the site's settings:
/// a rollback must work after the site file is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Holding {
    /// A table of family inet, whole. Its text is what `nft list table` prints.
    NftTable {
        /// Its name.
        table: String,
    },
    /// The chain `callgate` in somebody's table, its sets `callgate_v4` and `callgate_v6`, and the jump to it at the
    /// head of a base chain. Its text is a block of that table that holds these alone.
    NftChain {
        /// The table's family: `inet`, `ip` or `ip6`.
        family: String,
        /// The table.
        table: String,
        /// The base chain that jumps to ours.
        parent: String,
        /// Whether the jump is ours as well.
        jump: Jump,
    },
    /// Two chains of the table filter of iptables or ip6tables, the second named `…-ALLOW`, and the jump to the first. Its
    /// text is the lines of `iptables-save` that are about them.
    Iptables {
        /// Which of the two tools.
        family: Family,
        /// The first chain.
        chain: String,
        /// The chain that jumps to it.
        parent: String,
        /// Whether the jump is ours as well.
        jump: Jump,
    },
    /// An ipset. Its text is what `ipset save` prints of it.
    Ipset {
        /// Its name.
        name: String,
    },
    /// A file that nginx includes. Its text is its bytes.
    NginxFile {
        /// Where.
        path: PathBuf,
    },
}

/// Whose the jump into a chain of ours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jump {
    /// Ours: put in and taken out with the chain.
    Ours,
    /// Somebody else's.
    Theirs,
}

/// What a holding holds: its text, or `None` where it is not there.
pub type Content = Option<String>;

/// One transaction of one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The place that it changes.
    pub holding: Holding,
    /// What the tool gets: its input, or a file's bytes; `None` where a file goes.
    pub input: Content,
    /// What it does, in words.
    pub does: String,
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holding::NftTable { table } => write!(f, "nft table inet {table}"),
            Holding::NftChain { family, table, .. } => write!(f, "nft chain {family} {table} callgate"),
            Holding::Iptables { family: Family::V4, chain, .. } => write!(f, "iptables chain {chain}"),
            Holding::Iptables { family: Family::V6, chain, .. } => write!(f, "ip6tables chain {chain}"),
            Holding::Ipset { name } => write!(f, "ipset {name}"),
            Holding::NginxFile { path } => write!(f, "file {}", path.display()),
        }
    }
}
