//! Holdings in nft: a table of our own, or a chain with its sets in somebody's table.

use std::collections::BTreeMap;

use super::spot::{self, Row, Spot};
use super::{Around, Content, HoldingError, Jump};
use crate::netfilter::nft::text::read_text;
use crate::netfilter::{Chain, Elements, Item, Rule, Table, Verdict};
use crate::prefix::PrefixSet;

/// The chain of ours in somebody's table.
pub(super) const CHAIN: &str = "callgate";
const SETS: [&str; 2] = ["callgate_v4", "callgate_v6"];

/// A place in nft.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// `inet`, `ip` or `ip6`.
    pub(super) family: &'a str,
    pub(super) table: &'a str,
    /// The base chain that jumps to ours, and whose the jump is; `None` where the whole table is ours.
    pub(super) parent: Option<(&'a str, Jump)>,
}

impl Place<'_> {
    fn named(&self) -> String {
        format!("{} {}", self.family, self.table)
    }

    /// What is ours of `nft list ruleset`, or of a file of that form.
    pub(super) fn own(&self, listing: &str, around: Around) -> Content {
        let block = block(listing, &format!("table {} {{", self.named()), "")?;
        let Some((parent, jump)) = self.parent else { return Some(block.into()) };
        let mut text = String::new();
        for set in SETS {
            text.push_str(&self::block(&block, &format!("set {set} {{"), "\t").unwrap_or_default());
        }
        text.push_str(&self::block(&block, &format!("chain {CHAIN} {{"), "\t").unwrap_or_default());
        if jump == Jump::Ours {
            let lines = self::block(&block, &format!("chain {parent} {{"), "\t").unwrap_or_default();
            let told: String = lines.lines().filter_map(|line| beside(line, around)).collect();
            if !told.is_empty() {
                text.push_str(&format!("\tchain {parent} {{\n{told}\t}}\n"));
            }
        }
        (!text.is_empty()).then(|| format!("table {} {{\n{text}}}\n", self.named()).into())
    }

    /// Whether both mean the same.
    pub(super) fn same(&self, have: &str, want: &str) -> Result<bool, HoldingError> {
        if self.has_jump(have) != self.has_jump(want) || !self.spot(want).is_met(&self.row(have)) {
            return Ok(false);
        }
        Ok(self.is_alike(&parsed(have)?, &parsed(want)?))
    }

    /// Whether a table of our own that was read with its host is what is wanted.
    pub(super) fn is_met(&self, tables: &[Table], want: &str) -> Result<bool, HoldingError> {
        let have = tables.iter().find(|table| self.is_here(table)).filter(|_| self.parent.is_none());
        have.map_or(Ok(false), |have| Ok(self.is_alike(have, &parsed(want)?)))
    }

    fn is_here(&self, table: &Table) -> bool {
        table.name.as_ref() == self.table && table.family.as_str() == self.family
    }

    fn is_alike(&self, have: &Table, want: &Table) -> bool {
        self.is_built_alike(have, want) && have.sets == want.sets
    }

    /// Whether chains, rules and sets are alike, whatever the sets hold, and whoever jumps there.
    fn is_built_alike(&self, have: &Table, want: &Table) -> bool {
        let meaning = |table: &Table| -> BTreeMap<String, _> {
            let ours = |chain: &&Chain| self.parent.is_none() || chain.name.as_ref() == CHAIN;
            let of = |chain: &Chain| {
                let items: Vec<_> = chain.rules.iter().map(|rule| rule.items.clone()).collect();
                (chain.name.to_string(), (format!("{:?}", chain.base), items))
            };
            table.chains.iter().filter(ours).map(of).collect()
        };
        meaning(have) == meaning(want)
            && have.sets.keys().eq(want.sets.keys())
            && have.dormant.unwrap_or(false) == want.dormant.unwrap_or(false)
    }

    /// The commands that make what is there what is wanted, in one transaction, and what they do.
    pub(super) fn commands(&self, have: &Content, want: &Content) -> Result<(String, String), HoldingError> {
        let table = self.named();
        match (have, want) {
            (Some(have), Some(want)) => {
                if self.is_built_alike(&parsed(have)?, &parsed(want)?)
                    && let Some(changed) = self.elements(have, want)
                {
                    return Ok(changed);
                }
                let anew = self.cleared(have) + &self.loaded(want);
                let (commands, jump) = self.jumped(have, want);
                let does = std::iter::once(format!("replace {}", self.words())).chain(jump);
                Ok((anew + &commands, does.collect::<Vec<_>>().join(", ")))
            }
            (None, Some(want)) => {
                Ok((self.loaded(want) + &self.jumped("", want).0, format!("make {}", self.words())))
            }
            (Some(have), None) => {
                let gone = match self.parent {
                    None => format!("delete table {table}\n"),
                    Some(_) => self.removed(have),
                };
                Ok((gone, format!("remove {}", self.words())))
            }
            (None, None) => Ok((String::new(), String::new())),
        }
    }

    fn words(&self) -> String {
        match self.parent {
            None => format!("table {}", self.named()),
            Some(_) => format!("chain {CHAIN} of table {}", self.named()),
        }
    }

    /// Commands that take away what a block holds, so that another can be loaded.
    fn cleared(&self, have: &str) -> String {
        let table = self.named();
        if self.parent.is_none() {
            return format!("delete table {table}\n");
        }
        let mut text = format!("add chain {table} {CHAIN}\nflush chain {table} {CHAIN}\n");
        for set in SETS.iter().filter(|set| has(have, &format!("set {set} {{"))) {
            text.push_str(&format!("delete set {table} {set}\n"));
        }
        text
    }

    /// A block as commands, without the jump.
    fn loaded(&self, want: &str) -> String {
        let Some((parent, _)) = self.parent else { return want.to_owned() };
        let mut text = String::new();
        let mut within = false;
        for line in want.lines() {
            within |= line.trim_start().starts_with(&format!("chain {parent} {{"));
            if !within {
                text.push_str(line);
                text.push('\n');
            }
            within &= line.trim() != "}";
        }
        text
    }

    /// Commands that make what is wanted, whatever is there of ours; the jump is apart.
    pub(super) fn anew(&self, want: &str) -> String {
        let table = self.named();
        if self.parent.is_none() {
            return format!("add table {table}\ndelete table {table}\n{want}");
        }
        let mut text = format!("add chain {table} {CHAIN}\nflush chain {table} {CHAIN}\n");
        for (set, kind) in SETS.into_iter().zip(["ipv4_addr", "ipv6_addr"]) {
            if has(want, &format!("set {set} {{")) {
                text.push_str(&format!("add set {table} {set} {{ type {kind}; flags interval; }}\n"));
                text.push_str(&format!("flush set {table} {set}\n"));
            }
        }
        text + &self.loaded(want)
    }

    /// The same for a file that is loaded after all was flushed, with the jump. Where the table or the chain is not there
    /// yet, they are made: else nothing of what includes this would be loaded, and the host would have no rules.
    pub(super) fn anew_after_flush(&self, want: &str) -> String {
        let (table, anew) = (self.named(), self.anew(want));
        match self.parent {
            None => anew,
            Some((parent, _)) => {
                let jump = if self.has_jump(want) { self.jump() } else { String::new() };
                format!("add table {table}\nadd chain {table} {parent}\n{anew}{jump}")
            }
        }
    }

    /// The command that puts the jump at the head of its chain.
    fn jump(&self) -> String {
        self.parent.map_or_else(String::new, |(parent, _)| {
            format!("insert rule {} {parent} jump {CHAIN}\n", self.named())
        })
    }

    /// The rules of others around the jump, as a content tells them.
    pub(super) fn row<'t>(&self, text: &'t str) -> Row<'t> {
        Row::of(text, |line| self.parent.is_some() && is_jump(line))
    }

    fn spot<'t>(&self, text: &'t str) -> Spot<'t> {
        Spot::of(text, |line| self.parent.is_some() && is_jump(line))
    }

    /// Commands that put the jump where it is wanted, or take it out, and what they do, in words.
    fn jumped(&self, have: &str, want: &str) -> (String, Option<String>) {
        let (row, spot) = (self.row(have), self.spot(want));
        let (had, wanted) = (self.has_jump(have), self.has_jump(want));
        if had == wanted && (!wanted || spot.is_met(&row)) {
            return (String::new(), None);
        }
        let (words, mut text) = (self.words(), self.unjumped(have));
        if !wanted {
            return (text, Some(format!("take the jump to {words} out")));
        }
        let last = row.last_of(spot.place_in(&row));
        // Handles stay what they are, whatever others put in meanwhile.
        match (self.parent, last.and_then(handle)) {
            (Some((parent, _)), Some(handle)) => {
                let table = self.named();
                text.push_str(&format!("add rule {table} {parent} handle {handle} jump {CHAIN}\n"));
            }
            _ => text.push_str(&self.jump()),
        }
        let does = match (had, last) {
            (false, _) => format!("put the jump to {words} in"),
            (true, None) => format!("move the jump to {words} before all other rules there"),
            (true, Some(_)) => format!("move the jump to {words} back behind other rules"),
        };
        (text, Some(does))
    }

    fn has_jump(&self, text: &str) -> bool {
        self.parent.is_some() && text.lines().any(is_jump)
    }

    /// Commands that take the jump out again; only the listing with handles tells which rule it is.
    fn unjumped(&self, have: &str) -> String {
        let Some((parent, _)) = self.parent else { return String::new() };
        let table = self.named();
        let handles = have.lines().filter(|line| is_jump(line)).filter_map(handle);
        let start = format!("delete rule {table} {parent} handle ");
        handles.flat_map(|handle| [&start, handle, "\n"]).collect()
    }

    fn removed(&self, have: &str) -> String {
        let table = self.named();
        let mut text = self.unjumped(have);
        if has(have, &format!("chain {CHAIN} {{")) {
            text.push_str(&format!("flush chain {table} {CHAIN}\ndelete chain {table} {CHAIN}\n"));
        }
        for set in SETS.iter().filter(|set| has(have, &format!("set {set} {{"))) {
            text.push_str(&format!("delete set {table} {set}\n"));
        }
        text
    }

    /// The elements that differ, as commands: what goes first, because what comes may overlap it. The kernel puts
    /// all of it in force at one moment. `None` where elements are more than an address.
    fn elements(&self, have: &str, want: &str) -> Option<(String, String)> {
        let (mut text, mut gone, mut come) = (String::new(), 0_usize, 0_usize);
        let names: Vec<&str> = match self.parent {
            None => vec!["callbacks_v4", "callbacks_v6"],
            Some(_) => SETS.to_vec(),
        };
        for set in names {
            let (old, new) = (listed(have, set)?, listed(want, set)?);
            let less: Vec<&str> =
                old.iter().filter(|(span, _)| !new.contains_key(*span)).map(|(_, text)| *text).collect();
            let more: Vec<&str> =
                new.iter().filter(|(span, _)| !old.contains_key(*span)).map(|(_, text)| *text).collect();
            (gone, come) = (gone.saturating_add(less.len()), come.saturating_add(more.len()));
            let table = self.named();
            let filled =
                [("delete", less), ("add", more)].into_iter().filter(|(_, listed)| !listed.is_empty());
            text.extend(
                filled.map(|(verb, listed)| {
                    format!("{verb} element {table} {set} {{ {} }}\n", listed.join(", "))
                }),
            );
        }
        let mut does = Vec::new();
        if come > 0 || gone > 0 {
            does.push(format!("add {come} and take away {gone} elements of {}", self.words()));
        }
        let (commands, jump) = self.jumped(have, want);
        text.push_str(&commands);
        does.extend(jump);
        Some((text, does.join(", ")))
    }

    /// Puts what is wanted into somebody's tables, in place of what is there, as loading it would.
    pub(super) fn put_into(&self, tables: &mut Vec<Table>, want: Option<Table>, text: &str) {
        let Some((parent, jump)) = self.parent else {
            tables.retain(|table| !self.is_here(table));
            tables.extend(want);
            return;
        };
        let Some(table) = tables.iter_mut().find(|table| self.is_here(table)) else { return };
        table.chains.retain(|chain| chain.name.as_ref() != CHAIN);
        table.sets.retain(|name, _| !SETS.contains(&name.as_ref()));
        let mut jump_rule = None;
        for chain in want.iter().flat_map(|want| &want.chains) {
            if chain.name.as_ref() == CHAIN {
                table.chains.push(chain.clone());
            } else {
                jump_rule = chain.rules.first().cloned();
            }
        }
        table.sets.extend(want.into_iter().flat_map(|want| want.sets));
        let base = table.chains.iter_mut().find(|chain| chain.name.as_ref() == parent);
        if let Some(base) = base.filter(|_| jump == Jump::Ours) {
            rejump(base, CHAIN, jump_rule, &self.spot(text));
        }
    }
}

