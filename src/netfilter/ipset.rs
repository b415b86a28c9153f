//! What `ipset save` prints: sets of the whole host, which rules of iptables name.
//!
//! Elements that no TCP packet can be (another protocol's port) are left out. An element with a timeout counts
//! as there. See ipset(8) for the types and their options.

mod kind;
mod member;
mod tuple;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use self::kind::Kind;
use self::member::{Fault, Members};
use super::words::Words;
use super::{Place, ReadError, Reading, Set};
use crate::prefix::list::plain_v4_until;

/// Reads the output of `ipset save`.
///
/// The [`Reading`] has ipsets only. For each of them:
///
/// - [`Set::dimensions`] says what its components are, so that [`Set::fields`] can say what is looked up.
/// - A set of one address has [`Elements::V4`](super::Elements::V4) or `V6` by its family, holes cut out and
///   `netmask` and `bitmask` worked in: looking up the address itself is enough. So has an empty set, which is
///   how an `inet6` set is known never to match IPv4. A set of one port has `Numbers`.
/// - A set of several components has `Tuples`, longest prefix first; `nomatch` is
///   [`Element::excluded`](super::Element::excluded). An interface's key is `Names`, a mark's is
///   `Masked`; a hardware address's is `Any`, and may match.
/// - `list:set` has `Lists`; its members may be missing from a text that was cut.
/// - [`Set::dynamic`] is never set: whether packets change a set, only rules tell.
/// - A type, or a size, that is not modelled is `Unknown`; the words say which.
///
/// # Errors
///
/// A line that is neither `create` nor `add`, an element that does not fit its set, an element of a set that is
/// nowhere created, a set created twice, a last line without its end: the text is no whole dump.
pub fn read(text: &str, listing: u16) -> Result<Reading, ReadError> {
    let mut reader = Reader::default();
    let mut place = Place { listing, line: 0, start: 0, end: 0 };
    let mut start = 0_usize;
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let (lines, next) = reader.plain_lines(text, start);
        if lines > 0 {
            place.line = place.line.saturating_add(lines);
            start = next;
            continue;
        }
        let line = rest.split_inclusive('\n').next().unwrap_or(rest);
        place.line = place.line.saturating_add(1);
        let whole = line.strip_suffix('\n');
        let content = whole.unwrap_or(line);
        place.start = u32::try_from(start).unwrap_or(u32::MAX);
        place.end = u32::try_from(start + content.len()).unwrap_or(u32::MAX);
        start += line.len();
        let cut = if whole.is_none() { Err(Fault::new("the text ends within a line")) } else { Ok(()) };
        cut.and_then(|()| reader.line(content)).map_err(|fault| error(place, &fault))?;
    }
    Ok(reader.finish())
}

fn error(place: Place, fault: &Fault) -> ReadError {
    let help = "give the whole output of `ipset save` of the loaded sets";
    ReadError { place, message: fault.message.clone(), help: help.to_owned() }
}

/// Sets as they are read.
#[derive(Default)]
struct Reader<'a> {
    sets: Vec<Members>,
    by_name: BTreeMap<&'a str, usize>,
    /// The set of the line before: elements of a set stand together.
    last: Option<(&'a str, usize)>,
}

impl<'a> Reader<'a> {
    /// Takes lines that add an address or a network of IPv4, and nothing else, to the set of the line before: nearly all
    /// lines of a large set. How many they are, and where the next one starts.
    fn plain_lines(&mut self, text: &'a str, mut start: usize) -> (u32, usize) {
        let members = self.last.and_then(|(name, at)| Some((name, self.sets.get_mut(at)?)));
        let Some((name, members)) = members.filter(|(_, members)| members.is_plain()) else {
            return (0, start);
        };
        let head = format!("add {name} ");
        let mut lines = 0_u32;
        while text.as_bytes().get(start..).is_some_and(|rest| rest.starts_with(head.as_bytes())) {
            let Some((span, next)) = plain_v4_until::<b'\n'>(text.as_bytes(), start + head.len()) else {
                break;
            };
            members.add_plain(span);
            lines = lines.saturating_add(1);
            start = next;
        }
        (lines, start)
    }

