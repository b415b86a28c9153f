//! Pages kept in a folder, as evidence and to be replayed without a network.
//!
//! For each page: its bytes as they came, decompressed, and beside them a small JSON that says where and when they were read, with
//! their digest. A page that gave no bytes leaves the JSON alone, which says why. The second reading of a page stands beside
//! the first.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::names;
use crate::plain;
use crate::policy::{Page, PageKind};
use crate::system::{self, ReadError};
use crate::upstream::document::{BYTES_MAX, BodyDigest, Document, Missed, MissedKind};

/// How the names of the small files end.
const SIDECAR: &str = ".meta.json";
/// Most bytes of a small file.
const SIDECAR_BYTES_MAX: u64 = 64 << 10;
/// Most saved readings of one folder.
const READINGS_MAX: usize = 10_000;
const VERSION: u32 = 1;

/// What is known of a reading besides its bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sidecar {
    /// The number of this format.
    version: u32,
    /// Whose page it is.
    provider: String,
    /// Its name in the policy.
    page: String,
    /// The address that the policy gives.
    url: String,
    /// Where it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found_at: Option<String>,
    /// When, in RFC 3339.
    read_at: String,
    /// The file with the bytes, in the same folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Their digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// The answer's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    /// Why there are no bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missed: Option<SavedMissed>,
}

/// Why there are no bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedMissed {
    outcome: SavedOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moved_to: Option<String>,
    reason: String,
    help: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SavedOutcome {
    Moved,
    Unreadable,
    Unreachable,
}

/// Which reading of which page is saved.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// Whose page it is.
    pub provider: &'a str,
    /// Its name in the policy.
    pub name: &'a str,
    /// The page.
    pub page: &'a Page,
    /// Whether it is the first, from 1.
    pub number: usize,
}

/// Saves what was read at an instant, or why nothing was.
pub fn save(
    folder: &Path,
    reading: Reading<'_>,
    result: &Result<Document, Missed>,
    at: Timestamp,
) -> io::Result<()> {
    let stem = stem(reading);
    let mut sidecar = Sidecar {
        version: VERSION,
        provider: reading.provider.to_owned(),
        page: reading.name.to_owned(),
        url: key(reading.page),
        found_at: None,
        read_at: at.to_string(),
        file: None,
        sha256: None,
        status: None,
        content_type: None,
        etag: None,
        last_modified: None,
        missed: None,
    };
    match result {
        Ok(document) => {
            let file = format!("{stem}.{}", extension(reading.page.kind));
            system::replace_file(&folder.join(&file), &document.body)?;
            sidecar.found_at = Some(document.found_at.clone());
            sidecar.sha256 = Some(document.digest().to_string());
            sidecar.status = (reading.page.kind != PageKind::Dns).then_some(200);
            sidecar.content_type.clone_from(&document.content_type);
            sidecar.etag.clone_from(&document.etag);
            sidecar.last_modified.clone_from(&document.last_modified);
            sidecar.file = Some(file);
        }
        Err(missed) => sidecar.missed = Some(SavedMissed::of(missed)),
    }
    // Last, so that it never names bytes that are not there yet.
    let mut text = serde_json::to_vec_pretty(&sidecar)?;
    text.push(b'\n');
    system::replace_file(&folder.join(format!("{stem}{SIDECAR}")), &text)?;
    Ok(())
}

impl SavedMissed {
    fn of(missed: &Missed) -> Self {
        let (outcome, moved_to) = match &missed.kind {
            MissedKind::Moved(to) => (SavedOutcome::Moved, to.clone()),
            MissedKind::Unreadable => (SavedOutcome::Unreadable, None),
            MissedKind::Unreachable => (SavedOutcome::Unreachable, None),
        };
        Self { outcome, moved_to, reason: missed.reason.clone(), help: missed.help.clone() }
    }

    fn missed(self) -> Missed {
        let kind = match self.outcome {
            SavedOutcome::Moved => MissedKind::Moved(self.moved_to.map(|to| plain::line(&to))),
            SavedOutcome::Unreadable => MissedKind::Unreadable,
            SavedOutcome::Unreachable => MissedKind::Unreachable,
        };
        Missed { kind, reason: plain::line(&self.reason), help: plain::line(&self.help) }
    }
}

