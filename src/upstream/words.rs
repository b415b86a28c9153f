//! What the words around addresses mean: who calls whom, whose networks they are, which environment.
//!
//! Generic words of such pages only; no provider's name and no page's sentence is known here. A phrase is looked for in
//! [`Wording`], where words are lower case with one space between.

mod past;
mod phrases;
mod places;

use std::collections::BTreeSet;

use crate::policy::Environment;
use past::{COMING, FORMER, OTHERS, PAST, PAST_NAMED, STILL};
use phrases::{
    CALLBACKS, CALLS, CHANGES, HISTORY, INWARD, OTHER, OUTWARD, PURPOSES, SHOWN, SOURCE, TRAFFIC, YOURS,
};
use places::{
    CERTAIN, COMPOUNDS, FOLLOWS, NAMES, OWNED, PLACES, POINTS, PRODUCTION_WORDS, TEST_WORDS, THINGS, USED,
    WITHIN,
};

/// A text as words, for phrases to be found in: ` the ip addresses `.
#[derive(Debug, Clone, Default)]
pub(super) struct Wording(String);

/// Which way requests go, from a side that is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    /// Inwards.
    In,
    /// Outwards.
    Out,
}

/// What words say of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The provider calls from them.
    Source,
    /// They are something else: called, examples, versions.
    Other,
    /// They are sources no more.
    Former,
}

impl Wording {
    /// A text as words.
    pub(super) fn new(text: &str) -> Self {
        let mut words = String::with_capacity(text.len() + 2);
        words.push(' ');
        for letter in text.chars() {
            if letter.is_alphanumeric() {
                words.extend(letter.to_lowercase());
            } else if !words.ends_with(' ') {
                words.push(' ');
            }
        }
        if !words.ends_with(' ') {
            words.push(' ');
        }
        Self(words)
    }

    /// Whether it has one of these phrases.
    pub(super) fn has(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.0.contains(phrase))
    }

    /// Its words with one space between.
    pub(super) fn text(&self) -> &str {
        self.0.trim()
    }

    /// Whether it says that the provider calls from here.
    pub(super) fn says_calls(&self) -> bool {
        self.has(CALLS)
    }

    /// Whether it says that networks are the provider's own.
    pub(super) fn says_owned(&self) -> bool {
        self.has(OWNED) && !self.has(&[" customer owned", " merchant owned"])
    }

    /// What it says of addresses in it or below it; `None` where it says nothing.
    pub(super) fn standing(&self) -> Option<Standing> {
        if self.says_former() {
            return Some(Standing::Former);
        }
        if self.says_calls() {
            return Some(Standing::Source);
        }
        let traffic = self.has(TRAFFIC) && !self.names_callbacks();
        if self.has(OTHER) || traffic || YOURS.contains(&self.text()) {
            return Some(Standing::Other);
        }
        self.has(SOURCE).then_some(Standing::Source)
    }

    /// Whether it says that addresses are used no more.
    fn says_former(&self) -> bool {
        let mut text = self.0.clone();
        for coming in COMING.iter().filter(|coming| self.0.contains(**coming)) {
            text = text.replace(coming, " ");
        }
        let former = FORMER.iter().any(|phrase| text.contains(phrase));
        let past = self.has(PAST_NAMED) && !self.has(STILL);
        let shut =
            ["block ", "deny ", "reject ", "blockera "].iter().any(|start| self.text().starts_with(start));
        shut || (former && !self.has(&[" callbacks at port", " no longer support"]) && !self.has(OTHERS))
            || past
    }

    /// Whether a label or a short line tells addresses that were.
    pub(super) fn labels_past(&self) -> bool {
        self.has(PAST) && !self.has(STILL)
    }

    /// Whether it says of some addresses that the provider calls from them, and of some that it is called there.
    pub(super) fn says_both(&self) -> bool {
        self.says_calls() && self.has(OTHER)
    }

    /// Whether it names the requests that the provider sends.
    pub(super) fn names_callbacks(&self) -> bool {
        self.has(CALLBACKS)
    }

    /// Whether it names something else that addresses are for.
    pub(super) fn names_purpose(&self) -> bool {
        self.has(PURPOSES) && !self.names_callbacks()
    }

    /// The direction that it names, where it names one and says no more.
    pub(super) fn direction(&self) -> Option<Direction> {
        match (self.has(INWARD), self.has(OUTWARD)) {
            (true, false) => Some(Direction::In),
            (false, true) => Some(Direction::Out),
            (true, true) | (false, false) => None,
        }
    }

    /// Whether it points to something else.
    pub(super) fn points_away(&self) -> bool {
        self.has(&[" see ", " refer to ", " read more", " learn more"])
    }

    /// Whether it says that addresses are used.
    pub(super) fn says_used(&self) -> bool {
        self.has(USED) && !self.names_purpose()
    }

    /// Whether all it says is that changes follow.
    pub(super) fn says_changes(&self) -> bool {
        CHANGES.contains(&self.text())
    }

    /// Whether what stands below it was once, whatever is said there.
    pub(super) fn says_history(&self) -> bool {
        self.has(HISTORY)
    }

    /// Whether what stands below it is an example, or history.
    pub(super) fn says_shown(&self) -> bool {
        self.has(SHOWN)
    }

    /// Whether it says that a list of addresses follows.
    pub(super) fn announces(&self) -> bool {
        self.opens_list() && self.has(FOLLOWS)
    }

    /// Whether it speaks of addresses, so that a list of them follows if it ends with a colon.
    pub(super) fn opens_list(&self) -> bool {
        let names = self.has(NAMES) || (self.says_calls() && self.has(&[" address", " adress"]));
        names && !self.has(POINTS) && !self.has(OTHER)
    }

    /// Environments that a label names: `Production`, `CTE Integration`.
    pub(super) fn labels(&self) -> BTreeSet<Environment> {
        let mut named: BTreeSet<Environment> = self.environments().into_iter().map(|(_, one)| one).collect();
        let word = |words: &[&str]| words.iter().any(|word| self.0.contains(&format!(" {word} ")));
        if word(PRODUCTION_WORDS) {
            named.insert(Environment::Production);
        }
        if word(TEST_WORDS) || self.0.contains(" pre prod") {
            named.insert(Environment::Test);
        }
        if self.0.contains(" pre prod") && !word(&["live"]) && self.0.matches(" prod").count() < 2 {
            named.remove(&Environment::Production);
        }
        named
    }

    /// Environments that a sentence names, and where.
    pub(super) fn environments(&self) -> Vec<(usize, Environment)> {
        let mut found = Vec::new();
        let words: Vec<(usize, &str)> = positions(&self.0);
        for (index, (at, word)) in words.iter().enumerate() {
            let environment = match *word {
                word if PRODUCTION_WORDS.contains(&word) => Environment::Production,
                word if TEST_WORDS.contains(&word) && word != "integration" => Environment::Test,
                _ => continue,
            };
            let near = |range: std::ops::Range<usize>| {
                words.get(range).unwrap_or_default().iter().map(|(_, word)| *word)
            };
            let end = (index + 5).min(words.len());
            let named = near(index + 1..end).any(|word| PLACES.contains(&word));
            let paired = near(index.saturating_sub(2)..end).any(|other| {
                other != *word
                    && (PRODUCTION_WORDS.contains(&other) && other != "prod"
                        || TEST_WORDS.contains(&other) && other != "integration")
            });
            let certain = CERTAIN.contains(word) || COMPOUNDS.iter().any(|compound| word.contains(compound));
            let before = index.checked_sub(1).and_then(|at| words.get(at)).map_or("", |(_, word)| *word);
            let behind = words.get(index + 1).map_or("", |(_, word)| *word);
            let within = WITHIN.contains(&before) && !THINGS.contains(&behind) && *word != "integration";
            if named || paired || certain || within {
                found.push((*at, environment));
            }
        }
        found
    }
}

