//! The filters: windowed sinc functions (Kaiser's window), cut into phases and rounded.
//!
//! The design uses additions, multiplications, divisions and square roots of `f64` only, which
//! are exact to the last bit everywhere: so are the taps.

use std::f64::consts::PI;

/// Fractional bits of a tap.
pub(super) const TAP_BITS: u32 = 14;

const ONE: i32 = 1 << TAP_BITS;

/// A low-pass filter for a rate that is a multiple of the source's.
#[derive(Debug)]
pub(super) struct Filter {
    taps_per_phase: usize,
    /// By phase, each in reverse: the first tap meets the oldest sample. Each phase adds up to one.
    taps: Vec<i16>,
    /// The same where all phases together add up to one.
    quiet: Vec<i16>,
}

/// What a filter is designed from.
struct Design {
    phases: usize,
    taps_per_phase: usize,
    /// Middle of the transition band, as a share of the source's rate.
    cutoff: f64,
    /// How far down the stop band is meant to be.
    attenuation_db: f64,
}

const DOUBLING: Design =
    Design { phases: 2, taps_per_phase: 32, cutoff: 0.5, attenuation_db: 75.0 };
const TRIPLING: Design =
    Design { phases: 3, taps_per_phase: 48, cutoff: 0.5, attenuation_db: 75.0 };
const SEXTUPLING: Design =
    Design { phases: 6, taps_per_phase: 32, cutoff: 0.5, attenuation_db: 75.0 };
const TO_48000: Design =
    Design { phases: 160, taps_per_phase: 48, cutoff: 0.5, attenuation_db: 70.0 };
const TO_44100: Design = Design {
    phases: 147,
    taps_per_phase: 48,
    cutoff: 0.5 * 44_100.0 / 48_000.0,
    attenuation_db: 66.0,
};

/// What all filters hold.
pub(super) const MEMORY_BYTES: usize = DOUBLING.memory_bytes()
    + TRIPLING.memory_bytes()
    + SEXTUPLING.memory_bytes()
    + TO_48000.memory_bytes()
    + TO_44100.memory_bytes();

impl Filter {
    /// 8 and 16 kHz: the transition is from 3.4 to 4.6 kHz.
    pub(super) fn doubling() -> Self {
        DOUBLING.filter()
    }

    /// 16 and 48 kHz: the transition is from 7.2 to 8.8 kHz.
    pub(super) fn tripling() -> Self {
        TRIPLING.filter()
    }

    /// 8 and 48 kHz: the transition is from 3.4 to 4.6 kHz.
    pub(super) fn sextupling() -> Self {
        SEXTUPLING.filter()
    }

    /// From 44.1 kHz: the transition is from 20 to 24.1 kHz.
    pub(super) fn to_48000() -> Self {
        TO_48000.filter()
    }

    /// To 44.1 kHz: the transition is from 20 to 24.1 kHz.
    pub(super) fn to_44100() -> Self {
        TO_44100.filter()
    }

    /// For `up` results of `down` samples, in any ratio: half of the lower rate is the middle of the
    /// transition.
    pub(super) fn for_ratio(up: usize, down: usize) -> Self {
        let lower = (up as f64 / down as f64).min(1.0);
        let design = Design {
            phases: up,
            taps_per_phase: 48 * down.div_ceil(up),
            cutoff: 0.5 * lower,
            attenuation_db: 70.0,
        };
        design.filter()
    }

    /// Taps of each phase: an even number.
    pub(super) const fn taps_per_phase(&self) -> usize {
        self.taps_per_phase
    }

    /// The taps for the `number`-th of the results between two samples.
    pub(super) fn phase(&self, number: usize) -> &[i16] {
        &self.taps[number * self.taps_per_phase..][..self.taps_per_phase]
    }

    /// The same for the way down.
    pub(super) fn quiet_phase(&self, number: usize) -> &[i16] {
        &self.quiet[number * self.taps_per_phase..][..self.taps_per_phase]
    }
}

