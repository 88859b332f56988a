//! What the mouth does: autocorrelation, reflection coefficients and their logarithmic area
//! ratios (sections 5.2.4 to 5.2.7).

use super::super::arithmetic::{
    divide, headroom, loudest, magnitude, multiply, multiply_rounded, signed,
};
use super::super::lattice::{CENTRES, LEAST};
use super::super::{FRAME_SAMPLES, ORDER};

/// A: the widths of the quantizers.
const WIDTHS: [i16; ORDER] = [20_480, 20_480, 20_480, 20_480, 13_964, 15_360, 8534, 9036];

/// MAC: the greatest code of each ratio.
const GREATEST: [i16; ORDER] = [31, 31, 15, 15, 7, 7, 3, 3];

/// The codes of the frame's ratios. Leaves the samples scaled as the analysis had them.
pub(super) fn ratios(samples: &mut [i16; FRAME_SAMPLES]) -> [u8; ORDER] {
    let coefficients = reflections(&autocorrelation(samples));
    let mut codes = [0; ORDER];
    for (i, (code, coefficient)) in codes.iter_mut().zip(coefficients).enumerate() {
        let scaled = multiply(WIDTHS[i], ratio(coefficient)).saturating_add(CENTRES[i]);
        let rounded = scaled.saturating_add(256) >> 9;
        *code = (rounded.clamp(LEAST[i], GREATEST[i]) - LEAST[i]) as u8;
    }
    codes
}

/// The autocorrelation, for which the samples are scaled down and up again.
fn autocorrelation(samples: &mut [i16; FRAME_SAMPLES]) -> [i32; ORDER + 1] {
    let loudest = loudest(samples);
    let spare = headroom(i32::from(loudest) << 16);
    let shift = if loudest == 0 { 0 } else { 4_u32.saturating_sub(spare) };
    if shift > 0 {
        for sample in &mut *samples {
            *sample = multiply_rounded(*sample, 16_384 >> (shift - 1));
        }
    }
    let mut sums = [0; ORDER + 1];
    for (lag, sum) in sums.iter_mut().enumerate() {
        let products = samples[lag..].iter().zip(&*samples);
        *sum = products.map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>() << 1;
    }
    for sample in samples {
        *sample <<= shift;
    }
    sums
}

/// The recursion of Schur.
fn reflections(sums: &[i32; ORDER + 1]) -> [i16; ORDER] {
    let mut coefficients = [0; ORDER];
    if sums[0] == 0 {
        return coefficients;
    }
    let shift = headroom(sums[0]);
    let mut forth = sums.map(|sum| ((sum << shift) >> 16) as i16);
    let mut back = forth;
    for (n, reflection) in coefficients.iter_mut().enumerate() {
        let size = magnitude(forth[1]);
        if forth[0] < size {
            break;
        }
        let coefficient = signed(divide(size, forth[0]), forth[1].saturating_neg());
        *reflection = coefficient;
        forth[0] = forth[0].saturating_add(multiply_rounded(forth[1], coefficient));
        for m in 1..ORDER - n {
            let (next, past) = (forth[m + 1], back[m]);
            forth[m] = next.saturating_add(multiply_rounded(past, coefficient));
            back[m] = past.saturating_add(multiply_rounded(next, coefficient));
        }
    }
    coefficients
}

/// The logarithmic area ratio of a reflection coefficient, approximately.
fn ratio(coefficient: i16) -> i16 {
    let size = magnitude(coefficient);
    signed(
        match size {
            ..=22_117 => size >> 1,
            22_118..=31_129 => size - 11_059,
            _ => (size - 26_112) << 2,
        },
        coefficient,
    )
}
