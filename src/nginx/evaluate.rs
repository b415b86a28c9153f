//! Asks a configuration of nginx who gets into a location: all sources at once, through every phase before the
//! content.
//!
//! Callers come to a socket (`listener`), are answered by a server, go through its phases (`walk`) and end with
//! content or with a status (`answer`). What hangs on files, passwords, other servers or code is undecided.

mod access;
mod answer;
mod check;
mod code;
mod condition;
mod describe;
mod finding;
mod jump;
mod level;
mod listener;
mod locate;
mod mend;
mod pattern;
mod phase;
mod pieces;
mod realip;
mod rewrite;
mod state;
mod stream;
mod table;
mod uri;
mod variable;
mod walk;
mod written;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::{Config, Files, ReadError, Request, TableError};
use crate::admission::{Admission, Decider, Layer, LayerKind, Listing, Question, RuleId, Step, Wanted};
use crate::prefix::{Family, PrefixSet};
use answer::{Answer, End, Fates, Serving};
use level::{LevelId, Program, Role, rule, unheard};
use listener::{Listener, listeners, reached};
use state::{By, Client, Content, Known, Once, Origin, State, mapped};
use uri::{Slashes, normalised};
use walk::{Phase, Walk, Way};

/// nginx searches a location this many times for one request, and no more.
const CHANGES_MAX: u8 = 11;

/// A configuration that can be asked about a request.
#[derive(Debug)]
pub struct Asked<'t> {
    program: Program<'t>,
    files: &'t Files,
    request: &'t Request,
}

impl<'t> Asked<'t> {
    /// Makes a configuration ready; what nginx would not load is refused.
    pub fn new(config: &'t Config<'t>, files: &'t Files, request: &'t Request) -> Result<Self, ReadError> {
        let program = Program::new(config).map_err(|error| located(files, error))?;
        check::check(config, &program).map_err(|error| located(files, error))?;
        Ok(Self { program, files, request })
    }
}

/// A fault of a table with the file that it is in.
fn located(files: &Files, error: TableError) -> ReadError {
    let listing = usize::try_from(error.place.file).ok().and_then(|at| files.listings().get(at));
    ReadError {
        file: listing.map(|listing| listing.name.clone()).unwrap_or_default(),
        line: error.place.line,
        message: error.message,
        help: error.help,
    }
}

impl Layer for Asked<'_> {
    fn kind(&self) -> LayerKind {
        LayerKind::Nginx
    }

    fn listings(&self) -> &[Listing] {
        self.files.listings()
    }

    fn admit(&self, question: &Question) -> Admission {
        self.asked(question, None).0
    }

    fn trace(&self, question: &Question, source: IpAddr) -> (Admission, Vec<Step>) {
        self.asked(question, Some(source))
    }

    fn describe(&self, rule: RuleId) -> Decider {
        self.decider(rule)
    }

    fn mend(&self, rule: RuleId, sources: &PrefixSet, _port: u16, wanted: Wanted) -> Option<String> {
        self.lines(rule, sources, wanted)
    }
}