impl Design {
    const fn memory_bytes(&self) -> usize {
        2 * self.phases * self.taps_per_phase * size_of::<i16>()
    }

    fn filter(&self) -> Filter {
        let length = self.phases * self.taps_per_phase;
        let curve: Vec<f64> = (0..length).map(|at| self.tap(at)).collect();
        let reversed = |phase: usize| {
            let curve = &curve;
            (0..self.taps_per_phase).rev().map(move |tap| curve[tap * self.phases + phase])
        };
        let mut taps = Vec::with_capacity(length);
        for phase in 0..self.phases {
            taps.extend(rounded(&reversed(phase).collect::<Vec<_>>()));
        }
        let quiet = rounded(&(0..self.phases).flat_map(reversed).collect::<Vec<_>>());
        Filter { taps_per_phase: self.taps_per_phase, taps, quiet }
    }

    fn tap(&self, at: usize) -> f64 {
        let length = (self.phases * self.taps_per_phase) as f64;
        let place = at as f64 - (length - 1.0) / 2.0;
        let beta = 0.1102 * (self.attenuation_db - 8.7);
        let edge = 2.0 * place / (length - 1.0);
        let window = bessel(beta * (1.0 - edge * edge).max(0.0).sqrt()) / bessel(beta);
        let turns = 2.0 * self.cutoff * place / self.phases as f64;
        // Taps are even in number: none lies in the middle, where this would be 0 / 0.
        window * sine_of_turns(turns) / (PI * turns)
    }
}

/// The taps as integers that add up to one exactly: a constant passes as it is.
fn rounded(taps: &[f64]) -> Vec<i16> {
    let total: f64 = taps.iter().sum();
    let scale = f64::from(ONE) / total;
    let mut rounded: Vec<i16> = taps.iter().map(|tap| (tap * scale).round() as i16).collect();
    let excess = rounded.iter().map(|&tap| i32::from(tap)).sum::<i32>() - ONE;
    if let Some(greatest) = rounded.iter_mut().max() {
        *greatest -= excess as i16;
    }
    rounded
}

/// `sin(pi * turns)`.
fn sine_of_turns(turns: f64) -> f64 {
    let whole = turns.round();
    let sign = if whole as i64 % 2 == 0 { 1.0 } else { -1.0 };
    let angle = PI * (turns - whole);
    let mut term = angle;
    let mut sine = angle;
    for n in 1..12 {
        let n = f64::from(2 * n);
        term *= -angle * angle / (n * (n + 1.0));
        sine += term;
    }
    sign * sine
}

/// The modified Bessel function of the first kind and order zero, by its power series.
fn bessel(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for n in 1..40 {
        let half = x / (2.0 * f64::from(n));
        term *= half * half;
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_the_functions() {
        for step in -400..400 {
            let turns = f64::from(step) / 37.0;
            assert!((sine_of_turns(turns) - (PI * turns).sin()).abs() < 1e-12);
        }
        assert!((bessel(0.0) - 1.0).abs() < 1e-15);
        assert!((bessel(7.0) - 168.593_908_510_289_7).abs() < 1e-9);
    }

    #[test]
    fn a_constant_passes_each_phase_as_it_is_and_no_sum_can_wrap() {
        let all = [Filter::doubling(), Filter::tripling(), Filter::sextupling()];
        for filter in all.into_iter().chain([Filter::to_48000(), Filter::to_44100()]) {
            for phase in filter.taps.chunks(filter.taps_per_phase).chain([&*filter.quiet]) {
                assert_eq!(phase.iter().map(|&tap| i32::from(tap)).sum::<i32>(), ONE);
                let magnitude: u32 = phase.iter().map(|tap| u32::from(tap.unsigned_abs())).sum();
                assert!(magnitude < 65_535, "{magnitude}");
            }
        }
    }
}
