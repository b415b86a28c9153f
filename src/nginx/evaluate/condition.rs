//! Conditions of `if`: for whom they hold, and for whom they don't.

use std::rc::Rc;

use super::code::{Condition, Wanted};
use super::level::Number;
use super::pattern::{Expression, Found};
use super::state::{Content, Form, State, Value, all_of};
use super::table::capture_values;
use super::walk::Walk;
use super::written::{few, matching, text_of};
use crate::prefix::PrefixSet;

/// Callers whose address is captured each by itself.
const CAPTURED_MAX: usize = 1024;

/// A way that leads on from a condition.
pub(super) struct Branch {
    pub(super) callers: PrefixSet,
    pub(super) outcome: Wanted,
    /// What a pattern captured, where one was asked.
    captured: Captured,
}

/// What a pattern captured.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Captured {
    /// Nothing: what was captured before stays.
    Nothing,
    /// The groups, the whole match first.
    Groups(Rc<Vec<Value>>),
    /// Nobody can say.
    Unknown,
}

impl Branch {
    /// Leaves what was captured to those who go on.
    pub(super) fn leave(&self, condition: &Condition, state: &mut State) {
        let groups = match &self.captured {
            Captured::Nothing => return,
            Captured::Groups(groups) => Some(Rc::clone(groups)),
            Captured::Unknown => None,
        };
        let names = match condition {
            Condition::Match(_, expression, _) => expression.names(),
            Condition::Truth(_) | Condition::Equal(..) | Condition::File | Condition::Unread => &[],
        };
        capture_values(state, names, groups);
    }
}

/// What is asked of a text.
#[derive(Clone, Copy)]
enum Ask<'c> {
    /// Whether it is neither empty nor `0`.
    Truth,
    /// Whether it is this.
    Text(&'c str),
    /// Whether it matches.
    Pattern(&'c Expression),
}

impl Ask<'_> {
    fn of(&self, text: &str) -> Found {
        match self {
            Ask::Truth if matches!(text, "" | "0") => Found::No,
            Ask::Text(other) if text != *other => Found::No,
            // What is no pattern has no groups.
            Ask::Truth | Ask::Text(_) => Found::Yes(Some(Vec::new())),
            Ask::Pattern(expression) => expression.find(text),
        }
    }
}

impl Walk<'_, '_> {
    /// The ways that lead on from a condition. Where nobody can say, both do.
    pub(super) fn branches(
        &mut self,
        number: Number,
        condition: &Condition,
        state: &mut State,
    ) -> Vec<Branch> {
        let (variable, ask, wanted) = match condition {
            Condition::Truth(variable) => (variable, Ask::Truth, Wanted::Holds),
            Condition::Match(variable, expression, wanted) => (variable, Ask::Pattern(expression), *wanted),
            Condition::Equal(variable, text, wanted) => {
                let branches = self.compared(number, (variable, text), state);
                return turned(branches, *wanted);
            }
            Condition::File => return self.both(number, &state.callers, &"it asks for a file".into()),
            Condition::Unread => {
                let why = "nginx would not load this condition".into();
                return self.both(number, &state.callers, &why);
            }
        };
        let value = self.variable(state, variable);
        turned(self.asked(number, &value, &state.callers, ask), wanted)
    }

    /// Compares a variable with a text that may have variables.
    fn compared(&mut self, number: Number, (variable, text): (&str, &str), state: &mut State) -> Vec<Branch> {
        let value = self.variable(state, variable);
        let other = self.filled(state, text);
        let mut all = Vec::new();
        for (callers, content) in other.among(&state.callers) {
            match content {
                Content::Text(other) => all.extend(self.asked(number, &value, &callers, Ask::Text(&other))),
                Content::Unknown(why) => all.extend(self.both(number, &callers, &why)),
                Content::Caller(form) => {
                    all.extend(self.compared_with_caller(number, &callers, &value, form));
                }
            }
        }
        joined(all)
    }

    fn compared_with_caller(
        &mut self,
        number: Number,
        callers: &PrefixSet,
        value: &Value,
        form: Form,
    ) -> Vec<Branch> {
        let mut all = Vec::new();
        for (callers, content) in value.among(callers) {
            all.extend(match content {
                Content::Text(text) => self.of_callers(number, &callers, form, Ask::Text(&text)),
                Content::Caller(own) if own == form => self.of_callers(number, &callers, form, Ask::Truth),
                Content::Caller(_) => {
                    let why = "an address is compared with itself in another form".into();
                    self.both(number, &callers, &why)
                }
                Content::Unknown(why) => self.both(number, &callers, &why),
            });
        }
        all
    }

    /// Both ways, because nobody can say.
    fn both(&mut self, number: Number, callers: &PrefixSet, why: &Rc<str>) -> Vec<Branch> {
        self.note(number, why, callers);
        let branch = |outcome| Branch { callers: callers.clone(), outcome, captured: Captured::Unknown };
        vec![branch(Wanted::Holds), branch(Wanted::Fails)]
    }

