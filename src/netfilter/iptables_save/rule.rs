//! One rule: the options that every rule knows, and which match or target each other option belongs to.

use std::sync::Arc;

use super::super::address::{Address, SPANS_MAX, masked, number, spans};
use super::super::words::{Word, Words};
use super::super::{
    Action, Field, Item, Match, NamePattern, Place, Rule, Spans, TableFamily, Test, Values, Verdict,
};
use super::matches::{self, Module};
use super::option::{Opt, Owner};
use super::outcome::Out;
use super::table::OpenTable;
use super::targets::{self, Known};
use super::{Fault, short};

/// Matches that one rule may have before the rest of them is not looked at; the kernel's limit is far below.
const INSTANCES_MAX: usize = 64;

/// Options whose value may look like an option: free text that the tools print without quotes.
const TEXT_OPTIONS: [&str; 12] = [
    "--comment",
    "--name",
    "--hashlimit-name",
    "--string",
    "--hex-string",
    "--log-prefix",
    "--nflog-prefix",
    "--ulog-prefix",
    "--bytecode",
    "--path",
    "--selctx",
    "--led-trigger-id",
];

/// What is kept from rule to rule, so that a rule costs one allocation.
#[derive(Default)]
pub(super) struct Scratch<'a> {
    options: Vec<Opt<'a>>,
    instances: Vec<(Module, &'a str)>,
    out: Out,
    /// The rule of the line before, where it may be repeated.
    repeat: Option<Repeat<'a>>,
}

impl Scratch<'_> {
    /// Forgets the line before: behind a line that is no rule, the same words may mean something else.
    pub(super) fn forget(&mut self) {
        self.repeat = None;
    }
}

/// A rule `-A CHAIN -s ADDRESS REST`. Long lists are rules that differ in the address alone.
struct Repeat<'a> {
    chain: &'a str,
    rest: &'a str,
    items: Box<[Item]>,
}

/// `-A CHAIN -s ADDRESS REST` in its parts.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (chain, rest) = line.strip_prefix("-A ")?.split_once(" -s ")?;
    let (address, rest) = rest.split_once(' ')?;
    (!chain.contains([' ', '\t', '"'])).then_some((chain, address, rest))
}

impl<'a> Repeat<'a> {
    /// Keeps a rule that was read from this line, where what is asked of the address comes first in it.
    fn new(line: &'a str, rule: &Rule, family: TableFamily) -> Option<Self> {
        let (chain, address, rest) = parts(line)?;
        let items = rule.items.clone();
        (items.first()? == &from_one(address, family)?).then_some(Self { chain, rest, items })
    }

    /// The items of a rule that differs in its address alone.
    #[inline]
    fn items(&self, line: &str, family: TableFamily) -> Option<Box<[Item]>> {
        let rest = line.strip_prefix("-A ")?.strip_prefix(self.chain)?.strip_prefix(" -s ")?;
        let (address, space) = rest.split_at_checked(rest.len().checked_sub(self.rest.len() + 1)?)?;
        if space.strip_prefix(' ')? != self.rest {
            return None;
        }
        let first = from_one(address, family)?;
        Some(std::iter::once(first).chain(self.items.iter().skip(1).cloned()).collect())
    }
}

/// The condition that a packet comes from one prefix, which is not every address.
#[inline]
fn from_one(address: &str, family: TableFamily) -> Option<Item> {
    let test = match family {
        TableFamily::Ip6 => addresses::<u128>(Field::Source, address),
        _ => addresses::<u32>(Field::Source, address),
    };
    let one = matches!(&test, Test::Is(_, Values::V4(Spans::One(_)) | Values::V6(Spans::One(_))));
    one.then_some(Item::Match(Match { negated: false, test }))
}

