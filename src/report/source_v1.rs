//! What a policy knows of a source, for reports: its instants and its evidence.

use serde::Serialize;

use crate::policy::{Dated, End, Evidence, Lifecycle, Policy};

/// An instant of a source's lifecycle.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Instant {
    /// Which.
    pub what: &'static str,
    /// As written.
    pub at: String,
    /// Why it is an inference of ours, where the provider does not say it.
    pub inferred: Option<String>,
}

/// A piece of evidence.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Shown {
    /// The page's name in the policy.
    pub page: String,
    /// The page's address.
    pub url: String,
    /// The heading under which it stands.
    pub section: Option<String>,
    /// The provider's words.
    pub says: Option<String>,
    /// The day on which it was read.
    pub read: String,
    /// The version that was read.
    pub version: Option<String>,
    /// SHA-256 of the page as it was read.
    pub digest: Option<String>,
    /// What else is known of it.
    pub note: Option<String>,
}

/// The instants of a lifecycle, in its order.
pub fn instants(lifecycle: &Lifecycle) -> Vec<Instant> {
    let one = |what: &'static str, dated: &Option<Dated>| {
        dated.as_ref().map(|dated| Instant {
            what,
            at: dated.moment.to_string(),
            inferred: dated.inferred.clone(),
        })
    };
    let end = match &lifecycle.valid_until {
        End::Open => None,
        End::Unknown => Some(Instant { what: "valid until", at: "unknown".to_owned(), inferred: None }),
        End::At(dated) => one("valid until", &Some(dated.clone())),
    };
    let all = [
        one("announced", &lifecycle.announced),
        one("valid from", &lifecycle.valid_from),
        one("legacy since", &lifecycle.legacy_since),
        one("deadline", &lifecycle.deadline),
        end,
        one("withdrawn", &lifecycle.withdrawn),
        one("review by", &lifecycle.review_by),
    ];
    all.into_iter().flatten().collect()
}

/// A piece of evidence, for a report.
pub fn shown(policy: &Policy, evidence: &Evidence) -> Shown {
    Shown {
        page: evidence.page.clone(),
        url: policy.pages.get(&evidence.page).map(|page| page.url.clone()).unwrap_or_default(),
        section: evidence.section.clone(),
        says: evidence.says.clone(),
        read: evidence.read.to_string(),
        version: evidence.version.clone(),
        digest: evidence.digest.clone(),
        note: evidence.note.clone(),
    }
}