/// What a page is looked for by: its address, or its names.
fn key(page: &Page) -> String {
    match page.kind {
        PageKind::Dns => names::address(&page.names),
        PageKind::Html | PageKind::Markdown | PageKind::Text | PageKind::Json | PageKind::Csv => {
            page.url.clone()
        }
    }
}

/// The names of a reading's files, without what they end in. A page may have any name: other characters become hyphens, and
/// then a piece of a digest keeps names apart.
fn stem(reading: Reading<'_>) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = reading.name.chars().map(|c| if fits(c) { c } else { '-' }).take(100).collect();
    let mut stem = format!("{}.{name}", reading.provider);
    if name != reading.name {
        let digest = BodyDigest::of(reading.name.as_bytes()).to_string();
        stem.extend(["-", digest.get(..12).unwrap_or_default()]);
    }
    if reading.number > 1 {
        stem.push_str(&format!(".{}", reading.number));
    }
    stem
}

fn extension(kind: PageKind) -> &'static str {
    match kind {
        PageKind::Html => "html",
        PageKind::Markdown => "md",
        PageKind::Json => "json",
        PageKind::Csv => "csv",
        PageKind::Text | PageKind::Dns => "txt",
    }
}

/// Why a folder of saved pages can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// A file of it can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It says what no saved reading says.
    #[error("`{path}`: {why}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong, with the line.
        why: String,
    },
    /// There is no saved page.
    #[error("`{path}` holds no saved page")]
    Empty {
        /// The folder.
        path: String,
    },
    /// There are more than callgate reads.
    #[error("`{path}` holds more than {READINGS_MAX} saved pages")]
    TooMany {
        /// The folder.
        path: String,
    },
}

/// A folder of saved pages, read again in place of the network.
#[derive(Debug)]
pub struct Saved {
    folder: PathBuf,
    /// Readings by address, the earliest first.
    readings: Mutex<BTreeMap<String, Vec<(Timestamp, Sidecar)>>>,
}

impl Saved {
    /// Reads what the small files say; the pages themselves are read when they are asked for.
    pub fn open(folder: &Path) -> Result<Self, SavedError> {
        let path = || folder.display().to_string();
        let names = system::list_folder(folder, &["json"])?;
        let names: Vec<String> = names.into_iter().filter(|name| name.ends_with(SIDECAR)).collect();
        if names.is_empty() {
            return Err(SavedError::Empty { path: path() });
        }
        if names.len() > READINGS_MAX {
            return Err(SavedError::TooMany { path: path() });
        }
        let mut readings: BTreeMap<String, Vec<(Timestamp, Sidecar)>> = BTreeMap::new();
        for name in names {
            let sidecar = read_sidecar(&folder.join(name))?;
            readings.entry(sidecar.1.url.clone()).or_default().push(sidecar);
        }
        for of_page in readings.values_mut() {
            // The next one is taken from the end.
            of_page.sort_by_key(|(read_at, _)| std::cmp::Reverse(*read_at));
        }
        Ok(Self { folder: folder.to_path_buf(), readings: Mutex::new(readings) })
    }

    /// The next reading of a page, and when it was: first the earliest, then the one after it.
    pub fn next(&self, page: &Page) -> Option<(Timestamp, Result<Document, Missed>)> {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let of_page = readings.get_mut(&key(page))?;
        // An address may be read in several kinds; which one missed readings were of, nothing says.
        let end = format!(".{}", extension(page.kind));
        let fits =
            |(_, sidecar): &(_, Sidecar)| sidecar.file.as_ref().is_none_or(|file| file.ends_with(&end));
        let place = of_page.iter().rposition(fits).or(of_page.len().checked_sub(1))?;
        let (read_at, sidecar) = of_page.remove(place);
        drop(readings);
        Some((read_at, self.replay(sidecar, read_at, page)))
    }

