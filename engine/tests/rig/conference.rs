//! A room with phones in any payload format around it, in virtual time.
#![allow(dead_code, unreachable_pub)] // each test program uses a part

use std::net::SocketAddr;

use engine::{Datagram, Luggage, Output, Port, Shard};
use engine_control::{
    Command, Event, Limits, RemoteMedia, RoomKey, Route, RtcpTransport, SessionKey, SessionOpen,
    ShardReport,
};
use media::codec::{Decoder, Encoder, PACKET_SAMPLES_MAX};
use media::rtp::{RtpHeader, RtpView};
use media_kernels::Kernels;
use media_units::{
    Arrival, Encoding, EncodingParameters, Instant, Law, PERIOD, PHASES, RoomSound, RtpTimestamp,
    SequenceNumber, Ssrc,
};

pub const PAYLOAD_TYPE: u8 = 96;

/// Identifier of the header extension of RFC 6464.
pub const LEVEL_ID: u8 = 3;

/// An endpoint that speaks a tone, or nothing, in any payload format, and listens.
pub struct Phone {
    pub slot: u32,
    pub encoding: Encoding,
    /// Made when it first speaks, and when it first listens: most of a thousand never do.
    pub encoder: Option<Encoder>,
    pub decoder: Option<Decoder>,
    pub parameters: EncodingParameters,
    pub listens: bool,
    pub sequence: u16,
    pub samples_spoken: u32,
    /// Hertz and peak of what it says; `None`: it sends nothing.
    pub says: Option<(f64, f64)>,
    /// It tells its level (RFC 6464).
    pub tells_level: Option<u8>,
    /// What it heard, at the encoding's rate.
    pub heard: Vec<i16>,
    pub timestamps: Vec<u32>,
}

impl Phone {
    pub fn new(slot: u32, encoding: Encoding, parameters: EncodingParameters) -> Self {
        Self {
            slot,
            encoding,
            encoder: None,
            decoder: None,
            parameters,
            listens: true,
            sequence: 1,
            samples_spoken: 0,
            says: None,
            tells_level: None,
            heard: Vec::new(),
            timestamps: Vec::new(),
        }
    }

    /// The packet of the next 20 ms.
    pub fn speak(&mut self) -> Option<Vec<u8>> {
        let rate = self.encoding.sample_rate();
        let first = self.samples_spoken;
        self.samples_spoken += rate / 50;
        let (hertz, peak) = self.says?;
        let tone = |n: u32| {
            let turns = hertz * f64::from(first + n) / f64::from(rate);
            (peak * (turns * std::f64::consts::TAU).sin()).round() as i16
        };
        let samples: Vec<i16> = (0..rate / 50).map(tone).collect();
        let mut frame = [0; 2000];
        let encoder =
            self.encoder.get_or_insert_with(|| Encoder::new(self.encoding, &self.parameters));
        let length = encoder.encode(&Kernels::SCALAR, &samples, &mut frame);
        let units = u64::from(first) * u64::from(self.encoding.clock_rate()) / u64::from(rate);
        let header = RtpHeader {
            payload_type: PAYLOAD_TYPE,
            marker: false,
            sequence: SequenceNumber(self.sequence),
            timestamp: RtpTimestamp(units as u32),
            ssrc: Ssrc(self.slot),
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = header.write();
        let Some(level) = self.tells_level else {
            return Some([&header[..], &frame[..length]].concat());
        };
        header[0] |= 0x10;
        let extension = [0xbe, 0xde, 0, 1, LEVEL_ID << 4, level, 0, 0];
        Some([&header[..], &extension, &frame[..length]].concat())
    }

    /// So many of its next packets are lost.
    pub fn lose(&mut self, packets: usize) {
        for _ in 0..packets {
            let _ = self.speak();
        }
    }

    pub fn listen(&mut self, packet: &RtpView<'_>) {
        if !self.listens {
            return;
        }
        let mut samples = [0; PACKET_SAMPLES_MAX];
        let decoder = self.decoder.get_or_insert_with(|| Decoder::new(self.encoding));
        decoder.samples(packet.payload()).expect("the shard sends what was agreed on");
        let length = decoder.decode(&Kernels::SCALAR, packet.payload(), &mut samples);
        self.heard.extend_from_slice(&samples[..length]);
        self.timestamps.push(packet.timestamp().0);
    }
}

/// A room with phones in it.
pub struct Conference {
    pub shard: Shard,
    pub wire: Wire,
    pub limits: Limits,
}

#[derive(Default)]
pub struct Wire {
    pub phones: Vec<Phone>,
    pub report: Option<Box<ShardReport>>,
}

impl Output for Wire {
    fn send(&mut self, slot: u32, _port: Port, _to: SocketAddr, parts: [&[u8]; 2]) {
        let bytes = parts.concat();
        if media::demux(&bytes) == media::Demux::Rtp {
            let packet = RtpView::parse(&bytes).unwrap();
            self.phones[slot as usize].listen(&packet);
        }
    }

