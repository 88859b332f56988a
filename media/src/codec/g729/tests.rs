use super::*;
use crate::codec::tests::{level_change_db, voice};

/// What an encoder with Annex B (libbcg729's) sent of noise below 1 kHz at -48 dBov: four frames of
/// speech, and a description of silence.
pub(crate) const ROOM_NOISE: [[u8; 42]; 3] = [
    [
        0x60, 0x1e, 0xf6, 0xfa, 0x93, 0x38, 0x2c, 0x15, 0x33, 0xb6, 0x12, 0x42, 0x9c, 0xc9, 0x65,
        0x6f, 0x73, 0xa5, 0x25, 0xc0, 0x78, 0x1b, 0x6f, 0x43, 0x87, 0xb7, 0xf5, 0x3d, 0x38, 0xf8,
        0xe0, 0xfb, 0x7e, 0x1c, 0xe8, 0x6e, 0xc4, 0xa0, 0xab, 0x78, 0x74, 0xde,
    ],
    [
        0x24, 0xaa, 0xdc, 0x04, 0xec, 0xdf, 0x09, 0x5a, 0xf0, 0xb0, 0x15, 0x43, 0x71, 0x40, 0xdf,
        0xf9, 0xc4, 0x9b, 0xc1, 0x72, 0xe0, 0xe3, 0x78, 0xda, 0x8b, 0xc8, 0x5e, 0xed, 0xc1, 0xc2,
        0x04, 0xf3, 0x60, 0xd0, 0x61, 0x01, 0xdb, 0x7c, 0xc2, 0xf2, 0x35, 0x9e,
    ],
    [
        0x60, 0xff, 0x33, 0x35, 0xdd, 0x88, 0x5c, 0x50, 0xa4, 0x7e, 0x04, 0xe2, 0xd9, 0x55, 0xd8,
        0xd0, 0x1c, 0x99, 0xb2, 0x7e, 0x60, 0x24, 0xf2, 0x1c, 0x6e, 0xe8, 0x4b, 0xec, 0x24, 0xfa,
        0x78, 0xd9, 0xb4, 0x08, 0x79, 0xae, 0x53, 0x08, 0xee, 0xf4, 0x28, 0x5e,
    ],
];

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
    for payload in ROOM_NOISE {
        let mut decoder = G729Decoder::default();
        let pause = decoder.pause_after(&payload).unwrap();
        assert!(pause.level_dbov().abs_diff(48) <= 3, "{pause:?}");

        let mut heard = [0; 55 * FRAME_SAMPLES];
        assert_eq!(decoder.decode(&payload, &mut heard), 5 * FRAME_SAMPLES);
        decoder.conceal(&mut heard[5 * FRAME_SAMPLES..]);
        let level = 90.3 - power_db(&heard[5 * FRAME_SAMPLES..]);
        assert!((level - f64::from(pause.level_dbov())).abs() < 2.0, "{level} {pause:?}");
    }
}

#[test]
fn how_a_pause_sounds_is_the_same_in_whatever_packets_it_came_and_whatever_was_before() {
    let [payload, ..] = ROOM_NOISE;
    let expected = G729Decoder::default().pause_after(&payload);
    let (decoder, _) = in_a_word();
    decoder.pause_after(&ROOM_NOISE[1]);
    for frame in payload[..40].chunks(FRAME_OCTETS) {
        assert_eq!(decoder.pause_after(frame), None);
    }
    assert_eq!(decoder.pause_after(&payload[40..]), expected);
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
fn level_of_a_tone_is_kept_within_a_good_decibel() {
    for level in [-40.0, -30.0, -20.0, -10.0, -3.0] {
        let change = level_change_db(level, |samples| decode(&encode(samples)));
        assert!(change.abs() < 1.2, "{change} dB at {level} dBFS");
    }
}
