//! Sums beyond full scale are turned down ahead of time instead of clipped.

use media_units::BLOCK_SAMPLES_MAX;

/// By how much a sum is turned down at the moment. Zero at birth: not at all.
///
/// It looks ahead within the period that is being mixed, so it adds no delay: the gain falls for
/// 5 ms at most before a peak and rises back within half a second. Only where a peak comes right
/// at the start of a period is there no time left: the gain then falls within a millisecond, and what is
/// above full scale until then is clipped. As long as nothing is beyond full scale, samples pass
/// as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Limiter {
    reduction: u32,
}

/// A gain for each sample of a period, as 24-bit fractions.
pub(crate) type Curve = [u32; BLOCK_SAMPLES_MAX];

/// A gain of one.
const ONE: u32 = 1 << 24;

/// The greatest magnitude that every sample may have.
const FULL_SCALE: u32 = i16::MAX as u32;

/// Parts of a second in which the gain may fall from one to nothing: 5 ms.
const FALL: u32 = 200;

/// Halves of a second in which it may rise as far.
const RISE: u32 = 2;

/// Parts of a second in which it falls where it could not be foreseen: 1 ms.
const SUDDENLY: u32 = 1000;

impl Limiter {
    /// Whether samples pass as they are.
    pub(crate) const fn is_idle(self) -> bool {
        self.reduction == 0
    }

    /// All of it.
    pub(crate) const fn to_bits(self) -> u32 {
        self.reduction
    }

    /// What [`Limiter::to_bits`] gave.
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self { reduction: bits.min(ONE) }
    }

    /// Writes `sums`, a period of them, as samples.
    pub(crate) fn limit(&mut self, sums: &[i32], curve: &mut Curve, samples: &mut [i16]) {
        let curve = &mut curve[..sums.len()];
        self.reduction = ONE - follow(sums, curve, ONE - self.reduction);
        for ((sample, &sum), &gain) in samples.iter_mut().zip(sums).zip(&*curve) {
            let limited = (i64::from(sum) * i64::from(gain)) >> ONE.trailing_zeros();
            *sample = limited.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16;
        }
    }
}

/// The gain for each of `sums`, after that of `before`. Returns the last.
fn follow(sums: &[i32], curve: &mut [u32], before: u32) -> u32 {
    let hertz = sums.len() as u32 * 50;
    let mut after = ONE;
    for (gain, &sum) in curve.iter_mut().zip(sums).rev() {
        after = allowed(sum).min(after + ONE / (hertz / FALL)).min(ONE);
        *gain = after;
    }
    let mut last = before;
    let rise = ONE * RISE / hertz;
    for gain in &mut *curve {
        last = (*gain).min(last + rise);
        *gain = last;
    }
    soften_jump(curve, before, (hertz / SUDDENLY) as usize);
    last
}

/// The greatest gain at which this is within full scale.
fn allowed(sum: i32) -> u32 {
    match sum.unsigned_abs() {
        magnitude if magnitude <= FULL_SCALE => ONE,
        magnitude => (u64::from(FULL_SCALE) * u64::from(ONE) / u64::from(magnitude)) as u32,
    }
}

