//! Which field of the model a selector is, and what nft checks before it without printing it.

use std::sync::Arc;

use super::values::Kind;
use super::{Direction, Expr, Select};
use crate::netfilter::{Field, TableFamily};

/// What a selector means for the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// A field, whose values look like this.
    Field(Field, Kind),
    /// No TCP packet has it: the dependency fails, whatever is compared.
    Never,
    /// Not modelled.
    Unknown,
}

/// A selector with its dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looked {
    /// The family that packets must be of; 2 or 10.
    pub(super) family: Option<u32>,
    pub(super) subject: Subject,
}

/// IPv4's `NFPROTO`.
pub(super) const V4: u32 = 2;
/// IPv6's.
pub(super) const V6: u32 = 10;

/// What a selector is in a table of this family.
pub(super) fn looked(select: &Select<'_>, table: TableFamily) -> Looked {
    let found = meaning(select);
    let own = match table {
        TableFamily::Ip => Some(V4),
        TableFamily::Ip6 => Some(V6),
        TableFamily::Inet | TableFamily::Netdev | TableFamily::Bridge | TableFamily::Arp => None,
    };
    match (found.family, own) {
        // What the table sees already needs no test.
        (Some(wanted), Some(own)) if wanted == own => Looked { family: None, ..found },
        (Some(_), Some(_)) => Looked { family: None, subject: Subject::Never },
        _ => found,
    }
}

fn field(field: Field, kind: Kind) -> Looked {
    Looked { family: None, subject: Subject::Field(field, kind) }
}

fn unknown() -> Looked {
    Looked { family: None, subject: Subject::Unknown }
}

fn of_family(family: u32, subject: Subject) -> Looked {
    Looked { family: Some(family), subject }
}

fn meaning(select: &Select<'_>) -> Looked {
    let key = select.key.as_ref();
    match select.base.as_ref() {
        "ip" => of_family(
            V4,
            match key {
                "saddr" => Subject::Field(Field::Source, Kind::V4),
                "daddr" => Subject::Field(Field::Destination, Kind::V4),
                "protocol" => Subject::Field(Field::Protocol, Kind::Protocol),
                "frag-off" => Subject::Field(Field::Fragment, Kind::Mark),
                _ => Subject::Unknown,
            },
        ),
        "ip6" => of_family(
            V6,
            match key {
                "saddr" => Subject::Field(Field::Source, Kind::V6),
                "daddr" => Subject::Field(Field::Destination, Kind::V6),
                "nexthdr" => Subject::Field(Field::Protocol, Kind::Protocol),
                _ => Subject::Unknown,
            },
        ),
        "tcp" | "th" => match key {
            "sport" => field(Field::SourcePort, Kind::Port),
            "dport" => field(Field::DestinationPort, Kind::Port),
            "flags" => field(Field::TcpFlags, Kind::TcpFlags),
            _ => unknown(),
        },
        "meta" => meta(key),
        "ct" => connection(key, select.direction),
        "fib" => match key {
            "daddr type" => field(Field::DestinationType, Kind::RouteType),
            "saddr type" => field(Field::SourceType, Kind::RouteType),
            _ => unknown(),
        },
        "ether" if key == "type" => field(Field::Family, Kind::EtherType),
        "@" => match key {
            "th,0,16" => field(Field::SourcePort, Kind::Port),
            "th,16,16" => field(Field::DestinationPort, Kind::Port),
            _ => unknown(),
        },
        // A plain caller sends no extension headers. The other keys of `rt` are about routing.
        "rt" if matches!(key, "nexthop" | "classid" | "mtu" | "ipsec") => unknown(),
        "rt" | "frag" | "hbh" | "dst" | "mh" | "srh" => Looked { family: Some(V6), subject: Subject::Never },
        "udp" | "udplite" | "icmp" | "icmpv6" | "igmp" | "sctp" | "dccp" | "esp" | "ah" | "comp" | "arp"
        | "gre" | "gretap" | "geneve" | "vxlan" => Looked { family: None, subject: Subject::Never },
        _ => unknown(),
    }
}

fn meta(key: &str) -> Looked {
    match key {
        "iifname" | "iif" => field(Field::InInterface, Kind::Name),
        "oifname" | "oif" => field(Field::OutInterface, Kind::Name),
        "mark" => field(Field::Mark, Kind::Mark),
        "nfproto" => field(Field::Family, Kind::Family),
        "protocol" => field(Field::Family, Kind::EtherType),
        "l4proto" => field(Field::Protocol, Kind::Protocol),
        "pkttype" => field(Field::PacketType, Kind::PacketType),
        "hour" => field(Field::SecondOfDay, Kind::Hour),
        "day" => field(Field::Weekday, Kind::Weekday),
        "time" => field(Field::Time, Kind::Time),
        _ => unknown(),
    }
}

