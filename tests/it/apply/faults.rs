//! Ends in every place: at each fault point, and at random moments. What is in force afterwards is old or new, each place
//! whole, and the next command settles the rest.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use callgate::system::fault::POINTS;

use super::bench::{Bench, FIRST, policy, shape};

/// What each of our places holds, by its name.
type Places = BTreeMap<&'static str, String>;

/// What each of our places holds, without what changes by itself.
fn places(bench: &Bench) -> Places {
    let parts = [
        ("nft", "nft -s list table inet callgate 2>/dev/null || true"),
        ("v4", "iptables-save -t filter | grep CALLGATE | sed 's/\\[.*//' | sort"),
        ("v6", "ip6tables-save -t filter | grep CALLGATE | sed 's/\\[.*//' | sort"),
        ("set4", "ipset save callgate-v4 2>/dev/null | grep ^add | sort"),
        ("set6", "ipset save callgate-v6 2>/dev/null | grep ^add | sort"),
        ("left", "ipset list -n | grep -- -new || true"),
    ];
    let script: String = parts.iter().flat_map(|(_, part)| [part, "\necho ==\n"]).collect();
    let said = bench.on(&script);
    parts.iter().map(|(name, _)| *name).zip(said.split("==\n").map(str::to_owned)).collect()
}

const SECOND: &[(&str, &str)] = &[
    ("cloud", "[20.91.170.120/29, 13.50.187.51, \"2a10:a200::/32\"]"),
    ("new", "[91.132.170.1, \"2a10:a201::1\"]"),
];

struct Duel {
    bench: Bench,
    old: Places,
    new: Places,
}

impl Duel {
    /// A host on which the first policy is in force, and what each place holds under both.
    fn new(name: &str) -> Option<Self> {
        let bench = Bench::new(shape(name))?;
        bench.policy(&policy(2, SECOND));
        bench.at(&["apply"]).expect(0);
        let new = places(&bench);
        bench.policy(&policy(1, FIRST));
        bench.at(&["apply"]).expect(0);
        let old = places(&bench);
        bench.policy(&policy(2, SECOND));
        assert_ne!(old, new);
        Some(Self { bench, old, new })
    }

    /// Each place is old or new, and nothing else.
    #[track_caller]
    fn whole(&self, what: &str) -> Places {
        let all = places(&self.bench);
        for (place, now) in &all {
            let (old, new) = (&self.old[*place], &self.new[*place]);
            let half_made = *place == "left";
            assert!(
                half_made || now == old || now == new,
                "{what}: {place} is neither old nor new:\n{now}\n{old}\n{new}"
            );
        }
        all
    }

    /// Goes back to the first policy.
    #[track_caller]
    fn reset(&self) {
        self.bench.policy(&policy(1, FIRST));
        self.bench.at(&["apply"]).expect(0);
        assert_eq!(places(&self.bench), self.old);
        self.bench.policy(&policy(2, SECOND));
    }
}

/// The points that an apply or a rollback of this host can reach, once or again.
pub(super) fn points() -> Vec<String> {
    let here = POINTS.iter().filter(|point| !point.starts_with("installed-") && !point.starts_with("aws-"));
    here.flat_map(|point| {
        let times = if point.starts_with("durable-") || point.contains("-step") { 3 } else { 1 };
        (1..=times).map(move |time| format!("{point}@{time}"))
    })
    .collect()
}

fn check_apply(name: &str, arguments: &[&str]) {
    let Some(duel) = Duel::new(name) else { return };
    let bench = &duel.bench;
    for point in points() {
        for what in ["kill", "error"] {
            let fault = format!("CALLGATE_FAULT={point}:{what}");
            let case = format!("{name} {arguments:?} {fault}");
            let run = bench.run_with(&[&fault], &[arguments, &["--at", crate::support::AT]].concat());
            let now = duel.whole(&case);
            let owed = bench.state().contains("journal.json");
            if run.status == 4 || run.status == 2 && !owed {
                assert!(run.status == 2 || now == duel.old, "{case}: {}{}", run.stdout, run.stderr);
            }
            if !owed {
                assert!(now == duel.old || now == duel.new, "{case}: half done, and nothing is owed");
            }
            if arguments.contains(&"--confirm") && bench.run(&["confirm"]).status == 0 {
                assert_eq!(places(bench), duel.new, "{case}");
            } else {
                let settled = bench.run(&["rollback", "--pending"]).expect(0);
                let told =
                    settled.stdout.contains("rolled back: ") || settled.stdout.contains("nothing is pending");
                assert!(told, "{case}: {}", settled.stdout);
                if settled.stdout.contains("rolled back: ") {
                    assert_eq!(places(bench), duel.old, "{case}");
                }
            }
            assert!(!bench.state().contains("journal.json"), "{case}");
            duel.reset();
        }
    }
}

