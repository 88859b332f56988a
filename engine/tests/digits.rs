//! Digits are events, never sound.

mod rig;

use std::time::Duration;

use engine::Port;

use engine_control::{
    Command, DigitSource, Event, Refusal, Route, SessionKey, SessionOpen, TapPoint, TelephoneEvent,
};
use media::codec::Decoder;
use media::dtmf::{DigitReceiver, ToneFilter, TonePair};
use media::rtp::RtpHeader;
use media_kernels::Kernels;
use media_units::{
    BLOCK_SAMPLES, Cadence, Digits, Encoding, PERIOD, RoomSound, RtpTimestamp, SequenceNumber, Ssrc,
};
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
fn a_digit_cut_off_by_a_new_stream_ends_by_silence() {
    let mut rig = Rig::new();
    rig.dial(0, Route::Idle, Some(0x90));
    rig.run(rig::SETTLED);
    let start = rig.phone(0).timestamp;
    press(&mut rig, 1, 800, false, start);
    rig.phone(0).ssrc = media_units::Ssrc(99);
    rig.run(18);
    assert_eq!(digits(&rig), [('1', 100)]);
}

#[test]
fn digits_under_an_ssrc_of_their_own_are_told_once_and_tear_no_sound() {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    rig.dial(0, Route::Room(room), Some(0x90));
    rig.dial(1, Route::Room(room), None);
    rig.dial(2, Route::Room(room), None);
    rig.run(rig::SETTLED);
    rig.forget();
    let sound = rig.phone(0).clone();
    let mut sequence = SequenceNumber(7);
    for period in 1..=10_u16 {
        rig.phone(0).ssrc = Ssrc(0xd191);
        rig.phone(0).sequence = sequence;
        press(&mut rig, 5, period.min(8) * 160, period > 8, RtpTimestamp(99));
        sequence = rig.phone(0).sequence;
        rig.phone(0).ssrc = sound.ssrc;
        rig.phone(0).sequence = sound.sequence.plus(period - 1);
        rig.run(1);
    }
    rig.run(10);
    assert_eq!(digits(&rig), [('5', 160)]);
    assert_eq!(rig.codes(1), [0x90; 20]);
}

/// Sends these octets for the phone in slot 0, which is silent otherwise, and lets a period pass.
fn say(rig: &mut Rig, payload: &[u8]) {
    let phone = rig.phone(0);
    let bytes = phone.packet(payload);
    // The phone's own time passes in the period that follows.
    phone.timestamp = phone.timestamp.plus(0_u32.wrapping_sub(BLOCK_SAMPLES as u32));
    let source = phone.source;
    rig.deliver(0, Port::Rtp, source, &bytes);
    rig.run(1);
}

/// The phone in slot 0 presses keys as tones in its sound: 60 ms each, and a pause of 60 ms.
fn sound_keys(rig: &mut Rig, keys: &str) {
    for key in Digits::parse(keys).unwrap().numbers() {
        let mut pair = TonePair::new(key, 10);
        for period in 0..6 {
            let mut frame = [SILENCE; BLOCK_SAMPLES];
            if period < 3 {
                let mut sound = [0; BLOCK_SAMPLES];
                pair.fill(8000, &mut sound);
                Kernels::SCALAR.encode_ulaw(&sound, &mut frame);
            }
            say(rig, &frame);
        }
    }
    for _ in 0..10 {
        say(rig, &[SILENCE; BLOCK_SAMPLES]);
    }
}

/// A room that looks for digits in the sound of slot 0, where no events were negotiated, and two
/// who listen.
fn in_band(events: Option<TelephoneEvent>) -> (Rig, SessionKey) {
    let mut rig = Rig::new();
    let room = engine_control::RoomKey::new(0, 0, 1);
    let sound = RoomSound { in_band_digits: true, ..RoomSound::DEFAULT };
    rig.command(Command::OpenRoom { room, sound });
    let speaker = rig.dial_with(0, Route::Room(room), None, |media| media.telephone_event = events);
    rig.dial(1, Route::Room(room), None);
    for _ in 0..rig::SETTLED {
        say(&mut rig, &[SILENCE; BLOCK_SAMPLES]);
    }
    (rig, speaker)
}

fn is_silent(sent: &Sent) -> bool {
    sent.view().payload() == [SILENCE; BLOCK_SAMPLES]
}

