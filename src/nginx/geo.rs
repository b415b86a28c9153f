//! `geo` blocks: a value for each address.
//!
//! Of networks the longest wins, whatever the order, and of equal ones the last. Of ranges the last wins, which
//! has to lie within one before it or beside all. Two networks are special: `default` is `0.0.0.0/0` and `::/0`
//! together, and whoever has no address is looked up as `255.255.255.255`.
//! <https://nginx.org/en/docs/http/ngx_http_geo_module.html>; what that leaves open was seen by running nginx.

mod ranges;

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::address::{Network, Range};
use super::{Directive, Place, Remark, TableError, variable};
use crate::plain::line;
use crate::prefix::PrefixSet;
use crate::prefix::first::{Both, Grounded, grounded};
use crate::prefix::span::{Number, Span};
use ranges::Ranges;

/// Intervals of both families.
type Spans = (Vec<Span<u32>>, Vec<Span<u128>>);

/// Remarks that are kept.
const REMARKS_MAX: usize = 100;

/// A `geo` block.
#[derive(Debug, Clone)]
pub struct Geo {
    /// The variable that gets the value, without its dollar.
    pub variable: String,
    /// The variable that has the address, without its dollar; `None` for the client's own.
    pub address: Option<String>,
    /// Proxies that tell the client's address by `X-Forwarded-For`.
    pub proxies: PrefixSet,
    /// Whether that header is read on beyond the first address that is no proxy's.
    pub is_recursive: bool,
    values: Vec<String>,
    /// The value of each address.
    held: Both<usize>,
}

impl Geo {
    /// Reads a block. What nginx warns of is remarked.
    pub fn read(directive: &Directive<'_>, remarks: &mut Vec<Remark>) -> Result<Self, TableError> {
        let wrong = || {
            let help = "write `geo $variable { … }` or `geo $address $variable { … }`";
            TableError::new(directive.place, "`geo` takes one or two variables".to_owned(), help)
        };
        let names: Option<Vec<&str>> = directive.arguments().iter().map(|word| variable(word)).collect();
        let (address, name) = match names.as_deref() {
            Some([name]) => (None, *name),
            Some([address, name]) => (Some((*address).to_owned()), *name),
            _ => return Err(wrong()),
        };
        let mut table = Table::default();
        for entry in directive.block().ok_or_else(wrong)? {
            table.entry(entry, remarks)?;
        }
        let held = Both { v4: table.v4(), v6: table.v6() };
        let mut proxies = Spans::default();
        for range in &table.proxies {
            match range {
                Range::V4(span) => proxies.0.push(*span),
                Range::V6(span) => proxies.1.push(*span),
            }
        }
        Ok(Self {
            variable: name.to_owned(),
            address,
            proxies: PrefixSet::from_spans(proxies.0, proxies.1),
            is_recursive: table.is_recursive,
            values: table.values,
            held,
        })
    }

    /// Every value with the addresses that have it. Each address is in exactly one set.
    pub fn shares(&self) -> Vec<(PrefixSet, &str)> {
        let mut by: Vec<Spans> = vec![Spans::default(); self.values.len()];
        for (span, value) in self.held.v4.all() {
            by.get_mut(value).into_iter().for_each(|spans| spans.0.push(span));
        }
        for (span, value) in self.held.v6.all() {
            by.get_mut(value).into_iter().for_each(|spans| spans.1.push(span));
        }
        let all = by.into_iter().zip(&self.values);
        let held = all.filter(|((v4, v6), _)| !v4.is_empty() || !v6.is_empty());
        let mut shares: Vec<_> =
            held.map(|((v4, v6), value)| (PrefixSet::from_spans(v4, v6), value.as_str())).collect();
        shares.sort_by_key(|(_, value)| *value);
        shares
    }

    /// The value of an address. One of IPv4 that is written as IPv6 counts as IPv4.
    pub fn value(&self, address: IpAddr) -> &str {
        let value = self.held.at(address.to_canonical());
        value.map_or("", |value| self.text(value))
    }

