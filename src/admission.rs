//! What a ruleset lets in: the question, and the answer for all sources at once.
//!
//! The question is always the same: may a *new TCP connection* from a source reach the service? What cannot be
//! decided from a listing is *may match*, so the answer is two sets. The truth lies between them: *surely*
//! admitted, and *possibly* admitted. Every interval that is decided knows the rule that decided it.

pub mod change;
mod decisions;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use decisions::{Decided, Decisions};
pub(crate) use decisions::{Fate, Held, Piece};

use crate::plain::line;
use crate::prefix::{Family, PrefixSet};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The port that callers call, before any translation.
    pub port: u16,
    /// The interface that callers come in by; any but the loopback where it is not named.
    pub interface: Option<String>,
    /// The service's addresses as callers see them, at most one a family; any of the host's where none is given.
    pub addresses: Vec<IpAddr>,
    /// When: rules can have hours and days.
    pub at: Timestamp,
}

/// Where on a caller's way rules stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LayerKind {
    /// Security groups and network ACLs of AWS, read from the API or from Terraform.
    SecurityGroup,
    /// A host's packet filter.
    Host,
    /// A location of nginx, or a server of its stream module.
    Nginx,
}

impl LayerKind {
    /// All of them, from the outside inwards.
    pub const ALL: [Self; 3] = [Self::SecurityGroup, Self::Host, Self::Nginx];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            LayerKind::SecurityGroup => "security-group",
            LayerKind::Host => "host",
            LayerKind::Nginx => "nginx",
        }
    }

    /// What it is, in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            LayerKind::SecurityGroup => "security group",
            LayerKind::Host => "host's packet filter",
            LayerKind::Nginx => "nginx configuration",
        }
    }
}

/// A text that was read: what a tool printed, or a file.
#[derive(Debug, Clone)]
pub struct Listing {
    /// A file's name, or the command that printed it.
    pub name: String,
    /// What it said.
    pub text: Text,
}

/// A text that several have a hand on. It may be long: to share it copies nothing, nor does it where it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text(Arc<String>);

impl Text {
    /// Bytes as text; those that are no UTF-8 are replaced. Comments can hold any bytes, and what is no text can't
    /// be a rule.
    pub fn lossy(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned().into(),
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Arc::new(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Rules that callers pass at one place of their way, read and ready to be asked.
///
/// A refusal always names its rule. Where it is the want of a rule that refuses (no rule of a security group names
/// the source, nothing listens at the port), a number stands for that, which `describe` and `mend` know.
pub trait Layer {
    /// Where on the way.
    fn kind(&self) -> LayerKind;
    /// What was read.
    fn listings(&self) -> &[Listing];
    /// Which sources get in.
    fn admit(&self, question: &Question) -> Admission;
    /// What one source meets, and what becomes of it.
    fn trace(&self, question: &Question, source: IpAddr) -> (Admission, Vec<Step>);
    /// What a number of a rule stands for.
    fn describe(&self, rule: RuleId) -> Decider;
    /// Commands or lines that bring about what is wanted for these sources, at the place of the deciding rule;
    /// `None` where there is no short and safe change.
    fn mend(&self, rule: RuleId, sources: &PrefixSet, port: u16, wanted: Wanted) -> Option<String>;
    /// What stands in the way of a rule for each of these sources, at each of so many ports, besides those that are
    /// there: quotas.
    fn room_for(&self, added: &PrefixSet, ports: usize) -> Vec<Finding> {
        let _ = (added, ports);
        Vec::new()
    }
}

/// What a change should bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// These sources get in.
    Admit,
    /// These sources don't.
    Refuse,
}

/// What one source met on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// At which point: `syn`, `syn-ack` or `ack` of the handshake, or `request`.
    pub packet: &'static str,
    /// The rule or policy.
    pub rule: RuleId,
    /// What it did, in words.
    pub did: String,
}

/// What became of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ruling {
    /// It stands.
    Accept,
    /// A packet of it is lost without a word.
    Drop,
    /// A packet of it is answered with an error.
    Reject,
}

impl Ruling {
    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Ruling::Accept => "accept",
            Ruling::Drop => "drop",
            Ruling::Reject => "reject",
        }
    }
}

/// Names a rule or a policy within the ruleset that was asked; only that ruleset can describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u32);

impl RuleId {
    /// The highest number: no ruleset has as many.
    pub const MAX: u32 = (1 << 30) - 2;
}

/// A condition that can't be decided from the listing, and matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// The rule that has it.
    pub rule: Option<RuleId>,
    /// Why nobody can say.
    pub why: String,
    /// The sources whose fate hangs on it.
    pub sources: PrefixSet,
}

/// What is worth saying besides the answer. Its names are part of the interface; `docs/admission.md` explains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// One family is restricted, and the other is open to everybody.
    FamilyOpen,
    /// Connections are forwarded to somewhere behind the host, where its input rules are not asked.
    ForwardedPort,
    /// Two machineries have rules.
    MixedBackends,
    /// Views of one place disagree, or a tool warned.
    Listing,
    /// Addresses are tested, and what is tested is a proxy's.
    ProxyTested,
    /// Anybody may tell which address he calls from.
    TrustsEverybody,
    /// Addresses are allowed, and nobody is denied.
    NoDenyAll,
    /// The same path is served without the list at another place.
    OpenSibling,
    /// A quota of AWS is exceeded, or nearly so.
    Quota,
    /// Terraform manages one group's rules in two ways, which undo each other.
    MixedRuleStyles,
}

