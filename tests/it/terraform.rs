//! What Terraform's state and plan let in: recorded files of every shape, and the real Terraform against an EC2
//! endpoint on loopback, compared with what that endpoint itself tells.

mod live;

use std::net::IpAddr;

use callgate::admission::{Admission, FindingKind, Layer as _, Listing, Question};
use callgate::prefix::{Prefix, PrefixSet};
use callgate::security_group::admit;
use callgate::security_group::select::Selection;
use callgate::security_group::terraform::{self, Asked, Reading, When};
use serde_json::{Value, json};

use crate::support::root;

/// Everybody.
const ALL: &str = "0.0.0.0/0 ::/0";

fn listing(text: impl Into<String>) -> Listing {
    Listing { name: "terraform.json".to_owned(), text: text.into().into() }
}

fn fixture(path: &str) -> Listing {
    listing(std::fs::read_to_string(root().join("tests/fixtures/terraform").join(path)).unwrap())
}

fn asked(names: &[&str]) -> Asked {
    let of = |group: bool| {
        names.iter().filter(|name| name.starts_with("sg-") == group).map(|name| (*name).to_owned()).collect()
    };
    Asked { resources: of(false), groups: of(true) }
}

fn read(listing: &Listing, names: &[&str], when: When) -> Reading {
    let document = terraform::read(&listing.name, &listing.text)
        .unwrap_or_else(|error| panic!("{error}: {}", error.help));
    document.reading(&asked(names), when).unwrap_or_else(|error| panic!("{error}: {}", error.help))
}

fn question(port: u16) -> Question {
    Question { port, interface: None, addresses: Vec::new(), at: jiff::Timestamp::UNIX_EPOCH }
}

fn admission(reading: &Reading, port: u16) -> Admission {
    let selection = Selection { groups: reading.asked.clone(), ..Selection::default() };
    admit::Asked::new(&reading.groups, &selection).unwrap().admit(&question(port))
}

/// Who decides about a source, by its resource's address.
fn decider(reading: &Reading, port: u16, source: &str) -> Option<String> {
    let selection = Selection { groups: reading.asked.clone(), ..Selection::default() };
    let ready = admit::Asked::new(&reading.groups, &selection).unwrap();
    let source: IpAddr = source.parse().unwrap();
    let answer = ready.admit(&question(port));
    let one = answer.decided.iter().find(|one| one.first <= source && source <= one.last)?;
    ready.describe(one.rule?).facts.get("resource").cloned()
}

fn set(text: &str) -> PrefixSet {
    text.split_whitespace().map(|prefix| prefix.parse::<Prefix>().unwrap()).collect()
}

