//! What rules do to packets besides deciding: marks, and keeping them out of connection tracking.

use std::rc::Rc;

use super::address::Address;
use super::interface::Tried;
use super::packet::{Packet, Phase, Tracking};
use super::walk::{Exits, State, Walk, settle};
use crate::netfilter::{Action, Field, MapValue, MarkChange, Spans, Values};

impl<'p, N: Address> Walk<'_, 'p, N> {
    /// Does an action; gives the states that go on with the rest of the rule.
    pub(super) fn act(
        &mut self,
        action: &'p Action,
        id: u32,
        mut state: State<N>,
        exits: &mut Exits<'_, N>,
    ) -> Vec<State<N>> {
        match action {
            Action::ChangeSet(_) => {}
            Action::Mark(change) => return self.marked(change, id, state, &mut exits.past, set_mark),
            Action::ConnMark(change) => {
                let tracked = !matches!(
                    state.packet.tried(
                        Field::CtDirection,
                        &Values::Numbers(Spans::One((0, 1))),
                        self.trial.spot
                    ),
                    Tried::Absent
                );
                if tracked {
                    return self.marked(change, id, state, &mut exits.past, set_conn_mark);
                }
            }
            Action::Notrack => self.untrack(&mut state.packet),
            Action::TrackingUnknown(why) => {
                self.note(id, why, &state.region);
                Rc::make_mut(&mut state.packet).tracking = Tracking::Unknown;
            }
            Action::Nat(nat) => {
                self.translate(nat, id, state, exits);
                return Vec::new();
            }
            Action::Opaque(why) => return vec![self.anything(state, id, why)],
        }
        vec![state]
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
        change: &'p MarkChange,
        id: u32,
        mut state: State<N>,
        past: &mut Vec<State<N>>,
        set: fn(&mut Packet<N>, [u32; 3]),
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
        match found {
            Ok(found) => {
                past.push(state);
                let mut after = Vec::new();
                for (value, mut matched) in found {
                    let packet = Rc::make_mut(&mut matched.packet);
                    match value {
                        MapValue::Number(mark) => set(packet, [0, 0, *mark]),
                        MapValue::Verdict(_) | MapValue::Target { .. } | MapValue::Unknown(_) => {
                            packet.forget_marks()
                        }
                    }
                    after.push(matched);
                }
                settle(&mut after, Vec::new());
                merged(after)
            }
            Err(why) => {
                self.note(id, &why, &state.region);
                Rc::make_mut(&mut state.packet).forget_marks();
                vec![state]
            }
        }
    }
}

fn set_mark<N: Address>(packet: &mut Packet<N>, change: [u32; 3]) {
    packet.mark = packet.mark.changed(packet.conn_mark, change);
}

fn set_conn_mark<N: Address>(packet: &mut Packet<N>, change: [u32; 3]) {
    packet.conn_mark = packet.conn_mark.changed(packet.mark, change);
}

/// States of one packet as one.
fn merged<N: Address>(states: Vec<State<N>>) -> Vec<State<N>> {
    let mut all = Vec::new();
    settle(&mut all, states);
    all
}
