//! The residual of lost frames: the last one's pitch again, mixed with noise made of it
//! (section 4.5).

use super::filter::dot;
use super::{IDENTITY, Lpc, Mode, Samples};

/// Samples over which the pitch is compared.
const COMPARED: usize = 60;

/// What is invented from.
#[derive(Debug, Clone)]
pub(super) struct Concealer {
    /// The last frame's residual, and its last filter.
    residual: Samples,
    filter: Lpc,
    /// The pitch that is repeated, and how periodic it is.
    lag: usize,
    periodicity: f32,
    /// Frames lost in a row.
    lost: usize,
    seed: u32,
}

impl Concealer {
    /// Without past.
    pub(super) const NEW: Self = Self {
        residual: [0.0; super::SAMPLES_MAX],
        filter: IDENTITY,
        lag: 120,
        periodicity: 0.0,
        lost: 0,
        seed: 777,
    };

    /// A frame arrived.
    pub(super) fn keep(&mut self, residual: &Samples, filter: &Lpc) {
        self.residual = *residual;
        self.filter = *filter;
        self.lost = 0;
    }

    /// A frame is lost: its residual and its filter. `lag` is the pitch that was last heard.
    pub(super) fn invent(&mut self, mode: Mode, lag: usize) -> (Samples, Lpc) {
        if self.lost == 0 {
            self.find_pitch(mode, lag);
        }
        self.lost = (self.lost + 1).min(9);
        let gain = gain(self.lost * mode.samples());
        let root = self.periodicity.sqrt();
        let share = if root > 0.7 {
            1.0
        } else if root > 0.4 {
            (root - 0.4) / (0.7 - 0.4)
        } else {
            0.0
        };
        // A short cycle is not repeated over and over.
        let lag = if self.lag < 80 { 2 * self.lag } else { self.lag };
        let (mut residual, mut noise) = ([0.0; super::SAMPLES_MAX], [0.0; super::SAMPLES_MAX]);
        let mut energy = 0.0;
        for n in 0..mode.samples() {
            self.seed = self.seed.wrapping_mul(69_069).wrapping_add(1) & 0x7fff_ffff;
            noise[n] = self.back(mode, &noise, n, 50 + (self.seed % 70) as usize);
            let pitch = self.back(mode, &residual, n, lag);
            let fading = [1.0, 0.95, 0.9][n / 80] * gain;
            residual[n] = fading * (share * pitch + (1.0 - share) * noise[n]);
            energy += residual[n] * residual[n];
        }
        // Where it is soft, noise alone.
        if (energy / mode.samples() as f32).sqrt() < 30.0 {
            residual = noise.map(|sample| gain * sample);
        }
        self.residual = residual;
        (residual, self.filter)
    }

    /// The sample `lag` before the `n`th.
    fn back(&self, mode: Mode, made: &Samples, n: usize, lag: usize) -> f32 {
        if n >= lag { made[n - lag] } else { self.residual[mode.samples() + n - lag] }
    }

    /// The best pitch near to the one that was heard.
    fn find_pitch(&mut self, mode: Mode, around: usize) {
        let mut best = f32::NEG_INFINITY;
        for lag in around.saturating_sub(3)..=around + 3 {
            let (likeness, periodicity) = self.compare(mode, lag);
            if likeness > best {
                best = likeness;
                (self.lag, self.periodicity) = (lag, periodicity);
            }
        }
    }

    /// How like the end of the residual is to what was a pitch before.
    fn compare(&self, mode: Mode, lag: usize) -> (f32, f32) {
        let residual = &self.residual[..mode.samples()];
        let length = COMPARED.min(residual.len() - lag);
        let now = &residual[residual.len() - length..];
        let past = &residual[residual.len() - length - lag..residual.len() - lag];
        let (product, energy) = (dot(now, past), dot(past, past));
        if energy <= 0.0 {
            return (0.0, 0.0);
        }
        let periodicity = product.abs() / (energy.sqrt() * dot(now, now).sqrt());
        (product * product / energy, periodicity)
    }
}

/// How loud what is invented still is, after so many samples.
fn gain(samples: usize) -> f32 {
    match samples {
        0..=320 => 1.0,
        321..=640 => 0.9,
        641..=960 => 0.7,
        961..=1280 => 0.5,
        _ => 0.0,
    }
}