    /// The value of whoever has no address: a caller by a UNIX domain socket, a text that is none.
    pub fn elsewhere(&self) -> &str {
        self.value(IpAddr::from([255; 4]))
    }

    fn text(&self, value: usize) -> &str {
        self.values.get(value).map_or("", |value| value)
    }
}

/// Entries while they are read.
#[derive(Debug)]
struct Table {
    /// The first is the value of what has none.
    values: Vec<String>,
    known: BTreeMap<String, usize>,
    /// The number that was asked for last: entries that follow each other mostly have the same value.
    recent: usize,
    form: Form,
    proxies: Vec<Range>,
    is_recursive: bool,
}

/// How addresses are written.
#[derive(Debug)]
enum Form {
    Networks(Networks),
    /// And the default.
    Ranges(Ranges, Option<usize>),
}

impl Default for Table {
    fn default() -> Self {
        Self {
            values: vec![String::new()],
            known: BTreeMap::from([(String::new(), 0)]),
            recent: 0,
            form: Form::Networks(Networks::default()),
            proxies: Vec::new(),
            is_recursive: false,
        }
    }
}

/// Networks with their values.
#[derive(Debug, Default)]
struct Networks {
    v4: Given<u32>,
    v6: Given<u128>,
}

/// Networks of one family. Long tables are mostly written in order, and then need no tree.
#[derive(Debug)]
struct Given<N> {
    /// All of them, as long as they come in order; else none.
    ascending: Vec<(Span<N>, usize)>,
    any: BTreeMap<Span<N>, usize>,
}

impl<N> Default for Given<N> {
    fn default() -> Self {
        Self { ascending: Vec::new(), any: BTreeMap::new() }
    }
}

impl<N: Number> Given<N> {
    fn is_empty(&self) -> bool {
        self.ascending.is_empty() && self.any.is_empty()
    }

    /// Gives a network a value; the one that it had.
    fn give(&mut self, span: Span<N>, value: usize) -> Option<usize> {
        if self.any.is_empty() && self.ascending.last().is_none_or(|(last, _)| *last < span) {
            self.ascending.push((span, value));
            return None;
        }
        self.in_any_order().insert(span, value)
    }

    /// Takes a network's value away.
    fn remove(&mut self, span: Span<N>) -> Option<usize> {
        self.in_any_order().remove(&span)
    }

    fn in_any_order(&mut self) -> &mut BTreeMap<Span<N>, usize> {
        self.any.extend(self.ascending.drain(..));
        &mut self.any
    }

    /// All of them, ascending.
    fn all(&self) -> Vec<(Span<N>, usize)> {
        let rest = self.any.iter().map(|(span, value)| (*span, *value));
        self.ascending.iter().copied().chain(rest).collect()
    }
}

impl Networks {
    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Gives a network a value; the one that it had.
    fn give(&mut self, range: Range, value: usize) -> Option<usize> {
        match range {
            Range::V4(span) => self.v4.give(span, value),
            Range::V6(span) => self.v6.give(span, value),
        }
    }

    /// Takes a network's value away.
    fn remove(&mut self, range: Range) -> Option<usize> {
        match range {
            Range::V4(span) => self.v4.remove(span),
            Range::V6(span) => self.v6.remove(span),
        }
    }
}

/// What an entry does with its addresses.
#[derive(Debug, Clone, Copy)]
enum Change {
    Give(usize),
    Delete,
}

