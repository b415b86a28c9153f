//! Concerns about one provider's policy.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Concern, Kind, line_of};
use crate::diagnostic::Code;
use crate::plain::line;
use crate::policy::{Hosting, Lifecycle, Policy, Role, Source};
use crate::prefix::{Family, PrefixSet, listed};

/// A policy that was not there before.
pub(super) fn added(new: &Policy, found: &mut Vec<Concern>) {
    let provider = new.provider.as_str();
    let hosts: BTreeSet<String> =
        new.pages.values().map(|page| format!("`{}`", line(host(&page.url)))).collect();
    let hosts: Vec<String> = hosts.into_iter().collect();
    let message = format!("provider `{provider}` is new, read from {}", hosts.join(", "));
    found.push(
        Concern::new(Kind::NewProvider, provider, message).at(&new.text, line_of(&new.text, "provider:")),
    );
    for source in new.sources.iter().filter(|source| source.role != Role::Tombstone) {
        shared(None, source, new, found);
    }
    waivers(&[], new, found);
}

/// A policy that is on both sides.
pub(super) fn changed(old: &Policy, new: &Policy, found: &mut Vec<Concern>) {
    let set = |policy: &Policy, wanted: fn(Role) -> bool| -> PrefixSet {
        let sources = policy.sources.iter().filter(|source| wanted(source.role));
        sources.flat_map(|source| source.prefixes.iter().copied()).collect()
    };
    let was_withdrawn =
        set(old, |role| role == Role::Tombstone).difference(&set(old, |role| role != Role::Tombstone));
    let widest = widest(old);
    for source in new.sources.iter().filter(|source| source.role != Role::Tombstone) {
        let before = old.source(&source.id);
        wider(&widest, source, new, found);
        shared(before, source, new, found);
        let own: PrefixSet = source.prefixes.iter().copied().collect();
        let back = own.intersection(&was_withdrawn).to_prefixes();
        if !back.is_empty() {
            let message = format!("`{}` brings back {}, which was withdrawn", source.id, listed(&back, 5));
            let concern = Concern::new(Kind::TombstoneBack, source.id.as_str(), message);
            found.push(concern.at(&new.text, source.place.clone()));
        }
    }
    let stood: BTreeSet<Read<'_>> = old.sources.iter().flat_map(|source| reads(old, source)).collect();
    for source in &new.sources {
        evidence(old, source, (new, &stood), found);
    }
    pages(old, new, found);
    let known: Vec<_> = old
        .waivers
        .iter()
        .map(|waiver| (waiver.code, &waiver.source, &waiver.reason, waiver.until.ends()))
        .collect();
    waivers(&known, new, found);
}

/// The shortest length of each role and family.
type Widest = BTreeMap<(Role, Family), u8>;

fn widest(policy: &Policy) -> Widest {
    let mut widest = Widest::new();
    for source in &policy.sources {
        for prefix in &source.prefixes {
            let length = widest.entry((source.role, prefix.family())).or_insert(prefix.length());
            *length = prefix.length().min(*length);
        }
    }
    widest
}

/// A prefix that is wider than any of its family that the provider had in the same role.
fn wider(before: &Widest, source: &Source, new: &Policy, found: &mut Vec<Concern>) {
    for family in Family::ALL {
        let mine = source.prefixes.iter().filter(|prefix| prefix.family() == family);
        let Some(mine) = mine.min_by_key(|prefix| prefix.length()) else { continue };
        let widest = before.get(&(source.role, family)).copied();
        if mine.is_single() || widest.is_some_and(|widest| widest <= mine.length()) {
            continue;
        }
        let was = widest.map_or_else(|| "there was none".to_owned(), |was| format!("the widest was /{was}"));
        let message = format!("{mine} of `{}` is wider than any {family} prefix before: {was}", source.id);
        let concern = Concern::new(Kind::WiderThanBefore, source.id.as_str(), message);
        found.push(concern.at(&new.text, source.place.clone()));
    }
}

fn shared(before: Option<&Source>, source: &Source, new: &Policy, found: &mut Vec<Concern>) {
    if source.hosting != Hosting::Shared {
        return;
    }
    let known: PrefixSet = before
        .filter(|before| before.hosting == Hosting::Shared && before.role != Role::Tombstone)
        .map(|before| before.prefixes.iter().copied().collect())
        .unwrap_or_default();
    let own: PrefixSet = source.prefixes.iter().copied().collect();
    let fresh = own.difference(&known).to_prefixes();
    if !fresh.is_empty() {
        let message = format!("{} of `{}` is a cloud's, shared with others", listed(&fresh, 5), source.id);
        let concern = Concern::new(Kind::SharedHosting, source.id.as_str(), message);
        found.push(concern.at(&new.text, source.place.clone()));
    }
}

