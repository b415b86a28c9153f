//! One page against the policy: what it lists and the policy does not have, and the other way round.

use std::collections::BTreeSet;

use super::dispute::Disputes;
use super::finding::{Finding, FindingCode, Weight};
use super::listing::{Listing, Piece};
use super::wanted::{Known, ROLES};
use super::{Addition, Observed, Outcome, PageComparison, Reading, Seen, dates};
use crate::policy::{Environment, Page, Policy, Role, State};
use crate::prefix::{Prefix, PrefixSet, listed};

/// Most prefixes that are written out in a message.
const SHOWN_MAX: usize = 8;

/// A page with what came of it.
#[derive(Debug)]
pub(super) struct Read<'r> {
    pub(super) name: &'r str,
    page: &'r Page,
    observed: Option<&'r Observed>,
    /// Whether it decides where pages disagree.
    pub(super) decides: bool,
    /// What it lists, where it was read whole.
    pub(super) listing: Option<Listing<'r>>,
    outcome: Outcome,
    reason: Option<String>,
    moved_to: Option<String>,
}

/// The names of a policy's pages: those that decide first, then by name.
pub(super) fn in_order(policy: &Policy) -> impl Iterator<Item = &str> {
    let named = |wanted: bool| {
        let pages = policy.pages.iter().filter(move |(_, page)| decides(policy, page) == wanted);
        pages.map(|(name, _)| name.as_str())
    };
    named(true).chain(named(false))
}

/// Whether a page decides where pages disagree: the primary one; where none is, each that is watched.
fn decides(policy: &Policy, page: &Page) -> bool {
    let has_primary = policy.pages.values().any(|page| page.primary && page.watched);
    page.watched && (page.primary || !has_primary)
}

impl<'r> Read<'r> {
    pub(super) fn of(
        policy: &'r Policy,
        known: &Known<'_>,
        name: &'r str,
        observed: &'r [Observed],
    ) -> Option<Self> {
        let page = policy.pages.get(name)?;
        let observed = observed.iter().find(|one| one.page == name).filter(|_| page.watched);
        let mut read = Self {
            name,
            page,
            observed,
            decides: decides(policy, page),
            listing: None,
            outcome: Outcome::NotWatched,
            reason: None,
            moved_to: None,
        };
        if page.watched {
            read.take(known, observed.map(|observed| &observed.seen));
        } else {
            read.reason = Some("kept as evidence only: `watched: false`".to_owned());
        }
        Some(read)
    }

    fn take(&mut self, known: &Known<'_>, seen: Option<&'r Seen>) {
        let (outcome, reason) = match seen {
            None => (Outcome::Unreachable, "it was not asked for".to_owned()),
            Some(Seen::Unreachable(reason)) => (Outcome::Unreachable, reason.clone()),
            Some(Seen::Unreadable(why) | Seen::Read(Reading::Unreadable(why))) => {
                let line = why.line.map(|line| format!("line {line}: ")).unwrap_or_default();
                (Outcome::Unreadable, format!("{line}{}", why.reason))
            }
            Some(Seen::Moved(to, reason)) => {
                self.moved_to.clone_from(to);
                (Outcome::Moved, reason.clone())
            }
            Some(Seen::Read(Reading::Moved(to))) => {
                self.moved_to.clone_from(to);
                (Outcome::Moved, "it says that it stands somewhere else".to_owned())
            }
            Some(Seen::Read(Reading::List(entries))) if !entries.is_empty() => {
                self.listing = Some(Listing::of(entries));
                self.outcome = Outcome::Agrees;
                return;
            }
            Some(Seen::Read(Reading::List(_) | Reading::Empty)) => {
                let missed: Vec<Prefix> =
                    ROLES.iter().flat_map(|role| known.expected(self.name, *role).to_prefixes()).collect();
                if missed.is_empty() {
                    // Nothing is expected of it, and nothing is on it.
                    self.outcome = Outcome::Agrees;
                    return;
                }
                (Outcome::Empty, format!("it lists no address, where {} stood", listed(&missed, SHOWN_MAX)))
            }
        };
        (self.outcome, self.reason) = (outcome, Some(reason));
    }

