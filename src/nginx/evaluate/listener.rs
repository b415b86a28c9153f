//! Which socket callers reach, and which server answers there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::level::{LevelId, Number, Program};
use super::pattern::{Case, Expression, Found};
use crate::nginx::Directive;
use crate::prefix::Family;

/// What a socket is bound to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bound {
    /// An address of IPv4, or any.
    V4(Ipv4Addr),
    /// An address of IPv6, or any.
    V6(Ipv6Addr),
    /// A host name, which nginx resolves as it starts.
    Name(String),
}

/// A socket that nginx listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    /// What it is bound to.
    pub(super) bound: Bound,
    /// Its port.
    pub(super) port: u16,
    /// Whether it takes IPv4 too: `ipv6only=off`.
    pub(super) is_dual: bool,
    /// Whether it speaks TLS.
    pub(super) is_tls: bool,
    /// Whether it waits for the PROXY protocol.
    pub(super) is_proxied: bool,
    /// The `listen` that made it; `None` where a server has none.
    pub(super) number: Option<Number>,
    /// The servers that listen there, in order.
    pub(super) servers: Vec<LevelId>,
    /// The one for names that none has.
    pub(super) default: LevelId,
}

/// One `listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listen<'a> {
    bound: Bound,
    first: u16,
    last: u16,
    options: Vec<&'a str>,
}

impl<'a> Listen<'a> {
    /// Reads a `listen`; `None` where it is a socket in the file system, or can't be read.
    ///
    /// <https://nginx.org/en/docs/http/ngx_http_core_module.html#listen>
    pub(super) fn read(directive: &'a Directive<'_>) -> Option<Self> {
        let (at, options) = directive.arguments().split_first()?;
        if at.starts_with("unix:") {
            return None;
        }
        let (host, ports) = parts(at);
        let (first, last) = match ports {
            None => (80, 80),
            Some(ports) => {
                let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
                (first.parse().ok()?, last.parse().ok()?)
            }
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let bound = match (host, bracketed) {
            ("" | "*", _) => Bound::V4(Ipv4Addr::UNSPECIFIED),
            (_, Some(address)) => Bound::V6(address.parse().ok()?),
            (name, None) => name.parse().map_or_else(|_| Bound::Name(name.to_owned()), Bound::V4),
        };
        Some(Self { bound, first, last, options: options.iter().map(AsRef::as_ref).collect() })
    }

    fn has(&self, option: &str) -> bool {
        self.options.contains(&option)
    }

    /// The socket that this makes a server the default of.
    pub(super) fn default_socket(&self) -> Option<(Bound, u16)> {
        self.is_default().then(|| (self.bound.clone(), self.first))
    }

    /// Its ports, the first and the last.
    pub(super) fn ports(&self) -> (u16, u16) {
        (self.first, self.last)
    }

    fn is_default(&self) -> bool {
        self.has("default_server") || self.has("default")
    }
}

/// Host and port of what a `listen` says; a number alone is a port.
fn parts(at: &str) -> (&str, Option<&str>) {
    if at.starts_with('[') {
        return at.rsplit_once("]:").map_or((at, None), |(host, port)| {
            (at.get(..host.len().saturating_add(1)).unwrap_or(host), Some(port))
        });
    }
    match at.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None if !at.is_empty() && at.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
            ("", Some(at))
        }
        None => (at, None),
    }
}

/// The sockets of these servers on a port, in order.
pub(super) fn listeners(program: &Program<'_>, servers: &[LevelId], port: u16) -> Vec<Listener> {
    let mut found: Vec<Listener> = Vec::new();
    for server in servers {
        let Some(level) = program.level(*server) else { continue };
        let numbers = level.own(&["listen"]);
        if numbers.is_empty() && port == 80 {
            let listen =
                Listen { bound: Bound::V4(Ipv4Addr::UNSPECIFIED), first: 80, last: 80, options: vec![] };
            settle(&mut found, (&listen, port), None, *server);
        }
        for number in numbers {
            let Some(directive) = program.directive(number) else { continue };
            let Some(listen) = Listen::read(directive) else { continue };
            if (listen.first..=listen.last).contains(&port) {
                settle(&mut found, (&listen, port), Some(number), *server);
            }
        }
    }
    found
}

