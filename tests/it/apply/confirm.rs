//! Changes that somebody has to confirm, and what becomes of them where nobody does.

use super::bench::{Bench, FIRST, Shape, policy, shape};
use crate::support::AT;

/// A host with the first policy in force and kept, and a second policy that differs by one source each way.
fn applied(shape: &Shape) -> Option<Bench> {
    let bench = Bench::new(shape)?;
    bench.at(&["apply"]).expect(0);
    bench.policy(&policy(2, &[FIRST[0], ("new", "[91.132.170.1, \"2a10:a201::1\"]")]));
    Some(bench)
}

/// What our places hold, whatever the handles, and in whatever order sources are let in.
fn held(bench: &Bench) -> String {
    bench.on("(nft -s list ruleset 2>/dev/null; ipset save | sed 's/initval [^ ]*//') | sort")
}

const WHOLE: [&str; 3] = ["nft-exclusive", "iptables-permit", "ipset-exclusive"];

#[test]
fn what_nobody_confirms_is_undone() {
    for name in WHOLE {
        let Some(bench) = applied(shape(name)) else { return };
        let before = held(&bench);
        let run = bench.waiting(&["--confirm", "5s"]).end();
        assert_eq!(run.status, 4, "{name}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains("it was not confirmed in time"), "{name}: {}", run.stderr);
        assert_eq!(held(&bench), before, "{name}");
        let late = bench.run(&["confirm"]).expect(1);
        assert!(late.stderr.contains("nothing waits to be confirmed"), "{}", late.stderr);
        let status = bench.run(&["status"]).expect(0);
        assert!(status.stdout.contains("rolled back at "), "{}", status.stdout);
        bench.until(|| !bench.state().iter().any(|file| file.ends_with(".timer")));
    }
}

#[test]
fn the_first_of_all_applies_is_undone_to_nothing() {
    let Some(bench) = Bench::new(shape("nft-exclusive")) else { return };
    let run = bench.waiting(&["--confirm", "5s"]).end();
    assert_eq!(run.status, 4, "{}{}", run.stdout, run.stderr);
    assert_eq!(bench.on("nft list ruleset"), "");
    let status = bench.run(&["status"]).expect(0);
    assert!(status.stdout.contains("no change was kept yet"), "{}", status.stdout);
}

#[test]
fn what_another_process_confirms_stays() {
    let Some(bench) = applied(shape("nft-exclusive")) else { return };
    let waiting = bench.waiting(&["--confirm", "60s"]);
    let rules = bench.rules();
    let status = bench.run(&["status"]).expect(1);
    assert!(status.stdout.contains("waits to be confirmed for "), "{}", status.stdout);
    // Meanwhile nobody else changes anything.
    let second = bench.at(&["apply"]).expect(2);
    assert!(second.stderr.contains("waits to be confirmed until "), "{}", second.stderr);
    assert!(second.stderr.contains("help: keep it with `callgate confirm`"), "{}", second.stderr);
    let left = bench.run(&["rollback", "--pending"]).expect(0);
    assert!(left.stdout.contains("left alone"), "{}", left.stdout);
    bench.run(&["confirm"]).expect(0);
    let run = waiting.end().expect(0);
    assert!(run.stdout.contains("confirmed: it stays"), "{}", run.stdout);
    assert_eq!(bench.rules(), rules);
    bench.until(|| !bench.state().iter().any(|file| file.ends_with(".timer")));
    bench.at(&["apply"]).expect(0);
}

#[test]
fn it_is_undone_before_its_time_where_somebody_asks_for_it() {
    let Some(bench) = applied(shape("ipset-permit")) else { return };
    let before = held(&bench);
    let waiting = bench.waiting(&["--confirm", "60s"]);
    assert_ne!(held(&bench), before);
    bench.run(&["rollback"]).expect(0);
    let run = waiting.end().expect(4);
    assert!(run.stderr.contains("it was asked for"), "{}", run.stderr);
    assert_eq!(held(&bench), before);
}

#[test]
fn the_timer_outlives_whoever_made_the_change() {
    for name in WHOLE {
        let Some(killed) = applied(shape(name)) else { return };
        let Some(hung_up) = applied(shape(name)) else { return };
        let before = (held(&killed), held(&hung_up));
        killed.waiting(&["--confirm", "8s"]).kill();
        hung_up.waiting(&["--confirm", "8s"]).hang_up();
        assert_ne!((held(&killed), held(&hung_up)), before);
        killed.settled();
        hung_up.settled();
        assert_eq!((held(&killed), held(&hung_up)), before, "{name}");
    }
}

#[test]
fn nobody_has_to_wait() {
    let Some(bench) = applied(shape("nft-permit")) else { return };
    let before = held(&bench);
    let run = bench.at(&["apply", "--confirm", "5s", "--no-wait"]).expect(0);
    assert!(run.stdout.contains("unless somebody confirms it: callgate confirm"), "{}", run.stdout);
    assert_ne!(held(&bench), before);
    bench.settled();
    assert_eq!(held(&bench), before);
    for wrong in ["4s", "25h", "5", "s", "-5s", ""] {
        bench.run(&["apply", "--at", AT, "--confirm", wrong]).expect(2);
    }
    bench.run(&["apply", "--at", AT, "--no-wait"]).expect(2);
}

/// The timer is held up, so that the next command finds a change whose time is over.
#[test]
fn a_confirmation_that_comes_too_late_says_so() {
    let Some(bench) = applied(shape("nft-exclusive")) else { return };
    let before = held(&bench);
    bench.at(&["apply", "--confirm", "5s", "--no-wait"]).expect(0);
    let timer = bench.state().into_iter().find(|file| file.ends_with(".timer")).unwrap();
    let note = bench.scene.read(&format!("state/{timer}"));
    let pid = note.strip_prefix("pid ").and_then(|rest| rest.split(',').next()).unwrap().to_owned();
    bench.on(&format!("kill -KILL {pid}; sleep 5.2"));
    assert_ne!(held(&bench), before);
    let late = bench.run(&["confirm"]).expect(4);
    assert!(late.stderr.contains("too late: "), "{}", late.stderr);
    assert_eq!(held(&bench), before);
    // The same, where the next command is another apply: it says what it undid, and does its work.
    bench.at(&["apply", "--confirm", "5s", "--no-wait"]).expect(0);
    let timer = bench.state().into_iter().find(|file| file.ends_with(".timer")).unwrap();
    let note = bench.scene.read(&format!("state/{timer}"));
    let pid = note.strip_prefix("pid ").and_then(|rest| rest.split(',').next()).unwrap().to_owned();
    bench.on(&format!("kill -KILL {pid}; sleep 5.2"));
    let next = bench.at(&["apply"]).expect(0);
    assert!(next.stderr.contains("was undone first: it was not confirmed in time"), "{}", next.stderr);
    assert!(next.stdout.contains("in force and kept"), "{}", next.stdout);
}

/// The deadline is of the kernel's own time: where that says another, as a namespace can, another is believed.
#[test]
fn the_time_that_counts_is_the_kernels() {
    let Some(bench) = applied(shape("nft-exclusive")) else { return };
    let try_it = bench.on("unshare --time --boottime 1 --fork true 2>/dev/null && echo yes || true");
    if try_it != "yes\n" {
        assert!(std::env::var_os("CI").is_none(), "CI can't make time namespaces");
        eprintln!("SKIPPED: time namespaces can't be made here");
        return;
    }
    let before = held(&bench);
    bench.at(&["apply", "--confirm", "60s", "--no-wait"]).expect(0);
    let waiting = held(&bench);
    for (offset, says, after) in [("-5", "left alone", &waiting), ("3600", "rolled back: ", &before)] {
        let program = env!("CARGO_BIN_EXE_callgate");
        let said = bench.on(&format!(
            "unshare --time --boottime {offset} --fork {program} rollback --pending --state state"
        ));
        assert!(said.contains(says), "{offset}: {said}");
        assert_eq!(&held(&bench), after, "{offset}");
    }
}