    /// The page as it is told of, given what was found on it.
    pub(super) fn compared(&self, found: &[Finding]) -> PageComparison {
        let weight = found.iter().map(|finding| finding.code.weight()).max();
        let outcome = match (self.outcome, weight) {
            (Outcome::Agrees, Some(Weight::Drift)) => Outcome::Drift,
            (Outcome::Agrees, Some(Weight::Disagreement)) => Outcome::PagesDisagree,
            (outcome, _) => outcome,
        };
        PageComparison {
            page: self.name.to_owned(),
            url: self.page.url.clone(),
            section: self.page.section.clone(),
            decides: self.decides,
            outcome,
            reason: self.reason.clone(),
            help: self.observed.and_then(|observed| observed.help.clone()).or_else(|| help(outcome)),
            moved_to: self.moved_to.clone(),
            read_at: self.observed.map(|observed| observed.at),
            digest: self.observed.and_then(|observed| observed.digest.clone()),
            entries: self.listing.as_ref().map_or(0, Listing::len),
        }
    }
}

/// What a page lists in a role and the policy does not have, by what it is.
struct Unknown {
    withdrawn: PrefixSet,
    expired: PrefixSet,
    /// In the policy in the other role.
    other_role: PrefixSet,
    /// Nothing of all that.
    new: PrefixSet,
}

impl Unknown {
    fn of(known: &Known<'_>, page: &str, listing: &Listing<'_>, role: Role) -> Self {
        let unknown = listing.listed(role).any.difference(&known.current(role));
        let withdrawn = known.withdrawn(role, &unknown);
        let unknown = unknown.difference(&withdrawn);
        let expired = unknown.intersection(&known.expired(role));
        let unknown = unknown.difference(&expired);
        let other_role = match role {
            Role::Callback | Role::Tombstone => unknown.intersection(&called_owned(known, listing)),
            Role::OwnerNetwork => {
                let callbacks = known.current(Role::Callback).difference(&listing.listed(Role::Callback).any);
                let missed = known.expected(page, Role::Callback).intersection(&callbacks);
                unknown.intersection(&missed).union(&whole(&unknown, &callbacks))
            }
        };
        let unknown = match role {
            Role::Callback | Role::Tombstone => unknown,
            // What the page lists as a callback source too is one: that role admits more.
            Role::OwnerNetwork => unknown.difference(&whole(&unknown, &listing.listed(Role::Callback).any)),
        };
        let new = unknown.difference(&other_role);
        Self { withdrawn, expired, other_role, new }
    }
}

/// Those of the fewest prefixes of a set that another set covers.
fn whole(set: &PrefixSet, covering: &PrefixSet) -> PrefixSet {
    let prefixes = if set.intersection(covering).is_empty() { Vec::new() } else { set.to_prefixes() };
    prefixes.into_iter().filter(|prefix| covering.covers(&[*prefix].into_iter().collect())).collect()
}

/// The provider's networks that are listed as callback sources, each as a whole.
fn called_owned(known: &Known<'_>, listing: &Listing<'_>) -> PrefixSet {
    let callbacks = &listing.listed(Role::Callback).any;
    let held =
        known.sources.iter().filter(|held| held.is_current() && held.source.role == Role::OwnerNetwork);
    let prefixes = held.flat_map(|held| held.source.prefixes.iter().copied());
    prefixes.filter(|prefix| callbacks.covers(&[*prefix].into_iter().collect())).collect()
}

/// Everything that is found on a page.
pub(super) fn findings(known: &Known<'_>, read: &Read<'_>, disputes: &Disputes) -> Vec<Finding> {
    let Some(listing) = &read.listing else { return Vec::new() };
    let mut found = Vec::new();
    for role in ROLES {
        let unknown = Unknown::of(known, read.name, listing, role);
        found.extend(new_ones(known, read, role, &unknown, disputes));
        found.extend(come_back(known, read.name, listing, role, &unknown));
        found.extend(missing(known, read, role, disputes));
        found.extend(environments(known, read.name, listing, role));
        found.extend(early(known, read.name, listing, role));
        found.extend(dates::differing(known, read.name, listing, role));
    }
    found.extend(disputes.findings(read.name));
    found.into_iter().map(|finding| quoted(finding, listing)).collect()
}

