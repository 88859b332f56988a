//! One ring of records.

#[cfg(feature = "loom")]
use loom::sync::{
    Arc,
    atomic::{AtomicU64, Ordering, fence},
};
#[cfg(not(feature = "loom"))]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering, fence},
};

use crossbeam_utils::CachePadded;

/// Records that a ring holds: so many periods a reader may be late.
pub const DEPTH: usize = if cfg!(feature = "loom") { 2 } else { 4 };

/// No record's number.
const NONE: u64 = u64::MAX;

/// Where one record is.
#[derive(Debug)]
struct Place {
    /// The number of the record that is here whole, or [`NONE`]. On a cache line of its own: it is
    /// asked for where the words are not.
    number: CachePadded<AtomicU64>,
    length: AtomicU64,
    words: Box<[AtomicU64]>,
}

#[derive(Debug)]
struct Ring {
    places: [Place; DEPTH],
    /// The number of the first record since it was opened, or [`NONE`] while it is closed.
    first: CachePadded<AtomicU64>,
}

/// The writer's end.
#[derive(Debug)]
pub struct RingWriter {
    ring: Arc<Ring>,
    /// The number above the last one written: no number is used twice.
    next: u64,
}

/// A reader's end.
#[derive(Debug, Clone)]
pub struct RingReader(Arc<Ring>);

/// A ring, closed, for records of up to so many words.
pub fn ring(words: usize) -> (RingWriter, RingReader) {
    let place = |_| Place {
        number: CachePadded::new(AtomicU64::new(NONE)),
        length: AtomicU64::new(0),
        words: (0..words).map(|_| AtomicU64::new(0)).collect(),
    };
    let places = std::array::from_fn(place);
    let ring = Arc::new(Ring { places, first: CachePadded::new(AtomicU64::new(NONE)) });
    (RingWriter { ring: Arc::clone(&ring), next: 0 }, RingReader(ring))
}

/// What [`ring`] reserves.
pub const fn memory_bytes(words: usize) -> usize {
    size_of::<Ring>() + DEPTH * words * size_of::<AtomicU64>()
}

impl RingWriter {
    /// Writes the record of this number. What does not fit of it is left out. Numbers ascend; one
    /// that was used is written no more. The first record opens the ring.
    pub fn write(&mut self, number: u64, words: impl IntoIterator<Item = u64>) {
        if number < self.next || number == NONE {
            return;
        }
        self.next = number + 1;
        let place = self.ring.place(number);
        place.number.store(NONE, Ordering::Relaxed);
        fence(Ordering::Release);
        let mut length = 0;
        for (to, word) in place.words.iter().zip(words) {
            to.store(word, Ordering::Relaxed);
            length += 1;
        }
        place.length.store(length, Ordering::Relaxed);
        place.number.store(number, Ordering::Release);
        if self.ring.first.load(Ordering::Relaxed) == NONE {
            self.ring.first.store(number, Ordering::Release);
        }
    }

    /// Nothing more comes, until the next record.
    pub fn close(&mut self) {
        self.ring.first.store(NONE, Ordering::Release);
    }
}

impl RingReader {
    /// The number of the first record since the ring was opened; `None` where it is closed.
    pub fn first(&self) -> Option<u64> {
        Some(self.0.first.load(Ordering::Acquire)).filter(|&first| first != NONE)
    }

    /// Copies the record of this number. `None` where it is not there, or was overwritten
    /// meanwhile: what is in `words` then means nothing.
    pub fn read<'a>(&self, number: u64, words: &'a mut [u64]) -> Option<&'a [u64]> {
        let place = self.0.place(number);
        if place.number.load(Ordering::Acquire) != number {
            return None;
        }
        let length = place.length.load(Ordering::Relaxed) as usize;
        let words = &mut words[..length.min(place.words.len())];
        for (to, word) in words.iter_mut().zip(&place.words) {
            *to = word.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        (place.number.load(Ordering::Relaxed) == number).then_some(words)
    }
}

impl Ring {
    fn place(&self, number: u64) -> &Place {
        &self.places[(number % DEPTH as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    #[cfg(not(feature = "loom"))]
    mod usual {
        use super::super::*;

        #[test]
        fn a_record_is_read_by_its_number_until_it_is_overwritten() {
            let (mut writer, reader) = ring(3);
            let mut words = [0; 3];
            assert_eq!((reader.first(), reader.read(7, &mut words)), (None, None));
            for number in 7..=10 {
                writer.write(number, [number, 1]);
            }
            assert_eq!(reader.first(), Some(7));
            for number in 7..=10 {
                assert_eq!(reader.read(number, &mut words), Some(&[number, 1][..]));
            }
            writer.write(11, [5; 9]);
            assert_eq!(reader.read(7, &mut words), None);
            assert_eq!(reader.read(11, &mut words), Some(&[5; 3][..]), "what fits of it");
            assert_eq!(reader.read(12, &mut words), None);
        }

        #[test]
        fn a_number_is_used_once() {
            let (mut writer, reader) = ring(1);
            writer.write(3, [1]);
            writer.write(3, [2]);
            writer.write(2, [2]);
            assert_eq!(reader.read(3, &mut [0]), Some(&[1][..]));
            assert_eq!(reader.read(2, &mut [0]), None);
        }

        #[test]
        fn a_ring_that_is_closed_opens_with_its_next_record() {
            let (mut writer, reader) = ring(1);
            writer.write(1, [1]);
            writer.close();
            assert_eq!(reader.first(), None);
            writer.write(9, [1]);
            writer.write(10, [1]);
            assert_eq!(reader.first(), Some(9));
        }

        #[test]
        fn what_a_thread_reads_beside_the_writer_is_whole() {
            let (mut writer, reader) = ring(16);
            let rounds = if cfg!(miri) { 50 } else { 20_000 };
            let thread = std::thread::spawn(move || {
                (0..rounds).for_each(|number| writer.write(number, [number; 16]));
            });
            let mut number = 0;
            let mut words = [0; 16];
            while number < rounds {
                match reader.read(number, &mut words) {
                    Some(read) => assert!(read.iter().all(|&word| word == number), "{read:?}"),
                    None if thread.is_finished() => {}
                    None => continue,
                }
                number += 1;
            }
            thread.join().unwrap();
        }
    }

    /// Every order in which a writer and a reader may go, and every value that they may see by it.
    #[cfg(feature = "loom")]
    mod orders {
        use super::super::*;

        #[test]
        fn no_order_of_events_shows_a_torn_record() {
            loom::model(|| {
                let (mut writer, reader) = ring(2);
                writer.write(0, [100, 100]);
                let thread = loom::thread::spawn(move || {
                    writer.write(1, [101, 101]);
                    // The place of record 0.
                    writer.write(2, [102, 102]);
                });
                let mut words = [0; 2];
                for number in [0, 2] {
                    if let Some(read) = reader.read(number, &mut words) {
                        assert_eq!(read, [100 + number; 2]);
                    }
                }
                thread.join().unwrap();
                assert_eq!(reader.read(2, &mut words), Some(&[102; 2][..]));
                assert_eq!(reader.read(0, &mut words), None);
            });
        }

        #[test]
        fn who_sees_that_it_is_open_finds_its_first_record() {
            loom::model(|| {
                let (mut writer, reader) = ring(1);
                let thread = loom::thread::spawn(move || writer.write(5, [42]));
                if let Some(first) = reader.first() {
                    assert_eq!(reader.read(first, &mut [0]), Some(&[42][..]));
                }
                thread.join().unwrap();
                assert_eq!(reader.first(), Some(5));
            });
        }
    }
}
