//! Who is heard, from the sound alone: each talker plays its own four tones.
//!
//! All tones lie on one raster of 8000/2048 Hz. Over a window of 2048 samples they are orthogonal
//! whatever their phases, so one Fourier transform of what a listener received tells every talker
//! in the mix and how loud each is, with G.711 in between and a hundred of them at once. The
//! phases between a talker's own tones tell which of its samples the window begins with, so the
//! way from mouth to ear is known to a sample (within one turn of 2048 samples, 256 ms).
//!
//! What must not happen: a window that holds a splice (lost or skipped sound) is blurred. The
//! listener judges several windows, never one.

use std::f32::consts::TAU;

use microfft::Complex32;

/// Samples of one window: one turn of every code.
pub const WINDOW_SAMPLES: usize = 2048;

/// How many talkers can be told apart.
pub const CODES: u16 = BLOCKS * CODES_PER_BLOCK;

/// The first raster line in use: 312 Hz. The last one is below 3310 Hz.
const FIRST_LINE: usize = 80;
/// Blocks of 64 lines, each with the codes' first pairs below and their second pairs above.
const BLOCKS: u16 = 12;
const CODES_PER_BLOCK: u16 = 16;
/// Lines from a code's first pair to its second.
const PAIR_DISTANCE: usize = 32;

/// One talker's sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u16);

impl Code {
    /// The code of talker number `talker`. Codes repeat after [`CODES`] talkers.
    pub const fn of(talker: usize) -> Self {
        Self((talker % CODES as usize) as u16)
    }

    /// Its number.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Its raster lines: two neighbours, and the same two further up. Talkers with neighbouring
    /// numbers lie in different blocks.
    const fn lines(self) -> [usize; 4] {
        let block = (self.0 % BLOCKS) as usize;
        let pair = (self.0 / BLOCKS) as usize;
        let first = FIRST_LINE + 64 * block + 2 * pair;
        [first, first + 1, first + PAIR_DISTANCE, first + PAIR_DISTANCE + 1]
    }

    /// Start phases. The second pair beats against the first, so that the code never fades out.
    fn phases(self) -> [f32; 4] {
        let turn = TAU * f32::from(self.0) * 0.618_034;
        [turn, turn, 1.7 * turn, 1.7 * turn + TAU / 2.0]
    }

    /// Sample number `n` of the code at another rate, each tone with this amplitude. One turn is
    /// 256 ms at any rate.
    pub fn sample(self, amplitude: f32, n: u64, rate: u32) -> i16 {
        let turn = WINDOW_SAMPLES as u64 * u64::from(rate);
        let tones = self.lines().into_iter().zip(self.phases()).map(|(line, phase)| {
            let turned = line as u64 * n * 8000 % turn;
            amplitude * (TAU * (turned as f64 / turn as f64) as f32 + phase).cos()
        });
        tones.sum::<f32>().round() as i16
    }

    /// One turn of the code at 8 kHz, each tone with this amplitude.
    pub fn turn(self, amplitude: f32) -> Vec<i16> {
        let tones = self.lines().into_iter().zip(self.phases());
        let mut sound = vec![0.0_f32; WINDOW_SAMPLES];
        for (line, phase) in tones {
            for (n, sample) in sound.iter_mut().enumerate() {
                let turns = ((line * n) % WINDOW_SAMPLES) as f32 / WINDOW_SAMPLES as f32;
                *sample += amplitude * (TAU * turns + phase).cos();
            }
        }
        sound.into_iter().map(|sample| sample.round() as i16).collect()
    }
}

/// What one window of received sound holds.
pub struct Spectrum {
    lines: [Complex32; WINDOW_SAMPLES / 2],
}

impl Spectrum {
    /// The spectrum of a window.
    pub fn of(window: &[i16; WINDOW_SAMPLES]) -> Self {
        let mut samples = window.map(f32::from);
        Self { lines: *microfft::real::rfft_2048(&mut samples) }
    }

    /// How loud a code is: the amplitude of its faintest tone.
    pub fn amplitude(&self, code: Code) -> f32 {
        let faintest = code.lines().map(|line| self.lines[line].norm_sqr());
        faintest.into_iter().fold(f32::INFINITY, f32::min).sqrt() * 2.0 / WINDOW_SAMPLES as f32
    }

