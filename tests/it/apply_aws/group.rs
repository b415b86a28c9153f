//! Rules of a security group.

use serde_json::json;

use super::stand::{SECOND, Stand, permission, set};

const OLD: [&str; 4] = ["13.50.187.51/32", "20.91.170.120/29", "2a10:a200::/32", "51.21.32.255/32"];
const NEW: [&str; 4] = ["13.50.187.51/32", "20.91.170.120/29", "2a10:a200::/32", "91.132.170.1/32"];

/// Rules of others of every shape, beside which ours come and go.
fn strangers(stand: &Stand) {
    stand.authorize(&permission(22, &[("198.18.0.0/24", "office"), ("2001:4860::/32", "")]));
    stand.authorize(&json!([{ "IpProtocol": "udp", "FromPort": 443, "ToPort": 443,
        "IpRanges": [{ "CidrIp": "0.0.0.0/0", "Description": "quic" }] }]));
    stand.authorize(&json!([{ "IpProtocol": "tcp", "FromPort": 8000, "ToPort": 8100,
        "IpRanges": [{ "CidrIp": "20.91.170.120/29", "Description": "Callgate, by hand" }] }]));
    stand.authorize(&json!([{ "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
        "UserIdGroupPairs": [{ "GroupId": stand.group }] }]));
}

#[test]
fn rules_come_and_go_in_order_and_those_of_others_stay() {
    let Some(stand) = Stand::new(", mode: permit") else { return };
    strangers(&stand);
    let others = stand.others();
    assert_eq!(others.len(), 5);

    let plan = stand.at(&["plan"]).expect(1);
    assert!(plan.stdout.contains("security group sg-"), "{}", plan.stdout);
    assert!(
        plan.stdout.contains("add 4") && plan.stdout.contains("opens  20.91.170.120/29"),
        "{}",
        plan.stdout
    );
    assert_eq!(stand.changes(), [""; 0]);
    stand.want(&json!({}));
    let run = stand.at(&["apply"]).expect(0);
    assert!(run.stdout.contains("in force and kept"), "{}", run.stdout);
    // Both families in one call.
    assert_eq!(stand.changes(), ["authorize-security-group-ingress"]);
    assert_eq!((stand.ours(), stand.others()), (set(&OLD), others.clone()));

    // Again: AWS is asked, and told nothing.
    stand.want(&json!({}));
    let again = stand.at(&["apply"]).expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    assert_eq!(stand.changes(), [""; 0]);
    assert!(stand.calls().iter().all(|call| call[1].starts_with("describe-")), "{:?}", stand.calls());

    // One goes, one comes.
    stand.policy(2, SECOND);
    stand.want(&json!({}));
    let run = stand.at(&["apply"]).expect(0);
    assert!(run.stdout.contains("add 1, revoke 1"), "{}", run.stdout);
    assert!(run.stdout.contains("opens  91.132.170.1 example/new"), "{}", run.stdout);
    assert_eq!(stand.changes(), ["authorize-security-group-ingress", "revoke-security-group-ingress"]);
    assert_eq!((stand.ours(), stand.others()), (set(&NEW), others.clone()));

    // Only a description: the rule's source has another name.
    stand.policy(3, &[SECOND[0], ("renamed", "[91.132.170.1]")]);
    stand.want(&json!({}));
    let run = stand.at(&["apply"]).expect(0);
    assert!(run.stdout.contains("describe 1"), "{}", run.stdout);
    assert_eq!(stand.changes(), ["update-security-group-rule-descriptions-ingress"]);
    let texts: Vec<String> = stand.rules().iter().map(|rule| rule["Description"].to_string()).collect();
    assert!(texts.contains(&"\"callgate example/renamed active\"".to_owned()), "{texts:?}");
    assert_eq!((stand.ours(), stand.others()), (set(&NEW), others));

    let status = stand.run(&["status"]).expect(0);
    assert!(status.stdout.contains(&format!("security group {}", stand.group)), "{}", status.stdout);
}

#[test]
fn what_somebody_else_admits_already_is_kept_or_adopted() {
    let Some(stand) = Stand::new("") else { return };
    stand.authorize(&permission(443, &[("20.91.170.120/29", "by hand"), ("2a10:a200::/32", "")]));
    let others = stand.others();
    let run = stand.at(&["apply"]).expect(0);
    assert!(run.stdout.contains("add 2"), "{}", run.stdout);
    assert!(run.stdout.contains("20.91.170.120/29 is admitted at port 443 by a rule of somebody else (sgr-"));
    assert!(run.stdout.contains("`--adopt` takes it over"), "{}", run.stdout);
    assert_eq!(stand.ours(), set(&["13.50.187.51/32", "51.21.32.255/32"]));
    assert_eq!(stand.others(), others);

    let plan = stand.at(&["plan", "--adopt", "--out", "plan.json"]).expect(1);
    assert!(plan.stdout.contains("take over 2"), "{}", plan.stdout);
    assert!(!plan.stdout.contains("opens  2"), "{}", plan.stdout);
    let besides = stand.run(&["apply", "plan.json", "--adopt"]).expect(2);
    assert!(besides.stderr.contains("a plan says by itself what it adopts"), "{}", besides.stderr);
    stand.want(&json!({ "from": 1, "to": 1, "how": "after" }));
    // Given back, with the words that it had.
    stand.run(&["apply", "plan.json"]).expect(4);
    assert_eq!(stand.others(), others);
    stand.want(&json!({}));
    stand.run(&["apply", "plan.json"]).expect(0);
    assert_eq!(stand.changes(), ["update-security-group-rule-descriptions-ingress"]);
    assert_eq!(stand.ours(), set(&OLD));
    // From now on it goes as ours do.
    stand.policy(2, &[("old", "[51.21.32.255, 13.50.187.51, \"2a10:a200::/32\"]")]);
    stand.at(&["apply"]).expect(0);
    assert_eq!(stand.ours(), set(&["13.50.187.51/32", "2a10:a200::/32", "51.21.32.255/32"]));
}

