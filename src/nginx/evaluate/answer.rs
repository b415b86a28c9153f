//! What became of requests, and the answer that it makes.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::level::Number;
use super::pieces::{Layers, Pieces};
use super::state::{By, State, all_of};
use crate::admission::{Admission, Decided, RuleId, Ruling, Undecided};
use crate::prefix::PrefixSet;

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
    Unknown(Number, Rc<str>),
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

/// The tag of intervals that no rule decided.
const NO_RULE: u32 = 0;

/// Fates of callers, gathered.
#[derive(Debug, Default)]
pub(super) struct Fates {
    accepted: Layers,
    refused: Layers,
    open: Vec<PrefixSet>,
    notes: Notes,
}

impl Fates {
    /// Whoever gets in.
    pub(super) fn accept(&mut self, callers: &PrefixSet, by: &By, otherwise: Option<RuleId>) {
        settle(&mut self.accepted, callers, by, otherwise);
    }

    /// Whoever doesn't.
    pub(super) fn refuse(&mut self, callers: &PrefixSet, by: &By, otherwise: Option<RuleId>) {
        settle(&mut self.refused, callers, by, otherwise);
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
    pub(super) fn admission(mut self, everyone: &PrefixSet) -> Admission {
        let accepted = self.accepted.decided();
        let refused = self.refused.decided();
        let (ins, outs) = (accepted.whose(|_| true), refused.whose(|_| true));
        // Whoever is in no answer at all is left open too.
        let missing = everyone.difference(&ins).difference(&outs).difference(&all_of(&self.open));
        if !missing.is_empty() {
            self.leave_open(&missing, None, &"what becomes of them was not followed".into());
        }
        let open = all_of(&self.open);
        let surely = ins.difference(&outs).difference(&open);
        let out = outs.difference(&ins).difference(&open);
        let between = everyone.difference(&surely).difference(&out);
        let mut decided = told(&accepted.within(&surely), Ruling::Accept);
        decided.extend(told(&refused.within(&out), Ruling::Reject));
        let undecided = self.notes.into_iter().filter_map(|((rule, why), sets)| {
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
        Admission::of(decided, undecided)
    }
}

fn settle(layers: &mut Layers, callers: &PrefixSet, by: &By, otherwise: Option<RuleId>) {
    let rest = otherwise.map_or(NO_RULE, |rule| rule.0);
    match by {
        By::Nothing => layers.push_set(callers, rest),
        By::One(rule) => layers.push_set(callers, rule.0),
        By::Each(pieces) => {
            let own = pieces.within(callers);
            layers.push_pieces(&own);
            let others = callers.difference(&own.whose(|_| true));
            layers.push_set(&others, rest);
        }
    }
}

fn told(pieces: &Pieces, ruling: Ruling) -> Vec<Decided> {
    let one = |(first, last, tag): (_, _, u32)| {
        let rule = (tag != NO_RULE).then_some(RuleId(tag));
        Decided { first, last, ruling, rule }
    };
    pieces.ranges().map(one).collect()
}
