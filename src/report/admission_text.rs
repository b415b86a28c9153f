//! What gets in, for people.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::admission_v1::{Describe, LayerReport, QuestionReport};
use super::change_v1::ChangeReport;
use super::drift_text;
use crate::admission::{Admission, Decided, RuleId, Ruling};
use crate::path::Crossing;
use crate::plain::line;
use crate::prefix::{Family, Prefix, PrefixSet};

/// Most ranges that are written out for a rule that refuses.
const REFUSED_MAX: usize = 4;
/// Most rules that are told one by one: of more nobody reads each, and `--format json` has them all.
const RULES_MAX: usize = 1_000;
/// Where a line of ranges ends.
const COLUMNS_MAX: usize = 100;

// Writing into a String can't fail, so the results below are dropped.

/// The answer for all sources.
pub fn admission(
    question: &QuestionReport,
    admission: &Admission,
    plan: Option<&ChangeReport>,
    describe: Describe<'_>,
) -> String {
    let mut text = heading(question);
    for family in Family::ALL {
        let _ = writeln!(text, "\n{family}");
        let decided = || admission.decided.of_family(family);
        let admitted = || decided().filter(|one| one.ruling == Ruling::Accept);
        let refused = || decided().filter(|one| one.ruling != Ruling::Accept);
        let (admitting, refusing) = rules(decided());
        let between = admission.possibly.difference(&admission.surely).only(family);
        if admitting > 0 {
            text.push_str("  admitted\n");
        } else if between.is_empty() {
            text.push_str("  nobody is admitted\n");
        }
        if admitting > RULES_MAX {
            by_many(admitting, &admission.surely.only(family), &mut text);
        } else if let (1, Some(only)) = (admitting, admitted().next()) {
            // Of one rule, however many it admits, the whole set is what it admits.
            wrapped(admission.surely.only(family).ranges(), &mut text);
            text.push_str(&decided_by("by", only.rule, describe, 6));
        } else {
            for group in groups(admitted(), usize::MAX) {
                wrapped(group.ranges, &mut text);
                text.push_str(&decided_by("by", group.rule, describe, 6));
            }
        }
        if !between.is_empty() {
            text.push_str("  undetermined\n");
            wrapped(between.ranges(), &mut text);
        }
        if refusing > 0 {
            text.push_str("  refused\n");
        }
        if refusing > RULES_MAX {
            by_many(refusing, &admission.possibly.complement().only(family), &mut text);
        } else {
            refusals(&groups(refused(), REFUSED_MAX), describe, &mut text);
        }
    }
    if let Some(change) = plan {
        drift_text::plan("the plan,", change, &mut text);
    }
    rest(admission, describe, &mut text);
    text
}

/// Sources with one fate, by one rule.
struct Group {
    rule: Option<RuleId>,
    ruling: Ruling,
    /// The first of them.
    ranges: Vec<(IpAddr, IpAddr)>,
    /// How many there are.
    count: usize,
}

/// How many rules admit, and how many refuse.
fn rules(decided: impl Iterator<Item = Decided>) -> (usize, usize) {
    let (mut admitting, mut refusing) = (Vec::new(), Vec::new());
    for one in decided {
        let rules = if one.ruling == Ruling::Accept { &mut admitting } else { &mut refusing };
        if rules.last() != Some(&one.rule) {
            rules.push(one.rule);
        }
    }
    let count = |mut rules: Vec<Option<RuleId>>| {
        rules.sort_unstable();
        rules.dedup();
        rules.len()
    };
    (count(admitting), count(refusing))
}

/// By rule, in the order of their first addresses; of each as many ranges as are wanted.
fn groups(decided: impl Iterator<Item = Decided>, most: usize) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut known = HashMap::new();
    let mut last = None;
    for one in decided {
        // One rule often decides all the ranges between those of others.
        let at = match last {
            Some((key, at)) if key == (one.rule, one.ruling) => at,
            _ => *known.entry((one.rule, one.ruling)).or_insert_with(|| {
                groups.push(Group { rule: one.rule, ruling: one.ruling, ranges: Vec::new(), count: 0 });
                groups.len().saturating_sub(1)
            }),
        };
        last = Some(((one.rule, one.ruling), at));
        let Some(group) = groups.get_mut(at) else { continue };
        group.count = group.count.saturating_add(1);
        if group.ranges.len() < most {
            group.ranges.push((one.first, one.last));
        }
    }
    groups
}

