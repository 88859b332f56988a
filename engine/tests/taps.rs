//! What taps carry, and what monitors are sent.

mod rig;

use std::net::SocketAddr;

use engine::Port;
use engine_control::{Command, Refusal, RoomKey, Route, SessionKey, SilenceCause, TapPoint};
use media::g711;
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Cadence, Digits, Direction, Encoding, Law, RateClass};
use rig::taps::{Kept, Tapped, assert_has_no_hole};
use rig::{Phone, Rig, SETTLED, SILENCE};

/// The sample of a code.
fn sample(code: u8) -> i16 {
    let mut samples = [0];
    g711::decode(Law::Mu, &Kernels::SCALAR, &[code], &mut samples);
    samples[0]
}

fn code(samples: &[i16]) -> Vec<u8> {
    let mut codes = vec![0; samples.len()];
    g711::encode(Law::Mu, &Kernels::SCALAR, samples, &mut codes);
    codes
}

/// A session that speaks linear sound at 16 kHz, and whose phone is silent.
fn dial_wide(rig: &mut Rig, slot: u32, route: Route) -> SessionKey {
    rig.dial_with(slot, route, None, |media| {
        media.encoding = Encoding::L16At16000;
        (media.receive_payload_type, media.send_payload_type) = (97, 97);
    })
}

/// The samples of a packet of linear sound.
fn linear(payload: &[u8]) -> Vec<i16> {
    payload.chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect()
}

/// Three in a room: two that say a steady code, one that says nothing.
fn conference() -> (Rig, RoomKey, [SessionKey; 3]) {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    let codes = [Some(0x90), Some(0xa0), None];
    let sessions = [0, 1, 2].map(|slot| rig.dial(slot, Route::Room(room), codes[slot as usize]));
    rig.run(SETTLED);
    rig.forget();
    (rig, room, sessions)
}

fn causes(tapped: &[Tapped]) -> Vec<SilenceCause> {
    tapped.iter().filter_map(Tapped::cause).collect()
}

fn is_steady(tapped: &[Tapped], sample: i16) -> bool {
    tapped.iter().all(|tapped| tapped.samples().iter().all(|&other| other == sample))
}

#[test]
fn silence_carries_its_cause_and_what_nobody_hears_is_not_kept() {
    let (mut rig, _, [session, ..]) = conference();
    let tap = rig.start_tap(TapPoint::Received(session));
    let next = |rig: &mut Rig| {
        rig.run(40);
        rig.tapped(tap).split_off(20)
    };
    assert!(is_steady(&next(&mut rig), sample(0x90)));
    rig.command(Command::MuteSession { session, muted: true });
    assert_eq!(causes(&next(&mut rig)), [SilenceCause::Muted; 20]);
    rig.command(Command::MuteSession { session, muted: false });
    rig.update(session, |media| media.direction = Direction::SendOnly);
    assert_eq!(causes(&next(&mut rig)), [SilenceCause::Held; 20]);
    rig.update(session, |_| {});
    rig.phone(0).code = Some(SILENCE);
    assert_eq!(causes(&next(&mut rig)), [SilenceCause::Silent; 20]);
    rig.phone(0).code = None;
    assert_eq!(causes(&next(&mut rig)), [SilenceCause::NothingReceived; 20]);
}

#[test]
fn a_lost_packet_is_marked_as_concealed() {
    let (mut rig, _, [session, ..]) = conference();
    let tap = rig.start_tap(TapPoint::Received(session));
    rig.run(10);
    let phone = rig.phone(0);
    phone.sequence = phone.sequence.plus(1);
    phone.timestamp = phone.timestamp.plus(BLOCK_SAMPLES as u32);
    let code = phone.code.take();
    rig.run(1);
    rig.phone(0).code = code;
    rig.phone(0).timestamp = rig.phone(0).timestamp.plus((BLOCK_SAMPLES as u32).wrapping_neg());
    rig.run(30);
    let is_concealed = |tapped: &Tapped| matches!(tapped.kept, Kept::Sound { concealed: true, .. });
    let concealed = rig.tapped(tap).iter().filter(|tapped| is_concealed(tapped)).count();
    assert!((1..=2).contains(&concealed), "{concealed}");
}

