//! How a pause sounds: level and spectrum by linear prediction.

use super::{ComfortNoise, INDEX_MAX, INDEX_STEP, ORDER_MAX, ZERO_INDEX, level_dbov};

/// Coefficients that are sent: enough for the noise of a room.
const ORDER: usize = 10;

/// The share of a new packet in what is known.
const SHARE: f32 = 1.0 / 8.0;

/// Listens to pauses and describes them.
#[derive(Debug, Clone, Default)]
pub struct NoiseAnalyser {
    /// The autocorrelation of the last pauses, a sample; `None` where none was heard.
    correlation: Option<[f32; ORDER + 1]>,
}

impl NoiseAnalyser {
    /// Nothing heard yet.
    pub const fn new() -> Self {
        Self { correlation: None }
    }

    /// Forgets the stream.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Listens to 10 ms or more of a pause.
    pub fn observe(&mut self, samples: &[i16]) {
        if samples.is_empty() {
            return;
        }
        let mut latest = [0.0; ORDER + 1];
        for (lag, latest) in latest.iter_mut().enumerate() {
            let later = samples.get(lag..).unwrap_or_default();
            let products = later.iter().zip(samples).map(|(&a, &b)| i64::from(a) * i64::from(b));
            *latest = products.sum::<i64>() as f32 / samples.len() as f32;
        }
        match &mut self.correlation {
            None => self.correlation = Some(latest),
            Some(known) => {
                for (known, latest) in known.iter_mut().zip(latest) {
                    *known += (latest - *known) * SHARE;
                }
            }
        }
    }

    /// The pauses that were heard; silence where there was none.
    pub fn noise(&self) -> ComfortNoise {
        let Some(correlation) = &self.correlation else { return ComfortNoise::SILENCE };
        let mut noise = ComfortNoise::white(level_dbov(correlation[0]));
        noise.order = ORDER as u8;
        for (index, k) in noise.indices.iter_mut().zip(reflection(correlation)) {
            *index = quantize(k);
        }
        noise
    }
}

/// The reflection coefficients of an autocorrelation (Levinson and Durbin).
fn reflection(correlation: &[f32; ORDER + 1]) -> [f32; ORDER_MAX] {
    let mut reflection = [0.0; ORDER_MAX];
    let mut predictor = [0.0_f32; ORDER + 1];
    predictor[0] = 1.0;
    // A little white noise, so that a pure tone or silence has an answer too.
    let mut error = correlation[0] * 1.0001 + 1.0;
    for order in 1..=ORDER {
        let mut sum = 0.0;
        for (at, a) in predictor[..order].iter().enumerate() {
            sum += a * correlation[order - at];
        }
        let k = (-sum / error).clamp(-0.999, 0.999);
        reflection[order - 1] = k;
        let before = predictor;
        for at in 1..=order {
            predictor[at] = before[at] + k * before[order - at];
        }
        error *= 1.0 - k * k;
    }
    reflection
}

/// The index of a coefficient, rounded.
fn quantize(k: f32) -> u8 {
    (k / INDEX_STEP + f32::from(ZERO_INDEX) + 0.5).clamp(0.0, f32::from(INDEX_MAX)) as u8
}