/// What very many rules decide, as the fewest ranges.
fn by_many(count: usize, sources: &PrefixSet, text: &mut String) {
    wrapped(sources.ranges(), text);
    let _ = writeln!(
        text,
        "      by {count} rules: `--format json` names each, and `--source ADDRESS` the one for an address"
    );
}

/// Who is refused. One rule's sources are everybody else where all others are written out.
fn refusals(refused: &[Group], describe: Describe<'_>, text: &mut String) {
    let largest = refused.iter().map(|group| group.count).max().unwrap_or(0);
    let is_long = |group: &&Group| group.count > REFUSED_MAX;
    let long = refused.iter().filter(is_long).count();
    let mut others = refused.iter().filter(|group| group.count == largest);
    let rest = match (others.next(), others.next()) {
        (Some(only), None) if long <= 1 && largest > 1 => only.rule,
        _ => None,
    };
    for group in refused {
        if group.rule.is_some() && group.rule == rest {
            text.push_str("    everybody else\n");
        } else if is_long(&group) {
            let _ = writeln!(text, "    {} ranges", group.count);
        } else {
            wrapped(group.ranges.iter().copied(), text);
        }
        text.push_str(&decided_by(did(group.ruling), group.rule, describe, 6));
    }
}

/// Ranges, as many a line as fit.
fn wrapped(ranges: impl IntoIterator<Item = (IpAddr, IpAddr)>, text: &mut String) {
    // Gathered as bytes, and taken over line by line: there may be very many.
    let mut line: Vec<u8> = b"   ".to_vec();
    for (number, (first, last)) in ranges.into_iter().enumerate() {
        let start = line.len();
        if number > 0 {
            line.push(b',');
        }
        line.push(b' ');
        match Prefix::between(first, last) {
            Some(all) if all.length() == 0 => line.extend_from_slice(format!("everybody ({all})").as_bytes()),
            Some(prefix) => prefix.short().push_to(&mut line),
            None => line.extend_from_slice(format!("{first}-{last}").as_bytes()),
        }
        if number > 0 && line.len().saturating_sub(1) > COLUMNS_MAX {
            // The comma stays where it is.
            let split = start.saturating_add(1);
            push_line(line.get(..split).unwrap_or_default(), text);
            line.drain(..split);
            line.splice(..0, *b"   ");
        }
    }
    push_line(&line, text);
}

/// Adds a line, which is text.
fn push_line(line: &[u8], text: &mut String) {
    text.push_str(str::from_utf8(line).unwrap_or_default());
    text.push('\n');
}

/// The rule below what it decides: its place on one line, its text on the next.
fn decided_by(how: &str, rule: Option<RuleId>, describe: Describe<'_>, indent: usize) -> String {
    let Some(decider) = rule.map(describe) else {
        return format!("{:indent$}{how} no rule: none looks at it\n", "");
    };
    let mut text = format!("{:indent$}{how} {}\n", "", decider.located());
    if !decider.text.is_empty() {
        let _ = writeln!(text, "{:indent$}  {}", "", line(&decider.text));
    }
    text
}

fn did(ruling: Ruling) -> &'static str {
    match ruling {
        Ruling::Accept => "accepted by",
        Ruling::Drop => "dropped by",
        Ruling::Reject => "rejected by",
    }
}

/// The answer for one source, rule by rule.
pub fn trace(question: &QuestionReport, crossing: &Crossing, describe: Describe<'_>) -> String {
    let mut text = heading(question);
    let source = question.source.clone().unwrap_or_default();
    let admission = &crossing.admission;
    text.push('\n');
    let met = if let Some(one) = admission.decided.first() {
        let verdict = if one.ruling == Ruling::Accept { "admitted" } else { "refused" };
        let _ = writeln!(text, "{source} is {verdict}");
        text.push_str(&decided_by(did(one.ruling), one.rule, describe, 2));
        "\nWhat it meets\n"
    } else {
        let _ = writeln!(text, "{source} is undetermined: see what is undecided, below");
        "\nWhat it meets, on every way that is possible\n"
    };
    layers(question, crossing, &mut text);
    text.push_str(met);
    let mut before = (0, "");
    for (layer, step) in &crossing.steps {
        if (*layer, step.packet) != before {
            let _ = writeln!(text, "  {}{}", layer_prefix(question, *layer), point(step.packet));
            before = (*layer, step.packet);
        }
        let decider = describe(step.rule);
        let _ = writeln!(text, "    {} {}", decider.title, line(&step.did));
        if !decider.text.is_empty() {
            let _ = writeln!(text, "      {}", line(&decider.text));
        }
    }
    if crossing.steps.is_empty() {
        text.push_str("  no rule\n");
    }
    rest(admission, describe, &mut text);
    text
}

