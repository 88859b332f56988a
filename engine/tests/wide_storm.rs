//! Any calls on two shards, of which now one and now the other is behind: rooms of all kinds that
//! are spread or not, all payload formats and changes between them, moves, keys, prompts, taps,
//! late ticks, odd packets. Nothing panics, every stream stays lawful, and nothing is left behind.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::{Datagram, Luggage, Output, Port, Shard, exchange};
use engine_control::{
    Command, Event, Limits, Prompt, RemoteMedia, Renditions, RoomKey, Route, RtcpTransport,
    SessionKey, SessionOpen, SpreadId, TapId, TapPoint, TapReader, TelephoneEvent,
};
use media::Random;
use media::codec::Encoder;
use media::rtp::{RtpHeader, RtpView};
use media_kernels::Kernels;
use media_units::{
    Arrival, Cadence, Digits, Direction, Encoding, EncodingParameters, Gain, Law, PERIOD,
    RateClass, RoomSound, RtpTimestamp, Selection, SequenceNumber, Ssrc,
};

const SHARDS: u8 = 2;
const SLOTS: u32 = 12;
/// Rooms of a shard; those in the first slots are parts of a room on both.
const ROOMS: u32 = 4;
const SPREAD: u32 = 2;

const DYNAMIC: u8 = 96;
const DIGITS: u8 = 101;
const COMFORT_NOISE: u8 = 13;
const LEVEL_ID: u8 = 3;

/// Formats that take little time, those of a relay first.
const CHEAP: [Encoding; 9] = [
    Encoding::Pcmu,
    Encoding::Pcma,
    Encoding::G722,
    Encoding::G726,
    Encoding::Gsm,
    Encoding::L16At8000,
    Encoding::L16At16000,
    Encoding::L16At48000,
    Encoding::L16At44100,
];

#[derive(Default)]
struct Taken {
    sent: Vec<Vec<u8>>,
    events: Vec<(Event, Option<Luggage>)>,
    retired: Option<Luggage>,
}

impl Output for Taken {
    fn send(&mut self, _: u32, _: Port, _: SocketAddr, parts: [&[u8]; 2]) {
        let bytes = parts.concat();
        if media::demux(&bytes) == media::Demux::Rtp {
            self.sent.push(bytes);
        }
    }

    fn latch(&mut self, _: u32, _: Port, _: Option<SocketAddr>) {}

    fn retire(&mut self, luggage: Luggage) {
        self.retired = Some(luggage);
    }

    fn event(&mut self, event: Event) {
        self.events.push((event, self.retired.take()));
    }
}

/// What a phone does now.
#[derive(Clone, Copy)]
enum Talk {
    Nothing,
    Noise,
    Digits,
    Sound,
}

struct Phone {
    place: SessionKey,
    /// It has left a shard and is in no other yet.
    is_under_way: bool,
    media: RemoteMedia,
    encoder: Encoder,
    talk: Talk,
    tells_level: Option<u8>,
    /// Sequence number, timestamp and SSRC of its next packet.
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    /// The SSRC of what it is sent: it stays, wherever the session goes.
    heard_ssrc: u32,
    /// Sequence number, timestamp, payload type and octets of what it was sent last.
    last: Option<(u16, u32, u8, usize)>,
}

