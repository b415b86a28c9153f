//! Prefixes as AWS and Terraform write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::prefix::{Family, Prefix};

/// Reads an address with its length, of this family; `None` where it is none.
///
/// AWS stores the network's address; bits to the right of the length, which a request may have, mean nothing.
/// Every text form of IPv6 is read. An IPv4 address in IPv6 clothes stays one of IPv6, which nobody calls from.
pub fn read(text: &str, family: Family) -> Option<Prefix> {
    let (address, length) = text.split_once('/')?;
    let digits = !length.is_empty() && length.len() <= 3 && length.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = length == "0" || !length.starts_with('0');
    if !digits || !canonical {
        return None;
    }
    Prefix::covering(address_of(address, family)?, length.parse().ok()?)
}

/// Reads an address with its length, of either family.
pub fn read_any(text: &str) -> Option<Prefix> {
    read(text, if text.contains(':') { Family::V6 } else { Family::V4 })
}

/// Reads an address alone.
pub(super) fn address_of(text: &str, family: Family) -> Option<IpAddr> {
    match family {
        Family::V4 => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Family::V6 => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_prefix_is_one() {
        for (text, wanted) in [
            ("20.91.170.120/29", "20.91.170.120/29"),
            ("20.91.170.121/29", "20.91.170.120/29"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("0:0:0:0:0:0:0:0/0", "::/0"),
            ("2001:DB8:0000::1/32", "2001:db8::/32"),
            ("2001:db8::192.0.2.1/128", "2001:db8::c000:201/128"),
        ] {
            assert_eq!(read_any(text).map(|one| one.to_string()), Some(wanted.to_owned()), "{text}");
        }
        for text in [
            "",
            "/",
            "1.2.3.4",
            "::1",
            "1.2.3.4/33",
            "1.2.3.4/08",
            "01.2.3.4/8",
            "1.2.3/8",
            "1.2.3.4/+8",
            "::/129",
        ] {
            assert_eq!(read_any(text), None, "{text}");
        }
        assert_eq!(read("::/0", Family::V4), None);
        assert_eq!(read("0.0.0.0/0", Family::V6), None);
    }
}