    /// Asks each content of a value.
    fn asked(&mut self, number: Number, value: &Value, callers: &PrefixSet, ask: Ask<'_>) -> Vec<Branch> {
        let mut branches = Vec::new();
        for (callers, content) in value.among(callers) {
            self.spend(&callers);
            let found = match content {
                Content::Text(text) => ask.of(&text),
                Content::Unknown(why) => Found::Unknown(why.to_string()),
                Content::Caller(form) => {
                    branches.extend(self.of_callers(number, &callers, form, ask));
                    continue;
                }
            };
            match found {
                Found::Yes(groups) => {
                    let captured = groups_of(groups.as_deref());
                    branches.push(Branch { callers, outcome: Wanted::Holds, captured });
                }
                Found::No => {
                    branches.push(Branch { callers, outcome: Wanted::Fails, captured: Captured::Nothing });
                }
                Found::Unknown(why) => branches.extend(self.both(number, &callers, &why.into())),
            }
        }
        joined(branches)
    }

    /// Asks the addresses of callers, as nginx writes them.
    fn of_callers(&mut self, number: Number, callers: &PrefixSet, form: Form, ask: Ask<'_>) -> Vec<Branch> {
        let (holds, perhaps, captured) = match ask {
            Ask::Truth => (callers.clone(), PrefixSet::empty(), Captured::Nothing),
            Ask::Text(text) => {
                (callers.intersection(&form.written(text)), PrefixSet::empty(), Captured::Nothing)
            }
            Ask::Pattern(expression) => {
                let (pattern, case) = expression.parts();
                let found = matching(pattern, case, form);
                let holds = callers.intersection(&found.holds);
                let captured = captured_of(&holds, expression, form);
                (holds, callers.intersection(&found.perhaps), captured)
            }
        };
        let fails = callers.difference(&holds).difference(&perhaps);
        let mut branches = vec![
            Branch { callers: holds, outcome: Wanted::Holds, captured },
            Branch { callers: fails, outcome: Wanted::Fails, captured: Captured::Nothing },
        ];
        branches.retain(|branch| !branch.callers.is_empty());
        if !perhaps.is_empty() {
            let why = "a pattern is asked of the caller's address".into();
            branches.extend(self.both(number, &perhaps, &why));
        }
        branches
    }
}

/// Plain comparisons have no groups, and leave what was captured before.
fn groups_of(groups: Option<&[Option<String>]>) -> Captured {
    match groups {
        Some([]) => Captured::Nothing,
        Some(groups) => {
            let text = |group: &Option<String>| Value::text(group.as_deref().unwrap_or_default());
            Captured::Groups(Rc::new(groups.iter().map(text).collect()))
        }
        None => Captured::Unknown,
    }
}

/// What a pattern captures of addresses, each by itself where they are few.
fn captured_of(callers: &PrefixSet, expression: &Expression, form: Form) -> Captured {
    let Some(addresses) = few(callers, CAPTURED_MAX) else { return Captured::Unknown };
    let mut groups: Vec<Vec<(PrefixSet, Content)>> = Vec::new();
    for address in addresses {
        let Found::Yes(Some(held)) = expression.find(&text_of(address, form)) else {
            return Captured::Unknown;
        };
        groups.resize_with(held.len(), Vec::new);
        for (group, held) in groups.iter_mut().zip(held) {
            let alone = PrefixSet::between(address, address);
            group.push((alone, Content::text(held.as_deref().unwrap_or_default())));
        }
    }
    Captured::Groups(Rc::new(groups.into_iter().map(Value::each).collect()))
}

/// The other way round where the test should fail.
fn turned(mut branches: Vec<Branch>, wanted: Wanted) -> Vec<Branch> {
    if wanted == Wanted::Fails {
        for branch in &mut branches {
            branch.outcome = match branch.outcome {
                Wanted::Holds => Wanted::Fails,
                Wanted::Fails => Wanted::Holds,
            };
        }
    }
    branches
}

/// Branches that are the same but for their callers are one.
fn joined(branches: Vec<Branch>) -> Vec<Branch> {
    let mut found: Vec<(Vec<PrefixSet>, Branch)> = Vec::new();
    for branch in branches {
        let same = |one: &Branch| one.outcome == branch.outcome && one.captured == branch.captured;
        match found.iter_mut().find(|(_, one)| same(one)) {
            Some((sets, _)) => sets.push(branch.callers),
            None => found.push((vec![branch.callers.clone()], branch)),
        }
    }
    let whole = |(sets, branch): (Vec<PrefixSet>, Branch)| Branch { callers: all_of(&sets), ..branch };
    found.into_iter().map(whole).collect()
}