/// What is wanted, as a table, its places in a listing of this number.
pub(super) fn read(text: &str, listing: u16) -> Result<Table, HoldingError> {
    let reading = read_text(text, listing).map_err(HoldingError::Unreadable)?;
    reading.tables.into_iter().next().ok_or_else(|| HoldingError::nothing(text))
}

fn parsed(text: &str) -> Result<Table, HoldingError> {
    read(text, 0)
}

/// The source addresses that it names.
pub(super) fn addresses(text: &str) -> Result<PrefixSet, HoldingError> {
    let mut all = PrefixSet::empty();
    for set in parsed(text)?.sets.values() {
        all = all.union(&match &set.elements {
            Elements::V4(spans) => PrefixSet::from_spans(spans.to_vec(), Vec::new()),
            Elements::V6(spans) => PrefixSet::from_spans(Vec::new(), spans.to_vec()),
            Elements::Numbers(_) | Elements::Tuples(_) | Elements::Lists(_) | Elements::Unknown(_) => {
                PrefixSet::empty()
            }
        });
    }
    Ok(all)
}

/// Puts a jump into a chain's head, unless there is one where it may stand; where none is wanted, takes it out.
pub(super) fn rejump(base: &mut Chain, to: &str, wanted: Option<Rule>, spot: &Spot<'_>) {
    let is_ours = |rule: &Rule| matches!(&*rule.items, [Item::Verdict(Verdict::Jump(name))] if **name == *to);
    if wanted.is_none() || matches!(spot, Spot::Ahead) {
        base.rules.retain(|rule| !is_ours(rule));
    }
    if !base.rules.iter().any(is_ours) {
        base.rules.splice(0..0, wanted);
    }
}