impl Table {
    fn entry(&mut self, entry: &Directive<'_>, remarks: &mut Vec<Remark>) -> Result<(), TableError> {
        let place = entry.place;
        let (key, value) = match entry.words() {
            ["ranges"] => return self.ranges(place),
            ["proxy_recursive"] => {
                self.is_recursive = true;
                return Ok(());
            }
            [key, value] => (&**key, &**value),
            _ => {
                let help = "write an address and its value";
                let message = format!("an entry of `geo` that starts with `{}`", line(entry.name()));
                return Err(TableError::new(place, message, help));
            }
        };
        if key == "proxy" {
            let network = network(value, place, remarks)?;
            self.proxies.push(network);
            return Ok(());
        }
        let (key, change) = match key {
            "delete" => (value, Change::Delete),
            _ => (key, Change::Give(self.number(value))),
        };
        let note = match &mut self.form {
            Form::Networks(networks) => by_network(networks, key, change, place, remarks)?,
            Form::Ranges(ranges, default) => by_range(ranges, default, key, change, place)?,
        };
        if let Some(text) = note {
            remark(remarks, place, text);
        }
        Ok(())
    }

    /// `ranges`, which has to come first.
    fn ranges(&mut self, place: Place) -> Result<(), TableError> {
        match &self.form {
            Form::Networks(networks) if !networks.is_empty() => {
                let help = "put `ranges;` before all other entries";
                Err(TableError::new(place, "`ranges` is not the first entry".to_owned(), help))
            }
            Form::Networks(_) => {
                self.form = Form::Ranges(Ranges::default(), None);
                Ok(())
            }
            Form::Ranges(..) => Ok(()),
        }
    }

    /// The number of a value.
    fn number(&mut self, value: &str) -> usize {
        if self.values.get(self.recent).is_some_and(|known| known == value) {
            return self.recent;
        }
        let known = self.known.get(value).copied();
        self.recent = known.unwrap_or_else(|| {
            let number = self.values.len();
            self.values.push(value.to_owned());
            self.known.insert(value.to_owned(), number);
            number
        });
        self.recent
    }

    fn v4(&self) -> Grounded<u32, usize> {
        match &self.form {
            Form::Networks(networks) => longest(&networks.v4, |(first, last)| last - first),
            Form::Ranges(ranges, default) => ranges.table(default.unwrap_or_default()),
        }
    }

    fn v6(&self) -> Grounded<u128, usize> {
        match &self.form {
            Form::Networks(networks) => longest(&networks.v6, |(first, last)| last - first),
            // They are looked up as 255.255.255.255, which no range can hold.
            Form::Ranges(_, default) => {
                Grounded { pieces: Vec::new(), ground: Some(default.unwrap_or_default()) }
            }
        }
    }
}

/// The value of each address: that of the smallest network which holds it; the first value where none does.
fn longest<N: Number>(networks: &Given<N>, size: impl Fn(Span<N>) -> N) -> Grounded<N, usize> {
    let mut layers = networks.all();
    layers.sort_by_key(|(span, _)| size(*span));
    layers.push(((N::MIN, N::MAX), 0));
    grounded(layers)
}

/// A network of an entry. Here `255.255.255.255` is one.
fn network(text: &str, place: Place, remarks: &mut Vec<Remark>) -> Result<Range, TableError> {
    if text == "255.255.255.255" {
        return Ok(Range::V4((u32::MAX, u32::MAX)));
    }
    let Some(network) = Network::read(text) else {
        let message = format!("`{}` is no network", line(text));
        return Err(TableError::new(place, message, "write an address, or an address, `/` and a length"));
    };
    if network.has_host_bits {
        let text = format!("`{}` has bits set to the right of its length, which mean nothing", line(text));
        remark(remarks, place, text);
    }
    Ok(network.range)
}

/// Remarks something, unless there is much already.
fn remark(remarks: &mut Vec<Remark>, place: Place, text: String) {
    if remarks.len() < REMARKS_MAX {
        remarks.push(Remark { place, text });
    }
}

/// Gives networks a value, or takes it away; what is odd about it.
fn by_network(
    networks: &mut Networks,
    key: &str,
    change: Change,
    place: Place,
    remarks: &mut Vec<Remark>,
) -> Result<Option<String>, TableError> {
    let (one, other) = match (key, change) {
        ("default", Change::Give(_)) => (Range::V4((0, u32::MAX)), Some(Range::V6((0, u128::MAX)))),
        _ => (network(key, place, remarks)?, None),
    };
    let mut changed = None;
    for range in std::iter::once(one).chain(other) {
        match change {
            Change::Give(value) => changed = changed.max(networks.give(range, value)),
            Change::Delete if networks.remove(range).is_none() => {
                return Ok(Some(format!("`geo` has no network `{}` to delete", line(key))));
            }
            Change::Delete => {}
        }
    }
    Ok(changed.map(|_| format!("`geo` has `{}` twice; the last one counts", line(key))))
}

