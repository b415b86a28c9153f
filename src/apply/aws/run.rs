//! AWS told what to do: orders as calls, in their sequence, each answer checked.

use serde_json::{Value, json};

use super::error::AwsError;
use super::place;
use super::read::{client, entries_of, idle};
use crate::holding::Step;
use crate::holding::aws::list::ENTRIES_A_CALL;
use crate::holding::aws::{Account, Order, Place, Whom, orders};
use crate::prefix::Family;
use crate::system::fault;

/// Rules in one call: as many as a command line has room for.
const RULES_A_CALL: usize = 100;

type Words = Vec<String>;

/// Asks AWS whether it would take the calls of a step. What they need besides the right to do them is not looked at.
pub fn check(step: &Step) -> Result<(), AwsError> {
    let Some((place, account)) = place(&step.holding) else { return Ok(()) };
    let orders = orders(step.input.as_deref().unwrap_or_default())?;
    let calls = match place {
        Place::Group(id) => group_calls(id, &orders),
        Place::List(id) => {
            let size = resized(&orders).map(|size| resize_call(id, size));
            size.into_iter()
                .chain(entry_calls(id, &orders).into_iter().map(|call| call.at(version(&orders))))
                .collect()
        }
    };
    calls.iter().try_for_each(|call| Ok(client(account).rehearse(&borrowed(call))?))
}

/// Carries a step out. Where it ends before its time, what was added may be there and what was to go as well.
pub fn run(step: &Step) -> Result<(), AwsError> {
    let Some((place, account)) = place(&step.holding) else { return Ok(()) };
    let orders = orders(step.input.as_deref().unwrap_or_default())?;
    match place {
        Place::Group(id) => group_calls(id, &orders).iter().try_for_each(|call| tell(account, call)),
        Place::List(id) => change_list(account, id, &orders),
    }
}

fn tell(account: &Account, call: &[String]) -> Result<(), AwsError> {
    fault::point("aws-call")?;
    let answer = client(account).tell(&borrowed(call))?;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    if answer.get("Return") == Some(&Value::Bool(false)) {
        return Err(AwsError::NotDone { command: call.first().cloned().unwrap_or_default() });
    }
    fault::point("aws-called")?;
    Ok(())
}

fn borrowed(call: &[String]) -> Vec<&str> {
    call.iter().map(String::as_str).collect()
}

fn words<const N: usize>(words: [&str; N]) -> Words {
    words.map(str::to_owned).to_vec()
}

/// Authorize, then describe, then revoke.
fn group_calls(id: &str, orders: &[Order]) -> Vec<Words> {
    let permission = |port: u16, source: &Whom, description: &str| {
        let (list, key) = match source {
            Whom::List(_) => ("PrefixListIds", "PrefixListId"),
            Whom::Prefix(prefix) => match prefix.family() {
                Family::V4 => ("IpRanges", "CidrIp"),
                Family::V6 => ("Ipv6Ranges", "CidrIpv6"),
            },
        };
        json!({ "IpProtocol": "tcp", "FromPort": port, "ToPort": port,
            list: [{ key: source.to_string(), "Description": description }] })
    };
    let (mut added, mut described, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
    for order in orders {
        match order {
            Order::Authorize { port, source, description } => {
                added.push(permission(*port, source, description));
            }
            Order::Describe { port, source, description } => {
                described.push(permission(*port, source, description));
            }
            Order::Revoke { rule, .. } => revoked.push(rule.clone()),
            Order::Resize { .. } | Order::Against { .. } | Order::Add { .. } | Order::Remove { .. } => {}
        }
    }
    let mut calls = Vec::new();
    for (command, all) in [
        ("authorize-security-group-ingress", &added),
        ("update-security-group-rule-descriptions-ingress", &described),
    ] {
        calls.extend(all.chunks(RULES_A_CALL).map(|some| {
            let permissions = Value::from(some.to_vec()).to_string();
            words([command, "--group-id", id, "--ip-permissions", &permissions])
        }));
    }
    calls.extend(revoked.chunks(RULES_A_CALL).map(|some| {
        let mut call =
            words(["revoke-security-group-ingress", "--group-id", id, "--security-group-rule-ids"]);
        call.extend(some.iter().cloned());
        call
    }));
    calls
}

fn resized(orders: &[Order]) -> Option<u32> {
    orders.iter().find_map(|order| match order {
        Order::Resize { max_entries } => Some(*max_entries),
        _ => None,
    })
}

fn version(orders: &[Order]) -> u64 {
    let version = orders.iter().find_map(|order| match order {
        Order::Against { version } => Some(*version),
        _ => None,
    });
    version.unwrap_or_default()
}

fn resize_call(id: &str, size: u32) -> Words {
    words(["modify-managed-prefix-list", "--prefix-list-id", id, "--max-entries", &size.to_string()])
}

/// A change of entries, but for the version that it is about.
struct EntryCall {
    before: Words,
    after: Words,
}

impl EntryCall {
    fn at(&self, version: u64) -> Words {
        [&self.before[..], &[version.to_string()], &self.after].concat()
    }
}

/// Changes of entries: one where all fit into a call, otherwise all that add come before all that remove.
fn entry_calls(id: &str, orders: &[Order]) -> Vec<EntryCall> {
    let (mut adds, mut removes) = (Vec::new(), Vec::new());
    for order in orders {
        match order {
            Order::Add { source, description } => {
                adds.push(json!({ "Cidr": source.to_string(), "Description": description }));
            }
            Order::Remove { source } => removes.push(json!({ "Cidr": source.to_string() })),
            _ => {}
        }
    }
    let call = |adds: &[Value], removes: &[Value]| {
        let mut after = Vec::new();
        for (option, entries) in [("--add-entries", adds), ("--remove-entries", removes)] {
            if !entries.is_empty() {
                after.extend([option.to_owned(), Value::from(entries.to_vec()).to_string()]);
            }
        }
        let before = words(["modify-managed-prefix-list", "--prefix-list-id", id, "--current-version"]);
        EntryCall { before, after }
    };
    if adds.is_empty() && removes.is_empty() {
        return Vec::new();
    }
    if adds.len() <= ENTRIES_A_CALL && removes.len() <= ENTRIES_A_CALL {
        return vec![call(&adds, &removes)];
    }
    let first = adds.chunks(ENTRIES_A_CALL).map(|some| call(some, &[]));
    first.chain(removes.chunks(ENTRIES_A_CALL).map(|some| call(&[], some))).collect()
}

/// The size first, by itself; then the entries, each change against the version that the one before made.
fn change_list(account: &Account, id: &str, orders: &[Order]) -> Result<(), AwsError> {
    let mut wanted = version(orders);
    if let Some(size) = resized(orders) {
        tell(account, &resize_call(id, size))?;
        let found = idle(account, id, None)?.done()?;
        // Whether a new size is a new version, AWS does not say; other entries would be.
        if found != wanted && entries_of(account, id, found)? != entries_of(account, id, wanted)? {
            return Err(AwsError::Moved { list: id.to_owned(), wanted, found });
        }
        wanted = found;
    }
    for call in entry_calls(id, orders) {
        tell(account, &call.at(wanted))?;
        let found = idle(account, id, None)?.done()?;
        if found != wanted.saturating_add(1) {
            return Err(AwsError::Moved { list: id.to_owned(), wanted: wanted.saturating_add(1), found });
        }
        wanted = found;
    }
    Ok(())
}
