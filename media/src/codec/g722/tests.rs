//! Output that was compared with the ITU-T's own software (docs/codecs.md says how), kept as
//! checksums, and what must hold whatever comes.

use proptest::prelude::*;

use super::super::continuity::voice_at;
use super::super::tests::checksum;
use super::*;

fn encoded(samples: &[i16]) -> Vec<u8> {
    let mut frame = vec![0; samples.len() / 2];
    G722Encoder::default().encode(samples, &mut frame);
    frame
}

fn decoded(octets: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; 2 * octets.len()];
    G722Decoder::default().decode(octets, &mut samples);
    samples
}

fn octets(samples: &[i16]) -> impl Iterator<Item = u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes())
}

/// Numbers without pattern, as loud as can be.
fn noise(length: usize) -> Vec<i16> {
    let mut seed = 7_u32;
    let next = |_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as i16
    };
    (0..length).map(next).collect()
}

#[test]
fn output_is_what_was_verified_against_the_software_of_the_recommendation() {
    let sums = |samples: &[i16]| {
        let frame = encoded(samples);
        (checksum(frame.iter().copied()), checksum(octets(&decoded(&frame))))
    };
    let voice = sums(&voice_at(16_000, 2));
    assert_eq!(voice, (0xab0f_ae1e_b2eb_6a79, 0xdab7_ad17_fe6b_479b));
    let noise = sums(&noise(32_000));
    assert_eq!(noise, (0xf722_b13e_039b_9690, 0x055c_1fe4_8ca1_be32));
}

#[test]
fn any_octets_decode_to_what_was_verified() {
    let frame: Vec<u8> = noise(16_000).iter().map(|&sample| sample as u8).collect();
    assert_eq!(checksum(octets(&decoded(&frame))), 0xeb77_3685_1c37_4d81);
}

#[test]
fn wideband_sound_comes_back_22_samples_later() {
    let voice = voice_at(16_000, 2);
    let heard = decoded(&encoded(&voice));
    let energy = |s: &mut dyn Iterator<Item = f64>| s.map(|s| s * s).sum::<f64>();
    let pairs = heard[22..].iter().zip(&voice);
    let noise = energy(&mut pairs.map(|(&h, &v)| f64::from(h) - f64::from(v)));
    let signal = energy(&mut voice.iter().map(|&v| f64::from(v)));
    assert!(signal > 30.0 * noise, "15 dB: {}", signal / noise);
}

#[test]
fn a_loss_is_forgotten_within_half_a_second() {
    let frame = encoded(&voice_at(16_000, 4));
    let whole = decoded(&frame);
    let mut decoder = G722Decoder::default();
    let mut samples = vec![0; whole.len()];
    decoder.decode(&frame[..16_000], &mut samples);
    decoder.after_loss();
    let (begins, settled) = (16_000 + 160, 2 * 4000);
    let count = decoder.decode(&frame[begins..], &mut samples);
    let pairs = samples[settled..count].iter().zip(&whole[2 * begins + settled..]);
    assert!(pairs.clone().all(|(&s, &w)| s.abs_diff(w) < 300));
    assert!(pairs.clone().filter(|(s, w)| s == w).count() > pairs.count() / 4);
}

proptest! {
    #[test]
    fn packets_of_any_length_are_the_same_stream(
        lengths in proptest::collection::vec(1_usize..300, 1..6),
        frame in proptest::collection::vec(any::<u8>(), 1500),
    ) {
        let (mut decoder, mut encoder) = (G722Decoder::default(), G722Encoder::default());
        let (mut samples, mut again) = (Vec::new(), Vec::new());
        let mut rest = &frame[..];
        for length in lengths {
            let (packet, left) = rest.split_at(length);
            let (mut some, mut octets) = (vec![0; 2 * length], vec![0; length]);
            prop_assert_eq!(decoder.decode(packet, &mut some), 2 * length);
            prop_assert_eq!(encoder.encode(&some, &mut octets), length);
            samples.extend(some);
            again.extend(octets);
            rest = left;
        }
        let whole = &frame[..frame.len() - rest.len()];
        prop_assert_eq!(&samples, &decoded(whole));
        prop_assert_eq!(&again, &encoded(&samples));
    }
}
