//! Blocks of one period, one after the other.

use media_units::RateClass;

/// Samples on a cache line, at which every block begins.
const LINE: usize = 32;

/// Where a block begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u32);

/// Memory for blocks of all rate classes, each aligned for the widest SIMD load.
#[derive(Debug)]
pub(crate) struct Arena {
    samples: Vec<i16>,
    /// The first sample that begins a cache line.
    first: usize,
    next: usize,
}

impl Arena {
    /// Memory for so many blocks of each class. Pages that are never used cost nothing.
    pub(crate) fn new(blocks: usize) -> Self {
        let samples = vec![0_i16; Self::samples(blocks)];
        // Where the allocator's alignment cannot be told, blocks are slower and nothing else.
        let first = samples.as_ptr().align_offset(LINE * size_of::<i16>()).min(LINE - 1);
        Self { samples, first, next: first }
    }

    const fn samples(blocks: usize) -> usize {
        let each = RateClass::Narrow.block_samples()
            + RateClass::Wide.block_samples()
            + RateClass::Full.block_samples();
        LINE + blocks * each
    }

    /// What [`Arena::new`] reserves.
    pub(crate) const fn memory_bytes(blocks: usize) -> usize {
        Self::samples(blocks) * size_of::<i16>()
    }

    /// Forgets all blocks.
    pub(crate) fn clear(&mut self) {
        self.next = self.first;
    }

    /// Where the next block is to be written.
    pub(crate) fn free(&mut self, class: RateClass) -> &mut [i16] {
        &mut self.samples[self.next..][..class.block_samples()]
    }

    /// Keeps the block that was written there.
    pub(crate) fn keep(&mut self, class: RateClass) -> Place {
        let place = Place(self.next as u32);
        self.next += class.block_samples();
        place
    }

    /// A block that was kept.
    pub(crate) fn block(&self, class: RateClass, place: Place) -> &[i16] {
        &self.samples[place.0 as usize..][..class.block_samples()]
    }

    /// A block that was kept, to be changed.
    pub(crate) fn block_mut(&mut self, class: RateClass, place: Place) -> &mut [i16] {
        &mut self.samples[place.0 as usize..][..class.block_samples()]
    }

    /// A block that was kept, and where the next is to be written.
    pub(crate) fn block_and_free(
        &mut self,
        (class, place): (RateClass, Place),
        free: RateClass,
    ) -> (&[i16], &mut [i16]) {
        let (kept, rest) = self.samples.split_at_mut(self.next);
        (&kept[place.0 as usize..][..class.block_samples()], &mut rest[..free.block_samples()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_lie_one_after_the_other_on_whole_cache_lines() {
        let mut arena = Arena::new(3);
        let mut places = Vec::new();
        for class in RateClass::ALL {
            arena.free(class).fill(class as i16 + 1);
            assert!(arena.free(class).as_ptr().addr().is_multiple_of(64));
            places.push((class, arena.keep(class)));
        }
        for (class, place) in places.clone() {
            assert!(arena.block(class, place).iter().all(|&sample| sample == class as i16 + 1));
        }
        let (block, free) = arena.block_and_free(places[1], RateClass::Narrow);
        free.copy_from_slice(&block[..160]);
        arena.clear();
        assert_eq!(arena.free(RateClass::Narrow)[0], 1);
    }
}