/// The finding with the lines of the page that it is about.
fn quoted(finding: Finding, listing: &Listing<'_>) -> Finding {
    let Some(role) = finding.role.filter(|_| finding.quotes.is_empty()) else { return finding };
    let about: PrefixSet = finding.prefixes.iter().copied().collect();
    let quotes = listing.quotes(role, &about);
    finding.saying(quotes)
}

fn new_ones(
    known: &Known<'_>,
    read: &Read<'_>,
    role: Role,
    unknown: &Unknown,
    disputes: &Disputes,
) -> Vec<Finding> {
    let page = read.name;
    let new = unknown.new.difference(&disputes.only_here(read, role));
    let owned = if role == Role::Callback { known.current(Role::OwnerNetwork) } else { PrefixSet::empty() };
    let mut found = Vec::new();
    let inside = new.intersection(&owned).to_prefixes();
    if !inside.is_empty() {
        let message = format!(
            "`{page}` lists {} as callback sources: the policy has them only as parts of the provider's own networks",
            listed(&inside, SHOWN_MAX)
        );
        let help = "add them as a source of their own: a site that does not admit the networks does not admit these either";
        found.push(of_role(FindingCode::AddedInsideOwnerNetwork, message, help, role).on(page).about(inside));
    }
    let outside = new.difference(&owned).to_prefixes();
    if !outside.is_empty() {
        let what = match role {
            Role::Callback | Role::Tombstone => "",
            Role::OwnerNetwork => " as the provider's own networks",
        };
        let message =
            format!("`{page}` lists {}{what}, which the policy does not have", listed(&outside, SHOWN_MAX));
        let help = "hold the page against it and add it with its evidence; `--propose` writes the change";
        found.push(of_role(FindingCode::Added, message, help, role).on(page).about(outside));
    }
    found.extend(role_changed(known, page, role, &unknown.other_role));
    found
}

fn of_role(code: FindingCode, message: String, help: &str, role: Role) -> Finding {
    let mut finding = Finding::new(code, message, help);
    finding.role = Some(role);
    finding
}

fn role_changed(known: &Known<'_>, page: &str, role: Role, changed: &PrefixSet) -> Vec<Finding> {
    let other = match role {
        Role::Callback | Role::Tombstone => Role::OwnerNetwork,
        Role::OwnerNetwork => Role::Callback,
    };
    let sources = known.touching(other, changed).filter(|(held, _)| held.is_current());
    sources
        .map(|(held, both)| {
            let id = &held.source.id;
            let prefixes = both.to_prefixes();
            let message = format!(
                "`{page}` lists {} of `{id}` as {role}, the policy as {other}",
                listed(&prefixes, SHOWN_MAX)
            );
            let help = "the role decides who is admitted: ask the provider, then write the source with the role it has now";
            Finding::new(FindingCode::RoleChanged, message, help).on(page).of(id, role).about(prefixes)
        })
        .collect()
}

fn come_back(
    known: &Known<'_>,
    page: &str,
    listing: &Listing<'_>,
    role: Role,
    unknown: &Unknown,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut withdrawn = |addresses: &PrefixSet, environment: Option<Environment>| {
        for (held, both) in known.touching(Role::Tombstone, addresses) {
            let id = &held.source.id;
            let prefixes = both.to_prefixes();
            let place = environment.map(|environment| format!(" for {environment}")).unwrap_or_default();
            let message =
                format!("`{page}` lists {} again{place}, withdrawn as `{id}`", listed(&prefixes, SHOWN_MAX));
            let help = "ask the provider whether callbacks come from it again; if so, add a source with a new id and keep the tombstone";
            let mut finding = Finding::new(FindingCode::WithdrawnListed, message, help).on(page).of(id, role);
            finding.environments.extend(environment);
            found.push(finding.about(prefixes));
        }
    };
    withdrawn(&unknown.withdrawn, None);
    for environment in Environment::ALL.iter().copied().filter(|_| role == Role::Callback) {
        let gained = gained(known, listing, role, environment);
        withdrawn(&gained.intersection(&known.withdrawn_in(environment)), Some(environment));
    }
    for (held, both) in known.touching(role, &unknown.expired) {
        let id = &held.source.id;
        let prefixes = both.to_prefixes();
        let message = format!("`{page}` lists {}, and `{id}` is past its end", listed(&prefixes, SHOWN_MAX));
        let help =
            "ask the provider whether the end still holds; if not, add a source with a new id from now on";
        found.push(
            Finding::new(FindingCode::ExpiredListed, message, help).on(page).of(id, role).about(prefixes),
        );
    }
    found
}

