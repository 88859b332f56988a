//! ITU-T G.726 at 32 kbit/s: adaptive differential PCM, four bits for each sample.
//!
//! Written from the Recommendation, block by block and bit exact: the names in small capitals
//! there (FMULT, UPA2, ...) are said beside the code that does their work. Samples are uniform
//! (Annex A): 14 bits inside, 16 outside. Two codewords share an octet, the first in the low bits
//! (RFC 3551 section 4.5.4). Integers only. The Recommendation has no concealment: playout invents
//! what is lost.

use media_units::Discard;

/// Bits by which a sample outside is longer than inside.
const UNIFORM_SHIFT: u32 = 2;

/// QUAN: the least normalized logarithm for each magnitude from 1 on.
const DECISIONS: [i32; 7] = [-124, 80, 178, 246, 300, 349, 400];

/// RECONST: the normalized logarithm that each magnitude stands for.
const LEVELS: [i32; 8] = [-2048, 4, 135, 213, 273, 323, 373, 425];

/// FUNCTW: how each magnitude moves the step size.
const STEP_MOVES: [i32; 8] = [-12, 18, 41, 64, 112, 198, 355, 1122];

/// FUNCTF: how fast each magnitude says that the signal changes.
const RATES_OF_CHANGE: [i32; 8] = [0, 0, 0, 1, 1, 1, 3, 7];

/// Turns codewords into samples.
#[derive(Debug, Clone, Default)]
pub struct G726Decoder {
    predictor: Predictor,
}

impl G726Decoder {
    /// Forgets the stream.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// How many samples the payload holds: two in each octet.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // as those of other formats
    pub fn samples(&self, payload: &[u8]) -> Result<usize, Discard> {
        Ok(2 * payload.len())
    }

    /// Decodes a payload and says how many samples it was.
    pub fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize {
        let pairs = samples.as_chunks_mut::<2>().0;
        for (pair, octet) in pairs.iter_mut().zip(payload) {
            *pair = [octet & 15, octet >> 4].map(|code| self.sample(code));
        }
        2 * pairs.len().min(payload.len())
    }

    fn sample(&mut self, code: u8) -> i16 {
        let estimate = self.predictor.estimate();
        outside(self.predictor.advance(estimate, code))
    }
}

/// Turns samples into codewords.
#[derive(Debug, Clone, Default)]
pub struct G726Encoder {
    predictor: Predictor,
}

impl G726Encoder {
    /// Encodes an even number of samples and says how many octets they take.
    pub fn encode(&mut self, samples: &[i16], frame: &mut [u8]) -> usize {
        let pairs = samples.as_chunks::<2>().0;
        for (octet, pair) in frame.iter_mut().zip(pairs) {
            let [low, high] = pair.map(|sample| self.code(sample));
            *octet = low | high << 4;
        }
        pairs.len().min(frame.len())
    }

    fn code(&mut self, sample: i16) -> u8 {
        let estimate = self.predictor.estimate();
        let difference = (i32::from(sample) >> UNIFORM_SHIFT) - estimate.signal;
        let code = quantize(difference, estimate.step);
        self.predictor.advance(estimate, code);
        code
    }
}

/// LIMO, and 14 bits to 16.
fn outside(reconstructed: i32) -> i16 {
    (reconstructed.clamp(-8192, 8191) << UNIFORM_SHIFT) as i16
}

/// LOG, SUBTB and QUAN: the codeword of a difference.
fn quantize(difference: i32, step: i32) -> u8 {
    let magnitude = difference.unsigned_abs();
    let exponent = magnitude.max(1).ilog2();
    let mantissa = ((magnitude << 7) >> exponent) & 127;
    let logarithm = ((exponent << 7) + mantissa) as i32 - (step >> 2);
    let index = DECISIONS.iter().filter(|least| logarithm >= **least).count() as u8;
    // Nothing is sent as 0: the smallest of either sign is 15.
    if difference < 0 || index == 0 { 15 - index } else { index }
}

/// The floating-point form in which past signals meet the predictor: six bits of mantissa.
#[derive(Debug, Clone, Copy)]
struct Float {
    negative: bool,
    exponent: u32,
    mantissa: u32,
}

impl Float {
    const ZERO: Self = Self { negative: false, exponent: 0, mantissa: 32 };

    /// FLOATA, FLOATB.
    fn new(value: i32) -> Self {
        Self::of_magnitude(value < 0, value.unsigned_abs())
    }

