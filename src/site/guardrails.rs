//! `guardrails:` of the site file: what a change must not do unless somebody says so for that very change.

use std::net::IpAddr;
use std::ops::Range;

use super::interface;
use crate::diagnostic::Code;
use crate::policy::validate::prefix_fault;
use crate::prefix::{Family, Prefix, PrefixSet, Space, special_space};
use crate::yaml::decode::{At, Decode, Decoder, record};
use crate::yaml::{Node, Value};

/// Flows of one site.
const FLOWS_MAX: usize = 64;
/// The interface of what a host calls itself.
pub const LOOPBACK: &str = "lo";

record! {
    /// What a change must not do unless somebody says so for that very change.
    pub struct RawGuardrails {
        /// How many deployed prefixes one change may take away; 10 where it is left out.
        removals_max: optional u32,
        /// How many percent of them, looked at where at least 4 are deployed; 50 where it is left out.
        #[schemars(extend("maximum" = 100))]
        removals_share: optional At<u32>,
        /// Connections that no change may cut, such as SSH from the office.
        #[schemars(default)]
        must_stay_open: list RawFlow,
    }
}

record! {
    /// Connections that no change may cut.
    pub struct RawFlow {
        /// The prefix, or the prefixes, that they come from.
        #[schemars(required)]
        from: required RawFrom,
        /// The port that they call.
        #[schemars(required, extend("minimum" = 1))]
        port: required At<u16>,
        /// The network interface at which they arrive; any but `lo` where it is left out.
        interface: optional At<String>,
        /// The address at which they arrive; any where it is left out.
        address: optional At<String>,
        /// What they are for.
        why: optional String,
    }
}

/// A prefix, or a list of them.
#[derive(Debug, Clone)]
pub struct RawFrom(pub Vec<At<String>>, Range<usize>);

impl Decode for RawFrom {
    fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let listed = match &node.value {
            Value::Sequence(_) => Vec::decode(node, decoder)?,
            Value::Scalar(..) | Value::Mapping(..) => vec![At::decode(node, decoder)?],
        };
        Some(Self(listed, node.span.clone()))
    }
}

impl schemars::JsonSchema for RawFrom {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "From".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let list = schemars::json_schema!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, list] })
    }
}

/// What a change must not do unless somebody says so for that very change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guardrails {
    /// How much may be taken away.
    pub removals: Removals,
    /// Connections that must not be cut, in the order of the file.
    pub must_stay_open: Vec<Flow>,
}

/// How much one change may take away of what is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removals {
    /// How many prefixes.
    pub most: u32,
    /// Which share of them.
    pub share: Percentage,
}

impl Default for Removals {
    fn default() -> Self {
        Self { most: 10, share: Percentage(50) }
    }
}

/// A share in percent: 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentage(u8);

