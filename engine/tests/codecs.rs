//! Payload formats other than plain G.711 through a whole shard: who shares an encoder, and that
//! nobody hears it.

#[path = "rig/conference.rs"]
mod conference;

use std::iter::repeat_n;
use std::ops::Range;
use std::sync::Arc;

use conference::{Conference, roughness};
use engine_control::{Command, Prompt, Renditions, SessionKey};
use media_units::{Encoding, EncodingParameters, Gain, RoomSound, Selection};

/// What a phone with an idle line says: frequency and peak.
const SILENCE: (f64, f64) = (300.0, 0.0);

/// A room in which three talk by Opus, and these others send this, or nothing.
fn three_talk_and(others: usize, encoding: Encoding, says: Option<(f64, f64)>) -> Conference {
    let mut conference = Conference::new(3 + others as u32);
    let talkers = (0..3).map(|n| (Encoding::Opus, Some((300.0 + 100.0 * f64::from(n), 6000.0))));
    for (encoding, says) in talkers.chain(repeat_n((encoding, says), others)) {
        let phone = conference.join(encoding, EncodingParameters::DEFAULT);
        conference.phone(phone).listens = false;
        conference.phone(phone).says = says;
    }
    conference.run(60);
    conference
}

#[test]
fn a_thousand_listeners_of_three_talkers_cost_four_opus_frames() {
    let mut conference = three_talk_and(1000, Encoding::Opus, None);
    let before = conference.frames_encoded();
    conference.run(50);
    assert_eq!(conference.frames_encoded() - before, 50 * 4, "three talkers and all the others");
}

#[test]
fn those_who_send_silence_share_an_encoder_too() {
    for encoding in [Encoding::Opus, Encoding::G722] {
        let mut conference = three_talk_and(40, encoding, Some(SILENCE));
        let before = conference.frames_encoded();
        conference.run(20);
        assert_eq!(conference.frames_encoded() - before, 20 * 4, "{encoding}");
    }
}

#[test]
fn forty_who_send_silence_are_silent_together() {
    for encoding in [Encoding::Pcmu, Encoding::Pcma, Encoding::Opus, Encoding::G722] {
        let mut conference = Conference::new(41);
        for _ in 0..40 {
            let phone = conference.join(encoding, EncodingParameters::DEFAULT);
            conference.phone(phone).listens = false;
            conference.phone(phone).says = Some(SILENCE);
        }
        let listener = conference.join(Encoding::L16At16000, EncodingParameters::DEFAULT);
        conference.run(50);
        let heard = &conference.phone(listener).heard;
        assert!(heard.len() > 10_000 && heard.iter().all(|&sample| sample == 0), "{encoding}");
    }
}

#[test]
fn formats_that_differ_share_nothing_and_those_alike_share_one_encoder() {
    let mut conference = Conference::new(12);
    let talker = conference.join(Encoding::Pcmu, EncodingParameters::DEFAULT);
    conference.phone(talker).says = Some((440.0, 8000.0));
    let other = EncodingParameters { bit_rate: 64_000, ..EncodingParameters::DEFAULT };
    for _ in 0..3 {
        conference.join(Encoding::G722, EncodingParameters::DEFAULT);
        conference.join(Encoding::Opus, EncodingParameters::DEFAULT);
        conference.join(Encoding::Opus, other);
    }
    conference.run(60);
    let before = conference.frames_encoded();
    conference.run(10);
    assert_eq!(conference.frames_encoded() - before, 10 * 3);
}

/// A talker, three who share an encoder and have heard it for a second, and how rough that is.
fn group_that_hears(encoding: Encoding) -> (Conference, [usize; 3], i32) {
    let mut conference = Conference::new(4);
    let talker = conference.join(Encoding::Pcmu, EncodingParameters::DEFAULT);
    conference.phone(talker).says = Some((400.0, 6000.0));
    // The first of them leads the group: it is its sender that encodes for all.
    let listeners = [0; 3].map(|_| conference.join(encoding, EncodingParameters::DEFAULT));
    conference.run(100);
    conference.forget();
    conference.run(50);
    let usual = roughness(&conference.phone(listeners[2]).heard);
    assert!(usual > 0, "{encoding}: something is heard");
    (conference, listeners, usual)
}

fn assert_no_clicks(
    conference: &mut Conference,
    listeners: [usize; 3],
    usual: i32,
    encoding: Encoding,
) {
    for listener in listeners {
        let heard = roughness(&conference.phone(listener).heard);
        assert!(heard <= usual * 2, "{encoding}, listener {listener}: {heard}, else {usual}");
    }
}

