//! A shard neither allocates nor frees after set-up: not in receive, not in ticks, not in
//! commands, whose boxes come home unharmed.

mod rig;

use std::net::SocketAddr;
use std::sync::Arc;

use engine::{Luggage, Output, Port, Shard, exchange};
use engine_control::{
    Command, Event, Limits, Prompt, RemoteMedia, Renditions, RoomKey, Route, SessionKey,
    SessionOpen, SessionReport, ShardReport, SpreadId, TapContent, TapId, TapItem, TapPoint,
};
use media::codec::Encoder;
use media::rtp::RtpHeader;
use media_kernels::Kernels;
use media_units::{
    BLOCK_SAMPLES, Cadence, Digits, Direction, Encoding, EncodingParameters, Gain, Law, PERIOD,
    RoomSound, RtpTimestamp, Selection, SequenceNumber, Ssrc,
};
use rig::{DIGITS, datagram, limits, media};

/// Takes everything into memory that is there already.
struct Taken {
    events: Vec<Event>,
    datagrams: u64,
    octets: u64,
}

impl Output for Taken {
    fn send(&mut self, _slot: u32, _port: Port, _to: SocketAddr, parts: [&[u8]; 2]) {
        self.datagrams += 1;
        self.octets += (parts[0].len() + parts[1].len()) as u64;
    }

    fn latch(&mut self, _slot: u32, _port: Port, _source: Option<SocketAddr>) {}

    fn retire(&mut self, _luggage: Luggage) {}

    fn event(&mut self, event: Event) {
        assert!(self.events.len() < self.events.capacity(), "no more than expected");
        self.events.push(event);
    }
}

/// Members that come and go, beside those that stay.
const GUESTS: std::ops::Range<u32> = 40..48;

/// The packet of one endpoint in one period, written without allocating. Some periods of some
/// endpoints are lost, repeated, digits, or nonsense.
fn packet(slot: u32, period: u64, bytes: &mut [u8; 172]) -> usize {
    let kind = (u64::from(slot) * 7 + period * 13) % 101;
    let header = RtpHeader {
        payload_type: if kind == 1 { DIGITS } else { (slot % 2 * 8) as u8 },
        marker: false,
        sequence: SequenceNumber(period as u16 - u16::from(kind == 2)),
        timestamp: RtpTimestamp((period as u32).wrapping_mul(BLOCK_SAMPLES as u32)),
        ssrc: Ssrc(slot + if period > 700 { 1000 } else { 0 }),
    };
    bytes[..12].copy_from_slice(&header.write());
    bytes[12..].fill((slot as u8) << 2 | 0x80);
    match kind {
        0 => 0,
        1 => 16,
        3 => 7,
        _ => bytes.len(),
    }
}

fn run(shard: &mut Shard, taken: &mut Taken, ticks: usize) {
    for _ in 0..ticks {
        let now = shard.next_tick();
        let period = now.as_nanos() / PERIOD.as_nanos() as u64;
        for at in 0..shard.due().len() {
            let slot = shard.due()[at];
            let mut bytes = [0; 172];
            let length = packet(slot, period, &mut bytes);
            let source = SocketAddr::from(([192, 0, 2, 1], 10_000 + slot as u16));
            shard.receive(datagram(slot, source, now - PERIOD / 2, &bytes[..length]), taken);
        }
        shard.tick(now, taken);
        shard.worked(PERIOD / 100, taken);
    }
}

fn open(slot: u32, generation: u32, route: Route) -> Command {
    let session = SessionKey::new(0, slot, generation);
    let open = Box::new(SessionOpen {
        ssrc: Ssrc(slot),
        sequence: SequenceNumber(1),
        timestamp: RtpTimestamp(2),
        media: media(slot, Law::ALL[slot as usize % 2]),
        route,
    });
    Command::OpenSession { session, open }
}

fn room(slot: u32, generation: u32) -> RoomKey {
    RoomKey::new(0, slot, generation)
}

