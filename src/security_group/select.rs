//! Which groups stand on a caller's way, and which network ACL before them.

use std::collections::BTreeSet;

use super::{Acl, Group, Groups, Instance, Interface};
use crate::plain::line;

/// Most ids that a message names.
const NAMED_MAX: usize = 8;

/// What is asked about. Where nothing is named, the listing has to have one group only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Groups, by id, or by a name that only one has.
    pub groups: Vec<String>,
    /// A network interface: all of its groups.
    pub interface: Option<String>,
    /// An instance whose interfaces have the same groups: these.
    pub instance: Option<String>,
    /// The account's quota of inward rules a group and family; 60 where it is not told.
    pub rules_max: Option<u32>,
}

/// Why nothing can be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SelectionError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// What was selected.
#[derive(Debug)]
pub(super) struct Selected<'g> {
    pub(super) groups: Vec<&'g Group>,
    pub(super) acl: Option<&'g Acl>,
    /// Interfaces that were named, or belong to the instance that was.
    pub(super) interfaces: Vec<&'g Interface>,
}

fn error(message: String, help: impl Into<String>) -> SelectionError {
    SelectionError { message, help: help.into() }
}

/// Ids in a line, at most a few.
fn named<'t>(ids: impl Iterator<Item = &'t str>) -> String {
    let all: Vec<String> = ids.map(|id| format!("`{}`", line(id))).collect();
    let more = all.len().saturating_sub(NAMED_MAX);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    all.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ") + &tail
}

