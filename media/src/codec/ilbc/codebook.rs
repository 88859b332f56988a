//! The codebook of a piece: what is known of the residual, and the same through a filter, at
//! every delay (sections 3.6 and 4.3).

use super::SUBFRAME;
use super::frame::{Piece, STAGES};
use super::tables::{CODEBOOK_FILTER, GAINS_FIRST, GAINS_SECOND, GAINS_THIRD};

/// Samples that a codebook is made of.
pub(super) const MEMORY: usize = 147;

/// Samples that the codebook of the start state's rest is made of.
const MEMORY_OF_REST: usize = 85;

/// The smallest scale of a gain.
const SCALE_LEAST: f64 = 0.1;

/// Vectors that are made of delays shorter than a subframe: 20 to 39.
pub(super) const AUGMENTED: usize = SUBFRAME / 2;

/// Half of a codebook: a past, the newest sample last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'a>(pub(super) &'a [f32]);

impl Section<'_> {
    /// How many vectors of this length there are.
    pub(super) fn vectors(self, length: usize) -> usize {
        let augmented = if length == SUBFRAME { AUGMENTED } else { 0 };
        self.0.len() + 1 - length + augmented
    }

    /// One of them.
    pub(super) fn vector(self, index: usize, length: usize) -> [f32; SUBFRAME] {
        let end = self.0.len();
        let plain = end + 1 - length;
        let mut vector = [0.0; SUBFRAME];
        if index < plain {
            vector[..length].copy_from_slice(&self.0[end - length - index..end - index]);
            return vector;
        }
        // A delay shorter than the vector: the cycle is repeated, and the seam smoothed.
        let delay = (AUGMENTED + index - plain).min(SUBFRAME - 1);
        vector[..delay].copy_from_slice(&self.0[end - delay..]);
        vector[delay..].copy_from_slice(&self.0[end - delay..end - delay + SUBFRAME - delay]);
        let mut share = 0.0;
        for k in 0..5 {
            let (older, newer) = (self.0[end - delay - 5 + k], self.0[end - 5 + k]);
            vector[delay - 5 + k] = (1.0 - share) * newer + share * older;
            share += 0.2;
        }
        vector
    }
}

/// How much of what is known serves a piece of this length.
pub(super) const fn memory(length: usize) -> usize {
    if length == SUBFRAME { MEMORY } else { MEMORY_OF_REST }
}

/// The second section: the first through a filter.
pub(super) fn filtered(past: &[f32]) -> [f32; MEMORY] {
    let mut padded = [0.0; MEMORY + CODEBOOK_FILTER.len()];
    padded[3..3 + past.len()].copy_from_slice(past);
    let mut result = [0.0; MEMORY];
    for (j, tap) in CODEBOOK_FILTER.iter().rev().enumerate() {
        for (result, sample) in result[..past.len()].iter_mut().zip(&padded[j..]) {
            *result += sample * tap;
        }
    }
    result
}

/// The piece that the frame says.
pub(super) fn decode(piece: Piece, past: &[f32], length: usize) -> [f32; SUBFRAME] {
    let filtered = filtered(past);
    let sections = [Section(past), Section(&filtered[..past.len()])];
    let count = sections[0].vectors(length);
    let mut result = [0.0; SUBFRAME];
    let mut scale = 1.0;
    for stage in 0..STAGES {
        let index = usize::from(piece.vectors[stage]).min(2 * count - 1);
        let vector = sections[index / count].vector(index % count, length);
        scale = gain(stage, piece.gains[stage], scale);
        for (result, sample) in result[..length].iter_mut().zip(&vector) {
            *result += scale * sample;
        }
    }
    result
}

/// What a gain's code stands for, after the gain of the stage before.
fn gain(stage: usize, code: u8, before: f32) -> f32 {
    let gains = gains(stage);
    lower_bound(before) * gains[usize::from(code) % gains.len()]
}

/// The code of the nearest gain, and what it stands for.
pub(super) fn quantize_gain(stage: usize, wanted: f32, before: f32) -> (u8, f32) {
    let scale = lower_bound(before);
    let (mut best, mut least) = (0, f32::INFINITY);
    for (code, gain) in gains(stage).iter().enumerate() {
        let apart = wanted - scale * gain;
        if apart * apart < least {
            (best, least) = (code, apart * apart);
        }
    }
    (best as u8, scale * gains(stage)[best])
}

fn lower_bound(before: f32) -> f32 {
    let scale = before.abs();
    if f64::from(scale) < SCALE_LEAST { SCALE_LEAST as f32 } else { scale }
}

fn gains(stage: usize) -> &'static [f32] {
    match stage {
        0 => &GAINS_FIRST,
        1 => &GAINS_SECOND,
        _ => &GAINS_THIRD,
    }
}
