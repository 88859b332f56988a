//! Identifiers that nobody can guess, from one seed.
//!
//! Tags, branches and SSRCs must be unpredictable (RFC 3261 section 19.3, RFC 3550 section 8.1),
//! and a simulated call must be repeatable: a stream cipher keyed once gives both.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The front end's only source of chance.
#[derive(Debug)]
pub(crate) struct Random(ChaCha12Rng);

impl Random {
    /// Draws everything from `seed`, which is a secret outside of simulations.
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(crate) fn u128(&mut self) -> u128 {
        u128::from(self.u64()) << 64 | u128::from(self.u64())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A number in `0..bound`, where the small bias of a remainder does no harm.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.u32() % bound.max(1)
    }

    /// A token for a tag or a branch.
    pub(crate) fn token(&mut self) -> String {
        format!("{:016x}", self.u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_tokens_and_another_seed_others() {
        assert_eq!(Random::new(1).token(), Random::new(1).token());
        assert_ne!(Random::new(1).token(), Random::new(2).token());
    }
}
