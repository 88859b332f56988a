//! Other sample rates: a stream's blocks of 20 ms brought from 8, 16, 44.1 or 48 kHz to another.
//!
//! Linear-phase filters in integers: the same samples on every machine and with all kernels. What a
//! stream needs from one block to the next is its last samples, a [`History`], whatever the
//! rates it is brought to; the rest is one [`Resampler`] for all streams of a shard. With what must be true (see the tests):
//!
//! | between | passes within 0.1 dB | 60 dB down from | delay |
//! |---|---|---|---|
//! | 8 and 16 kHz, 8 and 48 kHz | 0 to 3.4 kHz | 4.6 kHz | 2.0 ms |
//! | 16 and 48 kHz | 0 to 7.2 kHz | 8.8 kHz | 1.5 ms |
//! | 44.1 and 48 kHz | 0 to 20 kHz | 24.1 kHz | 0.5 ms |
//!
//! Between pass band and stop band sound is damped, and only what lies there can come back as
//! its mirror image, above the pass band.

mod filter;
mod whole;

use media_kernels::Kernels;
use media_units::BLOCK_SAMPLES_MAX;

use filter::{Filter, TAP_BITS};

pub use whole::whole;

/// The last samples of one stream, at its own rate.
#[derive(Debug, Clone)]
pub struct History {
    samples: [i16; HISTORY_SAMPLES],
}

/// What the longest filter looks back, rounded up: 31 samples of each of 6 phases.
const HISTORY_SAMPLES: usize = 192;

/// How the rates of two classes (or 44.1 and 48 kHz) are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conversion {
    /// The same.
    None,
    /// So many samples for each.
    Up(usize),
    /// One sample for so many.
    Down(usize),
    /// 160 samples for 147, or the other way round.
    Ratio { up: usize, down: usize },
}

/// The filters, and the memory in which they work.
#[derive(Debug)]
pub struct Resampler {
    kernels: Kernels,
    /// For 2, 3 and 6 times.
    whole: [Filter; 3],
    to_48000: Filter,
    to_44100: Filter,
    /// The history, then the block.
    window: Vec<i16>,
    /// Every so many samples of the window; or of the result.
    phase: Vec<i16>,
    sums: Vec<i32>,
}

impl History {
    /// Silence.
    pub const SILENT: Self = Self { samples: [0; HISTORY_SAMPLES] };

    /// Remembers a block, after it was brought to each rate in which it is wanted.
    pub fn keep(&mut self, block: &[i16]) {
        let (_, last) = block.split_at(block.len().saturating_sub(HISTORY_SAMPLES));
        self.samples.copy_within(last.len().., 0);
        self.samples[HISTORY_SAMPLES - last.len()..].copy_from_slice(last);
    }

    /// Whether there is nothing to hear in what is still to come out of a filter.
    pub fn is_silent(&self) -> bool {
        self.samples.iter().all(|&sample| sample == 0)
    }
}

impl Default for History {
    fn default() -> Self {
        Self::SILENT
    }
}

impl Resampler {
    /// Designs the filters. Allocates; nothing does afterwards.
    pub fn new(kernels: Kernels) -> Self {
        Self {
            kernels,
            whole: [Filter::doubling(), Filter::tripling(), Filter::sextupling()],
            to_48000: Filter::to_48000(),
            to_44100: Filter::to_44100(),
            window: vec![0; HISTORY_SAMPLES + BLOCK_SAMPLES_MAX],
            phase: vec![0; HISTORY_SAMPLES + BLOCK_SAMPLES_MAX],
            sums: vec![0; BLOCK_SAMPLES_MAX],
        }
    }

    /// What [`Resampler::new`] reserves.
    pub const MEMORY_BYTES: usize = filter::MEMORY_BYTES
        + 2 * (HISTORY_SAMPLES + BLOCK_SAMPLES_MAX) * size_of::<i16>()
        + BLOCK_SAMPLES_MAX * size_of::<i32>();