    fn latch(&mut self, _slot: u32, _port: Port, _source: Option<SocketAddr>) {}

    fn retire(&mut self, _luggage: Luggage) {}

    fn event(&mut self, event: Event) {
        match event {
            Event::Refused { command, refusal } => panic!("{command:?}: {refusal:?}"),
            Event::ShardReported { report } => self.report = Some(report),
            _ => {}
        }
    }
}

/// The session of a phone in this slot.
pub fn open(
    slot: u32,
    ssrc: Ssrc,
    encoding: Encoding,
    parameters: EncodingParameters,
    room: RoomKey,
) -> Box<SessionOpen> {
    let media = RemoteMedia {
        encoding,
        receive_payload_type: PAYLOAD_TYPE,
        send_payload_type: PAYLOAD_TYPE,
        audio_level: Some(LEVEL_ID),
        parameters,
        ..RemoteMedia::g711(Law::Mu, address(slot), RtcpTransport::Mux)
    };
    Box::new(SessionOpen {
        ssrc,
        sequence: SequenceNumber(1),
        timestamp: RtpTimestamp(0),
        media,
        route: Route::Room(room),
    })
}

impl Conference {
    pub fn new(sessions_max: u32) -> Self {
        Self::with(sessions_max, RoomSound::DEFAULT)
    }

    pub fn with(sessions_max: u32, sound: RoomSound) -> Self {
        let limits = Limits {
            sessions_max,
            rooms_max: 1,
            room_members_max: sessions_max,
            ..Limits::default()
        };
        let shard = Shard::new(0, &limits, Kernels::detect(), 5);
        let mut conference = Self { shard, wire: Wire::default(), limits };
        let room = RoomKey::new(0, 0, 1);
        conference.command(Command::OpenRoom { room, sound });
        conference
    }

    pub fn command(&mut self, command: Command) {
        let luggage = Luggage::beside(&command, &self.limits);
        self.shard.command(command, luggage, self.shard.next_tick(), &mut self.wire);
    }

    /// A phone joins and is its number.
    pub fn join(&mut self, encoding: Encoding, parameters: EncodingParameters) -> usize {
        let slot = self.wire.phones.len() as u32;
        self.wire.phones.push(Phone::new(slot, encoding, parameters));
        let room = RoomKey::new(0, 0, 1);
        let open = open(slot, Ssrc(1000 + slot), encoding, parameters, room);
        self.command(Command::OpenSession { session: SessionKey::new(0, slot, 1), open });
        slot as usize
    }

    pub fn leave(&mut self, phone: usize) {
        self.command(Command::CloseSession { session: SessionKey::new(0, phone as u32, 1) });
    }

    pub fn phone(&mut self, number: usize) -> &mut Phone {
        &mut self.wire.phones[number]
    }

    /// Forgets what was heard so far.
    pub fn forget(&mut self) {
        self.wire.phones.iter_mut().for_each(|phone| phone.heard.clear());
    }

    pub fn run(&mut self, periods: usize) {
        for _ in 0..periods * PHASES as usize {
            let now = self.shard.next_tick();
            for slot in self.shard.due().to_vec() {
                if let Some(bytes) = self.wire.phones[slot as usize].speak() {
                    self.deliver(slot, now, &bytes);
                }
            }
            self.shard.tick(now, &mut self.wire);
        }
    }

    pub fn deliver(&mut self, slot: u32, now: Instant, bytes: &[u8]) {
        let datagram = Datagram {
            slot,
            port: Port::Rtp,
            source: address(slot),
            arrival: Arrival::At(now - PERIOD / 2),
            bytes,
            truncated: false,
        };
        self.shard.receive(datagram, &mut self.wire);
    }

    pub fn report(&mut self) -> Box<ShardReport> {
        self.command(Command::ReportShard { report: Box::default() });
        self.wire.report.take().expect("it was asked for")
    }

    pub fn frames_encoded(&mut self) -> u64 {
        self.report().frames_encoded
    }

    /// Runs so many periods, and returns how many blocks were decoded in them, and how many not.
    pub fn run_and_count(&mut self, periods: usize) -> [u64; 2] {
        let before = self.report();
        self.run(periods);
        let after = self.report();
        let decoded = after.blocks_played - before.blocks_played;
        [decoded, after.blocks_skipped - before.blocks_skipped]
    }
}

pub fn address(slot: u32) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 10_000 + slot as u16))
}

/// The greatest step from one sample to the next but one, beyond what the tone itself does: a click
/// is a step that no tone of this pitch and peak makes.
pub fn roughness(samples: &[i16]) -> i32 {
    let bends =
        samples.windows(3).map(|w| (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs());
    bends.max().unwrap_or(0)
}
