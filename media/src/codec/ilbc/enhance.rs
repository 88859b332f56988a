//! The enhancer: each half of the residual is mixed with its like a pitch before and after, so
//! that voices are less rough (section 4.6). It looks ahead, and so delays by 5 or 10 ms.

mod smooth;

use super::filter::{PLACES, dot, dots, energies};
use super::tables::HALF_RATE;
use super::{Mode, Samples};

/// Samples that are enhanced at a time.
const BLOCK: usize = 80;

/// Blocks that are kept.
const BLOCKS: usize = 8;

/// Samples that are kept.
const KEPT: usize = BLOCKS * BLOCK;

/// The last of them.
type Kept = [f32; KEPT];

/// The pitch of each block, in samples.
type Periods = [f32; BLOCKS];

/// Samples, at half the rate, over which the pitch is looked for, and before them.
const HALF_BLOCK: usize = BLOCK / 2;
const HALF_BEFORE: usize = 60;

/// Pitches that are tried, at half the rate, [`PLACES`] at a time.
const LAGS: std::ops::Range<usize> = 10..60;

/// Enhances one stream.
#[derive(Debug, Clone)]
pub(super) struct Enhancer {
    kept: Kept,
    periods: Periods,
}

impl Enhancer {
    /// Without past.
    pub(super) const NEW: Self = Self { kept: [0.0; KEPT], periods: [40.0; BLOCKS] };

    /// Takes a frame's residual in. Gives the residual that is due, and the pitch of the newest.
    /// `after_loss` says that the frame before was invented.
    pub(super) fn enhance(
        &mut self,
        mode: Mode,
        residual: &Samples,
        after_loss: bool,
    ) -> (Samples, usize) {
        let length = mode.samples();
        self.kept.copy_within(length.., 0);
        self.kept[KEPT - length..].copy_from_slice(&residual[..length]);
        let lag = self.find_periods(length / BLOCK);
        if after_loss {
            self.join(mode, residual);
        }
        let begin = match mode {
            Mode::Short => 5 * BLOCK + HALF_BLOCK,
            Mode::Long => 4 * BLOCK,
        };
        let mut enhanced = [0.0; super::SAMPLES_MAX];
        for (k, block) in
            enhanced.as_chunks_mut::<BLOCK>().0[..length / BLOCK].iter_mut().enumerate()
        {
            *block = smooth::block(&self.kept, begin + k * BLOCK, &self.periods);
        }
        (enhanced, 2 * lag)
    }

    /// The pitch of the newest blocks; that of the last of them, at half the rate, is given back.
    fn find_periods(&mut self, count: usize) -> usize {
        self.periods.copy_within(count.., 0);
        let begin = KEPT - count * BLOCK - 2 * HALF_BEFORE;
        let mut halved = [0.0; 3 * HALF_BLOCK + HALF_BEFORE];
        let halved = &mut halved[..count * HALF_BLOCK + HALF_BEFORE];
        for (k, half) in halved.iter_mut().enumerate() {
            // The filter reaches three samples ahead; beyond the end there is silence.
            let at = begin + 2 * k + 3;
            for (j, tap) in HALF_RATE.iter().enumerate() {
                *half += tap * self.kept.get(at - j).unwrap_or(&0.0);
            }
        }
        let mut lag = LAGS.start;
        for block in 0..count {
            let now = HALF_BEFORE + block * HALF_BLOCK;
            let mut most = f32::NEG_INFINITY;
            for shortest in LAGS.step_by(PLACES) {
                let past = &halved[now + 1 - shortest - PLACES..];
                let products = dots(&halved[now..now + HALF_BLOCK], past);
                let energies = energies(HALF_BLOCK, past);
                // The shortest lag is the last place.
                for (k, (product, energy)) in products.iter().zip(energies).rev().enumerate() {
                    let likeness = likeness(*product, energy);
                    if likeness > most {
                        (lag, most) = (shortest + k, likeness);
                    }
                }
            }
            self.periods[BLOCKS - count + block] = (2 * lag) as f32;
        }
        lag
    }

    /// Joins what was invented with the frame that follows: the frame's first pitch, running
    /// backwards, is faded in under the end of it.
    fn join(&mut self, mode: Mode, residual: &Samples) {
        let length = match mode {
            Mode::Short => HALF_BLOCK,
            Mode::Long => BLOCK,
        };
        let first = BLOCKS - mode.samples() / BLOCK;
        let around = self.periods[first] as usize;
        let (mut lag, mut most) = (around - 1, f32::NEG_INFINITY);
        for candidate in around - 1..=around + 1 {
            let past = &residual[candidate..candidate + length];
            let likeness = likeness(dot(&residual[..length], past), dot(past, past));
            if likeness > most {
                (lag, most) = (candidate, likeness);
            }
        }
        self.periods[first - 1] = lag as f32;

        let end = KEPT - mode.samples();
        let mut before = [0.0; BLOCK];
        for (k, sample) in before[..length].iter_mut().rev().enumerate() {
            *sample = if k < lag { residual[lag - 1 - k] } else { self.kept[end - 1 - (k - lag)] };
        }
        let invented = &mut self.kept[end - length..end];
        soften(&mut before[..length], invented);
        for (k, (invented, before)) in invented.iter_mut().zip(&before).rev().enumerate() {
            let share = (k + 1) as f32 / (length + 1) as f32;
            *invented = *invented * share + (1.0 - share) * before;
        }
    }
}

/// Keeps `samples` from being more than twice as loud as `beside`, but for a slope at the end.
fn soften(samples: &mut [f32], beside: &[f32]) {
    let length = samples.len();
    let level = |samples: &mut dyn Iterator<Item = &f32>| {
        (samples.fold(0.0, |sum, sample| sum + sample * sample) / length as f32).sqrt()
    };
    let loud = level(&mut samples.iter());
    let bound = level(&mut beside.iter().rev());
    if loud <= 2.0 * bound || loud <= 0.0 {
        return;
    }
    let factor = 2.0 * bound / loud;
    for (k, sample) in samples.iter_mut().enumerate() {
        let slope = (k + 10).saturating_sub(length) as f32;
        *sample *= slope * (1.0 - factor) / 10.0 + factor;
    }
}

/// How much of a sound its past explains, by the sum of their products and the past's energy. None
/// where they are opposite.
fn likeness(product: f32, energy: f32) -> f32 {
    if product > 0.0 { product * product / energy } else { 0.0 }
}