#[test]
fn a_digit_in_the_sound_is_told_and_heard_by_nobody_nor_recorded() {
    let (mut rig, speaker) = in_band(None);
    let tap = rig.start_tap(TapPoint::Received(speaker));
    rig.run(2);
    rig.forget();
    sound_keys(&mut rig, "1*55D");
    let pressed: String = digits(&rig).iter().map(|&(digit, _)| digit).collect();
    assert_eq!(pressed, "1*55D");
    assert!(digits(&rig).iter().all(|(_, ms)| (50..=75).contains(ms)), "{:?}", digits(&rig));
    let is_in_band = |event: &Event| match event {
        Event::Digit { source, .. } => *source == DigitSource::InBand,
        _ => true,
    };
    assert!(rig.taken.events.iter().all(is_in_band));
    let heard = rig.taken.rtp(1);
    assert_eq!(heard.len(), 40);
    assert!(heard.iter().all(|sent| is_silent(sent)));
    let tapped = rig.tapped(tap);
    assert!(tapped.len() >= 40);
    assert!(tapped.iter().all(|tapped| tapped.samples().iter().all(|&sample| sample == 0)));
}

#[test]
fn sound_between_digits_is_heard_two_periods_later() {
    let (mut rig, _) = in_band(None);
    rig.forget();
    say(&mut rig, &[0x90; BLOCK_SAMPLES]);
    for _ in 0..10 {
        say(&mut rig, &[SILENCE; BLOCK_SAMPLES]);
    }
    let heard = rig.taken.rtp(1);
    let loud = heard.iter().position(|sent| !is_silent(sent)).unwrap();
    let (mut plain, _) =
        in_band(Some(TelephoneEvent { receive: 101, send: 101, clock_rate: 8000 }));
    plain.forget();
    say(&mut plain, &[0x90; BLOCK_SAMPLES]);
    for _ in 0..10 {
        say(&mut plain, &[SILENCE; BLOCK_SAMPLES]);
    }
    let sooner = plain.taken.rtp(1).iter().position(|sent| !is_silent(sent)).unwrap();
    assert_eq!(loud - sooner, 2);
}

#[test]
fn tones_of_one_who_negotiated_events_are_sound() {
    let (mut rig, _) = in_band(Some(TelephoneEvent { receive: 101, send: 101, clock_rate: 8000 }));
    rig.forget();
    sound_keys(&mut rig, "1");
    assert_eq!(digits(&rig), []);
    assert!(!rig.taken.rtp(1).iter().all(|sent| is_silent(sent)));
}

fn send_digits(rig: &mut Rig, session: SessionKey, digits: &str, cadence: Cadence) {
    let digits = Digits::parse(digits).unwrap();
    rig.command(Command::SendDigits { session, digits, cadence });
}

#[test]
fn digits_are_sent_as_events_in_place_of_sound() {
    let mut rig = Rig::new();
    let session = rig.dial(0, Route::Tone, Some(SILENCE));
    rig.run(rig::SETTLED);
    rig.forget();
    send_digits(&mut rig, session, "12#", Cadence { duration_ms: 100, gap_ms: 60, volume: 10 });
    rig.run(40);
    let mut receiver = DigitReceiver::new();
    let mut heard = String::new();
    let (mut at, mut sequence, mut events) = (rig.taken.sent[0].at, None, 0);
    let mut before_was_event = false;
    for sent in rig.taken.rtp(0) {
        let view = sent.view();
        assert!(sequence.is_none_or(|before| view.sequence() == SequenceNumber::plus(before, 1)));
        sequence = Some(view.sequence());
        assert!(sent.at.since(at) <= PERIOD, "one packet in every period");
        at = sent.at;
        let is_event = view.payload_type() == DIGITS;
        if is_event {
            events += 1;
            let digit = receiver.packet(&view, 8000, at + Duration::from_secs(1)).unwrap();
            heard.extend(digit.map(|digit| digit.digit));
        } else {
            assert_eq!(view.marker(), before_was_event, "sound begins anew after an event");
        }
        before_was_event = is_event;
    }
    assert_eq!((heard.as_str(), events), ("12#", 3 * (5 + 2)));
    assert_eq!(rig.taken.rtp(0).len(), 40);
}