#[test]
fn a_plan_that_does_not_fit_any_more_and_an_exclusive_group_that_is_open_change_nothing() {
    let Some(stand) = Stand::new("") else { return };
    stand.at(&["plan", "--out", "plan.json"]).expect(1);
    stand.authorize(&permission(443, &[("198.18.0.0/24", "office")]));
    stand.want(&json!({}));
    let run = stand.run(&["apply", "plan.json"]).expect(2);
    assert!(run.stderr.contains("the rules are others than when the plan was made"), "{}", run.stderr);
    let run = stand.at(&["apply"]).expect(1);
    assert!(run.stderr.contains("nothing was changed: other rules keep the plan"), "{}", run.stderr);
    assert!(run.stdout.contains("198.18.0.0"), "{}", run.stdout);
    assert_eq!((stand.changes(), stand.ours().len()), (vec![], 0));

    // More goes than may.
    stand.site(", mode: permit");
    stand.at(&["apply"]).expect(0);
    stand.policy(2, &[("new", "[91.132.170.1]")]);
    stand.want(&json!({}));
    let run = stand.at(&["apply"]).expect(3);
    assert!(run.stdout.contains("refused by family-vanishes"), "{}", run.stdout);
    assert_eq!((stand.changes(), stand.ours()), (vec![], set(&OLD)));
}

#[test]
fn where_there_is_no_room_nothing_is_revoked_first() {
    let Some(stand) = Stand::new(", rules_max: 4") else { return };
    stand.authorize(&permission(22, &[("198.18.0.0/24", "office")]));
    // Three of ours in IPv4 and one of others: full.
    stand.at(&["apply"]).expect(0);
    stand.policy(2, SECOND);
    stand.want(&json!({}));
    let plan = stand.at(&["plan"]).expect(1);
    let told = "would have 5 IPv4 rules while the new ones stand beside the old, and the quota is 4";
    assert!(plan.stdout.contains("finding quota: ") && plan.stdout.contains(told), "{}", plan.stdout);
    let run = stand.at(&["apply"]).expect(1);
    assert!(run.stderr.contains("nothing was changed: there is no room for the plan"), "{}", run.stderr);
    assert_eq!((stand.changes(), stand.ours()), (vec![], set(&OLD)));
    // One more is allowed.
    stand.site(", rules_max: 5");
    stand.at(&["apply"]).expect(0);
    assert_eq!(stand.ours(), set(&NEW));
}

#[test]
fn what_aws_does_not_allow_or_know_is_told_and_nothing_is_changed() {
    let Some(stand) = Stand::new("") else { return };
    stand.want(&json!({ "denied": ["authorize-security-group-ingress"] }));
    let refused = |words: &[&str]| {
        let run = stand.at(&["apply"]).expect(2);
        for word in words {
            assert!(run.stderr.contains(word), "{word}: {}", run.stderr);
        }
        assert!(stand.rules().is_empty() && !stand.is_owed());
    };
    refused(&["AWS does not allow `ec2:AuthorizeSecurityGroupIngress`", "help: let this identity do"]);
    for (command, code, help) in [
        ("authorize-security-group-ingress", "RequestLimitExceeded", "wait, and try again"),
        ("describe-security-groups", "ExpiredToken", "sign in again: these credentials have expired"),
        ("describe-security-group-rules", "AuthFailure", "aws sts get-caller-identity"),
    ] {
        stand.want(&json!({ "failing": { command: code } }));
        refused(&[code, help]);
    }
    stand.want(&json!({}));
    stand.scene.write(
        "callgate.yaml",
        format!(
            "schema: 1\ntargets:\n  cloud: {{ kind: aws-security-group, apply: {{ group: {}, region: eu-west-1 }} }}\n",
            stand.group
        ),
    );
    refused(&["InvalidGroup.NotFound", "see whether the id is of this account and region"]);
    stand.site("");
    stand.moto.aws_text(&["delete-security-group", "--group-id", &stand.group]);
    let run = stand.at(&["plan"]).expect(2);
    assert!(run.stderr.contains("InvalidGroup.NotFound"), "{}", run.stderr);
    for (settings, words) in [
        ("apply: { group: web }", "`web` is no security group id"),
        ("apply: { region: eu-north-1 }", "group"),
        ("apply: { group: sg-01, region: \"\" }", "is no region of AWS"),
        ("apply: { group: sg-01, account: 1 }", "account"),
    ] {
        let site = format!("schema: 1\ntargets:\n  cloud: {{ kind: aws-security-group, {settings} }}\n");
        stand.scene.write("callgate.yaml", site);
        let run = stand.at(&["plan"]).expect(2);
        assert!(run.stderr.contains(words), "{settings}: {}", run.stderr);
    }
    // Without `apply:` it is rendered only.
    stand.scene.write("callgate.yaml", "schema: 1\ntargets:\n  cloud: { kind: aws-security-group }\n");
    let run = stand.at(&["plan"]).expect(2);
    assert!(run.stderr.contains("or one of AWS with `apply:`"), "{}", run.stderr);
}
