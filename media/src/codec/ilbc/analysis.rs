//! The spectrum of a frame, and where its residual is loudest (sections 3.2 and 3.4).

use super::filter::dot;
use super::spectrum::{self, Frequencies};
use super::tables::{LAG_WINDOW, MEAN_FREQUENCIES, WINDOW_ASYMMETRIC, WINDOW_HALF};
use super::{IDENTITY, Lpc, Mode, ORDER, SAMPLES_MAX, SUBFRAME, SUBFRAMES_MAX, Samples};

/// Samples before the frame that are looked at.
const LOOK_BACK: usize = 60;

/// How much the roots of the prediction are moved inwards.
const WIDENING: f32 = 0.9025;

/// Less energy than this is silence.
const EPSILON: f32 = f64::EPSILON as f32;

/// Looks at frames, each with something of those before.
#[derive(Debug, Clone)]
pub(super) struct Analysis {
    sound: [f32; LOOK_BACK + SAMPLES_MAX],
}

impl Analysis {
    /// Without past.
    pub(super) const NEW: Self = Self { sound: [0.0; LOOK_BACK + SAMPLES_MAX] };

    /// The frequencies of each analysis of the frame.
    pub(super) fn frequencies(&mut self, mode: Mode, frame: &Samples) -> [Frequencies; 2] {
        let length = mode.samples();
        self.sound.copy_within(length.., 0);
        let begin = self.sound.len() - length;
        self.sound[begin..].copy_from_slice(&frame[..length]);

        let mut sets = [MEAN_FREQUENCIES; 2];
        let mut windowed = [0.0; SAMPLES_MAX];
        if mode == Mode::Long {
            let window = WINDOW_HALF.iter().chain(WINDOW_HALF.iter().rev());
            for ((windowed, sample), window) in windowed.iter_mut().zip(&self.sound).zip(window) {
                *windowed = sample * window;
            }
            sets[0] = analyse(&windowed);
        }
        let newest = &self.sound[LOOK_BACK..];
        for ((windowed, sample), window) in windowed.iter_mut().zip(newest).zip(WINDOW_ASYMMETRIC) {
            *windowed = sample * window;
        }
        sets[mode.analyses() - 1] = analyse(&windowed);
        sets
    }
}

fn analyse(windowed: &Samples) -> Frequencies {
    let mut correlation = [0.0; ORDER + 1];
    for (lag, correlation) in correlation.iter_mut().enumerate() {
        *correlation = dot(windowed, &windowed[lag..]) * LAG_WINDOW[lag];
    }
    spectrum::frequencies(&spectrum::widen(&prediction(&correlation), WIDENING))
}

/// The recursion of Levinson and Durbin.
fn prediction(correlation: &[f32; ORDER + 1]) -> Lpc {
    let mut filter = IDENTITY;
    if correlation[0] < EPSILON {
        return filter;
    }
    let mut reflection = -correlation[1] / correlation[0];
    filter[1] = reflection;
    let mut rest = correlation[0] + correlation[1] * reflection;
    for m in 1..ORDER {
        let mut sum = correlation[m + 1];
        for i in 0..m {
            sum += filter[i + 1] * correlation[m - i];
        }
        reflection = -sum / rest;
        rest += reflection * sum;
        for i in 0..m.div_ceil(2) {
            let (low, high) = (filter[i + 1], filter[m - i]);
            filter[m - i] = high + reflection * low;
            filter[i + 1] = low + reflection * high;
        }
        filter[m + 1] = reflection;
    }
    filter
}

/// The second of the two subframes with the most energy, those in the middle preferred.
pub(super) fn loudest(mode: Mode, residual: &Samples) -> u8 {
    /// How much the outermost samples of the pair count, in sixths.
    const EDGE: [f32; 5] = [1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0, 4.0 / 6.0, 5.0 / 6.0];
    const PREFERENCE_SHORT: [f32; 3] = [0.9, 1.0, 0.9];
    const PREFERENCE_LONG: [f32; 5] = [0.8, 0.9, 1.0, 0.9, 0.8];

    let subframes = residual.as_chunks::<SUBFRAME>().0;
    let (mut first, mut second) = ([0.0; SUBFRAMES_MAX], [0.0; SUBFRAMES_MAX]);
    for (n, subframe) in subframes.iter().enumerate() {
        for (k, sample) in subframe.iter().enumerate() {
            let weighted =
                |weight: Option<&f32>| weight.map_or(sample * sample, |w| w * sample * sample);
            first[n] += weighted(EDGE.get(k));
            second[n] += weighted(EDGE.get(SUBFRAME - 1 - k));
        }
    }
    let preference: &[f32] = match mode {
        Mode::Short => &PREFERENCE_SHORT,
        Mode::Long => &PREFERENCE_LONG,
    };
    let (mut best, mut most) = (1, f32::NEG_INFINITY);
    for (n, preference) in (1..).zip(preference) {
        let energy = (first[n - 1] + second[n]) * preference;
        if energy > most {
            (best, most) = (n as u8, energy);
        }
    }
    best
}
