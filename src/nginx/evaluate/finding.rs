//! What is worth saying besides the answer. Only what is certain: a finding is a verdict of its own.

use std::collections::BTreeSet;

use super::access::List;
use super::answer::{Answer, End, Serving};
use super::level::{Kind, LevelId, Role, rule, ruled};
use super::listener::{Listen, Listener, is_named, listeners};
use super::locate::{Name, Place};
use super::realip::{Trusted, everybody};
use super::state::{By, Client, Once, State, all_of};
use super::walk::Walk;
use super::{Asked, Door};
use crate::admission::{Admission, Finding, FindingKind, Question, RuleId};
use crate::prefix::{Family, PrefixSet};

/// Ports, and other ways to a path, that are looked at.
const WAYS_MAX: usize = 64;

impl Walk<'_, '_> {
    /// What is odd about a list that requests come to.
    pub(super) fn about_list(&mut self, list: &List, state: &State) {
        let is_proxys = match &state.known.client {
            Client::Fixed(address) => self.way.proxy.is_some_and(|proxy| proxy == address.to_canonical()),
            // Only a proxy speaks its protocol.
            Client::Own | Client::Mapped => self.way.is_proxied && state.known.told == Once::Open,
            Client::Told(_) => false,
        };
        if is_proxys {
            self.found(Finding {
                kind: FindingKind::ProxyTested,
                message: "the allow and deny lines test the proxy's address, the same for all callers".to_owned(),
                help: "name the proxy with `set_real_ip_from`, and with `real_ip_header` where it tells the caller's address".to_owned(),
                rule: Some(rule(list.first, Role::Directive)),
            });
        }
    }

    /// Callers that no line names get in, though some are allowed.
    pub(super) fn about_unlisted(&mut self, list: &List, unlisted: &PrefixSet) {
        let Some(number) = list.last_allow else { return };
        let is_open = |family| list.names(family) && !unlisted.is_family_empty(family);
        if Family::ALL.into_iter().any(is_open) {
            self.found(Finding {
                kind: FindingKind::NoDenyAll,
                message: "addresses are allowed, and nobody is denied: whom no line names gets in".to_owned(),
                help: "add `deny all;` after the last line".to_owned(),
                rule: Some(rule(number, Role::Directive)),
            });
        }
    }

    /// Everybody may say which address he has.
    pub(super) fn about_trusted(&mut self, trusted: &Trusted, header: &str) {
        if let Some(rule) = everybody(trusted) {
            self.found(Finding {
                kind: FindingKind::TrustsEverybody,
                message: format!("every address is trusted to say by `{header}` who calls"),
                help: "name the proxies' own addresses with `set_real_ip_from`".to_owned(),
                rule: Some(rule),
            });
        }
    }

