//! Which address nginx tests: the peer's, or the one that a trusted peer tells.

use std::net::IpAddr;
use std::rc::Rc;

use super::level::{LevelId, Number, Role, first, rule};
use super::state::{Client, Once, State, all_of, settle};
use super::walk::Walk;
use crate::nginx::address::Network;
use crate::prefix::PrefixSet;

/// Whom `set_real_ip_from` trusts.
#[derive(Debug)]
pub(super) struct Trusted {
    /// Those named by address.
    pub(super) peers: PrefixSet,
    /// The lines that say so.
    pub(super) numbers: Vec<Number>,
    /// A line that names a host, which nginx resolves as it starts.
    name: Option<Number>,
}

impl Walk<'_, '_> {
    /// Whom a level trusts; `None` where it trusts nobody.
    pub(super) fn trusted(&self, id: LevelId) -> Option<Trusted> {
        let (_, numbers) = self.program.nearest(id, &["set_real_ip_from"])?;
        let mut peers = Vec::new();
        let mut name = None;
        for number in &numbers {
            let Some(line) = self.program.directive(*number) else { continue };
            let text = first(line.arguments());
            match Network::read(text) {
                Some(network) => peers.push(network.range.set()),
                None if text.starts_with("unix:") => {}
                None => name = Some(*number),
            }
        }
        Some(Trusted { peers: all_of(&peers), numbers, name })
    }

    /// Takes the address from where a trusted peer tells it, which happens once.
    ///
    /// <https://nginx.org/en/docs/http/ngx_http_realip_module.html>
    pub(super) fn real_ip(&mut self, id: LevelId, state: State) -> Vec<State> {
        let header = self.program.setting(id, "real_ip_header").unwrap_or_else(|| "x-real-ip".to_owned());
        self.real_ip_by(id, &header, state)
    }

    /// The same, where this header or protocol tells it.
    pub(super) fn real_ip_by(&mut self, id: LevelId, header: &str, state: State) -> Vec<State> {
        if state.known.told == Once::Done {
            return vec![state];
        }
        let Some(trusted) = self.trusted(id) else { return vec![state] };
        if header == "proxy_protocol" && !self.way.is_proxied {
            return vec![state];
        }
        self.about_trusted(&trusted, header);
        let mut states = Vec::new();
        let inside = state.known.client.within(&trusted.peers).unwrap_or_else(PrefixSet::everything);
        let (telling, others) = (state.callers.intersection(&inside), state.callers.difference(&inside));
        settle(&mut states, state.of(others.clone()));
        if let Some(number) = trusted.name {
            // Which address a name has is not known here: anybody else may be the one that is meant.
            let why: Rc<str> = "the address of a trusted proxy is given by name".into();
            self.note(number, &why, &others);
            let mut perhaps = state.of(others);
            perhaps.known.client = Client::Told(why);
            perhaps.known.told = Once::Done;
            settle(&mut states, perhaps);
        }
        if telling.is_empty() {
            return states;
        }
        if let Some(number) = trusted.numbers.first() {
            self.met(*number, || format!("trusts it: the address is what `{header}` says"));
        }
        for state in self.told(id, (header, &trusted.peers), state.of(telling)) {
            settle(&mut states, state);
        }
        states
    }

    /// What becomes of those whose peer is trusted.
    fn told(&self, id: LevelId, (header, trusted): (&str, &PrefixSet), mut state: State) -> Vec<State> {
        let reading = match self.program.setting(id, "real_ip_recursive").as_deref() {
            Some("on") => Reading::Beyond,
            _ => Reading::Last,
        };
        let shown = if header == "proxy_protocol" {
            "the PROXY protocol".to_owned()
        } else {
            format!("`{}`", shown(header))
        };
        if self.way.proxy.is_some() {
            state.known.told = Once::Done;
            if header == "x-forwarded-for" && reading == Reading::Beyond {
                // A caller from a trusted network is taken for one more proxy, whose word counts.
                let mut forging = state.of(state.callers.intersection(trusted));
                forging.known.client =
                    Client::Told(format!("{shown} is read on for callers who are trusted themselves").into());
                let mut honest = state.of(state.callers.difference(trusted));
                honest.known.client = Client::Own;
                let mut states = Vec::new();
                settle(&mut states, forging);
                settle(&mut states, honest);
                return states;
            }
            state.known.client = Client::Own;
            return vec![state];
        }
        let values: Vec<&str> = self.headers(header).collect();
        if values.is_empty() || header == "proxy_protocol" {
            let why = format!("the address that is tested is what {shown} says");
            state.known.client = Client::Told(why.into());
            state.known.told = Once::Done;
            return vec![state];
        }
        let address = match header {
            "x-forwarded-for" => forwarded(&values, trusted, reading),
            _ => values.last().and_then(|value| parsed(value)),
        };
        if let Some(address) = address {
            state.known.client = Client::Fixed(address);
            state.known.told = Once::Done;
        }
        vec![state]
    }
}

/// How far `X-Forwarded-For` is read, from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Its last address.
    Last,
    /// Beyond those that are trusted.
    Beyond,
}

/// The address that `X-Forwarded-For` tells: the last one, or the last that is not trusted.
pub(super) fn forwarded(values: &[&str], trusted: &PrefixSet, reading: Reading) -> Option<IpAddr> {
    let all = values.iter().rev().flat_map(|value| value.rsplit([',', ' ']));
    let mut found = None;
    for text in all.filter(|text| !text.is_empty()) {
        let Some(address) = parsed(text) else { return found };
        found = Some(address);
        if reading == Reading::Last || !trusted.contains(address.to_canonical()) {
            return found;
        }
    }
    found
}

/// An address with or without a port.
fn parsed(text: &str) -> Option<IpAddr> {
    let bare = text.trim();
    bare.parse().ok().or_else(|| bare.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
}

/// A header as people write it.
fn shown(header: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        first.to_ascii_uppercase() + rest
    };
    header.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// The line that trusts everybody, alone or with another, where there is one.
pub(super) fn everybody(trusted: &Trusted) -> Option<crate::admission::RuleId> {
    let all = PrefixSet::everything();
    let covers = |family| trusted.peers.covers(&all.only(family));
    let is_open = crate::prefix::Family::ALL.into_iter().any(covers);
    let number = trusted.numbers.last().filter(|_| is_open)?;
    Some(rule(*number, Role::Directive))
}
