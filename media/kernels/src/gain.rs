//! A gain that moves evenly within a block, as the kernel wants it.

/// Fractional bits of a gain as a number: 65,536 is unchanged.
pub const GAIN_BITS: u32 = 16;

/// The greatest gain of the kernels: +30 dB.
pub const GAIN_MAX: u32 = (1 << (GAIN_BITS + 5)) - 1;

/// Gains with 15 significant bits, so that a product with a sample fits into 32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ramp {
    pub(crate) start: i32,
    /// Change with each sample, in fractions of `SLOPE_BITS`.
    pub(crate) slope: i32,
    pub(crate) shift: u32,
}

impl Ramp {
    pub(crate) const SLOPE_BITS: u32 = 14;

    /// From one gain (that of the sample before) to another (that of the last sample).
    pub(crate) fn new(from: u32, to: u32, samples: usize) -> Self {
        let (from, to) = (from.min(GAIN_MAX), to.min(GAIN_MAX));
        let excess = (u32::BITS - (from | to).leading_zeros()).saturating_sub(15);
        let (start, end) = ((from >> excess) as i32, (to >> excess) as i32);
        let slope = ((end - start) << Self::SLOPE_BITS) / samples.max(1) as i32;
        Self { start, slope, shift: GAIN_BITS - excess }
    }
}