    fn of_magnitude(negative: bool, magnitude: u32) -> Self {
        if magnitude == 0 {
            return Self { negative, ..Self::ZERO };
        }
        let exponent = magnitude.ilog2() + 1;
        Self { negative, exponent, mantissa: (magnitude << 6) >> exponent }
    }

    /// FMULT: a predictor coefficient times this.
    fn times(self, coefficient: i32) -> i32 {
        // Thirteen bits of magnitude: the lowest coefficient there is counts as none.
        let magnitude = (coefficient >> 2).unsigned_abs() & 0x1fff;
        let other = Self::of_magnitude(coefficient < 0, magnitude);
        let exponent = self.exponent + other.exponent;
        let mantissa = ((self.mantissa * other.mantissa + 48) >> 4) << 7;
        let magnitude = if exponent <= 26 {
            mantissa >> (26 - exponent)
        } else {
            (mantissa << (exponent - 26)) & 0x7fff
        };
        let magnitude = magnitude as i32;
        if self.negative == other.negative { magnitude } else { -magnitude }
    }
}

/// What the next sample is expected to be.
#[derive(Debug, Clone, Copy)]
struct Estimate {
    /// SE.
    signal: i32,
    /// SEZ: the part of it that comes from the zeros.
    zeros: i32,
    /// Y: the logarithm of the step size.
    step: i32,
}

/// What encoder and decoder keep alike.
#[derive(Debug, Clone)]
struct Predictor {
    /// YU: the step size that follows quickly.
    step_fast: i32,
    /// YL: the one that follows slowly, with six more bits.
    step_slow: i32,
    /// DMS and DML: the rate of change, averaged over a short and a long time.
    change_short: i32,
    change_long: i32,
    /// AP: how far the quick step size is to be trusted.
    speed: i32,
    /// A1, A2.
    poles: [i32; 2],
    /// B1 to B6.
    zeros: [i32; 6],
    /// SR1, SR2.
    signals: [Float; 2],
    /// DQ1 to DQ6.
    differences: [Float; 6],
    /// PK1, PK2: the signs of what the zeros made.
    partial_negative: [bool; 2],
    /// TD: a tone of narrow band is there.
    tone: bool,
}

impl Default for Predictor {
    fn default() -> Self {
        Self {
            step_fast: 544,
            step_slow: 34_816,
            change_short: 0,
            change_long: 0,
            speed: 0,
            poles: [0; 2],
            zeros: [0; 6],
            signals: [Float::ZERO; 2],
            differences: [Float::ZERO; 6],
            partial_negative: [false; 2],
            tone: false,
        }
    }
}

impl Predictor {
    /// ACCUM, LIMA and MIX.
    fn estimate(&self) -> Estimate {
        let sum = |past: &[Float], by: &[i32]| -> i32 {
            past.iter().zip(by).map(|(past, by)| past.times(*by)).sum()
        };
        // Sixteen bits, as the Recommendation has them.
        let zeros = i32::from(sum(&self.differences, &self.zeros) as i16);
        let all = i32::from((zeros + sum(&self.signals, &self.poles)) as i16);
        let slow = self.step_slow >> 6;
        let speed = if self.speed >= 256 { 64 } else { self.speed >> 2 };
        // Division, not a shift: the product is made of magnitudes.
        let step = slow + (self.step_fast - slow) * speed / 64;
        Estimate { signal: all >> 1, zeros: zeros >> 1, step }
    }

    /// Takes the codeword in, and gives back the reconstructed sample (SR).
    fn advance(&mut self, estimate: Estimate, code: u8) -> i32 {
        let negative = code & 8 != 0;
        let index = usize::from(if negative { 15 - (code & 15) } else { code & 7 });
        let magnitude = antilogarithm(LEVELS[index] + (estimate.step >> 2));
        let difference = if negative { -magnitude } else { magnitude };
        let reconstructed = i32::from((estimate.signal + difference) as i16);
        let transition = self.tone && magnitude > self.transition_threshold();

        self.adapt_step(estimate.step, index);
        self.adapt_poles(difference + estimate.zeros);
        self.adapt_zeros(negative, magnitude);
        self.tone = self.poles[1] < -11_776;
        self.adapt_speed(estimate.step, index);
        if transition {
            // TRIGA, TRIGB: what was learnt about the tone is of no use any more.
            (self.poles, self.zeros) = ([0; 2], [0; 6]);
            (self.speed, self.tone) = (256, false);
        }

        self.differences.rotate_right(1);
        self.differences[0] = Float::of_magnitude(negative, magnitude as u32);
        self.signals = [Float::new(reconstructed), self.signals[0]];
        reconstructed
    }

