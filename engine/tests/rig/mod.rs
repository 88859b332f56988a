//! A shard with phones around it, in virtual time: every phone's packet arrives 10 ms before the
//! tick that reads it.
#![allow(dead_code, unreachable_pub)] // each test program uses a part

pub mod taps;

use std::net::SocketAddr;
use std::time::Duration;

use engine::{Datagram, Luggage, Output, Port, Shard};
use engine_control::{
    Command, Event, Limits, RemoteMedia, RoomKey, Route, RtcpTransport, SessionKey, SessionOpen,
    TelephoneEvent,
};
use media::rtp::{RtpHeader, RtpView};
use media_kernels::Kernels;
use media_units::{
    Arrival, BLOCK_SAMPLES, Instant, Law, PERIOD, PHASES, RoomSound, RtpTimestamp, SequenceNumber,
    Ssrc, WallClock,
};

/// Payload type of digits in every session here.
pub const DIGITS: u8 = 101;

/// Periods after which every phone is latched and every playout buffer flows.
pub const SETTLED: usize = 60;

/// What the shard sent in one datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub slot: u32,
    pub port: Port,
    pub to: SocketAddr,
    pub at: Instant,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub fn view(&self) -> RtpView<'_> {
        RtpView::parse(&self.bytes).unwrap()
    }

    /// The one code of which the whole payload consists.
    pub fn code(&self) -> u8 {
        let payload = self.view().payload();
        assert_eq!(payload.len(), BLOCK_SAMPLES);
        let code = payload[0];
        assert!(payload.iter().all(|&other| other == code), "not steady: {payload:?}");
        code
    }
}

/// Everything that came out of the shard.
#[derive(Debug, Default)]
pub struct Taken {
    pub now: Instant,
    pub sent: Vec<Sent>,
    pub latches: Vec<(u32, Port, Option<SocketAddr>)>,
    pub events: Vec<Event>,
}

impl Output for Taken {
    fn send(&mut self, slot: u32, port: Port, to: SocketAddr, parts: [&[u8]; 2]) {
        let bytes = parts.concat();
        self.sent.push(Sent { slot, port, to, at: self.now, bytes });
    }

    fn latch(&mut self, slot: u32, port: Port, source: Option<SocketAddr>) {
        self.latches.push((slot, port, source));
    }

    fn retire(&mut self, _luggage: Luggage) {}

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

impl Taken {
    /// RTP sent to a session, oldest first.
    pub fn rtp(&self, slot: u32) -> Vec<&Sent> {
        let is_rtp =
            |sent: &&Sent| sent.slot == slot && media::demux(&sent.bytes) == media::Demux::Rtp;
        self.sent.iter().filter(is_rtp).collect()
    }

    pub fn rtcp(&self, slot: u32) -> Vec<&Sent> {
        let is_rtcp =
            |sent: &&Sent| sent.slot == slot && media::demux(&sent.bytes) == media::Demux::Rtcp;
        self.sent.iter().filter(is_rtcp).collect()
    }
}

/// An endpoint that sends one steady code.
#[derive(Debug, Clone)]
pub struct Phone {
    pub slot: u32,
    pub source: SocketAddr,
    pub ssrc: Ssrc,
    pub sequence: SequenceNumber,
    pub timestamp: RtpTimestamp,
    pub payload_type: u8,
    /// The code of every sample, or `None` where it sends nothing.
    pub code: Option<u8>,
    /// It sounds like a voice instead: a hum of 250 Hz with all its overtones, that swells.
    pub hums: bool,
}

/// What comes to the RTP port of a slot.
pub fn datagram(slot: u32, source: SocketAddr, at: Instant, bytes: &[u8]) -> Datagram<'_> {
    let arrival = Arrival::At(at);
    Datagram { slot, port: Port::Rtp, source, arrival, bytes, truncated: false }
}

