//! Prefixes: strictly read, global, no wider than allowed, each said once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::Checker;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, SourceText};
use crate::policy::raw::{RawPrefixes, RawSource, RawWidest};
use crate::policy::{Hosting, Lifecycle, Role, Source};
use crate::prefix::list;
use crate::prefix::{Family, Prefix, PrefixError, Space, special_space};
use crate::yaml::decode::At;

/// How often the same two sources are held against each other.
const TOLD_MAX: usize = 20;

/// Shortest lengths allowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) v4: u8,
    pub(super) v6: u8,
}

/// Reads a prefix list: one prefix a line, `#` starts a comment. Faults carry their line; `judge` sees every
/// prefix with its place.
pub fn parse_list(
    text: &Arc<SourceText>,
    sink: &mut Diagnostics,
    mut judge: impl FnMut(Prefix, Range<usize>, &mut Diagnostics),
) -> Vec<Prefix> {
    // No plain line is shorter: room that is not used costs nothing.
    let mut prefixes = Vec::with_capacity(text.text.len() / "1.1.1.1\n".len());
    let mut start = 0;
    while let Some(rest) = text.text.get(start..).filter(|rest| !rest.is_empty()) {
        if let Some((prefix, next)) = list::plain_line(text.text.as_bytes(), start) {
            judge(prefix, start..next - 1, sink);
            prefixes.push(prefix);
            start = next;
            continue;
        }
        let line = rest.split_inclusive('\n').next().unwrap_or(rest);
        let end = line.bytes().position(|byte| byte == b'#').unwrap_or(line.len());
        let entry = line.get(..end).unwrap_or_default();
        let trimmed = entry.trim();
        if !trimmed.is_empty() {
            let lead = entry.len() - entry.trim_start().len();
            let span = start + lead..start + lead + trimmed.len();
            match trimmed.parse::<Prefix>() {
                Ok(prefix) => {
                    judge(prefix, span, sink);
                    prefixes.push(prefix);
                }
                Err(error) => sink.push(prefix_fault(&error).at(text, span, "")),
            }
        }
        start += line.len();
    }
    prefixes
}

/// The code and mend of a text that is no prefix.
pub fn prefix_fault(error: &PrefixError) -> Diagnostic {
    let (code, help) = match error {
        PrefixError::HostBits { meant, address, .. } if meant.length() < 8 => {
            (Code::HostBits, format!("check for a lost digit in the length; the one address is `{}`", address.short()))
        }
        PrefixError::HostBits { meant, address, .. } => {
            (Code::HostBits, format!("write `{meant}` for the network or `{}` for the one address", address.short()))
        }
        PrefixError::LeadingZeros { decimal: Some(decimal), .. } => (
            Code::LeadingZeros,
            format!("write `{}` if decimal was meant: some tools read a leading zero as octal", decimal.short()),
        ),
        PrefixError::LeadingZeros { decimal: None, .. } => {
            (Code::LeadingZeros, "write decimal numbers without leading zeros, and no host bits".to_owned())
        }
        PrefixError::V4Mapped { meant: Some(meant), .. } => (Code::V4Mapped, format!("write `{}`", meant.short())),
        PrefixError::V4Mapped { meant: None, .. } => (Code::V4Mapped, "write the IPv4 prefix itself".to_owned()),
        PrefixError::HostName(_) => (
            Code::HostName,
            "rules hold addresses: a name would be resolved once, at a time and by a resolver nobody reviewed".to_owned(),
        ),
        PrefixError::LengthTooLong { bits_max, .. } => (Code::NotAPrefix, format!("a length is at most {bits_max}")),
        PrefixError::OtherNotation(_) => {
            (Code::NotAPrefix, "write prefixes in CIDR notation, or every address by itself".to_owned())
        }
        PrefixError::Unreadable(_) => {
            (Code::NotAPrefix, "write `192.121.110.100`, `20.91.170.120/29` or the same for IPv6".to_owned())
        }
    };
    let message = error.to_string();
    let shown: String = message.chars().take(200).flat_map(shown_char).collect();
    Diagnostic::new(code, shown).help(help)
}

