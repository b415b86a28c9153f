//! The configuration made ready: its levels (http, server, location, `if`, `limit_except`), what each sets, and
//! what each inherits.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::access::{Lines, List};
use super::code::{self, Code};
use super::locate::Name;
use super::table::{self, Table};
use crate::admission::RuleId;
use crate::nginx::{self, Config, Directive, TableError};
use crate::prefix::Family;

/// Levels may stand in each other no deeper.
pub(super) const DEPTH_MAX: usize = 100;

/// Index of a level.
pub(super) type LevelId = usize;

/// Number of a directive, in the order of the configuration.
pub(super) type Number = u32;

/// What a level is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// `http` or `stream`
    Root,
    /// `server`
    Server,
    /// `location`
    Location(Name),
    /// `if`
    If,
    /// `limit_except`, with the methods that it leaves alone.
    LimitExcept(Vec<String>),
}

/// A level.
#[derive(Debug)]
pub(super) struct Level<'t> {
    /// The one that it stands in.
    pub(super) parent: Option<LevelId>,
    /// What it is.
    pub(super) kind: Kind,
    /// The directive that opens it.
    pub(super) number: Number,
    /// Its directives that set something, by name.
    set: BTreeMap<&'t str, Vec<Number>>,
    /// Its rewriting directives, in order.
    pub(super) codes: Vec<Code<'t>>,
    /// Its locations, in order.
    pub(super) locations: Vec<LevelId>,
    /// Its `limit_except`.
    pub(super) limit_except: Option<LevelId>,
    /// Its allow and deny lines.
    list: Option<List>,
}

/// A directive and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'p, 't> {
    /// The directive.
    pub(super) directive: &'p Directive<'t>,
    /// The level that it stands in.
    pub(super) level: Option<LevelId>,
}

/// Directives one after the other, of one level.
#[derive(Debug)]
struct Run<'t> {
    /// The number of the first.
    number: Number,
    /// It, and all that stand after it in its block.
    directives: Directives<'t>,
    level: Option<LevelId>,
}

/// Directives, or a list that stands for some, whose lines are read where one is asked for.
#[derive(Debug)]
enum Directives<'t> {
    Block(&'t [Directive<'t>]),
    List(&'t nginx::List<'t>, OnceCell<Box<[Directive<'t>]>>),
}

impl<'t> Directives<'t> {
    /// One of them.
    fn get(&self, at: usize) -> Option<&Directive<'t>> {
        match self {
            Directives::Block(block) => block.get(at),
            Directives::List(list, lines) => lines.get_or_init(|| list.lines()).get(at),
        }
    }
}

/// A configuration that can be asked.
#[derive(Debug, Default)]
pub(super) struct Program<'t> {
    /// Each level.
    pub(super) levels: Vec<Level<'t>>,
    /// By number: each ends where the next one starts.
    runs: Vec<Run<'t>>,
    /// How many directives are numbered.
    count: Number,
    /// The block `http`, or `stream` where there is no other.
    pub(super) root: Option<Number>,
    /// Servers of `http`, in order.
    pub(super) servers: Vec<LevelId>,
    /// Servers of `stream`, in order.
    pub(super) streams: Vec<LevelId>,
    /// Variables that tables of `http` make.
    pub(super) tables: BTreeMap<String, Table>,
    /// Variables that a `set` or its like makes, wherever it stands.
    pub(super) settable: BTreeSet<String>,
    /// Variables that modules fill in, nobody can say with what.
    pub(super) unsaid: BTreeSet<String>,
}

/// What a number of a rule stands for besides a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The directive itself.
    Directive,
    /// The end of the allow and deny lines that hold at the level that the directive opens: what none of them
    /// names.
    EndOfList,
}

/// The rule that a directive is.
pub(super) fn rule(number: Number, role: Role) -> RuleId {
    let end = u32::from(role == Role::EndOfList);
    // Zero is kept for no rule.
    RuleId(number.saturating_mul(2).saturating_add(2).saturating_add(end))
}

/// The first of the numbers that stand for a port that nothing listens on.
const UNHEARD: u32 = 0x3ffc_0000;
const _: () = assert!(UNHEARD | 0x1_ffff <= RuleId::MAX);

/// The rule that nothing listens on a port, over a family.
pub(super) fn unheard(family: Family, port: u16) -> RuleId {
    let family = u32::from(family == Family::V6);
    RuleId(UNHEARD | family << 16 | u32::from(port))
}

/// The port that nothing listens on, and over which family.
pub(super) fn as_unheard(rule: RuleId) -> Option<(Family, u16)> {
    let rest = rule.0.checked_sub(UNHEARD)?;
    let family = if rest >> 16 == 0 { Family::V4 } else { Family::V6 };
    Some((family, u16::try_from(rest & 0xffff).ok()?))
}

