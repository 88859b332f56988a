//! Automatic gain: brings a source's speech to a level, slowly, and only while it speaks.

use media_units::Gain;

use crate::gain::gain;

/// How one source is amplified. Zero at birth: not at all, and nothing is known of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AutomaticGain {
    /// Mean power of a sample while it speaks, in 1/256.
    power: u64,
    /// Blocks that the mean knows, up to `MEMORY_BLOCKS`.
    blocks: u16,
    /// In hundredths of a decibel.
    hundredths_db: i16,
}

/// The mean forgets with this time constant: 2 s of speech.
const MEMORY_BLOCKS: u16 = 100;

/// Nothing is changed before so much speech was heard: 200 ms.
const FIRST_BLOCKS: u16 = 10;

/// What is softer than the mean by this factor (15.9 dB, the margin of ITU-T P.56) is a pause
/// in the speech.
const PAUSE: u64 = 39;

/// Most that is added or taken, in hundredths of a decibel.
const MOST: i16 = 1800;

/// Steps in a block, in hundredths of a decibel: up by 3 dB a second, down by 10.
const UP: i16 = 6;
const DOWN: i16 = 20;

/// A difference that is not worth a change, in hundredths of a decibel.
const NEAR_ENOUGH: i16 = 50;

impl AutomaticGain {
    /// Takes a block of this mean power; `target_dbov` is the level that speech is brought to, in
    /// dB below full scale. Returns the gain for it.
    pub(crate) fn block(&mut self, target_dbov: u8, power: u64, is_talking: bool) -> Gain {
        let power = power << 8;
        if is_talking && (self.blocks == 0 || power > self.power / PAUSE) {
            self.blocks = (self.blocks + 1).min(MEMORY_BLOCKS);
            let difference = power as i64 - self.power as i64;
            self.power = (self.power as i64 + difference / i64::from(self.blocks)) as u64;
            if self.blocks >= FIRST_BLOCKS {
                self.approach(target_dbov);
            }
        }
        Gain { tenths_db: self.hundredths_db / 10 }
    }

    fn approach(&mut self, target_dbov: u8) {
        // As a number in 1/65536 of full scale: the same scale as that of a gain.
        let amplitude = self.power.isqrt() << 12 >> 15;
        let level = gain((amplitude + 1) as u32).tenths_db;
        let wanted = (-10 * i16::from(target_dbov) - level).saturating_mul(10).clamp(-MOST, MOST);
        let difference = wanted - self.hundredths_db;
        if difference.abs() > NEAR_ENOUGH {
            self.hundredths_db += difference.clamp(-DOWN, UP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Power of speech at this level: syllables of 160 ms, pauses of 80 ms.
    fn speech(level_dbov: f64, block: usize) -> u64 {
        let power = 32_767.0_f64.powi(2) * 10f64.powf(-level_dbov / 10.0);
        (if block % 12 < 8 { power } else { power / 1000.0 }) as u64
    }

    fn after(automatic: &mut AutomaticGain, level_dbov: f64, blocks: usize) -> i16 {
        let gains =
            (0..blocks).map(|at| automatic.block(20, speech(level_dbov, at), true).tenths_db);
        gains.last().unwrap()
    }

    #[test]
    fn speech_is_brought_to_its_target_and_stays_there() {
        for (level, expected) in [(32.0, 120), (12.0, -80), (20.0, 0), (60.0, 180), (0.0, -180)] {
            let mut automatic = AutomaticGain::default();
            let gain = after(&mut automatic, level, 1000);
            assert!((gain - expected).abs() <= 10, "{level}: {gain}");
            let before = automatic.hundredths_db;
            after(&mut automatic, level, 1000);
            assert!((automatic.hundredths_db - before).abs() <= 20, "it does not wander");
        }
    }

    #[test]
    fn it_is_slow_and_pauses_and_noise_between_speech_change_nothing() {
        let mut automatic = AutomaticGain::default();
        let gain = after(&mut automatic, 32.0, 50);
        assert!((10..=30).contains(&gain), "3 dB a second at most: {gain}");
        for _ in 0..500 {
            assert_eq!(automatic.block(20, 40_000, false).tenths_db, gain);
        }
        for _ in 0..500 {
            assert_eq!(automatic.block(20, 1, true).tenths_db, gain, "a pause while talking");
        }
    }

    #[test]
    fn whoever_comes_nearer_is_turned_down_faster_than_up() {
        let mut automatic = AutomaticGain::default();
        after(&mut automatic, 35.0, 1000);
        let gain = after(&mut automatic, 15.0, 250);
        assert!(gain <= 0, "{gain}");
    }
}
