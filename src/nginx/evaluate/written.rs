//! Addresses as texts: which of them a pattern matches.
//!
//! Of IPv4 every address is decided, octet by octet: texts that bring the automaton to the same place share their
//! fate. Of IPv6 a pattern is decided that names single addresses, or that no address matches.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

use regex_automata::dfa::{Automaton as _, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};

use super::pattern::Case;
use super::state::{Client, mapped};
use crate::nginx::pattern::Pattern;
use crate::prefix::PrefixSet;
use crate::prefix::span::Span;

/// Bytes that an automaton may have.
const SIZE_MAX: usize = 1 << 20;
/// Intervals that an answer may have.
const INTERVALS_MAX: usize = 1 << 16;
/// Addresses that a pattern may name.
const NAMED_MAX: usize = 1000;
/// Steps that looking for them may take.
const STEPS_MAX: usize = 200_000;
/// Characters of the longest address.
const LENGTH_MAX: usize = 45;

/// The callers whose address, as nginx writes it, matches a pattern; `None` where nobody can say.
pub(super) fn matching(pattern: &str, case: Case, client: &Client) -> Option<PrefixSet> {
    // What other engines read otherwise is not asked.
    if Pattern::new(pattern, case).unread().is_some() {
        return None;
    }
    let texts = Texts::new(pattern, case)?;
    let head = if *client == Client::Mapped { "::ffff:" } else { "" };
    let v4 = texts.v4(head)?;
    let v6 = texts.v6()?;
    Some(PrefixSet::from_spans(v4.to_vec(), v6))
}

/// An address as nginx writes it.
pub(super) fn text_of(caller: IpAddr, client: &Client) -> String {
    match client {
        Client::Mapped => mapped(caller).to_string(),
        Client::Own | Client::Fixed(_) | Client::Told(_) => caller.to_string(),
    }
}

/// Where reading a text has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    /// It matches, whatever follows.
    Yes,
    /// It never will.
    No,
    Open(StateID),
}

/// A pattern that texts are read by.
struct Texts {
    automaton: dense::DFA<Vec<u32>>,
    start: At,
}

impl Texts {
    fn new(pattern: &str, case: Case) -> Option<Self> {
        let syntax = syntax::Config::new()
            .unicode(false)
            .utf8(false)
            .nest_limit(50)
            .case_insensitive(case == Case::Insensitive);
        let config = dense::Config::new()
            .match_kind(MatchKind::All)
            .dfa_size_limit(Some(SIZE_MAX))
            .determinize_size_limit(Some(SIZE_MAX));
        let automaton = dense::Builder::new()
            .configure(config)
            .syntax(syntax)
            .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(SIZE_MAX)))
            .build(pattern)
            .ok()?;
        let start = automaton.start_state(&start::Config::new().anchored(Anchored::No)).ok()?;
        let mut texts = Self { automaton, start: At::No };
        texts.start = texts.at(start);
        Some(texts)
    }

    fn at(&self, state: StateID) -> At {
        if self.automaton.is_match_state(state) {
            At::Yes
        } else if self.automaton.is_dead_state(state) || self.automaton.is_quit_state(state) {
            At::No
        } else {
            At::Open(state)
        }
    }

    fn read(&self, at: At, text: &str) -> At {
        text.bytes().fold(at, |at, byte| match at {
            At::Open(state) => self.at(self.automaton.next_state(state, byte)),
            decided => decided,
        })
    }

    /// Whether a text that ends here matches.
    fn ends(&self, at: At) -> bool {
        match at {
            At::Yes => true,
            At::No => false,
            At::Open(state) => self.automaton.is_match_state(self.automaton.next_eoi_state(state)),
        }
    }

    /// The addresses of IPv4 whose text matches, with these characters before it.
    fn v4(&self, head: &str) -> Option<Rc<Vec<Span<u32>>>> {
        let start = self.read(self.start, head);
        self.octets(start, 3, &mut BTreeMap::new())
    }

    /// The numbers that so many octets and one more may be, read from here on.
    fn octets(
        &self,
        at: At,
        more: u32,
        known: &mut BTreeMap<(At, u32), Rc<Vec<Span<u32>>>>,
    ) -> Option<Rc<Vec<Span<u32>>>> {
        if let Some(spans) = known.get(&(at, more)) {
            return Some(Rc::clone(spans));
        }
        let width = 1_u64 << (8 * more);
        let mut spans: Vec<Span<u32>> = Vec::new();
        for octet in 0..=255_u64 {
            let mut next = self.read(at, &octet.to_string());
            if more == 0 {
                next = if self.ends(next) { At::Yes } else { At::No };
            } else {
                next = self.read(next, ".");
            }
            let first = u32::try_from(octet * width).ok()?;
            match next {
                At::Yes => join(&mut spans, (first, first + u32::try_from(width - 1).ok()?)),
                At::No => {}
                open @ At::Open(_) => {
                    for (from, to) in self.octets(open, more - 1, known)?.iter() {
                        join(&mut spans, (first + from, first + to));
                    }
                }
            }
            if spans.len() > INTERVALS_MAX {
                return None;
            }
        }
        let spans = Rc::new(spans);
        known.insert((at, more), Rc::clone(&spans));
        Some(spans)
    }

    /// The addresses of IPv6 whose text matches, where they are few, or all.
    fn v6(&self) -> Option<Vec<Span<u128>>> {
        if self.start == At::Yes {
            return Some(vec![(u128::MIN, u128::MAX)]);
        }
        let mut found = Vec::new();
        let mut steps = 0_usize;
        let mut open = vec![(self.start, String::new())];
        while let Some((at, text)) = open.pop() {
            steps += 1;
            if steps > STEPS_MAX || found.len() > NAMED_MAX {
                return None;
            }
            if self.ends(at) {
                found.extend(number(&text));
            }
            if text.len() > LENGTH_MAX {
                continue;
            }
            for letter in "0123456789abcdef:.".chars() {
                let mut longer = text.clone();
                longer.push(letter);
                match self.read(at, longer.get(text.len()..)?) {
                    At::No => {}
                    next if is_start(&longer) => {
                        if next == At::Yes {
                            return None;
                        }
                        open.push((next, longer));
                    }
                    _ => {}
                }
            }
        }
        Some(found.into_iter().map(|number| (number, number)).collect())
    }
}

