//! Samples to frames (section 5.2).

mod analysis;
mod pitch;
mod pulse;

use super::arithmetic::multiply_rounded;
use super::excitation;
use super::frame::{FRAME_OCTETS, Frame, Subframe};
use super::lattice::Lattice;
use super::{Excitation, FRAME_SAMPLES, LAG_MAX, ORDER, SUBFRAME_SAMPLES};

/// The coefficient of the pre-emphasis.
const PRE_EMPHASIS: i16 = -28_180;

/// Turns samples into one stream's payloads.
#[derive(Debug, Clone)]
pub struct GsmEncoder {
    /// What the offset compensation holds: `z1`, `L_z2`.
    sample: i16,
    offset: i32,
    /// What the pre-emphasis took in last (mp).
    emphasis: i16,
    lattice: Lattice,
    /// The filter's state (u).
    filter: [i16; ORDER],
    excitation: Excitation,
}

impl Default for GsmEncoder {
    /// An encoder without past.
    fn default() -> Self {
        Self {
            sample: 0,
            offset: 0,
            emphasis: 0,
            lattice: Lattice::default(),
            filter: [0; ORDER],
            excitation: [0; LAG_MAX],
        }
    }
}

impl GsmEncoder {
    /// Encodes whole frames and says how many octets they take.
    pub fn encode(&mut self, samples: &[i16], frame: &mut [u8]) -> usize {
        let blocks = samples.as_chunks::<FRAME_SAMPLES>().0;
        let octets = frame.as_chunks_mut::<FRAME_OCTETS>().0;
        for (block, octets) in blocks.iter().zip(&mut *octets) {
            *octets = self.frame(block).write();
        }
        blocks.len().min(octets.len()) * FRAME_OCTETS
    }

    fn frame(&mut self, samples: &[i16; FRAME_SAMPLES]) -> Frame {
        let mut samples = samples.map(|sample| self.prepare(sample));
        let ratios = analysis::ratios(&mut samples);
        for (range, coefficients) in self.lattice.sets(ratios) {
            for sample in &mut samples[range] {
                *sample = self.filter(&coefficients, *sample);
            }
        }
        let mut frame = Frame { ratios, ..Frame::SILENCE };
        let residuals = samples.as_chunks::<SUBFRAME_SAMPLES>().0;
        for (subframe, residual) in frame.subframes.iter_mut().zip(residuals) {
            *subframe = self.subframe(residual);
        }
        frame
    }

    /// Scaling, offset compensation and pre-emphasis (5.2.1 to 5.2.3).
    fn prepare(&mut self, sample: i16) -> i16 {
        let scaled = (sample >> 3) << 2;
        let change = scaled.wrapping_sub(self.sample);
        self.sample = scaled;
        let (high, low) = (self.offset >> 15, self.offset & 0x7fff);
        let kept = i32::from(multiply_rounded(low as i16, 32_735));
        self.offset = (high * 32_735).saturating_add((i32::from(change) << 15) + kept);
        let level = (self.offset.saturating_add(16_384) >> 15) as i16;

        let emphasized = level.saturating_add(multiply_rounded(self.emphasis, PRE_EMPHASIS));
        self.emphasis = level;
        emphasized
    }

    /// The lattice that takes out what the mouth put in (5.2.10).
    fn filter(&mut self, coefficients: &[i16; ORDER], sample: i16) -> i16 {
        let (mut forth, mut back) = (sample, sample);
        for (state, coefficient) in self.filter.iter_mut().zip(coefficients) {
            let next = state.saturating_add(multiply_rounded(*coefficient, forth));
            forth = forth.saturating_add(multiply_rounded(*coefficient, *state));
            (*state, back) = (back, next);
        }
        forth
    }

    /// Pitch and pulses of a subframe (5.2.11 to 5.2.18).
    fn subframe(&mut self, residual: &[i16; SUBFRAME_SAMPLES]) -> Subframe {
        let (lag, gain) = pitch::find(residual, &self.excitation);
        let predicted = excitation::predict(&self.excitation, lag, gain);
        let mut rest = *residual;
        for (rest, predicted) in rest.iter_mut().zip(&predicted) {
            *rest = rest.saturating_sub(*predicted);
        }
        let subframe = pulse::find(&rest, lag, gain);
        excitation::extend(&mut self.excitation, &excitation::pulses(&subframe), &predicted);
        subframe
    }
}
