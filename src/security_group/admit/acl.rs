//! A network ACL: entries in the order of their numbers, both ways.

use std::net::IpAddr;

use super::super::{Acl, Action, Direction, Entry, Known, Protocol};
use super::name::Maybe;
use crate::admission::{RuleId, Step};
use crate::prefix::first::deciding;
use crate::prefix::span::{Number, Span, intersection, normalise};

/// Most ranges of ports that are told apart; AWS has 40 entries a direction at most.
const RANGES_MAX: usize = 128;

/// A network ACL, ready to be asked.
#[derive(Debug)]
pub(super) struct Guard<'g> {
    pub(super) acl: &'g Acl,
    /// In the order in which they are asked, inward before outward.
    pub(super) entries: Vec<&'g Entry>,
    /// The number of the first entry among all that may decide.
    pub(super) first_id: usize,
}

/// What becomes of packets, by the other end's address.
#[derive(Debug)]
pub(super) struct Judged<N> {
    pub(super) surely: Vec<Span<N>>,
    pub(super) possibly: Vec<Span<N>>,
    /// Who refuses what is not possible.
    pub(super) denied: Vec<(Span<N>, Option<RuleId>)>,
    /// Why it is open, where it is.
    why: Option<(Option<RuleId>, String)>,
}

impl<N: Number> Judged<N> {
    /// No ACL.
    pub(super) fn open() -> Self {
        let all = vec![(N::MIN, N::MAX)];
        Self { surely: all.clone(), possibly: all, denied: Vec::new(), why: None }
    }

    /// What it leaves open.
    pub(super) fn unsure(self) -> Option<Maybe<N>> {
        let spans = crate::prefix::span::difference(&self.possibly, &self.surely);
        let (rule, why) = self.why?;
        Some(Maybe { rule, why, spans })
    }
}

/// Whether an entry is about a packet to some port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matches {
    No,
    Yes,
    Maybe,
}

fn matches(entry: &Entry, port: u16) -> Matches {
    match (&entry.protocol, &entry.ports) {
        (Known::Is(Protocol::Other), _) => Matches::No,
        (Known::Is(Protocol::All), _) => Matches::Yes,
        (Known::Is(Protocol::Tcp), Known::Is((first, last))) => {
            if (*first..=*last).contains(&port) {
                Matches::Yes
            } else {
                Matches::No
            }
        }
        (Known::Unknown(_), _) | (_, Known::Unknown(_)) => Matches::Maybe,
    }
}

/// What is asked of an entry that may match: which way is the worse for the caller, and which the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Worst,
    Best,
}

impl<'g> Guard<'g> {
    pub(super) fn new(acl: &'g Acl, first_id: usize) -> Self {
        let mut entries: Vec<&Entry> = acl.entries.iter().collect();
        entries.sort_by_key(|entry| (entry.direction, entry.number, entry.place));
        Self { acl, entries, first_id }
    }

    fn id(&self, index: usize) -> RuleId {
        RuleId(u32::try_from(self.first_id.saturating_add(index)).unwrap_or(u32::MAX))
    }

    /// The number of what refuses whom no entry names.
    pub(super) fn no_entry(&self) -> RuleId {
        self.id(self.entries.len().saturating_add(1))
    }

    /// Entries of a direction, in their order, each with its number among all.
    fn of(&self, direction: Direction) -> impl Iterator<Item = (RuleId, &'g Entry)> + Clone {
        let numbered = self.entries.iter().enumerate().map(|(index, entry)| (self.id(index), *entry));
        numbered.filter(move |(_, entry)| entry.direction == direction)
    }

    /// What becomes of packets that go this way, to one of these ports.
    pub(super) fn judge<N: Number>(&self, direction: Direction, ports: (u16, u16)) -> Judged<N> {
        let starts = self.starts(direction, ports);
        if starts.len() > RANGES_MAX {
            let why =
                format!("network ACL `{}` tells more than {RANGES_MAX} ranges of ports apart", self.acl.id);
            let everybody = vec![(N::MIN, N::MAX)];
            return Judged {
                surely: Vec::new(),
                possibly: everybody,
                denied: Vec::new(),
                why: Some((None, why)),
            };
        }
        let mut judged: Option<Judged<N>> = None;
        for port in starts {
            let surely = allowed(&self.run::<N>(direction, port, Case::Worst));
            let best = self.run::<N>(direction, port, Case::Best);
            let possibly = allowed(&best);
            judged = Some(match judged {
                None => Judged { surely, possibly, denied: denied(&best, self.no_entry()), why: None },
                // Callers choose the port that answers go to.
                Some(known) => Judged {
                    surely: intersection(&known.surely, &surely),
                    possibly: normalise([known.possibly, possibly].concat()),
                    ..known
                },
            });
        }
        let mut judged = judged.unwrap_or_else(Judged::open);
        judged.why = Some(self.why(direction, ports));
        judged
    }

