//! The packet road: one steered socket receives for all streams of a shard, and frames with
//! headers of our own go out.
//!
//! Receiving stays the kernel's: its firewall and its checks apply as to any socket. Sending goes
//! past its output firewall and its queueing, straight to the interface, where route and neighbour
//! are known; where they are not, and for addresses of this machine, by a raw socket and the
//! kernel's own routing. With AF_XDP ([`xdp`]) frames go past the rest of the kernel's stack, too,
//! both ways. No stream has a socket, so the kernel keeps no stranger out: the shard
//! does, by the source it latched to.

mod bpf;
mod frame;
mod hops;
mod inlet;
mod kernel;
mod outlet;
mod routes;
mod steering;
mod xdp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use engine::Port;
use engine_control::{Limits, PortPlan};
use media_units::{Instant, PERIOD, PHASES};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::network::CHUNK;
use crate::road::Road;
use inlet::PacketInlet;
use outlet::{PacketOutlet, Senders};
use routes::{RouteAsker, Routes};
use steering::Steering;
use xdp::{XdpEnds, XdpKeeper};

/// So many frames of a shard may be with the kernel or the interface at one time: those of a burst of some
/// milliseconds, which a network card's ring holds too. Beyond it they are refused, and counted.
const FRAMES_ON_THEIR_WAY: usize = 4096;

/// The memory that a socket is allowed for them, with what the kernel keeps beside a frame.
const SEND_BUFFER_BYTES: usize = FRAMES_ON_THEIR_WAY * 2048;

/// What went wrong, at which call.
type Failure = (&'static str, io::Error);

/// Why the road cannot be opened.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// Something does not work here.
    Call(&'static str, io::Error),
    /// All of it works, and a port of the range is another program's.
    PortTaken(SocketAddr, io::Error),
}

impl From<Failure> for Unopened {
    fn from((call, error): Failure) -> Self {
        Self::Call(call, error)
    }
}

/// One port in so many of the range is kept from others.
const GUARD_STEP: u32 = 128;

/// Keeps the packet road open for all shards, until it is dropped.
#[derive(Debug)]
pub(crate) struct PacketKeeper {
    _steering: Steering,
    _routes: Routes,
    _guards: Guards,
    xdp: Option<XdpKeeper>,
}

impl PacketKeeper {
    /// Whether AF_XDP is in use.
    pub(crate) fn is_xdp(&self) -> bool {
        self.xdp.is_some()
    }

    /// Bytes of all shards that are shared with the kernel.
    pub(crate) fn shared_bytes(&self) -> usize {
        self.xdp.as_ref().map_or(0, XdpKeeper::memory_bytes)
    }
}

/// The packet road of one shard.
pub(crate) struct PacketRoad {
    socket: OwnedFd,
    senders: Senders,
    asker: RouteAsker,
    address: IpAddr,
    ports: PortBlock,
    stamps: bool,
    xdp: XdpEnds,
}

/// The ports of one shard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PortBlock {
    first: u16,
    sessions_max: u32,
}

impl PortBlock {
    /// Whose port it is, where it is one of this shard's.
    fn recipient(self, port: u16) -> Option<(u32, Port)> {
        let offset = port.checked_sub(self.first)?;
        let slot = u32::from(offset / 2);
        let port = if offset.is_multiple_of(2) { Port::Rtp } else { Port::Rtcp };
        (slot < self.sessions_max).then_some((slot, port))
    }

    /// The port of a session.
    fn number(self, slot: u32, port: Port) -> u16 {
        self.first + 2 * slot as u16 + u16::from(port == Port::Rtcp)
    }
}

/// What the packet road is opened with.
pub(crate) struct PacketPlan<'a> {
    pub(crate) address: IpAddr,
    pub(crate) ports: PortPlan,
    pub(crate) limits: &'a Limits,
    pub(crate) receive_buffer_bytes: usize,
    pub(crate) stamps: bool,
    pub(crate) shards: usize,
    /// Whether to take the shortcut of AF_XDP.
    pub(crate) xdp: bool,
}

/// Opens the road for every shard, or says what is missing for it.
pub(crate) fn open(plan: &PacketPlan<'_>) -> Result<(PacketKeeper, Vec<PacketRoad>), Unopened> {
    let sockets: Vec<_> = (0..plan.shards).map(|_| receiver(plan)).collect::<Result<_, _>>()?;
    let senders = (0..plan.shards).map(|_| Senders::open(plan.address));
    let senders: Vec<_> = senders.collect::<Result<_, _>>()?;
    let references: Vec<_> = sockets.iter().collect();
    let mut steering = Steering::load(plan.ports, plan.address, &references)?;
    // All that needs rights is there: where it is not, sockets may do, and they pass over such ports.
    let guards = guards(plan)?;
    steering.begin()?;
    let (routes, askers) = Routes::start(plan.shards, plan.limits.sessions_max, plan.address)?;
    let (xdp, mut shortcuts) = match plan.xdp {
        true => xdp::open(plan).map(|(keeper, ends)| (Some(keeper), ends))?,
        false => (None, Vec::new()),
    };
    shortcuts.resize_with(plan.shards, XdpEnds::default);
    let mut roads = Vec::with_capacity(plan.shards);
    let ends = sockets.into_iter().zip(senders).zip(askers).zip(shortcuts);
    for ((((socket, senders), asker), xdp), shard) in ends.zip(0..) {
        let first = plan.ports.first + (shard * plan.ports.block) as u16;
        let ports = PortBlock { first, sessions_max: plan.limits.sessions_max };
        let (address, stamps) = (plan.address, plan.stamps);
        roads.push(PacketRoad { socket, senders, asker, address, ports, stamps, xdp });
    }
    Ok((PacketKeeper { _steering: steering, _routes: routes, _guards: guards, xdp }, roads))
}

