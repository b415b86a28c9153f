//! Variables that `geo` and `map` make, for all callers at once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::realip::{Reading, forwarded};
use super::state::{Client, Content, Form, State, Value};
use super::walk::Walk;
use super::written::{matching, text_of};
use crate::nginx::geo::Geo;
use crate::nginx::map::{Captured, Map, Mapped};
use crate::nginx::{Directive, TableError};
use crate::prefix::PrefixSet;

/// Tables may ask each other no deeper.
const DEPTH_MAX: usize = 20;

/// A table that makes a variable.
#[derive(Debug)]
pub(super) enum Table {
    Geo(Geo),
    Map(Map),
    /// By chance.
    Split,
}

/// The tables of a block, by their variables. Of two with one variable the later one counts.
pub(super) fn read_all(block: &Directive<'_>) -> Result<BTreeMap<String, Table>, TableError> {
    let mut tables = BTreeMap::new();
    for directive in block.block().into_iter().flatten() {
        match directive.name() {
            "geo" => {
                let geo = Geo::read(directive, &mut Vec::new())?;
                tables.insert(geo.variable.to_ascii_lowercase(), Table::Geo(geo));
            }
            "map" => {
                let map = Map::read(directive)?;
                tables.insert(map.variable.to_ascii_lowercase(), Table::Map(map));
            }
            "split_clients" => {
                let name = directive.arguments().last().and_then(|word| word.strip_prefix('$'));
                tables.extend(name.map(|name| (name.to_ascii_lowercase(), Table::Split)));
            }
            _ => {}
        }
    }
    Ok(tables)
}

impl Walk<'_, '_> {
    /// The value of a variable that a table makes; it is kept, unless the table says otherwise.
    pub(super) fn tabled(&mut self, state: &mut State, name: &str) -> Option<Value> {
        let program = self.program;
        let table = program.tables.get(name)?;
        if self.depth > DEPTH_MAX {
            return Some(Value::unknown("tables ask each other in a circle"));
        }
        self.depth = self.depth.saturating_add(1);
        let value = match table {
            Table::Geo(geo) => self.located(state, geo),
            Table::Map(map) => self.mapped(state, map),
            Table::Split => Value::unknown("chance decides"),
        };
        self.depth = self.depth.saturating_sub(1);
        if !matches!(table, Table::Map(map) if map.is_volatile) {
            Rc::make_mut(&mut state.known.cached).insert(name.to_owned(), value.clone());
        }
        Some(value)
    }

    /// What a `geo` makes of the address that it looks up.
    fn located(&mut self, state: &mut State, geo: &Geo) -> Value {
        let Some(variable) = &geo.address else { return self.located_by_client(state, geo) };
        let address = self.variable(state, variable);
        let mut pieces = Vec::new();
        for (callers, content) in address.among(&state.callers) {
            self.spend(&callers);
            match content {
                Content::Text(text) => {
                    let value =
                        text.parse::<IpAddr>().map_or_else(|_| geo.elsewhere(), |address| geo.value(address));
                    pieces.push((callers, Content::text(value)));
                }
                Content::Caller(_) => pieces.extend(shares(geo, &callers)),
                Content::Unknown(why) => pieces.push((callers, any_of(geo, &why))),
            }
        }
        Value::each(pieces)
    }

    fn located_by_client(&mut self, state: &State, geo: &Geo) -> Value {
        let client = &state.known.client;
        let through = client.within(&geo.proxies);
        let inside = through.unwrap_or_else(PrefixSet::everything).intersection(&state.callers);
        let outside = state.callers.difference(&inside);
        let mut pieces = of_client(geo, client, &outside);
        if !inside.is_empty() {
            pieces.extend(self.through_proxy(geo, client, &inside));
        }
        Value::each(pieces)
    }

    /// Callers whose address a proxy of the table tells.
    fn through_proxy(
        &mut self,
        geo: &Geo,
        client: &Client,
        callers: &PrefixSet,
    ) -> Vec<(PrefixSet, Content)> {
        let why: Rc<str> = "the address that is looked up is what `X-Forwarded-For` says".into();
        if matches!(client, Client::Fixed(_)) && self.way.proxy.is_some() {
            let forging =
                if geo.is_recursive { callers.intersection(&geo.proxies) } else { PrefixSet::empty() };
            let mut pieces = of_client(geo, &Client::Own, &callers.difference(&forging));
            if !forging.is_empty() {
                pieces.push((forging, any_of(geo, &why)));
            }
            return pieces;
        }
        let values: Vec<&str> = self.headers("x-forwarded-for").collect();
        if values.is_empty() {
            return vec![(callers.clone(), any_of(geo, &why))];
        }
        let reading = if geo.is_recursive { Reading::Beyond } else { Reading::Last };
        match forwarded(&values, &geo.proxies, reading) {
            Some(address) => vec![(callers.clone(), Content::text(geo.value(address)))],
            None => of_client(geo, client, callers),
        }
    }