impl Groups {
    /// Finds what is asked about.
    pub(super) fn select(&self, selection: &Selection) -> Result<Selected<'_>, SelectionError> {
        let given =
            [!selection.groups.is_empty(), selection.interface.is_some(), selection.instance.is_some()];
        if given.into_iter().filter(|given| *given).count() > 1 {
            let message = "a group, an interface and an instance each say which groups are meant".to_owned();
            return Err(error(message, "name groups, or one interface, or one instance"));
        }
        let interfaces = self.interfaces_of(selection)?;
        let groups = match interfaces.first() {
            None => self.groups_of(selection)?,
            Some(interface) => {
                interface.groups.iter().map(|id| self.find(id)).collect::<Result<Vec<_>, _>>()?
            }
        };
        let vpcs: BTreeSet<&str> =
            groups.iter().map(|group| group.vpc.as_str()).filter(|vpc| !vpc.is_empty()).collect();
        if vpcs.len() > 1 {
            let message = format!("the groups are of several VPCs: {}", named(vpcs.into_iter()));
            return Err(error(message, "no interface has groups of two VPCs: ask about each by itself"));
        }
        let acl = self.acl_of(&interfaces, vpcs.first().copied())?;
        Ok(Selected { groups, acl, interfaces })
    }

    fn groups_of(&self, selection: &Selection) -> Result<Vec<&Group>, SelectionError> {
        if selection.groups.is_empty() {
            return match self.groups.as_slice() {
                [only] => Ok(vec![only]),
                [] => Err(error(
                    "no security group is in the listings".to_owned(),
                    "give the output of `aws ec2 describe-security-groups`",
                )),
                several => Err(error(
                    format!(
                        "{} security groups are listed: {}",
                        several.len(),
                        named(several.iter().map(|group| group.id.as_str()))
                    ),
                    "name those that the service has with `--group`, or its `--interface-id` or `--instance`",
                )),
            };
        }
        let mut found: Vec<&Group> = Vec::new();
        for wanted in &selection.groups {
            let group = self.find(wanted)?;
            if found.iter().all(|known| known.id != group.id) {
                found.push(group);
            }
        }
        Ok(found)
    }

    /// The group of this id, or else of this name.
    fn find(&self, wanted: &str) -> Result<&Group, SelectionError> {
        if let Some(group) = self.group(wanted) {
            return Ok(group);
        }
        let by_name: Vec<&Group> =
            self.groups.iter().filter(|group| !wanted.is_empty() && group.name == wanted).collect();
        match by_name.as_slice() {
            [only] => Ok(only),
            [] => Err(self.not_listed("security group", wanted, &["SecurityGroups", "SecurityGroupRules"])),
            several => Err(error(
                format!(
                    "{} security groups have the name `{}`: {}",
                    several.len(),
                    line(wanted),
                    named(several.iter().map(|group| group.id.as_str()))
                ),
                "name one by its id",
            )),
        }
    }

    /// Something is not there, or on a page that is missing.
    fn not_listed(&self, what: &str, id: &str, kinds: &[&str]) -> SelectionError {
        let message = format!("{what} `{}` is in no listing", line(id));
        if let Some(cut) = self.cut.iter().find(|cut| kinds.contains(&cut.of)) {
            let help = format!(
                "a page is missing: {} says that there is more; list without `--max-items` and `--no-paginate`",
                self.located(cut.place)
            );
            return error(message, help);
        }
        let command = match what {
            "network interface" => "describe-network-interfaces",
            "instance" => "describe-instances",
            "network ACL" => "describe-network-acls",
            _ => "describe-security-groups",
        };
        error(message, format!("give the output of `aws ec2 {command}` that has it"))
    }

    fn interfaces_of(&self, selection: &Selection) -> Result<Vec<&Interface>, SelectionError> {
        let interface = |id: &str| {
            let found = self.interfaces.iter().find(|one| one.id == id);
            let kinds = ["NetworkInterfaces", "Reservations"];
            let found = found.ok_or_else(|| self.not_listed("network interface", id, &kinds))?;
            if found.groups.is_empty() {
                let message = format!("network interface `{}` has no security group", line(id));
                return Err(error(
                    message,
                    "interfaces of load balancers may have none: ask about what is behind",
                ));
            }
            Ok(found)
        };
        if let Some(id) = &selection.interface {
            return Ok(vec![interface(id)?]);
        }
        let Some(id) = &selection.instance else { return Ok(Vec::new()) };
        let kinds = ["NetworkInterfaces", "Reservations"];
        let found: Option<&Instance> = self.instances.iter().find(|one| &one.id == id);
        let found = found.ok_or_else(|| self.not_listed("instance", id, &kinds))?;
        let interfaces = found.interfaces.iter().map(|id| interface(id)).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = interfaces.first() else {
            let message = format!("instance `{}` has no network interface", line(id));
            return Err(error(message, "an instance that was terminated has none: name one that runs"));
        };
        let ways: BTreeSet<_> = interfaces.iter().map(|one| (&one.groups, &one.subnet)).collect();
        if ways.len() > 1 {
            let all = named(interfaces.iter().map(|one| one.id.as_str()));
            let message = format!("interfaces of instance `{}` differ in groups or subnet: {all}", line(id));
            return Err(error(
                message,
                format!("name the one that callers reach: `--interface-id {}`", line(&first.id)),
            ));
        }
        Ok(interfaces)
    }

    /// The network ACL before the groups; `None` where none was listed.
    fn acl_of(&self, interfaces: &[&Interface], vpc: Option<&str>) -> Result<Option<&Acl>, SelectionError> {
        if self.acls.is_empty() {
            return Ok(None);
        }
        let subnet = interfaces.iter().map(|one| one.subnet.as_str()).find(|subnet| !subnet.is_empty());
        if let Some(subnet) = subnet {
            let of_subnet = self.acls.iter().find(|acl| acl.subnets.iter().any(|one| one == subnet));
            return match of_subnet {
                Some(acl) => Ok(Some(acl)),
                None => Err(self.not_listed("network ACL", &format!("of {subnet}"), &["NetworkAcls"])),
            };
        }
        let near = |acl: &&Acl| vpc.is_none_or(|vpc| acl.vpc.is_empty() || acl.vpc == vpc);
        let fitting: Vec<&Acl> = self.acls.iter().filter(near).collect();
        match fitting.as_slice() {
            [only] => Ok(Some(only)),
            [] => {
                let message = format!(
                    "no network ACL that is listed is of {}, where the groups are",
                    line(vpc.unwrap_or_default())
                );
                Err(error(message, "give the network ACL of the service's subnet"))
            }
            several => Err(error(
                format!(
                    "{} network ACLs are listed: {}",
                    several.len(),
                    named(several.iter().map(|acl| acl.id.as_str()))
                ),
                "name the service's `--interface-id` or `--instance`, whose subnet tells, or give its network ACL only",
            )),
        }
    }
}
