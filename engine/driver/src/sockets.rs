//! The media sockets: opened and closed by the control plane, used by one shard.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use engine::Port;
use rustix::net::{connect, connect_unspec};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::batch::Read;
use crate::option;
use crate::sleepers::{Sleepers, TOLD};

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
            option::set(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
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
    sleepers: Sleepers,
}

/// One socket in use.
pub(crate) struct MediaSocket {
    socket: OwnedFd,
    admits: Admits,
    stamps: bool,
    /// Packets that the present visit is for: one, and one for each period that was left out.
    expected: u8,
    /// Datagrams found in it.
    found: u8,
    /// Packets that should have been found by now and were not.
    owed: u8,
    /// Visits in which they are still looked for.
    patience: u8,
    /// Visits in a row that found nothing.
    silent: u8,
    /// The present visit is late: it is to cost as little as it can.
    late: bool,
    /// Packets found in the last visit that was in time, and no fewer in each of the last two.
    found_in_time: u8,
    usual: u8,
    /// Visits since the last that did not find exactly one packet; see [`CALM`].
    calm: u8,
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
        let sleepers = Sleepers::new(sessions_max);
        Self { plan, rtp: empty(), rtcp: empty(), sleepers }
    }

    /// Bytes that a table of so many sessions reserves.
    pub(crate) const fn memory_bytes(sessions_max: u32) -> usize {
        sessions_max as usize * (2 * size_of::<Option<MediaSocket>>() + size_of::<bool>())
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

    /// Begins a visit of a session's RTP socket: how often it is to be read at first. One that has
    /// been silent for long is not, until something comes.
    pub(crate) fn begin_visit(&mut self, slot: u32, visit: Visit) -> usize {
        if self.sleepers.has(slot) {
            return 0;
        }
        let Some(Some(socket)) = self.rtp.get_mut(slot as usize) else { return 0 };
        let times = socket.begin_visit(visit);
        let may_sleep = socket.silent >= SLEEP_VISITS && !socket.is_draining();
        // What came meanwhile is told at once.
        let sleeps = may_sleep && self.sleepers.insert(slot, socket.socket.as_fd());
        if sleeps { 0 } else { times }
    }

    /// Wakes the sockets that something came to.
    pub(crate) fn wake(&mut self) {
        let mut slots = [0; TOLD];
        loop {
            let count = self.sleepers.spoken_to(&mut slots);
            for &slot in &slots[..count] {
                if let Some(Some(socket)) = self.rtp.get_mut(slot as usize)
                    && self.sleepers.remove(slot, socket.socket.as_fd())
                {
                    socket.wake();
                }
            }
            if count < TOLD {
                return;
            }
        }
    }

    /// Gives up a session's sockets.
    pub(crate) fn remove(&mut self, slot: u32) -> SocketPair {
        if let Some(Some(socket)) = self.rtp.get(slot as usize) {
            self.sleepers.remove(slot, socket.socket.as_fd());
        }
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

/// Packets that a socket's memory holds, about: after a stall so many are worth to be read at once.
pub(crate) const BACKLOG_MAX: u64 = 40;

/// Packets of a visit that may be usual: an endpoint that sends one each 10 ms or 5 ms, a period being 20.
const USUAL_MAX: u8 = 4;

/// Packets that a socket may owe: more would be a loss, not a delay.
const OWED_MAX: u8 = 2;

/// Visits in which a packet that is owed is looked for (1 s).
const PATIENCE: u8 = 50;

/// Visits without a packet after which none is expected: the source is on hold or gone.
const SILENT_VISITS: u8 = 3;

/// The same after which it is not visited until something comes (2 s).
const SLEEP_VISITS: u8 = 100;

/// Visits in a row with exactly one packet after which a stream is calm (2 s): its time stamps are
/// worth little more than a sample of them, and each costs some 5 % of what a packet costs.
const CALM: u8 = 100;

/// Visits of a calm stream without a stamp, between two with one.
const SPARED: u8 = 7;

/// What is known of a visit before it begins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Visit {
    /// A backlog is looked for.
    pub(crate) is_probe: bool,
    /// The shard is late, so that packets wait which belong to visits that are due next.
    pub(crate) is_late: bool,
    /// So many periods were left out since the last one.
    pub(crate) left_out: u64,
}

/// What a read of a socket gave, as far as the next read depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gave {
    /// A packet of the stream: one a period is the rule.
    Packet,
    /// Something beside the stream, such as multiplexed RTCP: the packet comes after it.
    Other,
    Nothing,
    Error,
}

