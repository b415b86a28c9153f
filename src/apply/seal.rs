//! The form of a file in the state folder: what it is, in which version, and a digest over its content. What was cut off,
//! edited or written by another version is told, and none of it believed.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::policy::Digest;

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u32 = 2;

/// Why a sealed text is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SealError {
    /// Its content is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// Another program version wrote it.
    #[error("version {0}")]
    Version(u64),
}

/// Read on its own, where the whole can't be: another version may look otherwise.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'t> {
    callgate: &'t str,
    version: u32,
    sha256: String,
    #[serde(borrow)]
    content: &'t RawValue,
}

/// The text of a file of this kind.
pub(super) fn seal(kind: &str, content: &impl Serialize) -> Result<String, serde_json::Error> {
    let content = RawValue::from_string(serde_json::to_string(content)?)?;
    let sha256 = digest(content.get());
    let sealed = Sealed { callgate: kind, version: VERSION, sha256, content: &content };
    Ok(serde_json::to_string_pretty(&sealed)? + "\n")
}

/// What such a text says, where it is what was written.
pub(super) fn open<'t, T: Deserialize<'t>>(kind: &str, text: &'t str) -> Result<T, SealError> {
    let damaged = |error: serde_json::Error| SealError::Damaged(error.to_string());
    let sealed: Sealed<'_> = match serde_json::from_str(text) {
        Ok(sealed) => sealed,
        Err(error) => {
            let version = serde_json::from_str::<Versioned>(text).map_or(u64::from(VERSION), |of| of.version);
            return Err(of_another(version).unwrap_or_else(|| damaged(error)));
        }
    };
    if let Some(error) = of_another(sealed.version.into()) {
        return Err(error);
    }
    if sealed.callgate != kind {
        return Err(SealError::Damaged(format!("it is no {kind}")));
    }
    if digest(sealed.content.get()) != sealed.sha256 {
        return Err(SealError::Damaged("its digest does not fit".to_owned()));
    }
    serde_json::from_str(sealed.content.get()).map_err(damaged)
}

/// How many bytes there are at most before a content.
pub(super) const HEAD_BYTES_MAX: usize = 256;

/// As much as there is of the content, where a text starts in the form in which it was sealed. Nothing says that the rest of it
/// is sound; [`open`] does.
pub(super) fn started<'t>(kind: &str, start: &'t [u8]) -> Option<&'t [u8]> {
    let head = format!("{{\n  \"callgate\": \"{kind}\",\n  \"version\": {VERSION},\n  \"sha256\": \"");
    let (digest, rest) = start.strip_prefix(head.as_bytes())?.split_at_checked(64)?;
    rest.strip_prefix(b"\",\n  \"content\": ").filter(|_| digest.iter().all(u8::is_ascii_hexdigit))
}

fn of_another(version: u64) -> Option<SealError> {
    (version != u64::from(VERSION)).then_some(SealError::Version(version))
}

fn digest(text: &str) -> String {
    Digest(Sha256::digest(text).into()).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::journal::Journal;
    use super::super::journal::tests::journal;
    use super::*;

    #[test]
    fn what_was_sealed_is_opened() {
        let journal = journal("a");
        let text = seal("journal", &journal).unwrap();
        let words = serde_json::to_string(&journal).unwrap();
        assert!(text.find(&words).unwrap() < HEAD_BYTES_MAX);
        assert_eq!(started("journal", text.as_bytes()), Some(format!("{words}\n}}\n").as_bytes()));
        assert_eq!(started("baseline", text.as_bytes()), None);
        assert_eq!(open::<Journal>("journal", &text), Ok(journal));
        assert!(matches!(open::<Journal>("baseline", &text), Err(SealError::Damaged(_))));
    }

    #[test]
    fn no_text_that_is_cut_off_or_changed_is_believed() {
        let text = seal("journal", &journal("a")).unwrap();
        // The final line break alone is no part of it.
        for end in (0..text.len() - 1).filter(|end| text.is_char_boundary(*end)) {
            assert!(open::<Journal>("journal", &text[..end]).is_err(), "cut off at {end}");
        }
        let mut changed = 0;
        for (at, was) in text.char_indices().filter(|(_, was)| was.is_ascii_alphanumeric()) {
            let other = if was == '0' { '1' } else { '0' };
            let edited = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(open::<Journal>("journal", &edited).is_err(), "{edited}");
            changed += 1;
        }
        assert!(changed > 500);
        for edited in [
            format!("{text}x"),
            text.replacen("\"callgate\": \"journal\",", "\"more\": 1, \"callgate\": \"journal\",", 1),
        ] {
            assert!(matches!(open::<Journal>("journal", &edited), Err(SealError::Damaged(_))), "{edited}");
        }
    }

    #[test]
    fn another_version_is_told_apart_from_damage() {
        let text = r#"{"callgate": "journal", "version": 9, "new": {}, "content": 7}"#;
        assert_eq!(open::<Journal>("journal", text), Err(SealError::Version(9)));
    }

    #[test]
    fn a_content_with_a_field_that_nobody_knows_is_not_believed() {
        #[derive(Serialize)]
        struct More {
            #[serde(flatten)]
            journal: Journal,
            more: u8,
        }
        let text = seal("journal", &More { journal: journal("a"), more: 1 }).unwrap();
        let Err(SealError::Damaged(why)) = open::<Journal>("journal", &text) else { panic!() };
        assert!(why.contains("more"), "{why}");
    }
}
