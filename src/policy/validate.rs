//! From the file as written to a [`Policy`] that nobody has to check again.
//!
//! Pure: texts and the instant come in, faults and the policy go out. Every rule is applied even where an
//! earlier one failed, so that one run tells all.

mod lifecycle;
mod pages;
mod prefixes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use super::raw::{RawEvidence, RawPolicy, RawSource, RawWaiver};
use super::{Digest, Evidence, Hosting, Page, Policy, ProviderId, Role, Source, SourceId, Waiver};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, SourceText};
use crate::instant::{Moment, parse_moment, parse_zone};
use crate::yaml::decode::{At, instead_of};

pub use prefixes::{parse_list, prefix_fault};

/// The format number that this version reads.
pub const SCHEMA: u32 = 1;

/// Prefix lists named by `prefixes_from`, by the path as written.
pub type Lists = HashMap<String, Arc<SourceText>>;

/// Reads the shape of a policy; `None` where nothing can be made of the text.
pub fn parse_raw(text: &Arc<SourceText>, sink: &mut Diagnostics) -> Option<RawPolicy> {
    crate::yaml::read(text, sink)
}

/// Checks a policy as written; `None` where any error remains. Errors that a waiver of the file accepts at
/// `at` are kept as waived diagnostics.
pub fn validate(
    raw: RawPolicy,
    text: &Arc<SourceText>,
    lists: &Lists,
    at: Timestamp,
    sink: &mut Diagnostics,
) -> Option<Policy> {
    let mut found = Diagnostics::new();
    let mut policy = Checker { text, lists, sink: &mut found, zone: TimeZone::UTC }.policy(raw);
    if let Some(policy) = &mut policy {
        apply_waivers(&mut policy.waivers, at, &mut found);
    }
    let refused = found.has_errors();
    // Where the policy is refused nobody else tells why a waiver in it did not help.
    if let Some(policy) = policy.as_ref().filter(|_| refused) {
        policy
            .waivers
            .iter()
            .filter(|waiver| waiver.until.ends() <= at)
            .for_each(|waiver| found.push(expired(waiver, text)));
    }
    sink.append(found);
    policy.filter(|_| !refused && !sink.has_errors())
}

/// Marks what the waivers in force at `at` accept, and the waivers that were of use.
pub fn apply_waivers(waivers: &mut [Waiver], at: Timestamp, found: &mut Diagnostics) {
    for waiver in waivers.iter_mut().filter(|waiver| waiver.until.ends() > at) {
        let reason = format!("until {}: {}", waiver.until, waiver.reason);
        waiver.used |= found.waive(waiver.code, waiver.source.as_deref(), &reason);
    }
}

/// What to say of a waiver past its end.
pub fn expired(waiver: &Waiver, text: &Arc<SourceText>) -> Diagnostic {
    let subject = waiver.source.as_deref().unwrap_or("the whole file");
    let message = format!("waiver of {} for {subject} ended on {}", waiver.code, waiver.until);
    let found = Diagnostic::new(Code::WaiverExpired, message).at(text, waiver.place.clone(), "");
    let found = found.help("look again: mend the cause, or renew the waiver with its reason");
    match &waiver.source {
        Some(source) => found.about(source),
        None => found,
    }
}

/// State of one run over one file.
struct Checker<'a> {
    text: &'a Arc<SourceText>,
    lists: &'a Lists,
    sink: &'a mut Diagnostics,
    zone: TimeZone,
}

