//! Requests through nginx's phases: server rewrite, search of the location, its rewrite, access, content, and the
//! jumps between them.
//!
//! All callers of a family are on the way at the same time, told apart only where the configuration tells them
//! apart. Where nobody can say, every way that may be is followed, and noted.

use std::net::IpAddr;
use std::rc::Rc;

use super::answer::{Answer, End, Fates};
use super::level::{Kind, LevelId, Number, Program, Role, rule};
use super::locate::Place;
use super::state::{Content, Origin, State};
use super::table::capture;
use crate::admission::{Finding, RuleId, Step};
use crate::nginx::Request;
use crate::prefix::PrefixSet;

/// Most phases that are walked through, all ways together.
const PHASES_MAX: usize = 20_000;
/// Most intervals that are looked at, all ways together.
const INTERVALS_MAX: usize = 50_000_000;
/// Most steps of a trace.
const STEPS_MAX: usize = 1000;

/// How callers come to nginx.
#[derive(Debug, Clone, Default)]
pub(super) struct Way {
    /// The port.
    pub(super) port: u16,
    /// The address that they dial, where it is known.
    pub(super) dialled: Option<IpAddr>,
    /// Whether they speak TLS.
    pub(super) is_tls: bool,
    /// Whether the socket waits for the PROXY protocol.
    pub(super) is_proxied: bool,
    /// The proxy that all come through, and which tells who they are.
    pub(super) proxy: Option<IpAddr>,
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The server's rewriting directives.
    ServerRewrite,
    /// The search of a location.
    Find,
    /// The location's rewriting directives.
    Rewrite,
    /// Limits, and the address told by a header.
    Preaccess,
    /// Who may.
    Access,
    /// The answer.
    Content,
}

/// A walk of many requests.
pub(super) struct Walk<'a, 't> {
    pub(super) program: &'a Program<'t>,
    pub(super) request: &'a Request,
    pub(super) way: Way,
    pub(super) fates: Fates,
    /// What one caller meets, where that is wanted.
    pub(super) steps: Option<Vec<Step>>,
    pub(super) findings: Vec<Finding>,
    /// How many intervals may still be looked at.
    pub(super) budget: usize,
    /// How many tables are being asked.
    pub(super) depth: usize,
    phases: usize,
    todo: Vec<(Phase, State)>,
    answers: Vec<Answer>,
}

