//! AWS security groups: `--ip-permissions` for the AWS command line, or entries of managed prefix lists.
//!
//! A security group admits nobody that no rule names, so the rules are the same in both modes; whether
//! another rule admits more is for a comparison with what is deployed.

mod apply;

use super::comment::{Comments, ascii_word};
use super::template::Templates;
use super::{Artifact, ArtifactFile, Common, Mode, Quota, RenderError, Target, TargetKind, kind_word};
use crate::admission::LayerKind;
use crate::allowlist::{Allowlist, Entry};
use crate::diagnostic::{Code, Diagnostic};
use crate::holding::aws::MARKER;
use crate::holding::{Holding, Want};
use crate::plain::counted;
use crate::prefix::Family;
use crate::security_group::select::Selection;
use crate::yaml::decode::{At, Decoder, record};
use apply::{Place, RawApply};

/// Inbound rules a group and family by default.
const RULES_MAX: u32 = 60;
/// Rules on all groups of one network interface, which no request raises.
const INTERFACE_RULES_MAX: u32 = 1_000;
/// Entries of a prefix list, which no request raises.
const PREFIX_LIST_MAX: u32 = 1_000;

/// What is said of a rule that names a list.
const LIST_RULE: &str = "callgate payment callbacks";
/// Longest comment behind the marker.
const DESCRIBED_MAX: usize = 245;

kind_word!(Kind, "aws-security-group");

record! {
    /// Rules of an AWS security group.
    pub(crate) struct RawSettings {
        /// `aws-security-group`
        #[schemars(required)]
        kind: required Kind,
        /// `exclusive` where it is left out; the rules are the same in both modes.
        mode: optional Mode,
        /// Whether neighbouring prefixes are joined; `false` where it is left out.
        aggregate: optional bool,
        /// Managed prefix lists in place of a rule a prefix.
        prefix_lists: optional RawPrefixLists,
        /// The account's quota of inbound rules a group; 60 where it is left out.
        rules_max: optional At<u32>,
        /// Groups on one network interface; 5 where it is left out.
        groups: optional At<u32>,
        /// The group that `callgate apply` puts the rules into; they are rendered only where it is left out.
        apply: optional RawApply,
    }
}

record! {
    /// Managed prefix lists, one a family.
    pub(crate) struct RawPrefixLists {
        /// The size that the IPv4 list is made with: it counts in full against the group's quota.
        v4_max_entries: optional At<u32>,
        /// The size that the IPv6 list is made with.
        v6_max_entries: optional At<u32>,
        /// The IPv4 list's id, once it exists.
        v4_id: optional At<String>,
        /// The IPv6 list's id, once it exists.
        v6_id: optional At<String>,
    }
}

/// The AWS security group target.
#[derive(Debug)]
pub(super) struct AwsSecurityGroup {
    common: Common,
    prefix_lists: Option<PrefixLists>,
    rules_max: u32,
    groups: u32,
    place: Option<Place>,
}

#[derive(Debug)]
struct PrefixLists {
    v4: PrefixList,
    v6: PrefixList,
}

#[derive(Debug)]
struct PrefixList {
    entries_max: u32,
    id: Option<String>,
}

