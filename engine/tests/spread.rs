//! Rooms that are spread over several shards: packet for packet what one shard would send.

#[path = "rig/conference.rs"]
mod conference;

use engine::{Datagram, Luggage, Output, Port, Shard, exchange};
use engine_control::{
    Command, Event, Limits, Refusal, RoomKey, Route, SessionKey, ShardReport, SpreadId, TapContent,
    TapId, TapItem, TapPoint, TapReader,
};
use media_kernels::Kernels;
use media_units::{
    Arrival, Encoding, EncodingParameters, Gain, Instant, PERIOD, PHASES, RateClass, RoomSound,
    Selection, Ssrc, TICK,
};

use conference::{Phone, address, open};

/// The room's part on a shard, and the session of a phone there.
fn part(shard: u8) -> RoomKey {
    RoomKey::new(shard, 0, 1)
}

/// What one shard sends, by slot: when, and the whole packet.
#[derive(Default)]
struct Taken {
    now: Instant,
    sent: Vec<Vec<(Instant, Vec<u8>)>>,
    report: Option<Box<ShardReport>>,
    refused: Vec<Refusal>,
    /// What the shard's taps carried.
    tapped: Vec<i16>,
    retired: Option<Luggage>,
    /// Who has left for another shard.
    left: Vec<(SessionKey, Luggage)>,
}

impl Output for Taken {
    fn send(&mut self, slot: u32, _: Port, _: std::net::SocketAddr, parts: [&[u8]; 2]) {
        let bytes = parts.concat();
        if media::demux(&bytes) == media::Demux::Rtp {
            self.sent[slot as usize].push((self.now, bytes));
        }
    }

    fn latch(&mut self, _: u32, _: Port, _: Option<std::net::SocketAddr>) {}

    fn retire(&mut self, luggage: Luggage) {
        self.retired = Some(luggage);
    }

    fn event(&mut self, event: Event) {
        let retired = self.retired.take();
        match event {
            Event::SessionLeft { session } => self.left.push((session, retired.unwrap())),
            Event::ShardReported { report } => self.report = Some(report),
            Event::Refused { refusal, .. } => self.refused.push(refusal),
            _ => {}
        }
    }
}

/// One room on some shards, and its phones: phone `n` is in slot `n` of its shard.
struct Hall {
    shards: Vec<(Shard, Taken, Box<TapReader>)>,
    limits: Limits,
    phones: Vec<(usize, Phone)>,
    /// Where phones go that come next.
    shards_open: usize,
}

const PHONES_MAX: u32 = 16;

impl Hall {
    /// A room on one shard, as rooms are, or a spread one.
    fn new(shards: u8, is_spread: bool, sound: RoomSound) -> Self {
        let limits = Limits {
            sessions_max: PHONES_MAX,
            rooms_max: 2,
            room_members_max: PHONES_MAX,
            spread_max: 1,
            ..Limits::default()
        };
        let ends = exchange(shards, limits.spread_max);
        let shard = |(index, end)| {
            let mut shard = Shard::new(index, &limits, Kernels::SCALAR, 5);
            shard.meet(end);
            let taps = shard.take_tap_reader().unwrap();
            let sent = vec![Vec::new(); PHONES_MAX as usize];
            (shard, Taken { sent, ..Taken::default() }, taps)
        };
        let shards_all = (0..).zip(ends).map(shard).collect();
        let mut hall = Self { shards: shards_all, limits, phones: vec![], shards_open: 0 };
        for shard in 0..shards {
            let room = part(shard);
            let command = if is_spread {
                Command::OpenPart { room, sound, spread: SpreadId(0) }
            } else {
                Command::OpenRoom { room, sound }
            };
            hall.command(usize::from(shard), command);
        }
        hall.shards_open = usize::from(shards);
        // Up to the first tick of the room's phase.
        hall.ticks(PHASES as usize - 1);
        hall
    }

    fn command(&mut self, shard: usize, command: Command) {
        let luggage = Luggage::beside(&command, &self.limits);
        let (shard, taken, _) = &mut self.shards[shard];
        shard.command(command, luggage, shard.next_tick(), taken);
    }

    fn join(&mut self, encoding: Encoding, says: Option<(f64, f64)>) -> usize {
        let (number, slot) = (self.phones.len(), self.phones.len() as u32);
        let shard = number * 5 % 7 % self.shards_open;
        let parameters = EncodingParameters::DEFAULT;
        self.phones.push((shard, Phone { says, ..Phone::new(slot, encoding, parameters) }));
        let open = open(slot, Ssrc(1000 + slot * 77 % 31), encoding, parameters, part(shard as u8));
        self.command(shard, Command::OpenSession { session: self.session(number), open });
        number
    }