    /// What a page that was never saved amounts to.
    pub fn absent(&self, page: &Page) -> Missed {
        Missed {
            kind: MissedKind::Unreachable,
            reason: format!("`{}` is not among the saved pages", plain::line(&key(page))),
            help: format!("save it with `--save {}` while there is a network", self.folder.display()),
        }
    }

    fn replay(&self, sidecar: Sidecar, read_at: Timestamp, page: &Page) -> Result<Document, Missed> {
        if let Some(missed) = sidecar.missed {
            return Err(missed.missed());
        }
        let unusable = |why: String| Missed {
            kind: MissedKind::Unreachable,
            reason: why,
            help: "what is saved was changed or is incomplete: save it again with `--save`".to_owned(),
        };
        let file = sidecar.file.unwrap_or_default();
        let path = self.folder.join(&file);
        let body = system::read_bytes(&path, BYTES_MAX).map_err(|error| unusable(error.to_string()))?;
        let digest = BodyDigest::of(&body);
        if sidecar.sha256.as_deref().and_then(BodyDigest::parse) != Some(digest) {
            let reason = format!("`{}` is not what was saved: its digest is {digest}", path.display());
            return Err(unusable(reason));
        }
        let url = key(page);
        Ok(Document {
            found_at: sidecar.found_at.unwrap_or_else(|| url.clone()),
            url,
            read_at,
            content_type: sidecar.content_type,
            etag: sidecar.etag,
            last_modified: sidecar.last_modified,
            body,
        })
    }
}

