//! What gets in, for people.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::admission_v1::{Describe, QuestionReport};
use crate::admission::{Admission, Decided, RuleId, Ruling};
use crate::netfilter::evaluate::Step;
use crate::plain::line;
use crate::prefix::{Family, Prefix, PrefixSet};

/// Most ranges that are listed one by one for a rule that refuses.
const REFUSED_MAX: usize = 4;

// Writing into a String can't fail, so the results below are dropped.

/// The answer for all sources.
pub fn admission(question: &QuestionReport, admission: &Admission, describe: Describe<'_>) -> String {
    let mut text = heading(question);
    for family in [Family::V4, Family::V6] {
        let _ = writeln!(text, "\n{}", if family == Family::V4 { "IPv4" } else { "IPv6" });
        let surely = admission.surely.only(family);
        let between = admission.possibly.difference(&admission.surely).only(family);
        if surely.is_empty() && between.is_empty() {
            text.push_str("  nobody is admitted\n");
        }
        let of_family = |one: &&Decided| one.first.is_ipv4() == (family == Family::V4);
        if !surely.is_empty() {
            text.push_str("  admitted\n");
            for one in admission.decided.iter().filter(of_family).filter(|one| one.ruling == Ruling::Accept) {
                let _ =
                    writeln!(text, "    {:<43} by {}", range(one.first, one.last), by(one.rule, describe));
            }
        }
        if !between.is_empty() {
            text.push_str("  undetermined\n");
            for (first, last) in between.ranges() {
                let _ = writeln!(text, "    {}", range(first, last));
            }
        }
        refused(admission.decided.iter().filter(of_family), describe, &mut text);
    }
    rest(admission, describe, &mut text);
    text
}

/// Who is refused, by the rule that does it.
fn refused<'a>(decided: impl Iterator<Item = &'a Decided>, describe: Describe<'_>, text: &mut String) {
    let mut rules: Vec<(Option<RuleId>, Ruling, Vec<&Decided>)> = Vec::new();
    let mut known = std::collections::HashMap::new();
    for one in decided.filter(|one| one.ruling != Ruling::Accept) {
        let at = *known.entry((one.rule, one.ruling)).or_insert_with(|| {
            rules.push((one.rule, one.ruling, Vec::new()));
            rules.len().saturating_sub(1)
        });
        if let Some(group) = rules.get_mut(at) {
            group.2.push(one);
        }
    }
    if !rules.is_empty() {
        text.push_str("  refused\n");
    }
    for (rule, ruling, ranges) in rules {
        let did = if ruling == Ruling::Reject { "rejected" } else { "dropped" };
        let what = if ranges.len() > REFUSED_MAX {
            format!("{} ranges", ranges.len())
        } else {
            ranges.iter().map(|one| range(one.first, one.last)).collect::<Vec<_>>().join(", ")
        };
        let _ = writeln!(text, "    {what:<43} {did} by {}", by(rule, describe));
    }
}

/// The answer for one source, rule by rule.
pub fn trace(
    question: &QuestionReport,
    admission: &Admission,
    steps: &[Step],
    describe: Describe<'_>,
) -> String {
    let mut text = heading(question);
    let source = question.source.clone().unwrap_or_default();
    let verdict = match admission.decided.first() {
        Some(one) if one.ruling == Ruling::Accept => {
            format!("{source} gets in, by {}", by(one.rule, describe))
        }
        Some(one) => {
            let did = if one.ruling == Ruling::Reject { "rejected" } else { "dropped" };
            format!("{source} is {did} by {}", by(one.rule, describe))
        }
        None => format!("{source} may get in, and may not: it hangs on what can't be decided"),
    };
    let _ = writeln!(text, "\n{verdict}\n");
    let mut packet = "";
    for step in steps {
        if step.packet != packet {
            let what = match step.packet {
                "syn" => "the first packet, inwards (SYN)",
                "syn-ack" => "the answer, outwards (SYN-ACK)",
                _ => "the last packet of the handshake, inwards (ACK)",
            };
            let _ = writeln!(text, "  {what}");
            packet = step.packet;
        }
        let _ = writeln!(text, "    {} {}", by(Some(step.rule), describe), line(&step.did));
    }
    rest(admission, describe, &mut text);
    text
}

fn heading(question: &QuestionReport) -> String {
    let interface = question
        .interface
        .as_ref()
        .map_or_else(|| "any interface".to_owned(), |name| format!("interface {}", line(name)));
    let address = if question.addresses.is_empty() {
        String::new()
    } else {
        format!(" of {}", question.addresses.join(" and "))
    };
    let listings: Vec<String> = question.listings.iter().map(|name| line(name)).collect();
    format!(
        "Who can open a connection to {}/{}{address} on {interface}, at {}\nread from: {}\n",
        question.protocol,
        question.port,
        question.at,
        listings.join(", ")
    )
}

fn rest(admission: &Admission, describe: Describe<'_>, text: &mut String) {
    if !admission.undecided.is_empty() {
        text.push_str("\nUndecided\n");
    }
    for open in &admission.undecided {
        let rule = open.rule.map_or_else(String::new, |rule| format!("{}: ", by(Some(rule), describe)));
        let _ = writeln!(text, "  {rule}{}", line(&open.why));
        let _ = writeln!(text, "    concerns {}", ranges(&open.sources));
    }
    if !admission.findings.is_empty() {
        text.push_str("\nFindings\n");
    }
    for found in &admission.findings {
        let rule = found.rule.map_or_else(String::new, |rule| format!(" ({})", by(Some(rule), describe)));
        let _ = writeln!(text, "  {}: {}{rule}", found.kind.as_str(), line(&found.message));
        let _ = writeln!(text, "    help: {}", line(&found.help));
    }
}

/// A rule in a line.
pub fn by(rule: Option<RuleId>, describe: Describe<'_>) -> String {
    let Some(rule) = rule else { return "no rule: none looks at it".to_owned() };
    let decider = describe(rule);
    let handle = decider.facts.get("handle").map(|handle| format!(", handle {handle}")).unwrap_or_default();
    if decider.text.is_empty() {
        return format!("{}{handle}", decider.title);
    }
    format!("{}{handle}: {}", decider.title, line(&decider.text))
}

/// A few ranges, and how many more.
fn ranges(set: &PrefixSet) -> String {
    let mut shown: Vec<String> =
        set.ranges().take(REFUSED_MAX).map(|(first, last)| range(first, last)).collect();
    let more = set.ranges().count().saturating_sub(shown.len());
    if more > 0 {
        shown.push(format!("and {more} more ranges"));
    }
    shown.join(", ")
}

/// A prefix where it is one, else first and last.
pub fn range(first: IpAddr, last: IpAddr) -> String {
    if first == last {
        return first.to_string();
    }
    let only: Vec<Prefix> = PrefixSet::between(first, last).to_prefixes();
    match only.as_slice() {
        [one] => one.to_string(),
        _ => format!("{first}-{last}"),
    }
}
