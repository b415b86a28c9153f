//! Managed prefix lists.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::stand::{SECOND, Stand, set, word};
use crate::support::AT;

struct Lists {
    stand: Stand,
    v4: String,
    v6: String,
}

/// A group without rules, a list of each family with one entry of somebody else's, and a site for them.
fn lists(size: u32) -> Option<Lists> {
    let stand = Stand::new("")?;
    let make = |name: &str, family: &str, entry: &str| {
        let entries = json!([{ "Cidr": entry, "Description": "by hand" }]).to_string();
        let made = stand.moto.aws(&[
            "create-managed-prefix-list",
            "--prefix-list-name",
            name,
            "--address-family",
            family,
            "--max-entries",
            "2",
            "--entries",
            &entries,
        ]);
        word(&made["PrefixList"]["PrefixListId"])
    };
    let v4 = make("callbacks-v4", "IPv4", "20.91.170.120/29");
    let v6 = make("callbacks-v6", "IPv6", "2001:4860::/32");
    let lists = Lists { stand, v4, v6 };
    lists.site(size);
    Some(lists)
}

impl Lists {
    fn site(&self, size: u32) {
        let (v4, v6) = (&self.v4, &self.v6);
        self.stand.site(&format!(
            ", mode: permit, rules_max: 1000, prefix_lists: {{ v4_id: {v4}, v6_id: {v6}, v4_max_entries: {size}, v6_max_entries: 3 }}"
        ));
    }

    fn entries(&self, id: &str) -> BTreeSet<String> {
        let told = self.stand.moto.aws(&["get-managed-prefix-list-entries", "--prefix-list-id", id]);
        told["Entries"].as_array().unwrap().iter().map(|entry| word(&entry["Cidr"])).collect()
    }

    fn described(&self, id: &str) -> Value {
        let told = self.stand.moto.aws(&["describe-managed-prefix-lists", "--prefix-list-ids", id]);
        told["PrefixLists"][0].clone()
    }

    fn version(&self, id: &str) -> u64 {
        self.described(id)["Version"].as_u64().unwrap()
    }
}

