//! The rewrite phases: `set`, `if`, `return`, `rewrite` and `break`, one after the other.

use std::rc::Rc;

use super::answer::End;
use super::code::{Act, Condition, Flag, Return, Rewrite, Wanted};
use super::level::{LevelId, Number, Role, rule};
use super::pattern::{Expression, Found, plain};
use super::state::{By, Client, Content, State, Value, settle};
use super::table::capture;
use super::walk::Walk;
use super::written::matching;
use crate::prefix::PrefixSet;

/// More ways than these are not followed at the same time.
const WAYS_MAX: usize = 256;

/// States that go on with the next directive, and those that are done with this phase.
#[derive(Default)]
struct Run {
    going: Vec<State>,
    done: Vec<State>,
}

impl<'t> Walk<'_, 't> {
    /// Runs a level's rewriting directives. What they answer is kept; what is left goes on to the next phase.
    pub(super) fn rewrite(&mut self, id: LevelId, state: State) -> Vec<State> {
        let mut run = Run { going: vec![state], done: Vec::new() };
        self.codes(id, &mut run);
        for state in run.going {
            settle(&mut run.done, state);
        }
        run.done
    }

    fn codes(&mut self, id: LevelId, run: &mut Run) {
        let program = self.program;
        for code in program.level(id).map(|level| level.codes.as_slice()).unwrap_or_default() {
            let states = std::mem::take(&mut run.going);
            for (at, state) in states.into_iter().enumerate() {
                self.spend(&state.callers);
                if at >= WAYS_MAX || self.budget == 0 {
                    self.give_up(state, code.number);
                    continue;
                }
                self.code(code.number, &code.act, state, run);
            }
        }
    }

    fn give_up(&mut self, state: State, number: Number) {
        let why = "more ways lead on from here than are followed".into();
        self.end(state, End::Unknown(number, why));
    }

    fn code(&mut self, number: Number, act: &Act<'t>, mut state: State, run: &mut Run) {
        match act {
            Act::Set(name, text) => {
                let value = self.filled(&mut state, text);
                self.met(number, || format!("sets `${name}`"));
                Rc::make_mut(&mut state.known.variables).insert((*name).to_owned(), value);
                settle(&mut run.going, state);
            }
            Act::SetUnknown(name) => {
                let value = Value::unknown("another module makes it");
                Rc::make_mut(&mut state.known.variables).insert((*name).to_owned(), value);
                settle(&mut run.going, state);
            }
            Act::If(condition, level) => self.condition(number, (condition, *level), state, run),
            Act::Return(answer) => self.answered(number, answer, state),
            Act::Rewrite(rewrite) => self.rewritten(number, rewrite, state, run),
            Act::Break => {
                self.met(number, || "ends rewriting here".to_owned());
                state.known.is_changed = false;
                settle(&mut run.done, state);
            }
            Act::Opaque => {
                self.end(state, End::Unknown(number, "code decides, which is not judged".into()));
            }
            Act::Unread => {
                self.end(state, End::Unknown(number, "nginx would not load this directive".into()));
            }
        }
    }

    fn condition(
        &mut self,
        number: Number,
        (condition, level): (&Condition, LevelId),
        mut state: State,
        run: &mut Run,
    ) {
        let branches = self.branches(number, condition, &mut state);
        for branch in branches {
            let mut inner = state.of(branch.callers);
            match (branch.captured, condition) {
                (Some(groups), Condition::Match(_, expression, _)) => {
                    capture(&mut inner, expression.captured(groups.map(Rc::unwrap_or_clone)));
                }
                (Some(_), _) => inner.known.captured = None,
                (None, _) => {}
            }
            if branch.outcome == Wanted::Fails {
                self.met(number, || "does not hold".to_owned());
                settle(&mut run.going, inner);
                continue;
            }
            self.met(number, || "holds".to_owned());
            // Within a location its block is a level of its own.
            if self.program.location(level) != inner.known.server {
                inner.known.level = level;
            }
            let mut block = Run { going: vec![inner], done: Vec::new() };
            self.codes(level, &mut block);
            for state in block.going {
                settle(&mut run.going, state);
            }
            for state in block.done {
                settle(&mut run.done, state);
            }
        }
    }

    /// The ways that lead on from a condition. Where nobody can say, both do.
    fn branches(&mut self, number: Number, condition: &Condition, state: &mut State) -> Vec<Branch> {
        let (variable, test) = match condition {
            Condition::Truth(variable) => (variable, Test::Truth),
            Condition::Equal(variable, text, wanted) => (variable, Test::Equal(text, *wanted)),
            Condition::Match(variable, expression, wanted) => (variable, Test::Match(expression, *wanted)),
            Condition::File => return self.both(number, state.callers.clone(), &"it asks for a file".into()),
            Condition::Unread => {
                return self.both(
                    number,
                    state.callers.clone(),
                    &"nginx would not load this condition".into(),
                );
            }
        };
        let value = self.variable(state, variable);
        match test {
            Test::Truth => self.asked(number, &value, state, &Ask::Truth),
            Test::Match(expression, wanted) => {
                let branches = self.asked(number, &value, state, &Ask::Pattern(expression));
                turned(branches, wanted)
            }
            Test::Equal(text, wanted) => {
                let other = self.filled(state, text);
                let mut all = Vec::new();
                for (callers, content) in other.among(&state.callers) {
                    let some = state.of(callers);
                    match &content {
                        Content::Text(other) => {
                            all.extend(self.asked(number, &value, &some, &Ask::Text(other)));
                        }
                        Content::Unknown(why) => all.extend(self.both(number, some.callers, why)),
                        Content::Caller => {
                            all.extend(self.both(
                                number,
                                some.callers,
                                &"it compares with the caller's address".into(),
                            ));
                        }
                    }
                }
                turned(all, wanted)
            }
        }
    }

    /// Both ways, because nobody can say.
    fn both(&mut self, number: Number, callers: PrefixSet, why: &Rc<str>) -> Vec<Branch> {
        self.note(number, why, &callers);
        let branch = |outcome| Branch { callers: callers.clone(), outcome, captured: Some(None) };
        vec![branch(Wanted::Holds), branch(Wanted::Fails)]
    }

    /// Asks each content of a value.
    fn asked(&mut self, number: Number, value: &Value, state: &State, ask: &Ask<'_>) -> Vec<Branch> {
        let mut branches = Vec::new();
        for (callers, content) in value.among(&state.callers) {
            self.spend(&callers);
            match content {
                Content::Text(text) => match ask.of(&text) {
                    Found::Yes(captured) => branches.push(Branch {
                        callers,
                        outcome: Wanted::Holds,
                        captured: match captured {
                            // Plain comparisons capture nothing, and leave what was.
                            Some(captured) if captured.is_empty() => None,
                            captured => Some(captured.map(Rc::new)),
                        },
                    }),
                    Found::No => {
                        branches.push(Branch { callers, outcome: Wanted::Fails, captured: None });
                    }
                    Found::Unknown(why) => branches.extend(self.both(number, callers, &why.into())),
                },
                Content::Unknown(why) => branches.extend(self.both(number, callers, &why)),
                Content::Caller => {
                    branches.extend(self.of_callers(number, callers, &state.known.client, ask))
                }
            }
        }
        joined(branches)
    }

    /// Asks the addresses of callers, as nginx writes them.
    fn of_callers(
        &mut self,
        number: Number,
        callers: PrefixSet,
        client: &Client,
        ask: &Ask<'_>,
    ) -> Vec<Branch> {
        let holding = match ask {
            Ask::Truth => PrefixSet::everything(),
            Ask::Text(text) => client.written(text),
            Ask::Pattern(expression) => {
                let (pattern, case) = expression.parts();
                let Some(set) = matching(pattern, case, client) else {
                    return self.both(number, callers, &"a pattern is asked of the caller's address".into());
                };
                return matched(&callers, &set);
            }
        };
        let branch = |callers, outcome| Branch { callers, outcome, captured: None };
        let branches = vec![
            branch(callers.intersection(&holding), Wanted::Holds),
            branch(callers.difference(&holding), Wanted::Fails),
        ];
        branches.into_iter().filter(|branch| !branch.callers.is_empty()).collect()
    }

    fn answered(&mut self, number: Number, answer: &Return, mut state: State) {
        let status = answer.status;
        self.met(number, || format!("answers with {status}"));
        state.known.by = By::One(rule(number, Role::Directive));
        match (status, &answer.text) {
            (301..=303 | 307 | 308, to) => {
                let to = to.clone().unwrap_or_default();
                self.redirect(state, status, (number, &to));
            }
            // A text of its own is the answer, whatever `error_page` says.
            (_, Some(_)) | (..400, None) => self.end(state, End::Status(status)),
            (_, None) => self.fail(state, status),
        }
    }

    fn rewritten(&mut self, number: Number, rewrite: &Rewrite, mut state: State, run: &mut Run) {
        let captured = match rewrite.pattern.find(&state.known.path) {
            Found::Yes(captured) => captured,
            Found::No => return settle(&mut run.going, state),
            Found::Unknown(why) => return self.end(state, End::Unknown(number, why.into())),
        };
        capture(&mut state, rewrite.pattern.captured(captured));
        let replacement = rewrite.replacement.as_str();
        let target = self.filled(&mut state, replacement);
        for (callers, content) in target.among(&state.callers) {
            let mut state = state.of(callers);
            let Content::Text(target) = content else {
                self.end(state, End::Unknown(number, "nobody can say what the path becomes".into()));
                continue;
            };
            if rewrite.flag == Flag::Redirect {
                state.known.by = By::One(rule(number, Role::Directive));
                self.redirect(state, 302, (number, &target));
                continue;
            }
            self.met(number, || format!("makes the path `{target}`"));
            change_path(&mut state, &target);
            match rewrite.flag {
                Flag::None => settle(&mut run.going, state),
                Flag::Last | Flag::Redirect => settle(&mut run.done, state),
                Flag::Break => {
                    state.known.is_changed = false;
                    settle(&mut run.done, state);
                }
            }
        }
    }
}

