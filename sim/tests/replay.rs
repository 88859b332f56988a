//! What is told of a record that cannot be run again.

use std::time::Duration;

use engine::flight::{FlightFile, FlightSource, Kept, flight_ring};
use engine::{Decision, Said};
use engine_control::{
    Command, Limits, RemoteMedia, RoomKey, Route, RtcpTransport, SessionKey, SessionOpen,
};
use media_kernels::Kernels;
use media_units::{
    Discard, Instant, Law, RoomSound, RtpTimestamp, SequenceNumber, Ssrc, WallClock,
};
use sim::replay::{Missing, Outcome, replay};

const ROOM: RoomKey = RoomKey::new(0, 0, 1);
const ANN: SessionKey = SessionKey::new(0, 0, 1);
const BOB: SessionKey = SessionKey::new(0, 1, 1);

fn open(session: SessionKey) -> Command {
    let rtp = ([192, 0, 2, 1], 4000).into();
    let open = SessionOpen {
        ssrc: Ssrc(1),
        sequence: SequenceNumber(1),
        timestamp: RtpTimestamp(1),
        media: RemoteMedia::g711(Law::Mu, rtp, RtcpTransport::Mux),
        route: Route::Room(ROOM),
    };
    Command::OpenSession { session, open: Box::new(open) }
}

#[test]
fn each_heard_what_the_others_said_while_it_was_there_and_why_not_is_told() {
    let commands = [
        Command::OpenRoom { room: ROOM, sound: RoomSound::DEFAULT },
        open(ANN),
        open(BOB),
        Command::RouteSession { session: BOB, route: Route::Idle },
    ];
    let (mut sink, reader) = flight_ring(0);
    let turn = |said, is_muted, is_heard| Decision::Turn { said, is_muted, is_heard };
    sink.begin(Instant::from_millis(20));
    for (periods, decision) in [
        (50, turn(Said::Played, false, true)),
        (1, turn(Said::Concealed, false, true)),
        (3, turn(Said::Played, true, false)),
        (2, turn(Said::Played, false, false)),
        (4, turn(Said::Nothing, false, false)),
        (5, turn(Said::Skipped, false, false)),
        (1, turn(Said::Rested, false, false)),
        (6, Decision::Discarded(Discard::Late)),
    ] {
        (0..periods).for_each(|_| sink.decision(ANN.slot(), decision));
    }
    sink.end(Duration::from_micros(10), 0, 0);
    // Bob goes, and hears no more.
    sink.command(4, Instant::from_millis(40));
    sink.begin(Instant::from_millis(40));
    sink.decision(ANN.slot(), turn(Said::Played, false, true));
    let source = FlightSource {
        shard: 0,
        limits: Limits::default(),
        seed: 1,
        wall: WallClock::default(),
        kept: Kept::Headers,
        commands: (1..).zip(commands).collect(),
    };
    let file = FlightFile::new("a test".to_owned(), source, &reader.copy());
    let replayed = replay(&file, Kernels::SCALAR);
    assert_eq!(replayed.outcome, Outcome::NotRun(Missing::Octets));
    let told = replayed.to_string();
    for line in [
        "s0.0.1, PCMU: 0 packets, 0 octets, 0 lost, 6 late; said 1.02 s, 0.02 s concealed, 0.08 s nothing received, \
         0.06 s muted, 0.14 s not admitted",
        "  heard s0.0.1: 1.00 s, 0.02 s concealed, 0.08 s nothing received, 0.06 s muted, 0.14 s not admitted",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
    }
}