    /// Brings `block`, 20 ms at `from` Hz that follow `history`, to `to` Hz: `out` is 20 ms too.
    /// Rates are 8000, 16000 and 48000, or 44100 and 48000.
    pub fn resample(
        &mut self,
        history: &History,
        from: u32,
        block: &[i16],
        to: u32,
        out: &mut [i16],
    ) {
        debug_assert_eq!((block.len(), out.len()), (from as usize / 50, to as usize / 50));
        let window = &mut self.window[..HISTORY_SAMPLES + block.len()];
        window[..HISTORY_SAMPLES].copy_from_slice(&history.samples);
        window[HISTORY_SAMPLES..].copy_from_slice(block);
        match Conversion::between(from, to) {
            Conversion::None => out.copy_from_slice(block),
            Conversion::Up(times) => self.up(times, block.len(), out),
            Conversion::Down(times) => self.down(times, block.len(), out),
            Conversion::Ratio { up, down } => self.fractional(up, down, block.len(), out),
        }
    }

    /// One phase of the result after the other.
    fn up(&mut self, times: usize, samples: usize, out: &mut [i16]) {
        let filter = &self.whole[which(times)];
        let window = &self.window[HISTORY_SAMPLES + 1 - filter.taps_per_phase()..];
        let window = &window[..samples + filter.taps_per_phase() - 1];
        let (sums, phase) = (&mut self.sums[..samples], &mut self.phase[..samples]);
        for number in 0..times {
            sums.fill(ROUND);
            self.kernels.fir(window, filter.phase(number), sums);
            narrow(sums, phase);
            for (out, &sample) in out[number..].iter_mut().step_by(times).zip(&*phase) {
                *out = sample;
            }
        }
    }

    /// One phase of the source after the other, all added. The filter is that for the way up,
    /// whose phases each let a constant pass as it is: together they are `times` too loud.
    fn down(&mut self, times: usize, samples: usize, out: &mut [i16]) {
        let filter = &self.whole[which(times)];
        let back = filter.taps_per_phase() - 1;
        let window = &self.window[HISTORY_SAMPLES - back * times..HISTORY_SAMPLES + samples];
        let phase = &mut self.phase[..out.len() + back];
        let sums = &mut self.sums[..out.len()];
        sums.fill(ROUND);
        for number in 0..times {
            for (to, &from) in
                phase.iter_mut().zip(window[times - 1 - number..].iter().step_by(times))
            {
                *to = from;
            }
            self.kernels.fir(phase, filter.quiet_phase(number), sums);
        }
        narrow(sums, out);
    }

    /// Each sample has its place between the source's samples.
    fn fractional(&mut self, up: usize, down: usize, samples: usize, out: &mut [i16]) {
        let filter = if up > down { &self.to_48000 } else { &self.to_44100 };
        let taps = filter.taps_per_phase();
        let window = &self.window[HISTORY_SAMPLES + 1 - taps..HISTORY_SAMPLES + samples];
        let sums = &mut self.sums[..out.len()];
        by_ratio(self.kernels, filter, (up, down), window, sums);
        narrow(sums, out);
    }
}

/// Sample by sample, `up` results for `down` samples.
fn by_ratio(
    kernels: Kernels,
    filter: &Filter,
    (up, down): (usize, usize),
    window: &[i16],
    sums: &mut [i32],
) {
    sums.fill(ROUND);
    for (number, sum) in sums.iter_mut().enumerate() {
        let (start, phase) = (number * down / up, number * down % up);
        let window = &window[start..start + filter.taps_per_phase()];
        kernels.fir(window, filter.phase(phase), std::slice::from_mut(sum));
    }
}

impl Conversion {
    fn between(from: u32, to: u32) -> Self {
        match (from, to) {
            (44_100, 48_000) => Self::Ratio { up: 160, down: 147 },
            (48_000, 44_100) => Self::Ratio { up: 147, down: 160 },
            _ if from < to => Self::Up((to / from) as usize),
            _ if from > to => Self::Down((from / to) as usize),
            _ => Self::None,
        }
    }
}

/// Half of a result's unit.
const ROUND: i32 = 1 << (TAP_BITS - 1);

/// The place of the filter for so many times.
const fn which(times: usize) -> usize {
    match times {
        2 => 0,
        3 => 1,
        _ => 2,
    }
}

fn narrow(sums: &[i32], samples: &mut [i16]) {
    for (sample, &sum) in samples.iter_mut().zip(sums) {
        *sample = (sum >> TAP_BITS).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
    }
}

#[cfg(test)]
mod tests;
