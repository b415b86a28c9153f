//! What every reading must stand: the question, whose answer keeps its laws.
//!
//! - Who surely gets in possibly gets in.
//! - Every source is in exactly one part: decided and accepted (surely), decided and refused (not possibly),
//!   or between.
//! - One source asked alone is judged as it is among all others, or more exactly.
//! - A condition that nobody can decide makes no answer more certain.

use std::net::IpAddr;
use std::sync::Arc;

use callgate::admission::{Admission, Decided, Layer, Question, Ruling};
use callgate::netfilter::evaluate::Asked;
use callgate::netfilter::host::{Host, HostAddress, Links, View};
use callgate::netfilter::{Item, Listing, Match, Reading, Test};
use callgate::prefix::PrefixSet;

/// How many sources of an answer are asked alone.
const ALONE: usize = 8;

/// Asks what readers made of `text`, and holds the answer against the laws.
pub fn ask(text: &str, readings: Vec<(View, Reading)>) {
    let listing = Listing { name: "fuzz".to_owned(), text: text.into() };
    let mut host = Host::new(vec![listing], readings);
    let dice = text.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    let (question, links) = question(dice);
    host.links = links;
    let before = {
        let asked = Asked::new(&host);
        let answer = asked.admit(&question);
        parts(&answer);
        for one in answer.decided.iter().filter_map(|one| one.rule) {
            assert!(!asked.describe(one).title.is_empty());
        }
        alone(&asked, &question, &answer);
        answer
    };
    if blur(&mut host, dice) {
        let after = Asked::new(&host).admit(&question);
        parts(&after);
        assert!(after.possibly.covers(&before.possibly), "an unknown condition shuts somebody out");
        assert!(before.surely.covers(&after.surely), "an unknown condition surely lets somebody in");
    }
}

/// One of a few questions: what is known besides the rules differs.
fn question(dice: usize) -> (Question, Option<Links>) {
    let mut question =
        Question { port: 443, interface: None, addresses: Vec::new(), at: jiff::Timestamp::UNIX_EPOCH };
    let mut links = None;
    if dice % 2 == 1 {
        question.interface = Some("eth0".to_owned());
    }
    if dice % 3 == 1 {
        question.addresses = ["192.0.2.1", "2001:db8::1"].iter().filter_map(|one| one.parse().ok()).collect();
    }
    if dice % 5 == 1 {
        let own = |interface: &str, network: &str| {
            let network: ipnet::IpNet = network.parse().ok()?;
            let address = network.addr();
            Some(HostAddress { interface: interface.to_owned(), address, network: network.trunc() })
        };
        let own =
            [own("eth0", "192.0.2.1/24"), own("eth0", "2001:db8::1/64"), own("docker0", "172.17.0.1/16")];
        links = Some(Links { addresses: own.into_iter().flatten().collect(), bridges: Vec::new() });
    }
    (question, links)
}

/// Every source is in exactly one part.
pub fn parts(answer: &Admission) {
    assert!(answer.possibly.covers(&answer.surely));
    let told = |accepted: bool| {
        let told = answer.decided.iter().filter(|one| (one.ruling == Ruling::Accept) == accepted);
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for Decided { first, last, .. } in told {
            match (first, last) {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.into(), last.into())),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((first.into(), last.into())),
                _ => panic!("an interval of two families"),
            }
        }
        PrefixSet::from_spans(v4, v6)
    };
    assert_eq!(told(true), answer.surely, "decided and accepted is surely");
    assert_eq!(told(false), answer.possibly.complement(), "decided and refused is not possibly");
    for (one, next) in answer.decided.iter().zip(answer.decided.iter().skip(1)) {
        assert!(one.first <= one.last && one.last < next.first, "decided twice, or out of order");
    }
    let between = answer.possibly.difference(&answer.surely);
    for one in &answer.undecided {
        assert!(between.covers(&one.sources), "undecided, but not between");
    }
}

/// One source alone is judged as it is among all.
pub fn alone(asked: &dyn Layer, question: &Question, answer: &Admission) {
    let edges = answer.decided.iter().flat_map(|one| [one.first, one.last]);
    let between = answer.possibly.difference(&answer.surely);
    let between: Vec<IpAddr> = between.ranges().map(|range| range.0).take(ALONE).collect();
    for source in edges.take(ALONE).chain(between) {
        let (one, _) = asked.trace(question, source);
        assert!(answer.possibly.contains(source) || !one.possibly.contains(source), "{source} alone gets in");
        assert!(!answer.surely.contains(source) || one.surely.contains(source), "{source} alone is not sure");
    }
}

/// Puts a condition that nobody can decide before one of the rules; whether there is one.
fn blur(host: &mut Host, dice: usize) -> bool {
    let chains = host.tables.iter_mut().flat_map(|table| &mut table.chains);
    let mut rules: Vec<_> = chains.flat_map(|chain| &mut chain.rules).collect();
    let count = rules.len().max(1);
    let Some(rule) = rules.get_mut(dice % count) else { return false };
    let unknown = Item::Match(Match { negated: false, test: Test::Unknown(Arc::from("blurred")) });
    rule.items = std::iter::once(unknown).chain(rule.items.iter().cloned()).collect();
    true
}