/// What a rule's number stands for.
pub(super) fn ruled(rule: RuleId) -> Option<(Number, Role)> {
    let number = rule.0.checked_sub(2).filter(|_| rule.0 < UNHEARD)?;
    Some((number / 2, if number.is_multiple_of(2) { Role::Directive } else { Role::EndOfList }))
}

impl<'t> Program<'t> {
    /// Makes a configuration ready.
    pub(super) fn new(config: &'t Config<'t>) -> Result<Self, TableError> {
        let mut program = Self::default();
        for (at, directive) in config.directives.iter().enumerate() {
            let is_http = match directive.name() {
                "http" => true,
                "stream" => false,
                _ => continue,
            };
            let number = program.number(&config.directives, at, None);
            if is_http || program.root.is_none() {
                program.root = Some(number);
            }
            let root = program.open(directive, number, (None, Kind::Root), 0);
            let servers = program.levels.iter().enumerate().skip(root);
            let servers =
                servers.filter(|(_, level)| level.kind == Kind::Server && level.parent == Some(root));
            let servers: Vec<LevelId> = servers.map(|(id, _)| id).collect();
            if is_http {
                program.servers = servers;
                program.tables = table::read_all(directive)?;
            } else {
                program.streams = servers;
            }
        }
        Ok(program)
    }

