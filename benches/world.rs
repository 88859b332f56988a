//! A whole shard without a socket: one period of 20 ms of a thousand sessions (a hundred where they
//! differ in their formats), from their datagrams in to their datagrams out. Everyone sends, some of
//! each room talk, the rest are silent on the wire. One room may be spread over several shards, whose ticks
//! then follow each other.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use engine::flight::{FlightSink, Kept, flight_ring};
use engine::{Datagram, Decision, Luggage, Output, Port, Shard, exchange};
use engine_control::{
    Command, Event, Limits, RemoteMedia, Route, RtcpTransport, SessionKey, SessionOpen, SlotPool,
    SpreadId, TapId, TapPoint, TapReader, TelephoneEvent,
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

/// The flight recorder's ring, as large as it is by default.
const FLIGHT_BYTES: usize = 8 << 20;

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
    /// Over which its one room is spread, where there is more than one.
    shards: u8,
    /// What the flight recorder keeps, where there is one.
    flight: Option<Kept>,
}

impl Crowd {
    const fn of(name: &'static str, room_members: u32, room_talkers: u32) -> Self {
        let formats = [Encoding::Pcmu; 2];
        let sound = RoomSound::DEFAULT;
        let (sessions, shards, flight) = (SESSIONS, 1, None);
        Self { name, sessions, room_members, room_talkers, formats, sound, shards, flight }
    }

    /// One room over several shards.
    pub const fn spread(name: &'static str, members: u32, talkers: u32, shards: u8) -> Self {
        Self { sessions: members, shards, ..Self::of(name, members, talkers) }
    }

    /// Everyone sends and is sent this.
    #[must_use]
    pub const fn in_encoding(self, encoding: Encoding) -> Self {
        Self { formats: [encoding; 2], ..self }
    }

    const fn pair(name: &'static str, formats: [Encoding; 2]) -> Self {
        Self { sessions: SESSIONS_OF_PAIRS, formats, ..Self::of(name, 2, 2) }
    }

    /// Beside a flight recorder.
    const fn noted(self, name: &'static str, kept: Kept) -> Self {
        Self { name, flight: Some(kept), ..self }
    }

    /// A room that is never to be silent is a mix, however few are in it.
    const fn mixed(self, name: &'static str) -> Self {
        Self { name, sound: RoomSound { comfort_noise: true, ..RoomSound::DEFAULT }, ..self }
    }
}

const ROOMS_OF_10: Crowd = Crowd::of("rooms_of_10_with_3_talking", 10, 3);
const PCMU_PCMA: Crowd = Crowd::pair("pcmu_pcma_translated", [Encoding::Pcmu, Encoding::Pcma]);
const PCMU_G722: Crowd = Crowd::pair("pcmu_g722_translated", [Encoding::Pcmu, Encoding::G722]);
const PCMU_OPUS: Crowd = Crowd::pair("pcmu_opus_translated", [Encoding::Pcmu, Encoding::Opus]);

/// All of them.
pub const CROWDS: [Crowd; 12] = [
    ROOMS_OF_10,
    Crowd::of("rooms_of_10_all_talking", 10, 10),
    Crowd::of("one_room_with_3_talking", SESSIONS, 3),
    Crowd::spread("one_room_on_2_shards_with_3_talking", SESSIONS, 3, 2),
    Crowd::of("rooms_of_2_both_talking", 2, 2),
    PCMU_PCMA,
    PCMU_PCMA.mixed("pcmu_pcma_mixed"),
    PCMU_G722,
    PCMU_G722.mixed("pcmu_g722_mixed"),
    PCMU_OPUS,
    PCMU_OPUS.mixed("pcmu_opus_mixed"),
    ROOMS_OF_10.noted("rooms_of_10_in_the_flight_recorder", Kept::Headers),
];

/// Takes what the shard sends, as a wire would: for nothing.
struct Wire {
    datagrams: u64,
    flight: Option<(FlightSink, Kept)>,
}

impl Output for Wire {
    fn send(&mut self, _slot: u32, _port: Port, _to: SocketAddr, parts: [&[u8]; 2]) {
        black_box(parts);
        self.datagrams += 1;
    }

    fn latch(&mut self, _slot: u32, _port: Port, _source: Option<SocketAddr>) {}

    fn retire(&mut self, _luggage: Luggage) {}

