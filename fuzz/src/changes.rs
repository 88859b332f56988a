//! Changes of an input, as a fuzzer makes them, from a seed.

use media::Random;

/// Changes inputs.
pub(crate) struct Changes(Random);

/// Longest input that is made: more than any datagram of one packet.
const BYTES_MAX: usize = 4096;

/// Octets on the edges of what fields may hold.
const EDGES: [u8; 8] = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x20, 0x0a, 0x3a];

impl Changes {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    /// One of `corpus`, changed in one to eight places.
    pub(crate) fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(8) {
            let other = &corpus[self.below(corpus.len())];
            self.change(&mut bytes, other);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let place = self.below(bytes.len() + 1);
        let end = place + self.below((bytes.len() - place).min(64) + 1);
        match self.below(8) {
            0 => bytes.truncate(place),
            1 => drop(bytes.drain(place..end)),
            2 => {
                let again = bytes[place..end].to_vec();
                bytes.splice(place..place, again);
            }
            3 => {
                let from = self.below(other.len() + 1);
                let to = from + self.below((other.len() - from).min(256) + 1);
                bytes.splice(place..end, other[from..to].iter().copied());
            }
            4 => bytes.insert(place, EDGES[self.below(EDGES.len())]),
            kind => {
                let Some(byte) = bytes.get_mut(place) else { return };
                *byte = match kind {
                    5 => *byte ^ (1 << self.below(8)),
                    6 => EDGES[self.below(EDGES.len())],
                    _ => self.below(256) as u8,
                };
            }
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.0.next_u32() as usize % end
    }
}
