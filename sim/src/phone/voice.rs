//! What a phone says: encoded sound, repeated for ever.
//!
//! G.711 is a row of octets, so that any packet time is a slice of it; it comes from our own twin.
//! Formats with a memory are encoded by the server's own encoders, in packets of 20 ms, twice in
//! a row: what is repeated is the second time, when the encoder has settled. 64 packets hold five
//! turns of a code, so the sound goes on without a seam.

use std::sync::Arc;

use media::codec::{Encoder, FRAME_BYTES_MAX};
use media_kernels::Kernels;
use media_units::{Encoding, EncodingParameters, Law};

use crate::code::Code;
use crate::g711;

/// Samples of the longest packet: 60 ms.
const PACKET_SAMPLES_MAX: usize = 480;

/// Packets of 20 ms after which every code begins its turn again.
const TURN_PACKETS: usize = 64;

/// Encoded sound, shared by all phones that say the same.
#[derive(Debug, Clone)]
pub struct Voice {
    sound: Sound,
    encoding: Encoding,
}

#[derive(Debug, Clone)]
enum Sound {
    /// One turn and the begin of the next, so that any packet is one slice.
    Octets { octets: Arc<[u8]>, turn: usize },
    /// Packets of 20 ms.
    Packets(Arc<[Vec<u8>]>),
}

impl Voice {
    /// Digital silence.
    pub fn silence(encoding: impl Into<Encoding>) -> Self {
        // A second of it: a packet of some formats follows the one before, and is a click behind itself.
        Self::pcm(&[0; 8000], encoding)
    }

    /// A talker's own code, each of its four tones with this amplitude.
    pub fn code(code: Code, amplitude: f32, encoding: impl Into<Encoding>) -> Self {
        let encoding = encoding.into();
        match encoding.law() {
            Some(law) => Self::octets(&code.turn(amplitude), law),
            None => Self::packets(encoding, TURN_PACKETS, |n| {
                code.sample(amplitude, n, encoding.sample_rate())
            }),
        }
    }

    /// Samples of 8 kHz, over and over. Nothing is silence.
    pub fn pcm(samples: &[i16], encoding: impl Into<Encoding>) -> Self {
        let encoding = encoding.into();
        let samples = if samples.is_empty() { &[0] } else { samples };
        match encoding.law() {
            Some(law) => Self::octets(samples, law),
            None => Self::packets(encoding, samples.len().div_ceil(160), |n| {
                between(samples, n, encoding.sample_rate())
            }),
        }
    }

    fn octets(samples: &[i16], law: Law) -> Self {
        let octets = samples.iter().map(|&sample| match sample {
            0 => g711::silence(law),
            _ => g711::encode(law, sample),
        });
        let turn: Vec<u8> = octets.collect();
        let octets = turn.iter().copied().cycle().take(turn.len() + PACKET_SAMPLES_MAX).collect();
        Self { sound: Sound::Octets { octets, turn: turn.len() }, encoding: law.into() }
    }

    /// `sample` says each sample at the format's own rate.
    fn packets(encoding: Encoding, count: usize, sample: impl Fn(u64) -> i16) -> Self {
        let parameters = EncodingParameters { ilbc_mode_ms: 20, ..EncodingParameters::DEFAULT };
        let mut encoder = Encoder::new(encoding, &parameters);
        let length = encoding.sample_rate() as usize / 50;
        let mut encode = |number: usize| {
            let first = (number * length) as u64;
            let samples: Vec<i16> = (first..first + length as u64).map(&sample).collect();
            let mut frame = vec![0; FRAME_BYTES_MAX];
            let octets = encoder.encode(&Kernels::SCALAR, &samples, &mut frame);
            frame.truncate(octets);
            frame
        };
        for number in 0..count {
            encode(number);
        }
        let sound = Sound::Packets((count..2 * count).map(encode).collect());
        Self { sound, encoding }
    }

    /// How it is encoded.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The packet from the time of sample number `first` of 8 kHz on, at most 60 ms; of all but
    /// G.711 always 20 ms.
    pub fn payload(&self, first: u64, samples: usize) -> &[u8] {
        match &self.sound {
            Sound::Octets { octets, turn } => {
                let start = (first % *turn as u64) as usize;
                &octets[start..start + samples.min(PACKET_SAMPLES_MAX)]
            }
            Sound::Packets(packets) => {
                let number = first / samples.max(1) as u64;
                &packets[(number % packets.len() as u64) as usize]
            }
        }
    }
}

/// Sample number `n` at `rate` of what repeats these samples of 8 kHz, on a straight line between
/// two of them.
fn between(samples: &[i16], n: u64, rate: u32) -> i16 {
    let position = n * 8000;
    let (whole, part) = (position / u64::from(rate), position % u64::from(rate));
    let at = |index: u64| i64::from(samples[(index % samples.len() as u64) as usize]);
    let (one, next) = (at(whole), at(whole + 1));
    (one + (next - one) * part as i64 / i64::from(rate)) as i16
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

    #[test]
    fn samples_are_raised_to_a_higher_rate_on_straight_lines() {
        let samples = [0, 600];
        let raised: Vec<i16> = (0..12).map(|n| between(&samples, n, 48_000)).collect();
        assert_eq!(raised, [0, 100, 200, 300, 400, 500, 600, 500, 400, 300, 200, 100]);
    }
}
