//! Address translation: where the service really is.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::address::Address;
use super::packet::{End, Packet, Route};
use super::walk::{Exits, State, Walk};
use crate::netfilter::{Hook, MapValue, NamePattern, Nat, NatKind, NatTo, Span, Spans, Values};

/// Loopback space stays on the host.
fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

impl<'p, N: Address> Walk<'_, 'p, N> {
    /// Translates a connection, which ends the chain.
    pub(super) fn translate(&mut self, nat: &'p Nat, id: u32, mut state: State<N>, exits: &mut Exits<'_, N>) {
        // NETMAP translates whichever end its hook is for.
        if nat.kind == NatKind::Source || matches!(self.hook(), Hook::Input | Hook::Postrouting) {
            // The caller's address is another from here on, and no rule of a later chain is asked about it.
            Rc::make_mut(&mut state.packet).nat_settled = true;
            self.pass(state);
            return;
        }
        let lookup = match &nat.to {
            NatTo::Fixed { addresses, ports } => {
                self.met(id, "translates its destination");
                let to = (addresses.as_ref(), ports.as_ref());
                return self.translated(nat.kind, to, id, state);
            }
            NatTo::Unknown => return self.somewhere(id, state),
            NatTo::Map(lookup) => lookup,
        };
        let found = match self.grouped(lookup, id, &mut state, &mut exits.past) {
            Ok(found) => found,
            Err(why) => {
                self.note(id, &why, &state.region);
                exits.past.push(state.clone());
                return self.somewhere(id, state);
            }
        };
        // What the map has nothing for goes on with the next rule.
        exits.past.push(state);
        for (value, matched) in found {
            match value {
                MapValue::Target { addresses, ports } => {
                    self.translated(nat.kind, (addresses.as_ref(), ports.as_ref()), id, matched);
                }
                MapValue::Number(port) => {
                    let port = Spans::One((*port, *port));
                    self.translated(nat.kind, (None, Some(&port)), id, matched);
                }
                MapValue::Verdict(_) | MapValue::Unknown(_) => self.somewhere(id, matched),
            }
        }
    }

    fn translated(
        &mut self,
        kind: NatKind,
        (addresses, ports): (Option<&Values>, Option<&Spans<u32>>),
        id: u32,
        mut state: State<N>,
    ) {
        let to = match addresses.map(N::among) {
            None => None,
            Some(Some(to)) => Some(to.to_vec()),
            // An address of the other family: the kernel can't translate to it.
            Some(None) => return self.pass(state),
        };
        let here = self.first_address(&state.packet);
        let packet = Rc::make_mut(&mut state.packet);
        packet.nat_settled = true;
        packet.translated = true;
        if let Some(ports) = ports {
            packet.near.ports = ports.as_slice().to_vec();
        }
        if kind == NatKind::Redirect {
            packet.near.addresses = here.unwrap_or_else(|| packet.near.addresses.clone());
            packet.route = Route::Local;
            return self.pass(state);
        }
        let Some(to) = to else { return self.pass(state) };
        let before = std::mem::replace(&mut packet.near.addresses, to);
        let routes = self.routes(&before, &state.packet.near);
        self.routed(routes, id, &state);
    }

    /// Where it goes is not known.
    fn somewhere(&mut self, id: u32, mut state: State<N>) {
        let packet = Rc::make_mut(&mut state.packet);
        packet.nat_settled = true;
        packet.translated = true;
        packet.near = End { addresses: vec![(N::MIN, N::MAX)], ports: vec![(1, u32::from(u16::MAX))] };
        self.routed(&[Route::Local, Route::Through], id, &state);
    }

    fn routed(&mut self, routes: &[Route], id: u32, state: &State<N>) {
        if routes.len() > 1 {
            let why: Arc<str> = "it is translated to an address that may be this host's or another's".into();
            self.note(id, &why, &state.region);
        }
        for route in routes {
            let mut one = state.clone();
            Rc::make_mut(&mut one.packet).route = *route;
            self.pass(one);
        }
    }

    /// The ways that packets to an address can take.
    fn routes(&self, before: &[Span<N>], near: &End<N>) -> &'static [Route] {
        // What arrived was for this host, so a translation to the very same address stays here.
        let stays = |address: N| {
            before == [(address, address)]
                || is_loopback(address.to_ip())
                || self
                    .links()
                    .is_some_and(|links| links.addresses.iter().any(|own| own.address == address.to_ip()))
        };
        let few = near.addresses.iter().all(|(first, last)| first == last);
        let all = near.addresses.iter().filter(|(first, _)| stays(*first)).count();
        if few && all == near.addresses.len() {
            return &[Route::Local];
        }
        let own =
            self.links().into_iter().flat_map(|links| &links.addresses).filter_map(|own| N::of(own.address));
        let some = own
            .into_iter()
            .any(|own| near.addresses.iter().any(|(first, last)| *first <= own && own <= *last));
        if all > 0 || some { &[Route::Local, Route::Through] } else { &[Route::Through] }
    }

    /// The address that `REDIRECT` gives a packet: the first of the interface it came in by.
    fn first_address(&self, packet: &Packet<N>) -> Option<Vec<Span<N>>> {
        let Some(NamePattern::Exact(name)) = &packet.far_interface.is else { return None };
        let mut own = self.links()?.addresses.iter().filter(|own| own.interface == name.as_ref());
        own.find_map(|own| N::of(own.address)).map(|address| vec![(address, address)])
    }
}
