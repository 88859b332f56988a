//! A small generator of random numbers, seeded, so that the same seed gives the same trace.

/// Marsaglia's xorshift with a multiplied output (xorshift64*). Good enough to spread reports;
/// never for anything that must not be guessed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub const fn new(seed: u64) -> Self {
        // Zero is the one state that never changes; neighbouring seeds are spread apart.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1 | 1)
    }

    /// Where it stands, for [`Random::resume`].
    pub const fn state(&self) -> u64 {
        self.0
    }

    /// Goes on where [`Random::state`] was asked for.
    pub const fn resume(state: u64) -> Self {
        Self(state)
    }

    /// The next number.
    pub const fn next_u32(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_and_repeat_with_their_seed() {
        let mut random = Random::new(7);
        let numbers: Vec<u32> = (0..1000).map(|_| random.next_u32()).collect();
        let mean = numbers.iter().map(|&n| u64::from(n)).sum::<u64>() / 1000;
        assert!((1 << 30..3 << 30).contains(&mean), "mean {mean}");
        let mut again = Random::new(7);
        assert!(numbers.iter().all(|&n| n == again.next_u32()));
        assert_ne!(Random::new(0).next_u32(), Random::new(1).next_u32());
    }
}
