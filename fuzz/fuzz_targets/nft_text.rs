//! Any bytes: read or refused, and what was read can be asked.

#![no_main]

use callgate::netfilter::host::View;
use callgate::netfilter::nft;
use libfuzzer_sys::fuzz_target;

mod asked;

fuzz_target!(|bytes: &[u8]| {
    let text = &*String::from_utf8_lossy(bytes);
    if let Ok(reading) = nft::text::read_text(text, 0) {
        asked::ask(text, vec![(View::NftText, reading)]);
    }
});
