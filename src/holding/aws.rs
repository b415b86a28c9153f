//! Holdings in AWS: rules of a security group, and entries of a managed prefix list, that carry our marker.
//!
//! A content has a line of JSON for each rule or entry, and whose it is. Those of others are in it as far as they name
//! the same as ours could: AWS refuses a second rule for the same, so one that is there already is *kept*, or *taken over* by
//! giving it our description. Nothing else of others is ever named by an order.
//!
//! Orders are in a sequence that admits at every moment whom both the old and the new content admit: what is added comes
//! before what is taken away.

pub mod group;
pub mod list;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Content, Holding, HoldingError, Step};
use crate::admission::Listing;
use crate::prefix::{Prefix, PrefixSet};
use crate::security_group::{Groups, cidr};

/// How descriptions start of what is ours.
pub const MARKER: &str = "callgate ";

/// Where in AWS, if not where the environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The profile of the AWS command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// The place in AWS' terms.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// A security group.
    Group(&'a str),
    /// A managed prefix list.
    List(&'a str),
}

impl Place<'_> {
    /// The orders that make what is there what is wanted; none where both mean the same.
    pub fn orders(self, have: &str, want: &str) -> Result<Vec<Order>, HoldingError> {
        match self {
            Place::Group(_) => group::orders(have, want),
            Place::List(_) => list::orders(have, want),
        }
    }

    /// The orders as text, and what they do.
    pub fn commands(self, have: &Content, want: &Content) -> Result<(String, String), HoldingError> {
        let (have, want) = (text_of(have), text_of(want));
        let orders = self.orders(have, want)?;
        let does = match self {
            Place::Group(_) => group::told(&orders, have)?,
            Place::List(_) => list::told(&orders),
        };
        Ok((lines(&orders), does))
    }

    /// What is there and what is wanted, once it is told apart what others have there for the same.
    pub fn fitted(
        self,
        have: &Content,
        want: &Content,
        adopt: Adopt,
    ) -> Result<(Content, Content), HoldingError> {
        let (have, want) = (text_of(have), text_of(want));
        let (have, want) = match self {
            Place::Group(_) => group::fitted(have, want, adopt)?,
            Place::List(_) => list::fitted(have, want)?,
        };
        Ok((Some(have.into()), Some(want.into())))
    }

    /// The rules or entries of others that name what is wanted.
    pub fn kept(self, text: &str) -> Result<Vec<Line>, HoldingError> {
        Ok(self.read(text)?.into_values().filter(|line| line.whose == Whose::Kept).collect())
    }

    /// The addresses that are admitted as wanted, whoever wrote the rule.
    pub fn addresses(self, text: &str) -> Result<PrefixSet, HoldingError> {
        let lines = self.read(text)?;
        let counted = lines.values().filter(|line| line.whose != Whose::Others);
        let prefixes = counted.filter_map(|line| match line.source {
            Whom::Prefix(prefix) => Some(prefix),
            Whom::List(_) => None,
        });
        Ok(prefixes.collect())
    }

    fn read(self, text: &str) -> Result<Lines, HoldingError> {
        match self {
            Place::Group(_) => read_lines(text.lines()),
            Place::List(_) => Ok(list::read(text)?.1),
        }
    }

    /// Carries orders out on a copy of the groups.
    pub fn put_into(self, groups: &mut Groups, orders: &[Order]) {
        let number = u32::try_from(groups.listings.len()).unwrap_or(u32::MAX);
        match self {
            Place::Group(id) => group::put_into(groups, id, orders, number),
            Place::List(id) => list::put_into(groups, id, orders),
        }
        let name = match self {
            Place::Group(id) => format!("planned security group {id}"),
            Place::List(id) => format!("planned prefix list {id}"),
        };
        groups.listings.push(Listing { name, text: lines(orders).into() });
    }
}

/// Whether rules of others that name exactly what is wanted become ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Adopt {
    /// They stay others'.
    #[default]
    Nothing,
    /// They are given our description.
    Exact,
}

/// Whose a rule or an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// Its description starts with our marker.
    Ours,
    /// Somebody else's, and it names what is wanted.
    Kept,
    /// Somebody else's.
    Others,
}

/// Whom a rule names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Whom {
    /// Addresses.
    Prefix(Prefix),
    /// The entries of a prefix list.
    List(String),
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whom::Prefix(prefix) => write!(f, "{prefix}"),
            Whom::List(id) => f.write_str(id),
        }
    }
}

impl From<Whom> for String {
    fn from(whom: Whom) -> Self {
        whom.to_string()
    }
}

impl TryFrom<String> for Whom {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with("pl-") {
            return Ok(Whom::List(text));
        }
        cidr::read_any(&text).map(Whom::Prefix).ok_or_else(|| format!("`{text}` is no prefix"))
    }
}

