//! Who hears whom, by exact samples.

mod rig;

use engine_control::{Command, Event, Refusal, RoomKey, Route, SessionKey};
use media::tone::tone_block;
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Direction, Law, RoomSound, Selection};
use rig::{Rig, SILENCE, limits, sum};

/// Codes of three speakers whose sums are all different.
const SPEAKERS: [u8; 3] = [0x90, 0xa5, 0x2c];

/// A settled room of three speakers in slots 0 to 2 and a silent listener in slot 3.
fn room_of_four() -> (Rig, RoomKey) {
    let mut rig = Rig::new();
    let room = rig.open_room(3);
    for (slot, code) in SPEAKERS.into_iter().enumerate() {
        rig.dial(slot as u32, Route::Room(room), Some(code));
    }
    rig.dial(3, Route::Room(room), None);
    (rig, room)
}

fn session(slot: u32) -> SessionKey {
    SessionKey::new(0, slot, 1)
}

#[test]
fn everyone_hears_exactly_the_others() {
    let (mut rig, _) = room_of_four();
    rig.settle_and_run(50);
    let [a, b, c] = SPEAKERS;
    for (slot, heard) in
        [sum(&[b, c]), sum(&[a, c]), sum(&[a, b]), sum(&[a, b, c])].iter().enumerate()
    {
        assert_eq!(rig.codes(slot as u32), vec![*heard; 50], "slot {slot}");
    }
    rig.assert_streams_are_lawful();
}

#[test]
fn a_room_of_the_loudest_lets_only_them_be_heard() {
    let mut rig = Rig::new();
    let room = RoomKey::new(0, 3, 1);
    let sound = RoomSound { selection: Selection::Loudest(1), ..RoomSound::DEFAULT };
    rig.command(Command::OpenRoom { room, sound });
    for (slot, code) in SPEAKERS.into_iter().enumerate() {
        rig.dial(slot as u32, Route::Room(room), Some(code));
    }
    rig.dial(3, Route::Room(room), None);
    rig.settle_and_run(20);
    for slot in 1..4 {
        assert_eq!(rig.codes(slot), [SPEAKERS[0]; 20], "the loudest of the three, slot {slot}");
    }
    assert_eq!(rig.codes(0), [SILENCE; 20]);
}

#[test]
fn two_in_a_room_with_a_noise_gate_are_no_relay() {
    let mut rig = Rig::new();
    let room = RoomKey::new(0, 3, 1);
    let sound = RoomSound { noise_gate_dbov: Some(50), ..RoomSound::DEFAULT };
    rig.command(Command::OpenRoom { room, sound });
    rig.dial(0, Route::Room(room), Some(SPEAKERS[0]));
    // The softest sound there is: 72 dB below full scale.
    rig.dial(1, Route::Room(room), Some(0xfe));
    rig.settle_and_run(20);
    assert_eq!(rig.codes(1), [SPEAKERS[0]; 20]);
    assert_eq!(rig.codes(0), [SILENCE; 20]);
}

#[test]
fn a_listener_of_another_encoding_hears_the_same_sum() {
    let (mut rig, room) = room_of_four();
    rig.dial_with(4, Route::Room(room), None, |media| {
        *media = rig::media(4, Law::A);
    });
    rig.settle_and_run(10);
    let mut samples = [0; 3];
    Kernels::SCALAR.decode_ulaw(&SPEAKERS, &mut samples);
    let mut code = [0];
    Kernels::SCALAR.encode_alaw(&[samples.iter().sum()], &mut code);
    assert_eq!(rig.codes(4), [code[0]; 10]);
    assert_eq!(rig.taken.rtp(4)[0].view().payload_type(), 8);
}

#[test]
fn muted_source_is_absent_from_every_sink_and_still_hears() {
    let (mut rig, _) = room_of_four();
    rig.run(rig::SETTLED);
    rig.command(Command::MuteSession { session: session(1), muted: true });
    rig.run(1);
    rig.forget();
    rig.run(20);
    let [a, b, c] = SPEAKERS;
    assert_eq!(rig.codes(0), [c; 20]);
    assert_eq!(rig.codes(1), [sum(&[a, c]); 20]);
    assert_eq!(rig.codes(3), [sum(&[a, c]); 20]);
    rig.command(Command::MuteSession { session: session(1), muted: false });
    rig.run(1);
    rig.forget();
    rig.run(20);
    assert_eq!(rig.codes(0), [sum(&[b, c]); 20]);
}

