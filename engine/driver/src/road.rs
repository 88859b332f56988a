//! The seam between a shard's thread and the way its packets take: sockets of their own for each
//! stream, or one steered socket for all.

use std::io;
use std::net::SocketAddr;

use engine::{Port, Shard};
use media_units::Instant;

use crate::carrier::Carrier;
use crate::clock::StampClock;
use crate::sockets::SocketPair;

/// A way to the network that is checked and not yet in use.
pub(crate) trait Road: Send + 'static {
    /// How packets come in.
    type Inlet: Inlet<Self::Outlet>;
    /// How packets go out.
    type Outlet: Outlet;

    /// Makes the calling thread its only user.
    fn adopt(&mut self) -> Result<(), (&'static str, io::Error)>;

    /// Reserves everything for so many sessions.
    fn open(self, sessions_max: u32) -> (Self::Inlet, Self::Outlet);
}

/// Brings a shard its packets. Nothing it does ever blocks.
pub(crate) trait Inlet<O> {
    /// Begins the tick of this number.
    fn begin_tick(&mut self, tick: u64);

    /// Reads what the coming group of the tick needs, within bounds, and hands it to the shard.
    fn read(
        &mut self,
        shard: &mut Shard,
        carrier: &mut Carrier<O>,
        now: Instant,
        stamps: StampClock,
    );
}

/// Takes a shard's packets away. Nothing it does ever blocks.
pub(crate) trait Outlet {
    /// Takes in a session's sockets; those that find no place are returned.
    fn insert(&mut self, slot: u32, pair: SocketPair) -> SocketPair;

    /// Gives up a session's sockets. Everything sent must be flushed before they are closed.
    fn remove(&mut self, slot: u32) -> SocketPair;

    /// Takes one datagram for the kernel: it is sent now or by the next [`Outlet::flush`].
    fn send(&mut self, slot: u32, port: Port, to: SocketAddr, parts: [&[u8]; 2]);

    /// Where the road can, keeps all others than `source` out; `None` lets everyone in.
    fn latch(&mut self, slot: u32, port: Port, source: Option<SocketAddr>);

    /// Hands everything taken to the kernel.
    fn flush(&mut self);

    /// Datagrams that were refused since last asked.
    fn take_refused(&mut self) -> u64;
}
