//! What a phone says: octets of sound, repeated for ever.

use std::sync::Arc;

use media_units::Law;

use crate::code::Code;
use crate::g711;

/// Samples of the longest packet: 60 ms.
const PACKET_SAMPLES_MAX: usize = 480;

/// Encoded sound, shared by all phones that say the same.
#[derive(Debug, Clone)]
pub struct Voice {
    /// One turn and the begin of the next, so that any packet is one slice.
    octets: Arc<[u8]>,
    turn: usize,
    law: Law,
}

impl Voice {
    /// Digital silence.
    pub fn silence(law: Law) -> Self {
        Self::pcm(&[0], law)
    }

    /// A talker's own code, each of its four tones with this amplitude.
    pub fn code(code: Code, amplitude: f32, law: Law) -> Self {
        Self::pcm(&code.turn(amplitude), law)
    }

    /// Samples of 8 kHz, over and over. Nothing is silence.
    pub fn pcm(samples: &[i16], law: Law) -> Self {
        let samples = if samples.is_empty() { &[0] } else { samples };
        let octets = samples.iter().map(|&sample| match sample {
            0 => g711::silence(law),
            _ => g711::encode(law, sample),
        });
        let turn: Vec<u8> = octets.collect();
        let octets = turn.iter().copied().cycle().take(turn.len() + PACKET_SAMPLES_MAX).collect();
        Self { octets, turn: turn.len(), law }
    }

    /// How it is encoded.
    pub fn law(&self) -> Law {
        self.law
    }

    /// The octets from sample number `first` on, at most 60 ms.
    pub fn payload(&self, first: u64, samples: usize) -> &[u8] {
        let start = (first % self.turn as u64) as usize;
        &self.octets[start..start + samples.min(PACKET_SAMPLES_MAX)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_repeats_without_a_seam() {
        let samples: Vec<i16> = (1..=50).map(|n| n * 600).collect();
        let voice = Voice::pcm(&samples, Law::A);
        let long: Vec<u8> = (0..20).flat_map(|n| voice.payload(n * 30, 30).to_vec()).collect();
        for (n, octet) in long.iter().enumerate() {
            assert_eq!(*octet, g711::encode(Law::A, samples[n % 50]));
        }
    }

    #[test]
    fn silence_is_the_octet_of_silence() {
        assert!(Voice::silence(Law::Mu).payload(12345, 160).iter().all(|&o| o == 0xff));
        assert!(Voice::silence(Law::A).payload(1, 80).iter().all(|&o| o == 0xd5));
    }
}