/// Control characters are named, everything else stays readable.
fn shown_char(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

impl Checker<'_> {
    pub(super) fn bounds(&mut self, raw: Option<&RawWidest>) -> Bounds {
        let mut bounds = Bounds { v4: 16, v6: 32 };
        let Some(raw) = raw else { return bounds };
        for (given, bound, lowest, highest) in
            [(&raw.v4, &mut bounds.v4, 8u8, 32u8), (&raw.v6, &mut bounds.v6, 16, 128)]
        {
            let Some(given) = given else { continue };
            match u8::try_from(given.value) {
                Ok(length) if (lowest..=highest).contains(&length) => *bound = length,
                _ => {
                    let message = format!("bound /{} is not between /{lowest} and /{highest}", given.value);
                    self.fault(
                        Code::InvalidValue,
                        &given.span,
                        message,
                        "name the widest prefix that any source may hold",
                    );
                }
            }
        }
        bounds
    }

    /// The prefixes of one source, ascending.
    pub(super) fn prefixes(
        &mut self,
        written: RawPrefixes,
        raw: &RawSource,
        subject: &str,
        (hosting, bounds): (Hosting, Bounds),
    ) -> Vec<Prefix> {
        for (place, prefix) in written.each() {
            let fault = match prefix {
                Ok(prefix) => judge(prefix, hosting, bounds),
                Err(error) => Some(prefix_fault(error)),
            };
            if let Some(fault) = fault {
                self.sink.push(fault.at(self.text, place, "").about(subject));
            }
        }
        let mut listed = match &raw.prefixes_from {
            Some(path) => self.listed(path, subject, hosting, bounds),
            None => Vec::new(),
        };
        if written.is_empty() && raw.prefixes_from.is_none() {
            let place = raw.id.as_ref().map_or(&raw.span, |id| &id.span);
            let empty = Diagnostic::new(Code::EmptySource, format!("source `{subject}` has no prefix"));
            let help = "write `prefixes: […]` or `prefixes_from: FILE`";
            self.sink.push(empty.at(self.text, place.clone(), "").help(help).about(subject));
        }
        // Mostly all is in order already.
        if listed.is_empty() && is_ascending(&written.read) {
            return written.read;
        }
        listed.extend(&written.read);
        if !is_ascending(&listed) {
            listed.sort_unstable();
        }
        if !is_ascending(&listed) {
            self.report_twice(&written, raw, subject);
            listed.dedup();
        }
        listed
    }

    fn listed(&mut self, path: &At<String>, subject: &str, hosting: Hosting, bounds: Bounds) -> Vec<Prefix> {
        let Some(list) = self.lists.get(&path.value) else { return Vec::new() };
        let mut faults = Diagnostics::new();
        let found = parse_list(list, &mut faults, |prefix, span, sink| {
            if let Some(fault) = judge(&prefix, hosting, bounds) {
                sink.push(fault.at(list, span, "").about(subject));
            }
        });
        let empty = found.is_empty() && faults.is_empty();
        self.sink.append(faults);
        if empty {
            let message = format!("list `{}` has no prefix", path.value.escape_debug());
            let help = "one prefix a line; an empty list is never what a provider publishes";
            self.fault(Code::EmptySource, &path.span, message, help);
        }
        found
    }

    /// Reports each place at which a prefix is written again.
    fn report_twice(&mut self, written: &RawPrefixes, raw: &RawSource, subject: &str) {
        let written = written.placed().map(|(place, prefix)| (*prefix, self.text, place));
        let list = raw.prefixes_from.as_ref().and_then(|path| self.lists.get(&path.value));
        let listed = list.into_iter().flat_map(|list| {
            let mut places = Vec::new();
            parse_list(list, &mut Diagnostics::new(), |prefix, span, _| places.push((prefix, list, span)));
            places
        });
        let mut first: HashMap<Prefix, (&Arc<SourceText>, Range<usize>)> = HashMap::new();
        for (prefix, text, span) in written.chain(listed) {
            let Some((other, before)) = first.get(&prefix) else {
                first.insert(prefix, (text, span));
                continue;
            };
            let twice = Diagnostic::new(
                Code::DuplicatePrefix,
                format!("`{}` is in source `{subject}` twice", prefix.short()),
            );
            let twice = twice.at(text, span, "again here").at(other, before.clone(), "first here");
            self.sink.push(twice.help("remove one").about(subject));
        }
    }

    /// Reports prefixes that several sources hold at the same time, or that lie inside each other.
    pub(super) fn compare_prefixes(&mut self, sources: &[Source]) {
        // One source is sorted already: what lies inside another prefix comes right after it.
        if let [Source { prefixes, .. }] = sources
            && prefixes.array_windows().all(|[wider, prefix]| !wider.covers(prefix))
        {
            return;
        }
        let mut all: Vec<(Prefix, &Source)> = sources
            .iter()
            .flat_map(|source| source.prefixes.iter().map(move |prefix| (*prefix, source)))
            .collect();
        all.sort_by(|left, right| left.0.cmp(&right.0).then_with(|| left.1.id.cmp(&right.1.id)));
        let mut covering: Vec<(Prefix, &Source)> = Vec::new();
        let mut told: HashMap<(&str, &str), usize> = HashMap::new();
        for (prefix, source) in all {
            while covering.last().is_some_and(|(wider, _)| !wider.covers(&prefix)) {
                covering.pop();
            }
            let wider = covering.iter().rev().take(8);
            let compared = wider.map(|(wide, other)| (compare((wide, other), (&prefix, source)), other));
            for (fault, other) in compared.filter_map(|(fault, other)| Some((fault?, other))) {
                let told = told.entry((other.id.as_str(), source.id.as_str())).or_insert(0);
                *told += 1;
                // A source that holds both is one place.
                let second = Some(&other.place).filter(|place| **place != source.place);
                let fault = fault.at(self.text, source.place.clone(), "").about(source.id.as_str());
                let fault =
                    second.into_iter().fold(fault, |fault, place| fault.at(self.text, place.clone(), ""));
                self.sink.extend(Some(fault).filter(|_| *told <= TOLD_MAX));
            }
            covering.push((prefix, source));
        }
    }
}

