//! The search of a codebook: three vectors, each the best for what the ones before left
//! (section 3.6).

use std::ops::Range;

use super::codebook::{AUGMENTED, MEMORY, Section, filtered, quantize_gain};
use super::filter::{PLACES, all_pole, dot, dots};
use super::frame::{Piece, STAGES};
use super::tables::GAINS_FIRST;
use super::{Lpc, ORDER, SUBFRAME};

/// Vectors in both sections.
const VECTORS_MAX: usize = 256;

/// The greatest gain.
const GAIN_MAX: f32 = 1.3;

/// How many vectors of the second section are looked at, around the best of the first.
const NEIGHBOURS: usize = 34;

/// How many plain vectors of the first section each stage looks at, for each piece.
const RANGES: [[usize; STAGES]; 5] =
    [[58, 58, 58], [108, 44, 44], [108, 108, 108], [108, 108, 108], [108, 108, 108]];

const EPSILON: f32 = f64::EPSILON as f32;

/// The vectors and gains that come nearest to `target`, as the weights hear it.
pub(super) fn find(
    number: usize,
    target: &[f32; SUBFRAME],
    length: usize,
    past: &[f32],
    weights: &Lpc,
) -> Piece {
    let mut buffer = [0.0; ORDER + MEMORY + SUBFRAME];
    let used = ORDER + past.len() + length;
    buffer[ORDER..ORDER + past.len()].copy_from_slice(past);
    buffer[ORDER + past.len()..used].copy_from_slice(&target[..length]);
    all_pole(&mut buffer[..used], weights);
    let (past, rest) = buffer[ORDER..used].split_at(past.len());
    let filtered = filtered(past);
    let mut target = [0.0; SUBFRAME];
    target[..length].copy_from_slice(rest);

    let ranges = RANGES[number.min(RANGES.len() - 1)];
    let sections = [Section(past), Section(&filtered[..past.len()])];
    let mut search = Search::new(sections, target, length, ranges[0]);
    search.stages(ranges)
}

struct Search<'a> {
    sections: [Section<'a>; 2],
    /// What is still to be matched.
    target: [f32; SUBFRAME],
    length: usize,
    /// Vectors in a section.
    count: usize,
    /// One over the energy of each vector.
    inverse: [f32; VECTORS_MAX],
}

/// The best vector so far.
struct Best {
    measure: f32,
    index: usize,
    gain: f32,
}

