//! What is heard where there is no sound: in a pause, the noise that the sender described (RFC 3389);
//! after a long loss, the line as it was between words, so that a hole in the network does not sound
//! like the end of the call.

use media_kernels::Kernels;

use super::Pulled;
use crate::comfort_noise::{ComfortNoise, NoiseAnalyser, NoiseGenerator, level_dbov};

/// The noise, and how long it is to be heard.
#[derive(Debug, Clone)]
pub(super) struct Background {
    generator: NoiseGenerator,
    sample_rate: u32,
    /// Samples until a loss is silent; [`LASTS`] in a pause.
    left: u32,
    /// The softest sound of the last seconds.
    softest: Option<ComfortNoise>,
}

/// Noise need not differ from stream to stream.
const SEED: u64 = 1;

/// A pause lasts until there is sound.
const LASTS: u32 = u32::MAX;

/// How long the line is heard after the sound of a loss has faded: who is gone is silent then.
const LOSS_SECONDS: u32 = 5;

/// The last of it fades, in parts of a second.
const FADE: u32 = 4;

/// One period in so many, of those that are played as they came, is to be heard: every 640 ms.
pub(super) const HEAR_EVERY: u8 = 32;

/// What was soft once may be louder by now: 3 dB a second.
const RISE_DB: u8 = 2;

/// Whatever is louder is no background, in dB below overload.
const LOUDEST_DBOV: u8 = 40;

/// Whatever is softer is silence.
const SILENT_DBOV: u8 = 90;

impl Background {
    /// Of a stream of which nothing was heard yet.
    pub(super) fn new(sample_rate: u32) -> Self {
        Self {
            generator: NoiseGenerator::new(sample_rate, SEED),
            sample_rate,
            left: LASTS,
            softest: None,
        }
    }

    /// Forgets the stream.
    pub(super) fn restart(&mut self, sample_rate: u32) {
        *self = Self::new(sample_rate);
    }

    /// The sender says how its pause sounds.
    pub(super) fn describe(&mut self, noise: &ComfortNoise) {
        self.generator.describe(noise);
        self.left = LASTS;
    }

    /// Silence from now on.
    pub(super) fn silence(&mut self) {
        self.generator.reset();
        self.left = LASTS;
    }

    /// Hears a period that was played as it came.
    pub(super) fn hear(&mut self, kernels: &Kernels, samples: &[i16]) {
        let power = kernels.energy(samples) / (samples.len() as u64).max(1);
        let level = level_dbov(power as f32);
        let known = self.softest.map_or(LOUDEST_DBOV, |noise| noise.level_dbov());
        if level >= known.max(LOUDEST_DBOV) {
            self.softest = Some(if level < SILENT_DBOV {
                let mut analyser = NoiseAnalyser::new();
                analyser.observe(samples);
                analyser.noise()
            } else {
                ComfortNoise::SILENCE
            });
        } else if let Some(noise) = &mut self.softest {
            noise.amplify(RISE_DB);
        }
    }

    /// Whether the sender said how its pause sounds.
    pub(super) fn is_described(&self) -> bool {
        self.generator.is_described() && self.left == LASTS
    }

    /// What was before a loss has faded.
    pub(super) fn begin_loss(&mut self) {
        if !self.generator.is_described() {
            let is_heard =
                |noise: &ComfortNoise| (LOUDEST_DBOV..SILENT_DBOV).contains(&noise.level_dbov());
            let Some(noise) = self.softest.filter(is_heard) else { return };
            // It comes up softly.
            self.generator.describe(&ComfortNoise::SILENCE);
            self.generator.describe(&noise);
        }
        self.left = LOSS_SECONDS * self.sample_rate;
    }

    /// There is sound again.
    pub(super) fn end_loss(&mut self) {
        if self.left != LASTS {
            self.silence();
        }
    }

    /// Fills what is to be heard next; with silence where it is not wanted.
    pub(super) fn fill(&mut self, is_wanted: bool, samples: &mut [i16]) -> Pulled {
        if !self.generator.is_described() || !is_wanted {
            samples.fill(0);
        } else {
            self.generator.fill(samples);
        }
        self.pass(samples.len())
    }

    /// Lets the time of so many samples pass.
    pub(super) fn pass(&mut self, samples: usize) -> Pulled {
        if !self.generator.is_described() {
            return Pulled::Silence;
        }
        if self.left != LASTS {
            self.left = self.left.saturating_sub(samples as u32);
            if self.left == 0 {
                self.silence();
            } else if self.left < self.sample_rate / FADE {
                self.generator.describe(&ComfortNoise::SILENCE);
            }
        }
        Pulled::Noise
    }
}
