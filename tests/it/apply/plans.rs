//! Plans that are saved and carried out later: as they were read, or not at all.

use super::bench::{Bench, FIRST, policy, shape};
use crate::support::AT;

const SOURCES: &[(&str, &str)] = &[FIRST[0]];
const NEXT: &[(&str, &str)] = &[FIRST[0], ("new", "[91.132.170.1]")];

fn planned(name: &str) -> Option<Bench> {
    let bench = Bench::new(shape(name))?;
    bench.policy(&policy(1, SOURCES));
    bench.at(&["apply"]).expect(0);
    bench.policy(&policy(2, NEXT));
    bench.at(&["plan", "--out", "plan.json"]).expect(1);
    Some(bench)
}

#[test]
fn a_saved_plan_is_carried_out() {
    for name in ["nft-exclusive", "nft-permit", "iptables-exclusive", "ipset-permit", "docker"] {
        let Some(bench) = planned(name) else { return };
        bench.run(&["apply", "plan.json"]).expect(0);
        assert!(bench.rules().contains("91.132.170.1"), "{name}");
        // Once: the rules are others now.
        let again = bench.run(&["apply", "plan.json"]).expect(2);
        assert!(again.stderr.contains("the rules are others"), "{name}: {}", again.stderr);
    }
}

type Spoil<'a> = &'a dyn Fn(&Bench);

#[test]
fn a_plan_that_does_not_fit_any_more_changes_nothing() {
    let edit = |bench: &Bench, from: &str, to: &str| {
        let text = bench.scene.read("plan.json");
        let edited = text.replacen(from, to, 1);
        assert_ne!(text, edited, "{from}");
        bench.scene.write("plan.json", edited);
    };
    let cases: &[(&str, Spoil<'_>, &str)] = &[
        (
            "rules",
            &|bench| drop(bench.on("nft add element inet callgate callbacks_v4 '{ 8.8.8.8 }'")),
            "the rules are others",
        ),
        (
            "other rules that decide",
            &|bench| {
                drop(bench.on("nft 'table inet mine { chain c { type filter hook input priority -5; ip saddr 20.91.170.120 drop\n } \n }'"));
            },
            "the rules are others",
        ),
        ("policy", &|bench| bench.policy(&policy(3, NEXT)), "the policies are others"),
        (
            "site",
            &|bench| bench.site(shape("nft-exclusive").target, "# another\n"),
            "the site file is another",
        ),
        (
            "version",
            &|bench| edit(bench, &format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"0.0.1\""),
            "callgate is of another version",
        ),
        ("instant", &|bench| edit(bench, AT, "2026-11-20T12:00:01Z"), "than when the plan was made"),
        ("garbage", &|bench| drop(bench.scene.write("plan.json", "garbage")), "is no plan"),
        ("nothing", &|bench| drop(bench.scene.write("plan.json", "")), "is no plan"),
        ("bytes", &|bench| drop(bench.scene.write("plan.json", b"\xff\xfe\x00")), "plan.json"),
        ("gone", &|bench| std::fs::remove_file(bench.scene.path().join("plan.json")).unwrap(), "plan.json"),
        (
            "cut",
            &|bench| {
                let text = bench.scene.read("plan.json");
                bench.scene.write("plan.json", &text[..text.len() / 2]);
            },
            "is no plan",
        ),
    ];
    for (what, spoil, words) in cases {
        let Some(bench) = planned("nft-exclusive") else { return };
        spoil(&bench);
        let before = bench.rules();
        let run = bench.run(&["apply", "plan.json"]);
        if *what == "instant" && run.status == 0 {
            // Nothing hangs on a second.
            continue;
        }
        assert_eq!(run.status, 2, "{what}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(words), "{what}: {}", run.stderr);
        assert_eq!(bench.rules(), before, "{what}");
    }
}

#[test]
fn a_plan_has_its_own_instant_and_targets() {
    let Some(bench) = planned("nft-exclusive") else { return };
    let before = bench.rules();
    for (arguments, words) in [
        (&["apply", "plan.json", "--at", AT][..], "a plan has its own instant"),
        (&["apply", "plan.json", "--target", "host"], "a plan has its own targets"),
        (&["apply", "--at", AT, "--target", "nobody"], "the site has no target `nobody`"),
    ] {
        let run = bench.run(arguments).expect(2);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    assert_eq!(bench.rules(), before);
}

/// A plan that lay around must not bring back what expired meanwhile.
#[test]
fn a_plan_of_another_day_is_refused() {
    let Some(bench) = Bench::new(shape("nft-exclusive")) else { return };
    let text = policy(1, NEXT).replace(
        "prefixes: [91.132.170.1]\n    lifecycle: { valid_from: 2025-01-01",
        "prefixes: [91.132.170.1]\n    lifecycle: { valid_from: 2025-01-01, valid_until: 2025-06-01T00:00:00Z",
    );
    assert!(text.contains("valid_until"));
    bench.policy(&text);
    bench.run(&["plan", "--at", "2025-05-01T00:00:00Z", "--out", "plan.json"]).expect(1);
    let run = bench.run(&["apply", "plan.json"]).expect(2);
    assert!(run.stderr.contains("the policy admits others today: nothing was changed"), "{}", run.stderr);
    assert_eq!(bench.on("nft list ruleset"), "");
}
