//! Every level against the scalar one, and the scalar one against the letter of G.711.

use proptest::prelude::*;

use crate::{GAIN_BITS, GAIN_MAX, Kernels, Level};

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
    let loud = [i16::MAX; 160];
    for kernels in levels() {
        let (mut sums, mut out) = ([0; 160], [0; 160]);
        kernels.add(&mut sums, &loud);
        kernels.add(&mut sums, &loud);
        assert!(kernels.narrow(&sums, &mut out));
        assert_eq!(out, loud, "the sum of two is clipped");
        assert!(!kernels.minus(&sums, &loud, &mut out));
        assert_eq!(out, loud, "one without the other is exact");
    }
}

#[test]
fn clipping_is_told_from_the_first_value_beyond_16_bits() {
    for kernels in levels() {
        for (sum, is_clipped) in
            [(32_767, false), (32_768, true), (-32_768, false), (-32_769, true)]
        {
            for at in [0, 159, 160, 331] {
                let (mut sums, mut out) = ([0; 332], [0; 332]);
                sums[at] = sum;
                assert_eq!(kernels.narrow(&sums, &mut out), is_clipped, "{sum} at {at}");
                assert_eq!(kernels.minus(&sums, &[0; 332], &mut out), is_clipped);
            }
        }
    }
}

#[test]
fn measures_hold_at_full_scale() {
    let lowest = [i16::MIN; 160];
    for kernels in levels() {
        assert_eq!(kernels.energy(&lowest), 160 << 30);
        assert_eq!(kernels.peak(&lowest), 32768);
        assert_eq!((kernels.energy(&[0; 160]), kernels.peak(&[0; 160])), (0, 0));
    }
}

#[test]
fn unity_is_no_change_and_a_gain_is_what_its_number_says() {
    let unity = 1 << GAIN_BITS;
    for kernels in levels() {
        let mut samples = all_samples();
        kernels.gain(&mut samples, unity, unity);
        assert_eq!(samples, all_samples());
        for gain in [66, 6554, 46_396, 92_682, 207_243, GAIN_MAX] {
            kernels.gain(&mut samples, gain, gain);
            for (got, before) in samples.iter().zip(all_samples()) {
                let exact = f64::from(before) * f64::from(gain) / f64::from(unity);
                let exact = exact.clamp(-32768.0, 32767.0);
                let error = (f64::from(*got) - exact).abs();
                assert!(error <= 0.5 + exact.abs() / 16_384.0, "{before} times {gain}: {got}");
            }
            samples = all_samples();
        }
    }
}

#[test]
fn a_ramp_leads_evenly_from_one_gain_to_the_other() {
    let unity = 1 << GAIN_BITS;
    for kernels in levels() {
        let mut samples = [10_000; 960];
        kernels.gain(&mut samples, 0, unity);
        assert!(samples.windows(2).all(|pair| (9..=12).contains(&(pair[1] - pair[0]))));
        assert!((10..=11).contains(&samples[0]) && samples[959] >= 9_990);
        let mut samples = [10_000; 960];
        kernels.gain(&mut samples, 2 * unity, 0);
        assert!(samples.windows(2).all(|pair| (-22..=-20).contains(&(pair[1] - pair[0]))));
        assert!(samples[959].abs() <= 20);
    }
}

#[test]
fn the_fastest_level_is_detected() {
    let fastest = Kernels::levels_available().max().unwrap();
    assert_eq!(Kernels::detect().level(), fastest);
    assert_eq!(Kernels::at(Level::Scalar).unwrap().level(), Level::Scalar);
}

/// As many samples as the blocks of all rates have, and other lengths.
fn samples() -> impl Strategy<Value = Vec<i16>> {
    let length = prop_oneof![Just(160_usize), Just(320), Just(960), 1..200_usize];
    length.prop_flat_map(|length| proptest::collection::vec(any::<i16>(), length))
}

proptest! {
    #[test]
    fn a_listener_hears_the_exact_sum_of_the_others(first in samples(), others in proptest::collection::vec(any::<i16>(), 0..5)) {
        let blocks: Vec<Vec<i16>> = std::iter::once(first.clone())
            .chain(others.iter().map(|&seed| first.iter().rev().map(|s| s.wrapping_mul(seed)).collect()))
            .collect();
        for kernels in levels() {
            let mut sums = vec![0; first.len()];
            blocks.iter().for_each(|block| kernels.add(&mut sums, block));
            let (mut heard, mut all) = (vec![0; first.len()], vec![0; first.len()]);
            let heard_is_clipped = kernels.minus(&sums, &first, &mut heard);
            let all_is_clipped = kernels.narrow(&sums, &mut all);
            let clip = |sum: i32| sum.clamp(-32768, 32767) as i16;
            let mut is_clipped = [false; 2];
            for i in 0..first.len() {
                let others: i32 = blocks[1..].iter().map(|block| i32::from(block[i])).sum();
                let everyone = others + i32::from(first[i]);
                prop_assert_eq!(heard[i], clip(others));
                prop_assert_eq!(all[i], clip(everyone));
                is_clipped[0] |= others != i32::from(heard[i]);
                is_clipped[1] |= everyone != i32::from(all[i]);
            }
            prop_assert_eq!([heard_is_clipped, all_is_clipped], is_clipped);
        }
    }

    #[test]
    fn every_level_measures_alike(samples in samples()) {
        let energy: i64 = samples.iter().map(|&s| i64::from(s) * i64::from(s)).sum();
        let peak = samples.iter().map(|&s| i32::from(s).abs()).max().unwrap();
        for kernels in levels() {
            prop_assert_eq!(kernels.energy(&samples), energy as u64);
            prop_assert_eq!(i32::from(kernels.peak(&samples)), peak);
        }
    }

    #[test]
    fn every_level_amplifies_alike(samples in samples(), from in 0..=GAIN_MAX, to in 0..=GAIN_MAX) {
        let mut expected = samples.clone();
        Kernels::SCALAR.gain(&mut expected, from, to);
        for kernels in levels() {
            let mut got = samples.clone();
            kernels.gain(&mut got, from, to);
            prop_assert_eq!(&got, &expected, "{}", kernels.level());
        }
    }

    #[test]
    fn every_level_filters_by_the_definition(
        samples in samples(), pairs in 1..40_usize, tap in any::<i16>(), start in any::<i32>(),
    ) {
        let taps: Vec<i16> = (0..2 * pairs).map(|at| tap.wrapping_mul(at as i16 + 1)).collect();
        let Some(length) = (samples.len() + 1).checked_sub(taps.len()) else { return Ok(()) };
        for kernels in levels() {
            let mut sums = vec![start; length];
            kernels.fir(&samples, &taps, &mut sums);
            for (at, sum) in sums.iter().enumerate() {
                let products = taps.iter().zip(&samples[at..]);
                let expected = products.fold(start, |sum, (&tap, &sample)| {
                    sum.wrapping_add(i32::from(tap) * i32::from(sample))
                });
                prop_assert_eq!(*sum, expected, "{} {}", kernels.level(), at);
            }
        }
    }
}
