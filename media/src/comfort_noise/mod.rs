//! Comfort noise (RFC 3389): silence told in a few octets, and heard as the line's own noise.
//!
//! [`ComfortNoise`] is the payload: a level and a spectrum. A receiver gives it to a
//! [`NoiseGenerator`], which fills the pause. A sender asks a [`DiscontinuousSender`] about each
//! packet; that finds out with a [`NoiseAnalyser`] how the pause sounds. So does GSM's decoder, of the
//! noise that its own descriptions of silence mean.
//!
//! Plain arithmetic on `f32` in a fixed order, without functions of a mathematics library: the same
//! input gives the same noise everywhere. Nothing here allocates.

mod analyse;
mod discontinuous;
mod generate;

pub use analyse::NoiseAnalyser;
pub use discontinuous::{DiscontinuousSender, Sending};
pub use generate::NoiseGenerator;

use media_units::Discard;

/// Reflection coefficients that are made use of. A payload may have more, which describe ever
/// finer detail: without them it is still a spectrum.
pub const ORDER_MAX: usize = 12;

/// Octets of the longest payload that is written.
pub const PAYLOAD_BYTES_MAX: usize = 1 + ORDER_MAX;

/// The index of a reflection coefficient of 0.
const ZERO_INDEX: u8 = 127;

/// The greatest index. 255 is reserved.
const INDEX_MAX: u8 = 254;

/// What an index adds to a reflection coefficient: 258 / 2^15.
const INDEX_STEP: f32 = 258.0 / 32768.0;

/// How a pause sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComfortNoise {
    level_dbov: u8,
    order: u8,
    /// The reflection coefficients as they are on the wire; those beyond the order are 0.
    indices: [u8; ORDER_MAX],
}

impl ComfortNoise {
    /// Digital silence.
    pub const SILENCE: Self = Self::white(127);

    /// White noise, 0 to 127 dB below overload.
    pub const fn white(level_dbov: u8) -> Self {
        Self { level_dbov: level_dbov & 127, order: 0, indices: [ZERO_INDEX; ORDER_MAX] }
    }

    /// Reads a payload. Network input: anything may come, and all but nothing is noise.
    pub fn parse(payload: &[u8]) -> Result<Self, Discard> {
        let (&level, spectrum) = payload.split_first().ok_or(Discard::PayloadSize)?;
        let mut noise = Self::white(level);
        for (own, index) in noise.indices.iter_mut().zip(spectrum) {
            *own = (*index).min(INDEX_MAX);
        }
        noise.order = spectrum.len().min(ORDER_MAX) as u8;
        Ok(noise)
    }

    /// Writes the payload and says how many octets it takes.
    pub fn write(&self, payload: &mut [u8; PAYLOAD_BYTES_MAX]) -> usize {
        payload[0] = self.level_dbov;
        payload[1..].copy_from_slice(&self.indices);
        1 + usize::from(self.order)
    }

    /// Its level, in dB below overload: 0 is the loudest, 127 silence.
    pub fn level_dbov(&self) -> u8 {
        self.level_dbov
    }

    /// Makes it louder by so many decibels.
    pub(crate) fn amplify(&mut self, db: u8) {
        self.level_dbov = self.level_dbov.saturating_sub(db);
    }

    /// The reflection coefficients, each within -1 and 1, of a predictor `1 + a1 z^-1 + ...`.
    fn reflection(&self) -> [f32; ORDER_MAX] {
        self.indices.map(|index| (f32::from(index) - f32::from(ZERO_INDEX)) * INDEX_STEP)
    }

    /// The square root of its power.
    fn amplitude(&self) -> f32 {
        AMPLITUDES[usize::from(self.level_dbov & 127)]
    }
}

/// The amplitude of each level: overload is a square wave at full scale.
const AMPLITUDES: [f32; 128] = amplitudes();

const fn amplitudes() -> [f32; 128] {
    /// 10^(-1/20).
    const DECIBEL: f64 = 0.891_250_938_133_745_6;
    let mut amplitudes = [0.0; 128];
    let mut amplitude = 32767.0;
    let mut level = 0;
    while level < amplitudes.len() {
        amplitudes[level] = amplitude as f32;
        amplitude *= DECIBEL;
        level += 1;
    }
    amplitudes
}

/// The level of sound with this power (mean of squares), rounded to whole dB below overload.
pub(crate) fn level_dbov(power: f32) -> u8 {
    /// 10^(1/20): each level begins half a decibel above itself.
    const HALF_DECIBEL: f32 = 1.122_018_5;
    let reached = |&amplitude: &f32| power < amplitude * amplitude * HALF_DECIBEL;
    AMPLITUDES[1..].partition_point(reached) as u8
}

#[cfg(test)]
mod tests;
