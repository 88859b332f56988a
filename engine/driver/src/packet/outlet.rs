//! Frames of ours to the interface, and whole IP packets to the kernel's routing.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use engine::Port;
use libc::{iovec, mmsghdr, sockaddr_ll, socklen_t};
use rustix::net::sockopt::set_socket_send_buffer_size_force;
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

use super::hops::Hops;
use super::routes::{ETHERNET_BYTES, Hop, Way};
use super::xdp::QueueOutlet;
use super::{BATCH, Failure, PortBlock, SEND_BUFFER_BYTES, frame};
use crate::network::SEND_BYTES_MAX;
use crate::option;
use crate::road::Outlet;
use crate::sockets::SocketPair;

/// Everything a shard sends through.
pub(crate) struct Senders {
    link: OwnedFd,
    inet: OwnedFd,
    /// Where media addresses are of IPv6.
    inet6: Option<OwnedFd>,
}

impl Senders {
    pub(crate) fn open(address: IpAddr) -> Result<Self, Failure> {
        let link = Socket::new(Domain::PACKET, Type::RAW, None)
            .map_err(|error| ("socket(AF_PACKET)", error))?;
        // A packet is due when it is sent: it needs no queueing discipline.
        option::set(&link, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1)
            .map_err(|error| ("setsockopt(PACKET_QDISC_BYPASS)", error))?;
        set_socket_send_buffer_size_force(&link, SEND_BUFFER_BYTES)
            .map_err(|error| ("setsockopt(SO_SNDBUFFORCE)", error.into()))?;
        let by_kernel = |domain, call| {
            let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))
                .map_err(|error| (call, error))?;
            Ok(OwnedFd::from(socket))
        };
        let inet = by_kernel(Domain::IPV4, "socket(AF_INET, SOCK_RAW)")?;
        let inet6 = match address {
            IpAddr::V6(_) => Some(by_kernel(Domain::IPV6, "socket(AF_INET6, SOCK_RAW)")?),
            IpAddr::V4(_) => None,
        };
        Ok(Self { link: link.into(), inet, inet6 })
    }
}

/// The way out of one shard.
pub(crate) struct PacketOutlet {
    hops: Hops,
    address: IpAddr,
    ports: PortBlock,
    /// The way of frames by the interface that it is of, where there is one.
    xdp: Option<QueueOutlet>,
    link: Queue,
    inet: Queue,
    inet6: Option<Queue>,
    refused: u64,
}

/// Bytes that an outlet reserves, with IPv6.
pub(crate) const fn memory_bytes() -> usize {
    3 * BATCH * (size_of::<Place>() + size_of::<mmsghdr>())
}

impl PacketOutlet {
    pub(crate) fn new(
        senders: Senders,
        hops: Hops,
        address: IpAddr,
        ports: PortBlock,
        xdp: Option<QueueOutlet>,
    ) -> Self {
        Self {
            hops,
            address,
            ports,
            xdp,
            link: Queue::new(senders.link),
            inet: Queue::new(senders.inet),
            inet6: senders.inet6.map(Queue::new),
            refused: 0,
        }
    }

    /// Our end of what is sent to this address, if by this source.
    fn from(&self, slot: u32, port: Port, to: IpAddr, source: Option<IpAddr>) -> SocketAddr {
        let unspecified = || match to {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => self.address,
        };
        let address = match source {
            _ if !self.address.is_unspecified() => self.address,
            Some(source) => source,
            None => unspecified(),
        };
        SocketAddr::new(address, self.ports.number(slot, port))
    }

    fn push(&mut self, slot: u32, port: Port, to: SocketAddr, parts: [&[u8]; 2]) -> Option<()> {
        match self.hops.way(to.ip()) {
            Way::Frame(hop) => {
                let from = self.from(slot, port, to.ip(), Some(hop.source));
                let write = |packet: &mut [u8]| frame::write(packet, from, to, parts);
                let length = parts[0].len() + parts[1].len();
                if let Some(queue) = &mut self.xdp
                    && queue.carries(hop.interface, length)
                {
                    queue.push(&hop.ethernet, write)
                } else {
                    self.link.push(&hop.ethernet, link_address(&hop), write)
                }
            }
            Way::Kernel(source) => {
                let from = self.from(slot, port, to.ip(), source);
                let queue = if to.is_ipv4() { &mut self.inet } else { self.inet6.as_mut()? };
                // The port of a raw socket's peer is none, and refused in IPv6.
                let name = SockAddr::from(SocketAddr::new(to.ip(), 0));
                queue.push(&[], name, |packet| frame::write(packet, from, to, parts))
            }
        }
    }
}

