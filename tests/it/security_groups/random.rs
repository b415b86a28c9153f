//! Clouds by chance, the same for the same seed, and the same cloud told in other ways.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::oracle::Cloud;
use crate::laws::random::Dice;

const V4: [&str; 10] = [
    "192.0.2.0/24",
    "192.0.2.0/25",
    "192.0.2.128/25",
    "192.0.2.7/32",
    "192.0.2.6/31",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "198.51.100.0/24",
    "255.255.255.255/32",
    "0.0.0.0/0",
];
const V6: [&str; 6] =
    ["2001:db8::/32", "2001:db8::/33", "2001:db8:8000::/33", "2001:db8::7/128", "::/0", "ffff:ffff::/32"];
const PROTOCOLS: [&str; 7] = ["tcp", "tcp", "tcp", "6", "-1", "udp", "icmp"];
const PORTS: [(i64, i64); 7] =
    [(443, 443), (443, 443), (0, 65535), (400, 500), (80, 80), (0, 0), (444, 65535)];
/// Lists whose entries are read, and one whose are not.
const LISTS: [&str; 3] = ["pl-0000000a", "pl-0000000b", "pl-0000dead"];
pub(crate) const GROUPS: [&str; 3] = ["sg-0a", "sg-0b", "sg-0c"];

/// A number of things that few are likely to be many.
fn few(dice: &mut Dice, most: u64) -> u64 {
    let bound = dice.below(most) + 1;
    dice.below(bound + 1)
}

fn permission(dice: &mut Dice) -> Value {
    let mut permission = json!({ "IpProtocol": *dice.pick(&PROTOCOLS) });
    let (from, to) = *dice.pick(&PORTS);
    if permission["IpProtocol"] != "-1" || dice.below(2) == 0 {
        permission["FromPort"] = json!(from);
        permission["ToPort"] = json!(to);
    }
    let all = |dice: &mut Dice, key: &str, pool: &[&str], most: u64| -> Vec<Value> {
        (0..few(dice, most)).map(|_| json!({ key: *dice.pick(pool) })).collect()
    };
    permission["IpRanges"] = json!(all(dice, "CidrIp", &V4, 4));
    permission["Ipv6Ranges"] = json!(all(dice, "CidrIpv6", &V6, 3));
    permission["PrefixListIds"] =
        json!(if dice.below(4) == 0 { all(dice, "PrefixListId", &LISTS, 2) } else { Vec::new() });
    permission["UserIdGroupPairs"] =
        json!(if dice.below(5) == 0 { all(dice, "GroupId", &GROUPS, 1) } else { Vec::new() });
    permission
}

fn entry(dice: &mut Dice, number: u64) -> Value {
    let mut entry = json!({
        "RuleNumber": number, "Egress": dice.below(2) == 0, "Protocol": *dice.pick(&["-1", "-1", "6", "6", "17"]),
        "RuleAction": *dice.pick(&["allow", "allow", "allow", "deny"]),
    });
    if dice.below(3) == 0 {
        entry["Ipv6CidrBlock"] = json!(*dice.pick(&V6));
    } else {
        entry["CidrBlock"] = json!(*dice.pick(&V4));
    }
    if entry["Protocol"] != "-1" {
        let (from, to) =
            *dice.pick(&[(443, 443), (0, 65535), (1024, 65535), (1024, 40000), (32768, 65535), (0, 1023)]);
        entry["PortRange"] = json!({ "From": from, "To": to });
    }
    entry
}

