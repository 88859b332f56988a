//! How alike two stretches of sound are.

use std::ops::Range;

/// What was found about two stretches of the same length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Correlation {
    product: i64,
    energies: [i64; 2],
}

impl Correlation {
    /// The normalized correlation, of 1024; more energy on one side than the other is unlike too.
    pub(super) fn likeness(&self) -> i64 {
        let larger = self.energies[0].max(self.energies[1]);
        let mean = i64::midpoint(self.energies[0], self.energies[1]);
        // Between the arithmetic mean, which wants the same loudness, and the larger one.
        self.product * 1024 / i64::midpoint(mean, larger).max(1)
    }

    /// Whether it is more alike.
    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        self.likeness() > other.likeness()
    }
}

/// One stretch of a sound beside others of it, one after the other: where the next is one stride from the
/// last, its energy is that of the last but for both ends.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    sound: &'a [i16],
    one: &'a [i16],
    energy: i64,
    /// Every so many samples are compared.
    stride: usize,
    /// Where the last one begins, and its energy.
    last: usize,
    last_energy: i64,
}

impl<'a> Comparison<'a> {
    /// Compares what is at `one` by every `stride`th sample.
    pub(super) fn new(sound: &'a [i16], one: Range<usize>, stride: usize) -> Self {
        let last = one.start;
        let one = &sound[one];
        let energy = product(one, one, stride);
        Self { sound, one, energy, stride, last, last_energy: energy }
    }

    /// The first of the best of these places, each with where it begins; `None` where nothing is as long.
    pub(super) fn best<P>(
        mut self,
        places: impl Iterator<Item = (usize, P)>,
    ) -> Option<(Correlation, P)> {
        let mut best: Option<(Correlation, P)> = None;
        for (begin, place) in places {
            let Some(found) = self.with(begin) else { continue };
            if best.as_ref().is_none_or(|(known, _)| found.is_better_than(known)) {
                best = Some((found, place));
            }
        }
        best
    }

    /// Compares it with what begins there, if there is as much.
    fn with(&mut self, begin: usize) -> Option<Correlation> {
        let other = self.sound.get(begin..begin + self.one.len())?;
        let (last, stride) = (self.last, self.stride);
        let span = self.one.len().saturating_sub(1) / stride * stride;
        let square = |at: usize| i64::from(i32::from(self.sound[at]).pow(2));
        self.last_energy = if begin == last + stride {
            self.last_energy - square(last) + square(begin + span)
        } else if begin + stride == last {
            self.last_energy + square(begin) - square(last + span)
        } else {
            product(other, other, stride)
        };
        self.last = begin;
        let product = product(self.one, other, stride);
        Some(Correlation { product, energies: [self.energy, self.last_energy] })
    }
}

/// The sum of the products of every `stride`th sample.
fn product(one: &[i16], other: &[i16], stride: usize) -> i64 {
    let product = |(&a, &b): (&i16, &i16)| i64::from(i32::from(a) * i32::from(b));
    if stride == 1 {
        return one.iter().zip(other).map(product).sum();
    }
    one.iter().step_by(stride).zip(other.iter().step_by(stride)).map(product).sum()
}

/// The mean of all samples squared.
pub(super) fn mean_square(sound: &[i16]) -> i64 {
    let energy: i64 = sound.iter().map(|&sample| i64::from(i32::from(sample).pow(2))).sum();
    energy / (sound.len() as i64).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_comparison_is_what_its_samples_say_wherever_it_goes(
            sound in prop::collection::vec(any::<i16>(), 60..120),
            stride in 1_usize..7,
            places in prop::collection::vec((0_usize..90, any::<bool>()), 1..30),
        ) {
            let one = 5..45;
            let mut comparison = Comparison::new(&sound, one.clone(), stride);
            let mut last = one.start;
            for (anywhere, is_next) in places {
                let begin = if is_next { (last + stride).saturating_sub(anywhere % 2 * 2 * stride) } else { anywhere };
                let found = comparison.with(begin);
                let Some(other) = sound.get(begin..begin + one.len()) else {
                    prop_assert!(found.is_none());
                    continue;
                };
                last = begin;
                let sum = |a: &[i16], b: &[i16]| -> i64 {
                    (0..a.len()).step_by(stride).map(|at| i64::from(a[at]) * i64::from(b[at])).sum()
                };
                let own = &sound[one.clone()];
                let Correlation { product, energies } = found.unwrap();
                prop_assert_eq!(product, sum(own, other));
                prop_assert_eq!(energies, [sum(own, own), sum(other, other)]);
            }
        }
    }
}
