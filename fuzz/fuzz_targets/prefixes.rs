//! Any bytes as a list of prefixes: read or refused, and what was read keeps the laws of sets.

#![no_main]

use callgate::prefix::PrefixSet;
use callgate::prefix::list::List;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut list = List::new();
    if list.read(bytes).is_ok() {
        let set = list.into_set();
        assert_eq!(set.to_prefixes().into_iter().collect::<PrefixSet>(), set);
        assert_eq!(set.complement().complement(), set);
    }
});
