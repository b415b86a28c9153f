//! The smallest change that lets sources in, or keeps them out, as lines at the place of the deciding one. Nothing
//! is written: a person reads it, and decides.

use super::Asked;
use super::level::{Role, ruled};
use crate::admission::{RuleId, Wanted};
use crate::plain::line;
use crate::prefix::PrefixSet;

/// More lines than these belong into a file of their own.
const LINES_MAX: usize = 16;
/// What makes nginx take a change.
const RELOAD: &str = "then `nginx -t && nginx -s reload`";

impl Asked<'_> {
    /// The lines to add, and where; `None` where no short change is safe.
    pub(super) fn lines(&self, id: RuleId, sources: &PrefixSet, wanted: Wanted) -> Option<String> {
        let (number, role) = ruled(id)?;
        let directive = self.program.directive(number)?;
        let listing = self.files.listings().get(usize::try_from(directive.place.file).ok()?)?;
        let place = format!("{}:{}", line(&listing.name), directive.place.line);
        let lines = |word: &str| {
            let prefixes = sources.to_prefixes();
            let few = !prefixes.is_empty() && prefixes.len() <= LINES_MAX;
            few.then(|| {
                let all = prefixes.iter().map(|prefix| format!("{word} {};", prefix.short()));
                all.collect::<Vec<_>>().join(" ")
            })
        };
        match (role, directive.name(), wanted) {
            (Role::Directive, "deny", Wanted::Admit) => {
                Some(format!("add `{}` before {place}, {RELOAD}", lines("allow")?))
            }
            (Role::Directive, "allow", Wanted::Refuse) => {
                Some(format!("add `{}` before {place}, {RELOAD}", lines("deny")?))
            }
            (Role::EndOfList, _, Wanted::Refuse) => {
                let (_, list) = self.program.list(self.program.opened(number)?)?;
                let end = self.program.directive(list.last)?;
                let listing = self.files.listings().get(usize::try_from(end.place.file).ok()?)?;
                Some(format!("add `deny all;` after {}:{}, {RELOAD}", line(&listing.name), end.place.line))
            }
            _ => None,
        }
    }
}