/// Adds a server to the socket that it listens on.
fn settle(
    found: &mut Vec<Listener>,
    (listen, port): (&Listen<'_>, u16),
    number: Option<Number>,
    server: LevelId,
) {
    let known = found.iter().position(|one| one.bound == listen.bound);
    let at = known.unwrap_or_else(|| {
        found.push(Listener {
            bound: listen.bound.clone(),
            port,
            is_dual: false,
            is_tls: false,
            is_proxied: false,
            number,
            servers: Vec::new(),
            default: server,
        });
        found.len().saturating_sub(1)
    });
    let Some(listener) = found.get_mut(at) else { return };
    listener.is_dual |= listen.has("ipv6only=off");
    listener.is_tls |= listen.has("ssl") || listen.has("quic");
    listener.is_proxied |= listen.has("proxy_protocol");
    if listen.is_default() {
        listener.default = server;
    }
    if listener.servers.last() != Some(&server) {
        listener.servers.push(server);
    }
}

impl Listener {
    /// Whether a connection to this address comes here; `None` stands for any address that callers may dial.
    fn takes(&self, family: Family, dialled: Option<IpAddr>) -> Takes {
        match (&self.bound, family) {
            (Bound::Name(_), _) => Takes::Perhaps,
            (Bound::V4(own), Family::V4) => one_of(IpAddr::V4(*own), dialled),
            (Bound::V6(own), Family::V6) => one_of(IpAddr::V6(*own), dialled),
            (Bound::V6(own), Family::V4) if self.is_dual && own.is_unspecified() => Takes::Rest,
            (Bound::V4(_), Family::V6) | (Bound::V6(_), Family::V4) => Takes::No,
        }
    }

    /// The loopback address of a family that it is bound to.
    pub(super) fn loopback(&self, family: Family) -> Option<IpAddr> {
        let own = match (&self.bound, family) {
            (Bound::V4(own), Family::V4) => IpAddr::V4(*own),
            (Bound::V6(own), Family::V6) => IpAddr::V6(*own),
            (Bound::Name(_), _) | (Bound::V4(_), Family::V6) | (Bound::V6(_), Family::V4) => return None,
        };
        own.is_loopback().then_some(own)
    }

    /// Whether callers of a family reach it from elsewhere.
    pub(super) fn is_reached_by(&self, family: Family) -> bool {
        matches!(self.takes(family, None), Takes::Rest | Takes::Exactly) || {
            !matches!(self.bound, Bound::Name(_)) && self.takes(family, None) == Takes::Perhaps
        }
    }

    /// The servers that may answer a request with this name; all of them where callers may write any.
    pub(super) fn answering(&self, program: &Program<'_>, name: Option<&str>) -> Vec<LevelId> {
        let Some(name) = name else { return self.servers.clone() };
        let name = host(name);
        let names = |server: &LevelId| names(program, *server);
        let ranks = |server: &LevelId| {
            let best = names(server).iter().filter_map(|known| rank(known, &name)).max();
            best.map(|rank| (rank, *server))
        };
        // Of equal ones the first server has the name.
        let best =
            self.servers.iter().filter_map(ranks).reduce(|best, one| if one.0 > best.0 { one } else { best });
        if let Some((_, server)) = best {
            return vec![server];
        }
        let mut perhaps = Vec::new();
        for (server, pattern) in self.patterns(program) {
            match pattern.find(&name) {
                Found::Yes(_) => {
                    perhaps.push(server);
                    return perhaps;
                }
                Found::No => {}
                Found::Unknown(_) => perhaps.push(server),
            }
        }
        perhaps.push(self.default);
        perhaps.dedup();
        perhaps
    }

    /// Patterns of names, in their order.
    fn patterns(&self, program: &Program<'_>) -> Vec<(LevelId, Expression)> {
        let mut found = Vec::new();
        for server in &self.servers {
            let names = names(program, *server);
            let patterns = names.iter().filter_map(|name| name.strip_prefix('~'));
            // Names of servers are compared without case.
            found.extend(patterns.map(|text| (*server, Expression::new(text, Case::Insensitive))));
        }
        found
    }
}

/// Whether a server has this name itself, and is not only what answers all others.
pub(super) fn is_named(program: &Program<'_>, server: LevelId, name: &str) -> bool {
    let name = host(name);
    names(program, server).iter().any(|known| rank(known, &name).is_some())
}

/// How a socket stands to an address that callers dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// It is bound to it.
    Exactly,
    /// It takes what no other socket is bound to.
    Rest,
    /// It may be, or may not.
    Perhaps,
    No,
}

fn one_of(own: IpAddr, dialled: Option<IpAddr>) -> Takes {
    match dialled {
        _ if own.is_unspecified() => Takes::Rest,
        Some(dialled) if dialled == own => Takes::Exactly,
        Some(_) => Takes::No,
        // Callers from elsewhere don't reach a loopback.
        None if own.is_loopback() => Takes::No,
        None => Takes::Perhaps,
    }
}

