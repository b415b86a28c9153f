//! Any bytes as a page of any kind: a reading, and a list only of addresses from which somebody could call.

#![no_main]

use callgate::policy::{PageKind, Role};
use callgate::prefix::special_space;
use callgate::upstream::Reading;
use callgate::upstream::extract::{Selector, extract};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let named = Selector { section: Some("Callback IP Addresses".to_owned()), ..Selector::default() };
    let pointed = Selector {
        pointer: Some("/hooks".to_owned()),
        filter: vec![("direction".to_owned(), "egress".to_owned())],
        column: Some("cidr".to_owned()),
        ..Selector::default()
    };
    for kind in PageKind::ALL {
        for selector in [&Selector::default(), &named, &pointed] {
            if let Reading::List(entries) = extract(bytes, *kind, selector) {
                assert!(!entries.is_empty());
                for entry in &entries {
                    assert!(special_space(&entry.prefix).is_none(), "{entry:?}");
                    assert!(entry.line > 0 && entry.role != Role::Tombstone);
                    let twice = entries.iter().filter(|one| (one.prefix, one.role) == (entry.prefix, entry.role));
                    assert_eq!(twice.count(), 1, "{entry:?}");
                }
            }
        }
    }
});
