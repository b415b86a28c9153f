//! Any bytes: read or refused, and what was read can be asked, by rules that ask every set.

#![no_main]

use callgate::netfilter::host::View;
use callgate::netfilter::{TableFamily, ipset, iptables_save};
use callgate::prefix::Family;
use libfuzzer_sys::fuzz_target;

mod asked;

/// How many sets are asked.
const SETS: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    let text = &*String::from_utf8_lossy(bytes);
    let Ok(sets) = ipset::read(text, 0) else { return };
    let mut rules = "*filter\n:INPUT DROP [0:0]\n".to_owned();
    let is_word = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    for name in sets.ipsets.keys().filter(|name| is_word(name)).take(SETS) {
        for directions in ["src", "src,dst", "src,dst,dst", "dst,src"] {
            rules.push_str(&format!("-A INPUT -m set --match-set {name} {directions} -j ACCEPT\n"));
            rules.push_str(&format!("-A INPUT -m set ! --match-set {name} {directions} -j RETURN\n"));
        }
    }
    rules.push_str("COMMIT\n");
    let mut readings = vec![(View::Ipset, sets)];
    for (table, family) in [(TableFamily::Ip, Family::V4), (TableFamily::Ip6, Family::V6)] {
        match iptables_save::read(&rules, 0, table) {
            Ok(reading) => readings.push((View::Iptables(family), reading)),
            Err(error) => panic!("{rules}: {error}"),
        }
    }
    asked::ask(text, readings);
});
