//! Decoded sound around the playhead: what was played last, and what was decoded ahead of it.

use super::conceal::PAST_QUANTA;
use crate::codec::PACKET_SAMPLES_MAX;

/// One stretch of memory, moved to its beginning when its end is reached.
#[derive(Debug)]
pub(super) struct SoundBuffer {
    samples: Box<[i16]>,
    /// The playhead.
    head: usize,
    /// Behind what is decoded.
    end: usize,
    /// Samples before the playhead that are kept.
    kept: usize,
}

impl SoundBuffer {
    /// For so many samples a second. Allocates.
    pub(super) fn new(rate: usize) -> Self {
        // What concealment looks back at, 80 ms looked at ahead, the longest packet, and as much to
        // move seldom.
        let kept = PAST_QUANTA * (rate / 400);
        let longest = (rate * 12 / 100).min(PACKET_SAMPLES_MAX);
        let samples = vec![0; kept + rate * 8 / 100 + 2 * longest];
        Self { samples: samples.into_boxed_slice(), head: kept, end: kept, kept }
    }

    pub(super) fn clear(&mut self) {
        self.samples.fill(0);
        self.head = self.kept;
        self.end = self.kept;
    }

    /// Samples decoded ahead.
    pub(super) fn ahead(&self) -> usize {
        self.end - self.head
    }

    /// Copies the next samples.
    pub(super) fn peek(&self, samples: &mut [i16]) {
        let length = samples.len().min(self.ahead());
        samples[..length].copy_from_slice(&self.samples[self.head..][..length]);
    }

    /// Room for so many samples more, to be followed by [`SoundBuffer::add`].
    pub(super) fn room(&mut self, length: usize) -> &mut [i16] {
        if self.end + length > self.samples.len() {
            let start = self.head - self.kept;
            self.samples.copy_within(start..self.end, 0);
            self.head -= start;
            self.end -= start;
        }
        &mut self.samples[self.end..self.end + length]
    }

    /// The room was filled with so many samples, of which the first few are not wanted.
    pub(super) fn add(&mut self, length: usize, unwanted: usize) {
        let (start, end) = (self.end, self.end + length);
        self.samples.copy_within(start + unwanted..end, start);
        self.end += length - unwanted;
    }

    /// The next samples are played, or left out.
    pub(super) fn advance(&mut self, length: usize) {
        self.head += length.min(self.ahead());
    }

    /// What was played last.
    pub(super) fn past(&self) -> &[i16] {
        &self.samples[self.head - self.kept..self.head]
    }

    /// What was played last was this.
    pub(super) fn amend(&mut self, past: &[i16]) {
        self.samples[self.head - past.len()..self.head].copy_from_slice(past);
    }
}
