//! An edited policy, read again and held against what was meant.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Proposal;
use super::source::Added;
use crate::diagnostic::{Diagnostics, SourceText};
use crate::policy::format::same;
use crate::policy::history;
use crate::policy::load::Policies;
use crate::policy::raw::RawPolicy;
use crate::policy::validate::{Lists, parse_raw, validate};
use crate::policy::{Policy, Source};
use crate::prefix::{Prefix, PrefixSet};
use crate::yaml::{Node, Quoting, Value, parse};

/// Refuses an edit that says anything but what was meant: more, less, or what `check` refuses.
pub(super) fn as_meant(
    old: &Policy,
    raw: &RawPolicy,
    proposal: &Proposal,
    at: Timestamp,
) -> Result<(), String> {
    let text = SourceText::new(old.text.name.clone(), proposal.text.clone());
    let mut found = Diagnostics::new();
    let lists = lists(old, raw);
    let read = parse_raw(&text, &mut found).and_then(|raw| validate(raw, &text, &lists, at, &mut found));
    let Some(new) = read else { return Err(first_error(&found)) };
    if new.revision != proposal.revision {
        return Err(format!("its revision is {}", new.revision));
    }
    let ids: BTreeSet<&str> = proposal.added.iter().map(|added| added.id.as_str()).collect();
    for added in &proposal.added {
        let is_there = new.source(&added.id).is_some_and(|source| is_meant(added, source));
        if !is_there {
            return Err(format!("source `{}` is another one", added.id));
        }
    }
    if new.sources.len() != old.sources.len().saturating_add(ids.len()) {
        return Err("other sources came or went".to_owned());
    }
    let (before, after) = (parse(&old.text, &mut found), parse(&text, &mut found));
    let kept = before.zip(after).is_some_and(|(before, after)| same(&rest(before, old), &rest(after, old)));
    if !kept {
        return Err("something else changed".to_owned());
    }
    let sides = [old.clone(), new].map(|policy| Policies {
        by_provider: BTreeMap::from([(policy.provider.to_string(), policy)]),
        refused: BTreeSet::new(),
    });
    let [before, after] = &sides;
    history::compare(before, after, at, &mut found);
    if found.has_errors() { Err(first_error(&found)) } else { Ok(()) }
}

fn first_error(found: &Diagnostics) -> String {
    let first = found.iter().find(|diagnostic| diagnostic.is_error());
    first.map_or_else(|| "it can't be read".to_owned(), |first| format!("{}: {}", first.code, first.message))
}

fn is_meant(added: &Added, source: &Source) -> bool {
    let wanted: PrefixSet = added.prefixes.iter().copied().collect();
    let is_evident = source.evidence.iter().all(|evidence| evidence.page == added.page);
    wanted == source.prefixes.iter().copied().collect()
        && source.role == added.role
        && source.hosting == added.hosting
        && source.environments.keys().eq(added.environments.iter())
        && is_evident
}

/// What files of prefixes must have held, by what the policy holds.
fn lists(policy: &Policy, raw: &RawPolicy) -> Lists {
    let mut lists = Lists::new();
    for source in raw.sources.iter().flatten() {
        let Some((path, id)) = source.prefixes_from.as_ref().zip(source.id.as_ref()) else { continue };
        let own: BTreeSet<Prefix> =
            source.prefixes.iter().flat_map(|written| &written.read).copied().collect();
        let held = policy.sources.iter().find(|held| held.id.as_str() == id.value);
        let listed = held.into_iter().flat_map(|held| &held.prefixes).filter(|prefix| !own.contains(prefix));
        let text: Vec<String> = listed.map(ToString::to_string).collect();
        lists.insert(path.value.clone(), SourceText::new(path.value.clone(), text.join("\n")));
    }
    lists
}

/// A policy's tree without what a proposal may change: the revision, days of verification, and sources after the old ones.
fn rest<'a>(root: Node<'a>, old: &Policy) -> Node<'a> {
    let Value::Mapping(entries, layout) = root.value else { return root };
    let entries = entries.into_iter().map(|(key, value)| {
        let name = match &key.value {
            Value::Scalar(text, _) => text.clone().into_owned(),
            Value::Sequence(_) | Value::Mapping(..) => String::new(),
        };
        let value = match name.as_str() {
            "revision" => blank(value),
            "pages" => pages(value),
            "sources" => truncated(value, old.sources.len()),
            _ => value,
        };
        (key, value)
    });
    Node { span: root.span, value: Value::Mapping(entries.collect(), layout) }
}

fn blank(node: Node<'_>) -> Node<'_> {
    Node { span: node.span, value: Value::Scalar("".into(), Quoting::Quoted) }
}

fn truncated(mut node: Node<'_>, length: usize) -> Node<'_> {
    if let Value::Sequence(items) = &mut node.value {
        items.truncate(length);
    }
    node
}

fn pages(node: Node<'_>) -> Node<'_> {
    let Value::Mapping(pages, layout) = node.value else { return node };
    let pages = pages.into_iter().map(|(name, page)| {
        let Value::Mapping(fields, layout) = page.value else { return (name, page) };
        let fields = fields.into_iter().map(|(key, value)| {
            let is_verified = matches!(&key.value, Value::Scalar(text, _) if text == "verified");
            (key, if is_verified { blank(value) } else { value })
        });
        (name, Node { span: page.span, value: Value::Mapping(fields.collect(), layout) })
    });
    Node { span: node.span, value: Value::Mapping(pages.collect(), layout) }
}