#[test]
fn nobody_hears_when_a_listener_begins_to_speak_comes_back_or_leaves() {
    let with_state = [Encoding::G722, Encoding::Opus, Encoding::G726];
    for encoding in with_state.into_iter().chain(Encoding::G729_IF_BUILT_IN) {
        let (mut conference, listeners, usual) = group_that_hears(encoding);
        // The leader speaks for a while, so softly that its own sound says nothing of clicks.
        conference.phone(listeners[0]).says = Some((400.0, 40.0));
        conference.run(50);
        conference.phone(listeners[0]).says = None;
        conference.run(300);
        // Another speaks and falls silent, and the first leaves for good.
        conference.phone(listeners[1]).says = Some((400.0, 40.0));
        conference.run(20);
        conference.phone(listeners[1]).says = None;
        conference.run(300);
        conference.leave(listeners[0]);
        conference.run(60);
        assert_no_clicks(&mut conference, listeners, usual, encoding);
    }
}

#[test]
fn nobody_hears_when_the_leader_of_a_group_and_others_of_it_begin_to_speak_at_once() {
    let with_state = [Encoding::G722, Encoding::Opus, Encoding::G726];
    for encoding in with_state.into_iter().chain(Encoding::G729_IF_BUILT_IN) {
        let (mut conference, listeners, usual) = group_that_hears(encoding);
        for &listener in &listeners {
            conference.phone(listener).says = Some((400.0, 40.0));
        }
        conference.run(50);
        assert_no_clicks(&mut conference, listeners, usual, encoding);
    }
}

#[test]
fn a_prompt_is_heard_by_one_of_a_group_only() {
    let mut conference = Conference::new(4);
    let talker = conference.join(Encoding::Pcmu, EncodingParameters::DEFAULT);
    conference.phone(talker).says = Some((400.0, 6000.0));
    let listeners = [0; 3].map(|_| conference.join(Encoding::G722, EncodingParameters::DEFAULT));
    conference.run(100);
    for &listener in &listeners {
        conference.phone(listener).heard.clear();
    }
    let silence = Renditions::new(|class| vec![0; 20 * class.block_samples()]);
    let prompt = Box::new(Prompt::new(Arc::new(silence)));
    let session = SessionKey::new(0, listeners[0] as u32, 1);
    conference.command(Command::Prompt { session, prompt });
    conference.run(50);
    let energy = |conference: &mut Conference, listener: usize, periods: Range<usize>| {
        let heard = &conference.phone(listener).heard[320 * periods.start..320 * periods.end];
        heard.iter().map(|&s| i64::from(s).pow(2)).sum::<i64>() / heard.len() as i64
    };
    assert!(energy(&mut conference, listeners[0], 3..18) < 100, "only the prompt, which is silent");
    assert!(energy(&mut conference, listeners[0], 25..45) > 1_000_000, "the room again");
    for &other in &listeners[1..] {
        assert!(energy(&mut conference, other, 3..18) > 1_000_000);
    }
}

#[test]
fn a_listener_with_a_gain_leaves_its_group_unheard_and_comes_back() {
    let mut conference = Conference::new(4);
    let talker = conference.join(Encoding::Pcmu, EncodingParameters::DEFAULT);
    conference.phone(talker).says = Some((400.0, 6000.0));
    // The first of them leads the group.
    let listeners = [0; 3].map(|_| conference.join(Encoding::G722, EncodingParameters::DEFAULT));
    let last = |conference: &mut Conference, listener: usize| {
        let heard = &conference.phone(listener).heard;
        let second = &heard[heard.len() - 16_000..];
        second.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>().sqrt()
    };
    conference.run(150);
    let before = listeners.map(|listener| last(&mut conference, listener));
    let usual = roughness(&conference.phone(listeners[2]).heard[16_000..]);
    let set_gain = |conference: &mut Conference, tenths_db| {
        let session = SessionKey::new(0, listeners[0] as u32, 1);
        let hears = Gain { tenths_db };
        conference.command(Command::SetGain { session, says: Gain::UNITY, hears });
        let frames = conference.frames_encoded();
        conference.run(60);
        conference.frames_encoded() - frames
    };
    assert_eq!(set_gain(&mut conference, -100), 60 * 2, "itself, and the others");
    for (at, wanted_db) in [(0, -10.0), (1, 0.0), (2, 0.0)] {
        let found = 20.0 * (last(&mut conference, listeners[at]) / before[at]).log10();
        assert!((found - wanted_db).abs() < 0.1, "listener {at}: {found:+.3} dB");
    }
    set_gain(&mut conference, 0);
    conference.run(300);
    assert_eq!(set_gain(&mut conference, 0), 60, "one encoder for all again");
    for listener in listeners {
        let heard = roughness(&conference.phone(listener).heard[16_000..]);
        assert!(heard <= usual * 3 / 2, "listener {listener}: {heard}, else {usual}");
    }
}

