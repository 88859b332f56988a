//! A session goes from one shard to another.

mod rig;

use std::net::SocketAddr;

use engine::{Luggage, Output, Port, Shard};
use engine_control::{
    Command, Event, Refusal, RemoteMedia, Route, RtcpTransport, SessionKey, SessionOpen,
    SessionReport, TapId, TapPoint,
};
use media::rtp::RtpView;
use media_kernels::Kernels;
use media_units::{Direction, Law, PERIOD, PHASES, RtpTimestamp, SequenceNumber, Ssrc};
use rig::{Phone, SETTLED, datagram, limits, media};

/// Takes what comes out of both shards, into memory that is there already.
struct Taken {
    sent: Vec<[u8; 172]>,
    events: Vec<Event>,
    latches: Vec<(u32, Option<SocketAddr>)>,
    retired: Option<Luggage>,
    left: Option<Luggage>,
}

impl Output for Taken {
    fn send(&mut self, _: u32, _: Port, _: SocketAddr, parts: [&[u8]; 2]) {
        if parts[0].len() + parts[1].len() == 172 {
            let mut bytes = [0; 172];
            bytes[..12].copy_from_slice(parts[0]);
            bytes[12..].copy_from_slice(parts[1]);
            assert!(self.sent.len() < self.sent.capacity());
            self.sent.push(bytes);
        }
    }

    fn latch(&mut self, slot: u32, _: Port, source: Option<SocketAddr>) {
        self.latches.push((slot, source));
    }

    fn retire(&mut self, luggage: Luggage) {
        self.retired = Some(luggage);
    }

    fn event(&mut self, event: Event) {
        let retired = self.retired.take();
        if matches!(event, Event::SessionLeft { .. }) {
            self.left = retired;
        } else {
            // Dropping it here would be freeing.
            std::mem::forget(retired);
        }
        assert!(self.events.len() < self.events.capacity());
        self.events.push(event);
    }
}

/// Two shards, and a phone that hears itself, in slot 3 of the first and 5 of the second.
struct Two {
    shards: [Shard; 2],
    phone: Phone,
    taken: Taken,
}

const PLACES: [SessionKey; 2] = [SessionKey::new(0, 3, 1), SessionKey::new(1, 5, 1)];

impl Two {
    fn new() -> Self {
        let shards = [0, 1].map(|index| Shard::new(index, &limits(), Kernels::SCALAR, 9));
        let taken = Taken {
            sent: Vec::with_capacity(1000),
            events: Vec::with_capacity(100),
            latches: Vec::with_capacity(10),
            retired: None,
            left: None,
        };
        let mut two = Self { shards, phone: Phone::new(3, Law::Mu, Some(0x9c)), taken };
        let open = Box::new(SessionOpen {
            ssrc: Ssrc(77),
            sequence: SequenceNumber(65_500),
            timestamp: RtpTimestamp(u32::MAX - 9000),
            media: media(3, Law::Mu),
            route: Route::Echo,
        });
        two.command(0, Command::OpenSession { session: PLACES[0], open });
        two
    }

    fn command(&mut self, shard: usize, command: Command) {
        let luggage = Luggage::beside(&command, &limits());
        let now = self.shards[shard].next_tick();
        self.shards[shard].command(command, luggage, now, &mut self.taken);
    }

    /// One tick of one shard; the phone speaks where its session is.
    fn tick(&mut self, shard: usize) {
        let now = self.shards[shard].next_tick();
        let slot = PLACES[shard].slot();
        if self.shards[shard].due().contains(&slot) {
            let bytes = self.phone.packet(&[0x9c; 160]);
            let datagram = datagram(slot, self.phone.source, now - PERIOD / 2, &bytes);
            self.shards[shard].receive(datagram, &mut self.taken);
        }
        self.shards[shard].tick(now, &mut self.taken);
    }

    fn run(&mut self, periods: usize) {
        for _ in 0..periods * PHASES as usize {
            self.tick(0);
            self.tick(1);
        }
    }

