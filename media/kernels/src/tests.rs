//! Every level against the scalar one, and the scalar one against the letter of G.711.

use media_units::{BLOCK_SAMPLES, Block, Sum};
use proptest::prelude::*;

use crate::{Kernels, Level};

/// The kernels of this machine.
fn levels() -> impl Iterator<Item = Kernels> {
    Kernels::levels_available().filter_map(Kernels::at)
}

fn all_samples() -> Vec<i16> {
    (i16::MIN..=i16::MAX).collect()
}

fn all_codes() -> Vec<u8> {
    (u8::MIN..=u8::MAX).collect()
}

/// A Weyl sequence: cheap, seedless, and every part of the range occurs.
fn noise(length: usize) -> Vec<i16> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_769) >> 16) as i16).collect()
}

type Decode = fn(&Kernels, &[u8], &mut [i16]);
type Encode = fn(&Kernels, &[i16], &mut [u8]);
const DECODERS: [Decode; 2] = [Kernels::decode_ulaw, Kernels::decode_alaw];
const ENCODERS: [Encode; 2] = [Kernels::encode_ulaw, Kernels::encode_alaw];

/// ITU-T G.191's statement of mu-law encoding, literally: 14 bits, one's complement.
fn ulaw_by_the_book(sample: i16) -> u8 {
    let magnitude = if sample < 0 { (!sample >> 2) + 33 } else { (sample >> 2) + 33 };
    let magnitude = magnitude.min(0x1fff);
    let mut segment = 1;
    let mut rest = magnitude >> 6;
    while rest != 0 {
        segment += 1;
        rest >>= 1;
    }
    let code = (8 - segment) << 4 | (15 - (magnitude >> segment & 15));
    code as u8 | if sample >= 0 { 0x80 } else { 0 }
}

/// ITU-T G.191's statement of A-law encoding, literally: 12 bits, one's complement.
fn alaw_by_the_book(sample: i16) -> u8 {
    let mut value = if sample < 0 { !sample >> 4 } else { sample >> 4 };
    if value > 15 {
        let mut exponent = 1;
        while value > 31 {
            value >>= 1;
            exponent += 1;
        }
        value = value - 16 + (exponent << 4);
    }
    (value as u8 | if sample >= 0 { 0x80 } else { 0 }) ^ 0x55
}

#[test]
fn encoding_follows_the_reference_code_for_every_sample() {
    let samples = all_samples();
    let mut codes = vec![0; samples.len()];
    Kernels::SCALAR.encode_ulaw(&samples, &mut codes);
    for (&sample, &code) in samples.iter().zip(&codes) {
        assert_eq!(code, ulaw_by_the_book(sample), "mu-law of {sample}");
    }
    Kernels::SCALAR.encode_alaw(&samples, &mut codes);
    for (&sample, &code) in samples.iter().zip(&codes) {
        assert_eq!(code, alaw_by_the_book(sample), "A-law of {sample}");
    }
}

#[test]
fn decoding_gives_the_values_of_the_standard() {
    let mut samples = [0; 4];
    Kernels::SCALAR.decode_ulaw(&[0xff, 0x7f, 0x80, 0x00], &mut samples);
    assert_eq!(samples, [0, 0, 32124, -32124]);
    Kernels::SCALAR.decode_alaw(&[0xd5, 0x55, 0xaa, 0x2a], &mut samples);
    assert_eq!(samples, [8, -8, 32256, -32256]);
}

#[test]
fn a_decoded_code_encodes_to_itself_but_for_negative_zero() {
    let (codes, mut samples, mut again) = (all_codes(), vec![0; 256], vec![0; 256]);
    for kernels in levels() {
        kernels.decode_alaw(&codes, &mut samples);
        kernels.encode_alaw(&samples, &mut again);
        assert_eq!(again, codes);
        kernels.decode_ulaw(&codes, &mut samples);
        kernels.encode_ulaw(&samples, &mut again);
        assert_eq!((codes[0x7f], again[0x7f]), (0x7f, 0xff), "mu-law has two zeroes");
        again[0x7f] = 0x7f;
        assert_eq!(again, codes);
    }
}

#[test]
fn every_level_codes_every_value_alike() {
    let (codes, samples) = (all_codes(), all_samples());
    for kernels in levels() {
        for decode in DECODERS {
            let (mut expected, mut got) = (vec![0; 256], vec![0; 256]);
            decode(&Kernels::SCALAR, &codes, &mut expected);
            decode(&kernels, &codes, &mut got);
            assert_eq!(got, expected, "{}", kernels.level());
        }
        for encode in ENCODERS {
            let (mut expected, mut got) = (vec![0; 65536], vec![0; 65536]);
            encode(&Kernels::SCALAR, &samples, &mut expected);
            encode(&kernels, &samples, &mut got);
            assert_eq!(got, expected, "{}", kernels.level());
        }
    }
}

