//! What becomes of sources on their way: let through, lost, or undecided.

use std::rc::Rc;
use std::sync::Arc;

use super::address::Address;
use super::packet::Phase;
use super::region::{Region, Tag};
use super::walk::{Met, Room, State, Walk, among, loss};
use crate::admission::Ruling;
use crate::netfilter::ChainKind;
use crate::prefix::span::normalise;

/// Losses from which on each source is kept once.
pub(super) const LOSSES_COMPACTED: usize = 1 << 20;
/// Most intervals of sources kept with an undecided condition; with more, the hull is kept.
const NOTED_SPANS_MAX: usize = 4096;
/// Most steps of a trace.
const TRACE_MAX: usize = 1000;
/// Callers call from this port upwards: below, a port needs a privilege, and callers behind a translation have none.
const EPHEMERAL_FIRST: u32 = 1024;

/// By what something is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Rule,
    Policy,
    Nothing,
}

impl<N: Address> Walk<'_, '_, N> {
    /// Whoever comes here may go any way: nobody can say what this does.
    pub(super) fn anything(&mut self, mut state: State<N>, id: u32, why: &Arc<str>) -> State<N> {
        self.note(id, why, &state.region);
        self.met(id, "may do anything to it");
        Rc::make_mut(&mut state.packet).forget_marks();
        self.lose(state.listed(), id, Ruling::Drop);
        self.accept(state.listed(), id, By::Rule);
        state
    }

    /// Through with this base chain. A rule's number stays with the sources, a policy's only where there is no
    /// other.
    pub(super) fn accept(&mut self, State { packet, region }: State<N>, id: u32, by: By) {
        let is_telling = self.trial.spot.phase == Phase::Syn && self.trial.spot.kind != ChainKind::Nat;
        let tagged = |tag: Tag| match by {
            By::Rule if is_telling => id,
            By::Policy if is_telling && tag == 0 => id,
            By::Rule | By::Policy | By::Nothing => tag,
        };
        let room = Room::of(self.accepted.len());
        let packet = among(self.accepted.iter().map(|(packet, _)| packet), &packet, room);
        let at = packet.unwrap_or_else(|packet| {
            self.accepted.push((packet, Vec::new()));
            self.accepted.len().saturating_sub(1)
        });
        if let Some((_, all)) = self.accepted.get_mut(at) {
            region.retagged(tagged).append_to(all);
        }
    }

    /// Through, by what a rule did that is no verdict.
    pub(super) fn pass(&mut self, state: State<N>) {
        self.accept(state, 0, By::Nothing);
    }

    pub(super) fn lose(&mut self, state: State<N>, rule: u32, ruling: Ruling) {
        // Callers choose an ephemeral port: what is lost from others only is no loss.
        if state.packet.far_ports.iter().all(|(_, last)| *last < EPHEMERAL_FIRST) {
            return;
        }
        state.region.retagged(|_| loss(rule, ruling)).append_to(&mut self.lost);
        // What may be lost is lost by many rules at times: each source is kept once, by the first of them.
        if self.lost.len() > self.compact_at {
            let kept = Region::from_pieces(std::mem::take(&mut self.lost));
            kept.append_to(&mut self.lost);
            self.compact_at = self.lost.len().saturating_mul(2).max(LOSSES_COMPACTED);
        }
    }

    pub(super) fn note(&mut self, id: u32, why: &Arc<str>, region: &Region<N>) {
        if region.is_empty() {
            return;
        }
        if self.trace.is_some() {
            self.met(id, &format!("may match: {why}"));
        }
        let noted = self.notes.entry((id, Arc::clone(why))).or_default();
        noted.extend(region.pieces().map(|(first, last, _)| (first, last)));
        if noted.len() > NOTED_SPANS_MAX {
            let joined = normalise(std::mem::take(noted));
            *noted = match (joined.first(), joined.last()) {
                (Some(first), Some(last)) if joined.len() > NOTED_SPANS_MAX => vec![(first.0, last.1)],
                _ => joined,
            };
        }
    }

    pub(super) fn met(&mut self, rule: u32, did: &str) {
        let phase = self.trial.spot.phase;
        if let Some(trace) = &mut self.trace
            && trace.len() < TRACE_MAX
        {
            trace.push(Met { phase, rule, did: did.to_owned() });
        }
    }
}
