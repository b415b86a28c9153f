//! Fetching a page: the one place of `upstream` that reaches the outside.
//!
//! Only https, only the host and port that the policy names, and bounded in time, size and redirects. What is not received whole
//! is not received. A fault that may pass is tried again; one that says whom we talk to, such as a certificate, never is.
//! Nothing is set up before the first request: no other command pays for it.

pub mod cache;
mod client;
mod fault;
pub mod names;
pub mod queue;
pub mod saved;

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::Url;

use super::document::{Document, Missed, MissedKind, shown};
use crate::policy::{Page, PageKind};
use cache::Cache;
use client::{Answer, Client, Condition};
use fault::{Again, Fault, unreachable};

/// Most redirects within the page's host.
const REDIRECTS_MAX: usize = 5;
/// Longest address that is followed.
const URL_BYTES_MAX: usize = 2048;
/// Most requests for one page, redirects aside.
const ATTEMPTS_MAX: usize = 3;
/// How long to wait before the second and the third attempt, where the server does not say.
const PAUSES: [Duration; ATTEMPTS_MAX - 1] = [Duration::from_secs(1), Duration::from_secs(4)];
/// Longest wait that a server may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How pages are fetched.
#[derive(Debug)]
pub struct Settings {
    /// Longest that one page may take, with all attempts.
    pub time: Duration,
    /// Certificates, as PEM, of authorities that are trusted besides the platform's.
    pub authorities: Option<Vec<u8>>,
    /// What earlier runs read.
    pub cache: Option<Cache>,
    /// The clock: documents say when they were read.
    pub clock: fn() -> Timestamp,
}

/// Fetches pages.
#[derive(Debug)]
pub struct Fetcher {
    settings: Settings,
    client: OnceLock<Result<Client, Missed>>,
}

impl Fetcher {
    /// Sets nothing up yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, client: OnceLock::new() }
    }

    /// Fetches a page, or asks whether it is still what the cache holds.
    pub fn fetch(&self, page: &Page) -> Result<Document, Missed> {
        match (page.kind, &self.settings.cache) {
            (PageKind::Dns, _) => self.resolve(page),
            (_, Some(cache)) => {
                let held = cache.get(&page.url);
                let document = self.get(page, held.as_ref())?;
                cache.put(&document);
                Ok(document)
            }
            (_, None) => self.get(page, None),
        }
    }

    /// Fetches a page whatever the cache holds: for a second reading that owes the first nothing.
    pub fn fetch_anew(&self, page: &Page) -> Result<Document, Missed> {
        match page.kind {
            PageKind::Dns => self.resolve(page),
            PageKind::Html | PageKind::Markdown | PageKind::Text | PageKind::Json | PageKind::Csv => {
                self.get(page, None)
            }
        }
    }

    fn resolve(&self, page: &Page) -> Result<Document, Missed> {
        names::resolve(&page.names, (self.settings.clock)(), self.settings.time)
    }

    fn get(&self, page: &Page, held: Option<&Document>) -> Result<Document, Missed> {
        let address = address(&page.url)?;
        let client = self.client.get_or_init(|| Client::new(self.settings.authorities.as_deref()));
        let client = client.as_ref().map_err(Clone::clone)?;
        let begun = Instant::now();
        let request = Request {
            page,
            address,
            held,
            client,
            deadline: begun + self.settings.time,
            clock: self.settings.clock,
        };
        let mut pauses = PAUSES.iter();
        let mut attempts = 1;
        loop {
            let fault = match request.attempt() {
                Ok(document) => return Ok(document),
                Err(fault) => fault,
            };
            let pause = match (fault.again, pauses.next()) {
                (Again::Never, _) | (_, None) => None,
                (Again::Soon, Some(pause)) => Some(*pause),
                (Again::After(asked), Some(_)) => Some(asked),
            };
            let left = request.deadline.saturating_duration_since(Instant::now());
            let Some(pause) = pause.filter(|pause| *pause < left.min(PAUSE_MAX + Duration::from_millis(1)))
            else {
                return Err(fault.after(attempts));
            };
            thread::sleep(pause);
            attempts += 1;
        }
    }
}

/// What is wrong with a PEM file of authorities.
pub fn check_authorities(pem: &[u8]) -> Result<(), String> {
    client::certificates(pem).map(drop)
}

/// The address of a page; https, and nothing in it that is secret.
fn address(url: &str) -> Result<Url, Missed> {
    let help = "correct `url` of this page in the policy: `https://`, the host, and the path";
    let wrong = |why: String| Missed {
        kind: MissedKind::Unreachable,
        reason: format!("`{}` {why}", shown(url)),
        help: help.to_owned(),
    };
    let address = Url::parse(url).map_err(|error| wrong(format!("is no address: {error}")))?;
    if address.scheme() != "https" || address.host_str().is_none() {
        return Err(wrong("is no address of https".to_owned()));
    }
    if !address.username().is_empty() || address.password().is_some() {
        return Err(wrong("holds a user name or password".to_owned()));
    }
    Ok(address)
}

