//! The parameters of a frame, and their 33 octets on the wire.

use super::excitation::PULSES;
use super::{ORDER, SUBFRAMES};

/// Octets of a frame.
pub(super) const FRAME_OCTETS: usize = 33;

/// The four bits with which a frame begins.
const SIGNATURE: u32 = 0xd;

/// Bits of the logarithmic area ratios.
const RATIO_BITS: [u32; ORDER] = [6, 6, 5, 5, 4, 4, 3, 3];

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// `LARc`: the logarithmic area ratios.
    pub(super) ratios: [u8; ORDER],
    pub(super) subframes: [Subframe; SUBFRAMES],
}

/// What it says of each subframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Subframe {
    /// Nc: the pitch period in samples.
    pub(super) lag: u8,
    /// bc: the gain of the pitch.
    pub(super) gain: u8,
    /// Mc: the first sample with a pulse.
    pub(super) grid: u8,
    /// xmaxc: the loudest pulse.
    pub(super) peak: u8,
    /// `xMc`: the pulses.
    pub(super) pulses: [u8; PULSES],
}

impl Frame {
    /// A frame of silence.
    pub(super) const SILENCE: Self = Self {
        ratios: [32, 32, 16, 16, 8, 8, 4, 4],
        subframes: [Subframe { lag: 40, gain: 0, grid: 0, peak: 0, pulses: [4; PULSES] };
            SUBFRAMES],
    };

    /// Whether the octets may be a frame.
    pub(super) fn is_one(octets: &[u8]) -> bool {
        octets.len() == FRAME_OCTETS
            && octets.first().is_some_and(|first| u32::from(first >> 4) == SIGNATURE)
    }

    /// Whether it says how silence sounds, in place of speech: the 95 best protected bits of the
    /// pulses are zero (GSM 06.12 section 5.2). No encoder makes a frame of speech like that.
    pub(super) fn describes_silence(&self) -> bool {
        self.subframes.iter().enumerate().all(|(number, subframe)| {
            let whole = if number + 1 < SUBFRAMES { PULSES } else { 4 };
            let (first, last) = subframe.pulses.split_at(whole);
            first.iter().all(|&pulse| pulse < 2) && last.iter().all(|&pulse| pulse < 4)
        })
    }

    /// Reads the parameters.
    pub(super) fn read(octets: &[u8; FRAME_OCTETS]) -> Self {
        let mut bits = Reader { octets, next: 4 };
        let ratios = RATIO_BITS.map(|count| bits.take(count));
        let subframes = [(); SUBFRAMES].map(|()| Subframe {
            lag: bits.take(7),
            gain: bits.take(2),
            grid: bits.take(2),
            peak: bits.take(6),
            pulses: [(); PULSES].map(|()| bits.take(3)),
        });
        Self { ratios, subframes }
    }

    /// Writes the parameters.
    pub(super) fn write(&self) -> [u8; FRAME_OCTETS] {
        let mut bits = Writer { octets: [0; FRAME_OCTETS], next: 0 };
        bits.put(4, SIGNATURE as u8);
        for (count, ratio) in RATIO_BITS.into_iter().zip(self.ratios) {
            bits.put(count, ratio);
        }
        for subframe in &self.subframes {
            bits.put(7, subframe.lag);
            bits.put(2, subframe.gain);
            bits.put(2, subframe.grid);
            bits.put(6, subframe.peak);
            for pulse in subframe.pulses {
                bits.put(3, pulse);
            }
        }
        bits.octets
    }
}

/// Takes numbers out of octets, the highest bit first.
struct Reader<'a> {
    octets: &'a [u8; FRAME_OCTETS],
    next: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: u32) -> u8 {
        let mut value = 0;
        for _ in 0..count {
            let octet = self.octets.get(self.next / 8).copied().unwrap_or(0);
            value = value << 1 | (octet >> (7 - self.next % 8)) & 1;
            self.next += 1;
        }
        value
    }
}

/// Puts numbers into octets, the highest bit first.
struct Writer {
    octets: [u8; FRAME_OCTETS],
    next: usize,
}

impl Writer {
    fn put(&mut self, count: u32, value: u8) {
        for bit in (0..count).rev() {
            if let Some(octet) = self.octets.get_mut(self.next / 8) {
                *octet |= (value >> bit & 1) << (7 - self.next % 8);
            }
            self.next += 1;
        }
    }
}
