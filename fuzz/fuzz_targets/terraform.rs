//! Any bytes: a state, a plan, or refused; what was read can be asked, and the answer keeps its laws. Any text is
//! a question as well: which resources are meant.

#![no_main]

use callgate::admission::{Admission, Layer as _, Question};
use callgate::security_group::admit;
use callgate::security_group::select::Selection;
use callgate::security_group::terraform::{self, Asked, Reading, When};
use libfuzzer_sys::fuzz_target;

/// How many names of a text are asked about.
const NAMES: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    let text = &*String::from_utf8_lossy(bytes);
    let Ok(document) = terraform::read("fuzz", text) else { return };
    // Words of the text are addresses as often as not.
    let words = text.split('"').filter(|word| word.contains('.') || word.starts_with("sg-"));
    let mut asked = vec![Asked::default()];
    asked
        .extend(words.take(NAMES).map(|word| Asked { resources: vec![word.to_owned()], groups: Vec::new() }));
    asked.push(Asked { resources: Vec::new(), groups: vec!["sg-1".to_owned()] });
    for asked in &asked {
        for when in [When::Before, When::After] {
            if let Ok(reading) = document.reading(asked, when) {
                blurred(reading);
            }
        }
        if let Ok(both) = document.both(asked) {
            assert_eq!(both.is_some(), document.is_plan());
        }
    }
});

fn answer(reading: &Reading) -> Admission {
    let question =
        Question { port: 443, interface: None, addresses: Vec::new(), at: jiff::Timestamp::UNIX_EPOCH };
    let selection = Selection { groups: reading.asked.clone(), ..Selection::default() };
    let Ok(ready) = admit::Asked::new(&reading.groups, &selection) else { return Admission::default() };
    let answer = ready.admit(&question);
    assert!(answer.possibly.covers(&answer.surely), "who surely gets in possibly gets in");
    for one in answer.decided.iter().filter_map(|one| one.rule) {
        assert!(!ready.describe(one).title.is_empty());
    }
    answer
}

/// A doubt about every rule makes no answer more certain.
fn blurred(mut reading: Reading) {
    let before = answer(&reading);
    for rule in reading.groups.groups.iter_mut().flat_map(|group| &mut group.rules) {
        rule.doubt.get_or_insert_with(|| "blurred".to_owned());
    }
    let after = answer(&reading);
    assert!(after.possibly.covers(&before.possibly), "a doubt shuts somebody out");
    assert!(after.surely.is_empty(), "a doubt surely lets somebody in");
}
