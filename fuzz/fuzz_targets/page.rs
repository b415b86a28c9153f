//! Any bytes as a page of any kind: a reading, and a list only of addresses from which somebody could call, that stays what it
//! is on other systems and is gone where the page is cut short or too short.

#![no_main]

use callgate::policy::{PageKind, Role};
use callgate::prefix::special_space;
use callgate::upstream::extract::{Selector, extract};
use callgate::upstream::{Published, Reading};
use libfuzzer_sys::fuzz_target;

/// A page is cut at most at so many places.
const CUTS_MAX: usize = 32;

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
                sound(&entries);
                same_elsewhere(bytes, *kind, selector, &entries);
                no_less(bytes, *kind, selector, &entries);
                not_cut(bytes, *kind, selector);
            }
        }
    }
});

/// Entries are what may be a source, each once.
fn sound(entries: &[Published]) {
    assert!(!entries.is_empty());
    for entry in entries {
        assert!(special_space(&entry.prefix).is_none(), "{entry:?}");
        assert!(entry.line > 0 && entry.role != Role::Tombstone);
        let twice = entries.iter().filter(|one| (one.prefix, one.role) == (entry.prefix, entry.role));
        assert_eq!(twice.count(), 1, "{entry:?}");
    }
}

/// Line ends and marks of other systems change nothing.
fn same_elsewhere(bytes: &[u8], kind: PageKind, selector: &Selector, entries: &[Published]) {
    let text = String::from_utf8(bytes.to_vec()).expect("a list was read of it");
    let mut others = Vec::new();
    if !text.starts_with('\u{feff}') {
        others.push(format!("\u{feff}{text}"));
    }
    if !text.contains('\r') {
        others.push(text.replace('\n', "\r\n"));
    }
    for other in others {
        let reading = extract(other.as_bytes(), kind, selector);
        assert_eq!(reading, Reading::List(entries.to_vec()), "{kind:?}");
    }
}

/// A list of fewer entries than the policy expects is none.
fn no_less(bytes: &[u8], kind: PageKind, selector: &Selector, entries: &[Published]) {
    let count = entries.iter().filter(|entry| entry.role == Role::Callback).count();
    let wary = Selector { entries: (count + 1, usize::MAX), ..selector.clone() };
    assert!(matches!(extract(bytes, kind, &wary), Reading::Unreadable(_)));
}

/// What has an end that can be missed is no list without it.
fn not_cut(bytes: &[u8], kind: PageKind, selector: &Selector) {
    let text = std::str::from_utf8(bytes).expect("a list was read of it").trim_end();
    let step = (text.len() / CUTS_MAX).max(1);
    for end in (0..text.len()).step_by(step).filter(|end| text.is_char_boundary(*end)) {
        let cut = &text[..end];
        let lower = cut.to_ascii_lowercase();
        let is_open = match kind {
            PageKind::Json => true,
            PageKind::Html => {
                lower.contains("<html") && !lower.contains("</html") && !lower.contains("</body")
            }
            PageKind::Markdown | PageKind::Text | PageKind::Csv | PageKind::Dns => false,
        };
        if is_open {
            let reading = extract(cut.as_bytes(), kind, selector);
            assert!(!matches!(reading, Reading::List(_)), "{kind:?} cut at {end}: {reading:?}");
        }
    }
}
