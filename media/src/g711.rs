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

/// Whether the codes hold nothing louder than the noise of a quiet line (about -42 dBov), told
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
