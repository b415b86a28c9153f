//! Any bytes as a policy, as a site file and as its prefix list: read or refused, with faults that have a place.

#![no_main]

use std::sync::Arc;

use callgate::diagnostic::{Diagnostics, SourceText};
use callgate::policy::load::{Library, load};
use callgate::system::ReadError;
use callgate::{allowlist, policy, report, site};
use libfuzzer_sys::fuzz_target;

/// A folder with one policy, whose every other file is the same text.
struct One(Arc<SourceText>);

impl Library for One {
    fn policies(&self) -> Result<Vec<String>, ReadError> {
        Ok(vec!["example.yaml".to_owned()])
    }

    fn read(&self, _path: &str, _bytes_max: u64) -> Result<Arc<SourceText>, ReadError> {
        Ok(Arc::clone(&self.0))
    }

    fn shown(&self, path: &str) -> String {
        path.to_owned()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = SourceText::new("example.yaml", String::from_utf8_lossy(bytes).into_owned());
    let at = jiff::Timestamp::UNIX_EPOCH;
    let mut sink = Diagnostics::new();
    let policies = load(&One(Arc::clone(&text)), at, &mut sink);
    if let Some(site) = site::read(&text, &policies, &mut sink) {
        let _ = allowlist::resolve(&policies, &site, at, &mut sink);
    }
    let _ = report::text::diagnostics(&sink);
    if let Ok(tidy) = policy::format::format(&text) {
        let again = policy::format::format(&SourceText::new("tidy.yaml", tidy.clone()));
        assert_eq!(again.ok(), Some(tidy), "the canonical form is not its own canonical form");
    }
});
