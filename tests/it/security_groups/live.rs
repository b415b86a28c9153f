//! An EC2 endpoint, asked by callgate itself.

use std::collections::{BTreeMap, BTreeSet};

use callgate::prefix::{Prefix, PrefixSet};
use serde_json::{Value, json};

use super::oracle::{Cloud, holds};
use crate::golden;
use crate::laws::random::Dice;
use crate::moto::Moto;
use crate::support::{Run, Scene};

fn word(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What stands at the endpoint.
struct Site {
    web: String,
    admin: String,
    interface: String,
    instance: String,
    cloud: Cloud,
}

fn make_list(moto: &Moto, name: &str, family: &str, entries: &Value) -> String {
    let (command, most) = ("create-managed-prefix-list", "5");
    let entries = entries.to_string();
    let made = moto.aws(&[
        command,
        "--prefix-list-name",
        name,
        "--max-entries",
        most,
        "--address-family",
        family,
        "--entries",
        &entries,
    ]);
    word(&made["PrefixList"]["PrefixListId"])
}

fn make_group(moto: &Moto, name: &str) -> String {
    word(&moto.aws(&["create-security-group", "--group-name", name, "--description", name])["GroupId"])
}

/// Two groups with every shape of a rule, an interface that has both, an instance that has one, and an ACL.
fn make(moto: &Moto) -> Site {
    let [web, admin, jump] = ["web", "admin", "jump"].map(|name| make_group(moto, name));
    let v4 =
        make_list(moto, "v4", "IPv4", &json!([{ "Cidr": "20.91.170.120/29" }, { "Cidr": "51.21.0.5/32" }]));
    let v6 = make_list(moto, "v6", "IPv6", &json!([{ "Cidr": "2a10:a200::/32" }]));
    let tcp = |from: u16, to: u16, v4: &[&str]| {
        let ranges: Vec<Value> =
            v4.iter().map(|cidr| json!({ "CidrIp": cidr, "Description": "by hand" })).collect();
        json!({ "IpProtocol": "tcp", "FromPort": from, "ToPort": to, "IpRanges": ranges })
    };
    let mut first = tcp(443, 443, &["91.132.170.1/32", "91.132.170.0/32", "192.0.2.0/24"]);
    first["Ipv6Ranges"] = json!([{ "CidrIpv6": "2001:db8::/33" }, { "CidrIpv6": "2001:DB8:8000:0::/33" }]);
    first["PrefixListIds"] = json!([{ "PrefixListId": v4 }, { "PrefixListId": v6 }]);
    first["UserIdGroupPairs"] = json!([{ "GroupId": jump }]);
    let all =
        |protocol: &str, cidr: &str| json!({ "IpProtocol": protocol, "IpRanges": [{ "CidrIp": cidr }] });
    let mut udp = all("udp", "0.0.0.0/0");
    (udp["FromPort"], udp["ToPort"]) = (json!(443), json!(443));
    let mut six = all("6", "203.0.113.0/25");
    (six["FromPort"], six["ToPort"]) = (json!(400), json!(500));
    let of_web =
        json!([first, six, udp, tcp(80, 80, &["0.0.0.0/0"]), tcp(444, 65535, &["0.0.0.0/0"])]).to_string();
    moto.aws(&["authorize-security-group-ingress", "--group-id", &web, "--ip-permissions", &of_web]);
    let of_admin = json!([all("-1", "198.51.100.0/24"), tcp(0, 65535, &["100.64.0.1/32"])]).to_string();
    moto.aws(&["authorize-security-group-ingress", "--group-id", &admin, "--ip-permissions", &of_admin]);

    let subnet = word(&moto.aws(&["describe-subnets"])["Subnets"][0]["SubnetId"]);
    let interface = moto.aws(&["create-network-interface", "--subnet-id", &subnet, "--groups", &web, &admin]);
    moto.aws(&["create-network-interface", "--subnet-id", &subnet, "--groups", &jump]);
    let instance = moto.aws(&[
        "run-instances",
        "--image-id",
        "ami-12c6146b",
        "--subnet-id",
        &subnet,
        "--security-group-ids",
        &web,
    ]);
    let acls = moto.aws(&["describe-network-acls"]);
    let acl = word(&acls["NetworkAcls"][0]["NetworkAclId"]);
    let entry = |number: &str, way: &str, (ports, cidr): (&str, &str), action: &str| {
        let make = ["create-network-acl-entry", "--network-acl-id", &acl, "--rule-number", number, way];
        let what = ["--protocol", "6", "--port-range", ports, "--cidr-block", cidr, "--rule-action", action];
        moto.aws_text(&[&make[..], &what].concat());
    };
    entry("50", "--ingress", ("From=443,To=443", "192.0.2.128/25"), "deny");
    entry("60", "--egress", ("From=1024,To=32767", "198.51.100.128/25"), "deny");
    let entries = |id: &str| moto.aws(&["get-managed-prefix-list-entries", "--prefix-list-id", id]);
    let cloud = Cloud {
        groups: moto.aws(&["describe-security-groups"]),
        lists: BTreeMap::from([(v4.clone(), entries(&v4)), (v6.clone(), entries(&v6))]),
        interfaces: Some(moto.aws(&["describe-network-interfaces"])),
        acl: Some(moto.aws(&["describe-network-acls"])),
    };
    Site {
        web,
        admin,
        interface: word(&interface["NetworkInterface"]["NetworkInterfaceId"]),
        instance: word(&instance["Instances"][0]["InstanceId"]),
        cloud,
    }
}

fn set(report: &Value, which: &str) -> PrefixSet {
    let ranges = ["v4", "v6"].into_iter().flat_map(|family| report[family][which].as_array().unwrap());
    let address = |value: &Value| word(value).parse().unwrap();
    let each = ranges.map(|range| PrefixSet::between(address(&range["first"]), address(&range["last"])));
    each.fold(PrefixSet::empty(), |all, one| all.union(&one))
}

/// Surely and possibly admitted, as a report says.
fn answer(run: &Run) -> (PrefixSet, PrefixSet) {
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    (set(&report, "surely"), set(&report, "possibly"))
}

#[track_caller]
fn check(cloud: &Cloud, chosen: &[&str], run: &Run) {
    assert!([1, 5].contains(&run.status), "{}", run.stderr);
    let (surely, possibly) = answer(run);
    for source in cloud.samples() {
        let found = (surely.contains(source), possibly.contains(source));
        assert_eq!(found, cloud.admits(chosen, 443, source), "{source} of {chosen:?}\n{}", run.stdout);
    }
}

const JSON: [&str; 5] = ["admitted", "--port", "443", "--format", "json"];

#[test]
fn an_endpoint_is_read_live_and_from_files_as_it_is() {
    let Some(moto) = Moto::start() else { return };
    let site = make(&moto);
    let scene = Scene::new();
    let live = |option: &str, id: &str| moto.callgate(&scene, &[&JSON[..], &[option, id]].concat());

    let without_acl = Cloud { acl: None, ..site.cloud.clone() };
    let before = moto.requests();
    let by_group = live("--group", &site.web);
    // The group, its rules, its lists, the entries of two, the members of one group.
    assert_eq!(moto.requests() - before, 6, "requests");
    check(&without_acl, &[&site.web], &by_group);
    let by_interface = live("--network-interface", &site.interface);
    check(&site.cloud, &[&site.web, &site.admin], &by_interface);
    let by_instance = live("--instance", &site.instance);
    check(&site.cloud, &[&site.web], &by_instance);

    // The deciding rule is one that AWS has by this id, and it names these sources.
    let rules = moto.aws(&["describe-security-group-rules"]);
    let report: Value = serde_json::from_str(&by_group.stdout).unwrap();
    let decided = ["v4", "v6"].map(|family| report[family]["decided"].as_array().unwrap().clone()).concat();
    let admitted: Vec<&Value> = decided.iter().filter(|one| one["verdict"] == "accept").collect();
    assert!(admitted.len() > 5, "{admitted:?}");
    for one in admitted {
        let id = &one["rule"]["rule"];
        let own = rules["SecurityGroupRules"]
            .as_array()
            .unwrap()
            .iter()
            .find(|rule| &rule["SecurityGroupRuleId"] == id);
        let own = own.unwrap_or_else(|| panic!("{one}"));
        assert_eq!(one["rule"]["group"], site.web);
        let first = word(&one["first"]).parse().unwrap();
        let list = site.cloud.lists.get(own["PrefixListId"].as_str().unwrap_or_default());
        let entries = list.and_then(|list| list["Entries"].as_array()).into_iter().flatten();
        let named = holds(&own["CidrIpv4"], first)
            || holds(&own["CidrIpv6"], first)
            || entries.into_iter().any(|entry| holds(&entry["Cidr"], first));
        assert!(named, "{one} by {own}");
    }

    // The same from files.
    let file = |name: &str, value: &Value| scene.write(name, format!("{value:#}"));
    file("groups.json", &site.cloud.groups);
    file("rules.json", &rules);
    file("interfaces.json", site.cloud.interfaces.as_ref().unwrap());
    file("instances.json", &moto.aws(&["describe-instances"]));
    file("acls.json", site.cloud.acl.as_ref().unwrap());
    file("lists.json", &moto.aws(&["describe-managed-prefix-lists"]));
    let mut files: Vec<String> = ["groups", "rules", "interfaces", "instances"]
        .iter()
        .flat_map(|name| ["--security-groups".to_owned(), format!("{name}.json")])
        .collect();
    files.extend(["--prefix-lists".to_owned(), "lists.json".to_owned()]);
    for (number, (id, entries)) in site.cloud.lists.iter().enumerate() {
        scene.write(&format!("{number}.json"), entries.to_string());
        files.extend(["--prefix-lists".to_owned(), format!("{id}={number}.json")]);
    }
    let from_files = |option: &str, id: &str, acl: bool| {
        let mut words: Vec<&str> = JSON.into_iter().chain(files.iter().map(String::as_str)).collect();
        words.extend([option, id]);
        if acl {
            words.extend(["--network-acl", "acls.json"]);
        }
        scene.run(&words)
    };
    assert_eq!(answer(&from_files("--group", &site.web, false)), answer(&by_group));
    assert_eq!(answer(&from_files("--network-interface", &site.interface, true)), answer(&by_interface));
    assert_eq!(answer(&from_files("--instance", &site.instance, true)), answer(&by_instance));

    // What is not there is told.
    let refused = |arguments: &[&str], words: &str| {
        let run = moto.callgate(&scene, &[&["admitted", "--port", "443"], arguments].concat()).expect(2);
        assert!(run.stderr.contains(words) && run.stderr.contains("help: "), "{}", run.stderr);
    };
    refused(&["--group", "sg-0123456789"], "InvalidGroup.NotFound");
    refused(&["--group", "nobody"], "security group `nobody` is in no listing");
    refused(&["--network-interface=--debug"], "`--debug` is no id of a network interface");
    refused(&["--network-interface", "web"], "`web` is no id of a network interface");
}

#[test]
fn a_thousand_rules_are_read_in_two_pages() {
    let Some(moto) = Moto::start() else { return };
    let program = "
import boto3
ec2 = boto3.client('ec2')
ids = []
for group in range(20):
    made = ec2.create_security_group(GroupName=f'g{group}', Description='many')
    ids.append(made['GroupId'])
    ranges = [{'CidrIp': f'20.{group}.{rule}.0/25'} for rule in range(50)]
    ec2.authorize_security_group_ingress(GroupId=ids[-1], IpPermissions=[
        {'IpProtocol': 'tcp', 'FromPort': 443, 'ToPort': 443, 'IpRanges': ranges}])
print('\\n'.join(ids))
";
    let ids = moto.python(program);
    let scene = Scene::new();
    let mut words: Vec<&str> = JSON.to_vec();
    words.extend(ids.lines().flat_map(|id| ["--group", id]));
    let before = moto.requests();
    let run = moto.callgate(&scene, &words).expect(0);
    // The groups, and their rules; nothing is asked rule by rule.
    assert_eq!(moto.requests() - before, 2, "requests");
    assert_eq!(answer(&run).0.v4().len(), 1000);
}

/// A site of one target of AWS, and its policy.
fn target(prefixes: &[String], settings: &str) -> Scene {
    let scene = Scene::new();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    scene.write("policies/example.yaml", golden::policy(&prefixes));
    let site = format!(
        "schema: 1\ntargets:\n  callbacks: {{ kind: aws-security-group, mode: exclusive{settings} }}\n"
    );
    scene.write("callgate.yaml", site);
    scene.run(&["render", "--out", "out"]);
    scene
}

fn load(moto: &Moto, scene: &Scene, group: &str) {
    let file = format!("file://{}", scene.path().join("out/callbacks.json").display());
    moto.aws(&["authorize-security-group-ingress", "--group-id", group, "--ip-permissions", &file]);
}

fn diff(moto: &Moto, scene: &Scene, group: &str) -> (i32, Value) {
    let run = moto.callgate(scene, &["diff", "--format", "json", "--group", group]);
    let report = serde_json::from_str(&run.stdout);
    (run.status, report.unwrap_or_else(|_| panic!("{}", run.stderr)))
}

fn differences(report: &Value) -> Vec<&Value> {
    report["targets"][0]["differences"].as_array().unwrap().iter().collect()
}

/// The allowlist in rules, loaded by the AWS command line and read back: exactly that, and commands that mend it.
#[test]
fn what_is_rendered_for_aws_admits_exactly_the_allowlist_and_drift_is_mended_by_its_commands() {
    let Some(moto) = Moto::start() else { return };
    let mut last = None;
    for seed in [1, 2] {
        let prefixes = Dice::new(seed).prefixes();
        let scene = target(&prefixes, "");
        let group = make_group(&moto, &format!("callbacks-{seed}"));
        load(&moto, &scene, &group);
        let wanted: PrefixSet = prefixes.iter().map(|one| one.parse::<Prefix>().unwrap()).collect();
        if seed == 1 {
            let run = moto.callgate(&scene, &[&JSON[..], &["--group", &group]].concat()).expect(0);
            assert_eq!(answer(&run), (wanted.clone(), wanted), "{prefixes:?}");
        }
        let (status, report) = diff(&moto, &scene, &group);
        assert_eq!((status, differences(&report).len()), (0, 0), "{report:#}");
        last = Some((scene, group));
    }
    let (scene, group) = last.unwrap();
    // One rule goes, and one comes that nobody asked for.
    let rules =
        moto.aws(&["describe-security-group-rules", "--filters", &format!("Name=group-id,Values={group}")]);
    let rules = rules["SecurityGroupRules"].as_array().unwrap();
    let inward: Vec<&Value> = rules.iter().filter(|rule| rule["IsEgress"] == false).collect();
    let narrow = |rule: &&&Value| {
        let others =
            inward.iter().filter(|other| other["SecurityGroupRuleId"] != rule["SecurityGroupRuleId"]);
        let cidr = |rule: &Value| {
            word(if rule["CidrIpv4"].is_string() { &rule["CidrIpv4"] } else { &rule["CidrIpv6"] })
        };
        let own: Prefix = cidr(rule).parse().unwrap();
        others
            .map(|other| cidr(other).parse::<Prefix>().unwrap())
            .all(|other| !other.covers(&own) && !own.covers(&other))
    };
    let gone = inward.iter().find(narrow).unwrap();
    let gone_id = word(&gone["SecurityGroupRuleId"]);
    moto.aws(&["revoke-security-group-ingress", "--group-id", &group, "--security-group-rule-ids", &gone_id]);
    moto.aws(&[
        "authorize-security-group-ingress",
        "--group-id",
        &group,
        "--protocol",
        "tcp",
        "--port",
        "443",
        "--cidr",
        "198.18.0.0/24",
    ]);
    let (status, report) = diff(&moto, &scene, &group);
    assert_eq!(status, 1);
    let found = differences(&report);
    let parts: BTreeSet<&str> = found.iter().map(|one| one["part"].as_str().unwrap()).collect();
    assert_eq!(parts, BTreeSet::from(["blocked", "foreign"]), "{report:#}");
    for one in found {
        let change = one["change"].as_str().unwrap();
        assert!(change.starts_with("aws ec2 "), "{change}");
        moto.shell(change);
    }
    let (status, report) = diff(&moto, &scene, &group);
    assert_eq!((status, differences(&report).len()), (0, 0), "{report:#}");
}

/// The allowlist in prefix lists.
#[test]
fn what_is_rendered_in_prefix_lists_admits_exactly_the_allowlist() {
    let Some(moto) = Moto::start() else { return };
    let prefixes: Vec<String> =
        ["20.91.170.120/29", "91.132.170.1/32", "2a10:a200::/32"].map(str::to_owned).to_vec();
    let first = target(&prefixes, ", prefix_lists: { v4_max_entries: 5, v6_max_entries: 5 }");
    let list = |family: &str, name: &str| {
        let entries = first.read(&format!("out/callbacks.{family}.entries.json"));
        make_list(&moto, name, name, &serde_json::from_str(&entries).unwrap())
    };
    let (v4, v6) = (list("v4", "IPv4"), list("v6", "IPv6"));
    let settings =
        format!(", prefix_lists: {{ v4_max_entries: 5, v6_max_entries: 5, v4_id: {v4}, v6_id: {v6} }}");
    let scene = target(&prefixes, &settings);
    let group = make_group(&moto, "callbacks");
    load(&moto, &scene, &group);
    let run = moto.callgate(&scene, &[&JSON[..], &["--group", &group]].concat()).expect(0);
    let wanted: PrefixSet = prefixes.iter().map(|one| one.parse::<Prefix>().unwrap()).collect();
    assert_eq!(answer(&run), (wanted.clone(), wanted));
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["v6"]["decided"][1]["rule"]["prefix_list"], v6);
    let (status, report) = diff(&moto, &scene, &group);
    assert_eq!((status, differences(&report).len()), (0, 0), "{report:#}");
}
