//! One number that stands for everything that was seen, in order and with its time.

use media_units::Instant;

/// A running hash. Not cryptographic: it only has to differ where traces differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trace(u64);

impl Trace {
    /// Folds in one observation: when, of which kind, about whom, and its octets.
    pub(crate) fn note(&mut self, at: Instant, kind: u64, subject: u64, octets: &[u8]) {
        self.fold(at.as_nanos());
        self.fold(kind << 32 | octets.len() as u64);
        self.fold(subject);
        for chunk in octets.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn fold(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29);
    }

    /// The number.
    pub fn value(self) -> u64 {
        self.0
    }
}