#[test]
fn digits_are_sent_as_tones_where_no_events_were_negotiated() {
    let mut rig = Rig::new();
    let session =
        rig.dial_with(0, Route::Tone, Some(SILENCE), |media| media.telephone_event = None);
    rig.run(rig::SETTLED);
    rig.forget();
    send_digits(&mut rig, session, "7A0", Cadence { duration_ms: 60, gap_ms: 40, volume: 10 });
    rig.run(40);
    rig.assert_streams_are_lawful();
    let mut filter = ToneFilter::new();
    let mut heard = String::new();
    for sent in rig.taken.rtp(0) {
        let mut sound = [0; BLOCK_SAMPLES];
        Kernels::SCALAR.decode_ulaw(sent.view().payload(), &mut sound);
        heard.extend(filter.block(&mut sound).map(|digit| digit.digit));
    }
    assert_eq!(heard, "7A0");
}

#[test]
fn digits_wait_while_the_endpoint_holds() {
    let mut rig = Rig::new();
    let session = rig.dial(0, Route::Tone, Some(SILENCE));
    rig.run(rig::SETTLED);
    rig.update(session, |media| media.direction = media_units::Direction::ReceiveOnly);
    send_digits(&mut rig, session, "1", Cadence::DEFAULT);
    rig.forget();
    rig.run(20);
    assert_eq!(rig.taken.rtp(0).len(), 0);
    rig.update(session, |_| {});
    rig.run(20);
    let events = rig.taken.rtp(0).iter().filter(|s| s.view().payload_type() == DIGITS).count();
    assert_eq!(events, 7);
}

#[test]
fn more_digits_than_may_wait_are_refused() {
    let mut rig = Rig::new();
    let session = rig.dial(0, Route::Idle, None);
    let many = "1".repeat(Digits::MAX);
    send_digits(&mut rig, session, &many, Cadence::DEFAULT);
    let taken = rig.taken.events.pop();
    assert!(
        matches!(taken, Some(Event::DigitsTaken { session: of }) if of == session),
        "{taken:?}"
    );
    rig.forget();
    send_digits(&mut rig, session, &many, Cadence::DEFAULT);
    let refused = rig.taken.events.pop();
    assert!(matches!(refused, Some(Event::Refused { refusal: Refusal::Full, .. })), "{refused:?}");
}

/// A session in slot 5 that hears the tone in this encoding, from which nothing comes.
fn open_in(rig: &mut Rig, encoding: Encoding, events: Option<TelephoneEvent>) -> SessionKey {
    let session = SessionKey::new(0, 5, 1);
    let mut media = rig::media(5, media_units::Law::Mu);
    media.encoding = encoding;
    (media.receive_payload_type, media.send_payload_type) = (96, 96);
    media.telephone_event = events;
    let (ssrc, sequence, timestamp) = (Ssrc(1), SequenceNumber(2), RtpTimestamp(3));
    let route = Route::Tone;
    let open = Box::new(SessionOpen { ssrc, sequence, timestamp, media, route });
    rig.command(Command::OpenSession { session, open });
    session
}

#[test]
fn digits_beside_opus_are_events_on_its_clock() {
    let mut rig = Rig::new();
    let events = TelephoneEvent { receive: DIGITS, send: DIGITS, clock_rate: 48_000 };
    let session = open_in(&mut rig, Encoding::Opus, Some(events));
    rig.run(5);
    send_digits(&mut rig, session, "49", Cadence::DEFAULT);
    rig.run(40);
    let mut receiver = DigitReceiver::new();
    let mut heard = Vec::new();
    for sent in rig.taken.rtp(5) {
        let view = sent.view();
        let units = view.timestamp().distance_from(RtpTimestamp(3));
        assert_eq!(units % 960, 0, "sound and events share one clock");
        if view.payload_type() == DIGITS {
            let digit = receiver.packet(&view, 48_000, sent.at + Duration::from_secs(1)).unwrap();
            heard.extend(digit.map(|digit| (digit.digit, digit.duration_ms)));
        }
    }
    assert_eq!(heard, [('4', 100), ('9', 100)]);
    assert!(rig.taken.rtp(5).len() > 40);
}

#[test]
fn digits_in_the_sound_of_g722_can_be_found() {
    let mut rig = Rig::new();
    let session = open_in(&mut rig, Encoding::G722, None);
    rig.run(5);
    send_digits(&mut rig, session, "*6", Cadence::DEFAULT);
    rig.run(40);
    let (mut decoder, mut filter) = (Decoder::new(Encoding::G722), ToneFilter::new());
    let mut heard = String::new();
    for sent in rig.taken.rtp(5) {
        let mut sound = [0; 320];
        decoder.decode(&Kernels::SCALAR, sent.view().payload(), &mut sound);
        heard.extend(filter.block(&mut sound).map(|digit| digit.digit));
    }
    assert_eq!(heard, "*6");
}
