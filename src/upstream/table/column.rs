//! What a column of a table is, by its header.

use crate::upstream::words::Wording;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Sources.
    Source,
    /// Prefixes of sources, which say more than an address does.
    Prefix,
    /// The first address of a range.
    First,
    /// The last address of a range.
    Last,
    /// The netmask of what the row lists.
    Netmask,
    /// The last address of what the row lists.
    Broadcast,
    /// What the row lists, once more in another notation, or an address in it.
    Restated,
    /// Something else that is no source: what is called, names, versions.
    Foreign,
    /// Nothing known.
    Unknown,
}

/// Headers, in the order in which they are tried: the first that is found counts.
const HEADERS: &[(&[&str], Column)] = &[
    (&[" netmask", " subnet mask", " network mask", " net mask", " mask "], Column::Netmask),
    (&[" broadcast"], Column::Broadcast),
    (
        &[
            " wildcard",
            " gateway",
            " equivalent",
            " usable",
            " firewall setting",
            " firewall rule",
            " host range",
        ],
        Column::Restated,
    ),
    (
        &[
            " port",
            " as number",
            " asn",
            " protocol",
            " version",
            " date",
            " valid ",
            " since",
            " until",
            " count",
            " size",
        ],
        Column::Foreign,
    ),
    (
        &[
            " destination",
            " endpoint",
            " hostname",
            " host name",
            " host ",
            " url",
            " domain",
            " fqdn",
            " dns",
            " purpose",
            " note",
            " comment",
            " description",
            " example",
        ],
        Column::Foreign,
    ),
    (
        &[" first ip", " start ip", " start address", " first address", " range start", " start ", " from "],
        Column::First,
    ),
    (&[" last ip", " end ip", " end address", " last address", " range end", " end ", " to "], Column::Last),
    (&[" cidr", " prefix"], Column::Prefix),
    (
        &[
            " ip ", " ips ", " ipv4", " ipv6", " address", " network", " range", " subnet", " source",
            " block",
        ],
        Column::Source,
    ),
];

/// What a header says.
pub(super) fn column(header: &str) -> Column {
    let wording = Wording::new(header);
    HEADERS.iter().find(|(words, _)| wording.has(words)).map_or(Column::Unknown, |(_, column)| *column)
}

/// Whether headers describe networks as their owner registers them.
pub(super) fn describes_networks(headers: &[String]) -> bool {
    let described = |header: &String| {
        let wording = Wording::new(header);
        wording.has(&[" broadcast", " as number", " asn "]) || wording.text() == "as"
    };
    headers.iter().any(described)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_apart() {
        for (header, wanted) in [
            ("Network CIDR-block", Column::Prefix),
            ("Range equivalent", Column::Restated),
            ("Broadcast", Column::Broadcast),
            ("Netmask", Column::Netmask),
            ("Firewall settings", Column::Restated),
            ("Allow ports", Column::Foreign),
            ("AS Number", Column::Foreign),
            ("IP addresses", Column::Source),
            ("IP range", Column::Source),
            ("From", Column::First),
            ("Environment", Column::Unknown),
            ("Production", Column::Unknown),
            ("Destination IP", Column::Foreign),
        ] {
            assert_eq!(column(header), wanted, "{header}");
        }
    }
}
