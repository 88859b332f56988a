//! A whole shard without a socket: one period of 20 ms of a thousand sessions (a hundred where they
//! differ in their formats), from their datagrams in to their datagrams out. Everyone sends, some of
//! each room talk, the rest are silent on the wire.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use engine::{Datagram, Equipment, Output, Port, Shard};
use engine_control::{
    Command, Event, Limits, RemoteMedia, Route, RtcpTransport, SessionKey, SessionOpen, SlotPool,
    TapId, TapPoint, TapReader, TelephoneEvent,
};
use media::codec::Encoder;
use media::rtp::{HEADER_BYTES, RtpHeader};
use media_kernels::Kernels;
use media_units::{
    Arrival, BLOCK_SAMPLES, Encoding, EncodingParameters, Instant, Law, PHASES, RoomSound,
    RtpTimestamp, SequenceNumber, Ssrc,
};

/// Sessions of a crowd, but where they differ in their formats.
pub const SESSIONS: u32 = 1000;

/// Most sessions where they differ in their formats.
const SESSIONS_OF_PAIRS: u32 = 100;

/// How the sessions are spread over rooms.
#[derive(Clone, Copy)]
pub struct Crowd {
    /// What it is called on the command line and in tables.
    pub name: &'static str,
    /// How many sessions there are.
    pub sessions: u32,
    room_members: u32,
    room_talkers: u32,
    /// By turns.
    formats: [Encoding; 2],
    sound: RoomSound,
}

impl Crowd {
    const fn of(name: &'static str, room_members: u32, room_talkers: u32) -> Self {
        let formats = [Encoding::Pcmu; 2];
        let sound = RoomSound::DEFAULT;
        Self { name, sessions: SESSIONS, room_members, room_talkers, formats, sound }
    }

    const fn pair(name: &'static str, formats: [Encoding; 2]) -> Self {
        Self { sessions: SESSIONS_OF_PAIRS, formats, ..Self::of(name, 2, 2) }
    }

    /// A room that is never to be silent is a mix, however few are in it.
    const fn mixed(self, name: &'static str) -> Self {
        Self { name, sound: RoomSound { comfort_noise: true, ..RoomSound::DEFAULT }, ..self }
    }
}

const PCMU_PCMA: Crowd = Crowd::pair("pcmu_pcma_translated", [Encoding::Pcmu, Encoding::Pcma]);
const PCMU_G722: Crowd = Crowd::pair("pcmu_g722_translated", [Encoding::Pcmu, Encoding::G722]);
const PCMU_OPUS: Crowd = Crowd::pair("pcmu_opus_translated", [Encoding::Pcmu, Encoding::Opus]);

/// All of them.
pub const CROWDS: [Crowd; 10] = [
    Crowd::of("rooms_of_10_with_3_talking", 10, 3),
    Crowd::of("rooms_of_10_all_talking", 10, 10),
    Crowd::of("one_room_with_3_talking", SESSIONS, 3),
    Crowd::of("rooms_of_2_both_talking", 2, 2),
    PCMU_PCMA,
    PCMU_PCMA.mixed("pcmu_pcma_mixed"),
    PCMU_G722,
    PCMU_G722.mixed("pcmu_g722_mixed"),
    PCMU_OPUS,
    PCMU_OPUS.mixed("pcmu_opus_mixed"),
];

/// Takes what the shard sends, as a wire would: for nothing.
#[derive(Default)]
struct Wire {
    datagrams: u64,
}

impl Output for Wire {
    fn send(&mut self, _slot: u32, _port: Port, _to: SocketAddr, parts: [&[u8]; 2]) {
        black_box(parts);
        self.datagrams += 1;
    }

    fn latch(&mut self, _slot: u32, _port: Port, _source: Option<SocketAddr>) {}

    fn retire(&mut self, _equipment: Box<Equipment>) {}

    fn event(&mut self, event: Event) {
        assert!(!matches!(event, Event::Refused { .. }), "{event:?}");
    }
}

/// One phone: its next packet.
struct Phone {
    header: RtpHeader,
    bytes: Vec<u8>,
    /// Where one is not like the other, by turns.
    frames: Vec<Vec<u8>>,
    units: u32,
    address: SocketAddr,
    encoding: Encoding,
}

