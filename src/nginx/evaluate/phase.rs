//! The access phase and the content.

use std::rc::Rc;

use super::access::{List, Named, Said};
use super::answer::{Answer, End, Serving};
use super::level::{Kind, LevelId, Number, Role, first, rule};
use super::pieces::Line;
use super::state::{By, Client, Content, Once, Origin, State};
use super::walk::{Phase, Walk};
use crate::admission::RuleId;
use crate::prefix::PrefixSet;

/// Whether all handlers of the access phase have to let a request through, or one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Satisfy {
    All,
    Any,
}

/// What handlers have said of a request.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// Nothing yet.
    Open,
    /// No: this status, unless another handler of several lets it through.
    Refused(u16, By),
}

/// Directives whose modules make the content.
const PASSING: [&str; 6] =
    ["proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass"];

/// Directives whose modules run code of others in the access phase.
const CODE: [&str; 8] = [
    "access_by_lua",
    "access_by_lua_block",
    "access_by_lua_file",
    "modsecurity",
    "js_access",
    "auth_jwt",
    "auth_digest",
    "auth_ldap",
];

impl Walk<'_, '_> {
    /// Who may: allow and deny, passwords, subrequests, code.
    pub(super) fn access(&mut self, state: State) {
        if state.known.origin == Origin::Subrequest {
            return self.go(Phase::Content, state);
        }
        let level = state.known.level;
        if let Some(number) = self.runs_before(level, "access_by_lua") {
            let why = "code decides before the list is asked, and is not judged".into();
            return self.end(state, End::Unknown(number, why));
        }
        let satisfy = match self.program.setting(level, "satisfy").as_deref() {
            Some("any") => Satisfy::Any,
            _ => Satisfy::All,
        };
        let asked = self.by_list(satisfy, state);
        let asked = self.by_password(satisfy, asked);
        let asked = self.by_subrequest(satisfy, asked);
        let asked = self.by_code(satisfy, asked);
        for (state, verdict) in asked {
            match verdict {
                Verdict::Open => self.go(Phase::Content, state),
                Verdict::Refused(status, by) => {
                    let mut state = state;
                    state.known.by = by;
                    self.fail(state, status);
                }
            }
        }
    }

    /// The same of a connection, which has nothing but a list.
    pub(super) fn by_list_of_stream(&mut self, state: State) -> Vec<(State, Verdict)> {
        self.by_list(Satisfy::All, state)
    }

    /// Allow and deny lines, the first that names a caller.
    fn by_list(&mut self, satisfy: Satisfy, state: State) -> Vec<(State, Verdict)> {
        let program = self.program;
        let Some((level, list)) = program.list(state.known.level) else {
            return vec![(state, Verdict::Open)];
        };
        self.about_list(list, &state);
        let said = list.says(&state.known.client, &state.callers);
        let Said { allowed, denied, unlisted } = said.unwrap_or_else(|| self.by_any(list, &state));
        self.trace_list(&allowed, &denied);
        let mut asked = Vec::new();
        if !unlisted.is_empty() {
            let end = rule(level.number, Role::EndOfList);
            self.met_rule(end, || "no line names it".to_owned());
            if satisfy == Satisfy::All || !self.asks_more(state.known.level) {
                self.about_unlisted(list, &unlisted);
            }
            let mut state = state.of(unlisted);
            state.known.by = By::One(end);
            asked.push((state, Verdict::Open));
        }
        if !denied.0.is_empty() {
            asked.push((state.of(denied.0), Verdict::Refused(403, denied.1)));
        }
        if !allowed.0.is_empty() {
            let mut state = state.of(allowed.0);
            state.known.by = allowed.1;
            if satisfy == Satisfy::Any {
                self.go(Phase::Content, state);
            } else {
                asked.push((state, Verdict::Open));
            }
        }
        asked
    }

