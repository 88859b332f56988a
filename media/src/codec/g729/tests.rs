use super::*;
use crate::codec::tests::{level_change_db, voice};

/// Descriptions of silence that an encoder with Annex B (libbcg729's) made of noise below 1 kHz at
/// -48 dBov.
pub(crate) const ROOM_NOISE: [[u8; SILENCE_OCTETS]; 6] =
    [[0x74, 0xde], [0x00, 0xde], [0x35, 0x9e], [0x14, 0x5e], [0x28, 0x5e], [0x80, 0x9e]];

fn encode(samples: &[i16]) -> Vec<u8> {
    let mut frame = vec![0; samples.len() / FRAME_SAMPLES * FRAME_OCTETS];
    assert_eq!(G729Encoder::default().encode(samples, &mut frame), frame.len());
    frame
}

fn decode(payload: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; payload.len() / FRAME_OCTETS * FRAME_SAMPLES];
    assert_eq!(G729Decoder::default().decode(payload, &mut samples), samples.len());
    samples
}

/// A decoder that has heard a voice, and its last frame.
fn in_a_word() -> (G729Decoder, [i16; FRAME_SAMPLES]) {
    let (mut decoder, mut samples) = (G729Decoder::default(), [0; 3200]);
    decoder.decode(&encode(&voice(3200)), &mut samples);
    (decoder, *samples.last_chunk().unwrap())
}

fn power_db(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    10.0 * (energy / samples.len() as f64).log10()
}

/// How alike two sounds are, of 1, where the second is late by so many samples.
fn likeness(first: &[i16], second: &[i16], late: usize) -> f64 {
    let product = |a: &[i16], b: &[i16]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let (first, second) = (&first[..first.len() - late], &second[late..]);
    product(first, second) / (product(first, first) * product(second, second)).sqrt()
}

#[test]
fn a_voice_comes_back_as_loud_and_alike_and_5_ms_late() {
    let sound = voice(16_000);
    let heard = decode(&encode(&sound));
    let change = power_db(&heard) - power_db(&sound);
    assert!(change.abs() < 1.0, "{change} dB");
    let best = (0..120).max_by_key(|&late| (likeness(&sound, &heard, late) * 1e6) as i64).unwrap();
    assert!((38..=44).contains(&best), "{best} samples");
    assert!(likeness(&sound, &heard, best) > 0.85, "{}", likeness(&sound, &heard, best));
}

#[test]
fn a_packet_holds_whole_frames_and_after_them_one_description_of_silence() {
    let mut decoder = G729Decoder::default();
    for (octets, frames) in [(10, 1), (20, 2), (60, 6), (2, 1), (12, 2), (22, 3), (62, 7)] {
        let payload = vec![0x42; octets];
        assert_eq!(decoder.samples(&payload), Ok(frames * FRAME_SAMPLES), "{octets}");
        assert_eq!(decoder.decode(&payload, &mut [0; 960]), frames * FRAME_SAMPLES, "{octets}");
        assert_eq!(decoder.pause_after(&payload).is_some(), octets % 10 == 2, "{octets}");
    }
    for octets in [1, 3, 9, 11, 13, 18, 19, 21, 24, 64] {
        assert!(decoder.samples(&vec![0x42; octets]).is_err(), "{octets}");
    }
}

#[test]
fn a_description_of_silence_is_heard_as_noise_of_its_loudness_and_the_pause_behind_it_too() {
    for described in ROOM_NOISE {
        let mut payload = encode(&[0; FRAME_SAMPLES]);
        payload.extend(described);
        let pause = G729Decoder::default().pause_after(&payload).unwrap();
        assert!(pause.level_dbov().abs_diff(48) <= 5, "{described:x?} {pause:?}");

        let (mut decoder, mut heard) = (G729Decoder::default(), vec![0; 50 * FRAME_SAMPLES]);
        decoder.decode(&payload, &mut heard);
        decoder.conceal(&mut heard[2 * FRAME_SAMPLES..]);
        let level = 90.3 - power_db(&heard[20 * FRAME_SAMPLES..]);
        assert!((level - 48.0).abs() < 5.0, "{described:x?} {level}");
        assert!((level - f64::from(pause.level_dbov())).abs() < 3.0, "{level} {pause:?}");
    }
}

#[test]
fn how_a_pause_sounds_does_not_depend_on_the_stream() {
    let (decoder, _) = in_a_word();
    let before = G729Decoder::default().pause_after(&ROOM_NOISE[0]);
    assert_eq!(decoder.pause_after(&ROOM_NOISE[0]), before);
    assert_eq!(decoder.pause_after(&ROOM_NOISE[0]), before, "nor on other pauses");
}

#[test]
fn a_lost_frame_goes_on_without_a_jump_and_a_long_loss_fades() {
    let (mut decoder, last) = in_a_word();
    let mut lost = [0; 8000];
    decoder.conceal(&mut lost);
    let jump = lost[0].abs_diff(last[FRAME_SAMPLES - 1]);
    let steepest = last.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap();
    assert!(jump <= steepest, "{jump} {steepest}");
    assert!(power_db(&lost[..FRAME_SAMPLES]) > power_db(&last) - 6.0);
    assert!(power_db(&lost[7200..]) < power_db(&last) - 30.0, "{}", power_db(&lost[7200..]));
}

#[test]
fn what_is_invented_does_not_depend_on_how_it_is_asked_for() {
    let (mut whole, mut pieces) = ([0; 400], [0; 400]);
    in_a_word().0.conceal(&mut whole);
    let (mut decoder, _) = in_a_word();
    for piece in pieces.chunks_mut(20) {
        decoder.conceal(piece);
    }
    assert_eq!(whole, pieces);
}

/// The recommendation codes a model of speech, and its filters after that favour what is loud.
#[test]
fn level_of_a_tone_is_kept_within_a_decibel() {
    for level in [-40.0, -30.0, -20.0, -10.0, -3.0] {
        let change = level_change_db(level, |samples| decode(&encode(samples)));
        assert!(change.abs() < 1.0, "{change} dB at {level} dBFS");
    }
}