/// Reads a rule and puts it into its chain.
pub(super) fn read<'a>(
    line: &'a str,
    place: Place,
    family: TableFamily,
    (table, scratch): (&mut OpenTable<'a>, &mut Scratch<'a>),
) -> Result<(), Fault> {
    if let Some((repeat, items)) =
        scratch.repeat.as_ref().and_then(|repeat| repeat.items(line, family).map(|items| (repeat, items)))
    {
        table.append(repeat.chain, Rule { items, place, handle: 0 });
        return Ok(());
    }
    scratch.repeat = None;
    scratch.options.clear();
    scratch.instances.clear();
    scratch.out.clear();
    let mut parser = Parser {
        line,
        words: Words::new(line),
        joined: None,
        negated: false,
        family,
        command: None,
        target: None,
        other_family: false,
        latest: Latest::Matches,
        table,
        scratch,
        place,
    };
    parser.options()?;
    if parser.words.is_unclosed() {
        return Err(Fault::new("a quote is left open"));
    }
    if parser.negated {
        return Err(Fault::new("the rule ends behind `!`"));
    }
    parser.finish()
}

/// Where the rule goes.
enum Command<'a> {
    Append(&'a str),
    Insert(&'a str, u32),
}

/// `-j` or `-g`, and where to.
#[derive(Clone, Copy)]
enum Target<'a> {
    Jump(&'a str),
    Goto(&'a str),
}

/// What was named last, which the next option is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Latest {
    Matches,
    Target,
}

struct Parser<'p, 'a> {
    line: &'a str,
    words: Words<'a>,
    /// A value that stands in the same word as its option: `-ptcp`, `--dport=22`.
    joined: Option<&'a str>,
    negated: bool,
    family: TableFamily,
    command: Option<Command<'a>>,
    target: Option<Target<'a>>,
    /// Whether the rule is for the other family only: `-4`, `-6`.
    other_family: bool,
    latest: Latest,
    table: &'p mut OpenTable<'a>,
    scratch: &'p mut Scratch<'a>,
    place: Place,
}

impl<'a> Parser<'_, 'a> {
    fn options(&mut self) -> Result<(), Fault> {
        while let Some(word) = self.words.next() {
            if !word.is_option() {
                return Err(Fault::about("no option of a rule:", word.raw));
            }
            if word.raw == "!" {
                self.negated = true;
                continue;
            }
            let name = self.split(word.raw);
            if !self.base(name)? {
                self.extension(name)?;
            }
            if let Some(joined) = self.joined.take() {
                return Err(Fault::about("no option of a rule:", joined));
            }
        }
        Ok(())
    }

    /// Parts an option from a value in the same word.
    fn split(&mut self, word: &'a str) -> &'a str {
        let at = if word.starts_with("--") { word.find('=') } else { Some(2).filter(|at| *at < word.len()) };
        let Some((name, value)) = at.and_then(|at| word.split_at_checked(at)) else { return word };
        self.joined = Some(value.strip_prefix('=').unwrap_or(value));
        name
    }

    /// The value of the option at hand; a `!` before it negates the option, as older versions print it.
    fn value(&mut self) -> Result<&'a str, Fault> {
        if let Some(joined) = self.joined.take() {
            return Ok(joined);
        }
        let mut next = self.words.next();
        if next.is_some_and(|word| word.raw == "!" && !word.quoted) {
            self.negated = true;
            next = self.words.next();
        }
        next.map(|word| word.plain()).ok_or_else(|| Fault::new("the rule ends where a value is missing"))
    }

    /// The chain that the rule goes into.
    fn chain(&mut self) -> Result<&'a str, Fault> {
        let name = self.value()?;
        let sound = !name.is_empty() && !name.contains('"') && self.command.is_none();
        if sound { Ok(name) } else { Err(Fault::about("no chain of a rule:", name)) }
    }

    /// Reads an option that every rule knows.
    fn base(&mut self, name: &'a str) -> Result<bool, Fault> {
        match name {
            "-A" | "--append" => self.command = Some(Command::Append(self.chain()?)),
            "-s" | "--source" | "--src" => self.address(Field::Source)?,
            "-d" | "--destination" | "--dst" => self.address(Field::Destination)?,
            "-p" | "--protocol" | "--proto" => self.protocol()?,
            "-m" | "--match" => self.module()?,
            "-j" | "--jump" => {
                self.target = Some(Target::Jump(self.value()?));
                self.latest = Latest::Target;
            }
            "-g" | "--goto" => {
                self.target = Some(Target::Goto(self.value()?));
                self.latest = Latest::Target;
            }
            "-i" | "--in-interface" => self.interface(Field::InInterface)?,
            "-o" | "--out-interface" => self.interface(Field::OutInterface)?,
            "-I" | "--insert" => self.insert()?,
            "-f" | "--fragment" | "--fragments" => self.test(Test::Constant(false)),
            "-4" | "--ipv4" => self.other_family |= self.family == TableFamily::Ip6,
            "-6" | "--ipv6" => self.other_family |= self.family != TableFamily::Ip6,
            "-c" | "--set-counters" => {
                self.value()?;
                self.words.next_value();
            }
            "-t" | "--table" => {
                let table = self.value()?;
                if table != self.table.kind().name() {
                    return Err(Fault::about("a rule for another table:", table));
                }
            }
            other if other.starts_with("--") => return Ok(false),
            other => return Err(Fault::about("no option of a rule in a dump:", other)),
        }
        Ok(true)
    }

    fn test(&mut self, test: Test) {
        let negated = std::mem::take(&mut self.negated);
        self.scratch.out.condition(Match { negated, test });
    }

    #[inline]
    fn address(&mut self, field: Field) -> Result<(), Fault> {
        let value = self.value()?;
        self.test(match self.family {
            TableFamily::Ip6 => addresses::<u128>(field, value),
            _ => addresses::<u32>(field, value),
        });
        Ok(())
    }

    fn protocol(&mut self) -> Result<(), Fault> {
        let text = self.value()?;
        let holds = match text {
            // 0 is every protocol to iptables; `ip` and `hopopt` are its names in /etc/protocols.
            "tcp" | "6" | "all" | "ip" | "hopopt" => true,
            other if other.eq_ignore_ascii_case("tcp") || other.eq_ignore_ascii_case("all") => true,
            other => matches!(number(other), Some(0 | 6)),
        };
        self.test(Test::Constant(holds));
        Ok(())
    }

    fn interface(&mut self, field: Field) -> Result<(), Fault> {
        let name = self.value()?;
        let pattern = match name.strip_suffix('+') {
            Some("") => {
                self.test(Test::Constant(true));
                return Ok(());
            }
            Some(start) => NamePattern::Starts(Arc::from(start)),
            None => NamePattern::Exact(Arc::from(name)),
        };
        self.test(Test::Is(field, Values::Names(vec![pattern])));
        Ok(())
    }

    fn insert(&mut self) -> Result<(), Fault> {
        let chain = self.chain()?;
        let position = match self.words.next_value() {
            Some(word) => number(word.raw).ok_or_else(|| Fault::about("no number of a rule:", word.raw))?,
            None => 1,
        };
        self.command = Some(Command::Insert(chain, position));
        Ok(())
    }

    fn module(&mut self) -> Result<(), Fault> {
        let name = self.value()?;
        self.latest = Latest::Matches;
        self.instance(Module::named(name), name);
        Ok(())
    }

    /// Adds a match; those beyond the bound make the rule undecided, which their options can't change.
    fn instance(&mut self, module: Module, name: &'a str) -> Owner {
        let instances = &mut self.scratch.instances;
        if instances.len() == INSTANCES_MAX {
            instances.pop();
            instances.push((Module::Opaque, "…"));
        } else {
            instances.push((module, name));
        }
        Owner::Instance(instances.len().saturating_sub(1))
    }

    /// Reads an option of a match or of the target.
    fn extension(&mut self, name: &'a str) -> Result<(), Fault> {
        let owner = self.owner(name);
        let negated = std::mem::take(&mut self.negated);
        let mut option = Opt { owner, name, negated, first: None, second: None, count: 0 };
        if let Some(joined) = self.joined.take() {
            option.take(Word { raw: joined, quoted: false });
        } else if TEXT_OPTIONS.contains(&name) {
            let word = self.words.next();
            option.take(word.ok_or_else(|| Fault::new("the rule ends where a value is missing"))?);
        } else if let Some(word) = self.negated_value() {
            option.negated = true;
            option.take(word);
        }
        while let Some(word) = self.words.next_value() {
            option.take(word);
        }
        self.scratch.options.push(option);
        Ok(())
    }

    /// `! 22` behind `--dport`, which is how older versions negate. A `!` before an option is that option's.
    fn negated_value(&mut self) -> Option<Word<'a>> {
        let mut ahead = self.words.clone();
        ahead.next().filter(|word| word.raw == "!" && !word.quoted)?;
        let word = ahead.next_value()?;
        self.words = ahead;
        Some(word)
    }

    /// What was named last has the first claim on an option, as the tools have it.
    fn owner(&mut self, name: &'a str) -> Owner {
        let target = match self.target {
            Some(Target::Jump(target)) => targets::takes_options(target) && !self.table.has(target),
            Some(Target::Goto(_)) | None => false,
        };
        if target && self.latest == Latest::Target {
            return Owner::Target;
        }
        let instances = self.scratch.instances.iter().enumerate().rev();
        let claimed = instances.map(|(at, (module, _))| (at, module)).find(|(_, module)| module.claims(name));
        match claimed {
            Some((at, _)) => Owner::Instance(at),
            // `-p tcp` brings its match along.
            None if Module::Tcp.claims(name) => self.instance(Module::Tcp, "tcp"),
            None if target => Owner::Target,
            None => self.instance(Module::Opaque, name),
        }
    }

    fn finish(self) -> Result<(), Fault> {
        if self.other_family {
            return Ok(());
        }
        let Scratch { options, instances, out, .. } = &mut *self.scratch;
        for (at, (module, name)) in instances.iter().enumerate() {
            let own = options.iter().filter(|option| option.owner == Owner::Instance(at));
            matches::read(*module, name, own.copied(), (self.family, out));
        }
        let conditions = out.items.len();
        if let (Some(target), false) = (self.target, out.is_never()) {
            act(target, options, self.family, (self.table, self.place), out);
        }
        let items: Box<[Item]> = match (out.is_never(), out.items.len() > conditions) {
            (true, _) => Box::new([Item::Match(Match { negated: false, test: Test::Constant(false) })]),
            (false, true) => out.items.drain(..).collect(),
            (false, false) => Box::new([]),
        };
        let rule = Rule { items, place: self.place, handle: 0 };
        match self.command {
            Some(Command::Append(chain)) => {
                self.scratch.repeat = Repeat::new(self.line, &rule, self.family);
                self.table.append(chain, rule);
                Ok(())
            }
            Some(Command::Insert(chain, number)) => self.table.insert(chain, number, rule),
            None => Err(Fault::new("a rule without `-A` and its chain")),
        }
    }
}

