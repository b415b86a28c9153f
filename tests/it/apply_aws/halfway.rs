//! Changes that end half-way: at every call, before and after it was done. Whom the old and the new rules admit is admitted at
//! every moment, and the next command settles the rest.

use std::collections::BTreeSet;

use serde_json::json;

use super::stand::{FIRST, SECOND, Stand};
use crate::support::AT;

/// A group in which the first policy is in force, with the second one to come.
fn duel(settings: &str) -> Option<(Stand, BTreeSet<String>, BTreeSet<String>)> {
    let stand = Stand::new(settings)?;
    stand.policy(2, SECOND);
    stand.at(&["apply"]).expect(0);
    let new = stand.admitted();
    stand.policy(3, FIRST);
    stand.at(&["apply"]).expect(0);
    let old = stand.admitted();
    stand.policy(4, SECOND);
    assert!(new.len() == 4 && old.len() == 4 && old != new);
    Some((stand, old, new))
}

fn check_superset(stand: &Stand, old: &BTreeSet<String>, new: &BTreeSet<String>, case: &str) {
    let both: BTreeSet<_> = old.intersection(new).cloned().collect();
    let now = stand.admitted();
    assert!(both.is_subset(&now), "{case}: {now:?}");
    assert!(now.is_subset(&old.union(new).cloned().collect()), "{case}: {now:?}");
}

#[test]
fn a_call_that_fails_is_undone_whether_it_was_done_or_not() {
    let Some((stand, old, new)) = duel("") else { return };
    for call in 1..=2 {
        for how in ["before", "after"] {
            let case = format!("call {call}, {how}");
            stand.want(&json!({ "from": call, "to": call, "how": how }));
            let run = stand.at(&["apply"]).expect(4);
            assert!(run.stderr.contains("InternalError"), "{case}: {}", run.stderr);
            assert!(run.stderr.contains("what was there before is there again"), "{case}: {}", run.stderr);
            assert_eq!(stand.admitted(), old, "{case}");
            assert!(!stand.is_owed(), "{case}");
            // Adds come before removes on the way back as well.
            let names = stand.changes();
            let back = names.get(call..).unwrap_or_default();
            assert!(back.is_sorted(), "{case}: {names:?}");
        }
    }
    // It goes on failing: what is in force is said, and the next command goes on.
    for (first, how) in [(1, "after"), (2, "before"), (2, "after")] {
        let case = format!("from call {first}, {how}");
        stand.want(&json!({ "from": first, "to": 9, "how": how }));
        let run = stand.at(&["apply"]);
        if run.status == 4 {
            // What could not be heard was done all the same, and nothing was left to do.
            assert_eq!(stand.admitted(), old, "{case}");
            continue;
        }
        let run = run.expect(2);
        assert!(
            run.stderr.contains("what was there before could not be brought back"),
            "{case}: {}",
            run.stderr
        );
        let words = "all are admitted there whom both the old and the new rules admit, and perhaps more";
        assert!(run.stderr.contains(words), "{case}: {}", run.stderr);
        check_superset(&stand, &old, &new, &case);
        assert!(stand.is_owed(), "{case}");
        let status = stand.run(&["status"]).expect(1);
        assert!(status.stdout.contains("was left half done"), "{case}: {}", status.stdout);
        stand.want(&json!({}));
        stand.run(&["rollback"]).expect(0);
        assert_eq!((stand.admitted(), stand.is_owed()), (old.clone(), false), "{case}");
    }
    stand.want(&json!({}));
    stand.at(&["apply"]).expect(0);
    assert_eq!(stand.admitted(), new);
}

#[cfg(feature = "fault-points")]
#[test]
fn an_apply_in_aws_may_be_killed_at_every_call() {
    let Some((stand, old, new)) = duel("") else { return };
    for point in
        ["apply-journalled@1", "aws-call@1", "aws-called@1", "aws-call@2", "aws-called@2", "apply-verified@1"]
    {
        let fault = [("CALLGATE_FAULT", point)];
        let run = stand.run_with(&fault, &["apply", "--at", AT]);
        assert_eq!(run.status, -1, "{point}: {}", run.stderr);
        check_superset(&stand, &old, &new, point);
        assert!(stand.is_owed(), "{point}");
        let settled = stand.run(&["rollback", "--pending"]).expect(0);
        assert!(settled.stdout.contains("it was interrupted"), "{point}: {}", settled.stdout);
        assert_eq!((stand.admitted(), stand.is_owed()), (old.clone(), false), "{point}");
    }
    // The rollback as well: the next apply ends it, and goes on.
    stand.run_with(&[("CALLGATE_FAULT", "aws-called@2")], &["apply", "--at", AT]);
    stand.run_with(&[("CALLGATE_FAULT", "aws-called@1")], &["rollback", "--pending"]);
    check_superset(&stand, &old, &new, "rollback");
    let run = stand.at(&["apply"]).expect(0);
    assert!(run.stderr.contains("was undone first: its rollback was interrupted"), "{}", run.stderr);
    assert_eq!(stand.admitted(), new);
}

#[cfg(feature = "fault-points")]
#[test]
fn a_call_that_hangs_is_ended_and_undone() {
    let Some((stand, old, _)) = duel("") else { return };
    stand.want(&json!({ "from": 2, "to": 2, "how": "hang" }));
    let run = stand.run_with(&[("CALLGATE_TOOL_SECONDS", "8")], &["apply", "--at", AT]).expect(4);
    assert!(run.stderr.contains("gave no answer within 8 s"), "{}", run.stderr);
    assert_eq!(stand.admitted(), old);
}

#[test]
fn a_change_is_confirmed_rolled_back_or_undone_by_its_timer() {
    let Some((stand, old, new)) = duel("") else { return };
    let waiting = ["apply", "--at", AT, "--confirm", "10m", "--no-wait"];
    stand.run(&waiting).expect(0);
    assert_eq!(stand.admitted(), new);
    stand.run(&["rollback"]).expect(0);
    assert_eq!(stand.admitted(), old);
    stand.run(&waiting).expect(0);
    stand.run(&["confirm"]).expect(0);
    assert_eq!((stand.admitted(), stand.is_owed()), (new.clone(), false));
    // The timer finds the same account, by the environment that it was given.
    stand.policy(5, FIRST);
    let run = stand.run(&["apply", "--at", AT, "--confirm", "5s"]).expect(4);
    assert!(run.stderr.contains("it was not confirmed in time"), "{}", run.stderr);
    assert_eq!((stand.admitted(), stand.is_owed()), (new, false));
}