impl Asked<'_> {
    fn asked(&self, question: &Question, only: Option<IpAddr>) -> (Admission, Vec<Step>) {
        let mut walk = Walk::new(&self.program, self.request);
        let everyone = match only {
            Some(source) => {
                walk.steps = Some(Vec::new());
                PrefixSet::between(source, source)
            }
            None => PrefixSet::everything(),
        };
        let http = listeners(&self.program, &self.program.servers, question.port);
        let streams = listeners(&self.program, &self.program.streams, question.port);
        // Whether both families are heard.
        let mut heard = true;
        for door in self.doors(question, &everyone) {
            let connections = reached(&streams, door.family, door.dialled);
            let requests = reached(&http, door.family, door.dialled);
            if connections.is_empty() && requests.is_empty() {
                let nobody = unheard(door.family, question.port);
                heard = false;
                walk.met_rule(nobody, || "refuses the connection".to_owned());
                walk.fates.refuse(door.callers.clone(), By::One(nobody));
            }
            for listener in connections {
                self.connect(&mut walk, &door, listener);
            }
            for listener in requests {
                self.enter(&mut walk, &door, listener);
            }
        }
        let steps = walk.steps.take().unwrap_or_default();
        let findings = std::mem::take(&mut walk.findings);
        let fates = std::mem::take(&mut walk.fates);
        let mut admission = fates.admission(&everyone);
        admission.findings = findings;
        if only.is_none() {
            let siblings = self.siblings(question, &admission);
            admission.findings.extend(siblings);
            let open = heard.then(|| Self::open_family(&admission)).flatten();
            admission.findings.extend(open);
        }
        (admission, steps)
    }

    /// One family is open, and the other has a list.
    fn open_family(admission: &Admission) -> Option<crate::admission::Finding> {
        let mut finding = admission.open_family()?;
        let help = "name addresses of both families and end with `deny all;`, or don't listen for the other";
        help.clone_into(&mut finding.help);
        Some(finding)
    }

    /// The families that callers connect with. Behind a proxy all come by the proxy's.
    fn doors(&self, question: &Question, everyone: &PrefixSet) -> Vec<Door> {
        let dialled = |family| {
            question.addresses.iter().copied().find(|address| address.is_ipv4() == (family == Family::V4))
        };
        if let Some(proxy) = self.request.proxy {
            let family = if proxy.is_ipv4() { Family::V4 } else { Family::V6 };
            // The address that callers dial is the proxy's, and not one of nginx. A proxy of the same host calls the
            // loopback, from which nobody else comes.
            return vec![Door {
                family,
                callers: everyone.clone(),
                dialled: Some(proxy).filter(IpAddr::is_loopback),
                peer: Some(proxy),
                proxy: Some(proxy),
            }];
        }
        let doors = Family::ALL.into_iter().map(|family| Door {
            family,
            callers: everyone.only(family),
            dialled: dialled(family),
            peer: None,
            proxy: None,
        });
        doors.filter(|door| !door.callers.is_empty()).collect()
    }

    /// Callers of a family at a socket, each server that may answer them.
    fn enter(&self, walk: &mut Walk<'_, '_>, door: &Door, listener: &Listener) {
        if self.request.path.is_empty() {
            let rule = self.program.level(listener.default).map(|level| rule(level.number, Role::Directive));
            let why = "which path callers ask for is not said: give `--path`".into();
            return walk.fates.leave_open(&door.callers, rule, &why);
        }
        let servers = listener.answering(&self.program, self.request.server_name.as_deref());
        for server in servers {
            let number = self.program.level(server).map_or(0, |level| level.number);
            if let Some(listen) = listener.number {
                walk.met(listen, || "takes the connection".to_owned());
            }
            walk.met(number, || "answers".to_owned());
            if listener.servers.len() > 1 && self.request.server_name.is_none() {
                let why: Rc<str> =
                    "which server answers hangs on the name that callers write: give `--server-name`".into();
                walk.note(number, &why, &door.callers);
            }
            for answer in self.walked(walk, door, (listener, server), &self.request.path) {
                self.about_error_page(walk, &answer);
                Self::judge(&mut walk.fates, answer);
            }
        }
    }

    fn walked(
        &self,
        walk: &mut Walk<'_, '_>,
        door: &Door,
        (listener, server): (&Listener, LevelId),
        path: &str,
    ) -> Vec<Answer> {
        let slashes = match self.program.setting(server, "merge_slashes").as_deref() {
            Some("off") => Slashes::Kept,
            _ => Slashes::Merged,
        };
        walk.way = door.way(listener);
        let uri = normalised(path, slashes);
        let mut state = self.state(door, listener, server);
        let number = self.program.level(server).map_or(0, |level| level.number);
        let Some(uri) = uri else {
            state.known.by = By::One(rule(number, Role::Directive));
            return vec![Answer { state, end: End::Status(400), rule: None }];
        };
        state.known.path = uri.path.as_str().into();
        state.known.query = Content::text(&uri.query);
        let mut answers = Vec::new();
        if let Some(number) = self.handshake(walk, listener, &mut state) {
            state.known.by = By::One(rule(number, Role::Directive));
            return vec![Answer { state, end: End::Status(444), rule: None }];
        }
        answers.extend(Self::plainly(walk, listener, &state));
        let states = walk.real_ip(server, state);
        answers.extend(walk.run(Phase::ServerRewrite, states));
        answers
    }

    /// A request as it arrives at a server.
    fn state(&self, door: &Door, listener: &Listener, server: LevelId) -> State {
        let is_mapped = listener.is_dual && door.family == Family::V4;
        let client = match door.peer {
            Some(peer) if is_mapped => Client::Fixed(mapped(peer)),
            Some(peer) => Client::Fixed(peer),
            None if is_mapped => Client::Mapped,
            None => Client::Own,
        };
        let method = match &self.request.method {
            Some(method) => Content::text(method),
            None => Content::unknown("callers may use any method: give `--method`"),
        };
        State {
            callers: door.callers.clone(),
            known: Known {
                server,
                level: server,
                origin: Origin::Caller,
                peer: client.clone(),
                client,
                told: Once::Open,
                path: "/".into(),
                query: Content::text(""),
                method,
                is_internal: false,
                is_changed: false,
                changes_left: CHANGES_MAX,
                captured: Some(Rc::default()),
                variables: Rc::new(BTreeMap::new()),
                cached: Rc::new(BTreeMap::new()),
                status: None,
                error_page: Once::Open,
                by: By::Nothing,
            },
        }
    }

    /// What TLS asks for before there is a request; the directive that refuses all.
    fn handshake(
        &self,
        walk: &mut Walk<'_, '_>,
        listener: &Listener,
        state: &mut State,
    ) -> Option<level::Number> {
        if !listener.is_tls {
            return None;
        }
        let server = state.known.server;
        let on = |name| {
            self.program.in_force(server, name).filter(|(_, line)| level::first(line.arguments()) == "on")
        };
        if let Some((number, _)) = on("ssl_reject_handshake") {
            walk.met(number, || "refuses the handshake".to_owned());
            return Some(number);
        }
        let (number, _) = on("ssl_verify_client")?;
        let why = "it asks for a client's certificate".into();
        walk.note(number, &why, &state.callers);
        walk.fates.refuse(state.callers.clone(), By::One(rule(number, Role::Directive)));
        None
    }

    /// Whoever speaks plainly where the PROXY protocol is waited for is refused.
    fn plainly(walk: &mut Walk<'_, '_>, listener: &Listener, state: &State) -> Option<Answer> {
        if !listener.is_proxied || walk.way.proxy.is_some() {
            return None;
        }
        let number = listener.number?;
        let why = "it waits for the PROXY protocol, which a proxy speaks: give `--proxy`".into();
        walk.note(number, &why, &state.callers);
        let mut plain = state.clone();
        plain.known.by = By::One(rule(number, Role::Directive));
        Some(Answer { state: plain, end: End::Status(400), rule: None })
    }

    /// Whether an end is content, and so whether callers are in.
    fn judge(fates: &mut Fates, answer: Answer) {
        let Answer { state, end, rule: place } = answer;
        let State { callers, known } = state;
        let by = match known.by {
            By::Nothing => place.map_or(By::Nothing, By::One),
            by @ (By::One(_) | By::Each(_)) => by,
        };
        match (end, known.status) {
            (End::Unknown(number, why), _) => {
                fates.leave_open(&callers, Some(rule(number, Role::Directive)), &why);
            }
            (End::Redirect(status, to), _) => {
                let rule = match by {
                    By::One(rule) => Some(rule),
                    By::Nothing | By::Each(_) => place,
                };
                let why = format!("it is answered by a redirect to `{to}` ({status}), which is not followed");
                fates.leave_open(&callers, rule, &why.into());
            }
            (End::Content(Serving::Passed), Some(status @ 300..)) => {
                let why = format!("the request is passed on, and its answer has status {status}");
                fates.leave_open(&callers, place, &why.into());
            }
            (End::Content(_) | End::Status(..300), None | Some(..300)) => fates.accept(callers, by),
            (End::Content(Serving::Files) | End::Status(_), _) => fates.refuse(callers, by),
        }
    }
}