    fn decided(&mut self, slot: u32, decision: Decision) {
        if let Some((sink, _)) = &mut self.flight {
            sink.decision(slot, decision);
        }
    }

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
    /// Who has nothing to say sends silence in G.711, and nothing otherwise.
    is_mute: bool,
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
        let is_mute = !talks && encoding.law().is_none();
        Self {
            header,
            bytes,
            frames,
            units: encoding.clock_rate() / 50,
            address,
            encoding,
            is_mute,
        }
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
            ssrc: Ssrc(0x8000_0000 + (u32::from(session.shard()) << 16) + session.slot()),
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

/// Shards full of phones that are in their rooms.
pub struct World {
    sides: Vec<Side>,
    wire: Wire,
}

/// One shard, and the phones that were given ports of it.
struct Side {
    shard: Shard,
    phones: Vec<Phone>,
    due: Vec<u32>,
    taps: Box<TapReader>,
    sessions: SlotPool,
    rooms: SlotPool,
    limits: Limits,
}

impl World {
    /// Everybody has joined.
    pub fn new(crowd: Crowd, kernels: Kernels) -> Self {
        let spread_max = u32::from(crowd.shards > 1);
        let limits = Limits {
            sessions_max: crowd.sessions.div_ceil(u32::from(crowd.shards)),
            rooms_max: crowd.sessions / crowd.room_members,
            room_members_max: crowd.room_members,
            taps_max: SESSIONS,
            spread_max,
            ..Limits::default()
        };
        let flight = crowd.flight.map(|kept| (flight_ring(FLIGHT_BYTES).0, kept));
        let wire = Wire { datagrams: 0, flight };
        let ends = (0..).zip(exchange(crowd.shards, spread_max));
        let side = |(index, end)| {
            let mut side = Side::new(index, &limits, kernels);
            side.shard.meet(end);
            side
        };
        let mut world = Self { sides: ends.map(side).collect(), wire };
        for _ in 0..limits.rooms_max {
            world.open_room(crowd);
        }
        world
    }

    /// A room, or the parts of one, with all members.
    fn open_room(&mut self, crowd: Crowd) {
        let sound = crowd.sound;
        let open = |side: &mut Side| {
            let room = side.rooms.take_room().expect("a free room");
            let open = match crowd.shards {
                1 => Command::OpenRoom { room, sound },
                _ => Command::OpenPart { room, sound, spread: SpreadId(0) },
            };
            side.shard.command(open, None, Instant::START, &mut self.wire);
            Route::Room(room)
        };
        let routes: Vec<Route> = self.sides.iter_mut().map(open).collect();
        for member in 0..crowd.room_members {
            let at = member as usize % self.sides.len();
            let encoding = crowd.formats[member as usize % 2];
            let talks = member < crowd.room_talkers;
            self.sides[at].join(encoding, talks, routes[at], &mut self.wire);
        }
    }

    /// How many datagrams were sent.
    pub fn sent(&self) -> u64 {
        self.wire.datagrams
    }

    /// Taps every session at one of its points.
    pub fn tap(&mut self, point: impl Fn(SessionKey) -> TapPoint) {
        let Side { shard, .. } = &mut self.sides[0];
        for slot in 0..SESSIONS {
            let (point, tap) = (point(SessionKey::new(0, slot, 1)), TapId(slot));
            let command = Command::StartTap { point, tap, class: None };
            shard.command(command, None, shard.next_tick(), &mut self.wire);
        }
    }

    /// Reads what the taps carried. Returns how many records that was.
    pub fn read_taps(&mut self) -> usize {
        let mut records = 0;
        while self.sides[0].taps.read(|_| ()).is_some() {
            records += 1;
        }
        records
    }

    /// Every phone sends once and is sent something once.
    pub fn period(&mut self) {
        self.period_watched(|tick| tick());
    }

    /// The same; `watch` is to run each tick of a shard.
    pub fn period_watched(&mut self, mut watch: impl FnMut(&mut dyn FnMut())) {
        for _ in 0..PHASES {
            for side in &mut self.sides {
                watch(&mut || side.tick(&mut self.wire));
            }
        }
    }
}

impl Side {
    fn new(index: u8, limits: &Limits, kernels: Kernels) -> Self {
        let mut shard = Shard::new(index, limits, kernels, 1);
        let taps = shard.take_tap_reader().expect("it is there once");
        Self {
            shard,
            phones: Vec::new(),
            due: Vec::with_capacity(limits.sessions_max as usize),
            taps,
            sessions: SlotPool::new(index, limits.sessions_max),
            rooms: SlotPool::new(index, limits.rooms_max),
            limits: limits.clone(),
        }
    }

    fn join(&mut self, encoding: Encoding, talks: bool, route: Route, wire: &mut Wire) {
        let session = self.sessions.take_session().expect("as many as phones");
        let phone = Phone::new(session.slot(), encoding, talks);
        let open = phone.open(session, route);
        let luggage = Luggage::beside(&open, &self.limits);
        self.shard.command(open, luggage, Instant::START, wire);
        self.phones.push(phone);
    }

    fn tick(&mut self, wire: &mut Wire) {
        let now = self.shard.next_tick();
        self.due.clear();
        self.due.extend_from_slice(self.shard.due());
        if let Some((sink, _)) = &mut wire.flight {
            sink.begin(now);
        }
        for &slot in &self.due {
            let phone = &mut self.phones[slot as usize];
            if phone.is_mute {
                continue;
            }
            let datagram = Datagram {
                slot,
                port: Port::Rtp,
                source: phone.address,
                arrival: Arrival::At(now),
                bytes: phone.next(),
                truncated: false,
            };
            if let Some((sink, kept)) = &mut wire.flight {
                sink.datagram(&datagram, *kept);
            }
            self.shard.receive(datagram, wire);
        }
        self.shard.tick(now, wire);
    }
}
