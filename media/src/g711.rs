//! G.711 by name of its law (RFC 3551 section 4.5.14): one octet is one sample at 8 kHz.
//!
//! Thin over the kernels, which hold the arithmetic of ITU-T G.711.

use media_kernels::Kernels;
use media_units::Encoding;

/// The code of the smallest positive value: what digital silence becomes.
pub const fn silence(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Pcmu => 0xff,
        Encoding::Pcma => 0xd5,
    }
}

/// Decodes as many codes as both slices hold.
pub fn decode(encoding: Encoding, kernels: &Kernels, codes: &[u8], samples: &mut [i16]) {
    let count = codes.len().min(samples.len());
    let (codes, samples) = (&codes[..count], &mut samples[..count]);
    match encoding {
        Encoding::Pcmu => kernels.decode_ulaw(codes, samples),
        Encoding::Pcma => kernels.decode_alaw(codes, samples),
    }
}

/// Encodes as many samples as both slices hold.
pub fn encode(encoding: Encoding, kernels: &Kernels, samples: &[i16], codes: &mut [u8]) {
    let count = codes.len().min(samples.len());
    let (samples, codes) = (&samples[..count], &mut codes[..count]);
    match encoding {
        Encoding::Pcmu => kernels.encode_ulaw(samples, codes),
        Encoding::Pcma => kernels.encode_alaw(samples, codes),
    }
}

/// Whether the codes hold nothing louder than the noise of a quiet line (a sine of about -40 dBov), told
/// without decoding: in both laws the magnitude grows with the seven lower bits, once the
/// inversions of the wire are undone.
pub fn is_quiet(encoding: Encoding, codes: &[u8]) -> bool {
    /// Mu-law 0x1f is a magnitude of 372 of 32768, A-law 0x1f one of 504.
    const QUIET: u8 = 0x1f;
    let inversion = match encoding {
        Encoding::Pcmu => 0x7f,
        Encoding::Pcma => 0x55,
    };
    codes.iter().all(|code| (code ^ inversion) & 0x7f <= QUIET)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels() -> impl Iterator<Item = Kernels> {
        Kernels::levels_available().filter_map(Kernels::at)
    }

    /// Segment and step of a code without its sign and the inversions of the wire.
    fn segment_and_step(index: u8) -> (u32, i32) {
        (u32::from(index >> 4), i32::from(index & 15))
    }

    /// What an index stands for, on a scale of 16 bits (ITU-T G.711 tables 1a and 2a).
    fn magnitude(encoding: Encoding, index: u8) -> i32 {
        let (segment, step) = segment_and_step(index);
        match encoding {
            Encoding::Pcmu => 4 * (((2 * step + 33) << segment) - 33),
            Encoding::Pcma if segment == 0 => 8 * (2 * step + 1),
            Encoding::Pcma => 8 * ((2 * step + 33) << (segment - 1)),
        }
    }

    /// The least magnitude that becomes an index: the decision values of the same tables.
    fn decision_value(encoding: Encoding, index: u8) -> i32 {
        let (segment, step) = segment_and_step(index);
        match encoding {
            Encoding::Pcmu if index == 0 => 0,
            Encoding::Pcmu => 4 * (((step + 16) << (segment + 1)) - 33),
            Encoding::Pcma if segment == 0 => 16 * step,
            Encoding::Pcma => (step + 16) << (segment + 3),
        }
    }

    /// Index and sign as they are on the wire.
    fn wire(encoding: Encoding, index: u8, positive: bool) -> u8 {
        let sign = if positive { 0x80 } else { 0 };
        match encoding {
            Encoding::Pcmu => sign | (index ^ 0x7f),
            Encoding::Pcma => (sign | index) ^ 0x55,
        }
    }

    #[test]
    fn every_code_decodes_to_the_value_of_the_tables() {
        for kernels in levels() {
            for encoding in Encoding::ALL {
                let codes: Vec<u8> = (0..=255).collect();
                let mut samples = [0; 256];
                decode(encoding, &kernels, &codes, &mut samples);
                for index in 0..128 {
                    let value = magnitude(encoding, index) as i16;
                    let positive = samples[usize::from(wire(encoding, index, true))];
                    let negative = samples[usize::from(wire(encoding, index, false))];
                    assert_eq!((positive, negative), (value, -value), "{encoding} {index}");
                }
            }
        }
    }

    #[test]
    fn every_sample_encodes_by_the_decision_values() {
        let samples: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        for kernels in levels() {
            for encoding in Encoding::ALL {
                let mut codes = vec![0; samples.len()];
                encode(encoding, &kernels, &samples, &mut codes);
                for (&sample, &code) in samples.iter().zip(&codes) {
                    // As the reference code of ITU-T G.191: the one's complement if negative.
                    let size = i32::from(if sample < 0 { !sample } else { sample });
                    let index = (0..128).rfind(|&i| decision_value(encoding, i) <= size).unwrap();
                    let expected = wire(encoding, index, sample >= 0);
                    assert_eq!(code, expected, "{encoding} {sample}");
                }
            }
        }
    }

    #[test]
    fn digital_silence_becomes_the_silence_code() {
        for encoding in Encoding::ALL {
            let mut codes = [0; 3];
            encode(encoding, &Kernels::SCALAR, &[0; 3], &mut codes);
            assert_eq!(codes, [silence(encoding); 3]);
            assert!(is_quiet(encoding, &codes));
        }
    }

    #[test]
    fn quiet_is_told_by_magnitude() {
        for (encoding, most) in [(Encoding::Pcmu, 372), (Encoding::Pcma, 504)] {
            for index in 0..128 {
                for positive in [true, false] {
                    let quiet = is_quiet(encoding, &[wire(encoding, index, positive)]);
                    assert_eq!(quiet, magnitude(encoding, index) <= most, "{encoding} {index}");
                }
            }
        }
    }

    #[test]
    fn the_shorter_slice_decides() {
        let mut samples = [7; 4];
        decode(Encoding::Pcmu, &Kernels::SCALAR, &[0xff; 2], &mut samples);
        assert_eq!(samples, [0, 0, 7, 7]);
        let mut codes = [1; 2];
        encode(Encoding::Pcma, &Kernels::SCALAR, &[0; 4], &mut codes);
        assert_eq!(codes, [0xd5; 2]);
    }
}