    /// Code of Lua that a level runs before nginx's own directives of the phase.
    pub(super) fn runs_before(&self, level: LevelId, phase: &str) -> Option<Number> {
        let early = self.program.setting(level, &format!("{phase}_no_postpone"));
        if early.as_deref() == Some("on") { self.code_of(level, phase) } else { None }
    }

    /// Code of Lua that a level runs in a phase.
    pub(super) fn code_of(&self, level: LevelId, phase: &str) -> Option<Number> {
        let names = [phase.to_owned(), format!("{phase}_block"), format!("{phase}_file")];
        names.iter().find_map(|name| self.program.in_force(level, name)).map(|(number, _)| number)
    }

    /// Whether more is asked of callers than their address.
    fn asks_more(&self, level: LevelId) -> bool {
        let in_force =
            |name: &&str| self.program.setting(level, name).is_some_and(|setting| setting != "off");
        ["auth_basic", "auth_request"].iter().chain(&CODE).any(in_force)
    }

    /// The address that is tested is not known: whatever the lines say of any is possible.
    fn by_any(&mut self, list: &List, state: &State) -> Said {
        let callers = &state.callers;
        let (allow, deny) = list.either();
        let is_left_out = list.leaves_out();
        let ways = [allow.is_some(), deny.is_some(), is_left_out].into_iter().filter(|is_open| *is_open);
        if let Client::Told(why) = &state.known.client
            && let Some(rule) = allow.into_iter().chain(deny).min()
            && ways.count() > 1
        {
            self.note_rule(rule, why, callers);
        }
        let some = |rule: Option<RuleId>| match rule {
            Some(rule) => (callers.clone(), By::One(rule)),
            None => (PrefixSet::empty(), By::Nothing),
        };
        let unlisted = if is_left_out { callers.clone() } else { PrefixSet::empty() };
        Said { allowed: some(allow), denied: some(deny), unlisted }
    }

    fn trace_list(&mut self, allowed: &Named, denied: &Named) {
        if self.steps.is_none() {
            return;
        }
        for ((callers, by), did) in [(allowed, "lets it in"), (denied, "refuses it")] {
            let met = match (by, callers.ranges().next()) {
                (By::One(rule), Some(_)) => Some(*rule),
                (By::Each(pieces), Some((caller, _))) => pieces.at(caller).map(Line::rule),
                (By::Nothing, _) | (_, None) => None,
            };
            if let Some(rule) = met {
                self.met_rule(rule, || did.to_owned());
            }
        }
    }

    /// What a handler that asks for something else does: it lets through, or refuses.
    fn either(
        &mut self,
        (number, status, why): (Number, u16, &Rc<str>),
        satisfy: Satisfy,
        (state, verdict): (State, Verdict),
    ) -> Vec<(State, Verdict)> {
        self.note(number, why, &state.callers);
        let refusal = Verdict::Refused(status, By::One(rule(number, Role::Directive)));
        if satisfy == Satisfy::Any {
            let mut through = state.clone();
            through.known.by = By::One(rule(number, Role::Directive));
            self.go(Phase::Content, through);
            return vec![(state, refusal)];
        }
        match verdict {
            Verdict::Open => {
                let refused = state.clone();
                vec![(state, Verdict::Open), (refused, refusal)]
            }
            Verdict::Refused(..) => vec![(state, verdict)],
        }
    }

    /// `auth_basic`: whether callers know a password.
    ///
    /// <https://nginx.org/en/docs/http/ngx_http_auth_basic_module.html>
    fn by_password(&mut self, satisfy: Satisfy, asked: Vec<(State, Verdict)>) -> Vec<(State, Verdict)> {
        let mut all = Vec::new();
        for (mut state, verdict) in asked {
            let level = state.known.level;
            let found = self.program.in_force(level, "auth_basic");
            let file = self.program.in_force(level, "auth_basic_user_file");
            let (Some((number, line)), Some(_)) = (found, file) else {
                all.push((state, verdict));
                continue;
            };
            let realm = self.filled(&mut state, first(line.arguments()));
            let (off, on): (Vec<_>, Vec<_>) = realm
                .among(&state.callers)
                .into_iter()
                .partition(|(_, content)| *content == Content::text("off"));
            all.extend(off.into_iter().map(|(callers, _)| (state.of(callers), verdict.clone())));
            let why: Rc<str> = "it asks for a password".into();
            for (callers, _) in on {
                all.extend(self.either((number, 401, &why), satisfy, (state.of(callers), verdict.clone())));
            }
        }
        all
    }