    /// Numbers a directive of a block.
    fn number(&mut self, block: &'t [Directive<'t>], at: usize, level: Option<LevelId>) -> Number {
        let number = self.count;
        self.count = number.saturating_add(1);
        let goes_on = |run: &Run<'_>| {
            run.level == level && level.is_some() && matches!(run.directives, Directives::Block(_))
        };
        if !self.runs.last().is_some_and(goes_on) {
            let directives = Directives::Block(block.get(at..).unwrap_or_default());
            self.runs.push(Run { number, directives, level });
        }
        number
    }

    /// Numbers the lines of a list; the number of the first.
    fn number_list(&mut self, list: &'t nginx::List<'t>, level: LevelId) -> Number {
        let number = self.count;
        let count = Number::try_from(list.networks().len()).unwrap_or(Number::MAX);
        self.count = number.saturating_add(count);
        self.runs.push(Run {
            number,
            directives: Directives::List(list, OnceCell::new()),
            level: Some(level),
        });
        number
    }

    fn open(
        &mut self,
        opener: &'t Directive<'t>,
        number: Number,
        (parent, kind): (Option<LevelId>, Kind),
        depth: usize,
    ) -> LevelId {
        let id = self.levels.len();
        // There nginx takes no list.
        let is_if = kind == Kind::If;
        self.levels.push(Level {
            parent,
            kind,
            number,
            set: BTreeMap::new(),
            codes: Vec::new(),
            locations: Vec::new(),
            limit_except: None,
            list: None,
        });
        let block = opener.block().filter(|_| depth < DEPTH_MAX).unwrap_or_default();
        let mut lines = Lines::default();
        for (at, directive) in block.iter().enumerate() {
            // Lists are read only where nginx takes them: there is none in an `if`.
            if let Some(list) = directive.list() {
                let number = self.number_list(list, id);
                lines.take_list(number, (directive.name(), list));
                continue;
            }
            let number = self.number(block, at, Some(id));
            if is_if || !lines.take(number, directive) {
                self.take(id, (directive, number), depth.saturating_add(1));
            }
        }
        if let Some(level) = self.levels.get_mut(id) {
            level.list = lines.list();
        }
        id
    }

    fn take(&mut self, id: LevelId, (directive, number): (&'t Directive<'t>, Number), depth: usize) {
        let arguments = directive.arguments();
        let name = directive.name();
        let opened = match name {
            "server" if directive.block().is_some() => Some(Kind::Server),
            "location" => Some(Kind::Location(Name::read(arguments))),
            "if" => Some(Kind::If),
            "limit_except" => {
                Some(Kind::LimitExcept(arguments.iter().map(|method| method.to_ascii_uppercase()).collect()))
            }
            _ => None,
        };
        if let Some(kind) = opened {
            let inner = self.open(directive, number, (Some(id), kind), depth);
            let Some(level) = self.levels.get_mut(id) else { return };
            match name {
                "location" => level.locations.push(inner),
                "limit_except" => level.limit_except = Some(inner),
                "if" => level.codes.push(Code::condition(number, arguments, inner)),
                _ => {}
            }
            return;
        }
        self.settable.extend(code::sets(directive).map(str::to_ascii_lowercase));
        self.unsaid.extend(code::fills(directive).map(str::to_ascii_lowercase));
        let Some(level) = self.levels.get_mut(id) else { return };
        match Code::read(number, directive) {
            Some(code) => level.codes.push(code),
            None => level.set.entry(name).or_default().push(number),
        }
    }

    /// A directive by its number.
    pub(super) fn directive(&self, number: Number) -> Option<&Directive<'t>> {
        self.entry(number).map(|entry| entry.directive)
    }

    /// A directive's name, by its number: no list is read for it.
    pub(super) fn name(&self, number: Number) -> Option<&'t str> {
        let (run, at) = self.run(number)?;
        match &run.directives {
            Directives::Block(block) => block.get(at).map(Directive::name),
            Directives::List(list, _) => Some(list.name()),
        }
    }

    /// A directive and where it stands, by its number.
    pub(super) fn entry(&self, number: Number) -> Option<Entry<'_, 't>> {
        let (run, at) = self.run(number)?;
        Some(Entry { directive: run.directives.get(at)?, level: run.level })
    }

    /// The run that a number is of, and its place there.
    fn run(&self, number: Number) -> Option<(&Run<'t>, usize)> {
        if number >= self.count {
            return None;
        }
        let after = self.runs.partition_point(|run| run.number <= number);
        let run = self.runs.get(after.checked_sub(1)?)?;
        Some((run, usize::try_from(number.checked_sub(run.number)?).ok()?))
    }

    /// The level that a directive opens. Levels are numbered as their directives are.
    pub(super) fn opened(&self, number: Number) -> Option<LevelId> {
        let at = self.levels.partition_point(|level| level.number < number);
        self.levels.get(at).is_some_and(|level| level.number == number).then_some(at)
    }

    /// A level.
    pub(super) fn level(&self, id: LevelId) -> Option<&Level<'t>> {
        self.levels.get(id)
    }

    /// The level itself and those that it stands in, from the inside outwards.
    pub(super) fn upwards(&self, id: LevelId) -> impl Iterator<Item = (LevelId, &Level<'t>)> {
        let mut next = Some(id);
        std::iter::from_fn(move || {
            let id = next?;
            let level = self.levels.get(id)?;
            next = level.parent;
            Some((id, level))
        })
    }

    /// The directives of these names at the nearest level that has one: all or nothing is inherited. In order.
    pub(super) fn nearest(&self, id: LevelId, names: &[&str]) -> Option<(LevelId, Vec<Number>)> {
        self.upwards(id).find_map(|(id, level)| {
            let found = level.own(names);
            (!found.is_empty()).then_some((id, found))
        })
    }

    /// The list that holds at a level, and the level that has it.
    pub(super) fn list(&self, id: LevelId) -> Option<(&Level<'t>, &List)> {
        self.upwards(id).find_map(|(_, level)| level.list.as_ref().map(|list| (level, list)))
    }

    /// The directive of this name that is in force.
    pub(super) fn in_force(&self, id: LevelId, name: &str) -> Option<(Number, &Directive<'t>)> {
        let number = self.upwards(id).find_map(|(_, level)| level.set.get(name)?.last().copied())?;
        Some((number, self.directive(number)?))
    }

    /// The first argument of the directive of this name that is in force, in lower case.
    pub(super) fn setting(&self, id: LevelId, name: &str) -> Option<String> {
        let (_, directive) = self.in_force(id, name)?;
        directive.arguments().first().map(|word| word.to_ascii_lowercase())
    }

    /// The server that a level stands in, or is.
    pub(super) fn server(&self, id: LevelId) -> Option<LevelId> {
        self.upwards(id).find(|(_, level)| level.kind == Kind::Server).map(|(id, _)| id)
    }

    /// The location that a level stands in, or is; the server, where it is in none.
    pub(super) fn location(&self, id: LevelId) -> LevelId {
        let mut all = self.upwards(id);
        all.find(|(_, level)| matches!(level.kind, Kind::Location(_) | Kind::Server)).map_or(id, |(id, _)| id)
    }
}

impl<'t> Level<'t> {
    /// Its own directives of these names, in order.
    pub(super) fn own(&self, names: &[&str]) -> Vec<Number> {
        let mut found: Vec<Number> =
            names.iter().filter_map(|name| self.set.get(name)).flatten().copied().collect();
        if names.len() > 1 {
            found.sort_unstable();
        }
        found
    }

    /// Whether it has a directive of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// The names of its directives that set something.
    pub(super) fn names(&self) -> impl Iterator<Item = &'t str> {
        self.set.keys().copied()
    }
}

/// A directive's first argument.
pub(super) fn first<'a>(arguments: &[&'a str]) -> &'a str {
    arguments.first().map_or("", |word| word)
}
