//! What is worth saying besides the answer. Only what is certain: a finding is a verdict of its own.

use super::access::List;
use super::level::{Role, rule};
use super::state::{Client, State};
use super::walk::Walk;
use crate::admission::{Finding, FindingKind};

impl Walk<'_, '_> {
    /// What is odd about a list that requests come to.
    pub(super) fn about_list(&mut self, list: &List, state: &State) {
        let Some(number) = list.numbers.first() else { return };
        let is_proxys = match &state.known.client {
            Client::Fixed(address) => self.request.proxy.is_some_and(|proxy| proxy == address.to_canonical()),
            // Only a proxy speaks its protocol.
            Client::Own | Client::Mapped => self.way.is_proxied && !state.known.is_told,
            Client::Told(_) => false,
        };
        if is_proxys {
            self.found(Finding {
                kind: FindingKind::ProxyTested,
                message: "the allow and deny lines test the proxy's address, the same for all callers".to_owned(),
                help: "name the proxy with `set_real_ip_from`, and with `real_ip_header` where it tells the caller's address".to_owned(),
                rule: Some(rule(*number, Role::Directive)),
            });
        }
    }

    /// Keeps a finding, once.
    pub(super) fn found(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}
