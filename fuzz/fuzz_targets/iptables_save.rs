//! Any bytes: read or refused, and what was read can be asked.

#![no_main]

use callgate::netfilter::host::View;
use callgate::netfilter::{TableFamily, iptables_save};
use callgate::prefix::Family;
use libfuzzer_sys::fuzz_target;

mod asked;

fuzz_target!(|bytes: &[u8]| {
    let text = &*String::from_utf8_lossy(bytes);
    for (table, family) in [(TableFamily::Ip, Family::V4), (TableFamily::Ip6, Family::V6)] {
        if let Ok(dump) = iptables_save::read(text, 0, table) {
            asked::ask(text, vec![(View::Iptables(family), dump)]);
        }
    }
});
