//! The rewrite phases: `set`, `if`, `return`, `rewrite` and `break`, one after the other.

use std::rc::Rc;

use super::answer::End;
use super::code::{Act, Condition, Flag, Return, Rewrite, Wanted};
use super::level::{LevelId, Number, Role, rule};
use super::pattern::Found;
use super::state::{By, Content, State, Value, settle};
use super::table::capture;
use super::walk::Walk;

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
            // Beyond that nothing is sure of anybody who is still on the way.
            if states.len() > WAYS_MAX || self.budget == 0 {
                return self.give_up(states, code.number);
            }
            for state in states {
                self.spend(&state.callers);
                self.code(code.number, &code.act, state, run);
            }
        }
    }

    fn give_up(&mut self, states: Vec<State>, number: Number) {
        let why: Rc<str> = "more ways lead on from here than are followed".into();
        for state in states {
            self.end(state, End::Unknown(number, Rc::clone(&why)));
        }
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
            let mut inner = state.of(branch.callers.clone());
            branch.leave(condition, &mut inner);
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