impl Phone {
    /// The packet of the next 20 ms, if there is one.
    fn speak(&mut self, random: &mut Random) -> Option<Vec<u8>> {
        let media = self.media;
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(media.encoding.clock_rate() / 50);
        let (payload_type, payload) = match self.talk {
            Talk::Nothing => return None,
            Talk::Noise if media.comfort_noise.is_some() => (COMFORT_NOISE, vec![50, 100, 90]),
            Talk::Digits if media.telephone_event.is_some() => {
                let [digit, end, _, lasts] = random.next_u32().to_be_bytes();
                (DIGITS, vec![digit % 18, end & 0x80 | 0x0a, 3, lasts])
            }
            _ => (media.receive_payload_type, self.sound(random)),
        };
        let header = RtpHeader {
            payload_type,
            marker: false,
            sequence: SequenceNumber(self.sequence),
            timestamp: RtpTimestamp(timestamp),
            ssrc: Ssrc(self.ssrc),
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = header.write().to_vec();
        if let Some(level) = self.tells_level {
            bytes[0] |= 0x10;
            bytes.extend([0xbe, 0xde, 0, 1, LEVEL_ID << 4, level, 0, 0]);
        }
        bytes.extend(payload);
        Some(bytes)
    }

    /// A tone and noise, as loud as it happens to be.
    fn sound(&mut self, random: &mut Random) -> Vec<u8> {
        let length_ms = if self.media.encoding == Encoding::Ilbc { 30 } else { 20 };
        let length = self.media.encoding.sample_rate() * length_ms / 1000;
        let peak = f64::from(random.next_u32() % 3 * 9000 + 50);
        let mut noise = || (random.next_u32() >> 25) as i16;
        let tone = |n: u32| (peak * (f64::from(n) * 0.2).sin()) as i16;
        let samples: Vec<i16> = (0..length).map(|n| tone(n) + noise()).collect();
        let mut frame = [0; 4000];
        let octets = self.encoder.encode(&Kernels::SCALAR, &samples, &mut frame);
        frame[..octets].to_vec()
    }

    /// Looks whether a packet may follow the one before.
    fn hear(&mut self, packet: &RtpView<'_>, seed: u64) {
        let (sequence, timestamp) = (packet.sequence().0, packet.timestamp().0);
        let (number, octets) = (packet.payload_type(), packet.payload().len());
        if let Some((before, then, number_before, octets_before)) = self.last {
            let who = format!("seed {seed}, {}: {:?}", self.place, self.media);
            assert_eq!(sequence, before.wrapping_add(1), "{who}");
            // All packets of an event have the timestamp of its beginning.
            let is_event = [number, number_before].contains(&DIGITS);
            let is_plain = number_before == 0 || number_before == 8;
            let goes_on = is_plain && number == number_before;
            let least = if goes_on { octets_before as i32 } else { 1 };
            let units = timestamp.wrapping_sub(then) as i32;
            assert!(is_event || units >= least, "{units} after {octets_before} octets: {who}");
        }
        self.last = Some((sequence, timestamp, number, octets));
    }
}

struct Storm {
    seed: u64,
    random: Random,
    limits: Limits,
    formats: Vec<Encoding>,
    shards: Vec<(Shard, Taken, Box<TapReader>)>,
    phones: Vec<Phone>,
    rooms: BTreeMap<(u8, u32), RoomKey>,
    /// What the rooms on both shards sound like, while there are any.
    spread: [Option<RoomSound>; SPREAD as usize],
    generation: u32,
}

impl Storm {
    fn new(seed: u64, formats: &[Encoding]) -> Self {
        let limits = Limits {
            sessions_max: SLOTS,
            rooms_max: ROOMS,
            room_members_max: SLOTS,
            spread_max: SPREAD,
            taps_max: 6,
            monitors_max: 4,
            in_band_digits: true,
            noise_suppression: true,
            ..Limits::default()
        };
        let ends = exchange(SHARDS, limits.spread_max);
        let shard = |(index, end)| {
            let mut shard = Shard::new(index, &limits, Kernels::detect(), seed);
            shard.meet(end);
            let taps = shard.take_tap_reader().unwrap();
            (shard, Taken::default(), taps)
        };
        Self {
            seed,
            random: Random::new(seed),
            shards: (0..).zip(ends).map(shard).collect(),
            limits,
            formats: formats.to_vec(),
            phones: Vec::new(),
            rooms: BTreeMap::new(),
            spread: [None; SPREAD as usize],
            generation: 0,
        }
    }

    fn roll(&mut self, sides: u32) -> u32 {
        self.random.next_u32() % sides
    }

    fn any<T: Copy>(&mut self, things: &[T]) -> Option<T> {
        let at = self.roll(things.len().max(1) as u32);
        things.get(at as usize).copied()
    }

