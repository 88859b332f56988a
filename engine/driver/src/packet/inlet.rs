//! One socket for all streams of a shard, read many datagrams at a time, and the queues of AF_XDP
//! where there are some.

use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use engine::{Datagram, Port, Shard};
use libc::{iovec, mmsghdr, msghdr, sockaddr_storage, socklen_t};
use media_units::{Arrival, Instant};
use socket2::Socket;

use super::outlet::PacketOutlet;
use super::xdp::QueueInlet;
use super::{BATCH, Failure, PortBlock, unnoted_arrival};
use crate::carrier::Carrier;
use crate::clock::StampClock;
use crate::message;
use crate::network::RECEIVE_BYTES_MAX;
use crate::option;
use crate::road::Inlet;

/// Most datagrams of each session that one tick takes: bounds what a flood can make a shard do.
const PER_SESSION_MAX: usize = 8;

/// So many datagrams ahead the memory of a session is asked for, and then the place of its sound,
/// which the session names.
const SESSION_AHEAD: usize = 6;
const PLACE_AHEAD: usize = 3;

/// Asks the kernel to say where each datagram was sent to, and when it came.
pub(crate) fn prepare(socket: &Socket, stamps: bool, buffer_bytes: usize) -> Result<(), Failure> {
    // Beyond the limit for ordinary programs, as no stream has a buffer of its own.
    let bytes = i32::try_from(buffer_bytes).unwrap_or(i32::MAX / 2);
    option::set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
        .map_err(|error| ("setsockopt(SO_RCVBUFFORCE)", error))?;
    let is_ipv6 = socket.domain().map_err(|error| ("getsockopt", error))? == socket2::Domain::IPV6;
    if is_ipv6 {
        option::set(socket, libc::SOL_IPV6, libc::IPV6_RECVORIGDSTADDR, 1)
            .map_err(|error| ("setsockopt(IPV6_RECVORIGDSTADDR)", error))?;
    }
    option::set(socket, libc::SOL_IP, libc::IP_RECVORIGDSTADDR, 1)
        .map_err(|error| ("setsockopt(IP_RECVORIGDSTADDR)", error))?;
    if stamps {
        option::set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
            .map_err(|error| ("setsockopt(SO_TIMESTAMPNS)", error))?;
    }
    Ok(())
}

/// The way in of one shard.
pub(crate) struct PacketInlet {
    socket: OwnedFd,
    queues: Vec<QueueInlet>,
    ports: PortBlock,
    stamps: bool,
    places: Box<[Place]>,
    /// Each points to its place.
    headers: Box<[mmsghdr]>,
    /// Whose port each was sent to, where it is one of this shard's.
    recipients: Box<[Option<(u32, Port)>]>,
    /// Whether the present tick has read what waited.
    is_read: bool,
}

/// The memory of one datagram. Not a power of two in size, for the sake of the cache sets.
#[repr(C, align(64))]
struct Place {
    vector: iovec,
    name: sockaddr_storage,
    control: [u64; CONTROL_WORDS],
    bytes: [u8; RECEIVE_BYTES_MAX],
}

/// Room for a time stamp and a destination, each with its header.
const CONTROL_WORDS: usize = 12;

/// Bytes that an inlet reserves.
pub(crate) const fn memory_bytes() -> usize {
    BATCH * (size_of::<Place>() + size_of::<mmsghdr>() + size_of::<Option<(u32, Port)>>())
}

impl PacketInlet {
    pub(crate) fn new(
        socket: OwnedFd,
        ports: PortBlock,
        stamps: bool,
        queues: Vec<QueueInlet>,
    ) -> Self {
        let mut places: Box<[Place]> = (0..BATCH)
            // SAFETY: integers, null pointers and bytes: all zeros is a valid place.
            .map(|_| unsafe { MaybeUninit::<Place>::zeroed().assume_init() })
            .collect();
        let headers = places.iter_mut().map(Place::header).collect();
        let recipients = vec![None; BATCH].into();
        Self { socket, queues, ports, stamps, places, headers, recipients, is_read: false }
    }

