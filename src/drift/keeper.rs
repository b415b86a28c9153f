//! Programs that write rules anew: a change beside them is lost, so it has to be made with them as well.
//!
//! They are known by the names that they give to their tables and chains.

use crate::admission::Decider;
use crate::prefix::{Family, Prefix};

/// More prefixes than these belong into a set, not into commands.
const PREFIXES_MAX: usize = 16;

/// A program that keeps rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// Chains `ufw-…`.
    Ufw,
    /// Chains `f2b-…`.
    Fail2ban,
    /// Table `firewalld`.
    Firewalld,
}

impl Keeper {
    /// Whose a rule is, as far as its names tell.
    pub fn of(rule: &Decider) -> Option<Self> {
        let fact = |key: &str| rule.facts.get(key).map(String::as_str).unwrap_or_default();
        let (table, chain) = (fact("table"), fact("chain"));
        if fact("keeper") == "ufw" || chain.starts_with("ufw-") || chain.starts_with("ufw6-") {
            Some(Keeper::Ufw)
        } else if chain.starts_with("f2b-") || table.starts_with("f2b-") {
            Some(Keeper::Fail2ban)
        } else {
            (table == "firewalld").then_some(Keeper::Firewalld)
        }
    }

    /// What it has to be told so that these get in for good, whom this rule of it refuses; `None` where that is too much
    /// to tell.
    pub fn told(self, rule: &Decider, admit: &[Prefix], port: u16) -> Option<String> {
        if admit.len() > PREFIXES_MAX {
            return None;
        }
        Some(match self {
            Keeper::Ufw => {
                each(admit, |one, _| format!("ufw prepend allow proto tcp from {one} to any port {port}"))
            }
            Keeper::Fail2ban => {
                let commands = each(admit, |one, _| format!("fail2ban-client unban {one}"));
                format!("{commands}, and add it to `ignoreip` of the jail")
            }
            Keeper::Firewalld => {
                let chain = rule.facts.get("chain").map(String::as_str).unwrap_or_default();
                let (zone, first) = zone(chain);
                let option = zone.map(|zone| format!("--zone={zone} ")).unwrap_or_default();
                let commands = each(admit, |one, family| {
                    format!(
                        "firewall-cmd --permanent {option}--add-rich-rule='rule {first}family={family} source \
                         address={one} port port={port} protocol=tcp accept'"
                    )
                });
                let reload = format!("{commands} && firewall-cmd --reload");
                if zone.is_some() {
                    reload
                } else {
                    reload + ", with `--zone` where it is not the default one"
                }
            }
        })
    }
}

/// The zone that a chain of firewalld refuses for, and what a rich rule needs to come before what refuses there: by
/// itself one that accepts comes after all that deny (seen with firewalld 1.3.3).
fn zone(chain: &str) -> (Option<&str>, &'static str) {
    let Some(zone) = chain.strip_prefix("filter_IN_") else { return (None, "") };
    let early = ["_pre", "_log", "_deny"].iter().find_map(|part| zone.strip_suffix(part));
    let late = || ["_allow", "_post"].iter().find_map(|part| zone.strip_suffix(part)).unwrap_or(zone);
    early.map_or_else(|| (Some(late()), ""), |zone| (Some(zone), "priority=-32768 "))
}

/// A command for each prefix.
fn each(prefixes: &[Prefix], command: impl Fn(String, &'static str) -> String) -> String {
    let commands: Vec<String> = prefixes
        .iter()
        .map(|one| command(one.short().to_string(), if one.family() == Family::V4 { "ipv4" } else { "ipv6" }))
        .collect();
    commands.join(" && ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn of(table: &str, chain: &str) -> Option<Keeper> {
        let facts = BTreeMap::from([("table", table.to_owned()), ("chain", chain.to_owned())]);
        Keeper::of(&Decider { facts, ..Decider::default() })
    }

    #[test]
    fn keepers_are_known_by_their_names() {
        assert_eq!(of("filter", "ufw-user-input"), Some(Keeper::Ufw));
        assert_eq!(of("filter", "f2b-sshd"), Some(Keeper::Fail2ban));
        assert_eq!(of("f2b-table", "input"), Some(Keeper::Fail2ban));
        assert_eq!(of("firewalld", "filter_IN_public"), Some(Keeper::Firewalld));
        assert_eq!(of("filter", "INPUT"), None);
        assert_eq!(of("filter", "my-ufw-chain"), None);
    }

    #[test]
    fn a_keeper_is_told_of_each_prefix() {
        let admit: [Prefix; 2] = ["51.21.39.192".parse().unwrap(), "2a10:a200::/32".parse().unwrap()];
        assert_eq!(
            Keeper::Ufw.told(&Decider::default(), &admit, 443).unwrap(),
            "ufw prepend allow proto tcp from 51.21.39.192 to any port 443 && \
             ufw prepend allow proto tcp from 2a10:a200::/32 to any port 443"
        );
        assert_eq!(Keeper::Ufw.told(&Decider::default(), &[admit[0]; 17], 443), None);
    }

    #[test]
    fn firewalld_is_told_the_zone_and_to_ask_first_where_it_denies() {
        let told = |chain: &str| {
            let facts = BTreeMap::from([("chain", chain.to_owned())]);
            let admit: Prefix = "2a10:a200::/32".parse().unwrap();
            Keeper::Firewalld.told(&Decider { facts, ..Decider::default() }, &[admit], 443).unwrap()
        };
        let rich = "family=ipv6 source address=2a10:a200::/32 port port=443 protocol=tcp accept'";
        let add = "firewall-cmd --permanent";
        let then = "&& firewall-cmd --reload";
        assert_eq!(
            told("filter_IN_public_deny"),
            format!("{add} --zone=public --add-rich-rule='rule priority=-32768 {rich} {then}")
        );
        for chain in ["filter_IN_public", "filter_IN_public_post"] {
            assert_eq!(told(chain), format!("{add} --zone=public --add-rich-rule='rule {rich} {then}"));
        }
        assert!(
            told("filter_INPUT")
                .starts_with(&format!("{add} --add-rich-rule='rule {rich} {then}, with `--zone`"))
        );
    }
}
