//! Diagnostics: faults in what people wrote, each with a stable code, a place and a mend.
//!
//! Every reader collects into a [`Diagnostics`] and goes on, so that one run tells all faults.
//! Nothing here prints or knows an exit code; [`crate::report`] shows diagnostics to people and machines.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::plain::shortened;

/// How much a diagnostic weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; never changes an exit status.
    Note,
    /// A finding: the input works, and somebody has to look at it.
    Warning,
    /// The input is refused.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

macro_rules! codes {
    ($(#[doc = $doc:literal] $variant:ident = $text:literal, $severity:ident $(, $waivable:ident)?;)+) => {
        /// The stable names of all diagnostics; each is a heading in `docs/diagnostics.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $doc] $variant,)+ }

        impl Code {
            /// All codes in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The kebab-case name shown to people and machines.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)+ }
            }

            /// What it says, as a sentence.
            pub fn what(self) -> &'static str {
                match self { $(Code::$variant => $doc.trim_ascii(),)+ }
            }

            /// The severity a diagnostic of this code has unless it is waived.
            pub fn severity(self) -> Severity {
                match self { $(Code::$variant => Severity::$severity,)+ }
            }

            /// Whether a policy may waive this code, with a reason and an end date.
            pub fn is_waivable(self) -> bool {
                match self { $(Code::$variant => codes!(@waivable $($waivable)?),)+ }
            }
        }
    };
    (@waivable waivable) => { true };
    (@waivable) => { false };
}