/// What a page states for an environment, of that which the policy has for others only.
fn gained(known: &Known<'_>, listing: &Listing<'_>, role: Role, environment: Environment) -> PrefixSet {
    let stated = listing.listed(role).stated(environment).intersection(&known.current(role));
    stated.difference(&known.current_in(role, environment))
}

fn missing(known: &Known<'_>, read: &Read<'_>, role: Role, disputes: &Disputes) -> Vec<Finding> {
    let Some(listing) = &read.listing else { return Vec::new() };
    let page = read.name;
    let gone = known.expected(page, role).difference(&listing.listed(role).any);
    let gone = gone.difference(&disputes.only_there(read, role));
    // What is listed in the other role now is said as that.
    let gone = gone.difference(&Unknown::of(known, page, listing, Role::OwnerNetwork).other_role);
    let sources = known.carried(page, role).map(|held| (held, held.addresses.intersection(&gone)));
    sources
        .filter(|(_, lost)| !lost.is_empty())
        .map(|(held, lost)| {
            let id = &held.source.id;
            let prefixes = lost.to_prefixes();
            let message = format!("`{page}` no longer lists {} of `{id}`", listed(&prefixes, SHOWN_MAX));
            let help = "a page that misses an address does not say that callbacks stopped: ask the provider, then let the source end or make it a tombstone";
            Finding::new(FindingCode::Removed, message, help).on(page).of(id, role).about(prefixes)
        })
        .collect()
}

fn environments(known: &Known<'_>, page: &str, listing: &Listing<'_>, role: Role) -> Vec<Finding> {
    let listed_here = listing.listed(role);
    let mut found = Vec::new();
    let mut push = |held: &super::wanted::Held<'_>, both: PrefixSet, environment: Environment, how: &str| {
        let id = &held.source.id;
        let prefixes = both.to_prefixes();
        let message =
            format!("`{page}` lists {} of `{id}` {how} {environment}", listed(&prefixes, SHOWN_MAX));
        let help =
            "ask the provider which environments call from it, then write `environments:` of the source";
        let mut finding = Finding::new(FindingCode::EnvironmentChanged, message, help).on(page).of(id, role);
        finding.environments.insert(environment);
        found.push(finding.about(prefixes));
    };
    for environment in Environment::ALL.iter().copied() {
        let gained = gained(known, listing, role, environment).difference(&known.withdrawn_in(environment));
        for (held, both) in known.touching(role, &gained).filter(|(held, _)| held.is_current()) {
            push(held, both, environment, "also for");
        }
        let elsewhere = listed_here.elsewhere(environment);
        for (held, both) in known.touching(role, &elsewhere) {
            let state = held.source.state(environment, known.at);
            if held.is_carried_by(page) && state.is_some_and(State::is_admitted) {
                push(held, both, environment, "not for");
            }
        }
    }
    found
}

fn early(known: &Known<'_>, page: &str, listing: &Listing<'_>, role: Role) -> Vec<Finding> {
    let any = &listing.listed(role).any;
    let mut found = Vec::new();
    for (held, both) in known.touching(role, &known.early(role).intersection(any)) {
        if held.state != State::Unknown {
            continue;
        }
        let id = &held.source.id;
        let prefixes = both.to_prefixes();
        let message = format!(
            "`{page}` lists {} of `{id}`, which the policy does not make known yet",
            listed(&prefixes, SHOWN_MAX)
        );
        let help = "it is published now: give the source `announced:` with the day of the page";
        found.push(
            Finding::new(FindingCode::ListedEarly, message, help).on(page).of(id, role).about(prefixes),
        );
    }
    let announced =
        known.sources.iter().filter(|held| held.source.role == role && held.state == State::Announced);
    for held in announced.filter(|held| !held.is_carried_by(page)) {
        let both = held.addresses.intersection(any);
        if both.is_empty() {
            continue;
        }
        let id = &held.source.id;
        let prefixes = both.to_prefixes();
        let message = format!(
            "`{page}` lists {} of `{id}` now, which was announced elsewhere",
            listed(&prefixes, SHOWN_MAX)
        );
        let help =
            format!("add evidence with `page: {page}` to the source, so that this page is watched for it");
        found.push(
            Finding::new(FindingCode::AnnouncedListed, message, help).on(page).of(id, role).about(prefixes),
        );
    }
    found
}