/// Everything that can be asked of a shard, once over.
fn commands(round: u32) -> Vec<Command> {
    let sound = RoomSound { in_band_digits: true, noise_suppression: true, ..RoomSound::DEFAULT };
    let mut commands = vec![Command::OpenRoom { room: room(9, round), sound }];
    let start = |commands: &mut Vec<Command>, point| {
        let tap = TapId(commands.len() as u32);
        commands.push(Command::StartTap { point, tap, class: None });
    };
    start(&mut commands, TapPoint::Room(room(9, round)));
    let staying = SessionKey::new(0, 3, 1);
    for slot in GUESTS {
        commands.push(open(
            slot,
            round,
            Route::Room(room(slot % 10, if slot % 10 == 9 { round } else { 1 })),
        ));
        commands.push(open(slot, round, Route::Idle));
        let session = SessionKey::new(0, slot, round);
        start(&mut commands, TapPoint::Received(session));
        start(&mut commands, TapPoint::Sent(session));
        start(&mut commands, TapPoint::Packets(session));
        commands.push(Command::MuteSession { session, muted: slot % 2 == 0 });
        let (says, hears) = (Gain { tenths_db: -30 }, Gain { tenths_db: 30 });
        commands.push(Command::SetGain { session, says, hears });
        let mut media = Box::new(media(slot, Law::Mu));
        media.direction = Direction::ReceiveOnly;
        media.rtp.set_port(5);
        let digits = Digits::parse("12").unwrap();
        commands.push(Command::SendDigits { session, digits, cadence: Cadence::DEFAULT });
        if slot % 2 == 0 {
            media.telephone_event = None;
        }
        commands.push(Command::UpdateSession { session, media });
        commands.push(Command::SendDigits { session, digits, cadence: Cadence::DEFAULT });
        let other = TapPoint::Sent(SessionKey::new(0, 40 + (slot + 1) % 8, round));
        for point in [other, TapPoint::Room(room(1, 1)), TapPoint::Received(staying)] {
            commands.push(Command::RouteSession { session, route: Route::Monitor(point) });
        }
        let tone = Renditions::new(|class| vec![100; 3 * class.block_samples()]);
        let prompt = Box::new(Prompt::new(Arc::new(tone)));
        commands.push(Command::Prompt { session, prompt });
        commands.push(Command::RouteSession { session, route: Route::Echo });
        commands.push(Command::RouteSession { session, route: Route::Tone });
        commands.push(Command::RouteSession { session, route: Route::Room(room(9, round)) });
    }
    let reports = (0..64).map(|slot| SessionReport::of(SessionKey::new(0, slot, round))).collect();
    commands.push(Command::ReportSessions { reports: Box::new(reports) });
    commands.push(Command::ReportShard { report: Box::<ShardReport>::default() });
    commands.push(Command::StopTap { point: TapPoint::Received(SessionKey::new(0, 41, round)) });
    commands.push(Command::CloseRoom { room: room(9, round) });
    for slot in GUESTS {
        commands.push(Command::CloseSession { session: SessionKey::new(0, slot, round) });
        commands.push(Command::CloseSession { session: SessionKey::new(0, slot, round) });
    }
    commands
}

fn has_box(command: &Command) -> bool {
    matches!(
        command,
        Command::OpenSession { .. }
            | Command::UpdateSession { .. }
            | Command::Prompt { .. }
            | Command::ReportSessions { .. }
            | Command::ReportShard { .. }
    )
}

fn brings_box(event: &Event) -> bool {
    match event {
        Event::Refused { command, .. } => has_box(command),
        Event::SessionOpened { .. }
        | Event::Prompted { .. }
        | Event::MediaReturned { .. }
        | Event::SessionsReported { .. }
        | Event::ShardReported { .. } => true,
        _ => false,
    }
}