#[test]
fn a_tap_of_what_is_sent_has_the_sound_of_each_packet() {
    let (mut rig, room, sessions) = conference();
    let wide = dial_wide(&mut rig, 3, Route::Room(room));
    rig.run(SETTLED);
    rig.forget();
    let taps: Vec<_> =
        sessions.iter().map(|&session| rig.start_tap(TapPoint::Sent(session))).collect();
    let wide_tap = rig.start_tap(TapPoint::Sent(wide));
    rig.run(10);
    for (slot, tap) in (0..).zip(taps) {
        let tapped = rig.tapped(tap);
        assert_has_no_hole(&tapped);
        let codes: Vec<_> = tapped.iter().map(|tapped| code(&tapped.samples())).collect();
        let sent: Vec<_> =
            rig.taken.rtp(slot).iter().map(|sent| sent.view().payload().to_vec()).collect();
        assert_eq!(codes, sent, "slot {slot}");
    }
    let tapped: Vec<_> = rig.tapped(wide_tap).iter().map(Tapped::samples).collect();
    let sent: Vec<_> = rig.taken.rtp(3).iter().map(|sent| linear(sent.view().payload())).collect();
    assert_eq!((tapped.len(), tapped[0].len()), (10, 320));
    assert_eq!(tapped, sent);
}

#[test]
fn a_tap_of_what_is_sent_ends_a_relay_and_changes_nothing_that_is_heard() {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    let [one, _] = [0, 1].map(|slot| rig.dial(slot, Route::Room(room), Some(0x90 + slot as u8)));
    rig.settle_and_run(5);
    let tap = rig.start_tap(TapPoint::Sent(one));
    rig.run(5);
    assert_eq!(rig.codes(0), [0x91; 10]);
    assert_eq!(rig.codes(1), [0x90; 10]);
    assert!(is_steady(&rig.tapped(tap), sample(0x91)));
}

#[test]
fn silence_that_is_sent_carries_its_cause_and_keys_are_not_kept() {
    let (mut rig, _, [session, ..]) = conference();
    let tap = rig.start_tap(TapPoint::Sent(session));
    let digits = Digits::parse("5").unwrap();
    rig.command(Command::SendDigits { session, digits, cadence: Cadence::DEFAULT });
    rig.run(20);
    let tapped = rig.tapped(tap);
    let events = rig.taken.rtp(0).iter().filter(|s| s.view().payload().len() == 4).count();
    assert!(events > 3);
    let digits = causes(&tapped);
    assert!(digits.len() >= events && digits.len() < 20, "{digits:?}");
    assert!(digits.iter().all(|&cause| cause == SilenceCause::Digit));
    rig.update(session, |media| media.direction = Direction::ReceiveOnly);
    rig.run(5);
    assert_eq!(causes(&rig.tapped(tap)), [SilenceCause::Held; 5]);
}

#[test]
fn a_room_is_tapped_at_the_rate_asked_for_or_at_its_highest() {
    let (mut rig, room, _) = conference();
    let point = TapPoint::Room(room);
    let classes = |rig: &mut Rig, asked| {
        let tap = rig.start_tap_at(point, asked);
        rig.run(3);
        rig.command(Command::StopTap { point });
        let lengths: Vec<_> = rig.tapped(tap)[..3].iter().map(|t| t.samples().len()).collect();
        lengths
    };
    assert_eq!(classes(&mut rig, None), [160; 3]);
    assert_eq!(classes(&mut rig, Some(RateClass::Full)), [960; 3]);
    dial_wide(&mut rig, 3, Route::Room(room));
    assert_eq!(classes(&mut rig, None), [320; 3]);
    assert_eq!(classes(&mut rig, Some(RateClass::Narrow)), [160; 3]);
    assert_eq!(rig.last_codes(2, 3), [code(&[sample(0x90) + sample(0xa0)])[0]; 3]);
}

