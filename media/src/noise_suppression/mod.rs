//! Less noise in one source's sound: what is steady and not speech is turned down by up to 20 dB.
//!
//! Windows of 20 ms, every 10 ms, are taken apart into frequencies. For each, the power of the
//! noise is followed by the probability that there is speech in it (Gerkmann and Hendriks,
//! 2012), held down by the least power of the last seconds (Martin, 2001); a Wiener filter with the
//! decision-directed ratio of Ephraim and Malah (1984) takes it out. The sound comes 10 ms later.
//!
//! It must never change what is quiet anyway (below -72 dBov in all), allocate, or give other samples
//! on another machine: additions, multiplications, divisions and square roots only, in one order.

mod estimate;
mod spectrum;
#[cfg(test)]
mod tests;

use estimate::Estimate;
use spectrum::{HALF_MAX, Window};

/// Suppresses the noise of one source.
#[derive(Debug, Clone)]
pub struct NoiseSuppressor {
    /// Samples of a block; 0 before the first.
    block_samples: usize,
    /// The last 10 ms that came in.
    before: [f32; HALF_MAX],
    /// The second half of the last window, as it is to be heard.
    tail: [f32; HALF_MAX],
    /// Whether `before` and `tail` are silence.
    is_drained: bool,
    estimate: Estimate,
}

impl Default for NoiseSuppressor {
    fn default() -> Self {
        Self::new()
    }
}

impl NoiseSuppressor {
    /// By so much what it gives is later.
    pub const DELAY: std::time::Duration = std::time::Duration::from_millis(10);

    /// Nothing is known of the source.
    pub const fn new() -> Self {
        Self {
            block_samples: 0,
            before: [0.0; HALF_MAX],
            tail: [0.0; HALF_MAX],
            is_drained: true,
            estimate: Estimate::new(),
        }
    }

    /// Forgets the source: another one begins.
    pub fn reset(&mut self) {
        self.interrupt();
        self.estimate.reset();
    }

    /// What comes next does not follow what came last. What is known of the noise still holds.
    pub fn interrupt(&mut self) {
        self.before.fill(0.0);
        self.tail.fill(0.0);
        self.is_drained = true;
    }

    /// Whether it gives silence as long as it is given silence.
    pub const fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// Takes a period's sound, at 8, 16 or 48 kHz, and puts that of 10 ms ago in its place, with less
    /// noise.
    pub fn block(&mut self, block: &mut [i16]) {
        if self.block_samples != block.len() {
            self.reset();
            self.block_samples = block.len();
        }
        for half in block.chunks_exact_mut(block.len() / 2) {
            self.half(half);
        }
    }

    fn half(&mut self, samples: &mut [i16]) {
        let half = samples.len();
        let (mut now, before, tail) =
            ([0.0; HALF_MAX], &mut self.before[..half], &mut self.tail[..half]);
        let now = &mut now[..half];
        for (now, &sample) in now.iter_mut().zip(&*samples) {
            *now = f32::from(sample);
        }
        let is_silent = |part: &[f32]| part.iter().all(|&sample| sample == 0.0);
        if is_silent(now) && is_silent(before) {
            // Silence says nothing of the noise: it comes back with the sound.
            now.copy_from_slice(tail);
            tail.fill(0.0);
            self.is_drained = true;
        } else {
            let mut window = Window::new(before, now);
            before.copy_from_slice(now);
            let gains = self.estimate.window(window.powers(), half);
            window.weigh(gains);
            window.play(tail, now);
            self.is_drained = false;
        }
        for (sample, now) in samples.iter_mut().zip(now) {
            // Beyond 16 bits it saturates.
            *sample = now.round() as i16;
        }
    }
}
