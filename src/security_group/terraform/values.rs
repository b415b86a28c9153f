//! Attributes of the AWS provider's resources, as far as they matter. What is missing or empty is nothing.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::Deserializer;

use super::json::Entry;

/// Text that is there: providers write both `null` and `""` for nothing.
type Text<'a> = Option<Cow<'a, str>>;

/// `aws_security_group` and `aws_default_security_group`.
#[derive(Deserialize, Default)]
pub(super) struct GroupValues<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) vpc_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) ingress: Option<Vec<Option<RuleValues<'a>>>>,
}

/// A block `ingress` of a group, or an `aws_security_group_rule`.
#[derive(Deserialize, Default)]
pub(super) struct RuleValues<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) way: Text<'a>,
    #[serde(borrow, default)]
    pub(super) security_group_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) security_group_rule_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) protocol: Option<Written<'a>>,
    #[serde(borrow, default)]
    pub(super) from_port: Option<Written<'a>>,
    #[serde(borrow, default)]
    pub(super) to_port: Option<Written<'a>>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) cidr_blocks: Vec<Option<String>>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) ipv6_cidr_blocks: Vec<Option<String>>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) prefix_list_ids: Vec<Option<String>>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) security_groups: Vec<Option<String>>,
    #[serde(borrow, default)]
    pub(super) source_security_group_id: Text<'a>,
    #[serde(rename = "self", default)]
    pub(super) own: Option<bool>,
    #[serde(borrow, default)]
    pub(super) description: Text<'a>,
}

/// `aws_vpc_security_group_ingress_rule`.
#[derive(Deserialize, Default)]
pub(super) struct IngressRuleValues<'a> {
    #[serde(borrow, default)]
    pub(super) security_group_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) security_group_rule_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) ip_protocol: Option<Written<'a>>,
    #[serde(borrow, default)]
    pub(super) from_port: Option<Written<'a>>,
    #[serde(borrow, default)]
    pub(super) to_port: Option<Written<'a>>,
    #[serde(borrow, default)]
    pub(super) cidr_ipv4: Text<'a>,
    #[serde(borrow, default)]
    pub(super) cidr_ipv6: Text<'a>,
    #[serde(borrow, default)]
    pub(super) prefix_list_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) referenced_security_group_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) description: Text<'a>,
}

/// `aws_vpc_security_group_rules_exclusive`.
#[derive(Deserialize, Default)]
pub(super) struct ExclusiveValues<'a> {
    #[serde(borrow, default)]
    pub(super) security_group_id: Text<'a>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) ingress_rule_ids: Vec<Option<String>>,
}

/// `aws_ec2_managed_prefix_list`, and the data sources of lists.
#[derive(Deserialize, Default)]
pub(super) struct ListValues<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) address_family: Text<'a>,
    #[serde(borrow, default)]
    pub(super) max_entries: Option<Written<'a>>,
    /// Blocks of the resource.
    #[serde(borrow, default)]
    pub(super) entry: Option<Vec<Option<ListEntryValues<'a>>>>,
    /// What `data.aws_ec2_managed_prefix_list` found.
    #[serde(borrow, default)]
    pub(super) entries: Option<Vec<Option<ListEntryValues<'a>>>>,
    /// What `data.aws_prefix_list` found.
    #[serde(default, deserialize_with = "texts")]
    pub(super) cidr_blocks: Vec<Option<String>>,
}

/// An entry of a list: a block, or an `aws_ec2_managed_prefix_list_entry`.
#[derive(Deserialize, Default)]
pub(super) struct ListEntryValues<'a> {
    #[serde(borrow, default)]
    pub(super) cidr: Text<'a>,
    #[serde(borrow, default)]
    pub(super) prefix_list_id: Text<'a>,
}

/// Whatever has groups: an interface, an instance, a load balancer.
#[derive(Deserialize, Default)]
pub(super) struct HolderValues<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) primary_network_interface_id: Text<'a>,
    #[serde(default)]
    pub(super) vpc_security_group_ids: Option<Vec<Option<String>>>,
    #[serde(default)]
    pub(super) security_groups: Option<Vec<Option<String>>>,
    #[serde(borrow, default)]
    pub(super) network_interface_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) security_group_id: Text<'a>,
}

/// A number that some write as text, or text that some write as a number.
#[derive(Deserialize, Debug, Clone)]
#[serde(untagged)]
pub(super) enum Written<'a> {
    Number(i64),
    Text(#[serde(borrow)] Cow<'a, str>),
}

impl Written<'_> {
    /// The number, where it is one.
    pub(super) fn number(&self) -> Option<i64> {
        match self {
            Written::Number(number) => Some(*number),
            Written::Text(text) => text.parse().ok(),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text.to_string(),
        }
    }
}

/// A list, which may be `null`, and so may its elements.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Option<String>>, D::Error> {
    Ok(Option::<Vec<Option<String>>>::deserialize(deserializer)?.unwrap_or_default())
}

/// Text that is there.
pub(super) fn told<'t>(text: &'t Text<'_>) -> Option<&'t str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// Reads a resource's attributes; what is wrong with them where they are not as the provider writes them.
pub(super) fn read<'a, T: Deserialize<'a>>(entry: &Entry<'a>) -> Result<T, String> {
    serde_json::from_str(entry.values.get()).map_err(|cause| {
        crate::plain::line(&format!("its attributes are not as the AWS provider writes them: {cause}"))
    })
}
