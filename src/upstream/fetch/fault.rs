//! Why there is no answer, in words that say whose fault it is and what to do.

use std::error::Error;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use reqwest::Url;
use rustls::CertificateError;

use super::client::Answer;
use crate::upstream::document::{Missed, MissedKind, shown};

/// Most causes of an error that are looked at.
const CAUSES_MAX: usize = 16;

/// Why one attempt gave no document, and whether another may.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) missed: Missed,
    pub(super) again: Again,
}

/// Whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It would be the same.
    Never,
    /// It may pass.
    Soon,
    /// The server says when.
    After(Duration),
}

impl Fault {
    /// What is told after this many attempts.
    pub(super) fn after(self, attempts: usize) -> Missed {
        let Missed { kind, reason, help } = self.missed;
        let reason = if attempts > 1 { format!("{reason} ({attempts} attempts)") } else { reason };
        Missed { kind, reason, help }
    }

    fn again(self, again: Again) -> Self {
        Self { again, ..self }
    }
}

/// A page that gives no answer to be trusted, now and in a minute.
pub(super) fn unreachable(reason: String, help: &str) -> Fault {
    let missed = Missed { kind: MissedKind::Unreachable, reason, help: help.to_owned() };
    Fault { missed, again: Again::Never }
}

/// A page that is not what callgate reads.
pub(super) fn unreadable(reason: String) -> Fault {
    let help = "open it in a browser: the provider may have put something else there; \
                then correct the page in the policy, or watch another one";
    let missed = Missed { kind: MissedKind::Unreadable, reason, help: help.to_owned() };
    Fault { missed, again: Again::Never }
}

/// The time for this page is over.
pub(super) fn too_slow(url: &Url) -> Fault {
    unreachable(format!("`{url}` was not there in time"), "run it again later, or with a longer `--timeout`")
        .again(Again::Soon)
}

/// An answer that holds a riddle for browsers in place of the page; its status may well be 200.
pub(super) fn of_challenge(answer: &Answer, url: &Url) -> Option<Fault> {
    let (who, status) = (challenge(answer)?, answer.status());
    Some(unreachable(
        format!("`{url}` answers {status} with a riddle for browsers ({who}) in place of the page"),
        "the provider lets no program read the page from here: watch another page of it, such as its documentation's \
         repository, or ask for an exception; `callgate upstream extract FILE` reads a page that a browser saved",
    ))
}

/// An answer that is no page.
pub(super) fn of_status(answer: &Answer, url: &Url, now: Timestamp) -> Fault {
    let status = answer.status();
    match status {
        404 | 410 => gone(url, status),
        401 | 403 | 451 => unreachable(
            format!("`{url}` answers {status}: it is not shown to us"),
            "open it in a browser: where it needs a login, watch another page; where it does not, \
             the provider shuts out programs or this address",
        ),
        407 => unreachable(
            format!("the proxy on the way to `{url}` wants a login"),
            "put it into HTTPS_PROXY: `http://user:password@proxy:port`",
        ),
        408 | 425 | 429 | 500 | 502 | 503 | 504 => {
            let asked = answer.header("retry-after").and_then(|value| retry_after(value, now));
            let when = asked.map_or_else(String::new, |asked| {
                format!(", and asks to come back after {} seconds", asked.as_secs())
            });
            let who = if status == 429 { "too many requests" } else { "a fault of its own" };
            unreachable(format!("`{url}` answers {status}, {who}{when}"), "run it again later")
                .again(asked.map_or(Again::Soon, Again::After))
        }
        _ => unreachable(
            format!("`{url}` answers {status}, where a page was expected"),
            "open it in a browser; where the provider publishes elsewhere now, change `url` of this page in the policy",
        ),
    }
}

fn gone(url: &Url, status: u16) -> Fault {
    let words = if status == 410 { "it is gone for good" } else { "there is no such page" };
    let missed = Missed {
        kind: MissedKind::Moved(None),
        reason: format!("`{url}` answers {status}: {words}"),
        help: "look where the provider publishes its addresses now, and change `url` of this page in the policy; \
               the addresses themselves stay as they are until somebody has read the new page"
            .to_owned(),
    };
    Fault { missed, again: Again::Never }
}