/// A cloud of a few groups, and which of them are asked.
pub(crate) fn cloud(dice: &mut Dice) -> (Cloud, Vec<&'static str>) {
    let groups: Vec<Value> = GROUPS
        .iter()
        .map(|id| {
            let permissions: Vec<Value> = (0..few(dice, 4)).map(|_| permission(dice)).collect();
            json!({ "GroupId": id, "GroupName": format!("name of {id}"), "VpcId": "vpc-1", "OwnerId": "1", "IpPermissions": permissions })
        })
        .collect();
    let entries = |dice: &mut Dice, pool: &[&str]| {
        let all: Vec<Value> = (0..few(dice, 3)).map(|_| json!({ "Cidr": *dice.pick(pool) })).collect();
        json!({ "Entries": all })
    };
    let lists = BTreeMap::from([
        (LISTS[0].to_owned(), entries(dice, &V4)),
        (LISTS[1].to_owned(), entries(dice, &V6)),
    ]);
    let interface = |number: u64, dice: &mut Dice| {
        json!({
            "NetworkInterfaceId": format!("eni-{number}"), "SubnetId": "subnet-1",
            "Groups": [{ "GroupId": *dice.pick(&GROUPS) }],
            "PrivateIpAddresses": [{ "PrivateIpAddress": format!("192.0.2.{number}") }],
            "Ipv6Addresses": [{ "Ipv6Address": format!("2001:db8::{number}") }],
        })
    };
    let interfaces = (dice.below(2) == 0).then(|| {
        let all: Vec<Value> = (0..3).map(|number| interface(number, dice)).collect();
        json!({ "NetworkInterfaces": all })
    });
    let acl = (dice.below(2) == 0).then(|| {
        let mut entries: Vec<Value> = (0..few(dice, 8)).map(|number| entry(dice, 90 - number)).collect();
        entries.extend([false, true].map(|egress| {
            json!({ "RuleNumber": 100, "Egress": egress, "Protocol": "-1", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0" })
        }));
        json!({ "NetworkAcls": [{ "NetworkAclId": "acl-1", "VpcId": "vpc-1", "Entries": entries, "Associations": [{ "SubnetId": "subnet-1" }] }] })
    });
    let mut chosen: Vec<&str> = GROUPS.into_iter().filter(|_| dice.below(2) == 0).collect();
    if chosen.is_empty() {
        chosen.push(GROUPS[0]);
    }
    (Cloud { groups: json!({ "SecurityGroups": groups }), lists, interfaces, acl }, chosen)
}

/// Keys of the sources of a permission, and the key of each in the listing of rules.
const SOURCES: [(&str, &str, &str); 3] = [
    ("IpRanges", "CidrIp", "CidrIpv4"),
    ("Ipv6Ranges", "CidrIpv6", "CidrIpv6"),
    ("PrefixListIds", "PrefixListId", "PrefixListId"),
];

/// The same groups as `describe-security-group-rules` tells them.
pub(crate) fn rules_of(groups: &Value) -> Vec<Value> {
    let mut rules = Vec::new();
    for group in groups["SecurityGroups"].as_array().unwrap() {
        let base = |number: usize, egress: bool| json!({ "GroupId": group["GroupId"], "GroupOwnerId": "1", "IsEgress": egress, "SecurityGroupRuleId": format!("sgr-{number:04x}") });
        let mut egress = base(rules.len(), true);
        egress["IpProtocol"] = json!("-1");
        egress["CidrIpv4"] = json!("0.0.0.0/0");
        rules.push(egress);
        for permission in group["IpPermissions"].as_array().unwrap() {
            let of = |number: usize| {
                let mut rule = base(number, false);
                for key in ["IpProtocol", "FromPort", "ToPort"] {
                    rule[key] = permission[key].clone();
                }
                if permission["IpProtocol"] == "-1" {
                    rule["FromPort"] = json!(-1);
                    rule["ToPort"] = json!(-1);
                }
                rule
            };
            for (list, key, theirs) in SOURCES {
                for source in permission[list].as_array().unwrap() {
                    let mut rule = of(rules.len());
                    rule[theirs] = source[key].clone();
                    rules.push(rule);
                }
            }
            for pair in permission["UserIdGroupPairs"].as_array().unwrap() {
                let mut rule = of(rules.len());
                rule["ReferencedGroupInfo"] = json!({ "GroupId": pair["GroupId"], "UserId": "1" });
                rules.push(rule);
            }
        }
    }
    rules
}

fn shuffle<T>(dice: &mut Dice, all: &mut [T]) {
    for at in (1..all.len()).rev() {
        let other = usize::try_from(dice.below(at as u64 + 1)).unwrap();
        all.swap(at, other);
    }
}

/// The same groups with each permission taken apart, some said twice, all in another order.
pub(crate) fn rearranged(dice: &mut Dice, groups: &Value) -> Value {
    let mut all = groups["SecurityGroups"].as_array().unwrap().clone();
    for group in &mut all {
        let mut permissions = Vec::new();
        for permission in group["IpPermissions"].as_array().unwrap() {
            for list in ["IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"] {
                for source in permission[list].as_array().unwrap() {
                    let mut one = permission.clone();
                    for list in ["IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"] {
                        one[list] = json!([]);
                    }
                    one[list] = json!([source]);
                    permissions.extend(std::iter::repeat_n(one, 1 + usize::from(dice.below(3) == 0)));
                }
            }
        }
        shuffle(dice, &mut permissions);
        group["IpPermissions"] = json!(permissions);
    }
    shuffle(dice, &mut all);
    json!({ "SecurityGroups": all })
}

/// The same groups with prefixes in place of wider ones: each of IPv4 in two halves.
pub(crate) fn split(groups: &Value) -> Value {
    let mut groups = groups.clone();
    for group in groups["SecurityGroups"].as_array_mut().unwrap() {
        for permission in group["IpPermissions"].as_array_mut().unwrap() {
            let ranges = permission["IpRanges"].as_array().unwrap().clone();
            let halves = ranges.iter().flat_map(|range| {
                let (network, length) = range["CidrIp"].as_str().unwrap().split_once('/').unwrap();
                let (network, length): (std::net::Ipv4Addr, u32) =
                    (network.parse().unwrap(), length.parse().unwrap());
                let upper = u32::from(network) | 1_u32.checked_shl(31 - length.min(31)).unwrap_or(0);
                let all = match length {
                    32 => vec![format!("{network}/32")],
                    _ => vec![
                        format!("{network}/{}", length + 1),
                        format!("{}/{}", std::net::Ipv4Addr::from(upper), length + 1),
                    ],
                };
                all.into_iter().map(|cidr| json!({ "CidrIp": cidr }))
            });
            permission["IpRanges"] = json!(halves.collect::<Vec<_>>());
        }
    }
    groups
}

/// The same cloud where nobody can tell about one thing more.
pub(crate) fn blurred(dice: &mut Dice, cloud: &Cloud) -> Cloud {
    let mut cloud = cloud.clone();
    let entries = cloud.acl.as_mut().and_then(|acl| acl["NetworkAcls"][0]["Entries"].as_array_mut());
    let mut own: Vec<&mut Value> =
        entries.into_iter().flatten().filter(|one| one["Protocol"] == "6").collect();
    if dice.below(2) == 0 && !own.is_empty() {
        let at = usize::try_from(dice.below(own.len() as u64)).unwrap();
        own[at].as_object_mut().unwrap().remove("PortRange");
        return cloud;
    }
    let groups = cloud.groups["SecurityGroups"].as_array_mut().unwrap();
    let mut all: Vec<&mut Value> =
        groups.iter_mut().flat_map(|group| group["IpPermissions"].as_array_mut().unwrap()).collect();
    if all.is_empty() {
        return cloud;
    }
    let at = usize::try_from(dice.below(all.len() as u64)).unwrap();
    let permission = all.swap_remove(at);
    match dice.below(3) {
        0 if permission["IpProtocol"] == "tcp" => {
            permission.as_object_mut().unwrap().remove("FromPort");
            permission.as_object_mut().unwrap().remove("ToPort");
        }
        1 => {
            permission["IpRanges"] = json!([]);
            permission["Ipv6Ranges"] = json!([]);
            permission["PrefixListIds"] = json!([{ "PrefixListId": LISTS[2] }]);
        }
        _ => permission["NewRanges"] = json!([{ "New": 1 }]),
    }
    cloud
}