/// Whether each comes after the one before it.
fn is_ascending(prefixes: &[Prefix]) -> bool {
    prefixes.is_sorted_by(|one, next| one < next)
}

/// What is wrong with a prefix by itself.
#[inline]
fn judge(prefix: &Prefix, hosting: Hosting, bounds: Bounds) -> Option<Diagnostic> {
    let shown = || prefix.short();
    if prefix.length() == 0 {
        let everything =
            Diagnostic::new(Code::Everything, format!("`{}` is every {} address", shown(), prefix.family()));
        return Some(everything.help("an allowlist of everybody is none; nothing lifts this"));
    }
    let bound = match prefix.family() {
        Family::V4 => bounds.v4,
        Family::V6 => bounds.v6,
    };
    if prefix.length() < bound {
        let wide = Diagnostic::new(Code::TooWide, format!("`{}` is wider than /{bound}", shown()));
        let help =
            "check for a lost digit; where the provider really publishes it, raise the bound with `widest:`";
        return Some(wide.help(help));
    }
    if let Some((block, space)) = special_space(prefix) {
        return Some(special_fault(prefix, &block, space));
    }
    if hosting == Hosting::Shared && !prefix.is_single() {
        let wide = Diagnostic::new(Code::SharedTooWide, format!("`{}` is a piece of a shared pool", shown()));
        return Some(wide.help("other tenants call from the same pool: list single addresses"));
    }
    None
}

