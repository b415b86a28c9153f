//! What earlier runs read, so that an unchanged page need not be sent again.
//!
//! An entry is one file: a line of JSON, then the page's bytes. It is bound to its address and to its digest; one that is damaged,
//! or of another address, is as good as none. The folder is ours alone: whoever could write there would decide what a
//! provider says.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::system;
use crate::system::private::{FolderError, make_private};
use crate::upstream::document::{BYTES_MAX, BodyDigest, Document};

/// Most bytes of the line before a page.
const HEAD_BYTES_MAX: u64 = 64 << 10;
/// Longest version or date that is sent back to a server.
const VALIDATOR_BYTES_MAX: usize = 1024;
const VERSION: u32 = 1;

/// A folder of entries.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// The line before a page.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    url: String,
    found_at: String,
    read_at: String,
    content_type: Option<String>,
    etag: Option<String>,
    last_modified: Option<String>,
    sha256: String,
}

impl Cache {
    /// A folder that nobody else writes to; it is made where it is missing.
    pub fn open(folder: &Path) -> Result<Self, FolderError> {
        Ok(Self { folder: make_private(folder)? })
    }

    /// What is held of an address.
    pub(super) fn get(&self, url: &str) -> Option<Document> {
        let bytes = system::read_bytes(&self.file(url), HEAD_BYTES_MAX + BYTES_MAX).ok()?;
        entry(&bytes).filter(|document| document.url == url)
    }

    /// Keeps a page that can be asked about later. Where that fails, the next run fetches the page again: nothing is lost.
    pub(super) fn put(&self, document: &Document) {
        let validators = [&document.etag, &document.last_modified];
        let short = |value: &&String| value.len() <= VALIDATOR_BYTES_MAX;
        if !validators.into_iter().flatten().any(|value| short(&value)) {
            return;
        }
        let head = Head {
            version: VERSION,
            url: document.url.clone(),
            found_at: document.found_at.clone(),
            read_at: document.read_at.to_string(),
            content_type: document.content_type.clone(),
            etag: document.etag.clone().filter(|value| short(&value)),
            last_modified: document.last_modified.clone().filter(|value| short(&value)),
            sha256: document.digest().to_string(),
        };
        let Ok(mut bytes) = serde_json::to_vec(&head) else { return };
        bytes.push(b'\n');
        bytes.extend_from_slice(&document.body);
        let _ = system::replace_private_file(&self.file(&document.url), &bytes);
    }

    fn file(&self, url: &str) -> PathBuf {
        self.folder.join(format!("{}.page", BodyDigest::of(url.as_bytes())))
    }
}

/// An entry as a document, where all of it is there.
fn entry(bytes: &[u8]) -> Option<Document> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(bytes.get(..end)?).ok()?;
    let body = bytes.get(end + 1..)?;
    let sound = head.version == VERSION
        && body.len() as u64 <= BYTES_MAX
        && BodyDigest::parse(&head.sha256) == Some(BodyDigest::of(body));
    let read_at: Timestamp = head.read_at.parse().ok()?;
    sound.then(|| Document {
        url: head.url,
        found_at: head.found_at,
        read_at,
        content_type: head.content_type,
        etag: head.etag,
        last_modified: head.last_modified,
        body: body.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::upstream::document::tests::document;

    fn versioned() -> Document {
        Document { etag: Some("\"1\"".to_owned()), ..document("text/html", b"13.50.187.51\nmore") }
    }

    #[test]
    fn an_entry_is_what_was_put() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        assert_eq!(cache.get("https://example.com/callbacks/"), None);
        cache.put(&versioned());
        assert_eq!(cache.get("https://example.com/callbacks/"), Some(versioned()));
        assert_eq!(cache.get("https://example.com/"), None);
        let mode = std::fs::metadata(cache.file(&versioned().url)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_page_without_a_version_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        cache.put(&document("text/html", b"x"));
        cache.put(&Document { etag: Some("x".repeat(2000)), ..document("text/html", b"x") });
        assert_eq!(std::fs::read_dir(&cache.folder).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_entry_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        cache.put(&versioned());
        let file = cache.file(&versioned().url);
        let whole = std::fs::read(&file).unwrap();
        for cut in 0..whole.len() {
            assert_eq!(entry(&whole[..cut]), None, "{cut}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let found = entry(&damaged);
            // What a name or date says is not what the page says; the page's bytes never differ.
            assert!(found.is_none_or(|found| found.body == versioned().body), "{at}");
        }
        // The entry of one address does not pass for another's.
        std::fs::rename(&file, cache.file("https://example.com/other/")).unwrap();
        assert_eq!(cache.get("https://example.com/other/"), None);
    }

    #[test]
    fn a_folder_to_which_others_write_won_t_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Cache::open(&path), Err(FolderError::Open { .. })));
    }
}
