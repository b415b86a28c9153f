//! `apply:` of the target: the group that its rules are put into, and what should be in it.

use super::super::RenderError;
use super::super::comment::{Comments, ascii_word};
use super::{LIST_RULE, PrefixList, PrefixLists, described};
use crate::allowlist::{Allowlist, Entry};
use crate::diagnostic::Code;
use crate::holding::aws::group::Wanted;
use crate::holding::aws::list::{self, Head};
use crate::holding::aws::{Account, Whom, group};
use crate::holding::{Content, Holding};
use crate::prefix::Family;
use crate::yaml::decode::{At, Decoder, record};

record! {
    /// The group that rules are put into.
    pub(crate) struct RawApply {
        /// The group's id.
        #[schemars(required)]
        group: required At<String>,
        /// Its region; what the environment says where it is left out.
        region: optional At<String>,
        /// The profile of the AWS command line; what the environment says where it is left out.
        profile: optional At<String>,
    }
}

/// The group that rules are put into.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) group: String,
    account: Account,
}

impl Place {
    pub(super) fn new(raw: RawApply, decoder: &mut Decoder<'_>) -> Option<Self> {
        let group = raw.group?;
        let digits = group.value.strip_prefix("sg-").unwrap_or("");
        if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = format!("`{}` is no security group id", group.value.escape_debug());
            decoder.fault(Code::InvalidValue, &group.span, message, "write `sg-` and its hexadecimal digits");
        }
        let mut word = |given: Option<At<String>>, what: &str| {
            let given = given?;
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/@+ ".contains(c);
            if given.value.is_empty() || given.value.len() > 128 || !given.value.chars().all(is_plain) {
                let message = format!("`{}` is no {what} of AWS", given.value.escape_debug());
                decoder.fault(
                    Code::InvalidValue,
                    &given.span,
                    message,
                    "write it as `aws configure list` shows it",
                );
            }
            Some(given.value)
        };
        let account = Account { region: word(raw.region, "region"), profile: word(raw.profile, "profile") };
        Some(Self { group: group.value, account })
    }

    /// What should be in the group, and in the lists that it names; the lists come first.
    pub(super) fn holdings(
        &self,
        lists: Option<&PrefixLists>,
        allowlist: &Allowlist,
    ) -> Result<Vec<(Holding, Content)>, RenderError> {
        let comments = Comments::new(allowlist, ascii_word);
        let Some(lists) = lists else {
            return Ok(vec![(self.group(), group::content(rules(allowlist, &comments)))]);
        };
        let mut held = Vec::new();
        let mut named = Vec::new();
        for family in Family::ALL {
            let (list, entries) = (lists.of(family), allowlist.family(family));
            let id = match &list.id {
                Some(id) => id,
                None if entries.is_empty() => continue,
                None => return Err(unnamed(family)),
            };
            let text = entries.iter().map(|entry| (entry.prefix, described(&comments.of(entry))));
            held.push((self.list(id), list::content(wanted_head(list), text)));
            if !entries.is_empty() {
                named.push(id.clone());
            }
        }
        let rules = allowlist.service.ports.iter().flat_map(|port| {
            named.iter().map(|id| Wanted {
                port: *port,
                whom: Whom::List(id.clone()),
                description: LIST_RULE.to_owned(),
            })
        });
        held.push((self.group(), group::content(rules)));
        Ok(held)
    }

    fn group(&self) -> Holding {
        Holding::AwsGroup { group: self.group.clone(), account: self.account.clone() }
    }

    fn list(&self, id: &str) -> Holding {
        Holding::AwsPrefixList { list: id.to_owned(), account: self.account.clone() }
    }
}

/// A rule for each port and prefix.
fn rules(allowlist: &Allowlist, comments: &Comments) -> Vec<Wanted> {
    let rule = |(port, entry): (u16, &Entry)| Wanted {
        port,
        whom: Whom::Prefix(entry.prefix),
        description: described(&comments.of(entry)),
    };
    let ports = allowlist.service.ports.iter();
    ports.flat_map(|port| allowlist.entries().iter().map(|entry| (*port, entry))).map(rule).collect()
}

fn wanted_head(list: &PrefixList) -> Head {
    Head { version: None, max_entries: list.entries_max }
}

fn unnamed(family: Family) -> RenderError {
    let key = match family {
        Family::V4 => "v4_id",
        Family::V6 => "v6_id",
    };
    RenderError::Cannot {
        what: format!("there are {family} prefixes, and `prefix_lists` names no list for them"),
        help: format!(
            "make one with `aws ec2 create-managed-prefix-list`, as docs/targets/aws-security-group.md tells, and put its \
             id into the site as `{key}`"
        ),
    }
}
