//! Holdings in iptables: two chains of the table filter, of one family, and the jump to the first.

use std::collections::{BTreeMap, HashMap};

use super::nft::rejump;
use super::spot::{self, Row, Spot};
use super::{Around, Content, HoldingError, Jump};
use crate::netfilter::{
    Backend, Base, Chain, ChainKind, Field, Hook, Item, Match, Place as Where, Policy, Table, TableFamily,
    Test, Values, Verdict, iptables_save,
};
use crate::prefix::{Family, PrefixSet};

/// The chains that the table filter has by itself.
const BUILT_IN: [&str; 3] = ["INPUT", "FORWARD", "OUTPUT"];

/// A place in iptables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) family: Family,
    pub(super) chain: &'a str,
    pub(super) parent: &'a str,
    pub(super) jump: Jump,
}

/// The lines of a content.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Those that declare our chains.
    pub(super) declared: String,
    /// Those with their rules.
    pub(super) rules: String,
    /// The one that jumps to the first chain.
    pub(super) jump: Option<String>,
}

/// A rule as its line, and as what it means.
struct Line<'t> {
    text: &'t str,
    items: Box<[Item]>,
}

impl Line<'_> {
    fn accepts(&self) -> bool {
        matches!(&*self.items, [.., Item::Verdict(Verdict::Accept)])
    }

    fn meaning(&self) -> String {
        format!("{:?}", self.items)
    }
}

