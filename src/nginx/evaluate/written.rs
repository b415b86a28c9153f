//! Addresses as texts: which of them a pattern matches.

use std::net::IpAddr;

use super::pattern::Case;
use super::state::{Client, mapped};
use crate::prefix::PrefixSet;

/// The callers whose address, as nginx writes it, matches a pattern; `None` where nobody can say.
pub(super) fn matching(pattern: &str, case: Case, client: &Client) -> Option<PrefixSet> {
    let _ = (pattern, case, client);
    None
}

/// An address as nginx writes it.
pub(super) fn text_of(caller: IpAddr, client: &Client) -> String {
    match client {
        Client::Mapped => mapped(caller).to_string(),
        Client::Own | Client::Fixed(_) | Client::Told(_) => caller.to_string(),
    }
}