impl Percentage {
    /// `None` above 100.
    pub fn new(percent: u32) -> Option<Self> {
        u8::try_from(percent).ok().filter(|percent| *percent <= 100).map(Self)
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl std::fmt::Display for Percentage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// Connections that must not be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Where they come from: at least one address, of the family of `address` where there is one.
    pub from: PrefixSet,
    /// The port that they call, before any translation.
    pub port: u16,
    /// The interface; any but the loopback where it is not named.
    pub interface: Option<String>,
    /// The address that they call.
    pub address: Option<IpAddr>,
    /// What they are for, free text.
    pub why: Option<String>,
    /// Its place in the site's text.
    pub place: Range<usize>,
}

/// Checks the guardrails of a site.
pub(super) fn checked(raw: Option<RawGuardrails>, decoder: &mut Decoder<'_>) -> Guardrails {
    let mut all = Guardrails::default();
    let Some(raw) = raw else { return all };
    all.removals.most = raw.removals_max.unwrap_or(all.removals.most);
    if let Some(share) = &raw.removals_share {
        match Percentage::new(share.value) {
            Some(percentage) => all.removals.share = percentage,
            None => decoder.fault(
                Code::InvalidValue,
                &share.span,
                format!("a share of {} percent", share.value),
                "write a number from 0 to 100",
            ),
        }
    }
    if let Some(first) = raw.must_stay_open.get(FLOWS_MAX) {
        let message = format!("more than {FLOWS_MAX} connections that must stay open");
        decoder.fault(
            Code::InvalidValue,
            &first.span,
            message,
            "join those of one port: `from` takes a list of prefixes",
        );
    }
    all.must_stay_open =
        raw.must_stay_open.into_iter().take(FLOWS_MAX).filter_map(|raw| flow(raw, decoder)).collect();
    all
}

/// One flow; every fault of it is told.
fn flow(raw: RawFlow, decoder: &mut Decoder<'_>) -> Option<Flow> {
    let port = raw.port.and_then(|port| {
        if port.value == 0 {
            decoder.fault(
                Code::InvalidValue,
                &port.span,
                "port 0 is never called".to_owned(),
                "name the port that is called, such as 22",
            );
        }
        (port.value != 0).then_some(port.value)
    });
    let named = raw.interface.as_ref();
    let interface = named.and_then(|name| interface(name, decoder));
    let address = raw.address.as_ref().map(|text| address(text, decoder));
    let from = raw.from.and_then(|from| prefixes(&from, named, decoder));
    let (Some(from), Some(port)) = (from, port) else { return None };
    // A fault of the address has been told; without it the flow would be wider than what is written.
    let address = match address {
        None => None,
        Some(found) => Some(found?),
    };
    if named.is_some() && interface.is_none() {
        return None;
    }
    let from = match address {
        None => from,
        Some(address) => from.only(if address.is_ipv4() { Family::V4 } else { Family::V6 }),
    };
    if from.is_empty() {
        let message = "nobody of the one family calls an address of the other".to_owned();
        decoder.fault(Code::InvalidValue, &raw.span, message, "give `from` and `address` of one family");
        return None;
    }
    Some(Flow { from, port, interface, address, why: raw.why, place: raw.span })
}

fn address(text: &At<String>, decoder: &mut Decoder<'_>) -> Option<IpAddr> {
    let address = text.value.parse::<IpAddr>().ok();
    if address.is_none() {
        let message = format!("`{}` is not an address", text.value.escape_debug());
        decoder.fault(Code::NotAPrefix, &text.span, message, "write the one address that is called");
    }
    address
}

/// Where callers come from: any prefix, of private networks too; `None` where one is wrong.
fn prefixes(from: &RawFrom, interface: Option<&At<String>>, decoder: &mut Decoder<'_>) -> Option<PrefixSet> {
    let RawFrom(listed, place) = from;
    if listed.is_empty() {
        decoder.fault(
            Code::InvalidValue,
            place,
            "connections that come from nowhere".to_owned(),
            "name a prefix, such as the office's",
        );
        return None;
    }
    let mut found = Vec::with_capacity(listed.len());
    for text in listed {
        match text.value.parse::<Prefix>() {
            Ok(prefix) => {
                nobodys(&prefix, text, interface, decoder);
                found.push(prefix);
            }
            Err(error) => decoder.sink.push(prefix_fault(&error).at(decoder.source, text.span.clone(), "")),
        }
    }
    (found.len() == listed.len()).then(|| found.into_iter().collect())
}

/// Tells of addresses that no connection comes from: a flow from there would never be looked at.
fn nobodys(prefix: &Prefix, text: &At<String>, interface: Option<&At<String>>, decoder: &mut Decoder<'_>) {
    let Some((block, space)) = special_space(prefix) else { return };
    let shown = prefix.short();
    let (code, message, help) = match space {
        Space::Loopback if interface.is_some_and(|interface| interface.value == LOOPBACK) => return,
        Space::Loopback => (
            Code::LoopbackAddress,
            format!("only the host itself calls from `{shown}`"),
            "add `interface: lo`",
        ),
        Space::Unspecified => (
            Code::UnspecifiedAddress,
            format!("nobody calls from `{shown}`"),
            "for everybody, write `0.0.0.0/0`",
        ),
        Space::Multicast => {
            (Code::MulticastAddress, format!("nobody calls from `{shown}`"), "name who calls, not a group")
        }
        Space::Private | Space::LinkLocal | Space::Documentation | Space::Reserved => return,
    };
    // A wider prefix, such as everybody, has callers besides.
    if block.covers(prefix) {
        decoder.fault(code, &text.span, message, help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Diagnostics, SourceText};

    fn read(text: &str) -> (Guardrails, Vec<String>) {
        let source = SourceText::new("callgate.yaml", text.to_owned());
        let mut sink = Diagnostics::new();
        let node = crate::yaml::parse(&source, &mut sink).unwrap();
        let mut decoder = Decoder::new(&source, &mut sink);
        let raw = RawGuardrails::decode(&node, &mut decoder);
        let all = checked(raw, &mut decoder);
        let told = sink.iter().map(|one| {
            let (_, line, column) = one.place().unwrap();
            format!("{line}:{column} {} {}", one.code, one.message)
        });
        (all, told.collect())
    }

    #[test]
    fn what_is_left_out_has_its_usual_value() {
        let (all, told) = read("{}");
        assert_eq!((all, told), (Guardrails::default(), Vec::new()));
        assert_eq!(Removals::default(), Removals { most: 10, share: Percentage(50) });
    }

    #[test]
    fn everything_that_is_written_is_read() {
        let (all, told) = read(
            "removals_max: 0\nremovals_share: 100\nmust_stay_open:\n- { from: 10.0.0.0/8, port: 22 }\n\
             - { from: [192.0.2.1, \"2001:db8::/32\"], port: 9100, interface: eth1, address: 192.0.2.9, why: graphs }\n\
             - { from: \"::1\", port: 80, interface: lo }\n",
        );
        assert_eq!(told, Vec::<String>::new());
        assert_eq!(all.removals, Removals { most: 0, share: Percentage(100) });
        let [ssh, graphs, own] = all.must_stay_open.as_slice() else { panic!("{all:?}") };
        assert_eq!((ssh.from.to_prefixes(), ssh.port), (vec!["10.0.0.0/8".parse().unwrap()], 22));
        // Nobody calls an IPv4 address from an IPv6 one.
        assert_eq!(graphs.from.to_prefixes(), vec!["192.0.2.1".parse().unwrap()]);
        assert_eq!((graphs.interface.as_deref(), graphs.why.as_deref()), (Some("eth1"), Some("graphs")));
        assert_eq!(graphs.address, "192.0.2.9".parse().ok());
        assert_eq!(own.interface.as_deref(), Some("lo"));
    }

    #[test]
    fn every_fault_is_told_at_its_place() {
        let (all, told) = read(
            "removals_share: 101\nmust_stay_open:\n- { from: 10.0.0.1/8, port: 0 }\n- { from: [], port: 22 }\n\
             - { from: 192.0.2.1, port: 22, address: \"2001:db8::1\" }\n- { from: ::1, port: 22 }\n\
             - { from: office.example.com, port: 22, interface: \"eth*\", address: here }\n\
             - { from: [0.0.0.0, \"ff02::1\", 0.0.0.0/0], port: 80 }\n",
        );
        assert_eq!(
            told,
            [
                "1:17 invalid-value a share of 101 percent",
                "3:29 invalid-value port 0 is never called",
                "3:11 host-bits prefix `10.0.0.1/8` has host bits set",
                "4:11 invalid-value connections that come from nowhere",
                "5:3 invalid-value nobody of the one family calls an address of the other",
                "6:11 loopback-address only the host itself calls from `::1`",
                "7:52 invalid-value `eth*` is no interface name",
                "7:69 not-a-prefix `here` is not an address",
                "7:11 host-name `office.example.com` is a host name, not an address",
                "8:12 unspecified-address nobody calls from `0.0.0.0`",
                "8:21 multicast-address nobody calls from `ff02::1`",
            ]
        );
        assert_eq!(all.must_stay_open.len(), 2);
    }

    #[test]
    fn flows_are_bounded() {
        let flows = "- { from: 10.0.0.0/8, port: 22 }\n".repeat(FLOWS_MAX + 1);
        let (all, told) = read(&format!("must_stay_open:\n{flows}"));
        assert_eq!(told, ["66:3 invalid-value more than 64 connections that must stay open"]);
        assert_eq!(all.must_stay_open.len(), FLOWS_MAX);
    }
}
