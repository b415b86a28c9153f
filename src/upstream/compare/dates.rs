//! Dates that pages give, held against lifecycles and against each other.
//!
//! Only a date that a page gives whole is compared, and only as exactly as both sides know it: a day agrees with every instant in
//! it. That a page gives no date says nothing: pages drop what lies behind them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::finding::{DateDifference, Finding, FindingCode, Quote};
use super::listing::{Listing, date_key};
use super::wanted::{Held, Known};
use crate::instant::Moment;
use crate::policy::{Dated, Environment, Lifecycle, Precision, Role};
use crate::prefix::{PrefixSet, listed};
use crate::upstream::{Published, Stated, StatedKind};

/// Most dates of each page that are held against each other.
const COMPARED_MAX: usize = 200;
/// Most prefixes that are written out in a message.
const SHOWN_MAX: usize = 8;

const KINDS: [StatedKind; 3] = [StatedKind::ValidFrom, StatedKind::ValidUntil, StatedKind::Deadline];

/// A date, and all addresses at which a page gives it alike.
struct Given<'r> {
    date: &'r Stated,
    environments: &'r BTreeSet<Environment>,
    addresses: PrefixSet,
    quote: Quote,
}

impl Given<'_> {
    fn is_for(&self, environment: Environment) -> bool {
        self.environments.is_empty() || self.environments.contains(&environment)
    }

    fn touches(&self, addresses: &PrefixSet) -> bool {
        !self.addresses.intersection(addresses).is_empty()
    }
}

/// The dates of a page in a role, in an order of their own.
fn given<'r>(listing: &Listing<'r>, role: Role) -> Vec<Given<'r>> {
    let mut all: BTreeMap<_, (&Stated, Vec<&Published>)> = BTreeMap::new();
    for entry in listing.dated(role) {
        for date in &entry.dates {
            all.entry((date_key(date), &entry.environments)).or_insert((date, Vec::new())).1.push(entry);
        }
    }
    let one = |((_, environments), (date, entries)): (
        (String, &'r BTreeSet<Environment>),
        (_, Vec<&Published>),
    )| {
        let quotes = entries.iter().map(|entry| Quote { line: entry.line, text: entry.text.clone() });
        let quote = quotes.min()?;
        let addresses = entries.iter().map(|entry| entry.prefix).collect();
        Some(Given { date, environments, addresses, quote })
    };
    all.into_iter().filter_map(one).collect()
}

/// Whether two moments can be the same one; a day holds every instant in it.
fn agree(left: &Moment, right: &Moment) -> bool {
    let holds = |day: &Moment, other: &Moment| {
        day.is_day() && day.starts() <= other.starts() && other.starts() < day.ends()
    };
    left.starts() == right.starts() || holds(left, right) || holds(right, left)
}

/// The same, where the policy knows its instant to the minute only.
fn fits(dated: &Dated, moment: &Moment) -> bool {
    let apart = moment.starts().duration_since(dated.moment.starts());
    let within = dated.precision == Precision::Minute
        && apart >= SignedDuration::ZERO
        && apart < SignedDuration::from_mins(1);
    within || agree(&dated.moment, moment)
}

fn field(lifecycle: &Lifecycle, kind: StatedKind) -> Option<&Dated> {
    match kind {
        StatedKind::ValidFrom => lifecycle.valid_from.as_ref(),
        StatedKind::ValidUntil => lifecycle.valid_until.dated(),
        StatedKind::Deadline => lifecycle.deadline.as_ref(),
    }
}

/// Dates of a page that are not those of the sources whose addresses they stand at.
pub(super) fn differing(known: &Known<'_>, page: &str, listing: &Listing<'_>, role: Role) -> Vec<Finding> {
    let all = given(listing, role);
    if all.is_empty() {
        return Vec::new();
    }
    let sources = known.sources.iter().filter(|held| held.source.role == role && held.is_current());
    let pairs = sources.flat_map(|held| KINDS.into_iter().map(move |kind| (held, kind)));
    let found = pairs.filter_map(|(held, kind)| {
        let own = all.iter().filter(|given| given.date.kind == kind && given.touches(&held.addresses));
        let own: Vec<&Given<'_>> = own.collect();
        of_source(known, held, kind, &own).map(|finding| finding.on(page))
    });
    found.collect()
}

