//! The test tone: 1 kHz at -16 dBm0.

use media_units::{BLOCK_SAMPLES, Block};

/// One cycle at 8 kHz: `3591 * sin(k * 45 degrees)`. A sine that just reaches the greatest mu-law
/// value (32636 on our scale) has 3.17 dBm0 (ITU-T G.711), so -16 dBm0 is 19.17 dB below it.
const CYCLE: [i16; 8] = [0, 2539, 3591, 2539, 0, -2539, -3591, -2539];

/// A steady 1 kHz tone. A block holds twenty whole cycles: repeated, the phase is continuous.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tone;

impl Tone {
    /// Every block of the tone.
    pub const BLOCK: Block = Block(one_block());

    /// Writes the next block.
    pub fn fill(self, block: &mut Block) {
        *block = Self::BLOCK;
    }
}

const fn one_block() -> [i16; BLOCK_SAMPLES] {
    let mut samples = [0; BLOCK_SAMPLES];
    let mut index = 0;
    while index < BLOCK_SAMPLES {
        samples[index] = CYCLE[index % CYCLE.len()];
        index += 1;
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tone_is_a_sine_of_1_khz_at_minus_16_dbm0() {
        let peak = 32636.0 * 10f64.powf(-19.17 / 20.0);
        for (index, &sample) in Tone::BLOCK.0.iter().enumerate() {
            let exact = peak * (index as f64 * std::f64::consts::TAU / 8.0).sin();
            assert!((f64::from(sample) - exact).abs() <= 0.6, "sample {index}: {sample}, {exact}");
        }
    }

    #[test]
    fn phase_is_continuous_over_blocks() {
        let mut block = Block::SILENCE;
        Tone.fill(&mut block);
        assert_eq!(block.0[0], 0);
        assert_eq!(block.0[BLOCK_SAMPLES - 1], block.0[7], "ends with a whole cycle");
    }
}