impl FindingKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::FamilyOpen,
        Self::ForwardedPort,
        Self::MixedBackends,
        Self::Listing,
        Self::ProxyTested,
        Self::TrustsEverybody,
        Self::NoDenyAll,
        Self::OpenSibling,
        Self::Quota,
        Self::MixedRuleStyles,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            FindingKind::FamilyOpen => "family-open",
            FindingKind::ForwardedPort => "forwarded-port",
            FindingKind::MixedBackends => "mixed-backends",
            FindingKind::Listing => "listing",
            FindingKind::ProxyTested => "proxy-tested",
            FindingKind::TrustsEverybody => "trusts-everybody",
            FindingKind::NoDenyAll => "no-deny-all",
            FindingKind::OpenSibling => "open-sibling",
            FindingKind::Quota => "quota",
            FindingKind::MixedRuleStyles => "mixed-rule-styles",
        }
    }
}

/// Something worth saying about rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// What it is.
    pub message: String,
    /// What to do.
    pub help: String,
    /// The rule it is about.
    pub rule: Option<RuleId>,
}

/// What a ruleset lets in.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// Sources whose connection stands, whatever the undecided conditions are.
    pub surely: PrefixSet,
    /// Sources whose connection stands in at least one case.
    pub possibly: PrefixSet,
    /// The decided intervals.
    pub decided: Decisions,
    /// What stands between the two sets.
    pub undecided: Vec<Undecided>,
    /// What else is worth saying.
    pub findings: Vec<Finding>,
}

impl Admission {
    /// An answer made of decided intervals and of what is left open. Intervals that are neither are left out of
    /// both sets, so that whoever makes one has to name every address.
    pub fn of(mut decided: Decisions, undecided: Vec<Undecided>) -> Self {
        decided.sort();
        let surely = decided.accepted();
        Self::sure(surely, decided, undecided)
    }

    /// The same of intervals in order, whose accepted addresses are known.
    pub(crate) fn sure(surely: PrefixSet, decided: Decisions, undecided: Vec<Undecided>) -> Self {
        debug_assert_eq!(surely, decided.accepted());
        let open = undecided.iter().fold(PrefixSet::empty(), |all, one| all.union(&one.sources));
        Self { possibly: surely.union(&open), surely, decided, undecided, findings: Vec::new() }
    }

    /// One family shut and the other wide open is what nobody wants.
    pub fn open_family(&self) -> Option<Finding> {
        let everything = PrefixSet::everything();
        let open = |family| {
            let all = everything.only(family);
            (self.surely.covers(&all), self.possibly.covers(&all))
        };
        let (name, other) = match (open(Family::V4), open(Family::V6)) {
            ((true, _), (_, false)) => ("IPv4", "IPv6"),
            ((_, false), (true, _)) => ("IPv6", "IPv4"),
            _ => return None,
        };
        Some(Finding {
            kind: FindingKind::FamilyOpen,
            message: format!("{name} is open to everybody, while {other} is not"),
            help: format!("give {name} rules of its own, or a table `inet`, or don't listen on it"),
            rule: None,
        })
    }

    /// Whether something can't be decided.
    pub fn is_undetermined(&self) -> bool {
        self.surely != self.possibly
    }

    /// Both, which are of different families.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.surely = self.surely.union(&other.surely);
        self.possibly = self.possibly.union(&other.possibly);
        self.decided.append(other.decided);
        for more in other.findings {
            if !self.findings.contains(&more) {
                self.findings.push(more);
            }
        }
        for more in other.undecided {
            match self.undecided.iter_mut().find(|known| known.rule == more.rule && known.why == more.why) {
                Some(known) => known.sources = known.sources.union(&more.sources),
                None => self.undecided.push(more),
            }
        }
        self
    }
}

/// A rule, for people and machines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decider {
    /// What it is, such as ``rule 14 of chain `ufw-user-input` ``.
    pub title: String,
    /// Its text, as listed.
    pub text: String,
    /// The listing's name.
    pub listing: String,
    /// The line of the listing.
    pub line: u32,
    /// What identifies it in the tool: table, chain, number, handle.
    pub facts: BTreeMap<&'static str, String>,
}

impl Decider {
    /// Its title, with its handle and where it was read.
    pub fn located(&self) -> String {
        let handle = self.facts.get("handle").map(|handle| format!(", handle {handle}")).unwrap_or_default();
        format!("{}{handle}, {}:{}", self.title, line(&self.listing), self.line)
    }
}

/// Address space that the kernel disposes of before any rule is asked, so that it is never a caller: this network,
/// loopback, multicast and broadcast; of IPv6 also addresses that stand for one of IPv4.
pub fn disposed() -> PrefixSet {
    let v4 = [[0, 0x00ff_ffff], [0x7f00_0000, 0x7fff_ffff], [0xe000_0000, 0xefff_ffff], [u32::MAX, u32::MAX]];
    let v6 = [[0, 1], [0xffff_0000_0000, 0xffff_ffff_ffff], [0xff << 120, u128::MAX]];
    PrefixSet::from_spans(v4.map(|[a, b]| (a, b)).to_vec(), v6.map(|[a, b]| (a, b)).to_vec())
}
