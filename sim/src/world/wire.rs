//! Everything between the phones and the server: links, addresses, and the heap of what is yet to
//! happen.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use engine_control::Event;
use media_units::Instant;

use super::trace::Trace;
use crate::Seed;
use crate::network::{Link, LinkModel};

/// The server's address.
pub(super) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SIP_PORT: u16 = 5060;
const PHONE_MEDIA_PORT: u16 = 4000;

/// What will happen.
#[derive(Debug)]
pub(super) enum Happening {
    /// A shard's tick.
    Tick(u8),
    /// The front end has something to repeat or to give up.
    FrontEndExpires,
    /// A fact reaches the front end.
    Fact(Event),
    /// A datagram reaches a media port of the server.
    ServerMedia { port: u16, source: SocketAddr, octets: Vec<u8> },
    /// A datagram reaches an address behind which a phone may be.
    PhoneMedia { to: SocketAddr, octets: Vec<u8> },
    /// A SIP message reaches the server.
    ServerSip { from: SocketAddr, message: Bytes },
    /// A SIP message reaches a phone.
    PhoneSip { phone: usize, message: Bytes },
    /// A phone's packet time has passed.
    PhoneSends(usize),
    /// A phone's report is due.
    PhoneReports(usize),
    /// A caller has something to repeat or to give up.
    CallerExpires(usize),
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    /// Breaks ties in the order of planning.
    serial: u64,
    happening: Happening,
}

/// The four links of one phone, and where it is seen from outside.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) media_up: Link,
    pub(super) media_down: Link,
    pub(super) sip_up: Link,
    pub(super) sip_down: Link,
    /// The phone's media address as the server sees it.
    pub(super) media: SocketAddr,
}

/// What was carried, for the oracle of conservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// Datagrams that phones sent to media ports.
    pub media_sent_up: u64,
    /// Those that reached the server.
    pub media_arrived_up: u64,
    /// Datagrams that the server sent from media ports.
    pub media_sent_down: u64,
    /// Those that reached a phone.
    pub media_arrived_down: u64,
    /// SIP messages of the server.
    pub sip_sent_down: u64,
}

/// The network and the future.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) now: Instant,
    heap: BinaryHeap<Entry>,
    serial: u64,
    seed: Seed,
    pub(super) paths: Vec<Path>,
    pub(super) trace: Trace,
    pub(super) carried: Carried,
}

impl Wire {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            now: Instant::START,
            heap: BinaryHeap::new(),
            serial: 0,
            seed,
            paths: Vec::new(),
            trace: Trace::default(),
            carried: Carried::default(),
        }
    }

    pub(super) fn plan(&mut self, at: Instant, happening: Happening) {
        self.serial += 1;
        self.heap.push(Entry { at: at.max(self.now), serial: self.serial, happening });
    }

    /// The next thing that happens no later than `until`; time moves on to it.
    pub(super) fn next(&mut self, until: Instant) -> Option<Happening> {
        if self.heap.peek()?.at > until {
            return None;
        }
        let entry = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.happening)
    }

    /// Adds a phone's links.
    pub(super) fn add_path(&mut self, media: LinkModel, sip: LinkModel) {
        let phone = self.paths.len();
        let link = |number: u64, model| Link::new(model, self.seed.fork(phone as u64 * 4 + number));
        let path = Path {
            media_up: link(0, media),
            media_down: link(1, media),
            sip_up: link(2, sip),
            sip_down: link(3, sip),
            media: media_address(phone),
        };
        self.paths.push(path);
    }

    /// A phone sends a datagram to a media port of the server.
    pub(super) fn media_up(&mut self, phone: usize, port: u16, octets: Vec<u8>) {
        self.carried.media_sent_up += 1;
        let source = self.paths[phone].media;
        let [first, again] = self.paths[phone].media_up.carry(self.now, octets.len());
        if let Some(at) = again {
            let octets = octets.clone();
            self.plan(at, Happening::ServerMedia { port, source, octets });
        }
        if let Some(at) = first {
            self.plan(at, Happening::ServerMedia { port, source, octets });
        }
    }

    /// The server sends a datagram from one of its media ports.
    pub(super) fn media_down(&mut self, from: u16, to: SocketAddr, octets: Vec<u8>) {
        self.carried.media_sent_down += 1;
        self.trace.note(self.now, 1, u64::from(from) << 16 | u64::from(to.port()), &octets);
        let Some(path) = phone_of(to).and_then(|phone| self.paths.get_mut(phone)) else { return };
        let [first, again] = path.media_down.carry(self.now, octets.len());
        if let Some(at) = again {
            let octets = octets.clone();
            self.plan(at, Happening::PhoneMedia { to, octets });
        }
        if let Some(at) = first {
            self.plan(at, Happening::PhoneMedia { to, octets });
        }
    }

    /// A phone sends a SIP message.
    pub(super) fn sip_up(&mut self, phone: usize, message: &[u8]) {
        let from = sip_address(phone);
        for at in self.paths[phone].sip_up.carry(self.now, message.len()).into_iter().flatten() {
            let message = Bytes::copy_from_slice(message);
            self.plan(at, Happening::ServerSip { from, message });
        }
    }

    /// The server sends a SIP message.
    pub(super) fn sip_down(&mut self, to: SocketAddr, message: &Bytes) {
        self.carried.sip_sent_down += 1;
        self.trace.note(self.now, 2, u64::from(to.port()), message);
        let Some(phone) = phone_of(to).filter(|_| to.port() == SIP_PORT) else { return };
        let Some(path) = self.paths.get_mut(phone) else { return };
        for at in path.sip_down.carry(self.now, message.len()).into_iter().flatten() {
            self.plan(at, Happening::PhoneSip { phone, message: message.clone() });
        }
    }
}

/// Where a phone does SIP.
pub(super) fn sip_address(phone: usize) -> SocketAddr {
    SocketAddr::new(phone_ip(phone), SIP_PORT)
}

/// Where a phone does RTP, as it says itself.
pub(super) fn media_address(phone: usize) -> SocketAddr {
    SocketAddr::new(phone_ip(phone), PHONE_MEDIA_PORT)
}

/// The server's SIP address.
pub(super) fn server_sip_address() -> SocketAddr {
    SocketAddr::new(SERVER, SIP_PORT)
}

fn phone_ip(phone: usize) -> IpAddr {
    let [_, high, middle, low] = (phone as u32 + 1).to_be_bytes();
    Ipv4Addr::new(10, high, middle, low).into()
}

/// The phone that has this address, if it could be one's.
pub(super) fn phone_of(address: SocketAddr) -> Option<usize> {
    let IpAddr::V4(v4) = address.ip() else { return None };
    let [network, high, middle, low] = v4.octets();
    let number = u32::from_be_bytes([0, high, middle, low]) as usize;
    (network == 10).then_some(number)?.checked_sub(1)
}

impl Ord for Entry {
    /// The earliest is the greatest, for the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.serial).cmp(&(self.at, self.serial))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
