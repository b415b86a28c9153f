//! The targets of iptables-extensions(8), each from its options. Those that decide nothing and change nothing
//! that a rule could ask for are left out; those that are not here could do anything.

use std::sync::Arc;

use super::super::address::{Address, ports};
use super::super::{Action, MarkChange, Nat, NatKind, NatTo, Span, Spans, TableFamily, Values, Verdict};
use super::matches::{set_ref, value_and_mask};
use super::option::Opt;
use super::outcome::Out;

/// Whether a target is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// What it does was added.
    Yes,
    /// It may be a chain.
    No,
}

/// The verdict that a target is.
pub(super) fn verdict(name: &str) -> Option<Verdict> {
    Some(match name {
        "ACCEPT" => Verdict::Accept,
        "DROP" => Verdict::Drop,
        "REJECT" => Verdict::Reject,
        "RETURN" => Verdict::Return,
        _ => return None,
    })
}

/// Whether a target has options of its own.
pub(super) fn takes_options(name: &str) -> bool {
    !matches!(name, "ACCEPT" | "DROP" | "RETURN")
}

/// Adds what a target does.
pub(super) fn read<'a>(
    name: &str,
    options: impl Iterator<Item = Opt<'a>>,
    (family, out): (TableFamily, &mut Out),
) -> Known {
    match name {
        "LOG" | "NFLOG" | "ULOG" | "TRACE" | "CLASSIFY" | "DSCP" | "TOS" | "TTL" | "HL" | "ECN"
        | "TCPMSS" | "TCPOPTSTRIP" | "CHECKSUM" | "AUDIT" | "SECMARK" | "CONNSECMARK" | "RATEEST"
        | "IDLETIMER" | "LED" | "TEE" => (),
        "MARK" => out.act(Action::Mark(mark(options))),
        "HMARK" => out.act(Action::Mark(MarkChange::Unknown)),
        "CONNMARK" => connmark(options, out),
        "NOTRACK" => out.act(Action::Notrack),
        "CT" => tracking(options, out),
        "DNAT" | "SNAT" | "REDIRECT" | "MASQUERADE" | "NETMAP" => {
            out.act(Action::Nat(Box::new(nat(name, options, family))));
        }
        "SET" => change_set(options, out),
        "NFQUEUE" | "QUEUE" | "SYNPROXY" | "TARPIT" | "TPROXY" | "MIRROR" | "CLUSTERIP" | "SAME" | "DNPT"
        | "SNPT" | "DELUDE" | "CHAOS" | "RAWDNAT" | "RAWSNAT" | "STEAL" | "ECHO" => {
            out.act(Action::Opaque(Arc::from(format!("target `{name}`"))));
        }
        _ => return Known::No,
    }
    Known::Yes
}

/// `(old & !mask) ^ value`, as `xt_mark.c` has it.
fn bits((value, mask): (u32, u32)) -> MarkChange {
    MarkChange::Bits { keep: !mask, take: 0, flip: value }
}

/// The value and mask of an option that sets a mark.
fn mark_option(option: Opt<'_>) -> Option<MarkChange> {
    let text = option.value();
    let alone = || value_and_mask(text).filter(|_| !text.contains('/')).map(|(value, _)| value);
    let change = match option.name {
        "--set-xmark" => value_and_mask(text)?,
        // The bits that are set are zeroed first, besides those of the mask.
        "--set-mark" => value_and_mask(text).map(|(value, mask)| (value, value | mask))?,
        "--and-mark" => (0, !alone()?),
        "--or-mark" => (alone()?, alone()?),
        "--xor-mark" => (alone()?, 0),
        _ => return None,
    };
    Some(bits(change))
}

fn mark<'a>(mut options: impl Iterator<Item = Opt<'a>>) -> MarkChange {
    let change = options.next().and_then(mark_option);
    change.filter(|_| options.next().is_none()).unwrap_or(MarkChange::Unknown)
}

fn connmark<'a>(options: impl Iterator<Item = Opt<'a>>, out: &mut Out) {
    let (mut own, mut other) = (u32::MAX, u32::MAX);
    let (mut action, mut sound) = (None, true);
    for option in options {
        let mask = || value_and_mask(option.value()).map(|(mask, _)| mask);
        match (option.name, mask()) {
            ("--nfmask", Some(mask)) => own = mask,
            ("--ctmask", Some(mask)) => other = mask,
            ("--mask", Some(mask)) => (own, other) = (mask, mask),
            ("--nfmask" | "--ctmask" | "--mask", None) => sound = false,
            _ => {
                sound &= action.is_none();
                action = Some(option);
            }
        }
    }
    let (packet, connection) = (own, other);
    let Some(option) = action.filter(|_| sound) else {
        out.act(Action::ConnMark(MarkChange::Unknown));
        return out.act(Action::Mark(MarkChange::Unknown));
    };
    match option.name {
        "--save-mark" => {
            out.act(Action::ConnMark(MarkChange::Bits { keep: !connection, take: packet, flip: 0 }));
        }
        "--restore-mark" => {
            out.act(Action::Mark(MarkChange::Bits { keep: !packet, take: connection, flip: 0 }));
        }
        _ => {
            let change = mark_option(option);
            // It may be one that shifts, which works either way.
            if change.is_none() {
                out.act(Action::Mark(MarkChange::Unknown));
            }
            out.act(Action::ConnMark(change.unwrap_or(MarkChange::Unknown)));
        }
    }
}