impl PrefixLists {
    fn of(&self, family: Family) -> &PrefixList {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

impl AwsSecurityGroup {
    pub(super) fn new(name: String, raw: RawSettings, decoder: &mut Decoder<'_>) -> Self {
        let common = Common::new(name, TargetKind::AwsSecurityGroup, raw.mode, raw.aggregate);
        let prefix_lists = raw.prefix_lists.map(|lists| PrefixLists {
            v4: checked_list(lists.v4_max_entries.as_ref(), lists.v4_id, decoder),
            v6: checked_list(lists.v6_max_entries.as_ref(), lists.v6_id, decoder),
        });
        let rules_max = positive(raw.rules_max.as_ref(), RULES_MAX, INTERFACE_RULES_MAX, decoder);
        let groups = positive(raw.groups.as_ref(), 5, 16, decoder);
        let place = raw.apply.and_then(|apply| Place::new(apply, decoder));
        Self { common, prefix_lists, rules_max, groups, place }
    }

    /// Rules that one group needs for a family, as AWS counts them.
    fn rules(&self, allowlist: &Allowlist, family: Family) -> u64 {
        let ports = allowlist.service.ports.len() as u64;
        let entries = allowlist.family(family).len() as u64;
        match &self.prefix_lists {
            Some(_) if entries == 0 => 0,
            Some(lists) => ports.saturating_mul(u64::from(lists.of(family).entries_max)),
            None => ports.saturating_mul(entries),
        }
    }

    fn quotas(&self, allowlist: &Allowlist) -> Vec<Quota> {
        let mut quotas = Vec::new();
        for family in Family::ALL {
            let entries = allowlist.family(family).len();
            if entries == 0 {
                continue;
            }
            let prefixes = counted(entries, "prefix");
            let mut of = prefixes.clone();
            if let Some(lists) = &self.prefix_lists {
                let most = u64::from(lists.of(family).entries_max);
                let what = format!("{family} entries of the prefix list");
                quotas.push(Quota { what, sum: prefixes, used: entries as u64, most });
                of = format!("a list of {most}");
            }
            quotas.push(Quota {
                what: format!("{family} rules of a group"),
                sum: format!("{} x {of}", counted(allowlist.service.ports.len(), "port")),
                used: self.rules(allowlist, family),
                most: u64::from(self.rules_max),
            });
        }
        quotas
    }

    fn findings(&self, allowlist: &Allowlist) -> Vec<Diagnostic> {
        let mut findings: Vec<Diagnostic> =
            Family::ALL.into_iter().flat_map(|family| self.family_findings(allowlist, family)).collect();
        let on_interface = u64::from(self.rules_max).saturating_mul(u64::from(self.groups));
        if on_interface > u64::from(INTERFACE_RULES_MAX) {
            let (groups, rules) = (self.groups, self.rules_max);
            let message = format!(
                "{groups} groups of {rules} rules make {on_interface}, above an interface's {INTERFACE_RULES_MAX}"
            );
            let help = "set `groups:` to the number of groups on one interface, or lower the rules quota";
            findings.push(self.finding(Code::QuotaInterface, &message).help(help));
        }
        findings
    }

    fn family_findings(&self, allowlist: &Allowlist, family: Family) -> Vec<Diagnostic> {
        let (ports, entries) = (allowlist.service.ports.len(), allowlist.family(family).len());
        let mut findings = Vec::new();
        if let Some(lists) = &self.prefix_lists
            && entries as u64 > u64::from(lists.of(family).entries_max)
        {
            let message = format!(
                "{entries} {family} prefixes do not fit into a list of {}",
                lists.of(family).entries_max
            );
            let help =
                "raise `max_entries` here and with modify-managed-prefix-list, or set `aggregate: true`";
            findings.push(self.finding(Code::QuotaPrefixList, &message).help(help));
        }
        let rules = self.rules(allowlist, family);
        if rules > u64::from(self.rules_max) {
            let each = if self.prefix_lists.is_some() { "the list's size" } else { "prefixes" };
            let message = format!(
                "{rules} {family} rules ({} x {each}) are above the group's {}",
                counted(ports, "port"),
                self.rules_max
            );
            let help = "aggregate, split over groups, or ask AWS for more and set `rules_max:`";
            findings.push(self.finding(Code::QuotaRules, &message).help(help));
        }
        findings
    }

    fn finding(&self, code: Code, message: &str) -> Diagnostic {
        let name = &self.common.name;
        Diagnostic::new(code, format!("target `{name}`: {message}")).about(name.as_str())
    }

    fn permissions(&self, allowlist: &Allowlist, templates: &Templates) -> Result<String, RenderError> {
        let comments = Comments::new(allowlist, ascii_word);
        let mut parts = Vec::new();
        let filled = |family: &Family| !allowlist.family(*family).is_empty();
        match &self.prefix_lists {
            None => {
                for family in Family::ALL.into_iter().filter(filled) {
                    let (key, address) = match family {
                        Family::V4 => ("IpRanges", "CidrIp"),
                        Family::V6 => ("Ipv6Ranges", "CidrIpv6"),
                    };
                    let listed = ranges(allowlist.family(family), address, "Description", &comments);
                    parts.push(format!("    \"{key}\": [\n{listed}\n    ]"));
                }
            }
            Some(lists) => {
                let ids =
                    Family::ALL.into_iter().filter(filled).filter_map(|family| lists.of(family).id.as_ref());
                let line = |id: &String| {
                    format!("      {{ \"PrefixListId\": \"{id}\", \"Description\": \"{LIST_RULE}\" }}")
                };
                let listed: Vec<String> = ids.map(line).collect();
                parts.push(format!("    \"PrefixListIds\": [\n{}\n    ]", listed.join(",\n")));
            }
        }
        let parts = parts.join(",\n");
        let permission = |port: &u16| {
            format!(
                "  {{\n    \"IpProtocol\": \"tcp\",\n    \"FromPort\": {port},\n    \"ToPort\": {port},\n{parts}\n  }}"
            )
        };
        let all: Vec<String> = allowlist.service.ports.iter().map(permission).collect();
        let entries = all.join(",\n") + "\n";
        Ok(templates.render(
            TargetKind::AwsSecurityGroup,
            "permissions",
            vec![("entries", entries.into())],
        )?)
    }

    fn list_entries(
        allowlist: &Allowlist,
        family: Family,
        templates: &Templates,
    ) -> Result<String, RenderError> {
        let comments = Comments::new(allowlist, ascii_word);
        let entries = ranges(allowlist.family(family), "Cidr", "Description", &comments) + "\n";
        let entries = entries.replace("      {", "  {");
        Ok(templates.render(
            TargetKind::AwsSecurityGroup,
            "prefix_list",
            vec![("entries", entries.into())],
        )?)
    }
}

/// JSON objects of address and description, one a line.
fn ranges(entries: &[Entry], address: &str, description: &str, comments: &Comments) -> String {
    let line = |entry: &Entry| {
        let comment = described(&comments.of(entry));
        format!("      {{ \"{address}\": \"{}\", \"{description}\": \"{comment}\" }}", entry.prefix)
    };
    entries.iter().map(line).collect::<Vec<_>>().join(",\n")
}

/// A description of ours.
fn described(comment: &str) -> String {
    // 255 characters are what AWS takes, and the marker is 9; what ascii_word leaves is allowed there and needs no JSON escape.
    format!("{MARKER}{}", comment.get(..DESCRIBED_MAX).unwrap_or(comment))
}

fn positive(given: Option<&At<u32>>, default: u32, max: u32, decoder: &mut Decoder<'_>) -> u32 {
    let Some(given) = given else { return default };
    if given.value == 0 || given.value > max {
        let message = format!("{} is not between 1 and {max}", given.value);
        decoder.fault(Code::InvalidValue, &given.span, message, "write what the AWS account has");
    }
    given.value
}

fn checked_list(
    entries_max: Option<&At<u32>>,
    id: Option<At<String>>,
    decoder: &mut Decoder<'_>,
) -> PrefixList {
    if let Some(id) = &id {
        let digits = id.value.strip_prefix("pl-").unwrap_or("");
        if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = format!("`{}` is no prefix list id", id.value.escape_debug());
            decoder.fault(Code::InvalidValue, &id.span, message, "write `pl-` and its hexadecimal digits");
        }
    }
    PrefixList { entries_max: positive(entries_max, 20, PREFIX_LIST_MAX, decoder), id: id.map(|id| id.value) }
}

impl Target for AwsSecurityGroup {
    fn common(&self) -> &Common {
        &self.common
    }