    fn one_in<T>(&mut self, sides: u32, thing: T) -> Option<T> {
        (self.roll(sides) == 0).then_some(thing)
    }

    fn command(&mut self, shard: u8, command: Command) {
        let luggage = Luggage::beside(&command, &self.limits);
        self.command_with(shard, command, luggage);
    }

    fn command_with(&mut self, shard: u8, command: Command, luggage: Option<Luggage>) {
        let (shard, taken, _) = &mut self.shards[usize::from(shard)];
        shard.command(command, luggage, shard.next_tick(), taken);
    }

    fn tell(&mut self, at: usize, command: impl FnOnce(SessionKey) -> Command) {
        let session = self.phones[at].place;
        self.command(session.shard(), command(session));
    }

    fn sound(&mut self) -> RoomSound {
        let selections = [Selection::Everyone, Selection::Loudest(1), Selection::Loudest(3)];
        RoomSound {
            selection: self.any(&selections).unwrap(),
            automatic_gain_dbov: self.one_in(4, 20),
            noise_gate_dbov: self.one_in(4, 50),
            noise_suppression: self.roll(5) == 0,
            limiter: self.roll(4) > 0,
            comfort_noise: self.roll(3) == 0,
            in_band_digits: self.roll(4) == 0,
        }
    }

    fn media(&mut self, number: u32) -> RemoteMedia {
        let encoding = self.any(&self.formats.clone()).unwrap();
        let lengths: &[u8] = match encoding {
            Encoding::Ilbc => &[30],
            Encoding::L16At48000 | Encoding::L16At44100 => &[10],
            Encoding::Opus | Encoding::L16At16000 | Encoding::Gsm => &[20, 40],
            _ => &[10, 20, 30, 40, 60],
        };
        let packet_time_ms = self.any(lengths).unwrap();
        let [sends, receives] = [(); 2].map(|()| self.roll(3) > 0);
        let payload_type = encoding.static_payload_type().unwrap_or(DYNAMIC);
        let clock_rate = encoding.clock_rate();
        let events = TelephoneEvent { receive: DIGITS, send: DIGITS, clock_rate };
        let source = SocketAddr::from(([192, 0, 2, 1], 10_000 + (number % 20_000) as u16));
        RemoteMedia {
            encoding,
            receive_payload_type: payload_type,
            send_payload_type: payload_type,
            telephone_event: self.one_in(2, events),
            comfort_noise: self.one_in(3, COMFORT_NOISE),
            audio_level: self.one_in(2, LEVEL_ID),
            mixer_levels: self.one_in(3, 4),
            parameters: EncodingParameters {
                packet_time_ms,
                discontinuous: packet_time_ms != 20 && self.roll(3) == 0,
                complexity: 0,
                ..EncodingParameters::DEFAULT
            },
            direction: Direction::of(sends, receives),
            ..RemoteMedia::g711(Law::Mu, source, RtcpTransport::Mux)
        }
    }

    fn rooms_of(&self, shard: u8) -> Vec<RoomKey> {
        self.rooms.values().filter(|room| room.shard() == shard).copied().collect()
    }

    fn route(&mut self, shard: u8) -> Route {
        let rooms = self.rooms_of(shard);
        match self.roll(10) {
            0 => Some(Route::Idle),
            1 => Some(Route::Echo),
            2 => Some(Route::Tone),
            3 => self.point(shard).map(Route::Monitor),
            _ => self.any(&rooms).map(Route::Room),
        }
        .unwrap_or(Route::Idle)
    }

    fn point(&mut self, shard: u8) -> Option<TapPoint> {
        let is_here = |phone: &&Phone| !phone.is_under_way && phone.place.shard() == shard;
        let here: Vec<SessionKey> =
            self.phones.iter().filter(is_here).map(|phone| phone.place).collect();
        let rooms = self.rooms_of(shard);
        match self.roll(4) {
            0 => self.any(&rooms).map(TapPoint::Room),
            1 => self.any(&here).map(TapPoint::Received),
            2 => self.any(&here).map(TapPoint::Sent),
            _ => self.any(&here).map(TapPoint::Packets),
        }
    }

