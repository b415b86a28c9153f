//! The list of allow and deny lines that holds at a level, and what it says of each caller.

use std::net::IpAddr;

use super::level::{LevelId, Number, Program, first};
use super::pieces::{Layers, Pieces};
use super::state::{Client, is_mapped};
use crate::nginx::address::{Network, Operand, Range};
use crate::prefix::{Family, PrefixSet};

/// The allow and deny lines in force at a level.
#[derive(Debug)]
pub(super) struct List {
    /// The level that has them.
    pub(super) level: LevelId,
    /// The directives that say something of addresses, in order.
    pub(super) numbers: Vec<Number>,
    /// Which of them decides.
    deciding: Pieces,
    /// Whether one names addresses of IPv4, or all.
    has_v4: bool,
}

/// What a list says of callers.
#[derive(Debug)]
pub(super) enum Said {
    /// The line that decides; callers that it has not are named by none.
    Each(Pieces),
    /// Any of these lines may decide, and perhaps none.
    Any(Vec<Number>),
}

/// Whether a line allows or denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    Allow,
    Deny,
}

impl List {
    /// Reads the list in force at a level; `None` where there is none.
    ///
    /// <https://nginx.org/en/docs/http/ngx_http_access_module.html>
    pub(super) fn read(program: &Program<'_>, id: LevelId) -> Option<Self> {
        let (level, numbers) = program.nearest(id, &["allow", "deny"])?;
        let mut layers = Layers::default();
        let mut has_v4 = false;
        for number in &numbers {
            let named = program.directive(*number).and_then(|line| Operand::read(first(line.arguments())));
            match named {
                Some(Operand::All) => {
                    layers.push_v4((u32::MIN, u32::MAX), *number);
                    layers.push_v6((u128::MIN, u128::MAX), *number);
                    has_v4 = true;
                }
                Some(Operand::Network(Network { range: Range::V4(span), .. })) => {
                    layers.push_v4(span, *number);
                    has_v4 = true;
                }
                Some(Operand::Network(Network { range: Range::V6(span), .. })) => {
                    layers.push_v6(span, *number);
                }
                Some(Operand::Unix) | None => {}
            }
        }
        Some(Self { level, numbers, deciding: layers.decided(), has_v4 })
    }

    /// What it says of callers.
    pub(super) fn says(&self, client: &Client, callers: &PrefixSet) -> Said {
        match client {
            Client::Own => Said::Each(self.deciding.within(callers)),
            Client::Mapped if self.has_v4 => Said::Each(self.deciding.within(callers)),
            // Without a line for IPv4, mapped callers are tested as what they are: addresses of IPv6.
            Client::Mapped => {
                let mut layers = Layers::default();
                layers.push_pieces(&self.deciding.unmapped());
                layers.push_pieces(&self.deciding);
                Said::Each(layers.decided().within(callers))
            }
            Client::Fixed(address) => {
                let mut layers = Layers::default();
                if let Some(number) = self.deciding.at(self.tested(*address)) {
                    layers.push_set(callers, number);
                }
                Said::Each(layers.decided())
            }
            Client::Told(_) => Said::Any(self.deciding.tags()),
        }
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
        !self.deciding.whose(|_| true).is_family_empty(family)
    }

    /// The addresses that no line names.
    pub(super) fn leaves_out(&self) -> PrefixSet {
        self.deciding.whose(|_| true).complement()
    }
}

/// Whether a line allows or denies.
pub(super) fn sense(program: &Program<'_>, number: Number) -> Sense {
    match program.directive(number).map(crate::nginx::Directive::name) {
        Some("allow") => Sense::Allow,
        _ => Sense::Deny,
    }
}