/// A block from its head, which ends with a brace, to the brace that closes it, both at one depth of indentation. Braces are
/// looked for, not lines: of these a set has thousands.
fn block(text: &str, head: &str, indent: &str) -> Option<String> {
    let begins = |at: usize| text.get(..at).is_some_and(|before| before.is_empty() || before.ends_with('\n'));
    let head_at = |(brace, _): (usize, &str)| {
        let before = text.get(..=brace)?.strip_suffix(head)?.strip_suffix(indent)?;
        begins(before.len()).then_some(before.len())
    };
    let start = text.match_indices('{').find_map(head_at)?;
    let rest = text.get(start..)?;
    let close_at = |(brace, _): (usize, &str)| {
        let (before, after) = (rest.get(..brace)?.strip_suffix(indent)?, rest.get(brace..)?.get(1..)?);
        let end = after.find('\n').unwrap_or(after.len());
        let is_alone = before.ends_with('\n') && after.get(..end)?.bytes().all(|byte| byte == b'\r');
        is_alone.then_some(brace.saturating_add(end).saturating_add(1))
    };
    let end = rest.match_indices('}').find_map(close_at)?;
    Some(format!("{}\n", rest.get(..end)?))
}

fn has(text: &str, head: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with(head))
}

/// What a line of the chain that jumps to ours is in a content: the jump, and a rule of others where those are told.
fn beside(line: &str, around: Around) -> Option<String> {
    if is_jump(line) {
        return Some(format!("{line}\n"));
    }
    // Rules have handles, and neither the head of the chain nor its hook has.
    let is_rule = handle(line).is_some() && !line.trim_end().starts_with("\tchain ");
    (around == Around::Told && is_rule).then(|| format!("\t\t{}", spot::told(line)))
}

