//! The matches of iptables-extensions(8), each from its options. A match that is not here, or an option that is
//! not, is a condition that nobody can decide.

use std::sync::Arc;

use super::super::address::{Address, masked, number, port, ports, spans};
use super::super::{Direction, Field, Lookup, Match, SetRef, Span, Spans, TableFamily, Test, Values};
use super::option::Opt;
use super::outcome::Out;
use super::{conntrack, short, time};

/// A match by what it is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Module {
    Tcp,
    Multiport,
    Set,
    Conntrack,
    Iprange,
    Addrtype,
    Mark,
    Connmark,
    Pkttype,
    Time,
    /// Holds always: a comment, a counter.
    Always,
    /// Of another protocol.
    Never,
    /// Not modelled.
    Opaque,
}

impl Module {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "tcp" => Module::Tcp,
            "multiport" | "mport" => Module::Multiport,
            "set" => Module::Set,
            "conntrack" | "state" => Module::Conntrack,
            "iprange" => Module::Iprange,
            "addrtype" => Module::Addrtype,
            "mark" => Module::Mark,
            "connmark" => Module::Connmark,
            "pkttype" => Module::Pkttype,
            "time" => Module::Time,
            "comment" | "nfacct" => Module::Always,
            // Other protocols; and extension headers, which a plain caller does not send.
            "udp" | "udplite" | "icmp" | "icmp6" | "icmpv6" | "ipv6-icmp" | "sctp" | "dccp" | "rt"
            | "frag" | "dst" | "hbh" | "ipv6header" | "ah" | "esp" | "mh" => Module::Never,
            _ => Module::Opaque,
        }
    }

    /// Whether it has such an option. One that is not modelled may have any.
    pub(super) fn claims(self, name: &str) -> bool {
        match self {
            Module::Tcp => matches!(
                name,
                "--dport"
                    | "--sport"
                    | "--destination-port"
                    | "--source-port"
                    | "--tcp-flags"
                    | "--syn"
                    | "--tcp-option"
            ),
            Module::Multiport => matches!(
                name,
                "--dports"
                    | "--sports"
                    | "--ports"
                    | "--destination-ports"
                    | "--source-ports"
                    | "--destination-port"
                    | "--source-port"
                    | "--port"
            ),
            Module::Set => {
                let own = ["--match-set", "--set", "--return-nomatch"].contains(&name);
                own || ["--update-", "--packets-", "--bytes-"].iter().any(|start| name.starts_with(start))
            }
            Module::Conntrack => name.starts_with("--ct") || name == "--state",
            Module::Iprange => matches!(name, "--src-range" | "--dst-range"),
            Module::Addrtype => name.ends_with("-type") || name.starts_with("--limit-iface"),
            Module::Mark | Module::Connmark => name == "--mark",
            Module::Pkttype => name == "--pkt-type",
            Module::Time => time::claims(name),
            Module::Always => matches!(name, "--comment" | "--nfacct-name"),
            Module::Never | Module::Opaque => true,
        }
    }
}

/// Adds the conditions of one match.
pub(super) fn read<'a>(
    module: Module,
    name: &str,
    options: impl Iterator<Item = Opt<'a>>,
    (family, out): (TableFamily, &mut Out),
) {
    match module {
        Module::Tcp => options.for_each(|option| out.condition(condition(option, tcp(option)))),
        Module::Multiport => options.for_each(|option| out.condition(condition(option, multiport(option)))),
        Module::Set => set(options, out),
        Module::Conntrack => conntrack::read(options, (family, out)),
        Module::Iprange => options.for_each(|option| {
            let test = match family {
                TableFamily::Ip6 => range::<u128>(option),
                _ => range::<u32>(option),
            };
            out.condition(condition(option, test));
        }),
        Module::Addrtype => addrtype(options, out),
        Module::Mark => {
            options.for_each(|option| out.condition(condition(option, mark(Field::Mark, option))));
        }
        Module::Connmark => {
            options.for_each(|option| out.condition(condition(option, mark(Field::ConnMark, option))));
        }
        Module::Pkttype => options.for_each(|option| out.condition(condition(option, pkttype(option)))),
        Module::Time => time::read(options, out),
        Module::Always => (),
        Module::Never => out.test(Test::Constant(false)),
        Module::Opaque => out.unknown(opaque(name)),
    }
}

