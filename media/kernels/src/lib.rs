//! The loops that touch every sample, each compiled for several instruction sets.
//!
//! Floor 0: numbers in, numbers out. [`Kernels`] is chosen once at start and passed as a value, so
//! a test can force any level. Every level gives the same bits as the scalar one: the choice is
//! never audible and never changes a trace. G.711 follows the reference code of ITU-T G.191
//! (the magnitude of a negative sample is its one's complement).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod gain;
mod level;
mod prefetch;
mod scalar;

pub use gain::{GAIN_BITS, GAIN_MAX};
pub use level::Level;
pub use prefetch::{prefetch, prefetch_start};

use gain::Ramp;

/// The kernels of one level. `Copy`: pass it by value.
#[derive(Debug, Clone, Copy)]
pub struct Kernels {
    level: Level,
    set: Set,
}

/// One function for each kernel. Unsafe to call where the CPU lacks the set's instructions.
#[derive(Debug, Clone, Copy)]
struct Set {
    decode_ulaw: unsafe fn(&[u8], &mut [i16]),
    decode_alaw: unsafe fn(&[u8], &mut [i16]),
    encode_ulaw: unsafe fn(&[i16], &mut [u8]),
    encode_alaw: unsafe fn(&[i16], &mut [u8]),
    add: unsafe fn(&mut [i32], &[i16]),
    narrow: unsafe fn(&[i32], &mut [i16]) -> bool,
    minus: unsafe fn(&[i32], &[i16], &mut [i16]) -> bool,
    energy: unsafe fn(&[i16]) -> u64,
    peak: unsafe fn(&[i16]) -> u16,
    gain: unsafe fn(&mut [i16], Ramp),
    fir: unsafe fn(&[i16], &[i16], &mut [i32]),
}

impl Kernels {
    /// The plain loops, which every CPU runs.
    pub const SCALAR: Self = Self { level: Level::Scalar, set: scalar::SET };

    /// The fastest kernels that this CPU can run.
    pub fn detect() -> Self {
        Self::levels_available().filter_map(Self::at).last().unwrap_or(Self::SCALAR)
    }

    /// The kernels of `level`, or `None` where this CPU cannot run them.
    pub fn at(level: Level) -> Option<Self> {
        let set = match level {
            Level::Scalar => scalar::SET,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::SET,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::SET,
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => return None,
        };
        level.is_available().then_some(Self { level, set })
    }

    /// The levels that this CPU can run, slowest first.
    pub fn levels_available() -> impl Iterator<Item = Level> {
        Level::ALL.into_iter().filter(|level| level.is_available())
    }

    /// The level of these kernels.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Decodes mu-law. Both slices have the same length.
    pub fn decode_ulaw(&self, codes: &[u8], samples: &mut [i16]) {
        assert_eq!(codes.len(), samples.len(), "one code is one sample");
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.decode_ulaw)(codes, samples) }
    }

    /// Decodes A-law. Both slices have the same length.
    pub fn decode_alaw(&self, codes: &[u8], samples: &mut [i16]) {
        assert_eq!(codes.len(), samples.len(), "one code is one sample");
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.decode_alaw)(codes, samples) }
    }

    /// Encodes mu-law. Both slices have the same length.
    pub fn encode_ulaw(&self, samples: &[i16], codes: &mut [u8]) {
        assert_eq!(codes.len(), samples.len(), "one code is one sample");
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.encode_ulaw)(samples, codes) }
    }

    /// Encodes A-law. Both slices have the same length.
    pub fn encode_alaw(&self, samples: &[i16], codes: &mut [u8]) {
        assert_eq!(codes.len(), samples.len(), "one code is one sample");
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.encode_alaw)(samples, codes) }
    }

    /// Adds a source to the sum. Exact for up to 65,536 sources. Both slices have the same length.
    pub fn add(&self, sums: &mut [i32], samples: &[i16]) {
        assert_eq!(sums.len(), samples.len(), "one sample is one sum");
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.add)(sums, samples) }
    }

    /// The sum as samples: what is beyond 16 bits is clipped. Returns whether anything was.
    pub fn narrow(&self, sums: &[i32], samples: &mut [i16]) -> bool {
        assert_eq!(sums.len(), samples.len(), "one sample is one sum");
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.narrow)(sums, samples) }
    }

    /// The sum without `own`, one of those that were added, as samples: what is beyond 16 bits is
    /// clipped, after the subtraction. Returns whether anything was.
    pub fn minus(&self, sums: &[i32], own: &[i16], samples: &mut [i16]) -> bool {
        assert_eq!(sums.len(), samples.len(), "one sample is one sum");
        assert_eq!(sums.len(), own.len(), "one sample is one sum");
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.minus)(sums, own, samples) }
    }

    /// The sum of all samples squared.
    pub fn energy(&self, samples: &[i16]) -> u64 {
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.energy)(samples) }
    }

    /// The greatest magnitude of all samples, 0..=32768.
    pub fn peak(&self, samples: &[i16]) -> u16 {
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.peak)(samples) }
    }

    /// Amplifies: the gain moves evenly `from` what it was before the first sample `to` what it is
    /// at the last. Gains are numbers with [`GAIN_BITS`] fractional bits, at most [`GAIN_MAX`];
    /// what goes beyond 16 bits is clipped.
    pub fn gain(&self, samples: &mut [i16], from: u32, to: u32) {
        let ramp = Ramp::new(from, to, samples.len());
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.gain)(samples, ramp) }
    }

    /// Adds to each of `sums` the products of `taps` with as many samples, of which the first is
    /// one later for each sum (a filter whose taps are in reverse). There are as many samples as
    /// that takes. Sums wrap; they do not where the magnitudes of the taps add up to less than
    /// 65,536 and the sums began at zero.
    pub fn fir(&self, samples: &[i16], taps: &[i16], sums: &mut [i32]) {
        assert!(taps.len().is_multiple_of(2) && !taps.is_empty(), "taps go in pairs");
        assert_eq!(samples.len() + 1, sums.len() + taps.len(), "each sum has its samples");
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.fir)(samples, taps, sums) }
    }
}

#[cfg(test)]
mod tests;