/// The handle of a rule as `nft -a` lists it.
fn handle(line: &str) -> Option<&str> {
    line.rsplit_once("# handle ").map(|(_, handle)| handle.trim())
}

/// Whether a rule jumps to our chain and does nothing else but count.
fn is_jump(line: &str) -> bool {
    let rule = line.split(" # handle").next().unwrap_or_default().trim();
    let rule = match rule.strip_prefix("counter packets ") {
        Some(rest) => rest.find("jump ").and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => rule,
    };
    rule == format!("jump {CHAIN}")
}

/// The elements of a set as listed, by the addresses that each stands for; none where the set has none, `None` where
/// one is more than an address.
fn listed<'t>(text: &'t str, set: &str) -> Option<BTreeMap<PrefixSetKey, &'t str>> {
    let mut found = BTreeMap::new();
    let head = format!("set {set} {{");
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with(&head)).skip(1);
    let mut open = false;
    for line in lines.by_ref() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let rest = match (open, line.strip_prefix("elements = {")) {
            (false, None) if line == "}" => break,
            (false, None) => continue,
            (false, Some(rest)) => rest,
            (true, _) => line,
        };
        open = !rest.ends_with('}');
        for word in rest.trim_end_matches('}').split(',').map(str::trim).filter(|word| !word.is_empty()) {
            found.insert(span_of(word)?, word);
        }
        if !open {
            break;
        }
    }
    Some(found)
}

