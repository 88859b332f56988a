//! Where a turn is worked on: memory of the shard, used by one session after the other.

use media::playout::Scratch;
use media::resample::Resampler;
use media_kernels::Kernels;
use media_units::BLOCK_SAMPLES_MAX;

use crate::contributors::Contributors;

/// The memory of one session's turn.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) scratch: Scratch,
    pub(crate) resampler: Resampler,
    /// What is played or sent at a rate that is no rate class.
    pub(crate) samples: [i16; BLOCK_SAMPLES_MAX],
    /// Who is in the mix that is sent.
    pub(crate) contributors: Contributors,
}

impl Bench {
    /// Allocates.
    pub(crate) fn new(kernels: Kernels) -> Self {
        Self {
            scratch: Scratch::new(),
            resampler: Resampler::new(kernels),
            samples: [0; BLOCK_SAMPLES_MAX],
            contributors: Contributors::new(),
        }
    }

    /// What [`Bench::new`] reserves.
    pub(crate) fn memory_bytes() -> usize {
        size_of::<Self>() + Scratch::memory_bytes() + Resampler::MEMORY_BYTES
    }
}
