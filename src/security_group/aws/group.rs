//! Groups with their permissions, and rules by their id.

use crate::json::shown;
use crate::prefix::Family;
use crate::security_group::json::Object;
use crate::security_group::{Group, GroupRef, Known, Protocol, ReadError, Rule, Source, cidr};

use super::join::{Gathered, OfRules};

/// Keys of a permission.
const PERMISSION_KEYS: [&str; 7] =
    ["IpProtocol", "FromPort", "ToPort", "IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"];

const HELP_VALUE: &str = "give the output of `aws` as it is; if it is, tell us";

/// `describe-security-groups`
pub(super) fn read_groups(listing: &Object<'_, '_>, gathered: &mut Gathered) -> Result<(), ReadError> {
    for object in listing.objects("SecurityGroups")? {
        let mut group = Group {
            id: object.said("GroupId")?.to_owned(),
            name: object.text_or_empty("GroupName")?,
            vpc: object.text_or_empty("VpcId")?,
            place: object.place(),
            ..Group::default()
        };
        if !object.entries().any(|(key, _)| key == "IpPermissions") {
            let message = format!("group `{}` has no `IpPermissions`", shown(&group.id));
            return Err(object.fault("GroupId", message, HELP_VALUE));
        }
        let owner = object.text_or_empty("OwnerId")?;
        for permission in object.objects("IpPermissions")? {
            read_permission(&permission, &owner, &mut group)?;
        }
        gathered.groups.push(group);
    }
    Ok(())
}

fn read_permission(permission: &Object<'_, '_>, owner: &str, group: &mut Group) -> Result<(), ReadError> {
    let protocol = protocol(permission, "IpProtocol")?;
    let ports = ports(permission, protocol)?;
    let mut add = |object: &Object<'_, '_>, source: Known<Source>| -> Result<(), ReadError> {
        group.rules.push(Rule {
            id: String::new(),
            protocol: Known::Is(protocol),
            ports: ports.clone(),
            source,
            description: object.text_or_empty("Description")?,
            doubt: None,
            place: object.place(),
        });
        Ok(())
    };
    for (list, key, family) in [("IpRanges", "CidrIp", Family::V4), ("Ipv6Ranges", "CidrIpv6", Family::V6)] {
        for range in permission.objects(list)? {
            range.said(key)?;
            add(&range, Known::Is(Source::Prefix(prefix(&range, key, family)?)))?;
        }
    }
    for list in permission.objects("PrefixListIds")? {
        add(&list, Known::Is(Source::PrefixList(list.said("PrefixListId")?.to_owned())))?;
    }
    for pair in permission.objects("UserIdGroupPairs")? {
        if let Some(other) = group_ref(&pair, owner)? {
            add(&pair, Known::Is(Source::Group(other)))?;
        }
    }
    // A kind of source that this program has not heard of.
    for (key, value) in permission.entries() {
        if !PERMISSION_KEYS.contains(&key) && value.is_filled_list() {
            add(permission, Known::Unknown(format!("`{}` is not known", shown(key))))?;
        }
    }
    Ok(())
}

/// `describe-security-group-rules`
pub(super) fn read_rules(listing: &Object<'_, '_>, gathered: &mut Gathered) -> Result<(), ReadError> {
    for object in listing.objects("SecurityGroupRules")? {
        let group = object.said("GroupId")?;
        let of = gathered.rules.entry(group.to_owned()).or_insert_with(|| OfRules::at(object.place()));
        if object.flag("IsEgress")? {
            continue;
        }
        let owner = object.text_or_empty("GroupOwnerId")?;
        let Some(source) = source(&object, &owner)? else { continue };
        let protocol = protocol(&object, "IpProtocol")?;
        of.rules.push(Rule {
            id: object.said("SecurityGroupRuleId")?.to_owned(),
            protocol: Known::Is(protocol),
            ports: ports(&object, protocol)?,
            source,
            description: object.text_or_empty("Description")?,
            doubt: None,
            place: object.place(),
        });
    }
    Ok(())
}

