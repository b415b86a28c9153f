//! Security groups as a layer: what AWS lists, from files or asked now.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;

use crate::cli::complain;
use crate::security_group::Groups;
use crate::security_group::aws::{self, Input, Role};
use crate::security_group::select::Selection;
use crate::site::path::RawSecurityGroup;
use crate::system;
use crate::system::aws::{NetworkAcl, Request, capture};

/// Largest listing that is read, in bytes.
const BYTES_MAX: u64 = 1 << 30;
/// How long one command of AWS may take.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Security groups. AWS is asked, by its command line, where no listing is named.
#[derive(Debug, Default, Clone, clap::Args)]
#[command(next_help_heading = "AWS security groups")]
pub(in crate::cli) struct GroupOptions {
    /// Output of `aws ec2 describe-security-groups`, `describe-security-group-rules`, `describe-network-interfaces` or
    /// `describe-instances`; AWS is asked where it is left out and a group, interface or instance is named
    #[arg(long, value_name = "FILE")]
    security_groups: Vec<PathBuf>,
    /// Output of `aws ec2 get-managed-prefix-list-entries`, as `pl-….json` or `pl-…=FILE`, or of
    /// `describe-managed-prefix-lists`
    #[arg(long, value_name = "FILE")]
    prefix_lists: Vec<String>,
    /// Output of `aws ec2 describe-network-acls`
    #[arg(long, value_name = "FILE")]
    network_acl: Vec<PathBuf>,
    /// A security group that stands before the service; may be repeated
    #[arg(long, value_name = "ID")]
    pub(super) group: Vec<String>,
    /// The network interface whose groups stand before the service
    #[arg(long, value_name = "ID")]
    network_interface: Option<String>,
    /// The instance whose groups stand before the service
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// The account's quota of inward rules a group and family; 60 where it is left out
    #[arg(long, value_name = "COUNT")]
    rules_max: Option<u32>,
    /// The profile that AWS is asked with
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// The region that AWS is asked in
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
}

impl GroupOptions {
    /// Whether groups are asked.
    pub(super) fn is_named(&self) -> bool {
        self.has_files() || self.has_choice()
    }

    /// Whether listings are named.
    fn has_files(&self) -> bool {
        !self.security_groups.is_empty() || !self.prefix_lists.is_empty() || !self.network_acl.is_empty()
    }

    fn has_choice(&self) -> bool {
        !self.group.is_empty() || self.network_interface.is_some() || self.instance.is_some()
    }

    /// What the site names, with files below its folder.
    pub(super) fn of_site(raw: &RawSecurityGroup, base: &Path) -> Self {
        let all = |names: &[String]| names.iter().map(|name| base.join(name)).collect();
        let list = |argument: &String| match Role::split(argument) {
            (Role::PrefixList(id), file) => format!("{id}={}", base.join(file).display()),
            (Role::AsSaid | Role::Members, file) => base.join(file).display().to_string(),
        };
        Self {
            security_groups: all(&raw.security_groups),
            prefix_lists: raw.prefix_lists.iter().map(list).collect(),
            network_acl: all(&raw.network_acls),
            group: raw.groups.clone(),
            network_interface: raw.network_interface.clone(),
            instance: raw.instance.clone(),
            rules_max: raw.rules_max,
            profile: raw.profile.clone(),
            region: raw.region.clone(),
        }
    }

    /// These, and which groups are meant from others where these leave it open.
    pub(super) fn or(mut self, other: Self) -> Self {
        if !self.has_choice() {
            (self.group, self.network_interface, self.instance) =
                (other.group, other.network_interface, other.instance);
        }
        self.rules_max = self.rules_max.or(other.rules_max);
        self.profile = self.profile.or(other.profile);
        self.region = self.region.or(other.region);
        self
    }

    /// Which groups are meant.
    pub(super) fn selection(&self) -> Selection {
        Selection {
            groups: self.group.clone(),
            interface: self.network_interface.clone(),
            instance: self.instance.clone(),
            rules_max: self.rules_max,
        }
    }

    /// Reads the listings, or asks AWS.
    pub(super) fn read(&self) -> anyhow::Result<Groups> {
        let inputs = if self.has_files() { self.files()? } else { self.live()? };
        aws::read(inputs).map_err(|error| anyhow!("{error}\n  help: {}", error.help))
    }

    fn files(&self) -> anyhow::Result<Vec<Input>> {
        let mut inputs = Vec::new();
        for path in self.security_groups.iter().chain(&self.network_acl) {
            inputs.push(Input { listing: system::read_listing(path, BYTES_MAX)?, role: Role::AsSaid });
        }
        for argument in &self.prefix_lists {
            let (role, file) = Role::split(argument);
            inputs.push(Input { listing: system::read_listing(Path::new(file), BYTES_MAX)?, role });
        }
        Ok(inputs)
    }

    fn live(&self) -> anyhow::Result<Vec<Input>> {
        let request = Request {
            selection: self.selection(),
            profile: self.profile.clone(),
            region: self.region.clone(),
            network_acl: NetworkAcl::OfSubnet,
            timeout: TIMEOUT,
        };
        let taken = capture(&request).map_err(|error| anyhow!("{error}\n  help: {}", error.help()))?;
        for warning in &taken.warnings {
            complain(&format!("warning: {warning}\n"));
        }
        Ok(taken.inputs)
    }
}
