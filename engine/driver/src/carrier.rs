//! Takes what a shard produces to the kernel and to the control plane.

use std::net::SocketAddr;

use engine::{Output, Port};
use engine_control::{Command, Event};

use crate::network::Network;
use crate::rings::{Notice, NoticeSender};
use crate::sockets::{SocketPair, SocketTable};

/// The [`Output`] of a shard that runs on real sockets.
pub(crate) struct Carrier<N> {
    pub(crate) network: N,
    pub(crate) sockets: SocketTable,
    notices: NoticeSender,
    /// Sockets that came with the command in progress and found no place: they go home with the
    /// event that answers it.
    unplaced: SocketPair,
    refused: u64,
}

impl<N: Network> Carrier<N> {
    pub(crate) fn new(network: N, sockets: SocketTable, notices: NoticeSender) -> Self {
        Self { network, sockets, notices, unplaced: SocketPair::default(), refused: 0 }
    }

    /// Whether the answer to one more command has room.
    pub(crate) fn has_room(&self) -> bool {
        self.notices.has_room()
    }

    /// Takes in the sockets that came with a command.
    pub(crate) fn take_sockets(&mut self, slot: u32, sockets: SocketPair) {
        self.unplaced = self.sockets.insert(slot, sockets);
    }

    /// Counts a datagram of ours that the network refused after it was sent.
    pub(crate) fn count_refused(&mut self) {
        self.refused += 1;
    }

    /// Hands everything to the kernel and wakes the control plane if there is news; returns how
    /// many datagrams were refused since the last time.
    pub(crate) fn finish_tick(&mut self) -> u64 {
        self.network.flush();
        self.notices.wake();
        std::mem::take(&mut self.refused) + self.network.take_refused()
    }

    /// The sockets that nobody needs once this event is told.
    fn released_by(&mut self, event: &Event) -> SocketPair {
        let slot = match event {
            Event::Refused { .. } | Event::MediaReturned { .. } if !self.unplaced.is_empty() => {
                return std::mem::take(&mut self.unplaced);
            }
            Event::SessionClosed { session, .. } => session.slot(),
            Event::Refused { command: Command::OpenSession { session, .. }, .. } => session.slot(),
            _ => return SocketPair::default(),
        };
        // What is queued still names the descriptors; the control plane closes them as soon as
        // it sees the event.
        self.network.flush();
        self.sockets.remove(slot)
    }
}

impl<N: Network> Output for Carrier<N> {
    fn send(&mut self, slot: u32, port: Port, to: SocketAddr, parts: [&[u8]; 2]) {
        let Some(socket) = self.sockets.get(slot, port) else {
            self.refused += 1;
            return;
        };
        let to = (socket.connected_to() != Some(to)).then(|| in_family(to, self.sockets.is_ipv6()));
        self.network.send(socket.fd(), to, parts);
    }

    fn latch(&mut self, slot: u32, port: Port, source: Option<SocketAddr>) {
        let is_ipv6 = self.sockets.is_ipv6();
        // What is queued was addressed by the old state of the socket.
        self.network.flush();
        let Some(socket) = self.sockets.get_mut(slot, port) else { return };
        let done = match source {
            Some(source) => socket.admit_only(source, in_family(source, is_ipv6)),
            None => socket.admit_anyone(),
        };
        // Where the address has no route the socket stays as it is: dearer, and the shard's own
        // check of the source goes on.
        self.refused += u64::from(done.is_err());
    }

    fn event(&mut self, event: Event) {
        let sockets = self.released_by(&event);
        self.notices.push(Notice { event, sockets });
    }
}

/// An address as a socket of this family takes it.
fn in_family(address: SocketAddr, is_ipv6: bool) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if is_ipv6 => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        _ => address,
    }
}