/// Gives a range a value, or takes it away; what is odd about it.
fn by_range(
    ranges: &mut Ranges,
    default: &mut Option<usize>,
    key: &str,
    change: Change,
    place: Place,
) -> Result<Option<String>, TableError> {
    let shown = line(key);
    let value = match change {
        Change::Give(value) if key == "default" => {
            let before = default.replace(value);
            return Ok(before.map(|_| "`geo` has `default` twice; the last one counts".to_owned()));
        }
        Change::Give(value) => Some(value),
        Change::Delete => None,
    };
    let ends = key.split_once('-').and_then(|(first, last)| {
        Some((super::address::v4(first.as_bytes())?, super::address::v4(last.as_bytes())?))
    });
    let Some(span) = ends.filter(|(first, last)| first <= last) else {
        let message = format!("`{shown}` is no range");
        let help = "write two addresses of IPv4 with `-` between them, or take `ranges;` out";
        return Err(TableError::new(place, message, help));
    };
    let Some(value) = value else {
        let whole = ranges.delete(span);
        return Ok((!whole).then(|| format!("`geo` has no range `{shown}` to delete")));
    };
    if ranges.give(span, value) {
        return Ok(None);
    }
    let message = format!("the range `{shown}` overlaps one before it");
    let help = "let ranges lie within others that come before them, or beside them";
    Err(TableError::new(place, message, help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx::{Files, read};

    fn geo(entries: &str) -> Result<(Geo, Vec<String>), TableError> {
        let files = Files::single("nginx.conf", format!("geo $v {{ {entries} }}"));
        let config = read(&files).unwrap();
        let mut remarks = Vec::new();
        let geo = Geo::read(&config.directives[0], &mut remarks)?;
        Ok((geo, remarks.into_iter().map(|remark| remark.text).collect()))
    }

    /// Values of addresses, and how many remarks there are.
    #[track_caller]
    fn check(entries: &str, wanted: &[(&str, &str)], remarked: usize) {
        let (geo, remarks) = geo(entries).unwrap();
        assert_eq!(remarks.len(), remarked, "{remarks:?}");
        let shares = geo.shares();
        let all = shares.iter().fold(PrefixSet::empty(), |all, (set, _)| {
            assert!(all.intersection(set).is_empty());
            all.union(set)
        });
        assert_eq!(all, PrefixSet::everything());
        for (address, wanted) in wanted {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(geo.value(address), *wanted, "{address} in {entries}");
            let share = shares.iter().find(|(set, _)| set.contains(address.to_canonical())).unwrap();
            assert_eq!(share.1, *wanted);
        }
    }

    #[track_caller]
    fn refused(entries: &str, words: &str) {
        let error = geo(entries).unwrap_err();
        assert!(error.message.contains(words), "{error}");
        assert!(!error.help.is_empty());
    }

    #[test]
    fn the_longest_network_wins_whatever_the_order() {
        let nested = "10.0.0.1 x; 10.0.0.0/8 a; 10.0.0.0/24 c;";
        let wanted =
            [("10.0.0.1", "x"), ("10.0.0.2", "c"), ("10.1.0.0", "a"), ("11.0.0.0", ""), ("2001::", "")];
        check(nested, &wanted, 0);
        check("default d; 2001:db8::/32 s;", &[("1.2.3.4", "d"), ("2001:db8::1", "s"), ("2001::", "d")], 0);
        check("10.0.0.0/8 a; 10.1.2.3/8 b;", &[("10.0.0.1", "b"), ("::ffff:10.0.0.1", "b")], 2);
        check("::ffff:10.0.0.0/104 m; default d;", &[("10.0.0.1", "d"), ("::ffff:10.0.0.1", "d")], 0);
        check("10.0.0.1 ''; default d;", &[("10.0.0.1", ""), ("10.0.0.2", "d")], 0);
    }

    #[test]
    fn the_default_is_a_network_of_each_family() {
        check("0.0.0.0/0 z; default d; ::/0 s;", &[("1.2.3.4", "d"), ("2001::", "s")], 2);
        check("default d; delete 0.0.0.0/0;", &[("1.2.3.4", ""), ("2001::", "d")], 0);
        check("default d; default e;", &[("1.2.3.4", "e"), ("2001::", "e")], 1);
        let (geo, _) = geo("255.255.255.255 b; default d;").unwrap();
        assert_eq!((geo.elsewhere(), geo.value(IpAddr::from([1; 4]))), ("b", "d"));
    }

    #[test]
    fn networks_are_deleted() {
        check("10.0.0.0/8 a; 10.0.0.1 b; delete 10.0.0.1;", &[("10.0.0.1", "a")], 0);
        check("10.0.0.0/8 a; delete 10.0.0.1;", &[("10.0.0.1", "a")], 1);
        refused("default d; delete default;", "`default` is no network");
    }

    #[test]
    fn ranges_are_of_ipv4() {
        let entries = "ranges; default d; 10.0.0.0-10.0.0.255 a; 10.0.0.7-10.0.0.8 b;";
        check(entries, &[("10.0.0.1", "a"), ("10.0.0.8", "b"), ("11.0.0.0", "d"), ("2001::", "d")], 0);
        check("ranges; 10.0.0.0-10.0.0.255 a;", &[("10.0.0.1", "a"), ("2001::", "")], 0);
        check("ranges; 1.0.0.0-1.0.0.9 a; delete 1.0.0.0-1.0.0.9;", &[("1.0.0.1", "")], 0);
        check("ranges; default a; default b; delete 1.0.0.0-1.0.0.9; ranges;", &[("1.0.0.1", "b")], 2);
        for range in ["10.0.0.0/8", "10.0.0.1", "2.0.0.0-1.0.0.0", "::-::1", "0.0.0.0-255.255.255.255"] {
            refused(&format!("ranges; {range} a;"), &format!("`{range}` is no range"));
        }
        refused("ranges; 10.0.0.1-10.0.0.5 b; 10.0.0.4-10.0.0.9 a;", "overlaps");
        refused("default d; ranges;", "`ranges` is not the first entry");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for key in ["localhost", "0/0", "all", "Default", "10.0.0.0/255.0.0.0", "10.0.0.0-10.0.0.9"] {
            refused(&format!("{key} a;"), &format!("`{key}` is no network"));
        }
        refused("proxy zz;", "`zz` is no network");
        refused("10.0.0.1;", "starts with `10.0.0.1`");
        refused("10.0.0.1 a b;", "starts with `10.0.0.1`");
    }

    #[test]
    fn proxies_are_told() {
        let (geo, remarks) = geo("proxy 127.0.0.1/8; proxy ::1; proxy_recursive; default d;").unwrap();
        assert_eq!((geo.proxies.ranges().count(), geo.is_recursive, remarks.len()), (2, true, 1));
    }

    #[test]
    fn names_are_those_of_variables() {
        for (text, wanted) in [
            ("geo $v { }", Some((None, "v"))),
            ("geo $a $v { }", Some((Some("a"), "v"))),
            ("geo v { }", None),
            ("geo $ { }", None),
            ("geo $a $b $c { }", None),
            ("geo { }", None),
            ("geo $a;", None),
        ] {
            let files = Files::single("nginx.conf", text);
            let geo = Geo::read(&read(&files).unwrap().directives[0], &mut Vec::new()).ok();
            let found = geo.as_ref().map(|geo| (geo.address.as_deref(), &*geo.variable));
            assert_eq!(found, wanted, "{text}");
        }
    }
}
