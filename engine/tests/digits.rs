//! Digits are events, never sound.

mod rig;

use engine::Port;
use engine_control::{Command, Event, Route, SessionKey};
use media::rtp::RtpHeader;
use media_units::BLOCK_SAMPLES;
use rig::{DIGITS, Rig, SILENCE, Sent};

/// One event packet of the phone in slot 0, which sends no sound meanwhile.
fn press(rig: &mut Rig, event: u8, units: u16, end: bool, start: media_units::RtpTimestamp) {
    let phone = rig.phone(0);
    let header = RtpHeader {
        payload_type: DIGITS,
        marker: units == 160,
        sequence: phone.sequence,
        timestamp: start,
        ssrc: phone.ssrc,
    };
    phone.sequence = phone.sequence.plus(1);
    let source = phone.source;
    let [high, low] = units.to_be_bytes();
    let payload = [event, if end { 0x8a } else { 0x0a }, high, low];
    let bytes = [&header.write()[..], &payload].concat();
    rig.deliver(0, Port::Rtp, source, &bytes);
}

fn digits(rig: &Rig) -> Vec<(char, u16)> {
    let events = rig.taken.events.iter();
    let digit = |event: &Event| match *event {
        Event::Digit { digit, duration_ms, .. } => Some((digit, duration_ms)),
        _ => None,
    };
    events.filter_map(digit).collect()
}

/// The phone in slot 0 speaks, then presses a digit for eight periods, then speaks on.
fn speak_press_speak(rig: &mut Rig) {
    rig.run(rig::SETTLED);
    rig.phone(0).code = None;
    rig.forget();
    let start = rig.phone(0).timestamp;
    for period in 1..=8 {
        press(rig, 5, period * 160, false, start);
        rig.run(1);
    }
    for _ in 0..3 {
        press(rig, 5, 8 * 160, true, start);
    }
    rig.phone(0).code = Some(0x90);
    rig.run(20);
}

#[test]
fn a_digit_is_told_once_and_silence_for_the_room() {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    rig.dial(0, Route::Room(room), Some(0x90));
    rig.dial(1, Route::Room(room), None);
    rig.dial(2, Route::Room(room), None);
    speak_press_speak(&mut rig);
    assert_eq!(digits(&rig), [('5', 160)]);
    let heard = rig.taken.rtp(1);
    let (silent, sounding): (Vec<&Sent>, Vec<&Sent>) =
        heard.iter().partition(|sent| sent.view().payload() == [SILENCE; BLOCK_SAMPLES]);
    assert!((7..=10).contains(&silent.len()), "{}", silent.len());
    let is_spoken = |sent: &&Sent| sent.view().payload().ends_with(&[0x90; 100]);
    assert!(sounding.iter().all(is_spoken), "nothing is invented while a digit is pressed");
    assert_eq!(rig.last_codes(1, 15), [0x90; 15]);
}

#[test]
fn a_digit_of_a_muted_session_is_told() {
    let mut rig = Rig::new();
    rig.dial(0, Route::Idle, Some(0x90));
    rig.command(Command::MuteSession { session: SessionKey::new(0, 0, 1), muted: true });
    speak_press_speak(&mut rig);
    assert_eq!(digits(&rig), [('5', 160)]);
}

#[test]
fn a_digit_whose_end_is_lost_ends_by_silence() {
    let mut rig = Rig::new();
    rig.dial(0, Route::Idle, Some(0x90));
    rig.run(rig::SETTLED);
    let start = rig.phone(0).timestamp;
    press(&mut rig, 11, 800, false, start);
    rig.run(8);
    assert_eq!(digits(&rig), []);
    rig.run(10);
    assert_eq!(digits(&rig), [('#', 100)]);
}

#[test]
fn a_digit_cut_off_by_a_new_stream_is_told() {
    let mut rig = Rig::new();
    rig.dial(0, Route::Idle, Some(0x90));
    rig.run(rig::SETTLED);
    let start = rig.phone(0).timestamp;
    press(&mut rig, 1, 800, false, start);
    rig.phone(0).ssrc = media_units::Ssrc(99);
    rig.run(1);
    assert_eq!(digits(&rig), [('1', 100)]);
}