    fn line(&mut self, line: &'a str) -> Result<(), Fault> {
        if let Some(rest) = line.strip_prefix("add ") {
            return self.add(rest);
        }
        let mut words = Words::new(line);
        let first = words.next().map(|word| word.raw);
        match first {
            None | Some("COMMIT") => Ok(()),
            Some(word) if word.starts_with('#') => Ok(()),
            Some("create" | "-N" | "--create") => self.create(words),
            Some("add" | "-A" | "--add") => match line.trim_start().split_once([' ', '\t']) {
                Some((_, rest)) => self.add(rest.trim_start()),
                None => Err(Fault::new("`add` names no set")),
            },
            Some(other) => Err(Fault::about("no line of `ipset save`", other)),
        }
    }

    fn create(&mut self, mut words: Words<'a>) -> Result<(), Fault> {
        let (Some(name), Some(kind)) = (words.next(), words.next()) else {
            return Err(Fault::new("`create` without a set's name and type"));
        };
        let mut rest = words.clone();
        let exists = rest.any(|word| matches!(word.raw, "-exist" | "-!" | "--exist"));
        let members = Members::new(Kind::read(kind.raw, words)?);
        if self.by_name.contains_key(name.raw) {
            return if exists { Ok(()) } else { Err(Fault::about("set created twice:", name.raw)) };
        }
        self.by_name.insert(name.raw, self.sets.len());
        self.sets.push(members);
        Ok(())
    }

    #[inline]
    fn add(&mut self, rest: &'a str) -> Result<(), Fault> {
        let Some((name, element)) = rest.split_once(' ') else {
            return Err(Fault::new("`add` without a set's name and an element"));
        };
        let at = match self.last {
            Some((last, at)) if last == name => at,
            _ => {
                let found = self.by_name.get(name);
                *found.ok_or_else(|| Fault::about("element of a set that is not created:", name))?
            }
        };
        self.last = Some((name, at));
        match self.sets.get_mut(at) {
            Some(members) => members.add(element),
            None => Ok(()),
        }
    }

