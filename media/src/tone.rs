//! The test tone: 1 kHz at -16 dBm0.

use media_units::{BLOCK_SAMPLES_MAX, RateClass};

/// A quarter of a cycle at 48 kHz: `3591 * sin(k * 7.5 degrees)`. A sine that just reaches the greatest
/// mu-law value (32636 on our scale) has 3.17 dBm0 (ITU-T G.711), so -16 dBm0 is 19.17 dB below it.
const QUARTER: [i16; 13] =
    [0, 469, 929, 1374, 1796, 2186, 2539, 2849, 3110, 3318, 3469, 3560, 3591];

const NARROW: [i16; RateClass::Narrow.block_samples()] = tone();
const WIDE: [i16; RateClass::Wide.block_samples()] = tone();
const FULL: [i16; BLOCK_SAMPLES_MAX] = tone();

/// Every block of a steady 1 kHz tone at this rate. It holds twenty whole cycles: repeated, the
/// phase is continuous.
pub const fn tone_block(class: RateClass) -> &'static [i16] {
    match class {
        RateClass::Narrow => &NARROW,
        RateClass::Wide => &WIDE,
        RateClass::Full => &FULL,
    }
}

const fn tone<const N: usize>() -> [i16; N] {
    let step = BLOCK_SAMPLES_MAX / N;
    let mut samples = [0; N];
    let mut index = 0;
    while index < N {
        samples[index] = at(index * step);
        index += 1;
    }
    samples
}

/// The sample number `index` at 48 kHz.
const fn at(index: usize) -> i16 {
    let (quarter, rest) = (index / 12 % 4, index % 12);
    match quarter {
        0 => QUARTER[rest],
        1 => QUARTER[12 - rest],
        2 => -QUARTER[rest],
        _ => -QUARTER[12 - rest],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tone_is_a_sine_of_1_khz_at_minus_16_dbm0_at_every_rate() {
        let peak = 32636.0 * 10f64.powf(-19.17 / 20.0);
        for class in RateClass::ALL {
            let turn = std::f64::consts::TAU * 1000.0 / f64::from(class.hertz());
            let block = tone_block(class);
            assert_eq!(block.len(), class.block_samples());
            for (index, &sample) in block.iter().enumerate() {
                let exact = peak * (index as f64 * turn).sin();
                assert!((f64::from(sample) - exact).abs() <= 0.6, "{index}: {sample}, {exact}");
            }
        }
    }
}
