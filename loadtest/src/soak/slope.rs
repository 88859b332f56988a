//! Whether memory grows with what is done: a leak, or no more than warm-up and swings.
//!
//! A bound in octets would be a guess: what is made once and kept (tables that grow to their size, arenas of
//! the allocator) depends on the load, and a leak in octets on the time. What tells them apart is what each
//! act of a caller leaves behind. Only the second half of the samples is looked at, as warm-up is in the first,
//! and growth is the median of the slopes between all pairs of samples (Theil and Sen), which neither a swing nor a
//! step moves much. Of its confidence interval the lower end counts, so that noise is no leak.

use serde::Serialize;

use super::operator::Sample;

/// Standard deviations of the confidence interval's end: one in a thousand is beyond, were the samples independent.
const DEVIATIONS: f64 = 3.1;
/// What memory may differ by from one hour to the next without any of it being lost: pages that the
/// allocator holds. Measured: see docs/performance.md.
const SWING_OCTETS: f64 = 1024.0 * 1024.0;

/// What an act leaves behind, by the second half of the samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Slope {
    /// Acts between the first and the last of these samples.
    pub(crate) acts: u64,
    /// Octets per act.
    pub(crate) octets_per_act: f64,
    /// At least so many, with confidence.
    pub(crate) at_least: f64,
}

impl Slope {
    /// The slope of the second half. Zero where there are too few samples to tell.
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let late = &samples[samples.len() / 2..];
        let (Some(first), Some(last)) = (late.first(), late.last()) else { return Self::default() };
        let mut slopes = slopes(late);
        if slopes.is_empty() {
            return Self::default();
        }
        slopes.sort_unstable_by(f64::total_cmp);
        let n = late.len() as f64;
        // Kendall's: how many pairs more point upwards than downwards where nothing grows.
        let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
        let below = (slopes.len() as f64 - DEVIATIONS * deviation) / 2.0;
        Self {
            acts: last.acts - first.acts,
            octets_per_act: slopes[slopes.len() / 2],
            at_least: if below < 0.0 { f64::NEG_INFINITY } else { slopes[below as usize] },
        }
    }

    /// Whether each act leaves more behind than this, and all of them together more than memory swings by.
    pub(crate) fn is_leak(&self, octets_per_act_max: f64) -> bool {
        self.at_least > octets_per_act_max && self.at_least * self.acts as f64 > SWING_OCTETS
    }
}

/// Between all pairs, in octets per act.
fn slopes(samples: &[Sample]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(samples.len() * samples.len() / 2);
    for (index, early) in samples.iter().enumerate() {
        for late in &samples[index + 1..] {
            let acts = late.acts.saturating_sub(early.acts);
            if acts > 0 {
                let octets = 1024.0 * (late.anonymous_kib as f64 - early.anonymous_kib as f64);
                slopes.push(octets / acts as f64);
            }
        }
    }
    slopes
}

#[cfg(test)]
mod tests {
    use sim::Seed;

    use super::*;

    /// Acts between two samples.
    const ACTS: u64 = 100;
    const COUNT: u64 = 240;

    /// A server whose memory warms up, swings at random, makes one step, and loses so much with each act.
    fn server(leak_octets: f64, seed: u64) -> Vec<Sample> {
        let mut chance = Seed::new(seed);
        let sample = |n: u64| {
            let warm = 30_000.0 * (1.0 - (-(n as f64) / 20.0).exp());
            let swing = chance.below(700) as f64;
            let step = if n > COUNT * 3 / 4 { 400.0 } else { 0.0 };
            let lost = leak_octets * (n * ACTS) as f64 / 1024.0;
            Sample::of(n, n * ACTS, (50_000.0 + warm + swing + step + lost) as u64)
        };
        (0..COUNT).map(sample).collect()
    }

    #[test]
    fn a_planted_leak_is_found_and_its_size_is_told() {
        for seed in 0..20 {
            let slope = Slope::of(&server(300.0, seed));
            assert!(slope.is_leak(200.0), "{slope:?}");
            assert!((250.0..400.0).contains(&slope.octets_per_act), "{slope:?}");
        }
    }

    #[test]
    fn warm_up_swings_and_a_step_are_no_leak() {
        for seed in 0..20 {
            let slope = Slope::of(&server(0.0, seed));
            assert!(!slope.is_leak(200.0), "{slope:?}");
        }
    }

    #[test]
    fn a_whole_call_that_stays_is_found_within_a_few_hundred() {
        let samples = |leak: u64| -> Vec<Sample> {
            (0..60).map(|n| Sample::of(n, n * 10, 60_000 + n % 7 * 100 + n * 10 * leak)).collect()
        };
        assert!(Slope::of(&samples(10)).is_leak(200.0));
        assert!(!Slope::of(&samples(0)).is_leak(200.0));
    }

    #[test]
    fn too_few_samples_or_acts_tell_nothing() {
        assert_eq!(Slope::of(&[]), Slope::default());
        let idle: Vec<Sample> = (0..10).map(|n| Sample::of(n, 5, n * 10_000)).collect();
        assert_eq!(Slope::of(&idle), Slope::default());
        let few: Vec<Sample> = (0..6).map(|n| Sample::of(n, n * 100, n * 10_000)).collect();
        assert!(!Slope::of(&few).is_leak(200.0));
    }
}