    fn finish(self) -> Reading {
        let mut reading = Reading::default();
        let mut sets: Vec<Option<Members>> = self.sets.into_iter().map(Some).collect();
        for (name, at) in self.by_name {
            let Some(members) = sets.get_mut(at).and_then(Option::take) else { continue };
            let set: Set = members.finish();
            if let Entry::Vacant(entry) = reading.ipsets.entry(Arc::from(name)) {
                entry.insert(set);
            }
        }
        reading
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::super::address::Address;
    use super::super::{Dimension, Elements, NamePattern, Span, Values};
    use super::*;

    fn spans<N: Copy + PartialEq>(spans: &[Span<N>], show: impl Fn(N) -> String) -> String {
        let one = |(first, last): &Span<N>| {
            if first == last { show(*first) } else { format!("{}-{}", show(*first), show(*last)) }
        };
        spans.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn v4(all: &[Span<u32>]) -> String {
        spans(all, |one| Ipv4Addr::from(one).to_string())
    }

    fn v6(all: &[Span<u128>]) -> String {
        spans(all, |one| Ipv6Addr::from(one).to_string())
    }

    fn numbers(all: &[Span<u32>]) -> String {
        spans(all, |one| one.to_string())
    }

    fn value(value: &Values) -> String {
        match value {
            Values::V4(all) => v4(all.as_slice()),
            Values::V6(all) => v6(all.as_slice()),
            Values::Numbers(all) => numbers(all.as_slice()),
            Values::Masked { mask, values } => format!("&{mask:#x}:{}", numbers(values.as_slice())),
            Values::Names(names) => format!("{names:?}"),
            Values::Any => "any".to_owned(),
        }
    }

    /// The elements of the last set by name, of these lines.
    fn shown(text: &str) -> String {
        let reading = match read(text, 3) {
            Ok(reading) => reading,
            Err(error) => return format!("line {}: {error}", error.place.line),
        };
        let Some((_, set)) = reading.ipsets.last_key_value() else { return String::new() };
        match &set.elements {
            Elements::V4(all) => format!("v4 {}", v4(all)),
            Elements::V6(all) => format!("v6 {}", v6(all)),
            Elements::Numbers(all) => format!("numbers {}", numbers(all)),
            Elements::Lists(names) => format!("lists {}", names.join(" ")),
            Elements::Unknown(words) => format!("unknown {words}"),
            Elements::Tuples(all) => {
                let shown = all.iter().map(|element| {
                    let key: Vec<String> = element.key.iter().map(value).collect();
                    format!("{}{}", if element.excluded { "!" } else { "" }, key.join(","))
                });
                shown.collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// What a set of this type with these elements becomes.
    fn check(kind: &str, elements: &[&str], expected: &str) {
        let added: Vec<String> = elements.iter().map(|element| format!("add x {element}\n")).collect();
        assert_eq!(shown(&format!("create x {kind}\n{}", added.concat())), expected, "{kind} {elements:?}");
    }

    #[test]
    fn sets_of_one_component() {
        let inet = "family inet hashsize 1024 maxelem 65536";
        check(
            &format!("hash:ip {inet}"),
            &["1.2.3.5", "1.2.3.4", "9.0.0.0-9.0.0.7"],
            "v4 1.2.3.4-1.2.3.5 9.0.0.0-9.0.0.7",
        );
        check("hash:ip", &[], "v4 ");
        check("hash:ip family inet6", &[], "v6 ");
        check(
            "hash:ip timeout 9 counters comment skbinfo",
            &["1.2.3.4 timeout 5 packets 1 bytes 2 comment \"a nomatch b\" skbmark 0x1/0xff"],
            "v4 1.2.3.4",
        );
        check("hash:ip netmask 24", &["1.2.3.0"], "v4 1.2.3.0-1.2.3.255");
        check(
            "hash:ip family inet6 netmask 64",
            &["2001:db8::"],
            "v6 2001:db8::-2001:db8::ffff:ffff:ffff:ffff",
        );
        check("hash:ip bitmask 255.255.254.255", &["1.2.4.3"], "v4 1.2.4.3 1.2.5.3");
        check(
            "hash:ip bitmask 0.0.0.255",
            &["0.0.0.3"],
            "unknown mask of a set that makes more than 65536 intervals",
        );
        check("bitmap:ip range 10.0.0.0-10.0.255.255", &["10.0.0.1", "10.0.0.2"], "v4 10.0.0.1-10.0.0.2");
        check("bitmap:ip range 10.0.0.0-10.0.255.255 netmask 24", &["10.0.5.0"], "v4 10.0.5.0-10.0.5.255");
        check("bitmap:port range 0-1024", &["80", "81", "443-444"], "numbers 80-81 443-444");
        check("list:set size 8", &["b", "a"], "lists b a");
        check("hash:net", &["0.0.0.0/0"], "v4 0.0.0.0-255.255.255.255");
        check("hash:strange", &["what ever"], "unknown set of type `hash:strange`");
    }

    #[test]
    fn the_longest_prefix_decides() {
        check(
            "hash:net",
            &["10.1.0.0/16 nomatch", "10.1.1.0/24", "10.0.0.0/8"],
            "v4 10.0.0.0-10.0.255.255 10.1.1.0-10.1.1.255 10.2.0.0-10.255.255.255",
        );
        check(
            "hash:net",
            &["255.255.255.255 nomatch", "0.0.0.0 nomatch", "0.0.0.0/0"],
            "v4 0.0.0.1-255.255.255.254",
        );
        check("hash:net", &["10.0.0.0/8 nomatch", "11.0.0.0/8"], "v4 11.0.0.0-11.255.255.255");
        check("hash:net", &["10.0.0.0-10.0.0.5", "10.0.0.4/31 nomatch"], "v4 10.0.0.0-10.0.0.3");
        check(
            "hash:net family inet6",
            &["2001:db8:1::/48 nomatch", "2001:db8::/47"],
            "v6 2001:db8::-2001:db8:0:ffff:ffff:ffff:ffff:ffff",
        );
    }

    #[test]
    fn sets_of_several_components() {
        check(
            "hash:ip,port",
            &[
                "1.2.3.4,tcp:443",
                "1.2.3.4,udp:53",
                "1.2.3.4,icmp:echo-request",
                "1.2.3.4,vrrp:0",
                "1.2.3.4,tcp:80-82",
                "1.2.3.4,8",
            ],
            "1.2.3.4,443; 1.2.3.4,80-82; 1.2.3.4,8",
        );
        check("hash:ip,port netmask 24", &["1.2.3.0,tcp:443"], "1.2.3.0-1.2.3.255,443");
        check("hash:ip,port family inet6", &["2001:db8::1,tcp:80"], "2001:db8::1,80");
        check(
            "hash:net,port",
            &["10.0.0.0/8,tcp:443", "10.1.0.0/16,tcp:443 nomatch"],
            "!10.1.0.0-10.1.255.255,443; 10.0.0.0-10.255.255.255,443",
        );
        check(
            "hash:net,net",
            &["10.0.0.0/8,1.0.0.0/24", "10.0.0.0/16,1.0.0.0/8 nomatch", "10.0.0.0/16,1.0.0.0/9"],
            "10.0.0.0-10.0.255.255,1.0.0.0-1.127.255.255; !10.0.0.0-10.0.255.255,1.0.0.0-1.255.255.255; 10.0.0.0-10.255.255.255,1.0.0.0-1.0.0.255",
        );
        check("hash:net,port", &["10.0.0.1-10.0.0.2,tcp:1"], "10.0.0.1,1; 10.0.0.2,1");
        check("hash:ip,port,ip", &["1.2.3.4,tcp:443,5.6.7.8"], "1.2.3.4,443,5.6.7.8");
        check("hash:ip,mark markmask 0xff", &["1.2.3.4,0x05"], "1.2.3.4,&0xff:5");
        check("hash:ip,mac", &["1.2.3.4,01:02:03:04:05:06"], "1.2.3.4,any");
        check("hash:mac", &["01:02:03:04:05:06"], "any");
        check("bitmap:ip,mac range 10.0.0.0-10.0.0.9", &["10.0.0.1"], "10.0.0.1,any");
        check(
            "hash:net,iface",
            &["1.2.3.0/24,eth0"],
            &format!("1.2.3.0-1.2.3.255,{:?}", [NamePattern::Exact("eth0".into())]),
        );
        check(
            "hash:net,iface",
            &["0.0.0.0/0,eth wildcard"],
            &format!("0.0.0.0-255.255.255.255,{:?}", [NamePattern::Starts("eth".into())]),
        );
        check(
            "hash:net,iface",
            &["1.2.3.0/24,physdev:eth0"],
            "unknown port of a bridge (`physdev:`) in a set",
        );
        check(
            "hash:net,net netmask 24",
            &["1.0.0.0/8,1.0.0.0/8"],
            "unknown set of type `hash:net,net` with a mask",
        );
    }

    #[test]
    fn many_ranges_in_one_set_are_not_written_out() {
        let line =
            format!("add x {range},tcp:1,{range}\n", range = "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
        let text = format!("create x hash:net,port,net family inet6\n{}", line.repeat(200));
        assert_eq!(shown(&text), "unknown ranges of a set that make too many prefixes");
    }

    #[test]
    fn dimensions_say_what_is_looked_up() {
        let reading = read("create x hash:ip,port,net\ncreate y list:set size 8\n", 0).unwrap();
        let dimensions = [Dimension::Address, Dimension::Port, Dimension::Address];
        assert_eq!(reading.ipsets["x"].dimensions, dimensions);
        assert_eq!(reading.ipsets["y"].dimensions, []);
    }

    #[test]
    fn a_text_that_is_no_whole_dump_is_refused() {
        let cases = [
            ("create x hash:ip\nadd x 1.2.3.4", "line 2: the text ends within a line"),
            ("create x hash:ip\nadd x 1.2.3.\n", "line 2: no element of its set's type: `1.2.3.`"),
            ("create x hash:ip\nadd x 2001:db8::\n", "line 2: no element of its set's type: `2001:db8::`"),
            ("create x hash:ip,port\nadd x 1.2.3.4\n", "line 2: no element of its set's type: `1.2.3.4`"),
            (
                "create x hash:ip,port\nadd x 1.2.3.4,tcp:http\n",
                "line 2: no element of its set's type: `1.2.3.4,tcp:http`",
            ),
            ("add x 1.2.3.4\n", "line 1: element of a set that is not created: `x`"),
            ("create x hash:ip\ncreate x hash:ip\n", "line 2: set created twice: `x`"),
            ("create x\n", "line 1: `create` without a set's name and type"),
            ("create x hash:ip family inet5\n", "line 1: no family of sets: `inet5`"),
            ("create x hash:ip netmask 33\n", "line 1: no mask of addresses: `33`"),
            ("add\n", "line 1: `add` names no set"),
            ("flush x\n", "line 1: no line of `ipset save` `flush`"),
            ("\0\u{1}\n", "line 1: no line of `ipset save` `\0\u{1}`"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert_eq!(shown("# a remark\n\ncreate x hash:ip -exist\ncreate x hash:ip -exist\n"), "v4 ");
    }

    /// A dump of the real tool (ipset 7.17).
    const REAL: &str = include_str!("../../tests/fixtures/netfilter/ipset-save.txt");

    #[test]
    fn a_real_dump_is_read_whole() {
        let reading = read(REAL, 0).unwrap();
        assert_eq!(reading.ipsets.len(), REAL.lines().filter(|line| line.starts_with("create")).count());
        let unknown: Vec<&str> = reading
            .ipsets
            .iter()
            .filter(|(_, set)| matches!(set.elements, Elements::Unknown(_)))
            .map(|(name, _)| &**name)
            .collect();
        assert_eq!(unknown, ["d3"]);
    }

    proptest! {
        #[test]
        fn holes_are_cut_as_the_kernel_looks_up(
            nets in prop::collection::vec((0_u32..64, 24_u32..=32, any::<bool>()), 1..12),
        ) {
            let mut known = std::collections::BTreeMap::new();
            for (low, length, hole) in nets {
                known.insert((length, (0x0a00_0000 + low) & <u32 as Address>::mask(length)), hole);
            }
            let mut text = "create x hash:net\n".to_owned();
            for ((length, first), hole) in &known {
                let hole = if *hole { " nomatch" } else { "" };
                text.push_str(&format!("add x {}/{length}{hole}\n", Ipv4Addr::from(*first)));
            }
            let reading = read(&text, 0).unwrap();
            let Elements::V4(spans) = &reading.ipsets["x"].elements else { panic!() };
            for address in 0x09ff_fff0_u32..0x0a00_0110 {
                let known = |length| known.get(&(length, address & <u32 as Address>::mask(length)));
                let decides = (0..=32).rev().find_map(known);
                let inside = spans.iter().any(|(first, last)| (*first..=*last).contains(&address));
                prop_assert_eq!(inside, decides == Some(&false), "{} {}", Ipv4Addr::from(address), text);
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,200}", kind in "(hash|bitmap):(ip|net|port|mac|iface|mark)(,(ip|net|port|mac|iface|mark)){0,2}") {
            let _ = read(&text, 0);
            let _ = read(&format!("create x {kind}\nadd x {text}\n"), 0);
        }

        #[test]
        fn no_mutation_makes_it_panic(
            changes in prop::collection::vec((0..REAL.len(), "[-! \"\n,:/0-9a-f]{0,4}", 0_usize..20), 1..20),
        ) {
            let mut text = REAL.to_owned();
            for (at, new, length) in changes {
                let at = at.min(text.len());
                text.replace_range(at..(at + length).min(text.len()), &new);
            }
            let _ = read(&text, 0);
        }
    }
}
