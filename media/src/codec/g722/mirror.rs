//! The quadrature mirror filters: 24 coefficients, split in two phases of twelve.
//!
//! Both work on pairs of samples. The input is laid out behind the past of the block before, phase
//! by phase, so that each output is a plain dot product.

use super::OCTETS;

/// Every second coefficient of the filter, oldest sample first, times 8192 (ITU-T G.722 table
/// 11). The filter is symmetric: the other phase is the same backwards.
const PHASE: [i16; TAPS] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// The other phase.
const PHASE_BACK: [i16; TAPS] = [-11, 53, -156, 362, -805, 3876, 951, -210, 32, 12, -11, 3];

const TAPS: usize = 12;

/// Pairs of the past that a dot product reaches back to.
const PAST: usize = TAPS - 1;

/// The past of the two phases, and room for a block.
type Phase = [i16; PAST + OCTETS];

/// Splits samples into two bands (blocks TRANSMIT QMF).
#[derive(Debug, Clone)]
pub(super) struct Splitter {
    past: [[i16; PAST]; 2],
}

impl Splitter {
    pub(super) const NEW: Self = Self { past: [[0; PAST]; 2] };

    /// One sample of the lower and one of the upper band for each pair, at most `OCTETS`.
    pub(super) fn split(&mut self, pairs: &[[i16; 2]], bands: &mut [[i16; 2]; OCTETS]) {
        let mut phases = begin(&self.past);
        for (at, pair) in pairs.iter().enumerate() {
            phases[0][PAST + at] = pair[0];
            phases[1][PAST + at] = pair[1];
        }
        for (at, bands) in bands.iter_mut().enumerate().take(pairs.len()) {
            let older = dot(&PHASE, &phases[0], at);
            let newer = dot(&PHASE_BACK, &phases[1], at);
            *bands = [limit((newer + older) >> 14), limit((newer - older) >> 14)];
        }
        keep(&mut self.past, &phases, pairs.len());
    }
}

/// Joins two bands (blocks RECEIVE QMF).
#[derive(Debug, Clone)]
pub(super) struct Joiner {
    past: [[i16; PAST]; 2],
}

impl Joiner {
    pub(super) const NEW: Self = Self { past: [[0; PAST]; 2] };

    /// Two samples for one of the lower and one of the upper band, at most `OCTETS`.
    pub(super) fn join(&mut self, bands: &[[i16; 2]], pairs: &mut [[i16; 2]]) {
        let mut phases = begin(&self.past);
        for (at, [low, high]) in bands.iter().enumerate() {
            phases[0][PAST + at] = low - high;
            phases[1][PAST + at] = low + high;
        }
        for (at, pair) in pairs.iter_mut().enumerate().take(bands.len()) {
            *pair = [
                saturate(dot(&PHASE_BACK, &phases[0], at) >> 11),
                saturate(dot(&PHASE, &phases[1], at) >> 11),
            ];
        }
        keep(&mut self.past, &phases, bands.len());
    }
}

/// Room for a block behind its past.
fn begin(past: &[[i16; PAST]; 2]) -> [Phase; 2] {
    let mut phases = [[0; PAST + OCTETS]; 2];
    for (phase, past) in phases.iter_mut().zip(past) {
        phase[..PAST].copy_from_slice(past);
    }
    phases
}

/// Keeps the end of a block of `length` pairs for the next.
fn keep(past: &mut [[i16; PAST]; 2], phases: &[Phase; 2], length: usize) {
    for (past, phase) in past.iter_mut().zip(phases) {
        past.copy_from_slice(&phase[length..length + PAST]);
    }
}

fn dot(coefficients: &[i16; TAPS], phase: &Phase, at: usize) -> i32 {
    let window = &phase[at..at + TAPS];
    coefficients.iter().zip(window).map(|(&c, &s)| i32::from(c) * i32::from(s)).sum()
}

/// The bands have 15 bits.
fn limit(value: i32) -> i16 {
    value.clamp(-16384, 16383) as i16
}

fn saturate(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}
