//! What rules do to packets besides deciding: marks, and keeping them out of connection tracking.

use std::rc::Rc;

use super::address::Address;
use super::packet::{Packet, Phase, Tracking};
use super::walk::{Exits, State, Walk, settle};
use crate::netfilter::{Action, Item, MapValue, MarkChange};

impl<'p, N: Address> Walk<'_, 'p, N> {
    /// Does an action; gives the state that goes on with the rest of the rule.
    pub(super) fn act(
        &mut self,
        action: &'p Action,
        id: u32,
        mut state: State<N>,
        (rest, exits): (&'p [Item], &mut Exits<'_, N>),
    ) -> Option<State<N>> {
        match action {
            Action::Mark(MarkChange::Bits { take: 1.., .. })
                if state.packet.has_connection(self.trial.spot) == Some(false) =>
            {
                // Without a connection there is no mark to take, and the rule ends.
                exits.past.push(state);
                return None;
            }
            Action::Mark(change) => {
                let after = self.marked((change, set_mark), id, state, &mut exits.past);
                return self.first(after, id, rest, exits);
            }
            Action::ConnMark(change) if state.packet.has_connection(self.trial.spot) != Some(false) => {
                let after = self.marked((change, set_conn_mark), id, state, &mut exits.past);
                return self.first(after, id, rest, exits);
            }
            Action::ChangeSet(_) | Action::ConnMark(_) => {}
            Action::Notrack => self.untrack(&mut state.packet),
            Action::TrackingUnknown(why) => {
                self.note(id, why, &state.region);
                Rc::make_mut(&mut state.packet).tracking = Tracking::Unknown;
            }
            Action::Nat(nat) => {
                self.translate(nat, id, state, exits);
                return None;
            }
            Action::Opaque(why) => return Some(self.anything(state, id, why)),
        }
        Some(state)
    }

    /// Goes on with one state; the others go through the rest of the rule first.
    fn first(
        &mut self,
        mut states: Vec<State<N>>,
        id: u32,
        rest: &'p [Item],
        exits: &mut Exits<'_, N>,
    ) -> Option<State<N>> {
        let last = states.pop();
        for other in states {
            self.follow(rest, id, other, exits);
        }
        last
    }

    fn untrack(&self, packet: &mut Rc<Packet<N>>) {
        // Whoever was seen already stays seen.
        if !self.trial.spot.is_before_tracking() || packet.notrack {
            return;
        }
        let packet = Rc::make_mut(packet);
        packet.notrack = true;
        match self.trial.spot.phase {
            Phase::Syn => packet.tracking = Tracking::No,
            Phase::SynAck if packet.tracking == Tracking::Yes => packet.tracking = Tracking::AnswerLost,
            Phase::SynAck | Phase::Ack => {}
        }
    }

    fn marked(
        &mut self,
        (change, set): (&'p MarkChange, Setter<N>),
        id: u32,
        mut state: State<N>,
        past: &mut Vec<State<N>>,
    ) -> Vec<State<N>> {
        let lookup = match change {
            MarkChange::Bits { keep, take, flip } => {
                set(Rc::make_mut(&mut state.packet), [*keep, *take, *flip]);
                return vec![state];
            }
            MarkChange::Unknown => None,
            MarkChange::Map(lookup) => Some(lookup),
        };
        let found = lookup.map_or_else(
            || Err("a mark that is computed".into()),
            |lookup| self.grouped(lookup, id, &mut state, past),
        );
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                self.note(id, &why, &state.region);
                Rc::make_mut(&mut state.packet).forget_marks();
                return vec![state];
            }
        };
        past.push(state);
        let mut after = Vec::new();
        for (value, mut matched) in found {
            let packet = Rc::make_mut(&mut matched.packet);
            match value {
                MapValue::Number(mark) => set(packet, [0, 0, *mark]),
                MapValue::Verdict(_) | MapValue::Target { .. } | MapValue::Unknown(_) => {
                    packet.forget_marks();
                }
            }
            settle(&mut after, vec![matched]);
        }
        after
    }
}

/// Changes one of a packet's marks.
type Setter<N> = fn(&mut Packet<N>, [u32; 3]);

fn set_mark<N: Address>(packet: &mut Packet<N>, change: [u32; 3]) {
    packet.mark = packet.mark.changed(packet.conn_mark, change);
}

fn set_conn_mark<N: Address>(packet: &mut Packet<N>, change: [u32; 3]) {
    packet.conn_mark = packet.conn_mark.changed(packet.mark, change);
}