/// Who answers with a riddle in place of the page, by the headers that are made to say so.
fn challenge(answer: &Answer) -> Option<&'static str> {
    // https://developers.cloudflare.com/cloudflare-challenges/challenge-types/challenge-pages/detect-response/
    if answer.header("cf-mitigated").is_some_and(|value| value.eq_ignore_ascii_case("challenge")) {
        return Some("Cloudflare");
    }
    // https://docs.aws.amazon.com/waf/latest/developerguide/waf-captcha-and-challenge-actions.html
    answer.header("x-amzn-waf-action").map(|_| "AWS WAF")
}

/// What `Retry-After` asks for: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let now = u64::try_from(now.as_second()).ok()?;
    Some(Duration::from_secs(at.as_secs().saturating_sub(now)))
}

/// A request without an answer.
pub(super) fn of_error(error: &reqwest::Error, url: &Url) -> Fault {
    let host = host(url);
    let words = chain(error);
    if let Some(fault) =
        causes(error).find_map(|cause| cause.downcast_ref().map(|error| of_tls(error, &host)))
    {
        return fault;
    }
    if let Some((_, why)) = words.split_once("tunnel error") {
        let why = shown(why.trim_start_matches([':', ' ']));
        return unreachable(
            format!("the proxy on the way to `{host}` does not let us through: {why}"),
            "look at HTTPS_PROXY and NO_PROXY in the environment",
        )
        .again(Again::Soon);
    }
    if let Some((_, why)) = words.split_once("failed to lookup address information") {
        let why = shown(why.trim_start_matches([':', ' ']));
        return unreachable(
            format!("`{host}` has no address: {why}"),
            "look whether this machine resolves names (`getent hosts` and the name); a name that is gone for everybody \
             means that the page has moved",
        )
        .again(Again::Soon);
    }
    if error.is_timeout() {
        return too_slow(url);
    }
    causes(error)
        .find_map(|cause| of_io(cause.downcast_ref()?, &host))
        .unwrap_or_else(|| broken(&host, error))
}

/// A body that did not come whole.
pub(super) fn of_body(error: &io::Error, url: &Url) -> Fault {
    let timed_out = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout)
            || cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    };
    if causes(error).any(timed_out) {
        return too_slow(url);
    }
    broken(&host(url), error)
}