/// What one rule or entry is for: AWS takes no two of the same. Entries of a list have no port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The port.
    pub port: Option<u16>,
    /// Whom it names.
    pub whom: Whom,
}

/// One rule or entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Whose it is.
    pub whose: Whose,
    /// Its port; none in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whom it names.
    pub source: Whom,
    /// Its description.
    pub description: String,
    /// The rule's id, where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl Line {
    /// What it is for.
    pub fn key(&self) -> Key {
        Key { port: self.port, whom: self.source.clone() }
    }
}

/// Whose something with this description is.
pub fn whose(description: &str) -> Whose {
    if description.starts_with(MARKER) { Whose::Ours } else { Whose::Others }
}

/// Lines by what they are for.
pub type Lines = BTreeMap<Key, Line>;

/// One thing that AWS is told. Neighbours of one kind go into one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Add a rule.
    Authorize {
        /// Its port.
        port: u16,
        /// Whom it names.
        source: Whom,
        /// Its description.
        description: String,
    },
    /// Give a rule another description.
    Describe {
        /// Its port.
        port: u16,
        /// Whom it names.
        source: Whom,
        /// What it is to say.
        description: String,
    },
    /// Take a rule away.
    Revoke {
        /// Its id.
        rule: String,
        /// Its port, for people.
        port: u16,
        /// Whom it names, for people.
        source: Whom,
    },
    /// Make a list larger.
    Resize {
        /// Its size from then on.
        max_entries: u32,
    },
    /// The version of the list that the orders after it are about.
    Against {
        /// The version.
        version: u64,
    },
    /// Add an entry.
    Add {
        /// Whom it names.
        source: Whom,
        /// Its description.
        description: String,
    },
    /// Take an entry away.
    Remove {
        /// Whom it names.
        source: Whom,
    },
}

/// Orders as they were written.
pub fn orders(text: &str) -> Result<Vec<Order>, HoldingError> {
    text.lines().map(parsed).collect()
}

/// The sources that groups will name by rules of their own.
pub fn arriving<'s>(steps: impl Iterator<Item = &'s Step>) -> Result<BTreeSet<Whom>, HoldingError> {
    let mut all = BTreeSet::new();
    for step in steps.filter(|step| matches!(step.holding, Holding::AwsGroup { .. })) {
        all.extend(orders(text_of(&step.input))?.into_iter().filter_map(|order| match order {
            Order::Authorize { source, .. } => Some(source),
            _ => None,
        }));
    }
    Ok(all)
}

/// Whether a change of a list has to wait for the groups, so that nobody is refused meanwhile: it only takes away, or it
/// takes away what a group is about to name itself.
pub fn waits(step: &Step, arriving: &BTreeSet<Whom>) -> bool {
    let orders = orders(text_of(&step.input)).unwrap_or_default();
    let gives = orders.iter().any(|order| matches!(order, Order::Add { .. }));
    let takes = |order: &Order| matches!(order, Order::Remove { source } if arriving.contains(source));
    !gives || orders.iter().any(takes)
}

fn parsed<T: serde::de::DeserializeOwned>(line: &str) -> Result<T, HoldingError> {
    serde_json::from_str(line).ok().ok_or_else(|| HoldingError::nothing(line))
}

fn lines<T: Serialize>(all: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for one in all {
        // Texts and numbers are always JSON.
        text.push_str(&serde_json::to_string(&one).unwrap_or_default());
        text.push('\n');
    }
    text
}

fn keyed(lines: impl IntoIterator<Item = Line>) -> Lines {
    lines.into_iter().map(|line| (line.key(), line)).collect()
}

/// Lines of a text.
fn read_lines<'t>(text: impl Iterator<Item = &'t str>) -> Result<Lines, HoldingError> {
    let lines: Result<Vec<Line>, HoldingError> = text.map(parsed).collect();
    Ok(keyed(lines?))
}

/// What is there and what is wanted, told apart from what others have for the same: that stays as it is, unless it is
/// adopted.
fn fit(have: &mut Lines, want: &mut Lines, adopt: Adopt) {
    for (key, wanted) in want {
        let Some(known) = have.get_mut(key).filter(|known| known.whose != Whose::Ours) else { continue };
        known.whose = Whose::Kept;
        if adopt == Adopt::Nothing {
            *wanted = known.clone();
        }
    }
}

/// How many there are of each, in words.
fn counted(counts: &[(&str, usize)]) -> String {
    let told = counts.iter().filter(|(_, count)| *count > 0);
    told.map(|(verb, count)| format!("{verb} {count}")).collect::<Vec<_>>().join(", ")
}