fn shown(set: &PrefixSet) -> String {
    set.to_prefixes().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// At this port, these sources get in surely, and these may besides.
#[track_caller]
fn check(listing: &Listing, names: &[&str], when: When, port: u16, surely: &str, maybe: &str) -> Admission {
    let reading = read(listing, names, when);
    let answer = admission(&reading, port);
    let case = format!("{names:?} {when:?} {port}: {:#?}", answer.undecided);
    assert_eq!(shown(&answer.surely), shown(&set(surely)), "surely, {case}");
    let possibly = set(surely).union(&set(maybe));
    assert_eq!(shown(&answer.possibly), shown(&possibly), "possibly, {case}");
    answer
}

fn kinds(answer: &Admission) -> Vec<FindingKind> {
    answer.findings.iter().map(|finding| finding.kind).collect()
}

// Every shape.

#[test]
fn a_state_has_rules_of_every_shape() {
    for file in ["shapes/state.json", "shapes/refreshed.json"] {
        let state = fixture(file);
        let check = |names: &[&str], port, surely: &str, maybe: &str| {
            check(&state, names, When::After, port, surely, maybe)
        };
        let inline = ["aws_security_group.inline"];
        let callbacks = "20.91.170.120/29 51.21.32.255/32 2a10:a200::/32";
        check(&inline, 443, &format!("{callbacks} 91.132.170.1/32 91.132.171.0/24 10.0.0.0/8"), "");
        check(&inline, 8443, "10.0.0.0/8", ALL);
        check(&inline, 22, "10.0.0.0/8", "");
        let cidrs = "198.51.100.0/24 192.0.2.0/24 2001:db8::/32 172.16.0.0/12";
        let lists = "91.132.170.1/32 91.132.171.0/24 91.132.172.1/32 91.132.173.0/24";
        check(&["aws_security_group.legacy"], 443, &format!("{cidrs} {lists}"), ALL);
        check(&["aws_security_group.legacy"], 22, "172.16.0.0/12", ALL);
        // The group that a rule names, and a sensitive address.
        let rules =
            "20.91.170.120/29 51.21.32.255/32 2a10:a200::/31 91.132.172.1/32 91.132.173.0/24 10.1.0.0/16";
        check(&["aws_security_group.rules"], 443, rules, ALL);
        check(&["aws_security_group.rules"], 22, "10.1.0.0/16", "");
        check(&["aws_default_security_group.default"], 443, "192.0.2.77/32", ALL);
        for index in [0, 1] {
            let web = format!("module.web[{index}]");
            let both = "198.51.100.1/32 198.51.100.2/32";
            assert!(check(&[&web], 443, both, "").findings.is_empty());
            check(&[&format!("{web}.aws_security_group.this")], 443, both, "");
        }
    }
}

#[test]
fn what_has_groups_has_all_of_them() {
    let state = fixture("shapes/state.json");
    let groups = |name: &str| {
        let mut asked = read(&state, &[name], When::After).asked;
        asked.sort();
        asked
    };
    let two = |one: &str, other: &str| {
        let mut both = [groups(one), groups(other)].concat();
        both.sort();
        both
    };
    let (inline, legacy, rules) =
        ("aws_security_group.inline", "aws_security_group.legacy", "aws_security_group.rules");
    assert_eq!(groups("aws_network_interface.eni"), two(inline, legacy));
    assert_eq!(groups("aws_instance.web"), two(rules, legacy));
    assert_eq!(groups("data.aws_security_group.looked_up"), groups(legacy));
    let plan = fixture("shapes/plan.json");
    let later = |name: &str| read(&plan, &[name], When::After).asked;
    assert_eq!(later("aws_network_interface.eni"), [inline, legacy]);
    assert_eq!(later("aws_instance.web"), [legacy, rules]);
}

#[test]
fn a_rule_is_named_by_its_address() {
    let state = fixture("shapes/state.json");
    let by = |name: &str, source| decider(&read(&state, &[name], When::After), 443, source);
    let module = "module.web[1].module.inner[\"b\\\"c\"].aws_vpc_security_group_ingress_rule.callbacks[\"198.51.100.2/32\"]";
    assert_eq!(by("module.web[1]", "198.51.100.2").as_deref(), Some(module));
    let each = "aws_vpc_security_group_ingress_rule.callbacks[\"20.91.170.120/29\"]";
    assert_eq!(by("aws_security_group.rules", "20.91.170.121").as_deref(), Some(each));
    assert_eq!(by("aws_security_group.inline", "51.21.32.255").as_deref(), Some("aws_security_group.inline"));
    let several = "aws_security_group_rule.several";
    assert_eq!(by("aws_security_group.legacy", "2001:db8::1").as_deref(), Some(several));
}

#[test]
fn a_plan_says_what_will_be_before_anything_has_an_id() {
    let plan = fixture("shapes/plan.json");
    let check = |names: &[&str], port, surely: &str, maybe: &str| {
        check(&plan, names, When::After, port, surely, maybe)
    };
    let inline = "20.91.170.120/29 51.21.32.255/32 2a10:a200::/32 91.132.170.1/32 91.132.171.0/24 10.0.0.0/8";
    check(&["aws_security_group.inline"], 443, inline, "");
    let legacy = "198.51.100.0/24 192.0.2.0/24 2001:db8::/32 172.16.0.0/12 91.132.170.1/32 91.132.171.0/24 91.132.172.1/32 91.132.173.0/24";
    check(&["aws_security_group.legacy"], 443, legacy, ALL);
    let rules = "20.91.170.120/29 51.21.32.255/32 2a10:a200::/31 91.132.172.1/32 91.132.173.0/24 10.1.0.0/16";
    check(&["aws_security_group.rules"], 443, rules, ALL);
    check(&["module.web[0]"], 443, "198.51.100.1/32 198.51.100.2/32", "");
    // Before it, none of them is there.
    let answer = self::check(&plan, &["aws_security_group.rules"], When::Before, 443, "", "");
    assert_eq!(kinds(&answer), [FindingKind::Listing]);
}

// Unknown.

#[test]
fn what_is_unknown_concerns_no_more_than_it_can() {
    let plan = fixture("unknown/plan.json");
    let check = |names: &[&str], port, surely: &str, maybe: &str| {
        check(&plan, names, When::After, port, surely, maybe)
    };
    // Rules whose group is only known after apply may be this group's.
    let stray = "192.0.2.20/32 192.0.2.22/32 192.0.2.24/32 192.0.2.25/32 192.0.2.26/32 192.0.2.27/32 192.0.2.28/32 192.0.2.33/32 192.0.2.34/32";
    let values = ["aws_security_group.values"];
    let port = "192.0.2.1/32";
    check(&values, 22, "", &format!("0.0.0.0/0 {port}"));
    check(&values, 443, "", &format!("{ALL} {stray}"));
    // A protocol that is not known can be all of them.
    check(&values, 25, "", &format!("{port} 192.0.2.2/32"));
    check(&values, 8443, "", "0.0.0.0/0");
    check(&values, 9443, "", "0.0.0.0/0");
    check(&["aws_security_group.listed"], 443, "192.0.2.7/32", "0.0.0.0/0");
    check(&["aws_security_group.listed"], 8443, "", "0.0.0.0/0");
    check(&["aws_security_group.inline"], 443, "", "0.0.0.0/0");
    check(&["aws_security_group.inline"], 22, "", "192.0.2.6/32");
    check(&["aws_security_group.dynamic"], 22, "", "0.0.0.0/0");
}

#[test]
fn a_group_is_found_by_how_it_is_referred_to() {
    let plan = fixture("unknown/plan.json");
    let stray = "192.0.2.20/32 192.0.2.22/32 192.0.2.24/32 192.0.2.25/32 192.0.2.26/32 192.0.2.27/32 192.0.2.28/32 192.0.2.33/32 192.0.2.34/32";
    for (name, surely) in [
        ("aws_security_group.ref", "192.0.2.35/32"),
        ("aws_security_group.counted[0]", ""),
        ("aws_security_group.counted[1]", "192.0.2.21/32"),
        ("aws_security_group.each[\"x\"]", ""),
        ("aws_security_group.each[\"y.z\"]", "192.0.2.23/32"),
        ("aws_security_group.each[\"w\\\"v\"]", "192.0.2.29/32"),
        ("module.sg.aws_security_group.this", "192.0.2.30/32 192.0.2.32/32"),
        ("module.sgs[\"p\"].aws_security_group.this", ""),
        ("module.sgs[\"q\"].aws_security_group.this", "192.0.2.31/32"),
    ] {
        check(&plan, &[name], When::After, 443, surely, stray);
    }
    let asked = read(&plan, &["aws_network_interface.refs"], When::After).asked;
    assert_eq!(
        asked,
        ["aws_security_group.each[\"x\"]", "aws_security_group.ref", "module.sg.aws_security_group.this"]
    );
}

// Changes.

/// The four parts of an answer, in words: surely before, maybe before, surely after, maybe after.
type Change = [&'static str; 4];

#[track_caller]
fn check_change(plan: &Listing, name: &str, [old, old_maybe, new, new_maybe]: Change) {
    check(plan, &[name], When::Before, 443, old, old_maybe);
    check(plan, &[name], When::After, 443, new, new_maybe);
    let document = terraform::read(&plan.name, &plan.text).unwrap();
    let (before, after) = document.both(&asked(&[name])).unwrap().unwrap();
    assert_eq!(shown(&admission(&before, 443).surely), shown(&set(old)), "{name}, both");
    assert_eq!(shown(&admission(&after, 443).surely), shown(&set(new)), "{name}, both");
}

#[test]
fn a_plan_opens_and_closes() {
    let plan = fixture("changes/plan.json");
    for (name, change) in [
        // One rule goes, one comes, one is changed where it stands; one was made by somebody else.
        (
            "rules",
            [
                "192.0.2.1/32 192.0.2.2/32 192.0.2.10/32",
                "198.18.0.1/32",
                "192.0.2.2/32 192.0.2.3/32 192.0.2.11/32",
                "198.18.0.1/32",
            ],
        ),
        ("legacy", ["192.0.2.20/32", "", "192.0.2.21/32 192.0.2.22/32", ""]),
        ("inline", ["192.0.2.30/32 192.0.2.31/32", "", "192.0.2.31/32 192.0.2.32/32", ""]),
        ("replaced", ["192.0.2.40/32", "", "192.0.2.40/32", ""]),
        ("emptied", ["192.0.2.45/32", "", "", ""]),
        ("forgotten", ["192.0.2.46/32", "", "192.0.2.46/32", ""]),
        ("moved", ["192.0.2.52/32 192.0.2.53/32", "", "192.0.2.52/32 192.0.2.53/32", ""]),
        ("imported", ["198.18.0.2/32", "", "198.18.0.3/32", ""]),
        ("mixed", ["192.0.2.50/32 192.0.2.51/32", "", "192.0.2.50/32", "192.0.2.51/32"]),
        (
            "lists",
            [
                "192.0.2.70/32 192.0.2.71/32 192.0.2.80/32 192.0.2.81/32",
                "",
                "192.0.2.70/32 192.0.2.72/32 192.0.2.81/32 192.0.2.82/32",
                "",
            ],
        ),
        ("exclusive", ["192.0.2.90/31", "", "192.0.2.91/32 192.0.2.92/32", ""]),
    ] {
        check_change(&plan, &format!("aws_security_group.{name}"), change);
    }
}

#[test]
fn a_sensitive_value_is_never_told_and_may_match() {
    for file in ["changes/before.json", "changes/plan.json", "changes/after.json"] {
        let listing = fixture(file);
        let sensitive = ["aws_security_group.sensitive"];
        // A set with something sensitive is sensitive as a whole.
        for name in [sensitive, ["aws_security_group.sensitive_rules"]] {
            let reading = read(&listing, &name, When::After);
            assert!(!format!("{:?}", reading.groups.groups).contains("203.0.113.66"), "{file} {name:?}");
        }
        check(&listing, &sensitive, When::After, 443, "", "0.0.0.0/0");
        let rules = ["aws_security_group.sensitive_rules"];
        check(&listing, &rules, When::After, 443, "", "0.0.0.0/0");
        check(&listing, &rules, When::After, 8443, "192.0.2.63/32", "0.0.0.0/0");
        check(&listing, &rules, When::After, 22, "", "192.0.2.62/32");
    }
}

#[test]
fn several_ways_of_making_rules_are_a_finding() {
    let plan = fixture("changes/plan.json");
    let of = |name: &str| {
        let reading = read(&plan, &[name], When::After);
        admission(&reading, 443).findings
    };
    for (name, words) in [
        ("aws_security_group.mixed", "has blocks `ingress`, and resources make rules for it as well"),
        ("aws_security_group.moved", "both make rules of `aws_security_group.moved`"),
    ] {
        let findings = of(name);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].kind, FindingKind::MixedRuleStyles);
        assert!(findings[0].message.contains(words), "{findings:?}");
    }
    assert!(of("aws_security_group.legacy").is_empty());
    // A state does not tell blocks that were written from what was seen.
    let state = read(&fixture("changes/before.json"), &["aws_security_group.mixed"], When::After);
    assert_eq!(kinds(&admission(&state, 443)), [FindingKind::MixedRuleStyles]);
    let strays = of("aws_security_group.rules");
    assert_eq!(strays.len(), 1);
    assert!(strays[0].message.contains("lists 1 rules that no resource here makes"), "{strays:?}");
}

