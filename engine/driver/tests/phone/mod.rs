//! An endpoint on a real socket, and an engine to call: what the socket tests share.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use engine_control::{
    Command, Event, Limits, NEVER_PERCENT, OverloadRule, PortPlan, Refusal, RemoteMedia, Route,
    RtcpTransport, SessionKey, SessionOpen,
};
use engine_driver::{DriverChoice, Engine, EngineConfig};
use media_units::{Law, RtpTimestamp, SequenceNumber, Ssrc};

/// The drivers that give each stream its sockets.
pub(crate) const SOCKET_DRIVERS: [DriverChoice; 2] = [DriverChoice::IoUring, DriverChoice::Plain];

/// Every driver that this process has the right to.
pub(crate) fn drivers() -> Vec<DriverChoice> {
    let mut drivers = SOCKET_DRIVERS.to_vec();
    match Engine::start(config(DriverChoice::Packet, 1, 1)) {
        Ok(_) => drivers.push(DriverChoice::Packet),
        Err(failure) => eprintln!("not tested here: {failure}"),
    }
    drivers
}

/// Where tests look for ports: below those that the system gives away.
const FIRST_PORT: u16 = 16_384;
const PORTS: u16 = 16_000;

/// What a busy machine does to a shard is no reason to refuse.
pub(crate) const PATIENT: OverloadRule = OverloadRule {
    refuse_above: NEVER_PERCENT,
    complexity_above: NEVER_PERCENT,
    taps_above: NEVER_PERCENT,
    hysteresis: 1,
    calm: Duration::from_secs(1),
    opus_complexity: 1,
};

/// Longer than anything here takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A plan for `sessions` sessions on each of `shards` shards, in ports that no other test of this
/// process is given and that nobody else holds.
pub(crate) fn ports(shards: u16, sessions: u16) -> PortPlan {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let block = (2 * sessions).next_power_of_two();
    let count = shards * block;
    let start = (std::process::id() % 16) as u16 * 512;
    let is_free = |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let first = std::iter::repeat_with(|| NEXT.fetch_add(count, Ordering::Relaxed))
        .map(|offset| FIRST_PORT + (start + offset) % (PORTS - count))
        .take(100)
        .find(|&first| (first..first + count).all(is_free));
    PortPlan { first: first.expect("a free range of ports"), block: u32::from(block) }
}

/// An engine of `shards` shards of `sessions` sessions on loopback.
pub(crate) fn engine(driver: DriverChoice, shards: u16, sessions: u16) -> Engine {
    Engine::start(config(driver, shards, sessions)).expect("the engine starts")
}

/// Its configuration.
pub(crate) fn config(driver: DriverChoice, shards: u16, sessions: u16) -> EngineConfig {
    EngineConfig {
        shards: vec![None; usize::from(shards)],
        limits: Limits {
            sessions_max: u32::from(sessions),
            rooms_max: 16,
            overload: PATIENT,
            ..Limits::default()
        },
        driver,
        ..EngineConfig::new(ports(shards, sessions))
    }
}

/// One endpoint that speaks PCMU.
pub(crate) struct Phone {
    pub(crate) socket: UdpSocket,
    pub(crate) media: SocketAddr,
    pub(crate) ssrc: u32,
    pub(crate) payload: u8,
    sequence: u16,
}

impl Phone {
    /// A phone that sends to `media` from a port of its own.
    pub(crate) fn new(media: SocketAddr, ssrc: u32, payload: u8) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        Self::on(socket, media, ssrc, payload)
    }

    /// A phone with this socket.
    pub(crate) fn on(socket: UdpSocket, media: SocketAddr, ssrc: u32, payload: u8) -> Self {
        socket.set_nonblocking(true).expect("non-blocking");
        Self { socket, media, ssrc, payload, sequence: 0 }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// Sends 20 ms of its code.
    pub(crate) fn speak(&mut self) {
        let mut packet = [self.payload; 172];
        packet[..2].copy_from_slice(&[0x80, 0]);
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(self.sequence) * 160).to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send_to(&packet, self.media).expect("sent");
    }

    /// Says 20 ms that get lost on their way.
    pub(crate) fn lose(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Packets said so far.
    pub(crate) fn said(&self) -> u16 {
        self.sequence
    }

    /// How many packets of `code` wait here; takes all that wait.
    pub(crate) fn heard(&self, code: u8) -> usize {
        let mut heard = 0;
        self.packets(|packet| heard += usize::from(packet[92] == code));
        heard
    }

    /// Takes all packets of sound that wait here.
    pub(crate) fn packets(&self, mut take: impl FnMut(&[u8; 172])) {
        let mut buffer = [0; 2048];
        while let Ok((length, source)) = self.socket.recv_from(&mut buffer) {
            assert_eq!(source, self.media, "media comes from where it is sent to");
            if let Ok(packet) = buffer[..length].try_into() {
                take(packet);
            }
        }
    }
}

/// Calls `step` every 20 ms until it is content.
pub(crate) fn until(what: &str, mut step: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !step() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Reserves a session and opens it, with a phone at its other end.
pub(crate) fn dial(
    engine: &mut Engine,
    route: Route,
    ssrc: u32,
    payload: u8,
) -> (SessionKey, Phone) {
    let room = match route {
        Route::Room(room) => Some(room),
        _ => None,
    };
    let session = engine.reserve(room.map(engine_control::RoomKey::shard)).expect("a free slot");
    let media = SocketAddr::from((Ipv4Addr::LOCALHOST, engine.rtp_port(session)));
    let phone = Phone::new(media, ssrc, payload);
    open(engine, session, phone.address(), RtcpTransport::Mux, route).expect("sent");
    (session, phone)
}

/// Sends the command that opens a reserved session.
pub(crate) fn open(
    engine: &mut Engine,
    session: SessionKey,
    rtp: SocketAddr,
    rtcp: RtcpTransport,
    route: Route,
) -> Result<(), Refusal> {
    let open = SessionOpen {
        ssrc: Ssrc(session.slot()),
        sequence: SequenceNumber(7),
        timestamp: RtpTimestamp(9),
        media: media(rtp, rtcp),
        route,
    };
    let command = Command::OpenSession { session, open: Box::new(open) };
    engine.command(command).map_err(|(_, refusal)| refusal)
}

/// PCMU both ways.
pub(crate) fn media(rtp: SocketAddr, rtcp: RtcpTransport) -> RemoteMedia {
    RemoteMedia::g711(Law::Mu, rtp, rtcp)
}

/// Waits for an event that `wanted` takes; others are dropped.
pub(crate) fn wait_for<T>(engine: &mut Engine, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let mut found = None;
    until("an event", || {
        while found.is_none()
            && let Some(event) = engine.next_event()
        {
            found = wanted(event);
        }
        found.is_some()
    });
    found.expect("until() said so")
}

/// Closes a session and waits until its slot is free.
pub(crate) fn hang_up(engine: &mut Engine, session: SessionKey) {
    engine.command(Command::CloseSession { session }).expect("sent");
    wait_for(engine, |event| {
        matches!(event, Event::SessionClosed { session: closed, .. } if closed == session)
            .then_some(())
    });
}
