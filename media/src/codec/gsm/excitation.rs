//! The pulses, as both ends know them (sections 5.2.15 to 5.2.18), and the pitch that they are
//! added to.

use super::arithmetic::multiply_rounded;
use super::frame::Subframe;
use super::{Excitation, LAG_MAX, SUBFRAME_SAMPLES};

/// Pulses in a subframe, one in three samples.
pub(super) const PULSES: usize = 13;

/// QLB: the gains of the pitch.
const GAINS: [i16; 4] = [3277, 11_469, 21_299, 32_767];

/// FAC: the scales of the pulses.
const SCALES: [i16; 8] = [18_431, 20_479, 22_527, 24_575, 26_623, 28_671, 30_719, 32_767];

/// How loud the pulses of a subframe are: a floating-point number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// -4 to 6.
    pub(super) exponent: i16,
    /// 0 to 7.
    pub(super) mantissa: usize,
}

impl Scale {
    /// The scale that the code of the loudest pulse means.
    pub(super) fn new(peak: u8) -> Self {
        let mut exponent = if peak > 15 { i16::from(peak >> 3) - 1 } else { 0 };
        let mut mantissa = i16::from(peak) - (exponent << 3);
        if mantissa == 0 {
            return Self { exponent: -4, mantissa: 7 };
        }
        while mantissa <= 7 {
            mantissa = mantissa << 1 | 1;
            exponent -= 1;
        }
        Self { exponent, mantissa: (mantissa & 7) as usize }
    }
}

/// Where in a subframe the pulses are.
pub(super) fn positions(grid: u8) -> impl Iterator<Item = usize> {
    (usize::from(grid & 3)..SUBFRAME_SAMPLES).step_by(3).take(PULSES)
}

/// The subframe that the pulses make.
pub(super) fn pulses(subframe: &Subframe) -> [i16; SUBFRAME_SAMPLES] {
    let scale = Scale::new(subframe.peak);
    let shift = 6 - scale.exponent;
    let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
    let mut samples = [0; SUBFRAME_SAMPLES];
    for (position, pulse) in positions(subframe.grid).zip(subframe.pulses) {
        let pulse = ((i16::from(pulse & 7) << 1) - 7) << 12;
        samples[position] =
            multiply_rounded(SCALES[scale.mantissa], pulse).saturating_add(half) >> shift;
    }
    samples
}

/// What the pitch predicts for the last subframe of the excitation.
pub(super) fn predict(excitation: &Excitation, lag: u8, gain: u8) -> [i16; SUBFRAME_SAMPLES] {
    let gain = GAINS[usize::from(gain & 3)];
    let start = LAG_MAX - usize::from(lag).clamp(SUBFRAME_SAMPLES, LAG_MAX);
    let mut samples = [0; SUBFRAME_SAMPLES];
    for (sample, past) in samples.iter_mut().zip(&excitation[start..]) {
        *sample = multiply_rounded(gain, *past);
    }
    samples
}

/// Adds pulses and prediction at the end of the excitation, and makes room for the next.
pub(super) fn extend(
    excitation: &mut Excitation,
    pulses: &[i16; SUBFRAME_SAMPLES],
    predicted: &[i16; SUBFRAME_SAMPLES],
) {
    excitation.copy_within(SUBFRAME_SAMPLES.., 0);
    let end = LAG_MAX - SUBFRAME_SAMPLES;
    for ((sample, pulse), predicted) in
        excitation[end..LAG_MAX].iter_mut().zip(pulses).zip(predicted)
    {
        *sample = pulse.saturating_add(*predicted);
    }
}