    fn session(&self, phone: usize) -> SessionKey {
        SessionKey::new(self.phones[phone].0 as u8, phone as u32, 1)
    }

    fn tell(&mut self, phone: usize, command: impl FnOnce(SessionKey) -> Command) {
        self.command(self.phones[phone].0, command(self.session(phone)));
    }

    fn tick(&mut self, shard: usize) {
        self.tick_at(shard, self.shards[shard].0.next_tick());
    }

    fn tick_at(&mut self, shard: usize, now: Instant) {
        let (side, taken, taps) = &mut self.shards[shard];
        taken.now = now;
        for slot in side.due().to_vec() {
            if let Some(bytes) = self.phones[slot as usize].1.speak() {
                let (port, source, arrival) =
                    (Port::Rtp, address(slot), Arrival::At(now - PERIOD / 2));
                let bytes = &bytes;
                let datagram = Datagram { slot, port, source, arrival, bytes, truncated: false };
                side.receive(datagram, taken);
            }
        }
        side.tick(now, taken);
        let mut keep = |item: &TapItem<'_>| {
            if let TapContent::Block { samples, .. } = item.content {
                taken.tapped.extend_from_slice(samples);
            }
        };
        while taps.read(&mut keep).is_some() {}
    }

    /// Runs so many ticks of all shards; their order is another in every tick.
    fn ticks(&mut self, ticks: usize) {
        for tick in 0..ticks {
            for at in 0..self.shards.len() {
                self.tick((at + tick) % self.shards.len());
            }
            self.send_on();
        }
    }

    fn run(&mut self, periods: usize) {
        self.ticks(periods * PHASES as usize);
    }

    /// Sends a phone's session to another shard.
    fn send_away(&mut self, phone: usize, shard: usize) {
        self.tell(phone, |session| Command::SendAway { session });
        self.phones[phone].0 = shard;
    }

    /// Who has left a shard is taken in by the next, into the part of the room there.
    fn send_on(&mut self) {
        for from in 0..self.shards.len() {
            for (session, luggage) in std::mem::take(&mut self.shards[from].1.left) {
                let phone = session.slot() as usize;
                let (to, session) = (self.phones[phone].0, self.session(phone));
                let (shard, taken, _) = &mut self.shards[to];
                let now = shard.next_tick();
                shard.command(Command::TakeIn { session }, Some(luggage), now, taken);
                let route = Route::Room(part(to as u8));
                shard.command(Command::RouteSession { session, route }, None, now, taken);
            }
        }
    }

    /// All packets that a phone was sent by the shard where it is.
    fn heard(&self, phone: usize) -> &[(Instant, Vec<u8>)] {
        &self.shards[self.phones[phone].0].1.sent[phone]
    }

    /// The same by all shards where it was.
    fn heard_anywhere(&self, phone: usize) -> Vec<(Instant, Vec<u8>)> {
        let all = self.shards.iter().flat_map(|(_, taken, _)| &taken.sent[phone]);
        let mut all: Vec<_> = all.cloned().collect();
        all.sort_by_key(|(at, _)| *at);
        all
    }

    fn report(&mut self, shard: usize) -> Box<ShardReport> {
        self.command(shard, Command::ReportShard { report: Box::default() });
        self.shards[shard].1.report.take().unwrap()
    }
}

/// A conference with a bit of everything.
fn eventful(hall: &mut Hall) {
    let encodings = [
        Encoding::Pcmu,
        Encoding::L16At8000,
        Encoding::Pcma,
        Encoding::L16At16000,
        Encoding::Pcmu,
        Encoding::L16At48000,
    ];
    for (at, encoding) in encodings.into_iter().enumerate() {
        let tone = (200.0 + 90.0 * at as f64, 12_000.0);
        hall.join(encoding, (at != 2).then_some(tone));
    }
    hall.run(20);
    hall.phones[0].1.tells_level = Some(30);
    hall.phones[3].1.tells_level = Some(20);
    hall.run(10);
    hall.tell(1, |session| Command::MuteSession { session, muted: true });
    hall.run(10);
    hall.tell(1, |session| Command::MuteSession { session, muted: false });
    hall.phones[3].1.tells_level = Some(90);
    hall.phones[4].1.lose(3);
    hall.run(10);
    let (says, hears) = (Gain { tenths_db: 60 }, Gain { tenths_db: -60 });
    hall.tell(4, |session| Command::SetGain { session, says, hears });
    hall.run(10);
    hall.tell(5, |session| Command::CloseSession { session });
    for (_, phone) in &mut hall.phones {
        phone.says = None;
    }
    hall.run(60);
    hall.phones[2].1.says = Some((400.0, 9000.0));
    hall.run(5);
    hall.join(Encoding::Pcma, Some((150.0, 20_000.0)));
    hall.run(20);
}

