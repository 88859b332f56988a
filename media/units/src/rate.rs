//! The sample rates in which rooms are mixed.

use serde::{Deserialize, Serialize};

/// A rate at which sound is mixed. Every source is brought into each class that has a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum RateClass {
    /// 8 kHz: the telephone.
    Narrow,
    /// 16 kHz: wideband.
    Wide,
    /// 48 kHz: fullband.
    Full,
}

impl RateClass {
    /// All of them, lowest first.
    pub const ALL: [Self; 3] = [Self::Narrow, Self::Wide, Self::Full];

    /// Samples in a second.
    pub const fn hertz(self) -> u32 {
        match self {
            Self::Narrow => 8000,
            Self::Wide => 16_000,
            Self::Full => 48_000,
        }
    }

    /// Samples in a period (20 ms).
    pub const fn block_samples(self) -> usize {
        match self {
            Self::Narrow => 160,
            Self::Wide => 320,
            Self::Full => 960,
        }
    }
}

/// Samples in a period of the highest class.
pub const BLOCK_SAMPLES_MAX: usize = RateClass::Full.block_samples();