/// Whom a rule names; `None` where that is nobody any more.
fn source(rule: &Object<'_, '_>, owner: &str) -> Result<Option<Known<Source>>, ReadError> {
    for (key, family) in [("CidrIpv4", Family::V4), ("CidrIpv6", Family::V6)] {
        if rule.text(key)?.is_some() {
            return Ok(Some(Known::Is(Source::Prefix(prefix(rule, key, family)?))));
        }
    }
    if let Some(list) = rule.text("PrefixListId")? {
        return Ok(Some(Known::Is(Source::PrefixList(list.to_owned()))));
    }
    match rule.object("ReferencedGroupInfo")? {
        Some(other) => Ok(group_ref(&other, owner)?.map(|other| Known::Is(Source::Group(other)))),
        None => Ok(Some(Known::Unknown("the listing does not tell whom it names".to_owned()))),
    }
}

/// A group that a rule names; `None` where it is gone, so that the rule admits nobody.
fn group_ref(pair: &Object<'_, '_>, owner: &str) -> Result<Option<GroupRef>, ReadError> {
    let status = pair.text("PeeringStatus")?.unwrap_or_default();
    if matches!(status, "deleted" | "expired" | "failed" | "rejected") {
        return Ok(None);
    }
    // A group may be named instead, and interfaces tell ids.
    let (id, by_name) = match pair.text("GroupId")? {
        Some(id) => (id, None),
        None => (pair.said("GroupName")?, Some("the listing tells its name only".to_owned())),
    };
    let user = pair.text("UserId")?.unwrap_or_default();
    let peering = pair.text("VpcPeeringConnectionId")?.unwrap_or_default();
    let elsewhere = if !peering.is_empty() {
        Some(format!("it is in another VPC, by {}", shown(peering)))
    } else if !user.is_empty() && !owner.is_empty() && user != owner {
        Some(format!("it belongs to account {}", shown(user)))
    } else {
        by_name
    };
    Ok(Some(GroupRef { id: id.to_owned(), elsewhere }))
}

/// A protocol.
pub(super) fn protocol(object: &Object<'_, '_>, key: &str) -> Result<Protocol, ReadError> {
    let text = object.said(key)?;
    Protocol::read(text).ok_or_else(|| {
        object.fault(
            key,
            format!("`{}` is no protocol", shown(text)),
            "protocols are names or numbers up to 255",
        )
    })
}

/// First and last port. Protocols other than TCP have none that matter.
fn ports(object: &Object<'_, '_>, protocol: Protocol) -> Result<Known<(u16, u16)>, ReadError> {
    port_range(object, ("FromPort", "ToPort"), protocol)
}

pub(super) fn port_range(
    object: &Object<'_, '_>,
    (first, last): (&str, &str),
    protocol: Protocol,
) -> Result<Known<(u16, u16)>, ReadError> {
    let (from, to) = (object.number(first)?, object.number(last)?);
    if protocol != Protocol::Tcp {
        return Ok(Known::Is((0, u16::MAX)));
    }
    let (from, to) = match (from, to) {
        (Some(from), Some(to)) if (from, to) != (-1, -1) => (from, to),
        (None | Some(-1), None | Some(-1)) => {
            return Ok(Known::Unknown("the listing does not tell its ports".to_owned()));
        }
        (from, to) => (from.unwrap_or(-1), to.unwrap_or(-1)),
    };
    match (u16::try_from(from), u16::try_from(to)) {
        (Ok(from), Ok(to)) if from <= to => Ok(Known::Is((from, to))),
        _ => Err(object.fault(
            first,
            format!("ports {from} to {to} are no range"),
            "ports are numbers from 0 to 65535, the first one first",
        )),
    }
}

/// A prefix of this family.
pub(super) fn prefix(
    object: &Object<'_, '_>,
    key: &str,
    family: Family,
) -> Result<crate::prefix::Prefix, ReadError> {
    let text = object.said(key)?;
    cidr::read(text, family).ok_or_else(|| {
        let help = "AWS writes an address and its length, as in `192.0.2.0/24` or `2001:db8::/32`";
        object.fault(key, format!("`{}` is no {family} prefix", shown(text)), help)
    })
}
