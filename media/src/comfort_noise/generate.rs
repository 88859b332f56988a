//! Noise of a given level and spectrum.

use super::{ComfortNoise, ORDER_MAX};
use crate::Random;

/// A change is approached by this share every 5 ms: two thirds of the way in 40 ms.
const APPROACH: f32 = 1.0 / 8.0;

/// The deviation of what `white` gives: the sum of two numbers evenly spread over 2^16 values.
const WHITE_DEVIATION: f32 = 26754.8;

/// Fills pauses with noise.
#[derive(Debug, Clone)]
pub struct NoiseGenerator {
    random: Random,
    /// Samples in 5 ms, after which the filter moves on towards what was described.
    step_samples: u16,
    left: u16,
    wanted: Shape,
    now: Shape,
    /// Amplification of the white noise, which moves evenly within a step.
    gain: f32,
    gain_step: f32,
    /// The lattice filter's backward prediction errors.
    memory: [f32; ORDER_MAX + 1],
    described: bool,
}

/// A level and a spectrum.
#[derive(Debug, Clone, Copy)]
struct Shape {
    amplitude: f32,
    reflection: [f32; ORDER_MAX],
}

impl Shape {
    const SILENT: Self = Self { amplitude: 0.0, reflection: [0.0; ORDER_MAX] };

    fn approach(&mut self, wanted: &Self) {
        self.amplitude += (wanted.amplitude - self.amplitude) * APPROACH;
        for (own, wanted) in self.reflection.iter_mut().zip(&wanted.reflection) {
            *own += (wanted - *own) * APPROACH;
        }
    }

    /// How much white noise must be amplified: the filter raises its power by the inverse of the
    /// product of all `1 - k^2`.
    fn gain(&self) -> f32 {
        let falls: f32 = self.reflection.iter().map(|k| 1.0 - k * k).product();
        self.amplitude * falls.sqrt() / WHITE_DEVIATION
    }
}

impl NoiseGenerator {
    /// Silent until it is told how the pause sounds. The same seed gives the same noise.
    pub fn new(sample_rate: u32, seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            step_samples: (sample_rate / 200).clamp(1, u16::MAX.into()) as u16,
            left: 0,
            wanted: Shape::SILENT,
            now: Shape::SILENT,
            gain: 0.0,
            gain_step: 0.0,
            memory: [0.0; ORDER_MAX + 1],
            described: false,
        }
    }

    /// Forgets the stream: silent again.
    pub fn reset(&mut self) {
        self.wanted = Shape::SILENT;
        self.now = Shape::SILENT;
        self.gain = 0.0;
        self.gain_step = 0.0;
        self.left = 0;
        self.described = false;
    }

    /// How the pause sounds from now on. The first description holds at once, later ones are
    /// approached.
    pub fn describe(&mut self, noise: &ComfortNoise) {
        self.wanted = Shape { amplitude: noise.amplitude(), reflection: noise.reflection() };
        if !self.described {
            self.described = true;
            self.now = self.wanted;
            self.gain = self.now.gain();
            self.gain_step = 0.0;
            self.left = 0;
        }
    }

    /// Whether it was told how the pause sounds.
    pub fn is_described(&self) -> bool {
        self.described
    }

    /// Fills `samples` with the noise that follows.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            if self.left == 0 {
                self.step();
            }
            self.left -= 1;
            self.gain += self.gain_step;
            let excitation = self.gain * white(&mut self.random);
            let filtered = self.filter(excitation);
            *sample = (filtered + 0.5_f32.copysign(filtered)) as i16;
        }
    }

    fn step(&mut self) {
        self.now.approach(&self.wanted);
        self.left = self.step_samples;
        self.gain_step = (self.now.gain() - self.gain) / f32::from(self.step_samples);
    }

    /// One sample through the lattice, which is stable whatever the coefficients do within -1 and 1.
    fn filter(&mut self, excitation: f32) -> f32 {
        let mut forward = excitation;
        for stage in (0..ORDER_MAX).rev() {
            let k = self.now.reflection[stage];
            forward -= k * self.memory[stage];
            self.memory[stage + 1] = self.memory[stage] + k * forward;
        }
        self.memory[0] = forward;
        forward
    }
}

/// White noise of triangular distribution.
fn white(random: &mut Random) -> f32 {
    let bits = random.next_u32();
    ((bits as i16) as i32 + ((bits >> 16) as i16) as i32) as f32
}