/// First and last address.
type PrefixSetKey = (std::net::IpAddr, std::net::IpAddr);

/// An address, a prefix or a range of nft's.
fn span_of(word: &str) -> Option<PrefixSetKey> {
    if let Some((first, last)) = word.split_once('-') {
        return Some((first.parse().ok()?, last.parse().ok()?));
    }
    let set: PrefixSet = std::iter::once(word.parse::<crate::prefix::Prefix>().ok()?).collect();
    set.ranges().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_what_stands_between_its_head_and_the_brace_below_it() {
        let text = "table inet a2 {\n\tchain c { # }\n\t}\n}\ntable inet a { # handle 3\n\tset s {\n\t\telements = { 1.2.3.4,\n\t\t\t5.6.7.8 }\n\t}\n\
            \tchain c {\n\t\tcomment \"}\"\n\t}\n}\ntable inet b {\n}";
        let whole = block(text, "table inet a {", "").unwrap();
        assert!(whole.starts_with("table inet a { # handle 3\n") && whole.ends_with("\t}\n}\n"), "{whole}");
        assert_eq!(whole.lines().count(), 9);
        let set = "\tset s {\n\t\telements = { 1.2.3.4,\n\t\t\t5.6.7.8 }\n\t}\n";
        assert_eq!(block(&whole, "set s {", "\t").unwrap(), set);
        assert_eq!(block(&whole, "chain c {", "\t").unwrap(), "\tchain c {\n\t\tcomment \"}\"\n\t}\n");
        assert_eq!(block(text, "table inet b {", "").unwrap(), "table inet b {\n}\n");
        for (head, indent) in
            [("table inet", ""), ("set s {", ""), ("table inet a {", "\t"), ("inet a {", "")]
        {
            assert_eq!(block(text, head, indent), None, "{head}");
        }
        assert_eq!(block("table inet a {\n\t}\n } \n", "table inet a {", ""), None);
        let other = "table inet a {\r\n}\r\n";
        assert_eq!(block(other, "table inet a {", "").unwrap(), "table inet a {\r\n}\r\n");
    }
}