impl Checker<'_> {
    fn fault(
        &mut self,
        code: Code,
        place: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.sink.push(Diagnostic::new(code, message).at(self.text, place.clone(), "").help(help));
    }

    fn policy(mut self, raw: RawPolicy) -> Option<Policy> {
        self.check_schema(raw.schema.as_ref());
        self.check_zone(raw.zone.as_ref());
        let provider = raw.provider.as_ref().and_then(|id| self.id(id, ProviderId::new));
        if let Some(revision) = raw.revision.as_ref().filter(|revision| revision.value == 0) {
            self.fault(Code::InvalidValue, &revision.span, "revision 0", "start with `revision: 1`");
        }
        let ports = raw.service.and_then(|service| Some(self.ports(service.ports?, &service.span)));
        let bounds = self.bounds(raw.widest.as_ref());
        let pages = self.pages(raw.pages.map(|pages| pages.0).unwrap_or_default(), bounds);
        let raw_sources = raw.sources.unwrap_or_default();
        let ids = self.source_ids(&raw_sources);
        let mut sources: Vec<Source> =
            raw_sources.into_iter().filter_map(|source| self.source(source, &pages, &ids, bounds)).collect();
        sources.sort_by(|left, right| left.id.cmp(&right.id));
        self.compare_prefixes(&sources);
        let waivers: Vec<Waiver> =
            raw.waivers.into_iter().filter_map(|waiver| self.waiver(waiver, &ids)).collect();
        let mut policy = Policy {
            provider: provider?,
            name: raw.name?.value,
            revision: raw.revision?.value,
            zone: self.zone,
            ports: ports?,
            notes: raw.notes,
            pages,
            sources,
            waivers,
            digest: Digest([0; 32]),
            text: Arc::clone(self.text),
        };
        policy.digest = digest(&policy);
        Some(policy)
    }

    fn check_schema(&mut self, schema: Option<&At<u32>>) {
        if let Some(schema) = schema.filter(|schema| schema.value != SCHEMA) {
            let message = format!("policy format {} is not one this version reads", schema.value);
            self.fault(
                Code::SchemaUnsupported,
                &schema.span,
                message,
                format!("write `schema: {SCHEMA}`, or upgrade callgate"),
            );
        }
    }

    fn check_zone(&mut self, zone: Option<&At<String>>) {
        let Some(zone) = zone else { return };
        match parse_zone(&zone.value) {
            Ok(found) => self.zone = found,
            Err(error) => self.fault(error.code(), &zone.span, error.to_string(), error.help()),
        }
    }

    fn id<T>(&mut self, text: &At<String>, new: fn(&str) -> Option<T>) -> Option<T> {
        let id = new(&text.value);
        if id.is_none() {
            let message = format!("`{}` is not an id", text.value.escape_debug());
            self.fault(
                Code::BadId,
                &text.span,
                message,
                "use lower-case letters, digits and single hyphens, at most 63",
            );
        }
        id
    }

    fn ports(&mut self, ports: Vec<At<u16>>, place: &Range<usize>) -> Vec<u16> {
        if ports.is_empty() {
            self.fault(
                Code::PortOutsideService,
                place,
                "a service without ports",
                "write the ports that the provider calls: `ports: [443]`",
            );
        }
        let mut seen = BTreeSet::new();
        for port in ports {
            if port.value == 0 {
                self.fault(
                    Code::PortOutsideService,
                    &port.span,
                    "port 0 can't be called",
                    "write a port from 1 to 65535",
                );
            } else if !seen.insert(port.value) {
                self.fault(
                    Code::DuplicateId,
                    &port.span,
                    format!("port {} is written twice", port.value),
                    "remove one",
                );
            }
        }
        seen.into_iter().collect()
    }

    fn day(&mut self, text: &At<String>) -> Option<Moment> {
        match parse_moment(&text.value, &self.zone) {
            Ok(moment) => Some(moment),
            Err(error) => {
                self.fault(error.code(), &text.span, error.to_string(), error.help());
                None
            }
        }
    }

    /// Every id of the file, with faults for those written twice.
    fn source_ids(&mut self, sources: &[RawSource]) -> BTreeSet<String> {
        let mut seen: BTreeMap<&str, &Range<usize>> = BTreeMap::new();
        for id in sources.iter().filter_map(|source| source.id.as_ref()) {
            match seen.get(id.value.as_str()) {
                None => drop(seen.insert(&id.value, &id.span)),
                Some(before) => {
                    let twice =
                        Diagnostic::new(Code::DuplicateId, format!("source `{}` is written twice", id.value))
                            .at(self.text, id.span.clone(), "again here")
                            .at(self.text, (*before).clone(), "first here")
                            .help("give each source an id of its own");
                    self.sink.push(twice);
                }
            }
        }
        seen.into_keys().map(str::to_owned).collect()
    }

    fn source(
        &mut self,
        mut raw: RawSource,
        pages: &BTreeMap<String, Page>,
        ids: &BTreeSet<String>,
        bounds: prefixes::Bounds,
    ) -> Option<Source> {
        let written = raw.prefixes.take().unwrap_or_default();
        let id = raw.id.as_ref().and_then(|id| self.id(id, SourceId::new));
        let role = raw.role.as_ref().map_or(Role::Callback, |role| role.value);
        let hosting = raw.hosting.as_ref().map_or(Hosting::Dedicated, |hosting| hosting.value);
        let subject = raw.id.as_ref().map_or("", |id| id.value.as_str());
        let prefixes = self.prefixes(written, &raw, subject, (hosting, bounds));
        let environments = self.environments(&raw, subject);
        let place = raw.id.as_ref().map_or(raw.span.start..raw.span.start, |id| id.span.clone());
        if raw.evidence.is_empty() {
            let missing = Diagnostic::new(Code::NoEvidence, format!("source `{subject}` has no evidence"));
            let help = "add `evidence:` with the page, the day it was read and the provider's words";
            self.sink.push(missing.at(self.text, place.clone(), "").help(help).about(subject));
        }
        let evidence = raw.evidence.into_iter().filter_map(|item| self.evidence(item, pages)).collect();
        let replaced_by = raw.replaced_by.and_then(|other| self.reference(&other, ids, subject));
        Some(Source {
            id: id?,
            prefixes,
            label: raw.label,
            role,
            hosting,
            environments,
            evidence,
            replaced_by,
            notes: raw.notes,
            place,
        })
    }

    fn reference(&mut self, other: &At<String>, ids: &BTreeSet<String>, own: &str) -> Option<SourceId> {
        if other.value == own {
            self.fault(
                Code::UnknownSource,
                &other.span,
                format!("source `{own}` can't replace itself"),
                "name another source",
            );
            return None;
        }
        if !ids.contains(&other.value) {
            self.unknown(Code::UnknownSource, "source", other, ids.iter().map(String::as_str));
            return None;
        }
        SourceId::new(&other.value)
    }

    fn unknown<'k>(
        &mut self,
        code: Code,
        what: &str,
        found: &At<String>,
        known: impl ExactSizeIterator<Item = &'k str>,
    ) {
        let help = instead_of(&found.value, known, "this file has");
        let message = format!("{what} `{}` is not in this file", found.value.escape_debug());
        self.fault(code, &found.span, message, help);
    }

    fn evidence(&mut self, raw: RawEvidence, pages: &BTreeMap<String, Page>) -> Option<Evidence> {
        let read = raw.read.as_ref().and_then(|read| self.day(read));
        let page = raw.page?;
        if !pages.contains_key(&page.value) {
            self.unknown(Code::UnknownPage, "page", &page, pages.keys().map(String::as_str));
            return None;
        }
        if let Some(digest) = raw.digest.as_ref().filter(|digest| !is_digest(&digest.value)) {
            let message = format!("`{}` is no digest", digest.value.escape_debug());
            let help =
                "write `sha256:` and the 64 hexadecimal digits, in lower case, of the page as it was read";
            self.fault(Code::InvalidValue, &digest.span, message, help);
        }
        let (section, says, version, note) = (raw.section, raw.says, raw.version, raw.note);
        let digest = raw.digest.map(|digest| digest.value);
        Some(Evidence { page: page.value, section, says, read: read?, version, digest, note })
    }

    fn waiver(&mut self, raw: RawWaiver, ids: &BTreeSet<String>) -> Option<Waiver> {
        let until = raw.until.as_ref().and_then(|until| self.day(until));
        if let Some(source) = raw.source.as_ref().filter(|source| !ids.contains(&source.value)) {
            self.unknown(Code::UnknownSource, "source", source, ids.iter().map(String::as_str));
        }
        let code = raw.code.as_ref()?;
        let found =
            Code::ALL.iter().copied().find(|known| known.as_str() == code.value && known.is_waivable());
        if found.is_none() {
            let known: Vec<_> =
                Code::ALL.iter().filter(|code| code.is_waivable()).map(|code| code.as_str()).collect();
            let message = format!("`{}` is no finding that can be waived", code.value.escape_debug());
            self.fault(Code::InvalidValue, &code.span, message, format!("one of: {}", known.join(", ")));
        }
        let source = raw.source.map(|source| source.value);
        Some(Waiver {
            code: found?,
            source,
            reason: raw.reason?,
            until: until?,
            used: false,
            place: raw.span,
        })
    }
}

/// Whether a text is `sha256:` and 64 hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Hashes what decides which addresses are admitted when, in an order of its own.
fn digest(policy: &Policy) -> Digest {
    use std::fmt::Write as _;
    let mut hash = Sha256::new();
    let mut line = format!("callgate policy {SCHEMA}\n{}\n{:?}\n", policy.provider, policy.ports);
    for source in &policy.sources {
        // Writing into a String can't fail.
        let _ = writeln!(line, "{} {} {} {:?}", source.id, source.role, source.hosting, source.replaced_by);
        for (environment, lifecycle) in &source.environments {
            let _ = writeln!(line, "{environment}{}", lifecycle::canonical(lifecycle));
        }
        hash.update(&line);
        line.clear();
        prefixes::feed(&source.prefixes, &mut hash);
    }
    hash.update(&line);
    Digest(hash.finalize().into())
}