    /// `auth_request`: whether another location answers with 2xx.
    ///
    /// <https://nginx.org/en/docs/http/ngx_http_auth_request_module.html>
    fn by_subrequest(&mut self, satisfy: Satisfy, asked: Vec<(State, Verdict)>) -> Vec<(State, Verdict)> {
        let mut all = Vec::new();
        for (state, verdict) in asked {
            let found = self.program.in_force(state.known.level, "auth_request");
            let Some((number, line)) = found.filter(|(_, line)| first(line.arguments()) != "off") else {
                all.push((state, verdict));
                continue;
            };
            if matches!(verdict, Verdict::Refused(..)) && satisfy == Satisfy::All {
                all.push((state, verdict));
                continue;
            }
            let answers = self.subrequest(&state, first(line.arguments()));
            for answer in answers {
                let state = state.of(answer.state.callers.clone());
                all.extend(self.answered_by(number, satisfy, (state, verdict.clone()), &answer.end));
            }
        }
        all
    }

    /// Asks the location that decides, which has no access phase of its own.
    fn subrequest(&mut self, state: &State, target: &str) -> Vec<Answer> {
        let mut inner = state.clone();
        let known = &mut inner.known;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        known.path = path.into();
        known.query = Content::text(query);
        known.method = Content::text("GET");
        known.origin = Origin::Subrequest;
        known.is_internal = true;
        known.is_changed = false;
        known.error_page = Once::Open;
        known.status = None;
        known.captured = None;
        self.run(Phase::ServerRewrite, vec![inner])
    }

    /// What the answer of a subrequest means.
    fn answered_by(
        &mut self,
        number: Number,
        satisfy: Satisfy,
        (mut state, verdict): (State, Verdict),
        end: &End,
    ) -> Vec<(State, Verdict)> {
        let by = By::One(rule(number, Role::Directive));
        let status = match end {
            End::Status(status) | End::Redirect(status, _) => *status,
            End::Content(_) | End::Unknown(..) => {
                let why: Rc<str> = match end {
                    End::Unknown(_, why) => Rc::clone(why),
                    _ => "it asks another server or program".into(),
                };
                return self.either((number, 403, &why), satisfy, (state, verdict));
            }
        };
        self.met(number, || format!("is answered with {status}"));
        match (status, satisfy, verdict) {
            (200..300, Satisfy::Any, _) => {
                state.known.by = by;
                self.go(Phase::Content, state);
                Vec::new()
            }
            (200..300, Satisfy::All, verdict) => vec![(state, verdict)],
            (401 | 403, _, _) => vec![(state, Verdict::Refused(status, by))],
            _ => {
                state.known.by = by;
                self.fail(state, 500);
                Vec::new()
            }
        }
    }

    /// Code of others in the access phase.
    fn by_code(&mut self, satisfy: Satisfy, asked: Vec<(State, Verdict)>) -> Vec<(State, Verdict)> {
        let mut all = Vec::new();
        for (state, verdict) in asked {
            let level = state.known.level;
            let found = CODE.into_iter().find_map(|name| self.program.in_force(level, name));
            let Some((number, line)) = found.filter(|(_, line)| first(line.arguments()) != "off") else {
                all.push((state, verdict));
                continue;
            };
            let why: Rc<str> = format!("`{}` is not judged", line.name()).into();
            all.extend(self.either((number, 403, &why), satisfy, (state, verdict)));
        }
        all
    }

