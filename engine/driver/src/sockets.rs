//! The media sockets: opened and closed by the control plane, used by one shard.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use engine::Port;
use rustix::net::{connect, connect_unspec};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::batch::Read;

/// Opens media sockets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketPlan {
    pub(crate) bind: IpAddr,
    pub(crate) receive_buffer_bytes: usize,
    pub(crate) rtp_stamps: bool,
}

impl SocketPlan {
    /// A non-blocking socket bound to `port` of the media address.
    pub(crate) fn open(self, which: Port, port: u16) -> io::Result<OwnedFd> {
        let address = SocketAddr::new(self.bind, port);
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if self.bind == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            socket.set_only_v6(false)?;
        }
        socket.set_recv_buffer_size(self.receive_buffer_bytes)?;
        socket.bind(&SockAddr::from(address))?;
        let socket = OwnedFd::from(socket);
        if self.stamps(which) {
            enable_stamps(socket.as_fd())?;
        }
        Ok(socket)
    }

    /// Whether such a socket stamps what it receives. RTCP always: its sockets are read rarely,
    /// and the round trip is measured from the arrival (RFC 3550 section 6.4.1).
    fn stamps(self, which: Port) -> bool {
        match which {
            Port::Rtp => self.rtp_stamps,
            Port::Rtcp => true,
        }
    }
}

fn enable_stamps(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is one integer, which outlives the call.
    let returned = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if returned == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The sockets of a session, on their way.
#[derive(Debug, Default)]
pub(crate) struct SocketPair {
    pub(crate) rtp: Option<OwnedFd>,
    pub(crate) rtcp: Option<OwnedFd>,
}

impl SocketPair {
    pub(crate) fn is_empty(&self) -> bool {
        self.rtp.is_none() && self.rtcp.is_none()
    }
}

/// All sockets of one shard, by slot.
pub(crate) struct SocketTable {
    plan: SocketPlan,
    rtp: Box<[Option<MediaSocket>]>,
    rtcp: Box<[Option<MediaSocket>]>,
}

/// One socket in use.
pub(crate) struct MediaSocket {
    socket: OwnedFd,
    admits: Admits,
    stamps: bool,
    /// Whether more than one datagram is to be expected at the next visit.
    expects_more: bool,
}

/// Whose datagrams the socket gives us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admits {
    /// Everyone's.
    Anyone,
    /// Connected to this source, but strangers' datagrams may wait in it from before.
    Draining(SocketAddr),
    /// This source's only: the kernel drops all others.
    Only(SocketAddr),
}

impl SocketTable {
    pub(crate) fn new(plan: SocketPlan, sessions_max: u32) -> Self {
        let empty = || (0..sessions_max).map(|_| None).collect();
        Self { plan, rtp: empty(), rtcp: empty() }
    }

    /// Bytes that a table of so many sessions reserves.
    pub(crate) const fn memory_bytes(sessions_max: u32) -> usize {
        2 * sessions_max as usize * size_of::<Option<MediaSocket>>()
    }

    /// Whether the sockets are of IPv6, where IPv4 addresses are written mapped.
    pub(crate) fn is_ipv6(&self) -> bool {
        self.plan.bind.is_ipv6()
    }

    /// Takes in a session's sockets. What finds its place occupied, or comes to a session
    /// without an RTP socket, is returned.
    pub(crate) fn insert(&mut self, slot: u32, pair: SocketPair) -> SocketPair {
        let rtp = self.insert_one(slot, Port::Rtp, pair.rtp);
        let has_rtp = rtp.is_none() && self.get(slot, Port::Rtp).is_some();
        let rtcp = if has_rtp { self.insert_one(slot, Port::Rtcp, pair.rtcp) } else { pair.rtcp };
        SocketPair { rtp, rtcp }
    }

    fn insert_one(&mut self, slot: u32, port: Port, socket: Option<OwnedFd>) -> Option<OwnedFd> {
        let stamps = self.plan.stamps(port);
        match self.place(slot, port) {
            Some(place @ None) => {
                *place = socket.map(|socket| MediaSocket::new(socket, stamps));
                None
            }
            _ => socket,
        }
    }

    /// Gives up a session's sockets.
    pub(crate) fn remove(&mut self, slot: u32) -> SocketPair {
        let mut take = |port| Some(self.place(slot, port)?.take()?.socket);
        SocketPair { rtp: take(Port::Rtp), rtcp: take(Port::Rtcp) }
    }

    /// A session's socket, where it has one.
    pub(crate) fn get(&self, slot: u32, port: Port) -> Option<&MediaSocket> {
        let table = match port {
            Port::Rtp => &self.rtp,
            Port::Rtcp => &self.rtcp,
        };
        table.get(slot as usize)?.as_ref()
    }

    /// A session's socket, where it has one.
    pub(crate) fn get_mut(&mut self, slot: u32, port: Port) -> Option<&mut MediaSocket> {
        self.place(slot, port)?.as_mut()
    }

    fn place(&mut self, slot: u32, port: Port) -> Option<&mut Option<MediaSocket>> {
        let table = match port {
            Port::Rtp => &mut self.rtp,
            Port::Rtcp => &mut self.rtcp,
        };
        table.get_mut(slot as usize)
    }
}

/// What a read of a socket gave, as far as the next read depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gave {
    Datagram,
    Nothing,
    Error,
}