impl Phone {
    fn new(slot: u32, encoding: Encoding, talks: bool) -> Self {
        let header = RtpHeader {
            payload_type: 0,
            marker: false,
            sequence: SequenceNumber(slot as u16),
            timestamp: RtpTimestamp(slot),
            ssrc: Ssrc(slot + 1),
        };
        let mut bytes = vec![0xff; HEADER_BYTES + BLOCK_SAMPLES];
        if talks {
            for (at, code) in bytes.iter_mut().enumerate() {
                *code = (at as u32 * 37 + slot * 11) as u8;
            }
        }
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 20_000 + 2 * slot as u16);
        let frames = if encoding.law().is_some() { Vec::new() } else { frames(encoding) };
        Self { header, bytes, frames, units: encoding.clock_rate() / 50, address, encoding }
    }

    fn next(&mut self) -> &[u8] {
        self.header.sequence = self.header.sequence.plus(1);
        self.header.timestamp = self.header.timestamp.plus(self.units);
        if !self.frames.is_empty() {
            let frame = &self.frames[usize::from(self.header.sequence.0) % self.frames.len()];
            self.bytes.truncate(HEADER_BYTES);
            self.bytes.extend_from_slice(frame);
        }
        self.bytes[..HEADER_BYTES].copy_from_slice(&self.header.write());
        &self.bytes
    }

    fn open(&self, session: SessionKey, route: Route) -> Command {
        let media = RemoteMedia {
            encoding: self.encoding,
            receive_payload_type: 0,
            send_payload_type: 0,
            telephone_event: Some(TelephoneEvent { receive: 101, send: 101, clock_rate: 8000 }),
            ..RemoteMedia::g711(Law::Mu, self.address, RtcpTransport::Mux)
        };
        let open = SessionOpen {
            ssrc: Ssrc(0x8000_0000 + session.slot()),
            sequence: SequenceNumber(0),
            timestamp: RtpTimestamp(0),
            media,
            route,
        };
        Command::OpenSession { session, open: Box::new(open) }
    }
}

/// A second of a chirp.
fn frames(encoding: Encoding) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(encoding, &EncodingParameters::DEFAULT);
    let samples = encoding.sample_rate() as usize / 50;
    let frame = |number: usize| {
        let sample = |at: usize| (((number * samples + at).pow(2) / 3000) % 20_000) as i16 - 10_000;
        let block: Vec<i16> = (0..samples).map(sample).collect();
        let mut frame = vec![0; 2048];
        let length = encoder.encode(&Kernels::detect(), &block, &mut frame);
        frame.truncate(length);
        frame
    };
    (0..50).map(frame).collect()
}

/// A shard full of phones that are in their rooms.
pub struct World {
    shard: Shard,
    phones: Vec<Phone>,
    wire: Wire,
    due: Vec<u32>,
    taps: Box<TapReader>,
}

impl World {
    /// Everybody has joined.
    pub fn new(crowd: Crowd, kernels: Kernels) -> Self {
        let limits = Limits {
            sessions_max: crowd.sessions,
            rooms_max: crowd.sessions / crowd.room_members,
            room_members_max: crowd.room_members,
            taps_max: SESSIONS,
            ..Limits::default()
        };
        let mut shard = Shard::new(0, &limits, kernels, 1);
        let taps = shard.take_tap_reader().expect("it is there once");
        let mut wire = Wire::default();
        let mut sessions = SlotPool::new(0, limits.sessions_max);
        let mut rooms = SlotPool::new(0, limits.rooms_max);
        let mut phones = Vec::new();
        while let Some(room) = rooms.take_room() {
            let open = Command::OpenRoom { room, sound: crowd.sound };
            shard.command(open, None, Instant::START, &mut wire);
            for member in 0..crowd.room_members {
                let session = sessions.take_session().expect("as many as phones");
                let encoding = crowd.formats[member as usize % 2];
                let phone = Phone::new(session.slot(), encoding, member < crowd.room_talkers);
                let open = phone.open(session, Route::Room(room));
                let equipment = Equipment::beside(&open, &limits);
                shard.command(open, equipment, Instant::START, &mut wire);
                phones.push(phone);
            }
        }
        Self { shard, phones, wire, due: Vec::with_capacity(SESSIONS as usize), taps }
    }

    /// How many datagrams were sent.
    pub fn sent(&self) -> u64 {
        self.wire.datagrams
    }

    /// Taps every session at one of its points.
    pub fn tap(&mut self, point: impl Fn(SessionKey) -> TapPoint) {
        for slot in 0..SESSIONS {
            let (point, tap) = (point(SessionKey::new(0, slot, 1)), TapId(slot));
            let command = Command::StartTap { point, tap, class: None };
            self.shard.command(command, None, self.shard.next_tick(), &mut self.wire);
        }
    }

    /// Reads what the taps carried. Returns how many records that was.
    pub fn read_taps(&mut self) -> usize {
        let mut records = 0;
        while self.taps.next().is_some() {
            records += 1;
        }
        records
    }

    /// Every phone sends once and is sent something once.
    pub fn period(&mut self) {
        for _ in 0..PHASES {
            let now = self.shard.next_tick();
            self.due.clear();
            self.due.extend_from_slice(self.shard.due());
            for &slot in &self.due {
                let phone = &mut self.phones[slot as usize];
                let datagram = Datagram {
                    slot,
                    port: Port::Rtp,
                    source: phone.address,
                    arrival: Arrival::At(now),
                    bytes: phone.next(),
                    truncated: false,
                };
                self.shard.receive(datagram, &mut self.wire);
            }
            self.shard.tick(now, &mut self.wire);
        }
    }
}
