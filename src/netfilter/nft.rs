//! What `nft` prints, as data: `nft list ruleset` as text, with handles or without, and `nft -j list ruleset`.
//!
//! Both views become one small syntax tree, which knows words and their order and nothing of their meaning;
//! `lower` alone turns it into the data of [`netfilter`](super). What neither of them knows stays an unknown
//! match or an opaque statement. Text that isn't whole, or isn't nft's, is an error: it is never judged.
//!
//! The manual page is <https://manpages.debian.org/bookworm/nftables/nft.8.en.html>, that of the JSON
//! <https://manpages.debian.org/bookworm/libnftables1/libnftables-json.5.en.html>.

mod compare;
mod elements;
mod expression;
mod fields;
pub mod json;
mod json_tree;
mod lexer;
mod lower;
mod mark;
mod names;
mod nat;
mod object;
mod statement;
pub mod text;
mod values;

pub(in crate::netfilter) use names::is_extension;
use std::borrow::Cow;

use super::{NatKind, Place, ReadError};

/// How deep braces, brackets and expressions may stand in each other.
const DEPTH_MAX: u32 = 64;

/// A part of the tree that borrows from the listing.
type Text<'a> = Cow<'a, str>;

/// What is looked at or compared with.
#[derive(Debug, Clone, PartialEq)]
enum Expr<'a> {
    /// A number, an address, a name.
    Word(Text<'a>),
    /// `*`: everything that nothing else names.
    Wildcard,
    /// A property of packet, connection or moment.
    Select(Select<'a>),
    /// `a . b`
    Concat(Vec<Expr<'a>>),
    /// `a,b`: flags.
    List(Vec<Expr<'a>>),
    /// `{ a, b }`
    Set(Vec<Entry<'a>>),
    /// `@name`
    Named(Text<'a>),
    /// First and last.
    Range(Box<(Expr<'a>, Expr<'a>)>),
    /// An address and its length.
    Prefix(Box<Expr<'a>>, u32),
    /// Bits of two.
    Binary(Bits, Box<(Expr<'a>, Expr<'a>)>),
    /// `key map data`
    Map(Box<(Expr<'a>, Expr<'a>)>),
    /// Known to be something that is not modelled; the words say what.
    Unknown(Text<'a>),
}

/// A property: `ip saddr`, `ct original proto-dst`, `fib daddr type`.
#[derive(Debug, Clone, PartialEq)]
struct Select<'a> {
    /// Header or kind: `ip`, `meta`, `ct`, `fib`.
    base: Text<'a>,
    /// Which of it: `saddr`, `daddr type`.
    key: Text<'a>,
    /// `original` or `reply`, where it was said.
    direction: Option<Direction>,
}

/// Whose tuple of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Original,
    Reply,
}

/// How bits are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bits {
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

/// An element of a set or a map.
#[derive(Debug, Clone, PartialEq)]
struct Entry<'a> {
    key: Expr<'a>,
    value: Option<Held<'a>>,
}

/// What a map holds for a key.
#[derive(Debug, Clone, PartialEq)]
enum Held<'a> {
    Verdict(Word<'a>),
    Value(Expr<'a>),
}

/// A verdict as it is written.
#[derive(Debug, Clone, PartialEq)]
enum Word<'a> {
    Accept,
    Drop,
    Continue,
    Return,
    Reject,
    Jump(Text<'a>),
    Goto(Text<'a>),
}

/// How left and right are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// Nothing was written: equal, or one of the flags. JSON calls the latter `in`.
    Implicit,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `!`: none of the flags.
    None,
}

/// Jump or goto.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hop {
    Jump,
    Goto,
}

/// A statement of a rule. What has no effect on the question never becomes one.
#[derive(Debug, Clone, PartialEq)]
enum Statement<'a> {
    Match {
        left: Expr<'a>,
        operator: Operator,
        right: Expr<'a>,
    },
    Verdict(Word<'a>),
    /// `jump { … }`
    Inline(Hop, Vec<RuleTree<'a>>),
    VerdictMap {
        key: Expr<'a>,
        data: Expr<'a>,
    },
    /// `meta mark set …`
    Set {
        target: Expr<'a>,
        value: Expr<'a>,
    },
    Notrack,
    Nat(NatTree<'a>),
    /// `add @set { key … }`
    Change {
        set: Text<'a>,
        key: Expr<'a>,
        inner: Vec<Statement<'a>>,
    },
    /// A condition nobody can judge from here; the words say which.
    Unknown(Text<'a>),
    /// Could do anything; sets that it may change are named.
    Opaque {
        words: Text<'a>,
        sets: Vec<Text<'a>>,
    },
}

/// A translation as it is written.
#[derive(Debug, Clone, PartialEq)]
struct NatTree<'a> {
    kind: NatKind,
    /// `ip` or `ip6`, where it was said.
    family: Option<Text<'a>>,
    addresses: Option<Expr<'a>>,
    ports: Option<Expr<'a>>,
    /// Whether the whole of it was understood.
    form: Form,
}

/// Whether a form is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Known,
    Unknown,
}

/// A rule as it is written.
#[derive(Debug, Clone, PartialEq)]
struct RuleTree<'a> {
    statements: Vec<Statement<'a>>,
    place: Place,
    handle: u32,
}

fn word(text: &str) -> Expr<'_> {
    Expr::Word(Cow::Borrowed(text))
}

fn opaque<'a>(words: impl Into<Text<'a>>) -> Statement<'a> {
    Statement::Opaque { words: words.into(), sets: Vec::new() }
}

fn error(place: Place, message: impl Into<String>) -> ReadError {
    let help = "capture it again, whole, with `nft -a list ruleset` or `nft -j list ruleset`, as root";
    ReadError { place, message: message.into(), help: help.to_owned() }
}

/// The first words of a foreign text, for messages.
fn shown(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(60).filter(|c| !c.is_control()).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netfilter::{Action, Item, Match, Reading, Rule, Set, Table, Test};

    /// Listings that nft 1.0.6 printed, as text and as JSON; the script `dump` beside them makes them.
    const DUMPS: [(&str, &str); 2] = [
        (
            include_str!("../../tests/fixtures/nft/common.nft"),
            include_str!("../../tests/fixtures/nft/common.json"),
        ),
        (
            include_str!("../../tests/fixtures/nft/constructs.nft"),
            include_str!("../../tests/fixtures/nft/constructs.json"),
        ),
    ];

    /// A rule without its place, and without words that only say what is not known.
    fn plain(rule: &Rule) -> String {
        let items = rule.items.iter().map(|item| match item {
            Item::Act(Action::Opaque(_)) => "Opaque".to_owned(),
            Item::Match(Match { negated, test: Test::Unknown(_) }) => format!("Unknown {negated}"),
            other => format!("{other:?}"),
        });
        format!("{} {}", rule.handle, items.collect::<Vec<_>>().join(" "))
    }

    fn check_tables(text: &Table, json: &Table) {
        assert_eq!((text.family, &text.name), (json.family, &json.name));
        assert!(json.dormant.is_none() || text.dormant == json.dormant, "{:?}", text.name);
        for (name, set) in &text.sets {
            assert_eq!(Some(set), json.sets.get(name), "{name}");
        }
        assert_eq!(text.sets.len(), json.sets.len());
        let chains = |table: &Table| table.chains.iter().map(|chain| chain.name.clone()).collect::<Vec<_>>();
        assert_eq!(chains(text), chains(json));
        for (text, json) in text.chains.iter().zip(&json.chains) {
            let mut base = text.base.clone();
            if let Some(base) = &mut base {
                // The JSON of 1.0.6 has no devices.
                base.devices = None;
            }
            assert_eq!(base, json.base, "{:?}", text.name);
            let rules = |rules: &[Rule]| rules.iter().map(plain).collect::<Vec<_>>();
            similar_asserted(&rules(&text.rules), &rules(&json.rules));
        }
    }

    fn similar_asserted(text: &[String], json: &[String]) {
        for (text, json) in text.iter().zip(json) {
            assert_eq!(text, json);
        }
        assert_eq!(text.len(), json.len());
    }

    fn texts() -> impl Iterator<Item = Reading> {
        DUMPS.into_iter().map(|(text, _)| text::read_text(text, 0).unwrap())
    }

    #[test]
    fn both_views_of_a_ruleset_say_the_same() {
        for (text, json) in DUMPS {
            let (text, json) = (text::read_text(text, 0).unwrap(), json::read_json(json, 1).unwrap());
            assert_eq!(text.tables.len(), json.tables.len());
            for (text, json) in text.tables.iter().zip(&json.tables) {
                check_tables(text, json);
            }
            assert_eq!((text.remarks, json.remarks), (vec![], vec![]));
        }
    }

    #[test]
    fn every_rule_knows_its_text() {
        for (index, reading) in texts().enumerate() {
            let text = DUMPS[index].0;
            let rules = reading.tables.iter().flat_map(|table| &table.chains).flat_map(|chain| &chain.rules);
            for rule in rules {
                let place = rule.place;
                let shown = &text[place.start as usize..place.end as usize];
                let line = text.lines().nth(place.line as usize - 1).unwrap();
                assert!(line.trim_start().starts_with(shown.lines().next().unwrap()), "{shown}");
                let after = &text[place.end as usize..];
                assert!(rule.handle == 0 || after.starts_with(&format!(" # handle {}\n", rule.handle)));
            }
        }
    }

    #[test]
    fn sets_that_rules_change_are_dynamic_and_others_are_not() {
        let reading = texts().nth(1).unwrap();
        let dynamic: Vec<&str> = reading.tables[0]
            .sets
            .iter()
            .filter_map(|(name, set): (_, &Set)| set.dynamic.then_some(name.as_ref()))
            .collect();
        assert_eq!(dynamic, ["dy", "pmd"]);
    }

    /// A dump with a piece cut out, doubled or replaced.
    fn mutated(text: &str, from: usize, length: usize, with: &str) -> String {
        let from = text.floor_char_boundary(from % (text.len() + 1));
        let to = text.floor_char_boundary((from + length).min(text.len()));
        format!("{}{with}{}", &text[..from], &text[to..])
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in ".*") {
            let _ = text::read_text(&text, 0);
            let _ = json::read_json(&text, 0);
            let _ = text::read_text(&format!("table ip t {{\n chain c {{\n {text}\n }}\n}}\n"), 0);
            let _ = text::read_text(&format!("table ip t {{\n set c {{\n type ipv4_addr\n elements = {{ {text} }}\n }}\n}}\n"), 0);
        }

        #[test]
        fn no_dump_that_was_tampered_with_makes_a_reader_panic(
            which in 0..DUMPS.len(), from in 0..100_000_usize, length in 0..40_usize,
            with in "[-a-z0-9{}()@.,:;/ \"\n!=<>&|*#]{0,12}",
        ) {
            let _ = text::read_text(&mutated(DUMPS[which].0, from, length, &with), 0);
            let _ = json::read_json(&mutated(DUMPS[which].1, from, length, &with), 0);
        }

        #[test]
        fn a_dump_that_was_cut_off_is_an_error(which in 0..DUMPS.len(), at in 0..100_000_usize) {
            let (text, json) = DUMPS[which];
            let cut = &text[..at % text.len()];
            // Between two tables nobody can tell.
            if !cut.trim_end().ends_with("\n}") && !cut.trim_end().is_empty() && !only_comment_after_tables(cut) {
                proptest::prop_assert!(text::read_text(cut, 0).is_err(), "{}", cut);
            }
            let cut = &json[..at % json.trim_end().len()];
            proptest::prop_assert!(json::read_json(cut, 0).is_err());
        }
    }

    fn only_comment_after_tables(cut: &str) -> bool {
        cut.rsplit("\n}").next().is_some_and(|rest| rest.trim().is_empty())
    }
}