impl Phone {
    pub fn new(slot: u32, encoding: Law, code: Option<u8>) -> Self {
        Self {
            slot,
            source: SocketAddr::from(([192, 0, 2, 1], 10_000 + slot as u16)),
            ssrc: Ssrc(0x1000 + slot),
            sequence: SequenceNumber(65_500),
            timestamp: RtpTimestamp(u32::MAX - 5000),
            payload_type: encoding.static_payload_type(),
            code,
            hums: false,
        }
    }

    /// The next packet with this payload. Time passes whether it is sent or not.
    pub fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        let header = RtpHeader {
            payload_type: self.payload_type,
            marker: false,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.plus(1);
        self.timestamp = self.timestamp.plus(BLOCK_SAMPLES as u32);
        [&header.write()[..], payload].concat()
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.hums {
            let step = if (self.sequence.0 / 10).is_multiple_of(2) { 500 } else { 100 };
            let hum: [i16; BLOCK_SAMPLES] = std::array::from_fn(|at| (at as i16 % 32 - 16) * step);
            let mut codes = [0; BLOCK_SAMPLES];
            Kernels::SCALAR.encode_ulaw(&hum, &mut codes);
            return Some(self.packet(&codes));
        }
        if let Some(code) = self.code {
            return Some(self.packet(&[code; BLOCK_SAMPLES]));
        }
        self.timestamp = self.timestamp.plus(BLOCK_SAMPLES as u32);
        None
    }
}

