//! What falls due: reviews, deadlines and ends, past or near.

use jiff::{SignedDuration, Timestamp};

use super::validate::{apply_waivers, expired};
use super::{Dated, End, Hosting, Policy, Role, Source, State};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};

/// Findings about one policy at an instant, its waivers applied; `within` is how far ahead to look.
pub fn findings(policy: &Policy, at: Timestamp, within: SignedDuration) -> Diagnostics {
    let mut found = Diagnostics::new();
    // An instant beyond the end of time is the end of time.
    let horizon = at.checked_add(within).unwrap_or(Timestamp::MAX);
    for source in policy.sources.iter().filter(|source| source.role != Role::Tombstone) {
        if source.hosting == Hosting::Unknown {
            let message = format!("nobody has found out whose address space `{}` is", source.id);
            let unknown = Diagnostic::new(Code::HostingUnknown, message);
            let help = "look its addresses up, then write `hosting: dedicated`, `shared` or `owner`";
            found.push(
                unknown.at(&policy.text, source.place.clone(), "").help(help).about(source.id.as_str()),
            );
        }
        let mut told: Vec<String> = Vec::new();
        for diagnostic in source_findings(policy, source, at, horizon) {
            if !told.contains(&diagnostic.message) {
                told.push(diagnostic.message.clone());
                found.push(diagnostic);
            }
        }
    }
    let mut waivers = policy.waivers.clone();
    apply_waivers(&mut waivers, at, &mut found);
    for waiver in &waivers {
        if waiver.until.ends() <= at {
            found.push(expired(waiver, &policy.text));
        } else if !waiver.used {
            let subject = waiver.source.as_deref().unwrap_or("the whole file");
            let message = format!("waiver of {} for {subject} waives nothing now", waiver.code);
            let unused =
                Diagnostic::new(Code::WaiverUnused, message).at(&policy.text, waiver.place.clone(), "");
            found.push(unused.help("remove it once its cause is gone for good").about(subject));
        }
    }
    found
}

fn source_findings(policy: &Policy, source: &Source, at: Timestamp, horizon: Timestamp) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for lifecycle in source.environments.values() {
        if lifecycle.state(at) == State::Expired {
            continue;
        }
        let mut tell = |dated: &Dated, passed: Option<(Code, &str)>, ahead: &str, help: &str| {
            let due = dated.moment.ends();
            let (code, message) = match passed {
                Some((code, words)) if due <= at => {
                    (code, format!("{words} of `{}` was {}", source.id, dated.moment))
                }
                _ if due > at && due <= horizon => {
                    (Code::DueSoon, format!("{ahead} of `{}` is {}", source.id, dated.moment))
                }
                Some(_) | None => return,
            };
            let place = Diagnostic::new(code, message).at(&policy.text, dated.place.clone(), "");
            found.push(place.help(help).about(source.id.as_str()));
        };
        if let Some(review) = &lifecycle.review_by {
            let help = "read the provider's page, then set a later `review_by` or an end, with evidence";
            tell(review, Some((Code::ReviewOverdue, "the review date")), "the review date", help);
        }
        if let Some(deadline) = &lifecycle.deadline {
            let help = "make sure the successor is admitted everywhere; waive it with a reason once done";
            tell(
                deadline,
                Some((Code::DeadlinePassed, "the merchants' deadline")),
                "the merchants' deadline",
                help,
            );
        }
        if let End::At(end) = &lifecycle.valid_until {
            tell(
                end,
                None,
                "the end",
                "it leaves the allowlist then; a site may hold it longer with a reason",
            );
        }
    }
    found
}
