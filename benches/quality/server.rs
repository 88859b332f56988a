//! The server's path: a shard with a room of three, of whom one talks over the network, one
//! listens, and one makes it a mix instead of a relay.

use std::net::SocketAddr;
use std::time::Duration;

use engine::{Datagram, Luggage, Output, Port, Shard};
use engine_control::{
    Command, Event, Limits, RemoteMedia, RoomKey, Route, RtcpTransport, SessionKey, SessionOpen,
    SessionReport,
};
use media::codec::{Decoder, PACKET_SAMPLES_MAX};
use media::rtp::{RtpHeader, RtpView};
use media::{Demux, demux};
use media_kernels::Kernels;
use media_units::{
    Discard, Encoding, Instant, Law, RateClass, RoomSound, RtpTimestamp, SequenceNumber, Ssrc,
};
use serde_json::json;

use crate::packets::{BEGIN, PARAMETERS, Stream};
use crate::peers::place;
use crate::wav::Sound;

const TALKER: u32 = 0;
const LISTENER: u32 = 1;
const MEMBERS: u32 = 3;

/// What the listener heard, and what the server says about it.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) sound: Sound,
    pub(crate) told: serde_json::Value,
}

/// The format for a listener that takes nothing away from what a talker in `codec` says.
pub(crate) const fn faithful(codec: Encoding) -> Encoding {
    match codec.class() {
        RateClass::Narrow => Encoding::L16At8000,
        RateClass::Wide => Encoding::L16At16000,
        RateClass::Full => Encoding::L16At48000,
    }
}

/// Lets the room hear the stream.
pub(crate) fn play(stream: &Stream, listener: Encoding) -> Heard {
    let mut shard = Shard::new(0, &limits(), Kernels::SCALAR, 7);
    let mut ear = Ear::new(listener);
    open_room(&mut shard, &mut ear, stream.codec, listener);
    let mut arrivals = stream.trace.arrivals().into_iter().peekable();
    let mut told = None;
    while shard.next_tick() <= stream.end() + Duration::from_secs(1) {
        // What is concealed after the talker's last packet is no loss.
        if arrivals.peek().is_none() && told.is_none() {
            told = Some(report(&mut shard, &mut ear));
        }
        let now = shard.next_tick();
        if shard.due().contains(&TALKER) {
            while let Some((arrival, number)) = arrivals.next_if(|&(arrival, _)| arrival <= now) {
                let bytes = packet(stream, number);
                let datagram = Datagram {
                    slot: TALKER,
                    port: Port::Rtp,
                    source: address(TALKER),
                    arrival: media_units::Arrival::At(arrival),
                    bytes: &bytes,
                    truncated: false,
                };
                shard.receive(datagram, &mut ear);
            }
        }
        ear.now = now;
        shard.tick(now, &mut ear);
    }
    Heard { sound: ear.sound, told: told.unwrap_or_default() }
}

fn session(slot: u32) -> SessionKey {
    SessionKey::new(0, slot, 1)
}

fn address(slot: u32) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 10_000 + 2 * slot as u16))
}

/// The payload type of a session: the static one, or a dynamic one.
fn payload_type(encoding: Encoding) -> u8 {
    encoding.static_payload_type().unwrap_or(96)
}

fn limits() -> Limits {
    Limits { sessions_max: 8, rooms_max: 2, room_members_max: 8, ..Limits::default() }
}

fn open_room(shard: &mut Shard, ear: &mut Ear, talker: Encoding, listener: Encoding) {
    let room = RoomKey::new(0, 0, 1);
    let mut command = |command| {
        let luggage = Luggage::beside(&command, &limits());
        shard.command(command, luggage, Instant::START, ear);
    };
    command(Command::OpenRoom { room, sound: RoomSound::DEFAULT });
    for slot in 0..MEMBERS {
        let encoding = if slot == TALKER { talker } else { listener };
        let media = RemoteMedia {
            encoding,
            receive_payload_type: payload_type(encoding),
            send_payload_type: payload_type(encoding),
            parameters: PARAMETERS,
            ..RemoteMedia::g711(Law::Mu, address(slot), RtcpTransport::Mux)
        };
        let open = SessionOpen {
            ssrc: Ssrc(0xabc0 + slot),
            sequence: SequenceNumber(1),
            timestamp: RtpTimestamp(0),
            media,
            route: Route::Room(room),
        };
        command(Command::OpenSession { session: session(slot), open: Box::new(open) });
    }
}

