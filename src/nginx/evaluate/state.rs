//! Requests on their way through the phases: the callers that send them, and what is known of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

use super::level::LevelId;
use super::pieces::Pieces;
use crate::admission::RuleId;
use crate::prefix::{Prefix, PrefixSet};

/// More values than these of one variable are not told apart.
const VALUES_MAX: usize = 4096;

/// A text as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    /// It is this.
    Text(Rc<str>),
    /// The caller's own address, as nginx writes it.
    Caller(Form),
    /// Nobody can say, and why.
    Unknown(Rc<str>),
}

/// How nginx writes a caller's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// One of IPv4 as IPv6 has it.
    Mapped,
}

impl Form {
    /// The callers whose address is written like this.
    pub(super) fn written(self, text: &str) -> PrefixSet {
        let Ok(address) = text.parse::<IpAddr>() else { return PrefixSet::empty() };
        if address.to_string() != text {
            return PrefixSet::empty();
        }
        let caller = match (self, address) {
            (Form::Mapped, IpAddr::V4(_)) => return PrefixSet::empty(),
            (Form::Mapped, IpAddr::V6(v6)) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
            (Form::Plain, _) => address,
        };
        std::iter::once(Prefix::single(caller)).collect()
    }
}

impl Content {
    /// A known text.
    pub(super) fn text(text: &str) -> Self {
        Content::Text(text.into())
    }

    /// What nobody can say.
    pub(super) fn unknown(why: &str) -> Self {
        Content::Unknown(why.into())
    }
}

/// A variable's value: which content for which callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// The same for all.
    One(Content),
    /// Disjoint sets that are all callers together.
    Each(Rc<Vec<(PrefixSet, Content)>>),
}

impl Value {
    /// A known text.
    pub(super) fn text(text: &str) -> Self {
        Value::One(Content::text(text))
    }

    /// What nobody can say.
    pub(super) fn unknown(why: &str) -> Self {
        Value::One(Content::unknown(why))
    }

    /// The callers among these, by content.
    pub(super) fn among(&self, callers: &PrefixSet) -> Vec<(PrefixSet, Content)> {
        match self {
            Value::One(content) => vec![(callers.clone(), content.clone())],
            Value::Each(each) => {
                let shares = each.iter().map(|(set, content)| (set.intersection(callers), content.clone()));
                shares.filter(|(set, _)| !set.is_empty()).collect()
            }
        }
    }

    /// Sets with their contents as a value; sets with the same content are joined.
    pub(super) fn each(pieces: Vec<(PrefixSet, Content)>) -> Self {
        let mut by: BTreeMap<Content, Vec<PrefixSet>> = BTreeMap::new();
        for (set, content) in pieces {
            by.entry(content).or_default().push(set);
        }
        if by.len() > VALUES_MAX {
            return Value::unknown("a variable has too many values");
        }
        let mut joined: Vec<(PrefixSet, Content)> =
            by.into_iter().map(|(content, sets)| (all_of(&sets), content)).collect();
        match joined.len() {
            1 => Value::One(joined.remove(0).1),
            _ => Value::Each(Rc::new(joined)),
        }
    }
}

/// The union of many sets.
pub(super) fn all_of(sets: &[PrefixSet]) -> PrefixSet {
    if let [only] = sets {
        return only.clone();
    }
    let v4 = sets.iter().flat_map(PrefixSet::v4).copied().collect();
    let v6 = sets.iter().flat_map(PrefixSet::v6).copied().collect();
    PrefixSet::from_spans(v4, v6)
}

/// Which address nginx tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Client {
    /// The caller's own.
    Own,
    /// The caller's own; one of IPv4 as IPv6 has it, on a socket for both.
    Mapped,
    /// This one, whoever calls.
    Fixed(IpAddr),
    /// Whichever the caller, or somebody on the way, writes; and why.
    Told(Rc<str>),
}

impl Client {
    /// The callers whose tested address is in a set; `None` where nobody can say.
    pub(super) fn within(&self, set: &PrefixSet) -> Option<PrefixSet> {
        match self {
            Client::Own | Client::Mapped => Some(set.clone()),
            Client::Fixed(address) => {
                let inside = set.contains(address.to_canonical());
                Some(if inside { PrefixSet::everything() } else { PrefixSet::empty() })
            }
            Client::Told(_) if set.is_empty() => Some(PrefixSet::empty()),
            Client::Told(_) if *set == PrefixSet::everything() => Some(PrefixSet::everything()),
            Client::Told(_) => None,
        }
    }

    /// Its address as a text.
    pub(super) fn content(&self) -> Content {
        match self {
            Client::Own => Content::Caller(Form::Plain),
            Client::Mapped => Content::Caller(Form::Mapped),
            Client::Fixed(address) => Content::text(&address.to_string()),
            Client::Told(why) => Content::Unknown(Rc::clone(why)),
        }
    }
}

/// An address of IPv4 as a socket for both families has it.
pub(super) fn mapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
        IpAddr::V6(_) => address,
    }
}

/// Whether it stands for an address of IPv4.
pub(super) fn is_mapped(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

/// By which rule callers came as far as they did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum By {
    /// By none yet.
    #[default]
    Nothing,
    /// The same for all.
    One(RuleId),
    /// Each by its own: the pieces hold all callers, and perhaps others.
    Each(Rc<Pieces>),
}

/// How a request came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A caller sent it.
    Caller,
    /// nginx asks itself, for `auth_request`: there is no access phase.
    Subrequest,
}

/// What happens once to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Once {
    /// Not yet.
    Open,
    /// Already.
    Done,
}

/// What is known of a request, besides who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The server that answers.
    pub(super) server: LevelId,
    /// The level whose settings hold.
    pub(super) level: LevelId,
    /// How it came to be.
    pub(super) origin: Origin,
    /// The address that is tested.
    pub(super) client: Client,
    /// The address that the connection comes from.
    pub(super) peer: Client,
    /// Whether the tested address was taken from a header.
    pub(super) told: Once,
    /// `$uri`
    pub(super) path: Rc<str>,
    /// `$args`
    pub(super) query: Content,
    /// The method.
    pub(super) method: Content,
    /// Whether nginx made this path itself.
    pub(super) is_internal: bool,
    /// Whether a rewrite changed the path since the location was searched.
    pub(super) is_changed: bool,
    /// How many more changes nginx takes.
    pub(super) changes_left: u8,
    /// What the last pattern captured; `None` where nobody can say.
    pub(super) captured: Option<Rc<Vec<Value>>>,
    /// Variables that were set.
    pub(super) variables: Rc<BTreeMap<String, Value>>,
    /// Variables of maps that were asked: they keep their value.
    pub(super) cached: Rc<BTreeMap<String, Value>>,
    /// The status that the answer will have, whatever the content; `None` for the content's own.
    pub(super) status: Option<u16>,
    /// Whether an error was sent on.
    pub(super) error_page: Once,
    /// By which rule callers came here.
    pub(super) by: By,
}

/// Requests that went the same way.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Who sends them.
    pub(super) callers: PrefixSet,
    /// What is known of them.
    pub(super) known: Known,
}

impl State {
    /// The same of these callers only.
    pub(super) fn of(&self, callers: PrefixSet) -> Self {
        Self { callers, known: self.known.clone() }
    }
}

/// Adds a state, to one that is the same but for its callers where there is one.
pub(super) fn settle(states: &mut Vec<State>, state: State) {
    if state.callers.is_empty() {
        return;
    }
    match states.iter_mut().find(|one| one.known == state.known) {
        Some(one) => one.callers = one.callers.union(&state.callers),
        None => states.push(state),
    }
}
