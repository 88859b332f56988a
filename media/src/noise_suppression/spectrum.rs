//! Windows of 20 ms, to frequencies and back.
//!
//! Every number here is made of additions, multiplications and divisions in one fixed order, and so
//! is microfft: the same samples on every machine.

use microfft::Complex32;
use microfft::real::{rfft_256, rfft_512, rfft_1024};

/// Samples of 10 ms at the highest rate: half a window.
pub(super) const HALF_MAX: usize = 480;

/// Points of the longest transform.
pub(super) const POINTS_MAX: usize = 1024;

/// Frequencies of the longest transform, without that at half the rate.
pub(super) const BINS_MAX: usize = POINTS_MAX / 2;

/// The rising half of the window, a sine: applied before and after, two halves add up to one.
static RISE: [f32; HALF_MAX] = rise();

/// One window of sound.
pub(super) struct Window {
    /// In time, or pairs of numbers in frequency.
    samples: [f32; POINTS_MAX],
    powers: [f32; BINS_MAX],
    /// Samples in half a window.
    half: usize,
    points: usize,
}

impl Window {
    /// A window of two halves of 10 ms, taken apart into frequencies.
    pub(super) fn new(first: &[f32], second: &[f32]) -> Self {
        let half = first.len();
        let points = match half {
            ..=128 => 256,
            129..=256 => 512,
            _ => POINTS_MAX,
        };
        let mut samples = [0.0; POINTS_MAX];
        for at in 0..half {
            samples[at] = first[at] * weight(at, half);
            samples[half + at] = second[at] * weight(half - at, half);
        }
        let mut window = Self { samples, powers: [0.0; BINS_MAX], half, points };
        window.analyse();
        window
    }

    /// The power at each frequency but the highest, which is taken out: it is no one's voice.
    fn analyse(&mut self) {
        let bins = transform(&mut self.samples[..self.points]);
        bins[0].im = 0.0;
        for (power, bin) in self.powers.iter_mut().zip(&*bins) {
            *power = bin.re * bin.re + bin.im * bin.im;
        }
    }

    /// The power at each frequency.
    pub(super) fn powers(&self) -> &[f32] {
        &self.powers[..self.points / 2]
    }

    /// Multiplies each frequency with its gain.
    pub(super) fn weigh(&mut self, gains: &[f32]) {
        for (bin, gain) in self.samples.as_chunks_mut::<2>().0.iter_mut().zip(gains) {
            *bin = bin.map(|part| part * gain);
        }
    }

    /// Puts the frequencies together again: adds the first half to what the window before left in
    /// `tail`, and leaves the second there.
    pub(super) fn play(mut self, tail: &mut [f32], out: &mut [f32]) {
        let points = self.points;
        // By way of Hartley's transform, which is its own inverse: real part minus imaginary part.
        let mut hartley = [0.0; POINTS_MAX];
        for (at, bin) in self.samples[..points].as_chunks::<2>().0.iter().enumerate() {
            let [re, im] = *bin;
            hartley[at] = re - im;
            if at > 0 {
                hartley[points - at] = re + im;
            }
        }
        let bins = transform(&mut hartley[..points]);
        let half_rate = bins[0].im;
        bins[0].im = 0.0;
        let scale = 1.0 / points as f32;
        for (at, bin) in bins.iter().enumerate() {
            self.samples[at] = (bin.re - bin.im) * scale;
            if at > 0 {
                self.samples[points - at] = (bin.re + bin.im) * scale;
            }
        }
        self.samples[points / 2] = half_rate * scale;
        let half = self.half;
        for at in 0..half {
            out[at] = tail[at] + self.samples[at] * weight(at, half);
            tail[at] = self.samples[half + at] * weight(half - at, half);
        }
    }
}

/// The window at one of the samples of its rising half, or at its top.
fn weight(at: usize, half: usize) -> f32 {
    RISE.get(at * (HALF_MAX / half)).copied().unwrap_or(1.0)
}

fn transform(samples: &mut [f32]) -> &mut [Complex32] {
    match samples.len() {
        256 => rfft_256(samples.try_into().expect("256")),
        512 => rfft_512(samples.try_into().expect("512")),
        _ => rfft_1024(samples.try_into().expect("1024")),
    }
}

/// A quarter of a sine, by turning a pointer step by step.
const fn rise() -> [f32; HALF_MAX] {
    /// Sine and cosine of a step: a quarter of a turn over `HALF_MAX`.
    const STEP: (f64, f64) = (0.003_272_486_506_526_625, 0.999_994_645_401_696_5);
    let mut rise = [0.0; HALF_MAX];
    let (mut sine, mut cosine) = (0.0, 1.0);
    let mut at = 0;
    while at < HALF_MAX {
        rise[at] = sine as f32;
        (sine, cosine) = (sine * STEP.1 + cosine * STEP.0, cosine * STEP.1 - sine * STEP.0);
        at += 1;
    }
    rise
}
