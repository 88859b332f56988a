//! Whose packets a session takes, what becomes of the others, and what silence brings about.

mod rig;

use std::net::SocketAddr;

use engine::Port;
use engine_control::{Command, Event, Route, SessionKey, SessionReport};
use media_units::{BLOCK_SAMPLES, Direction, Discard, Ssrc};
use rig::{Phone, Rig, SILENCE};

const STRANGER: &str = "198.51.100.9:666";

fn stranger() -> SocketAddr {
    STRANGER.parse().unwrap()
}

/// A session in a room with a listener; its phone sends from where its description says.
fn session_and_listener() -> (Rig, SessionKey) {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    let session = rig.dial(0, Route::Room(room), Some(0x90));
    rig.dial(1, Route::Room(room), None);
    rig.dial(2, Route::Room(room), None);
    (rig, session)
}

fn attack(rig: &mut Rig, packets: usize) {
    let mut phone = Phone::new(0, media_units::Law::Mu, None);
    phone.ssrc = Ssrc(0xbad);
    for _ in 0..packets {
        let bytes = phone.packet(&[0x80; BLOCK_SAMPLES]);
        rig.deliver(0, Port::Rtp, stranger(), &bytes);
    }
}

fn report(rig: &mut Rig, session: SessionKey) -> SessionReport {
    let reports = Box::new(vec![SessionReport::of(session)]);
    rig.command(Command::ReportSessions { reports });
    match rig.taken.events.pop() {
        Some(Event::SessionsReported { reports }) => reports[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_source_is_latched_after_a_second_and_told_once() {
    let (mut rig, session) = session_and_listener();
    let source = rig.phone(0).source;
    rig.forget();
    rig.run(49);
    assert_eq!(rig.taken.latches, []);
    rig.run(150);
    assert_eq!(rig.taken.latches, [(0, Port::Rtp, Some(source))]);
    let latched = rig.taken.events.iter().filter_map(|event| match *event {
        Event::Latched { session, source, again } => Some((session, source, again)),
        _ => None,
    });
    assert_eq!(latched.collect::<Vec<_>>(), [(session, source, false)]);
}

#[test]
fn a_stranger_is_counted_and_never_heard() {
    let (mut rig, session) = session_and_listener();
    rig.run(5);
    attack(&mut rig, 3);
    rig.run(rig::SETTLED);
    attack(&mut rig, 4);
    rig.forget();
    rig.run(10);
    assert_eq!(rig.codes(1), [0x90; 10]);
    let report = report(&mut rig, session);
    assert_eq!(report.discards[Discard::Stranger as usize], 7);
    assert_eq!(report.remote, Some(rig.phone(0).source));
    assert!(rig.taken.rtp(0).iter().all(|sent| sent.to != stranger()));
}

#[test]
fn media_goes_where_it_comes_from_rather_than_where_the_description_says() {
    let (mut rig, _) = session_and_listener();
    rig.run(2);
    let named = rig.phone(0).source;
    assert_eq!(rig.taken.rtp(0)[0].to, named);
    let mut rig = Rig::new();
    rig.dial_with(0, Route::Idle, None, |media| media.rtp = "0.0.0.0:0".parse().unwrap());
    rig.run(10);
    assert_eq!(rig.taken.rtp(0).len(), 0, "nobody knows where to");
    rig.phone(0).source = "203.0.113.5:7000".parse().unwrap();
    rig.phone(0).code = Some(0x90);
    rig.run(10);
    assert_eq!(rig.taken.rtp(0).len(), 10);
    assert!(rig.taken.rtp(0)[0].view().marker());
    assert!(rig.taken.rtp(0).iter().all(|sent| sent.to == "203.0.113.5:7000".parse().unwrap()));
}

#[test]
fn another_source_takes_over_only_after_silence_with_consecutive_packets() {
    let (mut rig, session) = session_and_listener();
    rig.run(rig::SETTLED);
    rig.phone(0).code = None;
    rig.run(149);
    attack(&mut rig, 5);
    rig.forget();
    rig.run(3);
    assert_eq!(rig.taken.latches, [(0, Port::Rtp, None)], "let others in");
    assert!(rig.codes(1).iter().all(|&code| code == SILENCE));
    let moved: SocketAddr = "203.0.113.7:7777".parse().unwrap();
    rig.phone(0).source = moved;
    rig.phone(0).code = Some(0x91);
    rig.forget();
    rig.run(20);
    assert_eq!(rig.taken.latches, [(0, Port::Rtp, Some(moved))]);
    let again = |event: &Event| matches!(event, Event::Latched { again: true, .. });
    assert_eq!(rig.taken.events.iter().filter(|event| again(event)).count(), 1);
    assert_eq!(rig.last_codes(1, 10), [0x91; 10]);
    assert_eq!(rig.taken.rtp(0)[10].to, moved);
    let report = report(&mut rig, session);
    assert_eq!(report.remote, Some(moved));
    assert_eq!(report.discards[Discard::Stranger as usize], 5 + 2);
}

#[test]
fn the_old_source_comes_back_without_ado() {
    let (mut rig, _) = session_and_listener();
    let source = rig.phone(0).source;
    rig.run(rig::SETTLED);
    rig.phone(0).code = None;
    rig.run(160);
    rig.phone(0).code = Some(0x90);
    rig.forget();
    rig.run(20);
    assert_eq!(rig.taken.latches, [(0, Port::Rtp, Some(source))]);
    assert!(!rig.taken.events.iter().any(|event| matches!(event, Event::Latched { .. })));
    assert_eq!(rig.last_codes(1, 10), [0x90; 10]);
}

#[test]
fn another_address_in_the_description_is_latched_instead() {
    let (mut rig, session) = session_and_listener();
    rig.run(rig::SETTLED);
    let moved: SocketAddr = "203.0.113.7:7777".parse().unwrap();
    rig.forget();
    rig.update(session, |media| media.rtp = moved);
    assert_eq!(rig.taken.latches, [(0, Port::Rtp, None)]);
    rig.phone(0).source = moved;
    rig.run(rig::SETTLED);
    assert_eq!(rig.taken.rtp(0)[0].to, moved);
    assert_eq!(rig.taken.latches[1..], [(0, Port::Rtp, Some(moved))]);
    assert_eq!(rig.codes(1).last(), Some(&0x90));
}

#[test]
fn bad_datagrams_are_counted_by_reason() {
    let (mut rig, session) = session_and_listener();
    rig.run(rig::SETTLED);
    let source = rig.phone(0).source;
    let mut phone = rig.phone(0).clone();
    rig.deliver(0, Port::Rtp, source, &[]);
    rig.deliver(0, Port::Rtp, source, &[0x00, 0x01, 0, 0]);
    rig.deliver(0, Port::Rtp, source, &[0x80, 0, 1]);
    rig.deliver(0, Port::Rtp, source, &[0x80, 200, 0, 9]);
    phone.payload_type = 13;
    let bytes = phone.packet(&[0; 10]);
    rig.deliver(0, Port::Rtp, source, &bytes);
    phone.payload_type = 0;
    let bytes = phone.packet(&[]);
    rig.deliver(0, Port::Rtp, source, &bytes);
    rig.deliver(63, Port::Rtp, source, &bytes);
    rig.deliver(9999, Port::Rtp, source, &bytes);
    let discards = report(&mut rig, session).discards;
    for (reason, count) in [
        (Discard::Unroutable, 2),
        (Discard::MalformedRtp, 1),
        (Discard::MalformedRtcp, 1),
        (Discard::PayloadType, 1),
        (Discard::PayloadSize, 1),
    ] {
        assert_eq!(discards[reason as usize], count, "{reason:?}");
    }
}

#[test]
fn media_on_hold_is_unwanted_and_no_timeout() {
    let mut rig = Rig::new();
    let session = rig.dial(0, Route::Idle, Some(0x90));
    rig.run(rig::SETTLED);
    rig.update(session, |media| media.direction = Direction::SendOnly);
    rig.forget();
    rig.run(10);
    rig.phone(0).code = None;
    rig.run(2000);
    assert_eq!(report(&mut rig, session).discards[Discard::Unwanted as usize], 10);
    assert_eq!(rig.taken.latches, [], "its latch is not given up");
    assert!(rig.taken.events.iter().all(|event| !matches!(event, Event::MediaTimedOut { .. })));
    rig.update(session, |_| {});
    rig.run(1400);
    assert!(rig.taken.events.iter().all(|event| !matches!(event, Event::MediaTimedOut { .. })));
    rig.run(101);
    assert!(rig.taken.events.iter().any(|event| matches!(event, Event::MediaTimedOut { .. })));
}

/// What came and was of no use was not lost on the way.
#[test]
fn neither_media_on_hold_nor_an_unknown_payload_type_is_loss() {
    let mut rig = Rig::new();
    let session = rig.dial(0, Route::Echo, Some(0x90));
    rig.run(rig::SETTLED);
    rig.update(session, |media| media.direction = Direction::Inactive);
    rig.run(300);
    rig.update(session, |_| {});
    rig.run(rig::SETTLED);
    for _ in 0..5 {
        rig.phone(0).payload_type = 13;
        rig.run(1);
        rig.phone(0).payload_type = 0;
        rig.run(9);
    }
    let told = report(&mut rig, session);
    assert_eq!(told.discards[Discard::Unwanted as usize], 300);
    assert_eq!(told.discards[Discard::PayloadType as usize], 5);
    let quality = told.receive_quality.unwrap();
    assert!(quality.lost.abs() < 1e-6 && quality.rating.r_factor > 90.0, "{quality:?}");
    assert_eq!(told.seconds.bad, 0, "{:?}", told.seconds);
}

#[test]
fn missing_media_is_reported_once_until_it_comes_again() {
    let mut rig = Rig::new();
    rig.dial(0, Route::Idle, None);
    let count = |rig: &Rig| {
        let told = rig.taken.events.iter();
        told.filter(|event| matches!(event, Event::MediaTimedOut { .. })).count()
    };
    rig.run(1499);
    assert_eq!(count(&rig), 0);
    rig.run(2000);
    assert_eq!(count(&rig), 1);
    rig.phone(0).code = Some(0x90);
    rig.run(10);
    rig.phone(0).code = None;
    rig.run(1499);
    assert_eq!(count(&rig), 1);
    rig.run(10);
    assert_eq!(count(&rig), 2);
}

#[test]
fn a_new_ssrc_of_the_same_source_is_heard_at_once() {
    let (mut rig, session) = session_and_listener();
    rig.run(rig::SETTLED);
    rig.phone(0).ssrc = Ssrc(0x5555);
    rig.phone(0).timestamp = media_units::RtpTimestamp(77);
    rig.phone(0).sequence = media_units::SequenceNumber(9);
    rig.forget();
    rig.run(20);
    assert_eq!(rig.last_codes(1, 10), [0x90; 10]);
    assert_eq!(report(&mut rig, session).remote_ssrc, Some(Ssrc(0x5555)));
}