    fn vacant(&self, shard: u8) -> Option<u32> {
        let is_taken =
            |slot| self.phones.iter().any(|p| (p.place.shard(), p.place.slot()) == (shard, slot));
        (0..SLOTS).find(|&slot| !is_taken(slot))
    }

    fn dial(&mut self, shard: u8) {
        let Some(slot) = self.vacant(shard) else { return };
        self.generation += 1;
        let number = self.generation;
        let place = SessionKey::new(shard, slot, number);
        let (media, route) = (self.media(number), self.route(shard));
        let heard_ssrc = 0x1_0000 + number;
        self.phones.push(Phone {
            place,
            is_under_way: false,
            media,
            encoder: Encoder::new(media.encoding, &media.parameters),
            talk: Talk::Sound,
            tells_level: None,
            sequence: 65_000,
            timestamp: 7,
            ssrc: number,
            heard_ssrc,
            last: None,
        });
        let open = Box::new(SessionOpen {
            ssrc: Ssrc(heard_ssrc),
            sequence: SequenceNumber(65_500),
            timestamp: RtpTimestamp(u32::MAX - 50_000),
            media,
            route,
        });
        self.command(shard, Command::OpenSession { session: place, open });
    }

    /// Something happens on a shard.
    fn step(&mut self) {
        let shard = self.roll(SHARDS.into()) as u8;
        let at = self.roll(self.phones.len().max(1) as u32) as usize;
        let is_there = self.phones.get(at).is_some_and(|phone| !phone.is_under_way);
        match self.roll(20) {
            0..=2 if self.phones.len() < SLOTS as usize => self.dial(shard),
            3 => self.open_or_close_room(shard),
            4 | 5 => {
                let class = self.any(&RateClass::ALL);
                let tap = TapId(self.random.next_u32());
                let Some(point) = self.point(shard) else { return };
                let command = match self.roll(2) {
                    0 => Command::StartTap { point, tap, class },
                    _ => Command::StopTap { point },
                };
                self.command(shard, command);
            }
            what if is_there => self.change(at, what),
            _ => {}
        }
    }

    /// Something happens to a phone.
    fn change(&mut self, at: usize, what: u32) {
        let shard = self.phones[at].place.shard();
        match what {
            6 => {
                self.tell(at, |session| Command::CloseSession { session });
                self.phones.swap_remove(at);
            }
            7 | 8 => self.agree_anew(at),
            9 | 10 => {
                let route = self.route(shard);
                self.tell(at, |session| Command::RouteSession { session, route });
            }
            11 => {
                let muted = self.roll(2) == 0;
                self.tell(at, |session| Command::MuteSession { session, muted });
            }
            12 => {
                let gains = [0, 60, -60, -600, 300, 0].map(|tenths_db| Gain { tenths_db });
                let [says, hears] = [(); 2].map(|()| self.any(&gains).unwrap());
                self.tell(at, |session| Command::SetGain { session, says, hears });
            }
            13 => {
                let duration_ms = 40 + self.roll(3000) as u16;
                let cadence = Cadence { duration_ms, ..Cadence::DEFAULT };
                let digits = Digits::parse("1#A").unwrap();
                self.tell(at, |session| Command::SendDigits { session, digits, cadence });
            }
            14 => {
                let sound = Renditions::new(|class| vec![500; 7 * class.block_samples()]);
                let prompt = Box::new(Prompt::new(Arc::new(sound)));
                self.tell(at, |session| Command::Prompt { session, prompt });
            }
            15 if self.vacant(1 - shard).is_some() => {
                self.tell(at, |session| Command::SendAway { session });
                self.phones[at].is_under_way = true;
            }
            _ => {
                let talks = [Talk::Nothing, Talk::Noise, Talk::Digits, Talk::Sound, Talk::Sound];
                let (talk, level) = (self.any(&talks).unwrap(), self.roll(130) as u8);
                let phone = &mut self.phones[at];
                (phone.talk, phone.tells_level) = (talk, (level < 128).then_some(level));
            }
        }
    }

