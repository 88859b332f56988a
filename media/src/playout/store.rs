//! Received codes by their place in the stream: a ring of one octet a sample, and which of them
//! are there. Packets of any size may overlap, leave gaps, or come in any order.

use media_kernels::{Kernels, prefetch};
use media_units::Law;

use super::PAST;
use crate::g711;

/// Samples that the ring holds: 512 ms.
pub(super) const CAPACITY: usize = 4096;

/// How far ahead of the playhead the ring reaches: behind it lie [`PAST`] samples that were played.
pub(super) const AHEAD: u64 = (CAPACITY - PAST) as u64;

const WORD_BITS: usize = 64;

/// The ring. Positions count samples since the stream began; the caller keeps those it uses
/// within one capacity of each other.
#[derive(Debug, Clone)]
pub(super) struct SampleStore {
    codes: [u8; CAPACITY],
    present: [u64; CAPACITY / WORD_BITS],
}

impl SampleStore {
    /// Nothing is there.
    pub(super) fn new() -> Self {
        Self { codes: [0; CAPACITY], present: [0; CAPACITY / WORD_BITS] }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.present.fill(0);
    }

    /// Asks the memory for `length` codes from `position` on, and for what says that they are there.
    pub(super) fn prefetch(&self, position: u64, length: usize) {
        let start = index(position);
        let end = (start + length).min(CAPACITY);
        prefetch(&self.codes[start..end]);
        self.prefetch_presence(position, length);
    }

    /// Asks for what says whether `length` codes from `position` on are there.
    pub(super) fn prefetch_presence(&self, position: u64, length: usize) {
        let start = index(position);
        let end = (start + length).min(CAPACITY);
        prefetch(&self.present[start / WORD_BITS..end.div_ceil(WORD_BITS)]);
    }

    /// Stores codes from `position` on.
    pub(super) fn write(&mut self, position: u64, codes: &[u8]) {
        let start = index(position);
        let (first, wrapped) = codes.split_at(codes.len().min(CAPACITY - start));
        self.codes[start..start + first.len()].copy_from_slice(first);
        self.codes[..wrapped.len()].copy_from_slice(wrapped);
        for_each_word(position, codes.len(), |word, mask| self.present[word] |= mask);
    }

    /// Decodes samples from `position` on, present or not.
    pub(super) fn decode(&self, law: Law, position: u64, kernels: &Kernels, samples: &mut [i16]) {
        let start = index(position);
        let at_once = samples.len().min(CAPACITY - start);
        let (first, wrapped) = samples.split_at_mut(at_once);
        g711::decode(law, kernels, &self.codes[start..start + at_once], first);
        g711::decode(law, kernels, &self.codes[..wrapped.len()], wrapped);
    }

    /// Copies codes from `position` on, present or not.
    pub(super) fn read(&self, position: u64, codes: &mut [u8]) {
        let start = index(position);
        let at_once = codes.len().min(CAPACITY - start);
        let (first, wrapped) = codes.split_at_mut(at_once);
        first.copy_from_slice(&self.codes[start..start + at_once]);
        wrapped.copy_from_slice(&self.codes[..wrapped.len()]);
    }

    /// Forgets `length` samples from `position` on.
    pub(super) fn forget(&mut self, position: u64, length: usize) {
        for_each_word(position, length, |word, mask| self.present[word] &= !mask);
    }

    /// How many samples in a row are there from `position` on, up to `most`.
    pub(super) fn run(&self, position: u64, most: usize) -> usize {
        self.count(position, most, 0)
    }

    /// How many samples in a row are missing from `position` on, up to `most`.
    pub(super) fn gap(&self, position: u64, most: usize) -> usize {
        self.count(position, most, u64::MAX)
    }

    /// How many samples in a row are there just before `position`, up to `most`.
    pub(super) fn run_before(&self, position: u64, most: usize) -> usize {
        (1..=most)
            .take_while(|&back| {
                let index = index(position.wrapping_sub(back as u64));
                self.present[index / WORD_BITS] >> (index % WORD_BITS) & 1 == 1
            })
            .count()
    }

    /// Counts bits that are one after `inversion`.
    fn count(&self, position: u64, most: usize, inversion: u64) -> usize {
        let mut count = 0;
        while count < most {
            let index = index(position + count as u64);
            let left_in_word = WORD_BITS - index % WORD_BITS;
            let word = (self.present[index / WORD_BITS] ^ inversion) >> (index % WORD_BITS);
            let ones = (word.trailing_ones() as usize).min(left_in_word);
            count += ones;
            if ones < left_in_word {
                break;
            }
        }
        count.min(most)
    }
}

fn index(position: u64) -> usize {
    position as usize % CAPACITY
}

/// Calls `apply` with each word that `length` bits from `position` touch, and the bits in it.
fn for_each_word(position: u64, length: usize, mut apply: impl FnMut(usize, u64)) {
    let mut done = 0;
    while done < length {
        let index = index(position + done as u64);
        let bit = index % WORD_BITS;
        let bits = (length - done).min(WORD_BITS - bit);
        let mask = (u64::MAX >> (WORD_BITS - bits)) << bit;
        apply(index / WORD_BITS, mask);
        done += bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn store_is_a_map_from_position_to_code(
            base in 0u64..3 * CAPACITY as u64,
            writes in prop::collection::vec((0u64..3000, 1usize..480, any::<u8>()), 0..12),
            forgotten in (0u64..3000, 0usize..1000),
        ) {
            let mut store = SampleStore::new();
            let mut model = [None; CAPACITY];
            for (offset, length, code) in writes {
                store.write(base + offset, &vec![code; length]);
                model[offset as usize..][..length].fill(Some(code));
            }
            store.forget(base + forgotten.0, forgotten.1);
            model[forgotten.0 as usize..][..forgotten.1].fill(None);
            for at in (0..3600usize).step_by(7) {
                let rest = &model[at..at + 400];
                let run = rest.iter().take_while(|code| code.is_some()).count();
                let gap = rest.iter().take_while(|code| code.is_none()).count();
                prop_assert_eq!(store.run(base + at as u64, 400), run);
                prop_assert_eq!(store.gap(base + at as u64, 400), gap);
                let before = model[at.saturating_sub(100)..at].iter().rev();
                let before = before.take_while(|code| code.is_some()).count();
                prop_assert_eq!(store.run_before(base + at as u64, 100.min(at)), before);
                let mut codes = vec![0; run];
                store.read(base + at as u64, &mut codes);
                let expected: Vec<u8> = rest[..run].iter().flatten().copied().collect();
                prop_assert_eq!(codes, expected);
            }
        }
    }
}
