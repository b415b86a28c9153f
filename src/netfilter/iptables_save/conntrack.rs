//! `-m conntrack` and `-m state`.

use super::super::address::number;
use super::super::address::spans;
use super::super::{Field, Match, Span, Spans, TableFamily, Test, Values};
use super::matches::{address, condition, numbers, port_range, undecided};
use super::option::Opt;
use super::outcome::Out;

/// The states that a packet without tracking has: invalid and untracked.
const WITHOUT_TRACKING: u32 = 1 | 64;
/// All states.
const ALL: u32 = 1 | 2 | 4 | 8 | 64;

/// Adds the conditions of one match.
pub(super) fn read<'a>(options: impl Iterator<Item = Opt<'a>>, (family, out): (TableFamily, &mut Out)) {
    let mut state = None;
    let mut others = Vec::new();
    for option in options {
        match option.name {
            "--ctstate" | "--state" => state = Some(option),
            _ => others.push(condition(option, other(option, family))),
        }
    }
    let allowed = state.and_then(|option| states(option.value()).map(|found| (option, found)));
    let Some((option, found)) = allowed else {
        if let Some(option) = state {
            out.test(undecided(option));
        }
        return out.conditions(others);
    };
    out.condition(condition(option, found.test()));
    let passing = if option.negated { ALL & !found.states } else { found.states };
    // The kernel asks no more of a packet without tracking (conntrack_mt of xt_conntrack.c).
    if passing & WITHOUT_TRACKING == 0 || others.is_empty() {
        return out.conditions(others);
    }
    let without = Match { negated: false, test: Test::Is(Field::CtState, bits(WITHOUT_TRACKING)) };
    out.test(Test::Any(vec![vec![without], others]));
}

/// Values of a field that is one of these bits at a time.
fn bits(mask: u32) -> Values {
    let all: Vec<Span<u32>> =
        (0..32).map(|bit| mask & 1 << bit).filter(|bit| *bit != 0).map(|bit| (bit, bit)).collect();
    // None at all is a number that no state has.
    Values::Numbers(spans(all).unwrap_or(Spans::One((0, 0))))
}

/// States of a connection, and what was translated.
struct States {
    states: u32,
    translated: u32,
}

impl States {
    fn test(&self) -> Test {
        let state = Test::Is(Field::CtState, bits(self.states));
        if self.translated == 0 {
            return state;
        }
        let translated = status_bits(self.translated);
        let group = |test| vec![Match { negated: false, test }];
        Test::Any(vec![group(state), group(translated)])
    }
}

fn states(text: &str) -> Option<States> {
    let mut all = States { states: 0, translated: 0 };
    for name in text.split(',') {
        match name.to_ascii_uppercase().as_str() {
            "INVALID" => all.states |= 1,
            "ESTABLISHED" => all.states |= 2,
            "RELATED" => all.states |= 4,
            "NEW" => all.states |= 8,
            "UNTRACKED" => all.states |= 64,
            "SNAT" => all.translated |= 16,
            "DNAT" => all.translated |= 32,
            _ => return None,
        }
    }
    Some(all)
}

/// One of these bits, or more, is set.
fn status_bits(mask: u32) -> Test {
    Test::Is(Field::CtStatus, Values::Masked { mask, values: Spans::One((1, mask)) })
}

fn other(option: Opt<'_>, family: TableFamily) -> Test {
    match option.name {
        "--ctproto" => match option.value() {
            "tcp" | "TCP" | "6" => Test::Constant(true),
            "udp" | "icmp" | "icmpv6" | "ipv6-icmp" | "sctp" | "dccp" | "gre" => Test::Constant(false),
            other => match number(other) {
                Some(number) => Test::Constant(number == 6),
                None => undecided(option),
            },
        },
        "--ctorigsrc" => address(Field::OriginalSource, option, family),
        "--ctorigdst" => address(Field::OriginalDestination, option, family),
        "--ctreplsrc" => address(Field::ReplySource, option, family),
        "--ctrepldst" => address(Field::ReplyDestination, option, family),
        "--ctorigsrcport" => port_range(Field::OriginalSourcePort, option),
        "--ctorigdstport" => port_range(Field::OriginalDestinationPort, option),
        "--ctreplsrcport" => port_range(Field::ReplySourcePort, option),
        "--ctrepldstport" => port_range(Field::ReplyDestinationPort, option),
        "--ctstatus" => status(option),
        "--ctdir" => match option.value().to_ascii_uppercase().as_str() {
            "ORIGINAL" => numbers(Field::CtDirection, option, Some(vec![(0, 0)])),
            "REPLY" => numbers(Field::CtDirection, option, Some(vec![(1, 1)])),
            _ => undecided(option),
        },
        _ => undecided(option),
    }
}

/// The kernel asks for one of the bits. `NONE` is none of them, so that alone it never matches, whatever
/// iptables-extensions(8) says.
fn status(option: Opt<'_>) -> Test {
    let mask = option.value().split(',').try_fold(0, |all, name| {
        let bit = match name.to_ascii_uppercase().as_str() {
            "NONE" => 0,
            "EXPECTED" => 1,
            "SEEN_REPLY" => 2,
            "ASSURED" => 4,
            "CONFIRMED" => 8,
            _ => return None,
        };
        Some(all | bit)
    });
    match mask {
        Some(0) => Test::Constant(false),
        Some(mask) => status_bits(mask),
        None => undecided(option),
    }
}