/// Callers of a family, or of a proxy.
#[derive(Debug, Clone)]
struct Door {
    /// The family of their connections.
    family: Family,
    /// Who they are.
    callers: PrefixSet,
    /// The address that they dial, where it is known.
    dialled: Option<IpAddr>,
    /// Where their connections come from, where that is not they.
    peer: Option<IpAddr>,
    /// The same, where it tells who they are.
    proxy: Option<IpAddr>,
}

impl Door {
    /// The way through this door to a socket.
    fn way(&self, listener: &Listener) -> Way {
        Way {
            port: listener.port,
            dialled: self.dialled,
            is_tls: listener.is_tls,
            is_proxied: listener.is_proxied,
            proxy: self.proxy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Decided;
    use crate::nginx::read;

    /// A question about a configuration of `http`.
    struct Case {
        files: Files,
        request: Request,
        question: Question,
    }

    impl Case {
        fn new(http: &str) -> Self {
            Self::whole(&format!("events {{}}\nhttp {{\n{http}\n}}\n"))
        }

        fn whole(text: &str) -> Self {
            Self {
                files: Files::single("/etc/nginx/nginx.conf", text),
                request: Request {
                    server_name: Some("shop.example".to_owned()),
                    path: "/callback".to_owned(),
                    method: Some("POST".to_owned()),
                    ..Request::default()
                },
                question: Question {
                    port: 80,
                    interface: None,
                    addresses: Vec::new(),
                    at: jiff::Timestamp::UNIX_EPOCH,
                },
            }
        }

        fn ask<T>(&self, with: impl FnOnce(&Asked<'_>, Admission) -> T) -> T {
            let config = read(&self.files).unwrap();
            let asked = Asked::new(&config, &self.files, &self.request).unwrap();
            let admission = asked.admit(&self.question);
            lawful(&admission);
            with(&asked, admission)
        }

        /// Surely and possibly admitted, as prefixes.
        fn sets(&self) -> (String, String) {
            self.ask(|_, admission| (shown(&admission.surely), shown(&admission.possibly)))
        }

        #[track_caller]
        fn check(&self, surely: &str, possibly: &str) {
            assert_eq!(self.sets(), (surely.to_owned(), possibly.to_owned()));
        }
    }

    fn shown(set: &PrefixSet) -> String {
        let prefixes: Vec<String> =
            set.to_prefixes().iter().map(|prefix| prefix.short().to_string()).collect();
        match prefixes.as_slice() {
            [a, b] if a == "0.0.0.0/0" && b == "::/0" => "all".to_owned(),
            _ => prefixes.join(" "),
        }
    }

    /// Every address is decided once, or undecided.
    fn lawful(admission: &Admission) {
        assert!(admission.possibly.covers(&admission.surely));
        let of = |ruling| {
            let all = admission.decided.iter().filter(|one| one.ruling == ruling);
            state::all_of(&all.map(|one| PrefixSet::between(one.first, one.last)).collect::<Vec<_>>())
        };
        let (ins, outs) = (of(crate::admission::Ruling::Accept), of(crate::admission::Ruling::Reject));
        assert_eq!(ins, admission.surely);
        assert_eq!(outs, admission.possibly.complement());
        let decided: Vec<Decided> = admission.decided.iter().collect();
        for pair in decided.windows(2) {
            assert!(pair[0].last < pair[1].first);
        }
        let open = admission.undecided.iter().map(|one| one.sources.clone()).collect::<Vec<_>>();
        assert_eq!(state::all_of(&open), admission.possibly.difference(&admission.surely));
    }

    fn server(inside: &str) -> Case {
        Case::new(&format!("server {{ listen 80; listen [::]:80; server_name shop.example; {inside} }}"))
    }

    #[test]
    fn of_long_lists_the_first_line_that_names_a_caller_decides() {
        // Runs that overlap, with other lines between them: which network, and whether it allows.
        let mut lines: Vec<(u32, u32, &str)> = Vec::new();
        lines.extend((0..90).map(|at| (0x0a00_0000 + at * 3, 32, "allow")));
        lines.extend((0..70).map(|at| (0x0a00_0000 + at * 4, 30, "deny")));
        lines.push((0x0a00_0080, 25, "allow"));
        lines.extend(
            (0..100).map(|at| (0x0a00_0200 + (99 - at) * 2, 31, if at < 80 { "allow" } else { "deny" })),
        );
        lines.push((0, 0, "deny"));
        let shown = lines.iter().map(|(address, length, name)| {
            let address = std::net::Ipv4Addr::from(*address);
            format!(
                "{name} {};\n",
                if *length == 32 { address.to_string() } else { format!("{address}/{length}") }
            )
        });
        let text = format!("location /callback {{\n{} proxy_pass http://a; }}", shown.collect::<String>());
        server(&text).ask(|asked, admission| {
            for caller in (0x0a00_0000..0x0a00_0400).chain([0, 0x0b00_0000]) {
                let caller_ip = IpAddr::from(u32::to_be_bytes(caller));
                let holds = |(first, length, _): &(u32, u32, &str)| {
                    first ^ caller == 0 || (first ^ caller).leading_zeros() >= *length
                };
                let line = lines.iter().position(holds).unwrap();
                let decided = admission.decided.within(caller_ip, caller_ip).next().unwrap();
                assert_eq!(
                    decided.ruling == crate::admission::Ruling::Accept,
                    lines[line].2 == "allow",
                    "{caller_ip}"
                );
                // Three lines come before `location`, which is in the fourth.
                let wanted = u32::try_from(line).unwrap() + 4;
                assert_eq!(asked.describe(decided.rule.unwrap()).line, wanted, "{caller_ip}");
                assert!(asked.describe(decided.rule.unwrap()).text.starts_with(lines[line].2), "{caller_ip}");
            }
        });
    }

    #[test]
    fn the_first_line_that_names_a_caller_decides() {
        server("location /callback { allow 192.0.2.1; deny 192.0.2.0/24; allow 2001:db8::/32; deny all; proxy_pass http://a; }")
            .check("192.0.2.1 2001:db8::/32", "192.0.2.1 2001:db8::/32");
        server("location /callback { deny 128.0.0.0/1; proxy_pass http://a; }")
            .check("0.0.0.0/1 ::/0", "0.0.0.0/1 ::/0");
        server("location /callback { proxy_pass http://a; }").check("all", "all");
    }

    #[test]
    fn blocks_of_an_endless_rewriting_do_not_multiply_its_ways() {
        // Eleven rounds of four ways each, which meet again at each round's end.
        let blocks =
            "if (-f $request_filename) { } if (-d $request_filename) { } if (-e $request_filename) { }";
        server(&format!("location /callback {{ {blocks} rewrite ^/(.*)$ /callback last; }}")).check("", "");
    }

    #[test]
    fn all_or_nothing_is_inherited() {
        let outer = "allow 192.0.2.1; deny all;";
        server(&format!("{outer} location /callback {{ }}")).check("192.0.2.1", "192.0.2.1");
        server(&format!("{outer} location /callback {{ deny 0.0.0.0/1; }}"))
            .check("128.0.0.0/1 ::/0", "128.0.0.0/1 ::/0");
        server(&format!("{outer} location /callback {{ location /callback {{ return 200; }} }}"))
            .check("all", "all");
    }

    #[test]
    fn what_rewrites_comes_before_the_list() {
        let list = "allow 192.0.2.1; deny all;";
        server(&format!("location /callback {{ {list} return 200; }}")).check("all", "all");
        server(&format!("location /callback {{ {list} return 403; }}")).check("", "");
        server(&format!("location /callback {{ {list} return 301 /x; }}")).check("", "all");
        server(&format!("location /callback {{ {list} rewrite ^ /x last; }} location /x {{ }}"))
            .check("all", "all");
        server(&format!("location /callback {{ {list} rewrite ^ /x break; }} location /x {{ }}"))
            .check("192.0.2.1", "192.0.2.1");
        server(&format!("location /callback {{ {list} if ($request_method = POST) {{ return 204; }} }}"))
            .check("all", "all");
        server(&format!("location /callback {{ {list} if ($http_x) {{ return 204; }} }}"))
            .check("192.0.2.1", "all");
        server(&format!("location /callback {{ {list} rewrite ^(.*)$ $1 last; }}")).check("", "");
    }

    const LIST: &str = "allow 192.0.2.1; deny all; proxy_pass http://a;";

    impl Case {
        /// Names of the findings.
        fn findings(&self) -> Vec<&'static str> {
            self.ask(|_, admission| admission.findings.iter().map(|one| one.kind.as_str()).collect())
        }
    }

    #[test]
    fn what_is_odd_is_found() {
        for (inside, wanted) in [
            (format!("location /callback {{ {LIST} }}"), vec![]),
            ("location /callback { allow 192.0.2.1; proxy_pass http://a; }".to_owned(), vec!["no-deny-all"]),
            (
                "location /callback { allow 192.0.2.1; deny 0.0.0.0/0; proxy_pass http://a; }".to_owned(),
                vec!["family-open"],
            ),
            (
                "location /callback { satisfy any; allow 192.0.2.1; auth_basic x; auth_basic_user_file f; }"
                    .to_owned(),
                vec![],
            ),
            (
                format!(
                    "location /callback {{ error_page 403 = @open; {LIST} }} location @open {{ proxy_pass http://a; }}"
                ),
                vec!["open-sibling"],
            ),
            (format!("location /callback {{ error_page 403 /no.html; {LIST} }}"), vec![]),
            (
                format!("location /callback {{ {LIST} }} location ~ \\.php$ {{ fastcgi_pass a; }}"),
                vec!["open-sibling"],
            ),
            (format!("location ^~ /callback {{ {LIST} }} location ~ \\.php$ {{ fastcgi_pass a; }}"), vec![]),
            (format!("location /callback {{ {LIST} }} location ~ \\.php$ {{ {LIST} }}"), vec![]),
            (
                format!(
                    "set_real_ip_from 0.0.0.0/1; set_real_ip_from 128.0.0.0/1; location /callback {{ {LIST} }}"
                ),
                vec!["trusts-everybody"],
            ),
            (
                format!(
                    "}} server {{ listen 8080; server_name shop.example; location / {{ proxy_pass http://a; }} }} server {{ listen 80; location /callback {{ {LIST} }}"
                ),
                vec![],
            ),
        ] {
            assert_eq!(server(&inside).findings(), wanted, "{inside}");
        }
        let second = "} server { listen 8080; server_name shop.example; location / { proxy_pass http://a; }";
        assert_eq!(server(&format!("location /callback {{ {LIST} }} {second}")).findings(), ["open-sibling"]);
        let away = "} server { listen 8080; server_name shop.example; return 301 https://x/;";
        assert_eq!(server(&format!("location /callback {{ {LIST} }} {away}")).findings(), [""; 0]);
    }

    #[test]
    fn behind_a_proxy_its_address_is_tested_unless_it_is_trusted() {
        let list = format!("location /callback {{ {LIST} }}");
        let mut case = server(&list);
        case.request.proxy = Some("10.0.0.1".parse().unwrap());
        case.check("", "");
        assert_eq!(case.findings(), ["proxy-tested"]);
        let mut case = server(&format!("set_real_ip_from 10.0.0.1; {list}"));
        case.check("192.0.2.1", "10.0.0.1 192.0.2.1");
        case.request.proxy = Some("10.0.0.1".parse().unwrap());
        case.check("192.0.2.1", "192.0.2.1");
        assert_eq!(case.findings(), [""; 0]);
    }

    #[test]
    fn a_loopback_is_reached_from_its_own_host() {
        let text =
            "events {}\nhttp {\nserver {\nlisten 127.0.0.1:80;\nlocation /callback {\nreturn 200;\n} } }";
        let mut case = Case::whole(text);
        case.check("", "");
        let title = case
            .ask(|asked, admission| asked.describe(admission.decided.first().unwrap().rule.unwrap()).title);
        assert_eq!(
            title,
            "only 127.0.0.1 is listened on at port 80: `--address` asks about it, `--proxy` about callers through it"
        );
        case.request.proxy = Some("127.0.0.1".parse().unwrap());
        case.check("all", "all");
    }

    #[test]
    fn a_change_is_told_where_it_belongs() {
        let text = "events {}\nhttp {\nserver {\nlisten 80;\nlocation /callback {\nallow 192.0.2.1;\ndeny all;\n} } }";
        let case = Case::whole(text);
        let lines = case.ask(|asked, admission| {
            let sources = PrefixSet::between("192.0.2.9".parse().unwrap(), "192.0.2.9".parse().unwrap());
            let of =
                |ruling| admission.decided.iter().find(|one| one.ruling == ruling).unwrap().rule.unwrap();
            let refused = of(crate::admission::Ruling::Reject);
            let accepted = of(crate::admission::Ruling::Accept);
            assert_eq!(
                asked.describe(refused).title,
                "deny all of location `/callback` of a server without a name"
            );
            assert_eq!(asked.describe(refused).line, 7);
            let nobody = admission.decided.iter().last().unwrap().rule.unwrap();
            assert_eq!(asked.describe(nobody).title, "no server listens on port 80 over IPv6");
            [(refused, Wanted::Admit), (accepted, Wanted::Refuse), (accepted, Wanted::Admit)]
                .map(|(rule, wanted)| asked.mend(rule, &sources, 80, wanted))
        });
        let reload = "then `nginx -t && nginx -s reload`";
        assert_eq!(
            lines,
            [
                Some(format!("add `allow 192.0.2.9;` before /etc/nginx/nginx.conf:7, {reload}")),
                Some(format!("add `deny 192.0.2.9;` before /etc/nginx/nginx.conf:6, {reload}")),
                None,
            ]
        );
    }

    #[test]
    fn what_nginx_would_not_load_is_refused() {
        for (inside, wanted) in [
            (
                "location / { allow 192.0.2.0/33; }",
                "nginx.conf:3: `192.0.2.0/33` is nothing that `allow` takes",
            ),
            ("location / { deny; }", "nginx.conf:3: `deny` has too few or too many words"),
            ("location / { if ($a == b) { } }", "nginx.conf:3: `if ($a == b)` is nothing that nginx loads"),
            (
                "location / { if ($a) { allow all; } }",
                "nginx.conf:3: `allow` stands where nginx does not take it",
            ),
            ("location / { } location / { }", "nginx.conf:3: location `/` is there twice"),
            ("satisfy some;", "nginx.conf:3: `some` is nothing that `satisfy` takes"),
        ] {
            let case = server(inside);
            let config = read(&case.files).unwrap();
            let error = Asked::new(&config, &case.files, &case.request).unwrap_err();
            assert_eq!(error.to_string(), format!("/etc/nginx/{wanted}"));
            assert!(!error.help.is_empty());
        }
    }

    #[test]
    fn many_ways_end_soon() {
        let ifs = |inside: &str| (0..1000).map(|at| inside.replace('#', &at.to_string())).collect::<String>();
        let (set, back) = ("if ($http_x#) { set $y# 1; }", "if ($http_x#) { return 403; }");
        server(&format!("location /callback {{ {} {LIST} }}", ifs(back))).check("", "192.0.2.1");
        let (surely, possibly) = server(&format!("location /callback {{ {} {LIST} }}", ifs(set))).sets();
        assert_eq!((surely.as_str(), possibly.as_str()), ("", "all"));
        let locations: String =
            (0..10_000).map(|at| format!("location /callback{at} {{ {LIST} }}\n")).collect();
        server(&locations).check("all", "all");
        let lines: String = (0..100_000)
            .map(|at| format!("allow 10.{}.{}.{};\n", at >> 15, at >> 7 & 255, (at & 127) * 2))
            .collect();
        let case = server(&format!("location /callback {{ {lines} deny all; }}"));
        case.ask(|_, admission| assert_eq!(admission.surely.v4().len(), 100_000));
    }

    #[test]
    fn what_a_stream_passes_on_to_nginx_itself_is_asked_again() {
        let whole = |stream: &str, listen: &str, inside: &str| {
            Case::whole(&format!(
                "events {{}} stream {{ server {{ listen 80; listen [::]:80; {stream} }} }}
                 http {{ server {{ listen {listen}; server_name shop.example; {inside} }} }}"
            ))
        };
        let pass = "allow 192.0.2.0/24; deny all; proxy_pass 127.0.0.1:8080;";
        let list = format!("location /callback {{ {LIST} }}");
        whole(pass, "8080", &list).check("", "");
        whole(pass, "8080", "location /callback { allow 127.0.0.1; deny all; }")
            .check("192.0.2.0/24", "192.0.2.0/24");
        whole(pass, "9090", &list).check("192.0.2.0/24", "192.0.2.0/24");
        let told = format!("set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol; {list}");
        whole(&format!("proxy_protocol on; {pass}"), "8080 proxy_protocol", &told)
            .check("192.0.2.1", "192.0.2.1");
        let mut case = whole(pass, "8080", &list);
        case.request.path = String::new();
        case.check("192.0.2.0/24", "192.0.2.0/24");
        case.question.port = 8080;
        case.question.addresses = vec!["127.0.0.1".parse().unwrap()];
        case.check("", "0.0.0.0/0");
    }

    #[test]
    fn code_of_others_may_do_anything() {
        let list = format!("location /callback {{ {LIST} }}");
        server(&format!("rewrite_by_lua_file x; {list}")).check("", "all");
        server(&format!("access_by_lua_file x; {list}")).check("", "192.0.2.1");
        server(&format!("access_by_lua_file x; access_by_lua_no_postpone on; {list}")).check("", "all");
        server("rewrite_by_lua_file x; location /callback { return 403; }").check("", "");
        server(&format!("auth_request_set $Who $upstream_http_x; if ($who) {{ return 403; }} {list}"))
            .check("", "192.0.2.1");
        server(&format!("set $Ok 1; if ($ok != 1) {{ return 403; }} {list}")).check("192.0.2.1", "192.0.2.1");
    }

    #[test]
    fn tables_and_patterns_tell_callers_apart() {
        let table = "geo $known { default 0; 192.0.2.0/24 1; 2001:db8::/32 1; }";
        let inside = "location /callback { if ($known = 0) { return 403; } proxy_pass http://a; }";
        let case = |table: &str, inside: &str| {
            Case::new(&format!(
                "{table} server {{ listen 80; listen [::]:80; server_name shop.example; {inside} }}"
            ))
        };
        case(table, inside).check("192.0.2.0/24 2001:db8::/32", "192.0.2.0/24 2001:db8::/32");
        let map = "map $remote_addr $known { default 0; 192.0.2.7 1; ~^198\\.51\\. 1; }";
        case(map, inside).check("192.0.2.7 198.51.0.0/16", "192.0.2.7 198.51.0.0/16");
        let own = "location /callback { if ($remote_addr !~ ^10\\.) { return 403; } }";
        case("", own).check("10.0.0.0/8", "10.0.0.0/8");
        let both = "map $http_x $known { default 0; a 1; }";
        case(both, inside).check("", "all");
    }
}