    /// First ports of the ranges that entries tell apart.
    fn starts(&self, direction: Direction, (from, to): (u16, u16)) -> Vec<u16> {
        let mut starts = vec![from];
        for (_, entry) in self.of(direction) {
            if let (Known::Is(Protocol::Tcp), Known::Is((first, last))) = (&entry.protocol, &entry.ports) {
                starts.push(*first);
                starts.extend(last.checked_add(1));
            }
        }
        starts.retain(|port| (from..=to).contains(port));
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    /// Which entry decides about each address; what none matches is refused.
    fn run<N: Number>(
        &self,
        direction: Direction,
        port: u16,
        case: Case,
    ) -> Vec<(Span<N>, (RuleId, Action))> {
        let mut layers = Vec::new();
        for (id, entry) in self.of(direction) {
            let Some(span) = N::spanned(&entry.prefix) else { continue };
            let taken = match (matches(entry, port), entry.action, case) {
                (Matches::Yes, ..)
                | (Matches::Maybe, Action::Allow, Case::Best)
                | (Matches::Maybe, Action::Deny, Case::Worst) => true,
                (Matches::No, ..)
                | (Matches::Maybe, Action::Allow, Case::Worst)
                | (Matches::Maybe, Action::Deny, Case::Best) => false,
            };
            if taken {
                layers.push((span, (id, entry.action)));
            }
        }
        deciding(layers)
    }

    fn why(&self, direction: Direction, ports: (u16, u16)) -> (Option<RuleId>, String) {
        let unknown = self.of(direction).find_map(|(id, entry)| {
            let why = entry
                .protocol
                .why()
                .or(entry.ports.why())
                .filter(|_| matches(entry, ports.0) == Matches::Maybe)?;
            Some((Some(id), format!("entry {} may match: {why}", entry.number)))
        });
        unknown.unwrap_or_else(|| {
            let why = format!(
                "network ACL `{}` lets answers to some ports only through, and callers choose the port they call from ({}-{})",
                self.acl.id, ports.0, ports.1
            );
            (None, why)
        })
    }

    /// What one source meets.
    pub(super) fn steps(&self, direction: Direction, ports: (u16, u16), source: IpAddr) -> Vec<Step> {
        let packet = match direction {
            Direction::Inward => "syn",
            Direction::Outward => "syn-ack",
        };
        let mut steps = Vec::new();
        for (id, entry) in self.of(direction).filter(|(_, entry)| entry.prefix.contains(&source)) {
            let verb = match entry.action {
                Action::Allow => "allows",
                Action::Deny => "denies",
            };
            let met = meets(entry, ports);
            let did = match met {
                Meets::Never => continue,
                Meets::All => format!("{verb} it"),
                Meets::Some(first, last) => format!("{verb} it for ports {first}-{last}"),
                Meets::Maybe => format!("may be about it: if so, it {verb} it"),
            };
            steps.push(Step { packet, rule: id, did });
            if met == Meets::All || steps.len() >= super::STEPS_MAX {
                break;
            }
        }
        steps
    }
}

/// Which ports of a range an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meets {
    Never,
    All,
    Some(u16, u16),
    Maybe,
}

fn meets(entry: &Entry, (from, to): (u16, u16)) -> Meets {
    match (&entry.protocol, &entry.ports) {
        (Known::Is(Protocol::Other), _) => Meets::Never,
        (Known::Is(Protocol::All), _) => Meets::All,
        (Known::Is(Protocol::Tcp), Known::Is((first, last))) => {
            let (first, last) = (*first.max(&from), *last.min(&to));
            match (first, last) {
                _ if first > last => Meets::Never,
                _ if (first, last) == (from, to) => Meets::All,
                _ => Meets::Some(first, last),
            }
        }
        (Known::Unknown(_), _) | (_, Known::Unknown(_)) => Meets::Maybe,
    }
}

fn allowed<N: Number>(pieces: &[(Span<N>, (RuleId, Action))]) -> Vec<Span<N>> {
    let allowed = pieces.iter().filter(|(_, (_, action))| *action == Action::Allow);
    normalise(allowed.map(|(span, _)| *span).collect())
}

/// Pieces that are refused: by an entry, or by none.
fn denied<N: Number>(
    pieces: &[(Span<N>, (RuleId, Action))],
    no_entry: RuleId,
) -> Vec<(Span<N>, Option<RuleId>)> {
    let covered = normalise(pieces.iter().map(|(span, _)| *span).collect());
    let gaps = crate::prefix::span::complement(&covered).into_iter().map(|span| (span, Some(no_entry)));
    let refused = pieces.iter().filter(|(_, (_, action))| *action == Action::Deny);
    let mut all: Vec<_> = refused.map(|(span, (id, _))| (*span, Some(*id))).chain(gaps).collect();
    all.sort_by_key(|((first, _), _)| *first);
    all
}
