//! Host names as a page: each name with the addresses that it has now.
//!
//! The system's resolver is asked, as any program of this machine would. It says neither how long an answer holds nor whether
//! there are further addresses that it leaves out today: a list of names is known for the instant at which it was read.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::upstream::document::{Document, Missed, MissedKind, shown};

/// How often a name is asked for that can't be resolved.
const TRIES: usize = 2;

/// The address under which the resolved names are saved and found again.
pub fn address(names: &[String]) -> String {
    format!("dns:{}", names.join(","))
}

/// Resolves every name: a line for each of its addresses, `name address`. One that can't be resolved makes the whole unreachable.
pub fn resolve(names: &[String], read_at: Timestamp, time: Duration) -> Result<Document, Missed> {
    let deadline = Instant::now() + time;
    let asked: Vec<_> = names.iter().map(|name| ask(name)).collect();
    let mut body = String::new();
    for (name, answer) in names.iter().zip(asked) {
        let left = deadline.saturating_duration_since(Instant::now());
        let found = answer.recv_timeout(left).unwrap_or_else(|_| Err("no answer came in time".to_owned()));
        let addresses = found.map_err(|why| unresolved(name, &why))?;
        for address in addresses {
            body.push_str(&format!("{name} {address}\n"));
        }
    }
    let url = address(names);
    Ok(Document {
        found_at: url.clone(),
        url,
        read_at,
        content_type: Some("text/plain; charset=utf-8".to_owned()),
        etag: None,
        last_modified: None,
        body: body.into_bytes(),
    })
}

/// Asks on a thread of its own: the resolver knows no deadline.
fn ask(name: &str) -> mpsc::Receiver<Result<BTreeSet<IpAddr>, String>> {
    let (send, receive) = mpsc::channel();
    let name = name.to_owned();
    thread::spawn(move || {
        let mut answer = lookup(&name);
        for _ in 1..TRIES {
            if answer.is_ok() {
                break;
            }
            answer = lookup(&name);
        }
        // Nobody listens any more after the deadline.
        let _ = send.send(answer);
    });
    receive
}

fn lookup(name: &str) -> Result<BTreeSet<IpAddr>, String> {
    // A dot at the end: the name as it is. A search domain of this machine that answers for everything would else turn a name
    // that is gone into an address of somebody else.
    let absolute =
        if name.contains('.') { format!("{}.", name.trim_end_matches('.')) } else { name.to_owned() };
    let found = (absolute.as_str(), 443).to_socket_addrs().map_err(|error| error.to_string())?;
    let addresses: BTreeSet<IpAddr> = found.map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err("it has no address".to_owned());
    }
    Ok(addresses)
}

fn unresolved(name: &str, why: &str) -> Missed {
    let why = why.trim_start_matches("failed to lookup address information: ");
    Missed {
        kind: MissedKind::Unreachable,
        reason: format!("`{}` can't be resolved: {}", shown(name), shown(why)),
        help: "look whether this machine resolves names (`getent hosts` and the name); where the name is gone for everybody, \
               read the provider's page, and change `names` in the policy"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_become_lines() {
        let found = resolve(&names(&["localhost"]), Timestamp::UNIX_EPOCH, Duration::from_secs(30)).unwrap();
        let text = String::from_utf8(found.body).unwrap();
        assert!(text.lines().any(|line| line == "localhost 127.0.0.1"), "{text}");
        assert_eq!(found.url, "dns:localhost");
    }

    #[test]
    fn one_name_that_is_gone_makes_the_whole_unreachable() {
        let wanted = names(&["localhost", "callback.invalid"]);
        let missed = resolve(&wanted, Timestamp::UNIX_EPOCH, Duration::from_secs(30)).unwrap_err();
        assert_eq!(missed.kind, MissedKind::Unreachable);
        assert!(missed.reason.starts_with("`callback.invalid` can't be resolved: "), "{}", missed.reason);
    }

    #[test]
    fn the_time_is_bounded() {
        let missed =
            resolve(&names(&["callback.invalid"]), Timestamp::UNIX_EPOCH, Duration::ZERO).unwrap_err();
        assert!(missed.reason.contains("no answer came in time"), "{}", missed.reason);
    }
}
