//! The sound of all phones: who sends in which slot, and whose packet came.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use media_units::Instant;
use nix::sys::socket::SockaddrStorage;
use sim::Seed;
use sim::caller::Media as Agreed;
use sim::network::{Link, LinkModel};
use sim::phone::{Arrival, Phone};

use crate::clock::Clock;
use crate::media_wire::{Inbox, MediaSocket, Outbox, storage};

/// How finely the packets of all phones are spread over a packet time.
pub(crate) const SLOT: Duration = Duration::from_micros(500);
/// Slots in a packet time of 20 ms.
const SLOTS: usize = 40;
/// Each socket is read once in so many slots. The kernel stamps the packets, so it costs nothing
/// in accuracy.
pub(crate) const READING_PERIOD: usize = 10;
/// At most so many phones share a socket.
const PHONES_PER_SOCKET: usize = 64;
/// Packet times between two RTCP reports of a phone: 5 s.
const REPORT_PERIOD: u64 = 250;
/// Packet times between two packets of a phone that rests: 5 s.
const REST_PERIOD: u64 = 250;
const NOBODY: u32 = u32::MAX;

/// All phones and their sockets.
pub(crate) struct Media {
    clock: Clock,
    pub(crate) phones: Vec<Phone>,
    /// Those that send hardly anything.
    resting: Vec<bool>,
    ends: Vec<End>,
    sockets: Vec<MediaSocket>,
    /// The phones of each socket.
    groups: Vec<Vec<usize>>,
    /// The sockets that send in each slot of a packet time.
    places: Vec<Vec<usize>>,
    /// The phone for each port of the server.
    by_port: Vec<u32>,
    /// The same where two servers use the same port.
    by_address: HashMap<SocketAddr, usize>,
    inbox: Inbox,
    outbox: Outbox,
    links: Vec<Link>,
    delayed: BinaryHeap<Reverse<(Instant, usize, Vec<u8>)>>,
    pub(crate) counts: MediaCounts,
}

/// What all phones together did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MediaCounts {
    /// RTP packets sent.
    pub(crate) sent: u64,
    /// Datagrams from an address that belongs to no call.
    pub(crate) strays: u64,
}

/// The server's end of one phone's stream.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    remote: Option<SocketAddr>,
    to: Option<SockaddrStorage>,
    sends: bool,
}

impl Media {
    /// Binds the sockets for these phones, some of which rest.
    pub(crate) fn bind(
        address: IpAddr,
        phones: Vec<Phone>,
        resting: Vec<bool>,
        link: Option<LinkModel>,
        seed: &Seed,
        clock: Clock,
    ) -> io::Result<Self> {
        let count = phones.len().div_ceil(PHONES_PER_SOCKET).max(phones.len().min(SLOTS));
        let sockets: io::Result<Vec<_>> = (0..count).map(|_| MediaSocket::bind(address)).collect();
        let mut groups = vec![Vec::new(); count];
        for phone in 0..phones.len() {
            groups[phone % count].push(phone);
        }
        let mut places = vec![Vec::new(); SLOTS];
        for socket in 0..count {
            places[socket * SLOTS / count.min(SLOTS) % SLOTS].push(socket);
        }
        let links = link.map_or_else(Vec::new, |model| {
            let fork = |phone| Link::new(model, seed.fork(phone as u64));
            (0..phones.len()).map(fork).collect()
        });
        Ok(Self {
            clock,
            ends: vec![End::default(); phones.len()],
            phones,
            resting,
            sockets: sockets?,
            groups,
            places,
            by_port: vec![NOBODY; 1 << 16],
            by_address: HashMap::new(),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            links,
            delayed: BinaryHeap::new(),
            counts: MediaCounts::default(),
        })
    }

    /// Where a phone listens.
    pub(crate) fn local(&self, phone: usize) -> io::Result<SocketAddr> {
        self.sockets[phone % self.sockets.len()].local()
    }

    /// Packets that the kernel did not take.
    pub(crate) fn refused(&self) -> u64 {
        self.outbox.refused
    }