impl<'a, 't> Walk<'a, 't> {
    /// A walk that has not begun.
    pub(super) fn new(program: &'a Program<'t>, request: &'a Request) -> Self {
        Self {
            program,
            request,
            way: Way::default(),
            fates: Fates::default(),
            steps: None,
            findings: Vec::new(),
            budget: INTERVALS_MAX,
            depth: 0,
            phases: PHASES_MAX,
            todo: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Leaves it less to do: for what is only worth saying.
    pub(super) fn spare(&mut self) {
        self.budget = self.budget.min(INTERVALS_MAX / 100);
        self.phases = self.phases.min(PHASES_MAX / 100);
    }

    /// Walks these requests to their ends.
    pub(super) fn run(&mut self, phase: Phase, states: Vec<State>) -> Vec<Answer> {
        let before = (std::mem::take(&mut self.todo), std::mem::take(&mut self.answers));
        for state in states {
            self.go(phase, state);
        }
        while let Some((phase, state)) = self.todo.pop() {
            self.spend(&state.callers);
            self.phases = self.phases.saturating_sub(1);
            if self.phases == 0 || self.budget == 0 {
                self.phases = self.phases.max(1);
                let number = self.program.level(state.known.level).map_or(0, |level| level.number);
                self.end(state, End::Unknown(number, "more ways lead on from here than are followed".into()));
                continue;
            }
            self.phase(phase, state);
        }
        self.todo = before.0;
        std::mem::replace(&mut self.answers, before.1)
    }

    fn phase(&mut self, phase: Phase, state: State) {
        match phase {
            Phase::ServerRewrite => {
                let mut state = state;
                if let Some(number) = self.code_of(state.known.server, "server_rewrite_by_lua") {
                    let why = "code decides, which is not judged".into();
                    return self.end(state, End::Unknown(number, why));
                }
                state.known.level = state.known.server;
                for state in self.rewrite(state.known.server, state) {
                    self.go(Phase::Find, state);
                }
            }
            Phase::Find => self.locate(state),
            Phase::Rewrite => {
                let level = state.known.level;
                if let Some(number) = self.runs_before(level, "rewrite_by_lua") {
                    let why = "code decides, which is not judged".into();
                    return self.end(state, End::Unknown(number, why));
                }
                for state in self.rewrite(level, state) {
                    self.rewritten_once(state);
                }
            }
            Phase::Preaccess => {
                let level = state.known.level;
                // It runs after nginx's own rewriting, which may have ended the request.
                if let Some(number) = self.code_of(level, "rewrite_by_lua") {
                    let why = "code decides, which is not judged".into();
                    return self.end(state, End::Unknown(number, why));
                }
                for state in self.real_ip(level, state) {
                    self.limited(state);
                }
            }
            Phase::Access => self.access(state),
            Phase::Content => self.content(state),
        }
    }

    /// On to a phase, together with who is there already in the same way.
    pub(super) fn go(&mut self, phase: Phase, state: State) {
        if state.callers.is_empty() {
            return;
        }
        let same = self.todo.iter_mut().find(|(at, one)| *at == phase && one.known == state.known);
        match same {
            Some((_, one)) => one.callers = one.callers.union(&state.callers),
            None => self.todo.push((phase, state)),
        }
    }

    /// After a location's rewriting a changed path is searched again.
    fn rewritten_once(&mut self, mut state: State) {
        if !state.known.is_changed {
            return self.go(Phase::Preaccess, state);
        }
        if changed(&mut state) {
            // Where it was rewritten is forgotten, or each round would double the ways through blocks of `if`.
            state.known.level = state.known.server;
            self.go(Phase::Find, state);
        } else {
            self.fail(state, 500);
        }
    }

    /// Searches the location.
    fn locate(&mut self, mut state: State) {
        state.known.is_changed = false;
        match self.program.find(state.known.server, &state.known.path) {
            Place::Server => {
                state.known.level = state.known.server;
                self.go(Phase::Preaccess, state);
            }
            Place::Level(level, captured) => {
                if let Some(captured) = captured {
                    capture(&mut state, captured);
                }
                self.enter(level, state);
            }
            Place::Slash(level) => {
                state.known.level = level;
                let Some(mut state) = self.outside(state) else { return };
                let to = format!("{}/", state.known.path);
                let number = self.program.level(level).map_or(0, |level| level.number);
                state.known.by = super::state::By::One(rule(number, Role::Directive));
                self.redirect(state, 301, (number, &to));
            }
            Place::Unknown(level, why) => {
                let number = self.program.level(level).map_or(0, |level| level.number);
                self.end(state, End::Unknown(number, why.into()));
            }
        }
    }

    /// Enters a location that a path led to.
    fn enter(&mut self, id: LevelId, mut state: State) {
        let Some(level) = self.program.level(id) else { return };
        self.met(level.number, || "answers this path".to_owned());
        state.known.level = id;
        if let Some(state) = self.outside(state) {
            self.limit_methods(state);
        }
    }

    /// The requests that may come here: none from outside where a location is `internal`.
    fn outside(&mut self, mut state: State) -> Option<State> {
        match self.program.in_force(state.known.level, "internal") {
            Some((number, _)) if !state.known.is_internal => {
                self.met(number, || "is not there for callers".to_owned());
                state.known.by = super::state::By::One(rule(number, Role::Directive));
                self.fail(state, 404);
                None
            }
            _ => Some(state),
        }
    }

    /// Into the level that a `limit_except` is, where the method is not left alone.
    pub(super) fn limit_methods(&mut self, state: State) {
        let limit = self.program.level(state.known.level).and_then(|level| level.limit_except);
        let Some((id, level)) = limit.and_then(|id| Some((id, self.program.level(id)?))) else {
            return self.go(Phase::Rewrite, state);
        };
        let Kind::LimitExcept(methods) = &level.kind else { return };
        let is_left_alone = |method: &str| {
            // GET stands for HEAD too.
            methods.iter().any(|known| known == method || (known == "GET" && method == "HEAD"))
        };
        let mut limited = state.clone();
        limited.known.level = id;
        match &state.known.method {
            Content::Text(method) if is_left_alone(&method.to_ascii_uppercase()) => {
                self.go(Phase::Rewrite, state);
            }
            Content::Text(_) => {
                self.met(level.number, || "holds for this method".to_owned());
                self.go(Phase::Rewrite, limited);
            }
            Content::Caller(_) | Content::Unknown(_) => {
                let why: Rc<str> = "callers may use any method: give `--method`".into();
                self.note(level.number, &why, &state.callers);
                self.go(Phase::Rewrite, state);
                self.go(Phase::Rewrite, limited);
            }
        }
    }

    /// Limits of rate and of connections, before access is asked.
    fn limited(&mut self, state: State) {
        let mut open = Vec::new();
        for name in ["limit_req", "limit_conn"] {
            let dry = format!("{name}_dry_run");
            if self.program.setting(state.known.level, &dry).as_deref() == Some("on") {
                continue;
            }
            let found = self.program.nearest(state.known.level, &[name]);
            open.extend(found.and_then(|(_, numbers)| numbers.first().copied()));
        }
        if state.known.origin == Origin::Caller
            && let Some(number) = open.first()
        {
            let why: Rc<str> = "a limit refuses whoever calls too often".into();
            self.note(*number, &why, &state.callers);
            let mut refused = state.clone();
            refused.known.by = super::state::By::One(rule(*number, Role::Directive));
            self.fail(refused, 503);
        }
        self.go(Phase::Access, state);
    }

    /// A request's end.
    pub(super) fn end(&mut self, state: State, end: End) {
        if state.callers.is_empty() {
            return;
        }
        let place = self.program.location(state.known.level);
        let rule = self.program.level(place).map(|level| rule(level.number, Role::Directive));
        self.answers.push(Answer { state, end, rule });
    }

    /// Why nobody can say of these callers.
    pub(super) fn note(&mut self, number: Number, why: &Rc<str>, callers: &PrefixSet) {
        if callers.is_empty() {
            return;
        }
        self.note_rule(rule(number, Role::Directive), why, callers);
    }

    /// The same, for a rule of any role.
    pub(super) fn note_rule(&mut self, rule: RuleId, why: &Rc<str>, callers: &PrefixSet) {
        self.met_rule(rule, || format!("may go either way: {why}"));
        self.fates.note(Some(rule), why, callers.clone());
    }

    /// A rule that one caller meets, and what it does.
    pub(super) fn met(&mut self, number: Number, did: impl Fn() -> String) {
        self.met_rule(rule(number, Role::Directive), did);
    }

    /// The same, for a rule of any role.
    pub(super) fn met_rule(&mut self, rule: RuleId, did: impl Fn() -> String) {
        if let Some(steps) = &mut self.steps
            && steps.len() < STEPS_MAX
        {
            steps.push(Step { packet: "request", rule, did: did() });
        }
    }
}

/// Counts a change of the path; whether nginx takes it.
pub(super) fn changed(state: &mut State) -> bool {
    state.known.changes_left = state.known.changes_left.saturating_sub(1);
    state.known.changes_left > 0
}
