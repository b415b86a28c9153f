//! Terraform: a module with one ingress rule a prefix, keyed by the prefix, or with managed prefix lists.
//!
//! As in [`super::aws_security_group`], a group admits nobody that no rule names, so both modes render the
//! same rules. The output is what `terraform fmt` would make of it.

use std::fmt::Write as _;

use super::comment::{Comments, ascii_word, header};
use super::template::Templates;
use super::{Artifact, ArtifactFile, Common, Mode, Quota, RenderError, Target, TargetKind, kind_word};
use crate::admission::LayerKind;
use crate::allowlist::Allowlist;
use crate::diagnostic::Code;
use crate::plain::counted;
use crate::prefix::Family;
use crate::security_group::quota::RULES_MAX;
use crate::yaml::decode::{At, Decoder, choices, record};

kind_word!(Kind, "terraform");

choices! {
    /// Which resources are rendered.
    pub(crate) enum Resource {
        /// `aws_vpc_security_group_ingress_rule`, one a prefix and port.
        Rules = "rules",
        /// `aws_ec2_managed_prefix_list`, one a family, and one rule a port.
        PrefixLists = "prefix-lists",
    }
}

record! {
    /// A Terraform module.
    pub(crate) struct RawSettings {
        /// `terraform`
        #[schemars(required)]
        kind: required Kind,
        /// `exclusive` where it is left out; the rules are the same in both modes.
        mode: optional Mode,
        /// Whether neighbouring prefixes are joined; `false` where it is left out.
        aggregate: optional bool,
        /// Which resources; `rules` where it is left out.
        resource: optional Resource,
        /// The security group's id; a variable of the module where it is left out.
        security_group_id: optional At<String>,
        /// `prefix-lists`: the size of each list, which counts in full against the group's quota; 20 where it
        /// is left out.
        max_entries: optional At<u32>,
    }
}

/// The Terraform target.
#[derive(Debug)]
pub(super) struct Terraform {
    common: Common,
    resource: Resource,
    security_group_id: Option<String>,
    entries_max: u32,
}

impl Terraform {
    pub(super) fn new(name: String, raw: RawSettings, decoder: &mut Decoder<'_>) -> Self {
        let common = Common::new(name, TargetKind::Terraform, raw.mode, raw.aggregate);
        if let Some(group) = &raw.security_group_id {
            let digits = group.value.strip_prefix("sg-").unwrap_or("");
            if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            {
                let message = format!("`{}` is no security group id", group.value.escape_debug());
                decoder.fault(
                    Code::InvalidValue,
                    &group.span,
                    message,
                    "write `sg-` and its hexadecimal digits, or leave it out and pass the variable",
                );
            }
        }
        if let Some(size) = raw.max_entries.as_ref().filter(|size| size.value == 0 || size.value > 1_000) {
            let message = format!("{} is not between 1 and 1000", size.value);
            decoder.fault(Code::InvalidValue, &size.span, message, "a prefix list takes up to 1000 entries");
        }
        Self {
            common,
            resource: raw.resource.unwrap_or(Resource::Rules),
            security_group_id: raw.security_group_id.map(|group| group.value),
            entries_max: raw.max_entries.map_or(20, |size| size.value),
        }
    }

    fn group(&self) -> String {
        self.security_group_id
            .as_ref()
            .map_or_else(|| "var.security_group_id".to_owned(), |id| format!("\"{id}\""))
    }

    fn quotas(&self, allowlist: &Allowlist) -> Vec<Quota> {
        let ports = allowlist.service.ports.len();
        let mut quotas = Vec::new();
        for family in Family::ALL {
            let entries = allowlist.family(family).len();
            if entries == 0 {
                continue;
            }
            let (each, of) = match self.resource {
                Resource::Rules => (entries as u64, counted(entries, "prefix")),
                Resource::PrefixLists => {
                    let most = u64::from(self.entries_max);
                    let what = format!("{family} entries of the prefix list");
                    let sum = counted(entries, "prefix");
                    quotas.push(Quota { what, sum, used: entries as u64, most });
                    (most, format!("a list of {most}"))
                }
            };
            quotas.push(Quota {
                what: format!("{family} rules of a group, by AWS's default quota"),
                sum: format!("{} x {of}", counted(ports, "port")),
                used: each.saturating_mul(ports as u64),
                most: u64::from(RULES_MAX),
            });
        }
        quotas
    }