/// Where the fall should have begun in the period before, it is a line over some samples.
fn soften_jump(curve: &mut [u32], before: u32, samples: usize) {
    let steepest = ONE / (curve.len() as u32 * 50 / FALL);
    let Some(&end) = curve.get(samples) else { return };
    if curve[0] + steepest >= before {
        return;
    }
    for (at, gain) in curve[..samples].iter_mut().enumerate() {
        let line = i64::from(before)
            + (i64::from(end) - i64::from(before)) * (at as i64 + 1) / (samples as i64 + 1);
        *gain = (*gain).max(line as u32);
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use proptest::prelude::*;

    use super::*;

    fn run(limiter: &mut Limiter, sums: &[i32]) -> Vec<i16> {
        let mut samples = vec![0; sums.len()];
        limiter.limit(sums, &mut [0; BLOCK_SAMPLES_MAX], &mut samples);
        samples
    }

    fn sine(amplitude: f64, hertz: u32, period: usize) -> Vec<i32> {
        let samples = hertz as usize / 50;
        (0..samples)
            .map(|at| {
                let phase = TAU * 300.0 * (period * samples + at) as f64 / f64::from(hertz);
                (amplitude * phase.sin()) as i32
            })
            .collect()
    }

    #[test]
    fn up_to_full_scale_nothing_changes() {
        let mut limiter = Limiter::default();
        let sums: Vec<i32> = (0..160).map(|at| (at - 80) * 409).collect();
        let samples = run(&mut limiter, &sums);
        assert!(samples.iter().zip(&sums).all(|(&sample, &sum)| i32::from(sample) == sum));
        assert!(limiter.is_idle());
    }

    #[test]
    fn a_peak_is_foreseen_and_nothing_is_clipped() {
        for hertz in [8000_u32, 16_000, 48_000] {
            let mut limiter = Limiter::default();
            let mut sums = sine(16_000.0, hertz, 0);
            let half = sums.len() / 2;
            sums[half..].iter_mut().for_each(|sum| *sum *= 4);
            let samples = run(&mut limiter, &sums);
            let mut curve = vec![0; sums.len()];
            follow(&sums, &mut curve, ONE);
            for (at, &gain) in curve.iter().enumerate() {
                let exact = f64::from(sums[at]) * f64::from(gain) / f64::from(ONE);
                assert!(exact.abs() <= 32_767.5);
                assert!((f64::from(samples[at]) - exact).abs() <= 1.0);
            }
            assert!(!limiter.is_idle());
        }
    }

    #[test]
    fn the_gain_has_no_steps_wherever_the_loudness_begins() {
        for hertz in [8000_u32, 16_000, 48_000] {
            let mut last = ONE;
            for period in 0..100 {
                let loud = (20..60).contains(&period);
                let sums = sine(if loud { 90_000.0 } else { 9000.0 }, hertz, period);
                let mut curve = vec![0; sums.len()];
                let end = follow(&sums, &mut curve, last);
                // The steepest: from one to a third within a millisecond.
                let steepest = ONE / (hertz / SUDDENLY);
                for &gain in &curve {
                    assert!(gain.abs_diff(last) <= steepest, "{last} to {gain}");
                    last = gain;
                }
                assert_eq!(end, last);
            }
            assert_eq!(last, ONE, "half a second later it is as before");
        }
    }

    /// Which of `sums` the gains leave beyond full scale.
    fn clipped<'a>(sums: &'a [i32], curve: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
        let is_beyond = |&at: &usize| {
            let limited = (i64::from(sums[at]) * i64::from(curve[at])) >> ONE.trailing_zeros();
            // Rounded down, a negative sum may be at its least.
            !(i64::from(i16::MIN)..=i64::from(i16::MAX)).contains(&limited)
        };
        (0..sums.len()).filter(is_beyond)
    }

    proptest! {
        #[test]
        fn nothing_is_clipped_but_within_the_first_millisecond_of_a_period(
            hertz in prop::sample::select(vec![8000_u32, 16_000, 48_000]),
            periods in prop::collection::vec((any::<u64>(), 0_u32..9_000_000), 1..6),
        ) {
            let mut last = ONE;
            for (seed, loudest) in periods {
                let random = |at: u64| (seed ^ at.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 20;
                let span = 2 * u64::from(loudest) + 1;
                let sums: Vec<i32> = (0..u64::from(hertz / 50))
                    .map(|at| (random(at) % span) as i32 - loudest as i32)
                    .collect();
                let mut curve = vec![0; sums.len()];
                last = follow(&sums, &mut curve, last);
                let latest = clipped(&sums, &curve).last();
                prop_assert!(latest < Some((hertz / SUDDENLY) as usize), "{latest:?}");
            }
        }
    }

    #[test]
    fn a_sum_that_becomes_too_loud_is_clipped_in_one_period_at_most() {
        for (hertz, pitch, amplitude) in loud_sines(&[8000, 16_000, 48_000]) {
            let length = hertz as usize / 50;
            for onset in (0..length).step_by(length / 16) {
                let sound = |at: usize| {
                    let phase = TAU * pitch * (at + onset) as f64 / f64::from(hertz);
                    if at < onset { 0 } else { (amplitude * phase.cos()) as i32 }
                };
                let (mut last, mut periods) = (ONE, 0);
                for period in 0..25 {
                    let sums: Vec<i32> =
                        (period * length..(period + 1) * length).map(sound).collect();
                    let mut curve = vec![0; length];
                    last = follow(&sums, &mut curve, last);
                    periods += u32::from(clipped(&sums, &curve).next().is_some());
                }
                assert!(periods <= 1, "{hertz} Hz, {pitch} Hz of {amplitude}: {periods}");
            }
        }
    }

    /// Every pitch and amplitude at each of these rates.
    fn loud_sines(rates: &[u32]) -> impl Iterator<Item = (u32, f64, f64)> {
        let sounds = [100.0, 300.0, 1000.0, 3100.0]
            .into_iter()
            .flat_map(|pitch| [36_000.0, 65_000.0, 300_000.0].map(|amplitude| (pitch, amplitude)));
        rates.iter().flat_map(move |&hertz| {
            sounds.clone().map(move |(pitch, amplitude)| (hertz, pitch, amplitude))
        })
    }

    #[test]
    fn a_steady_sum_is_turned_down_evenly() {
        let mut limiter = Limiter::default();
        let mut peaks = Vec::new();
        for period in 0..50 {
            let samples = run(&mut limiter, &sine(65_534.0, 8000, period));
            peaks.push(samples.iter().map(|sample| sample.unsigned_abs()).max());
        }
        // Turned down by half: between two crests the gain may rise by less than a hundredth.
        assert!(peaks[2..].iter().all(|&peak| peak > Some(32_700)), "{peaks:?}");
        assert!(limiter.reduction.abs_diff(ONE / 2) < ONE / 50, "{limiter:?}");
    }

    #[test]
    fn a_hundred_at_full_scale_do_not_wrap() {
        for sign in [1, -1] {
            let samples = run(&mut Limiter { reduction: ONE / 2 }, &[sign * 100 * 32_768; 160]);
            assert!(samples.iter().all(|&sample| i32::from(sample) * sign > 32_000), "{samples:?}");
        }
    }
}