    /// Which sample of its turn the code had at the window's first sample. Means something only
    /// where the code is there.
    pub fn position(&self, code: Code) -> usize {
        let lines = code.lines().map(|line| self.lines[line]);
        let phases = code.phases();
        let step = |upper: usize, lower: usize| {
            lines[upper] * lines[lower].conj() * unit(phases[lower] - phases[upper])
        };
        // Neighbouring tones turn once a window, the pairs PAIR_DISTANCE times as fast.
        let turn = WINDOW_SAMPLES as f32;
        let coarse = angle(step(1, 0) + step(3, 2)) / TAU * turn;
        let fine_turn = turn / PAIR_DISTANCE as f32;
        let fine = angle(step(2, 0) + step(3, 1)) / TAU * fine_turn;
        let position = fine + ((coarse - fine) / fine_turn).round() * fine_turn;
        (position.round() as i32).rem_euclid(WINDOW_SAMPLES as i32) as usize
    }
}

fn unit(angle: f32) -> Complex32 {
    Complex32::new(angle.cos(), angle.sin())
}

fn angle(number: Complex32) -> f32 {
    number.im.atan2(number.re)
}

#[cfg(test)]
mod tests {
    use media_units::Law;

    use super::*;
    use crate::g711;

    fn mix(talkers: &[(usize, usize)], amplitude: f32) -> [i16; WINDOW_SAMPLES] {
        let mut sum = [0_i32; WINDOW_SAMPLES];
        for &(talker, offset) in talkers {
            let turn = Code::of(talker).turn(amplitude);
            for (n, sample) in sum.iter_mut().enumerate() {
                let spoken = turn[(n + offset) % WINDOW_SAMPLES];
                let coded = g711::encode(Law::A, spoken);
                *sample += i32::from(g711::decode(Law::A, coded));
            }
        }
        sum.map(|sample| {
            let narrow = sample.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
            g711::decode(Law::Mu, g711::encode(Law::Mu, narrow))
        })
    }

    #[test]
    fn lines_of_all_codes_are_distinct_and_within_the_telephone_band() {
        let mut lines: Vec<_> = (0..CODES).flat_map(|code| Code(code).lines()).collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), usize::from(CODES) * 4);
        let hertz = |line: usize| line as f32 * 8000.0 / WINDOW_SAMPLES as f32;
        assert!(hertz(lines[0]) > 300.0 && hertz(lines[lines.len() - 1]) < 3400.0);
    }

    #[test]
    fn a_hundred_talkers_are_told_apart_in_one_narrowband_mix() {
        let talkers: Vec<_> = (0..100).map(|talker| (talker, talker * 137)).collect();
        let spectrum = Spectrum::of(&mix(&talkers[1..], 300.0));
        for talker in 1..100 {
            let amplitude = spectrum.amplitude(Code::of(talker));
            assert!((240.0..360.0).contains(&amplitude), "talker {talker}: {amplitude}");
        }
        for absent in (100..usize::from(CODES)).chain([0]) {
            let amplitude = spectrum.amplitude(Code::of(absent));
            assert!(amplitude < 30.0, "code {absent}: {amplitude}");
        }
    }

    #[test]
    fn the_position_within_the_turn_is_exact_to_a_sample() {
        let talkers = [(3, 0), (77, 1), (191, 2047), (50, 1000), (12, 31)];
        let spectrum = Spectrum::of(&mix(&talkers, 1500.0));
        for (talker, offset) in talkers {
            let error = spectrum.position(Code::of(talker)).abs_diff(offset);
            assert!(error.min(WINDOW_SAMPLES - error) <= 1, "talker {talker}: off by {error}");
        }
    }

    #[test]
    fn a_code_is_the_same_at_every_rate() {
        let turn = Code::of(77).turn(1000.0);
        for rate in [8000, 16_000, 48_000] {
            let step = u64::from(rate / 8000);
            for (n, sample) in turn.iter().enumerate() {
                let other = Code::of(77).sample(1000.0, n as u64 * step, rate);
                assert!((sample - other).abs() <= 2, "{rate}: {n}");
            }
        }
    }

    #[test]
    fn a_code_never_fades_out() {
        for code in [0, 50, 191] {
            let turn = Code(code).turn(1000.0);
            let energy = |part: &[i16]| part.iter().map(|&s| f32::from(s).powi(2)).sum::<f32>();
            let mean = energy(&turn) / 12.0;
            for block in turn.chunks_exact(160) {
                assert!(energy(block) > mean / 4.0);
            }
        }
    }
}