/// What was read where and when: the page's address, not the name that it has in the file.
type Read<'a> = (Option<&'a str>, [Option<&'a str>; 3], Timestamp);

fn reads<'a>(policy: &'a Policy, source: &'a Source) -> impl Iterator<Item = Read<'a>> {
    source.evidence.iter().map(|piece| {
        let url = policy.pages.get(&piece.page).map(|page| page.url.as_str());
        let words = [piece.section.as_deref(), piece.says.as_deref(), piece.version.as_deref()];
        (url, words, piece.read.starts())
    })
}

/// A source of which something that counts changed, while all its evidence stood in the old policy already.
fn evidence(
    old: &Policy,
    source: &Source,
    (new, stood): (&Policy, &BTreeSet<Read<'_>>),
    found: &mut Vec<Concern>,
) {
    let what = match old.source(&source.id) {
        None => "is new",
        Some(before) if is_same(before, source) => return,
        Some(_) => "changed",
    };
    if reads(new, source).all(|read| stood.contains(&read)) {
        let message = format!("source `{}` {what}, and all its evidence stood there before", source.id);
        let concern = Concern::new(Kind::NoNewEvidence, source.id.as_str(), message);
        found.push(concern.at(&new.text, source.place.clone()));
    }
}

/// Whether all that decides who is admitted, and when, is the same.
pub(super) fn is_same(old: &Source, new: &Source) -> bool {
    let instants = |source: &Source| -> Vec<_> {
        source
            .environments
            .iter()
            .map(|(environment, lifecycle)| (*environment, moments(lifecycle)))
            .collect()
    };
    (&old.prefixes, old.role, old.hosting) == (&new.prefixes, new.role, new.hosting)
        && instants(old) == instants(new)
}

fn moments(lifecycle: &Lifecycle) -> Vec<Option<(Timestamp, Timestamp)>> {
    let dated = lifecycle.dated().map(|dated| dated.map(|dated| &dated.moment));
    let all = dated.into_iter().chain([lifecycle.valid_until.moment()]);
    all.map(|moment| moment.map(|moment| (moment.starts(), moment.ends()))).collect()
}

fn pages(old: &Policy, new: &Policy, found: &mut Vec<Concern>) {
    let known: BTreeSet<String> =
        old.pages.values().map(|page| host(&page.url).to_ascii_lowercase()).collect();
    for (name, page) in &new.pages {
        let host = host(&page.url);
        if !known.contains(&host.to_ascii_lowercase()) {
            let provider = new.provider.as_str();
            let message =
                format!("page `{}` is on `{}`, where `{provider}` had none", line(name), line(host));
            let concern = Concern::new(Kind::NewPageHost, provider, message);
            found.push(concern.at(&new.text, line_of(&new.text, "pages:")));
        }
    }
}

/// The host of a page's address, with what a browser would take for it: no name before an `@`.
pub(crate) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

type Known<'a> = (Code, &'a Option<String>, &'a String, Timestamp);

fn waivers(known: &[Known<'_>], new: &Policy, found: &mut Vec<Concern>) {
    for waiver in &new.waivers {
        let same = (waiver.code, &waiver.source, &waiver.reason, waiver.until.ends());
        if known.contains(&same) {
            continue;
        }
        let about = waiver
            .source
            .as_deref()
            .map_or_else(|| "the whole file".to_owned(), |source| format!("`{}`", line(source)));
        let renewed = known.iter().any(|before| (before.0, before.1) == (same.0, same.1));
        let verb = if renewed { "is renewed or changed" } else { "is waived" };
        let message =
            format!("`{}` of {about} {verb} until {}: {}", waiver.code, waiver.until, line(&waiver.reason));
        let subject = waiver.source.as_deref().unwrap_or(new.provider.as_str());
        found.push(Concern::new(Kind::WaiverAdded, subject, message).at(&new.text, waiver.place.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_one_that_a_browser_asks() {
        for (url, wanted) in [
            ("https://bank.example/ips", "bank.example"),
            ("https://bank.example@evil.example/ips", "evil.example"),
            ("https://bank.example\\@evil.example", "bank.example"),
            ("https://bank.example?x=/", "bank.example"),
            ("https://bank.example", "bank.example"),
        ] {
            assert_eq!(host(url), wanted, "{url}");
        }
    }
}
