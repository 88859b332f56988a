//! One period of one source's sound, and the sum of many.

/// Samples in a block: 20 ms at 8 kHz.
pub const BLOCK_SAMPLES: usize = 160;

/// 20 ms of linear PCM, aligned for the widest SIMD load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Block(pub [i16; BLOCK_SAMPLES]);

impl Block {
    /// Digital silence.
    pub const SILENCE: Self = Self([0; BLOCK_SAMPLES]);
}

impl Default for Block {
    fn default() -> Self {
        Self::SILENCE
    }
}

/// The exact sum of blocks: 32 bits hold 65,536 sources at full scale, so adding never clips and
/// subtracting a listener's own block is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Sum(pub [i32; BLOCK_SAMPLES]);

impl Sum {
    /// The sum of nobody.
    pub const ZERO: Self = Self([0; BLOCK_SAMPLES]);
}

impl Default for Sum {
    fn default() -> Self {
        Self::ZERO
    }
}