/// What each layer says for itself, where there are several.
fn layers(question: &QuestionReport, crossing: &Crossing, text: &mut String) {
    if question.layers.len() < 2 {
        return;
    }
    text.push_str("\nLayer by layer\n");
    for (layer, answer) in question.layers.iter().zip(&crossing.layers) {
        let verdict = answer.decided.first().map_or("undetermined", |one| match one.ruling {
            Ruling::Accept => "admits it",
            Ruling::Drop => "drops it",
            Ruling::Reject => "rejects it",
        });
        let _ = writeln!(text, "  {:14} {verdict}", layer.layer);
    }
}

/// The layer of a step, where there are several.
fn layer_prefix(question: &QuestionReport, layer: usize) -> String {
    let several = question.layers.len() > 1;
    let named = question.layers.get(layer).filter(|_| several);
    named.map(|layer| format!("{}: ", layer.layer)).unwrap_or_default()
}

fn point(packet: &str) -> &'static str {
    match packet {
        "syn" => "the first packet, inwards (SYN)",
        "syn-ack" => "the answer, outwards (SYN-ACK)",
        "ack" => "the last packet of the handshake, inwards (ACK)",
        _ => "the request",
    }
}

fn heading(question: &QuestionReport) -> String {
    let address = if question.addresses.is_empty() {
        String::new()
    } else {
        format!(" of {}", question.addresses.join(" and "))
    };
    let port = question.port;
    let asked = match question.layers.iter().find_map(|layer| layer.request.as_ref()) {
        None => format!("Who can open a connection to {}/{port}{address}", question.protocol),
        Some(request) => {
            let method = request.method.as_ref().map_or("request", |method| method);
            let server = request.server_name.as_ref().map_or("any server", |name| name);
            let path = if request.path.is_empty() { "any path" } else { &request.path };
            format!(
                "Whose {} for {} of {} at port {port}{address} is served",
                line(method),
                line(path),
                line(server)
            )
        }
    };
    // Only a host has interfaces that rules can name.
    let interface = match &question.interface {
        Some(name) => format!(" on interface {}", line(name)),
        None if question.layers.iter().any(|layer| layer.layer == "host") => " on any interface".to_owned(),
        None => String::new(),
    };
    let mut text = format!("{asked}{interface}, at {}\n", question.at);
    for layer in &question.layers {
        let through = through(layer);
        if !through.is_empty() {
            let _ = writeln!(text, "{}: {through}", layer.layer);
        }
    }
    let listings: Vec<String> = question.listings.iter().map(|name| line(name)).collect();
    let _ = writeln!(text, "read from: {}", listings.join(", "));
    text
}

/// How callers reach a layer, where that is worth saying.
fn through(layer: &LayerReport) -> String {
    let mut words = Vec::new();
    if !layer.groups.is_empty() {
        words.push(layer.groups.iter().map(|group| line(group)).collect::<Vec<_>>().join(", "));
    }
    words.extend(layer.port.map(|port| format!("at port {port}")));
    words.extend(layer.proxy.as_ref().map(|proxy| format!("through the proxy {proxy}")));
    words.join(", ")
}

fn rest(admission: &Admission, describe: Describe<'_>, text: &mut String) {
    if !admission.undecided.is_empty() {
        text.push_str("\nUndecided\n");
    }
    for open in &admission.undecided {
        let _ = writeln!(text, "  {}", line(&open.why));
        if let Some(decider) = open.rule.map(describe) {
            let _ = writeln!(text, "    at       {}", decider.located());
            if !decider.text.is_empty() {
                let _ = writeln!(text, "             {}", line(&decider.text));
            }
        }
        let _ = writeln!(text, "    concerns {}", ranges(&open.sources));
    }
    if !admission.findings.is_empty() {
        text.push_str("\nFindings\n");
    }
    for found in &admission.findings {
        let _ = writeln!(text, "  {}: {}", found.kind.as_str(), line(&found.message));
        if let Some(decider) = found.rule.map(describe) {
            let _ = writeln!(text, "    at       {}", decider.located());
        }
        let _ = writeln!(text, "    help     {}", line(&found.help));
    }
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
    match Prefix::between(first, last) {
        Some(prefix) => prefix.short().to_string(),
        None => format!("{first}-{last}"),
    }
}