fn special_fault(prefix: &Prefix, block: &Prefix, space: Space) -> Diagnostic {
    let (code, what) = match space {
        Space::Unspecified => (Code::UnspecifiedAddress, "the unspecified address"),
        Space::Private => (Code::PrivateAddress, "private"),
        Space::Loopback => (Code::LoopbackAddress, "loopback"),
        Space::LinkLocal => (Code::LinkLocalAddress, "link-local"),
        Space::Multicast => (Code::MulticastAddress, "multicast"),
        Space::Documentation => (Code::DocumentationAddress, "for documentation and benchmarks"),
        Space::Reserved => (Code::ReservedAddress, "reserved"),
    };
    let message = if block == prefix {
        format!("`{}` is {what}", prefix.short())
    } else if block.covers(prefix) {
        format!("`{}` is {what} ({block})", prefix.short())
    } else {
        format!("`{}` reaches into {block}, which is {what}", prefix.short())
    };
    Diagnostic::new(code, message).help("no provider calls from there: read the page again")
}

/// What is wrong with a prefix inside another, or equal to it.
fn compare(wider: (&Prefix, &Source), narrower: (&Prefix, &Source)) -> Option<Diagnostic> {
    let ((wide, outer), (narrow, inner)) = (wider, narrower);
    if !hold_together(outer, inner) {
        return None;
    }
    if wide == narrow {
        let twice = format!("`{}` is in `{}` and in `{}`", narrow.short(), outer.id, inner.id);
        return Some(if outer.role == inner.role {
            Diagnostic::new(Code::DuplicatePrefix, twice)
                .help("keep it in one source; the other keeps its history as a tombstone")
        } else {
            let roles = format!("{twice}, once as {} and once as {}", outer.role, inner.role);
            Diagnostic::new(Code::Contradiction, roles)
                .help("decide which it is; a lifecycle that ends before the other starts is fine")
        });
    }
    // An owner's network is there to cover the owner's other sources; what it does to a site that admits it
    // is said when a site does.
    if outer.role == Role::OwnerNetwork && inner.role != Role::OwnerNetwork {
        return None;
    }
    let message = format!("`{}` of `{}` lies inside `{wide}` of `{}`", narrow.short(), inner.id, outer.id);
    Some(
        Diagnostic::new(Code::Overlap, message)
            .help("the wider one admits it whatever the narrower one's state is"),
    )
}

/// Whether two sources are the provider's word in one environment at one time.
fn hold_together(left: &Source, right: &Source) -> bool {
    left.environments.iter().any(|(environment, ours)| {
        right.environments.get(environment).is_some_and(|theirs| overlap_in_time(ours, theirs))
    })
}

fn overlap_in_time(left: &Lifecycle, right: &Lifecycle) -> bool {
    let start = |lifecycle: &Lifecycle| {
        lifecycle.announced.as_ref().or(lifecycle.valid_from.as_ref()).map(|dated| dated.moment.starts())
    };
    let end = |lifecycle: &Lifecycle| {
        let withdrawn = lifecycle.withdrawn.as_ref().map(|dated| &dated.moment);
        lifecycle.valid_until.moment().or(withdrawn).map(crate::instant::Moment::ends)
    };
    let before = |end: Option<jiff::Timestamp>, start: Option<jiff::Timestamp>| {
        end.zip(start).is_some_and(|(end, start)| end <= start)
    };
    !before(end(left), start(right)) && !before(end(right), start(left))
}

/// How many prefixes are hashed at a time.
const HASHED_TOGETHER: usize = 512;

/// Feeds prefixes to the digest: of each its length, then the octets of its address.
pub(super) fn feed(prefixes: &[Prefix], hash: &mut Sha256) {
    let mut bytes = Vec::new();
    for some in prefixes.chunks(HASHED_TOGETHER) {
        for prefix in some {
            match prefix.first() {
                IpAddr::V4(v4) => {
                    let [a, b, c, d] = v4.octets();
                    bytes.extend([prefix.length(), a, b, c, d]);
                }
                IpAddr::V6(v6) => {
                    bytes.push(prefix.length());
                    bytes.extend(v6.octets());
                }
            }
        }
        hash.update(&bytes);
        bytes.clear();
    }
}