/// Bytes that the road of one shard reserves.
pub(crate) const fn memory_bytes(sessions_max: u32) -> usize {
    inlet::memory_bytes() + outlet::memory_bytes() + hops::memory_bytes(sessions_max)
}

impl Road for PacketRoad {
    type Inlet = PacketInlet;
    type Outlet = PacketOutlet;

    fn adopt(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn open(self, sessions_max: u32) -> (PacketInlet, PacketOutlet) {
        let hops = hops::Hops::new(self.asker, sessions_max);
        let XdpEnds { inlets, outlet } = self.xdp;
        let outlet = PacketOutlet::new(self.senders, hops, self.address, self.ports, outlet);
        (PacketInlet::new(self.socket, self.ports, self.stamps, inlets), outlet)
    }
}

/// When a datagram came of which nobody noted that: at any time since the last tick, of which the
/// middle is taken.
fn unnoted_arrival(now: Instant) -> Instant {
    now - PERIOD / (2 * PHASES as u32)
}

/// The socket that all of a shard's packets are steered into.
fn receiver(plan: &PacketPlan<'_>) -> Result<OwnedFd, Failure> {
    let socket = datagram_socket(plan.address)?;
    socket.set_nonblocking(true).map_err(|error| ("fcntl(O_NONBLOCK)", error))?;
    inlet::prepare(
        &socket,
        plan.stamps,
        plan.receive_buffer_bytes * plan.limits.sessions_max as usize,
    )?;
    let address = SocketAddr::new(plan.address, 0);
    socket.bind(&SockAddr::from(address)).map_err(|error| ("bind", error))?;
    Ok(socket.into())
}

/// Ports of the range that are held as any program would.
type Guards = Vec<Socket>;

/// Holds the first port of the range, and each multiple of [`GUARD_STEP`] in it, or says which one cannot
/// be. No datagram ever comes there, but a second server with these ports is refused, which would else
/// take all media from the first without a word.
fn guards(plan: &PacketPlan<'_>) -> Result<Guards, Unopened> {
    let first = u32::from(plan.ports.first);
    let end = (first + plan.shards as u32 * plan.ports.block).min(1 << 16);
    let guarded = (first..end).filter(|port| *port == first || port.is_multiple_of(GUARD_STEP));
    let hold = |port| {
        let address = SocketAddr::new(plan.address, port as u16);
        let socket = datagram_socket(plan.address)?;
        match socket.bind(&SockAddr::from(address)) {
            Ok(()) => Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(Unopened::PortTaken(address, error))
            }
            Err(error) => Err(Unopened::Call("bind", error)),
        }
    };
    guarded.map(hold).collect()
}

fn datagram_socket(address: IpAddr) -> Result<Socket, Failure> {
    let domain = Domain::for_address(SocketAddr::new(address, 0));
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))
        .map_err(|error| ("socket(AF_INET)", error))?;
    if address.is_ipv6() && address.is_unspecified() {
        socket.set_only_v6(false).map_err(|error| ("setsockopt(IPV6_V6ONLY)", error))?;
    }
    Ok(socket)
}

/// Datagrams in one system call, both ways.
const BATCH: usize = CHUNK;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_taken_by_one_server_only() {
        let limits = Limits::default();
        let plan = |first, shards| PacketPlan {
            address: [127, 0, 0, 77].into(),
            ports: PortPlan { first, block: 1024 },
            limits: &limits,
            receive_buffer_bytes: 0,
            stamps: false,
            shards,
            xdp: false,
        };
        let held = guards(&plan(28_700, 2)).expect("they are free");
        assert_eq!(held.len(), 16 + 1);
        for (first, shards) in [(28_700, 2), (28_000, 2), (30_600, 1), (28_700 - 1024 + 128, 1)] {
            let unopened = guards(&plan(first, shards)).unwrap_err();
            let Unopened::PortTaken(address, _) = unopened else { panic!("{unopened:?}") };
            assert!((28_700..30_748).contains(&address.port()), "{address}");
        }
        drop(held);
        assert!(guards(&plan(28_700, 2)).is_ok());
    }
}