impl Outlet for PacketOutlet {
    fn insert(&mut self, _slot: u32, pair: SocketPair) -> SocketPair {
        pair
    }

    fn remove(&mut self, _slot: u32) -> SocketPair {
        SocketPair::default()
    }

    fn send(&mut self, slot: u32, port: Port, to: SocketAddr, parts: [&[u8]; 2]) {
        let to = SocketAddr::new(to.ip().to_canonical(), to.port());
        if self.push(slot, port, to, parts).is_none() {
            self.refused += 1;
        }
    }

    /// No stream has a socket that could keep others out: the shard's own check of the source does.
    fn latch(&mut self, _slot: u32, _port: Port, _source: Option<SocketAddr>) {}

    fn flush(&mut self) {
        if let Some(queue) = &mut self.xdp {
            queue.flush();
        }
        self.link.flush();
        self.inet.flush();
        if let Some(inet6) = &mut self.inet6 {
            inet6.flush();
        }
        self.hops.refresh();
    }

    fn take_refused(&mut self) -> u64 {
        let queues = [Some(&mut self.link), Some(&mut self.inet), self.inet6.as_mut()];
        let refused: u64 =
            queues.into_iter().flatten().map(|queue| mem::take(&mut queue.refused)).sum();
        mem::take(&mut self.refused) + refused
    }
}

/// Where `sendmmsg` sends a frame: only the interface counts, its header is in the frame.
fn link_address(hop: &Hop) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is one of the platform's address types.
    let link = unsafe { storage.view_as::<sockaddr_ll>() };
    link.sll_family = libc::AF_PACKET as u16;
    link.sll_protocol = u16::from_ne_bytes([hop.ethernet[12], hop.ethernet[13]]);
    link.sll_ifindex = hop.interface;
    link.sll_halen = 6;
    // SAFETY: a whole `sockaddr_ll` was written to the storage.
    unsafe { SockAddr::new(storage, size_of::<sockaddr_ll>() as socklen_t) }
}

/// Packets on their way to one socket.
struct Queue {
    socket: OwnedFd,
    places: Box<[Place]>,
    /// Each points to its place.
    headers: Box<[mmsghdr]>,
    queued: usize,
    refused: u64,
}

/// The memory of one packet. Not a power of two in size, for the sake of the cache sets.
#[repr(C, align(64))]
struct Place {
    bytes: [u8; ETHERNET_BYTES + frame::HEADERS_BYTES_MAX + SEND_BYTES_MAX],
    vector: iovec,
    name: SockAddr,
}

impl Queue {
    fn new(socket: OwnedFd) -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut places: Box<[Place]> = (0..BATCH)
            .map(|_| Place {
                bytes: [0; ETHERNET_BYTES + frame::HEADERS_BYTES_MAX + SEND_BYTES_MAX],
                vector: iovec { iov_base: ptr::null_mut(), iov_len: 0 },
                name: SockAddr::from(nowhere),
            })
            .collect();
        let headers = places
            .iter_mut()
            .map(|place| {
                place.vector.iov_base = place.bytes.as_mut_ptr().cast();
                // SAFETY: integers and null pointers: all zeros is a valid header.
                let mut header: mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
                header.msg_hdr.msg_iov = &raw mut place.vector;
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_name = place.name.as_ptr().cast_mut().cast();
                header
            })
            .collect();
        Self { socket, places, headers, queued: 0, refused: 0 }
    }

    /// Takes a packet: a link header, and what `write` puts behind it. `None` where that is none.
    fn push(
        &mut self,
        link_header: &[u8],
        name: SockAddr,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<()> {
        if self.queued == BATCH {
            self.flush();
        }
        let place = &mut self.places[self.queued];
        let (head, packet) = place.bytes.split_at_mut(link_header.len());
        head.copy_from_slice(link_header);
        place.vector.iov_len = link_header.len() + write(packet)?;
        place.name = name;
        self.headers[self.queued].msg_hdr.msg_namelen = place.name.len();
        self.queued += 1;
        Some(())
    }

    fn flush(&mut self) {
        let mut done = 0;
        while done < self.queued {
            let headers = &mut self.headers[done..self.queued];
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            // SAFETY: each header points to a place of this queue, which outlives the call.
            let sent = unsafe {
                libc::sendmmsg(
                    self.socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    headers.len() as u32,
                    flags,
                )
            };
            match usize::try_from(sent) {
                Ok(sent) => done += sent,
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    // The first of them is at fault; the others may be good.
                    self.refused += 1;
                    done += 1;
                }
            }
        }
        self.queued = 0;
    }
}
