//! Decibels and the numbers that samples are multiplied with.

use media_kernels::GAIN_BITS;
use media_units::Gain;

/// Unchanged.
pub(crate) const UNITY: u32 = 1 << GAIN_BITS;

/// The least and the greatest gain, in tenths of a decibel.
const RANGE: (i16, i16) = (-600, 300);

/// The number of every gain in [`RANGE`].
static NUMBERS: [u32; (RANGE.1 - RANGE.0) as usize + 1] = {
    /// 10^(1/200).
    const STEP: f64 = 1.011_579_454_259_899;
    let mut numbers = [0; (RANGE.1 - RANGE.0) as usize + 1];
    let mut number = UNITY as f64 / 1000.0;
    let mut at = 0;
    while at < numbers.len() {
        numbers[at] = (number + 0.5) as u32;
        number *= STEP;
        at += 1;
    }
    numbers
};

/// The number of a gain; beyond the range, that of the nearest in it.
pub(crate) fn number(gain: Gain) -> u32 {
    NUMBERS[(gain.tenths_db.clamp(RANGE.0, RANGE.1) - RANGE.0) as usize]
}

/// The gain of a number, rounded up to what the range has.
pub(crate) fn gain(number: u32) -> Gain {
    let at = NUMBERS.partition_point(|&other| other < number) as i16;
    Gain { tenths_db: (RANGE.0 + at).min(RANGE.1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_powers_of_ten_within_a_tenth_of_a_decibel() {
        for tenths_db in RANGE.0..=RANGE.1 {
            let exact = 65_536.0 * 10f64.powf(f64::from(tenths_db) / 200.0);
            let number = number(Gain { tenths_db });
            assert!((f64::from(number) - exact).abs() <= 0.500_1, "{tenths_db}: {number}");
            assert!((gain(number).tenths_db - tenths_db).abs() <= 1);
        }
        assert_eq!(number(Gain::UNITY), UNITY);
        assert_eq!(number(Gain { tenths_db: i16::MAX }), number(Gain { tenths_db: 300 }));
        assert_eq!((gain(0).tenths_db, gain(u32::MAX).tenths_db), RANGE);
        assert!(number(Gain { tenths_db: 300 }) <= media_kernels::GAIN_MAX);
    }
}