fn text_of(content: &Content) -> &str {
    content.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::list::Head;
    use super::*;

    const SOURCES: [&str; 6] =
        ["192.0.2.1/32", "192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32", "2001:db8:1::1/128", "pl-0a1"];

    fn rule(port: u16, source: &str, description: &str) -> Line {
        let whom = Whom::try_from(source.to_owned()).unwrap();
        let rule = Some(format!("sgr-{port}-{source}"));
        Line {
            whose: whose(description),
            port: Some(port),
            source: whom,
            description: description.to_owned(),
            rule,
        }
    }

    prop_compose! {
        fn any_rule(texts: &'static [&'static str])(
            port in select(vec![443_u16, 8443]), source in select(&SOURCES[..]), text in select(texts),
        ) -> Line {
            rule(port, source, text)
        }
    }

    const ALL: &[&str] = &["callgate a active", "callgate b active", "", "by hand", "callgate"];
    const OURS: &[&str] = &["callgate a active", "callgate b grace"];

    fn text(rules: &[Line]) -> String {
        lines(keyed(rules.iter().cloned()).into_values())
    }

    /// What is left of a group's or a list's lines once an order is carried out.
    fn carry_out(state: &mut Lines, order: &Order) {
        let line = |port: Option<u16>, source: &Whom, description: &str| Line {
            whose: whose(description),
            port,
            source: source.clone(),
            description: description.to_owned(),
            rule: port.map(|port| format!("sgr-{port}-{source}")),
        };
        match order {
            Order::Authorize { port, source, description } => {
                let new = line(Some(*port), source, description);
                assert!(state.insert(new.key(), new).is_none(), "AWS refuses a second one");
            }
            Order::Describe { port, source, description } => {
                let new = line(Some(*port), source, description);
                assert!(state.insert(new.key(), new).is_some());
            }
            Order::Revoke { rule, .. } => {
                let gone = state.values().find(|line| line.rule.as_ref() == Some(rule)).unwrap().clone();
                assert_eq!(gone.whose, Whose::Ours);
                state.remove(&gone.key());
            }
            Order::Add { source, description } => {
                let new = line(None, source, description);
                assert!(state.insert(new.key(), new).is_none());
            }
            Order::Remove { source } => {
                let gone = state.remove(&Key { port: None, whom: source.clone() }).unwrap();
                assert_eq!(gone.whose, Whose::Ours);
            }
            Order::Resize { .. } | Order::Against { .. } => {}
        }
    }

    fn bare(lines: &Lines) -> Vec<(Key, String)> {
        lines.iter().map(|(key, line)| (key.clone(), line.description.clone())).collect()
    }

    proptest! {
        /// Wherever it ends, whom the old and the new rules name is named, and the way back leads to what was there; of others
        /// nothing goes, and nothing changes but what is adopted.
        #[test]
        fn orders_keep_what_stays_and_can_be_undone_from_anywhere(
            have in prop::collection::vec(any_rule(ALL), 0..12),
            want in prop::collection::vec(any_rule(OURS), 0..8),
            exact in any::<bool>(),
        ) {
            let adopt = if exact { Adopt::Exact } else { Adopt::Nothing };
            let place = Place::Group("sg-01");
            let (have, want) = place.fitted(&Some(text(&have).into()), &Some(text(&want).into()), adopt).unwrap();
            let (have, want) = (have.unwrap(), want.unwrap());
            let old = read_lines(have.lines()).unwrap();
            let new = read_lines(want.lines()).unwrap();
            let orders = place.orders(&have, &want).unwrap();
            let mut state = old.clone();
            for step in 0..=orders.len() {
                if let Some(order) = step.checked_sub(1).and_then(|at| orders.get(at)) {
                    carry_out(&mut state, order);
                }
                for (key, line) in &old {
                    let stays = new.contains_key(key) || line.whose != Whose::Ours;
                    prop_assert!(!stays || state.contains_key(key), "{key:?} is gone after {step} of {orders:?}");
                }
                let mut back = state.clone();
                for order in place.orders(&lines(state.values()), &have).unwrap() {
                    carry_out(&mut back, &order);
                }
                prop_assert_eq!(bare(&back), bare(&old), "after {} of {:?}", step, &orders);
            }
            for (key, line) in old.iter().filter(|(_, line)| line.whose != Whose::Ours) {
                let is_adopted = exact && new.contains_key(key);
                prop_assert!(is_adopted || state[key].description == line.description);
            }
            prop_assert!(new.keys().all(|key| state.contains_key(key)));
            // What came of it is read without what we knew of it; then there is nothing left to do.
            let again = place.fitted(&Some(lines(state.values()).into()), &Some(want), adopt).unwrap();
            prop_assert_eq!(place.orders(text_of(&again.0), text_of(&again.1)).unwrap(), []);
        }

        #[test]
        fn a_list_comes_to_hold_what_is_wanted_and_what_others_put_there(
            have in prop::collection::vec(any_rule(ALL), 0..12),
            want in prop::collection::vec(any_rule(OURS), 0..8),
            size in 1_u32..8,
        ) {
            let entries = |rules: &[Line]| -> Vec<(Prefix, String)> {
                let prefix = |line: &Line| match line.source {
                    Whom::Prefix(prefix) => Some((prefix, line.description.clone())),
                    Whom::List(_) => None,
                };
                rules.iter().filter_map(prefix).collect()
            };
            let head = Head { version: Some(7), max_entries: size };
            let have = list::content(head, entries(&have));
            let want = list::content(Head { version: None, max_entries: 6 }, entries(&want));
            let place = Place::List("pl-01");
            let (have, want) = place.fitted(&have, &want, Adopt::Exact).unwrap();
            let orders = place.orders(text_of(&have), text_of(&want)).unwrap();
            let (old, new) = (list::read(text_of(&have)).unwrap().1, list::read(text_of(&want)).unwrap().1);
            let mut state = old.clone();
            for order in &orders {
                carry_out(&mut state, order);
            }
            prop_assert!(new.keys().all(|key| state.contains_key(key)));
            for (key, line) in &old {
                let stays = new.contains_key(key) || line.whose != Whose::Ours;
                prop_assert_eq!(state.get(key).map(|line| &line.description), stays.then_some(&line.description));
            }
            // Size, then version, then entries; larger only where there is no room, and as large as the site says.
            let sized = orders.iter().position(|order| matches!(order, Order::Resize { .. }));
            let grown = Order::Resize { max_entries: 6 };
            prop_assert!(sized.is_none_or(|at| at == 0 && orders[0] == grown));
            let fits = state.len() <= usize::try_from(size.max(6)).unwrap();
            if orders.iter().any(|order| matches!(order, Order::Add { .. })) {
                prop_assert_eq!(list::lacking(&have, &want).unwrap().is_none(), fits);
                prop_assert_eq!(sized.is_some(), state.len() > usize::try_from(size).unwrap() && size < 6);
            }
        }
    }

    #[test]
    fn only_a_marker_at_the_start_is_ours() {
        for (text, wanted) in [
            ("callgate example/a active", Whose::Ours),
            ("callgate ", Whose::Ours),
            ("callgate", Whose::Others),
            ("Callgate x", Whose::Others),
            ("callgates x", Whose::Others),
            (" callgate x", Whose::Others),
            ("", Whose::Others),
        ] {
            assert_eq!(whose(text), wanted, "{text:?}");
        }
    }

    /// A list is filled before a group names it, and emptied after the group names the addresses itself.
    #[test]
    fn a_list_waits_for_the_group_where_somebody_would_be_refused_meanwhile() {
        let step = |holding: Holding, orders: &[Order]| Step {
            holding,
            input: Some(lines(orders).into()),
            does: String::new(),
        };
        let account = Account::default();
        let whom = |source: &str| Whom::try_from(source.to_owned()).unwrap();
        let group = step(
            Holding::AwsGroup { group: "sg-01".to_owned(), account: account.clone() },
            &[Order::Authorize { port: 443, source: whom("192.0.2.1/32"), description: String::new() }],
        );
        let arriving = arriving([&group].into_iter()).unwrap();
        let list = |orders: &[Order]| {
            step(Holding::AwsPrefixList { list: "pl-01".to_owned(), account: account.clone() }, orders)
        };
        let add = Order::Add { source: whom("198.51.100.7/32"), description: String::new() };
        let (gone, moved) =
            (Order::Remove { source: whom("2001:db8::/32") }, Order::Remove { source: whom("192.0.2.1/32") });
        for (orders, wanted) in [
            (vec![add.clone()], false),
            (vec![add.clone(), gone.clone()], false),
            (vec![gone], true),
            (vec![add, moved], true),
        ] {
            assert_eq!(waits(&list(&orders), &arriving), wanted, "{orders:?}");
        }
    }

    #[test]
    fn what_is_no_content_of_ours_is_refused() {
        for bad in [
            "x",
            "{}",
            "{\"whose\":\"ours\"}",
            "[]",
            "{\"whose\":\"ours\",\"source\":\"any\",\"description\":\"\"}",
        ] {
            assert!(Place::Group("sg-01").orders(bad, "").is_err(), "{bad}");
            assert!(Place::List("pl-01").orders(bad, "").is_err(), "{bad}");
            assert!(orders(bad).is_err(), "{bad}");
        }
    }
}