    /// Runs the first shard until the session has left it.
    fn leave(&mut self) {
        self.command(0, Command::SendAway { session: PLACES[0] });
        while self.taken.left.is_none() {
            self.tick(0);
        }
    }

    fn arrive(&mut self) {
        let now = self.shards[1].next_tick();
        let luggage = self.taken.left.take();
        let session = PLACES[1];
        self.shards[1].command(Command::TakeIn { session }, luggage, now, &mut self.taken);
        self.command(1, Command::RouteSession { session, route: Route::Echo });
    }

    fn assert_lawful(&self) {
        let sent: Vec<RtpView<'_>> =
            self.taken.sent.iter().map(|bytes| RtpView::parse(bytes).unwrap()).collect();
        for pair in sent.windows(2) {
            assert_eq!(pair[1].ssrc(), Ssrc(77));
            assert_eq!(pair[1].sequence(), pair[0].sequence().plus(1));
            let units = pair[1].timestamp().distance_from(pair[0].timestamp());
            assert!(units >= 160 && units % 160 == 0, "{units}");
            assert_eq!(pair[1].marker(), units > 160, "{units}");
        }
    }

    fn report(&mut self, shard: usize) -> SessionReport {
        let reports = Box::new(vec![SessionReport::of(PLACES[shard])]);
        self.command(shard, Command::ReportSessions { reports });
        let Some(Event::SessionsReported { reports }) = self.taken.events.pop() else { panic!() };
        reports[0]
    }
}

#[test]
fn who_is_taken_in_before_its_next_turn_misses_nothing() {
    let mut two = Two::new();
    two.run(80);
    let before = two.report(0);
    two.leave();
    while two.shards[1].next_tick() < two.shards[0].next_tick() {
        two.tick(1);
    }
    two.arrive();
    let at_arrival = two.taken.sent.len();
    two.run(10);
    assert_eq!(two.taken.sent.len(), at_arrival + 10);
    two.assert_lawful();
    assert!(two.taken.sent[70..].iter().all(|bytes| bytes[12..] == [0x9c; 160]), "no gap");
    let after = two.report(1);
    assert_eq!(after.packets_received, before.packets_received + 11);
    assert_eq!((after.packets_lost, after.blocks_concealed), (0, before.blocks_concealed));
    assert_eq!(after.packets_sent, two.taken.sent.len() as u64);
    assert_eq!(after.remote, Some(two.phone.source));
    assert_eq!(after.seconds.bad, 0);
    let latched = (PLACES[1].slot(), Some(two.phone.source));
    assert_eq!(two.taken.latches.last(), Some(&latched), "its socket is connected again");
    assert!(two.shards[0].rest().is_some(), "nothing of it is left behind");
}

#[test]
fn what_is_said_to_it_goes_along() {
    let mut two = Two::new();
    two.run(70);
    two.command(0, Command::MuteSession { session: PLACES[0], muted: true });
    two.run(5);
    two.leave();
    while two.shards[1].next_tick() < two.shards[0].next_tick() {
        two.tick(1);
    }
    two.arrive();
    two.run(5);
    assert!(two.report(1).muted);
    two.command(1, Command::CloseSession { session: PLACES[1] });
    assert!(matches!(
        two.taken.events.pop(),
        Some(Event::SessionClosed { session }) if session == PLACES[1]
    ));
    assert!(two.shards[1].rest().is_some());
}

#[test]
fn periods_without_a_turn_are_a_pause_however_far_the_shards_are_apart() {
    for ahead in 1..4 * PHASES as usize {
        let mut two = Two::new();
        two.run(80);
        two.leave();
        while two.shards[1].next_tick() < two.shards[0].next_tick() {
            two.tick(1);
        }
        (0..ahead).for_each(|_| two.tick(1));
        let sent = two.taken.sent.len();
        two.arrive();
        (0..5 * PHASES).for_each(|_| two.tick(1));
        two.assert_lawful();
        assert!((5..=6).contains(&(two.taken.sent.len() - sent)), "{ahead}");
    }
}