#[test]
fn a_shard_neither_allocates_nor_frees_after_set_up() {
    let limits = Limits { taps_max: 64, ..limits() };
    let mut shard = Shard::new(0, &limits, Kernels::detect(), 1);
    let mut taps = shard.take_tap_reader().unwrap();
    let mut taken = Taken { events: Vec::with_capacity(4096), datagrams: 0, octets: 0 };
    let mut setup = Vec::new();
    for number in 0..9 {
        setup.push(Command::OpenRoom { room: room(number, 1), sound: RoomSound::DEFAULT });
    }
    setup.extend((0..40).map(|slot| open(slot, 1, Route::Room(room(slot % 9, 1)))));
    setup.extend((50..60).map(|slot| open(slot, 1, Route::Echo)));

    let mut kinds = [0; 4];
    for round in 1..=20 {
        let mut waiting = setup.drain(..).chain(commands(round)).collect::<Vec<_>>().into_iter();
        let donated = waiting.as_slice().iter().filter(|command| has_box(command)).count();
        let usage = allocation_counter::measure(|| {
            for command in waiting.by_ref() {
                shard.command(command, None, shard.next_tick(), &mut taken);
                run(&mut shard, &mut taken, 3);
            }
        });
        assert_eq!((usage.count_total, usage.count_current), (0, 0), "round {round}: {usage:?}");
        let returned = taken.events.iter().filter(|event| brings_box(event)).count();
        assert_eq!(returned, donated, "round {round}");
        taken.events.clear();
        let kind = |item: &TapItem<'_>| match item.content {
            TapContent::Block { .. } => 0,
            TapContent::Silence { .. } => 1,
            TapContent::Packet { .. } => 2,
            TapContent::Ended => 3,
        };
        while let Some(kind) = taps.read(kind) {
            kinds[kind] += 1;
        }
    }
    assert!(kinds.iter().all(|&records| records > 300), "{kinds:?}");
    assert!(taken.datagrams > 50_000 && taken.octets > 8_000_000, "{}", taken.datagrams);
}

#[test]
fn the_memory_plan_is_what_is_reserved() {
    let limits = limits();
    let mut shard = None;
    let usage = allocation_counter::measure(|| {
        shard = Some(Shard::new(0, &limits, Kernels::SCALAR, 1));
    });
    let planned = Shard::memory_bytes(&limits) as u64;
    let reserved = usage.bytes_current as u64 + size_of::<Shard>() as u64;
    assert!(planned.abs_diff(reserved) < planned / 50, "{planned} planned, {reserved} reserved");
}

/// Frames of a chirp in any payload format, made before anything is measured.
fn frames(encoding: Encoding) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(encoding, &EncodingParameters::DEFAULT);
    let rate = encoding.sample_rate() as usize;
    // iLBC's frames are 30 ms by default.
    let samples = if encoding == Encoding::Ilbc { rate * 3 / 100 } else { rate / 100 * 2 };
    let mut frame = |number: usize| {
        let sample = |at: usize| (((number * samples + at).pow(2) / 3000) % 20_000) as i16 - 10_000;
        let block: Vec<i16> = (0..samples).map(sample).collect();
        let mut frame = vec![0; 2048];
        let length = encoder.encode(&Kernels::SCALAR, &block, &mut frame);
        frame.truncate(length);
        frame
    };
    (0..100).map(&mut frame).collect()
}

#[test]
fn no_part_of_a_spread_room_allocates() {
    for selection in [Selection::Everyone, Selection::Loudest(3)] {
        run_all_formats(RoomSound { selection, ..RoomSound::DEFAULT }, 64, true, true);
    }
}

#[test]
fn no_payload_format_allocates_on_a_shard() {
    for (selection, noise_suppression) in
        [(Selection::Everyone, true), (Selection::Everyone, false), (Selection::Loudest(3), true)]
    {
        for is_tapped in [false, true] {
            run_all_formats(
                RoomSound { selection, noise_suppression, ..RoomSound::DEFAULT },
                64,
                is_tapped,
                false,
            );
        }
    }
    for is_tapped in [false, true] {
        run_all_formats(RoomSound::DEFAULT, 2, is_tapped, false);
    }
}