#[test]
fn a_state_that_was_not_refreshed_leaves_open_what_is_stale() {
    let state = fixture("changes/after.json");
    let check = |name: &str, surely: &str, maybe: &str| {
        check(&state, &[&format!("aws_security_group.{name}")], When::After, 443, surely, maybe)
    };
    // What the endpoint had: 192.0.2.2, .3, .11 and 198.18.0.1.
    check("rules", "192.0.2.2/32", "192.0.2.1/32 192.0.2.3/32 192.0.2.10/32 192.0.2.11/32 198.18.0.1/32");
    check("legacy", "", "192.0.2.20/32 192.0.2.21/32 192.0.2.22/32");
    // It had .50 only.
    check("mixed", "", "192.0.2.50/31");
    check("inline", "192.0.2.31/32 192.0.2.32/32", "");
    check("exclusive", "192.0.2.91/32", "192.0.2.90/32 192.0.2.92/32");
}

#[test]
fn a_narrowed_plan_leaves_the_others_as_they_are() {
    let plan = fixture("changes/target.json");
    check_change(&plan, "aws_security_group.inline", ["192.0.2.30/31", "", "192.0.2.30/31", ""]);
    check_change(&plan, "aws_security_group.legacy", ["192.0.2.20/32", "", "192.0.2.20/32", ""]);
    let rules = ["192.0.2.1/32 192.0.2.2/32 192.0.2.10/32", "198.18.0.1/32"];
    let after = ["192.0.2.2/32 192.0.2.3/32 192.0.2.10/32", "198.18.0.1/32"];
    check_change(&plan, "aws_security_group.rules", [rules[0], rules[1], after[0], after[1]]);
}

