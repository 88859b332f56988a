use super::frame::Frame;
use super::*;
use crate::codec::tests::{checksum, level_change_db, voice};

const OCTETS: usize = 33;

fn encode(samples: &[i16]) -> Vec<u8> {
    let mut frame = vec![0; samples.len() / FRAME_SAMPLES * OCTETS];
    assert_eq!(GsmEncoder::default().encode(samples, &mut frame), frame.len());
    frame
}

fn decode(payload: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; payload.len() / OCTETS * FRAME_SAMPLES];
    assert_eq!(GsmDecoder::default().decode(payload, &mut samples), samples.len());
    samples
}

fn octets(samples: &[i16]) -> impl Iterator<Item = u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes())
}

/// A description of silence that has loudness and spectrum of this frame.
pub(crate) fn silence_descriptor(octets: &[u8]) -> [u8; OCTETS] {
    let mut frame = Frame::read(octets.try_into().unwrap());
    for subframe in &mut frame.subframes {
        *subframe = frame::Subframe { peak: subframe.peak, ..frame::Subframe::default() };
    }
    frame.write()
}

/// Noise below 1 kHz or so.
fn room_noise(samples: usize) -> Vec<i16> {
    let mut random = crate::Random::new(5);
    let mut smooth = 0_i32;
    let sample = |_| {
        smooth += ((random.next_u32() as i16 as i32) / 64 - smooth) / 3;
        smooth as i16
    };
    (0..samples).map(sample).collect()
}

fn power_db(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    10.0 * (energy / samples.len() as f64).log10()
}

#[test]
fn a_description_of_silence_is_heard_as_noise_of_its_loudness_and_the_pause_behind_it_too() {
    let noise = room_noise(50 * FRAME_SAMPLES);
    let frames = encode(&noise);
    let described = silence_descriptor(&frames[30 * OCTETS..31 * OCTETS]);
    let heard = decode(&described.repeat(20));
    let expected = power_db(&noise);
    assert!((power_db(&heard[FRAME_SAMPLES..]) - expected).abs() < 3.0, "{expected}");
    let pause = GsmDecoder::default().pause_after(&described).unwrap();
    let level = 90.3 - power_db(&heard[FRAME_SAMPLES..]);
    assert!((f64::from(pause.level_dbov()) - level).abs() < 1.5, "{pause:?} {level}");
    // 13 pulses in place, each time others: nothing hums.
    assert_ne!(
        heard[FRAME_SAMPLES..2 * FRAME_SAMPLES],
        heard[2 * FRAME_SAMPLES..3 * FRAME_SAMPLES]
    );
}

#[test]
fn speech_and_silence_that_are_encoded_are_never_taken_for_a_description() {
    let quiet: Vec<i16> = voice(16_000).iter().map(|sample| sample / 500).collect();
    for samples in [voice(16_000), quiet, room_noise(16_000), vec![0; 16_000]] {
        let frames = encode(&samples);
        let decoder = GsmDecoder::default();
        let described = |frame: &&[u8]| decoder.pause_after(frame).is_some();
        assert_eq!(frames.chunks(OCTETS).filter(described).count(), 0);
    }
}

#[test]
fn output_is_what_was_verified_against_another_implementation() {
    let frames = encode(&voice(8000));
    let samples = decode(&frames);
    assert_eq!(checksum(frames), 0x0c80_d90c_0e27_0112);
    assert_eq!(checksum(octets(&samples)), 0x87c0_45f6_8b0c_3b2c);
}

#[test]
fn arbitrary_frames_decode_to_what_was_verified() {
    let mut seed = 7_u32;
    let frames: Vec<u8> = (0..100 * OCTETS)
        .map(|n| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let octet = (seed >> 24) as u8;
            if n % OCTETS == 0 { 0xd0 | octet & 15 } else { octet }
        })
        .collect();
    assert_eq!(checksum(octets(&decode(&frames))), 0x5362_9842_9ef0_76fc);
}

#[test]
fn a_packet_may_hold_several_frames_but_no_part_of_one() {
    let frames = encode(&voice(3 * FRAME_SAMPLES));
    let decoder = GsmDecoder::default();
    assert_eq!(decoder.samples(&frames), Ok(3 * FRAME_SAMPLES));
    assert!(decoder.samples(&frames[..=OCTETS]).is_err());
    let mut other = frames;
    other[OCTETS] ^= 0x10;
    assert!(decoder.samples(&other).is_err(), "the second frame lost its signature");
}

#[test]
fn a_lost_frame_is_heard_and_a_long_loss_is_silent() {
    let frames = encode(&voice(3200));
    let mut decoder = GsmDecoder::default();
    let mut samples = [0; 3200];
    decoder.decode(&frames, &mut samples);
    let energy = |samples: &[i16]| samples.iter().map(|s| i64::from(*s).pow(2)).sum::<i64>();
    let before = energy(&samples[3200 - FRAME_SAMPLES..]);

    let mut block = [0; FRAME_SAMPLES];
    decoder.conceal(&mut block);
    assert!(energy(&block) > before / 8, "{} {before}", energy(&block));
    for _ in 0..20 {
        decoder.conceal(&mut block);
    }
    assert!(block.iter().all(|sample| sample.abs() < 100), "{block:?}");
}

#[test]
fn what_is_invented_does_not_depend_on_how_it_is_asked_for() {
    let frames = encode(&voice(1600));
    let mut decoder = GsmDecoder::default();
    decoder.decode(&frames, &mut [0; 1600]);
    let (mut whole, mut pieces) = ([0; 800], [0; 800]);
    decoder.clone().conceal(&mut whole);
    for piece in pieces.chunks_mut(70) {
        decoder.conceal(piece);
    }
    assert_eq!(whole, pieces);
}

/// The standard's own loss: its pulses are coarse, and the more so the softer the sound.
#[test]
fn level_of_a_tone_is_kept_as_near_as_the_standard_allows() {
    for (level, most) in [(-40.0, 1.5), (-30.0, 1.0), (-20.0, 0.5), (-10.0, 0.4), (-3.0, 0.4)] {
        let change = level_change_db(level, |samples| decode(&encode(samples)));
        assert!(change.abs() < most, "{change} dB at {level} dBFS");
    }
}