/// Whether an address of IPv6 may start like this: what has a dot has `::ffff:` before it.
fn is_start(text: &str) -> bool {
    const MAPPED: &str = "::ffff:";
    let group = text.rsplit([':', '.']).next().unwrap_or_default();
    let dotted = text.contains('.');
    let well_formed = group.len() <= 4 && !text.contains(":::") && text.matches("::").count() <= 1;
    well_formed && text.matches(':').count() <= 8 && (!dotted || text.starts_with(MAPPED))
}

/// The address that is written like this.
fn number(text: &str) -> Option<u128> {
    let address: Ipv6Addr = text.parse().ok()?;
    (address.to_string() == text).then(|| address.into())
}

fn join(spans: &mut Vec<Span<u32>>, span: Span<u32>) {
    match spans.last_mut() {
        Some(last) if last.1.checked_add(1) == Some(span.0) => last.1 = span.1,
        _ => spans.push(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pattern: &str, client: &Client) -> Option<Vec<String>> {
        let set = matching(pattern, Case::Sensitive, client)?;
        Some(set.to_prefixes().iter().map(|prefix| prefix.short().to_string()).collect())
    }

    #[test]
    fn a_pattern_is_a_set_of_addresses() {
        let own = |pattern| shown(pattern, &Client::Own).unwrap().join(" ");
        assert_eq!(own(r"^203\.0\.113\."), "203.0.113.0/24");
        assert_eq!(own(r"^10\."), "10.0.0.0/8");
        assert_eq!(own(r"^203\.0\.113\.([0-9]|1[0-5])$"), "203.0.113.0/28");
        assert_eq!(own(r"^(192\.0\.2\.1|2001:db8::1|2001:0db8::2)$"), "192.0.2.1 2001:db8::1");
        assert_eq!(own("^x"), "");
        assert_eq!(own(""), "0.0.0.0/0 ::/0");
        // The first dot stands for any letter.
        assert_eq!(
            own(r"^1.2\.3\.4\.5$"),
            "102.3.4.5 112.3.4.5 122.3.4.5 132.3.4.5 142.3.4.5 152.3.4.5 162.3.4.5 172.3.4.5 182.3.4.5 192.3.4.5"
        );
        assert_eq!(shown(r"^::ffff:203\.0\.113\.7$", &Client::Mapped).unwrap()[0], "203.0.113.7");
    }

    #[test]
    fn what_would_be_too_many_is_not_said() {
        assert_eq!(shown("7$", &Client::Own), None);
        assert_eq!(shown("(?=1)", &Client::Own), None);
        assert_eq!(shown("^2001:", &Client::Own), None);
    }
}