#[test]
fn what_is_destroyed_lets_nobody_in() {
    let plan = fixture("changes/destroy.json");
    let name = ["aws_security_group.inline"];
    check(&plan, &name, When::Before, 443, "192.0.2.30/31", "");
    let answer = check(&plan, &name, When::After, 443, "", "");
    assert_eq!(kinds(&answer), [FindingKind::Listing]);
    assert!(answer.findings[0].message.contains("is destroyed by this plan"), "{:?}", answer.findings);
}

// Rules that are said to be all. The provider at hand does not have the resource, so these are written by hand.

fn rule(name: &str, address: &str) -> Value {
    json!({
        "address": format!("aws_vpc_security_group_ingress_rule.{name}"), "mode": "managed",
        "type": "aws_vpc_security_group_ingress_rule",
        "values": {
            "security_group_id": "sg-1", "security_group_rule_id": format!("sgr-{name}"), "ip_protocol": "tcp",
            "from_port": 443, "to_port": 443, "cidr_ipv4": address, "cidr_ipv6": null
        }
    })
}

fn exclusive(ids: &[&str]) -> Value {
    json!({
        "address": "aws_vpc_security_group_rules_exclusive.all", "mode": "managed",
        "type": "aws_vpc_security_group_rules_exclusive",
        "values": { "security_group_id": "sg-1", "ingress_rule_ids": ids, "egress_rule_ids": [] }
    })
}

