//! Network ACLs.

use crate::json::shown;
use crate::prefix::Family;
use crate::security_group::json::Object;
use crate::security_group::{Acl, Action, Direction, Entry, Known, Place, Protocol, ReadError};

use super::group::{port_range, prefix, protocol};
use super::join::Gathered;

/// `describe-network-acls`
pub(super) fn read_acls(listing: &Object<'_, '_>, gathered: &mut Gathered) -> Result<(), ReadError> {
    for object in listing.objects("NetworkAcls")? {
        let mut acl = Acl {
            id: object.said("NetworkAclId")?.to_owned(),
            vpc: object.text_or_empty("VpcId")?,
            place: object.place(),
            ..Acl::default()
        };
        for association in object.objects("Associations")? {
            acl.subnets.push(association.text_or_empty("SubnetId")?);
        }
        acl.subnets.sort();
        for entry in object.objects("Entries")? {
            acl.entries.push(read_entry(&entry)?);
        }
        let known = gathered.acls.iter().find(|known| known.id == acl.id);
        match known {
            Some(known) if is_same(known, &acl) => {}
            Some(_) => {
                let message = format!("network ACL `{}` has other entries here than before", shown(&acl.id));
                return Err(object.fault("NetworkAclId", message, "take all listings at one time"));
            }
            None => gathered.acls.push(acl),
        }
    }
    Ok(())
}

/// Whether both have the same entries, wherever they stand.
fn is_same(left: &Acl, right: &Acl) -> bool {
    let sorted = |acl: &Acl| {
        let mut entries = acl.entries.clone();
        for entry in &mut entries {
            entry.place = Place::default();
        }
        entries.sort_by_key(|entry| (entry.direction, entry.number));
        entries
    };
    left.subnets == right.subnets && sorted(left) == sorted(right)
}

fn read_entry(object: &Object<'_, '_>) -> Result<Entry, ReadError> {
    let number = object.number("RuleNumber")?;
    let Some(number) = number.and_then(|number| u32::try_from(number).ok()) else {
        return Err(object.fault(
            "RuleNumber",
            "an entry has no number".to_owned(),
            "give the output as it is",
        ));
    };
    let action = match object.said("RuleAction")? {
        "allow" => Action::Allow,
        "deny" => Action::Deny,
        other => {
            let message = format!("`{}` is neither `allow` nor `deny`", shown(other));
            return Err(object.fault("RuleAction", message, "give the output as it is"));
        }
    };
    let protocol = protocol(object, "Protocol")?;
    let ports = match object.object("PortRange")? {
        Some(range) => port_range(&range, ("From", "To"), protocol)?,
        None if protocol == Protocol::Tcp => Known::Unknown("the listing does not tell its ports".to_owned()),
        None => Known::Is((0, u16::MAX)),
    };
    let prefix = match object.text("CidrBlock")? {
        Some(_) => prefix(object, "CidrBlock", Family::V4)?,
        None => prefix(object, "Ipv6CidrBlock", Family::V6)?,
    };
    let direction = if object.flag("Egress")? { Direction::Outward } else { Direction::Inward };
    Ok(Entry {
        number,
        direction,
        action,
        protocol: Known::Is(protocol),
        ports,
        prefix,
        place: object.place(),
    })
}
