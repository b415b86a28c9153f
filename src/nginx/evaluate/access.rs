//! The list of allow and deny lines that holds at a level, and what it says of each caller.

use std::net::IpAddr;
use std::rc::Rc;

use super::level::{Number, Role, rule};
use super::pieces::{Layers, Pieces};
use super::state::{By, Client, is_mapped};
use crate::admission::RuleId;
use crate::nginx::Directive;
use crate::nginx::address::{Network, Operand, Range};
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
    /// Whom they let in, and by which rule.
    allowed: Rc<Pieces>,
    /// Whom they refuse, and by which rule.
    denied: Rc<Pieces>,
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

/// The lines of a level while they are read. Rules of directives have even numbers: a tag is one more where the
/// line denies.
#[derive(Debug, Default)]
pub(super) struct Lines {
    ends: Option<(Number, Number)>,
    last_allow: Option<Number>,
    layers: Layers,
    has_v4: bool,
    has_all: bool,
}

impl Lines {
    /// Takes a line; whether it is one, and nginx loads it.
    pub(super) fn take(&mut self, number: Number, line: &Directive<'_>) -> bool {
        let denies = match line.name() {
            "allow" => 0,
            "deny" => 1,
            _ => return false,
        };
        let [text] = line.arguments() else { return false };
        let Some(operand) = Operand::read(text) else { return false };
        let tag = rule(number, Role::Directive).0 | denies;
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
        self.ends = Some((self.ends.map_or(number, |(first, _)| first), number));
        if denies == 0 {
            self.last_allow = Some(number);
        }
        true
    }

    /// The list that they are; `None` where there is no line.
    pub(super) fn list(self) -> Option<List> {
        let (first, last) = self.ends?;
        // Where one line is for all, the lines name everybody.
        let named = self.has_all.then(PrefixSet::everything);
        let deciding = self.layers.decided();
        Some(List {
            first,
            last,
            last_allow: self.last_allow,
            allowed: Rc::new(deciding.chosen(|tag| Some(tag).filter(|tag| tag.is_multiple_of(2)))),
            denied: Rc::new(deciding.chosen(|tag| tag.checked_sub(1).filter(|rule| rule.is_multiple_of(2)))),
            named: named.unwrap_or_else(|| deciding.among(&PrefixSet::everything())),
            has_v4: self.has_v4,
        })
    }
}

impl List {
    /// What it says of callers, where it is known which address is tested.
    pub(super) fn says(&self, client: &Client, callers: &PrefixSet) -> Option<Said> {
        let (allowed, denied) = match client {
            Client::Own => (Rc::clone(&self.allowed), Rc::clone(&self.denied)),
            Client::Mapped if self.has_v4 => (Rc::clone(&self.allowed), Rc::clone(&self.denied)),
            // Without a line for IPv4, mapped callers are tested as what they are: addresses of IPv6.
            Client::Mapped => (Rc::new(self.allowed.unmapped()), Rc::new(self.denied.unmapped())),
            Client::Fixed(address) => {
                let address = self.tested(*address);
                let all = |pieces: &Pieces| Rc::new(Pieces::all(callers, pieces.at(address)));
                (all(&self.allowed), all(&self.denied))
            }
            Client::Told(_) => return None,
        };
        let (admitted, refused) = (allowed.among(callers), denied.among(callers));
        let unlisted = match client {
            Client::Own => callers.difference(&self.named),
            Client::Mapped | Client::Fixed(_) | Client::Told(_) => {
                callers.difference(&admitted).difference(&refused)
            }
        };
        Some(Said { allowed: (admitted, By::Each(allowed)), denied: (refused, By::Each(denied)), unlisted })
    }

    /// The first line that lets somebody in and the first that refuses somebody, where anybody may be tested.
    pub(super) fn either(&self) -> (Option<RuleId>, Option<RuleId>) {
        (self.allowed.least().map(RuleId), self.denied.least().map(RuleId))
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