#[test]
fn packets_are_copied_as_they_came_but_not_those_of_strangers_nor_digits_nor_while_muted() {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    let [session, _] = [0, 1].map(|slot| rig.dial(slot, Route::Room(room), Some(0x90)));
    rig.settle_and_run(0);
    let tap = rig.start_tap(TapPoint::Packets(session));
    rig.run(5);
    let stranger = SocketAddr::from(([192, 0, 2, 66], 6666));
    let mut copy = Phone::new(0, Law::Mu, Some(0x11));
    copy.source = stranger;
    let packet = copy.packet(&[0x11; BLOCK_SAMPLES]);
    rig.deliver(0, Port::Rtp, stranger, &packet);
    let source = rig.phone(0).source;
    rig.deliver(0, Port::Rtp, source, b"nonsense");
    let mut digit = rig.phone(0).clone();
    digit.payload_type = rig::DIGITS;
    let digit = digit.packet(&[5, 10, 0, 160]);
    rig.deliver(0, Port::Rtp, source, &digit);
    rig.command(Command::MuteSession { session, muted: true });
    rig.run(5);
    let packets = rig.tapped(tap);
    assert_eq!(packets.len(), 5);
    for packet in &packets {
        let Kept::Packet { source: from, on_rtcp_port, octets } = &packet.kept else { panic!() };
        assert_eq!((*from, *on_rtcp_port, octets.len()), (source, false, 172));
        assert!(octets[12..].iter().all(|&octet| octet == 0x90));
    }
    assert!(packets.windows(2).all(|pair| pair[0].at < pair[1].at));
    rig.command(Command::MuteSession { session, muted: false });
    rig.run(1);
    rig.forget();
    rig.run(2);
    assert_eq!(rig.codes(1), [0x90; 2], "it is a relay, still or again");
}

#[test]
fn a_monitor_is_sent_what_its_point_carries_in_any_format() {
    let (mut rig, room, [one, ..]) = conference();
    let points = [TapPoint::Received(one), TapPoint::Sent(one), TapPoint::Room(room)];
    let taps = points.map(|point| rig.start_tap(point));
    for (slot, point) in (10..).zip(points) {
        rig.dial(slot, Route::Monitor(point), None);
        dial_wide(&mut rig, slot + 10, Route::Monitor(point));
    }
    rig.run(20);
    rig.forget();
    for tap in taps {
        rig.tapped(tap);
    }
    rig.run(10);
    for (slot, tap) in (10..).zip(taps) {
        let tapped = rig.tapped(tap);
        let sent = rig.taken.rtp(slot);
        let carried: Vec<_> = tapped.iter().map(|tapped| code(&tapped.samples())).collect();
        let codes: Vec<_> = sent.iter().map(|sent| sent.view().payload().to_vec()).collect();
        assert_eq!(codes, carried, "slot {slot}");
        for (sent, tapped) in sent.iter().zip(&tapped) {
            assert_eq!(sent.at, tapped.at, "in the same tick");
        }
        let (level, wide) = (tapped[0].samples()[0], rig.taken.rtp(slot + 10));
        assert_eq!(wide.len(), 10);
        for sent in wide {
            let off = |&other: &i16| (i32::from(other) - i32::from(level)).abs();
            assert!(linear(sent.view().payload()).iter().map(off).max().unwrap() < 20);
        }
    }
    assert_eq!(rig.codes(2), [code(&[sample(0x90) + sample(0xa0)])[0]; 10], "nobody hears them");
    // The law is that of 8 kHz.
    rig.taken.sent.retain(|sent| sent.slot < 20);
    rig.assert_streams_are_lawful();
}

#[test]
fn a_monitor_of_a_wider_point_has_it_in_its_own_format() {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    rig.dial(0, Route::Room(room), Some(0x90));
    dial_wide(&mut rig, 1, Route::Room(room));
    rig.dial(2, Route::Monitor(TapPoint::Room(room)), None);
    rig.settle_and_run(10);
    let level = i32::from(sample(0x90));
    for sent in rig.taken.rtp(2) {
        let heard: Vec<_> = sent.view().payload().iter().map(|&code| sample(code)).collect();
        assert_eq!(heard.len(), BLOCK_SAMPLES);
        assert!(heard.iter().all(|&other| (i32::from(other) - level).abs() < level.abs() / 20));
    }
    assert_eq!(rig.taken.rtp(2).len(), 10);
    rig.taken.sent.retain(|sent| sent.slot == 2);
    rig.assert_streams_are_lawful();
}