    /// A call is put on hold, or taken up again, or has another format.
    fn agree_anew(&mut self, at: usize) {
        let before = self.phones[at].media;
        let mut media = self.media(self.phones[at].ssrc);
        if self.roll(2) == 0 {
            media = RemoteMedia { direction: media.direction, ..before };
        } else {
            self.phones[at].encoder = Encoder::new(media.encoding, &media.parameters);
        }
        self.phones[at].media = media;
        let media = Box::new(media);
        self.tell(at, |session| Command::UpdateSession { session, media });
    }

    fn open_or_close_room(&mut self, shard: u8) {
        let slot = self.roll(ROOMS);
        if let Some(room) = self.rooms.remove(&(shard, slot)) {
            self.command(shard, Command::CloseRoom { room });
            if slot < SPREAD && !self.rooms.contains_key(&(1 - shard, slot)) {
                self.spread[slot as usize] = None;
            }
            return;
        }
        self.generation += 1;
        let room = RoomKey::new(shard, slot, self.generation);
        let mut sound = self.sound();
        if slot < SPREAD {
            sound = *self.spread[slot as usize].get_or_insert(sound);
            let spread = SpreadId(slot as u16);
            self.command(shard, Command::OpenPart { room, sound, spread });
        } else {
            self.command(shard, Command::OpenRoom { room, sound });
        }
        self.rooms.insert((shard, slot), room);
    }

    /// What comes from a phone in 20 ms: rarely something odd.
    fn packets(&mut self, at: usize) -> Vec<Vec<u8>> {
        let odd = self.roll(60);
        let number = self.random.next_u32();
        let [octet, kind, ..] = self.random.next_u32().to_be_bytes();
        let phone = &mut self.phones[at];
        let mut packets: Vec<Vec<u8>> = phone.speak(&mut self.random).into_iter().collect();
        let third = phone.media.encoding.clock_rate() / 3;
        match (odd, packets.first_mut()) {
            (0, _) => phone.timestamp = number,
            (1, _) => phone.sequence = number as u16,
            (2, _) => phone.ssrc = phone.ssrc.wrapping_add(1 << 20),
            (3, _) => phone.timestamp = phone.timestamp.wrapping_add(third),
            (4, _) => phone.timestamp = phone.timestamp.wrapping_sub(third),
            (6, _) => packets.extend_from_within(..),
            (7, Some(bytes)) => bytes.truncate(12 + number as usize % (bytes.len() - 11)),
            (8, Some(bytes)) => bytes[0] ^= octet,
            (9, _) => packets.push([[0x80 | octet & 0x3f, 200 + kind % 8]; 20].concat()),
            _ => {}
        }
        packets
    }

    fn tick(&mut self, shard: u8, lateness: Duration) {
        let place = usize::from(shard);
        let now = self.shards[place].0.next_tick() + lateness;
        for slot in self.shards[place].0.due().to_vec() {
            let is_at = |phone: &Phone| (phone.place.shard(), phone.place.slot()) == (shard, slot);
            let Some(at) = self.phones.iter().position(is_at) else { continue };
            for bytes in &self.packets(at) {
                let (port, source) = (Port::Rtp, self.phones[at].media.rtp);
                let arrival = Arrival::At(now - PERIOD / 2);
                let datagram = Datagram { slot, port, source, arrival, bytes, truncated: false };
                let (side, taken, _) = &mut self.shards[place];
                side.receive(datagram, taken);
            }
        }
        let (side, taken, taps) = &mut self.shards[place];
        side.tick(now, taken);
        while taps.read(|_| ()).is_some() {}
        self.settle(shard);
    }

