//! Who gets in, looked up address by address in what AWS prints: slow, plain, and nothing of callgate's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::Value;

/// What AWS would print.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cloud {
    /// `describe-security-groups`
    pub(crate) groups: Value,
    /// `get-managed-prefix-list-entries`, by list.
    pub(crate) lists: BTreeMap<String, Value>,
    /// `describe-network-interfaces`
    pub(crate) interfaces: Option<Value>,
    /// `describe-network-acls`, with one of them.
    pub(crate) acl: Option<Value>,
}

fn items<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    }
}

/// Whether `cidr` holds an address.
pub(crate) fn holds(cidr: &Value, address: IpAddr) -> bool {
    let Some((network, length)) = cidr.as_str().and_then(|text| text.split_once('/')) else { return false };
    let (network, length): (IpAddr, u32) = (network.parse().unwrap(), length.parse().unwrap());
    let ((left, width), (right, other)) = (bits(network), bits(address));
    let host = width.saturating_sub(length);
    width == other && left.checked_shr(host).unwrap_or(0) == right.checked_shr(host).unwrap_or(0)
}

/// Whether something is about TCP to a port.
fn is_about(protocol: &Value, from: &Value, to: &Value, port: i64) -> bool {
    match protocol.as_str().unwrap() {
        "-1" => true,
        "tcp" | "6" => from.as_i64().unwrap() <= port && port <= to.as_i64().unwrap(),
        _ => false,
    }
}

impl Cloud {
    /// Whether a source surely and whether it possibly gets to a port of an interface with these groups.
    pub(crate) fn admits(&self, chosen: &[&str], port: i64, source: IpAddr) -> (bool, bool) {
        let (surely, possibly) = self.named(chosen, port, source);
        let Some(acl) = &self.acl else { return (surely, possibly) };
        let acl = &acl["NetworkAcls"][0];
        let inward = passes(acl, &Value::Bool(false), port, source);
        let answers: Vec<bool> =
            answer_ports(acl).into_iter().map(|port| passes(acl, &Value::Bool(true), port, source)).collect();
        (
            surely && inward && answers.iter().all(|passes| *passes),
            possibly && inward && answers.iter().any(|passes| *passes),
        )
    }

    fn named(&self, chosen: &[&str], port: i64, source: IpAddr) -> (bool, bool) {
        let (mut surely, mut possibly) = (false, false);
        let groups = items(&self.groups, "SecurityGroups");
        for group in groups.filter(|group| chosen.contains(&group["GroupId"].as_str().unwrap())) {
            for permission in items(group, "IpPermissions") {
                if !is_about(&permission["IpProtocol"], &permission["FromPort"], &permission["ToPort"], port)
                {
                    continue;
                }
                surely |= items(permission, "IpRanges").any(|range| holds(&range["CidrIp"], source));
                surely |= items(permission, "Ipv6Ranges").any(|range| holds(&range["CidrIpv6"], source));
                for list in items(permission, "PrefixListIds") {
                    match self.lists.get(list["PrefixListId"].as_str().unwrap()) {
                        Some(list) => {
                            surely |= items(list, "Entries").any(|entry| holds(&entry["Cidr"], source));
                        }
                        None => possibly = true,
                    }
                }
                for pair in items(permission, "UserIdGroupPairs") {
                    possibly |= self.is_member(&pair["GroupId"], source);
                }
            }
        }
        (surely, surely || possibly)
    }

    fn is_member(&self, group: &Value, source: IpAddr) -> bool {
        let Some(interfaces) = &self.interfaces else { return true };
        let of_group = items(interfaces, "NetworkInterfaces")
            .filter(|one| items(one, "Groups").any(|of| &of["GroupId"] == group));
        let is = |address: &Value| address.as_str().is_some_and(|text| text.parse() == Ok(source));
        of_group.into_iter().any(|one| {
            items(one, "PrivateIpAddresses").any(|address| is(&address["PrivateIpAddress"]))
                || items(one, "Ipv6Addresses").any(|address| is(&address["Ipv6Address"]))
        })
    }

    /// Addresses at which an answer may change, and a few strangers.
    pub(crate) fn samples(&self) -> BTreeSet<IpAddr> {
        let mut texts = Vec::new();
        for value in [Some(&self.groups), self.interfaces.as_ref(), self.acl.as_ref()]
            .into_iter()
            .flatten()
            .chain(self.lists.values())
        {
            strings(value, &mut texts);
        }
        let mut samples: BTreeSet<IpAddr> =
            ["8.8.8.8", "10.0.0.1", "0.0.0.0", "255.255.255.255", "::", "2001:4860::1", "ffff:ffff::"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        for text in texts {
            let (address, length) = text.split_once('/').unwrap_or((text, ""));
            let Ok(address) = address.parse::<IpAddr>() else { continue };
            let (number, width) = bits(address);
            let host = width.saturating_sub(length.parse().unwrap_or(width));
            let wild = u128::MAX.checked_shr(128 - host).unwrap_or(0);
            let (first, last) = (number & !wild, number | wild);
            for one in [first.wrapping_sub(1), first, last, last.wrapping_add(1)] {
                samples.insert(match address {
                    IpAddr::V4(_) => IpAddr::V4(u32::try_from(one & 0xffff_ffff).unwrap().into()),
                    IpAddr::V6(_) => IpAddr::V6(one.into()),
                });
            }
        }
        samples
    }
}

/// Every text in a value.
fn strings<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(entries) => entries.values().for_each(|item| strings(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether an ACL lets a packet through.
fn passes(acl: &Value, egress: &Value, port: i64, other: IpAddr) -> bool {
    let mut entries: Vec<&Value> = items(acl, "Entries").filter(|entry| &entry["Egress"] == egress).collect();
    entries.sort_by_key(|entry| entry["RuleNumber"].as_i64());
    let matching = entries.into_iter().find(|entry| {
        let range = &entry["PortRange"];
        is_about(&entry["Protocol"], &range["From"], &range["To"], port)
            && (holds(&entry["CidrBlock"], other) || holds(&entry["Ipv6CidrBlock"], other))
    });
    matching.is_some_and(|entry| entry["RuleAction"] == "allow")
}

/// Ports that callers may call from: those next to where an entry starts or ends.
fn answer_ports(acl: &Value) -> BTreeSet<i64> {
    let ends = items(acl, "Entries").flat_map(|entry| {
        let range = &entry["PortRange"];
        let ends = [range["From"].as_i64(), range["To"].as_i64()];
        ends.into_iter().flatten().flat_map(|port| [port - 1, port, port + 1])
    });
    ends.chain([1024, 65535]).filter(|port| (1024..=65535).contains(port)).collect()
}