#[test]
fn a_monitor_follows_mute_hold_and_rooms_and_is_idle_when_its_point_is_gone() {
    let (mut rig, _, [one, ..]) = conference();
    let monitor = rig.dial(10, Route::Monitor(TapPoint::Received(one)), None);
    let last = |rig: &mut Rig| {
        rig.run(30);
        rig.last_codes(10, 5)
    };
    assert_eq!(last(&mut rig), [0x90; 5]);
    rig.command(Command::MuteSession { session: one, muted: true });
    assert_eq!(last(&mut rig), [SILENCE; 5]);
    rig.command(Command::MuteSession { session: one, muted: false });
    rig.update(one, |media| media.direction = Direction::Inactive);
    assert_eq!(last(&mut rig), [SILENCE; 5]);
    rig.update(one, |_| {});
    for number in 1..6 {
        let room = rig.open_room(number);
        for _ in 0..number {
            rig.tick();
        }
        rig.command(Command::RouteSession { session: one, route: Route::Room(room) });
        assert_eq!(last(&mut rig), [0x90; 5]);
    }
    rig.assert_streams_are_lawful();
    rig.update(monitor, |media| media.direction = Direction::ReceiveOnly);
    rig.run(5);
    let sent = rig.taken.rtp(10).len();
    rig.run(5);
    assert_eq!(rig.taken.rtp(10).len(), sent, "the monitor is on hold");
    rig.update(monitor, |_| {});
    assert_eq!(last(&mut rig), [0x90; 5]);
    rig.command(Command::CloseSession { session: one });
    assert_eq!(last(&mut rig), [SILENCE; 5]);
    rig.command(Command::RouteSession { session: monitor, route: Route::Echo });
    rig.run(10);
    rig.command(Command::CloseSession { session: monitor });
    rig.assert_streams_are_lawful();
}

#[test]
fn monitors_come_and_go_at_any_tick_without_a_packet_too_many() {
    let (mut rig, room, [one, two, _]) = conference();
    let monitors = [10, 11, 12, 13].map(|slot| rig.dial(slot, Route::Idle, None));
    rig.run(5);
    let points = [TapPoint::Received(one), TapPoint::Sent(two), TapPoint::Room(room)];
    for step in 0..40_usize {
        for _ in 0..=step % 7 {
            rig.tick();
        }
        let session = monitors[step % 4];
        let route = match step % 5 {
            0 => Route::Idle,
            1 => Route::Room(room),
            other => Route::Monitor(points[other - 2]),
        };
        rig.command(Command::RouteSession { session, route });
    }
    rig.run(5);
    rig.assert_streams_are_lawful();
    for session in monitors {
        rig.command(Command::CloseSession { session });
    }
    rig.command(Command::CloseRoom { room });
    rig.run(2);
}

#[test]
fn what_cannot_be_monitored_is_refused() {
    let (mut rig, room, [one, ..]) = conference();
    let monitor = rig.dial(10, Route::Monitor(TapPoint::Received(one)), None);
    let mut refusal = |session, point| {
        rig.forget();
        rig.command(Command::RouteSession { session, route: Route::Monitor(point) });
        rig.taken.events.iter().find_map(|event| match event {
            engine_control::Event::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        })
    };
    let other_shard = SessionKey::new(1, 0, 1);
    let gone = SessionKey::new(0, 40, 1);
    for (session, point, expected) in [
        (monitor, TapPoint::Packets(one), Some(Refusal::Unmonitorable)),
        (monitor, TapPoint::Sent(monitor), Some(Refusal::Unmonitorable)),
        (one, TapPoint::Room(room), Some(Refusal::Unmonitorable)),
        (monitor, TapPoint::Sent(other_shard), Some(Refusal::OtherShard)),
        (monitor, TapPoint::Sent(gone), Some(Refusal::Gone)),
        (monitor, TapPoint::Sent(one), None),
    ] {
        assert_eq!(refusal(session, point), expected, "{session} {point:?}");
    }
}
