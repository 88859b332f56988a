//! Filters, in the order of operations that the RFC's arithmetic has.

use super::{Lpc, ORDER};

/// Samples of the start state at most.
const STATE_MAX: usize = 58;

/// The filter 1/A over all but the first ten samples, which are its past.
pub(super) fn all_pole(samples: &mut [f32], filter: &Lpc) {
    for now in ORDER..samples.len() {
        let mut sample = samples[now];
        for k in 1..=ORDER {
            sample -= filter[k] * samples[now - k];
        }
        samples[now] = sample;
    }
}

/// A filter with state, of the frame's own prediction: A, or 1/A.
#[derive(Debug, Clone, Default)]
pub(super) struct Predictor {
    /// The last samples: of A's input, of 1/A's output.
    past: [f32; ORDER],
}

impl Predictor {
    /// A: sound to residual.
    pub(super) fn analyse<const N: usize>(&mut self, filter: &Lpc, sound: &[f32; N]) -> [f32; N] {
        let mut residual = [0.0; N];
        for (now, residual) in residual.iter_mut().enumerate() {
            for (k, coefficient) in filter.iter().enumerate() {
                *residual += coefficient * self.back(sound, now, k);
            }
        }
        self.keep(sound);
        residual
    }

    /// 1/A: residual to sound, in place.
    pub(super) fn synthesize<const N: usize>(&mut self, filter: &Lpc, samples: &mut [f32; N]) {
        for now in 0..N {
            let mut sample = samples[now];
            for (k, coefficient) in filter.iter().enumerate().skip(1) {
                sample -= coefficient * self.back(samples, now, k);
            }
            samples[now] = sample;
        }
        self.keep(samples);
    }

    /// Numbers too small to be heard are slow to reckon with; what is no number would stay.
    pub(super) fn settle(&mut self) {
        settle(&mut self.past);
    }

    fn back<const N: usize>(&self, samples: &[f32; N], now: usize, k: usize) -> f32 {
        if now >= k { samples[now - k] } else { self.past[ORDER + now - k] }
    }

    fn keep<const N: usize>(&mut self, samples: &[f32; N]) {
        self.past.copy_from_slice(&samples[N - ORDER..]);
    }
}

/// Clears what is too small to be heard, and what is no number.
fn settle(values: &mut [f32]) {
    for value in values {
        if !value.is_normal() {
            *value = 0.0;
        }
    }
}

/// A high pass of second order.
#[derive(Debug, Clone, Default)]
pub(super) struct HighPass {
    input: [f32; 2],
    output: [f32; 2],
}

impl HighPass {
    pub(super) fn filter(&mut self, zeros: &[f32; 3], poles: &[f32; 3], sample: f32) -> f32 {
        let mut result = zeros[0] * sample;
        result += zeros[1] * self.input[0];
        result += zeros[2] * self.input[1];
        result -= poles[1] * self.output[0];
        result -= poles[2] * self.output[1];
        self.input = [sample, self.input[0]];
        self.output = [result, self.output[0]];
        result
    }

    /// As [`Predictor::settle`].
    pub(super) fn settle(&mut self) {
        settle(&mut self.output);
    }
}

/// The all-pass filter of a prediction, circular over the samples of a start state: what rings on
/// after its end is added at its beginning (sections 3.5.2 and 4.2).
pub(super) fn circular_all_pass(state: &[f32], filter: &Lpc) -> [f32; STATE_MAX] {
    let length = state.len().min(STATE_MAX);
    let mut input = [0.0; ORDER + 2 * STATE_MAX];
    input[ORDER..ORDER + length].copy_from_slice(&state[..length]);
    let mut output = [0.0; ORDER + 2 * STATE_MAX];
    for now in ORDER..ORDER + 2 * length {
        let mut sample = filter[ORDER] * input[now];
        for k in 1..=ORDER {
            sample += filter[ORDER - k] * input[now - k];
        }
        output[now] = sample;
    }
    all_pole(&mut output[..ORDER + 2 * length], filter);
    let mut circular = [0.0; STATE_MAX];
    for (k, circular) in circular[..length].iter_mut().enumerate() {
        *circular = output[ORDER + k] + output[ORDER + length + k];
    }
    circular
}

/// Places that are compared at a time.
pub(super) const PLACES: usize = 10;

/// The sum of the products of `a` with `past` at each of the first places: each sum in the order of
/// [`dot`], all of them side by side, which is several times as fast.
pub(super) fn dots(a: &[f32], past: &[f32]) -> [f32; PLACES] {
    let mut sums = [0.0; PLACES];
    for (a, past) in a.iter().zip(past.windows(PLACES)) {
        for (sum, past) in sums.iter_mut().zip(past) {
            *sum += a * past;
        }
    }
    sums
}

/// The energy of `length` samples of `past` from each of the first places on.
pub(super) fn energies(length: usize, past: &[f32]) -> [f32; PLACES] {
    let mut sums = [0.0; PLACES];
    for past in past.windows(PLACES).take(length) {
        for (sum, past) in sums.iter_mut().zip(past) {
            *sum += past * past;
        }
    }
    sums
}

/// The sum of the products.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}
