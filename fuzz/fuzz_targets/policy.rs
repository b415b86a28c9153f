//! Any bytes as a policy or site file: read or refused, with faults that have a place.

#![no_main]

use callgate::diagnostic::{Diagnostics, SourceText};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = SourceText::new("fuzz.yaml", String::from_utf8_lossy(bytes).into_owned());
    let mut sink = Diagnostics::new();
    let _ = callgate::yaml::parse(&text, &mut sink);
    let _ = callgate::report::text::diagnostics(&sink);
});