fn read_sidecar(path: &Path) -> Result<(Timestamp, Sidecar), SavedError> {
    let damaged = |why: String| SavedError::Damaged { path: path.display().to_string(), why };
    let text = system::read_text(path, SIDECAR_BYTES_MAX)?;
    let sidecar: Sidecar =
        serde_json::from_str(&text.text).map_err(|error| damaged(plain::line(&error.to_string())))?;
    if sidecar.version != VERSION {
        return Err(damaged(format!("version {} is not known", sidecar.version)));
    }
    let Ok(read_at) = sidecar.read_at.parse() else {
        return Err(damaged(format!("`{}` is no instant", plain::line(&sidecar.read_at))));
    };
    match (&sidecar.file, &sidecar.missed) {
        // A name alone: what is saved lies in this folder, and nowhere else.
        (Some(file), None) if !file.contains('/') && !matches!(file.as_str(), "" | "." | "..") => {}
        (Some(file), None) => {
            return Err(damaged(format!("`{}` is no file of this folder", plain::line(file))));
        }
        (None, Some(_)) => {}
        (Some(_), Some(_)) | (None, None) => {
            return Err(damaged("one of `file` and `missed` is needed".to_owned()));
        }
    }
    Ok((read_at, sidecar))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::document::tests::document;

    fn page(kind: PageKind) -> Page {
        let names = vec!["a.example".to_owned(), "b.example".to_owned()];
        Page { names, ..Page::new("https://example.com/callbacks/", kind) }
    }

    fn keep(folder: &Path, page: &Page, number: usize, result: &Result<Document, Missed>) {
        let reading = Reading { provider: "example", name: "v3 faq/../x", page, number };
        let at = result.as_ref().map_or(Timestamp::UNIX_EPOCH, |document| document.read_at);
        save(folder, reading, result, at).unwrap();
    }

    fn at(seconds: i64, body: &[u8]) -> Document {
        let read_at = Timestamp::from_second(seconds).unwrap();
        Document { read_at, ..document("text/html", body) }
    }

    #[test]
    fn what_was_saved_is_replayed_reading_by_reading() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("evidence");
        let page = page(PageKind::Html);
        keep(&folder, &page, 1, &Ok(at(1, b"first")));
        keep(&folder, &page, 2, &Ok(at(2, b"second")));
        let saved = Saved::open(&folder).unwrap();
        let next = || saved.next(&page).map(|(_, result)| result.unwrap());
        assert_eq!(next(), Some(at(1, b"first")));
        assert_eq!(next(), Some(at(2, b"second")));
        assert_eq!(next(), None);
        let names: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_str().unwrap().contains("..")), "{names:?}");
        assert!(saved.absent(&page).reason.contains("is not among the saved pages"));
    }

    #[test]
    fn kinds_of_one_address_are_kept_apart() {
        let folder = tempfile::tempdir().unwrap();
        let (markup, plain) = (page(PageKind::Html), page(PageKind::Text));
        for (name, page, document) in [
            ("a", &markup, at(1, b"markup")),
            ("b", &plain, at(2, b"plain")),
            ("c", &markup, at(1, b"markup")),
            ("d", &markup, at(3, b"later")),
        ] {
            let reading = Reading { provider: "example", name, page, number: 1 };
            save(folder.path(), reading, &Ok(document.clone()), document.read_at).unwrap();
        }
        let saved = Saved::open(folder.path()).unwrap();
        let body = |page: &Page| String::from_utf8(saved.next(page).unwrap().1.unwrap().body).unwrap();
        let pages = [&markup, &plain, &markup];
        assert_eq!(pages.map(body), ["markup", "plain", "markup"]);
        // A kind that was corrected since is read from what there is.
        assert_eq!(body(&plain), "later");
        assert_eq!(saved.next(&plain), None);
    }

    #[test]
    fn why_a_page_was_not_read_is_replayed_too() {
        let folder = tempfile::tempdir().unwrap();
        let names = page(PageKind::Dns);
        for kind in [
            MissedKind::Moved(Some("https://other.example/".to_owned())),
            MissedKind::Moved(None),
            MissedKind::Unreadable,
            MissedKind::Unreachable,
        ] {
            let missed = Missed { kind, reason: "why".to_owned(), help: "what to do".to_owned() };
            keep(folder.path(), &names, 1, &Err(missed.clone()));
            let saved = Saved::open(folder.path()).unwrap();
            assert_eq!(saved.next(&names), Some((Timestamp::UNIX_EPOCH, Err(missed))));
        }
    }

    #[test]
    fn a_page_that_was_changed_since_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let page = page(PageKind::Html);
        keep(folder.path(), &page, 1, &Ok(at(1, b"13.50.187.51")));
        let body = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let body =
            body.into_iter().find(|path| path.extension().is_some_and(|found| found == "html")).unwrap();
        system::replace_file(&body, b"13.50.187.52").unwrap();
        let missed = Saved::open(folder.path()).unwrap().next(&page).unwrap().1.unwrap_err();
        assert!(missed.reason.contains("is not what was saved"), "{}", missed.reason);
        std::fs::remove_file(&body).unwrap();
        let missed = Saved::open(folder.path()).unwrap().next(&page).unwrap().1.unwrap_err();
        assert_eq!(missed.kind, MissedKind::Unreachable);
    }

    #[test]
    fn a_folder_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Saved::open(folder.path()), Err(SavedError::Empty { .. })));
        assert!(matches!(Saved::open(&folder.path().join("none")), Err(SavedError::Read(_))));
        let whole = r#"{"version": 1, "provider": "p", "page": "x", "url": "https://a.example/", "read_at": "2026-11-21T12:00:00Z", "file": "x.html", "sha256": "00"}"#;
        let path = folder.path().join(format!("x{SIDECAR}"));
        system::replace_file(&path, whole.as_bytes()).unwrap();
        assert!(Saved::open(folder.path()).is_ok());
        for (from, to) in [
            ("x.html", "../x.html"),
            ("x.html", "/etc/passwd"),
            ("x.html", ".."),
            ("\"version\": 1", "\"version\": 2"),
            ("2026-11-21T12:00:00Z", "yesterday"),
            ("\"file\": \"x.html\", ", ""),
            ("\"page\"", "\"unknown\": 1, \"page\""),
            ("{", ""),
        ] {
            let damaged = whole.replacen(from, to, 1);
            system::replace_file(&path, damaged.as_bytes()).unwrap();
            assert!(matches!(Saved::open(folder.path()), Err(SavedError::Damaged { .. })), "{damaged}");
        }
    }
}