/// One page that is asked for, with what all attempts share.
struct Request<'a> {
    page: &'a Page,
    address: Url,
    held: Option<&'a Document>,
    client: &'a Client,
    deadline: Instant,
    clock: fn() -> Timestamp,
}

impl Request<'_> {
    /// Follows redirects within the host to a document.
    fn attempt(&self) -> Result<Document, Fault> {
        let mut seen = vec![self.address.clone()];
        loop {
            let at = seen.last().unwrap_or(&self.address);
            let held = self.held.filter(|held| held.found_at == at.as_str());
            let condition =
                held.map(|held| Condition { etag: &held.etag, last_modified: &held.last_modified });
            let answer = self.client.get(at, self.page.kind, condition, self.deadline)?;
            if let Some(fault) = fault::of_challenge(&answer, at) {
                return Err(fault);
            }
            match answer.status() {
                200 => return self.document(answer, at),
                304 => return unchanged(held, at, self.clock),
                301 | 302 | 303 | 307 | 308 => {
                    let to = self.redirect(&answer, at)?;
                    further(&seen, at, &to)?;
                    seen.push(to);
                }
                _ => return Err(fault::of_status(&answer, at, (self.clock)())),
            }
        }
    }

    fn document(&self, answer: Answer, at: &Url) -> Result<Document, Fault> {
        let header = |name: &str| answer.header(name).map(str::to_owned);
        let (content_type, etag) = (header("content-type"), header("etag"));
        let last_modified = header("last-modified");
        let body = answer.body(at, self.deadline)?;
        Ok(Document {
            url: self.page.url.clone(),
            found_at: at.to_string(),
            read_at: (self.clock)(),
            content_type,
            etag,
            last_modified,
            body,
        })
    }

    /// Where a redirect within the host leads.
    fn redirect(&self, answer: &Answer, at: &Url) -> Result<Url, Fault> {
        let status = answer.status();
        let Some(said) = answer.header("location") else {
            let reason = format!("`{at}` answers {status}, a redirect, without saying where to");
            return Err(unreachable(reason, "open the page in a browser, and see where it leads"));
        };
        let moved = |to: &str, why: &str| {
            let to = shown(to);
            Fault {
                missed: Missed {
                    kind: MissedKind::Moved(Some(to.clone())),
                    reason: format!("`{at}` redirects {why}: `{to}`"),
                    help: "open that address; where the provider publishes there now, change `url` of this page in the policy"
                        .to_owned(),
                },
                again: Again::Never,
            }
        };
        let Ok(mut to) = at.join(said) else { return Err(moved(said, "to what is no address")) };
        to.set_fragment(None);
        if to.scheme() != "https" {
            return Err(moved(to.as_str(), "away from https"));
        }
        let place = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
        if place(&to) != place(&self.address) {
            return Err(moved(to.as_str(), "to another host"));
        }
        if !to.username().is_empty() || to.password().is_some() {
            return Err(moved(said, "to an address with a user name"));
        }
        if to.as_str().len() > URL_BYTES_MAX {
            return Err(moved(to.as_str(), "to an address longer than any page's"));
        }
        Ok(to)
    }
}

/// Not changed since the cache was filled.
fn unchanged(held: Option<&Document>, at: &Url, clock: fn() -> Timestamp) -> Result<Document, Fault> {
    match held {
        Some(held) => Ok(Document { read_at: clock(), ..held.clone() }),
        None => Err(unreachable(
            format!("`{at}` answers 304 Not Modified, where nothing was said to be known"),
            "a cache between here and the provider is broken: look at the proxy, or run it from elsewhere",
        )),
    }
}

/// Whether one more redirect is followed.
fn further(seen: &[Url], at: &Url, to: &Url) -> Result<(), Fault> {
    if seen.contains(to) {
        return Err(unreachable(
            format!("`{at}` redirects in a circle, back to `{to}`"),
            "open it in a browser: the page may want cookies or a login; then watch another page of the provider",
        ));
    }
    if seen.len() > REDIRECTS_MAX {
        return Err(unreachable(
            format!("`{at}` is the end of {REDIRECTS_MAX} redirects, and redirects again"),
            "open it in a browser, and put the address at which it ends into `url` of this page in the policy",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_and_hold_no_secret() {
        assert!(address("https://example.com:8443/ips.json").is_ok());
        for url in
            ["http://example.com/", "https://", "example.com", "ftp://example.com/", "https://a:b@c.example/"]
        {
            let missed = address(url).unwrap_err();
            assert_eq!(missed.kind, MissedKind::Unreachable, "{url}");
        }
    }
}