#[test]
fn a_shard_that_is_behind_sends_no_period_twice() {
    for behind in 1..3 * PHASES as usize {
        let mut two = Two::new();
        two.run(80);
        (0..behind).for_each(|_| two.tick(0));
        two.leave();
        two.arrive();
        let first = two.taken.sent.len();
        while two.shards[1].next_tick() < two.shards[0].next_tick() {
            two.tick(1);
        }
        assert_eq!(two.taken.sent.len(), first, "{behind}: it had its turn in these periods");
        two.run(5);
        two.assert_lawful();
        assert!((5..=6).contains(&(two.taken.sent.len() - first)), "{behind}");
    }
}

#[test]
fn who_is_listened_to_stays() {
    let mut two = Two::new();
    let [here, there] = PLACES;
    let point = TapPoint::Received(here);
    two.command(0, Command::StartTap { point, tap: TapId(1), class: None });
    two.command(0, Command::SendAway { session: here });
    two.command(0, Command::StopTap { point });
    two.command(1, Command::SendAway { session: there });
    two.command(0, Command::SendAway { session: here });
    two.command(0, Command::SendAway { session: here });
    two.command(1, Command::TakeIn { session: there });
    let refused = |event: &Event| match event {
        Event::Refused { refusal, .. } => Some(*refusal),
        _ => None,
    };
    let refusals: Vec<Refusal> = two.taken.events.iter().filter_map(refused).collect();
    assert_eq!(refusals, [Refusal::Immovable, Refusal::Gone, Refusal::Full, Refusal::Gone]);
}

#[test]
fn who_is_on_hold_moves_as_well() {
    let mut two = Two::new();
    two.run(70);
    let rtp = two.phone.source;
    let held = RemoteMedia {
        direction: Direction::Inactive,
        ..RemoteMedia::g711(Law::Mu, rtp, RtcpTransport::Mux)
    };
    two.command(0, Command::UpdateSession { session: PLACES[0], media: Box::new(held) });
    two.run(80);
    two.leave();
    two.arrive();
    let resumed = Box::new(RemoteMedia { direction: Direction::SendReceive, ..held });
    two.command(1, Command::UpdateSession { session: PLACES[1], media: resumed });
    let sent = two.taken.sent.len();
    two.run(10);
    assert!(two.taken.sent.len() >= sent + 9);
    two.assert_lawful();
}

#[test]
fn a_move_neither_allocates_nor_frees() {
    let mut two = Two::new();
    two.run(80);
    let away = Command::SendAway { session: PLACES[0] };
    let mut nobody = Luggage::beside(&away, &limits());
    let Two { shards: [one, other], taken, .. } = &mut two;
    let usage = allocation_counter::measure(|| {
        one.command(away.clone(), nobody.take(), one.next_tick(), taken);
        for _ in 0..PHASES {
            one.tick(one.next_tick(), taken);
            other.tick(other.next_tick(), taken);
        }
        let session = PLACES[1];
        let luggage = taken.left.take();
        other.command(Command::TakeIn { session }, luggage, other.next_tick(), taken);
        let route = Command::RouteSession { session, route: Route::Echo };
        other.command(route, None, other.next_tick(), taken);
        for _ in 0..PHASES {
            other.tick(other.next_tick(), taken);
        }
    });
    assert_eq!((usage.count_total, usage.bytes_current), (0, 0), "{usage:?}");
    assert!(matches!(taken.events.last(), Some(Event::SessionArrived { .. })));
}

#[test]
fn who_is_on_trial_may_move_to_a_shard_that_is_behind() {
    let mut two = Two::new();
    // The phone is heard for the first time by a shard that is a period ahead.
    for _ in 0..=PHASES {
        let now = two.shards[0].next_tick();
        two.shards[0].tick(now, &mut two.taken);
    }
    (0..PHASES).for_each(|_| two.tick(0));
    two.leave();
    two.arrive();
    two.taken.sent.clear();
    (0..SETTLED).for_each(|_| (0..PHASES).for_each(|_| two.tick(1)));
    assert!(two.taken.sent.len() >= SETTLED / 2, "{}", two.taken.sent.len());
}