    /// TRANS: a difference above this ends a tone.
    fn transition_threshold(&self) -> i32 {
        let (whole, fraction) = (self.step_slow >> 15, (self.step_slow >> 10) & 31);
        let threshold = if whole > 9 { 31 << 10 } else { (32 + fraction) << whole };
        (threshold + (threshold >> 1)) >> 1
    }

    /// FILTD, LIMB and FILTE.
    fn adapt_step(&mut self, step: i32, index: usize) {
        self.step_fast = (step + (((STEP_MOVES[index] << 5) - step) >> 5)).clamp(544, 5120);
        self.step_slow += self.step_fast + (-self.step_slow >> 6);
    }

    /// ADDC, UPA2, LIMC, UPA1 and LIMD.
    fn adapt_poles(&mut self, partial: i32) {
        let negative = partial < 0;
        let differs = self.partial_negative.map(|past| past != negative);
        self.partial_negative = [negative, self.partial_negative[0]];
        let [first, second] = self.poles;

        let (mut first_gain, mut second_gain) = (0, 0);
        if partial != 0 {
            let product = first.clamp(-8191, 8191) << 2;
            let product = if differs[0] { product } else { -product };
            first_gain = if differs[0] { -192 } else { 192 };
            second_gain = ((if differs[1] { -16_384 } else { 16_384 }) + product) >> 7;
        }
        let second = (second + second_gain - (second >> 7)).clamp(-12_288, 12_288);
        let bound = 15_360 - second;
        self.poles = [(first + first_gain - (first >> 8)).clamp(-bound, bound), second];
    }

    /// XOR and UPB.
    fn adapt_zeros(&mut self, negative: bool, magnitude: i32) {
        for (zero, past) in self.zeros.iter_mut().zip(&self.differences) {
            let gain = match magnitude {
                0 => 0,
                _ if negative == past.negative => 128,
                _ => -128,
            };
            *zero = i32::from((*zero + gain - (*zero >> 8)) as i16);
        }
    }

    /// FUNCTF, FILTA, FILTB, SUBTC and FILTC.
    fn adapt_speed(&mut self, step: i32, index: usize) {
        let change = RATES_OF_CHANGE[index];
        self.change_short += ((change << 9) - self.change_short) >> 5;
        self.change_long += ((change << 11) - self.change_long) >> 7;
        let apart = ((self.change_short << 2) - self.change_long).abs();
        let steady = step >= 1536 && apart < self.change_long >> 3 && !self.tone;
        let target = if steady { 0 } else { 512 };
        self.speed += (target - self.speed) >> 4;
    }
}

/// ANTILOG.
fn antilogarithm(logarithm: i32) -> i32 {
    if logarithm < 0 {
        return 0;
    }
    ((128 + (logarithm & 127)) << 7) >> (14 - (logarithm >> 7)).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{checksum, level_change_db, voice};

    fn encode(samples: &[i16]) -> Vec<u8> {
        let mut frame = vec![0; samples.len() / 2];
        assert_eq!(G726Encoder::default().encode(samples, &mut frame), frame.len());
        frame
    }

    fn decode(payload: &[u8]) -> Vec<i16> {
        let mut samples = vec![0; 2 * payload.len()];
        assert_eq!(G726Decoder::default().decode(payload, &mut samples), samples.len());
        samples
    }

    #[test]
    fn output_is_what_was_verified_against_the_vectors_of_the_recommendation() {
        let frame = encode(&voice(8000));
        let samples = decode(&frame);
        assert_eq!(checksum(frame), 0x81d6_c487_5545_f413);
        assert_eq!(
            checksum(samples.iter().flat_map(|sample| sample.to_le_bytes())),
            0x3904_a513_f7ca_4e76
        );
    }

    #[test]
    fn every_codeword_in_a_row_stays_what_was_verified() {
        let payload: Vec<u8> = (0..=255).cycle().take(16 * 256).map(|octet: u8| octet).collect();
        let samples = decode(&payload);
        assert_eq!(
            checksum(samples.iter().flat_map(|sample| sample.to_le_bytes())),
            0x5033_1918_1fd4_15c6
        );
    }

    #[test]
    fn the_first_codeword_is_in_the_low_bits() {
        let frame = encode(&[20_000, -20_000]);
        assert_eq!(frame, [0x87]);
    }

    #[test]
    fn level_is_kept_within_a_tenth_of_a_decibel() {
        for level in [-40.0, -30.0, -20.0, -10.0, -3.0] {
            let change = level_change_db(level, |samples| decode(&encode(samples)));
            assert!(change.abs() < 0.1, "{change} dB at {level} dBFS");
        }
    }
}
