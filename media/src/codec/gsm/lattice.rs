//! The short-term filter: its coefficients as both ends know them, and how they move within a
//! frame (sections 5.2.8 and 5.2.9).

use super::arithmetic::{magnitude, multiply_rounded, signed};
use super::{FRAME_SAMPLES, ORDER};

/// B: where each ratio's quantizer is centred.
pub(super) const CENTRES: [i16; ORDER] = [0, 0, 2048, -2560, 94, -1792, -341, -1144];

/// MIC: the least code of each ratio.
pub(super) const LEAST: [i16; ORDER] = [-32, -32, -16, -16, -8, -8, -4, -4];

/// INVA: the width of each quantizer's steps.
const STEPS: [i16; ORDER] = [13_107, 13_107, 13_107, 13_107, 19_223, 17_476, 31_454, 29_708];

/// Where in a frame each set of coefficients begins to hold.
const STARTS: [usize; 5] = [0, 13, 27, 40, FRAME_SAMPLES];

/// The ratios of this frame and of the one before.
#[derive(Debug, Clone, Default)]
pub(super) struct Lattice {
    past: [i16; ORDER],
}

impl Lattice {
    /// Takes the frame's ratios in. Gives the four sets of reflection coefficients, and where in
    /// the frame each holds.
    pub(super) fn sets(
        &mut self,
        codes: [u8; ORDER],
    ) -> impl Iterator<Item = (std::ops::Range<usize>, [i16; ORDER])> + use<> {
        let past = self.past;
        let now = decode(codes);
        self.past = now;
        (0..4).map(move |set| {
            let mut coefficients = [0; ORDER];
            for ((coefficient, past), now) in coefficients.iter_mut().zip(past).zip(now) {
                *coefficient = reflection(match set {
                    0 => (past >> 2).saturating_add(now >> 2).saturating_add(past >> 1),
                    1 => (past >> 1).saturating_add(now >> 1),
                    2 => (past >> 2).saturating_add(now >> 2).saturating_add(now >> 1),
                    _ => now,
                });
            }
            (STARTS[set]..STARTS[set + 1], coefficients)
        })
    }
}

/// The logarithmic area ratios of their codes.
fn decode(codes: [u8; ORDER]) -> [i16; ORDER] {
    let mut ratios = [0; ORDER];
    for (i, (ratio, code)) in ratios.iter_mut().zip(codes).enumerate() {
        let code = (i16::from(code) + LEAST[i]) << 10;
        let half = multiply_rounded(STEPS[i], code.saturating_sub(CENTRES[i] << 1));
        *ratio = half.saturating_add(half);
    }
    ratios
}

/// The reflection coefficient of a ratio.
fn reflection(ratio: i16) -> i16 {
    let size = magnitude(ratio);
    signed(
        match size {
            ..=11_058 => size << 1,
            11_059..=20_069 => size + 11_059,
            _ => (size >> 2).saturating_add(26_112),
        },
        ratio,
    )
}
