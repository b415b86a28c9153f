//! Servers of the stream module: allow and deny for connections, before they are passed on.

use std::net::SocketAddr;
use std::rc::Rc;

use super::answer::{Answer, End, Serving};
use super::level::{LevelId, Role, first, rule};
use super::listener::{Listener, listeners, reached};
use super::phase::Verdict;
use super::state::State;
use super::walk::Walk;
use super::{Asked, Door};
use crate::prefix::Family;

impl Asked<'_> {
    /// Callers of a family at a socket of a stream server, which has one.
    ///
    /// <https://nginx.org/en/docs/stream/ngx_stream_access_module.html>
    pub(super) fn connect(&self, walk: &mut Walk<'_, '_>, door: &Door, listener: &Listener) {
        walk.way = door.way(listener);
        let server = listener.default;
        let number = self.program.level(server).map_or(0, |level| level.number);
        walk.met(listener.number.unwrap_or(number), || "takes the connection".to_owned());
        let mut state = self.state(door, listener, server);
        self.handshake(walk, listener, &mut state);
        let plain = Self::plainly(walk, listener, &state);
        let mut answers: Vec<Answer> = plain.into_iter().collect();
        for state in walk.told_by_protocol(server, state) {
            answers.extend(self.passed_on(walk, state));
        }
        for answer in answers {
            Self::judge(&mut walk.fates, answer);
        }
    }

    fn passed_on(&self, walk: &mut Walk<'_, '_>, state: State) -> Vec<Answer> {
        let server = state.known.server;
        let place = self.program.level(server).map(|level| rule(level.number, Role::Directive));
        let may_fail = self.may_fail(server);
        let mut answers = Vec::new();
        for (mut state, verdict) in walk.by_list_of_stream(state) {
            let end = match (verdict, &may_fail) {
                (Verdict::Refused(status, by), _) => {
                    state.known.by = by;
                    End::Status(status)
                }
                (Verdict::Open, Some((number, why))) => End::Unknown(*number, Rc::clone(why)),
                (Verdict::Open, None) => match self.behind(walk, &state) {
                    Some(more) => {
                        answers.extend(more);
                        continue;
                    }
                    None => End::Content(Serving::Passed),
                },
            };
            answers.push(Answer { state, end, rule: place });
        }
        answers
    }

    /// What becomes of requests that a stream passes on to a server of `http` on this host; `None` where it goes
    /// elsewhere, or no request is asked about.
    fn behind(&self, walk: &mut Walk<'_, '_>, state: &State) -> Option<Vec<Answer>> {
        let server = state.known.server;
        let (_, line) = self.program.in_force(server, "proxy_pass")?;
        let target: SocketAddr = first(line.arguments()).parse().ok()?;
        if !target.ip().is_loopback() || self.request.path.is_empty() {
            return None;
        }
        let tells = self.program.setting(server, "proxy_protocol").as_deref() == Some("on");
        let door = Door {
            family: if target.is_ipv4() { Family::V4 } else { Family::V6 },
            callers: state.callers.clone(),
            dialled: Some(target.ip()),
            peer: Some(target.ip()),
            proxy: tells.then_some(target.ip()),
        };
        let all = listeners(&self.program, &self.program.servers, target.port());
        let listener = reached(&all, door.family, door.dialled).into_iter().next()?;
        let mut answers = Vec::new();
        for server in listener.answering(&self.program, self.request.server_name.as_deref()) {
            let number = self.program.level(server).map_or(0, |level| level.number);
            walk.met(number, || "gets it passed on, and answers".to_owned());
            answers.extend(self.walked(walk, &door, (listener, server), &self.request.path));
        }
        Some(answers)
    }

    /// What may end a connection that the list lets in.
    fn may_fail(&self, server: LevelId) -> Option<(u32, Rc<str>)> {
        if let Some((number, _)) = self.program.in_force(server, "limit_conn") {
            return Some((number, "a limit refuses whoever calls too often".into()));
        }
        let (number, line) = self.program.in_force(server, "proxy_pass")?;
        let is_open = first(line.arguments()).contains('$');
        is_open.then(|| (number, "a variable says where the connection goes".into()))
    }
}

impl Walk<'_, '_> {
    /// The address that a trusted peer tells by the PROXY protocol.
    fn told_by_protocol(&mut self, server: LevelId, state: State) -> Vec<State> {
        if self.way.is_proxied { self.real_ip_by(server, "proxy_protocol", state) } else { vec![state] }
    }
}