fn group(listed: &[&str]) -> Value {
    let block =
        json!({ "protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": listed, "self": false });
    json!({
        "address": "aws_security_group.all", "mode": "managed", "type": "aws_security_group",
        "values": { "id": "sg-1", "name": "all", "ingress": if listed.is_empty() { json!([]) } else { json!([block]) } }
    })
}

fn state(resources: &[Value]) -> Value {
    json!({ "format_version": "1.0", "values": { "root_module": { "resources": resources } } })
}

/// A plan of which this is the state before; each change has actions, and what comes after.
fn plan(before: &[Value], changes: &[(Value, &str, Value)], configured: &Value) -> Listing {
    let changes: Vec<Value> = changes
        .iter()
        .map(|(resource, action, unknown)| {
            let old = before.iter().find(|old| old["address"] == resource["address"]);
            let after = if *action == "delete" { Value::Null } else { resource["values"].clone() };
            json!({
                "address": resource["address"], "mode": "managed", "type": resource["type"],
                "change": { "actions": [action], "before": old.map(|old| &old["values"]), "after": after, "after_unknown": unknown }
            })
        })
        .collect();
    let text = json!({
        "format_version": "1.2", "planned_values": { "root_module": {} }, "resource_changes": changes,
        "prior_state": state(before), "configuration": { "root_module": { "resources": configured } }
    });
    listing(text.to_string())
}

const GROUP: [&str; 1] = ["aws_security_group.all"];

#[test]
fn rules_that_are_not_listed_as_all_are_revoked() {
    let configured = json!([
        { "address": "aws_security_group.all", "expressions": {} },
        { "address": "aws_vpc_security_group_ingress_rule.a", "expressions": {} },
        { "address": "aws_vpc_security_group_ingress_rule.b", "expressions": {} },
        { "address": "aws_vpc_security_group_ingress_rule.c", "expressions": {} },
        {
            "address": "aws_vpc_security_group_rules_exclusive.all",
            "expressions": { "ingress_rule_ids": { "references": [
                "aws_vpc_security_group_ingress_rule.a.id", "aws_vpc_security_group_ingress_rule.a",
                "aws_vpc_security_group_ingress_rule.c.id", "aws_vpc_security_group_ingress_rule.c"
            ] } }
        }
    ]);
    let (a, b, c) = (rule("a", "192.0.2.1/32"), rule("b", "192.0.2.2/32"), rule("c", "192.0.2.3/32"));
    let seen = group(&["192.0.2.1/32", "192.0.2.2/32", "192.0.2.9/32"]);
    let before = [seen.clone(), a.clone(), b.clone(), exclusive(&["sgr-a", "sgr-b", "sgr-x"])];
    let kept = json!({});
    // It is changed to list one: the others go, whoever made them.
    let changes = [
        (seen.clone(), "no-op", kept.clone()),
        (a.clone(), "no-op", kept.clone()),
        (b.clone(), "no-op", kept.clone()),
        (exclusive(&["sgr-a"]), "update", kept.clone()),
    ];
    let listing = plan(&before, &changes, &configured);
    check(&listing, &GROUP, When::Before, 443, "192.0.2.1/32 192.0.2.2/32", "192.0.2.9/32");
    check(&listing, &GROUP, When::After, 443, "192.0.2.1/32", "");
    // Ids that are not known yet: what is referred to stays, of others nobody can say.
    let mut made = c.clone();
    made["values"]["security_group_rule_id"] = Value::Null;
    let mut all = exclusive(&[]);
    all["values"].as_object_mut().unwrap().remove("ingress_rule_ids");
    let changes = [
        (seen.clone(), "no-op", kept.clone()),
        (a.clone(), "no-op", kept.clone()),
        (b.clone(), "no-op", kept.clone()),
        (made, "create", json!({ "security_group_rule_id": true })),
        (all, "update", json!({ "ingress_rule_ids": true })),
    ];
    let listing = plan(&before, &changes, &configured);
    check(&listing, &GROUP, When::After, 443, "192.0.2.1/32 192.0.2.3/32", "192.0.2.2/32 192.0.2.9/32");
}