#[test]
fn an_apply_may_end_at_every_point() {
    check_apply("nft-exclusive", &["apply"]);
}

#[test]
fn an_apply_of_several_steps_may_end_at_every_point() {
    check_apply("ipset-exclusive", &["apply"]);
}

#[test]
fn an_apply_to_be_confirmed_may_end_at_every_point() {
    check_apply("iptables-exclusive", &["apply", "--confirm", "60s", "--no-wait"]);
}

/// Also the rollback may end at every point: the next one goes on.
#[test]
fn a_rollback_may_end_at_every_point() {
    for name in ["nft-exclusive", "ipset-exclusive"] {
        let Some(duel) = Duel::new(name) else { return };
        let bench = &duel.bench;
        for point in
            points().iter().filter(|point| !point.starts_with("apply-") && !point.starts_with("keep-"))
        {
            for what in ["kill", "error"] {
                bench.at(&["apply", "--confirm", "60s", "--no-wait"]).expect(0);
                assert_eq!(places(bench), duel.new);
                let fault = format!("CALLGATE_FAULT={point}:{what}");
                bench.run_with(&[&fault], &["rollback"]);
                duel.whole(&fault);
                let again = bench.run(&["rollback"]);
                assert!([0, 1].contains(&again.status), "{fault}: {}{}", again.stdout, again.stderr);
                assert_eq!(places(bench), duel.old, "{name} {fault}");
                assert!(!bench.state().contains("journal.json"), "{fault}");
            }
        }
    }
}

/// So does a confirmation: kept or undone, and nothing is owed in the end.
#[test]
fn a_confirmation_may_end_at_every_point() {
    let Some(duel) = Duel::new("nft-exclusive") else { return };
    let bench = &duel.bench;
    for point in
        ["keep-removed@1", "durable-written@1", "durable-renamed@1", "durable-written@2", "durable-renamed@2"]
    {
        for what in ["kill", "error"] {
            bench.at(&["apply", "--confirm", "60s", "--no-wait"]).expect(0);
            let fault = format!("CALLGATE_FAULT={point}:{what}");
            bench.run_with(&[&fault], &["confirm"]);
            assert_eq!(places(bench), duel.new, "{fault}");
            assert!(!bench.state().contains("journal.json"), "{fault}");
            // What is in force is what the next plan takes for the last that was applied.
            bench.at(&["apply"]).expect(0);
            let status = bench.run(&["status"]).expect(0);
            for wanted in ["5 source prefixes", "\n  policy example revision "] {
                assert!(status.stdout.contains(wanted), "{fault}: {}", status.stdout);
            }
            duel.reset();
        }
    }
}

/// A cheap generator: the moments are to differ, and to be the same again for a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}

/// How many runs are killed, and for how long at most.
const KILLS: u32 = 200;
const TIME: Duration = Duration::from_secs(20);

fn check_kills(name: &str) {
    let Some(duel) = Duel::new(name) else { return };
    let bench = &duel.bench;
    let seed = std::env::var("APPLY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(5);
    let kills = std::env::var("APPLY_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let mut dice = Dice(seed);
    let begun = Instant::now();
    bench.at(&["apply"]).expect(0);
    let whole = u64::try_from(begun.elapsed().as_micros()).unwrap();
    let (mut settled, mut kept, mut done) = (0, 0, 0);
    let policies = [policy(1, FIRST), policy(2, SECOND)];
    let mut now = places(bench);
    for turn in 0..kills {
        if begun.elapsed() > TIME && std::env::var_os("APPLY_KILLS").is_none() {
            break;
        }
        done += 1;
        bench.policy(&policies[usize::from(now == duel.old)]);
        let mut command = bench.command(&[], &["apply", "--at", crate::support::AT]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(dice.below(whole)));
        let _ = child.kill();
        child.wait().unwrap();
        let case = format!("{name}: seed {seed}, turn {turn}");
        // A tool that is still at work has the lock.
        let mut run = bench.run(&["rollback", "--pending"]);
        while run.stderr.contains("another callgate is at work") {
            run = bench.run(&["rollback", "--pending"]);
        }
        let run = run.expect(0);
        now = duel.whole(&case);
        assert!(now == duel.old || now == duel.new, "{case}: half done after it was settled: {}", run.stdout);
        if run.stdout.contains("rolled back") {
            settled += 1;
        } else if now == duel.new {
            kept += 1;
        }
        // From there on all is as ever.
        if turn % 8 == 7 {
            bench.at(&["apply"]).expect(0);
            now = places(bench);
        }
    }
    eprintln!("{name}: {done} killed in {whole} microseconds, {settled} undone, {kept} new");
    duel.reset();
}

#[test]
fn an_apply_may_end_at_any_moment() {
    check_kills("nft-exclusive");
}

#[test]
fn an_apply_of_several_steps_may_end_at_any_moment() {
    check_kills("ipset-exclusive");
}
