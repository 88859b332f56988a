use super::*;
use crate::codec::tests::{checksum, level_change_db, voice};

fn encode(mode: Mode, samples: &[i16]) -> Vec<u8> {
    let mut frame = vec![0; samples.len() / mode.samples() * mode.octets()];
    let mode_ms = if mode == Mode::Short { 20 } else { 30 };
    assert_eq!(IlbcEncoder::new(mode_ms).encode(samples, &mut frame), frame.len());
    frame
}

fn decode(mode: Mode, payload: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; payload.len() / mode.octets() * mode.samples()];
    let mut decoder = IlbcDecoder::default();
    let mut count = 0;
    for frame in payload.chunks(mode.octets()) {
        count += decoder.decode(frame, &mut samples[count..]);
    }
    assert_eq!(count, samples.len());
    samples
}

fn octets(samples: &[i16]) -> impl Iterator<Item = u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes())
}

fn energy(samples: &[i16]) -> i64 {
    samples.iter().map(|sample| i64::from(*sample).pow(2)).sum()
}

#[test]
fn output_is_what_was_verified_against_the_reference_code() {
    let voice = voice(7200);
    let (short, long) = (encode(Mode::Short, &voice), encode(Mode::Long, &voice));
    let (heard_short, heard_long) = (decode(Mode::Short, &short), decode(Mode::Long, &long));
    assert_eq!(checksum(short), 0xa4b1_2c7f_82a2_2b83);
    assert_eq!(checksum(long), 0xfaf6_408a_52bb_4065);
    assert_eq!(checksum(octets(&heard_short)), 0x4d85_ae17_4ffb_86bd);
    assert_eq!(checksum(octets(&heard_long)), 0xb5b1_ba86_ca19_d47d);
}

#[test]
fn what_is_invented_is_what_was_verified() {
    for (mode, expected) in
        [(Mode::Short, 0x3121_52a6_5977_0db2), (Mode::Long, 0x8311_d3cc_8c3c_28ae)]
    {
        let frames = encode(mode, &voice(7200));
        let mut decoder = IlbcDecoder::default();
        let mut heard = Vec::new();
        for (n, frame) in frames.chunks(mode.octets()).enumerate() {
            let mut block = vec![0; mode.samples()];
            if matches!(n, 3 | 7..12) {
                decoder.conceal(&mut block);
            } else {
                decoder.decode(frame, &mut block);
            }
            heard.extend(block);
        }
        assert_eq!(checksum(octets(&heard)), expected, "{mode:?}");
    }
}

#[test]
fn the_mode_is_known_by_the_length() {
    let mut decoder = IlbcDecoder::default();
    for (mode, frames) in [(Mode::Short, 1), (Mode::Long, 2), (Mode::Short, 3)] {
        let payload = encode(mode, &voice(frames * mode.samples()));
        let length = frames * mode.samples();
        assert_eq!(decoder.samples(&payload), Ok(length));
        assert_eq!(decoder.decode(&payload, &mut [0; 960]), length);
    }
    for length in [0, 1, 37, 39, 49, 51, 88] {
        assert!(decoder.samples(&vec![0; length]).is_err(), "{length}");
    }
}

#[test]
fn a_frame_that_says_it_is_empty_is_invented() {
    let frames = encode(Mode::Short, &voice(3200));
    let mut decoder = IlbcDecoder::default();
    decoder.decode(&frames, &mut [0; 3200]);
    let mut other = decoder.clone();
    let mut empty = frames[..38].to_vec();
    empty[37] |= 1;
    let (mut block, mut invented) = ([0; 160], [0; 160]);
    decoder.decode(&empty, &mut block);
    other.conceal(&mut invented);
    assert_eq!(block, invented);
    assert!(energy(&block) > 0);
}

#[test]
fn a_long_loss_becomes_silent() {
    for mode in [Mode::Short, Mode::Long] {
        let frames = encode(mode, &voice(4800));
        let mut decoder = IlbcDecoder::default();
        decoder.decode(&frames, &mut [0; 4800]);
        let mut lost = [0; 3200];
        decoder.conceal(&mut lost);
        assert!(energy(&lost[..160]) > 0);
        assert!(lost[3000..].iter().all(|sample| sample.abs() < 4), "{mode:?}");
    }
}

#[test]
fn what_is_invented_does_not_depend_on_how_it_is_asked_for() {
    let mut decoder = IlbcDecoder::default();
    decoder.decode(&encode(Mode::Long, &voice(2400)), &mut [0; 2400]);
    let (mut whole, mut pieces) = ([0; 960], [0; 960]);
    decoder.clone().conceal(&mut whole);
    for piece in pieces.chunks_mut(160) {
        decoder.conceal(piece);
    }
    assert_eq!(whole, pieces);
}

/// The high passes at both ends take a little of it.
#[test]
fn level_of_a_tone_is_kept_within_a_quarter_of_a_decibel() {
    for mode in [Mode::Short, Mode::Long] {
        for level in [-40.0, -30.0, -20.0, -10.0, -3.0] {
            let change = level_change_db(level, |samples| decode(mode, &encode(mode, samples)));
            assert!(change.abs() < 0.25, "{mode:?} {change} dB at {level} dBFS");
        }
    }
}