fn connection(key: &str, direction: Option<Direction>) -> Looked {
    let (family, key) = match key.split_once(' ') {
        Some(("ip", key)) => (Some(V4), key),
        Some(("ip6", key)) => (Some(V6), key),
        _ => (None, key),
    };
    let addresses = match family {
        Some(V4) => Kind::V4,
        Some(_) => Kind::V6,
        None => Kind::Address,
    };
    let subject = match (key, direction) {
        ("state", None) => Subject::Field(Field::CtState, Kind::CtState),
        ("status", None) => Subject::Field(Field::CtStatus, Kind::CtStatus),
        ("direction", None) => Subject::Field(Field::CtDirection, Kind::CtDirection),
        ("mark", None) => Subject::Field(Field::ConnMark, Kind::Mark),
        ("l3proto", _) => Subject::Field(Field::Family, Kind::Family),
        ("protocol", _) => Subject::Field(Field::Protocol, Kind::Protocol),
        ("saddr", Some(Direction::Original)) => Subject::Field(Field::OriginalSource, addresses),
        ("daddr", Some(Direction::Original)) => Subject::Field(Field::OriginalDestination, addresses),
        ("saddr", Some(Direction::Reply)) => Subject::Field(Field::ReplySource, addresses),
        ("daddr", Some(Direction::Reply)) => Subject::Field(Field::ReplyDestination, addresses),
        ("proto-src", Some(Direction::Original)) => Subject::Field(Field::OriginalSourcePort, Kind::Port),
        ("proto-dst", Some(Direction::Original)) => {
            Subject::Field(Field::OriginalDestinationPort, Kind::Port)
        }
        ("proto-src", Some(Direction::Reply)) => Subject::Field(Field::ReplySourcePort, Kind::Port),
        ("proto-dst", Some(Direction::Reply)) => Subject::Field(Field::ReplyDestinationPort, Kind::Port),
        _ => Subject::Unknown,
    };
    Looked { family, subject }
}

/// What an expression looks at, in the words of a message.
pub(super) fn described(expr: &Expr<'_>) -> Arc<str> {
    Arc::from(format!("`{}`", words(expr, 0)))
}

fn words(expr: &Expr<'_>, depth: u32) -> String {
    match expr {
        Expr::Select(select) => select_words(select),
        Expr::Concat(parts) if depth < 4 => {
            parts.iter().map(|part| words(part, depth + 1)).collect::<Vec<_>>().join(" . ")
        }
        Expr::Binary(_, sides) if depth < 4 => words(&sides.0, depth + 1),
        Expr::Word(text) | Expr::Unknown(text) => text.to_string(),
        Expr::Concat(_)
        | Expr::Binary(..)
        | Expr::Wildcard
        | Expr::List(_)
        | Expr::Set(_)
        | Expr::Named(_)
        | Expr::Range(_)
        | Expr::Prefix(..)
        | Expr::Map(_) => "…".to_owned(),
    }
}

fn select_words(select: &Select<'_>) -> String {
    let (base, key) = (select.base.as_ref(), select.key.as_ref());
    match select.direction {
        _ if base == "@" => format!("@{key}"),
        _ if key.is_empty() => base.to_owned(),
        Some(Direction::Original) => format!("{base} original {key}"),
        Some(Direction::Reply) => format!("{base} reply {key}"),
        None => format!("{base} {key}"),
    }
}

/// The components that a set has by what it is looked up with (`typeof ip saddr . tcp dport`).
pub(super) fn kinds_of(expr: &Expr<'_>) -> Vec<Kind> {
    match expr {
        Expr::Concat(parts) => parts.iter().map(kind_of).collect(),
        only => vec![kind_of(only)],
    }
}

fn kind_of(expr: &Expr<'_>) -> Kind {
    let Expr::Select(select) = expr else { return Kind::Unmodelled };
    match (meaning(select).subject, select.base.as_ref(), select.key.as_ref()) {
        (Subject::Field(_, kind), _, _) => kind,
        (Subject::Never, "udp" | "udplite" | "sctp" | "dccp", "sport" | "dport") => Kind::Port,
        (Subject::Never | Subject::Unknown, _, _) => Kind::Unmodelled,
    }
}
