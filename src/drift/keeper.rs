//! Programs that write rules anew: a change beside them is lost, so it has to be made with them as well.
//!
//! They are known by the names that they give to their tables and chains.

use crate::admission::Decider;
use crate::prefix::Prefix;

/// More prefixes than these belong into a set, not into commands.
const PREFIXES_MAX: usize = 16;

/// What a rule's keeper has to be told so that a change stays; `None` where no keeper is known,
/// or where there is too much to tell.
///
/// `admit` are sources that should get in; no keeper's word is known for refusing some.
pub fn lasting(rule: &Decider, admit: &[Prefix], port: u16) -> Option<String> {
    if admit.len() > PREFIXES_MAX {
        return None;
    }
    let fact = |key: &str| rule.facts.get(key).map(String::as_str).unwrap_or_default();
    let (table, chain) = (fact("table"), fact("chain"));
    if chain.starts_with("ufw-") || chain.starts_with("ufw6-") {
        return Some(each(admit, |one| format!("ufw prepend allow proto tcp from {one} to any port {port}")));
    }
    if chain.starts_with("f2b-") || table.starts_with("f2b-") {
        let commands = each(admit, |one| format!("fail2ban-client unban {one}"));
        return Some(format!("{commands}, and add it to `ignoreip` of the jail"));
    }
    if table == "firewalld" {
        let rule = |one: &str, family: &str| {
            format!(
                "firewall-cmd --permanent --add-rich-rule='rule family={family} source address={one} \
                 port port={port} protocol=tcp accept'"
            )
        };
        let commands: Vec<String> = admit
            .iter()
            .map(|one| {
                let family = if one.to_string().contains(':') { "ipv6" } else { "ipv4" };
                rule(&one.short().to_string(), family)
            })
            .collect();
        return Some(format!(
            "{}, in the zone of the interface, then firewall-cmd --reload",
            commands.join(" && ")
        ));
    }
    None
}

fn each(prefixes: &[Prefix], command: impl Fn(String) -> String) -> String {
    let commands: Vec<String> = prefixes.iter().map(|one| command(one.short().to_string())).collect();
    commands.join(" && ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn of(table: &str, chain: &str) -> Option<String> {
        let facts = BTreeMap::from([("table", table.to_owned()), ("chain", chain.to_owned())]);
        let rule = Decider { facts, ..Decider::default() };
        lasting(&rule, &["51.21.39.192".parse().unwrap(), "2a10:a200::/32".parse().unwrap()], 443)
    }

    #[test]
    fn keepers_are_known_by_their_names() {
        assert_eq!(
            of("filter", "ufw-user-input").unwrap(),
            "ufw prepend allow proto tcp from 51.21.39.192 to any port 443 && \
             ufw prepend allow proto tcp from 2a10:a200::/32 to any port 443"
        );
        assert!(of("filter", "f2b-sshd").unwrap().starts_with("fail2ban-client unban 51.21.39.192"));
        assert!(of("f2b-table", "f2b-chain").is_some());
        assert!(
            of("firewalld", "filter_IN_public")
                .unwrap()
                .contains("family=ipv6 source address=2a10:a200::/32")
        );
        assert_eq!(of("filter", "INPUT"), None);
        assert_eq!(of("filter", "my-ufw-chain"), None);
    }
}