impl Place<'_> {
    fn tool(&self) -> &'static str {
        match self.family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        }
    }

    fn allow(&self) -> String {
        format!("{}-ALLOW", self.chain)
    }

    fn table_family(&self) -> TableFamily {
        match self.family {
            Family::V4 => TableFamily::Ip,
            Family::V6 => TableFamily::Ip6,
        }
    }

    pub(super) fn jump_line(&self) -> String {
        format!("-A {} -j {}", self.parent, self.chain)
    }

    /// Whether a line declares one of our chains, or is a rule of one.
    pub(super) fn is_chain_line(&self, line: &str) -> bool {
        let rest = line.strip_prefix(':').or_else(|| line.strip_prefix("-A "));
        let name = rest.and_then(|rest| rest.split(' ').next());
        name.is_some_and(|name| name == self.chain || name == self.allow())
    }

    /// A content in its parts.
    pub(super) fn parts(&self, text: &str) -> Parts {
        let mut parts = Parts::default();
        let jump = self.jump_line();
        for line in text.lines().filter(|line| is_rule_or_chain(line)) {
            let line = format!("{line}\n");
            if line.trim_end() == jump {
                parts.jump = Some(line);
            } else if line.starts_with(':') {
                parts.declared.push_str(&line);
            } else {
                parts.rules.push_str(&line);
            }
        }
        parts
    }

    /// What is ours of `iptables-save`.
    pub(super) fn own(&self, listing: &str, around: Around) -> Content {
        let declared = [format!(":{} ", self.chain), format!(":{} ", self.allow())];
        let rules = [format!("-A {} ", self.chain), format!("-A {} ", self.allow())];
        let (jump, beside) = (self.jump_line(), format!("-A {} ", self.parent));
        let mut within = false;
        let mut text = String::new();
        for line in listing.lines() {
            within = if line.starts_with('*') { line == "*filter" } else { within };
            if !within {
                continue;
            }
            let is_jump = self.jump == Jump::Ours && line == jump;
            if is_jump || declared.iter().chain(&rules).any(|start| line.starts_with(start)) {
                text.push_str(line);
                text.push('\n');
            } else if around == Around::Told && line.starts_with(&beside) {
                text.push_str(&spot::told(line));
            }
        }
        (!text.is_empty()).then(|| format!("*filter\n{text}COMMIT\n").into())
    }

    /// A content as a whole table, which is what the reader wants: with the chain that jumps.
    pub(super) fn whole_table(&self, text: &str) -> String {
        // Only built-in chains have a policy.
        let policy = if BUILT_IN.contains(&self.parent) { "ACCEPT" } else { "-" };
        text.replacen("*filter\n", &format!("*filter\n:{} {policy} [0:0]\n", self.parent), 1)
    }

    fn table(&self, text: &str) -> Result<Table, HoldingError> {
        let reading = iptables_save::read(&self.whole_table(text), 0, self.table_family())
            .map_err(HoldingError::Unreadable)?;
        reading.tables.into_iter().next().ok_or_else(|| HoldingError::nothing(text))
    }

    /// The rules of a chain, in order.
    fn lines<'t>(&self, text: &'t str, chain: &str) -> Result<Vec<Line<'t>>, HoldingError> {
        let table = self.table(text)?;
        let found = table.chains.into_iter().find(|found| found.name.as_ref() == chain);
        let rules = found.map(|found| found.rules).unwrap_or_default();
        Ok(rules_of(text, chain).zip(rules).map(|(text, rule)| Line { text, items: rule.items }).collect())
    }

    /// Whether both mean the same: comments and counters do not matter, nor in which order sources are let in.
    pub(super) fn same(&self, have: &str, want: &str) -> Result<bool, HoldingError> {
        if !self.has_both(have)
            || self.has_jump(have) != self.has_jump(want)
            || !self.is_jump_placed(have, want)
        {
            return Ok(false);
        }
        let (chain, allow) = (self.chain, self.allow());
        // Most often the tool prints what was rendered: then nothing has to be read.
        if [chain, &allow].iter().all(|chain| rules_of(have, chain).eq(rules_of(want, chain))) {
            return Ok(true);
        }
        let alike = |one: &[Line<'_>], other: &[Line<'_>]| {
            one.iter().map(|line| &line.items).eq(other.iter().map(|line| &line.items))
        };
        if !alike(&self.lines(have, chain)?, &self.lines(want, chain)?) {
            return Ok(false);
        }
        let (have, want) = (self.lines(have, &allow)?, self.lines(want, &allow)?);
        Ok(alike(&have, &want)
            || have.len() == want.len() && changes(&have, &want).is_some_and(|changes| changes.is_empty()))
    }

    fn has_both(&self, text: &str) -> bool {
        is_declared(text, self.chain) && is_declared(text, &self.allow())
    }

    /// Commands that take out every jump that is there: somebody may have put in a second one.
    fn unjumped(&self, have: &str) -> String {
        let jump = self.jump_line();
        let jumps = have.lines().filter(|line| *line == jump);
        jumps.flat_map(|line| ["-D", line.get(2..).unwrap_or_default(), "\n"]).collect()
    }

    fn has_jump(&self, text: &str) -> bool {
        let jump = self.jump_line();
        text.lines().any(|line| line == jump)
    }

    /// The rules of others around the jump, as a content tells them.
    pub(super) fn row<'t>(&self, text: &'t str) -> Row<'t> {
        let jump = self.jump_line();
        Row::of(text, |line| line == jump)
    }

    fn spot<'t>(&self, text: &'t str) -> Spot<'t> {
        let jump = self.jump_line();
        Spot::of(text, |line| line == jump)
    }

    /// Whether the jump that is there stands where it is wanted.
    pub(super) fn is_jump_placed(&self, have: &str, want: &str) -> bool {
        self.spot(want).is_met(&self.row(have))
    }

    /// Commands that put the jump where it is wanted, or take it out, and what they do where that is not told already.
    fn jumped(&self, have: &str, want: &str) -> (String, Option<String>) {
        let (row, spot) = (self.row(have), self.spot(want));
        let (had, wanted) = (self.has_jump(have), self.has_jump(want));
        if !wanted || had && spot.is_met(&row) {
            return (if wanted { String::new() } else { self.unjumped(have) }, None);
        }
        let (parent, chain, before) = (self.parent, self.chain, spot.place_in(&row));
        let mut body = self.unjumped(have);
        body.push_str(&format!("-I {parent} {} -j {chain}\n", before.saturating_add(1)));
        let does = match (had, before) {
            (false, _) => format!("put the jump into {parent}"),
            (true, 0) => format!("move the jump to the head of {parent}"),
            (true, _) => format!("move the jump back behind other rules of {parent}"),
        };
        (body, Some(format!("{does} ({})", self.tool())))
    }

    /// Input of `iptables-restore --noflush` that makes what is there what is wanted, and what it does.
    pub(super) fn commands(&self, have: &Content, want: &Content) -> Result<(String, String), HoldingError> {
        let (chain, allow, tool) = (self.chain, self.allow(), self.tool());
        let (body, does) = match (have.as_deref(), want.as_deref()) {
            (Some(have), Some(want)) => self.changed(have, want)?,
            (None, Some(want)) => (self.whole("", want).0, format!("make chain {chain} ({tool})")),
            (Some(have), None) => {
                let mut body = self.unjumped(have);
                let names: Vec<&str> =
                    [chain, &allow].into_iter().filter(|name| is_declared(have, name)).collect();
                for (verb, name) in
                    ["-F", "-X"].iter().flat_map(|verb| names.iter().map(move |name| (verb, name)))
                {
                    body.push_str(&format!("{verb} {name}\n"));
                }
                (body, format!("remove chain {chain} ({tool})"))
            }
            (None, None) => (String::new(), String::new()),
        };
        Ok((format!("*filter\n{body}COMMIT\n"), does))
    }

    /// From what is there to what is wanted: the difference where that does, or else all of it.
    fn changed(&self, have: &str, want: &str) -> Result<(String, String), HoldingError> {
        if let Some(found) = self.difference(have, want)? {
            return Ok(found);
        }
        let (body, jump) = self.whole(have, want);
        let does = std::iter::once(format!("replace chain {} ({})", self.chain, self.tool())).chain(jump);
        Ok((body, does.collect::<Vec<_>>().join(", ")))
    }

    /// All of it anew; a jump that is there stays where it is, unless it is wanted elsewhere.
    fn whole(&self, have: &str, want: &str) -> (String, Option<String>) {
        let jump = self.jump_line();
        let lines = want.lines().filter(|line| is_rule_or_chain(line) && *line != jump);
        let mut body: String = lines.flat_map(|line| [line, "\n"]).collect();
        let (commands, does) = self.jumped(have, want);
        body.push_str(&commands);
        (body, does)
    }

    /// Only the rules that differ: what comes is put before the others, what goes is named by its number, highest
    /// first. `None` where that would not give the wanted order.
    fn difference(&self, have: &str, want: &str) -> Result<Option<(String, String)>, HoldingError> {
        let same_entry = {
            let (old, new) = (self.lines(have, self.chain)?, self.lines(want, self.chain)?);
            old.iter().map(|line| &line.items).eq(new.iter().map(|line| &line.items))
        };
        if !self.has_both(have) || !same_entry {
            return Ok(None);
        }
        let allow = self.allow();
        let (old, new) = (self.lines(have, &allow)?, self.lines(want, &allow)?);
        let Some(Changes { come, gone }) = changes(&old, &new) else { return Ok(None) };
        let mut body = String::new();
        for line in come.iter().rev() {
            let rule = line.text.strip_prefix(&format!("-A {allow} ")).unwrap_or_default();
            body.push_str(&format!("-I {allow} 1 {rule}\n"));
        }
        for number in gone.iter().rev() {
            body.push_str(&format!("-D {allow} {}\n", number.saturating_add(come.len())));
        }
        let (commands, jump) = self.jumped(have, want);
        body.push_str(&commands);
        let mut does = Vec::new();
        if !come.is_empty() || !gone.is_empty() {
            let (come, gone, tool) = (come.len(), gone.len(), self.tool());
            does.push(format!("add {come} and take away {gone} rules of chain {allow} ({tool})"));
        }
        does.extend(jump);
        Ok(Some((body, does.join(", "))))
    }

    /// The source addresses that its rules accept by address.
    pub(super) fn addresses(&self, text: &str) -> Result<PrefixSet, HoldingError> {
        let mut all = PrefixSet::empty();
        for line in self.lines(text, &self.allow())? {
            let [
                Item::Match(Match { negated: false, test: Test::Is(Field::Source, values) }),
                ..,
                Item::Verdict(Verdict::Accept),
            ] = &*line.items
            else {
                continue;
            };
            all = all.union(&match values {
                Values::V4(spans) => PrefixSet::from_spans(spans.as_slice().to_vec(), Vec::new()),
                Values::V6(spans) => PrefixSet::from_spans(Vec::new(), spans.as_slice().to_vec()),
                Values::Numbers(_) | Values::Masked { .. } | Values::Names(_) | Values::Any => {
                    PrefixSet::empty()
                }
            });
        }
        Ok(all)
    }

    /// What is wanted, as a table, its places in a listing of this number.
    pub(super) fn read(&self, text: &str, listing: u16) -> Result<Table, HoldingError> {
        let mut table = self.table(text)?;
        for rule in table.chains.iter_mut().flat_map(|chain| &mut chain.rules) {
            rule.place.listing = listing;
        }
        Ok(table)
    }

    /// Puts what is wanted into the host's table, in place of what is there, as loading it would.
    pub(super) fn put_into(&self, tables: &mut Vec<Table>, want: Option<Table>, text: &str) {
        let is_filter =
            |table: &Table| table.family == self.table_family() && table.name.as_ref() == "filter";
        let has_ours = |table: &Table| table.chains.iter().any(|chain| chain.name.as_ref() == self.chain);
        // Of two machineries, the one that has our chain already, or else the newer one.
        let at = tables
            .iter()
            .position(|table| is_filter(table) && has_ours(table))
            .or_else(|| tables.iter().position(|table| is_filter(table) && table.backend == Backend::Nft))
            .or_else(|| tables.iter().position(is_filter));
        let at = at.unwrap_or_else(|| {
            tables.push(self.empty_table());
            tables.len().saturating_sub(1)
        });
        let Some(table) = tables.get_mut(at) else { return };
        let allow = self.allow();
        let is_ours = |chain: &Chain| *chain.name == *self.chain || *chain.name == *allow;
        table.chains.retain(|chain| !is_ours(chain));
        let mut jump = None;
        for chain in want.into_iter().flat_map(|want| want.chains) {
            if is_ours(&chain) {
                table.chains.push(chain);
            } else if *chain.name == *self.parent {
                jump = chain.rules.into_iter().next();
            }
        }
        if !table.chains.iter().any(|chain| *chain.name == *self.parent) && self.parent == "INPUT" {
            table.chains.push(self.input());
        }
        let base = table.chains.iter_mut().find(|chain| *chain.name == *self.parent);
        if let Some(base) = base.filter(|_| self.jump == Jump::Ours) {
            rejump(base, self.chain, jump, &self.spot(text));
        }
    }

    fn empty_table(&self) -> Table {
        Table {
            backend: Backend::Nft,
            family: self.table_family(),
            name: "filter".into(),
            dormant: Some(false),
            chains: Vec::new(),
            sets: BTreeMap::new(),
        }
    }

    /// The built-in chain, as iptables makes it with the first rule.
    fn input(&self) -> Chain {
        let base = Base {
            kind: ChainKind::Filter,
            hook: Hook::Input,
            priority: 0,
            policy: Policy::Accept,
            devices: None,
        };
        Chain { name: self.parent.into(), base: Some(base), rules: Vec::new(), place: Where::default() }
    }
}