/// The sockets that callers of a family may reach; several where it hangs on the address that they dial.
pub(super) fn reached(all: &[Listener], family: Family, dialled: Option<IpAddr>) -> Vec<&Listener> {
    let taking = |wanted: Takes| all.iter().filter(move |one| one.takes(family, dialled) == wanted);
    let exactly: Vec<&Listener> = taking(Takes::Exactly).collect();
    if !exactly.is_empty() {
        return exactly;
    }
    // One that is for both families leaves IPv4 to one that is for IPv4 only.
    let rest = taking(Takes::Rest).min_by_key(|one| one.is_dual && family == Family::V4);
    taking(Takes::Perhaps).chain(rest).collect()
}

/// A server's names.
pub(super) fn names(program: &Program<'_>, server: LevelId) -> Vec<String> {
    let numbers = program.level(server).map(|level| level.own(&["server_name"])).unwrap_or_default();
    let directives = numbers.into_iter().filter_map(|number| program.directive(number));
    let names = directives.flat_map(|directive| directive.arguments().iter());
    let names: Vec<String> = names
        .map(|name| if name.starts_with('~') { name.to_string() } else { name.to_ascii_lowercase() })
        .collect();
    if names.is_empty() { vec![String::new()] } else { names }
}

/// The name in a request without its port and the dot at its end.
pub(super) fn host(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let bare = match name.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !bare.ends_with(':') => bare,
        _ => &name,
    };
    bare.strip_suffix('.').unwrap_or(bare).to_owned()
}

/// How well a name of a server fits; the greater the better.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// `www.example.*`, by its length
    Trailing(usize),
    /// `*.example.com`, by its length
    Leading(usize),
    Exact,
}

/// <https://nginx.org/en/docs/http/server_names.html>
fn rank(known: &str, name: &str) -> Option<Rank> {
    if known == name {
        return Some(Rank::Exact);
    }
    if known.starts_with('~') {
        return None;
    }
    if let Some(tail) = known.strip_prefix('*').filter(|tail| tail.starts_with('.')) {
        return name
            .len()
            .checked_sub(tail.len())
            .filter(|before| *before > 0 && name.ends_with(tail))
            .map(|_| Rank::Leading(tail.len()));
    }
    if known.starts_with('.') {
        let own = known.get(1..) == Some(name);
        let within = || name.ends_with(known).then_some(Rank::Leading(known.len()));
        return if own { Some(Rank::Exact) } else { within() };
    }
    let head = known.strip_suffix('*').filter(|head| head.ends_with('.'))?;
    (name.len() > head.len() && name.starts_with(head)).then_some(Rank::Trailing(head.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_rank_as_nginx_ranks_them() {
        for (known, name, wanted) in [
            ("a.example", "a.example", Some(Rank::Exact)),
            (".example", "example", Some(Rank::Exact)),
            (".example", "b.a.example", Some(Rank::Leading(8))),
            ("*.example", "a.example", Some(Rank::Leading(8))),
            ("*.example", "example", None),
            ("a.*", "a.example", Some(Rank::Trailing(2))),
            ("a.*", "a.", None),
            ("_", "a", None),
            ("", "", Some(Rank::Exact)),
        ] {
            assert_eq!(rank(known, name), wanted, "{known} {name}");
        }
        assert_eq!(host("Shop.Example.:8443"), "shop.example");
        assert_eq!(host("Shop.Example."), "shop.example");
    }

    #[test]
    fn a_listen_may_leave_out_address_or_port() {
        let v4 = |text: &str| Bound::V4(text.parse().unwrap());
        let v6 = |text: &str| Bound::V6(text.parse().unwrap());
        for (text, bound, ports) in [
            ("8080", v4("0.0.0.0"), (8080, 8080)),
            ("*:81", v4("0.0.0.0"), (81, 81)),
            ("192.0.2.1", v4("192.0.2.1"), (80, 80)),
            ("192.0.2.1:8000-8010", v4("192.0.2.1"), (8000, 8010)),
            ("[::]:443", v6("::"), (443, 443)),
            ("[2001:db8::1]", v6("2001:db8::1"), (80, 80)),
            ("localhost:80", Bound::Name("localhost".to_owned()), (80, 80)),
        ] {
            let files = crate::nginx::Files::single("nginx.conf", format!("events {{}} listen {text};"));
            let config = crate::nginx::read(&files).unwrap();
            let directive = config.directives.last().unwrap();
            let listen = Listen::read(directive).unwrap();
            assert_eq!((listen.bound, (listen.first, listen.last)), (bound, ports), "{text}");
        }
    }
}
