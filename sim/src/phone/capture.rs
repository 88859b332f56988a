//! One window of what a phone hears, put together from its packets by their timestamps.

use media_units::{Instant, RtpTimestamp};

use super::Format;
use crate::code::{Code, Spectrum, WINDOW_SAMPLES};

/// The sound of one window.
#[derive(Debug)]
pub struct Capture {
    samples: [i16; WINDOW_SAMPLES],
    first: Option<RtpTimestamp>,
    filled: usize,
    /// Where the last whole packet's middle lies in the window, and when that packet came.
    last: (usize, Instant),
}

impl Default for Capture {
    fn default() -> Self {
        Self { samples: [0; WINDOW_SAMPLES], first: None, filled: 0, last: (0, Instant::START) }
    }
}

impl Capture {
    /// Adds a packet's sound at 8 kHz. Returns whether the window has been passed through to its end.
    pub(super) fn add(
        &mut self,
        now: Instant,
        timestamp: RtpTimestamp,
        format: Format,
        sound: &[i16],
    ) -> bool {
        let first = *self.first.get_or_insert(timestamp);
        let units = i64::from(timestamp.distance_from(first));
        let offset = units * 8000 / i64::from(format.encoding.clock_rate());
        let Ok(start) = usize::try_from(offset) else { return false };
        if start >= 2 * WINDOW_SAMPLES {
            // The clock jumped: what was gathered belongs to another time.
            *self = Self::default();
            return false;
        }
        let Some(room) = self.samples.get_mut(start..) else { return true };
        let length = room.len().min(sound.len());
        room[..length].copy_from_slice(&sound[..length]);
        self.filled += length;
        if start + sound.len() <= WINDOW_SAMPLES {
            self.last = (start + sound.len() / 2, now);
        }
        start + sound.len() >= WINDOW_SAMPLES
    }

    /// Whether no packet is missing.
    pub fn is_whole(&self) -> bool {
        self.filled == WINDOW_SAMPLES
    }

    /// What is in it.
    pub fn spectrum(&self) -> Spectrum {
        Spectrum::of(&self.samples)
    }

    /// Which sample of its turn `code` had in the middle of the window's last whole packet, and
    /// when that packet came.
    pub fn last_position(&self, spectrum: &Spectrum, code: Code) -> (usize, Instant) {
        let (offset, arrival) = self.last;
        ((spectrum.position(code) + offset) % WINDOW_SAMPLES, arrival)
    }
}
