//! Findings with a place below the repository's root and a fingerprint that outlives moved lines: what forges and CI
//! systems keep between runs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::diagnostic::{Diagnostic, Diagnostics, Label, Severity};
use crate::review::concern::Concern;
use crate::site::BUILT_IN_NAME;

/// Who says a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// `check`, of the new state.
    Check,
    /// `check --against`, of the change itself.
    Change,
    /// The review: it needs a second pair of eyes.
    Review,
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// The change is refused.
    Error,
    /// Somebody has to look at it.
    Warning,
    /// Worth knowing.
    Note,
}

impl Weight {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Weight::Error => "error",
            Weight::Warning => "warning",
            Weight::Note => "note",
        }
    }
}

/// A place in a file; lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Place {
    /// The path below the repository's root; as it was given where it lies outside.
    pub file: String,
    /// The first line.
    pub line: usize,
    /// The first column.
    pub column: usize,
    /// The last line.
    pub end_line: usize,
    /// The column after the last one.
    pub end_column: usize,
    /// Whether it is a place in the base, because what it is about is gone.
    pub in_base: bool,
}

/// Something that a reviewer has to know, with all that is needed to keep it between runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// Who says it.
    pub by: Says,
    /// The stable name of what it is.
    pub code: &'static str,
    /// How much it weighs.
    pub severity: Weight,
    /// For people; its wording may change.
    pub message: String,
    /// What to do next, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The source, provider or target it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// End and reason of the waiver; what is waived counts for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived: Option<String>,
    /// Whether the base has it too.
    pub known: bool,
    /// The same for as long as it is the same finding, wherever its line has moved.
    pub fingerprint: String,
}

impl Finding {
    /// Whether it keeps the change from being clear: an error, or something that the base does not have.
    pub fn counts(&self) -> bool {
        let heavy = match self.severity {
            Weight::Error => true,
            Weight::Warning => !self.known,
            Weight::Note => false,
        };
        heavy && self.waived.is_none()
    }
}

/// How files are named in the texts, and where they stand below the repository's root.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    /// The root's absolute path; empty without a repository.
    pub root: String,
    /// Where the working folder stands below the root, with a final slash; empty at the root.
    pub below: String,
    /// How the names of files of the base start, and what stands there now.
    pub renamed: Vec<(String, String)>,
}

impl Paths {
    /// The path of a text below the root, and whether it is the base's; `None` for what is in the program.
    fn of(&self, name: &str) -> Option<(String, bool)> {
        if name == BUILT_IN_NAME || name.starts_with("<embedded>/") {
            return None;
        }
        let renamed = self.renamed.iter().filter(|(from, to)| from != to).find_map(|(from, to)| {
            let rest = name.strip_prefix(from.as_str())?;
            // A folder's name is whole; a commit's ends with a colon.
            (rest.is_empty() || rest.starts_with('/') || from.ends_with(':')).then(|| format!("{to}{rest}"))
        });
        let path = renamed.as_deref().unwrap_or(name);
        let path = match path.strip_prefix(self.root.as_str()) {
            Some(rest) if path.starts_with('/') && !self.root.is_empty() && rest.starts_with('/') => {
                rest.trim_start_matches('/').to_owned()
            }
            Some(_) | None if path.starts_with('/') => path.to_owned(),
            Some(_) | None => plain_path(&format!("{}{path}", self.below)),
        };
        Some((path, renamed.is_some()))
    }

    fn place(&self, label: &Label) -> Option<Place> {
        let (file, in_base) = self.of(&label.source.name)?;
        let (line, column) = label.source.position(label.span.start);
        let (end_line, end_column) = label.source.position(label.span.end.max(label.span.start));
        Some(Place { file, line, column, end_line, end_column, in_base })
    }
}

/// A relative path without `.` and, where it can be told, without `..`.
fn plain_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Makes findings; each fingerprint is given once.
#[derive(Debug, Default)]
pub struct Finder {
    paths: Paths,
    /// Fingerprints of the base, so often as it has them.
    base: BTreeMap<String, usize>,
    seen: BTreeMap<String, usize>,
}

impl Finder {
    /// With these paths, and what `check` says of the base.
    pub fn new(paths: Paths, base: &Diagnostics) -> Self {
        let mut finder = Self { paths, ..Self::default() };
        for found in base {
            let print = finder.print_of(found);
            *finder.base.entry(print).or_insert(0) += 1;
        }
        finder
    }

    /// Diagnostics as findings.
    pub fn diagnostics(&mut self, by: Says, all: &Diagnostics) -> Vec<Finding> {
        all.iter().map(|found| self.diagnostic(by, found)).collect()
    }

    fn diagnostic(&mut self, by: Says, found: &Diagnostic) -> Finding {
        let print = self.print_of(found);
        let known_times = self.base.get(&print).copied().unwrap_or(0);
        let (fingerprint, times) = self.once(print);
        Finding {
            by,
            code: found.code.as_str(),
            severity: match found.severity {
                Severity::Error => Weight::Error,
                Severity::Warning => Weight::Warning,
                Severity::Note => Weight::Note,
            },
            message: found.message.clone(),
            help: found.help.clone(),
            subject: found.subject.clone(),
            place: found.labels.first().and_then(|label| self.paths.place(label)),
            waived: found.waived.clone(),
            known: by == Says::Check && times <= known_times,
            fingerprint,
        }
    }

