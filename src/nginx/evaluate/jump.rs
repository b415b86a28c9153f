//! Errors, redirects and the jumps from one location to another.

use std::rc::Rc;

use super::answer::End;
use super::level::{Number, Role, rule};
use super::state::{By, Content, Once, State};
use super::walk::{Phase, Walk, changed};

/// The status that an answer gets when an error has a page.
enum PageStatus {
    /// The error's.
    Kept,
    /// The page's own.
    Own,
    /// This one.
    Is(u16),
}

/// What an `error_page` says of a status.
struct Page {
    number: Number,
    status: PageStatus,
    target: String,
}

impl Walk<'_, '_> {
    /// An error: the answer, or what `error_page` has for it. Who caused it is in the state already.
    ///
    /// <https://nginx.org/en/docs/http/ngx_http_core_module.html#error_page>
    pub(super) fn fail(&mut self, mut state: State, status: u16) {
        // nginx closes the connection without a word.
        if matches!(status, 408 | 444 | 499) {
            return self.end(state, End::Status(status));
        }
        let page = self.page(&mut state, status);
        let Some(page) = page else {
            // An error's own status is the answer's, whatever was said before.
            state.known.status = Some(status);
            return self.end(state, End::Status(status));
        };
        self.met(page.number, || format!("answers {status} with `{}`", page.target));
        state.known.status = match page.status {
            PageStatus::Kept => Some(status),
            PageStatus::Own => None,
            PageStatus::Is(status) => Some(status),
        };
        if state.known.status.is_none_or(|status| status < 300) {
            state.known.by = By::One(rule(page.number, Role::Directive));
        }
        let target = self.filled(&mut state, &page.target);
        for (callers, content) in target.among(&state.callers) {
            let state = state.of(callers);
            let Content::Text(target) = content else {
                let why = "nobody can say which page an error has".into();
                self.end(state, End::Unknown(page.number, why));
                continue;
            };
            match target.chars().next() {
                Some('/') => self.redirect_within(as_get(state), &target),
                Some('@') => self.jump_to_named(state, &target),
                _ => self.end(state, End::Redirect(302, target)),
            }
        }
    }

    /// The page for a status, at the level in force; each request gets one, unless the level says otherwise.
    fn page(&mut self, state: &mut State, status: u16) -> Option<Page> {
        if state.known.error_page == Once::Done || state.known.changes_left == 0 {
            return None;
        }
        let level = state.known.level;
        let (_, numbers) = self.program.nearest(level, &["error_page"])?;
        if self.program.setting(level, "recursive_error_pages").as_deref() != Some("on") {
            state.known.error_page = Once::Done;
        }
        numbers.into_iter().find_map(|number| {
            let words = self.program.directive(number)?.arguments();
            let (target, codes) = words.split_last()?;
            let (codes, answer) = match codes.split_last() {
                Some((last, codes)) if last.starts_with('=') => {
                    (codes, Some(last.get(1..).unwrap_or_default()))
                }
                _ => (codes, None),
            };
            let mut statuses = codes.iter().filter_map(|code| code.parse::<u16>().ok());
            statuses.any(|code| code == status).then(|| Page {
                number,
                status: match answer {
                    None => PageStatus::Kept,
                    Some(answer) => answer.parse().map_or(PageStatus::Own, PageStatus::Is),
                },
                target: target.to_string(),
            })
        })
    }

    /// An answer that sends callers elsewhere, which `error_page` may have a page for.
    pub(super) fn redirect(&mut self, mut state: State, status: u16, (number, to): (Number, &str)) {
        if self.has_page(&state, status) {
            return self.fail(state, status);
        }
        let target = self.filled(&mut state, to);
        let shown: Rc<str> = match target {
            super::state::Value::One(Content::Text(text)) => text,
            _ => to.into(),
        };
        self.met(number, || format!("sends callers to `{shown}`"));
        self.end(state, End::Redirect(status, shown));
    }

    fn has_page(&mut self, state: &State, status: u16) -> bool {
        self.page(&mut state.clone(), status).is_some()
    }

    /// A jump to a path, which starts again with the server's rewriting.
    pub(super) fn redirect_within(&mut self, mut state: State, target: &str) {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Content::text(query)),
            None => (target, Content::text("")),
        };
        state.known.path = path.into();
        state.known.query = query;
        state.known.is_internal = true;
        state.known.is_changed = false;
        state.known.level = state.known.server;
        if changed(&mut state) {
            self.go(Phase::ServerRewrite, state);
        } else {
            self.fail(state, 500);
        }
    }

    /// A jump to a named location.
    pub(super) fn jump_to_named(&mut self, mut state: State, name: &str) {
        state.known.is_internal = true;
        state.known.is_changed = false;
        let found = self.program.named(state.known.server, name);
        let (true, Some(level)) = (changed(&mut state), found) else {
            return self.fail(state, 500);
        };
        state.known.level = level;
        let number = self.program.level(level).map_or(0, |level| level.number);
        self.met(number, || "is where it goes on".to_owned());
        self.limit_methods(state);
    }
}

/// A page is asked for with GET, unless nothing but its head was asked for.
fn as_get(mut state: State) -> State {
    if state.known.method != Content::text("HEAD") {
        state.known.method = Content::text("GET");
    }
    state
}
