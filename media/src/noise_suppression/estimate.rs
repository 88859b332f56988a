//! What of each frequency is noise, and the gain that leaves the rest.

use super::spectrum::BINS_MAX;

/// One number for each frequency.
type Bins = [f32; BINS_MAX];

/// What is known of one source's noise. No frequency knows of another.
#[derive(Debug, Clone)]
pub(super) struct Estimate {
    /// Windows so far; they begin anew at `WINDOWS_MAX`.
    windows: u32,
    /// Power of the noise.
    noise: Bins,
    /// How probable speech was in the last tenth of a second.
    presence: Bins,
    /// Power of the speech in the window before.
    speech: Bins,
    /// Power of the sound over the last 50 ms.
    smooth: Bins,
    /// The least of that since the beginning of the span before, and of this one.
    least: Bins,
    least_of_span: Bins,
    gains: Bins,
}

/// Windows that are taken for noise when a source begins: 80 ms.
const FIRST_WINDOWS: u32 = 8;

/// Windows of a span of which the least power is kept: 0.75 s.
const SPAN: u32 = 75;

/// The noise is at most so much above the least of one to two spans: 6 dB.
const ABOVE_LEAST: f32 = 4.0;

/// How much louder than the noise speech is expected to be, where it is: 10 dB.
const EXPECTED: f32 = 10.0;

/// How much of its present estimate the noise keeps in a window.
const NOISE_MEMORY: f32 = 0.9;

/// A probability of speech that has been higher for long is taken for an error.
const PRESENCE_MAX: f32 = 0.99;

/// How much the ratio of speech to noise follows the window before.
const DIRECTED: f32 = 0.98;

/// The least gain: -20 dB.
const DEPTH: f32 = 0.1;

/// Noise of this amplitude in all is left alone: -72 dBov.
const QUIET: f32 = 8.0;

impl Estimate {
    pub(super) const fn new() -> Self {
        const ZERO: Bins = [0.0; BINS_MAX];
        Self {
            windows: 0,
            noise: ZERO,
            presence: ZERO,
            speech: ZERO,
            smooth: ZERO,
            least: ZERO,
            least_of_span: ZERO,
            gains: ZERO,
        }
    }

    /// Nothing is known any more.
    pub(super) fn reset(&mut self) {
        self.windows = 0;
    }

    /// Takes the powers of a window with this many samples in a half, and returns their gains.
    pub(super) fn window(&mut self, powers: &[f32], half: usize) -> &[f32] {
        if self.windows == 0 {
            self.begin(powers);
        }
        // The power of a window of noise of one unit, in one frequency.
        let unit = half as f32;
        self.follow(powers, unit / 12.0);
        self.bound(powers, unit / 12.0);
        self.weigh(powers, unit * QUIET * QUIET);
        // Beyond the first windows only the place in the span counts.
        self.windows = if self.windows == 2 * SPAN - 1 { SPAN } else { self.windows + 1 };
        &self.gains[..powers.len()]
    }

    fn begin(&mut self, powers: &[f32]) {
        let bins = powers.len();
        for known in [&mut self.noise, &mut self.smooth, &mut self.least, &mut self.least_of_span] {
            known[..bins].copy_from_slice(powers);
        }
        self.presence.fill(0.0);
        self.speech.fill(0.0);
    }

    /// The noise follows the sound as far as that is probably no speech. `floor` is the noise of
    /// rounding to 16 bits.
    fn follow(&mut self, powers: &[f32], floor: f32) {
        let is_first = self.windows < FIRST_WINDOWS;
        let share = 1.0 / (self.windows + 1) as f32;
        let (noise, presence) = (&mut self.noise[..], &mut self.presence[..]);
        for ((&power, noise), presence) in powers.iter().zip(noise).zip(presence) {
            if is_first {
                *noise += (power - *noise) * share;
            }
            *noise = noise.max(floor);
            let post = power / *noise;
            let probable =
                1.0 / (1.0 + (1.0 + EXPECTED) * exp_of_minus(post * (EXPECTED / (1.0 + EXPECTED))));
            *presence = 0.9 * *presence + 0.1 * probable;
            let stuck = if *presence > PRESENCE_MAX { PRESENCE_MAX } else { 1.0 };
            let probable = probable.min(stuck);
            let expected = (1.0 - probable) * power + probable * *noise;
            *noise = NOISE_MEMORY * *noise + (1.0 - NOISE_MEMORY) * expected;
        }
    }

    /// The noise is not much above the least that was heard lately: speech has pauses.
    fn bound(&mut self, powers: &[f32], floor: f32) {
        let ends_span = self.windows % SPAN == SPAN - 1;
        let bins = powers.len();
        let (noise, smooth) = (&mut self.noise[..bins], &mut self.smooth[..bins]);
        let (least, coming) = (&mut self.least[..bins], &mut self.least_of_span[..bins]);
        for at in 0..bins {
            smooth[at] = 0.8 * smooth[at] + 0.2 * powers[at];
            coming[at] = coming[at].min(smooth[at]);
            least[at] = least[at].min(smooth[at]);
            noise[at] = noise[at].min(ABOVE_LEAST * least[at]).max(floor);
        }
        if ends_span {
            least.copy_from_slice(coming);
            coming.copy_from_slice(smooth);
        }
    }

    /// The gain of each frequency. Noise of the power `quiet` may stay.
    fn weigh(&mut self, powers: &[f32], quiet: f32) {
        let bins = powers.len();
        let (noise, speech) = (&self.noise[..bins], &mut self.speech[..bins]);
        let gains = &mut self.gains[..bins];
        for at in 0..bins {
            let now = (powers[at] / noise[at] - 1.0).max(0.0);
            let ratio = DIRECTED * (speech[at] / noise[at]) + (1.0 - DIRECTED) * now;
            let gain = ratio / (1.0 + ratio);
            speech[at] = gain * gain * powers[at];
            let least = (quiet / noise[at]).sqrt().clamp(DEPTH, 1.0);
            gains[at] = gain.max(least);
        }
    }
}

/// e to the power of -x, for x from 0 on, within 0.002: (1 - x/256)^256.
fn exp_of_minus(x: f32) -> f32 {
    let mut power = (1.0 - x * (1.0 / 256.0)).max(0.0);
    for _ in 0..8 {
        power *= power;
    }
    power
}
