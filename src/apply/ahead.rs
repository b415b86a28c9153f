//! Jumps of ours that stand behind rules of others which decide otherwise: moved before them where that mends it.
//!
//! That others come first is mostly as they want it: what they accept for everybody, or refuse to somebody who is not ours
//! to care for, is no reason to move. So it is asked first what comes of the changes with the jump where it stands, and then
//! with the jump at the head; it moves where fewer are certainly blocked or let in wrongly, and nothing else gets worse.

use std::sync::Arc;

use super::job::{Reached, TargetDrift};
use super::tools::Seen;
use crate::admission::{Decider, Layer as _};
use crate::drift::{Difference, Drift, Part};
use crate::holding::HoldingError;
use crate::netfilter::{self, Host};
use crate::plan::{self, Wish};
use crate::prefix::PrefixSet;

/// A rule of others that no longer decides about some, since a jump of ours moves before it.
#[derive(Debug, Clone)]
pub struct Overruled {
    /// The port.
    pub port: u16,
    /// What it did for them: blocked whom the policy wants, or let in whom it does not.
    pub part: Part,
    /// The addresses.
    pub addresses: PrefixSet,
    /// The sources of the policy that these are addresses of: indices into the allowlist's origins.
    pub origins: Vec<u32>,
    /// The rule.
    pub rule: Decider,
}

/// Asks a host how each target's rules differ from what is wanted.
type Ask<'a> = dyn Fn(&Arc<Host>) -> Vec<TargetDrift> + 'a;

/// What is done and what comes of it, with our jumps moved to the head where that mends what `plain` does not.
pub(super) fn moved(
    seen: &Seen,
    wishes: &[Wish],
    plain: Reached,
    ask: &Ask<'_>,
) -> Result<Reached, HoldingError> {
    let (Some(host), Some(after)) = (&seen.host, plain.host.clone()) else { return Ok(plain) };
    let mut placed: Vec<(usize, Wish)> = Vec::new();
    for (at, wish) in wishes.iter().enumerate().filter(|(_, wish)| wish.want.is_some()) {
        let have = wish.holding.own_in_place(&seen.listed);
        if wish.holding.is_behind(&have) {
            let want = wish.holding.ahead(&wish.want);
            placed.push((at, Wish { have, want, ..wish.clone() }));
        }
    }
    if placed.is_empty() {
        return Ok(plain);
    }
    let before = ask(&after);
    let (mut best, mut chosen, mut last) = (plain, wishes.to_vec(), None);
    for (at, wish) in placed {
        let now = last.as_ref().unwrap_or(&before);
        if !now.iter().any(TargetDrift::is_certain) {
            break;
        }
        let mut tried = chosen.clone();
        tried.splice(at..=at, [wish]);
        let changes = plan::changes(&tried)?;
        let host = Arc::new(plan::predicted(host, &changes)?);
        let drifts = ask(&host);
        if mends(now, &drifts) {
            best = Reached { changes, host: Some(host), overruled: Vec::new() };
            (chosen, last) = (tried, Some(drifts));
        }
    }
    if let Some(drifts) = last {
        best.overruled = overruled(&after, &before, &drifts);
    }
    Ok(best)
}

/// Both answers of each port, as they were and as they are.
fn pairs<'a>(
    old: &'a [TargetDrift],
    new: &'a [TargetDrift],
) -> impl Iterator<Item = (u16, &'a Drift, &'a Drift)> {
    old.iter().zip(new).flat_map(|(old, new)| {
        old.asked.iter().zip(&new.asked).map(|(old, new)| (old.port, &old.drift, &new.drift))
    })
}

/// Whether something that was certainly wrong is mended, and nothing gets worse.
fn mends(old: &[TargetDrift], new: &[TargetDrift]) -> bool {
    let is_no_worse = |old: &Drift, new: &Drift| {
        [(Part::Blocked, Part::AtRisk), (Part::Foreign, Part::PossiblyForeign)].into_iter().all(
            |(certain, open)| {
                let (was, is) = (old.part(certain), new.part(certain));
                was.covers(&is) && was.union(&old.part(open)).covers(&is.union(&new.part(open)))
            },
        )
    };
    let is_better = |old: &Drift, new: &Drift| {
        [Part::Blocked, Part::Foreign].iter().any(|part| old.part(*part) != new.part(*part))
    };
    pairs(old, new).all(|(_, old, new)| is_no_worse(old, new))
        && pairs(old, new).any(|(_, old, new)| is_better(old, new))
}

/// The rules by which it was wrong before and is not any more.
fn overruled(host: &Host, old: &[TargetDrift], new: &[TargetDrift]) -> Vec<Overruled> {
    let asked = netfilter::evaluate::Asked::new(host);
    let mut all: Vec<Overruled> = Vec::new();
    for (port, old, new) in pairs(old, new) {
        for one in old.differences.iter().filter(|one| one.part.is_certain()) {
            let addresses = one.addresses.difference(&new.part(one.part));
            let (Some(rule), false) = (one.rule, addresses.is_empty()) else { continue };
            let Difference { part, origins, .. } = one.clone();
            let found = Overruled { port, part, addresses, origins, rule: asked.describe(rule) };
            if !all.iter().any(|known| {
                known.port == port && known.rule == found.rule && known.addresses == found.addresses
            }) {
                all.push(found);
            }
        }
    }
    all
}