    /// A concern as a finding.
    pub fn concern(&mut self, concern: &Concern) -> Finding {
        let place = concern.label.as_ref().and_then(|label| self.paths.place(label));
        let file = place.as_ref().map_or("", |place| place.file.as_str());
        let subject = concern.subject.as_deref().unwrap_or("");
        let print = hashed(&[concern.kind.as_str(), file, subject, &concern.message]);
        let (fingerprint, _) = self.once(print);
        Finding {
            by: Says::Review,
            code: concern.kind.as_str(),
            severity: Weight::Warning,
            message: concern.message.clone(),
            help: Some(concern.kind.what().to_owned()),
            subject: concern.subject.clone(),
            place,
            waived: None,
            known: false,
            fingerprint,
        }
    }

    /// The place of a span, for what is no finding.
    pub fn place(&self, label: &Label) -> Option<Place> {
        self.paths.place(label)
    }

    /// By the code, the file, the subject and the text it points at; never by the line's number.
    fn print_of(&self, found: &Diagnostic) -> String {
        let label = found.labels.first();
        let file = label.and_then(|label| self.paths.of(&label.source.name));
        let file = file.map(|(file, _)| file).unwrap_or_default();
        let line = label.and_then(|label| {
            let (window, _) = label.source.lines(&(label.span.start..label.span.start));
            Some(label.source.text.get(window)?.trim()).filter(|line| !line.is_empty())
        });
        let what = line.unwrap_or(&found.message);
        let subject = found.subject.as_deref().unwrap_or("");
        hashed(&[found.code.as_str(), &file, subject, what])
    }

    /// The fingerprint with how often it was given before, if it was.
    fn once(&mut self, print: String) -> (String, usize) {
        let times = self.seen.entry(print.clone()).or_insert(0);
        *times += 1;
        let named = if *times == 1 { print } else { format!("{print}-{times}") };
        (named, *times)
    }
}

/// 32 hexadecimal digits over parts that can't run into each other.
fn hashed(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part.as_bytes());
    }
    let digest: [u8; 32] = digest.finalize().into();
    let digits = crate::policy::Digest(digest).to_string();
    digits.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, SourceText};

    #[test]
    fn paths_are_told_below_the_root() {
        let paths = Paths {
            root: "/srv/shop".to_owned(),
            below: "pay/".to_owned(),
            renamed: vec![
                ("0123456789ab:".to_owned(), String::new()),
                ("before/policies".to_owned(), "policies".to_owned()),
            ],
        };
        for (name, wanted) in [
            ("policies/a.yaml", Some(("pay/policies/a.yaml", false))),
            ("./policies/a.yaml", Some(("pay/policies/a.yaml", false))),
            ("../policies/a.yaml", Some(("policies/a.yaml", false))),
            ("../../a.yaml", Some(("../a.yaml", false))),
            ("/srv/shop/pay/a.yaml", Some(("pay/a.yaml", false))),
            ("/srv/shopping/a.yaml", Some(("/srv/shopping/a.yaml", false))),
            ("/etc/a.yaml", Some(("/etc/a.yaml", false))),
            ("0123456789ab:policies/a.yaml", Some(("pay/policies/a.yaml", true))),
            ("before/policies/a.yaml", Some(("pay/policies/a.yaml", true))),
            ("before/policies-2/a.yaml", Some(("pay/before/policies-2/a.yaml", false))),
            ("<embedded>/policies/a.yaml", None),
            (BUILT_IN_NAME, None),
        ] {
            let found = paths.of(name);
            let found = found.as_ref().map(|(path, base)| (path.as_str(), *base));
            assert_eq!(found, wanted, "{name}");
        }
    }

    #[test]
    fn a_fingerprint_outlives_lines_that_come_before() {
        let of = |text: &str| {
            let source = SourceText::new("a.yaml", text.to_owned());
            let at = text.find("bad").unwrap();
            let mut all = Diagnostics::new();
            for _ in 0..2 {
                all.push(Diagnostic::new(Code::HostBits, "x").at(&source, at..at + 3, ""));
            }
            let found = Finder::default().diagnostics(Says::Check, &all);
            (
                found[0].place.as_ref().unwrap().line,
                found[0].fingerprint.clone(),
                found[1].fingerprint.clone(),
            )
        };
        let (first, moved) = (of("a: 1\nb: bad\n"), of("# new\n\na: 1\n  b: bad\n"));
        assert_eq!((first.0, moved.0), (2, 4));
        assert_eq!((&first.1, &first.2), (&moved.1, &moved.2));
        assert_eq!(first.2, format!("{}-2", first.1));
        assert_ne!(first.1, of("b: bad too\n").1);
    }
}
