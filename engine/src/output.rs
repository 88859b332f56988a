//! The seam between a shard and whatever carries its packets: the driver or the simulator.

use std::net::SocketAddr;

use engine_control::Event;
use media_units::Arrival;

use crate::{Decision, Luggage};

/// Which socket of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Port {
    /// The RTP socket (and RTCP, where multiplexed).
    Rtp,
    /// The RTCP socket, where not multiplexed.
    Rtcp,
}

/// What arrived on a session's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The session's slot: sockets belong to slots, so no look-up is needed.
    pub slot: u32,
    /// On which of its sockets.
    pub port: Port,
    /// Who sent it.
    pub source: SocketAddr,
    /// When the kernel received it.
    pub arrival: Arrival,
    /// The payload of the datagram, or its beginning where it was truncated.
    pub bytes: &'a [u8],
    /// Whether the datagram was larger than the receive buffer: it is to be discarded.
    pub truncated: bool,
}

/// Takes what a shard produces. Passed into every call, so that nothing waits to be drained.
pub trait Output {
    /// Sends one datagram, given in two parts (its own header, the payload it may share).
    fn send(&mut self, slot: u32, port: Port, to: SocketAddr, parts: [&[u8]; 2]);

    /// The session latched onto `source`: the socket may be connected, so that the kernel drops
    /// strangers. `None`: any source is to be let in again (before a re-latch, or after close).
    fn latch(&mut self, slot: u32, port: Port, source: Option<SocketAddr>);

    /// Memory that nobody needs any more here: it goes home with the next fact, which is about its
    /// session.
    fn retire(&mut self, luggage: Luggage);

    /// What was decided about a session, for whoever keeps a record of it.
    fn decided(&mut self, slot: u32, decision: Decision) {
        let _ = (slot, decision);
    }

    /// A fact for the control plane. Never lost: the driver sizes the ring from the limits.
    fn event(&mut self, event: Event);
}
