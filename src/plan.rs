//! Plans: from what our places hold to what they should, as ordered steps.
//!
//! A plan says what will be done before anything is done, and its digest names exactly that: the rules that were read, the
//! policies, the instant, and every step. What is planned is asked of a copy of the host first, in which it is in force.
//! Nothing here touches a system.
#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]

pub mod guardrail;
pub mod moves;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::admission::{Admission, Layer, Question};
use crate::allowlist::Allowlist;
use crate::drift::{Drift, Mode, compare};
use crate::holding::aws::{self, Whom};
use crate::holding::{Content, Holding, HoldingError, Step};
use crate::netfilter::Host;
use crate::policy::Digest;
use crate::prefix::PrefixSet;

/// A place of ours, with what is in it and what should be.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The target whose place it is.
    pub target: String,
    /// The place.
    pub holding: Holding,
    /// What is in it.
    pub have: Content,
    /// What should be.
    pub want: Content,
}

/// A place that is to be changed, and how.
#[derive(Debug, Clone)]
pub struct Change {
    /// The place, with what is in it and what will be.
    pub wish: Wish,
    /// What is done.
    pub step: Step,
}

/// The changes that wishes need, in the order in which they are carried out: what a rule names is made before the rule,
/// and taken away after it.
pub fn changes<'w>(wishes: impl IntoIterator<Item = &'w Wish>) -> Result<Vec<Change>, HoldingError> {
    let (mut made, mut removed) = (Vec::new(), Vec::new());
    for wish in wishes {
        let Some(step) = wish.holding.step(&wish.have, &wish.want)? else { continue };
        let change = Change { wish: wish.clone(), step };
        if change.wish.want.is_none() { removed.push(change) } else { made.push(change) }
    }
    let arriving = aws::arriving(made.iter().map(|change: &Change| &change.step))?;
    made.sort_by_key(|change| rank(&change.step, &arriving));
    removed.sort_by_key(|change: &Change| std::cmp::Reverse(rank(&change.step, &arriving)));
    made.extend(removed);
    Ok(made)
}

/// What others name comes first. A prefix list that only loses entries, or loses those that a group gets by rules of its own,
/// waits for the group.
fn rank(step: &Step, arriving: &BTreeSet<Whom>) -> u8 {
    match step.holding {
        Holding::AwsPrefixList { .. } if aws::waits(step, arriving) => 2,
        Holding::Ipset { .. } | Holding::AwsPrefixList { .. } => 0,
        Holding::NftTable { .. }
        | Holding::NftChain { .. }
        | Holding::Iptables { .. }
        | Holding::AwsGroup { .. } => 1,
        Holding::NginxFile { .. } => 2,
    }
}

/// The host as it will be once the changes are made.
pub fn predicted(host: &Host, changes: &[Change]) -> Result<Host, HoldingError> {
    let mut after = host.clone();
    for change in changes {
        change.wish.holding.put_into(&mut after, &change.wish.want)?;
    }
    Ok(after)
}

/// The answer at one port.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The port.
    pub port: u16,
    /// Who gets in.
    pub admission: Arc<Admission>,
    /// How that differs from the allowlist.
    pub drift: Drift,
}

/// Who gets in at the ports of the service.
#[derive(Debug, Clone)]
pub struct Answers(Vec<(u16, Arc<Admission>)>);

/// Asks rules who gets in at the ports of the service.
pub fn ask(layer: &dyn Layer, allowlist: &Allowlist, at: Timestamp) -> Answers {
    let service = &allowlist.service;
    let ask = |port: &u16| {
        let admission = layer.admit(&Question {
            port: *port,
            interface: service.interface.clone(),
            addresses: service.addresses.clone(),
            at,
        });
        (*port, Arc::new(admission))
    };
    Answers(service.ports.iter().map(ask).collect())
}

impl Answers {
    /// How they differ from what is wanted.
    pub fn compared(self, allowlist: &Allowlist, mode: Mode) -> Vec<Asked> {
        let compared = |(port, admission): (u16, Arc<Admission>)| {
            let drift = compare(allowlist, &admission, mode, &PrefixSet::empty());
            Asked { port, admission, drift }
        };
        self.0.into_iter().map(compared).collect()
    }
}

/// What a digest names: parts, each set off from the next.
#[derive(Default)]
pub struct Names(Sha256);

impl Names {
    /// Names nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part.
    pub fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update(part.len().to_le_bytes());
        self.0.update(part);
    }

    /// Adds the addresses of a set, however they were written.
    pub fn add_set(&mut self, set: &PrefixSet) {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for end in set.ranges().flat_map(|(first, last)| [first, last]) {
            match end {
                IpAddr::V4(end) => v4.extend(end.octets()),
                IpAddr::V6(end) => v6.extend(end.octets()),
            }
        }
        self.add(v4);
        self.add(v6);
    }

    /// The digest of all of it.
    pub fn digest(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// The digest of one text.
pub fn digest(text: &str) -> Digest {
    let mut names = Names::new();
    names.add(text);
    names.digest()
}