#[test]
fn a_state_whose_list_of_all_rules_lacks_one_leaves_it_open() {
    let of = |group: Value, ids: &[&str]| {
        let (a, b) = (rule("a", "192.0.2.1/32"), rule("b", "192.0.2.2/32"));
        listing(state(&[group, a, b, exclusive(ids)]).to_string())
    };
    check(&of(group(&[]), &["sgr-a", "sgr-b"]), &GROUP, When::After, 443, "192.0.2.1/32 192.0.2.2/32", "");
    check(&of(group(&[]), &["sgr-a"]), &GROUP, When::After, 443, "192.0.2.1/32", "192.0.2.2/32");
    // One that nobody here makes can name anybody, unless `ingress` lists it.
    check(
        &of(group(&[]), &["sgr-a", "sgr-b", "sgr-x"]),
        &GROUP,
        When::After,
        443,
        "192.0.2.1/32 192.0.2.2/32",
        ALL,
    );
    let seen = group(&["192.0.2.1/32", "192.0.2.2/32", "192.0.2.9/32"]);
    let all = ["sgr-a", "sgr-b", "sgr-x"];
    check(&of(seen, &all), &GROUP, When::After, 443, "192.0.2.1/32 192.0.2.2/32", "192.0.2.9/32");
}

#[test]
fn what_is_deposed_or_tainted_is_still_there() {
    let mut deposed = rule("a", "192.0.2.1/32");
    deposed["deposed_key"] = json!("00000000");
    let mut tainted = rule("a", "192.0.2.2/32");
    tainted["tainted"] = json!(true);
    let before = [group(&[]), deposed, tainted.clone()];
    let listing = listing(state(&before).to_string());
    check(&listing, &GROUP, When::After, 443, "192.0.2.1/32 192.0.2.2/32", "");
    // A plan destroys the one, and replaces the other.
    let configured = json!([{ "address": "aws_security_group.all", "expressions": {} }]);
    let change = |deposed: Value, actions: Value, after: Value| {
        json!({
            "address": "aws_vpc_security_group_ingress_rule.a", "mode": "managed", "deposed": deposed,
            "type": "aws_vpc_security_group_ingress_rule",
            "change": { "actions": actions, "before": {}, "after": after, "after_unknown": {} }
        })
    };
    let mut text: Value = serde_json::from_str(&plan(&before, &[], &configured).text).unwrap();
    text["resource_changes"] = json!([
        change(json!("00000000"), json!(["delete"]), Value::Null),
        change(Value::Null, json!(["delete", "create"]), rule("a", "192.0.2.3/32")["values"].clone()),
    ]);
    let listing = self::listing(text.to_string());
    check(&listing, &GROUP, When::Before, 443, "192.0.2.1/32 192.0.2.2/32", "");
    check(&listing, &GROUP, When::After, 443, "192.0.2.3/32", "");
}

// What can't be read or asked.

#[track_caller]
fn check_refused(text: &str, words: &str, help: &str) {
    let Err(error) = terraform::read("file", text) else { panic!("{text} is read") };
    assert!(error.message.contains(words), "{}", error.message);
    assert!(error.help.contains(help), "{}", error.help);
    assert!(error.to_string().starts_with("file:"), "{error}");
}