impl MediaSocket {
    fn new(socket: OwnedFd, stamps: bool) -> Self {
        Self { socket, admits: Admits::Anyone, stamps, expects_more: false }
    }

    /// The descriptor.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The source that the kernel sends to, and receives from, without being told.
    pub(crate) fn connected_to(&self) -> Option<SocketAddr> {
        match self.admits {
            Admits::Anyone => None,
            Admits::Draining(source) | Admits::Only(source) => Some(source),
        }
    }

    /// How it is to be read next.
    pub(crate) fn read(&self, slot: u32, port: Port) -> Read {
        let message = self.stamps || !matches!(self.admits, Admits::Only(_));
        Read { slot, port, socket: self.socket.as_raw_fd(), message }
    }

    /// Notes what the read number `pass` of this visit gave; returns whether to read once more.
    ///
    /// One read per visit is the rule, because the room takes one packet per visit. A second is
    /// worth its price where `probe` says so, where the last visit found nothing (its packet was
    /// late, so two may wait now), and where a second read has just given something.
    pub(crate) fn after_read(&mut self, pass: usize, gave: Gave, probe: bool) -> bool {
        match gave {
            Gave::Datagram => {
                let more = pass > 0 || probe || self.expects_more || self.is_draining();
                self.expects_more |= pass > 0;
                more
            }
            Gave::Nothing => {
                self.expects_more = pass == 0;
                if let Admits::Draining(source) = self.admits {
                    self.admits = Admits::Only(source);
                }
                false
            }
            Gave::Error => true,
        }
    }

    fn is_draining(&self) -> bool {
        matches!(self.admits, Admits::Draining(_))
    }

    /// Lets only `source` in from now on. What waits in the socket already may be of others, so
    /// it is read with its source until the socket was seen empty. `wire` is the same address in
    /// the socket's family.
    pub(crate) fn admit_only(&mut self, source: SocketAddr, wire: SocketAddr) -> io::Result<()> {
        connect(&self.socket, &wire)?;
        self.admits = Admits::Draining(source);
        Ok(())
    }

    /// Lets everyone in again.
    pub(crate) fn admit_anyone(&mut self) -> io::Result<()> {
        if self.admits != Admits::Anyone {
            connect_unspec(&self.socket)?;
            self.admits = Admits::Anyone;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: SocketPlan = SocketPlan {
        bind: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        receive_buffer_bytes: 16 * 1024,
        rtp_stamps: false,
    };

    fn pair() -> SocketPair {
        SocketPair {
            rtp: Some(PLAN.open(Port::Rtp, 0).unwrap()),
            rtcp: Some(PLAN.open(Port::Rtcp, 0).unwrap()),
        }
    }

    fn media_socket() -> MediaSocket {
        MediaSocket::new(PLAN.open(Port::Rtp, 0).unwrap(), false)
    }

    #[test]
    fn one_read_per_visit_is_the_rule() {
        let mut socket = media_socket();
        for _ in 0..3 {
            assert!(!socket.after_read(0, Gave::Datagram, false));
        }
    }

    #[test]
    fn after_a_visit_in_vain_two_are_expected_once() {
        let mut socket = media_socket();
        assert!(!socket.after_read(0, Gave::Nothing, false));
        assert!(socket.after_read(0, Gave::Datagram, false));
        assert!(!socket.after_read(1, Gave::Nothing, false));
        assert!(!socket.after_read(0, Gave::Datagram, false));
    }

    #[test]
    fn a_backlog_once_found_is_read_to_its_end_at_every_visit() {
        let mut socket = media_socket();
        assert!(socket.after_read(0, Gave::Datagram, true), "a probe");
        assert!(socket.after_read(1, Gave::Datagram, false));
        assert!(socket.after_read(2, Gave::Datagram, false));
        assert!(!socket.after_read(3, Gave::Nothing, false));
        assert!(!socket.after_read(0, Gave::Datagram, false), "it was read to its end");
    }

    #[test]
    fn an_error_is_not_taken_for_emptiness() {
        let mut socket = media_socket();
        assert!(socket.after_read(0, Gave::Error, false));
    }

    #[test]
    fn a_connected_socket_names_its_sources_until_it_was_seen_empty() {
        let mut socket = media_socket();
        let source = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!(socket.read(0, Port::Rtp).message);
        socket.admit_only(source, source).unwrap();
        assert_eq!(socket.connected_to(), Some(source));
        assert!(socket.read(0, Port::Rtp).message);
        assert!(socket.after_read(0, Gave::Datagram, false), "strangers' packets may wait");
        assert!(!socket.after_read(1, Gave::Nothing, false));
        assert!(!socket.read(0, Port::Rtp).message);
        socket.admit_anyone().unwrap();
        assert!(socket.read(0, Port::Rtp).message);
        assert_eq!(socket.connected_to(), None);
    }

    #[test]
    fn a_table_never_replaces_a_socket_in_use() {
        let mut table = SocketTable::new(PLAN, 2);
        assert!(table.insert(1, pair()).is_empty());
        let back = table.insert(1, pair());
        assert!(back.rtp.is_some() && back.rtcp.is_some());
        let alone = SocketPair { rtp: None, ..pair() };
        assert!(table.insert(0, alone).rtcp.is_some(), "RTCP without RTP has no session");
        assert!(!table.insert(2, pair()).is_empty(), "beyond the table");
        let removed = table.remove(1);
        assert!(removed.rtp.is_some() && removed.rtcp.is_some());
        assert!(table.remove(1).is_empty());
    }
}
