//! Addresses as texts: which of them a pattern matches.
//!
//! Of IPv4 every address is decided, octet by octet: texts that bring the automaton to the same place share their
//! fate. Of IPv6 a pattern is decided that names single addresses, or that no address matches.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use regex_automata::dfa::{Automaton as _, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};

use super::pattern::Case;
use super::state::{Form, mapped};
use crate::nginx::pattern::Pattern;
use crate::prefix::span::Span;
use crate::prefix::{Family, PrefixSet};

/// Bytes that an automaton may have.
const SIZE_MAX: usize = 1 << 20;
/// Intervals that an answer may have.
const INTERVALS_MAX: usize = 1 << 16;
/// Addresses that a pattern may name.
const NAMED_MAX: usize = 1000;
/// Steps that looking for them may take.
const STEPS_MAX: usize = 200_000;
/// What an address of IPv6 is written with, unless it stands for one of IPv4.
const LETTERS: &str = "0123456789abcdef:";
/// The first address of IPv6 that stands for one of IPv4.
const MAPPED: u128 = 0xffff_0000_0000;

/// Callers divided by a pattern: whose address, as nginx writes it, matches.
#[derive(Debug, Clone, Default)]
pub(super) struct Matching {
    /// Those whose address does.
    pub(super) holds: PrefixSet,
    /// Those of whom nobody can say.
    pub(super) perhaps: PrefixSet,
}

/// The callers whose address matches a pattern.
pub(super) fn matching(pattern: &str, case: Case, form: Form) -> Matching {
    // What other engines read otherwise is not asked.
    let texts = match Pattern::new(pattern, case).unread() {
        None => Texts::new(pattern, case),
        Some(_) => None,
    };
    let head = match form {
        Form::Plain => "",
        Form::Mapped => "::ffff:",
    };
    let v4 = texts.as_ref().and_then(|texts| texts.v4(head));
    let v6 = texts.as_ref().and_then(Texts::v6);
    let all = PrefixSet::everything();
    let mut perhaps = PrefixSet::empty();
    if v4.is_none() {
        perhaps = perhaps.union(&all.only(Family::V4));
    }
    if v6.is_none() {
        perhaps = perhaps.union(&all.only(Family::V6));
    }
    let v4 = v4.map(|spans| spans.to_vec()).unwrap_or_default();
    Matching { holds: PrefixSet::from_spans(v4, v6.unwrap_or_default()), perhaps }
}

/// An address as nginx writes it.
pub(super) fn text_of(caller: IpAddr, form: Form) -> String {
    match form {
        Form::Plain => caller.to_string(),
        Form::Mapped => mapped(caller).to_string(),
    }
}