#[test]
fn mute_begins_and_ends_within_5_ms_and_without_a_click() {
    for members in [2, 3] {
        for law in Law::ALL {
            let mut rig = Rig::new();
            let room = rig.open_room(0);
            rig.dial(0, Route::Room(room), Some(SPEAKERS[0]));
            rig.dial_with(1, Route::Room(room), None, |media| *media = rig::media(1, law));
            if members > 2 {
                rig.dial(2, Route::Room(room), None);
            }
            rig.run(rig::SETTLED);
            rig.forget();
            for muted in [true, false, true, false] {
                rig.run(2);
                rig.command(Command::MuteSession { session: session(0), muted });
            }
            rig.run(2);
            let heard = heard_by(&rig, 1, law);
            let level = i32::from(heard[0]);
            let steps = heard.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0]));
            let steepest = steps.map(i32::abs).max().unwrap();
            assert!(steepest <= level.abs() / 16, "{members} {law:?}: {steepest} of {level}");
            let [spoken, silent] = [0..320, 320 + 40..640].map(|range| &heard[range]);
            assert!(spoken.iter().all(|&sample| i32::from(sample) == level), "as it is until then");
            assert!(silent.iter().all(|&sample| i32::from(sample).abs() <= 8), "silent after 5 ms");
            assert_eq!(heard[640 + 40..960], spoken[40..], "there again after 5 ms");
        }
    }
}

#[test]
fn who_is_muted_and_let_in_again_within_a_period_is_heard_as_before() {
    let (mut rig, _) = room_of_four();
    rig.run(rig::SETTLED);
    rig.forget();
    for muted in [true, false] {
        rig.command(Command::MuteSession { session: session(1), muted });
    }
    rig.run(5);
    assert_eq!(rig.codes(0), [sum(&SPEAKERS[1..]); 5]);
}

/// All that a session was sent, as samples.
fn heard_by(rig: &Rig, slot: u32, law: Law) -> Vec<i16> {
    let packets = rig.taken.rtp(slot);
    let codes: Vec<u8> = packets.iter().flat_map(|sent| sent.view().payload().to_vec()).collect();
    let mut samples = vec![0; codes.len()];
    match law {
        Law::Mu => Kernels::SCALAR.decode_ulaw(&codes, &mut samples),
        Law::A => Kernels::SCALAR.decode_alaw(&codes, &mut samples),
    }
    samples
}

/// Nobody of it has a turn in most periods then; see `Run::rests`.
#[test]
fn a_room_that_was_on_hold_for_long_reported_meanwhile_and_resumes_in_the_next_period() {
    let (mut rig, _) = room_of_four();
    rig.run(rig::SETTLED);
    (0..4).for_each(|slot| rig.update(session(slot), |m| m.direction = Direction::Inactive));
    rig.run(200);
    rig.forget();
    rig.run(1000);
    for slot in 0..4 {
        assert!(rig.codes(slot).is_empty());
        let reports = rig.taken.rtcp(slot).len();
        assert!((2..=20).contains(&reports), "{reports} in 20 s");
    }
    rig.forget();
    (0..4).for_each(|slot| rig.update(session(slot), |_| {}));
    rig.run(1);
    assert_eq!([0, 1, 2, 3].map(|slot| rig.codes(slot).len()), [1; 4]);
    rig.settle_and_run(3);
    let [a, b, c] = SPEAKERS;
    assert_eq!(rig.codes(3), [sum(&[a, b, c]); 3]);
    rig.assert_streams_are_lawful();
}

#[test]
fn held_session_is_neither_heard_nor_sent_anything_and_resumes_in_step() {
    let (mut rig, _) = room_of_four();
    rig.run(rig::SETTLED);
    rig.forget();
    rig.run(5);
    rig.update(session(2), |media| media.direction = Direction::Inactive);
    rig.run(20);
    let [a, b, c] = SPEAKERS;
    assert_eq!(rig.codes(2), [sum(&[a, b]); 5], "nothing while on hold");
    assert_eq!(rig.codes(3)[5..], [sum(&[a, b]); 20]);
    rig.update(session(2), |_| {});
    rig.run(20);
    assert_eq!(rig.codes(2)[5..], [sum(&[a, b]); 20]);
    assert_eq!(rig.codes(3)[35..], [sum(&[a, b, c]); 10]);
    rig.assert_streams_are_lawful();
}