fn positions(text: &str) -> Vec<(usize, &str)> {
    let mut at = 0;
    let mut words = Vec::new();
    for word in text.split(' ') {
        if !word.is_empty() {
            words.push((at, word));
        }
        at += word.len() + 1;
    }
    words
}

/// A heading for comparison: no numbering, no signs, no case.
pub(super) fn heading(text: &str) -> String {
    let words = Wording::new(text);
    let words = words.text().trim_end_matches(" permalink").trim_end_matches(" link copied");
    let unnumbered = words.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ' ');
    if unnumbered.is_empty() { words.to_owned() } else { unnumbered.to_owned() }
}

/// Cuts a text into sentences, as ranges of bytes.
pub(super) fn sentences(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let ends = matches!(byte, b'.' | b'!' | b'?') && bytes.get(at + 1) == Some(&b' ');
        let opens = text
            .get(at + 2..)
            .and_then(|rest| rest.chars().next())
            .is_some_and(|next| next.is_uppercase() || !next.is_alphanumeric());
        if ends && opens && !abbreviates(text.get(start..at).unwrap_or_default()) {
            found.push(start..at + 1);
            start = at + 2;
        }
    }
    if start < text.len() {
        found.push(start..text.len());
    }
    found
}

/// Whether a text ends with an abbreviation rather than a sentence.
fn abbreviates(text: &str) -> bool {
    let last = text.rsplit([' ', '(']).next().unwrap_or_default().to_lowercase();
    ["e.g", "i.e", "etc", "approx", "incl", "no", "vs", "resp"].contains(&last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standings_are_told_apart() {
        for (text, wanted) in [
            ("The callback is sent from", Some(Standing::Source)),
            ("allow incoming traffic from our servers", Some(Standing::Source)),
            ("Your outbound traffic", Some(Standing::Other)),
            ("We need to update our outbound IP addresses", Some(Standing::Source)),
            ("Our API is at", Some(Standing::Other)),
            ("It is no longer used", Some(Standing::Former)),
            ("The quick brown fox", None),
        ] {
            assert_eq!(Wording::new(text).standing(), wanted, "{text}");
        }
    }

    #[test]
    fn environments_are_named() {
        let (production, test) = (Environment::Production, Environment::Test);
        for (text, wanted) in [
            ("Production", vec![production]),
            ("CTE Integration:", vec![test]),
            ("Test & live", vec![production, test]),
            ("Pre-production", vec![test]),
            ("Callbacks", vec![]),
        ] {
            let found: Vec<Environment> = Wording::new(text).labels().into_iter().collect();
            assert_eq!(found, wanted, "{text}");
        }
        for (text, wanted) in [
            ("in both the test and production environment", vec![test, production]),
            ("during tests, be aware", vec![]),
            ("a test callback", vec![]),
            ("going live March 12th", vec![]),
            ("in the live environment", vec![production]),
        ] {
            let found: Vec<Environment> =
                Wording::new(text).environments().into_iter().map(|(_, one)| one).collect();
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn sentences_end_with_what_ends_them() {
        let text = "It is 1.2.3.4. The other is 5.6.7.8 (e.g. A). `x` too";
        let parts: Vec<&str> = sentences(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(parts, ["It is 1.2.3.4.", "The other is 5.6.7.8 (e.g. A).", "`x` too"]);
    }

    #[test]
    fn headings_are_compared_by_their_words() {
        assert_eq!(heading("3.2 Callback IP-Addresses ¶"), heading("callback ip addresses"));
        assert_eq!(heading("FAQ – Change of “x”"), heading("faq - change of \"x\""));
    }
}
