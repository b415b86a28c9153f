//! Names that nft writes for numbers, and iptables' extensions by theirs.

use std::borrow::Cow;

use super::{Statement, Word, opaque};

/// A name among these.
fn find(table: &[(&str, u32)], name: &str) -> Option<u32> {
    table.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// States of a connection, as bits.
pub(super) fn ct_state(name: &str) -> Option<u32> {
    find(&[("invalid", 1), ("established", 2), ("related", 4), ("new", 8), ("untracked", 64)], name)
}

/// Status of a connection, as bits.
pub(super) fn ct_status(name: &str) -> Option<u32> {
    let table = [
        ("expected", 1),
        ("seen-reply", 2),
        ("assured", 4),
        ("confirmed", 8),
        ("snat", 16),
        ("dnat", 32),
        ("dying", 512),
    ];
    find(&table, name)
}

/// Direction in a connection.
pub(super) fn ct_direction(name: &str) -> Option<u32> {
    find(&[("original", 0), ("reply", 1)], name)
}

/// Flags of TCP, as bits.
pub(super) fn tcp_flag(name: &str) -> Option<u32> {
    let table =
        [("fin", 1), ("syn", 2), ("rst", 4), ("psh", 8), ("ack", 16), ("urg", 32), ("ecn", 64), ("cwr", 128)];
    find(&table, name)
}

/// `NFPROTO_*`
pub(super) fn family(name: &str) -> Option<u32> {
    find(&[("ipv4", 2), ("ipv6", 10)], name)
}

/// An ethertype, as the family of what it announces; 0 for anything but IP.
pub(super) fn ether_type(name: &str) -> Option<u32> {
    find(&[("ip", 2), ("ip6", 10), ("arp", 0), ("vlan", 0), ("8021q", 0), ("8021ad", 0)], name)
}

/// `RTN_*`
pub(super) fn route_type(name: &str) -> Option<u32> {
    let table = [
        ("unspec", 0),
        ("unicast", 1),
        ("local", 2),
        ("broadcast", 3),
        ("anycast", 4),
        ("multicast", 5),
        ("blackhole", 6),
        ("unreachable", 7),
        ("prohibit", 8),
        ("throw", 9),
        ("nat", 10),
        ("xresolve", 11),
    ];
    find(&table, name)
}

/// `PACKET_*`
pub(super) fn packet_type(name: &str) -> Option<u32> {
    find(&[("host", 0), ("unicast", 0), ("broadcast", 1), ("multicast", 2), ("other", 3)], name)
}

/// Days of the week.
pub(super) fn weekday(name: &str) -> Option<u32> {
    let table = [
        ("Sunday", 0),
        ("Monday", 1),
        ("Tuesday", 2),
        ("Wednesday", 3),
        ("Thursday", 4),
        ("Friday", 5),
        ("Saturday", 6),
    ];
    find(&table, name)
}

/// Protocols, by the names of `/etc/protocols` that nft prints.
pub(super) fn protocol(name: &str) -> Option<u32> {
    let table = [
        ("tcp", 6),
        ("udp", 17),
        ("icmp", 1),
        ("ipv6-icmp", 58),
        ("icmpv6", 58),
        ("igmp", 2),
        ("esp", 50),
        ("ah", 51),
        ("comp", 108),
        ("sctp", 132),
        ("dccp", 33),
        ("udplite", 136),
        ("gre", 47),
        ("ipip", 94),
        ("ipencap", 4),
        ("ipv6", 41),
        ("ipv6-route", 43),
        ("ipv6-frag", 44),
        ("ipv6-nonxt", 59),
        ("ipv6-opts", 60),
        ("hopopt", 0),
        ("ospf", 89),
        ("pim", 103),
        ("vrrp", 112),
        ("l2tp", 115),
    ];
    find(&table, name)
}

/// Services, as `nft -S` and people write them; what is not here stays unknown.
pub(super) fn service(name: &str) -> Option<u32> {
    let table = [
        ("ftp-data", 20),
        ("ftp", 21),
        ("ssh", 22),
        ("telnet", 23),
        ("smtp", 25),
        ("domain", 53),
        ("bootps", 67),
        ("bootpc", 68),
        ("http", 80),
        ("kerberos", 88),
        ("pop3", 110),
        ("sunrpc", 111),
        ("ntp", 123),
        ("netbios-ns", 137),
        ("netbios-dgm", 138),
        ("netbios-ssn", 139),
        ("imap2", 143),
        ("snmp", 161),
        ("bgp", 179),
        ("ldap", 389),
        ("https", 443),
        ("microsoft-ds", 445),
        ("submissions", 465),
        ("submission", 587),
        ("ldaps", 636),
        ("domain-s", 853),
        ("rsync", 873),
        ("imaps", 993),
        ("pop3s", 995),
        ("openvpn", 1194),
        ("ms-sql-s", 1433),
        ("nfs", 2049),
        ("mysql", 3306),
        ("ms-wbt-server", 3389),
        ("sip", 5060),
        ("sip-tls", 5061),
        ("postgresql", 5432),
        ("amqps", 5671),
        ("amqp", 5672),
        ("redis", 6379),
        ("http-alt", 8080),
    ];
    find(&table, name)
}

/// A priority by name; in bridges other numbers stand for the same names.
pub(super) fn priority(name: &str) -> Option<i32> {
    let known = match name {
        "raw" => -300,
        "mangle" => -150,
        "dstnat" => -100,
        "filter" => 0,
        "security" => 50,
        "srcnat" => 100,
        _ => return None,
    };
    Some(known)
}

/// A priority by name, in a bridge.
pub(super) fn bridge_priority(name: &str) -> Option<i32> {
    let known = match name {
        "dstnat" => -300,
        "filter" => -200,
        "out" => 100,
        "srcnat" => 300,
        _ => return None,
    };
    Some(known)
}

/// How the words about a match or target of iptables end that nft prints by its name only.
const OF_IPTABLES: &str = " of iptables";

/// Whether words of the unknown are about an extension of iptables.
pub(in crate::netfilter) fn is_extension(words: &str) -> bool {
    words.ends_with(OF_IPTABLES)
}

/// A target of iptables that nft left out of its text.
pub(super) fn unprinted() -> Statement<'static> {
    opaque(format!("an unprinted target{OF_IPTABLES}"))
}

/// An extension of iptables, whose arguments nft does not print. `None` for one without effect.
pub(super) fn extension(kind: &str, name: &str) -> Option<Statement<'static>> {
    match (kind, name) {
        ("match", _) if name != "comment" => {
            Some(Statement::Unknown(Cow::Owned(format!("match `{name}`{OF_IPTABLES}"))))
        }
        ("target", "REJECT") => Some(Statement::Verdict(Word::Reject)),
        ("match", _)
        | (
            "target",
            "LOG" | "NFLOG" | "ULOG" | "TRACE" | "AUDIT" | "TCPMSS" | "CLASSIFY" | "CHECKSUM" | "DSCP"
            | "TOS" | "TTL" | "HL" | "ECN" | "TCPOPTSTRIP" | "LED" | "RATEEST" | "TEE" | "SECMARK"
            | "CONNSECMARK" | "IDLETIMER",
        ) => None,
        _ => Some(opaque(format!("target `{name}`{OF_IPTABLES}"))),
    }
}
