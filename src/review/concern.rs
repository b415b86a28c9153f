//! What two people should look at before a change is made. Nothing here is wrong, and nothing is refused.

mod policy;
mod site;

use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) use policy::host;

use super::Side;
use crate::diagnostic::{Label, SourceText};

macro_rules! kinds {
    ($(#[doc = $doc:literal] $variant:ident = $text:literal, $what:literal;)+) => {
        /// The stable names of all concerns; each is a heading in `docs/review.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[doc = $doc] $variant,)+ }

        impl Kind {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)+];

            /// The kebab-case name shown to people and machines.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$variant => $text,)+ }
            }

            /// What it is, as a sentence.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$variant => $doc.trim_ascii(),)+ }
            }

            /// What to look at.
            pub fn what(self) -> &'static str {
                match self { $(Kind::$variant => $what,)+ }
            }
        }
    };
}

kinds! {
    /// A prefix is wider than any that the provider had.
    WiderThanBefore = "wider-than-before", "is every address of it the provider's, and do the quoted words name this very prefix?";
    /// Addresses of a cloud's pool.
    SharedHosting = "shared-hosting", "anybody may get such an address from the cloud once the provider gives it up: is there no dedicated one?";
    /// A source changes, and its evidence does not.
    NoNewEvidence = "no-new-evidence", "open the page, and add the words from which the change follows, with the day on which they were read";
    /// A withdrawn address comes back.
    TombstoneBack = "tombstone-back", "the provider had withdrawn it: does a page list it again, or is it a mix-up?";
    /// A provider that was not there before.
    NewProvider = "new-provider", "there is nothing to compare with: open each page, and make sure that it is the provider's own";
    /// A page on a host on which the provider had none.
    NewPageHost = "new-page-host", "is the host the provider's own? whoever owns the page decides what is let in";
    /// A finding is waived.
    WaiverAdded = "waiver-added", "is the reason sound, and the end near enough?";
    /// A target no longer closes what the allowlist does not name.
    ModePermit = "mode-permit", "from `exclusive` to `permit`: everybody else is refused by this target no more";
    /// Less keeps a change from being put in force.
    GuardrailLoosened = "guardrail-loosened", "is the reason for it still there when the next change comes?";
    /// The site takes more than before.
    SelectionWidened = "selection-widened", "does this site need these callbacks, and the owner's whole network?";
    /// The site treats a source otherwise than the provider says.
    ExceptionAdded = "exception-added", "is the reason sound, and the review near enough?";
    /// More ports are opened.
    PortAdded = "port-added", "does the provider call this port, and does the service answer there?";
    /// A target is rendered no more.
    TargetRemoved = "target-removed", "its rules stay in force where they were put, and follow no policy any more";
    /// A template is not as it was.
    TemplateChanged = "template-changed", "text around the rules can change what they mean: read the rendered difference";
}

/// Something that two people should look at.
#[derive(Debug, Clone)]
pub struct Concern {
    /// What kind of thing.
    pub kind: Kind,
    /// What it is: lower case, no full stop.
    pub message: String,
    /// The source, provider or target it is about.
    pub subject: Option<String>,
    /// Where it stands in the new state; in the old one where it is gone.
    pub label: Option<Label>,
}

impl Concern {
    fn new(kind: Kind, subject: &str, message: String) -> Self {
        Self { kind, message, subject: Some(subject.to_owned()), label: None }
    }

    fn at(mut self, source: &Arc<SourceText>, span: std::ops::Range<usize>) -> Self {
        self.label = Some(Label { source: Arc::clone(source), span, text: String::new() });
        self
    }
}

/// Everything of a change that two people should look at, by policy, then the site, then templates.
pub(super) fn concerns(old: &Side<'_>, new: &Side<'_>) -> Vec<Concern> {
    let mut found = Vec::new();
    for (provider, policy) in &new.policies.by_provider {
        match old.policies.by_provider.get(provider) {
            Some(before) => policy::changed(before, policy, &mut found),
            None => policy::added(policy, &mut found),
        }
    }
    site::changed(old, new, &mut found);
    found
}

/// Sources of the new state that are new, or of which something that counts changed.
pub(super) fn touched(old: &Side<'_>, new: &Side<'_>) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (provider, now) in &new.policies.by_provider {
        let before = old.policies.by_provider.get(provider);
        let fresh = now.sources.iter().filter(|source| {
            let before = before.and_then(|before| before.source(&source.id));
            before.is_none_or(|before| !policy::is_same(before, source))
        });
        found.extend(fresh.map(|source| (provider.clone(), source.id.to_string())));
    }
    found
}

/// The line of a text that starts with a key.
fn line_of(text: &SourceText, key: &str) -> std::ops::Range<usize> {
    let mut start = 0;
    for line in text.text.split_inclusive('\n') {
        if line.starts_with(key) {
            return start..start + line.trim_end().len();
        }
        start += line.len();
    }
    0..0
}
