//! What a number of a rule stands for, and what else is worth saying about a host.

use std::collections::BTreeMap;

use super::Asked;
use crate::admission::{Decider, Finding, FindingKind, RuleId};
use crate::netfilter::{Backend, Table, TableFamily};

impl Asked<'_> {
    /// The rule or policy that a number stands for.
    pub(super) fn decider(&self, id: RuleId) -> Decider {
        let host = self.host;
        let Some((place, index)) = self.program.find(id) else { return Decider::default() };
        let (table, chain) = (place.table, place.chain);
        let rule = index.and_then(|index| chain.rules.get(index));
        let at = rule.map_or(chain.place, |rule| rule.place);
        let number = index.map(|index| index.saturating_add(1));
        let what = number.map_or_else(|| "the policy".to_owned(), |number| format!("rule {number}"));
        let mut facts = BTreeMap::from([
            ("backend", backend(table.backend).to_owned()),
            ("family", table.family.as_str().to_owned()),
            ("table", table.name.to_string()),
            ("chain", chain.name.to_string()),
        ]);
        if let Some(number) = number {
            facts.insert("number", number.to_string());
        }
        if let Some(handle) = rule.map(|rule| rule.handle).filter(|handle| *handle != 0) {
            facts.insert("handle", handle.to_string());
        }
        // What passes ufw's chains undecided falls to the policy, which ufw has set.
        let mut chains = host.tables.iter().flat_map(|table| &table.chains);
        if number.is_none()
            && chain.name.as_ref() == "INPUT"
            && chains.any(|chain| chain.name.as_ref() == "ufw-user-input")
        {
            facts.insert("keeper", "ufw".to_owned());
        }
        let listing = host.listings.get(usize::from(at.listing));
        Decider {
            title: format!("{what} of chain `{}` ({})", chain.name, shown(table)),
            text: rule.map(|_| host.text(at).to_owned()).unwrap_or_default(),
            listing: listing.map(|listing| listing.name.clone()).unwrap_or_default(),
            line: at.line,
            facts,
        }
    }

    /// What is worth saying about the rules themselves, whoever asks.
    pub(super) fn mixed(&self) -> Option<Finding> {
        (self.program.backends().len() > 1).then(|| Finding {
            kind: FindingKind::MixedBackends,
            message: "the old iptables and nftables both have rules here, and both must accept".to_owned(),
            help: "move all rules to one of them; `iptables-legacy-save` shows the old ones".to_owned(),
            rule: None,
        })
    }
}

fn backend(backend: Backend) -> &'static str {
    match backend {
        Backend::Nft => "nft",
        Backend::Legacy => "legacy",
    }
}

fn shown(table: &Table) -> String {
    match (table.backend, table.family) {
        (Backend::Legacy, TableFamily::Ip6) => format!("table {} of ip6tables-legacy", table.name),
        (Backend::Legacy, _) => format!("table {} of iptables-legacy", table.name),
        (Backend::Nft, _) => format!("table {} {}", table.family.as_str(), table.name),
    }
}