    /// Reads up to a batch; how many datagrams came.
    fn receive(&mut self) -> usize {
        for header in &mut self.headers {
            header.msg_hdr.msg_namelen = size_of::<sockaddr_storage>() as socklen_t;
            header.msg_hdr.msg_controllen = size_of::<[u64; CONTROL_WORDS]>() as _;
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: each header points to a place of this inlet, which outlives the call.
        let received = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as u32,
                flags as _,
                ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).unwrap_or(0);
        for (recipient, header) in self.recipients.iter_mut().zip(&self.headers[..received]) {
            let port = destination_port(&header.msg_hdr);
            *recipient = port.and_then(|port| self.ports.recipient(port));
        }
        received
    }

    fn datagram(&self, index: usize, now: Instant, stamps: StampClock) -> Option<Datagram<'_>> {
        let (slot, port) = self.recipients[index]?;
        let (header, place) = (&self.headers[index], &self.places[index]);
        let length = header.msg_len as usize;
        let arrival = match message::stamp_unix_nanos(&header.msg_hdr).filter(|_| self.stamps) {
            Some(stamp) => stamps.instant(stamp),
            None => unnoted_arrival(now),
        };
        Some(Datagram {
            slot,
            port,
            source: message::source(&place.name, header.msg_hdr.msg_namelen)?,
            arrival: Arrival::At(arrival),
            bytes: &place.bytes[..length.min(RECEIVE_BYTES_MAX)],
            truncated: length > RECEIVE_BYTES_MAX,
        })
    }
}

impl Inlet<PacketOutlet> for PacketInlet {
    fn begin_tick(&mut self, _tick: u64) {
        self.is_read = false;
    }

    /// Everything that waits is read before the first group: it is of all groups.
    fn read(
        &mut self,
        shard: &mut Shard,
        carrier: &mut Carrier<PacketOutlet>,
        now: Instant,
        stamps: StampClock,
    ) {
        if mem::replace(&mut self.is_read, true) {
            return;
        }
        for queue in &mut self.queues {
            queue.read(self.ports, shard, carrier, now);
        }
        for _ in 0..(PER_SESSION_MAX * self.ports.sessions_max as usize).div_ceil(BATCH) {
            let received = self.receive();
            for index in 0..received {
                let slot = |ahead| {
                    let recipient = self.recipients[..received].get(index + ahead);
                    recipient.copied().flatten().map(|(slot, _)| slot)
                };
                shard.prefetch(slot(SESSION_AHEAD).into_iter());
                if let Some(slot) = slot(PLACE_AHEAD) {
                    shard.prefetch_place(slot);
                }
                if let Some(datagram) = self.datagram(index, now, stamps) {
                    carrier.hand_in(shard, datagram);
                }
            }
            if received < BATCH {
                break;
            }
        }
    }
}

impl Place {
    /// The header that makes the kernel write here.
    fn header(&mut self) -> mmsghdr {
        self.vector =
            iovec { iov_base: self.bytes.as_mut_ptr().cast(), iov_len: RECEIVE_BYTES_MAX };
        // SAFETY: integers and null pointers: all zeros is a valid header.
        let mut header: mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        header.msg_hdr.msg_iov = &raw mut self.vector;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = ptr::from_mut(&mut self.name).cast();
        header.msg_hdr.msg_control = self.control.as_mut_ptr().cast();
        header
    }
}

/// The port that a datagram was sent to, whatever socket it came to.
fn destination_port(header: &msghdr) -> Option<u16> {
    let v4 = || {
        Some(
            message::control::<libc::sockaddr_in>(header, libc::SOL_IP, libc::IP_ORIGDSTADDR)?
                .sin_port,
        )
    };
    let v6 = || {
        Some(
            message::control::<libc::sockaddr_in6>(header, libc::SOL_IPV6, libc::IPV6_ORIGDSTADDR)?
                .sin6_port,
        )
    };
    v4().or_else(v6).map(u16::from_be)
}