    fn resources(&self, allowlist: &Allowlist, family: Family) -> String {
        let version = family.as_str();
        let mut text = String::new();
        if self.resource == Resource::PrefixLists {
            let address_family = match family {
                Family::V4 => "IPv4",
                Family::V6 => "IPv6",
            };
            // Writing into a String can't fail.
            let _ = write!(
                text,
                "\nresource \"aws_ec2_managed_prefix_list\" \"callbacks_{version}\" {{\n\
                 \x20 name           = \"callgate-callbacks-{version}\"\n\
                 \x20 address_family = \"{address_family}\"\n\
                 \x20 max_entries    = {}\n\n\
                 \x20 dynamic \"entry\" {{\n\
                 \x20   for_each = local.callbacks_{version}\n\
                 \x20   content {{\n\
                 \x20     cidr        = entry.key\n\
                 \x20     description = entry.value\n\
                 \x20   }}\n\
                 \x20 }}\n\
                 }}\n",
                self.entries_max
            );
        }
        allowlist.service.ports.iter().for_each(|port| text.push_str(&self.rule(family, *port)));
        text
    }

    fn rule(&self, family: Family, port: u16) -> String {
        let version = family.as_str();
        let mut text =
            format!("\nresource \"aws_vpc_security_group_ingress_rule\" \"callbacks_{version}_{port}\" {{\n");
        let (source, value, description) = match (self.resource, family) {
            (Resource::Rules, Family::V4) => ("cidr_ipv4", "each.key".to_owned(), "each.value"),
            (Resource::Rules, Family::V6) => ("cidr_ipv6", "each.key".to_owned(), "each.value"),
            (Resource::PrefixLists, _) => (
                "prefix_list_id",
                format!("aws_ec2_managed_prefix_list.callbacks_{version}.id"),
                "\"payment callbacks, callgate\"",
            ),
        };
        if self.resource == Resource::Rules {
            text.push_str(&format!("  for_each = local.callbacks_{version}\n\n"));
        }
        let rows = [
            ("security_group_id", self.group()),
            (source, value),
            ("from_port", port.to_string()),
            ("to_port", port.to_string()),
            ("ip_protocol", "\"tcp\"".to_owned()),
            ("description", description.to_owned()),
        ];
        for (key, value) in rows {
            text.push_str(&format!("  {key:17} = {value}\n"));
        }
        text + "}\n"
    }
}

/// The prefixes of one family as a local map, aligned as `terraform fmt` aligns.
fn locals(allowlist: &Allowlist, family: Family) -> String {
    let comments = Comments::new(allowlist, ascii_word);
    let entries = allowlist.family(family);
    let keys: Vec<String> = entries.iter().map(|entry| format!("\"{}\"", entry.prefix)).collect();
    let width = keys.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::with_capacity(entries.len() * 80);
    // Writing into a String can't fail.
    let _ = write!(text, "\nlocals {{\n  callbacks_{} = {{\n", family.as_str());
    for (key, entry) in keys.iter().zip(entries) {
        let comment = comments.of(entry);
        let comment = comment.get(..240).unwrap_or(&comment);
        let _ = writeln!(text, "    {key:width$} = \"callgate {comment}\"");
    }
    text.push_str("  }\n}\n");
    text
}

impl Target for Terraform {
    fn common(&self) -> &Common {
        &self.common
    }

    fn layer(&self) -> LayerKind {
        LayerKind::SecurityGroup
    }

    fn write(&self, allowlist: &Allowlist, templates: &Templates) -> Result<Artifact, RenderError> {
        let consequence = "a security group admits nobody that no rule of it names";
        let header = header(allowlist, TargetKind::Terraform, self.common.mode, consequence);
        let variable = if self.security_group_id.is_some() {
            String::new()
        } else {
            "\nvariable \"security_group_id\" {\n  description = \"The security group that receives the callbacks\"\n  type        = string\n}\n".to_owned()
        };
        let (mut entries, mut resources) = (String::new(), String::new());
        for family in Family::ALL.into_iter().filter(|family| !allowlist.family(*family).is_empty()) {
            let count = allowlist.family(family).len();
            if self.resource == Resource::PrefixLists && count as u64 > u64::from(self.entries_max) {
                return Err(RenderError::Cannot {
                    what: format!(
                        "{count} {family} prefixes do not fit into a prefix list of {}",
                        self.entries_max
                    ),
                    help: "raise `max_entries:`, or set `aggregate: true`".to_owned(),
                });
            }
            entries.push_str(&locals(allowlist, family));
            resources.push_str(&self.resources(allowlist, family));
        }
        let values = vec![
            ("header", header.into()),
            ("variable", variable.into()),
            ("entries", entries.into()),
            ("resources", resources.into()),
        ];
        let text = templates.render(TargetKind::Terraform, "rules", values)?;
        let files = vec![ArtifactFile { path: format!("{}/main.tf", self.common.name), text }];
        Ok(Artifact { files, findings: Vec::new(), quotas: self.quotas(allowlist) })
    }
}
