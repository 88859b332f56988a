//! One band's ADPCM: quantizer, its adaptation and the predictor (blocks 1 to 4, both bands).
//!
//! The predictor adapts to the four upper bits of the lower band's codes only, so that the two
//! lower ones can be lost on the way; encoder and decoder go through the same steps.

use super::quantize::{DECISIONS, HIGH_2, HIGH_STEPS, LOW_4, LOW_6, LOW_STEPS, POWERS};

/// The lower band, 0 to 4 kHz.
#[derive(Debug, Clone)]
pub(super) struct Low {
    scale: Scale,
    predictor: Predictor,
}

impl Low {
    pub(super) const NEW: Self = Self { scale: Scale::LOW, predictor: Predictor::NEW };

    /// The code of six bits of a sample.
    pub(super) fn encode(&mut self, sample: i16) -> u8 {
        let difference = sub(sample, self.predictor.signal);
        let magnitude = difference ^ (difference >> 15);
        let index = self.quantize(magnitude);
        // Codes run downwards from 63 (31) with growing magnitude; the first two negative ones
        // are at the top, for all zeros must not be sent (section 3.3).
        let code = match (difference < 0, index) {
            (false, _) => 61 - index,
            (true, 0 | 1) => 63 - index,
            (true, _) => 33 - index,
        };
        self.adapt(code);
        code
    }

    /// The sample of a code of six bits.
    pub(super) fn decode(&mut self, code: u8) -> i16 {
        let difference = scaled(self.scale.factor, LOW_6[usize::from(code & 63)]);
        let sample = add(self.predictor.signal, difference).clamp(-16384, 16383);
        self.adapt(code);
        sample
    }

    /// See [`Predictor::after_loss`].
    pub(super) fn after_loss(&mut self) {
        self.predictor.after_loss();
    }

    /// How many decision levels the magnitude reaches. All are compared, for a CPU does eight at
    /// a time.
    fn quantize(&self, magnitude: i16) -> u8 {
        let factor = u32::from(self.scale.factor as u16);
        let reached = |level: &u16| ((u32::from(*level) * factor) >> 16) as i16 <= magnitude;
        let count: i16 = DECISIONS.iter().map(|level| i16::from(reached(level))).sum();
        count.min(29) as u8
    }

    fn adapt(&mut self, code: u8) {
        let code = usize::from(code >> 2 & 15);
        let difference = scaled(self.scale.factor, LOW_4[code]);
        self.scale.step(LOW_STEPS[code], 18432, 8);
        self.predictor.update(difference);
    }
}

/// The upper band, 4 to 8 kHz.
#[derive(Debug, Clone)]
pub(super) struct High {
    scale: Scale,
    predictor: Predictor,
}

impl High {
    pub(super) const NEW: Self = Self { scale: Scale::HIGH, predictor: Predictor::NEW };

    /// The code of two bits of a sample.
    pub(super) fn encode(&mut self, sample: i16) -> u8 {
        let difference = sub(sample, self.predictor.signal);
        let magnitude = difference ^ (difference >> 15);
        let large = i32::from(magnitude) >= (564 * i32::from(self.scale.factor)) >> 12;
        let code = match (difference < 0, large) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        self.adapt(code);
        code
    }

    /// The sample of a code of two bits.
    pub(super) fn decode(&mut self, code: u8) -> i16 {
        let signal = self.predictor.signal;
        let difference = self.adapt(code);
        add(signal, difference).clamp(-16384, 16383)
    }

    /// See [`Predictor::after_loss`].
    pub(super) fn after_loss(&mut self) {
        self.predictor.after_loss();
    }

    fn adapt(&mut self, code: u8) -> i16 {
        let code = usize::from(code & 3);
        let difference = scaled(self.scale.factor, HIGH_2[code]);
        self.scale.step(HIGH_STEPS[code], 22528, 10);
        self.predictor.update(difference);
        difference
    }
}

/// A quantizer's scale factor.
#[derive(Debug, Clone)]
struct Scale {
    /// Its logarithm, 2048 for a factor of two.
    logarithm: i16,
    factor: i16,
}

impl Scale {
    const LOW: Self = Self { logarithm: 0, factor: 32 };
    const HIGH: Self = Self { logarithm: 0, factor: 8 };

    /// Leaks, and moves by what the code says (blocks LOGSCL and SCALEL, LOGSCH and SCALEH).
    fn step(&mut self, step: i16, most: i16, shift: i16) {
        let leaked = ((i32::from(self.logarithm) * 127) >> 7) as i16;
        self.logarithm = (leaked + step).clamp(0, most);
        let power = POWERS[usize::from((self.logarithm >> 6 & 31) as u16)];
        // The greatest logarithm shifts one to the left.
        let shift = shift - (self.logarithm >> 11);
        self.factor = ((2 * power) >> (shift + 1)) << 2;
    }
}