    /// The answer: files that are tried first, then who makes the content.
    pub(super) fn content(&mut self, state: State) {
        let level = state.known.level;
        let own = self.program.level(level).map(|level| level.own(&["try_files"])).unwrap_or_default();
        if let Some(number) = own.first() {
            self.try_files(*number, &state);
        }
        if self.passes(level) {
            return self.end(state, End::Content(Serving::Passed));
        }
        if state.known.path.ends_with('/') {
            self.index(&state);
        }
        self.end(state, End::Content(Serving::Files));
    }

    /// Whether a server or a program gets the request. An `if` and a `limit_except` have their location's.
    fn passes(&self, id: LevelId) -> bool {
        for (_, level) in self.program.upwards(id) {
            let code = |name: &str| name.starts_with("content_by_lua") || name.starts_with("echo");
            let other = |name: &str| {
                matches!(name, "js_content" | "perl" | "rtmp_stat" | "empty_gif" | "stub_status")
            };
            if level.names().any(|name| PASSING.contains(&name) || code(name) || other(name)) {
                return true;
            }
            if !matches!(level.kind, Kind::If | Kind::LimitExcept(_)) {
                return false;
            }
        }
        false
    }

    /// Where none of the files is there, it goes on at the last of the names.
    ///
    /// <https://nginx.org/en/docs/http/ngx_http_core_module.html#try_files>
    fn try_files(&mut self, number: Number, state: &State) {
        let arguments = self.program.directive(number).map(crate::nginx::Directive::arguments);
        let Some(last) = arguments.and_then(<[_]>::last) else { return };
        let why: Rc<str> = "it hangs on which files there are".into();
        if let Some(status) = last.strip_prefix('=') {
            self.note(number, &why, &state.callers);
            let mut state = state.clone();
            state.known.by = By::One(rule(number, Role::Directive));
            self.fail(state, status.parse().unwrap_or(404));
            return;
        }
        self.note(number, &why, &state.callers);
        let mut state = state.clone();
        let target = self.filled(&mut state, last);
        for (callers, content) in target.among(&state.callers) {
            let state = state.of(callers);
            match content {
                Content::Text(target) if target.starts_with('@') => self.jump_to_named(state, &target),
                Content::Text(target) => self.redirect_within(state, &target),
                Content::Caller(_) | Content::Unknown(_) => {
                    self.end(state, End::Unknown(number, Rc::clone(&why)));
                }
            }
        }
    }

    /// A folder's first page is searched as a path of its own.
    fn index(&mut self, state: &State) {
        let found = self.program.nearest(state.known.level, &["index"]);
        let numbers = found.map(|(_, numbers)| numbers).unwrap_or_default();
        let mut names: Vec<(Option<Number>, String)> = Vec::new();
        for number in numbers {
            let words =
                self.program.directive(number).map(crate::nginx::Directive::arguments).unwrap_or_default();
            names.extend(words.iter().map(|word| (Some(number), word.to_string())));
        }
        if names.is_empty() {
            names.push((None, "index.html".to_owned()));
        }
        let why: Rc<str> = "it hangs on which files there are".into();
        for (number, name) in names {
            let number = number.or_else(|| Some(self.program.level(state.known.level)?.number)).unwrap_or(0);
            let mut state = state.clone();
            let filled = self.filled(&mut state, &name);
            for (callers, content) in filled.among(&state.callers) {
                self.page_of_folder((number, &why), state.of(callers), &content);
            }
        }
    }

    fn page_of_folder(&mut self, (number, why): (Number, &Rc<str>), state: State, name: &Content) {
        let Content::Text(name) = name else {
            return self.end(state, End::Unknown(number, Rc::clone(why)));
        };
        self.note(number, why, &state.callers);
        let is_path = name.starts_with('/');
        let target = if is_path { name.to_string() } else { format!("{}{name}", state.known.path) };
        self.redirect_within(state, &target);
    }
}
