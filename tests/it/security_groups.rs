//! Security groups: what AWS prints is read, and every source gets the answer that looking it up address by address
//! gives; against an EC2 endpoint as well, with groups made through the AWS command line.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod listings;
mod live;
mod oracle;
mod random;

use std::collections::BTreeSet;

use callgate::admission::{Admission, Layer as _, Listing, Question};
use callgate::prefix::PrefixSet;
use callgate::security_group::admit::Asked;
use callgate::security_group::aws::{Input, Role, read};
use callgate::security_group::select::Selection;
use serde_json::{Value, json};

use crate::laws::random::Dice;
use crate::support::AT;
use oracle::Cloud;
use random::{blurred, cloud, rearranged, rules_of, split};

/// Clouds that are tried.
const CLOUDS: u64 = 250;

fn input(name: &str, text: &Value) -> Input {
    let listing = Listing { name: name.to_owned(), text: serde_json::to_string_pretty(text).unwrap().into() };
    Input { listing, role: Role::AsSaid }
}

/// What besides groups is listed.
fn besides(cloud: &Cloud) -> Vec<Input> {
    let mut inputs: Vec<Input> =
        cloud.lists.iter().map(|(id, entries)| input(&format!("{id}.json"), entries)).collect();
    inputs.extend(cloud.interfaces.as_ref().map(|all| input("interfaces.json", all)));
    inputs.extend(cloud.acl.as_ref().map(|acl| input("acl.json", acl)));
    inputs
}

fn question(port: u16) -> Question {
    Question { port, interface: None, addresses: Vec::new(), at: AT.parse().unwrap() }
}

/// What groups let in, and which rules are told to decide.
fn ask(inputs: Vec<Input>, chosen: &[&str], port: u16) -> (Admission, BTreeSet<String>) {
    let groups = read(inputs).unwrap();
    let selection =
        Selection { groups: chosen.iter().map(|&id| id.to_owned()).collect(), ..Selection::default() };
    let asked = Asked::new(&groups, &selection).unwrap();
    let admission = asked.admit(&question(port));
    let texts = admission.decided.iter().filter_map(|one| one.rule).map(|rule| asked.describe(rule).text);
    let texts = texts.collect();
    (admission, texts)
}

fn check_looked_up(cloud: &Cloud, chosen: &[&str], port: u16, admission: &Admission) {
    for source in cloud.samples() {
        let found = (admission.surely.contains(source), admission.possibly.contains(source));
        let wanted = cloud.admits(chosen, i64::from(port), source);
        assert_eq!(found, wanted, "{source} to {port} of {chosen:?}: {cloud:#?}");
    }
}

#[test]
fn every_source_gets_the_answer_that_looking_it_up_gives() {
    for seed in 0..CLOUDS {
        let mut dice = Dice::new(seed);
        let (cloud, chosen) = cloud(&mut dice);
        let mut inputs = vec![input("groups.json", &cloud.groups)];
        inputs.extend(besides(&cloud));
        for port in [443, 80, 1] {
            let (admission, _) = ask(inputs.clone(), &chosen, port);
            check_looked_up(&cloud, &chosen, port, &admission);
        }
    }
}

