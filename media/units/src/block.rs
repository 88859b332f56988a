//! One period of sound at 8 kHz.

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
