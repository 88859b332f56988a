//! Any payloads to the decoder of any format, with losses, concealment and recovery in between:
//! nothing panics, and each payload is as long as was told before. Comfort noise too.

use media::codec::{Decoder, PACKET_SAMPLES_MAX};
use media::comfort_noise::{ComfortNoise, NoiseGenerator};
use media_kernels::Kernels;
use media_units::Encoding;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((&encoding, mut rest)) = bytes.split_first() else {
        return;
    };
    let encoding = Encoding::ALL[usize::from(encoding) % Encoding::ALL.len()];
    let mut decoder = Decoder::new(encoding);
    let mut generator = NoiseGenerator::new(encoding.sample_rate(), 1);
    let period = encoding.sample_rate() as usize / 50;
    let mut samples = [0; PACKET_SAMPLES_MAX];
    // Each step: what to do, the length of a payload, the payload.
    while let [step, length, following @ ..] = rest {
        let (payload, left) = following.split_at(usize::from(*length).min(following.len()));
        rest = left;
        match step % 8 {
            0 => decoder.reset(),
            1 => decoder.after_loss(),
            2 => {
                decoder.conceal(&mut samples[..period]);
            }
            3 => {
                decoder.recover(payload, &mut samples[..period]);
            }
            4 => {
                if let Ok(noise) = ComfortNoise::parse(payload) {
                    generator.describe(&noise);
                }
                generator.fill(&mut samples[..period]);
            }
            _ => {
                if let Ok(told) = decoder.samples(payload) {
                    assert!((1..=PACKET_SAMPLES_MAX).contains(&told));
                    let samples = &mut samples[..told];
                    assert_eq!(decoder.decode(&Kernels::SCALAR, payload, samples), told);
                }
            }
        }
    }
}
