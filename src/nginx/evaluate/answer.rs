//! What became of requests, and the answer that it makes.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::level;
use super::pieces::Line;
use super::state::{By, State, all_of};
use crate::admission::{Admission, Decisions, Fate, Held, RuleId, Ruling, Undecided};
use crate::prefix::PrefixSet;
use crate::prefix::cursor::Cursor;
use crate::prefix::first::{Grounded, Within, deciding};
use crate::prefix::span::{Number, Span};

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// With content.
    Content(Serving),
    /// With a status.
    Status(u16),
    /// With a status that sends callers elsewhere.
    Redirect(u16, Rc<str>),
    /// Nobody can say.
    Unknown(level::Number, Rc<str>),
}

/// Who makes the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serving {
    /// nginx itself, out of files.
    Files,
    /// A server or a program that gets the request.
    Passed,
}

/// A request and its end.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The request as it was then.
    pub(super) state: State,
    /// How it ended.
    pub(super) end: End,
    /// The rule, where callers came there by none.
    pub(super) rule: Option<RuleId>,
}

/// What is undecided: the rule, why, and for whom.
pub(super) type Notes = BTreeMap<(Option<RuleId>, Rc<str>), Vec<PrefixSet>>;

/// Callers who end alike, and by which rules.
#[derive(Debug)]
struct Share {
    callers: PrefixSet,
    by: By,
}

/// Fates of callers, gathered.
#[derive(Debug, Default)]
pub(super) struct Fates {
    accepted: Vec<Share>,
    refused: Vec<Share>,
    open: Vec<PrefixSet>,
    notes: Notes,
}

impl Fates {
    /// Whoever gets in.
    pub(super) fn accept(&mut self, callers: PrefixSet, by: By) {
        self.accepted.push(Share { callers, by });
    }

    /// Whoever doesn't.
    pub(super) fn refuse(&mut self, callers: PrefixSet, by: By) {
        self.refused.push(Share { callers, by });
    }

    /// Whoever may.
    pub(super) fn leave_open(&mut self, callers: &PrefixSet, rule: Option<RuleId>, why: &Rc<str>) {
        self.open.push(callers.clone());
        self.note(rule, why, callers.clone());
    }

    /// Why nobody can say of these callers, if it should be so.
    pub(super) fn note(&mut self, rule: Option<RuleId>, why: &Rc<str>, callers: PrefixSet) {
        self.notes.entry((rule, Rc::clone(why))).or_default().push(callers);
    }

    /// The answer for all callers of a question.
    pub(super) fn admission(self, everyone: &PrefixSet) -> Admission {
        let Self { accepted, refused, open, mut notes } = self;
        let open = all_of(&open);
        let v4 = Told::new(everyone.v4(), (tagged(&accepted), tagged(&refused)), open.v4());
        let v6 = Told::new(everyone.v6(), (tagged(&accepted), tagged(&refused)), open.v6());
        let between = PrefixSet::from_spans(v4.between, v6.between);
        let missing = PrefixSet::from_spans(v4.missing, v6.missing);
        notes.entry((None, "what becomes of them was not followed".into())).or_default().push(missing);
        let undecided = notes.into_iter().filter_map(|((rule, why), sets)| {
            let sources = all_of(&sets).intersection(&between);
            (!sources.is_empty()).then(|| Undecided { rule, why: why.to_string(), sources })
        });
        let mut undecided: Vec<Undecided> = undecided.collect();
        let explained: Vec<PrefixSet> = undecided.iter().map(|one| one.sources.clone()).collect();
        let explained = all_of(&explained);
        let unexplained = between.difference(&explained);
        if !unexplained.is_empty() {
            let why = "several ways are open, and they end differently".to_owned();
            undecided.push(Undecided { rule: None, why, sources: unexplained });
        }
        let decided = Decisions::of(v4.decided, v6.decided);
        if v4.is_parted && v6.is_parted {
            let surely = accepted.iter().fold(PrefixSet::empty(), |all, share| all.union(&share.callers));
            return Admission::sure(surely, decided, undecided);
        }
        Admission::of(decided, undecided)
    }
}

/// Intervals of callers, each with its rule: sorted and disjoint.
#[derive(Clone)]
enum Tagged<'a, N> {
    Alike(std::slice::Iter<'a, Span<N>>, Option<RuleId>),
    Each(Within<'a, N, Line>),
    Joined(std::vec::IntoIter<(Span<N>, Option<RuleId>)>),
}

impl<N: Number> Iterator for Tagged<'_, N> {
    type Item = (Span<N>, Option<RuleId>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Tagged::Alike(spans, rule) => spans.next().map(|span| (*span, *rule)),
            Tagged::Each(pieces) => pieces.next().map(|(span, line)| (span, Some(line.rule()))),
            Tagged::Joined(all) => all.next(),
        }
    }
}