/// The connection was there, and what came over it was not whole.
fn broken(host: &str, error: &(dyn Error + 'static)) -> Fault {
    let why = causes(error).last().map_or_else(String::new, |cause| shown(&cause.to_string()));
    unreachable(
        format!("the answer of `{host}` broke off or is damaged: {why}"),
        "run it again; where it stays, something on the way cuts it short, or it is no web server",
    )
    .again(Again::Soon)
}

fn of_io(error: &io::Error, host: &str) -> Option<Fault> {
    use io::ErrorKind as Kind;
    let (words, help) = match error.kind() {
        Kind::ConnectionRefused => (
            format!("`{host}` refuses the connection"),
            "the provider's server, or the proxy, is down, or a firewall answers in its place: run it again later",
        ),
        Kind::NetworkUnreachable | Kind::HostUnreachable | Kind::NetworkDown => (
            format!("there is no way to `{host}` from here: {error}"),
            "look at this machine's network; behind a proxy, set HTTPS_PROXY",
        ),
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => (
            format!("`{host}` ended the connection early"),
            "run it again; where it stays, a firewall or proxy on the way may be the one that ends it",
        ),
        Kind::TimedOut => (
            format!("`{host}` does not answer"),
            "run it again later; where only this machine gets no answer, a firewall on the way drops what it sends",
        ),
        _ => return None,
    };
    Some(unreachable(words, help).again(Again::Soon))
}

fn of_tls(error: &rustls::Error, host: &str) -> Fault {
    match error {
        rustls::Error::InvalidCertificate(why) => of_certificate(why, host),
        _ => unreachable(
            format!("no encrypted connection to `{host}` comes about: {}", shown(&error.to_string())),
            "TLS 1.2 or 1.3 is needed; look whether the port is one of https, and whether a proxy on the way breaks it",
        ),
    }
}

fn of_certificate(why: &CertificateError, host: &str) -> Fault {
    let machine = "nothing was read: anybody on the way could have answered";
    let expired = "the provider has to renew it; look at this machine's clock as well (`date`)";
    let (words, help): (String, &str) = match why {
        CertificateError::Expired => ("has expired".to_owned(), expired),
        CertificateError::ExpiredContext { not_after, .. } => {
            (format!("expired at {}", instant(not_after.as_secs())), expired)
        }
        CertificateError::NotValidYet => ("is not valid yet".to_owned(), expired),
        CertificateError::NotValidYetContext { not_before, .. } => {
            (format!("is not valid before {}", instant(not_before.as_secs())), expired)
        }
        CertificateError::NotValidForName => ("is for another name".to_owned(), OTHER_NAME),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<String> = presented.iter().take(5).map(|name| plain_name(name)).collect();
            (format!("is for another name ({})", shown(&names.join(", "))), OTHER_NAME)
        }
        CertificateError::UnknownIssuer => (
            "comes from nobody whom this machine trusts".to_owned(),
            "where a proxy of yours looks into TLS, name its authority with `--ca-file`; else somebody stands between",
        ),
        CertificateError::Revoked => ("was revoked".to_owned(), "the provider has to replace it"),
        other => (
            format!("won't do: {}", shown(&other.to_string())),
            "the provider has to replace it; behind a proxy that looks into TLS, ask whoever runs the proxy",
        ),
    };
    unreachable(format!("the certificate of `{host}` {words}; {machine}"), help)
}

const OTHER_NAME: &str = "open it in a browser: either the page moved to another host, or somebody answers in its place; \
                          a login page of a guest network does so too";

/// `DnsName("example.com")` as rustls has it, or the name itself.
fn plain_name(name: &str) -> String {
    name.split('"').nth(1).unwrap_or(name).to_owned()
}

fn instant(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map_or_else(|| "an instant out of range".to_owned(), |at| at.to_string())
}

/// The host with its port, where that is another than 443.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// An error's words with those of its causes, on one line.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    for cause in causes(error) {
        // Its own words are the address, which is told anyway, and that something went wrong.
        let says_little = cause.is::<reqwest::Error>() && cause.source().is_some();
        let said = cause.to_string();
        if !says_little && words.last() != Some(&said) {
            words.push(said);
        }
    }
    shown(&words.join(": "))
}

/// An error and its causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error)).take(CAUSES_MAX)
}

/// The cause of an error. An `io::Error` hides the one that it was made of.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_when_to_come_back() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let seconds = |value| retry_after(value, now).map(|asked| asked.as_secs());
        assert_eq!(seconds(" 7 "), Some(7));
        assert_eq!(seconds("Sat, 21 Nov 2026 12:01:00 GMT"), Some(60));
        assert_eq!(seconds("Sat, 21 Nov 2026 11:00:00 GMT"), Some(0));
        assert_eq!(seconds("99999999999999999999"), None);
        assert_eq!(seconds("-1"), None);
        assert_eq!(seconds("soon"), None);
    }

    #[test]
    fn causes_within_an_io_error_are_seen() {
        let inner = io::Error::new(io::ErrorKind::ConnectionRefused, "no");
        let outer = io::Error::other(inner);
        let kinds: Vec<io::ErrorKind> =
            causes(&outer).filter_map(|cause| cause.downcast_ref().map(io::Error::kind)).collect();
        assert_eq!(kinds, [io::ErrorKind::Other, io::ErrorKind::ConnectionRefused]);
        assert!(of_io(&outer, "h").is_none());
    }

    #[test]
    fn names_of_certificates_are_plain() {
        assert_eq!(plain_name("DnsName(\"a.example\")"), "a.example");
        assert_eq!(plain_name("a.example"), "a.example");
    }
}
