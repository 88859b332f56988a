//! The tones of the keypad (ITU-T Q.23), made from a table, so that every machine makes the same.

/// The frequencies of the rows, in Hz.
pub(super) const LOW: [u16; 4] = [697, 770, 852, 941];

/// The frequencies of the columns, in Hz.
pub(super) const HIGH: [u16; 4] = [1209, 1336, 1477, 1633];

/// The number of the key in each row and column.
pub(super) const GRID: [[u8; 4]; 4] =
    [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];

/// The row and the column of each key.
const PLACES: [(u8, u8); 16] = places();

/// The row is so much softer than the column: lines damp the higher tone more.
const ROW_SOFTER_DB: u8 = 2;

/// Amplitudes of a sine of 0, -1, -2 ... dBm0: one that just reaches the greatest mu-law value
/// (32636 on our scale) has 3.17 dBm0 (ITU-T G.711).
const AMPLITUDES: [i32; 64] = amplitudes();

/// A quarter of a sine in so many steps.
const QUARTER: usize = 256;

/// One whole cycle at 15 bits, and its first value once more.
static SINE: [i16; 4 * QUARTER + 1] = sine();

/// The two tones of one key, as they go on.
#[derive(Debug, Clone, Copy, Default)]
pub struct TonePair {
    hertz: [u16; 2],
    amplitudes: [i32; 2],
    /// In 2^-32 cycles.
    phases: [u32; 2],
}

impl TonePair {
    /// The tones of the key with this number, the louder of them `volume` dB below 0 dBm0.
    pub fn new(key: u8, volume: u8) -> Self {
        let (row, column) = PLACES[usize::from(key & 15)];
        let amplitude = |below| AMPLITUDES[usize::from(volume).saturating_add(below).min(63)];
        Self {
            hertz: [LOW[usize::from(row)], HIGH[usize::from(column)]],
            amplitudes: [amplitude(usize::from(ROW_SOFTER_DB)), amplitude(0)],
            phases: [0; 2],
        }
    }

    /// Writes what comes next, at so many samples a second.
    pub fn fill(&mut self, sample_rate: u32, samples: &mut [i16]) {
        let step = |hertz| ((u64::from(hertz) << 32) / u64::from(sample_rate)) as u32;
        let steps = self.hertz.map(step);
        for sample in samples {
            let sines = self.phases.map(sine_at);
            let sum = (self.amplitudes[0] * sines[0] + self.amplitudes[1] * sines[1]) >> 15;
            *sample = sum.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
            for (phase, step) in self.phases.iter_mut().zip(steps) {
                *phase = phase.wrapping_add(step);
            }
        }
    }
}

/// The sine of so many 2^-32 cycles, at 15 bits, on the line between two values of the table.
fn sine_at(phase: u32) -> i32 {
    const FRACTION_BITS: u32 = 32 - (4 * QUARTER).ilog2();
    let at = (phase >> FRACTION_BITS) as usize;
    let fraction = (phase << (32 - FRACTION_BITS) >> 17) as i32;
    let (from, to) = (i32::from(SINE[at]), i32::from(SINE[at + 1]));
    from + (((to - from) * fraction) >> 15)
}

/// Cosine and sine of so many whole cycles. Plain arithmetic, so that it is the same everywhere.
pub(super) const fn cosine_and_sine(cycles: f64) -> (f64, f64) {
    let nearest = (cycles + 0.5) as i64 as f64;
    let angle = (cycles - nearest) * std::f64::consts::TAU;
    // Between -pi and pi the series has converged far below f64's precision.
    let (mut cosine, mut sine) = (0.0, 0.0);
    let mut term = 1.0;
    let mut power = 0;
    while power < 40 {
        match power % 4 {
            0 => cosine += term,
            1 => sine += term,
            2 => cosine -= term,
            _ => sine -= term,
        }
        power += 1;
        term = term * angle / power as f64;
    }
    (cosine, sine)
}

const fn sine() -> [i16; 4 * QUARTER + 1] {
    let mut table = [0; 4 * QUARTER + 1];
    let mut at = 0;
    while at < table.len() {
        let (_, sine) = cosine_and_sine(at as f64 / (4 * QUARTER) as f64);
        // Rounded: a cast alone goes towards zero.
        table[at] = ((sine * 32767.0 + 32768.5) as i32 - 32768) as i16;
        at += 1;
    }
    table
}

const fn amplitudes() -> [i32; 64] {
    /// Of a sine of 0 dBm0: 32636 * 10^(-3.17 / 20).
    const FULL: f64 = 22_657.2;
    /// 10^(-1 / 20).
    const DECIBEL: f64 = 0.891_250_938_133_745_5;
    let mut table = [0; 64];
    let mut amplitude = FULL;
    let mut at = 0;
    while at < table.len() {
        table[at] = amplitude as i32;
        amplitude *= DECIBEL;
        at += 1;
    }
    table
}

const fn places() -> [(u8, u8); 16] {
    let mut places = [(0, 0); 16];
    let mut at = 0;
    while at < 16 {
        places[GRID[at / 4][at % 4] as usize] = ((at / 4) as u8, (at % 4) as u8);
        at += 1;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use media_units::key_number;

    #[test]
    fn the_table_is_a_sine() {
        for step in 0..10_000_u32 {
            let phase = step.wrapping_mul(429_497);
            let exact =
                (f64::from(phase) / 4_294_967_296.0 * std::f64::consts::TAU).sin() * 32767.0;
            assert!((f64::from(sine_at(phase)) - exact).abs() < 2.0, "{phase}");
        }
    }

    #[test]
    fn a_key_is_its_two_tones_at_its_level_at_every_rate() {
        for rate in [8000_u32, 16_000, 48_000] {
            let mut samples = vec![0; rate as usize];
            TonePair::new(key_number('6').unwrap(), 10).fill(rate, &mut samples);
            // 770 Hz at -12 dBm0, 1477 Hz at -10 dBm0, and nothing else.
            let power = |hertz: f64| {
                let (mut re, mut im) = (0.0, 0.0);
                for (at, &sample) in samples.iter().enumerate() {
                    let angle = std::f64::consts::TAU * hertz * at as f64 / f64::from(rate);
                    re += f64::from(sample) * angle.cos();
                    im += f64::from(sample) * angle.sin();
                }
                20.0 * (2.0 * re.hypot(im) / f64::from(rate) / 32636.0).log10() + 3.17
            };
            assert!((power(770.0) + 12.0).abs() < 0.02, "{}", power(770.0));
            assert!((power(1477.0) + 10.0).abs() < 0.02, "{}", power(1477.0));
            assert!(power(1000.0) < -70.0);
            assert!(power(2.0 * 770.0) < -70.0);
        }
    }

    #[test]
    fn the_loudest_key_fits_into_full_scale() {
        let loudest = *media_units::Cadence::VOLUME.start();
        let pair = TonePair::new(0, loudest);
        assert!(pair.amplitudes.iter().sum::<i32>() <= 32767, "{:?}", pair.amplitudes);
    }
}
