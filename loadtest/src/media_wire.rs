//! RTP of thousands of phones over a few sockets: many packets a system call.
//!
//! Phones share sockets: the server tells them apart because each dialog has a port of its own,
//! and by the same port we tell whom a packet is for.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use media_units::Instant;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg,
};
use nix::sys::time::TimeSpec;
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::Clock;

/// Packets of one system call.
const BATCH: usize = 64;
/// The longest packet that is received whole: 60 ms of G.711 with extensions.
const OCTETS_MAX: usize = 640;
/// Asked of the kernel for each socket; it may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;
const SEND_BUFFER: usize = 1 << 20;
/// Port pairs tried before giving up.
const BIND_ATTEMPTS: usize = 1000;

/// An RTP socket on an even port and its RTCP neighbour.
#[derive(Debug)]
pub(crate) struct MediaSocket {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl MediaSocket {
    /// Binds a pair of ports on this address.
    pub(crate) fn bind(address: IpAddr) -> io::Result<Self> {
        for _ in 0..BIND_ATTEMPTS {
            let rtp = open(SocketAddr::new(address, 0))?;
            let port = rtp.local_addr()?.port();
            if port % 2 == 1 {
                continue;
            }
            match open(SocketAddr::new(address, port + 1)) {
                Ok(rtcp) => return Ok(Self { rtp, rtcp }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        self.rtp.local_addr()
    }

    /// Throws away what came on the RTCP port. Returns how much it was.
    pub(crate) fn drain_rtcp(&self) -> usize {
        let mut buffer = [0; OCTETS_MAX];
        std::iter::from_fn(|| self.rtcp.recv(&mut buffer).ok()).take(1000).count()
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv4() {
        // What is never fragmented need not be numbered by the kernel.
        set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DO)?;
    }
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::ReceiveTimestampns, &true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The memory of one receiving system call.
pub(crate) struct Inbox {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Vec<[u8; OCTETS_MAX]>,
}

impl Default for Inbox {
    fn default() -> Self {
        let stamps = nix::cmsg_space!(TimeSpec);
        Self {
            headers: MultiHeaders::preallocate(BATCH, Some(stamps)),
            buffers: vec![[0; OCTETS_MAX]; BATCH],
        }
    }
}

impl Inbox {
    /// Receives all that waits on `socket`: who sent it, when the kernel got it, and what it is.
    pub(crate) fn receive(
        &mut self,
        socket: &MediaSocket,
        clock: &Clock,
        mut each: impl FnMut(SocketAddr, Instant, &[u8]),
    ) {
        loop {
            let mut slices: Vec<[IoSliceMut<'_>; 1]> =
                self.buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
            let descriptor = socket.rtp.as_raw_fd();
            let flags = MsgFlags::MSG_DONTWAIT;
            // Errors: nothing there, or an ICMP message about an earlier packet of ours.
            let Ok(messages) =
                recvmmsg(descriptor, &mut self.headers, slices.iter_mut(), flags, None)
            else {
                return;
            };
            let mut count = 0;
            for message in messages {
                count += 1;
                let stamp = message.cmsgs().ok().and_then(|mut all| {
                    all.find_map(|one| match one {
                        ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
                        _ => None,
                    })
                });
                let arrival = stamp.map_or_else(|| clock.now(), |stamp| clock.of_stamp(stamp));
                let Some(source) = message.address.and_then(|a| socket_address(&a)) else {
                    continue;
                };
                each(source, arrival, message.iovs().next().unwrap_or_default());
            }
            if count < BATCH {
                return;
            }
        }
    }
}

/// Packets on their way to one sending system call.
pub(crate) struct Outbox {
    headers: MultiHeaders<SockaddrStorage>,
    octets: Vec<u8>,
    lengths: Vec<usize>,
    to: Vec<Option<SockaddrStorage>>,
    /// Packets that the kernel did not take.
    pub(crate) refused: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            headers: MultiHeaders::preallocate(BATCH, None),
            octets: Vec::with_capacity(BATCH * OCTETS_MAX),
            lengths: Vec::with_capacity(BATCH),
            to: Vec::with_capacity(BATCH),
            refused: 0,
        }
    }
}

impl Outbox {
    /// Adds a packet, given in two parts; sends the batch when it is full.
    pub(crate) fn push(&mut self, socket: &MediaSocket, to: SockaddrStorage, parts: [&[u8]; 2]) {
        self.octets.extend_from_slice(parts[0]);
        self.octets.extend_from_slice(parts[1]);
        self.lengths.push(parts[0].len() + parts[1].len());
        self.to.push(Some(to));
        if self.lengths.len() == BATCH {
            self.flush(socket);
        }
    }

    /// Sends what was gathered.
    pub(crate) fn flush(&mut self, socket: &MediaSocket) {
        let mut begin = 0;
        let slices: Vec<[IoSlice<'_>; 1]> = self
            .lengths
            .iter()
            .map(|length| {
                begin += length;
                [IoSlice::new(&self.octets[begin - length..begin])]
            })
            .collect();
        let mut sent = 0;
        while sent < slices.len() {
            let (rest, to) = (&slices[sent..], &self.to[sent..]);
            let descriptor = socket.rtp.as_raw_fd();
            match sendmmsg(descriptor, &mut self.headers, rest, to, [], MsgFlags::MSG_DONTWAIT) {
                Ok(results) => sent += results.count().max(1),
                // Interrupted, or told once about an earlier packet by ICMP: the packet goes again.
                Err(Errno::EINTR | Errno::ECONNREFUSED) => {}
                Err(_) => {
                    self.refused += (slices.len() - sent) as u64;
                    break;
                }
            }
        }
        drop(slices);
        self.octets.clear();
        self.lengths.clear();
        self.to.clear();
    }
}

/// An address for the outbox.
pub(crate) fn storage(address: SocketAddr) -> SockaddrStorage {
    address.into()
}

fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_arrive_with_their_source_and_a_stamp() {
        let localhost = IpAddr::from([127, 0, 0, 1]);
        let (here, there) =
            (MediaSocket::bind(localhost).unwrap(), MediaSocket::bind(localhost).unwrap());
        let to = there.local().unwrap();
        let clock = Clock::start();
        let mut outbox = Outbox::default();
        for n in 0..150_u8 {
            outbox.push(&here, storage(to), [&[n], &[7; 171]]);
        }
        outbox.flush(&here);
        let mut seen = vec![];
        Inbox::default().receive(&there, &clock, |source, arrival, octets| {
            assert_eq!((source, octets.len()), (here.local().unwrap(), 172));
            assert!(arrival <= clock.now() && arrival.as_nanos() > 0);
            seen.push(octets[0]);
        });
        assert_eq!(seen, (0..150).collect::<Vec<_>>());
        assert_eq!(outbox.refused, 0);
        assert_eq!(there.drain_rtcp(), 0);
    }
}
