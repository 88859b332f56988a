//! The pulses that stand for what the pitch did not predict (sections 5.2.13 to 5.2.15).

use super::super::SUBFRAME_SAMPLES;
use super::super::arithmetic::{loudest, multiply};
use super::super::excitation::{PULSES, Scale, positions};
use super::super::frame::Subframe;

/// H: the weighting filter's impulse response.
const WEIGHTS: [i32; 11] = [-134, -374, 0, 2054, 5741, 8192, 5741, 2054, 0, -374, -134];

/// NRFAC: the inverse scales.
const INVERSE_SCALES: [i16; 8] = [29_128, 26_215, 23_832, 21_846, 20_165, 18_725, 17_476, 16_384];

/// Grids to choose from.
const GRIDS: u8 = 4;

/// The subframe with this lag and gain.
pub(super) fn find(rest: &[i16; SUBFRAME_SAMPLES], lag: u8, gain: u8) -> Subframe {
    let weighted = weigh(rest);
    let grid = loudest_grid(&weighted);
    let mut pulses = [0; PULSES];
    for (pulse, position) in pulses.iter_mut().zip(positions(grid)) {
        *pulse = weighted[position];
    }
    let peak = peak(loudest(&pulses));
    let scale = Scale::new(peak);
    let codes = pulses.map(|pulse| {
        let scaled = multiply(pulse << (6 - scale.exponent), INVERSE_SCALES[scale.mantissa]);
        ((scaled >> 12) + 4) as u8
    });
    Subframe { lag, gain, grid, peak, pulses: codes }
}

fn weigh(rest: &[i16; SUBFRAME_SAMPLES]) -> [i16; SUBFRAME_SAMPLES] {
    let mut padded = [0; SUBFRAME_SAMPLES + WEIGHTS.len() - 1];
    for (padded, rest) in padded[WEIGHTS.len() / 2..].iter_mut().zip(rest) {
        *padded = i32::from(*rest);
    }
    let mut weighted = [0; SUBFRAME_SAMPLES];
    for (weighted, around) in weighted.iter_mut().zip(padded.windows(WEIGHTS.len())) {
        let sum: i32 = around.iter().zip(WEIGHTS).map(|(sample, weight)| sample * weight).sum();
        *weighted = ((sum + 4096) >> 13).clamp(-32_768, 32_767) as i16;
    }
    weighted
}

fn loudest_grid(weighted: &[i16; SUBFRAME_SAMPLES]) -> u8 {
    let energy = |grid: u8| -> i32 {
        positions(grid).map(|position| i32::from(weighted[position] >> 2).pow(2)).sum()
    };
    let (mut best, mut most) = (0, 0);
    for grid in 0..GRIDS {
        let energy = energy(grid);
        if energy > most {
            (best, most) = (grid, energy);
        }
    }
    best
}

/// The code of the loudest pulse: three bits of exponent, three of mantissa.
fn peak(loudest: i16) -> u8 {
    let exponent = (i16::BITS - (loudest >> 9).leading_zeros()).min(6);
    ((loudest >> (exponent + 5)) + ((exponent as i16) << 3)) as u8
}
