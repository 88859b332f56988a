//! Whether sound is a voice: it repeats at the pitch of one, and is no tone.
//!
//! A block is looked at as 40 samples at 2 kHz, where the pitch and the first formant are. What
//! a voice says repeats after 2.5 to 12.5 ms, noise does not. So do tones; but a sum of two is
//! foretold by its last four samples, which a voice is not. Bass, hum and rumble are weakened first.

/// Samples of a block as it is looked at.
const SAMPLES: usize = 40;

/// Periods that a voice may have: 400 to 80 Hz.
const LAG_MIN: usize = 5;
const LAG_MAX: usize = 25;

/// Differences between samples: those of a block, and before it as many as the longest period.
type Differences = [i16; LAG_MAX + SAMPLES];

/// Sound is scaled down to so many bits, so that sums of products fit into 32.
const BITS: u32 = 12;

/// Samples that foretell the next.
const ORDER: usize = 4;

/// By how much a tone is louder than what could not be foretold of it: 25 dB.
const TONE: f64 = 316.0;

/// A voice has at least one part in so many (15 dB) below 1 kHz.
const LOW_SHARE: u64 = 32;

/// What a block was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Repeats well: a likeness of 0.8 or more.
    Voice,
    /// Repeats: a likeness of 0.65 or more.
    Likely,
    /// One tone or two.
    Tone,
    /// Noise, silence, consonants.
    Other,
}

/// What is remembered of the block before.
#[derive(Debug, Clone)]
pub(super) struct Ear {
    past: [i16; LAG_MAX + 1],
}

impl Default for Ear {
    fn default() -> Self {
        Self { past: [0; LAG_MAX + 1] }
    }
}

impl Ear {
    /// The block before was not heard.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Hears a block (8, 16 or 48 kHz), only for the next to be compared with it.
    pub(super) fn prepare(&mut self, block: &[i16]) {
        self.keep(&decimate(block));
    }

    /// Hears a block of this power (mean of its samples squared) and says what it is.
    pub(super) fn hear(&mut self, block: &[i16], power: u64) -> Kind {
        let now = decimate(block);
        let low = now.iter().map(|&sample| i64::from(sample).pow(2) as u64).sum::<u64>();
        if low * LOW_SHARE < power * SAMPLES as u64 {
            self.keep(&now);
            return Kind::Other;
        }
        let sound = emphasize(&self.past, &now);
        self.keep(&now);
        let kind = repeats(&sound);
        if kind != Kind::Other && is_tone(&sound) { Kind::Tone } else { kind }
    }

    fn keep(&mut self, now: &[i16; SAMPLES]) {
        self.past.copy_from_slice(&now[SAMPLES - (LAG_MAX + 1)..]);
    }
}

/// The means of as many stretches as there are samples.
fn decimate(block: &[i16]) -> [i16; SAMPLES] {
    let stretch = (block.len() / SAMPLES).max(1);
    let mut samples = [0; SAMPLES];
    for (sample, stretch) in samples.iter_mut().zip(block.chunks_exact(stretch)) {
        let sum: i32 = stretch.iter().map(|&sample| i32::from(sample)).sum();
        *sample = (sum / stretch.len() as i32) as i16;
    }
    samples
}

/// Differences from sample to sample, scaled: 40 Hz are 20 dB softer than 500.
fn emphasize(past: &[i16; LAG_MAX + 1], now: &[i16; SAMPLES]) -> Differences {
    let mut differences = [0; LAG_MAX + SAMPLES];
    let mut before = i32::from(past[0]);
    let mut peak = 0;
    for (difference, &sample) in differences.iter_mut().zip(past[1..].iter().chain(now)) {
        *difference = i32::from(sample) - before;
        before = i32::from(sample);
        peak = peak.max(difference.unsigned_abs());
    }
    let shift = (u32::BITS - peak.leading_zeros()).saturating_sub(BITS);
    differences.map(|difference| (difference >> shift) as i16)
}

fn product(one: &[i16], other: &[i16]) -> i32 {
    one.iter().zip(other).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// Whether the block is like what was a period before.
fn repeats(sound: &Differences) -> Kind {
    let now = &sound[LAG_MAX..];
    let energy = product(now, now) as u64;
    let mut kind = Kind::Other;
    let square = |at: usize| i32::from(sound[at]).pow(2);
    let shortest = &sound[LAG_MAX + 1 - LAG_MIN..][..SAMPLES];
    let mut energy_before = product(shortest, shortest);
    for lag in LAG_MIN..=LAG_MAX {
        let begin = LAG_MAX - lag;
        let before = &sound[begin..][..SAMPLES];
        energy_before += square(begin) - square(begin + SAMPLES);
        let likeness = product(now, before).max(0) as u64;
        let squared = likeness * likeness;
        let whole = energy * energy_before as u64;
        // 0.8 and 0.65, squared, in 64ths.
        if squared > whole / 64 * 41 {
            return Kind::Voice;
        }
        if squared > whole / 64 * 27 {
            kind = Kind::Likely;
        }
    }
    kind
}

/// Whether the last samples of the block foretell the next (linear prediction, by the covariance). Nothing but `+ - * /`, in one order: the same on every machine.
fn is_tone(sound: &Differences) -> bool {
    let later = |by: usize| &sound[LAG_MAX + ORDER - by..LAG_MAX + SAMPLES - by];
    let covariance = |i: usize, j: usize| f64::from(product(later(i), later(j)));
    let mut rows = [[0.0; ORDER + 1]; ORDER];
    for (i, row) in rows.iter_mut().enumerate() {
        for (j, cell) in row.iter_mut().enumerate() {
            *cell = covariance(i + 1, (j + 1) % (ORDER + 1));
        }
        row[i] += 1.0;
    }
    let energy = covariance(0, 0);
    let mut left = energy;
    for k in 0..ORDER {
        let row = rows[k];
        if row[k] <= 0.0 {
            break;
        }
        left -= row[ORDER] * row[ORDER] / row[k];
        for other in &mut rows[k + 1..] {
            let share = other[k] / row[k];
            for (cell, above) in other.iter_mut().zip(&row) {
                *cell -= share * above;
            }
        }
    }
    left * TONE < energy
}
