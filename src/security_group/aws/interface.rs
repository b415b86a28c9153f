//! Network interfaces and instances: which groups they have, and from which addresses they call.

use std::net::IpAddr;

use crate::json::shown;
use crate::prefix::{Family, Prefix};
use crate::security_group::json::Object;
use crate::security_group::{Instance, Interface, ReadError, cidr};

use super::group::prefix;
use super::join::Gathered;

/// `describe-network-interfaces`
pub(super) fn read_interfaces(listing: &Object<'_, '_>, gathered: &mut Gathered) -> Result<(), ReadError> {
    for object in listing.objects("NetworkInterfaces")? {
        let interface = interface(&object)?;
        if let Some(attachment) = object.object("Attachment")?
            && let Some(id) = attachment.text("InstanceId")?
        {
            attach(gathered, id, &interface.id, &object);
        }
        add(gathered, interface, &object)?;
    }
    Ok(())
}

/// `describe-instances`
pub(super) fn read_reservations(listing: &Object<'_, '_>, gathered: &mut Gathered) -> Result<(), ReadError> {
    for reservation in listing.objects("Reservations")? {
        for instance in reservation.objects("Instances")? {
            let id = instance.said("InstanceId")?;
            gathered.instances.entry(id.to_owned()).or_insert_with(|| Instance {
                id: id.to_owned(),
                interfaces: Vec::new(),
                place: instance.place(),
            });
            for object in instance.objects("NetworkInterfaces")? {
                let interface = interface(&object)?;
                attach(gathered, id, &interface.id, &object);
                add(gathered, interface, &object)?;
            }
        }
    }
    Ok(())
}

fn attach(gathered: &mut Gathered, instance: &str, interface: &str, object: &Object<'_, '_>) {
    let known = gathered.instances.entry(instance.to_owned()).or_insert_with(|| Instance {
        id: instance.to_owned(),
        interfaces: Vec::new(),
        place: object.place(),
    });
    if known.interfaces.iter().all(|one| one != interface) {
        known.interfaces.push(interface.to_owned());
    }
}

fn interface(object: &Object<'_, '_>) -> Result<Interface, ReadError> {
    let mut groups = Vec::new();
    for group in object.objects("Groups")? {
        groups.push(group.said("GroupId")?.to_owned());
    }
    groups.sort();
    groups.dedup();
    let mut addresses = Vec::new();
    if object.text("PrivateIpAddress")?.is_some() {
        addresses.push(address(object, "PrivateIpAddress", Family::V4)?);
    }
    for one in object.objects("PrivateIpAddresses")? {
        addresses.push(address(&one, "PrivateIpAddress", Family::V4)?);
    }
    for one in object.objects("Ipv6Addresses")? {
        addresses.push(address(&one, "Ipv6Address", Family::V6)?);
    }
    for (list, key, family) in
        [("Ipv4Prefixes", "Ipv4Prefix", Family::V4), ("Ipv6Prefixes", "Ipv6Prefix", Family::V6)]
    {
        for one in object.objects(list)? {
            addresses.push(prefix(&one, key, family)?);
        }
    }
    addresses.sort();
    addresses.dedup();
    Ok(Interface {
        id: object.said("NetworkInterfaceId")?.to_owned(),
        groups,
        addresses,
        subnet: object.text_or_empty("SubnetId")?,
        place: object.place(),
    })
}

fn address(object: &Object<'_, '_>, key: &str, family: Family) -> Result<Prefix, ReadError> {
    let text = object.said(key)?;
    let address: Option<IpAddr> = cidr::address_of(text, family);
    address.map(Prefix::single).ok_or_else(|| {
        object.fault(key, format!("`{}` is no {family} address", shown(text)), "give the output as it is")
    })
}

/// The same interface may be in several listings, and has to be the same there.
fn add(gathered: &mut Gathered, interface: Interface, object: &Object<'_, '_>) -> Result<(), ReadError> {
    let Some(known) = gathered.interfaces.get_mut(&interface.id) else {
        gathered.interfaces.insert(interface.id.clone(), interface);
        return Ok(());
    };
    if known.groups != interface.groups {
        let message = format!("interface `{}` has other groups here than before", shown(&interface.id));
        return Err(object.fault("NetworkInterfaceId", message, "take all listings at one time"));
    }
    known.addresses.extend(interface.addresses);
    known.addresses.sort();
    known.addresses.dedup();
    if known.subnet.is_empty() {
        known.subnet = interface.subnet;
    }
    Ok(())
}