impl MediaSocket {
    fn new(socket: OwnedFd, stamps: bool) -> Self {
        // As if several had been found: what came before the first visit waits in it.
        Self {
            socket,
            admits: Admits::Anyone,
            stamps,
            expected: 1,
            found: 2,
            owed: 0,
            patience: 0,
            silent: 0,
            late: false,
            found_in_time: 1,
            usual: 1,
            calm: 0,
        }
    }

    /// Something came: as when it was new.
    fn wake(&mut self) {
        (self.expected, self.found, self.silent) = (1, 2, 0);
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
        let wants_stamp = self.stamps && self.calm <= CALM && !self.late;
        let message = wants_stamp || !matches!(self.admits, Admits::Only(_));
        let (stamps, connected_to) = (self.stamps, self.connected_to());
        Read { slot, port, socket: self.socket.as_raw_fd(), message, stamps, connected_to }
    }

    /// Begins a visit, of which there is one per period: how often the socket is to be read at
    /// first.
    ///
    /// Once is the rule, because the room takes one packet per visit. Twice, at once and
    /// while its memory is near, where `probe` says so, where packets are owed, where the last
    /// visit found several, and to see a newly connected socket empty. Where periods were left out,
    /// once until their packets were found as well, and no more than these: so what is in the socket
    /// when is the same as if nothing had been left out, and costs no more from then on.
    ///
    /// A late visit is for one packet, too, or for as many as are usual: what else waits there is for the
    /// visits that are due next. To read it now would make a late shard later, and those visits would find
    /// nothing, take that for a packet that is owed, and read twice for a second more. Nor is it stamped,
    /// where the stream is known.
    pub(crate) fn begin_visit(&mut self, visit: Visit) -> usize {
        let several = self.found > self.expected;
        if !self.late && self.expected == 1 {
            self.usual = self.found.min(self.found_in_time).clamp(1, USUAL_MAX);
            self.found_in_time = self.found;
        }
        self.settle();
        self.found = 0;
        self.late = visit.is_late;
        let usual = if visit.is_late { self.usual } else { 1 };
        self.expected = usual + visit.left_out.min(BACKLOG_MAX) as u8;
        if visit.left_out > 0 || visit.is_late {
            return 1;
        }
        if visit.is_probe || several || self.owed > 0 || self.is_draining() { 2 } else { 1 }
    }

    /// Settles the account of the last visit. A packet that was not there when it should have been
    /// will come beside the next one, perhaps not at once but whenever the two fall between the
    /// same visits: until then, or for a second, both are looked for. Else it would wait in the
    /// socket, and so would every packet after it.
    fn settle(&mut self) {
        self.silent = if self.found == 0 { self.silent.saturating_add(1) } else { 0 };
        self.calm = match (self.found, self.calm) {
            (found, _) if found != self.expected => 0,
            (_, calm) if calm == CALM + SPARED => CALM,
            (_, calm) => calm + 1,
        };
        if self.silent >= SILENT_VISITS {
            self.owed = 0;
            return;
        }
        self.owed = (self.owed + self.expected).saturating_sub(self.found).min(OWED_MAX);
        self.patience = if self.found == 0 { PATIENCE } else { self.patience.saturating_sub(1) };
        if self.patience == 0 {
            self.owed = 0;
        }
    }

    /// Notes what a read gave; returns whether to read once more in this visit. `connected_to`
    /// is what the socket was connected to when it was read: emptiness seen before that is none.
    pub(crate) fn after_read(&mut self, gave: Gave, connected_to: Option<SocketAddr>) -> bool {
        match gave {
            Gave::Packet => {
                self.found = self.found.saturating_add(1);
                self.found != self.expected
            }
            Gave::Nothing => {
                if let Admits::Draining(source) = self.admits
                    && connected_to == Some(source)
                {
                    self.admits = Admits::Only(source);
                }
                false
            }
            Gave::Other | Gave::Error => true,
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
mod tests;
