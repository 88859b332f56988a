//! Digits taken out of the sound they come in.
//!
//! A digit is only known to be one when some of it has been heard. So the sound is held back for
//! two periods, in which every digit that counts has been found: then it is silenced from before
//! its begin until after its end, and nobody hears any of it. What is silenced fades out and in
//! within 5 ms. What turns out to be too short for a digit is left as it is.

use media_units::BLOCK_SAMPLES_MAX;

use super::Digit;
use super::detect::{Detector, HOP, Heard};

/// Periods for which the sound is held back.
const PERIODS: usize = 2;

/// Hops in a period.
const HOPS: usize = 4;

/// All hops that are held back when a block has come in.
const HELD: u32 = (1 << (HOPS * (PERIODS + 1))) - 1;

/// Hops silenced after the last one with tones: for the fade and the line's echo.
const AFTER_HOPS: u8 = 2;

/// Samples of the period before that the decimation looks at.
const HISTORY: usize = 6;

/// Lowers 16 kHz to 8 kHz: what would fold onto the tones (6.3 to 7.4 kHz) is 31 dB down.
const HALVE: [i32; 7] = [-1, 0, 9, 16, 9, 0, -1];

/// Lowers 48 kHz to 16 kHz: what would fold onto the tones (14.3 to 17.7 kHz) is 32 dB down.
const THIRD: [i32; 5] = [1, 2, 3, 2, 1];

/// Finds digits in one source's sound, and silences them.
#[derive(Debug, Clone)]
pub struct ToneFilter {
    detector: Detector,
    /// Samples in a block; 0 before the first.
    block_samples: usize,
    /// The last periods, in a ring.
    held: Box<[i16; PERIODS * BLOCK_SAMPLES_MAX]>,
    oldest: usize,
    /// The last hops that are to be silent, the newest lowest.
    silent: u32,
    /// Whether the hop before the oldest was silent.
    was_silent: bool,
    thirds: [i16; HISTORY],
    halves: [i16; HISTORY],
}

impl Default for ToneFilter {
    fn default() -> Self {
        Self::new()
    }
}

impl ToneFilter {
    /// What it holds sound back for.
    pub const DELAY: std::time::Duration = std::time::Duration::from_millis(40);

    /// What a filter takes.
    pub const MEMORY_BYTES: usize =
        size_of::<Self>() + size_of::<[i16; PERIODS * BLOCK_SAMPLES_MAX]>();

    /// A filter without past. Allocates.
    pub fn new() -> Self {
        Self {
            detector: Detector::new(),
            block_samples: 0,
            held: Box::new([0; PERIODS * BLOCK_SAMPLES_MAX]),
            oldest: 0,
            silent: 0,
            was_silent: false,
            thirds: [0; HISTORY],
            halves: [0; HISTORY],
        }
    }

    /// Forgets what it heard: another source begins. Does not allocate.
    pub fn reset(&mut self) {
        self.detector = Detector::new();
        self.block_samples = 0;
        self.silent = 0;
        self.was_silent = false;
        self.thirds = [0; HISTORY];
        self.halves = [0; HISTORY];
    }

    /// Takes a period's sound (at 8, 16 or 48 kHz) and puts that of two periods ago in its place, without
    /// digits. Says which digit has ended. At another rate it does nothing.
    pub fn block(&mut self, block: &mut [i16]) -> Option<Digit> {
        if !matches!(block.len(), 160 | 320 | 960) {
            return None;
        }
        if self.block_samples != block.len() {
            self.reset();
            self.block_samples = block.len();
            self.held.fill(0);
        }
        let mut ended = None;
        for hop in self.at_8000_hertz(block).as_chunks::<HOP>().0 {
            let heard = self.detector.hop(hop);
            self.mark(heard);
            ended = ended.or(heard.ended.map(|(digit, _)| digit));
        }
        let at = self.oldest * block.len();
        block.swap_with_slice(&mut self.held[at..at + block.len()]);
        self.oldest = (self.oldest + 1) % PERIODS;
        self.silence(block);
        ended
    }

    /// Notes which hops are to be silent. A digit that is found began less than 40 ms ago:
    /// whatever is still held back goes. While its tones are missing it may yet go on; once it
    /// has ended, what came after it is sound again.
    fn mark(&mut self, heard: Heard) {
        self.silent = self.silent << 1 | u32::from(heard.lasts);
        if let Some((_, missing)) = heard.ended {
            let after = missing.saturating_sub(AFTER_HOPS);
            self.silent = self.silent >> after << after;
        }
        if heard.began {
            self.silent |= HELD;
        }
    }

    /// Silences what was marked in the block that has become the oldest.
    fn silence(&mut self, block: &mut [i16]) {
        let hop_samples = block.len() / HOPS;
        for (at, hop) in block.chunks_exact_mut(hop_samples).enumerate() {
            let is_silent = self.silent >> (HOPS * (PERIODS + 1) - 1 - at) & 1 == 1;
            let was_silent = std::mem::replace(&mut self.was_silent, is_silent);
            let last = hop_samples as i32;
            match (was_silent, is_silent) {
                (false, false) => {}
                (true, true) => hop.fill(0),
                (true, false) => ramp(hop, |at| at, last),
                (false, true) => ramp(hop, |at| last - at, last),
            }
        }
    }

    /// The block at the detector's rate.
    fn at_8000_hertz(&mut self, block: &[i16]) -> [i16; HOPS * HOP] {
        let mut narrow = [0; HOPS * HOP];
        let mut wide = [0; 2 * HOPS * HOP];
        match block.len() {
            960 => {
                decimate::<_, 3, 9>(&mut self.thirds, block, &THIRD, &mut wide);
                decimate::<_, 2, 32>(&mut self.halves, &wide, &HALVE, &mut narrow);
            }
            320 => decimate::<_, 2, 32>(&mut self.halves, block, &HALVE, &mut narrow),
            _ => narrow.copy_from_slice(block),
        }
        narrow
    }
}

/// Fades: sample by sample, by a share of `last`.
fn ramp(hop: &mut [i16], share: impl Fn(i32) -> i32, last: i32) {
    for (at, sample) in hop.iter_mut().enumerate() {
        *sample = (i32::from(*sample) * share(at as i32) / last) as i16;
    }
}

/// Filters with these taps, whose sum is `SUM`, and leaves out all samples but one in `FACTOR`.
fn decimate<const TAPS: usize, const FACTOR: usize, const SUM: i32>(
    history: &mut [i16; HISTORY],
    from: &[i16],
    taps: &[i32; TAPS],
    to: &mut [i16],
) {
    let mut sound = [0; HISTORY + BLOCK_SAMPLES_MAX];
    sound[..HISTORY].copy_from_slice(history);
    sound[HISTORY..HISTORY + from.len()].copy_from_slice(from);
    for (window, to) in sound.windows(TAPS).step_by(FACTOR).zip(to) {
        let sum: i32 = window.iter().zip(taps).map(|(&sample, tap)| i32::from(sample) * tap).sum();
        *to = (sum / SUM).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
    }
    history.copy_from_slice(&sound[from.len()..from.len() + HISTORY]);
}