/// Why a match that is not modelled can't be decided.
fn opaque(name: &str) -> String {
    let name = short(name);
    match name.as_str() {
        "limit" | "hashlimit" | "connlimit" | "quota" | "connbytes" | "rateest" => {
            format!("match `{name}`: it depends on how much came before")
        }
        "recent" => "match `recent`: it depends on who came before".to_owned(),
        "statistic" => "match `statistic`: it depends on chance".to_owned(),
        "string" | "u32" | "bpf" | "length" | "ttl" | "hl" | "dscp" | "tos" | "ecn" | "tcpmss" | "mac"
        | "osf" => {
            format!("match `{name}`: it depends on the packet's content")
        }
        "geoip" | "asn" => format!("match `{name}`: its database is not here"),
        option if option.starts_with("--") => format!("option `{option}`"),
        _ => format!("match `{name}`"),
    }
}

/// An option's test with its `!`.
pub(super) fn condition(option: Opt<'_>, test: Test) -> Match {
    Match { negated: option.negated, test }
}

/// A condition that nobody can decide, with the option that it is from.
pub(super) fn undecided(option: Opt<'_>) -> Test {
    let value = option.first.map(|word| format!(" {}", word.raw)).unwrap_or_default();
    Test::Unknown(Arc::from(format!("option `{}`", short(&format!("{}{value}", option.name)))))
}

/// Numbers, or undecided.
pub(super) fn numbers(field: Field, option: Opt<'_>, read: Option<Vec<Span<u32>>>) -> Test {
    match read.and_then(spans) {
        Some(spans) => Test::Is(field, Values::Numbers(spans)),
        None => undecided(option),
    }
}

/// Ports, or undecided; all of them is no condition.
pub(super) fn port_range(field: Field, option: Opt<'_>) -> Test {
    match ports(option.value(), ':').filter(|_| !option.value().is_empty()) {
        Some((0, 65_535)) => Test::Constant(true),
        Some(span) => Test::Is(field, Values::Numbers(Spans::One(span))),
        None => undecided(option),
    }
}

fn tcp(option: Opt<'_>) -> Test {
    match option.name {
        "--dport" | "--destination-port" => port_range(Field::DestinationPort, option),
        "--sport" | "--source-port" => port_range(Field::SourcePort, option),
        "--syn" if option.count == 0 => tcp_flags(0x17, 0x02),
        "--tcp-flags" => {
            let (mask, set) = option.values();
            match (flags(mask), flags(set)) {
                (Some(mask), Some(set)) => tcp_flags(mask, set),
                _ => undecided(option),
            }
        }
        _ => undecided(option),
    }
}

fn tcp_flags(mask: u32, set: u32) -> Test {
    Test::Is(Field::TcpFlags, Values::Masked { mask, values: Spans::One((set, set)) })
}

fn flags(text: &str) -> Option<u32> {
    text.split(',').try_fold(0, |all, name| {
        let flag = match name.to_ascii_uppercase().as_str() {
            "FIN" => 0x01,
            "SYN" => 0x02,
            "RST" => 0x04,
            "PSH" => 0x08,
            "ACK" => 0x10,
            "URG" => 0x20,
            "ALL" => 0x3f,
            "NONE" => 0,
            _ => return None,
        };
        Some(all | flag)
    })
}

fn multiport(option: Opt<'_>) -> Test {
    let one = |text: &str| match text.split_once(':') {
        Some((first, last)) => Some((port(first)?, port(last)?)).filter(|(first, last)| first <= last),
        None => port(text).map(|port| (port, port)),
    };
    let read: Option<Vec<Span<u32>>> = option.value().split(',').map(one).collect();
    match option.name {
        "--dports" | "--destination-ports" | "--destination-port" => {
            numbers(Field::DestinationPort, option, read)
        }
        "--sports" | "--source-ports" | "--source-port" => numbers(Field::SourcePort, option, read),
        _ if read.is_none() => undecided(option),
        _ => {
            let end = |field| vec![Match { negated: false, test: numbers(field, option, read.clone()) }];
            Test::Any(vec![end(Field::SourcePort), end(Field::DestinationPort)])
        }
    }
}

/// A set's name and directions.
pub(super) fn set_ref(option: Opt<'_>) -> Option<SetRef> {
    let (name, directions) = option.values();
    let directions: Option<Box<[Direction]>> = directions
        .split(',')
        .map(|direction| match direction {
            "src" => Some(Direction::Source),
            "dst" => Some(Direction::Destination),
            _ => None,
        })
        .collect();
    Some(SetRef::Ipset { name: Arc::from(name), directions: directions? })
}

