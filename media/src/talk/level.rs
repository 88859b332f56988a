//! How loud a block is.

use media_units::BLOCK_SAMPLES;

/// The level of digital silence (RFC 6464).
pub const SILENT_DBOV: u8 = 127;

/// The level of a block with this energy (sum of squares), rounded to whole -dBov: 0 dBov is a
/// square wave at full scale (RFC 6464, RFC 6465).
pub fn level_dbov(energy: u64) -> u8 {
    LEAST_ENERGY.partition_point(|&least| energy < least) as u8
}

/// The least energy of each level from 0 to 126: full scale times `10^(-(n + 1/2) / 10)`.
const LEAST_ENERGY: [u64; SILENT_DBOV as usize] = least_energies();

const fn least_energies() -> [u64; SILENT_DBOV as usize] {
    const FULL_SCALE: u64 = BLOCK_SAMPLES as u64 * 32767 * 32767;
    /// 10^-0.05 and 10^-0.1 in units of 10^-12: the error after 127 steps is far below a 1e-9th.
    const HALF_DECIBEL: u128 = 891_250_938_134;
    const DECIBEL: u128 = 794_328_234_724;
    const ONE: u128 = 1_000_000_000_000;
    let mut least = [0; SILENT_DBOV as usize];
    // With 30 more bits, so that small energies keep their precision.
    let mut energy = ((FULL_SCALE as u128) << 30) * HALF_DECIBEL / ONE;
    let mut level = 0;
    while level < least.len() {
        let rounded = ((energy + (1 << 29)) >> 30) as u64;
        // Silence is never louder than 127, although the last levels round to nothing.
        least[level] = if rounded == 0 { 1 } else { rounded };
        energy = energy * DECIBEL / ONE;
        level += 1;
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_is_the_logarithm_rounded() {
        assert_eq!(level_dbov(0), SILENT_DBOV);
        assert_eq!(level_dbov(BLOCK_SAMPLES as u64 * 32768 * 32768), 0);
        for magnitude in 1..=32767_u64 {
            let exact = -20.0 * (magnitude as f64 / 32767.0).log10();
            let level = f64::from(level_dbov(BLOCK_SAMPLES as u64 * magnitude * magnitude));
            assert!((level - exact).abs() < 0.500_001, "{magnitude}: {level}, {exact}");
        }
    }
}
