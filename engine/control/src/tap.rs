//! The tap: a ring that carries copies of a room's or a session's blocks off the shard.
//!
//! The shard writes and never waits. When the ring is full the block is dropped and counted;
//! the reader sees the hole in the clock of the next block and fills it with silence.

use media_units::{Block, Instant, PeriodIndex};

/// One block with its place on the shard's sample clock.
#[derive(Debug, Clone, Copy)]
pub struct TapBlock {
    /// The block's period: `period * BLOCK_SAMPLES` is its first sample on the shard's clock.
    pub period: PeriodIndex,
    /// When it was mixed.
    pub at: Instant,
    /// The sound.
    pub block: Block,
}

/// The shard's end.
#[derive(Debug)]
pub struct TapSink {
    ring: rtrb::Producer<TapBlock>,
    overruns: u64,
}

/// The recorder's end.
#[derive(Debug)]
pub struct TapReader {
    ring: rtrb::Consumer<TapBlock>,
}

/// A new tap of `blocks` blocks of 20 ms.
pub fn tap(blocks: usize) -> (TapSink, TapReader) {
    let (producer, consumer) = rtrb::RingBuffer::new(blocks);
    (TapSink { ring: producer, overruns: 0 }, TapReader { ring: consumer })
}

impl TapSink {
    /// Writes a block, or counts it as lost where the reader is too slow.
    pub fn push(&mut self, block: TapBlock) {
        if self.ring.push(block).is_err() {
            self.overruns += 1;
        }
    }

    /// Blocks lost because the ring was full.
    pub fn overruns(&self) -> u64 {
        self.overruns
    }
}

impl TapReader {
    /// The next block, if one is there.
    pub fn pop(&mut self) -> Option<TapBlock> {
        self.ring.pop().ok()
    }

    /// Whether the shard's end is gone and everything was read.
    pub fn is_finished(&self) -> bool {
        // In this order: abandoned first, so that a block pushed in between is not overlooked.
        self.ring.is_abandoned() && self.ring.is_empty()
    }
}
