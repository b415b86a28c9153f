//! Any bytes: read or refused, and what was read can be asked.

#![no_main]

use callgate::admission::{Admission, Layer as _, Listing, Question, Ruling};
use callgate::prefix::PrefixSet;
use callgate::security_group::admit::Asked;
use callgate::security_group::aws::{Input, Role, read};
use callgate::security_group::select::Selection;
use callgate::security_group::{Groups, Known};
use libfuzzer_sys::fuzz_target;

/// How many groups are asked.
const GROUPS: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    let text = &*String::from_utf8_lossy(bytes);
    // Two listings, where the text has two parts: pages, or a listing and what belongs to it.
    let parts = text.split("\n---\n").take(2).enumerate();
    let input = |(number, text): (usize, &str)| Input {
        listing: Listing { name: format!("pl-0000000{number}.json"), text: text.into() },
        role: Role::AsSaid,
    };
    match read(parts.map(input).collect()) {
        Ok(groups) => ask(groups),
        Err(error) => assert!(error.line >= 1 && !error.help.is_empty() && error.message.len() < 1_000),
    }
});

fn ask(mut groups: Groups) {
    let ids: Vec<String> = groups.groups.iter().take(GROUPS).map(|group| group.id.clone()).collect();
    let mut selections: Vec<Selection> =
        ids.into_iter().map(|id| Selection { groups: vec![id], ..Selection::default() }).collect();
    let interfaces = groups.interfaces.iter().take(1).map(|one| Some(one.id.clone()));
    selections.extend(interfaces.map(|interface| Selection { interface, ..Selection::default() }));
    let instances = groups.instances.iter().take(1).map(|one| Some(one.id.clone()));
    selections.extend(instances.map(|instance| Selection { instance, ..Selection::default() }));
    selections.push(Selection::default());
    let before: Vec<Option<Admission>> = selections.iter().map(|one| answer(&groups, one)).collect();
    // A condition that nobody can decide makes no answer more certain.
    for rule in groups.groups.iter_mut().flat_map(|group| &mut group.rules).step_by(2) {
        rule.ports = Known::Unknown("blurred".to_owned());
    }
    for entry in groups.acls.iter_mut().flat_map(|acl| &mut acl.entries).step_by(2) {
        entry.ports = Known::Unknown("blurred".to_owned());
    }
    for (selection, before) in selections.iter().zip(before) {
        let (Some(before), Some(after)) = (before, answer(&groups, selection)) else { continue };
        assert!(before.surely.covers(&after.surely), "an unknown condition surely lets somebody in");
        assert!(after.possibly.covers(&before.possibly), "an unknown condition shuts somebody out");
    }
}

fn answer(groups: &Groups, selection: &Selection) -> Option<Admission> {
    let question =
        Question { port: 443, interface: None, addresses: Vec::new(), at: jiff::Timestamp::UNIX_EPOCH };
    let asked = match Asked::new(groups, selection) {
        Ok(asked) => asked,
        Err(error) => {
            assert!(!error.message.is_empty() && !error.help.is_empty());
            return None;
        }
    };
    let answer = asked.admit(&question);
    assert!(answer.possibly.covers(&answer.surely));
    let told = |ruling: Ruling| {
        let of = answer.decided.iter().filter(|one| one.ruling == ruling);
        of.fold(PrefixSet::empty(), |all, one| all.union(&PrefixSet::between(one.first, one.last)))
    };
    assert_eq!(told(Ruling::Accept), answer.surely, "decided and accepted is surely");
    assert_eq!(told(Ruling::Drop), answer.possibly.complement(), "decided and refused is not possibly");
    for (one, next) in answer.decided.iter().zip(answer.decided.iter().skip(1)) {
        assert!(one.first <= one.last && one.last < next.first, "decided twice, or out of order");
    }
    for one in answer.decided.iter().take(8) {
        assert!(one.rule.is_some_and(|rule| !asked.describe(rule).title.is_empty()));
        let (alone, _) = asked.trace(&question, one.first);
        assert_eq!(alone.surely.is_empty(), one.ruling != Ruling::Accept);
    }
    Some(answer)
}
