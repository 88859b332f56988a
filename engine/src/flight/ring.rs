//! The ring of words between a shard and whoever copies it: one writer, any readers, no wait.
//!
//! A seqlock over the whole ring: the writer says what it is about to overwrite, writes, and says
//! how far it is; a reader copies, and believes only what was not about to be overwritten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use media_kernels::prefetch;

/// Parts of the ring: of each the first tick is known, so that a reader finds where records begin.
const PARTS: usize = 64;

/// So far ahead memory is asked for: a few records.
const AHEAD_WORDS: usize = 64;
/// Words of a line of the cache.
const LINE_WORDS: usize = 8;
/// Octets of a word.
const WORD: usize = size_of::<u64>();

#[derive(Debug)]
struct Ring {
    words: Box<[AtomicU64]>,
    /// Words that are written, or about to be.
    reserved: AtomicU64,
    /// Words that are written.
    written: AtomicU64,
    /// Where the first tick of each part begins.
    ticks: [AtomicU64; PARTS],
}

/// The shard's end.
#[derive(Debug)]
pub struct FlightSink {
    ring: Arc<Ring>,
    /// Words written so far.
    at: u64,
    /// The part in which a tick began last.
    part: u64,
}

/// The other end.
#[derive(Debug, Clone)]
pub struct FlightReader(Arc<Ring>);

/// A ring of so many octets, rounded up to a power of two.
pub fn flight_ring(bytes: usize) -> (FlightSink, FlightReader) {
    let words = (bytes / WORD).next_power_of_two().max(PARTS * 64);
    let ring = Arc::new(Ring {
        words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        reserved: AtomicU64::new(0),
        written: AtomicU64::new(0),
        ticks: [const { AtomicU64::new(u64::MAX) }; PARTS],
    });
    (FlightSink { ring: Arc::clone(&ring), at: 0, part: u64::MAX }, FlightReader(ring))
}

impl FlightSink {
    /// Where a tick begins: readers may begin here.
    pub(super) fn mark(&mut self) {
        let part = self.at / self.part_words();
        if part != self.part {
            self.part = part;
            self.ring.ticks[part as usize % PARTS].store(self.at, Ordering::Relaxed);
        }
    }

    /// Writes a record: its words, then octets in words of their own.
    pub(super) fn push<const N: usize>(&mut self, words: [u64; N], octets: &[u8]) {
        let length = N + octets.len().div_ceil(WORD);
        self.ring.reserved.store(self.at + length as u64, Ordering::Relaxed);
        fence(Ordering::Release);
        let all = &self.ring.words;
        let start = self.at as usize & (all.len() - 1);
        match all.get(start..start + length) {
            Some(places) => put(places.iter(), words, octets),
            // It goes on at the beginning.
            None => put(all[start..].iter().chain(&all[..]), words, octets),
        }
        self.at += length as u64;
        self.ring.written.store(self.at, Ordering::Release);
        self.ask_ahead(start, length);
    }

    /// Asks memory for as many lines, further on, as were begun: a ring is larger than the cache, and the next system
    /// call waits for every line that was written to and was not there.
    fn ask_ahead(&self, start: usize, length: usize) {
        let all = &self.ring.words;
        for line in start / LINE_WORDS..(start + length) / LINE_WORDS {
            prefetch(&all[(line * LINE_WORDS + AHEAD_WORDS) & (all.len() - 1)]);
        }
    }

    fn part_words(&self) -> u64 {
        (self.ring.words.len() / PARTS) as u64
    }
}

/// Words and octets to their places.
fn put<'a, const N: usize>(
    mut places: impl Iterator<Item = &'a AtomicU64>,
    words: [u64; N],
    octets: &[u8],
) {
    for (word, place) in words.into_iter().zip(&mut places) {
        place.store(word, Ordering::Relaxed);
    }
    let (whole, rest) = octets.as_chunks::<WORD>();
    for (chunk, place) in whole.iter().zip(&mut places) {
        place.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
    }
    if let (false, Some(place)) = (rest.is_empty(), places.next()) {
        let last = rest.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet));
        place.store(last, Ordering::Relaxed);
    }
}

impl FlightReader {
    /// A copy of what is in the ring, from the beginning of a tick on. Allocates.
    pub fn copy(&self) -> Vec<u64> {
        let ring = &self.0;
        let size = ring.words.len() as u64;
        let end = ring.written.load(Ordering::Acquire);
        let start = end.saturating_sub(size);
        let (after, before) = ring.words.split_at((start % size) as usize);
        let places = before.iter().chain(after).take((end - start) as usize);
        let mut words: Vec<u64> = places.map(|word| word.load(Ordering::Relaxed)).collect();
        fence(Ordering::Acquire);
        let overwritten = ring.reserved.load(Ordering::Relaxed).saturating_sub(size);
        let whole = start.max(overwritten);
        let ticks = ring.ticks.iter().map(|tick| tick.load(Ordering::Relaxed));
        let first = ticks.filter(|tick| (whole..end).contains(tick)).min().unwrap_or(end);
        words.drain(..(first - start) as usize);
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_overwritten_is_left_out_and_records_stay_whole() {
        let (mut sink, reader) = flight_ring(64 * 64 * 8);
        for tick in 0..5000_u64 {
            sink.mark();
            sink.push([u64::MAX, tick], &[]);
            sink.push([!tick], &[1, 2, 3]);
        }
        let words = reader.copy();
        assert!(words.len() > 64 * 60, "almost all of it: {}", words.len());
        let (records, rest) = words.as_chunks::<4>();
        assert!(rest.is_empty());
        for (offset, record) in records.iter().rev().enumerate() {
            let tick = 4999 - offset as u64;
            assert_eq!(*record, [u64::MAX, tick, !tick, 0x03_02_01]);
        }
    }

    #[test]
    fn a_reader_beside_the_writer_sees_whole_records_in_order() {
        let (mut sink, reader) = flight_ring(0);
        let copies = std::thread::scope(|scope| {
            let reading = scope.spawn(|| (0..200).map(|_| reader.copy()).collect::<Vec<_>>());
            for tick in 0..200_000_u64 {
                sink.mark();
                sink.push([tick, !tick], &tick.to_le_bytes());
            }
            reading.join().unwrap()
        });
        for copy in copies {
            let (records, rest) = copy.as_chunks::<3>();
            assert!(rest.is_empty());
            assert!(records.iter().all(|&[tick, other, again]| other == !tick && again == tick));
            assert!(records.windows(2).all(|pair| pair[1][0] == pair[0][0] + 1));
        }
    }
}
