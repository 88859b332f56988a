//! The packet road: one steered socket receives for all streams of a shard, and frames with
//! headers of our own go out.
//!
//! Receiving stays the kernel's: its firewall and its checks apply as to any socket. Sending goes
//! past its output firewall and its queueing, straight to the interface, where route and neighbour
//! are known; where they are not, and for addresses of this machine, by a raw socket and the
//! kernel's own routing. No stream has a socket, so the kernel keeps no stranger out: the shard
//! does, by the source it latched to.

mod frame;
mod hops;
mod inlet;
mod kernel;
mod outlet;
mod routes;
mod steering;

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use engine_control::{Limits, PortPlan};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::network::CHUNK;
use crate::road::Road;
use inlet::PacketInlet;
use outlet::{PacketOutlet, Senders};
use routes::{RouteAsker, Routes};
use steering::Steering;

/// What went wrong, at which call.
type Failure = (&'static str, io::Error);

/// Keeps the packet road open for all shards, until it is dropped.
#[derive(Debug)]
pub(crate) struct PacketKeeper {
    _steering: Steering,
    _routes: Routes,
}

/// The packet road of one shard.
pub(crate) struct PacketRoad {
    socket: OwnedFd,
    senders: Senders,
    asker: RouteAsker,
    address: IpAddr,
    first_port: u16,
    stamps: bool,
}

/// What the packet road is opened with.
pub(crate) struct PacketPlan<'a> {
    pub(crate) address: IpAddr,
    pub(crate) ports: PortPlan,
    pub(crate) limits: &'a Limits,
    pub(crate) receive_buffer_bytes: usize,
    pub(crate) stamps: bool,
    pub(crate) shards: usize,
}

/// Opens the road for every shard, or says what is missing for it.
pub(crate) fn open(plan: &PacketPlan<'_>) -> Result<(PacketKeeper, Vec<PacketRoad>), Failure> {
    let sockets: Vec<_> = (0..plan.shards).map(|_| receiver(plan)).collect::<Result<_, _>>()?;
    let references: Vec<_> = sockets.iter().collect();
    let steering = Steering::begin(plan.ports, plan.address, &references)?;
    let (routes, askers) = Routes::start(plan.shards, plan.limits.sessions_max, plan.address)?;
    let mut roads = Vec::with_capacity(plan.shards);
    for ((socket, asker), shard) in sockets.into_iter().zip(askers).zip(0..) {
        let first_port = plan.ports.first + (shard * plan.ports.block) as u16;
        let senders = Senders::open(plan.address)?;
        let (address, stamps) = (plan.address, plan.stamps);
        roads.push(PacketRoad { socket, senders, asker, address, first_port, stamps });
    }
    Ok((PacketKeeper { _steering: steering, _routes: routes }, roads))
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
        let outlet = PacketOutlet::new(self.senders, hops, self.address, self.first_port);
        (PacketInlet::new(self.socket, self.first_port, sessions_max, self.stamps), outlet)
    }
}

/// The socket that all of a shard's packets are steered into.
fn receiver(plan: &PacketPlan<'_>) -> Result<OwnedFd, Failure> {
    let address = std::net::SocketAddr::new(plan.address, 0);
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))
        .map_err(|error| ("socket(AF_INET)", error))?;
    if plan.address.is_ipv6() && plan.address.is_unspecified() {
        socket.set_only_v6(false).map_err(|error| ("setsockopt(IPV6_V6ONLY)", error))?;
    }
    socket.set_nonblocking(true).map_err(|error| ("fcntl(O_NONBLOCK)", error))?;
    inlet::prepare(
        &socket,
        plan.stamps,
        plan.receive_buffer_bytes * plan.limits.sessions_max as usize,
    )?;
    socket.bind(&SockAddr::from(address)).map_err(|error| ("bind", error))?;
    Ok(socket.into())
}

/// Datagrams in one system call, both ways.
const BATCH: usize = CHUNK;
