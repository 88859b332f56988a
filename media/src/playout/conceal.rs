//! Sound for what is missing: the last 20 ms again, fading into silence.

use media_units::BLOCK_SAMPLES;

/// Samples after which a loss has faded into silence: 60 ms.
const FADE: usize = 480;

/// The same, where the sender said that it falls silent: 5 ms.
const HUSH: usize = 40;

/// Samples in which real sound fades in again: 5 ms.
const REJOIN: usize = 40;

/// Conceals one loss at a time.
#[derive(Debug, Clone)]
pub(super) struct Concealer {
    /// What was played last.
    past: [i16; BLOCK_SAMPLES],
    past_length: usize,
    /// Samples invented so far.
    invented: usize,
}

impl Concealer {
    pub(super) fn new() -> Self {
        Self { past: [0; BLOCK_SAMPLES], past_length: 0, invented: 0 }
    }

    /// Whether something is missing just now.
    pub(super) fn is_active(&self) -> bool {
        self.invented > 0
    }

    /// Whether the loss has faded into silence.
    pub(super) fn is_silent(&self) -> bool {
        self.invented >= FADE
    }

    /// A loss begins. `past` is the sound just before it, at most a block.
    pub(super) fn begin(&mut self, past: &[i16]) {
        self.past[..past.len()].copy_from_slice(past);
        self.past_length = past.len();
    }

    /// Lets the loss fade quickly: the silence is meant.
    pub(super) fn hush(&mut self) {
        self.invented = self.invented.max(FADE - HUSH);
    }

    /// Lets a loss of `length` samples pass without hearing it.
    pub(super) fn skip(&mut self, length: usize) {
        self.invented = (self.invented + length).min(FADE);
    }

    /// Invents samples.
    pub(super) fn fill(&mut self, samples: &mut [i16]) {
        for sample in &mut *samples {
            *sample = self.next();
        }
    }

    /// Real sound is back: fades from what would have been invented into it.
    pub(super) fn rejoin(&mut self, samples: &mut [i16]) {
        let length = samples.len().min(REJOIN);
        for (index, sample) in samples[..length].iter_mut().enumerate() {
            *sample = cross_fade(self.next(), *sample, index + 1, length + 1);
        }
        self.end();
    }

    /// The loss is over.
    pub(super) fn end(&mut self) {
        self.invented = 0;
    }

    /// The past, back and forth, so that it has no jump; softer and softer.
    fn next(&mut self) -> i16 {
        if self.is_silent() {
            return 0;
        }
        let gain = (FADE - self.invented) as i32;
        let sample = match self.past_length {
            0 => 0,
            1 => self.past[0],
            length => {
                let turn = 2 * (length - 1);
                let at = (self.invented + length) % turn;
                self.past[if at < length { at } else { turn - at }]
            }
        };
        self.invented += 1;
        (i32::from(sample) * gain / FADE as i32) as i16
    }
}

/// The sample `step` of `steps` on the way from one sound to another.
pub(super) fn cross_fade(from: i16, to: i16, step: usize, steps: usize) -> i16 {
    let (step, steps) = (step as i32, steps as i32);
    ((i32::from(from) * (steps - step) + i32::from(to) * step) / steps) as i16
}