#[test]
fn what_terraform_show_did_not_print_is_refused() {
    let show = "`terraform show -json";
    check_refused("", "the text is empty", show);
    check_refused("resource \"aws_security_group\" \"x\" {}", "this is no JSON object", show);
    check_refused("[]", "this is no JSON object", show);
    check_refused("{}", "no `format_version`", show);
    check_refused("{\"format_version\": \"1.0\"", "not the JSON of Terraform: EOF", show);
    check_refused("{\n\"format_version\": 1}", "not the JSON of Terraform", show);
    check_refused("{\"format_version\": \"2.0\"}", "format version `2.0` is not known", "newer callgate");
    let file = "{\"version\": 4, \"terraform_version\": \"1.11.4\", \"serial\": 1, \"lineage\": \"a\", \"resources\": []}";
    check_refused(file, "a state file as Terraform keeps it for itself", "terraform show -json > state.json");
    let log = "{\"@level\":\"info\",\"@message\":\"Terraform 1.11.4\",\"type\":\"version\"}\n";
    check_refused(log, "the log of `terraform plan -json`", "terraform show -json plan");
    check_refused(&log.repeat(2), "the log of `terraform plan -json`", "terraform show -json plan");
    check_refused("{\"format_version\": \"1.2\", \"errored\": true}", "ended with an error", "plan again");
    check_refused("{\"format_version\": \"1.0\", \"format_version\": \"1.0\"}", "duplicate field", show);
}

#[track_caller]
fn check_unasked(listing: &Listing, names: &[&str], words: &str, help: &str) {
    let document = terraform::read(&listing.name, &listing.text).unwrap();
    let error = document.reading(&asked(names), When::After).unwrap_err();
    assert!(error.message.contains(words), "{}", error.message);
    assert!(error.help.contains(help), "{}", error.help);
}

#[test]
fn a_group_has_to_be_meant() {
    let state = fixture("shapes/state.json");
    let groups =
        "`aws_default_security_group.default`, `aws_security_group.inline`, `aws_security_group.legacy`";
    check_unasked(&state, &[], &format!("the file has 6 security groups: {groups}"), "--resource ADDRESS");
    check_unasked(&state, &["aws_security_group.x"], "`aws_security_group.x` is not in the file", groups);
    check_unasked(&state, &["module.web"], "`module.web` can mean `module.web[0].aws", "whole");
    check_unasked(&state, &["aws_vpc.main"], "it has no security groups that are told", "--group sg-");
    check_unasked(&listing("{\"format_version\":\"1.0\"}"), &[], "no security group", "that has it");
    // The only one need not be named.
    let one = self::state(&[group(&["192.0.2.1/32"])]).to_string();
    check(&listing(one), &[], When::After, 443, "192.0.2.1/32", "");
    // Nor one that only rules name; but then others may have given it rules.
    let one = listing(self::state(&[rule("a", "192.0.2.1/32")]).to_string());
    for names in [&[][..], &["sg-1"]] {
        let answer = check(&one, names, When::After, 443, "192.0.2.1/32", "");
        assert_eq!(kinds(&answer), [FindingKind::Listing]);
        assert!(answer.findings[0].message.contains("group `sg-1` itself is not in this file"));
    }
}

#[test]
fn a_rule_that_cannot_be_read_may_match() {
    let mut odd = rule("odd", "192.0.2.1/32");
    odd["values"]["cidr_ipv4"] = json!({ "a": 1 });
    let good = rule("good", "192.0.2.2/32");
    let listing = listing(state(&[group(&[]), odd, good]).to_string());
    check(&listing, &GROUP, When::After, 443, "192.0.2.2/32", ALL);
    for (key, value, surely, maybe) in [
        ("cidr_ipv4", json!("192.0.2.1"), "", ALL),
        ("cidr_ipv4", json!("2001:db8::/32"), "", ALL),
        ("cidr_ipv4", json!("192.0.2.7/24"), "192.0.2.0/24", ""),
        ("from_port", json!(444), "", "192.0.2.1/32"),
        ("from_port", json!("443"), "192.0.2.1/32", ""),
        ("from_port", json!(-1), "", "192.0.2.1/32"),
        ("ip_protocol", json!("all"), "192.0.2.1/32", ""),
        ("ip_protocol", json!(6), "192.0.2.1/32", ""),
        ("ip_protocol", json!("17"), "", ""),
        ("ip_protocol", json!(""), "", "192.0.2.1/32"),
        ("security_group_id", json!("sg-2"), "", ""),
    ] {
        let mut one = rule("one", "192.0.2.1/32");
        one["values"][key] = value.clone();
        let listing = self::listing(state(&[group(&[]), one]).to_string());
        check(&listing, &GROUP, When::After, 443, surely, maybe);
    }
}

