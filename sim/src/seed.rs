//! The only randomness there is: `SplitMix64` from one seed, so that a run can be repeated.

/// A stream of pseudo-random numbers. Cheap to fork, so that one consumer's draws never shift
/// another's.
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// The stream that belongs to `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for consumer number `label`.
    #[must_use]
    pub fn fork(&self, label: u64) -> Self {
        let mut child = Self(self.0 ^ label.wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(17));
        child.next_u64();
        child
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A number in `0..bound`; 0 where the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_forks_differ() {
        let draw = |mut seed: Seed| (0..8).map(|_| seed.next_u64()).collect::<Vec<_>>();
        assert_eq!(draw(Seed::new(7)), draw(Seed::new(7)));
        assert_eq!(draw(Seed::new(7).fork(1)), draw(Seed::new(7).fork(1)));
        assert_ne!(draw(Seed::new(7).fork(1)), draw(Seed::new(7).fork(2)));
    }

    #[test]
    fn chance_and_below_follow_their_arguments() {
        let mut seed = Seed::new(3);
        let hits = (0..10_000).filter(|_| seed.chance(0.1)).count();
        assert!((900..1100).contains(&hits), "{hits}");
        assert!((0..1000).all(|_| seed.below(5) < 5));
        assert_eq!(seed.below(0), 0);
        assert!(!seed.chance(0.0));
    }
}
