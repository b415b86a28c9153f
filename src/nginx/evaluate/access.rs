//! The list of allow and deny lines that holds at a level, and what it says of each caller.

use std::net::IpAddr;
use std::rc::Rc;

use super::level::{Number, Role, rule};
use super::pieces::{Denies, Layers, Line, Pieces};
use super::state::{By, Client, is_mapped};
use crate::admission::RuleId;
use crate::nginx::address::{Network, Operand, Range};
use crate::nginx::{self, Directive};
use crate::prefix::{Family, PrefixSet};

/// The allow and deny lines of a level.
///
/// <https://nginx.org/en/docs/http/ngx_http_access_module.html>
#[derive(Debug)]
pub(super) struct List {
    /// The first of them.
    pub(super) first: Number,
    /// The last one.
    pub(super) last: Number,
    /// The last one that allows.
    pub(super) last_allow: Option<Number>,
    /// Which of them decides.
    deciding: Rc<Pieces>,
    /// Whom they let in.
    allowed: PrefixSet,
    /// Whom they name.
    named: PrefixSet,
    /// Whether one names addresses of IPv4, or all.
    has_v4: bool,
}

/// Callers that lines of one kind name, and which lines.
pub(super) type Named = (PrefixSet, By);

/// What a list says of callers.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) allowed: Named,
    pub(super) denied: Named,
    /// Those whom no line names.
    pub(super) unlisted: PrefixSet,
}

impl Said {
    /// Each caller by his own line.
    fn new(callers: &PrefixSet, deciding: &Rc<Pieces>, allowed: &PrefixSet, named: &PrefixSet) -> Self {
        let by = || By::Each(Rc::clone(deciding));
        let unlisted = callers.difference(named);
        let denied = callers.difference(allowed).difference(&unlisted);
        Self { allowed: (callers.intersection(allowed), by()), denied: (denied, by()), unlisted }
    }

    /// All callers by one line, or by none.
    fn alike(callers: &PrefixSet, line: Option<Line>) -> Self {
        let nobody = || (PrefixSet::empty(), By::Nothing);
        let Some(line) = line else {
            return Self { allowed: nobody(), denied: nobody(), unlisted: callers.clone() };
        };
        let all = (callers.clone(), By::One(line.rule()));
        let (allowed, denied) = match line.denies() {
            Denies::Yes => (nobody(), all),
            Denies::No => (all, nobody()),
        };
        Self { allowed, denied, unlisted: PrefixSet::empty() }
    }
}

/// The lines of a level while they are read.
#[derive(Debug, Default)]
pub(super) struct Lines {
    ends: Option<(Number, Number)>,
    last_allow: Option<Number>,
    layers: Layers,
    has_v4: bool,
    has_all: bool,
}

impl Lines {
    /// Takes the lines of a list, the first of which has this number.
    pub(super) fn take_list(&mut self, number: Number, (name, list): (&str, &nginx::List<'_>)) {
        let Some(denies) = denies(name) else { return };
        self.layers.reserve_v4(list.networks().len());
        let (first, mut end) = (number, number);
        for (number, network) in (first..).zip(list.networks()) {
            self.layers.push_v4(*network, Line::new(rule(number, Role::Directive), denies));
            end = number;
        }
        self.has_v4 = true;
        self.note((first, end), denies);
    }

    /// Takes a line; whether it is one, and nginx loads it.
    pub(super) fn take(&mut self, number: Number, line: &Directive<'_>) -> bool {
        let Some(denies) = denies(line.name()) else { return false };
        let [text] = line.arguments() else { return false };
        let Some(operand) = Operand::read(text) else { return false };
        let tag = Line::new(rule(number, Role::Directive), denies);
        match operand {
            Operand::All => {
                self.layers.push_v4((u32::MIN, u32::MAX), tag);
                self.layers.push_v6((u128::MIN, u128::MAX), tag);
                (self.has_v4, self.has_all) = (true, true);
            }
            Operand::Network(Network { range: Range::V4(span), .. }) => {
                self.layers.push_v4(span, tag);
                self.has_v4 = true;
            }
            Operand::Network(Network { range: Range::V6(span), .. }) => self.layers.push_v6(span, tag),
            // It names no address.
            Operand::Unix => {}
        }
        self.note((number, number), denies);
        true
    }

    /// Notes the first and the last of lines that were taken.
    fn note(&mut self, (first, last): (Number, Number), denies: Denies) {
        self.ends = Some((self.ends.map_or(first, |(first, _)| first), last));
        if denies == Denies::No {
            self.last_allow = Some(last);
        }
    }

    /// The list that they are; `None` where there is no line.
    pub(super) fn list(self) -> Option<List> {
        let (first, last) = self.ends?;
        // Where one line is for all, the lines name everybody.
        let named = self.has_all.then(PrefixSet::everything);
        let deciding = self.layers.decided();
        let allowed = deciding.set(Denies::No);
        Some(List {
            first,
            last,
            last_allow: self.last_allow,
            named: named.unwrap_or_else(|| allowed.union(&deciding.set(Denies::Yes))),
            deciding: Rc::new(deciding),
            allowed,
            has_v4: self.has_v4,
        })
    }
}

/// Whether a directive of this name denies; `None` where it is no line of a list.
fn denies(name: &str) -> Option<Denies> {
    match name {
        "allow" => Some(Denies::No),
        "deny" => Some(Denies::Yes),
        _ => None,
    }
}

impl List {
    /// What it says of callers, where it is known which address is tested.
    pub(super) fn says(&self, client: &Client, callers: &PrefixSet) -> Option<Said> {
        let own = || Said::new(callers, &self.deciding, &self.allowed, &self.named);
        Some(match client {
            Client::Own => own(),
            Client::Mapped if self.has_v4 => own(),
            // Without a line for IPv4, mapped callers are tested as what they are: addresses of IPv6.
            Client::Mapped => {
                let deciding = Rc::new(self.deciding.unmapped());
                let allowed = deciding.set(Denies::No);
                Said::new(callers, &deciding, &allowed, &allowed.union(&deciding.set(Denies::Yes)))
            }
            Client::Fixed(address) => Said::alike(callers, self.deciding.at(self.tested(*address))),
            Client::Told(_) => return None,
        })
    }

    /// The first line that lets somebody in and the first that refuses somebody, where anybody may be tested.
    pub(super) fn either(&self) -> (Option<RuleId>, Option<RuleId>) {
        (self.deciding.least(Denies::No), self.deciding.least(Denies::Yes))
    }

    /// What an address is tested as.
    fn tested(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V6(v6) if self.has_v4 && is_mapped(v6) => address.to_canonical(),
            _ => address,
        }
    }

    /// Whether lines name addresses of this family.
    pub(super) fn names(&self, family: Family) -> bool {
        !self.named.is_family_empty(family)
    }

    /// Whether there are addresses that no line names.
    pub(super) fn leaves_out(&self) -> bool {
        self.named != PrefixSet::everything()
    }
}