/// What a page lists anew and may decide by itself, but for what an earlier page adds already.
pub(super) fn additions(
    known: &Known<'_>,
    read: &Read<'_>,
    disputes: &Disputes,
    before: &[Addition],
) -> Vec<Addition> {
    let Some(listing) = &read.listing else { return Vec::new() };
    let mut found = Vec::new();
    for role in ROLES.into_iter().filter(|role| read.decides || disputes.has_its_own(read.name, *role)) {
        let earlier = before.iter().filter(|addition| addition.role == role);
        let earlier: PrefixSet =
            earlier.flat_map(|addition| addition.piece.addresses.to_prefixes()).collect();
        let new = Unknown::of(known, read.name, listing, role).new.difference(&earlier);
        let new = new.difference(&disputes.undecided(role));
        let callbacks = known.current(Role::Callback).union(&listing.listed(Role::Callback).any);
        let owned = match role {
            Role::Callback | Role::Tombstone => {
                known.current(Role::OwnerNetwork).union(&listing.listed(Role::OwnerNetwork).any)
            }
            Role::OwnerNetwork => PrefixSet::empty(),
        };
        for (part, is_owned) in [(new.intersection(&owned), true), (new.difference(&owned), false)] {
            let mut pieces = listing.pieces(role, &part);
            if role == Role::OwnerNetwork {
                // The same prefix can't be in both roles.
                let kept = pieces.into_iter().map(|piece| Piece {
                    addresses: piece.addresses.difference(&whole(&piece.addresses, &callbacks)),
                    ..piece
                });
                pieces = kept.collect();
            }
            let pieces = pieces.into_iter().filter(|piece| !piece.addresses.is_empty());
            found.extend(pieces.map(|piece| Addition { page: read.name.to_owned(), role, piece, is_owned }));
        }
    }
    found
}

/// Sources that are admitted, and that no watched page is expected to list.
pub(super) fn unwatched_sources(policy: &Policy, known: &Known<'_>) -> Vec<Finding> {
    let watched: BTreeSet<&str> =
        policy.pages.iter().filter(|(_, page)| page.watched).map(|(name, _)| name.as_str()).collect();
    let admitted =
        known.sources.iter().filter(|held| held.state.is_admitted() && held.source.role != Role::Tombstone);
    let alone = admitted.filter(|held| !watched.iter().any(|page| held.is_carried_by(page)));
    alone
        .map(|held| {
            let source = held.source;
            let message = format!("no watched page is expected to list `{}`", source.id);
            let help = "its evidence names no watched page, or sections that are not read: nobody sees it go";
            let finding = Finding::new(FindingCode::SourceNotWatched, message, help);
            finding.of(&source.id, source.role).about(held.addresses.to_prefixes())
        })
        .collect()
}

/// What to do about a page without a list, where whoever asked for it does not know better.
fn help(outcome: Outcome) -> Option<String> {
    let help = match outcome {
        Outcome::NotWatched
        | Outcome::Agrees
        | Outcome::Unreachable
        | Outcome::Unsettled
        | Outcome::PagesDisagree
        | Outcome::Drift => return None,
        Outcome::Unreadable => {
            "look at the page: where its heading or its layout changed, correct the page in the policy \
             (`callgate upstream extract` shows what is read of it); where it is damaged, tell the provider"
        }
        Outcome::Empty => {
            "look at the page in a browser, and ask the provider: a list that is missing is no withdrawal"
        }
        Outcome::Moved => {
            "look where the provider publishes its addresses now, and change `url` of this page in the policy"
        }
    };
    Some(help.to_owned())
}