/// Gives a request another path; a query of its own comes before the one that callers sent.
fn change_path(state: &mut State, target: &str) {
    let known = &mut state.known;
    if let Some((path, query)) = target.split_once('?') {
        known.path = path.into();
        known.query = match (&known.query, query) {
            // A question mark at the end throws the callers' query away.
            (_, "") => Content::text(""),
            (Content::Text(sent), _) if sent.is_empty() => Content::text(query),
            (Content::Text(sent), _) => Content::text(&format!("{query}&{sent}")),
            (other, _) => other.clone(),
        };
    } else {
        known.path = target.into();
    }
    known.is_changed = true;
    known.is_internal = true;
}

/// Callers whose address matches a pattern, and the others. What it captured differs from one to the next.
fn matched(callers: &PrefixSet, set: &PrefixSet) -> Vec<Branch> {
    let branches = [
        Branch { callers: callers.intersection(set), outcome: Wanted::Holds, captured: Some(None) },
        Branch { callers: callers.difference(set), outcome: Wanted::Fails, captured: None },
    ];
    branches.into_iter().filter(|branch| !branch.callers.is_empty()).collect()
}

/// A way that leads on from a condition.
pub(super) struct Branch {
    pub(super) callers: PrefixSet,
    pub(super) outcome: Wanted,
    /// What a pattern captured, where one was asked; within, `None` where nobody can say.
    pub(super) captured: Option<Option<Rc<Vec<Option<String>>>>>,
}

/// What is asked of a text.
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
            Ask::Truth => plain(!matches!(text, "" | "0")),
            Ask::Text(other) => plain(text == *other),
            Ask::Pattern(expression) => expression.find(text),
        }
    }
}

/// What is asked of a variable.
enum Test<'c> {
    Truth,
    Equal(&'c str, Wanted),
    Match(&'c Expression, Wanted),
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
        let known = found
            .iter_mut()
            .find(|(_, one)| one.outcome == branch.outcome && one.captured == branch.captured);
        match known {
            Some((sets, _)) => sets.push(branch.callers),
            None => found.push((vec![branch.callers.clone()], branch)),
        }
    }
    let whole =
        |(sets, branch): (Vec<PrefixSet>, Branch)| Branch { callers: super::state::all_of(&sets), ..branch };
    found.into_iter().map(whole).collect()
}