fn packet(stream: &Stream, number: usize) -> Vec<u8> {
    let units = stream.codec.clock_rate() / 50 * number as u32;
    let header = RtpHeader {
        payload_type: payload_type(stream.codec),
        marker: number == 0,
        sequence: SequenceNumber(65_000).plus(number as u16),
        timestamp: RtpTimestamp(u32::MAX - 100_000).plus(units),
        ssrc: Ssrc(0x1234_5678),
    };
    [&header.write()[..], &stream.payloads[number]].concat()
}

fn report(shard: &mut Shard, ear: &mut Ear) -> serde_json::Value {
    let reports = Box::new(vec![SessionReport::of(session(TALKER))]);
    shard.command(Command::ReportSessions { reports }, None, shard.next_tick(), ear);
    let shard_report = Box::default();
    shard.command(Command::ReportShard { report: shard_report }, None, shard.next_tick(), ear);
    let [Event::SessionsReported { reports }, Event::ShardReported { report: all }] =
        &ear.reports[..]
    else {
        panic!("two reports were asked for: {:?}", ear.reports)
    };
    let one = &reports[0];
    let (played, concealed) = (one.blocks_played, one.blocks_concealed);
    let percent = |blocks: u64| 100.0 * blocks as f64 / (played + concealed).max(1) as f64;
    let delay_ms = all.playout_delay_sum.as_secs_f64() * 1000.0 / all.blocks_played.max(1) as f64;
    json!({
        "told_delay_mean_ms": delay_ms,
        "told_concealed_percent": percent(concealed),
        "told_recovered_percent": percent(one.packets_recovered),
        "told_late": one.discards[Discard::Late as usize],
        "told_lost": one.packets_lost,
    })
}

/// Takes what the listener is sent.
struct Ear {
    now: Instant,
    encoding: Encoding,
    /// The timestamp of the first packet, and when it was sent.
    origin: Option<(RtpTimestamp, Instant)>,
    decoder: Decoder,
    sound: Sound,
    reports: Vec<Event>,
}

impl Ear {
    fn new(encoding: Encoding) -> Self {
        let sound = Sound { samples: Vec::new(), rate: encoding.sample_rate() };
        let decoder = Decoder::new(encoding);
        Self { now: Instant::START, encoding, origin: None, decoder, sound, reports: Vec::new() }
    }

    /// When the sound of this timestamp is heard: a tick may send several packets.
    fn heard_at(&mut self, timestamp: RtpTimestamp) -> Instant {
        let (first, at) = *self.origin.get_or_insert((timestamp, self.now));
        let units = timestamp.distance_from(first).max(0) as u64;
        at + Duration::from_nanos(units * 1_000_000_000 / u64::from(self.encoding.clock_rate()))
    }
}

impl Output for Ear {
    fn send(&mut self, slot: u32, _port: Port, _to: SocketAddr, parts: [&[u8]; 2]) {
        let bytes = parts.concat();
        if slot != LISTENER || demux(&bytes) != Demux::Rtp {
            return;
        }
        let packet = RtpView::parse(&bytes).expect("the shard sends RTP");
        let mut samples = [0; PACKET_SAMPLES_MAX];
        self.decoder.samples(packet.payload()).expect("the shard sends what was agreed on");
        let length = self.decoder.decode(&Kernels::SCALAR, packet.payload(), &mut samples);
        let at = self.heard_at(packet.timestamp());
        if at >= BEGIN {
            place(&mut self.sound, at, &samples[..length]);
        }
    }

    fn latch(&mut self, _slot: u32, _port: Port, _source: Option<SocketAddr>) {}

    fn retire(&mut self, _luggage: Luggage) {}

    fn event(&mut self, event: Event) {
        match event {
            Event::SessionsReported { .. } | Event::ShardReported { .. } => {
                self.reports.push(event);
            }
            Event::Refused { .. } => panic!("{event:?}"),
            _ => {}
        }
    }
}
