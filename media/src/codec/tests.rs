//! What holds for every format.

use media_kernels::Kernels;
use media_units::{Encoding, EncodingParameters};
use proptest::prelude::*;

use super::{Decoder, Encoder, FRAME_BYTES_MAX, PACKET_SAMPLES_MAX};

const KERNELS: Kernels = Kernels::SCALAR;

/// Something like a voice: pulses at a pitch that moves, through two resonances, with breath
/// and pauses. Integers only, so that it is the same everywhere.
pub(crate) fn voice(length: usize) -> Vec<i16> {
    let (mut seed, mut until_pulse) = (1_u32, 0);
    let mut past = [[0_i32; 2]; 2];
    let sample = |n: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut sample = (seed >> 25) as i32 - 64;
        if until_pulse == 0 && (n / 1600) % 5 != 4 {
            until_pulse = 50 + (n / 400) % 30;
            sample += 9000;
        }
        until_pulse = until_pulse.saturating_sub(1);
        // Around 500 Hz and 1700 Hz.
        for (past, [first, second]) in past.iter_mut().zip([[29_000, -15_000], [6900, -13_500]]) {
            sample += (first * past[0] + second * past[1]) >> 14;
            sample = sample.clamp(-30_000, 30_000);
            *past = [sample, past[0]];
        }
        sample as i16
    };
    (0..length).map(sample).collect()
}

/// FNV-1a.
pub(super) fn checksum(octets: impl IntoIterator<Item = u8>) -> u64 {
    octets.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// How much louder a tone of about 1 kHz at this level comes back, once the codec has settled.
pub(super) fn level_change_db(level_dbfs: f64, through: impl Fn(&[i16]) -> Vec<i16>) -> f64 {
    let amplitude = 32_767.0 * 10_f64.powf(level_dbfs / 20.0);
    let phase = std::f64::consts::TAU * 1004.0 / 8000.0;
    let tone: Vec<i16> =
        (0..16_000).map(|n| (amplitude * (phase * n as f64).sin()) as i16).collect();
    let energy = |samples: &[i16]| -> f64 {
        samples[8000..].iter().map(|sample| f64::from(*sample).powi(2)).sum()
    };
    10.0 * (energy(&through(&tone)) / energy(&tone)).log10()
}

fn encoder(encoding: Encoding) -> Encoder {
    Encoder::new(encoding, &EncodingParameters::DEFAULT)
}

#[test]
fn a_decoder_and_an_encoder_are_small() {
    assert!(size_of::<Decoder>() <= 16 && size_of::<Encoder>() <= 16);
}

#[test]
fn a_frame_decodes_to_as_many_samples_as_it_was_made_of() {
    for encoding in Encoding::ALL {
        let mut encoder = encoder(encoding);
        let mut decoder = Decoder::new(encoding);
        let length = 3 * encoding.sample_rate() as usize / 50;
        let (mut frame, mut samples) = ([0; FRAME_BYTES_MAX], [0; PACKET_SAMPLES_MAX]);
        let octets = encoder.encode(&KERNELS, &vec![0; length], &mut frame);
        assert_eq!(decoder.samples(&frame[..octets]), Ok(length), "{encoding}");
        assert_eq!(decoder.decode(&KERNELS, &frame[..octets], &mut samples), length, "{encoding}");
    }
}

proptest! {
    #[test]
    fn any_payload_is_refused_or_decodes_to_what_was_told(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..8),
    ) {
        for encoding in Encoding::ALL {
            let mut decoder = Decoder::new(encoding);
            for payload in &payloads {
                let mut samples = [0; PACKET_SAMPLES_MAX];
                if let Ok(told) = decoder.samples(payload) {
                    prop_assert!((1..=PACKET_SAMPLES_MAX).contains(&told));
                    prop_assert_eq!(decoder.decode(&KERNELS, payload, &mut samples), told);
                } else {
                    decoder.after_loss();
                }
            }
        }
    }
}

/// A tone of about 1 kHz: a sine at full scale has -3 dBov.
fn tone(rate: u32, level_dbov: f64, samples: usize) -> Vec<i16> {
    let amplitude = 32767.0 * 10f64.powf((level_dbov + 3.01) / 20.0);
    let step = std::f64::consts::TAU * 1004.0 / f64::from(rate);
    (0..samples).map(|n| (amplitude * (n as f64 * step).sin()).round() as i16).collect()
}

/// The level of that tone in it.
fn tone_level_dbov(rate: u32, samples: &[i16]) -> f64 {
    let step = std::f64::consts::TAU * 1004.0 / f64::from(rate);
    let (mut cosine, mut sine) = (0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        cosine += f64::from(sample) * (n as f64 * step).cos();
        sine += f64::from(sample) * (n as f64 * step).sin();
    }
    let amplitude = 2.0 * cosine.hypot(sine) / samples.len() as f64;
    20.0 * (amplitude / 32767.0).log10() - 3.01
}

/// There and back, 20 ms at a time.
fn there_and_back(encoding: Encoding, sound: &[i16]) -> Vec<i16> {
    let mut encoder = encoder(encoding);
    let mut decoder = Decoder::new(encoding);
    let (mut frame, mut samples) = ([0; FRAME_BYTES_MAX], [0; PACKET_SAMPLES_MAX]);
    let mut heard = Vec::new();
    for block in sound.chunks_exact(encoding.sample_rate() as usize / 50) {
        let octets = encoder.encode(&KERNELS, block, &mut frame);
        let length = decoder.decode(&KERNELS, &frame[..octets], &mut samples);
        heard.extend_from_slice(&samples[..length]);
    }
    heard
}

#[test]
fn a_tone_keeps_its_level() {
    // The formats that code a model of speech are no such thing; each says so in its own tests.
    let is_modelled = |encoding: Encoding| {
        matches!(encoding, Encoding::Gsm | Encoding::Ilbc) || encoding.is_g729()
    };
    for encoding in Encoding::ALL.into_iter().filter(|encoding| !is_modelled(*encoding)) {
        let rate = encoding.sample_rate();
        for level in [-3.1, -6.0, -10.0, -20.0, -30.0, -40.0, -50.0] {
            let sound = tone(rate, level, rate as usize);
            let heard = there_and_back(encoding, &sound);
            // The first half is for adaptation; what remains is whole cycles.
            let difference = tone_level_dbov(rate, &heard[rate as usize / 2..]) - level;
            assert!(difference.abs() < 0.1, "{encoding} at {level} dBov: {difference} dB");
        }
    }
}