/// What is to be said of the dates of one kind at the addresses of one source.
fn of_source(known: &Known<'_>, held: &Held<'_>, kind: StatedKind, all: &[&Given<'_>]) -> Option<Finding> {
    let first = all.first()?;
    let whole: Vec<&Given<'_>> = all.iter().copied().filter(|given| given.date.moment.is_some()).collect();
    let lifecycles = &held.source.environments;
    let has = |environment: &Environment| lifecycles.get(environment).and_then(|own| field(own, kind));
    if whole.is_empty() {
        let is_held = lifecycles.keys().any(|environment| has(environment).is_some());
        return (!is_held).then(|| told(FindingCode::DateIncomplete, held, kind, (first, None)));
    }
    let agrees = |environment: &Environment| {
        let own = whole.iter().filter(|given| given.is_for(*environment));
        let mut own = own.filter_map(|given| given.date.moment.as_ref());
        has(environment).is_some_and(|dated| own.any(|moment| fits(dated, moment)))
    };
    let somewhere = lifecycles.keys().any(agrees);
    let differing = lifecycles.keys().find_map(|environment| {
        let mut own = whole.iter().filter(|given| given.is_for(*environment));
        // What is stated for no environment may be meant for the one in which it agrees.
        let stated = own.clone().find(|given| !given.environments.is_empty());
        let given = if somewhere { stated } else { own.next() };
        given.filter(|_| !agrees(environment)).map(|given| (environment, given))
    });
    let (environment, given) = differing?;
    let dated = has(environment);
    let is_past = given.date.moment.as_ref().is_some_and(|moment| moment.ends() <= known.at);
    // Several dates are none that could be written down.
    let mut others = whole
        .iter()
        .filter(|given| given.is_for(*environment))
        .filter_map(|given| given.date.moment.as_ref());
    if dated.is_none() && !others.all(|other| given.date.moment.as_ref().is_some_and(|one| agree(one, other)))
    {
        return Some(told(FindingCode::DateIncomplete, held, kind, (given, None)));
    }
    // That something began, or fell due, before anybody looked changes nothing now.
    let is_idle = dated.is_none() && is_past && kind != StatedKind::ValidUntil;
    let code = if is_idle { FindingCode::DatePast } else { FindingCode::DateDiffers };
    Some(told(code, held, kind, (given, dated)))
}

fn told(
    code: FindingCode,
    held: &Held<'_>,
    kind: StatedKind,
    (given, dated): (&Given<'_>, Option<&Dated>),
) -> Finding {
    let id = &held.source.id;
    let field = kind.field();
    let says = crate::plain::line(&given.date.text);
    let page = given.date.moment.as_ref().filter(|_| code != FindingCode::DateIncomplete);
    let page = page.map(ToString::to_string);
    let policy = dated.map(|dated| dated.moment.to_string());
    let own = match (&policy, dated.and_then(|dated| dated.inferred.as_ref())) {
        (None, _) => "the policy has none".to_owned(),
        (Some(policy), None) => format!("the policy has {policy}"),
        (Some(policy), Some(_)) => format!("the policy infers {policy}"),
    };
    let shown = page.clone().unwrap_or_else(|| format!("`{says}`, not one whole date,"));
    let message = format!("the page gives {shown} as `{field}` of `{id}`; {own}");
    let advice = match code {
        FindingCode::DateIncomplete => "read the page: infer the rest with `inferred:`, or ask the provider",
        FindingCode::DatePast => "nothing has to be done; write it down if it explains something",
        _ => {
            "read the page, then write the date with its evidence; what lies in the past is said in `notes:`"
        }
    };
    let both = held.addresses.intersection(&given.addresses);
    let mut finding = Finding::new(code, message, advice).of(id, held.source.role).about(both.to_prefixes());
    finding.environments.clone_from(given.environments);
    finding.quotes = vec![given.quote.clone()];
    let inferred = dated.and_then(|dated| dated.inferred.clone());
    finding.date = Some(DateDifference { kind, policy, inferred, page, says });
    finding
}

/// Whole dates that two pages give for the same addresses, and that differ.
pub(super) fn disputed(
    (page, here): (&str, &Listing<'_>),
    (other, there): (&str, &Listing<'_>),
    role: Role,
) -> Vec<Finding> {
    fn whole<'r>(listing: &Listing<'r>, role: Role) -> Vec<Given<'r>> {
        let all = given(listing, role).into_iter();
        all.filter(|given| given.date.moment.is_some()).take(COMPARED_MAX).collect()
    }
    let (here, there) = (whole(here, role), whole(there, role));
    let mut found: Vec<Finding> = Vec::new();
    for ours in &here {
        let theirs = there.iter().filter(|theirs| {
            theirs.date.kind == ours.date.kind
                && theirs.touches(&ours.addresses)
                && Environment::ALL.iter().any(|one| theirs.is_for(*one) && ours.is_for(*one))
        });
        let theirs: Vec<&Given<'_>> = theirs.collect();
        let same = |theirs: &&Given<'_>| match (&theirs.date.moment, &ours.date.moment) {
            (Some(theirs), Some(ours)) => agree(theirs, ours),
            _ => false,
        };
        let Some(first) = theirs.first().filter(|_| !theirs.iter().any(same)) else { continue };
        found.push(apart(page, other, (ours, first), role));
    }
    found.dedup_by(|later, earlier| later.message == earlier.message);
    found
}

fn apart(page: &str, other: &str, (ours, theirs): (&Given<'_>, &Given<'_>), role: Role) -> Finding {
    let shown = |given: &Given<'_>| given.date.moment.as_ref().map(ToString::to_string).unwrap_or_default();
    let prefixes = ours.addresses.intersection(&theirs.addresses).to_prefixes();
    let message = format!(
        "`{page}` gives {} as `{}` of {}, `{other}` {}",
        shown(ours),
        ours.date.kind.field(),
        listed(&prefixes, SHOWN_MAX),
        shown(theirs)
    );
    let help = "ask the provider which page is right";
    let mut finding = Finding::new(FindingCode::PagesDisagree, message, help).on(page).about(prefixes);
    finding.other_page = Some(other.to_owned());
    finding.role = Some(role);
    finding.quotes = vec![ours.quote.clone()];
    finding
}