impl<N> Tagged<'_, N> {
    /// The rule of what no line names by itself.
    fn ground(&self) -> Option<RuleId> {
        match self {
            Tagged::Each(pieces) => pieces.ground().map(Line::rule),
            Tagged::Alike(..) | Tagged::Joined(_) => None,
        }
    }
}

impl Share {
    fn tagged<N: Number>(&self) -> Tagged<'_, N> {
        let spans = N::spans(&self.callers);
        match &self.by {
            By::Nothing => Tagged::Alike(spans.iter(), None),
            By::One(rule) => Tagged::Alike(spans.iter(), Some(*rule)),
            By::Each(pieces) => Tagged::Each(N::held(pieces).within(spans)),
        }
    }
}

/// The callers of a family: of those who came in several ways, the first rule is told.
fn tagged<N: Number>(shares: &[Share]) -> Tagged<'_, N> {
    let mut own = shares.iter().filter(|share| !N::spans(&share.callers).is_empty());
    match (own.next(), own.next()) {
        (None, _) => Tagged::Joined(Vec::new().into_iter()),
        (Some(only), None) => only.tagged(),
        (Some(_), Some(_)) => {
            Tagged::Joined(deciding(shares.iter().flat_map(Share::tagged).collect()).into_iter())
        }
    }
}

/// What becomes of the callers of one family.
#[derive(Debug)]
struct Told<N> {
    /// Those whose every way ends alike.
    decided: Grounded<N, Held>,
    /// All others.
    between: Vec<Span<N>>,
    /// Those among them whose ways were not followed.
    missing: Vec<Span<N>>,
    /// Whether all are decided: those who are accepted anywhere, and the others.
    is_parted: bool,
}

/// The fates of callers where each is either accepted or refused, as a list leaves them; `None` where some are both,
/// or neither.
fn parted<N: Number>(
    everyone: &[Span<N>],
    mut accepted: Tagged<'_, N>,
    mut refused: Tagged<'_, N>,
) -> Option<Grounded<N, Held>> {
    // Between the lines of a list there is mostly the last one, for everybody.
    let ground = refused.ground().filter(|_| everyone == N::ALL).map(|rule| (Ruling::Reject, Some(rule)));
    let mut decided = Vec::new();
    let (mut coming, mut going) = (accepted.next(), refused.next());
    for (first, last) in everyone {
        let mut next = Some(*first);
        while let Some(at) = next.filter(|at| at <= last) {
            let (span, fate) = match (coming, going) {
                (Some((span, rule)), _) if span.0 == at => {
                    coming = accepted.next();
                    (span, (Ruling::Accept, rule))
                }
                (_, Some((span, rule))) if span.0 == at => {
                    going = refused.next();
                    (span, (Ruling::Reject, rule))
                }
                _ => return None,
            };
            if ground != Some(fate) {
                decided.push((span, Held::new(fate)));
            }
            next = span.1.after();
        }
    }
    let ground = ground.map(Held::new);
    (coming.is_none() && going.is_none()).then_some(Grounded { pieces: decided, ground })
}

impl<N: Number> Told<N> {
    fn new(
        everyone: &[Span<N>],
        (accepted, refused): (Tagged<'_, N>, Tagged<'_, N>),
        open: &[Span<N>],
    ) -> Self {
        let mut told =
            Self { decided: Grounded::default(), between: Vec::new(), missing: Vec::new(), is_parted: false };
        if open.is_empty()
            && let Some(decided) = parted(everyone, accepted.clone(), refused.clone())
        {
            return Self { decided, is_parted: true, ..told };
        }
        let (mut accepted, mut refused) = (Cursor::new(accepted), Cursor::new(refused));
        let mut open = Cursor::new(open.iter().map(|span| (*span, ())));
        for (first, last) in everyone {
            let mut next = Some(*first);
            while let Some(at) = next.filter(|at| at <= last) {
                let (accepted, accepted_end) = accepted.at(at);
                let (refused, refused_end) = refused.at(at);
                let (open, open_end) = open.at(at);
                let end = accepted_end.min(refused_end).min(open_end).min(*last);
                let fates = [(Ruling::Accept, accepted), (Ruling::Reject, refused)]
                    .map(|(ruling, rule)| rule.map(|rule| (ruling, rule)));
                told.add((at, end), fates, open);
                next = end.after();
            }
        }
        told
    }

    fn add(&mut self, span: Span<N>, fates: [Option<Fate>; 2], open: Option<()>) {
        let fate = match (fates, open) {
            ([Some(fate), None] | [None, Some(fate)], None) => fate,
            ([None, None], None) => {
                self.missing.push(span);
                return self.between.push(span);
            }
            ([Some(_), Some(_)], None) | (_, Some(())) => return self.between.push(span),
        };
        self.decided.pieces.push((span, Held::new(fate)));
    }
}
