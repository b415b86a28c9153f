//! Law 4 through the real tools: whatever the policies were and become, carrying out a plan leaves no drift, applying again does
//! nothing, and going back restores what was there.

use super::bench::{Bench, SHAPES, Shape, policy};
use super::shapes::as_wanted;
use crate::laws::random::Dice;

/// Policies that follow one another on one host.
const POLICIES: u32 = 5;

/// A list of prefixes, never without one of each family: that a family goes is a guardrail's business.
fn chosen(dice: &mut Dice) -> String {
    let mut prefixes = dice.prefixes();
    prefixes.extend(["194.68.237.250/32".to_owned(), "2a10:a200:9::/64".to_owned()]);
    let quoted: Vec<String> = prefixes.iter().map(|prefix| format!("\"{prefix}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

fn check(shape: &Shape, seed: u64) {
    let Some(bench) = Bench::new(shape) else { return };
    let mut dice = Dice::new(seed);
    bench.site(shape.target, "guardrails: { removals_max: 100000, removals_share: 100 }\n");
    let mut listed: Vec<String> = Vec::new();
    for revision in 1..=POLICIES {
        let what = format!("{}, seed {seed}, revision {revision} after {listed:?}", shape.name);
        listed.push(chosen(&mut dice));
        let (old, now) =
            (listed.len().checked_sub(2).and_then(|at| listed.get(at)), &listed[listed.len() - 1]);
        let others = bench.foreign();
        let before = bench.rules();
        bench.policy(&policy(revision, &[("cloud", now)]));
        if old.is_some() && dice.below(3) == 0 {
            bench.at(&["apply", "--confirm", "60s", "--no-wait"]).expect(0);
            bench.run(&["rollback"]).expect(0);
            assert_eq!(meaning(&bench.rules()), meaning(&before), "{what}: rolled back");
        }
        bench.at(&["apply"]).expect(0);
        as_wanted(&bench, &what);
        if old.is_some() {
            assert_eq!(bench.foreign(), others, "{what}");
        }
    }
}

/// What was loaded again has new handles, counters that start anew, and sets whose order is by chance.
fn meaning(rules: &str) -> String {
    let counted = r" # handle \d+|counter packets \d+ bytes \d+|\[\d+:\d+\]|initval 0x[0-9a-f]+";
    let rules = regex::Regex::new(counted).unwrap().replace_all(rules, "").into_owned();
    let (mut entries, rest): (Vec<&str>, Vec<&str>) =
        rules.lines().partition(|line| line.starts_with("add "));
    entries.sort_unstable();
    [rest, entries].concat().join("\n")
}

macro_rules! laws {
    ($($test:ident: $index:literal,)*) => { $(#[test] fn $test() {
        for seed in 0..3 {
            check(&SHAPES[$index], seed * 100 + $index);
        }
    })* };
}

laws! {
    nft_table: 0,
    nft_at_prerouting: 1,
    nft_chain_of_others: 2,
    nft_jump_of_others: 3,
    iptables: 4,
    iptables_that_permit: 5,
    ipset: 6,
    ipset_that_permits: 7,
    docker_user: 8,
    docker_user_by_sets: 9,
}
