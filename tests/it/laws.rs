//! The laws of admission and drift, on hosts whose rules the real tools loaded and dumped. Whether the answer
//! is the kernel's is asked elsewhere; here text goes through the tools and comes back.

mod change;
mod deployed;
mod drift;
mod lab;
mod nginx;
pub(crate) mod random;
mod unknown;

use crate::golden::{FAMILIES, MODES, SHAPES, prefixes};

use deployed::{DOCKER, Deployment, FORMS};
use lab::{Backend, Lab, admitted, covered, diff};
use random::Dice;

/// An allowlist: its name, its prefixes, and whether they are joined when rendered.
type Case = (String, Vec<String>, &'static str);

/// Every family and shape, and some random ones.
fn allowlists(seed: u64) -> Vec<Case> {
    let mut all = Vec::new();
    for families in FAMILIES {
        for shape in SHAPES {
            let listed = prefixes(families, shape).into_iter().map(str::to_owned).collect();
            all.push((format!("{families}-{shape}"), listed, *shape));
        }
    }
    let mut dice = Dice::new(seed);
    for number in 0..RANDOM {
        let shape = if dice.below(2) == 0 { "many" } else { "aggregated" };
        all.push((format!("random {seed}.{number}"), dice.prefixes(), shape));
    }
    all
}

/// Random allowlists for each form and mode.
const RANDOM: usize = 2;

/// Loads what is rendered, and asks every view of the host about it.
fn check(lab: &Lab, form: &Deployment, mode: &str, (name, listed, shape): &Case) {
    let case = format!("{} {mode}, {name}: {listed:?}", form.name);
    let scene = form.rendered(mode, listed, shape);
    lab.reset(form.host(mode));
    lab.load(&scene.path().join("out"));
    let wanted: Vec<_> = covered(listed).ranges().collect();
    let views = lab.views(&scene);
    for (view, dumps) in &views {
        let (surely, possibly, report) = admitted(&scene, dumps, form.question);
        assert_eq!(surely, wanted, "{case}: surely, by {view}");
        assert_eq!(possibly, wanted, "{case}: possibly, by {view}");
        let (found, text) = diff(&scene, dumps);
        assert!(found.status == 0 && found.items.is_empty(), "{case}: by {view}: {}", found.shown());
        if name == "both-many" {
            assert_eq!(admitted(&scene, dumps, form.question).2, report, "{case}: same inputs, same bytes");
            assert_eq!(diff(&scene, dumps).1, text, "{case}: same inputs, same bytes");
        }
    }
    let (from_files, _) = diff(&scene, &views[0].1);
    assert_eq!(lab.diff(&scene), from_files, "{case}: the host itself against its dumps");
}

fn check_all(backend: Backend, forms: &[Deployment], seed: u64) {
    let Some(lab) = Lab::new(backend) else { return };
    for (number, form) in forms.iter().enumerate().filter(|(_, form)| form.runs_with(backend)) {
        for mode in MODES.iter().filter(|mode| form.has(mode)) {
            for case in allowlists(seed + number as u64) {
                check(&lab, form, mode, &case);
            }
        }
    }
}

#[cfg(feature = "netns-tests")]
#[test]
fn what_is_rendered_admits_exactly_the_allowlist() {
    check_all(Backend::Nft, FORMS, 100);
}

#[cfg(feature = "netns-tests")]
#[test]
fn what_is_rendered_admits_exactly_the_allowlist_in_legacy_tables() {
    check_all(Backend::Legacy, FORMS, 200);
}

#[cfg(feature = "netns-tests")]
#[test]
fn what_is_rendered_for_docker_admits_exactly_the_allowlist() {
    check_all(Backend::Nft, DOCKER, 300);
}

#[cfg(feature = "netns-tests")]
#[test]
fn what_is_rendered_for_docker_admits_exactly_the_allowlist_in_legacy_tables() {
    check_all(Backend::Legacy, DOCKER, 400);
}