impl<'a> Search<'a> {
    fn new(
        sections: [Section<'a>; 2],
        target: [f32; SUBFRAME],
        length: usize,
        range: usize,
    ) -> Self {
        let count = sections[0].vectors(length);
        let mut search = Self { sections, target, length, count, inverse: [0.0; VECTORS_MAX] };
        search.weigh(0, range);
        search.weigh(1, range);
        search
    }

    fn stages(&mut self, ranges: [usize; STAGES]) -> Piece {
        let mut piece = Piece::default();
        let mut made = [0.0; SUBFRAME];
        let wanted = self.energy(&self.target);
        let (mut before, mut first) = (1.0, 0.0);
        for (stage, range) in ranges.into_iter().enumerate() {
            let best = self.stage(stage, range);
            let gain = if stage == 0 { best.gain.clamp(0.0, GAIN_MAX) } else { best.gain };
            let (code, gain) = quantize_gain(stage, gain, before);
            piece.vectors[stage] = best.index as u8;
            piece.gains[stage] = code;
            let vector =
                self.sections[best.index / self.count].vector(best.index % self.count, self.length);
            for ((made, target), sample) in made.iter_mut().zip(&mut self.target).zip(vector) {
                *made += gain * sample;
                *target -= gain * sample;
            }
            before = gain;
            if stage == 0 {
                first = gain;
            }
        }
        piece.gains[0] = louder(piece.gains[0], first, self.energy(&made), wanted);
        piece
    }

    fn energy(&self, samples: &[f32; SUBFRAME]) -> f32 {
        dot(&samples[..self.length], &samples[..self.length])
    }

    /// The energies of a section's plain vectors, one from the other.
    fn weigh(&mut self, section: usize, range: usize) {
        let past = self.sections[section].0;
        let (begin, end) = (past.len() - self.length, past.len());
        let mut energy = dot(&past[begin..], &past[begin..]);
        let inverse = &mut self.inverse[section * self.count..];
        inverse[0] = invert(energy);
        for k in 1..range.min(begin + 1) {
            let (entering, leaving) = (past[begin - k], past[end - k]);
            energy = energy + entering * entering - leaving * leaving;
            inverse[k] = invert(energy);
        }
    }

    fn stage(&mut self, stage: usize, range: usize) -> Best {
        let mut best = Best { measure: -10_000_000.0, index: 0, gain: 0.0 };
        self.plain(&mut best, stage, 0, 0..range);
        if self.length == SUBFRAME {
            self.augmented(&mut best, stage, 0, AUGMENTED..SUBFRAME);
        }
        let (plain, augmented) = self.neighbours(best.index, range);
        self.plain(&mut best, stage, 1, plain);
        self.augmented(&mut best, stage, 1, augmented);
        best
    }

    /// Which plain and which augmented vectors of the second section are near to the best of the
    /// first. The augmented ones follow the last plain one, and are near to the first ones.
    fn neighbours(&self, best: usize, range: usize) -> (Range<usize>, Range<usize>) {
        const HALF: usize = NEIGHBOURS / 2;
        let begin = best.saturating_sub(HALF);
        if self.length < SUBFRAME {
            let end = begin + NEIGHBOURS;
            let over = end.saturating_sub(range);
            return (begin - over..end - over, 0..0);
        }
        let plain = self.count - AUGMENTED;
        if best < HALF {
            (0..best + HALF, SUBFRAME + best - HALF..SUBFRAME)
        } else if best < plain {
            let over = (begin + NEIGHBOURS).saturating_sub(range);
            (begin - over..begin + NEIGHBOURS - over, 0..0)
        } else {
            // All the augmented ones from the wanted one on, then plain ones.
            let first = AUGMENTED + begin.saturating_sub(plain);
            (0..NEIGHBOURS - (SUBFRAME - first), first..SUBFRAME)
        }
    }

    fn plain(&self, best: &mut Best, stage: usize, section: usize, range: Range<usize>) {
        let past = self.sections[section].0;
        let target = &self.target[..self.length];
        let first = section * self.count;
        for begin in range.clone().step_by(PLACES) {
            let count = (range.end - begin).min(PLACES);
            // The last of them reaches furthest back.
            let furthest = past.len() - self.length + 1 - begin - count;
            let mut window = [0.0; SUBFRAME + PLACES];
            let reach = self.length + count - 1;
            window[..reach].copy_from_slice(&past[furthest..furthest + reach]);
            let products = dots(target, &window[..self.length + PLACES - 1]);
            for (k, product) in (begin..).zip(products[..count].iter().rev()) {
                best.consider(stage, first + k, *product, self.inverse[first + k]);
            }
        }
    }

    /// Vectors with delays shorter than a subframe.
    fn augmented(&mut self, best: &mut Best, stage: usize, section: usize, delays: Range<usize>) {
        let past = self.sections[section].0;
        let end = past.len();
        let low = delays.start;
        let head = &past[end + 1 - low.max(1)..];
        let head = &head[..low.saturating_sub(5)];
        let mut head_energy = dot(head, head);
        for delay in delays {
            let vector = self.sections[section].vector(self.count - SUBFRAME + delay, SUBFRAME);
            let first = past[end - delay];
            head_energy += first * first;
            let energy = vector[delay - 4..].iter().fold(head_energy, |sum, v| sum + v * v);
            let index = (section + 1) * self.count - SUBFRAME + delay;
            self.inverse[index] = invert(energy);
            let product = dot(&self.target, &vector);
            best.consider(stage, index, product, self.inverse[index]);
        }
    }
}

impl Best {
    fn consider(&mut self, stage: usize, index: usize, product: f32, inverse: f32) {
        // The first gain is never negative.
        if stage == 0 && product <= 0.0 {
            return;
        }
        let measure = product * product * inverse;
        let gain = product * inverse;
        if measure > self.measure && gain.abs() < GAIN_MAX {
            *self = Self { measure, index, gain };
        }
    }
}

fn invert(energy: f32) -> f32 {
    if energy > 0.0 { 1.0 / (energy + EPSILON) } else { 0.0 }
}

/// The code of a first gain raised until the energy is that of the target, at most to double.
fn louder(code: u8, gain: f32, made: f32, wanted: f32) -> u8 {
    let mut best = code;
    for higher in code..GAINS_FIRST.len() as u8 {
        let candidate = GAINS_FIRST[usize::from(higher)];
        if made * candidate * candidate < wanted * gain * gain
            && GAINS_FIRST[usize::from(best)] < 2.0 * gain
        {
            best = higher;
        }
    }
    best
}