fn tracking<'a>(options: impl Iterator<Item = Opt<'a>>, out: &mut Out) {
    for option in options {
        match option.name {
            "--notrack" => out.act(Action::Notrack),
            // None of them keeps a connection from being tracked.
            "--helper" | "--timeout" | "--ctevents" | "--expevents" => (),
            name => {
                let words = super::short(&format!("target `CT` with {name} {}", option.value()));
                out.act(Action::TrackingUnknown(Arc::from(words)));
            }
        }
    }
}

fn nat<'a>(name: &str, options: impl Iterator<Item = Opt<'a>>, family: TableFamily) -> Nat {
    let kind = match name {
        "DNAT" | "NETMAP" => NatKind::Destination,
        "REDIRECT" => NatKind::Redirect,
        _ => NatKind::Source,
    };
    let mut to = match name {
        "REDIRECT" | "MASQUERADE" => Some((None, None)),
        _ => None,
    };
    let mut given = 0_u8;
    for option in options {
        match option.name {
            "--to-destination" | "--to-source" => {
                to = match family {
                    TableFamily::Ip6 => target::<u128>(option.value()),
                    _ => target::<u32>(option.value()),
                };
                given = given.saturating_add(1);
            }
            "--to-ports" | "--to-port" => {
                to = nat_ports(option.value()).map(|ports| (None, Some(ports)));
                given = given.saturating_add(1);
            }
            // How one of several is chosen.
            "--random" | "--random-fully" | "--persistent" => (),
            _ => given = u8::MAX,
        }
    }
    let to = match to.filter(|_| given <= 1) {
        Some((addresses, ports)) => NatTo::Fixed { addresses, ports: ports.map(Spans::One) },
        None => NatTo::Unknown,
    };
    Nat { kind, to }
}

/// Where to: addresses and ports.
type To = (Option<Values>, Option<Span<u32>>);

/// `[address[-address]][:port[-port]]`; in IPv6, addresses before a port are in brackets.
fn target<A: Address>(text: &str) -> Option<To> {
    if let Some(inside) = text.strip_prefix('[') {
        // Either both addresses are in one pair of brackets, or each in its own.
        let (addresses, rest) = inside.rsplit_once(']')?;
        let addresses = nat_addresses::<A>(&addresses.replace("]-[", "-"))?;
        return match rest.strip_prefix(':') {
            Some(ports) => Some((Some(addresses), Some(nat_ports(ports)?))),
            None if rest.is_empty() => Some((Some(addresses), None)),
            None => None,
        };
    }
    if A::WIDTH == u128::WIDTH && !text.starts_with(':') || text.starts_with("::") {
        return Some((Some(nat_addresses::<A>(text)?), None));
    }
    match text.split_once(':') {
        Some(("", ports)) => Some((None, Some(nat_ports(ports)?))),
        Some((addresses, ports)) => Some((Some(nat_addresses::<A>(addresses)?), Some(nat_ports(ports)?))),
        None => Some((Some(nat_addresses::<A>(text)?), None)),
    }
}

fn nat_addresses<A: Address>(text: &str) -> Option<Values> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (A::parse(first)?, A::parse(last)?);
    (first <= last).then(|| A::values(Spans::One((first, last))))
}

/// `port` or `port-port`; one with a base (`80-90/8080`) is not modelled.
fn nat_ports(text: &str) -> Option<Span<u32>> {
    let whole = !text.is_empty() && !text.starts_with('-') && !text.ends_with('-');
    if whole { ports(text, '-') } else { None }
}

fn change_set<'a>(options: impl Iterator<Item = Opt<'a>>, out: &mut Out) {
    for option in options {
        match option.name {
            "--add-set" | "--del-set" => match set_ref(option) {
                Some(set) => out.act(Action::ChangeSet(set)),
                None => out.act(Action::Opaque(Arc::from("target `SET`"))),
            },
            "--map-mark" => out.act(Action::Mark(MarkChange::Unknown)),
            // How an element is added, or what else is taken from one.
            "--exist" | "--timeout" | "--map-set" | "--map-prio" | "--map-queue" => (),
            _ => out.act(Action::Opaque(Arc::from("target `SET`"))),
        }
    }
}
