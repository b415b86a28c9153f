//! Guardrails: nothing is changed, and the flag that is printed lifts one for that plan only.

use super::bench::{Bench, LATER, policy, shape};
use crate::support::AT;

struct Case {
    name: &'static str,
    /// The flag that lifts it.
    flag: &'static str,
    shape: &'static str,
    /// More of the site.
    site: &'static str,
    environment: &'static [&'static str],
    /// What is in force before; nothing at all where it is empty.
    first: &'static [(&'static str, &'static str)],
    second: &'static [(&'static str, &'static str)],
    at: &'static str,
}

const FOUR: &[(&str, &str)] = &[("a", "[20.91.170.120/29, 13.50.187.51, 51.21.32.255, 91.132.170.1]")];

const CASES: &[Case] = &[
    Case {
        name: "too-many-removals",
        flag: "--allow-removals",
        shape: "nft-exclusive",
        site: "",
        environment: &[],
        first: FOUR,
        second: &[("a", "[20.91.170.120/29]")],
        at: AT,
    },
    Case {
        name: "too-many-removals",
        flag: "--allow-removals",
        shape: "ipset-permit",
        site: "guardrails: { removals_max: 0 }\n",
        environment: &[],
        first: FOUR,
        second: &[("a", "[20.91.170.120/29, 13.50.187.51, 51.21.32.255]")],
        at: AT,
    },
    Case {
        name: "family-vanishes",
        flag: "--allow-family-loss",
        shape: "iptables-exclusive",
        site: "",
        environment: &[],
        first: &[("a", "[20.91.170.120/29, \"2a10:a200::/32\"]")],
        second: &[("a", "[20.91.170.120/29]")],
        at: AT,
    },
    Case {
        name: "empty-allowlist",
        flag: "--allow-empty",
        shape: "nft-permit",
        site: "",
        environment: &[],
        first: &[("ends", "[20.91.170.120/29]")],
        second: &[("ends", "[20.91.170.120/29]")],
        at: LATER,
    },
    Case {
        name: "cuts-peer",
        flag: "--allow-cut-peer",
        shape: "nft-exclusive",
        site: "",
        environment: &["SSH_CONNECTION=203.0.113.5 50000 127.0.0.1 443"],
        first: &[],
        second: FOUR,
        at: AT,
    },
    Case {
        name: "cuts-flow",
        flag: "--allow-cut-flow",
        shape: "iptables-exclusive",
        site: "guardrails: { must_stay_open: [{ from: 203.0.113.0/24, port: 443, why: monitoring }] }\n",
        environment: &[],
        first: &[],
        second: FOUR,
        at: AT,
    },
];

fn check(case: &Case) {
    let shape = shape(case.shape);
    let Some(bench) = Bench::new(shape) else { return };
    let name = case.name;
    bench.site(shape.target, case.site);
    if !case.first.is_empty() {
        bench.policy(&policy(1, case.first));
        bench.at(&["apply"]).expect(0);
    }
    bench.policy(&policy(2, case.second));
    let before = bench.rules();
    let apply =
        |more: &[&str]| bench.run_with(case.environment, &[&["apply", "--at", case.at], more].concat());
    let planned = bench.run_with(case.environment, &["plan", "--at", case.at]).expect(3);
    let refused = apply(&[]).expect(3);
    for run in [&planned, &refused] {
        assert!(run.stdout.contains(&format!("refused by {name}: ")), "{name}: {}", run.stdout);
    }
    assert!(refused.stderr.contains("refused: nothing was changed"), "{name}: {}", refused.stderr);
    assert_eq!(bench.rules(), before, "{name}");

    let printed = refused.stdout.split(&format!("`{} ", case.flag)).nth(1);
    let digest = printed.and_then(|rest| rest.split('`').next()).unwrap();
    let other = if digest.starts_with('0') { "1" } else { "0" };
    let wrong = format!("{other}{}", &digest[1..]);
    for given in [wrong.as_str(), &digest[..8], "", "yes"] {
        apply(&[case.flag, given]).expect(3);
    }
    // Another flag does not lift it.
    let another = if case.flag == "--allow-empty" { "--allow-removals" } else { "--allow-empty" };
    apply(&[another, digest]).expect(3);
    assert_eq!(bench.rules(), before, "{name}");
    let lifted = apply(&[case.flag, digest]).expect(0);
    assert!(lifted.stdout.contains(&format!("lifted by {name}: ")), "{name}: {}", lifted.stdout);
    assert_ne!(bench.rules(), before, "{name}");
}

#[test]
fn each_refuses_until_it_is_lifted_for_that_plan() {
    for case in CASES {
        check(case);
    }
}