fn sounds() -> Vec<RoomSound> {
    let loudest = Selection::Loudest(2);
    vec![
        RoomSound::DEFAULT,
        RoomSound { comfort_noise: true, ..RoomSound::DEFAULT },
        RoomSound { selection: loudest, ..RoomSound::DEFAULT },
        RoomSound {
            selection: loudest,
            automatic_gain_dbov: Some(20),
            noise_gate_dbov: Some(50),
            comfort_noise: true,
            ..RoomSound::DEFAULT
        },
    ]
}

#[test]
fn however_many_shards_a_room_is_spread_over_every_packet_is_the_same() {
    for sound in sounds() {
        let mut whole = Hall::new(1, false, sound);
        eventful(&mut whole);
        for shards in [1, 2, 4, 8] {
            let mut spread = Hall::new(shards, true, sound);
            eventful(&mut spread);
            for phone in 0..whole.phones.len() {
                let (expected, heard) = (whole.heard(phone), spread.heard(phone));
                assert!(heard.len() > 15, "{heard:?}");
                // Of who left the last period was on its way.
                assert!((0..=1).contains(&(expected.len() - heard.len())), "{shards}: {phone}");
                for ((at, bytes), (then, expected)) in heard.iter().zip(expected) {
                    assert_eq!(bytes, expected, "{sound:?} on {shards}: phone {phone} at {at:?}");
                    assert_eq!(*at, *then + 3 * TICK);
                }
            }
            let late: u64 = (0..usize::from(shards)).map(|at| spread.report(at).parts_late).sum();
            assert_eq!(late, 0);
        }
    }
}

/// A conference in which anything may happen, the same for the same seed.
fn any_conference(hall: &mut Hall, seed: u64) {
    let mut random = media::Random::new(seed);
    let mut roll = move |sides: u32| random.next_u32() % sides;
    let encodings = [
        Encoding::Pcmu,
        Encoding::L16At8000,
        Encoding::Pcma,
        Encoding::L16At16000,
        Encoding::L16At48000,
        Encoding::L16At44100,
    ];
    let kinds = 1 + roll(6);
    let first = encodings.into_iter().take(kinds as usize).cycle().take(4);
    let mut there: Vec<usize> =
        first.map(|encoding| hall.join(encoding, Some((300.0, 9000.0)))).collect();
    for _ in 0..40 {
        let at = roll(there.len() as u32) as usize;
        let phone = there[at];
        let tone = (150.0 + f64::from(roll(900)), f64::from(20 + roll(32_000)));
        let says = (roll(3) > 0).then_some(tone);
        match roll(9) {
            0..=2 if hall.phones.len() < PHONES_MAX as usize => {
                there.push(hall.join(encodings[roll(kinds) as usize], says));
            }
            3 if there.len() > 4 => {
                there.remove(at);
                hall.phones[phone].1.says = None;
                hall.tell(phone, |session| Command::CloseSession { session });
            }
            4 => {
                let muted = roll(2) == 0;
                hall.tell(phone, |session| Command::MuteSession { session, muted });
            }
            5 => {
                let gains = [0, 60, -60, 100];
                let [says, hears] =
                    [roll(4), roll(4)].map(|at| Gain { tenths_db: gains[at as usize] });
                hall.tell(phone, |session| Command::SetGain { session, says, hears });
            }
            6 => {
                hall.phones[phone].1.tells_level = (roll(2) == 0).then_some(roll(128) as u8);
            }
            7 => hall.phones[phone].1.says = says,
            _ => hall.phones[phone].1.lose(1 + roll(4) as usize),
        }
        hall.run(1 + roll(8) as usize);
    }
}

#[test]
fn whatever_happens_in_it_a_room_on_several_shards_is_as_on_one() {
    let more = [
        RoomSound { noise_gate_dbov: Some(45), ..RoomSound::DEFAULT },
        RoomSound { limiter: false, ..RoomSound::DEFAULT },
    ];
    for (seed, sound) in (0_u64..).zip(sounds().into_iter().chain(more)) {
        let mut whole = Hall::new(1, false, sound);
        any_conference(&mut whole, seed);
        let mut spread = Hall::new(if seed.is_multiple_of(2) { 2 } else { 5 }, true, sound);
        any_conference(&mut spread, seed);
        for phone in 0..whole.phones.len() {
            for (heard, expected) in spread.heard(phone).iter().zip(whole.heard(phone)) {
                let (at, then) = (heard.0, expected.0);
                assert_eq!((at, &heard.1), (then + 3 * TICK, &expected.1), "{seed}: {phone}");
            }
        }
    }
}