/// Whether a line of a content is more than its frame and what it tells besides.
fn is_rule_or_chain(line: &str) -> bool {
    line != "*filter" && line != "COMMIT" && !spot::is_told(line)
}

/// The rules of a chain as text, in order.
fn rules_of<'t>(text: &'t str, chain: &str) -> impl Iterator<Item = &'t str> {
    let start = format!("-A {chain} ");
    text.lines().filter(move |line| line.starts_with(&start))
}

fn is_declared(text: &str, chain: &str) -> bool {
    let start = format!(":{chain} ");
    text.lines().any(|line| line.starts_with(&start))
}

/// What has to come and go.
struct Changes<'l, 't> {
    come: Vec<&'l Line<'t>>,
    /// Their numbers, from 1, ascending.
    gone: Vec<usize>,
}

impl Changes<'_, '_> {
    fn is_empty(&self) -> bool {
        self.come.is_empty() && self.gone.is_empty()
    }
}

/// What has to come and go; `None` where rules put before the others would not do. Only rules that accept may
/// stand in any order, before all that do something else.
fn changes<'l, 't>(have: &[Line<'_>], want: &'l [Line<'t>]) -> Option<Changes<'l, 't>> {
    let mut unmet: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, line) in want.iter().enumerate().rev() {
        unmet.entry(line.meaning()).or_default().push(index);
    }
    let (mut gone, mut stay, mut met) = (Vec::new(), Vec::new(), vec![false; want.len()]);
    for (index, line) in have.iter().enumerate() {
        match unmet.get_mut(&line.meaning()).and_then(Vec::pop).and_then(|at| met.get_mut(at)) {
            Some(met) => {
                *met = true;
                stay.push(line);
            }
            None => gone.push(index.saturating_add(1)),
        }
    }
    let come: Vec<&Line<'_>> =
        want.iter().zip(&met).filter(|(_, met)| !**met).map(|(line, _)| line).collect();
    let closing = |lines: &[&Line<'_>]| -> Option<Vec<String>> {
        let rest: Vec<_> = lines.iter().skip_while(|line| line.accepts()).collect();
        rest.iter().all(|line| !line.accepts()).then(|| rest.iter().map(|line| line.meaning()).collect())
    };
    let wanted: Vec<&Line<'_>> = want.iter().collect();
    let fits = come.iter().all(|line| line.accepts()) && closing(&stay)? == closing(&wanted)?;
    fits.then_some(Changes { come, gone })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: Place<'_> =
        Place { family: Family::V4, chain: "CALLGATE", parent: "INPUT", jump: Jump::Ours };

    /// What iptables keeps of a holding: its rules in order, and whether there is a jump.
    #[derive(Debug, Clone, PartialEq)]
    struct Kernel {
        entry: Vec<String>,
        allow: Vec<String>,
        jumps: usize,
    }

    impl Kernel {
        /// As `iptables-save` prints it.
        fn saved(&self) -> String {
            let mut text = "*filter\n:CALLGATE - [0:0]\n:CALLGATE-ALLOW - [0:0]\n".to_owned();
            text.extend(std::iter::repeat_n("-A INPUT -j CALLGATE\n", self.jumps));
            text.extend(self.entry.iter().map(|rule| format!("-A CALLGATE {rule}\n")));
            text.extend(self.allow.iter().map(|rule| format!("-A CALLGATE-ALLOW {rule}\n")));
            text + "COMMIT\n"
        }

        /// What `iptables-restore --noflush` makes of it.
        fn restored(mut self, input: &str) -> Self {
            for line in input.lines().filter(|line| !["*filter", "COMMIT"].contains(line)) {
                let words: Vec<&str> = line.splitn(3, ' ').collect();
                let chain = match words[1] {
                    "CALLGATE" => &mut self.entry,
                    "CALLGATE-ALLOW" => &mut self.allow,
                    "INPUT" if words[0] == "-I" => {
                        self.jumps += 1;
                        continue;
                    }
                    "INPUT" if words[0] == "-D" => {
                        self.jumps -= 1;
                        continue;
                    }
                    _ if line.starts_with(":CALLGATE ") => {
                        self.entry.clear();
                        continue;
                    }
                    _ if line.starts_with(":CALLGATE-ALLOW ") => {
                        self.allow.clear();
                        continue;
                    }
                    other => panic!("{other} is not ours: {line}"),
                };
                match words[0] {
                    "-A" => chain.push(words[2].to_owned()),
                    "-I" => chain.insert(0, words[2].strip_prefix("1 ").unwrap().to_owned()),
                    "-D" => drop(chain.remove(words[2].parse::<usize>().unwrap() - 1)),
                    other => panic!("{other}: {line}"),
                }
            }
            self
        }
    }

    fn accepts(source: u8) -> String {
        format!("-s 20.0.0.{source}/32 -m comment --comment \"example/{source} active\" -j ACCEPT")
    }

    fn kernel(sources: &[u8], port: u16, closing: bool) -> Kernel {
        let mut allow: Vec<String> = sources.iter().map(|source| accepts(*source)).collect();
        allow.extend(closing.then(|| "-j DROP".to_owned()));
        let entry = vec![format!("-p tcp -m tcp --dport {port} -j CALLGATE-ALLOW")];
        Kernel { entry, allow, jumps: 1 }
    }

    proptest! {
        #[test]
        fn the_commands_bring_about_what_is_wanted_and_then_none_are_left(
            have in prop::collection::vec(0_u8..12, 0..10), want in prop::collection::btree_set(0_u8..12, 0..10),
            stray in prop::option::of((0_usize..10, prop::bool::ANY)), port in prop::bool::ANY, jumps in 0_usize..3,
            modes in (prop::bool::ANY, prop::bool::ANY),
        ) {
            let wanted = kernel(&want.iter().copied().collect::<Vec<_>>(), 443, modes.0);
            let mut there = kernel(&have, if port { 443 } else { 8443 }, modes.1);
            there.jumps = jumps;
            if let Some((at, drops)) = stray {
                let rule = if drops { "-s 20.0.0.3/32 -j DROP".to_owned() } else { accepts(99) };
                there.allow.insert(at.min(there.allow.len()), rule);
            }
            let (old, new) = (there.saved(), wanted.saved());
            prop_assert_eq!(PLACE.own(&old, Around::Left), Some(old.clone().into()));
            let alike = PLACE.same(&old, &new).unwrap();
            let (input, _) = PLACE.commands(&Some(old.into()), &Some(new.clone().into())).unwrap();
            let after = there.clone().restored(&input);
            prop_assert!(PLACE.same(&after.saved(), &new).unwrap(), "{}\n{}", input, after.saved());
            if alike {
                prop_assert_eq!(&after, &there, "{}", input);
            }
            // And back again: a snapshot is restored in the same way.
            let (input, _) = PLACE.commands(&Some(after.saved().into()), &Some(there.saved().into())).unwrap();
            let back = after.restored(&input);
            prop_assert!(PLACE.same(&back.saved(), &there.saved()).unwrap(), "{}\n{}", input, back.saved());
        }
    }
}