    /// What a `map` makes of a text.
    fn mapped(&mut self, state: &mut State, map: &Map) -> Value {
        let source = self.filled(state, &map.source);
        let mut pieces = Vec::new();
        for (callers, content) in source.among(&state.callers) {
            self.spend(&callers);
            match content {
                Content::Text(text) => pieces.extend(self.entry(state, &callers, map.value(&text))),
                Content::Caller(form) => pieces.extend(self.of_addresses(state, (&callers, form), map)),
                Content::Unknown(why) => {
                    let values = map.possible();
                    let content = match values.as_slice() {
                        [only] if !only.contains('$') => Content::text(only),
                        _ => Content::Unknown(why),
                    };
                    pieces.push((callers, content));
                }
            }
        }
        Value::each(pieces)
    }

    /// An entry's value, with its own variables filled in.
    fn entry(
        &mut self,
        state: &mut State,
        callers: &PrefixSet,
        found: Mapped<'_>,
    ) -> Vec<(PrefixSet, Content)> {
        match found {
            Mapped::One { value, captured, .. } => {
                if let Some(captured) = captured {
                    capture(state, captured);
                }
                let mut some = state.of(callers.clone());
                let value = self.filled(&mut some, value);
                state.known.cached = some.known.cached;
                value.among(callers)
            }
            Mapped::OneOf(why, _) => vec![(callers.clone(), Content::unknown(&why))],
        }
    }

    /// What it makes of each caller's address.
    fn of_addresses(
        &mut self,
        state: &mut State,
        (callers, form): (&PrefixSet, Form),
        map: &Map,
    ) -> Vec<(PrefixSet, Content)> {
        let mut pieces = Vec::new();
        let mut rest = callers.clone();
        if map.names_parts() {
            return vec![(rest, Content::unknown("host names are asked of the caller's address"))];
        }
        let mut named: BTreeMap<&str, Vec<PrefixSet>> = BTreeMap::new();
        for text in map.texts() {
            let set = form.written(text).intersection(&rest);
            if let Mapped::One { value, .. } = map.value(text)
                && !set.is_empty()
            {
                named.entry(value).or_default().push(set);
            }
        }
        for (value, sets) in named {
            let set = super::state::all_of(&sets);
            rest = rest.difference(&set);
            pieces.extend(self.entry(state, &set, Mapped::One { value, place: None, captured: None }));
        }
        for (pattern, case) in map.patterns() {
            let matching = matching(pattern, case, form);
            let open = matching.perhaps.intersection(&rest);
            if !open.is_empty() {
                rest = rest.difference(&open);
                pieces.push((open, Content::unknown("a pattern is asked of the caller's address")));
            }
            let set = matching.holds.intersection(&rest);
            rest = rest.difference(&set);
            pieces.extend(self.like_its_first(state, set, form, map));
        }
        pieces.extend(self.like_its_first(state, rest, form, map));
        pieces
    }

    /// Callers that one entry names: it makes the same of all, unless it uses what its pattern captured.
    fn like_its_first(
        &mut self,
        state: &mut State,
        set: PrefixSet,
        form: Form,
        map: &Map,
    ) -> Vec<(PrefixSet, Content)> {
        let Some((first, _)) = set.ranges().next() else { return Vec::new() };
        match map.value(&text_of(first, form)) {
            Mapped::One { value, captured: Some(_), .. } if value.contains('$') => {
                vec![(set, Content::unknown("a part of the caller's address is used"))]
            }
            Mapped::One { value, place, captured: _ } => {
                self.entry(state, &set, Mapped::One { value, place, captured: None })
            }
            found @ Mapped::OneOf(..) => self.entry(state, &set, found),
        }
    }
}

/// What a pattern captured is there for whoever asks next.
pub(super) fn capture(state: &mut State, captured: Captured) {
    let groups = captured
        .groups
        .map(|groups| groups.iter().map(|group| Value::text(group.as_deref().unwrap_or_default())).collect());
    capture_values(state, &captured.names, groups.map(Rc::new));
}

/// The same where what was captured differs from caller to caller.
pub(super) fn capture_values(state: &mut State, names: &[(String, usize)], groups: Option<Rc<Vec<Value>>>) {
    for (name, group) in names {
        let value = match &groups {
            Some(groups) => groups.get(*group).cloned().unwrap_or_else(|| Value::text("")),
            None => Value::unknown("nobody can say what a pattern captured"),
        };
        Rc::make_mut(&mut state.known.variables).insert(name.to_ascii_lowercase(), value);
    }
    state.known.captured = groups;
}

fn shares(geo: &Geo, callers: &PrefixSet) -> Vec<(PrefixSet, Content)> {
    let shares = geo.shares().into_iter();
    let shares = shares.map(|(set, value)| (set.intersection(callers), Content::text(value)));
    shares.filter(|(set, _)| !set.is_empty()).collect()
}

fn of_client(geo: &Geo, client: &Client, callers: &PrefixSet) -> Vec<(PrefixSet, Content)> {
    if callers.is_empty() {
        return Vec::new();
    }
    match client {
        Client::Own | Client::Mapped => shares(geo, callers),
        Client::Fixed(address) => vec![(callers.clone(), Content::text(geo.value(*address)))],
        Client::Told(why) => vec![(callers.clone(), any_of(geo, why))],
    }
}

/// The value of an address that nobody can say.
fn any_of(geo: &Geo, why: &Rc<str>) -> Content {
    match geo.shares().as_slice() {
        [(_, only)] => Content::text(only),
        _ => Content::Unknown(Rc::clone(why)),
    }
}