/// The shard, the phones, and what came out.
pub struct Rig {
    pub shard: Shard,
    pub phones: Vec<Phone>,
    pub taken: Taken,
    pub shelf: taps::Shelf,
    /// How late the ticks are run.
    pub late: Duration,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(&limits(), Kernels::SCALAR)
    }

    pub fn with(limits: &Limits, kernels: Kernels) -> Self {
        let wall = WallClock { start_unix_nanos: 1_800_000_000_000_000_000 };
        let mut shard = Shard::new(0, limits, kernels, 7);
        shard.set_wall(wall);
        let shelf = taps::Shelf::new(shard.take_tap_reader().unwrap());
        Self { shard, phones: Vec::new(), taken: Taken::default(), shelf, late: Duration::ZERO }
    }

    pub fn command(&mut self, command: Command) {
        let now = self.shard.next_tick();
        self.taken.now = now;
        let luggage = Luggage::beside(&command, &limits());
        self.shard.command(command, luggage, now, &mut self.taken);
    }

    /// Opens a session with a phone in PCMU that sends this steady code.
    pub fn dial(&mut self, slot: u32, route: Route, code: Option<u8>) -> SessionKey {
        self.dial_with(slot, route, code, |_| {})
    }

    pub fn dial_with(
        &mut self,
        slot: u32,
        route: Route,
        code: Option<u8>,
        change: impl FnOnce(&mut RemoteMedia),
    ) -> SessionKey {
        let session = SessionKey::new(0, slot, 1);
        let mut media = media(slot, Law::Mu);
        change(&mut media);
        self.phones.push(Phone::new(slot, media.encoding.law().unwrap_or(Law::Mu), code));
        let open = Box::new(SessionOpen {
            ssrc: Ssrc(0xabc0 + slot),
            sequence: SequenceNumber(65_530),
            timestamp: RtpTimestamp(u32::MAX - 1000),
            media,
            route,
        });
        self.command(Command::OpenSession { session, open });
        session
    }

    pub fn open_room(&mut self, slot: u32) -> RoomKey {
        let room = RoomKey::new(0, slot, 1);
        self.command(Command::OpenRoom { room, sound: RoomSound::DEFAULT });
        room
    }

    /// Runs so many whole periods. Every phone's packet comes before its session's tick.
    pub fn run(&mut self, periods: usize) {
        for _ in 0..periods * PHASES as usize {
            self.tick();
        }
    }

    pub fn tick(&mut self) {
        let now = self.shard.next_tick();
        self.taken.now = now + self.late;
        for slot in self.shard.due().to_vec() {
            for at in 0..self.phones.len() {
                if self.phones[at].slot == slot {
                    let source = self.phones[at].source;
                    if let Some(bytes) = self.phones[at].next() {
                        self.deliver(slot, Port::Rtp, source, &bytes);
                    }
                }
            }
        }
        self.shard.tick(now + self.late, &mut self.taken);
    }

    pub fn deliver(&mut self, slot: u32, port: Port, source: SocketAddr, bytes: &[u8]) {
        let at = self.shard.next_tick() - PERIOD / 2;
        let datagram = Datagram { port, ..datagram(slot, source, at, bytes) };
        self.shard.receive(datagram, &mut self.taken);
    }

    /// The phone of a slot.
    pub fn phone(&mut self, slot: u32) -> &mut Phone {
        self.phones.iter_mut().find(|phone| phone.slot == slot).unwrap()
    }

    /// Forgets what came out so far.
    pub fn forget(&mut self) {
        self.taken = Taken::default();
    }

    /// Runs until everything flows, forgets that, and runs so many periods more.
    pub fn settle_and_run(&mut self, periods: usize) {
        self.run(SETTLED);
        self.forget();
        self.run(periods);
    }

    /// The steady codes that a session was sent.
    pub fn codes(&self, slot: u32) -> Vec<u8> {
        self.taken.rtp(slot).into_iter().map(Sent::code).collect()
    }

    /// The last of them: a sound that begins fades in, so the first may not be steady.
    pub fn last_codes(&self, slot: u32, count: usize) -> Vec<u8> {
        let sent = self.taken.rtp(slot);
        sent[sent.len() - count..].iter().map(|sent| sent.code()).collect()
    }

    pub fn update(&mut self, session: SessionKey, change: impl FnOnce(&mut RemoteMedia)) {
        let mut media = Box::new(media(session.slot(), Law::Mu));
        change(&mut media);
        self.command(Command::UpdateSession { session, media });
    }

    /// Asserts the law of every stream that was sent: one SSRC, sequence +1, timestamps that
    /// follow time (20 ms are 160), at most one packet in a period, the marker after a pause only.
    pub fn assert_streams_are_lawful(&self) {
        let slots: std::collections::BTreeSet<u32> =
            self.taken.sent.iter().map(|s| s.slot).collect();
        for slot in slots {
            for pair in self.taken.rtp(slot).windows(2) {
                let (one, next) = (pair[0].view(), pair[1].view());
                assert_eq!(one.ssrc(), next.ssrc());
                assert_eq!(next.sequence(), one.sequence().plus(1), "slot {slot}");
                let units = next.timestamp().distance_from(one.timestamp());
                assert!(units > 0 && units % BLOCK_SAMPLES as i32 == 0, "slot {slot}: {units}");
                let passed = pair[1].at.since(pair[0].at).as_micros() as i32 * 8 / 1000;
                assert!((units - passed).abs() < BLOCK_SAMPLES as i32, "{units} in {passed}");
                assert_eq!(next.marker(), units > BLOCK_SAMPLES as i32, "slot {slot}");
            }
        }
    }
}

pub fn limits() -> Limits {
    Limits {
        sessions_max: 64,
        rooms_max: 16,
        room_members_max: 32,
        taps_max: 8,
        in_band_digits: true,
        noise_suppression: true,
        ..Limits::default()
    }
}

pub fn media(slot: u32, law: Law) -> RemoteMedia {
    let rtp = SocketAddr::from(([192, 0, 2, 1], 10_000 + slot as u16));
    RemoteMedia {
        telephone_event: Some(TelephoneEvent { receive: DIGITS, send: DIGITS, clock_rate: 8000 }),
        ..RemoteMedia::g711(law, rtp, RtcpTransport::Mux)
    }
}

/// What the code of the sum of these codes is.
pub fn sum(codes: &[u8]) -> u8 {
    let mut total = 0;
    for &code in codes {
        let mut sample = [0];
        Kernels::SCALAR.decode_ulaw(&[code], &mut sample);
        total += i32::from(sample[0]);
    }
    let clipped = total.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
    let mut code = [0];
    Kernels::SCALAR.encode_ulaw(&[clipped], &mut code);
    code[0]
}

/// The code of silence.
pub const SILENCE: u8 = 0xff;