/// Adds what the target does. Chains come before targets that are not built in: both can't be there.
fn act<'a>(
    target: Target<'a>,
    options: &[Opt<'a>],
    family: TableFamily,
    (table, place): (&mut OpenTable<'a>, Place),
    out: &mut Out,
) {
    let name = match target {
        Target::Goto(name) => return out.items.push(Item::Verdict(Verdict::Goto(table.target(name, place)))),
        Target::Jump(name) => name,
    };
    if let Some(verdict) = targets::verdict(name) {
        return out.items.push(Item::Verdict(verdict));
    }
    let mut own = options.iter().filter(|option| option.owner == Owner::Target).copied();
    if !table.has(name) {
        if targets::read(name, own.clone(), (family, out)) == Known::Yes {
            return;
        }
        if own.next().is_some() {
            return out.act(Action::Opaque(Arc::from(format!("target `{}`", short(name)))));
        }
    }
    // One that is listed nowhere becomes opaque when the table ends.
    out.items.push(Item::Verdict(Verdict::Jump(table.target(name, place))));
}

/// Addresses of a rule; a list of them is as many rules with one end.
#[inline]
fn addresses<A: Address>(field: Field, text: &str) -> Test {
    let read = if text.contains(',') { list::<A>(text) } else { masked::<A>(text) };
    match read {
        Some(Spans::One((first, last))) if first == A::MIN && last == A::MAX => Test::Constant(true),
        Some(spans) => Test::Is(field, A::values(spans)),
        None => Test::Unknown(Arc::from(format!("address `{}`", short(text)))),
    }
}

fn list<A: Address>(text: &str) -> Option<Spans<A>> {
    let mut all = Vec::new();
    for one in text.split(',') {
        all.extend_from_slice(masked::<A>(one.trim())?.as_slice());
        if all.len() > SPANS_MAX as usize {
            return None;
        }
    }
    spans(all)
}
