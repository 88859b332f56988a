//! One period of sound as a G.711 frame.

use media::g711;
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Law};

/// One encoded block: an octet for each sample (RFC 3551 section 4.5.14).
pub type Frame = [u8; BLOCK_SAMPLES];

const SILENCE_PCMU: Frame = [g711::silence(Law::Mu); BLOCK_SAMPLES];
const SILENCE_PCMA: Frame = [g711::silence(Law::A); BLOCK_SAMPLES];

/// Encodes one block of 8 kHz.
pub fn encode(kernels: Kernels, law: Law, block: &[i16], frame: &mut Frame) {
    g711::encode(law, &kernels, block, frame);
}

/// The frame of digital silence: the same octets that [`encode`] makes of it.
pub const fn silence(law: Law) -> &'static Frame {
    match law {
        Law::Mu => &SILENCE_PCMU,
        Law::A => &SILENCE_PCMA,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_what_the_encoder_makes_of_it() {
        for law in Law::ALL {
            let mut frame = [0; BLOCK_SAMPLES];
            encode(Kernels::SCALAR, law, &[0; BLOCK_SAMPLES], &mut frame);
            assert_eq!(&frame, silence(law));
        }
    }
}
