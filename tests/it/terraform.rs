//! What Terraform's state and plan let in: recorded files of every shape, and the real Terraform against an EC2
//! endpoint on loopback, compared with what that endpoint itself tells.

use std::net::IpAddr;

use callgate::admission::{Admission, FindingKind, Layer as _, Listing, Question};
use callgate::prefix::{Prefix, PrefixSet};
use callgate::security_group::admit;
use callgate::security_group::select::Selection;
use callgate::security_group::terraform::{self, Asked, Reading, When};

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
        let check =
            |names: &[&str], port, surely, maybe| check(&state, names, When::After, port, surely, maybe);
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
    let check = |names: &[&str], port, surely, maybe| check(&plan, names, When::After, port, surely, maybe);
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
    let check = |names: &[&str], port, surely, maybe| check(&plan, names, When::After, port, surely, maybe);
    // Rules whose group is only known after apply may be this group's.
    let stray = "192.0.2.20/32 192.0.2.22/32 192.0.2.24/32 192.0.2.25/32 192.0.2.26/32 192.0.2.27/32 192.0.2.28/32 192.0.2.33/32 192.0.2.34/32";
    let values = ["aws_security_group.values"];
    let port = "192.0.2.1/32";
    check(&values, 22, "", &format!("0.0.0.0/0 {port}"));
    check(&values, 443, "192.0.2.7/32", &format!("{ALL} {stray}"));
    // A protocol that is not known can be all of them.
    check(&values, 25, "", &format!("{port} 192.0.2.2/32"));
    check(&values, 8443, "", "0.0.0.0/0");
    check(&values, 9443, "", "0.0.0.0/0");
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