#[test]
fn lists_are_made_larger_filled_and_named_and_then_changed_at_one_go() {
    let Some(lists) = lists(5) else { return };
    let stand = &lists.stand;
    stand.want(&json!({}));
    let run = stand.at(&["apply"]).expect(0);
    assert!(run.stdout.contains("make it a list of 5, add 2"), "{}", run.stdout);
    let kept = "20.91.170.120/29 is admitted by an entry of somebody else, which is kept as it is";
    assert!(run.stdout.contains(kept), "{}", run.stdout);
    // Size and entries of one list, entries of the other, and then the rules that name them.
    assert_eq!(
        stand.changes(),
        [
            "modify-managed-prefix-list",
            "modify-managed-prefix-list",
            "modify-managed-prefix-list",
            "authorize-security-group-ingress"
        ]
    );
    assert_eq!(lists.entries(&lists.v4), set(&["13.50.187.51/32", "20.91.170.120/29", "51.21.32.255/32"]));
    assert_eq!(lists.entries(&lists.v6), set(&["2001:4860::/32", "2a10:a200::/32"]));
    assert_eq!(stand.admitted(), [lists.v4.clone(), lists.v6.clone()].into());
    assert_eq!((lists.version(&lists.v4), lists.version(&lists.v6)), (2, 2));

    stand.want(&json!({}));
    let again = stand.at(&["apply"]).expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    assert_eq!(stand.changes(), [""; 0]);

    // Another group names the list: it is told.
    let made = stand.moto.aws(&["create-security-group", "--group-name", "b", "--description", "b"]);
    let other = word(&made["GroupId"]);
    let rule = json!([{ "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [{ "PrefixListId": lists.v4 }] }]);
    let rule = rule.to_string();
    stand.moto.aws(&["authorize-security-group-ingress", "--group-id", &other, "--ip-permissions", &rule]);
    stand.policy(2, SECOND);
    stand.want(&json!({}));
    let run = stand.at(&["apply"]).expect(0);
    assert!(run.stdout.contains("add 1, remove 1"), "{}", run.stdout);
    let shared = format!("prefix list {} changes for these as well, which name it: {other}", lists.v4);
    assert!(run.stdout.contains(&shared), "{}", run.stdout);
    assert_eq!(stand.changes(), ["modify-managed-prefix-list"]);
    assert_eq!(lists.entries(&lists.v4), set(&["13.50.187.51/32", "20.91.170.120/29", "91.132.170.1/32"]));
    assert_eq!(lists.described(&lists.v4)["PrefixListName"], "callbacks-v4");
}

#[test]
fn a_list_that_moved_or_has_no_room_is_left_alone() {
    let Some(lists) = lists(2) else { return };
    let stand = &lists.stand;
    let run = stand.at(&["apply"]).expect(1);
    let words = "would hold 3 entries at once, and its size is 2";
    assert!(run.stdout.contains(words), "{}", run.stdout);
    assert_eq!((lists.version(&lists.v4), stand.rules().len()), (1, 0));

    // Somebody changes it between reading and writing.
    lists.site(5);
    let entry = json!([{ "Cidr": "198.18.7.0/24" }]).to_string();
    let name = "callbacks-v4";
    stand.want(
        &json!({ "from": 2, "to": 2, "meanwhile": ["modify-managed-prefix-list", "--prefix-list-id", lists.v4,
        "--current-version", "1", "--add-entries", entry, "--prefix-list-name", name] }),
    );
    let run = stand.at(&["apply"]).expect(4);
    assert!(run.stderr.contains("PrefixListVersionMismatch"), "{}", run.stderr);
    assert_eq!(lists.entries(&lists.v4), set(&["198.18.7.0/24", "20.91.170.120/29"]));
    assert_eq!(lists.entries(&lists.v6), set(&["2001:4860::/32"]));
    assert!(stand.rules().is_empty() && !stand.is_owed());

    // A plan is of a version.
    stand.want(&json!({}));
    stand.at(&["plan", "--out", "plan.json"]).expect(1);
    let gone = json!([{ "Cidr": "198.18.7.0/24" }]).to_string();
    stand.moto.aws(&[
        "modify-managed-prefix-list",
        "--prefix-list-id",
        &lists.v4,
        "--current-version",
        "2",
        "--remove-entries",
        &gone,
        "--prefix-list-name",
        name,
    ]);
    let run = stand.run(&["apply", "plan.json"]).expect(2);
    assert!(run.stderr.contains("the rules are others"), "{}", run.stderr);
    assert_eq!(stand.changes(), [""; 0]);
}

#[cfg(feature = "fault-points")]
#[test]
fn an_apply_of_lists_may_be_killed_at_every_call() {
    let Some(lists) = lists(5) else { return };
    let stand = &lists.stand;
    for point in ["aws-called@1", "aws-call@2", "aws-called@2", "aws-called@3", "aws-call@4", "aws-called@4"]
    {
        let run = stand.run_with(&[("CALLGATE_FAULT", point)], &["apply", "--at", AT]);
        assert_eq!(run.status, -1, "{point}: {}", run.stderr);
        stand.run(&["rollback", "--pending"]).expect(0);
        assert_eq!(lists.entries(&lists.v4), set(&["20.91.170.120/29"]), "{point}");
        assert_eq!(lists.entries(&lists.v6), set(&["2001:4860::/32"]), "{point}");
        assert!(stand.rules().is_empty() && !stand.is_owed(), "{point}");
        // The size is left as it is: to make it smaller could fail.
        stand.scene.write("stand/sizes", "{}");
    }
}

/// From rules to lists and back: whoever both admit is admitted at every moment.
#[test]
fn a_group_goes_over_to_lists() {
    let Some(lists) = lists(5) else { return };
    let stand = &lists.stand;
    stand.site(", mode: permit");
    stand.at(&["apply"]).expect(0);
    let before = stand.admitted();
    assert_eq!(before.len(), 4);
    lists.site(5);
    stand.want(&json!({}));
    stand.run(&["apply", "--at", AT, "--confirm", "10m", "--no-wait"]).expect(0);
    assert_eq!(stand.admitted(), [lists.v4.clone(), lists.v6.clone()].into());
    let names = stand.changes();
    assert_eq!(names.last().unwrap(), "revoke-security-group-ingress", "{names:?}");
    stand.want(&json!({}));
    stand.run(&["rollback"]).expect(0);
    assert_eq!(stand.admitted(), before);
    // The rules are there before the lists are emptied.
    let names = stand.changes();
    assert_eq!(names.first().unwrap(), "authorize-security-group-ingress", "{names:?}");
    assert_eq!(lists.entries(&lists.v4), set(&["20.91.170.120/29"]));
}

/// More than one call takes: all that comes is there before anything goes.
#[test]
fn a_hundred_and_fifty_entries_come_before_as_many_go() {
    let Some(lists) = lists(400) else { return };
    let stand = &lists.stand;
    let many = |third: u32| -> String {
        let all: Vec<String> = (0..150_u32).map(|one| format!("20.{third}.{one}.0/24")).collect();
        format!("[{}]", all.join(", "))
    };
    let v6 = ("six", "[\"2a10:a200::/32\"]");
    stand.policy(2, &[("many", &many(1)), v6]);
    stand.at(&["apply"]).expect(0);
    assert_eq!(lists.entries(&lists.v4).len(), 151);
    stand.policy(3, &[("many", &many(2)), v6]);
    let refused = stand.at(&["apply"]).expect(3);
    let flag = refused.stdout.split("`--allow-removals ").nth(1).unwrap().split('`').next().unwrap();
    stand.want(&json!({}));
    stand.at(&["apply", "--allow-removals", flag]).expect(0);
    assert_eq!(stand.changes().len(), 4);
    let calls = stand.calls();
    let calls: Vec<&Vec<String>> = calls
        .iter()
        .filter(|call| call[1] == "modify-managed-prefix-list" && !call.contains(&"--dry-run".to_owned()))
        .collect();
    let adds: Vec<bool> = calls.iter().map(|call| call.contains(&"--add-entries".to_owned())).collect();
    assert_eq!(adds, [true, true, false, false]);
    assert_eq!(lists.entries(&lists.v4).len(), 151);
}