#[test]
fn packets_of_every_length_follow_the_clock() {
    let lengths = [10, 20, 30, 40, 60];
    let formats = [Encoding::Pcma, Encoding::G722, Encoding::L16At44100, Encoding::Gsm];
    for encoding in formats.into_iter().chain(Encoding::G729_IF_BUILT_IN) {
        for packet_time_ms in lengths {
            if encoding == Encoding::Gsm && packet_time_ms % 20 != 0 {
                continue; // its frames are 20 ms
            }
            if encoding == Encoding::L16At44100 && packet_time_ms > 10 {
                continue; // more does not fit into a datagram
            }
            let mut conference = Conference::new(3);
            let parameters = EncodingParameters { packet_time_ms, ..EncodingParameters::DEFAULT };
            let talker = conference.join(Encoding::Pcmu, EncodingParameters::DEFAULT);
            conference.phone(talker).says = Some((400.0, 6000.0));
            let listener = conference.join(encoding, parameters);
            conference.run(60);
            let phone = conference.phone(listener);
            let units = encoding.clock_rate() * u32::from(packet_time_ms) / 1000;
            let steps = phone.timestamps.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
            let odd: Vec<u32> = steps.filter(|&step| step != units).collect();
            assert!(odd.is_empty(), "{encoding} {packet_time_ms} ms: {odd:?}");
            let samples = phone.heard.len() as u32;
            let expected = encoding.sample_rate() / 50 * 60;
            let packet = encoding.sample_rate() * u32::from(packet_time_ms) / 1000;
            assert!(samples + packet > expected && samples <= expected, "{encoding} {samples}");
        }
    }
}

/// A room of the two loudest, in which eight talk and tell how loud.
fn eight_who_tell_their_level(encoding: Encoding) -> Conference {
    let selection = Selection::Loudest(2);
    let mut conference = Conference::with(9, RoomSound { selection, ..RoomSound::DEFAULT });
    for _ in 0..9 {
        let number = conference.join(encoding, EncodingParameters::DEFAULT);
        if number < 8 {
            let phone = conference.phone(number);
            phone.says = Some((300.0 + 100.0 * number as f64, 400.0));
            phone.tells_level = Some(38);
        }
    }
    for loud in [2, 5] {
        conference.phone(loud).says.as_mut().unwrap().1 = 8000.0;
        conference.phone(loud).tells_level = Some(12);
    }
    conference.run(100);
    conference
}

#[test]
fn of_those_who_tell_their_level_only_the_loudest_are_decoded() {
    for encoding in [Encoding::Opus, Encoding::G722, Encoding::Pcmu] {
        let mut conference = eight_who_tell_their_level(encoding);
        assert_eq!(conference.run_and_count(50), [50 * 2, 50 * 6], "{encoding}");
        // The first falls silent, the last speaks up.
        conference.phone(2).says.as_mut().unwrap().1 = 0.0;
        conference.phone(2).tells_level = Some(127);
        conference.phone(7).says.as_mut().unwrap().1 = 8000.0;
        conference.phone(7).tells_level = Some(12);
        let rate = encoding.sample_rate() as usize;
        let before = conference.phone(8).heard.len();
        conference.run(50);
        let heard = &conference.phone(8).heard[before..];
        let pitch = share_of(1000.0, rate);
        let begun = heard.chunks(rate / 50).position(|block| pitch(block) > 2000.0);
        assert!(begun.is_some_and(|periods| periods <= 6), "{encoding}: {begun:?}");
        let loudest = heard.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(loudest.is_some_and(|peak| peak < 20_000), "{encoding}: {loudest:?}");
        assert_eq!(conference.run_and_count(50), [50 * 2, 50 * 6], "{encoding}");
    }
}

#[test]
fn what_is_told_to_be_silence_is_not_decoded_and_speech_after_it_is_heard() {
    for encoding in [Encoding::Opus, Encoding::G722, Encoding::Pcmu] {
        let mut conference = Conference::new(3);
        for _ in 0..3 {
            let phone = conference.join(encoding, EncodingParameters::DEFAULT);
            conference.phone(phone).tells_level = Some(127);
            conference.phone(phone).says = Some((1000.0, 0.0));
        }
        conference.run(60);
        assert_eq!(conference.run_and_count(50), [0, 50 * 3], "{encoding}");
        conference.phone(0).says = Some((1000.0, 8000.0));
        conference.phone(0).tells_level = Some(12);
        let before = conference.phone(1).heard.len();
        conference.run(20);
        let rate = encoding.sample_rate() as usize;
        let heard = &conference.phone(1).heard[before..];
        let pitch = share_of(1000.0, rate);
        let begun = heard.chunks(rate / 50).position(|block| pitch(block) > 4000.0);
        assert!(begun.is_some_and(|periods| periods <= 4), "{encoding}: {begun:?}");
        // The end of what was said is played, though the packets after it say silence.
        conference.phone(0).says = Some((1000.0, 0.0));
        conference.phone(0).tells_level = Some(127);
        let played = conference.run_and_count(60);
        assert!((24..=27).contains(&played[0]), "{encoding}: {played:?}");
    }
}

/// Amplitude of a tone of this pitch in a block.
fn share_of(pitch: f64, rate: usize) -> impl Fn(&[i16]) -> f64 {
    move |block| {
        let (mut cosine, mut sine) = (0.0, 0.0);
        for (n, &sample) in block.iter().enumerate() {
            let angle = std::f64::consts::TAU * pitch * n as f64 / rate as f64;
            cosine += f64::from(sample) * angle.cos();
            sine += f64::from(sample) * angle.sin();
        }
        2.0 * f64::hypot(cosine, sine) / block.len() as f64
    }
}