    fn layer(&self) -> LayerKind {
        LayerKind::SecurityGroup
    }

    fn holdings<'a>(
        &self,
        allowlist: &'a Allowlist,
        _templates: &Templates,
    ) -> Result<Vec<(Holding, Want<'a>)>, RenderError> {
        let Some(place) = &self.place else { return Ok(Vec::new()) };
        let held = place.holdings(self.prefix_lists.as_ref(), &self.common.formed(allowlist))?;
        Ok(held.into_iter().map(|(holding, content)| (holding, content.into())).collect())
    }

    fn security_group(&self) -> Option<Selection> {
        let place = self.place.as_ref()?;
        let groups = vec![place.group.clone()];
        Some(Selection { groups, rules_max: Some(self.rules_max), ..Selection::default() })
    }

    fn write(&self, allowlist: &Allowlist, templates: &Templates) -> Result<Artifact, RenderError> {
        let name = &self.common.name;
        let mut files = Vec::new();
        let filled: Vec<Family> =
            Family::ALL.into_iter().filter(|family| !allowlist.family(*family).is_empty()).collect();
        if let Some(lists) = &self.prefix_lists {
            for family in &filled {
                let text = Self::list_entries(allowlist, *family, templates)?;
                files.push(ArtifactFile { path: format!("{name}.{}.entries.json", family.as_str()), text });
            }
            // The group can only name lists that exist: until their ids are in the site, there is no rule file.
            if filled.iter().all(|family| lists.of(*family).id.is_some()) {
                let text = self.permissions(allowlist, templates)?;
                files.push(ArtifactFile { path: format!("{name}.json"), text });
            }
        } else {
            files.push(ArtifactFile {
                path: format!("{name}.json"),
                text: self.permissions(allowlist, templates)?,
            });
        }
        Ok(Artifact { files, findings: self.findings(allowlist), quotas: self.quotas(allowlist) })
    }
}