    /// Keeps a finding, once.
    pub(super) fn found(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

impl Asked<'_> {
    /// Whom a list refuses is served by an `error_page`.
    pub(super) fn about_error_page(&self, walk: &mut Walk<'_, '_>, answer: &Answer) {
        let (End::Content(Serving::Passed), None | Some(..300), By::One(id)) =
            (&answer.end, answer.state.known.status, &answer.state.known.by)
        else {
            return;
        };
        let line = ruled(*id).and_then(|(number, _)| self.program.directive(number));
        let Some(line) = line.filter(|line| line.name() == "error_page") else { return };
        let Some((target, codes)) = line.arguments().split_last() else { return };
        if codes.contains(&"403") {
            walk.found(Finding {
                kind: FindingKind::OpenSibling,
                message: format!("whom a list refuses is served by `{}`", crate::plain::line(target)),
                help: "give that location the same list, or answer with a page of its own and without `=`"
                    .to_owned(),
                rule: Some(*id),
            });
        }
    }

    /// The same path where no list is asked: at another socket, or by the pattern of another location.
    pub(super) fn siblings(&self, question: &Question, admission: &Admission) -> Vec<Finding> {
        let everyone = PrefixSet::everything();
        let is_guarded = |family| !admission.possibly.covers(&everyone.only(family));
        let is_listed = admission.decided.iter().filter_map(|one| one.rule).any(|id| self.is_deny(id));
        if !is_listed {
            return Vec::new();
        }
        let mut found = Vec::new();
        for door in self.doors(question, &everyone) {
            if is_guarded(door.family) || self.request.proxy.is_some() {
                found.extend(self.other_sockets(question, &door));
                found.extend(self.other_patterns(question, &door));
            }
        }
        found.dedup_by(|a, b| a.message == b.message);
        let mut kept: Vec<Finding> = Vec::new();
        for one in found {
            if !kept.iter().any(|known| known.rule == one.rule) {
                kept.push(one);
            }
        }
        kept
    }

    fn is_deny(&self, id: RuleId) -> bool {
        ruled(id).and_then(|(number, _)| self.program.name(number)) == Some("deny")
    }

    fn other_sockets(&self, question: &Question, door: &Door) -> Vec<Finding> {
        let Some(name) = self.request.server_name.as_deref() else { return Vec::new() };
        let mut found = Vec::new();
        let ports = self.ports().into_iter().filter(|port| *port != question.port).take(WAYS_MAX);
        for port in ports {
            for listener in listeners(&self.program, &self.program.servers, port) {
                let server = self.named(&listener, door, name);
                let open =
                    server.and_then(|server| self.open_to_all(door, (&listener, server), &self.request.path));
                found.extend(open.map(|id| self.open_at(port, id)));
            }
        }
        found
    }

    fn open_at(&self, port: u16, id: RuleId) -> Finding {
        let place = self.decider(id).title;
        Finding {
            kind: FindingKind::OpenSibling,
            message: format!("the same path is open to everybody at port {port}, by {place}"),
            help: "give it the same list, or don't serve it there".to_owned(),
            rule: Some(id),
        }
    }

    /// The server of this name itself, at a socket that callers reach.
    fn named(&self, listener: &Listener, door: &Door, name: &str) -> Option<LevelId> {
        let [server] = listener.answering(&self.program, Some(name)).as_slice().try_into().ok()?;
        let server: LevelId = server;
        let is_own = is_named(&self.program, server, name);
        (is_own && listener.is_reached_by(door.family)).then_some(server)
    }

    fn ports(&self) -> BTreeSet<u16> {
        let levels = self.program.servers.iter().filter_map(|id| self.program.level(*id));
        let numbers = levels.flat_map(|level| level.own(&["listen"]));
        let lines = numbers.filter_map(|number| self.program.directive(number));
        lines.filter_map(Listen::read).map(|listen| listen.ports().0).collect()
    }

    /// Paths below the one that is asked for, which a pattern takes away from its location.
    fn other_patterns(&self, question: &Question, door: &Door) -> Vec<Finding> {
        let all = listeners(&self.program, &self.program.servers, question.port);
        let mut found = Vec::new();
        for listener in super::listener::reached(&all, door.family, door.dialled) {
            for server in listener.answering(&self.program, self.request.server_name.as_deref()) {
                found.extend(self.below(door, listener, server));
            }
        }
        found
    }

    fn below(&self, door: &Door, listener: &Listener, server: LevelId) -> Vec<Finding> {
        let path = self.request.path.split(['?', '#']).next().unwrap_or_default();
        let Place::Level(own, _) = self.program.find(server, path) else { return Vec::new() };
        let is_prefix = |id| {
            self.program.level(id).is_some_and(|level| matches!(level.kind, Kind::Location(Name::Prefix(_))))
        };
        if !is_prefix(own) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (id, level) in self.patterns(server).into_iter().take(WAYS_MAX) {
            let Kind::Location(Name::Pattern(expression)) = &level.kind else { continue };
            let Some(ending) = ending(expression.parts().0) else { continue };
            let inner = format!("{}/x{ending}", path.trim_end_matches('/'));
            let is_there = matches!(self.program.find(server, &inner), Place::Level(found, _) if found == id);
            if is_there && self.open_to_all(door, (listener, server), &inner).is_some() {
                let rule = rule(level.number, Role::Directive);
                let place = self.decider(rule).title;
                found.push(Finding {
                    kind: FindingKind::OpenSibling,
                    message: format!("`{}` is open to everybody, by {place}", crate::plain::line(&inner)),
                    help: "write `location ^~` for the guarded path, or give the other the same list"
                        .to_owned(),
                    rule: Some(rule),
                });
            }
        }
        found
    }

    fn patterns(&self, server: LevelId) -> Vec<(LevelId, &super::level::Level<'_>)> {
        let ids = self.program.level(server).map(|level| level.locations.as_slice()).unwrap_or_default();
        let levels = ids.iter().filter_map(|id| Some((*id, self.program.level(*id)?)));
        levels.filter(|(_, level)| matches!(level.kind, Kind::Location(Name::Pattern(_)))).collect()
    }

    /// Whether content is there for all callers of a door, and by which location.
    fn open_to_all(&self, door: &Door, at: (&Listener, LevelId), path: &str) -> Option<RuleId> {
        let mut walk = Walk::new(&self.program, self.request);
        walk.spare();
        let answers = self.walked(&mut walk, door, at, path);
        let is_content = |answer: &Answer| {
            matches!(answer.end, End::Content(_))
                && answer.state.known.status.is_none_or(|status| status < 300)
        };
        if !answers.iter().all(is_content) {
            return None;
        }
        let callers: Vec<PrefixSet> = answers.iter().map(|answer| answer.state.callers.clone()).collect();
        if !all_of(&callers).covers(&door.callers) {
            return None;
        }
        answers.first().and_then(|answer| answer.rule)
    }
}

/// How a path ends that a pattern of file names matches: `.php` of `\.php$`.
fn ending(pattern: &str) -> Option<String> {
    let (_, tail) = pattern.rsplit_once("\\.")?;
    let tail = tail.trim_start_matches("(?:").trim_start_matches('(');
    let word: String = tail.chars().take_while(char::is_ascii_alphanumeric).collect();
    (!word.is_empty()).then(|| format!(".{word}"))
}
