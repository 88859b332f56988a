//! Comfort noise for a room in which nobody is heard.

use media_kernels::Kernels;

use crate::gain::UNITY;

/// How long nobody was heard, and where the noise stands. The same for all who listen. Zero at birth.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ComfortNoise {
    seed: u32,
    quiet_periods: u8,
}

/// The noise fades in for so long: 1 s.
const FADE_PERIODS: u8 = 50;

/// Samples are evenly spread up to here: 66 dB below full scale.
const AMPLITUDE: i16 = 28;

impl ComfortNoise {
    /// Writes the noise of this period.
    pub(crate) fn fill(self, kernels: Kernels, block: &mut [i16]) {
        let mut number = self.seed;
        for sample in block.iter_mut() {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *sample = (((number >> 16) * (2 * AMPLITUDE as u32 + 1)) >> 16) as i16 - AMPLITUDE;
        }
        if self.quiet_periods < FADE_PERIODS {
            let part = |periods: u8| UNITY * u32::from(periods) / u32::from(FADE_PERIODS);
            kernels.gain(block, part(self.quiet_periods), part(self.quiet_periods + 1));
        }
    }

    /// All of it.
    pub(crate) const fn to_numbers(self) -> [u32; 2] {
        [self.seed, self.quiet_periods as u32]
    }

    /// What [`ComfortNoise::to_numbers`] gave.
    pub(crate) fn from_numbers([seed, quiet]: [u32; 2]) -> Self {
        Self { seed, quiet_periods: quiet.min(u32::from(FADE_PERIODS)) as u8 }
    }

    /// Ends a period.
    pub(crate) fn advance(&mut self, is_quiet: bool) {
        self.seed = self.seed.wrapping_mul(2_654_435_769).wrapping_add(12_345);
        self.quiet_periods = if is_quiet { (self.quiet_periods + 1).min(FADE_PERIODS) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use media::talk::level_dbov;

    use super::*;

    #[test]
    fn it_fades_in_and_is_very_soft() {
        let mut noise = ComfortNoise::default();
        let mut levels = Vec::new();
        let mut last = [0; 160];
        for _ in 0..100 {
            let mut block = [0; 160];
            noise.fill(Kernels::SCALAR, &mut block);
            assert_ne!(block, last);
            levels.push(level_dbov(Kernels::SCALAR.energy(&block)));
            last = block;
            noise.advance(true);
        }
        assert!(levels[0] > 90 && levels[50..].iter().all(|level| (64..=68).contains(level)));
        noise.advance(false);
        noise.fill(Kernels::SCALAR, &mut last);
        assert!(level_dbov(Kernels::SCALAR.energy(&last)) > 90);
    }
}