/// The addresses of a set, where they are not more than that.
pub(super) fn few(set: &PrefixSet, most: usize) -> Option<Vec<IpAddr>> {
    let mut found = Vec::new();
    for (first, last) in set.v4() {
        let room = most.checked_sub(found.len())?;
        if usize::try_from(last - first).map_or(true, |more| more >= room) {
            return None;
        }
        found.extend((*first..=*last).map(|address| IpAddr::from(Ipv4Addr::from(address))));
    }
    for (first, last) in set.v6() {
        let room = most.checked_sub(found.len())?;
        if usize::try_from(last - first).map_or(true, |more| more >= room) {
            return None;
        }
        found.extend((*first..=*last).map(|address| IpAddr::from(Ipv6Addr::from(address))));
    }
    Some(found)
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
        text.bytes().fold(at, |at, byte| self.step(at, byte))
    }

    fn step(&self, at: At, byte: u8) -> At {
        match at {
            At::Open(state) => self.at(self.automaton.next_state(state, byte)),
            decided => decided,
        }
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
            let end = self.read(at, &octet.to_string());
            let next = match more {
                0 if self.ends(end) => At::Yes,
                0 => At::No,
                _ => self.read(end, "."),
            };
            let first = u32::try_from(octet * width).ok()?;
            match next {
                At::Yes => join(&mut spans, (first, first + u32::try_from(width - 1).ok()?)),
                At::No => {}
                open @ At::Open(_) => {
                    let inner = self.octets(open, more - 1, known)?;
                    inner.iter().for_each(|(from, to)| join(&mut spans, (first + from, first + to)));
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

    /// The addresses of IPv6 whose text matches, where they are few, or none, or all.
    fn v6(&self) -> Option<Vec<Span<u128>>> {
        // A match is known one letter after it.
        let is_any =
            self.ends(self.start) && LETTERS.bytes().all(|letter| self.step(self.start, letter) == At::Yes);
        if is_any {
            return Some(vec![(u128::MIN, u128::MAX)]);
        }
        // What has dots stands for an address of IPv4.
        let mapped = self.v4("::ffff:")?;
        let wide = |address: u32| MAPPED | u128::from(address);
        let mut found: Vec<Span<u128>> =
            mapped.iter().map(|(first, last)| (wide(*first), wide(*last))).collect();
        if self.may_match(LETTERS) {
            found.extend(self.named()?.into_iter().map(|number| (number, number)));
        }
        Some(found)
    }

    /// Whether some text of these letters matches.
    fn may_match(&self, letters: &str) -> bool {
        let mut seen = BTreeSet::from([self.start]);
        let mut open = vec![self.start];
        while let Some(at) = open.pop() {
            if self.ends(at) {
                return true;
            }
            let next = letters.bytes().map(|letter| self.step(at, letter));
            open.extend(next.filter(|next| seen.insert(*next)));
        }
        false
    }

    /// The addresses of IPv6 whose text matches, each by itself.
    fn named(&self) -> Option<Vec<u128>> {
        let mut found = Vec::new();
        let mut steps = 0_usize;
        let mut open = vec![(self.start, String::new())];
        while let Some((at, text)) = open.pop() {
            steps += 1;
            if steps > STEPS_MAX || found.len() > NAMED_MAX || at == At::Yes {
                return None;
            }
            if self.ends(at) {
                found.extend(number(&text));
            }
            let longer = LETTERS
                .bytes()
                .map(|letter| (self.step(at, letter), format!("{text}{}", char::from(letter))));
            open.extend(longer.filter(|(next, text)| *next != At::No && is_start(text)));
        }
        Some(found)
    }
}

/// Whether an address of IPv6 may start like this.
fn is_start(text: &str) -> bool {
    let group = text.rsplit(':').next().unwrap_or_default();
    let is_well_formed = group.len() <= 4 && !text.contains(":::") && text.matches("::").count() <= 1;
    is_well_formed && text.matches(':').count() <= 8
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

    /// Whom it matches, and of whom nobody can say.
    fn shown(pattern: &str, form: Form) -> (String, String) {
        let found = matching(pattern, Case::Sensitive, form);
        let words = |set: &PrefixSet| {
            let all: Vec<String> =
                set.to_prefixes().iter().map(|prefix| prefix.short().to_string()).collect();
            all.join(" ")
        };
        (words(&found.holds), words(&found.perhaps))
    }

    #[test]
    fn a_pattern_is_a_set_of_addresses() {
        let dots = "102.3.4.5 112.3.4.5 122.3.4.5 132.3.4.5 142.3.4.5 152.3.4.5 162.3.4.5 172.3.4.5 182.3.4.5 192.3.4.5";
        for (pattern, wanted) in [
            (r"^203\.0\.113\.", "203.0.113.0/24"),
            (r"^10\.", "10.0.0.0/8"),
            (r"^203\.0\.113\.([0-9]|1[0-5])$", "203.0.113.0/28"),
            (r"^(192\.0\.2\.1|2001:db8::1|2001:0db8::2)$", "192.0.2.1 2001:db8::1"),
            ("^x", ""),
            ("", "0.0.0.0/0 ::/0"),
            // The first dot stands for any letter.
            (r"^1.2\.3\.4\.5$", dots),
        ] {
            assert_eq!(shown(pattern, Form::Plain), (wanted.to_owned(), String::new()), "{pattern}");
        }
        let (mapped, _) = shown(r"^::ffff:203\.0\.113\.7$", Form::Mapped);
        assert_eq!(mapped, "203.0.113.7 ::ffff:203.0.113.7");
    }

    #[test]
    fn what_would_be_too_many_is_left_open() {
        for (pattern, wanted) in [
            ("7$", "0.0.0.0/0 ::/0"),
            ("(?=1)", "0.0.0.0/0 ::/0"),
            ("^2001:", "::/0"),
            ("2.1.5", "0.0.0.0/0 ::/0"),
        ] {
            assert_eq!(shown(pattern, Form::Plain).1, wanted, "{pattern}");
        }
    }
}