#[test]
fn every_length_and_alignment_is_coded_alike_and_nothing_is_written_beyond() {
    let noise = noise(1024 + 2);
    let bytes: Vec<u8> = noise.iter().map(|&sample| sample as u8).collect();
    for kernels in levels() {
        for length in 0..=1024 {
            let offset = length % 3;
            for decode in DECODERS {
                let (mut expected, mut got) = (vec![77; length + 3], vec![77; length + 3]);
                let codes = &bytes[offset..offset + length];
                decode(&Kernels::SCALAR, codes, &mut expected[1..=length]);
                decode(&kernels, codes, &mut got[1..=length]);
                assert_eq!(got, expected, "{} {length}", kernels.level());
            }
            for encode in ENCODERS {
                let (mut expected, mut got) = (vec![77; length + 3], vec![77; length + 3]);
                let samples = &noise[offset..offset + length];
                encode(&Kernels::SCALAR, samples, &mut expected[1..=length]);
                encode(&kernels, samples, &mut got[1..=length]);
                assert_eq!(got, expected, "{} {length}", kernels.level());
            }
        }
    }
}

#[test]
#[should_panic(expected = "one code is one sample")]
fn slices_of_different_lengths_are_a_fault() {
    Kernels::SCALAR.decode_ulaw(&[0; 160], &mut [0; 159]);
}

#[test]
fn clipping_happens_once_after_the_subtraction() {
    let loud = Block([i16::MAX; BLOCK_SAMPLES]);
    for kernels in levels() {
        let (mut sum, mut out) = (Sum::ZERO, Block::SILENCE);
        kernels.add(&mut sum, &loud);
        kernels.add(&mut sum, &loud);
        kernels.narrow(&sum, &mut out);
        assert_eq!(out, loud, "the sum of two is clipped");
        kernels.minus(&sum, &loud, &mut out);
        assert_eq!(out, loud, "one without the other is exact");
    }
}

#[test]
fn measures_hold_at_full_scale() {
    let lowest = Block([i16::MIN; BLOCK_SAMPLES]);
    for kernels in levels() {
        assert_eq!(kernels.energy(&lowest), 160 << 30);
        assert_eq!(kernels.peak(&lowest), 32768);
        assert_eq!((kernels.energy(&Block::SILENCE), kernels.peak(&Block::SILENCE)), (0, 0));
    }
}

#[test]
fn the_fastest_level_is_detected() {
    let fastest = Kernels::levels_available().max().unwrap();
    assert_eq!(Kernels::detect().level(), fastest);
    assert_eq!(Kernels::at(Level::Scalar).unwrap().level(), Level::Scalar);
}

fn block() -> impl Strategy<Value = Block> {
    proptest::collection::vec(any::<i16>(), BLOCK_SAMPLES)
        .prop_map(|samples| Block(samples.try_into().unwrap()))
}

proptest! {
    #[test]
    fn a_listener_hears_the_exact_sum_of_the_others(blocks in proptest::collection::vec(block(), 1..6)) {
        for kernels in levels() {
            let mut sum = Sum::ZERO;
            blocks.iter().for_each(|block| kernels.add(&mut sum, block));
            let mut heard = Block::SILENCE;
            kernels.minus(&sum, &blocks[0], &mut heard);
            let mut all = Block::SILENCE;
            kernels.narrow(&sum, &mut all);
            for i in 0..BLOCK_SAMPLES {
                let others: i32 = blocks[1..].iter().map(|block| i32::from(block.0[i])).sum();
                let everyone = others + i32::from(blocks[0].0[i]);
                prop_assert_eq!(i32::from(heard.0[i]), others.clamp(-32768, 32767));
                prop_assert_eq!(i32::from(all.0[i]), everyone.clamp(-32768, 32767));
            }
        }
    }

    #[test]
    fn every_level_measures_alike(block in block()) {
        let energy: i64 = block.0.iter().map(|&s| i64::from(s) * i64::from(s)).sum();
        let peak = block.0.iter().map(|&s| i32::from(s).abs()).max().unwrap();
        for kernels in levels() {
            prop_assert_eq!(kernels.energy(&block), energy as u64);
            prop_assert_eq!(i32::from(kernels.peak(&block)), peak);
        }
    }
}
