//! Two parties are a relay: their frames pass untouched, and nobody hears it begin or end.

mod rig;

use engine_control::{Command, Event, RoomKey, Route, SessionKey, TapPoint};
use media_kernels::Kernels;
use media_units::{Direction, Law};
use rig::{Rig, SILENCE};

/// Negative zero of mu-law: whoever decodes and encodes it sends positive zero (0xff).
const UNTOUCHED: u8 = 0x7f;

fn two_parties(one: Option<u8>, other: Option<u8>) -> (Rig, RoomKey) {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    rig.dial(0, Route::Room(room), one);
    rig.dial(1, Route::Room(room), other);
    (rig, room)
}

fn session(slot: u32) -> SessionKey {
    SessionKey::new(0, slot, 1)
}

#[test]
fn frames_pass_between_two_parties_as_they_came() {
    let (mut rig, _) = two_parties(Some(UNTOUCHED), Some(0x90));
    rig.settle_and_run(50);
    assert_eq!(rig.codes(0), [0x90; 50]);
    assert_eq!(rig.codes(1), [UNTOUCHED; 50]);
    rig.assert_streams_are_lawful();
}

#[test]
fn a_silent_party_is_silence_for_the_other() {
    let (mut rig, _) = two_parties(Some(0x90), None);
    rig.settle_and_run(20);
    assert_eq!(rig.codes(0), [SILENCE; 20]);
    assert_eq!(rig.codes(1), [0x90; 20]);
}

#[test]
fn a_lost_frame_is_not_sent_and_time_goes_on() {
    let (mut rig, _) = two_parties(Some(0x90), Some(0x91));
    rig.run(rig::SETTLED);
    rig.forget();
    rig.run(3);
    rig.phone(0).code = None;
    rig.run(1);
    let lost = rig.phone(0).sequence;
    rig.phone(0).sequence = lost.plus(1);
    rig.phone(0).code = Some(0x90);
    rig.run(6);
    assert_eq!(rig.codes(0), [0x91; 10]);
    assert_eq!(rig.codes(1), [0x90; 9], "one is missing");
    rig.assert_streams_are_lawful();
}

#[test]
fn a_muted_echo_is_silent_after_its_fade_and_comes_back() {
    let mut rig = Rig::new();
    let session = rig.dial(0, Route::Echo, Some(0x90));
    rig.run(rig::SETTLED);
    for (muted, code) in [(false, 0x90), (true, SILENCE), (false, 0x90)] {
        rig.command(Command::MuteSession { session, muted });
        rig.run(1);
        rig.forget();
        rig.run(5);
        assert_eq!(rig.codes(0), [code; 5]);
    }
    rig.assert_streams_are_lawful();
}

#[test]
fn mute_hold_tap_another_encoding_or_a_third_make_it_a_mix_and_back() {
    let (mut rig, room) = two_parties(Some(UNTOUCHED), Some(0x90));
    rig.run(rig::SETTLED);
    rig.forget();
    let expect = |rig: &mut Rig, to_one: u8, to_other: u8| {
        let before = rig.codes(0).len();
        rig.run(5);
        assert_eq!(rig.codes(0)[before..], [to_one; 5]);
        assert_eq!(rig.codes(1)[before..], [to_other; 5]);
    };
    let fade = |rig: &mut Rig| {
        rig.run(1);
        rig.forget();
    };
    expect(&mut rig, 0x90, UNTOUCHED);

    rig.command(Command::MuteSession { session: session(1), muted: true });
    fade(&mut rig);
    expect(&mut rig, SILENCE, SILENCE);
    rig.command(Command::MuteSession { session: session(1), muted: false });
    fade(&mut rig);
    expect(&mut rig, 0x90, UNTOUCHED);

    for point in [TapPoint::Room(room), TapPoint::Received(session(0))] {
        let tap = rig.start_tap(point);
        expect(&mut rig, 0x90, SILENCE);
        rig.command(Command::StopTap { point });
        expect(&mut rig, 0x90, UNTOUCHED);
        assert_eq!(rig.tapped(tap).len(), 5 + 1, "and its end");
    }

    rig.dial(2, Route::Room(room), None);
    expect(&mut rig, 0x90, SILENCE);
    assert_eq!(rig.codes(2).len(), 5);
    rig.command(Command::CloseSession { session: session(2) });
    expect(&mut rig, 0x90, UNTOUCHED);
    rig.assert_streams_are_lawful();
}

#[test]
fn hold_in_a_relay_silences_both_ways_and_ends_in_step() {
    let (mut rig, _) = two_parties(Some(UNTOUCHED), Some(0x90));
    rig.run(rig::SETTLED);
    rig.update(session(1), |media| media.direction = Direction::Inactive);
    rig.forget();
    rig.run(10);
    assert_eq!(rig.codes(0), [SILENCE; 10]);
    assert_eq!(rig.codes(1), [0; 0]);
    rig.update(session(1), |_| {});
    rig.run(20);
    assert_eq!(rig.codes(0)[20..], [0x90; 10]);
    assert_eq!(rig.codes(1), [UNTOUCHED; 20]);
    rig.assert_streams_are_lawful();
}

#[test]
fn who_is_turned_down_in_a_mix_hears_no_step_where_it_becomes_a_relay() {
    let (mut rig, room) = two_parties(None, Some(0x80));
    rig.dial(2, Route::Room(room), Some(0x80));
    rig.run(rig::SETTLED);
    rig.command(Command::CloseSession { session: session(2) });
    rig.forget();
    rig.run(100);
    let heard: Vec<i32> = rig
        .taken
        .rtp(0)
        .iter()
        .flat_map(|sent| sent.view().payload().to_vec())
        .map(|code| {
            let mut sample = [0];
            Kernels::SCALAR.decode_ulaw(&[code], &mut sample);
            i32::from(sample[0])
        })
        .collect();
    let full = 32_124;
    assert!(heard[0] < full * 6 / 10, "one of two was turned down by half: {}", heard[0]);
    assert_eq!(heard[heard.len() - 1], full, "and is itself again");
    // The codes of mu-law are up to 1024 apart there.
    let steps = heard.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
    assert!(steps.max() <= Some(1024));
}

#[test]
fn two_encodings_are_mixed() {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    rig.dial(0, Route::Room(room), Some(SILENCE));
    rig.dial_with(1, Route::Room(room), Some(0xd5), |media| {
        *media = rig::media(1, Law::A);
    });
    rig.settle_and_run(5);
    assert_eq!(rig.codes(1), [0xd5; 5]);
    assert_eq!(rig.taken.rtp(0)[0].view().payload_type(), 0);
    assert_eq!(rig.taken.rtp(1)[0].view().payload_type(), 8);
}

#[test]
fn who_talks_is_noticed_in_a_relay() {
    let (mut rig, _) = two_parties(None, None);
    rig.phone(0).hums = true;
    rig.run(20);
    let started =
        |event: &Event| matches!(event, Event::TalkStarted { session } if session.slot() == 0);
    assert_eq!(rig.taken.events.iter().filter(|event| started(event)).count(), 1);
    rig.phone(0).hums = false;
    rig.run(40);
    let stopped =
        |event: &Event| matches!(event, Event::TalkStopped { session } if session.slot() == 0);
    assert_eq!(rig.taken.events.iter().filter(|event| stopped(event)).count(), 1);
}