codes! {
    /// A file could not be read at all.
    FileUnreadable = "file-unreadable", Error;
    /// A file is larger than callgate reads.
    FileTooLarge = "file-too-large", Error;
    /// A file is not UTF-8 text.
    NotUtf8 = "not-utf8", Error;
    /// The text is not YAML.
    YamlSyntax = "yaml-syntax", Error;
    /// More nodes or levels than a policy can need.
    YamlTooLarge = "yaml-too-large", Error;
    /// An anchor, alias, merge key or tag.
    YamlIndirection = "yaml-indirection", Error;
    /// More than one document, or none.
    YamlDocuments = "yaml-documents", Error;
    /// A value has the wrong shape.
    WrongType = "wrong-type", Error;
    /// A key that this place does not know.
    UnknownKey = "unknown-key", Error;
    /// A key written twice.
    RepeatedKey = "repeated-key", Error;
    /// A key that must be there is not.
    MissingKey = "missing-key", Error;
    /// A value outside what the key allows.
    InvalidValue = "invalid-value", Error;
    /// A format number this version does not read.
    SchemaUnsupported = "schema-unsupported", Error;
    /// An identifier that is not lower-case kebab-case.
    BadId = "bad-id", Error;
    /// An identifier used twice.
    DuplicateId = "duplicate-id", Error;
    /// A file name that differs from the provider in it.
    FileNameMismatch = "file-name-mismatch", Warning, waivable;
    /// Text that is no prefix at all.
    NotAPrefix = "not-a-prefix", Error;
    /// Bits set to the right of the prefix length.
    HostBits = "host-bits", Error;
    /// A decimal number with a leading zero.
    LeadingZeros = "leading-zeros", Error;
    /// An IPv4 address in IPv6 clothes.
    V4Mapped = "v4-mapped", Error;
    /// A host name where an address belongs.
    HostName = "host-name", Error;
    /// The whole address space.
    Everything = "everything", Error;
    /// The unspecified address.
    UnspecifiedAddress = "unspecified-address", Error;
    /// Private address space.
    PrivateAddress = "private-address", Error, waivable;
    /// Loopback address space.
    LoopbackAddress = "loopback-address", Error;
    /// Link-local address space.
    LinkLocalAddress = "link-local-address", Error;
    /// Multicast address space.
    MulticastAddress = "multicast-address", Error;
    /// Address space kept for documentation and benchmarks.
    DocumentationAddress = "documentation-address", Error, waivable;
    /// Reserved address space.
    ReservedAddress = "reserved-address", Error;
    /// A shared source wider than a single address.
    SharedTooWide = "shared-too-wide", Error;
    /// A source of which nobody knows whose address space it is.
    HostingUnknown = "hosting-unknown", Note;
    /// A prefix wider than the bound.
    TooWide = "too-wide", Error;
    /// A source without a prefix.
    EmptySource = "empty-source", Error;
    /// The same prefix twice.
    DuplicatePrefix = "duplicate-prefix", Error;
    /// The same prefix in sources that say different things of it.
    Contradiction = "contradiction", Error;
    /// A prefix inside another one.
    Overlap = "overlap", Warning, waivable;
    /// Text that is no instant.
    BadInstant = "bad-instant", Error;
    /// A zone that is no fixed place.
    BadZone = "bad-zone", Error;
    /// Lifecycle instants in an impossible order.
    InstantsOutOfOrder = "instants-out-of-order", Error;
    /// A grace period with neither an end nor a review.
    GraceWithoutEnd = "grace-without-end", Error;
    /// An unknown end without a day to look again.
    MissingReview = "missing-review", Error;
    /// A source without evidence.
    NoEvidence = "no-evidence", Error;
    /// A page that the policy does not define.
    UnknownPage = "unknown-page", Error;
    /// A source that the policy does not define.
    UnknownSource = "unknown-source", Error;
    /// A port that is none, or not the provider's.
    PortOutsideService = "port-outside-service", Error;
    /// A day to look again that has passed.
    ReviewOverdue = "review-overdue", Warning, waivable;
    /// A merchant's deadline that has passed.
    DeadlinePassed = "deadline-passed", Warning, waivable;
    /// Something falls due within the time asked for.
    DueSoon = "due-soon", Warning, waivable;
    /// A waiver past its end.
    WaiverExpired = "waiver-expired", Warning;
    /// A waiver that waives nothing.
    WaiverUnused = "waiver-unused", Note;
    /// A changed policy with the same revision.
    RevisionNotRaised = "revision-not-raised", Error;
    /// A source or prefix removed instead of made a tombstone.
    SourceDeleted = "source-deleted", Error;
    /// A policy file removed.
    PolicyDeleted = "policy-deleted", Error;
    /// A lifecycle instant in the past, changed.
    HistoryRewritten = "history-rewritten", Error;
    /// A provider that no policy describes.
    UnknownProvider = "unknown-provider", Error;
    /// A prefix opted in that covers a withdrawn address.
    TombstoneAdmitted = "tombstone-admitted", Warning;
    /// An allowlist without any entry.
    EmptyAllowlist = "empty-allowlist", Error;
    /// A target that can't express what is asked of it.
    TargetCannot = "target-cannot", Error;
    /// More rules than a security group takes.
    QuotaRules = "quota-rules", Warning;
    /// A prefix list over its maximum, or over the service's.
    QuotaPrefixList = "quota-prefix-list", Warning;
    /// Rules times groups above the limit of a network interface.
    QuotaInterface = "quota-interface", Warning;
    /// A list that nginx walks at each request.
    LinearList = "linear-list", Warning;
    /// A template that can't be rendered.
    TemplateError = "template-error", Error;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that diagnostics point into, with the name people know it by.
#[derive(Debug)]
pub struct SourceText {
    /// The path as it was given, or a name such as `<embedded>/policies/resurs.yaml`.
    pub name: String,
    /// The text itself, without a byte order mark.
    pub text: String,
    /// How many lines of the whole come before the text.
    lines_before: usize,
    line_starts: OnceLock<Vec<usize>>,
}

impl SourceText {
    /// Wraps a text under a name.
    pub fn new(name: impl Into<String>, text: String) -> Arc<Self> {
        Self::excerpt(name, text, 1)
    }

    /// A part of a text that is too long to keep: lines that begin with the one of this number (from 1).
    pub fn excerpt(name: impl Into<String>, text: String, first_line: usize) -> Arc<Self> {
        let lines_before = first_line.saturating_sub(1);
        Arc::new(Self { name: name.into(), text, lines_before, line_starts: OnceLock::new() })
    }

    /// Line and column (both from 1, the column in characters) of a byte offset; past the end, the end.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_index(offset);
        let start = self.line_starts().get(line).copied().unwrap_or(0);
        let column = self.text.get(start..offset).unwrap_or("").chars().count();
        (self.lines_before + line + 1, column + 1)
    }

    /// The bytes of the lines that `span` touches, and the number (from 1) of the first of them.
    pub fn lines(&self, span: &Range<usize>) -> (Range<usize>, usize) {
        let first = self.line_index(span.start);
        let last = self.line_index(span.end.max(span.start));
        let starts = self.line_starts();
        let start = starts.get(first).copied().unwrap_or(0);
        let end = starts.get(last + 1).copied().unwrap_or(self.text.len());
        (start..end, self.lines_before + first + 1)
    }

    /// The line of a byte offset, from 0 for the first of this text.
    fn line_index(&self, offset: usize) -> usize {
        self.line_starts().partition_point(|start| *start <= offset).saturating_sub(1)
    }

    fn line_starts(&self) -> &[usize] {
        self.line_starts.get_or_init(|| {
            let breaks = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect()
        })
    }
}

/// A place in a text and what to say of it.
#[derive(Debug, Clone)]
pub struct Label {
    /// The text pointed into.
    pub source: Arc<SourceText>,
    /// Bytes in it.
    pub span: Range<usize>,
    /// A few words written under the place; may be empty.
    pub text: String,
}

/// One fault or finding.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Its stable name.
    pub code: Code,
    /// How much it weighs.
    pub severity: Severity,
    /// What is wrong, with the value and the rule: lower case, no full stop.
    pub message: String,
    /// The place, then related places.
    pub labels: Vec<Label>,
    /// What to do next.
    pub help: Option<String>,
    /// The source, provider or target it is about, where there is one.
    pub subject: Option<String>,
    /// The reason and end of the waiver, where one applies; a waived diagnostic counts for nothing.
    pub waived: Option<String>,
}