#[test]
fn how_groups_are_told_makes_no_difference() {
    for seed in 0..CLOUDS {
        let mut dice = Dice::new(seed);
        let (cloud, chosen) = cloud(&mut dice);
        let rules = rules_of(&cloud.groups);
        let half = rules.len() / 2;
        let whole = input("r.json", &json!({ "SecurityGroupRules": rules }));
        let pages = [
            input("r1.json", &json!({ "SecurityGroupRules": rules[..half], "NextToken": "t" })),
            input("r2.json", &json!({ "SecurityGroupRules": rules[half..] })),
        ];
        let one_file = pages.iter().map(|page| page.listing.text.to_string()).collect::<Vec<_>>().join("\n");
        let one_file =
            Input { listing: Listing { name: "all".to_owned(), text: one_file.into() }, role: Role::AsSaid };
        let groups = input("g.json", &cloud.groups);
        let other = input("o.json", &rearranged(&mut dice, &cloud.groups));
        let told = |inputs: Vec<Input>| ask([inputs, besides(&cloud)].concat(), &chosen, 443);
        let (first, texts) = told(vec![groups.clone()]);
        for (way, inputs) in [
            ("rearranged", vec![other.clone()]),
            ("twice", vec![groups.clone(), other.clone()]),
            ("by rules", vec![whole.clone()]),
            ("in pages", pages.to_vec()),
            ("in one file", vec![one_file]),
            ("by both", vec![whole, groups.clone()]),
            ("by a page, and whole", vec![groups, pages[0].clone()]),
        ] {
            let (again, theirs) = told(inputs);
            assert_eq!(
                (&first.surely, &first.possibly),
                (&again.surely, &again.possibly),
                "seed {seed}, {way}: {cloud:#?}"
            );
            assert_eq!(texts, theirs, "seed {seed}, {way}: rules that decide");
            assert!(again.findings.iter().all(|one| one.kind.as_str() != "listing"), "{:?}", again.findings);
        }
        let (halves, _) = told(vec![input("h.json", &split(&cloud.groups))]);
        assert_eq!((first.surely, first.possibly), (halves.surely, halves.possibly), "seed {seed}, split");
    }
}

#[test]
fn what_nobody_can_tell_makes_no_answer_more_certain() {
    for seed in 0..CLOUDS * 2 {
        let mut dice = Dice::new(seed);
        let (cloud, chosen) = cloud(&mut dice);
        let all = |cloud: &Cloud| [vec![input("groups.json", &cloud.groups)], besides(cloud)].concat();
        let (before, _) = ask(all(&cloud), &chosen, 443);
        let blurred = blurred(&mut dice, &cloud);
        let (after, _) = ask(all(&blurred), &chosen, 443);
        assert!(before.surely.covers(&after.surely), "seed {seed}: {blurred:#?}");
        assert!(after.possibly.covers(&before.possibly), "seed {seed}: {blurred:#?}");
        assert!(after.possibly.covers(&after.surely));
    }
}

#[test]
fn one_source_alone_is_judged_as_among_all() {
    for seed in 0..CLOUDS / 5 {
        let (cloud, chosen) = cloud(&mut Dice::new(seed));
        let inputs = [vec![input("groups.json", &cloud.groups)], besides(&cloud)].concat();
        let groups = read(inputs).unwrap();
        let named = chosen.iter().map(|&id| id.to_owned()).collect();
        let asked = Asked::new(&groups, &Selection { groups: named, ..Selection::default() }).unwrap();
        let whole = asked.admit(&question(443));
        for source in cloud.samples() {
            let (one, steps) = asked.trace(&question(443), source);
            let alone = PrefixSet::between(source, source);
            assert_eq!(one.surely, whole.surely.intersection(&alone), "{source}");
            assert_eq!(one.possibly, whole.possibly.intersection(&alone), "{source}");
            let decided = one.decided.first().and_then(|one| one.rule);
            let admitted = !one.surely.is_empty();
            // The rule that decides is among those that it meets.
            assert!(!admitted || steps.iter().any(|step| Some(step.rule) == decided), "{source}: {steps:?}");
        }
    }
}

#[test]
fn a_thousand_groups_of_sixty_rules_are_asked_at_once() {
    let group = |number: u32| {
        let ranges: Vec<Value> = (0..60_u32)
            .map(|rule| {
                let address = 0x0b00_0000 + (number * 60 + rule) * 512;
                json!({ "CidrIp": format!("{}/32", std::net::Ipv4Addr::from(address)) })
            })
            .collect();
        json!({ "GroupId": format!("sg-{number:08x}"), "IpPermissions": [{ "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": ranges }] })
    };
    let all: Vec<Value> = (0..1000).map(group).collect();
    let ids: Vec<String> = all.iter().map(|group| group["GroupId"].as_str().unwrap().to_owned()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let groups = json!({ "SecurityGroups": all });
    let (admission, _) = ask(vec![input("groups.json", &groups)], &ids, 443);
    assert_eq!(admission.surely.v4().len(), 60_000);
    // One after the other; no address was left out and none was added.
    assert_eq!(admission.decided.iter().count(), 120_002);
}