/// Rooms of all payload formats, so many in each, in which everyone tells its level and takes turns
/// being loud; spread ones have a part on a second shard, where nobody is.
fn run_all_formats(sound: RoomSound, members: u32, is_tapped: bool, is_spread: bool) {
    let limits = Limits { taps_max: 64, spread_max: 1, ..limits() };
    let [mut shard, mut other] = [0, 1].map(|at| Shard::new(at, &limits, Kernels::detect(), 3));
    for (shard, end) in [&mut shard, &mut other].into_iter().zip(exchange(2, limits.spread_max)) {
        shard.meet(end);
    }
    let mut taps = shard.take_tap_reader().unwrap();
    let mut taken = Taken { events: Vec::with_capacity(1000), datagrams: 0, octets: 0 };
    let now = shard.next_tick();
    for slot in 0..Encoding::ALL.len().div_ceil(members as usize) {
        let room = RoomKey::new(0, slot as u32, 1);
        let open = |room, spread| {
            if is_spread {
                Command::OpenPart { room, sound, spread }
            } else {
                Command::OpenRoom { room, sound }
            }
        };
        shard.command(open(room, SpreadId(slot as u16)), None, now, &mut taken);
        let room = RoomKey::new(1, slot as u32, 1);
        other.command(open(room, SpreadId(slot as u16)), None, now, &mut taken);
    }
    let sounds: Vec<_> = Encoding::ALL.iter().map(|&encoding| frames(encoding)).collect();
    let mut obey = |command| {
        let luggage = Luggage::beside(&command, &limits);
        shard.command(command, luggage, now, &mut taken);
    };
    for (slot, &encoding) in (0..).zip(&Encoding::ALL) {
        let room = RoomKey::new(0, slot / members, 1);
        obey(open_in(slot, encoding, Route::Room(room)));
        if is_tapped {
            let session = SessionKey::new(0, slot, 1);
            let points = [
                TapPoint::Received(session),
                TapPoint::Sent(session),
                TapPoint::Packets(session),
                TapPoint::Room(room),
            ];
            for (number, point) in (0..).zip(points) {
                obey(Command::StartTap { point, tap: TapId(4 * slot + number), class: None });
            }
            let point = [points[0], points[1], points[3]][slot as usize % 3];
            obey(open_in(FIRST_MONITOR + slot, encoding, Route::Monitor(point)));
        }
    }
    let usage = allocation_counter::measure(|| {
        for tick in 0..100 * 4 {
            let now = shard.next_tick();
            for at in 0..shard.due().len() {
                let slot = shard.due()[at];
                if let Some(sound) = sounds.get(slot as usize) {
                    speak(&mut shard, &mut taken, slot, tick / 4, sound);
                }
            }
            shard.tick(now, &mut taken);
            other.tick(now, &mut taken);
            while taps.read(|_| ()).is_some() {}
        }
    });
    assert_eq!((usage.count_total, usage.bytes_current), (0, 0), "{usage:?}");
    assert!(taken.datagrams > 900, "{} datagrams", taken.datagrams);
}

/// The slot of the first session that monitors.
const FIRST_MONITOR: u32 = 20;

fn open_in(slot: u32, encoding: Encoding, route: Route) -> Command {
    let open = Box::new(SessionOpen {
        ssrc: Ssrc(slot),
        sequence: SequenceNumber(0),
        timestamp: RtpTimestamp(0),
        media: RemoteMedia {
            encoding,
            receive_payload_type: 96,
            send_payload_type: 96,
            mixer_levels: Some(1),
            audio_level: Some(2),
            ..media(slot, Law::Mu)
        },
        route,
    });
    Command::OpenSession { session: SessionKey::new(0, slot, 1), open }
}

/// Delivers one endpoint's frame of a period; some are lost, some come twice.
fn speak(shard: &mut Shard, taken: &mut Taken, slot: u32, period: usize, sound: &[Vec<u8>]) {
    let encoding = Encoding::ALL[slot as usize];
    let kind = (slot as usize + period * 5) % 17;
    if kind == 0 || (encoding == Encoding::Ilbc && period % 3 == 2) {
        return;
    }
    let number = if encoding == Encoding::Ilbc { period / 3 * 2 + period % 3 } else { period };
    let units = encoding.clock_rate() / 100 * if encoding == Encoding::Ilbc { 3 } else { 2 };
    let header = RtpHeader {
        payload_type: 96,
        marker: false,
        sequence: SequenceNumber(number as u16),
        timestamp: RtpTimestamp(number as u32 * units),
        ssrc: Ssrc(slot),
    };
    let mut bytes = [0; 2100];
    bytes[..12].copy_from_slice(&header.write());
    bytes[0] |= 0x10;
    let level = if period / 30 % 2 == slot as usize % 2 { 127 } else { 10 + slot as u8 };
    bytes[12..20].copy_from_slice(&[0xbe, 0xde, 0, 1, 2 << 4, level, 0, 0]);
    let length = 20 + sound[number].len();
    bytes[20..length].copy_from_slice(&sound[number]);
    for _ in 0..=usize::from(kind == 1) {
        let source = SocketAddr::from(([192, 0, 2, 1], 10_000 + slot as u16));
        let at = shard.next_tick() - PERIOD / 2;
        shard.receive(datagram(slot, source, at, &bytes[..length]), taken);
    }
}