    /// Offer and answer agreed.
    pub(crate) fn connect(&mut self, phone: usize, agreed: &Agreed) {
        self.disconnect(phone);
        self.phones[phone].agree(agreed);
        let remote = agreed.remote;
        let (to, sends) = (Some(storage(remote)), agreed.sends);
        self.ends[phone] = End { remote: Some(remote), to, sends };
        let port = &mut self.by_port[usize::from(remote.port())];
        if *port == NOBODY {
            *port = phone as u32;
        } else {
            self.by_address.insert(remote, phone);
        }
    }

    /// The call is over.
    pub(crate) fn disconnect(&mut self, phone: usize) {
        let end = std::mem::take(&mut self.ends[phone]);
        let Some(remote) = end.remote else { return };
        let port = &mut self.by_port[usize::from(remote.port())];
        if *port == phone as u32 {
            *port = NOBODY;
        } else {
            self.by_address.remove(&remote);
        }
    }

    /// Sends the packets of one slot; slots are numbered without end.
    pub(crate) fn send(&mut self, slot: u64) {
        let place = (slot % SLOTS as u64) as usize;
        let round = slot / SLOTS as u64;
        for index in 0..self.places[place].len() {
            self.send_group(self.places[place][index], round);
        }
        self.send_delayed();
    }

    fn send_group(&mut self, socket: usize, round: u64) {
        let now = self.clock.now();
        let wire = &self.sockets[socket];
        for &phone in &self.groups[socket] {
            let End { to: Some(to), sends: true, .. } = self.ends[phone] else { continue };
            if self.resting[phone] && !(round + phone as u64).is_multiple_of(REST_PERIOD) {
                self.phones[phone].sender.pause();
                continue;
            }
            let packet = self.phones[phone].sender.packet(now);
            self.counts.sent += 1;
            match self.links.get_mut(phone) {
                None => self.outbox.push(wire, to, [&packet.header, packet.payload]),
                Some(link) => {
                    for at in link.carry(now, packet.payload.len()).into_iter().flatten() {
                        self.delayed.push(Reverse((at, phone, packet.to_vec())));
                    }
                }
            }
            if (round + phone as u64).is_multiple_of(REPORT_PERIOD) {
                let report = self.phones[phone].report(now, false);
                self.outbox.push(wire, to, [&report, &[]]);
            }
        }
        self.outbox.flush(wire);
    }

    fn send_delayed(&mut self) {
        let now = self.clock.now();
        while self.delayed.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((_, phone, octets))) = self.delayed.pop() else { return };
            if let Some(to) = self.ends[phone].to {
                let wire = &self.sockets[phone % self.sockets.len()];
                self.outbox.push(wire, to, [&octets, &[]]);
                self.outbox.flush(wire);
            }
        }
    }

    /// Receives on the sockets whose turn it is.
    pub(crate) fn receive(&mut self, slot: u64, mut each: impl FnMut(usize, &mut Phone, Arrival)) {
        let place = (slot % READING_PERIOD as u64) as usize;
        for socket in (place..self.sockets.len()).step_by(READING_PERIOD) {
            let Self { inbox, sockets, clock, by_port, by_address, ends, phones, counts, .. } =
                self;
            inbox.receive(&sockets[socket], clock, |source, arrival, octets| {
                let listed = by_port[usize::from(source.port())];
                let is_it = |&phone: &usize| ends[phone].remote == Some(source);
                let phone = (listed != NOBODY).then_some(listed as usize).filter(is_it);
                match phone.or_else(|| by_address.get(&source).copied()) {
                    Some(phone) => {
                        let arrival = phones[phone].receiver.receive(arrival, octets);
                        each(phone, &mut phones[phone], arrival);
                    }
                    None => counts.strays += 1,
                }
            });
            if slot % (SLOTS as u64 * 50) < READING_PERIOD as u64 {
                self.sockets[socket].drain_rtcp();
            }
        }
    }
}