impl Diagnostic {
    /// A diagnostic of this code's own severity.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = shortened(message.into(), MESSAGE_CHARS_MAX);
        Self {
            code,
            severity: code.severity(),
            message,
            labels: Vec::new(),
            help: None,
            subject: None,
            waived: None,
        }
    }

    /// Adds a place; the first one added is the place of the diagnostic.
    #[must_use]
    pub fn at(mut self, source: &Arc<SourceText>, span: Range<usize>, text: impl Into<String>) -> Self {
        self.labels.push(Label { source: Arc::clone(source), span, text: text.into() });
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(shortened(help.into(), HELP_CHARS_MAX));
        self
    }

    /// Names the source, provider or target it is about.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// File, line and column of the first label.
    pub fn place(&self) -> Option<(&str, usize, usize)> {
        let label = self.labels.first()?;
        let (line, column) = label.source.position(label.span.start);
        Some((&label.source.name, line, column))
    }

    /// Whether it is an error that nothing waives.
    pub fn is_error(&self) -> bool {
        self.waived.is_none() && self.severity == Severity::Error
    }

    /// Whether it is a warning or worse that nothing waives.
    pub fn is_finding(&self) -> bool {
        self.waived.is_none() && self.severity >= Severity::Warning
    }
}

/// Longest message kept: what somebody wrote by mistake may be megabytes long.
const MESSAGE_CHARS_MAX: usize = 400;
/// Longest help kept: it may list what is known.
const HELP_CHARS_MAX: usize = 800;

/// Diagnostics in the order in which they were found.
///
/// At most [`Diagnostics::KEPT_MAX`] are kept, so that a broken list of a million lines stays readable and
/// small in memory; the rest is counted.
#[derive(Debug, Default)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    /// Counts of what was not kept, by code and subject, so that waivers reach it.
    counted: BTreeMap<(Code, Option<String>), usize>,
    /// How many of those not kept are waived, or notes.
    quiet: usize,
}

impl Diagnostics {
    /// How many diagnostics are kept.
    pub const KEPT_MAX: usize = 1_000;

    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.kept.len() < Self::KEPT_MAX {
            self.kept.push(diagnostic);
        } else if diagnostic.is_finding() {
            *self.counted.entry((diagnostic.code, diagnostic.subject)).or_insert(0) += 1;
        } else {
            self.quiet += 1;
        }
    }

    /// Takes over all of another collection.
    pub fn append(&mut self, other: Diagnostics) {
        self.quiet += other.quiet;
        for (key, count) in other.counted {
            *self.counted.entry(key).or_insert(0) += count;
        }
        self.extend(other.kept);
    }

    /// Those that are kept.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.kept.iter()
    }

    /// Waives all of a code, about one subject or about any, kept or counted; says whether there was one.
    pub fn waive(&mut self, code: Code, subject: Option<&str>, reason: &str) -> bool {
        let about = |found: Option<&str>| subject.is_none() || found == subject;
        let mut used = false;
        for found in
            self.kept.iter_mut().filter(|found| found.code == code && about(found.subject.as_deref()))
        {
            found.waived.get_or_insert_with(|| reason.to_owned());
            used = true;
        }
        self.counted.retain(|(counted, of), count| {
            let waived = *counted == code && about(of.as_deref());
            self.quiet += if waived { *count } else { 0 };
            used |= waived;
            !waived
        });
        used
    }

    /// How many were only counted.
    pub fn beyond(&self) -> usize {
        self.quiet + self.counted.values().sum::<usize>()
    }

    /// How many errors were only counted.
    pub fn beyond_errors(&self) -> usize {
        self.counted
            .iter()
            .filter(|((code, _), _)| code.severity() == Severity::Error)
            .map(|(_, count)| count)
            .sum()
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.beyond() == 0
    }

    /// Whether any is an error that nothing waives.
    pub fn has_errors(&self) -> bool {
        self.beyond_errors() > 0 || self.kept.iter().any(Diagnostic::is_error)
    }

    /// Whether any is a warning or worse that nothing waives.
    pub fn has_findings(&self) -> bool {
        !self.counted.is_empty() || self.kept.iter().any(Diagnostic::is_finding)
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, found: I) {
        found.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = SourceText::new("x", "a\nåb\n".to_owned());
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(4), (2, 2));
        assert_eq!(source.position(99), (3, 1));
        assert_eq!(source.lines(&(2..3)), (2..6, 2));
    }

    #[test]
    fn what_is_beyond_the_bound_still_counts_as_an_error() {
        let mut all = Diagnostics::new();
        for _ in 0..=Diagnostics::KEPT_MAX {
            all.push(Diagnostic::new(Code::HostBits, "x"));
        }
        assert_eq!((all.iter().count(), all.beyond()), (Diagnostics::KEPT_MAX, 1));
        assert!(all.has_errors());
    }
}
