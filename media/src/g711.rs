//! G.711 by name of its law (RFC 3551 section 4.5.14): one octet is one sample at 8 kHz.
//!
//! Thin over the kernels, which hold the arithmetic of ITU-T G.711.

use media_kernels::Kernels;
use media_units::Law;

/// The code of the smallest positive value: what digital silence becomes.
pub const fn silence(law: Law) -> u8 {
    match law {
        Law::Mu => 0xff,
        Law::A => 0xd5,
    }
}

/// Decodes as many codes as both slices hold.
pub fn decode(law: Law, kernels: &Kernels, codes: &[u8], samples: &mut [i16]) {
    let count = codes.len().min(samples.len());
    let (codes, samples) = (&codes[..count], &mut samples[..count]);
    match law {
        Law::Mu => kernels.decode_ulaw(codes, samples),
        Law::A => kernels.decode_alaw(codes, samples),
    }
}

/// Encodes as many samples as both slices hold.
pub fn encode(law: Law, kernels: &Kernels, samples: &[i16], codes: &mut [u8]) {
    let count = codes.len().min(samples.len());
    let (samples, codes) = (&samples[..count], &mut codes[..count]);
    match law {
        Law::Mu => kernels.encode_ulaw(samples, codes),
        Law::A => kernels.encode_alaw(samples, codes),
    }
}

/// Whether the codes hold nothing louder than the noise of a quiet line (a sine of about -40 dBov), told
/// without decoding: in both laws the magnitude grows with the seven lower bits, once the
/// inversions of the wire are undone.
pub fn is_quiet(law: Law, codes: &[u8]) -> bool {
    /// Mu-law 0x1f is a magnitude of 372 of 32768, A-law 0x1f one of 504.
    const QUIET: u8 = 0x1f;
    let inversion = match law {
        Law::Mu => 0x7f,
        Law::A => 0x55,
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
    fn magnitude(law: Law, index: u8) -> i32 {
        let (segment, step) = segment_and_step(index);
        match law {
            Law::Mu => 4 * (((2 * step + 33) << segment) - 33),
            Law::A if segment == 0 => 8 * (2 * step + 1),
            Law::A => 8 * ((2 * step + 33) << (segment - 1)),
        }
    }

    /// The least magnitude that becomes an index: the decision values of the same tables.
    fn decision_value(law: Law, index: u8) -> i32 {
        let (segment, step) = segment_and_step(index);
        match law {
            Law::Mu if index == 0 => 0,
            Law::Mu => 4 * (((step + 16) << (segment + 1)) - 33),
            Law::A if segment == 0 => 16 * step,
            Law::A => (step + 16) << (segment + 3),
        }
    }

    /// Index and sign as they are on the wire.
    fn wire(law: Law, index: u8, positive: bool) -> u8 {
        let sign = if positive { 0x80 } else { 0 };
        match law {
            Law::Mu => sign | (index ^ 0x7f),
            Law::A => (sign | index) ^ 0x55,
        }
    }

    #[test]
    fn every_code_decodes_to_the_value_of_the_tables() {
        for kernels in levels() {
            for law in Law::ALL {
                let codes: Vec<u8> = (0..=255).collect();
                let mut samples = [0; 256];
                decode(law, &kernels, &codes, &mut samples);
                for index in 0..128 {
                    let value = magnitude(law, index) as i16;
                    let positive = samples[usize::from(wire(law, index, true))];
                    let negative = samples[usize::from(wire(law, index, false))];
                    assert_eq!((positive, negative), (value, -value), "{law} {index}");
                }
            }
        }
    }

    #[test]
    fn every_sample_encodes_by_the_decision_values() {
        let samples: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        for kernels in levels() {
            for law in Law::ALL {
                let mut codes = vec![0; samples.len()];
                encode(law, &kernels, &samples, &mut codes);
                for (&sample, &code) in samples.iter().zip(&codes) {
                    // As the reference code of ITU-T G.191: the one's complement if negative.
                    let size = i32::from(if sample < 0 { !sample } else { sample });
                    let index = (0..128).rfind(|&i| decision_value(law, i) <= size).unwrap();
                    let expected = wire(law, index, sample >= 0);
                    assert_eq!(code, expected, "{law} {sample}");
                }
            }
        }
    }

    #[test]
    fn digital_silence_becomes_the_silence_code() {
        for law in Law::ALL {
            let mut codes = [0; 3];
            encode(law, &Kernels::SCALAR, &[0; 3], &mut codes);
            assert_eq!(codes, [silence(law); 3]);
            assert!(is_quiet(law, &codes));
        }
    }

    #[test]
    fn quiet_is_told_by_magnitude() {
        for (law, most) in [(Law::Mu, 372), (Law::A, 504)] {
            for index in 0..128 {
                for positive in [true, false] {
                    let quiet = is_quiet(law, &[wire(law, index, positive)]);
                    assert_eq!(quiet, magnitude(law, index) <= most, "{law} {index}");
                }
            }
        }
    }

    #[test]
    fn the_shorter_slice_decides() {
        let mut samples = [7; 4];
        decode(Law::Mu, &Kernels::SCALAR, &[0xff; 2], &mut samples);
        assert_eq!(samples, [0, 0, 7, 7]);
        let mut codes = [1; 2];
        encode(Law::A, &Kernels::SCALAR, &[0; 4], &mut codes);
        assert_eq!(codes, [0xd5; 2]);
    }
}