fn set<'a>(options: impl Iterator<Item = Opt<'a>>, out: &mut Out) {
    let (mut lookup, mut holes, mut counters) = (None, None, None);
    for option in options {
        match option.name {
            "--match-set" | "--set" => lookup = Some(option),
            "--return-nomatch" => holes = Some(option),
            // Counters of elements are kept, or not: nobody sees it here.
            name if name.starts_with("--update-") => (),
            _ => counters = Some(option),
        }
    }
    let Some(option) = lookup else { return out.unknown("match `set` without a set".to_owned()) };
    let test = match (set_ref(option), holes) {
        (Some(set), None) => Test::In(Box::new(Lookup { fields: Vec::new(), set })),
        (Some(_), Some(holes)) => return out.test(undecided(holes)),
        (None, _) => undecided(option),
    };
    let Some(counters) = counters else { return out.condition(condition(option, test)) };
    // With a counter's bound it matches fewer, so that its negation matches more.
    if !option.negated {
        out.test(test);
    }
    out.test(undecided(counters));
}

fn range<A: Address>(option: Opt<'_>) -> Test {
    let text = option.value();
    let field = if option.name == "--src-range" { Field::Source } else { Field::Destination };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (A::parse(first), A::parse(last)) {
        (Some(first), Some(last)) if first <= last => Test::Is(field, A::values(Spans::One((first, last)))),
        _ => undecided(option),
    }
}

/// An address under a mask, or undecided.
pub(super) fn address(field: Field, option: Opt<'_>, family: TableFamily) -> Test {
    let values = match family {
        TableFamily::Ip6 => masked::<u128>(option.value()).map(Values::V6),
        _ => masked::<u32>(option.value()).map(Values::V4),
    };
    values.map_or_else(|| undecided(option), |values| Test::Is(field, values))
}

fn addrtype<'a>(options: impl Iterator<Item = Opt<'a>>, out: &mut Out) {
    let (mut types, mut on_interface) = ([None, None], None);
    for option in options {
        let [source, destination] = &mut types;
        match option.name {
            "--src-type" => *source = Some(option),
            "--dst-type" => *destination = Some(option),
            _ => on_interface = Some(option),
        }
    }
    if let Some(option) = on_interface {
        return out.test(undecided(option));
    }
    for option in types.into_iter().flatten() {
        let read: Option<Vec<Span<u32>>> = option.value().split(',').map(address_type).collect();
        let field = if option.name == "--src-type" { Field::SourceType } else { Field::DestinationType };
        out.condition(condition(option, numbers(field, option, read)));
    }
}

/// `RTN_*` of linux/rtnetlink.h.
fn address_type(name: &str) -> Option<Span<u32>> {
    let names = [
        "UNSPEC",
        "UNICAST",
        "LOCAL",
        "BROADCAST",
        "ANYCAST",
        "MULTICAST",
        "BLACKHOLE",
        "UNREACHABLE",
        "PROHIBIT",
        "THROW",
        "NAT",
        "XRESOLVE",
    ];
    let at = names.iter().position(|known| known.eq_ignore_ascii_case(name))?;
    u32::try_from(at).ok().map(|number| (number, number))
}

/// `value` or `value/mask`.
pub(super) fn value_and_mask(text: &str) -> Option<(u32, u32)> {
    match text.split_once('/') {
        Some((value, mask)) => Some((number(value)?, number(mask)?)),
        None => number(text).map(|value| (value, u32::MAX)),
    }
}

fn mark(field: Field, option: Opt<'_>) -> Test {
    match value_and_mask(option.value()) {
        Some((value, u32::MAX)) => Test::Is(field, Values::Numbers(Spans::One((value, value)))),
        Some((value, mask)) => Test::Is(field, Values::Masked { mask, values: Spans::One((value, value)) }),
        None => undecided(option),
    }
}

fn pkttype(option: Opt<'_>) -> Test {
    let number = match option.value().to_ascii_lowercase().as_str() {
        "unicast" | "host" => 0,
        "broadcast" | "bcast" => 1,
        "multicast" | "mcast" => 2,
        _ => return undecided(option),
    };
    Test::Is(Field::PacketType, Values::Numbers(Spans::One((number, number))))
}