#[test]
fn who_moves_from_shard_to_shard_and_back_is_sent_and_gives_the_very_same_packets() {
    let talk = |hall: &mut Hall, moves: &[(usize, usize)]| {
        for at in 0..6_u32 {
            let encodings = [Encoding::Pcmu, Encoding::L16At8000, Encoding::L16At16000];
            hall.join(encodings[at as usize % 3], Some((200.0 + 90.0 * f64::from(at), 9000.0)));
        }
        hall.run(70);
        for &(phone, shard) in moves {
            if hall.phones[phone].0 != shard {
                hall.send_away(phone, shard);
            }
            // Whatever tick it is asked for in.
            hall.ticks(9);
        }
        hall.run(20);
    };
    let moves = [(0, 1), (3, 0), (0, 0), (1, 1), (2, 1), (2, 0), (4, 1), (5, 1), (5, 0), (3, 1)];
    for sound in sounds() {
        let mut whole = Hall::new(1, true, sound);
        talk(&mut whole, &moves.map(|(phone, _)| (phone, 0)));
        let mut moved = Hall::new(2, true, sound);
        talk(&mut moved, &moves);
        for phone in 0..6 {
            assert_eq!(moved.heard_anywhere(phone), whole.heard(phone), "phone {phone}, {sound:?}");
        }
        let shards = [0, 1].map(|shard| moved.report(shard));
        assert_eq!(shards.iter().map(|report| report.sessions).sum::<u32>(), 6);
        assert_eq!(shards.iter().map(|report| report.parts_late).sum::<u64>(), 0);
    }
}

#[test]
fn a_late_part_is_silence_and_counted_and_nobody_waits() {
    let mut hall = Hall::new(2, true, RoomSound::DEFAULT);
    for _ in 0..4 {
        hall.join(Encoding::Pcmu, Some((300.0, 9000.0)));
    }
    hall.run(20);
    let shards: Vec<usize> = hall.phones.iter().map(|(shard, _)| *shard).collect();
    let (here, there) = (shards[0], 1 - shards[0]);
    let alone = shards.iter().filter(|&&shard| shard == here).count();
    assert!((1..4).contains(&alone));
    // The other shard stands still for three periods.
    let before = hall.heard(0).len();
    for _ in 0..3 * PHASES {
        hall.tick(here);
    }
    assert_eq!(hall.heard(0).len() - before, 3, "every period is sent in its time");
    assert!(hall.report(here).parts_late >= 2);
    assert_eq!(hall.report(there).parts_late, 0);
    for _ in 0..3 * PHASES {
        hall.tick(there);
    }
    let late = hall.report(here).parts_late;
    hall.run(10);
    assert_eq!(hall.report(here).parts_late, late, "it has caught up");
}

#[test]
fn a_part_that_left_periods_out_goes_on_with_the_others_whatever_it_was_at() {
    for at in 0..PHASES {
        let mut hall = Hall::new(2, true, RoomSound::DEFAULT);
        for _ in 0..4 {
            hall.join(Encoding::Pcmu, Some((300.0, 9000.0)));
        }
        hall.run(20);
        hall.ticks(at as usize);
        let there = hall.phones[0].0;
        // It stands still for so long that it does not catch up.
        (0..5 * PHASES).for_each(|_| hall.tick(1 - there));
        hall.tick_at(there, hall.shards[1 - there].0.next_tick());
        hall.tick(1 - there);
        assert_eq!(hall.report(there).periods_left_out, 5);
        hall.run(2);
        let late = hall.report(there).parts_late + hall.report(1 - there).parts_late;
        let sent = hall.heard(0).len();
        hall.run(10);
        assert_eq!(hall.report(there).parts_late + hall.report(1 - there).parts_late, late);
        let heard = &hall.heard(0)[sent..];
        assert_eq!(heard.len(), 10, "stopped at {at}");
        let octets = |(_, bytes): &(Instant, Vec<u8>)| bytes[12..].iter().any(|&code| code != 0xff);
        assert!(heard.iter().all(octets), "stopped at {at}");
    }
}