#[test]
fn who_leaves_is_not_heard_and_hears_silence() {
    let (mut rig, room) = room_of_four();
    rig.run(rig::SETTLED);
    rig.command(Command::RouteSession { session: session(0), route: Route::Idle });
    rig.forget();
    rig.run(10);
    let [a, b, c] = SPEAKERS;
    assert_eq!(rig.codes(0), [SILENCE; 10]);
    assert_eq!(rig.codes(1), [c; 10]);
    assert_eq!(rig.codes(3), [sum(&[b, c]); 10]);
    rig.command(Command::RouteSession { session: session(0), route: Route::Room(room) });
    rig.run(10);
    assert_eq!(rig.codes(1)[10..], [sum(&[a, c]); 10]);
    rig.command(Command::CloseSession { session: session(1) });
    rig.run(10);
    assert_eq!(rig.codes(0)[20..], [c; 10]);
    rig.assert_streams_are_lawful();
}

#[test]
fn rooms_do_not_hear_each_other() {
    let mut rig = Rig::new();
    for number in 0..5 {
        let room = rig.open_room(number);
        rig.dial(2 * number, Route::Room(room), Some(0x90 + number as u8));
        rig.dial(2 * number + 1, Route::Room(room), None);
    }
    rig.settle_and_run(10);
    for number in 0..5 {
        assert_eq!(rig.codes(2 * number), [SILENCE; 10]);
        assert_eq!(rig.codes(2 * number + 1), [0x90 + number as u8; 10]);
    }
}

#[test]
fn closing_a_room_leaves_its_members_idle() {
    let (mut rig, room) = room_of_four();
    rig.run(rig::SETTLED);
    rig.forget();
    rig.command(Command::CloseRoom { room });
    assert!(matches!(rig.taken.events[..], [Event::RoomClosed { room: closed }] if closed == room));
    rig.run(10);
    for slot in 0..4 {
        assert_eq!(rig.codes(slot), [SILENCE; 10]);
    }
    rig.assert_streams_are_lawful();
}

#[test]
fn echo_tone_and_idle_give_what_they_say() {
    let mut rig = Rig::new();
    rig.dial(0, Route::Echo, Some(0x95));
    rig.dial(1, Route::Tone, Some(0x95));
    rig.dial(2, Route::Idle, Some(0x95));
    rig.dial(3, Route::Echo, None);
    rig.settle_and_run(10);
    assert_eq!(rig.codes(0), [0x95; 10]);
    assert_eq!(rig.codes(2), [SILENCE; 10]);
    assert_eq!(rig.codes(3), [SILENCE; 10]);
    let mut tone = [0; BLOCK_SAMPLES];
    Kernels::SCALAR.encode_ulaw(tone_block(media_units::RateClass::Narrow), &mut tone);
    assert!(rig.taken.rtp(1).iter().all(|sent| sent.view().payload() == tone));
    rig.assert_streams_are_lawful();
}

#[test]
fn a_full_room_refuses_and_keeps_its_own() {
    let mut limits = limits();
    limits.room_members_max = 2;
    let mut rig = Rig::with(&limits, Kernels::SCALAR);
    let room = rig.open_room(0);
    rig.dial(0, Route::Room(room), Some(0x90));
    rig.dial(1, Route::Room(room), None);
    rig.forget();
    rig.dial(2, Route::Room(room), Some(0x91));
    assert!(matches!(rig.taken.events[..], [Event::Refused { refusal: Refusal::Full, .. }]));
    rig.command(Command::RouteSession { session: session(1), route: Route::Room(room) });
    assert_eq!(rig.taken.events.len(), 1, "it is in already");
}

#[test]
fn every_level_of_kernels_sends_the_same_octets() {
    let mut traces = Kernels::levels_available().map(|level| {
        let mut rig = Rig::with(&limits(), Kernels::at(level).unwrap());
        let room = rig.open_room(0);
        for slot in 0..20 {
            let code = (slot % 3 == 0).then_some(0x80 + 5 * slot as u8);
            rig.dial_with(slot, Route::Room(room), code, |media| {
                *media = rig::media(slot, Law::ALL[slot as usize % 2]);
            });
        }
        rig.run(100);
        rig.taken.sent
    });
    let scalar = traces.next().unwrap();
    assert!(scalar.len() >= 20 * 99);
    assert!(traces.all(|trace| trace == scalar));
}
