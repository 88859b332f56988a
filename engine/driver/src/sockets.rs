//! The media sockets: opened and closed by the control plane, used by one shard.

use std::io;
use std::mem::take;
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
    /// Not read until something comes.
    asleep: bool,
    /// The present visit is late: it is to cost as little as it can.
    late: bool,
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
        Self { plan, rtp: empty(), rtcp: empty(), sleepers: Sleepers::new() }
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

    /// Begins a visit of a session's RTP socket: how often it is to be read at first. One that has
    /// been silent for long is not, until something comes.
    pub(crate) fn begin_visit(&mut self, slot: u32, visit: Visit) -> usize {
        let Some(Some(socket)) = self.rtp.get_mut(slot as usize) else { return 0 };
        if socket.asleep {
            return 0;
        }
        let times = socket.begin_visit(visit);
        if socket.silent >= SLEEP_VISITS && !socket.is_draining() {
            // What came meanwhile is told at once.
            socket.asleep = self.sleepers.insert(slot, socket.socket.as_fd());
        }
        if socket.asleep { 0 } else { times }
    }

    /// Wakes the sockets that something came to.
    pub(crate) fn wake(&mut self) {
        let mut slots = [0; TOLD];
        loop {
            let count = self.sleepers.spoken_to(&mut slots);
            for &slot in &slots[..count] {
                if let Some(Some(socket)) = self.rtp.get_mut(slot as usize)
                    && take(&mut socket.asleep)
                {
                    self.sleepers.remove(socket.socket.as_fd());
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
        if let Some(Some(socket)) = self.rtp.get_mut(slot as usize)
            && take(&mut socket.asleep)
        {
            self.sleepers.remove(socket.socket.as_fd());
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
            asleep: false,
            late: false,
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
    /// A late visit is for one packet, too: what else waits there is for the visits that are due next.
    /// To read it now would make a late shard later, and those visits would find nothing, take that for
    /// a packet that is owed, and read twice for a second more. Nor is it stamped, where the stream is
    /// known.
    pub(crate) fn begin_visit(&mut self, visit: Visit) -> usize {
        let several = self.found > self.expected;
        self.settle();
        self.found = 0;
        self.late = visit.is_late;
        self.expected = 1 + visit.left_out.min(BACKLOG_MAX) as u8;
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

    /// A visit in which so many datagrams wait: how many reads it takes.
    fn visit(socket: &mut MediaSocket, waiting: usize, probe: bool) -> usize {
        let to_do = socket.begin_visit(Visit { is_probe: probe, ..Visit::default() });
        read_on(socket, waiting, to_do)
    }

    fn visit_after(socket: &mut MediaSocket, waiting: usize, left_out: u64) -> usize {
        let to_do = socket.begin_visit(Visit { left_out, ..Visit::default() });
        read_on(socket, waiting, to_do)
    }

    fn read_on(socket: &mut MediaSocket, mut waiting: usize, mut to_do: usize) -> usize {
        let mut reads = 0;
        while to_do > 0 {
            let gave = if waiting > 0 { Gave::Packet } else { Gave::Nothing };
            waiting = waiting.saturating_sub(1);
            to_do = to_do - 1 + usize::from(socket.after_read(gave, socket.connected_to()));
            reads += 1;
        }
        reads
    }

    #[test]
    fn one_read_per_visit_is_the_rule() {
        let mut socket = media_socket();
        assert_eq!(
            visit(&mut socket, 1, false),
            2,
            "what waited before the first visit is looked for"
        );
        for _ in 0..3 {
            assert_eq!(visit(&mut socket, 1, false), 1);
        }
        assert_eq!(visit(&mut socket, 1, true), 2, "a probe");
    }

    #[test]
    fn after_a_late_packet_two_are_looked_for_until_they_came() {
        let mut socket = media_socket();
        visit(&mut socket, 1, false);
        assert_eq!(visit(&mut socket, 0, false), 1);
        for _ in 0..10 {
            assert_eq!(visit(&mut socket, 1, false), 2, "one came, one is owed still");
        }
        assert_eq!(visit(&mut socket, 2, false), 3, "until it is empty");
        assert_eq!(visit(&mut socket, 1, false), 2, "a burst may go on");
        assert_eq!(visit(&mut socket, 1, false), 1);
    }

    #[test]
    fn a_lost_packet_is_looked_for_a_second_long() {
        let mut socket = media_socket();
        visit(&mut socket, 1, false);
        visit(&mut socket, 0, false);
        let reads: usize = (0..60).map(|_| visit(&mut socket, 1, false)).sum();
        assert_eq!(reads, 60 + usize::from(PATIENCE));
    }

    #[test]
    fn after_periods_that_were_left_out_each_packet_is_read_once_and_all_is_as_before() {
        let mut socket = media_socket();
        visit(&mut socket, 1, false);
        (0..200).for_each(|_| assert!(visit(&mut socket, 1, false) <= 2));
        let calm = socket.calm;
        assert!(calm >= CALM);
        assert_eq!(visit_after(&mut socket, 5, 4), 5);
        for _ in 0..3 {
            assert_eq!(visit(&mut socket, 1, false), 1, "nothing is looked for in vain");
            assert!(socket.calm >= CALM, "it was no jitter");
        }
        assert_eq!(visit_after(&mut socket, 2, 4), 3, "those that did not come are not waited for");
        assert_eq!(visit(&mut socket, 4, false), 1, "nor for ever");
    }

    #[test]
    fn a_late_shard_reads_each_socket_once_and_is_not_dearer_once_it_is_in_time() {
        let mut socket = MediaSocket::new(PLAN.open(Port::Rtp, 0).unwrap(), true);
        socket.admits = Admits::Only(SocketAddr::from(([127, 0, 0, 1], 9)));
        visit(&mut socket, 1, false);
        (0..200).for_each(|_| assert!(visit(&mut socket, 1, false) <= 2));
        let calm = socket.calm;
        // 40 ms late: three wait, and the visits come one after the other until none is too many.
        for waiting in [3, 2, 1] {
            let late = Visit { is_probe: true, is_late: true, left_out: 0 };
            let to_do = socket.begin_visit(late);
            assert!(!socket.read(0, Port::Rtp).message, "it needs no stamp");
            assert_eq!(read_on(&mut socket, waiting, to_do), 1, "even where it would have looked");
        }
        for _ in 0..3 {
            assert_eq!(visit(&mut socket, 1, false), 1);
        }
        assert!(socket.calm >= calm.min(CALM), "it was no jitter");
        // What was owed before is looked for after.
        visit(&mut socket, 0, false);
        let to_do = socket.begin_visit(Visit { is_late: true, ..Visit::default() });
        assert_eq!(read_on(&mut socket, 2, to_do), 1);
        assert_eq!(visit(&mut socket, 2, false), 3);
    }

    #[test]
    fn a_calm_stream_is_stamped_one_time_in_eight_until_it_is_not_calm() {
        let mut socket = MediaSocket::new(PLAN.open(Port::Rtp, 0).unwrap(), true);
        socket.admits = Admits::Only(SocketAddr::from(([127, 0, 0, 1], 9)));
        let mut stamped = |packets: usize, visits: usize| -> usize {
            let visits = (0..visits).map(|_| {
                visit(&mut socket, packets, false);
                usize::from(socket.read(0, Port::Rtp).message)
            });
            visits.sum()
        };
        assert_eq!(stamped(1, usize::from(CALM)), usize::from(CALM), "it is not known yet");
        stamped(1, 8);
        assert_eq!(stamped(1, 80), 10);
        stamped(0, 1);
        stamped(2, 1);
        assert_eq!(stamped(1, usize::from(CALM)), usize::from(CALM), "every one again");
    }

    #[test]
    fn a_source_on_hold_is_read_once_a_visit() {
        let mut socket = media_socket();
        visit(&mut socket, 1, false);
        for _ in 0..SILENT_VISITS {
            visit(&mut socket, 0, false);
        }
        for _ in 0..3 {
            assert_eq!(visit(&mut socket, 0, false), 1);
        }
        assert_eq!(visit(&mut socket, 1, false), 1);
        assert_eq!(visit(&mut socket, 1, false), 1);
    }

    #[test]
    fn a_socket_silent_for_long_is_not_read_until_something_comes() {
        let mut table = SocketTable::new(PLAN, 2);
        let pair = SocketPair { rtcp: None, ..pair() };
        let here = std::net::UdpSocket::from(pair.rtp.as_ref().unwrap().try_clone().unwrap());
        assert!(table.insert(1, pair).is_empty());
        let reads = |table: &mut SocketTable, visits: usize| -> usize {
            (0..visits).map(|_| table.begin_visit(1, Visit::default())).sum()
        };
        reads(&mut table, 200);
        table.wake();
        assert_eq!(reads(&mut table, 10), 0, "nothing came");
        let there = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        there.send_to(b"hello", here.local_addr().unwrap()).unwrap();
        table.wake();
        assert_eq!(reads(&mut table, 1), 2);
        reads(&mut table, 200);
        table.wake();
        assert_eq!(reads(&mut table, 1), 2, "told again, as it was not read");
        assert!(!table.remove(1).is_empty());
        table.wake();
        assert_eq!(table.begin_visit(1, Visit::default()), 0);
    }

    #[test]
    fn a_backlog_once_found_is_read_to_its_end() {
        let mut socket = media_socket();
        visit(&mut socket, 1, false);
        assert_eq!(visit(&mut socket, 5, false), 1, "not looked for");
        assert_eq!(visit(&mut socket, 5, true), 6);
        assert_eq!(visit(&mut socket, 5, false), 6);
    }

    #[test]
    fn rtcp_beside_the_stream_leaves_no_packet_behind() {
        let mut socket = media_socket();
        visit(&mut socket, 1, false);
        visit(&mut socket, 1, false);
        assert_eq!(socket.begin_visit(Visit::default()), 1);
        assert!(socket.after_read(Gave::Other, None), "the packet waits behind it");
        assert!(!socket.after_read(Gave::Packet, None));
        assert_eq!(
            socket.begin_visit(Visit::default()),
            1,
            "nothing is owed and nothing came in excess"
        );
    }

    #[test]
    fn an_error_is_not_taken_for_emptiness() {
        let mut socket = media_socket();
        assert!(socket.after_read(Gave::Error, None));
    }

    #[test]
    fn a_connected_socket_names_its_sources_until_it_was_seen_empty() {
        let mut socket = media_socket();
        let source = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!(socket.read(0, Port::Rtp).message);
        visit(&mut socket, 1, false);
        socket.admit_only(source, source).unwrap();
        assert_eq!(socket.connected_to(), Some(source));
        socket.after_read(Gave::Nothing, None);
        assert!(socket.read(0, Port::Rtp).message, "it was seen empty before it was connected");
        assert_eq!(visit(&mut socket, 3, false), 4, "strangers' packets may wait");
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