/// Predicts a sample from two earlier ones and six earlier differences (block 4).
#[derive(Debug, Clone)]
struct Predictor {
    /// What is predicted: SL, SH.
    signal: i16,
    /// The share of the zeros in it: SZL, SZH.
    zeros_signal: i16,
    /// The two last reconstructed samples, doubled: RLT.
    doubled: [i16; 2],
    /// The signs of the two last sums of difference and zeros' share (PLT): -1 or 0.
    signs: [i16; 2],
    /// Coefficients of the poles (A).
    poles: [i16; 2],
    /// Coefficients of the zeros (B). 32 bits each although 16 would do: so they are worked on
    /// faster.
    zeros: [i32; 6],
    /// The differences they belong to, doubled, newest first (DLT).
    differences: [i32; 6],
}

impl Predictor {
    const NEW: Self = Self {
        signal: 0,
        zeros_signal: 0,
        doubled: [0; 2],
        signs: [0; 2],
        poles: [0; 2],
        zeros: [0; 6],
        differences: [0; 6],
    };

    /// Takes the quantized difference of the sample that was predicted, and predicts the next.
    fn update(&mut self, difference: i16) {
        let sample = add(self.signal, difference);
        self.update_poles(add(self.zeros_signal, difference) >> 15);
        self.update_zeros(i32::from(difference));
        self.doubled = [add(sample, sample), self.doubled[0]];
        let poles =
            add(scaled(self.poles[0], self.doubled[0]), scaled(self.poles[1], self.doubled[1]));
        self.zeros_signal = self.filter_zeros();
        self.signal = add(poles, self.zeros_signal);
    }

    /// Forgets a quarter of how the sound was predicted, so that wrong predictions do not swing.
    /// (Tried on 2 minutes of speech: the second packet after a loss is wrong by a third less;
    /// forgetting everything is worse than doing nothing.)
    fn after_loss(&mut self) {
        self.poles = self.poles.map(|pole| pole - pole / 4);
        self.zeros = self.zeros.map(|zero| zero - zero / 4);
    }

    /// Blocks UPPOL2 and UPPOL1.
    fn update_poles(&mut self, sign: i16) {
        let [one, two] = self.poles.map(i32::from);
        let four = (4 * one).clamp(-32768, 32767);
        let along = if sign == self.signs[0] { (-four).min(32767) } else { four };
        let second = if sign == self.signs[1] { 128 } else { -128 };
        let two = ((along >> 7) + second + ((two * 32512) >> 15)).clamp(-12288, 12288);
        let first = if sign == self.signs[0] { 192 } else { -192 };
        let most = 15360 - two;
        let one = (first + ((one * 32640) >> 15)).clamp(-most, most);
        self.poles = [one as i16, two as i16];
        self.signs = [sign, self.signs[0]];
    }

    /// Block UPZERO: each coefficient leaks, and moves by 128 to where its difference would
    /// have predicted this one better. The leak keeps it within 16 bits.
    fn update_zeros(&mut self, difference: i32) {
        let step = if difference == 0 { 0 } else { 128 };
        for (zero, past) in self.zeros.iter_mut().zip(self.differences) {
            let against = (past ^ difference) >> 31;
            *zero += (-*zero >> 8) + ((step ^ against) - against);
        }
        let [first, second, third, fourth, fifth, _] = self.differences;
        let doubled = (2 * difference).clamp(-32768, 32767);
        self.differences = [doubled, first, second, third, fourth, fifth];
    }

    /// Block FILTEZ: the sum saturates at each step, oldest first.
    fn filter_zeros(&self) -> i16 {
        let mut product = [0; 6];
        for ((product, zero), past) in product.iter_mut().zip(self.zeros).zip(self.differences) {
            *product = (zero * past) >> 15;
        }
        let greatest: i32 = product.iter().map(|product| product.abs()).sum();
        if greatest <= 32767 {
            return product.iter().sum::<i32>() as i16;
        }
        product.iter().rfold(0, |sum, product| (sum + product).clamp(-32768, 32767)) as i16
    }
}

/// `a * b / 2^15`.
fn scaled(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 15) as i16
}

fn add(a: i16, b: i16) -> i16 {
    a.saturating_add(b)
}

fn sub(a: i16, b: i16) -> i16 {
    a.saturating_sub(b)
}
