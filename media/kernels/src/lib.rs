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
mod level;
mod prefetch;
mod scalar;

pub use level::Level;
pub use prefetch::prefetch;

use media_units::{Block, Sum};

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
    add: unsafe fn(&mut Sum, &Block),
    narrow: unsafe fn(&Sum, &mut Block),
    minus: unsafe fn(&Sum, &Block, &mut Block),
    energy: unsafe fn(&Block) -> u64,
    peak: unsafe fn(&Block) -> u16,
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

    /// Adds a source to the sum. Exact for up to 65,536 sources.
    pub fn add(&self, sum: &mut Sum, block: &Block) {
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.add)(sum, block) }
    }

    /// The sum as a block: samples beyond 16 bits are clipped.
    pub fn narrow(&self, sum: &Sum, block: &mut Block) {
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.narrow)(sum, block) }
    }

    /// The sum without `own`, as a block: samples beyond 16 bits are clipped, after the
    /// subtraction. `own` is one of the blocks that were added.
    pub fn minus(&self, sum: &Sum, own: &Block, block: &mut Block) {
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.minus)(sum, own, block) }
    }

    /// The sum of all samples squared.
    pub fn energy(&self, block: &Block) -> u64 {
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.energy)(block) }
    }

    /// The greatest magnitude of all samples, 0..=32768.
    pub fn peak(&self, block: &Block) -> u16 {
        // SAFETY: a `Kernels` exists only for a level that this CPU runs.
        unsafe { (self.set.peak)(block) }
    }
}

#[cfg(test)]
mod tests;
