//! Where the parts of spread rooms meet.

use engine_exchange::{RingReader, RingWriter, ring};

use super::record::{HEAD_WORDS, SUMS_WORDS};

/// One shard's end of the exchange: for each room that may be spread what it tells the others, and
/// what they tell.
#[derive(Debug)]
pub struct Exchange {
    pub(super) boards: Vec<Board>,
}

/// What one shard tells and reads of one room.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) heads: RingWriter,
    pub(super) sums: RingWriter,
    pub(super) others: Vec<Other>,
}

/// What another shard tells.
#[derive(Debug, Clone)]
pub(super) struct Other {
    pub(super) shard: u8,
    pub(super) heads: RingReader,
    pub(super) sums: RingReader,
}

/// The ends of all shards, for so many rooms that are spread at one time. Each is given to its
/// shard by [`crate::Shard::meet`].
pub fn exchange(shards: u8, spread_max: u32) -> Vec<Exchange> {
    let mut ends: Vec<Exchange> = (0..shards).map(|_| Exchange { boards: Vec::new() }).collect();
    for _ in 0..spread_max {
        let mut readers = Vec::new();
        for (shard, end) in (0..shards).zip(&mut ends) {
            let ((heads, heads_reader), (sums, sums_reader)) = (ring(HEAD_WORDS), ring(SUMS_WORDS));
            readers.push(Other { shard, heads: heads_reader, sums: sums_reader });
            end.boards.push(Board { heads, sums, others: Vec::new() });
        }
        for (shard, end) in (0..shards).zip(&mut ends) {
            let others = readers.iter().filter(|other| other.shard != shard).cloned();
            if let Some(board) = end.boards.last_mut() {
                board.others.extend(others);
            }
        }
    }
    ends
}