#[test]
fn a_room_grows_by_a_part_while_all_hear_on() {
    let grow = |second: Option<usize>| {
        let mut hall = Hall::new(2, true, RoomSound { comfort_noise: true, ..RoomSound::DEFAULT });
        if second.is_some() {
            hall.command(1, Command::CloseRoom { room: part(1) });
        }
        hall.shards_open = 1;
        for at in 0..3 {
            hall.join(Encoding::Pcmu, (at > 0).then_some((300.0, 9000.0)));
        }
        for period in 0..30 {
            if second == Some(period) {
                let (room, spread) = (part(1), SpreadId(0));
                let sound = RoomSound { comfort_noise: true, ..RoomSound::DEFAULT };
                hall.command(1, Command::OpenPart { room, sound, spread });
                hall.shards_open = 2;
            }
            if period == 20 {
                hall.shards_open = 2;
                hall.join(Encoding::Pcma, Some((500.0, 5000.0)));
            }
            hall.run(1);
        }
        hall
    };
    let (late, early) = (grow(Some(15)), grow(None));
    assert_eq!(late.phones[3].0, 1);
    for phone in 0..4 {
        let heard = late.heard(phone);
        assert_eq!(heard, early.heard(phone), "phone {phone}");
        assert!(heard.windows(2).all(|pair| pair[1].0.since(pair[0].0) == PERIOD));
    }
}

#[test]
fn a_recording_of_any_part_is_one_of_the_room() {
    let mut hall = Hall::new(2, true, RoomSound::DEFAULT);
    for _ in 0..4 {
        hall.join(Encoding::Pcmu, Some((300.0, 5000.0)));
    }
    hall.run(20);
    for shard in 0..2_u8 {
        let (point, tap) = (TapPoint::Room(part(shard)), TapId(7));
        let class = Some(RateClass::Narrow);
        hall.command(usize::from(shard), Command::StartTap { point, tap, class });
    }
    hall.run(20);
    let [one, other] = [0, 1].map(|shard: usize| std::mem::take(&mut hall.shards[shard].1.tapped));
    assert!(one.len() >= 19 * 160 && one.iter().any(|&sample| sample != 0));
    assert_eq!(one, other);
}

#[test]
fn a_place_of_the_exchange_holds_one_room_and_is_free_when_that_is_closed() {
    let sound = RoomSound::DEFAULT;
    let mut hall = Hall::new(2, true, sound);
    let second = RoomKey::new(0, 1, 1);
    let open = |spread| Command::OpenPart { room: second, sound, spread: SpreadId(spread) };
    hall.command(0, open(0));
    hall.command(0, open(1));
    assert_eq!(hall.shards[0].1.refused, [Refusal::Full; 2]);
    hall.join(Encoding::Pcmu, None);
    hall.run(5);
    hall.ticks(1);
    hall.command(0, Command::CloseRoom { room: part(0) });
    hall.command(0, open(0));
    hall.run(5);
    assert_eq!(hall.shards[0].1.refused.len(), 2);
    assert_eq!(hall.report(1).parts_late, 0);
    let heard = hall.heard(0);
    assert!(heard.windows(2).all(|pair| pair[1].0.since(pair[0].0) <= PERIOD + 3 * TICK));
}

/// How loud the last packets that a phone was sent are at most.
fn peaks(heard: &[(Instant, Vec<u8>)]) -> Vec<u16> {
    let peak = |(_, bytes): &(Instant, Vec<u8>)| {
        let mut samples = [0; 160];
        Kernels::SCALAR.decode_ulaw(&bytes[12..], &mut samples);
        samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap()
    };
    heard.iter().map(peak).collect()
}

#[test]
fn who_hangs_up_between_two_ticks_changes_nothing_about_who_is_heard() {
    for (places, shards) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        for wait in 0..PHASES as usize {
            let sound = RoomSound { selection: Selection::Loudest(places), ..RoomSound::DEFAULT };
            let mut hall = Hall::new(shards, true, sound);
            // The first is soft and leaves, the loudest is right behind it, the last listens.
            for peak in [300.0, 9000.0, 300.0, 300.0, 300.0, 8000.0] {
                hall.join(Encoding::Pcmu, Some((300.0, peak)));
            }
            let listener = hall.join(Encoding::Pcmu, None);
            hall.run(100);
            hall.ticks(wait);
            hall.tell(0, |session| Command::CloseSession { session });
            let before = hall.heard(listener).len();
            hall.run(5);
            let peaks = peaks(&hall.heard(listener)[before - 1..]);
            let least = if places == 1 { 8500 } else { 12_000 };
            assert!(
                peaks.iter().all(|&peak| peak > least),
                "{places} are heard, {shards} shards, {wait} ticks later: {peaks:?}"
            );
        }
    }
}