    /// Looks at what a shard sent and told.
    fn settle(&mut self, shard: u8) {
        let taken = &mut self.shards[usize::from(shard)].1;
        let (sent, events) = (std::mem::take(&mut taken.sent), std::mem::take(&mut taken.events));
        for bytes in &sent {
            let packet = RtpView::parse(bytes).unwrap();
            let is_to = |phone: &&mut Phone| phone.heard_ssrc == packet.ssrc().0;
            if let Some(phone) = self.phones.iter_mut().find(is_to) {
                phone.hear(&packet, self.seed);
            }
        }
        for (event, luggage) in events {
            match event {
                Event::SessionLeft { session } => self.take_in(session, luggage),
                Event::Refused { command: Command::SendAway { session }, .. } => {
                    let phone = self.phones.iter_mut().find(|phone| phone.place == session);
                    phone.unwrap().is_under_way = false;
                }
                Event::Refused { command: Command::OpenSession { session, .. }, .. } => {
                    self.phones.retain(|phone| phone.place != session);
                }
                Event::Refused {
                    command: Command::OpenPart { room, .. } | Command::OpenRoom { room, .. },
                    ..
                } => self.rooms.retain(|_, other| *other != room),
                _ => {}
            }
        }
    }

    /// Who has left a shard is taken in by the other.
    fn take_in(&mut self, session: SessionKey, luggage: Option<Luggage>) {
        let at = self.phones.iter().position(|phone| phone.place == session).unwrap();
        let to = 1 - session.shard();
        // There are no more phones than slots of a shard.
        let place = SessionKey::new(to, self.vacant(to).unwrap(), session.generation());
        self.phones[at].place = place;
        self.phones[at].is_under_way = false;
        self.command_with(to, Command::TakeIn { session: place }, luggage);
        let route = self.route(to);
        self.tell(at, |session| Command::RouteSession { session, route });
    }

    /// Now and then a shard falls behind by up to two periods, or is late, and catches up.
    fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            if self.roll(3) == 0 {
                self.step();
                (0..SHARDS).for_each(|shard| self.settle(shard));
            }
            let first = self.roll(SHARDS.into()) as u8;
            for shard in [first, 1 - first] {
                let next = |shard: u8| self.shards[usize::from(shard)].0.next_tick();
                let (own, other) = (next(shard), next(1 - shard));
                let ticks = if own < other && self.roll(4) == 0 {
                    2
                } else {
                    u32::from(own >= other + 2 * PERIOD || self.roll(200) > 0)
                };
                let lateness = Duration::from_millis(if self.roll(800) == 0 { 75 } else { 0 });
                (0..ticks).for_each(|_| self.tick(shard, lateness));
            }
        }
    }

    /// All hang up, all rooms are closed: nothing is left.
    fn end(mut self) {
        while self.phones.iter().any(|phone| phone.is_under_way) {
            (0..SHARDS).for_each(|shard| self.tick(shard, Duration::ZERO));
        }
        for phone in std::mem::take(&mut self.phones) {
            let session = phone.place;
            self.command(session.shard(), Command::CloseSession { session });
        }
        for room in std::mem::take(&mut self.rooms).into_values() {
            self.command(room.shard(), Command::CloseRoom { room });
        }
        for shard in 0..SHARDS {
            for _ in 0..4 {
                assert!(self.shards[usize::from(shard)].0.due().is_empty());
                self.tick(shard, Duration::ZERO);
            }
            self.command(shard, Command::ReportShard { report: Box::default() });
            let last = self.shards[usize::from(shard)].1.events.pop();
            let Some((Event::ShardReported { report }, _)) = last else { panic!("{last:?}") };
            assert_eq!((report.sessions, report.rooms), (0, 0));
        }
    }
}

#[test]
fn whatever_happens_on_two_shards_every_stream_is_lawful_and_nothing_is_left() {
    let all: Vec<Encoding> = CHEAP.into_iter().chain([Encoding::Opus, Encoding::Ilbc]).collect();
    for seed in 0..12_u64 {
        let formats = [&all[..], &CHEAP[..2], &CHEAP, &CHEAP][seed as usize % 4];
        let mut storm = Storm::new(seed, formats);
        storm.run(if seed.is_multiple_of(4) { 400 } else { 1500 });
        storm.end();
    }
}