#[test]
fn a_place_is_the_line_of_the_resource() {
    let text = serde_json::to_string_pretty(&state(&[group(&[]), rule("a", "192.0.2.1/32")])).unwrap();
    let wanted = text.lines().position(|line| line.contains("sgr-a")).unwrap();
    let listing = listing(text);
    let reading = read(&listing, &GROUP, When::After);
    let line = reading.groups.groups[0].rules[0].place.line as usize;
    assert!(line < wanted && wanted - line < 12, "line {line}, and the id is on {wanted}");
    assert_eq!(
        reading.groups.located(reading.groups.groups[0].rules[0].place),
        format!("terraform.json:{line}")
    );
}

#[test]
fn nothing_is_deep_enough_to_hang_or_to_crash() {
    let deep = "{\"child_modules\":[".repeat(100_000);
    check_refused(
        &format!("{{\"format_version\":\"1.0\",\"values\":{{\"root_module\":{deep}"),
        "recursion limit",
        "show",
    );
    let lists = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (key, surely, maybe) in [("values", "192.0.2.1/32", ""), ("sensitive_values", "", "0.0.0.0/0")] {
        // Raw text: no reader of values that builds a tree would take it.
        let mut one = rule("deep", "192.0.2.1/32");
        one[key]["tags"] = json!("HERE");
        let marked = one.to_string().replace("\"HERE\"", &lists.replace("[]", "[true]"));
        let text = json!({ "format_version": "1.0", "values": { "root_module": { "resources": [group(&[]), "RULE"] } } });
        let listing = listing(text.to_string().replace("\"RULE\"", &marked));
        let reading = read(&listing, &GROUP, When::After);
        let answer = admission(&reading, 443);
        assert_eq!(shown(&answer.surely), surely, "{key}");
        assert!(answer.possibly.covers(&set(maybe)), "{key}");
    }
}

#[test]
fn a_file_that_was_cut_is_refused() {
    for file in ["shapes/state.json", "changes/plan.json"] {
        let listing = fixture(file);
        let text = listing.text.trim_end();
        for cut in (0..text.len()).step_by(613).filter(|cut| text.is_char_boundary(*cut)) {
            assert!(terraform::read("cut", &text[..cut]).is_err(), "{file} is read after {cut} bytes");
        }
    }
}

/// Attributes of rules, groups and lists that a mark can be put on. Ids are what resources know each other by.
const MARKED: [&str; 13] = [
    "cidr_ipv4",
    "cidr_blocks",
    "from_port",
    "to_port",
    "ip_protocol",
    "protocol",
    "type",
    "security_group_id",
    "prefix_list_id",
    "ingress",
    "entry",
    "cidr",
    "self",
];

#[test]
fn what_is_marked_is_never_more_certain() {
    let whole: Value = serde_json::from_str(&fixture("changes/plan.json").text).unwrap();
    let names = ["rules", "legacy", "inline", "mixed", "lists", "exclusive"];
    let answers = |plan: &Value| {
        let listing = listing(plan.to_string());
        let of = |name: &str| {
            admission(&read(&listing, &[&format!("aws_security_group.{name}")], When::After), 443)
        };
        names.map(of)
    };
    let before = answers(&whole);
    let mut marked = 0;
    for at in 0..whole["resource_changes"].as_array().unwrap().len() {
        for (attribute, mark) in
            MARKED.iter().flat_map(|one| ["after_unknown", "after_sensitive"].map(|mark| (one, mark)))
        {
            let mut plan = whole.clone();
            let change = &mut plan["resource_changes"][at]["change"];
            if change["after"][attribute].is_null() || !change[mark].is_object() {
                continue;
            }
            change[mark][attribute] = json!(true);
            if mark == "after_unknown" {
                change["after"].as_object_mut().unwrap().remove(*attribute);
            }
            marked += 1;
            for (name, (old, new)) in names.iter().zip(before.iter().zip(&answers(&plan))) {
                let case =
                    format!("{attribute} {mark} of {}: {name}", whole["resource_changes"][at]["address"]);
                assert!(
                    new.possibly.covers(&old.possibly),
                    "{case} shuts out {:?}",
                    old.possibly.difference(&new.possibly)
                );
                assert!(
                    old.surely.covers(&new.surely),
                    "{case} lets in {:?}",
                    new.surely.difference(&old.surely)
                );
            }
        }
    }
    assert!(marked > 100, "{marked}");
}
