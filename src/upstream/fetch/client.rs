//! One request and its answer, bounded in time and size.

use std::io::Read as _;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use reqwest::blocking::{self, Response};
use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE, CACHE_CONTROL, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use reqwest::{Certificate, Url, redirect};

use super::fault::{self, Fault};
use crate::policy::PageKind;
use crate::upstream::document::{BYTES_MAX, Missed, MissedKind, shown};

/// Longest that a connection may take to be there.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Longest that one request may take.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// How much of a body is read at once.
const PIECE_BYTES: usize = 16 << 10;

/// Talks to servers over TLS.
#[derive(Debug)]
pub(super) struct Client {
    /// Never dropped: that would wait for its threads, and one may hang in a lookup of a name.
    inner: ManuallyDrop<blocking::Client>,
}

/// What is held already, so that it need not be sent again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition<'a> {
    pub(super) etag: &'a Option<String>,
    pub(super) last_modified: &'a Option<String>,
}

/// An answer whose body is not read yet.
#[derive(Debug)]
pub(super) struct Answer {
    response: Response,
}

impl Client {
    /// Trusts the platform's authorities, and those of a PEM file. The environment says which proxy to use.
    pub(super) fn new(authorities: Option<&[u8]>) -> Result<Self, Missed> {
        // A second one would be refused, and is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = blocking::Client::builder()
            .https_only(true)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIME)
            .timeout(REQUEST_TIME)
            .user_agent(user_agent());
        let more = authorities.map_or(Ok(Vec::new()), certificates);
        let built = more.and_then(|more| builder.tls_certs_merge(more).build().map_err(|e| fault::chain(&e)));
        built.map(|client| Self { inner: ManuallyDrop::new(client) }).map_err(|why| Missed {
            kind: MissedKind::Unreachable,
            reason: format!("nothing can be fetched from here: {why}"),
            help: "install the certificates of the authorities that this machine trusts (package `ca-certificates`), \
                   or name a PEM file with `--ca-file`"
                .to_owned(),
        })
    }

    /// Asks for a page; redirects are not followed.
    pub(super) fn get(
        &self,
        url: &Url,
        kind: PageKind,
        condition: Option<Condition<'_>>,
        deadline: Instant,
    ) -> Result<Answer, Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(fault::too_slow(url));
        }
        let mut request = self
            .inner
            .get(url.clone())
            .timeout(left.min(REQUEST_TIME))
            .header(ACCEPT, accepted(kind))
            .header(ACCEPT_LANGUAGE, "en, *;q=0.5")
            // What a cache on the way holds may be older than what the provider says now.
            .header(CACHE_CONTROL, "no-cache");
        if let Some(Condition { etag, last_modified }) = condition {
            let conditions = [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, last_modified)];
            for (name, value) in conditions {
                request = value.iter().fold(request, |request, value| request.header(name.clone(), value));
            }
        }
        let response = request.send().map_err(|error| fault::of_error(&error, url))?;
        Ok(Answer { response })
    }
}

/// The certificates of a PEM file; what is wrong with it otherwise.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    match Certificate::from_pem_bundle(pem) {
        Ok(found) if found.is_empty() => {
            Err("it holds no certificate (`-----BEGIN CERTIFICATE-----`)".to_owned())
        }
        Ok(found) => Ok(found),
        Err(error) => Err(fault::chain(&error)),
    }
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header, where it is plain text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok().filter(|value| !value.is_empty())
    }

    /// The whole body, decompressed: counted while it comes, so that neither an endless one nor one that is a few bytes before
    /// decompression takes more memory than the bound.
    pub(super) fn body(mut self, url: &Url, deadline: Instant) -> Result<Vec<u8>, Fault> {
        // What the client decompresses is no longer named.
        if let Some(coding) = self.header("content-encoding").filter(|coding| *coding != "identity") {
            let reason = format!("`{url}` is compressed as `{}`, which was not asked for", shown(coding));
            return Err(fault::unreadable(reason));
        }
        let too_large = || fault::unreadable(format!("`{url}` is larger than {} MiB", BYTES_MAX >> 20));
        if self.response.content_length().is_some_and(|length| length > BYTES_MAX) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            if Instant::now() >= deadline {
                return Err(fault::too_slow(url));
            }
            let read = self.response.read(&mut piece).map_err(|error| fault::of_body(&error, url))?;
            if read == 0 {
                return Ok(body);
            }
            body.extend_from_slice(piece.get(..read).unwrap_or_default());
            if body.len() as u64 > BYTES_MAX {
                return Err(too_large());
            }
        }
    }
}

/// Who asks: providers may look us up, and may shut us out.
fn user_agent() -> String {
    let name = concat!("callgate/", env!("CARGO_PKG_VERSION"));
    match env!("CARGO_PKG_REPOSITORY") {
        "" => name.to_owned(),
        repository => format!("{name} (+{repository})"),
    }
}

fn accepted(kind: PageKind) -> &'static str {
    match kind {
        PageKind::Html => "text/html, application/xhtml+xml;q=0.9, */*;q=0.1",
        PageKind::Markdown => "text/markdown, text/plain;q=0.9, */*;q=0.1",
        PageKind::Json => "application/json, */*;q=0.1",
        PageKind::Csv => "text/csv, text/plain;q=0.9, */*;q=0.1",
        PageKind::Text | PageKind::Dns => "text/plain, */*;q=0.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(certificates(b"").unwrap_err().contains("holds no certificate"));
        assert!(certificates(b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").is_err());
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(Client::new(Some(broken)).is_err());
    }

    #[test]
    fn we_say_who_we_are() {
        assert!(user_agent().starts_with("callgate/"));
    }
}
