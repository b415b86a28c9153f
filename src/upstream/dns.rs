//! Resolved host names as a list: a line for each address, `name address`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::document::shown;
use super::{Published, Reading, Unreadable};
use crate::policy::Role;
use crate::prefix::{Prefix, special_space};

/// Reads what [`super::fetch::names::resolve`] wrote. An address from which nobody on the internet calls means that this network
/// has names of its own: then none of them is the provider's word.
pub fn read(text: &str) -> Reading {
    let mut seen = BTreeSet::new();
    let mut published = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let number = u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
        let unreadable = |reason| Reading::Unreadable(Unreadable { line: Some(number), reason });
        let entry = line.split_once(' ').and_then(|(name, address)| Some((name, address.parse().ok()?)));
        let Some((name, address)): Option<(&str, IpAddr)> = entry else {
            return unreadable(format!("`{}` is no host name with an address", shown(line)));
        };
        let prefix = Prefix::single(address);
        if special_space(&prefix).is_some() {
            return unreadable(format!(
                "`{}` resolves to {address} here, from which nobody on the internet calls: this network answers for it",
                shown(name)
            ));
        }
        if seen.insert(prefix) {
            published.push(Published {
                prefix,
                role: Role::Callback,
                environments: BTreeSet::new(),
                label: Some(name.to_owned()),
                dates: Vec::new(),
                line: number,
                text: format!("{name} has the address {address}"),
            });
        }
    }
    if published.is_empty() { Reading::Empty } else { Reading::List(published) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_an_entry_once() {
        let text = "a.example.com 13.50.187.51\na.example.com 2a10:a200::1\nb.example.com 13.50.187.51\n";
        let Reading::List(list) = read(text) else { panic!() };
        let shown: Vec<String> = list.iter().map(|entry| format!("{} {}", entry.line, entry.text)).collect();
        assert_eq!(
            shown,
            ["1 a.example.com has the address 13.50.187.51", "2 a.example.com has the address 2a10:a200::1"]
        );
        assert_eq!(read(""), Reading::Empty);
    }

    #[test]
    fn one_line_that_is_none_makes_the_whole_unreadable() {
        for (text, words) in [
            ("a.example.com 13.50.187.51\na.example.com 10.0.0.1\n", "resolves to 10.0.0.1 here"),
            ("a.example.com 127.0.0.1\n", "this network answers for it"),
            ("a.example.com ::ffff:13.50.187.51\n", "nobody on the internet calls"),
            ("a.example.com\n", "no host name with an address"),
            ("a.example.com 13.50.187\n", "no host name with an address"),
            ("\n", "no host name with an address"),
        ] {
            let Reading::Unreadable(fault) = read(text) else { panic!("{text}") };
            assert!(fault.reason.contains(words), "{}", fault.reason);
        }
    }
}
